"""The source files behind a plan's functions, by module and hash: what would change unseen by the plan."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from stretto.plan.model import Part, Plan, Task


def hashes_of(plan: Plan, folders: Iterable[Path]) -> dict[str, str]:
    """sha256 of the file of each module that `call` and `check` name, and of what these import, by its name.

    Only modules that lie in one of the folders; the first folder that has one wins, as when it is imported.
    Nothing is executed: imports are read from the source, so one that is made up at run time is not seen.
    """
    places = list(folders)
    found: dict[str, str] = {}
    waiting = sorted({call.partition(":")[0] for call in _calls(plan.tasks)}, reverse=True)
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        path = _file_of(module, places)
        if path is None:
            continue
        data = path.read_bytes()
        found[module] = hashlib.sha256(data).hexdigest()
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for other in [*_packages(module), *_imports(data, package)]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return dict(sorted(found.items()))


def _calls(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        if not isinstance(part, Task):
            yield from _calls(part.tasks)
            continue
        if part.call:
            yield part.call
        if part.check is not None and part.check.call:
            yield part.check.call


def _file_of(module: str, folders: list[Path]) -> Path | None:
    inside = Path(*module.split("."))
    for folder in folders:
        for path in (folder / inside / "__init__.py", folder / f"{inside}.py"):
            if path.is_file():
                return path
    return None


def _packages(module: str) -> Iterator[str]:
    """The packages around a module: they are imported before it."""
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _imports(source: bytes, package: str) -> Iterator[str]:
    """Every module that a source may import, by its whole name; none where it cannot be read as Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for found in ast.walk(tree):
        if isinstance(found, ast.Import):
            yield from (name.name for name in found.names)
        elif isinstance(found, ast.ImportFrom):
            around = package.split(".") if package else []
            base = around[: len(around) - found.level + 1] if found.level else []
            module = ".".join([*base, *([found.module] if found.module else [])])
            if module:
                yield module
            # What is imported from a package may be a module of its own.
            yield from (
                ".".join(filter(None, [module, name.name])) for name in found.names if name.name != "*"
            )
