"""The words between scheduler and world: events come in, commands go out.

An event is a fact that happened; only events are journaled. Their fields are positional on disk, so a
new field goes to the end, with a default, and never changes its meaning. Money is in integer
nano-dollars (`_nusd`), times in integer microseconds since 1970 (`_us`). An attempt is written `task#n`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FORMAT = 1
"""The `v` of each journaled event; raised when a reader of today could not understand it."""


class RunStarted(NamedTuple):
    plan: str
    """sha of the blob with the compiled plan (canonical JSON)."""
    inputs: dict[str, Any]
    cap_nusd: int | None
    approved_nusd: int | None
    deadline_us: int | None
    parallel: int
    on: str
    """The agent of `prompt` tasks that name none, e.g. `simulated` or `openai:http://...`."""
    seed: int
    root: str
    pid: int
    boot: str
    version: str
    models: dict[str, str]
    """Resolved model id of each `agent/name` the plan uses, frozen for every resume."""
    folder: str = ""
    """Where the plan's file stands, so that its functions are found again; empty: in the root."""
    estimate: str = ""
    """sha of the blob with the estimate that was shown before (JSON); empty where there was none."""
    lock: str = ""
    """sha of the blob with the lock file that this run was started from; empty where there was none."""
    shadow: float = 0.0
    """Share of accepted results that the strongest model judges once more."""
    tiers: list[list[str]] = []  # noqa: RUF012 - [all, those of auto], weakest first, never mutated
    """The order of tiers, frozen for every resume: a rung is a place in it."""
    fresh: bool = False
    """Kept results of earlier runs are not used, by a resume neither."""
    base: str = ""
    """The commit that HEAD had, from which tasks in worktrees start; empty where there are none."""


class RunResumed(NamedTuple):
    pid: int
    boot: str
    lost: list[str]
    """Attempts that were running when the process died; each gets AttemptEnded(lost) in the same commit."""


class RunPaused(NamedTuple):
    why: str
    """approval, budget, quota, auth, billing, network, deadline, user."""
    until_us: int | None = None
    need_nusd: int | None = None
    note: str = ""


class RunContinued(NamedTuple):
    by: str
    cap_nusd: int | None = None
    approved_nusd: int | None = None
    deadline_us: int | None = None


class RunEnded(NamedTuple):
    status: str
    """succeeded, failed, cancelled."""
    spent_nusd: int
    held_nusd: int


class PlanGrew(NamedTuple):
    """Entries of an `each` or a `reduce` (`items`), or a plan that a planner wrote (`tasks`)."""

    group: str
    cause: str
    """The attempt whose output it came from; empty for a literal list."""
    depth: int
    first: int
    items: list[Any]
    """At most 1,000 a chunk, all chunks in one commit. For a reduce: one number, how many parts."""
    tasks: list[Any]
    """The grown tasks as data (`plan.model.to_data`); empty for lists."""
    last: bool
    expected_nusd: int | None = None
    noted: list[str] = []  # noqa: RUF012 - what the critic says of a plan that runs, never mutated

    @property
    def planned(self) -> int:
        """How many tasks a planner wrote, those in groups too."""
        return _tasks_in(self.tasks)


def _tasks_in(parts: list[Any]) -> int:
    return sum(_tasks_in(part["tasks"]) if "tasks" in part else 1 for part in parts)


class AttemptStarted(NamedTuple):
    task: str
    n: int
    role: str = "work"
    """work, check, shadow (a second judge of an accepted result), mend, backup."""
    rung: int = 0
    agent: str = ""
    model: str = ""
    effort: str = ""
    key: str = ""
    inputs: list[list[str]] = []  # noqa: RUF012 - [[id, sha], ...], never mutated
    timeout_us: int | None = None
    idle_us: int | None = None
    why: str = ""
    prompt: str = ""
    """sha of the final prompt's blob; empty where there is none."""
    choice: str = ""
    """sha of the blob with the decision record (JSON); empty where nothing was to decide."""
    session: str = ""
    """The agent's session of the interrupted attempt that this one goes on with; empty: it starts anew."""


class AttemptBound(NamedTuple):
    attempt: str
    session: str = ""
    pid: int | None = None
    external: str = ""


class CallReserved(NamedTuple):
    attempt: str
    call: int
    """Counts the calls of one attempt from 1."""
    nusd: int


NOT_SENT = "not sent"
"""The status of a call that was granted and then not sent: it took nothing of anything."""


class CallSettled(NamedTuple):
    attempt: str
    call: int
    model: str
    usage: dict[str, int]
    """input, output, cache_read, cache_write_5m, cache_write_1h (tokens)."""
    cost_nusd: int
    certain: bool
    """False: usage never arrived, so `cost_nusd` is the whole reservation, shown as held."""
    status: str = "ok"
    stop_reason: str = ""


class AttemptEnded(NamedTuple):
    task: str
    n: int
    outcome: str
    """ok, refused, cut_off, bad_output, check_failed, rejected, error, idle, timeout, cancelled, lost;
    conflict: the branches it starts from collide (`output` is the collision);
    left: all is merged but what collides (`output` says what).
    """
    cls: str = ""
    """transient, task, run; empty when ok."""
    error: str = ""
    output: str = ""
    """sha of the output's blob; empty when there is none."""
    size: int = 0
    """Bytes of the output."""
    retry_after_us: int | None = None


class RetryPlanned(NamedTuple):
    task: str
    n: int
    """The number that the next attempt will have."""
    rung: int
    not_before_us: int
    why: str
    counts: str
    """attempts or interruptions; conflict (a call mends it first), mended, left (goes on without)."""


class TaskSucceeded(NamedTuple):
    task: str
    output: str
    size: int
    key: str = ""
    source: str = ""
    """Empty: this run's own attempt; else `run/task#n` of the kept result that was reused."""
    saved_nusd: int | None = None


class TaskFailed(NamedTuple):
    task: str
    cls: str
    why: str


class TaskCancelled(NamedTuple):
    task: str
    by: str


class TaskInvalidated(NamedTuple):
    task: str
    by: str


class GroupClosed(NamedTuple):
    group: str
    ok: int
    failed: int
    why: str = ""
    """Empty when the group did its work; else why it failed."""


class HoldReleased(NamedTuple):
    task: str
    nusd: int
    by: str


class TierSwitched(NamedTuple):
    """A tier is no longer (or again) tried for a family of tasks."""

    family: str
    tier: str
    on: bool
    evidence: str


Event = (
    RunStarted
    | RunResumed
    | RunPaused
    | RunContinued
    | RunEnded
    | PlanGrew
    | AttemptStarted
    | AttemptBound
    | CallReserved
    | CallSettled
    | AttemptEnded
    | RetryPlanned
    | TaskSucceeded
    | TaskFailed
    | TaskCancelled
    | TaskInvalidated
    | GroupClosed
    | HoldReleased
    | TierSwitched
)

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Event.__args__}
"""Every event by the name under which the journal knows it."""


class Start(NamedTuple):
    """Command: carry out this attempt now; its AttemptStarted is on disk."""

    task: str
    n: int
    role: str


class Stop(NamedTuple):
    """Command: end this attempt's work and say `cancelled`."""

    task: str
    n: int
    role: str


class Answer(NamedTuple):
    """Command: tell an agent that its call may be sent (`granted`), or why it may not."""

    attempt: str
    call: int
    granted: bool
    why: str = ""
    """Why it may not; of a granted one, why it got less than it asked for."""
    nusd: int = 0
    """What was granted: with less than it asked for, only a shorter answer may be sent for."""
    final: bool = False
    """The cap of the task or of its group said so, and no more money will come."""


Command = Start | Stop | Answer
