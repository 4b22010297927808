"""What a prompt asks for, order by order: the verb, what it makes, how many times over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stretto.lint import scale as s
from stretto.lint.listing import Row
from stretto.models.clauses import AUXILIARY, EMPTY, LEAD, NAMED, PRONOUN, STOP, order, sentences
from stretto.models.words import Word, look_up


class Quantity(NamedTuple):
    """ "All 12 services", "each of our five products"."""

    at: int
    """Its place among the words behind the verb."""
    number: int
    """0 where none is said."""
    each: bool
    noun: str

    @property
    def sizeable(self) -> bool:
        return s.singular(self.noun) in s.SIZEABLE

    @property
    def small(self) -> bool:
        return s.singular(self.noun) in s.SMALL


class Ask(NamedTuple):
    """An order: its verb, and the words behind it up to the next one."""

    verb: str
    rest: Sequence[Word]
    act: bool = False
    """The verb is a noun of work, alone or behind a light verb: "do an audit of"."""
    front: Quantity | None = None
    """What it is done to is said first: "for each office, write"."""

    @property
    def works(self) -> bool:
        """Whether it takes an agent a while."""
        if self.verb == "add":
            return self.head in s.DOCUMENTS | s.LESSER | s.MASS
        return self.act or self.verb in s.WRITING | s.JUDGING | s.TELLING | s.CHANGING

    @property
    def writes(self) -> bool:
        return self.verb in s.WRITING or self.verb in s.LIGHT or self.verb == "add"

    @property
    def product(self) -> list[str]:
        """The direct object, up to the first preposition."""
        found: list[str] = []
        for word in self.rest:
            if word.text in ("and", "or") and found:
                continue  # "Unit and integration tests".
            if word.text in STOP or word.text in PRONOUN:
                break
            if word.text != NAMED:
                found.append(word.text)
        return found

    @property
    def head(self) -> str:
        product = self.product
        return s.singular(product[-1]) if product else ""

    @property
    def many(self) -> bool:
        """Whether the product is more than one: "tests", "documentation", and not "a report"."""
        product = self.product
        if not product or product[0] in ("a", "an", "one"):
            return False
        return product[-1] in s.MASS or s.plural(product[-1])


class Said(NamedTuple):
    """What the words of a prompt say as a whole."""

    text: str
    asks: list[Ask]
    work: list[Ask]
    """The orders among them that take a while."""
    per: bool
    """Each part gets a result of its own: "separately", "one report per system", "two pages each"."""
    each: bool
    """That, or "for each", which may as well lead in the parts themselves."""
    paged: bool
    """The words name a size: "ten pages", "2,000 words"."""
    sized: bool
    """That, or they ask for depth."""

    @property
    def only_tells(self) -> bool:
        return all(ask.verb in s.TELLING for ask in self.work)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


OVER = _set("about for in of on")
"""What leads in the things that a product is about."""
EACH = _set("each every")
ALL = _set("all following these those")
COUNTING = EACH | ALL | frozenset(s.NUMBERS)
_PLAIN = _set(
    "all different following her his individual its last of one our own separate the their these those your"
)
_LATEST = _set("first last latest next past previous recent top")
"""A number behind one of these says how far to look."""


def _either(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})", re.IGNORECASE)


PER = _either(
    r"(?:each|every) (?:\w+ ){0,2}(?:one|with|gets?|has|needs|follows|covers|in its|stands?|is)\b",
    r"(?:for|on|of|to|about) (?:each|every) (?:one|of (?:them|these|those))\b",
    r"(?:a|one) (?:[\w-]+ ){1,3}(?:each|apiece|per [a-z]+)\b",
    r"(?:pages?|words|paragraphs?|chapters) (?:each|apiece|an?|per)\b|pages? \w+ (?:each|per)\b",
    r"(?:of|for|on|about|to) each(?=\s*(?:[.,;:)]|and\b|$))",
    r"(?:assessment|chapter|file|finding|memo|note|page|report|result|section)s? (?:\w+ )?per [a-z]+\b",
    r"apiece\b|each\b[^.;:]{0,30}\bpages|including \w+ for each\b|each (?:on|into|as|to) (?:its|a) ",
    r"nothing (?:here |in them )?(?:depends|to do with (?:each other|one another))\b",
    r"unrelated\b|do(?:es)?(?: not|n't) (?:depend|share|overlap)\b",
    r"separate(?:ly)?\b|individual(?:ly)?\b|independent(?:ly)?\b|self-contained\b|stand-?alone\b",
    r"stands? on (?:its|their) own|of (?:its|their) own\b|its own\b",
    r"one (?:by one|after (?:the other|another))\b",
)
_FACTS = _set("claim fact figure source statement value")
FOR_EACH = _either(r"(?:for|on|to|about) (?:each|every)\b")
PAGES = _either(
    r"(?:\d+|an?|one|two|three|four|five|six|ten|twenty|several|about|few)[\s-]*(?:(?:to|or|-|–)\s*\w+)?"
    r"[\s-]*pages?\b",
    r"[1-9][\d,]*\d\d[ -]words?\b|chapters?\b|with (?:its own )?tests\b",
)
_DEEP = _either(r"(?:complete|full|comprehensive|in[- ]depth|detailed|deep)\b")
_TOGETHER = _either(
    r"(?:each other|one another|between|differences?|overlaps?|together|combined|overall|as a whole)\b",
    r"(?:across|shared|consisten\w+|contradict\w*|duplicates?|in common)\b",
    r"(?:which (?:one|of)|whether they|end[- ]to[- ]end|and (?:award|hire|adopt))\b",
    r"in(?:to)? (?:one|a single)\b(?! [\w-]+ (?:per|each|for each)\b)",
)
"""What wants all of the parts in one result."""
_OWN_TEXT = _either(
    r"(?:an?|individual|one|own|separate) (?:\w+ ){0,2}"
    r"(?:analysis|assessment|dossier|evaluation|memo|opinion|paper|profile|report|review|study)\b"
)
_ONE_PAGE = _either(r"(?:in|on|to) (?:one|a single|half a|two) pages?\b")
_EACHES = _either(r"(?:each|every|per|apiece)\b")
_LITTLE = _either(
    r"(?:an?|one|two|three|four|five)[ -](?:bullet|cell|column|entr|line|paragraph|row|sentence|word)\w*"
    r"(?: (?:\w+ )?(?:each|apiece|per|(?:about|for|of|on|to) (?:each|every))\b|s?\.)",
    r"(?:as|in|into) (?:a|one) (?:\w+ )?(?:csv|list|matrix|overview|spreadsheet|table)\b",
)
"""What asks for so little of each that one agent gives it in passing."""
_ONE_THING = _either(
    r"(?:an?|one|two|three) (?:aspect|detail|example|fact|figure|highlight|idea|lesson|point|quote|thing)s? "
    r"(?:from|of|per) (?:each|every)\b"
)
"""What one text takes up of several: "a foreword with one thing of each chapter"."""


def said_of(text: str, rows: Sequence[Row] = ()) -> Said | None:
    """None where the text asks for no work, or for one result out of all parts."""
    asks = list(asks_of(_masked(text, rows)))
    per = any(map(_of_parts, PER.finditer(text)))
    each = per or bool(FOR_EACH.search(text))
    work = [ask for ask in asks if ask.works]
    if not work and not each:
        return None
    paged = bool(PAGES.search(text))
    sized = paged or bool(_DEEP.search(text))
    if not work and each and (paged or (per and _OWN_TEXT.search(text))):
        # Whatever is done to each of them by itself, it takes a while.
        work = [ask for ask in asks if ask.verb not in s.JOINING | s.NAMING]
    if not asks and per:
        # "Due diligence on these targets, one report per target".
        asks = work = [Ask("write", sentence.words) for sentence in sentences(text)[:1]]
    if not work or (asks[0].verb in s.JOINING | s.NAMING and not (per and sized)):
        return None
    one_page = _ONE_PAGE.search(text) and not _EACHES.search(text)
    joined = one_page or any(ask.verb in s.JOINING for ask in asks) or _TOGETHER.search(PER.sub(" ", text))
    if (_LITTLE.search(text) and not paged) or _ONE_THING.search(text) or (joined and not (each and sized)):
        return None
    return Said(text, asks, work, per, each, paged, sized)


def _of_parts(found: re.Match[str]) -> bool:
    """Whether "each X has" speaks of parts, and not of what one text has several of: "each figure with"."""
    words = found[0].lower().split()
    return words[0] not in EACH or len(words) < 3 or s.singular(words[1]) not in s.SMALL | _FACTS


def takes_thought(ask: Ask) -> bool:
    """ "Value each subsidiary on its own": a verb of no other class, with counted or large things behind."""
    quantity = quantity_in(ask.rest)
    handling = look_up(ask.verb).verb in ("alter", "check", "edit", "fetch", "give", "run", "seek", "set")
    other = handling or ask.works or ask.verb in s.JOINING | s.NAMING
    if other or quantity is None or quantity.at:
        return False
    return quantity.sizeable or (quantity.number > 0 and not quantity.small)


def _masked(text: str, rows: Sequence[Row]) -> str:
    """The text with a word for each row, so that a name in it ("Go", "Polish") is not read as an order."""
    for number in range(len(rows) - 1, -1, -1):
        row = rows[number]
        text = f"{text[: row.start]} row_{number} {text[row.end :]}"
    return text


def asks_of(text: str) -> Iterator[Ask]:
    for sentence in sentences(text):
        front: Quantity | None = None
        for clause in (part for whole in sentence.clauses for part in _before_each(whole)):
            at = order(clause)
            if at is None and clause[0].text in OVER and len(clause) > 3:
                # "For each office, write", "for the annual report write".
                at = next((i for i in range(3, len(clause)) if _is_work(clause, i)), None)
                front = quantity_in(clause[:at]) or front
            if at is None or clause[at].text == "code":
                # "Security audit of all 12 services": a noun of work, with no verb before it.
                yield from _acts(clause[:4], clause)
            if (
                at is None
                and len(clause) > 2
                and _may_be_verb(clause[0])
                and clause[1].text in EACH | ALL | {"the"}
            ):
                at = 0
            if at is None:
                yield from _nominal(clause)
                continue
            verb, rest = clause[at].text, clause[at + 1 :]
            if verb not in s.WRITING | s.JUDGING and rest and s.singular(rest[0].text) in s.DOCUMENTS:
                # "We need position papers on": that is no order to position them.
                yield from _nominal(clause[at:])
                continue
            if verb in s.LIGHT:
                yield from _acts(rest[:6], rest)
            if len(rest) > 3 and rest[0].text in OVER and rest[1].text in EACH and (own := quantity_in(rest)):
                # "Prepare for each canton an opinion".
                at = next(at for at, word in enumerate(rest) if word.text == own.noun)
                yield Ask(verb, rest[at + 1 :], front=own)
                continue
            yield Ask(verb, rest, front=front)


def _before_each(clause: list[Word]) -> Iterator[list[Word]]:
    """ "Inspect the plans of the depots, and *for each depot* write": cut before what is said of each."""
    start = 0
    for at in range(1, len(clause) - 3):
        follows = clause[at].text in OVER and clause[at + 1].text in EACH
        if follows and clause[at - 1].text in (",", "and") and start < at - 1:
            yield clause[start : at - 1]
            start = at
    yield clause[start:]


def _may_be_verb(word: Word) -> bool:
    """A word that no table knows, which can only be a verb where an article follows it."""
    return word.text not in STOP | LEAD | EMPTY and word.text != NAMED and not word.text.endswith("s")


def _nominal(clause: Sequence[Word]) -> Iterator[Ask]:
    """ "Country reports on": documents that are asked for by their name."""
    start = next((i for i, word in enumerate(clause) if word.text not in LEAD), 0)
    for index in range(start, min(start + 4, len(clause) - 1)):
        if clause[index].text in STOP or clause[index].text in AUXILIARY:
            return
        one = s.singular(clause[index].text)
        document = one in s.DOCUMENTS or (one in s.LESSER and one != clause[index].text)
        behind = index + 2 if clause[index + 1].text == NAMED else index + 1
        if document and behind < len(clause) and clause[behind].text in OVER:
            yield Ask("write", clause[start:])
            return


def _is_work(words: Sequence[Word], at: int) -> bool:
    verb = words[at].text in s.WRITING or words[at].text in s.JUDGING
    return verb and words[at - 1].text not in STOP | _PLAIN | {"a", "an", "new"}


def _acts(among: Sequence[Word], words: Sequence[Word]) -> Iterator[Ask]:
    for index, word in enumerate(among):
        if word.text in STOP and word.text != "out":
            return
        if s.singular(word.text) in s.ACTS and index + 1 < len(words) and words[index + 1].text in OVER:
            yield Ask(word.text, words[index + 1 :], act=True)
            return


def quantity_in(words: Sequence[Word]) -> Quantity | None:
    """The first "all modules", "12 services", "each of our five products" among these words."""
    for at, word in enumerate(words):
        if word.text not in COUNTING and not word.text[0].isdigit():
            continue
        number = s.number(word.text)
        if not number and word.text not in COUNTING:
            continue
        if at and words[at - 1].text in _LATEST:
            continue
        index = at + 1
        if any(behind.text in ("two", "both", "2") for behind in words[index : index + 3]):
            # "Each of the two": too few to hand out.
            continue
        while index < len(words) and (words[index].text in _PLAIN or s.number(words[index].text)):
            number = max(number, s.number(words[index].text))
            index += 1
        noun = _noun_of(words[index : index + 6])
        if noun and (s.plural(noun) or word.text in EACH):
            return Quantity(at, number, word.text in EACH, noun)
    return None


def _noun_of(words: Sequence[Word]) -> str:
    """The noun that a phrase ends with; where a plural of something sizeable comes before, that one."""
    found = ""
    for word in words:
        if word.text in STOP or word.text in ("a", "an", NAMED):
            break
        found = "pull-requests" if (found, word.text) == ("pull", "requests") else word.text
        if s.plural(found) and s.singular(found) in s.SIZEABLE:
            break
    return found
