"""An estimate beside a baseline: the share saved and the factor, only between figures of one kind."""

from __future__ import annotations

from typing import Any, NamedTuple

from stretto.estimate.result import Baseline, Estimate

DECLARED = "declared"


class Against(NamedTuple):
    """How a plan stands beside another way to do the same. None: not known, or of another kind of figure."""

    usd_factor: float | None
    """Baseline by plan: 6 is six times cheaper, 0.5 twice as dear."""
    seconds_factor: float | None

    @property
    def usd_saved(self) -> float | None:
        """As a share of the baseline; negative where the plan costs more."""
        return _saved(self.usd_factor)

    @property
    def seconds_saved(self) -> float | None:
        return _saved(self.seconds_factor)

    def data(self) -> dict[str, Any]:
        return {
            "factor": {"usd": _short(self.usd_factor), "seconds": _short(self.seconds_factor)},
            "saved": {"usd": _short(self.usd_saved), "seconds": _short(self.seconds_saved)},
        }


def against(estimate: Estimate, baseline: Baseline) -> Against:
    """A declared figure is held only against a declared one, a computed only against a computed one."""
    if baseline.why:
        return Against(None, None)  # what could not be done is nothing to be faster or cheaper than
    declared = baseline.known == DECLARED
    same_usd = declared == all(group.known == DECLARED for group in estimate.groups)
    same_seconds = declared == all(group.known_seconds == DECLARED for group in estimate.groups)
    nusd = estimate.nusd.expected if estimate.nusd is not None and same_usd else None
    seconds = estimate.seconds.expected if estimate.seconds is not None and same_seconds else None
    return Against(_factor(baseline.nusd, nusd), _factor(baseline.seconds, seconds))


def with_comparisons(estimate: Estimate) -> dict[str, Any]:
    """`Estimate.data()` with factor and saved share beside each baseline."""
    data = estimate.data()
    for name, baseline in estimate.baselines.items():
        data["baselines"][name] |= against(estimate, baseline).data()
    return data


def _factor(before: float | None, now: float | None) -> float | None:
    return None if before is None or not now else before / now


def _saved(factor: float | None) -> float | None:
    return None if not factor else 1 - 1 / factor


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
