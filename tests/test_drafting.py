"""From a goal in words to a pattern and a plan: what people read and what programs get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stretto.plan.model import Group, Task
from stretto.spec.load import load
from tests.driving import Project

GOALS = {
    "one-agent": [
        "Fix the null pointer in getUserProfile",
        "Write a haiku for the coffee machine",
        "What does the flag --fresh do?",
    ],
    "fan-out": [
        "Audit the auth, payment and user services for security",
        "Translate the leaflet into French, German and Dutch",
        "Write a product page for each of these lamps: Luna, Sol, Vega, Mira",
    ],
    "pipeline": [
        "Build the app, then run the tests, and once they pass deploy it to staging",
        "Collect the survey data, clean it, then fit the model and after that write the report",
        "First draft the notice, then have it checked for tone, and finally translate it into Polish",
    ],
    "hierarchy": [
        "Find the five riskiest modules of the code base and harden each of them",
        "Migrate the whole code base to TypeScript strict mode",
        "Plan and carry out the move of all our documents to the new archive",
    ],
    "scatter-gather": [
        "Review this pull request for security, speed and style, and give one verdict",
        "Compare the three hosting offers from the view of cost, law and operations and recommend one",
    ],
    "map-reduce": [
        "Read all 400 support tickets of June and report the ten most frequent complaints",
        "Summarise every interview in interviews/ and make one table of the themes",
    ],
}
CASES = [(pattern, goal) for pattern, goals in GOALS.items() for goal in goals]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(("pattern", "goal"), CASES)
def test_a_goal_gets_its_pattern_and_a_plan_that_passes(pattern: str, goal: str, project: Project) -> None:
    answer = project("draft", goal, "--json")
    assert answer.code == 0
    assert answer.json["schema"] == "stretto/draft/1"
    assert answer.json["pattern"] == pattern
    assert answer.json["reasons"] and all(isinstance(reason, str) for reason in answer.json["reasons"])
    assert answer.json["usd"] > 0 and answer.json["minutes"] > 0

    (project.root / "drafted.yaml").write_text(answer.json["plan"])
    checked = project("check", "drafted.yaml", "--json")
    assert checked.code == 0, [(f["slug"], f["message"]) for f in checked.json["findings"]]
    assert all(tick["ticked"] for tick in checked.json["checklist"])


@pytest.mark.parametrize("goal", GOALS["one-agent"])
def test_a_small_goal_gets_one_task_and_hears_what_more_would_cost(goal: str, project: Project) -> None:
    answer = project("draft", goal, "--out", "small.yaml")
    plan, _, _ = load(project.root / "small.yaml")
    assert plan is not None and len(plan.tasks) == 1 and isinstance(plan.tasks[0], Task)
    assert "would cost about $" in " ".join(answer.out.split()) + " ".join(answer.err.split())


def test_every_service_becomes_the_services_that_are_there(project: Project) -> None:
    for name in ("auth", "billing", "search"):
        folder = project.root / "services" / name
        folder.mkdir(parents=True)
        (folder / "app.py").write_text("x = 1\n")
    answer = project("draft", "Audit every service for security", "--json")
    (project.root / "drafted.yaml").write_text(answer.json["plan"])
    plan, _, _ = load(project.root / "drafted.yaml")
    assert plan is not None
    (part,) = plan.tasks
    assert part.each is not None and part.each.over == [
        "services/auth",
        "services/billing",
        "services/search",
    ]


def test_a_file_that_is_there_stays(project: Project) -> None:
    before = project.plan.read_text()
    refused = project("draft", "Fix the typo in the title", "--out", "plan.yaml")
    assert (refused.code, project.plan.read_text()) == (2, before)
    assert "would-overwrite" in refused.err
    assert project("draft", "Fix the typo in the title", "--out", "plan.yaml", "--force").code == 0
    assert project.plan.read_text() != before


@pytest.mark.parametrize(
    "goal", ["", "   ", "\0", "?", "x" * 100_000, "Übersetze das Handbuch", "日本語の目標", "${a}"]
)
def test_strange_goals_get_a_plan_or_an_error_and_never_a_trace(goal: str, project: Project) -> None:
    answer = project("draft", goal, "--json")
    assert answer.code in (0, 2)
    data = json.loads(answer.out)
    if answer.code:
        assert data["error"]["slug"] == "bad-goal" and data["error"]["next"]
    else:
        assert data["pattern"] in GOALS and "bug" not in answer.err


def test_a_model_may_write_the_plan_under_the_rules_of_the_critic(project: Project) -> None:
    goal = "Migrate the whole code base to TypeScript strict mode"
    answer = project("draft", goal, "--on", "simulated:latency=0", "--json")
    assert answer.code in (0, 1)
    (project.root / "drafted.yaml").write_text(answer.json["plan"])
    plan, _, _ = load(project.root / "drafted.yaml")
    assert plan is not None and plan.tasks
    assert any(isinstance(part, Task | Group) for part in plan.tasks)
    assert "draft" in project("ls").out, "what was asked is a run like any other"
