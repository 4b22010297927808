"""A process to be killed: starts or resumes one run of tasks in worktrees, with collisions that are mended.

python -m tests.worktree_victim ROOT start|resume RUN
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from stretto.agents import Agent, Desk, Result, Work
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Limits, Plan, Task
from stretto.run import NO_CAP, Options, resume_run, run_plan


class Hand:
    """Writes a file of its own and a line into one that all want; mends by keeping both sides."""

    async def run(self, work: Work, desk: Desk) -> Result:
        await asyncio.sleep(0.01)
        if work.role == "mend":
            return Result("ok", _both(work.prompt))
        shared = work.root / "shared.txt"
        lines = shared.read_text().split("\n")
        shared.write_text("\n".join([*lines[:-1], work.task, ""]))
        (work.root / f"{work.task}.txt").write_text(work.task)
        time.sleep(0.01)
        return Result("ok", work.task)


def _both(prompt: str) -> str:
    """The lines of both sides, from the fenced pieces of the question."""
    start = prompt.index("[{", prompt.index("<output"))
    hunks = json.JSONDecoder().raw_decode(prompt[start:])[0]
    texts = [
        "".join(sorted({*hunk["ours"].splitlines(True), *hunk["theirs"].splitlines(True)})) for hunk in hunks
    ]
    return json.dumps({"files": [{"path": "shared.txt", "hunks": texts}]})


class Hands:
    def get(self, name: str) -> Agent:
        return Hand()

    def free(self, name: str) -> bool:
        return True

    def identity(self, name: str) -> str:
        return ""


def plan() -> Plan:
    """Two rows of tasks, the second from the first, and all of them write to one file."""
    first = [Task(id=f"a{k}", prompt="Go", isolation="worktree", model="haiku") for k in range(3)]
    second = [
        Task(id=f"b{k}", prompt="Go", isolation="worktree", model="haiku", after=(f"a{k}", f"a{(k + 1) % 3}"))
        for k in range(3)
    ]
    return Plan(name="victim", tasks=(*first, *second), limits=Limits(parallel=3))


async def live(root: Path, verb: str, run: str) -> int:
    journal = SqliteJournal(root)
    options = Options(on="messages", cap_nusd=NO_CAP if verb == "start" else None, control=False)
    if verb == "start":
        outcome = await run_plan(plan(), options, journal, root, agents=Hands(), run=run)
    else:
        outcome = await resume_run(run, options, journal, root, agents=Hands())
    return outcome.code


if __name__ == "__main__":
    sys.exit(asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
