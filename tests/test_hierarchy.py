"""Planners: what they may write, whose ids their tasks get, and what is asked before these cost anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.agents import Result, Work
from stretto.errors import EXIT_OK
from stretto.plan.references import ID
from stretto.run import load_state
from stretto.scheduler.vertex import TaskVertex
from stretto.spec.planner import issued
from tests.planning import PLAN, ends, grown, happened, staged
from tests.stage import Actor, Stage

# Ids of ours

HOSTILE = [
    "; rm -rf /",
    "../../etc/passwd",
    "\x1b[2J\x1b]0;owned\x07",
    "a" * 10_000,
    "plan",
    "grown",
    "failed",
    "",
    "  ",
    "Ünïcode näme",
    "日本",
    "a.b.c",
    "${x}",
    "-",
    "9lives",
    "CON",
    "x\n\ny",
    "\u202eevil",
]


def test_no_name_of_a_task_is_an_error_and_none_gets_through() -> None:
    tasks: list[Any] = [{"id": id, "prompt": f"Do {k}"} for k, id in enumerate(HOSTILE)]
    tasks += [{"id": 7, "prompt": "Do 7"}, {"id": None, "prompt": "Do none"}, {"prompt": "Do it unnamed"}]
    tasks += [{"id": ["x"], "prompt": "Do a list"}, {"id": "; rm -rf /", "prompt": "Do it twice"}]
    stage = staged({"tasks": tasks})
    assert stage.run(PLAN).code == EXIT_OK
    ids = [task["id"] for task in grown(stage)]
    assert len(set(ids)) == len(tasks)
    assert all(ID.fullmatch(id) and len(id) <= 50 for id in ids)
    assert {"rm-rf", "rm-rf-2", "etc-passwd", "t-9lives", "unicode-name", "do-it-unnamed"} <= set(ids)
    assert "failed" not in ids


def test_needs_and_references_follow_their_tasks_to_the_new_ids() -> None:
    tasks = [
        {"id": "Find all callers!", "prompt": "Find", "output": "json"},
        {"id": "Fix", "prompt": "Fix ${Find all callers!.files} of ${find-all-callers}", "needs": []},
        {"id": "Review", "prompt": "Review", "needs": ["Fix", "Find all callers!"], "after": "Fix"},
    ]
    made = issued({"tasks": tasks})["tasks"]
    assert list(made) == ["find-all-callers", "fix", "review"]
    assert made["fix"]["prompt"] == "Fix ${find-all-callers.files} of ${find-all-callers}"
    assert made["review"]["needs"] == ["fix", "find-all-callers"]
    assert made["review"]["after"] == ["fix"]


def test_dollars_that_name_no_task_are_text() -> None:
    prompt = "Replace ${user.name}, ${HOME}, ${, ${a b}, $${kept} and ${x} in ${self}"
    stage = staged({"tasks": [{"id": "x", "prompt": "Look"}, {"id": "self", "prompt": prompt}]})
    assert stage.run(PLAN).code == EXIT_OK
    said = stage.actor.prompts["p.grown.self"]
    assert said.startswith("Replace ${user.name}, ${HOME}, ${, ${a b}, ${kept} and did p.grown.x in ${self}")


def test_a_planner_reaches_nothing_but_its_own_tasks() -> None:
    """Neither an input, nor the item it stands in, nor what others returned, by whatever name."""
    tasks = [{"id": "secret", "prompt": "Say ${token} ${item} ${other} ${p}"}, {"id": "token", "prompt": "T"}]
    stage = staged({"tasks": [*tasks, {"id": "item", "prompt": "I"}]})
    text = """
inputs: {token: {default: hunter2}}
tasks:
  other: {prompt: Say what is private}
  p: {each: [one], needs: [other], prompt: "Plan ${item} with ${token}", grow: plan}
"""
    assert stage.run(text, inputs={"token": "hunter2"}).code == EXIT_OK
    ids = [task["id"] for task in grown(stage)]
    assert ids == ["secret", "token-2", "item-2"]
    said = stage.actor.prompts["p.0.grown.secret"]
    assert said.startswith("Say did p.0.grown.token-2 did p.0.grown.item-2 ${other} ${p}")
    assert "hunter2" not in said and "private" not in said


def test_null_stands_for_what_is_left_out() -> None:
    task = {"id": "x", "prompt": "X", "role": None, "model": None, "needs": None, "output": None}
    stage = staged({"tasks": [task]})
    assert stage.run(PLAN).code == EXIT_OK


# What is refused


REFUSED: list[tuple[Any, str]] = [
    ("no plan at all", "not JSON"),
    ("tasks: &a [x]\nmore: *a", "not JSON"),
    ({"tasks": []}, "missing-key"),
    ({"steps": [{"id": "x", "prompt": "X"}]}, "missing-key"),
    ([1, 2, 3], "wrong-type"),
    ("[" * 400 + "]" * 400, "[wrong-type]"),
    ({"tasks": [{"id": "x", "prompt": "X", "run": ["rm", "-rf", "/"]}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "call": "os:abort"}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "tools": ["read"]}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "writes": ["**"]}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "reads": ["../.."]}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "on": "command"}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "env": ["HOME"]}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "isolation": "worktree"}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "accept": {"no-budget": "me"}}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "each": list(range(9))}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "grow": {"max": 9}}]}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X"}], "limits": {"usd": 1000}}, "unsafe-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "priority": 1}]}, "unknown-key"),
    (
        {"tasks": [{"id": "x", "prompt": "X", "output": {"type": "string", "pattern": "(a+)+$"}}]},
        "unsafe-key",
    ),
    ({"tasks": [{"id": "x", "prompt": "X", **{f"k{k}": 1 for k in range(50_000)}}]}, "unknown-key"),
    ({"tasks": [{"id": "x", "prompt": "X", "needs": [f"n{k}" for k in range(50_000)]}]}, "unknown-need"),
    ({"tasks": [{"id": "x", "prompt": "X", "needs": ["nobody"]}]}, "unknown-need"),
    ({"tasks": [{"id": "x", "prompt": "X", "needs": [["x"]]}]}, "wrong-value"),
    ({"tasks": [{"id": "x", "prompt": "X", "needs": ["y"]}, {"id": "y", "prompt": "${x}"}]}, "cycle"),
    ({"tasks": [{"id": "x", "prompt": "X", "model": "gpt-9"}]}, "unknown-model"),
    ({"tasks": [{"id": "x", "prompt": "X", "model": "fable"}]}, "planned-model"),
    ({"tasks": [{"id": "x", "prompt": "X", "model": {"from": "haiku", "to": "fable"}}]}, "planned-model"),
    ({"tasks": [{"id": "x", "prompt": "X" * 50_001}]}, "planned-too-large"),
    ({"tasks": [{"id": "x", "prompt": "X" * 1_000_000}]}, "planned-too-large"),
    ({"tasks": [{"id": "x", "prompt": f"X{k}"} for k in range(101)]}, "too-many-tasks"),
    ({"tasks": [{"prompt": "X"}] * 50_000}, "too-many-tasks"),
]


@pytest.mark.parametrize(("answer", "why"), REFUSED)
def test_what_breaks_the_rules_is_sent_back_with_what_is_wrong(answer: Any, why: str) -> None:
    stage = staged(answer, {"tasks": [{"id": "ok", "prompt": "Fine"}]})
    assert stage.run(PLAN).code == EXIT_OK
    assert ends(stage) == ["rejected", "ok"]
    first = next(e for e in happened(stage, ev.AttemptEnded) if e.outcome == "rejected")
    assert why in first.error
    retry = next(e for e in happened(stage, ev.RetryPlanned))
    assert (retry.task, retry.counts) == ("p.plan", "attempts")
    again = next(work for work in stage.actor.seen if work.n == 2)
    assert "An earlier answer was not accepted" in again.prompt and why in again.prompt
    assert [task["id"] for task in grown(stage)] == ["ok"]


def test_a_planner_that_never_learns_is_given_up_after_its_attempts() -> None:
    stage = staged({"tasks": [{"id": "x", "prompt": "X", "run": ["id"]}]})
    outcome = stage.run(PLAN)
    assert outcome.status == "failed"
    assert ends(stage) == ["rejected"] * 3
    assert not grown(stage)
    assert "unsafe-key" in happened(stage, ev.TaskFailed)[0].why


def test_what_is_told_of_a_bad_plan_is_short_and_has_nothing_a_terminal_obeys() -> None:
    one = {"id": "x", "prompt": "X", "needs": ["\x1b[31mred" + "y" * 10_000], "\x1b[2J" + "k" * 10_000: 1}
    other = {"id": "y", "prompt": "Y", "model": "\x1b[31mred", "role": "\x1b]0;x\x07", "\u202e": "k"}
    stage = staged({"tasks": [one] * 50}, {"tasks": [other]}, {"tasks": [other], "\x9b1m": 1})
    stage.run(PLAN)
    errors = [e.error for e in happened(stage, ev.AttemptEnded) if e.outcome == "rejected"]
    assert errors and all(len(error) < 2_000 and "\x1b" not in error for error in errors)


# Whose models


@pytest.mark.parametrize(
    ("author", "named", "may"),
    [
        ("model: opus, grow: plan", "opus", True),
        ("model: opus, grow: plan", "Sonnet", True),
        ("model: opus, grow: plan", "claude-sonnet-5-5", True),
        ("model: opus, grow: plan", "claude-opus-4-6", False),
        ("model: haiku, grow: plan", "sonnet", False),
        ("model: haiku, grow: plan", "auto", True),
        ("model: {from: haiku, to: sonnet}, grow: plan", "sonnet", True),
        ("model: opus, grow: {model: sonnet}", "sonnet", True),
        ("model: opus, grow: {model: sonnet}", "opus", False),
        ("grow: plan", "opus", True),
        ("grow: plan", "fable", False),
    ],
)
def test_no_planned_task_has_a_stronger_model_than_its_author_put_to_work(
    author: str, named: str, may: bool
) -> None:
    stage = staged({"tasks": [{"id": "x", "prompt": "X", "model": named}]})
    stage.run(f"tasks:\n  p: {{prompt: Plan it, attempts: 1, {author}}}\n")
    assert ends(stage) == (["ok"] if may else ["rejected"])


# Whatever a planner says


WORDS = st.sampled_from(["a", "b", "x y", "../", "${a}", "A", "", "\x1b[0m", "plan", "b.c"])
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | WORDS | st.lists(WORDS, max_size=3)
TASKS = st.fixed_dictionaries(
    {},
    optional={
        "id": VALUES,
        "prompt": st.sampled_from(["Do it", "Use ${a}", "${b.c} ${", "$${a}", "${A.failed}"]) | VALUES,
        "needs": VALUES,
        "after": VALUES,
        "model": st.sampled_from(["haiku", "auto", "opus", "fable", "gpt"]) | VALUES,
        "role": VALUES,
        "output": st.sampled_from(["text", "lines", "json"]) | VALUES,
        "grow": st.sampled_from(["plan", {"max": 3}]) | VALUES,
        "run": VALUES,
        "order": st.sampled_from(["serial", "parallel"]),
    },
)
SOUND = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["Do it", "Use ${a}", "${b} ${x y}", "${b.c}"])},
    optional={"id": WORDS, "needs": st.lists(WORDS, max_size=2), "model": st.sampled_from(["haiku", "auto"])},
)
ANSWERS = st.one_of(
    st.lists(SOUND, min_size=1, max_size=4).map(lambda tasks: {"tasks": tasks}),
    st.lists(TASKS | VALUES, max_size=4).map(lambda tasks: {"tasks": tasks}),
    st.dictionaries(WORDS, TASKS | VALUES, max_size=3).map(lambda tasks: {"tasks": tasks}),
    st.lists(SOUND, min_size=1, max_size=3).map(
        lambda tasks: {"tasks": [{"id": "g", "tasks": tasks}, {"prompt": "More", "grow": "plan"}]}
    ),
    st.recursive(
        VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
    ),
)


@given(st.lists(ANSWERS, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_whatever_planners_answer_the_run_ends_and_grows_nothing_that_is_not_allowed(
    answers: list[Any],
) -> None:
    stage = staged(*answers)
    outcome = stage.run(PLAN)
    assert outcome.status in ("succeeded", "failed")
    assert all(grew.depth <= 3 for grew in happened(stage, ev.PlanGrew))
    for task in every_task(grown(stage)):
        assert ID.fullmatch(task["id"])
        assert task.keys() <= {"id", "prompt", "needs", "after", "model", "role", "output", "grow"}, task
        assert task.get("model", "auto") in ("auto", "haiku", "sonnet", "opus")
    _, scheduler = load_state(stage.journal, "r")
    for vertex in scheduler.state.vertices.values():
        assert re.fullmatch(r"[a-z0-9_.-]*", vertex.id)
        if isinstance(vertex, TaskVertex):
            assert not vertex.task.run and not vertex.task.call


def every_task(parts: list[Any]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if "tasks" in part:
            yield from every_task(part["tasks"])
        else:
            yield part


@pytest.mark.parametrize(
    "value", [Result("ok", object()), Result("ok", float("nan")), RecursionError("deep")]
)
def test_what_cannot_even_be_read_is_refused(value: Any) -> None:
    def answer(work: Work) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    assert Stage(Actor(answer)).run(PLAN).status == "failed"


# Whose roles


@pytest.mark.parametrize(
    ("author", "named", "may"),
    [
        ("grow: plan", "Explore", True),
        ("grow: plan", "explore", True),
        ("grow: plan", "Fix", False),
        ("grow: plan", "nobody-knows", False),
        ("grow: {roles: [Fix]}", "Fix", True),
        ("grow: {role: Fix}", "Fix", True),
        ("role: Fix, grow: plan", "Fix", True),
    ],
)
def test_a_planned_task_names_a_role_that_reads_or_that_its_author_named(
    author: str, named: str, may: bool
) -> None:
    """That another task of the plan may run commands gives a planner nothing."""
    stage = staged({"tasks": [{"id": "x", "prompt": "X", "role": named}]})
    stage.run(
        f"tasks:\n  other: {{prompt: Mend it, role: Fix}}\n  p: {{prompt: Plan, attempts: 1, {author}}}\n"
    )
    assert ends(stage) == (["ok"] if may else ["rejected"])


def test_who_names_no_role_gets_the_one_that_the_author_gave() -> None:
    tasks = [{"id": "x", "prompt": "X"}, {"id": "y", "prompt": "Y", "role": "Explore"}]
    stage = staged({"tasks": tasks})
    stage.run("tasks:\n  p: {prompt: Plan it, grow: {role: Audit}}\n")
    assert [task["role"] for task in grown(stage)] == ["Audit", "Explore"]
