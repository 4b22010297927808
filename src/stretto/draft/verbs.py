"""Which word of a goal is the verb of an order: one in its base form, and unknown ones by what follows."""

from __future__ import annotations

from stretto.draft import words as w
from stretto.models.clauses import AUXILIARY, EMPTY, LEAD, PRONOUN, STOP
from stretto.models.words import EITHER, PARTED, PARTICLES, Word

_NOUNISH = frozenset(
    """bin copy count filter group host judge label link list mark number order pair record sample seed
    set tag total trigger""".split()
)
"""Verbs that are nouns where only a preposition follows: "extract name and number from it"."""
_PREPOSITIONS = frozenset("at by for from in into of on to with".split())
_DETERMINERS = frozenset("a an the our my your their its his".split())
OPENERS = frozenset(
    """a all an any anything both each every everything her his how it its my our that the their them
    these this those what what's whatever whats whether which your""".split()
)
"""What an object begins with: before it even an unknown word is a verb."""
_ENDS = (STOP | {"", ","}) - {"that", "for", "how", "what", "which", "whether"}
"""What stands behind a word that may be a noun, where it is one."""
_AROUND = frozenset("out up down off over away through together".split())
_ADVERBS = frozenset(
    """despite here however instead maybe now per perhaps plus there today tomorrow tonight via
    yesterday""".split()
)
_MORE = frozenset("ask consider consult proofread".split())
"""Verbs that `models.words` has no class for."""
_DONE = frozenset("done made going read cut sent put set built bought paid".split())


def is_verb(words: list[Word], index: int) -> bool:
    """A verb in its base form, and not a noun that looks like it; an unknown word too, before an object."""
    word = words[index]
    if index and words[index - 1].text in _DETERMINERS | _PREPOSITIONS - {"to"}:
        return False
    following = words[index + 1].text if index + 1 < len(words) else ""
    if following in AUXILIARY and following not in ("has", "have"):
        return False
    if word.text in _MORE:
        return True
    if word.verb and word.text not in LEAD:
        if f"{word.text} {following}" in PARTICLES:
            return True
        nounish = index and word.text in _NOUNISH and following in _PREPOSITIONS
        if word.text not in EITHER and not nounish:
            return True
        return following not in _ENDS
    return _acts_like_one(words, index, following)


def _acts_like_one(words: list[Word], index: int, following: str) -> bool:
    """An unknown word before an object: "flash it", "geocode the addresses", "screen 640 titles"."""
    text = words[index].text
    if text in STOP or text in EMPTY or text in LEAD or text in PRONOUN or text in _ADVERBS:
        return False
    if (
        not text.isalpha()
        or text.endswith(("ly", "ing", "ed"))
        or (text[-1] == "s" and text[-2:] != "ss")
        or len(text) < 3
    ):
        return False
    if index < 2 and (following in w.NUMBERS or following[:1].isdigit()):
        return True
    if following in _AROUND and index + 2 < len(words):
        following = words[index + 2].text
    return following in OPENERS


def made_at(words: list[Word]) -> int | None:
    """Where the participle or the verb stands of "have it edited", "let somebody check it"."""
    for at in range(1, min(len(words), 14)):
        text = words[at].text
        if text in (",", "and"):
            if at + 1 < len(words) and words[at + 1].text in ("a", "an", "the"):
                continue
            return None
        if at > 1 and (text.endswith(("ed", "ten", "wn", "ung")) or text in _DONE):
            return at
        if at > 1 and words[at - 1].text not in OPENERS and is_verb(words, at):
            return at
    return None


def verb_of(words: list[Word]) -> tuple[str, str]:
    """The verb that the words begin with and its class, by its particle where it has one close behind."""
    first = words[0]
    if first.text in PARTED:
        for word in words[1:5]:
            if sort := PARTICLES.get(f"{first.text} {word.text}"):
                return f"{first.text} {word.text}", sort
    return first.text, first.verb or first.action
