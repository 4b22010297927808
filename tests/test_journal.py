"""The journal: the contract of both kinds, the form of events on disk, damage, full disks, cleaning."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.events import (
    FORMAT,
    KINDS,
    AttemptEnded,
    AttemptStarted,
    Event,
    RunContinued,
    TaskFailed,
    TaskSucceeded,
)
from stretto.journal import Journal, Kept
from stretto.journal.codec import decode, encode
from stretto.journal.memory import MemoryJournal
from stretto.journal.sqlite import SqliteJournal
from tests.journal_contract import LARGE, STARTED, JournalContract, blob, finished, slug, write


class TestMemory(JournalContract):
    def make(self, root: Path) -> Journal:
        return MemoryJournal()


class TestSqlite(JournalContract):
    def make(self, root: Path) -> Journal:
        return SqliteJournal(root)


# --- the form on disk -------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, as they come back from JSON."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return JSON
    if kind is str:
        # Half surrogate pairs too: file names and cut-off model text have them.
        return st.text(st.characters(categories=None), max_size=20)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(-(2**63), 2**63 - 1)
    if kind is type(None):
        return st.none()
    if origin is list:
        return st.lists(values(inside[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(inside[0]), values(inside[1]), max_size=3)
    return st.one_of([values(option) for option in inside])


def events() -> st.SearchStrategy[Event]:
    """Any event; fields with a default are sometimes left at it."""

    def build(kind: Any) -> st.SearchStrategy[Event]:
        hints = typing.get_type_hints(kind)
        optional = {name: values(hints[name]) for name in kind._field_defaults}
        needed = {name: values(hints[name]) for name in kind._fields if name not in optional}
        return st.fixed_dictionaries(needed, optional=optional).map(lambda fields: kind(**fields))

    return st.one_of([build(kind) for kind in KINDS.values()])


@settings(max_examples=300, deadline=None)
@given(st.lists(events(), min_size=1, max_size=5))
def test_every_event_comes_back_as_it_was(some: list[Event]) -> None:
    bodies = [encode(event) for event in some]
    for body in bodies:
        body.encode()
    stored = [(n, 2 * n, type(event).__name__, FORMAT, bodies[n]) for n, event in enumerate(some)]
    rows = decode(stored, "here")
    assert [row.event for row in rows] == some
    assert [type(row.event) for row in rows] == [type(event) for event in some]
    assert [(row.seq, row.at_us) for row in rows] == [(n, 2 * n) for n in range(len(some))]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(events(), max_size=4), min_size=1, max_size=4))
def test_every_event_comes_back_from_the_disk(batches: list[list[Event]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        journal = SqliteJournal(Path(root))
        run = journal.create("one", "audit")
        for batch in batches:
            write(run, *batch)
        run.close()
        assert [row.event for row in journal.read("one")] == [event for batch in batches for event in batch]
        journal.close()


# The order of fields is the format. A new field goes to the end, with a default; then it is added here.
GOLDEN = {
    "RunStarted": "plan inputs cap_nusd approved_nusd deadline_us parallel on seed root pid boot version "
    "models folder='' estimate='' lock='' shadow=0.0 tiers=[] fresh=False base=''",
    "RunResumed": "pid boot lost",
    "RunPaused": "why until_us=None need_nusd=None note=''",
    "RunContinued": "by cap_nusd=None approved_nusd=None deadline_us=None",
    "RunEnded": "status spent_nusd held_nusd",
    "PlanGrew": "group cause depth first items tasks last expected_nusd=None noted=[]",
    "AttemptStarted": "task n role='work' rung=0 agent='' model='' effort='' key='' inputs=[] "
    "timeout_us=None idle_us=None why='' prompt='' choice='' session=''",
    "AttemptBound": "attempt session='' pid=None external=''",
    "CallReserved": "attempt call nusd",
    "CallSettled": "attempt call model usage cost_nusd certain status='ok' stop_reason=''",
    "AttemptEnded": "task n outcome cls='' error='' output='' size=0 retry_after_us=None",
    "RetryPlanned": "task n rung not_before_us why counts",
    "TaskSucceeded": "task output size key='' source='' saved_nusd=None",
    "TaskFailed": "task cls why",
    "TaskCancelled": "task by",
    "TaskInvalidated": "task by",
    "GroupClosed": "group ok failed why=''",
    "HoldReleased": "task nusd by",
    "TierSwitched": "family tier on evidence",
}


def test_the_order_of_fields_on_disk_is_held() -> None:
    shape = {
        name: " ".join(
            field + (f"={kind._field_defaults[field]!r}" if field in kind._field_defaults else "")
            for field in kind._fields
        )
        for name, kind in KINDS.items()
    }
    assert shape == GOLDEN
    assert FORMAT == 1


def test_a_person_can_read_the_file(tmp_path: Path) -> None:
    finished(SqliteJournal(tmp_path), "one", TaskFailed("prüfen", "task", "für später"))
    with sqlite3.connect(tmp_path / ".stretto" / "stretto.db") as db:
        row = db.execute("SELECT run, seq, at_us, kind, v, body FROM events WHERE seq = 2").fetchone()
        # Names of tables and columns are part of what people build on.
        tables = {
            name: [column[1] for column in db.execute(f"PRAGMA table_info({name})")]
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        }
    db.close()
    assert row == (1, 2, 1, "TaskFailed", 1, '["prüfen","task","für später"]')
    assert tables == {
        "runs": ["number", "run", "plan_name", "started_us", "status", "spent_nusd", "held_nusd"],
        "events": ["run", "seq", "at_us", "kind", "v", "body"],
        "blobs": ["sha", "content"],
        "kept": ["key", "run", "task", "n", "output", "size", "cost_nusd"],
        "asks": ["number", "run", "verb", "args", "taken"],
        "heartbeats": ["run", "attempt", "at_us"],
        "outcomes": ["number", "run", "at_us", "v", "body"],
    }


def test_events_of_an_older_stretto_get_the_defaults_of_today() -> None:
    rows = decode(
        [(1, 1, "AttemptStarted", 1, '["a",1]'), (2, 1, "AttemptStarted", 1, '["b",2,"check"]')], "here"
    )
    assert [row.event for row in rows] == [AttemptStarted("a", 1), AttemptStarted("b", 2, "check")]


GOOD = (1, 1, "TaskFailed", 1, '["a","task","why"]')


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((2, 1, "TaskBlessed", 1, '["a"]'), "foreign-journal"),
        ((2, 1, "TaskFailed", 2, '["a","task","why"]'), "foreign-journal"),
        ((2, 1, "TaskFailed", 1, '["a","task","why","more"]'), "foreign-journal"),
        ((2, 1, "TaskFailed", 1, '["a","task"]'), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, '["a","task",'), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, '"abc"'), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, '["a","b","c"],["d","e","f"]'), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, "\0" * 9), "damaged-journal"),
        ((2, 1, "TaskFailed", None, '["a","task","why"]'), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, None), "damaged-journal"),
        ((2, 1, None, 1, "[]"), "damaged-journal"),
        ((2, 1, "TaskFailed", 1, "[" * 100_000), "damaged-journal"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named(row: Any, expected: str) -> None:
    for rows in ([row], [GOOD, row], [row, GOOD]):
        with pytest.raises(StrettoError) as caught:
            decode(rows, "run one")
        assert slug(caught) == expected
        assert "event 2" in caught.value.what
        assert caught.value.at == "run one"


def test_a_plan_may_have_any_name(tmp_path: Path) -> None:
    run = SqliteJournal(tmp_path).create("one", "half \ud83d of a pair")
    write(run, STARTED)
    run.close()
    assert SqliteJournal(tmp_path).runs()[0].plan_name == "half ? of a pair"


def test_what_is_no_json_fails_its_caller_and_nobody_else(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    with pytest.raises(TypeError, match="object is not JSON"):
        write(run, STARTED._replace(inputs={"x": object()}))
    write(run, RunContinued("user"))
    run.close()
    assert [row.seq for row in journal.read("one")] == [1, 2]


def test_later_changes_to_an_event_do_not_reach_the_disk(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    inputs = [["a", "f" * 64]]

    async def change() -> None:
        commit = run.append(1, [AttemptStarted("b", 1, inputs=inputs)])
        inputs.clear()
        await commit

    asyncio.run(change())
    run.close()
    assert [row.event for row in journal.read("one")] == [AttemptStarted("b", 1, inputs=[["a", "f" * 64]])]


# --- the folder -------------------------------------------------------------------------------------


def test_reading_creates_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    assert journal.runs() == []
    assert journal.verify() == []
    assert journal.gc().runs == []
    with pytest.raises(StrettoError):
        journal.open("one")
    with pytest.raises(StrettoError):
        journal.ask("one", "cancel", {})
    assert list(tmp_path.iterdir()) == []


def test_all_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED, blobs=[blob(LARGE)])
    paths = list(tmp_path.rglob("*"))
    assert {path.name for path in paths} >= {"stretto.db", "stretto.db-wal", "lock", blob(LARGE)[0]}
    for path in paths:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    run.close()
    assert (tmp_path / ".stretto" / ".gitignore").read_text() == "*\n"
    sha = blob(LARGE)[0]
    assert (tmp_path / ".stretto" / "blobs" / sha[:2] / sha).read_bytes() == LARGE


def test_a_closed_journal_is_one_whole_file(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / ".stretto").mkdir(parents=True)
    assert journal.runs() == []
    finished(journal, "one")
    assert len(list(journal.read("one"))) == 2
    finished(journal, "two")
    shutil.copy(tmp_path / "a" / ".stretto" / "stretto.db", tmp_path / "b" / ".stretto")
    assert len(list(SqliteJournal(tmp_path / "b").read("two"))) == 2


def test_a_reader_notices_that_the_folder_was_moved_away(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one")
    assert len(journal.runs()) == 1
    (tmp_path / ".stretto").rename(tmp_path / "old")
    assert journal.runs() == []
    finished(journal, "two")
    assert [info.run for info in journal.runs()] == ["two"]


def test_damaged_blobs_are_noticed_and_mended_by_writing_them_again(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    sha, _ = blob(LARGE)
    kept = Kept("one", "a", 1, sha, len(LARGE), 0)
    finished(journal, "one", blobs=[blob(LARGE)], kept=[("k", kept)])
    path = tmp_path / ".stretto" / "blobs" / sha[:2] / sha
    path.write_bytes(LARGE[:-1] + b"?")
    with pytest.raises(StrettoError) as caught:
        journal.blob(sha)
    assert slug(caught) == "damaged-blob"
    path.write_bytes(LARGE[:100])
    assert journal.kept("k") is None
    path.unlink()
    assert journal.kept("k") is None
    with pytest.raises(StrettoError) as caught:
        journal.blob(sha)
    assert slug(caught) == "missing-blob"
    path.write_bytes(b"wrong")
    finished(journal, "two", blobs=[blob(LARGE)])
    assert journal.blob(sha) == LARGE
    assert journal.kept("k") == kept


def test_heartbeats_are_written_without_events_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stretto.journal.writer.BEAT_S", 0.02)
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    run.beat(["a#1", "b#1"], 10)
    until(lambda: journal.beats("one") == {"a#1": 10, "b#1": 10})
    run.beat(["a#1"], 11)
    until(lambda: journal.beats("one") == {"a#1": 11, "b#1": 10})
    write(run, AttemptEnded("a", 1, "ok"))
    run.beat(["b#1"], 12)
    until(lambda: journal.beats("one") == {"b#1": 12})
    run.close()


def until(holds: Callable[[], bool]) -> None:
    patience = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.005)


def test_an_ask_that_a_crash_swallowed_comes_again(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one")
    journal.ask("one", "cancel", {})
    run = journal.open("one")
    assert len(run.asks()) == 1
    # What a reader sees now is what would be left after a crash: not marked, so it is handed out again.
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / ".stretto", copy / ".stretto")
    run.close()
    again = SqliteJournal(copy).open("one")
    assert [ask.verb for ask in again.asks()] == ["cancel"]
    write(again, RunContinued("user"))
    again.close()
    last = SqliteJournal(copy).open("one")
    assert last.asks() == []
    last.close()


# --- locks ------------------------------------------------------------------------------------------


def test_the_lock_names_its_owner_and_is_not_inherited(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    with pytest.raises(StrettoError, match=f"pid {os.getpid()}"):
        SqliteJournal(tmp_path).open("one")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        run.close()
        assert not journal.live("one")
        journal.open("one").close()
        assert child.stdin is not None
        child.stdin.write(b"\n")


def test_probing_does_not_keep_anybody_out(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one")
    code = (
        "import sys; from pathlib import Path; from stretto.journal.sqlite import SqliteJournal\n"
        "j = SqliteJournal(Path(sys.argv[1])); print(flush=True)\n"
        "while True: j.live('one')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as prober:
        assert prober.stdout is not None
        prober.stdout.readline()
        for _ in range(30):
            journal.open("one").close()
        prober.kill()


def test_the_file_is_json_for_other_programs(tmp_path: Path) -> None:
    finished(SqliteJournal(tmp_path), "one", TaskSucceeded("a", "f" * 64, 3))
    with sqlite3.connect(tmp_path / ".stretto" / "stretto.db") as db:
        tasks = db.execute(
            "SELECT json_extract(body, '$[0]') FROM events WHERE kind = 'TaskSucceeded'"
        ).fetchall()
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM events")]
    db.close()
    assert tasks == [("a",)]
    assert all(isinstance(body, list) for body in bodies)
