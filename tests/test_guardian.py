"""The guardian: what it starts, however it hides, is gone when it ends, when told to, and when we die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stretto.agents import guardian
from tests.processes import nap, sleeping

HIDING = "(setsid sleep {0} &) ; (setsid sh -c 'sleep {0} & exit' &) ; nohup sleep {0} >/dev/null 2>&1 &"
"""Three that are out of the shell's session, group or line of descent."""


def command(*program: str) -> list[str]:
    return [sys.executable, "-I", "-S", guardian.__file__, "0", *program]


def shell(text: str, **given: object) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command("sh", "-c", text), stdin=pipe, stdout=pipe, stderr=pipe, **given)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    for number in range(7301, 7310):
        for pid in sleeping(nap(number)):
            os.kill(pid, signal.SIGKILL)


def wait_for(true: Callable[[], object], seconds: float = 5.0) -> float:
    """How long it took until something was true."""
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < seconds, "it never came true"
        time.sleep(0.01)
    return time.monotonic() - began_s


def test_streams_and_code_are_the_programs_own() -> None:
    with shell("cat; echo wrong >&2; exit 3") as process:
        assert process.communicate(b"said") == (b"said", b"wrong\n")
    assert process.returncode == 3


@pytest.mark.parametrize(
    ("text", "code"), [("kill -9 $$", 137), ("kill -15 $$", 143), ("exec /nowhere", 127)]
)
def test_how_a_program_ended_is_told(text: str, code: int) -> None:
    with shell(text) as process:
        process.communicate()
    assert process.returncode == code


def test_a_program_that_is_not_there_is_told() -> None:
    ran = subprocess.run(command("/nowhere/program"), capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        127,
        b"guardian: /nowhere/program cannot be started: No such file or directory\n",
    )


def test_what_a_program_leaves_behind_ends_with_it() -> None:
    with shell(HIDING.format(nap(7301)) + " sleep 0.2") as process:
        wait_for(lambda: len(sleeping(nap(7301))) == 3)
        process.communicate()
    assert not sleeping(nap(7301))
    assert process.returncode == 0


def test_what_makes_more_of_itself_ends_too() -> None:
    again = f"while :; do (setsid sh -c 'sleep {nap(7302)}' &) ; sleep 0.01; done & sleep 0.3"
    with shell(again) as process:
        process.communicate()
    assert not sleeping(nap(7302))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_at_once_when_it_is_told_to(number: int) -> None:
    with shell("trap '' TERM INT HUP; " + HIDING.format(nap(7303)) + f" sleep {nap(7303)}") as process:
        wait_for(lambda: len(sleeping(nap(7303))) == 4)
        process.send_signal(number)
        assert wait_for(lambda: process.poll() is not None) < 1
    assert not sleeping(nap(7303))


@pytest.mark.slow
def test_when_we_are_gone_everything_is_after_the_time_of_grace() -> None:
    with shell("trap '' TERM INT HUP; " + HIDING.format(nap(7304)) + f" sleep {nap(7304)}") as process:
        wait_for(lambda: len(sleeping(nap(7304))) == 4)
        assert process.stdin is not None
        process.stdin.close()
        took_s = wait_for(lambda: process.poll() is not None)
        assert guardian.GRACE_S - 0.1 < took_s < guardian.GRACE_S + 1
    assert not sleeping(nap(7304))


def test_a_program_that_ends_by_itself_is_waited_for() -> None:
    with shell("cat >/dev/null; sleep 0.2; echo saved") as process:
        assert process.communicate() == (b"saved\n", b"")
    assert process.returncode == 0


def test_the_program_ends_with_the_guardian() -> None:
    with shell(f"exec sleep {nap(7305)}") as process:
        wait_for(lambda: sleeping(nap(7305)))
        process.kill()
        process.wait()
        wait_for(lambda: not sleeping(nap(7305)))


def test_names_that_are_set_to_nothing_are_dropped() -> None:
    with shell("env", env={"PATH": os.environ["PATH"], "GONE": "", "KEPT": "1"}) as process:
        seen = process.communicate()[0].decode().splitlines()
    assert "KEPT=1" in seen
    assert not [line for line in seen if line.startswith("GONE")]


def test_a_folder_of_the_programs_own_goes_with_it(tmp_path: Path) -> None:
    scratch, kept = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    kept.mkdir()
    (kept / "file").write_text("stays")
    (scratch / "link").symlink_to(kept)
    env = {"PATH": os.environ["PATH"], guardian.SCRATCH: str(scratch)}
    with shell(f"mkdir -p {scratch}/a/b; echo > {scratch}/a/c; env", env=env) as process:
        seen = process.communicate()[0].decode()
    assert not scratch.exists()
    assert (kept / "file").read_text() == "stays"
    assert guardian.SCRATCH not in seen


def test_it_has_a_session_of_its_own() -> None:
    with shell("ps -o sid= -p $$") as process:
        session = int(process.communicate()[0])
    assert session == process.pid != os.getsid(0)
