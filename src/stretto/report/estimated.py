"""Sets what was estimated before a run beside what it became."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.journal import Journal
from stretto.report.bill import Taken
from stretto.report.story import History
from stretto.scheduler.state import State
from stretto.scheduler.vertex import SUCCEEDED

SCHEMA = "stretto/estimate/1"
NUSD = 1_000_000_000


class Beside(NamedTuple):
    """One figure: its estimated range (10, 50 and 90 %) and what it became. None is unknown, never 0."""

    low: float | None
    expected: float | None
    high: float | None
    actual: float | None
    most: float | None
    """`actual` and what is held beside it: the truth lies between the two."""
    done: bool
    """False while it may still grow: then there is no error to speak of."""

    @property
    def error_percent(self) -> float | None:
        """Above zero where more was taken than expected."""
        if not self.done or not self.expected or self.actual is None:
            return None
        return 100 * (self.actual - self.expected) / self.expected

    @property
    def inside(self) -> bool | None:
        """None also where it depends on what is held."""
        if not self.done or self.low is None or self.high is None or self.actual is None or self.most is None:
            return None
        ends = [self.low <= value <= self.high for value in (self.actual, self.most)]
        return ends[0] if ends[0] == ends[1] else None

    def data(self) -> dict[str, Any]:
        error = self.error_percent
        return {
            "low": self.low,
            "expected": self.expected,
            "high": self.high,
            "actual": None if self.actual is None else round(self.actual, 9),
            "error_percent": None if error is None else round(error, 1),
            "inside": self.inside,
        }


class Row(NamedTuple):
    """A top-level part of the plan, or the whole run (`id` is empty)."""

    id: str
    usd: Beside
    seconds: Beside
    tokens: Beside
    known: str
    """Where the estimate of its money came from: declared, history or prior; empty for the whole."""

    def data(self) -> dict[str, Any]:
        return {name: getattr(self, name).data() for name in ("usd", "seconds", "tokens")}


class Estimated(NamedTuple):
    """The estimate that was shown before the run, and each of its figures beside what it became."""

    blob: dict[str, Any]
    """As it was stored, `stretto/estimate/1`."""
    whole: Row
    groups: list[Row]

    def data(self) -> dict[str, Any]:
        groups = [{"id": row.id, **row.data(), "known": row.known} for row in self.groups]
        return {"done": self.whole.usd.done, **self.whole.data(), "groups": groups}


def estimated_of(journal: Journal, history: History) -> Estimated | None:
    """None for a run before which nothing was estimated, or whose estimate is gone or of another form."""
    blob = stored_estimate(journal, history.state)
    if blob is None:
        return None
    totals = history.bill.by(lambda entry: entry.part)
    done = history.state.status == "succeeded"
    whole = Taken()
    for taken in totals.values():
        whole.add(taken)
    groups = []
    for group in blob.get("groups", ()):
        id = group["id"]
        vertex = history.state.vertices.get(id)
        began, ended = history.spans.get(id, (0.0, 0.0))
        over = vertex is not None and vertex.state == SUCCEEDED
        groups.append(_row(id, group, totals.get(id, Taken()), ended - began, over, group.get("known", "")))
    return Estimated(blob, _row("", blob, whole, history.seconds, done, ""), groups)


def stored_estimate(journal: Journal, state: State) -> dict[str, Any] | None:
    """The estimate that was shown before the run, as it was stored; None where there is none to be read."""
    started = state.started
    if started is None or not started.estimate:
        return None
    try:
        blob = json.loads(journal.blob(started.estimate))
    except (StrettoError, ValueError):
        # Cleaned away or damaged (`stretto doctor` says so): what happened can be told without it.
        return None
    return blob if isinstance(blob, dict) and blob.get("schema") == SCHEMA else None


def _row(id: str, said: dict[str, Any], taken: Taken, seconds: float, done: bool, known: str) -> Row:
    usd = None if taken.unpriced else taken.spent_nusd / NUSD
    most = None if usd is None else (taken.spent_nusd + taken.held_nusd) / NUSD
    tokens = sum(taken.tokens.values())
    return Row(
        id,
        _beside(said.get("usd"), usd, most, done),
        _beside(said.get("seconds"), round(seconds, 3), round(seconds, 3), done),
        _beside(said.get("tokens"), tokens, tokens, done),
        known,
    )


def _beside(said: dict[str, Any] | None, actual: float | None, most: float | None, done: bool) -> Beside:
    said = said or {}
    return Beside(said.get("low"), said.get("expected"), said.get("high"), actual, most, done)
