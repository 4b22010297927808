"""The durable state of a run: the fold of its events, equal to the live state at every prefix."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from stretto import events as ev
from stretto.errors import bug
from stretto.plan import graph as graphs
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Group, Plan, Task, part_from_data, planned_by
from stretto.scheduler.branches import isolates, result_element
from stretto.scheduler.invalidate import invalidate
from stretto.scheduler.ledger import Account, Ledger, caps_of
from stretto.scheduler.mending import told_of_collision
from stretto.scheduler.vertex import (
    BACKOFF,
    CANCELLED,
    CHECKING,
    FAILED,
    READY,
    RESULT,
    RUNNING,
    SKIPPED,
    STATES,
    SUCCEEDED,
    WAITING,
    GroupVertex,
    Meter,
    Scope,
    Tally,
    TaskVertex,
    Vertex,
    good,
    target_of,
)

ERROR_CHARS = 500
"""How much of an error's text the state keeps; the whole stands in the journal."""


class State:
    """Folds events one by one. `ready`, `growing` and `closing` collect what an event made possible.

    Whoever drives the run drains those three lists; a mere reader leaves them alone. Any event that the
    state table does not allow raises `bug`.
    """

    def __init__(self, plan: Plan, graph: Graph | None = None):
        self.plan = plan
        self.graph = graph or graphs.build(plan)
        self.started: ev.RunStarted | None = None
        self.status = "created"
        """created, running, paused, succeeded, failed, cancelled."""
        self.paused: ev.RunPaused | None = None
        self.approved_nusd: int | None = None
        self.deadline_us: int | None = None
        self.ledger = Ledger()
        self._capped = any(_has_cap(element.part) for element in self.graph.elements.values())
        self._accounts: dict[str, tuple[Account, ...]] = {}
        self.task_nusd: dict[str, list[int]] = {}
        """[spent, held] of each task that made a call."""
        self.saved_nusd = 0
        self.switched: list[ev.TierSwitched] = []
        self.live: dict[str, TaskVertex] = {}
        """Running attempts by `task#n`."""
        self.meters: dict[str, Meter] = {}
        """What each running attempt that asks a model, or that will be checked, has taken so far."""
        self.bound: dict[str, ev.AttemptBound] = {}
        """What a resume needs to find the running attempts again: a pid, a session."""
        self.rows: dict[str, Tally] = {}
        self.vertices: dict[str, Vertex] = {}
        self.redone: set[str] = set()
        """Tasks that `--redo` named and that have not succeeded since: no kept result will do for them."""
        self.ready: list[TaskVertex] = []
        self.growing: deque[GroupVertex] = deque()
        self.closing: deque[GroupVertex] = deque()
        self.root = GroupVertex("", None, Scope(None, "", None), None, None)
        self.root.inner = self.root.scope
        self.root.open = True
        self._do: dict[type[Any], Callable[[Any, int], None]] = {
            kind: getattr(self, f"_{name}") for name, kind in ev.KINDS.items()
        }
        self._place_plan()

    def apply(self, event: ev.Event, at_us: int) -> None:
        """Folds one event that happened at this time."""
        self._do[type(event)](event, at_us)

    def accounts(self, task: str) -> tuple[Account, ...]:
        """The capped accounts that a task's calls count against beside the run's, the nearest first."""
        if not self._capped:
            return ()
        found = self._accounts.get(task)
        if found is None:
            vertex = self.vertices[task]
            assert isinstance(vertex, TaskVertex)
            found = tuple(self.ledger.account(id, cap) for id, cap in caps_of(vertex))
            self._accounts[task] = found
        return found

    # Making vertices

    def _place_plan(self) -> None:
        new: list[Vertex] = []
        for element in self.graph.roots.values():
            row = self.rows[element.part.id] = Tally(element.part.id, element)
            self.root.members.append(self._place(element, self.root.scope, self.root, row, new))
        self.root.left = len(self.root.members)
        self._wire(new)

    def _place(
        self, element: Element, scope: Scope, owner: GroupVertex, row: Tally, new: list[Vertex], id: str = ""
    ) -> Vertex:
        id = id or scope.prefix + element.part.id
        part = element.part
        vertex: Vertex
        if element.grows:
            vertex = GroupVertex(id, element, scope, owner, row)
            vertex.grown = True
            vertex.complete = False
        elif isinstance(part, Group):
            vertex = self._place_group(id, element, Scope(element, id + ".", scope), scope, owner, row, new)
        else:
            vertex = TaskVertex(id, element, part, scope, owner, row)
            row.counts[WAITING] += 1
            row.total += 1
        self.vertices[id] = vertex
        new.append(vertex)
        return vertex

    def _place_group(
        self,
        id: str,
        element: Element,
        inner: Scope,
        scope: Scope,
        owner: GroupVertex,
        row: Tally,
        new: list[Vertex],
    ) -> GroupVertex:
        group = GroupVertex(id, element, scope, owner, row)
        group.inner = inner
        for member in element.members.values():
            group.members.append(self._place(member, inner, group, row, new))
        group.left = len(group.members)
        return group

    def _wire(self, new: list[Vertex]) -> None:
        """Counts what each new vertex waits for, then starts what waits for nothing."""
        doomed: list[Vertex] = []
        for vertex in new:
            owner = vertex.owner
            assert owner is not None and vertex.element is not None
            if not owner.open:
                vertex.wait += 1
            if owner.grown and owner.element is vertex.element:
                continue  # an item: the needs are those of its each, and they are satisfied
            for need in vertex.element.needs:
                target = self.vertices[target_of(need, vertex.scope)]
                if target.state < SUCCEEDED:
                    vertex.wait += 1
                    _add_below(target, vertex)
                elif not good(target):
                    vertex.wait += 1  # never counted down: skipping another must not release this one
                    doomed.append(vertex)
        for vertex in doomed:
            self._skip(vertex)
        for vertex in new:
            if vertex.wait == 0:
                self._release(vertex)

    def _grow_items(self, group: GroupVertex, first: int, items: list[Any]) -> list[Vertex]:
        """One member per item: a task `files.3`, or a join `files.3` over `files.3.scan` and its siblings."""
        element, row = group.element, group.row
        assert element is not None and row is not None
        new: list[Vertex] = []
        part = element.part
        for index, item in enumerate(items, first):
            id = f"{group.id}.{index}"
            scope = Scope(element, id + ".", group.scope, item, index)
            member: Vertex
            if isinstance(part, Task):
                member = TaskVertex(id, element, part, scope, group, row)
                row.counts[WAITING] += 1
                row.total += 1
            else:
                member = self._place_group(id, element, scope, group.scope, group, row, new)
            self.vertices[id] = member
            new.append(member)
            group.members.append(member)
        group.left += len(items)
        return new

    def _grow_reduce(self, group: GroupVertex, parts: int) -> list[Vertex]:
        """A tree of calls `merge.r1.0 ...` until one is left; `item` holds (round, first part, end)."""
        element, row = group.element, group.row
        assert element is not None and row is not None and isinstance(element.part, Task)
        fan_in = max(2, element.part.fan_in)
        new: list[Vertex] = []
        before: list[TaskVertex] = []
        round_, count = 1, parts
        while True:
            now: list[TaskVertex] = []
            for k in range(max(1, -(-count // fan_in))):
                first, end = k * fan_in, min(count, (k + 1) * fan_in)
                id = f"{group.id}.r{round_}.{k}"
                scope = Scope(element, id + ".", group.scope, (round_, first, end), k)
                vertex = TaskVertex(id, element, element.part, scope, group, row)
                row.counts[WAITING] += 1
                row.total += 1
                self.vertices[id] = vertex
                for below in before[first:end]:
                    vertex.wait += 1
                    _add_below(below, vertex)
                now.append(vertex)
            new.extend(now)
            if len(now) == 1:
                break
            before, count, round_ = now, len(now), round_ + 1
        group.members.extend(new)
        group.left += len(new)
        return new

    def _grow_plan(self, group: GroupVertex, tasks: list[Any]) -> list[Vertex]:
        """The tasks that a planner wrote, under a element of their own: two planners may write two plans."""
        old, row = group.element, group.row
        assert old is not None and row is not None
        element = Element(old.part, old.owner, old.path, old.index, members={}, needs=old.needs)
        element.tail_s = old.tail_s
        parts = tuple(part_from_data(data) for data in tasks)
        graph = graphs.grow(element, parts, self.plan)
        if graph.problems:
            raise bug(f"a grown plan does not resolve: {graph.problems[0].message}")
        group.element = element
        new: list[Vertex] = []
        group.inner = Scope(element, group.id + ".", group.scope)
        for member in element.members.values():
            group.members.append(self._place(member, group.inner, group, row, new))
        group.left += len(element.members)
        return new

    def _place_result(self, on: str) -> None:
        """The last vertex of a run with worktrees; it waits for the end of all others, however that is."""
        if RESULT in self.vertices or not isolates(self.plan, on):
            return
        element = result_element(len(self.graph.elements))
        row = self.rows[RESULT] = Tally(RESULT, element)
        vertex = self._place(element, self.root.scope, self.root, row, [])
        vertex.wait = 1
        self.root.members.append(vertex)
        self.root.left += 1

    def _release_result(self) -> None:
        result = self.vertices.get(RESULT)
        if self.root.left == 1 and result is not None and result.state == WAITING:
            result.wait = 0
            self._release(result)

    # Moves

    def _set(self, vertex: Vertex, state: int) -> None:
        if isinstance(vertex, TaskVertex):
            counts = vertex.row.counts
            counts[vertex.state] -= 1
            counts[state] += 1
        vertex.state = state

    def _release(self, vertex: Vertex) -> None:
        """Everything it waited for is there: a task is ready, a group opens."""
        stack = [vertex]
        while stack:
            vertex = stack.pop()
            if vertex.state != WAITING or vertex.wait:
                continue
            if isinstance(vertex, TaskVertex):
                self._set(vertex, READY)
                self.ready.append(vertex)
            elif not vertex.open:
                vertex.open = True
                if vertex.grown:
                    self.growing.append(vertex)
                for member in vertex.members:
                    member.wait -= 1
                    if not member.wait:
                        stack.append(member)

    def _skip(self, vertex: Vertex) -> None:
        if vertex.state == WAITING:
            self._end(vertex, SKIPPED)

    def _end(self, vertex: Vertex, state: int) -> None:
        """Settles a vertex and everything that follows from it: starts, skips, closed groups."""
        self._set(vertex, state)
        stack = [vertex]
        while stack:
            vertex = stack.pop()
            fine = good(vertex)
            if vertex.below:
                for other in vertex.below:
                    if other.state != WAITING:
                        continue
                    if fine:
                        other.wait -= 1
                        if not other.wait:
                            self._release(other)
                    else:
                        self._set(other, SKIPPED)
                        stack.append(other)
            if isinstance(vertex, GroupVertex) and vertex.state > SUCCEEDED:
                for member in vertex.members:
                    if member.state == WAITING:
                        self._set(member, SKIPPED)
                        stack.append(member)
            self._count(vertex, fine, stack)

    def _count(self, vertex: Vertex, fine: bool, stack: list[Vertex]) -> None:
        owner = vertex.owner
        if owner is None or vertex.counted:
            return
        vertex.counted = True
        owner.left -= 1
        if vertex.state == SUCCEEDED:
            owner.ok += 1
        elif not fine:
            owner.failed += 1
        if owner is self.root:
            self._release_result()
            return
        if owner.state >= SUCCEEDED:
            return
        element = owner.element
        assert element is not None
        quorum = element.part.quorum
        if owner.grown or (quorum is not None and element.part.each is None):
            early = quorum is not None and quorum.cancel_rest and owner.ok == quorum.min_ok
            if (owner.left == 0 and owner.complete) or early:
                self.closing.append(owner)
        elif owner.left == 0:
            self._set(owner, FAILED if owner.failed else SUCCEEDED)
            stack.append(owner)

    def _task(self, id: str, event: ev.Event, *states: int) -> TaskVertex:
        vertex = self.vertices.get(id)
        if not isinstance(vertex, TaskVertex):
            raise bug(f"{type(event).__name__} names {id!r}, which is no task of this run")
        if vertex.state not in states:
            self._illegal(vertex, event)
        return vertex

    def _illegal(self, vertex: Vertex, event: ev.Event) -> None:
        what = f"{type(event).__name__} for {vertex.id!r} in state {STATES[vertex.state]}: {event!r}"
        raise bug(what, at=vertex.id)

    # One method per event

    def _RunStarted(self, e: ev.RunStarted, at_us: int) -> None:
        self.started = e
        self.status = "running"
        self.ledger.run.cap_nusd = e.cap_nusd
        self.approved_nusd = e.approved_nusd
        self.deadline_us = e.deadline_us
        if e.base:
            self._place_result(e.on)

    def _RunResumed(self, e: ev.RunResumed, at_us: int) -> None:
        self.status = "running" if self.paused is None else "paused"

    def _RunPaused(self, e: ev.RunPaused, at_us: int) -> None:
        self.paused = e
        self.status = "paused"

    def _RunContinued(self, e: ev.RunContinued, at_us: int) -> None:
        self.paused = None
        self.status = "running"
        if e.cap_nusd is not None:
            self.ledger.run.cap_nusd = e.cap_nusd if e.cap_nusd >= 0 else None
        if e.approved_nusd is not None:
            self.approved_nusd = e.approved_nusd
        self.deadline_us = e.deadline_us

    def _RunEnded(self, e: ev.RunEnded, at_us: int) -> None:
        if (e.spent_nusd, e.held_nusd) != (self.ledger.spent_nusd, self.ledger.held_nusd):
            raise bug(f"RunEnded says {e.spent_nusd} spent, the calls say {self.ledger.spent_nusd}")
        self.status = e.status
        self.paused = None
        if e.status == "cancelled":
            for vertex in self.vertices.values():
                if vertex.state < SUCCEEDED:
                    self._set(vertex, CANCELLED)

    def _PlanGrew(self, e: ev.PlanGrew, at_us: int) -> None:
        group = self.vertices.get(e.group)
        if not isinstance(group, GroupVertex) or not group.grown or group.complete:
            raise bug(f"PlanGrew for {e.group!r}, which cannot grow")
        assert group.element is not None
        part = group.element.part
        if isinstance(part, Task) and part.reduce and part.each is None:
            new = self._grow_reduce(group, e.items[0])
        elif part.each is not None:
            new = self._grow_items(group, e.first, e.items)
        else:
            new = self._grow_plan(group, e.tasks)
        group.complete = e.last
        for vertex in new:
            if isinstance(vertex, GroupVertex) and vertex.owner is group and not vertex.grown:
                vertex.open = part.each is not None
        self._wire(new)
        if e.last and group.left == 0:
            self.closing.append(group)

    def _AttemptStarted(self, e: ev.AttemptStarted, at_us: int) -> None:
        vertex = self.vertices[e.task]
        assert isinstance(vertex, TaskVertex)
        state = vertex.state
        if e.role in ("check", "shadow"):
            if state != CHECKING or vertex.live or vertex.passed != (e.role == "shadow"):
                self._illegal(vertex, e)
        elif state in (READY, BACKOFF):
            counts = vertex.row.counts
            counts[state] -= 1
            counts[RUNNING] += 1
            vertex.state = RUNNING
        else:
            self._illegal(vertex, e)
        vertex.n = e.n
        vertex.rung = e.rung
        vertex.live = e.role
        if e.role == "work":
            vertex.key = e.key
            vertex.passed = False
        if e.model or vertex.task.check is not None:
            meter = self.meters[f"{e.task}#{e.n}"] = Meter(e.n, e.model, e.effort)
            if e.role == "work":
                vertex.meter = meter
        vertex.started_us = at_us
        self.live[f"{e.task}#{e.n}"] = vertex

    def _AttemptBound(self, e: ev.AttemptBound, at_us: int) -> None:
        if e.attempt not in self.live:
            raise bug(f"AttemptBound for {e.attempt}, which is not running")
        self.bound[e.attempt] = e

    def _AttemptEnded(self, e: ev.AttemptEnded, at_us: int) -> None:
        vertex = self.live.pop(f"{e.task}#{e.n}", None)
        if vertex is None:
            raise bug(f"AttemptEnded for {e.task}#{e.n}, which is not running")
        bound = self.bound.pop(f"{e.task}#{e.n}", None) if self.bound else None
        role, vertex.live = vertex.live, ""
        _keep_session(vertex, e, role, bound)
        seconds = (at_us - vertex.started_us) / 1e6
        vertex.seconds += seconds
        meter = self.meters.pop(f"{e.task}#{e.n}", None)
        if meter is not None:
            meter.seconds = seconds
        if told_of_collision(vertex, e, role, ERROR_CHARS):
            return
        if e.outcome == "ok":
            if role != "work":
                vertex.passed = True
                vertex.judged = 0
                return
            vertex.output, vertex.size = e.output, e.size
            if vertex.task.check is not None:
                self._set(vertex, CHECKING)
                vertex.judged = 0
                self.ready.append(vertex)
            return
        vertex.error = e.error[:ERROR_CHARS]
        if e.outcome in ("check_failed", "bad_output", "rejected"):
            vertex.findings = vertex.error
        if e.cls == "run":
            if role in ("work", "mend"):
                self._set(vertex, READY)
            self.ready.append(vertex)
        elif e.outcome in ("lost", "cancelled"):
            vertex.interruptions += 1
        elif role != "work" and e.outcome != "check_failed":
            vertex.judged += 1
        else:
            vertex.tries += 1

    def _RetryPlanned(self, e: ev.RetryPlanned, at_us: int) -> None:
        vertex = self._task(e.task, e, RUNNING, CHECKING)
        if vertex.live:
            self._illegal(vertex, e)
        if e.counts == "left":
            vertex.conflict, vertex.mends, vertex.judged = "", (*vertex.mends, ""), 0
        if e.rung > vertex.rung:
            vertex.tries = 0
            vertex.failed_rungs += (vertex.rung,)
        vertex.rung = e.rung
        vertex.not_before_us = e.not_before_us
        self._set(vertex, BACKOFF)

    def _CallReserved(self, e: ev.CallReserved, at_us: int) -> None:
        self.ledger.reserve(e.attempt, e.call, e.nusd, self.accounts(e.attempt.rpartition("#")[0]))

    def _CallSettled(self, e: ev.CallSettled, at_us: int) -> None:
        task = e.attempt.rpartition("#")[0]
        self.ledger.settle(e.attempt, e.call, e.cost_nusd, e.certain, self.accounts(task))
        totals = self.task_nusd.setdefault(task, [0, 0])
        totals[0 if e.certain else 1] += e.cost_nusd
        meter = self.meters.get(e.attempt)
        if meter is not None:
            meter.count(e.cost_nusd, e.usage)
        vertex = self.vertices[task]
        if vertex.row is not None:
            vertex.row.spent_nusd += e.cost_nusd

    def _TaskSucceeded(self, e: ev.TaskSucceeded, at_us: int) -> None:
        vertex = self.vertices[e.task]
        assert isinstance(vertex, TaskVertex)
        # From backoff: a kept result may turn up for the next try, of a stronger model or of another run.
        if vertex.live or vertex.state not in (RUNNING, CHECKING, READY, BACKOFF):
            self._illegal(vertex, e)
        vertex.output, vertex.size = e.output, e.size
        if self.redone:
            self.redone.discard(e.task)
        if e.saved_nusd:
            self.saved_nusd += e.saved_nusd
        self._end(vertex, SUCCEEDED)

    def _TaskFailed(self, e: ev.TaskFailed, at_us: int) -> None:
        vertex = self._task(e.task, e, RUNNING, CHECKING, READY, BACKOFF)
        if vertex.live:
            self._illegal(vertex, e)
        vertex.error = e.why[:ERROR_CHARS]
        self._end(vertex, FAILED)

    def _TaskCancelled(self, e: ev.TaskCancelled, at_us: int) -> None:
        vertex = self._task(e.task, e, WAITING, READY, RUNNING, CHECKING, BACKOFF)
        if vertex.live:
            self._illegal(vertex, e)
        self._end(vertex, CANCELLED)

    def _TaskInvalidated(self, e: ev.TaskInvalidated, at_us: int) -> None:
        self.redone.add(e.task)
        free, doomed = invalidate(self.vertices, self.root, e.task)
        for vertex in doomed:
            self._skip(vertex)
        for vertex in free:
            self._release(vertex)

    def _GroupClosed(self, e: ev.GroupClosed, at_us: int) -> None:
        group = self.vertices.get(e.group)
        if not isinstance(group, GroupVertex) or group.state >= SUCCEEDED:
            raise bug(f"GroupClosed for {e.group!r}, which is no open group")
        group.why = e.why
        group.complete = True
        self.redone.discard(e.group)
        self._end(group, FAILED if e.why else SUCCEEDED)

    def _TierSwitched(self, e: ev.TierSwitched, at_us: int) -> None:
        self.switched.append(e)

    def _HoldReleased(self, e: ev.HoldReleased, at_us: int) -> None:
        self.ledger.release(e.nusd, self.accounts(e.task))
        self.task_nusd[e.task][1] -= e.nusd


def _has_cap(part: Task | Group) -> bool:
    """Whether a part has a cap of its own, or gives one to what it plans."""
    planned = isinstance(part, Task) and part.grow and planned_by(part).usd_cap_nusd is not None
    return planned or part.usd_cap_nusd is not None


def _keep_session(vertex: TaskVertex, e: ev.AttemptEnded, role: str, bound: ev.AttemptBound | None) -> None:
    """The next attempt goes on with the session of one that was interrupted, not of one that failed."""
    if role != "work" or (bound is None and not vertex.session):
        return
    if e.cls != "run" and e.outcome not in ("lost", "cancelled"):
        vertex.session = ""
    elif bound is not None:
        vertex.session = bound.session


def _add_below(target: Vertex, vertex: Vertex) -> None:
    if target.below is None:
        target.below = [vertex]
    else:
        target.below.append(vertex)
