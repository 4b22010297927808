"""References: `${task.field}` inside the texts of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}\n]*)\}|\$\{[^{}\n]{0,20}")
"""An escape, a reference, or the beginning of one that is never closed."""
_SHAPE = re.compile(r"[a-z][a-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""What a task's or group's id must match in whole; `.` is reserved for paths."""


class Ref(NamedTuple):
    """`${name.a.b}`: the first name is looked up outwards from where it stands, the rest digs into it."""

    name: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "${" + ".".join((self.name, *self.path)) + "}"


def split(text: str) -> list[str | Ref]:
    """Cuts a text into literal pieces and references; `$${` becomes a literal `${`.

    Raises ValueError with the malformed reference. Substituted text must never be split again.
    """
    pieces: list[str | Ref] = []
    literal: list[str] = []
    position = 0
    for token in _TOKEN.finditer(text):
        literal.append(text[position : token.start()])
        position = token.end()
        if token.group() == "$${":
            literal.append("${")
            continue
        if token.group(1) is None:
            raise ValueError(token.group())
        inner = token.group(1).strip()
        if not _SHAPE.fullmatch(inner):
            raise ValueError(f"${{{inner}}}")
        if before := "".join(literal):
            pieces.append(before)
        literal = []
        name, *path = inner.split(".")
        pieces.append(Ref(name, tuple(path)))
    if rest := "".join([*literal, text[position:]]):
        pieces.append(rest)
    return pieces


def refs(value: Any) -> Iterator[Ref]:
    """Every reference in a text, or in the texts of a nested list or mapping."""
    match value:
        case str():
            if "${" in value:
                for piece in split(value):
                    if isinstance(piece, Ref):
                        yield piece
        case list() | tuple():
            for entry in value:
                yield from refs(entry)
        case dict():
            for entry in value.values():
                yield from refs(entry)
        case _:
            pass


def malformed(value: Any) -> Iterator[str]:
    """Everything that begins like a reference and is none, in a text or in the texts of nested data."""
    match value:
        case str():
            if "${" in value:
                for token in _TOKEN.finditer(value):
                    inner = token.group(1)
                    if token.group() != "$${" and (inner is None or not _SHAPE.fullmatch(inner.strip())):
                        yield token.group()
        case list() | tuple():
            for entry in value:
                yield from malformed(entry)
        case dict():
            for entry in value.values():
                yield from malformed(entry)
        case _:
            pass


def only_ref(text: Any) -> Ref | None:
    """The reference when the text is nothing else than one; then its value keeps its type."""
    if isinstance(text, str) and text.startswith("${"):
        pieces = split(text)
        if len(pieces) == 1 and isinstance(pieces[0], Ref):
            return pieces[0]
    return None
