"""Holds every reference against the type of what it digs into, as far as that is known before the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stretto.plan.finding import did_you_mean
from stretto.plan.graph import Element, Graph, Problem, texts_of
from stretto.plan.model import Plan, Schema, Task
from stretto.plan.references import Ref, only_ref, refs
from stretto.plan.schema import NoField, field_type, may_be

_LINES: Schema = {"type": "array", "items": {"type": "string"}}
_FAILED: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"index": {"type": "integer"}, "item": {}, "error": {"type": "string"}},
        "additionalProperties": False,
    },
}
_OF_INPUT: dict[str, Schema] = {
    "string": {"type": "string"},
    "path": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "json": {},
}


def check_types(plan: Plan, graph: Graph) -> Iterator[Problem]:
    """References into fields that cannot be there, and lists that are none."""
    types = _Types(plan, graph)
    for element in graph.elements.values():
        yield from _check(types, element)


def _check(types: _Types, element: Element) -> Iterator[Problem]:
    part = element.part
    lists = []
    if part.each is not None and isinstance(part.each.over, str):
        lists.append(("each", part.each.over))
    if isinstance(part, Task) and part.reduce:
        lists.append(("reduce", part.reduce))
    places: list[tuple[object, bool]] = [(text, True) for text in texts_of(part)]
    if part.each is not None:
        places.append((part.each.over, False))
    seen = set()
    for text, own in places:
        try:
            found = list(refs(text))
        except ValueError:
            continue
        for ref in found:
            if (ref, own) not in seen:
                seen.add((ref, own))
                yield from _check_ref(types, element, ref, own)
    for key, over in lists:
        yield from _check_list(types, element, key, over)


def _check_ref(types: _Types, element: Element, ref: Ref, own: bool) -> Iterator[Problem]:
    try:
        types.of(element, ref, own=own)
    except NoField as bad:
        fix = did_you_mean(bad.name, bad.known, otherwise="its fields") if bad.known else ""
        if not fix and (target := types.find(element, ref.name)) is not None:
            fix = _promise(target, "lines" if ref.path[-1].isdecimal() else f"{{{ref.path[-1]}: string}}")
        led = ".".join((ref.name, *ref.path)[: -bad.left])
        message = f"{ref}: {led!r} {bad.why}"
        yield Problem("bad-reference", element.path, message, fix, str(ref))


def _promise(target: Element, output: str) -> str:
    """What the producer of a text would have to promise instead."""
    if isinstance(target.part, Task) and target.part.output_kind == "text":
        return f"give {target.part.id!r} an output, such as output: {output}"
    return ""


def _check_list(types: _Types, element: Element, key: str, text: str) -> Iterator[Problem]:
    try:
        ref = only_ref(text)
        kind = types.of(element, ref, own=key == "reduce") if ref is not None else None
    except ValueError:
        # Malformed, or a field that is not there: both have been said.
        return
    if kind is None or may_be(kind, "array"):
        return
    fix = ""
    target = types.find(element, ref.name) if ref is not None else None
    if target is not None:
        fix = _promise(target, "lines")
    fields = [n for n, inner in kind.get("properties", {}).items() if may_be(inner, "array", kind)]
    if fields:
        fix = f"did you mean {str(ref)[:-1]}.{fields[0]}}}?"
    message = f"`{key}` goes over a list, and {text} is none"
    yield Problem("not-a-list", element.path, message, fix, str(ref))


class _Types:
    """What is known of the results of parts, items and inputs; each is worked out once."""

    def __init__(self, plan: Plan, graph: Graph):
        self.plan = plan
        self.graph = graph
        self.wholes: dict[Element, Schema] = {}
        self.items: dict[Element, Schema] = {}

    def of(self, element: Element, ref: Ref, *, own: bool = True) -> Schema:
        """The type behind a reference that stands in `element`; `{}` where nothing is known. Raises NoField.

        `own` is False in the list of an each, where its own item is not known yet.
        """
        binder = _binder(element if own else element.owner, ref.name)
        if binder is not None:
            return field_type(self._item(binder), ref.path)
        if ref.name in self.plan.inputs:
            return field_type(_OF_INPUT[self.plan.inputs[ref.name].type], ref.path)
        target = self.find(element, ref.name)
        return {} if target is None else self._dig(target, ref.path)

    def find(self, element: Element, name: str) -> Element | None:
        """The part that a name means where it is no item and no input."""
        owner = element.owner
        while owner is not None:
            if name in owner.members:
                return owner.members[name]
            owner = owner.owner
        return self.graph.roots.get(name)

    def _item(self, binder: Element) -> Schema:
        """The type of an item of an each."""
        if binder not in self.items:
            self.items[binder] = {}
            each = binder.part.each
            assert each is not None, "it binds a name"
            self.items[binder] = (
                self._item_of_ref(binder, each.over) if isinstance(each.over, str) else _common(each.over)
            )
        return self.items[binder]

    def _item_of_ref(self, binder: Element, over: str) -> Schema:
        try:
            ref = only_ref(over)
            kind = self.of(binder, ref, own=False) if ref is not None else None
            return field_type(kind, ("0",)) if kind and may_be(kind, "array") else {}
        except ValueError:
            return {}

    def _dig(self, target: Element, path: tuple[str, ...], *, one: bool = False) -> Schema:
        """The type of what a path digs out of a part's result; `one`: of one copy of an each."""
        part = target.part
        if part.each is not None and not one:
            return self._dig_each(target, path)
        if isinstance(part, Task):
            return field_type(_of_task(part), path)
        if path and path[0] in target.members:
            return self._dig(target.members[path[0]], path[1:])
        if len(target.sinks) == 1:
            return self._dig(target.sinks[0], path)
        return field_type(self._whole(target), path)

    def _dig_each(self, target: Element, path: tuple[str, ...]) -> Schema:
        if not path:
            return _list_of(self._whole(target))
        if path[0] == "failed":
            return field_type(_FAILED, path[1:])
        if path[0] in target.members:
            return _list_of(self._dig(target.members[path[0]], path[1:]))
        if path[0].isdecimal():
            return self._dig(target, path[1:], one=True)
        known = (*target.members, "failed")
        raise NoField(f"is a list of results and has no field {path[0]!r}", path, known)

    def _whole(self, target: Element) -> Schema:
        """The type of a part's whole result, or of one copy's where there are several."""
        if target not in self.wholes:
            self.wholes[target] = {}
            part = target.part
            if isinstance(part, Task):
                self.wholes[target] = _of_task(part)
            elif len(target.sinks) == 1:
                self.wholes[target] = self._dig(target.sinks[0], ())
            elif target.sinks:
                properties = {sink.part.id: _without_defs(self._dig(sink, ())) for sink in target.sinks}
                self.wholes[target] = {
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": False,
                }
        return self.wholes[target]


def _binder(element: Element | None, name: str) -> Element | None:
    """The nearest each around a place whose item has this name."""
    while element is not None:
        if element.part.each is not None and element.part.each.name == name:
            return element
        element = element.owner
    return None


def _of_task(task: Task) -> Schema:
    if task.output is not None and task.output.schema is not None:
        return task.output.schema
    match task.output_kind:
        case "text":
            return {"type": "string"}
        case "lines":
            return _LINES
        case _:
            return {}


def _list_of(schema: Schema) -> Schema:
    items = {key: value for key, value in schema.items() if key != "$defs"}
    defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {"type": "array", "items": items, **defs}


def _without_defs(schema: Schema) -> Schema:
    """The schema as a part of another one; unknown where it has definitions of its own, which could clash."""
    return {} if "$defs" in schema else schema


def _common(entries: list[Any]) -> Schema:
    """What all entries of a literal list are, where that is plain to see."""
    if entries and all(isinstance(entry, str) and "${" not in entry for entry in entries):
        return {"type": "string"}
    if entries and all(isinstance(entry, dict) for entry in entries):
        names = dict.fromkeys(name for entry in entries for name in entry)
        return {"type": "object", "properties": {n: {} for n in names}, "additionalProperties": False}
    return {}
