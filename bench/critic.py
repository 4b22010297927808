"""How right the critic is: what `stretto check` finds in plans that people labelled, beside twenty keywords.

    python -m bench.critic                        the table of the held half (--split open: of the other)
    python -m bench.critic --mutations            whether verdicts hold when names, order and verbs change
    python -m bench.critic --wrong open [SLUG]    what is told wrong in one split, with the plans

Counted is each pair of a plan and a slug, over errors and warnings that are not accepted. A finding on the
wrong tasks counts twice: as wrong, and as the right one missed. bench/corpus/README.md says what labels mean.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from bench.kinds import share
from bench.labelled import CORPUS, SPLITS, UNSEEN, Findings, Labelled, Part, findings_of, parts_of, plans_of
from bench.mutations import MUTATIONS, mutants
from stretto.cli import main as stretto

OF_ALL = """missing-dependency sequential-bottleneck missed-parallelism oversized-model undersized-model
over-orchestration vague-prompt write-conflict""".split()
OF_YAML = (
    """no-budget no-error-handling no-safe-retry unbounded-fan-out unknown-need cycle unknown-key""".split()
)
SLUGS = [*OF_ALL, *OF_YAML]
OF_THE_PLAN = ("no-budget", "no-error-handling")
"""Slugs that are about the plan and no task of it."""

PRECISION, RECALL, STABLE = 0.95, 0.85, 0.9
"""The goals."""

Verdict = Literal["quiet", "right", "wrong"]


# --- two critics ---


def critic(plan: Labelled) -> Findings:
    """What `stretto check` says about a plan: the errors and warnings of its JSON."""
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "plan.yaml" if plan.form == "yaml" else "plan.py")
        path.write_text(plan.text, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
            stretto(["check", str(path), "--json", "--root", root])
    data = json.loads(out.getvalue())
    if "error" in data:
        if data["error"]["slug"] == "bug":
            raise SystemExit(f"`stretto check` broke on {plan.id}: {data['error']['what']}")
        return {data["error"]["slug"]: [()]}
    rows = [row for row in data["findings"] if row["severity"] != "info" and not row.get("accepted")]
    return findings_of(rows)


class Keyword(NamedTuple):
    slug: str
    where: Literal["plan", "task", "prompt", "same"]
    """What it is looked for in; `same`: the tasks in which it finds the same thing collide."""
    pattern: str


KEYWORDS = [
    Keyword("missing-dependency", "task", r"\A(?!.*(needs|after|\$\{)).*\b(deploy|publish|merge|combine)"),
    Keyword("missing-dependency", "task", r"\A(?!.*(needs|after|\$\{)).*\b(based on|from the|using the)\b"),
    Keyword("sequential-bottleneck", "plan", r"order: serial|# *(step|stage|phase|level|layer) 3"),
    Keyword("missed-parallelism", "prompt", r"\b(all|each|every)( of)?( the| our| these)? (\d+|\w+s)\b"),
    Keyword("missed-parallelism", "prompt", r"(\n\s*([-*]|\d+[.)]) .*?){3}"),
    Keyword(
        "oversized-model", "task", r"(?=.*\bopus\b).*\b(find|list|count|read|format|extract|rename|convert)\b"
    ),
    Keyword(
        "undersized-model", "task", r"(?=.*\bhaiku\b).*\b(architecture|strategy|migration|evaluate|algorithm)"
    ),
    Keyword("over-orchestration", "plan", r"\bplan\b.*\b(verify|check)\b.*\b(combine|merge|summar|synthesi)"),
    Keyword("over-orchestration", "plan", r"\b(part|half) (1|one|a)\b.*\b(part|half) (2|two|b)\b"),
    Keyword("vague-prompt", "prompt", r"\b(something|stuff|things?|whatever|the rest|somehow)\b"),
    Keyword(
        "vague-prompt", "prompt", r"\A(check|do|fix|handle|improve|look at|sort out|update)( \w+){1,2}\Z"
    ),
    Keyword("vague-prompt", "prompt", r"\b(better|nicer|properly)\b"),
    Keyword("write-conflict", "same", r"\bwrites: *\[([^\]]+)\]"),
    Keyword("write-conflict", "same", r"\b(?:in|into|of|to) ([\w/.-]+\.\w{1,5})\b"),
    Keyword("no-budget", "plan", r"\A(?!.*\busd\b)(.*?\bprompt:){5}"),
    Keyword(
        "no-error-handling", "plan", r"\A(?!.*\b(attempts|check|min_ok|optional|tolerate)\b)(.*?\bprompt:){5}"
    ),
    Keyword("no-safe-retry", "task", r"\A(?!.*attempts: 1).*\b(e-?mail|notify|order|pay|refund|send)\b"),
    Keyword("no-safe-retry", "task", r"\A(?!.*attempts: 1).*\b(insert|open a|post|publish|submit)\b"),
    Keyword("unbounded-fan-out", "task", r"\A(?!.*\bmax:).*\beach: *[\"']?\$\{"),
    Keyword("unknown-key", "task", r"\b(depend\w*|modle|promt|retries|temperature|timout):"),
]


def keywords(plan: Labelled) -> Findings:
    """What twenty fixed patterns say. Needs that lead nowhere and cycles are beyond them."""
    found: Findings = {}
    parts = parts_of(plan.form, plan.text)
    for slug, where, pattern in KEYWORDS:
        if plan.form == "bare" and slug in OF_YAML:
            continue
        hits = [tuple(tasks) for tasks in _hits(where, re.compile(pattern, re.I | re.S), plan.text, parts)]
        if slug == "missing-dependency":
            hits = [pair for hit in hits for pair in _after_the_one_before(hit, parts)]
        if hits:
            found.setdefault(slug, []).extend(hits)
    return found


def _hits(where: str, pattern: re.Pattern[str], text: str, parts: list[Part]) -> Iterable[list[str]]:
    if where == "plan":
        return [[part.id for part in parts]] if pattern.search(text) else []
    if where != "same":
        texts = [(part.id, part.prompt if where == "prompt" else part.source) for part in parts]
        return [[id] for id, words in texts if pattern.search(words)]
    same: dict[str, list[str]] = {}
    for part in parts:
        if found := pattern.search(part.source):
            same.setdefault(found[1], []).append(part.id)
    return [tasks for tasks in same.values() if len(tasks) > 1]


def _after_the_one_before(hit: tuple[str, ...], parts: list[Part]) -> Iterable[tuple[str, str]]:
    ids = [part.id for part in parts]
    at = ids.index(hit[0])
    return [(hit[0], ids[at - 1])] if at else []


# --- counting ---


def pairs(found: Findings) -> set[tuple[str, str]]:
    """Consumer and producer of each missing need."""
    return {(tasks[0], other) for tasks in found.get("missing-dependency", []) for other in tasks[1:]}


def verdict(slug: str, labels: Findings, told: Findings) -> Verdict:
    """What was told about one slug of one plan: nothing, what the label says, or something else."""
    if slug not in told:
        return "quiet"
    if slug not in labels:
        return "wrong"
    if slug == "missing-dependency":
        right, said = pairs(labels), pairs(told)
        agree = bool(right & said) and len(said - right) <= 1
    else:
        tasks = {task for one in labels[slug] for task in one}
        said_of = {task for one in told[slug] for task in one}
        if slug == "cycle":
            agree = bool(tasks & said_of)
        else:
            agree = slug in OF_THE_PLAN or 2 * len(tasks & said_of) >= len(tasks | said_of)
    return "right" if agree else "wrong"


class Score(NamedTuple):
    """Of one slug: how many plans have it, of how many it was told, and of how many with the right tasks."""

    labelled: int
    told: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / max(self.told, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.labelled, 1)


class Seen(NamedTuple):
    plan: Labelled
    told: Findings


def score(slug: str, rows: list[Seen]) -> Score:
    return Score(
        sum(slug in row.plan.labels for row in rows),
        sum(slug in row.told for row in rows),
        sum(verdict(slug, row.plan.labels, row.told) == "right" for row in rows),
    )


def score_of_pairs(rows: list[Seen]) -> Score:
    found = [(pairs(row.plan.labels), pairs(row.told)) for row in rows]
    return Score(
        sum(len(right) for right, _ in found),
        sum(len(said) for _, said in found),
        sum(len(right & said) for right, said in found),
    )


def added(scores: Iterable[Score]) -> Score:
    return Score(*(sum(numbers) for numbers in zip(*scores, strict=True)))


def look(plans: list[Labelled], by: Callable[[Labelled], Findings]) -> list[Seen]:
    return [Seen(plan, by(plan)) for plan in plans]


class Kept(NamedTuple):
    """How the verdicts on one plan stood a mutation."""

    verdicts: int
    same: int
    told: int
    """Verdicts that were no silence: one that misses everything keeps all its verdicts."""
    still: int
    """Of those told, the ones that are the same."""
    new: int
    """Findings that nobody labelled and that only the mutant gets."""


def compared(labels: Findings, before: Findings, changed: Findings, after: Findings) -> Kept:
    """Labels and findings of a plan, and of the plan that a mutation made of it."""
    verdicts = same = told = still = new = 0
    for slug in SLUGS:
        stays = verdict(slug, labels, before) == verdict(slug, changed, after)
        if slug in labels or slug in before:
            verdicts, same = verdicts + 1, same + stays
            told, still = told + (slug in before), still + (slug in before and stays)
        else:
            new += slug in after
    return Kept(verdicts, same, told, still, new)


# --- what is printed ---


def report(split: str, folder: Path) -> None:
    plans, sha = plans_of(split, folder)
    print(f"{split}: {len(plans)} plans, sha256 {sha}\n")
    ours, theirs = look(plans, critic), look(plans, keywords)
    print(f"{'':22} {'n':>4}  {'precision':32}{'recall':32}{'20 keywords: precision, recall'}")
    of_ours = [score(slug, ours) for slug in SLUGS]
    of_theirs = [score(slug, theirs) for slug in SLUGS]
    for name, own, other in zip(SLUGS, of_ours, of_theirs, strict=True):
        row(name, own, other)
    row("all", added(of_ours), added(of_theirs))
    row("pairs of missing needs", score_of_pairs(ours), score_of_pairs(theirs))
    for name, rows in (("critic", ours), ("keywords", theirs)):
        clean = [seen for seen in rows if not seen.plan.labels]
        print(f"clean plans without any warning, {name}: {share(sum(not s.told for s in clean), len(clean))}")
    others = Counter(slug for seen in ours for slug in seen.told if slug not in SLUGS)
    if others:
        print("also told, without a label: " + ", ".join(f"{slug} {n}" for slug, n in others.most_common()))


def row(name: str, own: Score, other: Score) -> None:
    low = [word for word, n, goal in (("p", own.precision, PRECISION), ("r", own.recall, RECALL)) if n < goal]
    print(
        f"{name:22} {own.labelled:4}  {share(own.right, own.told):32}{share(own.right, own.labelled):32}"
        f"{other.precision:.3f} {other.recall:.3f}{'  below: ' + ' '.join(low) if low else ''}"
    )


def stability(folder: Path) -> None:
    """Verdicts before and after each mutation, over all slugs that a plan has or is told to have."""
    kept: dict[str, list[Kept]] = {name: [] for name in MUTATIONS}
    for plan in (plan for split in ("open", "held") for plan in plans_of(split, folder)[0]):
        before = critic(plan)
        for name, mutant in mutants(plan):
            kept[name].append(compared(plan.labels, before, mutant.labels, critic(mutant)))
    print(f"\nverdicts that stay (goal {STABLE}), open and held:")
    for name, rows in (*kept.items(), ("all", list(itertools.chain(*kept.values())))):
        verdicts, same, told, still, new = map(sum, zip(Kept(0, 0, 0, 0, 0), *rows, strict=True))
        low = "  below" if same < STABLE * verdicts else ""
        print(
            f"  {name:6} {len(rows):4} plans  {share(same, verdicts):34}"
            f"of those told {share(still, told):34}new {new}{low}"
        )


def wrong(split: str, only: str | None, folder: Path) -> None:
    """Prints each plan with a verdict that is not its label."""
    for plan, told in look(plans_of(split, folder)[0], critic):
        for slug in [only] if only else sorted({*SLUGS, *told}):
            labels = plan.labels.get(slug, [])
            if verdict(slug, plan.labels, told) != ("right" if labels else "quiet"):
                print(f"--- {plan.id} {slug}: labelled {labels or 'no'}, told {told.get(slug, 'no')}")
                print(plan.text.rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=SPLITS, default="held", help="which split is told in the table")
    parser.add_argument("--mutations", action="store_true", help="also change every plan and look again")
    parser.add_argument("--wrong", nargs="+", metavar=("SPLIT", "SLUG"), help="print what is told wrong")
    parser.add_argument("--yes-i-am-done", action="store_true", help="no rule will learn from the held half")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="the folder with the plans")
    options = parser.parse_args()
    begin = time.monotonic()
    if options.wrong:
        split, only = options.wrong[0], options.wrong[1] if len(options.wrong) > 1 else None
        if split not in SPLITS or only not in (None, *SLUGS):
            parser.error(f"--wrong takes {' or '.join(SPLITS)}, and one of {', '.join(SLUGS)}")
        if split in UNSEEN and not options.yes_i_am_done:
            parser.error(f"rules must not learn from the split {split}: look at --wrong open")
        wrong(split, only, options.corpus)
        return
    report(options.split, options.corpus)
    if options.mutations:
        stability(options.corpus)
    print(f"\n{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
