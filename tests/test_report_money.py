"""The money of a run: sums that add up, the estimate beside what it became, savings with their pass rate."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.journal import Row
from stretto.models import BUILTIN
from stretto.plan.model import Check, Each, Expect, Group, Part, Task
from stretto.report import (
    History,
    Passed,
    Saving,
    Share,
    Taken,
    cap_that_does,
    estimated_of,
    foreseen_in,
    passed_of,
    rest_of,
    savings_of,
    strongest_of,
    tier_by,
    total,
    wilson,
)
from tests.spending import Job
from tests.telling import Telling, prompt
from tests.worlds import random_plan

NUSD = 1_000_000_000
HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
MILLION = {"input": 1_000_000, "output": 0}
"""On Sonnet $2, on Opus $4; on Haiku, whose long prompts cost five times as much, $0.50."""


def savings(told: Telling) -> list[Saving]:
    return savings_of(told.history, estimated_of(told.journal, told.history), BUILTIN)


def one(told: Telling, kind: str, baseline: str = "strongest") -> Saving | None:
    return next((s for s in savings(told) if (s.kind, s.baseline) == (kind, baseline)), None)


# Sums


def both(taken: Taken) -> tuple[int, int]:
    return taken.spent_nusd, taken.held_nusd


def folded(job: Job) -> History:
    history = History("r", job.plan)
    for number, (at_us, event) in enumerate(job.world.log, 1):
        history.apply(Row(number, at_us, event))
    return history


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_every_sum_of_a_random_run_adds_up_to_what_was_spent_and_held(seed: int) -> None:
    """Crashes, resumes, released holds and all."""
    job = Job(seed, random_plan(seed, size=8 + seed % 24, cancels=True))
    job.play()
    history = folded(job)
    ledger, bill = history.state.ledger, history.bill
    whole = (ledger.spent_nusd, ledger.held_nusd)
    assert both(total(bill)) == whole
    for key in (
        tier_by(BUILTIN),
        lambda e: e.part,
        lambda e: e.task,
        lambda e: e.role,
        lambda e: f"{e.task}#{e.n}",
    ):
        assert both(_added(bill.by(key))) == whole
    by_task = {task: both(taken) for task, taken in bill.by(lambda e: e.task).items()}
    assert by_task == {task: tuple(nusd) for task, nusd in history.state.task_nusd.items()}
    assert set(bill.by(lambda e: e.part)) <= set(history.state.rows)
    sent = Counter(e.status for _, e in job.world.log if isinstance(e, ev.CallSettled))
    assert total(bill).calls == sum(sent.values()) - sent["not sent"]


def _added(sums: dict[str, Taken]) -> Taken:
    taken = Taken()
    for part in sums.values():
        taken.add(part)
    return taken


def test_a_call_counts_for_the_model_that_answered_it_and_the_role_it_was_for() -> None:
    told = Telling(Group(id="g", tasks=(prompt("a", check=Check(prompt="good?")), prompt("b"))))
    told.start("g.a", 1, model=HAIKU)
    told.call("g.a", 1, 5, model=HAIKU)
    told.call("g.a", 1, 7, number=2, model=OPUS)  # an agent of its own beneath
    told.ended("g.a", 1)
    told.start("g.a", 2, model=SONNET, role="check")
    told.call("g.a", 2, 11, model=SONNET)
    told.ended("g.a", 2)
    told.succeeded("g.a")
    data = told.data()
    tiers = {row["tier"]: (row["usd"], row["calls"]) for row in data["tiers"]}
    assert tiers == {"haiku": (5e-9, 1), "opus": (7e-9, 1), "sonnet": (11e-9, 1)}
    assert {role: row["usd"] for role, row in data["roles"].items()} == {"work": 12e-9, "check": 11e-9}
    assert [(g["id"], g["usd"], g["tasks"], g["calls"]) for g in data["groups"]] == [("g", 23e-9, 2, 3)]
    assert [(a["id"], a["role"], a["tier"], a["usd"]) for a in data["attempts"]] == [
        ("g.a#1", "work", "haiku", 12e-9),
        ("g.a#2", "check", "sonnet", 11e-9),
    ]
    assert data["tasks"][0]["attempts"] == 1


def test_a_shadow_is_no_attempt_of_the_task_itself() -> None:
    told = Telling(prompt("a", check=Check(prompt="good?")))
    for n, role in enumerate(("work", "check", "shadow"), 1):
        told.start("a", n, role=role, model=OPUS if role == "shadow" else HAIKU)
        told.ended("a", n)
    told.succeeded("a")
    assert told.of("a")["attempts"] == 1
    assert told.of("a")["model"] == HAIKU


def test_a_release_frees_the_attempts_that_held() -> None:
    told = Telling(prompt("a"))
    for n in (1, 2):
        told.start("a", n)
        told.call("a", n, cost=2000, certain=False)
        told.ended("a", n, "error")
        told.tell(ev.RetryPlanned("a", n + 1, 0, 0, "cut", "attempts"))
    assert [a["usd_held"] for a in told.data()["attempts"]] == [2e-6, 2e-6]
    told.tell(ev.HoldReleased("a", 4000, "resume"))
    assert "usd_held" not in told.data()["groups"][0]
    assert [a.get("usd_held") for a in told.data()["attempts"]] == [None, None]


def test_a_lost_call_counts_for_the_model_that_was_asked() -> None:
    told = Telling(prompt("a"))
    told.start("a", model=OPUS)
    told.call("a", cost=2000, certain=False, model="", usage={})
    (tier,) = told.data()["tiers"]
    assert (tier["tier"], tier["usd"], tier["usd_held"]) == ("opus", 0.0, 2e-6)


def test_a_sum_with_an_unknown_price_in_it_is_unknown() -> None:
    told = Telling(prompt("a"), prompt("b"), on="openai:http://127.0.0.1/v1")
    for task, cost, bound in (("a", 0, 0), ("b", 7, 9)):
        told.start(task, agent="openai:http://127.0.0.1/v1", model="qwen")
        told.call(task, cost=cost, bound=bound, model="qwen")
    data = told.data()
    assert [(g["usd"], g["calls"]) for g in data["groups"]] == [(None, 1), (7e-9, 1)]
    assert [(t["tier"], t["usd"]) for t in data["tiers"]] == [("qwen", None)]


def test_a_call_that_was_withdrawn_is_none() -> None:
    told = Telling(prompt("a"))
    told.start("a")
    told.tell(ev.CallReserved("a#1", 1, 9), ev.CallSettled("a#1", 1, "m", {}, 0, True, "not sent"))
    assert told.data()["groups"][0]["calls"] == 0


# The estimate


def estimate(*groups: str, usd: float | None = 1.0, seconds: float = 10.0, **more: Any) -> dict[str, Any]:
    """One of figures that lie within half and double of these; each group has the same."""
    figures: dict[str, Any] = {
        "usd": {"low": None, "expected": None, "high": None},
        "seconds": {"low": seconds / 2, "expected": seconds, "high": 2 * seconds},
        "tokens": {"low": 10, "expected": 20, "high": 30},
    }
    if usd is not None:
        figures["usd"] = {"low": usd / 2, "expected": usd, "high": 2 * usd}
    parts = [{"id": id, "tasks": 1, "known": "prior", "known_seconds": "prior", **figures} for id in groups]
    return {"schema": "stretto/estimate/1", **figures, "groups": parts, **more}


def test_each_figure_stands_beside_its_estimate() -> None:
    told = Telling(prompt("a"), prompt("b"), estimate=estimate("a", "b", usd=2.0, seconds=10.0))
    told.succeed("a", cost=3 * NUSD, takes_s=9)
    told.succeed("b", takes_s=30)
    told.end()
    found = told.data()["estimate"]
    assert found["usd"] == {
        "low": 1.0, "expected": 2.0, "high": 4.0, "actual": 3.0, "error_percent": 50.0, "inside": True
    }  # fmt: skip
    assert (found["seconds"]["actual"], found["seconds"]["inside"]) == (41.0, False)
    assert found["tokens"] == {
        "low": 10, "expected": 20, "high": 30, "actual": 15, "error_percent": -25.0, "inside": True
    }  # fmt: skip
    assert [(g["id"], g["usd"]["actual"], g["seconds"]["actual"]) for g in found["groups"]] == [
        ("a", 3.0, 9.0),
        ("b", 0.0, 30.0),
    ]
    assert (found["done"], found["groups"][1]["usd"]["error_percent"]) == (True, -100.0)


def test_a_run_without_an_estimate_says_nothing() -> None:
    told = Telling(prompt("a"))
    assert told.data()["estimate"] is None


@pytest.mark.parametrize("blob", [None, {"schema": "stretto/estimate/9"}, ["odd"]])
def test_an_estimate_that_is_gone_or_of_another_form_says_nothing(blob: Any) -> None:
    told = Telling(prompt("a"), estimate=blob if blob is not None else {})
    if blob is None:
        told.journal._blobs.clear()
    assert told.data()["estimate"] is None


def test_what_is_not_over_has_no_error_yet() -> None:
    told = Telling(prompt("a"), prompt("b"), estimate=estimate("a", "b"))
    told.succeed("a", cost=NUSD)
    found = told.data()["estimate"]
    assert (found["done"], found["usd"]["actual"]) == (False, 1.0)
    assert (found["usd"]["error_percent"], found["usd"]["inside"]) == (None, None)
    assert [g["usd"]["error_percent"] for g in found["groups"]] == [0.0, None]


def test_a_run_that_failed_is_not_held_against_its_estimate() -> None:
    told = Telling(prompt("a"), estimate=estimate("a"))
    told.fail("a")
    told.end("failed")
    assert told.data()["estimate"]["seconds"]["error_percent"] is None


def test_what_is_held_may_leave_open_whether_the_estimate_held() -> None:
    for held, inside in ((NUSD // 10, True), (2 * NUSD, None)):
        told = Telling(prompt("a"), estimate=estimate("a"))
        told.start("a")
        told.call("a", cost=NUSD)
        told.call("a", cost=held, certain=False, number=2, bound=held)
        told.ended("a", 1)
        told.succeeded("a")
        told.end()
        usd = told.data()["estimate"]["usd"]
        assert (usd["actual"], usd["inside"]) == (1.0, inside)


def test_unknown_figures_stay_unknown() -> None:
    told = Telling(prompt("a"), estimate=estimate("a", usd=None))
    told.succeed("a", cost=5)
    told.end()
    usd = told.data()["estimate"]["usd"]
    assert (usd["expected"], usd["error_percent"], usd["inside"]) == (None, None, None)


# The pass rate


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Wilson's intervals as statsmodels' proportion_confint(method="wilson") gives them.
    [
        (0, 10, 0.0, 0.277533),
        (8, 10, 0.490162, 0.943318),
        (10, 10, 0.722467, 1.0),
        (1, 2, 0.094531, 0.905469),
    ],
)
def test_the_interval_is_wilson_s(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_holds_the_rate_and_stays_within_0_and_1(of: int, share: float) -> None:
    count = round(share * of)
    low, high = wilson(count, of)
    assert 0 <= low <= count / of <= high <= 1
    assert wilson(of - count, of) == pytest.approx((1 - high, 1 - low))


def test_the_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    """Exactly, over all counts of 30: Wilson's coverage is near 95 % on average, also for small rates."""
    covered = []
    for rate in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
        inside = [k for k in range(31) if wilson(k, 30)[0] <= rate <= wilson(k, 30)[1]]
        covered.append(sum(math.comb(30, k) * rate**k * (1 - rate) ** (30 - k) for k in inside))
    assert 0.93 < sum(covered) / len(covered) < 0.975


def judged(told: Telling, task: str, verdict: str, shadow: str = "") -> None:
    """A task that was worked on once, judged, perhaps audited, and is over."""
    told.start(task, 1)
    told.ended(task, 1)
    told.start(task, 2, role="check")
    told.ended(task, 2, verdict)
    if shadow:
        told.start(task, 3, role="shadow", model=OPUS)
        told.ended(task, 3, shadow)
    if verdict == "ok" and shadow != "check_failed":
        told.succeeded(task)
    else:
        why = "unverified: no answer" if verdict == "error" else "no"
        told.tell(ev.TaskFailed(task, "task", why))


def test_the_pass_rate_counts_tasks_by_how_they_ended() -> None:
    check = Check(prompt="good?")
    ids = ["ok1", "ok2", "no", "mute", "free", "kept", "left"]
    told = Telling(
        *(prompt(id, check=None if id == "free" else check) for id in ids),
        Task(id="cmd", run=("ls",), check=check),
    )
    judged(told, "ok1", "ok", shadow="ok")
    judged(told, "ok2", "ok", shadow="check_failed")
    judged(told, "no", "check_failed")
    judged(told, "mute", "error")
    told.succeed("free")
    told.tell(ev.TaskSucceeded("kept", "0" * 64, 1, "key", "old/kept#1", 5))
    judged(told, "cmd", "ok")
    passed = passed_of(told.history)
    assert passed == Passed(Share(1, 3), 1, 1, Share(1, 2))
    assert passed.data() == {
        "passed": 1, "checked": 3, "rate": 0.3333, "interval": [0.0615, 0.7923],
        "unverified": 1, "unanswered": 1,
        "false_accepts": {"wrong": 1, "audited": 2, "rate": 0.5, "interval": [0.0945, 0.9055]},
    }  # fmt: skip


def test_a_task_that_climbed_and_passed_has_passed() -> None:
    told = Telling(prompt("a", check=Check(prompt="good?"), model="haiku", climb_to="opus"))
    for n, verdict in ((1, "check_failed"), (3, "ok")):
        told.start("a", n, rung=n // 2)
        told.ended("a", n)
        told.start("a", n + 1, role="check")
        told.ended("a", n + 1, verdict)
        if verdict != "ok":
            told.tell(ev.RetryPlanned("a", n + 2, 1, 0, "no", "attempts"))
    told.succeeded("a")
    assert passed_of(told.history).checked == Share(1, 1)


# Savings

CHECKED = Check(call="m:f")


def test_the_same_tokens_on_the_strongest_model_are_computed() -> None:
    told = Telling(prompt("a", model="haiku", check=CHECKED), prompt("b", model="opus"))
    told.start("a", model=HAIKU)
    told.call("a", cost=500_000_000, bound=NUSD, model=HAIKU, usage=MILLION)
    told.ended("a", 1)
    told.start("a", 2, role="check", agent="function", model="")
    told.ended("a", 2)
    told.succeeded("a")
    told.start("b", model=OPUS)
    told.call("b", cost=4 * NUSD, bound=5 * NUSD, model=OPUS, usage=MILLION)
    told.ended("b", 1)
    told.succeeded("b")
    found = one(told, "computed")
    assert found is not None
    assert (found.nusd, found.baseline_nusd, found.model) == (4_500_000_000, 8 * NUSD, OPUS)
    data = found.data(passed_of(told.history))
    assert (data["percent"], data["usd_saved"]) == (43.8, 3.5)
    assert (data["pass_rate"]["passed"], data["pass_rate"]["checked"], data["pass_rate"]["unverified"]) == (
        1,
        1,
        1,
    )


def test_failed_attempts_and_audits_are_our_own_cost_and_none_of_the_baseline_s() -> None:
    """The strongest model is taken to need one attempt: a ladder that climbs can save less than nothing."""
    told = Telling(prompt("a", model="haiku", climb_to="opus", check=Check(prompt="good?")))
    calls = [
        ("work", HAIKU, 0.5),
        ("check", SONNET, 2.0),
        ("work", OPUS, 4.0),
        ("check", SONNET, 2.0),
        ("shadow", OPUS, 4.0),
    ]
    for n, (role, model, usd) in enumerate(calls, 1):
        told.start("a", n, role=role, model=model, rung=0)
        told.call("a", n, cost=round(usd * NUSD), bound=9 * NUSD, model=model, usage=MILLION)
        told.ended("a", n, "check_failed" if n == 2 else "ok")
        if n == 2:
            told.tell(ev.RetryPlanned("a", 3, 0, 0, "no", "attempts"))
    told.succeeded("a")
    found = one(told, "computed")
    assert found is not None
    assert (found.nusd, found.baseline_nusd) == (12_500_000_000, 6 * NUSD)
    assert found.percent == pytest.approx(-108.333, abs=0.01)


def test_where_all_was_done_by_the_strongest_there_is_nothing_to_compare() -> None:
    told = Telling(prompt("a", model="sonnet"))
    told.start("a", model=SONNET)
    told.call("a", model=SONNET, usage=MILLION)
    assert one(told, "computed") is None
    strongest = strongest_of(told.history, BUILTIN)
    assert strongest is not None and strongest.id == SONNET


def test_the_strongest_is_that_of_the_ladders() -> None:
    for part, id in ((prompt("a"), OPUS), (prompt("a", model="haiku", climb_to="sonnet"), SONNET)):
        found = strongest_of(Telling(part).history, BUILTIN)
        assert found is not None and found.id == id
    assert strongest_of(Telling(Task(id="a", run=("ls",))).history, BUILTIN) is None
    own = prompt("a", model="qwen", on="openai:http://127.0.0.1/v1")
    assert strongest_of(Telling(own).history, BUILTIN) is None


def test_an_unknown_price_gives_no_computed_saving() -> None:
    told = Telling(prompt("a", model="haiku"), prompt("b", model="opus"))
    told.start("a", model="claude-nobody-9")
    told.call("a", model="claude-nobody-9", usage=MILLION)
    assert one(told, "computed") is None


def test_a_declared_baseline_is_held_against_declared_figures_alone() -> None:
    parts: list[Part] = [
        prompt("a", expect=Expect(nusd=NUSD // 10, time_s=60.0)),
        prompt("e", "${item}", each=Each(over=["x", "y"]), expect=Expect(nusd=NUSD // 4)),
        Task(id="cmd", run=("ls",)),
        Group(id="g", tasks=(prompt("x"), prompt("y")), expect=Expect(nusd=NUSD)),
    ]
    baselines = {"all-opus": Expect(nusd=4 * NUSD, time_s=1500.0)}
    blob = estimate("a", "e", "cmd", "g", seconds=480.0)
    for group in blob["groups"]:
        group["known_seconds"] = "declared"
    told = Telling(*parts, baselines=baselines, estimate=blob)
    told.tell(ev.PlanGrew("e", "", 0, 0, ["x", "y"], [], True))
    told.succeed("a", cost=7)
    found = one(told, "declared", "all-opus")
    assert found is not None
    assert (found.nusd, found.baseline_nusd) == (1_600_000_000, 4 * NUSD)
    assert (found.percent, found.seconds_percent) == (60.0, 68.0)


def test_figures_of_two_kinds_make_no_percentage() -> None:
    told = Telling(
        prompt("a"), baselines={"all-opus": Expect(nusd=4 * NUSD, time_s=9.0)}, estimate=estimate("a")
    )
    told.succeed("a", cost=NUSD)
    found = one(told, "declared", "all-opus")
    assert found is not None
    data = found.data(passed_of(told.history))
    assert (data["usd_baseline"], data["seconds_baseline"]) == (4.0, 9.0)
    assert {data[key] for key in ("usd", "usd_saved", "percent", "seconds", "seconds_percent")} == {None}


def test_what_each_task_declares_of_the_strongest_model_adds_up() -> None:
    """The document's own case: $1.60 instead of $3.90, 59 % saved."""
    figures = {"find": (0.05, 1.00), "read": (0.03, 0.80), "analyze": (1.50, 1.50), "list": (0.02, 0.60)}
    told = Telling(
        *(
            prompt(id, expect=Expect(nusd=round(own * NUSD), strongest_nusd=round(there * NUSD)))
            for id, (own, there) in figures.items()
        )
    )
    found = one(told, "declared")
    assert found is not None
    assert (found.nusd, found.baseline_nusd) == (1_600_000_000, 3_900_000_000)
    assert round(found.percent or 0) == 59


def test_audits_measure_what_judging_takes() -> None:
    told = Telling(prompt("a", check=CHECKED), prompt("b", check=CHECKED))
    for task, cost in (("a", 3), ("b", 5)):
        told.start(task, 1, model=HAIKU)
        told.call(task, 1, cost=cost, model=HAIKU)
        told.ended(task, 1)
        told.start(task, 2, role="check", agent="function", model="")
        told.ended(task, 2)
    told.start("a", 3, role="shadow", model=OPUS)
    told.call("a", 3, cost=30, model=OPUS)
    told.ended("a", 3)
    told.succeeded("a")
    found = one(told, "measured")
    assert found is not None
    assert (found.nusd, found.baseline_nusd, found.tasks, found.model) == (3, 30, 1, OPUS)
    assert "not to do them" in found.says


def test_one_after_the_other_is_measured() -> None:
    told = Telling(prompt("a"), prompt("b"))
    for task in ("a", "b"):
        told.tell(ev.AttemptStarted(task, 1), after_s=0)
    told.ended("a", 1, takes_s=10)
    told.ended("b", 1, takes_s=0)
    found = one(told, "measured", "sequential")
    assert found is not None
    assert (found.seconds, found.baseline_seconds, found.seconds_percent) == (10.0, 20.0, 50.0)


# What is left


def test_the_rest_is_priced_by_the_estimate_where_no_sibling_tells() -> None:
    grown = prompt("e", "${item}", each=Each(over="${a}"), needs=("a",))
    told = Telling(prompt("a"), prompt("b"), grown, estimate=estimate("a", "b", "e"))
    told.succeed("a", cost=NUSD // 4)
    rest = rest_of(told.history.state)
    assert (rest.nusd, rest.high_nusd) == (None, None)
    rest = rest_of(told.history.state, foreseen=foreseen_in(told.journal, told.history.state))
    assert (rest.nusd, rest.high_nusd, rest.by, rest.growing) == (2 * NUSD, 4 * NUSD, "estimate", ["e"])


def test_the_high_figure_of_the_rest_grows_with_the_spread_of_the_siblings() -> None:
    items = [str(k) for k in range(10)]
    told = Telling(prompt("e", "${item}", each=Each(over=items)))
    told.tell(ev.PlanGrew("e", "", 0, 0, items, [], True))
    for k, cost in enumerate((100, 200, 300)):
        told.succeed(f"e.{k}", cost=cost)
    rest = rest_of(told.history.state)
    # Seven to come: 7 x 200, and 1.645 standard deviations of 100 sqrt(7 + 49 / 3).
    assert (rest.nusd, rest.high_nusd, rest.by) == (
        1400,
        1400 + math.ceil(1.645 * 100 * math.sqrt(7 + 49 / 3)),
        "siblings",
    )


def test_the_cap_that_does_holds_what_is_spent_the_rest_and_one_whole_call() -> None:
    items = ["x", "y", "z"]
    told = Telling(prompt("e", "${item}", each=Each(over=items), model="haiku", max_tokens=100), cap=2 * NUSD)
    told.tell(ev.PlanGrew("e", "", 0, 0, items, [], True))
    for k in range(2):
        told.succeed(f"e.{k}", cost=NUSD // 2)
    assert cap_that_does(told.history.state, rest_of(told.history.state)) is None, "nothing stopped it"
    told.tell(ev.RunPaused("budget", need_nusd=3 * NUSD))
    assert cap_that_does(told.history.state, rest_of(told.history.state)) == (NUSD + NUSD // 2 + 3 * NUSD)


def test_where_the_rest_has_no_price_the_cap_is_doubled() -> None:
    told = Telling(prompt("a", max_tokens=100), cap=2 * NUSD)
    told.tell(ev.RunPaused("budget", need_nusd=NUSD))
    assert cap_that_does(told.history.state, rest_of(told.history.state)) == 4 * NUSD


# As data


def test_decision_records_and_switches_are_told() -> None:
    told = Telling(prompt("a"))
    record = {"tier": "haiku", "model": HAIKU, "effort": "", "reasons": ["lists files"], "chance": 0.8}
    told.start("a", model=HAIKU, why="lists files", choice=told.journal.put(record))
    told.tell(ev.TierSwitched("p/files", "haiku", False, "4 of 9 audited results were wrong"))
    data = told.data()
    assert (data["attempts"][0]["choice"], data["attempts"][0]["why"]) == (record, "lists files")
    assert data["switched"] == [
        {"family": "p/files", "tier": "haiku", "on": False, "evidence": "4 of 9 audited results were wrong"}
    ]
    told.journal._blobs.clear()
    assert told.data()["attempts"][0]["choice"] is None


def test_what_is_left_is_told_as_data_until_the_run_has_ended() -> None:
    told = Telling(prompt("a"), prompt("b"), cap=NUSD)
    told.succeed("a", cost=1000)
    told.tell(ev.RunPaused("budget", need_nusd=500))
    left = told.data()["left"]
    assert (left["tasks"], left["usd"], left["usd_cap"]) == (1, None, 2.0)
    assert told.data(live=True)["left"] is None
    told.tell(ev.RunContinued("resume"))
    told.succeed("b", cost=10)
    told.end()
    assert told.data()["left"] is None


def test_all_of_it_is_plain_json() -> None:
    told = Telling(prompt("a", check=CHECKED), estimate=estimate("a"), baselines={"b": Expect(nusd=NUSD)})
    judged(told, "a", "ok", shadow="ok")
    told.end()
    assert json.loads(json.dumps(told.data())) == told.data()
