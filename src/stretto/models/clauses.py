"""A text cut into sentences and clauses, without what is pasted, quoted or told as background."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from stretto.models.words import EITHER, PARTICLES, REACH, Word, look_up

READ = 6_000
"""Characters that are read; of a longer text its beginning and its end, where instructions stand."""

WORD = 60
"""Characters of what stands between two spaces; what is longer is no word."""

NAMED = "q_"
"""Stands for a name, a path, a reference or quoted text."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PASTED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|^[ \t]*>.*?$", re.DOTALL | re.MULTILINE)
_ELEMENT = re.compile(
    r"^[ \t]*<(documents?|doc|context|background|files?|code|logs?|diff|examples?|data|input|transcript|email"
    r"|contract|article|text|output|source|history|thread|page)>",
    re.IGNORECASE | re.MULTILINE,
)
# Every branch begins with its own sign, so that the search skips from sign to sign.
_NAMES = re.compile(
    r"\{[^{}\n]{0,200}\}|\([^()\n]{0,200}\)|`[^`\n]{0,200}`|\"[^\"\n]{0,200}\""
    r"|“[^”\n]{0,200}”|'(?<!\w')[^'\n]{1,80}'(?!\w)"
)
_BACKGROUND = re.compile(
    r"^\W{0,9}(?:background|context|history|situation|for reference|fyi)\b.*?\n[ \t]*\n",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_WRAPPED = re.compile(r"\n(?=[a-z])")
_PIECES = re.compile(
    r"(?:\*{1,2}[./]\*?\.?)?[^\W\d_](?:[\w'’./\\@*-]*\w|_)?|\d+(?:[.,:]\d+)*\w*|[.?!;:,()–—]"
)
"""A word or a path with its wild cards, a number, a sign."""
_ENDS = frozenset(".?!;:()–—\n")

# Closed classes of words; the tables of open ones are in `words`.
WH = _set("why how what which who whom whose where when")
AUXILIARY = _set(
    """am are aren't be been being can can't cannot could did didn't do does doesn't don't had has have is
        isn't keeps looks may might must needs seems shall should was were will won't would"""
)
NOT = _set("not don't never no without doesn't avoid nothing neither nor")
PRONOUN = _set("we i you they he she it one this that these those them")
LEAD = _set(
    """able additionally afterwards again ahead also and asked be both briefly but can carefully could dear
        either expected finally first goal had has have hello help her here hey hi him i i'd i'll is it
        just kindly lastly later let let's lets like me must need needs next now ok okay once only or our
        please pls plz quickly second shall should simply so somebody someone step supposed task thanks
        that the them then think third thoroughly to today try us want wants we we'd will would you your"""
)
"""What may stand before the verb of an order."""
EMPTY = _set(
    """a all also an any anything both each eight every everything five four her him his it its just me more
        most my new nine old one other our own same seven six some something ten that the their them these
        this those three top two us whatever you your"""
)
_ASKING = _set("please can could would should must need want like let let's lets help to")
_DETERMINERS = _set("the your our her that both")
_WITH_OF = _set("dispose hear inform notify think")
"""Orders that "of" may stand right behind."""
_CUTS = _set(", and then or but")
_OPENS = WH | {"whether"}
STOP = AUXILIARY | _set(
    """, about across after against among and apart as at away back based because before behind between but
        by called containing down during for from given how if in including instead into labelled like
        named not of off on onto or out over per rather since so such than that then through titled to
        together toward towards under until up using via what when where whether which while who whom
        whose why with within without"""
)
"""What ends a phrase of nouns."""


class Sentence(NamedTuple):
    words: list[Word]
    end: str
    clauses: list[list[Word]]


class Phrase(NamedTuple):
    """Nouns with what stands before the last of them, and the word that leads them in."""

    lead: str
    nouns: list[Word]
    head: str
    """The class of the last word that has one; a name only where there is no other."""


TEXTS = 16_384
"""So many prompts are kept as they were read: a critic comes back to each of them rule by rule."""


@lru_cache(maxsize=TEXTS)
def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text, in its order; nobody may change the lists in them."""
    found: list[Sentence] = []
    words: list[Word] = []
    for chunk in _plain(text).replace("\n", " \n ").split(" "):
        for word in _chunk(chunk):
            if word.text not in _ENDS:
                words.append(word)
            elif words:
                found.append(Sentence(words, word.text, list(clauses(words))))
                words = []
    if words:
        found.append(Sentence(words, ".", list(clauses(words))))
    return tuple(found)


@lru_cache(maxsize=32_768)
def _chunk(chunk: str) -> tuple[Word, ...]:
    """What stands between two spaces: a word with its punctuation."""
    pieces = ["\n"] if chunk == "\n" else _PIECES.findall(chunk[:WORD])
    return tuple(look_up(piece) for piece in pieces)


def _plain(text: str) -> str:
    if "```" in text or "~~~" in text or ">" in text:
        text = _without_elements(_PASTED.sub(f" {NAMED} ", text))
    if len(text) > READ:
        text = text[: READ // 2] + "\n" + text[-READ // 2 :]
    if "\n" in text:
        told = _BACKGROUND.sub("", text)
        text = _WRAPPED.sub(" ", told if told.strip() else text)
    return _NAMES.sub(f" {NAMED} ", text)


def _without_elements(text: str) -> str:
    """Drops what stands between `<document>` and its end; the first 20, since prompts have a few."""
    for _ in range(20):
        if not (begin := _ELEMENT.search(text)):
            break
        closing = f"</{begin[1]}>"
        end = text.find(closing, begin.end())
        rest = text[end + len(closing) :] if end >= 0 else text[begin.end() :]
        text = f"{text[: begin.start()]}{NAMED}{rest}"
    return text


def clauses(words: list[Word]) -> Iterator[list[Word]]:
    """Cuts a sentence where a new order begins: behind a comma, "and", "then"."""
    start = 0
    last = len(words) - 1
    for index, word in enumerate(words):
        if word.text in _CUTS and 0 < index < last:
            verb = index + 1
            while verb < min(last, index + 9) and words[verb].text in LEAD:
                verb += 1
            paired = index == start + 1 and words[start].verb and words[verb].verb
            if paired or words[verb].text in NOT or _is_verb(words, verb):
                if index > start:
                    yield words[start:index]
                start = index + 1
    yield words[start:]


def _is_verb(words: list[Word], index: int) -> bool:
    """A verb in its base form, and not a noun that looks like it."""
    word = words[index]
    if not word.verb:
        return False
    following = words[index + 1].text if index + 1 < len(words) else ""
    if following in AUXILIARY:
        return False
    if word.text not in EITHER or following in _OPENS or f"{word.text} {following}" in PARTICLES:
        return True
    return following != "" and following not in STOP


def order(words: list[Word]) -> int | None:
    """Where the verb of an order stands, behind "please", "could you", "we need to"; None: it is no order."""
    index, last = 0, len(words) - 1
    while index < last and words[index].text in LEAD:
        text, following = words[index].text, words[index + 1].text
        if (text == "let" and following not in ("us", "me")) or (
            text == "think" and following in ("through", "about")
        ):
            break
        index += 1
    word = words[index]
    if words[0].text in ("should", "must"):
        return None
    if index == 0 and word.action in REACH and word.text.endswith("ing"):
        return 0
    if not word.verb or (index < last and words[index + 1].text in AUXILIARY):
        return None
    if index < last and words[index + 1].text == "of" and word.text not in _WITH_OF:
        return None  # "Order of events", "review of the code"
    before = words[index - 1].text if index else ""
    if before in _DETERMINERS:
        return None
    if before in PRONOUN and not any(word.text in _ASKING for word in words[:index]):
        return None
    return index


def negated(words: list[Word]) -> bool:
    """Whether it says what not to do: "do not", "never", "no code"."""
    first = words[0].text
    return first in NOT or (len(words) > 1 and words[1].text in NOT and first not in WH)


def phrases(words: list[Word]) -> list[Phrase]:
    """Only the first may be without nouns."""
    found: list[Phrase] = []
    lead = head = ""
    nouns: list[Word] = []
    for word in words:
        text = word.text
        if text in STOP:
            if nouns or not found:
                found.append(Phrase(lead, nouns, head))
                lead, nouns, head = text, [], ""
            else:
                lead = lead if lead in _OPENS and text == "to" else text
        elif text not in EMPTY:
            nouns.append(word)
            if word.noun and (word.noun != "named" or not head):
                head = word.noun
    if nouns or not found:
        found.append(Phrase(lead, nouns, head))
    return found
