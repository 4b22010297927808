"""Parts of a plan: some tasks or groups with everything they need, and nothing else."""

from __future__ import annotations

import difflib
from dataclasses import replace

from stretto.errors import StrettoError
from stretto.plan.graph import Element, Graph, build, subtree
from stretto.plan.model import Group, Part, Plan


def find(plan: Plan, graph: Graph, path: str) -> Element:
    """The part at a path (`files.scan`). Raises `no-such-task`."""
    found = graph.elements.get(path)
    if found is not None:
        return found
    near = difflib.get_close_matches(path, graph.elements, n=1)
    without = ".".join(word for word in path.split(".") if not word.isdigit())
    if without != path and without in graph.elements:
        fix = f"write {without!r}: before a run there are no items yet"
    elif near:
        fix = f"did you mean {near[0]!r}?"
    else:
        names = ", ".join(list(graph.elements)[:12])
        fix = f"the plan has: {names}"
    raise StrettoError("no-such-task", f"the plan {plan.name!r} has no task {path!r}", next=fix)


def prune(plan: Plan, *paths: str, graph: Graph | None = None) -> Plan:
    """The plan without what neither these parts nor anything they need would miss. Raises `no-such-task`."""
    graph = graph or build(plan)
    kept: set[Element] = set()
    whole: list[Element] = [find(plan, graph, path) for path in paths]
    while whole:
        for element in subtree(whole.pop()):
            if element in kept:
                continue
            kept.add(element)
            whole.extend(need.target for need in element.needs)
        # The groups around it stay too, with their needs, but not with all of their members.
        whole.extend(_opening(kept))
    return replace(plan, tasks=_parts(graph.roots, kept))


def _opening(kept: set[Element]) -> list[Element]:
    """Marks the groups around what is kept; returns what these need."""
    found: list[Element] = []
    for element in list(kept):
        owner = element.owner
        while owner is not None and owner not in kept:
            kept.add(owner)
            found.extend(need.target for need in owner.needs)
            owner = owner.owner
    return found


def _parts(members: dict[str, Element], kept: set[Element]) -> tuple[Part, ...]:
    found: list[Part] = []
    for element in members.values():
        if element not in kept:
            continue
        part = element.part
        if isinstance(part, Group):
            tasks = _parts(element.members, kept)
            if tasks != part.tasks:
                # A quorum over the items of an each still means the same; one over members does not.
                quorum = part.quorum if part.each is not None else None
                part = replace(part, tasks=tasks, quorum=quorum)
        found.append(part)
    return tuple(found)
