"""Adds up what calls cost: by task, attempt, model, role and part of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from stretto.events import CallSettled, HoldReleased

NOT_SENT = "not sent"
"""The status of a call that was withdrawn before it left: it is no call, and took no tokens."""


@dataclass(slots=True)
class Taken:
    """Money and tokens of some calls together."""

    spent_nusd: int = 0
    held_nusd: int = 0
    """Of calls whose usage never arrived: they may have cost as much."""
    calls: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    """By price class."""
    unpriced: bool = False
    """True when a call was sent whose price nobody knows: then `spent_nusd` is not all of it."""

    def add(self, other: Taken) -> None:
        self.spent_nusd += other.spent_nusd
        self.held_nusd += other.held_nusd
        self.calls += other.calls
        self.unpriced = self.unpriced or other.unpriced
        self.count(other.tokens)

    def count(self, usage: dict[str, int]) -> None:
        for name, amount in usage.items():
            self.tokens[name] = self.tokens.get(name, 0) + amount

    @property
    def output_tokens(self) -> int:
        return self.tokens.get("output", 0)

    @property
    def input_tokens(self) -> int:
        """Fresh, read from a cache and written to one."""
        return sum(self.tokens.values()) - self.output_tokens


@dataclass(slots=True)
class Entry:
    """The calls of one attempt to one model: what every sum is made of, so that none counts twice."""

    task: str
    n: int
    role: str
    agent: str
    model: str
    taken: Taken = field(default_factory=Taken)
    usages: list[dict[str, int]] = field(default_factory=list)
    """Of each call: prices have steps, so tokens that were added up cannot be priced."""

    @property
    def part(self) -> str:
        """The top-level part of the plan that it belongs to; its id is the first word of its tasks' ids."""
        return self.task.partition(".")[0]


class Bill:
    """Every settled call of a run; all sums over it add up to the ledger's spent and held."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._of_task: dict[str, list[Entry]] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def of_task(self, task: str) -> list[Entry]:
        """In the order of their first calls."""
        return self._of_task.get(task, [])

    def settled(self, event: CallSettled, role: str, agent: str, *, unpriced: bool) -> None:
        entry = self._entries.get((event.attempt, event.model))
        if entry is None:
            task, _, n = event.attempt.rpartition("#")
            entry = Entry(task, int(n), role, agent, event.model)
            self._entries[event.attempt, event.model] = entry
            self._of_task.setdefault(task, []).append(entry)
        taken = entry.taken
        if event.certain:
            taken.spent_nusd += event.cost_nusd
        else:
            taken.held_nusd += event.cost_nusd
        if event.status == NOT_SENT:
            return
        taken.calls += 1
        taken.unpriced = taken.unpriced or unpriced
        if event.usage:
            taken.count(event.usage)
            entry.usages.append(event.usage)

    def released(self, event: HoldReleased) -> None:
        """A release names the task alone: the attempts that held first are freed first."""
        left = event.nusd
        for entry in self.of_task(event.task):
            freed = min(left, entry.taken.held_nusd)
            entry.taken.held_nusd -= freed
            left -= freed

    def by(self, key: Callable[[Entry], str]) -> dict[str, Taken]:
        """Sums by what `key` says of an entry, in the order of their first calls."""
        found: dict[str, Taken] = {}
        for entry in self:
            found.setdefault(key(entry), Taken()).add(entry.taken)
        return found


def total(entries: Iterable[Entry]) -> Taken:
    taken = Taken()
    for entry in entries:
        taken.add(entry.taken)
    return taken
