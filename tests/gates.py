"""A gateway before a provider, and a client that knows no more than a lease's address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2

from stretto.gateway.lease import Lease
from stretto.gateway.server import Gateway
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.fakeapi.sdk import HAIKU

KEY = "the real key"
ASK: dict[str, Any] = {
    "model": HAIKU,
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Where?"}],
}


@dataclass
class Naps:
    """Sleep that takes no time and is remembered, in seconds."""

    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def until(true: Callable[[], Any]) -> None:
    """Looks again and again, at something that no event tells of."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


@dataclass
class Gate:
    """One attempt at a gateway, and what was booked for it."""

    gateway: Gateway
    lease: Lease
    desk: FakeDesk
    naps: Naps
    client: anthropic.AsyncAnthropic
    bare: httpx2.AsyncClient
    """For what no SDK would send."""

    async def post(self, body: Any, path: str = "/v1/messages", **headers: str) -> httpx2.Response:
        """Posts a body, as JSON unless it is bytes; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.bare.post(self.lease.url + path, headers=named, **content)


@asynccontextmanager
async def gate(
    url: str, desk: FakeDesk | None = None, *, patience_s: float = 600.0, **options: Any
) -> AsyncIterator[Gate]:
    """A gateway with one lease and its clients; at the end every call must be settled."""
    books, naps = desk or FakeDesk(), Naps()
    async with Gateway(url, {"x-api-key": KEY}, sleep=naps, **options) as gateway:
        lease = gateway.open(books, patience_s=patience_s)
        sdk = anthropic.AsyncAnthropic(base_url=lease.url, api_key="none", max_retries=0, timeout=20)
        async with sdk as client, httpx2.AsyncClient(timeout=20) as bare:
            yield Gate(gateway, lease, books, naps, client, bare)
        await lease.close()
    if lease.bug is not None:
        raise lease.bug
    assert not books.open, f"calls {books.open} were never settled"


def through(
    url: str, use: Callable[[Gate], Any], desk: FakeDesk | None = None, **options: Any
) -> tuple[Any, Gate]:
    """What `use` gives back, and the gate it was given."""

    async def scenario() -> tuple[Any, Gate]:
        async with gate(url, desk, **options) as found:
            return await asyncio.wait_for(use(found), 30), found

    return asyncio.run(scenario())


def whole_bill(api: FakeApi, found: Gate) -> None:
    """What arrived is known to the nano-dollar; the rest of the bill is within what is held."""
    api.wait_idle()
    bill, desk = api.bill(), found.desk
    assert desk.spent_nusd == bill["cost_nusd_delivered"]
    assert bill["cost_nusd"] <= desk.spent_nusd + desk.held_nusd
