"""What `stretto check` of 10,000 tasks takes, in CPU seconds and on the clock.

    python -m bench.checks

Each plan is checked by a fresh process, imports and all; of three runs the median is told. CPU seconds say
more than wall time where others use the machine too.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TASKS = 10_000
RUNS = 3
GOAL_S = 2.0
_HEAD = "stretto: 1\nname: big\nlimits: {usd: 100}\ntasks:\n"
_AREAS = """alerts audit billing cache carts catalog export import invoices login mail orders pricing push
queue refunds reports roles search shipping sms stock sync tax users""".split()
_PARTS = "api client models schema service store views worker".split()
_ORDERS = """Document|Fix the flaky behaviour of|Implement|Measure the latency of|Migrate|Refactor|Review
Write tests for""".replace("\n", "|").split("|")


def short() -> str:
    return _HEAD + "".join(f"  t{n}: {{prompt: Analyze module {n}, model: haiku}}\n" for n in range(TASKS))


def bare() -> str:
    return "".join(f'Task("Analyze module {n}", model="haiku")\n' for n in range(TASKS))


def files() -> str:
    """Prompts of some forty words, each with three files of its own."""
    chance = random.Random(7)
    return _HEAD + "".join(_line(n, n, chance) for n in range(TASKS))


def shared() -> str:
    """The same, where every tenth task writes the file of the one before it."""
    chance = random.Random(7)
    return _HEAD + "".join(_line(n, n - (n % 10 == 9), chance) for n in range(TASKS))


def _line(n: int, file: int, chance: random.Random) -> str:
    area, other = chance.choice(_AREAS), chance.choice(_AREAS)
    part, order = chance.choice(_PARTS), chance.choice(_ORDERS)
    prompt = (
        f"{order} the {area} {part} number {n}: read src/{area}/{part}_{n}.py and docs/{other}/{n}.md, keep "
        f"the public names as they are, and write what you found into out/{file}.md with one line per "
        "finding, file and line first."
    )
    return f'  t{n}: {{prompt: "{prompt}", model: sonnet}}\n'


def cases() -> Iterator[tuple[str, str, str]]:
    yield "short prompts, YAML", "plan.yaml", short()
    yield "short prompts, bare calls", "plan.py", bare()
    yield "long prompts that name files", "plan.yaml", files()
    yield "the same, some files shared", "plan.yaml", shared()


def measure(name: str, text: str) -> tuple[float, float]:
    """CPU seconds and wall seconds of one check."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, name).write_text(text, encoding="utf-8")
        argv = [sys.executable, "-m", "stretto", "check", name, "--root", root, "--json"]
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(argv, check=False, cwd=root, capture_output=True)
        wall, after = time.perf_counter() - start, os.times()
    assert done.returncode in (0, 1), done.stderr
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, wall


def main() -> None:
    print(f"{TASKS:,} tasks; goal {GOAL_S} s\n{'plan':<32}{'CPU s':>8}{'wall s':>8}")
    for told, name, text in cases():
        runs = [measure(name, text) for _ in range(RUNS)]
        cpu, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{told:<32}{cpu:>8.2f}{wall:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
