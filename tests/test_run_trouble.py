"""The real loop where agents, money and timing misbehave; most of these once broke a promise."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.agents import Desk, Result, Work
from stretto.errors import EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.run import Options, Outcome, load_state, resume_run, run_plan
from stretto.run.loop import Loop
from stretto.scheduler.vertex import SUCCEEDED
from tests.autojump import run as in_virtual_time
from tests.stage import Actor, Stage, plan_of


def ended(stage: Stage, run: str = "r") -> dict[str, str]:
    rows = [row.event for row in stage.journal.read(run)]
    return {f"{e.task}#{e.n}": e.outcome for e in rows if isinstance(e, ev.AttemptEnded)}


def test_an_answer_whose_check_failed_is_nobodys_result() -> None:
    """Run 1 fails its check; run 2 must ask again, and be judged again."""
    stage = Stage(Actor(lambda work: {"pass": False} if work.role == "check" else "poor"))
    text = 'tasks:\n  a: {prompt: Write, model: haiku, check: "m:good", attempts: 1}\n'
    assert stage.run(text, "one").code == EXIT_PROBLEM
    before = len(stage.actor.seen)
    assert stage.run(text, "two").code == EXIT_PROBLEM
    assert len(stage.actor.seen) == 2 * before
    stage.actor.answer = lambda work: {"pass": True} if work.role == "check" else "fine"
    assert stage.run(text, "three").code == EXIT_OK
    seen = len(stage.actor.seen)
    assert stage.run(text, "four").code == EXIT_OK
    assert len(stage.actor.seen) == seen, "what passed its check is kept"


def test_a_quorum_met_by_a_kept_result_stops_what_was_just_started() -> None:
    stage = Stage()
    stage.run("tasks:\n  known: {prompt: Known}\n", "one")
    outcome = stage.run(
        """
tasks:
  views:
    min_ok: {count: 1, then: cancel}
    tasks:
      slow: {prompt: Slow}
      quick: {prompt: Known}
  end: {prompt: "Had ${views.quick}"}
""",
        "two",
    )
    assert outcome.code == EXIT_OK
    assert outcome.state.vertices["views.slow"].state != SUCCEEDED


def test_a_lone_surrogate_is_a_bad_output_of_its_task_alone() -> None:
    answers = {"a": "fine", "b": "broken \ud800", "c": "fine"}
    stage = Stage(Actor(lambda work: answers[work.task]))
    text = "tasks:\n" + "".join(f"  {c}: {{prompt: P{c}, attempts: 1}}\n" for c in "abc")
    assert stage.run(text).code == EXIT_PROBLEM
    assert ended(stage) == {"a#1": "ok", "b#1": "bad_output", "c#1": "ok"}


def test_endless_nesting_and_other_poison_fail_only_their_task() -> None:
    poison = ["[" * 100_000, '{"a": NaN}', "\x00", json.dumps({"a": 1})[:-1], "1e999999"]
    stage = Stage(Actor(lambda work: poison[int(work.task[1:])]))
    lines = [f"  t{k}: {{prompt: P{k}, attempts: 1, output: {{a: int}}}}\n" for k in range(len(poison))]
    assert stage.run("tasks:\n" + "".join(lines)).code == EXIT_PROBLEM
    assert set(ended(stage).values()) == {"bad_output"}


def test_waiting_for_money_is_not_idle() -> None:
    """Two agents, money for one at a time; the first takes longer than the idle limit of the second."""
    actor = Actor(lambda work: "x", takes_s=500.0, cost_nusd=10, bound_nusd=60)
    stage = Stage(messages=actor)
    text = "tasks:\n" + "".join(f"  {c}: {{prompt: P{c}, idle: 501s}}\n" for c in "ab")
    outcome = stage.run(text, on="messages", cap_nusd=100)
    assert outcome.code == EXIT_OK
    assert ended(stage) == {"a#1": "ok", "b#1": "ok"}


def test_a_call_that_cost_more_than_its_bound_stops_the_run() -> None:
    stage = Stage(messages=Actor(lambda work: "x", cost_nusd=500, bound_nusd=50))
    text = "limits: {parallel: 1}\ntasks:\n" + "".join(f"  {c}: {{prompt: P{c}}}\n" for c in "abc")
    outcome = stage.run(text, on="messages", cap_nusd=100)
    assert outcome.code == EXIT_LIMIT and outcome.state.paused is not None
    assert outcome.state.paused.why == "budget"
    with pytest.raises(StrettoError) as caught:
        stage.resume(cap_nusd=400)
    assert caught.value.slug == "cap-too-low"


def test_an_agent_that_swallows_its_cancellation_is_given_up() -> None:
    class Deaf(Actor):
        async def run(self, work: Work, desk: Desk) -> Result:
            for _ in range(3):  # hears it only the fourth time
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
            await asyncio.sleep(3600)
            return Result("ok", "much too late")

    stage = Stage(Deaf(lambda work: "x"))
    outcome = stage.run("tasks:\n  a: {prompt: P, timeout: 5s, attempts: 1}\n")
    assert outcome.code == EXIT_PROBLEM
    assert ended(stage) == {"a#1": "timeout"}
    assert stage.elapsed_s < 60


def test_a_cancellation_from_inside_is_an_error_and_not_an_interruption() -> None:
    class Torn(Actor):
        async def run(self, work: Work, desk: Desk) -> Result:
            self.seen.append(work)
            raise asyncio.CancelledError

    stage = Stage(Torn(lambda work: "x"))
    outcome = stage.run("tasks:\n  a: {prompt: P, attempts: 2}\n")
    assert outcome.code == EXIT_PROBLEM and len(stage.actor.seen) == 2


def test_a_redo_survives_a_crash() -> None:
    """The redone task was invalidated and its process died: the kept result must not come back."""
    stage = Stage()
    text = "tasks:\n  a: {prompt: P}\n  b: {prompt: Q}\n"
    stage.run(text)
    _, scheduler = load_state(stage.journal, "r")
    scheduler.resume(1, "", 10**16)
    scheduler.redo("a", "test")
    writer = stage.journal.open("r")
    _ = writer.append(10**16, scheduler.take()[0])
    writer.close()
    stage.actor.seen.clear()
    assert stage.resume().code == EXIT_OK
    assert stage.actor.started == ["a"]


def test_an_approval_that_comes_too_late_does_not_undo_a_cancel() -> None:
    stage = Stage(Actor(lambda work: "x", takes_s=10.0))
    loops: list[Loop] = []

    async def main() -> Outcome:
        plan = plan_of("limits: {parallel: 1}\ntasks:\n  a: {prompt: P}\n  b: {prompt: Q}\n")

        async def disturb() -> None:
            await asyncio.sleep(1)
            loops[0].post(loops[0]._asked, "cancel", {"by": "user"})
            loops[0].post(loops[0]._asked, "approve", {"approved_nusd": 1})

        options = Options(on="simulated", control=False)
        disturbance = asyncio.create_task(disturb())
        outcome = await run_plan(
            plan,
            options,
            stage.journal,
            Path("."),
            agents=stage.cast,
            run="r",
            started=lambda run, loop: loops.append(loop),
        )
        await disturbance
        return outcome

    outcome = in_virtual_time(main())
    assert outcome.status == "cancelled"
    assert stage.actor.started == ["a"]
    with pytest.raises(StrettoError, match="was cancelled"):
        stage.resume()


def test_a_view_that_breaks_does_not_take_the_run_with_it() -> None:
    class Broken:
        def saw(self, at_us: int, events: object) -> None:
            raise ValueError("no terminal")

    stage = Stage()
    plan = plan_of("tasks:\n  a: {prompt: P}\n")
    options = Options(on="simulated", control=False)
    running = run_plan(
        plan, options, stage.journal, Path("."), agents=stage.cast, run="r", observers=[Broken()]
    )
    assert in_virtual_time(running).code == EXIT_OK


def test_whoever_gives_up_on_a_run_leaves_no_agent_behind() -> None:
    stage = Stage(Actor(lambda work: "x", takes_s=200.0))

    async def main() -> int:
        plan = plan_of("tasks:\n  a: {prompt: P}\n")
        options = Options(on="simulated", control=False)
        running = run_plan(plan, options, stage.journal, Path("."), agents=stage.cast, run="r")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running, 10)
        return len(asyncio.all_tasks())

    assert in_virtual_time(main()) == 1
    outcome = in_virtual_time(
        resume_run("r", Options(control=False), stage.journal, Path("."), agents=stage.cast)
    )
    assert outcome.code == EXIT_OK


def test_what_another_try_cannot_change_is_not_tried_again() -> None:
    lost = Result("error", error="there is no such program", cls="task", final=True)
    stage = Stage(Actor(lambda work: lost))
    assert stage.run("tasks:\n  a: {run: [nowhere]}\n").code == EXIT_PROBLEM
    assert len(stage.actor.seen) == 1


def test_a_capped_run_refuses_a_model_without_a_price_before_it_starts() -> None:
    stage = Stage(messages=Actor(lambda work: "x"))
    text = "tasks:\n  a: {prompt: P, model: claude-nonexistent-9}\n"
    with pytest.raises(StrettoError) as caught:
        stage.run(text, on="messages", cap_nusd=10**9)
    assert caught.value.slug == "unpriced-model"
    assert stage.journal.runs() == []


def test_any_plan_name_makes_a_run() -> None:
    plan = plan_of("tasks:\n  a: {prompt: P}\n")
    for name in ("My audit", "pl än", "../../x", "--json", "数"):
        plan.name = name
        assert Stage().run(plan, run="").code == EXIT_OK


def test_an_impossible_move_comes_with_the_story_of_its_task() -> None:
    stage = Stage(Actor(lambda work: "x", takes_s=5.0))
    plan = plan_of("tasks:\n  a: {prompt: P}\n")

    def started(run: str, loop: Loop) -> None:
        asyncio.get_running_loop().call_later(
            1, loop.post, loop.scheduler._emit, ev.RetryPlanned("a", 2, 0, 0, "", "attempts")
        )

    options = Options(on="simulated", control=False)
    running = run_plan(plan, options, stage.journal, Path("."), agents=stage.cast, run="r", started=started)
    with pytest.raises(StrettoError) as caught:
        in_virtual_time(running)
    assert caught.value.slug == "bug" and caught.value.at == "a"
    assert "story: AttemptStarted(task='a', n=1" in caught.value.what
