"""The root folder of a run: what lies inside it, what a pattern names, and a hash of what they hold."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from stretto.errors import StrettoError

NEVER = frozenset({".git", ".stretto", "__pycache__"})
"""Names never matched and never hashed: our own files, and what merely running something changes."""

LONGEST_NAME = 200
_HASHES_KEPT = 200_000
_SETTLED_NS = 2_000_000_000
"""A file changed less than this ago could change again within one tick of its clock: its hash is not kept."""

_hashes: dict[tuple[str, int, int, int, int, str], str] = {}


def inside(root: Path, path: str | Path) -> Path:
    """The real path, symbolic links followed. Raises `outside-root` where it leaves the root."""
    try:
        found = (root / path).resolve()
        base = root.resolve()
    except (OSError, RuntimeError, ValueError) as failed:
        raise StrettoError(
            "outside-root", f"{str(path)!r} is not a usable path: {failed}", at=str(root)
        ) from failed
    if not found.is_relative_to(base):
        raise StrettoError(
            "outside-root",
            f"{str(path)!r} leads out of the root folder, to {found}",
            at=str(base),
            next="name a path below the root, or run with a root that holds both (`--root`)",
        )
    return found


def expand_globs(root: Path, patterns: Iterable[str]) -> list[Path]:
    """The files that the patterns name, as real paths, sorted, each once.

    `*` and `?` stay inside one name, `**` crosses folders, hidden files match like others, a folder
    stands for all files below it, and a name that exists is taken as it is, whatever signs are in it.
    Links that lead out of the root are passed over: an agent may not read them either. Raises
    `outside-root` where a pattern itself does.
    """
    base = root.resolve()
    found: set[Path] = set()
    walking: list[str] = []
    for pattern in patterns:
        literal = inside(base, pattern)
        if literal.is_dir():
            found.update(_readable(base, literal, _walk(literal)))
        elif literal.is_file():
            found.add(literal)
        elif re.search(r"[*?\[]", pattern):
            walking.append(_regex(os.path.relpath(os.path.normpath(base / pattern), base)))
    if walking:
        match = re.compile("|".join(walking)).fullmatch
        found.update(_readable(base, base, (name for name in _walk(base) if match(name))))
    return sorted(found)


def names_something(root: Path, pattern: str) -> bool:
    """Whether a path exists, or a glob names at least one file. Raises `outside-root`."""
    base = root.resolve()
    if inside(base, pattern).exists():
        return True
    name = os.path.relpath(os.path.normpath(base / pattern), base)
    wild = re.search(r"[*?\[]", name)
    if wild is None:
        return False
    # Only below the last folder that is named for certain: a root may be large.
    folder = name[: wild.start()].rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    match = re.compile(_regex(name)).fullmatch
    found = (prefix + below for below in _walk(base / folder) if match(prefix + below))
    return any(_readable(base, base, found))


def _readable(base: Path, folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """The real paths of those that are files inside the root."""
    for name in names:
        path = (folder / name).resolve()
        if path.is_relative_to(base) and path.is_file():
            yield path


def hash_files(root: Path, paths: Sequence[Path]) -> str:
    """One hash of the names (relative to the root) and contents of these files. Raises `unreadable-file`."""
    base = root.resolve()
    total = hashlib.sha256()
    for path in sorted(paths):
        name = path.relative_to(base).as_posix()
        try:
            content = _content(path, os.stat(path), "sha256")
        except OSError as failed:
            raise StrettoError(
                "unreadable-file",
                f"{name} cannot be read: {failed.strerror}",
                at=str(path),
                next="make it readable, or take it out of `reads`",
            ) from failed
        total.update(_line(name, "file", content))
    return total.hexdigest()


def hash_root(root: Path) -> str:
    """One hash of everything below the root: names, modes and contents.

    In a git checkout that is what git tracks and what is new and not ignored, as it is on disk: to stage
    or to commit changes nothing, and an unchanged file is not read. Elsewhere it is every file.
    """
    base = root.resolve()
    listed = _tracked(base)
    entries = _walked(base) if listed is None else _checked_out(base, *listed)
    total = hashlib.sha256()
    for name, mode, content in sorted(entries):
        total.update(_line(name, mode, content))
    return total.hexdigest()


def _line(name: str, mode: str, content: str) -> bytes:
    return f"{mode} {content} {name}\0".encode(errors="surrogateescape")


def _walk(base: Path) -> Iterator[str]:
    """Every file below a folder, relative to it; links to folders are not followed."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            with os.scandir(base / prefix) as entries:
                for entry in entries:
                    if entry.name in NEVER:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{prefix}{entry.name}/")
                    else:
                        yield prefix + entry.name
        except OSError:  # a folder that may not be listed holds nothing that can be read
            continue


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> str:
    """The regular expression of one glob pattern, matched against a relative posix path."""
    out: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position) and (position == 0 or pattern[position - 1] == "/"):
            out.append("(?:[^/]+/)*")
            position += 3
            continue
        sign = pattern[position]
        closing = pattern.find("]", position + 2) if sign == "[" else -1
        if pattern.startswith("**", position):
            out.append(".*")
            position += 1
        elif sign == "*":
            out.append("[^/]*")
        elif sign == "?":
            out.append("[^/]")
        elif closing > 0:
            # The standard library knows what may stand in a set; it writes "(?s:" before and ")\Z" after.
            out.append("(?!/)" + fnmatch.translate(pattern[position : closing + 1])[4:-3])
            position = closing
        else:
            out.append(re.escape(sign))
        position += 1
    return "(?s:" + "".join(out) + ")"


def _content(path: str | Path, status: os.stat_result, kind: str) -> str:
    """The hash of one file's content: `sha256` of its bytes, or the name git gives it (`git1`, `git256`)."""
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, kind)
    if known := _hashes.get(key):
        return known
    content = hashlib.sha1(usedforsecurity=False) if kind == "git1" else hashlib.sha256()
    if kind != "sha256":
        content.update(b"blob %d\0" % status.st_size)
    # What was a plain file a moment ago may be a link or a pipe by now.
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(opened, "rb") as file:
        while chunk := file.read(1 << 20):
            content.update(chunk)
    value = content.hexdigest()
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
        if len(_hashes) >= _HASHES_KEPT:
            _hashes.clear()
        _hashes[key] = value
    return value


def _entry(base: Path, name: str, kind: str) -> tuple[str, str, str]:
    """(name, mode, hash) of what lies there now, in git's words; a hash of `unreadable` where it is so."""
    path = base / name
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(path))
            blob = target if kind == "sha256" else b"blob %d\0%s" % (len(target), target)
            digest = hashlib.sha1(blob, usedforsecurity=False) if kind == "git1" else hashlib.sha256(blob)
            return name, "120000", digest.hexdigest()
        if stat.S_ISDIR(status.st_mode):  # a submodule, or a repository inside this one
            return name, "160000", _submodule(path)
        if not stat.S_ISREG(status.st_mode):
            return name, "special", ""
        mode = "100755" if status.st_mode & 0o100 else "100644"
        return name, mode, _content(path, status, kind)
    except FileNotFoundError:
        return name, "gone", ""
    except OSError:
        return name, "unreadable", ""


def _submodule(path: Path) -> str:
    return hash_root(path) if (path / ".git").exists() else "empty"


def _walked(base: Path) -> Iterator[tuple[str, str, str]]:
    return (_entry(base, name, "sha256") for name in _walk(base))


def _tracked(base: Path) -> tuple[list[str], list[str]] | None:
    """What git lists here: its index, and the files that differ from it or are new. None: no checkout."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    outputs: list[list[str]] = []
    for words in (["-s"], ["-m", "-o", "--exclude-standard"]):
        try:
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", *words],
                cwd=base,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        outputs.append(os.fsdecode(done.stdout).split("\0")[:-1])
    return outputs[0], outputs[1]


def _checked_out(base: Path, index: list[str], changed: list[str]) -> Iterator[tuple[str, str, str]]:
    entries: dict[str, tuple[str, str, str]] = {}
    kind = "git1"
    for line in index:
        about, _, name = line.partition("\t")
        mode, content, _ = about.split(" ")
        kind = "git256" if len(content) == 64 else "git1"
        entries[name] = (name, mode, content)
        if mode == "160000":
            changed.append(name)
    for name in changed:
        entries[name] = _entry(base, name.rstrip("/"), kind)
    return (
        entry for name, entry in entries.items() if entry[1] != "gone" and NEVER.isdisjoint(name.split("/"))
    )


def task_folder(run_folder: Path, task: str) -> Path:
    """Where a task's transcript and outputs lie. Ids nested deep are cut: a file's name has 255 bytes."""
    if len(task) > LONGEST_NAME:
        task = f"{task[:LONGEST_NAME]}-{hashlib.sha256(task.encode()).hexdigest()[:8]}"
    return run_folder / "tasks" / task
