"""What comments beside bare tasks say: where a stage begins, which half a plan is, what was accepted."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple


class Comment(NamedTuple):
    """A comment without its `#`. The line counts from 1, the column from 0, both in its block."""

    text: str
    line: int
    column: int
    own: bool
    """Nothing else stands on its line."""


class Mark(NamedTuple):
    """What a comment says about the order of the tasks around it.

    A *number* ("Step 2") begins the stage of that number, or goes on with it. A *boundary* ("Wait", "then")
    ends a stage. A *sequence* ("Build -> Test") and *serial* ("one after the other") name the order of
    the tasks that follow; a *loose* sequence is one of words ("draft, then edit").
    """

    kind: Literal["number", "boundary", "sequence", "serial"]
    word: str = ""
    number: str = ""
    parts: tuple[str, ...] = ()
    loose: bool = False


class Label(NamedTuple):
    """The head of a half of a block: BAD, GOOD, ... or only its mark, and the rest of its line."""

    word: str
    rest: str


_NUMBERS = (
    "one first i a",
    "two second ii b",
    "three third iii c",
    "four fourth iv d",
    "five fifth v e",
    "six sixth vi f",
    "seven seventh vii g",
    "eight eighth viii h",
)
_COUNT = {word: str(number) for number, row in enumerate(_NUMBERS, 1) for word in row.split()}
_ORDINALS = "|".join(row.split()[1] for row in _NUMBERS)
_STAGE = "step|level|layer|stage|phase|wave|round"
_NUMBER = re.compile(
    rf"(?:(?:and|now|then|next|finally|begin|start|on to)\b[,:]? )?(?:"
    rf"(?P<word>{_STAGE})s? ?[#:.]? ?(?P<number>\d+(?:\.\d+)*|(?:{'|'.join(_COUNT)})\b)"
    rf"|(?P<ordinal>{_ORDINALS}) (?P<named>{_STAGE})\b)"
)
_DONE = r"(?:done|finish\w*|complet\w+|ready|pass(?:es|ed)?|succe\w+|returned|settled|in place|exists?)\b"
_BEGINS_STAGE = re.compile(
    rf"(?:and |now |only |but )*(?:"
    r"(?:then|wait(?:s|ing)?|await|finally|lastly|afterwards?|subsequently|barrier|followed by)\b"
    r"|(?:gather|synthesi[sz]\w*|synthesis)\b"
    rf"|next\b(?!\.\w)|(?:final|last) (?:{_STAGE})\b"
    rf"|after(?: (?:that|this|which|these|those|all|both|every\w*|each|the|it|{_STAGE})\b| ?:)"
    rf"|(?:after|once|when|as soon as|if)\b.*\b{_DONE}"
    # Other words for gathering begin a stage only where they stand as a heading.
    r"|(?:combin|merg|aggregat|reduc|integrat|consolidat|summari[sz]|join|collect|fan[- ]?in|wrap[- ]?up)\w*"
    r"(?: (?:step|stage|phase|results?|everything|all|findings))?(?: ?[:(]|$| [-\u2013\u2014] ))"
)
_SPEAKS_OF_NEED = re.compile(
    r"\bwait(?:s|ing)? (?:for|until|till|on)\b|\bdepends\b|\bdepend(?:s|ing|ent)? (?:up)?on\b"
    r"|\b(?:needs|requires|uses|builds on)\b.*\b(?:above|previous|outputs?|results?|findings)\b"
)
_BEHIND_CALL = re.compile(r"(?:then|next|finally|lastly|afterwards?|gather|synthesi[sz]\w*|depends)\b|after ")
_WAIT_BEHIND_CALL = re.compile(r"(?:then |now )?(?:wait|await)\b")
_NOT = re.compile(
    r"\b(?:no|not|don't|doesn't|needn't|isn't|aren't|without|never|nothing|none|neither)\b[^.;,:]{0,40}"
    r"\b(?:wait|depend|block|order|sequen|need)"
)
_BESIDE = re.compile(
    r"\b(?:parallel|concurrent(?:ly)?|simultaneous(?:ly)?|same time) (?:with|to|as)\b"
    r"|\balongside\b|\bmeanwhile\b|\bin the meantime\b"
)
_OUTCOME = re.compile(
    r"(?:results?|returns?|times?|costs?|totals?|savings?|problems?|issues?|alternative|benefits?|outputs?"
    r"|expected|note|why|example|e\.g\.|pros|cons|summary|speedup|impact|budget|type|stretto)\b[^:]{0,30}:"
)
_TOPIC = re.compile(r"(?:task|goal|plan|pipeline|flow|workflow|order|pattern)s? ?:\s*")
_ARROW = re.compile(r"\s*(?:-+>|=+>|>>|[\u2192\u21d2\u27a1\u279c\u2794]\ufe0f?)\s*")
_ONLY_ARROWS = re.compile(r"(?:[\u2193\u21d3\u2b07\u25bc\u2192]\ufe0f?|\||-+>|=+>|\s)+")
_THEN = re.compile(r",?;? (?:and )?then,? ")
_SERIAL = re.compile(r"\bone (?:after|at a time|by one)|\bsequential(?:ly)?\b|\bin sequence\b|\bserially\b")
_COMPARES = re.compile(r"\b(?:vs|versus|instead|rather|than|or)\b")
_PARALLEL = re.compile(r"\bparallel\b|\bat once\b|\bsame time\b|\bsimultaneous|\bconcurrent", re.I)

_WORDS = "BAD|GOOD|BETTER|BEST|WORSE|EXPENSIVE|OPTIMIZED|OPTIMISED|OPTIMAL|WRONG|RIGHT|AVOID"
_LABEL = re.compile(
    r"[\s=*#~-]*(?P<mark>[\u274c\u2705\u274e\u2716\U0001f534\U0001f7e2]\ufe0f?)?[\s\[(*\u2713\u2714\u2717]*"
    rf"(?:(?P<loud>{_WORDS})\b|(?P<said>(?i:{_WORDS})\b)"
    r"(?=\W*$|[\])*]*\s*[:\u2014]|\s(?:way|example|approach|plan|version)\b))?"
)
_ACCEPT = re.compile(r"\s*stretto: *accept +([a-z][a-z0-9-]*) *: *(\S.*)")
_MEANT = re.compile(r"\s*stretto\s*:\s*accept", re.I)


def label_of(text: str) -> Label | None:
    """The label that a comment of its own line begins with. A mark before `Step 2` only ticks it off."""
    found = _LABEL.match(text)
    assert found is not None, "everything in it is optional"
    word = found["loud"] or found["said"]
    if not word and (not found["mark"] or _NUMBER.match(_plain(text))):
        return None
    return Label((word or "").lower(), text[found.end() :])


@lru_cache(maxsize=1024)
def mark_above(text: str) -> Mark | None:
    """What a comment of its own line says about the order of what stands above and below it."""
    words = _plain(text)
    numbered = _numbered(words)
    if numbered is not None:
        return numbered
    if text.strip() and _ONLY_ARROWS.fullmatch(text):
        return Mark("boundary")
    if text.lstrip().startswith(("- ", "* ", "\u2022")) or _is_aside(words):
        return None
    topic = _TOPIC.match(words)
    if topic:
        return _sequence(words[topic.end() :])
    arrows = _sequence(text.strip().lower(), loose=False)
    if arrows is not None:
        return arrows
    if _BEGINS_STAGE.match(words) or _SPEAKS_OF_NEED.search(words):
        return Mark("boundary")
    if _SERIAL.search(words) and not says_parallel(words) and not _COMPARES.search(words):
        return Mark("serial")
    return _sequence(words)


def mark_before(text: str) -> Mark | None:
    """What a comment behind a call says about when that task begins."""
    words = _plain(text)
    if _WAIT_BEHIND_CALL.match(words) or _is_aside(words):
        return None
    return _numbered(words) or (Mark("boundary") if _BEHIND_CALL.match(words) else None)


def waits_behind(text: str) -> bool:
    """Whether a comment behind a call ends the stage: what follows waits for it."""
    words = _plain(text)
    if _ONLY_ARROWS.fullmatch(text) and text.strip():
        return True
    return _WAIT_BEHIND_CALL.match(words) is not None and not _is_aside(words)


def says_parallel(text: str) -> bool:
    return _PARALLEL.search(text) is not None


def accepted(text: str) -> tuple[str, str] | None:
    """The slug and the reason of `stretto: accept SLUG: reason`."""
    found = _ACCEPT.match(text)
    return (found[1], found[2].strip()) if found else None


def would_accept(text: str) -> bool:
    """Whether a comment was meant to accept something, however it is written."""
    return _MEANT.match(text) is not None


def _plain(text: str) -> str:
    """The words in lower case with one space between, without what only decorates the comment."""
    words = re.sub(r"^[\W_]+", "", text).lower().replace("\u2019", "'")
    return " ".join(words.split()).rstrip(" -=*~_#>")


def _is_aside(words: str) -> bool:
    """Speaks of results or figures, denies an order, or says that something runs beside the rest."""
    return bool(_OUTCOME.match(words) or _NOT.search(words) or _BESIDE.search(words))


def _numbered(words: str) -> Mark | None:
    found = _NUMBER.match(words)
    if found is None or _BESIDE.search(words):
        return None
    number = found["number"] or found["ordinal"]
    return Mark("number", found["word"] or found["named"], _COUNT.get(number, number))


def _sequence(words: str, *, loose: bool = True) -> Mark | None:
    """`build -> test -> deploy`, or `collect, then clean`: a heading that names its tasks in order."""
    for separator in (_ARROW, _THEN) if loose else (_ARROW,):
        parts = tuple(part for part in separator.split(words) if part)
        if len(parts) > 1 or separator.match(words):
            return Mark("sequence", parts=parts, loose=separator is _THEN)
    return None
