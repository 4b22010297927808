"""What a plan may cost: many samples at once of every task's money, tokens and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from stretto.estimate.pieces import (
    CHECK_S,
    UNKNOWN_PARTS,
    Piece,
    Widths,
    drawn,
    eaches_of,
    merged_list,
    tries_of,
)
from stretto.estimate.result import Range
from stretto.models.figures import Figure
from stretto.plan.graph import Element

if TYPE_CHECKING:
    from numpy import float64, intp
    from numpy.typing import NDArray

    Array = NDArray[float64]
    """One number per sample; of several tasks or parts one such row each."""

AT_ONCE = 256
"""Tasks of which all samples are drawn together."""
ONE_BY_ONE = 64
"""Up to so many tasks alike are drawn one by one; the sum of more at once, by its mean and spread."""
SHARES = (0.1, 0.5, 0.9)
ORDER = ("prior", "history", "declared")
"""From the least known to the best."""
JUDGE = "its judge"


@dataclass(slots=True)
class Row:
    """The points of a top-level part of the plan."""

    id: str
    tasks: Range
    nusd: Range
    """Only the least where something is `unknown`."""
    tokens: Range
    known: str
    known_seconds: str
    covered: int
    unknown: tuple[str, ...]
    """Tasks whose price is not known, each with its model."""


@dataclass(slots=True)
class Sums:
    """What samples of some tasks add up to, a row of numbers for each."""

    tasks: Array
    nusd: Array
    tokens: Array
    busy_s: Array


class Sampler:
    """Draws the samples. Tasks of one family share how wrong their mean is; lists share their length."""

    def __init__(self, widths: Widths, samples: int, seed: int):
        import numpy as np

        self.samples = samples
        self.random = np.random.default_rng(seed)
        self.rows: list[Row] = []
        zero = np.zeros((1, samples))
        self.total = Sums(zero, zero, zero, zero)
        self.unknown: list[str] = []
        self._widths = widths
        self._lists = Random(seed)
        self._lengths: dict[str, Array] = {}
        self._normals: dict[str, Array] = {}
        self._factors: dict[tuple[str, float, str, float], Array] = {}

    def add(self, pieces: Sequence[Piece]) -> None:
        """Draws every task, in plan order; afterwards `rows` and `total` are there."""
        for chunk in _chunks(pieces):
            sums, unknown = self._sums(chunk)
            self._reduce(chunk, sums, unknown)

    def width(self, piece: Piece) -> Array:
        """How many of a task there are in each sample."""
        import numpy as np

        width = np.ones(self.samples)
        for element in eaches_of(piece.element):
            width = width * self.length(element)
        task = piece.task
        if task.reduce and task.each is None:
            width = width * _rounds(self._parts(piece.element), task.fan_in)
        if piece.grown:
            width = width * self._draws(piece.element.path, piece.most)
        return width

    def left(self, piece: Piece) -> Array:
        """How many are still to be done: those without a kept result."""
        return (self.width(piece) - piece.covered).clip(0)

    def length(self, element: Element) -> Array:
        """The length of a list in each sample; the same for all tasks in it."""
        import numpy as np

        found = self._lengths.get(element.path)
        if found is None:
            known = self._widths.known(element)
            if known is not None:
                found = np.full(self.samples, float(known))
            else:
                draws = [self._widths.draw(element, self._lists) for _ in range(self.samples)]
                found = np.array(draws, dtype=float)
            self._lengths[element.path] = found
        return found

    # Sums

    def _sums(self, pieces: Sequence[Piece]) -> tuple[Sums, list[list[str]]]:
        import numpy as np

        shape = (len(pieces), self.samples)
        sums = Sums(*(np.zeros(shape) for _ in range(4)))
        unknown: list[list[str]] = [[] for _ in pieces]
        single: list[int] = []
        for place, piece in enumerate(pieces):
            if _is_single(piece):
                sums.tasks[place] = 1
                single.append(place)
            else:
                self._many(piece, place, sums, unknown[place])
        self._singles(pieces, single, sums, unknown)
        lumps: dict[str, list[int]] = {}
        for place, piece in enumerate(pieces):
            if piece.lump is not None:
                lumps.setdefault(piece.lump.path, []).append(place)
            elif piece.declared_nusd is not None:
                sums.nusd[place] += piece.declared_nusd * (sums.tasks[place] - piece.covered).clip(0)
        for places_of in lumps.values():
            # A total declared for a group is spent but for the share of its tasks that is covered.
            tasks = sums.tasks[places_of].sum(axis=0)
            left = (tasks - sum(pieces[place].covered for place in places_of)).clip(0)
            lump = pieces[places_of[0]].lump
            assert lump is not None
            sums.nusd[places_of[0]] += lump.nusd * np.where(tasks > 0, left / np.maximum(tasks, 1.0), 0.0)
        return sums, unknown

    def _many(self, piece: Piece, place: int, sums: Sums, unknown: list[str]) -> None:
        """A task that there may be several of, or none."""
        width = self.width(piece)
        sums.tasks[place] = width
        tries = (width - piece.covered).clip(0)
        if not piece.rungs:
            sums.busy_s[place] += piece.seconds * self.sums_of(tries, piece.seconds_sd_log)
        for rung, last in tries_of(piece):
            if not tries.any():
                return
            self._attempts(piece, rung.figure, rung.model, tries, place, sums, unknown)
            self._judged(piece, tries, place, sums, unknown)
            if not last:
                tries = self.random.binomial(tries.astype(int), 1 - rung.chance).astype(float)

    def _judged(self, piece: Piece, tries: Array, place: int, sums: Sums, unknown: list[str]) -> None:
        if piece.judge is not None:
            self._attempts(piece, piece.judge, JUDGE, tries, place, sums, unknown)
        elif piece.checks:
            sums.busy_s[place] += CHECK_S * tries

    def _attempts(
        self, piece: Piece, made: Figure, who: str, count: Array, place: int, sums: Sums, unknown: list[str]
    ) -> None:
        """Adds so many attempts in each sample."""
        money = self.sums_of(count, made.sd_log) * self._factor(piece, made)
        sums.tokens[place] += made.tokens * (count if made.known == "declared" else money)
        if not piece.is_declared:
            if made.nusd is None:
                unknown.append(f"{piece.element.path}: {who}")
            else:
                sums.nusd[place] += made.nusd * money
        time = self.sums_of(count, made.seconds_sd_log) * self._slowness(piece, made)
        sums.busy_s[place] += made.seconds * time

    def sums_of(self, count: Array, sd_log: float) -> Array:
        """For each sample the sum of so many log-normal numbers with mean 1."""
        import numpy as np

        if sd_log <= 0:
            return count
        most = int(count.max(initial=0))
        if most <= ONE_BY_ONE:
            draws = np.exp(sd_log * self.random.standard_normal((most, self.samples)) - sd_log**2 / 2)
            found: Array = np.where(np.arange(most)[:, None] < count, draws, 0.0).sum(axis=0)
            return found
        # The sum is again nearly log-normal, with the mean and variance that it must have.
        n = np.maximum(count, 1)
        sd = np.sqrt(np.log1p(np.expm1(sd_log**2) / n))
        sums = np.exp(sd * self.random.standard_normal(self.samples) - sd**2 / 2)
        return np.where(count > 0, n * sums, 0.0)

    # Tasks of which there is one each, many of them together

    def _singles(
        self, pieces: Sequence[Piece], places: list[int], sums: Sums, unknown: list[list[str]]
    ) -> None:
        import numpy as np

        asked = [place for place in places if pieces[place].rungs]
        for place in set(places).difference(asked):
            piece = pieces[place]
            ones = np.ones(self.samples)
            sums.busy_s[place] += piece.seconds * self.sums_of(ones, piece.seconds_sd_log)
        if not asked:
            return
        firsts = [pieces[place].rungs[0] for place in asked]
        shape = (len(asked), self.samples)
        money = self._draws_of([rung.figure.sd_log for rung in firsts], shape)
        time = self._draws_of([rung.figure.seconds_sd_log for rung in firsts], shape)
        failed = self.random.random(shape) >= np.array([rung.chance for rung in firsts])[:, None]
        everywhere = np.arange(self.samples)
        for k, place in enumerate(asked):
            piece = pieces[place]
            tries = tries_of(piece)
            rung, last = next(tries)
            drawn = (money[k], time[k])
            self._once(piece, rung.figure, rung.model, everywhere, drawn, place, sums, unknown[place])
            left = np.flatnonzero(failed[k])
            while left.size and not last:
                # Only in few samples is there another try, so only these are drawn.
                rung, last = next(tries)
                drawn = (self._few(rung.figure.sd_log, left), self._few(rung.figure.seconds_sd_log, left))
                self._once(piece, rung.figure, rung.model, left, drawn, place, sums, unknown[place])
                left = left[self.random.random(left.size) >= rung.chance]

    def _once(
        self,
        piece: Piece,
        made: Figure,
        who: str,
        at: NDArray[intp],
        drawn: tuple[Array, Array],
        place: int,
        sums: Sums,
        unknown: list[str],
    ) -> None:
        """Adds one attempt, and its check, in some of the samples."""
        money = drawn[0] * _at(self._factor(piece, made), at)
        sums.busy_s[place][at] += made.seconds * drawn[1] * _at(self._slowness(piece, made), at)
        sums.tokens[place][at] += made.tokens * (1.0 if made.known == "declared" else money)
        if not piece.is_declared:
            if made.nusd is None:
                unknown.append(f"{piece.element.path}: {who}")
            else:
                sums.nusd[place][at] += made.nusd * money
        judge = piece.judge
        if judge is not None and who != JUDGE:
            drawn = (self._few(judge.sd_log, at), self._few(judge.seconds_sd_log, at))
            self._once(piece, judge, JUDGE, at, drawn, place, sums, unknown)
        elif piece.checks:
            sums.busy_s[place][at] += CHECK_S

    def _few(self, sd_log: float, at: NDArray[intp]) -> Array:
        """A log-normal number with mean 1 for some of the samples."""
        import numpy as np

        if not sd_log:
            return np.ones(at.size)
        drawn: Array = np.exp(sd_log * self.random.standard_normal(at.size) - sd_log**2 / 2)
        return drawn

    def _draws_of(self, sd_logs: list[float], shape: tuple[int, int]) -> Array:
        """Log-normal numbers with mean 1, a row of samples for each spread."""
        import numpy as np

        sd = np.array(sd_logs)[:, None]
        if not sd.any():
            return np.ones(shape)
        found: Array = np.exp(sd * self.random.standard_normal(shape) - sd**2 / 2)
        return found

    # What tasks share

    def _factor(self, piece: Piece, made: Figure) -> Array | float:
        """How far off the mean of the money is in each sample, for all tasks that lean on the same."""
        return self._shared(piece.family, made.mean_sd_log, made.source, made.model_sd_log)

    def _slowness(self, piece: Piece, made: Figure) -> Array | float:
        return self._shared(piece.family, made.seconds_mean_sd_log, made.source, made.seconds_model_sd_log)

    def _shared(self, family: str, family_sd: float, source: str, source_sd: float) -> Array | float:
        import numpy as np

        if not family_sd and not source_sd:
            return 1.0
        key = (family, family_sd, source, source_sd)
        found = self._factors.get(key)
        if found is None:
            of_family = family_sd * self._normal(f"{source}/{family}") if family_sd else 0.0
            of_source = source_sd * self._normal(source) if source_sd else 0.0
            found = self._factors[key] = np.exp(of_family + of_source)
        return found

    def _normal(self, whose: str) -> Array:
        found = self._normals.get(whose)
        if found is None:
            found = self._normals[whose] = self.random.standard_normal(self.samples)
        return found

    # Lengths

    def _draws(self, path: str, most: int) -> Array:
        import numpy as np

        found = self._lengths.get(f"{path} grown")
        if found is None:
            draws = [drawn(most, self._lists.random()) for _ in range(self.samples)]
            found = self._lengths[f"{path} grown"] = np.array(draws, dtype=float)
        return found

    def _parts(self, element: Element) -> Array:
        """How many values a reduction merges."""
        import numpy as np

        merged = merged_list(element)
        return np.full(self.samples, float(UNKNOWN_PARTS)) if merged is None else self.length(merged)

    # Points

    def _reduce(self, pieces: Sequence[Piece], sums: Sums, unknown: list[list[str]]) -> None:
        """Adds the tasks of each top-level part together, and to the total."""
        import numpy as np

        ids = [piece.row for piece in pieces]
        starts = [k for k in range(len(ids)) if not k or ids[k] != ids[k - 1]]
        every = (sums.tasks, sums.nusd, sums.tokens)
        parts = [np.add.reduceat(values, starts, axis=0) for values in every]
        total = self.total
        before = (total.tasks, total.nusd, total.tokens, total.busy_s)
        sum_of = zip(before, [*parts, sums.busy_s], strict=True)
        self.total = Sums(*(was + part.sum(axis=0, keepdims=True) for was, part in sum_of))
        tasks, nusd, tokens = (ranges(part) for part in parts)
        for k, (start, end) in enumerate(zip(starts, [*starts[1:], len(ids)], strict=True)):
            own = pieces[start:end]
            missing = tuple(dict.fromkeys(what for row in unknown[start:end] for what in row))
            self.unknown += missing
            row = Row(
                id=ids[start],
                tasks=tasks[k],
                nusd=Range(*(float(round(point)) for point in nusd[k])),
                tokens=tokens[k],
                known=min((piece.known for piece in own), key=ORDER.index),
                known_seconds=min((piece.known_seconds for piece in own), key=ORDER.index),
                covered=sum(piece.covered for piece in own),
                unknown=missing,
            )
            self.rows.append(row)


def _chunks(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Whole top-level parts, about so many tasks at a time."""
    chunk: list[Piece] = []
    for _, part in groupby(pieces, key=lambda piece: piece.row):
        chunk += part
        if len(chunk) >= AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _is_single(piece: Piece) -> bool:
    task = piece.task
    return not piece.covered and not piece.grown and not task.reduce and not eaches_of(piece.element)


def _at(values: Array | float, at: NDArray[intp]) -> Array | float:
    return values if isinstance(values, float) else values[at]


def _rounds(parts: Array, fan_in: int) -> Array:
    """The calls of a reduction tree."""
    import numpy as np

    calls = np.zeros(parts.shape)
    left = np.maximum(parts, 1.0)
    unmerged = left >= 0
    while unmerged.any():
        left = np.maximum(1.0, np.ceil(left / max(2, fan_in)))
        calls = calls + np.where(unmerged, left, 0.0)
        unmerged = unmerged & (left > 1)
    return calls


def ranges(values: Array | Sequence[Sequence[float]]) -> list[Range]:
    """The 10, 50 and 90 % points of each row of samples; exact where all are the same."""
    import numpy as np

    every = np.asarray(values, dtype=float)
    if (every == every[:, :1]).all():
        return [Range(value, value, value) for value in every[:, 0].tolist()]
    points = np.quantile(every, SHARES, axis=1)
    return [Range(*column) for column in points.T.tolist()]


def money_of(values: Array) -> Range:
    """The points of one row of nano-dollars, in whole ones."""
    return Range(*(float(round(point)) for point in points_of(values)))


def points_of(values: Sequence[float] | Array) -> Range:
    """The same of one row."""
    import numpy as np

    return ranges(np.asarray(values, dtype=float).reshape(1, -1))[0]


def errors_of(values: Sequence[float] | Array) -> Range:
    """The standard error of each of these points, from the spread of the samples around it.

    The rank of a point among n samples has the spread sqrt(n p (1 - p)) (order statistics of a sample).
    """
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=float).ravel())
    found = []
    for share in SHARES:
        spread = (share * (1 - share) / ordered.size) ** 0.5
        below, above = np.quantile(ordered, [max(0.0, share - spread), min(1.0, share + spread)])
        found.append(float(above - below) / 2)
    return Range(*found)
