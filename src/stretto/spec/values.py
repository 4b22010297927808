"""The single values of a plan: times, money, paths, outputs; each reader notes what is wrong, and where."""

from __future__ import annotations

import json
import math
import posixpath
import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from stretto.plan.finding import did_you_mean
from stretto.plan.model import Output, Quorum
from stretto.plan.references import ID, only_ref
from stretto.plan.schema import check_schema, schema_of
from stretto.spec.fields import TABLES, TOOLS, Field
from stretto.spec.notes import Notes, shown
from stretto.spec.raw import Raw, plain

MAX_USD = 1_000_000
MAX_TIME_S = 366 * 24 * 3600.0
MAX_WHOLE = 1_000_000_000

_TIME = re.compile(r"(?:([0-9.]+)h)?(?:([0-9.]+)m(?!s))?(?:([0-9.]+)s)?(?:([0-9.]+)ms)?")
_MONEY = re.compile(r"\$? ?([0-9]{1,12}(\.[0-9]{1,9})?|\.[0-9]{1,9})")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FUNCTION = re.compile(f"{_NAME}:{_NAME}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = re.compile(r"[|<>;&`]|\$\(")

Reader = Callable[[Raw, str, Field, Notes], Any]
"""Reads one value; returns None where it could not, which it has noted then."""


def read_text(raw: Raw, name: str, field: Field, notes: Notes) -> str | None:
    value = raw.value
    if type(value) is not str:
        notes.wrong_type(name, "a text", raw, 'put quotes around it: "..."' if _is_scalar(value) else "")
        return None
    if not value.strip():
        notes.error("wrong-value", f"`{name}` is empty", raw.at, "write something, or leave the key out")
        return None
    return value if _is_clean(raw, name, notes) else None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _is_clean(raw: Raw, name: str, notes: Notes) -> bool:
    """False for what no prompt, path or argument can hold."""
    value: str = raw.value
    if value.isascii():
        bad = "\0" in value
    else:
        bad = "\0" in value or any("\ud800" <= character <= "\udfff" for character in value)
    if bad:
        message = f"`{name}` contains a null character or half of a character"
        notes.error("control-character", message, raw.at, "remove it")
    return not bad


def read_word(raw: Raw, name: str, field: Field, notes: Notes) -> str | None:
    value = raw.value
    if type(value) is str and value in field.choices:
        return value
    few = len(field.choices) < 4
    listed = " or ".join(field.choices) if few else f"one of {', '.join(field.choices)}"
    if type(value) is str:
        fix = did_you_mean(value, field.choices, otherwise="known")
        notes.error("wrong-value", f"`{name}` must be {listed}, not {shown(value)}", raw.at, fix)
    else:
        notes.wrong_type(name, listed, raw)
    return None


def read_id(raw: Raw, name: str, field: Field, notes: Notes) -> str | None:
    if type(raw.value) is str and ID.fullmatch(raw.value):
        return raw.value
    notes.wrong_value(name, "a name of lower-case letters, digits, - and _ that begins with a letter", raw)
    return None


def read_flag(raw: Raw, name: str, field: Field, notes: Notes) -> bool | None:
    if type(raw.value) is bool:
        return raw.value
    fix = "write true or false: in YAML 1.2 yes, no, on and off are texts"
    notes.wrong_type(name, "true or false", raw, fix if type(raw.value) is str else "")
    return None


def read_whole(raw: Raw, name: str, field: Field, notes: Notes) -> int | None:
    value = raw.value
    if type(value) is not int:
        notes.wrong_type(name, "a whole number", raw)
    elif not field.least <= value <= MAX_WHOLE:
        wanted = f"at least {field.least}" if value < field.least else f"at most {MAX_WHOLE:,}"
        notes.wrong_value(name, wanted, raw)
    else:
        return value
    return None


def read_time(raw: Raw, name: str, field: Field, notes: Notes) -> float | None:
    seconds = time_s(raw.value)
    if seconds is None:
        known = "a time such as 30m, 90s, 1h30m, 500ms, or a number of seconds"
        (notes.wrong_value if type(raw.value) is str else notes.wrong_type)(name, known, raw)
    elif seconds > MAX_TIME_S or (seconds == 0 and field.least):
        notes.wrong_value(name, "more than 0 and at most a year", raw)
        return None
    return seconds


def time_s(value: Any) -> float | None:
    """Seconds of a written time; None where it is none."""
    if type(value) in (int, float):
        return float(value) if 0 <= value <= 1e12 else None
    if type(value) is not str:
        return None
    match = _TIME.fullmatch(value.replace(" ", ""))
    if match is None or not value.strip():
        return None
    try:
        parts = [Decimal(part or 0) for part in match.groups()]
    except ArithmeticError:
        return None
    hours, minutes, seconds, milliseconds = parts
    total = float(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)
    return total if math.isfinite(total) else None


def read_money(raw: Raw, name: str, field: Field, notes: Notes) -> int | None:
    """Nano-dollars."""
    value = raw.value
    text = format(Decimal(str(value)), "f") if type(value) in (int, float) and abs(value) < 1e18 else value
    match = _MONEY.fullmatch(text.strip()) if type(text) is str else None
    if match is None:
        kind = "none, or an amount" if field.type == "cap" else "an amount"
        wanted = f"{kind} of US dollars such as 5.00 or $5"
        (notes.wrong_value if isinstance(value, str | int | float) else notes.wrong_type)(name, wanted, raw)
        return None
    nano = int(Decimal(match.group(1)) * 1_000_000_000)
    if nano > MAX_USD * 1_000_000_000:
        notes.wrong_value(name, f"at most {MAX_USD:,} dollars", raw)
        return None
    return nano


def read_cap(raw: Raw, name: str, field: Field, notes: Notes) -> int | None:
    if raw.value is None or raw.value == "none":
        return None
    return read_money(raw, name, field, notes)


def read_argv(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    value = raw.value
    if type(value) is str:
        notes.wrong_type(name, "a list of arguments", raw, _argv_fix(name, value))
        return None
    if type(value) is not list or not value:
        notes.wrong_type(name, "a list of arguments", raw, f'write {name}: [command, "argument"]')
        return None
    words = [_argument(entry, name, notes) for entry in value]
    if words[0] == "":
        notes.wrong_value(name, "a list that begins with a command", value[0])
        return None
    return None if None in words else tuple(words)  # type: ignore[arg-type]


def _argument(raw: Raw, name: str, notes: Notes) -> str | None:
    if type(raw.value) is str:
        return raw.value if _is_clean(raw, name, notes) else None
    text = json.dumps(str(raw.value).lower() if isinstance(raw.value, bool) else str(raw.value))
    fix = f"put quotes around it: {text}" if _is_scalar(raw.value) else ""
    notes.error("wrong-type", f"an argument of `{name}` must be a text, not {shown(raw.value)}", raw.at, fix)
    return None


def _argv_fix(name: str, line: str) -> str:
    """The same command as a list, to paste."""
    if _SHELL.search(line):
        return f"a shell has to be asked for: {name}: [sh, -c, {json.dumps(line, ensure_ascii=False)}]"
    try:
        return f"write {name}: {json.dumps(shlex.split(line), ensure_ascii=False)}"
    except ValueError:
        return f'write {name}: [command, "argument"]'


def read_function(raw: Raw, name: str, field: Field, notes: Notes) -> str | None:
    value = raw.value
    if type(value) is str and _FUNCTION.fullmatch(value):
        return value
    (notes.wrong_value if type(value) is str else notes.wrong_type)(
        name, "a function as module:name, such as audit:sizes", raw
    )
    return None


def read_list(raw: Raw, name: str, field: Field, notes: Notes) -> list[Any] | str | None:
    if type(raw.value) is list:
        return read_any(raw, name, field, notes)  # type: ignore[no-any-return]
    return read_reference(raw, name, field, notes, "a list, or one reference to a list")


def read_reference(
    raw: Raw, name: str, field: Field, notes: Notes, wanted: str = "one reference to a list"
) -> str | None:
    value = raw.value
    if type(value) is not str:
        notes.error("not-a-list", f"`{name}` must be {wanted}, not {shown(value)}", raw.at, _list_fix(name))
        return None
    try:
        if only_ref(value.strip()) is not None:
            return value.strip()
    except ValueError:
        # The graph says what is wrong with the reference itself.
        return value
    notes.error("not-a-list", f"`{name}` must be {wanted}, not {shown(value)}", raw.at, _list_fix(name))
    return None


def _list_fix(name: str) -> str:
    return f'write {name}: "${{task}}"' + (" or each: [a, b]" if name == "each" else "")


def read_needs(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    value = raw.value
    if type(value) is str:
        notes.wrong_type(name, "a list of ids", raw, f"write {name}: [{value}]")
        return None
    if type(value) is not list:
        notes.wrong_type(name, "a list of ids", raw, f"write {name}: [task]")
        return None
    found = []
    for entry in value:
        word = entry.value
        if type(word) is str and all(ID.fullmatch(part) for part in word.split(".")):
            found.append(word)
            continue
        fix = f"write {word[2:-1]}" if type(word) is str and word.startswith("${") else ""
        message = f"`{name}` has ids of tasks, and {shown(word)} is none"
        notes.error("wrong-value", message, entry.at, fix)
    return tuple(dict.fromkeys(found))


def read_names(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    if type(raw.value) is not list:
        notes.wrong_type(name, "a list of names", raw, f"write {name}: [NAME]")
        return None
    for entry in raw.value:
        if type(entry.value) is not str or not _VARIABLE.fullmatch(entry.value):
            message = f"`{name}` has names of variables, and {shown(entry.value)} is none"
            notes.error("wrong-value", message, entry.at)
    return tuple(entry.value for entry in raw.value if type(entry.value) is str)


def read_tools(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    if type(raw.value) is not list:
        notes.wrong_type(name, "a list of tools", raw, f"write {name}: [{', '.join(TOOLS)}]")
        return None
    words = [read_word(entry, name, field, notes) for entry in raw.value]
    return tuple(dict.fromkeys(word for word in words if word is not None))


def read_paths(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    if type(raw.value) is not list:
        fix = f"write {name}: [{json.dumps(raw.value)}]" if type(raw.value) is str else ""
        notes.wrong_type(name, "a list of paths or globs", raw, fix)
        return None
    found = []
    for entry in raw.value:
        if read_text(entry, name, field, notes) is not None and is_inside(entry, name, notes):
            found.append(entry.value)
    return tuple(found)


def is_inside(raw: Raw, name: str, notes: Notes) -> bool:
    """Whether a path as written stays inside the root; what references will bring is checked at run time."""
    path = raw.value.replace("\\", "/")
    outside = path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) is not None
    if outside or posixpath.normpath(path).split("/")[0] == "..":
        message = f"`{name}` leads outside the root: {raw.value}"
        notes.error("outside-root", message, raw.at, "write a path relative to the root, without ../")
        return False
    return True


def read_share(raw: Raw, name: str, field: Field, notes: Notes) -> Quorum | None:
    value = raw.value
    if type(value) is int and 0 <= value <= MAX_WHOLE:
        return Quorum(tolerate=value)
    match = _SHARE.fullmatch(value.strip()) if type(value) is str else None
    if match is not None and Decimal(match.group(1)) <= 100:
        return Quorum(tolerate_share=float(Decimal(match.group(1)) / 100))
    fix = f'write "{100 * value:g}%"' if _is_fraction(value) else ""
    notes.wrong_value(name, "a count such as 2, or a percentage up to 100%", raw, fix)
    return None


def _is_fraction(value: Any) -> bool:
    return type(value) is float and 0 < value < 1


def read_output(raw: Raw, name: str, field: Field, notes: Notes) -> Output | None:
    value = plain(raw)
    match value:
        case "text" | "string" | "str":
            return Output(kind="text")
        case "lines":
            return Output(kind="lines")
        case "json":
            return Output(kind="json")
        case _:
            pass
    if value is str:
        return Output(kind="text")
    try:
        schema = schema_of(value)
    except ValueError as bad:
        fix = "write text, lines, json, a short form such as {calls: [string]}, or a JSON Schema"
        if type(value) is str:
            fix = did_you_mean(value, ("text", "lines", "json"), otherwise="known")
        notes.error("bad-output", f"`{name}` promises what cannot be read: {bad}", raw.at, fix)
        return None
    complaints = check_schema(schema)
    for complaint in complaints:
        message = f"`{name}` is no JSON Schema that is supported: {complaint}"
        notes.error("bad-output", message, raw.at)
    return None if complaints else Output(kind="json", schema=schema)


def read_any(raw: Raw, name: str, field: Field, notes: Notes) -> Any:
    """Any JSON value. A front end may hand over other things; they cannot be kept."""
    before = len(notes.findings)
    _check_json(raw, name, notes)
    return plain(raw) if len(notes.findings) == before else None


def _check_json(raw: Raw, name: str, notes: Notes) -> None:
    value = raw.value
    kind = type(value)
    if kind is dict:
        for entry in value.values():
            _check_json(entry, name, notes)
    elif kind is list:
        for entry in value:
            _check_json(entry, name, notes)
    elif kind is str:
        _is_clean(raw, name, notes)
    elif kind is float and not math.isfinite(value):
        notes.error("wrong-value", f"`{name}` has a number that JSON cannot write: {value}", raw.at)
    elif value is not None and kind not in (bool, int, float):
        notes.error("wrong-type", f"`{name}` has {shown(value)}, which JSON cannot write", raw.at)


def read_mapping(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, Any] | None:
    if type(raw.value) is not dict:
        notes.wrong_type(name, "a mapping", raw)
        return None
    return read_any(raw, name, field, notes)  # type: ignore[no-any-return]


def read_agent(raw: Raw, name: str, field: Field, notes: Notes) -> str | None:
    value = raw.value
    if type(value) is not str or not _is_clean(raw, name, notes):
        notes.wrong_type(name, "the name of an agent", raw)
        return None
    agent = value.partition(":")[0]
    if agent not in field.choices:
        fix = did_you_mean(agent, field.choices, otherwise="known agents")
        notes.error("no-such-agent", f"there is no agent {agent!r}", raw.at, fix)
    else:
        return value
    return None


def read_slots(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, int] | None:
    if type(raw.value) is not dict:
        notes.wrong_type(name, "a mapping from an agent, or agent/model, to a count", raw)
        return None
    found = {}
    for key, entry in raw.value.items():
        agent = Raw(key.partition("/")[0], raw.keys[key])
        count = read_whole(entry, f"{name}.{key}", field._replace(least=1), notes)
        if read_agent(agent, name, field, notes) is not None and count is not None:
            found[key] = count
    return found


def read_version(raw: Raw, name: str, field: Field, notes: Notes) -> int | None:
    if type(raw.value) is int and raw.value == 1:
        return 1
    message = f"this is version {shown(raw.value)} of the format; this build reads version 1"
    notes.error("wrong-version", message, raw.at, "write stretto: 1")
    return None


def read_roles(raw: Raw, name: str, field: Field, notes: Notes) -> tuple[str, ...] | None:
    if type(raw.value) is not list:
        notes.wrong_type(name, "a list of names of roles", raw, f"write {name}: [Explore]")
        return None
    read = [read_text(entry, f"{name}[{k}]", field, notes) for k, entry in enumerate(raw.value)]
    return tuple(role.strip() for role in read if role is not None)


READERS: dict[str, Reader] = {
    "version": read_version,
    "text": read_text,
    "word": read_word,
    "id": read_id,
    "flag": read_flag,
    "whole": read_whole,
    "time": read_time,
    "money": read_money,
    "cap": read_cap,
    "argv": read_argv,
    "function": read_function,
    "list": read_list,
    "reference": read_reference,
    "needs": read_needs,
    "paths": read_paths,
    "names": read_names,
    "roles": read_roles,
    "tools": read_tools,
    "share": read_share,
    "agent": read_agent,
    "output": read_output,
    "slots": read_slots,
    "mapping": read_mapping,
    "any": read_any,
}
"""The readers of the simple types of `fields`; the others are tables and belong to the compiler."""

assert set(READERS) <= {field.type for table in TABLES.values() for field in table.values()}
