"""Needs that would close a circle if they were all added to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stretto.plan.graph import Element, points_before

Pair = tuple[Element, Element]
"""A task, and one that it has to wait for."""
_Point = tuple[Element, bool]


def circle_of(pairs: Iterable[Pair]) -> list[Pair]:
    """Those of the pairs that stand on one way from a task back to itself, by them and by the plan; or none.

    The plan itself has no circles. One look at every task and pair, without recursion.
    """
    added: dict[Element, list[_Point]] = {}
    for user, maker in pairs:
        added.setdefault(user, []).append((maker, True))
    done: set[_Point] = set()
    for user in added:
        way: list[_Point] = []
        on_way: set[_Point] = set()
        stack: list[Iterator[_Point]] = [iter([(user, True)])]
        while stack:
            point = next(stack[-1], None)
            if point is None:
                stack.pop()
                if way:
                    on_way.discard(way[-1])
                    done.add(way.pop())
            elif point in on_way:
                return _between(way[way.index(point) :], added)
            elif point not in done:
                way.append(point)
                on_way.add(point)
                stack.append(_before(point, added))
    return []


def _before(point: _Point, added: dict[Element, list[_Point]]) -> Iterator[_Point]:
    element, end = point
    yield from points_before(point)
    if not (end and element.members):
        yield from added.get(element, ())


def _between(way: list[_Point], added: dict[Element, list[_Point]]) -> list[Pair]:
    steps = zip(way, [*way[1:], way[0]], strict=True)
    return [(here[0], there[0]) for here, there in steps if there in added.get(here[0], ())]
