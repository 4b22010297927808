"""What Stretto adds to a task: CPU time and memory beside a bare `asyncio.gather` of the same coroutine.

    python -m bench.overhead [--repeat N]      the table
    python -m bench.overhead CASE N            one case, in this process, as JSON

Every case runs in a fresh process, with the ledger and the limiter on. CPU time is that of the whole process,
all threads, from before the plan is built to the end; memory is the peak of the resident set minus what it
was before the plan was built.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stretto.agents.registry import Roster
from stretto.journal import Journal
from stretto.journal.memory import MemoryJournal
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, run_plan

PARALLEL = 1_000
CAP_NUSD = 10**12
CASES = [
    ("bare", 10_000),
    ("fan", 10_000),
    ("fan-journaled", 10_000),
    ("graph", 10_000),
    ("graph-journaled", 10_000),
    ("bare", 100_000),
    ("fan", 100_000),
    ("fan-journaled", 100_000),
    ("bare-chain", 1_000),
    ("chain", 1_000),
    ("chain-journaled", 1_000),
    ("fsync", 1_000),
]


async def f() -> None:
    await asyncio.sleep(0)


def fan(n: int) -> Plan:
    task = Task(id="x", call="bench.overhead:f", each=Each(over=list(range(n)), max=n))
    return Plan(name="fan", tasks=(task,), limits=Limits(parallel=PARALLEL))


def graph(n: int) -> Plan:
    """Layers of 100, each task after three of the layer before."""
    tasks = []
    for k in range(n):
        layer, place = divmod(k, 100)
        after = tuple(f"t{layer - 1}-{(place + d) % 100}" for d in range(3)) if layer else ()
        tasks.append(Task(id=f"t{layer}-{place}", call="bench.overhead:f", after=after))
    return Plan(name="graph", tasks=tuple(tasks), limits=Limits(parallel=PARALLEL))


def chain(n: int) -> Plan:
    tasks = [Task(id=f"t{k}", call="bench.overhead:f", after=(f"t{k - 1}",) if k else ()) for k in range(n)]
    return Plan(name="chain", tasks=tuple(tasks))


async def bare(n: int) -> None:
    await asyncio.gather(*(f() for _ in range(n)))


async def bare_chain(n: int) -> None:
    for _ in range(n):
        await asyncio.create_task(f())


async def stretto(plan: Plan, journal: Journal, root: Path) -> None:
    options = Options(on="simulated", cap_nusd=CAP_NUSD, control=False)
    outcome = await run_plan(plan, options, journal, root, agents=Roster(root))
    assert outcome.status == "succeeded", outcome.status


def fsyncs(n: int, folder: Path) -> None:
    """What the disk alone takes: the same number of small writes, each made durable."""
    with (folder / "probe").open("wb") as file:
        for _ in range(n):
            file.write(b"x" * 200)
            file.flush()
            os.fsync(file.fileno())


def measure(case: str, n: int) -> dict[str, float]:
    plans = {"fan": fan, "graph": graph, "chain": chain}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        cpu, wall, rss = _cpu_s(), time.perf_counter(), _peak_rss()
        if case == "bare":
            asyncio.run(bare(n))
        elif case == "bare-chain":
            asyncio.run(bare_chain(n))
        elif case == "fsync":
            fsyncs(n, root)
        else:
            kind, _, journaled = case.partition("-")
            journal: Journal = SqliteJournal(root) if journaled else MemoryJournal()
            asyncio.run(stretto(plans[kind](n), journal, root))
        return {
            "cpu_us": (_cpu_s() - cpu) / n * 1e6,
            "wall_us": (time.perf_counter() - wall) / n * 1e6,
            "bytes": (_peak_rss() - rss) / n,
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(repeat: int) -> None:
    rows: dict[tuple[str, int], dict[str, float]] = {}
    for case, n in CASES:
        runs = []
        for _ in range(repeat):
            argv = [sys.executable, "-m", "bench.overhead", case, str(n)]
            runs.append(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout))
        rows[case, n] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"median of {repeat} fresh processes; ratio: CPU time over the bare baseline of the same size")
    print(f"{'case':<18}{'n':>8}{'CPU us/task':>13}{'ratio':>8}{'wall us/task':>14}{'bytes/task':>12}")
    for (case, n), row in rows.items():
        base = rows["bare-chain", n] if ("bare-chain", n) in rows else rows["bare", n]
        ratio = row["cpu_us"] / base["cpu_us"]
        print(
            f"{case:<18}{n:>8,}{row['cpu_us']:>13.1f}{ratio:>8.2f}{row['wall_us']:>14.1f}{row['bytes']:>12.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?")
    parser.add_argument("n", nargs="?", type=int)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case, args.n)))
    else:
        table(args.repeat)


if __name__ == "__main__":
    main()
