"""Climbing on evidence, through the real loop: which rung follows which failure, and what is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from stretto import events as ev
from stretto.agents import Result, Work
from stretto.errors import EXIT_OK, EXIT_PROBLEM
from stretto.models import BUILTIN
from stretto.scheduler.choosing import EVIDENCE
from tests.stage import Actor, Stage

LADDER = 'tasks:\n  a: {prompt: Fix it, model: {from: haiku, to: opus}, check: "m:good", attempts: 2}\n'


def tier(work: Work) -> str:
    return BUILTIN.info(work.model).tier


def events(stage: Stage, kind: type[Any], run: str = "r") -> list[Any]:
    return [row.event for row in stage.journal.read(run) if isinstance(row.event, kind)]


def tiers(stage: Stage) -> list[str]:
    return [tier(work) for work in stage.actor.seen if work.role == "work"]


def strong_only(work: Work) -> Any:
    """Work says which tier did it; the check takes only what opus did."""
    if work.role == "work":
        return tier(work)
    return {"pass": work.kwargs["output"] == "opus", "findings": ["weak"]}


def test_a_failed_check_climbs_at_once_and_carries_what_was_found() -> None:
    stage = Stage(Actor(strong_only))
    assert stage.run(LADDER).code == EXIT_OK
    climbed = tiers(stage)
    assert climbed[-1] == "opus" and len(climbed) == len(set(climbed)), "no rung is tried twice"
    last = [work for work in stage.actor.seen if work.role == "work"][-1]
    assert "weak" in last.prompt, "a fresh context knows why the last answer was refused"
    started = events(stage, ev.AttemptStarted)
    rungs = [e.rung for e in started if e.role == "work"]
    assert rungs == sorted(rungs) and rungs[-1] == 2


def test_at_the_last_rung_attempts_count() -> None:
    stage = Stage(Actor(lambda work: "no" if work.role == "work" else {"pass": False}))
    assert stage.run(LADDER).code == EXIT_PROBLEM
    assert tiers(stage).count("opus") == 2


@pytest.mark.parametrize("outcome", sorted(EVIDENCE - {"check_failed", "rejected"}))
def test_every_kind_of_evidence_climbs(outcome: Any) -> None:
    def answer(work: Work) -> Any:
        weak = tier(work) != "opus"
        return Result(outcome, error="no good", cls="task") if weak else "fine"

    stage = Stage(Actor(answer))
    assert stage.run("tasks:\n  a: {prompt: Fix it, model: {from: haiku, to: opus}}\n").code == EXIT_OK
    assert tiers(stage)[-1] == "opus"


def test_an_error_of_the_world_says_nothing_against_the_model() -> None:
    """A busy server is asked again on the same rung."""
    tries: list[str] = []

    def answer(work: Work) -> Any:
        tries.append(tier(work))
        return Result("error", error="busy", cls="transient") if len(tries) < 2 else "fine"

    stage = Stage(Actor(answer))
    assert stage.run("tasks:\n  a: {prompt: Fix it, model: {from: haiku, to: opus}}\n").code == EXIT_OK
    assert len(set(tries)) == 1


def test_a_fixed_model_never_climbs() -> None:
    stage = Stage(Actor(strong_only))
    text = 'tasks:\n  a: {prompt: Fix it, model: haiku, check: "m:good", attempts: 2}\n'
    assert stage.run(text).code == EXIT_PROBLEM
    assert tiers(stage) == ["haiku", "haiku"]


def test_what_a_stronger_rung_did_is_kept_for_the_next_run() -> None:
    """The next run must not pay the weak rung again to learn that it fails."""
    stage = Stage(Actor(strong_only))
    stage.run(LADDER, "one")
    seen = len(stage.actor.seen)
    outcome = stage.run(LADDER, "two")
    assert outcome.code == EXIT_OK and outcome.value("a") == "opus"
    assert len(stage.actor.seen) == seen


def test_outcomes_are_journaled_once_their_judges_have_spoken() -> None:
    stage = Stage(Actor(strong_only))
    stage.run(LADDER)
    work = [o for o in stage.journal.outcomes() if o.role == "work"]
    assert [o.ok for o in work] == [False] * (len(work) - 1) + [True]
    assert work[-1].tier == "opus" and work[-1].verified and work[-1].agent == "simulated"
    assert len({o.signature for o in work}) == 1 and work[0].family == "test/"


def test_every_choice_leaves_a_record() -> None:
    stage = Stage()
    stage.run("tasks:\n  a: {prompt: Count the lines of README.md}\n")
    (started,) = events(stage, ev.AttemptStarted)
    record = stage.journal.blob(started.choice).decode()
    assert '"tier"' in record and '"reasons"' in record
    assert started.why


class Judges:
    """Work that haiku gets wrong and its check lets pass; only the strongest model sees it."""

    def __init__(self, verdict: Any = None):
        self.verdict = verdict

    def __call__(self, work: Work) -> Any:
        if work.role == "work":
            return tier(work)
        if work.role == "check":
            return True
        assert tier(work) == "opus", "a shadow is the strongest model"
        return self.verdict or {"pass": "haiku" not in work.prompt.split("fenced")[-1], "findings": ["wrong"]}


SHADOWED = (
    'tasks:\n  a: {prompt: Count the lines, model: {from: haiku, to: opus}, check: "m:good", attempts: 1}\n'
)


def test_a_shadow_judges_an_accepted_result_and_a_no_climbs() -> None:
    stage = Stage(Actor(Judges()))
    outcome = stage.run(SHADOWED, shadow=1.0)
    roles = [e.role for e in events(stage, ev.AttemptStarted)]
    if tiers(stage)[0] == "haiku":
        assert roles[:3] == ["work", "check", "shadow"]
        shadows = [o for o in stage.journal.outcomes() if o.role == "shadow"]
        assert shadows[0].tier == "haiku" and not shadows[0].ok
    assert outcome.code == EXIT_OK and outcome.value("a") != "haiku"


def test_a_shadow_that_gives_no_verdict_takes_nothing_away() -> None:
    broken = Result("error", error="no answer", cls="task")
    stage = Stage(Actor(Judges(broken)))
    outcome = stage.run(SHADOWED, shadow=1.0)
    assert outcome.code == EXIT_OK


def test_without_shadow_nobody_is_asked_twice() -> None:
    stage = Stage(Actor(Judges()))
    assert stage.run(SHADOWED).code == EXIT_OK
    assert [e.role for e in events(stage, ev.AttemptStarted)] == ["work", "check"]


def test_a_sample_is_drawn_among_the_items_of_a_template() -> None:
    text = (
        "tasks:\n  a: {each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],"
        ' prompt: "Count ${item}", model: {from: haiku, to: opus}, check: "m:good"}\n'
    )
    stage = Stage(Actor(lambda work: True if work.role == "check" else {"pass": True, "findings": []}))
    assert stage.run(text, shadow=0.5).code == EXIT_OK
    judged = sum(e.role == "shadow" for e in events(stage, ev.AttemptStarted))
    assert 4 <= judged <= 16, "about half of twenty"
