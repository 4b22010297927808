"""A strong model writes the plan instead of the rules, until the critic has nothing against it.

Each round is a run of a plan of one task: journal and ledger see every call. What the critic found goes back
into the next round's prompt; after the last one the plan of the rules is what is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stretto.draft import Draft, Price, cap_of, compiled, heading, sound
from stretto.draft.phrases import safe
from stretto.draft.repository import Repository
from stretto.draft.shapes import PLANNER
from stretto.draft.tree import PATTERNS
from stretto.errors import StrettoError
from stretto.lint.pattern import pattern_of
from stretto.models import Catalogue
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Limits, Output, Part, Plan, Schema, Task
from stretto.spec.fields import TASK
from stretto.spec.planner import PLANNED
from stretto.spec.writing import plan_yaml

ROUNDS = 3
MAX_TOKENS = 12_000
TIMEOUT_S = 600.0
NAME = "draft"
TASKS = 100
"""As many tasks as the plan of a planner may have."""

GUIDE = """\
You write plans for Stretto, which runs many agents from one plan. Write the plan for the goal below.

Choose the pattern first, and the smallest one that does:
- one-agent: small, or its parts have to be touched together. One task. Never orchestrate a small job.
- fan-out: parts that are known and stand alone. One task with `each`, or tasks without needs.
- pipeline: a fixed order. Each task needs the one before.
- hierarchy: the parts are known only after somebody has looked or planned. A planner returns a list, one
  task with `each` goes over it, one task brings it together.
- scatter-gather: several views of one thing, one answer. Parallel tasks, and one that needs all of them.
- map-reduce: many like items, one result. A task with `each`, and one with `reduce`.

A task has an `id` (lower-case letters, digits, `-`), a `prompt`, and as it needs:
- `model`: haiku for mechanical work (find, list, count, read, format, extract, simple edits), sonnet for
  development and analysis, opus for strategy (architecture, choice of technology, planning). Most tasks
  are not for opus.
- `needs`: ids that must succeed before; their outputs are handed over below the prompt. `after`: order only.
- `${id}` in a prompt stands for that task's output and is a need by itself; `${id.field}` digs into JSON.
- `each`: a list, or "${id}" of a task whose output is `lines`: one copy for each entry, `${item}` in the
  prompt. Always with `max`, and with `tolerate` (a count or "5%") for those that may fail.
- `reduce`: "${id}" of a task with `each`: merges its outputs in a tree of calls.
- `output`: text, lines or json. `tools`: search, list, read, to look at the project's files.
- `attempts`: 1 for what must not be done twice (sending, paying, publishing, deploying).

Every prompt says what it is about, what to return, and how to tell that it is done; whoever gets it sees
nothing else than the prompt and what is handed over. No task uses what another makes without a need on it."""


def _list_of(says: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": says}


def _answer() -> Schema:
    """What the model returns: the planner's safe subset, with lists to go over, and why."""
    task = PLANNED["properties"]["tasks"]["items"]
    more: Schema = {
        "each": {"anyOf": [{"type": "string"}, _list_of("Entries.")], "description": TASK["each"].says},
        "max": {"type": "integer", "description": TASK["max"].says},
        "tolerate": {"type": "string", "description": TASK["tolerate"].says},
        "reduce": {"type": "string", "description": TASK["reduce"].says},
        "attempts": {"type": "integer", "description": TASK["attempts"].says},
        "tools": {
            **_list_of(TASK["tools"].says),
            "items": {"type": "string", "enum": ["read", "search", "list"]},
        },
    }
    tasks = {
        **PLANNED["properties"]["tasks"],
        "items": {**task, "properties": {**task["properties"], **more}},
    }
    return {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "enum": list(PATTERNS)},
            "reasons": _list_of("Why this pattern and no other, each in one sentence."),
            "tasks": tasks,
        },
        "required": ["pattern", "reasons", "tasks"],
        "additionalProperties": False,
    }


ANSWER = _answer()


class Answered(NamedTuple):
    """What came of one run of the asking plan."""

    value: Any
    """The model's answer; None where it gave none."""
    nusd: int
    """What it cost, what is held included."""
    code: int
    """The exit code of the run."""


class Asked(NamedTuple):
    """How asking ended: with a plan that passes, or with the reason why not."""

    draft: Draft | None
    rounds: int
    nusd: int
    findings: tuple[Finding, ...] = ()
    """Of the last plan; empty where it passed, or there was none."""
    code: int = 0
    """The exit code of a run that did not come to its end."""


Run = Callable[[Plan], Answered]
Review = Callable[[Plan, Sequence[Finding]], Sequence[Finding]]
"""What keeps a plan from being in order, for what the compiler said of it."""


def ask(
    start: Draft,
    repository: Repository,
    on: str,
    run: Run,
    review: Review,
    price: Price,
    cap_nusd: int,
    catalogue: Catalogue,
) -> Asked:
    """Lets a model write the plan; at most three rounds, and together at most `cap_nusd`."""
    spent = 0
    before: tuple[str, Sequence[Finding]] | None = None
    for number in range(1, ROUNDS + 1):
        plan = asking_plan(start, repository, on, catalogue, cap_nusd - spent, before)
        answered = run(plan)
        spent += answered.nusd
        if answered.value is None:
            return Asked(None, number, spent, tuple(before[1]) if before else (), answered.code)
        made, findings = plan_of(answered.value, start, price, catalogue)
        standing = review(made, findings) if made is not None else findings
        wrong = [finding for finding in standing if finding.severity != "info"]
        if made is not None and not wrong:
            return Asked(_drafted(answered.value, made, start, price, catalogue), number, spent)
        before = (json.dumps(answered.value), wrong)
        if spent >= cap_nusd:
            break
    return Asked(None, number, spent, tuple(before[1]) if before else ())


def asking_plan(
    start: Draft,
    repository: Repository,
    on: str,
    catalogue: Catalogue,
    cap_nusd: int,
    before: tuple[str, Sequence[Finding]] | None = None,
) -> Plan:
    """The plan of one task by which the model is asked; with its last answer and what was wrong with it."""
    rows = [
        GUIDE,
        f"<goal>\n{start.goal}\n</goal>",
        f"The project it stands in: {repository.said()}.",
        f"A plan that simple rules made of it, to start from or to throw away:\n<plan>\n{start.text}</plan>",
    ]
    if before is not None:
        said = "\n".join(_said(finding) for finding in before[1])
        rows += [f"Your last answer:\n{before[0]}", f"What was wrong with it; mend all of it:\n{said}"]
    task = Task(
        id=NAME,
        prompt=safe("\n\n".join(rows)),
        model=_model(on, catalogue),
        output=Output(kind="json", schema=ANSWER),
        max_tokens=MAX_TOKENS,
        timeout_s=TIMEOUT_S,
        attempts=2,
    )
    return Plan(name=NAME, tasks=(task,), limits=Limits(usd_nusd=max(0, cap_nusd)))


def _model(on: str, catalogue: Catalogue) -> str:
    """The model for strategy, where this agent knows it."""
    try:
        catalogue.resolve(PLANNER, on)
    except StrettoError:
        return "auto"
    return PLANNER


def _said(finding: Finding) -> str:
    tasks = f" ({', '.join(finding.tasks)})" if finding.tasks else ""
    fix = f" Mend: {finding.fix}" if finding.fix else ""
    return f"- {finding.slug}{tasks}: {finding.message}.{fix}"


def plan_of(
    answer: Any, start: Draft, price: Price, catalogue: Catalogue
) -> tuple[Plan | None, list[Finding]]:
    """The plan that an answer means, with a cap by its estimate; None where it has errors."""
    tasks = answer["tasks"]
    twice = {task["id"] for task in tasks if sum(task["id"] == other["id"] for other in tasks) > 1}
    if twice or len(tasks) > TASKS:
        message = f"two tasks are called {min(twice)!r}" if twice else f"the plan has more than {TASKS} tasks"
        return None, [Finding("duplicate-id" if twice else "too-many-tasks", "error", message)]
    parts = {task["id"]: {key: value for key, value in task.items() if key != "id"} for task in tasks}
    data = {"stretto": 1, "name": start.plan.name, "tasks": parts}
    try:
        plan, findings = compiled(json.dumps(data), catalogue, "answer")
    except StrettoError as bad:
        return None, [Finding(bad.slug, "error", bad.what, bad.at, bad.next)]
    if plan is None:
        return None, findings
    plan = replace(plan, tasks=tuple(_in_time(part) for part in plan.tasks))
    return replace(plan, limits=Limits(usd_nusd=cap_of(price(plan)))), findings


def _in_time(part: Part) -> Part:
    """With a time that one attempt may take."""
    return replace(part, timeout_s=TIMEOUT_S) if isinstance(part, Task) and part.timeout_s is None else part


def _drafted(answer: Any, plan: Plan, start: Draft, price: Price, catalogue: Catalogue) -> Draft:
    """The draft of a plan that passed; its pattern is the one that it has, whatever the answer calls it."""
    seen = pattern_of(plan, build(plan))
    pattern = seen.name if seen is not None else answer["pattern"]
    inside = seen.inside if seen is not None else ()
    reasons = tuple(str(reason) for reason in answer["reasons"])
    text = plan_yaml(plan, heading(start.goal, pattern, inside, reasons))
    made = sound(text, catalogue)
    return Draft(start.goal, pattern, inside, start.answers, reasons, made, text, price(made), start.other)
