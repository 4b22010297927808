"""The models that Stretto knows by name: their tier, limits and levels of effort, as ordered data."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from stretto.errors import StrettoError

LEVELS = ("low", "medium", "high", "xhigh", "max")
"""Levels of effort, from the least to the most."""

AUTO = "sonnet"
"""What `auto` means until choices are made from recorded outcomes."""

FREE_AGENTS = frozenset({"command", "function", "local", "simulated"})
"""Agents that nobody sends a bill for."""

ANY_NAME_AGENTS = frozenset({"local", "openai"})
"""Agents whose servers have model names of their own, which no catalogue can know."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model; None is unknown, so `efforts` of an unknown model are None and of one without any `()`."""

    id: str
    tier: str = ""
    context: int | None = None
    max_output: int | None = None
    efforts: tuple[str, ...] | None = None
    source: str = "as given"
    """Where the entry comes from: `catalogue`, or `as given` for an id that is passed through."""


MODELS: tuple[ModelInfo, ...] = (
    ModelInfo("claude-haiku-5-5", "haiku", 1_000_000, 128_000, LEVELS, "catalogue"),
    ModelInfo("claude-sonnet-5-5", "sonnet", 1_000_000, 128_000, LEVELS, "catalogue"),
    ModelInfo("claude-opus-5-5", "opus", 1_000_000, 128_000, LEVELS, "catalogue"),
    ModelInfo("claude-fable-5-2", "fable", 1_000_000, 128_000, LEVELS, "catalogue"),
    ModelInfo("claude-haiku-4-5", "haiku", 200_000, 64_000, (), "catalogue"),
)
"""Newest first within a tier; the order of tiers is the order of their first models."""

TIERS: tuple[str, ...] = tuple(dict.fromkeys(model.tier for model in MODELS))

_DATED = re.compile(r"-20\d{6}$")


def resolve(name: str, agent: str = "messages") -> ModelInfo:
    """The model that a plan's word means: a tier, `auto`, an alias or an id.

    Ids that start with `claude-` are passed through as given, and so is any name for agents whose
    servers name their models themselves. Raises StrettoError `unknown-model` for everything else.
    """
    wanted = name.strip().lower()
    found = _BY_NAME.get(wanted) or _BY_NAME.get(_DATED.sub("", wanted))
    if found is not None:
        exact = _DATED.search(wanted) is not None
        return _with_id(found, wanted) if exact else found
    if wanted.startswith("claude-"):
        return ModelInfo(wanted, _tier_in(wanted))
    if agent.partition(":")[0] in ANY_NAME_AGENTS and wanted:
        return ModelInfo(name.strip())
    raise _unknown(name)


def is_free(agent: str) -> bool:
    """Whether an agent (by name, or `name:argument`) costs nothing by its nature.

    A server behind `openai:` is never free by its address: whose bill it runs up cannot be seen from here.
    """
    return agent.partition(":")[0] in FREE_AGENTS


def _with_id(model: ModelInfo, id: str) -> ModelInfo:
    """The same model by its dated id, which is sent as it was written."""
    return ModelInfo(id, model.tier, model.context, model.max_output, model.efforts, model.source)


def _tier_in(id: str) -> str:
    return next((tier for tier in TIERS if tier in id.split("-")), "")


def _names() -> dict[str, ModelInfo]:
    """Every word for a known model: id, id without `claude-`, both with a dot in the number, tier, `auto`."""
    names: dict[str, ModelInfo] = {}
    for model in MODELS:
        dotted = re.sub(r"(\d)-(\d)$", r"\1.\2", model.id)
        for id in (model.id, dotted):
            names[id] = names[id.removeprefix("claude-")] = model
        names.setdefault(model.tier, model)
        names.setdefault(f"claude-{model.tier}", model)
    return {"auto": names[AUTO], **names}


_BY_NAME = _names()


def _unknown(name: str) -> StrettoError:
    close = difflib.get_close_matches(name.strip().lower(), _BY_NAME, n=2)
    tiers = ", ".join(TIERS)
    meant = f"did you mean {' or '.join(f'`{word}`' for word in close)}? " if close else ""
    return StrettoError(
        "unknown-model",
        f"there is no model `{name}`",
        next=f"{meant}Write a tier ({tiers}), `auto`, an id that starts with `claude-`, or `on: openai:URL`"
        " for a server's own names",
    )
