"""Which attempts may start under the caps, and what is still to be paid when a list turns out long.

The guarantee is the ledger's, call by call. Admission is about not starting what there is no money to end:
under a cap too small for 64 agents a few are carried through, instead of 64 stopped half-way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stretto.models.money import usd
from stretto.scheduler.choosing import Choice
from stretto.scheduler.ledger import Account
from stretto.scheduler.state import State
from stretto.scheduler.vertex import CHECKING, SUCCEEDED, GroupVertex, TaskVertex, Vertex

Expected = Callable[[TaskVertex], int]
"""What the next attempt of a task is expected to cost, in nano-dollars; 0 where nothing is known."""


class Running:
    """A running attempt whose cost is expected: how much of that it has not spent or reserved yet."""

    __slots__ = ("accounts", "expected_nusd", "used_nusd")

    def __init__(self, expected_nusd: int, accounts: tuple[Account, ...]):
        self.expected_nusd = expected_nusd
        self.used_nusd = 0
        self.accounts = accounts

    @property
    def rest_nusd(self) -> int:
        return max(0, self.expected_nusd - self.used_nusd)


@dataclass(slots=True)
class Aside:
    """Ready tasks of one template that wait for money, in the order of their start; they cost alike."""

    order: tuple[float, int]
    accounts: tuple[Account, ...]
    queue: deque[TaskVertex] = field(default_factory=deque)


class Admission:
    """An attempt starts only if spent + held + reserved + the expected rest of what runs + its own expected
    cost <= cap, for the run and for every capped group around it.

    What does not fit waits while something runs that may turn out cheaper; what fits may go before it.
    Passing state: after a resume nothing runs, so nothing is left to come.
    """

    def __init__(self, state: State):
        self._state = state
        self._run = state.ledger.run
        self._running: dict[str, Running] = {}
        self._rest: dict[Account, int] = {}
        """Expected rest of the running attempts that count against an account."""
        self._aside: dict[tuple[object, ...], Aside] = {}
        self._moved = False
        """True when money came free since `freed` looked."""

    def __len__(self) -> int:
        return sum(len(aside.queue) for aside in self._aside.values())

    # Attempts

    def refusing(self, vertex: TaskVertex, expected_nusd: int | None) -> Account | None:
        """The account under which an attempt does not fit now; None where it may start."""
        if not expected_nusd:
            return None
        for account in self._accounts(vertex):
            if self._room(account) < expected_nusd:
                return account
        return None

    def is_used_up(self, account: Account) -> bool:
        """True for a group's cap under which nothing runs that could give back: waiting would not help.

        The cap of the run can be raised, that of a group stands in the plan.
        """
        return account is not self._run and not self._rest.get(account) and not account.reserved_nusd

    def put_aside(self, vertex: TaskVertex, role: str) -> None:
        """Puts a ready task aside until money comes free."""
        accounts = self._accounts(vertex)
        key = (vertex.element, role, vertex.rung, accounts)
        aside = self._aside.get(key)
        if aside is None:
            aside = self._aside[key] = Aside((-vertex.element.tail_s, vertex.element.index), accounts)
        aside.queue.append(vertex)

    def began(self, attempt: str, vertex: TaskVertex, expected_nusd: int | None) -> None:
        if not expected_nusd:
            return
        accounts = self._accounts(vertex)
        if len(accounts) == 1 and self._run.cap_nusd is None:
            return
        self._running[attempt] = Running(expected_nusd, accounts)
        for account in accounts:
            self._rest[account] = self._rest.get(account, 0) + expected_nusd

    def used(self, attempt: str, nusd: int) -> None:
        """A call was reserved (its bound), or settled (what it cost less its bound)."""
        running = self._running.get(attempt) if self._running else None
        if running is not None:
            before = running.rest_nusd
            running.used_nusd += nusd
            self._add(running, running.rest_nusd - before)
        if nusd < 0:
            self._moved = True

    def ended(self, attempt: str) -> None:
        self._moved = True
        running = self._running.pop(attempt, None)
        if running is not None:
            self._add(running, -running.rest_nusd)

    def raised(self) -> None:
        """A cap was raised, or held money was released."""
        self._moved = True

    def _add(self, running: Running, nusd: int) -> None:
        if nusd:
            for account in running.accounts:
                self._rest[account] += nusd

    # What waits

    def freed(self, expected: Expected) -> list[TaskVertex]:
        """Takes out what may fit now, the most urgent first, and what never will (see `is_used_up`)."""
        if not self._moved or not self._aside:
            return []
        self._moved = False
        found: list[TaskVertex] = []
        taken: dict[Account, int] = {}
        for key, aside in sorted(self._aside.items(), key=lambda entry: entry[1].order):
            while aside.queue:
                nusd = expected(aside.queue[0])
                short = [a for a in aside.accounts if self._room(a) - taken.get(a, 0) < nusd]
                if short and not any(map(self.is_used_up, short)):
                    break
                found.append(aside.queue.popleft())
                for account in aside.accounts if not short else ():
                    taken[account] = taken.get(account, 0) + nusd
            if not aside.queue:
                del self._aside[key]
        return found

    def next(self, startable: Callable[[TaskVertex], bool]) -> TaskVertex | None:
        """The most urgent of those that wait; forgets those that need not start any more."""
        for key, aside in sorted(self._aside.items(), key=lambda entry: entry[1].order):
            while aside.queue and not startable(aside.queue[0]):
                aside.queue.popleft()
            if aside.queue:
                return aside.queue[0]
            del self._aside[key]
        return None

    def guessed(self, choice: Callable[[TaskVertex], Choice]) -> TaskVertex | None:
        """Takes out the most urgent whose cost is a guess: where nothing runs it is tried all the same."""
        for key, aside in sorted(self._aside.items(), key=lambda entry: entry[1].order):
            if aside.queue and choice(aside.queue[0]).guess:
                found = aside.queue.popleft()
                if not aside.queue:
                    del self._aside[key]
                return found
        return None

    def clear(self) -> None:
        """Forgets what waits: whoever resumes a run finds it again among what is ready."""
        self._aside.clear()

    def _room(self, account: Account) -> int:
        if account.cap_nusd is None:
            return 1 << 62
        return account.cap_nusd - account.committed_nusd - self._rest.get(account, 0)

    def _accounts(self, vertex: TaskVertex) -> tuple[Account, ...]:
        """Of its groups and of the run: what a task may spend by itself is for the ledger alone."""
        groups = self._state.accounts(vertex.id)
        if not groups:
            return (self._run,)
        return (*(account for account in groups if account.id != vertex.id), self._run)


# What is still to be paid


def expected_below(
    vertices: Iterable[Vertex], expected: Callable[[TaskVertex, str], int | None]
) -> int | None:
    """What the tasks below are still expected to cost, one attempt and its judge each.

    `expected` tells it of one attempt in a role. None where it is known of none of them.
    """
    total: int | None = None
    stack = list(vertices)
    while stack:
        vertex = stack.pop()
        if not isinstance(vertex, TaskVertex):
            stack.extend(vertex.members)
        elif vertex.state < SUCCEEDED:
            roles = ["work"] if vertex.state != CHECKING else []
            roles += ["check"] if vertex.task.check is not None else []
            for role in roles:
                nusd = expected(vertex, role)
                if nusd is not None:
                    total = (total or 0) + nusd
    return total


class Approval:
    """Holds what a run is expected to cost against what was approved, each time its plan grows.

    The rest is summed up exactly only where an upper bound of it (what it was, and all that came since)
    would not do: summing it after each of 1,000 growths of a plan of 100,000 tasks would take minutes.
    """

    def __init__(self, state: State):
        self._state = state
        self._most_nusd: int | None = None
        self._summed_at = 0
        """What was spent when the rest was last summed up."""

    def added(
        self, group: GroupVertex, first: int, expected: Callable[[TaskVertex, str], int | None]
    ) -> int | None:
        """What the members of a group from the first on are expected to cost; those of an each cost alike."""
        members = group.members[first:]
        assert group.element is not None
        if group.element.part.each is None:
            return expected_below(members, expected)
        one = expected_below(members[:1], expected)
        return None if one is None else one * len(members)

    def question(self, group: GroupVertex, total_nusd: int) -> str:
        """What somebody is asked who may approve more."""
        approved = usd(self._state.approved_nusd)
        return (
            f"{group.id} has {len(group.members):,} members; with them the run is expected to cost "
            f"{usd(total_nusd)}, and {approved} were approved"
        )

    def above(self, added_nusd: int, expected: Callable[[TaskVertex, str], int | None]) -> int | None:
        """What the run is expected to cost in all, if that is more than was approved."""
        state = self._state
        if state.approved_nusd is None:
            return None
        used = state.ledger.spent_nusd + state.ledger.held_nusd
        # What tasks cost changes what the others are expected to: a tenth more spent asks for a new sum.
        if self._most_nusd is not None and used * 10 <= self._summed_at * 11:
            self._most_nusd += added_nusd
            if used + self._most_nusd <= state.approved_nusd:
                return None
        self._summed_at = used
        self._most_nusd = expected_below(state.root.members, self._rest_of(expected)) or 0
        total = used + self._most_nusd
        return total if total > state.approved_nusd else None

    def _rest_of(
        self, expected: Callable[[TaskVertex, str], int | None]
    ) -> Callable[[TaskVertex, str], int | None]:
        """The same without what running attempts have spent already."""
        meters = self._state.meters

        def rest(vertex: TaskVertex, role: str) -> int | None:
            nusd = expected(vertex, role)
            meter = meters.get(f"{vertex.id}#{vertex.n}") if vertex.live == role else None
            return nusd if not nusd or meter is None else max(0, nusd - meter.cost_nusd)

        return rest


def whose_cap(account: Account, task: str) -> str:
    """A cap in words, as one says it of a task."""
    if not account.id:
        return f"the run's cap of {usd(account.cap_nusd)}"
    return f"{'its cap' if account.id == task else f'the cap of {account.id!r}'} of {usd(account.cap_nusd)}"


def why_used_up(account: Account, task: str, more: str) -> str:
    """Why a task cannot go on under its own cap or that of a group; `more`: what there would be to pay."""
    held = f" and {usd(account.held_nusd)} held" if account.held_nusd else ""
    return f"{whose_cap(account, task)} is used up: {usd(account.spent_nusd)} spent{held}, and {more}"
