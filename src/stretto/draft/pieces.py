"""The clauses of a goal: which of them ask for something, which only tell, and what leads each in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from stretto.draft.rows import is_last_name
from stretto.draft.things import Thing, things
from stretto.draft.verbs import OPENERS, is_verb, made_at, verb_of
from stretto.models.clauses import AUXILIARY, LEAD, NOT, PRONOUN, WH, Sentence, order
from stretto.models.words import EITHER, Word

Mood = Literal["order", "done", "question", "wish", "told", "noun"]

_CUTS = frozenset(", and then or but so before after once when until while".split())
_ASIDE = frozenset("i we you they he she it".split())
_JOINTS = frozenset(", and or but so only then also".split())
_CONNECT = LEAD | frozenset(
    """after all afterwards and as at based before but by done end for from in it's last lastly later next
    of on once only or out passes plus ready result results so subsequently that's then these this those
    through until when with""".split()
)
"""What may lead an order in: "once that is done", "in the end"."""


class Piece(NamedTuple):
    """One clause of a goal."""

    mood: Mood
    words: list[Word]
    verb: str
    """Of an order the word itself, else empty."""
    sort: str
    """The verb's class in `models.words`, if it has one."""
    lead: list[str]
    """What leads it in: "and", "then", "once that is done"."""
    sentence: int
    at: int = 0
    """Where the verb stands among the words."""

    @property
    def things(self) -> list[Thing]:
        """What it is about, without the verb itself."""
        if self.mood != "order":
            return things(self.words)
        behind = self.at + 1
        moved = [
            t._replace(start=t.start + behind, stop=t.stop + behind) for t in things(self.words[behind:])
        ]
        return [*things(self.words[: self.at]), *moved]

    @property
    def first(self) -> str:
        """Its verb without a particle."""
        return self.verb.partition(" ")[0]

    @property
    def asked(self) -> bool:
        return self.mood in ("order", "question", "wish", "noun")

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]

    @property
    def said(self) -> str:
        return " ".join(word.text for word in self.words if word.text != ",").replace("q_", "...")


def pieces(sentence: Sentence, number: int) -> Iterator[Piece]:
    """The clauses of one sentence; what "and" alone ties to something told is told as well."""
    told = False
    for at, piece in enumerate(_cut(sentence, number)):
        told = piece.mood == "told" if not at else told and piece.lead == ["and"]
        yield piece._replace(mood="told") if told and piece.mood == "order" else piece


def _cut(sentence: Sentence, number: int) -> Iterator[Piece]:
    words, end, _ = sentence
    start = 0
    for index in range(1, len(words)):
        aside = words[index - 1].text == "," and words[index].text.split("'")[0] in _ASIDE
        if words[index - 1].text in _CUTS and (aside or _begins(words, index)):
            cut = index - 1
            while cut > start and words[cut - 1].text in _JOINTS:
                cut -= 1
            if cut > start and not all(word.text in _JOINTS for word in words[start:cut]):
                yield from _piece(words[start:cut], "," if end == "?" else end, number)
                start = cut
    if not all(word.text in _JOINTS for word in words[start:]):
        yield from _piece(words[start:], end, number)


def _begins(words: list[Word], index: int) -> bool:
    """Whether an order begins here, behind what may lead it in."""
    at = index
    while at < len(words) - 1 and at < index + 8 and words[at].text in _CONNECT and not is_verb(words, at):
        at += 1
    if is_verb(words, at):
        return not is_last_name(words, at)
    if words[index].text in ("have", "get", "let") and made_at(words[index:]):
        return True
    return _fronted(words, index) is not None


_FRONTS = frozenset({"for", "from", "in", "with", "based", "on", "using", "after", "out"})


def _fronted(words: list[Word], index: int) -> int | None:
    """Where the verb stands behind a fronted phrase: "for each of those, work out", "from it derive"."""
    if words[index].text not in _FRONTS:
        return None
    for at in range(index + 2, min(index + 8, len(words) - 1)):
        if is_verb(words, at) and words[at + 1].text in OPENERS | {"out", "up"}:
            return at
    return None


def _piece(words: list[Word], end: str, number: int) -> Iterator[Piece]:
    texts = [word.text for word in words]
    at = 0
    while at < len(words) - 1 and texts[at] in (",", "and", "then", "or", "but", "so", "only"):
        at += 1
    lead, rest = texts[:at], words[at:]
    texts = texts[at:]
    if texts[0] in NOT or (len(texts) > 1 and texts[1] in NOT and texts[0] not in WH):
        yield Piece("told", rest, "", "", lead, number)
        return
    verb = _order_at(rest)
    if verb is not None and not (texts[0] in WH and end == "?"):
        name, sort = verb_of(rest[verb:])
        begin = 0 if texts[0] in _FRONTS else verb
        yield Piece("order", rest[begin:], name, sort, [*lead, *texts[:begin]], number, verb - begin)
        return
    if texts[0] in ("have", "get", "let") and (made := made_at(rest)) is not None:
        name, sort = verb_of(rest[made:])
        yield Piece("order", rest, name, sort, lead, number, made)
        return
    yield Piece(_mood(rest, end), rest, "", "", lead, number)


def _order_at(words: list[Word]) -> int | None:
    found = order(words)
    if found is not None and words[found].text not in ("have", "get", "let"):
        return found if not (words[found].text in EITHER and len(words) == found + 1 and found == 0) else None
    texts = [word.text for word in words]
    if texts[0] in ("have", "get", "let"):
        return 0 if made_at(words) is None and len(words) > 1 and texts[0] == "get" else None
    at = 0
    while at < len(words) - 1 and at < 8 and texts[at] in _CONNECT and not is_verb(words, at):
        at += 1
    before = texts[at - 1] if at else ""
    asking = not {"please", "can", "could", "to", "must", "should", "need", "then"}.isdisjoint(texts[:at])
    if before in PRONOUN - {"that", "this", "it", "these", "those"} and not asking:
        return None
    if at and texts[0] in ("the", "our", "a", "an", "that", "this", "it", "these", "those"):
        return None
    if is_verb(words, at) and (at == 0 or words[at].verb):
        return at
    return _fronted(words, 0)


_BE = frozenset("is are was were be been being gets get got has have".split())


def _mood(words: list[Word], end: str) -> Mood:
    texts = [word.text for word in words]
    if end == "?" or texts[0] in WH or texts[0] in ("whats", "what's", "hows", "wheres"):
        return "question"
    if not {"need", "needs", "want", "wants", "like", "looking", "after", "require"}.isdisjoint(
        texts
    ) and not {"i", "we", "i'd", "we'd", "i'm", "we're"}.isdisjoint(texts[:4]):
        return "wish"
    for at in range(1, len(texts)):
        if (
            texts[at - 1] in _BE
            and (texts[at].endswith("ed") or words[at].action)
            and not texts[at].endswith("ing")
        ):
            return "done"
    if _lacks(words):
        return "wish"
    subject = texts[0].split("'")[0]
    if not _MODALS.isdisjoint(texts[1:]) and subject not in _SUBJECTS and texts[0] not in ("if", "because"):
        return "wish"
    finite = any(t in AUXILIARY or t.split("'")[0] in _SUBJECTS or t.endswith("n't") for t in texts)
    return "told" if finite else "noun"


_SUBJECTS = frozenset("i we you they he she it there".split())
_MODALS = frozenset("should must ought shall".split())


def _lacks(words: list[Word]) -> bool:
    """ "All our views need a header": what is lacking is asked for."""
    texts = [word.text for word in words]
    for at in range(1, len(texts) - 1):
        if (
            texts[at] in ("need", "needs", "require", "requires", "deserve", "deserves")
            and texts[0] not in _SUBJECTS
        ):
            return texts[at + 1] not in ("to", "for") and not {"if", "because", "when", "each"} & set(
                texts[1:at]
            )
    return False
