"""Turns what a plan in Python was built of into the raw tree that the compiler reads."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from stretto.errors import StrettoError
from stretto.plan.model import VERSION
from stretto.spec.patterns import Given, Group, Input, Part, Plan, Root, Task
from stretto.spec.raw import Raw, wrap
from stretto.spec.symbols import Reference

PLAN_MODULE = "stretto_plan_"
"""How the names of modules begin that plan files are read under."""

_MARKED = re.compile(r"\$\{([a-z0-9_-]*)@(\d+)((?:\.[A-Za-z0-9_-]+)*)\}")
"""A reference to a part or input by its number, as it stands in texts until ids are known."""

_PLAN_KEYS = frozenset({"name", "inputs", "limits", "baselines"})
_WORDS_OF_TYPES: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "object",
}
_ID_KEYS = frozenset({"needs", "after"})
_NOTHING = Given({})

MAX_LEVELS = 100
"""Far more than the compiler takes, and far less than Python's stack does."""


def raw_of(root: Root) -> Raw:
    """The raw tree of a plan, in the shape of YAML. Raises StrettoError where parts do not fit together."""
    return _Writer(root).plan()


def held_by(root: Root) -> set[int]:
    """The numbers of the parts inside a plan, without itself."""
    inside: set[int] = set()
    waiting = list(_members(root))
    while waiting:
        part = waiting.pop()
        inside.add(part.number)
        waiting.extend(_members(part))
    return inside


def _members(root: Root) -> list[Part]:
    return [] if isinstance(root, Task) else root.members


class _Place:
    """Where a part stands: its id, the group that it is a member of, and what is around it."""

    __slots__ = ("id", "inside", "keys", "owner", "part")

    def __init__(self, part: Part, keys: dict[str, Any], owner: _Place | None, id: str):
        self.part = part
        self.keys = keys
        self.owner = owner
        self.id = id
        self.inside: dict[str, _Place] = {}


class _Writer:
    """Gives every part its id, then writes the tree with references by id."""

    def __init__(self, root: Root):
        self.root = root
        self.places: dict[int, _Place] = {}
        self.outermost: dict[str, _Place] = {}
        self.inputs: dict[int, str] = {}

    def plan(self) -> Raw:
        root = self.root
        keys = {} if isinstance(root, Task) else {k: v for k, v in root.keys.items() if k in _PLAN_KEYS}
        inputs = keys.get("inputs")
        if isinstance(inputs, Mapping):
            self.inputs = {i.number: str(name) for name, i in inputs.items() if isinstance(i, Input)}
        gives = root.gives if isinstance(root, Group) else {}
        self._place(_outermost(root), gives, None, self.outermost)
        value = {"stretto": Raw(VERSION, root.at)}
        for key, entry in keys.items():
            if entry is not None:
                value[key] = self._wrapped(entry, None, root.at)
        value["tasks"] = self._tasks(self.outermost, root.at)
        return Raw(value, root.at, dict.fromkeys(value, root.at))

    def _place(
        self, parts: list[Part], gives: dict[int, Given], owner: _Place | None, scope: dict[str, _Place]
    ) -> None:
        taken = _chosen_ids(parts)
        counts: dict[str, int] = {}
        for part in parts:
            if part.number in self.places:
                raise StrettoError(
                    "task-used-twice",
                    f"{part.word!r}, one object, stands in two places of the plan",
                    at=part.at,
                    next="build it anew for each place, or use its output with .out",
                )
            given = gives.get(part.number, _NOTHING)
            id = part.keys.get("id")
            if id is None:
                word = given.kind if given.kind and isinstance(part, Group) else part.word
                id = _free_id(word, taken, counts)
            place = _Place(part, _with_given(part.keys, given.keys), owner, str(id))
            self.places[part.number] = scope[place.id] = place
            if isinstance(part, Group):
                if len(list(_owners(place))) > MAX_LEVELS:
                    fix = "make fewer levels"
                    raise StrettoError(
                        "too-deep", "patterns stand too deep in each other", at=part.at, next=fix
                    )
                self._place(part.members, part.gives, place, place.inside)

    def _tasks(self, scope: dict[str, _Place], at: str) -> Raw:
        tasks = {id: self._part(place) for id, place in scope.items()}
        return Raw(tasks, at, {id: place.part.at for id, place in scope.items()})

    def _part(self, place: _Place) -> Raw:
        part = place.part
        value: dict[str, Raw] = {}
        for key, entry in place.keys.items():
            if entry is None or key == "id" or (part is self.root and key in _PLAN_KEYS):
                continue
            written = entry.keys if key == "check" and isinstance(entry, Task) else entry
            if key in _ID_KEYS:
                written = self._ids(entry, place)
            value["as" if key == "as_" else key] = self._wrapped(written, place, part.at)
        if isinstance(part, Group):
            value["tasks"] = self._tasks(place.inside, part.at)
        return Raw(value, part.at, dict.fromkeys(value, part.at))

    def _ids(self, entry: Any, place: _Place) -> Any:
        """What stands under `needs` or `after`: parts become ids; one alone is a list of one."""
        entries = list(entry) if isinstance(entry, list | tuple | set) else [entry]
        return [self._path(e.number, e.word, place) if isinstance(e, Task | Group) else e for e in entries]

    def _wrapped(self, entry: Any, place: _Place | None, at: str) -> Raw:
        if type(entry) is str and "@" not in entry:
            return Raw(entry, at)
        return wrap(self._plain(entry, place, at), at)

    def _plain(self, entry: Any, place: _Place | None, at: str) -> Any:
        """A value as YAML would have it: references as texts, functions as module:function."""
        match entry:
            case str():
                return self._text(entry, place)
            case bool() | int() | float() | None:
                return entry
            case Reference() | Task() | Group():
                return self._text(str(entry), place)
            case Input():
                return self._input(entry, place)
            case Mapping():
                return {_key(key): self._plain(inner, place, at) for key, inner in entry.items()}
            case list() | tuple():
                return [self._plain(inner, place, at) for inner in entry]
            case set() | frozenset():
                return sorted(str(self._plain(inner, place, at)) for inner in entry)
            case PurePath() | Decimal():
                return str(entry)
            case timedelta():
                return entry.total_seconds()
            case _:
                return _type_or_function(entry, at)

    def _input(self, entry: Input, place: _Place | None) -> Any:
        if place is not None:
            return self._text(str(entry), place)
        keys = {key: value for key, value in entry.keys.items() if value is not None}
        return wrap({key: self._plain(value, None, entry.at) for key, value in keys.items()}, entry.at)

    def _text(self, text: str, place: _Place | None) -> str:
        if place is None or "@" not in text:
            return text
        return _MARKED.sub(lambda mark: self._reference(mark, place), text)

    def _reference(self, mark: re.Match[str], place: _Place) -> str:
        word, number, path = mark.group(1), int(mark.group(2)), mark.group(3)
        if word == "input" and number not in self.places:
            if number in self.inputs:
                return f"${{{self.inputs[number]}{path}}}"
            raise StrettoError(
                "unknown-reference",
                "a text uses an Input that the plan does not have",
                at=place.part.at,
                next='name it in the plan: inputs={"name": ...}',
            )
        return f"${{{self._path(number, word, place)}{path}}}"

    def _path(self, number: int, word: str, place: _Place) -> str:
        """The ids that lead to a part from where it is referred to."""
        target = self.places.get(number)
        if target is None:
            raise StrettoError(
                "unknown-reference",
                f"the output of {word!r} is used, but {word!r} is not in this plan",
                at=place.part.at,
                next="put it into the plan too: Plan(..., the task, ...)",
            )
        around = list(_owners(place))
        ids = [target.id]
        here = target
        while here.owner not in around:
            assert here.owner is not None, "the plan itself is around everything"
            here = here.owner
            ids.insert(0, here.id)
        nearer = around[: around.index(here.owner)]
        if any(ids[0] in owner.inside for owner in nearer if owner) or ids[0] in self._bound(place):
            raise StrettoError(
                "hidden-reference",
                f"{ids[0]!r} means something nearer than the task at {here.part.at}",
                at=place.part.at,
                next="give one of the two another name, with id= or as_=",
            )
        return ".".join(ids)

    def _bound(self, place: _Place) -> set[str]:
        """What an inner name means before any task: the items around, and the inputs."""
        names = set(self.root.keys.get("inputs") or ()) if not isinstance(self.root, Task) else set()
        here: _Place | None = place
        while here is not None:
            if "each" in here.keys:
                names.add(here.keys.get("as_") or "item")
            here = here.owner
        return names


def _owners(place: _Place) -> Iterator[_Place | None]:
    """The scopes in which a name is looked up from here, nearest first; None is the plan itself."""
    here = place.owner
    while here is not None:
        yield here
        here = here.owner
    yield None


def _outermost(root: Root) -> list[Part]:
    """What stands directly in the plan; a pattern with nothing to say about itself gives its members."""
    match root:
        case Plan():
            return root.members
        case Group() if not root.keys.keys() - _PLAN_KEYS:
            return root.members
        case _:
            return [root]


def _with_given(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The author's keys and those of the pattern: the author's win, needs add up."""
    if not given:
        return own
    keys = {**given, **{key: entry for key, entry in own.items() if entry is not None}}
    needs = own.get("needs")
    if needs is not None and "needs" in given:
        keys["needs"] = [*(needs if isinstance(needs, list | tuple | set) else [needs]), *given["needs"]]
    return keys


def _chosen_ids(parts: list[Part]) -> set[str]:
    """The ids that authors gave. Raises `duplicate-id`: a mapping cannot hold two."""
    chosen: dict[str, Part] = {}
    for part in parts:
        id = part.keys.get("id")
        if id is None:
            continue
        first = chosen.setdefault(str(id), part)
        if first is not part:
            raise StrettoError(
                "duplicate-id",
                f"two tasks are called {id!r}; the first is at {first.at}",
                at=part.at,
                next="rename one of them",
            )
    return set(chosen)


def _free_id(word: str, taken: set[str], counts: dict[str, int]) -> str:
    """The word, or with -2, -3, ... where it is taken; only what stands in the same group counts."""
    id = word
    while id in taken:
        counts[word] = counts.get(word, 1) + 1
        id = f"{word}-{counts[word]}"
    taken.add(id)
    return id


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _type_or_function(entry: Any, at: str) -> Any:
    """The short form of a type, or the name of a function; the rest as it is, for the compiler to refuse."""
    origin, inner = typing.get_origin(entry), typing.get_args(entry)
    if origin is list and inner:
        return [_type_or_function(inner[0], at)]
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if isinstance(entry, type) or not callable(entry):
        return _WORDS_OF_TYPES.get(entry, entry) if isinstance(entry, type) else entry
    return name_of_function(entry, at)


def name_of_function(function: Callable[..., Any], at: str) -> str:
    """`module:qualname`, by which a function is found again in another process.

    A function of the plan file itself, or of the program that is running, is found by the name of its file.
    """
    name = getattr(function, "__qualname__", "")
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if not name or "<" in name or module is None or _found_in(module, name) is not function:
        shown = name or repr(function)
        raise StrettoError(
            "function-without-name",
            f"{shown} cannot be found again by its name",
            at=at,
            next="call= takes a function that stands at the top of a module: no lambda, no inner function",
        )
    home = module.__name__
    if home == "__main__" or home.startswith(PLAN_MODULE):
        home = PurePath(getattr(module, "__file__", None) or "").stem
        if not home:
            raise StrettoError(
                "function-without-name",
                f"{name} was typed in, and cannot be found again from another process",
                at=at,
                next="put it into a file and import it",
            )
    return f"{home}:{name}"


def _found_in(module: types.ModuleType, name: str) -> object:
    found: object = module
    for word in name.split("."):
        found = getattr(found, word, None)
    return found
