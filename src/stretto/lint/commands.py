"""What a command does, by its words: the files that it reads and writes, and what it is called for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stretto.lint.acts import root
from stretto.lint.paths import Path, path_of

_OUT = re.compile(r"(?:-o|--?(?:out\w*|dest\w*|to|target|save\w*|write\w*)|>{1,2})")
"""Options of programs that a file to be written stands behind."""
_PARTS = re.compile(r"[a-z]{3,}")
_BUILD = root("build")


def files_of(words: tuple[str, ...]) -> Iterator[tuple[Path, bool]]:
    """The files that a command names, and whether it writes them."""
    for before, word in zip(("", *words), words, strict=False):
        option, given, value = word.partition("=") if word.startswith("-") else ("", "", word)
        path = path_of(value) if " " not in value else None
        if path is not None and before:
            yield path, bool(_OUT.fullmatch(option if given else before))


def words_of(words: tuple[str, ...]) -> frozenset[str]:
    """The stems of all words in it, also those of a script's name; `make` is to build."""
    said = (part for word in words if " " not in word and word[:1] != "-" for part in _PARTS.findall(word))
    return frozenset(_BUILD if part == "make" else root(part) for part in said)
