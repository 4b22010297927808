"""A goal made ready for the reader of words: lists out of their brackets, arrows and ranges as words."""

from __future__ import annotations

import re
from collections.abc import Iterator

NAMES = 60
"""A range of more names than this is left as it is."""

ARROW = re.compile(r"\s*(?:->|=>|→|⇒|»)\s*|\s+>\s+")
_BULLET = re.compile(r"^[ \t]*(?:[-*•–+]|\(?\d{1,3}[.)])[ \t]+(?=\S)", re.MULTILINE)
_BRACKETS = re.compile(r"(?<!\w)\(([^()\n]{3,300})\)")
_MARKED = re.compile(r"`([^`\n]{1,40})`|\"([\w./ -]{1,30})\"(?=\s*(?:,|and\b|or\b|&))")
_FOLDERS = (
    "src|lib|app|apps|services|packages|tests?|docs|home|usr|var|etc|opt|tmp|pkg|cmd|internal|bin|public"
)
_SLASHED = re.compile(rf"(?<![\w/.\\])(?!(?:{_FOLDERS})/)(\w[\w-]*)((?:/\w[\w-]*){{2,}})\b(?![/.]\w)")
_RANGE = re.compile(
    r"\b([a-z][a-z_-]*)(\d{1,3})((?:\.[a-z]{1,5})?)\s*(?:-|–|to|through|\.\.\.?)\s*\1(\d{1,3})\3(?!\w)",
    re.IGNORECASE,
)
_DASHED = re.compile(r"\s+[-–—]\s+(?=[^.;:\n]{1,40},[^.;:\n]{1,200}?(?:[.;\n]|$))")
_AND = re.compile(r"\s+[&+]\s+|\s+n\s+(?=\w)")


def opened(text: str) -> str:
    """The text with short names out of their quotes and lists out of their brackets; arrows become "then"."""
    text = _MARKED.sub(lambda m: m[1] or m[2], text)
    text = _BRACKETS.sub(lambda m: f": {m[1]}." if m[1].count(",") + m[1].count("/") > 1 else m[0], text)
    text = _RANGE.sub(_counted, text)
    text = _SLASHED.sub(lambda m: m[0].replace("/", ", "), text)
    text = ARROW.sub(", then ", text)
    text = _DASHED.sub(": ", text)
    text = re.sub(r"\band/or\b", "and", text)
    text = re.sub(r"\bw/o\b", "without", text)
    text = re.sub(r"\bw/(?=\s|\w)", "with ", text)
    return _AND.sub(" and ", text)


def _counted(match: re.Match[str]) -> str:
    first, last = int(match[2]), int(match[4])
    if not 0 < last - first < NAMES:
        return match[0]
    names = [f"{match[1]}{number}{match[3]}" for number in range(first, last + 1)]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def bulleted(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if match := _BULLET.match(line):
            yield line[match.end() :]
