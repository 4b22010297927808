"""A journal in this process's memory: for tests, benches and runs that need not outlive the process."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Generator, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from stretto.errors import bug
from stretto.events import AttemptEnded, Event
from stretto.journal import OUTCOMES, Ask, Blob, Kept, Row, RunInfo
from stretto.journal.blobs import missing, sound
from stretto.journal.refusals import check_name, run_exists, run_is_live, unknown_run
from stretto.journal.summary import begin, follow
from stretto.models.history import Outcome


class _Done:
    """What `append` returns: one object for all, already done, so that awaiting it costs next to nothing
    and does not give way to other tasks."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE = _Done()


class _Run:
    """All that the journal knows of one run. `plan_name` is there before its first commit, `rows` is not."""

    def __init__(self, run: str, plan_name: str):
        self.run = run
        self.plan_name = plan_name
        self.rows: list[tuple[int, Event]] = []
        self.live = False
        self.asks: list[Ask] = []
        self.taken = 0
        self.beats: dict[str, int] = {}


class MemoryRunJournal:
    """Keeps the events as they are: nothing is encoded, nothing copied but the list."""

    def __init__(self, journal: MemoryJournal, record: _Run):
        self.run = record.run
        self._journal = journal
        self._record = record
        self._rows = record.rows
        self._closed = False

    def append(
        self,
        at_us: int,
        events: Sequence[Event],
        blobs: Sequence[Blob] = (),
        kept: Sequence[tuple[str, Kept]] = (),
        outcomes: Sequence[Outcome] = (),
    ) -> Awaitable[None]:
        if self._closed:
            raise bug(f"an event for run {self.run} after its journal was closed")
        self._rows += zip(repeat(at_us), events)
        if blobs:
            self._journal._blobs.update(blobs)
        if kept:
            self._journal._kept.update(kept)
        if outcomes:
            self._journal._outcomes += outcomes
        if self._record.beats:
            self._forget(events)
        return DONE

    def asks(self) -> list[Ask]:
        found = [ask for ask in self._record.asks if ask.number > self._record.taken]
        if found:
            self._record.taken = found[-1].number
        return found

    def beat(self, attempts: Sequence[str], at_us: int) -> None:
        for attempt in attempts:
            self._record.beats[attempt] = at_us

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._record.live = False
            self._record.beats.clear()

    def _forget(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, AttemptEnded):
                self._record.beats.pop(f"{event.task}#{event.n}", None)


class MemoryJournal:
    """The same contract as the one on disk; one process, so nothing is ever lost or refused by a disk."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._blobs: dict[str, bytes] = {}
        self._kept: dict[str, Kept] = {}
        self._outcomes: list[Outcome] = []
        self._asked = 0
        self._folder: Path | None = None

    def create(self, run: str, plan_name: str) -> MemoryRunJournal:
        record = self._runs.get(check_name(run))
        if record is not None and record.live:
            raise run_is_live(run, str(os.getpid()))
        if record is not None and record.rows:
            raise run_exists(run)
        self._runs[run] = _Run(run, plan_name)
        return self._open(self._runs[run])

    def open(self, run: str) -> MemoryRunJournal:
        record = self._begun(run)
        if record.live:
            raise run_is_live(run, str(os.getpid()))
        return self._open(record)

    def read(self, run: str, after: int = 0) -> Iterator[Row]:
        record = self._runs.get(run)
        if record is not None:
            for seq in range(after, len(record.rows)):
                yield Row(seq + 1, *record.rows[seq])

    def runs(self) -> list[RunInfo]:
        """Folds every event of every run: nobody lists the runs of a journal in memory often."""
        return sorted(
            (_info(record) for record in reversed(self._runs.values()) if record.rows),
            key=lambda info: -info.started_us,
        )

    def blob(self, sha: str) -> bytes:
        if sha not in self._blobs:
            raise missing(sha, "memory")
        return sound(sha, self._blobs[sha], "memory")

    def kept(self, key: str) -> Kept | None:
        found = self._kept.get(key)
        return found if found is not None and found.output in self._blobs else None

    def outcomes(self, limit: int = OUTCOMES) -> list[Outcome]:
        return self._outcomes[-limit:] if limit > 0 else []

    def ask(self, run: str, verb: str, args: dict[str, Any]) -> None:
        record = self._begun(run)
        self._asked += 1
        record.asks.append(Ask(self._asked, verb, args))

    def live(self, run: str) -> bool:
        return run in self._runs and self._runs[run].live

    def beats(self, run: str) -> dict[str, int]:
        return dict(self._runs[run].beats) if run in self._runs else {}

    def run_folder(self, run: str) -> Path:
        """A folder that goes with the journal."""
        check_name(run)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="stretto-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        folder = self._folder / run
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def close(self) -> None:
        pass

    def _begun(self, run: str) -> _Run:
        record = self._runs.get(run)
        if record is None or not record.rows:
            raise unknown_run(run)
        return record

    def _open(self, record: _Run) -> MemoryRunJournal:
        record.live = True
        return MemoryRunJournal(self, record)


def _info(record: _Run) -> RunInfo:
    info = begin(record.run, record.plan_name, record.rows[0][0])
    for at_us, event in record.rows:
        info = follow(info, at_us, event)
    return info._replace(live=record.live)
