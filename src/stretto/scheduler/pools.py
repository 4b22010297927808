"""Ready tasks of each agent and model in the order of their start, and how many of them may run."""

from __future__ import annotations

from stretto.scheduler.vertex import TaskVertex

SLOTS = {"local": 1, "messages": 128, "openai": 128}
"""Slots of an agent where the plan says nothing: one local model, and what one HTTP client carries well."""
UNBOUNDED = 10**9


class Pool:
    """Ready tasks of one (agent, model), and how many of them run."""

    __slots__ = ("agent", "agent_limit", "heap", "key", "limit", "not_before_us", "running")

    def __init__(self, key: tuple[str, str], agent: str, agent_limit: int, limit: int):
        self.key = key
        self.agent = agent
        self.agent_limit = agent_limit
        """Slots of the agent over all its models."""
        self.limit = limit
        self.heap: list[tuple[float, int, int, TaskVertex]] = []
        self.running = 0
        self.not_before_us = 0
        """Nothing starts before this: the provider asked the whole pool to wait."""
