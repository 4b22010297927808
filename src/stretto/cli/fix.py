"""What `check --fix` does: safe mends in the user's own file, shown as a diff."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from stretto.cli.findings import Paint
from stretto.lint.review import Review
from stretto.lint.words import many
from stretto.live.words import plain
from stretto.models import Catalogue
from stretto.plan.finding import Finding
from stretto.spec.edit import edited_file, write_edited
from stretto.spec.roles import BUILTIN, Roles

_COLOURS = {"+": "good", "-": "error", "@": "info"}


class Fixed(NamedTuple):
    """What became of the findings that come with a mend."""

    findings: Sequence[Finding]
    why_not: Sequence[str]
    """Of each, why it could not be mended; empty where it was."""
    diff: str
    written: bool

    def data(self) -> dict[str, Any]:
        mends = [
            {"slug": finding.slug, "tasks": list(finding.tasks), "made": not why, "why_not": why}
            for finding, why in zip(self.findings, self.why_not, strict=True)
        ]
        return {"written": self.written, "diff": self.diff, "mends": mends}

    def lines(self, paint: Paint) -> Iterator[str]:
        """The diff, what could not be mended and why, and how many were."""
        for row in self.diff.splitlines():
            colour = _COLOURS.get(row[:1])
            yield paint(row, colour) if colour else plain(row)
        for finding, why in zip(self.findings, self.why_not, strict=True):
            if why:
                yield plain(f"{finding.at}: not mended: {why} [{finding.slug}]")
        made = sum(not why for why in self.why_not)
        yield f"{many(made, 'finding')} {'mended' if self.written or not made else 'would be mended'}"


def fix(
    args: Namespace, found: Sequence[Review], on: str, catalogue: Catalogue, roles: Roles = BUILTIN
) -> Fixed:
    """Writes what can be mended safely into the plan's file; with --dry-run it only says what it would."""
    findings = [f for seen in found for f in seen.findings if f.mends and not f.accepted]
    if not findings:
        return Fixed((), (), "", False)
    edited = edited_file(args.plan, [f.mends for f in findings], args.plan_name or None, on, catalogue, roles)
    written = edited.text != edited.before and not args.dry_run
    if written:
        write_edited(args.plan, edited)
    return Fixed(findings, edited.why_not, edited.diff(args.plan), written)
