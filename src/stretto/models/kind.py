"""The kind of work that a task is, by what its words ask for: mechanical, development or strategy."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from stretto.models import words as w
from stretto.models.clauses import (
    AUXILIARY,
    EMPTY,
    LEAD,
    PRONOUN,
    TEXTS,
    WH,
    Phrase,
    Sentence,
    negated,
    order,
    phrases,
    sentences,
)
from stretto.models.words import LEVELS, NEXT, PARTICLES, REACH, Word, base

LISTED = 3
MECHANICAL_BELOW = 0.5
STRATEGY_FROM = 1.5

KindName = Literal["mechanical", "development", "strategy", ""]


class Kind(NamedTuple):
    """A kind of work, and how surely the words say so."""

    name: KindName
    sure: float
    """0 (nothing speaks for it) to 1."""
    reasons: tuple[str, ...]


class Demand(NamedTuple):
    """What one clause asks for."""

    level: float
    rank: int
    """3: an order or a question; 2: what has to be done; 1: a noun that stands alone; 0: something told."""
    words: list[Word]


_GREAT = frozenset({"tech", "wide", "grand", "choice"})
_SMALL = frozenset({"trifle", "unit", "text"})
_WEIGHTY = _GREAT | {"fault", "theme", "way", "plan", "text", "logic"}
_FREE = frozenset({"sketch", "appraise", "plan", "decide", "rethink"})
"""Verbs that need an object to be weighed: "redesign it"."""
_LIGHT = frozenset({"do", "make", "build", "add", "run", "give", "select", "decide", "noun"})
"""Verbs that may leave the work to a noun: "do an audit"."""
_DECIDING = (
    "do we need",
    "do we want",
    "is it time",
    "is it worth",
    "where do we",
    "what if we",
    "are we better",
)


@lru_cache(maxsize=TEXTS)
def kind_of(text: str) -> Kind:
    """Reads what is asked for, clause by clause; the hardest thing that is really demanded decides."""
    found = sentences(text)
    groups = sorted({word.scope for sentence in found for word in sentence.words if word.scope})
    reader = _Reader(groups)
    demands: list[Demand] = []
    for number, sentence in enumerate(found, 1):
        if number == len(found) or not _is_label(sentence):
            demands += reader.sentence(sentence)
        else:
            reader.label(sentence)
    if not demands:
        return Kind("", 0.0, ("nothing in the words says what kind of work it is",))
    best = max(demands, key=lambda demand: (demand.rank, demand.level))
    name: KindName = "development"
    if best.level < MECHANICAL_BELOW:
        name = "mechanical"
    elif best.level >= STRATEGY_FROM:
        name = "strategy"
    margin = min(abs(best.level - MECHANICAL_BELOW), abs(best.level - STRATEGY_FROM))
    sure = round(min(0.95, 0.5 + margin) * (0.5, 0.8, 1.0, 1.0)[best.rank], 2)
    said = " ".join(word.text for word in best.words[:8])
    scope = (f"scope: {', '.join(groups)}",) if groups and name != "mechanical" else ()
    return Kind(name, sure, (f"asks for {name} work: {said}", *scope))


def _is_label(sentence: Sentence) -> bool:
    """ "Task:", "Design tokens:" say what it is about, and not yet what to do; "Roadmap:" does."""
    if sentence.end != ":" or len(sentence.words) > LISTED or _is_wanted(sentence.words):
        return False
    return not any(word.text in PRONOUN or word.text in EMPTY for word in sentence.words)


def _is_wanted(words: list[Word]) -> bool:
    """Whether a few words before a colon name what is to be made: "Roadmap", "Technology evaluation"."""
    weighed = words[-1].action in ("appraise", "decide", "plan", "rethink")
    return words[-1].noun == "grand" or (weighed and any(word.noun in _GREAT for word in words[:-1]))


class _Reader:
    """Weighs clauses in their order: "redesign it" means the object of the clause before."""

    def __init__(self, groups: list[str]) -> None:
        self.scope = 0.2 * min(len(groups), 2)
        self.hard = "hard" in groups
        self.before = ""
        self.headed = False
        """A noun before a colon said what is wanted; what follows says what belongs to it."""
        self.written = False
        """A label said that the answer is to be a text of its own: "Memo:"."""

    def label(self, sentence: Sentence) -> None:
        self.written = sentence.words[-1].noun == "text"

    def sentence(self, sentence: Sentence) -> list[Demand]:
        words, end, clauses = sentence
        first = words[0].text
        if end == ":" and len(words) <= LISTED and _is_wanted(words):
            self.headed = True
            return [demand for demand in (self._told(words),) if demand]
        if first in WH or (end == "?" and (first in ("do", "should") or order(words) is None)):
            level = max(self._question(words), 1.0 if self.written else 0.0)
            asked = end == "?" or (len(words) > 4 and not self.headed)
            return [Demand(level, 3 if asked else 1, words)]
        found = [self._clause(clause) for clause in clauses if not negated(clause)]
        demands = [demand for demand in found if demand]
        self.headed = end == ":" and bool(demands) and all(demand.rank < 3 for demand in demands)
        return demands

    def _clause(self, words: list[Word]) -> Demand | None:
        start = order(words)
        if start is None:
            return self._passive(words) or self._told(words)
        first, rest = words[start], words[start + 1 :]
        verb = first.verb or first.action
        for at, word in enumerate(rest[:4] if first.text in w.PARTED else ()):
            out_of = rest[at + 1 : at + 2] and rest[at + 1].text == "of"
            if not out_of and (particle := PARTICLES.get(f"{first.text} {word.text}")):
                verb, rest = particle, rest[:at] + rest[at + 1 :]
                break
            if first.text == "get" and word.text == "to" and at + 1 < len(rest) and rest[at + 1].verb:
                verb = "mend"
        while rest and rest[0].text in w.PARTICLE:
            rest = rest[1:]
        return Demand(self._meet(verb, rest), 3, words[start:])

    def _passive(self, words: list[Word]) -> Demand | None:
        """ "The entry has to be renamed", "the glossary needs sorting", "a proposal is needed"."""
        for index in range(1, len(words)):
            text = words[index].text
            following = words[index + 1] if index + 1 < len(words) else words[index]
            done = text == "be" or (text in ("need", "needs") and following.text.endswith("ing"))
            if done and following.action:
                behind = words[index + 2 :]
                parted = PARTICLES.get(f"{base(following.text)} {behind[0].text}") if behind else None
                rest = words[:index] + (behind[1:] if parted else behind)
                return Demand(self._meet(parted or following.action, rest), 2, words)
            if text in ("needed", "required", "wanted"):
                return Demand(self._meet("noun", words[:index]), 2, words)
        return None

    def _told(self, words: list[Word]) -> Demand | None:
        """A noun that stands alone, or something that is only said."""
        texts = [word.text for word in words]
        first = next((i for i, text in enumerate(texts) if text not in LEAD), 0)
        rest = words[first:]
        named = phrases(rest)[0]
        self.before = named.head or self.before
        if "vs" in texts or "versus" in texts:
            great = any(word.noun in _GREAT for word in words)
            return Demand((1.5 if great else 1.0) + self.scope, 3, words)
        wanted = not w.WANT.isdisjoint(texts[:first])
        for at in range(first, len(words) - 1 if wanted else 0):
            if texts[at] == "to" and words[at + 1].verb:
                return Demand(max(0.8, self._meet(words[at + 1].verb, words[at + 2 :])), 3, words)
        wrong = any(text in w.SYMPTOM or text.endswith(("exception", "error")) for text in texts)
        if wanted or not (wrong or any(text in AUXILIARY or text in PRONOUN for text in _first_part(texts))):
            action = named.nouns[-1].action if named.nouns else ""
            if named.head or action:
                return Demand(self._meet("noun", rest), 2 if wanted or action in REACH else 1, rest)
        if wrong or not w.WISH.isdisjoint(texts):
            return Demand(1.0, 0, words)
        return None

    def _meet(self, verb: str, rest: list[Word]) -> float:
        """The level of a verb with its objects, its complement and the scope around it."""
        row, parts = LEVELS[verb], phrases(rest)
        objects = _objects(verb, parts)
        if self.before and verb in _FREE and not any(objects):
            objects = [self.before]
        self.before = next((name for name in objects if name), self.before)
        level = 1.0 if verb == "plan" and not rest else row[""]
        if objects:
            levels = [_cell(row, name) for name in objects]
            # What is stated of each in a list is as hard as the first of it.
            level = levels[0] if verb == "give" and len(levels) > LISTED else max(levels)
        if verb in _LIGHT and (act := self._act(parts)) is not None:
            level = act if verb == "do" else max(level, act)
        there = _said(rest) if verb in REACH or w.COMPLEMENTS[verb] else frozenset()
        if self.hard and "#algorithm" in there:
            there = there | {"@hard"}
        for _, asking, floor, lift, also, unless in w.COMPLEMENTS[verb]:
            if not asking.isdisjoint(there) and not (also and also.isdisjoint(there)) and unless not in there:
                level = max(level, floor) + lift
        if verb not in REACH or level < 0.8:
            return level
        reach = 1.0 if "plan" in objects and verb in _LIGHT else REACH[verb]
        return level + reach * self.scope - (0.0 if w.SMALL.isdisjoint(there) else 0.2)

    def _act(self, parts: list[Phrase]) -> float | None:
        """ "Do a security audit of X" is to audit X; an action plan is nothing done."""
        nouns = parts[0].nouns
        action = nouns[-1].action if nouns else ""
        if not action or action in _LIGHT or nouns[-1].noun in ("unit", "suite", "trifle", "plan"):
            return None
        of = parts[1].nouns if len(parts) > 1 and parts[1].lead in ("of", "for", "on", "between") else []
        return self._meet(action, nouns[:-1] + of)

    def _question(self, words: list[Word]) -> float:
        texts = [word.text for word in words]
        there, nouns = set(texts), {word.noun for word in words if word.noun}
        ours = not w.OURS.isdisjoint(there)
        small = not _SMALL.isdisjoint(nouns) and _GREAT.isdisjoint(nouns)
        if "how" in there:
            return self._how(words, texts.index("how") + 1)
        if "why" in there and not (ours and not w.SHOULD.isdisjoint(there)):
            return 1.1
        said = f" {' '.join(texts)} "
        if "do we" in said and not w.DECIDED.isdisjoint(there):
            return (0.9 if small else 1.6) + self.scope
        if texts[:2] == ["do", "we"] and w.FACT.isdisjoint(texts):
            return 0.9 if small else 1.6
        if not w.SHOULD.isdisjoint(there) or any(f" {cue} " in said for cue in _DECIDING):
            named = ours or self.scope > 0 or texts[0] in ("should", "which")
            return (0.9 if small or not named else 1.6) + self.scope
        if "or" in there and texts[0] not in WH and texts[0] not in AUXILIARY:
            return (1.0 if small else 1.5) + self.scope
        best = not w.BEST.isdisjoint(there)
        if (best and (ours or self.scope)) or (ours and not nouns.isdisjoint(("choice", "way"))):
            return 1.0 if small else 1.6
        return self._of_fact(texts, nouns)

    def _of_fact(self, texts: list[str], nouns: set[str]) -> float:
        """ "What is the version", "does clause 14 name a period", "is this safe"."""
        allowed = texts[0] == "may" or (
            texts[0] in ("can", "could", "must") and texts[1:2] and texts[1] in w.ASKING
        )
        if allowed or not w.JUDGING.isdisjoint(texts) or not nouns.isdisjoint(("fault", "theme")):
            return 1.0
        if texts[0] == "what's" or texts[:2] in (["what", "is"], ["what", "are"]):
            return 0.2 if "trifle" in nouns else 0.6
        if texts[0] in AUXILIARY or (texts[0] == "what" and not {"does", "do", "did"}.isdisjoint(texts)):
            return 0.2 if "trifle" in nouns or not w.FACT.isdisjoint(texts) else 0.8
        return 0.2

    def _how(self, words: list[Word], at: int) -> float:
        """ "How many", "how does it work", "how do we get there"."""
        if at < len(words) and words[at].text in w.COUNTED:
            return 0.1
        texts = {word.text for word in words}
        if w.MODAL.isdisjoint(texts) or (w.OURS.isdisjoint(texts) and "you" not in texts):
            return 1.0
        for index in range(at, min(at + 4, len(words))):
            if words[index].verb and words[index - 1].text in ("we", "i", "you", "one", "to"):
                done = self._meet(words[index].verb, words[index + 1 :])
                if done > 0.5:
                    return max(1.35 if "should" in texts else 1.0, done) + self.scope
        first = next((word.noun for word in words if word.noun), "")
        lift = 0.0 if w.WHOLE.isdisjoint(texts) or "should" not in texts else 0.2
        return max(1.0, _cell(LEVELS["plan"], first) + self.scope + lift)


def _first_part(texts: list[str]) -> list[str]:
    """The words up to the first comma, or to what is only said about the noun before it."""
    ends = [
        at for at, text in enumerate(texts) if at and text in (",", "that", "which", "who", "whose", "where")
    ]
    return texts[: ends[0]] if ends else texts


def _said(rest: list[Word]) -> AbstractSet[str]:
    """The words, and the classes of nouns (`#`) and of scope (`@`); "how many" is no "how"."""
    there: set[str] = set().union(*(word.signs for word in rest))
    if "how" in there:
        after = [rest[i + 1].text for i in range(len(rest) - 1) if rest[i].text == "how"]
        if not w.COUNTED.isdisjoint(after):
            there.discard("how")
    return there


def _cell(row: dict[str, float], name: str) -> float:
    while name not in row:
        name = NEXT.get(name, "")
    return row[name]


def _objects(verb: str, parts: list[Phrase]) -> list[str]:
    """Classes of what the verb is done to, the first being its object proper."""
    found = [_head(parts, 0)] if parts[0].nouns else []
    if verb == "shape" and found != ["logic"]:
        return [_head(parts, n) for n, part in enumerate(parts) if part.lead == "into"] or found
    listed = True
    for number, (lead, _, _) in enumerate(parts[1:], 1):
        listed = listed and lead in ("and", "or", ",")
        if listed or _carries(verb, parts, number, found):
            found.append(_head(parts, number))
    return [name for name in found if name] or found if verb in ("plan", "decide") else found


def _carries(verb: str, parts: list[Phrase], number: int, found: list[str]) -> bool:
    """Whether a phrase behind a preposition is what the verb is really about."""
    lead = parts[number].lead
    if lead == "of":
        open_ = number == 1 and found in (
            [""],
            ["thing"],
            ["part"],
            *([] if verb == "noun" else [["trifle"]]),
        )
        return open_ and (verb in REACH or verb in _LIGHT) and _head(parts, 1) in _WEIGHTY
    if lead == "for":
        return verb in ("check", "seek")
    if lead == "as":
        return verb == "appraise"
    if lead == "into" or (lead == "to" and verb == "alter"):
        return verb == "alter"
    return lead in w.WHERE and found in ([], [""]) and verb in REACH


def _head(parts: list[Phrase], number: int) -> str:
    """The class of a phrase; a plan is as far-reaching as what it is a plan of."""
    name, nouns = parts[number].head, parts[number].nouns
    if name == "tech" and any(one.noun in _GREAT and two.noun == "plan" for one, two in pairwise(nouns)):
        return "grand"  # "Migration plan Oracle to Postgres"
    if len(nouns) > 1 and nouns[-1].text == "model" and nouns[-2].text in w.OF_A_WHOLE:
        return "grand"
    if name in ("plan", "way"):
        around = {word.noun for word in parts[number].nouns}
        if number + 1 < len(parts) and parts[number + 1].lead in ("of", "for", "to", "from", "off"):
            around.add(parts[number + 1].head)
        if not around.isdisjoint(("tech", "wide", "grand")):
            return "grand"
        if not around.isdisjoint(("unit", "fault", "text", "suite")):
            return "unit" if name == "plan" else "fault"
    return name
