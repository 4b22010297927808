"""The verbs `check` and `schema`: what is wrong with a plan, and what a plan may look like."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from stretto.errors import EXIT_OK, EXIT_PROBLEM
from stretto.live.words import many, plain
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from stretto.spec.jsonschema import plan_schema
from stretto.spec.load import load
from stretto.spec.settings import read_settings

SCHEMA = "stretto/check/1"


def check(args: Namespace) -> int:
    """Prints every finding; 1 when there are errors, or warnings under --strict."""
    plan, findings, _ = load(args.plan, args.plan_name, catalogue=read_settings(args.root).catalogue)
    bad = {"error", "warning"} if args.strict else {"error"}
    wrong = plan is None or any(f.severity in bad for f in findings)
    if args.json:
        data = {
            "schema": SCHEMA,
            "plan": plan.name if plan is not None else None,
            "ok": not wrong,
            "findings": [finding_data(f) for f in findings],
        }
        print(json.dumps(data))
    else:
        for finding in findings:
            print(plain("\n".join(finding_lines(finding))))
        print(plain(_verdict(plan, findings)))
    return EXIT_PROBLEM if wrong else EXIT_OK


def schema(args: Namespace) -> int:
    print(schema_text(), end="")
    return EXIT_OK


def schema_text() -> str:
    return json.dumps(plan_schema(), indent=2) + "\n"


def finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "slug": finding.slug,
        "severity": finding.severity,
        "tasks": list(finding.tasks),
        "at": finding.at,
        "message": finding.message,
        "fix": finding.fix,
    }


def finding_lines(finding: Finding) -> list[str]:
    """`file:line:col: severity: message [slug]`, as compilers write it, and below it what to do."""
    place = f"{finding.at}: " if finding.at else ""
    lines = [f"{place}{finding.severity}: {finding.message} [{finding.slug}]"]
    if finding.fix:
        lines.append(f"    {finding.fix}")
    return lines


def _verdict(plan: Plan | None, findings: list[Finding]) -> str:
    counts = [(sum(f.severity == kind for f in findings), kind) for kind in ("error", "warning")]
    said = ", ".join(many(count, kind) for count, kind in counts if count)
    if plan is None:
        return said or "there is no plan in it"
    elements = build(plan).elements.values()
    tasks = sum(isinstance(element.part, Task) for element in elements)
    grown = sum(element.grows for element in elements)
    more = f", {many(grown, 'part')} grown at run time" if grown else ""
    return f"{plan.name}: {many(tasks, 'task')}{more}; {said or 'no errors, no warnings'}"
