"""The verbs `gc` and `doctor`: what can go, and what has to be mended."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import stretto
from stretto.cli.project import journal_of, root_of
from stretto.errors import EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import columns, line, many, size
from stretto.run.leftovers import clean, leftovers
from stretto.spec.settings import NAME as SETTINGS
from stretto.spec.settings import read_settings

LEAST_FREE_BYTES = 200_000_000
CORE = ("genai-prices", "PyYAML", "rich")
EXTRAS = {
    "messages": ("anthropic",),
    "openai": ("openai",),
    "local": ("xllamacpp", "openai"),
    "claude": ("claude-agent-sdk",),
}


def gc(args: Namespace) -> int:
    """Removes what ended long enough ago, or says what that would be."""
    with journal_of(args) as journal:
        before_us = time.time_ns() // 1000 - args.older * 1_000_000
        done = journal.gc(older_than_us=before_us, dry_run=args.dry_run)
        if not args.dry_run:
            asyncio.run(clean(journal.root, journal))
    if args.json:
        data = {"schema": "stretto/gc/1", "dry_run": args.dry_run, **done._asdict()}
        print(json.dumps(data))
        return EXIT_OK
    verb = "would remove" if args.dry_run else "removed"
    print(f"{verb} {many(len(done.runs), 'run')}, {size(done.bytes)}")
    for run in done.runs:
        print(f"  {line(run)}")
    if done.live:
        print(line(f"outputs stay while a run is live: {', '.join(done.live)}"), file=sys.stderr)
    return EXIT_OK


class Look(NamedTuple):
    """One thing that was looked at: `ok`, `absent` (which is no fault) or `problem`, and what to do."""

    name: str
    state: str
    says: str
    fix: str = ""


def doctor(args: Namespace) -> int:
    """Prints what was looked at; 1 when something has to be mended."""
    with journal_of(args) as journal:
        if args.clean:
            asyncio.run(clean(journal.root, journal))
        looks = [*_installation(), *_model(root_of(args)), *_settings(root_of(args)), *_project(journal)]
    ill = any(look.state == "problem" for look in looks)
    if args.json:
        print(
            json.dumps(
                {"schema": "stretto/doctor/1", "ok": not ill, "looks": [look._asdict() for look in looks]}
            )
        )
    else:
        print("\n".join(columns([[look.name, look.state, line(look.says)] for look in looks])))
        for look in looks:
            if look.fix and look.state == "problem":
                print(f"to do: {look.name}: {line(look.fix)}")
        if not ill:
            print("nothing has to be mended")
    return EXIT_PROBLEM if ill else EXIT_OK


def _installation() -> Iterator[Look]:
    yield Look("stretto", "ok", stretto.__version__)
    version = platform.python_version()
    old = sys.version_info < (3, 11)
    yield Look("python", "problem" if old else "ok", version, "use Python 3.11 or newer" if old else "")
    for package in CORE:
        found = _version(package)
        if found:
            yield Look(package, "ok", found)
        else:
            yield Look(package, "problem", "is missing", f"pip install {package}")
    for extra, packages in EXTRAS.items():
        versions = [(package, _version(package)) for package in packages]
        if all(found for _, found in versions):
            yield Look(f"extra {extra}", "ok", ", ".join(f"{name} {found}" for name, found in versions))
        else:
            yield Look(f"extra {extra}", "absent", "not installed", f"pip install 'stretto[{extra}]'")
    if os.environ.get("ANTHROPIC_API_KEY"):
        yield Look("ANTHROPIC_API_KEY", "ok", "set")
    else:
        yield Look("ANTHROPIC_API_KEY", "absent", "not set: no prompts to `messages` or `claude`")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _model(root: Path) -> Iterator[Look]:
    """The small model on this machine; its agent needs packages that may not be there."""
    try:
        local = importlib.import_module("stretto.agents.local")
        weights: Path = local.weights_of("", root, os.environ)
    except ImportError:
        yield Look("local model", "absent", "the extra `local` is not installed")
    except StrettoError as failed:
        yield Look("local model", "absent", failed.what, failed.next)
    else:
        yield Look("local model", "ok", f"{weights.name}, {size(weights.stat().st_size)}")


def _settings(root: Path) -> Iterator[Look]:
    try:
        found = read_settings(root)
    except StrettoError as failed:
        at = f", first at {failed.at}" if failed.at else ""
        yield Look(SETTINGS, "problem", f"{failed.what}{at}", failed.next)
    else:
        says = f"{many(len(found.catalogue.models), 'model')}" if found.source else "not there, nor needed"
        yield Look(SETTINGS, "ok" if found.source else "absent", says)


def _project(journal: SqliteJournal) -> Iterator[Look]:
    root = journal.root
    free = shutil.disk_usage(root).free
    short = free < LEAST_FREE_BYTES
    fix = "make room: `stretto gc` removes old runs" if short else ""
    yield Look("free space", "problem" if short else "ok", size(free), fix)
    if not os.access(root, os.W_OK | os.X_OK):
        yield Look("project", "problem", f"{root} cannot be written", "make it writable, or use --root DIR")
    folder = root / ".stretto"
    if not folder.exists():
        yield Look("journal", "absent", f"no runs in {root} yet")
        return
    yield from _permissions(folder)
    yield from _worktrees(journal)
    findings = journal.verify()
    for finding in findings:
        wrong = finding.severity != "info"
        at = f" ({finding.at})" if finding.at else ""
        yield Look("journal", "problem" if wrong else "ok", f"{finding.message}{at}", finding.fix)
    if not any(finding.severity != "info" for finding in findings):
        yield Look("journal", "ok", f"{many(len(journal.runs()), 'run')}, every event and blob is whole")


def _worktrees(journal: SqliteJournal) -> Iterator[Look]:
    """What runs with worktrees have left behind."""
    for left in asyncio.run(leftovers(journal.root, journal)):
        if left.resumable:
            yield Look("worktrees", "ok", f"{left.says}; `stretto resume {left.run}` goes on with them")
        else:
            yield Look("worktrees", "problem", left.says, "stretto doctor --clean")


def _permissions(folder: Path) -> Iterator[Look]:
    """Outputs and prompts are for their owner alone."""
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        yield Look(".stretto", "problem", f"others may look into it (mode {mode:04o})", f"chmod 700 {folder}")
    elif not os.access(folder, os.W_OK):
        yield Look(".stretto", "problem", "it cannot be written", f"see who owns {folder}")
    else:
        yield Look(".stretto", "ok", f"mode {mode:04o}")
