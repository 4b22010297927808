"""The graph of a plan: every part with its needs resolved to other parts, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stretto.plan.finding import Vocabulary
from stretto.plan.model import MERGE, Group, Part, Plan, Task
from stretto.plan.references import Ref, malformed, refs

UNKNOWN_TIME_S = 1.0
"""What a task without an expected time weighs in the order of starts."""


MAX_CYCLES = 100
"""More of them are not listed: where this many tasks wait for each other, one mistake makes many."""


class Problem(NamedTuple):
    """A reference or need that cannot hold; `path` is the part it stands in."""

    slug: str
    path: str
    message: str
    fix: str = ""
    about: str = ""
    """The id or reference as it is written there; empty where the part as a whole is meant."""
    others: tuple[str, ...] = ()
    """The paths of further parts that have a share in it."""


class Need(NamedTuple):
    """One resolved need.

    The instance it means is found by walking from the needing instance outwards to the scope of `base`
    (None: the plan itself) and adding `tail` to that scope's prefix.
    """

    target: Element
    base: Element | None
    tail: str
    name: str
    """The word it was written with: the first name of the reference, or the id under `needs`."""
    handed: bool
    """True where the output is appended, because it was named under `needs` and stands in no text."""
    used: bool
    """False where it only orders (`after`): then the output is no input, and no part of the key."""


NO_MEMBERS: dict[str, Element] = {}
"""Shared by all tasks: a plan may have 100,000 of them. Never written to."""


@dataclass(slots=True, eq=False)
class Element:
    """A task or a group where it stands in the plan's tree."""

    part: Part
    owner: Element | None
    path: str
    """Ids from the plan down, joined by dots, without indices of items."""
    index: int
    """Plan order, counted over the whole tree."""
    members: dict[str, Element] = field(default_factory=lambda: NO_MEMBERS)
    needs: list[Need] = field(default_factory=list)
    """What must be settled before it starts; on an each or a reduce, before it grows."""
    sinks: Sequence[Element] = ()
    """Of a group: the members that no other member needs; its result is theirs."""
    tail_s: float = 0.0
    """Longest expected time from its start to the end of the plan: the order of starts."""

    @property
    def grows(self) -> bool:
        """True where members are made at run time: an each, a reduce, or the place of a planner's plan.

        That place is a group without tasks; an author cannot write one.
        """
        part = self.part
        if part.each is not None:
            return True
        return not part.tasks if isinstance(part, Group) else bool(part.reduce)


@dataclass(slots=True)
class Graph:
    """All parts of a plan by path, in plan order."""

    roots: dict[str, Element]
    elements: dict[str, Element]
    problems: list[Problem]
    shared: dict[Need, Need] = field(default_factory=dict)
    known: set[Problem] = field(default_factory=set)
    """The problems again, so that the same one is not said twice."""
    vocabularies: dict[Element | None, Vocabulary] = field(default_factory=dict)
    """The names that references can begin with inside a group, or in the plan."""


def build(plan: Plan) -> Graph:
    """Resolves every need and reference; problems are collected, not raised."""
    graph = Graph({}, {}, [])
    for part in plan.tasks:
        _place(graph, part, None, graph.roots)
    for element in list(graph.elements.values()):
        _Resolver(graph, plan, element).resolve()
    _find_sinks(graph)
    graph.shared.clear()
    order, cycles = order_of(graph)
    graph.problems.extend(map(_cycle, cycles))
    if not graph.problems:
        _weigh(order)
    return graph


def grow(owner: Element, parts: tuple[Part, ...], plan: Plan) -> Graph:
    """Places a planner's tasks under `owner` (the group `grown`) and resolves them among themselves."""
    graph = Graph({}, {}, [])
    for part in parts:
        _place(graph, part, owner, owner.members, owner.index)
    for element in list(graph.elements.values()):
        _Resolver(graph, plan, element).resolve()
    _sinks_of(owner)
    for element in graph.elements.values():
        _sinks_of(element)
    order, cycles = order_of(graph, owner)
    graph.problems.extend(map(_cycle, cycles))
    if not graph.problems:
        _weigh(order, owner)
    return graph


def _place(graph: Graph, part: Part, owner: Element | None, into: dict[str, Element], first: int = 0) -> None:
    path = f"{owner.path}.{part.id}" if owner else part.id
    if part.id in into:
        graph.problems.append(
            Problem("duplicate-id", path, f"two tasks are called {part.id!r}", "rename one of them")
        )
        return
    element = Element(part, owner, path, first + len(graph.elements))
    into[part.id] = element
    graph.elements[path] = element
    if isinstance(part, Group):
        element.members = {}
        for member in part.tasks:
            _place(graph, member, element, element.members, first)


def read_texts(part: Part) -> Iterator[object]:
    """The texts of a part that reach its agent: what stands there need not be handed over again."""
    if isinstance(part, Task):
        # Most of these are empty in most tasks, and a plan may have 10,000.
        for text in (part.prompt, part.run, part.args):
            if text:
                yield text


def texts_of(part: Part) -> Iterator[object]:
    """Every text of a part in which references may stand, apart from its `each` and its members."""
    yield from read_texts(part)
    if isinstance(part, Task):
        for text in (part.reads, part.writes):
            if text:
                yield text
        if part.reduce:
            yield part.reduce
        if part.check is not None:
            yield part.check.run
            yield part.check.prompt


class _Resolver:
    """Finds what the words of one part mean, looking outwards from where it stands."""

    def __init__(self, graph: Graph, plan: Plan, element: Element):
        self.graph = graph
        self.plan = plan
        self.element = element
        self.seen: dict[str, int] = {}

    def resolve(self) -> None:
        part = self.element.part
        standing = [(ref.name, *ref.path) for text in read_texts(part) for ref in self._refs(text)]
        for name in part.needs:
            words = tuple(name.split("."))
            self._by_id(name, handed=not any(s[: len(words)] == words for s in standing))
        for name in part.after:
            self._by_id(name, handed=False, used=False)
        if part.each is not None:
            # Its own `as` name means nothing yet in the list it goes over, and the list reaches an item
            # as that item: a longer list must not change the keys of the items it had before.
            for ref in self._refs(part.each.over):
                self._by_reference(ref, self.element.owner, used=False)
        for text in texts_of(part):
            for ref in self._refs(text):
                self._by_reference(ref, self.element)

    def _refs(self, text: object) -> list[Ref]:
        try:
            return list(refs(text))
        except ValueError:
            for bad in malformed(text):
                fix = "write ${task.field}, or $${ for a literal ${"
                self._problem("bad-reference", f"{bad} is not a reference", fix, bad)
            return []

    def _problem(self, slug: str, message: str, fix: str = "", about: str = "") -> None:
        problem = Problem(slug, self.element.path, message, fix, about)
        if problem not in self.graph.known:
            self.graph.known.add(problem)
            self.graph.problems.append(problem)

    def _scope(self, owner: Element | None) -> dict[str, Element]:
        if owner is not None:
            return owner.members
        root = self.element
        while root.owner is not None:
            root = root.owner
        return self.graph.roots if self.graph.roots else {root.part.id: root}

    def _find(self, name: str) -> tuple[Element, Element | None] | None:
        """The part that a name means, and the group it is a member of; the nearest one wins."""
        owner = self.element.owner
        while True:
            found = self._scope(owner).get(name)
            if found is not None:
                return found, owner
            if owner is None:
                return None
            owner = owner.owner

    def _bound(self, name: str, here: Element | None) -> bool:
        """True for the `as` name of an each from `here` outwards, and for an input of the plan."""
        while here is not None:
            if here.part.each is not None and here.part.each.name == name:
                return True
            here = here.owner
        return name in self.plan.inputs

    def _by_id(self, written: str, *, handed: bool, used: bool = True) -> None:
        name, *rest = written.split(".")
        self._add(name, tuple(rest), handed=handed, used=used)

    def _by_reference(self, ref: Ref, here: Element | None, *, used: bool = True) -> None:
        if not self._bound(ref.name, here):
            self._add(ref.name, ref.path, handed=False, used=used, reference=str(ref))

    def _add(
        self, name: str, path: tuple[str, ...], *, handed: bool, used: bool, reference: str = ""
    ) -> None:
        found = self._find(name)
        if found is None:
            self._unknown(name, reference, ".".join((name, *path)))
            return
        target, base = found
        tail = name
        for inner in path:
            # Into a plain group a name digs to the member itself; into an each only its whole list is known.
            if target.grows or not isinstance(target.part, Group) or inner not in target.members:
                break
            target = target.members[inner]
            tail = f"{tail}.{inner}"
        if path and not reference and (inner := self._no_member(target, name, path, tail)):
            self._unknown(inner, reference, ".".join((name, *path)), Vocabulary(target.members))
            return
        if self._inside(target):
            what = "itself" if target is self.element else f"{target.path!r}, which it is a part of"
            about = reference or ".".join((name, *path))
            self._problem("cycle", f"{self.element.path!r} needs {what}", "remove this need", about)
            return
        need = Need(target, base, tail, name, handed, used)
        # Many parts need the same one in the same way: they share the record.
        need = self.graph.shared.setdefault(need, need)
        at = self.seen.get(tail)
        if at is None:
            self.seen[tail] = len(self.element.needs)
            self.element.needs.append(need)
        else:
            before = self.element.needs[at]
            self.element.needs[at] = need._replace(handed=handed or before.handed, used=used or before.used)

    def _no_member(self, target: Element, name: str, path: tuple[str, ...], tail: str) -> str:
        """The first word of a dotted need that leads nowhere: it digs into no value."""
        rest = (name, *path)[tail.count(".") + 1 :]
        return rest[0] if rest and (len(rest) > 1 or rest[0] not in target.members) else ""

    def _inside(self, target: Element) -> bool:
        here: Element | None = self.element
        while here is not None:
            if here is target:
                return True
            here = here.owner
        return False

    def _unknown(self, name: str, reference: str, written: str, known: Vocabulary | None = None) -> None:
        known = known or self._known()
        fix = known.did_you_mean(name, but=self.element.part.id)
        what = f"{reference} refers to" if reference else "needs"
        slug = "unknown-reference" if reference else "unknown-need"
        message = f"{self.element.path!r} {what} {name!r}, which is no task here"
        self._problem(slug, message, fix, reference or written)

    def _known(self) -> Vocabulary:
        """Every name that a reference here could begin with."""
        inside = self.element.owner
        if inside not in self.graph.vocabularies:
            known: set[str] = set(self.plan.inputs)
            owner = inside
            while True:
                known.update(self._scope(owner))
                if owner is None:
                    break
                if owner.part.each is not None:
                    known.add(owner.part.each.name)
                owner = owner.owner
            self.graph.vocabularies[inside] = Vocabulary(known)
        return self.graph.vocabularies[inside]


def _sinks_of(element: Element) -> None:
    used: set[Element] = set()
    for member in element.members.values():
        if member.part.id == MERGE:  # it looks at what the others made; the group's result is theirs
            used.add(member)
            continue
        for inner in subtree(member):
            for need in inner.needs:
                here: Element | None = need.target
                while here is not None and here.owner is not element:
                    here = here.owner
                if here is not None and here is not member:
                    used.add(here)
    element.sinks = [m for m in element.members.values() if m not in used]


def _find_sinks(graph: Graph) -> None:
    for element in graph.elements.values():
        if element.members:
            _sinks_of(element)


def subtree(element: Element) -> Iterator[Element]:
    """The element and all below it in the tree, in plan order."""
    yield element
    for member in element.members.values():
        yield from subtree(member)


def _before(element: Element, top: Element | None) -> Iterator[tuple[Element, bool]]:
    """What must be over before `element` may start: (target, True) is its end, (owner, False) its start."""
    for need in element.needs:
        yield need.target, True
    if element.owner is not None and element.owner is not top:
        yield element.owner, False


def order_of(
    graph: Graph, top: Element | None = None
) -> tuple[list[tuple[Element, bool]], list[list[Element]]]:
    """A topological order of the starts and ends of all parts below `top`, and the elements of each cycle.

    (element, False) is its start, (element, True) its end. Iterative: chains of 10,000 do not overflow.
    """
    cycles: dict[frozenset[Element], list[Element]] = {}
    done: dict[tuple[Element, bool], int] = {}
    order: list[tuple[Element, bool]] = []
    for first in graph.elements.values():
        stack: list[tuple[tuple[Element, bool], Iterator[tuple[Element, bool]]]] = []
        point = (first, True)
        if point in done:
            continue
        done[point] = 1
        stack.append((point, points_before(point, top)))
        while stack:
            point, rest = stack[-1]
            for other in rest:
                state = done.get(other, 0)
                if state == 1:
                    if len(cycles) < MAX_CYCLES:
                        points = [p for p, _ in stack]
                        cycle = [p[0] for p in points[points.index(other) :]]
                        cycles.setdefault(frozenset(cycle), cycle)
                elif state == 0:
                    done[other] = 1
                    stack.append((other, points_before(other, top)))
                    break
            else:
                done[point] = 2
                order.append(point)
                stack.pop()
    return order, list(cycles.values())


def points_before(point: tuple[Element, bool], top: Element | None = None) -> Iterator[tuple[Element, bool]]:
    """What must have happened right before a start or an end, as `order_of` has them."""
    element, end = point
    if end and element.members:
        yield element, False
        for member in element.members.values():
            yield member, True
    else:  # what has no members starts and ends in one point
        yield from _before(element, top)


def _cycle(elements: list[Element]) -> Problem:
    names = list(dict.fromkeys(n.path for n in elements))
    shown = " -> ".join([*names, names[0]])
    message = f"these wait for each other: {shown}"
    return Problem("cycle", names[0], message, "remove one need", others=tuple(names[1:]))


def _own_time(element: Element) -> float:
    if isinstance(element.part, Group):
        return 0.0
    expect = element.part.expect
    return expect.time_s if expect and expect.time_s is not None else UNKNOWN_TIME_S


def _weigh(order: list[tuple[Element, bool]], top: Element | None = None) -> None:
    """Sets `tail_s`, the longest chain of expected times from a part's start: once per part, not per item."""
    after_end: dict[Element, float] = {} if top is None else {top: top.tail_s}
    start_tail: dict[Element, float] = {}
    for element, end in reversed(order):
        if end:
            owner_tail = after_end.get(element.owner, 0.0) if element.owner else 0.0
            after_end[element] = tail = max(after_end.get(element, 0.0), owner_tail)
            if element.members:
                continue
            tail += _own_time(element)
        else:
            tail = start_tail.get(element, after_end.get(element, 0.0))
        element.tail_s = tail
        for target, target_end in _before(element, top):
            of = after_end if target_end else start_tail
            if of.get(target, 0.0) < tail:
                of[target] = tail
