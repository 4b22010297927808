"""Large runs through the real loop, journal and ledger: CPU seconds of a fresh process.

python -m bench.scale agents     10,000 simulated agents, 5 % failures, layered needs, priced
python -m bench.scale resume     resume of a 100,000-task run that was stopped near its end
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stretto.events import AttemptEnded, Event, TaskSucceeded
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, load_state, resume_run, run_plan
from stretto.run.loop import Loop

WIDTH = 100
STOP_AT = 95_000


def layered(n: int) -> Plan:
    """Layers of 100 agents, each handed the outputs of three of the layer before."""
    tasks = []
    for k in range(n):
        layer, place = divmod(k, WIDTH)
        needs = tuple(f"t{layer - 1}-{(place + d) % WIDTH}" for d in range(3)) if layer else ()
        prompt = f"Look at part {place} of layer {layer}"
        tasks.append(Task(id=f"t{layer}-{place}", prompt=prompt, needs=needs, model="haiku"))
    return Plan(name="layered", tasks=tuple(tasks), limits=Limits(parallel=500))


async def agents(root: Path) -> dict[str, object]:
    options = Options(on="simulated:fail=0.05,latency=0,priced", cap_nusd=10**12, control=False)
    outcome = await run_plan(layered(10_000), options, SqliteJournal(root), root)
    ended = (
        row.event for row in SqliteJournal(root).read(outcome.run) if isinstance(row.event, AttemptEnded)
    )
    outcomes = Counter(event.outcome for event in ended)
    return {"status": outcome.status, "attempts": outcomes, "usd": outcome.state.ledger.spent_nusd / 1e9}


async def noop() -> None:
    await asyncio.sleep(0)


def wide(n: int) -> Plan:
    task = Task(id="x", call="bench.scale:noop", each=Each(over=list(range(n)), max=n))
    return Plan(name="wide", tasks=(task,), limits=Limits(parallel=1_000))


async def stopped(root: Path) -> str:
    """A run of 100,000 tasks that is told to drain when it is nearly done."""

    drain = Drain()
    options = Options(on="simulated", cap_nusd=10**12, control=False)
    journal = SqliteJournal(root)
    plan = wide(100_000)
    outcome = await run_plan(plan, options, journal, root, observers=[drain], started=drain.take)
    assert outcome.interrupted
    return outcome.run


class Drain:
    """Looks on, and asks the loop to drain once most tasks are done."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.ended = 0

    def take(self, run: str, loop: Loop) -> None:
        self.loop = loop

    def saw(self, at_us: int, events: Sequence[Event]) -> None:
        self.ended += sum(isinstance(event, TaskSucceeded) for event in events)
        if self.ended > STOP_AT and self.loop is not None:
            self.loop.drain()
            self.loop = None


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if sys.argv[1] == "agents":
            cpu, wall = cpu_s(), time.perf_counter()
            found = asyncio.run(agents(root))
        else:
            run = asyncio.run(stopped(root))
            cpu, wall = cpu_s(), time.perf_counter()
            load_state(SqliteJournal(root), run)
            loaded = {
                "fold_cpu_s": round(cpu_s() - cpu, 2),
                "fold_wall_s": round(time.perf_counter() - wall, 2),
            }
            cpu, wall = cpu_s(), time.perf_counter()
            outcome = asyncio.run(resume_run(run, Options(control=False), SqliteJournal(root), root))
            found = {"status": outcome.status, "done before": STOP_AT, **loaded}
        used = {"cpu_s": round(cpu_s() - cpu, 2), "wall_s": round(time.perf_counter() - wall, 2)}
        print(json.dumps({**used, **found}))


if __name__ == "__main__":
    main()
