"""Prompts of a drafted plan: what to do, in the goal's words; what to return; how to tell that it is done."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from stretto.draft.phrases import safe
from stretto.draft.reading import Goal
from stretto.draft.repository import Repository

COLUMNS = 100

Work = Literal["change", "text", "answer", "findings", "effect", "data"]
"""What is handed over: a change of files, a text, an answer, what was seen, a deed, figures or records."""

CODE = frozenset(
    """api app backend branch bug ci class code codebase cli component config controller crash css database
    deadlock docker docstring docstrings endpoint exception feature footer frontend function functions
    handler html java javascript library lint linter logging method microservice microservices migration
    module modules monolith null package packages page parser pointer python query race readme refactor regex
    repo repository schema script scripts sdk service services sql stylesheet test tests typescript typo ui
    unit variable website""".split()
)
"""Words of goals that are about the repository they stand in."""

_CHANGES = frozenset({"mend", "build", "edit", "alter", "add", "rethink", "set", "shape", "make"})
_EFFECTS = frozenset(
    """announce apply book buy call charge close deploy email field file flash install invite launch load mail
    message notify open order pay phone place post promote provision publish push put reboot reboot refund
    release restart restore roll rotate send ship sign submit switch transfer tweet upload""".split()
)
_TELLS = frozenset({"seek", "check", "judge", "learn", "appraise", "compare", "select"})
_TAKES = frozenset("extract transcribe convert export import download scrape collect parse scan".split())

RETURNS: dict[Work, str] = {
    "change": "Return the change as one unified diff against the project's root, without fences and without "
    "any other text. It is done when the diff does all that is asked here and nothing else, and `git apply` "
    "takes it.",
    "text": "Return the finished text alone, ready to be used. It is done when everything that is asked for "
    "here is in it.",
    "answer": "Return the answer in a few sentences, with what it rests on. If it cannot be known from what "
    "you were given, say so and say what is missing.",
    "findings": "Return a list, the most important first: what it is, where it was seen, what follows from "
    "it. If there is nothing, say so.",
    "effect": "Return what was done, in the order in which it was done, and what came out of it. It is done "
    "when the result has been looked at; if it cannot be done, say why and leave everything as it was.",
    "data": "Return the result alone, as plain lines. It is done when nothing that was asked for is missing; "
    "where something cannot be found, write `unknown` and never a guess.",
}


class Setting(NamedTuple):
    """Where a goal stands, and whether it is about what stands there."""

    goal: Goal
    repository: Repository
    about_code: bool


def about_code(goal: Goal, repository: Repository) -> bool:
    """Whether the goal is about the code here, and not about one of the other things in the world."""
    if not repository.is_code:
        return False
    words = {word.text for piece in goal.pieces for word in piece.words}
    parts = (*repository.modules, *repository.services, *repository.packages)
    named = {path.rpartition("/")[2].partition(".")[0].lower() for path in parts}
    endings = "|".join(suffix[1:] for suffix in repository.suffixes)
    file = re.search(rf"[\w/-]+\.(?:{endings})\b", goal.text)
    return bool(file) or not CODE.isdisjoint(words) or len(named & words) > 1


def work_of(verb: str, sort: str, setting: Setting, *, question: bool = False) -> Work:
    """What somebody hands over who does this."""
    first = verb.split()[0] if verb else ""
    if question:
        return "answer"
    if has_effect(verb, sort):
        return "effect"
    if sort in _TELLS:
        return "findings"
    if sort in ("fetch", "give") or first in _TAKES:
        return "data"
    return "change" if setting.about_code and (sort in _CHANGES or not sort) else "text"


def has_effect(verb: str, sort: str) -> bool:
    """Whether it does something in the world, so that doing it twice could do harm."""
    first = verb.split()[0] if verb else ""
    return first in _EFFECTS or sort == "run"


def is_build(verb: str, nouns: AbstractSet[str]) -> bool:
    """Whether something is to be built by a machine: "build the image"; to build a feature is to write it."""
    return verb in ("build", "compile", "package", "bundle") and not _BUILT.isdisjoint(nouns)


_BUILT = frozenset(
    "app application artifact binary container firmware image package project release wheel".split()
)


def prompt(what: str, work: Work, setting: Setting, *notes: str, returns: str = "") -> str:
    """One prompt: the work, notes on this part of it, what to return, and the goal that it is a part of."""
    goal = safe(setting.goal.text).strip()
    lines = [what, *(note for note in notes if note), returns or RETURNS[work]]
    if _flat(goal) not in _flat(what):
        lines += ["<context>", f"The whole goal: {goal}", "</context>"]
    return "\n".join(wrapped(line) for text in lines for line in text.splitlines())


def wrapped(line: str) -> str:
    """A line of a prompt as a paragraph that can be read in the file."""
    if len(line) <= COLUMNS:
        return line.rstrip()
    return textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False)


def _flat(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()
