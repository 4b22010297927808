"""The journal under damage and on disks that say no: a clear error, and nothing lost or overwritten."""

import asyncio
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stretto.errors import StrettoError
from stretto.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    RunContinued,
    TaskFailed,
    TaskSucceeded,
)
from stretto.journal.database import LAYOUT
from stretto.journal.sqlite import SqliteJournal
from tests.journal_contract import LARGE, SMALL, STARTED, blob, finished, slug, write


def history(root: Path, batches: int = 60) -> list[Event]:
    """A journal of some pages, left as a crash leaves it: part in the file, part in the log."""
    journal = SqliteJournal(root / "whole")
    (root / "whole").mkdir()
    run = journal.create("one", "audit")
    written: list[Event] = [STARTED]
    write(run, STARTED)
    for n in range(batches):
        batch: list[Event] = [
            AttemptStarted(f"task.{n}", 1, why="x" * 150),
            AttemptEnded(f"task.{n}", 1, "ok"),
        ]
        write(run, *batch)
        written += batch
        if n == batches // 2:
            run.close()
            run = journal.open("one")
    shutil.copytree(root / "whole", root / "torn")
    (root / "torn" / ".stretto" / "stretto.db-shm").unlink()
    run.close()
    return written


DAMAGE = {"damaged-journal", "unreadable-journal", "foreign-journal"}


def read_or_error(root: Path) -> list[Event] | None:
    journal = SqliteJournal(root)
    try:
        return [row.event for row in journal.read("one")]
    except StrettoError as error:
        assert error.slug in DAMAGE, error.what
        assert error.next
        return None
    finally:
        journal.close()


@pytest.mark.parametrize("name", ["stretto.db", "stretto.db-wal"])
@pytest.mark.parametrize("how", ["cut", "hole"])
def test_torn_files_give_a_prefix_or_a_clear_error(tmp_path: Path, name: str, how: str) -> None:
    written = history(tmp_path)
    folder = tmp_path / "torn" / ".stretto"
    original = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    content = original[name]
    assert len(content) > 20_000
    outcomes = set()
    for part in range(120):
        offset = len(content) * part // 120 + (part % 3)
        torn = content[:offset] + (b"" if how == "cut" else bytes(512) + content[offset + 512 :])
        for path in folder.glob("stretto.db*"):
            path.unlink()
        for other, bytes_ in original.items():
            (folder / other).write_bytes(torn if other == name else bytes_)
        found = read_or_error(tmp_path / "torn")
        outcomes.add(found is None)
        if found is not None:
            assert found == written[: len(found)], f"{how} at {offset}"
            assert name != "stretto.db-wal" or len(found) > len(written) // 2
    assert outcomes >= ({False} if name == "stretto.db-wal" else {True})


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / ".stretto"
    folder.mkdir()
    strange: dict[str, bytes] = {"empty": b"", "text": b"my notes\n" * 1_000, "short": b"SQLite format 3\0"}
    for name in ("other", "newer", "odd"):
        db = sqlite3.connect(tmp_path / name)
        db.execute("CREATE TABLE t (x)")
        if name != "other":
            db.execute(f"PRAGMA application_id = {0x53545254}")
            db.execute(f"PRAGMA user_version = {LAYOUT + 1 if name == 'newer' else 0}")
        db.close()
        strange[name] = (tmp_path / name).read_bytes()
    for name, content in strange.items():
        (folder / "stretto.db").write_bytes(content)
        journal = SqliteJournal(tmp_path)
        expected = "foreign-journal" if name == "newer" else "damaged-journal"
        for act in (journal.runs, lambda: journal.create("one", "p"), lambda: journal.open("one")):  # noqa: B023
            with pytest.raises(StrettoError) as caught:
                act()
            assert slug(caught) == expected, name
            assert "stretto.db" in caught.value.at
        assert [finding.slug for finding in journal.verify()] == [expected]
        assert (folder / "stretto.db").read_bytes() == content


def test_tables_that_are_missing_are_damage(tmp_path: Path) -> None:
    finished(SqliteJournal(tmp_path), "one")
    with sqlite3.connect(tmp_path / ".stretto" / "stretto.db") as db:
        db.execute("DROP TABLE runs")
    db.close()
    for act in (SqliteJournal(tmp_path).runs, lambda: SqliteJournal(tmp_path).create("two", "p")):
        with pytest.raises(StrettoError) as caught:
            act()
        assert slug(caught) == "damaged-journal"


def test_a_lost_file_is_not_replaced_under_its_log(tmp_path: Path) -> None:
    history(tmp_path)
    (tmp_path / "torn" / ".stretto" / "stretto.db").unlink()
    journal = SqliteJournal(tmp_path / "torn")
    for act in (journal.runs, lambda: journal.create("two", "p")):
        with pytest.raises(StrettoError) as caught:
            act()
        assert slug(caught) == "damaged-journal"


def test_missing_events_are_noticed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    finished(journal, "one", TaskFailed("a", "task", "x"))
    with sqlite3.connect(tmp_path / ".stretto" / "stretto.db") as db:
        db.execute("DELETE FROM events WHERE seq = 2")
    db.close()
    with pytest.raises(StrettoError) as caught:
        list(journal.read("one"))
    assert slug(caught) == "damaged-journal"


# --- a disk that says no ----------------------------------------------------------------------------


def refused(run: Any, journal: SqliteJournal, committed: int) -> StrettoError:
    """After a failed commit: each append says the same at once, and what was committed is there."""
    with pytest.raises(StrettoError) as first:
        write(run, TaskFailed("a", "task", "x" * 200_000))
    assert slug(first) == "journal-write"
    for _ in range(3):
        with pytest.raises(StrettoError) as later:
            run.append(1, [RunContinued("user")])
        assert (later.value.slug, later.value.what) == (first.value.slug, first.value.what)
    run.close()
    assert len(list(journal.read("one"))) == committed
    return first.value


def test_a_full_database_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    run._db.execute("PRAGMA max_page_count = 20")
    error = refused(run, journal, committed=1)
    assert "full" in error.what
    assert "stretto gc" in error.next
    run = journal.open("one")
    write(run, TaskFailed("a", "task", "x" * 200_000))
    run.close()
    assert [row.seq for row in journal.read("one")] == [1, 2]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Python ignores the signal that goes with it, so writing further is an error like a full disk's."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_log_that_cannot_grow_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    with largest_file(100_000):
        refused(run, journal, committed=1)
    assert "interrupted-run" in {finding.slug for finding in journal.verify()}
    assert "damaged-journal" not in {finding.slug for finding in journal.verify()}


def test_a_blob_that_does_not_fit_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    big = blob(b"x" * 300_000)
    with largest_file(200_000):
        with pytest.raises(StrettoError) as caught:
            write(run, TaskSucceeded("a", big[0], 300_000), blobs=[big])
        assert slug(caught) == "journal-write"
        assert "too large" in caught.value.what
        run.close()
    assert len(list(journal.read("one"))) == 1
    assert [path for path in (tmp_path / ".stretto" / "blobs").rglob("*") if path.is_file()] == []


def test_who_waits_beside_a_failure_hears_of_it(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    run._db.execute("PRAGMA max_page_count = 20")

    async def crowd() -> list[Any]:
        first = run.append(1, [TaskFailed("a", "task", "x" * 200_000)])
        others = [run.append(1, [RunContinued("user")]) for _ in range(5)]
        return await asyncio.gather(first, *others, return_exceptions=True)

    assert {type(answer) for answer in asyncio.run(crowd())} == {StrettoError}
    run.close()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".stretto").write_text("mine")
    journal = SqliteJournal(tmp_path)
    with pytest.raises(StrettoError) as caught:
        journal.create("one", "audit")
    assert slug(caught) == "journal-write"
    with pytest.raises(StrettoError) as caught:
        journal.runs()
    assert slug(caught) == "unreadable-journal"
    assert (tmp_path / ".stretto").read_text() == "mine"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may enter, unlike `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="stretto-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write there. Permissions do not bind root, so root becomes somebody else for a while."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_folder_can_be_read_and_not_written(shared: Path) -> None:
    journal = SqliteJournal(shared)
    finished(journal, "one", blobs=[blob(SMALL), blob(LARGE)])
    journal.close()
    for leftover in (shared / ".stretto").glob("stretto.db-*"):
        leftover.unlink()
    with read_only(shared):
        assert len(list(journal.read("one"))) == 2
        assert journal.blob(blob(LARGE)[0]) == LARGE
        assert [info.status for info in journal.runs()] == ["succeeded"]
        with pytest.raises(StrettoError) as caught:
            journal.create("two", "p")
        assert slug(caught) == "journal-write"
        with pytest.raises(StrettoError) as caught:
            journal.open("one")
        assert slug(caught) == "journal-write"
        journal.close()


def test_a_read_only_folder_without_a_journal(shared: Path) -> None:
    with read_only(shared):
        assert SqliteJournal(shared).runs() == []
        with pytest.raises(StrettoError) as caught:
            SqliteJournal(shared).create("one", "p")
        assert slug(caught) == "journal-write"


def test_a_file_whose_end_is_missing_is_not_written_on(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    run = journal.create("one", "audit")
    write(run, STARTED)
    run.close()
    journal.close()
    db = tmp_path / ".stretto" / "stretto.db"
    content = db.read_bytes()
    db.write_bytes(content[:-100])
    with pytest.raises(StrettoError) as caught:
        SqliteJournal(tmp_path).create("two", "audit")
    assert caught.value.slug == "damaged-journal"
    assert db.read_bytes() == content[:-100]
