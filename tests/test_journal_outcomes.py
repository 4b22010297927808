"""Outcomes on disk: a journal of the layout before them, cleaning, damage, their form."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.events import FORMAT, Event, RunResumed, TaskFailed
from stretto.journal import OUTCOMES, Kept
from stretto.journal.codec import decode_outcomes, encode
from stretto.journal.database import APPLICATION, LAYOUT
from stretto.journal.sqlite import SqliteJournal
from stretto.models.history import Outcome
from tests.journal_contract import (
    ENDED,
    PLAN,
    SMALL,
    STARTED,
    blob,
    finished,
    outcome,
    slug,
    write,
)
from tests.test_journal_damage import read_only, shared

__all__ = ["shared"]

# As the first release made it, word for word.
LAYOUT_1 = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL UNIQUE, plan_name TEXT NOT NULL,
    started_us INTEGER NOT NULL, status TEXT NOT NULL,
    spent_nusd INTEGER NOT NULL, held_nusd INTEGER NOT NULL);
CREATE TABLE events (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, at_us INTEGER NOT NULL, kind TEXT NOT NULL,
    v INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE blobs (sha TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE kept (
    key TEXT PRIMARY KEY, run INTEGER NOT NULL, task TEXT NOT NULL, n INTEGER NOT NULL,
    output TEXT NOT NULL, size INTEGER NOT NULL, cost_nusd INTEGER NOT NULL);
CREATE TABLE asks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, verb TEXT NOT NULL,
    args TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0);
CREATE TABLE heartbeats (
    run INTEGER NOT NULL, attempt TEXT NOT NULL, at_us INTEGER NOT NULL,
    PRIMARY KEY (run, attempt)) WITHOUT ROWID;
"""

TABLES = ("runs", "events", "blobs", "kept", "asks", "heartbeats")


def of_layout_1(root: Path) -> Path:
    """A project whose journal an older Stretto made: one run that ended, one that was cut short."""
    folder = root / ".stretto"
    folder.mkdir(mode=0o700)
    file = folder / "stretto.db"
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("PRAGMA user_version = 1")
    db.executescript("BEGIN;" + LAYOUT_1 + "COMMIT;")
    sha = blob(SMALL)[0]
    runs: tuple[tuple[int, str, str, list[Event]], ...] = (
        (1, "old", "succeeded", [STARTED, TaskFailed("a", "task", "x"), ENDED]),
        (2, "cut", "running", [STARTED]),
    )
    for number, run, status, events in runs:
        db.execute("INSERT INTO runs VALUES (?, ?, 'audit', 1, ?, 12, 3)", (number, run, status))
        for seq, event in enumerate(events, 1):
            # Events had fewer fields then.
            row = (number, seq, 1, type(event).__name__, FORMAT, encode(tuple(event)[:14]))  # type: ignore[arg-type]
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
    db.executemany("INSERT INTO blobs VALUES (?, ?)", [blob(PLAN), blob(SMALL)])
    db.execute("INSERT INTO kept VALUES ('k', 1, 'a', 1, ?, ?, 7)", (sha, len(SMALL)))
    db.execute("INSERT INTO asks (run, verb, args) VALUES (2, 'cancel', '{}')")
    db.close()
    return file


def contents(file: Path) -> tuple[int, dict[str, list[Any]]]:
    """The layout and all rows of the tables that layout 1 had."""
    db = sqlite3.connect(file)
    try:
        layout: int = db.execute("PRAGMA user_version").fetchone()[0]
        return layout, {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    finally:
        db.close()


def test_a_journal_of_the_older_layout_is_read_as_it_is(tmp_path: Path) -> None:
    file = of_layout_1(tmp_path)
    before = file.read_bytes()
    journal = SqliteJournal(tmp_path)
    assert [info.run for info in journal.runs()] == ["cut", "old"]
    assert [row.event for row in journal.read("old")] == [STARTED, TaskFailed("a", "task", "x"), ENDED]
    assert journal.kept("k") == Kept("old", "a", 1, blob(SMALL)[0], len(SMALL), 7)
    assert journal.outcomes() == []
    assert journal.gc(dry_run=True).outcomes == 0
    assert [finding.slug for finding in journal.verify()] == ["interrupted-run"]
    journal.close()
    assert file.read_bytes() == before


def test_a_journal_of_the_older_layout_is_upgraded_without_loss(tmp_path: Path) -> None:
    file = of_layout_1(tmp_path)
    _, before = contents(file)
    journal = SqliteJournal(tmp_path)
    assert journal.outcomes() == []
    run = journal.open("cut")
    assert contents(file) == (LAYOUT, before)
    assert [ask.verb for ask in run.asks()] == ["cancel"]
    write(run, RunResumed(1, "b", []), outcomes=[outcome(5)])
    assert journal.outcomes() == [outcome(5)]
    run.close()
    layout, after = contents(file)
    assert layout == LAYOUT == 2
    assert {table: after[table] for table in ("blobs", "kept")} == {
        table: before[table] for table in ("blobs", "kept")
    }
    assert after["events"][:-1] == before["events"]
    assert SqliteJournal(tmp_path).outcomes() == [outcome(5)]
    assert [row.seq for row in journal.read("cut")] == [1, 2]


def test_cleaning_upgrades_too(tmp_path: Path) -> None:
    file = of_layout_1(tmp_path)
    assert SqliteJournal(tmp_path).gc().runs == ["old"]
    assert contents(file)[0] == LAYOUT


def test_processes_that_upgrade_at_once_are_not_in_each_other_s_way(tmp_path: Path) -> None:
    file = of_layout_1(tmp_path)
    code = (
        "import sys; from pathlib import Path; from stretto.journal.sqlite import SqliteJournal\n"
        "j = SqliteJournal(Path(sys.argv[1])); print(flush=True); input(); j.create(sys.argv[2], 'p').close()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"run{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        _, err = child.communicate(b"\n", timeout=60)
        assert (child.returncode, err) == (0, b"")
    assert contents(file)[0] == LAYOUT


def test_a_journal_of_the_older_layout_that_may_not_be_written(shared: Path) -> None:
    of_layout_1(shared)
    with read_only(shared):
        journal = SqliteJournal(shared)
        assert journal.outcomes() == []
        assert len(journal.runs()) == 2
        with pytest.raises(StrettoError) as caught:
            journal.open("cut")
        assert slug(caught) == "journal-write"
        journal.close()


# --- cleaning ---------------------------------------------------------------------------------------


def test_outcomes_stay_when_their_runs_are_cleaned(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one", outcomes=[outcome(1), outcome(2)])
    assert journal.gc().runs == ["one"]
    assert journal.outcomes() == [outcome(1), outcome(2)]
    finished(journal, "one", outcomes=[outcome(3)])
    assert [entry.cost_nusd for entry in journal.outcomes()] == [1, 2, 3]


def test_only_the_newest_outcomes_stay(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    more = 25
    finished(journal, "one", outcomes=[outcome(n) for n in range(OUTCOMES + more)])
    run = journal.create("live", "audit")
    write(run, STARTED)
    assert journal.gc(keep_runs={"one"}).outcomes == 0
    run.close()
    would = journal.gc(keep_runs={"one"}, dry_run=True)
    assert (would.outcomes, would.runs) == (more, [])
    assert would.bytes > more * len(encode(outcome(0)))
    assert len(journal.outcomes(OUTCOMES + more)) == OUTCOMES + more
    assert journal.gc(keep_runs={"one"}) == would
    left = journal.outcomes(OUTCOMES + more)
    assert [left[0].cost_nusd, left[-1].cost_nusd] == [more, OUTCOMES + more - 1]
    assert journal.gc(keep_runs={"one"}).outcomes == 0


# --- the form on disk -------------------------------------------------------------------------------

COUNTS = st.integers(0, 2**62)
ANY = st.builds(
    Outcome,
    *([st.text(st.characters(categories=None), max_size=12)] * 7),
    st.booleans(),
    st.booleans(),
    COUNTS,
    st.floats(0, 1e9),
    calls=COUNTS,
    input_tokens=COUNTS,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=4))
def test_every_outcome_comes_back_as_it_was(some: list[Outcome]) -> None:
    stored = [(n, FORMAT, encode(entry)) for n, entry in enumerate(some)]
    assert decode_outcomes(stored, "here") == some


def test_the_order_of_an_outcome_s_fields_on_disk_is_held() -> None:
    """A new field goes to the end, with a default; then it is added here."""
    assert " ".join(Outcome._fields) == (
        "signature family kind model tier effort role ok verified cost_nusd seconds "
        "calls input_tokens cache_read_tokens cache_write_tokens output_tokens agent size"
    )
    body = '["s","f","k","m","t","e","work",true,false,7,1.5]'
    short = Outcome("s", "f", "k", "m", "t", "e", "work", True, False, 7, 1.5)
    assert decode_outcomes([(1, 1, body)], "here") == [short]


GOOD = encode(outcome(1))


@pytest.mark.parametrize(
    ("v", "body", "expected"),
    [
        (1, GOOD[:-1] + ",1]", "foreign-journal"),
        (2, GOOD, "foreign-journal"),
        (1, '["s","f"]', "damaged-journal"),
        (1, "{}", "damaged-journal"),
        (1, GOOD[:-4], "damaged-journal"),
        (1, None, "damaged-journal"),
        (None, GOOD, "damaged-journal"),
    ],
)
def test_an_outcome_that_cannot_be_understood_is_named(v: Any, body: Any, expected: str) -> None:
    with pytest.raises(StrettoError) as caught:
        decode_outcomes([(1, 1, GOOD), (2, v, body)], "here")
    assert slug(caught) == expected
    assert "outcome 2" in caught.value.what


def test_doctor_reads_outcomes_too(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one", outcomes=[outcome(1)])
    assert journal.verify() == []
    with sqlite3.connect(tmp_path / ".stretto" / "stretto.db") as db:
        db.execute("UPDATE outcomes SET body = '[1'")
    db.close()
    assert [finding.slug for finding in journal.verify()] == ["damaged-journal"]


def test_what_is_no_json_in_an_outcome_fails_its_caller_alone(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    with pytest.raises(TypeError, match="object is not JSON"):
        write(run, STARTED, outcomes=[outcome(1, family=object())])
    write(run, STARTED, outcomes=[outcome(2)])
    run.close()
    assert [row.seq for row in journal.read("one")] == [1]
    assert journal.outcomes() == [outcome(2)]
