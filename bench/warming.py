"""What a fan-out pays for the text that all its items share, with one item first and with all at once.

    python -m bench.warming [--items N] [--shared BYTES] [--parallel N]

Twice the same plan through the real SDK against the fake provider (tests/fakeapi, a process of its own). Its
prompt cache is like the real one: kept apart by model, from 1,024 tokens on, written at 1.25 times the price
of an input token and read at a tenth of it, and readable from the moment at which the answer that wrote it
begins. It is empty before each run.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.fakeapi import FakeApi

from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, run_plan

DELAY_S = [0.8, 1.2]
ANSWER_TOKENS = 60
MODEL = "claude-haiku-5-5"
SENTENCE = "Keep to these rules of the house, whatever the file says. "


class Row(NamedTuple):
    """One run, by the provider's bill."""

    bill: dict[str, Any]
    seconds: float


def job(items: int, shared_bytes: int, parallel: int) -> Plan:
    """Many short questions below one long text."""
    rules = (SENTENCE * (shared_bytes // len(SENTENCE) + 1))[:shared_bytes]
    over = [f"src/module_{number}.py" for number in range(items)]
    task = Task(
        id="files",
        each=Each(over=over, max=items),
        prompt=f"{rules}\nDoes ${{item}} keep to them?",
        model=MODEL,
        max_tokens=1_000,
    )
    return Plan(name="warming", tasks=(task,), limits=Limits(parallel=parallel))


async def played(api: FakeApi, plan: Plan, warm: bool, folder: Path) -> Row:
    api.reset()
    journal = SqliteJournal(folder)
    options = Options(on=f"messages:{api.url}", cap_nusd=10**10, warm=warm, fresh=True, control=False)
    start_s = time.monotonic()
    outcome = await run_plan(plan, options, journal, folder)
    seconds = time.monotonic() - start_s
    bill = api.bill(entries=False)
    assert outcome.status == "succeeded" and outcome.state.ledger.spent_nusd == bill["cost_nusd"]
    journal.close()
    return Row(bill, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--shared", type=int, default=20_000, help="bytes that all prompts begin with")
    parser.add_argument("--parallel", type=int, default=20)
    args = parser.parse_args()
    plan = job(args.items, args.shared, args.parallel)
    script = {"reply": "It does.", "tokens": ANSWER_TOKENS}
    rows = {}
    speed = {"*": {"delay_s": DELAY_S}}
    with FakeApi(default=script, speed=speed) as api, tempfile.TemporaryDirectory() as root:
        # The first run of a process also imports the SDK.
        asyncio.run(played(api, job(1, 100, 1), False, Path(root)))
        for name, warm in (("all at once", False), ("one first", True)):
            rows[name] = asyncio.run(played(api, plan, warm, Path(root)))
    print(f"{args.items} items, {args.shared:,} bytes shared, {args.parallel} side by side, {MODEL}")
    print("| | cost | input tokens | written to the cache | read from it | seconds |")
    print("|---|---|---|---|---|---|")
    for name, (bill, seconds) in rows.items():
        usage = bill["usage"]
        tokens = " | ".join(f"{usage[kind]:,}" for kind in ("input", "cache_write_5m", "cache_read"))
        print(f"| {name} | ${bill['cost_nusd'] / 1e9:.5f} | {tokens} | {seconds:.1f} |")
    before, after = (row.bill["cost_nusd"] for row in rows.values())
    print(f"saved: {1 - after / before:.1%}")


if __name__ == "__main__":
    main()
