"""The limiter: keeps calls within the requests and tokens per minute that a provider allows a model.

Passing state, never journaled. A new run finds its buckets full. After a resume they count as empty at the
last event that was journaled, because the process that died may have used up its minute just then.
"""

from __future__ import annotations

from collections.abc import Callable

from stretto.events import NOT_SENT, CallSettled
from stretto.models.catalogue import Rates

MINUTE_US = 60_000_000

FIRST_TOKENS = 1_000
"""What a prompt and an answer are taken to have before there were any; the most there can be is too much."""
FIRST_WEIGHT = 4
"""So many must have come until they weigh more than that guess."""


class Bucket:
    """What may be taken of one kind: at most a minute's worth, refilled all the time.

    Levels count in parts of 60,000,000, so that what flows in within a microsecond is a whole number.
    """

    __slots__ = ("at_us", "level", "rate")

    def __init__(self, rate: int, dry_us: int):
        self.rate = rate
        """Per minute."""
        self.level = 0
        self.at_us = dry_us

    def fill(self, now_us: int) -> None:
        """Lets in what has flowed since the last time."""
        if now_us > self.at_us:
            self.level = min(self.rate * MINUTE_US, self.level + self.rate * (now_us - self.at_us))
            self.at_us = now_us

    def wait_us(self, amount: int, now_us: int) -> int:
        """How long until so much may be taken; what no bucket could hold may go when it is full."""
        self.fill(now_us)
        missing = min(amount, self.rate) * MINUTE_US - self.level
        return -(-missing // self.rate) if missing > 0 else 0

    def take(self, amount: int) -> None:
        """Takes it, if need be below nothing: then the next have to wait longer."""
        self.level -= amount * MINUTE_US

    def give(self, amount: int, now_us: int) -> None:
        """Puts back what was not used after all; what was used beyond what was taken is less than nothing."""
        self.fill(now_us)
        self.level = min(self.rate * MINUTE_US, self.level + amount * MINUTE_US)


class Mean:
    """What something came to on average, beginning with a guess."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.count = FIRST_WEIGHT
        self.total = FIRST_WEIGHT * FIRST_TOKENS

    def add(self, tokens: int) -> None:
        self.count += 1
        self.total += tokens

    @property
    def tokens(self) -> int:
        return max(1, self.total // self.count)


class Allowance:
    """The buckets of one model, and what its calls came to so far; None is no limit."""

    __slots__ = ("answer", "coming", "inputs", "outputs", "prompt", "requests")

    def __init__(self, rates: Rates, dry_us: int):
        self.requests = _bucket(rates.requests, dry_us)
        self.inputs = _bucket(rates.input_tokens, dry_us)
        self.outputs = _bucket(rates.output_tokens, dry_us)
        self.prompt = Mean()
        self.answer = Mean()
        self.coming = 0
        """Attempts that run and have not asked for their first call yet."""

    def expected_output(self, most: int) -> int:
        """Tokens that an answer of at most so many is taken to have: what the others had."""
        return min(most, self.answer.tokens)

    def wait_us(self, input_tokens: int, output_tokens: int, now_us: int) -> int:
        """How long until a call may be sent."""
        return self._wait_us(1, input_tokens, output_tokens, now_us)

    def next_wait_us(self, now_us: int) -> int:
        """How long until one more attempt could send its first call, after those that are to send theirs."""
        calls = self.coming + 1
        return self._wait_us(calls, calls * self.prompt.tokens, calls * self.answer.tokens, now_us)

    def _wait_us(self, requests: int, input_tokens: int, output_tokens: int, now_us: int) -> int:
        wait_us = 0
        for bucket, amount in self._amounts(requests, input_tokens, output_tokens):
            wait_us = max(wait_us, bucket.wait_us(amount, now_us))
        return wait_us

    def take(self, input_tokens: int, output_tokens: int) -> None:
        for bucket, amount in self._amounts(1, input_tokens, output_tokens):
            bucket.take(amount)

    def give(self, requests: int, input_tokens: int, output_tokens: int, now_us: int) -> None:
        for bucket, amount in self._amounts(requests, input_tokens, output_tokens):
            bucket.give(amount, now_us)

    def _amounts(self, requests: int, input_tokens: int, output_tokens: int) -> list[tuple[Bucket, int]]:
        pairs = (
            (self.requests, requests),
            (self.inputs, input_tokens),
            (self.outputs, output_tokens),
        )
        return [(bucket, amount) for bucket, amount in pairs if bucket is not None]


def _bucket(rate: int | None, dry_us: int) -> Bucket | None:
    return None if not rate else Bucket(rate, dry_us)


class Limiter:
    """The allowances of all models of a run; where no rates are known there is no limit, and no cost.

    Output is debited by what is expected of it and put right when the usage has arrived. Input that was
    read from a cache does not count.
    """

    def __init__(self, rates_of: Callable[[str], Rates | None]):
        self._rates_of = rates_of
        self._dry_us = 0
        self._models: dict[str, Allowance | None] = {}
        self.taken: dict[tuple[str, int], tuple[Allowance, int, int]] = {}
        """(allowance, input, output) of each call in flight that was debited."""

    def begin(self, dry_us: int) -> None:
        """Says when the buckets were empty; forgets what was in flight then."""
        self._dry_us = dry_us
        self._models.clear()
        self.taken.clear()

    def of(self, model: str) -> Allowance | None:
        """The allowance of a model; None where nothing limits it."""
        try:
            return self._models[model]
        except KeyError:
            rates = self._rates_of(model) if model else None
            limited = rates is not None and (rates.requests or rates.input_tokens or rates.output_tokens)
            found = Allowance(rates, self._dry_us) if rates is not None and limited else None
            self._models[model] = found
            return found

    def take(
        self, allowance: Allowance, attempt: str, call: int, input_tokens: int, most_output: int
    ) -> None:
        """Debits a call that is sent now."""
        output_tokens = allowance.expected_output(most_output)
        allowance.prompt.add(input_tokens)
        allowance.take(input_tokens, output_tokens)
        self.taken[attempt, call] = (allowance, input_tokens, output_tokens)

    def settle(self, settled: CallSettled, now_us: int) -> None:
        """Puts a debit right once it is known what the call took; where it never will be, it stands."""
        taken = self.taken.pop((settled.attempt, settled.call), None)
        sent = settled.status != NOT_SENT
        if taken is None or (sent and not settled.certain):
            return
        allowance, input_tokens, output_tokens = taken
        usage = settled.usage
        output = usage.get("output", 0)
        read = usage.get("input", 0) + usage.get("cache_write_5m", 0) + usage.get("cache_write_1h", 0)
        if output:
            allowance.answer.add(output)
        allowance.give(0 if sent else 1, input_tokens - read, output_tokens - output, now_us)
