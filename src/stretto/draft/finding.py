"""Whether somebody has to look or plan before anybody knows what the parts are."""

from __future__ import annotations

import re

from stretto.draft import words as w
from stretto.draft.many import how_many
from stretto.draft.pieces import Piece
from stretto.draft.reading import Goal
from stretto.draft.signs import NO, Sign
from stretto.draft.things import Thing

_BACK = frozenset(
    """them those these they ones accordingly whatever worst top affected theirs each missing relevant
    necessary required needed corresponding identified""".split()
)
"""Words that stand for what was found before."""
_OPEN = frozenset("which what what's whats where who how".split())
_SUPERLATIVE = re.compile(
    r"^(?:\w{3,}est|most|least|top|worst|main|key|critical|weak|risky|priority|promising|crucial)$"
)
_NO_SUPERLATIVE = frozenset("test request latest interest rest guest forest contest harvest invest".split())
_SETTLED = re.compile(
    r" (?:after|as soon as|once|when) (?:[\w-]+ ){1,3}(?:are|have been) (?:agreed|chosen|clear|decided"
    r"|defined|fixed|identified|known|laid out|named|picked|settled)(?= )"
)
"""Said of the parts, by whoever wants them handed out only then."""
_SEEKS = frozenset({"seek", "learn", "plan", "decide", "select", "sketch"})
_JUDGES = frozenset({"judge", "appraise", "check"})
_TELLS = frozenset({"give", "relate", "compare", "seek", "select", "decide", "learn"})
CHOSEN = 30
"""So many things may be what somebody is to choose; more are there already."""


def found_first(goal: Goal) -> Sign:
    """How surely a strong model has to name the parts first."""
    pieces = [(n, p) for n, p in enumerate(goal.pieces) if p.mood in ("order", "question", "wish")]
    for at, (number, piece) in enumerate(pieces):
        for _, later in pieces[at + 1 :] if is_finding(piece) else ():
            asks = later.mood == "order" or (later.mood == "wish" and "each" in later.texts)
            if asks and _acts(later) and _points_back(later, piece):
                return Sign(0.9, f"{piece.said} ... {later.said}", number)
    for at, (number, piece) in enumerate(pieces):
        for _, later in pieces[at + 1 :]:
            if any(t.first in w.EACH and w.singular(t.head) in w.FOUND for t in later.things):
                return Sign(0.85, f"{piece.said} ... {later.said}", number)
    if settled := _SETTLED.search(goal.flat):
        return Sign(0.9, settled[0].strip(), 0)
    for number, piece in pieces:
        if _overturns(piece):
            return Sign(0.8, piece.said, number)
    return NO


def is_finding(piece: Piece) -> bool:
    """Whether it finds out or settles what there will be to do."""
    known = any(_is_known(thing, piece) for thing in piece.things)
    if piece.mood == "question":
        return not known and all(t.number < 10 for t in piece.things) and piece.texts[0] in _OPEN - {"how"}
    if any(w.singular(thing.head) in w.PLANNED for thing in piece.things):
        return True
    seeks = piece.sort in _SEEKS or piece.first in w.SEEKING
    if not seeks and piece.sort not in _JUDGES and piece.first not in w.FINDING:
        return False
    if not known and (seeks or piece.sort in _JUDGES):
        return True
    return not _OPEN.isdisjoint(piece.texts) or any(_is_superlative(thing) for thing in piece.things)


def _is_known(thing: Thing, piece: Piece) -> bool:
    """Whether it is a collection that is there already; "the ten topics" may still be to choose."""
    chosen = 0 < thing.number < CHOSEN and thing.first not in w.EACH | w.ALL
    return how_many(thing, piece) >= 0.9 and not chosen and not _is_superlative(thing)


def _is_superlative(thing: Thing) -> bool:
    return any(_SUPERLATIVE.match(word) and word not in _NO_SUPERLATIVE for word in thing.words)


def _acts(piece: Piece) -> bool:
    """Whether it changes or makes something, and does not only tell or bring together."""
    if any(thing.first == "one" and w.singular(thing.head) in w.RESULT for thing in piece.things):
        return False
    return piece.first not in w.JOINING and "together" not in piece.texts and piece.sort not in _TELLS


def _points_back(later: Piece, found: Piece) -> bool:
    """Whether it is done to what was found: "harden them", "fix the worst"."""
    texts = set(later.texts)
    plan = any(w.singular(thing.head) in w.PLANNED for thing in found.things)
    planned = plan or found.sort in ("plan", "decide")
    asks = found.mood == "question" or not (_OPEN - {"how", "who"}).isdisjoint(found.texts)
    worst = any(_is_superlative(thing) and thing.plural for thing in later.things)
    several = planned or asks or worst or "them" in found.texts or any(t.plural for t in found.things)
    if not several and "each" not in texts:
        return False
    if planned and texts & {"everything", "all", "each", "every", "pieces"}:
        return True
    if (plan and texts & {"it", "plan", "that", "this"}) or (asks and texts & {"it", "that"}):
        return True
    return worst or _is_named_again(later, found, asks=asks) or not _back(later).isdisjoint(texts)


def _back(later: Piece) -> frozenset[str]:
    """The words that may stand for what was found; "each" only where it has no noun of its own."""
    bare = any(not thing.words or thing.head == "one" for thing in later.things if thing.first in w.EACH)
    return _BACK if bare else _BACK - {"each"}


def _is_named_again(later: Piece, found: Piece, *, asks: bool) -> bool:
    """ "Find the leaks ... plug those leaks", "rebuild it domain by domain"."""
    if re.search(r"\b(\w{3,}) by \1\b", " ".join(later.texts)) and found.mood != "question":
        return True
    heads = {w.singular(thing.head) for thing in found.things if thing.plural or asks}
    pointing = {"those", "these"} if found.mood == "question" else {"the", "those", "these", "all"} | w.EACH
    return any(thing.first in pointing and w.singular(thing.head) in heads for thing in later.things)


def _overturns(piece: Piece) -> bool:
    """A whole system is to be turned over: nobody knows the parts of that at the start."""
    if piece.first not in w.OVERTURN:
        return False
    if any(t.lead in ("off", "from") and w.singular(t.head) in w.WHOLE for t in piece.things):
        return True
    return any(
        w.singular(thing.head) in w.WHOLE or {"entire", "whole"} & {thing.first, *thing.words}
        for thing in piece.things[:2]
    )
