"""A TOML file of settings as a raw tree with places, which the standard library's parser does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from stretto.errors import StrettoError
from stretto.spec.raw import MAX_DEPTH, Raw, TooDeep

MAX_BYTES = 1_000_000

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'))*)\s*="""
)
_TEXTS = re.compile(r'"""(?:\\.|[^\\])*?"""' + r"|'''.*?'''", re.S)
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


def read_toml(path: Path) -> Raw | None:
    """The file's tables, numbers with a point as Decimal; None without a file. Raises `bad-settings`."""
    data = _bytes(path)
    if data is None:
        return None
    try:
        text = data.decode("utf-8-sig")
        values = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as bad:
        raise _unusable(path, "is not UTF-8 text", data[: bad.start].count(b"\n") + 1) from None
    except (ValueError, ArithmeticError, RecursionError) as bad:
        place = _PLACE.search(str(bad))
        said = _PLACE.sub("", str(bad)).strip()[:200]
        at = (int(place[1]), int(place[2])) if place else (data.count(b"\n") + 1, 1)
        raise _unusable(path, f"is not TOML: {said}", *at) from None
    places = {key: f"{path}:{line}:{column}" for key, (line, column) in _places(text, values)}
    return _raw(values, (), places, f"{path}:1:1")


def _bytes(path: Path) -> bytes | None:
    try:
        if not path.exists() and not path.is_symlink():
            return None
        if not path.is_file():
            raise _unusable(path, "is no regular file")
        if path.stat().st_size > MAX_BYTES:
            raise _unusable(path, f"has more than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}") from None


def _unusable(path: Path, why: str, line: int = 0, column: int = 1) -> StrettoError:
    at = f"{path}:{line}:{column}" if line else str(path)
    fix = "mend it, or move it away: without it Stretto uses what it knows by itself"
    return StrettoError("bad-settings", f"{path} {why}", at=at, next=fix)


_Path = tuple[str, ...]


def _places(text: str, values: Mapping[str, Any]) -> Iterator[tuple[_Path, tuple[int, int]]]:
    """(path of a table or key, line and column) for all that stands at the beginning of a line.

    What only looks like a header or a key is inside a text of several lines, or not among the values read.
    """
    text = _TEXTS.sub(lambda found: "\n" * found[0].count("\n"), text)
    seen: set[_Path] = set()
    table: _Path = ()
    for number, row in enumerate(text.split("\n"), 1):
        header = _HEADER.match(row)
        found = header or _KEY.match(row)
        words = _words(found[1]) if found else ()
        if not found or not words:
            continue
        path = words if header else table + words
        if not _is_there(values, path):
            continue
        if header:
            table = path
        for length in range(1 if header else len(table) + 1, len(path) + 1):
            if path[:length] not in seen:
                seen.add(path[:length])
                yield path[:length], (number, found.start(1) + 1)


def _words(dotted: str) -> _Path:
    """The keys of a dotted key; none where it is no key after all."""
    try:
        here: Any = tomllib.loads(f"{dotted} = 0")
    except ValueError:
        return ()
    words = []
    while isinstance(here, dict):
        word, here = next(iter(here.items()))
        words.append(word)
    return tuple(words)


def _is_there(values: Any, path: _Path) -> bool:
    for word in path:
        if not isinstance(values, dict) or word not in values:
            return False
        values = values[word]
    return True


def _raw(value: Any, path: _Path, places: Mapping[_Path, str], above: str) -> Raw:
    """The value with its places; one without a place of its own has that of what it stands in."""
    at = places.get(path, above)
    if len(path) > MAX_DEPTH:
        return Raw(TooDeep(), at)
    if isinstance(value, dict):
        entries = {key: _raw(entry, (*path, key), places, at) for key, entry in value.items()}
        return Raw(entries, at, {key: entry.at for key, entry in entries.items()})
    if isinstance(value, list):
        return Raw([_raw(entry, (*path, ""), places, at) for entry in value], at)
    return Raw(value, at)
