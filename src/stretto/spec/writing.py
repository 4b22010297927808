"""Writes a plan as YAML that reads as if a person had written it; read again, it is the same plan."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from stretto.plan.model import (
    MERGE,
    VERSION,
    Check,
    Each,
    Expect,
    Group,
    Growth,
    Input,
    Limits,
    Output,
    Part,
    Plan,
    Quorum,
    Task,
)
from stretto.plan.schema import NAMES, schema_of
from stretto.spec.values import time_s

COLUMNS = 110
"""Lines are kept this short where that changes nothing."""
NUSD = 1_000_000_000

_SHORT_NAMES = {
    json.dumps(NAMES[name]): name for name in ("string", "int", "number", "bool", "object", "list", "any")
}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PLAIN = re.compile(r"(?:[A-Za-z_./(]|-[A-Za-z]|\d+%$)[^\x00-\x1f\x7f-\x9f\ufeff\ud800-\udfff\u2028\u2029]*")
_SPECIAL = re.compile(r": |:$| #|[\[\]{},]")
_BLOCK = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff\u2028\u2029]*")
_WORDS_OF_YAML = frozenset("null true false yes no on off y n none".split())


def plan_yaml(plan: Plan, comment: Iterable[str] = ()) -> str:
    """The whole file. `comment` stands at its top, a line each, and may be any text."""
    head = [f"# {line}".rstrip() for row in comment for line in (_clean(row).splitlines() or [""])]
    data: dict[str, Any] = {"stretto": VERSION, "name": plan.name}
    if plan.inputs:
        data["inputs"] = {name: _input(entry) for name, entry in plan.inputs.items()}
    if limits := _limits(plan.limits):
        data["limits"] = limits
    if plan.baselines:
        data["baselines"] = {name: _expect(entry) for name, entry in plan.baselines.items()}
    if plan.accept:
        data["accept"] = dict(plan.accept)
    data["tasks"] = {part.id: part_data(part) for part in plan.tasks}
    return "\n".join([*head, *_mapping(data, 0)]) + "\n"


def _clean(text: str) -> str:
    """A comment without what YAML refuses even there."""
    return "".join(letter if letter == "\n" or letter.isprintable() else " " for letter in text)


# A part as the keys and values that its author would write


def part_data(part: Part) -> dict[str, Any]:
    """The mapping that compiles to this part."""
    if isinstance(part, Task):
        return _task(part)
    planner = _planner_in(part)
    if planner is not None:
        return planner
    if part.each is not None and len(part.tasks) == 1:
        inner = part.tasks[0]
        if isinstance(inner, Task) and inner.id == "reduce" and inner.reduce:
            return {**_outer(part), **_task(inner)}
    data = _outer(part)
    if part.order == "serial":
        data["order"] = "serial"
    if part.usd_cap_nusd is not None:
        data["usd"] = _dollars(part.usd_cap_nusd)
    if part.expect is not None:
        data["expect"] = _expect(part.expect)
    if part.accept:
        data["accept"] = dict(part.accept)
    if part.merge_check:
        data["merge"] = {"check": list(part.merge_check)}
    own = tuple(member for member in part.tasks if member.id != MERGE)
    members = _unchained(own) if part.order == "serial" else own
    data["tasks"] = {member.id: part_data(member) for member in members}
    return data


def _planner_in(group: Group) -> dict[str, Any] | None:
    """The one task that a planner and the place for its plan were written as."""
    if len(group.tasks) != 2:
        return None
    planner, grown = group.tasks
    if not (isinstance(planner, Task) and planner.grow and isinstance(grown, Group) and not grown.tasks):
        return None
    data = {**_outer(group), **_quorum(grown.quorum), **_task(planner), "grow": _growth(planner.growth)}
    if group.usd_cap_nusd is not None:
        data["usd"] = _dollars(group.usd_cap_nusd)
    return data


def _growth(growth: Growth | None) -> Any:
    """What an author says of the tasks that a planner will write."""
    if growth is None:
        return "plan"
    data: dict[str, Any] = {"max": growth.max}
    if growth.roles:
        data["roles"] = list(growth.roles)
    return data | (_task(growth.task) if growth.task is not None else {})


def _unchained(members: tuple[Part, ...]) -> Iterator[Part]:
    """The members of a serial group without the needs that its order gives them."""
    for number, part in enumerate(members):
        before = members[number - 1].id if number else ""
        if before and part.needs[-1:] == (before,):
            yield _without_last_need(part)
        else:
            yield part


def _without_last_need(part: Part) -> Part:
    fields = {name: getattr(part, name) for name in part.__slots__}
    return type(part)(**{**fields, "needs": part.needs[:-1]})


def _outer(part: Part) -> dict[str, Any]:
    """What a task and a group may both have."""
    data: dict[str, Any] = {}
    if part.each is not None:
        data |= _each(part.each)
    data |= _quorum(part.quorum)
    for key in ("needs", "after"):
        if getattr(part, key):
            data[key] = list(getattr(part, key))
    if part.optional:
        data["optional"] = True
    return data


def _each(each: Each) -> dict[str, Any]:
    data: dict[str, Any] = {"each": each.over}
    if each.name != "item":
        data["as"] = each.name
    if isinstance(each.over, str) or each.max != Each(over=[]).max:
        data["max"] = each.max
    return data


def _quorum(quorum: Quorum | None) -> dict[str, Any]:
    if quorum is None:
        return {}
    data: dict[str, Any] = {}
    if quorum.tolerate_share:
        data["tolerate"] = f"{_number(Decimal(str(quorum.tolerate_share)) * 100)}%"
    elif quorum.tolerate or quorum.min_ok is None:
        data["tolerate"] = quorum.tolerate
    if quorum.min_ok is not None:
        enough = {"count": quorum.min_ok, "then": "cancel"}
        data["min_ok"] = enough if quorum.cancel_rest else quorum.min_ok
    return data


_ITEMS = ("each", "as", "max", "tolerate", "min_ok")
_AS_THEY_ARE = ("effort", "family", "on", "role", "isolation", "reuse")
_LISTS = ("tools", "reads", "writes", "env")
_BARE = Task(id="")
_NUMBERS = ("attempts", "max_tokens", "min_tokens", "turns")


def _task(task: Task) -> dict[str, Any]:
    outer = _outer(task)
    data: dict[str, Any] = {key: outer.pop(key) for key in _ITEMS if key in outer}
    data |= _work(task)
    if task.climb_to:
        data["model"] = {"from": task.model, "to": task.climb_to}
    elif task.model != "auto":
        data["model"] = task.model
    data |= outer
    data |= {key: getattr(task, key) for key in _AS_THEY_ARE if getattr(task, key)}
    data |= {key: list(getattr(task, key)) for key in _LISTS if getattr(task, key)}
    if task.output is not None and not task.grow:
        data["output"] = _output(task.output)
    if task.check is not None:
        data["check"] = _check(task.check)
    return data | _bounds(task)


def _work(task: Task) -> dict[str, Any]:
    """What the task does."""
    data: dict[str, Any] = {}
    if task.reduce:
        data["reduce"] = task.reduce
        if task.fan_in != _BARE.fan_in:
            data["fan_in"] = task.fan_in
    if task.prompt:
        data["prompt"] = task.prompt
    if task.run:
        data["run"] = list(task.run)
    if task.call:
        data["call"] = task.call
    return data | ({"args": task.args} if task.args else {})


def _bounds(task: Task) -> dict[str, Any]:
    """How often it is tried, how long it may take, what it may spend, and what is said about it."""
    data = {key: getattr(task, key) for key in _NUMBERS if getattr(task, key) != getattr(_BARE, key)}
    for name, seconds in (("timeout", task.timeout_s), ("idle", task.idle_s)):
        if seconds is not None:
            data[name] = _time(seconds)
    if task.usd_cap_nusd is not None:
        data["usd"] = _dollars(task.usd_cap_nusd)
    if task.pure:
        data["pure"] = True
    if task.expect is not None:
        data["expect"] = _expect(task.expect)
    return data | ({"accept": dict(task.accept)} if task.accept else {})


def _output(output: Output) -> Any:
    if output.schema is None:
        return output.kind
    return short_of(output.schema)


def short_of(schema: Any) -> Any:
    """The short form that means this schema, else the schema as it is."""
    made = _short(schema)
    try:
        return (
            made if made is not None and not isinstance(made, str) and schema_of(made) == schema else schema
        )
    except ValueError:
        return schema


def _short(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return None
    if (name := _SHORT_NAMES.get(json.dumps(schema))) is not None:
        return name
    if schema.keys() == {"type", "items"} and schema["type"] == "array":
        entry = _short(schema["items"])
        return None if entry is None else [entry]
    if schema.get("additionalProperties") is False and schema.get("properties") and "required" in schema:
        required = schema["required"]
        rows = {
            name if name in required else f"{name}?": _short(of) for name, of in schema["properties"].items()
        }
        return None if None in rows.values() else rows
    return None


def _check(check: Check) -> Any:
    if check.run and not check.on:
        return list(check.run)
    if check.call and not check.on:
        return check.call
    data: dict[str, Any] = {"prompt": check.prompt} if check.prompt else {}
    data |= {"run": list(check.run)} if check.run else {}
    data |= {"call": check.call} if check.call else {}
    data |= {"model": check.model} if check.model != "auto" else {}
    return data | ({"on": check.on} if check.on else {})


def _input(entry: Input) -> dict[str, Any]:
    data: dict[str, Any] = {} if entry.type == "string" else {"type": entry.type}
    if entry.default is not None:
        data["default"] = entry.default
    if entry.required != (entry.default is None):
        data["required"] = entry.required
    return data or {"type": entry.type}


def _limits(limits: Limits) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if limits.usd_nusd is not None:
        data["usd"] = _dollars(limits.usd_nusd)
    if limits.time_s is not None:
        data["time"] = _time(limits.time_s)
    if limits.parallel != Limits().parallel:
        data["parallel"] = limits.parallel
    if limits.slots:
        data["slots"] = dict(limits.slots)
    return data | ({"soft": True} if limits.soft else {})


def _expect(expect: Expect) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if expect.nusd is not None:
        data["usd"] = _dollars(expect.nusd)
    if expect.time_s is not None:
        data["time"] = _time(expect.time_s)
    if expect.tokens is not None:
        data["tokens"] = expect.tokens
    strongest = {}
    if expect.strongest_nusd is not None:
        strongest["usd"] = _dollars(expect.strongest_nusd)
    if expect.strongest_time_s is not None:
        strongest["time"] = _time(expect.strongest_time_s)
    return data | ({"strongest": strongest} if strongest else {})


class _Written(str):
    """A number as it is to stand in the file: 5.00 keeps its cents."""

    __slots__ = ()


def _dollars(nusd: int) -> _Written:
    amount = Decimal(nusd) / NUSD
    cents = amount.quantize(Decimal("0.01"))
    return _Written(cents if cents == amount else f"{amount.normalize():f}")


def _time(seconds: float) -> _Written:
    """`1h30m`, `90s`; fractions of a second as a number."""
    whole = round(seconds)
    if whole != seconds or not whole:
        return _Written(f"{Decimal(repr(seconds)):f}")
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    text = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if n)
    assert time_s(text) == seconds
    return _Written(text)


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


# YAML


def _mapping(data: Mapping[str, Any], indent: int) -> Iterator[str]:
    blank = " " * indent
    for key, value in data.items():
        head = f"{blank}{_key(key)}:"
        if isinstance(value, str) and not isinstance(value, _Written):
            yield from _text(head, value, indent)
            continue
        flow = _flow(value)
        room = COLUMNS - len(head) - 1
        if "\n" not in flow and (len(flow) <= room or not _opens(value)) and not _is_tree(key, value):
            yield f"{head} {flow}"
        elif isinstance(value, Mapping):
            yield head
            yield from _mapping(value, indent + 2)
        else:
            yield head
            yield from _entries(value, indent + 2)


def _is_tree(key: str, value: Any) -> bool:
    """What people write in lines of its own, however short it is."""
    return key == "tasks" or (
        isinstance(value, Mapping) and ("each" in value or "tasks" in value or _is_long(value))
    )


def _is_long(value: Mapping[str, Any]) -> bool:
    return any(isinstance(entry, str) and ("\n" in entry or len(entry) > COLUMNS) for entry in value.values())


def _opens(value: Any) -> bool:
    """Whether it can be spread over lines."""
    return isinstance(value, Mapping | list) and bool(value)


def _entries(values: Iterable[Any], indent: int) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield from _text(f"{' ' * indent}-", value, indent)
        else:
            yield f"{' ' * indent}- {_flow(value)}"


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        rows = ", ".join(f"{_key(key, flow=True)}: {_flow(entry)}" for key, entry in value.items())
        return f"{{{rows}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(entry) for entry in value)}]"
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, str):
        return _scalar(value)
    return json.dumps(value)


def _key(key: str, *, flow: bool = False) -> str:
    if _KEY.fullmatch(key) and key.lower() not in ("null", "true", "false"):
        return key
    return json.dumps(key) if flow or not _is_plain(key) else key


def _scalar(text: str) -> str:
    """A text on one line: bare where nobody could read it otherwise, else in double quotes."""
    return text if _is_plain(text) else quoted(text)


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or _SPECIAL.search(text) or text != text.strip():
        return False
    return (
        text.lower() not in _WORDS_OF_YAML
        and time_s(text) is None
        and not re.match(r"\.(?:inf|nan|\d)", text.lower())
    )


def quoted(text: str) -> str:
    """In double quotes, with what YAML may not have in it as escapes."""
    made = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in made)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _text(head: str, text: str, indent: int) -> Iterator[str]:
    """A text behind its key: on the line, folded, or as a block of lines."""
    one = _scalar(text)
    inner = " " * (indent + 2)
    if "\n" in text and _BLOCK.fullmatch(text) and not text[0].isspace() and text.strip("\n"):
        body, kept = text.rstrip("\n"), len(text) - len(text.rstrip("\n"))
        yield f"{head} |{'-' if kept == 0 else '' if kept == 1 else '+'}"
        yield from (f"{inner}{line}" if line else "" for line in body.split("\n"))
        yield from [""] * (kept - 1)
    elif len(head) + 1 + len(one) > COLUMNS and "\n" not in text and _folds(text):
        yield f"{head} >-"
        yield from (f"{inner}{row}" for row in _wrapped(text, COLUMNS - len(inner)))
    else:
        yield f"{head} {one}"


def _folds(text: str) -> bool:
    """Whether line ends may stand for its blanks."""
    return bool(_BLOCK.fullmatch(text)) and "  " not in text and text == text.strip() and "\t" not in text


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
