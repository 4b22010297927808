"""The calls that wait to be sent: who goes next when both the money and the provider's limits allow it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from stretto.scheduler.ledger import Account, Ledger
from stretto.scheduler.limiter import MOST_AT_ONCE, Allowance, Limiter


class Asked(NamedTuple):
    """A call that asked to be sent and has not been answered."""

    urgency: float
    """Minus the longest expected time from its task to the end of the plan: the least goes first."""
    number: int
    """Counts all that ever asked."""
    attempt: str
    call: int
    nusd: int
    """The most that it can cost."""
    least_nusd: int
    """The same with the shortest answer that its task allows; below this it is not worth sending."""
    model: str
    input_tokens: int
    output_tokens: int
    """At most."""
    accounts: tuple[Account, ...]
    """What it counts against beside the run."""


class Verdict(NamedTuple):
    """What became of a call: it is sent with so much money, or refused (None)."""

    asked: Asked
    nusd: int | None
    account: Account | None
    """The account that has no more to give; None where everything was granted."""


class Lane:
    """Calls of one group that draw on the same model and the same caps, the most urgent first."""

    __slots__ = ("calls", "had")

    def __init__(self, had: int) -> None:
        self.calls: list[Asked] = []
        self.had = had
        """Tokens that its group has had of this model; the group that has had least is next."""


Key = tuple[str, tuple[Account, ...], str]
"""Model, accounts, and the group by name; tasks that stand alone share the name of none."""


class Calls:
    """Waiting calls in lanes, and who is next.

    Groups take turns by the tokens they have had, and inside a group the longest remaining path goes first.
    A call that waits for the money of its group, or for the tokens of its model, holds up those behind it
    that want it too, and no others. One that waits for the money of the run holds up all, so that a large
    one is not overtaken for ever. The queue is passing state: it is never journaled, because a call that was
    not granted was never sent.
    """

    def __init__(self, ledger: Ledger, limiter: Limiter):
        self.ledger = ledger
        self.limiter = limiter
        self.dry: dict[Allowance, int] = {}
        """When the first of those may go that wait for a model's tokens only."""
        self._lanes: dict[Key, Lane] = {}
        self._had: dict[tuple[str, str], int] = {}
        """Tokens that each group has had of each model, since it first had to wait."""
        self._waiting: dict[str, int] = {}
        """How many calls of an attempt wait."""
        self._number = count()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __iter__(self) -> Iterator[Asked]:
        return (asked for lane in self._lanes.values() for asked in lane.calls)

    @property
    def wake_us(self) -> int | None:
        """When time alone lets a call go that waits."""
        return min(self.dry.values()) if self.dry else None

    def ask(
        self,
        attempt: str,
        call: int,
        nusd: int,
        least_nusd: int,
        model: str,
        tokens: tuple[int, int],
        accounts: tuple[Account, ...],
        tail_s: float,
        now_us: int,
    ) -> Verdict | None:
        """The verdict on a call, if nobody waits and there is one now; else it is queued for `judge`."""
        asked = Asked(-tail_s, next(self._number), attempt, call, nusd, least_nusd, model, *tokens, accounts)
        if not self._lanes:
            verdict = self._verdict(asked, set(), now_us)
            if verdict is not None:
                return verdict
        heapq.heappush(self._lane(asked).calls, asked)
        self._waiting[attempt] = self._waiting.get(attempt, 0) + 1
        return None

    def _lane(self, asked: Asked) -> Lane:
        group = group_of(asked.attempt)
        key = (asked.model, asked.accounts, group)
        lane = self._lanes.get(key)
        if lane is None:
            # Who comes late has no claim to what the others had before.
            others = [other.had for (model, _, _), other in self._lanes.items() if model == asked.model]
            had = max(self._had.get((asked.model, group), 0), min(others, default=0))
            lane = self._lanes[key] = Lane(had)
        return lane

    def withdraw(self, attempt: str, call: int | None = None) -> bool:
        """Takes a waiting call out of the queue, or all of an attempt; False where there was none."""
        if attempt not in self._waiting:
            return False
        gone = False
        for key, lane in list(self._lanes.items()):
            kept = [a for a in lane.calls if a.attempt != attempt or call not in (None, a.call)]
            for _ in range(len(lane.calls) - len(kept)):
                self._answered(attempt)
                gone = True
            lane.calls = kept
            heapq.heapify(kept)
            if not kept:
                del self._lanes[key]
        return gone

    def judge(self, now_us: int) -> Iterator[Verdict]:
        """What may be sent now and what never may, in their turn.

        The caller reserves what is granted before it takes the next verdict.
        """
        self.dry.clear()
        blocked: set[Account | Allowance] = set()
        heads = [(lane.had, lane.calls[0], key) for key, lane in self._lanes.items()]
        heapq.heapify(heads)
        while heads:
            _, asked, key = heapq.heappop(heads)
            lane = self._lanes[key]
            verdict = self._verdict(asked, blocked, now_us)
            if verdict is None:
                if self.ledger.run in blocked:
                    return
                continue
            heapq.heappop(lane.calls)
            self._answered(asked.attempt)
            if verdict.nusd is not None:
                lane.had += asked.input_tokens + asked.output_tokens + 1
            if lane.calls:
                heapq.heappush(heads, (lane.had, lane.calls[0], key))
            else:
                self._had[key[0], key[2]] = lane.had
                del self._lanes[key]
            yield verdict

    def _verdict(self, asked: Asked, blocked: set[Account | Allowance], now_us: int) -> Verdict | None:
        """None where it has to wait; what it waits for is blocked for those behind it. Debits the limiter."""
        allowance, run = self.limiter.of(asked.model), self.ledger.run
        if len(self.ledger.reserved) >= MOST_AT_ONCE:
            blocked.add(run)
            return None
        if allowance in blocked or not blocked.isdisjoint(asked.accounts):
            return None
        nusd, by = asked.nusd, None
        accounts = (*asked.accounts, run)
        for account in accounts:
            if not account.can_ever_fit(asked.least_nusd):
                return Verdict(asked, None, account)
            if not account.reserved_nusd and not account.fits(nusd):
                # Nothing is in flight, so waiting would bring no more: what is left is for a shorter answer.
                assert account.cap_nusd is not None
                nusd, by = account.cap_nusd - account.committed_nusd, account
        for account in accounts:
            if not account.fits(nusd):
                blocked.add(account)
                return None
        if allowance is not None:
            if allowance.full:
                blocked.add(allowance)
                return None
            wait_us = allowance.wait_us(
                asked.input_tokens, allowance.expected_output(asked.output_tokens), now_us
            )
            if wait_us:
                blocked.add(allowance)
                self.dry[allowance] = now_us + wait_us
                return None
        self.limiter.take(asked.attempt, asked.call, asked.model, asked.input_tokens, asked.output_tokens)
        return Verdict(asked, nusd, by)

    def _answered(self, attempt: str) -> None:
        left = self._waiting[attempt] - 1
        if left:
            self._waiting[attempt] = left
        else:
            del self._waiting[attempt]


def group_of(id: str) -> str:
    """The outermost group that a task or an attempt stands in; empty where it stands alone in the plan."""
    first, dot, _ = id.partition(".")
    return first if dot else ""
