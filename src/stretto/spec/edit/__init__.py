"""Safe mends, written into the user's own file: a need more, a need less, another model, and nothing else.

`edited_file` says what a file would become, `write_edited` writes it. Between the two is room for a person:

    edited = edited_file(path, [finding.mends for finding in findings if finding.mends])
    print(edited.diff(path))
    write_edited(path, edited)
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import stat
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue
from stretto.spec.edit.cuts import lines_of
from stretto.spec.edit.proof import Reading
from stretto.spec.edit.trying import Read, Wish, edited
from stretto.spec.load import load_all
from stretto.spec.lock import is_lock
from stretto.spec.python import imports_stretto
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles

__all__ = ["Edited", "Wish", "edited_file", "write_edited"]

_MARK = "\ufeff"


class Edited(NamedTuple):
    """A file's text before and after."""

    before: str
    text: str
    why_not: tuple[str, ...]
    """Of each wish, in their order: why it could not be made; empty where it was."""

    def diff(self, path: str | Path) -> str:
        """The change as a unified diff."""
        old, new = (lines_of(text) for text in (self.before, self.text))
        lines = difflib.unified_diff(old, new, str(path), str(path))
        ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return "".join(ended)


def edited_file(
    path: str | Path,
    wishes: Sequence[Wish],
    plan_name: str | None = None,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    roles: Roles = BUILTIN_ROLES,
) -> Edited:
    """What a plan file becomes when these wishes are made; it is not written.

    A wish is made whole or not at all: not where the text has no safe place for it, and not where the new
    text would compile to anything but the same plan with these mends. A Python file that imports stretto is
    executed for that, once before and once for each try, in a folder that looks like its own.
    The other arguments are those of `load_all`. Raises StrettoError for a file that cannot be read.
    """
    path = Path(path)
    data = _bytes_of(path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        what = f"{path} is not UTF-8 text"
        raise StrettoError("not-utf-8", what, at=str(path), next="save the file as UTF-8") from None
    executed = path.suffix.lower() == ".py" and imports_stretto(data)
    why = _why_never(path, data, executed)
    if why:
        return Edited(text, text, (why,) * len(wishes))
    mark = _MARK if text.startswith(_MARK) else ""
    with _stand_in(path, executed) as copy:
        read = _reader(path, copy, plan_name if executed else None, on, catalogue, roles)
        new, why_not = edited(text.removeprefix(mark), wishes, read)
    return Edited(text, mark + new, tuple(why_not))


def write_edited(path: str | Path, edited: Edited) -> None:
    """Puts the new text in the place of the old one at once: never half a file, and with the same mode bits.

    A symbolic link stays one. Raises `cannot-write`, also where somebody has changed the file meanwhile, and
    where it is read-only.
    """
    made = ""
    try:
        target = Path(path).resolve(strict=True)
        if target.read_bytes() != edited.before.encode():
            what = f"{path} has changed since it was read"
            raise StrettoError("cannot-write", what, at=str(path), next="check it again")
        mode = stat.S_IMODE(target.stat().st_mode)
        if not mode & 0o222:  # it could be replaced, but somebody wanted it to stay
            what = f"{path} cannot be written: nobody may write to it"
            raise StrettoError("cannot-write", what, at=str(path), next=f"chmod u+w {path}, or mend a copy")
        handle, made = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with open(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(edited.text.encode())
            file.flush()
            os.fsync(handle)
        os.replace(made, target)
    except OSError as failed:
        if made:
            with contextlib.suppress(OSError):
                os.unlink(made)
        what = f"{path} cannot be written: {failed.strerror}"
        raise StrettoError("cannot-write", what, at=str(path), next="check its permissions") from failed


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failed:
        what = f"{path} cannot be read: {failed.strerror}"
        raise StrettoError("unreadable-plan", what, at=str(path), next="check the path") from failed


def _why_never(path: Path, data: bytes, executed: bool) -> str:
    """Why nothing of a file can be edited; empty where it can."""
    if is_lock(path):
        return "a lock file is never edited: mend its plan, and lock that again"
    if executed:
        with contextlib.suppress(SyntaxError):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            return "" if encoding.startswith("utf-8") else f"the file is written in {encoding}, not in UTF-8"
    return ""


@contextlib.contextmanager
def _stand_in(path: Path, executed: bool) -> Iterator[Path]:
    """Where a changed text can be read without being written: a path of the same name in a passing folder.

    For a file that is executed the folder has everything else its own one has: what it imports and reads.
    """
    with tempfile.TemporaryDirectory(prefix="stretto-") as folder:
        copy = Path(folder).resolve() / path.name
        if executed:
            for entry in path.resolve().parent.iterdir():
                if entry.name != copy.name:
                    copy.with_name(entry.name).symlink_to(entry)
        yield copy


def _reader(
    path: Path, copy: Path, plan_name: str | None, on: str, catalogue: Catalogue, roles: Roles
) -> Read:
    """Compiles a text as if it stood at `path`, for which `copy` stands in."""

    def read(text: str) -> Reading:
        copy.write_bytes(text.encode())
        try:
            loaded = load_all(copy, plan_name, on, catalogue, roles, even_broken=True)
        except StrettoError as error:
            said = (words.replace(str(copy), str(path)) for words in (error.what, error.at, error.next))
            what, at, next = said
            raise StrettoError(error.slug, what, at=at, next=next, code=error.code) from error
        plans = [one.plan for one in loaded if one.plan is not None]
        return Reading(loaded[0].kind, str(copy), plans, [found for one in loaded for found in one.findings])

    return read
