"""Lists in a text: lines with bullets or numbers, and names in a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stretto.lint.scale import NUMBERS, SIZEABLE, plural, singular
from stretto.models.clauses import STOP
from stretto.models.words import look_up


class Lines(NamedTuple):
    """Entries in lines of their own, with the text before and behind them; no entries: all is before."""

    before: str
    entries: tuple[str, ...]
    behind: str


class Row(NamedTuple):
    """Names in a row: "auth, billing and search"."""

    names: tuple[str, ...]
    start: int
    end: int
    lead: str
    """The last word before them, lower case: a preposition, a verb; ":" for a sign, "#" for a plural."""
    noun: str
    """What they are, where the row says so itself: "the auth, billing and search *modules*"."""


_BULLET = re.compile(r"^[ \t]*(?:[-*•–+]|\(?\d{1,2}[.)]|\(?[a-z][.)])[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_INDENTED = re.compile(r"(?:(?<=:)|(?<=for))[ \t]*\n((?:[ \t]+\S[^\n]{0,80}\n?){3,})")
_COUNTED = re.compile(r"(?:(?<=[ :])|^)\(?(?:[a-h]|\d)\)[ \t]+(?=\w)", re.MULTILINE)
_SEGMENT = re.compile(r"(?:[^.;:()\n?!—–]+|\.(?=\w)|(?<=\w):(?=\w))+")
_COMMA = re.compile(r",\s+(?:and\s+|plus\s+)?|\s+(?:and|&)\s+")
_AND = re.compile(r" (?:and|plus|&) ")
_WORD = re.compile(r"\S+")
_LEADING = re.compile(r"\b(?:about|for|in|into|of|on|to)\b", re.IGNORECASE)
_ARTICLES = frozenset("the our a an these your".split())
_QUALIFYING = frozenset("a about an each every one ten two with".split()) | frozenset(NUMBERS)
_PASSIVE = frozenset("all an a each it that the them these this to".split())
LONGEST_NAME = 6
"""Words of a name in a row."""

LONGEST_TOLD = 8
"""The same behind a sign, where names are told at more length."""


def lines_of(text: str) -> Lines:
    if "\n" not in text:
        return Lines(text, (), "")
    found = list(_BULLET.finditer(text))
    if len(found) >= 3:
        entries = tuple(match[1] for match in found)
        return Lines(text[: found[0].start()], entries, text[found[-1].end() :])
    if block := _INDENTED.search(text):
        entries = tuple(line.strip() for line in block[1].splitlines())
        return Lines(text[: block.start()], entries, text[block.end() :])
    return Lines(text, (), "")


def without_counts(text: str) -> str:
    """ "(a) soil, (b) water, (c) air" as a row of names."""
    return _COUNTED.sub("", text) if text.count(")") >= 3 and len(_COUNTED.findall(text)) >= 3 else text


def rows_of(text: str) -> Iterator[Row]:
    """Rows of at least three names with commas between them; alternatives ("a, b or c") are none."""
    at = 0
    for piece in _SEGMENT.finditer(text):
        segment, start = piece.group(), piece.start()
        sign, at = text[at:start].strip()[-1:], piece.end()
        if "," not in segment or " or " in segment:
            continue
        cuts = list(_COMMA.finditer(segment))
        signed = sign in (":", "(", "-", "–", "—")
        while len(cuts) >= 2 and (signed or _AND.search(segment)):
            begins = [0, *(cut.end() for cut in cuts)]
            ends = [*(cut.start() for cut in cuts), len(segment)]
            cells = list(zip(begins, ends, strict=True))
            row = _row(segment, cells[_restart(segment, cells) :], signed)
            if row is None:
                break
            yield row._replace(start=row.start + start, end=row.end + start)
            # "Charts with values for dev, stage and prod *for the services cart, search and identity*".
            segment, start, signed = segment[row.end :], start + row.end, False
            cuts = list(_COMMA.finditer(segment))


def _restart(segment: str, cells: Sequence[tuple[int, int]]) -> int:
    """Where the row begins behind a remark: "the manual, all 120 pages, *into* German, French and Welsh"."""
    if _LEADING.search(segment[: cells[0][1]]):
        return 0
    led = [_LEADING.match(segment, start) for start, _ in cells]
    for place in range(len(cells) - 3, 0, -1):
        here, before = led[place], led[place - 1]
        if here and not (before and before[0] == here[0]):
            return place
    return 0


def _row(segment: str, cells: list[tuple[int, int]], signed: bool) -> Row | None:
    """The names between the cuts of one segment, without what leads them in and what follows."""
    begin, lead, noun = _opening(segment[: cells[0][1]], signed)
    if begin < 0:
        return None
    end = cells[0][1]
    names = [segment[begin:end].strip()]
    for place, (start, stop) in enumerate(cells[1:], 1):
        words = _WORD.findall(segment[start:stop])
        if lead not in (":", "#") and words and words[0].lower() == lead:
            # "For the router, for the modem and for the doorbell".
            words = words[1:]
        kept = next((i for i, word in enumerate(words) if word.lower() in STOP), len(words))
        if lead == ":" and len(words) <= LONGEST_TOLD:
            # Behind a sign nothing follows the row: "the leak in Elm Street, the noise in Pine Lane".
            kept = len(words)
        # Only the last name may be followed by more: "auth, billing and search *for races*".
        if words and words[0].lower() in _QUALIFYING:
            # "Kenya, Ghana and Mali, ten pages each": that is no fourth country.
            break
        if not 0 < kept <= (LONGEST_TOLD if lead == ":" else LONGEST_NAME) or (
            kept < len(words) and place < len(cells) - 1 and place < 2
        ):
            break
        name = " ".join(words[:kept])
        end = stop if kept == len(words) else start + segment[start:stop].find(words[kept])
        names.append(re.sub(r"^(?:the|our|an?) ", "", name))
        if kept < len(words):
            break
    stop = next((place for place, name in enumerate(names) if is_order(name)), len(names))
    if stop < len(names):
        # "auth, billing, search and write a report on each": what follows the row is an order.
        names, end = names[:stop], cells[stop - 1][1]
    longest = LONGEST_TOLD if lead == ":" else LONGEST_NAME
    if len(names) < 3 or any(len(name.split()) > longest for name in names):
        return None
    # "Into English, quoting chapters 1 and 2": that is more than one row.
    mixed = any(name.isdigit() for name in names) and not names[0][-1].isdigit()
    if mixed or (lead == ":" and not all(map(_names_something, names))):
        return None
    last = names[-1].split()
    if len(last) > 1 and plural(last[-1].lower()) and singular(last[-1].lower()) in SIZEABLE:
        noun, names[-1] = last[-1].lower(), " ".join(last[:-1])
    return Row(tuple(names), begin, end, lead, noun)


def _opening(first: str, signed: bool) -> tuple[int, str, str]:
    """Where the first name begins, what leads it in, and the plural before it; -1: there is no name."""
    words = list(_WORD.finditer(first))
    lead, noun, skip = ":" if signed else "", "", 0
    for index, match in enumerate(words if not signed or is_order(first) else ()):
        word = match.group().lower()
        several = plural(word) and singular(word) in SIZEABLE | {"brand", "unit", "grade"}
        if word in STOP or (index == 0 and look_up(word).verb) or (several and index + 1 < len(words)):
            lead, noun, skip = ("#" if several else word), (word if several else ""), index + 1
    while skip < len(words) and words[skip].group() in _ARTICLES:
        skip += 1
    return (words[skip].start() if skip < len(words) else -1), lead, noun


def _names_something(text: str) -> bool:
    """Behind a sign stand orders and questions as well: "drop the rest", "in which order", "RTO for each"."""
    words = [word.lower() for word in text.split()]
    verb = len(words) > 2 and bool(look_up(text.split()[0]).verb) and text[0].islower()
    return not verb and words[0] not in STOP and not {"each", "every"} & set(words)


def is_order(text: str) -> bool:
    """ "Clean it", "write the tests": an order, where a name was looked for."""
    words = text.split()
    verb = len(words) > 1 and bool(look_up(words[0]).verb) and not plural(words[0].lower())
    return verb and words[1].lower() in _PASSIVE | {"any", "every", "how", "what", "whether", "which", "why"}
