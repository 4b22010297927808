"""A provider that limits, refuses, cuts, stalls and lies, in virtual time, and an agent that talks to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from stretto.agents import Desk, Result, Work
from stretto.models import BUILTIN
from stretto.scheduler.limiter import Left, Told
from tests.fakeapi.config import Config
from tests.fakeapi.limits import Limiter
from tests.worlds import chance

MODEL = "claude-haiku-5-5"
FAULTS = {
    "rate_limit": 0.02,
    "overloaded": 0.05,
    "api_error": 0.03,
    "cut": 0.03,
    "stall": 0.02,
    "refusal": 0.01,
    "broken_json": 0.01,
}
"""Shares of the calls."""
LATENCY_S = 0.4
TOKENS_PER_S = 80


@dataclass(slots=True)
class Sent:
    """One call as the provider saw it."""

    at_s: float
    hit: bool
    """Its buckets were too empty for it."""
    tokens: int


@dataclass(slots=True)
class Provider:
    """Buckets, faults by a seed, and a bill."""

    seed: int
    limits: dict[str, int]
    tells: bool = True
    """Its headers tell of the limits."""
    faults: dict[str, float] = field(default_factory=lambda: dict(FAULTS))
    sent: list[Sent] = field(default_factory=list)
    written: list[tuple[float, int]] = field(default_factory=list)
    """When how many tokens of answers were written."""
    bill_nusd: int = 0
    quota_at_s: float | None = None
    """From then on the money is gone."""
    quota_until_s: float = float("inf")
    silent_nusd: int = 0
    """The part of the bill for calls whose usage never reached their client."""
    server: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.server = Limiter(Config().merged({"limits": {"*": self.limits}}))

    def fault(self, *what: object) -> str:
        draw = chance(self.seed, "fault", *what)
        for name, share in self.faults.items():
            draw -= share
            if draw < 0:
                return name
        return ""

    def told(self, *, refused: bool = False, wait_s: float = 0.0) -> Told:
        now = asyncio.get_running_loop().time()
        heads = self.server.headers(MODEL, now) if self.tells else {}

        def left(kind: str) -> Left | None:
            stem = f"anthropic-ratelimit-{kind}"
            return (
                Left(int(heads[f"{stem}-limit"]), int(heads[f"{stem}-remaining"]))
                if f"{stem}-limit" in heads
                else None
            )

        return Told(left("requests"), left("input-tokens"), left("output-tokens"), refused, int(wait_s * 1e6))


class Client:
    """Sends one call an attempt, as the `messages` agent does, and classifies what comes back like it."""

    def __init__(self, provider: Provider):
        self.provider = provider
        self.attempts = 0

    async def run(self, work: Work, desk: Desk) -> Result:
        provider, key = self.provider, (work.task, work.n)
        self.attempts += 1
        tokens = 100 + int(600 * chance(provider.seed, "in", work.task))
        answer = 40 + int(900 * chance(provider.seed, "out", *key) ** 3)
        bound = BUILTIN.bound_nusd(MODEL, 4 * tokens, work.max_tokens)
        grant = await desk.reserve(bound, tokens, work.max_tokens)
        await asyncio.sleep(LATENCY_S * (0.5 + chance(provider.seed, "latency", *key)))
        now = asyncio.get_running_loop().time()
        if provider.quota_at_s is not None and provider.quota_at_s <= now < provider.quota_until_s:
            desk.settle(grant.call, MODEL, {}, 0, status="quota")
            reset_s = min(3600.0, provider.quota_until_s - now)
            return Result("error", error="the money is gone", cls="run", why="quota", reset_s=reset_s)
        refusal = provider.server.admit(MODEL, tokens, now)
        provider.sent.append(Sent(now, refusal is not None, tokens))

        def failed(status: str, wait_s: float | None = None) -> Result:
            desk.heard(grant.call, provider.told(refused=status == "429", wait_s=wait_s or 0.0))
            desk.settle(grant.call, MODEL, {}, 0, status=status)
            return Result("error", error=status, cls="transient", retry_after_s=wait_s)

        if refusal is not None:
            return failed("429", refusal.wait_s)
        fault = provider.fault(*key)
        match fault:
            case "rate_limit":
                return failed("429", 1.0)
            case "overloaded":
                return failed("529")
            case "api_error":
                return failed("500")
            case _:
                pass
        desk.heard(grant.call, provider.told())
        return await self._answer(work, desk, grant.call, tokens, answer, fault)

    async def _answer(
        self, work: Work, desk: Desk, call: int, tokens: int, answer: int, fault: str
    ) -> Result:
        provider = self.provider
        written = answer // 2 if fault in ("cut", "stall") else answer
        usage = {"input": tokens, "output": written}
        cost = BUILTIN.cost_nusd(MODEL, usage)
        assert cost is not None
        for begun in range(0, written, 40):
            now, part = asyncio.get_running_loop().time(), min(40, written - begun)
            provider.server.spend_output(MODEL, part, now)
            provider.written.append((now, part))
            await asyncio.sleep(part / TOKENS_PER_S)
            desk.beat()
        provider.bill_nusd += cost
        if fault in ("cut", "stall"):
            provider.silent_nusd += cost
            try:
                if fault == "stall":
                    await asyncio.sleep(3600)
            finally:
                desk.settle(call, MODEL, None, 0, status="cut")
            return Result("error", error="cut", cls="transient")
        desk.settle(call, MODEL, usage, cost)
        if fault == "refusal":
            return Result("refused", error="the model refused", cls="task")
        if fault == "broken_json":
            return Result("bad_output", '{"a": ', "no JSON", "task")
        return Result("ok", {"answer": f"{work.task} is done"})


def served(provider: Provider, after_s: float) -> tuple[int, int]:
    """How many calls were sent after some seconds, and how many of them hit a bucket."""
    later = [sent for sent in provider.sent if sent.at_s > after_s]
    return len(later), sum(sent.hit for sent in later)
