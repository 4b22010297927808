"""The verbs `approve` and `cancel`: what may be asked of a run from another terminal."""

from __future__ import annotations

import asyncio
import os
import time
from argparse import Namespace

from stretto.cli.project import journal_of, run_named
from stretto.errors import EXIT_OK, StrettoError
from stretto.journal import RunInfo
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import many
from stretto.run import EVERYTHING, boot_id, load_state
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.state import State


def approve(args: Namespace) -> int:
    """Approves what a planner wants to add: asks the live process, or writes it down for the next one."""
    with journal_of(args) as journal:
        info = run_named(journal, args.run)
        _not_over(info)
        if info.live:
            journal.ask(info.run, "approve", {"approved_nusd": EVERYTHING, "by": "approve"})
            print(f"asked run {info.run} to go on; stretto watch {info.run} shows it")
            return EXIT_OK
        asyncio.run(_write(journal, info, "approve"))
        print(f"run {info.run} is approved\nto go on: stretto resume {info.run}")
    return EXIT_OK


def cancel(args: Namespace) -> int:
    """Ends a run: asks the live process to stop, or closes the books of a dead one."""
    with journal_of(args) as journal:
        info = run_named(journal, args.run)
        _not_over(info)
        if info.live:
            journal.ask(info.run, "cancel", {"by": "cancel"})
            print(f"asked run {info.run} to end; stretto watch {info.run} shows when it has")
            return EXIT_OK
        left = asyncio.run(_write(journal, info, "cancel"))
        print(f"run {info.run} is cancelled" + (f"; {many(left, 'task')} will not run" if left else ""))
    return EXIT_OK


def _not_over(info: RunInfo) -> None:
    if info.status in ("succeeded", "failed", "cancelled"):
        raise StrettoError(
            "run-is-over",
            f"run {info.run} has ended: {info.status}",
            next=f"`stretto show {info.run}` tells what it did",
        )


async def _write(journal: SqliteJournal, info: RunInfo, verb: str) -> int:
    """Adds the events to the journal of a run that no process has open; returns how many tasks were left."""
    writer = journal.open(info.run)
    try:
        _, scheduler = load_state(journal, info.run)
        if verb == "approve":
            _check_waiting(info.run, scheduler.state)
        now_us = time.time_ns() // 1000
        left = sum(sum(row.counts[:5]) for row in scheduler.state.rows.values())
        # The attempts that died with their process are closed first, and their money is held.
        scheduler.resume(os.getpid(), boot_id(), now_us)
        if verb == "approve":
            scheduler.proceed("approve", None, EVERYTHING)
            _stays_paused(scheduler)
        else:
            scheduler.cancel("cancel")
            scheduler.end_if_done()
        await writer.append(now_us, scheduler.take()[0])
        return left
    finally:
        writer.close()


def _check_waiting(run: str, state: State) -> None:
    paused = state.paused
    if paused is None or paused.why != "approval":
        why = f"paused ({paused.why})" if paused is not None else "interrupted"
        raise StrettoError(
            "nothing-to-approve",
            f"run {run} does not wait for approval: it is {why}",
            next=f"to go on: stretto resume {run}",
        )


def _stays_paused(scheduler: Scheduler) -> None:
    """Nothing runs until somebody resumes: until then the run is shown as paused, not as running."""
    scheduler.pause("user", note="approved; waits for `stretto resume`")
