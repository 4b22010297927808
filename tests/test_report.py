"""What a journal adds up to: histories, what is left, the critical path, and what a plan can cost at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stretto import events as ev
from stretto.errors import StrettoError
from stretto.estimate import priced_as, worst_case
from stretto.plan.graph import build
from stretto.plan.model import Check, Each, Group, Plan, Quorum, Task
from stretto.plan.prune import prune
from stretto.report import (
    critical_path,
    error_of,
    materialise,
    rest_of,
    status_of,
    tasks_of,
)
from tests.telling import Telling, plan_of, prompt

NUSD = 1_000_000_000


# Histories


def test_a_task_s_story_is_its_attempts_calls_and_money() -> None:
    told = Telling(prompt("a"))
    told.start("a")
    told.call("a", cost=1500)
    told.tell(
        ev.AttemptEnded("a", 1, "error", "transient", "busy"),
        ev.RetryPlanned("a", 2, 0, 0, "busy", "attempts"),
    )
    told.succeed("a", 2, cost=500)
    entry = told.of("a")
    assert (entry["state"], entry["attempts"], entry["usd"]) == ("succeeded", 2, 0.000002)
    assert entry["error"] is None
    assert told.data()["tokens"] == {"input": 20, "output": 10}
    assert told.history.stories["a"].tries[0].outcome == "error"


def test_an_unknown_price_is_never_zero() -> None:
    told = Telling(prompt("a"), prompt("b"), on="openai:http://127.0.0.1/v1")
    told.start("a", agent="openai:http://127.0.0.1/v1", model="qwen")
    told.call("a", cost=0, bound=0)
    told.start("b", agent="messages")
    told.call("b", cost=7)
    assert (told.of("a")["usd"], told.of("a")["unpriced"]) == (None, True)
    data = told.data()
    assert (data["usd"], data["unpriced"], data["usd_known"]) == (None, True, 7e-9)
    assert "unpriced" not in told.of("b")


def test_local_calls_without_a_price_are_free() -> None:
    told = Telling(prompt("a"), on="local")
    told.start("a", agent="local", model="x")
    told.call("a", cost=0, bound=0)
    assert told.of("a")["usd"] == 0.0


def test_held_money_is_apart_from_spent_money() -> None:
    told = Telling(prompt("a"))
    told.start("a")
    told.call("a", cost=2000, certain=False)
    assert (told.data()["usd"], told.data()["usd_held"]) == (0.0, 0.000002)
    assert told.of("a")["usd_held"] == 0.000002


def test_a_kept_result_says_where_it_is_from() -> None:
    told = Telling(prompt("a"))
    told.tell(ev.TaskSucceeded("a", "0" * 64, 1, "key", "old/a#1", NUSD))
    entry = told.of("a")
    assert (entry["attempts"], entry["source"], entry["saved_usd"]) == (0, "old/a#1", 1.0)
    assert told.data()["saved_usd"] == 1.0


def test_a_skipped_task_says_because_of_whom() -> None:
    inner = Group(id="g", tasks=(prompt("x"), prompt("y", needs=("x",))), needs=("a",))
    told = Telling(prompt("a"), inner, prompt("z", needs=("g",)))
    told.fail("a")
    vertices = told.history.state.vertices
    assert error_of(told.history, vertices["a"]) == "broken"
    assert error_of(told.history, vertices["g"]) == "needs a, which failed"
    assert error_of(told.history, vertices["g.x"]) == "needs a, which failed"
    assert error_of(told.history, vertices["z"]) == "needs g, which was skipped"


def test_time_between_an_interruption_and_a_resume_does_not_count() -> None:
    told = Telling(prompt("a"), prompt("b"))
    told.succeed("a", takes_s=10)
    told.start("b")
    told.tell(ev.RunResumed(2, "b", ["b#1"]), after_s=3600)
    told.tell(ev.AttemptEnded("b", 1, "lost", "", "gone"), after_s=0)
    told.tell(ev.RetryPlanned("b", 2, 0, 0, "lost", "interruptions"), after_s=0)
    told.succeed("b", 2, takes_s=5)
    assert told.history.seconds == pytest.approx(1 + 10 + 1 + 1 + 5)


def test_a_dead_run_is_interrupted_not_running() -> None:
    told = Telling(prompt("a"))
    assert (status_of(told.history, True), status_of(told.history, False)) == ("running", "interrupted")
    told.tell(ev.RunPaused("budget"))
    assert status_of(told.history, False) == "paused"


def test_a_reader_keeps_nothing_for_a_driver() -> None:
    told = Telling(*(prompt(f"t{k}") for k in range(5)))
    assert told.history.state.ready == []


def test_items_stand_where_their_each_stands() -> None:
    each = prompt("e", "do ${item}", each=Each(over=["x", "y"]))
    told = Telling(prompt("a"), each, prompt("z"))
    told.tell(ev.PlanGrew("e", "", 0, 0, ["x", "y"], [], True))
    assert [vertex.id for vertex in tasks_of(told.history.state)] == ["a", "e.0", "e.1", "z"]


# Outputs


class OneBlob:
    """The one thing of a journal that outputs need."""

    def __init__(self, data: bytes):
        self.data = data

    def blob(self, sha: str) -> bytes:
        return self.data


def test_outputs_are_written_once_and_again_when_they_change(tmp_path: Path) -> None:
    told = Telling(prompt("a"), Task(id="b", run=("ls",)), Task(id="c", call="m:f"))
    for task in ("a", "c"):
        told.succeed(task)
    journal: Any = OneBlob(b"one")
    paths = materialise(journal, tmp_path, told.history)
    assert {id: Path(path).name for id, path in paths.items()} == {"a": "output.txt", "c": "output.json"}
    written = Path(paths["a"])
    before = written.stat().st_ino
    materialise(journal, tmp_path, told.history)
    assert written.stat().st_ino == before
    journal.data = b"two"
    materialise(journal, tmp_path, told.history)
    assert written.read_bytes() == b"two"
    assert sorted(path.name for path in written.parent.iterdir()) == ["output.txt"]


def test_a_path_that_cannot_be_written_is_not_named(tmp_path: Path) -> None:
    told = Telling(prompt("a"))
    told.succeed("a")
    (tmp_path / "tasks").write_text("in the way")
    journal: Any = OneBlob(b"x")
    assert materialise(journal, tmp_path, told.history) == {}


# What is left


def test_what_is_left_costs_what_siblings_have_cost() -> None:
    each = prompt("e", "do ${item}", each=Each(over=["x", "y", "z", "w"]))
    told = Telling(each)
    told.tell(ev.PlanGrew("e", "", 0, 0, ["x", "y", "z", "w"], [], True))
    told.succeed("e.0", cost=1000)
    told.succeed("e.1", cost=2001)
    told.start("e.2")
    rest = rest_of(told.history.state)
    assert (rest.kept, rest.redone, rest.waiting, rest.nusd) == (2, ["e.2"], 1, 2 * 1501)


def test_what_nothing_is_known_about_is_unknown() -> None:
    told = Telling(prompt("a"), prompt("b"))
    told.succeed("a", cost=1000)
    rest = rest_of(told.history.state)
    assert (rest.nusd, rest.unknown, rest.waiting) == (None, 1, 1)


def test_groups_that_are_not_made_yet_make_the_cost_unknown() -> None:
    told = Telling(
        prompt("a"), prompt("e", "do ${item}", each=Each(over="${a}"), needs=("a",)), on="simulated"
    )
    rest = rest_of(told.history.state)
    assert (rest.growing, rest.nusd) == (["e"], None)


def test_commands_and_simulations_cost_nothing() -> None:
    told = Telling(Task(id="a", run=("ls",)), prompt("b"), on="simulated:latency=0")
    assert rest_of(told.history.state).nusd == 0


# The critical path


def test_the_critical_path_is_the_chain_that_the_length_came_from() -> None:
    told = Telling(
        prompt("a"), prompt("b"), prompt("c", needs=("a", "b")), prompt("d"), prompt("z", needs=("c", "d"))
    )
    told.succeed("d", takes_s=1)
    told.succeed("b", takes_s=2)
    told.succeed("a", takes_s=3)
    told.succeed("c", takes_s=4)
    told.succeed("z", takes_s=5)
    assert critical_path(told.history) == [("a", 3.0), ("c", 4.0), ("z", 5.0)]


def test_the_critical_path_goes_through_groups_and_items() -> None:
    pair = Group(id="f", tasks=(prompt("s"), prompt("j", needs=("s",))), each=Each(over="${a}"), needs=("a",))
    told = Telling(prompt("a"), pair, prompt("m", needs=("f",)))
    told.succeed("a", takes_s=1)
    told.tell(ev.PlanGrew("f", "a#1", 0, 0, ["x", "y"], [], True), after_s=0)
    for task in ("f.0.s", "f.1.s", "f.0.j", "f.1.j"):
        told.succeed(task, takes_s=2)
    told.tell(ev.GroupClosed("f", 2, 0), after_s=0)
    told.succeed("m", takes_s=3)
    assert [id for id, _ in critical_path(told.history)] == ["a", "f.1.s", "f.1.j", "m"]


# The worst case


def test_the_worst_case_counts_attempts_and_widths() -> None:
    one = worst_case(plan_of(prompt("a", attempts=1)), "messages")
    assert (one.calls, one.unknown) == (1, ())
    assert one.nusd is not None
    many = worst_case(
        plan_of(prompt("a", attempts=3, each=Each(over="${b}", max=7)), prompt("b")), "simulated"
    )
    assert (many.calls, many.nusd) == (0, 0)
    many = worst_case(plan_of(prompt("a", attempts=3, each=Each(over=["x"] * 4))), "messages")
    assert many.calls == 12
    inside = Group(id="g", tasks=(prompt("a", attempts=1),), each=Each(over="${l}", max=50), needs=("l",))
    nested = worst_case(plan_of(Task(id="l", run=("ls",)), inside), "messages")
    assert (nested.calls, nested.nusd) == (50, 50 * one.nusd)


def test_the_worst_case_of_a_reduction_is_its_tree() -> None:
    each = prompt("f", "x", each=Each(over="${l}", max=45), on="simulated", needs=("l",))
    merge = prompt("m", "merge", reduce="${f}", fan_in=20, attempts=1)
    assert worst_case(plan_of(Task(id="l", run=("ls",)), each, merge), "messages").calls == 3 + 1
    unbounded = prompt("m", "merge", reduce="${l}", attempts=1)
    worst = worst_case(plan_of(Task(id="l", run=("ls",)), unbounded), "messages")
    assert (worst.nusd, worst.unknown) == (None, ("m: the length of ${l}",))


def test_an_unknown_price_makes_the_worst_case_unknown() -> None:
    worst = worst_case(plan_of(prompt("a", model="claude-nobody-9")), "messages")
    assert (worst.nusd, worst.calls) == (None, 3)
    assert worst.unknown == ("a: the price of claude-nobody-9",)


def test_judges_climbs_and_planners_are_in_the_worst_case() -> None:
    judged = prompt("a", attempts=2, check=Check(prompt="good?"))
    assert worst_case(plan_of(judged), "messages").calls == 6 + 6 * 3, "auto with a check may climb"
    assert worst_case(plan_of(prompt("a", model="haiku", climb_to="opus")), "messages").calls == 9
    grown = Group(id="p", tasks=(prompt("plan", grow=True), Group(id="grown", tasks=(), needs=("plan",))))
    assert worst_case(plan_of(grown), "messages").nusd is None
    assert worst_case(plan_of(grown), "simulated").nusd == 0


def test_measured_tokens_are_priced_as_if_on_another_model() -> None:
    usages = [{"input": 1_000_000, "output": 0}, {"input": 0, "output": 1_000_000}]
    assert priced_as(usages, "sonnet") == 12 * NUSD
    assert priced_as(usages, "claude-nobody-9") is None
    assert priced_as([], "opus") == 0


# A part of a plan

TREE = plan_of(
    Task(id="list", run=("ls",)),
    Group(
        id="files",
        each=Each(over="${list}", name="file"),
        quorum=Quorum(tolerate=1),
        tasks=(
            prompt("scan", "${file}"),
            prompt("judge", "${scan}"),
            prompt("extra", "${file}"),
        ),
    ),
    Group(id="side", quorum=Quorum(min_ok=2), tasks=(prompt("x"), prompt("y", needs=("x",)), prompt("w"))),
    prompt("merge", "${files}"),
    prompt("other", "alone"),
    prompt("last", "${merge} ${side.y}"),
)


def ids(plan: Plan) -> list[str]:
    return list(build(plan).elements)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("list", ["list"]),
        ("files.scan", ["list", "files", "files.scan"]),
        ("files.judge", ["list", "files", "files.scan", "files.judge"]),
        ("side", ["side", "side.x", "side.y", "side.w"]),
        ("side.y", ["side", "side.x", "side.y"]),
        ("merge", ["list", "files", "files.scan", "files.judge", "files.extra", "merge"]),
        (
            "last",
            "list files files.scan files.judge files.extra side side.x side.y merge last".split(),
        ),
    ],
)
def test_pruning_keeps_what_is_needed_and_nothing_else(path: str, left: list[str]) -> None:
    pruned = prune(TREE, path)
    assert ids(pruned) == left
    assert not build(pruned).problems


def test_a_quorum_over_members_goes_with_the_members() -> None:
    group = prune(TREE, "side.y").tasks[0]
    assert isinstance(group, Group)
    assert group.quorum is None
    files = prune(TREE, "files.scan").tasks[1]
    assert files.quorum == Quorum(tolerate=1)


@pytest.mark.parametrize(
    ("path", "fix"),
    [("merg", "did you mean 'merge'"), ("files.3.scan", "write 'files.scan'"), ("qqq", "the plan has: list")],
)
def test_pruning_to_what_is_not_there_is_an_error(path: str, fix: str) -> None:
    with pytest.raises(StrettoError) as failed:
        prune(TREE, path)
    assert failed.value.slug == "no-such-task"
    assert fix in failed.value.next


def test_data_is_plain_json() -> None:
    told = Telling(prompt("a"), cap=NUSD)
    told.succeed("a", cost=123_456_789)
    text = json.dumps(told.data())
    assert '"usd": 0.123456789' in text
    assert '"usd_cap": 1.0' in text
