"""What one task does for a job, by its words, and how small the thing is that it speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Literal, NamedTuple

from stretto.lint import scale as s
from stretto.models.clauses import (
    AUXILIARY,
    EMPTY,
    LEAD,
    NAMED,
    STOP,
    WH,
    Phrase,
    order,
    phrases,
    sentences,
)
from stretto.models.words import Word, stem

Part = Literal["plan", "study", "seek", "part", "verify", "join", "do"]


class Share(NamedTuple):
    """The share of one task in a job."""

    role: Part
    about: frozenset[str]
    """Stems of what it is about; empty where it only points at the others ("combine both halves")."""
    small: int
    """1 where it speaks of what is mostly small (a ticket, a title), 2 of what always is (a typo), else 0."""
    large: bool
    """It speaks of what is large: a service, all chapters, 40 contracts."""
    weighty: bool
    """It speaks of what may be large: a text, a system, more things than one."""
    checks: bool
    """It checks, besides what else it does: "merge the lines and verify them"."""
    points: bool
    """It is handed what others make, and need not name it."""
    start: str
    """Its first words, numbers apart."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _either(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_PLANNING = _set(
    """architect brainstorm coordinate design devise orchestrate outline plan scope strategise strategize
    structure"""
)
_DESIGNING = _set("architect design devise structure")
"""Of something large, this is the work itself."""
_WAYS = _set("approach outline plan procedure steps strategy structure way")
_BUILDING = _set("build develop implement migrate port program")
"""Work that is not small unless its object is."""
_STUDYING = _set("analyse analyze assess clarify diagnose examine investigate research study understand")
"""What opens a job, or looks at its result."""
_VERIFYING = _set(
    """approve check confirm criticise criticize critique cross-check crosscheck double-check doublecheck
    evaluate fact-check inspect
    judge lint proof-read proofread qa quality-check rank rate re-check re-read recheck reconcile reread
    review sanity-check score sign-off test validate verify vet"""
)
_JOINING = _set(
    """aggregate assemble bring choose combine compile conclude consolidate finalise finalize integrate
    join merge pick recap report select state sum summarise summarize synthesise synthesize unify"""
)
_SEEKING = _set(
    """decide describe determine discover establish fetch find get identify locate look open pinpoint
    read retrieve search spot"""
)
_LOOKING = _set("look open read see take")
"""They lead up to what comes of it: "look at the change and judge whether it is right"."""
_OPENING = 5
"""Words within which a text without a verb says what is done."""
_WORDS = re.compile(r"[a-z][a-z-]+")
_NAMES: tuple[tuple[Part, str], ...] = (
    ("plan", "architect coordinator lead manager orchestrator planner strategist supervisor"),
    ("part", "agent drafter implementer part translator worker writer"),
    (
        "verify",
        """auditor checker control controller critic gate judge proofreader qa reviewer reviser tester
        validator verifier""",
    ),
    (
        "join",
        "aggregator collector combiner merger reporter summariser summarizer synthesiser synthesizer",
    ),
)
_CALLED = {word: part for part, words in _NAMES for word in words.split()}
"""What a task is called before a colon: "Verifier: check that..."."""
_BY_STEM: dict[str, Part] = {
    **{stem(word): "join" for word in _JOINING},
    **{stem(word): "plan" for word in _PLANNING},
    **{stem(word): "verify" for word in _VERIFYING},
}
_LABEL = re.compile(r"^\W*(?:the )?(?:[A-Za-z]+ ){0,2}?([A-Za-z-]+)(?: (?:agent|\d+|[A-D]))*\s*:")
_DEEDS: tuple[tuple[Part, str], ...] = (
    (
        "join",
        """combination compilation consolidation finalisation finalization integration synthesis
        summing-up wrap-up""",
    ),
    (
        "verify",
        """approval check checking confirmation counter-check crosscheck cross-check inspection proof-reading
        proofreading re-check recheck validation verification""",
    ),
)
_DONE_BY_NOUN = {word: part for part, words in _DEEDS for word in words.split()}
"""Nouns that say what is done for a job, where no verb does: "second check of the label"."""
_AMOUNTS = _set("amount count number percentage share sum total")
"""One figure, of however many things: "the number of customers"."""
_PLAN = _either(
    r"\b(?:make|draw up|work out|write|create|draft|devise|develop|lay out|prepare|propose|sketch"
    r"|come up with|decide on)\b"
    r"(?:(?!\b(?:after|by|following|from|per|to|with)\b)[^.;:]){0,40}"
    r"\b(?:plan|approach|strategy|outline|steps|structure|procedure)\b",
    r"^\W*(?:[a-z]+ )?(?:plan|strategy|approach|outline|steps)\b(?: (?:for|of|to|on)\b|:)",
    r"\bplan (?:the|a|an|how|for|of|one|to)\b|\b(?:think|figure) (?:through|about|over|out)\b",
    r"\bbreakdown (?:of|for)\b|\bbreak (?:down|\w+ \w+ of\b|the)|^\W*(?:coordinat|plann)\w+ (?:for|of)\b",
    r"^\W*(?:clarify|collect|define|gather|write down) (?:the )?(?:needs|requirements)\b",
    r"\bas a plan\b|\bwork out (?:how|where|which)\b|\b(?:divide|split) the (?:job|task|work)\b",
    r"\bdraw up (?:the )?criteria\b",
    r"\bdecide (?:how|where|in which|which of|what)\b|\bdetermine (?:which|where|how)\b",
    r"^\W*(?:where|how) (?:would|should|could|can|do)\b",
    r"\b(?:propose|suggest) an? [a-z]+\b",
    r"^\W*(?:write|put|note|describe|say|state)\b.{0,40}?\bhow\b.{0,80}?"
    r"\b(?:can|must|ought to|should|(?:is|are) to) be\b",
)
_REPORT = _either(
    r"^\W*(?:write|give|draft|prepare|produce|make|create|deliver|return|state|present)\b "
    r"(?:(?:a|an|the|up|one|one-sentence|short|brief|closing|final|overall|summary|of)\s+)*"
    r"(?:report|summary|conclusion|recap|wrap-up|note|verdict|answer|result|output|sign-off"
    r"|outcome|confirmation)\b",
    r"\band (?:give|state|return) (?:the |one )?(?:final|overall)\b",
    r"^\W*(?:compose|produce|give|deliver|return|write|polish|prepare)\b (?:the )?final\b|^\W*final\b",
    r"\bwith a (?:summary|report|note)\b|^\W*put\b.*\btogether\b|^\W*write up\b",
    r"^\W*(?:deliver|put|return)\b.*\bin (?:one|two|three|a few) (?:sentence|line|word)s?\b",
    r"^\W*(?:say|state|tell|write) (?:\w+ ){0,4}?in (?:one|two|three|a few) (?:sentence|line|word)s? "
    r"(?:if|that|what|whether|which)\b",
)
_COMPARE = _either(r"^\W*compare (?:both|the two|the results)\b", r"^\W*sign off\b")
_QUESTION = re.compile(r"^\W*(?:do|does|did|is|are|has|have)\b.*\?", re.IGNORECASE | re.DOTALL)
_BITS = (
    "variant|version|candidate|part|half|halves|piece|portion|chunk|fragment|bit|sentence|line|stanza|verse"
    "|paragraph|step|bullet"
)
_PART = _either(
    rf"\b(?:{_BITS})s? (?:\d|one|two|three|four|five|[ab]\b|i+\b)",
    r"\b(?:first|second|third|fourth|last|other|opening|middle|closing|remaining|final|1st|2nd|3rd) "
    rf"(?:{_BITS}|clause|source|two|three|assertion|word|letter|digit)s?\b",
    r"\b(?:opening|middle|beginning|start|end|ending|greeting|closing|sign-off) (?:of|for)\b",
    r"\b(?:a|second|third|another) source\b|\b[\w-]+ part of\b|\bpart of the\b",
    r"\b(?:left|right|upper|lower|top|bottom|front|back) half\b|\b[a-z]+ half of\b",
)

# What one agent has done in minutes, in the singular and as the head of its phrase.
_TINY = _set(
    """blurb bug button caption checkbox color colour comma comment crash digit footer footnote greeting
    haiku headline icon imprint label limerick link misspelling npe pointer postcode regex semicolon
    slogan spelling tagline teaser toast tooltip tweet typo url"""
)
_SLIGHT = _set(
    """advert agenda alert announcement answer appointment assertion badge banner bio booking card cell clause
    command commit complaint deadlock definition dialog diff email endpoint error example exception
    exercise figure fix fixture flyer formula function helper hour hours hyperlink leak letter line
    invitation lookup macro mail meeting memo message method modal notice order paragraph parcel patch photo
    phrase poem pr price query question quotation quote rate recipe refund reminder reply request requirement
    result rule sentence sign size slide snippet spelling sticker text thumbnail ticket trigger variable
    voucher wish word year"""
)
_NO_MEASURE = _set(
    """archive backup chart container contents copy deck directory folder form index inventory job list logo
    maximum mean minimum model number output page result results script session spreadsheet story survey
    tables test todo total video view workshop"""
)
"""Heads of the small classes that may as well stand for a lot."""
_SAID_SMALL = _either(
    r"\b(?:one|single|two)[- ](?:line|sentence|word|paragraph|character|digit|letter)s?\b",
    r"\b(?:three|four|five|six|[3-6])-(?:line|sentence|word|character|digit|letter)\b",
    r"\b\d{1,2}[- ]words?\b|\bmisspell\w*|\btypo\b|\bspelling\b|\boff-by-one\b",
    r"\bone-liners?\b|\bsubject lines?\b",
    r"\b(?:simple|tiny|trivial|small|minor|quick) (?:bug|fix|change|edit|typo|job|task|question)",
    r"\bnull (?:pointer|check)\b|\b(?:failing|flaky) test\b|\blook(?:ing)?\b[^.;:]{0,40}\bup\b",
)
_RENAMING = re.compile(r"\brenam(?:e|ing)\b", re.IGNORECASE)
_LARGE = _set(
    """acquisition app application architecture article audit backend campaign chapter codebase company
    conference contract corpus country course customer database dataset department document documentation
    essay event experiment feature framework frontend guide handbook importer incident infrastructure
    integration interview inventory launch library manual manuscript market microservice migration model
    module monolith novel offsite package paper pipeline platform policy portfolio postmortem product
    prototype release report repository requirement roadmap runbook schema screen series service site
    speech store strategy study subsystem suite supplier survey system team template thesis transcript
    translation tutorial vendor warehouse website whitepaper workshop"""
)
"""Where there is more than one of them."""
_WIDE = _set(
    """application architecture audit backend book campaign codebase database dataset documentary film
    frontend handbook infrastructure integration launch microservice migration module monolith musical novel
    opera pipeline platform roadmap service strategy system thesis website"""
)
"""Large even in the singular."""
_ALL = re.compile(r"\b(?:all|each|every|both)\b (?:the |of the |our )?(\w+)", re.IGNORECASE)
_MANY = re.compile(r"\b(\d[\d,]*|ten|twenty|fifty|hundred|dozen) ([a-z]{4,}s)\b", re.IGNORECASE)
_TIMES = _set("character day hour minute second week word")
_SAYING = frozenset(
    stem(word)
    for word in (_PLANNING | _VERIFYING | _JOINING | _SEEKING)
    | _set(
        """accord again based build carry change checker close closing coordinator correct correction
        create do down draft final first fix following form four give given half halves implement
        implementation last make mend next note notes one other out part parts piece plan planning
        produce put regard remark report result results second section short step summary task third
        three time together two up use verification whether whole work worker workers write writing"""
    )
)
"""Stems of words that tell what a task does for the others, and not what the job is about."""
_NAME = re.compile(
    r"(\w+\(\))|[`'\"“”]([^`'\"“”\n]{1,60})[`'\"“”]|([\w-]+(?:[./_][\w-]+)+)|\b([A-Za-z]*[a-z][A-Z]\w*)\b"
    r"|\b(\d{3,})\b"
)
_DIGITS = re.compile(r"\d+")
_HANDED = re.compile(r"\$\{[^{}\n]*\}")


@lru_cache(maxsize=16384)
def share_of(prompt: str) -> Share:
    """Reads one prompt by itself."""
    text = s.plain(prompt)
    about: set[str] = set()
    small = 2 if _SAID_SMALL.search(text) else 1 if _RENAMING.search(text) else 0
    large, weighty = _counts_many(text), False
    verbs: list[str] = []
    for sentence in sentences(text):
        for clause in sentence.clauses:
            at = order(clause)
            if at is not None:
                verbs.append(clause[at].text)
            rest = clause if at is None else clause[at + 1 :]
            about.update(stem(word.text) for word in _telling(rest))
            groups = _counted([phrase for phrase in (phrases(rest) if rest else ()) if phrase.nouns])
            if len(groups) > 1 and groups[0].nouns[-1].text in _WAYS:
                # "A strategy for the subject line": as large as what it is for.
                groups = groups[1:]
            sizes = [_smallness(phrase.nouns) for phrase in groups]
            small = max([small, *sizes])
            if not sizes or sizes[0] or _are_bits(groups[0].nouns[-1], text):
                # "The title of the report": what it stands in counts for nothing.
                continue
            built = at is not None and clause[at].text in _BUILDING
            heads = [phrase.nouns[-1] for phrase in takewhile(_says_what, groups)]
            weighty = weighty or built or any(map(_may_be_large, heads))
            large = large or any(_is_large(word, word is clause[0]) for word in [*groups[0].nouns, *heads])
    named = _NAME.finditer(_HANDED.sub(" ", text))
    about.update(next(part for part in match.groups() if part).lower() for match in named)
    start = _DIGITS.sub("#", " ".join(prompt.lower().split()[:3]))
    deeds = _deeds(text, verbs)
    checks = not _VERIFYING.isdisjoint(verbs) or "verify" in deeds
    role = _role(text, verbs, small > 0)
    if role == "do" and deeds:
        role = "join" if "join" in deeds else "verify"
    return Share(role, frozenset(about), small, large, weighty, checks, "${" in text, start)


def _counted(groups: list[Phrase]) -> list[Phrase]:
    """Without what is only counted: "the number of customers" is one figure."""
    counts = [False, *(group.nouns[-1].text in _AMOUNTS for group in groups)]
    return [group for group, after in zip(groups, counts, strict=False) if not (after and group.lead == "of")]


def _telling(words: Sequence[Word]) -> Iterator[Word]:
    """The words that say what it is about."""
    for word in words:
        text = word.text
        closed = text in STOP or text in EMPTY or text in LEAD or text in AUXILIARY
        if not closed and len(text) > 2 and stem(text) not in _SAYING:
            yield word


def _deeds(text: str, verbs: Sequence[str]) -> set[Part]:
    """What nouns say is done, where no verb says it: "synthesis of both", "do some checking"."""
    if verbs and verbs[0] not in ("carry", "conduct", "do", "make", "perform"):
        return set()
    words = _WORDS.findall(text.lower())[: _OPENING + len(verbs)]
    return {_DONE_BY_NOUN[word] for word in words if word in _DONE_BY_NOUN}


def _called(word: str) -> Part | None:
    """What somebody with this name does: "verifier", "integrator"."""
    if word in _CALLED or not word.endswith(("er", "or")):
        return _CALLED.get(word)
    return _BY_STEM.get(word[:-2]) or _BY_STEM.get(stem(word[:-2]))


def _role(text: str, verbs: Sequence[str], small: bool) -> Part:
    label = _LABEL.match(text)
    first = verbs[0] if verbs else ""
    if label and (called := _called(label[1].lower())):
        # "Coordinator: put the parts together" leads nothing any more.
        joins = called == "plan" and (first in _JOINING or _REPORT.search(text[label.end() :]))
        return "join" if joins else called
    if first in _LOOKING and not _VERIFYING.isdisjoint(verbs[1:]):
        first = "check"
    asked = bool(_QUESTION.match(text)) and (small or "${" in text)
    found: Part = "do"
    if _REPORT.search(text):
        found = "join"
    elif first in _VERIFYING or asked or _COMPARE.search(text):
        found = "verify"
    elif first in _JOINING:
        found = "join"
    elif first not in _PLANNING and _PART.search(text):
        found = "part"
    elif (first in _PLANNING and (small or first not in _DESIGNING)) or _PLAN.search(text[:200]):
        found = "plan"
    elif first in _STUDYING and small:
        found = "study"
    elif first in _SEEKING:
        found = "seek"
    return found


def _counts_many(text: str) -> bool:
    """ "All chapters", "40 contracts"."""
    if any(s.singular(match[1].lower()) in _LARGE for match in _ALL.finditer(text)):
        return True
    for match in _MANY.finditer(text):
        digits = match[1].replace(",", "")
        few = digits.isdigit() and int(digits) < 10
        if not few and s.singular(match[2].lower()) not in _TINY | _SLIGHT | _TIMES:
            return True
    return False


def _are_bits(head: Word, text: str) -> bool:
    """ "Lines 1 and 2 of the sign"."""
    return s.singular(head.text) in _TINY | _SLIGHT and _PART.search(text) is not None


def _says_what(phrase: Phrase) -> bool:
    """Not "what is on the badge", nor "a pattern *that matches all dates*"."""
    return phrase.lead not in WH and phrase.lead != "that"


def _is_large(word: Word, first: bool) -> bool:
    """A label in front ("Strategy: ...") is not what the task speaks of."""
    return (word.text in _WIDE and not first) or (s.plural(word.text) and s.singular(word.text) in _LARGE)


def _may_be_large(word: Word) -> bool:
    one = s.singular(word.text)
    known = one in s.DOCUMENTS or one in s.SIZEABLE or one in _LARGE or one != word.text
    return known or word.noun in ("grand", "logic", "suite", "tech", "wide")


def _smallness(nouns: Sequence[Word]) -> int:
    """Of a phrase, by its head."""
    if not nouns:
        return 0
    # "The function slugify()", "ticket 88213".
    called = len(nouns) > 1 and (nouns[-1].text == NAMED or nouns[-1].text[0].isdigit())
    if called:
        return max(_smallness([word]) for word in nouns[:-1])
    word = nouns[-1]
    if word.text in _TINY:
        return 2
    if word.text == "number":
        return 1 if len(nouns) > 1 else 0
    slight = word.noun == "trifle" and not s.plural(word.text)
    return 1 if word.text in _SLIGHT or (slight and word.text not in _NO_MEASURE | _LARGE) else 0
