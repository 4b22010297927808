"""Tasks and joins as they stand at run time: the vertices of the running graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stretto.plan.graph import Element, Need
from stretto.plan.model import Task

NO_ANSWERS: Mapping[str, str] = MappingProxyType({})
WAITING, READY, RUNNING, CHECKING, BACKOFF, SUCCEEDED, FAILED, SKIPPED, CANCELLED = range(9)
STATES = (
    "waiting",
    "ready",
    "running",
    "checking",
    "backoff",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
)
SETTLED = SUCCEEDED
"""States from here on are settled: only an invalidation leaves them."""

RESULT = "@result"
"""The id of the last vertex of a run with worktrees, on which all their work comes together. No task of an
author can have it."""


class Tally:
    """How many tasks of one row (a top-level part of the plan) stand in each state."""

    __slots__ = ("counts", "element", "id", "spent_nusd", "total")

    def __init__(self, id: str, element: Element | None):
        self.id = id
        self.element = element
        self.counts = [0] * len(STATES)
        self.total = 0
        self.spent_nusd = 0


class Scope:
    """Where names are looked up: the inside of one group, of one item, or of the plan (no `element`)."""

    __slots__ = ("element", "index", "item", "outer", "prefix")

    def __init__(
        self, element: Element | None, prefix: str, outer: Scope | None, item: Any = None, index: int = -1
    ):
        self.element = element
        self.prefix = prefix
        self.outer = outer
        self.item = item
        self.index = index

    def of(self, base: Element | None) -> Scope:
        """The scope of the group `base` around this one; an each that is a task has a scope per item too."""
        here: Scope = self
        while here.element is not base:
            assert here.outer is not None, "every scope stands inside the plan's"
            here = here.outer
        return here

    def items(self) -> dict[str, Any]:
        """What the `as` names of the enclosing eaches stand for here; the nearest wins."""
        found: dict[str, Any] = {}
        here: Scope | None = self
        while here is not None:
            if here.index >= 0 and here.element is not None and here.element.part.each is not None:
                found.setdefault(here.element.part.each.name, here.item)
            here = here.outer
        return found


class Meter:
    """What one attempt has taken so far: money, tokens by class, time."""

    __slots__ = ("calls", "cost_nusd", "effort", "model", "n", "seconds", "tokens")

    def __init__(self, n: int, model: str, effort: str):
        self.n = n
        """The number of the attempt."""
        self.model = model
        self.effort = effort
        self.calls = 0
        self.cost_nusd = 0
        self.tokens: dict[str, int] = {}
        self.seconds = 0.0

    def count(self, cost_nusd: int, usage: dict[str, int]) -> None:
        """Adds one settled call."""
        self.calls += 1
        self.cost_nusd += cost_nusd
        tokens = self.tokens
        for name, amount in usage.items():
            tokens[name] = tokens.get(name, 0) + amount


class TaskVertex:
    """One task of the run: its state, its attempts, its result by hash."""

    __slots__ = (
        "answers",
        "below",
        "conflict",
        "counted",
        "element",
        "error",
        "failed_rungs",
        "findings",
        "id",
        "interruptions",
        "judged",
        "key",
        "live",
        "mends",
        "meter",
        "n",
        "not_before_us",
        "output",
        "owner",
        "passed",
        "row",
        "rung",
        "scope",
        "seconds",
        "session",
        "size",
        "started_us",
        "state",
        "task",
        "tries",
        "wait",
    )

    def __init__(self, id: str, element: Element, task: Task, scope: Scope, owner: GroupVertex, row: Tally):
        self.id = id
        self.element = element
        self.task = task
        self.scope = scope
        self.owner = owner
        self.row = row
        self.state = WAITING
        self.wait = 0
        self.below: list[Vertex] | None = None
        self.counted = False
        """True once its end is in the counts of its owner."""
        self.n = 0
        self.rung = -1
        """Where on its ladder the last attempt stood; -1 before the first."""
        self.failed_rungs: tuple[int, ...] = ()
        """Rungs that it has climbed away from."""
        self.passed = False
        """The check has passed, and a shadow is still to judge."""
        self.meter: Meter | None = None
        """What the last attempt that worked took; while it runs, and until its check has spoken."""
        self.tries = 0
        self.interruptions = 0
        self.judged = 0
        self.key = ""
        self.findings = ""
        """Why the last answer was refused; the next try hears it, whatever happens in between."""
        self.session = ""
        """The session of its last attempt, where that was interrupted: the next one goes on with it."""
        self.live = ""
        """Role of the attempt that is running (work, check, shadow, mend); empty when none is."""
        self.conflict = ""
        """sha of the collision that is to be mended before it can work; empty where there is none."""
        self.mends: tuple[str, ...] = ()
        """shas of the answers that resolve its collisions, in order; empty for a branch that is left."""
        self.answers = NO_ANSWERS
        """What each collision that it ever met was resolved by; kept when another task is done again."""
        self.output = ""
        self.size = 0
        self.error = ""
        self.seconds = 0.0
        self.started_us = 0
        self.not_before_us = 0


class GroupVertex:
    """A join: the members of a group, of one item, or of the whole run, and how many are still to go."""

    __slots__ = (
        "below",
        "complete",
        "counted",
        "element",
        "failed",
        "grown",
        "id",
        "inner",
        "left",
        "members",
        "ok",
        "open",
        "owner",
        "row",
        "scope",
        "state",
        "wait",
        "why",
    )

    def __init__(
        self, id: str, element: Element | None, scope: Scope, owner: GroupVertex | None, row: Tally | None
    ):
        self.id = id
        self.element = element
        self.scope = scope
        self.owner = owner
        self.row = row
        self.state = WAITING
        self.wait = 0
        self.below: list[Vertex] | None = None
        self.counted = False
        self.inner: Scope | None = None
        self.members: list[Vertex] = []
        self.left = 0
        self.ok = 0
        self.failed = 0
        self.open = False
        """Its needs are satisfied: members may start, or it may grow."""
        self.complete = True
        """False while members are still to be made."""
        self.grown = False
        """True for the vertex of an each, a reduce or a planner's plan (not for one item of it)."""
        self.why = ""


Vertex = TaskVertex | GroupVertex


def good(vertex: Vertex) -> bool:
    """Whether what needs this vertex may start: it succeeded, or it is optional and settled."""
    if vertex.state == SUCCEEDED:
        return True
    element = vertex.element
    return vertex.state > SUCCEEDED and element is not None and element.part.optional and not _inside(vertex)


def _inside(vertex: Vertex) -> bool:
    """An item of an each is not optional by itself; the each as a whole is."""
    owner = vertex.owner
    return owner is not None and owner.grown and owner.element is vertex.element


def target_of(need: Need, scope: Scope) -> str:
    """The id of the instance that a need means, seen from a scope."""
    return scope.of(need.base).prefix + need.tail


def sinks(group: GroupVertex) -> list[str]:
    """Ids of the members whose results are the group's."""
    assert group.element is not None and group.inner is not None
    return [group.inner.prefix + sink.part.id for sink in group.element.sinks]
