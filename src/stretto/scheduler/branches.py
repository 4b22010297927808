"""Whose work a task in a worktree starts from: the nearest above it that have a branch, in plan order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from stretto.plan.graph import Element
from stretto.plan.model import Plan, Task, tasks_in
from stretto.scheduler.invalidate import needed
from stretto.scheduler.vertex import RESULT, SUCCEEDED, GroupVertex, TaskVertex, Vertex

if TYPE_CHECKING:
    from stretto.scheduler.state import State


def isolates(plan: Plan, on: str) -> bool:
    """Whether a run of this plan makes worktrees; `on` is the agent of prompts that name none."""
    for task in tasks_in(plan.tasks):
        grown = task.growth.task if task.growth is not None else None
        if has_branch(task, on) or (grown is not None and has_branch(replace(grown, prompt="grown"), on)):
            return True
    return False


def has_branch(task: Task, on: str) -> bool:
    """Whether a task works in a worktree: one that is only pretended changes nothing anywhere."""
    return bool(task.isolation) and task.agent(on).partition(":")[0] != "simulated"


def result_element(index: int) -> Element:
    """Where that vertex stands in the plan: behind everything."""
    return Element(Task(id=RESULT, call=RESULT, isolation="worktree"), None, RESULT, index)


def is_result(vertex: Vertex) -> bool:
    return vertex.id == RESULT


def bases(state: State, vertex: TaskVertex) -> list[TaskVertex]:
    """The tasks whose branches, merged in this order, are what a task starts from.

    Of the result those are all that succeeded. A branch that another one of them contains is left out.
    """
    on = state.started.on if state.started is not None else ""
    walk = _Walk(state, on)
    if is_result(vertex):
        found = [task for task in tasks_of(state) if branched(task, on)]
        inner = {below for task in found for below in walk.nearest(task)}
        return [task for task in found if task not in inner]
    found = walk.nearest(vertex)
    if len(found) < 2:
        return found
    inner = walk.all_below(found)
    return [task for task in found if task not in inner]


def branched(vertex: TaskVertex, on: str) -> bool:
    """Whether there is a branch of a task to start from."""
    return vertex.state == SUCCEEDED and has_branch(vertex.task, on) and not is_result(vertex)


def tasks_of(state: State) -> Iterator[TaskVertex]:
    """Every task of a run, in plan order and in that of items."""
    stack: list[Vertex] = state.root.members[::-1]
    while stack:
        vertex = stack.pop()
        if isinstance(vertex, TaskVertex):
            yield vertex
        else:
            stack.extend(reversed(vertex.members))


class _Walk:
    """Goes upwards from tasks to those that have branches, each looked at once."""

    def __init__(self, state: State, on: str):
        self._state = state
        self._on = on
        self._nearest: dict[TaskVertex, list[TaskVertex]] = {}
        self._order: dict[Vertex, int] = {}

    def nearest(self, vertex: TaskVertex) -> list[TaskVertex]:
        found = self._nearest.get(vertex)
        if found is None:
            found = self._nearest[vertex] = self._look(vertex)
        return found

    def all_below(self, tasks: list[TaskVertex]) -> set[TaskVertex]:
        """Everything that the branches of these contain, apart from themselves."""
        inner: set[TaskVertex] = set()
        stack = [below for task in tasks for below in self.nearest(task)]
        while stack:
            task = stack.pop()
            if task not in inner:
                inner.add(task)
                stack.extend(self.nearest(task))
        return inner

    def _look(self, vertex: TaskVertex) -> list[TaskVertex]:
        found: set[TaskVertex] = set()
        seen: set[Vertex] = set()
        stack = list(self._waited(vertex))
        while stack:
            target = stack.pop()
            if target in seen:
                continue
            seen.add(target)
            if isinstance(target, GroupVertex):
                stack.extend(target.members)
                stack.extend(self._waited(target))
            elif branched(target, self._on):
                found.add(target)
            else:
                stack.extend(self._waited(target))
        if len(found) < 2:
            return list(found)
        order = self._in_plan()
        return sorted(found, key=order.__getitem__)

    def _waited(self, vertex: Vertex) -> Iterator[Vertex]:
        """What a vertex, and the groups around it, had to wait for."""
        here: Vertex | None = vertex
        while here is not None:
            yield from needed(self._state.vertices, here)
            here = here.owner

    def _in_plan(self) -> dict[Vertex, int]:
        if not self._order:
            self._order = {task: k for k, task in enumerate(tasks_of(self._state))}
        return self._order
