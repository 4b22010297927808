"""The JSON Schema of the YAML format, for editors: generated from the table of its fields."""

from __future__ import annotations

from typing import Any

from stretto.plan.schema import NAMES
from stretto.spec.fields import ALIASES, TABLES, Field, Table
from stretto.spec.values import MAX_TIME_S, MAX_USD, MAX_WHOLE

Schema = dict[str, Any]

_ID = "[a-z][a-z0-9_-]{0,63}"
_VALUE = r"[^{}\n]*"
_REFERENCE = rf"^\s*\$\{{{_VALUE}\}}\s*$"
_WRITTEN = {"type": "string", "pattern": r"\S"}

_SIMPLE: dict[str, Schema] = {
    "version": {"const": 1},
    "text": _WRITTEN,
    "id": {"type": "string", "pattern": f"^{_ID}$"},
    "flag": {"type": "boolean"},
    "time": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_TIME_S},
            {
                "type": "string",
                "pattern": r"^ *(?=[0-9.])([0-9. ]+h *)?([0-9. ]+m(?!s) *)?([0-9. ]+s *)?([0-9. ]+ms *)?$",
            },
        ]
    },
    "money": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_USD},
            {"type": "string", "pattern": r"^\s*\$? ?([0-9]{1,12}(\.[0-9]{1,9})?|\.[0-9]{1,9})\s*$"},
        ]
    },
    "argv": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    "function": {"type": "string", "pattern": r"^[^\s:]+:[^\s:]+$"},
    "list": {"anyOf": [{"type": "array"}, {"type": "string", "pattern": _REFERENCE}]},
    "reference": {"type": "string", "pattern": _REFERENCE},
    "needs": {"type": "array", "items": {"type": "string", "pattern": rf"^{_ID}(\.{_ID})*$"}},
    "paths": {"type": "array", "items": _WRITTEN},
    "names": {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
    "share": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_WHOLE},
            {"type": "string", "pattern": r"^\s*[0-9]{1,3}(\.[0-9]{1,6})? ?%\s*$"},
        ]
    },
    "output": {"anyOf": [{"enum": ["text", "lines", "json"]}, {"$ref": "#/$defs/short_form"}]},
    "mapping": {"type": "object"},
    "growth": {"anyOf": [{"const": "plan"}, {"$ref": "#/$defs/grow"}]},
    "roles": {"type": "array", "items": _WRITTEN},
    "reasons": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    "any": {},
}
_SIMPLE["cap"] = {"anyOf": [*_SIMPLE["money"]["anyOf"], {"enum": ["none", None]}]}

_REQUIRED = {"group": ("tasks",), "model": ("from", "to"), "min_ok": ("count",)}


def plan_schema() -> Schema:
    """The schema of a plan file, draft 2020-12."""
    tables = {name: _table(fields) for name, fields in TABLES.items() if name != "plan"}
    tables["task"]["properties"] |= {
        alias: _described(TABLES["task"][key], f"The same as {key}.") for alias, key in ALIASES.items()
    }
    for name in ("task", "check"):
        tables[name]["oneOf"] = [{"required": [action]} for action in ("prompt", "run", "call")]
    for name, keys in _REQUIRED.items():
        tables[name]["required"] = list(keys)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A plan of Stretto",
        **_table(TABLES["plan"]),
        "required": ["stretto", "tasks"],
        "$defs": {
            **tables,
            "part": {
                "if": {"type": "object", "required": ["tasks"]},
                "then": {"$ref": "#/$defs/group"},
                "else": {"$ref": "#/$defs/task"},
            },
            "short_form": {
                "anyOf": [
                    {"enum": list(NAMES)},
                    {"type": "array", "items": {"$ref": "#/$defs/short_form"}, "minItems": 1, "maxItems": 1},
                    {"type": "object", "minProperties": 1},
                ]
            },
        },
    }


def _table(fields: Table) -> Schema:
    return {
        "type": "object",
        "properties": {key: _described(field, field.says) for key, field in fields.items()},
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def _described(field: Field, says: str) -> Schema:
    default = {} if field.default is None else {"default": field.default}
    return {**_schema(field), "description": says, **default}


def _schema(field: Field) -> Schema:
    match field.type:
        case "word":
            return {"enum": list(field.choices)}
        case "whole":
            return {"type": "integer", "minimum": field.least, "maximum": MAX_WHOLE}
        case "tools":
            return {"type": "array", "items": {"enum": list(field.choices)}}
        case "agent":
            return {"type": "string", "pattern": f"^({'|'.join(field.choices)})(:.*)?$"}
        case "slots":
            return {
                "type": "object",
                "propertyNames": {"pattern": f"^({'|'.join(field.choices)})(/.+)?$"},
                "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MAX_WHOLE},
            }
        case "quorum":
            count = {"type": "integer", "minimum": 1, "maximum": MAX_WHOLE}
            return {"anyOf": [count, {"$ref": "#/$defs/min_ok"}]}
        case "model":
            return {"anyOf": [_WRITTEN, {"$ref": "#/$defs/model"}]}
        case "check":
            return {"anyOf": [_SIMPLE["argv"], _SIMPLE["function"], {"$ref": f"#/$defs/{field.of}"}]}
        case "table":
            return {"$ref": f"#/$defs/{field.of}"}
        case "tables":
            return {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{field.of}"}}
        case "parts":
            return {
                "type": "object",
                "propertyNames": {"pattern": f"^{_ID}$"},
                "additionalProperties": {"$ref": "#/$defs/part"},
                "minProperties": 1,
            }
        case simple:
            return _SIMPLE[simple]
