"""Whether one thing is looked at from several sides, or several candidates stand for one place."""

from __future__ import annotations

import re

from stretto.draft import words as w
from stretto.draft.many import Many, how_many, joined
from stretto.draft.pieces import Piece
from stretto.draft.reading import Goal
from stretto.draft.rows import Listed
from stretto.draft.signs import NO, Sign
from stretto.models.words import look_up

MOST = 12
"""Views that are named."""

_SIDES = re.compile(
    r" (?:(?:from|through|with|in|of) (?:[\w,'-]+ ){0,14}?"
    r"(?:views?|viewpoints?|perspectives?|angles?|sides?|standpoints?|points? of view|lens|lenses|eyes)"
    r"|(?:independent|separate|different|competing|alternative|contrasting|opposing|second|third) (?:\w+ )?"
    r"(?:opinions?|views|approaches|solutions|attempts|experts|people|reviews|assessments|estimates|methods)"
    r"|(?:two|three|four|five|several|\d) (?:independent )?"
    r"(?:ways|approaches|experts|people|opinions|views|attempts|reviewers|estimates|personas|methods)"
    r"|for and against|pros and cons|both sides|as .{3,60} would|each (?:say|think|give|judge|argue))(?= )"
)
_CHOICE = re.compile(
    r" (?:should|shall (?:we|i)|(?:do|would) (?:we|i) (?:take|choose|prefer|use)|or not|yes or no|no-?go"
    r"|which (?:one|of|\w+ (?:should|shall|do|would|is|to))|recommend(?:s|ation)?|whether to|choose|choice"
    r"|pick|decides?|compare|comparison|best|better|cheapest|strong(?:er|est)|vs|versus|verdict|settle|worth"
    r"|go with|go for|weigh|keep|winner|prefer|favourite|who is|between|where to|conclude|advise)(?= )"
)
_ONE_ANSWER = re.compile(
    r" (?:one|a single|single|joint|common|consolidated|combined|overall|final|prioriti[sz]ed|balanced"
    r"|action plan|combine|merge|reconcile|synthesi[sz]e|synthesis|(?:bring|put|pull) (?:\w+ ){1,3}together"
    r"|summari[sz]e|sum up|settle|verdict|recommendation|recommend|conclusion|conclude|decides?|decision"
    r"|opinion|assessment|evaluation|tell (?:us|me|the \w+) (?:which|what|whether|if|who)"
    r"|where they (?:agree|differ)|weigh|boil|middle ground|give (?:me|us) (?:a|an|the)|winner|vote|majority"
    r"|bottom line|average|advise|no-?go|how (?:good|sound|strong|likely|big|safe))(?= )"
)


def views(goal: Goal) -> Sign:
    """How surely several views are asked for, with one answer."""
    asked = [piece for piece in goal.pieces if piece.asked or piece.texts[0] in ("i", "we")]
    flat = f" {' '.join(' '.join([*piece.lead, *piece.texts]) for piece in asked)} ".replace(" , ", " ")
    answer, choice = bool(_ONE_ANSWER.search(flat)), bool(_CHOICE.search(flat))
    if not answer and not choice:
        return NO
    best = NO
    for row in goal.lists:
        sign = in_row(goal, row, answer=answer, choice=choice)
        best = sign if sign.strength > best.strength else best
    if best:
        return best
    roles = role_names(goal)
    if len(roles) > 1:
        return Sign(0.95, ", ".join(roles))
    sides = _SIDES.search(flat)
    return Sign(0.85, sides[0].strip()) if sides else NO


def in_row(goal: Goal, row: Listed, *, answer: bool, choice: bool) -> Sign:
    """Whether the names of a row are views on one thing, or candidates for one place."""
    near = [piece for piece in goal.pieces if piece.sentence in (row.sentence, row.sentence - row.opened)]
    if len(row.names) > MOST or not (any(piece.asked for piece in near) or _is_asked_later(goal, row)):
        return NO
    names = [name.lower().replace("’", "'").split() for name in row.names]
    said = ", ".join(row.names)
    called = row.lead in ("have", "let", "ask", "get")
    roles = sum(bool(_role_in(name)) or (called and any(map(w.is_role, name))) for name in names)
    if roles > 1 and roles * 2 >= len(names) and row.lead not in ("for", "to"):
        return Sign(0.95, said)
    wide = (thing for piece in near for thing in piece.things if how_many(thing, piece) >= 0.9)
    if any(thing.head not in ("", "one") for thing in wide):
        return NO
    if _are_sides(row, near, names):
        return Sign(0.9, said)
    plain = all(name.islower() and " " not in name for name in row.names) and len(row.names) < 7
    if answer and _looks(near) and plain and not row.noun and joined(goal, Many(Sign(1.0, "", 0))):
        return Sign(0.85, said)
    return _candidates(row, near, said) if choice or row.cue in w.AGAINST else NO


def _are_sides(row: Listed, near: list[Piece], names: list[list[str]]) -> bool:
    """Whether the names are sides of one thing: aspects, departments, standpoints."""
    asked = any(piece.mood == "question" and piece.texts[0] in ("what", "how") for piece in near)
    if (asked and row.cue == "and") or w.singular(row.noun.lower()) in w.VIEW or _is_sided(row, near):
        return True
    if sum(w.singular(name[-1]) in w.VIEW for name in names) > 1:
        return True
    aspects = sum(name[0].removesuffix("'s") in w.ASPECT or name[-1] in w.ASPECT for name in names)
    return aspects > 1 and (aspects >= len(names) - 1 or (_looks(near) and aspects * 2 >= len(names)))


def _looks(near: list[Piece]) -> bool:
    """Whether something is to be looked at, and not to be made."""
    judging = {"judge", "check", "appraise", "compare", "seek"}
    return any(piece.sort in judging or piece.first in ("consider", "look", "test") for piece in near)


def _is_asked_later(goal: Goal, row: Listed) -> bool:
    """ "There are three offers: A, B and C. Which one do I take?" """
    later = [piece for piece in goal.pieces if piece.asked and piece.sentence > row.sentence]
    return any(not {"which", "one", "them", "three", "these"}.isdisjoint(piece.texts) for piece in later)


def _is_sided(row: Listed, near: list[Piece]) -> bool:
    """ "From the standpoint of A, B and C"."""
    first = row.names[0].lower().split()[0]
    for piece in near:
        at = piece.texts.index(first) if first in piece.texts else 0
        if any(w.singular(text) in w.VIEW - {"take"} for text in piece.texts[max(0, at - 4) : at]):
            return True
    return False


def _candidates(row: Listed, near: list[Piece], said: str) -> Sign:
    """Names of which one is to be taken: "A, B or C", "compare A, B and C"."""
    either = row.cue in w.AGAINST
    judging = ("compare", "appraise", "judge", "decide", "select")
    weighed = any(piece.sort in judging or piece.first in ("try", "test", "look") for piece in near)
    question = any(piece.mood == "question" for piece in near) or all(p.mood != "order" for p in near)
    bare = all(piece.mood in ("question", "noun", "told") for piece in near)
    if either or weighed or (question and bare):
        return Sign(0.9 if either and len(row.names) > 2 else 0.85, said)
    return NO


def role_names(goal: Goal) -> list[str]:
    """Who is to look at it, where single people of different roles are named."""
    found: list[str] = []
    for piece in goal.pieces:
        lead = ""
        for thing in piece.things if piece.asked else ():
            lead = lead if thing.lead in (",", "and", "or") else thing.lead
            single = thing.first in ("a", "an", "one") or lead in ("by", "as")
            if single and lead not in ("for", "to", "of", "about") and (name := _role_in(thing.words)):
                found.append(name)
    return found


def _role_in(words: list[str]) -> str:
    """The role at the end of a phrase, or before the verb of "let an optimist estimate it"."""
    names = [word.removesuffix("'s") for word in words]
    if names and w.is_role(names[-1]):
        return " ".join(names)
    if len(names) > 1 and w.is_role(names[-2]) and look_up(names[-1]).verb:
        return " ".join(names[:-1])
    return ""


def view_names(goal: Goal) -> list[str]:
    """The names of the views or candidates; numbered ones where the goal gives only their number."""
    for row in goal.lists:
        if in_row(goal, row, answer=True, choice=True):
            return row.names[:MOST]
    if len(roles := role_names(goal)) > 1:
        return roles[:MOST]
    if re.search(r" (?:against|pros and cons|both sides|argue|debate|opposing) ", goal.flat):
        return ["for it", "against it"]
    for piece in goal.pieces:
        for thing in piece.things:
            if 1 < thing.number <= MOST and thing.head and thing.head not in w.UNITS:
                return [f"{w.singular(thing.head)} {number}" for number in range(1, thing.number + 1)]
    longest = max(goal.lists, key=lambda row: len(row.names), default=None)
    return longest.names[:MOST] if longest is not None else ["view 1", "view 2", "view 3"]
