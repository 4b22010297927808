"""One line about a run, kept up to date by its events, so that listing runs needs no folding."""

from __future__ import annotations

from stretto.events import Event, RunContinued, RunEnded, RunPaused, RunResumed, RunStarted
from stretto.journal import RunInfo

FOLLOWED: frozenset[type] = frozenset({RunStarted, RunResumed, RunPaused, RunContinued, RunEnded})
"""The events that change the line."""

ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""The states of a run that has nothing left to do."""


def begin(run: str, plan_name: str, at_us: int) -> RunInfo:
    return RunInfo(run, plan_name, at_us, "running", live=False, spent_nusd=0, held_nusd=0)


def follow(info: RunInfo, at_us: int, event: Event) -> RunInfo:
    """Money is known only at the end; a run that goes on keeps the figures of its last end."""
    match event:
        case RunStarted():
            return info._replace(started_us=at_us, status="running")
        case RunResumed() | RunContinued():
            return info._replace(status="running")
        case RunPaused():
            return info._replace(status="paused")
        case RunEnded():
            return info._replace(status=event.status, spent_nusd=event.spent_nusd, held_nusd=event.held_nusd)
        case _:
            return info
