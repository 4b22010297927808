"""What a prompt shows of itself to one who asks whether it goes on from another: words, pointers, files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from stretto.lint.acts import root
from stretto.lint.fits import kin
from stretto.lint.makes import Trade
from stretto.lint.nouns import NOUNS_OF, PLAIN, TIMES, sense
from stretto.lint.phrases import KNOWN, Mention
from stretto.lint.reading import Reading
from stretto.models.clauses import EMPTY, LEAD, PRONOUN, STOP
from stretto.models.words import look_up


class Seat(NamedTuple):
    """Where a file or an identifier stands in a prompt."""

    role: str
    lead: str
    """The word before it."""
    at: str
    """`^` at the very beginning, `$` at the very end, `.` at the end of a sentence, else `-`."""


class Sketch(NamedTuple):
    """One prompt, as far as it bears on its ties to others."""

    said: tuple[str, ...]
    """The stems of its words that are no mere grammar, in order."""
    words: frozenset[str]
    """The same without those that tell nothing apart, and its identifiers."""
    beginnings: frozenset[str]
    """The first letters of its longer words: who simulates makes a simulation."""
    back: str
    """How it points back: `A` by a pronoun, a number or "those", `d` by a bare "the", `c` by a "the" that is
    explained, `n` not at all."""
    points: bool
    """It points back to what it does not name."""
    signs: tuple[str, ...]
    """What it shows as one that may need something."""
    gives: tuple[str, ...]
    """What it shows as one that may make something."""
    known: frozenset[str]
    """Heads that it takes as known."""
    marks: frozenset[str]
    """What stands beside them."""
    wants: frozenset[str]
    made: frozenset[str]
    verbs: frozenset[str]
    deeds: frozenset[str]
    """Nouns of what its verbs leave behind."""
    done: frozenset[str]
    """What was done to the things that it wants, as verbs."""
    act: str
    order: str
    """The class of the word that it begins with, as a verb."""
    head: str
    """Of what its first verb is done to."""
    first: tuple[str, ...]
    """Its verb and that head."""
    names: frozenset[str]
    numbers: frozenset[str]
    files: dict[str, Seat]
    marked: dict[str, Seat]
    """Its identifiers: `fct_orders`, `#inc-12`, `shop:1.4`."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_GRAMMAR = (STOP | EMPTY | LEAD | PRONOUN) | _set(
    """a an are as at be but by can could did do does each every for from had has have here how i if in into
    is it its just kindly may might more most no not of off on only or our out over per please s should so
    some t than that the their then there these they this those to too under up very via was we were what
    when where which who why will with would you your"""
)
_BOUNDS = _set(
    """after although and as because before but how if or since so than that then until when where whether
    which while who"""
)
"""Behind these a pronoun may mean what stands before them."""
NUMBERS = _set("two three four five six seven eight nine ten twelve twenty") | {str(n) for n in range(2, 101)}
_PATH = re.compile(r"[\w./-]*/[\w./*-]+|\b\w+\.(?:csv|docx|json|jsx|md|pdf|py|ts|txt|wav|xlsx|ya?ml)\b")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'’]*(?:-[A-Za-z]+)*|\d[\d.,:]*\d|\d|[,.;:?!()]")
_NAME = re.compile(r"(?<!^)(?<![.?!] )\b([A-Z][A-Za-z0-9]+|\w*\d\w*)\b")
_MARKED = re.compile(
    r"\b[A-Za-z]\w*_\w+|\b\w+\(\)|\b[A-Za-z][\w-]*[:.]v?\d[\w.]*|#[A-Za-z][\w-]+|\b[a-z]+[A-Z]\w+"
    r"|\b[A-Z]{2,}-\d+"
)
_BACK = re.compile(
    r"\b(?:accordingly|remain\w*|result(?:s|ing)|outcome|above|previous\w*|former|latter|same|again|afterwards"
    r"|so far|thereof|earlier|in question|what(?:'s| is| was| they| came| it)|whatever|whoever|once)\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[A-Za-z]+|[:=(]")
_THEY = _set("them they it its their these those")
_TELLS = _set("about at for from in of on that to which who with")
_LONG = 5
"""Letters that two words of one origin have in common."""


def sketch_of(prompt: str, reading: Reading, trade: Trade) -> Sketch:
    said, pointers = _said(prompt)
    known, more = _taken(reading)
    pointers.update(more)
    if _BACK.search(prompt):
        pointers["back"] += 1
    marked = dict(_identifiers(prompt))
    words = (frozenset(said) - PLAIN) | marked.keys()
    clauses = [clause for clause in reading.clauses if clause.verb]
    act = next((clause.act for clause in reading.clauses if clause.act), "")
    verb = clauses[0].verb if clauses else ""
    head = next((sense(m.head) for c in reading.clauses for m in c.objects if m.head), "")
    names = frozenset(_NAME.findall(prompt))
    files = {use.path.norm.rstrip("/"): _seat(prompt, use.path.text, use.role) for use in reading.paths}
    begin = _TOKEN.search(prompt)
    points = any(pointers[sort] for sort in ("those", "they", "that", "number"))
    strong = points or pointers["back"] or pointers["done"]
    bare = pointers["bare"] or pointers["marked"]
    question = prompt.rstrip().endswith("?")
    both = [f"act {act}", f"asks {question}", f"verb {bool(verb)}", f"length {_size(len(words))}"]
    roles = {seat.role for seat in files.values()}
    signs = [
        *(f"points {sort} {min(n, 2)}" for sort, n in pointers.items() if n),
        f"reads {not roles.isdisjoint(('read', 'aside', 'edit'))}",
        f"writes {not roles.isdisjoint(('new', 'add'))}",
        f"names {min(len(names), 3)}",
    ]
    return Sketch(
        tuple(said),
        words,
        frozenset(word[:_LONG] for word in words if len(word) >= _LONG),
        "A" if strong else "d" if bare else "c" if pointers["told"] else "n",
        points,
        tuple(f"user {sign}" for sign in (*both, *signs)),
        tuple(f"maker {sign}" for sign in (*both, f"many {any(good.many for good in trade.goods)}")),
        frozenset(sense(m.head) for m in known),
        frozenset(sense(mark) for m in known for mark in m.marks),
        frozenset(want.head for want in trade.wants),
        frozenset(good.head for good in trade.goods),
        frozenset(kin(clause.verb) for clause in clauses),
        frozenset(noun for clause in clauses for noun in NOUNS_OF.get(clause.verb, ())),
        frozenset(kin(want.mention.done) for want in trade.wants if want.mention.done),
        act,
        look_up(begin[0]).verb if begin else "",
        head,
        tuple(dict.fromkeys(word for word in (verb, head) if word)),
        names,
        NUMBERS & {token.lower() for token in _TOKEN.findall(prompt)},
        files,
        marked,
    )


def _size(words: int) -> int:
    return next((most for most in (1, 2, 3, 4, 6, 9, 14) if words <= most), 99)


def _said(prompt: str) -> tuple[list[str], Counter[str]]:
    """The stems of a prompt, and how often it points to something that it has not named."""
    text = _PATH.sub(" q_ ", prompt)
    said: list[str] = []
    pointers: Counter[str] = Counter()
    tokens = [token.lower().replace("’", "'") for token in _TOKEN.findall(text)]
    noun = named = False
    for at, token in enumerate(tokens):
        following = next((other for other in tokens[at + 1 : at + 3] if other[0].isalnum()), "")
        if not token[0].isalnum() or token in _BOUNDS:
            named = named or noun
        sort = _pointer(token, following, tokens[at - 1] if at else "", named, said)
        if sort:
            pointers[sort] += 1
        if token in ("all", "both", "each", "the", "these", "those") and following in NUMBERS:
            pointers["number"] += 1
        if not token[0].isalnum() or token in _GRAMMAR:
            continue
        noun = noun or bool(said) or not look_up(token).verb
        said.append(sense(root(token)) if token[0].isalpha() else token)
    return said, pointers


def _pointer(token: str, following: str, before: str, named: bool, said: list[str]) -> str:
    """How a word points back; empty where it does not, or to what the prompt itself has named."""
    if token in ("this", "these", "those") and following and following not in _GRAMMAR:
        return "" if sense(root(following)) in said else "those"
    if token in _THEY:
        return "them" if named else "they"
    if token == "that" and (not following or before in ("after", "by", "from", "of", "on", "with")):
        return "that"
    return ""


def _taken(reading: Reading) -> tuple[list[Mention], Counter[str]]:
    """What a prompt takes as known when it first speaks of it, and how."""
    found: list[Mention] = []
    sorts: Counter[str] = Counter()
    before: set[str] = set()
    for clause in reading.clauses:
        for at, mention in enumerate(clause.mentions):
            if not mention.head:
                continue
            if mention.article in KNOWN and mention.head not in before and mention.head not in TIMES:
                found.append(mention)
                told = any(other.lead in _TELLS for other in clause.mentions[at + 1 : at + 2])
                sorts["told" if told else "marked" if mention.marks else "bare"] += 1
                sorts["done"] += bool(mention.done)
                sorts["each"] += mention.article == "each"
            before.add(mention.head)
    return found, sorts


def _seat(prompt: str, text: str, role: str) -> Seat:
    at = prompt.find(text)
    if at < 0:
        return Seat(role, "declared", "-")
    behind = prompt[at + len(text) :].strip()
    where = "$" if not re.search(r"\w", behind) else "." if behind[:1] in (".", ";") else "-"
    return Seat(role, _lead(prompt[:at]), "^" if not prompt[:at].strip() else where)


def _lead(before: str) -> str:
    words: list[str] = _BEFORE.findall(before)
    return words[-1].lower() if words else "^"


def _identifiers(prompt: str) -> Iterator[tuple[str, Seat]]:
    text = _PATH.sub(" ", prompt)
    for found in _MARKED.finditer(text):
        yield found[0].lower(), Seat("", _lead(text[: found.start()]), "-")
