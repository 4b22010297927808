"""The models that Stretto knows by name: their tier, limits, speed and levels of effort, as ordered data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from stretto.errors import StrettoError
from stretto.models import prices
from stretto.models.prices import Price

LEVELS = ("low", "medium", "high", "xhigh", "max")
"""Levels of effort, from the least to the most."""

AUTO = "sonnet"
"""What `auto` means where nothing chooses: one call without a plan, an alias, a list of models."""

AUTO_TIERS = ("haiku", "sonnet", "opus")
"""Tiers that `auto` may take and climb through, unless settings say otherwise; fable has to be asked for."""

FREE_AGENTS = frozenset({"command", "function", "local", "simulated"})
"""Agents that nobody sends a bill for."""

ANY_NAME_AGENTS = frozenset({"local", "openai"})
"""Agents whose servers have model names of their own, which no catalogue can know."""

CACHE_MIN_TOKENS = 4_096
"""The longest prefix that any model asks for before it caches: what counts where a model's own is unknown."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What may be asked for in a minute; None is unknown, until headers or the user say it."""

    requests: int | None = None
    input_tokens: int | None = None
    """Cache reads do not count."""
    output_tokens: int | None = None


UNKNOWN_RATES = Rates()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model; None is unknown, so `efforts` of an unknown model are None and of one without any `()`."""

    id: str
    tier: str = ""
    context: int | None = None
    max_output: int | None = None
    efforts: tuple[str, ...] | None = None
    source: str = "as given"
    """Where the entry comes from: `catalogue`, the file of settings, or `as given` for an unknown name."""
    tokens_per_s: float | None = None
    """Median of output tokens per second of wall time."""
    rates: Rates = UNKNOWN_RATES
    cache_min_tokens: int | None = None
    """The shortest prefix that is cached; below it a request is served without the cache, and no error."""
    batch: float | None = None
    """Factor on input and output where a batch may wait for its answers."""
    token_factor: float = 1.0
    """Tokens that it counts for the same text, as a multiple; 1 also where nothing is known."""


def _claude(
    id: str, tier: str, context: int, output: int | None, efforts: tuple[str, ...] | None
) -> ModelInfo:
    return ModelInfo(
        id=id,
        tier=tier,
        context=context,
        max_output=output,
        efforts=efforts,
        source="catalogue",
        tokens_per_s=_SPEEDS.get(tier),
        batch=0.5,
        token_factor=_token_factor(id),
    )


# Medians over recorded runs of real agents, the middle of the range over their models: Haiku 4.5 70-100,
# Sonnet 46-74, Opus 41-74 output tokens per second of wall time; Fable 5 had 55 in one of them.
_SPEEDS = {"haiku": 85.0, "sonnet": 60.0, "opus": 57.0, "fable": 55.0}

_VERSION = re.compile(r"-(\d{1,2})(?:[-.](\d{1,2}))?(?=$|[-@])")


def _token_factor(id: str) -> float:
    """Claude models from 4.7 on count some 30 % more tokens for the same text."""
    match = _VERSION.search(_DATED.sub("", id))
    if match is None or not id.startswith("claude-"):
        return 1.0
    return 1.3 if (int(match[1]), int(match[2] or 0)) >= (4, 7) else 1.0


_DATED = re.compile(r"-20\d{6}$")
_M = 1_000_000
_K = 1_000

# The context of models before 5.5 is what genai-prices says; their longest output and their levels of effort
# are not known here. No minimum for the cache is: they go from 512 to 4,096 tokens by model.
MODELS: tuple[ModelInfo, ...] = (
    _claude("claude-haiku-5-5", "haiku", _M, 128 * _K, LEVELS),
    _claude("claude-sonnet-5-5", "sonnet", _M, 128 * _K, LEVELS),
    _claude("claude-opus-5-5", "opus", _M, 128 * _K, LEVELS),
    _claude("claude-fable-5-2", "fable", _M, 128 * _K, LEVELS),
    _claude("claude-haiku-4-5", "haiku", 200 * _K, 64 * _K, ()),
    _claude("claude-sonnet-5", "sonnet", _M, None, None),
    _claude("claude-sonnet-4-6", "sonnet", _M, None, None),
    _claude("claude-opus-5", "opus", _M, None, None),
    _claude("claude-opus-4-8", "opus", _M, None, None),
    _claude("claude-opus-4-7", "opus", _M, None, None),
    _claude("claude-opus-4-6", "opus", _M, None, None),
    _claude("claude-fable-5", "fable", _M, None, None),
)
"""Newest first within a tier; the order of tiers is the order of their first models."""


@dataclass(frozen=True)
class Catalogue:
    """Which models there are, what names mean, and what calls cost: data from Stretto and from a user."""

    models: tuple[ModelInfo, ...] = MODELS
    """The first of a tier is what the tier's name means."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """The user's own, by id; every other price is the list price."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Word -> tier or id; a tier's name may be one, and then means that model."""
    auto_tiers: tuple[str, ...] = AUTO_TIERS
    """Tiers that `auto` may take and climb through, weakest first."""
    order: tuple[str, ...] = ()
    """The tiers from weak to strong; empty: as their first models stand."""

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """All tiers, from weak to strong."""
        return self.order or tuple(dict.fromkeys(model.tier for model in self.models if model.tier))

    def resolve(self, name: str, agent: str = "messages") -> ModelInfo:
        """The model that a plan's word means: a tier, `auto`, an alias or an id.

        Ids that start with `claude-` are passed through as given, and so is any name for agents whose
        servers name their models themselves. Raises StrettoError `unknown-model` for everything else.
        """
        found = self._found(name)
        if found is not None:
            return found
        if agent.partition(":")[0] in ANY_NAME_AGENTS and name.strip():
            return ModelInfo(name.strip())
        raise self._unknown(name)

    def info(self, id: str) -> ModelInfo:
        """What is known of an id, which may be any server's own; never an error."""
        return self._found(id) or ModelInfo(id)

    def price_of(self, id: str, url: str = "") -> Price | None:
        """The user's own price of a model, else its list price; None where there is none, never 0."""
        own = self._own_prices
        if own:
            key = id.lower()
            price = own.get(key) or own.get(_DATED.sub("", key))
            if price is not None:
                return price
        return prices.price_of(id, url)

    def cost_nusd(self, id: str, usage: Mapping[str, int], *, url: str = "") -> int | None:
        """The cost of one call in nano-dollars; None when the price of the model is not known."""
        price = self.price_of(id, url)
        return None if price is None else price.cost_nusd(usage)

    def bound_nusd(
        self,
        id: str,
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
        price = self.price_of(id, url)
        if price is None:
            return None
        return price.bound_nusd(input_bound_tokens, max_tokens, cached=cached, cache_1h=cache_1h)

    def worst_case_nusd(
        self,
        id: str,
        input_tokens: int,
        max_tokens: int,
        *,
        turns: int = 1,
        added_tokens: int = 0,
        url: str = "",
    ) -> int | None:
        """The most that one attempt can cost: `turns` calls, each after the first reading all before it.

        A task without tools has one turn. `added_tokens` is what the tool results of one turn may add; no
        prompt exceeds the model's context, where that is known.
        """
        price = self.price_of(id, url)
        if price is None:
            return None
        return price.worst_case_nusd(input_tokens, max_tokens, turns, added_tokens, self.info(id).context)

    def _found(self, name: str) -> ModelInfo | None:
        """By any of its names, dated or not; or as an id of Anthropic's that has no entry."""
        wanted = name.strip().lower()
        found = self._by_name.get(wanted)
        if found is not None:
            return found
        undated = _DATED.sub("", wanted)
        found = self._by_name.get(undated) if undated != wanted else None
        if found is not None:
            # A dated id is sent as it was written.
            return replace(found, id=wanted)
        if wanted.startswith("claude-"):
            return ModelInfo(wanted, self._tier_in(wanted), token_factor=_token_factor(wanted))
        return None

    def _tier_in(self, id: str) -> str:
        return next((tier for tier in self.tiers if tier in id.split("-")), "")

    @cached_property
    def _own_prices(self) -> dict[str, Price]:
        return {id.lower(): price for id, price in self.prices.items()}

    @cached_property
    def _by_name(self) -> dict[str, ModelInfo]:
        """Every word for a known model: tier, alias, id with and without `claude-`, and with a dot in it."""
        names: dict[str, ModelInfo] = {}
        for model in self.models:
            id = model.id.lower()
            for spelled in (id, re.sub(r"(\d)-(\d)$", r"\1.\2", id)):
                names[spelled] = names[spelled.removeprefix("claude-")] = model
        for model in self.models:
            if model.tier:
                names.setdefault(model.tier, model)
                names.setdefault(f"claude-{model.tier}", model)
        meant = {word.lower(): names.get(name.lower()) for word, name in self.aliases.items()}
        for word, name in self.aliases.items():
            names[word.lower()] = meant[word.lower()] or ModelInfo(name, self._tier_in(name))
        middle = AUTO if AUTO in self.auto_tiers else self.auto_tiers[len(self.auto_tiers) // 2]
        if middle in names:
            names["auto"] = names[middle]
        return names

    def _unknown(self, name: str) -> StrettoError:
        close = difflib.get_close_matches(name.strip().lower(), self._by_name, n=2)
        meant = f"did you mean {' or '.join(f'`{word}`' for word in close)}? " if close else ""
        return StrettoError(
            "unknown-model",
            f"there is no model `{name}`",
            next=f"{meant}Write a tier ({', '.join(self.tiers)}), `auto`, an id that starts with `claude-`,"
            " or `on: openai:URL` for a server's own names",
        )


BUILTIN = Catalogue()
"""What Stretto knows without anybody's settings."""


def is_free(agent: str) -> bool:
    """Whether an agent (by name, or `name:argument`) costs nothing by its nature.

    A server behind `openai:` is never free by its address: whose bill it runs up cannot be seen from here.
    """
    return agent.partition(":")[0] in FREE_AGENTS
