"""A process to be killed while it spends: one run of paid agents against a provider on loopback.

python -m tests.spender ROOT start|resume URL CAP_NUSD
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import stretto.agents.messages  # noqa: F401 - it brings the SDK
from stretto.journal.sqlite import SqliteJournal
from stretto.models import BUILTIN
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, resume_run, run_plan

RUN = "r"
TASKS = 160
PARALLEL = 32
MAX_TOKENS = 1_000
MODEL = "claude-haiku-5-5"
GO = "go"
"""Printed when the run is about to be driven: a kill while packages are imported would meet nothing."""


def plan() -> Plan:
    task = Task(
        id="t",
        prompt="Think about ${item}",
        model=MODEL,
        each=Each(over=list(range(TASKS)), max=TASKS),
        max_tokens=MAX_TOKENS,
        attempts=20,
    )
    return Plan(name="spender", tasks=(task,), limits=Limits(parallel=PARALLEL))


async def live(root: Path, verb: str, url: str, cap_nusd: int) -> int:
    journal = SqliteJournal(root)
    # What is imported late, the SDK and the prices, is here before the first call.
    assert "anthropic" in sys.modules and BUILTIN.price_of(MODEL) is not None

    def started(*_: object) -> None:
        print(GO, flush=True)

    options = Options(on=f"messages:{url}", cap_nusd=cap_nusd, control=False)
    if verb == "start":
        outcome = await run_plan(plan(), options, journal, root, run=RUN, started=started)
    else:
        outcome = await resume_run(RUN, options, journal, root, started=started)
    return outcome.code


if __name__ == "__main__":
    sys.exit(asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))))
