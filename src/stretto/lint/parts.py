"""Prompts that give one agent several independent, sizeable parts, and the parts that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from stretto.lint import scale as s
from stretto.lint.asks import (
    COUNTING,
    EACH,
    FOR_EACH,
    OVER,
    PAGES,
    PER,
    Ask,
    Quantity,
    Said,
    asks_of,
    quantity_in,
    said_of,
    takes_thought,
)
from stretto.lint.listing import LONGEST_NAME, Lines, Row, is_order, lines_of, rows_of, without_counts
from stretto.lint.price import Change
from stretto.lint.scene import Scene, around, task_of
from stretto.lint.words import duration
from stretto.models.clauses import STOP, sentences
from stretto.models.kind import kind_of
from stretto.models.words import look_up
from stretto.plan.finding import Finding
from stretto.plan.graph import Element

LONGEST = 4_000
"""Characters; a longer prompt is mostly context, whose lists are no orders."""

MOST = 60
"""Parts of one list."""

SEVERAL = 4
"""Names in a row that are parts where only the work on them says so."""


class Parts(NamedTuple):
    """What one prompt asks one agent to do several times over."""

    names: tuple[str, ...]
    """As the prompt writes them; empty where it only says how many."""
    number: int
    """0 where nobody can say."""
    noun: str
    """What they are, in the words of the prompt: "services"; may be empty."""
    pattern: str
    """The prompt with `{}` where one part's name goes; empty where that is not sure to read well."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEUTRAL = _set("consider cover go have look open read see take think use walk work")
"""Verbs of getting to know the parts, before the work on each."""
_ENTRIES = s.SMALL | _set("bit entry item record result")
_SERIAL = _set("act chapter episode grade lesson level module part unit volume week")
_BACK = _set("it result results them this")
_BACK_TO_ONE = frozenset({"it", "its"})
_SUPPORT = _set(
    """api changelog code controller doc docs documentation endpoint fix migration model readme schema test
    ui"""
)
"""What belongs to a change of one thing: "write the tests"."""
_FUNCTION = re.compile(r"[a-z]+(?:_[a-z]+)+$|[a-z]+[A-Z]\w*$")
_RANGE = re.compile(r"\b([A-Za-z]+s) (\d{1,4}) ?(?:to|-|–|through) ?(\d{1,4})\b")
_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_WRAPPED = re.compile(r"\n[ \t]*(?=[a-z])")
_DASH = re.compile(r" (?<=\w )- (?=\w)")
_SEMICOLONS = re.compile(r":\s*[^:;,.()\n]{2,60}(?:;\s*[^:;,.()\n]{2,60}){2,}(?=[.\n]|$)")
""" "A chapter for each: safety; hygiene; training": a row of names like one with commas."""
_OR = re.compile(r"\bor\b", re.IGNORECASE)
"""In a row it makes a choice of it."""
_OPEN = re.compile(r"\b(?:about|for|in|of|on)[ \t]*$")
_MADE = (
    "put together",
    "come up with",
    *(f"{verb} {way}" for verb in "work draw write set think code make".split() for way in ("out", "up")),
)
_MAKING = re.compile(rf"\b(?:{'|'.join(_MADE)})\b", re.IGNORECASE)
_UP_TO_DATE = re.compile(r"\bbring ([\w' -]{2,60}?) up to date\b", re.IGNORECASE)
_SIMPLE = re.compile(r"[a-z]+")
_WORK = (
    (s.WRITING | s.JUDGING | s.TELLING | s.CHANGING | s.ACTS | s.DOCUMENTS)
    | frozenset(f"{word}s" for word in s.DOCUMENTS | s.ACTS)
    | _set("add analyses bring code come draw go going look put redo set studies think work")
)


@lru_cache(maxsize=16384)
def parts_of(prompt: str) -> Parts | None:
    """The parts that a prompt gives to one agent; None where there are none, or they belong together."""
    if not 16 <= len(prompt) <= LONGEST or not _may_divide(prompt):
        return None
    text = _DASH.sub(": ", s.plain(_FENCED.sub(" ", prompt)))
    if ";" in text:
        text = _SEMICOLONS.sub(lambda row: row[0].replace(";", ","), text)
    text = without_counts(_by_one_verb(text))
    lines = lines_of(text)
    if lines.entries:
        told = _WRAPPED.sub(" ", f"{lines.before}\n{lines.behind}")
        return _apart(lines) or _of_lines(lines, told) or _of_words(told, prompt)
    return _of_words(_WRAPPED.sub(" ", text), prompt)


def _by_one_verb(text: str) -> str:
    """One verb for each turn that makes something: "draw up", "work out", "bring ... up to date"."""
    low = text.lower()
    if any(turn in low for turn in _MADE):
        text = _MAKING.sub("prepare", text)
    return _UP_TO_DATE.sub(r"revise \1", text) if " up to date" in low else text


def _may_divide(text: str) -> bool:
    """A quick look before the long one: lines, a row, a number or a word for all; and a word of work."""
    words = frozenset(_SIMPLE.findall(text.lower()))
    if _WORK.isdisjoint(words) and EACH.isdisjoint(words):
        return False
    several = text.count(",") + text.count(";") + text.count(" and ") >= 2 or text.count("\n") >= 3
    return several or not words.isdisjoint(COUNTING) or any(sign.isdigit() for sign in text)


# Parts in running text


def _of_words(text: str, whole: str) -> Parts | None:
    """Parts that running text names, counts, or calls all of a kind."""
    found = list(rows_of(text))
    if not found and not _counts(text):
        return None
    said = said_of(text, found)
    if said is None:
        return None
    rows = [
        (number, row)
        for number, row in enumerate(found)
        if not _aspects(row.names) and not _OR.search(text[row.start : row.end])
    ]
    for ask in said.work:
        quantity = quantity_in(ask.rest)
        if quantity is not None and _divides(ask, quantity, said):
            return _counted(quantity, [row for _, row in rows], whole)
        if ask.front is not None and _fronted(ask, ask.front, said):
            return _counted(ask.front, [row for _, row in rows], whole)
    if (named := _named_before(said)) is not None:
        return _counted(named, [row for _, row in rows], whole)
    if (span := _span(said, whole)) is not None:
        return span
    for number, row in rows:
        # "Priorities, order and RTO for each class": that is said of the last name only.
        only_the_last = not said.per and FOR_EACH.match(text[row.end :].lstrip())
        holder = _around(number, said)
        if not only_the_last and (_each_by_itself(row, holder, said) or _one_each(row, holder, said)):
            return Parts(row.names, len(row.names), row.noun, _with_gap(whole, row.names))
    return None


def _counts(text: str) -> bool:
    """A quick look before the long one: whether it says "all services", "each of them", "chapters 1 to 8"."""
    return any(quantity_in(sentence.words) for sentence in sentences(text)) or bool(_RANGE.search(text))


def _named_before(said: Said) -> Quantity | None:
    """ "Read all 28 theses and write two pages on each", "visit each farm and write a report for it"."""
    for place, ask in enumerate(said.asks):
        quantity = quantity_in(ask.rest)
        if quantity is None or quantity.small or ask.verb in s.JOINING:
            continue
        later = said.asks[place + 1 :]
        back = said.per or (quantity.each and any(_BACK_TO_ONE & {w.text for w in one.rest} for one in later))
        made = [one for one in later if one.verb in s.WRITING and one.head not in s.SMALL]
        if back and any(said.paged or takes_thought(ask) or one.head in s.DOCUMENTS for one in made):
            return quantity
    return None


def _counted(quantity: Quantity, rows: Sequence[Row], whole: str) -> Parts:
    """With the names, where a row in the text has as many."""
    row = next((row for row in rows if len(row.names) == (quantity.number or _led(row))), None)
    if row is None:
        return Parts((), quantity.number, quantity.noun, _with_one(whole, quantity.noun))
    return Parts(row.names, len(row.names), quantity.noun, _with_gap(whole, row.names))


def _led(row: Row) -> int:
    """How many names stand behind a sign or what they are: "these drivers: uart, spi and i2c"."""
    return len(row.names) if row.lead in (":", "#") else 0


def _divides(ask: Ask, quantity: Quantity, said: Said) -> bool:
    """Whether the quantity is what the work is done to, once for each."""
    before = [word.text for word in ask.rest[: quantity.at]]
    lead = next((text for text in reversed(before) if text in STOP), "")
    little = quantity.small or any(s.singular(text) in _ENTRIES for text in before[-2:])
    if "," in before or (little and not (said.per and said.paged)):
        return False
    if ask.verb in s.TELLING:
        return (quantity.each or quantity.number > 0) and (said.per or (quantity.each and said.sized))
    if ask.verb in s.CHANGING:
        moved = ask.verb in ("move", "transfer") and (quantity.noun == "scripts" or quantity.number < 5)
        return not lead and not moved and s.singular(quantity.noun) in s.CODE
    if not lead or (ask.act and lead in ("of", "for", "on")):
        coded = ask.verb == "code" and s.singular(quantity.noun) in s.TEXTS  # by a code book
        if coded or _runs(ask, quantity, said) or _read_for_another(ask, quantity, said):
            return False
        document = quantity.number > 0 and s.singular(quantity.noun) in s.DOCUMENTS
        own = said.each and quantity.number > 0 and (said.per or said.paged)
        own = own or (said.per and quantity.each and said.sized)
        # To port, audit or rewrite a thing is work, whatever it is.
        own = own or (ask.verb in s.WHOLE and not lead and quantity.number > 0 and not quantity.small)
        return quantity.sizeable or document or own
    return _divides_behind(lead, ask, quantity, said)


def _runs(ask: Ask, quantity: Quantity, said: Said) -> bool:
    """ "Build the packages", "upgrade these libraries": a command on what is there."""
    # "Design, build and test the five sites": the other verbs share the object of the last.
    shared = any(other.works and not other.rest and other.verb not in s.RUNNING for other in said.asks)
    if said.each or shared:
        return False
    handled = s.singular(quantity.noun) in ("library", "package", "plugin", "sdk", "tool")
    return ask.verb in s.RUNNING or (ask.verb == "upgrade" and handled)


def _read_for_another(ask: Ask, quantity: Quantity, said: Said) -> bool:
    """ "Study the eight reports and draft an overview": all of them for one text."""
    if said.each or s.singular(quantity.noun) not in s.TEXTS:
        return False
    others = [other for other in said.asks if other is not ask and other.verb in s.WRITING]
    return any(other.product and not other.many for other in others)


def _divides_behind(lead: str, ask: Ask, quantity: Quantity, said: Said) -> bool:
    """The same for a quantity behind a preposition: "tests for every module", "a report on all five"."""
    counted = quantity.number > 0 and said.each
    if lead not in OVER and not (lead == "to" and (ask.verb == "add" or (said.per and said.paged))):
        return False
    if not quantity.each:
        if counted and said.per and quantity.sizeable and ask.verb in s.LIGHT:
            return True
        if lead == "of" and ask.verb in s.JUDGING and ask.many and quantity.number and quantity.sizeable:
            return True  # "Review the onboarding flows of our eight competitors."
        if ask.writes:
            return ask.many and (quantity.sizeable or counted)
        return lead == "of" and ask.many and ask.head in s.DOCUMENTS and quantity.sizeable
    if said.paged and (ask.writes or said.per):
        return True
    lesser = quantity.number > 0 and ask.many and ask.head in s.LESSER
    if ask.writes and (lesser or ask.head in s.DOCUMENTS):
        return True
    return quantity.sizeable and (ask.writes or lead in ("in", "of"))


def _fronted(ask: Ask, quantity: Quantity, said: Said) -> bool:
    """ "For each of our offices, write a plan": whether that is work for each of them."""
    if quantity.small or ask.head in s.SMALL or ask.product[:1] == ["one"]:
        return False
    return (
        (quantity.sizeable and (quantity.each or (said.per and quantity.number > 0)))
        or said.paged
        or (ask.verb in s.WRITING and ask.head in s.DOCUMENTS)
    )


def _span(said: Said, whole: str) -> Parts | None:
    """ "Draft chapters 1 to 8"."""
    found = _RANGE.search(said.text)
    if found is None or s.singular(found[1].lower()) not in s.SIZEABLE | _SERIAL:
        return None
    noun, first, last = found[1].lower(), int(found[2]), int(found[3])
    told = [ask for ask in said.work if ask.verb not in s.TELLING]
    ours = [ask for ask in told if noun in [word.text for word in ask.rest]]
    direct = any(noun in ask.product or ask.many for ask in ours)
    if not (direct or (ours and said.per)) or not 2 <= last - first < MOST:
        return None
    names = tuple(f"{s.singular(noun)} {number}" for number in range(first, last + 1))
    return Parts(names, len(names), noun, "" if "{" in whole else whole.replace(found[0], "{}", 1))


def _around(number: int, said: Said) -> Ask | None:
    """The order in which a row stands; none where it only gets to know its names."""
    name = f"row_{number}"
    holding = [ask for ask in said.asks if any(word.text == name for word in ask.rest)]
    return next((ask for ask in holding if ask.verb not in _NEUTRAL), None)


def _each_by_itself(row: Row, ask: Ask | None, said: Said) -> bool:
    """Whether a row of names stands for work that is done to each of them; `ask`: the order it stands in."""
    if ask is None:
        told = row.lead == ":" and any(one.many and one.head in s.DOCUMENTS for one in said.work)
        return (said.each or told) and (not said.only_tells or said.sized)
    if not ask.works or (row.lead != ask.verb and ask.head in _ENTRIES):
        return False
    if said.each and row.lead in OVER | {"", "#", ":", ask.verb, "through", "at", "to", "into"}:
        return not said.only_tells or said.sized
    if ask.verb in s.RENDERING:
        little = any(s.singular(text) in _ENTRIES | s.BRIEF for text in ask.product)
        return row.lead in ("into", "to", "for") and not little
    if row.lead == "#" and row.noun not in ask.product and not ask.many:
        return False
    if row.lead in (ask.verb, "#"):
        return ask.verb not in s.RUNNING and _direct(row, ask)
    if ask.writes and not ask.act and ask.many and row.lead in OVER | {"to"}:
        return _products(row, ask, said)
    several = len(row.names) >= SEVERAL
    if several and ask.verb in s.JUDGING and row.lead in OVER | {"at", "with"} and _whole(ask, said):
        return True
    if ask.act or ask.verb in ("research", "study", "survey"):
        known = row.lead in ("in", "of") and (several or _of_kind(row, ask))
        return known or (row.lead in ("about", "for", "on") and several and s.plural(ask.verb))
    return False


def _whole(ask: Ask, said: Said) -> bool:
    """ "Audit *the warehouses* in Leeds, York, Hull and Derby", for no text about all of them."""
    others = [one for one in said.asks if one is not ask and one.verb in s.WRITING]
    return ask.many and ask.head in s.SIZEABLE and (said.each or not any(one.product for one in others))


def _one_each(row: Row, ask: Ask | None, said: Said) -> bool:
    """ "Check the leases of A, B, C and D, and write *a memo per lease*"."""
    made = (one for one in said.work if one is not ask and one.verb in s.WRITING and one.head in s.DOCUMENTS)
    return ask is not None and ask.many and said.per and len(row.names) >= SEVERAL and any(made)


def _direct(row: Row, ask: Ask) -> bool:
    """ "Refactor the auth, billing and search modules", "profile Siemens, ABB, Bosch and Hitachi"."""
    whole = ask.verb in s.WHOLE
    named = ask.verb in ("profile", "research") and all(name[:1].isupper() for name in row.names)
    return _of_kind(row, ask) or (len(row.names) >= SEVERAL and (whole or named))


def _products(row: Row, ask: Ask, said: Said) -> bool:
    """ "Write tests for auth, billing, search and export"."""
    if ask.head == "test" and all(_FUNCTION.match(name) for name in row.names):
        return False
    enough = len(row.names) >= SEVERAL or _of_kind(row, ask) or said.sized
    return enough and (
        ask.head in s.DOCUMENTS | s.LESSER | s.SIZEABLE or ask.product[-1] in s.MASS or said.sized
    )


def _of_kind(row: Row, ask: Ask) -> bool:
    return s.singular(row.noun) in s.SIZEABLE and ask.verb not in s.TELLING


def _aspects(names: Sequence[str]) -> bool:
    """Whether a list names views on one thing, points to mention, or parts of one text."""
    odd = 0
    for name in names:
        words = re.findall(r"[^\W_][\w'’-]*", name.lower())
        # The head stands before "of" or "for": "level of detail".
        inner = [word for word, following in pairwise(words) if following in STOP]
        head = next(iter([*inner, *words[-1:]]), "")
        view = s.singular(head) in s.ASPECTS or head in s.ASPECTS
        odd += view or not words or name.rstrip().endswith("?") or len(words) > 14
    return odd * 3 >= len(names)


# Parts in lines of their own


def _of_lines(lines: Lines, told: str) -> Parts | None:
    """Parts in lines of their own, below an order that is meant for each of them."""
    said = said_of(told)
    if said is None or _aspects(lines.entries) or not _are_names(lines.entries):
        return None
    if said.only_tells and not said.each:
        return None
    counted = (found for ask in said.work if (found := quantity_in(ask.rest)) is not None)
    before = [word for sentence in sentences(lines.before) for word in sentence.words]
    quantity = next(counted, None) or quantity_in(before)
    if (quantity is not None and quantity.small) or not _meant_for_each(lines, quantity, said):
        return None
    lead = " ".join(lines.before.split()).rstrip(":").rstrip()
    pattern = " ".join(f"{lead}: {{}}. {lines.behind}".split()) if "{" not in told else ""
    noun = quantity.noun if quantity else ""
    return Parts(tuple(_short(entry) for entry in lines.entries[:MOST]), len(lines.entries), noun, pattern)


def _meant_for_each(lines: Lines, quantity: Quantity | None, said: Said) -> bool:
    """Whether the order above the lines is meant for each of them, and work each time."""
    if quantity is not None and (quantity.sizeable or s.singular(quantity.noun) in _made_over(said)):
        return True
    making = [ask for ask in said.work if (ask.many or not ask.rest) and ask.verb in s.WRITING]
    if making and sum(map(_is_document, lines.entries)) * 2 >= len(lines.entries):
        return True
    if any(ask.head in s.DOCUMENTS and ask.product[-1] not in s.MASS for ask in making):
        return True
    opened = _OPEN.search(lines.before.rstrip(" \t\n:-").lower()) is not None
    if opened and making and said.sized:
        return True
    return said.each and (quantity is not None or opened or bool(making))


def _are_names(entries: Sequence[str]) -> bool:
    """Whether lines name things, and do not say how to work."""
    told = 0
    for entry in entries:
        told += is_order(entry) or len(_short(entry).split()) > LONGEST_NAME or entry.endswith(".")
    return told * 3 < len(entries)


def _made_over(said: Said) -> frozenset[str]:
    """Parts of a program count where they are made over one by one."""
    whole = s.WHOLE | s.RENDERING | s.CHANGING
    return s.CODE | {"file"} if any(ask.verb in whole for ask in said.work) else frozenset()


def _apart(lines: Lines) -> Parts | None:
    """Lines that are each an order of their own, on something of its own, under no common one."""
    heading = lines.before.split()
    of_one = any(s.singular(word.lower().strip(":.,")) in s.SIZEABLE for word in heading)
    if len(heading) > 14 or (of_one and not PER.search(lines.before)) or _orders_one(lines.before):
        return None
    seen: set[str] = set()
    for entry in lines.entries:
        asks = list(asks_of(entry))
        if not asks or not _takes_a_while(asks[0], entry) or len(entry.split()) < 4:
            return None
        words = [word.text for word in asks[0].rest]
        own = {text for text in words if text not in STOP and len(text) > 3}
        supports = any(s.singular(text) in _SUPPORT for text in own) and len(own) < 3
        if supports or not seen.isdisjoint(own) or not _BACK.isdisjoint(words):
            return None
        seen |= own
    return Parts(tuple(_short(entry) for entry in lines.entries), len(lines.entries), "jobs", "")


def _orders_one(heading: str) -> bool:
    """ "Fix the checkout:": what follows are the ways to do that."""
    return any(ask.works or look_up(ask.verb).verb == "mend" for ask in asks_of(heading))


def _takes_a_while(ask: Ask, entry: str) -> bool:
    return ask.verb in s.WRITING | s.JUDGING or kind_of(entry).name in ("development", "strategy")


def _is_document(entry: str) -> bool:
    """ "Administrator's guide (60 pages)"."""
    words = _SIMPLE.findall(entry.lower())
    return bool(PAGES.search(entry)) or any(s.singular(word) in s.DOCUMENTS for word in words)


def _short(entry: str) -> str:
    """The name of an entry, without what is said about it."""
    name = re.split(r"\s*[(:;]|\s[-–—]\s|,\s", entry.strip())[0].strip(" .")
    return name if len(name) <= 60 else f"{name[:57]}..."


# The finding


def _with_gap(text: str, names: Sequence[str]) -> str:
    """The text with a gap from the first of these names to the last."""
    start, end = text.find(names[0]), text.find(names[-1])
    if "{" in text or not 0 <= start < end:
        return ""
    return " ".join(f"{text[:start]}{{}}{text[end + len(names[-1]) :]}".split())


def _with_one(text: str, noun: str) -> str:
    """The text with a gap for "all 12 services", "each of our five products"."""
    words = "all each every of the our your these those following".split()
    counted = "|".join([*words, r"\d+", *s.NUMBERS])
    said = rf"\b(?:(?:{counted})\s+)+(?:[\w-]+\s+){{0,2}}?{re.escape(noun)}\b"
    found = re.search(said, text, re.IGNORECASE)
    if found is None or "{" in text:
        return ""
    return " ".join(f"{text[: found.start()]}{{}}{text[found.end() :]}".split())


def missed_parallelism(scene: Scene) -> Iterator[Finding]:
    """The rule `missed-parallelism`."""
    for element in scene.tasks:
        task = task_of(element)
        # What an `each` or a planner does is split already.
        split = task.grow or any(part.part.each is not None for part in around(element))
        parts = parts_of(task.prompt) if task.action == "prompt" and not split else None
        if parts is not None:
            yield _finding(scene, element, parts)


def _finding(scene: Scene, element: Element, parts: Parts) -> Finding:
    noun = parts.noun or "parts"
    if parts.names:
        shown = ", ".join(parts.names[:4]) + (", ..." if len(parts.names) > 4 else "")
        told = f"{len(parts.names)} {noun} ({shown})"
    else:
        told = f"{parts.number} {noun}" if parts.number else f"all the {_plural(noun)}"
    nusd = seconds = None
    sooner = ""
    if parts.number and not scene.broken:
        saved = scene.prices.without(Change(split={element: parts.number}))
        nusd = None if saved.nusd is None else max(saved.nusd, 0.0)
        seconds = None if saved.seconds is None else max(saved.seconds, 0.0)
        if seconds is not None and seconds >= 1:
            sooner = f", and be done {duration(seconds)} sooner"
    return scene.finding(
        "missed-parallelism",
        "warning",
        [element],
        f"`{element.path}` gives one agent {told} to work through one after the other; none of them needs "
        f"another, so that several agents could do them side by side{sooner}",
        _fix(scene, element, parts),
        nusd=nusd,
        seconds=seconds,
    )


def _plural(noun: str) -> str:
    return noun if s.plural(noun) else f"{noun}s"


def _fix(scene: Scene, element: Element, parts: Parts) -> str:
    """A loop or an `each` to paste; where the parts are not named, how to get their names."""
    one = s.singular(parts.noun) if parts.noun.isalpha() and not parts.names else "part"
    short = len(parts.pattern) <= 200 and not set(parts.pattern) & {'"', "\n", "\\"}
    pattern = parts.pattern if parts.pattern and short else "<what to do with> {}"
    names = ", ".join('"{}"'.format(name.replace('"', "'")) for name in parts.names)
    if scene.bare:
        return f'for {one} in [{names or "..."}]: Task(f"{pattern.replace("{}", f"{{{one}}}")}")'
    filled = pattern.replace("{}", f"${{{one}}}")
    if parts.names:
        return f'{element.part.id}: {{each: [{names}], as: {one}, prompt: "{filled}"}}'
    most = parts.number or 50
    return (
        f"list the {_plural(parts.noun)} first (`{one}-list: {{run: [...], output: lines}}`), and then "
        f'`{element.part.id}: {{each: "${{{one}-list}}", as: {one}, max: {most}, prompt: "{filled}"}}`'
    )
