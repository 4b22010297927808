"""The worst that a plan can cost, and what a run's tokens would have cost on another model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from stretto.models import BUILTIN, Catalogue, is_free
from stretto.models.facts import ladder_of
from stretto.plan.graph import Element, Graph, build
from stretto.plan.model import Check, Plan, Task, canonical, planned_by, to_data
from stretto.plan.references import only_ref, refs
from stretto.plan.role import Role
from stretto.scheduler.choosing import UNCHOSEN
from stretto.scheduler.policy import JUDGE_TRIES
from stretto.workspace.handover import PER_NEED_TOKENS, PER_TASK_TOKENS


class Worst(NamedTuple):
    """The most that a plan's calls can cost together."""

    nusd: int | None
    """None: unknown, for the reasons in `unknown`."""
    calls: int
    """How many paid calls that is, as far as they can be counted."""
    unknown: tuple[str, ...]
    turns: tuple[str, ...]
    """Tasks with tools: each turn is one more call, which no figure here holds but the cap does."""


def worst_case(
    plan: Plan,
    on: str,
    graph: Graph | None = None,
    free: Callable[[str], bool] = is_free,
    catalogue: Catalogue = BUILTIN,
) -> Worst:
    """Every attempt of every prompt on a paid agent, each with the bound of one call.

    An `each` of unknown width counts with its `max`; a reference and a handed-over need with as many
    tokens as a hand-over may have. What a planner adds is unknown: the run asks before it spends on it.
    """
    graph = graph or build(plan)
    total, calls = 0, 0
    unknown: list[str] = []
    turns: list[str] = []
    for element in graph.elements.values():
        task = element.part
        if not isinstance(task, Task):
            continue
        if task.grow:
            adds = f"{element.path}: the tasks that its planner adds"
            unknown += [] if free(planned_by(task).agent(on)) else [adds]
        priced = list(_calls(element, task, on, free, catalogue, plan.roles))
        width = _width(element, graph) if priced else 0
        if width is None:
            unknown.append(f"{element.path}: the length of {task.reduce}")
            continue
        if task.tools and priced:
            turns.append(element.path)
        for model, input_tokens, max_tokens, times in priced:
            calls += times * width
            bound = catalogue.bound_nusd(model, input_tokens, max_tokens)
            if bound is None:
                unknown.append(f"{element.path}: the price of {model}")
            else:
                total += bound * times * width
    reasons = tuple(dict.fromkeys(unknown))
    return Worst(None if reasons else total, calls, reasons, tuple(turns))


def priced_as(usages: Iterable[Mapping[str, int]], model: str, catalogue: Catalogue = BUILTIN) -> int | None:
    """What calls with these measured tokens would have cost on a model or tier; None without a price."""
    id = catalogue.resolve(model).id
    total = 0
    for usage in usages:
        cost = catalogue.cost_nusd(id, usage)
        if cost is None:
            return None
        total += cost
    return total


def _calls(
    element: Element,
    task: Task,
    on: str,
    free: Callable[[str], bool],
    catalogue: Catalogue,
    roles: Mapping[str, Role],
) -> Iterator[tuple[str, int, int, int]]:
    """(model id, bound of the input, of the output, how often) of the paid calls of one task."""
    agent = task.agent(on)
    check = task.check
    ladder = ladder_of(task, catalogue) if agent.partition(":")[0] not in UNCHOSEN else (task.model,)
    climbs = check is not None or bool(task.climb_to)
    attempts = task.attempts * (len(ladder) if climbs else 1)
    if task.action == "prompt" and not free(agent):
        told = _input(element, task) + (_bytes(roles[task.role].instructions) if task.role in roles else 0)
        bounds = [(catalogue.resolve(name, agent).id, told, task.max_tokens) for name in ladder]
        for model, tokens, answer in bounds if climbs else [_dearest(bounds, catalogue)]:
            yield model, tokens, answer, task.attempts
    if check is not None and check.prompt and not free(check.agent(on)):
        tokens = task.max_tokens + _bytes(check.prompt)
        judge = _judge(check, on, catalogue)
        yield judge, tokens, task.max_tokens, attempts * JUDGE_TRIES


def _dearest(bounds: list[tuple[str, int, int]], catalogue: Catalogue) -> tuple[str, int, int]:
    """Of the models that may be chosen the one whose call can cost most; one without a price before all."""

    def bound_nusd(bound: tuple[str, int, int]) -> float:
        nusd = catalogue.bound_nusd(*bound)
        return float("inf") if nusd is None else nusd

    return max(bounds, key=bound_nusd)


def _judge(check: Check, on: str, catalogue: Catalogue) -> str:
    return catalogue.resolve(check.model, check.agent(on)).id


def _input(element: Element, task: Task) -> int:
    """Bytes of what is written (a token is never shorter than one), and the most that is handed over."""
    own = _bytes(task.prompt) + _bytes(canonical(to_data(task.output)))
    standing = sum(1 for _ in refs(task.prompt))
    handed = sum(need.handed for need in element.needs)
    parts = standing + handed + (task.fan_in if task.reduce else 0)
    return own + min(parts * PER_NEED_TOKENS, PER_TASK_TOKENS)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _width(element: Element, graph: Graph) -> int | None:
    """How many instances of a task there can be; None where nothing bounds them."""
    width = 1
    here: Element | None = element
    while here is not None:
        each = here.part.each
        if each is not None:
            width *= len(each.over) if isinstance(each.over, list) else each.max
        here = here.owner
    task = element.part
    if isinstance(task, Task) and task.reduce and task.each is None:
        parts = _parts(element, task, graph)
        return None if parts is None else width * rounds_of(parts, task.fan_in)
    return width


def _parts(element: Element, task: Task, graph: Graph) -> int | None:
    """The most entries that the list of a reduction can have."""
    ref = only_ref(task.reduce)
    for need in element.needs:
        each = need.target.part.each
        if ref is not None and need.tail.split(".")[0] == ref.name and each is not None:
            return len(each.over) if isinstance(each.over, list) else each.max
    return None


def rounds_of(parts: int, fan_in: int) -> int:
    """The calls of a reduction tree."""
    return sum(levels_of(parts, fan_in))


def levels_of(parts: int, fan_in: int) -> list[int]:
    """The same of each of its rounds."""
    found: list[int] = []
    while not found or found[-1] > 1:
        parts = max(1, -(-parts // max(2, fan_in)))
        found.append(parts)
    return found
