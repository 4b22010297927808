"""The journal as a stream: every event as one line of JSON, with its header."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from stretto import events as ev
from stretto.journal import Journal, Row
from stretto.scheduler.state import State

SCHEMA = "stretto/event/1"


def event_line(run: str, row: Row) -> str:
    """One event with its header, as a line of ASCII."""
    event: Any = row.event
    kind = type(event).__name__
    header = {"schema": SCHEMA, "seq": row.seq, "run": run, "at_us": row.at_us, "kind": kind, "v": ev.FORMAT}
    return json.dumps({**header, **event._asdict()}, separators=(",", ":"))


class JsonStream:
    """Streams what the journal holds, not what the loop says: a line is printed after it is on disk."""

    def __init__(self, journal: Journal, write: Callable[[str], None], after: int = 0):
        self._journal = journal
        self._write = write
        self._run = ""
        self.seq = after
        self._closed = False

    def begin(self, run: str, state: State) -> None:
        self._run = run
        self._catch_up()

    def end(self) -> None:
        self._catch_up()

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None:
        self._catch_up()

    def _catch_up(self) -> None:
        if self._closed or not self._run:
            return
        lines = []
        for row in self._journal.read(self._run, self.seq):
            self.seq = row.seq
            lines.append(event_line(self._run, row))
        try:
            if lines:
                self._write("\n".join(lines))
        except OSError:
            # Whoever read has enough, or the disk is full; the run goes on without being heard.
            self._closed = True
