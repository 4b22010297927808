"""How long a plan may take: the real scheduler driven by a heap, over durations drawn by chance."""

from __future__ import annotations

import contextlib
import gc
import heapq
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from random import Random
from statistics import NormalDist
from typing import Any

from stretto import events as ev
from stretto.estimate.pieces import (
    CHECK_S,
    GROWN_MOST,
    GROWN_PROMPT,
    Piece,
    Rung,
    Widths,
    drawn,
    grown_most,
    piece_of,
)
from stretto.estimate.sampling import errors_of, points_of
from stretto.models.catalogue import UNKNOWN_RATES, Catalogue
from stretto.models.choice import Chooser
from stretto.models.figures import Figure
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Group, Plan, Task, planned_by, to_data
from stretto.scheduler.chain import critical_path
from stretto.scheduler.choosing import Choices
from stretto.scheduler.pools import SLOTS, UNBOUNDED
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.vertex import SUCCEEDED, GroupVertex, TaskVertex, target_of

LONGEST_S = 10.0 * 365 * 86_400
LEAST_SLOTS = min(count for count in SLOTS.values() if count > 1)
ENOUGH = 40
EXACT = 0.015
"""So small beside the middle the standard errors may be for fewer plays to do."""
BASES = (2, 3, 5, 7)
_INVERSE = NormalDist().inv_cdf


@dataclass(slots=True)
class Stage:
    """What every play of a plan has in common."""

    plan: Plan
    graph: Graph
    on: str
    models: Mapping[str, str]
    chooser: Chooser
    free: Callable[[str], bool]
    widths: Widths
    pieces: dict[str, Piece]
    kept: Callable[[str], object]
    """Whether a task has a kept result, by its id."""
    parallel: int
    seed: int
    shared: dict[str, int] = field(default_factory=dict)
    """What tasks of several families lean on, in the order it was met."""
    choices: list[Choices] = field(default_factory=list)
    """Those of the first play, which all others share."""


@dataclass(slots=True)
class Played:
    """How one play went, in seconds."""

    seconds: float = 0.0
    starts: dict[str, float] = field(default_factory=dict)
    """The first start of each top-level part ..."""
    ends: dict[str, float] = field(default_factory=dict)
    """... and its last end."""
    path: tuple[str, ...] = ()
    busy_s: float = 0.0
    """The sum of all attempts."""
    most_running: int = 0
    most_of_pool: int = 0
    """Of one agent and model."""
    asked: dict[str, list[float]] = field(default_factory=dict)
    """Of each model that has rates: input, output and number of calls, and the seconds of its attempts."""


class Play:
    """One run of the scheduler without a world: attempts only take time.

    What is drawn depends on the task, its attempt and the number of the play alone: the same play without a
    limit meets the same luck.
    """

    def __init__(self, stage: Stage, number: int):
        self._stage = stage
        self._number = number
        self._salt = zlib.crc32(f"{stage.seed}/{number}".encode())
        self._shared: dict[tuple[str, float, str, float], float] = {}
        self._lengths: dict[str, int] = {}
        self._limited: dict[str, bool] = {}
        self._ends: list[tuple[int, int, str, int, str]] = []
        self._waits: dict[str, tuple[str, int, str, int]] = {}
        self._ended_us: dict[str, int] = {}
        self._count = 0
        self._now_us = 1
        self.played = Played()
        self.scheduler = Scheduler(stage.plan, stage.graph, stage.chooser, stage.free)
        choices = self.scheduler.choices
        choices.learns = False
        if stage.choices:
            choices.share(stage.choices[0])
        else:
            stage.choices.append(choices)

    def run(self) -> Played:
        """Plays the plan to its end."""
        stage, scheduler = self._stage, self.scheduler
        begun = ev.RunStarted(
            "", {}, None, None, None, stage.parallel, stage.on, stage.seed, ".", 0, "", "", dict(stage.models)
        )
        scheduler.start(begun, self._now_us)
        while not self._turn():
            pass
        played = self.played
        played.seconds = (self._now_us - 1) / 1e6
        path = critical_path(scheduler.state, lambda vertex: self._ended_us.get(vertex.id, 0))
        played.path = tuple(vertex.id for vertex in path)
        return played

    def _turn(self) -> bool:
        scheduler, ends, played = self.scheduler, self._ends, self.played
        scheduler.tick(self._now_us)
        while ends and ends[0][0] <= self._now_us:
            _, _, task, n, role = heapq.heappop(ends)
            self._end(task, n, role)
        while (group := scheduler.next_growing()) is not None:
            self._grow(group)
        kept = self._stage.kept
        for vertex in scheduler.picks():
            if kept(vertex.id):
                scheduler.reuse(vertex, "", 0, "-", "kept", 0)
            else:
                scheduler.begin(vertex, scheduler.choice(vertex))
        done = scheduler.end_if_done()
        _, commands = scheduler.take()
        if scheduler.running > played.most_running:
            played.most_running = scheduler.running
            played.most_of_pool = max(pool.running for pool in scheduler.pools.values())
        for command in commands:
            self._act(command)
        if done and not scheduler.state.live:
            return True
        times = [ends[0][0]] if ends else []
        wake = scheduler.wake_at_us()
        if wake is not None:
            times.append(wake)
        if times:
            self._now_us = max(self._now_us, min(times))
        return not times and not scheduler.growing and not scheduler.out

    def _act(self, command: ev.Command) -> None:
        match command:
            case ev.Start(task, n, role):
                self._start(task, n, role)
            case ev.Stop(task, n, role):
                self._ends = [end for end in self._ends if end[2:4] != (task, n)]
                heapq.heapify(self._ends)
                self.scheduler.ended(ev.AttemptEnded(task, n, "cancelled"))
            case ev.Answer(attempt=attempt, granted=True) if attempt in self._waits:
                self._work(*self._waits.pop(attempt))

    def _start(self, task: str, n: int, role: str) -> None:
        vertex = self.scheduler.state.vertices[task]
        assert isinstance(vertex, TaskVertex)
        piece = self._piece(vertex.element)
        rung = self._rung(vertex, piece) if role == "work" else None
        seconds = self._seconds(piece, rung, task, n, role)
        took_us = max(1, int(1e6 * min(LONGEST_S, seconds) + 0.5))
        played = self.played
        played.busy_s += took_us / 1e6
        played.starts.setdefault(vertex.row.id, self._now_us / 1e6)
        if rung is not None and self._is_limited(rung.model):
            self._ask(rung, task, n, role, took_us)
        else:
            self._work(task, n, role, took_us)

    def _is_limited(self, model: str) -> bool:
        limited = self._limited.get(model)
        if limited is None:
            rates = self._stage.chooser.catalogue.info(model).rates
            limited = self._limited[model] = rates != UNKNOWN_RATES
        return limited

    def _ask(self, rung: Rung, task: str, n: int, role: str, took_us: int) -> None:
        """Waits for the limiter, with all tokens of the attempt as one call."""
        made = rung.figure
        fresh = made.input_tokens + made.cache_write_tokens
        total = self.played.asked.setdefault(rung.model, [0.0, 0.0, 0.0, 0.0])
        for place, amount in enumerate((fresh, made.output_tokens, made.calls, took_us / 1e6)):
            total[place] += amount
        attempt = f"{task}#{n}"
        self._waits[attempt] = (task, n, role, took_us)
        self.scheduler.call_asked(
            attempt, 1, 0, model=rung.model, input_tokens=int(fresh), output_tokens=int(made.output_tokens)
        )

    def _work(self, task: str, n: int, role: str, took_us: int) -> None:
        self._count += 1
        heapq.heappush(self._ends, (self._now_us + took_us, self._count, task, n, role))

    def _end(self, task: str, n: int, role: str) -> None:
        scheduler = self.scheduler
        vertex = scheduler.state.vertices[task]
        assert isinstance(vertex, TaskVertex)
        piece = self._piece(vertex.element)
        rung = self._rung(vertex, piece)
        if scheduler.state.ledger.reserved and rung is not None:
            self._settle(f"{task}#{n}", rung)
        self._ended_us[task] = self._now_us
        self.played.ends[vertex.row.id] = self._now_us / 1e6
        if role == "work" and vertex.task.check is not None:
            good = True  # its check will say
        else:
            good = self._is_good(vertex, piece, rung)
        if good:
            ended = ev.AttemptEnded(task, n, "ok", "", "", "" if role == "check" else "sha", 1)
        else:
            outcome = "check_failed" if role == "check" else "bad_output"
            ended = ev.AttemptEnded(task, n, outcome, "task", "by chance")
        scheduler.ended(ended)

    def _settle(self, attempt: str, rung: Rung) -> None:
        if (attempt, 1) in self.scheduler.state.ledger.reserved:
            made = rung.figure
            fresh = int(made.input_tokens + made.cache_write_tokens)
            usage = {"input": fresh, "output": int(made.output_tokens)}
            self.scheduler.call_done(ev.CallSettled(attempt, 1, rung.model, usage, 0, True))

    def _is_good(self, vertex: TaskVertex, piece: Piece, rung: Rung | None) -> bool:
        """A run that comes to its end is what is priced: the last try of the last rung does it."""
        if rung is None or rung.chance >= 1:
            return True
        if rung is piece.rungs[-1] and vertex.tries + 1 >= vertex.task.attempts:
            return True
        return self._chance(f"{vertex.id}/{vertex.n}/good") < rung.chance

    # What is drawn

    def _piece(self, element: Element) -> Piece:
        stage = self._stage
        piece = stage.pieces.get(element.path)
        if piece is None:
            piece = piece_of(element, stage.plan, stage.on, stage.chooser, stage.free)
            stage.pieces[element.path] = piece
        return piece

    def _rung(self, vertex: TaskVertex, piece: Piece) -> Rung | None:
        if len(piece.rungs) < 2:
            return piece.rungs[0] if piece.rungs else None
        model = vertex.meter.model if vertex.meter is not None else ""
        return next((rung for rung in piece.rungs if rung.model == model), piece.rungs[0])

    def _seconds(self, piece: Piece, rung: Rung | None, task: str, n: int, role: str) -> float:
        whose = f"{task}/{n}/{role}"
        if role != "work":
            judge = piece.judge
            if judge is None:
                return CHECK_S if piece.checks else 0.0
            return self._drawn(judge, piece.family, whose)
        if rung is None or piece.known_seconds == "declared":
            return self._lognormal(piece.seconds, piece.seconds_sd_log, whose)
        return self._drawn(rung.figure, piece.family, whose)

    def _drawn(self, made: Figure, family: str, whose: str) -> float:
        """One attempt; tasks of a family, and all that lean on one source, share how wrong their mean is."""
        key = (family, made.seconds_mean_sd_log, made.source, made.seconds_model_sd_log)
        shared = self._shared.get(key)
        if shared is None:
            of_family = made.seconds_mean_sd_log * self._normal(f"{made.source}/{family}")
            shared = exp(of_family + made.seconds_model_sd_log * self._even(made.source))
            self._shared[key] = shared
        return self._lognormal(made.seconds * shared, made.seconds_sd_log, whose)

    def _lognormal(self, mean: float, sd_log: float, whose: str) -> float:
        return mean * exp(sd_log * self._normal(whose) - sd_log**2 / 2) if sd_log else mean

    def _normal(self, whose: str) -> float:
        return _INVERSE(self._chance(whose))

    def _even(self, whose: str) -> float:
        """The same of what all tasks share, spread evenly over the plays: few of them must show its range.

        The first plays take the fractions whose digits are those of their number, backwards (Halton).
        """
        if not whose:
            return 0.0
        place = self._stage.shared.setdefault(whose, len(self._stage.shared))
        if place >= len(BASES):
            return self._normal(whose)
        base, rest, share, weight = BASES[place], self._number + 1, 0.0, 1.0
        while rest:
            weight /= base
            share += weight * (rest % base)
            rest //= base
        turned = (share + (self._stage.seed * 0.6180339887) % 1.0) % 1.0
        return _INVERSE(min(max(turned, 1e-6), 1 - 1e-6))

    def _chance(self, whose: str) -> float:
        """A number in (0, 1) that depends on these words and the play alone.

        A checksum is linear: without the multiplication all draws of two plays would differ alike.
        """
        mixed = (zlib.crc32(whose.encode()) ^ self._salt) * 0x9E3779B1 & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 15) * 0x85EBCA77 & 0xFFFFFFFF
        return ((mixed ^ mixed >> 13) + 0.5) / 4_294_967_296

    # Growing

    def _grow(self, group: GroupVertex) -> None:
        element = group.element
        assert element is not None
        part = element.part
        if part.each is not None:
            over = part.each.over
            items: list[Any] = over if isinstance(over, list) else [""] * self._length(element)
            self.scheduler.grew(group, "", items)
        elif isinstance(part, Group):
            planner = _planner_of(element)
            count = drawn(grown_most(planner), self._by(element).random())
            planned = planned_by(planner)
            tasks = [replace(planned, id=f"t{k}", prompt=GROWN_PROMPT) for k in range(count)]
            self.scheduler.grew_plan(group, "", 1, [to_data(task) for task in tasks])
        else:
            self.scheduler.grew(group, "", [self._parts(group)])

    def _length(self, element: Element) -> int:
        length = self._lengths.get(element.path)
        if length is None:
            length = self._lengths[element.path] = self._stage.widths.draw(element, self._by(element))
        return length

    def _by(self, element: Element) -> Random:
        return Random(self._salt ^ zlib.crc32(element.path.encode()))

    def _parts(self, group: GroupVertex) -> int:
        element = group.element
        assert element is not None
        state = self.scheduler.state
        for need in element.needs:
            target = state.vertices.get(target_of(need, group.scope))
            if isinstance(target, GroupVertex) and target.grown:
                return sum(member.state == SUCCEEDED for member in target.members)
        return GROWN_MOST


def _planner_of(place: Element) -> Task:
    """Who writes the plan that will stand in this place."""
    assert place.owner is not None
    planner = place.owner.members["plan"].part
    assert isinstance(planner, Task)
    return planner


def plays(stage: Stage, time_s: float, *, least: int, most: int) -> list[Played]:
    """As many plays as fit the time, at least `least`; fewer where more would say the same."""
    until_s = time.monotonic() + time_s
    if is_certain(stage):
        least = most = 1
    found: list[Played] = []
    with calm_gc():
        while len(found) < most and (len(found) < least or time.monotonic() < until_s):
            found.append(Play(stage, len(found)).run())
            if len(found) >= max(ENOUGH, least) and len(found) % 20 == 0 and _is_exact(found):
                break
    return found


def _is_exact(found: Sequence[Played]) -> bool:
    """Whether the standard error of each point is small beside the middle."""
    seconds = [play.seconds for play in found]
    return max(errors_of(seconds)) <= EXACT * points_of(seconds).expected


@contextlib.contextmanager
def calm_gc() -> Iterator[None]:
    """Collects garbage more rarely: a play makes many objects that all live until it ends."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def is_certain(stage: Stage) -> bool:
    """Whether chance has no part in how long the plan takes."""
    return _are_known(stage) and not any(chancy(p) or p.task.grow for p in stage.pieces.values())


def chancy(piece: Piece) -> bool:
    """Whether a task's time is drawn."""
    if piece.rungs and piece.known_seconds != "declared":
        return True
    return piece.seconds_sd_log > 0 or len(piece.rungs) > 1 or any(r.chance < 1 for r in piece.rungs)


def _are_known(stage: Stage) -> bool:
    return all(
        stage.widths.known(element) is not None or element.part.expect is not None
        for element in stage.graph.elements.values()
        if element.part.each is not None
    )


# What binds


def lifted(stage: Stage, limit: str) -> Stage:
    """The same without one limit: `parallel`, `slots`, a rate (`output tokens per minute`), or `all`."""
    parallel, plan, chooser = stage.parallel, stage.plan, stage.chooser
    if limit in ("parallel", "all"):
        parallel = UNBOUNDED
    if limit in ("slots", "all"):
        free_slots = {"local": UNBOUNDED, "messages": UNBOUNDED, "openai": UNBOUNDED}
        plan = replace(plan, limits=replace(plan.limits, slots=free_slots))
    if limit in RATES or limit == "all":
        fields = RATES.values() if limit == "all" else [RATES[limit]]
        without: dict[str, Any] = dict.fromkeys(fields)
        chooser = Chooser(_without(chooser.catalogue, without), chooser.history, seed=chooser.seed)
    return replace(stage, parallel=parallel, plan=plan, chooser=chooser)


RATES = {
    "input tokens per minute": "input_tokens",
    "output tokens per minute": "output_tokens",
    "requests per minute": "requests",
}
"""In the order of `Played.asked`."""


def _without(catalogue: Catalogue, without: Mapping[str, Any]) -> Catalogue:
    models = tuple(replace(m, rates=replace(m.rates, **without)) for m in catalogue.models)
    return replace(catalogue, models=models)


def limits_of(stage: Stage, played: Sequence[Played]) -> list[str]:
    """The limits that can have held anything up."""
    found = []
    if max(play.most_running for play in played) >= stage.parallel:
        found.append("parallel")
    if (
        stage.plan.limits.slots
        or max(play.most_of_pool for play in played) >= LEAST_SLOTS
        or stage.on == "local"
    ):
        found.append("slots")
    models = {model for play in played for model in play.asked}
    infos = [stage.chooser.catalogue.info(model) for model in models]
    for name, rate in RATES.items():
        if any(getattr(info.rates, rate) is not None for info in infos):
            found.append(name)
    return found
