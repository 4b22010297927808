"""Pretends to be a model: seeded latency, tokens and failures, and answers that say they are simulated.

The same seed, task and attempt always give the same answer, in any run and in any order. It spends no money
and asks for none, except with `priced`, which sends its made-up tokens through ledger and prices.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import math
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

from stretto.agents import Desk, Result, Usage, Work
from stretto.agents.affording import cut_short, longest
from stretto.agents.instances import LIST_ENTRIES, instance
from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue
from stretto.workspace.handover import estimate_tokens

BEAT_S = 5.0
"""A model that streams gives a sign of life at least so often."""

_INVERSE = NormalDist().inv_cdf
_WIDE = 1 << 32


@dataclass(frozen=True, slots=True)
class Figures:
    """What is typical of a tier: medians, and how much more or less often than others it fails a task."""

    output_tokens: float
    tokens_per_s: float
    first_token_s: float
    fails: float


# Speeds: medians of recorded sessions (Haiku 70-100 tokens/s, Sonnet 46-74, Opus 41-74). The rest is made up.
FIGURES = {
    "haiku": Figures(350, 85, 0.6, 1.5),
    "sonnet": Figures(500, 60, 1.0, 1.0),
    "opus": Figures(700, 57, 1.5, 0.6),
    "fable": Figures(900, 45, 2.0, 0.4),
}
_OTHER = FIGURES["sonnet"]

SPREAD = 0.6
"""Standard deviation of the logarithm of tokens and time, as in recorded coding tasks (0.5-0.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be set after the colon of `simulated:seed=3,fail=0.05`. Rates are shares from 0 to 1."""

    seed: int | None = None
    """Instead of the run's seed."""
    latency: float | None = None
    """Median seconds of an attempt, whatever its tier; else it follows from tokens and speed."""
    speed: float = 20.0
    """How many times faster than life, where `latency` is not given. On a virtual clock: 1."""
    fail: float = 0.0
    """All failures of attempts together: 40 % transient, 40 % task, 10 % refused, 10 % cut off."""
    transient: float = 0.0
    task: float = 0.0
    """Times the tier's own factor: 1.5 for haiku, 1 for sonnet, 0.6 for opus, 0.4 for fable."""
    refused: float = 0.0
    cut_off: float = 0.0
    quota: float = 0.0
    """Failures of class `run`."""
    stall: float = 0.0
    """Attempts that give no sign of life any more until they are stopped."""
    lost: float = 0.0
    """With `priced`: calls whose usage never arrives."""
    reject: float = 0.0
    """Judging checks that say no."""
    priced: bool = False


class Simulated:
    """The agent `simulated`. One object serves any number of attempts at once."""

    def __init__(self, seed: int = 0, options: Options | None = None, catalogue: Catalogue = BUILTIN):
        self.options = options or Options()
        self._catalogue = catalogue
        self._seed = seed if self.options.seed is None else self.options.seed

    async def run(self, work: Work, desk: Desk) -> Result:
        chances = _chances(f"{self._seed}/{work.task}/{work.n}/{work.role}")
        figures = FIGURES.get(self._catalogue.info(work.model).tier, _OTHER)
        outcome = self._outcome(chances[0], figures)
        wide = math.exp(SPREAD * _INVERSE(chances[1]))
        usage = self._usage(work, outcome, figures, wide)
        seconds = self._seconds(usage["output"], figures, wide)
        if self.options.priced:
            return await self._pay(work, desk, outcome, usage, seconds, chances)
        await _pass(seconds, desk, stalls=outcome == "stall")
        return self._result(work, outcome, chances)

    def _outcome(self, chance: float, figures: Figures) -> str:
        options = self.options
        fail = options.fail
        rates = (
            ("stall", options.stall),
            ("quota", options.quota),
            ("transient", options.transient + 0.4 * fail),
            ("task", options.task * figures.fails + 0.4 * fail),
            ("refused", options.refused + 0.1 * fail),
            ("cut_off", options.cut_off + 0.1 * fail),
        )
        for name, rate in rates:
            if chance < rate:
                return name
            chance -= rate
        return "ok"

    def _usage(self, work: Work, outcome: str, figures: Figures, wide: float) -> Usage:
        output = max(1, min(work.max_tokens, round(figures.output_tokens * wide)))
        return {
            "input": estimate_tokens(work.prompt) + estimate_tokens(work.system),
            "output": work.max_tokens if outcome == "cut_off" else output,
        }

    def _seconds(self, output_tokens: int, figures: Figures, wide: float) -> float:
        options = self.options
        if options.latency is not None:
            return options.latency * wide
        return (figures.first_token_s + output_tokens / figures.tokens_per_s) / options.speed

    async def _pay(
        self, work: Work, desk: Desk, outcome: str, usage: Usage, seconds: float, chances: list[float]
    ) -> Result:
        """The same through the ledger: one call, reserved at its bound and settled whatever happens."""
        bytes_in = len(work.prompt.encode(errors="surrogatepass")) + len(work.system.encode())

        def bound_of(tokens: int) -> int | None:
            return self._catalogue.bound_nusd(work.model, bytes_in, tokens, cached=False)

        least, most = work.min_tokens, work.max_tokens
        bound = bound_of(most)
        least_nusd = bound_of(least) if 0 < least < most else None
        grant = await desk.reserve(bound, usage["input"], most, least_nusd=least_nusd)
        if bound is not None and grant.nusd < bound:
            bound = grant.nusd
            most = longest(least, most, bound, bound_of)
            if usage["output"] > most:
                usage["output"], outcome = most, "short" if outcome in ("ok", "cut_off") else outcome
        arrived: Usage | None = None
        try:
            await _pass(seconds, desk, stalls=outcome == "stall")
            arrived = {} if outcome in ("transient", "quota") else usage
            if chances[2] < self.options.lost:
                arrived, outcome = None, "transient"
        finally:
            cost = self._catalogue.cost_nusd(work.model, arrived) if arrived is not None else bound
            status = "ok" if arrived else "error"
            desk.settle(grant.call, work.model, arrived, cost or 0, status=status, stop=outcome)
        if outcome == "short":
            return cut_short(grant, "[simulated] an answer that", most)
        return self._result(work, outcome, chances)

    def _result(self, work: Work, outcome: str, chances: list[float]) -> Result:
        match outcome:
            case "ok":
                return Result("ok", output=self._answer(work, chances))
            case "transient":
                wait_s = round(0.5 + 2 * chances[3], 2) if chances[3] < 0.5 else None
                return Result("error", error="[simulated] overloaded", cls="transient", retry_after_s=wait_s)
            case "quota":
                return Result(
                    "error", error="[simulated] the quota is used up", cls="run", why="quota", reset_s=3600.0
                )
            case "refused":
                return Result("refused", error="[simulated] the model refused", cls="task")
            case "cut_off":
                return Result(
                    "cut_off", "[simulated] an answer that", "[simulated] cut off at max_tokens", "task"
                )
            case _:
                return Result("error", error="[simulated] the task was not done", cls="task")

    def _answer(self, work: Work, chances: list[float]) -> Any:
        about = _about(work)
        if work.output_kind == "lines":
            return "\n".join(f"[simulated] line {k} of {about}" for k in range(1, LIST_ENTRIES + 1))
        if work.output_kind != "json":
            return f"[simulated] {about}"
        if work.schema is None:
            return json.dumps({"simulated": True, "about": about})
        value = instance(work.schema, f"{self._seed}/{work.task}/{work.n}/{work.role}")
        if work.role == "check" and isinstance(value, dict) and "pass" in value:
            value["pass"] = chances[2] >= self.options.reject
            value["findings"] = [] if value["pass"] else ["[simulated] a fault"]
        return json.dumps(value, ensure_ascii=False)


async def _pass(seconds: float, desk: Desk, *, stalls: bool) -> None:
    if stalls:
        await asyncio.get_running_loop().create_future()
    while seconds > BEAT_S:
        await asyncio.sleep(BEAT_S)
        desk.beat()
        seconds -= BEAT_S
    await asyncio.sleep(seconds)


def _chances(key: str) -> list[float]:
    """Four numbers between 0 and 1, never either, from a hash: 2 µs, where seeding a generator takes 10."""
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return [(int.from_bytes(digest[k : k + 4], "big") + 0.5) / _WIDE for k in (0, 4, 8, 12)]


def _about(work: Work) -> str:
    """What the answer is about, in few words of the question's own."""
    text = work.prompt or work.call or " ".join(work.argv)
    words = " ".join(text[:400].split())
    return f"{words[:100]}..." if len(words) > 100 else words


# Options


def options_of(text: str) -> Options:
    """The options behind the colon. Raises StrettoError `bad-agent-option`."""
    kinds = {field.name: field.type for field in fields(Options)}
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            meant = f"did you mean `{close[0]}`? " if close else ""
            raise _bad(f"`simulated` has no option {name!r}", f"{meant}There are: {', '.join(sorted(kinds))}")
        if not equals and kinds[name] != "bool":
            raise _bad(f"the option {name!r} of `simulated` has no value", f"write `simulated:{name}=...`")
        values[name] = _value(name, value or "true", kinds[name])
    return Options(**values)


def _value(name: str, text: str, kind: Any) -> int | float | bool:
    if kind == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise _bad(f"`{name}={text}` of `simulated` is neither true nor false", f"write `{name}=true`")
    try:
        number = int(text) if "int" in str(kind) else float(text)
    except ValueError:
        raise _bad(f"`{name}={text}` of `simulated` is no number", f"write e.g. `{name}=0.05`") from None
    low, high = {"seed": (-math.inf, math.inf), "latency": (0, 1e6), "speed": (1e-6, 1e9)}.get(name, (0, 1))
    if not low <= number <= high:
        raise _bad(f"`{name}={text}` of `simulated` is not within {low:g} and {high:g}", "choose one within")
    return number


def _bad(what: str, next: str) -> StrettoError:
    return StrettoError("bad-agent-option", what, next=next)
