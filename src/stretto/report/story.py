"""One run as its journal tells it: the state, and the story of each task."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from stretto import events as ev
from stretto.agents.registry import free
from stretto.errors import StrettoError
from stretto.journal import Journal, Row
from stretto.plan.model import Plan, plan_from_data
from stretto.report.bill import NOT_SENT, Bill
from stretto.scheduler.invalidate import needed
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    BACKOFF,
    CANCELLED,
    FAILED,
    SKIPPED,
    SUCCEEDED,
    GroupVertex,
    TaskVertex,
    Vertex,
    good,
)

INTERRUPTED = "interrupted"
"""What `running` is called when the process that ran it is gone."""


JUDGES = frozenset({"check", "shadow"})
"""Roles of attempts that judge what others have done."""


class Try(NamedTuple):
    """One attempt as it went; `outcome` is empty while it is running."""

    n: int
    role: str
    agent: str
    model: str
    started_us: int
    ended_us: int = 0
    outcome: str = ""
    error: str = ""
    rung: int = 0
    effort: str = ""
    why: str = ""
    """Why this one was asked, in a few words."""
    choice: str = ""
    """sha of the blob with the decision record; empty where nothing was to decide."""


class Planned(NamedTuple):
    """A plan that a planner wrote, as it joined the run."""

    group: str
    by: str
    """The attempt whose answer it is."""
    depth: int
    tasks: int
    expected_nusd: int | None
    noted: list[str]
    """What the critic says of it."""


class Story:
    """What the journal says about one task beyond its state."""

    __slots__ = (
        "calls",
        "ended_us",
        "prompt",
        "saved_nusd",
        "source",
        "tries",
        "unpriced",
        "usages",
        "why",
    )

    def __init__(self) -> None:
        self.tries: list[Try] = []
        self.calls = 0
        self.usages: list[dict[str, int]] = []
        self.unpriced = False
        """True when a call of it was sent whose price nobody knows."""
        self.prompt = ""
        self.source = ""
        self.saved_nusd = 0
        self.ended_us = 0
        self.why = ""

    @property
    def work(self) -> Try | None:
        """The last attempt that did the work itself."""
        return next((t for t in reversed(self.tries) if t.role not in JUDGES), None)

    @property
    def attempts(self) -> int:
        return sum(t.role not in JUDGES for t in self.tries)

    def numbered(self, n: int) -> Try | None:
        return next((t for t in reversed(self.tries) if t.n == n), None)


class History:
    """One run as its journal tells it: the state, and the story of each task."""

    def __init__(self, run: str, plan: Plan):
        self.run = run
        self.plan = plan
        self.state = State(plan)
        self.stories: dict[str, Story] = {}
        self.bill = Bill()
        self.planned: list[Planned] = []
        self.spans: dict[str, tuple[float, float]] = {}
        """Of each top-level part: when its first attempt started and its last one ended, in `seconds`."""
        self.started_us = 0
        self.last_us = 0
        self.seq = 0
        self._session_us = 0
        self._before_us = 0
        self._reserved: dict[tuple[str, int], int] = {}

    @property
    def seconds(self) -> float:
        """How long a process was at it: the time between an interruption and a resume does not count."""
        return (self._before_us + self.last_us - self._session_us) / 1e6

    def story(self, task: str) -> Story:
        found = self.stories.get(task)
        if found is None:
            found = self.stories[task] = Story()
        return found

    def apply(self, row: Row) -> None:
        event, at_us = row.event, row.at_us
        if not self.seq:
            self.started_us = self._session_us = self.last_us = at_us
        if isinstance(event, ev.RunResumed):
            self._before_us += self.last_us - self._session_us
            self._session_us = at_us
        self.seq, self.last_us = row.seq, at_us
        self._tell(event, at_us)
        self.state.apply(event, at_us)
        # A reader starts nothing: what became possible is left for whoever drives the run.
        self.state.ready.clear()
        self.state.growing.clear()
        self.state.closing.clear()

    def _tell(self, event: ev.Event, at_us: int) -> None:
        match event:
            case ev.AttemptStarted():
                self._began(event, at_us)
            case ev.AttemptEnded():
                story = self.story(event.task)
                self._spans(event.task)
                for k in range(len(story.tries) - 1, -1, -1):
                    if story.tries[k].n == event.n:
                        story.tries[k] = story.tries[k]._replace(
                            ended_us=at_us, outcome=event.outcome, error=event.error
                        )
                        break
            case ev.PlanGrew() if event.tasks:
                count, nusd, noted = event.planned, event.expected_nusd, event.noted
                self.planned.append(Planned(event.group, event.cause, event.depth, count, nusd, noted))
            case ev.CallReserved():
                self._reserved[event.attempt, event.call] = event.nusd
            case ev.CallSettled():
                self._settled(event)
            case ev.HoldReleased():
                self.bill.released(event)
            case ev.TaskSucceeded():
                story = self.story(event.task)
                story.ended_us = at_us
                story.source = event.source
                story.saved_nusd = event.saved_nusd or 0
            case ev.TaskFailed() | ev.TaskCancelled():
                story = self.story(event.task)
                story.ended_us = at_us
                story.why = event.why if isinstance(event, ev.TaskFailed) else event.by
            case ev.TaskInvalidated():
                story = self.story(event.task)
                story.source, story.saved_nusd, story.why = "", 0, ""
            case _:
                pass

    def _began(self, event: ev.AttemptStarted, at_us: int) -> None:
        story = self.story(event.task)
        story.tries.append(
            Try(
                event.n,
                event.role,
                event.agent,
                event.model,
                at_us,
                rung=event.rung,
                effort=event.effort,
                why=event.why,
                choice=event.choice,
            )
        )
        if event.role not in JUDGES:
            story.prompt = event.prompt
        self._spans(event.task)

    def _spans(self, task: str) -> None:
        part = task.partition(".")[0]
        now = self.seconds
        self.spans[part] = (self.spans.get(part, (now, now))[0], now)

    def _settled(self, event: ev.CallSettled) -> None:
        task, _, n = event.attempt.rpartition("#")
        story = self.story(task)
        bound = self._reserved.pop((event.attempt, event.call), 0)
        by = story.numbered(int(n))
        sent = event.status != NOT_SENT
        # A call whose bound was nothing, of an agent that sends bills: its price is not known.
        unpriced = sent and not bound and by is not None and not free(by.agent)
        role, agent, model = (by.role, by.agent, by.model) if by is not None else ("work", "", "")
        # Of a call that was lost nobody said which model it had reached.
        asked = event if event.model else event._replace(model=model)
        self.bill.settled(asked, role, agent, unpriced=unpriced)
        if not sent:
            return
        story.calls += 1
        if event.usage:
            story.usages.append(event.usage)
        story.unpriced = story.unpriced or unpriced

    @property
    def usages(self) -> Iterable[dict[str, int]]:
        for story in self.stories.values():
            yield from story.usages

    @property
    def unpriced(self) -> bool:
        return any(story.unpriced for story in self.stories.values())

    @property
    def tokens(self) -> dict[str, int]:
        """Measured tokens of all calls by price class."""
        total: dict[str, int] = {}
        for usage in self.usages:
            for name, count in usage.items():
                total[name] = total.get(name, 0) + count
        return total


def read(journal: Journal, run: str) -> History:
    """The history of a run up to now. Raises `no-such-run`."""
    history = begin(journal, run)
    for row in journal.read(run, history.seq):
        history.apply(row)
    return history


def begin(journal: Journal, run: str) -> History:
    """The history of a run with its first event alone. Raises `no-such-run`."""
    first = next(iter(journal.read(run)), None)
    if first is None or not isinstance(first.event, ev.RunStarted):
        raise StrettoError("no-such-run", f"there is no run {run!r}", next="`stretto ls` lists the runs")
    plan = plan_from_data(json.loads(journal.blob(first.event.plan)))
    history = History(run, plan)
    history.apply(first)
    return history


def status_of(history: History, live: bool) -> str:
    """running, paused, interrupted, succeeded, failed or cancelled."""
    status = history.state.status
    gone = status == "running" and not live
    return INTERRUPTED if gone or (status == "paused" and history.state.live and not live) else status


def tasks_of(state: State) -> list[TaskVertex]:
    """Every task of a run in plan order; items where their each stands."""
    found: list[TaskVertex] = []
    stack: list[Vertex] = list(reversed(state.root.members))
    while stack:
        vertex = stack.pop()
        if isinstance(vertex, TaskVertex):
            found.append(vertex)
        else:
            stack.extend(reversed(vertex.members))
    return found


def error_of(history: History, vertex: Vertex) -> str:
    """Why a vertex did not succeed; for what was skipped, because of whom."""
    if vertex.state == SKIPPED:
        return _skipped_for(history, vertex)
    if vertex.state <= SUCCEEDED and vertex.state != BACKOFF:
        return ""
    if isinstance(vertex, TaskVertex) and vertex.error:
        return vertex.error
    if isinstance(vertex, GroupVertex) and vertex.why:
        return vertex.why
    story = history.stories.get(vertex.id)
    return story.why if story is not None else ""


def _skipped_for(history: History, vertex: Vertex) -> str:
    """The need that keeps a vertex, or the group it stands in, from ever starting."""
    vertices = history.state.vertices
    here: Vertex | None = vertex
    while here is not None and here.element is not None:
        for target in needed(vertices, here):
            if target.state > SUCCEEDED and not good(target):
                return f"needs {target.id}, which {_ENDS[target.state]}"
        here = here.owner
        if here is not None and here.state == FAILED:
            return f"{here.id} failed" if here.id else ""
    return ""


_ENDS = {FAILED: "failed", SKIPPED: "was skipped", CANCELLED: "was cancelled"}
