"""The verb `explain`: what a finding or an error means, and what to do about it, from the page of errors."""

from __future__ import annotations

import json
import re
import textwrap
from argparse import Namespace
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import stretto
from stretto.errors import EXIT_OK, StrettoError
from stretto.lint.slugs import SLUGS
from stretto.plan.finding import did_you_mean

SCHEMA = "stretto/explain/1"
COLUMNS = 98
_PACKAGE = Path(stretto.__file__).parent
_PLACES = (_PACKAGE / "errors.md", _PACKAGE.parents[1] / "docs" / "errors.md")
"""Inside a wheel the page stands beside the package; in a checkout it is one of the pages under docs."""


def explain(args: Namespace) -> int:
    """Prints one section of the page, or all that the critic can find, a line each."""
    if not args.slug:
        listed = {"schema": SCHEMA, "slugs": [_known(slug) for slug in SLUGS]}
        print(json.dumps(listed) if args.json else _list())
        return EXIT_OK
    if args.slug not in sections():
        raise StrettoError(
            "no-such-slug",
            f"there is no finding and no error called {args.slug!r}",
            next=f"{did_you_mean(args.slug, sections())} `stretto explain` lists what a critic finds",
        )
    text = section(args.slug)
    if args.json:
        print(json.dumps({"schema": SCHEMA, **_known(args.slug), "text": text}))
    else:
        known = SLUGS.get(args.slug)
        head = f"{args.slug} ({known.severity}, {known.family}): {known.meaning}" if known else args.slug
        print("\n\n".join([head, *_paragraphs(text)]))
    return EXIT_OK


@cache
def sections() -> dict[str, str]:
    """Every section of the page of errors by its slug."""
    page = next(path for path in _PLACES if path.is_file()).read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)\n", page, flags=re.M)
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def section(slug: str) -> str:
    """What the page says of one slug, links as their words alone; empty where it says nothing."""
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", sections().get(slug, ""))


def _paragraphs(text: str) -> Iterator[str]:
    """A section as a terminal shows it: examples indented, everything else in lines of a readable length."""
    for number, piece in enumerate(re.split(r"^```.*\n", text, flags=re.M)):
        if number % 2:
            yield textwrap.indent(piece.rstrip(), "    ")
            continue
        for paragraph in filter(str.strip, piece.split("\n\n")):
            yield textwrap.fill(paragraph.strip(), COLUMNS, break_long_words=False, break_on_hyphens=False)


def _known(slug: str) -> dict[str, Any]:
    known = SLUGS.get(slug)
    return {"slug": slug, **({} if known is None else known._asdict())}


def _list() -> str:
    width = max(map(len, SLUGS))
    lines: list[str] = []
    for family, slugs in groupby(SLUGS, key=lambda slug: SLUGS[slug].family):
        lines += [family, *(f"  {slug:<{width}}  {SLUGS[slug].meaning}" for slug in slugs), ""]
    return "\n".join([*lines, "`stretto explain SLUG` tells more, also of every error: see docs/errors.md"])
