"""Finds tasks that do not fit their models: prompts that are too long, answers longer than they give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from stretto.errors import StrettoError
from stretto.models import Catalogue, ModelInfo
from stretto.models.facts import HANDED_TOKENS, ladder_of
from stretto.models.windows import (
    PER_NEED_TOKENS,
    PER_TASK_TOKENS,
    estimate_tokens,
    no_room,
    room_tokens,
    surely_above,
    what_room,
)
from stretto.plan.graph import Element, Graph, Need
from stretto.plan.model import Group, Plan, Task, canonical
from stretto.plan.references import Ref, split
from stretto.plan.templates import handed_needs

_NO_CONTEXT = ("function", "command", "local")
"""Agents whose model, if they have one, no catalogue knows."""

OTHERWISE = "name a model with a larger context, or give a path instead of the text (tools: [read])"


class Misfit(NamedTuple):
    """A task that does not fit its model; `key` is the one of the task to point at."""

    severity: Literal["error", "warning"]
    slug: str
    path: str
    key: str
    message: str
    fix: str


class _Part(NamedTuple):
    """What a prompt gets from one place, in tokens as estimated, and what stands there for people."""

    tokens: int
    shown: str


def misfits(plan: Plan, graph: Graph, on: str, catalogue: Catalogue) -> Iterator[Misfit]:
    """Errors are certain, from text that stands in the plan; warnings hold for outputs of a usual length.

    A ladder is judged by its model with the most room: a task may climb to it.
    """
    looking = _Looking(plan)
    known: dict[tuple[str, str, str], list[ModelInfo]] = {}
    for element in graph.elements.values():
        task = element.part
        if isinstance(task, Task) and task.prompt:
            words = (task.model, task.climb_to, task.agent(on))
            models = known.get(words)
            if models is None:
                models = known[words] = _models(task, on, catalogue)
            if models:
                yield from _answer(element, task, models)
                yield from _prompt(looking, element, task, models)


def _models(task: Task, on: str, catalogue: Catalogue) -> list[ModelInfo]:
    """Every model that may do the task; none where one of them is not known."""
    agent = task.agent(on)
    kind = agent.partition(":")[0]
    if kind in _NO_CONTEXT or (kind == "openai" and task.model == "auto"):
        return []
    try:
        return [catalogue.resolve(name, agent) for name in ladder_of(task, catalogue)]
    except StrettoError:
        return []  # an unknown name is a finding of its own


def _answer(element: Element, task: Task, models: list[ModelInfo]) -> Iterator[Misfit]:
    longest = [model.max_output for model in models if model.max_output is not None]
    if len(longest) == len(models) and task.max_tokens > max(longest):
        model = max(models, key=lambda model: model.max_output or 0)
        message = (
            f"`max_tokens` {task.max_tokens:,} is more than {model.id} can answer, which is {max(longest):,}"
        )
        fix = f"write max_tokens: {max(longest)}, or split the task"
        yield Misfit("warning", "max-tokens-too-high", element.path, "max_tokens", message, fix)


def _prompt(looking: _Looking, element: Element, task: Task, models: list[ModelInfo]) -> Iterator[Misfit]:
    if any(model.context is None for model in models):
        return
    model = max(models, key=lambda model: room_tokens(model, task.max_tokens) or 0)
    room = room_tokens(model, task.max_tokens)
    assert room is not None
    if room <= 0:
        context = model.context or 0
        message = f"`max_tokens` {task.max_tokens:,} leave no room in the {context:,} tokens of {model.id}"
        fix = f"write a lower one, such as max_tokens: {max(1, context // 4)}"
        yield Misfit("error", "cannot-fit", element.path, "max_tokens", message, fix)
        return
    text, parts = looking.at(element, task)
    least = surely_above(text, room)
    if least:
        message = no_room(least, model, task.max_tokens)
        yield Misfit("error", "cannot-fit", element.path, "prompt", message, OTHERWISE)
        return
    parts = [_Part(estimate_tokens(text), "its own text"), *parts]
    total = sum(part.tokens for part in parts)
    if total > room:
        shown = " + ".join(f"{part.tokens:,} ({part.shown})" for part in parts if part.tokens)
        room_shown = what_room(model, task.max_tokens)
        message = f"the prompt may have about {total:,} tokens, {shown}, and {room_shown}"
        yield Misfit("warning", "cannot-fit", element.path, "prompt", message, _mend(task, parts))


def _mend(task: Task, parts: list[_Part]) -> str:
    largest = max(parts, key=lambda part: part.tokens)
    if task.reduce:
        return f"lower `fan_in`, {OTHERWISE}"
    if largest.shown.startswith("${"):
        ref = largest.shown.partition("}")[0] + "}"
        return f'merge it in rounds (reduce: "{ref}", fan_in: 20), {OTHERWISE}'
    return OTHERWISE


class _Looking:
    """Reads prompts: the text that stands in the plan, and what will be put in."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._items: dict[int, str] = {}
        """The longest entry of each literal list, by the list's identity: templates have many tasks."""

    def at(self, element: Element, task: Task) -> tuple[str, list[_Part]]:
        """What is in the prompt for certain, and the parts that are only known when it runs."""
        fixed: list[str] = []
        parts: list[_Part] = []
        for piece in split(task.prompt) if "${" in task.prompt else [task.prompt]:
            if isinstance(piece, str):
                fixed.append(piece)
                continue
            text = self._known(element, piece)
            if text is not None:
                fixed.append(text)
            elif (need := _need_of(element, piece)) is not None:
                count = 1 if _failures(piece, need) else _outputs(need.target)
                shown = f"{piece}, {count:,} outputs" if count > 1 else str(piece)
                parts.append(_Part(count * min(HANDED_TOKENS, _longest(need.target)), shown))
        if (role := self._plan.roles.get(task.role)) is not None:
            parts.append(_Part(estimate_tokens(role.instructions), "its role"))
        leaves = [(_outputs(need.target), _longest(need.target)) for need in handed_needs(element)]
        handed = sum(count * min(longest, PER_NEED_TOKENS) for count, longest in leaves)
        handed += task.fan_in * PER_NEED_TOKENS if task.reduce else 0
        if handed:
            parts.append(_Part(min(handed, PER_TASK_TOKENS), "handed over, at most"))
        return "".join(fixed), parts

    def _known(self, element: Element, ref: Ref) -> str | None:
        """The text of an item of a literal list, or the default of an input."""
        here: Element | None = element
        while here is not None:
            each = here.part.each
            if each is not None and each.name == ref.name:
                return self._longest_item(each.over) if isinstance(each.over, list) and not ref.path else ""
            here = here.owner
        given = self._plan.inputs.get(ref.name)
        if given is None or _need_of(element, ref) is not None:
            return None
        return "" if given.default is None or ref.path else _text(given.default)

    def _longest_item(self, over: list[Any]) -> str:
        found = self._items.get(id(over))
        if found is None:
            found = self._items[id(over)] = max(map(_text, over), key=len, default="")
        return found


def _need_of(element: Element, ref: Ref) -> Need | None:
    words = (ref.name, *ref.path)
    fitting = [n for n in element.needs if words[: n.tail.count(".") + 1] == (*n.tail.split("."),)]
    return max(fitting, key=lambda need: len(need.tail), default=None)


def _failures(ref: Ref, need: Need) -> bool:
    """`${files.failed}`: few, and short."""
    return ref.path[-1:] == ("failed",) and need.target.grows


def _outputs(element: Element) -> int:
    """How many outputs stand for a part; an unknown list counts with its `max`."""
    part = element.part
    each = part.each
    width = 1 if each is None else len(each.over) if isinstance(each.over, list) else each.max
    if isinstance(part, Group):
        return width * max(1, sum(_outputs(sink) for sink in element.sinks))
    return width


def _longest(element: Element) -> int:
    """The most tokens that one output can have; of a command or a function nobody knows."""
    part = element.part
    if isinstance(part, Group):
        return max((_longest(sink) for sink in element.sinks), default=PER_NEED_TOKENS)
    return part.max_tokens if part.prompt else PER_TASK_TOKENS


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)
