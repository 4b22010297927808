"""A provider that limits, refuses, cuts, stalls and lies, in virtual time, and an agent that talks to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stretto.agents import Desk, Result, Work
from stretto.agents.conversation import result_of
from stretto.gateway.failures import Failure, of_problem, problem_in
from stretto.gateway.limits import told
from stretto.models import BUILTIN
from tests.fakeapi.config import Config
from tests.fakeapi.limits import Limiter
from tests.worlds import chance

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
REFUSALS = {
    "rate_limit": (429, "rate_limit_error", {"retry-after": "1"}),
    "overloaded": (529, "overloaded_error", {}),
    "api_error": (500, "api_error", {}),
}
"""Faults that come in place of an answer: status, type and headers, as the provider sends them."""
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""What our clock shows when virtual time begins; faults aside, the provider's shows the same."""
OVER = "enforced_spend_limit_reached"
LATENCY_S = 0.4
TOKENS_PER_S = 80


Heads = dict[str, str]


@dataclass(slots=True)
class Sent:
    """One call as the provider saw it."""

    at_s: float
    model: str
    task: str
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
    spoil: Callable[[Heads], Heads] = dict
    """What becomes of the headers of a response on their way."""
    later: tuple[float, dict[str, int]] | None = None
    """From when on it has other limits, and which."""
    sent: list[Sent] = field(default_factory=list)
    written: list[tuple[float, int]] = field(default_factory=list)
    """When how many tokens of answers were written."""
    bill_nusd: int = 0
    met: Counter[str] = field(default_factory=Counter)
    """How often each fault happened."""
    quota_at_s: float | None = None
    """From then on the money is gone."""
    quota_until_s: float = float("inf")
    silent_nusd: int = 0
    """The part of the bill for calls whose usage never reached their client."""
    server: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.server = Limiter(Config().merged({"limits": {"*": self.limits}}))

    def fault(self, *what: object) -> str:
        # Not by `chance`: names that differ in a digit would have faults that are alike.
        digest = hashlib.blake2b("/".join(map(str, (self.seed, *what))).encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        for name, share in self.faults.items():
            draw -= share
            if draw < 0:
                self.met[name] += 1
                return name
        return ""

    def admit(self, work: Work, tokens: int, now_s: float) -> str | None:
        """None where the call may go on; else how many seconds to wait, as the header says it."""
        if self.later is not None and now_s >= self.later[0]:
            self._change(self.later[1])
            self.later = None
        refusal = self.server.admit(work.model, tokens, now_s)
        self.sent.append(Sent(now_s, work.model, work.task, refusal is not None, tokens))
        return None if refusal is None else self.server.retry_after(refusal.wait_s)

    def _change(self, limits: dict[str, int]) -> None:
        self.server.config = Config().merged({"limits": {"*": limits}})
        sizes = {name.replace("_", "-"): size for name, size in limits.items()}
        for buckets in self.server.classes.values():
            for kind, bucket in buckets.items():
                bucket.per_minute = sizes[kind]
                bucket.level = min(bucket.level, bucket.per_minute)

    def head(self, model: str, more: Heads) -> Heads:
        """The headers of a response, in the provider's own form."""
        now = asyncio.get_running_loop().time()
        return self.spoil((self.server.headers(model, now) if self.tells else {}) | more)


class Client:
    """Sends one call an attempt, as the `messages` agent does, and reads what comes back with its code."""

    def __init__(self, provider: Provider):
        self.provider = provider
        self.attempts = 0

    async def run(self, work: Work, desk: Desk) -> Result:
        provider, key = self.provider, (work.task, work.n)
        self.attempts += 1
        tokens = 100 + int(600 * chance(provider.seed, "in", work.task))
        answer = 40 + int(900 * chance(provider.seed, "out", *key) ** 3)
        bound = BUILTIN.bound_nusd(work.model, 4 * tokens, work.max_tokens)
        grant = await desk.reserve(bound, tokens, work.max_tokens)
        await asyncio.sleep(LATENCY_S * (0.5 + chance(provider.seed, "latency", *key)))
        now = asyncio.get_running_loop().time()
        if provider.quota_at_s is not None and provider.quota_at_s <= now < provider.quota_until_s:
            wait_s = min(3600.0, provider.quota_until_s - now)
            return self._failed(work, desk, grant.call, 429, OVER, {"retry-after": f"{wait_s:g}"})
        wait = provider.admit(work, tokens, now)
        if wait is not None:
            return self._failed(work, desk, grant.call, 429, "rate_limit_error", {"retry-after": wait})
        fault = provider.fault(*key)
        if fault in REFUSALS:
            return self._failed(work, desk, grant.call, *REFUSALS[fault])
        desk.heard(grant.call, told(provider.head(work.model, {})))
        return await self._answer(work, desk, grant.call, tokens, answer, fault)

    def _failed(self, work: Work, desk: Desk, call: int, status: int, kind: str, heads: Heads) -> Result:
        """What the agents make of an error, from its status, its body and its headers."""
        details = {"error_code": kind} if kind == OVER else {}
        body = {"error": {"type": kind, "message": "no", "details": details}}
        now = datetime.fromtimestamp(START.timestamp() + asyncio.get_running_loop().time(), UTC)
        headers = self.provider.head(work.model, heads)
        failure = of_problem(problem_in(body, headers, status), now)
        desk.heard(call, told(headers, failure))
        self._settle(work, desk, call, failure)
        return result_of(failure)

    def _settle(self, work: Work, desk: Desk, call: int, failure: Failure) -> None:
        usage: dict[str, int] | None = None if failure.charged else {}
        desk.settle(call, work.model, usage, 0, status=failure.status)

    async def _answer(
        self, work: Work, desk: Desk, call: int, tokens: int, answer: int, fault: str
    ) -> Result:
        provider = self.provider
        written = answer // 2 if fault in ("cut", "stall") else answer
        usage = {"input": tokens, "output": written}
        cost = BUILTIN.cost_nusd(work.model, usage)
        assert cost is not None
        for begun in range(0, written, 40):
            now, part = asyncio.get_running_loop().time(), min(40, written - begun)
            provider.server.spend_output(work.model, part, now)
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
                desk.settle(call, work.model, None, 0, status="cut")
            return Result("error", error="cut", cls="transient")
        desk.settle(call, work.model, usage, cost)
        if fault == "refusal":
            return Result("refused", error="the model refused", cls="task")
        if fault == "broken_json":
            return Result("bad_output", '{"a": ', "no JSON", "task")
        return Result("ok", {"answer": f"{work.task} is done"})


def served(provider: Provider, after_s: float) -> tuple[int, int]:
    """How many calls were sent after some seconds, and how many of them hit a bucket."""
    later = [sent for sent in provider.sent if sent.at_s > after_s]
    return len(later), sum(sent.hit for sent in later)
