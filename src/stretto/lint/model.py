"""Models that are too strong or too weak for what a task's words ask for."""

from __future__ import annotations

from collections.abc import Iterable

from stretto.lint.price import Change
from stretto.lint.reading import read
from stretto.lint.scene import Scene, task_of
from stretto.plan.finding import Finding, Mend, Severity
from stretto.plan.graph import Element
from stretto.plan.references import only_ref

SURE = {"mechanical": 0.8, "strategy": 0.6}
"""Below it the kind of work is a guess, and a guess is no reason to contradict an author.

Of 1,121 labelled descriptions (bench.kinds) 97 % of those told with so much are what they are told to be.
"""
TRIFLE = 0.9
"""So sure it must be that work is mechanical before development's own model is called too much for it."""
NAMED = 5
"""Tasks that a message names."""
SHOWN = 60
"""Characters of a prompt in a message."""


def oversized(scene: Scene) -> Iterable[Finding]:
    """Mechanical work on the tiers of strategy, and, as one hint for all, on those of development."""
    leaders = _leaders(scene)
    dear: list[Element] = []
    for element, tier in _fixed(scene):
        kind = scene.facts(element).kind
        place = _place(scene, tier)
        if kind.name != "mechanical" or kind.sure < SURE["mechanical"] or place < 1:
            continue
        looks = _only_looks(task_of(element).prompt)
        if place > 1 and (looks or element not in leaders):
            yield _told(scene, element, "oversized-model", "warning", tier)
        elif place == 1 and looks and kind.sure >= TRIFLE:
            dear.append(element)
    if dear:
        yield _hint(scene, dear)


def undersized(scene: Scene) -> Iterable[Finding]:
    """Strategy below the tier of strategy; on that of development as a hint.

    Of development on the lowest tier nothing is said: it often does, and costs a twentieth.
    """
    for element, tier in _fixed(scene):
        kind = scene.facts(element).kind
        place = _place(scene, tier)
        if kind.name == "strategy" and kind.sure >= SURE["strategy"] and place < 2:
            severity: Severity = "warning" if place == 0 else "info"
            yield _told(scene, element, "undersized-model", severity, tier)


def _fixed(scene: Scene) -> Iterable[tuple[Element, str]]:
    """The tasks of which the author fixed the model, with its tier; a ladder or `auto` decides by itself."""
    for element in scene.tasks:
        task = task_of(element)
        if task.action != "prompt" or task.model == "auto" or task.climb_to or task.grow:
            continue
        tier = scene.tier_of(element)
        if tier in scene.catalogue.tiers:
            yield element, tier


def _leaders(scene: Scene) -> set[Element]:
    """The tasks that say what others will do: an `each` goes over their list."""
    found = set()
    for element in scene.graph.elements.values():
        each = element.part.each
        ref = only_ref(each.over) if each is not None and isinstance(each.over, str) else None
        if ref is not None:
            found |= {need.target for need in element.needs if need.name == ref.name}
    return found


def _only_looks(prompt: str) -> bool:
    """Listing what is there is no planning; splitting a thing into parts is, however short it is said."""
    clauses = read(prompt).clauses
    return bool(clauses) and clauses[0].act in ("get", "read")


def _place(scene: Scene, tier: str) -> int:
    """0, 1 or 2: the tier of mechanical work, of development, or of strategy and above."""
    auto, tiers = scene.catalogue.auto_tiers, scene.catalogue.tiers
    at = tiers.index(tier)
    return sum(at >= tiers.index(name) for name in auto[1:3])


_RIGHT = {"mechanical": 0, "development": 1, "strategy": 2}


def _told(scene: Scene, element: Element, slug: str, severity: Severity, tier: str) -> Finding:
    kind, auto = scene.facts(element).kind, scene.catalogue.auto_tiers
    right = auto[min(_RIGHT[kind.name], len(auto) - 1)]
    words = " ".join(task_of(element).prompt.split())
    words = words if len(words) <= SHOWN else f"{words[: SHOWN - 3]}..."
    message = f'`{element.path}` asks for {kind.name} work ("{words}"), and its model is {tier}'
    if slug == "oversized-model":
        fix = f"write `model: {right}`, or `model: auto`"
        saved = scene.prices.without(Change(models={element: right}))
        nusd, seconds = _gain(saved.nusd), _gain(saved.seconds)
    else:
        # A stronger model costs more at first; what leaving it costs is the work that is done in vain.
        fix = f"write `model: {right}`, or `model: {{from: {tier}, to: {right}}}` with a check"
        nusd, seconds = scene.prices.of(element) if severity == "warning" else (None, None)
    mends = (Mend("set-model", element.path, right),) if severity == "warning" else ()
    return scene.finding(slug, severity, [element], message, fix, nusd=nusd, seconds=seconds, mends=mends)


def _hint(scene: Scene, dear: list[Element]) -> Finding:
    right = scene.catalogue.auto_tiers[0]
    saved = scene.prices.without(Change(models=dict.fromkeys(dear, right)))
    named = ", ".join(f"`{element.path}`" for element in dear[:NAMED])
    more = f" and {len(dear) - NAMED:,} more" if len(dear) > NAMED else ""
    message = f"{named}{more} only look something up, and their model is one for development"
    if len(dear) == 1:
        message = f"{named} only looks something up, and its model is one for development"
    fix = f"write `model: {right}`, or `model: auto`"
    nusd, seconds = _gain(saved.nusd), _gain(saved.seconds)
    return scene.finding("oversized-model", "info", dear, message, fix, nusd=nusd, seconds=seconds)


def _gain(figure: float | None) -> float | None:
    return None if figure is None else max(0.0, figure)
