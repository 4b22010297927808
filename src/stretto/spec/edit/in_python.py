"""Mends as cuts of the calls that tasks are made by, in Python, bare files and pages; all else stays."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from stretto.plan.finding import Mend
from stretto.plan.graph import Element
from stretto.spec.edit.asked import Asked, Change
from stretto.spec.edit.cuts import (
    CannotEdit,
    Cut,
    Span,
    added_entries,
    break_of,
    line_start,
    removed_entries,
)

_BREAK = re.compile("\r\n|[\r\n]")
_LITERAL = re.compile(r"""(['"])([^'"\\\r\n]*)\1""")
_QUOTE = re.compile(r"""[A-Za-z]*(['"])""")
_WORD = re.compile(r"[A-Za-z0-9._:/@ -]+")
_BARE = re.compile(r"Task\s*\(")
_INDENT = re.compile(r"[ \t]*(?:>[ \t]?)*[ \t]*")
_UNSEEN = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT})
_WAIT = "# Wait"


def cuts_in_python(text: str, asked: Sequence[Asked], file: str) -> list[Cut]:
    """The cuts that make what was asked for; what cannot be made is noted there. Places begin with `file`."""
    lines = _Lines(text, file)
    return [cut for one in asked for cut in _Editor(lines, one).cuts()]


def cuts_in_bare(text: str, asked: Sequence[Asked], file: str) -> list[Cut]:
    """As `cuts_in_python`, where comments say what waits for what."""
    lines = _Lines(text, file, bare=True)
    return [cut for one in asked for cut in _BareEditor(lines, one).cuts()]


class _Token(NamedTuple):
    text: str
    start: int
    end: int


@dataclass(slots=True)
class _Call:
    """A call as it is written: the tokens of each argument, and what becomes of them."""

    arguments: list[list[_Token]]
    more: list[str] = field(default_factory=list)
    less: set[int] = field(default_factory=set)
    mends: list[Mend] = field(default_factory=list)

    @property
    def quote(self) -> str:
        """The quotes that it is written with."""
        texts = (_QUOTE.match(token.text) for tokens in self.arguments for token in tokens)
        return next((text[1] for text in texts if text), '"')

    def keyword(self, name: str) -> int | None:
        """The number of the argument with this name."""
        for number, tokens in enumerate(self.arguments):
            if len(tokens) > 2 and (tokens[0].text, tokens[1].text) == (name, "="):
                return number
        return None

    def cuts(self, text: str) -> list[Cut]:
        """Those for arguments that come or go."""
        spans = [_span(tokens) for tokens in self.arguments]
        kept = [span for number, span in enumerate(spans) if number not in self.less]
        if any("#" in text[slice(*spans[number])] for number in self.less):
            raise CannotEdit("a comment stands in what would be removed")
        if not kept:
            raise CannotEdit("the call has no other arguments")
        made = removed_entries(text, spans, self.less) if self.less else []
        return made + (added_entries(text, kept[-1], self.more) if self.more else [])


class _Lines:
    """A text by lines, and the calls in it."""

    def __init__(self, text: str, file: str, *, bare: bool = False):
        self.text = text
        self.file = file
        self.bare = bare
        self.stream = io.StringIO(text, newline="")
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]
        self._calls: dict[int, _Call] = {}

    def index(self, place: str) -> int:
        """The character at file:line:col."""
        file, line, column = place.rsplit(":", 2)
        if file != self.file:
            raise CannotEdit(f"it is made in another file, {PurePath(file).name}")
        number = int(line)
        if number > len(self._starts):
            raise CannotEdit("its place is not in this file")
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        # Python counts columns in bytes of UTF-8; where a block is read call by call, it is characters.
        before = self.text[start:end].encode("utf-8", "surrogatepass")[: int(column) - 1]
        index = start + len(before.decode("utf-8", "ignore"))
        if self.bare and not _BARE.match(self.text, index):
            return start + int(column) - 1
        return index

    def call(self, place: str) -> _Call:
        """The call that begins at file:line:col."""
        index = self.index(place)
        if index not in self._calls:
            self._calls[index] = _call_at(self.stream, index)
        return self._calls[index]


class _Editor:
    """The cuts for one plan of a text."""

    def __init__(self, lines: _Lines, asked: Asked):
        self.text = lines.text
        self.lines = lines
        self.asked = asked
        self.rewritten: dict[int, _Call] = {}

    def cuts(self) -> list[Cut]:
        made: list[Cut] = []
        for place, changes in self._by_place().items():
            models = [mend for change in changes for mend in change.model_mends]
            with self._refusing(models):
                made += self._model(place, changes, models) if models else []
            needs = [mend for change in changes for mend in change.need_mends]
            with self._refusing(needs):
                made += self._needs(place, changes, needs) if needs else []
        for call in self.rewritten.values():
            with self._refusing(call.mends):
                made += call.cuts(self.text)
        return made

    def _by_place(self) -> dict[str, list[Change]]:
        """What is asked of all the parts that one call makes: in a loop there are several."""
        places = self.asked.plan.places
        found: dict[str, list[Change]] = {places[path]: [] for path in self.asked.changes}
        for path, place in places.items():
            element = self.asked.graph.elements.get(path)
            if place in found and element is not None and self.asked.written(element) is element:
                found[place].append(self.asked.changes.get(path) or Change(element))
        return found

    @contextmanager
    def _refusing(self, mends: Iterable[Mend]) -> Iterator[None]:
        try:
            yield
        except CannotEdit as why:
            self.asked.refuse(mends, why)

    def _rewrite(self, place: str, mends: list[Mend]) -> _Call:
        call = self.rewritten.setdefault(self.lines.index(place), self.lines.call(place))
        call.mends += mends
        return call

    def _model(self, place: str, changes: list[Change], mends: list[Mend]) -> list[Cut]:
        model, *others = {change.model for change in changes}
        if others:
            raise CannotEdit(f"{len(changes)} tasks come from this call, and not all of them get this model")
        call = self.lines.call(place)
        number = call.keyword("model")
        if number is None:
            self._rewrite(place, mends).more.append(f"model={_quoted(model, call.quote)}")
            return []
        return [_replaced(call.arguments[number][2:], model, "its model")]

    def _needs(self, place: str, changes: list[Change], mends: list[Mend]) -> list[Cut]:
        if len({(tuple(change.add), tuple(change.remove)) for change in changes}) > 1:
            raise CannotEdit(f"{len(changes)} tasks come from this call, and not all of them get this need")
        change, call = changes[0], self.lines.call(place)
        number = call.keyword("needs")
        if number is None and not change.remove:
            words = ", ".join(_quoted(word, call.quote) for word in change.add)
            self._rewrite(place, mends).more.append(f"needs=[{words}]")
            return []
        entries = _entries(call.arguments[number][2:]) if number is not None else []
        there = {word: at for at, tokens in enumerate(entries) if (word := _literal(tokens)) is not None}
        for word, target in change.remove.items():
            if word not in there:
                made = self.asked.comes_next(change.element, target)
                why = "comes from the pipeline that both are in" if made else "is not a text in a list"
                self.asked.refuse(change.asking(word), f"its need on {word!r} {why}")
        gone = {there[word] for word in change.remove if word in there}
        if number is None:
            return []
        if not change.add and len(gone) == len(entries):
            self._rewrite(place, mends).less.add(number)
            return []
        return self._changed(call.arguments[number][2:], entries, gone, list(change.add))

    def _changed(
        self, value: list[_Token], entries: list[list[_Token]], gone: set[int], add: list[str]
    ) -> list[Cut]:
        """The cuts that take entries out of a list and put others in."""
        if not entries:
            return [Cut(value[0].end, value[0].end, ", ".join(map(_quoted, add)))]
        places = sorted(gone)[: len(add)]
        made = [_replaced(entries[at], word, "") for at, word in zip(places, add, strict=False)]
        spans = [_span(tokens) for tokens in entries]
        if gone := gone.difference(places):
            made += removed_entries(self.text, spans, gone)
        quote = entries[-1][0].text[0]
        words = [_quoted(word, quote) for word in add[len(places) :]]
        return made + (added_entries(self.text, spans[-1], words) if words else [])


class _BareEditor(_Editor):
    """The cuts for one plan of a bare file, in which a task needs all of the stage before its own."""

    def cuts(self) -> list[Cut]:
        return [*super().cuts(), *self._waits()]

    def _needs(self, place: str, changes: list[Change], mends: list[Mend]) -> list[Cut]:
        if any(change.remove for change in changes):
            raise CannotEdit("the comments around it say what it waits for")
        return []

    def _waits(self) -> list[Cut]:
        """A comment that begins a new stage above each task that needs one of its own stage."""
        begun: dict[tuple[str, ...], int] = {}
        """Of each stage (its tasks have the same needs), the index of the task that now begins its rest."""
        made: list[Cut] = []
        for change in sorted(self.asked.changes.values(), key=lambda change: change.element.index):
            element, stage = change.element, change.element.part.needs
            with self._refusing(change.need_mends):
                beside = [target.index for target in change.add.values() if target.part.needs == stage]
                if any(index > element.index for index in beside):
                    raise CannotEdit("what it needs stands after it")
                if any(index >= begun.get(stage, 0) for index in beside):
                    made.append(self._wait(element))
                    begun[stage] = element.index
        return made

    def _wait(self, element: Element) -> Cut:
        index = self.lines.index(self.asked.plan.places[element.path])
        start = line_start(self.text, index)
        indent = _INDENT.match(self.text, start, index)
        assert indent is not None, "everything in it is optional"
        return Cut(start, start, f"{indent.group()}{_WAIT}{break_of(self.text)}")


def _call_at(stream: io.StringIO, index: int) -> _Call:
    """The call that begins at a character, argument by argument."""
    tokens = _tokens(stream, index)
    named = False
    for token in tokens:
        if token.text == "(" and named:
            return _Call(_parted(tokens))
        if named != (token.text == "."):
            break
        named = not named
    raise CannotEdit("no call stands at its place")


def _tokens(stream: io.StringIO, index: int) -> Iterator[_Token]:
    """The tokens from a character on, without comments. Raises CannotEdit where it is no Python."""
    stream.seek(index)
    starts = [index]

    def line() -> str:
        read = stream.readline()
        starts.append(starts[-1] + len(read))
        return read

    try:
        for kind, word, start, end, _ in tokenize.generate_tokens(line):
            if kind not in _UNSEEN:
                yield _Token(word, starts[start[0] - 1] + start[1], starts[end[0] - 1] + end[1])
    except (tokenize.TokenError, SyntaxError) as error:
        raise CannotEdit("its call cannot be read") from error


def _parted(tokens: Iterator[_Token]) -> list[list[_Token]]:
    """What stands between commas, up to the bracket that closes."""
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text in ("(", "[", "{"):
            depth += 1
        elif token.text in (")", "]", "}"):
            depth -= 1
        if depth < 0:
            return [part for part in parts if part]
        if token.text == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    raise CannotEdit("its call cannot be read")


def _entries(value: list[_Token]) -> list[list[_Token]]:
    if len(value) < 2 or value[0].text != "[" or value[-1].text != "]":
        raise CannotEdit("its `needs` are not written as a list")
    return _parted(iter(value[1:]))


def _span(tokens: list[_Token]) -> Span:
    return Span(tokens[0].start, tokens[-1].end)


def _literal(tokens: list[_Token]) -> str | None:
    """The text that a value is, where it is nothing but a plain literal."""
    found = _LITERAL.fullmatch(tokens[0].text) if len(tokens) == 1 else None
    return found[2] if found else None


def _replaced(tokens: list[_Token], word: str, what: str) -> Cut:
    if _literal(tokens) is None:
        raise CannotEdit(f"{what} is not written as a text")
    return Cut(*_span(tokens), _quoted(word, tokens[0].text[0]))


def _quoted(word: str, quote: str = '"') -> str:
    if not _WORD.fullmatch(word):
        raise CannotEdit(f"{word!r} is no plain word")
    return f"{quote}{word}{quote}"
