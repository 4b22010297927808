"""An instance of a JSON schema, generated so that the same schema and salt always give the same value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
# Deep enough for real answers; a schema that refers to itself ends here in its smallest form.
MAX_DEPTH = 8
STRING_FORMATS = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T03:42:00Z",
    "time": "03:42:00Z",
    "duration": "PT5M",
    "email": "a@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "uri": "https://example.com/a",
    "uuid": "12345678-1234-4234-8234-123456789abc",
}


def instance_of(schema: Schema, salt: str) -> Any:
    """A value that the schema allows, but for `pattern`, which is not looked at."""
    return _value(schema, schema, salt, "answer", 0)


def _value(schema: Schema, root: Schema, salt: str, name: str, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][_pick(salt, name, len(schema["enum"]))]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            branch = _smallest(schema[word], root) if depth > MAX_DEPTH else schema[word][0]
            rest = {key: value for key, value in schema.items() if key != word}
            return _value({**rest, **_resolved(branch, root)}, root, salt, name, depth + 1)
    match _kind(schema):
        case "object":
            return _object(schema, root, salt, depth)
        case "array":
            return _array(schema, root, salt, name, depth)
        case "string":
            return _string(schema, salt, name)
        case "integer" | "number" as kind:
            return _number(schema, kind)
        case "boolean":
            return _pick(salt, name, 2) == 0
        case _:
            return None


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema with its reference followed and its `allOf` parts laid over each other."""
    for _ in range(MAX_DEPTH):
        if "$ref" in schema:
            target: Any = root
            for part in str(schema["$ref"]).lstrip("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")] if part else target
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        elif "allOf" in schema:
            schema = _merged(schema, root)
        else:
            return schema
    return schema


def _merged(schema: Schema, root: Schema) -> Schema:
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        found = _resolved(part, root)
        properties = {**whole.get("properties", {}), **found.get("properties", {})}
        required = [*whole.get("required", []), *found.get("required", [])]
        whole = {**whole, **found}
        if properties:
            whole |= {"properties": properties, "required": required}
    return whole


def _smallest(branches: list[Schema], root: Schema) -> Schema:
    order = {"null": 0, "boolean": 1, "integer": 1, "number": 1, "string": 1, "array": 2, "object": 3}
    return min(branches, key=lambda branch: order.get(_kind(_resolved(branch, root)), 0))


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(kind[0])
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "null"
    return str(kind)


def _object(schema: Schema, root: Schema, salt: str, depth: int) -> dict[str, Any]:
    required = schema.get("required", [])
    return {
        name: _value(part, root, salt, name, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in required or depth <= MAX_DEPTH // 2
    }


def _array(schema: Schema, root: Schema, salt: str, name: str, depth: int) -> list[Any]:
    least = int(schema.get("minItems", 0))
    count = least if depth > MAX_DEPTH // 2 else max(least, 1)
    count = min(count, int(schema.get("maxItems", count)))
    items = schema.get("items", {"type": "string"})
    return [_value(items, root, f"{salt}/{n}", name, depth + 1) for n in range(count)]


def _string(schema: Schema, salt: str, name: str) -> str:
    if schema.get("format") in STRING_FORMATS:
        return STRING_FORMATS[schema["format"]]
    text = f"{name} {_hash(salt, name):04x}"
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: int(schema.get("maxLength", len(text)))]


def _number(schema: Schema, kind: str) -> int | float:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None:
        value = math.ceil(low / step) * step
        if value == schema.get("exclusiveMinimum"):
            value += step
        if high is not None and value > high:
            value = (low + high) / 2
    elif high is not None and high < step:
        value = math.floor(high / step) * step
        if value == schema.get("exclusiveMaximum"):
            value -= step
    else:
        value = step
    return int(value) if kind == "integer" else float(value)


def _pick(salt: str, name: str, count: int) -> int:
    return _hash(salt, name) % count


def _hash(salt: str, name: str) -> int:
    digest = hashlib.blake2b(f"{salt}\x1f{name}".encode(), digest_size=2).digest()
    return int.from_bytes(digest, "big")
