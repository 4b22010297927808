"""How like the goals of each pattern a goal is: a linear model over word classes, learned from examples.

The weights are data, written by `python -m bench.likeness`; nothing here knows what a feature means. What a
feature is: the stem of a word; its class (`V:mend`, `N:text`, `xs` for an unknown plural); two classes in a
row; and what the clauses say of themselves (how many orders, which verbs, what is counted, which lists).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stretto.draft import words as w
from stretto.draft.reading import Goal
from stretto.draft.things import Thing, number_of
from stretto.models.clauses import LEAD, PRONOUN, STOP
from stretto.models.words import Word, stem

WEIGHTS = Path(__file__).with_name("likeness.tsv")
LARGE = 30
"""From here on a number means many things, not a few."""

_CLOSED = STOP | LEAD | PRONOUN | w.EACH | w.ALL | {"one", "both", "separate"}


class Likeness(NamedTuple):
    """Of each pattern the logarithm of how probable it is, and the words that speak most for it."""

    scores: dict[str, float]
    words: dict[str, str]


class Model(NamedTuple):
    """What was learned: of each feature its rarity and its weight for each pattern."""

    patterns: tuple[str, ...]
    bias: tuple[float, ...]
    rarity: dict[str, float]
    weights: dict[str, tuple[float, ...]]


@cache
def learned() -> Model:
    """The weights as they stand in the file; read once."""
    head, bias, *rows = WEIGHTS.read_text(encoding="utf-8").splitlines()
    rarity, weights = {}, {}
    for row in rows:
        feature, rare, *values = row.split("\t")
        rarity[feature] = float(rare)
        weights[feature] = tuple(float(value) / 100 for value in values)
    return Model(tuple(head.split("\t")[2:]), tuple(map(float, bias.split("\t")[2:])), rarity, weights)


def likeness(goal: Goal, model: Model | None = None) -> Likeness:
    """How like the goals of each pattern this one is."""
    model = model or learned()
    found = [feature for feature in set(features(goal)) if feature in model.rarity]
    length = math.sqrt(sum(model.rarity[feature] ** 2 for feature in found)) or 1.0
    shares = {feature: model.rarity[feature] / length for feature in sorted(found)}
    logits = [
        bias + sum(share * model.weights[feature][k] for feature, share in shares.items())
        for k, bias in enumerate(model.bias)
    ]
    top = max(logits)
    norm = top + math.log(sum(math.exp(logit - top) for logit in logits))
    scores = {pattern: logit - norm for pattern, logit in zip(model.patterns, logits, strict=True)}
    return Likeness(scores, {p: _telling(goal, model, shares, k) for k, p in enumerate(model.patterns)})


def _telling(goal: Goal, model: Model, shares: dict[str, float], k: int, most: int = 4) -> str:
    """The words of the goal whose stems speak most for one pattern, in the order in which they stand."""
    speaks = Counter(
        {f[2:]: share * model.weights[f][k] for f, share in shares.items() if f.startswith("s ")}
    )
    best = {name for name, weight in speaks.most_common(most) if weight > 0.1}
    said = [word.text for sentence in goal.sentences for word in sentence.words if stem(word.text) in best]
    return ", ".join(dict.fromkeys(said))


# Features


def features(goal: Goal) -> Iterator[str]:
    """What a goal shows of itself; some of it more than once."""
    classes: list[str] = []
    for sentence in goal.sentences:
        for word in sentence.words:
            yield f"s {_stem(word)}"
            classes.append(class_of(word))
        yield f"s {sentence.end}"
        classes.append(sentence.end)
    yield from (f"c {name}" for name in classes)
    yield from (f"d {one} {two}" for one, two in itertools.pairwise(classes))
    yield f"length {min(5, len(classes) // 10)}"
    yield from _of_clauses(goal)
    yield from _of_lists(goal)


def _stem(word: Word) -> str:
    return _size(word.text) if number_of(word.text) else stem(word.text)


def class_of(word: Word) -> str:
    """The class of a word, or the word itself where it belongs to a closed class."""
    text = word.text
    if number_of(text) and text != "one":
        return _size(text)
    if text in _CLOSED or not text[0].isalpha():
        return text
    if word.verb:
        return f"V:{word.verb}"
    if word.action:
        return f"A:{word.action}"
    if word.noun:
        return f"N:{word.noun}"
    return "xs" if w.is_plural(text) else "x"


def _size(text: str) -> str:
    return "<many>" if number_of(text) >= LARGE else "<few>"


def _of_clauses(goal: Goal) -> Iterator[str]:
    orders = [piece for piece in goal.pieces if piece.mood == "order"]
    yield f"orders {min(6, len(orders))}"
    yield f"sentences {min(4, len(goal.sentences))}"
    for piece in goal.pieces:
        yield f"mood {piece.mood}"
        for thing in piece.things if piece.asked else ():
            yield from _of_thing(thing)
    for name, order in (("first", orders[0]), ("last", orders[-1])) if orders else ():
        yield f"{name} {order.sort}"
        yield f"{name} verb {stem(order.verb)}"
    yield from (f"then {one.sort} {two.sort}" for one, two in itertools.pairwise(orders))


def _of_thing(thing: Thing) -> Iterator[str]:
    if thing.first in w.EACH | {"all"}:
        yield f"thing {'all' if thing.first == 'all' else 'each'} {thing.lead}"
    if thing.number > 1:
        yield f"thing {'<many>' if thing.number >= 10 else '<few>'}"
    if thing.head:
        yield f"thing {'plural' if w.is_plural(thing.head) else 'single'} {thing.first}"


def _of_lists(goal: Goal) -> Iterator[str]:
    for row in goal.lists:
        yield "list"
        yield f"list {min(6, len(row.names))} {row.cue}"
        yield f"list after {row.lead}"
        yield f"list opened {row.opened}"
        names = [name.split() for name in row.names]
        if sum(w.is_role(name[-1].lower()) for name in names) > 1:
            yield "list of roles"
        if sum(name[-1].lower() in w.ASPECT for name in names) > 1:
            yield "list of aspects"
        if sum(name[0][:1].isupper() for name in names) > 1:
            yield "list of names"
    if goal.bullets:
        yield "bullets"
    if goal.arrows:
        yield "arrows"
    if goal.steps:
        yield "steps"
