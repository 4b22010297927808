"""What an attempt may ask of the house while it works, whoever sends its calls."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, NamedTuple, Protocol

from stretto.scheduler.limiter import Told

Usage = dict[str, int]
"""Tokens of one call by price class: input, output, cache_read, cache_write_5m, cache_write_1h."""


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
