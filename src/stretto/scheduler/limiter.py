"""The limiter: keeps calls within what a provider allows a model, a minute and at once.

Passing state, never journaled. A new run finds its buckets full. After a resume they count as empty at the
last event that was journaled, because the process that died may have used up its minute just then. What the
settings do not say is learned from the headers of responses; what no header says, from refusals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stretto.events import NOT_SENT, CallSettled
from stretto.models.catalogue import Rates

MINUTE_US = 60_000_000
MOST_AT_ONCE = 128
"""Calls in flight, of one model and of a run: at 1,000 an HTTP client begins to lose them by itself."""

FIRST_TOKENS = 1_000
"""What a prompt and an answer are taken to have before there were any; the most there can be is too much."""
FIRST_WEIGHT = 4
"""So many must have come until they weigh more than that guess."""

CROWDED = 3.0
"""So many refusals lower how many calls may be in flight; each other response makes up for a quarter of one.

So one refusal in fifty, as any busy provider has them, changes nothing, and a wall is noticed at once.
"""
CALM = 0.25

WHOLE = 1_000
LEAST_SHARE = 100
"""Of what flows into a bucket, in thousandths, that we take to be ours; somebody else may use the same key.

A refusal takes a third of it away. Where a tenth of the bucket is left, others leave us more than we
take, and it grows fast; else slowly, to see whether they have gone.
"""
FAST, SLOW = 20, 2


class Left(NamedTuple):
    """One bucket as the provider tells of it."""

    limit: int
    """Per minute."""
    left: int


class Stopped(NamedTuple):
    """The provider serves us no more: no other call on the same account would do better."""

    why: str
    """quota, billing or auth."""
    note: str = ""
    """In the provider's words."""
    wait_us: int | None = None
    """Until it serves us again; None: it does not say."""


class Told(NamedTuple):
    """What the head of a response says of the limits; None is a bucket it does not mention."""

    requests: Left | None = None
    inputs: Left | None = None
    outputs: Left | None = None
    refused: bool = False
    """The call was refused for being one too many."""
    wait_us: int = 0
    """How long the provider asks to wait."""
    stopped: Stopped | None = None


NOTHING_TOLD = Told()


class Flight(NamedTuple):
    """A call that was sent and is not settled: what it was debited for."""

    model: str
    input_tokens: int
    output_tokens: int
    limited: bool
    """There were buckets to debit."""
    heard: bool = False
    """The provider has counted it: its response has begun."""
    refused: bool = False
    """Its buckets were too empty for it, so nothing was taken from them."""


class Bucket:
    """What may be taken of one kind: at most a minute's worth, refilled all the time.

    Levels count in parts of 60,000,000, so that what flows in within a microsecond is a whole number.
    """

    __slots__ = ("at_us", "level", "most", "rate", "share")

    def __init__(self, rate: int, dry_us: int, most: int | None = None):
        self.rate = rate
        """Per minute."""
        self.most = most
        """What the settings allow, though a provider may give more; None: they say nothing."""
        self.share = WHOLE
        """Of what flows in, in thousandths, that is ours."""
        self.level = 0
        self.at_us = dry_us

    @property
    def flow(self) -> int:
        """What flows in for us per minute."""
        return max(1, self.rate * self.share // WHOLE)

    def fill(self, now_us: int) -> None:
        """Lets in what has flowed since the last time."""
        if now_us > self.at_us:
            self.level = min(self.rate * MINUTE_US, self.level + self.flow * (now_us - self.at_us))
            self.at_us = now_us

    def wait_us(self, amount: int, now_us: int) -> int:
        """How long until so much may be taken; what no bucket could hold may go when it is full."""
        self.fill(now_us)
        missing = min(amount, self.rate) * MINUTE_US - self.level
        return -(-missing // self.flow) if missing > 0 else 0

    def take(self, amount: int) -> None:
        """Takes it, if need be below nothing: then the next have to wait longer."""
        self.level -= amount * MINUTE_US

    def agree(self, rate: int, left: int, now_us: int) -> None:
        """Takes over what the provider says: its rate, and that no more than `left` is there."""
        self.fill(now_us)
        self.rate = rate = rate if self.most is None else min(rate, self.most)
        self.level = min(self.level, max(left, -rate) * MINUTE_US, rate * MINUTE_US)
        self.share = min(WHOLE, self.share + (FAST if 10 * left >= rate else SLOW))

    def give_way(self, now_us: int) -> None:
        """It was emptier than we thought: somebody else draws on it too."""
        self.fill(now_us)
        self.share = max(LEAST_SHARE, self.share * 2 // 3)

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

    __slots__ = (
        "_calm",
        "answer",
        "closed_us",
        "coming",
        "crowd",
        "flying",
        "inputs",
        "outputs",
        "prompt",
        "requests",
        "window",
    )

    def __init__(self, rates: Rates, dry_us: int):
        self.closed_us = 0
        """Nothing is sent before: the provider said so."""
        self.window = MOST_AT_ONCE
        """How many calls may be in flight: half where refusals crowd, one more after each windowful."""
        self.flying = 0
        self.crowd = 0.0
        self._calm = 0
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

    @property
    def full(self) -> bool:
        """As many calls are in flight as may be: the next goes when one has come back."""
        return self.flying >= self.window

    def wait_us(self, input_tokens: int, output_tokens: int, now_us: int) -> int:
        """How long until a call may be sent."""
        return self._wait_us(1, input_tokens, output_tokens, now_us)

    def next_wait_us(self, now_us: int) -> int:
        """How long until one more attempt could send its first call, after those that are to send theirs."""
        calls = self.coming + 1
        return self._wait_us(calls, calls * self.prompt.tokens, calls * self.answer.tokens, now_us)

    def _wait_us(self, requests: int, input_tokens: int, output_tokens: int, now_us: int) -> int:
        wait_us = max(0, self.closed_us - now_us)
        for bucket, amount in self._amounts(requests, input_tokens, output_tokens):
            wait_us = max(wait_us, bucket.wait_us(amount, now_us))
        return wait_us

    def take(self, input_tokens: int, output_tokens: int) -> None:
        for bucket, amount in self._amounts(1, input_tokens, output_tokens):
            bucket.take(amount)

    def give(self, requests: int, input_tokens: int, output_tokens: int, now_us: int) -> None:
        for bucket, amount in self._amounts(requests, input_tokens, output_tokens):
            bucket.give(amount, now_us)

    def went(self) -> None:
        """A response that was no refusal."""
        self.crowd = max(0.0, self.crowd - CALM)
        self._calm += 1
        if self._calm >= self.window and self.window < MOST_AT_ONCE:
            self.window, self._calm = self.window + 1, 0

    def refused(self, wait_us: int, now_us: int, short: list[str]) -> None:
        """The provider would not take a call, for these buckets: it is left alone as long as it asks."""
        if now_us >= self.closed_us:  # what was on its way when it closed says nothing new
            for name in short:
                bucket: Bucket | None = getattr(self, name)
                if bucket is not None:
                    bucket.give_way(now_us)
        self.closed_us = max(self.closed_us, now_us + wait_us)
        self.crowd += 1
        if self.crowd >= CROWDED:
            self.window, self.crowd, self._calm = max(1, min(self.window, self.flying) // 2), 0.0, 0

    def _amounts(self, requests: int, input_tokens: int, output_tokens: int) -> list[tuple[Bucket, int]]:
        pairs = (
            (self.requests, requests),
            (self.inputs, input_tokens),
            (self.outputs, output_tokens),
        )
        return [(bucket, amount) for bucket, amount in pairs if bucket is not None]


def _bucket(rate: int | None, dry_us: int) -> Bucket | None:
    return None if not rate else Bucket(rate, dry_us, most=rate)


class Limiter:
    """The allowances of all models of a run; where nothing is known of limits there are none, and no cost.

    Output is debited by what is expected of it and put right when the usage has arrived. Input that was
    read from a cache does not count.
    """

    def __init__(self, rates_of: Callable[[str], Rates | None]):
        self._rates_of = rates_of
        self._dry_us = 0
        self._models: dict[str, Allowance | None] = {}
        self._flights: dict[tuple[str, int], Flight] = {}

    def begin(self, dry_us: int) -> None:
        """Says when the buckets were empty; forgets what was in flight then."""
        self._dry_us = dry_us
        self._models.clear()
        self._flights.clear()

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

    def take(self, attempt: str, call: int, model: str, input_tokens: int, most_output: int) -> None:
        """Debits a call that is sent now."""
        allowance = self.of(model)
        if allowance is None:
            flight = Flight(model, input_tokens, min(most_output, FIRST_TOKENS), False)
        else:
            flight = Flight(model, input_tokens, allowance.expected_output(most_output), True)
            allowance.prompt.add(input_tokens)
            allowance.take(input_tokens, flight.output_tokens)
            allowance.flying += 1
        self._flights[attempt, call] = flight

    def heard(self, attempt: str, call: int, told: Told, now_us: int) -> None:
        """A response has begun: what its head says of the limits counts from now on."""
        flight = self._flights.get((attempt, call))
        if flight is None:
            return
        self._flights[attempt, call] = flight._replace(heard=True)
        buckets = told.requests or told.inputs or told.outputs
        allowance = self.of(flight.model)
        if allowance is None:
            if not buckets and not told.refused:
                return
            allowance = self._learned(flight.model, now_us)
        if buckets:
            self._agree(allowance, flight.model, told, now_us)
        if not told.refused:
            allowance.went()
        else:
            short = _short(told, flight)
            if short is None or short:
                self._flights[attempt, call] = self._flights[attempt, call]._replace(refused=True)
                allowance.refused(told.wait_us, now_us, short or [])

    def _learned(self, model: str, now_us: int) -> Allowance:
        """An allowance for a model that turns out to have limits; what is in flight counts as debited."""
        allowance = self._models[model] = Allowance(Rates(), now_us)
        for key, flight in self._flights.items():
            if flight.model == model:
                self._flights[key] = flight._replace(limited=True)
                allowance.flying += 1
        return allowance

    def _agree(self, allowance: Allowance, model: str, told: Told, now_us: int) -> None:
        """Takes over the provider's limits, and what is left of them.

        What is on its way to it has not been counted there yet, nor have the answers that it still writes.
        """
        flights = [flight for flight in self._flights.values() if flight.model == model]
        coming = [flight for flight in flights if not flight.heard]
        pending = {
            "requests": len(coming),
            "inputs": sum(flight.input_tokens for flight in coming),
            "outputs": sum(flight.output_tokens for flight in flights),
        }
        for name, on_its_way in pending.items():
            known: Left | None = getattr(told, name)
            if known is None or known.limit < 1:
                continue
            bucket: Bucket | None = getattr(allowance, name)
            if bucket is None:
                bucket = Bucket(known.limit, now_us - MINUTE_US)
                setattr(allowance, name, bucket)
            bucket.agree(known.limit, known.left - on_its_way, now_us)

    def settle(self, settled: CallSettled, now_us: int) -> None:
        """Puts a debit right once it is known what the call took; where it never will be, it stands."""
        flight = self._flights.pop((settled.attempt, settled.call), None)
        if flight is None or not flight.limited:
            return
        allowance = self.of(flight.model)
        assert allowance is not None
        allowance.flying -= 1
        usage, taken = settled.usage, settled.status != NOT_SENT and not flight.refused
        if taken and not settled.certain:
            return
        if taken and not usage:
            # Whether an error counts as a request is the provider's secret; that it wrote nothing is sure.
            allowance.give(0, 0, flight.output_tokens, now_us)
            return
        output = usage.get("output", 0)
        read = usage.get("input", 0) + usage.get("cache_write_5m", 0) + usage.get("cache_write_1h", 0)
        if output:
            allowance.answer.add(output)
        requests = 0 if taken else 1
        allowance.give(requests, flight.input_tokens - read, flight.output_tokens - output, now_us)


def _short(told: Told, flight: Flight) -> list[str] | None:
    """The buckets that were too empty for a refused call; None where the provider tells of none.

    Where it tells of some and all have room, the refusal is about this one call alone.
    """
    wanted = {"requests": 1, "inputs": flight.input_tokens, "outputs": 1}
    known: dict[str, Left] = {name: getattr(told, name) for name in wanted if getattr(told, name) is not None}
    return [name for name, bucket in known.items() if bucket.left < wanted[name]] if known else None
