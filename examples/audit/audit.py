"""Measures a code base without a model: files, open notes, sizes; the other measures stand beside it.

Every public function here is a `call: audit:NAME` task of `audit.yaml`. It takes keyword arguments, returns
JSON, and the same tree always gives the same value: lists are sorted, nothing depends on time or chance.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit_code import hotspots, modules, signatures
from audit_report import report
from audit_text import (
    MAX_BYTES,
    Source,
    blanked,
    language_of,
    line_at,
    line_count,
    line_starts,
    read_sources,
    spans,
)
from audit_web import endpoints

__all__ = ["endpoints", "files", "hotspots", "modules", "report", "signatures", "sizes", "todos"]

MAX_FILES = 50_000  # a larger tree is audited folder by folder
MAX_NOTE = 300  # characters of one open note

_NOT_SOURCE = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "target", "venv"})

# In capitals the word alone is a note, wherever it stands in the comment: `# see below. FIXME`. It is none
# inside a longer word or quoted: `# counts "TODO"`. In small letters it must open the comment and have a
# colon, because `hack` and `todo` are ordinary words too: `# todo(ann): ...`, `* @todo ...`.
_NOTE = re.compile(
    r"""(?<![\w\-"'`/])(?:TODO|FIXME|XXX|HACK)(?![\w\-"'`])(?!\.\w)"""
    r"""|(?i:^(?:todo|fixme|xxx|hack)(?=\s*(?:\([^()\n]*\)\s*)?:)|^@todo\b)"""
)
_OPENERS = "/#*;%!-<>{[| \t"
_CLOSER = re.compile(r"\s*(?:\*/|-->|-\}|\]\])\s*$")


def files(repo: str) -> dict[str, Any]:
    """Lists the source files under `repo`, as git tracks them; without git, as a walk finds them.

    Returns `{files, skipped: [{file, why}], other, how, commit}`. `other` counts files that are no source in
    a known language, `commit` is None where there is none. Names that are not UTF-8 are skipped: no journal
    and no report could hold them.
    """
    if not os.path.isdir(repo):
        raise ValueError(f"{repo!r} is not a folder: give the root of the code base to audit")
    tracked = _git(repo, "ls-files", "-z")
    names = set(filter(None, (tracked or b"").split(b"\0")))
    how = "git" if names else "walk"
    names = names or {os.fsencode(name) for name in _walk(repo)}
    if len(names) > MAX_FILES:
        raise ValueError(f"{repo!r} has {len(names)} files, more than {MAX_FILES}: audit a folder of it")
    found: list[str] = []
    skipped: list[dict[str, str]] = []
    for raw in sorted(names):
        name = raw.decode("utf-8", "backslashreplace")
        why = _why_not(os.path.join(os.fsencode(repo), raw), name) if _is_utf8(raw) else "name is not UTF-8"
        if why == "":
            found.append(name)
        elif why != "other":
            skipped.append({"file": name, "why": why})
    head = _git(repo, "rev-parse", "--short=12", "HEAD") if how == "git" else None
    return {
        "files": found,
        "skipped": skipped,
        "other": len(names) - len(found) - len(skipped),
        "how": how,
        "commit": head.decode().strip() if head else None,
    }


def _git(repo: str, *words: str) -> bytes | None:
    """What git prints about the folder; None when it is no checkout or there is no git.

    The audited tree is not trusted: its own configuration could name a program to run (`core.fsmonitor`).
    Variables such as GIT_DIR would answer for another tree.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-c", "core.fsmonitor=false", "-C", repo, *words]
    try:
        return subprocess.run(
            argv, check=True, env=kept, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _walk(repo: str) -> Iterator[str]:
    for folder, folders, names in os.walk(repo):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_SOURCE
            and not name.startswith(".")
            and not name.endswith(".egg-info")
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        ]
        for name in names:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), repo)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _why_not(path: bytes, name: str) -> str:
    """Why this file is not read: empty when it is, `other` when it is no source at all."""
    try:
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode):
            # Inside the tree its target is counted already; outside it is none of our business.
            return "a symbolic link" if language_of(name) else "other"
        if not stat.S_ISREG(about.st_mode):
            return "other"
        with open(path, "rb") as opened:
            head = opened.read(8192)
    except FileNotFoundError:
        return "tracked, but gone" if language_of(name) else "other"
    except OSError as error:
        return f"unreadable: {error.strerror}"
    if language_of(name, head) is None:
        return "other"
    if b"\0" in head:
        return "binary"
    return f"larger than {MAX_BYTES:,} bytes" if about.st_size > MAX_BYTES else ""


def todos(repo: str, files: list[str]) -> list[dict[str, Any]]:
    """Finds every open note (the four usual words) that stands in a comment: `[{file, line, text}]`."""
    return [note for source in read_sources(repo, files) for note in _notes(source)]


def _notes(source: Source) -> Iterator[dict[str, Any]]:
    starts = line_starts(source.text)
    for start, end in spans(source).comments:
        first = line_at(starts, start)
        for number, line in enumerate(source.text[start:end].split("\n"), first):
            said = line.lstrip(_OPENERS)
            note = _NOTE.search(said)
            if note:
                text = _CLOSER.sub("", said[note.start() :]).strip()
                yield {"file": source.file, "line": number, "text": text[:MAX_NOTE]}


def sizes(repo: str, files: list[str]) -> dict[str, Any]:
    """Counts lines and bytes: `{total, languages: [...], files: [...]}`, the largest first.

    A line of code is one that is neither blank nor only a comment; a docstring counts as code.
    """
    rows: list[dict[str, Any]] = []
    for source in read_sources(repo, files):
        bare = blanked(source.text, spans(source).comments)
        rows.append(
            {
                "file": source.file,
                "language": source.language.name,
                "lines": line_count(source.text),
                "code": sum(1 for line in bare.split("\n") if line.strip()),
                "bytes": source.bytes,
            }
        )
    names = sorted({row["language"] for row in rows})
    languages = [
        {"language": name, **_sum([row for row in rows if row["language"] == name])} for name in names
    ]
    return {
        "total": _sum(rows),
        "languages": sorted(languages, key=lambda row: (-row["code"], row["language"])),
        "files": sorted(rows, key=lambda row: (-row["lines"], row["file"])),
    }


def _sum(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {"files": len(rows)} | {
        column: sum(row[column] for row in rows) for column in ("lines", "code", "bytes")
    }


def write(path: str, text: str) -> dict[str, Any]:
    """Writes a file whole or not at all and says what it wrote: `{path, bytes}`."""
    target = Path(path)
    half = target.with_name(target.name + ".half")
    half.write_text(text, encoding="utf-8", newline="\n")
    os.replace(half, target)
    return {"path": path, "bytes": target.stat().st_size}
