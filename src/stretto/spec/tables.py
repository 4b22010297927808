"""The mappings of a plan whose keys are fixed: their keys held against `fields`, and the data they become."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from stretto.plan.finding import did_you_mean
from stretto.plan.model import Check, Expect, Input, Limits
from stretto.plan.references import ID
from stretto.spec.fields import ALIASES, TABLES, Field, Table
from stretto.spec.notes import Notes, shown
from stretto.spec.raw import Raw
from stretto.spec.values import READERS, is_inside, read_whole


class Climb(NamedTuple):
    """The model of a task, and the last tier it may climb to (empty: it is fixed)."""

    model: str
    to: str = ""


class Enough(NamedTuple):
    """How many members must succeed, and whether the rest is stopped then."""

    least: int
    cancel_rest: bool = False


def read_keys(raw: Raw, table: Table, what: str, notes: Notes, other: str = "") -> dict[str, Any]:
    """The values of a mapping that could be read, by key; every other key and value is a finding.

    `other` names the table next door: a key of a group on a task is no slip of the pen.
    """
    found: dict[str, Any] = {}
    for key, entry in raw.value.items():
        field = table.get(key)
        name = key
        if field is None:
            name = ALIASES.get(key, "")
            field = table.get(name)
        if field is None or name in found:
            _unknown_key(key, raw, table, what, notes, other)
            continue
        value = _reader(field)(entry, key, field, notes)
        if value is not None:
            found[name] = value
    return found


def _reader(field: Field) -> Callable[[Raw, str, Field, Notes], Any]:
    return READERS.get(field.type) or _TABLE_READERS[field.of or field.type]


def _unknown_key(key: str, raw: Raw, table: Table, what: str, notes: Notes, other: str) -> None:
    at = raw.keys[key]
    if key.startswith("x-"):
        return
    name = ALIASES.get(key, key)
    if name in table:
        message = f"`{key}` says the same as another key of {what}"
        notes.error("unknown-key", message, at, f"keep one of them, `{name}`")
    elif other and name in TABLES[other]:
        notes.error("unknown-key", f"`{key}` belongs to a {other}, and {what} is none", at, f"remove `{key}`")
    else:
        fix = did_you_mean(
            key, [*table, *(a for a, n in ALIASES.items() if n in table)], otherwise="its keys"
        )
        notes.error("unknown-key", f"{what} has no key `{key}`", at, fix)


def is_mapping(raw: Raw, name: str, notes: Notes, example: str = "") -> bool:
    if type(raw.value) is dict:
        return True
    notes.wrong_type(name, "a mapping", raw, f"write {name}: {example}" if example else "")
    return False


def _read_table(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, Any] | None:
    if not is_mapping(raw, name, notes, _example(TABLES[field.of])):
        return None
    return read_keys(raw, TABLES[field.of], f"`{name}`", notes)


def _example(table: Table) -> str:
    return "{" + ", ".join(f"{key}: ..." for key in itertools.islice(table, 2)) + "}"


def read_expect(raw: Raw, name: str, field: Field, notes: Notes) -> Expect | None:
    """`expect` of a task or group, or one of the plan's `baselines`."""
    values = _read_table(raw, name, field, notes)
    if values is None:
        return None
    strongest = values.get("strongest") or {}
    return Expect(
        nusd=values.get("usd"),
        time_s=values.get("time"),
        tokens=values.get("tokens"),
        strongest_nusd=strongest.get("usd"),
        strongest_time_s=strongest.get("time"),
    )


def read_baselines(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, Expect] | None:
    if not is_mapping(raw, name, notes, "{all-opus: {usd: 7.50, time: 25m}}"):
        return None
    read = {key: read_expect(entry, f"{name}.{key}", field, notes) for key, entry in raw.value.items()}
    return {key: expect for key, expect in read.items() if expect is not None}


def read_limits(raw: Raw, name: str, field: Field, notes: Notes) -> Limits | None:
    values = _read_table(raw, name, field, notes)
    if values is None:
        return None
    names = {"usd": "usd_nusd", "time": "time_s"}
    return Limits(**{names.get(key, key): value for key, value in values.items()})


def read_inputs(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, Input] | None:
    if not is_mapping(raw, name, notes, '{repo: {type: path, default: "."}}'):
        return None
    found = {}
    for key, entry in raw.value.items():
        if not ID.fullmatch(key):
            message = f"{key!r} cannot be the name of an input"
            notes.error("bad-id", message, raw.keys[key], "use lower-case letters, digits, - and _")
        if is_mapping(entry, key, notes, "{type: string}"):
            found[key] = _input(entry, key, notes)
    return found


def _input(raw: Raw, name: str, notes: Notes) -> Input:
    values = read_keys(raw, TABLES["input"], f"the input {name!r}", notes)
    kind = values.get("type", "string")
    default = raw.value.get("default")
    if default is not None and default.value is not None:
        if not _fits(default.value, kind):
            notes.wrong_type(f"default of {name}", f"of its type, {kind}", default)
        elif kind == "path":
            is_inside(default, f"default of {name}", notes)
    required = values.get("required", default is None)
    return Input(type=kind, default=values.get("default"), required=required)


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "string" | "path":
            return type(value) is str
        case "int":
            return type(value) is int
        case "number":
            return type(value) in (int, float)
        case "bool":
            return type(value) is bool
        case "list":
            return type(value) is list
        case _:
            return True


def read_check(raw: Raw, name: str, field: Field, notes: Notes) -> Check | None:
    """A command, a function, or a mapping with exactly one of prompt, run and call."""
    if type(raw.value) is list:
        run = READERS["argv"](raw, name, field, notes)
        return Check(run=run) if run else None
    if type(raw.value) is str:
        call = READERS["function"](raw, name, field, notes) if ":" in raw.value else None
        if call is None and ":" not in raw.value:
            READERS["argv"](raw, name, field, notes)
        return Check(call=call) if call else None
    values = _read_table(raw, name, field, notes)
    if values is None:
        return None
    actions = [key for key in ("prompt", "run", "call") if key in raw.value]
    if len(actions) != 1:
        found = f", not {' and '.join(actions)}" if actions else ""
        message = f"`{name}` must have exactly one of prompt, run and call{found}"
        notes.error("two-actions" if actions else "no-action", message, raw.at)
    model = values.pop("model", Climb("auto"))
    if model.to:
        message = "the model of a judge is fixed; it climbs no ladder"
        notes.error("wrong-value", message, raw.value["model"].at, f"write model: {model.model}")
    return Check(model=model.model, **values)


def read_model(raw: Raw, name: str, field: Field, notes: Notes) -> Climb | None:
    if type(raw.value) is dict:
        values = read_keys(raw, TABLES["model"], f"`{name}`", notes)
        missing = [key for key in ("from", "to") if key not in raw.value]
        if missing:
            message = f"`{name}` must have both from and to; {missing[0]} is missing"
            notes.error("missing-key", message, raw.at, f"write {name}: {{from: haiku, to: opus}}")
        return Climb(values["from"], values["to"]) if len(values) == 2 else None
    word = READERS["text"](raw, name, field, notes)
    return Climb(word) if word is not None else None


def read_growth(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, Any] | None:
    """`grow`: the word `plan`, or what the author says of the tasks that will be planned."""
    if raw.value == "plan":
        return {}
    if type(raw.value) is dict:
        return read_keys(raw, TABLES["grow"], f"`{name}`", notes)
    notes.wrong_type(name, "plan, or a mapping", raw, f"write {name}: plan")
    return None


def read_min_ok(raw: Raw, name: str, field: Field, notes: Notes) -> Enough | None:
    if type(raw.value) is not dict:
        count = read_whole(raw, name, field._replace(least=1), notes)
        return Enough(count) if count is not None else None
    values = read_keys(raw, TABLES["min_ok"], f"`{name}`", notes)
    if "count" not in raw.value:
        message = f"`{name}` must say how many: count is missing"
        notes.error("missing-key", message, raw.at, f"write {name}: {{count: 2, then: cancel}}")
    return Enough(values["count"], values.get("then") == "cancel") if "count" in values else None


def read_reasons(raw: Raw, name: str, field: Field, notes: Notes) -> dict[str, str] | None:
    """`accept`: which findings are known and left so, each with a reason in words."""
    if not is_mapping(raw, name, notes, '{oversized-model: "the only model our contract covers"}'):
        return None
    found = {}
    for slug, entry in raw.value.items():
        reason = READERS["text"](entry, f"{name}.{slug}", field, notes)
        if reason is not None:
            found[slug] = reason.strip()
    return found


def read_parts(raw: Raw, name: str, field: Field, notes: Notes) -> Raw | None:
    """The members are compiled by whoever knows where they stand; here only their shape is held."""
    if type(raw.value) is dict and raw.value:
        return raw
    wanted = "a mapping from ids to tasks, with at least one"
    if raw.value == {} or raw.value is None or raw.value == []:
        notes.error(
            "missing-key", f"`{name}` is empty; it must be {wanted}", raw.at, f"write {name}: {_TASKS}"
        )
    else:
        message = f"`{name}` must be {wanted}, not {shown(raw.value)}"
        notes.error("wrong-type", message, raw.at, f"write {name}: {_TASKS}")
    return None


_TASKS = '{scan: {prompt: "..."}}'

_TABLE_READERS: dict[str, Callable[[Raw, str, Field, Notes], Any]] = {
    "limits": read_limits,
    "expect": read_expect,
    "baseline": read_baselines,
    "input": read_inputs,
    "check": read_check,
    "model": read_model,
    "quorum": read_min_ok,
    "grow": read_growth,
    "parts": read_parts,
    "reasons": read_reasons,
    "merge": _read_table,
    "strongest": _read_table,
}
"""By the name of the table, or by the type for what can be written in more than one way."""
