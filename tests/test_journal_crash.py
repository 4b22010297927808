"""The journal under SIGKILL and beside other processes: what was said to be committed is there, whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stretto.errors import StrettoError
from stretto.events import AttemptEnded, AttemptStarted, RunResumed, TaskSucceeded
from stretto.journal.sqlite import SqliteJournal
from tests.journal_contract import slug, write

# A run that says on stdout which batches it was told are on disk. Each has an event that names a large
# blob, one that names a small one, a kept result and an outcome.
VICTIM = """
import asyncio, hashlib, sys
from pathlib import Path
from stretto.events import AttemptEnded, AttemptStarted, TaskSucceeded
from stretto.journal import Kept
from stretto.journal.sqlite import SqliteJournal
from stretto.models.history import Outcome

root, name, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def blob(text):
    return hashlib.sha256(text.encode()).hexdigest(), text.encode()

async def main():
    journal = SqliteJournal(root)
    run = journal.create(name, "victim")
    for n in range(batches):
        small, large = blob(f"{name} {n}"), blob(f"{name} {n} " * 1000)
        task = f"t{n}"
        events = [
            AttemptStarted(task, 1, prompt=small[0]),
            AttemptEnded(task, 1, "ok", output=large[0], size=len(large[1])),
            TaskSucceeded(task, large[0], len(large[1]), task),
        ]
        kept = Kept(name, task, 1, large[0], len(large[1]), 0)
        outcome = Outcome(task, name, "", "m", "haiku", "", "work", True, False, n, 1.0)
        await run.append(n, events, [small, large], [(task, kept)], [outcome])
        print(n, flush=True)
    run.close()

asyncio.run(main())
"""


def victim(root: Path, name: str, batches: int, failpoint: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(root), name, str(batches)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"STRETTO_FAILPOINT": failpoint},
    )


def told(process: subprocess.Popen[bytes]) -> int:
    """How many batches the process was told are on disk before it ended."""
    out, err = process.communicate(timeout=60)
    assert not err, err.decode()
    return len(out.split())


def whole_batches(root: Path, name: str) -> int:
    """How many batches are there; all of each, with its blobs, its kept result and its outcome."""
    journal = SqliteJournal(root)
    rows = list(journal.read(name))
    batches, rest = divmod(len(rows), 3)
    assert rest == 0, "a batch is committed as a whole or not at all"
    for n in range(batches):
        started, ended, succeeded = (row.event for row in rows[3 * n : 3 * n + 3])
        assert isinstance(started, AttemptStarted)
        assert isinstance(ended, AttemptEnded)
        assert isinstance(succeeded, TaskSucceeded)
        assert started.task == ended.task == succeeded.task == f"t{n}"
        assert journal.blob(started.prompt) == f"{name} {n}".encode()
        assert journal.blob(ended.output) == f"{name} {n} ".encode() * 1000
        assert journal.kept(f"t{n}") is not None
    learned = [(o.signature, o.cost_nusd) for o in journal.outcomes() if o.family == name]
    assert learned == [(f"t{n}", n) for n in range(batches)], "outcomes are committed with their events"
    errors = [finding for finding in journal.verify() if finding.severity == "error"]
    assert errors == []
    journal.close()
    return batches


@pytest.mark.parametrize(
    ("failpoint", "told_then", "there_then"),
    [
        ("before-commit:5", 4, 4),
        ("after-commit:5", 4, 5),
        ("before-blob-rename:5", 4, 4),
        ("after-blob-rename:5", 4, 4),
        ("after-commit", 0, 1),
        ("before-commit", 0, 0),
    ],
)
def test_killed_at_a_named_point(tmp_path: Path, failpoint: str, told_then: int, there_then: int) -> None:
    process = victim(tmp_path, "one", 20, failpoint)
    assert told(process) == told_then
    assert process.returncode == -signal.SIGKILL
    assert whole_batches(tmp_path, "one") == there_then
    journal = SqliteJournal(tmp_path)
    assert not journal.live("one")
    if there_then == 0:
        # Nothing of it is left but a folder, so its name is free.
        assert journal.runs() == []
        journal.create("one", "again").close()
        return
    (info,) = journal.runs()
    assert (info.status, info.live) == ("running", False)
    # What the crash left of the next batch's blob is found, and is not in the way of going on.
    run = journal.open("one")
    write(run, RunResumed(1, "b", []))
    run.close()
    assert [row.seq for row in journal.read("one")] == list(range(1, 3 * there_then + 2))
    half_written = sum(finding.slug == "leftover-file" for finding in journal.verify())
    assert half_written == (1 if failpoint.startswith("before-blob") else 0)
    done = journal.gc()
    assert (done.runs, done.leftovers) == ([], half_written)
    assert done.blobs == (1 if failpoint in ("after-blob-rename:5", "before-commit:5") else 0)
    assert journal.kept("t0") is not None


def test_killed_at_any_moment(tmp_path: Path) -> None:
    for n in range(6):
        process = victim(tmp_path, f"run{n}", 100_000)
        assert process.stdout is not None
        for _ in range(1 + 7 * n):
            process.stdout.readline()
        process.kill()
        seen = 1 + 7 * n + told(process)
        there = whole_batches(tmp_path, f"run{n}")
        assert there in (seen, seen + 1), "what was told is there, and at most the batch that was under way"


def test_two_runs_side_by_side_in_two_processes(tmp_path: Path) -> None:
    processes = {name: victim(tmp_path, name, 150) for name in ("left", "right")}
    journal = SqliteJournal(tmp_path)
    ours = journal.create("ours", "here")
    for n in range(50):
        write(ours, AttemptStarted("a", n))
    for process in processes.values():
        assert told(process) == 150
        assert process.returncode == 0
    ours.close()
    assert len(list(journal.read("ours"))) == 50
    # Both keep results under the same keys: the later one of each stands, so only the events are compared.
    for name in processes:
        rows = list(journal.read(name))
        assert [row.seq for row in rows] == list(range(1, 451))
        assert [row.at_us for row in rows] == [n for n in range(150) for _ in range(3)]
    assert {info.run for info in journal.runs()} == {"left", "right", "ours"}


def test_a_run_of_another_process_is_live_until_it_is_killed(tmp_path: Path) -> None:
    process = victim(tmp_path, "one", 1_000_000)
    journal = SqliteJournal(tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    assert journal.live("one")
    assert journal.runs()[0].live
    with pytest.raises(StrettoError) as caught:
        journal.open("one")
    assert slug(caught) == "run-is-live"
    assert f"pid {process.pid}" in caught.value.what
    journal.ask("one", "cancel", {})
    assert journal.gc().live == ["one"]
    process.kill()
    process.communicate()
    assert not journal.live("one")
    run = journal.open("one")
    assert [ask.verb for ask in run.asks()] == ["cancel"]
    run.close()


def test_the_process_of_an_unknown_failpoint_says_so(tmp_path: Path) -> None:
    process = victim(tmp_path, "one", 1, "before-lunch")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"before-blob-rename" in err


def test_two_processes_make_the_folder_at_once(tmp_path: Path) -> None:
    processes = [victim(tmp_path, f"run{n}", 3) for n in range(4)]
    for process in processes:
        assert told(process) == 3
    assert len(SqliteJournal(tmp_path).runs()) == 4
