"""Learns the weights of `stretto.lint.ties` from plans, and measures what they are worth.

    python -m bench.ties                   writes src/stretto/lint/ties.tsv
    python -m bench.ties --across          learns without some hands at a time and measures on those

Learned from `corpus/works.txt` and from the plans of the splits in `LEARNED`; no other split is read. One
example is a pair of tasks: the one uses what the other makes, where a label or works.txt says so, or it does
not, where nothing leads from the one to the other. Pairs that only a plan's own order ties teach nothing:
nobody labelled them. The model is a logistic regression with a penalty on the squares of the weights, a
harder one on words, found by gradient descent with momentum from zero: the same plans give the same file.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.critic import pairs
from bench.kinds import share
from bench.labelled import CORPUS, UNSEEN, Labelled, plans_of
from stretto.lint.market import market_of
from stretto.lint.scene import Scene
from stretto.lint.ties import MOST, WEIGHTS, Pair, Ties
from stretto.models import BUILTIN, is_free
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from stretto.spec.load import load_all

LEARNED = ("open", "tune", "fresh", "second-open")
LEAST = 3
"""A feature that fewer pairs show is left out."""
PENALTY = 4.0
OF_WORDS = 3.0
"""Times the penalty, for features that are about one word."""
WORDS = ("late ", "later ", "end ", "begin ")
ROUNDS = 250
FOLDS = 8
ODDS = (0.5, 0.6, 0.7, 0.8, 0.9)

Array = np.ndarray[Any, np.dtype[np.float64]]
Row = tuple[dict[str, float], bool]
Pairs = frozenset[Pair]


class Example(NamedTuple):
    """One plan: its ties, who surely uses something of whom, and of which pairs nobody knows."""

    hand: str
    """Who wrote it."""
    ties: Ties
    number: int
    """Of its tasks."""
    uses: Pairs
    unsure: Pairs
    ordered: Pairs
    """Pairs that the plan itself orders."""

    def pairs(self) -> Iterator[Pair]:
        places = range(self.number)
        return (Pair(user, maker) for user in places for maker in places if user != maker)

    def rows(self) -> Iterator[Row]:
        for pair in self.pairs():
            if pair not in self.unsure:
                found: defaultdict[str, float] = defaultdict(float)
                for name, value in self.ties.features(pair):
                    found[name] += value
                yield found, pair in self.uses


# --- examples ---


def examples() -> list[Example]:
    assert not set(LEARNED) & set(UNSEEN)
    found = list(works((CORPUS / "works.txt").read_text(encoding="utf-8")))
    for split in LEARNED:
        found += filter(None, (of_label(plan, split) for plan in plans_of(split)[0]))
    return found


def works(text: str) -> Iterator[Example]:
    """`== who wrote it`, then a task a line: `id: prompt < what it uses ? what it may use`."""
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        hand, *lines = block.strip().splitlines()
        parts = [
            found.groups() for line in lines if (found := re.fullmatch(r"(\w+): (.*?)(?: <(.*))?", line))
        ]
        place = {id: number for number, (id, _, _) in enumerate(parts)}
        uses: set[Pair] = set()
        maybe: set[Pair] = set()
        for id, _, told in parts:
            for pairs_of, names in zip((uses, maybe), (told or "").split("?"), strict=False):
                pairs_of.update(Pair(place[id], place[name]) for name in names.split())
        tasks = tuple(Task(id=id, prompt=prompt) for id, prompt, _ in parts)
        ties = market_of(_scene(Plan(name="works", tasks=tasks), bare=False)).ties
        far = frozenset(maybe | _far(uses | maybe)) - uses
        yield Example(hand, ties, len(parts), frozenset(uses), far, frozenset())


def of_label(plan: Labelled, split: str) -> Example | None:
    """None of a plan with errors, or with tasks that are not held against each other."""
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "plan.py" if plan.form == "bare" else "plan.yaml")
        path.write_text(plan.text, encoding="utf-8")
        read = load_all(path, even_broken=True)[0]
    if read.plan is None or (scene := _scene(read.plan, bare=read.bare)).broken:
        return None
    market = market_of(scene)
    if not 2 <= len(market.elements) <= MOST:
        return None
    place = {element.path: number for number, element in enumerate(market.elements)}
    uses = {Pair(place[u], place[m]) for u, m in pairs(plan.labels) if u in place and m in place}
    before = scene.ordering.before
    ordered = {
        Pair(place[user.path], place[maker.path])
        for user in market.elements
        for maker in market.elements
        if user is not maker and before(maker, user)
    }
    apart = {place[t] for row in plan.labels.get("sequential-bottleneck", []) for t in row if t in place}
    unsure = {pair for pair in ordered | _far(uses | ordered) if not {pair.user, pair.maker} <= apart} - uses
    hand = f"{split}/{plan.id.partition('-')[0]}"
    return Example(hand, market.ties, len(place), frozenset(uses), frozenset(unsure), frozenset(ordered))


def _scene(plan: Plan, *, bare: bool) -> Scene:
    return Scene(
        plan,
        build(plan),
        bare=bare,
        on="messages",
        chooser=Chooser(BUILTIN, History()),
        free=is_free,
        inputs={},
    )


def _far(near: Iterable[Pair]) -> set[Pair]:
    """All pairs that chains of these lead to."""
    makers: defaultdict[int, set[int]] = defaultdict(set)
    for pair in near:
        makers[pair.user].add(pair.maker)
    found: set[Pair] = set()
    for user in list(makers):
        open_ = list(makers[user])
        while open_:
            maker = open_.pop()
            if Pair(user, maker) not in found:
                found.add(Pair(user, maker))
                open_ += makers.get(maker, ())
    return found


# --- learning ---


def learn(rows: Sequence[Row]) -> dict[str, float]:
    """The weights that fit these pairs."""
    counts = Counter(name for features, _ in rows for name in features)
    names = sorted(name for name, n in counts.items() if n >= LEAST)
    place = {name: k for k, name in enumerate(names)}
    cells = [
        (k, place[name], value)
        for k, (features, _) in enumerate(rows)
        for name, value in features.items()
        if name in place
    ]
    at_row, at_name = (np.array([cell[k] for cell in cells]) for k in (0, 1))
    values: Array = np.array([cell[2] for cell in cells])
    wanted: Array = np.array([float(uses) for _, uses in rows])
    penalty: Array = np.array([PENALTY * (OF_WORDS if name.startswith(WORDS) else 1.0) for name in names])

    def out(weights: Array) -> Array:
        return np.bincount(at_row, values * weights[at_name], len(rows)).astype(float)

    def back(errors: Array) -> Array:
        return np.bincount(at_name, values * errors[at_row], len(names)).astype(float)

    rate = 1.0 / (0.25 * _norm(lambda x: back(out(x)), len(names)) + penalty.max())
    weights: Array = np.zeros(len(names))
    moved: Array = np.zeros(len(names))
    for _ in range(ROUNDS):
        ahead = weights + 0.95 * moved
        wrong = 1 / (1 + np.exp(-out(ahead))) - wanted
        moved = 0.95 * moved - rate * (back(wrong) + penalty * ahead)
        weights = weights + moved
    return dict(zip(names, map(float, weights), strict=True))


def _norm(times: Any, n: int) -> float:
    """The largest eigenvalue of a matrix that is known by what it makes of a vector; a little more."""
    vector: Array = np.ones(n)
    size = 1.0
    for _ in range(20):
        vector = times(vector / size)
        size = float(np.linalg.norm(vector))
    return 1.05 * size


def write(weights: dict[str, float]) -> int:
    lines = [f"{name}\t{weight:.2f}" for name, weight in weights.items() if abs(weight) >= 0.01]
    WEIGHTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


# --- measuring ---


def told(example: Example, odds: dict[Pair, float], least: float) -> set[Pair]:
    """The pairs that the weights alone would tell."""
    return {
        pair
        for pair, one in odds.items()
        if one >= least
        and pair not in example.ordered
        and Pair(pair.maker, pair.user) not in example.ordered
        and one >= odds[Pair(pair.maker, pair.user)]
        and example.ties.evident(pair.user, pair.maker)
    }


def across(found: list[Example]) -> None:
    """Each hand's plans told by weights that have seen none of them."""
    hands = sorted({example.hand for example in found})
    odds: list[tuple[Example, dict[Pair, float]]] = []
    for fold in range(FOLDS):
        inside = set(hands[fold::FOLDS])
        weights = learn([row for example in found if example.hand not in inside for row in example.rows()])
        for example in (example for example in found if example.hand in inside):
            odds.append((example, {p: example.ties.odds(p.user, p.maker, weights) for p in example.pairs()}))
    for name in ("works", *LEARNED):
        ours = [(example, one) for example, one in odds if _of(example) == name]
        print(f"{name}: {len(ours)} plans")
        for least in ODDS:
            said = [(example, told(example, one, least)) for example, one in ours]
            right = sum(len(pairs & example.uses) for example, pairs in said)
            all_said = sum(len(pairs - (example.unsure - example.ordered)) for example, pairs in said)
            of = sum(len(example.uses) for example, _ in said)
            print(f"  from {least}: precision {share(right, all_said)}  recall {share(right, of)}")


def _of(example: Example) -> str:
    """The part of the corpus that it stands in."""
    split, slash, _ = example.hand.partition("/")
    return split if slash else "works"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--across", action="store_true", help="measure on hands that were not learned from")
    options = parser.parse_args()
    found = examples()
    if options.across:
        across(found)
        return
    rows = [row for example in found for row in example.rows()]
    kept = write(learn(rows))
    print(f"{WEIGHTS.name}: {kept} weights of {len(rows)} pairs in {len(found)} plans")


if __name__ == "__main__":
    main()
