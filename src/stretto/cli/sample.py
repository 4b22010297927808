"""The first items of a plan's wide fan-outs, really run: what they cost narrows the estimate of the rest."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from stretto.agents.registry import Roster
from stretto.cli.earlier import SAMPLE
from stretto.cli.follow import Screen, how_to_go_on, summary
from stretto.cli.forecast import price_lines
from stretto.cli.locking import approved, with_kept
from stretto.errors import StrettoError
from stretto.estimate import Estimate
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import line, many, plain
from stretto.plan.graph import Element, Graph, build, subtree
from stretto.plan.model import Group, Part, Plan, Quorum, Task
from stretto.plan.prune import prune
from stretto.plan.references import only_ref
from stretto.run import Options, Outcome, cap_of, new_run_id, run_plan
from stretto.run.before import forecast
from stretto.run.loop import Loop
from stretto.run.prepare import keeps

HEAD = 3
"""Lines of a run's summary that are told of a sample: how it ended, its tasks, its money."""


class Cut(NamedTuple):
    """A plan cut down to the first items of its wide fan-outs, and what could not be cut."""

    plan: Plan | None
    items: dict[str, int]
    """How many items each of them has in full, by path."""
    left_out: dict[str, str]
    """Why the others are not sampled, by path."""


class Sample(NamedTuple):
    """A sample that was run."""

    cut: Cut
    outcome: Outcome

    def data(self) -> dict[str, Any]:
        return {
            "run": self.outcome.run,
            "status": self.outcome.status,
            "usd": self.outcome.state.ledger.spent_nusd / 1e9,
            "parts": list(self.cut.items),
            "left_out": self.cut.left_out,
        }


def sample(args: Namespace, plan: Plan, options: Options, journal: SqliteJournal, root: Path) -> Sample:
    """Runs the first `--sample` items as a run of its own, under the cap, with its price said before.

    Raises `nothing-to-sample`, `no-cap`, and whatever a run raises before it starts.
    """
    cut = cut_down(plan, options, args.sample)
    for path, why in cut.left_out.items():
        print(plain(f"not sampled: {path}: {line(why)}"), file=sys.stderr)
    if cut.plan is None:
        raise StrettoError(
            "nothing-to-sample",
            f"no fan-out of {plan.name!r} can be sampled",
            next="`--sample` takes the first items of an `each` over a list in the plan or in an input",
        )
    before = forecast(cut.plan, options, journal, root, time_s=1.0)
    return Sample(cut, _run(args, cut, before, options, journal, root))


def _run(
    args: Namespace, cut: Cut, price: Estimate, options: Options, journal: SqliteJournal, root: Path
) -> Outcome:
    assert cut.plan is not None
    cap_nusd = cap_of(cut.plan, options, Roster(root, catalogue=options.catalogue))
    names = ", ".join(cut.items)
    _say(f"sample      the first {many(args.sample, 'item')} of {names}; the run need not pay for them again")
    _say("\n".join(price_lines(price, cap_nusd)))
    options = replace(options, estimate=price.data(), approved_nusd=with_kept(approved(price), price))
    screen = Screen(Namespace(jsonl=False, quiet=False), journal, sys.stderr, catalogue=options.catalogue)
    run = f"{new_run_id(cut.plan)}{SAMPLE}"
    start_s = time.monotonic()

    def started(run: str, loop: Loop) -> None:
        screen.open(run, loop.state)

    # What a user's function prints must not stand between the results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            outcome = asyncio.run(
                run_plan(cut.plan, options, journal, root, observers=[screen], run=run, started=started)
            )
        finally:
            screen.close()
    lines = summary(outcome.run, outcome.state, screen.notes, time.monotonic() - start_s)
    _say("\n".join(lines[:HEAD]))
    if outcome.status != "succeeded":
        _say(how_to_go_on(outcome.run, outcome.state))
    return outcome


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr)


# Cutting down


def cut_down(plan: Plan, options: Options, n: int) -> Cut:
    """Every `each` of more than `n` items that are known before a run, with its first `n` alone."""
    graph = build(plan)
    items: dict[str, int] = {}
    first: dict[str, list[Any]] = {}
    left_out: dict[str, str] = {}
    for element in _fan_outs(graph):
        entries = _entries(plan, element, options.inputs)
        if entries is not None and len(entries) <= n:
            continue
        why = _why_not(element)
        if entries is None:
            left_out[element.path] = f"its list, {_over(element)}, is not known before the run"
        elif why:
            left_out[element.path] = why
        else:
            items[element.path] = len(entries)
            first[element.path] = entries[:n]
    if not items:
        return Cut(None, items, left_out)
    shorter = replace(plan, tasks=tuple(_shorter(part, "", first) for part in plan.tasks))
    return Cut(prune(shorter, *items), items, left_out)


def _fan_outs(graph: Graph) -> Iterator[Element]:
    """The outermost `each` of every part."""
    for element in graph.elements.values():
        if element.part.each is not None and not any(o.part.each for o in _owners(element)):
            yield element


def _owners(element: Element) -> Iterator[Element]:
    while element.owner is not None:
        element = element.owner
        yield element


def _over(element: Element) -> list[Any] | str:
    assert element.part.each is not None
    return element.part.each.over


def _entries(plan: Plan, element: Element, inputs: dict[str, Any]) -> list[Any] | None:
    """The list of an `each`, where it is known before a run."""
    over = _over(element)
    if isinstance(over, list):
        return over
    ref = only_ref(over)
    if ref is None or ref.path or ref.name not in plan.inputs:
        return None
    value = inputs.get(ref.name)
    return value if isinstance(value, list) else None


def _why_not(element: Element) -> str:
    """Why a fan-out is not sampled although its list is known; empty where it can be."""
    inside, before = list(subtree(element)), _needed(element)
    if not any(_asks(task) for task in _tasks(inside)):
        return "no model is asked in it"
    if any(other.part.each is not None for other in before):
        return "it needs another fan-out"
    if any(task.grow for task in _tasks([*inside, *before])):
        return "it needs what a planner writes"
    for task in _tasks([*inside, *before]):
        if keeps(task) != "always":
            why = "its result is not kept" if task.action == "prompt" else "it is not marked `pure: true`"
            return f"{task.id} would be done a second time in the run itself: {why}"
    return ""


def _needed(element: Element) -> list[Element]:
    """Everything that has to be done before a part, and all that is inside of it."""
    found: dict[Element, None] = {}
    waiting = [*subtree(element), *_owners(element)]
    own = set(waiting)
    while waiting:
        for need in waiting.pop().needs:
            for other in subtree(need.target):
                if other not in own and other not in found:
                    found[other] = None
                    waiting.append(other)
    return list(found)


def _tasks(elements: Iterable[Element]) -> Iterator[Task]:
    return (element.part for element in elements if isinstance(element.part, Task))


def _asks(task: Task) -> bool:
    return task.action == "prompt" or (task.check is not None and bool(task.check.prompt))


def _shorter(part: Part, before: str, first: dict[str, list[Any]]) -> Part:
    """The part with the lists of these fan-outs cut; a failed item ends no sample."""
    path = f"{before}{part.id}"
    if path in first and part.each is not None:
        each = replace(part.each, over=first[path])
        return replace(part, each=each, quorum=Quorum(tolerate_share=1.0))
    if isinstance(part, Group):
        return replace(part, tasks=tuple(_shorter(member, f"{path}.", first) for member in part.tasks))
    return part
