"""Branches that changed the same lines: mended by a call, or left with a clear word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stretto.agents import Desk, Result, Work
from stretto.agents.messages import MessagesAgent
from stretto.errors import EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM
from stretto.run import load_state
from stretto.scheduler.vertex import TaskVertex
from tests.fakeapi import FakeApi
from tests.worktree_stage import (
    COLLIDE,
    Yard,
    both,
    collide,
    error_of,
    git,
    new_repository,
    untouched,
    write,
)
from tests.worlds import snapshot


def test_a_collision_is_mended_by_one_call_of_a_stronger_model(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), collide(both))
    outcome = yard.run(COLLIDE)
    assert outcome.code == EXIT_OK
    assert yard.result() == {"start.txt": "a and b\n"}
    (mend,) = yard.agent.calls("@result", "mend")
    assert mend.model == "claude-sonnet-5-5"
    assert "Say A" in mend.prompt and "Say B" in mend.prompt and "start.txt" in mend.prompt
    assert yard.branches() == ["stretto/r/result"]


def test_a_branch_that_nobody_can_mend_is_left_and_the_rest_is_merged(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        return write(work) if work.task == "c" else collide("I will not")(work)

    root = new_repository(tmp_path)
    yard = Yard(root, edit)
    outcome = yard.run(COLLIDE + "  c: {prompt: C, isolation: worktree}\n")
    assert outcome.code == EXIT_PROBLEM
    assert len(yard.agent.calls("@result", "mend")) == 2
    assert yard.result() == {"start.txt": "a\n", "c.txt": "c\n"}
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/b"]
    assert git(root, "show", "stretto/r/task/b:start.txt") == "b\n"
    error = error_of(outcome, "@result")
    assert "stretto/r/task/b" in error and "start.txt" in error


def test_a_task_below_a_collision_starts_from_what_was_mended_and_pays_once(tmp_path: Path) -> None:
    plan = COLLIDE + "  c: {prompt: Say C, isolation: worktree, model: haiku, needs: [a, b]}\n"
    seen = []

    def edit(work: Work) -> object:
        if work.task == "c" and work.role == "work":
            seen.append((work.root / "start.txt").read_text())
            return write(work)
        return collide(both)(work)

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(plan)
    assert outcome.code == EXIT_OK
    assert seen == ["a and b\n"]
    assert len([work for work in yard.agent.seen if work.role == "mend"]) == 1
    assert yard.result() == {"start.txt": "a and b\n", "c.txt": "c\n"}


def test_a_task_whose_base_nobody_can_mend_fails_and_names_the_branches(tmp_path: Path) -> None:
    plan = COLLIDE + "  c: {prompt: Say C, isolation: worktree, model: haiku, needs: [a, b]}\n"
    yard = Yard(new_repository(tmp_path), collide("no"))
    outcome = yard.run(plan)
    assert outcome.code == EXIT_PROBLEM
    error = error_of(outcome, "c")
    assert "stretto/r/task/a" in error and "stretto/r/task/b" in error and "stay" in error
    assert yard.result() == {"start.txt": "a\n"}
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/b"]


def test_what_is_no_text_is_left_without_asking(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        (work.root / "start.txt").write_bytes(b"\0" + work.task.encode())
        return "done"

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(COLLIDE)
    assert outcome.code == EXIT_PROBLEM
    assert {work.role for work in yard.agent.seen} == {"work"}
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/b"]


def test_what_one_side_deleted_is_left_without_asking(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        if work.task == "a":
            (work.root / "start.txt").unlink()
        else:
            (work.root / "start.txt").write_text("b\n")
        return "done"

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(COLLIDE)
    assert outcome.code == EXIT_PROBLEM
    assert {work.role for work in yard.agent.seen} == {"work"}


def test_without_money_for_a_mend_the_branch_is_left_and_the_run_ends(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), collide(both), cost_nusd=1_000)
    outcome = yard.run(COLLIDE, cap_nusd=2_500)
    assert outcome.code == EXIT_PROBLEM
    assert outcome.status == "failed"
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/b"]
    assert outcome.state.ledger.spent_nusd == 2_000


def test_commands_that_collide_are_left_because_nobody_can_be_asked(tmp_path: Path) -> None:
    yard = Yard(new_repository(tmp_path), collide(both))
    outcome = yard.run(
        """
tasks:
  a: {run: [x], isolation: worktree}
  b: {run: [x], isolation: worktree}
"""
    )
    assert outcome.code == EXIT_PROBLEM
    assert {work.role for work in yard.agent.seen} == {"work"}


def test_hooks_signatures_and_odd_settings_of_the_user_do_not_reach_our_commits(tmp_path: Path) -> None:
    root = new_repository(tmp_path)
    for hook in ("pre-commit", "commit-msg", "post-checkout", "prepare-commit-msg", "pre-merge-commit"):
        path = root / ".git" / "hooks" / hook
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    for name, value in {
        "commit.gpgSign": "true",
        "gpg.program": "/bin/false",
        "merge.ff": "only",
        "merge.conflictStyle": "diff3",
        "merge.verifySignatures": "true",
        "core.editor": "/bin/false",
        "submodule.recurse": "true",
        "rerere.enabled": "true",
    }.items():
        git(root, "config", name, value)
    before = untouched(root)
    yard = Yard(root, collide(both))
    assert yard.run(COLLIDE).code == EXIT_OK
    assert yard.result() == {"start.txt": "a and b\n"}
    assert untouched(root) == before and not (root / ".git" / "rr-cache").exists()


def test_the_journal_folds_to_the_state_of_the_run(tmp_path: Path) -> None:
    for number, answer in enumerate((both, "no")):
        yard = Yard(new_repository(tmp_path / str(number)), collide(answer))
        outcome = yard.run(COLLIDE)
        folded = load_state(yard.journal, "r")[1].state
        assert snapshot(folded) == snapshot(outcome.state)
        result, live = folded.vertices["@result"], outcome.state.vertices["@result"]
        assert isinstance(result, TaskVertex) and isinstance(live, TaskVertex)
        assert (result.conflict, result.mends) == (live.conflict, live.mends)
        assert len(live.mends) == 1 and bool(live.mends[0]) == (number == 0)


def test_a_mend_is_asked_of_the_api_and_booked(tmp_path: Path) -> None:
    class Split:
        """Edits by itself, and asks the API where it mends."""

        async def run(self, work: Work, desk: Desk) -> Result:
            if work.role != "mend":
                return await yard.agent.run(work, desk)
            asking = MessagesAgent(api.url, "test")
            try:
                return await asking.run(work, desk)
            finally:
                await asking.aclose()

    reply = {"files": [{"path": "start.txt", "hunks": ["a and b"]}]}
    with FakeApi(rules=[{"match": "Two branches", "reply": reply}]) as api:
        yard = Yard(new_repository(tmp_path), collide(None))
        yard.cast.agents["messages"] = Split()
        outcome = yard.run(COLLIDE, cap_nusd=10**9)
        assert outcome.code == EXIT_OK
        bill = api.bill()
    assert yard.result() == {"start.txt": "a and b\n"}
    assert outcome.state.ledger.spent_nusd == bill["cost_nusd"] > 0


@pytest.mark.parametrize("name", [":(top)x", "[id].txt", "*", "-a", "ünï code"])
def test_a_file_may_be_called_like_a_pattern(tmp_path: Path, name: str) -> None:
    def edit(work: Work) -> object:
        if work.role == "mend":
            return json.dumps({"files": [{"path": name, "hunks": ["a and b"]}]})
        (work.root / name).write_text(f"{work.task}\n")
        return work.task

    yard = Yard(new_repository(tmp_path), edit)
    outcome = yard.run(COLLIDE)
    assert outcome.code == EXIT_OK, error_of(outcome, "@result")
    assert yard.result()[name] == "a and b\n"


def test_of_files_that_lie_elsewhere_nobody_mixes_the_names(tmp_path: Path) -> None:
    def edit(work: Work) -> object:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{work.task * 64}\nsize 12\n"
        (work.root / "start.txt").write_text(pointer)
        return "done"

    yard = Yard(new_repository(tmp_path), edit)
    assert yard.run(COLLIDE).code == EXIT_PROBLEM
    assert {work.role for work in yard.agent.seen} == {"work"}


def test_after_one_that_is_left_the_next_collision_gets_its_own_answer(tmp_path: Path) -> None:
    def answer(work: Work) -> object:
        about_c = "the collision" in work.prompt and "Say C" in work.prompt
        return json.dumps({"files": [{"path": "start.txt", "hunks": ["a and c"]}]}) if about_c else "no"

    plan = COLLIDE + "  c: {prompt: Say C, isolation: worktree, model: haiku}\n"
    yard = Yard(new_repository(tmp_path), collide(answer))
    assert yard.run(plan).code == EXIT_PROBLEM
    assert yard.result() == {"start.txt": "a and c\n"}
    assert yard.branches() == ["stretto/r/result", "stretto/r/task/b"]
    assert len(yard.agent.calls("@result", "mend")) == 3


def test_a_quota_that_ends_while_branches_are_mended_stops_the_run_and_pays_nothing_twice(
    tmp_path: Path,
) -> None:
    gone = Result("error", error="the quota is used up", cls="run", why="quota")
    answers: list[object] = [gone, "no", gone]

    def answer(work: Work) -> object:
        return answers.pop(0) if answers else both(work)

    yard = Yard(new_repository(tmp_path), collide(answer), cost_nusd=1_000)
    assert yard.run(COLLIDE).code == EXIT_LIMIT
    assert yard.resume().code == EXIT_LIMIT  # one bad answer, and the quota ends again
    outcome = yard.resume()
    assert outcome.code == EXIT_OK, error_of(outcome, "@result")
    assert yard.result() == {"start.txt": "a and b\n"}
    assert len(yard.agent.calls("a")) == len(yard.agent.calls("b")) == 1
    assert outcome.state.ledger.spent_nusd == 1_000 * len(yard.agent.seen)


def test_a_collision_that_was_mended_is_not_paid_again_when_another_task_is_done_again(
    tmp_path: Path,
) -> None:
    def edit(work: Work) -> object:
        return write(work) if work.task == "d" else collide(both)(work)

    yard = Yard(new_repository(tmp_path), edit)
    assert yard.run(COLLIDE + "  d: {prompt: D, isolation: worktree, model: haiku}\n").code == EXIT_OK
    assert yard.resume(redo=("d",)).code == EXIT_OK
    assert len(yard.agent.calls("@result", "mend")) == 1
    assert yard.result() == {"start.txt": "a and b\n", "d.txt": "d\n"}
    assert yard.resume(redo=("@result",)).code == EXIT_OK
    assert len(yard.agent.calls("@result", "mend")) == 2, "who does the merge again wants another answer"
