"""Reads the events that a server streams, as the JSON values they carry."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx2

from stretto.agents import MAX_OUTPUT_BYTES
from stretto.agents.answers import parsed
from stretto.gateway.failures import Cut

DONE = "[DONE]"
"""What OpenAI's servers end with, in the place of JSON."""


async def events(response: httpx2.Response) -> AsyncGenerator[Any, None]:
    """The value of each event; None for one without, which is a sign of life all the same. Raises Cut.

    The SDKs' own streams make an object of every few letters (OpenAI's: five times the CPU of a whole call)
    and leave out Anthropic's pings, all that comes while a model thinks; so only the bytes are theirs.
    """
    async for event in httpx2.EventSource(response, max_event_size=2 * MAX_OUTPUT_BYTES):
        if not event.data or event.data.startswith(DONE):
            yield None
            continue
        try:
            value = parsed(event.data)
        except (ValueError, RecursionError) as error:
            raise Cut(f"an event is no JSON: {error}") from None
        yield value
