"""Reads the plan of a Python file: the file is executed, as its author's own code, and asked for its plan."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

from stretto.errors import StrettoError
from stretto.spec.patterns import Group, Plan, Root, Task
from stretto.spec.placing import PLAN_MODULE, held_by, raw_of
from stretto.spec.raw import Raw

_reading: list[Path] = []
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+stretto\b", re.M)


def is_being_read() -> bool:
    """True while a plan file is executed only to get its plan: nothing may be run then."""
    return bool(_reading)


def imports_stretto(source: bytes) -> bool:
    """Whether a Python file is a plan that is executed; what is no Python is judged by its lines."""
    if b"stretto" not in source:
        return False
    try:
        return _imports_stretto(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _IMPORT.search(source) is not None


def read_python(path: Path, plan_name: str | None = None) -> Raw:
    """The raw tree of the plan called `plan_name`, or of the file's one plan.

    Raises StrettoError; what the user's own code raised is its cause, at the line in the user's file.
    """
    return raw_of(_chosen(_executed(path), path, plan_name))


def _executed(path: Path) -> types.ModuleType:
    """The module of a plan file. It gets a name of its own, so a `__main__` guard in it stays shut."""
    tree = _parsed(path)
    if not _imports_stretto(tree):
        raise StrettoError(
            "no-plan-in-file",
            f"{path} does not import stretto, so it was not executed, and no `Task(` stands in it",
            at=f"{path}:1",
            next="begin it with `from stretto import Task, fan_out`, or write Task(...) calls",
        )
    file = path.resolve()
    module = types.ModuleType(PLAN_MODULE + hashlib.sha256(str(file).encode()).hexdigest()[:12])
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    with _at_home(file):
        try:
            exec(compile(tree, str(path), "exec"), module.__dict__)
        except StrettoError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(path, error) from error
    return module


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        raise StrettoError("unreadable-plan", what, next="check the path") from error
    except SyntaxError as error:
        raise StrettoError(
            "plan-file-failed",
            f"{path} is not Python: {error.msg}",
            at=f"{path}:{error.lineno or 1}:{error.offset or 1}",
            next="mend this line",
        ) from error
    except ValueError as error:  # a null byte
        raise StrettoError("plan-file-failed", f"{path} is not Python: {error}", at=f"{path}:1") from error


def _imports_stretto(tree: ast.Module) -> bool:
    for found in ast.walk(tree):
        match found:
            case ast.Import(names=names) if any(n.name.partition(".")[0] == "stretto" for n in names):
                return True
            case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] == "stretto":
                return True
    return False


@contextlib.contextmanager
def _at_home(file: Path) -> Iterator[None]:
    """The file's folder first on `sys.path`, and what it prints on stderr: stdout is for results."""
    folder = str(file.parent)
    sys.path.insert(0, folder)
    _reading.append(file)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _reading.pop()
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _failed(path: Path, error: BaseException) -> StrettoError:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return StrettoError(
        "plan-file-failed",
        f"{path} raised {said}",
        at=f"{path}:{(lines or [1])[-1]}",
        next=f"mend it; `python {path}` shows the whole traceback",
    )


def _chosen(module: types.ModuleType, path: Path, wanted: str | None) -> Root:
    plans = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Plan | Group | Task) and not name.startswith("_")
    }
    if wanted:
        if wanted in plans:
            return plans[wanted]
        listed = ", ".join(_whole(plans)) or "none"
        what = f"{path} has no plan called {wanted!r}"
        raise StrettoError("no-such-plan", what, at=str(path), next=f"its plans: {listed}")
    if "plan" in plans:
        return plans["plan"]
    whole = _whole(plans)
    if not whole:
        raise StrettoError(
            "no-plan-in-file",
            f"{path} builds no plan",
            at=str(path),
            next="write `plan = fan_out(...)`, or another pattern, a Plan or a Task",
        )
    if len(whole) > 1:
        names = list(whole)
        raise StrettoError(
            "several-plans",
            f"{path} has {len(names)} plans: {', '.join(names)}",
            at=str(path),
            next=f"choose one with --plan {names[0]}, or call it `plan`",
        )
    return next(iter(whole.values()))


def _whole(plans: dict[str, Root]) -> dict[str, Root]:
    """The plans of a file that are no part of another one, each under its first name."""
    inside: set[int] = set()
    for value in plans.values():
        inside |= held_by(value)
    kept: dict[str, Root] = {}
    for name, value in plans.items():
        part_of_another = isinstance(value, Task | Group) and value.number in inside
        if not part_of_another and not any(value is other for other in kept.values()):
            kept[name] = value
    return kept
