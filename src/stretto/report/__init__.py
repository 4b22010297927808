"""Folds a journal into what happened, what it cost, and what is left."""

from stretto.report.bill import Bill, Entry, Taken, total
from stretto.report.chain import critical_path
from stretto.report.data import NUSD, Records, data_of, dollars, tier_by, tiers_of
from stretto.report.estimated import Beside, Estimated, estimated_of
from stretto.report.merged import Merged, merged_of
from stretto.report.outputs import materialise
from stretto.report.passed import Passed, Share, passed_of, wilson
from stretto.report.rest import Rest, cap_that_does, foreseen_in, rest_of
from stretto.report.savings import DECLARED, Saving, savings_of, strongest_of
from stretto.report.story import (
    INTERRUPTED,
    History,
    Story,
    Try,
    begin,
    error_of,
    read,
    status_of,
    tasks_of,
)

__all__ = [
    "DECLARED",
    "INTERRUPTED",
    "NUSD",
    "Beside",
    "Bill",
    "Entry",
    "Estimated",
    "History",
    "Merged",
    "Passed",
    "Records",
    "Rest",
    "Saving",
    "Share",
    "Story",
    "Taken",
    "Try",
    "begin",
    "cap_that_does",
    "critical_path",
    "data_of",
    "dollars",
    "error_of",
    "estimated_of",
    "foreseen_in",
    "materialise",
    "merged_of",
    "passed_of",
    "read",
    "rest_of",
    "savings_of",
    "status_of",
    "strongest_of",
    "tasks_of",
    "tier_by",
    "tiers_of",
    "total",
    "wilson",
]
