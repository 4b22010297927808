"""The file `stretto.db`: its tables, how it is made, opened, recognised, and what its errors mean."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stretto.errors import StrettoError
from stretto.journal.blobs import sync_folder
from stretto.journal.codec import damaged, foreign
from stretto.journal.private import refuse_strange

APPLICATION = 0x53545254
"""`application_id`: "STRT", by which `file` and we know whose database it is."""
LAYOUT = 2
"""`user_version`: raised when the tables change so that an older Stretto could not read them. Layout 1 had
no table `outcomes`: it is read as it is, and gets the table when it is first opened for writing."""
BUSY_S = 60.0
"""How long a commit waits for another run of the project; theirs take milliseconds."""

# Without AUTOINCREMENT, as only the oldest are ever removed: so a number is not given twice.
_OUTCOMES = """
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL, at_us INTEGER NOT NULL,
    v INTEGER NOT NULL, body TEXT NOT NULL);
"""

# `blobs` and `kept` are rowid tables with an index: in a table ordered by hash each row of a batch would
# dirty a page of its own (5.5 instead of 3.5 us of CPU a row, and twice the log). kind is text: < 3 %.
SCHEMA = f"""{_OUTCOMES}
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


class Places:
    """Where the parts of a project's journal lie."""

    def __init__(self, root: Path):
        self.folder = root / ".stretto"
        self.db = self.folder / "stretto.db"
        self.wal = self.folder / "stretto.db-wal"
        self.blobs = self.folder / "blobs"
        self.runs = self.folder / "runs"
        self.worktrees = self.folder / "worktrees"
        self.gate = self.folder / "lock"
        """Shared by every open run, taken alone by gc before it removes what a run might be about to name."""


class Reader:
    """A connection that can only read, opened when first needed; without a journal all is empty."""

    def __init__(self, places: Places):
        self._places = places
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] = (0, 0)
        self._lock = threading.Lock()

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[Any]:
        """All rows at once, so that no long reading keeps the log from being merged."""
        with self._lock:
            try:
                db = self._current()
                return [] if db is None else db.execute(sql, args).fetchall()
            except sqlite3.Error as error:
                self._drop()
                raise unreadable(error, self._places) from error
            except OSError as error:
                raise _closed_to_us(f"{error.strerror or error}", self._places) from error

    def has_outcomes(self) -> bool:
        """False for a journal that is not there, and for one of layout 1 that nobody wrote to since."""
        layouts = self.rows("PRAGMA user_version")
        return bool(layouts) and layouts[0][0] > 1

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _current(self) -> sqlite3.Connection | None:
        try:
            found = self._places.db.stat()
        except FileNotFoundError:
            self._drop()
            _refuse_orphan_log(self._places)
            return None
        # A connection would go on reading a file that was moved away in the meantime.
        if self._db is None or self._file != (found.st_dev, found.st_ino):
            self._drop()
            self._db = _open_to_read(self._places)
            self._file = (found.st_dev, found.st_ino)
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def open_to_write(places: Places) -> sqlite3.Connection:
    """Makes the folder and the file where there are none. Raises `journal-write` or what reading raises."""
    try:
        places.folder.mkdir(mode=0o700, exist_ok=True)
        parts = (places.db, places.wal, places.blobs, places.runs, places.worktrees, places.gate)
        refuse_strange(places.folder, parts, os.geteuid())
        if not places.db.exists():
            _refuse_orphan_log(places)
            _make(places)
        # First looked at without the right to change it: opening a strange file for writing may change it.
        _open_to_read(places).close()
        db = _connect(places, "mode=rw", BUSY_S)
        _upgrade(db)
        db.execute("PRAGMA synchronous = FULL")
        # Rows found by hash touch pages all over the file: with SQLite's own 2 MB and 1,000 pages of log
        # between merges, a run of 100,000 tasks takes 10 % more CPU.
        db.execute("PRAGMA cache_size = -16000")
        db.execute("PRAGMA wal_autocheckpoint = 4000")
        return db
    except sqlite3.Error as error:
        if _code(error) in _BAD_FILE:
            raise unreadable(error, places) from error
        raise unwritable(error, places) from error
    except OSError as error:
        raise unwritable(error, places) from error


def unwritable(error: Exception, places: Places) -> StrettoError:
    """`journal-write`: what the disk said, in words, and what to do about it."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    next = "see that the folder can be written and its disk is sound and not full, then `stretto resume RUN`"
    if "full" in said or "space" in said or "too large" in said or "quota" in said.lower():
        next = "free some space (`stretto gc` cleans this folder), then `stretto resume RUN`"
    elif isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_BUSY:
        said = f"another process has kept it locked for {BUSY_S:.0f} s"
        next = "see what holds it (`fuser .stretto/stretto.db`), then `stretto resume RUN`"
    at = getattr(error, "filename", None)
    return StrettoError(
        "journal-write",
        f"the journal could not be written: {said}; what was committed before is safe",
        at=str(at or places.db),
        next=next,
    )


def unreadable(error: sqlite3.Error, places: Places) -> StrettoError:
    """`damaged-journal`, or `unreadable-journal` where the file may be sound but is closed to us."""
    if _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
        return _closed_to_us(str(error), places)
    if _code(error) == sqlite3.SQLITE_BUSY:
        return _closed_to_us("another process has it locked", places)
    return damaged(str(error), str(places.db))


_BAD_FILE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


def _code(error: sqlite3.Error) -> int:
    """The primary result code, without the part that says where."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _closed_to_us(why: str, places: Places) -> StrettoError:
    return StrettoError(
        "unreadable-journal",
        f"the journal cannot be read: {why}",
        at=str(places.db),
        next="see that `.stretto` is a folder and who owns it; a copy of it can be read anywhere",
    )


def _open_to_read(places: Places) -> sqlite3.Connection:
    try:
        return _connect(places, "mode=ro", 5.0)
    except sqlite3.OperationalError as error:
        # Beside a log SQLite keeps an index of it, which a folder that we may not write cannot have.
        # Without a log the file is all there is, and nobody can change it under us.
        if _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not _has_log(places):
            return _connect(places, "immutable=1", 5.0)
        raise


def _has_log(places: Places) -> bool:
    return places.wal.exists() and places.wal.stat().st_size > 0


def _refuse_orphan_log(places: Places) -> None:
    """A new database would be given the commits of the lost one."""
    if _has_log(places):
        raise damaged("its log is there, but the file itself is gone", str(places.db))


def _connect(places: Places, how: str, timeout_s: float) -> sqlite3.Connection:
    """Raises what is not our file before SQLite could take it for an empty one."""
    if places.db.stat().st_size == 0:
        # SQLite takes it for a new database and deletes the log beside it. We never leave an empty file.
        raise damaged("the file is empty", str(places.db))
    if not _has_log(places) and _is_cut(places.db):
        # SQLite notices only when it needs a page that is gone, perhaps after it has written others.
        raise damaged("its end is missing", str(places.db))
    db = sqlite3.connect(
        f"{places.db.resolve().as_uri()}?{how}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=timeout_s,
    )
    try:
        _recognise(db, str(places.db))
    except BaseException:
        db.close()
        raise
    return db


def _is_cut(db: Path) -> bool:
    """Whether the file is shorter than its header says (page size at byte 16, page count at byte 28)."""
    with db.open("rb") as file:
        header = file.read(100)
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    return db.stat().st_size < page_bytes * int.from_bytes(header[28:32], "big")


def _recognise(db: sqlite3.Connection, at: str) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    layout = layout_of(db)
    if application != APPLICATION:
        raise damaged("it is a database of another program", at)
    if layout > LAYOUT:
        raise foreign(f"its tables have layout {layout}; this one knows {LAYOUT}", at)
    if layout not in range(1, LAYOUT + 1):
        raise damaged(f"its tables have the unknown layout {layout}", at)


def layout_of(db: sqlite3.Connection) -> int:
    layout: int = db.execute("PRAGMA user_version").fetchone()[0]
    return layout


def _upgrade(db: sqlite3.Connection) -> None:
    """Brings the tables to today's layout, in one transaction; looks again once nobody else can write."""
    if layout_of(db) == LAYOUT:
        return
    try:
        db.execute("BEGIN IMMEDIATE")
        if layout_of(db) == 1:
            db.execute(_OUTCOMES)
            db.execute(f"PRAGMA user_version = {LAYOUT}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise


def _make(places: Places) -> None:
    """Builds the file under another name, so that nobody ever sees half of it."""
    folder = os.open(places.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if places.db.exists():
            return
        ignore = places.folder / ".gitignore"
        if not ignore.exists():
            _write_private(ignore, b"*\n")
        draft = places.folder / "stretto.db.new"
        _write_private(draft, b"")
        _fill(draft)
        _sync(draft)
        draft.rename(places.db)
        os.fsync(folder)
    finally:
        os.close(folder)
    sync_folder(places.folder.parent)


def _fill(draft: Path) -> None:
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {LAYOUT}")
        db.executescript("BEGIN;" + SCHEMA + "COMMIT;")
    finally:
        db.close()


def _write_private(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
