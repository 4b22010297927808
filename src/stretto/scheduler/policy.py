"""What follows from an attempt that ended and from a group that is complete: small pure decisions."""

from __future__ import annotations

import math
import zlib

from stretto.events import AttemptEnded, Event, RetryPlanned, TaskFailed, TaskSucceeded
from stretto.scheduler.mending import after_collision, collided
from stretto.scheduler.vertex import GroupVertex, TaskVertex

INTERRUPTIONS = 20
"""How often one task may be lost or interrupted before it counts as the one that kills the process."""
JUDGE_TRIES = 3
BACKOFF_FIRST_S = 1.0
BACKOFF_LONGEST_S = 60.0
RESETS = ("quota", "billing")
"""Pauses that may end by themselves, where the provider says when."""
SHUT_LEAST_US = 60_000_000
"""A provider that serves us no more is left alone so long, even where it says that it will again at once."""


def backoff_s(tries: int, seed: int, task: str) -> float:
    """Exponential with jitter in [0.5, 1): the seed and the task's id stand in for chance."""
    jitter = 0.5 + zlib.crc32(f"{seed}/{task}/{tries}".encode()) / 2**33
    wait: float = min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2.0 ** (tries - 1))
    return wait * jitter


def opens_again_us(wait_us: int | None, now_us: int) -> int | None:
    """When a provider that serves us no more is asked again; None: it does not say when it will."""
    return None if wait_us is None else now_us + max(wait_us, SHUT_LEAST_US)


def after_attempt(
    vertex: TaskVertex,
    ended: AttemptEnded,
    role: str,
    now_us: int,
    seed: int,
    *,
    final: bool = False,
    rung: int | None = None,
    audited: bool = False,
) -> list[Event]:
    """What follows from an ended attempt; the state already knows it ended.

    `final`: no try would help. `rung`: where to climb to, if that pays. `audited`: a shadow judges next.
    """
    if ended.outcome == "ok" and role != "mend":
        if audited or (role == "work" and vertex.task.check is not None):
            return []
        return [TaskSucceeded(vertex.id, vertex.output, vertex.size, vertex.key)]
    if ended.cls == "run":
        return []
    if vertex.interruptions > INTERRUPTIONS:
        return [TaskFailed(vertex.id, "task", f"interrupted {vertex.interruptions} times")]
    if collided(vertex, ended, role):
        not_before_us = _not_before_us(max(1, vertex.judged), vertex, ended, now_us, seed)
        return after_collision(vertex, ended, role, not_before_us, now_us, final=final)
    if role != "work" and ended.outcome != "check_failed":
        return _no_verdict(vertex, ended, role)
    if ended.outcome in ("lost", "cancelled"):
        return [_retry(vertex, vertex.rung, now_us, ended.outcome, "interruptions")]
    if final:
        return [TaskFailed(vertex.id, ended.cls or "task", ended.error or ended.outcome)]
    if not _may_retry(vertex):
        once = "it is not tried again, because it may have written files that no worktree keeps apart"
        return [TaskFailed(vertex.id, ended.cls or "task", f"{ended.error or ended.outcome}; {once}")]
    if rung is not None:
        return [_retry(vertex, rung, now_us, ended.error or ended.outcome, "attempts")]
    if vertex.tries >= vertex.task.attempts:
        return [TaskFailed(vertex.id, ended.cls or "task", ended.error or ended.outcome)]
    not_before_us = _not_before_us(vertex.tries, vertex, ended, now_us, seed)
    return [_retry(vertex, vertex.rung, not_before_us, ended.error or ended.outcome, "attempts")]


def _no_verdict(vertex: TaskVertex, ended: AttemptEnded, role: str) -> list[Event]:
    """A judge that erred is asked again, and after some times given up."""
    if vertex.judged < JUDGE_TRIES:
        return []
    if role == "shadow":
        # The check has passed: a second opinion that never came takes nothing away.
        return [TaskSucceeded(vertex.id, vertex.output, vertex.size, vertex.key)]
    return [TaskFailed(vertex.id, "task", f"unverified: {ended.error}")]


def judge_again_us(vertex: TaskVertex, ended: AttemptEnded, now_us: int, seed: int) -> int:
    """When a judge that gave no verdict may be asked again."""
    return _not_before_us(max(1, vertex.judged), vertex, ended, now_us, seed)


def _not_before_us(tries: int, vertex: TaskVertex, ended: AttemptEnded, now_us: int, seed: int) -> int:
    if ended.cls != "transient":
        return now_us
    wait_us = int(backoff_s(tries, seed, vertex.id) * 1e6)
    return now_us + max(wait_us, ended.retry_after_us or 0)


def _may_retry(vertex: TaskVertex) -> bool:
    """A model that writes files and has no worktree to reset may not run twice over its own traces."""
    task = vertex.task
    return not (task.prompt and task.writes and not task.isolation)


def _retry(vertex: TaskVertex, rung: int, not_before_us: int, why: str, counts: str) -> RetryPlanned:
    return RetryPlanned(vertex.id, vertex.n + 1, rung, not_before_us, why[:200], counts)


def why_failed(group: GroupVertex) -> str:
    """Why a complete group (or one whose quorum is reached) failed; empty when it did its work."""
    element = group.element
    assert element is not None
    quorum = element.part.quorum
    total = len(group.members)
    if quorum is None:
        return f"{group.failed} of {total} failed" if group.failed else ""
    if quorum.min_ok is not None and group.ok < quorum.min_ok:
        return f"{group.ok} of {total} succeeded; at least {quorum.min_ok} must"
    tolerated = max(quorum.tolerate, math.floor(quorum.tolerate_share * total))
    only_min_ok = quorum.min_ok is not None and not tolerated
    if group.failed > tolerated and not only_min_ok:
        return f"{group.failed} of {total} failed; {tolerated} tolerated"
    return ""
