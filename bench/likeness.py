"""Learns the weights of `stretto.draft.likeness` from labelled goals, and measures what they are worth.

    python -m bench.likeness                   writes src/stretto/draft/likeness.tsv
    python -m bench.likeness --across          learns without one style at a time and measures on that style

Learned from `corpus/goals-tune.jsonl` and from the open half; the held half is never read. The model is a
softmax over features that are there or not, each weighted by its rarity, the whole scaled to length one,
with a penalty on the squares of the weights. It is found by gradient descent with momentum from zero, so the
same goals give the same file.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.drafts import CORPUS, PATTERNS
from bench.kinds import share
from stretto.draft.likeness import WEIGHTS, Model, features, learned, likeness
from stretto.draft.reading import read_goal
from stretto.draft.tree import decide

LEAST = 2
"""A feature that fewer goals show is left out."""
KEPT = 1_500
PENALTY = 1 / 20
ROUNDS = 1_500

Array = np.ndarray[Any, np.dtype[np.float64]]


class Example(NamedTuple):
    goal: str
    pattern: str
    style: str
    features: frozenset[str]


def examples() -> list[Example]:
    found = []
    for name in ("goals-tune.jsonl", "goals-open.jsonl"):
        for line in (CORPUS / name).read_text(encoding="utf-8").splitlines():
            data = json.loads(line)
            shown = frozenset(features(read_goal(data["goal"])))
            found.append(Example(data["goal"], data["pattern"], data.get("style", "open"), shown))
    return found


def learn(rows: Sequence[Example]) -> Model:
    """The weights that fit these goals: once over all features, once more over those that mattered."""
    counts = Counter(feature for row in rows for feature in row.features)
    names = sorted(feature for feature, n in counts.items() if n >= LEAST)
    weights, _ = _fit(rows, names, counts)
    order = np.argsort(-np.abs(weights).max(axis=1), kind="stable")[:KEPT]
    names = sorted(names[k] for k in order)
    weights, bias = _fit(rows, names, counts)
    rarity = {name: _rarity(counts[name], len(rows)) for name in names}
    table = {name: tuple(map(float, row)) for name, row in zip(names, weights, strict=True)}
    return Model(PATTERNS, tuple(map(float, bias)), rarity, table)


def _rarity(count: int, n: int) -> float:
    return float(1 + np.log((1 + n) / (1 + count)))


def _fit(rows: Sequence[Example], names: list[str], counts: Counter[str]) -> tuple[Array, Array]:
    place = {name: k for k, name in enumerate(names)}
    shown: Array = np.zeros((len(rows), len(names)))
    for k, row in enumerate(rows):
        for feature in row.features & place.keys():
            shown[k, place[feature]] = _rarity(counts[feature], len(rows))
    shown /= np.maximum(np.linalg.norm(shown, axis=1, keepdims=True), 1e-9)
    wanted: Array = np.zeros((len(rows), len(PATTERNS)))
    for k, row in enumerate(rows):
        wanted[k, PATTERNS.index(row.pattern)] = 1.0
    weights: Array = np.zeros((len(names), len(PATTERNS)))
    bias: Array = np.zeros(len(PATTERNS))
    moved, moved_bias = np.zeros_like(weights), np.zeros_like(bias)
    rate = 1.0 / (0.5 * np.linalg.norm(shown, 2) ** 2 + PENALTY)
    for _ in range(ROUNDS):
        ahead, ahead_bias = weights + 0.95 * moved, bias + 0.95 * moved_bias
        logits = shown @ ahead + ahead_bias
        guess = np.exp(logits - logits.max(axis=1, keepdims=True))
        wrong = guess / guess.sum(axis=1, keepdims=True) - wanted
        moved = 0.95 * moved - rate * (shown.T @ wrong + PENALTY * ahead)
        moved_bias = 0.95 * moved_bias - rate * wrong.sum(axis=0)
        weights, bias = weights + moved, bias + moved_bias
    return weights, bias


def write(model: Model) -> None:
    head = "\t".join(["feature", "rarity", *model.patterns])
    bias = "\t".join(["", "0", *(f"{value:.3f}" for value in model.bias)])
    lines = [
        "\t".join([name, f"{model.rarity[name]:.2f}", *(f"{100 * value:.0f}" for value in row)])
        for name, row in model.weights.items()
    ]
    WEIGHTS.write_text("\n".join([head, bias, *lines]) + "\n", encoding="utf-8")


def told(row: Example, model: Model) -> tuple[str, str]:
    """What the words alone say, and what the whole tree says."""
    goal = read_goal(row.goal)
    scores = likeness(goal, model).scores
    return max(scores, key=lambda pattern: scores[pattern]), decide(goal, model).pattern


def across(rows: list[Example]) -> None:
    """Each style told by a model that has seen the others; the signs were tuned on some of them."""
    hits: Counter[str] = Counter()
    for style in dict.fromkeys(row.style for row in rows):
        inside = [row for row in rows if row.style == style]
        model = learn([row for row in rows if row.style != style])
        answers = [(row.pattern, *told(row, model)) for row in inside]
        alone, whole = (sum(a[0] == a[k] for a in answers) for k in (1, 2))
        hits.update(alone=alone, whole=whole)
        print(f"  {style:12} words {share(alone, len(inside))}  tree {share(whole, len(inside))}")
    print(f"  {'all':12} words {share(hits['alone'], len(rows))}  tree {share(hits['whole'], len(rows))}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--across", action="store_true", help="measure on styles that were not learned from")
    options = parser.parse_args()
    rows = examples()
    if options.across:
        across(rows)
        return
    write(learn(rows))
    learned.cache_clear()
    right = sum(told(row, learned())[1] == row.pattern for row in rows)
    print(f"{WEIGHTS.name}: {len(learned().weights)} features of {len(rows)} goals")
    print(f"  of which the tree tells {share(right, len(rows))}")


if __name__ == "__main__":
    main()
