"""Money that nobody bounded: a plan without a cap, a list without a length, a model without a price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

from stretto.errors import StrettoError
from stretto.estimate.pieces import length_at
from stretto.estimate.worst import worst_case
from stretto.lint.scene import Scene, around, eaches_around, task_of
from stretto.lint.words import many
from stretto.models.facts import ladder_of
from stretto.models.money import usd
from stretto.models.prices import NUSD_PER_USD
from stretto.plan.finding import Finding, Severity
from stretto.plan.graph import Element, subtree
from stretto.plan.model import Task
from stretto.plan.references import only_ref

MANY_AGENTS = 5
"""Paid agents from which on a plan is no trifle; an `each` counts as so many by itself."""

SHOWN_WORST = 1_000
"""Tasks of a plan up to which the worst case is worked out: for more it is not cheap to know."""

MANY_TOGETHER = 1_000
"""Paid tasks that nested lists may make out of one, above which a cap should stand around them."""


def paid_agents(scene: Scene) -> int:
    """How many agents a plan pays for, as far as its author can have had them in mind."""
    counts = (MANY_AGENTS if eaches_around(element) else 1 for element in scene.tasks if scene.paid(element))
    return sum(counts)


def weighty(scene: Scene) -> bool:
    """Whether the plan is large enough, or does enough, to be told what it lacks as a whole."""
    return not scene.bare and (
        paid_agents(scene) >= MANY_AGENTS or any(task_of(element).writes for element in scene.tasks)
    )


def no_budget(scene: Scene) -> Iterable[Finding]:
    if scene.plan.limits.usd_nusd is not None:
        return
    open_ended = [element for element in scene.tasks if scene.paid(element) and not _capped(element)]
    if not open_ended:
        return
    counted = not any(map(eaches_around, open_ended))
    agents = many(paid_agents(scene), "paid agent") if counted else "paid agents"
    severity: Severity = "warning" if weighty(scene) else "info"
    message = f"nothing caps what this plan may spend on its {agents}{_at_most(scene)}"
    fix = f"add `limits: {{usd: {_cap(scene)}}}` to the plan"
    if scene.bare:
        fix = "give a cap when it is run: `--usd 5`"
    yield scene.finding("no-budget", severity, [], message, fix)


def _at_most(scene: Scene) -> str:
    """What it is expected to spend, and what it could, where that is cheap to know."""
    if len(scene.tasks) > SHOWN_WORST or scene.broken:
        return ""
    expected = scene.prices.whole().nusd
    worst = worst_case(scene.plan, scene.on, scene.graph, scene.free, scene.catalogue).nusd
    said = "" if expected is None else f": about {usd(round(expected))} is likely"
    # Declared figures are part of what is likely, and not of what calls can cost at most.
    return f"{said}, {usd(worst)} is possible" if said and worst and worst > (expected or 0) else said


def _cap(scene: Scene) -> str:
    """A cap that a run would mostly keep: twice what is likely, in a round number."""
    expected = None if scene.broken or len(scene.tasks) > SHOWN_WORST else scene.prices.whole().nusd
    if expected is None:
        return "5.00"
    wanted = 2 * expected / NUSD_PER_USD
    steps = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
    return f"{next((step for step in steps if step >= wanted), round(wanted)):.2f}"


def unbounded_fan_out(scene: Scene) -> Iterable[Finding]:
    for element in scene.graph.elements.values():
        if not _grows_freely(scene, element) or not any(map(scene.paid, _tasks_in(element))):
            continue
        each = element.part.each
        assert each is not None
        message = (
            f"`{element.path}` is done for every entry of `{each.over}`, which only the run will know, "
            f"and no `max` says how many you are ready to pay for"
        )
        severity: Severity = "info" if scene.bare else "warning"
        fix = f"add `max: 20` (or as many as you mean) to `{element.path}`"
        yield scene.finding(
            "unbounded-fan-out", severity, [element], message, fix, nusd=_above(scene, element)
        )
    yield from _planners(scene)
    yield from _nested(scene)


def _grows_freely(scene: Scene, element: Element) -> bool:
    """An `each` over what a task will return, of which nobody said how long it may become."""
    each = element.part.each
    if each is None or not isinstance(each.over, str) or scene.has(element, "max"):
        return False
    ref = only_ref(each.over)
    if ref is None:
        return False
    if any(need.tail.split(".")[0] == ref.name and _bounded(scene, need.target) for need in element.needs):
        return False
    if any(need.tail.split(".")[0] == ref.name for need in element.needs):
        return True
    above = next((a for a in around(element.owner) if a.part.each and a.part.each.name == ref.name), None)
    # A field of an item is a list of its own, whose length is known only where the items are written down.
    return above is not None and above.part.each is not None and isinstance(above.part.each.over, str)


def _bounded(scene: Scene, element: Element) -> bool:
    """The result is the list of an `each`: as long as that one's list, which is told of there."""
    return bool(eaches_around(element))


def _planners(scene: Scene) -> Iterator[Finding]:
    for element in scene.tasks:
        task = task_of(element)
        if task.grow and scene.paid(element) and not _under_a_cap(scene, element):
            message = f"`{element.path}` adds as many tasks as it likes, and no cap stands around them"
            fix = "add `limits: {usd: ...}` to the plan, or put it into a group with `usd`"
            yield scene.finding("unbounded-fan-out", "info", [element], message, fix)


def _nested(scene: Scene) -> Iterator[Finding]:
    """Lists within lists: each is bounded, and their product is not what anybody had in mind."""
    for element in scene.tasks:
        if not scene.paid(element) or _under_a_cap(scene, element):
            continue
        lists = eaches_around(element)
        most = prod(len(each.over) if isinstance(each.over, list) else each.max for each in lists)
        if len(lists) > 1 and most > MANY_TOGETHER:
            message = f"the lists around `{element.path}` make up to {most:,} paid tasks of it, under no cap"
            fix = "add `limits: {usd: ...}` to the plan, or a smaller `max` to one of the lists"
            yield scene.finding("unbounded-fan-out", "info", [element], message, fix)


def _above(scene: Scene, element: Element) -> float | None:
    """What the fan-out can cost beyond what is expected of it."""
    each = element.part.each
    if each is None or scene.broken:
        return None
    expected = scene.prices.of(element).nusd
    if expected is None:
        return None
    return expected * (each.max / length_at(element, 0.5) - 1)


def unpriced_model(scene: Scene) -> Iterable[Finding]:
    asked: dict[str, list[Element]] = {}
    known: dict[tuple[str, str], str] = {}
    for element in scene.tasks:
        if not scene.paid(element):
            continue
        task = task_of(element)
        agent = task.agent(scene.on)
        for name in ladder_of(task, scene.catalogue):
            if (name, agent) not in known:
                known[name, agent] = _unpriced(scene, name, agent)
            if known[name, agent]:
                asked.setdefault(known[name, agent], []).append(element)
    for id, elements in asked.items():
        who = f"`{elements[0].path}`" if len(elements) == 1 else many(len(elements), "task")
        asks = "asks" if len(elements) == 1 else "ask"
        message = f"no price is known for `{id}`, which {who} {asks} for: no cap can hold"
        fix = f"take another model, or write the price of `{id}` into stretto.toml"
        yield scene.finding("unpriced-model", "warning", elements, message, fix)


def _unpriced(scene: Scene, name: str, agent: str) -> str:
    """The id of a model whose price is not known; empty where it is, and where the compiler complains."""
    try:
        id = scene.catalogue.resolve(name, agent).id
    except StrettoError:
        return ""
    return "" if scene.catalogue.price_of(id) is not None else id


def _tasks_in(element: Element) -> Iterator[Element]:
    return (part for part in subtree(element) if isinstance(part.part, Task))


def _capped(element: Element) -> bool:
    return any(above.part.usd_cap_nusd is not None for above in around(element))


def _under_a_cap(scene: Scene, element: Element) -> bool:
    return scene.plan.limits.usd_nusd is not None or _capped(element)
