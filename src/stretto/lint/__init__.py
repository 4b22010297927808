"""Reads a plan as a critic: finds what will fail, waste or surprise, all at once, and prices it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stretto.lint import (
    context,
    faults,
    files,
    isolation,
    model,
    money,
    order,
    parts,
    planned,
    size,
    trust,
    vague,
)
from stretto.lint.scene import Scene
from stretto.models import is_free
from stretto.models.choice import Chooser
from stretto.plan.finding import Finding
from stretto.plan.graph import Graph, build
from stretto.plan.model import Plan

Rule = Callable[[Scene], Iterable[Finding]]

OF_TASKS: tuple[Rule, ...] = (
    model.oversized,
    model.undersized,
    vague.vague_prompts,
    parts.missed_parallelism,
    size.over_orchestration,
    size.too_fine_grained,
    money.no_budget,
    money.unbounded_fan_out,
    money.unpriced_model,
    faults.no_error_handling,
    faults.no_safe_retry,
    faults.no_timeout,
    trust.trusts_agent,
    trust.unused_rights,
    files.write_conflict,
    files.read_while_written,
    planned.planned_writes,
)
"""Rules that hold in a plan with errors too: of one task at a time, or of those whose order is sure."""

OF_PLANS: tuple[Rule, ...] = (
    order.missing_needs,
    order.sequential_bottlenecks,
    order.needless_barriers,
    isolation.unseen_changes,
    context.floods_gatherer,
    context.unshared_prefix,
)
"""Rules that must know what comes before what."""


def criticise(
    plan: Plan,
    chooser: Chooser,
    *,
    on: str = "messages",
    bare: bool = False,
    graph: Graph | None = None,
    free: Callable[[str], bool] = is_free,
    inputs: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Every finding of the critic, in the order of the plan; what the compiler found is not among them.

    Nothing is read but the plan, and nothing is sent anywhere. `bare` says that it was read from `Task(...)`
    calls, which have no place for a budget. Inputs are the values of the plan's inputs, where they are known.
    """
    scene = Scene(
        plan,
        graph or build(plan),
        bare=bare,
        on=on,
        chooser=chooser,
        free=free,
        inputs=inputs if inputs is not None else {name: given.default for name, given in plan.inputs.items()},
    )
    return findings_in(scene)


def findings_in(scene: Scene, rules: Iterable[Rule] | None = None) -> list[Finding]:
    """What the critic finds, or what other rules than its own do, in the order of the plan."""
    if rules is None:
        rules = OF_TASKS if scene.broken else (*OF_TASKS, *OF_PLANS)
    found = [finding for rule in rules for finding in rule(scene)]
    place = {path: number for number, path in enumerate(scene.plan.places)}
    return sorted(found, key=lambda finding: place.get(finding.tasks[0], -1) if finding.tasks else -1)
