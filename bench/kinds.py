"""How well a task's words say what kind of work it is: `kind_of` against labelled descriptions.

    python -m bench.kinds                      the table
    python -m bench.kinds --wrong open         the descriptions of one split that are told wrong

Beside it two baselines: always the most frequent kind, and twenty keywords. Undecided counts as development,
since it gets that model. Rules were made on the splits `open` and `tune`; the others are only measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stretto.models.kind import kind_of

CORPUS = Path(__file__).parent / "corpus" / "descriptions.jsonl"
KINDS = ("mechanical", "development", "strategy")
KEYWORDS = {
    "strategy": "architecture strategy design plan evaluate recommend decide roadmap migration choose",
    "mechanical": "find list count read format extract rename deploy copy sort",
}


class Description(NamedTuple):
    text: str
    kind: str
    split: str
    line: str
    """As it stands in the file."""


def descriptions() -> list[Description]:
    lines = CORPUS.read_text(encoding="utf-8").splitlines()
    found = [(json.loads(line), line) for line in lines if line]
    return [Description(data["text"], data["kind"], data["split"], line) for data, line in found]


def ours(text: str) -> str:
    return kind_of(text).name or "development"


def keywords(text: str) -> str:
    """The first kind of which a keyword stands in the text."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return next((kind for kind, keys in KEYWORDS.items() if words & set(keys.split())), "development")


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share; Wilson, JASA 22 (1927)."""
    if n == 0:
        return 0.0, 1.0
    share, slack = hits / n, z * z / n
    middle = (share + slack / 2) / (1 + slack)
    half = z * math.sqrt(share * (1 - share) / n + slack / (4 * n)) / (1 + slack)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{hits}/{n} = {hits / max(n, 1):.3f} ({low:.3f}-{high:.3f})"


def row(name: str, guess: Callable[[str], str], rows: list[Description]) -> Counter[tuple[str, str]]:
    """Prints one line and gives the counts of (label, guess)."""
    counts = Counter((one.kind, guess(one.text)) for one in rows)
    right = sum(n for (kind, told), n in counts.items() if kind == told)
    strategy = sum(n for (kind, _), n in counts.items() if kind == "strategy")
    mechanical = sum(n for (kind, _), n in counts.items() if kind == "mechanical")
    print(
        f"  {name:10} agreement {share(right, len(rows))}"
        f"  haiku on strategy {share(counts['strategy', 'mechanical'], strategy)}"
        f"  opus on mechanical {share(counts['mechanical', 'strategy'], mechanical)}"
    )
    return counts


def report(split: str, rows: list[Description]) -> None:
    sha = hashlib.sha256("".join(f"{one.line}\n" for one in rows).encode()).hexdigest()
    print(f"\n{split}: {len(rows)} descriptions, sha256 {sha}")
    frequent = Counter(one.kind for one in rows).most_common(1)[0][0]
    row("majority", lambda _: frequent, rows)
    row("keywords", keywords, rows)
    counts = row("kind_of", ours, rows)
    undecided = sum(not kind_of(one.text).name for one in rows)
    print(f"  {undecided} undecided, counted as development; label \\ told: {', '.join(KINDS)}")
    for kind in KINDS:
        print(f"    {kind:12}" + "".join(f"{counts[kind, told]:6}" for told in KINDS))


def speed(rows: list[Description]) -> float:
    """Microseconds of CPU for 500 characters, texts joined to about that length; the best of 20 rounds."""
    texts, text = [], ""
    for one in rows:
        text = f"{text} {one.text}".strip()
        if len(text) >= 500:
            texts.append(text[:500])
            text = ""
    rounds = []
    for _ in range(20):
        begin = time.process_time()
        for text in texts:
            kind_of(text)
        rounds.append((time.process_time() - begin) / len(texts))
    return min(rounds) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wrong", metavar="SPLIT", help="print what is told wrong in this split")
    parser.add_argument("--only", metavar="SPLIT", help="look at this split and at no other")
    options = parser.parse_args()
    rows = descriptions()
    if options.wrong:
        for one in rows:
            if one.split == options.wrong and ours(one.text) != one.kind:
                print(f"{one.kind} told {ours(one.text)}: {one.text!r}")
        return
    for split in dict.fromkeys(one.split for one in rows):
        if options.only in (None, split):
            report(split, [one for one in rows if one.split == split])
    print(f"\n{speed([one for one in rows if one.split == 'open']):.0f} us of CPU for 500 characters")


if __name__ == "__main__":
    main()
