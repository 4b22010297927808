"""Plans without a cap, lists without a length, models without a price."""

from __future__ import annotations

import pytest

from stretto.lint import money
from stretto.plan.model import Plan, Task
from tests.test_lint_files import beside, scene_of, slugs

FIVE = "\n".join(f"  t{n}: {{prompt: Look at part {n}}}" for n in range(5))

BUDGETS = [
    (f"tasks:\n{FIVE}", ["warning"]),
    ("tasks:\n  a: {each: [x, y], prompt: Look}", ["warning"]),
    ("tasks:\n  a: {each: [x, y], tasks: {b: {prompt: Look}}}", ["warning"]),
    ("tasks:\n  a: {prompt: Look, writes: [a.md]}", ["warning"]),
    ("tasks:\n  a: {prompt: Look}\n  b: {run: [make], writes: [a.md]}", ["warning"]),
    (f"limits: {{time: 1h}}\ntasks:\n{FIVE}", ["warning"]),
    (f"tasks:\n{FIVE}\n  x: {{prompt: Look, usd: 1}}", ["warning"]),
    ("tasks:\n  a: {prompt: Look}", ["info"]),
    ("tasks:\n  a: {prompt: Look}\n  b: {prompt: Look}", ["info"]),
    (f"limits: {{usd: 5}}\ntasks:\n{FIVE}", []),
    ("tasks:\n  a: {each: [x, y], prompt: Look, usd: 1}", []),
    ("tasks:\n  a: {usd: 1, tasks: {b: {each: [x, y], prompt: Look}}}", []),
    ("tasks:\n  a: {prompt: Look, usd: 1, writes: [a.md]}", []),
    ("tasks:\n  a: {run: [make], writes: [a.md]}", []),
    ("tasks:\n  a: {each: [x, y], prompt: Look, on: local}", []),
]


@pytest.mark.parametrize(("plan", "severities"), BUDGETS)
def test_budgets(plan: str, severities: list[str]) -> None:
    assert slugs(money.no_budget(scene_of(plan))) == [(severity, ()) for severity in severities]


def test_what_may_be_spent_is_said() -> None:
    [found] = money.no_budget(scene_of(beside(*["Review the code"] * 6)))
    assert "6 paid agents: about $" in found.message
    assert "is possible" in found.message
    assert found.fix.startswith("add `limits: {usd: ")
    [found] = money.no_budget(scene_of(beside(*["Review the code"] * 6), bare=True))
    assert found.severity == "info"


LIST = "  list: {run: [ls], output: lines}\n"
FANS = [
    (LIST + '  a: {each: "${list}", prompt: "Read ${item}"}', [("warning", ("a",))]),
    (LIST + '  a: {each: "${list}", tasks: {b: {prompt: "Read ${item}"}}}', [("warning", ("a",))]),
    (LIST + '  a: {each: "${list}", tolerate: 5%, prompt: "Read ${item}"}', [("warning", ("a",))]),
    (LIST + '  a: {each: "${list}", usd: 1, prompt: "Read ${item}"}', [("warning", ("a",))]),
    (
        '  p: {prompt: "Name three", output: {names: [string]}}\n'
        '  a: {each: "${p.names}", prompt: "Read ${item}"}',
        [("warning", ("a",))],
    ),
    (LIST + '  g: {tasks: {a: {each: "${list}", prompt: "Read ${item}"}}}', [("warning", ("g.a",))]),
    (
        "  p: {prompt: Name them, output: {xs: [{parts: [string]}]}}\n"
        '  a: {each: "${p.xs}", as: x, max: 9, tasks: {b: {each: "${x.parts}", prompt: "Do ${item}"}}}',
        [("warning", ("a.b",))],
    ),
    (
        LIST + '  a: {each: "${list}", prompt: "Read ${item}"}\n  b: {each: "${a}", prompt: "Judge ${item}"}',
        [("warning", ("a",))],
    ),
    (LIST + '  a: {each: "${list}", max: 40, prompt: "Read ${item}"}', []),
    (LIST + '  a: {each: "${list}", max: 100, prompt: "Read ${item}"}', []),
    (LIST + '  a: {each: "${list}", run: [wc, "${item}"]}', []),
    (LIST + '  a: {each: "${list}", on: local, prompt: "Read ${item}"}', []),
    ('  a: {each: [x, y, z], prompt: "Read ${item}"}', []),
    ('  a: {each: [x, y], prompt: "Read ${item}"}\n  b: {each: "${a}", prompt: "Judge ${item}"}', []),
    (LIST + '  a: {reduce: "${list}", prompt: Merge}', []),
    (LIST + '  a: {each: "${list}", max: 40, tasks: {b: {each: [x, y], prompt: "Read ${item}"}}}', []),
    (
        LIST + '  a: {each: "${list}", max: 90, tasks: {b: {each: [x, y, z, 1, 2, 3, 4, 5, 6, 7, 8, 9],'
        ' prompt: "Read ${item}"}}}',
        [("info", ("a.b",))],
    ),
    ("  a: {prompt: Plan it, grow: plan}", [("info", ("a.plan",))]),
    ("  a: {prompt: Plan it, grow: plan, usd: 2}", []),
]


@pytest.mark.parametrize(("tasks", "expected"), FANS)
def test_fan_outs(tasks: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert slugs(money.unbounded_fan_out(scene_of(f"tasks:\n{tasks}\n"))) == expected


def test_an_input_is_known_before_the_run() -> None:
    plan = 'inputs: {names: {type: list}}\ntasks: {a: {each: "${names}", prompt: "Read ${item}"}}'
    assert not list(money.unbounded_fan_out(scene_of(plan)))


def test_a_fan_out_says_what_it_may_cost_more() -> None:
    plan = f'tasks:\n{LIST}  a: {{each: "${{list}}", prompt: "Read ${{item}}"}}\n'
    [found] = money.unbounded_fan_out(scene_of(plan))
    assert found.nusd is not None
    assert found.nusd > 0
    assert "`${list}`" in found.message


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("prompt: Look, model: claude-brand-new-1", True),
        ("prompt: Look, on: 'openai:http://x', model: my-own", True),
        ("prompt: Look, model: haiku", False),
        ("prompt: Look, model: {from: haiku, to: opus}", False),
        ("prompt: Look", False),
        ("prompt: Look, on: local, model: llama", False),
        ("run: [ls]", False),
    ],
)
def test_models_without_a_price(task: str, told: bool) -> None:
    found = list(money.unpriced_model(scene_of(f"tasks: {{a: {{{task}}}}}")))
    assert slugs(found) == ([("warning", ("a",))] if told else [])


def test_a_model_that_nobody_knows_is_the_compilers_business() -> None:
    plan = Plan(name="p", tasks=(Task(id="t", prompt="Look", model="no-such-model"),))
    assert not list(money.unpriced_model(scene_of(plan)))
