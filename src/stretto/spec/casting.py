"""Gives the tasks of a plan their roles: names resolved, models and tools taken over, what is used frozen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from stretto.errors import StrettoError
from stretto.models import Catalogue
from stretto.plan.finding import Finding
from stretto.plan.model import Growth, Task
from stretto.plan.role import NOTHING, Role, missing_on, tools_on
from stretto.spec.fields import ALIASES
from stretto.spec.notes import Notes
from stretto.spec.raw import Raw
from stretto.spec.roles import Roles
from stretto.spec.tables import Climb

MAX_FROZEN = 1_000_000
"""Characters of instructions that a plan keeps of roles which only a planner may name."""
MOST_NAMED = 100
"""Of such roles, the built-in ones first, then the project's."""
ANYBODY = ("general-purpose", "Explore", "Plan")
"""The sub-agents of a role that does not say which it may start."""
_MODELS_OF_OTHERS = ("openai", "local")
"""Agents whose models are not Claude's: a role's default model says nothing to them."""


class Casting:
    """Who does which task of one plan. What there is to say of it is noted, and nothing of it is an error,
    but for a planner, who may name only roles that the plan has."""

    def __init__(self, roles: Roles, catalogue: Catalogue, on: str, notes: Notes, *, safe: bool):
        self._roles = roles
        self._catalogue = catalogue
        self._on = on
        self._notes = notes
        self._safe = safe
        self.grows = False
        """Whether there is a planner, whose tasks may name other roles than those of the plan."""
        self._used: dict[str, Role] = {}
        self._missing: dict[str, tuple[str, ...]] = {}
        """Of each role the tools that its agent does not have."""
        self._without: list[tuple[str, str]] = []
        """The tasks in these roles: their paths, and where they name them."""

    def cast(self, raw: Raw, values: dict[str, Any]) -> None:
        """Completes the values of one task's keys by its role."""
        name = values.get("role")
        if not name:
            return
        key = next(key for key in ("role", *ALIASES) if key in raw.value)
        role = self._roles.find(name)
        if role is None:
            self._unknown(name, raw.value[key].at)
            return
        values["role"] = role.name
        self._used[role.name] = role
        if "prompt" not in values or self._safe:
            return  # what a planner wrote gets its role when its author's part is there too: `in_role`
        agent = values.get("on") or self._on
        self._model(role, agent, raw, key, values)
        own = values.get("tools", ())
        tools = tools_on(agent, role, own)
        if tools:
            values["tools"] = tools
        else:
            values.pop("tools", None)
        if own and tools in ((), NOTHING):
            message = f"the role {role.name!r} has none of the tools of this task, so it gets none"
            self._notes.add("role-tools", "warning", message, raw.keys["tools"], "remove `tools`")
        missing = missing_on(agent, role)
        if missing and not agent.startswith("simulated"):
            self._missing[role.name] = missing
            self._without.append((self._notes.part, raw.value[key].at))

    def _unknown(self, name: str, at: str) -> None:
        near = self._roles.nearest(name)
        if self._safe:
            known = ", ".join(sorted(self._roles.all)[:12])
            self._notes.error("unknown-role", f"there is no role {name!r} in this plan", at, f"use: {known}")
            return
        message = f"there is no role {name!r}, so the prompt is sent without one"
        fix = f"did you mean {near!r}?" if near else "`stretto roles` lists them"
        self._notes.add("unknown-role", "warning", message, at, fix)

    def _model(self, role: Role, agent: str, raw: Raw, key: str, values: dict[str, Any]) -> None:
        """The role's model, where the task names none and it is one of Claude's."""
        if "model" in raw.value or not (model := model_of(role, agent)):
            return
        try:
            self._catalogue.resolve(model, agent)
        except StrettoError as failed:
            message = (
                f"the role {role.name!r} asks for the model {role.model!r}, which is not known: it is `auto`"
            )
            self._notes.add("role-model", "info", message, raw.value[key].at, failed.next)
            return
        values["model"] = Climb(model)

    def allow(self, names: Iterable[str], given: str, at: str) -> None:
        """The roles that a planner's tasks may name, and the one they are given: the plan keeps them too."""
        for name in (*names, *([given] if given else ())):
            role = self._roles.find(name)
            if role is None:
                self._unknown(name, at)
            else:
                self._used[role.name] = role

    def nameable(self, planner: Task) -> list[str]:
        """The names of the roles that tasks of its plan may have, those that its author named first."""
        growth = planner.growth or Growth()
        words = (*growth.roles, growth.task.role if growth.task is not None else "", planner.role)
        named = (role for word in words if word and (role := self._roles.find(word)) is not None)
        return list(dict.fromkeys(role.name for role in (*named, *self._for_planners())))

    def _for_planners(self) -> Iterator[Role]:
        """Roles that a planner may name although nobody named them: a prompt has to hold the names."""
        size = 0
        for role in islice(self._roles.safe(), MOST_NAMED):
            size += len(role.instructions)
            if size <= MAX_FROZEN:
                yield role

    def frozen(self) -> dict[str, Role]:
        """The roles that the plan keeps: of its tasks, of their sub-agents, and those a planner may name."""
        self._say_what_is_missing()
        self._notes.findings.extend(self._roles.notes_on(self._used.values()))
        kept = {name: self._settled(role) for name, role in sorted(self._used.items())}
        for role in list(kept.values()):
            for name in role.agents:
                if name not in kept and (other := self._roles.find(name)) is not None:
                    kept[name] = self._settled(other)
        if self.grows and not self._safe:
            for role in self._for_planners():
                kept.setdefault(role.name, self._settled(role))
        return dict(sorted(kept.items()))

    def _settled(self, role: Role) -> Role:
        """As a plan keeps it: the names of its sub-agents are those of roles that there are."""
        names = (other for name in role.agents for other in (ANYBODY if name == "*" else (name,)))
        found = map(self._roles.find, names)
        return replace(role, source="", agents=tuple(dict.fromkeys(r.name for r in found if r is not None)))

    def _say_what_is_missing(self) -> None:
        """Once for the whole plan: agents of an API only read."""
        if not self._missing:
            return
        parts = [f"{name!r} ({', '.join(tools[:8])})" for name, tools in sorted(self._missing.items())]
        more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
        message = f"agents of an API only read, so these roles do without: {', '.join(parts[:5])}{more}"
        tasks = tuple(path for path, _ in self._without)
        fix = "for work with them write `on: claude`"
        self._notes.findings.append(Finding("role-tools", "info", message, self._without[0][1], fix, tasks))


def model_of(role: Role, agent: str) -> str:
    """The model that a role asks for; nothing where the agent's models are not Claude's."""
    return "" if agent.partition(":")[0] in _MODELS_OF_OTHERS else role.model


def in_role(task: Task, roles: Mapping[str, Role], on: str, models: Collection[str]) -> Task:
    """A planner's task with what its role brings: its model, if that is among these, and its tools."""
    role = roles.get(task.role)
    if role is None or task.action != "prompt":
        return task
    agent = task.agent(on)
    model = model_of(role, agent)
    taken = model if task.model == "auto" and not task.climb_to and model in models else task.model
    return replace(task, model=taken, tools=tools_on(agent, role, task.tools))
