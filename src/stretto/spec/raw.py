"""The raw tree that both front ends hand to the compiler: mappings in the shape of YAML, with positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Raw:
    """A value as it was written, and where: file:line:col, counted from 1.

    `value` is dict[str, Raw], list[Raw], or a scalar (str, int, float, bool, None). A front end may leave
    anything else there (a Python type in a short form of a schema); the compiler says what it can read.
    """

    value: Any
    at: str
    keys: dict[str, str] = field(default_factory=dict)
    """For a mapping: the position of each key."""


def plain(raw: Raw) -> Any:
    """The value without its positions, all the way down."""
    value = raw.value
    if type(value) is dict:
        return {key: plain(entry) for key, entry in value.items()}
    if type(value) is list:
        return [plain(entry) for entry in value]
    return value


MAX_DEPTH = 100
"""Values nested deeper than this are cut off; what stands there then is no value that a plan can have."""


class TooDeep:
    """What stands in the place of a value that was nested too deeply."""


def wrap(value: Any, at: str, depth: int = 0) -> Raw:
    """The same value with one position everywhere. A Raw inside keeps its own; tuples become lists."""
    match value:
        case Raw():
            return value
        case dict() | list() | tuple() if depth >= MAX_DEPTH:
            return Raw(TooDeep(), at)
        case dict():
            wrapped = {str(key): wrap(entry, at, depth + 1) for key, entry in value.items()}
            return Raw(wrapped, at, dict.fromkeys(wrapped, at))
        case list() | tuple():
            return Raw([wrap(entry, at, depth + 1) for entry in value], at)
        case _:
            return Raw(value, at)
