"""What the critic says of worktrees."""

from __future__ import annotations

import pytest

from stretto.lint import files
from stretto.lint.isolation import unseen_changes
from tests.critics import told_by

FIX = 'fix: {prompt: "Fix src/a.py", writes: [src/a.py], isolation: worktree}'


@pytest.mark.parametrize(
    "task",
    [
        "{run: [pytest], after: [fix]}",
        "{prompt: Look, tools: [read], needs: [fix]}",
        "{prompt: Look, reads: [src/a.py], needs: [fix]}",
        "{prompt: 'Look at ${told}', reads: [src/a.py]}",
    ],
)
def test_a_task_that_looks_at_files_sees_nothing_of_a_worktree(task: str) -> None:
    told = 'told: {prompt: "What was done: ${fix}"}'
    (found,) = told_by(unseen_changes, f"tasks:\n  {FIX}\n  {told}\n  look: {task}\n")
    assert (found.slug, found.severity, found.tasks) == ("unseen-changes", "warning", ("look", "fix"))
    assert "isolation: worktree" in found.fix


@pytest.mark.parametrize(
    "task",
    [
        "{run: [pytest], after: [fix], isolation: worktree}",
        "{prompt: 'Say what was done: ${fix}'}",
        "{run: [pytest]}",
        "{prompt: Look, reads: [src/a.py]}",
    ],
)
def test_a_task_in_a_worktree_or_before_it_or_without_files_is_fine(task: str) -> None:
    assert told_by(unseen_changes, f"tasks:\n  {FIX}\n  look: {task}\n") == []


def test_groups_and_what_stands_around_are_looked_through() -> None:
    (found,) = told_by(
        unseen_changes,
        f"tasks:\n  all: {{tasks: {{{FIX}}}}}\n"
        "  later: {after: [all], tasks: {test: {run: [pytest]}}}\n",
    )
    assert found.tasks == ("later.test", "all.fix")


def test_two_that_write_one_file_in_worktrees_are_merged_and_no_conflict() -> None:
    one = '{{prompt: "Fix src/a.py", writes: [src/a.py]{0}}}'
    both = f"tasks:\n  a: {one}\n  b: {one}\n"
    assert len(told_by(files.write_conflict, both.format(""))) == 1
    assert told_by(files.write_conflict, both.format(", isolation: worktree")) == []
