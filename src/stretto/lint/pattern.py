"""The pattern that a plan has by its structure, however it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from stretto.estimate.pieces import Widths
from stretto.plan.graph import Element, Graph, subtree
from stretto.plan.model import Plan, Task

Name = Literal["one-agent", "fan-out", "pipeline", "hierarchy", "scatter-gather", "map-reduce"]


class Pattern(NamedTuple):
    """The outermost pattern of a plan, and those inside it."""

    name: Name
    wide: int = 1
    """How many stand side by side at its widest place, of a list the most; 0 where nobody can say."""
    exact: bool = True
    """False where only the run will tell how long a list is."""
    stages: int = 1
    inside: tuple[Name, ...] = ()
    """Other patterns in its parts, the outer ones first, each named once."""

    def __str__(self) -> str:
        words = self.name.replace("one-agent", "one agent")
        if self.name == "pipeline":
            words += f" of {self.stages:,} stages"
        elif self.name != "one-agent" and self.wide:
            words += f" over {'' if self.exact else 'at most '}{self.wide:,}"
        return f"{words}, with {' and '.join(self.inside)} inside" if self.inside else words


def pattern_of(plan: Plan, graph: Graph, inputs: Mapping[str, Any] | None = None) -> Pattern | None:
    """What a reader would call this plan; None where its needs lead nowhere or round in a circle.

    Stages that are none of the patterns as a whole are a pipeline that has others inside. A command that only
    makes the list for a fan-out is no stage.
    """
    if graph.problems or not graph.roots:
        return None
    given = {name: entry.default for name, entry in plan.inputs.items()} if inputs is None else inputs
    return _of_many(list(graph.roots.values()), Widths(given))


def _of_many(members: Sequence[Element], widths: Widths) -> Pattern:
    if len(members) == 1:
        return _of_one(members[0], widths)
    levels = list(levels_of(members))
    shapes = [[_of_one(member, widths) for member in level] for level in levels]
    wide = [len(level) > 1 or level[0].name == "fan-out" for level in shapes]
    if len(levels) > 1 and wide[1] and len(levels[0]) == 1 and _makes_a_list(levels[0][0]):
        levels, shapes, wide = levels[1:], shapes[1:], wide[1:]
    name = _name(levels, wide)
    inside: list[Name] = []
    for level, is_wide in zip(shapes, wide, strict=True):
        if is_wide and name == "pipeline":
            inside.append("fan-out")
        for shape in level:
            if len(level) > 1 or not is_wide:  # the only one of a wide level is what the name is about
                inside.append(shape.name)
            inside += shape.inside
    widest = max(shapes, key=lambda level: (not all(map(_width, level)), sum(map(_width, level))))
    most = sum(map(_width, widest)) if all(map(_width, widest)) else 0
    exact = all(shape.exact for shape in widest)
    kept = dict.fromkeys(word for word in inside if word not in (name, "one-agent"))
    return Pattern(name, most, exact, len(levels), tuple(kept))


def _of_one(element: Element, widths: Widths) -> Pattern:
    part = element.part
    members = list(element.members.values())
    inner = _of_many(members, widths) if members else Pattern("one-agent")
    if part.each is not None:
        known = widths.known(element)
        inside = dict.fromkeys(word for word in (inner.name, *inner.inside) if word != "one-agent")
        return Pattern(
            "fan-out", part.each.max if known is None else known, known is not None, 1, tuple(inside)
        )
    if element.grows:
        return Pattern("map-reduce", 0) if isinstance(part, Task) else Pattern("fan-out", 0, False)
    return inner


def _width(shape: Pattern) -> int:
    return shape.wide if shape.name == "fan-out" else 1


def _name(levels: Sequence[Sequence[Element]], wide: Sequence[bool]) -> Name:
    """Of stages one after the other, each of one part or of several side by side."""
    if len(wide) == 1:
        return "fan-out"
    if any(_reduces(part) for number, level in enumerate(levels) if any(wide[:number]) for part in level):
        return "map-reduce"
    first = levels[0][0]
    match tuple(wide):
        case (True, False):
            # The same work on every entry of a list, or several views of one thing.
            return "map-reduce" if len(levels[0]) == 1 and first.part.each is not None else "scatter-gather"
        case (False, True) | (False, True, False) if isinstance(first.part, Task) and first.part.prompt:
            return "hierarchy"
        case _:
            return "pipeline"


def _reduces(element: Element) -> bool:
    return isinstance(element.part, Task) and bool(element.part.reduce)


def _makes_a_list(element: Element) -> bool:
    part = element.part
    return isinstance(part, Task) and not part.prompt and part.each is None


def levels_of(members: Sequence[Element]) -> Iterator[list[Element]]:
    """The parts of one group, or of the plan, by how long the longest chain of needs before them is."""
    owner, among = members[0].owner, set(members)
    waits: dict[Element, set[Element]] = {}
    frees: dict[Element, list[Element]] = {}
    for member in members:
        needed = {_member(need.target, owner) for inner in subtree(member) for need in inner.needs}
        waits[member] = {other for other in needed if other in among and other is not member}
        for other in waits[member]:
            frees.setdefault(other, []).append(member)
    level = [member for member in members if not waits[member]]
    while level:
        yield level
        after: list[Element] = []
        for done in level:
            for member in frees.get(done, ()):
                waits[member].discard(done)
                if not waits[member]:
                    after.append(member)
        level = after


def _member(element: Element, owner: Element | None) -> Element | None:
    """The part of the group `owner` that an element is, or stands in; None where it stands elsewhere."""
    here: Element | None = element
    while here is not None and here.owner is not owner:
        here = here.owner
    return here
