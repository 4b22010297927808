"""What recorded attempts say of the next one: its mean, its spread, and how unsure the mean itself is.

Families of tasks are taken as draws from one model's whole work. A family's own mean counts as far as it is
known (random effects), a longer prompt asks for more (elasticity), and how unsure all this is stays with the
figure: tasks that share a mean are wrong together, so over many of them spreads average out, this does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, expm1, log, log1p, sqrt
from typing import NamedTuple

from stretto.models.outcome import Outcome

MOST = 2_000
"""The newest attempts of one model that are looked at."""
EFFORTS = {"low": 0.5, "medium": 0.65, "high": 1.0, "xhigh": 1.4, "max": 2.0}
"""Money and time beside high effort; recorded: medium takes 0.57-0.74 of it."""
SPREAD = 0.6
"""Spread of single tasks (of their logarithm) before any was seen: recorded coding work has 0.5-0.7 ..."""
SPREAD_WEIGHT = 0.5
"""... and so many tasks outvote it."""
FAMILY_SPREAD = 0.1
"""The same of the means of families ..."""
FAMILY_WEIGHT = 12.0
"""... and so many families outvote it."""
OWN_LEAST = 4
"""A family may have a spread of its own from so many tasks on."""
ELASTICITY = 0.5
"""Twice the words ask for 1.4 times the work, before anything was seen ..."""
ELASTICITY_SD = 0.25
BEYOND = 1.5
"""A prompt longer (or shorter) than all that were seen counts as at most so much longer than the longest."""
UPPER = 0.28
"""How much of the spread is taken from the upper half of the logarithms, which makes the tail of a sum, and
how much from plain relative deviations, which few figures without their tail make too small."""
STALL = 5.0
"""An attempt that took longer by so many deviations than its tokens explain waited for something else ..."""
LEAST_STALL_SD = 0.1
SHARED = 0.78
"""What part of the uncertainty of means is kept: with all of it ranges were wider than they had to be."""
MOST_SQUARE = 9.0
"""No relative variance counts for more: one attempt in thousands must not widen everything."""
PASSES = 3
AGAIN = 0.24
"""Spread of the same task done again: recorded median error 16 %."""


class Attempt(NamedTuple):
    """One recorded attempt, as it would have been at high effort."""

    family: str
    signature: str
    size: int
    """Tokens of what it was asked; 0: unknown."""
    nusd: float
    seconds: float
    calls: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int


class Expected(NamedTuple):
    """What the next attempt will take: a log-normal, whose mean is itself known only so well."""

    mean: float
    sd_log: float
    family_sd_log: float
    """Uncertainty of the mean that all tasks of the family share ..."""
    model_sd_log: float
    """... and that all tasks of the model share."""
    n: int
    """Attempts of this family (of this very task, where it was seen) behind it."""


class Measured:
    """All recorded attempts by model, and what they say; each is taken in in constant time."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[bool, str, str], list[Attempt]] = {}
        self._fits: dict[tuple[bool, str, str], tuple[int, Fit, Fit]] = {}

    def add(self, outcome: Outcome) -> None:
        """Takes one outcome in; what a pretender did stays apart."""
        if outcome.role not in ("work", "check"):
            return
        factor = EFFORTS.get(outcome.effort, 1.0)
        key = (outcome.agent == "simulated", outcome.model, outcome.role)
        attempt = Attempt(
            outcome.family,
            outcome.signature,
            outcome.size,
            outcome.cost_nusd / factor,
            outcome.seconds / factor,
            outcome.calls,
            outcome.input_tokens,
            outcome.cache_read_tokens,
            outcome.cache_write_tokens,
            outcome.output_tokens,
        )
        self._attempts.setdefault(key, []).append(attempt)

    def models(self, pretended: bool, role: str) -> Iterable[str]:
        """Every model of which something is recorded."""
        return (model for was, model, of in self._attempts if was == pretended and of == role)

    def attempts(self, pretended: bool, model: str, role: str) -> Sequence[Attempt]:
        return self._attempts.get((pretended, model, role), ())

    def fits(self, pretended: bool, model: str, role: str) -> tuple[Fit, Fit]:
        """What a model's attempts say of money and of time."""
        key = (pretended, model, role)
        attempts = self._attempts[key]
        known = self._fits.get(key)
        if known is None or known[0] != len(attempts):
            newest = attempts[-MOST:]
            money = Fit([(a.family, a.signature, a.size, a.nusd) for a in newest])
            time = Fit(
                [(a.family, a.signature, a.size, s) for a, s in zip(newest, unstalled(newest), strict=True)]
            )
            known = self._fits[key] = (len(attempts), money, time)
        return known[1], known[2]


def unstalled(attempts: Sequence[Attempt]) -> list[float]:
    """Seconds, of stalled attempts only as many as their tokens explain.

    A stall says nothing of how long the next attempts will work; one in fifty moves their mean by a third.
    """
    speeds = [log(a.seconds / a.output_tokens) for a in attempts if a.output_tokens > 0 and a.seconds > 0]
    if len(speeds) < 4:
        return [a.seconds for a in attempts]
    middle = median(speeds)
    sd = max(LEAST_STALL_SD, 1.4826 * median([abs(speed - middle) for speed in speeds]))
    slowest = exp(middle + STALL * sd)
    return [min(a.seconds, a.output_tokens * slowest) if a.output_tokens > 0 else a.seconds for a in attempts]


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class _Family:
    """One family while its mean is being found."""

    __slots__ = ("mean", "n", "own", "spread", "trust", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.n = 0
        self.own = 0.0
        """Its plain mean."""
        self.mean = 0.0
        """Its mean as far as it may be trusted, between its own and everybody's."""
        self.trust = 0.0
        self.spread = 0.0
        """Variance relative to the mean, squared."""


class Fit:
    """What (family, signature, size, value) of one model say of the next value; values of 0 say nothing."""

    def __init__(self, rows: Sequence[tuple[str, str, int, float]]):
        self.rows = [row for row in rows if row[3] > 0]
        self.n = len(self.rows)
        sizes = [size for _, _, size, _ in self.rows if size > 0]
        self.sizes = (min(sizes), max(sizes)) if sizes else ()
        self.families: dict[str, _Family] = {}
        self.centre, self.elasticity, self.elasticity_sd = 0.0, ELASTICITY, ELASTICITY_SD
        self.mean = self.unsure = 0.0
        self.between, self.spread = FAMILY_SPREAD**2, expm1(SPREAD**2)
        if not self.n:
            return
        self._find_elasticity()
        for family, _, size, value in self.rows:
            self.families.setdefault(family, _Family()).values.append(value / self._scale(size))
        for found in self.families.values():
            found.n = len(found.values)
            found.own = sum(found.values) / found.n
        for _ in range(PASSES):
            self._find_means()
            self._find_spreads()
        self._again = self._by_signature()

    def expected(self, family: str, signature: str = "", size: int = 0) -> Expected:
        """The next attempt at a task of this family and size."""
        size = self._near(size)
        found = self.families.get(family)
        if found is None:
            trust, mean, spread, n = 0.0, self.mean, self.spread, 0
            family_variance = self.between
        else:
            trust, mean, spread, n = found.trust, found.mean, found.spread, found.n
            family_variance = trust * spread / n
        lean = self.elasticity_sd * (log(size) - self.centre) if size > 0 and self.centre else 0.0
        variance = (1 - trust) ** 2 * self.unsure + lean**2
        mean *= self._scale(size)
        within = log1p(spread)
        seen = self._again.get(signature) if signature else None
        if seen is not None:
            return self._again_expected(seen, mean, within)
        # The mean of few skewed figures is more often too low than too high: the mean that is to be expected
        # is above it by a factor exp(variance), of which the spread that is kept brings a part by itself.
        mean *= exp((1 - SHARED**2 / 2) * (family_variance + variance))
        return Expected(mean, sqrt(within), SHARED * sqrt(family_variance), SHARED * sqrt(variance), n)

    def _again_expected(self, seen: tuple[int, float], mean: float, within: float) -> Expected:
        """The same task was done before: its own mean counts by how much less it varies than others do."""
        n, logs = seen
        between = max(0.05, within - AGAIN**2)
        trust = between / (between + AGAIN**2 / n)
        level = trust * (logs / n) + (1 - trust) * (log(mean) - within / 2)
        unsure = trust * AGAIN**2 / n
        return Expected(exp(level + AGAIN**2 / 2), sqrt(AGAIN**2 + unsure), 0.0, 0.0, n)

    def _near(self, size: int) -> int:
        """The size, but not far outside of what was seen: a line through few prompts leads nowhere there."""
        if size <= 0 or not self.sizes:
            return size
        smallest, largest = self.sizes
        return max(min(size, round(BEYOND * largest)), round(smallest / BEYOND))

    def _scale(self, size: int) -> float:
        return exp(self.elasticity * (log(size) - self.centre)) if size > 0 and self.centre else 1.0

    def _find_elasticity(self) -> None:
        """How work grows with the prompt: a line through logarithms, drawn towards the prior."""
        points = [(log(size), log(value)) for _, _, size, value in self.rows if size > 0]
        n = len(points)
        if not n:
            return
        self.centre = x = sum(p[0] for p in points) / n
        y = sum(p[1] for p in points) / n
        xx = sum((p[0] - x) ** 2 for p in points)
        if n < 4 or xx < 1e-9:
            return
        xy = sum((p[0] - x) * (p[1] - y) for p in points)
        rest = sum((p[1] - y - (p[0] - x) * xy / xx) ** 2 for p in points) / (n - 2) or 1e-9
        weight = 1 / ELASTICITY_SD**2 + xx / rest
        self.elasticity = (ELASTICITY / ELASTICITY_SD**2 + xy / rest) / weight
        self.elasticity_sd = 1 / sqrt(weight)

    def _find_means(self) -> None:
        """How much families differ, and how far each one's own mean may be trusted."""
        families = self.families.values()
        known = [family.n / self.spread for family in families]
        logs = [log(family.own) for family in families]
        total = sum(known)
        middle = sum(w * mean for w, mean in zip(known, logs, strict=True)) / total
        degrees = len(known) - 1
        found = 0.0
        if degrees:
            q = sum(w * (mean - middle) ** 2 for w, mean in zip(known, logs, strict=True))
            found = max(0.0, (q - degrees) / (total - sum(w * w for w in known) / total))
        self.between = (degrees * found + FAMILY_WEIGHT * FAMILY_SPREAD**2) / (degrees + FAMILY_WEIGHT)
        weights = [1 / (self.spread / family.n + self.between) for family in families]
        self.unsure = 1 / sum(weights)
        self.mean = sum(w * f.own for w, f in zip(weights, families, strict=True)) * self.unsure
        for family in families:
            family.trust = self.between / (self.between + self.spread / family.n)
            family.mean = family.trust * family.own + (1 - family.trust) * self.mean

    def _find_spreads(self) -> None:
        """How much tasks differ from the mean of their family: by family, drawn towards all together."""
        ratios = {name: [v / f.mean for v in f.values] for name, f in self.families.items()}
        middle = median([log(ratio) for family in ratios.values() for ratio in family])
        parts = {name: _squares(family, middle) for name, family in ratios.items()}
        lost = 1 + sum(family.trust for family in self.families.values())
        all_upper = sum(upper for upper, _ in parts.values())
        all_plain = sum(plain for _, plain in parts.values())
        left = max(0.0, self.n - lost)
        spread = _spread(all_upper, all_plain, self.n, max(1.0, left))
        self.spread = (left * spread + SPREAD_WEIGHT * expm1(SPREAD**2)) / (left + SPREAD_WEIGHT)
        own = {
            name: _spread(*parts[name], family.n, family.n - family.trust)
            for name, family in self.families.items()
            if family.n >= OWN_LEAST
        }
        differ = self._differences(own)
        for name, family in self.families.items():
            found = own.get(name, 0.0)
            trust = differ / (differ + _doubt(family.n)) if found > 0 else 0.0
            family.spread = self.spread * (found / self.spread) ** trust if trust else self.spread

    def _differences(self, own: dict[str, float]) -> float:
        """How much the spreads of families differ beyond chance, as a variance of logarithms."""
        apart = [(1 / _doubt(self.families[name].n), log(value)) for name, value in own.items() if value > 0]
        total = sum(weight for weight, _ in apart)
        degrees = len(apart) - 1
        if degrees < 1:
            return 0.0
        middle = sum(weight * value for weight, value in apart) / total
        q = sum(weight * (value - middle) ** 2 for weight, value in apart)
        return max(0.0, (q - degrees) / (total - sum(weight**2 for weight, _ in apart) / total))

    def _by_signature(self) -> dict[str, tuple[int, float]]:
        """(how often, sum of logarithms) of each task that was seen."""
        found: dict[str, tuple[int, float]] = {}
        for _, signature, _, value in self.rows:
            if signature:
                n, logs = found.get(signature, (0, 0.0))
                found[signature] = (n + 1, logs + log(value))
        return found


def _doubt(n: int) -> float:
    """The variance of the logarithm of a variance of so many skewed values: twice that of normal ones."""
    return 4 / (n - 1)


def _squares(ratios: list[float], middle: float) -> tuple[float, float]:
    """Sums of squares: of the upper half of the logarithms, doubled, and of plain deviations from 1."""
    upper = sum(2 * max(0.0, log(ratio) - middle) ** 2 for ratio in ratios)
    return upper, sum((ratio - 1) ** 2 for ratio in ratios)


def _spread(upper: float, plain: float, n: int, degrees: float) -> float:
    """Variance relative to the mean, squared."""
    tail = expm1(min(2.0, upper / n))
    found = (UPPER * tail + (1 - UPPER) * plain / n) * n / degrees
    return min(MOST_SQUARE, found)
