"""What follows when the branches that a task starts from collide: a call to mend them, or one is left."""

from __future__ import annotations

from stretto.events import AttemptEnded, Event, RetryPlanned, TaskFailed
from stretto.scheduler.branches import is_result
from stretto.scheduler.vertex import TaskVertex

MEND_TRIES = 2
"""Answers that resolve nothing, after which a collision is left as it is."""
TRANSIENT_TRIES = 3
MOST = 100
"""Collisions of one task: a plan with more has been cut in the wrong way."""


def collided(vertex: TaskVertex, ended: AttemptEnded, role: str) -> bool:
    """True where an ended attempt is about a collision and not about the task's own work."""
    return role == "mend" or ended.outcome in ("conflict", "left")


def told_of_collision(vertex: TaskVertex, ended: AttemptEnded, role: str, chars: int) -> bool:
    """Takes in what an ended attempt says of a collision; False where it is about something else.

    `chars`: how much is kept of an error.
    """
    if role == "mend" and ended.outcome == "ok":
        vertex.answers = {**vertex.answers, vertex.conflict: ended.output}
        vertex.conflict, vertex.mends, vertex.judged = "", (*vertex.mends, ended.output), 0
    elif ended.outcome == "conflict":
        vertex.judged, vertex.error = 0, ended.error[:chars]
        known = vertex.answers.get(ended.output, "")
        if known and known not in vertex.mends:
            vertex.mends += (known,)
        else:
            vertex.conflict = ended.output
    elif ended.outcome == "left":
        vertex.output, vertex.size, vertex.error = ended.output, ended.size, ended.error[:chars]
    else:
        return False
    return True


def after_collision(
    vertex: TaskVertex, ended: AttemptEnded, role: str, not_before_us: int, now_us: int, *, final: bool
) -> list[Event]:
    """The state knows already that it ended; `not_before_us` is for a call that failed for a time."""

    def again(why: str, counts: str, at_us: int = now_us) -> list[Event]:
        return [RetryPlanned(vertex.id, vertex.n + 1, vertex.rung, at_us, why[:200], counts)]

    error = ended.error or ended.outcome
    if ended.outcome == "left":
        return [TaskFailed(vertex.id, "task", error)]
    if role == "mend" and ended.outcome == "ok":
        return again("the branches are mended", "mended")
    if role != "mend":
        if final or len(vertex.mends) >= MOST:
            return [TaskFailed(vertex.id, "task", error)]
        return again(error, "conflict")
    if ended.outcome in ("lost", "cancelled"):
        return again(ended.outcome, "interruptions")
    tries = TRANSIENT_TRIES if ended.cls == "transient" else MEND_TRIES
    if not final and vertex.judged < tries:
        return again(error, "attempts", not_before_us)
    if is_result(vertex):
        return again(error, "left")
    return [TaskFailed(vertex.id, "task", error)]
