"""Who does the work: a model's API, a local model, a command, a Python function, a pretender."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from stretto.scheduler.limiter import Told

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
    max_tokens: int = 16_000
    min_tokens: int = 0
    """What `max_tokens` may be shrunk to where the money does not allow more; 0: it may not."""
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
    """For class `run`: quota, auth, billing or budget. For class `task`: `window` where the prompt is too
    long for this model, so that only another model could do it."""
    final: bool = False
    """True where another try cannot end otherwise: no such program, no such function."""
    retry_after_s: float | None = None
    reset_s: float | None = None
    """For class `run`: seconds until the limit is said to reset."""


class CallRefused(Exception):
    """The ledger does not let the next call be sent; the agent stops and lets this pass through.

    `final`: the cap of the task itself, or of its group, is used up, so no other try would help.
    """

    def __init__(self, why: str, *, final: bool = False):
        super().__init__(why)
        self.final = final


class Grant(NamedTuple):
    """A call that may be sent: its number, and the money reserved for it."""

    call: int
    nusd: int
    short: str = ""
    """Whose cap had no more to give than this, where it is less than was asked for."""
    final: bool = False
    """That cap is the task's own, or its group's."""


class Desk(Protocol):
    """What an attempt may ask of the house while it works. One desk per attempt."""

    def reserve(
        self, nusd: int | None, input_tokens: int, output_tokens: int, *, least_nusd: int | None = None
    ) -> Awaitable[Grant]:
        """Asks before each paid call: its bound in nano-dollars (None: no price known), the tokens that its
        prompt is expected to have and the most that its answer may have.

        Returns once the reservation is on disk. Where the money is short it may be of less, down to
        `least_nusd`; then the answer must be kept so short that it cannot cost more. Raises CallRefused.
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

    def heard(self, call: int, told: Told) -> None:
        """Says what the head of a call's response told of the provider's limits."""

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
