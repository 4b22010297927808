"""Recorded outcomes of real agents as streams of tasks, and what fixed ladders come to in hindsight."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

RESAMPLES = 2_000


class Answer(NamedTuple):
    """What one model did with one task, once."""

    solved: bool
    cost_nusd: int
    seconds: float
    tokens: dict[str, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """One task of a stream with what each rung answers, weakest first, and a second try of the strongest."""

    name: str
    """Of its recording: for the tables only."""
    task: str
    """The same for all trials of one task: for the intervals only."""
    family: str
    prompt: str
    answers: tuple[Answer, ...]
    again: Answer | None


class Recording(NamedTuple):
    """One data set with the models that stand for the rungs, weakest first."""

    name: str
    models: tuple[str, ...]


def recording(text: str) -> Recording:
    """Reads `DATASET=MODEL,MODEL,...`, the strongest last; `claude-` may be left out."""
    name, _, models = text.partition("=")
    ids = tuple(m if m.startswith("claude-") else f"claude-{m}" for m in models.split(",") if m)
    if not name or not ids:
        raise SystemExit(f"{text!r}: write DATASET=WEAKEST,...,STRONGEST")
    return Recording(name, ids)


Trials = dict[str, list[Answer]]
"""Model -> its answers to one task in the order of trials."""


class Recordings:
    """All rows of one file, by data set and task."""

    def __init__(self, path: Path):
        self._prompts: dict[tuple[str, str], tuple[str, str]] = {}
        self._trials: dict[tuple[str, str], Trials] = {}
        with path.open(newline="") as file:
            for row in sorted(csv.DictReader(file), key=lambda row: int(row["trial"] or 1)):
                if row["solved"] == "" or row["cost_usd"] == "":
                    continue
                key = (row["dataset"], row["task"])
                self._prompts[key] = (row["family"], row["prompt"])
                self._trials.setdefault(key, {}).setdefault(row["model"], []).append(_answer(row))

    def stream(self, recordings: Sequence[Recording], seed: int) -> list[Piece]:
        """All trials of the strongest models as one shuffled stream.

        A weaker model's answer is that of the same trial where it has as many trials as the strongest, else
        one drawn by the seed, so that over many shuffles all its trials are met.
        """
        rng = random.Random(seed)
        pieces = [
            piece
            for recorded in recordings
            for key, trials in self._trials.items()
            if key[0] == recorded.name
            for piece in self._pieces(key, trials, recorded, rng)
        ]
        rng.shuffle(pieces)
        return pieces

    def _pieces(
        self, key: tuple[str, str], trials: Trials, recorded: Recording, rng: random.Random
    ) -> list[Piece]:
        if any(model not in trials for model in recorded.models):
            return []
        family, prompt = self._prompts[key]
        strongest = trials[recorded.models[-1]]
        found = []
        for number, best in enumerate(strongest):
            lower = [_paired(trials[model], number, len(strongest), rng) for model in recorded.models[:-1]]
            again = strongest[(number + 1) % len(strongest)] if len(strongest) > 1 else None
            found.append(Piece(key[0], key[1], family, prompt, (*lower, best), again))
        return found


def _paired(answers: list[Answer], number: int, trials: int, rng: random.Random) -> Answer:
    drawn = rng.randrange(len(answers))
    return answers[number] if len(answers) == trials else answers[drawn]


def _answer(row: dict[str, str]) -> Answer:
    total, cached, output = (int(float(row[name] or 0)) for name in COUNTS)
    tokens = {"input": max(0, total - cached), "cache_read": cached, "output": output}
    seconds = float(row["time_s"] or 0)
    return Answer(row["solved"] not in ("0", "False"), round(float(row["cost_usd"]) * 1e9), seconds, tokens)


COUNTS = ("input_tokens", "cached_tokens", "output_tokens")


# What a way of working came to


class Result(NamedTuple):
    """One task under one way of working."""

    piece: Piece
    solved: bool
    cost_nusd: int
    seconds: float
    climbed: bool


Way = Callable[[Piece], Result]


def ladder(rungs: Sequence[int]) -> Way:
    """Tries rungs in order until one solves the task: a fixed ladder with a check that never errs."""

    def way(piece: Piece) -> Result:
        cost, seconds, solved, tried = 0, 0.0, False, 0
        for rung in rungs:
            answer = piece.answers[rung]
            cost, seconds, tried = cost + answer.cost_nusd, seconds + answer.seconds, tried + 1
            if answer.solved:
                solved = True
                break
        return Result(piece, solved, cost, seconds, tried > 1)

    return way


def twice(piece: Piece) -> Result:
    """The strongest, and once more where it failed."""
    first, again = piece.answers[-1], piece.again
    if first.solved or again is None:
        return Result(piece, first.solved, first.cost_nusd, first.seconds, climbed=False)
    cost, seconds = first.cost_nusd + again.cost_nusd, first.seconds + again.seconds
    return Result(piece, again.solved, cost, seconds, climbed=False)


def ladders(rungs: int) -> list[tuple[int, ...]]:
    """Every ladder that ends in the strongest of so many rungs, that rung alone first."""
    last = rungs - 1
    return [(*below, last) for size in range(rungs) for below in combinations(range(last), size)]


@dataclass(frozen=True, slots=True)
class Summary:
    """Means per task of one way of working, beside the strongest model alone at the same tasks."""

    usd: float
    ratio: float
    """Of its cost to that of the strongest alone."""
    solved: float
    gained: float
    """Solved by it less solved by the strongest: a share of tasks."""
    low: float
    high: float
    """The 95 % interval of `gained`, tasks resampled with all their trials and shuffles."""
    seconds: float
    climbed: float


def summary(results: Sequence[Result], resamples: int = RESAMPLES) -> Summary:
    """What many results of one recording come to."""
    strongest = sum(r.piece.answers[-1].cost_nusd for r in results)
    cost = sum(r.cost_nusd for r in results)
    by_task: dict[str, list[int]] = {}
    for r in results:
        by_task.setdefault(r.piece.task, []).append(r.solved - r.piece.answers[-1].solved)
    low, high = _interval([(sum(found), len(found)) for found in by_task.values()], resamples)
    return Summary(
        usd=cost / len(results) / 1e9,
        ratio=cost / strongest,
        solved=fmean(r.solved for r in results),
        gained=fmean(r.solved - r.piece.answers[-1].solved for r in results),
        low=low,
        high=high,
        seconds=fmean(r.seconds for r in results),
        climbed=fmean(r.climbed for r in results),
    )


def _interval(tasks: Sequence[tuple[int, int]], resamples: int) -> tuple[float, float]:
    """A bootstrap over tasks: (sum of differences, how many) of each."""
    rng = random.Random(len(tasks))
    means = []
    for _ in range(resamples):
        drawn = rng.choices(tasks, k=len(tasks))
        means.append(sum(total for total, _ in drawn) / sum(n for _, n in drawn))
    means.sort()
    return means[int(resamples * 0.025)], means[int(resamples * 0.975)]
