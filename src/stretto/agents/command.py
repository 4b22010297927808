"""Carries out a task by a command: argv, never a shell; its own process group, which ends with the attempt.

What the command leaves running in its group when it exits is ended too (2 s after it was asked to); a
process that made a session of its own has escaped. A command that outlives *us* (SIGKILL of the
orchestrator) is ended by the next `resume`, which knows its pid from `AttemptBound` (`end_leftover`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping

from stretto.agents import MAX_OUTPUT_BYTES, Desk, Result, Work

GRACE_S = 2.0
"""From the question to end (SIGTERM) to the end (SIGKILL)."""

KERNEL_S = 1.0
"""What the kernel gets to take a killed process off the list."""

STDERR_KEPT_BYTES = 20_000

SEEN = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"})
"""What every command sees of our environment, beside LC_*, the names in `env` and its two keys."""

_BUSY = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETXTBSY}
"""What may pass by itself when a program cannot be started."""

FIRST_POLL_S, LAST_POLL_S = 0.01, 0.16
_CHUNK_BYTES = 1 << 18
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class Command:
    """The agent `command`. One object serves any number of attempts at once."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, max_output: int = MAX_OUTPUT_BYTES):
        self._environ = dict(os.environ if environ is None else environ)
        self._seen = {
            name: value
            for name, value in self._environ.items()
            if name in SEEN or (name.startswith("LC_") and name != "LC_")
        }
        self._max_output = max_output

    async def run(self, work: Work, desk: Desk) -> Result:
        try:
            process = _Process(work, self._environment(work), desk.beat, self._max_output)
        except (OSError, ValueError) as failed:
            busy = isinstance(failed, OSError) and failed.errno in _BUSY
            error = _not_started(work, failed)
            return Result("error", error=error, cls="transient" if busy else "task", final=not busy)
        try:
            desk.bind(pid=process.pid)
            await process.wait()
            await process.end()
        except asyncio.CancelledError:
            await process.end()
            raise
        finally:
            # Reached with the process alive only if `end` itself was cancelled: then without grace.
            process.close()
        return _result(process, desk, self._max_output)

    def _environment(self, work: Work) -> dict[str, str]:
        seen = {name: self._environ[name] for name in work.env if name in self._environ}
        keys = {"STRETTO_KEY": work.key, "STRETTO_TASK_KEY": f"{work.run}/{work.task}"}
        return {**self._seen, **seen, **keys}


class _Process:
    """One running command. Popen and our own readers: 0.1 ms of CPU instead of 0.3 with asyncio's.

    And asyncio reaps a process as soon as it exits, which gives its number away while others of its
    group still run; here it stays a zombie, and the number ours, until the group was told to end.
    """

    def __init__(self, work: Work, environment: dict[str, str], beat: Callable[[], None], max_output: int):
        self._loop = asyncio.get_running_loop()
        self._beat = beat
        self._left = max_output
        self._exited = self._loop.create_future()
        self._closed = self._loop.create_future()
        self.output: list[bytes] = []
        self.errors = bytearray()
        self.too_much = False
        with tempfile.TemporaryFile() if work.stdin else open(os.devnull, "rb") as stdin:
            if work.stdin:
                stdin.write(work.stdin)
                stdin.seek(0)
            self._popen = subprocess.Popen(
                work.argv,
                cwd=work.root,
                env=environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._pidfd = self._watch_exit()
        self._open: dict[int, Callable[[bytes], None]] = {}
        for pipe, take in ((self._popen.stdout, self._take_output), (self._popen.stderr, self._take_errors)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._open[pipe.fileno()] = take
            self._loop.add_reader(pipe.fileno(), self._read, pipe.fileno())

    @property
    def code(self) -> int:
        code: int = self._popen.returncode
        return code

    async def wait(self) -> None:
        """Until the command has exited and its output is read, or its output is too large.

        What still holds the pipes after the exit (a `tee` behind it) has the time of grace to finish.
        """
        await self._exited
        if not self.too_much and not self._closed.done():
            await asyncio.wait([self._closed], timeout=GRACE_S)

    async def end(self) -> None:
        """Ends all that is left of the group, the command included: SIGTERM, the time of grace, SIGKILL."""
        deadline_s = self._loop.time() + GRACE_S
        self._signal(signal.SIGTERM)
        pause_s = FIRST_POLL_S
        # Nothing tells when the last one of a group is gone, so it is asked for. (Linux gives a number to
        # nobody while a process still has it as its group: what is asked about is ours.)
        while self._popen.poll() is None or (self._signal(0) and _any_lives(self.pid)):
            if self._loop.time() >= deadline_s:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_POLL_S)

    def close(self) -> None:
        """The hard end, without waiting for more than the kernel: afterwards nothing of it is ours."""
        if self._popen.returncode is None or self._signal(0):
            self._signal(signal.SIGKILL)
        try:
            self._popen.wait(timeout=KERNEL_S)
        except (
            subprocess.TimeoutExpired
        ):  # it hangs in the kernel (a dead network disk), or is another user's
            threading.Thread(target=self._popen.wait, daemon=True).start()
        for fd in list(self._open):
            self._read(fd)  # what was written before the end is in the pipe
            self._forget(fd)
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: int) -> bool:
        """Whether there was still anyone in the group to receive it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS says so of a group of zombies, Linux of one that changed its user
            return False
        return True

    def _watch_exit(self) -> int | None:
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or one that is old or confined
            threading.Thread(target=self._wait_in_thread, daemon=True).start()
            return None
        self._loop.add_reader(pidfd, self._on_exit)
        return pidfd

    def _wait_in_thread(self) -> None:
        self._popen.wait()
        try:
            self._loop.call_soon_threadsafe(self._on_exit)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _on_exit(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(None)

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(fd)
            return
        self._beat()
        self._open[fd](data)

    def _forget(self, fd: int) -> None:
        if self._open.pop(fd, None) is not None:
            self._loop.remove_reader(fd)
            if not self._open and not self._closed.done():
                self._closed.set_result(None)

    def _take_output(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.too_much = True
            self.output.clear()
            if not self._exited.done():
                self._exited.set_result(None)
        elif not self.too_much:
            self.output.append(data)

    def _take_errors(self, data: bytes) -> None:
        self.errors += data
        if len(self.errors) > 2 * STDERR_KEPT_BYTES:
            del self.errors[:-STDERR_KEPT_BYTES]


async def end_leftover(pid: int, key: str) -> bool:
    """Ends the group of a command that outlived a killed orchestrator; True when there was one.

    The number may belong to somebody else by now: only a process that still carries the attempt's key in its
    environment is taken for ours.
    """
    if not _carries(pid, key):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        for _ in range(int(GRACE_S / FIRST_POLL_S)):
            if not _any_lives(pid):
                return True
            await asyncio.sleep(FIRST_POLL_S)
    return True


async def end_marked(keys: Iterable[str]) -> None:
    """Ends whatever still carries one of these keys of attempts in its environment, whoever started it.

    A guardian gives Claude Code some time to end when we are gone; its next attempt must not begin in that.
    Only where there is a `/proc`: elsewhere that time is all there is.
    """
    wanted = {f"STRETTO_KEY={key}".encode() for key in keys}
    for number in (signal.SIGTERM, signal.SIGKILL) if wanted else ():
        for _ in range(int(GRACE_S / LAST_POLL_S)):
            if not (found := [pid for pid in _pids() if _marks(pid) & wanted]):
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            await asyncio.sleep(LAST_POLL_S)


def _carries(pid: int, key: str) -> bool:
    return f"STRETTO_KEY={key}".encode() in _marks(pid)


def _marks(pid: int) -> set[bytes]:
    """The environment of a process, as far as it may be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return set(file.read().split(b"\0"))
    except OSError:
        return set()


def _pids() -> list[int]:
    """Every process; none where there is no `/proc`."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _any_lives(group: int) -> bool:
    """Whether a process of the group is more than a zombie: orphans may wait long for their new parent."""
    pids = _pids()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, _, its_group = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):  # it has just gone
            continue
        if int(its_group) == group and state not in (b"Z", b"X"):
            return True
    return not pids  # not Linux: then what can be signalled counts as alive


def _result(process: _Process, desk: Desk, max_output: int) -> Result:
    errors = bytes(process.errors[-STDERR_KEPT_BYTES:]).decode(errors="replace")
    output = b"".join(process.output)
    if errors or process.code != 0:
        record: dict[str, object] = {"kind": "command", "exit_code": process.code, "stderr": errors}
        if process.code != 0:
            record["stdout"] = output[-STDERR_KEPT_BYTES:].decode(errors="replace")
        desk.note(record)
    if process.too_much:
        return Result("error", error=f"more than {max_output:,} bytes of output: write to a file", cls="task")
    if process.code != 0:
        said = _last_line(errors) or _last_line(output[-STDERR_KEPT_BYTES:].decode(errors="replace"))
        how = f"exit code {process.code}" if process.code > 0 else f"ended by {_signal_name(-process.code)}"
        return Result("error", error=f"{how}: {said}" if said else how, cls="task")
    try:
        text = output.decode()
    except UnicodeDecodeError as wrong:
        byte = f"byte 0x{output[wrong.start]:02x} at offset {wrong.start:,} of {len(output):,}"
        error = f"the output is not UTF-8 text: {byte}; write binary data to a file and print its path"
        return Result("bad_output", error=error, cls="task")
    # As in a shell's $(...): what ends the last line is no part of a path or a number that was printed.
    return Result("ok", output=text[:-2] if text.endswith("\r\n") else text.removesuffix("\n"))


def _last_line(text: str) -> str:
    for line in reversed(text.splitlines()):
        if said := _ESCAPES.sub("", line).strip():
            return said[:500]
    return ""


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _not_started(work: Work, failed: OSError | ValueError) -> str:
    program = work.argv[0] if work.argv else ""
    match failed:
        case OSError() if failed.filename is not None and str(failed.filename) == str(work.root):
            return f"the root folder {work.root} cannot be entered: {failed.strerror}"
        case FileNotFoundError():
            return f"{program!r} was not found, neither on PATH nor as a path from {work.root}"
        case PermissionError():
            return f"{program!r} may not be executed: is it a program, and executable?"
        case OSError():
            return f"{program!r} could not be started: {failed.strerror}"
        case _:
            return f"{program!r} could not be started: its arguments cannot be handed over ({failed})"
