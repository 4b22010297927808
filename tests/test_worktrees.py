"""Tasks in worktrees of their own: what they start from, what they leave, and what stays untouched."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from stretto.agents import Result, Work
from stretto.errors import EXIT_COULD_NOT, EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.run import NO_CAP, Options, Outcome, run_plan
from stretto.workspace.worktrees import task_branch
from tests.driving import Project
from tests.stage import plan_of
from tests.worktree_stage import (
    FAN,
    Editor,
    Yard,
    error_of,
    git,
    new_repository,
    untouched,
    write,
)


def test_work_comes_together_on_one_branch_and_nothing_of_the_user_is_touched(tmp_path: Path) -> None:
    root = new_repository(tmp_path, start__txt="start\n", staged__txt="old\n", changed__txt="old\n")
    (root / "staged.txt").write_text("staged\n")
    git(root, "add", "staged.txt")
    (root / "changed.txt").write_text("changed\n")
    (root / "new.txt").write_text("new\n")
    before = untouched(root)
    yard = Yard(root, write)
    outcome = yard.run(FAN)
    assert outcome.code == EXIT_OK, error_of(outcome, "@result")
    assert untouched(root) == before
    assert yard.result() == {
        "start.txt": "start\n",
        "staged.txt": "old\n",
        "changed.txt": "old\n",
        "a.txt": "a\n",
        "b.txt": "b\n",
        "c.txt": "c\n",
    }
    assert yard.branches() == ["stretto/r/result"]
    assert yard.worktrees() == 0
    told = outcome.value("@result")
    assert told["branch"] == "stretto/r/result" and told["left"] == []


def test_a_task_starts_from_the_work_of_its_needs_through_those_that_have_none(tmp_path: Path) -> None:
    seen: dict[str, list[str]] = {}

    def edit(work: Work) -> str:
        seen[work.task] = sorted(path.name for path in work.root.glob("*.txt"))
        return write(work) if work.root != root else "looked"

    root = new_repository(tmp_path)
    yard = Yard(root, edit)
    yard.run(
        """
tasks:
  a: {prompt: A, isolation: worktree}
  other: {prompt: Other, isolation: worktree}
  look: {prompt: Look, needs: [a]}
  fix:
    tasks:
      x: {prompt: X, isolation: worktree, needs: [look]}
      y: {prompt: Y, isolation: worktree, needs: [x]}
  last: {prompt: Last, isolation: worktree, needs: [fix]}
"""
    )
    assert seen["look"] == ["start.txt"]
    assert seen["fix.x"] == ["a.txt", "start.txt"]
    assert seen["fix.y"] == ["a.txt", "fix.x.txt", "start.txt"]
    assert seen["last"] == ["a.txt", "fix.x.txt", "fix.y.txt", "start.txt"]
    assert sorted(yard.result()) == ["a.txt", "fix.x.txt", "fix.y.txt", "last.txt", "other.txt", "start.txt"]


def test_a_retry_begins_anew_at_its_base(tmp_path: Path) -> None:
    found = []

    def edit(work: Work) -> object:
        found.append(sorted(path.name for path in work.root.glob("*.txt")))
        (work.root / f"try{work.n}.txt").write_text("x")
        return Result("error", error="no", cls="task") if work.n == 1 else "done"

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run("tasks: {a: {prompt: A, writes: ['try*'], isolation: worktree}}")
    assert outcome.code == EXIT_OK
    assert found == [["start.txt"], ["start.txt"]]
    assert sorted(yard.result()) == ["start.txt", "try2.txt"]


def test_a_check_sees_the_worktree_and_a_failed_task_is_not_merged(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        if work.role == "check":
            good = (work.root / "b.txt").exists()
            return Result("ok", {"pass": True}) if good else Result("error", error="exit code 1")
        return write(work)

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(
        """
tasks:
  a: {prompt: A, isolation: worktree, attempts: 1, check: [look]}
  b: {prompt: B, isolation: worktree, attempts: 1, check: [look]}
"""
    )
    assert outcome.code == EXIT_PROBLEM
    assert sorted(yard.result()) == ["b.txt", "start.txt"]
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/a"]


def test_a_merge_check_sees_the_work_of_all_members(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        if work.task == "fixes.@merge":
            return " ".join(sorted(path.name for path in work.root.glob("*.txt")))
        return write(work)

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(
        """
tasks:
  fixes:
    merge: {check: [pytest]}
    tasks:
      x: {prompt: X, isolation: worktree}
      y: {prompt: Y, isolation: worktree}
  last: {prompt: "Last of ${fixes}", isolation: worktree}
"""
    )
    assert outcome.code == EXIT_OK
    assert outcome.value("fixes.@merge") == "fixes.x.txt fixes.y.txt start.txt"
    assert outcome.value("fixes") == {"x": "fixes.x", "y": "fixes.y"}
    assert sorted(yard.result()) == ["fixes.x.txt", "fixes.y.txt", "last.txt", "start.txt"]


def test_a_merge_check_that_fails_fails_its_group(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        failed = Result("error", error="exit code 1", cls="task")
        return failed if work.task == "fixes.@merge" else write(work)

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(
        """
tasks:
  fixes: {merge: {check: [pytest]}, tasks: {x: {prompt: X, isolation: worktree}}}
  last: {prompt: "Last of ${fixes}"}
"""
    )
    assert outcome.code == EXIT_PROBLEM
    assert yard.agent.calls("last") == []
    assert sorted(yard.result()) == ["fixes.x.txt", "start.txt"]


def test_items_and_a_gatherer_in_worktrees(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), write)
    outcome = yard.run(
        """
tasks:
  fix: {each: [p, q, r], prompt: "Fix ${item}", isolation: worktree}
  gather: {prompt: "All of ${fix}", isolation: worktree}
"""
    )
    assert outcome.code == EXIT_OK
    assert sorted(yard.result()) == ["fix.0.txt", "fix.1.txt", "fix.2.txt", "gather.txt", "start.txt"]


def test_a_redo_takes_the_integration_along_and_finds_the_branches_again(tmp_path: Path) -> None:
    times: dict[str, int] = {}

    def edit(work: Work) -> str:
        times[work.task] = times.get(work.task, 0) + 1
        (work.root / f"{work.task}.txt").write_text(f"{times[work.task]}\n")
        return work.task

    yard = Yard(new_repository(tmp_path), edit)
    yard.run(FAN)
    outcome = yard.resume(redo=("b",))
    assert outcome.code == EXIT_OK
    assert times == {"a": 1, "b": 2, "c": 2}
    assert yard.result() == {"start.txt": "start\n", "a.txt": "1\n", "b.txt": "2\n", "c.txt": "2\n"}
    assert yard.branches() == ["stretto/r/result"]


def test_a_pretender_makes_no_worktree_and_needs_no_repository(tmp_path: Path) -> None:
    yard = Yard(tmp_path, lambda work: "pretended")
    yard.cast.agents["simulated"] = yard.agent
    outcome = yard.run(FAN, on="simulated")
    assert outcome.code == EXIT_OK
    assert {work.root for work in yard.agent.seen} == {tmp_path}
    assert "@result" not in outcome.state.vertices


@pytest.mark.parametrize("what", ["nothing", "unborn", "bare"])
def test_without_a_commit_to_start_from_nothing_is_started(tmp_path: Path, what: str) -> None:
    if what != "nothing":
        git(tmp_path, "init", "-q", *(["--bare"] if what == "bare" else []))
    yard = Yard(tmp_path, write)
    with pytest.raises(StrettoError) as caught:
        yard.run(FAN)
    assert caught.value.slug == "no-repository"
    assert yard.agent.seen == [] and yard.journal.runs() == []


def test_a_project_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    new_repository(tmp_path)
    root = tmp_path / "inner"
    root.mkdir()
    (root / "own.txt").write_text("own\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "inner")
    yard = Yard(root, lambda work: write(work) if (work.root / "own.txt").exists() else Result("error"))
    assert yard.run(FAN).code == EXIT_OK
    files = git(root, "ls-tree", "-r", "--full-tree", "--name-only", "stretto/r/result").split()
    assert files == ["inner/a.txt", "inner/b.txt", "inner/c.txt", "inner/own.txt", "start.txt"]


def test_a_shallow_clone_is_enough(tmp_path: Path) -> None:
    new_repository(tmp_path / "whole")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path}/whole", "clone")
    assert Yard(tmp_path / "clone", write).run(FAN).code == EXIT_OK


def test_an_agent_that_commits_by_itself_is_welcome_and_one_that_leaves_its_base_is_not(
    tmp_path: Path,
) -> None:
    def edit(work: Work) -> str:
        if work.task == "lost":
            git(work.root, "checkout", "-q", "--orphan", "elsewhere")
        write(work)
        git(work.root, "add", "-A")
        git(work.root, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "-m", "mine")
        return "done"

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(
        """
tasks:
  good: {prompt: A, isolation: worktree}
  lost: {prompt: B, isolation: worktree, attempts: 1}
"""
    )
    assert "left the history" in error_of(outcome, "lost")
    assert sorted(yard.result()) == ["good.txt", "start.txt"]


def test_the_run_and_its_tasks_may_have_any_name(tmp_path: Path) -> None:
    names = ["a..b", "x.lock", "-dash", "sp ace", "ünï", "@", "a/../b", "n" * 300, "e\x1b[1m", "^~:?*[\\"]
    root = new_repository(tmp_path)
    made = [task_branch(run, task) for run in names for task in names]
    assert len(set(made)) == len(made)
    for branch in made:
        git(root, "check-ref-format", f"refs/heads/{branch}")


PLAN = """\
stretto: 1
name: demo
tasks:
  a: {run: [sh, -c, "echo a > a.txt"], isolation: worktree}
  b: {run: [sh, -c, "echo b > b.txt; echo b >> start.txt"], isolation: worktree}
"""


def test_the_last_line_is_the_command_that_brings_the_work_home(tmp_path: Path) -> None:
    root = new_repository(tmp_path)
    project = Project(root, PLAN)
    answer = project("run", "plan.yaml", "--unchecked")
    assert answer.code == EXIT_OK
    assert answer.last_line == f"git merge stretto/{project.last}/result"
    assert "uncommitted changes" in answer.err
    git(root, *answer.last_line.split()[1:])
    assert (root / "start.txt").read_text() == "start\nb\n"
    data = project("show", project.last, "--json").json
    assert data["merge"]["command"] == answer.last_line and data["merge"]["left"] == []
    assert project("show", project.last).last_line == answer.last_line


def test_doctor_finds_what_an_ended_run_has_left_and_cleans_it(tmp_path: Path) -> None:
    root = new_repository(tmp_path)
    project = Project(root, PLAN)
    project("run", "plan.yaml", "--unchecked")
    run = project.last
    assert project("doctor").code == EXIT_OK
    git(root, "worktree", "add", "-q", "--detach", f".stretto/worktrees/{run}/a", "HEAD")
    git(root, "branch", f"stretto/{run}/task/a", "HEAD")
    answer = project("doctor")
    assert answer.code == EXIT_PROBLEM and "left worktrees: 1, merged branches: 1" in answer.out
    assert project("doctor", "--clean").code == EXIT_OK
    branches = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads/stretto/").split()
    assert branches == [f"stretto/{run}/result"]
    assert "worktrees" not in git(root, "worktree", "list")


def test_two_runs_at_once_in_one_project(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), write)

    async def both_runs() -> list[Outcome]:
        options = Options(on="messages", cap_nusd=NO_CAP, control=False)
        going = [
            run_plan(plan_of(FAN), options, yard.journal, yard.root, agents=yard.cast, run=run)
            for run in ("r1", "r2")
        ]
        return await asyncio.gather(*going)

    assert [outcome.code for outcome in asyncio.run(both_runs())] == [EXIT_OK, EXIT_OK]
    assert yard.result("r1") == yard.result("r2")
    assert yard.branches() == ["stretto/r1/result", "stretto/r2/result"]


def test_an_attempt_that_is_interrupted_is_done_again_by_a_resume(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        if work.task == "b" and work.n == 1:
            (work.root / "half.txt").write_text("half")
            return Result("error", error="no more", cls="run", why="quota")
        return write(work)

    yard = Yard(new_repository(tmp_path), edit)
    assert yard.run(FAN).code == EXIT_LIMIT
    assert yard.branches() == ["stretto/r/task/a"]
    assert yard.resume().code == EXIT_OK
    assert sorted(yard.result()) == ["a.txt", "b.txt", "c.txt", "start.txt"]
    assert len(yard.agent.calls("a")) == 1


def test_a_branch_that_somebody_deleted_is_named(tmp_path: Path) -> None:
    def edit(work: Work) -> str:
        if work.task == "look":
            git(root, "branch", "-q", "-D", "stretto/r/task/a")
        return write(work) if work.root != root else "looked"

    root = new_repository(tmp_path)
    yard = Yard(root, edit)
    outcome = yard.run(
        """
tasks:
  a: {prompt: A, isolation: worktree}
  look: {prompt: Look, needs: [a]}
  b: {prompt: B, isolation: worktree, needs: [look], attempts: 1}
"""
    )
    assert outcome.code == EXIT_PROBLEM
    assert "stretto/r/task/a" in error_of(outcome, "b") and "--redo a" in error_of(outcome, "b")


def test_an_interrupted_session_finds_its_files_again(tmp_path: Path) -> None:
    seen = []

    def edit(work: Work) -> object:
        seen.append((work.session, sorted(path.name for path in work.root.glob("*.txt"))))
        if work.n == 1:
            (work.root / "half.txt").write_text("half")
            return Result("error", error="no more", cls="run", why="quota")
        return write(work)

    yard = Yard(new_repository(tmp_path), edit)
    yard.agent.session = "s1"
    assert yard.run("tasks: {a: {prompt: A, isolation: worktree}}").code == EXIT_LIMIT
    assert yard.resume().code == EXIT_OK
    assert seen == [("", ["start.txt"]), ("s1", ["half.txt", "start.txt"])]
    assert sorted(yard.result()) == ["a.txt", "half.txt", "start.txt"]


def test_a_branch_that_the_user_looks_at_stays_as_it_is(tmp_path: Path) -> None:
    def edit(work: Work) -> str:
        if work.task == "c":
            git(root, "worktree", "add", "-q", str(tmp_path / "look"), "stretto/r/task/a")
        return write(work)

    root = new_repository(tmp_path / "project")
    yard = Yard(root, edit)
    assert yard.run(FAN).code == EXIT_OK
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/a"]
    assert git(tmp_path / "look", "status", "--porcelain") == ""


def test_only_does_not_take_branches_of_earlier_runs(tmp_path: Path) -> None:
    project = Project(new_repository(tmp_path), PLAN + "  c: {run: [ls], after: [a], isolation: worktree}\n")
    assert project("run", "plan.yaml", "--unchecked").code == EXIT_OK
    answer = project("run", "plan.yaml", "--unchecked", "--only", "c")
    assert "branches are not taken" in answer.err and answer.code == EXIT_COULD_NOT
    assert project("run", "plan.yaml", "--unchecked", "--only", "a").code == EXIT_OK


def test_planned_tasks_work_in_worktrees_too(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        if work.task == "split.plan":
            return {"tasks": [{"id": "x", "prompt": "Do x"}, {"id": "y", "prompt": "Do y", "needs": ["x"]}]}
        return write(work)

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(
        """
tasks:
  split: {prompt: Plan it, model: sonnet, grow: {isolation: worktree, model: haiku}}
  last: {prompt: "Last of ${split}", isolation: worktree}
""",
        approve=True,
    )
    assert outcome.code == EXIT_OK
    assert len(yard.result()) == 4 and "last.txt" in yard.result()


def test_what_running_leaves_behind_and_what_git_ignores_is_not_committed(tmp_path: Path) -> None:
    def edit(work: Work) -> str:
        for name in ("__pycache__/a.pyc", "deep/__pycache__/b.pyc", "build/c.o", ".stretto/d"):
            (work.root / name).parent.mkdir(parents=True)
            (work.root / name).write_text(work.task)
        return write(work)

    yard = Yard(new_repository(tmp_path, __gitignore="build/\n"), edit)
    assert yard.run(FAN).code == EXIT_OK
    assert sorted(yard.result()) == [".gitignore", "a.txt", "b.txt", "c.txt"]


@pytest.mark.parametrize("trick", ["gone", "points at the user's", "a repository of its own", "all gone"])
def test_whatever_an_agent_does_to_git_in_its_worktree_the_user_s_is_untouched(
    tmp_path: Path, trick: str
) -> None:
    root = new_repository(tmp_path, start__txt="start\n", staged__txt="old\n")
    (root / "staged.txt").write_text("staged\n")
    git(root, "add", "staged.txt")
    before = untouched(root)

    def edit(work: Work) -> str:
        write(work)
        if trick == "all gone":
            shutil.rmtree(work.root)
            return "done"
        (work.root / ".git").unlink()
        if trick == "points at the user's":
            (work.root / ".git").write_text(f"gitdir: {root / '.git'}\n")
        elif trick == "a repository of its own":
            git(work.root, "init", "-q")
        return "done"

    yard = Yard(root, edit)
    outcome = yard.run("tasks: {a: {prompt: A, isolation: worktree, attempts: 1}}")
    assert untouched(root) == before
    assert outcome.code == EXIT_PROBLEM
    assert yard.branches() == [] and yard.worktrees() == 0


def test_what_is_pretended_is_not_held_to_a_check_of_files(tmp_path: Path) -> None:
    yard = Yard(tmp_path, lambda work: "pretended")
    real = Editor(lambda work: Result("error", error="exit code 1"))
    yard.cast.agents.update(simulated=yard.agent, command=real)
    outcome = yard.run(
        """
tasks:
  a: {prompt: A, isolation: worktree, check: [pytest]}
  b: {run: [make], isolation: worktree}
""",
        on="simulated",
    )
    assert outcome.code == EXIT_OK and real.seen == []
    assert [work.role for work in yard.agent.seen if work.task == "a"] == ["work", "check"]
