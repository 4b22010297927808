"""What a plan in Python is written with: tasks, inputs, and the patterns that make groups of them."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple, Self, TypedDict, Unpack

from stretto.errors import StrettoError
from stretto.spec.fields import ALIASES, GROUP, INPUT, PLAN, TASK
from stretto.spec.symbols import Reference, place_of_call

_number = itertools.count(1)
"""Tells parts apart until their ids are known; no number reaches a plan."""

_names: list[str] = []
"""The names of the items that the `do=` and `map=` now being called have been given."""

SLUG_WORDS = 6
SLUG_CHARACTERS = 48


class OrderKeys(TypedDict, total=False):
    """The keywords of every task, group and pattern."""

    id: str
    needs: Any
    after: Any
    optional: bool
    expect: Mapping[str, Any]
    accept: Mapping[str, str]
    as_: str
    max: int
    tolerate: int | str
    usd: Any
    min_ok: int | Mapping[str, Any]


class TaskKeys(OrderKeys, total=False):
    """The keywords of a task."""

    each: Any
    run: Collection[Any]
    call: str | Callable[..., Any]
    args: Mapping[str, Any]
    reduce: Any
    fan_in: int
    model: str | Mapping[str, str]
    effort: str
    family: str
    on: str
    role: str
    agent: str
    subagent_type: str
    tools: Collection[str]
    output: Any
    check: Any
    attempts: int
    timeout: Any
    idle: Any
    max_tokens: int
    min_tokens: int
    turns: int
    reads: Collection[Any]
    writes: Collection[Any]
    env: Collection[str]
    isolation: str
    reuse: str
    pure: bool
    grow: str | Mapping[str, Any]


class PlanKeys(TypedDict, total=False):
    """The keywords of a plan; a pattern that is the plan takes them too."""

    name: str
    inputs: Mapping[str, Any]
    limits: Mapping[str, Any]
    baselines: Mapping[str, Any]
    accept: Mapping[str, str]


class PatternKeys(OrderKeys, PlanKeys, total=False):
    """The keywords of every pattern."""

    order: str
    merge: Mapping[str, Any]


class GroupKeys(PatternKeys, total=False):
    """The keywords of a group."""

    each: Any


_TASK_WORDS = frozenset({"id", "as_", *TASK, *ALIASES} - {"as"})
_GROUP_WORDS = frozenset({"id", "as_", *GROUP, *PLAN} - {"as", "tasks", "stretto"})
_PLAN_WORDS = frozenset({*PLAN} - {"tasks", "stretto"})


class Input:
    """A value asked for at launch (`--in name=value`); in a text it stands for that value."""

    __slots__ = ("at", "keys", "number")

    def __init__(self, type: str = "string", **keys: Any):
        self.at = place_of_call()
        self.number = next(_number)
        self.keys: dict[str, Any] = {"type": type, **keys}
        _know(self.keys, frozenset(INPUT), "Input", self.at)

    def __str__(self) -> str:
        return f"${{input@{self.number}}}"


class Task:
    """One piece of agent work: a prompt, a command (`run=`) or a Python function (`call=`)."""

    __slots__ = ("at", "keys", "number")

    def __init__(self, prompt: str | None = None, **keys: Unpack[TaskKeys]):
        self.at = place_of_call()
        self.number = next(_number)
        self.keys: dict[str, Any] = {**keys}
        if prompt is not None:
            self.keys = {"prompt": prompt, **keys}
        _know(self.keys, _TASK_WORDS, "Task", self.at)

    @property
    def word(self) -> str:
        """Its id, or what its id is made from where the author gave none."""
        return self.keys.get("id") or slug_of(self.keys)

    @property
    def out(self) -> Reference:
        """Its output, as a reference that is a need by itself."""
        return Reference(f"{self.word}@{self.number}")

    def __str__(self) -> str:
        return str(self.out)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.word} {self.at}>"


class Given(NamedTuple):
    """What a pattern adds to one of its members; the author's own keys win."""

    keys: dict[str, Any]
    kind: str = ""
    """What the id of a group is made from that its author did not name."""


class Group:
    """Tasks that belong together; a group is a plan by itself, and stands wherever a task can.

    The patterns are its other constructors; `stretto` offers each of them as a function.
    """

    __slots__ = ("at", "gives", "keys", "kind", "members", "number")

    def __init__(self, *members: Part | Iterable[Part], **keys: Unpack[GroupKeys]):
        self.at = place_of_call()
        self.number = next(_number)
        self.kind = "group"
        """What its id is made from where the author gave none."""
        self.members = list(_flat(members, self.at))
        self.keys: dict[str, Any] = {**keys}
        self.gives: dict[int, Given] = {}
        """What it adds to members, by number: not on the member itself, which another plan may share."""
        _know(self.keys, _GROUP_WORDS, "a group", self.at)

    @classmethod
    def fan_out(cls, *members: Part | Iterable[Part], **keys: Unpack[GroupKeys]) -> Self:
        """Parallel fan-out: independent tasks, all at once."""
        return cls(*members, **keys)._called("fan-out")

    @classmethod
    def pipeline(cls, *members: Part | Iterable[Part], **keys: Unpack[GroupKeys]) -> Self:
        """Sequential pipeline: each starts after the one before succeeded, and gets its output."""
        keys.setdefault("order", "serial")
        return cls(*members, **keys)._called("pipeline")

    @classmethod
    def scatter_gather(cls, scatter: Part | Iterable[Part], gather: Part, **keys: Unpack[GroupKeys]) -> Self:
        """Scatter-gather: several views in parallel, then one part that sees all of them.

        `min_ok` and `tolerate` are about the views. A group as first argument is the scatter itself.
        """
        quorum, outer = _parted(keys, _QUORUM_WORDS)
        views = scatter if isinstance(scatter, Group) else cls(scatter)
        made = cls(views, _part(gather, "gather"), **outer)._called("scatter-gather")
        made.gives = {views.number: Given(quorum, "scatter"), gather.number: Given({"needs": [views]})}
        return made

    @classmethod
    def hierarchy(
        cls,
        planner: Part,
        *,
        each: Any = None,
        do: Callable[[Reference], Part] | Part | None = None,
        finish: Part | None = None,
        **keys: Unpack[PatternKeys],
    ) -> Self:
        """Hierarchical decomposition: a planner returns a list, and `do` is carried out for each entry.

        `each` says where the list stands in the planner's output (None: the output is the list). Without
        `do` the planner writes the tasks themselves (`grow: plan`). `finish` gets what was done.
        """
        about_each, outer = _parted(keys, _EACH_WORDS)
        members = [_part(planner, "the planner")]
        gives = {}
        if do is None:
            most = about_each.pop("max", None)
            grow = "plan" if most is None else {"max": most}
            gives[planner.number] = Given({"grow": grow, **about_each})
        else:
            over = _dug(planner.out, each) if _is_path(each) else each
            done, gives = cls._for_each(over, do, "do", about_each)
            members.append(done)
        if finish is not None:
            gives[_part(finish, "finish").number] = Given({"needs": [members[-1]]})
            members.append(finish)
        made = cls(*members, **outer)._called("hierarchy")
        made.gives = gives
        return made

    @classmethod
    def map_reduce(
        cls,
        over: Any,
        map: Callable[[Reference], Part] | Part,
        reduce: Part | None = None,
        *,
        fan_in: int | None = None,
        **keys: Unpack[PatternKeys],
    ) -> Self:
        """Map-reduce: `map` is carried out for each entry of a list, then `reduce` merges the results.

        `over` is the task that makes the list, a reference, or a literal list. A task as `reduce` merges in
        a tree of calls, `fan_in` values each; a group gets all the results at once.
        """
        about_each, outer = _parted(keys, _EACH_WORDS)
        mapped, gives = cls._for_each(over, map, "map", about_each)
        members = [over, mapped] if isinstance(over, Task | Group) else [mapped]
        if reduce is not None:
            members.append(_part(reduce, "reduce"))
            tree = {"reduce": mapped} | ({} if fan_in is None else {"fan_in": fan_in})
            gives[reduce.number] = Given(tree if isinstance(reduce, Task) else {"needs": [mapped]})
        made = cls(*members, **outer)._called("map-reduce")
        made.gives = gives
        return made

    @classmethod
    def _for_each(
        cls, over: Any, do: Callable[[Reference], Part] | Part, kind: str, about_each: dict[str, Any]
    ) -> tuple[Part, dict[int, Given]]:
        """The part that `do` makes of an entry, and the `each` that is given to it."""
        name = _item_name(about_each.get("as_"))
        part = do if isinstance(do, Task | Group) else _called_once(do, kind, name)
        if "each" in part.keys:
            part = cls(part)
        return part, {part.number: Given({"each": over, "as_": name, **about_each}, kind)}

    def _called(self, kind: str) -> Self:
        self.kind = kind
        return self

    @property
    def word(self) -> str:
        """Its id, or what its id is made from where the author gave none."""
        return str(self.keys.get("id") or self.kind)

    @property
    def out(self) -> Reference:
        """Its result, as a reference that is a need by itself."""
        return Reference(f"{self.word}@{self.number}")

    def __str__(self) -> str:
        return str(self.out)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.word} {self.at}>"


Part = Task | Group


class Plan:
    """A plan with a name, inputs and limits of its own; a pattern or a task alone is a plan too."""

    __slots__ = ("at", "keys", "members")

    def __init__(self, *members: Part | Iterable[Part], **keys: Unpack[PlanKeys]):
        self.at = place_of_call()
        self.members = list(_flat(members, self.at))
        self.keys: dict[str, Any] = {**keys}
        _know(self.keys, _PLAN_WORDS, "Plan", self.at)

    def __repr__(self) -> str:
        return f"<Plan {self.keys.get('name', '')} {self.at}>"


Root = Plan | Group | Task
"""What can be a whole plan."""


def slug_of(keys: Mapping[str, Any]) -> str:
    """An id made of what a task does: the first words of its prompt, its command, or its function."""
    if prompt := keys.get("prompt"):
        text = str(prompt)
    elif run := keys.get("run"):
        words = [str(word) for word in run] if isinstance(run, list | tuple) else [str(run)]
        text = " ".join([PurePath(words[0]).name, *words[1:]])
    else:
        call = keys.get("call")
        text = call if isinstance(call, str) else getattr(call, "__qualname__", "")
        text = text.rpartition(":")[2]
    text = _REFERENCE.sub(" ", text[:_SLUG_READS])
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = ""
    for word in _WORD.findall(text.lower())[:SLUG_WORDS]:
        if len(slug) + len(word) >= SLUG_CHARACTERS:
            break
        slug += f"-{word}" if slug else word
    return slug if slug[:1].isalpha() else f"task-{slug}" if slug else "task"


_WORD = re.compile("[a-z0-9]+")
_REFERENCE = re.compile(r"\$\{[^{}\n]*\}")
_SLUG_READS = 400
"""Characters of a text that can matter for its first words."""

_QUORUM_WORDS = frozenset({"tolerate", "min_ok"})
_EACH_WORDS = _QUORUM_WORDS | {"as_", "max"}


def _flat(members: Iterable[object], at: str) -> Iterator[Part]:
    for member in members:
        match member:
            case Task() | Group():
                yield member
            case Iterable() if not isinstance(member, str | Mapping | Reference):
                for inner in member:
                    yield inner if isinstance(inner, Task | Group) else _part(inner, "a member")
            case _:
                raise _no_part(member, "a member", at)


def _part(value: object, what: str) -> Part:
    if isinstance(value, Task | Group):
        return value
    raise _no_part(value, what, place_of_call())


def _no_part(value: object, what: str, at: str) -> StrettoError:
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    fix = (
        f"write Task({shown})"
        if isinstance(value, str)
        else "write Task(...), fan_out(...) or another pattern"
    )
    return StrettoError("not-a-task", f"{what} must be a task or a pattern, not {shown}", at=at, next=fix)


def _know(keys: Mapping[str, Any], words: frozenset[str], what: str, at: str) -> None:
    """Refuses a keyword that the format does not have; what its value may be, the compiler says."""
    if keys.keys() <= words:
        return
    for key in keys:
        if key in words or key.startswith("x-"):
            continue
        near = difflib.get_close_matches(key, words, n=1)
        if near:
            fix = f"did you mean {near[0]!r}?"
        elif key in PLAN:
            fix = f"{key!r} belongs to the plan: Plan(..., {key}=...)"
        else:
            fix = f"known here: {', '.join(sorted(words))}"
        raise StrettoError("unknown-key", f"{what} has no keyword {key!r}", at=at, next=fix)


def _parted(keys: Mapping[str, Any], words: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords that are about the members or items, and the rest, which are about the whole."""
    inner = {key: value for key, value in keys.items() if key in words}
    return inner, {key: value for key, value in keys.items() if key not in words}


def _is_path(each: Any) -> bool:
    return each is None or (isinstance(each, str) and not each.startswith("${"))


def _dug(value: Reference, path: str | None) -> Reference:
    for name in (path or "").split("."):
        value = value[name] if name else value
    return value


def _item_name(chosen: str | None) -> str:
    """The name of an item that no item around it has."""
    if chosen is None:
        return next(n for n in _free_names() if n not in _names)
    if chosen in _names:
        raise StrettoError(
            "item-name-taken",
            f"an item around this one is called {chosen!r} already",
            at=place_of_call(),
            next="give one of them another name with as_=",
        )
    return chosen


def _free_names() -> Iterator[str]:
    yield "item"
    yield from (f"item{n}" for n in itertools.count(2))


def _called_once(do: object, kind: str, name: str) -> Part:
    if not callable(do):
        raise _no_part(do, f"{kind}=", place_of_call())
    _names.append(name)
    try:
        return _part(do(Reference(name)), f"what {kind}= returns")
    finally:
        _names.pop()
