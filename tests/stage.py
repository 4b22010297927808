"""A small stage for the real loop: scripted agents, a journal in memory, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stretto.agents import Agent, Desk, Result, Work
from stretto.journal.memory import MemoryJournal
from stretto.plan.finding import PlanError
from stretto.plan.model import Plan
from stretto.run import Options, Outcome, load_state, resume_run, run_plan
from stretto.run.values import Values
from stretto.spec.compile import compile_plan
from stretto.spec.yaml import read_yaml
from tests.autojump import run as in_virtual_time

Answer = Callable[[Work], Any]


def plan_of(text: str) -> Plan:
    """A plan from YAML without its first two lines."""
    raw = read_yaml(f"stretto: 1\nname: test\n{text}", "test.yaml")
    plan, findings = compile_plan(raw, source="test.yaml")
    errors = [f for f in findings if f.severity == "error"]
    if errors or plan is None:
        raise PlanError(errors, "test.yaml")
    return plan


class Actor:
    """An agent that answers by a function of its work, after some seconds, and remembers what it was given.

    The function may return a value, a Result, or raise.
    """

    def __init__(self, answer: Answer, *, takes_s: float = 1.0, cost_nusd: int = 0, bound_nusd: int = 0):
        self.answer = answer
        self.takes_s = takes_s
        self.cost_nusd = cost_nusd
        self.bound_nusd = bound_nusd
        self.seen: list[Work] = []

    async def run(self, work: Work, desk: Desk) -> Result:
        self.seen.append(work)
        if self.bound_nusd:
            grant = await desk.reserve(self.bound_nusd, 1, 1)
            await asyncio.sleep(self.takes_s)
            desk.settle(grant.call, "model", {"output": 1}, self.cost_nusd)
        else:
            await asyncio.sleep(self.takes_s)
        value = self.answer(work)
        return value if isinstance(value, Result) else Result("ok", value)

    @property
    def prompts(self) -> dict[str, str]:
        return {work.task: work.prompt for work in self.seen}

    @property
    def started(self) -> list[str]:
        return [work.task for work in self.seen]


class Cast:
    """The agents of a run by name; `simulated` and `function` cost nothing, the others do."""

    def __init__(self, **agents: Agent):
        self.agents = agents

    def get(self, name: str) -> Agent:
        return self.agents[name]

    def identity(self, name: str) -> str:
        return str(getattr(self.agents[name], "identity", ""))

    def free(self, name: str) -> bool:
        return name in ("simulated", "function", "command")


class Stage:
    """One journal, and runs on it."""

    def __init__(self, *agents: Actor, journal: MemoryJournal | None = None, **named: Agent):
        self.actor = agents[0] if agents else Actor(lambda work: f"did {work.task}")
        self.cast = Cast(**{"simulated": self.actor, "function": self.actor, "command": self.actor, **named})
        self.journal = journal or MemoryJournal()
        self.elapsed_s = 0.0

    def run(self, plan: Plan | str, run: str = "r", **options: Any) -> Outcome:
        made = plan_of(plan) if isinstance(plan, str) else plan
        options = {"on": "simulated", "control": False, **options}

        async def main() -> Outcome:
            loop = asyncio.get_running_loop()
            start = loop.time()
            root = Path(".")
            try:
                return await run_plan(made, Options(**options), self.journal, root, agents=self.cast, run=run)
            finally:
                self.elapsed_s = loop.time() - start

        return in_virtual_time(main())

    def resume(self, run: str = "r", redo: tuple[str, ...] = (), **options: Any) -> Outcome:
        wished = Options(**{"on": "simulated", "control": False, **options})
        root = Path(".")
        return in_virtual_time(resume_run(run, wished, self.journal, root, redo=redo, agents=self.cast))

    def value(self, id: str, run: str = "r") -> Any:
        """The result of a task or group of a run."""
        _, scheduler = load_state(self.journal, run)
        state = scheduler.state
        assert state.started is not None
        return Values(state, self.journal.blob, state.started.inputs).of(state.vertices[id])
