"""The budget ledger through the pure scheduler: the cap holds after every event, over all crashes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.agents import Desk, Result, Work
from stretto.errors import StrettoError
from stretto.journal.memory import MemoryJournal
from stretto.plan.model import Limits, Plan, Task
from stretto.run.desk import AttemptDesk
from stretto.scheduler.schedule import Scheduler
from stretto.workspace.redact import Redactor
from tests.spending import Job
from tests.stage import Stage
from tests.worlds import begun, random_plan, replayed, snapshot

SEED = 20_261_121
PLANS = 1_000


def play(seed: int, *, capped: bool = False, folds: bool = False) -> Job:
    plan = random_plan(seed, size=8 + seed % 24, cancels=True)
    job = Job(seed, plan, capped=capped, folds=folds)
    state = job.play()
    assert snapshot(replayed(job.plan, job.world.log)) == snapshot(state)
    return job


@given(st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_the_cap_holds_after_every_event_of_a_random_job(seed: int) -> None:
    play(seed)


@given(st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_caps_of_tasks_and_groups_hold_after_every_event_too(seed: int) -> None:
    play(seed, capped=True)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_fold_is_the_live_state_after_every_commit(seed: int) -> None:
    play(seed, capped=True, folds=True)


def played(capsys: pytest.CaptureFixture[str], *, capped: bool) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(SEED, SEED + PLANS):
        total.update(play(seed, capped=capped).tally)
    with capsys.disabled():
        caps = "with caps of tasks and groups too, " if capped else ""
        print(
            f"\nledger, {caps}{PLANS} random plans from seed {SEED}:", json.dumps(dict(sorted(total.items())))
        )
    return total


# What a run of these two must have met, or it would prove little.


@pytest.mark.slow
def test_the_cap_holds_on_a_thousand_random_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    total = played(capsys, capped=False)
    assert total["calls"] > 5_000 and total["refused calls"] > 500 and total["paused (budget)"] > 300
    assert total["calls in flight at a crash"] > 150 and total["caps raised in flight"] > 25
    assert total["calls whose usage never came"] > 500 and total["stopped attempts"] > 50


@pytest.mark.slow
def test_all_caps_hold_on_a_thousand_random_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    total = played(capsys, capped=True)
    assert total["calls"] > 5_000 and total["tasks that used up a cap"] > 500 and total["shrunk calls"] > 10
    assert total["calls in flight at a crash"] > 150 and total["stopped before an attempt"] > 200
    assert total["paused (budget)"] > 300 and total["calls whose usage never came"] > 500


# Examples


class Desks:
    """A scheduler whose running attempts ask and settle by hand; each makes one call."""

    def __init__(self, cap_nusd: int, *tasks: str):
        plan = Plan(
            name="p",
            tasks=tuple(Task(id=id, call="m:f") for id in tasks),
            limits=Limits(parallel=len(tasks)),
        )
        self.scheduler = Scheduler(plan)
        self.ledger = self.scheduler.state.ledger
        self.scheduler.start(begun(plan, cap_nusd=cap_nusd), 0)
        for vertex in self.scheduler.picks():
            self.scheduler.begin(vertex, self.scheduler.choice(vertex))
        self.scheduler.take()

    def ask(self, task: str, nusd: int) -> list[tuple[str, bool]]:
        self.scheduler.call_asked(f"{task}#1", 1, nusd)
        return self.answers()

    def settle(self, task: str, nusd: int, *, certain: bool = True) -> list[tuple[str, bool]]:
        self.scheduler.call_done(ev.CallSettled(f"{task}#1", 1, "m", {}, nusd, certain))
        return self.answers()

    def answers(self) -> list[tuple[str, bool]]:
        commands = self.scheduler.take()[1]
        return [(c.attempt[0], c.granted) for c in commands if isinstance(c, ev.Answer)]

    @property
    def why(self) -> str:
        paused = self.scheduler.state.paused
        return paused.why if paused is not None else ""


def test_a_large_call_waits_for_others_to_settle_and_is_not_overtaken() -> None:
    desks = Desks(100, "a", "b", "c")
    assert desks.ask("a", 60) == [("a", True)]
    assert desks.ask("b", 70) == []
    assert desks.ask("c", 10) == [], "it would fit, but b was first"
    assert desks.settle("a", 20) == [("b", True), ("c", True)]
    assert desks.why == ""


def test_what_cannot_fit_when_nothing_is_in_flight_is_refused_and_what_can_is_not() -> None:
    desks = Desks(100, "a", "b", "c")
    assert desks.ask("a", 60) == [("a", True)]
    assert desks.ask("b", 70) == desks.ask("c", 40) == []
    assert sorted(desks.settle("a", 60)) == [("b", False), ("c", True)]
    paused = desks.scheduler.state.paused
    assert paused is not None and (paused.why, paused.need_nusd) == ("budget", 70)


def test_a_cap_of_nothing_lets_calls_through_that_cost_nothing() -> None:
    desks = Desks(0, "a", "b")
    assert desks.ask("a", 0) == [("a", True)]
    assert desks.ask("b", 1) == [("b", False)]


def test_the_end_of_an_attempt_frees_its_place_in_the_queue_and_holds_what_it_never_settled() -> None:
    desks = Desks(100, "a", "b", "c")
    assert desks.ask("a", 50) == [("a", True)]
    assert desks.ask("b", 60) == desks.ask("c", 50) == []
    desks.scheduler.ended(ev.AttemptEnded("b", 1, "idle", "task"))
    assert desks.answers() == [("c", True)]
    desks.scheduler.ended(ev.AttemptEnded("a", 1, "error", "transient", "cut"))
    assert (desks.ledger.spent_nusd, desks.ledger.held_nusd, desks.ledger.reserved_nusd) == (0, 50, 50)


def test_a_higher_cap_answers_who_waits_at_once() -> None:
    desks = Desks(100, "a", "b")
    assert desks.ask("a", 60) == [("a", True)]
    assert desks.ask("b", 60) == []
    desks.scheduler.proceed("approve", 120)
    assert desks.answers() == [("b", True)]


def test_a_call_that_breaks_its_bound_stops_the_run() -> None:
    desks = Desks(100, "a")
    desks.ask("a", 60)
    desks.settle("a", 101)
    assert desks.why == "budget"


# Through the real loop


class Calling:
    """An agent that reserves after a while, and then works for a while."""

    def __init__(self, before_s: float, after_s: float, nusd: int):
        self.before_s, self.after_s, self.nusd = before_s, after_s, nusd
        self.sent = 0

    async def run(self, work: Work, desk: Desk) -> Result:
        await asyncio.sleep(self.before_s)
        if work.task == "free":
            return Result("ok", "nothing")
        grant = await desk.reserve(self.nusd, 1, 1)
        self.sent += 1
        await asyncio.sleep(self.after_s)
        desk.settle(grant.call, "m", {"output": 1}, self.nusd)
        return Result("ok", "done")


class SlowDisk(MemoryJournal):
    """Commits take a second."""

    def create(self, run: str, plan_name: str) -> Any:
        writer: Any = super().create(run, plan_name)
        at_once = writer.append

        def append(at_us: int, events: Sequence[ev.Event], *more: Any) -> Awaitable[None]:
            async def late() -> None:
                await asyncio.sleep(1.0)
                await at_once(at_us, events, *more)

            return late()

        writer.append = append
        return writer


def test_a_call_that_was_never_sent_is_not_held() -> None:
    """It asks and is stopped while the loop waits for the disk, so both arrive in one turn."""
    agent = Calling(0.5, 1.0, 50)
    stage = Stage(journal=SlowDisk(), messages=agent)
    text = "tasks:\n  a: {prompt: A, attempts: 1, timeout: 600ms}\n  free: {call: 'm:f'}\n"
    stage.cast.agents["function"] = Calling(0.4, 0.0, 0)
    ledger = stage.run(text, on="messages", cap_nusd=100).state.ledger
    assert agent.sent == 0
    assert (ledger.spent_nusd, ledger.held_nusd, ledger.reserved_nusd) == (0, 0, 0)


def test_a_cap_below_what_died_in_flight_is_refused() -> None:
    """What was reserved when the process died is held from the first moment of the resume."""
    whole = Stage(messages=Calling(0.0, 1.0, 50))
    whole.run("tasks:\n  a: {prompt: A}\n", on="messages", cap_nusd=100)
    rows = list(whole.journal.read("r"))
    first = rows[0].event
    assert isinstance(first, ev.RunStarted)
    dead = Stage(messages=Calling(0.0, 1.0, 50))
    writer = dead.journal.create("r", "test")
    for row in rows:
        _ = writer.append(row.at_us, [row.event], [(first.plan, whole.journal.blob(first.plan))])
        if isinstance(row.event, ev.CallReserved):
            break
    writer.close()
    with pytest.raises(StrettoError) as caught:
        dead.resume(cap_nusd=49)
    assert caught.value.slug == "cap-too-low"
    ledger = dead.resume(cap_nusd=100).state.ledger
    assert (ledger.spent_nusd, ledger.held_nusd) == (50, 50)


def test_a_transcript_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    class Full:
        """A house whose transcripts cannot be made, as on a full or a read-only disk."""

        redactor = Redactor({})

        def transcript(self, task: str) -> Path:
            raise OSError(28, "No space left on device")

    house: Any = Full()
    AttemptDesk(house, "a", 1).note({"kind": "text"})
    house.transcript = lambda task: tmp_path
    AttemptDesk(house, "a", 1).note({"kind": "text"})
    assert list(tmp_path.iterdir()) == []
