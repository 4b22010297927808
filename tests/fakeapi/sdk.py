"""The real SDKs pointed at a fake provider: the few calls that tests of several files make.

The server itself never imports this module: it runs on the standard library alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anthropic
import openai
from anthropic.types import Message

from . import FakeApi

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(work, 10))


@asynccontextmanager
async def claude(
    api: FakeApi, prefix: str = "", *, timeout_s: float = 5.0
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=api.url + prefix, api_key="test", max_retries=0, timeout=timeout_s
    ) as client:
        yield client


@asynccontextmanager
async def chat(api: FakeApi) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="test", max_retries=0) as client:
        yield client


async def say(
    client: anthropic.AsyncAnthropic, text: str, *, model: str = HAIKU, max_tokens: int = 1000
) -> Message:
    return await client.messages.create(
        model=model, max_tokens=max_tokens, messages=[{"role": "user", "content": text}]
    )


async def say_streamed(
    client: anthropic.AsyncAnthropic, text: str, *, model: str = HAIKU, max_tokens: int = 1000
) -> Message:
    async with client.messages.stream(
        model=model, max_tokens=max_tokens, messages=[{"role": "user", "content": text}]
    ) as stream:
        return await stream.get_final_message()


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def ask(
    api: FakeApi, text: str, *, stream: bool = False, model: str = HAIKU, max_tokens: int = 1000
) -> Message:
    async def work() -> Message:
        async with claude(api) as client:
            how = say_streamed if stream else say
            return await how(client, text, model=model, max_tokens=max_tokens)

    return run(work())
