"""Reads bare `Task(...)` calls, in a Python file or the blocks of a Markdown page, without executing them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NamedTuple

from stretto.plan.finding import Finding, Severity
from stretto.spec.bare.blocks import Block, blocks_of, dedented, has_task, with_plain_ends
from stretto.spec.bare.calls import MOST_CHARACTERS, Budget, TooMuch, Trouble
from stretto.spec.bare.comments import Comment, accepted, would_accept
from stretto.spec.bare.reading import Reading, read_block
from stretto.spec.bare.stages import Staged, Task, halves_of, staged
from stretto.spec.bare.values import MOST
from stretto.spec.raw import Raw, wrap

__all__ = ["Bare", "has_task", "read_bare"]

MOST_NEEDS = 50_000
"""More needs than this between tasks, and the stages become groups that need each other."""
_NANO = Decimal("0.000000001")
_LISTED = 12


class Bare(NamedTuple):
    """One plan of a file: its name, the tree that is compiled, and what its reading found."""

    name: str
    raw: Raw
    findings: list[Finding]


def read_bare(text: str, path: str, *, page: bool) -> tuple[list[Bare], list[Finding]]:
    """The plans of a file, and findings about blocks that hold none. A `page` is Markdown."""
    text = with_plain_ends(text)
    blocks = blocks_of(text) if page else [Block(text)]
    file = _File(path)
    try:
        for block in map(dedented, blocks):
            file.add(block)
    except TooMuch:
        message = f"a bare file may make {MOST:,} tasks, and {MOST_CHARACTERS:,} characters of prompts"
        fix = "make long lists at run time: write a plan with `each`"
        return [], [Finding("too-many-tasks", "error", message, f"{path}:1:1", fix)]
    return file.plans, file.findings


class _File:
    """Plans as they come up; ids count on through the whole file."""

    def __init__(self, path: str):
        self.path = path
        self.plans: list[Bare] = []
        self.findings: list[Finding] = []
        self._budget = Budget()
        self._count = 0
        self._names: dict[str, int] = {}
        """How often each name was wanted."""

    def add(self, block: Block) -> None:
        reading = read_block(block.text, self._budget, self._count)
        halves = halves_of(reading)
        findings = [*self._troubles(reading, block)]
        if not halves:
            self.findings += findings
            if not findings:
                message = "no task could be read in this block"
                self.findings.append(self._finding("unread-task", "warning", message, block.place(1, 0)))
        accepting: set[Comment] = set()
        for number, half in enumerate(halves):
            name = self._name(block.heading, half.label if len(halves) > 1 else "", len(halves))
            plan = _Plan(self.path, block, staged(half), name)
            self._count += len(plan.staged.tasks)
            for reasons in plan.staged.accepts.values():
                accepting.update(comment for _, comment in reasons.values())
            self.plans.append(Bare(name, plan.raw(), [*(findings if not number else []), *plan.findings()]))
        for comment in reading.comments:
            if would_accept(comment.text) and comment not in accepting:
                self.findings.append(self._lost(comment, block))

    def _troubles(self, reading: Reading, block: Block) -> list[Finding]:
        """What was left out: once for each keyword and each call."""
        first: dict[tuple[str, str], Trouble] = {}
        for trouble in reading.troubles:
            about = trouble.what if trouble.kind == "ignored-keyword" else f"{trouble.line}:{trouble.column}"
            first.setdefault((trouble.kind, about), trouble)
        return [
            self._finding(
                trouble.kind,
                "warning" if trouble.kind == "unread-task" else "info",
                trouble.what,
                block.place(trouble.line, trouble.column),
            )
            for trouble in first.values()
        ]

    def _lost(self, comment: Comment, block: Block) -> Finding:
        """A comment that should accept something, and does not."""
        why = "no task stands right below it" if accepted(comment.text) else "it is not written as it must be"
        message = f"this comment accepts nothing: {why}"
        return self._finding("bad-accept", "warning", message, block.place(comment.line, comment.column))

    def _finding(self, slug: str, severity: Severity, message: str, place: str) -> Finding:
        return Finding(slug, severity, message, f"{self.path}:{place}", _FIXES.get(slug, ""))

    def _name(self, heading: str, label: str, halves: int) -> str:
        """What a plan is called: the heading above it and its label, or else the file."""
        words = re.findall("[a-z0-9]+", heading.lower())[:8]
        base = "-".join([*words, *([label] if label else [])])
        if not base:
            base = PurePath(self.path).stem if halves == 1 and not self._names else "plan"
        name = base
        while name in self._names:
            self._names[base] += 1
            name = f"{base}-{self._names[base]}"
        self._names[name] = 1
        return name


_FIXES = {
    "unread-task": 'write Task("what is to be done", model="haiku")',
    "ignored-keyword": "what matters for the work belongs into the prompt",
    "bad-accept": "write `# stretto: accept SLUG: the reason` behind a call, or alone on the line above it",
    "open-list": "write the whole list, or name it and give it at launch",
}


class _Plan:
    """The tree of one plan, as it would be written in YAML."""

    def __init__(self, path: str, block: Block, staged: Staged, name: str):
        self.path = path
        self.block = block
        self.staged = staged
        self.name = name
        self.stages: list[list[Task]] = [[] for _ in {task.stage for task in staged.tasks}]
        for task in staged.tasks:
            self.stages[task.stage].append(task)
        self.inputs: dict[str, Raw] = {}

    def raw(self) -> Raw:
        first = self._at(self.staged.tasks[0].site.line, self.staged.tasks[0].site.column)
        keys: dict[str, Any] = {"stretto": 1, "name": self.name, "tasks": self._tasks(first)}
        if self.inputs:
            keys["inputs"] = Raw(self.inputs, first, dict.fromkeys(self.inputs, first))
        if self.staged.baselines:
            keys["baselines"] = {
                name: wrap(_expect(found.usd, found.seconds), self._at(comment.line, comment.column))
                for name, (found, comment) in self.staged.baselines.items()
            }
        return wrap(keys, first)

    def findings(self) -> Iterator[Finding]:
        """What a reader of the plan has to know about how it was read."""
        comment = self.staged.evidence
        if len(self.stages) > 1 and comment is not None:
            said = "; ".join(_listed(stage) for stage in self.stages[:_LISTED])
            more = "; ..." if len(self.stages) > _LISTED else ""
            message = f"the comments say that there are {len(self.stages)} stages: {said}{more}"
            fix = "write the order down: `needs` in YAML, or pipeline(...) in a file that imports stretto"
            yield Finding("inferred-structure", "info", message, self._at(comment.line, comment.column), fix)
        holed = [task for task in self.staged.tasks if task.turn.holes]
        if holed:
            holes = list(dict.fromkeys(hole for task in holed for hole in task.turn.holes))
            more = ", ..." if len(holes) > _LISTED else ""
            message = f"nothing says what stands for {', '.join(holes[:_LISTED])}{more}"
            fix = "as it is, the words in braces are sent to the model"
            at = self._at(holed[0].site.line, holed[0].site.column)
            ids = tuple(task.id for task in holed)
            yield Finding("open-placeholder", "info", message, at, fix, ids)

    def _tasks(self, first: str) -> Raw:
        needed = sum(len(stage) * len(after) for stage, after in itertools.pairwise(self.stages))
        if needed > MOST_NEEDS and not any(map(_names_others, self.staged.tasks)):
            return self._groups(first)
        needs: list[Raw | None] = [None]
        for stage in self.stages[:-1]:
            needs.append(wrap([task.id for task in stage], first))
        made = {task.id: self._task(task, needs[task.stage]) for task in self.staged.tasks}
        return Raw(made, first, {id: entry.at for id, entry in made.items()})

    def _groups(self, first: str) -> Raw:
        """Every stage as a group: as many needs as stages, where else each task would need a whole stage."""
        groups: dict[str, Any] = {}
        for number, stage in enumerate(self.stages, 1):
            made = {task.id: self._task(task, None) for task in stage}
            inside = Raw(made, first, {id: entry.at for id, entry in made.items()})
            needs = {"needs": [f"stage-{number - 1}"]} if number > 1 else {}
            groups[f"stage-{number}"] = wrap({"tasks": inside, **needs}, next(iter(made.values())).at)
        return wrap(groups, first)

    def _task(self, task: Task, needs: Raw | None) -> Raw:
        at = self._at(task.site.line, task.site.column)
        found: dict[str, Raw] = {
            key: wrap(value, self._at(line, column)) for key, (value, line, column) in task.turn.keys.items()
        }
        if needs is not None and "needs" in found:
            found["needs"] = Raw([*needs.value, *found["needs"].value], found["needs"].at)
        elif needs is not None:
            found["needs"] = needs
        if (each := task.turn.each) is not None:
            self.inputs.setdefault(each.over, wrap({"type": "list", "required": True}, at))
            found["each"] = Raw(f"${{{each.over}}}", at)
            found["as"] = Raw(each.item, at)
            if each.most is not None:
                found["max"] = Raw(each.most, at)
        expect = _expect(task.usd, task.seconds)
        if expect and "expect" not in found:
            found["expect"] = wrap(expect, at)
        reasons = self.staged.accepts.get((task.site.line, task.site.column), {})
        if reasons:
            made = {slug: Raw(why, self._at(c.line, c.column)) for slug, (why, c) in reasons.items()}
            found["accept"] = Raw(made, at, {slug: entry.at for slug, entry in made.items()})
        return Raw(found, at, {key: entry.at for key, entry in found.items()})

    def _at(self, line: int, column: int) -> str:
        return f"{self.path}:{self.block.place(line, column)}"


def _listed(stage: list[Task]) -> str:
    """The ids of a stage, in short where they are many."""
    first, last = stage[0], stage[-1]
    if len(stage) < 4:
        return ", ".join(task.id for task in stage)
    in_row = last.turn.number - first.turn.number == len(stage) - 1
    return f"{first.id} to {last.id}" if in_row else f"{first.id} and {len(stage) - 1} more"


def _names_others(task: Task) -> bool:
    """Whether it names other tasks itself; inside a group they would have longer names."""
    return "needs" in task.turn.keys or "${task-" in task.turn.keys["prompt"].value


def _expect(usd: Decimal | None, seconds: Decimal | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if usd is not None:
        found["usd"] = format(usd.quantize(_NANO).normalize(), "f")
    if seconds is not None:
        found["time"] = float(seconds)
    return found
