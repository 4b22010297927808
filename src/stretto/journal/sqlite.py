"""The journal of a project on disk: its `.stretto` folder, read by anyone, written by one process per run."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stretto.errors import StrettoError
from stretto.journal import OUTCOMES, Kept, Row, RunInfo, lock
from stretto.journal.blobs import BlobFolder, sound
from stretto.journal.cleaning import Cleaned, clean
from stretto.journal.codec import damaged, decode, decode_outcomes
from stretto.journal.database import Places, Reader, open_to_write, unwritable
from stretto.journal.health import examine
from stretto.journal.refusals import check_name, is_name, run_exists, run_is_live, unknown_run
from stretto.journal.summary import ENDED, begin
from stretto.journal.writer import SqliteRunJournal
from stretto.models.history import Outcome
from stretto.plan.finding import Finding

CLEANING_WAIT_S = 60.0
"""How long opening a run waits for a `gc` that is at work."""

_CHUNK = 2_000


class SqliteJournal:
    """All runs of the project at `root`. Reading one that has no journal finds none and creates nothing."""

    def __init__(self, root: Path):
        self.root = root
        self._places = Places(root)
        self._blobs = BlobFolder(self._places.blobs)
        self._reader = Reader(self._places)
        weakref.finalize(self, self._reader.close)

    def create(self, run: str, plan_name: str) -> SqliteRunJournal:
        check_name(run)
        db = open_to_write(self._places)
        return self._take(db, begin(run, plan_name, 0), new=True)

    def open(self, run: str) -> SqliteRunJournal:
        # Also of a name in the journal: it becomes a path, and somebody else may have written it.
        if self._number(check_name(run)) is None:
            raise unknown_run(run)
        db = open_to_write(self._places)
        return self._take(db, begin(run, "", 0), new=False)

    def read(self, run: str, after: int = 0) -> Iterator[Row]:
        number = self._number(run)
        if number is None:
            return
        at = f"{self._places.db}, run {run}"
        while True:
            rows = self._reader.rows(
                "SELECT seq, at_us, kind, v, body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
                (number, after, _CHUNK),
            )
            if [row[0] for row in rows] != list(range(after + 1, after + 1 + len(rows))):
                raise damaged(f"events are missing after {after}", at)
            yield from decode(rows, at)
            if len(rows) < _CHUNK:
                return
            after += len(rows)

    def runs(self) -> list[RunInfo]:
        rows = self._reader.rows(
            "SELECT run, plan_name, started_us, status, spent_nusd, held_nusd FROM runs "
            "ORDER BY started_us DESC, number DESC"
        )
        return [
            RunInfo(run, plan_name, started_us, status, status not in ENDED and self.live(run), spent, held)
            for run, plan_name, started_us, status, spent, held in rows
        ]

    def blob(self, sha: str) -> bytes:
        rows = self._reader.rows("SELECT content FROM blobs WHERE sha = ?", (sha,))
        if rows:
            return sound(sha, bytes(rows[0][0]), str(self._places.db))
        return self._blobs.read(sha)

    def kept(self, key: str) -> Kept | None:
        rows = self._reader.rows(
            "SELECT r.run, k.task, k.n, k.output, k.size, k.cost_nusd, b.sha FROM kept k "
            "JOIN runs r ON r.number = k.run LEFT JOIN blobs b ON b.sha = k.output WHERE k.key = ?",
            (key,),
        )
        if not rows:
            return None
        *fields, small = rows[0]
        found = Kept(*fields)
        return found if small is not None or self._blobs.size(found.output) == found.size else None

    def outcomes(self, limit: int = OUTCOMES) -> list[Outcome]:
        """20,000 take 60 ms."""
        if not self._reader.has_outcomes():
            return []
        rows = self._reader.rows(
            "SELECT number, v, body FROM outcomes ORDER BY number DESC LIMIT ?", (max(0, limit),)
        )
        return decode_outcomes(rows[::-1], str(self._places.db))

    def ask(self, run: str, verb: str, args: dict[str, Any]) -> None:
        number = self._number(run)
        if number is None:
            raise unknown_run(run)
        db = open_to_write(self._places)
        try:
            db.execute(
                "INSERT INTO asks (run, verb, args) VALUES (?, ?, ?)", (number, verb, json.dumps(args))
            )
        except sqlite3.Error as error:
            raise unwritable(error, self._places) from error
        finally:
            db.close()

    def live(self, run: str) -> bool:
        return is_name(run) and lock.is_held(self._places.runs / run / "lock")

    def beats(self, run: str) -> dict[str, int]:
        rows = self._reader.rows(
            "SELECT h.attempt, h.at_us FROM heartbeats h JOIN runs r ON r.number = h.run WHERE r.run = ?",
            (run,),
        )
        return dict(rows)

    def run_folder(self, run: str) -> Path:
        return self._places.runs / check_name(run)

    def gc(
        self, keep_runs: set[str] | None = None, older_than_us: int | None = None, dry_run: bool = False
    ) -> Cleaned:
        """Removes ended runs, but not `keep_runs` and none whose last event is as late as `older_than_us`,
        then all that nothing names any more. While a run is live, blobs and kept results stay."""
        return clean(self._places, self._reader, keep_runs or set(), older_than_us, dry_run)

    def verify(self) -> list[Finding]:
        """What is wrong with the journal, for `stretto doctor`; reads every event and every blob."""
        return examine(self._places, self._reader)

    def close(self) -> None:
        self._reader.close()

    def _number(self, run: str) -> int | None:
        rows = self._reader.rows("SELECT number FROM runs WHERE run = ?", (run,))
        return rows[0][0] if rows else None

    def _take(self, db: sqlite3.Connection, info: RunInfo, new: bool) -> SqliteRunJournal:
        """Takes the locks, then looks again: what was true before may have changed while we waited."""
        try:
            release = _lock(self._places, info.run)
        except BaseException:
            db.close()
            raise
        try:
            row = db.execute(
                "SELECT number, plan_name, started_us, status, spent_nusd, held_nusd FROM runs WHERE run = ?",
                (info.run,),
            ).fetchone()
            if new and row is not None:
                raise run_exists(info.run)
            if not new and row is None:
                raise unknown_run(info.run)
            if row is None:
                return SqliteRunJournal(db, self._places, info, None, release)
            number, plan_name, started_us, status, spent, held = row
            info = RunInfo(info.run, plan_name, started_us, status, True, spent, held)
            return SqliteRunJournal(db, self._places, info, number, release)
        except BaseException as error:
            db.close()
            release()
            if isinstance(error, sqlite3.Error):
                raise damaged(str(error), str(self._places.db)) from error
            raise


def _lock(places: Places, run: str) -> Callable[[], None]:
    """The gate, shared with other runs, then the run's own lock; what is returned releases both."""
    path = places.runs / run / "lock"
    try:
        gate = lock.share(places.gate, CLEANING_WAIT_S)
        if gate is None:
            raise StrettoError(
                "gc-is-running",
                f"`stretto gc` is at work in this project, since {CLEANING_WAIT_S:.0f} s",
                at=str(places.gate),
                next="wait until it is done, then try again",
            )
        try:
            own = lock.claim(path)
            if own is None:
                raise run_is_live(run, lock.holder(path))
        except BaseException:
            lock.release(gate)
            raise
    except OSError as error:
        raise unwritable(error, places) from error

    def release() -> None:
        lock.release(own)
        lock.release(gate)

    return release
