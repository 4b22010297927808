"""From a pattern to the tasks of a plan: one function for each pattern, all in the goal's own words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from stretto.draft import notes
from stretto.draft import words as w
from stretto.draft.finding import is_finding
from stretto.draft.items import Items, items_of, tolerance
from stretto.draft.many import Many
from stretto.draft.phrases import id_of, narrowed, one_of, safe, sentence, spoken
from stretto.draft.pieces import Piece
from stretto.draft.prompts import Setting, Work, has_effect, is_build, prompt, work_of
from stretto.draft.tree import Path, Pattern
from stretto.draft.views import view_names
from stretto.models.kind import kind_of
from stretto.plan.model import Check, Each, Group, Input, Output, Part, Quorum, Schema, Task

TIERS = {"mechanical": "haiku", "development": "sonnet", "strategy": "opus", "": "sonnet"}
"""The first model by the kind of work."""
PLANNER = "opus"
PART = "sonnet"
"""One of many parts gets no stronger model than this: what needs more is for the planner."""
TOOLS = ("search", "list", "read")
FOUND = 10
"""How many parts a planner may name where the goal gives no number."""
MOST_FOUND = 100
STAGES = 12
TIMEOUT_S = 1800.0
PATCH = Check(run=("git", "apply", "--check", "-"))
"""Whether a diff fits the files that are there."""

Parts = tuple[Part, ...]


class Shape(NamedTuple):
    """The tasks of a plan, and the inputs that they ask for."""

    parts: Parts
    inputs: dict[str, Input]


class Stage(NamedTuple):
    """One part of a pipeline: what it is to do, what it hands over, and its command if it is one."""

    said: str
    work: Work
    command: tuple[str, ...] = ()


def shape(setting: Setting, path: Path) -> Shape:
    """The tasks for a goal, by its pattern."""
    shaper = _Shaper(setting, path)
    makers: dict[Pattern, Callable[[], Parts]] = {
        "one-agent": shaper.alone,
        "fan-out": shaper.fan_out,
        "pipeline": shaper.pipeline,
        "hierarchy": shaper.hierarchy,
        "scatter-gather": shaper.scatter_gather,
        "map-reduce": shaper.map_reduce,
    }
    return Shape(makers[path.pattern](), shaper.inputs)


class _Shaper:
    """Makes the tasks of one goal; each id is taken once."""

    def __init__(self, setting: Setting, path: Path):
        self.setting = setting
        self.goal = setting.goal
        self.path = path
        self.inputs: dict[str, Input] = {}
        self.taken: set[str] = set()
        self.asked = [piece for piece in self.goal.pieces if piece.asked] or list(self.goal.pieces)

    # What all patterns share

    def id(self, text: str, otherwise: str = "part") -> str:
        made = id_of(text, self.taken, otherwise)
        self.taken.add(made)
        return made

    def ask(self, id: str, text: str, work: Work, *, top: str = PLANNER, **keys: Any) -> Task:
        """A task for a model: the tier by what its words ask for, tools where it is about files here."""
        tier = TIERS[kind_of(text).name]
        keys.setdefault("model", top if tier == PLANNER else tier)
        keys.setdefault("tools", TOOLS if self.setting.about_code else ())
        task = Task(id=id, prompt=text, timeout_s=TIMEOUT_S, **keys)
        return replace(task, attempts=1) if work == "effect" else task

    def prompt(self, what: str, work: Work, *more: str, returns: str = "") -> str:
        return prompt(what, work, self.setting, *more, returns=returns)

    def raw(self, piece: Piece) -> str:
        """A piece as it stands in the goal."""
        span = spoken(self.goal.text, piece.words)
        return safe(self.goal.text[span[0] : span[1]] if span else piece.said)

    def said(self, *pieces: Piece) -> str:
        return " ".join(filter(None, (sentence(self.raw(piece)) for piece in pieces)))

    def work(self, *pieces: Piece) -> Work:
        """What is handed over in the end: the last order says it."""
        if not pieces:
            return "answer"
        orders = [piece for piece in pieces if piece.mood == "order"]
        last = orders[-1] if orders else pieces[-1]
        if is_build(last.first, set(last.texts)):
            return "effect"
        return work_of(last.verb, last.sort, self.setting, question=last.mood == "question")

    def checked(self, task: Task, work: Work) -> Task:
        """With the check that there is for a change of files: whether the diff fits them."""
        return replace(task, check=PATCH) if work == "change" and self.setting.repository.git else task

    # One agent

    def alone(self) -> Parts:
        """One agent with the whole goal."""
        work = self.work(*self.asked)
        orders = [piece for piece in self.asked if piece.mood == "order"]
        name = " ".join(piece.said for piece in (orders or self.asked)[-1:]) or self.goal.text
        task = self.ask(self.id(name, "answer"), self.prompt(safe(self.goal.text).strip(), work), work)
        if any(has_effect(piece.verb, piece.sort) for piece in self.asked):
            return (replace(task, attempts=1),)
        return (self.checked(task, work),)

    # The same for many

    def fan_out(self) -> Parts:
        """The same for each of many things, or several orders that stand alone."""
        over = self.path.many
        orders = [piece for piece in self.goal.pieces if piece.mood == "order"]
        if over.sign.strength < 0.4 and len(orders) > 1:
            return self.apart(orders[:STAGES])
        items = self.items(over)
        return (*items.listing, self.for_each(items, over))

    def apart(self, orders: list[Piece]) -> Parts:
        """Orders that have nothing to do with each other, side by side."""
        made = []
        for piece in orders:
            work = self.work(piece)
            task = self.ask(self.id(piece.said), self.prompt(self.said(piece), work, notes.ALONE), work)
            made.append(self.checked(task, work))
        return (Group(id=self.id("orders"), tasks=tuple(made), quorum=Quorum(tolerate=1)),)

    def map_reduce(self) -> Parts:
        """The same for each of many things, then one result of all."""
        over, at = self.path.many, self.path.join.piece
        items = self.items(over)
        mapped = self.for_each(items, over, ends=at)
        last = [piece for piece in self.goal.pieces[at:] if piece.asked] if at >= 0 else []
        text = self.prompt(self.said(*(last or self.asked[-1:])), "text", notes.MERGE)
        id = self.id(self.path.join.words or "result", "result")
        merged = self.ask(id, text, "text", reduce=f"${{{mapped.id}}}", model=PART, tools=())
        return (*items.listing, mapped, merged)

    def items(self, over: Many) -> Items:
        found = items_of(over, self.setting, self.taken)
        if found.folder is not None:
            self.inputs[found.folder[0]] = found.folder[1]
        return found

    def for_each(self, items: Items, over: Many, ends: int = -1) -> Part:
        """What is done for one thing: one task, or several one after the other.

        `ends` is the piece from which on all are brought together; -1: they are not.
        """
        pieces, begin = self.goal.pieces, max(0, over.sign.piece)
        doing = [piece for piece in pieces[begin : ends if ends > begin else None] if piece.asked]
        doing = [piece for piece in doing if piece.mood != "noun"] or self.asked[:1]
        stages = [piece for piece in doing if piece.mood == "order"]
        if len(stages) > 2 and ends < 0:
            return self.stages_for_each(items, over, stages[:STAGES])
        work = self.work(*doing)
        said = " ".join(filter(None, (sentence(self.of_one(piece, over, items.name)) for piece in doing)))
        if items.mark not in said:
            said = f"{said}\nDo this for one {items.name} alone: {items.mark}.".strip()
        returns = notes.FOR_THE_WHOLE.format(items.mark) if ends >= 0 and work in ("text", "findings") else ""
        text = self.prompt(said, work, notes.ONE_OF_MANY.format(items.mark), returns=returns)
        id = self.id(stages[-1].verb if stages else over.noun, "parts")
        keys: dict[str, Any] = {"each": items.each, "quorum": tolerance(items.each)}
        task = self.ask(id, text, work, top=PART, **keys, **self.tools(items))
        return self.checked(task, work) if ends < 0 else task

    def stages_for_each(self, items: Items, over: Many, stages: list[Piece]) -> Group:
        """What every item goes through, one stage after the other."""
        id = self.id(over.noun or "items", "parts")
        made: list[Task] = []
        for piece in stages:
            said, work = sentence(self.of_one(piece, over, items.name)), self.work(piece)
            said = said if items.mark in said else f"For {items.mark}: {said}"
            note = notes.GO_ON if made else notes.ONE_OF_MANY.format(items.mark)
            text = self.prompt(said, work, note)
            made.append(self.ask(self.id(piece.verb, "stage"), text, work, top=PART, **self.tools(items)))
        return Group(id=id, tasks=tuple(made), order="serial", each=items.each, quorum=tolerance(items.each))

    def tools(self, items: Items) -> dict[str, Any]:
        return {"tools": TOOLS} if items.are_files else {}

    def of_one(self, piece: Piece, over: Many, item: str) -> str:
        """The words of a piece with the one thing in the place of the many."""
        raw, mark = self.raw(piece), f"${{{item}}}"
        if over.row is not None and len(over.names) > 1:
            cut = narrowed(raw, over.names, mark, over.row.noun)
            if cut != raw:
                return cut
        thing = over.thing
        if thing is not None and thing.words and self.goal.pieces[over.sign.piece] == piece:
            span = spoken(raw, piece.words[thing.start : thing.stop])
            return raw[: span[0]] + mark + raw[span[1] :] if span else raw
        return raw

    # Several views

    def scatter_gather(self) -> Parts:
        """Several views of one thing side by side, then one answer that weighs them."""
        names, at = view_names(self.goal), self.path.join.piece
        last = [piece for piece in self.goal.pieces[at:] if piece.asked] if at > 0 else self.asked[-1:]
        asked = [piece for piece in self.asked if piece not in last] or self.asked
        group = self.id("views")
        views = []
        for name in map(safe, names):
            said = " ".join(filter(None, (sentence(narrowed(self.raw(p), names, name)) for p in asked)))
            text = self.prompt(said, "findings", notes.ONE_VIEW.format(name))
            views.append(self.ask(self.id(name, "view"), text, "findings", top=PART))
        enough = len(names) - 1 if len(names) > 2 else len(names)
        text = self.prompt(self.said(*last), "text", notes.WEIGH)
        gather = self.ask(self.id("answer"), text, "text", needs=(group,), model=PART)
        return (Group(id=group, tasks=tuple(views), quorum=Quorum(min_ok=enough)), gather)

    # A plan first

    def hierarchy(self) -> Parts:
        """A strong model names the parts; each is carried out by a cheaper one; one brings it together."""
        at = self.path.found.piece
        finder = self.goal.pieces[at] if at >= 0 else self.asked[0] if self.asked else self.goal.pieces[0]
        after = self.goal.pieces[max(0, at) + 1 :]
        doing = [p for p in after if p.mood == "order"][:1] or self.asked[-1:]
        noun, number = self.plural(finder), self.number(finder)
        planner = self.planner(finder, noun, number)
        item, work = one_of(noun, "part"), self.work(*doing)
        text = self.prompt(notes.ONE_PART.format(item), "text" if work in ("answer", "findings") else work)
        tier = TIERS[kind_of(self.said(*doing)).name]
        part = self.ask(
            self.id(doing[0].verb if doing else noun, "parts"),
            text,
            work,
            each=Each(over=f"${{{planner.id}.parts}}", name=item, max=number or FOUND),
            quorum=Quorum(tolerate_share=0.2),
            model=PART if tier == PLANNER else tier,
        )
        whole = self.prompt(notes.WHOLE, "text", notes.BRING_TOGETHER)
        return (planner, part, self.ask(self.id("result"), whole, "text", needs=(part.id,), model=PART))

    def planner(self, finder: Piece, noun: str, number: int) -> Task:
        """The task that names the parts."""
        count = str(number) if number else f"at most {FOUND}"
        what = f"{self.said(finder)}\n{notes.NAME_PARTS.format(count, noun)}"
        text = self.prompt(what, "findings", returns=notes.PARTS)
        id = self.id("find" if is_finding(finder) else "plan")
        output = Output(kind="json", schema=NAMED_PARTS)
        return self.ask(id, text, "findings", model=PLANNER, output=output)

    def number(self, finder: Piece) -> int:
        """How many parts the goal wants to have found; 0 where it does not say."""
        numbers = [t.number for t in finder.things if 1 < t.number <= MOST_FOUND and t.head not in w.UNITS]
        return numbers[0] if numbers else 0

    def plural(self, finder: Piece) -> str:
        """What the parts are called."""
        found = [t.head for t in finder.things if w.is_plural(t.head) and t.head.isalpha()]
        return found[0] if found else "parts"

    # One after the other

    def pipeline(self) -> Parts:
        """One stage after the other; each gets what the one before made."""
        made: list[Task] = []
        for stage in self.stages():
            before = (made[-1].id,) if made else ()
            id = self.id(stage.said, "stage")
            if stage.command:
                made.append(Task(id=id, run=stage.command, after=before, timeout_s=TIMEOUT_S, attempts=1))
                continue
            text = self.prompt(stage.said, stage.work, notes.GO_ON if before else "")
            task = self.ask(id, text, stage.work, needs=before)
            made.append(task if task.attempts == 1 else replace(task, attempts=2))
        return tuple(made)

    def stages(self) -> list[Stage]:
        """The stages as the clauses of the goal name them, or as its arrows and commas cut it."""
        chain = self.path.chain[:STAGES]
        if len(chain) > 1:
            return [Stage(self.said(piece), self.work(piece), self.command_of(piece)) for piece in chain]
        cut = re.split(r"\s*(?:->|=>|→|;|,|\bthen\b|\n)\s*", self.goal.text)
        parts = [sentence(safe(part)) for part in cut if len(part) > 2]
        parts = parts if len(parts) > 1 else [notes.PREPARE, notes.CARRY_OUT]
        return [Stage(part, self.work(*self.asked)) for part in parts[:STAGES]]

    def command_of(self, piece: Piece) -> tuple[str, ...]:
        """The project's own command, where a stage is to build it or to run its tests."""
        if not self.setting.about_code:
            return ()
        nouns = {w.singular(text) for text in piece.texts}
        if piece.first in ("run", "test", "execute") and nouns & {"test", "suite"}:
            return self.setting.repository.test
        return self.setting.repository.build if is_build(piece.first, nouns) else ()


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
NAMED_PARTS = _object(parts={"type": "array", "items": _object(name=_TEXT, why=_TEXT, task=_TEXT)})
"""What a planner returns."""
