"""Claude Code agents against the fake provider, for tests of several files: the real SDK and program."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stretto.agents import Result, Work
from stretto.agents.claude import ClaudeAgent
from tests.desks import FakeDesk, work
from tests.fakeapi import FakeApi

SONNET = "claude-sonnet-5-5"
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "ANTHROPIC_API_KEY": "sk-real"}


def task(root: Path, prompt: str = "Say hello", **given: Any) -> Work:
    """One attempt in a folder of its own, whose files lie beside it as they would in a run."""
    root.mkdir(exist_ok=True)
    kept: dict[str, Any] = {"model": SONNET, "root": root, "folder": root.parent / "kept"}
    return work(prompt, **kept | given)


def use(name: str, **given: Any) -> dict[str, Any]:
    """One use of a tool in a script of the fake provider."""
    return {"name": name, "input": given}


def carry_out(
    api: FakeApi, *works: Work, desk: FakeDesk | None = None, environ: Mapping[str, str] = ENVIRON
) -> tuple[list[Result | BaseException], FakeDesk]:
    """Has one agent do all of this side by side, under one desk."""
    kept = desk or FakeDesk()

    async def all_of_it() -> list[Result | BaseException]:
        agent = ClaudeAgent(api.url, "sk-real", environ=environ)
        try:
            return await asyncio.gather(*(agent.run(one, kept) for one in works), return_exceptions=True)
        finally:
            await agent.aclose()

    return asyncio.run(asyncio.wait_for(all_of_it(), 120)), kept


def one(api: FakeApi, attempt: Work, **given: Any) -> tuple[Result, FakeDesk]:
    """One attempt, which is to end with a result."""
    (found,), desk = carry_out(api, attempt, **given)
    if isinstance(found, BaseException):
        raise found
    return found, desk
