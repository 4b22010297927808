"""A prompt cache of prefixes, kept apart by model, as the Messages API has it.

Each breakpoint stores the prefix that ends there; a later request reads the longest stored prefix that ends
at one of its own breakpoints or less than 20 blocks before it. A prefix can be read from the moment at which
the answer that wrote it begins, so siblings sent at once all pay for the write: warming matters here as it
does in the real cache.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from .asks import Ask, Ttl, compact

LOOKBACK_BLOCKS = 20
TTL_S: dict[Ttl, float] = {"5m": 300.0, "1h": 3600.0}


@dataclass(slots=True)
class Usage:
    """Tokens of one call by class of price."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def limited_input(self) -> int:
        """What counts against input tokens per minute: cache reads do not."""
        return self.prompt - self.cache_read


@dataclass(slots=True)
class CachePlan:
    """How a prompt is split between the classes, and which prefixes it stores once its answer begins."""

    usage: Usage
    stores: list[tuple[bytes, Ttl]] = field(default_factory=list)


@dataclass(slots=True)
class PromptCache:
    """Prefix hashes and when each is forgotten; reading a prefix renews it."""

    expires_s: dict[bytes, float] = field(default_factory=dict)

    def plan(self, ask: Ask, now_s: float, min_tokens: int) -> CachePlan:
        breakpoints = [n for n, part in enumerate(ask.parts) if part.ttl]
        if not breakpoints:
            return CachePlan(Usage(input=ask.tokens))
        hashes = _prefix_hashes(ask, breakpoints[-1])
        ends = _running_sums(ask)
        breakpoints = [n for n in breakpoints if ends[n] >= min_tokens]
        hit = self._longest_hit(breakpoints, hashes, now_s)
        done = ends[hit] if hit is not None else 0
        plan = CachePlan(Usage(cache_read=done))
        for n in breakpoints:
            ttl = ask.parts[n].ttl or "5m"
            plan.stores.append((hashes[n], ttl))
            fresh = max(0, ends[n] - done)
            if ttl == "1h":
                plan.usage.cache_write_1h += fresh
            else:
                plan.usage.cache_write_5m += fresh
            done = max(done, ends[n])
        plan.usage.input = ask.tokens - done
        return plan

    def store(self, plan: CachePlan, now_s: float) -> None:
        for prefix, ttl in plan.stores:
            self.expires_s[prefix] = max(now_s + TTL_S[ttl], self.expires_s.get(prefix, 0.0))

    def _longest_hit(self, breakpoints: list[int], hashes: list[bytes], now_s: float) -> int | None:
        for breakpoint_at in reversed(breakpoints):
            for n in range(breakpoint_at, max(-1, breakpoint_at - LOOKBACK_BLOCKS), -1):
                if self.expires_s.get(hashes[n], 0.0) > now_s:
                    return n
        return None


def _prefix_hashes(ask: Ask, last: int) -> list[bytes]:
    digest = hashlib.blake2b(ask.model.encode(), digest_size=16)
    hashes = []
    for part in ask.parts[: last + 1]:
        digest.update(compact(part.data).encode())
        hashes.append(digest.copy().digest())
    return hashes


def _running_sums(ask: Ask) -> list[int]:
    total, ends = 0, []
    for part in ask.parts:
        total += part.tokens
        ends.append(total)
    return ends
