"""What happened to tasks before: outcomes by task, by family and by kind, for choices and estimates."""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

from stretto.models.measured import Measured
from stretto.models.outcome import Outcome as Outcome

LIGHTEST, HEAVIEST = 0.25, 4.0
"""Bounds of one outcome's weight by its cost, so that no single dear task outvotes a family."""
LEAST = 1e-6
"""Stands in for zero dollars or seconds where a logarithm is taken."""
FAMILY = 3.0
"""Families differ about as much as three tasks of one family do (variance within over variance between), so
what one family says of others weighs n / (n + 3), never more than 1, however many tasks it has."""


class Tally:
    """What attempts at work came to, of one model (or tier) in one place: a task, a family, a kind, all.

    `tried` and `passed` count only what a check stood behind, each attempt weighted by its cost relative to
    the mean of its family, so that `passed / tried` is a share of dollars (failures are the dear ones: the
    plain rate overstates it by up to 16 points). `after_*` are the same for attempts at a task on which
    another model had failed; these are not in `tried`. The other fields are plain sums over all attempts.
    """

    __slots__ = (
        "after_passed",
        "after_tried",
        "cache_read_tokens",
        "cache_write_tokens",
        "calls",
        "input_tokens",
        "log_nusd",
        "log_nusd_squares",
        "log_s",
        "log_s_squares",
        "n",
        "nusd",
        "ok",
        "output_tokens",
        "passed",
        "seconds",
        "tried",
    )

    def __init__(self) -> None:
        self.n = 0
        self.ok = 0
        self.tried = self.passed = 0.0
        self.after_tried = self.after_passed = 0.0
        self.nusd = 0
        self.seconds = 0.0
        self.log_nusd = self.log_nusd_squares = 0.0
        self.log_s = self.log_s_squares = 0.0
        self.calls = 0
        self.input_tokens = self.cache_read_tokens = self.cache_write_tokens = self.output_tokens = 0

    def count(self, outcome: Outcome, weight: float, *, after: bool) -> None:
        """Adds one attempt."""
        self.n += 1
        self.ok += outcome.ok
        if outcome.verified:
            if after:
                self.after_tried += weight
                self.after_passed += weight if outcome.ok else 0.0
            else:
                self.tried += weight
                self.passed += weight if outcome.ok else 0.0
        self.nusd += outcome.cost_nusd
        self.seconds += outcome.seconds
        dear, long = log(max(LEAST, outcome.cost_nusd / 1e9)), log(max(LEAST, outcome.seconds))
        self.log_nusd += dear
        self.log_nusd_squares += dear * dear
        self.log_s += long
        self.log_s_squares += long * long
        self.calls += outcome.calls
        self.input_tokens += outcome.input_tokens
        self.cache_read_tokens += outcome.cache_read_tokens
        self.cache_write_tokens += outcome.cache_write_tokens
        self.output_tokens += outcome.output_tokens

    @property
    def mean_nusd(self) -> float:
        return self.nusd / self.n if self.n else 0.0

    @property
    def mean_s(self) -> float:
        return self.seconds / self.n if self.n else 0.0

    @property
    def sd_log_nusd(self) -> float:
        """Standard deviation of the logarithm of dollars; 0 for fewer than two attempts."""
        return _sd(self.n, self.log_nusd, self.log_nusd_squares)

    @property
    def sd_log_s(self) -> float:
        """The same of seconds."""
        return _sd(self.n, self.log_s, self.log_s_squares)


def _sd(n: int, total: float, squares: float) -> float:
    return sqrt(max(0.0, (squares - total * total / n) / (n - 1))) if n > 1 else 0.0


NOTHING = Tally()
"""What a place holds where nothing was seen; never counted into."""


class Spread(NamedTuple):
    """What several families say together, each as one voice: `weight` voices, of which `passed` for yes."""

    weight: float = 0.0
    passed: float = 0.0
    after_weight: float = 0.0
    after_passed: float = 0.0

    def without(self, part: Spread) -> Spread:
        """The voices of the others."""
        return Spread(
            self.weight - part.weight,
            self.passed - part.passed,
            self.after_weight - part.after_weight,
            self.after_passed - part.after_passed,
        )

    def exchanged(self, old: Spread, new: Spread) -> Spread:
        """The same after one family has changed its voice."""
        return Spread(*(mine - was + now for mine, was, now in zip(self, old, new, strict=True)))


class Pair(NamedTuple):
    """Two models at the same tasks of one family: how many times, and what each cost in all."""

    n: int
    nusd: int
    other_nusd: int


class Ratios(NamedTuple):
    """The ratio of two models' costs as several families say it, each as one voice: their number and sum."""

    weight: float = 0.0
    total: float = 0.0

    def exchanged(self, old: Ratios, new: Ratios) -> Ratios:
        """The same after one family has changed its voice."""
        return Ratios(self.weight - old.weight + new.weight, self.total - old.total + new.total)

    def without(self, part: Ratios) -> Ratios:
        """The voices of the others."""
        return Ratios(self.weight - part.weight, self.total - part.total)


class Verdicts(NamedTuple):
    """What shadows said of accepted results."""

    judged: int
    wrong: int


class _Last(NamedTuple):
    """The newest attempt at a task."""

    model: str
    ok: bool
    cost_nusd: int


NO_SPREAD = Spread()
NO_PAIR = Pair(0, 0, 0)
NO_RATIOS = Ratios()
NO_VERDICTS = Verdicts(0, 0)


class History:
    """Outcomes counted as they come, each in constant time, by model and by tier.

    `who` is a model's id or a tier's name. Whatever is asked for and was never seen is empty, not absent.
    """

    def __init__(self) -> None:
        self.version = 0
        """How many outcomes were added."""
        self._tallies: dict[tuple[str, ...], Tally] = {}
        self._spreads: dict[tuple[str, ...], Spread] = {}
        self._pairs: dict[tuple[str, ...], Pair] = {}
        self._ratios: dict[tuple[str, ...], Ratios] = {}
        self._verdicts: dict[tuple[str, str], Verdicts] = {}
        self._last: dict[str, _Last] = {}
        self.measured = Measured()
        """What attempts took, for figures."""

    def add(self, outcome: Outcome) -> None:
        """Takes one outcome in; only work counts as work, of checks and shadows only the verdict is kept."""
        self.version += 1
        self.measured.add(outcome)
        if outcome.role == "work":
            self._add_work(outcome)
        elif outcome.role == "shadow":
            self._add_verdict(outcome)

    def knows(self, signature: str) -> bool:
        """Whether this very task was tried before."""
        return signature in self._last

    # What was seen, by place

    def of_task(self, signature: str, who: str) -> Tally:
        return self._tallies.get((signature, who, "", "task"), NOTHING)

    def of_family(self, family: str, kind: str, who: str) -> Tally:
        return self._tallies.get((family, kind, who), NOTHING)

    def of_kind(self, kind: str, who: str) -> Tally:
        return self._tallies.get((kind, who), NOTHING)

    def of_all(self, who: str) -> Tally:
        return self._tallies.get((who,), NOTHING)

    def other_families(self, family: str, kind: str, who: str) -> Spread:
        """What the other families of this kind of work say of a model or tier."""
        whole = self._spreads.get((kind, who))
        return NO_SPREAD if whole is None else whole.without(_voice(self.of_family(family, kind, who)))

    def other_kinds(self, kind: str, who: str) -> Spread:
        """What the families of other kinds of work say of a model or tier."""
        whole = self._spreads.get((who,))
        return NO_SPREAD if whole is None else whole.without(self._spreads.get((kind, who), NO_SPREAD))

    def pair(self, family: str, kind: str, model: str, other: str) -> Pair:
        """Costs of two models, by id, at the same tasks of a family."""
        return self._pairs.get((family, kind, model, other), NO_PAIR)

    def ratios(self, family: str, kind: str, model: str, other: str) -> Ratios:
        """What all families but this one say of the ratio of two models' costs."""
        whole = self._ratios.get((model, other))
        return NO_RATIOS if whole is None else whole.without(_ratio(self.pair(family, kind, model, other)))

    def verdicts(self, family: str, tier: str) -> Verdicts:
        """What shadows said of accepted results of a tier in a family."""
        return self._verdicts.get((family, tier), NO_VERDICTS)

    # Counting

    def _add_work(self, outcome: Outcome) -> None:
        signature, family, kind, model, tier = outcome[:5]
        own = self.of_family(family, kind, model)
        mean = (own.nusd + outcome.cost_nusd) / (own.n + 1)
        weight = min(HEAVIEST, max(LIGHTEST, outcome.cost_nusd / mean)) if mean else 1.0
        last = self._last.get(signature) if signature else None
        if last is not None and last.model == model:
            last = None
        after = last is not None and not last.ok
        for who in (model, tier) if tier and tier != model else (model,):
            voice = _voice(self.of_family(family, kind, who))
            self._tally(family, kind, who).count(outcome, weight, after=after)
            self._tally(kind, who).count(outcome, weight, after=after)
            self._tally(who).count(outcome, weight, after=after)
            if signature:
                self._tally(signature, who, "", "task").count(outcome, weight, after=after)
            self._speak((kind, who), (who,), voice, _voice(self.of_family(family, kind, who)))
        if last is not None:
            self._add_pair(family, kind, last.model, model, last.cost_nusd, outcome.cost_nusd)
            self._add_pair(family, kind, model, last.model, outcome.cost_nusd, last.cost_nusd)
        if signature:
            self._last[signature] = _Last(model, outcome.ok, outcome.cost_nusd)

    def _tally(self, *place: str) -> Tally:
        found = self._tallies.get(place)
        if found is None:
            found = self._tallies[place] = Tally()
        return found

    def _speak(self, kind: tuple[str, ...], everything: tuple[str, ...], old: Spread, new: Spread) -> None:
        for place in (kind, everything):
            self._spreads[place] = self._spreads.get(place, NO_SPREAD).exchanged(old, new)

    def _add_pair(self, family: str, kind: str, model: str, other: str, nusd: int, other_nusd: int) -> None:
        key = (family, kind, model, other)
        old = self._pairs.get(key, NO_PAIR)
        new = self._pairs[key] = Pair(old.n + 1, old.nusd + nusd, old.other_nusd + other_nusd)
        said = self._ratios.get((model, other), NO_RATIOS)
        self._ratios[model, other] = said.exchanged(_ratio(old), _ratio(new))

    def _add_verdict(self, outcome: Outcome) -> None:
        key = (outcome.family, outcome.tier or outcome.model)
        found = self._verdicts.get(key, NO_VERDICTS)
        self._verdicts[key] = Verdicts(found.judged + 1, found.wrong + (not outcome.ok))


def _voice(tally: Tally) -> Spread:
    """What one family says of its like: the more it has seen the louder, but never more than one voice."""
    tried, after = tally.tried + FAMILY, tally.after_tried + FAMILY
    return Spread(
        tally.tried / tried, tally.passed / tried, tally.after_tried / after, tally.after_passed / after
    )


def _ratio(pair: Pair) -> Ratios:
    if not pair.other_nusd:
        return NO_RATIOS
    weight = pair.n / (pair.n + FAMILY)
    return Ratios(weight, weight * pair.nusd / pair.other_nusd)
