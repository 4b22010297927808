"""The pieces of a file that hold bare tasks: all of a Python file, or the blocks of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"([ \t]*(?:>[ \t]?)*)(`{3,}|~{3,})[ \t]*\{?\.?([\w+-]*)([^`\n]*)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*")
_LANGUAGES = frozenset({"", "py", "python", "python3"})
_HAS_TASK = re.compile(r"\bTask\s*\(")


class Block(NamedTuple):
    """Some lines of a file, and where they begin there: the line counts from 1, the column from 0."""

    text: str
    line: int = 1
    column: int = 0
    heading: str = ""
    """What stands above it in the page."""

    def place(self, line: int, column: int) -> str:
        """line:col in the file, of a line counted from 1 and a column counted from 0 in the text."""
        return f"{self.line + line - 1}:{self.column + column + 1}"


def has_task(text: str) -> bool:
    """Whether a call of `Task` may stand in a text."""
    return _HAS_TASK.search(text) is not None


def with_plain_ends(text: str) -> str:
    """The text with lines as Python counts them, each ended by a newline; no byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def blocks_of(page: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown page, Python or without a language, that have a `Task(` in them."""
    heading = ""
    lines = page.split("\n")
    at = 0
    while at < len(lines):
        fence = _FENCE.fullmatch(lines[at])
        at += 1
        if fence is None:
            title = _HEADING.fullmatch(lines[at - 1])
            heading = title[1] if title else heading
            continue
        indent, mark, language, _ = fence.groups()
        first = at
        while at < len(lines) and not _closes(lines[at], mark):
            at += 1
        text = "\n".join(_without(line, indent) for line in lines[first:at])
        if language.lower() in _LANGUAGES and has_task(text):
            yield Block(text, first + 1, len(indent), heading)
        at += 1


def dedented(block: Block) -> Block:
    """The block without the blanks that all its lines begin with."""
    lines = block.text.split("\n")
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
    least = min(indents, default=0)
    if not least:
        return block
    text = "\n".join(line[least:] for line in lines)
    return block._replace(text=text, column=block.column + least)


def _closes(line: str, mark: str) -> bool:
    rest = line.lstrip(" \t>")
    return rest.startswith(mark) and not rest.strip().strip(mark[0])


def _without(line: str, indent: str) -> str:
    """A line without what the fence has before it, as far as the line has it too."""
    return line[len(indent) :] if line.startswith(indent) else line.lstrip(indent)
