"""Phrases of nouns with what counts or points before them: "each of our five devices"."""

from __future__ import annotations

from typing import NamedTuple

from stretto.draft import words as w
from stretto.models.clauses import PRONOUN, STOP
from stretto.models.words import Word


class Thing(NamedTuple):
    """A phrase of nouns with what counts or points before it."""

    lead: str
    """The preposition before it."""
    first: str
    """Its determiner, or empty."""
    number: int
    """0 where there is none."""
    head: str
    words: list[str]
    start: int
    """Where the phrase begins and ends among the words of its piece, its determiner included."""
    stop: int

    @property
    def plural(self) -> bool:
        return w.is_plural(self.head) or self.number > 1

    @property
    def said(self) -> str:
        return " ".join([*([self.first] if self.first else []), *self.words])


def things(words: list[Word]) -> list[Thing]:
    """The phrases of nouns in their order."""
    found: list[Thing] = []
    phrase = _Phrase("", 0)
    for at, word in enumerate(words):
        text = word.text
        if text == "of" and phrase.counts and not phrase.nouns:
            continue
        if (text in STOP and text != "per") or text == ",":
            found += phrase.closed(at)
            phrase = _Phrase(text, at + 1)
        elif text in w.EACH | w.ALL or (
            text in w.UNKNOWN_MANY and not phrase.nouns and not _is_asked(words, at)
        ):
            found += phrase.closed(at)
            phrase = _Phrase(phrase.lead if not phrase.nouns else "", at)
            phrase.first = text
        elif not phrase.nouns and (count := number_of(text)):
            phrase.count(count)
        elif text in w.OWN:
            if phrase.nouns or (phrase.first in ("a", "an", "the") and phrase.first != text):
                found += phrase.closed(at)
                phrase = _Phrase("", at)
            phrase.first = phrase.first or text
        elif text == "one" and not phrase.nouns and not phrase.first:
            phrase.first = text
        elif (
            word.verb
            and not word.noun
            and phrase.nouns
            and w.is_plural(phrase.nouns[-1])
            and not w.is_plural(text)
        ):
            found += phrase.closed(at)
            phrase = _Phrase("", at + 1)
        elif text not in PRONOUN and text not in _POLITE:
            phrase.nouns.append(text)
    return [*found, *phrase.closed(len(words))]


_POLITE = frozenset("please pls plz thanks thx thank me us".split())


def _is_asked(words: list[Word], at: int) -> bool:
    """ "How many litres" counts nothing yet."""
    return at > 0 and words[at - 1].text == "how"


class _Phrase:
    """A phrase of nouns whose end has not come yet."""

    def __init__(self, lead: str, start: int):
        self.lead = lead
        self.start = start
        self.first = ""
        self.number = 0
        self.nouns: list[str] = []

    @property
    def counts(self) -> bool:
        return self.number > 0 or self.first in w.EACH | w.ALL | w.UNKNOWN_MANY

    def count(self, number: int) -> None:
        """Takes up a number; "five hundred" is one."""
        self.number = self.number * number if self.number and number >= 100 else number

    def closed(self, stop: int) -> list[Thing]:
        if not self.nouns and not self.counts:
            return []
        head = self.nouns[-1] if self.nouns else ""
        return [Thing(self.lead, self.first, self.number, head, self.nouns, self.start, stop)]


def number_of(text: str) -> int:
    if text in w.NUMBERS:
        return w.NUMBERS[text]
    digits = text.replace(",", "").removesuffix("k") if text[:1].isdigit() else ""
    if digits.isdigit() and len(digits) < 10:
        value = int(digits) * (1000 if text.endswith("k") else 1)
        return 0 if 1900 <= value <= 2100 and "," not in text else value
    return 0
