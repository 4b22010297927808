"""Order: a task that uses what another makes has to wait for it, and no task has to wait for nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from stretto.lint.barriers import Barrier, barriers_of
from stretto.lint.chains import chains_of
from stretto.lint.circles import circle_of
from stretto.lint.market import Market, Source, market_of
from stretto.lint.price import Change, Figures
from stretto.lint.scene import Scene, around
from stretto.plan.finding import Finding, Mend
from stretto.plan.graph import Element
from stretto.plan.model import Group

PRICED = 1_000
"""Findings of one kind that are worth working out a price for."""
_SAYS = {
    "made": "`{user}` uses the {said} that `{maker}` makes",
    "got": "`{user}` uses the {said} that `{maker}` gets",
    "altered": "`{user}` uses the {said} that `{maker}` works on",
    "said": "`{user}` uses the {said} of `{maker}`",
    "file": "`{user}` reads {said}, which `{maker}` writes",
    "": "`{user}` goes by what `{maker}` does",
    "likely": "by their words, `{user}` goes on from what `{maker}` does",
    "stage": "`{user}` goes on where `{maker}` ends, and names nothing else to work on",
}


def missing_needs(scene: Scene) -> Iterator[Finding]:
    """Tasks that use what another makes, with nothing that makes them wait for it."""
    for number, (user, source) in enumerate(_unordered(scene, market_of(scene))):
        maker = source.element
        said = _SAYS[source.kind if source.said or source.kind == "likely" else ""].format(
            user=user.path, maker=maker.path, said=source.said
        )
        lost = scene.prices.rest_of(user) if number < PRICED else Figures(None, None)
        target = _target(user, maker)
        yield scene.finding(
            "missing-dependency",
            "warning",
            [user, maker],
            f"{said}; nothing orders the two",
            _wait(user, maker) if scene.bare else f"add `needs: [{_name(user, target)}]` to `{user.path}`",
            nusd=lost.nusd,
            seconds=lost.seconds,
            mends=(Mend("add-need", user.path, target.path),),
        )


def _unordered(scene: Scene, market: Market) -> Iterator[tuple[Element, Source]]:
    """The uses that no order covers, in the order of the plan, without those that would close a circle."""
    before = scene.ordering.before
    uses = {
        (user, source.element): source
        for user, sources in market.sources.items()
        for source in sources.values()
        if not before(source.element, user)
    }
    while circle := circle_of(uses):
        weakest = min(uses[pair].score for pair in circle)
        for pair in circle:
            if uses[pair].score == weakest:
                del uses[pair]
    for (user, _), source in uses.items():
        yield user, source


def _target(user: Element, maker: Element) -> Element:
    """What the user can need: the maker, or the template it stands in as one of many."""
    inside = set(around(user))
    target = maker
    for element in around(maker):
        if element in inside:
            break
        if element.grows:
            target = element
    return target


def _name(user: Element, target: Element) -> str:
    """The name that means the target where the user stands."""
    inside = set(around(user))
    base = next((element for element in around(target.owner) if element in inside), None)
    return target.path.removeprefix(f"{base.path}.") if base else target.path


def _wait(user: Element, maker: Element) -> str:
    if maker.index < user.index:
        return f"put a comment `# Wait` between `{maker.path}` and `{user.path}`"
    return f"put `{maker.path}` above `{user.path}`, with a comment `# Wait` between the two"


def sequential_bottlenecks(scene: Scene) -> Iterator[Finding]:
    """Three or more tasks in a row of which none uses what an earlier one makes."""
    for chain in chains_of(market_of(scene)):
        waits = list(zip(chain[1:], chain, strict=False))
        saved = scene.prices.without(Change(removed=waits))
        yield scene.finding(
            "sequential-bottleneck",
            "warning",
            chain,
            f"{_row(chain)} wait for each other in turn, and none uses what an earlier one makes",
            _side_by_side(scene, chain),
            nusd=_least(saved.nusd),
            seconds=_least(saved.seconds),
            mends=tuple(Mend("remove-need", later.path, earlier.path) for later, earlier in waits),
        )


def _row(elements: list[Element]) -> str:
    names = [f"`{element.path}`" for element in elements]
    if len(names) > 5:
        names = [*names[:2], f"{len(names) - 3} more", names[-1]]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _side_by_side(scene: Scene, chain: list[Element]) -> str:
    """What to write so that they start together."""
    if scene.bare:
        ends = f"between `{chain[0].path}` and `{chain[-1].path}`"
        return f"put them in one stage, with no comment that orders them {ends}"
    owner = chain[0].owner
    if owner is not None and isinstance(owner.part, Group) and owner.part.order == "serial":
        return f"take `order: serial` off `{owner.path}`, and put `needs` where one is really needed"
    cuts = [
        f"`{earlier.part.id}` from the needs of `{later.path}`"
        for earlier, later in itertools.pairwise(chain)
    ]
    return f"take {', '.join(cuts[:5])}{', and so on' if len(cuts) > 5 else ''}"


def _least(amount: float | None) -> float | None:
    return None if amount is None else max(0.0, amount)


def needless_barriers(scene: Scene) -> Iterator[Finding]:
    """Stages that wait for the whole stage before, though each task there uses only its own counterpart."""
    for barrier in barriers_of(scene, market_of(scene)):
        saved = (
            scene.prices.without(Change(removed=barrier.needless))
            if barrier.needless
            else Figures(None, None)
        )
        yield scene.finding(
            "needless-barrier",
            "info",
            barrier.users,
            _all_wait(barrier),
            barrier.fix,
            nusd=_least(saved.nusd),
            seconds=_least(saved.seconds),
        )


def _all_wait(barrier: Barrier) -> str:
    first, maker = barrier.users[0].path, barrier.makers[0].path
    if len(barrier.users) == 1:
        return f"all items of `{first}` wait for the slowest one of `{maker}`, and each needs only its own"
    all_ = f"{_row(barrier.users)} wait for all of {_row(barrier.makers)}"
    return f"{all_}, and each needs only one result: `{first}` that of `{maker}`"
