"""An attempt that was interrupted is continued in its session; one that failed its task begins anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stretto import events as ev
from stretto.agents import CallRefused, Desk, Result, Work
from stretto.run import load_state
from stretto.scheduler.vertex import TaskVertex
from tests.stage import Stage

PLAN = "tasks: {a: {prompt: A, attempts: 3}}"


class Remembering:
    """An agent with sessions: binds a new one, or the one it is told to go on with; then does as told."""

    def __init__(self, *ends: Callable[[Work], Result]):
        self.ends = list(ends)
        self.given: list[str] = []

    async def run(self, work: Work, desk: Desk) -> Result:
        self.given.append(work.session)
        desk.bind(session=work.session or f"s{work.n}")
        return self.ends.pop(0)(work)


def done(work: Work) -> Result:
    return Result("ok", "fine")


def failed(work: Work) -> Result:
    return Result("error", error="no", cls="task")


def overloaded(work: Work) -> Result:
    return Result("error", error="later", cls="transient")


def quota(work: Work) -> Result:
    return Result("error", error="used up", cls="run", why="quota")


def refused(work: Work) -> Result:
    raise CallRefused("budget")


def runs(agent: Remembering, times: int) -> Stage:
    stage = Stage(simulated=agent)
    stage.run(PLAN)
    for _ in range(times - 1):
        stage.resume()
    return stage


@pytest.mark.parametrize(
    ("ends", "given"),
    [
        ([failed, done], ["", ""]),
        ([overloaded, done], ["", ""]),
        ([quota, done], ["", "s1"]),
        ([refused, done], ["", "s1"]),
        ([quota, quota, done], ["", "s1", "s1"]),
        ([quota, failed, quota, done], ["", "s1", "", "s3"]),
    ],
)
def test_who_is_told_to_go_on(ends: list[Callable[[Work], Result]], given: list[str]) -> None:
    agent = Remembering(*ends)
    stage = runs(agent, 1 + sum(end in (quota, refused) for end in ends))
    assert agent.given == given
    started = [row.event for row in stage.journal.read("r") if isinstance(row.event, ev.AttemptStarted)]
    assert [event.session for event in started] == given, "the journal says which attempts went on"


def test_a_lost_attempt_is_continued_and_an_invalidated_one_is_not() -> None:
    stage = runs(Remembering(done), 1)
    rows = [(row.event, row.at_us) for row in stage.journal.read("r")]
    _, scheduler = load_state(stage.journal, "r")
    begun = next(k for k, (event, _) in enumerate(rows) if isinstance(event, ev.AttemptBound))
    fresh = type(scheduler)(scheduler.state.plan)
    for event, at_us in rows[: begun + 1]:
        fresh.fold(event, at_us)
    fresh.resume(1, "", rows[-1][1])
    vertex = fresh.state.vertices["a"]
    assert isinstance(vertex, TaskVertex)
    assert vertex.session == "s1"
    scheduler.redo("a", "test")
    again = scheduler.state.vertices["a"]
    assert isinstance(again, TaskVertex) and again.session == ""
