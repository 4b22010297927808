"""What is known before a run: which kept results it will take, through whatever depends on them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stretto.agents.registry import Roster
from stretto.journal.sqlite import SqliteJournal
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.plan.graph import build
from stretto.run import history_of, models_used
from stretto.run.before import Outlook
from stretto.run.loop import Reuse
from stretto.spec.load import inputs_from, load
from tests.driving import SIMULATED, Project

PLAN = """\
stretto: 1
name: looked-at
inputs: {word: {type: string, default: risky}}
tasks:
  list: {run: [printf, 'a\\nb\\nc\\n'], output: lines, pure: true, reads: ['*.txt']}
  first: {prompt: "What is ${word}?", model: haiku}
  files:
    each: "${list}"
    tasks:
      scan: {prompt: "Scan ${item} for what is ${word}", model: haiku, needs: [first]}
      judge: {prompt: "Judge ${scan}", model: sonnet}
  merge: {reduce: "${files}", fan_in: 2, prompt: Merge, model: sonnet}
  now: {run: [sh, -c, 'echo $$'], output: text}
  after: {prompt: "Now it is ${now}", model: haiku}
"""
ALL = {"list", "first", *(f"files.{k}.{name}" for k in range(3) for name in ("scan", "judge"))}
MERGED = {"merge.r1.0", "merge.r1.1", "merge.r2.0"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, PLAN)
    assert made.run("--quiet").code == 0
    return made


def covered(project: Project, reuse: Reuse | None = None, most: int = 10_000, **words: str) -> set[str]:
    """The ids of the tasks for which a new run would take a kept result."""
    plan, _, _ = load(project.plan)
    assert plan is not None
    looked = 0

    def enough() -> bool:
        nonlocal looked
        looked += 1
        return looked > most

    journal = SqliteJournal(project.root)
    try:
        history: Any = history_of(journal, SIMULATED)
        outlook = Outlook(
            plan,
            build(plan),
            journal,
            project.root,
            Roster(project.root),
            Chooser(BUILTIN, history),
            on=SIMULATED,
            inputs=inputs_from(plan, words),
            models=models_used(plan, SIMULATED),
            reuse=reuse,
        )
        return set(outlook.covered(enough))
    finally:
        journal.close()


def test_everything_that_was_kept_is_found_through_groups_and_merges(project: Project) -> None:
    assert covered(project) == ALL | MERGED


def test_it_is_what_a_run_takes(project: Project) -> None:
    found = covered(project)
    tasks = project.run("--json").json["tasks"]
    assert {task["id"] for task in tasks if not task["attempts"]} == found


def test_what_depends_on_something_new_is_not_looked_up(project: Project) -> None:
    assert covered(project, word="slow") == {"list"}
    project.plan.write_text(PLAN.replace("Judge ", "Try "))
    assert covered(project) == ALL - {f"files.{k}.judge" for k in range(3)}


def test_a_new_item_leaves_the_others_covered(project: Project) -> None:
    project.plan.write_text(PLAN.replace("a\\nb", "a\\nx\\nb"))
    project.run("--quiet", "--until", "list")
    found = covered(project)
    assert {"files.0.scan", "files.2.judge", "files.3.judge"} <= found
    assert not {"files.1.scan", "files.1.judge", "merge.r2.0"} & found


def test_fresh_redo_and_only_are_as_in_a_run(project: Project) -> None:
    assert covered(project, reuse=Reuse(fresh=True)) == set()
    assert covered(project, reuse=Reuse(redo=("files.1.judge",))) == ALL - {"files.1.judge"}


def test_the_search_ends_when_it_is_told_to(project: Project) -> None:
    assert 1 <= len(covered(project, most=3)) <= 3


def test_a_list_that_is_kept_has_a_length(project: Project) -> None:
    data = project("estimate", "plan.yaml", "--on", SIMULATED, "--json").json
    tasks = {group["id"]: group["tasks_range"] for group in data["groups"]}
    assert tasks["files"] == {"low": 6, "expected": 6, "high": 6}
    project.plan.write_text(PLAN.replace(r"b\nc\n", r"b\n"))
    unknown = project("estimate", "plan.yaml", "--on", SIMULATED, "--json").json["groups"][2]["tasks_range"]
    assert unknown["low"] < unknown["high"]
