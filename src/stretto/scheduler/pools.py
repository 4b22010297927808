"""Ready tasks of each agent and model in the order of their start, and how many of them may run."""

from __future__ import annotations

import heapq
from itertools import count

from stretto.scheduler.calls import group_of
from stretto.scheduler.vertex import TaskVertex

SLOTS = {"claude": 16, "local": 1, "messages": 128, "openai": 128}
"""Slots of an agent where the plan says nothing: what fits into the memory of a laptop (see docs/agents.md),
one local model, and what one HTTP client carries well."""
UNBOUNDED = 10**9


class Turns:
    """Whose turn it is among groups whose tasks are equally urgent.

    The tenth task that one group has ready stands beside the tenth of any other, so that a small group beside
    a large one ends early. A group that comes late begins where the others are. A task that is tried
    again has had its turn, but for items of a template: of those the new ones go first.
    """

    __slots__ = ("_last", "_now", "number")

    def __init__(self) -> None:
        self.number = count()
        """Counts all that were ever ready, so that no two are alike."""
        self._last: dict[str, int] = {}
        self._now = 0

    def of(self, vertex: TaskVertex) -> int:
        if vertex.n and vertex.id == vertex.element.path:
            return self._now
        group = group_of(vertex.id)
        turn = self._last[group] = max(self._last.get(group, 0) + 1, self._now)
        return turn

    def has_come(self, turn: int) -> None:
        self._now = max(self._now, turn)


class Pool:
    """Ready tasks of one (agent, model), the longest remaining path first, and how many of them run."""

    __slots__ = ("_turns", "agent", "agent_limit", "heap", "key", "limit", "not_before_us", "running")

    def __init__(self, key: tuple[str, str], agent: str, agent_limit: int, limit: int, turns: Turns):
        self.key = key
        self.agent = agent
        self.agent_limit = agent_limit
        """Slots of the agent over all its models."""
        self.limit = limit
        self.heap: list[tuple[float, int, int, int, TaskVertex]] = []
        """Minus the longest expected time to the end of the plan; the group's turn; the place in the plan."""
        self._turns = turns
        self.running = 0
        self.not_before_us = 0
        """Nothing starts before this: the provider asked the whole pool to wait."""

    def push(self, vertex: TaskVertex) -> None:
        element = vertex.element
        entry = (-element.tail_s, self._turns.of(vertex), element.index, next(self._turns.number), vertex)
        heapq.heappush(self.heap, entry)

    def pop(self) -> TaskVertex:
        _, turn, _, _, vertex = heapq.heappop(self.heap)
        self._turns.has_come(turn)
        return vertex
