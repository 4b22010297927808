"""What the red team's tables share: attacks with their guard on and off, and a model that obeys all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import Agent, Desk, Result, Work
from stretto.agents.tools import Toolset
from stretto.journal import Journal
from stretto.journal.memory import MemoryJournal
from stretto.run import Options, Outcome, run_plan
from tests.autojump import run as in_virtual_time
from tests.stage import Cast, plan_of

CANARY = "canary-4711-outside"
"""What stands in a file that no agent may see."""

Attack = Callable[[Path, bool], bool]
"""Attacks in a folder, with the guard on or off; whether the attack got through, told by its effect."""


class Table:
    """Attacks by name. Each is a test with its guard on, and a control with it off."""

    def __init__(self) -> None:
        self.attacks: dict[str, Attack] = {}

    def __call__(self, attack: Attack) -> Attack:
        self.attacks[attack.__name__.replace("_", "-")] = attack
        return attack

    def rows(self) -> list[Any]:
        """(attack, guarded) for `parametrize`."""
        return [
            pytest.param(attack, guarded, id=f"{name}-{'guarded' if guarded else 'control'}")
            for name, attack in self.attacks.items()
            for guarded in (True, False)
        ]


def holds(attack: Attack, guarded: bool, place: Path) -> None:
    """With its guard an attack has no effect; without, it has: else the test would show nothing."""
    through = attack(place, guarded)
    assert through is not guarded, "the attack got through" if through else "the control shows no danger"


Read = Callable[[Work, str], Awaitable[str]]


async def by_tool(work: Work, path: str) -> str:
    """The guard: an agent reads by its tools and by nothing else."""
    return (await Toolset(work.root, work.tools).use("read", {"path": path})).text


async def by_hand(work: Work, path: str) -> str:
    """No guard: whoever asks gets the file."""
    return await asyncio.to_thread((work.root / path).read_text)


class Obedient:
    """A model that does whatever any text tells it to: `!read PATH` in a prompt is an order like another.

    What it says by itself is in `says`, by task; the rest of its answer is what its obedience brought.
    """

    ORDER = re.compile(r"!read (\S+)")

    def __init__(self, says: dict[str, Any], read: Read = by_tool):
        self.says = says
        self.read = read
        self.prompts: dict[str, list[str]] = {}

    async def run(self, work: Work, desk: Desk) -> Result:
        self.prompts.setdefault(work.task, []).append(work.prompt)
        if work.task in self.says and not isinstance(self.says[work.task], str):
            return Result("ok", self.says[work.task])
        found = [self.says.get(work.task, "")]
        found += [await self.read(work, path) for path in self.ORDER.findall(work.prompt)]
        return Result("ok", "\n".join(found))


def play(
    root: Path,
    plan: str,
    agent: Any,
    *,
    journal: Journal | None = None,
    command: Agent | None = None,
    **options: Any,
) -> Outcome:
    """A run in which one agent does everything.

    In real time where something real is waited for: a `command` of its own, or a journal on disk.
    """
    cast = Cast(simulated=agent, messages=agent, function=agent, command=command or agent)
    wished = Options(**{"on": "simulated", "control": False, **options})
    running = run_plan(plan_of(plan), wished, journal or MemoryJournal(), root, agents=cast, run="r")
    waits = command is not None or not isinstance(journal, MemoryJournal | None)
    return asyncio.run(running) if waits else in_virtual_time(running)


def outside(place: Path) -> tuple[Path, Path]:
    """A root, and beside it a file with the canary."""
    root = place / "root"
    root.mkdir()
    secret = place / "secret.txt"
    secret.write_text(CANARY)
    return root, secret


def written(folder: Path) -> Iterator[bytes]:
    """The bytes of every file below a folder."""
    return (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
