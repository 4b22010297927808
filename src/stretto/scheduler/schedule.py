"""The scheduler: keeps the state, fills free slots, and turns what happened into events and commands."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

from stretto import events as ev
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Plan
from stretto.scheduler import policy
from stretto.scheduler.ledger import Waiting
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    BACKOFF,
    CHECKING,
    READY,
    RUNNING,
    SUCCEEDED,
    GroupVertex,
    TaskVertex,
    Vertex,
)

CHUNK = 1_000
"""Items in one PlanGrew."""
MODELLESS = ("function", "command", "local")
"""Agents that know no models by name (a local one serves the file it was given): one pool each."""
SLOTS = {"local": 1, "messages": 128, "openai": 128}
"""Slots of an agent where the plan says nothing: one local model, and what one HTTP client carries well."""
UNBOUNDED = 10**9


class Choice(NamedTuple):
    """Who carries out an attempt."""

    agent: str
    model: str
    effort: str
    rung: int
    role: str
    why: str


class Pool:
    """Ready tasks of one (agent, model) in the order of their start, and how many of them run."""

    __slots__ = ("agent", "agent_limit", "heap", "limit", "not_before_us", "running")

    def __init__(self, agent: str, agent_limit: int, limit: int):
        self.agent = agent
        self.agent_limit = agent_limit
        """Slots of the agent over all its models."""
        self.limit = limit
        self.heap: list[tuple[float, int, int, TaskVertex]] = []
        self.running = 0
        self.not_before_us = 0
        """Nothing starts before this: the provider asked the whole pool to wait."""


class Scheduler:
    """Handles one happening after another; `take` hands over the events and commands that follow.

    An event is applied the moment it is decided, so that what it frees is decided in the same turn; the
    driver must commit the events before it carries out the commands.
    """

    def __init__(self, plan: Plan, graph: Graph | None = None):
        self.state = State(plan, graph)
        self.now_us = 0
        self.out: list[ev.Event] = []
        self.commands: list[ev.Command] = []
        self.growing: deque[GroupVertex] = deque()
        self.pools: dict[tuple[str, str], Pool] = {}
        self.running = 0
        self.agent_running: dict[str, int] = {}
        self._first_choices: dict[Element, Choice] = {}
        self._choices: dict[tuple[Element, int, str], Choice] = {}
        self._pool_of: dict[str, Pool] = {}
        self._stopping: dict[str, str] = {}
        self._timers: list[tuple[int, int, TaskVertex]] = []
        self._number = count()
        self._asleep = True
        """True until the run is started or resumed: folding old events must not start anything."""

    # Events out

    def _emit(self, event: ev.Event) -> None:
        self.state.apply(event, self.now_us)
        self.out.append(event)
        state = self.state
        if state.ready or state.closing or state.growing:
            self._follow()

    def _follow(self) -> None:
        """Moves what became possible to where it is decided."""
        state = self.state
        while state.closing:
            self._close(state.closing.popleft())
        ready, state.ready = state.ready, []
        for vertex in ready:
            self._push(vertex)
        if state.growing:
            self.growing.extend(state.growing)
            state.growing.clear()

    def take(self) -> tuple[list[ev.Event], list[ev.Command]]:
        """What was decided since the last call."""
        out, self.out = self.out, []
        commands, self.commands = self.commands, []
        return out, commands

    # Life of the run

    def start(self, started: ev.RunStarted, now_us: int) -> None:
        self.now_us = now_us
        self._asleep = False
        self._emit(started)
        self._follow()

    def fold(self, event: ev.Event, at_us: int) -> None:
        """Takes over one journaled event on the way to `resume`."""
        self.state.apply(event, at_us)

    def resume(self, pid: int, boot: str, now_us: int) -> None:
        """After the last fold: what was running is lost, calls in flight are held, the rest goes on."""
        self.now_us = now_us
        self._asleep = False
        state = self.state
        # Commits are whole: what was ready, growing or closing at the last one is found anew below.
        state.ready.clear()
        state.growing.clear()
        state.closing.clear()
        lost = list(state.live)
        self._emit(ev.RunResumed(pid, boot, lost))
        for attempt in lost:
            vertex = state.live[attempt]
            self._hold_open_calls(attempt)
            role = vertex.live
            ended = ev.AttemptEnded(vertex.id, vertex.n, "lost", "", "the process ended while it was running")
            self._emit(ended)
            if moot(vertex):
                self._emit(ev.TaskCancelled(vertex.id, "its group had enough"))
            else:
                self._decide(vertex, ended, role)
        state.ready.clear()
        state.growing.clear()
        for other in state.vertices.values():
            if isinstance(other, TaskVertex):
                if other.state == READY or (other.state == CHECKING and not other.live):
                    state.ready.append(other)
                elif other.state == BACKOFF:
                    heapq.heappush(self._timers, (other.not_before_us, next(self._number), other))
            elif other.grown and other.open and not other.complete and other.state < SUCCEEDED:
                state.growing.append(other)
        self.growing.clear()
        self._timers = list({id(v): (t, k, v) for t, k, v in self._timers}.values())
        heapq.heapify(self._timers)
        for pool in self.pools.values():
            pool.heap.clear()
        self._follow()

    def proceed(
        self,
        by: str,
        cap_nusd: int | None = None,
        approved_nusd: int | None = None,
        deadline: int | None = None,
    ) -> None:
        """Ends a pause, or raises a limit; a cap of -1 means none."""
        self._emit(ev.RunContinued(by, cap_nusd, approved_nusd, deadline or self.state.deadline_us))
        self._grant()

    def pause(
        self, why: str, *, until_us: int | None = None, need: int | None = None, note: str = ""
    ) -> None:
        """Nothing starts any more; what runs may end. The first reason stays, but a cancel overrides."""
        paused = self.state.paused
        if paused is None or (why == "cancel" and paused.why != "cancel"):
            self._emit(ev.RunPaused(why, until_us, need, note))

    def cancel(self, by: str) -> None:
        self.pause("cancel", note=by)
        self.stop_all()

    def stop_all(self) -> None:
        for vertex in self.state.live.values():
            self.commands.append(ev.Stop(vertex.id, vertex.n, vertex.live))

    def redo(self, task: str, by: str) -> None:
        self._emit(ev.TaskInvalidated(task, by))

    def release_held(self, by: str) -> int:
        """Frees the money of calls whose usage never arrived; the user says they were not charged."""
        freed = 0
        for task, (_, held) in list(self.state.task_nusd.items()):
            if held:
                self._emit(ev.HoldReleased(task, held, by))
                freed += held
        return freed

    def tick(self, now_us: int) -> None:
        """Time passed: backoffs end, the deadline may be over."""
        self.now_us = now_us
        while self._timers and self._timers[0][0] <= now_us:
            vertex = heapq.heappop(self._timers)[2]
            if _startable(vertex):
                self._push(vertex)
        deadline = self.state.deadline_us
        if deadline is not None and now_us >= deadline and self.state.status == "running":
            self.pause("deadline")

    def wake_at_us(self) -> int | None:
        """When `tick` must be called at the latest; None: only a happening can change anything."""
        times = [p.not_before_us for p in self.pools.values() if p.heap and p.not_before_us > self.now_us]
        if self._timers:
            times.append(self._timers[0][0])
        if self.state.deadline_us is not None and self.state.status == "running":
            times.append(self.state.deadline_us)
        return min(times) if times and self.state.paused is None else None

    def end_if_done(self) -> bool:
        """True when nothing is left to do in this process: the run ended, or it is paused and drained."""
        state = self.state
        if state.live:
            return False
        if state.root.left == 0:
            status = "failed" if state.root.failed else "succeeded"
        elif state.paused is not None and state.paused.why == "cancel":
            status = "cancelled"
        else:
            return state.paused is not None
        if state.status in ("running", "paused"):
            self._emit(ev.RunEnded(status, state.ledger.spent_nusd, state.ledger.held_nusd))
        return True

    # Starting

    def choice(self, vertex: TaskVertex) -> Choice:
        """Agent and model of the next attempt; the same for every item of a template."""
        return self.choice_as(vertex, "check" if vertex.state == CHECKING else "work")

    def choice_as(self, vertex: TaskVertex, role: str) -> Choice:
        """The same for a role that the next attempt does not have."""
        if role == "work" and not vertex.rung:
            found = self._first_choices.get(vertex.element)
            if found is None:
                found = self._first_choices[vertex.element] = self._choose(vertex, "work")
            return found
        key = (vertex.element, vertex.rung, role)
        found = self._choices.get(key)
        if found is None:
            found = self._choices[key] = self._choose(vertex, role)
        return found

    def _choose(self, vertex: TaskVertex, role: str) -> Choice:
        started = self.state.started
        assert started is not None
        task, check = vertex.task, vertex.task.check
        if role == "check":
            assert check is not None
            agent, name = check.agent(started.on), check.model
        else:
            agent = task.agent(started.on)
            name = task.climb_to if vertex.rung else task.model
        kind = agent.partition(":")[0]
        model = "" if kind in MODELLESS else started.models.get(f"{kind}/{name}", name)
        why = "declared" if name != "auto" else "default"
        return Choice(agent, model, task.effort, vertex.rung, role, "climbed" if vertex.rung else why)

    def _push(self, vertex: TaskVertex) -> None:
        if self._asleep:
            return
        choice = self.choice(vertex)
        pool = self.pools.get(choice[:2])
        if pool is None:
            pool = self.pools[choice[:2]] = self._new_pool(choice)
        element = vertex.element
        heapq.heappush(pool.heap, (-element.tail_s, element.index, next(self._number), vertex))

    def _new_pool(self, choice: Choice) -> Pool:
        slots = self.state.plan.limits.slots
        base = choice.agent.split(":")[0]
        of_agent = slots.get(base, SLOTS.get(base, UNBOUNDED))
        return Pool(base, of_agent, self._slots_of_model(base, choice.model))

    def _slots_of_model(self, agent: str, model: str) -> int:
        """A plan may say `messages/haiku`: what counts is the model that the name stands for in this run."""
        started = self.state.started
        ids = started.models if started is not None else {}
        for words, slots in self.state.plan.limits.slots.items():
            of, _, name = words.partition("/")
            if of == agent and name and ids.get(words, name) == model:
                return slots
        return UNBOUNDED

    def picks(self) -> Iterator[TaskVertex]:
        """Tasks that may start now, the most urgent first, while there is a slot.

        For each the driver calls `begin`, `reuse` or `fail` before it takes the next.
        """
        started = self.state.started
        assert started is not None
        while self.state.status == "running" and self.running < started.parallel:
            best: Pool | None = None
            for pool in self.pools.values():
                heap = pool.heap
                while heap and not _startable(heap[0][3]):
                    heapq.heappop(heap)
                if not heap or pool.running >= pool.limit or pool.not_before_us > self.now_us:
                    continue
                if self.agent_running.get(pool.agent, 0) >= pool.agent_limit:
                    continue
                if best is None or heap[0] < best.heap[0]:
                    best = pool
            if best is None:
                return
            yield heapq.heappop(best.heap)[3]

    def begin(
        self,
        vertex: TaskVertex,
        choice: Choice,
        key: str = "",
        inputs: list[list[str]] | None = None,
        timeout_us: int | None = None,
        idle_us: int | None = None,
        prompt: str = "",
    ) -> int:
        """Starts an attempt; returns its number. `prompt` is the sha of the final prompt's blob."""
        n = vertex.n + 1
        self._emit(
            ev.AttemptStarted(
                vertex.id,
                n,
                choice.role,
                choice.rung,
                choice.agent,
                choice.model,
                choice.effort,
                key,
                inputs or [],
                timeout_us,
                idle_us,
                choice.why,
                prompt,
            )
        )
        self.running += 1
        pool = self.pools[choice[:2]]
        pool.running += 1
        self.agent_running[pool.agent] = self.agent_running.get(pool.agent, 0) + 1
        self._pool_of[f"{vertex.id}#{n}"] = pool
        self.commands.append(ev.Start(vertex.id, n, choice.role))
        return n

    def reuse(
        self, vertex: TaskVertex, output: str, size: int, key: str, source: str, saved_nusd: int
    ) -> None:
        """Takes the kept result of an earlier attempt (`source`: `run/task#n`) instead of starting one."""
        self._emit(ev.TaskSucceeded(vertex.id, output, size, key, source, saved_nusd))

    def fail(self, vertex: TaskVertex, why: str) -> None:
        """A task that cannot even start, because what it refers to is not there."""
        self._emit(ev.TaskFailed(vertex.id, "task", why))

    # Ending

    def ended(
        self,
        ended: ev.AttemptEnded,
        *,
        pause: str = "",
        until_us: int | None = None,
        final: bool = False,
    ) -> None:
        """An attempt ended; `pause` names the reason where its class is `run`."""
        attempt = f"{ended.task}#{ended.n}"
        vertex = self.state.live.get(attempt)
        if vertex is None:
            return  # it was stopped and said so already
        role = vertex.live
        self._hold_open_calls(attempt)
        self._free_slot(attempt, ended)
        self._emit(ended)
        by = self._stopping.pop(attempt, "")
        if by and (ended.outcome != "ok" or vertex.state == CHECKING):
            self._emit(ev.TaskCancelled(vertex.id, by))
            return
        self._decide(vertex, ended, role, final=final)
        if ended.cls == "run":
            self.pause(pause or "quota", until_us=until_us, note=ended.error[:200])

    def _decide(self, vertex: TaskVertex, ended: ev.AttemptEnded, role: str, *, final: bool = False) -> None:
        started = self.state.started
        assert started is not None
        seed = started.seed
        for event in policy.after_attempt(vertex, ended, role, self.now_us, seed, final=final):
            self._emit(event)
        if vertex.state == BACKOFF:
            self._remind(vertex, vertex.not_before_us)
        elif vertex.state == CHECKING and role == "check":
            self._remind(vertex, policy.judge_again_us(vertex, ended, self.now_us, seed))

    def _remind(self, vertex: TaskVertex, at_us: int) -> None:
        heapq.heappush(self._timers, (at_us, next(self._number), vertex))

    def _free_slot(self, attempt: str, ended: ev.AttemptEnded) -> None:
        pool = self._pool_of.pop(attempt)
        pool.running -= 1
        self.running -= 1
        self.agent_running[pool.agent] -= 1
        if ended.cls == "transient" and ended.retry_after_us:
            pool.not_before_us = max(pool.not_before_us, self.now_us + ended.retry_after_us)

    def _hold_open_calls(self, attempt: str) -> None:
        ledger = self.state.ledger
        if ledger.reserved:
            for call, nusd in ledger.open_calls(attempt):
                lost = ev.CallSettled(attempt, call, "", {}, nusd, certain=False, status="no usage arrived")
                self._emit(lost)
        if ledger.waiting:
            ledger.waiting = deque(w for w in ledger.waiting if w.attempt != attempt)
            self._grant()

    def _close(self, group: GroupVertex) -> None:
        if group.state >= SUCCEEDED:
            return
        self._emit(ev.GroupClosed(group.id, group.ok, group.failed, policy.why_failed(group)))
        if group.left:
            self._cancel_rest(group, f"{group.id}: enough succeeded")

    def _cancel_rest(self, group: GroupVertex, by: str) -> None:
        stack: list[Vertex] = list(group.members)
        while stack:
            vertex = stack.pop()
            if isinstance(vertex, GroupVertex):
                stack.extend(vertex.members)
            elif vertex.state >= SUCCEEDED:
                continue
            elif vertex.live:
                self._stopping[f"{vertex.id}#{vertex.n}"] = by
                self.commands.append(ev.Stop(vertex.id, vertex.n, vertex.live))
            elif vertex.state != RUNNING:
                self._emit(ev.TaskCancelled(vertex.id, by))

    # Growing

    def next_growing(self) -> GroupVertex | None:
        """A group whose members can be made now; the driver answers with one of the four calls below."""
        while self.growing and self.state.status == "running":
            group = self.growing.popleft()
            if group.open and not group.complete and group.state < SUCCEEDED and not moot(group):
                return group
        return None

    def wait_for_approval(self, group: GroupVertex, note: str) -> None:
        """Pauses until somebody approves what this group would add."""
        self.growing.appendleft(group)
        self.pause("approval", note=note)

    def grew(self, group: GroupVertex, cause: str, items: list[Any]) -> None:
        """The entries of an each are known; a reduce gets one number, how many parts there are."""
        for first in range(0, max(1, len(items)), CHUNK):
            chunk = items[first : first + CHUNK]
            last = first + CHUNK >= len(items)
            self._emit(ev.PlanGrew(group.id, cause, 0, first, chunk, [], last))

    def grew_plan(self, group: GroupVertex, cause: str, depth: int, tasks: list[Any]) -> None:
        self._emit(ev.PlanGrew(group.id, cause, depth, 0, [], tasks, last=True))

    def cannot_grow(self, group: GroupVertex, why: str) -> None:
        self._emit(ev.GroupClosed(group.id, 0, 0, why))

    # Money and other facts of running attempts

    def bound(self, event: ev.AttemptBound) -> None:
        if event.attempt in self.state.live:
            self._emit(event)

    def call_asked(self, attempt: str, call: int, nusd: int) -> None:
        """An agent asks to send a call that may cost this much."""
        self.state.ledger.waiting.append(Waiting(attempt, call, nusd))
        self._grant()

    def call_done(self, settled: ev.CallSettled) -> None:
        """A call came to its end; one that still waits is withdrawn."""
        ledger = self.state.ledger
        if (settled.attempt, settled.call) in ledger.reserved:
            self._emit(settled)
            if not ledger.fits(0):
                self.pause("budget", note="a call cost more than the bound that was reserved for it")
            self._grant()
        elif ledger.waiting:
            asked = (settled.attempt, settled.call)
            ledger.waiting = deque(w for w in ledger.waiting if (w.attempt, w.call) != asked)
            self._grant()

    def _grant(self) -> None:
        ledger = self.state.ledger
        while ledger.waiting:
            granted, refused = ledger.grantable()
            for asked in granted:
                self._emit(ev.CallReserved(asked.attempt, asked.call, asked.nusd))
                self.commands.append(ev.Answer(asked.attempt, asked.call, True))
            for asked in refused:
                self.commands.append(ev.Answer(asked.attempt, asked.call, False, "budget"))
                self.pause("budget", need=asked.nusd)
            if not granted and not refused:
                return


def _startable(vertex: TaskVertex) -> bool:
    state = vertex.state
    if state in (READY, BACKOFF) or (state == CHECKING and not vertex.live):
        return not moot(vertex)
    return False


def moot(vertex: Vertex) -> bool:
    """True inside a group that is closed: what is not done there need not be done any more."""
    owner = vertex.owner
    while owner is not None:
        if owner.state >= SUCCEEDED:
            return True
        owner = owner.owner
    return False
