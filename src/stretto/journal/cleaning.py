"""Removes ended runs, then blobs and kept results that nothing names any more, and the oldest outcomes."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from stretto.journal import OUTCOMES, lock
from stretto.journal.blobs import BlobFolder
from stretto.journal.database import Places, Reader, open_to_write, unwritable
from stretto.journal.refusals import is_name
from stretto.journal.summary import ENDED

_SHA = re.compile(r"[0-9a-f]{64}")
_CHUNK = 5_000


class Cleaned(NamedTuple):
    """What was removed, or would be."""

    runs: list[str]
    events: int
    kept: int
    blobs: int
    leftovers: int
    """Half-written files of a crash, folders of runs that never began."""
    bytes: int
    live: list[str]
    """Runs that are being carried out: as long as there are any, no blob and no kept result is removed."""
    outcomes: int = 0
    """All but the newest 20,000, whether their runs are still there or not: choices look back no further."""


class _Candidate(NamedTuple):
    number: int
    run: str
    events: int
    bytes: int


def clean(
    places: Places, reader: Reader, keep_runs: set[str], older_than_us: int | None, dry_run: bool
) -> Cleaned:
    """Raises `journal-write`. What a crash in the middle leaves is found by the next call."""
    runs = [
        found
        for found in _candidates(reader, older_than_us)
        if found.run not in keep_runs and not lock.is_held(places.runs / found.run / "lock")
    ]
    if not dry_run and places.db.exists():
        with _writing(places) as db:
            runs = [found for found in runs if _remove_run(places, db, found)]
    done = Cleaned(
        [found.run for found in runs],
        sum(found.events for found in runs),
        0,
        0,
        0,
        sum(found.bytes for found in runs),
        _live(places),
    )
    if dry_run:
        return _sweep(places, reader, done, {found.number for found in runs}, None)
    if not places.db.exists():
        return done
    gate = lock.claim(places.gate)
    if gate is None:
        return done._replace(live=_live(places) or ["(one that is just starting)"])
    try:
        with _writing(places) as db:
            return _sweep(places, reader, done._replace(live=[]), set(), db)
    finally:
        lock.release(gate)


@contextmanager
def _writing(places: Places) -> Iterator[sqlite3.Connection]:
    db = open_to_write(places)
    try:
        yield db
    except (sqlite3.Error, OSError) as error:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise unwritable(error, places) from error
    finally:
        db.close()


def _candidates(reader: Reader, older_than_us: int | None) -> list[_Candidate]:
    found = []
    for number, run, status in reader.rows("SELECT number, run, status FROM runs ORDER BY number"):
        if status not in ENDED or not is_name(run):
            continue
        count, size, last = reader.rows(
            "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(at_us), 0) "
            "FROM events WHERE run = ?",
            (number,),
        )[0]
        if older_than_us is None or last < older_than_us:
            found.append(_Candidate(number, run, count, size))
    return found


def _remove_run(places: Places, db: sqlite3.Connection, found: _Candidate) -> bool:
    """Under the run's own lock, so that nobody resumes it meanwhile; False where somebody was quicker."""
    folder = places.runs / found.run
    own = lock.claim(folder / "lock")
    if own is None:
        return False
    try:
        status = db.execute("SELECT status FROM runs WHERE number = ?", (found.number,)).fetchone()
        if status is None or status[0] not in ENDED:
            return False
        db.execute("BEGIN IMMEDIATE")
        for table, column in (("events", "run"), ("asks", "run"), ("heartbeats", "run"), ("runs", "number")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (found.number,))
        db.execute("COMMIT")
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        lock.release(own)


def _sweep(
    places: Places, reader: Reader, done: Cleaned, gone: set[int], db: sqlite3.Connection | None
) -> Cleaned:
    """Counts, and where `db` is given removes, what only the runs that are `gone` still name."""
    if done.live:
        return done
    files = {file.sha: file for file in BlobFolder(places.blobs)}
    rows = dict(reader.rows("SELECT sha, length(content) FROM blobs"))
    named, dead_kept = _named(reader, gone, files.keys() | rows.keys())
    dead_rows = rows.keys() - named
    dead_files = [file for sha, file in files.items() if sha not in named]
    leftovers = BlobFolder(places.blobs).leftovers() + _unborn(places, reader)
    dead_outcomes, outcome_bytes = _old_outcomes(reader)
    result = done._replace(
        kept=dead_kept,
        blobs=len(dead_rows | {file.sha for file in dead_files}),
        leftovers=len(leftovers),
        outcomes=dead_outcomes,
        bytes=done.bytes
        + outcome_bytes
        + sum(rows[sha] for sha in dead_rows)
        + sum(file.size for file in dead_files)
        + sum(_size(path) for path in leftovers),
    )
    if db is not None:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM kept WHERE run NOT IN (SELECT number FROM runs)")
        db.executemany("DELETE FROM blobs WHERE sha = ?", ((sha,) for sha in dead_rows))
        db.execute(f"DELETE FROM outcomes WHERE {_OLD}", (OUTCOMES,))
        db.execute("COMMIT")
        # Rows before files: a crash between leaves files that nothing names, never names without a file.
        _remove([file.path for file in dead_files] + leftovers)
        if result.events or dead_rows or dead_outcomes:
            # Gives the space back to the disk. On a full one there is no room for it: the pages are reused.
            with suppress(sqlite3.Error):
                db.execute("VACUUM")
    return result


def _named(reader: Reader, gone: set[int], present: Iterable[str]) -> tuple[set[str], int]:
    """The blobs of `present` that an event or a kept result of a remaining run names, found by their look;
    and how many kept results belong to runs that are not there any more."""
    there = frozenset(present)
    named: set[str] = set()
    remaining = {row[0] for row in reader.rows("SELECT number FROM runs")} - gone
    for number in remaining:
        after = 0
        while bodies := reader.rows(
            "SELECT seq, body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
            (number, after, _CHUNK),
        ):
            after = bodies[-1][0]
            for _, body in bodies:
                named.update(there.intersection(_SHA.findall(body)))
    dead_kept = 0
    for number, output in reader.rows("SELECT run, output FROM kept"):
        if number in remaining:
            named.add(output)
        else:
            dead_kept += 1
    return named, dead_kept


# Of fewer rows there is none at that place: NULL, than which no number is smaller.
_OLD = "number <= (SELECT number FROM outcomes ORDER BY number DESC LIMIT 1 OFFSET ?)"


def _old_outcomes(reader: Reader) -> tuple[int, int]:
    """How many there are beyond the newest, and their bytes."""
    if not reader.has_outcomes():
        return 0, 0
    sql = f"SELECT count(*), coalesce(sum(length(body)), 0) FROM outcomes WHERE {_OLD}"
    count, size = reader.rows(sql, (OUTCOMES,))[0]
    return count, size


def _unborn(places: Places, reader: Reader) -> list[Path]:
    """Folders of runs that died before their first commit."""
    known = {row[0] for row in reader.rows("SELECT run FROM runs")}
    return [folder for folder in _folders(places) if folder.name not in known]


def _live(places: Places) -> list[str]:
    return [folder.name for folder in _folders(places) if lock.is_held(folder / "lock")]


def _folders(places: Places) -> list[Path]:
    return sorted(path for path in places.runs.glob("*") if path.is_dir())


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else iter([path])
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
