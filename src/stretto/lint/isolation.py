"""Worktrees: what a task changes in its own is not seen by one that looks into the project's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stretto.lint.scene import Scene, around, task_of
from stretto.plan.finding import Finding
from stretto.plan.graph import Element, subtree
from stretto.plan.model import Task


def unseen_changes(scene: Scene) -> Iterable[Finding]:
    """Tasks that come after work in a worktree and look at files, but at those of the user."""
    if not any(task_of(element).isolation for element in scene.tasks):
        return
    for element in scene.tasks:
        task = task_of(element)
        if task.isolation or not _looks_at_files(task):
            continue
        changing = next((other for other in _before(element) if _changes_files(other)), None)
        if changing is not None:
            message = (
                f"`{element.path}` looks at the files of the project, and what `{changing.path}` changes "
                f"before it stands in a worktree: it will see none of it"
            )
            fix = f"add `isolation: worktree` to `{element.path}`: it starts from that work then"
            yield scene.finding("unseen-changes", "warning", [element, changing], message, fix)


def _looks_at_files(task: Task) -> bool:
    return bool(task.run or task.reads or task.tools)


def _changes_files(element: Element) -> bool:
    task = element.part
    return isinstance(task, Task) and bool(task.isolation)


def _before(element: Element) -> Iterator[Element]:
    """Every task that an element, or a group around it, waits for: the nearest first."""
    seen: set[Element] = set()
    waiting = around(element)
    while waiting:
        here = waiting.pop(0)
        for need in here.needs:
            for target in subtree(need.target):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
                    yield target
