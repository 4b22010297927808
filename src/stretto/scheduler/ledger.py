"""The budget ledger: money is reserved before a call is sent and settled to the actual afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from stretto.plan.model import Group, Task
from stretto.scheduler.vertex import GroupVertex, TaskVertex


class Account:
    """One cap and what counts against it: the run's, or that of a task or a group.

    *spent* is what settled calls cost for certain, *held* what calls may have cost whose usage never
    arrived, *reserved* the bounds of calls in flight; all in integer nano-dollars.
    """

    __slots__ = ("cap_nusd", "held_nusd", "id", "reserved_nusd", "spent_nusd")

    def __init__(self, id: str, cap_nusd: int | None):
        self.id = id
        """The vertex whose calls count here; empty for the run."""
        self.cap_nusd = cap_nusd
        self.spent_nusd = 0
        self.held_nusd = 0
        self.reserved_nusd = 0

    @property
    def committed_nusd(self) -> int:
        return self.spent_nusd + self.held_nusd + self.reserved_nusd

    def fits(self, nusd: int) -> bool:
        return self.cap_nusd is None or self.committed_nusd + nusd <= self.cap_nusd

    def can_ever_fit(self, nusd: int) -> bool:
        """Whether it would fit if all that is in flight turned out to cost nothing."""
        return self.cap_nusd is None or self.spent_nusd + self.held_nusd + nusd <= self.cap_nusd


class Ledger:
    """`spent + held + reserved <= cap` at every moment, for the run and for every account a call counts in.

    Every call counts against the run's account, and against those of its task and of the groups around it
    that have a cap (`accounts`); who folds the events says which these are.
    """

    __slots__ = ("accounts", "calls", "reserved", "run")

    def __init__(self) -> None:
        self.run = Account("", None)
        self.accounts: dict[str, Account] = {}
        """Of the capped tasks and groups, by the id of their vertex; kept when a group grows anew."""
        self.reserved: dict[tuple[str, int], int] = {}
        self.calls = 0

    @property
    def cap_nusd(self) -> int | None:
        return self.run.cap_nusd

    @property
    def spent_nusd(self) -> int:
        return self.run.spent_nusd

    @property
    def held_nusd(self) -> int:
        return self.run.held_nusd

    @property
    def reserved_nusd(self) -> int:
        return self.run.reserved_nusd

    @property
    def committed_nusd(self) -> int:
        return self.run.committed_nusd

    def fits(self, nusd: int) -> bool:
        return self.run.fits(nusd)

    def left_nusd(self, accounts: tuple[Account, ...]) -> int | None:
        """What the caps could still grant if all in flight cost nothing; None where there is no cap."""
        capped = [a for a in (self.run, *accounts) if a.cap_nusd is not None]
        return min((a.cap_nusd - a.spent_nusd - a.held_nusd for a in capped if a.cap_nusd), default=None)

    def account(self, id: str, cap_nusd: int) -> Account:
        """The account of a capped task or group, made when it is first asked for."""
        found = self.accounts.get(id)
        if found is None:
            found = self.accounts[id] = Account(id, cap_nusd)
        return found

    def reserve(self, attempt: str, call: int, nusd: int, accounts: tuple[Account, ...] = ()) -> None:
        self.reserved[attempt, call] = nusd
        self.run.reserved_nusd += nusd
        self.calls += 1
        for account in accounts:
            account.reserved_nusd += nusd

    def settle(
        self, attempt: str, call: int, cost_nusd: int, certain: bool, accounts: tuple[Account, ...] = ()
    ) -> None:
        nusd = self.reserved.pop((attempt, call))
        for account in (self.run, *accounts):
            account.reserved_nusd -= nusd
            if certain:
                account.spent_nusd += cost_nusd
            else:
                account.held_nusd += cost_nusd

    def release(self, nusd: int, accounts: tuple[Account, ...] = ()) -> None:
        for account in (self.run, *accounts):
            account.held_nusd -= nusd

    def open_calls(self, attempt: str) -> list[tuple[int, int]]:
        """(call, reservation) of the calls of an attempt that are still in flight."""
        return [(call, nusd) for (name, call), nusd in self.reserved.items() if name == attempt]


def caps_of(vertex: TaskVertex) -> Iterator[tuple[str, int]]:
    """(id, cap) of the task and of the groups around it that have one, the nearest first.

    A cap on a task holds for each of its instances, one on a group for all inside it together, all items
    of its each too. All calls of a reduction are one task, and so are a planner and what it planned.
    """
    task = vertex.task
    if task.usd_cap_nusd is not None and not _reduces(task):
        yield vertex.id, task.usd_cap_nusd
    group: GroupVertex | None = vertex.owner
    while group is not None and group.element is not None:
        cap = group.element.part.usd_cap_nusd
        if cap is not None and _has_account(group):
            yield group.id, cap
        group = group.owner


def _reduces(task: Task) -> bool:
    return bool(task.reduce) and task.each is None


def _has_account(group: GroupVertex) -> bool:
    """Whether the cap of its part is this vertex's: an each has one for the whole, and one per item."""
    assert group.element is not None
    part = group.element.part
    if isinstance(part, Task):
        return _reduces(part)
    return part.each is None or group.grown != _plans(part)


def _plans(part: Group) -> bool:
    """A planner and the place of its plan: an author wrote them as one task."""
    last = part.tasks[-1] if part.tasks else None
    return isinstance(last, Group) and not last.tasks
