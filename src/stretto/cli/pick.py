"""The verb `models pick`: which model and effort a task would get, and why; many tasks as a stream."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, BinaryIO, NamedTuple

from stretto.agents.registry import free
from stretto.cli.asked import Asked, BadTask, read_task
from stretto.cli.project import DEFAULT_AGENT, check_agent, journal_of, root_of
from stretto.errors import EXIT_OK, StrettoError, bug
from stretto.journal import Journal
from stretto.live.words import clock, line, many, plain, usd
from stretto.models import Catalogue
from stretto.models.choice import Chooser, Decision
from stretto.models.figures import Figure, figure
from stretto.run import history_of
from stretto.scheduler.choosing import UNCHOSEN
from stretto.spec.settings import read_settings

SCHEMA = "stretto/pick/1"
MAX_LINE = 1_000_000
"""Bytes of one task."""
DASH = "-"
WIDE = 98


def pick(args: Namespace) -> int:
    """Explains one choice, or answers a stream of tasks, where an error is an answer too."""
    if args.jsonl and args.text != DASH:
        raise StrettoError(
            "usage",
            "--jsonl reads tasks from standard input",
            at="stretto models pick",
            next="`stretto models pick - --jsonl < tasks.jsonl`",
        )
    root = root_of(args)
    on = args.on or DEFAULT_AGENT
    check_agent(on, root)
    catalogue = read_settings(root).catalogue
    with journal_of(args) as journal:
        picker = Picker(catalogue, journal, on, args.has_check)
        if args.jsonl:
            return _stream(picker, sys.stdin.buffer)
        return _explain(args, picker)


def _explain(args: Namespace, picker: Picker) -> int:
    text = args.text if args.text != DASH else _all_of(sys.stdin.buffer)
    try:
        found = picker.answer(text)
    except BadTask as bad:
        fix = "write what is to be done in words, or a JSON object with a prompt"
        raise StrettoError("bad-task", str(bad), next=fix) from None
    if args.json:
        print(json.dumps({"schema": SCHEMA, **found.data()}))
    else:
        print(plain("\n".join(_lines(found))))
    return EXIT_OK


class Answer(NamedTuple):
    """What was asked, and what was decided; no decision where an agent takes no model's name."""

    asked: Asked
    decision: Decision | None
    figure: Figure | None
    """Of one attempt on the chosen model."""
    free: bool

    @property
    def nusd(self) -> int | None:
        """What an attempt is expected to cost; None where no price is known."""
        if self.free:
            return 0
        return None if self.figure is None or self.figure.nusd is None else round(self.figure.nusd)

    def data(self) -> dict[str, Any]:
        """As JSON; what is not known is null."""
        facts, decision, figure = self.asked.facts, self.decision, self.figure
        about: dict[str, Any] = {"kind": facts.kind.name or None, "kind_sure": facts.kind.sure}
        about["agent"] = facts.agent
        if self.asked.ignored:
            about["ignored"] = list(self.asked.ignored)
        if decision is None or figure is None:
            words = [f"{facts.agent} serves its own models: none is chosen"]
            model = facts.ladder[0] if facts.fixed else None
            return {"tier": None, "model": model, "effort": facts.effort or None, "reasons": words, **about}
        data = decision.data()
        data |= {"tier": data["tier"] or None, "effort": data["effort"] or None}
        data |= {
            "expected_usd": None if self.nusd is None else self.nusd / 1e9,
            "expected_s": round(figure.seconds, 1),
            "expected_from": figure.known,
        }
        return {**data, **about}


class Picker:
    """Chooses for tasks that are in no plan, by the project's history."""

    def __init__(self, catalogue: Catalogue, journal: Journal, on: str, checked: bool):
        self._catalogue = catalogue
        self._journal = journal
        self._on = on
        self._checked = checked
        self._choosers: dict[bool, Chooser] = {}

    def answer(self, text: str) -> Answer:
        """The choice for one task. Raises BadTask."""
        asked = read_task(text, self._catalogue, self._on, self._checked)
        facts = asked.facts
        if facts.agent.partition(":")[0] in UNCHOSEN:
            return Answer(asked, None, None, free(facts.agent))
        chooser = self._chooser(facts.agent)
        decision = chooser.decide(facts)
        if decision is None:
            raise bug("a task that has not failed yet has no model left")
        info = self._catalogue.info(decision.model)
        expected = figure(facts, info, self._catalogue, chooser.history, effort=decision.effort)
        return Answer(asked, decision, expected, free(facts.agent))

    def _chooser(self, agent: str) -> Chooser:
        """What a pretender did teaches nothing about others, so it has a history of its own."""
        pretends = agent.partition(":")[0] == "simulated"
        if pretends not in self._choosers:
            self._choosers[pretends] = Chooser(self._catalogue, history_of(self._journal, agent))
        return self._choosers[pretends]


# One choice, for people


def _lines(found: Answer) -> list[str]:
    asked, decision = found.asked, found.decision
    facts = asked.facts
    if decision is None:
        data = found.data()
        return [data["model"] or "no choice", *_row("why", *data["reasons"])]
    effort = f", effort {decision.effort}" if decision.effort else ""
    lines = [f"{decision.tier or 'no tier'}  {line(decision.model)}{effort}"]
    lines += _row("why", *decision.reasons)
    if decision.runner_up:
        lines += _row("instead of", f"{decision.runner_up}: {decision.why_not}")
    lines += _row("expected", _expected(found))
    lines += _row("chance", _chance(decision))
    words = f"{facts.kind.name or 'undecided'}, {facts.kind.sure:.0%} sure by the words"
    lines += _row("kind", words)
    if asked.ignored:
        lines += _row("ignored", ", ".join(asked.ignored))
    return lines


def _row(name: str, *words: str) -> list[str]:
    rows = [row for word in words for row in wrap(line(word), WIDE - 13, subsequent_indent="  ") or [""]]
    return [f"  {name if k == 0 else '':<11}{row}" for k, row in enumerate(rows)]


def _expected(found: Answer) -> str:
    figure = found.figure
    assert figure is not None
    cost = "an unknown cost" if found.nusd is None else usd(found.nusd)
    known = {
        "declared": "as declared",
        "history": f"by {many(figure.n, 'outcome')} in this project",
        "prior": "a guess within a factor of two, by the size and kind of the task",
    }
    return f"{cost} and {clock(figure.seconds)} for one attempt ({known[figure.known]})"


def _chance(decision: Decision) -> str:
    chance = "unknown" if decision.chance is None else f"{decision.chance:.0%}"
    known = {"declared": "the model is declared", "none": "nothing like it was seen here yet"}
    return f"{chance}; confidence {decision.confidence}" + (
        f": {known[decision.confidence]}" if decision.confidence in known else ""
    )


# A stream of tasks


def _stream(picker: Picker, tasks: BinaryIO) -> int:
    """One answer a line, as each task comes; what is no task is answered by an error."""
    for number, row in enumerate(_rows(tasks), 1):
        try:
            answer = _answered(picker, row)
        except BadTask as bad:
            answer = {"error": str(bad)}
        except StrettoError as bad:  # an agent that cannot be, a model that means nothing
            answer = {"error": f"{bad.what}: {bad.next}" if bad.next else bad.what}
        print(json.dumps({**answer, "line": number}), flush=True)
    return EXIT_OK


def _answered(picker: Picker, row: bytes) -> dict[str, Any]:
    if len(row) > MAX_LINE:
        raise BadTask(f"the line has more than {MAX_LINE:,} bytes")
    try:
        text = row.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        raise BadTask(f"the line is not UTF-8: byte 0x{row[bad.start]:02x} at {bad.start + 1}") from None
    return picker.answer(text).data()


def _rows(tasks: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long a little more than its most, and the rest of it is passed over."""
    while row := tasks.readline(MAX_LINE + 2):
        yield row.rstrip(b"\r\n")
        while row and not row.endswith(b"\n"):
            row = tasks.readline(MAX_LINE)


def _all_of(tasks: BinaryIO) -> str:
    text = tasks.read(MAX_LINE + 1)
    if len(text) > MAX_LINE:
        raise StrettoError(
            "bad-task",
            f"the task has more than {MAX_LINE:,} bytes",
            next="name a file in it instead of its content",
        )
    return text.decode("utf-8-sig", errors="replace")
