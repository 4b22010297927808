"""The pattern of a plan is known by its structure, in whatever words it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stretto.lint.pattern import levels_of, pattern_of
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from stretto.spec.compile import compile_plan
from stretto.spec.load import load
from stretto.spec.yaml import read_yaml
from tests.stage import plan_of

EXAMPLES = Path(__file__).parent.parent / "examples"


def shown(plan: Plan) -> str:
    return str(pattern_of(plan, build(plan)))


@pytest.mark.parametrize(
    ("tasks", "pattern"),
    [
        ("{a: {prompt: x}}", "one agent"),
        ("{g: {tasks: {a: {prompt: x}}}}", "one agent"),
        ("{a: {prompt: x}, b: {prompt: x}, c: {run: [ls]}}", "fan-out over 3"),
        ("{a: {prompt: x, each: [p, q]}}", "fan-out over 2"),
        ("{g: {order: serial, tasks: {a: {prompt: x}, b: {prompt: x}}}}", "pipeline of 2 stages"),
        ("{a: {prompt: x, output: lines}, b: {prompt: x, each: '${a}', max: 7}}", "hierarchy over at most 7"),
        ("{a: {prompt: x}, b: {prompt: x, needs: [a]}, c: {prompt: x, needs: [a]}}", "hierarchy over 2"),
        ("{a: {run: [ls], output: lines}, b: {prompt: x, each: '${a}'}}", "fan-out over at most 100"),
        ("{a: {prompt: x}, b: {prompt: x}, c: {prompt: 'Join ${a} ${b}'}}", "scatter-gather over 2"),
        ("{a: {prompt: x, each: [p, q]}, c: {prompt: 'Join ${a}'}}", "map-reduce over 2"),
        ("{a: {prompt: x, each: [p, q]}, c: {reduce: '${a}', prompt: Join}}", "map-reduce over 2"),
        ("{a: {prompt: x, grow: plan}}", "hierarchy"),
        (
            "{g: {each: [p], tasks: {a: {prompt: x}, b: {prompt: '${a}'}}}, c: {prompt: x}}",
            "fan-out over 2, with pipeline inside",
        ),
        (
            "{a: {prompt: x}, b: {prompt: x}, c: {prompt: '${a}${b}'}, d: {prompt: '${c}'}}",
            "pipeline of 3 stages, with fan-out inside",
        ),
        (
            "{g: {tasks: {a: {prompt: x}, b: {prompt: x}, c: {prompt: '${a}${b}'}}}, h: {prompt: '${g}'}}",
            "pipeline of 2 stages, with scatter-gather inside",
        ),
    ],
)
def test_each_structure_has_its_name(tasks: str, pattern: str) -> None:
    assert shown(plan_of(f"tasks: {tasks}")) == pattern


@pytest.mark.parametrize("name", ["fan_out", "pipeline", "hierarchy", "scatter_gather", "map_reduce"])
@pytest.mark.parametrize("kind", ["py", "yaml"])
def test_the_examples_are_what_they_are_called(name: str, kind: str) -> None:
    plan, _, _ = load(EXAMPLES / f"{name}.{kind}")
    assert plan is not None
    found = pattern_of(plan, build(plan))
    assert found is not None
    assert found.name == name.replace("_", "-")


def test_nothing_is_said_of_needs_that_lead_nowhere() -> None:
    raw = read_yaml("stretto: 1\ntasks: {a: {run: [ls], needs: [b]}, b: {run: [ls], needs: [a]}}", "p.yaml")
    plan, _ = compile_plan(raw, source="p.yaml", even_broken=True)
    assert plan is not None
    assert pattern_of(plan, build(plan)) is None


def test_levels_are_by_the_longest_chain_and_long_chains_do_no_harm() -> None:
    parts = [Task(id=f"t{k}", run=("ls",), needs=(f"t{k + 1}",) if k < 9_999 else ()) for k in range(10_000)]
    graph = build(Plan(name="chain", tasks=tuple(parts)))
    levels = list(levels_of(list(graph.roots.values())))
    assert [[member.path for member in level] for level in levels] == [
        [f"t{9_999 - k}"] for k in range(10_000)
    ]
