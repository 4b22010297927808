"""Append-only facts about runs, kept in SQLite, written before anything acts on them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stretto.events import Event
from stretto.models.history import Outcome

Blob = tuple[str, bytes]
"""(sha256 hex of the bytes, the bytes)."""

OUTCOMES = 20_000
"""As many outcomes as choices and estimates look back on, and as many as cleaning leaves."""


class Row(NamedTuple):
    """One journaled event with its header."""

    seq: int
    at_us: int
    event: Event


class Kept(NamedTuple):
    """A result that may be used again: where it came from, what it is, what it cost."""

    run: str
    task: str
    n: int
    output: str
    size: int
    cost_nusd: int


class RunInfo(NamedTuple):
    """One line of `stretto ls`, kept by the journal so that no view has to fold a run to list it."""

    run: str
    plan_name: str
    started_us: int
    status: str
    """running, paused, succeeded, failed, cancelled; a dead process's `running` is shown as `interrupted`."""
    live: bool
    spent_nusd: int
    held_nusd: int


class Ask(NamedTuple):
    """A wish of another process for a live run: approve, cancel (with its arguments)."""

    number: int
    verb: str
    args: dict[str, Any]


class RunJournal(Protocol):
    """The one writer of one run. Opening it takes the run's lock."""

    run: str

    def append(
        self,
        at_us: int,
        events: Sequence[Event],
        blobs: Sequence[Blob] = (),
        kept: Sequence[tuple[str, Kept]] = (),
        outcomes: Sequence[Outcome] = (),
    ) -> Awaitable[None]:
        """Commits events, blobs, kept results (each with its key) and outcomes together; resolves when on
        disk.

        Batches are committed in the order of the calls. A failure (StrettoError `journal-write`) is
        final: what is returned raises it, and every later call raises it at once. A task that is
        cancelled while it waits hears of it after the commit. A later result of a key replaces the
        earlier one.
        """

    def asks(self) -> list[Ask]:
        """What was asked since the last call, in order; cheap enough for twice a second.

        Asks that came before the run was opened are among them, unless an earlier process took them and
        committed something afterwards.
        """

    def beat(self, attempts: Sequence[str], at_us: int) -> None:
        """Overwrites the heartbeat of the attempts that are alive; never waits for the disk.

        Readers see it within some seconds. An AttemptEnded ends the attempt's heartbeat.
        """

    def close(self) -> None:
        """Waits for what was appended, then releases the lock. Never raises; a second call does nothing."""


class Journal(Protocol):
    """All runs of one project."""

    def create(self, run: str, plan_name: str) -> RunJournal:
        """Raises `run-exists`; in `runs` it appears with its first commit."""

    def open(self, run: str) -> RunJournal:
        """Opens a run for writing. Raises `no-such-run`, or `run-is-live` while another has it open."""

    def read(self, run: str, after: int = 0) -> Iterator[Row]:
        """Events of a run in order, those with seq > after; none for a run that is not there."""

    def runs(self) -> list[RunInfo]:
        """Newest first."""

    def blob(self, sha: str) -> bytes:
        """Raises `missing-blob`, or `damaged-blob` where the bytes do not have this hash."""

    def kept(self, key: str) -> Kept | None:
        """None also where its output is gone."""

    def outcomes(self, limit: int = OUTCOMES) -> list[Outcome]:
        """The newest `limit` outcomes of all runs, also of those that were cleaned away, oldest first."""

    def ask(self, run: str, verb: str, args: dict[str, Any]) -> None:
        """Stores a wish for a run, live or not. Raises `no-such-run`."""

    def live(self, run: str) -> bool:
        """Whether a process has the run open for writing; asking does not disturb it."""

    def beats(self, run: str) -> dict[str, int]:
        """When each attempt that is alive was last heard of (microseconds since 1970)."""

    def run_folder(self, run: str) -> Path:
        """Where a run's own files go; whoever opened it for writing has made it."""

    def close(self) -> None:
        """Lets go of what reading holds open. Reading again opens it anew."""
