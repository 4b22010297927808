"""Makes up values that fit a JSON Schema, for agents that only pretend."""

from __future__ import annotations

import math
import random
import re
from typing import Any

LIST_ENTRIES = 3
"""How many entries a made-up list gets, where its schema allows."""


def instance(schema: dict[str, Any], seed: str) -> Any:
    """A value that fits a JSON Schema of the usual kind (no conditions), the same for the same seed."""
    return _Maker(schema, random.Random(seed)).make(schema, "value", 0)


class _Maker:
    def __init__(self, root: dict[str, Any], chance: random.Random):
        self._root = root
        self._chance = chance
        self._count = 0

    def make(self, schema: Any, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("enum"):
            return self._chance.choice(choices)
        match self._kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return math.ceil(self._number(schema, whole=True))
            case "number":
                return round(self._number(schema, whole=False), 3)
            case "boolean":
                return name == "pass" or self._chance.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Follows `$ref` inside the schema, takes the first of several, joins `allOf`."""
        for _ in range(32):
            if not isinstance(schema, dict):
                return {}
            if isinstance(ref := schema.get("$ref"), str):
                schema = _pointed(self._root, ref)
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                schema = {**rest, **self._resolved(choices[0])}
            elif parts := schema.get("allOf"):
                joined: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
                for part in map(self._resolved, parts):
                    properties = {**joined.get("properties", {}), **part.get("properties", {})}
                    required = [*joined.get("required", []), *part.get("required", [])]
                    joined |= {**part, "properties": properties, "required": required}
                schema = joined
            else:
                return schema
        return {}

    def _kind(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((entry for entry in kind if entry != "null"), "null")
        if kind:
            return str(kind)
        return "object" if "properties" in schema else "array" if "items" in schema else "string"

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Its required properties; all of them where it names none as required."""
        properties = schema.get("properties", {})
        wanted = schema.get("required") or ([] if "required" in schema or depth > 8 else list(properties))
        return {key: self.make(properties.get(key, {}), key, depth + 1) for key in dict.fromkeys(wanted)}

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        count = least if depth > 8 else max(least, min(most, LIST_ENTRIES))
        heads = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        entry = name[:-1] if name.endswith("s") else name
        return [self.make(heads[k] if k < len(heads) else rest, entry, depth + 1) for k in range(count)]

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float:
        step = 1 if whole else 1e-3
        low = schema.get("minimum", schema.get("exclusiveMinimum", -step) + step)
        high = schema.get("maximum", schema.get("exclusiveMaximum", max(low, 0) + 100 + step) - step)
        if low > high:
            low = high
        if multiple := schema.get("multipleOf"):
            first, last = math.ceil(low / multiple), math.floor(high / multiple)
            return float(multiple * self._chance.randint(first, max(first, last)))
        return (
            float(self._chance.randint(math.ceil(low), max(math.ceil(low), math.floor(high))))
            if whole
            else (self._chance.uniform(low, high))
        )

    def _string(self, schema: dict[str, Any], name: str) -> str:
        self._count += 1
        number = self._count
        if made := _FORMATS.get(schema.get("format", "")):
            return made.format((number - 1) % 28 + 1)
        text = f"[simulated] {name} {number}"
        if pattern := schema.get("pattern"):
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "simulated"
            tries = (
                text,
                f"simulated-{number}",
                f"{slug}-{number}",
                f"simulated{number}",
                f"S{number}",
                f"{number}",
            )
            text = next((t for t in tries if re.search(pattern, t)), text)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 10**9)
        return text.ljust(least, ".")[max(0, len(text) - most) :]


_FORMATS = {
    "date": "2026-01-{:02d}",
    "date-time": "2026-01-01T00:00:{:02d}Z",
    "time": "00:00:{:02d}Z",
    "email": "simulated-{}@example.com",
    "uri": "https://example.com/simulated/{}",
    "uuid": "00000000-0000-4000-8000-{:012d}",
}


def _pointed(root: dict[str, Any], ref: str) -> Any:
    """What a `#/...` reference points at; nothing where it points nowhere."""
    here: Any = root
    for word in ref.removeprefix("#").split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        here = here.get(key, {}) if isinstance(here, dict) else {}
    return here
