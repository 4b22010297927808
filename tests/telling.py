"""Tells the history of a run event by event, for what a report makes of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from stretto import events as ev
from stretto.journal import Row
from stretto.journal.memory import MemoryJournal
from stretto.plan.model import Expect, Part, Plan, Task
from stretto.report import History, data_of


def plan_of(*parts: Part, **more: Any) -> Plan:
    return Plan(name="p", tasks=parts, **more)


def prompt(id: str, text: str = "x", **more: Any) -> Task:
    return Task(id=id, prompt=text, **more)


class Telling:
    """Tells a history event by event, a second apart."""

    def __init__(
        self,
        *parts: Part,
        on: str = "messages",
        cap: int | None = None,
        estimate: dict[str, Any] | None = None,
        baselines: dict[str, Expect] | None = None,
    ):
        self.history = History("run-1", plan_of(*parts, baselines=baselines or {}))
        self.journal = Blobs()
        sha = self.journal.put(estimate) if estimate is not None else ""
        self.tell(ev.RunStarted("sha", {}, cap, None, None, 8, on, 0, "/", 1, "b", "0", {}, estimate=sha))

    def tell(self, *events: ev.Event, after_s: float = 1.0) -> None:
        for event in events:
            at_us = self.history.last_us + int(after_s * 1e6) if self.history.seq else 1_000_000
            self.history.apply(Row(self.history.seq + 1, at_us, event))

    def start(
        self, task: str, n: int = 1, agent: str = "messages", model: str = "claude-haiku-5-5", **more: Any
    ) -> None:
        self.tell(ev.AttemptStarted(task, n, agent=agent, model=model, **more))

    def call(
        self,
        task: str,
        n: int = 1,
        cost: int = 1000,
        bound: int = 2000,
        certain: bool = True,
        number: int = 1,
        model: str = "m",
        usage: dict[str, int] | None = None,
    ) -> None:
        usage = {"input": 10, "output": 5} if usage is None else usage
        self.tell(
            ev.CallReserved(f"{task}#{n}", number, bound),
            ev.CallSettled(f"{task}#{n}", number, model, usage, cost, certain),
            after_s=0,
        )

    def ended(self, task: str, n: int, outcome: str = "ok", takes_s: float = 1.0, error: str = "") -> None:
        """An attempt's end: of work with an output, of a judge without."""
        cls = "" if outcome == "ok" else "task"
        output = "0" * 64 if outcome == "ok" else ""
        self.tell(ev.AttemptEnded(task, n, outcome, cls, error, output=output, size=1), after_s=takes_s)

    def succeed(self, task: str, n: int = 1, takes_s: float = 1.0, cost: int = 0, **who: str) -> None:
        self.start(task, n, **who)
        if cost:
            self.call(task, n, cost)
        self.ended(task, n, takes_s=takes_s)
        self.succeeded(task)

    def succeeded(self, task: str) -> None:
        self.tell(ev.TaskSucceeded(task, "0" * 64, 1), after_s=0)

    def fail(self, task: str) -> None:
        self.start(task)
        self.ended(task, 1, "error", error="broken")
        self.tell(ev.TaskFailed(task, "task", "broken"))

    def end(self, status: str = "succeeded") -> None:
        ledger = self.history.state.ledger
        self.tell(ev.RunEnded(status, ledger.spent_nusd, ledger.held_nusd), after_s=0)

    def data(self, live: bool = False) -> dict[str, Any]:
        return data_of(self.history, live, {}, self.journal)

    def of(self, task: str) -> dict[str, Any]:
        return next(entry for entry in self.data()["tasks"] if entry["id"] == task)


class Blobs(MemoryJournal):
    """A journal that takes blobs without a run."""

    def put(self, value: Any) -> str:
        data = json.dumps(value).encode()
        sha = hashlib.sha256(data).hexdigest()
        self._blobs[sha] = data
        return sha
