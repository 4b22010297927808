"""The verb `draft`: from a goal in words to a pattern, its reasons and a plan."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stretto.agents.registry import free
from stretto.cli.findings import finding_data, finding_lines
from stretto.cli.follow import Screen
from stretto.cli.forecast import headline, price_lines
from stretto.cli.project import DEFAULT_AGENT, check_agent, journal_of, root_of
from stretto.draft import Draft, Price
from stretto.draft import draft as drafted
from stretto.draft.asking import Answered, Asked, ask
from stretto.draft.repository import Repository, look
from stretto.errors import EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.estimate import Estimate
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import line, many, plain, usd
from stretto.plan.finding import Finding
from stretto.plan.model import Plan
from stretto.report import dollars
from stretto.run import NO_CAP, Options, history_of, run_plan
from stretto.run.before import forecast, reviewed
from stretto.spec.settings import Settings, read_settings

SCHEMA = "stretto/draft/1"
MOST_BYTES = 1_000_000
PRICE_S = 0.6
"""How long one estimate may take; there are at most three."""
CAP_NUSD = 1_000_000_000
"""What asking a model may cost where nothing is said."""
UNCAPPED_NUSD = 10**15


class Place(NamedTuple):
    """The project that a goal stands in."""

    root: Path
    journal: SqliteJournal
    settings: Settings
    repository: Repository


def draft(args: Namespace) -> int:
    """Prints the plan, or writes it to --out; 1 where a model was asked and its plan never passed."""
    root = root_of(args)
    settings = read_settings(root)
    if args.on:
        check_agent(args.on, root)
    elif args.usd is not None:
        raise StrettoError("usage", "--usd is about --on", next="without --on nobody is asked, at no cost")
    goal = _goal(args.goal)
    if args.out is not None and not args.force and args.out.exists():
        raise StrettoError(
            "would-overwrite",
            f"{args.out} is here already",
            at=str(args.out),
            next="`--force` overwrites; `-o FILE` writes elsewhere",
        )
    with journal_of(args) as journal:
        place = Place(root, journal, settings, look(root))
        price = _price(place)
        made = drafted(goal, place.repository, price, catalogue=settings.catalogue)
        asked = _ask(args, made, place, price) if args.on else None
    _print(args, (asked.draft if asked is not None else None) or made, asked)
    return EXIT_OK if asked is None or asked.draft is not None else asked.code or EXIT_PROBLEM


def _goal(words: list[str]) -> str:
    """The goal as it was given, or from standard input for `-`."""
    if words != ["-"]:
        return " ".join(words)
    return sys.stdin.buffer.read(MOST_BYTES).decode("utf-8", "replace")


def _price(place: Place) -> Price:
    """What a plan would cost here, by this project's history; its inputs have their defaults."""

    def price(plan: Plan) -> Estimate:
        inputs = {name: given.default for name, given in plan.inputs.items()}
        options = Options(on=DEFAULT_AGENT, inputs=inputs, catalogue=place.settings.catalogue)
        return forecast(plan, options, place.journal, place.root, time_s=PRICE_S)

    return price


# Asking a model


def _ask(args: Namespace, made: Draft, place: Place, price: Price) -> Asked:
    """Lets the agent write the plan; each round is a run of its own."""
    cap_nusd = CAP_NUSD if args.usd is None else UNCAPPED_NUSD if args.usd == NO_CAP else args.usd
    history = history_of(place.journal, DEFAULT_AGENT)
    options = Options(on=DEFAULT_AGENT, catalogue=place.settings.catalogue)

    def review(plan: Plan, found: Sequence[Finding]) -> Sequence[Finding]:
        return reviewed(plan, found, options, history, accept=place.settings.accept).standing()

    def run(plan: Plan) -> Answered:
        return _run(args, plan, place)

    return ask(made, place.repository, args.on, run, review, price, cap_nusd, place.settings.catalogue)


def _run(args: Namespace, plan: Plan, place: Place) -> Answered:
    """One round: priced like every run, shown on standard error, kept in the journal."""
    options = Options(on=args.on, approve=True, catalogue=place.settings.catalogue, signals=True)
    if not free(args.on):
        found = forecast(plan, options, place.journal, place.root, time_s=PRICE_S)
        options.estimate = found.data()
        _say(price_lines(found, plan.limits.usd_nusd))
    screen = Screen(Namespace(jsonl=False, quiet=args.json), place.journal, sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            outcome = asyncio.run(
                run_plan(
                    plan,
                    options,
                    place.journal,
                    place.root,
                    observers=[screen],
                    started=lambda run, loop: screen.open(run, loop.state),
                )
            )
        finally:
            screen.close()
    ledger = outcome.state.ledger
    value = outcome.value(plan.tasks[0].id) if outcome.status == "succeeded" else None
    if value is None:
        _say([f"run {outcome.run} gave no plan: `stretto show {outcome.run}` says why"])
    return Answered(value, ledger.spent_nusd + ledger.held_nusd, outcome.code)


def _say(rows: Sequence[str]) -> None:
    print(plain("\n".join(rows)), file=sys.stderr)


# What is printed


def _print(args: Namespace, made: Draft, asked: Asked | None) -> None:
    if args.out is not None:
        _write(args.out, made.text)
    if asked is not None and asked.draft is None:
        rows = [row for finding in asked.findings for row in finding_lines(finding)]
        rounds = many(asked.rounds, "round")
        _say([*rows, f"no plan of {line(args.on)} passed in {rounds}, for {usd(asked.nusd)}: by rules it is"])
    if args.json:
        print(json.dumps(draft_data(made, args.out, asked)))
        return
    if args.out is None:
        print(made.text, end="", flush=True)
    where = args.out if args.out is not None else "plan.yaml"
    nested = f", with {' and '.join(made.nesting)} inside" if made.nesting else ""
    rows = [f"pattern   {made.pattern}{nested}"]
    if args.out is not None:
        rows += [f"          {line(reason)}" for reason in made.reasons]
    rows.append(f"estimate  {headline(made.estimate)}")
    if asked is not None:
        rows.append(f"asked     {line(args.on)}, {many(asked.rounds, 'round')}, {usd(asked.nusd)}")
    if args.out is not None:
        rows.append(f"wrote     {args.out}")
    rows.append(f"next      stretto check {where} && stretto run {where} --on simulated")
    print(plain("\n".join(rows)), file=sys.stdout if args.out is not None else sys.stderr)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failed:
        what = f"{path} cannot be written: {failed.strerror}"
        raise StrettoError("cannot-write", what, next="name another file with -o FILE") from failed


def draft_data(made: Draft, out: Path | None = None, asked: Asked | None = None) -> dict[str, Any]:
    """The object of --json: pattern, reasons and plan, and what else is known."""
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "goal": made.goal,
        "pattern": made.pattern,
        "nesting": list(made.nesting),
        "reasons": list(made.reasons),
        "path": [answer._asdict() for answer in made.answers],
        "plan": made.text,
        **_figures(made.estimate),
        "orchestrated": None if made.other is None else _figures(made.other),
        "file": None if out is None else str(out),
    }
    if asked is not None:
        data["asked"] = {
            "passed": asked.draft is not None,
            "rounds": asked.rounds,
            "usd": dollars(asked.nusd),
            "findings": [finding_data(finding) for finding in asked.findings],
        }
    return data


def _figures(found: Estimate) -> dict[str, float | None]:
    """Expected dollars and minutes; null where nobody can say."""
    money, seconds = found.nusd, found.seconds
    return {
        "usd": None if money is None else dollars(round(money.expected)),
        "minutes": None if seconds is None else round(seconds.expected / 60, 3),
    }
