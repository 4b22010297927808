"""The critical path: the chain of tasks that a run's length came from."""

from __future__ import annotations

from collections.abc import Callable

from stretto.scheduler.invalidate import needed
from stretto.scheduler.state import State
from stretto.scheduler.vertex import TaskVertex, Vertex

Ends = dict[Vertex, tuple[int, TaskVertex | None]]


def critical_path(state: State, ended_us: Callable[[TaskVertex], int]) -> list[TaskVertex]:
    """The chain, first to last; `ended_us` says when a task ended, 0 for one that did not.

    Walked backwards from the task that ended last: of what each waited for, what ended last.
    """
    ends: Ends = {}
    path: list[TaskVertex] = []
    seen: set[str] = set()
    here = _last(list(state.root.members), ended_us, ends)
    while here is not None and here.id not in seen:
        path.append(here)
        seen.add(here.id)
        waited: list[Vertex] = []
        vertex: Vertex | None = here
        while vertex is not None and vertex is not state.root:
            waited.extend(needed(state.vertices, vertex))
            vertex = vertex.owner
        here = _last(waited, ended_us, ends)
    return path[::-1]


def _last(among: list[Vertex], ended_us: Callable[[TaskVertex], int], ends: Ends) -> TaskVertex | None:
    found = max((_end(vertex, ended_us, ends) for vertex in among), key=lambda e: e[0], default=(0, None))
    return found[1]


def _end(vertex: Vertex, ended_us: Callable[[TaskVertex], int], ends: Ends) -> tuple[int, TaskVertex | None]:
    """When a vertex ended, and which of its tasks ended last."""
    known = ends.get(vertex)
    if known is not None:
        return known
    ended: tuple[int, TaskVertex | None]
    if isinstance(vertex, TaskVertex):
        at_us = ended_us(vertex)
        ended = (at_us, vertex) if at_us else (0, None)
    else:
        last = [_end(member, ended_us, ends) for member in vertex.members]
        ended = max(last, key=lambda e: e[0], default=(0, None))
    ends[vertex] = ended
    return ended
