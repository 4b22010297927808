"""Whether the ranges of estimates hold what really happened: recorded outcomes, split in two again and again.

    python -m bench.estimates [--csv FILE] [--splits N] [--seed N] [--samples N] [--aside N]

For each data set and model of the recording (first trials): one half of the tasks, by chance, is the history,
the other half is a plan. Its total is estimated as `stretto estimate` does it: outcomes go into a `History`,
tasks become pieces with their figures, the sampler draws. `held` is the share of splits in which the 10-90 %
range holds the recorded total of the plan half; `below` and `above` are the shares in which the truth lies
under or over it. Beside it the plain empirical predictor: sums of as many draws from the history half as the
plan has tasks. `width` is the median width of the range, as a multiple of the plain one's.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from stretto.estimate.pieces import Widths, piece_of
from stretto.estimate.sampling import Sampler, money_of, points_of
from stretto.models import BUILTIN, is_free
from stretto.models.choice import Chooser
from stretto.models.facts import facts_of
from stretto.models.history import History, Outcome
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task

DATA = Path(__file__).parents[2] / "shared" / "data" / "outcomes.csv"
SEED = 20_261_121
SPLITS = 1_000
SAMPLES = 1_000
LEAST, MOST = 0.70, 0.88
WIDEST = 1.25
EFFORT = "high"
"""Nothing is recorded of it; both halves have the same."""


class Answer(NamedTuple):
    """What one model did with one task, the first time."""

    task: str
    family: str
    prompt: str
    solved: bool
    nusd: int
    seconds: float
    cached_tokens: int
    input_tokens: int
    output_tokens: int


class Pair(NamedTuple):
    """All that is recorded of one model on one data set."""

    data: str
    model: str
    answers: tuple[Answer, ...]


class Split(NamedTuple):
    """One split: for money and for time the truth and two ranges of it."""

    truth: tuple[float, float]
    low: tuple[float, float]
    high: tuple[float, float]
    plain_low: tuple[float, float]
    plain_high: tuple[float, float]


class Line(NamedTuple):
    """What the splits of one pair say of its money or its time."""

    held: float
    below: float
    above: float
    plain_held: float
    width: float

    @property
    def good(self) -> bool:
        return LEAST <= self.held <= MOST and self.width <= WIDEST


def read(path: Path) -> list[Pair]:
    """The first trials of every data set and model, as they stand in the file."""
    found: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["trial"] == "1" and row["cost_usd"] and row["time_s"]:
                cached = int(float(row["cached_tokens"] or 0))
                answer = Answer(
                    row["task"],
                    row["family"],
                    row["prompt"],
                    row["solved"] == "1",
                    round(float(row["cost_usd"]) * 1e9),
                    float(row["time_s"]),
                    cached,
                    int(float(row["input_tokens"] or 0)) - cached,
                    int(float(row["output_tokens"] or 0)),
                )
                found[row["dataset"], row["model"]].append(answer)
    return [Pair(data, model, tuple(answers)) for (data, model), answers in sorted(found.items())]


def splits_of(pair: Pair, splits: int, samples: int, seed: int) -> list[Split]:
    """Every split of one pair, each with its own history and its own estimate."""
    tasks = tuple(
        Task(
            id=f"t{k}",
            prompt=answer.prompt.replace("${", "$${") or "a task whose words were not recorded",
            model=pair.model,
            effort=EFFORT,
            family=answer.family,
            attempts=1,
        )
        for k, answer in enumerate(pair.answers)
    )
    plan = Plan(name="recorded", tasks=tasks)
    elements = list(build(plan).elements.values())
    sizes = [facts_of(element, plan.name, "messages", BUILTIN).input_tokens for element in elements]
    chance = np.random.default_rng([seed, len(pair.answers), sum(pair.model.encode())])
    n = len(tasks)
    found = []
    for number in range(splits):
        order = chance.permutation(n)
        before, after = order[: n // 2], order[n // 2 :]
        history = History()
        for k in before:
            history.add(_outcome(pair, pair.answers[k], sizes[k]))
        chooser = Chooser(BUILTIN, history)
        pieces = [piece_of(elements[k], plan, "messages", chooser, is_free) for k in sorted(after)]
        sampler = Sampler(Widths({}), samples, seed + number)
        sampler.add(pieces)
        ranges = (money_of(sampler.total.nusd), points_of(sampler.total.busy_s))
        found.append(_split(pair, before, after, ranges, samples, chance))
    return found


def _outcome(pair: Pair, answer: Answer, size: int) -> Outcome:
    return Outcome(
        signature="",
        family=answer.family,
        kind="",
        model=pair.model,
        tier=BUILTIN.info(pair.model).tier,
        effort=EFFORT,
        role="work",
        ok=answer.solved,
        verified=True,
        cost_nusd=answer.nusd,
        seconds=answer.seconds,
        input_tokens=answer.input_tokens,
        cache_read_tokens=answer.cached_tokens,
        output_tokens=answer.output_tokens,
        agent="messages",
        size=size,
    )


def _split(
    pair: Pair,
    before: Any,
    after: Any,
    ranges: Sequence[tuple[float, float, float]],
    samples: int,
    chance: np.random.Generator,
) -> Split:
    drawn = chance.integers(0, len(before), (samples, len(after)))
    truth, plain = [], []
    for name in ("nusd", "seconds"):
        values = np.array([getattr(answer, name) for answer in pair.answers], dtype=float)
        truth.append(float(values[after].sum()))
        plain.append(np.quantile(values[before][drawn].sum(axis=1), [0.1, 0.9]))
    return Split(
        (truth[0], truth[1]),
        (ranges[0][0], ranges[1][0]),
        (ranges[0][2], ranges[1][2]),
        (float(plain[0][0]), float(plain[1][0])),
        (float(plain[0][1]), float(plain[1][1])),
    )


def line_of(splits: Sequence[Split], place: int) -> Line:
    """`place` 0: money, 1: time."""
    n = len(splits)
    below = sum(s.truth[place] < s.low[place] for s in splits) / n
    above = sum(s.truth[place] > s.high[place] for s in splits) / n
    plain = sum(s.plain_low[place] <= s.truth[place] <= s.plain_high[place] for s in splits) / n
    width = median(s.high[place] - s.low[place] for s in splits)
    plain_width = median(s.plain_high[place] - s.plain_low[place] for s in splits)
    return Line(1 - below - above, below, above, plain, width / plain_width)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--csv", type=Path, default=DATA)
    words.add_argument("--splits", type=int, default=SPLITS)
    words.add_argument("--samples", type=int, default=SAMPLES)
    words.add_argument("--seed", type=int, default=SEED)
    words.add_argument("--aside", type=int, default=2, help="processes side by side")
    args = words.parse_args()
    began_s = time.monotonic()
    pairs = read(args.csv)
    work = partial(splits_of, splits=args.splits, samples=args.samples, seed=args.seed)
    print(f"{args.splits:,} splits each, {args.samples:,} samples, seed {args.seed}\n")
    print("| data | model | tasks | of | held | below | above | plain held | width | |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    good = rows = 0
    with Pool(args.aside) as pool:
        for pair, splits in zip(pairs, pool.imap(work, pairs), strict=True):
            for place, name in enumerate(("money", "time")):
                line = line_of(splits, place)
                rows, good = rows + 1, good + line.good
                shares = " | ".join(f"{100 * share:.1f} %" for share in line[:4])
                size = len(pair.answers)
                mark = "" if line.good else "**missed**"
                row = (pair.data, pair.model, str(size), name, shares, f"{line.width:.2f}", mark)
                print(f"| {' | '.join(row)} |", flush=True)
    print(
        f"\n{good} of {rows} hold {100 * LEAST:.0f}-{100 * MOST:.0f} % in at most {WIDEST} times the plain"
        f" width; {time.monotonic() - began_s:.0f} s"
    )
    return 0 if good == rows else 1


if __name__ == "__main__":
    raise SystemExit(main())
