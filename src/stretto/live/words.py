"""How money, times, names and other people's text are written on a terminal."""

from __future__ import annotations

import re
import time
import unicodedata

from stretto.models.money import usd as usd

# Whole escape sequences first (CSI, OSC with its text, other two-byte ones), then single control
# characters of both sets, and the marks that reorder, hide or smuggle text (bidi, zero width, tags). Tabs and
# line ends are left to `plain`. A string that was never ended (OSC) hides no more than its own line.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)


def until(at_us: int) -> str:
    """A moment that somebody waits for, by the clock on the wall."""
    return time.strftime("until %Y-%m-%d %H:%M", time.localtime(at_us / 1e6))


def plain(text: str) -> str:
    """The text without anything a terminal would obey; line ends and tabs stay."""
    return _CONTROL.sub("", _ESCAPES.sub("", text))


def line(text: str, most: int = 0) -> str:
    """The text on one line, without control characters, cut to at most so many columns."""
    flat = " ".join(plain(text).split())
    return clip(flat, most) if most else flat


def width(text: str) -> int:
    """Columns that a text takes: wide East Asian characters take two, marks on others none."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def clip(text: str, most: int) -> str:
    """The text in at most so many columns; what is cut is shown by three dots."""
    if width(text) <= most:
        return text
    dots = "..."[: max(0, most)]
    left = most - len(dots)
    kept = 0
    for position, letter in enumerate(text):
        kept += _columns(letter)
        if kept > left:
            return text[:position] + dots
    return text


def cap(nusd: int | None) -> str:
    return "no cap" if nusd is None else f"cap {usd(nusd)}"


def clock(seconds: float) -> str:
    """A duration: 0.4s, 12.3s, 1m02s, 2h05m, 3d04h."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def size(count: int) -> str:
    """Bytes for people, in powers of 1,000."""
    if count < 1000:
        return f"{count} B"
    amount = count / 1000
    for unit in ("kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:,.0f} {unit}"
        amount /= 1000
    return ""


def many(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def columns(rows: list[list[str]], *, right: frozenset[int] = frozenset(), gap: str = "  ") -> list[str]:
    """Rows as lines whose columns stand under each other; the last column is never padded."""
    if not rows:
        return []
    widths = [max(width(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [gap.join(_pad(row[k], w, k in right) for k, w in enumerate(widths)).rstrip() for row in rows]


def _pad(text: str, to: int, right: bool) -> str:
    blank = " " * (to - width(text))
    return blank + text if right else text + blank
