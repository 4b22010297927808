"""Findings and the checklist as `check` shows them: lines like a compiler's, and data for JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from stretto.lint.checklist import LABELS, Tick
from stretto.lint.words import duration, many
from stretto.live.words import line, plain, usd
from stretto.plan.finding import Finding, Severity
from stretto.report import dollars

SHOWN = 20
"""Warnings and hints of one slug that are shown one by one, where not all are asked for."""
WORDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "hint"}
_COLOURS = {"error": 31, "warning": 33, "info": 36, "good": 32, "dim": 2}


class Paint:
    """Colours, where somebody looks who wants them."""

    def __init__(self, stream: TextIO | None = None):
        dumb = os.environ.get("TERM", "") == "dumb" or bool(os.environ.get("NO_COLOR"))
        self._on = stream is not None and stream.isatty() and not dumb

    def __call__(self, text: str, colour: str) -> str:
        """One piece of a line; what a terminal would obey is taken out of it first."""
        return f"\x1b[{_COLOURS[colour]}m{plain(text)}\x1b[0m" if self._on else plain(text)


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding as JSON data: dollars and minutes, null where nobody can say."""
    nusd, seconds = finding.nusd, finding.seconds
    data: dict[str, Any] = {
        "slug": finding.slug,
        "severity": finding.severity,
        "tasks": list(finding.tasks),
        "at": finding.at,
        "message": finding.message,
        "fix": finding.fix,
        "usd": dollars(None if nusd is None else round(nusd)),
        "minutes": None if seconds is None else round(seconds / 60, 3),
    }
    return {**data, "accepted": finding.accepted} if finding.accepted else data


def checklist_data(checklist: Iterable[Tick]) -> list[dict[str, Any]]:
    return [tick._asdict() for tick in checklist]


def finding_lines(finding: Finding, paint: Paint | None = None) -> list[str]:
    """`file:line:col: severity: message [slug]`; below it what to do, and what it costs to leave it so."""
    paint = paint or Paint()
    place = f"{finding.at}: " if finding.at else ""
    if finding.accepted:
        said = f"{place}accepted: {line(finding.message)} [{finding.slug}]: {line(finding.accepted)}"
        return [paint(said, "dim")]
    head = f"{plain(place)}{paint(finding.severity, finding.severity)}: {plain(finding.message)} "
    lines = [head + paint(f"[{finding.slug}]", "dim")]
    below = [finding.fix, cost_words(finding)]
    return lines + [f"    {row}" for text in below if text for row in plain(text).split("\n")]


def cost_words(finding: Finding) -> str:
    """What it costs to leave a finding so; empty where that is nothing, or nobody can say."""
    money = None if finding.nusd is None else round(finding.nusd)
    seconds = round(finding.seconds) if finding.seconds else 0
    if money and seconds:
        return f"costs {usd(money)} and {duration(seconds)}"
    if money:
        return f"costs {usd(money)}"
    if seconds:
        return f"costs {'nothing in money, ' if money == 0 else ''}{duration(seconds)}"
    return ""


def folded(findings: Iterable[Finding], paint: Paint, *, all: bool) -> Iterator[str]:
    """The lines of many findings: every error, and of warnings and hints the first of each slug."""
    seen: Counter[tuple[str, bool]] = Counter()
    for finding in findings:
        kind = (finding.slug, bool(finding.accepted))
        seen[kind] += finding.severity != "error"
        if all or seen[kind] <= SHOWN:
            yield from finding_lines(finding, paint)
    for (slug, accepted), count in seen.items():
        if count > SHOWN and not all:
            more = f"{count - SHOWN:,} more of {slug}{', accepted' if accepted else ''}"
            yield f"... and {more} (--all shows them)"


def checklist_lines(checklist: Iterable[Tick], paint: Paint) -> list[str]:
    """Seven lines: `[x] needs mapped  12 needs, no cycle`."""
    width = max(map(len, LABELS.values()))
    return [
        f"  {paint('[x]' if tick.ticked else '[ ]', 'good' if tick.ticked else 'warning')} "
        f"{LABELS[tick.item]:<{width}}  {plain(tick.evidence)}"
        for tick in checklist
    ]


def counted(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 hint`; what is accepted is counted apart."""
    counts = Counter("accepted" if f.accepted else WORDS[f.severity] for f in findings)
    words = [many(counts[word], word) for word in WORDS.values() if counts[word]]
    if not counts["error"] and not counts["warning"]:
        words.insert(0, "no errors, no warnings")
    return ", ".join([*words, f"{counts['accepted']:,} accepted"] if counts["accepted"] else words)
