"""What stands in the folder a goal is about: its modules, services, languages, tests and documents."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

FILES = 50_000
"""Files that are looked at."""
LOOK_S = 2.0
"""How long the listing may take; what was found by then is what is known."""
LISTED = 24
"""Modules or services that are named one by one; of more, a command lists them."""
TEXT_BYTES = 200_000

LANGUAGES = {
    ".py": "Python",
    ".ts": "TypeScript",
    ".tsx": "TypeScript",
    ".js": "JavaScript",
    ".jsx": "JavaScript",
    ".go": "Go",
    ".rs": "Rust",
    ".java": "Java",
    ".kt": "Kotlin",
    ".rb": "Ruby",
    ".php": "PHP",
    ".cs": "C#",
    ".c": "C",
    ".cc": "C++",
    ".cpp": "C++",
    ".swift": "Swift",
    ".scala": "Scala",
    ".ex": "Elixir",
    ".sql": "SQL",
    ".sh": "shell",
}
DOCS = frozenset({".md", ".rst", ".adoc"})
OTHERS = frozenset(
    """node_modules vendor vendored third_party dist build target out __pycache__ venv env site-packages
    coverage htmlcov bower_components deps _build obj bin""".split()
)
"""Folders whose content nobody here wrote."""
SERVICES = ("services", "service", "apps", "microservices", "cmd", "functions", "lambdas")
PACKAGES = ("packages", "crates", "libs", "modules", "plugins", "components")
SOURCES = ("src", "lib", "app", "source", "internal", "pkg")
TESTS = ("tests", "test", "spec", "__tests__")
_OTHER_CODE = frozenset({"tests", "test", "__tests__", "docs", "examples", "scripts"})


class Repository(NamedTuple):
    """The shape of a folder, by the names in it and the two or three files that say how to test."""

    files: int = 0
    git: bool = False
    languages: tuple[str, ...] = ()
    """The most frequent first."""
    suffixes: tuple[str, ...] = ()
    """Their endings of file names, in the same order, several of one language after another."""
    modules: tuple[str, ...] = ()
    """Folders (or files, where there are no folders) that the code is divided into."""
    services: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    tests: str = ""
    """The folder of tests."""
    test: tuple[str, ...] = ()
    """The command that runs the tests; empty where none was recognised."""
    build: tuple[str, ...] = ()
    """The command that builds it."""
    folders: tuple[str, ...] = ()
    """Folders at the top."""

    @property
    def is_code(self) -> bool:
        return bool(self.languages)

    def said(self) -> str:
        """In one sentence, for people and for a model."""
        if not self.files:
            return "an empty folder"
        parts = [f"{self.files:,} {'file' if self.files == 1 else 'files'}"]
        if self.languages:
            parts.append(", ".join(self.languages[:3]))
        for name, found in (
            ("services", self.services),
            ("packages", self.packages),
            ("modules", self.modules),
        ):
            if found:
                more = ", ..." if len(found) > 8 else ""
                parts.append(f"{len(found)} {name} ({', '.join(found[:8])}{more})")
        if self.test:
            parts.append(f"tested by `{' '.join(self.test)}`")
        return "; ".join(parts)


def look(root: Path) -> Repository:
    """Looks at a folder; what cannot be read is as if it were not there."""
    listed = _tracked(root)
    paths = listed if listed is not None else list(_walked(root))
    paths = [path for path in paths[:FILES] if not _foreign(path)]
    endings = Counter(os.path.splitext(path)[1].lower() for path in paths)
    code = [(suffix, n) for suffix, n in endings.most_common() if suffix in LANGUAGES]
    suffixes = tuple(suffix for suffix, _ in code)
    languages = tuple(dict.fromkeys(LANGUAGES[suffix] for suffix in suffixes))
    top = frozenset(path.split("/", 1)[0] for path in paths if "/" in path)
    tests = next((name for name in TESTS if name in top), "")
    near = frozenset(path for path in paths if "/" not in path)
    python = ".py" in suffixes and (tests != "" or not near.isdisjoint(("pytest.ini", "tox.ini")))
    return Repository(
        files=len(paths),
        git=listed is not None,
        languages=languages,
        suffixes=suffixes,
        modules=_modules(paths, suffixes),
        services=_below(paths, SERVICES),
        packages=_below(paths, PACKAGES),
        docs=tuple(path for path in paths if os.path.splitext(path)[1].lower() in DOCS)[:500],
        tests=tests,
        test=_commands(root, near, "test") or (("pytest", "-q") if python else ()),
        build=_commands(root, near, "build"),
        folders=tuple(sorted(top)),
    )


def _tracked(root: Path) -> list[str] | None:
    """The files that git knows of, or None where this is no repository or there is no git."""
    command = [
        "git",
        "-C",
        str(root),
        "-c",
        "core.fsmonitor=false",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=LOOK_S, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.decode("utf-8", "replace").split("\0")[:-1][:FILES]


def _walked(root: Path) -> Iterator[str]:
    """The files below a folder, the shallow ones first, without hidden folders and those of others."""
    until_s = time.monotonic() + LOOK_S
    waiting = [""]
    count = 0
    while waiting and count < FILES and time.monotonic() < until_s:
        deeper: list[str] = []
        for folder in waiting:
            for name, is_folder in _entries(root / folder):
                path = f"{folder}/{name}" if folder else name
                if is_folder:
                    deeper.append(path)
                else:
                    count += 1
                    yield path
        waiting = deeper


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder with whether each is a folder; links are not followed."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []
    return sorted((name, kind) for name, kind in found if not (kind and (name[:1] == "." or name in OTHERS)))


def _foreign(path: str) -> bool:
    folders = path.split("/")[:-1]
    return any(name in OTHERS or name[:1] == "." for name in folders)


def _below(paths: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that stand in one of these folders, at the top or one level down: `services/auth`."""
    for name in names:
        found: dict[str, None] = {}
        for path in paths:
            words = path.split("/")
            for depth in (0, 1):
                if len(words) > depth + 2 and words[depth] == name:
                    found["/".join(words[: depth + 2])] = None
        if len(found) > 1:
            return tuple(sorted(found))
    return ()


def _modules(paths: list[str], suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """The parts the code is divided into: folders of the first folder that holds more than one with code."""
    code = [path for path in paths if path.endswith(suffixes)] if suffixes else []
    code = [path for path in code if not _OTHER_CODE & set(path.split("/")[:-1])]
    prefix = ""
    for _ in range(4):
        inside = [path[len(prefix) :] for path in code if path.startswith(prefix)]
        folders = Counter(rest.split("/", 1)[0] for rest in inside if "/" in rest)
        roots = [name for name in folders if not prefix and name in SOURCES]
        if roots:
            prefix = f"{roots[0]}/"
        elif len(folders) == 1 and sum("/" not in rest for rest in inside) < 3:
            prefix += f"{next(iter(folders))}/"
        else:
            files = [rest for rest in inside if "/" not in rest and not rest.startswith("_")]
            names = sorted(folders) if len(folders) > 1 else sorted(files)
            return tuple(f"{prefix}{name}" for name in names)
    return ()


def _commands(root: Path, names: frozenset[str], verb: str) -> tuple[str, ...]:
    """What builds or tests here, by the files that say so."""
    if "Makefile" in names and re.search(rf"^{verb}\s*:", _text(root / "Makefile"), re.MULTILINE):
        return ("make", verb)
    if "package.json" in names and _has_script(_text(root / "package.json"), verb):
        return ("npm", "test") if verb == "test" else ("npm", "run", verb)
    if "Cargo.toml" in names:
        return ("cargo", verb)
    return ("go", verb, "./...") if "go.mod" in names else ()


def _has_script(text: str, name: str) -> bool:
    try:
        script = json.loads(text)["scripts"][name]
    except (ValueError, LookupError, TypeError):
        return False
    return isinstance(script, str) and "no test specified" not in script


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(TEXT_BYTES)
    except OSError:
        return ""
