"""The verbs `run` and `resume`: a plan carried out in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from stretto.agents.registry import Roster, free
from stretto.cli.dry_run import print_plan, print_rest, rest_lines
from stretto.cli.earlier import taken_from
from stretto.cli.follow import FAILED_WORD, Screen, ending, redone
from stretto.cli.forecast import price_lines
from stretto.cli.locking import approved, folder_of, unlocked, with_kept
from stretto.cli.project import (
    DEFAULT_AGENT,
    catalogue_of,
    check_agent,
    confirmed,
    journal_of,
    plan_and_findings,
    plan_folder,
    root_of,
    run_named,
    somebody_is_there,
)
from stretto.errors import EXIT_OK, StrettoError
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import cap, line, many, plain, usd
from stretto.models import Catalogue
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from stretto.plan.prune import find, prune
from stretto.report import data_of, foreseen_in, materialise, read, rest_of
from stretto.run import Options, Outcome, agents_used, cap_of, resume_run, run_plan
from stretto.run.before import forecast, refuse_unticked
from stretto.run.loop import Loop
from stretto.spec.load import inputs_from
from stretto.spec.lock import Lock, is_lock, lock_text
from stretto.spec.roles import read_roles
from stretto.spec.settings import read_settings

UNSEEN = "note: tasks in worktrees start from the last commit; your uncommitted changes are not in it"


def run(args: Namespace) -> int:
    """Carries out a plan as a new run; the exit code says how it ended."""
    root = root_of(args)
    settings = read_settings(root)
    catalogue = settings.catalogue
    lock = None
    found: list[Finding] = []
    if is_lock(args.plan):
        args, lock = unlocked(args, root, catalogue)
    if args.on:
        check_agent(args.on, root)
    if lock is not None:
        plan = lock.plan
    else:
        on, accept = args.on or DEFAULT_AGENT, settings.accept
        plan, found = plan_and_findings(args.plan, args.plan_name, on, catalogue, accept, read_roles(root))
    _check_answers(plan, args.on)
    target = args.only or args.until
    if target:
        plan = prune(plan, target)
        left = build(plan).elements.keys()
        found = [finding for finding in found if left >= set(finding.tasks)]
    _check_redo(plan, args.redo)
    on = args.on or _default_agent(plan)
    inputs = inputs_from(plan, args.inputs, root)
    options = Options(
        on=on,
        inputs=inputs,
        cap_nusd=args.usd,
        approve=args.yes,
        parallel=args.parallel,
        seed=args.seed,
        shadow=args.shadow,
        approved_nusd=args.ask_above,
        fresh=args.fresh,
        folder=plan_folder(args.plan.absolute().parent if lock is None else folder_of(args.plan, lock), root),
        lock=lock_text(lock) if lock is not None else "",
        catalogue=catalogue,
        wait_for_reset=args.wait_for_reset,
        signals=True,
    )
    if args.dry_run:
        print_plan(plan, options, root, as_json=args.json)
        return EXIT_OK
    if args.redo:
        options.redo = args.redo
    with journal_of(args) as journal:
        if args.only:
            options.only, options.taken = args.only, taken_from(journal, plan, args.only)
        if not args.unchecked:
            refuse_unticked(plan, found, options, journal, root, settings.accept)
        _price(plan, options, journal, root, lock)
        session = Session(args, journal, catalogue)
        with session:
            running = run_plan(
                plan, options, journal, root, observers=[session.screen], started=session.started
            )
            outcome = asyncio.run(running)
        return session.finish(outcome, options, root)


def resume(args: Namespace) -> int:
    """Goes on with a run from its journal."""
    root = root_of(args)
    with journal_of(args) as journal:
        info = run_named(journal, args.run)
        catalogue = catalogue_of(root)
        options = Options(
            cap_nusd=args.usd,
            approve=args.yes,
            catalogue=catalogue,
            wait_for_reset=args.wait_for_reset,
            signals=True,
        )
        if args.dry_run:
            print_rest(journal, info, args.redo, args.release_held, as_json=args.json)
            return EXIT_OK
        redo = args.redo
        if FAILED_WORD in redo:
            redo = redone(read(journal, info.run).state, redo)
        session = Session(args, journal, catalogue, _last_seq(journal, info.run) if args.jsonl else 0)
        session.redo = redo
        with session:
            outcome = asyncio.run(
                resume_run(
                    info.run,
                    options,
                    journal,
                    root,
                    redo=redo,
                    release_held=args.release_held,
                    observers=[session.screen],
                    started=session.started,
                )
            )
        return session.finish(outcome, options, root)


class Session:
    """What one command shows while a run goes on and after: progress on stderr, results on stdout."""

    def __init__(self, args: Namespace, journal: SqliteJournal, catalogue: Catalogue, after: int = 0):
        self._catalogue = catalogue
        self._args = args
        self._journal = journal
        self._after = after
        self._out: TextIO = sys.stdout
        self._start_s = time.monotonic()
        self._aside = contextlib.ExitStack()
        self.redo: Iterable[str] | None = None
        """Set for a resume, which says first what it will do."""
        self.screen = Screen(args, journal, self._out, catalogue=catalogue)

    def __enter__(self) -> Session:
        # What a user's function prints must not stand between the results.
        self._aside.enter_context(contextlib.redirect_stdout(sys.stderr))
        return self

    def __exit__(self, *failed: object) -> None:
        self.screen.close()
        self._aside.close()

    def started(self, run: str, loop: Loop) -> None:
        """Called once the run is on disk and before anything of it starts."""
        if self.redo is not None and not self._args.quiet:
            with contextlib.suppress(OSError):
                rest = rest_of(loop.state, self.redo, foreseen_in(self._journal, loop.state))
                print(plain("\n".join(rest_lines(run, rest))), file=sys.stderr)
        if loop.isolation is not None and loop.isolation.unseen and not self._args.quiet:
            print(UNSEEN, file=sys.stderr)
        self.screen.open(run, loop.state, after=self._after)

    def finish(self, outcome: Outcome, options: Options, root: Path) -> int:
        """Asks where somebody can answer, then prints the result."""
        while self._may_ask(outcome) and self._approved(outcome):
            options.approve = True
            self.screen = Screen(self._args, self._journal, self._out, catalogue=self._catalogue)
            self.redo = None
            with self:
                outcome = asyncio.run(
                    resume_run(
                        outcome.run,
                        options,
                        self._journal,
                        root,
                        observers=[self.screen],
                        started=self.started,
                    )
                )
        self._print(outcome)
        return outcome.code

    def _may_ask(self, outcome: Outcome) -> bool:
        paused = outcome.state.paused
        waits = paused is not None and paused.why == "approval"
        return waits and not (self._args.json or self._args.jsonl) and somebody_is_there()

    def _approved(self, outcome: Outcome) -> bool:
        paused = outcome.state.paused
        assert paused is not None
        state = outcome.state
        print(plain(f"\n{line(paused.note) or 'the run waits for approval'}"), file=sys.stderr)
        money = f"{usd(state.ledger.spent_nusd)} spent, {cap(state.ledger.cap_nusd)}"
        return confirmed(f"{money}. Go on?")

    def _print(self, outcome: Outcome) -> None:
        args, journal, run = self._args, self._journal, outcome.run
        if args.json:
            history = read(journal, run)
            paths = materialise(journal, journal.run_folder(run), history)
            print(json.dumps(data_of(history, False, paths, journal, self._catalogue)))
        seconds = time.monotonic() - self._start_s
        notes, catalogue = self.screen.notes, self._catalogue
        lines = ending(journal, run, outcome.state, notes, seconds, catalogue=catalogue)
        print(plain("\n".join(lines)), file=sys.stderr if args.json or args.jsonl else sys.stdout)


def _default_agent(plan: Plan) -> str:
    """Claude's API where there is a key; without one nobody is asked who was not named."""
    asked = _asking(plan)
    if not asked or os.environ.get("ANTHROPIC_API_KEY"):
        return DEFAULT_AGENT
    one = len(asked) == 1
    raise StrettoError(
        "no-agent",
        f"{many(len(asked), 'prompt')} of this plan ({asked[0]}{'' if one else ', ...'}) "
        f"{'names' if one else 'name'} no agent, and there is no key",
        next="`--on simulated` rehearses without a model, `--on local` asks the small model on this machine; "
        "for Claude set ANTHROPIC_API_KEY",
    )


def _asking(plan: Plan) -> list[str]:
    """The tasks that ask whoever `--on` names, by the paths they were written at."""
    found = []
    for element in build(plan).elements.values():
        if isinstance(element.part, Task) and _asks(element.part):
            # What grows has its prompt in `ID.plan`.
            found.append(element.path.removesuffix(".plan") if element.part.grow else element.path)
    return found


def _check_answers(plan: Plan, on: str) -> None:
    if on.partition(":")[0] in ("command", "function") and (asked := _asking(plan)):
        raise StrettoError(
            "usage",
            f"`{on}` answers no prompts, and this plan has some ({asked[0]}{', ...' if asked[1:] else ''})",
            next="`--on simulated` rehearses without a model; commands and calls need no `--on`",
        )


def _asks(task: Task) -> bool:
    judged = task.check is not None and task.check.prompt and not task.check.on
    return bool((task.action == "prompt" and not task.on) or judged or task.grow)


def _price(
    plan: Plan, options: Options, journal: SqliteJournal, root: Path, lock: Lock | None = None
) -> None:
    """Before a paid run: what it will cost, what it can cost at most, its cap. Raises `no-cap`."""
    limit = cap_of(plan, options, Roster(root, seed=options.seed))
    if all(free(name) for name in agents_used(plan, options.on)):
        return
    found = forecast(plan, options, journal, root, time_s=1.0)
    options.estimate = found.data()
    if options.approved_nusd is None:
        options.approved_nusd = with_kept(approved(found), found)
    lines = price_lines(found, limit)
    if lock is not None:
        options.approved_nusd = with_kept(lock.approved_nusd, found)
        lines.append(f"approved    {usd(lock.approved_nusd)}, by the lock file")
    print(plain("\n".join(lines)), file=sys.stderr)


def _check_redo(plan: Plan, redo: list[str]) -> None:
    """A task to be redone is named as in the run (`files.3.scan`) or as in the plan (`files.scan`)."""
    graph = build(plan)
    for path in redo:
        find(plan, graph, ".".join(word for word in path.split(".") if not word.isdigit()))


def _last_seq(journal: SqliteJournal, run: str) -> int:
    """The number of the last event there is: a stream of a resume begins behind it."""
    seq = 0
    for row in journal.read(run):
        seq = row.seq
    return seq
