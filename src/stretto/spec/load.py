"""From a file's name to a compiled plan, and from the words of `--in` to its inputs."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue
from stretto.plan.finding import Finding, did_you_mean, nearest
from stretto.plan.model import Plan
from stretto.spec.bare import Bare, has_task, read_bare
from stretto.spec.compile import compile_plan
from stretto.spec.lock import is_lock, read_lock
from stretto.spec.notes import Notes
from stretto.spec.python import imports_stretto, read_python
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles
from stretto.spec.yaml import MAX_BYTES, read_yaml

Kind = Literal["yaml", "python", "bare"]

KINDS: dict[str, Kind] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "yaml",
    ".py": "python",
    ".md": "bare",
    ".markdown": "bare",
}

SHOWN = 12
"""Names of plans in one message."""


class Loaded(NamedTuple):
    """One plan of a file (None where it has errors), all findings about it, and what it was read as."""

    plan: Plan | None
    findings: list[Finding]
    kind: Kind
    name: str

    @property
    def bare(self) -> bool:
        """True where it was read from `Task(...)` calls, which nothing executed."""
        return self.kind == "bare"


def load(
    path: str | Path,
    plan_name: str | None = None,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    roles: Roles = BUILTIN_ROLES,
) -> tuple[Plan | None, list[Finding], Kind]:
    """The one plan of a file, or the one called `plan_name`, as `load_all` has it.

    Raises StrettoError where `load_all` does, and where there are several plans.
    """
    loaded = load_all(path, plan_name, on, catalogue, roles)
    if len(loaded) > 1:
        names = [entry.name for entry in loaded]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise StrettoError(
            "several-plans",
            f"{path} has {len(names)} plans: {shown}",
            at=str(path),
            next=f"choose one with --plan {names[0]}",
        )
    return loaded[0].plan, loaded[0].findings, loaded[0].kind


def load_all(
    path: str | Path,
    plan_name: str | None = None,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    roles: Roles = BUILTIN_ROLES,
    *,
    even_broken: bool = False,
) -> list[Loaded]:
    """The plans of a file: one, but for a file of bare tasks, which may hold several. Never none.

    `on` is the agent of prompts that name none: it decides which names of models are known. `roles` are those
    that tasks may name. `even_broken` gives what could be read of a plan with errors too: for a critic, not
    for a run.
    Raises StrettoError for a file that cannot be read at all, or is no language that plans are written in.
    """
    path = Path(path)
    if is_lock(path):
        locked = read_lock(path).plan
        return [Loaded(locked, [], "yaml", locked.name)]  # it was compiled when it was locked
    kind = KINDS.get(path.suffix.lower())
    data = _read(path, None if kind == "python" else MAX_BYTES)
    if kind is None:
        known = ", ".join(KINDS)
        _unreadable(
            path, f"its name ends in {path.suffix!r}" if path.suffix else "its name has no ending", known
        )
    if kind == "bare" or (kind == "python" and not imports_stretto(data)):
        return _bare(path, data, plan_name or "", on, catalogue, roles, even_broken=even_broken)
    found: list[Finding] = []
    text = ""
    if kind == "python":
        raw = read_python(path, plan_name)
    else:
        text = _decode(data, path)
        raw = read_yaml(text, str(path), found)
        text = text.removeprefix("\ufeff")
    plan, findings = compile_plan(
        raw,
        source=str(path),
        text=text,
        on=on,
        catalogue=catalogue,
        roles=roles,
        even_broken=even_broken,
    )
    if kind == "yaml" and plan_name and (plan is None or plan.name != plan_name):
        what = f"{path} has one plan, and it is not called {plan_name!r}"
        raise StrettoError("no-such-plan", what, at=str(path), next="leave --plan out")
    kept = plan if even_broken or not found else None
    return [Loaded(kept, _in_order(found, findings), kind, plan.name if plan is not None else path.stem)]


def _bare(
    path: Path,
    data: bytes,
    wanted: str,
    on: str,
    catalogue: Catalogue,
    roles: Roles,
    *,
    even_broken: bool,
) -> list[Loaded]:
    """The plans of a file of bare tasks. Where none of it can be read, one without a plan that says why."""
    if len(data) > MAX_BYTES:
        _too_large(path, len(data))
    text = _decode(data, path)
    page = path.suffix.lower() != ".py"
    if not has_task(text):
        if not page:
            read_python(path)  # says what is wrong with a Python file that is no plan
        what = f"{path} has no block of code with a `Task(` in it"
        fix = "write the tasks into a block that begins with ```python"
        raise StrettoError("no-plan-in-file", what, at=f"{path}:1", next=fix)
    plans, findings = read_bare(text, str(path), page=page)
    if not plans:
        if not any(finding.severity == "error" for finding in findings):
            what = f"no task of {path} could be read"
            findings = [Finding("no-plan-in-file", "error", what, f"{path}:1:1"), *findings]
        return [Loaded(None, findings, "bare", path.stem)]
    if wanted:
        plans = [entry for entry in plans if entry.name == wanted] or _no_such(path, wanted, plans)
    loaded = []
    for entry in plans:
        plan, found = compile_plan(
            entry.raw, source=str(path), on=on, catalogue=catalogue, roles=roles, even_broken=even_broken
        )
        # The documents' own calls name whoever they like: such a file was not written for this project.
        found = [replace(f, severity="info") if f.slug == "unknown-role" else f for f in found]
        loaded.append(Loaded(plan, _in_order(entry.findings, found), "bare", entry.name))
    loaded[0].findings[:0] = findings
    return loaded


def _no_such(path: Path, wanted: str, plans: list[Bare]) -> NoReturn:
    fix = did_you_mean(wanted, [entry.name for entry in plans], otherwise="its plans")
    raise StrettoError("no-such-plan", f"{path} has no plan called {wanted!r}", at=str(path), next=fix)


def _in_order(*found: list[Finding]) -> list[Finding]:
    notes = Notes()
    notes.findings = [finding for some in found for finding in some]
    return notes.sorted()


def _too_large(path: Path, size: int) -> NoReturn:
    raise StrettoError(
        "too-large",
        f"a plan file may have {MAX_BYTES:,} bytes; this one has {size:,}",
        at=str(path),
        next="make lists at run time with `each`, or split the plan",
    )


def _read(path: Path, most: int | None) -> bytes:
    try:
        if path.is_dir():
            _unreadable(path, "it is a folder")
        if path.exists() and not path.is_file():
            # Opening a pipe that nobody writes into would never come back.
            _unreadable(path, "it is no regular file")
        if most is not None and path.is_file() and path.stat().st_size > most:
            _too_large(path, path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        if re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):  # a path has lost one of the two slashes
            raise StrettoError(
                "unreadable-plan",
                f"{str(path).replace(':/', '://', 1)} is no file: plans are files on this machine",
                next="download it, read it, and name the file",
            ) from None
        _unreadable(path, "there is no such file", near=True)
    except (OSError, ValueError) as error:
        _unreadable(path, getattr(error, "strerror", None) or str(error))


def _unreadable(path: Path, why: str, known: str = "", *, near: bool = False) -> NoReturn:
    fix = f"a plan's name ends in one of {known}" if known else "check the path and its permissions"
    if near:
        try:
            names = [entry.name for entry in path.parent.iterdir() if entry.suffix in KINDS]
        except OSError:
            names = []
        close = nearest(path.name, names)
        fix = (
            f"did you mean {path.parent / close}?" if close else "`stretto init` writes a plan to start from"
        )
    raise StrettoError("unreadable-plan", f"{path} cannot be read: {why}", at=str(path), next=fix)


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise StrettoError(
            "not-utf-8",
            f"{path} is not UTF-8 text: byte 0x{data[error.start]:02x}",
            at=f"{path}:{line}:{column}",
            next="it looks like UTF-16; save it as UTF-8" if utf16 else "save the file as UTF-8",
        ) from None


def inputs_from(
    plan: Plan, pairs: Mapping[str, str] | Iterable[tuple[str, str]], root: str | Path = "."
) -> dict[str, Any]:
    """The inputs of a run: the words given at launch as their types, defaults for the rest.

    A relative path is one below `root` where it stays inside; where it leaves it, the user meant that, and it
    becomes absolute. Raises one StrettoError for all that is wrong.
    """
    given = dict(pairs)
    values = {name: entry.default for name, entry in plan.inputs.items()}
    wrong: list[tuple[str, str, str]] = []
    for name, word in given.items():
        if name not in plan.inputs:
            fix = did_you_mean(name, list(plan.inputs), otherwise="its inputs")
            wrong.append(("unknown-input", f"the plan has no input {name!r}", fix))
            continue
        kind = plan.inputs[name].type
        try:
            values[name] = _typed(word, kind, Path(root))
        except ValueError as bad:
            what = f"the input {name!r} must be {_WANTED[kind]}, not {word!r}"
            wrong.append(("bad-input", what + (f" ({bad})" if kind == "json" else ""), f"--in {name}=..."))
    for name, entry in plan.inputs.items():
        if name not in given and entry.required:
            wrong.append(("missing-input", f"the input {name!r} is not given", f"add --in {name}=..."))
    if wrong:
        slugs, whats, fixes = zip(*wrong, strict=True)
        raise StrettoError(slugs[0], "; ".join(whats), next="; ".join(dict.fromkeys(fixes)))
    return values


_WANTED = {
    "string": "a text",
    "path": "a path",
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "list": "a list such as a,b,c or a JSON list",
    "json": "JSON",
}


def _typed(word: str, kind: str, root: Path) -> Any:
    """A word of the command line as a value of an input's type. Raises ValueError."""
    match kind:
        case "path":
            return _path(word, root)
        case "int":
            return int(word)
        case "number":
            number = float(word)
            if not math.isfinite(number):
                raise ValueError("not finite")
            return int(word) if number.is_integer() and word.lstrip("+-").isdecimal() else number
        case "bool":
            flags = {"true": True, "false": False}
            return flags[word.strip().lower()] if word.strip().lower() in flags else _no(word)
        case "list":
            return _list(word)
        case "json":
            return json.loads(word, parse_constant=_no)
        case _:
            return word


def _no(word: str) -> NoReturn:
    raise ValueError(f"{word} is not allowed")


def _path(word: str, root: Path) -> str:
    if not word or "\0" in word:
        raise ValueError("no path")
    path = Path(word).expanduser()
    if path.is_absolute():
        return str(path)
    return str((root / path).resolve()) if os.path.normpath(path).split(os.sep)[0] == ".." else word


def _list(word: str) -> list[Any]:
    if word.lstrip().startswith("["):
        value = json.loads(word, parse_constant=_no)
        if not isinstance(value, list):
            raise ValueError("not a list")
        return value
    return [part.strip() for part in word.split(",") if part.strip()]
