"""Plans that people labelled with what is wrong with them, and the tasks in their text.

It reads the text by itself and not through `stretto.spec`, so that the labels are not held against the code
that they measure.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

CORPUS = Path(__file__).parent / "corpus"
SPLITS = tuple("open tune held fresh second-open second-held third fourth-open fourth-held".split())
UNSEEN = ("held", "second-held", "fourth-held")
"""Splits from which no rule may learn."""

Findings = dict[str, list[tuple[str, ...]]]
"""For each slug the tasks of each of its findings."""


class Labelled(NamedTuple):
    id: str
    form: str
    """`bare`, `yaml`, or `python`: a file that imports stretto, whose tasks all have an `id=`."""
    text: str
    labels: Findings


class Part(NamedTuple):
    """A task or a group: its id, what is written about it alone, and its prompt."""

    id: str
    source: str
    prompt: str


def plans_of(split: str, folder: Path = CORPUS) -> tuple[list[Labelled], str]:
    """The plans of a split and the SHA-256 of its file. Raises SystemExit where there is no such file."""
    path = folder / f"plans-{split}.jsonl"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: bench/corpus/README.md says what belongs there")
    data = path.read_bytes()
    rows = [json.loads(line) for line in data.decode().splitlines() if line]
    plans = [Labelled(row["id"], row["form"], row["text"], findings_of(row["findings"])) for row in rows]
    return plans, hashlib.sha256(data).hexdigest()


def findings_of(rows: list[dict[str, list[str]]] | list[dict[str, object]]) -> Findings:
    """Findings by slug, of rows with `slug` and `tasks`: labels, or what `stretto check --json` says."""
    found: Findings = {}
    for row in rows:
        tasks = row["tasks"]
        assert isinstance(tasks, list)
        found.setdefault(str(row["slug"]), []).append(tuple(tasks))
    return found


def parts_of(form: str, text: str) -> list[Part]:
    """The tasks and groups of a plan in the order of its text."""
    if form != "yaml":
        calls = [call for statement in ast.parse(text).body for call in calls_in(statement)]
        ids = [f"task-{number}" if form == "bare" else _id(call) for number, call in enumerate(calls, 1)]
        return [
            Part(id, ast.get_source_segment(text, call) or "", _prompt(call))
            for id, call in zip(ids, calls, strict=True)
        ]
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_members(root, text, "")) if isinstance(root, yaml.MappingNode) else []


def _members(group: yaml.MappingNode, text: str, path: str) -> Iterator[Part]:
    for name, tasks in group.value:
        if name.value != "tasks" or not isinstance(tasks, yaml.MappingNode):
            continue
        for key, part in tasks.value:
            id = f"{path}{key.value}"
            inside = {k.value: v for k, v in part.value} if isinstance(part, yaml.MappingNode) else {}
            end = inside["tasks"].start_mark if "tasks" in inside else part.end_mark
            prompt = inside.get("prompt")
            words = str(prompt.value) if isinstance(prompt, yaml.ScalarNode) else ""
            yield Part(id, text[key.start_mark.index : end.index], words)
            if isinstance(part, yaml.MappingNode):
                yield from _members(part, text, f"{id}.")


def calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    """The `Task(...)` calls in source order; those in a loop over a literal list come once a turn."""
    match tree:
        case ast.Call(func=ast.Name(id="Task")):
            yield tree
        case ast.For(iter=over, body=body):
            for _ in range(_turns(over)):
                for statement in body:
                    yield from calls_in(statement)
        case ast.ListComp(elt=entry, generators=[loop]) | ast.GeneratorExp(elt=entry, generators=[loop]):
            for _ in range(_turns(loop.iter)):
                yield from calls_in(entry)
        case _:
            for inner in ast.iter_child_nodes(tree):
                yield from calls_in(inner)


def _turns(over: ast.expr) -> int:
    """How often a loop goes round, as the labels count it: once where only a run would know."""
    match over:
        case ast.List(elts=entries) | ast.Tuple(elts=entries):
            return len(entries)
        case ast.Call(func=ast.Name(id="range"), args=[*_, ast.Constant()]):
            numbers = [arg.value for arg in over.args if isinstance(arg, ast.Constant)]
            return len(range(*(number for number in numbers if isinstance(number, int))))
        case _:
            return 1


def _id(call: ast.Call) -> str:
    return next(str(ast.literal_eval(word.value)) for word in call.keywords if word.arg == "id")


def _prompt(call: ast.Call) -> str:
    named = {word.arg: word.value for word in call.keywords}
    given = call.args[0] if call.args else named.get("prompt", named.get("description"))
    match given:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr(values=pieces):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "{...}" for p in pieces)
        case _:
            return ""
