"""The project a command works in: its journal, its runs by name, its plans."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stretto.cli.check import finding_lines
from stretto.errors import StrettoError
from stretto.journal import RunInfo
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import line, plain
from stretto.plan.finding import PlanError
from stretto.plan.model import Plan
from stretto.spec.load import load

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


def plan_of(path: Path, name: str, on: str = "messages") -> Plan:
    """The plan of a file; warnings go to stderr. Raises PlanError with all findings when it cannot run."""
    plan, findings, _ = load(path, name, on)
    if plan is None or any(f.severity == "error" for f in findings):
        raise PlanError(findings, str(path))
    for finding in findings:
        if finding.severity == "warning":
            print(plain("\n".join(finding_lines(finding))), file=sys.stderr)
    return plan


def confirmed(question: str) -> bool:
    """Asks on the terminal; anything but yes is no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False
    return answer.strip().lower() in ("y", "yes")
