"""Random graphs of tasks in worktrees: the result is what applying them one after the other would give."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stretto.agents import Result, Work
from stretto.plan.model import Group, Limits, Part, Plan, Task
from tests.worktree_stage import Yard, git, new_repository, untouched


def edit(work: Work) -> object:
    """Writes a file of its own, adds its line to what it finds of the work before, renames now and then."""
    if "fails" in work.prompt:
        return Result("error", error="no", cls="task")
    if "isolated" in work.prompt:
        found = sorted(path.name for path in work.root.glob("*.txt"))
        (work.root / f"{work.task}.txt").write_text("\n".join(found) + "\n")
        (work.root / "deep" / work.task).mkdir(parents=True)
        (work.root / "deep" / work.task / "x").write_text(work.task)
    return work.task


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to eight tasks in a graph, some in groups, some without a worktree, some that fail."""
    chance = draw(st.randoms(use_true_random=False))
    parts: list[Part] = []
    names: list[str] = []
    for k in range(draw(st.integers(1, 8))):
        needs = tuple(name for name in names if chance.random() < 0.4)
        isolated = chance.random() < 0.75
        words = f"{'isolated ' if isolated else ''}{'fails' if chance.random() < 0.1 else ''}."
        task = Task(
            id=f"t{k}",
            prompt=f"Do {words}",
            after=needs,
            isolation="worktree" if isolated else "",
            attempts=1,
            optional=chance.random() < 0.5,
        )
        if chance.random() < 0.3:
            inner = (Task(id="i", prompt="Do isolated.", isolation="worktree"), _moved(task, "j"))
            parts.append(Group(id=f"t{k}", tasks=inner, after=needs))
        else:
            parts.append(task)
        names.append(f"t{k}")
    return Plan(name="p", tasks=tuple(parts), limits=Limits(parallel=chance.randint(1, 4)))


def _moved(task: Task, id: str) -> Task:
    return Task(id=id, prompt=task.prompt, isolation=task.isolation, attempts=1, optional=task.optional)


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=plans(), number=st.integers(0, 10**9))
def test_the_result_has_the_work_of_all_that_succeeded_and_of_nobody_else(
    tmp_path: Path, plan: Plan, number: int
) -> None:
    root = tmp_path / f"p{number}-{random.SystemRandom().getrandbits(40)}"
    new_repository(root)
    (root / "start.txt").write_text("changed\n")
    before = untouched(root)
    yard = Yard(root, edit)
    outcome = yard.run(plan)
    assert outcome.status in ("succeeded", "failed")
    assert untouched(root) == before
    assert yard.worktrees() == 0
    vertices = outcome.state.vertices
    isolated = [work.task for work in yard.agent.seen if "isolated" in work.prompt]
    good = {task for task in isolated if vertices[task].state == 5}
    if not good:
        assert "stretto/r/result" not in yard.branches()
        return
    result = yard.result()
    assert set(result) == {"start.txt", *(f"{t}.txt" for t in good), *(f"deep/{t}/x" for t in good)}
    assert yard.branches() == ["stretto/r/result"]
    # What a task found is there whole: with everything that its makers had found before.
    for task in good:
        saw = set(result[f"{task}.txt"].split()) - {"start.txt"}
        assert saw <= {f"{other}.txt" for other in good}
        for other in saw:
            assert set(result[other].split()) < set(result[f"{task}.txt"].split()) | {"start.txt"}
    assert git(root, "status", "--porcelain").split() == ["M", "start.txt"]
