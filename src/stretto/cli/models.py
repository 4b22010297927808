"""The verb `models`: the models there are, what they can do and what they cost."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from textwrap import wrap
from typing import Any

from stretto.cli.project import root_of
from stretto.errors import EXIT_OK
from stretto.live.words import line, plain, width
from stretto.models import Catalogue, ModelInfo, Price
from stretto.models.prices import CLASSES, NUSD_PER_USD
from stretto.spec.settings import Settings, read_settings

SCHEMA = "stretto/models/1"
UNKNOWN = "unknown"
ID_COLUMNS = 18
"""A longer id gets a line of its own, so that it can be copied and the table fits a terminal."""
WIDE = 98

SHOWN = ("input", "output", "cache_read", "cache_write_5m")
_HEAD = ("tier", "id", "context", "max out", "efforts", "in", "out", "read", "write", "batch", "tok/s")
_LEFT = 5
"""So many columns are words, the others figures."""


def models(args: Namespace) -> int:
    """Prints the catalogue of this project."""
    settings = read_settings(root_of(args))
    if args.json:
        print(json.dumps(models_data(settings)))
    else:
        print(plain("\n".join(models_lines(settings))))
    return EXIT_OK


# As data


def models_data(settings: Settings) -> dict[str, Any]:
    """The catalogue as JSON; what is not known is null."""
    catalogue = settings.catalogue
    return {
        "schema": SCHEMA,
        "settings": settings.source or None,
        "tiers": list(catalogue.tiers),
        "auto": list(catalogue.auto_tiers),
        "aliases": {word: catalogue.resolve(word).id for word in catalogue.aliases},
        "models": [_model_data(model, catalogue) for model in _in_order(catalogue)],
    }


def _model_data(model: ModelInfo, catalogue: Catalogue) -> dict[str, Any]:
    price = catalogue.price_of(model.id)
    rates = model.rates
    return {
        "id": model.id,
        "tier": model.tier or None,
        "context": model.context,
        "max_output": model.max_output,
        "efforts": None if model.efforts is None else list(model.efforts),
        "usd_per_mtok": None if price is None else _price_data(price),
        "batch": model.batch,
        "tokens_per_s": model.tokens_per_s,
        "limits": {
            "requests": rates.requests,
            "input_tokens": rates.input_tokens,
            "output_tokens": rates.output_tokens,
        },
        "cache_min_tokens": model.cache_min_tokens,
        "token_factor": model.token_factor,
        "source": model.source,
        "price_source": None if price is None else price.source,
    }


def _price_data(price: Price) -> dict[str, Any]:
    data: dict[str, Any] = {name: price.of(name) / NUSD_PER_USD for name in CLASSES}
    steps = [{"prompt_tokens": above, **_price_data(step)} for above, step in price.steps]
    return {**data, "above": steps} if steps else data


def _in_order(catalogue: Catalogue) -> list[ModelInfo]:
    """By tier from weak to strong, within one as they stand; those of no tier last."""
    tiers = catalogue.tiers
    return sorted(catalogue.models, key=lambda m: tiers.index(m.tier) if m.tier in tiers else len(tiers))


# As text


def models_lines(settings: Settings) -> list[str]:
    """The table, and below it what its columns mean and where the figures come from."""
    catalogue = settings.catalogue
    listed = _in_order(catalogue)
    rows = [_row(model, catalogue) for model in listed]
    notes = (wrap(note, WIDE, subsequent_indent="  ") for note in _notes(listed, settings))
    return [*_table(rows), "", *chain.from_iterable(notes)]


def _row(model: ModelInfo, catalogue: Catalogue) -> tuple[str, ...]:
    price = catalogue.price_of(model.id)
    usd = [UNKNOWN] * len(SHOWN) if price is None else [_usd(price.of(name)) for name in SHOWN]
    return (
        model.tier or "none",
        line(model.id),
        _tokens(model.context),
        _tokens(model.max_output),
        _efforts(model),
        *usd,
        UNKNOWN if model.batch is None else f"x{model.batch:g}",
        UNKNOWN if model.tokens_per_s is None else f"{model.tokens_per_s:g}",
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    short = [row for row in rows if width(row[1]) <= ID_COLUMNS]
    columns = [max(width(row[k]) for row in [_HEAD, *(rows if k != 1 else short)]) for k in range(len(_HEAD))]
    for row in [_HEAD, *rows]:
        long = width(row[1]) > ID_COLUMNS
        if long:
            yield f"{row[0]:<{columns[0]}}  {row[1]}"
        cells = [
            cell + " " * (columns[k] - width(cell)) if k < _LEFT else f"{cell:>{columns[k]}}"
            for k, cell in enumerate(("", "", *row[2:]) if long else row)
        ]
        yield f"{cells[0]}  {cells[1]}  {' '.join(cells[2:])}".rstrip()


def _usd(nusd: int) -> str:
    """Dollars with two to four decimals; --json has all of them."""
    if 0 < nusd < NUSD_PER_USD // 10_000:
        return "<0.0001"
    text = f"{Decimal(nusd) / NUSD_PER_USD:.4f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"


def _tokens(count: int | None) -> str:
    if count is None:
        return UNKNOWN
    for unit, letter in ((1_000_000, "M"), (1_000, "K")):
        if count >= unit and count % (unit // 10) == 0:
            return f"{count / unit:g}{letter}"
    return f"{count:,}"


def _efforts(model: ModelInfo) -> str:
    if model.efforts is None:
        return UNKNOWN
    if len(model.efforts) < 3:
        return ",".join(model.efforts) or "none"
    return f"{model.efforts[0]}..{model.efforts[-1]}"


def _notes(listed: list[ModelInfo], settings: Settings) -> Iterator[str]:
    catalogue = settings.catalogue
    yield "in, out, cache read, cache write (5 minutes): $ per million tokens; an hour's write: see --json"
    yield "batch: factor on in and out; tok/s: median output speed of recorded runs, per tier"
    for model in listed:
        price = catalogue.price_of(model.id)
        for above, step in price.steps if price is not None else ():
            dearer = "/".join(_usd(step.of(name)) for name in SHOWN)
            yield f"{line(model.id)} above {_tokens(above)} prompt tokens: {dearer}, for the whole call"
    yield from _limits(listed)
    yield f"auto takes {', '.join(catalogue.auto_tiers)}; the order of tiers is {', '.join(catalogue.tiers)}"
    for word in catalogue.aliases:
        yield f"alias {line(word)} means {line(catalogue.resolve(word).id)}"
    yield from _sources(listed, settings)


def _limits(listed: list[ModelInfo]) -> Iterator[str]:
    told = 0
    for model in listed:
        rates = model.rates
        said = [
            f"{count:,} {name}"
            for count, name in (
                (rates.requests, "requests"),
                (rates.input_tokens, "input tokens"),
                (rates.output_tokens, "output tokens"),
            )
            if count is not None
        ]
        if said:
            told += 1
            yield f"limits of {line(model.id)}: {', '.join(said)} a minute"
    if told < len(listed):
        others = "limits of all others" if told else "limits"
        yield f"{others}: unknown until a provider's answers say them"


def _sources(listed: list[ModelInfo], settings: Settings) -> Iterator[str]:
    """Where the entries and the prices come from."""
    catalogue = settings.catalogue
    found = [catalogue.price_of(model.id) for model in listed]
    lists = dict.fromkeys(price.source for price in found if price is not None)
    yield f"source of models: Stretto's catalogue; of prices: {', '.join(lists) or UNKNOWN}"
    own = [line(model.id) for model in listed if model.source != "catalogue"]
    if settings.source:
        yield f"settings: {line(settings.source)}"
    if own:
        yield f"in the settings: {', '.join(own)}"
