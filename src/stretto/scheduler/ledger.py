"""The budget ledger: money is reserved before a call is sent and settled to the actual afterwards."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Waiting(NamedTuple):
    """A call that asked for money and has not been answered."""

    attempt: str
    call: int
    nusd: int


class Ledger:
    """`spent + held + reserved <= cap` at every moment; all in integer nano-dollars.

    *spent* is what settled calls cost for certain, *held* what calls may have cost whose usage never
    arrived, *reserved* the bounds of calls in flight. The queue of waiting calls is passing state: it is
    never journaled, because a call that was not granted was never sent.
    """

    __slots__ = ("calls", "cap_nusd", "held_nusd", "reserved", "reserved_nusd", "spent_nusd", "waiting")

    def __init__(self) -> None:
        self.cap_nusd: int | None = None
        self.spent_nusd = 0
        self.held_nusd = 0
        self.reserved_nusd = 0
        self.reserved: dict[tuple[str, int], int] = {}
        self.calls = 0
        self.waiting: deque[Waiting] = deque()

    @property
    def committed_nusd(self) -> int:
        return self.spent_nusd + self.held_nusd + self.reserved_nusd

    def fits(self, nusd: int) -> bool:
        return self.cap_nusd is None or self.committed_nusd + nusd <= self.cap_nusd

    def reserve(self, attempt: str, call: int, nusd: int) -> None:
        self.reserved[attempt, call] = nusd
        self.reserved_nusd += nusd
        self.calls += 1

    def settle(self, attempt: str, call: int, cost_nusd: int, certain: bool) -> None:
        self.reserved_nusd -= self.reserved.pop((attempt, call))
        if certain:
            self.spent_nusd += cost_nusd
        else:
            self.held_nusd += cost_nusd

    def release(self, nusd: int) -> None:
        self.held_nusd -= nusd

    def open_calls(self, attempt: str) -> list[tuple[int, int]]:
        """(call, reservation) of the calls of an attempt that are still in flight."""
        return [(call, nusd) for (name, call), nusd in self.reserved.items() if name == attempt]

    def grantable(self) -> tuple[list[Waiting], list[Waiting]]:
        """Takes from the queue what may be sent now, and what can never be sent under this cap.

        First come, first served: a large call at the head waits for others to settle rather than being
        overtaken for ever. When nothing is in flight nothing more can be freed, so the head is refused.
        The caller reserves what is granted before asking again.
        """
        granted: list[Waiting] = []
        refused: list[Waiting] = []
        taken = 0
        while self.waiting:
            head = self.waiting[0]
            if self.fits(taken + head.nusd):
                taken += head.nusd
                granted.append(self.waiting.popleft())
            elif self.reserved_nusd + taken == 0:
                refused.append(self.waiting.popleft())
            else:
                break
        return granted, refused
