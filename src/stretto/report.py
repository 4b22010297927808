"""Folds a journal into what happened, what it cost, and what is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from stretto import events as ev
from stretto.agents.registry import free
from stretto.errors import StrettoError
from stretto.journal import Journal, Row
from stretto.plan.model import Plan, plan_from_data
from stretto.scheduler.invalidate import needed
from stretto.scheduler.schedule import MODELLESS
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    BACKOFF,
    CANCELLED,
    FAILED,
    SETTLED,
    SKIPPED,
    STATES,
    SUCCEEDED,
    GroupVertex,
    TaskVertex,
    Vertex,
    good,
)
from stretto.workspace.root import task_folder

SCHEMA = "stretto/run/1"
NUSD = 1_000_000_000
"""Agents that no named model answers for: `local` asks the one there is, whatever a task names."""
INTERRUPTED = "interrupted"
"""What `running` is called when the process that ran it is gone."""


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
        """The last attempt that did the work itself, not a check."""
        return next((t for t in reversed(self.tries) if t.role != "check"), None)

    @property
    def attempts(self) -> int:
        return sum(t.role != "check" for t in self.tries)


class History:
    """One run as its journal tells it: the state, and the story of each task."""

    def __init__(self, run: str, plan: Plan):
        self.run = run
        self.plan = plan
        self.state = State(plan)
        self.stories: dict[str, Story] = {}
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
                story = self.story(event.task)
                story.tries.append(Try(event.n, event.role, event.agent, event.model, at_us))
                if event.role != "check":
                    story.prompt = event.prompt
            case ev.AttemptEnded():
                story = self.story(event.task)
                for k in range(len(story.tries) - 1, -1, -1):
                    if story.tries[k].n == event.n:
                        story.tries[k] = story.tries[k]._replace(
                            ended_us=at_us, outcome=event.outcome, error=event.error
                        )
                        break
            case ev.CallReserved():
                self._reserved[event.attempt, event.call] = event.nusd
            case ev.CallSettled():
                self._settled(event)
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

    def _settled(self, event: ev.CallSettled) -> None:
        story = self.story(event.attempt.rpartition("#")[0])
        bound = self._reserved.pop((event.attempt, event.call), 0)
        if event.status == "not sent":
            return
        story.calls += 1
        if event.usage:
            story.usages.append(event.usage)
        last = story.tries[-1] if story.tries else None
        # A call whose bound was nothing, of an agent that sends bills: its price is not known.
        if not bound and last is not None and not free(last.agent):
            story.unpriced = True

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


# As data


def dollars(nusd: int | None) -> float | None:
    """Dollars as a JSON number; exact to the nano-dollar up to a million dollars."""
    return None if nusd is None else nusd / NUSD


def data_of(history: History, live: bool, outputs: dict[str, str]) -> dict[str, Any]:
    """The one JSON form of a run; `outputs` maps a task to the path of a file with its output."""
    state, ledger = history.state, history.state.ledger
    paused = state.paused
    unpriced = history.unpriced
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "run": history.run,
        "plan": history.plan.name,
        "status": status_of(history, live),
        "why": paused.why if paused is not None else "",
        "usd": None if unpriced else dollars(ledger.spent_nusd),
        "usd_held": dollars(ledger.held_nusd),
        "usd_cap": dollars(ledger.cap_nusd),
        "saved_usd": dollars(state.saved_nusd),
        "seconds": round(history.seconds, 3),
        "tokens": history.tokens,
        "tasks": [_task_data(history, vertex, outputs) for vertex in tasks_of(history.state)],
    }
    if unpriced:
        data["unpriced"] = True
        data["usd_known"] = dollars(ledger.spent_nusd)
    return data


def _task_data(history: History, vertex: TaskVertex, outputs: dict[str, str]) -> dict[str, Any]:
    story = history.stories.get(vertex.id) or Story()
    spent, held = history.state.task_nusd.get(vertex.id, (0, 0))
    work = story.work
    kind = work.agent.partition(":")[0] if work is not None else ""
    data: dict[str, Any] = {
        "id": vertex.id,
        "state": STATES[vertex.state],
        "agent": kind or None,
        "model": None if work is None or kind in MODELLESS else work.model or None,
        "attempts": story.attempts,
        "usd": None if story.unpriced else dollars(spent),
        "seconds": round(vertex.seconds, 3),
        "output_path": outputs.get(vertex.id),
        "error": error_of(history, vertex) or None,
    }
    if held:
        data["usd_held"] = dollars(held)
    if story.unpriced:
        data["unpriced"] = True
    if story.source:
        data["source"] = story.source
        data["saved_usd"] = dollars(story.saved_nusd)
    return data


def materialise(
    journal: Journal, folder: Path, history: History, only: Iterable[str] | None = None
) -> dict[str, str]:
    """Writes the output of every task that succeeded into `folder/tasks/ID/output.txt` or `.json`.

    Returns the paths by task. A file that cannot be written is left out: no path is named that is not there.
    """
    paths: dict[str, str] = {}
    wanted = None if only is None else set(only)
    for vertex in tasks_of(history.state):
        if vertex.state != SUCCEEDED or (wanted is not None and vertex.id not in wanted):
            continue
        ending = "txt" if vertex.task.output_kind == "text" else "json"
        path = task_folder(folder, vertex.id) / f"output.{ending}"
        with contextlib.suppress(OSError):
            data = journal.blob(vertex.output)
            if not _has(path, data):
                _write(path, data)
            paths[vertex.id] = str(path)
    return paths


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    """In one move, because two commands may write the same output at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(opened, "wb") as file:
            file.write(data)
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise


# What is left


class Rest(NamedTuple):
    """What a resume has before it: counts of tasks, and what they will cost by what siblings have cost."""

    kept: int
    redone: list[str]
    """Tasks that were running when the process ended, or that were asked for anew."""
    waiting: int
    growing: list[str]
    """Groups whose members are not known yet: their tasks are in no count."""
    nusd: int | None
    """None: unknown, because no task of the same kind has ended yet."""
    unknown: int
    """How many tasks have no sibling to go by."""


def rest_of(state: State, redone: Iterable[str] = ()) -> Rest:
    """What is left of a run: the price of a task is the mean of its settled siblings, else unknown."""
    again = set(redone)
    sums: dict[object, list[int]] = {}
    left: list[TaskVertex] = []
    kept = 0
    for vertex in tasks_of(state):
        cost = state.task_nusd.get(vertex.id, (0, 0))
        if vertex.state >= SETTLED:
            kept += vertex.state == SUCCEEDED
            if vertex.n:
                sums.setdefault(vertex.element, []).append(cost[0] + cost[1])
        else:
            left.append(vertex)
            if vertex.n:
                again.add(vertex.id)
    growing = [
        v.id for v in state.vertices.values() if isinstance(v, GroupVertex) and v.grown and not v.complete
    ]
    nusd, unknown = 0, 0
    for vertex in left:
        paid = sums.get(vertex.element)
        if _costs_nothing(state, vertex):
            continue
        if paid:
            nusd += -(-sum(paid) // len(paid))
        else:
            unknown += 1
    names = [vertex.id for vertex in left if vertex.id in again]
    known = not unknown and not growing
    return Rest(kept, names, len(left) - len(names), growing, nusd if known else None, unknown)


def _costs_nothing(state: State, vertex: TaskVertex) -> bool:
    started = state.started
    task = vertex.task
    agent = task.on or (started.on if started is not None else "")
    judged = task.check is not None and task.check.prompt
    return not judged and (task.action != "prompt" or free(agent))


# The critical path


def critical_path(history: History) -> list[tuple[str, float]]:
    """The chain of tasks that the run's length came from, first to last, with the seconds each took.

    Walked backwards from the task that ended last: of what each waited for, what ended last.
    """
    ends: dict[Vertex, tuple[int, TaskVertex | None]] = {}
    state = history.state
    path: list[tuple[str, float]] = []
    here = _last(history, list(state.root.members), ends)
    while here is not None:
        path.append((here.id, here.seconds))
        waited: list[Vertex] = []
        vertex: Vertex | None = here
        while vertex is not None and vertex is not state.root:
            waited.extend(needed(state.vertices, vertex))
            vertex = vertex.owner
        here = _last(history, waited, ends)
        if here is not None and any(here.id == id for id, _ in path):
            break
    return path[::-1]


def _last(
    history: History, among: list[Vertex], ends: dict[Vertex, tuple[int, TaskVertex | None]]
) -> TaskVertex | None:
    found = max((_end(history, vertex, ends) for vertex in among), key=lambda e: e[0], default=(0, None))
    return found[1]


def _end(
    history: History, vertex: Vertex, ends: dict[Vertex, tuple[int, TaskVertex | None]]
) -> tuple[int, TaskVertex | None]:
    """When a vertex ended, and which of its tasks ended last."""
    known = ends.get(vertex)
    if known is not None:
        return known
    ended: tuple[int, TaskVertex | None]
    if isinstance(vertex, TaskVertex):
        story = history.stories.get(vertex.id)
        ended = (story.ended_us, vertex) if story is not None and story.ended_us else (0, None)
    else:
        last = [_end(history, member, ends) for member in vertex.members]
        ended = max(last, key=lambda e: e[0], default=(0, None))
    ends[vertex] = ended
    return ended
