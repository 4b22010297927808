"""Stages of work: tasks that name no thing of their own and take up where the stage before them ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from stretto.lint.acts import root
from stretto.lint.makes import Trade
from stretto.lint.nouns import PEOPLE, PLAIN, heads, sense
from stretto.lint.reading import Clause, Reading
from stretto.models.words import stem
from stretto.plan.graph import Element

Stage = Literal[
    "",
    "gather",
    "clean",
    "analyse",
    "report",
    "write",
    "polish",
    "build",
    "test",
    "release",
    "send",
    "schema",
    "seed",
]


_REPORTS = heads(
    """abstract brief briefing chart dashboard digest memo overview post-mortem postmortem presentation
    recommendation report slides summary visualisation write-up"""
)
_TEXTS = heads(
    """advert announcement article blog chapter copy documentation draft essay guide letter manual memo
    newsletter page paper post proposal release report script speech story summary text whitepaper"""
)
_GENERIC = (
    heads(
        """acceptance all app application article artifact binary build change code codebase container
        content copy data database draft e2e end-to-end environment error everything failure feature
        final finding image integration it live manuscript piece production program project regression
        release result row server smoke software staging suite table test text that them this unit
        version whole"""
    )
    | PLAIN
)
"""Words that a stage is named with; they say nothing about what the work is on."""
_SCHEMA = heads("migration schema table")
_TEST = sense(root("test"))
_OF_STAGE: dict[Stage, str] = {
    "clean": "clean normalise deduplicate merge transform aggregate",
    "write": "translate",
    "polish": "proofread edit polish copyedit spellcheck",
    "build": "build implement develop code compile construct refactor fix patch upgrade port rewrite",
    "test": "test verify validate qa",
    "release": "deploy release ship roll launch",
    "send": "publish send submit post present deliver circulate distribute",
    "seed": "seed populate backfill",
}
_VERBS = {stem(verb): stage for stage, verbs in _OF_STAGE.items() for verb in verbs.split()}
_BEFORE: dict[Stage, tuple[tuple[Stage, ...], ...]] = {
    "test": (("build",),),
    "release": (("test",), ("build",)),
    "polish": (("write", "report"),),
    "send": (("polish",), ("write", "report")),
    "seed": (("schema",),),
    "clean": (("gather",),),
    "analyse": (("clean",), ("gather",)),
    "report": (("gather", "clean", "analyse"),),
}
"""Of each stage those that come right before it; what counts is the first of which the plan has any."""
_AUDIENCE = frozenset("to by until before".split())


class Place(NamedTuple):
    """Where a task stands in the course of the work."""

    stage: Stage
    topic: frozenset[str]
    """The words for what it is about; empty where only the stage is named."""
    sourced: bool
    """It names a file that it goes by."""


def place_of(reading: Reading, trade: Trade) -> Place:
    clause = next((c for c in reading.clauses if c.act not in ("", "read")), None)
    if clause is None:
        return Place("", trade.words, False)
    head = next((sense(m.head) for m in clause.objects), "")
    topic: set[str] = set()
    for mention in (m for c in reading.clauses for m in c.mentions):
        for_people = mention.lead == "for" and mention.head in PEOPLE
        if mention.lead not in _AUDIENCE and not for_people:
            topic |= mention.marks | {mention.head}
        if mention.done:
            topic.add(mention.done)
    stage = _stage(clause, head)
    plain = _GENERIC | {head} if stage == "report" else _GENERIC
    topic = {word for word in topic if word != clause.verb and sense(word) not in plain}
    sourced = any(use.role in ("read", "aside") for use in reading.paths)
    return Place(stage, frozenset(topic), sourced)


def _stage(clause: Clause, head: str) -> Stage:
    verb, act = clause.verb, clause.act
    if verb != stem("seed") and head in _SCHEMA and act in ("run", "make"):
        return "schema"
    if head == _TEST and act in ("run", "judge"):
        return "test"
    if act in ("make", "tell") and head in _REPORTS:
        return "report"
    if verb in _VERBS:
        return _VERBS[verb]
    if act in ("judge", "join"):
        return "analyse" if clause.mentions else ""
    if act == "get":
        return "gather"
    return "write" if act == "make" and head in _TEXTS else ""


def dangling(
    places: Mapping[Element, Place],
    trades: Mapping[Element, Trade],
    makers: Mapping[Element, AbstractSet[Element]],
) -> Iterator[tuple[Element, Element]]:
    """Tasks of a later stage that nothing ties to the plan, each with the one task that it can follow."""
    tied = {user: set(found) for user, found in makers.items()}
    for user, place in sorted(places.items(), key=lambda entry: entry[1].stage == "report"):
        if tied[user] or place.stage not in _BEFORE or place.sourced:
            continue
        if place.topic and place.stage not in ("report", "analyse"):
            continue
        for stages in _BEFORE[place.stage]:
            before = [e for e, other in places.items() if other.stage in stages and e is not user]
            if before:
                about = [e for e in before if _fits(place, places[e], _words(e, trades, tied))]
                ends = [e for e in about if user not in tied[e] and not any(e in tied[o] for o in about)]
                if len(ends) == 1:
                    tied[user].add(ends[0])
                    yield user, ends[0]
                break


def _fits(place: Place, before: Place, words: set[str]) -> bool:
    """Whether a task can follow one with these words; an analysis only if one of them names a stage alone."""
    if place.stage == "analyse":
        return not place.topic or (before.stage == "clean" and not before.topic)
    return place.topic <= words


def _words(
    element: Element, trades: Mapping[Element, Trade], makers: Mapping[Element, AbstractSet[Element]]
) -> set[str]:
    """The words of a task and of those whose goods it uses."""
    return set(trades[element].words).union(*(trades[o].words for o in makers[element] if o in trades))
