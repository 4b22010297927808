"""Where two branches changed the same lines: as data that can be asked about, and resolved again.

The pieces are made by `git merge-file` from what both sides and their common beginning hold, with marks
of a length that no text has; so neither settings nor texts that look like marks can confuse them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stretto.workspace.worktrees import Repository

MARK = 61
"""Length of the marks between the sides."""
CONTEXT_LINES = 8
LARGEST_BYTES = 200_000
"""All pieces of one collision together; what is larger is no question for one call."""
REGULAR = ("100644", "100755")
POINTER = b"version https://git-lfs"
"""How a file begins that stands for a large one elsewhere; lines of two of them name no file at all."""


class Hunk(NamedTuple):
    """One place where both sides changed the same lines."""

    before: str
    ours: str
    base: str
    theirs: str
    after: str


class Collision(NamedTuple):
    """What stood in the way of one merge."""

    files: dict[str, list[Hunk]]
    hopeless: str = ""
    """Why no text could resolve it; empty where one could."""

    @property
    def paths(self) -> str:
        """The files for people: the first few by name."""
        names = list(self.files)
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    def data(self) -> list[dict[str, Any]]:
        return [
            {"path": path, "hunks": [hunk._asdict() for hunk in hunks]} for path, hunks in self.files.items()
        ]


async def collision_in(repository: Repository, folder: Path) -> Collision:
    """Reads the merge that has just collided in a worktree."""
    stages = await _stages(repository, folder)
    files: dict[str, list[Hunk]] = {}
    hopeless = ""
    for path, sides in stages.items():
        files[path] = []
        why = _no_text(path, sides)
        if not why:
            text = await _both(repository, folder, sides)
            files[path] = hunks_of(text) if text is not None else []
            why = "" if files[path] else f"{path} is no text"
        hopeless = hopeless or why
    size = sum(len("".join(hunk).encode(errors="replace")) for hunks in files.values() for hunk in hunks)
    if not hopeless and size > LARGEST_BYTES:
        hopeless = f"the pieces have {size:,} bytes"
    return Collision(files, hopeless)


Sides = dict[int, tuple[str, str]]
"""(mode, blob) of one file by git's numbers: 1 the common beginning, 2 ours, 3 theirs."""


async def _stages(repository: Repository, folder: Path) -> dict[str, Sides]:
    listed = await repository.git("ls-files", "--unmerged", "-z", at=folder)
    found: dict[str, Sides] = {}
    for line in os.fsdecode(listed.out).split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, blob, stage = about.split(" ")
        found.setdefault(path, {})[int(stage)] = (mode, blob)
    return found


def _no_text(path: str, sides: Sides) -> str:
    """Why this one cannot be put as lines of both sides; empty where it can."""
    if 2 not in sides or 3 not in sides:
        return f"one side deleted or renamed {path}"
    if any(mode not in REGULAR for mode, _ in sides.values()):
        return f"{path} is no regular file"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name of a file is no Unicode"
    if not path.isprintable():
        return "the name of a file has letters that nobody sees"  # it stands in a question to a model
    return ""


async def _both(repository: Repository, folder: Path, sides: Sides) -> str | None:
    """The file with both sides between marks; None where it is no text."""
    with tempfile.TemporaryDirectory(prefix="stretto-") as aside:
        names = []
        for stage in (2, 1, 3):
            name = Path(aside, str(stage))
            blob = sides.get(stage)
            content = b""
            if blob is not None:
                content = (await repository.git("cat-file", "blob", blob[1], at=folder)).out
            if b"\0" in content or content.startswith(POINTER):
                return None
            name.write_bytes(content)
            names.append(str(name))
        words = ("merge-file", "-p", "--diff3", f"--marker-size={MARK}", *names)
        done = await repository.git(*words, at=folder, ok=range(256))
    if done.code > 127:
        return None
    try:
        return done.out.decode()
    except UnicodeDecodeError:
        return None


def hunks_of(text: str) -> list[Hunk]:
    """The places of a marked text in order, each with some lines around it."""
    pieces = _pieces(text)
    found = []
    for k, piece in enumerate(pieces):
        if isinstance(piece, tuple):
            before, after = pieces[k - 1], pieces[k + 1]
            assert isinstance(before, str) and isinstance(after, str), "texts and places take turns"
            head = "".join(_lines(before)[-CONTEXT_LINES:])
            tail = "".join(_lines(after)[:CONTEXT_LINES])
            found.append(Hunk(head, *piece, tail))
    return found


def resolved(text: str, instead: Sequence[str]) -> str:
    """The marked text with each place replaced by what was decided for it."""
    left = iter(instead)
    return "".join(piece if isinstance(piece, str) else next(left) for piece in _pieces(text))


def _pieces(text: str) -> list[str | tuple[str, str, str]]:
    """Texts and (ours, base, theirs) in turns, beginning and ending with a text."""
    found: list[str | tuple[str, str, str]] = []
    parts = [""]
    for line in _lines(text):
        if line.startswith("<" * MARK):
            found.append(parts[0])
            parts = [""]
        elif line.startswith(("|" * MARK, "=" * MARK)):
            parts.append("")
        elif line.startswith(">" * MARK):
            ours, base, theirs = parts
            found.append((ours, base, theirs))
            parts = [""]
        else:
            parts[-1] += line
    return [*found, parts[0]]


def _lines(text: str) -> list[str]:
    """Lines that end with a newline only, as git has them."""
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


async def resolve(repository: Repository, folder: Path, answers: dict[str, list[str]]) -> None:
    """Writes the resolved files into the worktree and adds them. Raises ValueError where they do not fit."""
    stages = await _stages(repository, folder)
    if stages.keys() != answers.keys():
        raise ValueError("the files of this merge are others")
    for path, sides in stages.items():
        text = await _both(repository, folder, sides)
        if text is None or len(hunks_of(text)) != len(answers[path]):
            raise ValueError(f"{path} has other places")
        file = folder / path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} leads out of the worktree")
        file.write_bytes(resolved(text, answers[path]).encode())
    # What a name means as a pattern is not asked: `[id].tsx` is a file of its own.
    await repository.git("--literal-pathspecs", "add", "--", *stages, at=folder)
