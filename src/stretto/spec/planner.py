"""What a planner is asked for (`grow: plan`), and its answer under ids of ours.

The schema is the safe subset of the plan format: a list of tasks with ids and not a mapping, no free keys and
no recursion, because structured output of the models' providers allows nothing else. The compiler reads the
mapping of the format as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from stretto.models import Catalogue
from stretto.plan.model import Growth, Task
from stretto.plan.references import ID
from stretto.spec.fields import GROUP, PLAN, TASK

MAX_GROW_DEPTH = 3
"""Planners inside planners: the plan of the third has no planner of its own."""

_IDS = {"type": "array", "items": {"type": "string"}}


def _text(says: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": says, **more}


PLANNED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "description": PLAN["tasks"].says,
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "id": _text("A short name for the task.", pattern=f"^{ID.pattern}$"),
                    "prompt": _text(TASK["prompt"].says),
                    "role": _text(TASK["role"].says),
                    "model": _text(TASK["model"].says),
                    "needs": {**_IDS, "description": TASK["needs"].says},
                    "after": {**_IDS, "description": GROUP["after"].says},
                    "output": _text(TASK["output"].says, enum=["text", "lines", "json"]),
                },
                "required": ["id", "prompt"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}


MAX_ROLES = 60
"""Roles that a planner is told the names of."""

_SAYS = (
    "The tasks, at most {most:,}; rather few and large ones. Whoever gets one sees nothing but its prompt and"
    " what its needs returned. Tasks that need nothing of each other run at the same time."
)


def schema_for(growth: Growth | None, models: Iterable[str], roles: Iterable[str] = ()) -> dict[str, Any]:
    """What one planner must answer: `PLANNED` with the bounds that its author set."""
    tasks = PLANNED["properties"]["tasks"]
    task = tasks["items"]
    most = (growth or Growth()).max
    named = {"model": _text("auto, or a tier.", enum=list(models))}
    if names := list(roles)[:MAX_ROLES]:
        named["role"] = _text("Who does it; nobody in particular where it is left out.", enum=names)
    named["grow"] = _text("plan: too large for one agent, so a planner of its own splits it.", enum=["plan"])
    items = {**task, "properties": {**task["properties"], **named}}
    says = _SAYS.format(most=most)
    return {
        **PLANNED,
        "properties": {"tasks": {**tasks, "description": says, "maxItems": most, "items": items}},
    }


def models_for(planner: Task, catalogue: Catalogue) -> list[str]:
    """The words for models that tasks of its plan may use: none is above what its author put to work.

    That is the model of `grow: {model: ...}`, else the planner's own; `auto` counts as the strongest that it
    may take.
    """
    given = planner.growth.task if planner.growth is not None else None
    about = given if given is not None and given.model != "auto" else planner
    word = about.climb_to or about.model
    tier = catalogue.auto_tiers[-1] if word == "auto" else catalogue.info(word).tier
    tiers = catalogue.tiers[: catalogue.tiers.index(tier) + 1] if tier in catalogue.tiers else ()
    aliases = [alias for alias in catalogue.aliases if catalogue.info(alias).tier in tiers]
    return list(dict.fromkeys(["auto", *tiers, *aliases, word]))


# Ids of ours for a planner's

_TOKEN = re.compile(r"\$\$\{|\$\{(?:([^{}\n]*)\})?")
"""An escape, a reference, or the beginning of something that is none."""
_PATH = re.compile(r"(\.[A-Za-z0-9_-]+)*")
_LONGEST = 40
_READ = 200
"""Characters of an id that can matter for its slug."""
_FEW = 10
"""Mistakes of one kind in one task that are worth telling."""
_LEVELS = 25
"""Groups in groups that are looked into; the compiler refuses fewer."""


def issued(answer: Any, taken: Collection[str] = ()) -> Any:
    """A planner's answer with ids that are safe and unique everywhere in it; needs and references follow.

    What it called its tasks only has to be told apart, so no name is an error: a missing one is made of the
    prompt, and one that two tasks have means the first. `${...}` that names none of its tasks is text.
    `taken` are names that mean something else where the plan will stand. The rest is left to the compiler.
    """
    plan = _bounded(answer) if isinstance(answer, dict) else {"tasks": answer}
    if isinstance(plan.get("tasks"), list | dict):
        plan["tasks"] = _Level(plan["tasks"], None, dict.fromkeys([*taken, "failed"], 1)).written()
    return plan


class _Level:
    """The tasks of one group by the names that their author gave them."""

    def __init__(self, tasks: Any, outer: _Level | None, taken: dict[str, int], id: str = "", depth: int = 0):
        self.outer = outer
        self.id = id
        """Of the group itself."""
        self.entries: list[tuple[str, Any, _Level | None]] = []
        self.ids: dict[str, str] = {}
        self.inside: dict[str, _Level] = {}
        for name, entry in _named(tasks):
            id = _unique(_slug(name) or _slug(_prompt(entry)) or "task", taken)
            inner = None
            if isinstance(entry, dict) and isinstance(entry.get("tasks"), list | dict) and depth < _LEVELS:
                inner = self.inside[id] = _Level(entry["tasks"], self, taken, id, depth + 1)
            self.entries.append((id, entry, inner))
            self.ids.setdefault(name, id)
        for name, id in list(self.ids.items()):
            self.ids.setdefault(_slug(name), id)

    def written(self) -> dict[str, Any]:
        return {id: self._entry(id, entry, inner) for id, entry, inner in self.entries}

    def _entry(self, id: str, entry: Any, inner: _Level | None) -> Any:
        if not isinstance(entry, dict):
            return entry
        # Where every key must be there, an absent one is null.
        made = _bounded({key: value for key, value in entry.items() if value is not None and key != "id"})
        for key in ("needs", "after"):
            if key in made:
                made[key] = self._needs(made[key])
        if isinstance(made.get("prompt"), str):
            made["prompt"] = self._prompt(made["prompt"], id)
        if inner is not None:
            made["tasks"] = inner.written()
        return made

    def _needs(self, needs: Any) -> Any:
        names = needs if isinstance(needs, list) else [needs]
        if not all(isinstance(name, str | int) for name in names):
            return needs
        found = dict.fromkeys(map(str, names))
        known = {name: self.found(name) for name in found}
        wrong = [name[:_LONGEST] for name, id in known.items() if not id][:_FEW]
        return list(dict.fromkeys([*filter(None, known.values()), *wrong]))

    def _prompt(self, text: str, id: str) -> str:
        def reference(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return match.group()
            found = self.found((match.group(1) or "").strip(), but=id)
            return f"${{{found}}}" if found else f"${match.group()}"

        return _TOKEN.sub(reference, text)

    def found(self, word: str, but: str = "") -> str:
        """What a word of the author's means from here outwards, as a path of ids; empty where nothing.

        Never `but` nor a group around it: nobody waits for what he is part of, so the word is no reference.
        """
        if not word:
            return ""
        path = self._path(word, but)
        return path if path or self.outer is None else self.outer.found(word, self.id)

    def _path(self, word: str, but: str) -> str:
        head, _, rest = word.partition(".")
        for name, path in ((word, ""), (head, rest)):
            id = self.ids.get(name) or self.ids.get(_slug(name) or name)
            if id is not None and id != but and _PATH.fullmatch(dug := self._dug(id, path)):
                return f"{id}{dug}"
        return ""

    def _dug(self, id: str, path: str) -> str:
        """The rest of a path: ids of members as far as it leads into groups, then fields of an output."""
        if not path:
            return ""
        head, _, rest = path.partition(".")
        inner = self.inside.get(id)
        member = inner.ids.get(head) if inner is not None else None
        if inner is None or member is None:
            return f".{path}"
        return f".{member}{inner._dug(member, rest)}"


def _bounded(entry: dict[Any, Any]) -> dict[str, Any]:
    """A mapping with the keys that mean something, and the first few of those that are wrong."""
    wrong = [key for key in entry if key not in TASK and key not in GROUP and key not in PLAN]
    dropped = set(wrong[_FEW:])
    return {str(key)[:_LONGEST]: value for key, value in entry.items() if key not in dropped}


def _named(tasks: Any) -> Iterator[tuple[str, Any]]:
    """The tasks of a list or a mapping with what they are called; empty where they have no name."""
    if isinstance(tasks, dict):
        yield from ((str(name), entry) for name, entry in tasks.items())
        return
    for entry in tasks:
        id = entry.get("id") if isinstance(entry, dict) else None
        yield str(id) if isinstance(id, str | int) else "", entry


def _prompt(entry: Any) -> str:
    prompt = entry.get("prompt") if isinstance(entry, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _slug(text: str) -> str:
    """An id made of a text; the text itself where it is one already, empty where nothing is left of it."""
    if len(text) <= _LONGEST and ID.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text[:_READ]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].strip("-")
    return slug if slug[:1].isalpha() else f"t-{slug}"[:_LONGEST] if slug else ""


def _unique(id: str, taken: dict[str, int]) -> str:
    """`taken` knows of each id how many tasks wanted it: 300,000 of one name take no quadratic time."""
    made = id
    while made in taken:
        taken[id] += 1
        made = f"{id}-{taken[id]}"
    taken[made] = 1
    return made
