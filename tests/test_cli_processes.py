"""The command line in processes of its own: Ctrl-C, kills, and what other terminals see and ask."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stretto.errors import EXIT_COULD_NOT, EXIT_INTERRUPTED, EXIT_OK, EXIT_PROBLEM
from stretto.events import AttemptStarted, Event, RunPaused
from stretto.journal.sqlite import SqliteJournal
from tests.driving import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def environ(**more: str) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
    return {**keep, "COLUMNS": "100", "TZ": "UTC", **more}


# Each attempt waits for the file `go`, so that no test depends on how fast this machine is.
WAITING = """\
stretto: 1
name: slow
limits: {parallel: 2}
tasks:
  items:
    each: [a, b, c, d, e, f]
    run: [sh, -c, 'for _ in $(seq 600); do test -e go && break; sleep 0.05; done; echo "$0"', "${item}"]
"""


def begin(root: Path, *words: str) -> subprocess.Popen[str]:
    """`stretto run` in a process of its own, returned once two attempts are under way."""
    argv = [sys.executable, "-m", "stretto", "run", "plan.yaml", "--on", "simulated", *words]
    process = subprocess.Popen(
        argv, cwd=root, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: happened(root, AttemptStarted) >= 2)
    except AssertionError:
        process.kill()
        raise AssertionError(f"it never began: {process.communicate()}") from None
    return process


def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"it did not come to it within {within_s:g} seconds"
        time.sleep(0.025)


def happened(root: Path, kind: type[Event]) -> int:
    """How many events of a kind there are, from the journal that anyone may read."""
    journal = SqliteJournal(root)
    try:
        rows = [row for info in journal.runs() for row in journal.read(info.run)]
    finally:
        journal.close()
    return sum(isinstance(row.event, kind) for row in rows)


def test_ctrl_c_lets_end_what_runs_and_says_how_to_go_on(tmp_path: Path) -> None:
    project = Project(tmp_path, WAITING)
    process = begin(tmp_path)
    process.send_signal(signal.SIGINT)
    until(lambda: happened(tmp_path, RunPaused) == 1)
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=20)
    assert process.returncode == EXIT_INTERRUPTED, err
    assert "2 succeeded, 4 left" in out
    assert out.splitlines()[-1] == f"to go on: stretto resume {project.last}"
    assert project("ls", "--json").json["runs"][0]["status"] == "paused"
    resumed = project("resume", "last", "--json")
    assert [task["attempts"] for task in resumed.json["tasks"]] == [1] * 6


def test_a_second_ctrl_c_stops_what_runs(tmp_path: Path) -> None:
    project = Project(tmp_path, WAITING)
    process = begin(tmp_path)
    process.send_signal(signal.SIGINT)
    until(lambda: happened(tmp_path, RunPaused) == 1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == EXIT_INTERRUPTED, err
    assert "6 left" in out
    assert "stopping: what is running may end; Ctrl-C again stops it" in err
    assert "stopped items.0; it runs again at resume" in err
    assert out.splitlines()[-1] == f"to go on: stretto resume {project.last}"


def test_a_live_run_can_be_watched_and_cancelled_and_not_resumed(tmp_path: Path) -> None:
    project = Project(tmp_path, WAITING)
    process = begin(tmp_path)
    try:
        assert "[run-is-live]" in project("resume", "last").err
        assert project("show", "last", "--json").json["status"] == "running"
        before = project("show", "last", "--json").json["seconds"]
        until(lambda: project("show", "last", "--json").json["seconds"] > before)
        assert project("cancel", "last").code == EXIT_OK
        watched = project("watch", "last")
    finally:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, watched.code) == (EXIT_PROBLEM, EXIT_PROBLEM), err
    assert "cancelled" in watched.out.splitlines()[0]
    assert "cancelled" in out.splitlines()[0]
    assert "cancelled by `stretto cancel`" in err
    assert "again" not in err


def test_a_killed_run_is_shown_and_resumed(tmp_path: Path) -> None:
    project = Project(tmp_path, WAITING)
    process = begin(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    # A command's process that is between fork and exec holds the run's lock on: 4-14 ms were measured.
    until(lambda: "interrupted" in project("ls").out, within_s=2.0)
    shown = project("show", "last", "--json").json
    assert shown["status"] == "interrupted"
    watched = project("watch", "last")
    assert watched.code == EXIT_INTERRUPTED
    assert watched.last_line == f"to go on: stretto resume {project.last}"
    (tmp_path / "go").touch()
    resumed = project("resume", "last")
    assert resumed.code == EXIT_OK
    assert "does 2 tasks again (items.0, items.1)" in resumed.err
    assert "again   items.0  it was interrupted" in resumed.err


def test_a_reader_that_leaves_is_no_error(project: Project) -> None:
    project.run("--quiet")
    argv = f"{sys.executable} -m stretto watch last --jsonl | head -c 10"
    done = subprocess.run(
        ["sh", "-c", argv], cwd=project.root, env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["show last", "show last --json", "run plan.yaml --on simulated --quiet", "watch last --jsonl"]
)
def test_a_full_disk_behind_standard_output_is_one_clear_error(
    project: Project, words: str, unbuffered: str
) -> None:
    project.run("--quiet")
    done = shell(project, f"{words} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == EXIT_COULD_NOT
    assert done.stderr.startswith(
        "error: cannot write to standard output: No space left on device [cannot-write]"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>/dev/null", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere(project: Project, closed: str) -> None:
    done = shell(project, f"run plan.yaml --on simulated {closed}")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert project("ls", "--json").json["runs"][0]["status"] == "succeeded"


def shell(project: Project, words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f"{sys.executable} -m stretto {words}"]
    return subprocess.run(
        command, cwd=project.root, env=environ(**env), capture_output=True, text=True, check=False
    )


def test_without_words_it_says_what_there_is(project: Project) -> None:
    command = [sys.executable, "-m", "stretto"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environ())
    assert answer.returncode == EXIT_COULD_NOT
    assert answer.stderr.startswith("usage: stretto VERB")
