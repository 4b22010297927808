"""What models are given to read: more than one of them reads well, or the same text paid for every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.estimate.pieces import Widths, length_at
from stretto.lint.scene import Scene, around, task_of
from stretto.models import ModelInfo
from stretto.models.facts import ladder_of
from stretto.models.figures import ANSWER, ANSWERS
from stretto.models.windows import (
    PER_NEED_TOKENS,
    PER_TASK_TOKENS,
    cache_min_tokens,
    cached_tokens,
    estimate_tokens,
)
from stretto.plan.finding import Finding
from stretto.plan.graph import Element
from stretto.plan.model import Group
from stretto.plan.references import refs, split
from stretto.plan.templates import handed_needs, shared_pieces, template_of
from stretto.scheduler.warming import READ, WRITE

LEAST_TOKENS = 20
"""Of one answer, however short; to say for certain that many of them are too much."""
FIELD_TOKENS = 15
"""Of a value that is no text: a number, a yes or no, one word of a list."""
FEWEST = 3
"""Prompts that must have a text in common for it to be worth a word."""
SIGNATURE = 1_000
"""Last characters by which prompts with a common end are brought together."""


class Given(NamedTuple):
    """What a task is handed by one other part."""

    element: Element
    tokens: int
    """As expected, all outputs together."""
    least: int
    outputs: int
    largest: int
    """Tokens of the largest output among them."""


def floods_gatherer(scene: Scene) -> Iterable[Finding]:
    """Tasks that are handed more than is given to one, or so much that they will skim it."""
    widths = Widths(scene.inputs)
    for element in scene.tasks:
        task = task_of(element)
        if task.action != "prompt" or task.reduce or not element.needs:
            continue
        given = list(_given(scene, element, widths))
        total = sum(one.tokens for one in given)
        most = max(given, key=lambda one: one.tokens, default=None)
        if most is None or (total <= PER_TASK_TOKENS and most.largest <= 2 * PER_NEED_TOKENS):
            continue
        yield _flood(scene, element, most, total, sum(one.least for one in given))


def _flood(scene: Scene, element: Element, most: Given, total: int, least: int) -> Finding:
    window = _window(scene, element)
    sure = window is not None and least > window
    what = f"{most.outputs:,} outputs" if most.outputs > 1 else "the output"
    message = (
        f"`{element.path}` is handed about {total:,} tokens, most of them {what} of `{most.element.path}`: "
        + (f"its model has room for {window:,}" if sure else "more than one task reads well")
    )
    if most.outputs > 1:
        fix = f'merge in rounds (`reduce: "${{{most.element.part.id}}}"`, `fan_in: 20`), or hand over paths'
    else:
        fix = f"let `{most.element.path}` return less (an `output` with the fields that matter), or a path"
    return scene.finding("floods-gatherer", "warning" if sure else "info", [element], message, fix)


def _given(scene: Scene, element: Element, widths: Widths) -> Iterator[Given]:
    """What comes from each need that is handed over or stands in the prompt as a whole."""
    whole = {".".join((ref.name, *ref.path)) for ref in refs(task_of(element).prompt)}
    needs = [need for need in element.needs if need.tail in whole]
    needs += [need for need in handed_needs(element) if need not in needs]
    for need in needs:
        yield _outputs(scene, need.target, widths)


def _outputs(scene: Scene, element: Element, widths: Widths) -> Given:
    part = element.part
    width = least = 1
    if part.each is not None:
        known = widths.known(element)
        width = length_at(element, 0.5) if known is None else known
        least = known or 0
    if isinstance(part, Group):
        inner = [_outputs(scene, sink, widths) for sink in element.sinks]
        tokens, lower = sum(one.tokens for one in inner), sum(one.least for one in inner)
        count, largest = sum(one.outputs for one in inner), max((one.largest for one in inner), default=0)
    else:
        largest = tokens = _answer(scene, element)
        count, lower = 1, LEAST_TOKENS if tokens else 0
    return Given(element, width * tokens, least * lower, width * count, largest)


def _answer(scene: Scene, element: Element) -> int:
    """Tokens of one output as expected; 0 where nobody knows: of a command or a function."""
    task = task_of(element)
    if task.action != "prompt":
        return 0
    usual = ANSWERS.get(scene.facts(element).kind.name, ANSWER)
    if task.output is not None and task.output.schema is not None:
        usual = min(usual, _of_schema(task.output.schema, usual))
    return min(usual, task.max_tokens)


def _of_schema(schema: dict[str, Any], usual: int) -> int:
    """A list or a free text may be as long as any answer; numbers and the like are short."""
    if schema.get("type") == "object" and "properties" in schema:
        return sum(_of_schema(entry, usual) for entry in schema["properties"].values())
    if (
        "enum" in schema
        or "const" in schema
        or schema.get("type") in ("boolean", "integer", "number", "null")
    ):
        return FIELD_TOKENS
    return usual


def _window(scene: Scene, element: Element) -> int | None:
    models = _models(scene, element)
    contexts = [model.context for model in models if model.context is not None]
    return max(contexts) if contexts and len(contexts) == len(models) else None


def _models(scene: Scene, element: Element) -> list[ModelInfo]:
    """Every model that may do the task; none where one of them is not known."""
    task = task_of(element)
    try:
        names = ladder_of(task, scene.catalogue)
        return [scene.catalogue.resolve(name, task.agent(scene.on)) for name in names]
    except StrettoError:
        return []


def unshared_prefix(scene: Scene) -> Iterable[Finding]:
    """Long texts that many prompts have in common, behind what differs: no cache can be shared."""
    yield from _of_templates(scene)
    yield from _of_siblings(scene)


def _of_templates(scene: Scene) -> Iterator[Finding]:
    widths = Widths(scene.inputs)
    for element in scene.tasks:
        task, template = task_of(element), template_of(element)
        if not scene.paid(element) or template is None or "${" not in task.prompt or task.reduce:
            continue
        first = shared_pieces(task.prompt, element, template)
        pieces = split(task.prompt)
        later = [piece for piece in pieces[first + 1 :] if isinstance(piece, str)]
        common = max(later, key=len, default="")
        count = _items(element, widths)
        saved = _saved(scene, element, common, count)
        if saved is not None:
            ref = pieces[first]
            message = (
                f"the prompts of `{element.path}` have {estimate_tokens(common):,} tokens in common, "
                f"but behind `{ref}`, which differs: each item pays the full price for them"
            )
            fix = f"write what all have in common first, and `{ref}` behind it"
            yield scene.finding("unshared-prefix", "info", [element], message, fix, nusd=saved)


def _items(element: Element, widths: Widths) -> int:
    """How many items share a prompt: of the list next to the task."""
    nearest = next((above for above in around(element) if above.part.each is not None), None)
    if nearest is None:
        return 0
    known = widths.known(nearest)
    return length_at(nearest, 0.5) if known is None else known


def _of_siblings(scene: Scene) -> Iterator[Finding]:
    """Tasks written one by one whose prompts end alike."""
    alike: dict[tuple[str, str], list[Element]] = defaultdict(list)
    for element in scene.tasks:
        task = task_of(element)
        if len(task.prompt) > 2 * SIGNATURE and template_of(element) is None and scene.paid(element):
            alike[task.prompt[-SIGNATURE:], task.model].append(element)
    for elements in alike.values():
        if len(elements) < FEWEST:
            continue
        prompts = [task_of(element).prompt for element in elements]
        before = _common_start(prompts)
        common = prompts[0][len(prompts[0]) - _common_start([prompt[::-1] for prompt in prompts]) :]
        saved = _saved(scene, elements[0], common, len(elements))
        if before < len(common) and saved is not None:
            message = (
                f"`{elements[0].path}` and {len(elements) - 1} more end with the same "
                f"{estimate_tokens(common):,} tokens and begin differently: each pays the full price for them"
            )
            fix = "write what all have in common first, and what differs behind it"
            yield scene.finding("unshared-prefix", "info", elements, message, fix, nusd=saved)


def _common_start(texts: list[str]) -> int:
    """How many characters all of them begin with; the first and the last in order differ earliest."""
    pairs = zip(min(texts), max(texts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _saved(scene: Scene, element: Element, common: str, count: int) -> float | None:
    """What a shared prefix would save, in nano-dollars; None where no model would cache it, or nothing."""
    models = _models(scene, element)
    if count < FEWEST or not models or len(common) < SIGNATURE:
        return None
    model = models[0]
    tokens, price = cached_tokens(common, model), scene.catalogue.price_of(model.id)
    if tokens < cache_min_tokens(model) or price is None:
        return None
    return tokens * (count - WRITE - READ * (count - 1)) * price.input / 1e6
