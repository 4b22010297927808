"""What a Claude Code agent takes: seconds until its first call, CPU, and memory, alone and side by side.

python -m bench.claude [1 8 16 ...]

Each agent reads a file and then waits for an answer of the fake provider; when all of them wait, their
memory is read. Resident is what `top` shows; proportional counts what several share (the program itself,
380 MB on disk) once, and says how many fit.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from tests.desks import FakeDesk, work
from tests.fakeapi import FakeApi

from stretto.agents import Work
from stretto.agents.claude import ClaudeAgent
from stretto.agents.guardian import descendants

WAIT_S = 12.0
MB = 1024 * 1024


class Measured(NamedTuple):
    """Of so many agents side by side."""

    agents: int
    first_s: float
    """Until the first of them has called."""
    all_s: float
    """Until all of them have."""
    cpu_s: float
    """Of one agent, until then."""
    resident_mb: float
    proportional_mb: float
    guardian_mb: float
    """Of what comes on top of Claude Code itself, which is in the sums too."""


def attempt(root: Path, n: int) -> Work:
    prompt = f"Say what a.txt holds, {n}"
    return work(prompt, "claude-sonnet-5-5", n=n, root=root, folder=root / "runs" / "tasks" / str(n))


def answers(root: Path, count: int) -> list[dict[str, object]]:
    """The first call of each agent is told to read a file, the second has to wait."""
    tools = [{"name": "Read", "input": {"file_path": f"{root}/a.txt"}}]
    first: list[dict[str, object]] = [
        {"match": f", {n}$", "times": 1, "tools": tools} for n in range(1, count + 1)
    ]
    return [*first, {"match": "Say", "delay_s": WAIT_S}]


async def measure(api: FakeApi, root: Path, count: int) -> Measured:
    agent = ClaudeAgent(api.url, "none")
    desks = [FakeDesk() for _ in range(count)]
    began_s = time.monotonic()
    running = [asyncio.create_task(agent.run(attempt(root, n), desk)) for n, desk in enumerate(desks, 1)]
    first_s = 0.0
    while not all(len(desk.calls) >= 2 for desk in desks):
        if not first_s and any(desk.calls for desk in desks):
            first_s = time.monotonic() - began_s
        for task in running:
            assert not task.done(), task.result()
        await asyncio.sleep(0.01)
    all_s = time.monotonic() - began_s
    await asyncio.sleep(1.0)
    found = [psutil.Process(pid) for pid in descendants(psutil.Process().pid) if pid != api.pid]
    memory = [(process.name(), process.memory_full_info(), process.cpu_times()) for process in found]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await agent.aclose()
    return Measured(
        count,
        first_s,
        all_s,
        sum(cpu.user + cpu.system for _, _, cpu in memory) / count,
        sum(info.rss for _, info, _ in memory) / count / MB,
        sum(info.pss for _, info, _ in memory) / count / MB,
        sum(info.pss for name, info, _ in memory if name.startswith("python")) / count / MB,
    )


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [1, 8, 16]
    print("agents  first call s  all call s  CPU s each  resident MB each  proportional MB each  per GiB")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "runs").mkdir()
        (root / "a.txt").write_text("hello\n")
        with FakeApi() as api:
            for count in counts:
                api.configure(rules=answers(root, count))
                found = asyncio.run(measure(api, root, count))
                print(
                    f"{found.agents:6} {found.first_s:13.2f} {found.all_s:11.2f} {found.cpu_s:11.2f}"
                    f" {found.resident_mb:17.0f} {found.proportional_mb:21.0f}"
                    f" {1024 / found.proportional_mb:8.1f}   (guardian {found.guardian_mb:.0f} MB)"
                )


if __name__ == "__main__":
    main()
