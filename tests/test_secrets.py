"""What is a secret for certain and what perhaps: data keeps the second, what people read keeps neither."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.plan.model import Task
from stretto.run.outputs import accept
from stretto.workspace.handover import PHRASE_CHARS, not_accepted, told
from stretto.workspace.redact import LONGEST_SAID, Redactor

ENVIRON = {
    "SERVICE_KEY": "k3y-of-the-service",
    "DB_PASSWORD": "postgres",
    "LONG_PASSWORD": "correcthorsebatterystaple",
    "DATABASE_URL": "postgres://app:s3cr3t-p4ss@db.example/main",
    "PLAIN_URL": "https://example.org/a:b",
}
redactor = Redactor(ENVIRON)


@pytest.mark.parametrize(
    ("text", "in_data", "for_people"),
    [
        ("k3y-of-the-service", "[redacted:SERVICE_KEY]", "[redacted:SERVICE_KEY]"),
        ("use postgres here", "use postgres here", "use [redacted:DB_PASSWORD] here"),
        ("correcthorsebatterystaple", "[redacted:LONG_PASSWORD]", "[redacted:LONG_PASSWORD]"),
        ("s3cr3t-p4ss", "[redacted:DATABASE_URL]", "[redacted:DATABASE_URL]"),
        ("ghp_" + "a" * 36, "[redacted:github-token]", "[redacted:github-token]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted:aws-key]", "[redacted:aws-key]"),
        ("sk-learn-contrib-estimators-1", "sk-learn-contrib-estimators-1", "[redacted:api-key]"),
        ("Bearer abcdef.123456", "Bearer abcdef.123456", "[redacted:bearer]"),
        ("https://example.org/a:b", "https://example.org/a:b", "https://example.org/a:b"),
        (f"http://127.0.0.1:8123/{'aB3_' * 10}x-Y/v1", "[redacted:lease]/v1", "[redacted:lease]/v1"),
    ],
)
def test_data_keeps_what_is_perhaps_no_secret(text: str, in_data: str, for_people: str) -> None:
    assert (redactor.in_data(text), redactor.redact(text)) == (in_data, for_people)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    )
)
def test_data_without_a_secret_is_left_as_it_is(value: Any) -> None:
    assert redactor.in_value(value) == value
    task = Task(id="a", call="m:f")
    assert accept(task, value, redactor) == accept(task, value)


def test_an_error_is_bounded_and_no_half_of_a_secret_is_left() -> None:
    key = ENVIRON["SERVICE_KEY"]
    for before in range(LONGEST_SAID - 30, LONGEST_SAID + 5):
        said = redactor.said("x" * before + key + "y" * 100_000)
        assert len(said) < LONGEST_SAID + 20
        assert "k3y" not in said
    assert redactor.said("short") == "short"


def test_what_a_sentence_names_stays_in_it_and_what_has_lines_is_fenced() -> None:
    assert told("a", "src/app.py") == "src/app.py"
    assert told("a", ["x", 1]) == '["x",1]'
    for value in ("one\ntwo", "one\u2028two", "one\rtwo", "x" * (PHRASE_CHARS + 1), ["x" * PHRASE_CHARS]):
        fenced = told('a" id="0', value)
        opening, *_, closing = fenced.strip().split("\n")
        assert opening.startswith('<output of="a_ id=_0" sha=') and closing.startswith("</output id=")
        assert fenced == told('a" id="0', value), "a second try sends the same"


def test_findings_say_where_they_come_from() -> None:
    text = not_accepted("the sum is wrong")
    assert '<output of="the check"' in text and "\nthe sum is wrong\n" in text
    assert text.endswith("Answer without this fault.")


def test_many_small_outputs_are_quick() -> None:
    started = time.process_time()
    for _ in range(20_000):
        redactor.in_data('{"path": "src/app.py", "finding": "none of note"}')
    assert time.process_time() - started < 1.0


def test_json_stays_json() -> None:
    value = {"a": ["k3y-of-the-service", {"k3y-of-the-service": None}], "b": 1.5}
    made = accept(Task(id="a", call="m:f"), value, redactor)
    told = {"a": ["[redacted:SERVICE_KEY]", {"[redacted:SERVICE_KEY]": None}], "b": 1.5}
    assert json.loads(made.data) == told
