"""Agents with more rights than a plan seems to give them, and roles that cannot do what they are for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stretto.lint.scene import Scene, task_of
from stretto.plan.finding import Finding
from stretto.plan.graph import Element
from stretto.plan.model import planned_by
from stretto.plan.role import CLAUDE, TRUSTED, WRITES, Role, bare

SHOWN = 5
"""Tasks that a message names."""


def trusts_agent(scene: Scene) -> Iterable[Finding]:
    """Agents that run commands: with the user's rights, and past every bound of a task."""
    for name, elements in _by_role(scene):
        role = scene.plan.roles[name]
        whose = next((other for other in _with_its_agents(scene, role) if _lists(other, TRUSTED)), None)
        if whose is None:
            continue
        by = "lists" if whose is role else f"may start {whose.name!r}, which lists"
        message = (
            f"{_named(elements)} in the role {name!r}, which {by} Bash: it is trusted with your rights, and"
            " neither the root nor a worktree confines what it runs"
        )
        fix = "if it need not run anything, name a role without Bash (`stretto roles` lists them)"
        yield scene.finding("trusts-agent", "info", elements, message, fix)


def unused_rights(scene: Scene) -> Iterable[Finding]:
    """Roles that may change files, in tasks that declare to write none."""
    for name, idle in _by_role(scene, idle=True):
        role = scene.plan.roles[name]
        if _lists(role, WRITES):
            tools = ", ".join(_lists(role, WRITES))
            message = f"{_named(idle)} in the role {name!r}, which lists {tools}, and declares no `writes`"
            fix = f'it only reads so; add `writes: ["src/**"]` to `{idle[0].path}` if it is to change files'
            yield scene.finding("unused-rights", "info", idle, message, fix)


def _by_role(scene: Scene, *, idle: bool = False) -> Iterator[tuple[str, list[Element]]]:
    """The tasks of Claude Code that have a role, by its name, or of `idle` ones those that write nothing.

    A judge has none; a planner stands for the tasks that it may give one to.
    """
    found: dict[str, list[Element]] = {}
    for element in scene.tasks:
        task = task_of(element)
        doers = [(task, [task.role])]
        if task.grow and task.growth is not None:
            planned = planned_by(task)
            doers.append((planned, [*task.growth.roles, planned.role]))
        for doer, roles in doers:
            if doer.action != "prompt" or doer.agent(scene.on).partition(":")[0] != CLAUDE:
                continue
            for name in roles if not (idle and doer.writes) else ():
                if name in scene.plan.roles and element not in found.setdefault(name, []):
                    found[name].append(element)
    yield from found.items()


def _with_its_agents(scene: Scene, role: Role) -> Iterator[Role]:
    yield role
    for name in role.agents:
        if name in scene.plan.roles:
            yield scene.plan.roles[name]


def _lists(role: Role, tools: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(tool for tool in map(bare, role.tools or ()) if tool in tools))


def _named(elements: list[Element]) -> str:
    names = ", ".join(f"`{element.path}`" for element in elements[:SHOWN])
    more = f" and {len(elements) - SHOWN} more" if len(elements) > SHOWN else ""
    return f"{names}{more} {'works' if len(elements) == 1 else 'work'}"
