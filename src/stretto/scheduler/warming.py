"""Lets one item of a fan-out write the prompt cache before the others start, where that pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stretto.scheduler.invalidate import is_reduce
from stretto.scheduler.pools import Pool
from stretto.scheduler.vertex import CHECKING, GroupVertex, TaskVertex

WRITE, READ = 1.25, 0.1
"""What a token costs that is written to the cache, and one that is read from it, beside any other."""

FEWEST = 3
LEAST_SAVED = 0.1
"""Below this share of what the inputs of the group cost, nobody waits."""

TRIES = 3
"""First items that may fail before the others start without one."""


class Prefix(NamedTuple):
    """What the first call of an item sends, in tokens as estimated."""

    shared: int
    """At its start, the same for all items."""
    own: int
    turns: bool = False
    """More calls will follow, so the whole prompt is marked for the cache anyway."""


class Advice(NamedTuple):
    """What to do with a prefix."""

    mark: bool
    """It is worth being written to the cache."""
    warm: bool
    """One item goes first."""


def decide(items: int, at_once: int, prefix: Prefix, *, may_wait: bool = True) -> Advice:
    """What pays for so many items, of which some start at once.

    A prefix can be read from the moment at which the answer that wrote it begins: of n items k that start
    together all write it, and the rest reads. With P shared and Q other tokens, in prices of one input token:

        unmarked    n P
        together    1.25 k P + 0.1 (n - k) P
        one first   1.25 P + 0.1 (n - 1) P

    and Q n beside each. Warming saves min(unmarked, together) - (one first) and costs the others the time of
    one call, so it is done where that is at least a tenth of the whole, for three items or more. Where all
    start together and their prompts have little else, it saves 52 % for 3 items, 67 % for 5, 84 % for 20.
    Without it a mark pays once n > 1.28 k; a conversation of several turns marks its prompt for its own sake.
    """
    if items < 2:
        return Advice(prefix.turns, False)
    together = min(items, at_once)
    unmarked = items * prefix.shared
    marked = (WRITE * together + READ * (items - together)) * prefix.shared
    warmed = (WRITE + READ * (items - 1)) * prefix.shared
    other = marked if prefix.turns else min(unmarked, marked)
    saved = other - warmed
    warm = may_wait and items >= FEWEST and saved > 0 and saved >= LEAST_SAVED * (other + items * prefix.own)
    return Advice(warm or prefix.turns or marked < unmarked, warm)


Key = tuple[str, str, bool, bool, bool, tuple[str, str]]


class _Group:
    """The items of one task of a template, on one model."""

    __slots__ = ("advice", "first", "held", "tries")

    def __init__(self, advice: Advice):
        self.advice = advice
        self.first = ""
        """The attempt that the others wait for; empty when nobody waits."""
        self.held: list[TaskVertex] = []
        self.tries = 0


class Warming:
    """Who waits for whose first call. Passing state: after a resume the first item that sends warms anew.

    `go_on` takes back what waited.
    """

    def __init__(self, go_on: Callable[[TaskVertex], None]) -> None:
        self.may_wait = True
        """False: all start at once, whatever that costs."""
        self._go_on = go_on
        self._groups: dict[Key, _Group] = {}
        self._firsts: dict[str, _Group] = {}

    @property
    def waiting(self) -> int:
        """How many tasks are kept back."""
        return sum(len(group.held) for group in self._firsts.values())

    def holds(self, vertex: TaskVertex, pool: tuple[str, str]) -> bool:
        """Keeps back a task that waits for the first of its siblings, until `over`."""
        if not self._firsts:
            return False
        items = items_of(vertex)
        group = None if items is None else self._groups.get(_key(vertex, items, pool))
        if group is None or not group.first:
            return False
        group.held.append(vertex)
        return True

    def sends(self, vertex: TaskVertex, pool: Pool, parallel: int, prefix: Prefix) -> bool:
        """An attempt that has begun will really send this: whether to mark the prefix for the cache.

        The first of its siblings decides for all; a kept result sends nothing, so it is not asked.
        """
        items = items_of(vertex)
        if items is None:
            return prefix.turns
        key = _key(vertex, items, pool.key)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self._advice(vertex, items, pool, parallel, prefix))
        elif vertex.failed_rungs:
            group.advice = Advice(True, False)  # not the only one that climbs: more will follow
        if group.advice.warm and not group.first and group.tries < TRIES:
            group.first = f"{vertex.id}#{vertex.n}"
            group.tries += 1
            self._firsts[group.first] = group
        return group.advice.mark

    def _advice(
        self, vertex: TaskVertex, items: GroupVertex, pool: Pool, parallel: int, prefix: Prefix
    ) -> Advice:
        if vertex.failed_rungs:
            return Advice(prefix.turns, False)  # how many will climb as well is not known
        at_once = min(parallel, pool.limit, pool.agent_limit)
        return decide(items.left, at_once, prefix, may_wait=self.may_wait)

    def over(self, attempt: str, *, warmed: bool) -> None:
        """An attempt, or a call of it, came to its end: nobody waits for it any longer."""
        group = self._firsts.pop(attempt, None)
        if group is None:
            return
        group.first = ""
        if warmed:
            group.tries = TRIES
        held, group.held = group.held, []
        for vertex in held:
            self._go_on(vertex)


def items_of(vertex: TaskVertex) -> GroupVertex | None:
    """The join over all items of the nearest template around a task; None where there is none."""
    owner: GroupVertex | None = vertex.owner
    while owner is not None:
        if owner.grown:
            part = owner.element.part if owner.element is not None else None
            return owner if is_reduce(owner) or (part is not None and part.each is not None) else None
        owner = owner.owner
    return None


def _key(vertex: TaskVertex, items: GroupVertex, pool: tuple[str, str]) -> Key:
    judged = vertex.state == CHECKING
    return items.id, vertex.element.path, judged, vertex.passed, bool(vertex.failed_rungs), pool
