"""What tokens cost: exact integer prices, the cost of a call that was made, the bound of one to be made.

Prices are list prices or a user's own (`own_price`), and what lists do not have is a factor on them: the
Batches API's discount, a cache by rule instead of by class.

List prices come from `genai-prices`, whose data travels in its wheel: nothing here asks a network, and its
background updater is never started. Importing it takes an eighth of a second, so only the first price that
is asked for does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any

MILLION = 1_000_000
NUSD_PER_USD = 1_000_000_000

CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
"""The classes of tokens that have a price of their own, as in `agents.Usage`."""

# Units of genai-prices that do not matter here: agents send and receive text and use no server tools. Any
# other unit (a price per request, one for reasoning alone) makes a price that cannot be computed: unknown.
UNUSED_UNITS = re.compile(r"audio|image|video|web_searches|storage_searches")


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per million tokens of each class.

    `steps` are the prices of the *whole* call once its prompt (input and cache, without output) has more
    tokens than the number, the lowest first.
    """

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    steps: tuple[tuple[int, Price], ...] = ()
    source: str = ""

    def at(self, prompt_tokens: int) -> Price:
        """The price that holds for a prompt of this size."""
        found = self
        for above, price in self.steps:
            if prompt_tokens > above:
                found = price
        return found

    def cost_nusd(self, usage: Mapping[str, int]) -> int:
        """The cost of one call, rounded up once."""
        if unknown := usage.keys() - set(CLASSES):
            raise ValueError(f"no price for tokens of class {', '.join(sorted(unknown))}")
        price = self.at(sum(count for name, count in usage.items() if name != "output"))
        return _round_up(sum(count * price.of(name) for name, count in usage.items()))

    def bound_nusd(self, input_tokens: int, max_tokens: int, *, cached: bool, cache_1h: bool) -> int:
        """The most that a call of at most so many tokens can cost, whatever the cache does."""
        reachable = [self, *(price for above, price in self.steps if input_tokens > above)]
        return max(
            _round_up(input_tokens * price.dearest_input(cached, cache_1h) + max_tokens * price.output)
            for price in reachable
        )

    def worst_case_nusd(
        self, input_tokens: int, max_tokens: int, turns: int, added_tokens: int, context: int | None
    ) -> int:
        """The most that one attempt of so many calls can cost, each reading all that came before it."""
        total = 0
        for turn in range(turns):
            prompt = input_tokens + turn * (max_tokens + added_tokens)
            if context is not None:
                prompt = max(input_tokens, min(prompt, context))
            total += self.bound_nusd(prompt, max_tokens, cached=True, cache_1h=False)
        return total

    def dearest_input(self, cached: bool, cache_1h: bool) -> int:
        """The most that one token of the prompt can cost."""
        writes = ([self.cache_write_5m] if cached else []) + ([self.cache_write_1h] if cache_1h else [])
        return max(self.input, self.cache_read, *writes)

    def batch(self, factor: float | Decimal | None) -> Price | None:
        """What the same costs in a batch: input and output at a factor; None where the factor is unknown.

        The cache keeps its prices, so that a bound holds whether or not a provider halves them too.
        """
        if factor is None:
            return None
        times = Decimal(str(factor))
        steps = ((above, price.batch(factor)) for above, price in self.steps)
        return replace(
            self,
            input=_up(self.input * times),
            output=_up(self.output * times),
            steps=tuple((above, price) for above, price in steps if price is not None),
        )

    def times(self, factor: Decimal) -> Price:
        """Every class at a multiple, as lists price long prompts."""
        return _priced({name: _up(self.of(name) * factor) for name in CLASSES}, self.source)

    def of(self, token_class: str) -> int:
        price: int = getattr(self, token_class)
        return price


def own_price(
    usd_per_mtok: Mapping[str, Decimal],
    *,
    cache: Mapping[str, Decimal] | None = None,
    long: tuple[int, Decimal] | None = None,
    source: str = "",
) -> Price:
    """A user's price from dollars per million tokens: `input`, `output` and any other class.

    A class of the cache that has no price is a multiple of `input` by the factors in `cache`, or else costs
    what input costs. `long` is (above how many prompt tokens, how many times as much) for the whole call.
    """
    usd = {name: usd_per_mtok[name] for name in ("input", "output")}
    for name in CLASSES[2:]:
        factor = (cache or {}).get(name)
        usd[name] = usd_per_mtok.get(name, usd["input"] if factor is None else usd["input"] * factor)
    if "cache_write_1h" not in usd_per_mtok and "cache_write_1h" not in (cache or {}):
        usd["cache_write_1h"] = max(usd["input"], usd["cache_write_5m"])
    price = _priced({name: _nusd(usd[name]) for name in CLASSES}, source)
    return price if long is None else replace(price, steps=((long[0], price.times(long[1])),))


def _priced(nusd: Mapping[str, int], source: str) -> Price:
    return Price(
        input=nusd["input"],
        output=nusd["output"],
        cache_read=nusd["cache_read"],
        cache_write_5m=nusd["cache_write_5m"],
        cache_write_1h=nusd["cache_write_1h"],
        source=source,
    )


@lru_cache(maxsize=1024)
def price_of(model: str, url: str = "") -> Price | None:
    """The list price of exactly this model; None when there is none, never 0 by default.

    `url` is the API's base URL: where genai-prices knows whose it is, that provider's price counts and no
    other. For an unknown or empty address the ids of Anthropic and OpenAI count, which mean one thing.
    """
    providers = _providers()
    here = [p for p in providers if url and re.match(p.api_pattern, url)]
    for provider in here or [p for p in providers if p.id in ("anthropic", "openai")]:
        for entry in provider.models:
            if _is(entry, model.lower()):
                return _price(_active(entry.prices))
    return None


@lru_cache(maxsize=1)
def _providers() -> list[Any]:
    from genai_prices.data import providers  # 130 ms, and most commands need no price

    return list(providers)


@lru_cache(maxsize=1)
def _source() -> str:
    from genai_prices import __version__

    return f"genai-prices {__version__}"


# Exactly this id, or a dated version of it. Prefixes are not enough: genai-prices itself would price an
# unknown `claude-haiku-4-5-anything` as Haiku 4.5, and a price that is a guess is worse than none.
_DATED = re.compile(r"-(20\d{6}|20\d\d-\d\d-\d\d)$")


def _is(entry: Any, model: str) -> bool:
    return _named(entry, model) or (_DATED.search(model) is not None and _named(entry, _DATED.sub("", model)))


def _named(entry: Any, model: str) -> bool:
    """Its id, or one of the other spellings that genai-prices lists in full."""
    clauses = getattr(entry.match, "or_", [entry.match])
    return bool(entry.id == model or any(getattr(clause, "equals", None) == model for clause in clauses))


def _active(prices: Any) -> list[Any]:
    """The prices that may hold now: of dated ones the last that has begun, of hourly ones all."""
    if not isinstance(prices, list):
        return [prices]
    now = datetime.now(UTC)
    dated = [p for p in prices if not hasattr(p.constraint, "start_time")]
    begun = [p for p in dated if p.constraint is None or p.constraint.active(now)]
    hourly = [p.prices for p in prices if hasattr(p.constraint, "start_time")]
    return [(begun[-1] if begun else prices[0]).prices, *hourly]


_Table = dict[str, list[tuple[int, int]]]
"""Class -> (above how many prompt tokens, nano-dollars per million), beginning with -1."""


def _price(entries: list[Any]) -> Price | None:
    """One price from entries of genai-prices: for each class and size of prompt the dearest of them."""
    tables = [table for table in map(_table, entries) if table is not None]
    if len(tables) < len(entries):
        return None
    rows = [row for table in tables for rows in table.values() for row in rows]
    steps = sorted({above for above, _ in rows if above >= 0})
    return _flat(tables, -1, tuple((above, _flat(tables, above)) for above in steps))


def _table(entry: Any) -> _Table | None:
    """The prices of one entry; None when it has none for text, or one that cannot be computed from tokens."""
    values = {name: value for name, value in vars(entry).items() if value is not None}
    rows = {name: _rows(value) for name, value in values.items() if not UNUSED_UNITS.search(name)}
    if "input_mtok" not in rows or "output_mtok" not in rows:
        return None
    table = {"input": rows.pop("input_mtok"), "output": rows.pop("output_mtok")}
    # Without prices of its own the cache neither saves nor costs anything.
    table["cache_read"] = rows.pop("cache_read_mtok", table["input"])
    table["cache_write_5m"] = rows.pop("cache_write_mtok", table["input"])
    table["cache_write_1h"] = rows.pop("cache_write_1h_mtok", table["cache_write_5m"])
    return None if rows else table


def _rows(value: Any) -> list[tuple[int, int]]:
    if isinstance(value, Decimal):
        return [(-1, _nusd(value))]
    return [(-1, _nusd(value.base)), *((tier.start, _nusd(tier.price)) for tier in value.tiers)]


def _flat(tables: list[_Table], above: int, steps: tuple[tuple[int, Price], ...] = ()) -> Price:
    """The dearest price of each class for a prompt of just more than so many tokens."""

    def dearest(name: str) -> int:
        return max([nusd for at, nusd in table[name] if at <= above][-1] for table in tables)

    return Price(
        input=dearest("input"),
        output=dearest("output"),
        cache_read=dearest("cache_read"),
        cache_write_5m=dearest("cache_write_5m"),
        cache_write_1h=dearest("cache_write_1h"),
        steps=steps,
        source=_source(),
    )


def _nusd(usd: Decimal) -> int:
    """Dollars in nano-dollars, rounded up; no list price has had more than nine decimals."""
    return _up(usd * NUSD_PER_USD)


def _up(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))


def _round_up(nusd_millions: int) -> int:
    return -(-nusd_millions // MILLION)
