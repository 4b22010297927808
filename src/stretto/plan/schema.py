"""The subset of JSON Schema in which outputs are promised: short forms, validation, types of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

NAMES: dict[str, Schema] = {
    "string": {"type": "string"},
    "str": {"type": "string"},
    "integer": {"type": "integer"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "bool": {"type": "boolean"},
    "object": {"type": "object"},
    "list": {"type": "array"},
    "any": {},
}
"""The words of a short form."""

_PYTHON = {str: "string", int: "integer", float: "number", bool: "boolean", list: "list", dict: "object"}
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_NOTES = {"description", "title", "default", "examples", "format", "$schema", "$comment"}
_REF = "#/$defs/"
_DEPTH = 200
"""Deeper values than this are refused: they are an attack or a mistake, and Python's stack is not endless."""


def short_form(value: Any) -> Schema:
    """The schema that a short form means: `int`, `[string]`, `{a: int, b?: [string]}`, nested at will.

    Objects are closed: what is not named may not come. Raises ValueError with what cannot be read.
    """
    if isinstance(value, type) and value in _PYTHON:
        value = _PYTHON[value]
    match value:
        case str() if value in NAMES:
            return dict(NAMES[value])
        case str() | type():
            raise ValueError(f"{_name(value)!r} is no type (known: {', '.join(NAMES)})")
        case [entry]:
            return {"type": "array", "items": schema_of(entry)}
        case list():
            raise ValueError("a list of a type has exactly one entry: [string]")
        case dict() if value:
            return _closed_object(value)
        case _:
            raise ValueError(
                f"{_shown(value)} is no type; write [string], {{a: int, b?: string}} or a JSON Schema"
            )


def _closed_object(value: dict[Any, Any]) -> Schema:
    properties: Schema = {}
    required = []
    for key, entry in value.items():
        name = str(key).removesuffix("?")
        if not name or name in properties:
            raise ValueError(f"{key!r} is no name for a field, or is there twice")
        try:
            properties[name] = schema_of(entry)
        except ValueError as bad:
            raise ValueError(f"{name}: {bad}") from None
        if name == key:
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def schema_of(value: Any) -> Schema:
    """A JSON Schema as it stands, or else what a short form means. Raises ValueError for neither."""
    return value if _written_out(value) else short_form(value)


def _written_out(value: Any) -> bool:
    """True for a JSON Schema.

    `{type: string}` can also be read as an object with a field called `type`. It is the schema where it
    stands alone, or beside a keyword whose value is no type; `{type: string, title: string}` is an object.
    """
    if not isinstance(value, dict):
        return False
    if any(str(key).startswith("$") for key in value) or isinstance(value.get("anyOf"), list):
        return True
    kind = value.get("type")
    if kind in ("object", "array") or (isinstance(kind, list) and set(map(str, kind)) <= set(_TYPES)):
        return True
    if not value or not all(key in _KEYWORDS or key in _NOTES for key in value):
        return False
    if isinstance(kind, str) and kind in _TYPES and len(value) == 1:
        return True
    if kind not in _TYPES and not {"enum", "const"} & value.keys():
        return False
    try:
        short_form(value)
    except ValueError:
        return True
    return False


def check_schema(schema: Any) -> list[str]:
    """What is wrong with a schema: malformed or unsupported keywords, each with its path."""
    if not isinstance(schema, dict):
        return [f"a schema must be a mapping, not {_shown(schema)}"]
    found = ["$defs: must be a mapping"] if not isinstance(schema.get("$defs", {}), dict) else []
    return found or list(_check(schema, "", schema, 0))


def _check(schema: Any, at: str, root: Schema, depth: int) -> Iterator[str]:
    where = f"{at}: " if at else ""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{where}a schema must be a mapping, not {_shown(schema)}"
        return
    if depth > _DEPTH:
        yield f"{where}the schema is nested too deeply"
        return
    for key, value in schema.items():
        here = f"{at}.{key}" if at else str(key)
        if key in _NOTES:
            continue
        if key == "$defs" and schema is not root:
            yield f"{here}: only the outermost schema can have $defs"
        elif key == "$ref":
            yield from _check_ref(value, here, root)
        elif key not in _KEYWORDS:
            yield f"{here}: this keyword is not supported"
        elif complaint := _KEYWORDS[key](value):
            yield f"{here}: {complaint}"
        else:
            for name, inner in _inner(key, value):
                yield from _check(inner, f"{here}{name}", root, depth + 1)


def _check_ref(value: Any, here: str, root: Schema) -> Iterator[str]:
    seen = set()
    while isinstance(value, str):
        if value in seen:
            yield f"{here}: {value} refers to itself"
            return
        seen.add(value)
        target = root.get("$defs", {}).get(value.removeprefix(_REF)) if value.startswith(_REF) else None
        if target is None:
            yield f"{here}: {value!r} is not in $defs; only '#/$defs/name' is supported"
            return
        value = target.get("$ref") if isinstance(target, dict) else None
    if value is not None:
        yield f"{here}: must be a text like '#/$defs/name'"


def _inner(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The schemas below a keyword."""
    if key in ("properties", "$defs"):
        for name, inner in value.items():
            yield f".{name}", inner
    elif key == "anyOf":
        for number, inner in enumerate(value):
            yield f"[{number}]", inner
    elif key in ("items", "additionalProperties"):
        yield "", value


def _check_type(value: Any) -> str:
    names = value if isinstance(value, list) and value else [value]
    bad = [name for name in names if not isinstance(name, str) or name not in _TYPES]
    return f"{_shown(bad[0])} is no type of JSON Schema (known: {', '.join(_TYPES)})" if bad else ""


def _check_names(value: Any) -> str:
    good = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return "" if good and len(set(value)) == len(value) else "must be a list of different texts"


def _check_mapping(value: Any) -> str:
    good = isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return "" if good else "must be a mapping"


def _check_count(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return "" if good else "must be an integer of at least 0"


def _check_number(value: Any) -> str:
    return "" if _is_number(value) and value == value else "must be a number"


def _check_pattern(value: Any) -> str:
    if not isinstance(value, str):
        return "must be a text"
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as bad:
        return f"{value!r} is no regular expression ({bad})"
    return ""


def _check_some(value: Any) -> str:
    return "" if isinstance(value, list) and value else "must be a list that is not empty"


def _check_nothing(value: Any) -> str:
    return ""


_KEYWORDS: dict[str, Callable[[Any], str]] = {
    "type": _check_type,
    "properties": _check_mapping,
    "required": _check_names,
    "additionalProperties": _check_nothing,
    "items": _check_nothing,
    "enum": _check_some,
    "const": _check_nothing,
    "minItems": _check_count,
    "maxItems": _check_count,
    "minLength": _check_count,
    "maxLength": _check_count,
    "minimum": _check_number,
    "maximum": _check_number,
    "pattern": _check_pattern,
    "anyOf": _check_some,
    "$defs": _check_mapping,
}


def validate(value: Any, schema: Schema, *, limit: int = 20) -> list[str]:
    """How a JSON value breaks its schema, at most `limit` messages, each with the path into the value.

    The schema must have passed `check_schema`.
    """
    found: list[str] = []
    for message in _broken(value, schema, "$", schema, 0):
        found.append(message)
        if len(found) >= limit:
            break
    return found


def _broken(value: Any, schema: Any, at: str, root: Schema, depth: int) -> Iterator[str]:
    if schema is True:
        return
    if schema is False:
        yield f"{at}: nothing may stand here"
        return
    if depth > _DEPTH:
        yield f"{at}: nested too deeply"
        return
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix(_REF)]
        yield from _broken(value, target, at, root, depth + 1)
    kinds = _kinds(schema)
    if not any(_is(value, kind) for kind in kinds):
        yield f"{at}: must be {' or '.join(_ARTICLES[kind] for kind in kinds)}, not {_shown(value)}"
        return
    yield from _broken_choice(value, schema, at)
    if "anyOf" in schema:
        yield from _none_of(value, schema["anyOf"], at, root, depth)
    if isinstance(value, str):
        yield from _broken_text(value, schema, at)
    elif isinstance(value, list):
        yield from _broken_list(value, schema, at, root, depth)
    elif isinstance(value, dict):
        yield from _broken_object(value, schema, at, root, depth)
    elif _is_number(value):
        yield from _broken_number(value, schema, at)


def _broken_choice(value: Any, schema: Schema, at: str) -> Iterator[str]:
    if "enum" in schema and not any(_equal(value, entry) for entry in schema["enum"]):
        allowed = ", ".join(_shown(entry) for entry in schema["enum"][:8])
        yield f"{at}: must be one of {allowed}, not {_shown(value)}"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at}: must be {_shown(schema['const'])}, not {_shown(value)}"


def _broken_number(value: float, schema: Schema, at: str) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at}: must be at least {schema['minimum']}, not {value}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{at}: must be at most {schema['maximum']}, not {value}"


def _none_of(value: Any, branches: list[Any], at: str, root: Schema, depth: int) -> Iterator[str]:
    firsts = []
    for branch in branches:
        first = next(_broken(value, branch, at, root, depth + 1), None)
        if first is None:
            return
        firsts.append(first)
    yield f"{at}: fits none of the allowed forms ({'; '.join(firsts[:4])})"


def _broken_text(value: str, schema: Schema, at: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{at}: must have at least {schema['minLength']} characters, not {len(value)}"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield f"{at}: must have at most {schema['maxLength']} characters, not {len(value)}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at}: {_shown(value)} does not match {schema['pattern']!r}"


def _broken_list(value: list[Any], schema: Schema, at: str, root: Schema, depth: int) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{at}: must have at least {schema['minItems']} entries, not {len(value)}"
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield f"{at}: must have at most {schema['maxItems']} entries, not {len(value)}"
    if "items" in schema:
        for number, entry in enumerate(value):
            yield from _broken(entry, schema["items"], f"{at}[{number}]", root, depth + 1)


def _broken_object(value: dict[str, Any], schema: Schema, at: str, root: Schema, depth: int) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: {name!r} is missing"
    others = schema.get("additionalProperties", True)
    for name, entry in value.items():
        if name in known:
            yield from _broken(entry, known[name], f"{at}.{name}", root, depth + 1)
        elif others is False:
            yield f"{at}: {name!r} is not allowed here (allowed: {', '.join(list(known)[:8]) or 'nothing'})"
        else:
            yield from _broken(entry, others, f"{at}.{name}", root, depth + 1)


class NoField(ValueError):
    """A path that no value of this schema can have.

    `why` says it of the value that the path led to, `left` is how many of its words were still to go there
    (the first of them is `name`), and `known` are the fields that value has instead.
    """

    def __init__(self, why: str, path: tuple[str, ...], known: tuple[str, ...] = ()):
        super().__init__(f"the value {why}")
        self.why = why
        self.left = len(path)
        self.name = path[0]
        self.known = known


def field_type(schema: Schema, path: tuple[str, ...]) -> Schema:
    """The schema of what `path` digs out of a value: object keys, and integers into lists.

    `{}` where nothing is known. Raises NoField where no value of this schema can have the path.
    """
    here: Any = schema
    for number in range(len(path)):
        here = _field(here, path[number:], schema, 0)
    if isinstance(here, bool):
        return {}
    defs = {"$defs": schema["$defs"]} if here is not schema and "$defs" in schema else {}
    return {**here, **defs}


def _field(here: Any, path: tuple[str, ...], root: Schema, depth: int) -> Any:
    """The schema behind the first word of a path."""
    name = path[0]
    if here is True or depth > _DEPTH:
        return True
    if here is False:
        raise NoField("cannot be there at all", path)
    if "$ref" in here:
        return _field(root["$defs"][here["$ref"].removeprefix(_REF)], path, root, depth + 1)
    if "anyOf" in here and "properties" not in here:
        return _field_in_any(here["anyOf"], path, root, depth)
    kinds = _kinds(here)
    properties = here.get("properties", {})
    if "object" in kinds and name in properties:
        return properties[name]
    if "array" in kinds and name.isdecimal():
        return here.get("items", True)
    if "object" in kinds:
        others = here.get("additionalProperties", True)
        if others is not False:
            return others
        raise NoField(f"has no field {name!r}", path, tuple(properties))
    if "array" in kinds:
        raise NoField(f"is a list, and {name!r} is no index", path)
    raise NoField(f"is {_ARTICLES[kinds[0]]} and has no fields", path)


def _field_in_any(branches: list[Any], path: tuple[str, ...], root: Schema, depth: int) -> Any:
    found: list[Any] = []
    failed: list[NoField] = []
    for branch in branches:
        try:
            found.append(_field(branch, path, root, depth + 1))
        except NoField as bad:
            failed.append(bad)
    if not found:
        known = tuple(dict.fromkeys(name for bad in failed for name in bad.known))
        raise NoField(failed[0].why, path, known)
    return found[0] if len(found) == 1 else {"anyOf": found}


def _kinds(schema: Schema) -> tuple[str, ...]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return (kind,)
    return tuple(kind) if kind else _TYPES


def may_be(schema: Any, kind: str, root: Schema | None = None, depth: int = 0) -> bool:
    """False where no value of this schema can be of this type."""
    root = schema if root is None else root
    if isinstance(schema, bool) or depth > _DEPTH:
        return True
    if "$ref" in schema and not may_be(
        root["$defs"][schema["$ref"].removeprefix(_REF)], kind, root, depth + 1
    ):
        return False
    if "anyOf" in schema and not any(may_be(branch, kind, root, depth + 1) for branch in schema["anyOf"]):
        return False
    return kind in _kinds(schema)


_ARTICLES = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case _:
            return value is None


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but true is not 1."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case list(), list():
            return len(one) == len(other) and all(map(_equal, one, other))
        case dict(), dict():
            return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
        case _:
            return bool(one == other)


def _name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def _shown(value: Any) -> str:
    """A value in a message: JSON, cut where it is long."""
    if isinstance(value, list | dict) and len(value) > 8:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)} entries"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
