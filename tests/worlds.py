"""Random plans, and a heap that drives the pure scheduler through them in no time at all."""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stretto import events as ev
from stretto.models.choice import Chooser
from stretto.plan.model import Check, Each, Expect, Group, Limits, Part, Plan, Quorum, Task
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.state import State
from stretto.scheduler.vertex import SUCCEEDED, GroupVertex, TaskVertex
from stretto.scheduler.warming import Prefix

LONG_US = 10**15


def chance(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    return zlib.crc32("/".join(map(str, words)).encode()) / 2**32


def random_plan(seed: int, *, size: int = 12, cancels: bool = False, cap_nusd: int | None = None) -> Plan:
    """A plan of about `size` tasks: nested groups, eaches over literal lists, needs, quorums, checks.

    With `cap_nusd` some tasks and groups have caps of their own, of about that.
    """
    rng = random.Random(seed)
    purse = random.Random(-seed)
    budget = [size]

    def parts(depth: int, known: list[str]) -> list[Part]:
        made: list[Part] = []
        ids: list[str] = []
        for k in range(rng.randint(1, 4)):
            if budget[0] <= 0 and made:
                break
            id = f"{'abcdefgh'[depth]}{k}"
            needs = tuple(sorted(rng.sample(ids, min(len(ids), rng.choice([0, 0, 1, 1, 2])))))
            outer = rng.choice(known) if known and rng.random() < 0.2 else None
            if outer is not None:
                needs = (*needs, outer)
            if depth < 3 and rng.random() < 0.35:
                made.append(group(depth, id, needs, [*known, *ids]))
            else:
                made.append(task(id, needs))
            ids.append(id)
        return made

    def task(id: str, needs: tuple[str, ...]) -> Task:
        budget[0] -= 1
        return Task(
            id=id,
            call="nowhere:nothing",
            needs=needs,
            after=(),
            attempts=rng.randint(1, 3),
            optional=rng.random() < 0.1,
            check=Check(call="nowhere:check") if rng.random() < 0.15 else None,
            each=Each(over=list(range(rng.randint(0, 4)))) if rng.random() < 0.15 else None,
            quorum=quorum() if rng.random() < 0.1 else None,
            expect=Expect(time_s=rng.choice([1.0, 2.0, 5.0])),
            usd_cap_nusd=_random_cap(purse, cap_nusd, 0.2),
        )

    def quorum() -> Quorum:
        kind = rng.random()
        if kind < 0.4:
            return Quorum(tolerate=rng.randint(0, 2))
        if kind < 0.7:
            return Quorum(min_ok=rng.randint(1, 2), cancel_rest=cancels and rng.random() < 0.5)
        return Quorum(tolerate_share=rng.choice([0.25, 0.5]))

    def group(depth: int, id: str, needs: tuple[str, ...], known: list[str]) -> Group:
        # Needs of an outer name stay outside: a group may not need what it is a part of.
        return Group(
            id=id,
            tasks=tuple(parts(depth + 1, known)),
            needs=needs,
            each=Each(over=list(range(rng.randint(0, 3))), name=f"i{depth}") if rng.random() < 0.3 else None,
            quorum=quorum() if rng.random() < 0.3 else None,
            optional=rng.random() < 0.1,
            usd_cap_nusd=_random_cap(purse, cap_nusd, 0.5),
        )

    tasks = parts(0, [])
    return Plan(name="random", tasks=tuple(tasks), limits=Limits(parallel=rng.randint(1, 6)))


def _random_cap(rng: random.Random, about_nusd: int | None, often: float) -> int | None:
    if about_nusd is None or rng.random() >= often:
        return None
    return int(about_nusd * rng.choice([0.0, 0.3, 1.0, 3.0, 10.0]) * (0.5 + rng.random()))


def begun(
    plan: Plan, *, seed: int = 0, cap_nusd: int | None = None, parallel: int | None = None
) -> ev.RunStarted:
    return ev.RunStarted(
        plan="",
        inputs={},
        cap_nusd=cap_nusd,
        approved_nusd=None,
        deadline_us=None,
        parallel=parallel or plan.limits.parallel,
        on="simulated",
        seed=seed,
        root=".",
        pid=1,
        boot="",
        version="0",
        models={},
    )


@dataclass
class World:
    """Drives a scheduler: each attempt takes a seeded time and ends as `outcome` says."""

    plan: Plan
    seed: int = 0
    failing: float = 0.15
    losing: float = 0.0
    outcome: Callable[[str, int, str], str] | None = None
    parallel: int | None = None
    took: Callable[[str, str], float] | None = None
    """How many seconds an attempt at a task in a role takes, where that is not left to chance."""
    chooser: Chooser | None = None
    prefix: Prefix | None = None
    """What every attempt has in common with its siblings, as far as they are items of a template."""
    log: list[tuple[int, ev.Event]] = field(default_factory=list)
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    most_running: int = 0
    now_us: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.plan, None, self.chooser)
        self.ends: list[tuple[int, int, str, int, str]] = []
        self.began: dict[tuple[str, int], int] = {}
        self.watch: Callable[[], None] = lambda: None

    def how(self, task: str, n: int, role: str) -> str:
        if self.outcome is not None:
            return self.outcome(task, n, role)
        draw = chance(self.seed, task, n, role)
        if draw < self.failing:
            return "check_failed" if role == "check" else ("transient" if draw < self.failing / 2 else "task")
        return "ok"

    def start(self) -> World:
        self.scheduler.start(begun(self.plan, seed=self.seed, parallel=self.parallel), 0)
        return self

    def run(self, *, most_turns: int = 10**9) -> State:
        for _ in range(most_turns):
            if self.turn():
                break
        return self.scheduler.state

    def turn(self) -> bool:
        scheduler = self.scheduler
        scheduler.tick(self.now_us)
        while self.ends and self.ends[0][0] <= self.now_us:
            _, _, task, n, role = heapq.heappop(self.ends)
            self._end(task, n, role)
        while (group := scheduler.next_growing()) is not None:
            self._grow(group)
        for vertex in scheduler.picks():
            self.begins(vertex)
        done = scheduler.end_if_done()
        events, commands = scheduler.take()
        self.log.extend((self.now_us, event) for event in events)
        self.most_running = max(self.most_running, len(scheduler.state.live))
        self.watch()
        for command in commands:
            self._act(command)
        if done and not scheduler.state.live:
            return True
        times = [self.ends[0][0]] if self.ends else []
        wake = scheduler.wake_at_us()
        if wake is not None:
            times.append(wake)
        if times:
            self.now_us = max(self.now_us, min(times))
        elif not scheduler.growing and not scheduler.out:
            raise AssertionError("nothing will ever happen again")
        return False

    def begins(self, vertex: TaskVertex) -> None:
        choice = self.scheduler.choice(vertex)
        if self.scheduler.begin(vertex, choice) and self.prefix is not None:
            self.scheduler.sends(vertex, choice, self.prefix)

    def _grow(self, group: GroupVertex) -> None:
        assert group.element is not None and group.element.part.each is not None
        over = group.element.part.each.over
        assert isinstance(over, list)
        self.scheduler.grew(group, "", over)

    def _act(self, command: ev.Command) -> None:
        match command:
            case ev.Start(task, n, role):
                seconds = 0.5 + 4 * chance(self.seed, "time", task, n)
                if self.took is not None:
                    seconds = self.took(task, role)
                took = max(1, round(1e6 * seconds))
                self.began[task, n] = self.now_us
                heapq.heappush(self.ends, (self.now_us + took, len(self.log), task, n, role))
            case ev.Stop(task, n, role):
                self.ends = [e for e in self.ends if e[2:4] != (task, n)]
                heapq.heapify(self.ends)
                self.scheduler.ended(ev.AttemptEnded(task, n, "cancelled"))
            case _:
                raise AssertionError(command)

    def _end(self, task: str, n: int, role: str) -> None:
        how = self.how(task, n, role)
        self.spans.append((task, self.began[task, n], self.now_us))
        match how:
            case "ok":
                ended = ev.AttemptEnded(task, n, "ok", "", "", "" if role == "check" else f"sha-{task}", 1)
            case "check_failed":
                ended = ev.AttemptEnded(task, n, "check_failed", "task", "no")
            case "transient":
                ended = ev.AttemptEnded(task, n, "error", "transient", "busy", "", 0, 2_000_000)
            case _:
                ended = ev.AttemptEnded(task, n, "error", "task", "broken")
        self.scheduler.ended(ended)


def snapshot(state: State) -> dict[str, Any]:
    """Everything durable, in a form that can be compared."""
    found: dict[str, Any] = {}
    for id, v in state.vertices.items():
        if isinstance(v, TaskVertex):
            found[id] = (v.state, v.wait, v.n, v.rung, v.tries, v.interruptions, v.judged, v.live, v.output)
        else:
            found[id] = (v.state, v.wait, v.left, v.ok, v.failed, v.open, v.complete, len(v.members), v.why)
    ledger = state.ledger
    return {
        "vertices": found,
        "rows": {id: list(row.counts) for id, row in state.rows.items()},
        "root": (state.root.left, state.root.ok, state.root.failed),
        "status": state.status,
        "money": (ledger.spent_nusd, ledger.held_nusd, ledger.reserved_nusd, ledger.cap_nusd),
        "accounts": {
            id: (a.cap_nusd, a.spent_nusd, a.held_nusd, a.reserved_nusd)
            for id, a in ledger.accounts.items()
            if a.committed_nusd  # one that nothing counts against yet is as good as none
        },
        "live": sorted(state.live),
    }


def replayed(plan: Plan, log: list[tuple[int, ev.Event]]) -> State:
    state = State(plan)
    for at_us, event in log:
        state.apply(event, at_us)
    return state


def succeeded(state: State) -> set[str]:
    return {id for id, v in state.vertices.items() if isinstance(v, TaskVertex) and v.state == SUCCEEDED}
