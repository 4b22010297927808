"""The subset of JSON Schema: short forms, the verdicts of the jsonschema package, and types of fields."""

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.plan.schema import NoField, check_schema, field_type, may_be, schema_of, short_form, validate

TEXT = {"type": "string"}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        *((word, TEXT) for word in ("string", "str", str)),
        *((word, {"type": "integer"}) for word in ("int", "integer", int)),
        *((word, {"type": "number"}) for word in ("number", "float", float)),
        *((word, {"type": "boolean"}) for word in ("bool", "boolean", bool)),
        *((word, {"type": "array"}) for word in ("list", list)),
        *((word, {"type": "object"}) for word in ("object", dict)),
        ("any", {}),
        (["string"], {"type": "array", "items": TEXT}),
        ([["int"]], {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ({"a": "int", "b?": "string"}, closed(["a"], a={"type": "integer"}, b=TEXT)),
        ({"modules": [str]}, closed(["modules"], modules={"type": "array", "items": TEXT})),
        ({"x": {"y?": ["any"]}}, closed(["x"], x=closed([], y={"type": "array", "items": {}}))),
    ],
)
def test_short_forms(form: Any, schema: Any) -> None:
    assert short_form(form) == schema
    assert check_schema(schema) == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("strnig", "'strnig' is no type"),
        (["string", "int"], "exactly one entry"),
        ([], "exactly one entry"),
        ({}, "{} is no type"),
        (5, "5 is no type"),
        (None, "null is no type"),
        (set, "'set' is no type"),
        ({"a": {"b": "x"}}, "a: b: 'x' is no type"),
        ({"a": "int", "a?": "int"}, "there twice"),
        ({"?": "int"}, "no name"),
    ],
)
def test_no_short_forms(form: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        short_form(form)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": TEXT}},
        {"type": "string"},
        {"type": "string", "minLength": 3},
        {"type": ["string", "null"]},
        {"enum": ["a", "b"]},
        {"const": 5},
        {"anyOf": [TEXT, {"type": "null"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": TEXT}},
        {"type": "array"},
    ],
)
def test_a_json_schema_is_taken_as_it_stands(schema: Any) -> None:
    assert schema_of(schema) is schema
    assert schema_of({"x": schema})["properties"]["x"] is schema


def test_a_field_may_be_called_type() -> None:
    form = {"type": "string", "title": "string"}
    assert schema_of(form) == closed(["type", "title"], type=TEXT, title=TEXT)
    assert schema_of({"file": "string", "type": "int"})["required"] == ["file", "type"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (5, "must be a mapping, not 5"),
        ({"type": "strnig"}, 'type: "strnig" is no type'),
        ({"type": []}, "type: [] is no type"),
        ({"oneOf": [TEXT]}, "oneOf: this keyword is not supported"),
        ({"properties": {"a": {"items": {"minItem": 1}}}}, "properties.a.items.minItem: this keyword"),
        ({"properties": []}, "properties: must be a mapping"),
        ({"properties": {"a": 5}}, "properties.a: a schema must be a mapping"),
        ({"required": "a"}, "required: must be a list"),
        ({"required": ["a", "a"]}, "required: must be a list of different texts"),
        ({"enum": []}, "enum: must be a list that is not empty"),
        ({"minLength": -1}, "minLength: must be an integer"),
        ({"minimum": "1"}, "minimum: must be a number"),
        ({"pattern": "("}, "pattern: '(' is no regular expression"),
        ({"anyOf": [TEXT, {"type": "x"}]}, "anyOf[1].type"),
        ({"$ref": "#/$defs/a"}, "$ref: '#/$defs/a' is not in $defs"),
        ({"$ref": "https://example.com/x"}, "only '#/$defs/name' is supported"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"$defs": []}, "$defs: must be a mapping"),
        ({"items": {"$defs": {}}}, "items.$defs: only the outermost"),
    ],
)
def test_complaints_about_a_schema(schema: Any, said: str) -> None:
    complaints = check_schema(schema)
    assert any(said in complaint for complaint in complaints), complaints


def test_notes_in_a_schema_are_free() -> None:
    notes = {"title": "T", "description": "D", "default": 1, "examples": [1], "$comment": "c", "format": "x"}
    assert check_schema({"type": "integer", **notes, "$schema": "https://example.com"}) == []


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        ("x", {"type": "integer"}, '$: must be an integer, not "x"'),
        (True, {"type": "integer"}, "$: must be an integer, not true"),
        ({"a": [{"b": 1}]}, short_form({"a": [{"b": "string"}]}), "$.a[0].b: must be a text, not 1"),
        ({}, short_form({"a": "int"}), "$: 'a' is missing"),
        ({"a": 1, "z": 2}, short_form({"a": "int"}), "$: 'z' is not allowed here (allowed: a)"),
        ([1, 2, 3], {"maxItems": 2}, "$: must have at most 2 entries, not 3"),
        ("ab", {"pattern": "^b"}, "$: \"ab\" does not match '^b'"),
        (5, {"anyOf": [TEXT, {"minimum": 6}]}, "$: fits none of the allowed forms"),
        ("c", {"enum": ["a", "b"]}, '$: must be one of "a", "b", not "c"'),
        (list(range(9)), TEXT, "not a list of 9 entries"),
        (None, {"type": ["string", "integer"]}, "must be a text or an integer, not null"),
    ],
)
def test_messages(value: Any, schema: Any, said: str) -> None:
    found = validate(value, schema)
    assert len(found) == 1
    assert said in found[0]


def test_messages_are_bounded() -> None:
    assert len(validate(["x"] * 1000, {"items": {"type": "integer"}})) == 20
    assert len(validate(["x"] * 1000, {"items": {"type": "integer"}}, limit=3)) == 3


def test_endless_values_are_refused() -> None:
    nested: Any = []
    for _ in range(500):
        nested = [nested]
    loop = {"$ref": "#/$defs/l", "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}}}}
    assert check_schema(loop) == []
    assert "nested too deeply" in validate(nested, loop)[0]
    deep: Any = TEXT
    for _ in range(500):
        deep = {"items": deep}
    assert "nested too deeply" in check_schema(deep)[0]


NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 1.5, -2.0, float("inf")])
    | st.sampled_from(["", "a", "ab", "é", "1"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])
COUNTS = st.integers(0, 3)


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": inner,
            "items": inner,
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "minItems": COUNTS,
            "maxItems": COUNTS,
            "minLength": COUNTS,
            "maxLength": COUNTS,
            "minimum": st.integers(-2, 2) | st.just(0.5),
            "maximum": st.integers(-2, 2) | st.just(0.5),
            "pattern": st.sampled_from(["a", "^a$", "[0-9]", "^$"]),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "$ref": st.sampled_from(["#/$defs/x", "#/$defs/y"]),
            "title": st.just("T"),
        },
    )


INNER: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), _keywords, max_leaves=6)
SCHEMAS = st.builds(lambda root, x, y: {**root, "$defs": {"x": x, "y": y}}, _keywords(INNER), INNER, INNER)


@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_the_verdict_is_that_of_jsonschema(schema: dict[str, Any], values: list[Any]) -> None:
    """`anyOf` may make a definition refer to itself without an end; both sides must not be asked then."""
    if check_schema(schema) or _endless(schema):
        return
    judge = jsonschema.Draft202012Validator(schema)
    for value in values:
        assert (validate(value, schema) == []) == judge.is_valid(value), (value, schema)


def _endless(schema: dict[str, Any]) -> bool:
    """Whether a definition leads back to itself without going into the value."""

    def ahead(part: Any) -> list[str]:
        if isinstance(part, bool):
            return []
        found = [part["$ref"][8:]] if "$ref" in part else []
        return found + [name for branch in part.get("anyOf", []) for name in ahead(branch)]

    for start in schema["$defs"]:
        seen: set[str] = set()
        waiting = ahead(schema["$defs"][start])
        while waiting:
            name = waiting.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                waiting += ahead(schema["$defs"][name])
    return False


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_any_value_may_be_asked_for_as_a_schema(value: Any) -> None:
    try:
        schema = schema_of(value)
    except ValueError:
        return
    check_schema(schema)


CALLS = {
    "type": "object",
    "properties": {
        "calls": {"type": "array", "items": {"$ref": "#/$defs/call"}},
        "free": {"type": "object"},
        "either": {"anyOf": [short_form({"x": "int"}), short_form({"y": "string"}), {"type": "null"}]},
        "maybe": {"type": ["object", "null"], "properties": {"z": TEXT}, "additionalProperties": False},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "never": False,
    },
    "additionalProperties": False,
    "$defs": {"call": short_form({"file": "string", "line": "int"})},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("calls.0.file", TEXT),
        ("calls.12.line", {"type": "integer"}),
        ("free.anything.at.all", {}),
        ("either.x", {"type": "integer"}),
        ("either.y", TEXT),
        ("maybe.z", TEXT),
        ("counts.whatever", {"type": "integer"}),
    ],
)
def test_types_of_fields(path: str, found: Any) -> None:
    kind = field_type(CALLS, tuple(path.split(".")))
    assert {key: value for key, value in kind.items() if key != "$defs"} == found
    assert may_be(kind, found.get("type", "array"))


@pytest.mark.parametrize(
    ("path", "said", "known"),
    [
        ("call", "has no field 'call'", ("calls", "free", "either", "maybe", "counts", "never")),
        ("calls.0.fil", "has no field 'fil'", ("file", "line")),
        ("calls.file", "is a list, and 'file' is no index", ()),
        ("calls.0.file.x", "is a text and has no fields", ()),
        ("either.z", "has no field 'z'", ("x", "y")),
        ("maybe.x", "has no field 'x'", ("z",)),
        ("never.x", "cannot be there at all", ()),
    ],
)
def test_fields_that_cannot_be(path: str, said: str, known: tuple[str, ...]) -> None:
    words = tuple(path.split("."))
    with pytest.raises(NoField) as caught:
        field_type(CALLS, words)
    assert (caught.value.why, caught.value.known) == (said, known)
    assert caught.value.name == words[-caught.value.left]


def test_what_may_be_a_list() -> None:
    assert may_be({}, "array")
    assert may_be({"type": ["array", "null"]}, "array")
    assert may_be({"anyOf": [TEXT, {"type": "array"}]}, "array")
    assert not may_be({"anyOf": [TEXT, {"type": "null"}]}, "array")
    assert not may_be({"$ref": "#/$defs/a", "$defs": {"a": TEXT}}, "array")
