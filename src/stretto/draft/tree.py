"""The questions of the decision tree, each with its answer and the words of the goal that gave it.

Two readers answer them. One looks for what a pattern needs: a list, an order, views, a search that comes
first (`many`, `signs`, `views`, `finding`). The other knows which words go with which pattern (`likeness`).
They make different mistakes: of strangers' goals the first alone tells 0.86 right, the second 0.92, both
together 0.95 (`python -m bench.likeness --across`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from stretto.draft import words as w
from stretto.draft.finding import found_first
from stretto.draft.likeness import Model, class_of, likeness
from stretto.draft.many import Many, joined, many
from stretto.draft.pieces import Piece
from stretto.draft.reading import Goal
from stretto.draft.signs import NO, Sign, apart, chain_of, coupled, ordered
from stretto.draft.views import views

Pattern = Literal["one-agent", "fan-out", "pipeline", "hierarchy", "scatter-gather", "map-reduce"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

TRUST = 1.25
"""How much more probable a pattern is, as a logarithm, where its signs are there; half of it for one
agent, which is only what is left when there are none."""


class Answer(NamedTuple):
    """One question of the tree."""

    question: str
    yes: bool
    words: str
    """The words of the goal that say so; empty where none do."""


class Path(NamedTuple):
    """The way through the tree, and what the plan will be made of."""

    pattern: Pattern
    answers: list[Answer]
    many: Many
    join: Sign = NO
    found: Sign = NO
    chain: tuple[Piece, ...] = ()


READABLE = "Can the words be read?"
COUPLED = "Does it hang together so closely that it cannot be shared out?"
FIRST = "Must somebody look or plan before the parts are known?"
VIEWS = "Are several views or candidates weighed for one answer?"
ORDERED = "Is one thing made out of the other, in a fixed order?"
MANY = "Is there work on several parts that stand side by side?"
JOINED = "Is it all brought together in one result?"


def decide(goal: Goal, model: Model | None = None) -> Path:
    """The pattern that a goal asks for, with the questions that lead to it."""
    signs = _Signs(goal)
    if not is_readable(goal):
        return Path("one-agent", [Answer(READABLE, False, "")], signs.over)
    seen = signs.pattern()
    like = likeness(goal, model)
    trust = TRUST if signs.speak else TRUST / 2
    scores = {pattern: like.scores[pattern] + (trust if pattern == seen else 0.0) for pattern in PATTERNS}
    pattern = max(PATTERNS, key=lambda name: scores[name])
    answers = signs.answers(pattern, like.words[pattern])
    return Path(pattern, answers, signs.over, signs.join, signs.found, tuple(chain_of(goal)))


def is_readable(goal: Goal) -> bool:
    """Whether enough of the words are English, which is all that the tables know."""
    text = goal.text
    letters = [letter for letter in text if letter.isalpha()]
    if sum(letter.isascii() for letter in letters) * 2 < len(letters):
        return False
    words = [word.text for sentence in goal.sentences for word in sentence.words]
    foreign, ours = (sum(word in known for word in words) for known in (w.FOREIGN, w.ENGLISH))
    strange = all(class_of(word) in ("x", "xs") for s in goal.sentences for word in s.words)
    return not strange and not (foreign > 1 and foreign > ours)


class _Signs:
    """What speaks for each pattern, and which one that is."""

    def __init__(self, goal: Goal):
        self.goal = goal
        self.together = coupled(goal)
        self.found = found_first(goal)
        self.sides = views(goal)
        self.over = many(goal)
        self.join = joined(goal, self.over) if self.over.sign.strength > 0.3 else NO
        self.apart = apart(goal)
        order = ordered(goal)
        self.order = order if order.strength >= 1.0 or not self.apart else NO
        self.speak = False
        """Whether anything at all was found."""

    def pattern(self) -> Pattern:
        """What the signs alone say; where several do, the surer one."""
        chosen = self._chosen()
        self.speak = chosen != "one-agent" or bool(self.together)
        return chosen

    def _chosen(self) -> Pattern:
        wide = self.over.sign.strength >= 0.95
        if self.together:
            return "one-agent"
        if self.sides.strength >= 0.85 > self.found.strength:
            return "scatter-gather"
        if self.order.strength > 0.85 and not wide and not 0.5 <= self.found.strength < 0.9:
            return "pipeline"
        if self.found:
            return "hierarchy"
        if self.sides:
            return "scatter-gather"
        if self.order.strength > 0.75 and not wide:
            return "pipeline"
        if self.several():
            return "map-reduce" if self.join else "fan-out"
        if self.order:
            return "pipeline"
        return "fan-out" if self.apart else "one-agent"

    def several(self) -> Sign:
        """A bare plural is many things where all of them end in one result, or are said to stand apart."""
        sign = self.over.sign
        gone_through = self.join.strength >= 0.8 and not self.order
        if 0.4 <= sign.strength < 0.5 and (self.apart or gone_through):
            return Sign(0.6, sign.words, sign.piece)
        return sign

    def answers(self, pattern: Pattern, like: str) -> list[Answer]:
        """The questions in their order up to the one that this pattern answers with yes."""
        several = self.several() or self.apart
        questions = [
            (COUPLED, self.together, ("one-agent",) if self.together else ()),
            (FIRST, self.found, ("hierarchy",)),
            (VIEWS, self.sides, ("scatter-gather",)),
            (ORDERED, self.order, ("pipeline",)),
            (MANY, several, ("fan-out", "map-reduce")),
            (JOINED, self.join, ("map-reduce",)),
        ]
        found = []
        for question, sign, patterns in questions:
            yes = pattern in patterns
            found.append(Answer(question, yes, (sign.words if sign else like) if yes else ""))
            if yes and question != MANY:
                break
            if question == MANY and not yes:
                break
        return found
