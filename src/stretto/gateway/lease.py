"""What one attempt may do at the gateway: its address, its desk, and what became of its calls."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator

from stretto.gateway.bounds import Sizes
from stretto.gateway.desk import CallRefused, Desk
from stretto.gateway.failures import Failure


class Lease:
    """The right of one attempt to make calls, until it is closed; whoever has the address has the right."""

    def __init__(
        self, address: str, desk: Desk, seed: int, patience_s: float, revoke: Callable[[Lease], None]
    ):
        self.token = secrets.token_urlsafe(32)
        self.url = f"{address}/{self.token}"
        self.desk = desk
        self.seed = seed
        self.patience_s = patience_s
        """How long one call may wait in all between its tries."""
        self.sizes = Sizes()
        self.refused: CallRefused | None = None
        """Why the ledger let a call not be sent; the agent raises it when its client has ended."""
        self.failure: Failure | None = None
        """Why the last call brought no answer; one of class `run` is kept for good."""
        self.bug: Exception | None = None
        """Ours, met on the way; the agent raises it when its client has ended."""
        self.cut_off: set[str] = set()
        """Names of the answers that ended at `max_tokens`; their client may ask for the rest by itself."""
        self._revoke = revoke
        self._calls: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """While a request is served under this lease, so that `close` can cut it off."""
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            yield
        finally:
            self._calls.discard(task)

    def ended(self, failure: Failure | None) -> None:
        """Remembers how a call ended, once nobody will try it again."""
        if self.failure is None or self.failure.cls != "run":
            self.failure = failure

    async def close(self) -> None:
        """Lets no call pass any more, and cuts off those that are under way; returns when all are settled."""
        self._revoke(self)
        calls = self._calls.copy()
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
