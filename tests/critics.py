"""What the critic says of plans that a test writes down."""

from __future__ import annotations

from stretto.lint import Rule, criticise, findings_in
from stretto.lint.scene import Scene
from stretto.models import BUILTIN, is_free
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Plan
from stretto.spec.compile import compile_plan
from stretto.spec.yaml import read_yaml


def read(text: str) -> Plan:
    """A plan from YAML without its first two lines; errors in it are errors of the test."""
    raw = read_yaml(f"stretto: 1\nname: test\n{text}", "test.yaml")
    plan, findings = compile_plan(raw, source="test.yaml", text=text)
    assert plan is not None, [finding.message for finding in findings]
    return plan


def scene_of(plan: Plan, *, bare: bool = False) -> Scene:
    chooser = Chooser(BUILTIN, History())
    inputs = {name: given.default for name, given in plan.inputs.items()}
    return Scene(plan, build(plan), bare=bare, on="messages", chooser=chooser, free=is_free, inputs=inputs)


def told_by(rule: Rule, text: str, *, bare: bool = False) -> list[Finding]:
    """What one rule says of a plan."""
    return findings_in(scene_of(read(text), bare=bare), [rule])


def told(text: str, *, bare: bool = False) -> list[Finding]:
    """What the whole critic says of a plan."""
    return criticise(read(text), Chooser(BUILTIN, History()), bare=bare)


def loud(findings: list[Finding]) -> list[tuple[str, tuple[str, ...]]]:
    """Slug and tasks of the warnings."""
    return [(f.slug, f.tasks) for f in findings if f.severity == "warning"]
