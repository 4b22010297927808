"""The `command` agent, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from stretto.agents import Result
from stretto.agents.command import Command, end_leftover
from tests.desks import FakeDesk, work

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 20))


def sh(
    script: str, root: Path, desk: FakeDesk | None = None, agent: Command | None = None, **given: Any
) -> Result:
    asked = work(root=root, argv=("sh", "-c", script), **given)
    return run((agent or Command()).run(asked, desk or FakeDesk()))


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    odd = ["$HOME", "a b", "`id`", "; rm -rf x", "*", '"', "'", "\\", "", "ünï\n"]
    asked = work(root=tmp_path, argv=(sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *odd))
    assert run(Command().run(asked, FakeDesk())).output == ascii(odd)


def test_it_runs_in_the_root(tmp_path: Path) -> None:
    assert sh("pwd -P", tmp_path).output == str(tmp_path.resolve())


def test_the_newline_at_the_end_is_taken_off_as_a_shell_does(tmp_path: Path) -> None:
    assert sh(r"printf 'a\n\n'", tmp_path).output == "a\n"
    assert sh(r"printf 'a\r\n'", tmp_path).output == "a"
    assert sh("printf a", tmp_path).output == "a"
    assert sh("true", tmp_path).output == ""


def test_handed_over_values_come_on_stdin(tmp_path: Path) -> None:
    large = b'{"list": "' + b"x" * 1_000_000 + b'"}'
    assert sh("wc -c", tmp_path, stdin=large).output.strip() == str(len(large))


def test_a_command_need_not_read_what_it_is_handed(tmp_path: Path) -> None:
    assert sh("echo done", tmp_path, stdin=b"x" * 1_000_000).output == "done"


def test_without_handed_values_stdin_is_empty(tmp_path: Path) -> None:
    assert sh("cat; echo end", tmp_path).output == "end"


def test_it_sees_only_what_it_may_of_the_environment(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/someone",
        "LC_ALL": "C",
        "ANTHROPIC_API_KEY": "secret",
        "MINE": "seen",
        "OTHER": "unseen",
    }
    said = sh(
        "env", tmp_path, agent=Command(environ), env=("MINE", "ABSENT"), run="r", task="files.3.scan", n=2
    )
    seen = dict(line.split("=", 1) for line in said.output.splitlines())
    for set_by_the_shell in ("PWD", "OLDPWD", "SHLVL", "_"):
        seen.pop(set_by_the_shell, None)
    assert seen == {
        "PATH": os.environ["PATH"],
        "HOME": "/home/someone",
        "LC_ALL": "C",
        "MINE": "seen",
        "STRETTO_KEY": "r/files.3.scan/2",
        "STRETTO_TASK_KEY": "r/files.3.scan",
    }


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo one >&2; echo last >&2; exit 2", "exit code 2: last"),
        ("echo on stdout; exit 1", "exit code 1: on stdout"),
        ("exit 7", "exit code 7"),
        (r"printf '\033[31mred\033[0m\n\n' >&2; exit 1", "exit code 1: red"),
        ("kill -9 $$", "ended by signal 9 (SIGKILL)"),
    ],
)
def test_failure_says_how_and_what_was_said_last(tmp_path: Path, script: str, error: str) -> None:
    result = sh(script, tmp_path)
    assert (result.outcome, result.cls, result.error) == ("error", "task", error)


def test_the_end_of_stderr_is_in_the_transcript(tmp_path: Path) -> None:
    desk = FakeDesk()
    sh("echo begin >&2; seq 1 100000 >&2; echo end >&2; echo out; exit 1", tmp_path, desk)
    (note,) = desk.noted("command")
    assert note["exit_code"] == 1
    assert note["stderr"].endswith("100000\nend\n")
    assert len(note["stderr"]) == 20_000
    assert note["stdout"] == "out\n"


def test_a_quiet_success_notes_nothing(tmp_path: Path) -> None:
    desk = FakeDesk()
    sh("echo fine", tmp_path, desk)
    assert desk.notes == []


def test_output_is_a_sign_of_life_and_the_pid_is_bound(tmp_path: Path) -> None:
    desk = FakeDesk()
    result = sh("for i in 1 2 3; do echo $i >&2; sleep 0.05; done; echo $$", tmp_path, desk)
    assert desk.beats >= 4
    assert desk.pids == [int(result.output)]


def test_output_that_is_not_text_is_refused_and_not_mended(tmp_path: Path) -> None:
    result = sh(r"printf 'abc\377def'", tmp_path)
    assert (result.outcome, result.cls) == ("bad_output", "task")
    assert "byte 0xff at offset 3 of 7" in result.error


def test_letters_may_be_cut_by_the_pipe(tmp_path: Path) -> None:
    assert sh(r"printf '\303'; sleep 0.1; printf '\274'", tmp_path).output == "ü"


def test_too_much_output_ends_the_command(tmp_path: Path) -> None:
    desk = FakeDesk()
    result = sh("yes", tmp_path, desk, Command(max_output=1_000_000))
    assert (result.outcome, result.cls) == ("error", "task")
    assert "1,000,000 bytes" in result.error
    assert gone(desk.pids)


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (("no-such-program-here",), "'no-such-program-here' was not found"),
        (("./absent",), "'./absent' was not found"),
        (("./plain",), "'./plain' may not be executed"),
        (("./strange",), "'./strange' could not be started: Exec format error"),
        (("echo", "x" * 3_000_000), "'echo' could not be started: Argument list too long"),
        (("echo", "a\0b"), "its arguments cannot be handed over"),
        (("echo", "\ud800"), "its arguments cannot be handed over"),
    ],
)
def test_what_cannot_be_started_is_said(tmp_path: Path, argv: tuple[str, ...], error: str) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "strange").write_bytes(b"\x01\x02\x03")
    (tmp_path / "strange").chmod(0o755)
    result = run(Command().run(work(root=tmp_path, argv=argv), FakeDesk()))
    assert (result.outcome, result.cls) == ("error", "task")
    assert error in result.error


def test_a_root_that_is_gone_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    assert "cannot be entered" in sh("true", tmp_path / "gone").error


def stop(script: str, root: Path, after: str) -> float:
    """Starts a script, cancels it once the file `after` is there, and says how long it took to end."""

    async def main() -> float:
        attempt = asyncio.create_task(Command().run(work(root=root, argv=("sh", "-c", script)), FakeDesk()))
        for _ in range(500):
            if (root / after).exists():
                break
            await asyncio.sleep(0.01)
        started = time.monotonic()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        return time.monotonic() - started

    return run(main())


def pids(root: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in root.glob("pid-*")]


NOTE = "touch pid-$$; "
TREE = f"sh -c '{NOTE} exec sleep 60' & sh -c '{NOTE} sleep 60 & exec sleep 60'"
TREE += f" & {NOTE} until [ $(ls | grep -c ^pid-) = 3 ]; do sleep 0.02; done; touch up; wait"


def test_cancelling_ends_the_whole_group_at_once_where_it_obeys(tmp_path: Path) -> None:
    assert stop(TREE, tmp_path, "up") < 1.8
    assert len(pids(tmp_path)) == 3
    assert gone(pids(tmp_path))


def test_who_does_not_obey_is_killed_after_the_time_of_grace(tmp_path: Path) -> None:
    script = f"trap '' TERM; {NOTE} touch up; while :; do sleep 0.1; done"
    took_s = stop(script, tmp_path, "up")
    assert 1.9 < took_s < 3.5
    assert gone(pids(tmp_path))


def test_a_child_that_does_not_obey_is_killed_though_its_command_did(tmp_path: Path) -> None:
    stubborn = f'trap "" TERM; {NOTE} touch up; while :; do sleep 0.1; done'
    took_s = stop(f"{NOTE} sh -c '{stubborn}' >/dev/null 2>&1 & wait", tmp_path, "up")
    assert 1.9 < took_s < 3.5
    assert len(pids(tmp_path)) == 2
    assert gone(pids(tmp_path))


def test_a_command_may_tidy_up_when_it_is_cancelled(tmp_path: Path) -> None:
    stop("trap 'sleep 0.3; touch tidied; exit' TERM; touch up; while :; do sleep 0.05; done", tmp_path, "up")
    assert (tmp_path / "tidied").exists()


def test_cancelling_twice_ends_it_without_grace(tmp_path: Path) -> None:
    script = f"trap '' TERM; {NOTE} touch up; while :; do sleep 0.1; done"

    async def main() -> float:
        asked = work(root=tmp_path, argv=("sh", "-c", script))
        attempt = asyncio.create_task(Command().run(asked, FakeDesk()))
        for _ in range(500):
            if (tmp_path / "up").exists():
                break
            await asyncio.sleep(0.01)
        started = time.monotonic()
        attempt.cancel()
        await asyncio.sleep(0.1)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        return time.monotonic() - started

    assert run(main()) < 1.8
    assert gone(pids(tmp_path))


def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    result = sh(
        f"sh -c '{NOTE} exec sleep 60' >/dev/null 2>&1 & until ls pid-*; do sleep 0.02; done; echo done",
        tmp_path,
    )
    assert result.output.endswith("done")
    assert len(pids(tmp_path)) == 1
    assert gone(pids(tmp_path))


def test_what_ends_soon_after_its_command_may_finish_writing(tmp_path: Path) -> None:
    started = time.monotonic()
    result = sh("(sleep 0.3; echo late) & echo early", tmp_path)
    assert result.output == "early\nlate"
    assert time.monotonic() - started < 1.9


def test_who_keeps_the_pipe_open_is_not_waited_for_long(tmp_path: Path) -> None:
    started = time.monotonic()
    result = sh("sleep 60 & echo early", tmp_path)
    assert result.output == "early"
    assert time.monotonic() - started < 3.5


def test_who_escaped_the_group_is_left_alone(tmp_path: Path) -> None:
    escaping = "setsid sh -c 'echo $$ >escaped; exec sleep 60' >/dev/null 2>&1 &"
    waiting = "until [ -s escaped ]; do sleep 0.02; done"
    assert sh(f"{escaping} {waiting}; echo done", tmp_path).output == "done"
    escaped = int((tmp_path / "escaped").read_text())
    assert alive(escaped)
    os.kill(escaped, signal.SIGKILL)


def test_without_pidfd_a_thread_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert sh("echo done", tmp_path).output == "done"
    assert stop(TREE, tmp_path, "up") < 1.8
    assert gone(pids(tmp_path))


def test_hundreds_at_once_leave_nothing_open(tmp_path: Path) -> None:
    async def main() -> list[Result]:
        agent = Command()
        asked = [work(root=tmp_path, argv=("echo", str(k)), n=k) for k in range(200)]
        return await asyncio.gather(*(agent.run(w, FakeDesk()) for w in asked))

    before = psutil.Process().num_fds()
    assert [r.output for r in run(main())] == [str(k) for k in range(200)]
    assert psutil.Process().num_fds() == before
    assert psutil.Process().children() == []


def gone(pids: list[int]) -> bool:
    """Whether none of them lives; a killed process needs a moment to be dead."""
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_command_that_outlived_its_orchestrator_is_ended_and_nobody_elses(tmp_path: Path) -> None:
    """Only a process that carries the attempt's key in its environment is taken for a leftover."""

    async def main() -> tuple[bool, bool, int | None]:
        key = {"STRETTO_KEY": "r/t/1", "PATH": os.environ["PATH"]}
        process = subprocess.Popen(["sleep", "60"], env=key, start_new_session=True)
        try:
            await asyncio.sleep(0.1)
            strange = await end_leftover(process.pid, "r/t/2")
            return strange, await end_leftover(process.pid, "r/t/1"), process.wait(5)
        finally:
            process.kill()

    strange, ended, code = asyncio.run(main())
    assert (strange, ended, code) == (False, True, -signal.SIGTERM)
