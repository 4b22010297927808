"""Starts a program and sees to it that nothing of it is left: neither when it ends, nor when we do.

This file needs the standard library alone and is a program: `guardian.py LIFELINE PROGRAM ARGUMENT...`. It
leads a session of its own, and on Linux every orphan below it becomes its child (it is a *sub-reaper*), so
that what was sent to the background, made a session of its own or was forked twice is found too. `LIFELINE`
is the number of the file descriptor whose other end we hold: when that is gone, so are we, and the program
has `GRACE_S` to end by itself. Standard streams are passed on as they are; the code it exits with is the
program's. Of the environment, names that are set to nothing are dropped: who starts a program through
somebody else's library, which only adds names, can so take some away.

On macOS there are no sub-reapers: there the program's process group is ended, which a process can leave.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence

GRACE_S = 2.0
"""From the end of the lifeline to SIGKILL; the program may save what it has."""

POLL_S = 0.01
"""Between two looks whether what was killed is gone."""

KERNEL_S = 3.0
"""How long the kernel gets for that: what hangs in it (a dead network disk) is left behind."""

CANNOT_START = 127

SCRATCH = "STRETTO_SCRATCH"
"""The variable that may name a folder of the program's own, which goes when the program has ended."""

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG of <linux/prctl.h>
_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str]) -> int:
    """Runs the program to its end or to ours; returns what to exit with."""
    lifeline, program = int(argv[0]), list(argv[1:])
    scratch = os.environ.pop(SCRATCH, "")
    with contextlib.suppress(PermissionError):  # it leads one already
        os.setsid()
    _prctl(_SUBREAPER, 1)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked: list[int] = []
    for number in _ASKED_TO_END:
        signal.signal(number, lambda given, _: asked.append(given))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = _start(program, lifeline)
    lifeline = _let_go(lifeline)
    status = _watch(child, lifeline, woken, asked)
    _end_all(child)
    if scratch:
        _remove(scratch)
    if status is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _start(program: list[str], lifeline: int) -> int:
    """The program in a group of its own, with the signals and streams that we were given."""
    us = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(CANNOT_START)
        signal.set_wakeup_fd(-1)
        for number in (*_ASKED_TO_END, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if lifeline > 2:
            os.close(lifeline)
        environment = {name: value for name, value in os.environ.items() if value}
        os.execvpe(program[0], program, environment)
    except OSError as failed:
        os.write(2, f"guardian: {program[0]} cannot be started: {failed.strerror}\n".encode())
    os._exit(CANNOT_START)


def _let_go(lifeline: int) -> int:
    """Leaves the standard streams to the program, so that their other ends see when it closes them."""
    if lifeline <= 2:
        lifeline = os.dup(lifeline)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    return lifeline


def _watch(child: int, lifeline: int, woken: int, asked: list[int]) -> int | None:
    """Waits for the program's end; None where it has to be ended."""
    poller = select.poll()
    poller.register(lifeline, 0)  # nothing is read: only its end is told
    poller.register(woken, select.POLLIN)
    until_s: float | None = None
    while True:
        status = _reap(child)
        if status is not None or asked:
            return status
        left_s = None if until_s is None else until_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            return None
        for descriptor, _ in poller.poll(None if left_s is None else left_s * 1000):
            if descriptor == woken:
                os.read(woken, 4096)
            else:
                poller.unregister(lifeline)
                until_s = time.monotonic() + GRACE_S


def _reap(child: int | None = None) -> int | None:
    """Takes every child that has ended off the list; the status of `child` if it is one of them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = status
    return found


def _end_all(child: int) -> None:
    """Kills what descends from us until nothing does any more: what is killed may just have forked."""
    until_s = time.monotonic() + KERNEL_S
    while time.monotonic() < until_s:
        found = descendants(os.getpid())
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
            found = found or [child]
        _reap()
        if not found:
            return
        time.sleep(POLL_S)


def descendants(root: int) -> list[int]:
    """Every process below this one that still runs; none where there is no `/proc`."""
    below: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name of the program stands in brackets and may hold anything.
                state, above = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):  # it has just gone
            continue
        if state not in (b"Z", b"X"):
            below.setdefault(int(above), []).append(int(name))
    found, left = [], [root]
    while left:
        children = below.get(left.pop(), [])
        found += children
        left += children
    return found


def _remove(folder: str) -> None:
    """Removes a folder with all that is in it; links are removed, not followed."""
    for above, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            path = os.path.join(above, name)
            with contextlib.suppress(OSError):
                (os.rmdir if name in folders and not os.path.islink(path) else os.unlink)(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _prctl(what: int, value: int) -> None:
    """Of Linux; elsewhere it does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
