"""A folder as an agent may see it: what is outside, secret or special does not exist; and a search in it.

This file needs the standard library alone and is also a program: `tools` runs it as a process of its own for
each search, because Python's `re` holds the interpreter while it matches, so that in our own process one bad
pattern would stop every agent, the ledger and the clock; and no thread can be killed.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import resource
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 5_000_000
"""Larger files are neither read nor searched."""

MAX_MATCHES = 200
MAX_MATCHES_IN_FILE = 50
MAX_FILES = 50_000
MAX_LINE_CHARS = 2_000
"""A search looks at no more of a line, and shows no more of it than `MAX_SHOWN_CHARS`."""
MAX_SHOWN_CHARS = 300
MAX_MEMORY_BYTES = 1_000_000_000

HIDDEN_FOLDERS = frozenset({".git", ".stretto", ".ssh", ".gnupg", ".aws", ".kube", ".docker", ".azure"})
"""Never entered: keys, credentials, and the journal of the run itself."""

NOISY_FOLDERS = frozenset({"node_modules", "__pycache__", ".venv", "venv", ".tox"})
"""Not entered unless a path names them: large, and written by nobody."""

SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "secrets.toml",
    "service-account*.json",
)
PUBLIC_NAMES = (".env.example", ".env.sample", ".env.template", "*.pub")
"""What looks like a secret and is made to be shared."""


class Refused(Exception):
    """A path that an agent may not see, or that is not there; the message is for the model."""


def hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path below the root (by its parts) is kept from agents."""
    lower = [part.lower() for part in parts]
    if any(part in HIDDEN_FOLDERS for part in lower):
        return True
    if not lower or any(fnmatch.fnmatchcase(lower[-1], name) for name in PUBLIC_NAMES):
        return False
    return any(fnmatch.fnmatchcase(lower[-1], name) for name in SECRET_NAMES)


def inside(root: Path, path: str) -> Path:
    """The real path behind a path below the root, all links followed. Raises Refused."""
    if "\0" in path:
        raise Refused("a path cannot hold a NUL character")
    real_root = root.resolve()
    try:
        real = (real_root / path).resolve(strict=True)
    except FileNotFoundError:
        raise Refused(f"there is no {path!r}; look with list or search first") from None
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError is a loop of links, before Python 3.13; ValueError a name that no file can have.
        raise Refused(f"{path!r} cannot be opened: {_reason(error)}") from None
    if not real.is_relative_to(real_root):
        raise Refused(f"{path!r} is outside the root")
    named = Path(os.path.normpath(real_root / path))
    asked = named.relative_to(real_root).parts if named.is_relative_to(real_root) else ()
    if hidden(real.relative_to(real_root).parts) or hidden(asked):
        raise Refused(f"{path!r} is kept from agents (keys, credentials, internals)")
    return real


def load(root: Path, path: Path, shown: str) -> bytes:
    """The content of a plain file within the limit, by its real path. Raises Refused for anything else."""
    try:
        handle = _open(root.resolve(), path)
    except OSError as error:
        raise Refused(f"{shown!r} cannot be opened: {_reason(error)}") from None
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise Refused(f"{shown!r} is a folder; use list")
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{shown!r} is not a plain file")
        if status.st_size > MAX_FILE_BYTES:
            raise Refused(f"{shown!r} has {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise Refused(f"{shown!r} cannot be read: {_reason(error)}") from None
    finally:
        os.close(handle)
    if b"\0" in data[:8_192]:
        raise Refused(f"{shown!r} is not text")
    return data


def _open(root: Path, path: Path) -> int:
    """Opens a file name by name from the root down: no link is followed that was put there since `inside`."""
    below = path.relative_to(root).parts or (".",)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in below[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Not waiting for a writer, should it be a pipe.
        return os.open(below[-1], os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def text_lines(data: bytes) -> list[str]:
    """The lines as editors and compilers number them: `str.splitlines` would split at form feeds too."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def walk(root: Path, start: Path) -> Iterator[str]:
    """Paths of the plain files below `start`, relative to the root, in order; follows no links to folders."""
    folders = [start]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        below: list[Path] = []
        for entry in entries:
            path = Path(entry.path)
            shown = path.relative_to(root)
            if hidden(shown.parts) or not is_text(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name.lower() not in NOISY_FOLDERS:
                    below.append(path)
            elif entry.is_file(follow_symlinks=False) or (entry.is_symlink() and _leads_in(root, shown)):
                yield shown.as_posix()
        folders.extend(reversed(below))


def matches(path: str, glob: str) -> bool:
    """Whether a path fits a pattern: `*` stays in one folder, `**` crosses folders, no `/` means any folder.

    Part by part, each with `fnmatch` (whose patterns cannot backtrack badly), and without recursion.
    """
    pattern = glob.removeprefix("./").split("/")
    if len(pattern) == 1:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], glob)
    reached = {0}
    for part in path.split("/"):
        reached = _skip_stars(pattern, reached)
        reached = {
            at if pattern[at] == "**" else at + 1
            for at in reached
            if at < len(pattern) and (pattern[at] == "**" or fnmatch.fnmatchcase(part, pattern[at]))
        }
    return len(pattern) in _skip_stars(pattern, reached)


def search(root: Path, pattern: str, glob: str, start: str, until_s: float) -> str:
    """The lines in which a regular expression is found, as `path:line: text`; says which limit stopped it."""
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(f"the pattern is not a regular expression: {error}") from None
    first = inside(root, start or ".")
    root = root.resolve()
    files = walk(root, first) if first.is_dir() else iter([first.relative_to(root).as_posix()])
    found: list[str] = []
    cut = ""
    try:
        cut = _search(root, files, expression, glob, found, until_s)
    except TimeoutError:
        cut = "the time was up: use a simpler pattern, or a glob"
    if not found:
        return f"no line matches {pattern!r}" + (f" ({cut})" if cut else "")
    return "\n".join(found) + (f"\n({cut})" if cut else "")


def _search(
    root: Path, files: Iterator[str], expression: re.Pattern[str], glob: str, found: list[str], until_s: float
) -> str:
    for number, path in enumerate(files):
        if number >= MAX_FILES:
            return f"stopped after {MAX_FILES:,} files: give a path"
        if time.monotonic() > until_s:
            raise TimeoutError
        if glob and not matches(path, glob):
            continue
        try:
            lines = text_lines(load(root, inside(root, path), path))
        except Refused:
            continue
        in_file = 0
        for line_number, line in enumerate(lines, 1):
            if expression.search(line[:MAX_LINE_CHARS]) is None:
                continue
            in_file += 1
            if in_file > MAX_MATCHES_IN_FILE:
                found.append(f"{path}: more matches left out")
                break
            found.append(f"{path}:{line_number}: {line.strip()[:MAX_SHOWN_CHARS]}")
            if len(found) >= MAX_MATCHES:
                return f"stopped after {MAX_MATCHES} matches: narrow the pattern or the glob"
    return ""


def _skip_stars(pattern: list[str], reached: set[int]) -> set[int]:
    """The places that are reached too when `**` stands for no folder at all."""
    every = set(reached)
    for at, part in enumerate(pattern):
        if at in every and part == "**":
            every.add(at + 1)
    return every


def _leads_in(root: Path, shown: Path) -> bool:
    try:
        return inside(root, str(shown)).is_file()
    except Refused:
        return False


_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_text(name: str) -> bool:
    """Names that are not text, or would not stay on their line, are left out of what a model is told."""
    return _NO_TEXT.search(name) is None


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or "no file can have this name"


def _time_up(_signal: int, _frame: Any) -> None:
    raise TimeoutError


def main() -> None:
    """Reads one request from stdin and writes {"text"} or {"error"} to stdout, within its time and memory."""
    ask = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # The regular expression engine looks for signals as it goes, so an alarm gets it out of a bad pattern.
    signal.signal(signal.SIGALRM, _time_up)
    signal.setitimer(signal.ITIMER_REAL, ask["seconds"])
    answer: dict[str, str]
    try:
        until_s = time.monotonic() + ask["seconds"]
        text = search(Path(ask["root"]), ask["pattern"], ask["glob"], ask["path"], until_s)
        answer = {"text": text}
    except Refused as refused:
        answer = {"error": str(refused)}
    except TimeoutError:
        answer = {"error": "the time was up: use a simpler pattern"}
    except MemoryError:
        answer = {"error": "the pattern needs too much memory: use a simpler one"}
    signal.setitimer(signal.ITIMER_REAL, 0)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
