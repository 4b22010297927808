"""The scheduler: keeps the state, fills free slots, and turns what happened into events and commands."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from operator import attrgetter
from typing import Any

from stretto import events as ev
from stretto.models import BUILTIN, is_free
from stretto.models.choice import Chooser
from stretto.models.history import History, Outcome
from stretto.models.money import usd
from stretto.plan.graph import Graph
from stretto.plan.model import Plan
from stretto.scheduler import policy
from stretto.scheduler.admission import Approval, why_used_up
from stretto.scheduler.cashier import Cashier
from stretto.scheduler.choosing import EVIDENCE, Choices, learned, next_role
from stretto.scheduler.choosing import MODELLESS as MODELLESS
from stretto.scheduler.choosing import Choice as Choice
from stretto.scheduler.limiter import MINUTE_US, Told
from stretto.scheduler.pools import SLOTS, UNBOUNDED, Pool, Turns
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    BACKOFF,
    CHECKING,
    READY,
    RUNNING,
    SUCCEEDED,
    GroupVertex,
    Meter,
    TaskVertex,
    Vertex,
)
from stretto.scheduler.warming import Prefix, Warming

CHUNK = 1_000
"""Items in one PlanGrew."""


class Scheduler:
    """Handles one happening after another; `take` hands over the events and commands that follow.

    An event is applied the moment it is decided, so that what it frees is decided in the same turn; the
    driver must commit the events before it carries out the commands.
    """

    def __init__(
        self,
        plan: Plan,
        graph: Graph | None = None,
        chooser: Chooser | None = None,
        free: Callable[[str], bool] = is_free,
    ):
        self.state = State(plan, graph)
        self.choices = Choices(self.state, chooser or Chooser(BUILTIN, History()), free)
        self.cashier = Cashier(
            self.state,
            lambda model: self.choices.chooser.catalogue.info(model).rates,
            self._emit,
            self._tell,
            self.pause,
            lambda attempt: self._pool_of[attempt].key[0],
        )
        self.admission = self.cashier.admission
        self.approval = Approval(self.state)
        self.warming = Warming(self._push)
        self.outcomes: list[Outcome] = []
        """What ended attempts taught since the last `take`, to be kept with the events."""
        self.now_us = 0
        self.out: list[ev.Event] = []
        self.commands: list[ev.Command] = []
        self.growing: deque[GroupVertex] = deque()
        self.pools: dict[tuple[str, str], Pool] = {}
        self.running = 0
        self.agent_running: dict[str, int] = {}
        self._pool_of: dict[str, Pool] = {}
        self._turns = Turns()
        self._stopping: dict[str, str] = {}
        self._timers: list[tuple[int, int, TaskVertex]] = []
        self._number = count()
        self._meter: Meter | None = None
        """What the attempt took whose end is being decided."""
        self._asleep = True
        """True until the run is started or resumed: folding old events must not start anything."""

    def equip(self, chooser: Chooser, free: Callable[[str], bool], others: Mapping[str, Chooser]) -> None:
        """Gives what choices rest on; a scheduler that has folded a run needs it to go on."""
        self.choices = Choices(self.state, chooser, free, others)

    # Events out

    def _emit(self, event: ev.Event) -> None:
        self.state.apply(event, self.now_us)
        self.out.append(event)
        state = self.state
        if state.ready or state.closing or state.growing:
            self._follow()

    def _tell(self, command: ev.Command) -> None:
        self.commands.append(command)

    def _follow(self) -> None:
        """Moves what became possible to where it is decided."""
        state = self.state
        while state.closing:
            self._close(state.closing.popleft())
        ready, state.ready = state.ready, []
        for vertex in sorted(ready, key=attrgetter("element.index")):
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
        self.cashier.open(now_us - MINUTE_US)
        self._emit(started)
        self._follow()

    def fold(self, event: ev.Event, at_us: int) -> None:
        """Takes over one journaled event on the way to `resume`."""
        self.now_us = at_us
        self.state.apply(event, at_us)

    def resume(self, pid: int, boot: str, now_us: int) -> None:
        """After the last fold: what was running is lost, calls in flight are held, the rest goes on."""
        self.cashier.open(self.now_us)
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
            self.cashier.attempt_over(attempt, self.now_us)
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
        self.cashier.raised(self.now_us)

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
        self.cashier.raised(self.now_us)
        return freed

    def tick(self, now_us: int) -> None:
        """Time passed: backoffs end, the deadline may be over."""
        self.now_us = now_us
        while self._timers and self._timers[0][0] <= now_us:
            vertex = heapq.heappop(self._timers)[2]
            if _startable(vertex):
                self._push(vertex)
        self.cashier.tick(now_us)
        deadline = self.state.deadline_us
        if deadline is not None and now_us >= deadline and self.state.status == "running":
            self.pause("deadline")

    def wake_at_us(self) -> int | None:
        """When `tick` must be called at the latest; None: only a happening can change anything."""
        opening = [self._opens_us(pool) for pool in self.pools.values() if pool.heap]
        times = [at_us for at_us in opening if at_us > self.now_us]
        if self._timers:
            times.append(self._timers[0][0])
        if self.state.deadline_us is not None and self.state.status == "running":
            times.append(self.state.deadline_us)
        if self.state.paused is not None:
            times.clear()
        if self.cashier.calls.wake_us is not None:
            times.append(self.cashier.calls.wake_us)  # what runs may end, paused or not
        return min(times, default=None)

    def end_if_done(self) -> bool:
        """True when nothing is left to do in this process: the run ended, or it is paused and drained."""
        state = self.state
        if state.live:
            return False
        self._pause_if_short()
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
        """Agent and model of the next attempt."""
        return self.choices.of(vertex, next_role(vertex))

    def _push(self, vertex: TaskVertex) -> None:
        if self._asleep:
            return
        key = self.choices.pool_of(vertex, next_role(vertex))
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = self._new_pool(*key)
        pool.push(vertex)

    def _new_pool(self, agent: str, model: str) -> Pool:
        slots = self.state.plan.limits.slots
        base = agent.split(":")[0]
        of_agent = slots.get(base, SLOTS.get(base, UNBOUNDED))
        return Pool((agent, model), base, of_agent, self._slots_of_model(base, model), self._turns)

    def _slots_of_model(self, agent: str, model: str) -> int:
        """A plan may say `messages/haiku`: what counts is the model that the name stands for in this run."""
        started = self.state.started
        ids = started.models if started is not None else {}
        for words, slots in self.state.plan.limits.slots.items():
            of, _, name = words.partition("/")
            if of == agent and name and ids.get(words, name) == model:
                return slots
        return UNBOUNDED

    def _opens_us(self, pool: Pool) -> int:
        model = pool.key[1]
        opens_us = self.cashier.opens_us(model, self.now_us) if model else 0
        return max(pool.not_before_us, opens_us)

    def picks(self) -> Iterator[TaskVertex]:
        """Tasks that may start now, the most urgent first, while there is a slot.

        For each the driver calls `begin` (perhaps `affords` first), `reuse` or `fail` before the next.
        """
        started = self.state.started
        assert started is not None
        for vertex in self.admission.freed(self._expected_nusd):
            self._push(vertex)
        if not self.running and (guessed := self.admission.guessed(self.choice)) is not None:
            self._push(guessed)
        while self.state.status == "running" and self.running < started.parallel:
            best: Pool | None = None
            for pool in self.pools.values():
                heap = pool.heap
                while heap and not _startable(heap[0][-1]):
                    heapq.heappop(heap)
                if not heap or pool.running >= pool.limit or self._opens_us(pool) > self.now_us:
                    continue
                if self.agent_running.get(pool.agent, 0) >= pool.agent_limit:
                    continue
                if best is None or heap[0] < best.heap[0]:
                    best = pool
            if best is None:
                return
            vertex = best.pop()
            if self.choices.pool_of(vertex, next_role(vertex)) != best.key:
                self._push(vertex)  # what other tasks taught since has changed the choice
            elif not self.warming.holds(vertex, best.key):
                yield vertex

    def begin(
        self,
        vertex: TaskVertex,
        choice: Choice,
        key: str = "",
        inputs: list[list[str]] | None = None,
        timeout_us: int | None = None,
        idle_us: int | None = None,
        prompt: str = "",
        record: str = "",
    ) -> int:
        """Starts an attempt; returns its number, 0 where there is no money for it (see `affords`).

        `prompt` and `record` (of the choice) are shas of blobs.
        """
        if choice.expected_nusd and not self.affords(vertex, choice):
            return 0
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
                record,
                vertex.session if choice.role == "work" else "",
            )
        )
        self.running += 1
        pool = self.pools[choice[:2]]
        pool.running += 1
        self.agent_running[pool.agent] = self.agent_running.get(pool.agent, 0) + 1
        self._pool_of[f"{vertex.id}#{n}"] = pool
        if choice.model or choice.expected_nusd:
            self.cashier.began(f"{vertex.id}#{n}", vertex, choice.model, choice.expected_nusd)
        self.commands.append(ev.Start(vertex.id, n, choice.role))
        return n

    def sends(self, vertex: TaskVertex, choice: Choice, prefix: Prefix) -> bool:
        """Hears what an attempt that has just begun will send; whether to mark it for the prompt cache."""
        assert self.state.started is not None
        return self.warming.sends(vertex, self.pools[choice[:2]], self.state.started.parallel, prefix)

    def affords(self, vertex: TaskVertex, choice: Choice) -> bool:
        """Whether an attempt may start under the caps. If not, it waits for money that may come free; where
        none will, because its group has used up what it may spend, it fails.
        """
        account = self.admission.refusing(vertex, choice.expected_nusd)
        if account is None or (choice.guess and not self.running):
            return True
        if self.admission.is_used_up(account) and not choice.guess:
            cost = f"it is expected to cost {usd(choice.expected_nusd)}"
            self.fail(vertex, why_used_up(account, vertex.id, cost))
        else:
            self.admission.put_aside(vertex, choice.role)
        return False

    def _expected_nusd(self, vertex: TaskVertex) -> int:
        return self.choice(vertex).expected_nusd or 0

    def _pause_if_short(self) -> None:
        """Nothing runs, and nothing that is ready can be paid: the run stops, and says what it would take."""
        waits = self.growing or self._timers or any(pool.heap for pool in self.pools.values())
        if not self.admission or waits or self.state.status != "running":
            return
        vertex = self.admission.next(_startable)
        if vertex is not None:
            need = self._expected_nusd(vertex)
            self.pause("budget", need=need, note=f"{vertex.id} is expected to cost {usd(need)}")

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
        reset_us: int | None = None,
        final: bool = False,
    ) -> None:
        """An attempt ended; `pause` names the reason where its class is `run`, which may end by itself."""
        attempt = f"{ended.task}#{ended.n}"
        vertex = self.state.live.get(attempt)
        if vertex is None:
            return  # it was stopped and said so already
        role = vertex.live
        self.cashier.attempt_over(attempt, self.now_us)
        self._free_slot(attempt, ended)
        self.warming.over(attempt, warmed=False)
        self._meter = self.state.meters.get(attempt)
        self._emit(ended)
        by = self._stopping.pop(attempt, "")
        if by and (ended.outcome != "ok" or vertex.state == CHECKING):
            self._emit(ev.TaskCancelled(vertex.id, by))
            return
        self._decide(vertex, ended, role, final=final)
        if ended.cls == "run":
            until_us = policy.opens_again_us(reset_us, self.now_us)
            self.pause(pause or "quota", until_us=until_us, note=ended.error[:200])

    def _decide(self, vertex: TaskVertex, ended: ev.AttemptEnded, role: str, *, final: bool = False) -> None:
        started = self.state.started
        assert started is not None
        seed = started.seed
        meter, self._meter = self._meter, None
        audited = role == "check" and ended.outcome == "ok" and self.choices.audits(vertex)
        for outcome in learned(self.choices, vertex, ended, role, meter, audited=audited, final=final):
            self._learn(outcome)
        rung = None
        if ended.outcome in EVIDENCE and not final:
            rung = self.choices.climb(vertex)
        for event in policy.after_attempt(
            vertex, ended, role, self.now_us, seed, final=final, rung=rung, audited=audited
        ):
            self._emit(event)
        if vertex.state == BACKOFF:
            self._remind(vertex, vertex.not_before_us)
        elif vertex.state == CHECKING and audited:
            self._push(vertex)
        elif vertex.state == CHECKING and role != "work":
            self._remind(vertex, policy.judge_again_us(vertex, ended, self.now_us, seed))

    def _learn(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        switch = self.choices.learn(outcome)
        if switch is not None:
            self._emit(ev.TierSwitched(switch.family, switch.tier, switch.on, switch.evidence))

    def _remind(self, vertex: TaskVertex, at_us: int) -> None:
        heapq.heappush(self._timers, (at_us, next(self._number), vertex))

    def _free_slot(self, attempt: str, ended: ev.AttemptEnded) -> None:
        pool = self._pool_of.pop(attempt)
        pool.running -= 1
        self.running -= 1
        self.agent_running[pool.agent] -= 1
        if ended.cls == "transient" and ended.retry_after_us and not self.cashier.limits(pool.key[1]):
            pool.not_before_us = max(pool.not_before_us, self.now_us + ended.retry_after_us)

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

    def grew(self, group: GroupVertex, cause: str, items: list[Any]) -> None:
        """The entries of an each are known; a reduce gets one number, how many parts there are."""
        added = 0
        for first in range(0, max(1, len(items)), CHUNK):
            chunk = items[first : first + CHUNK]
            last = first + CHUNK >= len(items)
            added += self._grow(group, ev.PlanGrew(group.id, cause, 0, first, chunk, [], last))
        self._ask_if_above(group, added)

    def grew_plan(
        self, group: GroupVertex, cause: str, depth: int, tasks: list[Any], noted: list[str] | None = None
    ) -> None:
        grew = ev.PlanGrew(group.id, cause, depth, 0, [], tasks, True, noted=noted or [])
        self._ask_if_above(group, self._grow(group, grew))

    def _grow(self, group: GroupVertex, event: ev.PlanGrew) -> int:
        """Adds members, and to the event what they are expected to cost, which is known of vertices only."""
        before = len(group.members)
        self.state.apply(event, self.now_us)
        added = self.approval.added(group, before, self._expected_as)
        self.out.append(event._replace(expected_nusd=added))
        self._follow()
        return added or 0

    def _expected_as(self, vertex: TaskVertex, role: str) -> int | None:
        return self.choices.of(vertex, role).expected_nusd

    def _ask_if_above(self, group: GroupVertex, added_nusd: int) -> None:
        """A longer list than was thought: above what was approved the run asks before it goes on."""
        total = self.approval.above(added_nusd, self._expected_as)
        if total is not None:
            self.pause("approval", need=total, note=self.approval.question(group, total))

    def cannot_grow(self, group: GroupVertex, why: str) -> None:
        self._emit(ev.GroupClosed(group.id, 0, 0, why))

    # Money and other facts of running attempts

    def bound(self, event: ev.AttemptBound) -> None:
        if event.attempt in self.state.live:
            self._emit(event)

    def call_asked(
        self,
        attempt: str,
        call: int,
        nusd: int,
        *,
        least_nusd: int | None = None,
        model: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        """An agent asks to send a call that may cost this much, or `least_nusd` with a shorter answer.

        `input_tokens` are what its prompt is expected to have, `output_tokens` its answer at most.
        """
        least = nusd if least_nusd is None else least_nusd
        self.cashier.asked(attempt, call, nusd, least, model, (input_tokens, output_tokens), self.now_us)

    def call_heard(self, attempt: str, call: int, told: Told) -> None:
        """The response to a call has begun, and its head tells of the provider's limits."""
        self.cashier.heard(attempt, call, told, self.now_us)

    def call_done(self, settled: ev.CallSettled) -> None:
        """A call came to its end; one that still waits is withdrawn."""
        self.cashier.done(settled, self.now_us)
        self.warming.over(settled.attempt, warmed=settled.certain and settled.status == "ok")


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
