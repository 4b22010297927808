"""What an estimate is made of: each task of a plan with its models, its figures and how many there may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import exp, log
from random import Random
from typing import Any, NamedTuple

from stretto.models.catalogue import Catalogue
from stretto.models.choice import Chooser
from stretto.models.facts import Facts, facts_of
from stretto.models.figures import Figure, figure
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Expect, Group, Plan, Task, planned_by
from stretto.plan.references import only_ref
from stretto.scheduler.choosing import UNCHOSEN, kind_of_agent

COMMAND_S = 1.0
"""A command or a function of which nothing is known; what `expect` says beats it."""
COMMAND_SD_LOG = 1.0
TRANSIENT = 0.01
"""Share of attempts that come to nothing by themselves: a cut stream, an overloaded provider."""
BROKEN = {"text": 0.0, "lines": 0.01, "json": 0.03}
"""Share of answers that have not the promised form, by what was promised."""
GROWN_MOST = 10
"""A planner's plan is taken to have between one and so many tasks."""
GROWN_PROMPT = "(planned)"
TOWARDS_MAX = 0.5
"""1 makes the logarithm of a list's length uniform between 1 and `max`, less moves it towards `max`."""
UNKNOWN_PARTS = 10
"""What a reduction merges where nothing says how much there will be."""
CHECK_S = 1.0
"""A command or a function that checks, where nothing is known of it."""


class Rung(NamedTuple):
    """One model of a task's way up, and the chance that it stops there."""

    model: str
    tier: str
    figure: Figure
    chance: float


class Lump(NamedTuple):
    """What a group declares for all tasks in it together."""

    path: str
    nusd: int
    strongest_nusd: int | None


@dataclass(slots=True)
class Piece:
    """One task as it stands in the plan; `rungs` is empty where no model is asked."""

    element: Element
    task: Task
    agent: str
    row: str
    """The top-level part that it belongs to."""
    facts: Facts
    rungs: tuple[Rung, ...]
    judge: Figure | None
    seconds: float
    seconds_sd_log: float
    known: str
    known_seconds: str
    declared_nusd: int | None
    """Of one instance, exactly."""
    lump: Lump | None
    """A group's declared total that stands for this task's money too."""
    covered: int = 0
    """How many of it have a kept result."""
    grown: bool = False
    most: int = 1
    """Of what a planner adds: how many there are thought to be at most."""
    """It stands for the tasks that a planner will add, each like this one."""
    declares: bool = False
    """What it takes is declared, its checks included."""

    @property
    def family(self) -> str:
        return self.facts.family

    @property
    def is_declared(self) -> bool:
        """Whether its money is declared, by itself or by a group around it."""
        return self.lump is not None or self.declared_nusd is not None

    @property
    def checks(self) -> bool:
        """Whether a command or a function checks it, in time that nobody has declared."""
        check = self.task.check
        return check is not None and not check.prompt and not self.declares


def pieces_of(
    plan: Plan,
    on: str,
    graph: Graph,
    chooser: Chooser,
    free: Callable[[str], bool],
    covered: Collection[str] = (),
    inputs: Mapping[str, Any] | None = None,
) -> list[Piece]:
    """Every task of the plan, in plan order; what a planner adds is a piece of its own, of unknown number."""
    counts: dict[str, int] = {}
    for id in covered:
        path = path_of(id, graph)
        counts[path] = counts.get(path, 0) + 1
    found = []
    met = Met()
    for element in graph.elements.values():
        if isinstance(element.part, Task):
            piece = piece_of(element, plan, on, chooser, free, inputs, met)
            piece.covered = counts.get(element.path, 0)
            found.append(piece)
            if piece.task.grow:
                found.append(grown_piece(element, plan, on, chooser, free))
    return found


def path_of(id: str, graph: Graph) -> str:
    """The path of a task's element: its id without the indices of items and the rounds of a reduction."""
    words = [word for word in id.split(".") if not word.isdigit()]
    path = ".".join(words)
    return path if path in graph.elements else ".".join(words[:-1])


def grown_piece(
    element: Element, plan: Plan, on: str, chooser: Chooser, free: Callable[[str], bool]
) -> Piece:
    """One of the tasks that a planner will add: a prompt of which nothing is known yet."""
    assert isinstance(element.part, Task)
    task = replace(planned_by(element.part), prompt=GROWN_PROMPT)
    place = Element(task, element, f"{element.path}.grown", element.index)
    piece = piece_of(place, plan, on, chooser, free)
    piece.grown = True
    piece.most = grown_most(element.part)
    return piece


def grown_most(planner: Task) -> int:
    """How many tasks a planner is thought to write at most, of the number that it may."""
    return min(GROWN_MOST, planner.growth.max) if planner.growth is not None else GROWN_MOST


def piece_of(
    element: Element,
    plan: Plan,
    on: str,
    chooser: Chooser,
    free: Callable[[str], bool],
    inputs: Mapping[str, Any] | None = None,
    met: Met | None = None,
    facts: Facts | None = None,
) -> Piece:
    """One task with its choice of models, as the run would make it with what is known now.

    `met` has what was found for other tasks of the plan, and is added to: tasks that are alike share it.
    `facts` spare reading its words again.
    """
    task = element.part
    assert isinstance(task, Task)
    expect, lump = _declared(element)
    facts = facts or facts_of(element, plan.name, on, chooser.catalogue, inputs, plan.roles)
    facts = facts._replace(expect=expect)
    agent = task.agent(on)
    piece = Piece(
        element=element,
        task=task,
        agent=agent,
        row=_row(element),
        facts=facts,
        rungs=(),
        judge=None,
        seconds=COMMAND_S,
        seconds_sd_log=COMMAND_SD_LOG,
        known="declared" if free(agent) else "prior",
        known_seconds="prior",
        declared_nusd=expect.nusd if expect is not None and lump is None else None,
        lump=lump,
        declares=expect is not None or lump is not None,
    )
    alike = _alike(facts, chooser)
    met = Met() if met is None else met
    if task.action == "prompt":
        _ask(piece, chooser, free(agent), alike, met)
    if expect is not None and expect.time_s is not None:
        piece.seconds, piece.seconds_sd_log, piece.known_seconds = expect.time_s, 0.0, "declared"
    if piece.declared_nusd is not None or lump is not None:
        piece.known = "declared"
    check = task.check
    if check is not None and check.prompt and not piece.declares and not free(check.agent(on)):
        key = (*alike, check.model, check.agent(on))
        if key not in met.judges:
            info = chooser.catalogue.resolve(check.model, check.agent(on))
            met.judges[key] = figure(facts, info, chooser.catalogue, chooser.history, role="check")
        piece.judge = met.judges[key]
    return piece


class Met:
    """What was found for the tasks of a plan so far: 10,000 of them are alike in all but their words."""

    __slots__ = ("judges", "rungs")

    def __init__(self) -> None:
        self.rungs: dict[tuple[object, ...], tuple[Rung, ...]] = {}
        self.judges: dict[tuple[object, ...], Figure] = {}


def _alike(facts: Facts, chooser: Chooser) -> tuple[object, ...]:
    """All that choices and figures look at: the words only by their kind and length, the family only where
    something was learned."""
    expect = facts.expect
    return (
        facts.family if chooser.version else "",
        facts.kind.name,
        facts.kind.sure,
        facts.agent,
        facts.ladder,
        facts.fixed,
        facts.effort,
        facts.tools,
        facts.writes,
        facts.check,
        facts.input_tokens,
        facts.max_tokens,
        facts.turns,
        None if expect is None else (expect.nusd, expect.time_s, expect.tokens),
        facts.bounded,
    )


def _ask(piece: Piece, chooser: Chooser, free: bool, alike: tuple[object, ...], met: Met) -> None:
    """Its models and what is known of the first of them."""
    task = piece.task
    key = (*alike, task.model, piece.declares, free, task.output_kind, task.isolation)
    rungs = met.rungs.get(key)
    if rungs is None:
        rungs = met.rungs[key] = _rungs(piece, chooser, free)
    piece.rungs = rungs
    first = rungs[0].figure
    piece.seconds, piece.seconds_sd_log = first.seconds, first.seconds_sd_log
    piece.known_seconds = first.known_seconds
    if not free:
        piece.known = first.known


def _rungs(piece: Piece, chooser: Chooser, free: bool) -> tuple[Rung, ...]:
    """The way up its ladder: which models, in which order, with which chance to stop."""
    task, facts, catalogue, history = piece.task, piece.facts, chooser.catalogue, chooser.history
    rungs: list[Rung] = []
    whole = (1 - TRANSIENT) * (1 - BROKEN[task.output_kind])
    if kind_of_agent(piece.agent) in UNCHOSEN:
        info = catalogue.resolve(task.model, piece.agent)
        rungs.append(Rung(info.id, info.tier, figure(facts, info, catalogue, history), whole))
    else:
        failed: tuple[int, ...] = ()
        decision = chooser.decide(facts)
        while decision is not None:
            info = catalogue.info(decision.model)
            made = figure(facts, info, catalogue, history, effort=decision.effort)
            checked = bool(facts.check) and decision.chance is not None
            chance = whole * decision.chance if checked and decision.chance is not None else whole
            rungs.append(Rung(info.id, info.tier, made, chance))
            climbs = facts.check or facts.bounded
            failed = (*failed, decision.rung)
            decision = chooser.decide(facts, failed) if climbs and not piece.declares else None
    if piece.declares:
        rungs = rungs[:1]
    if piece.declares or (task.writes and not task.isolation):
        # What writes files in place is not tried again.
        rungs = [rung._replace(chance=1.0) for rung in rungs]
    if free:
        rungs = [r._replace(figure=r.figure._replace(nusd=0.0)) for r in rungs]
    return tuple(rungs)


def _declared(element: Element) -> tuple[Expect | None, Lump | None]:
    """What the task or a group around it declares, and the total of which its money is a part.

    A group's money is that of all tasks in it, so the outermost counts, whatever is declared inside. Its time
    is that of one member: where a member is several tasks, each takes its part of the longest chain there.
    """
    own = element.part.expect
    found = own or Expect()
    lump: Lump | None = None
    member, here = element, element.owner
    while here is not None:
        expect = here.part.expect
        if expect is not None and isinstance(here.part, Group):
            if expect.nusd is not None:
                lump = Lump(here.path, expect.nusd, expect.strongest_nusd)
            depth = _depth(here if here.part.each is not None else member)
            if found.time_s is None and expect.time_s is not None:
                found = replace(found, time_s=expect.time_s / depth)
            if found.strongest_time_s is None and expect.strongest_time_s is not None:
                found = replace(found, strongest_time_s=expect.strongest_time_s / depth)
        member, here = here, here.owner
    return (found if own is not None or found != Expect() or lump is not None else None), lump


def _depth(element: Element) -> int:
    """How many tasks the longest chain inside a part has."""
    if not element.members:
        return 1
    depths: dict[Element, int] = {}

    def depth(member: Element) -> int:
        known = depths.get(member)
        if known is None:
            depths[member] = 0
            before = [depth(other) for other in needed_members(member, element)]
            known = depths[member] = _depth(member) + max(before, default=0)
        return known

    return max(depth(member) for member in element.members.values())


def needed_members(member: Element, group: Element) -> list[Element]:
    """The other members of a group that one of them waits for."""
    found = []
    for need in member.needs:
        here: Element | None = need.target
        while here is not None and here.owner is not group:
            here = here.owner
        if here is not None and here is not member:
            found.append(here)
    return found


def _row(element: Element) -> str:
    here = element
    while here.owner is not None:
        here = here.owner
    return here.path


# How many


class Widths:
    """How many entries each list of a plan has: known from the plan and its inputs, or drawn by chance."""

    def __init__(self, inputs: Mapping[str, Any], lengths: Mapping[str, int] | None = None):
        self._inputs = inputs
        self._lengths = lengths or {}
        """By path, of lists that an earlier look has found."""

    def known(self, element: Element) -> int | None:
        """The length of an each's list; None where only the run will tell."""
        each = element.part.each
        assert each is not None
        if isinstance(each.over, list):
            return len(each.over)
        if element.path in self._lengths:
            return self._lengths[element.path]
        ref = only_ref(each.over)
        if ref is None or any(need.tail.split(".")[0] == ref.name for need in element.needs):
            return None
        value = self._inputs.get(ref.name)
        for word in ref.path:
            value = value.get(word) if isinstance(value, dict) else None
        return len(value) if isinstance(value, list) else None

    def sure(self, element: Element) -> int | None:
        """The length that every estimate takes; None where it is left to chance."""
        known = self.known(element)
        if known is None and isinstance(element.part, Group) and element.part.expect is not None:
            each = element.part.each
            assert each is not None
            return each.max  # a declared total is about the whole list
        return known

    def draw(self, element: Element, random: Random) -> int:
        """A length that is sure, or one drawn by chance."""
        sure = self.sure(element)
        return length_at(element, random.random()) if sure is None else sure

    def ids(self, element: Element) -> Iterator[str]:
        """The ids of a task's instances as far as they are known before the run."""
        ids = [""]
        way: list[Element] = []
        here: Element | None = element
        while here is not None:
            way.append(here)
            here = here.owner
        for part in reversed(way):
            ids = [f"{id}.{part.part.id}" if id else part.part.id for id in ids]
            if part.part.each is not None:
                length = self.known(part)
                if length is None:
                    return
                ids = [f"{id}.{index}" for id in ids for index in range(length)]
        yield from ids


def length_at(element: Element, share: float) -> int:
    """The length that this share of all lists stays below, of those between one and `max`.

    Authors set `max` with some room: the middle is max to the 0.7.
    """
    each = element.part.each
    assert each is not None
    return round(exp(log(each.max) * share**TOWARDS_MAX))


def drawn(most: int, share: float) -> int:
    """A whole number from 1 to `most`, uniform in its logarithm."""
    return min(most, int(exp(share * log(most + 1))))


def tries_of(piece: Piece) -> Iterator[tuple[Rung, bool]]:
    """Each try that a task may get, and whether it is the last: one a rung, and on the last what is left."""
    for number, rung in enumerate(piece.rungs):
        top = number == len(piece.rungs) - 1
        times = piece.task.attempts if top else 1
        for n in range(times):
            yield rung, top and n == times - 1


def merged_list(element: Element) -> Element | None:
    """The each whose results a reduction merges; None where it merges something else."""
    task = element.part
    ref = only_ref(task.reduce) if isinstance(task, Task) else None
    for need in element.needs:
        if ref is not None and need.tail.split(".")[0] == ref.name and need.target.part.each is not None:
            return need.target
    return None


def eaches_of(element: Element) -> list[Element]:
    """The lists around a task, from the outside in, its own among them."""
    found: list[Element] = []
    here: Element | None = element
    while here is not None:
        if here.part.each is not None:
            found.append(here)
        here = here.owner
    return found[::-1]


def strongest(catalogue: Catalogue, pieces: list[Piece]) -> str:
    """The strongest model that `auto` may take, or a stronger one that the plan names."""
    tiers = catalogue.tiers
    used = [rung.tier for piece in pieces for rung in piece.rungs if rung.tier in tiers]
    top = max((*used, catalogue.auto_tiers[-1]), key=tiers.index)
    return catalogue.resolve(top).id
