"""What a resume has before it, what that will cost, and the cap under which it would end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stretto.agents.registry import free
from stretto.errors import StrettoError
from stretto.journal import Journal
from stretto.models.catalogue import BUILTIN, Catalogue
from stretto.models.facts import ladder_of
from stretto.report.estimated import stored_estimate
from stretto.report.story import tasks_of
from stretto.scheduler.state import State
from stretto.scheduler.vertex import SETTLED, SUCCEEDED, GroupVertex, TaskVertex

NUSD = 1_000_000_000
CENT_NUSD = NUSD // 100
SURE = 1.645
"""The normal quantile of 95 %: so surely the rest is to cost no more than its high figure."""
PROMPT_TOKENS = 20_000
"""What the prompt of a call that is still to come is bounded with."""


class Rest(NamedTuple):
    """What a resume has before it: counts of tasks, and what they will cost by what siblings have cost."""

    kept: int
    redone: list[str]
    """Tasks that were running when the process ended, or that were asked for anew."""
    waiting: int
    growing: list[str]
    """Groups whose members are not known yet: their tasks are in no count."""
    nusd: int | None
    """None: unknown, because no task of the same kind has ended yet."""
    unknown: int
    """How many tasks have no sibling to go by."""
    high_nusd: int | None = None
    """What it will probably stay below: by siblings in 95 of 100 cases, by the estimate in 90."""
    by: str = "siblings"
    """What the price was told by: siblings, estimate, or both."""


class Foreseen(NamedTuple):
    """What the estimate said of one top-level part as a whole."""

    nusd: int
    high_nusd: int


class _Left:
    """What is left of one top-level part."""

    def __init__(self) -> None:
        self.spent_nusd = 0
        self.mean = 0
        self.variance = 0.0
        self.unknown = 0
        self.growing = False


def foreseen_in(journal: Journal | None, state: State) -> dict[str, Foreseen]:
    """The priced parts of the estimate that was shown before a run, by their ids; empty without one."""
    blob = stored_estimate(journal, state) if journal is not None else None
    found = {}
    for group in (blob or {}).get("groups", ()):
        usd = group["usd"]
        if usd["expected"] is not None and usd["high"] is not None:
            found[group["id"]] = Foreseen(round(usd["expected"] * NUSD), round(usd["high"] * NUSD))
    return found


def rest_of(state: State, redone: Iterable[str] = (), foreseen: Mapping[str, Foreseen] | None = None) -> Rest:
    """What is left of a run: the price of a task is the mean of its settled siblings, else what the
    estimate said of the part that it stands in, less what was spent there; else unknown."""
    again = set(redone)
    costs: dict[object, list[int]] = {}
    left: list[TaskVertex] = []
    parts: dict[str, _Left] = {id: _Left() for id in state.rows}
    kept = 0
    for vertex in tasks_of(state):
        cost = sum(state.task_nusd.get(vertex.id, (0, 0)))
        parts[_part(vertex.id)].spent_nusd += cost
        if vertex.state >= SETTLED:
            kept += vertex.state == SUCCEEDED
            if vertex.n:
                costs.setdefault(vertex.element, []).append(cost)
        else:
            left.append(vertex)
            if vertex.n:
                again.add(vertex.id)
    growing = [
        v.id for v in state.vertices.values() if isinstance(v, GroupVertex) and v.grown and not v.complete
    ]
    for id in growing:
        parts[_part(id)].growing = True
    _price(state, left, costs, parts)
    nusd, high, by = _together(parts, foreseen or {})
    names = [vertex.id for vertex in left if vertex.id in again]
    unknown = sum(part.unknown for part in parts.values())
    return Rest(kept, names, len(left) - len(names), growing, nusd, unknown, high, by)


def cap_that_does(state: State, rest: Rest, catalogue: Catalogue = BUILTIN) -> int | None:
    """The cap in nano-dollars, whole cents, under which a run that stopped for money would end; None where
    it did not stop for money. Where the rest has no price: twice the old cap, but the refused call fits."""
    paused, ledger = state.paused, state.ledger
    if paused is None or paused.why != "budget":
        return None
    committed = ledger.spent_nusd + ledger.held_nusd + ledger.reserved_nusd
    # The last call has to be reserved whole, when all the others are paid.
    bound = max(paused.need_nusd or 0, _dearest_call(state, catalogue))
    if rest.high_nusd is None:
        least = max(2 * (ledger.cap_nusd or 0), committed + bound)
    else:
        least = committed + rest.high_nusd + bound
    return -(-least // CENT_NUSD) * CENT_NUSD


def _part(id: str) -> str:
    return id.partition(".")[0]


def _price(
    state: State, left: list[TaskVertex], costs: dict[object, list[int]], parts: dict[str, _Left]
) -> None:
    counts: Counter[tuple[str, object]] = Counter()
    for vertex in left:
        if _costs_nothing(state, vertex):
            continue
        part = parts[_part(vertex.id)]
        if vertex.element not in costs:
            part.unknown += 1
            continue
        counts[_part(vertex.id), vertex.element] += 1
        paid = costs[vertex.element]
        part.mean += -(-sum(paid) // len(paid))
    for (id, element), n in counts.items():
        paid = costs[element]
        mean = sum(paid) / len(paid)
        # Of one sibling alone the spread is not known: costs of like tasks spread by about their mean.
        one = sum((cost - mean) ** 2 for cost in paid) / (len(paid) - 1) if len(paid) > 1 else mean**2
        parts[id].variance += n * one + n * n * one / len(paid)


def _together(
    parts: Mapping[str, _Left], foreseen: Mapping[str, Foreseen]
) -> tuple[int | None, int | None, str]:
    """(expected, high, by): a part with something unknown in it is taken from the estimate as a whole."""
    nusd, high, variance = 0, 0, 0.0
    ways = set()
    for id, part in parts.items():
        if not (part.unknown or part.growing):
            nusd += part.mean
            high += part.mean
            variance += part.variance
            if part.mean:
                ways.add("siblings")
            continue
        told = foreseen.get(id)
        if told is None:
            return None, None, "siblings"
        ways.add("estimate")
        nusd += max(0, told.nusd - part.spent_nusd)
        high += max(0, told.high_nusd - part.spent_nusd)
    by = "both" if len(ways) > 1 else next(iter(ways), "siblings")
    return nusd, high + math.ceil(SURE * math.sqrt(variance)), by


def _costs_nothing(state: State, vertex: TaskVertex) -> bool:
    started = state.started
    task = vertex.task
    agent = task.on or (started.on if started is not None else "")
    judged = task.check is not None and task.check.prompt
    return not judged and (task.action != "prompt" or free(agent))


def _dearest_call(state: State, catalogue: Catalogue) -> int:
    """The largest bound among the calls that the tasks which are left may make; 0 where none has a price."""
    elements = {v.element: v for v in tasks_of(state) if v.state < SETTLED and not _costs_nothing(state, v)}
    on = state.started.on if state.started is not None else ""
    dearest = 0
    for vertex in elements.values():
        task = vertex.task
        for name in ladder_of(task, catalogue):
            try:
                price = catalogue.price_of(catalogue.resolve(name, task.agent(on)).id)
            except StrettoError:
                continue
            if price is not None:
                bound: int = price.bound_nusd(PROMPT_TOKENS, task.max_tokens, cached=True, cache_1h=False)
                dearest = max(dearest, bound)
    return dearest
