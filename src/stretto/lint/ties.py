"""How likely it is that one task needs what another makes: a linear model, learned from plans.

The weights are data, written by `python -m bench.ties`; nothing here knows what a feature means. What they
are about: how rare the words are that two prompts share in their plan, whether the one points back to what it
does not name, files and identifiers that both name and the words before them, how alike the two are, and
which words begin work and which end it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stretto.lint.acts import verb_of
from stretto.lint.fits import kin
from stretto.lint.nouns import PLAIN, WEAK
from stretto.lint.sketch import Seat, Sketch

WEIGHTS = Path(__file__).with_name("ties.tsv")
MOST = 40
"""Tasks of a plan that are held against each other; of a longer one nothing is said."""

Feature = tuple[str, float]
Weights = Mapping[str, float]


@cache
def learned() -> dict[str, float]:
    """The weights as they stand in the file; read once."""
    rows = (line.split("\t") for line in WEIGHTS.read_text(encoding="utf-8").splitlines())
    return {name: float(weight) for name, weight in rows}


class Pair(NamedTuple):
    """A user and a maker, by their places in the plan."""

    user: int
    maker: int
    moved: bool = False
    """As if the maker stood right above the user."""


class Ties:
    """The prompts of one plan, held against each other in the order in which they are written."""

    def __init__(self, sketches: Sequence[Sketch]) -> None:
        self._all = sketches
        count = Counter(word for sketch in sketches for word in sketch.words)
        self._norm = math.log(len(sketches) + 1)
        self._rarity = {word: math.log((len(sketches) + 1) / n) / self._norm for word, n in count.items()}
        self._shared: dict[Pair, float] = {}
        self._odds: dict[Pair, float] = {}

    def odds(self, user: int, maker: int, weights: Weights | None = None, *, moved: bool = False) -> float:
        """From 0 to 1: how sure it is that the one uses what the other makes. `moved`: as if the maker stood
        right above the user."""
        pair = Pair(user, maker, moved)
        if weights is not None or pair not in self._odds:
            known = learned() if weights is None else weights
            total = sum(known.get(name, 0.0) * value for name, value in self.features(pair))
            self._odds[pair] = 1 / (1 + math.exp(-total))
        return self._odds[pair]

    def evident(self, user: int, maker: int, *, vague: bool = False) -> bool:
        """Whether there is anything at all that one can point at: a shared word, or a pointer to the task
        just before, which says nothing in a prompt that is `vague`."""
        shared = self._weight(Pair(user, maker))
        return shared > 0 or (not vague and user - maker == 1 and self._all[user].points)

    # Features

    def features(self, pair: Pair) -> Iterator[Feature]:
        user, maker = self._all[pair.user], self._all[pair.maker]
        yield "", 1.0
        yield from ((sign, 1.0) for sign in (*user.signs, *maker.gives))
        yield f"act {user.act} < {maker.act}", 1.0
        yield f"order {user.order} < {maker.order}", 1.0
        yield from self._of_place(pair)
        yield from self._of_words(pair)
        yield from _of_things(user, maker)
        yield from _of_likeness(user, maker)
        yield from self._of_files(pair)
        yield from _of_course(user, maker)

    def _weight(self, pair: Pair) -> float:
        """How much the two have in common, each word by its rarity in the plan."""
        if pair not in self._shared:
            common = self._all[pair.user].words & self._all[pair.maker].words
            self._shared[pair] = sum(self._rarity[word] for word in sorted(common))
        return self._shared[pair]

    def _place(self, pair: Pair) -> str:
        distance = 1 if pair.moved else pair.user - pair.maker
        return "behind" if distance < 0 else {1: "next", 2: "near"}.get(distance, "far")

    def _of_place(self, pair: Pair) -> Iterator[Feature]:
        place = self._place(pair)
        yield f"place {place}", 1.0
        yield f"place {place} {self._all[pair.user].back}", 1.0
        yield f"tasks {next((n for n in (2, 3, 4, 6, 10) if len(self._all) <= n), 99)}", 1.0

    def _of_words(self, pair: Pair) -> Iterator[Feature]:
        user, maker = self._all[pair.user], self._all[pair.maker]
        shared, back = self._weight(pair), user.back
        rivals = (Pair(pair.user, other) for other in range(pair.user) if other != pair.maker)
        rival = max(map(self._weight, rivals), default=0.0)
        if not user.words & maker.words:
            yield from (("shared none", 1.0), (f"shared none {back}", 1.0))
        else:
            yield from (("shared", min(shared, 3.0)), (f"shared {back}", min(shared, 3.0)))
            yield "shared most", max(self._rarity[word] for word in user.words & maker.words)
        yield "of user", shared / (sum(self._rarity[w] for w in sorted(user.words)) or 1.0)
        yield "of maker", shared / (sum(self._rarity[w] for w in sorted(maker.words)) or 1.0)
        if shared > rival:
            yield from (("best", 1.0), (f"best {back}", 1.0))
        elif shared < rival:
            yield "worse", 1.0

    def _of_files(self, pair: Pair) -> Iterator[Feature]:
        user, maker = self._all[pair.user], self._all[pair.maker]
        place = self._place(pair)
        for ours, one in user.files.items():
            for theirs, other in maker.files.items():
                if sort := _same(ours, theirs):
                    yield f"file {sort}", 1.0
                    yield f"file {place}", 1.0
                    yield f"file {one.role} < {other.role}", 1.0
                    yield from _of_seats(one, other)
        for name in sorted(user.marked.keys() & maker.marked.keys()):
            yield f"marked {place}", 1.0
            yield f"marked rare {sum(name in sketch.marked for sketch in self._all) == 2}", 1.0
            yield f"marked user {user.marked[name].lead}", 1.0
            yield f"marked maker {maker.marked[name].lead}", 1.0


def _same(ours: str, theirs: str) -> str:
    """How two paths are one: the same, or the one inside the other."""
    if ours == theirs:
        return "same"
    return "above" if theirs.startswith(f"{ours}/") else "inside" if ours.startswith(f"{theirs}/") else ""


def _of_seats(user: Seat, maker: Seat) -> Iterator[Feature]:
    for who, seat in (("user", user), ("maker", maker)):
        yield f"file {who} role {seat.role}", 1.0
        yield f"file {who} lead {seat.lead}", 1.0
        yield f"file {who} at {seat.at}", 1.0


def _of_things(user: Sketch, maker: Sketch) -> Iterator[Feature]:
    """Whether what the one takes as known is what the other speaks of, makes, or does."""
    hit = not user.known.isdisjoint(maker.words | maker.made)
    told = {
        "known": hit,
        "unknown": bool(user.known) and not hit,
        "known made": not user.known.isdisjoint(maker.made),
        "mark": not user.marks.isdisjoint(maker.words),
        "object": user.head in maker.words,
        "object made": user.head in maker.made,
        "want": not (user.wants - WEAK).isdisjoint(maker.made),
        "done": not user.done.isdisjoint(maker.verbs),
        "deed": not user.words.isdisjoint(maker.deeds),
        "verb": any(kin(word) in maker.verbs or verb_of(word) in maker.verbs for word in user.words),
        "origin": not (user.beginnings & maker.beginnings) <= {word[:5] for word in user.words & maker.words},
        "number": not user.numbers.isdisjoint(maker.numbers),
    }
    yield from ((f"thing {name}", 1.0) for name, holds in told.items() if holds)


def _of_likeness(user: Sketch, maker: Sketch) -> Iterator[Feature]:
    """Whether the two are of one kind, which speaks for parts side by side."""
    ours, theirs = ([word for word in sketch.said if word not in PLAIN][:2] for sketch in (user, maker))
    told = {
        "verb": bool(user.first and maker.first) and kin(user.first[0]) == kin(maker.first[0]),
        "begin": bool(ours) and ours[:1] == theirs[:1],
        "begin two": len(ours) == 2 and ours == theirs,
        "object": bool(user.head) and user.head == maker.head,
        "act": user.act == maker.act,
        "names": not user.names.isdisjoint(maker.names),
        "other names": bool(user.names and maker.names) and user.names.isdisjoint(maker.names),
        "files": bool(user.files and maker.files) and user.files.keys().isdisjoint(maker.files),
    }
    yield from ((f"like {name}", 1.0) for name, holds in told.items() if holds)


def _of_course(user: Sketch, maker: Sketch) -> Iterator[Feature]:
    """Words that end work against words that begin it: the same word in both says nothing."""
    for sketch, sign in ((user, 1.0), (maker, -1.0)):
        yield from ((f"late {word}", sign) for word in sketch.first)
        yield from ((f"later {word}", sign / 2) for word in sorted(sketch.words))
        yield f"late order {sketch.order}", sign
    yield from ((f"end {word}", 1.0) for word in user.first)
    yield from ((f"begin {word}", 1.0) for word in maker.first)
