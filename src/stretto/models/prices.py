"""What tokens cost: exact integer prices, the cost of a call that was made, the bound of one to be made.

List prices come from `genai-prices`, whose data travels in its wheel: nothing here asks a network, and its
background updater is never started. Importing it takes an eighth of a second, so only the first price that
is asked for does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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

    def dearest_input(self, cached: bool, cache_1h: bool) -> int:
        """The most that one token of the prompt can cost."""
        writes = ([self.cache_write_5m] if cached else []) + ([self.cache_write_1h] if cache_1h else [])
        return max(self.input, self.cache_read, *writes)

    def of(self, token_class: str) -> int:
        price: int = getattr(self, token_class)
        return price


def cost_nusd(model: str, usage: Mapping[str, int], *, url: str = "") -> int | None:
    """The cost of one call in nano-dollars; None when the price of the model is not known."""
    price = price_of(model, url)
    return None if price is None else price.cost_nusd(usage)


def bound_nusd(
    model: str,
    input_bound_tokens: int,
    max_tokens: int,
    cache_1h: bool = False,
    *,
    cached: bool = True,
    url: str = "",
) -> int | None:
    """The most that one call can cost; None when the price of the model is not known.

    `cached` False says that the request marks nothing for the cache, so nothing is written to it.
    """
    price = price_of(model, url)
    if price is None:
        return None
    return price.bound_nusd(input_bound_tokens, max_tokens, cached=cached, cache_1h=cache_1h)


def worst_case_nusd(
    model: str,
    input_tokens: int,
    max_tokens: int,
    *,
    turns: int = 1,
    added_tokens: int = 0,
    context: int | None = None,
    url: str = "",
) -> int | None:
    """The most that one attempt can cost: `turns` calls, each after the first reading all that came before.

    A task without tools has one turn. `added_tokens` is what the tool results of one turn may add, `context`
    the model's window, which no prompt can exceed.
    """
    price = price_of(model, url)
    if price is None:
        return None
    total = 0
    for turn in range(turns):
        prompt = input_tokens + turn * (max_tokens + added_tokens)
        if context is not None:
            prompt = max(input_tokens, min(prompt, context))
        total += price.bound_nusd(prompt, max_tokens, cached=True, cache_1h=False)
    return total


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
    return int((usd * NUSD_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def _round_up(nusd_millions: int) -> int:
    return -(-nusd_millions // MILLION)
