"""A goal as it was read: its clauses, and the names that stand in rows in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stretto.draft.opening import ARROW, bulleted, opened
from stretto.draft.pieces import Piece, pieces
from stretto.draft.rows import Listed, rows
from stretto.models.clauses import Sentence, sentences
from stretto.models.words import Word

READ = 6_000
"""Characters of a goal that are read; of a longer one its beginning and its end."""


class Goal(NamedTuple):
    """What the words say, before anybody decides."""

    text: str
    sentences: Sequence[Sentence]
    pieces: list[Piece]
    lists: list[Listed]
    arrows: bool
    """Its stages are joined by arrows."""
    bullets: list[str]
    steps: bool
    """Its parts are numbered as steps."""

    @property
    def flat(self) -> str:
        """All words with a blank around each, for looking up phrases."""
        return f" {' '.join(text for piece in self.pieces for text in (*piece.lead, *piece.texts))} "


def read_goal(text: str) -> Goal:
    """Reads a goal; never fails, whatever it is given."""
    short = text if len(text) <= READ else text[: READ // 2] + "\n" + text[-READ // 2 :]
    plain = opened(short)
    found, raw = sentences(plain), _Raw(plain)
    lists: list[Listed] = []
    clauses: list[Piece] = []
    for number, sentence in enumerate(found):
        names = [raw.name(word) for word in sentence.words]
        lists += rows(sentence, names, found[number - 1] if number else None, number)
        clauses += pieces(sentence, number)
    steps = len(re.findall(r"\b(?:step|stage|phase)\s+\d", short, re.IGNORECASE)) > 1
    return Goal(short, found, clauses, lists, bool(ARROW.search(short)), [*bulleted(short)], steps)


class _Raw:
    """Finds words of the reader again in the text they came from, one after the other."""

    def __init__(self, text: str):
        self.text = text
        self.low = text.lower().replace("’", "'")
        self.at = 0

    def name(self, word: Word) -> str:
        found = self.low.find(word.text, self.at) if len(self.low) == len(self.text) else -1
        if found < 0 or found > self.at + 400:
            return word.text
        self.at = found + len(word.text)
        return self.text[found : self.at]
