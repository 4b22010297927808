"""How much memory many agents of an API take at once.

    python -m bench.memory [--agents N] [--tokens N]

`stretto run` as a user starts it, in a process of its own, against the fake provider in another one
(tests/fakeapi, not counted). Each agent reads three files with a tool, one after the other, and then
streams its answer of so many tokens (4 bytes each), so that all of them are at work at the same time.
Linux only: sizes come from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fakeapi import FakeApi

from stretto.journal.sqlite import SqliteJournal
from stretto.run import load_state

MB = 1_000_000
FILES = 3
FILE_BYTES = 8_000
LOOK_EVERY_S = 0.05
SECONDS = 15.0
"""How long an answer takes to be written."""
PLAN = """\
stretto: 1
name: memory
limits: {{parallel: {agents}, usd: 10, slots: {{messages: {agents}}}}}
tasks:
  read:
    each: {items}
    max: {agents}
    prompt: Read the files a, b and c, and write what item ${{item}} has to do with them
    model: haiku
    tools: [read]
    turns: 6
    max_tokens: 16000
"""


class Row(NamedTuple):
    """One run."""

    agents: int
    tokens: int
    peak_bytes: int
    """Of the whole process tree, resident, with what processes share counted in each."""
    most_running: int
    """Attempts under way at one time."""
    most_in_flight: int
    """Calls, as the provider counted them."""
    answer_bytes: int
    """Of the shortest answer."""
    seconds: float


def measure(agents: int, tokens: int) -> Row:
    """Plays one run in a folder of its own. Raises RuntimeError if not everything succeeded."""
    calls = [{"name": "read", "input": {"path": f"{name}.txt"}} for name in "abc"]
    script = {"tools": calls, "reply": "This is what it has to do.", "tokens": tokens}
    speed = {"*": {"delay_s": [0.2, 0.6], "tokens_per_s": tokens / SECONDS}}
    with FakeApi(default=script, speed=speed) as api, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file in "abc":
            (root / f"{file}.txt").write_text(f"{file}: what there is to read\n" * (FILE_BYTES // 26))
        (root / "plan.yaml").write_text(PLAN.format(agents=agents, items=list(range(agents))))
        words = ["run", "plan.yaml", "--on", f"messages:{api.url}", "--unchecked", "--yes", "--json"]
        begun_s = time.monotonic()
        with (root / "err").open("w") as err, (root / "out").open("w") as out:
            argv = [sys.executable, "-m", "stretto", *words]
            process = subprocess.Popen(argv, cwd=root, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
            peak = peak_bytes(process)
        seconds = time.monotonic() - begun_s
        if process.returncode:
            raise RuntimeError((root / "err").read_text()[-2_000:])
        requests = api.requests(records=False)
        assert requests["count"] == (FILES + 1) * agents, requests
        running, shortest = seen(root)
        return Row(agents, tokens, peak, running, requests["max_in_flight"], shortest, seconds)


def peak_bytes(process: subprocess.Popen[bytes]) -> int:
    """The most that a process and all below it had in memory until it ended."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(resident_bytes(pid) for pid in tree(process.pid)))
        time.sleep(LOOK_EVERY_S)
    return peak


def tree(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{each}/task"):
                found += map(int, Path(f"/proc/{each}/task/{task}/children").read_text().split())
    return found


def resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0  # it ended just now
    return pages * os.sysconf("SC_PAGE_SIZE")


def seen(root: Path) -> tuple[int, int]:
    """From the journal: how many attempts ran at one time, and the bytes of the shortest output."""
    journal = SqliteJournal(root)
    run = journal.runs()[0].run
    running = most = 0
    for row in journal.read(run):
        name = type(row.event).__name__
        running += (name == "AttemptStarted") - (name == "AttemptEnded")
        most = max(most, running)
    state = load_state(journal, run)[1].state
    shortest = min(getattr(state.vertices[id], "size", 0) for id in state.vertices if id.startswith("read."))
    journal.close()
    return most, shortest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=6_000, help="of each answer")
    args = parser.parse_args()
    rows = [measure(1, args.tokens), measure(args.agents, args.tokens)]
    print("| agents | at work at once | calls in flight | bytes of an answer | peak, MB | seconds |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        shown = f"{row.agents} | {row.most_running} | {row.most_in_flight} | {row.answer_bytes:,}"
        print(f"| {shown} | {row.peak_bytes / MB:.0f} | {row.seconds:.0f} |")
    one, many = rows
    print(json.dumps({"kb_per_agent": round((many.peak_bytes - one.peak_bytes) / (many.agents - 1) / 1000)}))


if __name__ == "__main__":
    main()
