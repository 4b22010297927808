"""The JSON Schema for editors agrees with the compiler: what one takes, the other takes."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stretto.plan.finding import Finding
from stretto.spec.compile import compile_plan
from stretto.spec.fields import TABLES
from stretto.spec.jsonschema import plan_schema
from stretto.spec.raw import plain, wrap
from stretto.spec.yaml import read_yaml

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "plans.md").read_text()
SCHEMA = plan_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

BY_SHAPE = {"unknown-key", "wrong-type", "missing-key", "bad-id", "no-action", "two-actions", "not-a-list"}
"""Findings that need nothing but the shape of the file, so the schema has to have them too."""

YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def complaint(data: Any) -> str:
    """What the schema says, or nothing."""
    error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(data))
    return "" if error is None else f"{error.json_path}: {error.message}"


def findings(data: Any) -> list[Finding]:
    return compile_plan(wrap(data, "plan.yaml:1:1"), source="plan.yaml")[1]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_is_described() -> None:
    tables = {**SCHEMA["$defs"], "plan": SCHEMA}

    for name, fields in TABLES.items():
        properties = tables[name]["properties"]
        assert fields.keys() <= properties.keys()
        assert all(properties[key]["description"] for key in fields)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_takes_every_example(path: Path) -> None:
    assert complaint(plain(read_yaml(path.read_text(), path.name))) == ""


@pytest.mark.parametrize("text", YAML)
def test_it_takes_every_snippet_of_the_page(text: str) -> None:
    assert complaint(plain(read_yaml(text, "plan.yaml"))) == ""


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "tasks: {a: {prompt: A}}",
        "stretto: 2\ntasks: {a: {prompt: A}}",
        "stretto: 1",
        "stretto: 1\ntasks: {}",
        "stretto: 1\ntasks: []",
        "stretto: 1\ntask: {a: {prompt: A}}\ntasks: {a: {prompt: A}}",
        "stretto: 1\ntasks: {A: {prompt: A}}",
        "stretto: 1\ntasks: {a.b: {prompt: A}}",
        "stretto: 1\ntasks: {a: just a text}",
        "stretto: 1\ntasks: {a: {}}",
        "stretto: 1\ntasks: {a: {prompt: 5}}",
        "stretto: 1\ntasks: {a: {prompt: ''}}",
        "stretto: 1\ntasks: {a: {prompt: A, modle: haiku}}",
        "stretto: 1\ntasks: {a: {prompt: A, run: [ls]}}",
        "stretto: 1\ntasks: {a: {run: ls -l}}",
        "stretto: 1\ntasks: {a: {run: [sleep, 5]}}",
        "stretto: 1\ntasks: {a: {run: []}}",
        "stretto: 1\ntasks: {a: {call: no colon}}",
        "stretto: 1\ntasks: {a: {reduce: '${b}'}, b: {run: [ls]}}",
        "stretto: 1\ntasks: {a: {prompt: A, tasks: {b: {prompt: B}}}}",
        "stretto: 1\ntasks: {a: {tasks: {b: {prompt: B}}, model: haiku}}",
        "stretto: 1\ntasks: {a: {prompt: A, needs: b}, b: {prompt: B}}",
        "stretto: 1\ntasks: {a: {prompt: A, timeout: soon}}",
        "stretto: 1\ntasks: {a: {prompt: A, optional: no}}",
        "stretto: 1\ntasks: {a: {prompt: A, effort: utmost}}",
        "stretto: 1\ntasks: {a: {prompt: A, check: {model: haiku}}}",
        "stretto: 1\ntasks: {a: {prompt: A, model: {from: haiku}}}",
        "stretto: 1\ntasks: {a: {prompt: A, each: [1], tolerate: half}}",
        "stretto: 1\ntasks: {a: {prompt: A, each: [1], min_ok: {then: cancel}}}",
        "stretto: 1\nlimits: {usd: a lot}\ntasks: {a: {prompt: A}}",
        "stretto: 1\nlimits: {slots: {martians: 2}}\ntasks: {a: {prompt: A}}",
        "stretto: 1\ninputs: {a: {type: folder}}\ntasks: {b: {prompt: B}}",
    ],
)
def test_it_refuses_what_the_compiler_refuses(text: str) -> None:
    data = plain(read_yaml(text, "plan.yaml"))

    assert findings(data), "the compiler takes it"
    assert complaint(data)


VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    5,
    -1,
    2.5,
    "",
    "word",
    "a text",
    "5%",
    "30m",
    "$5",
    "none",
    "m:f",
    "${a}",
    "messages",
    "haiku",
    "lines",
    [],
    ["word"],
    ["read"],
    [1],
    ["a b", {}],
    {},
    {"word": "word"},
    {"count": 2, "then": "cancel"},
    {"from": "haiku", "to": "opus"},
    {"usd": 1, "time": "5m"},
    {"prompt": "Is it good?"},
    {"type": "string"},
    {"b": {"prompt": "B"}},
    {"messages": 2},
]

PLACES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "plan": ({}, ()),
    "task": ({"tasks": {"t": {"prompt": "A", "each": [1], "needs": []}}}, ("tasks", "t")),
    "group": ({"tasks": {"g": {"tasks": {"b": {"prompt": "B"}}, "each": [1]}}}, ("tasks", "g")),
    "limits": ({"limits": {}}, ("limits",)),
    "input": ({"inputs": {"i": {"type": "json"}}}, ("inputs", "i")),
    "check": ({"tasks": {"a": {"prompt": "A", "check": {"prompt": "Good?"}}}}, ("tasks", "a", "check")),
    "expect": ({"tasks": {"a": {"prompt": "A", "expect": {}}}}, ("tasks", "a", "expect")),
    "baseline": ({"baselines": {"b": {}}}, ("baselines", "b")),
}


@pytest.mark.parametrize(
    ("table", "key"), [(t, k) for t in PLACES for k in [*TABLES[t], "x-free", "unknown"]]
)
def test_it_agrees_with_the_compiler_on_every_key(table: str, key: str) -> None:
    for value in VALUES:
        base, path = PLACES[table]
        data = json.loads(json.dumps({"stretto": 1, "tasks": {"a": {"prompt": "A"}}, **base}))
        here = data
        for name in path:
            here = here[name]
        here[key] = value

        found = {finding.slug for finding in findings(data)}
        said = complaint(data)
        if not found:
            assert said == "", f"{key}: {value!r}: only the schema refuses"
        elif found & BY_SHAPE:
            assert said, f"{key}: {value!r}: only the compiler refuses: {found}"
