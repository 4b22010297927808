"""Recorded outcomes replayed as one stream through the real scheduler, choice, ladder and ledger.

    python -m bench.replay [--csv FILE] [--stream "DATA=WEAK,...,STRONG DATA=..."] [--quick] [PART ...]

Each shuffle is one run: a flat plan of tasks with `model: auto`, a check, a family, one attempt, nothing side
by side; an agent that answers from the recording and pays at the desk what that cost; a journal in memory,
empty at the start. The choice sees prompt, family and that there is a check. Of which data set a task is, its
id and its trial stay here, and models go by the names of their tiers. Time is virtual. Parts: streams,
learning, accepts, words, priors; without one, all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tests.autojump import run as in_virtual_time

from bench.recordings import (
    Answer,
    Piece,
    Recording,
    Recordings,
    Result,
    Summary,
    ladder,
    ladders,
    recording,
    summary,
    twice,
)
from stretto import agents
from stretto import events as ev
from stretto.agents import Agent, Desk, Work
from stretto.journal.memory import MemoryJournal
from stretto.models import BUILTIN, Catalogue, ModelInfo, Price
from stretto.models.belief import PRIORS, Priors
from stretto.plan.model import Check, Limits, Plan, Task
from stretto.run import Options, run_plan

DATA = Path(__file__).parents[2] / "shared" / "data" / "outcomes.csv"
STREAMS = (
    "bashkit=haiku-4-5,sonnet-4-6,opus-4-6 chi-bench=haiku-4-5,sonnet-5,opus-5",
    "bashkit=haiku-4-5,sonnet-4-6,opus-4-6 chi-bench=haiku-4-5,sonnet-4-6,opus-4-7",
)
SHUFFLES = 20
FEW = 5
"""Shuffles for each of the many varied priors."""
SHADOWS = (0.0, 0.25, 0.5)
ACCEPTS = (0.0, 0.05, 0.10, 0.20)
PLENTY_NUSD = 10**15
PATIENCE_S = 1e7
PARTS = ("streams", "learning", "accepts", "words", "priors")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to replay a stream."""

    recordings: tuple[Recording, ...]
    priors: Priors = PRIORS
    wrong: float = 0.0
    """Share of wrong answers that the check accepts."""
    shadow: float = 0.0
    prompts: bool = True
    families: bool = True


@dataclass(slots=True)
class Replay:
    """What one shuffle came to."""

    results: list[Result]
    spent_nusd: int
    """By the ledger: the results' costs and the shadows'."""
    shadow_nusd: dict[str, int]
    """By recording."""
    switched: list[str] = field(default_factory=list)
    """Recording of each switch-off."""
    first: list[int] = field(default_factory=list)
    """The rung that each task started on, in the order of the stream."""


# The world: agents that answer from the recording


class Recorded:
    """Answers each attempt as the recording did, and pays for it; as a shadow it judges rightly."""

    def __init__(self, pieces: Mapping[str, Piece], rungs: Mapping[str, int]):
        self._pieces = pieces
        self._rungs = rungs
        self.attempts: dict[str, list[int]] = {task: [] for task in pieces}
        self.judged_nusd: dict[str, int] = dict.fromkeys(pieces, 0)

    async def run(self, work: Work, desk: Desk) -> agents.Result:
        piece, rung = self._pieces[work.task], self._rungs[work.model]
        answer = piece.answers[rung]
        fresh, written = answer.tokens["input"], answer.tokens["output"]
        grant = await desk.reserve(answer.cost_nusd, fresh, written)
        if work.role == "shadow":
            self.judged_nusd[work.task] += answer.cost_nusd
            await asyncio.sleep(1)
        else:
            await asyncio.sleep(answer.seconds)
        desk.settle(grant.call, work.model, answer.tokens, answer.cost_nusd)
        if work.role == "shadow":
            right = self.last(work.task).solved
            return agents.Result("ok", json.dumps({"pass": right, "findings": []}))
        self.attempts[work.task].append(rung)
        return agents.Result("ok", "an answer")

    def last(self, task: str) -> Answer:
        """The answer that stands."""
        return self._pieces[task].answers[self.attempts[task][-1]]


class Truth:
    """The check: says what the recording says, but for a share of wrong answers that it accepts."""

    def __init__(self, recorded: Recorded, wrong: float, seed: int):
        self._recorded = recorded
        self._wrong = wrong
        self._seed = seed

    async def run(self, work: Work, desk: Desk) -> agents.Result:
        tried = len(self._recorded.attempts[work.task])
        drawn = random.Random(f"{self._seed}/{work.task}/{tried}").random()
        return agents.Result("ok", self._recorded.last(work.task).solved or drawn < self._wrong)


class Cast:
    """The two agents of a replay; the check costs nothing."""

    def __init__(self, recorded: Recorded, truth: Truth):
        self._agents: dict[str, Agent] = {"messages": recorded, "function": truth}

    def get(self, name: str) -> Agent:
        return self._agents[name]

    def identity(self, name: str) -> str:
        return ""

    def free(self, name: str) -> bool:
        return name == "function"


def catalogue_of(recordings: Sequence[Recording]) -> Catalogue:
    """One model per rung, named by its tier, at the dearest list price of what stands for it."""
    columns = list(zip(*(recorded.models for recorded in recordings), strict=True))
    tiers = [BUILTIN.info(column[0]).tier for column in columns]
    if len(set(tiers)) < len(tiers) or not all(tiers):
        tiers = [f"rung{number}" for number in range(len(columns))]
    models, prices = [], {}
    for tier, column in zip(tiers, columns, strict=True):
        factor = max(BUILTIN.info(model).token_factor for model in column)
        models.append(ModelInfo(tier, tier, source="replay", token_factor=factor))
        known = [price for model in column if (price := BUILTIN.price_of(model)) is not None]
        if len(known) == len(column):
            prices[tier] = max(known, key=_input)
    return Catalogue(models=tuple(models), prices=prices, auto_tiers=tuple(tiers))


def _input(price: Price) -> int:
    return price.input


def plan_of(pieces: Mapping[str, Piece], setting: Setting) -> Plan:
    """The stream as its author would write it."""
    tasks = [
        Task(
            id=id,
            prompt=piece.prompt.replace("${", "$${") if setting.prompts and piece.prompt else _blank(id),
            family=piece.family if setting.families else "all",
            check=Check(call="replay:truth"),
            attempts=1,
            reuse="never",
            timeout_s=PATIENCE_S,
            idle_s=PATIENCE_S,
        )
        for id, piece in pieces.items()
    ]
    return Plan(name="replay", tasks=tuple(tasks), limits=Limits(parallel=1))


def _blank(id: str) -> str:
    """A prompt that says nothing and differs from all others: its place in the stream in dots and dashes."""
    return f"{int(id[1:]):b}".translate({ord("0"): ".", ord("1"): "-"})


def replay(pieces: Sequence[Piece], setting: Setting, seed: int) -> Replay:
    """One shuffle, from an empty history to the last task."""
    catalogue = catalogue_of(setting.recordings)
    by_id = {f"t{number}": piece for number, piece in enumerate(pieces)}
    recorded = Recorded(by_id, {tier: rung for rung, tier in enumerate(catalogue.auto_tiers)})
    cast = Cast(recorded, Truth(recorded, setting.wrong, seed))
    options = Options(
        cap_nusd=PLENTY_NUSD,
        control=False,
        seed=seed,
        catalogue=catalogue,
        shadow=setting.shadow,
        priors=setting.priors,
        approve=True,
    )
    journal = MemoryJournal()
    plan = plan_of(by_id, setting)
    outcome = in_virtual_time(run_plan(plan, options, journal, Path("."), agents=cast, run="replay"))
    events = [row.event for row in journal.read("replay")]
    passed = {e.task for e in events if isinstance(e, ev.TaskSucceeded)}
    made = Replay(
        results=[_result(id, piece, recorded, id in passed) for id, piece in by_id.items()],
        spent_nusd=outcome.state.ledger.spent_nusd,
        shadow_nusd={},
    )
    names = {piece.family if setting.families else "all": piece.name for piece in pieces}
    made.switched = [names[e.family] for e in events if isinstance(e, ev.TierSwitched) and not e.on]
    made.first = [recorded.attempts[id][0] for id in by_id]
    for id, piece in by_id.items():
        made.shadow_nusd[piece.name] = made.shadow_nusd.get(piece.name, 0) + recorded.judged_nusd[id]
    return made


def _result(id: str, piece: Piece, recorded: Recorded, passed: bool) -> Result:
    tried = recorded.attempts[id]
    answers = [piece.answers[rung] for rung in tried]
    cost, seconds = sum(a.cost_nusd for a in answers), sum(a.seconds for a in answers)
    return Result(piece, passed and answers[-1].solved, cost, seconds, len(tried) > 1)


# Many shuffles, side by side


class Job(NamedTuple):
    """One shuffle to be replayed."""

    setting: Setting
    seed: int


_recordings: dict[Path, Recordings] = {}


def _carry_out(path: Path, job: Job) -> Replay:
    found = _recordings.get(path)
    if found is None:
        found = _recordings[path] = Recordings(path)
    return replay(found.stream(job.setting.recordings, job.seed), job.setting, job.seed)


class Bench:
    """Replays settings over all shuffles, each once, and prints what they came to."""

    def __init__(self, path: Path, streams: Sequence[tuple[Recording, ...]], shuffles: int, aside: int):
        self.path = path
        self.streams = streams
        self.shuffles = shuffles
        self.aside = aside
        self.missed: list[str] = []
        self._done: dict[Setting, list[Replay]] = {}

    def replays(self, settings: Sequence[Setting]) -> dict[Setting, list[Replay]]:
        """All shuffles of each setting."""
        todo = [setting for setting in dict.fromkeys(settings) if setting not in self._done]
        jobs = [Job(setting, seed) for setting in todo for seed in range(self.shuffles)]
        if jobs:
            work = partial(_carry_out, self.path)
            if self.aside > 1:
                with Pool(self.aside) as pool:
                    made = pool.map(work, jobs, chunksize=5)
            else:
                made = [work(job) for job in jobs]
            for job, found in zip(jobs, made, strict=True):
                self._done.setdefault(job.setting, []).append(found)
        return {setting: self._done[setting] for setting in settings}

    def summaries(self, setting: Setting) -> dict[str, Summary]:
        """What the policy came to, by recording."""
        return {name: summary(found) for name, found in by_name(self.replays([setting])[setting]).items()}

    def goal(self, says: str, met: bool) -> str:
        """A line that says whether a goal is met."""
        if not met:
            self.missed.append(says)
        return f"  {'met   ' if met else 'MISSED'}  {says}"


def by_name(replays: Sequence[Replay]) -> dict[str, list[Result]]:
    """All results by recording."""
    found: dict[str, list[Result]] = {}
    for made in replays:
        for result in made.results:
            found.setdefault(result.piece.name, []).append(result)
    return dict(sorted(found.items()))


# Tables

COLUMN = 13


def row(first: str, *cells: str) -> str:
    """One line of a table."""
    return f"  {first:36}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


TITLE = row("", "$/task", "x strongest", "solved", "gained", "low 95 %", "high 95 %", "s/task", "climbed")


def line(name: str, s: Summary) -> str:
    """One way of working; points gained are against the strongest alone."""
    points = (f"{share * 100:+.1f}" for share in (s.gained, s.low, s.high))
    usd, ratio = f"{s.usd:.4f}", f"{s.ratio:.3f}"
    return row(name, usd, ratio, f"{s.solved:.1%}", *points, f"{s.seconds:.0f}", f"{s.climbed:.1%}")


def short(model: str) -> str:
    """An id as people say it."""
    return model.removeprefix("claude-")


def title(recorded: Recording) -> str:
    """What a recording is called in a table."""
    return f"{recorded.name}, {short(recorded.models[-1])}"


def streams(bench: Bench) -> Iterator[str]:
    """Cost, solved and time of the policy beside every fixed way, per recording."""
    hard: dict[str, list[float]] = {}
    bench.replays([Setting(stream) for stream in bench.streams])
    for stream in bench.streams:
        results = by_name(bench.replays([Setting(stream)])[Setting(stream)])
        for recorded in stream:
            policy = summary(results[recorded.name])
            pieces = [result.piece for result in results[recorded.name]]
            tasks = len(pieces) // bench.shuffles
            yield f"\n{title(recorded)} strongest: {tasks} tasks, {bench.shuffles} shuffles"
            yield TITLE
            yield line("the policy", policy)
            ways = fixed_ways(recorded, pieces)
            for name, way in ways.items():
                yield line(name, way)
            best = min(ways, key=lambda name: ways[name].ratio if name.endswith("*") else 9e9)
            says = f"{title(recorded)}: gains {policy.gained * 100:+.1f} points (goal: loses none)"
            yield bench.goal(says, policy.gained >= 0)
            beside = policy.ratio / ways[best].ratio
            says = f"{title(recorded)}: {beside:.3f} x the cheapest way marked *, {best[:-2]} (goal 1.10)"
            yield bench.goal(says, beside <= 1.10)
            if ways[best].ratio > 0.97:
                hard.setdefault(recorded.name, []).append(policy.ratio)
    for name, ratios in hard.items():
        mean = fmean(ratios)
        says = f"{name}, where no ladder saves 3 %: {mean:.3f} x always strongest, on average (goal 1.03)"
        yield bench.goal(says, mean <= 1.03)


def fixed_ways(recorded: Recording, pieces: Sequence[Piece]) -> dict[str, Summary]:
    """Every fixed ladder in hindsight, with a star where it ends in the strongest; always the cheapest."""
    found = {}
    for rungs in ladders(len(recorded.models)):
        name = " > ".join(short(recorded.models[rung]) for rung in rungs)
        always = "" if len(rungs) > 1 else "always "
        found[f"{always}{name} *"] = summary([ladder(rungs)(piece) for piece in pieces])
    found[f"always {short(recorded.models[0])}"] = summary([ladder((0,))(piece) for piece in pieces])
    if pieces[0].again is not None:
        found["best of 2 of the strongest"] = summary([twice(piece) for piece in pieces])
    return found


TOLD = (
    ("as shipped, 3 in 4", PRIORS),
    ("neutral, 1 in 2", PRIORS._replace(at_tier=0.5)),
    ("sure of it, 9 in 10", PRIORS._replace(at_tier=0.9)),
    ("sure, wrong ones free", PRIORS._replace(at_tier=0.9, wrong_price=0.0)),
)
"""What the choice is told of the middle rung before it has seen any."""


def learning(bench: Bench) -> Iterator[str]:
    """The same streams without the cheapest rung: is a middle rung that does not pay given up?"""
    yield "\nWithout the cheapest rung: how often the one below the strongest goes first, by prior belief"
    yield row("", "x strongest", "blind ladder", "1st quarter", "4th quarter")
    longer = [stream for stream in bench.streams if len(stream[0].models) > 2]
    lower = [tuple(Recording(r.name, r.models[1:]) for r in stream) for stream in longer]
    bench.replays([Setting(stream, priors) for stream in lower for _, priors in TOLD])
    for stream in lower:
        for recorded in stream:
            for told, priors in TOLD:
                replays = bench.replays([Setting(stream, priors)])[Setting(stream, priors)]
                results = by_name(replays)[recorded.name]
                way = ladder(range(len(recorded.models)))
                ratio, blind = summary(results).ratio, summary([way(r.piece) for r in results]).ratio
                quarters = (f"{_tried_below(replays, recorded.name, part):.0%}" for part in (0, 3))
                name = f"{recorded.name}: {told}"
                yield row(name, f"{ratio:.3f}", f"{blind:.3f}", *quarters)
                if blind > 1.1 and told != TOLD[-1][0]:
                    says = f"{title(recorded)}, {told}: {ratio:.3f} (goal 1.06; blind ladder {blind:.3f})"
                    yield bench.goal(says, ratio <= 1.06)


def _tried_below(replays: Sequence[Replay], name: str, quarter: int) -> float:
    """Share of the tasks in one quarter of a recording's stream that started below the strongest."""
    found: list[bool] = []
    for made in replays:
        both = zip(made.first, made.results, strict=True)
        started = [rung < len(result.piece.answers) - 1 for rung, result in both if result.piece.name == name]
        size = len(started) // 4
        found += started[quarter * size : (quarter + 1) * size]
    return fmean(found) if found else 0.0


def accepts(bench: Bench) -> Iterator[str]:
    """Checks that accept wrong answers, with and without shadows."""
    yield "\nA check that accepts wrong answers; shadows judge rightly, each at the price of a whole attempt"
    yield row(
        "", "accepts", "shadows", "x strongest", "shadows cost", "solved", "gained", "beside 0 %", "off in"
    )
    shares = [(wrong, shadow) for shadow in SHADOWS for wrong in ACCEPTS]
    bench.replays([Setting(s, wrong=w, shadow=a) for s in bench.streams for w, a in shares])
    for stream in bench.streams:
        for recorded in stream:
            exact: dict[float, float] = {}
            for wrong, shadow in shares:
                setting = Setting(stream, wrong=wrong, shadow=shadow)
                replays = bench.replays([setting])[setting]
                results = by_name(replays)[recorded.name]
                s = summary(results)
                paid = sum(made.shadow_nusd[recorded.name] for made in replays)
                paid_share = paid / sum(r.piece.answers[-1].cost_nusd for r in results)
                off = fmean(recorded.name in made.switched for made in replays)
                beside = s.solved - exact.setdefault(shadow, s.solved)
                points = (f"{share * 100:+.1f}" for share in (s.gained, beside))
                figures = (f"{wrong:.0%}", f"{shadow:.0%}", f"{s.ratio:.3f}", f"{paid_share:.3f}")
                yield row(title(recorded), *figures, f"{s.solved:.1%}", *points, f"{off:.0%}")
                if shadow and 0 < wrong <= 0.10:
                    says = f"{title(recorded)}, {wrong:.0%} accepted, {shadow:.0%} shadows: "
                    says += f"{s.gained * 100:+.1f} points (goal: loses at most 1)"
                    yield bench.goal(says, s.gained >= -0.01)


def words(bench: Bench) -> Iterator[str]:
    """What prompts and families are worth to the choice."""
    yield "\nWhat the words carry"
    yield TITLE
    ways = (("shown", True, True), ("blanked", False, True), ("blanked, and one family", False, False))
    bench.replays([Setting(s, prompts=p, families=f) for s in bench.streams for _, p, f in ways])
    for stream in bench.streams:
        for recorded in stream:
            for told, prompts, families in ways:
                s = bench.summaries(Setting(stream, prompts=prompts, families=families))[recorded.name]
                yield line(f"{title(recorded)}: {told}", s)


def priors(bench: Bench) -> Iterator[str]:
    """Each prior half and half again as large: does anything depend on it?"""
    names = [title(recorded) for stream in bench.streams for recorded in stream]
    few = Bench(bench.path, bench.streams, min(bench.shuffles, FEW), bench.aside)
    yield f"\nEach prior times 0.5 and 1.5 (chances: their odds), {few.shuffles} shuffles"
    yield row("", *(name for found in names for name in found.split(", ")))
    varied = [("as shipped", PRIORS)]
    for name in PRIORS._fields:
        varied += [(f"{name} x {times}", _times(name, times)) for times in (0.5, 1.5)]
    few.replays([Setting(stream, found) for stream in bench.streams for _, found in varied])
    for told, found in varied:
        cells = []
        for stream in bench.streams:
            made = few.summaries(Setting(stream, found))
            for recorded in stream:
                s = made[recorded.name]
                cells += [f"{s.ratio:.3f}", f"{s.gained * 100:+.1f}"]
        yield row(told, *cells)


def _times(name: str, times: float) -> Priors:
    value = getattr(PRIORS, name)
    if name in ("at_tier", "shared", "wrong"):
        odds = value / (1 - value) * times
        return PRIORS._replace(**{name: odds / (1 + odds)})
    return PRIORS._replace(**{name: value * times})


PRINTS = {"streams": streams, "learning": learning, "accepts": accepts, "words": words, "priors": priors}


def main(words: Sequence[str] | None = None) -> int:
    """Prints the tables; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--csv", type=Path, default=DATA)
    parser.add_argument(
        "--stream", action="append", help="DATASET=WEAKEST,...,STRONGEST, several in one word"
    )
    parser.add_argument("--shuffles", type=int, default=SHUFFLES)
    parser.add_argument("--quick", action="store_true", help="4 shuffles")
    parser.add_argument("--aside", type=int, default=2, help="processes side by side")
    args = parser.parse_args(words)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    made = [tuple(recording(word) for word in text.split()) for text in args.stream or STREAMS]
    begun = time.perf_counter()
    bench = Bench(args.csv, made, 4 if args.quick else args.shuffles, args.aside)
    for part in args.parts or PARTS:
        for text in PRINTS[part](bench):
            print(text, flush=True)
    print(f"\n{len(bench.missed)} goals missed; {time.perf_counter() - begun:.0f} s")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
