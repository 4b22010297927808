"""Which views look on while a run goes on, and what is said when it has ended."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console

from stretto import events as ev
from stretto.cli.money import closing, left_lines, resume_cap, switch_words
from stretto.errors import StrettoError
from stretto.journal import Journal
from stretto.live.lines import LineLog
from stretto.live.notes import Notes
from stretto.live.stream import JsonStream
from stretto.live.view import LiveView
from stretto.live.words import cap, clock, line, many, until, usd
from stretto.models import BUILTIN, Catalogue
from stretto.report import History, Merged, merged_of, read, tasks_of
from stretto.scheduler.policy import RESETS
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    CANCELLED,
    FAILED,
    RESULT,
    SKIPPED,
    STATES,
    SUCCEEDED,
    GroupVertex,
    TaskVertex,
    Vertex,
    good,
)

View = LiveView | LineLog | JsonStream
NAMED = 3
"""How many outputs the summary names, and how many tasks to redo the last line."""
FAILURES = 5
"""How many failures the summary names."""
FAILED_WORD = "failed"
"""`resume --redo failed`: every task that failed."""


class Screen:
    """The views of one command: progress on stderr, a stream of events on stdout."""

    def __init__(
        self,
        args: Namespace,
        journal: Journal,
        out: TextIO,
        own: bool = True,
        catalogue: Catalogue = BUILTIN,
    ):
        self.notes = Notes()
        self._args = args
        self._journal = journal
        self._out = out
        self._own = own
        self._catalogue = catalogue
        self._view: View | None = None

    def open(self, run: str, state: State, *, after: int = 0, seconds: float = 0.0) -> None:
        """Begins to show a run; `after` is the last event that is known already."""
        view = self._view = self._choose(after)
        try:
            if isinstance(view, LiveView):
                view.begin(run, state, seconds)
            elif view is not None:
                view.begin(run, state)
        except OSError:
            self._view = None

    def close(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            with contextlib.suppress(OSError):
                view.end()

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None:
        self.notes.saw(at_us, events)
        if self._view is not None:
            try:
                self._view.saw(at_us, events)
            except OSError:
                self._view = None  # nobody reads our progress any more, which is no reason to end the run

    def _choose(self, after: int) -> View | None:
        if self._args.jsonl:
            return JsonStream(self._journal, self._print, after)
        if getattr(self._args, "quiet", False):
            return None
        if sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb":
            return LiveView(Console(stderr=True), self.notes)
        return LineLog(lambda text: print(text, file=sys.stderr, flush=True), self._own, self._catalogue)

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def ending(
    journal: Journal,
    run: str,
    state: State,
    notes: Notes,
    seconds: float,
    history: History | None = None,
    catalogue: Catalogue = BUILTIN,
) -> list[str]:
    """The summary, the estimate beside what it became, what was saved, what is left, how to go on."""
    history = history or _history(journal, run, state)
    money = closing(journal, history, catalogue) if history is not None else []
    next = how_to_go_on(run, state, resume_cap(journal, state, catalogue))
    merged = merged_of(journal, state)
    lines = [*summary(run, state, notes, seconds, money), *merged_lines(merged), *left_lines(journal, state)]
    return [*lines, *filter(None, [next, merged.command if merged is not None else ""])]


def merged_lines(merged: Merged | None) -> list[str]:
    """What the worktrees of a run came to, and which branches stay."""
    if merged is None:
        return []
    all_of = "all finished work" if not merged.left else "what could be merged"
    what = f"{all_of} is on {line(merged.branch, 200)}" if merged.branch else "nothing: no finished work"
    lines = [f"  merged  {what}"]
    for left in merged.left:
        files = line(", ".join(left["files"]), 100)
        lines.append(f"          {line(left['branch'], 200)} is left ({files}): {line(left['why'], 200)}")
    if merged.failed:
        names = line(", ".join(merged.failed), 200)
        lines.append(f"          what tasks that failed had done is on their branches: {names}")
    return lines


def _history(journal: Journal, run: str, state: State) -> History | None:
    """Read only where there is more to say than the state knows: that takes some 25 us an event."""
    started = state.started
    if started is None or not (state.ledger.calls or started.estimate or _declares(state)):
        return None
    try:
        return read(journal, run)
    except StrettoError:
        return None  # a journal that cannot be read has been told of already, and the run has ended


def _declares(state: State) -> bool:
    """Whether the plan says what it would cost otherwise."""
    expects = (element.part.expect for element in state.graph.elements.values())
    return bool(state.plan.baselines) or any(e is not None and e.strongest_nusd is not None for e in expects)


def summary(run: str, state: State, notes: Notes, seconds: float, money: Sequence[str] = ()) -> list[str]:
    """What people read last: how it ended, how many tasks, what it cost, where the results are.

    `money` are more lines about it.
    """
    counts = [0] * len(STATES)
    for row in state.rows.values():
        if row.id == RESULT:
            continue  # no task of the plan; what it came to is told apart
        for k, number in enumerate(row.counts):
            counts[k] += number
    left = sum(counts[:SUCCEEDED])
    failed = "failed (tolerated)" if state.status == "succeeded" else "failed"
    words = [(counts[SUCCEEDED], "succeeded"), (counts[FAILED], failed), (counts[SKIPPED], "skipped")]
    words += [(counts[CANCELLED], "cancelled"), (left, "left")]
    tasks = ", ".join(f"{number:,} {word}" for number, word in words if number) or "none"
    if state.paused is not None and any(is_unknown(vertex) for vertex in state.vertices.values()):
        tasks += ", and some that are not known yet"
    why = f" ({state.paused.why})" if state.paused is not None else ""
    lines = [
        f"run {run} {state.status}{why} after {clock(seconds)}",
        f"  tasks   {tasks}",
        f"  money   {_money(state, notes)}",
        *money,
        *(f"  tiers   {switch_words(switch)}" for switch in state.switched),
    ]
    if notes.kept_count:
        names = ", ".join(f"{task} from {source}" for task, source, _ in notes.kept)
        more = (
            f" and {notes.kept_count - len(notes.kept):,} more" if notes.kept_count > len(notes.kept) else ""
        )
        saved = f", {usd(state.saved_nusd)} saved" if state.saved_nusd else ""
        lines.append(f"  kept    {many(notes.kept_count, 'result')} used again{saved}: {names}{more}")
    if waits := _waits(state):
        lines.append(f"  waits   {waits}")
    lines += _failures(state, notes)
    lines += [f"  output  stretto show {run} --task {id} --output" for id in _results(state)]
    return lines


def _failures(state: State, notes: Notes) -> list[str]:
    """The first few failures, those that failed the run before those that were tolerated."""
    failed = list(dict.fromkeys([*_what_failed(state), *tasks_that_failed(state)]))
    if not failed:
        return [f"  failed  {line(notes.failure, 200)}"] if notes.failure else []
    lines = [
        f"  {'' if k else 'failed':<8}{vertex.id}: {line(vertex.error, 200)}"
        for k, vertex in enumerate(failed[:FAILURES])
    ]
    return lines + ([f"          and {len(failed) - FAILURES:,} more"] if len(failed) > FAILURES else [])


def tasks_that_failed(state: State) -> list[TaskVertex]:
    """Every failed task of a run in plan order, tolerated ones too."""
    return [vertex for vertex in tasks_of(state) if vertex.state == FAILED]


def redone(state: State, words: Sequence[str]) -> list[str]:
    """The tasks that `--redo` means; `failed` is every task that failed, unless one has that name."""
    found: list[str] = []
    for word in words:
        all_failed = word == FAILED_WORD and word not in state.vertices
        found += [vertex.id for vertex in tasks_that_failed(state)] if all_failed else [word]
    return list(dict.fromkeys(found))


def is_unknown(vertex: Vertex) -> bool:
    """True for a group whose members will be made at run time and are not yet."""
    return (
        isinstance(vertex, GroupVertex) and vertex.grown and not vertex.complete and vertex.state < SUCCEEDED
    )


def _waits(state: State) -> str:
    """What a paused run waits for, where more can be said than the word for it."""
    paused, ledger = state.paused, state.ledger
    if paused is None:
        return ""
    if paused.why == "budget" and paused.need_nusd and ledger.cap_nusd is not None:
        left = max(0, ledger.cap_nusd - ledger.committed_nusd)
        what = line(paused.note, 200) or f"the next call may cost {usd(paused.need_nusd)}"
        return f"{what}, and {usd(left)} of the cap is left"
    when = "it does not say until when" if paused.why in RESETS else ""
    if paused.until_us is not None:
        when = until(paused.until_us)
    return "; ".join(filter(None, [line(paused.note, 200), when]))


def _money(state: State, notes: Notes) -> str:
    ledger = state.ledger
    if not ledger.calls:
        return "nothing spent"
    words = [f"{usd(ledger.spent_nusd)} spent"]
    if notes.unpriced:
        words.append("and calls whose price is unknown")
    if ledger.held_nusd:
        words.append(f"{usd(ledger.held_nusd)} held for calls whose usage never arrived")
    return f"{', '.join(words)}, {cap(ledger.cap_nusd)}"


def _results(state: State) -> list[str]:
    """The parts that no other needs: what the plan was made for."""
    needed = {need.target for element in state.graph.elements.values() for need in element.needs}
    ends = [id for id, element in state.graph.roots.items() if element not in needed]
    return [id for id in ends if state.vertices[id].state == SUCCEEDED][:NAMED]


def how_to_go_on(run: str, state: State, cap: str = "") -> str:
    """The last line: how to go on where that is possible; empty after a success. `cap` is a sum that does."""
    paused = state.paused
    if state.status == "succeeded":
        return ""
    if state.status == "failed":
        failed = [vertex.id for vertex in _what_failed(state)]
        if len(failed) > NAMED and FAILED_WORD not in state.vertices:
            failed = [FAILED_WORD]
        again = "".join(f" --redo {id}" for id in failed)
        return f"try again: stretto resume {run}{again}" if again else ""
    if state.status == "cancelled":
        return "it is over; `stretto run PLAN` begins anew and uses what is kept"
    if paused is not None and paused.why == "approval":
        return f"to go on: stretto approve {run}, then stretto resume {run}"
    if paused is not None and paused.why == "budget":
        return f"to go on: stretto resume {run} --usd {cap or _next_cap(state)}"
    waits = paused is not None and paused.why in RESETS and paused.until_us is not None
    return f"to go on: stretto resume {run}{' --wait-for-reset' if waits else ''}"


def _what_failed(state: State) -> list[TaskVertex]:
    """The tasks whose failure failed the run: tolerated and optional ones did not."""
    found: list[TaskVertex] = []
    stack: list[Vertex] = [v for v in reversed(state.root.members) if v.state == FAILED and not good(v)]
    while stack:
        vertex = stack.pop()
        if isinstance(vertex, TaskVertex):
            found.append(vertex)
        else:
            stack.extend(member for member in reversed(vertex.members) if member.state == FAILED)
    return found


def _next_cap(state: State) -> str:
    """A cap under which the refused call would fit: twice the old one, or what is committed and the call."""
    ledger, paused = state.ledger, state.paused
    need = (paused.need_nusd or 0) if paused is not None else 0
    least = max(2 * (ledger.cap_nusd or 0), ledger.spent_nusd + ledger.held_nusd + need)
    cents = -(-least // 10_000_000)
    return f"{cents // 100}.{cents % 100:02}"
