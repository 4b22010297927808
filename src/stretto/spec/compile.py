"""Compiles the raw tree of a plan, from YAML or Python, into a Plan and everything that is wrong with it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue
from stretto.plan.finding import Finding
from stretto.plan.graph import Problem, build
from stretto.plan.model import (
    MAX_TOKENS,
    MERGE,
    NO_REASONS,
    Each,
    Group,
    Growth,
    Limits,
    Output,
    Part,
    Plan,
    Quorum,
    Task,
    merge_of,
    tasks_in,
)
from stretto.plan.references import ID, refs
from stretto.spec.casting import Casting
from stretto.spec.fields import GROUP, PLAN, SAFE_GROUP, SAFE_TASK, TASK
from stretto.spec.notes import Notes
from stretto.spec.planner import models_for, schema_for
from stretto.spec.raw import Raw
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles
from stretto.spec.tables import Climb, Enough, read_keys
from stretto.spec.typed import check_types
from stretto.spec.windows import Misfit, misfits

MAX_GROWN = 100
"""Tasks that a plan may have which a planner wrote, where the caller says nothing else."""

MAX_LEVELS = 20
"""Groups inside groups; deeper ones are a mistake, and every level costs each id a word."""

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for libyaml, which counts them."""

_GOES_WITH = {"args": "call", "fan_in": "reduce", "as": "each", "max": "each", "min_tokens": "prompt"}
_AGENTS_FOR = {"run": ("command", "simulated"), "call": ("function", "simulated")}
_RENAMED = {"timeout": "timeout_s", "idle": "idle_s", "usd": "usd_cap_nusd"}
_ELSEWHERE = {"each", "as", "max", "tolerate", "min_ok", "model", "grow", "tasks", "merge"}
"""Keys that do not become the field of the same name."""

_AS_THEY_ARE = ("needs", "after", "optional", "expect", "accept")
"""Keys of a group that are fields of the same name."""

_OUTER = ("each", "quorum", "needs", "after", "optional")
"""Where a task becomes a group, these go to the group."""


def compile_plan(
    raw: Raw,
    *,
    source: str,
    text: str = "",
    safe: bool = False,
    max_tasks: int = MAX_GROWN,
    on: str = "messages",
    catalogue: Catalogue = BUILTIN,
    roles: Roles = BUILTIN_ROLES,
    even_broken: bool = False,
) -> tuple[Plan | None, list[Finding]]:
    """The plan, or None where it has errors, and all findings in the order of their places.

    `even_broken` gives what could be read of a plan with errors too: for a critic, not for a run.

    `text` is the file itself, if there is one: it places references to the column. `safe` takes only what a
    planner may write, and at most `max_tasks` tasks. `on` is the agent of prompts that name none, `catalogue`
    knows the names of models, `roles` those of roles; under `safe` no others may be named.
    """
    compiler = _Compiler(safe, max_tasks, on, catalogue, text, roles)
    plan = compiler.plan(raw, source)
    findings = compiler.notes.sorted()
    failed = plan is None or any(finding.severity == "error" for finding in findings)
    return (None if failed and not even_broken else plan), findings


class _TooMany(Exception):
    """A planner's plan that is not worth reading on."""


class _Compiler:
    """One pass over the raw tree, then the graph, then the types of what its references dig out."""

    def __init__(self, safe: bool, max_tasks: int, on: str, catalogue: Catalogue, text: str, roles: Roles):
        self.notes = Notes()
        self.casting = Casting(roles, catalogue, on, self.notes, safe=safe)
        self.safe = safe
        self.max_tasks = max_tasks
        self.on = on
        self.catalogue = catalogue
        self.text = text
        self.lines: list[int] = []
        """Where each line of the text begins; made when the first reference is looked for."""
        self.count = 0
        self.places: dict[str, str] = {}
        self.raws: dict[str, Raw] = {}
        """Of each part by path: the mapping it was written as."""
        self.written: dict[str, tuple[str, ...]] = {}
        self.alike: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Parts with the same keys share the tuple of them: a plan may have 100,000."""
        self.models: dict[tuple[str, str], StrettoError | None] = {}

    def plan(self, raw: Raw, source: str) -> Plan | None:
        notes = self.notes
        if type(raw.value) is not dict:
            notes.wrong_type("a plan", "a mapping with stretto, name and tasks", raw)
            return None
        values = self._plan_keys(raw)
        tasks = values.get("tasks")
        if "tasks" not in raw.value:
            notes.error(
                "missing-key", "the plan has no tasks", raw.at, 'write tasks: {scan: {prompt: "..."}}'
            )
        try:
            parts = self._parts(tasks, "", 0) if tasks is not None else ()
        except _TooMany:
            return None
        notes.part = ""
        plan = Plan(
            name=values.get("name") or PurePath(source).stem or "plan",
            tasks=parts,
            inputs=values.get("inputs", {}),
            limits=values.get("limits") or Limits(),
            baselines=values.get("baselines", {}),
            accept=values.get("accept", NO_REASONS),
            roles=self.casting.frozen(),
            places=self.places,
            written=self.written,
        )
        self._names_of_inputs(raw, plan)
        self._graph(plan)
        return plan

    def _plan_keys(self, raw: Raw) -> dict[str, Any]:
        notes = self.notes
        if self.safe:
            kept = self._only_safe(raw, frozenset({"stretto", "name", "tasks"}), "the plan of a planner")
            tasks = kept.value.get("tasks")
            if tasks is not None and type(tasks.value) is list:
                kept.value["tasks"] = self._by_id(tasks)
            return read_keys(kept, PLAN, "a plan", notes)
        if "stretto" not in raw.value:
            message = "`stretto`, the version of the format, is missing"
            notes.error("missing-key", message, raw.at, "begin the plan with stretto: 1")
        return read_keys(raw, PLAN, "a plan", notes)

    def _only_safe(self, raw: Raw, allowed: frozenset[str], what: str) -> Raw:
        """The mapping without what a planner may not write, which is noted."""
        for key in raw.value:
            if key not in allowed and (key in TASK or key in GROUP or key in PLAN):
                fix = f"allowed: {', '.join(sorted(allowed))}"
                self.notes.error("unsafe-key", f"`{key}` may not stand in {what}", raw.keys[key], fix)
        kept = {k: v for k, v in raw.value.items() if k in allowed or k not in {*TASK, *GROUP, *PLAN}}
        return Raw(kept, raw.at, raw.keys)

    def _by_id(self, raw: Raw) -> Raw:
        """A planner's list of tasks with `id` as the mapping it means: a schema cannot ask for free keys."""
        found = Raw({}, raw.at, {})
        for entry in raw.value:
            id = entry.value.get("id") if type(entry.value) is dict else None
            if id is None or type(id.value) is not str:
                fix = 'write {id: scan, prompt: "..."}'
                self.notes.error("missing-key", "a task in a list needs an id", entry.at, fix)
            elif id.value in found.value:
                message = f"two tasks are called {id.value!r}"
                self.notes.error("duplicate-id", message, id.at, "rename one of them")
            else:
                keys = {k: v for k, v in entry.value.items() if k != "id"}
                found.value[id.value] = Raw(keys, entry.at, entry.keys)
                found.keys[id.value] = id.at
        return found

    # Parts

    def _parts(self, raw: Raw, owner: str, level: int) -> tuple[Part, ...]:
        found = []
        for id, entry in raw.value.items():
            path = f"{owner}.{id}" if owner else id
            self.places[path] = raw.keys[id]
            self.raws[path] = entry
            if type(entry.value) is dict:
                keys = tuple(entry.value)
                self.written[path] = self.alike.setdefault(keys, keys)
            self.notes.part = path
            if not ID.fullmatch(id):
                self._bad_id(id, raw.keys[id])
            found.append(self._part(id, entry, path, level))
        return tuple(found)

    def _bad_id(self, id: str, at: str) -> None:
        near = re.sub(r"[^a-z0-9_-]+", "-", id.lower()).strip("-0123456789_")[:64]
        fix = f"write {near!r}" if near else "write a word of lower-case letters, digits, - and _"
        self.notes.error("bad-id", f"{id!r} cannot be an id", at, fix)

    def _part(self, id: str, raw: Raw, path: str, level: int) -> Part:
        """One task or group; where it cannot be read, an empty task that others may still need."""
        if type(raw.value) is not dict:
            fix = f'write {id}: {{prompt: "..."}}'
            self.notes.wrong_type(id, "a mapping with prompt, run, call or tasks", raw, fix)
            return Task(id=id)
        if level > MAX_LEVELS:
            message = f"groups stand more than {MAX_LEVELS} levels deep in each other here"
            self.notes.error("too-deep", message, raw.at, "make fewer levels")
            return Task(id=id)
        if "tasks" in raw.value:
            return self._group(id, raw, path, level)
        self.count += 1
        if self.safe and self.count > self.max_tasks:
            message = f"this plan has more than {self.max_tasks} tasks"
            self.notes.error("too-many-tasks", message, raw.at, "write fewer tasks")
            raise _TooMany
        return self._task(id, raw, path)

    def _task(self, id: str, raw: Raw, path: str) -> Part:
        kept = self._only_safe(raw, SAFE_TASK, "a task that a planner wrote") if self.safe else raw
        values = read_keys(kept, TASK, f"the task {id!r}", self.notes, "group")
        self._one_action(id, raw)
        self._belongings(raw, values)
        self._lengths(raw, values)
        self._models(raw, values)
        self.casting.cast(raw, values)
        made = _fields(values)
        made |= {"each": self._each(raw, values), "quorum": self._quorum(raw, values, None)}
        if "grow" in values:
            made["growth"] = self._growth(raw.value["grow"], values["grow"])
            self.casting.grows = True
            return self._planner(id, path, made, raw)
        if "reduce" in values and made["each"] is not None:
            # One reduction per item is a group that has the reduction as its only member.
            outer = {key: made.pop(key) for key in _OUTER if key in made}
            self._also_at(path, "reduce")
            return Group(id=id, tasks=(Task(id="reduce", **made),), **outer)
        return Task(id=id, **made)

    def _planner(self, id: str, path: str, made: dict[str, Any], raw: Raw) -> Group:
        """A planner becomes a group of itself and of the place where its plan will stand."""
        for key in ("output", "reduce"):
            if key in raw.value:
                message = f"`{key}` cannot stand beside `grow: plan`: what it returns is a plan"
                self.notes.error("two-actions", message, raw.keys[key], f"remove `{key}`")
        outer = {key: made.pop(key) for key in (*_OUTER, "usd_cap_nusd") if key in made}
        quorum = outer.pop("quorum")
        if outer["each"] is not None:
            outer["quorum"], quorum = quorum, None
        planner = Task(id="plan", grow=True, **made)
        if planner.prompt:
            models = models_for(planner, self.catalogue)
            roles = self.casting.nameable(planner)
            planner.output = Output(kind="json", schema=schema_for(planner.growth, models, roles))
        self._also_at(path, "plan")
        self._also_at(path, "grown")
        return Group(
            id=id, tasks=(planner, Group(id="grown", tasks=(), after=("plan",), quorum=quorum)), **outer
        )

    def _growth(self, raw: Raw, given: dict[str, Any]) -> Growth | None:
        """What an author gives to the tasks that will be planned: keys of a task, read as on any other."""
        if not given:
            return None
        if self.safe:
            message = "a planner writes no more than `grow: plan`"
            self.notes.error("unsafe-key", message, raw.at, "write grow: plan")
            return None
        made = {key: value for key, value in given.items() if key not in ("max", "roles")}
        written = {key: raw.value[key] for key in raw.value if key not in ("max", "roles")}
        asked = Raw(written | {"prompt": Raw("planned", raw.at)}, raw.at, raw.keys | {"prompt": raw.at})
        self._one_action("grow", asked)
        self._belongings(asked, made)
        self._lengths(asked, made)
        self._models(asked, made)
        self.casting.allow(given.get("roles", ()), given.get("role", ""), raw.at)
        for text in _scalars(raw):
            if "${" in text.value:
                message = "no reference can stand in `grow`: its tasks are not written yet"
                self.notes.error("wrong-value", message, text.at, "write it into the prompt of the planner")
        return Growth(
            max=given.get("max", MAX_GROWN),
            roles=given.get("roles", ()),
            task=Task(id="", **_fields(made)) if made else None,
        )

    def _also_at(self, path: str, member: str) -> None:
        self.places[f"{path}.{member}"] = self.places[path]
        self.raws[f"{path}.{member}"] = self.raws[path]
        self.written[f"{path}.{member}"] = self.written[path]

    def _group(self, id: str, raw: Raw, path: str, level: int) -> Group:
        kept = raw
        if self.safe:
            kept = self._only_safe(raw, SAFE_GROUP, "a group that a planner wrote")
            if type(raw.value["tasks"].value) is list:
                kept.value["tasks"] = self._by_id(raw.value["tasks"])
        actions = [key for key in ("prompt", "run", "call", "reduce") if key in raw.value]
        if actions:
            message = f"{id!r} has tasks, so it is a group and has no `{actions[0]}`"
            self.notes.error("two-actions", message, raw.keys[actions[0]], "make it a task in the group")
            left = {k: v for k, v in kept.value.items() if k not in actions}
            kept = Raw(left, raw.at, raw.keys)
        values = read_keys(kept, GROUP, f"the group {id!r}", self.notes, "task")
        self._belongings(raw, values)
        each, tasks = self._each(raw, values), values.get("tasks")
        members = len(tasks.value) if tasks is not None else None
        quorum = self._quorum(raw, values, members)
        if each is not None and tasks is not None and each.name in tasks.value:
            at = raw.value["as"].at if "as" in raw.value else raw.at
            message = f"{each.name!r} is the name of the item and of a task in this group"
            self.notes.error("duplicate-id", message, at, "choose another name with `as`")
        parts = self._parts(tasks, path, level + 1) if tasks is not None else ()
        self.notes.part = path
        order = values.get("order", "parallel")
        parts = tuple(_serial(parts)) if order == "serial" else parts
        check = values.get("merge", {}).get("check", ())
        if check:
            self._can_merge(raw, parts, quorum if each is None else None)
            self._also_at(path, MERGE)
            parts = (*parts, merge_of(parts, check))
        return Group(
            id=id,
            tasks=parts,
            order=order,
            merge_check=check,
            each=each,
            quorum=quorum,
            usd_cap_nusd=values.get("usd"),
            **{key: values[key] for key in _AS_THEY_ARE if key in values},
        )

    def _can_merge(self, raw: Raw, parts: tuple[Part, ...], quorum: Quorum | None) -> None:
        at = raw.keys["merge"]
        if not any(task.isolation for task in tasks_in(parts)):
            message = "`merge` brings worktrees together, and no task of this group works in one"
            self.notes.error("no-effect", message, at, "add isolation: worktree to its tasks")
        if quorum is not None:
            message = "`merge` cannot stand beside `tolerate` or `min_ok`: it needs the work of all members"
            self.notes.error("not-supported", message, at, "mark members that may fail as `optional`")

    # What holds between the keys of one part

    def _one_action(self, id: str, raw: Raw) -> None:
        actions = [key for key in ("prompt", "run", "call") if key in raw.value]
        if len(actions) == 1:
            action = actions[0]
            agent = raw.value.get("on")
            name = agent.value.partition(":")[0] if agent is not None and type(agent.value) is str else ""
            if agent is not None and name and not _can(name, action):
                message = f"the agent {name!r} cannot carry out `{action}`"
                self.notes.error("wrong-value", message, agent.at, "remove `on`")
        elif actions:
            message = f"{id!r} has {' and '.join(actions)}; a task has exactly one of prompt, run and call"
            self.notes.error("two-actions", message, raw.keys[actions[1]], "make two tasks of it")
        elif "reduce" in raw.value:
            message = f"{id!r} does not say how two values are merged"
            self.notes.error("no-action", message, raw.at, 'add prompt: "Merge these"')
        elif not self.safe or "prompt" not in raw.value:
            message = f"{id!r} does nothing"
            self.notes.error("no-action", message, raw.at, "give it one of prompt, run, call or tasks")

    def _belongings(self, raw: Raw, values: dict[str, Any]) -> None:
        """Keys that mean nothing without another one, and those that are of a later release."""
        for key, other in _GOES_WITH.items():
            if key in raw.value and other not in raw.value:
                message = f"`{key}` has no effect without `{other}`"
                self.notes.error("no-effect", message, raw.keys[key], f"add `{other}`, or remove `{key}`")
        if "tasks" not in raw.value and "each" not in raw.value and "grow" not in raw.value:
            for key in ("tolerate", "min_ok"):
                if key in raw.value:
                    message = f"`{key}` is about the members of a group or an each, and this is neither"
                    self.notes.error("no-effect", message, raw.keys[key], "use `optional`, or add `each`")
        if "isolation" in values and "call" in raw.value:
            message = "a function runs in this process and sees the project itself, never a worktree"
            fix = "use run: [python, -m, ...], or remove `isolation`"
            self.notes.error("not-supported", message, raw.value["isolation"].at, fix)

    def _lengths(self, raw: Raw, values: dict[str, Any]) -> None:
        least, most = values.get("min_tokens", 0), values.get("max_tokens", MAX_TOKENS)
        if least > most:
            message = f"`min_tokens` is {least:,}, which is more than `max_tokens`, {most:,}"
            self.notes.error("wrong-value", message, raw.value["min_tokens"].at, f"at most {most:,}")

    def _each(self, raw: Raw, values: dict[str, Any]) -> Each | None:
        over = values.get("each")
        if over is None:
            return None
        most = values.get("max", 100)
        if type(over) is list and len(over) > most:
            message = f"`each` has {len(over):,} entries, and at most {most:,} are allowed"
            fix = f"add max: {len(over)}, or shorten the list"
            self.notes.error("too-many-items", message, raw.value["each"].at, fix)
        return Each(over=over, name=values.get("as", "item"), max=most)

    def _quorum(self, raw: Raw, values: dict[str, Any], members: int | None) -> Quorum | None:
        quorum: Quorum | None = values.get("tolerate")
        enough: Enough | None = values.get("min_ok")
        over = values.get("each")
        if enough is not None:
            known = len(over) if type(over) is list else members if over is None else None
            if known is not None and enough.least > known:
                message = f"`min_ok` asks for {enough.least:,} of {known:,} members"
                self.notes.error("wrong-value", message, raw.value["min_ok"].at, f"at most {known:,}")
            changed = {"min_ok": enough.least, "cancel_rest": enough.cancel_rest}
            quorum = replace(quorum or Quorum(), **changed)  # type: ignore[arg-type]
        return quorum

    def _models(self, raw: Raw, values: dict[str, Any]) -> None:
        """For a model that nobody knows stands `auto`: the rest of the plan is still looked at."""
        agent = values.get("on") or self.on
        climb = values.get("model")
        if climb is not None and not self._model(raw.value["model"], climb, agent):
            values["model"] = Climb("auto")
        check = values.get("check")
        if check is not None and check.prompt and "model" in raw.value["check"].value:
            at = raw.value["check"].value["model"]
            if not self._model(at, Climb(check.model), check.on or agent):
                values["check"] = replace(check, model="auto")

    def _model(self, raw: Raw, climb: Climb, agent: str) -> bool:
        """Whether all its names are known."""
        places = raw.value if type(raw.value) is dict else {"from": raw}
        order, tiers, known = self.catalogue.tiers, [], True
        for key, name in (("from", climb.model), ("to", climb.to)):
            if not name:
                continue
            pair = (name, agent)
            if pair not in self.models:
                self.models[pair] = self._complaint(name, agent)
            complaint = self.models[pair]
            if complaint is not None:
                self.notes.error(complaint.slug, complaint.what, places[key].at, complaint.next)
                known = False
            tiers.append(order.index(name) if name in order else -1)
        if len(tiers) == 2 and tiers[0] >= tiers[1] >= 0:
            message = f"a task climbs to a stronger model, and {climb.to} is not above {climb.model}"
            self.notes.error("wrong-value", message, raw.at, f"the order is {', '.join(order)}")
        return known

    def _complaint(self, name: str, agent: str) -> StrettoError | None:
        try:
            self.catalogue.resolve(name, agent)
        except StrettoError as error:
            return error
        return None

    # The graph

    def _names_of_inputs(self, raw: Raw, plan: Plan) -> None:
        for name in plan.inputs:
            if name in self.places:
                message = f"{name!r} is an input and a task"
                at = raw.value["inputs"].keys.get(name, raw.at)
                self.notes.error("duplicate-id", message, at, "rename one of them")

    def _graph(self, plan: Plan) -> None:
        graph = build(plan)
        for problem in graph.problems:
            self._note(problem)
        for problem in check_types(plan, graph):
            self._note(problem)
        if not graph.problems:
            for misfit in misfits(plan, graph, self.on, self.catalogue):
                self._note_misfit(misfit)

    def _note_misfit(self, misfit: Misfit) -> None:
        raw = self.raws.get(misfit.path)
        value = raw.value.get(misfit.key) if raw is not None and type(raw.value) is dict else None
        if value is None and misfit.slug == "max-tokens-too-high":
            return  # nobody asked for so many: what the model gives will do
        at = value.at if value is not None else self.places.get(misfit.path, "")
        finding = Finding(misfit.slug, misfit.severity, misfit.message, at, misfit.fix, (misfit.path,))
        self.notes.findings.append(finding)

    def _note(self, problem: Problem) -> None:
        raw = self.raws.get(problem.path)
        at = self._place_of(raw, problem.about) if raw is not None and problem.about else ""
        at = at or self.places.get(problem.path, "")
        tasks = (problem.path, *problem.others)
        finding = Finding(problem.slug, "error", problem.message, at, problem.fix, tasks)
        self.notes.findings.append(finding)

    def _place_of(self, raw: Raw, about: str) -> str:
        """Where a part's need or reference stands, as exactly as it is known."""
        for scalar in _scalars(raw):
            value: str = scalar.value
            if about.startswith("${"):
                if about in value or _has(value, about):
                    return self._narrowed(scalar, about)
            elif value == about:
                return scalar.at
        return ""

    def _narrowed(self, scalar: Raw, about: str) -> str:
        """The column of a reference inside a text, by looking for it in the file from the text's start on."""
        file, *numbers = scalar.at.rsplit(":", 2)
        if not self.text or len(numbers) != 2:
            return scalar.at
        if not self.lines:
            self.lines = [0, *(match.end() for match in _LINE_END.finditer(self.text))]
        if int(numbers[0]) > len(self.lines):
            return scalar.at
        start = self.lines[int(numbers[0]) - 1] + int(numbers[1]) - 1
        # Quotes, escapes and indentation make the text longer in the file than it is.
        end = start + 2 * len(scalar.value) + 100 * (scalar.value.count("\n") + 1)
        found = self.text.find(about, start, end)
        if found < 0:
            return scalar.at
        line = bisect_right(self.lines, found)
        return f"{file}:{line}:{found - self.lines[line - 1] + 1}"


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task for keys that were read."""
    made = {_RENAMED.get(key, key): value for key, value in values.items() if key not in _ELSEWHERE}
    model = values.get("model", Climb("auto"))
    return made | {"model": model.model, "climb_to": model.to}


def _can(agent: str, action: str) -> bool:
    if action == "prompt":
        return agent not in ("command", "function")
    return agent in _AGENTS_FOR[action]


def _serial(parts: tuple[Part, ...]) -> Iterator[Part]:
    """The members with a need on the one before, unless they have it."""
    for number, part in enumerate(parts):
        before = parts[number - 1].id if number else ""
        if before and before not in part.needs and before not in part.after:
            yield replace(part, needs=(*part.needs, before))
        else:
            yield part


def _scalars(raw: Raw) -> Iterator[Raw]:
    """The texts of a part, apart from those of its members."""
    value = raw.value
    if type(value) is dict:
        for key, entry in value.items():
            if key != "tasks":
                yield from _scalars(entry)
    elif type(value) is list:
        for entry in value:
            yield from _scalars(entry)
    elif type(value) is str:
        yield raw


def _has(value: str, about: str) -> bool:
    """Whether a text has a reference that is written with other spaces."""
    try:
        return "${" in value and any(str(ref) == about for ref in refs(value))
    except ValueError:
        return False
