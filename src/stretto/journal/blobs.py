"""Large blobs as files named by their hash: on disk, whole, before any event names them."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from stretto.errors import StrettoError
from stretto.journal import Blob
from stretto.journal.failpoint import reach
from stretto.journal.private import make_folder

SMALL = 4096
"""Blobs up to this many bytes are rows of the database: a file costs two fsyncs, a row none of its own."""

_SHA = re.compile(r"[0-9a-f]{64}")
_numbers = itertools.count()


class BlobFile(NamedTuple):
    sha: str
    path: Path
    size: int


class BlobFolder:
    """`blobs/ab/<sha256>`. Two processes may write the same blob: each renames a whole one into place."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, sha: str) -> Path:
        return self.folder / sha[:2] / sha

    def write(self, blobs: Iterable[Blob]) -> None:
        """Returns when all are on disk. Raises OSError; then none is half-written under its own name."""
        changed: dict[Path, None] = {}
        for sha, content in blobs:
            path = self.path(sha)
            if not path.parent.is_dir() or path.parent.is_symlink():
                make_folder(path.parent, self.folder.parent)
                changed[self.folder] = None
                changed[self.folder.parent] = None
            # Also for one that is there: who renamed it may not have synced the folder yet.
            changed[path.parent] = None
            if not _holds(path, sha, len(content)):
                _place(path, content)
        for folder in changed:
            sync_folder(folder)

    def read(self, sha: str) -> bytes:
        """Raises `missing-blob` or `damaged-blob`."""
        if not is_sha(sha):
            raise missing(sha, str(self.folder))
        path = self.path(sha)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise missing(sha, str(path)) from error
        except OSError as error:
            raise damaged(sha, str(path), error.strerror or str(error)) from error
        return sound(sha, content, str(path))

    def size(self, sha: str) -> int | None:
        """None when there is no such blob."""
        try:
            return self.path(sha).stat().st_size if is_sha(sha) else None
        except OSError:
            return None

    def __iter__(self) -> Iterator[BlobFile]:
        for path in self._files():
            if is_sha(path.name):
                yield BlobFile(path.name, path, path.stat().st_size)

    def leftovers(self) -> list[Path]:
        """Files that a crash left half-written."""
        return [path for path in self._files() if not is_sha(path.name)]

    def _files(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.glob("*/*")) if path.is_file())


def is_sha(text: str) -> bool:
    return _SHA.fullmatch(text) is not None


def sound(sha: str, content: bytes, at: str) -> bytes:
    """The content, if it is the one of this name. Raises `damaged-blob`."""
    if hashlib.sha256(content).hexdigest() != sha:
        raise damaged(sha, at, f"its {len(content)} bytes have another hash")
    return content


def missing(sha: str, at: str) -> StrettoError:
    return StrettoError(
        "missing-blob",
        f"the journal names the blob {sha[:12] or '(none)'}, but it is gone",
        at=at,
        next="run the plan again: what made it runs once more; `stretto doctor` lists all that is missing",
    )


def damaged(sha: str, at: str, why: str) -> StrettoError:
    return StrettoError(
        "damaged-blob",
        f"the blob {sha[:12]} is not what was written: {why}",
        at=at,
        next="run the plan again with `--fresh`: what made it runs once more and writes it anew",
    )


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _holds(path: Path, sha: str, size: int) -> bool:
    """Whether the right bytes are there already; wrong ones get replaced: the right ones are at hand."""
    try:
        return path.stat().st_size == size and hashlib.sha256(path.read_bytes()).hexdigest() == sha
    except OSError:
        return False


def _place(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}-{next(_numbers)}.tmp")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reach("before-blob-rename")
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    reach("after-blob-rename")
