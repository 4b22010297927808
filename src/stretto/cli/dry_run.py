"""What `--dry-run` prints: every final prompt and command of a run, or what a resume would do."""

from __future__ import annotations

import heapq
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stretto.agents.registry import Roster, free
from stretto.cli.follow import redone
from stretto.cli.forecast import worst_words
from stretto.cli.money import price_of_rest
from stretto.estimate import Worst, worst_case
from stretto.journal import RunInfo
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import cap, line, many, plain
from stretto.plan.graph import Element, Graph, build
from stretto.plan.model import Plan, Task, canonical
from stretto.plan.references import Ref
from stretto.plan.templates import handed_needs, is_shared, template_of
from stretto.report import Rest, dollars, foreseen_in, rest_of
from stretto.run import Options, boot_id, cap_of, check_resumable, load_state
from stretto.run.prepare import fill
from stretto.scheduler.schedule import MODELLESS
from stretto.scheduler.vertex import SETTLED
from stretto.workspace.handover import Block, lay_out, substitute

NAMED = 8


def print_plan(plan: Plan, options: Options, root: Path, *, as_json: bool) -> None:
    """Prints what a run would send and call, without starting or writing anything."""
    graph = build(plan)
    worst = worst_case(plan, options.on, graph, free, options.catalogue)
    limit = cap_of(plan, options, Roster(root, seed=options.seed))
    tasks = [_task_data(plan, element, options) for element in in_order(graph)]
    if as_json:
        data = {
            "schema": "stretto/dry-run/1",
            "plan": plan.name,
            "on": options.on,
            "usd_worst": dollars(worst.nusd),
            "usd_cap": dollars(limit),
            "unknown": list(worst.unknown),
            "tasks": tasks,
        }
        print(json.dumps(data))
        return
    head = [f"plan {plan.name}: {many(len(tasks), 'task')}", price_line(worst, limit)]
    for number, task in enumerate(tasks, 1):
        head += ["", *_task_lines(number, task)]
    print(plain("\n".join(head)))


def price_line(worst: Worst, limit: int | None) -> str:
    """What a run may cost at most, and what it may not exceed."""
    if not worst.calls and not worst.unknown:
        return worst_words(worst)
    return f"worst case {worst_words(worst)}; {cap(limit)}"


_Point = tuple[Element, bool]
"""The start of a part, or (True) its end."""


def in_order(graph: Graph) -> Iterator[Element]:
    """Tasks in an order in which they could run one by one; among those that could, plan order."""
    before: dict[_Point, int] = {}
    after: dict[_Point, list[_Point]] = {}
    for element in graph.elements.values():
        start, end = (element, False), (element, True)
        waits = [(need.target, True) for need in element.needs]
        if element.owner is not None:
            waits.append((element.owner, False))
        for point, others in ((start, waits), (end, [start, *((m, True) for m in element.members.values())])):
            before[point] = len(others)
            for other in others:
                after.setdefault(other, []).append(point)
    ready = [(e.index, over, e.path, e) for (e, over), count in before.items() if not count]
    heapq.heapify(ready)
    while ready:
        _, over, _, element = heapq.heappop(ready)
        if over and isinstance(element.part, Task):
            yield element
        for point in after.get((element, over), ()):
            before[point] -= 1
            if not before[point]:
                heapq.heappush(ready, (point[0].index, point[1], point[0].path, point[0]))


# One task


def _task_data(plan: Plan, element: Element, options: Options) -> dict[str, Any]:
    task = element.part
    assert isinstance(task, Task)
    agent = task.agent(options.on)
    data: dict[str, Any] = {"id": element.path, "agent": agent}
    if each := list(_eaches(element)):
        data["each"] = each
    find = _finder(plan, element, options.inputs)
    handed = _handed(element)
    if task.action == "prompt":
        modelless = agent.partition(":")[0] in MODELLESS
        data["model"] = None if modelless else options.catalogue.resolve(task.model, agent).id
        data["prompt"] = _prompt(element, substitute(task.prompt, find), handed)
    elif task.action == "run":
        data["run"] = [substitute(word, find) for word in task.run]
        if handed:
            data["stdin"] = {name: f"<output of {name}>" for name in handed}
    else:
        data["call"] = task.call
        arguments = {name.replace("-", "_"): f"<output of {name}>" for name in handed}
        data["args"] = {**arguments, **fill(task.args, find)}
    return data


def _finder(plan: Plan, element: Element, inputs: dict[str, Any]) -> Callable[[Ref], Any]:
    """Inputs have their values before a run; items and outputs are not known yet."""
    items = {e.part.each.name for e in _around(element) if e.part.each is not None}

    def find(ref: Ref) -> Any:
        path = ".".join((ref.name, *ref.path))
        if ref.name in items:
            return f"<{path}>"
        if ref.name in plan.inputs and not any(n.tail.split(".")[0] == ref.name for n in element.needs):
            value = inputs.get(ref.name)
            return value if not ref.path else f"<{path}>"
        return f"<output of {path}>"

    return find


def _around(element: Element) -> Iterator[Element]:
    here: Element | None = element
    while here is not None:
        yield here
        here = here.owner


def _eaches(element: Element) -> Iterator[str]:
    """Why there will be several of a task, from the outside in."""
    for here in reversed(list(_around(element))):
        each = here.part.each
        if each is not None and isinstance(each.over, list):
            yield f"{each.name}: each of {len(each.over)} entries"
        elif each is not None:
            yield f"{each.name}: each of {each.over}, at most {each.max:,}"
    task = element.part
    if isinstance(task, Task) and task.reduce:
        yield f"{task.reduce} by {task.fan_in}, until one is left"


def _handed(element: Element) -> list[str]:
    """Names of what is handed over."""
    names = [need.tail for need in handed_needs(element)]
    task = element.part
    if isinstance(task, Task) and task.reduce:
        names.append(f"up to {task.fan_in} entries of {task.reduce}")
    return names


def _prompt(element: Element, prompt: str, handed: list[str]) -> str:
    """The prompt with what is handed over; what all items of a template get comes first."""
    template = template_of(element)
    shared = {need.tail for need in handed_needs(element) if is_shared(need, template)}
    outer, inner = (
        [Block(name, f"<output of {name}>", "") for name in handed if (name in shared) == first]
        for first in (True, False)
    )
    return lay_out("", prompt, outer, inner, can_read_files=False).text


def _task_lines(number: int, task: dict[str, Any]) -> list[str]:
    who = f"{task['agent']} {task['model']}" if task.get("model") else task["agent"]
    each = "".join(f"; {line(words)}" for words in task.get("each", ()))
    lines = [f"{number}. {task['id']}  ({line(who)}{each})"]
    if "prompt" in task:
        lines += [f"   | {row}" for row in task["prompt"].splitlines()]
    elif "run" in task:
        lines.append(f"   $ {shlex.join(task['run'])}")
        if "stdin" in task:
            lines.append(f"   reads {canonical(task['stdin'])}")
    else:
        words = ", ".join(f"{name}={_short(value)}" for name, value in task["args"].items())
        lines.append(f"   {task['call']}({words})")
    return lines


def _short(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith("<") else canonical(value)


# A resume


def rest_lines(run: str, rest: Rest) -> list[str]:
    """What a resume keeps, does again and has before it, and what that will cost."""
    again = ""
    if rest.redone:
        names = ", ".join(rest.redone[:NAMED])
        more = f" and {len(rest.redone) - NAMED} more" if len(rest.redone) > NAMED else ""
        again = f", does {many(len(rest.redone), 'task')} again ({names}{more})"
    waiting = f", has {many(rest.waiting, 'task')} before it" if rest.waiting else ""
    lines = [f"resume {run}: keeps {many(rest.kept, 'result')}{again}{waiting}"]
    if rest.growing:
        lines.append(f"  not counted: the members of {', '.join(rest.growing[:NAMED])}, not known yet")
    if rest.nusd is None:
        reasons = []
        if rest.unknown:
            reasons.append(f"{many(rest.unknown, 'task')} without a sibling that has ended")
        if rest.growing:
            reasons.append("members that are not known")
        lines.append(f"  cost unknown: {', '.join(reasons)}")
    else:
        lines.append(f"  {price_of_rest(rest)}")
    return lines


def print_rest(
    journal: SqliteJournal, info: RunInfo, redo: list[str], release_held: bool, *, as_json: bool
) -> None:
    """Says what `resume` would do, or refuses as it would; the journal stays as it is."""
    _, scheduler = load_state(journal, info.run)
    state = scheduler.state
    redo = redone(state, redo)
    check_resumable(state, info.run, redo, release_held)
    # In memory only: what was running counts as lost, what is to be redone is taken back.
    scheduler.resume(0, boot_id(), scheduler.now_us)
    for id in redo:
        if state.vertices[id].state >= SETTLED:
            scheduler.redo(id, "resume --redo")
    rest = rest_of(state, redo, foreseen_in(journal, state))
    if as_json:
        data = {**rest._asdict(), "usd": dollars(rest.nusd), "usd_high": dollars(rest.high_nusd)}
        del data["nusd"], data["high_nusd"]
        print(json.dumps({"schema": "stretto/rest/1", "run": info.run, **data}))
    else:
        print(plain("\n".join(rest_lines(info.run, rest))))
