"""Reads the front matter of a Markdown file as people really write it: as YAML, else line by line.

Never raises: what is no YAML is read a second time by lines, and what has no front matter is all text. Values
are texts or lists of texts. YAML is read from the parser's events: no objects, no aliases, no recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import yaml

Value = str | list[str]
How = Literal["yaml", "lines", "none"]

MAX_DEPTH = 20
"""What is nested deeper is a mistake, and the parser takes its time for it."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FENCE = "---"
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)[ \t]*:(?:[ \t]+|$)(.*)", re.DOTALL)
_BLOCK = re.compile(r"[|>][-+0-9]*(?:[ \t]+#.*)?")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_COMMENT = re.compile(r"(?<=[ \t])#.*")
_NOTHING = ("", "~", "null", "Null", "NULL")
_TEXT = "description"
"""The one field that is a text of many lines."""
_ESCAPES = {"n": "\n", "t": "\t", "r": "\n", '"': '"', "\\": "\\", "/": "/"}


class FrontMatter(NamedTuple):
    """The fields at the top of a file, the text below them, and how they were read."""

    fields: dict[str, Value]
    body: str
    how: How
    why: str = ""
    """Why it is no YAML; empty where it is."""


def read_front_matter(text: str, known: frozenset[str]) -> FrontMatter:
    """Splits a file and reads its fields. By lines only `known` words begin a field: text has colons too."""
    lines = _unwrapped(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if not lines or lines[0].rstrip() != _FENCE:
        return FrontMatter({}, "\n".join(lines).strip(), "none")
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() == _FENCE), None)
    if end is None:
        # It is never closed: what looks like fields is, up to the first empty line.
        end = next((n for n, line in enumerate(lines) if n and not line.strip()), len(lines))
        return FrontMatter(_by_lines(lines[1:end], known), _text(lines[end:]), "lines", "it is never closed")
    try:
        return FrontMatter(_by_yaml("\n".join(lines[1:end])), _text(lines[end + 1 :]), "yaml")
    except yaml.YAMLError as error:
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        return FrontMatter(_by_lines(lines[1:end], known), _text(lines[end + 1 :]), "lines", why)


def _text(lines: list[str]) -> str:
    return "\n".join(lines).strip()


def _unwrapped(lines: list[str]) -> list[str]:
    """Without empty lines at the top, and without a code fence around the whole file."""
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    lines = lines[first:]
    if len(lines) > 1 and lines[0].startswith("```") and lines[1].rstrip() == _FENCE:
        last = len(lines) - 1
        while last > 1 and not lines[last].strip():
            last -= 1
        return lines[1:last] if lines[last].rstrip() == "```" else lines[1:]
    return lines


# As YAML


def _by_yaml(text: str) -> dict[str, Value]:
    """The fields of a mapping; what is nested deeper than in a list is left out. Raises YAMLError."""
    fields: dict[str, Value] = {}
    key, listed = "", False
    for depth, event in _nested(text):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent() if depth == 2:
                listed = isinstance(event, yaml.SequenceStartEvent)
                fields[key] = [] if listed else ""
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent() if depth == 1:
                key = ""
            case yaml.ScalarEvent(value=value) if depth == 1 and not key:
                key = value or " "
            case yaml.ScalarEvent(value=value) if depth == 1:
                if event.style or value not in _NOTHING:
                    fields[key] = value
                key = ""
            case yaml.ScalarEvent(value=value) if depth == 2 and listed:
                _append(fields, key, value)
            case _:
                pass
    return fields


def _nested(text: str) -> Iterator[tuple[int, yaml.Event]]:
    """The parser's events, each with how deep it stands: a collection as deep as what is in it.

    Raises YAMLError for what is no mapping, and for an alias: in such files that is a slip of the pen.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                depth += 1
                if depth > MAX_DEPTH:
                    raise yaml.YAMLError("nested too deeply")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                depth -= 1
            case yaml.AliasEvent():
                raise yaml.YAMLError("an alias")
            case _:
                pass
        if depth < 2 and isinstance(event, yaml.SequenceStartEvent):
            raise yaml.YAMLError("a list")
        if not depth and isinstance(event, yaml.ScalarEvent):
            raise yaml.YAMLError("a text")
        yield depth, event


def _append(fields: dict[str, Value], key: str, value: str) -> None:
    items = fields[key]
    assert isinstance(items, list)
    items.append(value)


# By lines


def _by_lines(lines: list[str], known: frozenset[str]) -> dict[str, Value]:
    """A field begins where a known word with a colon stands at a line's start, and ends where the next does.

    Other words with a colon, and those that were there already, are text in a description; elsewhere they
    are fields that nobody reads.
    """
    fields: dict[str, Value] = {}
    for key, first, rest in _chunks(lines, known):
        value = _value(first.strip(), rest)
        if value is not None:
            fields[key] = value
    return fields


def _chunks(lines: list[str], known: frozenset[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Each field with the rest of its first line and the lines below it."""
    met: set[str] = set()
    current: tuple[str, str, list[str]] | None = None
    for line in lines:
        match = _KEY.fullmatch(line.rstrip())
        if match is not None and match[1] in known and match[1] not in met:
            if current is not None:
                yield current
            met.add(match[1])
            current = (match[1], match[2], [])
        elif current is not None and (match is None or current[0] == _TEXT):
            current[2].append(line)
    if current is not None:
        yield current


def _value(first: str, rest: list[str]) -> Value | None:
    items = [match[1] for line in rest if (match := _ITEM.fullmatch(line.rstrip()))]
    if not first and items and len(items) == sum(bool(line.strip()) for line in rest):
        return [_unquoted(item) for item in items]
    if _BLOCK.fullmatch(first):
        return "\n".join(line.strip() for line in rest).strip()
    text = "\n".join([first, *(line.strip() for line in rest)]).strip()
    if text.startswith("[") and text.endswith("]"):
        return [_unquoted(item) for item in text[1:-1].split(",") if item.strip()]
    text = _unquoted(text)
    return None if text in _NOTHING else text


def _unquoted(text: str) -> str:
    """A text without the quotes around it (or the one that was left open) and without a comment behind it."""
    text = text.strip()
    if text[:1] == '"':
        inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), inner, flags=re.DOTALL)
    if text[:1] == "'":
        inner = text[1:-1] if len(text) > 1 and text.endswith("'") else text[1:]
        return inner.replace("''", "'")
    return _COMMENT.sub("", text).rstrip() if "\n" not in text else text
