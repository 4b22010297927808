"""Whose branches a task starts from, and what follows from a collision, in the pure scheduler alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.errors import StrettoError
from stretto.plan.model import Plan, Task, to_data
from stretto.scheduler.branches import bases, isolates
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.state import State
from stretto.scheduler.vertex import RESULT, SUCCEEDED, TaskVertex
from stretto.spec.writing import plan_yaml
from tests.stage import plan_of
from tests.test_writing import read
from tests.worlds import snapshot


def started(on: str = "messages", base: str = "c0") -> ev.RunStarted:
    return ev.RunStarted("", {}, None, None, None, 8, on, 0, "", 1, "", "", {}, base=base)


class Ride:
    """Drives the scheduler by hand; what each attempt comes to is said by a function."""

    def __init__(self, plan: Plan, end: Callable[[TaskVertex, str], ev.AttemptEnded]):
        self.scheduler = Scheduler(plan)
        self.order: list[tuple[str, str]] = []
        self.log: list[tuple[int, ev.Event]] = []
        self.scheduler.start(started(), 0)
        for now in range(1, 200):
            self.scheduler.tick(now)
            begun = []
            for vertex in self.scheduler.picks():
                choice = self.scheduler.choice(vertex)
                n = self.scheduler.begin(vertex, choice)
                begun.append((vertex, choice.role, n))
            for vertex, role, n in begun:
                self.order.append((vertex.id, role))
                self.scheduler.ended(end(vertex, role)._replace(task=vertex.id, n=n))
            done = self.scheduler.end_if_done()
            self.log += [(now, event) for event in self.scheduler.take()[0]]
            if done:
                break

    @property
    def state(self) -> State:
        return self.scheduler.state

    def task(self, id: str) -> TaskVertex:
        vertex = self.state.vertices[id]
        assert isinstance(vertex, TaskVertex)
        return vertex


def fine(vertex: TaskVertex, role: str) -> ev.AttemptEnded:
    return ev.AttemptEnded("", 0, "ok", output=f"{vertex.id}-{role}")


CLASH = ev.AttemptEnded("", 0, "conflict", "task", "they collide", "pieces")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], set[str]]:
    """Needs of each task, and which of them have worktrees."""
    needs: dict[str, list[str]] = {}
    for k in range(draw(st.integers(1, 9))):
        needs[f"t{k}"] = sorted(draw(st.sets(st.sampled_from(sorted(needs)), max_size=3))) if needs else []
    return needs, draw(st.sets(st.sampled_from(sorted(needs)), min_size=1))


@settings(deadline=None)
@given(graphs())
def test_a_task_starts_from_the_nearest_branches_above_it(
    graph: tuple[dict[str, list[str]], set[str]],
) -> None:
    needs, isolated = graph
    tasks = [
        Task(id=id, prompt="x", after=tuple(above), isolation="worktree" if id in isolated else "")
        for id, above in needs.items()
    ]
    ride = Ride(Plan(name="p", tasks=tuple(tasks)), fine)
    assert ride.state.status == "succeeded"

    def near(id: str) -> set[str]:
        found: set[str] = set()
        for above in needs[id]:
            found |= {above} if above in isolated else near(above)
        return found

    def all_above(id: str) -> set[str]:
        return {other for above in needs[id] for other in (above, *all_above(above))}

    def heads(found: set[str]) -> list[str]:
        return [id for id in needs if id in found and not any(id in all_above(o) for o in found)]

    for id in isolated:
        assert [task.id for task in bases(ride.state, ride.task(id))] == heads(near(id))
    assert [task.id for task in bases(ride.state, ride.task(RESULT))] == heads(set(isolated))
    assert ride.order[-1] == (RESULT, "work") and ride.order.count((RESULT, "work")) == 1


FAN = "tasks:\n  a: {prompt: A, isolation: worktree}\n  b: {prompt: B, isolation: worktree}\n"


def test_a_collision_is_mended_and_counts_no_attempt() -> None:
    def end(vertex: TaskVertex, role: str) -> ev.AttemptEnded:
        if vertex.id == RESULT and role == "work" and len(vertex.mends) < 4:
            return CLASH
        return fine(vertex, role)

    ride = Ride(plan_of(FAN), end)
    assert ride.state.status == "succeeded"
    assert [role for id, role in ride.order if id == RESULT] == ["work", "mend"] * 4 + ["work"]
    assert ride.task(RESULT).mends == ("@result-mend",) * 4
    assert ride.task(RESULT).tries == 0
    assert ride.task(RESULT).output == "@result-work"


@pytest.mark.parametrize("task", ["c", RESULT])
def test_after_two_bad_answers_a_task_fails_and_the_result_goes_on_without(task: str) -> None:
    def end(vertex: TaskVertex, role: str) -> ev.AttemptEnded:
        if role == "mend":
            return ev.AttemptEnded("", 0, "bad_output", "task", "unusable; stretto/r/task/b stays")
        return CLASH if vertex.id == task and not vertex.mends else fine(vertex, role)

    ride = Ride(plan_of(FAN + "  c: {prompt: C, isolation: worktree, after: [a, b]}\n"), end)
    roles = [role for id, role in ride.order if id == task]
    if task == RESULT:
        assert roles == ["work", "mend", "mend", "work"] and ride.task(RESULT).mends == ("",)
    else:
        assert roles == ["work", "mend", "mend"] and "stretto/r/task/b stays" in ride.task("c").error
        assert ride.state.status == "failed" and ride.task(RESULT).state == SUCCEEDED


def test_what_no_call_can_mend_ends_the_task_at_once() -> None:
    scheduler = Scheduler(plan_of(FAN))
    scheduler.start(started(), 0)
    for vertex in list(scheduler.picks()):
        scheduler.begin(vertex, scheduler.choice(vertex))
    scheduler.ended(CLASH._replace(task="b", n=1), final=True)
    b = scheduler.state.vertices["b"]
    assert isinstance(b, TaskVertex) and b.error == "they collide" and b.state > SUCCEEDED


def test_a_run_that_only_pretends_has_no_result() -> None:
    plan = plan_of(FAN + "  c: {run: [make], isolation: worktree}\n")
    assert isolates(plan, "messages") and not isolates(plan, "simulated:latency=0")
    assert not isolates(plan_of("tasks: {a: {prompt: A}}"), "messages")
    state = State(plan)
    state.apply(started("simulated", ""), 0)
    assert RESULT not in state.vertices


def test_the_id_of_the_result_can_be_nobody_s() -> None:
    with pytest.raises(StrettoError):
        plan_of('tasks: {"@result": {prompt: A}}')


def test_every_prefix_of_the_journal_folds() -> None:
    ride = Ride(
        plan_of(FAN),
        lambda v, role: CLASH if v.id == RESULT and not v.mends and role == "work" else fine(v, role),
    )
    for length in range(len(ride.log) + 1):
        scheduler = Scheduler(plan_of(FAN))
        for at_us, event in ride.log[:length]:
            scheduler.fold(event, at_us)
    assert snapshot(scheduler.state) == snapshot(ride.state)


def test_a_merge_check_is_written_as_its_author_wrote_it() -> None:
    plan = plan_of(
        """
tasks:
  g:
    order: serial
    merge: {check: [pytest, -q]}
    tasks:
      a: {prompt: A, isolation: worktree}
      b: {prompt: B}
"""
    )
    text = plan_yaml(plan)
    assert "@merge" not in text and "merge: {check: [pytest, -q]}" in text
    assert to_data(read(text)) == to_data(plan)
