"""What happens when something fails: nothing is said, or what must not happen twice is tried again."""

from __future__ import annotations

from collections.abc import Iterable

from stretto.lint.effects import effect_of
from stretto.lint.money import weighty
from stretto.lint.scene import Scene, around, task_of
from stretto.plan.finding import Finding, Severity
from stretto.plan.graph import Element
from stretto.plan.model import Group


def no_error_handling(scene: Scene) -> Iterable[Finding]:
    agents = [element for element in scene.tasks if task_of(element).action == "prompt"]
    if not agents or any(_is_careful(scene, element) for element in scene.graph.elements.values()):
        return
    severity: Severity = "warning" if weighty(scene) else "info"
    message = "nothing says what happens when an agent fails or answers wrongly: one failure ends the run"
    fix = _handling(scene, agents)
    yield scene.finding("no-error-handling", severity, [], message, fix)


def _is_careful(scene: Scene, element: Element) -> bool:
    """Whether a part says what is to happen when it fails, or how a wrong answer would be seen."""
    part = element.part
    if part.quorum is not None or part.optional:
        return True
    if isinstance(part, Group):
        return bool(part.merge_check)
    return (
        part.check is not None or bool(part.climb_to) or part.attempts != 3 or scene.has(element, "attempts")
    )


def _handling(scene: Scene, agents: list[Element]) -> str:
    """What fits this plan best."""
    if scene.bare:
        return "say what a failed task means for the others, and how a wrong answer would be seen"
    for element in agents:
        each = next((above for above in around(element) if above.part.each is not None), None)
        if each is not None:
            return f"add `tolerate: 5%` to `{each.path}`, or a `check` to what must be right"
    last = agents[-1].path
    return (
        f"add a `check` to what must be right (`{last}`?), or `optional: true` to what the run can do without"
    )


def no_safe_retry(scene: Scene) -> Iterable[Finding]:
    """Effects in the world that would happen twice if an attempt that was cut off were repeated."""
    for element in scene.tasks:
        task = task_of(element)
        if task.attempts <= 1:
            continue
        effect = effect_of(task)
        if effect is None:
            continue
        severity: Severity = "info" if scene.bare else "warning"
        message = (
            f"`{element.path}` {effect}, and may be tried {task.attempts} times: "
            f"an attempt that breaks off afterwards is repeated"
        )
        fix = f"add `attempts: 1` to `{element.path}`, or say in it how to see that it was done already"
        if scene.bare:
            fix = "say in the prompt how to see that it was done already, and to leave it then"
        yield scene.finding("no-safe-retry", severity, [element], message, fix)


def no_timeout(scene: Scene) -> Iterable[Finding]:
    """A function that nothing would end; agents and commands have limits of their own."""
    if scene.plan.limits.time_s is not None:
        return
    endless = [
        element
        for element in scene.tasks
        if (task := task_of(element)).call and task.timeout_s is None and task.idle_s is None
    ]
    if endless:
        first = f"`{endless[0].path}`"
        who = (
            f"{first} is a function"
            if len(endless) == 1
            else f"{first} and {len(endless) - 1} more are functions"
        )
        message = (
            f"{who} that nothing ends if it hangs: there is no `timeout`, and no `limits: {{time: ...}}`"
        )
        fix = f"add `timeout: 10m` to {first}, or `limits: {{time: 1h}}` to the plan"
        yield scene.finding("no-timeout", "info", endless, message, fix)
