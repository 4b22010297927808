"""Who may write: `flock`, which the kernel releases however a process ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_STEP_S = 0.01
# A probe (`is_held`) holds the lock for microseconds, and a child of a killed owner, between its fork and its
# exec, for as long as the machine is busy (4-14 ms were seen): neither must be taken for an owner.
_PROBE_S = 0.05
_CHILD_S = 2.0


def claim(path: Path) -> int | None:
    """Takes the lock for this process alone and writes its pid; None while another one holds it."""
    fd = _take(path, fcntl.LOCK_EX, _PROBE_S)
    if fd is None and not _lives(holder(path)):
        fd = _take(path, fcntl.LOCK_EX, _CHILD_S)
    if fd is not None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def share(path: Path, wait_s: float) -> int | None:
    """Takes the lock together with others; None when one that wants it alone did not let go in time."""
    return _take(path, fcntl.LOCK_SH, wait_s)


def release(fd: int) -> None:
    os.close(fd)


def is_held(path: Path) -> bool:
    """Asks without disturbing the owner. A lock that may not be opened is taken to be held."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return _lives(holder(path))
    finally:
        os.close(fd)


def _lives(pid: str) -> bool:
    """Whether the process that wrote the lock is there; one that cannot be told is taken to be."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, OSError):
        return True
    return True


def holder(path: Path) -> str:
    """The pid that the last owner wrote; empty when there is none."""
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _take(path: Path, how: int, wait_s: float) -> int | None:
    until = time.monotonic() + wait_s
    while True:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        # Not through a link: the pid is written over whatever lies there.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            if _is(fd, path):
                return fd
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(fd)
                return None
            time.sleep(_STEP_S)
        except BaseException:
            os.close(fd)
            raise
        # Refused, or gc removed the folder between our open and our lock: it was on a file without a name.
        os.close(fd)


def _is(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
