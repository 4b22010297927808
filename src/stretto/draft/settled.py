"""What the critic still finds in a drafted plan: mended where that is safe, else accepted with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stretto.draft.tree import Pattern
from stretto.lint.review import review
from stretto.models import Catalogue
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.plan.model import Group, Part, Plan

WHY: dict[str, str] = {
    "sequential-bottleneck": "the goal names the stages in this order",
    "missing-dependency": "the goal has these done side by side, each without the results of the others",
    "missed-parallelism": "the whole goal stands in the prompt as context; this task has one part of it",
    "over-orchestration": "the goal asks for these parts",
    "write-conflict": "each returns a diff of its own and writes nothing",
}
"""Why a plan by the rules is as it is, where the critic reads its prompts in another way."""
OTHERWISE = "the goal asks for it in these words"


def settled(plan: Plan, pattern: Pattern, catalogue: Catalogue) -> Plan:
    """The plan without warnings that nobody needs to see; errors are left, since they would be our own."""
    found = [finding for finding in _standing(plan, catalogue) if finding.severity == "warning"]
    once = {path for finding in found if finding.slug == "no-safe-retry" for path in finding.tasks}
    plan = replace(plan, tasks=tuple(_tried_once(part, "", once) for part in plan.tasks)) if once else plan
    left = {finding.slug for finding in found} - {"no-safe-retry"}
    why = {slug: WHY.get(slug, OTHERWISE) for slug in sorted(left)}
    if pattern == "scatter-gather":
        why |= dict.fromkeys(left & _OF_VIEWS, "every view is made without the others on purpose")
    return replace(plan, accept={**plan.accept, **why}) if why else plan


_OF_VIEWS = {"missing-dependency", "over-orchestration"}


def _standing(plan: Plan, catalogue: Catalogue) -> Sequence[Finding]:
    return review(plan, [], Chooser(catalogue, History())).standing()


def _tried_once(part: Part, owner: str, paths: set[str]) -> Part:
    """The part with one attempt for each of these tasks."""
    path = f"{owner}.{part.id}" if owner else part.id
    if isinstance(part, Group):
        return replace(part, tasks=tuple(_tried_once(member, path, paths) for member in part.tasks))
    return replace(part, attempts=1) if path in paths else part
