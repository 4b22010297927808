"""A whole review of one plan: what the compiler and the critic found, what is accepted, and the checklist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stretto.errors import EXIT_PROBLEM, StrettoError
from stretto.lint import Rule, findings_in
from stretto.lint.accept import accepted
from stretto.lint.checklist import LABELS, Tick, checklist
from stretto.lint.scene import Scene
from stretto.models import is_free
from stretto.models.choice import Chooser
from stretto.plan.finding import Finding
from stretto.plan.graph import Graph, build
from stretto.plan.model import Plan, plan_from_data, to_data
from stretto.plan.references import malformed
from stretto.spec.notes import Notes
from stretto.spec.settings import Reason


@dataclass(frozen=True, slots=True)
class Review:
    """What there is to say of one plan before it runs."""

    name: str
    """Of the plan; empty where none could be read."""
    findings: tuple[Finding, ...]
    checklist: tuple[Tick, ...]
    graph: Graph | None = None
    """None where no plan could be read."""
    nusd: float | None = None
    """What a run is expected to cost; None where nobody can say."""

    @property
    def unticked(self) -> list[Tick]:
        return [tick for tick in self.checklist if not tick.ticked]

    def standing(self, *, strict: bool = False) -> list[Finding]:
        """What keeps a plan from being in order: errors and warnings not accepted, and hints if `strict`."""
        return [f for f in self.findings if not f.accepted and (strict or f.severity != "info")]


class ChecklistError(StrettoError):
    """A run that would spend money while an item of its checklist has no tick."""

    def __init__(self, seen: Review, unticked: Sequence[Tick]):
        items = ", ".join(f"{LABELS[t.item]} ({t.evidence.partition('; ')[0]})" for t in unticked)
        super().__init__(
            "checklist",
            f"{seen.name} would spend money, and its checklist has no tick at: {items}",
            next="mend it (`stretto check PLAN`, with --fix where that can), accept what is meant so"
            ' (`accept: {SLUG: "the reason"}`), or run it as it is with `--unchecked`',
            code=EXIT_PROBLEM,
        )
        self.findings = seen.standing()
        self.checklist = seen.checklist


def review(
    plan: Plan | None,
    found: Sequence[Finding],
    chooser: Chooser,
    *,
    on: str = "messages",
    bare: bool = False,
    graph: Graph | None = None,
    free: Callable[[str], bool] = is_free,
    inputs: Mapping[str, Any] | None = None,
    project: Mapping[str, Reason] | None = None,
    rules: Iterable[Rule] | None = None,
) -> Review:
    """Everything that is to be said of a plan of which the compiler said `found`.

    No plan is one that could not even be read. `project` is what the project accepts in all its plans; other
    `rules` than the critic's own may be tried. Everything else is as `criticise` takes it.
    """
    if plan is None:
        return Review("", tuple(found), checklist(None, found))
    graph = graph or build(plan)
    if any(problem.slug == "bad-reference" for problem in graph.problems):
        plan = _readable(plan)
        graph = build(plan)
    scene = Scene(
        plan,
        graph,
        bare=bare,
        on=on,
        chooser=chooser,
        free=free,
        inputs=inputs if inputs is not None else {name: given.default for name, given in plan.inputs.items()},
    )
    notes = Notes()
    notes.findings = accepted(plan, [*found, *findings_in(scene, rules)], project or {})
    findings = notes.sorted()
    broken = any(finding.severity == "error" for finding in findings)
    nusd = None if broken else scene.prices.whole().nusd
    ticks = checklist(scene if scene.tasks else None, findings)
    return Review(plan.name, tuple(findings), ticks, scene.graph, nusd)


def _readable(plan: Plan) -> Plan:
    """The plan with `$${` where a reference begins that is none: then the rest of it can be looked at."""
    made = plan_from_data(_escaped(to_data(plan)))
    return replace(made, places=plan.places, written=plan.written)


def _escaped(value: Any) -> Any:
    match value:
        case str() if any(malformed(value)):
            return value.replace("$${", "${").replace("${", "$${")
        case list():
            return [_escaped(entry) for entry in value]
        case dict():
            return {key: _escaped(entry) for key, entry in value.items()}
        case _:
            return value
