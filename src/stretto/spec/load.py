"""From a file's name to a compiled plan, and from the words of `--in` to its inputs."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue
from stretto.plan.finding import Finding, did_you_mean, nearest
from stretto.plan.model import Plan
from stretto.spec.compile import compile_plan
from stretto.spec.lock import is_lock, read_lock
from stretto.spec.notes import Notes
from stretto.spec.python import read_python
from stretto.spec.yaml import MAX_BYTES, read_yaml

Kind = Literal["yaml", "python"]

KINDS: dict[str, Kind] = {".yaml": "yaml", ".yml": "yaml", ".json": "yaml", ".py": "python"}


def load(
    path: str | Path,
    plan_name: str | None = None,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
) -> tuple[Plan | None, list[Finding], Kind]:
    """The plan of a file (None where it has errors), all findings, and the language it is written in.

    `on` is the agent of prompts that name none: it decides which names of models are known.
    Raises StrettoError for a file that cannot be read at all, or is neither YAML nor Python.
    """
    path = Path(path)
    if is_lock(path):
        return read_lock(path).plan, [], "yaml"  # it was compiled when it was locked
    kind = KINDS.get(path.suffix.lower())
    data = _read(path, None if kind == "python" else MAX_BYTES)
    if kind is None:
        known = ", ".join(KINDS)
        _unreadable(
            path, f"its name ends in {path.suffix!r}" if path.suffix else "its name has no ending", known
        )
    if kind == "python":
        plan, findings = compile_plan(
            read_python(path, plan_name), source=str(path), on=on, catalogue=catalogue
        )
        return plan, findings, kind
    text = _decode(data, path)
    found: list[Finding] = []
    raw = read_yaml(text, str(path), found)
    bare = text.removeprefix("\ufeff")
    plan, findings = compile_plan(raw, source=str(path), text=bare, on=on, catalogue=catalogue)
    if plan_name and (plan is None or plan.name != plan_name):
        what = f"{path} has one plan, and it is not called {plan_name!r}"
        raise StrettoError("no-such-plan", what, at=str(path), next="leave --plan out")
    notes = Notes()
    notes.findings = [*found, *findings]
    return (None if found else plan), notes.sorted(), kind


def _read(path: Path, most: int | None) -> bytes:
    try:
        if path.is_dir():
            _unreadable(path, "it is a folder")
        if path.exists() and not path.is_file():
            # Opening a pipe that nobody writes into would never come back.
            _unreadable(path, "it is no regular file")
        if most is not None and path.is_file() and path.stat().st_size > most:
            raise StrettoError(
                "too-large",
                f"a plan file may have {most:,} bytes; this one has {path.stat().st_size:,}",
                at=str(path),
                next="make lists at run time with `each`, or split the plan",
            )
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
