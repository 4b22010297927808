"""The books of a run, kept from its events alone and checked after each: every cap, every start."""

from __future__ import annotations

from collections.abc import Callable

from stretto import events as ev
from stretto.plan.model import Group, Plan, Task
from stretto.scheduler.state import State


def caps_around(plan: Plan, task: str) -> dict[str, int]:
    """The caps that hold for a task beside the run's, by the id of what has them; from plan and id alone."""
    words, prefix, parts = task.split("."), "", plan.tasks
    found: dict[str, int] = {}
    while words:
        part = next(part for part in parts if part.id == words[0])
        each = int(part.each is not None)
        whole, one = words[:1], words[: 1 + each]
        mine = one if isinstance(part, Task) else whole
        if part.usd_cap_nusd is not None:
            found[prefix + ".".join(mine)] = part.usd_cap_nusd
        prefix += ".".join(one) + "."
        words = words[1 + each :]
        parts = part.tasks if isinstance(part, Group) else ()
    return found


class Books:
    """The money of a run by its events, summed apart from the ledger's own sums, checked after each event.

    With the plan, the money of its capped tasks and groups too; one of random plans, without reductions.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan
        self.caps: dict[str, int] = {}
        self.used: dict[str, int] = {}
        """What counts against each of them."""
        self._around: dict[str, list[str]] = {}
        self.expected: Callable[[str], int] = lambda task: 0
        """What an attempt at a task is expected to cost."""
        self.running: dict[str, list[int]] = {}
        """[expected, spent or reserved] of each running attempt."""
        self.cap_nusd: int | None = None
        self.spent: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.reserved: dict[tuple[str, int], int] = {}
        self.used_nusd = 0
        self.freed_nusd = 0
        self.freed: dict[str, int] = {}
        self.grants = 0
        self.most_in_flight = 0

    def around(self, task: str) -> list[str]:
        """What has a cap of all that a task stands in, itself too."""
        if self.plan is not None and task not in self._around:
            caps = caps_around(self.plan, task)
            self.caps.update(caps)
            self._around[task] = list(caps)
        return self._around.get(task, [])

    def _use(self, task: str, nusd: int) -> None:
        self.used_nusd += nusd
        for id in self.around(task):
            self.used[id] = self.used.get(id, 0) + nusd
            assert self.used[id] <= self.caps[id], f"{task} breaks the cap of {id}"

    def _admit(self, task: str, n: int) -> None:
        """An attempt starts only where there is money for it and for the rest of what runs."""
        expected = self.expected(task)
        rests = {attempt: max(0, due - used) for attempt, (due, used) in self.running.items() if expected}
        for id in ["", *self.around(task)] if expected else ():
            cap = self.caps[id] if id else self.cap_nusd
            if cap is None or id == task:
                continue  # what a task may spend by itself is for the ledger alone
            inside = [a for a in rests if not id or id in self.around(a.rpartition("#")[0])]
            used = self.used.get(id, 0) if id else self.used_nusd
            assert used + sum(rests[a] for a in inside) + expected <= cap, f"{task} was started too early"
        self.running[f"{task}#{n}"] = [expected, 0]

    def take(self, event: ev.Event) -> None:
        match event:
            case ev.AttemptStarted(task, n):
                self._admit(task, n)
            case ev.AttemptEnded(task, n):
                del self.running[f"{task}#{n}"]
            case ev.RunStarted():
                self.cap_nusd = event.cap_nusd
            case ev.RunContinued(cap_nusd=int(cap)):
                self.cap_nusd = cap if cap >= 0 else None
            case ev.CallReserved(attempt, call, nusd):
                assert (attempt, call) not in self.reserved, "granted twice"
                self.reserved[attempt, call] = nusd
                self._use(attempt.rpartition("#")[0], nusd)
                self.running[attempt][1] += nusd
                self.grants += 1
                self.most_in_flight = max(self.most_in_flight, len(self.reserved))
            case ev.CallSettled():
                bound = self.reserved.pop((event.attempt, event.call))
                assert 0 <= event.cost_nusd <= bound
                assert event.certain or event.cost_nusd == bound, "what is not known is held whole"
                column = self.spent if event.certain else self.held
                task = event.attempt.rpartition("#")[0]
                column[task] = column.get(task, 0) + event.cost_nusd
                self._use(task, event.cost_nusd - bound)
                self.running[event.attempt][1] += event.cost_nusd - bound
            case ev.HoldReleased(task, nusd):
                self.held[task] -= nusd
                self.freed[task] = self.freed.get(task, 0) + nusd
                self._use(task, -nusd)
                self.freed_nusd += nusd
            case ev.RunEnded(_, spent, held):
                assert not self.reserved
                assert (spent, held) == (sum(self.spent.values()), sum(self.held.values()))
            case _:
                pass
        assert self.cap_nusd is None or self.used_nusd <= self.cap_nusd, event

    def pays(self, bills: dict[str, int]) -> None:
        """The provider's bill is in the books, for the run and for all that has a cap."""
        assert sum(bills.values()) <= self.used_nusd + self.freed_nusd
        billed: dict[str, int] = {}
        for task, nusd in bills.items():
            for id in self.around(task):
                billed[id] = billed.get(id, 0) + nusd - self.freed.get(task, 0)
        assert all(nusd <= self.used[id] <= self.caps[id] for id, nusd in billed.items())

    def has_room(self, task: str, nusd: int) -> bool:
        """Whether a call would fit if all that is in flight turned out to cost nothing."""

        def settled(id: str) -> int:
            return sum(
                column.get(other, 0)
                for column in (self.spent, self.held)
                for other in column
                if not id or id in self.around(other)
            )

        caps = {id: self.caps[id] for id in self.around(task)}
        if self.cap_nusd is not None:
            caps[""] = self.cap_nusd
        return all(settled(id) + nusd <= cap for id, cap in caps.items())

    def agree_with(self, state: State) -> None:
        """The ledger, and its parts by task, are what the events say."""
        ledger = state.ledger
        assert ledger.cap_nusd == self.cap_nusd
        assert ledger.reserved == self.reserved
        assert ledger.reserved_nusd == sum(self.reserved.values())
        assert ledger.spent_nusd == sum(self.spent.values())
        assert ledger.held_nusd == sum(self.held.values())
        assert ledger.committed_nusd == self.used_nusd
        if self.plan is not None:
            accounts = {id: a.committed_nusd for id, a in ledger.accounts.items() if a.committed_nusd}
            assert accounts == {id: nusd for id, nusd in self.used.items() if nusd}
            assert all(ledger.accounts[id].cap_nusd == self.caps[id] for id in accounts)
        for column, of_task in enumerate((self.spent, self.held)):
            told = {id: nusd[column] for id, nusd in state.task_nusd.items()}
            assert {id: nusd for id, nusd in told.items() if nusd} == {k: v for k, v in of_task.items() if v}
            assert sum(told.values()) == sum(of_task.values())
