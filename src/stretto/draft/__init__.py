"""The decision tree: from a goal in words to a pattern and a plan."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from stretto.draft.orchestrated import compared, orchestrated
from stretto.draft.phrases import id_of
from stretto.draft.prompts import Setting, about_code
from stretto.draft.reading import read_goal
from stretto.draft.repository import Repository
from stretto.draft.settled import settled
from stretto.draft.shapes import shape
from stretto.draft.tree import READABLE, Answer, Path, Pattern, decide
from stretto.errors import StrettoError, bug
from stretto.estimate import Estimate
from stretto.lint.pattern import pattern_of
from stretto.models import BUILTIN, Catalogue
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Limits, Plan
from stretto.spec.compile import compile_plan
from stretto.spec.writing import plan_yaml
from stretto.spec.yaml import read_yaml

LONGEST = 20_000
"""Characters of a goal: what is longer is material, and belongs into a file."""
COLUMNS = 100
SHOWN = 600
"""Characters of a goal in the head of its plan."""
NUSD = 1_000_000_000
LEAST_CAP_NUSD = NUSD // 2
ROOM = 1.2
"""How far above the high end of its estimate a plan's cap is."""

Price = Callable[[Plan], Estimate]
"""What a plan would cost here."""


class Draft(NamedTuple):
    """A goal, the pattern that it asks for with the reasons, and the plan."""

    goal: str
    pattern: Pattern
    nesting: tuple[str, ...]
    """The patterns inside, the outer ones first."""
    answers: tuple[Answer, ...]
    """The way through the tree."""
    reasons: tuple[str, ...]
    plan: Plan
    text: str
    """The plan as YAML, with the reasons at its top."""
    estimate: Estimate
    other: Estimate | None = None
    """Of one agent's work: what orchestrating the same would cost."""


def draft(goal: str, repository: Repository, price: Price, *, catalogue: Catalogue = BUILTIN) -> Draft:
    """Reads a goal and writes a plan for it; asks nobody. Raises `bad-goal` for what is no goal."""
    words = checked(goal)
    read = read_goal(words)
    path = decide(read)
    setting = Setting(read, repository, about_code(read, repository))
    parts, inputs = shape(setting, path)
    asked = next((piece.said for piece in read.pieces if piece.asked), words[:200])
    plan = Plan(name=id_of(asked, (), "plan"), tasks=parts, inputs=inputs)
    plan = sound(plan_yaml(plan), catalogue)
    found = price(plan)
    plan = settled(replace(plan, limits=Limits(usd_nusd=cap_of(found))), path.pattern, catalogue)
    reasons = reasons_of(path)
    other = price(orchestrated(plan)) if path.pattern == "one-agent" else None
    if other is not None and (said := compared(found, other)):
        reasons.append(said)
    seen = pattern_of(plan, build(plan))
    inside = tuple(name for name in seen.inside if name != path.pattern) if seen is not None else ()
    text = plan_yaml(plan, heading(words, path.pattern, inside, reasons))
    made = sound(text, catalogue)
    return Draft(
        words, path.pattern, inside, tuple(path.answers), tuple(reasons), made, text, price(made), other
    )


def checked(goal: str) -> str:
    """The goal without blanks around it."""
    words = goal.strip()
    if not any(letter.isalnum() for letter in words):
        raise StrettoError(
            "bad-goal",
            f"{words[:40]!r} says nothing that could be done" if words else "there is no goal",
            next='say in a sentence or two what is wanted: stretto draft "Review every service and report"',
        )
    if len(words) > LONGEST:
        raise StrettoError(
            "bad-goal",
            f"a goal may have {LONGEST:,} characters; this one has {len(words):,}",
            next="say what is wanted, and name the file in which the material is",
        )
    return words


def sound(text: str, catalogue: Catalogue) -> Plan:
    """The plan that a text of our own compiles to."""
    plan, findings = compiled(text, catalogue)
    if plan is None:
        raise bug(f"a drafted plan does not compile: {'; '.join(f.message for f in findings)}")
    return plan


def compiled(text: str, catalogue: Catalogue, source: str = "plan.yaml") -> tuple[Plan | None, list[Finding]]:
    """The plan of a text, None where it has errors, and everything that is wrong with it."""
    findings: list[Finding] = []
    raw = read_yaml(text, source, findings)
    plan, more = compile_plan(raw, source=source, text=text, catalogue=catalogue)
    return (None if findings else plan), [*findings, *more]


def cap_of(found: Estimate) -> int | None:
    """A round sum with room above the high end of the estimate, and for the bound of one more call."""
    if found.nusd is None or found.worst.nusd is None or not found.worst.calls:
        return None
    call_nusd = found.worst.nusd / found.worst.calls * (4 if found.worst.turns else 2)
    return rounded_up(max(LEAST_CAP_NUSD, round(found.nusd.high * ROOM + call_nusd)))


def rounded_up(nusd: int) -> int:
    """The next of 0.50, 1, 2, 3, 5, 10, 20, 30, 50, ... dollars."""
    unit = NUSD // 10
    while 5 * unit < nusd:
        unit *= 10
    return next(times * unit for times in (1, 2, 3, 5) if times * unit >= nusd)


def reasons_of(path: Path) -> list[str]:
    """The way through the tree in sentences."""
    rows = []
    for answer in path.answers:
        words = f' ("{answer.words}")' if answer.words and answer.yes else ""
        rows.append(f"{answer.question} {'yes' if answer.yes else 'no'}{words}")
    if path.answers and path.answers[0].question == READABLE:
        rows.append("Cannot tell from these words: one agent gets the goal as it is")
    elif not any(answer.yes for answer in path.answers):
        rows.append("Nothing in the words says that it has parts: one agent does it")
    return rows


def heading(goal: str, pattern: str, inside: Sequence[str], reasons: Sequence[str]) -> list[str]:
    """The comment at the top of the plan."""
    flat = " ".join(goal.split())
    nested = f", with {' and '.join(inside)} inside" if inside else ""
    rows = [
        f"Goal: {flat[:SHOWN]}{'...' if len(flat) > SHOWN else ''}",
        f"Pattern: {pattern}{nested}",
        *(f"- {reason}" for reason in reasons),
    ]
    return [line for row in rows for line in textwrap.wrap(row, COLUMNS, subsequent_indent="  ")]
