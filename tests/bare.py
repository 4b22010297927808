"""Bare plans for tests: read from a text, and shown as stages in one line."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from stretto.plan.finding import Finding
from stretto.plan.model import Expect, Plan, Task
from stretto.spec.bare import read_bare
from stretto.spec.compile import compile_plan
from stretto.spec.load import Loaded, load_all


def shown(plan: Plan) -> str:
    """A plan's stages, each needing all of the one before: ids, model and declared figures of its tasks."""
    stages: list[list[Task]] = []
    for task in tasks_of(plan):
        before = tuple(other.id for other in stages[-2]) if len(stages) > 1 else ()
        if not stages or task.needs != before:
            assert (
                task.needs == tuple(other.id for other in stages[-1] if stages) if stages else not task.needs
            )
            stages.append([])
        stages[-1].append(task)
    return " > ".join(", ".join(runs(stage)) for stage in stages)


def runs(stage: list[Task]) -> Iterator[str]:
    for said, alike in itertools.groupby(stage, key=said_of):
        ids = [task.id.removeprefix("task-") for task in alike]
        yield f"{ids[0]}-{ids[-1]} {said}" if len(ids) > 1 else f"{ids[0]} {said}"


def said_of(task: Task) -> str:
    expect = task.expect or Expect()
    usd = f" ${expect.nusd / 1e9:g}" if expect.nusd is not None else ""
    time = f" {expect.time_s / 60:g}m" if expect.time_s is not None else ""
    return f"{task.model}{usd}{time}"


def tasks_of(plan: Plan) -> list[Task]:
    assert all(isinstance(part, Task) for part in plan.tasks)
    return [part for part in plan.tasks if isinstance(part, Task)]


def read(text: str, *, page: bool = False) -> tuple[list[Plan | None], list[Finding]]:
    """The plans of a text, and all findings about it."""
    bare, findings = read_bare(text, "plan.md" if page else "plan.py", page=page)
    plans = []
    for entry in bare:
        plan, found = compile_plan(entry.raw, source="plan.py")
        plans.append(plan)
        findings = [*findings, *entry.findings, *found]
    return plans, findings


def only(text: str) -> Plan:
    plans, findings = read(text)
    assert [f for f in findings if f.severity == "error"] == []
    (plan,) = plans
    assert plan is not None
    return plan


def staged(text: str) -> str:
    return shown(only(text)).replace(" auto", "")


def prompts(text: str) -> list[str]:
    return [task.prompt for task in tasks_of(only(text))]


def slugs(text: str) -> list[tuple[str, str]]:
    return [(f.slug, f.at.removeprefix("plan.py:")) for f in read(text)[1]]


def loaded(folder: Path, text: str, name: str = "plan.py") -> list[Loaded]:
    path = folder / name
    path.write_text(text)
    return load_all(path)
