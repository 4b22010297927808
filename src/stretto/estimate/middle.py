"""The middle of what a plan may cost, without samples: what an estimate shows as expected, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nlargest
from math import erf, exp, log, log1p, sqrt
from statistics import NormalDist
from typing import NamedTuple

from stretto.estimate.pieces import (
    CHECK_S,
    UNKNOWN_PARTS,
    Lump,
    Piece,
    Widths,
    drawn,
    eaches_of,
    length_at,
    merged_list,
    tries_of,
)
from stretto.estimate.worst import rounds_of
from stretto.models.figures import Figure
from stretto.plan.graph import Element

PLACES = 127
"""Points at which what is not known is looked at, spread evenly over what it may be; a prime, so that ..."""
TURN = 12
"""... the powers of this one (its primitive root) give every unknown an order of its own ..."""
MIDDLE = PLACES // 2
"""... and at this point each is at its middle."""
EVEN = 1e-4
"""A sum of less skew than this is of so many amounts that its first two moments do."""
FAMILIES = 16
"""Families whose doubts are told apart: of more the sum is smooth, and some may share one."""
STEPS = 60
EXACT = 1e-9
"""Of one point: so near to the middle the search ends."""
SURE = 0.95
"""From this chance on of passing at once, other tries are only a part of the mean."""
CLIMBERS = 2
"""Up to so many tasks that may take several tries are looked at each by itself: of more the sum is smooth."""
_NORMAL = NormalDist()


# Sums of log-normals


class Spread(NamedTuple):
    """Mean, variance and third central moment: of independent amounts each adds up."""

    mean: float = 0.0
    variance: float = 0.0
    third: float = 0.0

    def plus(self, other: Spread, times: float = 1.0) -> Spread:
        """This many of the other beside it."""
        return Spread(
            self.mean + times * other.mean,
            self.variance + times * other.variance,
            self.third + times * other.third,
        )

    def scaled(self, factor: float) -> Spread:
        """The same amount in another unit."""
        return Spread(factor * self.mean, factor**2 * self.variance, factor**3 * self.third)

    @property
    def middle(self) -> float:
        """What it is as often below as above."""
        shift, log_middle, _ = fit(self)
        return shift + exp(log_middle)


def spread_of(tries: Sequence[tuple[float, float, float]]) -> Spread:
    """A sum of log-normals (mean, spread of the logarithm, chance that the next one comes at all)."""
    first = second = third = 0.0
    for mean, sd_log, again in reversed(tries):
        w = exp(sd_log**2)
        one, two, three = mean, mean**2 * w, mean**3 * w**3
        second, third = again * second, again * third
        first = again * first
        third = three + 3 * two * first + 3 * one * second + third
        second = two + 2 * one * first + second
        first += one
    variance = second - first**2
    if variance <= 1e-12 * second:
        return Spread(first)
    return Spread(first, variance, third - 3 * first * second + 2 * first**3)


def fit(spread: Spread) -> tuple[float, float, float]:
    """The log-normal with the same three moments: how far it is shifted, its middle and spread as logarithms.

    Of one log-normal this is itself; the middle of a sum comes out within 5 %, of sums that share a doubt
    (see `Doubt`) within 2 %.
    """
    mean, variance, third = spread
    if mean <= 0 or variance <= 1e-12 * mean**2 or third <= 0:
        return 0.0, log(mean) if mean > 0 else -1e3, 0.0
    skew = third / variance**1.5
    if skew < EVEN:
        sd_log = sqrt(log1p(variance / mean**2))
        return 0.0, log(mean) - sd_log**2 / 2, sd_log
    root = (1 + skew**2 / 2 + skew * sqrt(1 + skew**2 / 4)) ** (1 / 3)
    w = root + 1 / root - 1
    own = sqrt(variance / (w - 1))
    return mean - own, log(own) - log(w) / 2, sqrt(log(w))


# What is not known, and at which point of it


class Width(NamedTuple):
    """How many of a task there are: a number, times the lengths that only the run will tell."""

    sure: float
    lists: tuple[Element, ...] = ()
    merged: tuple[Element | None, int] | None = None
    """Of a reduction: the list that it merges, if it is one, and how many values at once."""
    grown: str = ""
    """The path of the task that a planner will add several of."""
    most: int = 1
    """How many of them there are thought to be at most."""

    @property
    def is_sure(self) -> bool:
        return not self.lists and self.merged is None and not self.grown


class Doubt(NamedTuple):
    """How unsure a mean is: tasks that lean on one source, or are of one family there, share it."""

    source: str = ""
    source_sd: float = 0.0
    family: str = ""
    family_sd: float = 0.0


NO_DOUBT = Doubt()


class Places:
    """What each thing that is not known comes to at each point: lengths of lists, and doubts of means."""

    def __init__(self, widths: Widths):
        self._widths = widths
        self._turns: dict[str, int] = {}
        self._lengths: dict[str, list[int]] = {}
        self._factors: dict[Doubt, list[float]] = {}
        self._of: dict[Element, Width] = {}
        self._counts: dict[Width, list[float]] = {}
        self._means: dict[tuple[Width, Doubt], float] = {}

    def share(self, whose: str, place: int) -> float:
        """Which share of all that it may be stays below."""
        turn = self._turns.setdefault(whose, pow(TURN, len(self._turns), PLACES))
        return ((place - MIDDLE) * turn + MIDDLE) % PLACES / PLACES + 0.5 / PLACES

    def lengths(self, element: Element) -> list[int]:
        """Of a list, at each point."""
        found = self._lengths.get(element.path)
        if found is None:
            sure = self._widths.sure(element)
            found = self._lengths[element.path] = [
                length_at(element, self.share(element.path, place)) if sure is None else sure
                for place in range(PLACES)
            ]
        return found

    def width(self, piece: Piece) -> Width:
        """How many of a task there are, as far as that is sure."""
        found = self._of.get(piece.element)
        if found is None:
            found = self._of[piece.element] = self._width(piece)
        return found

    def _width(self, piece: Piece) -> Width:
        sure, lists, task = 1.0, [], piece.task
        for element in eaches_of(piece.element):
            length = self._widths.sure(element)
            if length is None:
                lists.append(element)
            else:
                sure *= length
        merged: tuple[Element | None, int] | None = None
        if task.reduce and task.each is None:
            merged = merged_list(piece.element), task.fan_in
            parts = UNKNOWN_PARTS if merged[0] is None else self._widths.sure(merged[0])
            if parts is not None:
                sure, merged = sure * rounds_of(parts, task.fan_in), None
        return Width(sure, tuple(lists), merged, piece.element.path if piece.grown else "", piece.most)

    def counts(self, width: Width) -> list[float]:
        """How many that is at each point."""
        found = self._counts.get(width)
        if found is None:
            found = self._counts[width] = [self._count(width, place) for place in range(PLACES)]
        return found

    def _count(self, width: Width, place: int) -> float:
        count = width.sure
        for element in width.lists:
            count *= self.lengths(element)[place]
        if width.merged is not None and width.merged[0] is not None:
            count *= rounds_of(self.lengths(width.merged[0])[place], width.merged[1])
        if width.grown:
            count *= drawn(width.most, self.share(f"{width.grown} grown", place))
        return count

    def mean(self, width: Width, doubt: Doubt = NO_DOUBT) -> float:
        """The mean number, each counted with how far off its mean is."""
        key = (width, doubt)
        found = self._means.get(key)
        if found is None:
            counts, factors = self.counts(width), self.factors(doubt)
            found = sum(count * factor for count, factor in zip(counts, factors, strict=True)) / PLACES
            self._means[key] = found
        return found

    def factors(self, doubt: Doubt) -> list[float]:
        """How far off a mean is at each point."""
        found = self._factors.get(doubt)
        if found is None:
            found = self._factors[doubt] = [self._factor(doubt, place) for place in range(PLACES)]
        return found

    def _factor(self, doubt: Doubt, place: int) -> float:
        off = 0.0
        if doubt.source_sd:
            off += doubt.source_sd * _NORMAL.inv_cdf(self.share(f"from {doubt.source}", place))
        if doubt.family_sd:
            off += doubt.family_sd * _NORMAL.inv_cdf(self.share(f"from {doubt.source}/{doubt.family}", place))
        return exp(off)


# Time


def time_of(piece: Piece, tries: int = 0) -> Spread:
    """How long one instance takes, its failed tries and their checks included.

    What tasks share of being unsure is left at its middle. With `tries` it is known how many there are.
    """
    judge = piece.judge
    check = (
        (judge.seconds, judge.seconds_sd_log)
        if judge is not None
        else (CHECK_S if piece.checks else 0.0, 0.0)
    )
    works = [(rung, 0.0 if last else 1 - rung.chance) for rung, last in tries_of(piece)]
    if not works:
        return spread_of([(piece.seconds, piece.seconds_sd_log, 1.0), (*check, 0.0)])
    found = []
    for number, (rung, again) in enumerate(works[:tries] if tries else works, 1):
        declared = piece.known_seconds == "declared"
        work = (piece.seconds, 0.0) if declared else (rung.figure.seconds, rung.figure.seconds_sd_log)
        found += [(*work, 1.0), (*check, float(number < tries) if tries else again)]
    return spread_of(found)


def draws_of(piece: Piece, count: int) -> list[float]:
    """So many equally likely times of one instance, from the shortest to the longest, with the right mean."""
    found: list[float] = []
    for up_to, tries in outcomes_of(piece) or [(1.0, 0)]:
        shift, log_middle, sd_log = fit(time_of(piece, tries))
        some = round(up_to * count) - len(found)
        inner = ((k + 0.5) / some for k in range(some))
        found += [shift + exp(log_middle + sd_log * _NORMAL.inv_cdf(share)) for share in inner]
    found.sort()
    scale = time_of(piece).mean * count / (sum(found) or 1.0)
    return [seconds * scale for seconds in found]


# Money


class Cost(NamedTuple):
    """What one instance of a task costs, in nano-dollars."""

    declared: float = 0.0
    doubted: tuple[tuple[Doubt, Spread], ...] = ()
    unknown: bool = False
    """It may ask a model whose price is not known."""

    @property
    def mean(self) -> float:
        """With every doubt at its middle."""
        return self.declared + sum(spread.mean for _, spread in self.doubted)

    def scaled(self, factor: float) -> Cost:
        doubted = tuple((doubt, spread.scaled(factor)) for doubt, spread in self.doubted)
        return Cost(self.declared * factor, doubted, self.unknown)


def cost_of(piece: Piece, tries: int = 0, family: str = "") -> Cost:
    """Of one instance, its failed tries and their judges included; nothing where a group declares it.

    With `tries` it is known how many there are. `family` is the name that its doubts go by.
    """
    if piece.is_declared:
        return Cost(float(piece.declared_nusd or 0) if piece.lump is None else 0.0, (), False)
    works = [(rung.figure, 0.0 if last else 1 - rung.chance) for rung, last in tries_of(piece)]
    if tries:
        works = [(made, float(number < tries)) for number, (made, _) in enumerate(works[:tries], 1)]
    judges = [] if piece.judge is None else [(piece.judge, again) for _, again in works]
    doubted = [
        (doubt, spread_of([_priced(made, again, doubt_of(made, family) == doubt) for made, again in tried]))
        for tried in (works, judges)
        for doubt in dict.fromkeys(doubt_of(made, family) for made, _ in tried)
    ]
    return Cost(0.0, tuple(doubted), any(made.nusd is None for made, _ in (*works, *judges)))


def outcomes_of(piece: Piece) -> list[tuple[float, int]]:
    """Of the numbers of tries that it may take, how likely each is: (share of all up to this one, tries)."""
    found, left = [], 1.0
    for number, (rung, last) in enumerate(tries_of(piece), 1):
        left *= 0.0 if last else 1 - rung.chance
        found.append((1 - left, number))
    return found


def climbs(piece: Piece) -> bool:
    """Whether it is an open question how many tries it takes: then its cost has several middles."""
    return not piece.is_declared and (len(piece.rungs) > 1 or any(r.chance < SURE for r in piece.rungs))


def doubt_of(made: Figure, family: str) -> Doubt:
    """What its mean shares with those of other tasks; rounded, so that few differ in nothing but a shade."""
    source_sd, family_sd = round(made.model_sd_log, 1), round(made.mean_sd_log, 1)
    return Doubt(made.source, source_sd, family if family_sd else "", family_sd)


def _priced(made: Figure, again: float, counts: bool) -> tuple[float, float, float]:
    return (made.nusd or 0.0) if counts else 0.0, made.sd_log, again


class _Row:
    """The sums over all tasks of which there are equally many."""

    __slots__ = ("declared", "doubted")

    def __init__(self, declared: float = 0.0, doubted: Mapping[Doubt, Spread] | None = None):
        self.declared = declared
        self.doubted = dict(doubted or {})

    def add(self, cost: Cost, times: float) -> None:
        self.declared += times * cost.declared
        for doubt, spread in cost.doubted:
            self.doubted[doubt] = self.doubted.get(doubt, Spread()).plus(spread, times)


class Money:
    """What tasks cost together, as sums in which one task can be exchanged without a look at the others."""

    def __init__(self, places: Places):
        self._places = places
        self._rows: dict[Width, _Row] = {}
        self._lumps: dict[str, Lump] = {}
        self._of_lump: dict[str, float] = {}
        """How many instances share a lump."""
        self._climbers: dict[str, Piece] = {}
        self._costs: dict[tuple[object, ...], Cost] = {}
        self._families: dict[str, int] = {}
        self.unknown = 0
        """How many tasks may ask a model whose price is not known."""

    def cost(self, piece: Piece, tries: int = 0) -> Cost:
        """As `cost_of` says; tasks that are alike share it."""
        if piece.is_declared:
            return cost_of(piece)
        key = (id(piece.rungs), id(piece.judge), piece.task.attempts, piece.family, tries)
        found = self._costs.get(key)
        if found is None:
            number = self._families.setdefault(piece.family, len(self._families)) % FAMILIES
            found = self._costs[key] = cost_of(piece, tries, str(number))
        return found

    def add(self, piece: Piece, cost: Cost | None = None, times: int = 1) -> None:
        """Adds (or, -1 times, takes away) all instances of a task, which may cost something else."""
        cost = self.cost(piece) if cost is None else cost
        width = self._places.width(piece)
        if width.is_sure:  # then 10,000 tasks are still one row
            row = self._rows.setdefault(Width(1.0), _Row())
            row.add(cost, times * width.sure)
        else:
            row = self._rows.setdefault(width, _Row())
            row.add(cost, times)
        if width.is_sure and climbs(piece) and cost == self.cost(piece):
            for number in range(min(CLIMBERS, int(width.sure))):
                if times > 0:
                    self._climbers[f"{piece.element.path}.{number}"] = piece
                else:
                    del self._climbers[f"{piece.element.path}.{number}"]
        if cost.unknown:
            self.unknown += times
        if piece.lump is not None and self._places.mean(width):
            path = piece.lump.path
            self._lumps[path] = piece.lump
            self._of_lump[path] = self._of_lump.get(path, 0.0) + times * self._places.mean(width)

    def copy(self) -> Money:
        found = Money(self._places)
        found._rows = {width: _Row(row.declared, row.doubted) for width, row in self._rows.items()}
        found._lumps, found._of_lump = dict(self._lumps), dict(self._of_lump)
        found._climbers = dict(self._climbers)
        found._costs, found._families, found.unknown = self._costs, self._families, self.unknown
        return found

    @property
    def sure_nusd(self) -> float:
        """The part that is declared, and of which the number is known."""
        row = self._rows.get(Width(1.0))
        return sum(lump.nusd for lump in self._lumps.values()) + (row.declared if row is not None else 0.0)

    def share_of_lump(self, piece: Piece) -> float:
        """Of a total that a group declares, by the number of instances."""
        if piece.lump is None or piece.lump.path not in self._lumps:
            return 0.0
        count = self._places.mean(self._places.width(piece))
        return piece.lump.nusd * count / self._of_lump[piece.lump.path]

    def means(self, piece: Piece, cost: Cost | None = None) -> tuple[float, float]:
        """The mean of all instances of one task: what is sure of it, and what is not."""
        cost = self.cost(piece) if cost is None else cost
        width, mean = self._places.width(piece), self._places.mean
        declared = cost.declared * mean(width)
        doubted = sum(spread.mean * mean(width, doubt) for doubt, spread in cost.doubted)
        return (declared, doubted) if width.is_sure else (0.0, declared + doubted)

    def nusd(self) -> float:
        """The middle of what may be, in whole nano-dollars; what has no price counts nothing."""
        found = []
        for declared, doubted in self._points():
            shift, log_middle, sd_log = fit(doubted)
            found.append((declared + shift, log_middle, sd_log))
        return float(round(middle_of(found)))

    def _points(self) -> list[tuple[float, Spread]]:
        """What is declared and what is not, at each point; one is enough where nothing is in doubt."""
        lumps = sum(lump.nusd for lump in self._lumps.values())
        rows = [(self._places.counts(width), row) for width, row in self._rows.items()]
        if all(width.is_sure and not row.doubted for width, row in self._rows.items()):
            return [(lumps + sum(row.declared for _, row in rows), Spread())]
        declared = [float(lumps)] * PLACES
        doubted = [Spread()] * PLACES
        for counts, row in rows:
            declared = [sum_ + count * row.declared for sum_, count in zip(declared, counts, strict=True)]
            for doubt, spread in row.doubted.items():
                factors = self._places.factors(doubt)
                doubted = [
                    sum_.plus(spread.scaled(factor), count)
                    for sum_, factor, count in zip(doubted, factors, counts, strict=True)
                ]
        for whose, piece in self._widest():
            doubted = self._climbed(doubted, whose, piece)
        return list(zip(declared, doubted, strict=True))

    def _widest(self) -> list[tuple[str, Piece]]:
        """The few of the climbing tasks whose cost varies most."""

        def variance(climber: tuple[str, Piece]) -> float:
            return sum(spread.variance for _, spread in self.cost(climber[1]).doubted)

        return nlargest(CLIMBERS, self._climbers.items(), key=variance)

    def _climbed(self, totals: list[Spread], whose: str, piece: Piece) -> list[Spread]:
        """At each point with as many tries of a task as it takes there, instead of their mean."""
        mean = self.cost(piece)
        outcomes = [(up_to, self.cost(piece, tries)) for up_to, tries in outcomes_of(piece)]
        found = []
        for place, total in enumerate(totals):
            share, sum_ = self._places.share(whose, place), total
            taken = next(cost for up_to, cost in outcomes if share < up_to)
            for times, cost in ((-1.0, mean), (1.0, taken)):
                for doubt, spread in cost.doubted:
                    sum_ = sum_.plus(spread.scaled(self._places.factors(doubt)[place]), times)
            found.append(sum_)
        return found


def middle_of(found: Sequence[tuple[float, float, float]]) -> float:
    """The middle of equally likely shifted log-normals (shift, middle and spread of the logarithm).

    By false position, as in the Illinois method: where one end stays twice its weight is halved.
    """
    middles = sorted(shift + exp(log_middle) for shift, log_middle, _ in found)
    low, high, half = middles[0], middles[-1], len(found) / 2
    if low == high or not any(sd_log for _, _, sd_log in found):
        return middles[len(found) // 2]
    few, many, at, was = -half, half, low, 0.0
    for _ in range(STEPS):
        at = (low * many - high * few) / (many - few)
        off = sum(_share_below(at - shift, log_middle, sd) for shift, log_middle, sd in found) - half
        if abs(off) < EXACT:
            break
        if off < 0:
            low, few, many = at, off, many / 2 if was < 0 else many
        else:
            high, many, few = at, off, few / 2 if was > 0 else few
        was = off
    return at


def _share_below(value: float, log_middle: float, sd_log: float) -> float:
    if value <= 0:
        return 0.0
    off = log(value) - log_middle
    if not sd_log:
        return float(off >= 0)
    return 0.5 + 0.5 * erf(off / sd_log / sqrt(2))
