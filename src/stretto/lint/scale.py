"""Words by how much work they stand for: what takes an agent a while, and what it does in passing."""

from __future__ import annotations

import re
from functools import lru_cache


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What is done to a thing by itself.
WRITING = _set(
    """author build carry code compile compose conduct craft create design develop document draft
    elaborate generate implement make perform prepare produce program record redesign undertake write"""
)
JUDGING = _set(
    """analyse analyze appraise assess audit benchmark critique evaluate examine grade harden inspect
    investigate localise localize migrate modernise modernize optimise optimize overhaul port profile
    proofread reengineer refactor reimplement research restructure restyle review revise rework rewrite
    scrutinise scrutinize secure size study survey test transcribe translate upgrade vet"""
)
RENDERING = _set("localise localize translate")
WHOLE = _set("audit migrate modernise modernize port refactor reimplement rewrite")
"""What is done to whole things, so that a bare row of names behind it is one of things."""
RUNNING = _set("benchmark build generate test")
"""Work on what is still to be made; on what is there, a command."""
CHANGING = _set("adapt change convert move switch transfer transform")
"""Work where it is done to parts of a program; on files, a matter of one command."""
TELLING = _set("condense describe explain recap summarise summarize")
"""Work where each is told by itself; else it brings many things into one."""
LIGHT = _set("carry conduct do give hold make perform produce run undertake write")
ACTS = _set(
    """analysis assessment audit evaluation inspection investigation migration refactoring research
    review study survey teardown translation"""
)
"""Nouns of work, behind a light verb or by themselves: "do an audit of"."""
JOINING = _set(
    """accept adopt aggregate arrange award buy choose cluster combine compare consolidate contrast
    decide derive hire integrate join merge pick prioritise prioritize rank recommend reconcile select
    sequence shortlist sort split synthesise synthesize unify"""
)
"""What needs all of the things at once."""
NAMING = _set("classify collect count estimate find gather identify list map name plan propose tabulate")
"""What only finds or names them."""

SIZEABLE = _set(
    """adapter agreement album api app application article bank bid blog book branch brand building
    business campaign capability chapter city cluster codebase committee company competitor component
    concept connector continent contract controller corporation country course crate dashboard dataset
    deal department district division document dossier driver epic essay exhibit experiment facility
    factory feature firm framework guide handbook hospital hotel incident industry institution
    integration interview island jurisdiction language lecture lesson library locale location manual
    manufacturer manuscript market microservice microsite ministry module nda notebook office
    organisation organization package paper partner patent pipeline plant platform playbook plugin policy
    portfolio practice procedure product program programme project property proposal provider province
    pull-request region repo report repository runbook school screen sdk sector segment service site
    subsidiary subsystem supplier survey system target team tender thesis town transcript trial tutorial
    university vendor warehouse website workflow workshop workstream"""
)
"""Things of which each takes work of its own; in the singular."""

DOCUMENTS = _set(
    """adapter analysis annex article assessment audit biography brief briefing brochure chapter concept
    connector course curriculum dashboard deck documentation dossier driver epic essay evaluation guide
    handbook integration lesson library manual memo microsite module obituary opinion package paper playbook
    plugin policy portrait profile proposal prototype reference report review runbook sdk service site
    specification story study suite syllabus toolkit training tutorial website whitepaper"""
)
"""Products that are work of their own, each."""
LESSER = _set("content docs material page plan post screen test tests translation")
"""Products that may be small: many of them are work of their own."""
MASS = _set("content copy coverage docs documentation material research training")

SMALL = _set(
    """alt answer blurb bug bullet caption cell column comment date docstring email entry field function
    headline icon idea item joke label letter line link mail message method minute name note option
    paragraph parent point question quote record reply row section sentence slide slogan step string
    subject tab table tag teaser ticket tip title topic tweet variant version way word"""
)
"""What a text, a list or a table has several of."""

TEXTS = _set(
    "article chapter decision document interview paper report review statement study thesis transcript"
)
"""What is read for something else that is written from it."""

BRIEF = _set(
    """abstract announcement bio greeting invitation letter memo message notice poem postcard reminder
    sign statement summary"""
)
"""Texts so short that one agent translates them into several languages in passing."""

CODE = _set(
    """class component controller crate driver hook job library microservice module notebook package page
    plugin repo repository screen script service subsystem suite view"""
)
ASPECTS = _set(
    """abstract accessibility accuracy actions angle appendix aspect authentication background budget
    clarity completeness compliance conclusion concurrency configuration consistency constraint
    correctness cost coverage criteria criterion decisions dimension discussion efficiency error example
    format formatting goal grammar heading introduction issue item layout length logging logic
    maintainability method methodology metric naming objective opportunity outlook overview performance
    perspective pricing privacy problem quality question readability reference requirement result risk
    rule scalability scope section security sentiment severity spelling stability step strength structure
    style summary surprise theme timeline tone trend typography usability viewpoint vulnerability
    weakness"""
)
"""Views on one thing, or parts of one text: a list of them is no list of things."""

NUMBERS = {
    word: number
    for number, word in enumerate(
        """three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen""".split(),
        3,
    )
} | {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "dozen": 12, "hundred": 100}


def number(word: str) -> int:
    """The number that a word says, from three on; else 0."""
    digits = word.isdigit() and len(word) < 6 and not word.startswith("0")
    return NUMBERS.get(word) or (int(word) if digits and int(word) >= 3 else 0)


@lru_cache(maxsize=8192)
def singular(word: str) -> str:
    """The word without the ending of a plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")) or word == "analyses":
        return word[:-2] + ("is" if word == "analyses" else "")
    return (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    )


def plural(word: str) -> bool:
    return singular(word) != word


_TURNS = tuple(
    (signs.split("|"), re.compile(rf"\b(?:{turn})\b", re.IGNORECASE), verb)
    for signs, turn, verb in (
        ("look ", r"(?:have|take|give|cast) (?:a|an|another) (?:[\w-]+ ){0,2}look (?:at|over)", "review"),
        (
            " through| over|look closely|read up",
            r"(?:go(?:ing)?|read|look) (?:through|over)|look closely at|read up on",
            "review",
        ),
        ("look into|dig into|inquire into", r"(?:look|dig|inquire) into", "investigate"),
        ("version of|redo", r"(?:write|make|do|produce) a new version of|redo", "rewrite"),
        ("translation of", r"(?:do|give|make|produce) a translation of", "translate"),
        ("draft of|version of", r"(?:write|make|prepare|produce) (?:a draft|a first version) of", "draft"),
    )
)
"""Turns of phrase with the verb that each stands for; one of its signs stands in every one."""


def plain(text: str) -> str:
    """The text with turns of phrase by the verbs that they stand for."""
    low = text.lower()
    for signs, turn, verb in _TURNS:
        if any(sign in low for sign in signs):
            text = turn.sub(verb, text)
    return text
