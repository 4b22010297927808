"""What a task makes and what it uses, by its words: things that are handed on, and things taken as known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from stretto.lint.acts import Act, root, stems, verb_of
from stretto.lint.nouns import (
    ASKING,
    CHOOSING,
    GROUPING,
    HOLDERS,
    LEARNING,
    NO_NOUN,
    NOUNS_OF,
    PEOPLE,
    PLAIN,
    PLANS,
    SEARCHING,
    SHAPING,
    TIMES,
    TURNING,
    VERSIONS,
    VIEWS,
    sense,
)
from stretto.lint.phrases import KNOWN, Mention
from stretto.lint.reading import Clause, Reading

Kind = Literal["made", "got", "altered", "said"]
"""*made* is new, *got* was found or brought in, *altered* was there before and is not as it was, *said* is
the noun of what was done: the review, the findings."""
Use = Act | Literal["shape", "plan"]
"""What a thing is wanted for. *get*: it is got here, and may have been made before; *shape*: it is made here,
and may have been designed before; *plan*: something is planned for it here."""


class Good(NamedTuple):
    """Something that is there when a task is over, and was not before, or not so."""

    head: str
    marks: frozenset[str]
    """The other words that are said of it."""
    kind: Kind
    act: Act
    verb: str
    said: str
    many: bool = False
    number: int = 0
    fresh: bool = False
    """It is brought up as unknown: "*a* script"."""
    state: frozenset[str] = frozenset()
    """How it is from then on: "into *Polish*"."""
    topic: frozenset[str] = frozenset()
    """What it is on or about."""


class Want(NamedTuple):
    """Something that a task takes as given."""

    head: str
    marks: frozenset[str]
    about: frozenset[str]
    """What stands behind it and says which one is meant."""
    more: frozenset[str]
    """What is told of it besides: "that fewer than half passed"."""
    topic: frozenset[str]
    beside: tuple[tuple[str, frozenset[str]], ...]
    """The heads of the other things in its clause, with their marks."""
    act: Use
    verb: str
    mention: Mention


class Trade(NamedTuple):
    """What one text makes and wants."""

    goods: tuple[Good, ...]
    wants: tuple[Want, ...]
    words: frozenset[str]
    """All words that tell it from others."""
    marks: dict[str, frozenset[str]]
    """Of each head, the words that stand with it."""
    done: frozenset[str]
    """The nouns of what is done: the list, the review."""


class _Thing(NamedTuple):
    """A mention with what stands behind it and says which one is meant."""

    mention: Mention
    complement: list[Mention]
    about: frozenset[str]
    topic: frozenset[str]


NOTHING: frozenset[str] = frozenset()
CALLED = root("name")
_NAMES = re.compile(r"[a-z]{3,}")
"""Words in the name of a file."""
_FINDING = sense(root("finding"))
REVIEW = sense(root("review"))
"""What any judging is called where several of them are brought together."""
_ABOUT = frozenset("about at by for from in of on".split())
_RELATIVE = frozenset("are had has have is than that was were which".split())
_ORIGINS = stems("arrived brought came gave get got sent wrote")
"""What came from outside: "the draft that Contoso *sent*"."""
_BETWEEN = stems("agreement call contract conversation deal discussion interview lease meeting talk treaty")
"""What people have *with* each other."""
_QUESTIONS = frozenset("how what when where which who why".split())
_WHERE: dict[str, frozenset[str]] = {
    "judge": frozenset({"for", "on"}),
    "send": frozenset({"in", "on", "at", "for"}),
    **dict.fromkeys(("run", "read", "alter", "join", "add"), frozenset({"in", "on", "at"})),
}
"""Words that say, with such a verb, where and for what something is done, and not which thing is meant."""


@lru_cache(maxsize=8192)
def trade_of(reading: Reading) -> Trade:
    goods: list[Good] = []
    wants: list[Want] = []
    words: set[str] = set()
    marks: dict[str, frozenset[str]] = {}
    for clause in reading.clauses:
        things = [_thing(clause, at) for at in range(len(clause.mentions))]
        # What a text brought up itself is no longer wanted from others.
        wants += (want for want in _wants(clause, things) if want.head not in words or not want.head)
        goods += _goods(clause, things)
        for mention in clause.mentions:
            words.update((mention.head, sense(mention.head)), mention.marks)
            if mention.marks:
                marks[mention.head] = marks.get(mention.head, NOTHING) | mention.marks - PLAIN
    for use in reading.paths:
        named = [root(word) for word in _NAMES.findall(use.path.norm.rpartition(".")[0])]
        words.update(named)
        if use.written and named:
            # What is called like its file: "the exhibit index" is exhibits/index.md.
            kept = frozenset(named[:-1])
            goods.append(Good(sense(named[-1]), kept, "got", "get", CALLED, use.path.norm))
    words.discard("")
    done = frozenset(good.head for good in goods if good.kind == "said")
    return Trade(tuple(goods), tuple(wants), frozenset(words) - PLAIN, marks, done)


def _thing(clause: Clause, at: int) -> _Thing:
    mention = clause.mentions[at]
    told = verb_of(mention.head) == clause.verb
    complement: list[Mention] = []
    for other in clause.mentions[at + 1 :]:
        if other.listed and other.lead in (mention.lead, ","):
            continue
        # "A report on the water" has its complement as the object of reporting.
        if not (told and not other.lead) and not _tells_which(clause, mention, other):
            break
        complement.append(other)
    following = clause.mentions[at + 1 : at + 2]
    on = bool(following) and (following[0].lead in ("about", "on") or (told and not following[0].lead))
    topic = _words(following) if on else NOTHING
    return _Thing(mention, complement, _words(complement), topic)


def _tells_which(clause: Clause, mention: Mention, other: Mention) -> bool:
    """Whether a mention says which one is meant by the one before it."""
    lead = other.lead
    if lead in ("that", "which"):
        return bool(other.done) or not _ORIGINS.isdisjoint((other.head, *other.marks))
    if lead == "with" and mention.head in _BETWEEN:
        return True
    if lead != "of" and (mention.lead or mention.done or other.article == "a"):
        # Behind a preposition, or what was done to it, only what is close belongs to it.
        return False
    if lead == "at" and other.article not in KNOWN:
        return False
    if other.article == "a" or lead not in _ABOUT or lead in _WHERE.get(clause.act, ""):
        return False
    return not (lead == "for" and other.head in PEOPLE) and not (lead == "by" and clause.verb in GROUPING)


def _words(mentions: Iterable[Mention]) -> frozenset[str]:
    found: set[str] = set()
    for mention in mentions:
        found |= mention.marks
        found.add(mention.head)
    return frozenset(found) - PLAIN if found else NOTHING


def _goods(clause: Clause, things: list[_Thing]) -> Iterator[Good]:
    if not clause.verb:
        return
    turned = ("into", "to") if clause.verb in TURNING else ("into",)
    state = _words(m for m in clause.mentions if m.lead in turned)
    around: set[str] = {clause.verb}
    for at, (mention, _, about, topic) in enumerate(things):
        marks = mention.marks | about
        around |= marks
        around.add(mention.head)
        kind = _kind(clause, mention)
        following = clause.mentions[at + 1 :]
        if kind:
            if mention.done and kind in ("made", "got"):
                marks |= {mention.done}
            good = _good(mention, marks - PLAIN, kind, clause, state, topic)
            # "A caption for each photo".
            each = good.fresh and bool(following) and following[0].article == "each"
            yield good._replace(many=True) if each else good
        version = kind == "made" and mention.head in VERSIONS
        holds = mention.article == "a" and (kind == "got" or (kind == "made" and mention.head in HOLDERS))
        for held in things[at + 1 :] if version or holds else ():
            if held.mention.lead not in ("of", ""):
                break
            kept = held.mention.marks | held.about
            yield _good(held.mention, kept - PLAIN, "made" if version else "got", clause, state, held.topic)
    first = next(clause.objects, None)
    many, number = (first.many, first.number) if first else (False, 0)
    for noun in dict.fromkeys((*NOUNS_OF.get(clause.verb, ()), *_of_act(clause))):
        yield Good(noun, frozenset(around) - PLAIN, "said", clause.act, clause.verb, noun, many, number)


def _of_act(clause: Clause) -> Iterator[str]:
    if clause.verb not in NO_NOUN and clause.act not in ("send", "run", "alter", "add", "read"):
        yield sense(clause.verb)
    if clause.act == "judge":
        yield _FINDING
        yield REVIEW


def _good(
    mention: Mention,
    marks: frozenset[str],
    kind: Kind,
    clause: Clause,
    state: frozenset[str],
    topic: frozenset[str],
) -> Good:
    head, said, fresh = sense(mention.head), mention.said, mention.article == "a"
    many, number = mention.many, mention.number
    return Good(head, marks, kind, clause.act, clause.verb, said, many, number, fresh, state, topic)


def _kind(clause: Clause, mention: Mention) -> Kind | Literal[""]:
    """What becomes of a thing that a clause speaks of; empty where nothing does."""
    act, lead, known = clause.act, mention.lead, mention.article in KNOWN
    if not mention.head:
        return ""
    if _made(clause, mention):
        return "altered" if known and (lead or mention.done) else "made"
    if not lead:
        return _of_object(clause, mention)
    asked = lead in _QUESTIONS if act != "make" else lead == "which"
    if (asked or (lead == "by" and clause.verb in GROUPING)) and act in (
        "judge",
        "tell",
        "get",
        "decide",
        "alter",
        "make",
    ):
        return "got"
    if lead == "for" and clause.verb in SEARCHING:
        return "got"
    if (lead == "in" and mention.number > 1) or (lead == "to" and clause.verb in TURNING and not known):
        return "made"
    return "altered" if act == "judge" and lead in ("that", "whether", "if") else ""


def _of_object(clause: Clause, mention: Mention) -> Kind:
    """What becomes of the thing that something is done to."""
    act, verb = clause.act, clause.verb
    if act == "run" and verb_of(mention.head):
        return "said"
    brought = (act == "get" and verb not in ASKING) or verb in CHOOSING or verb in LEARNING
    return "got" if brought else "altered"


def _is_noun_of(mention: Mention, clause: Clause) -> bool:
    """ "Write a *summary* of the calls", which is to summarise them."""
    return mention.head == clause.verb or verb_of(mention.head) == clause.verb


def _made(clause: Clause, mention: Mention) -> bool:
    if mention.lead:
        return mention.lead in ("into", "as") and clause.act in ("alter", "join", "get", "tell", "make")
    match clause.act:
        case "make":
            return True
        case "join":
            return mention.article == "a"
        case "add":
            return mention.article not in KNOWN
        case "judge" | "tell" | "get":
            return _is_noun_of(mention, clause)
        case _:
            return False


def _wants(clause: Clause, things: list[_Thing]) -> Iterator[Want]:
    act, verb = clause.act, clause.verb
    # A plan for a thing, or its design, comes before the thing.
    planned = act == "make" and (verb in SHAPING or any(mention.head in PLANS for mention in clause.objects))
    for at, (mention, complement, about, topic) in enumerate(things):
        if mention.filled or _is_time(mention) or any(other.place for other in (mention, *complement)):
            continue
        used = _used(clause, mention, at)
        if planned and not mention.done and mention.lead in ("for", "of", "on"):
            # The structure of a report comes before the report.
            used = "" if mention.lead == "of" else "plan"
        if not used:
            continue
        following = clause.mentions[at + 1 : at + 3]
        more = _words(other for other in following if other.lead in _RELATIVE)
        # One chooses for a purpose.
        which = about if act != "decide" else _words(other for other in complement if other.lead != "for")
        beside = tuple((m.head, m.marks - PLAIN) for m in clause.mentions if m is not mention and m.marks)
        marks = mention.marks - PLAIN
        yield Want(sense(mention.head), marks, which, more, topic, beside, used, verb, mention)


def _is_time(mention: Mention) -> bool:
    return mention.head in TIMES and not mention.marks and not mention.done


def _used(clause: Clause, mention: Mention, at: int) -> Use:
    """What a clause needs a thing for that it speaks of; empty where the thing need not be there."""
    act, lead, known = clause.act, mention.lead, mention.article in KNOWN
    worked = bool(mention.done) and mention.article == "the"
    if not mention.head:
        return act or "read"
    if act == "make" and not lead and not worked and not _is_noun_of(mention, clause):
        return "shape"
    if _made(clause, mention) and not (worked and act == "make") and not (lead in ("into", "as") and known):
        return ""
    if not lead and not mention.done and _is_brought(clause, mention):
        return "get"
    if lead == "of" and at and not mention.done and _is_whole(clause, clause.mentions[at - 1], mention):
        return ""
    return "read" if act in ("", "get") else act


def _is_brought(clause: Clause, mention: Mention) -> bool:
    """Whether a clause itself brings in what it does something to."""
    if mention.article == "this":
        return False
    by_verb = clause.verb in LEARNING and mention.article != "each"
    return by_verb or (clause.act == "get" and clause.verb not in ASKING)


def _is_whole(clause: Clause, part: Mention, mention: Mention) -> bool:
    """Whether what stands behind "of" is the whole that a part is made of, or a list is given of."""
    if sense(part.head) in VIEWS:
        return False
    if part.article == "a":
        return True  # "A list of findings" is given from outside.
    best = part.said.endswith("est")
    return clause.act in ("make", "add") and not part.lead and not best and mention.head not in PLANS
