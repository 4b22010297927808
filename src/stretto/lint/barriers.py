"""Barriers: stages that wait for all of the stage before, though each task needs only one result of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stretto.lint.chains import tasks_before
from stretto.lint.market import Market
from stretto.lint.scene import Scene
from stretto.plan.graph import Element
from stretto.plan.model import Task
from stretto.plan.references import only_ref, refs


class Barrier(NamedTuple):
    """Tasks that all wait for all makers; the user at one place of the list needs the maker at that place."""

    users: list[Element]
    makers: list[Element]
    needless: list[tuple[Element, Element]]
    """The needs that could go, each with the task first that has it."""
    fix: str


def barriers_of(scene: Scene, market: Market) -> Iterator[Barrier]:
    yield from _lists(scene)
    stages: dict[frozenset[Element], list[Element]] = {}
    for element in market.elements:
        before = tasks_before(element)
        if len(before) > 1:
            stages.setdefault(frozenset(before), []).append(element)
    for makers, users in stages.items():
        if len(users) == len(makers) and all(maker in market.trades for maker in makers):
            pairs = _counterparts(market, users, makers)
            if pairs:
                yield _stage(users, pairs)


def _lists(scene: Scene) -> Iterator[Barrier]:
    """An `each` over the whole result of another one: no item starts before all items of that are done."""
    for element in scene.graph.elements.values():
        each = element.part.each
        ref = only_ref(each.over) if each is not None else None
        made = next(
            (need.target for need in element.needs if ref is not None and need.tail == str(ref)[2:-1]), None
        )
        if made is None or made.part.each is None or made.part.quorum is not None:
            continue
        if isinstance(element.part, Task) and any(other == ref for other in refs(element.part.prompt)):
            continue
        yield Barrier(
            [element],
            [made],
            [],
            f"put `{made.path}` and `{element.path}` into one group with the `each` of `{made.path}`, "
            f"and use `${{{made.part.id}}}` inside: there it is that of the same item",
        )


def _counterparts(market: Market, users: list[Element], makers: frozenset[Element]) -> dict[Element, Element]:
    """For each user the maker with which it shares a word that no other one has; empty if any is unsure."""
    own: dict[Element, frozenset[str]] = {}
    for maker in makers:
        others = frozenset().union(*(_words(market, other) for other in makers if other is not maker))
        own[maker] = _words(market, maker) - others
    found: dict[Element, Element] = {}
    for user in users:
        words = _words(market, user)
        fitting = [maker for maker in makers if own[maker] & words]
        if len(fitting) != 1 or any(
            market.may_use(user, maker) for maker in makers if maker is not fitting[0]
        ):
            return {}
        found[user] = fitting[0]
    return found if len(set(found.values())) == len(makers) else {}


def _words(market: Market, element: Element) -> frozenset[str]:
    return market.trades[element].words | {use.path.norm for use in market.readings[element].paths}


def _stage(users: list[Element], pairs: dict[Element, Element]) -> Barrier:
    makers = [pairs[user] for user in users]
    needless = [(user, maker) for user in users for maker in makers if maker is not pairs[user]]
    lines = [f"`{user.path}` only for `{pairs[user].path}`" for user in users[:3]]
    more = ", and so on" if len(users) > 3 else ""
    return Barrier(users, makers, needless, f"let {', '.join(lines)} wait{more}")
