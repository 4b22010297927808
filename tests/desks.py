"""A desk for tests: keeps the books as the house does, refuses on demand, lets nothing be settled twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stretto.agents import CallRefused, Grant, Usage, Work
from stretto.scheduler.limiter import Told


def work(prompt: str = "Say hello", model: str = "claude-haiku-5-5", **given: Any) -> Work:
    """One attempt at a prompt; every other field of `Work` may be given by name."""
    known: dict[str, Any] = {"run": "r1", "task": "t", "n": 1, "role": "work", "root": Path()} | given
    return Work(prompt=prompt, model=model, **known)


@dataclass(slots=True)
class Reserved:
    """One call that was asked for; `settled` is what it came to, None while it is in flight."""

    nusd: int | None
    """What was granted."""
    input_tokens: int
    output_tokens: int
    settled: Settled | None = None


@dataclass(slots=True)
class Settled:
    """What a call came to; `usage` None says that it never arrived, so the money is held."""

    model: str
    usage: Usage | None
    cost_nusd: int
    status: str
    stop: str

    @property
    def certain(self) -> bool:
        return self.usage is not None


@dataclass(slots=True)
class FakeDesk:
    """The desk of one attempt, or of several under one cap; what was asked of it can be read afterwards."""

    cap_nusd: int | None = None
    refuse_from: int | None = None
    """The number of the first call that is refused whatever it costs."""
    calls: list[Reserved] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    beats: int = 0
    sessions: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    told: list[tuple[int, Told]] = field(default_factory=list)
    """What the heads of responses said of limits, with the number of the call."""

    async def reserve(
        self, nusd: int | None, input_tokens: int, output_tokens: int, *, least_nusd: int | None = None
    ) -> Grant:
        assert output_tokens > 0, "an answer may always have something"
        short = ""
        number = len(self.calls) + 1
        if self.refuse_from is not None and number >= self.refuse_from:
            raise CallRefused("budget")
        if self.cap_nusd is not None:
            if nusd is None:
                raise CallRefused("the price is unknown")
            left = self.cap_nusd - self.spent_nusd - self.held_nusd - self.reserved_nusd
            if nusd > left and (least_nusd is None or least_nusd > left):
                raise CallRefused("budget")
            if nusd > left:
                nusd, short = left, "the run's cap"
        self.calls.append(Reserved(nusd, input_tokens, output_tokens))
        return Grant(number, nusd or 0, short)

    def settle(
        self,
        call: int,
        model: str,
        usage: Usage | None,
        cost_nusd: int,
        *,
        status: str = "ok",
        stop: str = "",
    ) -> None:
        reserved = self.calls[call - 1]
        assert reserved.settled is None, f"call {call} is settled twice"
        if reserved.nusd is not None:
            assert cost_nusd <= reserved.nusd, f"call {call} cost {cost_nusd}, its bound is {reserved.nusd}"
        reserved.settled = Settled(model, usage, cost_nusd, status, stop)

    def heard(self, call: int, told: Told) -> None:
        self.told.append((call, told))

    def beat(self) -> None:
        self.beats += 1

    def note(self, record: dict[str, Any]) -> None:
        self.notes.append(record)

    def bind(self, *, session: str = "", pid: int | None = None) -> None:
        if session:
            self.sessions.append(session)
        if pid is not None:
            self.pids.append(pid)

    @property
    def settled(self) -> list[Settled]:
        """What each call came to, in the order of the calls; fails if one is still open."""
        assert not self.open, f"calls {self.open} were never settled"
        return [call.settled for call in self.calls if call.settled is not None]

    @property
    def open(self) -> list[int]:
        """Numbers of the calls that were never settled."""
        return [n for n, call in enumerate(self.calls, 1) if call.settled is None]

    @property
    def spent_nusd(self) -> int:
        return sum(c.settled.cost_nusd for c in self.calls if c.settled and c.settled.certain)

    @property
    def held_nusd(self) -> int:
        return sum(c.settled.cost_nusd for c in self.calls if c.settled and not c.settled.certain)

    @property
    def reserved_nusd(self) -> int:
        return sum(call.nusd or 0 for call in self.calls if call.settled is None)

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """The transcript's records of one kind."""
        return [note for note in self.notes if note.get("kind") == kind]
