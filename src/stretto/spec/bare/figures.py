"""Figures that comments declare: what a task, a stage or another way to do the same costs and takes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple


class Figures(NamedTuple):
    """Dollars and seconds, where they are said. `shared`: the dollars are those of several tasks together."""

    usd: Decimal | None = None
    seconds: Decimal | None = None
    shared: bool = False


_USD = r"\$ ?(?P<usd>\d{1,6}(?:,\d{3})*(?:\.\d{1,6})?)"
_TIME = r"(?P<time>\d{1,5}(?:\.\d{1,3})?)[ -]?(?P<unit>seconds?|secs?|minutes?|mins?|hours?|hrs?)"
_ITEM = re.compile(
    rf"(?:(?:about|approx\.?|est\.?|takes|costs?|~|\u2248)\s*)?(?:{_USD}|{_TIME})(?!\.\d|[\w$%/-])", re.I
)
_BETWEEN = re.compile(r"\s*(?:[,;/+&]|and)\s*", re.I)
_HEAD = re.compile(r"[\s(\[]*(?:(?:cost|time|est|estimated?|expected|takes|price)\s*[:=]\s*)?", re.I)
_SIDE_BY_SIDE = re.compile(r"\s*(?:in )?parallel\b", re.I)
_REST = re.compile(r"\s*(?:each|apiece)?\s*(?:[)\].!]|\(|$)", re.I)
_IN_BRACKETS = re.compile(r"\(([^()]*)\)[\s.]*$")
_ALL = re.compile(r"\b(?:all|both|together|total)\b", re.I)
_PRODUCT = re.compile(rf"\s*(?:costs?\s*:?\s*)?(?P<count>\d{{1,5}}) ?[*x\u00d7] ?{_USD}(?:\s*=|\s*$)", re.I)
_ALTERNATIVE = re.compile(r"\s*alternative\s*(?:\(([^()]*)\))?\s*:", re.I)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def figures_behind(text: str) -> Figures | None:
    """What a comment behind a call declares, if it begins with figures and no other number is in the way."""
    return _read(text, _HEAD)


def figures_below(text: str) -> Figures | None:
    """What a comment below a stage declares: figures in brackets, alone or at the end of a wait."""
    found = _IN_BRACKETS.search(text)
    if found is None:
        return None
    before = text[: found.start()].strip()
    if before and not re.match(r"\W*(?:then |now )?wait", before, re.I):
        return None
    figures = _read(found[1], _HEAD)
    if figures is None or figures.shared or not _ALL.search(before):
        return figures
    return figures._replace(shared=True)


def product(text: str) -> tuple[int, Decimal] | None:
    """How many tasks cost how much each, of `Cost: 5 * $0.10 = $0.50`."""
    found = _PRODUCT.match(text)
    return (int(found["count"]), _decimal(found["usd"])) if found else None


def alternative(text: str) -> tuple[str, Figures] | None:
    """The name and the figures of `Alternative (all Opus): $7.50, 25 minutes`."""
    found = _ALTERNATIVE.match(text)
    figures = _read(text[found.end() :], _HEAD) if found else None
    if found is None or figures is None:
        return None
    name = "-".join(re.findall("[a-z0-9]+", (found[1] or "").lower()))
    return name or "alternative", figures


def _read(text: str, head: re.Pattern[str]) -> Figures | None:
    """Figures one after the other from the beginning on; what is said twice or goes on oddly is none."""
    start = head.match(text)
    position = start.end() if start else 0
    usd: Decimal | None = None
    seconds: Decimal | None = None
    shared = False
    while item := _ITEM.match(text, position):
        if item["usd"]:
            if usd is not None:
                return None
            usd = _decimal(item["usd"])
        else:
            if seconds is not None:
                return None
            seconds = _decimal(item["time"]) * _SECONDS[item["unit"][0].lower()]
        position = item.end()
        if beside := _SIDE_BY_SIDE.match(text, position):
            shared, position = True, beside.end()
        following = _BETWEEN.match(text, position)
        if following is None or not _ITEM.match(text, following.end()):
            break
        position = following.end()
    if (usd is None and seconds is None) or not _REST.match(text, position):
        return None
    return Figures(usd, seconds, shared)


def _decimal(word: str) -> Decimal:
    return Decimal(word.replace(",", ""))
