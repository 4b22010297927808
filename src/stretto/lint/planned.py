"""What an author gives to the tasks that a planner will write: files that all of them write at once."""

from __future__ import annotations

from collections.abc import Iterable

from stretto.lint.scene import Scene, task_of
from stretto.plan.finding import Finding
from stretto.plan.model import Growth, planned_by


def planned_writes(scene: Scene) -> Iterable[Finding]:
    """Planned tasks that write into one folder side by side: nobody knows yet which files those will be."""
    if scene.plan.limits.parallel == 1:
        return
    for element in scene.tasks:
        planner = task_of(element)
        if not planner.grow:
            continue
        given, most = planned_by(planner), (planner.growth or Growth()).max
        if given.writes and not given.isolation and most > 1:
            whose = f"the tasks that `{element.path}` plans (up to {most:,})"
            message = f"{whose} may write {', '.join(given.writes[:3])} at the same time: the last one wins"
            fix = "write `grow: {isolation: worktree, ...}`: each then works in a worktree of its own"
            yield scene.finding("write-conflict", "warning", [element], message, fix)
