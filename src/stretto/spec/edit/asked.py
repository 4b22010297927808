"""What mends mean for each part of a plan: which words its needs gain and lose, and which model it gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from stretto.plan.finding import Mend
from stretto.plan.graph import Element, build
from stretto.plan.model import Group, Plan, Task
from stretto.spec.edit.cuts import CannotEdit

_MADE = frozenset({"plan", "grown", "reduce"})
"""Members that the compiler makes of one task: what is written of them stands where their owner stands."""


@dataclass(slots=True)
class Change:
    """What one part gets, in the words that are written at that part."""

    element: Element
    model: str = ""
    add: dict[str, Element] = field(default_factory=dict)
    remove: dict[str, Element] = field(default_factory=dict)
    """Of `needs` and `after`; a word may stand in neither, where the order of the group makes the need."""
    model_mends: list[Mend] = field(default_factory=list)
    need_mends: dict[Mend, list[str]] = field(default_factory=dict)
    """Each with the words that it means."""

    def asking(self, word: str) -> list[Mend]:
        """The mends that this word stands in."""
        return [mend for mend, words in self.need_mends.items() if word in words]


class Asked:
    """The changes that mends ask for, by the path of the part that is written, and why some cannot be."""

    def __init__(self, plan: Plan, mends: Iterable[Mend]):
        self.plan = plan
        self.graph = build(plan)
        self.changes: dict[str, Change] = {}
        self.models: dict[str, str] = {}
        """The new model of each task, by its path."""
        self.refused: dict[Mend, str] = {}
        self._before: dict[Element, dict[str, str]] = {}
        """Of a group, the id that stands before each member."""
        for mend in dict.fromkeys(mends):
            try:
                self._ask(mend)
            except CannotEdit as why:
                self.refuse([mend], why)

    def refuse(self, mends: Iterable[Mend], why: object) -> None:
        self.refused |= dict.fromkeys(mends, str(why))

    def comes_next(self, element: Element, target: Element) -> bool:
        """Whether the order of the group they are in makes the first need the other one."""
        owner = element.owner
        if owner is None or target.owner is not owner or not _is_serial(owner):
            return False
        if owner not in self._before:
            self._before[owner] = {id: before for before, id in pairwise(["", *owner.members])}
        return self._before[owner][element.part.id] == target.part.id

    def _ask(self, mend: Mend) -> None:
        element = self._element(mend.task)
        written = self.written(element)
        change = self.changes.setdefault(written.path, Change(written))
        if mend.action == "set-model":
            self._set_model(change, element, mend.value)
            change.model_mends.append(mend)
        else:
            change.need_mends[mend] = self._need(change, mend)

    def _set_model(self, change: Change, element: Element, model: str) -> None:
        part = element.part
        if not isinstance(part, Task):
            raise CannotEdit(f"{element.path!r} is a group")
        if part.climb_to:
            raise CannotEdit("its model is a ladder, and only its author knows which end is wrong")
        change.model = self.models[element.path] = model

    def _need(self, change: Change, mend: Mend) -> list[str]:
        """The words that come or go; none where the need is there already."""
        element = change.element
        target = _seen_from(element, self.written(self._element(mend.value)))
        written = [w for w in (*element.part.needs, *element.part.after) if self._meant(element, w) is target]
        if mend.action == "add-need":
            if any(need.target is target and need.used for need in element.needs):
                return []
            words, into = [self._word(element, target)], change.add
        else:
            words, into = written, change.remove
        if not words:
            raise CannotEdit(f"{element.path!r} has no need on {target.path!r} that is written under `needs`")
        into.update(dict.fromkeys(words, target))
        return words

    def _element(self, path: str) -> Element:
        found = self.graph.elements.get(path)
        if found is None:
            raise CannotEdit(f"there is no task {path!r}")
        return found

    def written(self, element: Element) -> Element:
        """The part itself, or the one that the compiler has made it of."""
        owner, places = element.owner, self.plan.places
        if owner is None or element.part.id not in _MADE:
            return element
        return owner if places.get(element.path) == places.get(owner.path) else element

    def _word(self, element: Element, target: Element) -> str:
        """What is written under `needs` of a part to mean another one."""
        scope = element.owner
        while True:
            start = f"{scope.path}." if scope else ""
            word = target.path.removeprefix(start)
            if target.path.startswith(start) and self._meant(element, word) is target:
                return word
            if scope is None:
                raise CannotEdit(f"a nearer task has the name that leads to {target.path!r}")
            scope = scope.owner

    def _meant(self, element: Element, word: str) -> Element | None:
        """The part that a word under `needs` leads to, as the graph resolves it."""
        name, *rest = word.split(".")
        scope = element.owner
        found = (scope.members if scope else self.graph.roots).get(name)
        while found is None and scope is not None:
            scope = scope.owner
            found = (scope.members if scope else self.graph.roots).get(name)
        for inner in rest:
            if found is None or found.grows:
                break
            found = found.members.get(inner)
        return found


def _seen_from(element: Element, target: Element) -> Element:
    """The target, or the group around it that grows: from outside, only all of its items can be needed."""
    around, outwards = _around(element), _around(target)
    if target in around or element in outwards:
        raise CannotEdit("one of the two stands in the other")
    apart = [owner for owner in outwards if owner not in around]
    return next((owner for owner in reversed(apart) if owner.grows), target)


def _is_serial(element: Element) -> bool:
    return isinstance(element.part, Group) and element.part.order == "serial"


def _around(element: Element | None) -> list[Element]:
    """The element and the groups it stands in, from the inside out."""
    found = []
    while element is not None:
        found.append(element)
        element = element.owner
    return found
