"""What in a goal says that its parts hang together, stand apart, or follow one another."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from stretto.draft import words as w
from stretto.draft.pieces import Piece
from stretto.draft.reading import Goal
from stretto.draft.rows import Listed
from stretto.models.words import look_up


class Sign(NamedTuple):
    """How strongly the words say something (0 not at all, 1 for sure), which words, and in which piece."""

    strength: float
    words: str = ""
    piece: int = -1

    def __bool__(self) -> bool:
        return self.strength >= 0.5


NO = Sign(0.0)

_TOGETHER = re.compile(
    r" (?:\w+ (?:on |to |into |upon |with )?(?:each other|one another|the others)"
    r"|(?:have|has|need|needs|must|got) (?:to )?(?:all |both )?(?:be )?(?:\w+ )?together"
    r"|(?:tightly|closely) (?:coupled|linked)|intertwined|interlocked|interdependent|hangs? together"
    r"|hand in hand"
    r"|(?:the same|shares? (?:one|a|the same)) (?:\w+ )?(?:locks?|row|state|circuit|value|template)"
    r"|all (?:two|three|four|five) at once|in one go|fit (?:together|all|both)|moves the (?:rest|others?)"
    r")(?= )"
)
_APART = re.compile(
    r" (?:independent|independently|separately|separate|seperate|individually|unrelated|one by one"
    r"|in parallel|side by side|in any order|its own|their own|nobody depends"
    r"|(?:another|one) for .{1,40} another for"
    r"|(?:don't|do not|doesn't|aren't|not|no|no two|nothing|never|none|neither) (?:\w+ ){0,4}?"
    r"(?:depends?|shared?|overlap|touch|to do with|in common|about the same|each other|one another))(?= )"
)


def coupled(goal: Goal) -> Sign:
    """Whether the parts have to be touched together."""
    flat = goal.flat
    found = _TOGETHER.search(flat)
    if found is None or _APART.search(flat[max(0, found.start() - 40) : found.end() + 1]):
        return NO
    return Sign(0.9, found[0].strip())


def apart(goal: Goal) -> Sign:
    """Whether it is said that the parts have nothing to do with each other."""
    found = _APART.search(goal.flat)
    return Sign(0.8, found[0].strip()) if found else NO


# Is there an order


def chain_of(goal: Goal) -> list[Piece]:
    """What is done one after the other, if it is a chain."""
    return [piece for piece in goal.pieces if piece.mood in ("order", "done")]


def ordered(goal: Goal) -> Sign:
    """Whether one thing is made out of the other, in a fixed order."""
    chain = chain_of(goal)
    said = " > ".join(piece.verb or " ".join(piece.texts[:4]) for piece in chain)
    if goal.arrows or (goal.steps and len(chain) > 1):
        return Sign(1.0, said or "the order is drawn")
    for row in goal.lists:
        if is_stages(row):
            return Sign(0.9, ", ".join(row.names))
    links = sum(_is_linked(piece, chain[:at]) for at, piece in enumerate(chain) if at)
    if len(chain) > 2 and (links or _climbs(chain)):
        return Sign(min(1.0, 0.6 + 0.1 * min(4, links) + 0.1 * (len(chain) > 3)), said)
    if len(chain) > 2 and len({piece.verb for piece in chain}) == len(chain):
        return Sign(0.5, said)
    then = chain and not {"then", "once", "after", "afterwards", "finally"}.isdisjoint(chain[-1].lead)
    return Sign(0.5, said) if links and then else NO


def is_stages(row: Listed) -> bool:
    """Whether what stands in a row are verbs: "research, outline, draft, publish"."""
    return len(row.names) > 2 and all(" " not in name and look_up(name).verb for name in row.names)


def _climbs(chain: list[Piece]) -> bool:
    """Whether the verbs stand in the order in which such work is done."""
    known = [stage for stage in map(_stage, chain) if stage >= 0]
    return len(known) > 2 and known[-1] > known[0] and all(a <= b for a, b in itertools.pairwise(known))


def _stage(piece: Piece) -> int:
    return next((number for number, verbs in enumerate(w.STAGES) if piece.first in verbs), -1)


def _is_linked(piece: Piece, earlier: list[Piece]) -> bool:
    """Whether it takes up what was made before, or is said to come after it."""
    texts = piece.texts
    if not w.NEXT.isdisjoint(piece.lead) or not w.NEXT.isdisjoint(texts[:3]):
        return True
    if not w.THEM.isdisjoint(texts[piece.at + 1 : piece.at + 5]):
        return True
    made = {w.singular(thing.head) for before in earlier for thing in before.things}
    made |= {word.text for before in earlier for word in before.words if word.noun == "named"}
    done = {_root(before.verb) for before in earlier if before.verb}
    return any(
        w.singular(thing.head) in made or any(word.startswith(verb) for word in thing.words for verb in done)
        for thing in piece.things
        if thing.first in ("the", "that", "this", "those", "its")
    )


def _root(verb: str) -> str:
    """The beginning of a verb: what "translate", "translated" and "translation" have in common."""
    return verb[: max(4, len(verb) - 2)] if len(verb) > 4 else verb
