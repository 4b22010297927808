"""The verbs `check` and `schema`: what is wrong with a plan, and what a plan may look like."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stretto.cli.findings import (
    Paint,
    checklist_data,
    checklist_lines,
    counted,
    finding_data,
    folded,
)
from stretto.cli.fix import Fixed, fix
from stretto.cli.project import DEFAULT_AGENT, check_agent, root_of
from stretto.cli.sarif import sarif
from stretto.errors import EXIT_OK, EXIT_PROBLEM, StrettoError, render
from stretto.journal.sqlite import SqliteJournal
from stretto.lint.review import Review
from stretto.live.words import many, plain
from stretto.models.history import History
from stretto.plan.model import Plan, Task
from stretto.run import Options, history_of
from stretto.run.before import reviewed
from stretto.run.loop import calm_gc
from stretto.spec.jsonschema import plan_schema
from stretto.spec.load import inputs_from, load_all
from stretto.spec.roles import Roles, read_roles
from stretto.spec.settings import Settings, read_settings

SCHEMA = "stretto/check/1"


def check(args: Namespace) -> int:
    """Prints findings and checklist; 1 where an error or a warning stands, or under --strict a hint."""
    if args.dry_run and not args.fix:
        raise StrettoError("usage", "--dry-run is about --fix", next="`stretto check` itself changes nothing")
    root, on = root_of(args), args.on or DEFAULT_AGENT
    check_agent(on, root)
    settings, roles = read_settings(root), read_roles(root)
    history = _history(root, on)
    with calm_gc():
        found = list(_reviews(args, root, on, settings, roles, history))
    fixed = fix(args, found, on, settings.catalogue, roles) if args.fix else None
    if fixed is not None and fixed.written:
        found = list(_reviews(args, root, on, settings, roles, history))
    wrong = any(seen.graph is None or seen.standing(strict=args.strict) for seen in found)
    _print(args, found, fixed, ok=not wrong)
    return EXIT_PROBLEM if wrong else EXIT_OK


def _print(args: Namespace, found: Sequence[Review], fixed: Fixed | None, *, ok: bool) -> None:
    if args.json:
        data = check_data(found, ok=ok)
        print(json.dumps(data if fixed is None else {**data, "fixed": fixed.data()}))
    elif args.sarif:
        print(json.dumps(sarif([finding for seen in found for finding in seen.findings], Path.cwd())))
    else:
        paint = Paint(sys.stdout)
        texts = ["\n".join(fixed.lines(paint))] if fixed is not None else []
        if not args.dry_run:
            texts += ["\n".join(_lines(seen, paint, all=args.all, strict=args.strict)) for seen in found]
        print("\n\n".join(texts))


def _reviews(
    args: Namespace, root: Path, on: str, settings: Settings, roles: Roles, history: History
) -> Iterator[Review]:
    """Each plan of the file, as it is now."""
    for one in load_all(args.plan, args.plan_name, on, settings.catalogue, roles, even_broken=True):
        options = Options(on=on, inputs=_inputs(one.plan, args.inputs, root), catalogue=settings.catalogue)
        yield reviewed(one.plan, one.findings, options, history, bare=one.bare, accept=settings.accept)


def _inputs(plan: Plan | None, given: Sequence[tuple[str, str]], root: Path) -> dict[str, Any]:
    """What is given with --in, and defaults for the rest: to look at a plan, none has to be there."""
    if plan is None:
        return {}
    optional = {name: replace(entry, required=False) for name, entry in plan.inputs.items()}
    return inputs_from(replace(plan, inputs=optional), given, root)


def _history(root: Path, on: str) -> History:
    """What the project's runs have taught; a journal that cannot be read is said, and hides nothing."""
    try:
        journal = SqliteJournal(root)
        try:
            return history_of(journal, on)
        finally:
            journal.close()
    except StrettoError as failed:
        said = f"{render(failed)}\n what follows is priced without what runs have shown"
        print(plain(said), file=sys.stderr)
        return History()


def check_data(found: Sequence[Review], *, ok: bool) -> dict[str, Any]:
    """The object of --json. Of a file with several plans, findings and ticks say whose they are."""
    several = len(found) > 1
    findings: list[dict[str, Any]] = []
    ticks: list[dict[str, Any]] = []
    for seen in found:
        whose = {"plan": seen.name} if several else {}
        findings += [{**finding_data(finding), **whose} for finding in seen.findings]
        ticks += [{**tick, **whose} for tick in checklist_data(seen.checklist)]
    names = [seen.name for seen in found if seen.graph is not None]
    return {
        "schema": SCHEMA,
        "plan": names[0] if len(names) == 1 else None,
        "plans": names,
        "ok": ok,
        "findings": findings,
        "checklist": ticks,
    }


def _lines(seen: Review, paint: Paint, *, all: bool, strict: bool) -> Iterator[str]:
    """Findings, the checklist of a plan that could be read, and what it comes to.

    Hints on the plan as a whole stand on nearly every small plan: they are only named, at the end.
    """
    aside = [f for f in seen.findings if f.severity == "info" and not f.tasks and not f.accepted]
    aside = [] if all or strict else aside
    told = [finding for finding in seen.findings if finding not in aside]
    yield from (rows := list(folded(told, paint, all=all)))
    if seen.graph is not None:
        yield from ["", *checklist_lines(seen.checklist, paint), ""][not rows :]
    yield plain(_verdict(seen))
    if aside:
        slugs = ", ".join(dict.fromkeys(finding.slug for finding in aside))
        yield plain(f"not shown, on the plan as a whole: {slugs} (--all shows it)")


def _verdict(seen: Review) -> str:
    said = counted(seen.findings)
    if seen.graph is None:
        return said if seen.findings else "there is no plan in it"
    elements = seen.graph.elements.values()
    tasks = sum(isinstance(element.part, Task) for element in elements)
    grown = sum(element.grows for element in elements)
    more = f", {many(grown, 'part')} grown at run time" if grown else ""
    return f"{seen.name}: {many(tasks, 'task')}{more}; {said}"


def schema(args: Namespace) -> int:
    print(schema_text(), end="")
    return EXIT_OK


def schema_text() -> str:
    return json.dumps(plan_schema(), indent=2) + "\n"
