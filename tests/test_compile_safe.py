"""What a planner wrote: the safe subset, held against everything that could be in it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.plan.finding import Finding
from stretto.plan.model import Plan
from stretto.plan.schema import validate
from stretto.spec.compile import compile_plan
from stretto.spec.planner import PLANNED
from stretto.spec.raw import wrap


def safe(data: Any, **more: Any) -> tuple[Plan | None, list[Finding]]:
    return compile_plan(wrap(data, "the planner's answer"), source="grown", safe=True, **more)


def test_a_planner_s_plan() -> None:
    data = {
        "tasks": [
            {"id": "look", "prompt": "Look", "model": "haiku", "output": "lines"},
            {"id": "judge", "prompt": "Judge ${look}", "needs": ["look"]},
        ]
    }
    assert validate(data, PLANNED) == []
    plan, findings = safe(data)
    assert findings == []
    assert plan is not None
    assert [part.id for part in plan.tasks] == ["look", "judge"]
    nested = {"g": {"order": "serial", "tasks": {"x": {"prompt": "X"}, "y": {"prompt": "Y", "grow": "plan"}}}}
    plan, findings = safe({"tasks": nested})
    assert findings == []


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        ({"tasks": {"a": {"run": ["rm", "-rf", "."]}}}, "unsafe-key"),
        ({"tasks": {"a": {"call": "os:abort"}}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "A", "on": "local"}}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "A", "usd": 100}}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "A", "each": [1]}}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "A", "check": ["rm", "x"]}}}, "unsafe-key"),
        ({"tasks": {"g": {"tasks": {"a": {"prompt": "A"}}, "each": [1]}}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "A"}}, "limits": {"usd": 1000}}, "unsafe-key"),
        ({"tasks": {"a": {"prompt": "${outside}"}}}, "unknown-reference"),
        ({"tasks": {"a": {"prompt": "A", "needs": ["outside"]}}}, "unknown-need"),
        ({"tasks": [{"prompt": "A"}]}, "missing-key"),
        ({"tasks": [{"id": "a", "prompt": "A"}, {"id": "a", "prompt": "B"}]}, "duplicate-id"),
        ({"tasks": [{"id": "A b", "prompt": "A"}]}, "bad-id"),
        ({"tasks": {"a": {"prompt": "A"}, "b": {"prompt": "B"}, "c": {"prompt": "C"}}}, "too-many-tasks"),
        ({"tasks": "do it"}, "wrong-type"),
        ({"tasks": []}, "missing-key"),
        ({}, "missing-key"),
        ("do it", "wrong-type"),
        (None, "wrong-type"),
    ],
)
def test_what_a_planner_may_not_write(data: Any, slug: str) -> None:
    plan, findings = safe(data, max_tasks=2)
    assert plan is None
    assert slug in {f.slug for f in findings}


def test_an_answer_nested_without_end_is_a_finding() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    _, findings = safe({"tasks": {"a": {"prompt": deep}}})
    assert {f.slug for f in findings} == {"wrong-type"}
    deep = {"prompt": "X"}
    for _ in range(60):
        deep = {"tasks": {"g": deep}}
    plan, findings = safe(deep)
    assert plan is None
    assert "too-deep" in {f.slug for f in findings}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tasks", "prompt", "needs", "id", "a", "output", "grow"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_no_answer_of_a_planner_raises(data: Any) -> None:
    plan, findings = safe(data)
    assert (plan is None) == any(f.severity == "error" for f in findings)
