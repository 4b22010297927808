"""Random worlds whose attempts make calls that cost money, and books that are kept from the events alone."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field, replace

from stretto import events as ev
from stretto.models.prices import Price
from stretto.plan.model import Plan
from stretto.run.desk import not_sent
from stretto.scheduler.state import State
from tests.worlds import World, begun, chance

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


class Books:
    """The money of a run by its events, summed apart from the ledger's own sums, checked after each event."""

    def __init__(self) -> None:
        self.cap_nusd: int | None = None
        self.spent: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.reserved: dict[tuple[str, int], int] = {}
        self.used_nusd = 0
        self.freed_nusd = 0
        self.grants = 0
        self.most_in_flight = 0

    def take(self, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self.cap_nusd = event.cap_nusd
            case ev.RunContinued(cap_nusd=int(cap)):
                self.cap_nusd = cap if cap >= 0 else None
            case ev.CallReserved(attempt, call, nusd):
                assert (attempt, call) not in self.reserved, "granted twice"
                self.reserved[attempt, call] = nusd
                self.used_nusd += nusd
                self.grants += 1
                self.most_in_flight = max(self.most_in_flight, len(self.reserved))
            case ev.CallSettled():
                bound = self.reserved.pop((event.attempt, event.call))
                assert 0 <= event.cost_nusd <= bound
                assert event.certain or event.cost_nusd == bound, "what is not known is held whole"
                column = self.spent if event.certain else self.held
                task = event.attempt.rpartition("#")[0]
                column[task] = column.get(task, 0) + event.cost_nusd
                self.used_nusd += event.cost_nusd - bound
            case ev.HoldReleased(task, nusd):
                self.held[task] -= nusd
                self.used_nusd -= nusd
                self.freed_nusd += nusd
            case ev.RunEnded(_, spent, held):
                assert not self.reserved
                assert (spent, held) == (sum(self.spent.values()), sum(self.held.values()))
            case _:
                pass
        assert self.cap_nusd is None or self.used_nusd <= self.cap_nusd, event

    def agree_with(self, state: State) -> None:
        """The ledger, and its parts by task, are what the events say."""
        ledger = state.ledger
        assert ledger.cap_nusd == self.cap_nusd
        assert ledger.reserved == self.reserved
        assert ledger.reserved_nusd == sum(self.reserved.values())
        assert ledger.spent_nusd == sum(self.spent.values())
        assert ledger.held_nusd == sum(self.held.values())
        assert ledger.committed_nusd == self.used_nusd
        for column, of_task in enumerate((self.spent, self.held)):
            told = {id: nusd[column] for id, nusd in state.task_nusd.items()}
            assert {id: nusd for id, nusd in told.items() if nusd} == {k: v for k, v in of_task.items() if v}
            assert sum(told.values()) == sum(of_task.values())


@dataclass
class Provider:
    """Sends calls of any cost up to their bound, and keeps a bill that no crash of ours can touch."""

    seed: int
    price: Price
    free: float = 0.1
    dear: float = 0.1
    lost: float = 0.1
    bill_nusd: int = 0
    known_nusd: int = 0
    """The part of the bill whose usage arrived."""

    def bound(self, attempt: str, call: int) -> tuple[int, int, int]:
        """The most that this call can cost, its prompt at most and its answer at most, in tokens."""
        tokens = 1 + int(2 * STEP_TOKENS * chance(self.seed, "in", attempt, call) ** 2)
        most = 1 + int(4_000 * chance(self.seed, "out", attempt, call) ** 2)
        return self.price.bound_nusd(tokens, most, cached=True, cache_1h=True), tokens, most

    def serve(self, attempt: str, call: int) -> tuple[dict[str, int], int]:
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
        self.bill_nusd += cost
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


@dataclass
class SpendingWorld(World):
    """A world in which attempts ask for money, send, settle or fall silent. `_end` is told what is due."""

    provider: Provider = field(default_factory=lambda: Provider(0, Price(0, 0, 0, 0, 0)))
    cap_nusd: int | None = None
    calls: int = 3
    books: Books = field(default_factory=Books)
    refused: list[int] = field(default_factory=list)
    """Bounds that were refused since the cap was last changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
                # Whoever asked earlier and still waits was not overtaken.
                mine = self.asked[event.attempt, event.call]
                assert all(self.asked[w.attempt, w.call] > mine for w in state.ledger.waiting)
            if isinstance(event, ev.RunContinued) and event.cap_nusd is not None:
                self.refused.clear()
            books.take(event)
        self.kept = len(self.log)
        if not self.scheduler.out:
            books.agree_with(state)
        assert self.provider.bill_nusd <= books.used_nusd + books.freed_nusd

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
            case ev.Answer(attempt, call, granted):
                self._answered(attempt, call, granted)

    def _answered(self, attempt: str, call: int, granted: bool) -> None:
        task, _, number = attempt.rpartition("#")
        paying = self.paying.get((task, int(number)))
        if paying is None:
            if granted:
                self.scheduler.call_done(not_sent(attempt, call))
        elif granted:
            paying.usage, paying.cost_nusd = self.provider.serve(attempt, call)
            self._due(task, int(number), "settle")
        else:
            books, nusd = self.books, self.provider.bound(attempt, call)[0]
            assert books.cap_nusd is not None
            assert sum(books.spent.values()) + sum(books.held.values()) + nusd > books.cap_nusd
            self.refused.append(nusd)
            del self.paying[task, int(number)]
            why = "the call was not sent: budget"
            ended = ev.AttemptEnded(task, int(number), "error", "run", why)
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
                bound = self.provider.bound(attempt, paying.call)[0]
                self.scheduler.call_asked(attempt, paying.call, bound)
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
        assert not ledger.waiting and not ledger.reserved
        self.count("refused calls", len(self.world.refused))
        self.count("calls", self.world.books.grants)
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
        assert not state.live and not state.ledger.waiting and not state.ledger.reserved
        if state.status in OVER:
            return
        assert state.status == "paused" and state.paused is not None
        self.count(f"paused ({state.paused.why})")
        if state.paused.why == "budget":
            ledger = state.ledger
            assert world.refused and ledger.cap_nusd is not None
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
        return SpendingWorld(
            self.plan, self.seed, provider=self.provider, cap_nusd=cap_nusd, failing=0.1 + self.seed % 3 / 10
        )
