"""Which results of Claude Code may be used again: it looks at files unasked, and may change some."""

from __future__ import annotations

from pathlib import Path

import pytest

from stretto.journal.memory import MemoryJournal
from stretto.plan.model import Task
from stretto.run import NO_CAP, Options, run_plan
from stretto.run.prepare import keeps
from tests.autojump import run as in_virtual_time
from tests.stage import Actor, Cast, plan_of


@pytest.mark.parametrize(
    ("task", "kept"),
    [
        (Task(id="a", prompt="A", tools=("Read",)), "always"),
        (Task(id="a", prompt="A", tools=("Read", "Bash(git diff:*)")), "run"),
        (Task(id="a", prompt="A", writes=("b",)), "run"),
        (Task(id="a", prompt="A", tools=("Bash",), reuse="always"), "always"),
    ],
)
def test_what_may_have_changed_something_is_kept_for_its_run_alone(task: Task, kept: str) -> None:
    assert keeps(task) == kept


@pytest.mark.parametrize(("agent", "times"), [("claude", [1, 1, 2]), ("messages", [1, 1, 1])])
def test_a_file_that_changed_is_another_question(tmp_path: Path, agent: str, times: list[int]) -> None:
    actor = Actor(lambda work: "fine")
    journal = MemoryJournal()
    counted: list[int] = []
    for content in ("one", "one", "two"):
        (tmp_path / "a.txt").write_text(content)
        options = Options(on=agent, cap_nusd=NO_CAP, approve=True, control=False)
        plan = plan_of("tasks: {a: {prompt: A}}")
        cast = Cast(**{agent: actor})
        run = f"r{len(counted)}"
        outcome = in_virtual_time(run_plan(plan, options, journal, tmp_path, agents=cast, run=run))
        assert outcome.status == "succeeded"
        counted.append(len(actor.seen))
    assert counted == times
