"""The verb `watch`: another process's run, read from the journal until it ends."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from stretto.cli.follow import Screen, ending
from stretto.cli.project import catalogue_to_look_with, journal_of, root_of, run_named
from stretto.errors import EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import plain
from stretto.report import History, begin

LOOK_EVERY_S = 0.25
LIVE_EVERY = 4
"""Every how many looks it is asked whether the run's process is still there."""


def watch(args: Namespace) -> int:
    """Follows a run; the exit code is the one that the run's own process has or would have."""
    with journal_of(args) as journal:
        info = run_named(journal, args.run)
        history = begin(journal, info.run)
        catalogue = catalogue_to_look_with(root_of(args))
        screen = Screen(args, journal, sys.stdout, own=False, catalogue=catalogue)
        age = time.time() - history.started_us / 1e6 if info.live else 0.0
        screen.open(info.run, history.state, seconds=age)
        try:
            live = _follow(journal, history, screen)
        except KeyboardInterrupt:
            screen.close()
            print(plain(f"\nno longer watching; the run goes on: stretto watch {info.run}"), file=sys.stderr)
            return EXIT_INTERRUPTED
        finally:
            screen.close()
        if not args.jsonl:
            state = history.state
            gone = state.status == "running" and not live
            lines = ending(journal, info.run, state, screen.notes, history.seconds, history, catalogue)
            if gone:
                lines[0] = f"run {info.run} interrupted: its process is gone"
            print(plain("\n".join(lines)))
    return _code(history)


def _follow(journal: SqliteJournal, history: History, screen: Screen) -> bool:
    """Reads on until nothing more will come; returns whether the run's process is still there."""
    looks = 0
    live = True
    while True:
        came = False
        for row in journal.read(history.run, history.seq):
            history.apply(row)
            screen.saw(row.at_us, [row.event])
            came = True
        if history.state.status in ("succeeded", "failed", "cancelled"):
            return live
        if not live and not came:
            return live
        if looks % LIVE_EVERY == 0:
            # Asked before the next reading, so that what was written last is read once more.
            live = any(info.run == history.run and info.live for info in journal.runs())
        looks += 1
        if live:
            time.sleep(LOOK_EVERY_S)


def _code(history: History) -> int:
    state = history.state
    if state.status == "running":
        return EXIT_INTERRUPTED
    if state.paused is not None:
        return EXIT_INTERRUPTED if state.paused.why == "user" else EXIT_LIMIT
    return EXIT_OK if state.status == "succeeded" else EXIT_PROBLEM
