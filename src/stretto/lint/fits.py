"""Whether what one task makes is what another one wants: how well their words fit, as a score."""

from __future__ import annotations

from stretto.lint.acts import act_of, root
from stretto.lint.makes import CALLED, REVIEW, Good, Trade, Want
from stretto.lint.nouns import OLD, OUTSIDE, PLAIN, SHAPING, WEAK, sense
from stretto.lint.phrases import KNOWN
from stretto.models.words import stem

SURE = 3
"""From this score on a good is what is wanted; one less is a hint. 5 is the most."""

_KIN = """
clean cleanse scrub tidy
normalise standardise
translate localise render
mark tag label flag classify categorise annotate
fix repair correct mend patch
edit revise proofread
merge combine join consolidate
convert transform
rewrite rework redraft rephrase
collect gather compile assemble
extract pull retrieve
find locate identify detect discover spot search
choose decide pick select shortlist
approve accept sign agree review check verify confirm validate
write draft compose
build implement develop code
generate create produce
"""
_KIN_OF = {stem(word): stem(row.split()[0]) for row in _KIN.strip().splitlines() for word in row.split()}


def _set(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


_CLEANING = _set("anonymise clean dedupe deduplicate enrich filter impute mark merge normalise redact")
_FINISHING = _set("approve edit format incorporate lay polish redline rewrite shorten translate typeset")
_BUILDING = _set("build construct generate program prototype set write")
_REVIEWING = _set("appraise assess evaluate review")
_LISTING = _set("check count list name note")
"""Verbs that name what was there before, and do not bring it in."""
_FROM = frozenset("from using based on following with of against according given per".split())
_GIVEN = frozenset("from using based following according given".split())
_QUESTIONS = frozenset("how when where who why".split())
_FINDING = sense(root("finding"))


def kin(verb: str) -> str:
    """The stem that stands for all verbs of one meaning."""
    return _KIN_OF.get(verb, verb)


def fit(want: Want, user: Trade, good: Good, maker: Trade) -> int:
    """0 to 5: how surely this good of the maker is what the user's want means."""
    mention = want.mention
    known = maker.words | good.marks | maker.done | {good.verb}
    shared = (want.marks | want.about | want.more | ({mention.done} if mention.done else set())) & known
    if _differ(want, user, good, maker, known):
        return 0
    if good.head == REVIEW and good.verb not in _REVIEWING and not (want.act == "join" and mention.many):
        return 0
    told = _told(want, user, good, maker)
    if told:
        return told
    score = _taken(want, good)
    if not score or (good.verb == CALLED and mention.many):
        return 0
    if mention.done and not shared:
        score -= 1
    if shared and want.head not in WEAK:
        return score + 1
    if want.head in WEAK and not shared:
        if good.kind != "altered" and (mention.article == "this" or _given(want) or _brought_up(want, good)):
            return score
        return score - 1 if together(want, user, maker) else 0
    return score if shared or _speaks_for_itself(want, good) or together(want, user, maker) else score - 1


def _told(want: Want, user: Trade, good: Good, maker: Trade) -> int:
    """The score where the words tell what was done to the thing, how it is now, or how many there are."""
    mention = want.mention
    if mention.number > 2 and mention.number == good.number and mention.article in KNOWN:
        return 4
    if not good.act and good.verb in want.marks:
        return 5
    if good.kind == "altered" and want.marks & good.state:
        return 4
    if not mention.done:
        return 0
    if kin(mention.done) == kin(good.verb):
        return 5
    if sense(mention.done) in maker.done:
        return 4
    if act_of(mention.done) == good.act and good.act in ("get", "make", "judge"):
        return 4 if not good.marks - user.words - {good.verb} or together(want, user, maker) else 2
    return 0


def _differ(want: Want, user: Trade, good: Good, maker: Trade, known: frozenset[str]) -> bool:
    """Whether the words beside the two heads say that something else is meant."""
    rest = good.marks - user.words - {good.verb}
    if want.act == "plan" and kin(good.verb) == "build":
        return True
    foreign = {mark for mark in want.marks - known if mark.removeprefix("un") not in known}
    if foreign and (rest or not want.marks & known):
        return True
    beside = [(head, marks) for head, marks in want.beside if head != want.head]
    if any(marks and marks.isdisjoint(maker.marks.get(head, marks) or marks) for head, marks in beside):
        return True  # "For unit 4" and "for unit 7"; not "an escape plan from the floor plan".
    if want.topic and good.topic and want.topic.isdisjoint(maker.words):
        return True
    if want.marks & OUTSIDE - maker.words:
        return True
    if good.kind != "made" and not want.mention.done and good.marks & OLD - user.words:
        return True
    about = want.about
    return bool(about) and (about.isdisjoint(known) or bool(about - known and rest))


def _given(want: Want) -> bool:
    """ "From the notes": it is said to be what the task starts from."""
    return want.mention.lead in _GIVEN and want.mention.article == "the"


def _brought_up(want: Want, good: Good) -> bool:
    """ "A script" in one task is "the script" in the other."""
    return good.fresh and good.kind == "made" and want.mention.article == "the" and not want.mention.many


def _speaks_for_itself(want: Want, good: Good) -> bool:
    """Whether the form alone will do, though the two tasks share no word beside the head."""
    mention = want.mention
    if (
        good.kind == "made"
        or mention.lead in _GIVEN
        or (mention.lead == "which" and mention.article in KNOWN)
    ):
        return True
    if good.kind == "said":
        return good.head != _FINDING or (want.act == "join" and mention.many)
    return good.kind == "got" and good.verb not in _LISTING


def together(want: Want, user: Trade, maker: Trade) -> bool:
    """Whether two tasks speak of one thing beside the want itself, or the user speaks of nothing else."""
    ours: set[str] = set()
    for other in user.wants:
        if other is not want and other.mention.lead not in ("to", "for", "as"):
            ours |= other.marks | {other.head}
    for good in user.goods:
        if good.kind == "made":
            ours |= good.marks | {good.head}
    ours -= PLAIN | {want.head} | want.marks
    return not ours or not ours.isdisjoint(maker.words | maker.done)


def _taken(want: Want, good: Good) -> int:
    """How surely a want of this form is a thing made in this way, whatever their other words are."""
    if want.act == "shape":
        shaped = kin(want.verb) in _BUILDING and kin(good.verb) in SHAPING
        return 3 if shaped and good.kind in ("made", "altered") else 0
    if want.act == "get" and not want.mention.lead:
        return 3 if good.kind == "made" and want.mention.article in KNOWN else 0
    score = _known(want, good)
    if good.kind == "altered" and not _altered(want, good):
        return 0
    return score


def _known(want: Want, good: Good) -> int:
    """How surely the article and the word before it take the thing as known."""
    mention, direct = want.mention, not want.mention.lead
    if mention.article in KNOWN:
        return 3
    if mention.article == "our" and good.fresh and good.kind == "made":
        return 3
    if mention.article == "a":
        return 2 if direct and want.act == "decide" else 0
    if mention.lead in _QUESTIONS and good.kind == "got":
        return 3
    if mention.lead in _FROM or (mention.article == "all" and good.kind in ("made", "said")):
        return 3
    if mention.lead == "for" and want.act in ("make", "plan") and not mention.many:
        return 2
    if direct:
        return 3 if want.act in ("run", "send", "alter", "join", "decide") else 2
    return 1


def _altered(want: Want, good: Good) -> bool:
    """Whether what was there before is wanted as the maker leaves it: cleaned, edited, checked, installed."""
    verb, act = kin(good.verb), want.act
    if verb in _CLEANING and act in ("judge", "tell", "make", "plan", "join", "run", "send"):
        return True
    if want.mention.lead:
        return False
    if act == "send":
        return verb in _FINISHING or good.act in ("judge", "join", "add")
    return (act == "judge" and good.act == "run") or (act == "decide" and good.act in ("judge", "get", ""))
