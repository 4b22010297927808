"""What rough users do to `check`: odd names of files, read-only plans, comments that accept nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stretto.errors import EXIT_COULD_NOT
from tests.driving import Project

PLAN = 'stretto: 1\nname: p\ntasks:\n  a: {prompt: "Fix typos in a.md", model: opus}\n'


def bare(folder: Path, text: str) -> list[tuple[int, str]]:
    """Lines and slugs of what is found about how a bare file is written."""
    (folder / "bare.py").write_text(text)
    found = Project(folder)("check", "bare.py", "--json").json["findings"]
    kinds = ("bad-accept", "unread-task")
    return [(int(f["at"].split(":")[1]), f["slug"]) for f in found if f["slug"] in kinds]


def test_a_read_only_plan_is_not_mended(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN)
    project.plan.chmod(0o444)
    answer = project("check", "plan.yaml", "--fix")
    assert answer.code == EXIT_COULD_NOT
    assert "[cannot-write]" in answer.err
    assert project.plan.read_text() == PLAN
    assert "1 finding would be mended" in project("check", "plan.yaml", "--fix", "--dry-run").out
    project.plan.chmod(0o644)
    assert project("check", "plan.yaml", "--fix").out.count("model: haiku") == 1
    assert "model: haiku" in project.plan.read_text()


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        (b"\xff.yaml", "%FF.yaml"),
        (b"a b%20#?.yaml", "a%20b%2520%23%3F.yaml"),
        ("\u00e9:1:2.yaml".encode(), "%C3%A9%3A1%3A2.yaml"),
    ],
)
def test_a_file_of_any_name_is_named_in_sarif(tmp_path: Path, name: bytes, uri: str) -> None:
    word = os.fsdecode(name)
    try:
        (tmp_path / word).write_text(PLAN)
    except OSError:
        pytest.skip("this file system has no such names")
    log = Project(tmp_path)("check", "--sarif", word).json
    places = [place for result in log["runs"][0]["results"] for place in result["locations"]]
    assert {place["physicalLocation"]["artifactLocation"]["uri"] for place in places} == {uri}


@pytest.mark.parametrize(
    "comment",
    [
        "# stretto: accept oversized-model",
        "# stretto: accept oversized-model:",
        "# stretto: accept oversized_model: the contract",
        "# Stretto: accept: the contract",
    ],
)
def test_a_comment_that_should_accept_and_does_not_is_told(tmp_path: Path, comment: str) -> None:
    assert bare(tmp_path, f'{comment}\nTask("Fix typos in a.md", model="opus")\n') == [(1, "bad-accept")]


def test_an_acceptance_far_from_every_task_is_told(tmp_path: Path) -> None:
    text = '# stretto: accept oversized-model: the contract\n\nTask("Fix typos in a.md", model="opus")\n'
    assert bare(tmp_path, text) == [(1, "bad-accept")]


@pytest.mark.parametrize(
    "text",
    [
        'Task("Fix typos in a.md", model="opus")  # stretto: accept oversized-model: the contract\n',
        '# stretto: accept oversized-model: the contract\nTask("Fix typos in a.md", model="opus")\n',
        '# stretto: a narrow passage\nTask("Fix typos in a.md", model="haiku")\n',
    ],
)
def test_other_comments_are_left_alone(tmp_path: Path, text: str) -> None:
    assert bare(tmp_path, text) == []


def test_a_path_of_windows_that_is_no_python_is_explained(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text('Task("Sort the rows of C:\\new\\x.csv")\nTask("Sort b.csv")\n')
    found = Project(tmp_path)("check", "bare.py", "--json").json["findings"]
    (unread,) = [f["message"] for f in found if f["slug"] == "unread-task"]
    assert "\\x" in unread and "twice" in unread
