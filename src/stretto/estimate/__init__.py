"""Drives the scheduler with a heap instead of the world: time, cost, tokens, with ranges."""

from stretto.estimate.forecast import estimate
from stretto.estimate.result import (
    Baseline,
    Binding,
    Covered,
    Estimate,
    GroupEstimate,
    Range,
    Samples,
)
from stretto.estimate.worst import Worst, priced_as, worst_case

__all__ = [
    "Baseline",
    "Binding",
    "Covered",
    "Estimate",
    "GroupEstimate",
    "Range",
    "Samples",
    "Worst",
    "estimate",
    "priced_as",
    "worst_case",
]
