"""What may be known of a task before it runs: the ground of its choice of model and of its estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from stretto.models.catalogue import Catalogue
from stretto.models.kind import Kind, kind_of
from stretto.models.windows import BYTES_PER_TOKEN
from stretto.plan.graph import Element
from stretto.plan.model import Expect, Task, canonical, to_data
from stretto.plan.references import refs
from stretto.plan.role import Role

HANDED_TOKENS = 1_000
"""What one reference or handed-over need is taken to bring, until it is there to be counted."""


class Facts(NamedTuple):
    """One task as choices and estimates see it; the same for all items of a template, but for `signature`."""

    path: str
    family: str
    """Tasks that are alike share it: one group of one plan, or what `family:` says."""
    signature: str
    """The same for the same task asked again, whoever answers; empty where the item is not known yet."""
    text: str
    kind: Kind
    agent: str
    """Who carries it out, by the whole word of `on:`."""
    ladder: tuple[str, ...]
    """Names of models (tiers or ids), weakest first; one entry where the author fixed the model."""
    fixed: bool
    """The author named the model: it is honoured, whatever history says."""
    effort: str
    tools: tuple[str, ...]
    writes: bool
    check: Literal["", "executable", "judged"]
    input_tokens: int
    """Of the first call, as estimated from the prompt and from what will be handed over."""
    max_tokens: int
    turns: int
    expect: Expect | None
    bounded: bool = False
    """The author named where the ladder starts and ends: `model: {from, to}`."""


def facts_of(
    element: Element,
    plan: str,
    on: str,
    catalogue: Catalogue,
    inputs: Mapping[str, Any] | None = None,
    roles: Mapping[str, Role] | None = None,
) -> Facts:
    """What a task's own words say; `plan` is the plan's name, `on` the run's agent, `roles` the plan's."""
    task = element.part
    assert isinstance(task, Task)
    check = task.check
    return Facts(
        path=element.path,
        family=task.family or f"{plan}/{element.path.rpartition('.')[0]}",
        signature="",
        text=task.prompt,
        kind=kind_of(task.prompt),
        agent=task.agent(on),
        ladder=ladder_of(task, catalogue),
        fixed=task.model != "auto" and not task.climb_to,
        effort=task.effort,
        tools=task.tools,
        writes=bool(task.writes),
        check="" if check is None else "judged" if check.prompt else "executable",
        input_tokens=_input_tokens(element, task, inputs or {}) + _role_tokens(task, roles or {}),
        max_tokens=task.max_tokens,
        turns=task.turns,
        expect=task.expect,
        bounded=bool(task.climb_to),
    )


def ladder_of(task: Task, catalogue: Catalogue) -> tuple[str, ...]:
    """The models that a task may be tried on, weakest first: of `auto` all, of {from, to} those between."""
    if task.model == "auto" and not task.climb_to:
        return catalogue.auto_tiers
    if not task.climb_to:
        return (task.model,)
    tiers = catalogue.tiers
    first = catalogue.auto_tiers[0] if task.model == "auto" else task.model
    if first in tiers and task.climb_to in tiers:
        return tiers[tiers.index(first) : tiers.index(task.climb_to) + 1]
    return (first, task.climb_to)


def _input_tokens(element: Element, task: Task, inputs: Mapping[str, Any]) -> int:
    """Of the first call; a reference whose value is there before the run counts with its text."""
    own = len(task.prompt.encode(errors="surrogatepass"))
    if task.output is not None:
        own += len(canonical(to_data(task.output)))
    lists = dict(_lists(element))
    made = {need.tail.split(".")[0] for need in element.needs}
    tokens = HANDED_TOKENS * (
        sum(need.handed for need in element.needs) + (task.fan_in if task.reduce else 0)
    )
    for ref in refs(task.prompt):
        over = lists.get(ref.name)
        if isinstance(over, list) and over:
            own += sum(_bytes(item, ref.path) for item in over) // len(over)
        elif ref.name in inputs and ref.name not in lists and ref.name not in made:
            own += _bytes(inputs[ref.name], ref.path)
        else:
            tokens += HANDED_TOKENS
    return -(-own // BYTES_PER_TOKEN) + tokens


def _role_tokens(task: Task, roles: Mapping[str, Role]) -> int:
    role = roles.get(task.role) if task.prompt else None
    return 0 if role is None else -(-len(role.instructions.encode()) // BYTES_PER_TOKEN)


def _lists(element: Element) -> Iterator[tuple[str, list[Any] | str]]:
    """The names that items go by inside this task, each with its list; the nearest comes last."""
    if element.owner is not None:
        yield from _lists(element.owner)
    if element.part.each is not None:
        yield element.part.each.name, element.part.each.over


def _bytes(value: Any, path: Sequence[str]) -> int:
    for word in path:
        value = value.get(word) if isinstance(value, dict) else None
    text = value if isinstance(value, str) else canonical(value)
    return len(text.encode(errors="surrogatepass"))
