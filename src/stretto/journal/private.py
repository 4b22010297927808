"""Files for their owner alone: 0700 and 0600 whatever the umask says, and no link is followed on the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from stretto.errors import StrettoError


def make_folder(folder: Path, above: Path) -> None:
    """Makes a folder and those between it and `above`, which is there already.

    Raises OSError, also where one of them is a symbolic link: what is written there would leave `above`.
    """
    missing = [path for path in (folder, *folder.parents) if path != above and path.is_relative_to(above)]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def open_file(path: Path, how: int) -> int:
    """A descriptor of a file that is made where it is missing. Raises OSError, also for a link."""
    return os.open(path, how | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_file(path: Path, content: bytes) -> None:
    """Raises OSError."""
    with open(open_file(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def refuse_strange(folder: Path, parts: Iterable[Path], user: int) -> None:
    """Holds that what lies here is the user's before a run believes it: its results are taken, its plans run.

    Takes away what others may do with it. Raises `unsafe-journal` for links, for what belongs to somebody
    else, and for a journal that came with a repository.
    """
    for path in (folder, *parts):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            raise _unsafe("it is a symbolic link, and what is written would land elsewhere", path)
        if found.st_uid not in (user, 0) and user != 0:
            raise _unsafe(f"it belongs to another user (uid {found.st_uid})", path)
        if found.st_mode & 0o077:
            # Some file systems know no modes: there it changes nothing.
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    if folder.exists() and _came_with_repository(folder):
        raise _unsafe("git tracks it, so somebody else may have written what it holds", folder)


def _came_with_repository(folder: Path) -> bool:
    """Whether the index of the checkout names files of the folder; its entries hold whole paths."""
    for top in folder.parents:
        git = top / ".git"
        if git.exists():
            try:
                return os.fsencode(folder.relative_to(top)) + b"/" in (_folder_of(git) / "index").read_bytes()
            except (OSError, ValueError):
                return False
    return False


def _folder_of(git: Path) -> Path:
    """Of a linked worktree `.git` is a file that says where its folder is."""
    if git.is_dir():
        return git
    return git.parent / git.read_text().removeprefix("gitdir:").strip()


def _unsafe(why: str, at: Path) -> StrettoError:
    return StrettoError(
        "unsafe-journal",
        f"the journal here cannot be trusted: {why}",
        at=str(at),
        next="look at it first (`stretto ls` and `stretto show` only read); to start afresh, move it away"
        " (`mv .stretto .stretto.strange`)",
    )
