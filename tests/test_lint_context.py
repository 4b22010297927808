"""What models are given to read: too much of it, or the same text at full price every time."""

from __future__ import annotations

import pytest

from stretto.lint import context
from stretto.plan.model import Each, Plan, Task
from tests.test_lint_files import beside, scene_of, slugs

LIST = "  list: {run: [ls], output: lines}\n"
MANY = LIST + '  a: {each: "${list}", max: 500, prompt: "Review ${item} for security holes", model: sonnet}\n'

FLOODS = [
    (MANY + '  b: {prompt: "Sum up: ${a}"}', [("info", ("b",))]),
    (MANY + "  b: {prompt: Sum up, needs: [a]}", [("info", ("b",))]),
    (
        LIST + '  g: {each: "${list}", max: 500, tasks: {a: {prompt: "Review ${item} for holes"}}}\n'
        '  b: {prompt: "Sum up: ${g}"}',
        [("info", ("b",))],
    ),
    (MANY + '  b: {reduce: "${a}", prompt: Merge}', []),
    (MANY + '  b: {prompt: "How many failed? ${a.failed}"}', []),
    (MANY + "  b: {prompt: Go on, after: [a]}", []),
    (MANY + "  b: {run: [echo, '${a}']}", []),
    ('  a: {each: [x, y, z], prompt: "Review ${item}"}\n  b: {prompt: "Sum up: ${a}"}', []),
    ('  a: {prompt: "Review the code"}\n  b: {prompt: "Sum up: ${a}"}', []),
    (
        LIST + '  a: {each: "${list}", max: 500, prompt: "Is ${item} safe?", output: {safe: bool}}\n'
        '  b: {prompt: "Sum up: ${a}"}',
        [],
    ),
    (LIST + '  b: {prompt: "Sum up: ${list}"}', []),
]


@pytest.mark.parametrize(("tasks", "expected"), FLOODS)
def test_floods(tasks: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert slugs(context.floods_gatherer(scene_of(f"tasks:\n{tasks}\n"))) == expected


def test_a_flood_that_is_sure() -> None:
    scan = Task(id="scan", prompt="Review ${item}", each=Each(over=list(range(60_000)), max=60_000))
    gather = Task(id="gather", prompt="Sum up: ${scan}", model="haiku")
    [found] = context.floods_gatherer(scene_of(Plan(name="p", tasks=(scan, gather))))
    assert (found.severity, found.tasks) == ("warning", ("gather",))
    assert '`reduce: "${scan}"`' in found.fix


RULES = "Our rules are these, and every one of them has to be looked at with care. " * 400


def items(prompt: str, count: int = 9) -> Plan:
    over: list[object] = list(range(count))
    return Plan(name="p", tasks=(Task(id="t", prompt=prompt, model="haiku", each=Each(over=over)),))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (items("Review ${item}. " + RULES), True),
        (items("In ${item}: " + RULES + " Begin with ${item}"), True),
        (items(RULES + "Review ${item}."), False),
        (items("Review ${item}. Be brief."), False),
        (items("Review ${item}. " + RULES, count=2), False),
        (items(RULES), False),
    ],
)
def test_a_long_text_behind_the_item(plan: Plan, told: bool) -> None:
    found = list(context.unshared_prefix(scene_of(plan)))
    assert slugs(found) == ([("info", ("t",))] if told else [])
    assert all(finding.nusd and finding.nusd > 0 for finding in found)


def test_tasks_written_one_by_one_that_end_alike() -> None:
    plan = beside(*[f"Review {name}. {RULES}" for name in ("auth", "billing", "search")])
    [found] = context.unshared_prefix(scene_of(plan))
    assert found.tasks == ("t1", "t2", "t3")
    turned = beside(*[f"{RULES} Review {name}." for name in ("auth", "billing", "search")])
    assert not list(context.unshared_prefix(scene_of(turned)))
