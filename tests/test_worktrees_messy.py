"""Worktrees beside whatever else a repository may hold: odd names, other people's checkouts, settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from stretto.agents import Result, Work
from stretto.errors import EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM, StrettoError
from tests.worktree_stage import FAN, Yard, error_of, git, new_repository, write

ONE = "tasks: {a: {prompt: A, isolation: worktree}}"


def test_a_branch_that_stands_in_the_way_of_all_of_ours_is_told_before_anything_is_paid(
    tmp_path: Path,
) -> None:
    yard = Yard(new_repository(tmp_path), write)
    git(tmp_path, "branch", "stretto")
    with pytest.raises(StrettoError, match="called 'stretto'") as caught:
        yard.run(FAN)
    assert caught.value.slug == "no-repository" and "git branch -m" in caught.value.next
    assert yard.agent.seen == [] and yard.journal.runs() == []


def test_a_worktree_of_the_user_may_have_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    root = new_repository(tmp_path / "project")
    strange = os.fsencode(tmp_path) + b"/lat\xe9n"
    git(root, "worktree", "add", "-q", "--detach", os.fsdecode(strange))
    assert Yard(root, write).run(FAN).code == EXIT_OK


def test_settings_of_the_user_that_would_stop_git_are_not_ours(tmp_path: Path) -> None:
    root = new_repository(tmp_path)
    for name, value in {"core.autocrlf": "true", "core.safecrlf": "true", "diff.external": "false"}.items():
        git(root, "config", name, value)
    outcome = Yard(root, write).run(ONE)
    assert outcome.code == EXIT_OK, error_of(outcome, "a")


@pytest.mark.parametrize("born", [True, False])
def test_a_repository_inside_a_worktree_is_sent_back_and_not_lost(tmp_path: Path, born: bool) -> None:
    told = []

    def edit(work: Work) -> str:
        told.append(work.prompt)
        inner = work.root / "inner"
        if work.n == 1:
            new_repository(inner, kept__txt="kept")
            if not born:
                shutil.rmtree(inner / ".git")
                git(inner, "init", "-q")
        else:
            inner.mkdir()
            (inner / "kept.txt").write_text("kept")
        return "done"

    yard = Yard(new_repository(tmp_path), edit)
    assert yard.run(ONE).code == EXIT_OK
    assert yard.result() == {"inner/kept.txt": "kept", "start.txt": "start\n"}
    assert len(told) == 2 and "inner/" in told[1]


def test_an_ignored_repository_inside_a_worktree_is_nobodys_business(tmp_path: Path) -> None:
    def edit(work: Work) -> str:
        new_repository(work.root / "vendor" / "thing")
        return write(work)

    yard = Yard(new_repository(tmp_path, __gitignore="vendor/\n"), edit)
    assert yard.run(ONE).code == EXIT_OK
    assert sorted(yard.result()) == [".gitignore", "a.txt"]


def test_a_result_that_is_checked_out_is_not_moved_and_the_way_on_is_told(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), lambda work: write(work) + str(work.n))
    assert yard.run(FAN).code == EXIT_OK
    git(tmp_path, "switch", "-q", "stretto/r/result")
    outcome = yard.resume(redo=("c",))
    assert outcome.code == EXIT_PROBLEM
    error = error_of(outcome, "@result")
    assert "stretto/r/result is checked out in" in error and "switch --detach" in error
    git(tmp_path, "switch", "-q", "--detach")
    assert yard.resume(redo=("@result",)).code == EXIT_OK


def test_a_task_whose_branch_is_checked_out_is_not_paid_for(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path / "project"), lambda work: Result("error", error="no", cls="task"))
    yard.run("tasks: {a: {prompt: A, isolation: worktree, attempts: 1}}")
    git(yard.root, "worktree", "add", "-q", "-b", "stretto/r/task/a", str(tmp_path / "look"))
    yard.agent.seen.clear()
    outcome = yard.resume(redo=("a",))
    assert "is checked out in" in error_of(outcome, "a") and yard.agent.seen == []


def test_what_a_failed_task_had_done_stays_on_its_branch_and_is_not_merged(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        write(work)
        (work.root / f"try{work.n}.txt").write_text("half")
        return "done" if work.task == "b" else Result("cut_off", error="all of its turns", cls="task")

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(FAN)
    assert outcome.code == EXIT_PROBLEM
    assert sorted(yard.result()) == ["b.txt", "start.txt", "try1.txt"]
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/a"] and yard.worktrees() == 0
    assert sorted(yard.files("stretto/r/task/a")) == ["a.txt", "start.txt", "try3.txt"]
    assert outcome.value("@result")["failed"] == ["a"]


def test_a_worktree_that_was_cut_off_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    """A session goes on in its files; in half of them, the other half would be committed as deleted."""

    def edit(work: Work) -> object:
        if work.n == 1:
            return Result("error", error="no more", cls="run", why="quota")
        return write(work)

    root = new_repository(tmp_path, start__txt="start\n", other__txt="other\n")
    yard = Yard(root, edit)
    yard.agent.session = "s1"
    assert yard.run(ONE).code == EXIT_LIMIT
    folder = root / ".stretto" / "worktrees" / "r" / "a"
    shutil.rmtree(folder)
    git(root, "worktree", "add", "-q", "--force", "--detach", "--no-checkout", str(folder), "HEAD")
    (folder / "start.txt").write_text("start\n")
    assert yard.resume().code == EXIT_OK
    assert sorted(yard.result()) == ["a.txt", "other.txt", "start.txt"]
    assert [work.session for work in yard.agent.calls("a")] == ["", ""]
