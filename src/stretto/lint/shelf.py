"""Files that one task writes anew and another takes up, by what both declare or say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stretto.lint.paths import Path, overlap
from stretto.lint.reading import PathUse, Reading
from stretto.lint.scene import task_of
from stretto.plan.graph import Element


class Taken(NamedTuple):
    """A file that `user` takes up and `maker` writes."""

    user: Element
    maker: Element
    path: str


class Shelf:
    """The new files of a plan, found by their whole name, by their folder, or by a pattern."""

    def __init__(self, readings: Mapping[Element, Reading]) -> None:
        self._exact: dict[str, list[tuple[Element, PathUse]]] = {}
        self._below: dict[str, list[tuple[Element, PathUse]]] = {}
        """By each folder above, what has to be compared part by part."""
        self._patterns: dict[str, list[tuple[Element, PathUse]]] = {}
        """By the folder in front of what varies."""
        self._readings = readings
        for element, reading in readings.items():
            for use in reading.paths:
                if use.role not in ("new", "edit"):
                    continue
                self._exact.setdefault(use.path.norm, []).append((element, use))
                for folder in _above(use.path):
                    self._below.setdefault(folder, []).append((element, use))
                if use.path.varies:
                    self._patterns.setdefault(_fixed(use.path.norm), []).append((element, use))

    def taken(self) -> Iterator[Taken]:
        for user, reading in self._readings.items():
            written = {use.path.norm for use in reading.paths if use.role in ("new", "add")}
            seen: set[tuple[Element, str]] = set()
            for use in reading.paths:
                if use.role not in ("read", "edit", "aside") or use.path.norm in written:
                    continue
                for maker, made in self._makers(use):
                    if made.role == "edit" and not (use.role == "read" and _is_drawn_on(user, use, made)):
                        continue
                    if maker is not user and (maker, made.path.norm) not in seen:
                        seen.add((maker, made.path.norm))
                        yield Taken(user, maker, made.path.text)

    def _makers(self, use: PathUse) -> Iterator[tuple[Element, PathUse]]:
        path = use.path
        yield from self._exact.get(path.norm, ())
        if path.varies:
            for maker, made in self._below.get(_fixed(path.norm), ()):
                if made.path.norm != path.norm and overlap(made.path.norm, path.norm):
                    yield maker, made
            return
        if path.folder:
            # Of a folder that is read only what fills it is sure to be meant: one file there may be any.
            for maker, made in self._below.get(path.norm, ()):
                if made.path.varies or made.path.folder:
                    yield maker, made
        for folder in _above(path):
            for maker, made in self._exact.get(folder, ()):
                if made.path.folder:
                    yield maker, made
            for maker, made in self._patterns.get(folder, ()):
                if overlap(made.path.norm, path.norm):
                    yield maker, made


def _is_drawn_on(user: Element, use: PathUse, made: PathUse) -> bool:
    """Whether what changes a file that was there before makes it for this user.

    "Generate the client *from openapi.json*" does, "explain the schema of users.sql" works with any version.
    """
    if made.declared or use.declared or made.path.folder:
        return True
    before, name, _ = task_of(user).prompt.partition(use.path.text)
    return bool(name) and before.lower().rstrip(" `'\"").endswith((" on", " using", " with", "from"))


def _above(path: Path) -> Iterator[str]:
    """The folders that a path stands in, up to the first part that varies."""
    parts = path.norm.split("/")[:-1]
    for end in range(1, len(parts) + 1):
        if "*" in parts[end - 1]:
            return
        yield "/".join(parts[:end])


def _fixed(norm: str) -> str:
    """The folder in front of the first part of a pattern that varies."""
    head = norm.split("*")[0]
    return head.rpartition("/")[0]
