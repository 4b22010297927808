"""The configuration of the fake provider, read from plain JSON and refused when a key is unknown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

Range = float | tuple[float, float]
FaultKind = Literal[
    "rate_limit",
    "rate_limit_bare",
    "quota",
    "overloaded",
    "api_error",
    "auth",
    "permission",
    "billing",
    "cut",
    "stall",
    "error_event",
    "slow",
    "refusal",
    "broken_json",
    "empty",
]
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)
Made = TypeVar("Made")


class ConfigError(ValueError):
    """The configuration names something that does not exist: read the message, correct the key."""


@dataclass(slots=True, frozen=True)
class Fault:
    """One thing that goes wrong; the fields that a kind does not use are ignored."""

    kind: FaultKind
    probability: float = 1.0
    model: str = ""
    message: str = ""
    retry_after_s: float = 1.0
    after_tokens: int | None = None
    stall_s: float = 30.0
    tokens_per_s: float = 5.0
    reset: bool = False


@dataclass(slots=True, frozen=True)
class Rule:
    """What to answer, and to whom: all the patterns given must be found; an absent one matches everything."""

    match: str = ""
    match_first: str = ""
    model: str = ""
    path: str = ""
    header: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None
    times_each: int | None = None
    reply: Any = "ok: ${head}"
    tools: list[Any] = field(default_factory=list)
    thinking: str = ""
    tokens: Range | None = None
    delay_s: Range | None = None
    tokens_per_s: float | None = None
    fault: Fault | None = None


@dataclass(slots=True, frozen=True)
class Price:
    """Nano-dollars per token by class; above `step_tokens` of prompt a call costs `step_times` as much."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    step_tokens: int | None = None
    step_times: int = 1


@dataclass(slots=True, frozen=True)
class Limits:
    """The size of each token bucket, which is also what flows back into it per minute; None is no limit."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def __post_init__(self) -> None:
        for size in (self.requests, self.input_tokens, self.output_tokens):
            if size is not None and size < 1:
                raise ConfigError(f"limits: {size} per minute would never pass anything; leave the limit out")


@dataclass(slots=True, frozen=True)
class Speed:
    """How fast a model class answers; 0 tokens per second is as fast as the machine can."""

    delay_s: Range = 0.0
    tokens_per_s: float = 0.0


def _list_prices() -> dict[str, Price]:
    return {
        "claude-haiku-5-5": Price(100, 500, 10, 125, 200, step_tokens=100_000, step_times=5),
        "claude-sonnet-5-5": Price(2_000, 10_000, 100, 2_500, 4_000),
        "claude-opus-5-5": Price(4_000, 20_000, 200, 5_000, 8_000),
    }


@dataclass(slots=True, frozen=True)
class Config:
    """Everything that can be set; `merged` gives a copy with some top-level keys replaced."""

    seed: int = 0
    time_scale: float = 1.0
    chunk_tokens: int = 16
    split_bytes: int = 0
    rules: list[Rule] = field(default_factory=list)
    default: Rule = field(default_factory=Rule)
    faults: list[Fault] = field(default_factory=list)
    limits: dict[str, Limits] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=_list_prices)
    speed: dict[str, Speed] = field(default_factory=dict)
    cache_min_tokens: int = 1024
    always_thinks: str = "opus-5-5"
    strict_models: bool = False

    def merged(self, data: Mapping[str, Any]) -> Config:
        kept = {f.name: getattr(self, f.name) for f in fields(Config)}
        _refuse_unknown(Config, data, "config")
        return Config(**(kept | {name: _read(name, value) for name, value in data.items()}))

    def draw(self, *parts: object) -> float:
        """A number in [0, 1) that depends on the seed and the parts alone, so on no order of arrival."""
        text = "\x1f".join(str(part) for part in (self.seed, *parts))
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def model_class(model: str) -> str:
    """The class that shares one set of buckets: the tier's name where the id has one, else the id."""
    found = re.search(r"haiku|sonnet|opus|fable", model)
    return found.group() if found else model


def for_class(table: Mapping[str, Made], model: str) -> Made | None:
    """The entry of the model's class, or the one named `*`."""
    return table.get(model_class(model), table.get("*"))


def price_of(prices: Mapping[str, Price], model: str) -> Price | None:
    """The price of exactly this id, or of the longest listed id that it is a dated version of."""
    listed = [name for name in prices if model == name or model.startswith(f"{name}-")]
    return prices[max(listed, key=len)] if listed else None


def _read(name: str, value: Any) -> Any:
    match name:
        case "rules":
            return [_rule(item, f"rules[{n}]") for n, item in enumerate(value)]
        case "default":
            return _rule(value, "default")
        case "faults":
            return [_fault(item, f"faults[{n}]") for n, item in enumerate(value)]
        case "limits":
            return {key: _make(Limits, item, f"limits.{key}") for key, item in value.items()}
        case "prices":
            return {key: _make(Price, item, f"prices.{key}") for key, item in value.items()}
        case "speed":
            return {key: _make(Speed, item, f"speed.{key}") for key, item in value.items()}
        case _:
            return value


def _rule(data: Mapping[str, Any], where: str) -> Rule:
    known = dict(data)
    if "fault" in known:
        known["fault"] = _fault(known["fault"], f"{where}.fault")
    patterns = [known.get(name, "") for name in ("match", "match_first", "model", "path")]
    for pattern in [*patterns, *known.get("header", {}).values()]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{where}: {pattern!r} is no pattern: {error}") from None
    return _make(Rule, known, where)


def _fault(data: str | Mapping[str, Any], where: str) -> Fault:
    known = {"kind": data} if isinstance(data, str) else dict(data)
    if known.get("kind") not in FAULT_KINDS:
        raise ConfigError(f"{where}: kind {known.get('kind')!r} is none of {', '.join(FAULT_KINDS)}")
    return _make(Fault, known, where)


def _make(kind: type[Made], data: Mapping[str, Any], where: str) -> Made:
    _refuse_unknown(kind, data, where)
    return kind(**data)


def _refuse_unknown(kind: type[Any], data: Mapping[str, Any], where: str) -> None:
    known = [f.name for f in fields(kind)]
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}: no key {key!r}; there are {', '.join(known)}")
