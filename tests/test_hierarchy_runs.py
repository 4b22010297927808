"""Planned tasks in a run: what their author gives them, nested plans, the gate, resume, worktrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stretto import events as ev
from stretto.agents import Work
from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.lint import criticise
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import PlanError
from stretto.plan.model import Group, plan_from_data, to_data
from stretto.spec.compile import compile_plan
from stretto.spec.load import load
from stretto.spec.writing import plan_yaml
from stretto.spec.yaml import read_yaml
from tests.planning import PLAN, ends, grown, happened, planners, staged
from tests.stage import Actor, Stage, plan_of
from tests.worktree_stage import Yard, new_repository

# What their author gives them


def test_what_the_author_writes_beside_grow_is_what_each_task_gets() -> None:
    tasks = [{"id": "a", "prompt": "A"}, {"id": "b", "prompt": "B", "model": "haiku", "needs": ["a"]}]
    stage = staged({"tasks": tasks})
    text = """
tasks:
  p:
    prompt: Plan it
    model: opus
    grow: {max: 5, model: sonnet, tools: [read], attempts: 2, timeout: 5m, check: "audit:right", usd: 0.5}
"""
    plan = plan_of(text)
    stage.run(plan)
    shared = {"tools": ["read"], "attempts": 2, "timeout_s": 300.0, "check": {"call": "audit:right"}}
    shared["usd_cap_nusd"] = 500_000_000
    assert grown(stage) == [
        {"id": "a", "prompt": "A", "model": "sonnet", **shared},
        {"id": "b", "prompt": "B", "model": "haiku", "needs": ["a"], **shared},
    ]


@pytest.mark.parametrize(
    ("grow", "slug"),
    [
        ("{max: 0}", "wrong-value"),
        ("{run: [x]}", "unknown-key"),
        ("{prompt: X}", "unknown-key"),
        ("{on: command}", "wrong-value"),
        ("{model: gpt-9}", "unknown-model"),
        ('{writes: ["${x}"]}', "wrong-value"),
        ("{roles: Fix}", "wrong-type"),
        ("tasks", "wrong-type"),
        ("[plan]", "wrong-type"),
    ],
)
def test_mistakes_in_grow(grow: str, slug: str) -> None:
    with pytest.raises(PlanError) as raised:
        plan_of(f"tasks:\n  p: {{prompt: Plan it, grow: {grow}}}\n")
    assert slug in {finding.slug for finding in raised.value.findings}


def test_max_is_what_the_planner_is_told_and_held_to() -> None:
    stage = staged({"tasks": [{"prompt": f"Do {k}"} for k in range(3)]}, {"tasks": [{"prompt": "Do it"}]})
    stage.run("tasks:\n  p: {prompt: Plan it, grow: {max: 2}}\n")
    assert ends(stage) == ["rejected", "ok"]
    schema = stage.actor.seen[0].schema
    assert schema is not None and schema["properties"]["tasks"]["maxItems"] == 2


# Nested


def test_groups_and_planners_stand_inside_a_plan_and_it_ends_with_the_integration() -> None:
    outer = {
        "tasks": [
            {"id": "look", "prompt": "Look"},
            {
                "id": "fix",
                "order": "serial",
                "tasks": [{"id": "a", "prompt": "A"}, {"id": "b", "prompt": "B"}],
            },
            {"id": "deep", "prompt": "Plan more", "grow": "plan", "needs": ["look"]},
            {"id": "sum", "prompt": "Sum up ${fix} and ${deep}", "needs": ["fix", "deep"]},
        ]
    }
    inner = {"tasks": [{"id": "x", "prompt": "X"}]}
    stage = staged(outer, inner)
    assert stage.run(PLAN).code == EXIT_OK
    assert stage.actor.prompts["p.grown.sum"].startswith(
        "Sum up did p.grown.fix.b and did p.grown.deep.grown.x"
    )
    assert "did p.grown.sum" in stage.actor.prompts["end"]
    assert "did p.grown.look" in stage.actor.prompts["p.grown.deep.plan"]
    assert [grew.depth for grew in happened(stage, ev.PlanGrew)] == [1, 2]


def test_planners_stand_in_each_other_three_deep_and_no_deeper() -> None:
    """The one at the bottom is told, and may still write its tasks itself."""
    again = {"tasks": [{"id": "more", "prompt": "Plan more", "grow": "plan"}]}
    stage = staged(again, again, again, {"tasks": [{"id": "work", "prompt": "Work"}]})
    assert stage.run(PLAN).code == EXIT_OK
    assert [grew.depth for grew in happened(stage, ev.PlanGrew)] == [1, 2, 3]
    refused = [e for e in happened(stage, ev.AttemptEnded) if e.outcome == "rejected"]
    assert [e.task for e in refused] == ["p.grown.more.grown.more.plan"]
    assert "grown-too-deep" in refused[0].error


def test_a_task_called_grown_is_not_one_level_more() -> None:
    answer = {"tasks": [{"id": "grown-up", "prompt": "X", "grow": "plan"}]}
    stage = staged(answer, answer, {"tasks": [{"id": "work", "prompt": "Work"}]})
    assert stage.run(PLAN).code == EXIT_OK
    assert [grew.depth for grew in happened(stage, ev.PlanGrew)] == [1, 2, 3]


def test_a_planner_in_an_each_writes_a_plan_for_every_item() -> None:
    def answer(work: Work) -> Any:
        if work.task.endswith(".plan"):
            return json.dumps({"tasks": [{"id": work.prompt.split()[-1], "prompt": "Do it"}]})
        return f"did {work.task}"

    stage = Stage(Actor(answer))
    text = """
tasks:
  p: {each: [auth, pay], prompt: "Plan for ${item}", grow: {max: 3}, tolerate: 1}
  end: {prompt: "Had ${p}"}
"""
    assert stage.run(text).code == EXIT_OK
    assert {"p.0.grown.auth", "p.1.grown.pay"} <= set(stage.actor.started)
    assert stage.actor.prompts["end"] == 'Had ["did p.0.grown.auth","did p.1.grown.pay"]'


# Resume


@pytest.mark.parametrize("cut", range(2, 16))
def test_neither_planner_nor_tasks_are_asked_again_after_a_crash(cut: int) -> None:
    """Whatever the journal has at the moment of the crash: a resume goes on from there."""
    tasks = [{"id": "a", "prompt": "A"}, {"id": "b", "prompt": "B ${a}"}]
    whole, stage = staged({"tasks": tasks}), staged({"tasks": tasks})
    assert whole.run(PLAN).code == EXIT_OK
    rows = list(whole.journal.read("r"))
    # A commit is never torn: what follows from an event is on disk with it.
    while cut < len(rows) and rows[cut].at_us == rows[cut - 1].at_us:
        cut += 1
    if cut >= len(rows):
        return
    writer = stage.journal.create("r", "test")
    for row in rows[:cut]:
        _ = writer.append(
            row.at_us, [row.event], [(sha, whole.journal.blob(sha)) for sha in shas_in(row.event)]
        )
    writer.close()
    known = {row.event.task for row in rows[:cut] if isinstance(row.event, ev.TaskSucceeded)}
    assert stage.resume().code == EXIT_OK
    assert not known & set(stage.actor.started)
    assert len(happened(stage, ev.PlanGrew)) == 1
    assert [task["id"] for task in grown(stage)] == ["a", "b"]


def shas_in(event: ev.Event) -> list[str]:
    """The blobs that an event of these runs names."""
    match event:
        case ev.RunStarted():
            return [event.plan]
        case ev.TaskSucceeded():
            return [event.output]
        case _:
            return []


# The gate


PAID_PLAN = """
limits: {usd: 5}
tasks:
  p: {prompt: Plan it, grow: plan}
"""


def paid(*answers: Any) -> Stage:
    """Everybody costs a cent a call."""
    cent = 10_000_000
    return Stage(messages=Actor(planners(*answers), cost_nusd=cent, bound_nusd=cent))


def test_where_nothing_was_approved_tasks_that_cost_wait_for_it_and_are_planned_once() -> None:
    stage = paid({"tasks": [{"id": "a", "prompt": "A"}]})
    outcome = stage.run(PAID_PLAN, on="messages")
    assert outcome.code == EXIT_LIMIT
    paused = happened(stage, ev.RunPaused)[0]
    assert paused.why == "approval" and "p.grown: p.plan has planned tasks that cost money" in paused.note
    assert stage.cast.agents["messages"].started == ["p.plan"]  # type: ignore[attr-defined]
    assert stage.resume().code == EXIT_LIMIT, "silence is no consent"
    assert stage.resume(approve=True).code == EXIT_OK
    assert stage.cast.agents["messages"].started == ["p.plan", "p.grown.a"]  # type: ignore[attr-defined]


def test_within_what_was_approved_it_goes_on_and_above_it_asks() -> None:
    few = paid({"tasks": [{"id": "a", "prompt": "A"}]})
    assert few.run(PAID_PLAN, on="messages", approved_nusd=10**8).code == EXIT_OK
    many = paid({"tasks": [{"prompt": f"Do part {k} of all that is to be done"} for k in range(100)]})
    assert many.run(PAID_PLAN, on="messages", approved_nusd=10**8).code == EXIT_LIMIT
    paused = happened(many, ev.RunPaused)[0]
    grew = happened(many, ev.PlanGrew)[0]
    assert paused.need_nusd > 10**8 and "p.grown has 100 members" in paused.note
    assert 10**8 < grew.expected_nusd <= paused.need_nusd
    assert len(many.cast.agents["messages"].started) == 1  # type: ignore[attr-defined]


def test_tasks_that_cost_nothing_are_never_asked_about() -> None:
    stage = Stage(messages=Actor(planners({"tasks": [{"id": "a", "prompt": "A"}]})))
    text = "limits: {usd: 5}\ntasks:\n  p: {prompt: Plan it, grow: {on: simulated}}\n"
    assert stage.run(text, on="messages").code == EXIT_OK
    assert stage.actor.started == ["p.grown.a"]


def test_a_cap_given_to_each_planned_task_is_held() -> None:
    """The plan has no other cap of a task: the first one comes with what grows."""
    answer = {"tasks": [{"id": "a", "prompt": "A"}]}
    stage = paid(answer)
    text = "limits: {usd: 5}\ntasks:\n  p: {prompt: Plan it, grow: {usd: 0.001}}\n"
    outcome = stage.run(text, on="messages", approve=True)
    assert outcome.status == "failed"
    assert "its cap of $0.0010" in happened(stage, ev.TaskFailed)[0].why


# The critic


def test_the_critic_s_hints_about_a_plan_are_kept_with_it_and_stop_nothing() -> None:
    tasks = [{"id": "x", "prompt": "Design the architecture of the whole billing system", "model": "haiku"}]
    stage = staged({"tasks": [*tasks, {"id": "y", "prompt": "Improve things"}]})
    assert stage.run(PLAN).code == EXIT_OK
    noted = happened(stage, ev.PlanGrew)[0].noted
    assert any("undersized-model" in text for text in noted), noted
    assert not any(
        slug in text for text in noted for slug in ("no-budget", "no-error-handling", "no-timeout")
    )


# As data, and in Python


RICH = """
tasks:
  p:
    prompt: Plan it
    model: opus
    grow:
      {max: 5, roles: [Fix], role: Explore, model: {from: haiku, to: opus}, tools: [read], timeout: 90s}
  q: {each: [a, b], prompt: "Plan ${item}", grow: plan, tolerate: 1}
"""


def test_what_an_author_says_of_planned_tasks_survives_being_stored_and_written() -> None:
    plan = plan_of(RICH)
    assert plan_from_data(json.loads(json.dumps(to_data(plan)))) == plan
    text = plan_yaml(plan)
    again, findings = compile_plan(read_yaml(text, "again.yaml"), source="again.yaml")
    assert again == plan, findings


def test_grow_in_python(tmp_path: Path) -> None:
    (tmp_path / "plan.py").write_text(
        "from stretto import Task, hierarchy\n"
        "plan = hierarchy(Task('Plan', id='p', grow={'max': 3, 'model': 'sonnet'}), finish=Task('End'))\n"
        "other = hierarchy(Task('Plan it', id='p'), max=3)\n"
    )
    plan, _, _ = load(tmp_path / "plan.py", "plan")
    other, _, _ = load(tmp_path / "plan.py", "other")
    for made, model in ((plan, "sonnet"), (other, "auto")):
        assert made is not None
        group = made.tasks[0]
        assert isinstance(group, Group)
        growth = group.tasks[0].growth  # type: ignore[union-attr]
        assert growth is not None and growth.max == 3
        assert (growth.task.model if growth.task is not None else "auto") == model


def test_planned_tasks_that_write_side_by_side_are_told_of_before() -> None:
    def found(grow: str) -> list[str]:
        text = f"limits: {{usd: 5}}\ntasks:\n  p: {{prompt: Plan the fixes of src/a.py, grow: {grow}}}\n"
        findings = criticise(plan_of(text), Chooser(BUILTIN, History()))
        return [f.slug for f in findings if f.slug == "write-conflict"]

    assert found('{writes: ["src/**"], on: claude}') == ["write-conflict"]
    assert found('{writes: ["src/**"], on: claude, isolation: worktree}') == []
    assert found('{writes: ["src/**"], on: claude, max: 1}') == []
    assert found("plan") == []


# Never twice


def test_a_second_run_takes_planner_and_planned_tasks_from_what_is_kept() -> None:
    stage = staged({"tasks": [{"id": "a", "prompt": "A"}, {"id": "b", "prompt": "B ${a}"}]})
    assert stage.run(PLAN).code == EXIT_OK
    assert stage.run(PLAN, run="again").code == EXIT_OK
    assert len(stage.actor.seen) == 4
    assert grown(stage, "again") == grown(stage)
    assert stage.run(PLAN.replace("grow: plan", "grow: {max: 1}"), run="other").status == "failed"
    assert len(stage.actor.seen) == 7, "the planner is asked anew, under its new bounds"


def test_a_redone_planner_plans_anew() -> None:
    stage = staged({"tasks": [{"id": "a", "prompt": "A"}]}, {"tasks": [{"id": "b", "prompt": "B"}]})
    assert stage.run(PLAN).code == EXIT_OK
    assert stage.resume(redo=("p.plan",)).code == EXIT_OK
    assert [task["id"] for task in grown(stage)] == ["a", "b"]
    assert stage.actor.started == ["p.plan", "p.grown.a", "end", "p.plan", "p.grown.b", "end"]


# Fixes in worktrees, planned by another


def test_planned_fixes_work_in_worktrees_of_their_own_and_come_together(tmp_path: Path) -> None:
    tasks = [
        {"id": "fix one", "prompt": "One"},
        {"id": "fix two", "prompt": "Two"},
        {"id": "notes", "prompt": "Notes", "needs": ["fix one", "fix two"]},
    ]

    def work_on(work: Work) -> Any:
        if work.task == "p.plan":
            return json.dumps({"tasks": tasks})
        (work.root / f"{work.task}.txt").write_text(", ".join(sorted(p.name for p in work.root.glob("p.*"))))
        return work.task

    yard = Yard(new_repository(tmp_path, start__txt="start\n"), work_on)
    outcome = yard.run(
        'tasks:\n  p: {prompt: Plan it, grow: {isolation: worktree, writes: ["*.txt"]}}\n', approve=True
    )
    assert outcome.code == EXIT_OK
    assert yard.result() == {
        "start.txt": "start\n",
        "p.grown.fix-one.txt": "",
        "p.grown.fix-two.txt": "",
        "p.grown.notes.txt": "p.grown.fix-one.txt, p.grown.fix-two.txt",
    }
