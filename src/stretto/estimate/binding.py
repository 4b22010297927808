"""Which limit keeps a plan from ending earlier, and what lifting it would bring."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stretto.estimate.result import Binding, Range
from stretto.estimate.timing import RATES, Play, Played, Stage, calm_gc, lifted, limits_of

LIFTED_PLAYS = 20
"""The same plays again without one limit: with the same luck, so few are enough ..."""
LEAST_LIFTED = 2
"""... and of a large plan these."""
BINDS = 0.05
"""A limit binds if without it the plan ends this much earlier."""


def binding_of(stage: Stage, played: Sequence[Played], seconds: Range, until_s: float) -> Binding:
    """The limit without which the same plays end earliest; none: the longest chain takes all the time."""
    limits = limits_of(stage, played)
    found: list[tuple[float, float, str]] = []
    for number, limit in enumerate(limits):
        share_s = (until_s - time.monotonic()) / (len(limits) - number)
        before, after = _lifted(stage, played, limit, time.monotonic() + share_s)
        found.append((after / before if before else 1.0, before, limit))
    share, _, limit = min(found, default=(1.0, 0.0, ""))
    deadline_s = stage.plan.limits.time_s
    if deadline_s is not None and seconds.expected > deadline_s:
        says = f"the deadline of {words(deadline_s)} comes first: about {words(seconds.expected)} are needed"
        return Binding("deadline", deadline_s, says, seconds.expected)
    if share > 1 - BINDS:
        return Binding("critical path", None, "no limit binds: the longest chain takes all the time", None)
    brings_s = seconds.expected * share
    at, says = _says(stage, played, limit)
    gain = f"without it {words(seconds.expected)} would be {words(brings_s)}"
    return Binding(limit, at, f"{says}; {gain}", brings_s)


def _lifted(stage: Stage, played: Sequence[Played], limit: str, until_s: float) -> tuple[float, float]:
    """Seconds of the same plays with the limit and without, in all."""
    without = lifted(stage, limit)
    before = after = 0.0
    with calm_gc():
        for number, play in enumerate(played[:LIFTED_PLAYS]):
            before += play.seconds
            after += Play(without, number).run().seconds
            if number + 1 >= LEAST_LIFTED and time.monotonic() >= until_s:
                break
    return before, after


def _says(stage: Stage, played: Sequence[Played], limit: str) -> tuple[float | None, str]:
    if limit == "parallel":
        return float(stage.parallel), f"`parallel: {stage.parallel}` binds"
    if limit == "slots":
        slots = stage.plan.limits.slots
        named = ", ".join(f"{name}: {count}" for name, count in slots.items()) or "of the agent"
        return (float(min(slots.values())) if slots else None), f"the slots bind ({named})"
    at = _enough(stage, played, limit)
    more = max(stage.parallel, at + 1)
    return float(at), f"{more} side by side will not help: {limit} bind at {at}"


def _enough(stage: Stage, played: Sequence[Played], limit: str) -> int:
    """How many attempts side by side use up a rate: it over what one of them takes in a minute."""
    place = list(RATES).index(limit)
    found = []
    for play in played:
        for model, amounts in play.asked.items():
            rate = getattr(stage.chooser.catalogue.info(model).rates, RATES[limit])
            if rate is not None and amounts[place] and amounts[3]:
                found.append(rate / (60 * amounts[place] / amounts[3]))
    return max(1, round(sum(found) / len(found))) if found else 1


def words(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"
