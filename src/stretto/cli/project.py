"""The project a command works in: its journal, its runs by name, its plans."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stretto.agents.registry import NAMES, Roster, free
from stretto.cli.findings import finding_lines
from stretto.errors import StrettoError, render
from stretto.journal import RunInfo
from stretto.journal.sqlite import SqliteJournal
from stretto.lint.accept import accepted
from stretto.live.words import line, plain
from stretto.models import BUILTIN, Catalogue
from stretto.plan.finding import Finding, PlanError
from stretto.plan.model import Plan
from stretto.spec.load import load
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles
from stretto.spec.settings import Reason, read_settings

DEFAULT_AGENT = "messages"
"""Claude's API, where nobody else is named."""
SHOWN = 5


def root_of(args: Namespace) -> Path:
    root: Path = args.root.absolute()
    if not root.is_dir():
        raise StrettoError("no-such-folder", f"{args.root} is not a folder", next="name one with --root DIR")
    return root


@contextmanager
def journal_of(args: Namespace) -> Iterator[SqliteJournal]:
    """The journal of the project; nothing is written before a run starts."""
    journal = SqliteJournal(root_of(args))
    try:
        yield journal
    finally:
        journal.close()


def run_named(journal: SqliteJournal, word: str) -> RunInfo:
    """The run meant by its name, the beginning of it, or `last`. Raises `no-such-run`, `ambiguous-run`."""
    runs = journal.runs()
    if not runs:
        raise StrettoError(
            "no-such-run",
            f"there is no run {line(word)!r}: this folder has none yet",
            next="`stretto run PLAN` makes one; another folder: --root DIR",
        )
    if word == "last":
        return runs[0]
    exact = [info for info in runs if info.run == word]
    found = exact or [info for info in runs if word and info.run.startswith(word)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(info.run for info in (found or runs)[:SHOWN])
    if found:
        what = f"{line(word)!r} is the beginning of {len(found)} runs"
        raise StrettoError("ambiguous-run", what, next=f"write more of it; the newest are: {names}")
    what = f"there is no run {line(word)!r}"
    raise StrettoError("no-such-run", what, next=f"`stretto ls` lists them; the newest are: {names}")


def catalogue_of(root: Path) -> Catalogue:
    """The models of the project, by its `stretto.toml`. Raises `bad-settings`."""
    return read_settings(root).catalogue


def catalogue_to_look_with(root: Path) -> Catalogue:
    """The same for whoever only looks at runs: a mistake in the file is said, and hides nothing."""
    try:
        return catalogue_of(root)
    except StrettoError as failed:
        print(plain(f"{render(failed)}\n what follows is told without these settings"), file=sys.stderr)
        return BUILTIN


def plan_of(
    path: Path,
    name: str,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    roles: Roles = BUILTIN_ROLES,
) -> Plan:
    """The plan of a file; warnings go to stderr. Raises PlanError with all findings when it cannot run."""
    return plan_and_findings(path, name, on, catalogue, roles=roles)[0]


def plan_and_findings(
    path: Path,
    name: str,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    accept: Mapping[str, Reason] | None = None,
    roles: Roles = BUILTIN_ROLES,
) -> tuple[Plan, list[Finding]]:
    """The same with all that the compiler said; what is accepted is not printed."""
    plan, findings, _ = load(path, name, on, catalogue, roles)
    if plan is None or any(f.severity == "error" for f in findings):
        raise PlanError(findings, str(path))
    for finding in accepted(plan, findings, accept or {}):
        if finding.severity == "warning" and not finding.accepted:
            print(plain("\n".join(finding_lines(finding))), file=sys.stderr)
    return plan, findings


def check_agent(on: str, root: Path) -> None:
    """Raises `no-such-agent` or `bad-agent-option` for a word that means no agent, asked or not."""
    kind, _, argument = on.partition(":")
    if kind not in NAMES:
        Roster(root).get(on)
    if kind == "simulated":
        free(on)
    url = urlsplit(argument.partition("#")[0]) if kind in ("messages", "openai") else None
    if url is not None and argument and (url.scheme not in ("http", "https") or not url.hostname):
        raise StrettoError(
            "bad-agent-option",
            f"behind `{kind}:` stands the URL of a server, and {line(argument)!r} is none",
            next=f"`--on {kind}:http://127.0.0.1:8080/v1`, or `--on {kind}` for its usual one",
        )


def plan_folder(folder: Path, root: Path) -> str:
    """Where a plan's functions stand, as `run.Options` wants it: empty where that is the root."""
    return "" if folder == root else str(folder)


def somebody_is_there() -> bool:
    """Whether a question would be read and answered: on both sides a terminal, and no build server at it."""
    ends = (sys.stdin, sys.stderr)
    return not os.environ.get("CI") and all(end is not None and end.isatty() for end in ends)


def confirmed(question: str) -> bool:
    """Asks on the terminal; anything but yes is no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False
    return answer.strip().lower() in ("y", "yes")
