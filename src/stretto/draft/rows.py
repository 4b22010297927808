"""Names that stand in a row: "auth, billing and search"."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from stretto.draft import words as w
from stretto.draft.verbs import is_verb
from stretto.models.clauses import PRONOUN, STOP, Sentence
from stretto.models.words import Word, look_up

NAMES = 60
"""Names that are kept."""
MOST_WORDS = 5

_MARKS = frozenset({",", "and", "or", "vs", "versus", "against"})
_BEFORE = frozenset(
    "a an the our its their his her my your both either also by from for in on to of as".split()
)
"""What may stand before each name of a row."""
_DETERMINERS = frozenset("a an the our its their his her my your".split())
_INSIDE = frozenset("of for at with from in on to".split())
"""Prepositions that may stand within a name that has a determiner: "the NDA for Acme"."""


class Listed(NamedTuple):
    """Names that stand in a row: "auth, billing and search"."""

    names: list[str]
    lead: str
    """The word before the row."""
    after: str
    """The word behind it."""
    sentence: int
    cue: str
    """What joins the last one: and, or, vs, nothing."""
    opened: bool
    """It stands behind a colon, in brackets, or as bullets."""
    noun: str = ""
    """What they are, where the row says so: "auth, billing and search modules"."""


def rows(sentence: Sentence, names: list[str], before: Sentence | None, number: int) -> Iterator[Listed]:
    """The rows of names in one sentence; `names` are its words as they were written."""
    opened = before is not None and before.end == ":"
    # The reader of words takes a department for a pronoun.
    words = [
        look_up("informatics") if name == "IT" else word
        for word, name in zip(sentence.words, names, strict=True)
    ]
    parts = _parts(words)
    at = 0
    while at < len(parts) - 1:
        end = at + 1
        while end < len(parts) - 1 and _is_name(words, *parts[end]) and not _closes(words, parts, at, end):
            end += 1
        # What follows the last mark may be no name: "A, B and C and recommend one".
        found = (
            (last, _row(words, parts[at : last + 1], names, opened, number)) for last in range(end, at, -1)
        )
        last, row = next(((last, row) for last, row in found if row is not None), (at + 1, None))
        if row is not None:
            yield row
        at = last if row is not None else at + 1


def _closes(words: list[Word], parts: list[tuple[int, int]], first: int, at: int) -> bool:
    """Whether this is the last name: "and" stands before it, and a comma before the others."""
    marks = [words[parts[n][0] - 1].text for n in (first + 1, at)]
    return marks[0] == "," and marks[1] in ("and", "or")


def _parts(words: list[Word]) -> list[tuple[int, int]]:
    """From where to where the words between two marks stand; nothing stands in "a, and b"."""
    edges = [-1, *(at for at, word in enumerate(words) if word.text in _MARKS), len(words)]
    return [(left + 1, right) for left, right in itertools.pairwise(edges) if right > left + 1]


def _is_name(words: list[Word], start: int, stop: int) -> bool:
    """Whether all that stands between two marks can be one name."""
    at = start
    while at < stop - 1 and words[at].text in _BEFORE:
        at += 1
    determined = any(words[i].text in _DETERMINERS for i in range(start, at))
    texts = [word.text for word in words[at:stop]]
    if len(texts) > MOST_WORDS + 2 * determined:
        return False
    if texts[0] in w.EACH:
        return False
    inside = _INSIDE | _DETERMINERS if determined else {"of"}
    if any(text in PRONOUN or (text in STOP and text not in inside) for text in texts):
        return False
    return not (len(texts) > 1 and at == start and is_verb(words, start) and not is_last_name(words, start))


def is_last_name(words: list[Word], at: int) -> bool:
    """Whether what looks like a verb is the last name of a row: "auth, product and order modules"."""
    if at < 4 or words[at - 1].text not in ("and", "or") or words[at - 3].text != ",":
        return False
    following = words[at + 1].text if at + 1 < len(words) else ""
    if following in ("", ","):
        return True
    plain = following not in _DETERMINERS and not following[:1].isdigit() and following not in w.EACH | w.ALL
    return plain and not words[at - 2].verb and following not in PRONOUN and following not in STOP


def _row(
    words: list[Word], parts: list[tuple[int, int]], names: list[str], opened: bool, number: int
) -> Listed | None:
    """The row that these parts make, if what begins the first and ends the last can be cut off."""
    (first, stop), (begin, end) = parts[0], parts[-1]
    mark = words[begin - 1].text
    dressed = sum(words[left].text in _DETERMINERS for left, _ in parts[1:]) > len(parts[1:]) / 2
    start = _start(words, first, stop, dressed)
    until = _end(words, begin, end, dressed)
    if start is None or until is None:
        return None
    edges = [(start, stop), *parts[1:-1], (begin, until)]
    made = [_name(words, names, *edge) for edge in edges]
    whole = opened and start == 0
    if not all(made) or (
        len(made) == 2 and mark not in ("vs", "versus", "or") and not (whole and mark == "and")
    ):
        return None
    if mark == "," and not whole and len(made) < 3:
        return None
    lead = next((words[at].text for at in range(start - 1, -1, -1) if words[at].text not in _DETERMINERS), "")
    after = words[until].text if until < len(words) else ""
    made, noun = _without_noun(made)
    return Listed(made[:NAMES], lead, after, number, mark, whole, noun)


def _start(words: list[Word], first: int, stop: int, dressed: bool) -> int | None:
    """Where the first name begins among the words before the first mark."""
    if dressed:
        heads = [at for at in range(first, stop) if words[at].text in _DETERMINERS]
        return heads[-1] if heads and stop - heads[-1] <= MOST_WORDS + 3 else None
    start = stop
    while start > first and stop - start < MOST_WORDS and _may_name(words, start - 1):
        start -= 1
    return start if start < stop else None


def _may_name(words: list[Word], at: int) -> bool:
    text = words[at].text
    if (
        (text in STOP and text != "of")
        or text in PRONOUN
        or text in _DETERMINERS
        or text in ("these", "following", "those")
    ):
        return False
    return not is_verb(words, at)


def _end(words: list[Word], begin: int, end: int, dressed: bool) -> int | None:
    """Where the last name ends among the words behind the last mark."""
    at = begin
    while at < end and words[at].text in _BEFORE:
        at += 1
    if at == end or words[at].text in PRONOUN or words[at].text in w.EACH:
        return None
    if end - at > 1 and at == begin and is_verb(words, at) and not is_last_name(words, at):
        return None
    allowed = _INSIDE | _DETERMINERS if dressed else {"of"}
    until = at
    while (
        until < end
        and until - at < MOST_WORDS + 2 * dressed
        and (words[until].text not in STOP or words[until].text in allowed)
    ):
        until += 1
    return until if until > at else None


def _name(words: list[Word], names: list[str], start: int, stop: int) -> str:
    while start < stop - 1 and words[start].text in _BEFORE:
        start += 1
    if words[start].text == "q_":
        return ""
    return " ".join(names[start:stop]).strip()


def _without_noun(rows: list[str]) -> tuple[list[str], str]:
    """The names without what only the first or the last carries for all of them, and that noun."""
    first, last = rows[0].split(), rows[-1].split()
    if "of" in first and not any(" of " in f" {row} " for row in rows[1:]):
        first = first[len(first) - first[::-1].index("of") :]
        while len(first) > 1 and first[0] in _DETERMINERS:
            first = first[1:]
    noun = ""
    if len(first) > 1 and w.is_plural(first[0].lower()) and len(rows[1].split()) < len(first):
        noun, first = first[0], first[1:]
    elif len(last) > 1 and all(len(row.split()) < len(last) for row in rows[1:-1] or rows[:1]):
        carried = last[-1].lower()
        if_all = w.is_plural(carried) or w.singular(carried) in w.VIEW
        noun, last = (last[-1], last[:-1]) if if_all else ("", last)
    return [" ".join(first), *rows[1:-1], " ".join(last)], noun
