"""Looks for what is wrong with a journal: damage, missing and half-written files, runs cut short."""

from __future__ import annotations

from collections.abc import Iterator

from stretto.errors import StrettoError
from stretto.events import AttemptEnded, AttemptStarted, Event, RunStarted, TaskSucceeded
from stretto.journal import lock
from stretto.journal.blobs import BlobFolder, is_sha, sound
from stretto.journal.codec import decode, decode_outcomes
from stretto.journal.database import Places, Reader
from stretto.plan.finding import Finding

_CHUNK = 2_000


def examine(places: Places, reader: Reader) -> list[Finding]:
    """All findings, worst first. A journal that is not there has none."""
    try:
        found = [*_database(places, reader), *_blobs(places, reader), *_runs(places, reader)]
    except StrettoError as error:
        found = [_from(error)]
    found += _leftovers(places)
    return sorted(found, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def _database(places: Places, reader: Reader) -> Iterator[Finding]:
    for (said,) in reader.rows("PRAGMA integrity_check"):
        if said != "ok":
            yield _damage(said, str(places.db))
    if reader.has_outcomes():
        # Raises what reading them raises, as a choice would.
        decode_outcomes(reader.rows("SELECT number, v, body FROM outcomes"), str(places.db))


def _blobs(places: Places, reader: Reader) -> Iterator[Finding]:
    """Reads every event and every blob that one of them names."""
    folder = BlobFolder(places.blobs)
    named: dict[str, str] = {}
    for number, run in reader.rows("SELECT number, run FROM runs ORDER BY number"):
        try:
            for sha, task in _names(places, reader, number, run):
                named.setdefault(sha, f"run {run}" + (f", task {task}" if task else ""))
        except StrettoError as error:
            yield _from(error)
    for sha, where in named.items():
        rows = reader.rows("SELECT content FROM blobs WHERE sha = ?", (sha,))
        try:
            if rows:
                sound(sha, bytes(rows[0][0]), str(places.db))
            else:
                folder.read(sha)
        except StrettoError as error:
            yield Finding(error.slug, "error", f"{error.what} ({where})", error.at, error.next)


def _names(places: Places, reader: Reader, number: int, run: str) -> Iterator[tuple[str, str]]:
    """(sha, task) of every blob that the run's events name. Raises what reading them raises."""
    at, after = f"{places.db}, run {run}", 0
    while rows := reader.rows(
        "SELECT seq, at_us, kind, v, body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
        (number, after, _CHUNK),
    ):
        after = rows[-1][0]
        for row in decode(rows, at):
            yield from ((sha, task) for sha, task in _shas(row.event) if is_sha(sha))


def _shas(event: Event) -> list[tuple[str, str]]:
    match event:
        case RunStarted():
            return [(event.plan, ""), (event.estimate, ""), (event.lock, "")]
        case AttemptStarted():
            # `inputs` may name digests of groups, which are no blobs.
            return [(event.prompt, event.task), (event.choice, event.task)]
        case AttemptEnded() | TaskSucceeded():
            return [(event.output, event.task)]
        case _:
            return []


def _runs(places: Places, reader: Reader) -> Iterator[Finding]:
    known = set()
    for run, status in reader.rows("SELECT run, status FROM runs ORDER BY number"):
        known.add(run)
        path = places.runs / run / "lock"
        if status == "running" and not lock.is_held(path):
            pid = lock.holder(path)
            yield Finding(
                "interrupted-run",
                "info",
                f"run {run} was cut short" + (f": process {pid} is gone" if pid else ""),
                str(path.parent),
                f"stretto resume {run}",
            )
    for folder in sorted(places.runs.glob("*")):
        if folder.is_dir() and folder.name not in known and not lock.is_held(folder / "lock"):
            yield _leftover(f"run {folder.name} died before it began", str(folder))


def _leftovers(places: Places) -> list[Finding]:
    return [
        _leftover("a crash left a half-written file", str(path))
        for path in BlobFolder(places.blobs).leftovers()
    ]


def _leftover(what: str, at: str) -> Finding:
    return Finding("leftover-file", "warning", what, at, "stretto gc")


def _damage(what: str, at: str) -> Finding:
    return Finding("damaged-journal", "error", what, at, "copy the `.stretto` folder before anything else")


def _from(error: StrettoError) -> Finding:
    return Finding(error.slug, "error", error.what, error.at, error.next)
