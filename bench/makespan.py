"""How long plans take under slots and token limits, beside what no order of starts could beat.

    python -m bench.makespan [--plans N] [--seed N] [--noise SD] [--worst N]

Random plans (layers, chains with forks, fan-outs with and without a merge, pipelines side by side) on three
models, with limits on tasks side by side, slots per model, and requests, input and output tokens per minute.
The real scheduler is driven by a heap of ends, in virtual time. The lower bound is the largest of: the
longest chain; all work over `parallel`, and that of each model over its slots; of each model the requests and
tokens over their rate. For that the buckets begin empty: with the minute's worth of a new run less would do.

The last line holds the same makespans against a sharper bound: what a model takes over its rate, before it
the shortest chain to its first task, after it the shortest chain from its last.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.worlds import begun

from stretto import events as ev
from stretto.models import BUILTIN, Rates
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.graph import build
from stretto.plan.model import Expect, Limits, Plan, Task
from stretto.scheduler.schedule import Scheduler

SEED = 20_261_121
PLANS = 500
GOAL = 1.05
SPEEDS = {"claude-haiku-5-5": 85.0, "claude-sonnet-5-5": 60.0, "claude-opus-5-5": 57.0}
"""Output tokens per second."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one task really takes."""

    model: str
    seconds: float
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Case:
    """One random plan, what its tasks take, and the limits it is under."""

    seed: int
    noise: float
    plan: Plan = field(init=False)
    costs: dict[str, Cost] = field(default_factory=dict)
    rates: dict[str, Rates] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.slots = {id: rng.randint(1, 12) for id in SPEEDS if rng.random() < 0.4}
        slots = {f"messages/{id}": count for id, count in self.slots.items()}
        limits = Limits(parallel=rng.randint(2, 24), slots={"messages": 1_000, **slots})
        self.plan = Plan(name="random", tasks=tuple(self._tasks(rng)), limits=limits)
        self._limit(rng)

    def _tasks(self, rng: random.Random) -> Iterator[Task]:
        size = round(20 * 25 ** rng.random())
        shape = rng.choice([layers, tree, fan, pipelines])
        models = rng.sample(list(SPEEDS), rng.randint(1, 3))
        spread = rng.choice([0.3, 0.6, 1.0])
        for k, needs in enumerate(shape(rng, size)):
            id, model = f"t{k}", rng.choice(models)
            output = max(20, round(600 * math.exp(rng.gauss(0, spread))))
            prompt = round(2_000 * math.exp(rng.gauss(0, spread)))
            seconds = 1.0 + output / SPEEDS[model]
            self.costs[id] = Cost(model, seconds, prompt, output)
            thought = seconds * math.exp(rng.gauss(0, self.noise)) if self.noise else seconds
            after = tuple(f"t{n}" for n in sorted(needs))
            yield Task(
                id=id, prompt="P", model=model, on="messages", after=after, expect=Expect(time_s=thought)
            )

    def _limit(self, rng: random.Random) -> None:
        """Limits per minute under which the model takes from half to 1.5 times as long as without."""
        alone_s = max(self.critical_s(), self.work_s())
        for id in SPEEDS:
            mine = [cost for cost in self.costs.values() if cost.model == id]
            if not mine or rng.random() < 0.4:
                continue
            rate = {}
            for name, total in self.totals(id).items():
                minutes = alone_s * rng.uniform(0.5, 1.5) / 60
                rate[name] = max(1, math.ceil(total / minutes)) if rng.random() < 0.5 else None
            self.rates[id] = Rates(**rate)

    def totals(self, model: str) -> dict[str, int]:
        mine = [cost for cost in self.costs.values() if cost.model == model]
        return {
            "requests": len(mine),
            "input_tokens": sum(cost.input_tokens for cost in mine),
            "output_tokens": sum(cost.output_tokens for cost in mine),
        }

    # Lower bounds

    def critical_s(self) -> float:
        ends: dict[str, float] = {}
        for part in self.plan.tasks:
            ends[part.id] = self.costs[part.id].seconds + max((ends[n] for n in part.after), default=0.0)
        return max(ends.values())

    def work_s(self) -> float:
        """All work over the slots for it."""
        bounds = [sum(cost.seconds for cost in self.costs.values()) / self.plan.limits.parallel]
        for id, slots in self.slots.items():
            bounds.append(sum(cost.seconds for cost in self.costs.values() if cost.model == id) / slots)
        return max(bounds)

    def tokens_s(self) -> float:
        """All that a model takes over what it may take."""
        bounds = [0.0]
        for id, rates in self.rates.items():
            for name, total in self.totals(id).items():
                rate = getattr(rates, name)
                if rate is not None:
                    bounds.append(60.0 * total / rate)
        return max(bounds)

    def sharper_s(self) -> float:
        """The tokens of a model, and before them what its first task waits for, after them its last task."""
        parts = self.plan.tasks
        before: dict[str, float] = {}
        after = {part.id: self.costs[part.id].seconds for part in parts}
        for part in parts:
            ends = (before[need] + self.costs[need].seconds for need in part.after)
            before[part.id] = max(ends, default=0.0)
        for part in reversed(parts):
            for need in part.after:
                after[need] = max(after[need], self.costs[need].seconds + after[part.id])
        bounds = [self.critical_s(), self.work_s(), self.tokens_s()]
        for id, rates in self.rates.items():
            mine = [part.id for part in parts if self.costs[part.id].model == id]
            edges = min(before[id] for id in mine) + min(after[id] for id in mine)
            for name, total in self.totals(id).items():
                rate = getattr(rates, name)
                if rate is not None:
                    bounds.append(edges + 60.0 * total / rate)
        return max(bounds)


# Shapes: for each task the numbers of those before it that it needs


def layers(rng: random.Random, size: int) -> list[list[int]]:
    width = rng.randint(2, max(2, size // 3))
    found: list[list[int]] = []
    for k in range(size):
        before = range(max(0, (k // width - 1) * width), k // width * width)
        found.append(rng.sample(before, min(len(before), rng.choice([0, 1, 1, 2, 3]))))
    return found


def tree(rng: random.Random, size: int) -> list[list[int]]:
    """Each needs one of those before it, mostly a late one: chains that fork."""
    near = rng.choice([1, 3, 10, size])
    return [[] if not k else [max(0, k - rng.randint(1, near))] for k in range(size)]


def fan(rng: random.Random, size: int) -> list[list[int]]:
    """One, then many at once, and often a merge of all of them; perhaps twice."""
    found: list[list[int]] = []
    parts = rng.choice([1, 1, 2, 3])
    last: list[int] = []
    for _ in range(parts):
        found.append(last)
        first, width = len(found) - 1, max(1, size // parts - 2)
        found += [[first] for _ in range(width)]
        last = list(range(first + 1, len(found)))
        if rng.random() < 0.7:
            found.append(last)
            last = [len(found) - 1]
    return found


def pipelines(rng: random.Random, size: int) -> list[list[int]]:
    """Chains of different lengths side by side, as the items of an each have."""
    found: list[list[int]] = []
    while len(found) < size:
        length = rng.randint(1, 8)
        first = len(found)
        found += [[] if not k else [first + k - 1] for k in range(length)]
    return found


# Driving


def makespan_s(case: Case, *, urgent_first: bool) -> float:
    """How long the plan takes; each attempt makes one call and takes its time once that is sent."""
    models = tuple(replace(m, rates=case.rates.get(m.id, Rates())) for m in BUILTIN.models)
    graph = build(case.plan)
    if not urgent_first:
        for element in graph.elements.values():
            element.tail_s, element.index = 0.0, 0
    scheduler = Scheduler(case.plan, graph, Chooser(replace(BUILTIN, models=models), History()))
    scheduler.start(begun(case.plan), 0)
    scheduler.cashier.open(0)
    ends: list[tuple[int, str]] = []
    now = 0
    while True:
        scheduler.tick(now)
        while ends and ends[0][0] <= now:
            id = heapq.heappop(ends)[1]
            cost = case.costs[id]
            usage = {"input": cost.input_tokens, "output": cost.output_tokens}
            scheduler.call_done(ev.CallSettled(f"{id}#1", 1, cost.model, usage, 0, certain=True))
            scheduler.ended(ev.AttemptEnded(id, 1, "ok", output="x"))
        for vertex in scheduler.picks():
            scheduler.begin(vertex, scheduler.choice(vertex))
        done = scheduler.end_if_done()
        commands = scheduler.take()[1]
        while commands:
            for command in commands:
                match command:
                    case ev.Start(id):
                        cost = case.costs[id]
                        scheduler.call_asked(
                            f"{id}#1",
                            1,
                            0,
                            model=cost.model,
                            input_tokens=cost.input_tokens,
                            output_tokens=16_000,
                        )
                    case ev.Answer(attempt, _, granted):
                        assert granted
                        id = attempt.partition("#")[0]
                        heapq.heappush(ends, (now + round(case.costs[id].seconds * 1e6), id))
                    case _:
                        raise AssertionError(command)
            commands = scheduler.take()[1]
        if done:
            return now / 1e6
        times = [ends[0][0]] if ends else []
        wake = scheduler.wake_at_us()
        now = min(times if wake is None else [*times, wake])


@dataclass(slots=True)
class Row:
    """One plan: its bound, what gives it, and how long it took in both orders, as multiples of the bound."""

    seed: int
    tasks: int
    binds: str
    bound_s: float
    urgent: float
    fifo: float
    sharper: float
    """The sharper bound, over the bound."""


def measure(seed: int, noise: float) -> Row:
    case = Case(seed, noise)
    bounds = {"chain": case.critical_s(), "slots": case.work_s(), "tokens": case.tokens_s()}
    binds = max(bounds, key=lambda name: bounds[name])
    bound = bounds[binds]
    urgent, fifo = (makespan_s(case, urgent_first=first) / bound for first in (True, False))
    return Row(seed, len(case.costs), binds, bound, urgent, fifo, case.sharper_s() / bound)


def line(name: str, rows: list[Row]) -> str:
    def parts(values: list[float]) -> str:
        deciles = statistics.quantiles(values, n=10)
        over = sum(value > GOAL for value in values) / len(values)
        return (
            f"{statistics.median(values):>9.3f}{deciles[8]:>8.3f}{max(values):>8.3f}{statistics.mean(values):>8.3f}"
            f"{over:>7.0%}"
        )

    if len(rows) < 2:
        return f"{name:<10}{len(rows):>6}"
    return f"{name:<10}{len(rows):>6}{parts([r.urgent for r in rows])}   {parts([r.fifo for r in rows])}"


TITLE = (
    f"{'bound by':<10}{'plans':>6}{'median':>9}{'90 %':>8}{'worst':>8}{'mean':>8}{'>1.05':>7}   "
    f"{'median':>9}{'90 %':>8}{'worst':>8}{'mean':>8}{'>1.05':>7}"
)


def table(rows: list[Row]) -> list[str]:
    """Makespan over lower bound: longest remaining path first, then first in, first out."""
    lines = [f"{'':<16}{'longest remaining path first':^40}   {'first in, first out':^40}", TITLE]
    for binds in ("chain", "slots", "tokens"):
        lines.append(line(binds, [row for row in rows if row.binds == binds]))
    sharper = [replace(r, urgent=r.urgent / r.sharper, fifo=r.fifo / r.sharper) for r in rows]
    return [*lines, line("all", rows), line("sharper", sharper)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=PLANS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--noise", type=float, default=None, help="sd(log) of the expected times")
    parser.add_argument("--worst", type=int, default=0)
    args = parser.parse_args()
    for noise in [0.0, 0.6] if args.noise is None else [args.noise]:
        began = time.process_time()
        rows = [measure(args.seed + k, noise) for k in range(args.plans)]
        known = "times known" if not noise else f"times known with an error of sd(log) {noise:g}"
        tasks = sum(row.tasks for row in rows)
        cpu = time.process_time() - began
        print(f"{len(rows)} plans of {tasks:,} tasks in all, seed {args.seed}, {known}; {cpu:.0f} s of CPU")
        print(*table(rows), sep="\n")
        for row in sorted(rows, key=lambda row: -row.urgent)[: args.worst]:
            print(row)


if __name__ == "__main__":
    main()
