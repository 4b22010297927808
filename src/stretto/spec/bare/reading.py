"""Reads one block: as Python where it is, else line by line and call by call, as far as that leads."""

from __future__ import annotations

import ast
import bisect
import re
import warnings
from typing import NamedTuple

from stretto.spec.bare.calls import Budget, Site, Trouble, Walk
from stretto.spec.bare.comments import Comment

_NEXT = re.compile(
    r"""(?P<quote>\'{3}|"{3}|['"])|\#(?P<comment>[^\n]*)|(?P<task>\bTask\s*\()|[(\[{]|(?P<end>[)\]}])"""
)
_REST_OF_STRING = {
    "'": re.compile(r"[^'\\\n]*(?:\\.[^'\\\n]*)*'", re.S),
    '"': re.compile(r'[^"\\\n]*(?:\\.[^"\\\n]*)*"', re.S),
    "'''": re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''", re.S),
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""', re.S),
}
_BACKSLASH = re.compile(r"\\[xuUN]")
"""As in a path of Windows: what follows would have to be the number or the name of a letter."""
_COMMENT = 500
"""Characters of a comment that are read: nobody marks a stage at the end of a longer one."""
_TRIES = 20
"""Lines that are taken for comments before a block is read call by call."""
_TRIED = 100_000
"""Characters of a block up to which its lines are looked at one by one."""


class Reading(NamedTuple):
    """What a block holds, in the order of the text."""

    sites: list[Site]
    comments: list[Comment]
    troubles: list[Trouble]


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a text; None where it is no Python."""
    return _parsed(text)[0]


def read_block(text: str, budget: Budget, before: int) -> Reading:
    """The calls of a text and its comments, numbered after those before it in the file. Raises TooMuch."""
    mended, tree = _mended(text)
    if tree is not None:
        left = budget.tasks, budget.characters
        walk = Walk(mended, budget, before)
        try:
            walk.go_through(tree)
            return _reading(walk, _Tokens(mended).comments)
        except RecursionError:
            budget.tasks, budget.characters = left
    return _call_by_call(text, budget, before)


class _Tokens:
    """Comments, and calls of `Task` with their brackets, whether the text is Python or not."""

    def __init__(self, text: str):
        self.comments: list[Comment] = []
        self.calls: list[tuple[int, int]] = []
        """Where each call begins and ends; the end is -1 where its bracket is never closed."""
        self._text = text
        self._line, self._begins = 1, 0
        open_: list[int] = []
        at = 0
        never: dict[str, int] = {}
        """Up to where a string that begins with this quote is never closed: an apostrophe in prose."""
        while token := _NEXT.search(text, at):
            at = token.end()
            if quote := token["quote"]:
                at = self._behind_string(quote, at, never)
            elif token["comment"] is not None:
                self._comment(token.start(), token["comment"])
            elif token["task"]:
                open_.append(len(self.calls))
                self.calls.append((token.start(), -1))
            elif not token["end"]:
                open_.append(-1)
            elif open_ and (call := open_.pop()) >= 0:
                self.calls[call] = (self.calls[call][0], at)

    def _behind_string(self, quote: str, at: int, never: dict[str, int]) -> int:
        if at < never.get(quote, 0):
            return at
        string = _REST_OF_STRING[quote].match(self._text, at)
        if string is not None:
            return string.end()
        end = self._text.find("\n", at) if len(quote) == 1 else -1
        never[quote] = end if end >= 0 else len(self._text)
        return at

    def _comment(self, start: int, words: str) -> None:
        self._line += self._text.count("\n", self._begins, start)
        self._begins = self._text.rfind("\n", 0, start) + 1
        own = not self._text[self._begins : start].strip()
        self.comments.append(Comment(words[:_COMMENT], self._line, start - self._begins, own))


def _parsed(text: str) -> tuple[ast.Module | None, int]:
    """The tree, or None and the line that is wrong, counted from 1 (0: nobody knows which)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of "\d" is not about the plan
            return ast.parse(text), 0
    except SyntaxError as error:
        return None, error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return None, 0


def _mended(text: str) -> tuple[str, ast.Module | None]:
    """The text as Python: lines that are none, and hold no part of a call, are taken for comments."""
    tree, wrong = _parsed(text)
    if tree is not None or len(text) > _TRIED:
        return text, tree
    lines = text.split("\n")
    inside = _lines_of_calls(text)
    for _ in range(_TRIES):
        if not 0 < wrong <= len(lines) or wrong in inside or lines[wrong - 1].lstrip().startswith("#"):
            break
        lines[wrong - 1] = _as_comment(lines[wrong - 1])
        mended = "\n".join(lines)
        tree, wrong = _parsed(mended)
        if tree is not None:
            return mended, tree
    return text, None


def _call_by_call(text: str, budget: Budget, before: int) -> Reading:
    """Every call whose brackets close, by itself: loops around it are lost, the comments are not."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    walk = Walk(text, budget, before)
    done = 0
    for start, end in _Tokens(text).calls:
        if start < done:
            continue  # inside the one before
        line = bisect.bisect_right(starts, start)
        column = start - starts[line - 1]
        tree = parsed(text[start:end]) if end > 0 else None
        try:
            if tree is not None:
                walk.go_through(tree, line, column)
                done = end
                continue
        except RecursionError:
            pass
        why = f"this task cannot be read: {_why_unread(text[start:end] if end > 0 else None)}"
        walk.troubles.append(Trouble("unread-task", why, line, column))
    return _reading(walk, _Tokens(_with_prose_as_comments(text)).comments)


def _why_unread(call: str | None) -> str:
    if call is None:
        return "its brackets are never closed"
    if found := _BACKSLASH.search(call):
        return f'Python takes the {found[0]} in it for a letter of its own: write each \\ twice, or r"..."'
    return "it is no Python, or nested too deeply"


def _with_prose_as_comments(text: str) -> str:
    if len(text) > _TRIED:
        return text
    inside = _lines_of_calls(text)
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number not in inside and line.strip() and parsed(line.strip()) is None:
            lines[number - 1] = _as_comment(line)
    return "\n".join(lines)


def _lines_of_calls(text: str) -> set[int]:
    """The numbers of the lines that hold a part of a call."""
    lines: set[int] = set()
    for start, end in _Tokens(text).calls:
        first = text.count("\n", 0, start) + 1
        lines.update(range(first, first + text.count("\n", start, max(start, end)) + 1))
    return lines


def _as_comment(line: str) -> str:
    words = line.lstrip()
    return f"{line[: len(line) - len(words)]}#{words}"


def _reading(walk: Walk, comments: list[Comment]) -> Reading:
    return Reading([walk.sites[place] for place in sorted(walk.sites)], comments, walk.troubles)
