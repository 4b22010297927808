"""Chains of tasks that wait for each other although none needs anything of the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stretto.lint.acts import stems
from stretto.lint.fits import kin
from stretto.lint.market import Market
from stretto.lint.nouns import PLAIN, SHAPING, heads
from stretto.lint.phrases import KNOWN
from stretto.lint.reading import Clause
from stretto.lint.scene import task_of
from stretto.plan.graph import Element
from stretto.plan.model import Group

LENGTH = 3
"""Tasks in a row from which on it is worth a word."""
APART = 0.5
"""Odds that a task uses what the one before it makes, up to which the two are apart."""
_TURNS = stems(
    """cutover decommission disable drain enable failover flash migrate move patch rebuild reimage
    reindex rotate swap switch update upgrade"""
)
"""What is done to one machine, region or shop after the other on purpose, beside all that runs or sends."""
_CARRIED = re.compile(
    r"\b(?:again|above|afterwards|as planned|both|continu(?:e|ing)|earlier|existing|finally|former|latter"
    r"|output|outcome|previous(?:ly)?|remaining|resulting|results?|findings?|same|so far|step|stage|them"
    r"|these|they|those)\b",
    re.IGNORECASE,
)
"""Words that go back to what was there before, in a task's first sentence."""
_SHARED = re.compile(
    r"\b(?:rate limit|one at a time|one by one|one after the other|quorum|licen[cs]e seat|lock(?:ed|s)?|quota"
    r"|(?:single|same|one) (?:account|client|connection|instance|login|machine|runner|session|till)"
    r"|throttl\w*|in (?:this|that) order)\b",
    re.IGNORECASE,
)
"""Words for what only one task can have at a time."""
_FILLED = re.compile(r"\b(?:something|stuff|things?|whatever|anything)\b", re.IGNORECASE)
"""Words for want of one: nothing handed over is behind them."""
_NUMBERED = stems(
    """act chapter day draft episode half instalment iteration lesson level move page paragraph part
    phase round scene season section stage step verse version volume wave week"""
)
"""What is numbered because it goes on: part 2 follows part 1, and Flat 2 follows no Flat 1."""
_STAND_INS = heads("code copy data document draft file list page piece result table text version")
"""Heads that stand for what was made before: "cut the text"."""
_COUNTED = re.compile(r"\b([a-z]{2,}?)s? (\d{1,3}(?:(?:, | and |, and | to )\d{1,3})*)\b", re.IGNORECASE)
"""One of several things that have only numbers for names, or some of them: "bay 1", "chapters 1 and 2"."""
_ORDINAL = stems("fifth final first fourth last next one other remaining second third")
_RANK = {
    "gather": 1,
    "clean": 1,
    "analyse": 1,
    "schema": 2,
    "report": 3,
    "write": 3,
    "build": 3,
    "seed": 3,
    "polish": 4,
    "test": 4,
}
_RANK |= {"release": 5, "send": 5}
"""The course of the work, roughly."""
_SAYS_MUCH = 3
"""Words of its own with which a task says what it is about."""


def chains_of(market: Market) -> Iterator[list[Element]]:
    """Each longest run of needless waits with at least three tasks, in order."""
    behind: dict[Element, Element] = {}
    after: dict[Element, list[Element]] = {}
    for later in market.elements:
        before = tasks_before(later)
        if len(before) == 1:
            (behind[later],) = before
            after.setdefault(behind[later], []).append(later)
    for start in after:
        if start in behind and len(after[behind[start]]) == 1:
            continue
        line = [start]
        while len(following := after.get(line[-1], [])) == 1:
            line += following
        yield from _runs(market, line)


def _runs(market: Market, line: list[Element]) -> Iterator[list[Element]]:
    run: list[Element] = []
    for element in line:
        if element in market.trades and not (run and _needs(market, element, run)):
            run.append(element)
            continue
        if len(run) >= LENGTH:
            yield run
        run = [element] if element in market.trades else []
    if len(run) >= LENGTH:
        yield run


def tasks_before(element: Element) -> set[Element]:
    """The tasks that are directly before it by its own needs."""
    found: set[Element] = set()
    for need in element.needs:
        found |= set(need.target.sinks) if isinstance(need.target.part, Group) else {need.target}
    return found


def _needs(market: Market, later: Element, run: list[Element]) -> bool:
    """Whether a task may need the one before it, or is sure to use one further back."""
    return _may_need(market, later, run[-1]) or any(_uses(market, later, earlier) for earlier in run[:-1])


def _uses(market: Market, later: Element, earlier: Element) -> bool:
    """A reference, a file, or a word says that it uses what the earlier one makes."""
    after = task_of(later).after
    told = any(n.target is earlier and not n.handed and n.name not in after for n in later.needs)
    return told or _share_a_file(market, later, earlier) or market.may_use(later, earlier)


def _share_a_file(market: Market, later: Element, earlier: Element) -> bool:
    """Both name one file, and one of them writes it."""
    ours = {use.path.norm: use.written for use in market.readings[later].paths if not use.path.folder}
    return any(
        use.path.norm in ours and (use.written or ours[use.path.norm])
        for use in market.readings[earlier].paths
    )


def _may_need(market: Market, later: Element, earlier: Element) -> bool:
    """Whether the later task may need the earlier one, however weak the evidence is."""
    if later.grows or earlier.grows or _uses(market, later, earlier):
        return True
    if (market.odds(later, earlier) or 0.0) > APART:
        return True
    prompt = task_of(later).prompt
    if _SHARED.search(f"{prompt}\n{task_of(earlier).prompt}"):
        return True
    if _back_in_the_row(prompt, task_of(earlier).prompt) or _is_named(earlier, prompt):
        return True
    one, other = _main(market, earlier), _main(market, later)
    if one is None or other is None:
        return True
    if _alike(one, other):
        return _in_turn(market, later, earlier, other)
    if any(
        w.head in _STAND_INS and w.mention.article in KNOWN and not w.marks
        for w in market.trades[later].wants
    ):
        return True
    sentence = re.split(r"[.\n]", prompt, maxsplit=1)[0]
    return bool(_CARRIED.search(sentence)) or not _apart(market, later, earlier)


def _back_in_the_row(later: str, earlier: str) -> bool:
    """ "Pour plan for bay 2, starting *from the joint of bay 1*": beside its own it names the one before."""
    ours, theirs = _numbered(later), _numbered(earlier)
    return any(numbers & theirs.get(noun, set()) and numbers - theirs[noun] for noun, numbers in ours.items())


def _is_named(earlier: Element, prompt: str) -> bool:
    """ "Ten products that close *the gaps*": what its author calls the task before."""
    name, text = earlier.part.id.replace("-", " ").replace("_", " "), prompt.lower()
    if name not in text:
        return False
    said = rf"\b(?:the|these|this|those|that|its|their) (?:\w+ )?{re.escape(name)}\b"
    return bool(re.search(said, text))


def _numbered(prompt: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for noun, numbers in _COUNTED.findall(prompt):
        found.setdefault(noun.lower(), set()).update(re.findall(r"\d+", numbers))
    return found


def _main(market: Market, element: Element) -> Clause | None:
    return next((c for c in market.readings[element].clauses if c.verb and c.act != "read"), None)


def _alike(one: Clause, other: Clause) -> bool:
    """The same is done to things of one kind."""
    same = kin(one.verb) == kin(other.verb)
    if not same and (one.act != other.act or not one.act):
        return False
    ours, theirs = ({m.head for m in clause.objects} for clause in (one, other))
    if ours & theirs:
        return True
    # Only files and names: "profile crm.contacts".
    return same and not any(head.isalpha() for head in ours | theirs)


def _in_turn(market: Market, later: Element, earlier: Element, clause: Clause) -> bool:
    """Whether like tasks have a reason to go one after the other: numbers, or one thing that all change."""
    ours, theirs = market.trades[later], market.trades[earlier]
    differ = _about(market, later).keys() ^ _about(market, earlier).keys()
    if clause.act in ("run", "send") or clause.verb in _TURNS:
        return True
    numbered = bool(differ) and all(w[0].isdigit() or w in _ORDINAL for w in differ)
    if not differ or (numbered and (differ & _ORDINAL or ours.words & _NUMBERED)):
        return True
    if clause.act not in ("alter", "add", "make"):
        return False
    # Sections of one report, changes of one page.
    known = {(w.head, w.marks) for w in theirs.wants if w.mention.article in KNOWN and w.act != "shape"}
    return any(
        (w.head, w.marks) in known for w in ours.wants if w.mention.lead in ("of", "in", "into", "on", "to")
    )


def _apart(market: Market, later: Element, earlier: Element) -> bool:
    """Whether both say well what they are about, and it is not the same."""
    ours, theirs = _about(market, later), _about(market, earlier)
    shared = ours.keys() & theirs.keys()
    if not all(word.replace("-", "").isalpha() for word in shared):
        return False
    for words, element in ((ours, later), (theirs, earlier)):
        own = sum(weight for word, weight in words.items() if word not in shared)
        enough = sum(words.values()) >= _SAYS_MUCH or (not shared and own > 1 and _is_placed(market, element))
        if not (own and _FILLED.search(task_of(element).prompt)) and (own < 2 or not enough):
            return False
    wants = market.trades[later].wants
    if any(w.mention.article in KNOWN and w.head in theirs and w.marks <= theirs.keys() for w in wants):
        return False
    return not (shared and 0 < _rank(market, earlier) < _rank(market, later))


def _about(market: Market, element: Element) -> dict[str, int]:
    """The words that a task is about, and how much each says."""
    reading = market.readings[element]
    found = dict.fromkeys(market.trades[element].words - PLAIN, 1)
    found |= {use.path.norm: 2 for use in reading.paths}
    for mention in (m for clause in reading.clauses for m in clause.mentions):
        if mention.filled or mention.number:
            found[f"{mention.head} {element.path}".replace(".", " ").replace(" ", "-")] = 1
    return found


def _is_placed(market: Market, element: Element) -> bool:
    """ "The variables *of the mailer*"."""
    mentions = (m for clause in market.readings[element].clauses for m in clause.mentions)
    return any(m.lead in ("of", "for", "in", "on", "about") and m.article == "the" for m in mentions)


def _rank(market: Market, element: Element) -> int:
    clause = _main(market, element)
    shaping = clause is not None and clause.verb in SHAPING
    return 1 if shaping else _RANK.get(market.places[element].stage, 0)
