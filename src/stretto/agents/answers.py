"""JSON from a model: the schema that a server is asked to enforce, and the value found in what came back."""

from __future__ import annotations

import json
from typing import Any

VALUE = "value"
"""The property that a schema is put under whose root is not an object, which not every server allows."""

MAX_STARTS = 1_000
"""Brackets at which JSON is looked for in an answer that is not JSON as a whole."""

MAX_READ = 4
"""How many times a text is read in all: one that never closes would be read again from each bracket."""


def enforceable(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema as a server can enforce it, with an object at its root; None where it cannot.

    Servers close every object: one that may have any property would come back empty, so such a schema is told
    to the model in words instead.
    """
    if schema is None or not _closed(schema):
        return None
    if schema.get("type") == "object":
        return schema
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer = {
        "type": "object",
        "properties": {VALUE: inner},
        "required": [VALUE],
        "additionalProperties": False,
    }
    return outer | {"$defs": schema["$defs"]} if "$defs" in schema else outer


def every_property_required(schema: Any) -> bool:
    """Whether a schema is what OpenAI calls strict: closed objects without optional properties."""
    if isinstance(schema, list):
        return all(every_property_required(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema["properties"]) != set(schema.get("required", [])):
            return False
    return all(every_property_required(part) for part in schema.values())


def json_in(text: str) -> str | None:
    """The JSON text in an answer: the whole of it, or else the longest value in braces or brackets."""
    whole = text.strip()
    if _parsed(whole):
        return whole
    decoder = json.JSONDecoder(parse_constant=_refuse)
    best = ""
    at = 0
    left = MAX_READ * len(text)
    for _ in range(MAX_STARTS):
        starts = [found for bracket in "{[" if (found := text.find(bracket, at)) >= 0]
        if not starts:
            break
        start = min(starts)
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as failed:
            left -= failed.pos - start if isinstance(failed, json.JSONDecodeError) else 0
            if left < 0:
                break
            at = start + 1
            continue
        if end - start > len(best):
            best = text[start:end]
        at = end
    return best or None


def unwrapped(schema: dict[str, Any] | None, found: str) -> str:
    """The value itself, where `enforceable` had put its schema under a property."""
    wrapped = enforceable(schema)
    if wrapped is None or wrapped is schema:
        return found
    value = json.loads(found)
    if isinstance(value, dict) and value.keys() == {VALUE}:
        return compact(value[VALUE])
    return found


def parsed(text: str) -> Any:
    """The value of some JSON; half a surrogate pair, which no text can hold, becomes `?`."""
    value = json.loads(text)
    if "\\ud" in text or "\\uD" in text:
        value = json.loads(clean(compact(value)))
    return value


def clean(text: str) -> str:
    """The text as UTF-8 can hold it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size_of(value: Any) -> int:
    """UTF-8 bytes of a value as JSON, which no tokenizer turns into more tokens."""
    return len(compact(value).encode("utf-8", "replace"))


def _closed(schema: Any) -> bool:
    """Whether every object in a schema lists its properties and every part has a type, as servers ask."""
    if not isinstance(schema, dict):
        return False
    if schema.keys() & {"patternProperties", "not", "if", "prefixItems", "unevaluatedProperties"}:
        return False
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return all(_closed(part) for part in schema[word])
    if "$ref" in schema or "enum" in schema or "const" in schema:
        return True
    match schema.get("type"):
        case "object":
            properties = schema.get("properties")
            if not properties or isinstance(schema.get("additionalProperties"), dict):
                return False
            return all(_closed(part) for part in [*properties.values(), *schema.get("$defs", {}).values()])
        case "array":
            return _closed(schema.get("items"))
        case "string" | "integer" | "number" | "boolean" | "null":
            return True
        case _:
            return False


def _parsed(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
