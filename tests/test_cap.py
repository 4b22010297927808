"""A cap against the provider's own bill: through the real SDK, 64 agents in flight, cut streams, SIGKILL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bench.money import CAPS, CUTS, PARALLEL, PROVIDER, SEED, TASKS, TITLE, Row, Sweep, booked, caps

from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.journal.sqlite import SqliteJournal
from stretto.models import BUILTIN
from stretto.run import load_state
from stretto.scheduler.vertex import SUCCEEDED
from tests import spender
from tests.books import Books
from tests.fakeapi import FakeApi

KILLS = 10
"""That meet calls in flight."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Row]]:
    with FakeApi(seed=SEED, **PROVIDER) as api:
        yield Sweep(api, tmp_path_factory.mktemp("sweep")).run(caps(CAPS, TASKS, SEED))


def stopped(rows: list[Row]) -> list[Row]:
    """Those that reached their cap with work left."""
    return [row for row in rows if row.second is not None]


def check(row: Row) -> None:
    """What holds for every cap, at the stop and at the end of the resumed run."""
    assert row.odd == []
    for stop in [row.first] + ([row.second] if row.second is not None else []):
        assert stop.bill_nusd <= stop.spent_nusd + stop.held_nusd <= stop.cap_nusd, row
        assert stop.delivered_nusd == stop.spent_nusd, "what arrived is known to the nano-dollar"
        assert stop.bill_nusd - stop.delivered_nusd <= stop.held_nusd
    if row.second is None:
        assert (row.first.code, row.first.status) == (EXIT_OK, "succeeded")
        return
    assert (row.first.code, row.first.status, row.first.why) == (EXIT_LIMIT, "paused", "budget")
    assert (row.second.code, row.second.status) == (EXIT_OK, "succeeded")
    assert row.first.used_nusd + row.bound_nusd > row.first.cap_nusd, "one call more would have fitted"
    if row.bounds >= 10:
        assert row.used >= 0.9


def test_a_small_sweep_holds_its_caps(tmp_path: Path) -> None:
    with FakeApi(seed=1, **PROVIDER) as api:
        found = Sweep(api, tmp_path, tasks=24, seed=1).run(caps(5, 24, 1))
    for row in found:
        check(row)
    assert stopped(found)


@pytest.mark.slow
def test_fifty_caps_hold_with_64_agents_in_flight(
    rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{TASKS} tasks, seed {SEED}\n{TITLE}", *(row.line for row in rows), sep="\n")
    assert len(rows) == CAPS
    for row in rows:
        check(row)


@pytest.mark.slow
def test_the_sweep_met_what_it_is_for(rows: list[Row]) -> None:
    """Caps below one call and above the whole job, full flight under a cap that bites, and cut streams."""
    assert min(row.bounds for row in rows) < 1 < len([row for row in rows if row.first.calls == 0])
    assert len(rows) - len(stopped(rows)) >= 5
    assert max(row.first.in_flight for row in stopped(rows)) == PARALLEL
    assert max(row.in_flight for row in stopped(rows)) >= 0.9 * PARALLEL
    assert len([row for row in stopped(rows) if row.bounds >= 20]) >= 20
    assert len([row for row in rows if row.first.held_nusd]) >= 40


# SIGKILL


@dataclass
class Purse:
    """One run over many lives of its process, and what the provider and the journal say of it."""

    api: FakeApi
    root: Path
    cap_nusd: int
    tally: Counter[str] = field(default_factory=Counter)

    def start(self) -> subprocess.Popen[str]:
        """Gives the process back at the moment at which it begins to drive the run."""
        verb = "resume" if SqliteJournal(self.root).runs() else "start"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", ".", os.environ.get("PYTHONPATH", "")])}
        argv = [sys.executable, "-m", "tests.spender", str(self.root), verb, self.api.url, str(self.cap_nusd)]
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == spender.GO
        return process

    def kill_after(self, seconds: float) -> None:
        """One life: killed, or paused before that because its money was gone."""
        process = self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            self.tally["kills"] += 1
            self.tally["kills with calls in flight"] += bool(self.books().reserved)
            self.tally["calls in flight at a kill"] += len(self.books().reserved)
        else:
            assert process.returncode == EXIT_LIMIT, "it ended before it could be killed"
            self.raise_cap()
        self.check()

    def books(self) -> Books:
        return booked(SqliteJournal(self.root), spender.RUN)

    def raise_cap(self) -> None:
        self.tally["paused for money"] += 1
        self.cap_nusd += 60 * self.bound_nusd

    def check(self) -> None:
        """The provider's bill against the journal as the dead process left it."""
        self.api.wait_idle()
        bill, books = self.api.bill(entries=False), self.books()
        # The cap that was on disk when it died: the one it was given, or one before.
        assert books.cap_nusd is not None and books.cap_nusd <= self.cap_nusd
        assert bill["cost_nusd"] <= books.used_nusd <= books.cap_nusd
        assert sum(books.spent.values()) <= bill["cost_nusd_delivered"]
        state = load_state(SqliteJournal(self.root), spender.RUN)[1].state
        books.agree_with(state)

    @property
    def tasks_left(self) -> int:
        row = load_state(SqliteJournal(self.root), spender.RUN)[1].state.rows["t"]
        return sum(row.counts[:SUCCEEDED])

    @property
    def bound_nusd(self) -> int:
        return BUILTIN.bound_nusd(spender.MODEL, 1_300, spender.MAX_TOKENS, cached=False) or 0

    def finish(self) -> None:
        code = EXIT_LIMIT
        while code == EXIT_LIMIT:
            process = self.start()
            try:
                code = process.wait(120)
            finally:
                process.kill()
                process.communicate()
            self.check()
            if code == EXIT_LIMIT:
                self.raise_cap()
        assert code == EXIT_OK and not self.books().reserved


@pytest.mark.slow
def test_the_cap_holds_over_ten_killed_lives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(SEED)
    pace = {"*": {"delay_s": [0.02, 0.1], "tokens_per_s": 800}}
    reply = {"reply": "well", "tokens": [200, spender.MAX_TOKENS]}
    with FakeApi(seed=SEED, chunk_tokens=50, default=reply, faults=CUTS, speed=pace) as api:
        purse = Purse(api, tmp_path, 0)
        purse.cap_nusd = 100 * purse.bound_nusd
        began = time.monotonic()
        while purse.tally["kills with calls in flight"] < KILLS:
            purse.kill_after(rng.uniform(0.05, 1.2))
        purse.tally["tasks left after the kills"] = purse.tasks_left
        purse.finish()
        books, bill = purse.books(), api.bill(entries=False)
        found = {
            **purse.tally,
            "calls": bill["calls"],
            "bill $": bill["cost_nusd"] / 1e9,
            "spent $": sum(books.spent.values()) / 1e9,
            "held $": sum(books.held.values()) / 1e9,
            "cap $": purse.cap_nusd / 1e9,
            "seconds": round(time.monotonic() - began, 1),
        }
    with capsys.disabled():
        print("\nkilled while it spent:", json.dumps(found))
    assert purse.tally["calls in flight at a kill"] >= 10 * KILLS
    assert purse.tally["paused for money"] and books.held and books.spent
