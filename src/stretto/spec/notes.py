"""Findings as they come up while a plan is read, each at the place it is about."""

from __future__ import annotations

import json
from typing import Any

from stretto.plan.finding import Finding, Severity
from stretto.spec.raw import MAX_DEPTH, Raw, TooDeep


class Notes:
    """All that was found so far; reading goes on after each, so that a person sees everything at once."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.part = ""
        """The path of the task or group that is being read, for the findings about it."""

    def error(self, slug: str, message: str, at: str, fix: str = "") -> None:
        self.add(slug, "error", message, at, fix)

    def add(self, slug: str, severity: Severity, message: str, at: str, fix: str = "") -> None:
        tasks = (self.part,) if self.part else ()
        self.findings.append(Finding(slug, severity, message, at, fix, tasks))

    def wrong_type(self, name: str, wanted: str, raw: Raw, fix: str = "") -> None:
        self.error("wrong-type", f"`{name}` must be {wanted}, not {shown(raw.value)}", raw.at, fix)

    def wrong_value(self, name: str, wanted: str, raw: Raw, fix: str = "") -> None:
        self.error("wrong-value", f"`{name}` must be {wanted}, not {shown(raw.value)}", raw.at, fix)

    def sorted(self) -> list[Finding]:
        return sorted(self.findings, key=_order)


def _order(finding: Finding) -> tuple[str, int, int]:
    """Files by name, lines and columns as numbers; what has no place comes first."""
    file, *rest = finding.at.rsplit(":", 2)
    numbers = [int(n) if n.isdecimal() else 0 for n in rest]
    return (file, *numbers) if len(numbers) == 2 else (finding.at, 0, 0)  # type: ignore[return-value]


def shown(value: Any) -> str:
    """A value as it is named in a message: what kind of thing it is, and which, where it is short."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            text = str(value) if abs(value) < 1e18 else f"{value:.3e}"
            return f"the number {text}"
        case str():
            text = json.dumps(value, ensure_ascii=False)
            return f"the text {text}" if len(text) <= 60 else f'the text {text[:56]}..."'
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case TooDeep():
            return f"a value nested more than {MAX_DEPTH} levels deep"
        case _:
            return f"a Python {type(value).__name__}"
