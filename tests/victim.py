"""A process to be killed: starts or resumes one run of 242 tasks that leave traces outside the journal.

python -m tests.victim ROOT start|resume RUN
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Each, Group, Limits, Plan, Task
from stretto.run import Options, resume_run, run_plan

EFFECTS = '''
import os, time, zlib

def touch(attempt_key, task_key, path, **needed):
    """Appends one line when it starts, sleeps a little, returns what depends on its inputs alone."""
    with open(path, "a") as file:
        file.write(attempt_key + "\\n")
    time.sleep(0.001 + 0.008 * (zlib.crc32(attempt_key.encode()) % 100) / 100)
    return {"task": task_key.split("/", 1)[1], "from": sorted(str(v)[:40] for v in needed.values())}

async def listing():
    return list(range(40))
'''


def plan(effects: Path) -> Plan:
    """240 tasks: three layers of 40 with needs, and an each of 40 items over a chain of three."""
    args = {"path": str(effects)}
    tasks: list[Task | Group] = []
    for layer in range(3):
        for k in range(40):
            needs = tuple(f"l{layer - 1}-{(k + d) % 40}" for d in (0, 1, 2)) if layer else ()
            tasks.append(Task(id=f"l{layer}-{k}", call="effects:touch", args=args, needs=needs))
    tasks.append(Task(id="listing", call="effects:listing"))
    chain = tuple(
        Task(id=f"s{k}", call="effects:touch", args=args, needs=(f"s{k - 1}",) if k else ()) for k in range(3)
    )
    tasks.append(Group(id="items", tasks=chain, each=Each(over="${listing}")))
    tasks.append(Task(id="end", call="effects:touch", args=args, needs=("items", "l2-0")))
    return Plan(name="victim", tasks=tuple(tasks), limits=Limits(parallel=8))


async def live(root: Path, verb: str, run: str) -> int:
    journal = SqliteJournal(root)
    options = Options(on="simulated", control=False)
    if verb == "start":
        outcome = await run_plan(plan(root / "effects.txt"), options, journal, root, run=run)
    else:
        outcome = await resume_run(run, options, journal, root)
    return outcome.code


if __name__ == "__main__":
    sys.exit(asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
