"""Mends as cuts of a YAML or JSON text; every character apart from them stays."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import yaml

from stretto.plan.finding import Mend
from stretto.plan.graph import Element
from stretto.spec.edit.asked import Asked, Change
from stretto.spec.edit.cuts import (
    CannotEdit,
    Cut,
    Span,
    added_entries,
    break_of,
    ends_line,
    line_below,
    line_end,
    line_start,
    removed_entries,
    without_lines,
)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_NO_TEXTS = frozenset({"null", "true", "false"})
_BLANK = re.compile(" *")
_DASH = re.compile(r" *-[ \t]+")
_BLOCKS = ("|", ">")
_WORK = frozenset({"prompt", "run", "call"})


@dataclass(slots=True)
class _Spot:
    """A value where it stands. An alias is one of its own, with what it stands for."""

    start: int
    end: int
    """Of a block of lines, the end means nothing; see `_end`."""
    kind: str
    """scalar, list, map or alias."""
    style: str = ""
    """Of a scalar: its quotes, `|` or `>`. Of a list or map: `flow` where it has brackets."""
    tagged: bool = False
    """It has an anchor or a tag, which its span begins with."""
    value: str = ""
    entries: list[tuple[_Spot, _Spot]] = field(default_factory=list)
    """Keys and values; in a list each value is its own key."""
    index: dict[str, int] = field(default_factory=dict)
    alias_of: _Spot | None = None

    @property
    def meant(self) -> _Spot:
        return self.alias_of or self


def cuts_in_yaml(text: str, asked: Sequence[Asked]) -> list[Cut]:
    """The cuts that make what was asked for; what cannot be made is noted there. The text is good YAML."""
    return [cut for one in asked for cut in _Editor(text, one).cuts()]


def _read(text: str) -> _Spot:
    """The tree of a text that is known to be good YAML, and neither too deep nor too large."""
    anchors: dict[str, _Spot] = {}
    opened = [_Spot(0, len(text), "list")]
    keys: list[_Spot | None] = [None]

    def put(spot: _Spot) -> None:
        into = opened[-1]
        if into.kind == "map" and keys[-1] is None:
            keys[-1] = spot
            return
        key, keys[-1] = keys[-1] or spot, None
        into.index.setdefault(key.meant.value, len(into.entries))
        into.entries.append((key, spot))

    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        start, end = event.start_mark.index, event.end_mark.index
        kind = type(event)
        if kind is yaml.AliasEvent:
            put(_Spot(start, end, "alias", alias_of=anchors[event.anchor]))
        elif kind is yaml.ScalarEvent:
            spot = _Spot(start, end, "scalar", event.style or "", _is_tagged(event), event.value)
            anchors[event.anchor] = spot
            put(spot)
        elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
            name = "map" if kind is yaml.MappingStartEvent else "list"
            spot = _Spot(start, end, name, "flow" if event.flow_style else "", _is_tagged(event))
            anchors[event.anchor] = spot
            opened.append(spot)
            keys.append(None)
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            opened[-1].end = end
            keys.pop()
            put(opened.pop())
    return opened[0].entries[0][1]


def _is_tagged(event: Any) -> bool:
    return event.anchor is not None or event.tag is not None


class _Editor:
    """The cuts for one text."""

    def __init__(self, text: str, asked: Asked):
        self.text = text
        self.asked = asked
        self.root = _read(text)
        self.rewritten: dict[int, _Rewritten] = {}
        """Mappings that gain or lose keys, by where they begin: all of one together."""
        self.serial: dict[Element, dict[Element, list[Mend]]] = {}
        """Of groups whose order makes needs that have to go: the members that lose one, by which mends."""

    def cuts(self) -> list[Cut]:
        made: list[Cut] = []
        for change in self.asked.changes.values():
            with self._refusing(change.model_mends):
                made += self._model(change) if change.model_mends else []
            with self._refusing(change.need_mends):
                made += self._needs(change) if change.need_mends else []
        for group, members in self.serial.items():
            mends = [mend for asking in members.values() for mend in asking]
            with self._refusing(mends):
                self._rewrite(self._freed(group, members), mends).less.add("order")
        for rewritten in self.rewritten.values():
            with self._refusing(rewritten.mends):
                made += [*self._without_keys(rewritten), *self._with_keys(rewritten)]
        return list(dict.fromkeys(made))

    @contextmanager
    def _refusing(self, mends: Iterable[Mend]) -> Iterator[None]:
        try:
            yield
        except CannotEdit as why:
            self.asked.refuse(mends, why)

    def _spot(self, path: str) -> _Spot:
        """The mapping that a part is written as."""
        here = self.root.meant
        for id in path.split("."):
            tasks = _own(here, "tasks")
            found = _own(tasks.meant, id) if tasks else None
            if found is None:
                raise CannotEdit(f"{id!r} comes from a merge (`<<`)")
            here = found.meant
        return here

    def _rewrite(self, spot: _Spot, mends: Sequence[Mend]) -> _Rewritten:
        found = self.rewritten.setdefault(spot.start, _Rewritten(spot))
        found.mends += mends
        return found

    # The model

    def _model(self, change: Change) -> list[Cut]:
        task = self._spot(change.element.path)
        spot = _own(task, "model")
        if spot is None:
            self._rewrite(task, change.model_mends).more["model"] = [change.model]
            return []
        if spot.kind != "alias" and (spot.tagged or spot.style in _BLOCKS or spot.kind != "scalar"):
            raise CannotEdit("its `model` has an anchor or a tag, or is no plain word")
        return [Cut(spot.start, spot.end, _like(self.text[spot.start], change.model))]

    # Needs

    def _needs(self, change: Change) -> list[Cut]:
        task = self._spot(change.element.path)
        gone = {key: self._standing(task, key, change.remove) for key in ("needs", "after")}
        for word, target in change.remove.items():
            if self.asked.comes_next(change.element, target) and target.owner is not None:
                self.serial.setdefault(target.owner, {})[change.element] = change.asking(word)
            elif word not in gone["needs"] and word not in gone["after"]:
                why = f"its need on {word!r} comes from an alias or a merge (`<<`)"
                self.asked.refuse(change.asking(word), why)
        made = self._changed(task, "needs", set(gone["needs"].values()), list(change.add), change)
        return made + self._changed(task, "after", set(gone["after"].values()), [], change)

    def _standing(self, task: _Spot, key: str, words: Iterable[str]) -> dict[str, int]:
        """Which of the words stand in a list of the task itself, and as the how-manyeth entry."""
        spot = _own(task, key)
        there = spot.index if spot is not None and spot.kind == "list" else {}
        return {word: there[word] for word in words if word in there}

    def _changed(self, task: _Spot, key: str, gone: set[int], add: list[str], change: Change) -> list[Cut]:
        """The cuts that take entries out of a list of ids and put others in."""
        if not gone and not add:
            return []
        spot = _own(task, key)
        if spot is None:
            if any(key in merged.index for merged in _merged(task)):
                raise CannotEdit(f"its `{key}` comes from a merge (`<<`)")
            self._rewrite(task, [*change.need_mends]).more[key] = add
            return []
        if spot.kind != "list":
            raise CannotEdit(f"its `{key}` is an alias, or no list")
        if not add and len(gone) == len(spot.entries):
            self._rewrite(task, [*change.need_mends]).less.add(key)
            return []
        places = sorted(gone)[: len(add)]
        made = []
        for number, word in zip(places, add, strict=False):
            entry = spot.entries[number][1]
            made.append(Cut(entry.start, entry.end, _like(self.text[entry.start], word)))
        return [*made, *self._removed(spot, gone.difference(places)), *self._added(spot, add[len(places) :])]

    def _removed(self, spot: _Spot, gone: set[int]) -> list[Cut]:
        if not gone:
            return []
        spans = [Span(entry.start, entry.end) for entry, _ in spot.entries]
        if spot.style == "flow":
            return removed_entries(self.text, spans, gone)
        return [self._without_lines(spans[number], _DASH) for number in sorted(gone)]

    def _added(self, spot: _Spot, words: list[str]) -> list[Cut]:
        if not words:
            return []
        if not spot.entries:
            first = self.text.index("[", spot.start) + 1
            return [Cut(first, first, ", ".join(_like("", word) for word in words))]
        last = spot.entries[-1][1]
        written = [_like(self.text[last.start], word) for word in words]
        if spot.style == "flow":
            return added_entries(self.text, Span(last.start, last.end), written)
        dash = self.text[line_start(self.text, last.start) : last.start]
        if not _DASH.fullmatch(dash) or not ends_line(self.text, last.end):
            raise CannotEdit("its list of needs is not written one a line")
        return [line_below(self.text, last.end, break_of(self.text).join(dash + word for word in written))]

    # An order that makes needs

    def _freed(self, group: Element, members: Collection[Element]) -> _Spot:
        """A group whose order can go: apart from these members, all say themselves what they wait for."""
        for before, member in pairwise(group.members.values()):
            task, words = self._spot(member.path), [before.part.id]
            written = self._standing(task, "needs", words) or self._standing(task, "after", words)
            if member not in members and not written:
                raise CannotEdit(
                    f"the order of {group.path!r} is serial, and {member.path!r} is to go on waiting for "
                    f"{before.part.id!r}: write needs in the place of the order"
                )
        spot = self._spot(group.path)
        if "order" not in spot.index:
            raise CannotEdit(f"the order of {group.path!r} comes from a merge (`<<`)")
        return spot

    # Keys of a mapping

    def _with_keys(self, rewritten: _Rewritten) -> list[Cut]:
        """New keys behind what the task does, on lines of their own where the others have them."""
        spot = rewritten.spot
        if not rewritten.more:
            return []
        key_like = self.text[spot.entries[0][0].start]
        like = key_like if key_like in "\"'" else ""
        new = []
        for key, words in rewritten.more.items():
            listed = ", ".join(_like(like, word) for word in words)
            new.append(f"{_like(like, key)}: {listed if key == 'model' else f'[{listed}]'}")
        places = [
            spot.entries[n] for n in _places(spot) if spot.entries[n][0].meant.value not in rewritten.less
        ]
        first = spot.entries[0][0].start
        if spot.style == "flow":
            if places:
                return added_entries(self.text, Span(places[0][0].start, places[0][1].end), new)
            return [Cut(first, first, "".join(f"{entry}, " for entry in new))]
        line, indent = break_of(self.text), " " * (first - line_start(self.text, first))
        for _, value in places:
            end = self._end(value)
            if end is not None and ends_line(self.text, end):
                return [line_below(self.text, end, line.join(indent + entry for entry in new))]
        return [Cut(first, first, "".join(entry + line + indent for entry in new))]

    def _without_keys(self, rewritten: _Rewritten) -> list[Cut]:
        spot = rewritten.spot
        gone = {spot.index[key] for key in rewritten.less}
        if not gone:
            return []
        if len(gone) == len(spot.entries):
            raise CannotEdit("nothing would be left of it")
        if spot.style == "flow":
            spans = [Span(key.start, value.end) for key, value in spot.entries]
            if any("#" in self.text[slice(*spans[number])] for number in gone):
                raise CannotEdit("a comment stands in what would be removed")
            return removed_entries(self.text, spans, gone)
        made = []
        for key, value in (spot.entries[number] for number in sorted(gone)):
            end = self._end(value)
            if end is None:
                raise CannotEdit("it is written as a block of text")
            made.append(self._without_lines(Span(key.start, end), _BLANK))
        return made

    def _without_lines(self, span: Span, before: re.Pattern[str]) -> Cut:
        """The lines of a span cut out, where nothing else but what is given stands before it."""
        start = line_start(self.text, span.start)
        if not before.fullmatch(self.text, start, span.start) or not ends_line(self.text, span.end):
            raise CannotEdit("something else stands on its line")
        return without_lines(self.text, span.start, span.end)

    def _end(self, spot: _Spot) -> int | None:
        """Where a value really ends: blocks of lines say so of the next token. None where nobody can say."""
        while spot.kind in ("list", "map") and spot.style != "flow":
            spot = spot.entries[-1][1]
        if spot.style not in _BLOCKS:
            return spot.end
        whole = self.text[spot.start : spot.end]
        header = whole[: line_end(whole, 0).start]
        if "+" in header.partition("#")[0] or not whole.endswith(("\n", "\r")):
            return None
        return spot.start + len(whole.rstrip())


@dataclass(slots=True)
class _Rewritten:
    """A mapping that gains or loses keys."""

    spot: _Spot
    more: dict[str, list[str]] = field(default_factory=dict)
    less: set[str] = field(default_factory=set)
    mends: list[Mend] = field(default_factory=list)


def _own(spot: _Spot, key: str) -> _Spot | None:
    """What stands under a key of the mapping itself."""
    number = spot.index.get(key) if spot.kind == "map" else None
    return None if number is None else spot.entries[number][1]


def _merged(spot: _Spot) -> list[_Spot]:
    """The mappings that `<<` brings in."""
    merged = _own(spot, "<<")
    if merged is None:
        return []
    many = merged.meant
    return [value.meant for _, value in many.entries] if many.kind == "list" else [many]


def _places(spot: _Spot) -> list[int]:
    """Behind which keys a new one may stand, best first: after a task's work, before a group's members."""
    if "tasks" in spot.index:
        return list(range(spot.index["tasks"]))[::-1]
    return sorted(range(len(spot.entries)), key=lambda n: spot.entries[n][0].meant.value not in _WORK)


def _like(sample: str, word: str) -> str:
    """A word in quotes like those that another one begins with, or plain where that means the same."""
    if sample == "'" and "'" not in word:
        return f"'{word}'"
    if sample != '"' and _PLAIN.fullmatch(word) and word.lower() not in _NO_TEXTS:
        return word
    return json.dumps(word)
