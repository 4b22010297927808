"""The checklist before a run: seven items, each ticked by what the plan shows and never by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

from stretto.estimate.pieces import Widths, eaches_of
from stretto.lint.pattern import pattern_of
from stretto.lint.scene import Scene, task_of
from stretto.lint.slugs import ITEM_OF, Item
from stretto.lint.words import duration, many
from stretto.models.money import usd
from stretto.plan.finding import Finding
from stretto.plan.graph import Element, order_of, points_before
from stretto.plan.model import Task

LABELS: dict[Item, str] = {
    "pattern": "pattern identified",
    "dependencies": "needs mapped",
    "parallelism": "parallelism identified",
    "models": "models selected",
    "cost": "cost estimated",
    "time": "time estimated",
    "errors": "error handling planned",
}
"""The items in their order, as people read them."""

FORM: Item = "pattern"
"""What an error of the plan's form takes the tick from: what cannot be read has no structure yet."""


SHOWN = 3
"""Of more than these only the number is said."""


class Tick(NamedTuple):
    """One item of the checklist."""

    item: Item
    ticked: bool
    evidence: str
    """Facts that hold, or what stands in the way."""


def checklist(scene: Scene | None, found: Sequence[Finding]) -> tuple[Tick, ...]:
    """The seven ticks of a plan with these findings; no scene: nothing could be read as a plan.

    An item is ticked if its facts are known and no error of its kind stands, and no warning unless accepted.
    """
    against: dict[Item, Counter[str]] = {item: Counter() for item in LABELS}
    for finding in found:
        item = ITEM_OF.get(finding.slug, FORM if finding.severity == "error" else None)
        if item is not None and finding.severity != "info" and not finding.accepted:
            against[item][finding.slug] += 1
    broken = any(finding.severity == "error" for finding in found)
    return tuple(_tick(item, against[item], scene, broken) for item in LABELS)


def _tick(item: Item, against: Counter[str], scene: Scene | None, broken: bool) -> Tick:
    said = ", ".join(f"{count:,} {slug}" for slug, count in against.most_common(SHOWN))
    said += f" and {many(len(against) - SHOWN, 'other kind')}" if len(against) > SHOWN else ""
    if scene is None:
        return Tick(item, False, said or "there is no plan to look at")
    if broken and item in ("cost", "time"):
        return Tick(item, False, said or "unknown as long as there are errors")
    known, facts = _EVIDENCE[item](scene)
    if item == "dependencies" and not said:
        facts += ", no cycle, nothing used before it is made"
    return Tick(item, known and not said, f"{said}; {facts}" if said and known else said or facts)


_Facts = tuple[bool, str]
"""Whether the item's facts are known, and they or what is missing."""


def _pattern(scene: Scene) -> _Facts:
    found = pattern_of(scene.plan, scene.graph, scene.inputs)
    if found is None:
        return False, "unknown as long as needs lead nowhere"
    return True, f"{found}; {many(len(scene.tasks), 'task')}"


def _needs(scene: Scene) -> _Facts:
    count = sum(len(element.needs) for element in scene.graph.elements.values())
    return True, many(count, "need") if count else "no needs"


def _parallelism(scene: Scene) -> _Facts:
    if scene.broken:
        return False, "unknown as long as needs lead nowhere"
    widths, depths = Widths(scene.inputs), _depths(scene)
    at_once: Counter[int] = Counter()
    exact = True
    for element, depth in depths.items():
        lengths = [(widths.known(each), each.part.each) for each in eaches_of(element)]
        exact = exact and all(known is not None for known, _ in lengths)
        at_once[depth] += prod(known if known is not None else each.max for known, each in lengths if each)
    most, longest = max(at_once.values(), default=0), max(at_once, default=0)
    chained = f"the longest chain is {longest:,}"
    if most <= 1:
        return True, f"one after the other; {chained}" if longest > 1 else "one task"
    slots = min(scene.plan.limits.parallel, most)
    of = "" if slots == most and exact else f" of {'' if exact else 'at most '}{most:,}"
    side_by_side = f"up to {slots:,} side by side" if slots > 1 else "one at a time"
    return True, f"{side_by_side}{of}; {chained}"


def _depths(scene: Scene) -> dict[Element, int]:
    """Of each task, how many tasks the longest chain has that ends with it."""
    reached: dict[tuple[Element, bool], int] = {}
    found: dict[Element, int] = {}
    for point in order_of(scene.graph)[0]:
        depth = max((reached.get(before, 0) for before in points_before(point)), default=0)
        if isinstance(point[0].part, Task):
            depth += 1
            found[point[0]] = depth
        reached[point] = depth
    return found


def _models(scene: Scene) -> _Facts:
    asked = [task for task in map(task_of, scene.tasks) if task.action == "prompt"]
    names = Counter(f"{task.model} to {task.climb_to}" if task.climb_to else task.model for task in asked)
    return True, ", ".join(f"{name} {count:,}" for name, count in names.items()) or "no model is asked"


def _cost(scene: Scene) -> _Facts:
    nusd = scene.prices.whole().nusd
    cap = scene.plan.limits.usd_nusd
    if nusd is None:
        unpriced = list(dict.fromkeys(_unpriced(scene)))
        return False, f"no price is known for {', '.join(unpriced[:3]) or 'a model'}"
    words = f"{usd(round(nusd))} expected" if nusd else "nothing: no task is paid"
    return True, f"{words}, at most {usd(cap)} by its cap" if cap is not None else words


def _unpriced(scene: Scene) -> Iterator[str]:
    for element in scene.tasks:
        if scene.paid(element):
            facts = scene.facts(element)
            for name in facts.ladder:
                id = scene.catalogue.resolve(name, facts.agent).id
                if scene.catalogue.price_of(id) is None:
                    yield id


def _time(scene: Scene) -> _Facts:
    seconds = scene.prices.whole().seconds
    return (False, "nobody can say") if seconds is None else (True, duration(seconds))


def _errors(scene: Scene) -> _Facts:
    tasks = [task_of(element) for element in scene.tasks]
    checked = sum(task.check is not None for task in tasks)
    optional = sum(element.part.optional for element in scene.graph.elements.values())
    tolerated = list(filter(None, map(_tolerated, scene.graph.elements.values())))
    facts = [
        f"{many(checked, 'task')} {'has' if checked == 1 else 'have'} a check" if checked else "",
        f"{many(optional, 'part')} may fail" if optional else "",
        *tolerated[:SHOWN],
        f"{len(tolerated) - SHOWN:,} more tolerate failures" if len(tolerated) > SHOWN else "",
        _tries({task.attempts for task in tasks}),
    ]
    return True, ", ".join(filter(None, facts))


def _tolerated(element: Element) -> str:
    quorum = element.part.quorum
    if quorum is None:
        return ""
    if quorum.min_ok is not None:
        return f"{quorum.min_ok:,} of {element.path} {'is' if quorum.min_ok == 1 else 'are'} enough"
    if quorum.tolerate_share:
        return f"{100 * quorum.tolerate_share:g} % of {element.path} may fail"
    return f"{quorum.tolerate:,} of {element.path} may fail" if quorum.tolerate else ""


def _tries(attempts: set[int]) -> str:
    most = max(attempts, default=1)
    if most == 1:
        return "each task is tried once"
    return f"{'each task is' if len(attempts) == 1 else 'tasks are'} tried up to {most} times"


_EVIDENCE: dict[Item, Callable[[Scene], _Facts]] = {
    "pattern": _pattern,
    "dependencies": _needs,
    "parallelism": _parallelism,
    "models": _models,
    "cost": _cost,
    "time": _time,
    "errors": _errors,
}
