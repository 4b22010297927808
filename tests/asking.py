"""Runs one attempt of an API's agent against an address or fixed answers, and closes the agent afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from stretto.agents import Agent, Result, Work
from tests.canned import Answer, canned
from tests.desks import FakeDesk, work


class Closing(Agent, Protocol):
    """An agent that holds connections."""

    async def aclose(self) -> None: ...


Made = TypeVar("Made", bound=Closing)
Value = TypeVar("Value")


def on(make: Callable[[], Made], use: Callable[[Made], Awaitable[Value]]) -> Value:
    """Uses an agent that is made, used and closed within one event loop."""

    async def scenario() -> Value:
        agent = make()
        try:
            return await use(agent)
        finally:
            await agent.aclose()

    return asyncio.run(scenario())


def ask(
    make: Callable[[], Closing], asked: Work | None = None, desk: FakeDesk | None = None
) -> tuple[Result, FakeDesk]:
    """One attempt and the books of its desk."""
    books = desk or FakeDesk()
    return on(make, lambda agent: agent.run(asked or work(), books)), books


def ask_canned(
    make: Callable[[str], Closing], *answers: Answer, asked: Work | None = None
) -> tuple[Result, FakeDesk, list[Any]]:
    """One attempt against fixed answers, with the bodies of the requests that came."""

    async def scenario() -> tuple[Result, FakeDesk, list[Any]]:
        async with canned(*answers) as (url, bodies):
            agent, desk = make(url), FakeDesk()
            try:
                return await agent.run(asked or work(), desk), desk, bodies
            finally:
                await agent.aclose()

    return asyncio.run(scenario())
