"""The nouns of a plan: tasks, groups and the plan they form, as plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, Literal

from stretto.plan.role import Role

VERSION = 1
"""The version of the plan format, the number after `stretto:` in a file."""

MAX_TOKENS = 16_000
"""Of one answer, where a task says nothing."""

Action = Literal["prompt", "run", "call"]
Schema = dict[str, Any]
"""A JSON Schema of the supported subset (see `plan.schema`)."""


@dataclass(slots=True, kw_only=True)
class Output:
    """What a task promises to return: text, a list of lines, or JSON (of a schema, where one is given)."""

    kind: Literal["text", "lines", "json"] = "text"
    schema: Schema | None = None


@dataclass(slots=True, kw_only=True)
class Each:
    """One copy per entry of a list: `over` is a literal list or the text of one reference."""

    over: list[Any] | str
    name: str = "item"
    max: int = 100


@dataclass(slots=True, kw_only=True)
class Quorum:
    """How many members must do: failed ones tolerated (count or share 0..1), or a least number that did."""

    tolerate: int = 0
    tolerate_share: float = 0.0
    min_ok: int | None = None
    cancel_rest: bool = False


@dataclass(slots=True, kw_only=True)
class Expect:
    """Declared figures: nano-dollars, seconds, tokens. On a group: total money, time of one member."""

    nusd: int | None = None
    time_s: float | None = None
    tokens: int | None = None
    strongest_nusd: int | None = None
    strongest_time_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Check:
    """The verifier of a task: a command, a function, or a judging prompt (exactly one is set)."""

    run: tuple[str, ...] = ()
    call: str = ""
    prompt: str = ""
    model: str = "auto"
    on: str = ""

    def agent(self, default: str) -> str:
        """Who carries it out when prompts that name no agent go to `default`."""
        return self.on or (default if self.prompt else "command" if self.run else "function")


NO_ARGS: dict[str, Any] = {}
"""Shared by the tasks that take none; never written to."""

NO_REASONS: dict[str, str] = {}
"""Shared by the parts that accept no finding; never written to."""


@dataclass(slots=True, kw_only=True)
class Task:
    """One piece of agent work as its author wrote it. Exactly one of prompt, run, call is set."""

    id: str
    prompt: str = ""
    run: tuple[str, ...] = ()
    call: str = ""
    args: dict[str, Any] = field(default_factory=lambda: NO_ARGS)
    reduce: str = ""
    """The text of one reference to a list; empty where the task is no reduction."""
    fan_in: int = 20
    each: Each | None = None
    quorum: Quorum | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    model: str = "auto"
    climb_to: str = ""
    """The last tier of `model: {from, to}`; empty where the model is fixed."""
    effort: str = ""
    family: str = ""
    """Tasks of one family learn from each other which model does; empty: those of one group and kind."""
    on: str = ""
    """The agent by name; empty: command for `run`, function for `call`, the run's default for `prompt`."""
    role: str = ""
    tools: tuple[str, ...] = ()
    output: Output | None = None
    """None: text for `prompt` and `run`, any JSON value for `call`."""
    check: Check | None = None
    attempts: int = 3
    timeout_s: float | None = None
    idle_s: float | None = None
    max_tokens: int = MAX_TOKENS
    min_tokens: int = 0
    """What `max_tokens` may be shrunk to when the money runs out; 0: nothing below it will do."""
    turns: int = 20
    usd_cap_nusd: int | None = None
    """The most that each instance may spend."""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    isolation: str = ""
    optional: bool = False
    reuse: str = ""
    pure: bool = False
    grow: bool = False
    """True for `grow: plan`: the output is a plan, and its tasks join the run."""
    growth: Growth | None = None
    """What the author says of those tasks (`grow: {...}`); None where nothing is said."""
    expect: Expect | None = None
    accept: dict[str, str] = field(default_factory=lambda: NO_REASONS)
    """Findings that the author knows of and leaves: slug -> reason."""

    @property
    def action(self) -> Action:
        return "prompt" if self.prompt else "run" if self.run else "call"

    def agent(self, default: str) -> str:
        """Who carries it out when prompts that name no agent go to `default`.

        Where those are only pretended, so is a command that would work in a worktree: there is none.
        """
        pretended = bool(self.isolation) and default.partition(":")[0] == "simulated"
        return self.on or (default if self.prompt or pretended else "command" if self.run else "function")

    @property
    def output_kind(self) -> str:
        if self.output is not None:
            return self.output.kind
        return "json" if self.call or self.grow else "text"


@dataclass(slots=True, kw_only=True)
class Growth:
    """What an author lays down for the tasks that a planner will write."""

    max: int = 100
    roles: tuple[str, ...] = ()
    """Roles that these tasks may name, beside those that can only read."""
    task: Task | None = None
    """What each of them is given: a task without an action. A planner writes none of it itself."""


def planned_by(planner: Task) -> Task:
    """Any of the tasks that a planner will write, as far as one is known before: what each is given."""
    given = planner.growth.task if planner.growth is not None else None
    return replace(given or Task(id=""), id=f"{planner.id}-grown", prompt="What its planner will write")


@dataclass(slots=True, kw_only=True)
class Group:
    """Tasks that belong together. `order: serial` is already turned into needs when a plan is compiled."""

    id: str
    tasks: tuple[Task | Group, ...]
    order: Literal["parallel", "serial"] = "parallel"
    each: Each | None = None
    quorum: Quorum | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    optional: bool = False
    usd_cap_nusd: int | None = None
    """The most that all inside may spend together."""
    merge_check: tuple[str, ...] = ()
    expect: Expect | None = None
    accept: dict[str, str] = field(default_factory=lambda: NO_REASONS)
    """As on a task, for everything inside."""


MERGE = "@merge"
"""The id of the member that a group with `merge:` has beside those of its author."""


def merge_of(parts: Sequence[Task | Group], check: tuple[str, ...]) -> Task:
    """The last member of such a group: a command on the merged work of all others."""
    after = tuple(part.id for part in parts)
    return Task(id=MERGE, run=check, after=after, isolation="worktree", attempts=1)


def tasks_in(parts: Iterable[Task | Group]) -> Iterator[Task]:
    """Every task of these parts and inside them, templates once."""
    for part in parts:
        if isinstance(part, Group):
            yield from tasks_in(part.tasks)
        else:
            yield part


@dataclass(slots=True, kw_only=True)
class Input:
    """A value asked for at launch (`--in name=value`)."""

    type: Literal["string", "path", "int", "number", "bool", "list", "json"] = "string"
    default: Any = None
    required: bool = False


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds of a whole run. `slots` maps an agent, or `agent/model`, to how many may run side by side."""

    usd_nusd: int | None = None
    time_s: float | None = None
    parallel: int = 8
    slots: dict[str, int] = field(default_factory=dict)
    soft: bool = False


@dataclass(slots=True, kw_only=True)
class Plan:
    """A tree of tasks and groups whose needs form a graph without cycles.

    `places` maps the path of a part (`files.scan`) to file:line:col, `written` to the keys its author gave
    it; both are for people, so neither `to_data` nor equality knows them.
    """

    name: str
    tasks: tuple[Task | Group, ...]
    inputs: dict[str, Input] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    baselines: dict[str, Expect] = field(default_factory=dict)
    accept: dict[str, str] = field(default_factory=lambda: NO_REASONS)
    roles: dict[str, Role] = field(default_factory=dict)
    """The roles that its tasks name (with a planner in it, all that one may name), as they were when it was
    compiled."""
    places: dict[str, str] = field(default_factory=dict, compare=False)
    written: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)


Part = Task | Group


def to_data(value: Any) -> Any:
    """A plan (or a part of one) as JSON data, without the fields that still have their default."""
    if type(value) in _PLAIN:
        return value
    match value:
        case Task() | Group() | Plan() | Each() | Quorum() | Expect() | Growth() | Role():
            return _fields(value)
        case Check() | Input() | Limits() | Output():
            return _fields(value)
        case tuple() | list():
            return [to_data(entry) for entry in value]
        case dict():
            return {key: to_data(entry) for key, entry in value.items()}
        case _:
            return value


def _fields(value: Any) -> dict[str, Any]:
    names, values_of, defaults = _shape(type(value))
    values = zip(names, values_of(value), defaults, strict=True)
    return {name: to_data(v) for name, v, default in values if v is not default and v != default}


_PLAIN = {str, int, bool, float, type(None)}
_Shape = tuple[list[str], Callable[[Any], tuple[Any, ...]], list[Any]]
_SHAPES: dict[type, _Shape] = {}


def _shape(kind: type[Any]) -> _Shape:
    """Names, getter and defaults of a class's fields, worked out once: a plan may have 100,000 tasks."""
    shape = _SHAPES.get(kind)
    if shape is None:
        shown = [f for f in fields(kind) if f.name not in ("places", "written")]
        names = [f.name for f in shown]
        defaults = [f.default if f.default_factory is MISSING else f.default_factory() for f in shown]
        shape = _SHAPES[kind] = (names, attrgetter(*names), defaults)
    return shape


def plan_text(plan: Plan) -> str:
    """The canonical JSON of a plan, made a task at a time: 10,000 of them as dicts would be the peak."""
    tasks = ",".join(canonical(to_data(part)) for part in plan.tasks)
    # `tasks` is the last key of a plan in sorted order.
    start, _, _ = canonical(to_data(replace(plan, tasks=()))).rpartition("[]}")
    return f"{start}[{tasks}]}}"


def canonical(data: Any) -> str:
    """The one JSON text of some data: sorted keys, no spaces, UTF-8 as it is."""
    return _CANONICAL.encode(data)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_NESTED: dict[str, type] = {
    "each": Each,
    "quorum": Quorum,
    "expect": Expect,
    "check": Check,
    "output": Output,
    "growth": Growth,
    "task": Task,
}
_TUPLES = {"run", "needs", "after", "tools", "reads", "writes", "env", "roles", "agents", "merge_check"}


def _build(kind: type, data: dict[str, Any]) -> Any:
    """The inverse of `to_data` for one part; trusts its input (it was written by `to_data`)."""
    values: dict[str, Any] = {}
    for name, entry in data.items():
        if name in _NESTED:
            values[name] = _build(_NESTED[name], entry)
        elif name == "tasks":
            values[name] = tuple(_build(Group if "tasks" in t else Task, t) for t in entry)
        else:
            values[name] = tuple(entry) if name in _TUPLES else entry
    return kind(**values)


def part_from_data(data: dict[str, Any]) -> Part:
    part: Part = _build(Group if "tasks" in data else Task, data)
    return part


def plan_from_data(data: dict[str, Any]) -> Plan:
    """The plan that `to_data` wrote. Raises KeyError or TypeError on anything else."""
    return Plan(
        name=data["name"],
        tasks=tuple(part_from_data(t) for t in data["tasks"]),
        inputs={name: Input(**entry) for name, entry in data.get("inputs", {}).items()},
        limits=Limits(**data.get("limits", {})),
        baselines={name: Expect(**entry) for name, entry in data.get("baselines", {}).items()},
        accept=data.get("accept", NO_REASONS),
        roles={name: _build(Role, entry) for name, entry in data.get("roles", {}).items()},
    )
