"""What `--redo` undoes: one task and everything below it, back to waiting."""

from __future__ import annotations

from stretto.errors import bug
from stretto.plan.model import Task
from stretto.scheduler.vertex import (
    NO_ANSWERS,
    RESULT,
    SUCCEEDED,
    WAITING,
    GroupVertex,
    TaskVertex,
    Vertex,
    good,
    target_of,
)


def invalidate(vertices: dict[str, Vertex], root: GroupVertex, id: str) -> tuple[list[Vertex], list[Vertex]]:
    """Resets a settled task or group and all below it.

    Returns what now waits for nothing, and what needs something that has failed and stays so, both in plan
    order. Nothing may be running. What an each grew from a list that is made anew is taken away again.
    """
    start = vertices.get(id)
    if start is None or start.state < SUCCEEDED:
        raise bug(f"TaskInvalidated for {id!r}, which is not settled")
    if isinstance(start, TaskVertex):
        start.answers = NO_ANSWERS  # whoever does a merge again wants other answers
    whole, joins = _affected(vertices, root, start)
    last = vertices.get(RESULT)
    if last is not None and last.state >= SUCCEEDED:
        whole.add(last)  # what came together there has to come together anew
    for vertex in list(vertices.values()):
        if vertex in whole and isinstance(vertex, GroupVertex) and vertex.grown:
            _ungrow(vertices, vertex)
    for vertex in list(vertices.values()):
        if vertex in whole or vertex in joins:
            _reset(vertex, whole=vertex in whole)
    doomed = _recount(vertices, root)
    return [v for v in vertices.values() if v.state == WAITING and not v.wait and not _opened(v)], doomed


def _opened(vertex: Vertex) -> bool:
    return isinstance(vertex, GroupVertex) and vertex.open


def needed(vertices: dict[str, Vertex], vertex: Vertex) -> list[Vertex]:
    """The vertices that one waits for (or waited for), apart from the opening of its group."""
    element, owner = vertex.element, vertex.owner
    if element is None or owner is None:
        return []
    if owner.grown and owner.element is element:
        return _reduced(vertices, vertex)
    return [vertices[target_of(need, vertex.scope)] for need in element.needs]


def _reduced(vertices: dict[str, Vertex], vertex: Vertex) -> list[Vertex]:
    """Inside a reduce: the calls of the round before."""
    if not (isinstance(vertex, TaskVertex) and vertex.task.reduce and vertex.task.each is None):
        return []
    round_, first, end = vertex.scope.item
    assert vertex.owner is not None
    return [vertices[f"{vertex.owner.id}.r{round_ - 1}.{k}"] for k in range(first, end)] if round_ > 1 else []


def _affected(
    vertices: dict[str, Vertex], root: GroupVertex, start: Vertex
) -> tuple[set[Vertex], set[Vertex]]:
    """(vertices that start anew, groups that merely have to be joined anew)."""
    below: dict[Vertex, list[Vertex]] = {}
    for vertex in vertices.values():
        for target in needed(vertices, vertex):
            below.setdefault(target, []).append(vertex)
    whole: set[Vertex] = set()
    joins: set[Vertex] = set()
    stack: list[tuple[Vertex, bool]] = [(start, True)]
    while stack:
        vertex, entire = stack.pop()
        seen = whole if entire else joins
        if vertex in seen or vertex is root:
            continue
        seen.add(vertex)
        stack.extend((other, True) for other in below.get(vertex, ()))
        if vertex.owner is not None:
            stack.append((vertex.owner, False))
        if entire and isinstance(vertex, GroupVertex):
            stack.extend((member, True) for member in vertex.members)
    return whole, joins - whole


def _ungrow(vertices: dict[str, Vertex], group: GroupVertex) -> None:
    stack: list[Vertex] = list(group.members)
    while stack:
        vertex = stack.pop()
        if vertices.pop(vertex.id, None) is None:
            continue
        if isinstance(vertex, GroupVertex):
            stack.extend(vertex.members)
        else:
            vertex.row.counts[vertex.state] -= 1
            vertex.row.total -= 1
    group.members = []
    group.complete = False


def _reset(vertex: Vertex, *, whole: bool) -> None:
    vertex.counted = False
    if isinstance(vertex, TaskVertex):
        if vertex.live:
            raise bug(f"TaskInvalidated while {vertex.id!r} is running")
        vertex.row.counts[vertex.state] -= 1
        vertex.row.counts[WAITING] += 1
        vertex.output, vertex.size, vertex.error, vertex.findings = "", 0, "", ""
        vertex.session = ""
        vertex.tries = vertex.interruptions = vertex.judged = vertex.not_before_us = 0
        vertex.rung, vertex.failed_rungs, vertex.passed, vertex.meter = -1, (), False, None
        vertex.conflict, vertex.mends = "", ()
    else:
        vertex.why = ""
        if whole:
            # The join of one item has no needs of its own: it is open as soon as it exists.
            vertex.open = (
                vertex.owner is not None and vertex.owner.grown and vertex.owner.element is vertex.element
            )
    vertex.state = WAITING


def _recount(vertices: dict[str, Vertex], root: GroupVertex) -> list[Vertex]:
    """Counts waits and joins anew from the states and links what waits; returns what waits in vain."""
    doomed: list[Vertex] = []
    everyone: list[Vertex] = [root, *vertices.values()]
    for vertex in everyone:
        vertex.below = None
        if isinstance(vertex, GroupVertex):
            vertex.left = sum(m.state < SUCCEEDED for m in vertex.members)
            vertex.ok = sum(m.state == SUCCEEDED for m in vertex.members)
            vertex.failed = sum(m.state > SUCCEEDED and not good(m) for m in vertex.members)
    for vertex in vertices.values():
        if vertex.state != WAITING:
            continue
        vertex.wait = int(vertex.owner is not None and not vertex.owner.open)
        if vertex.id == RESULT:
            vertex.wait = int(root.left > 1)
        for target in needed(vertices, vertex):
            if target.state < SUCCEEDED:
                vertex.wait += 1
                if target.below is None:
                    target.below = []
                target.below.append(vertex)
            elif not good(target):
                vertex.wait += 1
                doomed.append(vertex)
    return doomed


def is_reduce(vertex: GroupVertex) -> bool:
    """True where the members are the rounds of a reduction, not the items of an each."""
    part = vertex.element.part if vertex.element is not None else None
    return isinstance(part, Task) and bool(part.reduce) and part.each is None
