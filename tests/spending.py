"""Random worlds whose attempts make calls that cost money, under a provider that keeps its own bill."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from stretto import events as ev
from stretto.models import BUILTIN, ModelInfo, Rates
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.models.prices import Price
from stretto.plan.model import Plan
from stretto.run.desk import not_sent
from stretto.scheduler.choosing import Choice, Choices
from stretto.scheduler.state import State
from stretto.scheduler.vertex import TaskVertex, Vertex
from tests.books import Books
from tests.worlds import World, begun, chance, random_plan, replayed, snapshot

STEP_TOKENS = 5_000
OVER = ("succeeded", "failed", "cancelled")


def random_price(rng: random.Random) -> Price:
    """Anything from nothing to a hundred dollars a million, with or without a step for long prompts."""

    def flat(times: int) -> Price:
        rate = [times * rng.choice([0, 1, 7, 10**3, rng.randint(1, 10**11)]) for _ in range(5)]
        return Price(rate[0], rate[1], rate[2], rate[3], rate[4])

    low = flat(1)
    if rng.random() < 0.5:
        return low
    return replace(low, steps=((STEP_TOKENS, flat(2)),))


@dataclass
class Provider:
    """Sends calls of any cost up to their bound, and keeps a bill that no crash of ours can touch."""

    seed: int
    price: Price
    free: float = 0.1
    dear: float = 0.1
    lost: float = 0.1
    rates: Rates | None = None
    known_nusd: int = 0
    """The part of the bill whose usage arrived."""
    bills: dict[str, int] = field(default_factory=dict)
    """By task."""

    @property
    def bill_nusd(self) -> int:
        return sum(self.bills.values())

    def bound(self, attempt: str, call: int) -> tuple[int, int, int]:
        """The most that this call can cost, its prompt at most and its answer at most, in tokens."""
        tokens = 1 + int(2 * STEP_TOKENS * chance(self.seed, "in", attempt, call) ** 2)
        most = 1 + int(4_000 * chance(self.seed, "out", attempt, call) ** 2)
        return self.price.bound_nusd(tokens, most, cached=True, cache_1h=True), tokens, most

    def least(self, attempt: str, call: int) -> int | None:
        """What the call can cost with the shortest answer that will do; None where only a whole one will."""
        bound, tokens, most = self.bound(attempt, call)
        if chance(self.seed, "least", attempt) < 0.5:
            return None
        return min(bound, self.price.bound_nusd(tokens, most // 50, cached=True, cache_1h=True))

    def serve(self, attempt: str, call: int, granted: int) -> tuple[dict[str, int], int]:
        """Usage and cost of a call that was sent; it is on the bill whatever becomes of its answer."""
        bound, tokens, most = self.bound(attempt, call)
        draw = chance(self.seed, "how", attempt, call)
        if draw < self.free:
            usage, cost = {}, 0
        elif draw < self.free + self.dear:
            usage, cost = {"output": most}, bound
        else:
            prompt = int((tokens + 1) * chance(self.seed, "prompt", attempt, call))
            classes = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
            usage = {classes[int(4 * chance(self.seed, "class", attempt, call))]: prompt}
            usage["output"] = int((most + 1) * chance(self.seed, "answer", attempt, call))
            cost = self.price.cost_nusd(usage)
        assert cost <= bound
        cost = min(cost, granted)  # an answer that was kept shorter
        task = attempt.rpartition("#")[0]
        self.bills[task] = self.bills.get(task, 0) + cost
        return usage, cost

    def fate(self, attempt: str, call: int) -> str:
        draw = chance(self.seed, "fate", attempt, call)
        return "silent" if draw < self.lost / 2 else "uncertain" if draw < self.lost else "certain"


@dataclass
class Paying:
    """One attempt: how many calls it still makes, and what it waits for."""

    role: str
    left: int
    call: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    cost_nusd: int = 0


class Priced:
    """The choices of a run, each with an expected cost: what admission goes by."""

    def __init__(self, choices: Choices, expected: Callable[[TaskVertex], int]):
        self._choices = choices
        self._expected = expected

    def of(self, vertex: TaskVertex, role: str) -> Choice:
        return self._choices.of(vertex, role)._replace(expected_nusd=self._expected(vertex), guess=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._choices, name)


def _group(attempt: str) -> str:
    return attempt.split(".")[0] if "." in attempt else ""


def _task(vertex: Vertex) -> TaskVertex:
    assert isinstance(vertex, TaskVertex)
    return vertex


@dataclass
class SpendingWorld(World):
    """A world in which attempts ask for money, send, settle or fall silent. `_end` is told what is due."""

    provider: Provider = field(default_factory=lambda: Provider(0, Price(0, 0, 0, 0, 0)))
    cap_nusd: int | None = None
    expected: Callable[[TaskVertex], int] | None = None
    folds: bool = False
    """After each commit the fold of all events is held against the live state."""
    calls: int = 3
    books: Books = field(default_factory=Books)
    refused: list[int] = field(default_factory=list)
    """Bounds that were refused since the cap was last changed."""

    def __post_init__(self) -> None:
        if self.provider.rates is not None:
            models = (*BUILTIN.models, ModelInfo("m", rates=self.provider.rates))
            self.chooser = Chooser(replace(BUILTIN, models=models), History())
        super().__post_init__()
        if self.expected is not None:
            expected, vertices = self.expected, self.scheduler.state.vertices
            priced: Any = Priced(self.scheduler.choices, expected)
            self.scheduler.choices = priced
            self.books.expected = lambda task: expected(_task(vertices[task]))
        self.books.plan = self.plan
        self.shrunk = 0
        self.paying: dict[tuple[str, int], Paying] = {}
        self.asked: dict[tuple[str, int], int] = {}
        self.kept = 0
        self.turns = 0
        self.watch = self._check

    def begin(self) -> None:
        started = begun(self.plan, seed=self.seed, cap_nusd=self.cap_nusd, parallel=self.parallel)
        self.scheduler.start(started, self.now_us)

    def go_on(
        self, log: list[tuple[int, ev.Event]], now_us: int, cap_nusd: int | None, release: bool
    ) -> None:
        """What `resume_run` does: fold, close what died, perhaps raise the cap."""
        scheduler = self.scheduler
        for at_us, event in log:
            scheduler.fold(event, at_us)
            self.books.take(event)
        self.log, self.kept, self.now_us = list(log), len(log), now_us
        self.books.agree_with(scheduler.state)
        was_paused = scheduler.state.paused is not None
        scheduler.resume(2, "", now_us)
        if was_paused or cap_nusd is not None:
            scheduler.proceed("resume", cap_nusd)
        if release:
            scheduler.release_held("resume")

    def drive(self, most_turns: int) -> bool:
        """True when nothing is left to do; False when the process died after so many turns."""
        for _ in range(most_turns):
            self.turns += 1
            if self.turn():
                self._check()
                self.books.agree_with(self.scheduler.state)
                return True
        return False

    def _check(self) -> None:
        """After each commit, event by event: the cap, the provider's bill, the order of the answers."""
        state, books = self.scheduler.state, self.books
        for _, event in self.log[self.kept :]:
            if isinstance(event, ev.CallReserved):
                # Whoever asked earlier in this group and still waits was not overtaken, unless it is less
                # urgent, or waits for less than all.
                mine = self.asked[event.attempt, event.call]
                task = event.attempt.rpartition("#")[0]
                tail_s = _task(state.vertices[task]).element.tail_s
                for other in self.scheduler.cashier.calls:
                    if other.accounts == state.accounts(task) == () and _group(other.attempt) == _group(
                        event.attempt
                    ):
                        later = self.asked[other.attempt, other.call] > mine
                        assert later or -other.urgency < tail_s
            if isinstance(event, ev.RunContinued) and event.cap_nusd is not None:
                self.refused.clear()
            books.take(event)
        self.kept = len(self.log)
        if not self.scheduler.out:
            books.agree_with(state)
            if self.folds:
                assert snapshot(replayed(self.plan, self.log)) == snapshot(state)
        books.pays(self.provider.bills)

    # Happenings

    def _act(self, command: ev.Command) -> None:
        match command:
            case ev.Start(task, n, role):
                calls = int((self.calls + 1) * chance(self.seed, "calls", task, n))
                self.began[task, n] = self.now_us
                self.paying[task, n] = Paying(role, calls)
                self._next(task, n)
            case ev.Stop(task, n, _) if (task, n) in self.paying:
                self.ends = [e for e in self.ends if e[2:4] != (task, n)]
                heapq.heapify(self.ends)
                del self.paying[task, n]
                self.scheduler.ended(ev.AttemptEnded(task, n, "cancelled"))
            case ev.Stop():
                pass  # it ended meanwhile
            case ev.Answer():
                self._answered(command)

    def _answered(self, answer: ev.Answer) -> None:
        attempt, call, granted = answer[:3]
        task, _, number = attempt.rpartition("#")
        paying = self.paying.get((task, int(number)))
        if paying is None:
            if granted:
                self.scheduler.call_done(not_sent(attempt, call))
        elif granted:
            assert answer.nusd == self.scheduler.state.ledger.reserved[attempt, call]
            paying.usage, paying.cost_nusd = self.provider.serve(attempt, call, answer.nusd)
            self.shrunk += answer.nusd < self.provider.bound(attempt, call)[0]
            self._due(task, int(number), "settle")
        else:
            nusd = self.provider.least(attempt, call) or self.provider.bound(attempt, call)[0]
            assert not self.books.has_room(task, nusd)
            del self.paying[task, int(number)]
            ended = ev.AttemptEnded(task, int(number), "error", "run", "the call was not sent: budget")
            if answer.final:
                self.scheduler.ended(ended._replace(cls="task", error=answer.why), final=True)
            else:
                self.refused.append(nusd)
                self.scheduler.ended(ended, pause="budget")

    def _due(self, task: str, n: int, what: str) -> None:
        took = int(1e6 * (0.1 + 2 * chance(self.seed, what, task, n, self.paying[task, n].call)))
        heapq.heappush(self.ends, (self.now_us + took, len(self.log), task, n, what))

    def _next(self, task: str, n: int) -> None:
        paying = self.paying[task, n]
        self._due(task, n, "ask" if paying.left else paying.role)

    def _end(self, task: str, n: int, role: str) -> None:
        paying, attempt = self.paying[task, n], f"{task}#{n}"
        match role:
            case "ask":
                paying.left -= 1
                paying.call += 1
                self.asked[attempt, paying.call] = len(self.asked)
                bound, tokens, most = self.provider.bound(attempt, paying.call)
                self.scheduler.call_asked(
                    attempt,
                    paying.call,
                    bound,
                    least_nusd=self.provider.least(attempt, paying.call),
                    model="m",
                    input_tokens=tokens // 3,
                    output_tokens=most,
                )
            case "settle":
                self._settle(task, n, paying)
            case _:
                del self.paying[task, n]
                super()._end(task, n, role)

    def _settle(self, task: str, n: int, paying: Paying) -> None:
        attempt, call = f"{task}#{n}", paying.call
        fate = self.provider.fate(attempt, call)
        if fate == "certain":
            self.provider.known_nusd += paying.cost_nusd
            cost, usage = paying.cost_nusd, paying.usage
            self.scheduler.call_done(ev.CallSettled(attempt, call, "m", usage, cost, certain=True))
            self._next(task, n)
            return
        if fate == "uncertain":
            held = self.scheduler.state.ledger.reserved[attempt, call]
            self.scheduler.call_done(ev.CallSettled(attempt, call, "m", {}, held, certain=False))
        del self.paying[task, n]
        self.scheduler.ended(ev.AttemptEnded(task, n, "error", "transient", "cut"))


@dataclass
class Job:
    """One plan under one provider, over as many lives as it takes; what happened is counted."""

    seed: int
    plan: Plan
    lives: int = 7
    capped: bool = False
    """Some tasks and groups have caps of their own, and some attempts expect to cost something."""
    folds: bool = False
    tally: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.provider = Provider(
            self.seed,
            random_price(rng),
            free=rng.choice([0.0, 0.1, 0.5]),
            dear=rng.choice([0.0, 0.1, 1.0]),
            lost=rng.choice([0.0, 0.1, 0.4]),
        )
        one = max(self.provider.bound(f"x{k}#1", 1)[0] for k in range(10))
        self.step_nusd = rng.choice([one // 3, one, 3 * one, 10 * one])
        self.expected = 0.0
        if self.capped:
            size = 8 + self.seed % 24
            self.plan = random_plan(self.seed, size=size, cancels=True, cap_nusd=2 * self.step_nusd)
            self.expected = rng.choice([0.0, 0.3, 2.0]) * one
            if rng.random() < 0.4:
                minute = rng.randint(10, 100)
                self.provider.rates = Rates(rng.choice([None, minute]), 2_000 * minute, 1_000 * minute)
        self.world = self._world(rng.choice([0, None, self.step_nusd, self.step_nusd, self.step_nusd]))

    def count(self, what: str, by: int = 1) -> None:
        self.tally[what] = self.tally.get(what, 0) + by

    def play(self) -> State:
        """Lives until the job is over; the last life has money enough and is left alone."""
        self.world.begin()
        for life in range(self.lives + 1):
            last = life == self.lives
            self._live(last)
            state = self.world.scheduler.state
            if state.status in OVER:
                break
            self._resume(last=life + 1 >= self.lives)
        ledger = self.world.scheduler.state.ledger
        assert self.world.scheduler.state.status in OVER, self.world.scheduler.state.status
        assert not self.world.scheduler.cashier.calls and not ledger.reserved
        self.count("refused calls", len(self.world.refused))
        self.count("calls", self.world.books.grants)
        self.count("shrunk calls", self.world.shrunk)
        failed = [e.why for _, e in self.world.log if isinstance(e, ev.TaskFailed)]
        self.count("tasks that used up a cap", sum("is used up" in why for why in failed))
        self.count("attempts", sum(isinstance(e, ev.AttemptStarted) for _, e in self.world.log))
        settled = [e for _, e in self.world.log if isinstance(e, ev.CallSettled)]
        self.count("calls whose usage never came", sum(not e.certain for e in settled))
        assert ledger.spent_nusd == self.provider.known_nusd
        assert self.provider.bill_nusd <= ledger.spent_nusd + ledger.held_nusd + self.world.books.freed_nusd
        return self.world.scheduler.state

    def _live(self, last: bool) -> None:
        world, rng = self.world, self.rng
        crash = not last and rng.random() < 0.5
        meddle = not last and rng.random() < 0.4
        left = rng.randint(1, 25) if crash else 100_000
        while left > 0:
            some = min(left, rng.randint(1, 20) if meddle else left)
            left -= some
            if world.drive(some):
                self._ended(world)
                return
            if meddle:
                meddle = rng.random() < 0.7
                self._meddle()
        assert crash, "a run that does not end is stuck"
        self.count("crashes")
        self.count("calls in flight at a crash", len(world.books.reserved))

    def _meddle(self) -> None:
        """Somebody interferes with a live run: raises the cap, interrupts, stops, cancels."""
        scheduler, rng = self.world.scheduler, self.rng
        cap, paused = scheduler.state.ledger.cap_nusd, scheduler.state.paused
        if paused is not None and paused.why == "budget" and cap is not None:
            scheduler.proceed("approve", cap + self.step_nusd)
            self.count("caps raised in flight")
        elif rng.random() < 0.1:
            scheduler.cancel("test")
            self.count("cancelled")
        elif rng.random() < 0.5:
            scheduler.pause("user")
            if rng.random() < 0.5:
                scheduler.stop_all()
                self.count("stopped attempts", len(scheduler.state.live))

    def _ended(self, world: SpendingWorld) -> None:
        state = world.scheduler.state
        assert not state.live and not world.scheduler.cashier.calls and not state.ledger.reserved
        if state.status in OVER:
            return
        assert state.status == "paused" and state.paused is not None
        self.count(f"paused ({state.paused.why})")
        if state.paused.why == "budget":
            ledger = state.ledger
            assert state.paused.need_nusd is not None and not ledger.fits(state.paused.need_nusd)
            if not world.refused:
                assert "is expected to cost" in state.paused.note
                self.count("stopped before an attempt")
            assert all(not ledger.fits(nusd) for nusd in world.refused), "it would have fitted"

    def _resume(self, last: bool) -> None:
        old, rng = self.world, self.rng
        state = old.scheduler.state
        used, cap = state.ledger.committed_nusd, state.ledger.cap_nusd
        if last:
            new: int | None = 10**18
        elif cap is None:
            new = None
        elif state.paused is not None and state.paused.why == "budget":
            new = cap + rng.randint(0, 2 * self.step_nusd)
        else:
            new = rng.choice([None, used + rng.randint(0, self.step_nusd), cap + self.step_nusd])
        self.count("refused calls", len(old.refused))
        self.world = self._world(cap)
        release = rng.random() < 0.1
        self.world.go_on(old.log, old.now_us, new, release)
        self.count("resumes")
        self.count("holds released", release)

    def _world(self, cap_nusd: int | None) -> SpendingWorld:
        def expected(vertex: TaskVertex) -> int:
            return int(self.expected * chance(self.seed, "expected", vertex.element.path))

        return SpendingWorld(
            self.plan,
            self.seed,
            provider=self.provider,
            cap_nusd=cap_nusd,
            failing=0.1 + self.seed % 3 / 10,
            expected=expected if self.expected else None,
            folds=self.folds,
        )
