"""A cap against the provider's own bill: the same job of paid agents under fifty caps.

    python -m bench.money [--caps N] [--tasks N] [--seed N] [--aside N]

Each row is one run in a project of its own, through the real SDK against the fake provider (tests/fakeapi,
a process of its own): 64 agents side by side, answers of any length up to `max_tokens`, one stream in twenty
cut off. The run stops at its cap; then the same run is resumed with money enough. `bill` is what the provider
charges, for answers that never arrived too; `used` is spent and held together, as a share of the cap.

What a cap can do: a call is sent only if its *bound* fits, so a run that stops leaves less than one bound
unused. With work left, at least 90 % of the cap is used wherever the cap is ten bounds or more; below that
the share follows from the sizes alone (a cap of less than one bound cannot send anything).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.books import Books
from tests.fakeapi import FakeApi

from stretto import events as ev
from stretto.journal.sqlite import SqliteJournal
from stretto.models import BUILTIN
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, Outcome, resume_run, run_plan

SEED = 20_261_121
CAPS = 50
TASKS = 160
PARALLEL = 64
ASIDE = 4
"""Runs side by side, because one alone spends most of its time waiting to send a cut call again."""
MAX_TOKENS = 4_000
LONGEST_PROMPT = 400
CUTS = [
    {"kind": "cut", "probability": 0.025},
    # Everything was generated, and the connection is reset just before the usage would come.
    {"kind": "cut", "probability": 0.025, "after_tokens": 10**9, "reset": True},
]
PROVIDER: dict[str, Any] = {
    "chunk_tokens": 500,
    "default": {"reply": "done", "tokens": [1, MAX_TOKENS]},
    "faults": CUTS,
    "speed": {"*": {"delay_s": [0.1, 0.3]}},
}


@dataclass(slots=True)
class Stop:
    """How one life of a run ended, by its journal and by the provider."""

    code: int
    status: str
    why: str
    cap_nusd: int
    bill_nusd: int
    delivered_nusd: int
    """The part of the bill whose usage arrived."""
    spent_nusd: int
    held_nusd: int
    calls: int
    in_flight: int
    """Calls that had money reserved at the same time, at most."""

    @property
    def used_nusd(self) -> int:
        return self.spent_nusd + self.held_nusd


@dataclass(slots=True)
class Row:
    """One cap: the run up to its stop, and the same run resumed with money enough where work was left."""

    first: Stop
    bound_nusd: int
    """The largest bound of a call that was asked for."""
    in_flight: int
    """Calls that the provider was at work on at the same time, at most, up to the stop."""
    odd: list[str] = field(default_factory=list)
    """Errors that are neither the ledger's refusal nor one of the provider's cuts."""
    seconds: float = 0.0
    second: Stop | None = None

    @property
    def used(self) -> float:
        return self.first.used_nusd / self.first.cap_nusd

    @property
    def bounds(self) -> float:
        """The cap, counted in bounds of one call."""
        return self.first.cap_nusd / self.bound_nusd

    @property
    def line(self) -> str:
        first, second = self.first, self.second
        end = first if second is None else second
        return (
            f"{usd(first.cap_nusd)}{self.bounds:>8.1f}{self.in_flight:>7}{first.calls:>7}{usd(first.bill_nusd)}"
            f"{usd(first.spent_nusd)}{usd(first.held_nusd)}{self.used:>8.1%}{first.code:>6}"
            f"{usd(end.bill_nusd)}{usd(end.used_nusd)}{self.seconds:>9.1f}"
        )


TITLE = (
    f"{'cap $':>9}{'bounds':>8}{'flight':>7}{'calls':>7}{'bill $':>9}{'spent $':>9}{'held $':>9}{'used':>8}"
    f"{'exit':>6}{'bill $':>9}{'used $':>9}{'seconds':>9}"
)


def usd(nusd: int) -> str:
    return f"{nusd / 1e9:>9.4f}"


def one_bound_nusd(tasks: int = TASKS) -> int:
    """About the bound of one call of this job; what is asserted uses those of the journal."""
    bound = BUILTIN.bound_nusd("claude-haiku-5-5", 1_000 + 230 + LONGEST_PROMPT, MAX_TOKENS, cached=False)
    assert bound is not None
    return bound


def caps(number: int, tasks: int, seed: int) -> list[int]:
    """From a third of a call to a third more than the whole job; one at random in each of many stretches."""
    rng = random.Random(seed)
    one, few = one_bound_nusd(), number // 5
    whole = int(one * tasks * 0.55)
    small = [int(one * rng.uniform(0.3 * 30 ** (k / few), 0.3 * 30 ** ((k + 1) / few))) for k in range(few)]
    many = number - few
    step = (1.33 * whole - 9 * one) / many
    return small + [int(9 * one + step * (k + rng.random())) for k in range(many)]


def job(name: str, tasks: int, seed: int) -> Plan:
    """Prompts that no other run sends, of many lengths: what happens to a call hangs on its text alone."""
    rng = random.Random(f"{seed}/{name}")
    items = [f"{k}: {'look closely ' * 40}"[: rng.randint(8, LONGEST_PROMPT)] for k in range(tasks)]
    task = Task(
        id="t",
        prompt=f"Of {name}, {seed}, do ${{item}}",
        model="haiku",
        each=Each(over=items, max=max(tasks, 1)),
        max_tokens=MAX_TOKENS,
        attempts=20,
    )
    return Plan(name="money", tasks=(task,), limits=Limits(parallel=PARALLEL))


@dataclass
class Sweep:
    """The same job under each of some caps."""

    api: FakeApi
    folder: Path
    tasks: int = TASKS
    seed: int = SEED
    aside: int = ASIDE
    told: Callable[[Row], None] = lambda row: None
    _room: asyncio.Semaphore = field(init=False)

    def run(self, caps_nusd: list[int]) -> list[Row]:
        return asyncio.run(self._run(caps_nusd))

    async def _run(self, caps_nusd: list[int]) -> list[Row]:
        self._room = asyncio.Semaphore(self.aside)
        return list(await asyncio.gather(*(self._row(k, cap) for k, cap in enumerate(caps_nusd))))

    async def _row(self, number: int, cap_nusd: int) -> Row:
        async with self._room:
            name = f"cap{number}"
            root = self.folder / name
            root.mkdir()
            journal = SqliteJournal(root)
            began = time.monotonic()
            options = Options(on=f"messages:{self.api.url}/{name}", cap_nusd=cap_nusd, control=False)
            plan = job(name, self.tasks, self.seed)
            outcome = await run_plan(plan, options, journal, root, run="r")
            first = await self._stop(outcome, journal, name)
            row = Row(first, largest_bound(outcome, journal), await self._in_flight(name))
            if outcome.status == "paused":
                # Every call might be cut off and held once more, and would still fit.
                more = Options(cap_nusd=cap_nusd + 2 * self.tasks * row.bound_nusd, control=False)
                row.second = await self._stop(await resume_run("r", more, journal, root), journal, name)
            row.odd = odd_errors(journal)
            row.seconds = time.monotonic() - began
            journal.close()
            self.told(row)
            return row

    async def _stop(self, outcome: Outcome, journal: SqliteJournal, name: str) -> Stop:
        """Sums the journal event by event, which fails where the cap did not hold, and asks for the bill."""
        books = booked(journal)
        books.agree_with(outcome.state)
        assert books.cap_nusd is not None and not books.reserved
        bill = await asyncio.to_thread(self.api.bill, f"/{name}", entries=False)
        paused = outcome.state.paused
        return Stop(
            outcome.code,
            outcome.status,
            paused.why if paused is not None else "",
            books.cap_nusd,
            bill["cost_nusd"],
            bill["cost_nusd_delivered"],
            sum(books.spent.values()),
            sum(books.held.values()),
            books.grants,
            books.most_in_flight,
        )

    async def _in_flight(self, name: str) -> int:
        """How many calls of this run the provider had in flight at most."""
        records = (await asyncio.to_thread(self.api.requests, f"/{name}"))["records"]
        edges = sorted([(r["started_s"], 1) for r in records] + [(r["ended_s"], -1) for r in records])
        most = now = 0
        for _, step in edges:
            now += step
            most = max(most, now)
        return most


def booked(journal: SqliteJournal, run: str = "r") -> Books:
    """The money of a run by its journal; fails at the first event after which its cap does not hold."""
    books = Books()
    for row in journal.read(run):
        books.take(row.event)
    return books


def largest_bound(outcome: Outcome, journal: SqliteJournal) -> int:
    """Of all calls that were asked for: those that were sent, and the one that was refused."""
    events = [row.event for row in journal.read(outcome.run)]
    bounds = [event.nusd for event in events if isinstance(event, ev.CallReserved)]
    needs = [event.need_nusd or 0 for event in events if isinstance(event, ev.RunPaused)]
    return max(bounds + needs)


def odd_errors(journal: SqliteJournal, run: str = "r") -> list[str]:
    """What went wrong beside what was meant to; a sweep in which nothing is sent proves nothing."""
    ended = [row.event for row in journal.read(run) if isinstance(row.event, ev.AttemptEnded)]
    meant = ("the call was not sent: budget", "the answer was cut off on its way")
    return [event.error for event in ended if event.error and not event.error.startswith(meant)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caps", type=int, default=CAPS)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--aside", type=int, default=ASIDE)
    args = parser.parse_args()
    print(
        f"{args.tasks} tasks, {PARALLEL} agents side by side, seed {args.seed}; "
        "the last bill and used: at the end of the resumed run"
    )
    print(TITLE)
    began, cpu = time.monotonic(), time.process_time()
    with FakeApi(seed=args.seed, **PROVIDER) as api, tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(
            api, Path(folder), args.tasks, args.seed, args.aside, lambda row: print(row.line, flush=True)
        )
        rows = sweep.run(caps(args.caps, args.tasks, args.seed))
        calls = api.requests(records=False)["count"]
    for error in sorted({error for row in rows for error in row.odd}):
        print("not meant to happen:", error)
    worst = min((row.used for row in rows if row.first.code and row.bounds >= 10), default=1.0)
    print(
        f"{calls:,} calls in {time.monotonic() - began:.0f} s, CPU {time.process_time() - cpu:.0f} s; "
        f"least used of a cap of ten bounds or more, with work left: {worst:.1%}"
    )


if __name__ == "__main__":
    main()
