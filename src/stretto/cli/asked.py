"""A task that somebody asks a model for, in words or as JSON, as the choice sees it."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, NamedTuple

from stretto.errors import StrettoError
from stretto.models import Catalogue
from stretto.models.catalogue import LEVELS
from stretto.models.facts import Facts, ladder_of
from stretto.models.kind import kind_of
from stretto.models.windows import estimate_tokens
from stretto.plan.finding import did_you_mean
from stretto.plan.model import Expect, Task
from stretto.scheduler.choosing import signature
from stretto.spec.fields import AGENTS, ORDER, TASK
from stretto.spec.notes import Notes, shown
from stretto.spec.raw import wrap
from stretto.spec.tables import read_expect

USUAL = Task(id="task", prompt="-")
OWN = ("input_tokens",)
"""What a plan's task need not say, because its prompt is there to be counted."""
MOST = 1_000_000_000

Verifier = Literal["", "executable", "judged"]


class BadTask(ValueError):
    """What was asked is no task; its text says why."""


class Asked(NamedTuple):
    """A task, and the keys of its JSON that mean nothing to a choice."""

    facts: Facts
    ignored: tuple[str, ...] = ()


def read_task(text: str, catalogue: Catalogue, on: str, checked: bool = False) -> Asked:
    """A task from a text: words, a JSON text, or a JSON object with the keys of a plan's task.

    `on` is the agent where the task names none; `checked` says that a command checks the answer of a task
    that does not speak of a check. Raises BadTask.
    """
    text = text.strip()
    if not text:
        raise BadTask("there is no task: the line is empty")
    value = _value(text)
    if isinstance(value, str):
        if not value.strip():
            raise BadTask("there is no task: the text is empty")
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadTask(f"a task is a text or an object, not {shown(value)}")
    return _asked(value, catalogue, on, checked)


def _value(text: str) -> Any:
    """JSON where it is some, else the text itself; what begins like an object has to be one."""
    try:
        return json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise BadTask("this JSON is nested too deeply") from None
    except ValueError as bad:
        quoted = text.startswith('"') and text.find('"', 1) < 0
        if text.startswith("{") or quoted:
            raise BadTask(f"this is not JSON: {bad}") from None
        return text


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not allowed")


def _asked(value: dict[str, Any], catalogue: Catalogue, on: str, checked: bool) -> Asked:
    prompt = value.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        near = did_you_mean("prompt", value, otherwise="it has") if value else "it is empty"
        raise BadTask(f"the task has no prompt, which is a text of what is to be done ({near})")
    agent = _agent(value, on)
    model, to = _models(value.get("model"), agent, catalogue)
    task = Task(id="task", prompt=prompt, model=model, climb_to=to)
    facts = Facts(
        path="task",
        family=_word(value, "family"),
        signature=signature(prompt, {}),
        text=prompt,
        kind=kind_of(prompt),
        agent=agent,
        ladder=ladder_of(task, catalogue),
        fixed=model != "auto" and not to,
        effort=_effort(value),
        tools=_names(value, "tools"),
        writes=_writes(value),
        check=_check(value, checked),
        input_tokens=_whole(value, "input_tokens", estimate_tokens(prompt)),
        max_tokens=_whole(value, "max_tokens", USUAL.max_tokens),
        turns=_whole(value, "turns", USUAL.turns),
        expect=_expect(value),
        bounded=bool(to),
    )
    return Asked(facts, tuple(key for key in value if key not in TASK and key not in OWN))


def _agent(value: dict[str, Any], on: str) -> str:
    agent = _word(value, "on") or on
    kind = agent.partition(":")[0]
    if kind not in AGENTS:
        raise BadTask(f"there is no agent {kind!r}: {did_you_mean(kind, AGENTS, otherwise='there are')}")
    return agent


def _models(given: Any, agent: str, catalogue: Catalogue) -> tuple[str, str]:
    """The model asked for and the last it may climb to; `auto` and nothing where none is."""
    if isinstance(given, dict):
        if unknown := given.keys() - {"from", "to"}:
            raise BadTask(f"`model` has from and to, and no {shown(min(unknown))}")
        first, last = given.get("from", "auto"), given.get("to")
        if last is None:
            raise BadTask("`model` says where to start and not where to end: add to")
    else:
        first, last = "auto" if given is None else given, ""
    for name in (first, last):
        if not isinstance(name, str):
            raise BadTask(f"`model` must be the name of a model, not {shown(name)}")
        if name:
            _known(name, agent, catalogue)
    order = catalogue.tiers
    if first in order and last in order and order.index(first) >= order.index(last):
        raise BadTask(f"a task climbs to a stronger model, and {last} is not above {first}")
    return first or "auto", last


def _known(name: str, agent: str, catalogue: Catalogue) -> None:
    try:
        catalogue.resolve(name, agent)
    except StrettoError as unknown:
        raise BadTask(f"{unknown.what}: {unknown.next}") from None


def _effort(value: dict[str, Any]) -> str:
    effort = _word(value, "effort").lower()
    if effort and effort not in LEVELS:
        raise BadTask(f"`effort` is one of {', '.join(LEVELS)}, not {shown(effort)}")
    return effort


def _check(value: dict[str, Any], checked: bool) -> Verifier:
    """Judged where a prompt checks; a command, a function or `true` is executable."""
    check = value.get("check")
    if check is None:
        return "executable" if checked else ""
    if isinstance(check, dict) and check.get("prompt"):
        return "judged"
    if isinstance(check, bool | str | list | dict):
        return "executable" if check else ""
    raise BadTask(f"`check` must be a command, a function or {{prompt}}, not {shown(check)}")


def _writes(value: dict[str, Any]) -> bool:
    given = value.get("writes")
    return given if isinstance(given, bool) else bool(_names(value, "writes"))


def _names(value: dict[str, Any], key: str) -> tuple[str, ...]:
    given = value.get(key)
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,) if given.strip() else ()
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return tuple(dict.fromkeys(given))
    raise BadTask(f"`{key}` must be a list of texts, not {shown(given)}")


def _word(value: dict[str, Any], key: str) -> str:
    given = value.get(key)
    if given is None:
        return ""
    if isinstance(given, str):
        return given.strip()
    raise BadTask(f"`{key}` must be a text, not {shown(given)}")


def _whole(value: dict[str, Any], key: str, usual: int) -> int:
    given = value.get(key)
    if given is None:
        return usual
    if isinstance(given, float) and math.isfinite(given) and given.is_integer():
        given = int(given)
    if type(given) is int and 0 <= given <= MOST:
        return given
    raise BadTask(f"`{key}` must be a whole number, not {shown(given)}")


def _expect(value: dict[str, Any]) -> Expect | None:
    if value.get("expect") is None:
        return None
    notes = Notes()
    found = read_expect(wrap(value["expect"], ""), "expect", ORDER["expect"], notes)
    if notes.findings:
        raise BadTask(notes.findings[0].message)
    return found
