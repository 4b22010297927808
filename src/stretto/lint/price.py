"""What a plan would cost and how long it would take, with a change and without: expected, and at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple

from stretto.estimate.baselines import answering_s, conversation, strongest_used
from stretto.estimate.course import Course
from stretto.estimate.middle import MIDDLE, Cost, Money, Places, Spread
from stretto.estimate.pace import Pace
from stretto.estimate.pieces import (
    UNKNOWN_PARTS,
    Met,
    Piece,
    Widths,
    merged_list,
    needed_members,
    piece_of,
    pieces_of,
    strongest,
)
from stretto.estimate.worst import levels_of
from stretto.models.choice import Chooser
from stretto.models.figures import CLAUDE_TOKENS, SYSTEM_TOKENS, agent_of, figure
from stretto.plan.graph import Element, Graph, order_of, points_before, subtree
from stretto.plan.model import Plan, Task

Pairs = Collection[tuple[Element, Element]]


class Figures(NamedTuple):
    """Expected nano-dollars and seconds; None where no price is known, or nobody can say any more."""

    nusd: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """How a plan could be otherwise; what is given together is changed together."""

    models: Mapping[Element, str] = field(default_factory=dict)
    """Tasks on another tier or model."""
    removed: Pairs = ()
    """Needs that are no more: (task or group, what it needs)."""
    added: Pairs = ()
    """Needs that there are too."""
    merged: Collection[Element] = ()
    """Tasks (or groups of them) that one agent does in one conversation, on the strongest of their models."""
    split: Mapping[Element, int] = field(default_factory=dict)
    """Tasks cut into so many parts that run beside each other."""


class Swap(NamedTuple):
    """A task as it is, and as it would be."""

    old: Piece
    new: Piece
    cost: Cost | None
    """Of one instance then; None: nobody knows."""
    slower: float = 1.0
    """How many times as long the new one takes as its figures say."""


MANY = 100
"""In a plan with more tasks one that is changed shifts the middle of the sum as it shifts the mean."""
NOTHING = Spread()
NOBODY: set[Element] = set()
ONES = bytes.maketrans(b"01", b"\0\1")


class Prices:
    """The price of a plan's tasks, of the whole, and of the plan as it would be after a change.

    Money is what `stretto estimate` shows as expected; so is time, within some per cent. Nothing is worked
    out before it is asked for. Money is exact for as many questions as there are; time is told until
    `pace.VISITS` tasks were looked at, and then it is None, so that no plan takes long to criticise.
    """

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        on: str,
        chooser: Chooser,
        free: Callable[[str], bool],
        inputs: Mapping[str, Any],
    ):
        self._plan = plan
        self._graph = graph
        self._on = on
        self._chooser = chooser
        self._free = free
        self._inputs = inputs
        self._met = Met()
        self._elsewhere: dict[tuple[Element, str], Swap] = {}
        self._chains: dict[Element, Spread] = {}

    # What is asked

    def whole(self) -> Figures:
        """The plan as it is."""
        return Figures(None if self._money.unknown else self._nusd, self._pace.seconds)

    def of(self, element: Element) -> Figures:
        """Money of all instances of a task, or of all tasks in a group: its share of what the whole costs, so
        that shares add up; seconds of one instance, of a group the longest chain in one."""
        parts = [part for part in subtree(element) if part in self._nusd_of]
        nusd = [self._nusd_of[part] for part in parts]
        known = [amount for amount in nusd if amount is not None]
        return Figures(sum(known) if len(known) == len(nusd) else None, self._once(element).middle)

    def rest_of(self, element: Element) -> Figures:
        """The task or group and all that needs its result, directly or not: what is lost where it works on
        something that is not there. Seconds are those of the longest chain of them."""
        bits, chain = self._after[element]
        return Figures(self._sum_of(bits), chain.middle)

    def without(self, change: Change) -> Figures:
        """What the plan saves with this change: negative where it costs more or takes longer."""
        swaps = self._swaps(change)
        if swaps is None:
            return Figures(None, None)
        return Figures(self._saved_nusd(swaps.values()), self._saved_s(change, swaps))

    # What the plan is made of

    @cached_property
    def _pieces(self) -> list[Piece]:
        plan, graph = self._plan, self._graph
        return pieces_of(plan, self._on, graph, self._chooser, self._free, inputs=self._inputs)

    @cached_property
    def _piece(self) -> dict[Element, Piece]:
        return {piece.element: piece for piece in self._pieces if not piece.grown}

    @cached_property
    def _grown(self) -> dict[Element, Piece]:
        """By planner, one of the tasks that it will add."""
        return {owner: piece for piece in self._pieces if piece.grown and (owner := piece.element.owner)}

    @cached_property
    def _places(self) -> Places:
        return Places(Widths(self._inputs))

    @cached_property
    def _money(self) -> Money:
        money = Money(self._places)
        for piece in self._pieces:
            money.add(piece)
        return money

    @cached_property
    def _pace(self) -> Pace:
        return Pace(self._plan, self._graph, self._chooser.catalogue, self._pieces, self._places)

    # Money

    @cached_property
    def _nusd(self) -> float:
        """Of all whose price is known."""
        return self._money.nusd()

    @cached_property
    def _nusd_of(self) -> dict[Element, float | None]:
        """The share of each task; what a planner adds is with the planner. None: no price is known."""
        found: dict[Element, float | None] = {}
        for piece in self._pieces:
            element = piece.element.owner if piece.grown else piece.element
            assert element is not None
            before, cost = found.get(element, 0.0), self._money.cost(piece)
            share = self._share(piece, cost) + self._money.share_of_lump(piece)
            found[element] = None if before is None or cost.unknown else before + share
        return found

    @cached_property
    def _scale(self) -> float:
        """What is expected of the whole beside the sum of its means: the middle is below the mean."""
        mean = sum(self._money.means(piece)[1] for piece in self._pieces)
        return (self._nusd - self._money.sure_nusd) / mean if mean else 1.0

    def _share(self, piece: Piece, cost: Cost) -> float:
        """What all instances of a task add to the whole."""
        sure, doubted = self._money.means(piece, cost)
        return sure + doubted * self._scale

    def _saved_nusd(self, swaps: Iterable[Swap]) -> float | None:
        changes: list[tuple[Swap, Cost, Cost]] = []
        for swap in swaps:
            before, after = self._money.cost(swap.old), swap.cost
            if after is None or after.unknown or before.unknown:
                return None
            changes.append((swap, before, after))
        if len(self._pieces) > MANY:
            pairs = ((self._share(s.old, before), self._share(s.new, after)) for s, before, after in changes)
            return sum(before - after for before, after in pairs)
        money = self._money.copy()
        for swap, before, after in changes:
            money.add(swap.old, before, times=-1)
            money.add(swap.new, after)
        return self._nusd - money.nusd()

    # Tasks that are changed

    def _swaps(self, change: Change) -> dict[Element, Swap] | None:
        """None: something is merged of which nobody knows what one agent would take for it."""
        found = {element: self._moved(element, name) for element, name in change.models.items()}
        found |= {element: self._in_parts(element, parts) for element, parts in change.split.items()}
        merged = self._as_one([self._piece[element] for element in self._tasks_in(change.merged)])
        return None if merged is None else found | merged

    def _tasks_in(self, elements: Iterable[Element]) -> list[Element]:
        found = {part for element in elements for part in subtree(element) if part in self._piece}
        return sorted(found, key=lambda element: element.index)

    def _moved(self, element: Element, name: str) -> Swap:
        """A task on another model."""
        found = self._elsewhere.get((element, name))
        if found is None:
            old = self._piece[element]
            there = replace(element, part=replace(old.task, model=name, climb_to=""))
            facts = old.facts._replace(ladder=(name,), fixed=True, bounded=False)
            new = piece_of(there, self._plan, self._on, self._chooser, self._free, met=self._met, facts=facts)
            declares = old.declares and old.rungs and new.rungs
            found = self._declared_on(old, new) if declares else Swap(old, new, self._money.cost(new))
            self._elsewhere[element, name] = found
        return found

    def _declared_on(self, old: Piece, new: Piece) -> Swap:
        """What is declared is moved by the ratio of the two models' figures, where it is not declared of the
        strongest model and this is the one."""
        expect, money = old.facts.expect, self._money
        assert expect is not None
        catalogue, history = self._chooser.catalogue, self._chooser.history
        before, after = (
            figure(
                piece.facts._replace(expect=None), catalogue.info(piece.rungs[0].model), catalogue, history
            )
            for piece in (old, new)
        )
        ids = old.rungs[0].model, new.rungs[0].model
        top = ids[0] != ids[1] == strongest(catalogue, self._pieces)
        slower = after.seconds / before.seconds
        if top and expect.time_s and expect.strongest_time_s is not None:
            slower = expect.strongest_time_s / expect.time_s
        slower = slower if old.known_seconds == "declared" else 1.0
        if not old.is_declared:
            return Swap(old, new, money.cost(new), slower)
        if top and old.lump is None and expect.strongest_nusd is not None:
            return Swap(old, new, Cost(float(expect.strongest_nusd)), slower)
        if before.nusd is None or after.nusd is None:
            return Swap(old, new, None, slower)
        dearer = 1.0 if self._free(old.agent) or not before.nusd else after.nusd / before.nusd
        if old.lump is None:
            return Swap(old, new, money.cost(old).scaled(dearer), slower)
        one = money.share_of_lump(old) / (self._places.mean(self._places.width(old)) or 1.0)
        return Swap(old, new, Cost(one * (dearer - 1)), slower)  # beside its share of the total, which stays

    def _in_parts(self, element: Element, parts: int) -> Swap:
        """A task cut into parts: each takes its share of the time, and reads again what all of them share."""
        piece = self._piece[element]
        cost, facts = self._money.cost(piece), piece.facts
        mean = sum(spread.mean for _, spread in cost.doubted)
        if not mean or self._free(piece.agent):
            return Swap(piece, piece, cost, 1 / parts)
        model = piece.rungs[0].model
        price = self._chooser.catalogue.price_of(model)
        if price is None:
            return Swap(piece, piece, None, 1 / parts)
        read = facts.input_tokens + (CLAUDE_TOKENS if agent_of(facts) == "claude" else SYSTEM_TOKENS)
        again = (parts - 1) * read * self._chooser.catalogue.info(model).token_factor * price.input / 1e6
        return Swap(piece, piece, cost.scaled(1 + again / mean), 1 / parts)

    def _as_one(self, pieces: list[Piece]) -> dict[Element, Swap] | None:
        """Tasks as exchanges of one conversation, whose money and time are as unsure as theirs together."""
        asked = [piece for piece in pieces if piece.rungs and not self._free(piece.agent)]
        if any(piece.is_declared for piece in asked):
            return None
        if not asked:
            return {}
        catalogue, money = self._chooser.catalogue, self._money
        top = strongest_used(asked, catalogue)
        info, price = catalogue.info(top.model), catalogue.price_of(top.model)
        counts = [self._places.mean(self._places.width(piece)) for piece in asked]
        made = conversation(zip((piece.rungs[0].figure for piece in asked), counts, strict=True), price)
        costs = [money.cost(piece) for piece in asked]
        means = (count * cost.mean for count, cost in zip(counts, costs, strict=True))
        before = sum(means)
        found = {}
        for piece, cost in zip(asked, costs, strict=True):
            figure_ = piece.rungs[0].figure
            slower = answering_s(figure_.output_tokens, figure_.calls, info) / self._pace.of(piece).mean
            scaled = None if made.nusd is None or not before else cost.scaled(made.nusd / before)
            found[piece.element] = Swap(piece, piece, scaled, slower)
        return found

    # Time

    def _saved_s(self, change: Change, swaps: Mapping[Element, Swap]) -> float | None:
        merged = self._tasks_in(change.merged)

        def changed(course: Course) -> Course:
            if change.removed or change.added or change.split:
                course = course.changed(change.removed, change.added, change.split)
            return course.in_a_row(merged, _around(merged)) if merged else course

        return self._pace.saved_s(changed, {e: (swap.new, swap.slower) for e, swap in swaps.items()})

    @cached_property
    def _order(self) -> list[tuple[Element, bool]]:
        return order_of(self._graph)[0]

    @cached_property
    def _position(self) -> dict[Element, int]:
        return {element: position for position, (element, end) in enumerate(self._order) if end}

    def _once(self, element: Element) -> Spread:
        """The time of one instance: of a group, the longest chain of its members."""
        found = self._chains.get(element)
        if found is None:
            found = Spread()
            if element in self._piece:
                found = self._pace.of(self._piece[element])
            ends: dict[Element, Spread] = {}
            for member in sorted(element.members.values(), key=self._position.__getitem__):
                before = [ends.get(other, NOTHING) for other in needed_members(member, element)]
                ends[member] = max(before, default=NOTHING).plus(self._every(member))
            found = max(ends.values(), default=found)
            self._chains[element] = found
        return found

    def _every(self, element: Element) -> Spread:
        """The time of all items of a list one after the other, as far as the slots are too few for them, or
        of all rounds of a reduction."""
        part, once = element.part, self._once(element)
        if part.each is not None:
            length = self._places.lengths(element)[MIDDLE]
            return NOTHING.plus(once, max(min(1, length), length / self._plan.limits.parallel))
        if isinstance(part, Task) and part.reduce:
            merged = merged_list(element)
            length = UNKNOWN_PARTS if merged is None else self._places.lengths(merged)[MIDDLE]
            return NOTHING.plus(once, len(levels_of(length, part.fan_in)))
        return once

    # What a task's result goes into

    @cached_property
    def _after(self) -> dict[Element, tuple[int, Spread]]:
        """Of each element the tasks that need it, a bit each, itself among them, and their longest chain."""
        bit = {element: 1 << number for number, element in enumerate(self._piece)}
        found: dict[tuple[Element, bool], tuple[int, Spread]] = {}
        after: dict[Element, tuple[int, Spread]] = {}
        for point in reversed(self._order):
            bits, chain = found.get(point, (0, NOTHING))
            element, end = point
            if element in bit:
                bits, chain = bits | bit[element], self._every(element).plus(chain)
            if not (end and element.members):
                after[element] = bits, chain
            only_after = _only_after(element)
            for earlier in points_before(point):
                if earlier[0] not in only_after:
                    others, longest = found.get(earlier, (0, NOTHING))
                    found[earlier] = bits | others, max(chain, longest)
        return after

    def _sum_of(self, bits: int) -> float | None:
        """The money of the tasks whose bits are set: fast, for 10,000 tasks and as many questions."""
        text = f"{bits:0{len(self._piece)}b}".encode()[::-1].translate(ONES)
        amounts = list(compress(self._amounts, text))
        return None if None in amounts else sum(amount for amount in amounts if amount is not None)

    @cached_property
    def _amounts(self) -> list[float | None]:
        return [self._nusd_of[element] for element in self._piece]


def _only_after(element: Element) -> set[Element]:
    """What an element waits for without a look at the result."""
    after = element.part.after
    if not after:
        return NOBODY
    return {
        need.target
        for need in element.needs
        if not need.used and any(f"{name}.".startswith(f"{need.tail}.") for name in after)
    }


def _around(elements: list[Element]) -> Element | None:
    """The smallest group that all of these stand in; None: the plan."""
    base = elements[0].owner
    while base is not None and not all(base in _owners(element) for element in elements):
        base = base.owner
    return base


def _owners(element: Element) -> list[Element]:
    found = []
    here = element.owner
    while here is not None:
        found.append(here)
        here = here.owner
    return found
