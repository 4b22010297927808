"""How well `stretto draft` finds the pattern that a goal asks for, and whether its plans pass `check`.

    python -m bench.drafts                     the table of both halves
    python -m bench.drafts --only second       the table of one split
    python -m bench.drafts --wrong open        what is told wrong in a split, but never in the held half
    python -m bench.drafts --patterns          without drafting the plans: the patterns alone

Beside it two baselines: always the most frequent pattern, and twenty keywords. Rules were made on the open
half only; of the other one nothing but these figures is ever shown. A plan passes if `check` finds neither
an error nor a warning in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.kinds import share
from stretto.draft import draft
from stretto.draft.reading import read_goal
from stretto.draft.repository import Repository, look
from stretto.draft.tree import decide
from stretto.estimate import Estimate, estimate
from stretto.lint.review import review
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.model import Plan

CORPUS = Path(__file__).parent / "corpus"
HALVES = ("open", "held")
LEARNED = ("open", "tune", "fresh", "second")
"""Splits that rules have learned from; `fresh` and `second` after one look at their figures."""
PATTERNS = ("one-agent", "fan-out", "pipeline", "hierarchy", "scatter-gather", "map-reduce")
KEYWORDS = {
    "scatter-gather": "compare recommend perspective opinion view versus",
    "map-reduce": "all every summary report total",
    "hierarchy": "identify plan figure strategy",
    "pipeline": "then first finally once",
    "fan-out": "each separate",
}


class Labelled(NamedTuple):
    goal: str
    pattern: str
    line: str
    """As it stands in the file."""


def goals(half: str) -> list[Labelled]:
    lines = (CORPUS / f"goals-{half}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [(json.loads(line), line) for line in lines if line]
    return [Labelled(data["goal"], data["pattern"], line) for data, line in found]


def ours(goal: str) -> str:
    return decide(read_goal(goal)).pattern


def keywords(goal: str) -> str:
    """The first pattern of which a keyword stands in the goal."""
    words = set(re.findall(r"[a-z]+", goal.lower()))
    return next((pattern for pattern, keys in KEYWORDS.items() if words & set(keys.split())), "one-agent")


def row(name: str, guess: Callable[[str], str], rows: list[Labelled]) -> Counter[tuple[str, str]]:
    """Prints one line and gives the counts of (label, guess)."""
    counts = Counter((one.pattern, guess(one.goal)) for one in rows)
    right = sum(n for (label, told), n in counts.items() if label == told)
    print(f"  {name:10} agreement {share(right, len(rows))}")
    return counts


def report(half: str, rows: list[Labelled], *, plans: bool) -> None:
    sha = hashlib.sha256("".join(f"{one.line}\n" for one in rows).encode()).hexdigest()
    print(f"\n{half}: {len(rows)} goals, sha256 {sha}")
    frequent = Counter(one.pattern for one in rows).most_common(1)[0][0]
    row("majority", lambda _: frequent, rows)
    row("keywords", keywords, rows)
    counts = row("draft", ours, rows)
    print(f"  label \\ told: {', '.join(PATTERNS)}")
    for label in PATTERNS:
        print(f"    {label:16}" + "".join(f"{counts[label, told]:5}" for told in PATTERNS))
    if plans:
        passed = Counter(slug for one in rows for slug in (findings(one.goal) or ["passed"]))
        print(f"  plans that pass `check`: {share(passed.pop('passed', 0), len(rows))}", dict(passed) or "")


def price(plan: Plan) -> Estimate:
    inputs = {name: given.default for name, given in plan.inputs.items()}
    return estimate(plan, "messages", inputs=inputs, samples=100, time_s=0.05)


def findings(goal: str, repository: Repository | None = None) -> list[str]:
    """The slugs of what `check` finds wrong in the plan that is drafted for a goal."""
    made = draft(goal, repository or Repository(), price)
    seen = review(made.plan, [], Chooser(BUILTIN, History()))
    return sorted({finding.slug for finding in seen.standing()})


def speed(rows: list[Labelled]) -> tuple[float, float]:
    """Milliseconds of CPU for one decision, and seconds to look at the repository this file stands in."""
    begin = time.process_time()
    for one in rows:
        ours(one.goal)
    each = (time.process_time() - begin) / len(rows) * 1000
    begin = time.monotonic()
    look(Path(__file__).parents[1])
    return each, time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wrong", choices=LEARNED, metavar="SPLIT", help="print what is told wrong in it")
    parser.add_argument(
        "--only", choices=sorted({*HALVES, *LEARNED}), metavar="SPLIT", help="look at no other"
    )
    parser.add_argument("--patterns", action="store_true", help="do not draft and check the plans")
    options = parser.parse_args()
    if options.wrong:
        for one in goals(options.wrong):
            if (told := ours(one.goal)) != one.pattern:
                print(f"{one.pattern} told {told}: {one.goal!r}")
        return
    for half in (options.only,) if options.only else HALVES:
        report(half, goals(half), plans=not options.patterns)
    each, looked = speed(goals("open"))
    print(f"\n{each:.1f} ms of CPU for one decision; {looked:.2f} s to look at this repository")


if __name__ == "__main__":
    main()
