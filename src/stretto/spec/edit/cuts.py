"""Small changes of a text: cuts, and the entries of a list in brackets, in YAML and in Python alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_BREAK = re.compile("\r\n|[\r\n]")
_LINES = re.compile("[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+")
_REST = re.compile(r"[ \t]*(,?)[ \t]*(?:#.*)?")
_COMMA = re.compile(r"\s*,[ \t]*")
_COMMENT = re.compile(r"(?<!\S)#[^\r\n]*")


class Cut(NamedTuple):
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str = ""


class Span(NamedTuple):
    """Where something stands in a text: its first character, and the one after its last."""

    start: int
    end: int


class CannotEdit(Exception):
    """A change that cannot be made here; its text says why, to follow "cannot be done here: "."""


def cut(text: str, cuts: Iterable[Cut]) -> str:
    """The text with all cuts made; those of one place in their order. Raises CannotEdit where two overlap."""
    pieces = []
    position = 0
    for start, end, new in sorted(cuts, key=lambda one: one[:2]):
        if start < position:
            raise CannotEdit("two changes are in each other's way")
        pieces += [text[position:start], new]
        position = end
    return "".join([*pieces, text[position:]])


def lines_of(text: str) -> list[str]:
    """The lines with their ends, as editors count them: `str.splitlines` knows many more."""
    return _LINES.findall(text)


def line_start(text: str, index: int) -> int:
    """Where the line of a character begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def line_end(text: str, index: int) -> Span:
    """The line break at or after a character; empty, at the end of the text, where there is none."""
    found = _BREAK.search(text, index)
    return Span(*found.span()) if found else Span(len(text), len(text))


def break_of(text: str) -> str:
    """How lines are ended in this text."""
    found = _BREAK.search(text)
    return found.group() if found else "\n"


def begins_line(text: str, index: int) -> bool:
    return not text[line_start(text, index) : index].strip(" \t")


def ends_line(text: str, index: int) -> bool:
    """Whether nothing but a comment follows on the line."""
    return re.fullmatch(r"[ \t]*(?:#.*)?", text[index : line_end(text, index).start]) is not None


def line_below(text: str, index: int, line: str) -> Cut:
    """A new line after the one of this character."""
    found = line_end(text, index)
    if found.start == found.end:
        return Cut(found.end, found.end, break_of(text) + line)
    return Cut(found.end, found.end, line + text[found.start : found.end])


def without_lines(text: str, start: int, end: int) -> Cut:
    """Takes whole lines out, but for the comments in them: those stay, each on a line of its own.

    Nothing but comments may follow `end` on its line, and no `#` may stand in what is taken out.
    """
    first, last = line_start(text, start), line_end(text, end)
    before = text[first:start]
    # Further in than the first line, they could become a part of a text that stands above.
    indent = before[: len(before) - len(before.lstrip(" "))]
    found = (_COMMENT.search(line) for line in lines_of(text[first : last.end]))
    kept = [indent + comment.string[comment.start() :] for comment in found if comment is not None]
    if last.start == last.end and not kept and first:
        # The text ends without a line break, and goes on doing so.
        broken = list(_BREAK.finditer(text, max(0, first - 2), first))
        return Cut(broken[-1].start(), last.end)
    return Cut(first, last.end, "".join(kept))


def added_entries(text: str, after: Span, entries: Sequence[str]) -> list[Cut]:
    """Adds to a list in brackets, behind one of its entries: on lines of their own where that one has one."""
    if begins_line(text, after.start):
        stop = line_end(text, after.end).start
        rest = _REST.fullmatch(text, after.end, stop)
        if rest is not None:
            start = break_of(text) + text[line_start(text, after.start) : after.start]
            lines = start + f",{start}".join(entries)
            if rest[1]:
                return [Cut(stop, stop, f"{lines},")]
            return [Cut(after.end, after.end, ","), Cut(stop, stop, lines)]
    return [Cut(after.end, after.end, "".join(f", {entry}" for entry in entries))]


def removed_entries(text: str, entries: Sequence[Span], gone: set[int]) -> list[Cut]:
    """Takes some entries out of a list in brackets, with the commas that are then too many; one must stay."""
    last = max(number for number in range(len(entries)) if number not in gone)
    behind = Span(entries[last].end, entries[-1].end)
    # With a comment in the way the comma before it stays: both languages allow one at the end.
    whole = "#" not in text[behind.start : behind.end]
    cuts = [_with_comma(text, entries[n]) for n in sorted(gone) if n < last or not whole]
    if whole and last < len(entries) - 1:
        cuts.append(Cut(behind.start, behind.end))
    return cuts


def _with_comma(text: str, entry: Span) -> Cut:
    start, end = entry
    comma = _COMMA.match(text, end)
    if comma is not None:
        end = comma.end()
    stop = line_end(text, end)
    if not text[end : stop.start].strip(" \t"):
        if begins_line(text, start):
            return Cut(line_start(text, start), stop.end)
        start = len(text[:start].rstrip(" \t"))
    return Cut(start, end)
