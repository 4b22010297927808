"""The one writer of one run: a thread that owns the writing connection and commits whatever waits."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stretto.errors import StrettoError, bug
from stretto.events import FORMAT, AttemptEnded, Event
from stretto.journal import Ask, Blob, Kept, RunInfo
from stretto.journal.blobs import SMALL, BlobFolder
from stretto.journal.codec import encode
from stretto.journal.database import Places, Reader, unwritable
from stretto.journal.failpoint import reach
from stretto.journal.summary import FOLLOWED, follow
from stretto.models.history import Outcome

BEAT_S = 5.0
"""Heartbeats are written at most this often."""

# sqlite3 lets go of the interpreter lock once per statement run. A row for each would mean a fight with a
# busy event loop for each; a hundred rows in one statement also cost a third less CPU than `executemany`.
_ROWS = (100, 10, 1)

_PUT_RUN = """
    INSERT INTO runs (number, run, plan_name, started_us, status, spent_nusd, held_nusd)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET started_us = excluded.started_us, status = excluded.status,
        spent_nusd = excluded.spent_nusd, held_nusd = excluded.held_nusd"""


class Commit(asyncio.Future[None]):
    """Resolves when its batch is on disk. Shared by all that wait for the batch, so none can cancel it:
    a task that is cancelled while it waits hears of it after the commit."""

    def cancel(self, msg: Any = None) -> bool:
        return False


class _Batch:
    """What waits for the next commit; rows are flat lists of parameters."""

    __slots__ = ("blobs", "events", "files", "info", "kept", "outcomes", "waiters")

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.blobs: list[Any] = []
        self.kept: list[Any] = []
        self.outcomes: list[Any] = []
        self.files: list[Blob] = []
        self.info: RunInfo | None = None
        self.waiters: list[Commit] = []


class SqliteRunJournal:
    """`append` is called from one thread, the event loop's. Made by `SqliteJournal`, which took the lock."""

    def __init__(
        self,
        db: sqlite3.Connection,
        places: Places,
        info: RunInfo,
        number: int | None,
        release: Callable[[], None],
    ):
        """`number` is None for a run that has no events yet: its first commit gives it one."""
        self.run = info.run
        self.folder: Path = places.runs / info.run
        self._db = db
        self._places = places
        self._files = BlobFolder(places.blobs)
        self._info = info
        self._number = number
        self._seq = 0 if number is None else _last_seq(db, number)
        self._reader = Reader(places)
        self._seen = (-1, 0)
        """What `asks` saw last: the version of the data, the number of the newest ask."""
        self._taken = self._taken_written = 0
        """The newest ask that was handed out; it is marked as taken with the next commit."""
        self._beats: dict[str, int] = {}
        self._beats_due = False
        self._beats_at = 0.0
        self._failed: StrettoError | None = None
        self._closing = False
        self._release = release
        self._batch = _Batch()
        self._lock = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._awake = False
        self._inserts = None if number is None else _Inserts(number)
        self._thread = threading.Thread(target=self._work, name=f"journal {info.run}", daemon=True)
        self._thread.start()

    def append(
        self,
        at_us: int,
        events: Sequence[Event],
        blobs: Sequence[Blob] = (),
        kept: Sequence[tuple[str, Kept]] = (),
        outcomes: Sequence[Outcome] = (),
    ) -> Awaitable[None]:
        """Encodes here, so that an event that is no JSON fails its caller alone, and later changes to its
        lists do not reach the disk. After a failed commit it raises at once."""
        if self._failed is not None or self._closing:
            raise self._refusal()
        seq, info = self._seq, self._info
        rows: list[Any] = []
        for event in events:
            seq += 1
            kind = type(event)
            rows += (seq, at_us, kind.__name__, encode(event))
            if kind in FOLLOWED:
                info = follow(info, at_us, event)
            elif self._beats and isinstance(event, AttemptEnded):
                self._beats.pop(f"{event.task}#{event.n}", None)
        learned = [value for outcome in outcomes for value in (at_us, encode(outcome))] if outcomes else None
        loop = asyncio.get_running_loop()
        with self._lock:
            # Again under the lock: the writer may have failed while we encoded.
            if self._failed is not None:
                raise self._refusal()
            batch = self._batch
            batch.events += rows
            for sha, content in blobs:
                if len(content) > SMALL:
                    batch.files.append((sha, content))
                else:
                    batch.blobs += (sha, content)
            for key, result in kept:
                batch.kept += (key, result.task, result.n, result.output, result.size, result.cost_nusd)
            if learned:
                batch.outcomes += learned
            if info is not self._info:
                self._info = batch.info = info
            if not batch.waiters or batch.waiters[-1].get_loop() is not loop:
                batch.waiters.append(Commit(loop=loop))
            waiter = batch.waiters[-1]
            self._seq = seq
            self._rouse()
        return waiter

    def asks(self) -> list[Ask]:
        """Reads with a connection of its own, so that it never waits for a commit: 10 us where nothing was
        written since, 25 us else. An ask is handed out once, but again after a crash before the commit
        that follows it."""
        if self._number is None:
            return []
        version = self._reader.rows("PRAGMA data_version")[0][0]
        if version == self._seen[0]:
            return []
        found = self._reader.rows(
            "SELECT number, verb, args FROM asks WHERE run = ? AND number > ? AND taken = 0 ORDER BY number",
            (self._number, self._seen[1]),
        )
        newest = found[-1][0] if found else self._seen[1]
        self._seen = (version, newest)
        if found:
            self._taken = newest
        return [Ask(number, verb, json.loads(args)) for number, verb, args in found]

    def beat(self, attempts: Sequence[str], at_us: int) -> None:
        with self._lock:
            for attempt in attempts:
                self._beats[attempt] = at_us
            self._beats_due = True

    def close(self) -> None:
        """Blocks until all that was appended is committed. Never raises: a failure is told by `append`
        and by what it returned."""
        with self._lock:
            self._closing = True
            self._rouse()
        self._thread.join()
        self._reader.close()
        release, self._release = self._release, _nothing
        release()

    def _refusal(self) -> StrettoError:
        if self._failed is None:
            return bug(f"an event for run {self.run} after its journal was closed")
        # A fresh one each time: a raised error collects the traceback of each place that raises it.
        error = self._failed
        return StrettoError(error.slug, error.what, at=error.at, next=error.next, code=error.code)

    def _rouse(self) -> None:
        """Wakes the writer, once per batch. Holds the lock when called."""
        if not self._awake:
            self._awake = True
            self._wake.release()

    def _work(self) -> None:
        """The writer thread. A batch is all that came in while the one before was being committed."""
        closing = False
        while not closing and self._failed is None:
            roused = self._wake.acquire(timeout=BEAT_S)
            with self._lock:
                batch, self._batch = self._batch, _Batch()
                if roused:
                    self._awake = False
                closing = self._closing
                beats = self._beats_to_write()
            if batch.waiters or beats is not None:
                self._try(batch, beats)
        self._finish()

    def _beats_to_write(self) -> dict[str, int] | None:
        """With whatever is committed, but not oftener than every few seconds. Holds the lock when called."""
        now = time.monotonic()
        if not self._beats_due or now - self._beats_at < BEAT_S:
            return None
        self._beats_due = False
        self._beats_at = now
        return dict(self._beats)

    def _try(self, batch: _Batch, beats: dict[str, int] | None) -> None:
        error: StrettoError | None = None
        try:
            if batch.waiters:
                self._commit(batch, beats)
            elif beats is not None and self._number is not None:
                with self._unsynced(), self._transaction():
                    self._write_beats(self._number, beats)
        except (sqlite3.Error, OSError) as caught:
            error = unwritable(caught, self._places)
        except Exception as caught:
            # A bug of ours must reach who waits, not end this thread in silence.
            error = bug(f"{type(caught).__name__} in the journal's writer: {caught}")
        if error is not None:
            with self._lock:
                self._failed = error
        _resolve_all(batch, error)

    def _commit(self, batch: _Batch, beats: dict[str, int] | None) -> None:
        if batch.files:
            self._files.write(batch.files)
        db, number, inserts = self._db, self._number, self._inserts
        with self._transaction():
            if number is None or inserts is None:
                number = self._put_run(batch.info or self._first_info(batch), None)
                inserts = _Inserts(number)
            elif batch.info is not None:
                self._put_run(batch.info, number)
            if batch.blobs:
                _BLOBS.run(db, batch.blobs)
            inserts.events.run(db, batch.events)
            if batch.kept:
                inserts.kept.run(db, batch.kept)
            if batch.outcomes:
                inserts.outcomes.run(db, batch.outcomes)
            if beats is not None:
                self._write_beats(number, beats)
            if self._taken != self._taken_written:
                self._write_taken(number)
            reach("before-commit")
        reach("after-commit")
        self._number, self._inserts = number, inserts

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """For what may be lost in a power cut; the next commit brings it to the disk too."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def _put_run(self, info: RunInfo, number: int | None) -> int:
        name, status = _writable(info.plan_name), _writable(info.status)
        values = (info.run, name, info.started_us, status, info.spent_nusd, info.held_nusd)
        row = self._db.execute(_PUT_RUN, (number, *values)).lastrowid
        return number or row or 0

    def _first_info(self, batch: _Batch) -> RunInfo:
        """For a run whose first commit has no RunStarted: it began with its first event."""
        at_us = batch.events[1] if batch.events else 0
        return self._info._replace(started_us=at_us)

    def _write_beats(self, number: int, beats: dict[str, int]) -> None:
        self._db.execute("DELETE FROM heartbeats WHERE run = ?", (number,))
        rows = ((number, attempt, at_us) for attempt, at_us in beats.items())
        self._db.executemany("INSERT INTO heartbeats VALUES (?, ?, ?)", rows)

    def _write_taken(self, number: int) -> None:
        """Only now, with the events that say what came of them: an ask is never lost in a crash."""
        taken = self._taken
        self._db.execute("UPDATE asks SET taken = 1 WHERE run = ? AND number <= ?", (number, taken))
        self._taken_written = taken

    def _finish(self) -> None:
        """Fails what came in after a failure; leaves the file tidy."""
        with self._lock:
            batch, self._batch = self._batch, _Batch()
        if self._failed is not None:
            _resolve_all(batch, self._failed)
        with suppress(sqlite3.Error):
            if self._failed is None and self._number is not None:
                with self._unsynced(), self._transaction():
                    self._write_beats(self._number, {})
                    if self._taken != self._taken_written:
                        self._write_taken(self._number)
            # Merged now, so that a copy of the file alone is whole; another run's reading is not waited for.
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()


class _Insert:
    """An INSERT of any number of rows, in statements of a hundred, of ten and of one."""

    def __init__(self, head: str, row: str):
        self._width = row.count("?")
        self._statements = [(rows, head + ",".join([row] * rows)) for rows in _ROWS]

    def run(self, db: sqlite3.Connection, values: list[Any]) -> None:
        """`values` are the parameters of all rows, one after the other."""
        at = 0
        for rows, sql in self._statements:
            step = rows * self._width
            while at + step <= len(values):
                db.execute(sql, values[at : at + step])
                at += step


class _Inserts:
    """The statements that name one run."""

    def __init__(self, number: int):
        self.events = _Insert("INSERT INTO events VALUES ", f"({number},?,?,?,{FORMAT},?)")
        self.kept = _Insert("INSERT OR REPLACE INTO kept VALUES ", f"(?,{number},?,?,?,?,?)")
        self.outcomes = _Insert("INSERT INTO outcomes VALUES ", f"(NULL,{number},?,{FORMAT},?)")


_BLOBS = _Insert("INSERT OR IGNORE INTO blobs VALUES ", "(?,?)")


def _last_seq(db: sqlite3.Connection, number: int) -> int:
    last: int | None = db.execute("SELECT max(seq) FROM events WHERE run = ?", (number,)).fetchone()[0]
    return last or 0


def _writable(text: str) -> str:
    """Half of a surrogate pair, which YAML can write, has no UTF-8 form."""
    return text.encode(errors="replace").decode()


def _nothing() -> None:
    pass


def _resolve_all(batch: _Batch, error: StrettoError | None) -> None:
    for waiter in batch.waiters:
        # A loop that was closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            waiter.get_loop().call_soon_threadsafe(_resolve, waiter, error)


def _resolve(waiter: Commit, error: StrettoError | None) -> None:
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
        # Whoever does not await it is told by the next append; asyncio need not complain as well.
        waiter.exception()
