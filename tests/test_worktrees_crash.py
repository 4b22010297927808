"""SIGKILL in the middle of work in worktrees: a resume ends with the same files, and pays no mend twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.journal.sqlite import SqliteJournal
from stretto.run.leftovers import clean
from tests.worktree_stage import git, new_repository, untouched

pytestmark = pytest.mark.slow
LIVES = 8


def start(root: Path, verb: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    argv = [sys.executable, "-m", "tests.worktree_victim", str(root), verb, "r"]
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def events(root: Path) -> int:
    """How many events the run has so far."""
    journal = SqliteJournal(root)
    return sum(1 for _ in journal.read("r")) if journal.runs() else 0


def kill_at(root: Path, process: subprocess.Popen[bytes], count: int) -> bool:
    """SIGKILL as soon as the journal has so many events; False where the process had ended before."""
    while process.poll() is None and events(root) < count:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def finish(root: Path) -> None:
    runs = SqliteJournal(root).runs()
    if not runs or runs[0].status == "running":
        process = start(root, "resume" if runs else "start")
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-3000:]


def tree(root: Path) -> str:
    return git(root, "ls-tree", "-r", "stretto/r/result")


def mends(root: Path) -> Counter[str]:
    """How often each task's base was mended, and so paid for."""
    rows = (row.event for row in SqliteJournal(root).read("r"))
    return Counter(
        event.task for event in rows if isinstance(event, ev.RetryPlanned) and event.counts == "mended"
    )


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(tmp_path: Path) -> None:
    rng = random.Random(5)
    calm = new_repository(tmp_path / "calm", shared__txt="one\n")
    finish(calm)
    whole, expected = events(calm), tree(calm)
    kills = 0
    for number in range(LIVES):
        root = new_repository(tmp_path / f"life{number}", shared__txt="one\n")
        before = untouched(root)
        for _ in range(3):
            had = events(root)
            if had >= whole - 2:
                break
            process = start(root, "resume" if had else "start")
            kills += kill_at(root, process, rng.randint(had + 1, whole - 1))
        finish(root)
        asyncio.run(clean(root, SqliteJournal(root)))  # a kill after the last event leaves worktrees behind
        assert tree(root) == expected
        assert untouched(root) == before
        refs = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads/stretto/").split()
        assert refs == ["stretto/r/result"]
        assert git(root, "worktree", "list", "--porcelain").count("worktree ") == 1
        assert mends(root) == mends(calm)
    assert kills >= LIVES
