"""The course of a plan in numbers: who waits for whom, item by item, and how long all of it takes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zlib import crc32

from stretto.estimate.pieces import UNKNOWN_PARTS, merged_list
from stretto.plan.graph import Element, Graph, Need
from stretto.plan.model import Group, Quorum, Task
from stretto.scheduler.vertex import Scope, target_of

Pairs = Collection[tuple[Element, Element]]
"""(who waits, for whom)."""
Rank = tuple[float, int, int]


class Pools(NamedTuple):
    """How many tasks may run side by side: in all, of each pool, and of each agent whose pools these are."""

    parallel: int
    of: Mapping[Element, int]
    """The pool of each task ..."""
    limits: Sequence[int]
    agents: Sequence[int]
    """... and the agent of each pool."""
    agent_limits: Sequence[int]


@dataclass(slots=True)
class Course:
    """Tasks and joins by number, a list of each fact about them; 0 is the whole plan."""

    wait: list[int]
    """How many others it waits for."""
    below: list[list[int]]
    """Who waits for it."""
    whose: list[Element | None]
    """The task; nothing where it is a join."""
    luck: list[int]
    """A number of its own, which stays the same whatever is changed elsewhere."""
    rank: list[Rank]
    """The order of starts, as the scheduler has it."""
    scopes: list[Scope]
    starts: dict[Element, list[int]]
    """What waits if an element waits: a task, or the gate of a group."""
    ends: dict[str, int]
    """What is over when the instance of an id is over."""
    enough: dict[int, range]
    """Joins that do not wait for all, with those who are cancelled then."""

    @property
    def tasks(self) -> list[int]:
        return [number for number, element in enumerate(self.whose) if element is not None]

    def played_us(self, took_us: Sequence[int], pools: Pools) -> int | None:
        """When the last ends if all start as the scheduler starts them; None: some wait for each other."""
        if len(pools.limits) == 1 and not self.enough:
            slots = min(pools.parallel, pools.limits[0], pools.agent_limits[0])
            ends = self.ends_us(took_us)
            if ends is None or self._fits(ends, took_us, slots):
                return None if ends is None else int(ends[0])
        return _Play(self, took_us, pools).run()

    def _fits(self, ends: Mapping[int, float], took_us: Sequence[int], slots: int) -> bool:
        """Whether there is a slot whenever a task could start: one that started so many before is over."""
        tasks = self.tasks
        over = sorted(ends[number] for number in tasks)
        begun = sorted(ends[number] - took_us[number] for number in tasks)
        return all(begin >= end for begin, end in zip(begun[slots:], over, strict=False))

    def least_us(self, took_us: Sequence[float], pools: Pools) -> float | None:
        """The longest chain, or what the slots need for all of it, whichever is longer.

        None: some wait for each other.
        """
        ends = self.ends_us(took_us)
        if ends is None:
            return None
        work = [0.0] * len(pools.limits)
        for element, us in zip(self.whose, took_us, strict=True):
            if element is not None:
                work[pools.of[element]] += us
        through = [us / limit for us, limit in zip(work, pools.limits, strict=True)]
        of_agent = [0.0] * len(pools.agent_limits)
        for agent, us in zip(pools.agents, work, strict=True):
            of_agent[agent] += us
        through += [us / limit for us, limit in zip(of_agent, pools.agent_limits, strict=True)]
        return max(ends[0], sum(work) / pools.parallel, *through)

    def ends_us(self, took_us: Sequence[float]) -> dict[int, float] | None:
        """When each ends if there are slots for all, in an order in which none comes before what it needs."""
        waits, below = self.wait.copy(), self.below
        starts = [0.0] * len(waits)
        free = [number for number, count in enumerate(waits) if not count]
        ends: dict[int, float] = {}
        for number in free:
            end = ends[number] = starts[number] + took_us[number]
            for other in below[number]:
                if end > starts[other]:
                    starts[other] = end
                waits[other] -= 1
                if not waits[other]:
                    free.append(other)
        return ends if 0 in ends else None

    # Changed

    def changed(
        self, removed: Pairs = (), added: Pairs = (), split: Mapping[Element, int] | None = None
    ) -> Course:
        """The same with fewer needs, or more, and with tasks cut into so many parts beside each other."""
        made = replace(self, wait=self.wait.copy(), below=self.below.copy())
        for element, target in removed:
            for number in self.starts.get(element, ()):
                for need in element.needs:
                    if need.target is target:
                        made._unlink(self._end(need, self.scopes[number]), number)
        for element, target in added:
            for number in self._starts_of(element):
                made._link(self._end(_seen(target, self.scopes[number]), self.scopes[number]), number)
        for element, parts in (split or {}).items():
            made._split(element, parts)
        return made

    def in_a_row(self, elements: Collection[Element], base: Element | None) -> Course:
        """The same with these tasks one after the other, as one agent would do them: once in each scope of
        the group `base` that they all stand in."""
        made = replace(self, wait=self.wait.copy(), below=self.below.copy())
        last: dict[str, int] = {}
        for number in self.ends_us([0] * len(self.wait)) or ():
            if self.whose[number] in elements:
                prefix = self.scopes[number].of(base).prefix
                if prefix in last:
                    made._link(last[prefix], number)
                last[prefix] = number
        return made

    def _end(self, need: Need, scope: Scope) -> int | None:
        return self.ends.get(target_of(need, scope))

    def _starts_of(self, element: Element) -> Iterator[int]:
        """A group without needs has no gate: then its members wait."""
        if element in self.starts:
            yield from self.starts[element]
        else:
            for member in element.members.values():
                yield from self._starts_of(member)

    def _link(self, end: int | None, number: int) -> None:
        if end is not None:
            self.below[end] = [*self.below[end], number]
            self.wait[number] += 1

    def _unlink(self, end: int | None, number: int) -> None:
        if end is not None and number in self.below[end]:
            self.below[end] = self.below[end].copy()
            self.below[end].remove(number)
            self.wait[number] -= 1

    def _split(self, element: Element, parts: int) -> None:
        self.whose, self.luck = self.whose.copy(), self.luck.copy()
        self.rank, self.scopes = self.rank.copy(), self.scopes.copy()
        for number in [number for number in self.tasks if self.whose[number] is element]:
            others = range(len(self.wait), len(self.wait) + parts - 1)
            for before, after in enumerate(self.below):
                if number in after:
                    self.below[before] = [*after, *others]
            for other in others:
                self.wait.append(self.wait[number])
                self.below.append(self.below[number])
                self.whose.append(element)
                self.luck.append(crc32(f"{self.luck[number]}/{other - others[0]}".encode()))
                self.rank.append(self.rank[number])
                self.scopes.append(self.scopes[number])
            for join in self.below[number]:
                self.wait[join] += len(others)


def _seen(target: Element, scope: Scope) -> Need:
    """The need of another element as seen from a scope: of an each around it the whole list is meant."""
    around: set[Element | None] = {None}
    here: Scope | None = scope
    while here is not None:
        around.add(here.element)
        here = here.outer
    base = target.owner
    while base not in around:
        assert base is not None
        if base.grows:
            target = base
        base = base.owner
    tail = target.path if base is None else target.path[len(base.path) + 1 :]
    return Need(target, base, tail, tail, handed=False, used=True)


class _Play:
    """One way through a course: what is ready waits for a slot, the longest chain first."""

    def __init__(self, course: Course, took_us: Sequence[int], pools: Pools):
        self.course = course
        self.took_us = took_us
        self.pools = pools
        self.waits = course.wait.copy()
        self.pool_of = [-1 if element is None else pools.of[element] for element in course.whose]
        self.ready: list[list[tuple[Rank, int]]] = [[] for _ in pools.limits]
        self.running = [0] * len(pools.limits)
        self.of_agent = [0] * len(pools.agent_limits)
        self.free = pools.parallel
        self.ends: list[tuple[int, int]] = []
        self.cancelled: set[int] = set()
        self.now_us = 0

    def run(self) -> int | None:
        open_ = [number for number, count in enumerate(self.waits) if not count]
        while not self._opened(open_):
            while self.free and (pool := self._next()) is not None:
                self._start(heapq.heappop(self.ready[pool])[1], pool)
            if not self.ends:
                return None
            self.now_us = self.ends[0][0]
            open_ = []
            while self.ends and self.ends[0][0] == self.now_us:
                number = heapq.heappop(self.ends)[1]
                self._leave(number)
                self._over(number, open_)
        return self.now_us

    def _opened(self, open_: list[int]) -> bool:
        """Joins are over at once, tasks become ready; True at the end of the plan."""
        course = self.course
        while open_:
            number = open_.pop()
            pool = self.pool_of[number]
            if pool >= 0 and number not in self.cancelled:
                heapq.heappush(self.ready[pool], (course.rank[number], number))
                continue
            if number == 0:
                return True
            if number in course.enough:
                self._cancel(course.enough[number], open_)
            self._over(number, open_)
        return False

    def _cancel(self, numbers: range, open_: list[int]) -> None:
        """What runs is stopped, and what is ready will not start: nobody waits for them any more."""
        self.cancelled.update(numbers)
        running = [number for _, number in self.ends if number in numbers]
        for number in running:
            self._leave(number)
        ready = [number for heap in self.ready for _, number in heap if number in numbers]
        for number in (*running, *ready):
            self._over(number, open_)
        self.ends = [end for end in self.ends if end[1] not in numbers]
        heapq.heapify(self.ends)
        self.ready = [[entry for entry in heap if entry[1] not in numbers] for heap in self.ready]
        for heap in self.ready:
            heapq.heapify(heap)

    def _over(self, number: int, open_: list[int]) -> None:
        waits = self.waits
        for other in self.course.below[number]:
            waits[other] -= 1
            if not waits[other]:
                open_.append(other)

    def _leave(self, number: int) -> None:
        """Frees a task's slot."""
        pool = self.pool_of[number]
        self.free += 1
        self.running[pool] -= 1
        self.of_agent[self.pools.agents[pool]] -= 1

    def _next(self) -> int | None:
        """The pool with a free slot whose first task is the most urgent."""
        best: int | None = None
        pools, ready = self.pools, self.ready
        for pool, heap in enumerate(ready):
            agent = pools.agents[pool]
            if not heap or self.running[pool] >= pools.limits[pool]:
                continue
            if self.of_agent[agent] < pools.agent_limits[agent] and (
                best is None or heap[0] < ready[best][0]
            ):
                best = pool
        return best

    def _start(self, number: int, pool: int) -> None:
        self.free -= 1
        self.running[pool] += 1
        self.of_agent[self.pools.agents[pool]] += 1
        heapq.heappush(self.ends, (self.now_us + self.took_us[number], number))


# Laid out


def course_of(
    graph: Graph, length: Callable[[Element], int], grown: Mapping[Element, tuple[Element, int]]
) -> Course:
    """Every instance of every task, as long as the lists are.

    `grown` has what each planner will add: a task that stands for all of them, and how many.
    """
    layout = _Layout(length, grown)
    top = Scope(None, "", None)
    layout.new(None, top, None)
    members = [layout.place(element, top, None) for element in graph.roots.values()]
    layout.join(0, members, None, None)
    return layout.wired()


class _Layout:
    """Makes the numbers in the order in which the scheduler makes its vertices."""

    def __init__(self, length: Callable[[Element], int], grown: Mapping[Element, tuple[Element, int]]):
        self.length = length
        self.grown = grown
        self.course = Course([], [], [], [], [], [], {}, {}, {})
        self.gates: list[tuple[int, Element]] = []
        self.counts: dict[Element, int] = {}

    def new(self, element: Element | None, scope: Scope, gate: int | None) -> int:
        course = self.course
        number = len(course.wait)
        course.wait.append(0)
        course.below.append([])
        course.whose.append(element)
        course.scopes.append(scope)
        if element is None:
            course.luck.append(0)
            course.rank.append((0.0, 0, 0))
        else:
            before = self.counts[element] = self.counts.get(element, -1) + 1
            course.luck.append(crc32(f"{element.path}/{before}".encode(errors="surrogatepass")))
            course.rank.append((-element.tail_s, element.index, number))
        if gate is not None:
            self.link(gate, number)
        return number

    def link(self, before: int, after: int) -> None:
        self.course.below[before].append(after)
        self.course.wait[after] += 1

    def join(self, end: int, members: list[int], gate: int | None, quorum: Quorum | None) -> None:
        """Lets a join wait for its members; where there are none, for its gate."""
        for member in members or ([] if gate is None else [gate]):
            self.link(member, end)
        if quorum is not None and quorum.cancel_rest and 0 < (quorum.min_ok or 0) < len(members):
            self.course.wait[end] = quorum.min_ok or 0
            self.course.enough[end] = range(end, len(self.course.wait))

    def place(self, element: Element, scope: Scope, gate: int | None) -> int:
        """Returns what is over when the element is over."""
        part, course = element.part, self.course
        id = scope.prefix + part.id
        if isinstance(part, Task) and not element.grows:
            end = self.task(element, scope, gate)
        else:
            if element.needs:
                gate = self.new(None, scope, gate)
                self.gated(gate, element)
            if part.each is not None:
                end = self.items(element, id, scope, gate)
            elif element.members:
                end = self.body(element, Scope(element, f"{id}.", scope), gate, part.quorum)
            else:
                end = self.made_later(element, Scope(element, f"{id}.", scope), gate)
        course.ends[id] = end
        return end

    def task(self, element: Element, scope: Scope, gate: int | None) -> int:
        number = self.new(element, scope, gate)
        if not element.grows:
            self.gated(number, element)
        elif not element.needs:
            self.course.starts.setdefault(element, []).append(number)
        return number

    def gated(self, number: int, element: Element) -> None:
        self.course.starts.setdefault(element, []).append(number)
        self.gates.append((number, element))

    def body(self, element: Element, inner: Scope, gate: int | None, quorum: Quorum | None) -> int:
        end = self.new(None, inner, None)
        self.join(end, [self.place(member, inner, gate) for member in element.members.values()], gate, quorum)
        return end

    def items(self, element: Element, id: str, scope: Scope, gate: int | None) -> int:
        end = self.new(None, scope, None)
        members = []
        for index in range(self.length(element)):
            inner = Scope(element, f"{id}.{index}.", scope, None, index)
            if isinstance(element.part, Group):
                members.append(self.body(element, inner, gate, None))
            else:
                members.append(self.task(element, inner, gate))
            self.course.ends[inner.prefix[:-1]] = members[-1]
        self.join(end, members, gate, element.part.quorum)
        return end

    def made_later(self, element: Element, inner: Scope, gate: int | None) -> int:
        """The rounds of a reduction, or the tasks that a planner adds."""
        end = self.new(None, inner, None)
        if isinstance(element.part, Task):
            merged = merged_list(element)
            count = UNKNOWN_PARTS if merged is None else self.length(merged)
            self.join(end, self.rounds(element, inner, gate, count, max(2, element.part.fan_in)), gate, None)
        else:
            planned = [self.grown[need.target] for need in element.needs if need.target in self.grown]
            place, count = planned[0] if planned else (element, 0)
            self.join(end, [self.task(place, inner, gate) for _ in range(count)], gate, element.part.quorum)
        return end

    def rounds(self, element: Element, inner: Scope, gate: int | None, count: int, fan_in: int) -> list[int]:
        before: list[int] = []
        every: list[int] = []
        while True:
            now = [self.task(element, inner, gate) for _ in range(max(1, -(-count // fan_in)))]
            for at, number in enumerate(before):
                self.link(number, now[at // fan_in])
            every += now
            if len(now) == 1:
                return every
            before, count = now, len(now)

    def wired(self) -> Course:
        """All are placed, so that what each needs can be found."""
        course = self.course
        for number, element in self.gates:
            for need in element.needs:
                end = course.ends.get(target_of(need, course.scopes[number]))
                if end is not None:
                    self.link(end, number)
        return course
