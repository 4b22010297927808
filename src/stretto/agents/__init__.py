"""Who does the work: a model's API, a local model, a command, a Python function, a pretender."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Usage = dict[str, int]
"""Tokens of one call by price class: input, output, cache_read, cache_write_5m, cache_write_1h."""

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
    max_tokens: int = 16_000
    turns: int = 20
    env: tuple[str, ...] = ()
    """Names of the environment variables that the task may see, beside a short fixed list."""
    writes: bool = False
    seed: int = 0

    @property
    def key(self) -> str:
        """The stable name of this attempt for whoever must tell a repeated effect from a new one."""
        return f"{self.run}/{self.task}/{self.n}"


@dataclass(slots=True)
class Result:
    """How an attempt went. `output` is what it returned: text, or for functions any JSON value."""

    outcome: Literal["ok", "refused", "cut_off", "bad_output", "check_failed", "error"]
    output: Any = None
    error: str = ""
    cls: Literal["", "transient", "task", "run"] = ""
    why: str = ""
    """For class `run`: quota, auth, billing or budget."""
    final: bool = False
    """True where another try cannot end otherwise: no such program, no such function."""
    retry_after_s: float | None = None
    reset_s: float | None = None
    """For class `run`: seconds until the limit is said to reset."""


class CallRefused(Exception):
    """The ledger does not let the next call be sent; the agent stops and lets this pass through."""


class Desk(Protocol):
    """What an attempt may ask of the house while it works. One desk per attempt."""

    def reserve(self, nusd: int | None, tokens: int) -> Awaitable[int]:
        """Asks before each paid call: its bound in nano-dollars (None: no price known) and in tokens.

        Returns the call's number once the reservation is on disk. Raises CallRefused.
        """

    def settle(
        self,
        call: int,
        model: str,
        usage: Usage | None,
        cost_nusd: int,
        *,
        status: str = "ok",
        stop: str = "",
    ) -> None:
        """Says what the call came to. `usage` None: it never arrived, the whole reservation is held."""

    def beat(self) -> None:
        """A sign of life: some output, some bytes; the idle timeout starts anew."""

    def note(self, record: dict[str, Any]) -> None:
        """Appends one record to the attempt's transcript (redacted, size-limited)."""

    def bind(self, *, session: str = "", pid: int | None = None) -> None:
        """Journals what a resume would need to find this attempt again."""


class Agent(Protocol):
    """What can carry out a task. It returns a Result for everything it expects to happen.

    It never retries by itself, never prices by guess, and stops all of its work when cancelled.
    """

    async def run(self, work: Work, desk: Desk) -> Result:
        """Carries out one attempt."""
