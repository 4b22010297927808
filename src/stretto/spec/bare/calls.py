"""The calls of `Task` in a piece of Python, found in its syntax tree: nothing of it is executed."""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from stretto.spec.bare.comments import Comment
from stretto.spec.bare.values import MOST, Item, Names, Output, Unknown, bind, entries_of, known, text_of
from stretto.spec.fields import ALIASES, TASK

_ROLES = frozenset({"role", *ALIASES})
_PROMPTS = ("prompt", "description")
_LITERAL = TASK.keys() - {"run", "call", "args", "reduce", "fan_in", "each", "as", "max", "grow", "check"}
_LITERAL -= {"needs", "after", "tolerate", "min_ok", "prompt", "accept", "isolation"}
_LITERAL |= _ROLES
"""Keys that a call may have as they are in a plan; nothing that orders, repeats or runs something else."""

_CALL = re.compile(r"\bTask\s*\(")
_COUNT_IN_NAME = re.compile(r"(?:^|_)(?:top|first|last|best)?(\d{1,4})(?:_|$)")
_ITEM_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PASSED_ON = frozenset({"list", "tuple", "set", "sorted", "reversed", "enumerate", "zip"})


MOST_CHARACTERS = 20_000_000
"""Of all prompts of a file: a long text in a wide loop would fill the memory."""


class TooMuch(Exception):
    """More tasks, or more text of them, than a file may have."""


class Each(NamedTuple):
    """The unknown list that a task is repeated for: the input it becomes, its item, and its length."""

    over: str
    item: str
    most: int | None


class Placed(NamedTuple):
    """A value and where it stands in the block: the line counts from 1, the column from 0."""

    value: Any
    line: int
    column: int


@dataclass(slots=True)
class Turn:
    """One task, as its call says it in one turn of its loop."""

    keys: dict[str, Placed]
    number: int
    """Of the task, among all of the file, from 1."""
    loop_turn: int
    """Of the loop, counted over all loops; 0 outside of them."""
    each: Each | None
    holes: tuple[str, ...]
    """The words in braces that nothing fills in."""


@dataclass(slots=True)
class Site:
    """One call in the text; in a loop over a known list it stands for a task per turn."""

    line: int
    column: int
    end_line: int
    loop: tuple[int, int] | None
    """Line and column of the loop around it that is gone through."""
    turns: list[Turn] = field(default_factory=list)
    behind: list[Comment] = field(default_factory=list)
    """The comments on its lines."""


class Trouble(NamedTuple):
    """What of a block was left out: a call that cannot be read, a keyword, the rest of a list."""

    kind: Literal["unread-task", "ignored-keyword", "open-list"]
    what: str
    line: int
    column: int


class Budget:
    """How many tasks a file may still have, and how many characters in their prompts."""

    def __init__(self, tasks: int = MOST, characters: int = MOST_CHARACTERS):
        self.tasks = tasks
        self.characters = characters

    def spend(self, characters: int) -> None:
        self.tasks -= 1
        self.characters -= characters
        if self.tasks < 0 or self.characters < 0:
            raise TooMuch


class Walk:
    """Goes through a tree as its text would be carried out: each function once, each `if` both ways."""

    def __init__(self, text: str, budget: Budget, before: int):
        """`before`: how many tasks there are in the file before this text."""
        self.lines = text.split("\n")
        self.budget = budget
        self.sites: dict[tuple[int, int], Site] = {}
        self.troubles: list[Trouble] = []
        self._names: Names = {}
        self._each: Each | None = None
        self._loop: tuple[int, int] | None = None
        self._turn = self._turns = 0
        self._tasks = before
        self._near = [number for number, line in enumerate(self.lines, 1) if _CALL.search(line)]
        self._offset = (0, 0)

    def go_through(self, tree: ast.Module, line: int = 1, column: int = 0) -> None:
        """Reads a tree whose text begins at this line and column. Raises TooMuch, RecursionError."""
        self._offset = (line - 1, column)
        self._visit_all(tree.body)

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign([target], value)
            case ast.AugAssign(target=target, value=value):
                self._visit(value)
                bind(target, Unknown, self._names)
            case _ if not self._may_hold(node):
                self._forget(node)
            case ast.For() | ast.AsyncFor():
                self._visit(node.iter)
                self._go_over(node.target, node.iter, node.body, node)
                self._visit_all(node.orelse)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self._comprehend(node.generators, [node.elt])
            case ast.DictComp():
                self._comprehend(node.generators, [node.key, node.value])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                for arg in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                    self._names.pop(arg.arg, None)
                self._visit_all(ast.iter_child_nodes(node))
            case _:
                if isinstance(node, ast.Call) and _is_task(node):
                    self._task(node)
                self._visit_all(ast.iter_child_nodes(node))

    def _forget(self, node: ast.AST) -> None:
        """What a statement without calls may give a value to is unknown from there on."""
        if isinstance(node, ast.stmt):
            for found in ast.walk(node):
                if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store):
                    self._names.pop(found.id, None)

    def _may_hold(self, node: ast.AST) -> bool:
        """Whether a call may stand below: there is one on one of its lines."""
        first = getattr(node, "lineno", None)
        if first is None or isinstance(node, ast.Constant | ast.Name):
            return first is None
        first += self._offset[0]
        at = bisect.bisect_left(self._near, first)
        return at < len(self._near) and self._near[at] <= self._offset[0] + (node.end_lineno or 0)  # type: ignore[attr-defined]

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr) -> None:
        before = self._tasks
        self._visit(value)
        call = value.value if isinstance(value, ast.Await) else value
        try:
            found = known(value, self._names)
        except Unknown:
            made = _is_task(call) and self._tasks > before
            found = Output(f"task-{before + 1}") if made else Unknown
        for target in targets:
            bind(target, found, self._names)

    # Loops

    def _comprehend(self, generators: Sequence[ast.comprehension], results: Sequence[ast.expr]) -> None:
        if not generators:
            self._visit_all(results)
            return
        first, *rest = generators
        self._visit(first.iter)
        # The generators that follow are the body of this one, as in the loops it stands for.
        self._go_over(first.target, first.iter, (rest, results))

    def _go_over(
        self,
        target: ast.expr,
        over: ast.expr,
        body: Sequence[ast.AST] | tuple[Sequence[ast.comprehension], Sequence[ast.expr]],
        loop: ast.For | ast.AsyncFor | None = None,
    ) -> None:
        try:
            entries, goes_on = entries_of(over, self._names)
        except Unknown:
            entries, goes_on = (), False
        if goes_on:
            what = f"the list goes on after {len(entries)} entries (`...`), and nothing says how"
            self._trouble("open-list", what, over)
        if not entries:
            self._go_over_unknown(target, over, body)
            return
        before = self._loop, self._turn
        for entry in entries:
            self._turns += 1
            self._turn = self._turns
            self._loop = self._place(loop) if loop is not None else self._loop
            bind(target, entry, self._names)
            self._carry_out(body)
        self._loop, self._turn = before

    def _go_over_unknown(self, target: ast.expr, over: ast.expr, body: Any) -> None:
        """One task for all turns: an `each` over an input of the plan."""
        match over, target:
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]), ast.Tuple(elts=[count, item]):
                bind(count, Unknown, self._names)
                over, target = inner, item
            case _:
                pass
        # Only the innermost list is gone through; what the loops around it go over stays a placeholder.
        outer = {name: value for name, value in self._names.items() if isinstance(value, Item)}
        for name in outer:
            del self._names[name]
        name, most = _named(over)
        entry = target.id if isinstance(target, ast.Name) and _ITEM_NAME.fullmatch(target.id) else "item"
        if entry == name:
            entry = "item" if name != "item" else "entry"
        around = self._each
        self._each = Each(name, entry, most)
        bind(target, Item(entry), self._names)
        self._carry_out(body)
        bind(target, Unknown, self._names)
        self._names |= outer
        self._each = around

    def _carry_out(self, body: Any) -> None:
        if isinstance(body, tuple):
            self._comprehend(*body)
        else:
            self._visit_all(body)

    # Calls

    def _task(self, call: ast.Call) -> None:
        keys: dict[str, Placed] = {}
        prompt = _prompt_of(call)
        if prompt is None:
            self._trouble("unread-task", "this task has no prompt", call)
            return
        text, holes = text_of(prompt, self._names)
        self.budget.spend(len(text))
        keys["prompt"] = Placed(text, *self._place(prompt))
        for keyword in call.keywords:
            self._keyword(keyword, keys)
        line, column = self._place(call)
        site = self.sites.get((line, column))
        if site is None:
            end = (call.end_lineno or call.lineno) + self._offset[0]
            site = self.sites[line, column] = Site(line, column, end, self._loop)
        self._tasks += 1
        site.turns.append(Turn(keys, self._tasks, self._turn, self._each, holes))

    def _keyword(self, keyword: ast.keyword, keys: dict[str, Placed]) -> None:
        name = keyword.arg or "**"
        if name in _PROMPTS or (name in _ROLES and not keys.keys().isdisjoint(_ROLES)):
            return
        if needs := self._tasks_in(keyword.value):
            around = keys["needs"].value if "needs" in keys else []
            keys["needs"] = Placed([*around, *needs], *self._place(keyword.value))
            return
        if name not in _LITERAL:
            self._trouble("ignored-keyword", f"`{name}` is not read in bare tasks", keyword.value)
            return
        try:
            value = known(keyword.value, self._names)
        except Unknown:
            self._trouble("ignored-keyword", f"`{name}` is known only at run time", keyword.value)
            return
        if name == "model" and isinstance(value, str) and value.isalpha():
            value = value.lower()
        if value is not None:
            keys[name] = Placed(value, *self._place(keyword.value))

    def _tasks_in(self, value: ast.expr) -> list[str]:
        """The ids of the tasks that are handed to a call, by the names they were assigned to."""
        entries = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        found = [self._names.get(entry.id) if isinstance(entry, ast.Name) else None for entry in entries]
        return [entry.id for entry in found if isinstance(entry, Output)]

    def _trouble(
        self, kind: Literal["unread-task", "ignored-keyword", "open-list"], what: str, at: ast.expr
    ) -> None:
        self.troubles.append(Trouble(kind, what, *self._place(at)))

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Line and column in the block. Python counts columns in bytes of UTF-8, people in characters."""
        line, column = node.lineno + self._offset[0], node.col_offset
        if node.lineno == 1:
            column += self._offset[1]
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if not text.isascii():
            start = self._offset[1] if node.lineno == 1 else 0
            before = text[start : start + node.col_offset].encode()[: node.col_offset].decode(errors="ignore")
            column = start + len(before)
        return line, column


def _is_task(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Task"


def _prompt_of(call: ast.Call) -> ast.expr | None:
    """Claude Code's own call has a short `description` beside the prompt; alone it is the prompt."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    first = call.args[0] if call.args and not isinstance(call.args[0], ast.Starred) else None
    prompt = named.get("prompt") or first or named.get("description")
    elided = isinstance(prompt, ast.Constant) and prompt.value in (..., None)
    return None if elided else prompt


def _named(over: ast.expr) -> tuple[str, int | None]:
    """The name for the input that an unknown list becomes, and its length where its words say one."""
    most: int | None = None
    while True:
        match over:
            case ast.Subscript(
                value=inner, slice=ast.Slice(lower=None, upper=ast.Constant(value=int() as end))
            ):
                most = end if end > 0 else most
                over = inner
            case (
                ast.Subscript(slice=ast.Constant(value=str(name)))
                | ast.Attribute(attr=name)
                | ast.Name(id=name)
            ):
                break
            case ast.Subscript(value=inner) | ast.Await(value=inner):
                over = inner
            case ast.Call(func=ast.Name(id=function), args=[inner, *_]) if function in _PASSED_ON:
                over = inner
            case ast.Call(func=inner) if not (isinstance(inner, ast.Name) and inner.id == "range"):
                over = inner
            case _:
                return "items", most
    found = _COUNT_IN_NAME.search(name.lower())
    if found and most is None and int(found[1]) > 0:
        most = int(found[1])
    word = "_".join(re.findall("[a-z0-9]+", name.lower()))[:64]
    return word if word[:1].isalpha() else "items", most
