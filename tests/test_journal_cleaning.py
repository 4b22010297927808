"""Cleaning a journal and looking for what is wrong with it."""

from pathlib import Path

from stretto.errors import StrettoError
from stretto.events import (
    AttemptStarted,
    RunPaused,
    TaskSucceeded,
)
from stretto.journal import Kept
from stretto.journal.sqlite import SqliteJournal
from tests.journal_contract import STARTED, blob, finished, write


def shas(journal: SqliteJournal, *contents: bytes) -> list[bool]:
    """Which blobs are there."""
    there = []
    for content in contents:
        try:
            there.append(journal.blob(blob(content)[0]) == content)
        except StrettoError as error:
            assert error.slug == "missing-blob"
            there.append(False)
    return there


def files(root: Path) -> list[Path]:
    """Without the log and its index, which a reader too may create."""
    return sorted(path for path in root.rglob("*") if not path.name.startswith("stretto.db-"))


OLD, NEW, BOTH, LOST = b"old" * 2_000, b"new", b"both" * 2_000, b"lost" * 2_000


def two_runs(root: Path) -> SqliteJournal:
    journal = SqliteJournal(root)
    for run, at_us, contents in (("old", 10, (OLD, BOTH)), ("new", 20, (NEW, BOTH))):
        names = [blob(content)[0] for content in contents]
        finished(
            journal,
            run,
            *(TaskSucceeded(f"t{n}", sha, 1, f"key-{run}-{n}") for n, sha in enumerate(names)),
            at_us=at_us,
            blobs=[blob(content) for content in contents],
            kept=[
                (f"key-{run}-{n}", Kept(run, f"t{n}", 1, sha, len(contents[n]), 0))
                for n, sha in enumerate(names)
            ],
        )
    return journal


def test_gc_removes_old_runs_and_what_only_they_name(tmp_path: Path) -> None:
    journal = two_runs(tmp_path)
    before = files(tmp_path)
    would = journal.gc(older_than_us=15, dry_run=True)
    assert files(tmp_path) == before
    assert len(list(journal.read("old"))) == 4
    did = journal.gc(older_than_us=15)
    assert did == would
    assert (did.runs, did.events, did.kept, did.blobs, did.leftovers, did.live) == (["old"], 4, 2, 1, 0, [])
    assert did.bytes > len(OLD)
    assert [info.run for info in journal.runs()] == ["new"]
    assert list(journal.read("old")) == []
    assert shas(journal, OLD, NEW, BOTH) == [False, True, True]
    assert journal.kept("key-old-1") is None
    assert journal.kept("key-new-1") == Kept("new", "t1", 1, blob(BOTH)[0], len(BOTH), 0)
    assert not journal.run_folder("old").exists()
    assert journal.verify() == []
    assert journal.gc(older_than_us=15) == ([], 0, 0, 0, 0, 0, [], 0)
    finished(journal, "old")


def test_gc_keeps_what_it_is_told_to_and_what_may_go_on(tmp_path: Path) -> None:
    journal = two_runs(tmp_path)
    run = journal.create("cut", "audit")
    write(run, STARTED, RunPaused("budget"), blobs=[blob(LOST)])
    run.close()
    done = journal.gc(keep_runs={"old"})
    assert done.runs == ["new"]
    assert [info.run for info in journal.runs()] == ["old", "cut"]
    assert shas(journal, OLD, NEW, BOTH, LOST) == [True, False, True, False]


def test_gc_leaves_blobs_alone_while_a_run_is_live(tmp_path: Path) -> None:
    journal = two_runs(tmp_path)
    run = journal.create("live", "audit")
    write(run, STARTED)
    write(run, blobs=[blob(LOST)])
    done = journal.gc()
    assert (done.runs, done.blobs, done.kept, done.live) == (["old", "new"], 0, 0, ["live"])
    assert shas(journal, OLD, NEW, BOTH, LOST) == [True] * 4
    run.close()
    done = journal.gc()
    assert (done.runs, done.blobs, done.kept, done.live) == ([], 4, 4, [])
    assert [info.run for info in journal.runs()] == ["live"]


def test_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    journal = two_runs(tmp_path)
    assert journal.verify() == []
    folder = tmp_path / ".stretto"
    old, both = blob(OLD)[0], blob(BOTH)[0]
    (folder / "blobs" / old[:2] / old).unlink()
    (folder / "blobs" / both[:2] / both).write_bytes(b"?")
    (folder / "blobs" / old[:2] / f"{old}.1-0.tmp").write_bytes(b"half")
    (folder / "runs" / "unborn").mkdir()
    cut = journal.create("cut", "audit")
    write(cut, AttemptStarted("a", 1))
    cut.close()
    findings = [(finding.severity, finding.slug) for finding in journal.verify()]
    assert findings == [
        ("error", "missing-blob"),
        ("error", "damaged-blob"),
        ("warning", "leftover-file"),
        ("warning", "leftover-file"),
        ("info", "interrupted-run"),
    ]
    assert any("run old, task t0" in finding.message for finding in journal.verify())
    assert any(finding.fix == "stretto resume cut" for finding in journal.verify())
    assert journal.gc().leftovers == 2
