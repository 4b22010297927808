"""How long a plan takes, without the scheduler: a few plays of its course, or its longest chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import hypot, log

from stretto.errors import StrettoError
from stretto.estimate.course import Course, Pools, course_of
from stretto.estimate.middle import MIDDLE, Places, Spread, draws_of, middle_of, time_of
from stretto.estimate.pieces import Piece, drawn
from stretto.models.catalogue import UNKNOWN_RATES, Catalogue
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Plan
from stretto.scheduler.pools import SLOTS, UNBOUNDED

DRAWS = 61
"""Equally likely times of a task, and plays of a small plan: a prime, so that each play takes another one."""
PLAYED = 1_500
"""Of a larger plan there are as many plays as look at so many tasks, at least one."""
SMALL = 300
"""Tasks of a plan that is played again when something is changed; of a larger one its longest chain."""
LARGE = 20_000
"""With more tasks than this one play takes too long: then a list counts as one item, times its waves."""
VISITS = 300_000
"""Tasks that may be looked at for changes (each counts twice in a play): about 0.3 s. A count and no clock,
so that the same plan always gets the same answers."""

Draws = list[int]
"""Microseconds."""
Changed = Callable[[Course], Course]


class Pace:
    """Times of one plan, as it is and changed; the same luck for both, so that small differences count."""

    def __init__(
        self, plan: Plan, graph: Graph, catalogue: Catalogue, pieces: Iterable[Piece], places: Places
    ):
        self._plan = plan
        self._graph = graph
        self._catalogue = catalogue
        self._pieces = {piece.element: piece for piece in pieces}
        self._places = places
        self._tables: dict[tuple[object, ...], Draws] = {}
        self._spreads: dict[tuple[object, ...], Spread] = {}
        self.visits = VISITS

    # What is asked

    @cached_property
    def seconds(self) -> float | None:
        """How long the plan takes; None where its tasks wait for each other."""
        seconds = self._played_s(self._course, self._draws, self._pools)
        return None if seconds is None else max(seconds, self._by_rates_s({}))

    def saved_s(self, changed: Changed, swapped: Mapping[Element, tuple[Piece, float]]) -> float | None:
        """How much earlier it ends with another course, and with other tasks: (the task, how many times as
        slow). None: the change makes tasks wait for each other, or there were too many questions."""
        size, small = len(self._course.wait), self._tasks <= SMALL
        cost = 2 * size * self._plays() if small else size
        if self.visits < cost or self.seconds is None:
            return None
        self.visits -= cost
        course = changed(self._course)
        draws, pools = self._draws, self._pools
        instead = {element: piece for element, (piece, _) in swapped.items()}
        if swapped:
            draws = draws | {element: self._table(*swap) for element, swap in swapped.items()}
            pools = self._pools_of(instead)
        if small:
            seconds = self._played_s(course, draws, pools)
            return None if seconds is None else self.seconds - max(seconds, self._by_rates_s(instead))
        least = course.least_us(_means(course, draws), pools)
        return None if least is None else self.seconds * (1 - least / max(1.0, self._least_us))

    # The plan as it is

    @cached_property
    def _is_large(self) -> bool:
        return sum(self._count(piece) for piece in self._pieces.values()) > LARGE

    def _count(self, piece: Piece) -> float:
        return self._places.counts(self._places.width(piece))[MIDDLE]

    @cached_property
    def _course(self) -> Course:
        grown = {}
        for piece in self._pieces.values():
            owner = piece.element.owner
            if piece.grown and owner is not None:
                share = self._places.share(f"{piece.element.path} grown", MIDDLE)
                grown[owner] = piece.element, 1 if self._is_large else drawn(piece.most, share)
        return course_of(self._graph, self._length, grown)

    @cached_property
    def _tasks(self) -> int:
        return len(self._course.tasks)

    def _length(self, element: Element) -> int:
        length = self._places.lengths(element)[MIDDLE]
        return min(1, length) if self._is_large else length

    @cached_property
    def _draws(self) -> dict[Element, Draws]:
        return {element: self._table(piece) for element, piece in self._pieces.items()}

    @cached_property
    def _pools(self) -> Pools:
        return self._pools_of({})

    @cached_property
    def _least_us(self) -> float:
        return self._course.least_us(_means(self._course, self._draws), self._pools) or 0.0

    def _table(self, piece: Piece, slower: float = 1.0) -> Draws:
        waves = max(1.0, self._count(piece) / self._plan.limits.parallel) if self._is_large else 1.0
        key = (_alike(piece), slower * waves)
        found = self._tables.get(key)
        if found is None:
            seconds = draws_of(piece, DRAWS)
            found = self._tables[key] = [max(1, int(1e6 * slower * waves * s + 0.5)) for s in seconds]
        return found

    def _pools_of(self, instead: dict[Element, Piece]) -> Pools:
        """The slots of each agent and model; one pool for all where no such limit can bind."""
        limits = self._plan.limits
        pieces = self._pieces | instead
        agents = list(dict.fromkeys(piece.agent.partition(":")[0] for piece in pieces.values()))
        of_agent = [limits.slots.get(agent, SLOTS.get(agent, UNBOUNDED)) for agent in agents]
        of_model: dict[tuple[str, str], int] = {}
        for words, slots in limits.slots.items():
            agent, _, name = words.partition("/")
            if name:
                of_model[agent, self._id_of(name, agent)] = slots
        if not of_model and all(slots >= limits.parallel for slots in of_agent):
            return Pools(limits.parallel, dict.fromkeys(pieces, 0), [UNBOUNDED], [0], [UNBOUNDED])
        keys = {element: _pool_of(piece) for element, piece in pieces.items()}
        every = {key: number for number, key in enumerate(dict.fromkeys(keys.values()))}
        return Pools(
            limits.parallel,
            {element: every[key] for element, key in keys.items()},
            [of_model.get(key, UNBOUNDED) for key in every],
            [agents.index(agent) for agent, _ in every],
            of_agent,
        )

    def of(self, piece: Piece) -> Spread:
        """The time of one instance; tasks that are alike share it."""
        key = _alike(piece)
        found = self._spreads.get(key)
        if found is None:
            found = self._spreads[key] = time_of(piece)
        return found

    def _id_of(self, name: str, agent: str) -> str:
        """The model that a name means; of a name that means none, itself: no task has it."""
        try:
            return self._catalogue.resolve(name, agent).id
        except StrettoError:
            return name

    # Plays

    def _plays(self) -> int:
        """An odd number, so that one of them is in the middle."""
        return min(DRAWS, PLAYED // max(1, self._tasks)) | 1

    def _played_s(self, course: Course, draws: Mapping[Element, Draws], pools: Pools) -> float | None:
        """The middle of some plays. Each task takes its times in an order of its own."""
        rows = [
            (number, draws[element], 1 + luck % (DRAWS - 1), luck // DRAWS % DRAWS)
            for number, (element, luck) in enumerate(zip(course.whose, course.luck, strict=True))
            if element is not None
        ]
        sure = all(table[0] == table[-1] for _, table, _, _ in rows)
        took_us = [0] * len(course.wait)
        found: list[int] = []
        for play in range(1 if sure else self._plays()):
            for number, table, turn, first in rows:
                took_us[number] = table[(first + turn * play) % DRAWS]
            us = course.played_us(took_us, pools)
            if us is None:
                return None
            found.append(us)
        if sure or not self._doubt:
            return sorted(found)[len(found) // 2] / 1e6
        return middle_of([(0.0, log(max(1, us)), self._doubt) for us in found]) / 1e6

    @cached_property
    def _doubt(self) -> float:
        """How unsure the time of the whole is because means are, beside the luck of each play: sources and
        families count by their share of all the work."""
        work: dict[str, float] = {}
        total = 0.0
        for piece in self._pieces.values():
            seconds = self._count(piece) * self.of(piece).mean
            total += seconds
            if piece.rungs and piece.known_seconds != "declared":
                made = piece.rungs[0].figure
                family = f"{made.source}/{piece.family}"
                work[made.source] = work.get(made.source, 0.0) + made.seconds_model_sd_log * seconds
                work[family] = work.get(family, 0.0) + made.seconds_mean_sd_log * seconds
        return hypot(*work.values()) / (total or 1.0)

    def _by_rates_s(self, instead: dict[Element, Piece]) -> float:
        """What the tokens and requests per minute take that models allow, after a first minute's worth."""
        asked: dict[str, list[float]] = {}
        for piece in (self._pieces | instead).values():
            if piece.rungs and self._catalogue.info(piece.rungs[0].model).rates != UNKNOWN_RATES:
                made, count = piece.rungs[0].figure, self._count(piece)
                amounts = (1.0, made.input_tokens + made.cache_write_tokens, made.output_tokens)
                total = asked.setdefault(piece.rungs[0].model, [0.0, 0.0, 0.0])
                total[:] = [sum_ + count * amount for sum_, amount in zip(total, amounts, strict=True)]
        minutes = [0.0]
        for model, total in asked.items():
            rates = self._catalogue.info(model).rates
            of_each = (rates.requests, rates.input_tokens, rates.output_tokens)
            minutes += [amount / rate - 1 for amount, rate in zip(total, of_each, strict=True) if rate]
        return 60 * max(minutes)


def _alike(piece: Piece) -> tuple[object, ...]:
    """All that the time of a task depends on."""
    same = (id(piece.rungs), id(piece.judge), piece.task.attempts)
    return (*same, piece.seconds, piece.seconds_sd_log, piece.known_seconds, piece.checks)


def _pool_of(piece: Piece) -> tuple[str, str]:
    return piece.agent.partition(":")[0], piece.rungs[0].model if piece.rungs else ""


def _means(course: Course, draws: Mapping[Element, Draws]) -> list[float]:
    """The mean time of each number."""
    mean = {id(table): sum(table) / DRAWS for table in draws.values()}
    return [0.0 if element is None else mean[id(draws[element])] for element in course.whose]
