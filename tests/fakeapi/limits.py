"""Token buckets per model class that refill continuously, and the headers that tell of them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from .config import Config, Limits, for_class, model_class

Kind = Literal["requests", "input-tokens", "output-tokens"]


@dataclass(slots=True)
class Bucket:
    """Holds at most what flows in per minute of the server's time; output may overdraw it."""

    per_minute: int
    level: float
    at_s: float

    def refill(self, now_s: float) -> None:
        self.level = min(self.per_minute, self.level + (now_s - self.at_s) * self.per_minute / 60)
        self.at_s = now_s

    def wait_s(self, need: int) -> float:
        """Seconds until `need` is there; one larger than the bucket never is, and is told a whole minute."""
        if need > self.per_minute:
            return 60.0
        return max(0.0, (need - self.level) * 60 / self.per_minute)

    @property
    def full_in_s(self) -> float:
        return (self.per_minute - self.level) * 60 / self.per_minute


@dataclass(slots=True)
class Refusal:
    """The bucket that is too empty for a request, and how long until it is not, in the server's seconds."""

    kind: Kind
    per_minute: int
    wait_s: float


@dataclass(slots=True)
class Limiter:
    """All the buckets, made when a model class is first asked for."""

    config: Config
    classes: dict[str, dict[Kind, Bucket]] = field(default_factory=dict)

    def admit(self, model: str, input_tokens: int, now_s: float) -> Refusal | None:
        """Takes one request and its input from the buckets, or takes nothing and says which one is short.

        Output is not known yet, so one token is enough; `spend_output` takes it as it is produced, and
        `max_tokens` plays no part.
        """
        buckets = self._buckets(model, now_s)
        needs: dict[Kind, int] = {"requests": 1, "input-tokens": input_tokens, "output-tokens": 1}
        waits = [Refusal(kind, b.per_minute, b.wait_s(needs[kind])) for kind, b in buckets.items()]
        worst = max(waits, key=lambda refusal: refusal.wait_s, default=None)
        if worst is not None and worst.wait_s > 0:
            return worst
        for kind, bucket in buckets.items():
            if kind != "output-tokens":
                bucket.level -= needs[kind]
        return None

    def spend_output(self, model: str, tokens: int, now_s: float) -> None:
        bucket = self._buckets(model, now_s).get("output-tokens")
        if bucket is not None:
            bucket.level -= tokens

    def headers(self, model: str, now_s: float) -> dict[str, str]:
        """`anthropic-ratelimit-*`; `tokens` is the sum of input and output where both have a limit."""
        buckets = self._buckets(model, now_s)
        shown: dict[str, tuple[int, float, float]] = {
            kind: (b.per_minute, b.level, b.full_in_s) for kind, b in buckets.items()
        }
        if "input-tokens" in shown and "output-tokens" in shown:
            pairs = zip(shown["input-tokens"], shown["output-tokens"], strict=True)
            limit, level, _ = (a + b for a, b in pairs)
            full_in_s = max(shown["input-tokens"][2], shown["output-tokens"][2])
            shown["tokens"] = (int(limit), level, full_in_s)
        found: dict[str, str] = {}
        for kind, (limit, level, full_in_s) in shown.items():
            found[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
            found[f"anthropic-ratelimit-{kind}-remaining"] = str(max(0, math.floor(level)))
            found[f"anthropic-ratelimit-{kind}-reset"] = self._rfc3339(full_in_s)
        return found

    def chat_headers(self, model: str, now_s: float) -> dict[str, str]:
        """`x-ratelimit-*` as OpenAI sends them: requests, and input tokens as `tokens`."""
        buckets = self._buckets(model, now_s)
        found: dict[str, str] = {}
        kinds: tuple[tuple[Kind, str], ...] = (("requests", "requests"), ("input-tokens", "tokens"))
        for kind, word in kinds:
            if kind in buckets:
                bucket = buckets[kind]
                found[f"x-ratelimit-limit-{word}"] = str(bucket.per_minute)
                found[f"x-ratelimit-remaining-{word}"] = str(max(0, math.floor(bucket.level)))
                found[f"x-ratelimit-reset-{word}"] = f"{bucket.full_in_s / self.config.time_scale:.3f}s"
        return found

    def retry_after(self, wait_s: float) -> str:
        """The header's value in the client's seconds: whole ones, rounded up, unless time is compressed."""
        if self.config.time_scale == 1:
            return str(max(1, math.ceil(wait_s)))
        return f"{math.ceil(wait_s / self.config.time_scale * 1000) / 1000:.3f}"

    def _rfc3339(self, in_s: float) -> str:
        at_s = time.time() + in_s / self.config.time_scale
        if self.config.time_scale == 1:
            return datetime.fromtimestamp(math.ceil(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _buckets(self, model: str, now_s: float) -> dict[Kind, Bucket]:
        name = model_class(model)
        if name not in self.classes:
            limits = for_class(self.config.limits, model) or Limits()
            sizes: dict[Kind, int | None] = {
                "requests": limits.requests,
                "input-tokens": limits.input_tokens,
                "output-tokens": limits.output_tokens,
            }
            self.classes[name] = {k: Bucket(size, size, now_s) for k, size in sizes.items() if size}
        for bucket in self.classes[name].values():
            bucket.refill(now_s)
        return self.classes[name]
