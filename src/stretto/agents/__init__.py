"""Who does the work: a model's API, a local model, a command, a Python function, a pretender."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from stretto.gateway.desk import CallRefused, Desk, Grant, Usage
from stretto.plan.role import Role

__all__ = ["MAX_OUTPUT_BYTES", "Agent", "CallRefused", "Desk", "Grant", "Result", "Usage", "Work"]

MAX_OUTPUT_BYTES = 20_000_000
"""Outputs and transcripts above this size are an error of class `task`, never a filled disk."""


@dataclass(slots=True)
class Work:
    """One attempt as an agent sees it: everything resolved, nothing left to look up."""

    run: str
    task: str
    n: int
    role: str
    """work or check."""
    root: Path
    prompt: str = ""
    """The final prompt: references substituted, hand-over appended."""
    system: str = ""
    shared: int | None = None
    """How many characters of the prompt are worth keeping in a cache, because siblings begin with the same
    (after the same tools and system text); None where nothing is."""
    argv: tuple[str, ...] = ()
    call: str = ""
    kwargs: dict[str, Any] = field(default_factory=dict)
    stdin: bytes = b""
    """What a command reads: the handed-over values as one JSON object; empty where nothing is handed over."""
    model: str = ""
    """The resolved model id."""
    effort: str = ""
    output_kind: str = "text"
    schema: dict[str, Any] | None = None
    tools: tuple[str, ...] = ()
    """In the words of its agent: read, search, list for an API. For Claude Code those of the role (`Bash`,
    `Edit(src/**)`), where it lists some; `plan.role.NOTHING` where nothing is allowed."""
    agents: tuple[Role, ...] = ()
    """Who its sub-agents may be; it starts none where this is empty."""
    max_tokens: int = 16_000
    min_tokens: int = 0
    """What `max_tokens` may be shrunk to where the money does not allow more; 0: it may not."""
    turns: int = 20
    env: tuple[str, ...] = ()
    """Names of the environment variables that the task may see, beside a short fixed list."""
    writes: bool = False
    seed: int = 0
    may_write: tuple[str, ...] = ()
    """Paths and globs below the root that the task declares to write."""
    folder: Path | None = None
    """The task's own among the run's files, for what an agent keeps from one attempt to the next."""
    session: str = ""
    """The session of an interrupted attempt that this one goes on with, as it was bound at the desk."""
    left_nusd: int | None = None
    """What the caps could still grant when the attempt began; None where there is none."""

    @property
    def key(self) -> str:
        """The stable name of this attempt for whoever must tell a repeated effect from a new one."""
        return f"{self.run}/{self.task}/{self.n}"


@dataclass(slots=True)
class Result:
    """How an attempt went. `output` is what it returned: text, or for functions any JSON value."""

    outcome: Literal["ok", "refused", "cut_off", "bad_output", "check_failed", "error", "conflict", "left"]
    output: Any = None
    error: str = ""
    cls: Literal["", "transient", "task", "run"] = ""
    why: str = ""
    """For class `run`: quota, auth, billing, network or budget. For class `task`: `window` where a prompt is
    too long for this model, so that only another model could do it."""
    final: bool = False
    """True where another try cannot end otherwise: no such program, no such function."""
    retry_after_s: float | None = None
    reset_s: float | None = None
    """For class `run`: seconds until the limit is said to reset."""


class Agent(Protocol):
    """What can carry out a task. It returns a Result for everything it expects to happen.

    It never retries by itself, never prices by guess, and stops all of its work when cancelled.
    """

    async def run(self, work: Work, desk: Desk) -> Result:
        """Carries out one attempt."""
