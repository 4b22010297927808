"""Whether the same is done for many things, which these are, and whether all of it ends in one result."""

from __future__ import annotations

import re
from typing import NamedTuple

from stretto.draft import words as w
from stretto.draft.pieces import Piece
from stretto.draft.reading import Goal
from stretto.draft.rows import Listed
from stretto.draft.signs import NO, Sign, is_stages
from stretto.draft.things import Thing


class Many(NamedTuple):
    """The things that the work is done for, one by one."""

    sign: Sign
    noun: str = ""
    """As the goal says it, mostly plural."""
    number: int = 0
    """0: not said."""
    names: tuple[str, ...] = ()
    thing: Thing | None = None
    row: Listed | None = None


def many(goal: Goal) -> Many:
    """The collection that the work goes over, where one is named in what is asked."""
    best = Many(NO)
    for number, piece in enumerate(goal.pieces):
        if not piece.asked and not _is_taken_up(goal, number):
            continue
        for thing in _own_things(piece):
            strength = how_many(thing, piece) - (0.0 if piece.asked else 0.1)
            if strength > best.sign.strength:
                best = Many(Sign(strength, thing.said, number), thing.head, thing.number, (), thing)
    for row in goal.lists:
        best = _with_row(goal, best, row)
    if len(goal.bullets) > 2 and not goal.steps and not best.names:
        said = "; ".join(goal.bullets[:3])
        best = Many(Sign(0.85, said, 0), best.noun, len(goal.bullets), tuple(goal.bullets), best.thing)
    if not best.sign and (found := re.search(r" (\w{3,}) by \1 ", goal.flat)) and found[1] not in w.NO_THINGS:
        best = Many(Sign(0.8, found[0].strip(), 0), found[1])
    return _counted(goal, best)


def _counted(goal: Goal, best: Many) -> Many:
    """With the number that the goal gives elsewhere: "3,000 emails ... for every email"."""
    if best.number or not best.noun:
        return best
    for piece in goal.pieces:
        for thing in piece.things:
            if thing.number > 1 and w.singular(thing.head) == w.singular(best.noun):
                return best._replace(number=thing.number, noun=thing.head)
    return best


def _with_row(goal: Goal, best: Many, row: Listed) -> Many:
    """The collection with the names of a row, where that names it, or is a surer one."""
    strength = _row_strength(goal, row)
    if not strength:
        return best
    names, said = tuple(row.names), ", ".join(row.names)
    if strength + 0.01 >= best.sign.strength and not (best.names and strength <= best.sign.strength):
        at = next((i for i, p in enumerate(goal.pieces) if p.sentence >= row.sentence - row.opened), -1)
        noun = row.noun or (best.noun if best.sign else "")
        sign = Sign(max(strength, best.sign.strength), said, at)
        return Many(sign, noun, len(names), names, best.thing, row)
    if best.sign and not best.names and best.number in (0, len(names)) and strength >= 0.8:
        return best._replace(names=names, number=len(names), row=row, sign=best.sign._replace(words=said))
    return best


def _row_strength(goal: Goal, row: Listed) -> float:
    """How surely the names of a row are things that are taken one by one."""
    pieces = [piece for piece in goal.pieces if piece.sentence == row.sentence]
    before = [piece for piece in goal.pieces if piece.sentence == row.sentence - 1] if row.opened else pieces
    if is_stages(row) or not any(piece.asked for piece in before or pieces):
        return 0.0
    if len(row.names) < 3 and not (row.opened and row.cue in ("and", ",")):
        return 0.0
    if row.lead in ("that", "because", "since", "with", "including", "like", "as", "without"):
        return 0.3
    return 0.95 if row.opened else 0.8


def _own_things(piece: Piece) -> list[Thing]:
    """The things of a piece before its purpose, its reason or a relative clause begins."""
    texts = piece.texts
    stop = len(texts)
    for at in range(piece.at + 1, len(texts)):
        relative = texts[at] in ("that", "which", "who") and texts[at - 1] not in ("of", "all", ",")
        if texts[at] in ("because", "since", "so", "if") or (relative and at > piece.at + 1):
            stop = at
            break
    return [thing for thing in piece.things if thing.start < stop]


def how_many(thing: Thing, piece: Piece) -> float:
    """How surely a phrase names things that are taken one by one."""
    one, first = w.singular(thing.head), thing.first
    if _is_no_thing(thing, one):
        return 0.0
    audience = thing.lead in ("to", "for", "by", "with", "from") and one in w.AUDIENCE
    if first in w.EACH:
        return 0.6 if first in ("per", "individual") else 0.5 if audience and thing.lead == "to" else 1.0
    if audience:
        return 0.0
    if first in w.ALL:
        return _how_all(thing, piece)
    if thing.number > 2 and w.is_plural(thing.head):
        around = thing.lead in ("in", "across", "with", "by", "within", "over", "of") and thing.number < 100
        return (0.9 if thing.number >= 10 else 0.75) - (0.2 if around else 0.0)
    if first in w.UNKNOWN_MANY and w.is_plural(thing.head):
        return 0.9 if first.endswith("s") else 0.6
    bare = first in ("the", "our", "these", "those", "my", "their", "")
    return 0.4 if bare and w.is_plural(thing.head) else 0.0


def _is_no_thing(thing: Thing, one: str) -> bool:
    """Times, measures, and small things that somebody makes several of at once: "give me five names"."""
    if one in w.ERRANDS or thing.head in w.NO_THINGS or (thing.words and thing.words[0] in w.NO_THINGS):
        return True
    if thing.number and thing.first not in w.EACH and all(word in w.UNITS for word in thing.words):
        return True
    return one in w.SMALL_ONES and 0 < thing.number <= 20 and not thing.first and not thing.lead


def _how_all(thing: Thing, piece: Piece) -> float:
    """ "All the reviews" are many; "everything" and "the whole thing" may be one."""
    if thing.first == "everything":
        return 0.6 if piece.first in w.GONE_THROUGH else 0.4
    if thing.first in ("all", "both") and (w.is_plural(thing.head) or thing.number):
        return 0.95 if thing.first == "all" else 0.3
    return 0.4 if thing.words else 0.2


def _is_taken_up(goal: Goal, number: int) -> bool:
    """Whether a later piece that asks goes over what this one tells of."""
    things = goal.pieces[number].things
    told = {w.singular(t.head) for t in things if w.is_plural(t.head) or t.first in w.EACH}
    large = any(t.number >= 10 or t.first in w.UNKNOWN_MANY for t in things)
    for piece in goal.pieces[number + 1 :]:
        if large and piece.mood == "question" and not {"best", "most", "worst"}.isdisjoint(piece.texts):
            return True
        for thing in piece.things if piece.asked else ():
            bare = not thing.words or thing.head in ("one", "them", "those")
            again = w.singular(thing.head) in told
            if (thing.first in w.EACH and (bare or again)) or (
                thing.first == "all" and (again or thing.number)
            ):
                return True
    return False


# Is it brought together


_IN_ALL = re.compile(
    r" (?:in total|altogether|overall|all in all|top \w+|most (?:common|frequent|important|often|mentioned)"
    r"|put together|boil|condense|distil|sum (?:it |them )?up|add (?:it|them|everything) (?:all )?up"
    r"|across (?:all|them|our|the)|ranking|shortlist|in common|who are the|(?:in|into|to) (?:one|a single)"
    r"|(?:best|worst) \w+|\w+ (?:best|worst)|what (?:do|does|did) .{3,60} (?:most|say|think))(?= )"
)


def joined(goal: Goal, over: Many) -> Sign:
    """Whether what comes of the many is brought together in the end."""
    begin = max(0, over.sign.piece)
    listed = {word for name in over.names for word in name.lower().split()}
    best = NO
    for number, piece in enumerate(goal.pieces):
        if piece.asked and number >= begin:
            sign = _joins(piece, number, listed, same=number == begin)
            best = sign if sign.strength > best.strength else best
    if best:
        return best
    for number, piece in enumerate(goal.pieces):
        if piece.asked and (found := _IN_ALL.search(f" {' '.join(piece.texts)} ")):
            return Sign(0.8, found[0].strip(), number)
    return NO


def _joins(piece: Piece, number: int, listed: set[str], *, same: bool) -> Sign:
    """Whether one piece asks for what all others are brought down to; `same`: it also names the many."""
    each = any(thing.first in w.EACH - {"per"} and thing.head != "other" for thing in piece.things)
    merges = piece.first in w.JOINING or piece.verb in ("put together", "add up")
    if merges and not each and not (same and piece.first in w.GATHERING):
        return Sign(0.8 if same else 0.9, piece.said, number)
    for thing in piece.things:
        if w.singular(thing.head) in listed or w.is_plural(thing.head) or _is_per(piece, thing):
            continue
        if sign := _result(thing, piece, number, same=same, each=each):
            return sign
    return NO


def _result(thing: Thing, piece: Piece, number: int, *, same: bool, each: bool) -> Sign:
    """A noun that stands for many things brought down to one: "one table", "into an overview"."""
    if thing.first == "one" and not same and thing.words:
        return Sign(0.75, thing.said, number)
    if w.singular(thing.head) not in w.RESULT | w.ANSWER or thing.lead in w.ABOUT:
        return NO
    alone = thing.first in w.ONE or not thing.first
    into = thing.lead in ("into", "in", "to", "as", ",") and not (same and each)
    one = thing.first == "one" or thing.words[0] in w.ONE
    if one or (alone and into) or (alone and not same and not each):
        return Sign(0.8, thing.said, number)
    gathered = any(t.lead in ("from", "of", "across", "out") for t in piece.things)
    return (
        Sign(0.7, thing.said, number) if same and not each and alone and not thing.lead and gathered else NO
    )


def _is_per(piece: Piece, thing: Thing) -> bool:
    """Whether there is one of it for each: "one page per region"."""
    behind = piece.texts[thing.stop : thing.stop + 2]
    return bool(behind) and (behind[0] in ("per", "each") or behind in (["for", "each"], ["for", "every"]))
