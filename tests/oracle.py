"""A naive interpreter of plans: what must become of each task, by recursion over the tree, without time."""

from __future__ import annotations

import math
from collections.abc import Callable

from stretto.plan.graph import Element, build
from stretto.plan.model import Group, Plan, Task
from stretto.scheduler.policy import JUDGE_TRIES
from stretto.scheduler.vertex import FAILED, SKIPPED, SUCCEEDED

How = Callable[[str, int, str], str]


def expected_states(plan: Plan, how: How) -> dict[str, int]:
    """The final state of every task id. Knows literal eaches and quorums that wait; no cancelling ones."""
    return _Oracle(plan, how).everything()


class _Oracle:
    def __init__(self, plan: Plan, how: How):
        self.graph = build(plan)
        self.how = how
        self.found: dict[str, int] = {}
        self.tasks: dict[str, int] = {}

    def everything(self) -> dict[str, int]:
        for element in self.graph.roots.values():
            self.state(element, "", [])
        return self.tasks

    def state(self, element: Element, prefix: str, outside: list[tuple[Element, str]]) -> int:
        """The state of an instance; `outside` are the groups around it with the prefix of their members."""
        id = prefix + element.part.id
        if id not in self.found:
            fine = all(self.fine_need(need, outside) for need in element.needs)
            self.found[id] = self.settle(element, id, outside) if fine else self.skip(element, id)
        return self.found[id]

    def fine_need(self, need: object, outside: list[tuple[Element, str]]) -> bool:
        target, base, tail = need.target, need.base, need.tail  # type: ignore[attr-defined]
        prefix, around = "", []
        for k, (group, inner) in enumerate(outside):
            if group is base:
                prefix, around = inner, outside[k:]
        assert tail == target.part.id, "random plans name siblings of the groups around them only"
        state = self.state(target, prefix, around)
        return state == SUCCEEDED or target.part.optional

    def skip(self, element: Element, id: str) -> int:
        if element.grows:
            return SKIPPED
        if isinstance(element.part, Task):
            self.tasks[id] = SKIPPED
        for member in element.members.values():
            self.found[f"{id}.{member.part.id}"] = self.skip(member, f"{id}.{member.part.id}")
        return SKIPPED

    def settle(self, element: Element, id: str, outside: list[tuple[Element, str]]) -> int:
        part = element.part
        if part.each is not None:
            items = part.each.over
            assert isinstance(items, list)
            states = [self.one(element, f"{id}.{k}", outside) for k in range(len(items))]
            return self.join(element, states, [False] * len(states))
        return self.one(element, id, outside)

    def one(self, element: Element, id: str, outside: list[tuple[Element, str]]) -> int:
        if isinstance(element.part, Task):
            self.tasks[id] = self.attempt(element.part, id)
            return self.tasks[id]
        inner = [(element, id + "."), *outside]
        members = list(element.members.values())
        states = [self.state(member, id + ".", inner) for member in members]
        optional = [member.part.optional for member in members]
        if element.part.each is not None:
            return FAILED if _failed(states, optional) else SUCCEEDED
        return self.join(element, states, optional)

    def join(self, element: Element, states: list[int], optional: list[bool]) -> int:
        ok = states.count(SUCCEEDED)
        failed = _failed(states, optional)
        quorum = element.part.quorum
        if isinstance(element.part, Group) or element.part.each is not None:
            if quorum is None:
                return FAILED if failed else SUCCEEDED
            if quorum.min_ok is not None:
                return SUCCEEDED if ok >= quorum.min_ok else FAILED
            tolerated = max(quorum.tolerate, math.floor(quorum.tolerate_share * len(states)))
            return FAILED if failed > tolerated else SUCCEEDED
        return FAILED if failed else SUCCEEDED

    def attempt(self, task: Task, id: str) -> int:
        n = tries = 0
        while tries < task.attempts:
            n += 1
            if self.how(id, n, "work") != "ok":
                tries += 1
                continue
            if task.check is None:
                return SUCCEEDED
            for _ in range(JUDGE_TRIES):
                n += 1
                verdict = self.how(id, n, "check")
                if verdict == "ok":
                    return SUCCEEDED
                if verdict == "check_failed":
                    tries += 1
                    break
            else:
                return FAILED
        return FAILED


def _failed(states: list[int], optional: list[bool]) -> int:
    return sum(s != SUCCEEDED and not o for s, o in zip(states, optional, strict=True))
