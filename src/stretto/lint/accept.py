"""Which findings the author knows of and leaves, with a reason: in a task, a group, the plan, the project."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stretto.lint.slugs import ABOUT_ACCEPTING, OF_COMPILER, SLUGS
from stretto.plan.finding import Finding, did_you_mean
from stretto.plan.model import Group, Part, Plan
from stretto.spec.settings import Reason


@dataclass(slots=True)
class _Entry:
    """One `slug: reason` of an `accept`."""

    slug: str
    reason: Reason
    path: str = ""
    """Of the task or group it stands on; empty for the plan and the project."""
    of_project: bool = False
    """It is for all plans of the project, so one of them may have no use for it."""
    used: bool = False


def accepted(plan: Plan, found: Sequence[Finding], project: Mapping[str, Reason]) -> list[Finding]:
    """The findings, those marked that are accepted, and what is wrong with the `accept` entries themselves.

    An entry counts on the task of the finding, on each group around it, on the plan and in the project; the
    nearest one gives the reason. A finding of several tasks is accepted by any of them.
    """
    entries = list(_entries(plan, project))
    if not entries:
        return list(found)
    milder = {finding.slug for finding in found if finding.severity != "error"}
    errors = {finding.slug for finding in found} - milder
    known = {*SLUGS, *OF_COMPILER, *milder} - errors - set(ABOUT_ACCEPTING)
    wrong = [(entry, problem) for entry in entries if (problem := _bad(entry, known, errors))]
    refused = {id(entry) for entry, _ in wrong}
    by_place: dict[tuple[str, str], _Entry] = {}
    for entry in entries:
        if id(entry) not in refused:
            by_place.setdefault((entry.path, entry.slug), entry)
    marked = [_marked(finding, by_place) for finding in found]
    marked += [problem for _, problem in wrong]
    if not any(finding.severity == "error" for finding in found):
        # Of a plan with errors only a part is criticised: what is not used today may be tomorrow.
        marked += [_unused(entry) for entry in by_place.values() if not entry.used and not entry.of_project]
    return marked


def _entries(plan: Plan, project: Mapping[str, Reason]) -> Iterator[_Entry]:
    yield from _of_parts(plan.tasks, "", plan.places)
    top = next(iter(plan.places.values()), "")
    for slug, text in plan.accept.items():
        yield _Entry(slug, Reason(text, top))
    for slug, reason in project.items():
        yield _Entry(slug, reason, of_project=True)


def _of_parts(parts: Sequence[Part], owner: str, places: Mapping[str, str]) -> Iterator[_Entry]:
    for part in parts:
        path = f"{owner}.{part.id}" if owner else part.id
        for slug, text in part.accept.items():
            yield _Entry(slug, Reason(text, places.get(path, path)), path)
        if isinstance(part, Group):
            yield from _of_parts(part.tasks, path, places)


def _marked(finding: Finding, entries: Mapping[tuple[str, str], _Entry]) -> Finding:
    if finding.severity == "error":
        return finding
    for path in (*(path for task in finding.tasks for path in _around(task)), ""):
        entry = entries.get((path, finding.slug))
        if entry is not None:
            entry.used = True
            return replace(finding, accepted=entry.reason.text)
    return finding


def _around(path: str) -> Iterator[str]:
    """The path of a task and those of the groups it stands in, from the inside out."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _bad(entry: _Entry, known: Collection[str], errors: Collection[str]) -> Finding | None:
    """What is wrong with an entry: a word that is no finding, or one that nobody can accept."""
    slug = entry.slug
    if slug in ABOUT_ACCEPTING:
        message, fix = f"{slug!r} cannot be accepted", "mend the entry that it is about"
    elif slug in known:
        return None
    elif slug in errors:
        message, fix = f"{slug!r} is an error, and errors cannot be accepted", "mend it"
    else:
        message = f"`accept` names {slug!r}, which is no finding that can be accepted"
        fix = did_you_mean(slug, known, otherwise="`stretto explain` lists them, such as")
    return _about(entry, "bad-accept", message, fix)


def _unused(entry: _Entry) -> Finding:
    where = f" of {entry.path!r}" if entry.path else " of the plan"
    message = f"`accept`{where} names {entry.slug!r}, and there is no such finding"
    return _about(entry, "unused-accept", message, "remove it")


def _about(entry: _Entry, slug: str, message: str, fix: str) -> Finding:
    tasks = (entry.path,) if entry.path else ()
    return Finding(slug, SLUGS[slug].severity, message, entry.reason.at, fix, tasks)
