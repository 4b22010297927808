"""How many checked tasks passed, and how surely that is known: what stands beside every saving."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from stretto.report.story import History, tasks_of
from stretto.scheduler.vertex import FAILED, SUCCEEDED

Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""
UNVERIFIED = "unverified:"
"""How the failure of a task begins whose judge never gave a verdict: it is missing, not "no"."""


class Share(NamedTuple):
    """So many of so many, with the 95 % interval of the rate behind them."""

    hits: int
    of: int

    @property
    def rate(self) -> float | None:
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's, which holds for small counts and stays within 0 and 1 (Wilson 1927)."""
        return wilson(self.hits, self.of) if self.of else None

    def data(self, hits: str, of: str) -> dict[str, Any]:
        interval = [_short(bound) for bound in self.interval or (None, None)]
        return {hits: self.hits, of: self.of, "rate": _short(self.rate), "interval": interval}


class Passed(NamedTuple):
    """What checks and audits said of the tasks that asked a model in this run; kept results are in none."""

    checked: Share
    """Passed, of those that came to a verdict or failed before one."""
    unverified: int
    """Succeeded, and had no check."""
    unanswered: int
    """Had a check that never gave a verdict."""
    audited: Share
    """Accepted results that the strongest model found wrong, of those it judged once more."""

    def data(self) -> dict[str, Any]:
        return {
            **self.checked.data("passed", "checked"),
            "unverified": self.unverified,
            "unanswered": self.unanswered,
            "false_accepts": self.audited.data("wrong", "audited") if self.audited.of else None,
        }


def passed_of(history: History) -> Passed:
    """Counts tasks, not attempts: one that climbed and passed in the end has passed."""
    passed = checked = unverified = unanswered = wrong = audited = 0
    for vertex in tasks_of(history.state):
        story = history.stories.get(vertex.id)
        if story is None or story.work is None or not vertex.task.prompt:
            continue
        for t in story.tries:
            if t.role == "shadow" and t.outcome in ("ok", "check_failed"):
                audited += 1
                wrong += t.outcome == "check_failed"
        if story.source or vertex.state not in (SUCCEEDED, FAILED):
            continue
        if vertex.task.check is None:
            unverified += vertex.state == SUCCEEDED
        elif story.why.startswith(UNVERIFIED):
            unanswered += 1
        else:
            checked += 1
            passed += vertex.state == SUCCEEDED
    return Passed(Share(passed, checked), unverified, unanswered, Share(wrong, audited))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate that showed itself as `hits` of `of` (of >= 1)."""
    rate, z2 = hits / of, Z * Z
    middle = (rate + z2 / (2 * of)) / (1 + z2 / of)
    half = Z * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    # At none and at all of them the bound is the rate itself; rounding would leave 1e-17 of it.
    return (0.0 if hits == 0 else middle - half, 1.0 if hits == of else middle + half)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
