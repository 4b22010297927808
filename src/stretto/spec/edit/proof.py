"""Whether a changed plan is the old one with its mends made, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from stretto.plan.finding import Finding
from stretto.plan.graph import Element, Graph, build, order_of, points_before
from stretto.plan.model import Part, Plan, Task
from stretto.spec.edit.asked import Asked
from stretto.spec.load import Kind


class Reading(NamedTuple):
    """What the compiler made of a text: its plans, those with errors too, and what it found."""

    kind: Kind
    file: str
    """As the places begin."""
    plans: Sequence[Plan]
    findings: Sequence[Finding] = ()


def why_not(before: Reading, after: Reading, asked: Sequence[Asked]) -> str:
    """What else would change, or would not change as asked; empty where all is as it should be."""
    new = Counter(map(_name, after.findings)) - Counter(map(_name, before.findings))
    for finding in after.findings:
        if finding.severity == "error" and _name(finding) in new:
            return f"it would make an error: {finding.message}"
    if len(before.plans) != len(after.plans):
        return "it would change how many plans there are"
    needs_differ = _orders_differ if before.kind == "bare" else _needs_differ
    for was, now, wanted in zip(before.plans, after.plans, asked, strict=True):
        graph = build(now)
        why = _parts_differ(was, now, wanted, graph) or needs_differ(wanted, graph)
        if why:
            return why
    return ""


def _name(finding: Finding) -> tuple[str, tuple[str, ...]]:
    return finding.slug, finding.tasks


def _parts_differ(was: Plan, now: Plan, asked: Asked, graph: Graph) -> str:
    if replace(was, tasks=()) != replace(now, tasks=()):
        return "it would change the plan as a whole"
    old, new = asked.graph.elements, graph.elements
    if list(old) != list(new):
        return "it would change which tasks there are"
    for path, element in old.items():
        wanted, got = _alone(element.part, asked.models.get(path, "")), _alone(new[path].part)
        if wanted != got:
            differ = [f.name for f in fields(wanted) if getattr(wanted, f.name) != getattr(got, f.name, None)]
            return f"it would also change what {path!r} has as {', '.join(differ)}"
    return ""


def _alone(part: Part, model: str = "") -> Part:
    """A part without its needs and members; the order of a group is compared as the needs that it makes."""
    if isinstance(part, Task):
        return replace(part, needs=(), after=(), model=model or part.model)
    return replace(part, needs=(), after=(), tasks=(), order="parallel")


def _needs_differ(asked: Asked, graph: Graph) -> str:
    for path, old in asked.graph.elements.items():
        new, change = graph.elements[path], asked.changes.get(path)
        if change is None or not change.need_mends:
            if _needs(old) != _needs(new):
                return f"it would also change what {path!r} needs"
            continue
        gone = {target.path for target in change.remove.values()}
        wanted = {need.target.path: need.used for need in old.needs if need.target.path not in gone}
        wanted |= {target.path: True for target in change.add.values()}
        got = {need.target.path: need.used for need in new.needs}
        for still in sorted(gone & got.keys()):
            return f"{path!r} would still need {still!r}: something else in it refers to it"
        if got != wanted:
            return f"it would change what {path!r} needs in another way"
    return ""


def _needs(element: Element) -> set[tuple[str, str, bool, bool]]:
    return {(need.target.path, need.name, need.handed, need.used) for need in element.needs}


def _orders_differ(asked: Asked, graph: Graph) -> str:
    """In a bare file a whole stage waits for another one: what counts is what is over before what starts."""
    old, new = _before(asked.graph), _before(graph)
    for path, element in asked.graph.elements.items():
        was, now, change = old[element.index], new[element.index], asked.changes.get(path)
        if change is None or not change.add:
            if now != was:
                return f"a comment there would also change what {path!r} waits for"
            continue
        for target in change.add.values():
            was |= 1 << target.index
        if was & ~now:
            return f"a comment there would not make {path!r} wait for what it needs"
    return ""


def _before(graph: Graph) -> dict[int, int]:
    """Of each part by its index, the indices of those that are over when it ends, as bits."""
    found: dict[int, int] = {}
    reached: dict[tuple[Element, bool], int] = {}
    for point in order_of(graph)[0]:
        element, end = point
        past = 0
        for earlier in points_before(point):
            past |= reached.get(earlier, 0)
        found[element.index] = past
        reached[point] = past | (1 << element.index if end else 0)
    return found
