"""What an estimate says: ranges of money, time and tokens, what binds, and what other ways would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stretto.estimate.worst import Worst

SCHEMA = "stretto/estimate/1"
NUSD = 1_000_000_000


class Range(NamedTuple):
    """The 10, 50 and 90 % points of what may happen; of dollars in nano-dollars."""

    low: float
    expected: float
    high: float

    def data(self, unit: int = 1, digits: int = 3) -> dict[str, float]:
        return {name: round(value / unit, digits) for name, value in self._asdict().items()}


NO_RANGE: dict[str, None] = {"low": None, "expected": None, "high": None}
"""A range that nobody knows: null, never 0."""


@dataclass(frozen=True, slots=True)
class GroupEstimate:
    """One top-level part of the plan."""

    id: str
    tasks: Range
    """How many tasks it has; a range where a list is not known yet."""
    nusd: Range | None
    seconds: Range | None
    """From its first start to its last end."""
    tokens: Range | None
    known: str
    """Where its money comes from, by the weakest of its tasks: declared, history or prior."""
    known_seconds: str
    covered: int = 0
    """How many of its tasks have a kept result."""
    nusd_at_least: float = 0.0
    """What is known of its expected money where the whole is not."""

    def data(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "tasks": round(self.tasks.expected),
            "tasks_range": self.tasks.data(digits=0),
            "usd": _usd(self.nusd),
            "seconds": _plain(self.seconds),
            "tokens": _plain(self.tokens, 0),
            "known": self.known,
            "known_seconds": self.known_seconds,
            "covered": self.covered,
        }


class Baseline(NamedTuple):
    """Another way to do the same, beside which the plan is shown. None: not known, and `why` says why."""

    nusd: float | None
    seconds: float | None
    known: str
    """declared (its author wrote the figures), or computed."""
    why: str = ""

    def data(self) -> dict[str, Any]:
        return {
            "usd": None if self.nusd is None else round(self.nusd / NUSD, 9),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "known": self.known,
            **({"why": self.why} if self.why else {}),
        }


class Binding(NamedTuple):
    """What keeps the plan from ending earlier."""

    limit: str
    """critical path, parallel, slots, input tokens per minute, output tokens per minute, requests per
    minute, deadline."""
    at: float | None
    says: str
    lifted_seconds: float | None
    """Expected seconds without it; None where nothing can be lifted."""

    def data(self) -> dict[str, Any]:
        lifted = None if self.lifted_seconds is None else round(self.lifted_seconds, 3)
        return {"limit": self.limit, "at": self.at, "says": self.says, "lifted": {"seconds": lifted}}


class Covered(NamedTuple):
    """What kept results stand for: tasks, and what they would have cost anew."""

    tasks: int
    nusd: float | None
    ids: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        usd = None if self.nusd is None else round(self.nusd / NUSD, 9)
        return {"tasks": self.tasks, "usd": usd, "ids": list(self.ids)}


@dataclass(frozen=True, slots=True)
class Samples:
    """How many samples stand behind the ranges, and the standard error of each of their points."""

    cost: int
    time: int
    nusd_error: Range | None = None
    seconds_error: Range | None = None

    def data(self) -> dict[str, Any]:
        error = {"usd": _usd(self.nusd_error), "seconds": _plain(self.seconds_error)}
        return {"cost": self.cost, "time": self.time, "error": error}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will cost and how long it will take, before it runs. None is unknown, never 0."""

    plan: str
    on: str
    nusd: Range | None
    seconds: Range | None
    tokens: Range | None
    sequential_seconds: float | None
    groups: tuple[GroupEstimate, ...]
    critical_path: tuple[str, ...]
    binding: Binding
    worst: Worst
    baselines: Mapping[str, Baseline]
    covered: Covered
    samples: Samples
    unknown: tuple[str, ...] = ()
    """Why figures are missing, each with the task or model it is about."""
    nusd_at_least: float = 0.0
    """What is known of the expected money where the whole is not."""
    resolved: Mapping[str, str] = field(default_factory=dict)
    """The model id that each `agent/name` stood for."""

    def data(self) -> dict[str, Any]:
        """The estimate as JSON data, `stretto/estimate/1`."""
        worst = self.worst
        usd_worst = None if worst.nusd is None else round(worst.nusd / NUSD, 9)
        return {
            "schema": SCHEMA,
            "plan": self.plan,
            "on": self.on,
            "usd": _usd(self.nusd),
            "usd_at_least": round(self.nusd_at_least / NUSD, 9),
            "seconds": _plain(self.seconds),
            "tokens": _plain(self.tokens, 0),
            "sequential_seconds": None
            if self.sequential_seconds is None
            else round(self.sequential_seconds, 3),
            "groups": [group.data() for group in self.groups],
            "critical_path": list(self.critical_path),
            "binding": self.binding.data(),
            "worst_case": {"usd": usd_worst, "calls": worst.calls, "unknown": list(worst.unknown)},
            "baselines": {name: baseline.data() for name, baseline in self.baselines.items()},
            "covered": self.covered.data(),
            "samples": self.samples.data(),
            "unknown": list(self.unknown),
        }


def _usd(nusd: Range | None) -> Mapping[str, float | None]:
    return NO_RANGE if nusd is None else nusd.data(NUSD, 9)


def _plain(range_: Range | None, digits: int = 3) -> Mapping[str, float | None]:
    return NO_RANGE if range_ is None else range_.data(digits=digits)
