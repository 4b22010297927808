"""Estimates: declared figures exactly, ranges in order, time by the real scheduler, unknown stays unknown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.estimate import Estimate, Range, estimate
from stretto.estimate.pieces import Widths, path_of, pieces_of
from stretto.estimate.sampling import Sampler, errors_of, points_of
from stretto.models import BUILTIN, Catalogue, is_free
from stretto.models.catalogue import Rates
from stretto.models.choice import Chooser
from stretto.models.history import History, Outcome
from stretto.plan.graph import build
from stretto.plan.model import Check, Each, Expect, Group, Limits, Part, Plan, Task
from stretto.scheduler.vertex import TaskVertex
from tests.stage import plan_of
from tests.worlds import World, chance, random_plan

HAIKU = BUILTIN.resolve("haiku").id


def of(text: str, **given: Any) -> Estimate:
    return estimate(plan_of(text), "messages", **{"samples": 300, "time_s": 0.5} | given)


def fan(n: int, *, more: str = "", head: str = "") -> str:
    tasks = "".join(f'  t{k}: {{prompt: "Fix bug {k}", model: haiku{more}}}\n' for k in range(n))
    return f"{head}tasks:\n{tasks}"


def parts_of(found: Estimate) -> dict[str, Any]:
    return {group.id: group for group in found.groups}


def middle(of: Range | None) -> float:
    assert of is not None
    return of.expected


# Declared figures


def test_a_group_declares_its_total_and_the_time_of_one_member() -> None:
    found = of(
        "tasks:\n  audit:\n    expect: {usd: 1, time: 6m}\n    tasks:\n"
        "      a: {prompt: A}\n      b: {prompt: B, expect: {usd: 5, time: 8m}}\n"
        "      c: {order: serial, tasks: {d: {prompt: D}, e: {prompt: E}}}\n"
    )
    assert found.nusd == Range(1e9, 1e9, 1e9)
    assert found.seconds == Range(480, 480, 480), "b says its own time; d and e share one member's"
    assert found.sequential_seconds == 360 + 480 + 180 + 180
    assert (found.groups[0].known, found.groups[0].known_seconds) == ("declared", "declared")


def test_a_total_is_spent_on_what_is_not_kept() -> None:
    text = "tasks:\n  g:\n    expect: {usd: 4, time: 1m}\n    tasks: {a: {prompt: A}, b: {prompt: B}}\n"
    found = of(text, kept={"g.a": object()})
    assert (found.nusd, found.covered.tasks, found.groups[0].covered) == (Range(2e9, 2e9, 2e9), 1, 1)


def test_money_may_be_declared_where_time_is_not() -> None:
    found = of("tasks: {a: {prompt: A, model: haiku, expect: {usd: 0.25}}}")
    assert found.nusd == Range(250e6, 250e6, 250e6)
    assert found.seconds is not None
    assert found.seconds.low < found.seconds.high
    assert (found.groups[0].known, found.groups[0].known_seconds) == ("declared", "prior")


def test_declared_and_computed_figures_are_not_added_up_to_a_baseline() -> None:
    found = of("tasks: {a: {prompt: A, expect: {usd: 1, time: 1m}}, b: {prompt: B}}")
    assert found.baselines["all-strongest"].nusd is None
    assert "some tasks declare" in found.baselines["all-strongest"].why
    assert found.baselines["one-agent"].nusd is None


# Ranges


def test_the_same_seed_says_the_same() -> None:
    text = fan(6, more=", check: {prompt: Is it fixed?}")
    assert of(text, time_s=0).data() == of(text, time_s=0).data()
    assert of(text, time_s=0).data() != of(text, time_s=0, seed=1).data()


def test_tasks_that_share_a_mean_are_wrong_together() -> None:
    """Over a hundred tasks spreads average out; that nothing is known of any of them does not."""
    found = of(fan(100))
    assert found.nusd is not None
    assert found.nusd.high > 1.8 * found.nusd.expected
    assert found.nusd.low < 0.6 * found.nusd.expected


def test_history_makes_the_range_narrow_and_expect_narrower() -> None:
    text = fan(40, head="limits: {parallel: 40}\n")
    history = History()
    for k in range(40):
        nusd = 2_000_000 + 100_000 * (k % 7)
        outcome = Outcome(
            f"s{k}", "test/", "development", HAIKU, "haiku", "", "work", True, False, nusd, 10.0 + k % 5
        )
        history.add(outcome)
    before, after = of(text), of(text, history=history)
    assert before.nusd is not None and after.nusd is not None
    assert {group.known for group in after.groups} == {"history"}
    assert after.nusd.high - after.nusd.low < 0.2 * (before.nusd.high - before.nusd.low)
    # What was recorded without an effort counts as of high effort; these tasks get medium.
    assert 0.6 * 40 * 2_000_000 < after.nusd.expected < 1.2 * 40 * 2_400_000
    declared = of(fan(40, more=", expect: {usd: 0.01}"), history=history)
    assert declared.nusd == Range(400e6, 400e6, 400e6)


def test_a_list_of_unknown_length_is_a_range_up_to_its_max() -> None:
    text = (
        "inputs: {names: {type: list}}\ntasks:\n  list: {run: [ls], output: lines}\n"
        '  scan: {each: "${list}", max: 50, prompt: "Scan ${item}", model: haiku}\n'
        '  know: {each: "${names}", prompt: "Know ${item}", model: haiku}\n'
        '  sum: {reduce: "${scan}", fan_in: 5, prompt: Merge, model: haiku}\n'
    )
    found = parts_of(of(text, inputs={"names": ["a", "b", "c"]}))
    scan = found["scan"].tasks
    assert 1 <= scan.low < scan.expected < scan.high <= 50
    assert found["know"].tasks == Range(3, 3, 3)
    assert found["sum"].tasks.high > found["sum"].tasks.low >= 1
    known = parts_of(of(text, inputs={"names": ["a"]}, lengths={"scan": 12}))
    assert known["scan"].tasks == Range(12, 12, 12)
    assert known["sum"].tasks == Range(4, 4, 4), "three calls for twelve parts, and one for these three"


def test_a_planner_adds_tasks_that_cost_something() -> None:
    found = of("tasks: {plan: {prompt: Write a plan, grow: plan, model: opus}}")
    assert found.groups[0].tasks.low >= 2
    assert found.groups[0].tasks.high > found.groups[0].tasks.low
    alone = of("tasks: {plan: {prompt: Write a plan, model: opus}}")
    assert middle(found.nusd) > middle(alone.nusd)


def test_checks_retries_and_climbs_are_paid() -> None:
    once = of("tasks: {a: {prompt: Refactor the parser, model: sonnet}}")
    judged = of("tasks: {a: {prompt: Refactor the parser, model: sonnet, check: {prompt: Is it right?}}}")
    ladder = "{prompt: Refactor the parser, model: {from: haiku, to: opus}, check: [make, test]}"
    climbing = of(f"tasks: {{a: {ladder}}}")
    assert middle(judged.nusd) > 1.05 * middle(once.nusd)
    assert middle(judged.seconds) > middle(once.seconds)
    assert climbing.nusd is not None
    assert climbing.nusd.high > 3 * climbing.nusd.expected or climbing.nusd.high > middle(once.nusd)


def test_free_agents_cost_nothing_and_take_time() -> None:
    found = of("tasks: {a: {run: [make]}, b: {prompt: B, on: simulated}}")
    assert found.nusd == Range(0, 0, 0)
    assert middle(found.seconds) > 0


# Unknown


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    found = of("tasks: {a: {prompt: A, model: claude-mystery-9}, b: {prompt: B, model: haiku}}")
    data = found.data()
    assert data["usd"] == {"low": None, "expected": None, "high": None}
    assert data["usd_at_least"] > 0
    assert parts_of(found)["a"].nusd is None
    assert parts_of(found)["b"].nusd is not None
    assert found.unknown == ("a: claude-mystery-9: no price is known",)
    assert data["samples"]["error"]["usd"]["low"] is None
    assert found.seconds is not None


# Kept results


def test_what_is_kept_costs_nothing_and_takes_no_time() -> None:
    text = (
        'tasks: {a: {each: [1, 2], prompt: "A ${item}", model: haiku}, b: {prompt: "B ${a}", model: haiku}}'
    )
    everything = {"a.0": object(), "a.1": object(), "b": object()}
    found = of(text, kept=everything)
    assert (found.nusd, found.seconds) == (Range(0, 0, 0), Range(0, 0, 0))
    assert (found.covered.tasks, set(found.covered.ids)) == (3, set(everything))
    assert found.covered.nusd
    some: Callable[[str], object] = {"a.0": object()}.get
    part = of(text, kept=some)
    assert [group.covered for group in part.groups] == [1, 0]
    assert 0 < middle(part.nusd) < middle(of(text).nusd)


def test_ids_lead_back_to_their_tasks() -> None:
    text = """
tasks:
  l: {run: [ls], output: lines}
  r1: {each: "${l}", tasks: {x: {prompt: "X ${item}"}}}
  m: {reduce: "${r1}", prompt: M}
"""
    graph = build(plan_of(text))
    found = [path_of(id, graph) for id in ("r1.3.x", "m.r2.0", "l")]
    assert found == ["r1.x", "m", "l"]


# Time


def asking(part: Part, seed: int) -> Part:
    """The same part with prompts instead of functions, on models of all sorts, some of them checked."""
    if isinstance(part, Group):
        return replace(part, tasks=tuple(asking(member, seed) for member in part.tasks))
    draw = chance(seed, part.id)
    check = Check(prompt="Is it right?") if draw < 0.2 else Check(call="a:b") if draw < 0.4 else None
    return replace(
        part,
        call="",
        prompt=f"Fix {part.id}",
        model="auto" if draw < 0.6 else "haiku",
        climb_to="opus" if 0.3 < draw < 0.5 else "",
        check=check,
        expect=part.expect if draw > 0.9 else None,
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_plan_has_ranges_in_order(seed: int) -> None:
    plan = random_plan(seed)
    plan = replace(plan, tasks=tuple(asking(part, seed) for part in plan.tasks))
    found = estimate(plan, "messages", samples=60, time_s=0, seed=seed)
    ranges = [found.nusd, found.seconds, found.tokens]
    for group in found.groups:
        ranges += [group.nusd, group.seconds, group.tokens, group.tasks]
    for points in ranges:
        assert points is not None
        assert 0 <= points.low <= points.expected <= points.high
    assert found.sequential_seconds is not None
    assert found.worst.nusd is not None and found.nusd is not None
    assert found.data()["schema"] == "stretto/estimate/1"
    assert found.seconds is not None
    assert all(group.seconds.high <= found.seconds.high + 1e-6 for group in found.groups if group.seconds)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_fixed_times_take_as_long_as_the_scheduler_needs_for_them(seed: int) -> None:
    plan = random_plan(seed)
    world = World(plan, outcome=lambda task, n, role: "ok")

    def took(task: str, role: str) -> float:
        vertex = world.scheduler.state.vertices[task]
        assert isinstance(vertex, TaskVertex) and vertex.task.expect is not None
        return (vertex.task.expect.time_s or 0.0) if role == "work" else 0.0

    world.took = took
    world.start().run()
    found = estimate(plan, "messages", samples=10, time_s=0)
    assert found.seconds is not None
    assert found.samples.time == 1, "where nothing is left to chance one play says it all"
    assert found.seconds.expected == pytest.approx(world.now_us / 1e6, abs=1e-4)


def test_more_side_by_side_is_never_slower_for_independent_tasks() -> None:
    found = [middle(of(fan(24), parallel=count).seconds) for count in (1, 2, 4, 8, 24)]
    assert found == sorted(found, reverse=True)
    alone = of(fan(24), parallel=1)
    assert alone.sequential_seconds == pytest.approx(middle(alone.seconds), rel=0.25)


# What binds


def test_side_by_side_binds_and_lifting_it_is_told() -> None:
    found = of(fan(20, more=", expect: {time: 1m}", head="limits: {parallel: 5}\n"))
    assert middle(found.seconds) == 240
    binding = found.binding.data()
    assert (binding["limit"], binding["at"], binding["lifted"]) == ("parallel", 5, {"seconds": 60})
    assert "4.0 min would be 60 s" in binding["says"]


def test_slots_bind() -> None:
    head = "limits: {parallel: 20, slots: {messages/haiku: 4}}\n"
    found = of(fan(20, more=", expect: {time: 1m}", head=head))
    assert middle(found.seconds) == 300
    assert (found.binding.limit, found.binding.at) == ("slots", 4)


def test_tokens_per_minute_bind_and_more_side_by_side_would_not_help() -> None:
    rates = Rates(output_tokens=10_000)
    models = tuple(replace(m, rates=rates) if m.id == HAIKU else m for m in BUILTIN.models)
    text = fan(40, more=", max_tokens: 2000, expect: {time: 30s}", head="limits: {parallel: 16}\n")
    slow = of(text, catalogue=Catalogue(models=models))
    assert slow.binding.limit == "output tokens per minute"
    assert slow.binding.says.startswith("16 side by side will not help: output tokens per minute bind at ")
    assert slow.binding.at is not None
    assert 1 <= slow.binding.at < 16
    lifted = slow.binding.lifted_seconds
    assert lifted is not None
    assert lifted == pytest.approx(middle(of(text).seconds), rel=0.02)
    assert lifted < middle(slow.seconds)


def test_a_deadline_that_comes_first_is_what_binds() -> None:
    found = of(fan(2, more=", expect: {time: 10m}", head="limits: {time: 5m}\n"))
    assert (found.binding.limit, found.binding.at) == ("deadline", 300)
    assert "about 10.0 min are needed" in found.binding.says


def test_nothing_binds_a_chain_but_itself() -> None:
    found = of(
        "tasks: {a: {prompt: A}, b: {prompt: B, needs: [a]}, c: {prompt: C, needs: [b]}, d: {run: [x]}}"
    )
    assert found.binding.limit == "critical path"
    assert found.critical_path == ("a", "b", "c")
    assert found.binding.data()["lifted"] == {"seconds": None}


# Other ways


def test_other_ways_are_priced_too() -> None:
    found = of(fan(8, head="baselines: {mine: {usd: 2, time: 5m}}\n"))
    assert found.baselines["mine"].data() == {"usd": 2, "seconds": 300, "known": "declared"}
    strongest, one, sequential = (found.baselines[n] for n in ("all-strongest", "one-agent", "sequential"))
    assert strongest.nusd is not None and one.nusd is not None
    assert strongest.nusd > 10 * middle(found.nusd)
    assert one.nusd > middle(found.nusd), "one conversation reads all that was said before again and again"
    assert sequential.nusd == middle(found.nusd)
    assert sequential.seconds == found.sequential_seconds
    assert {b.known for b in (strongest, one, sequential)} == {"computed"}


def test_declared_figures_of_the_strongest_are_added_up() -> None:
    declared = "usd: 0.10, time: 1m, strongest: {usd: 1, time: 3m}"
    found = of(
        f"tasks: {{a: {{prompt: A, expect: {{{declared}}}}}, b: {{prompt: B, expect: {{{declared}}}}}}}"
    )
    strongest = found.baselines["all-strongest"]
    assert (strongest.nusd, strongest.seconds, strongest.known) == (2e9, 180, "declared")


# The parts of it


def test_points_and_their_errors() -> None:
    values = [float(k) for k in range(1001)]
    assert points_of(values) == Range(100, 500, 900)
    low, expected, high = errors_of(values)
    assert expected == pytest.approx(15.8, rel=0.05), "sqrt(n p (1 - p)) ranks of 1,001"
    assert low == pytest.approx(high)
    assert errors_of([7.0] * 50) == Range(0, 0, 0)


def test_many_alike_are_drawn_at_once_as_they_would_be_one_by_one() -> None:
    plan = Plan(
        name="p", tasks=(Task(id="t", prompt="Do ${item}", model="haiku", each=Each(over=[0] * 400)),)
    )
    pieces = pieces_of(plan, "messages", build(plan), Chooser(BUILTIN, History()), is_free)
    sampler = Sampler(Widths({}), 4_000, 1)
    sampler.add(pieces)
    at_once = points_of(sampler.sums_of(sampler.width(pieces[0]), 0.7))
    few = sampler.sums_of(sampler.width(pieces[0]) / 8, 0.7)  # 50: one by one
    assert at_once.expected == pytest.approx(400, rel=0.02)
    assert points_of(few).expected == pytest.approx(50, rel=0.02)
    assert (at_once.high - at_once.low) / 400 == pytest.approx(
        (points_of(few).high - points_of(few).low) / 50 / 8**0.5, rel=0.1
    )


def test_numpy_is_loaded_by_an_estimate_and_by_nothing_else() -> None:
    code = "import sys, stretto.cli, stretto.estimate, stretto.api; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_limits_of_a_plan_are_its_own() -> None:
    plan = Plan(name="p", tasks=(Task(id="t", prompt="T", model="haiku", expect=Expect(time_s=2.0)),))
    found = estimate(replace(plan, limits=Limits(parallel=1)), "messages", samples=10, time_s=0)
    assert found.seconds == Range(2, 2, 2)
