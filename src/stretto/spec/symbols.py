"""Values of a plan written in Python that are known only at run time, and the lines of the user's calls."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, NoReturn

from stretto.errors import StrettoError

_OURS = frozenset({"stretto.api", "stretto.spec.patterns", __name__})
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

_positions: dict[int, tuple[CodeType, list[tuple[int | None, int | None, int | None, int | None]]]] = {}
"""Of each code object that built a part, the positions of its instructions. Keyed by identity, because the
hash of a code object goes through all its constants; the code is held, so that the identity stays its own."""


def place_of_call() -> str:
    """file:line:col of the innermost call that is not ours."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    code = frame.f_code
    held = _positions.get(id(code))
    if held is None:
        held = _positions[id(code)] = (code, list(code.co_positions()))
    line, _, col, _ = held[1][frame.f_lasti // 2]
    return f"{code.co_filename}:{line or frame.f_lineno}:{(col or 0) + 1}"


class Reference:
    """Stands for a value that exists only at run time: in a text it becomes `${name.path}`.

    An attribute or an index digs into the value; anything else would need the value now, and says so.
    """

    __slots__ = ("_head", "_path")

    _head: str
    _path: tuple[str, ...]

    def __init__(self, head: str, path: tuple[str, ...] = ()):
        self._head = head
        self._path = path

    def __str__(self) -> str:
        return "${" + ".".join((self._head, *self._path)) + "}"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if spec:
            refuse(self, f"it cannot be formatted as {spec!r}")
        return str(self)

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)  # what copy, inspect and notebooks ask of every object
        return Reference(self._head, (*self._path, name))

    def __getitem__(self, key: object) -> Reference:
        if not isinstance(key, str | int) or not _SEGMENT.fullmatch(str(key)):
            refuse(self, f"{key!r} is no name or index that a reference can hold")
        return Reference(self._head, (*self._path, str(key)))


def refuse(reference: Reference, why: str) -> NoReturn:
    """Says that a value is asked for before there is one."""
    raise StrettoError(
        "known-only-at-run-time",
        f"{reference} is known only at run time: {why} while the plan is built",
        at=place_of_call(),
        next="put this logic into a function task (call=)",
    )


def _refusing(why: str) -> Callable[..., Any]:
    def method(self: Reference, *_: object) -> NoReturn:
        refuse(self, why)

    return method


def _refuse_by(why: str, names: str) -> None:
    for name in names.split():
        setattr(Reference, f"__{name}__", _refusing(why))


# Set after the class, so that a type checker does not offer what is only there to refuse.
# __hash__ too: `item in {"a", "b"}` would else be False without a word.
_refuse_by("its length is asked for", "len length_hint")
_refuse_by("it is gone through", "iter next reversed")
_refuse_by("it is asked whether it is true", "bool")
_refuse_by("it is compared", "eq ne lt le gt ge hash contains")
_refuse_by("it is called", "call")
_refuse_by("it is changed", "setitem delitem")
_refuse_by("it is taken for a number", "int float complex index round trunc floor ceil neg pos abs invert")
_refuse_by(
    "it is calculated with", "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
)
_refuse_by(
    "it is calculated with",
    "radd rsub rmul rtruediv rfloordiv rmod rdivmod rpow rmatmul rand ror rxor rlshift rrshift",
)
