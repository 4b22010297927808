"""`stretto check --fix`: what can be mended safely is written into the user's file, and shown first."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from stretto.cli.findings import Paint
from stretto.cli.fix import Fixed, fix
from stretto.errors import EXIT_COULD_NOT, EXIT_OK
from stretto.lint.review import Review
from stretto.models import BUILTIN
from stretto.plan.finding import Finding, Mend
from tests.driving import Project

PLAN = """\
stretto: 1
name: p
tasks:
  # What we ship.
  build: {run: [make]}
  test: {prompt: "Test the build", model: opus}  # slow
"""
NEED = Finding(
    "missing-dependency", "warning", "", "plan.yaml:6:3", mends=(Mend("add-need", "test", "build"),)
)
MODEL = Finding(
    "oversized-model", "warning", "", "plan.yaml:6:3", mends=(Mend("set-model", "test", "haiku"),)
)
LOST = Finding("oversized-model", "warning", "", "plan.yaml:9:9", mends=(Mend("set-model", "gone", "haiku"),))
MEANT = Finding(
    "oversized-model", "warning", "", "", mends=(Mend("set-model", "test", "sonnet"),), accepted="x"
)


def mended(path: Path, *findings: Finding, dry_run: bool = False) -> Fixed:
    path.write_text(PLAN)
    args = Namespace(plan=path, plan_name="", dry_run=dry_run)
    return fix(args, [Review("p", findings, ())], "messages", BUILTIN)


def test_findings_are_mended_in_the_file_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    fixed = mended(path, NEED, MODEL)
    assert fixed.written
    assert list(fixed.why_not) == ["", ""]
    last = '  test: {prompt: "Test the build", needs: [build], model: haiku}  # slow'
    assert path.read_text().splitlines() == [*PLAN.splitlines()[:-1], last]
    rows = list(fixed.lines(Paint()))
    assert f"+{last}" in rows
    assert rows[-1] == "2 findings mended"


def test_a_dry_run_writes_nothing_and_shows_the_same(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    wet = mended(path, NEED)
    dry = mended(path, NEED, dry_run=True)
    assert path.read_text() == PLAN
    assert (dry.diff, dry.written) == (wet.diff, False)
    assert list(dry.lines(Paint()))[-1] == "1 finding would be mended"


def test_what_cannot_be_mended_is_said_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    fixed = mended(path, LOST, MODEL)
    assert fixed.written
    (row,) = [row for row in fixed.lines(Paint()) if "not mended" in row]
    assert row.startswith("plan.yaml:9:9: not mended: ")
    assert row.endswith(" [oversized-model]")
    data = fixed.data()
    assert [mend["made"] for mend in data["mends"]] == [False, True]
    assert data["mends"][0]["why_not"]


def test_what_is_accepted_or_has_no_mend_is_left_alone(tmp_path: Path) -> None:
    fixed = mended(tmp_path / "plan.yaml", MEANT, Finding("vague-prompt", "warning", ""))
    assert (fixed.written, fixed.diff, list(fixed.lines(Paint()))) == (False, "", ["0 findings mended"])


def test_a_plan_without_findings_stays_as_it_is(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN.split("  test:")[0])
    before = project.plan.read_bytes()
    answer = project("check", "plan.yaml", "--fix")
    assert answer.code == EXIT_OK
    assert answer.out.startswith("0 findings mended\n\n")
    assert project("check", "plan.yaml", "--fix", "--json").json["fixed"] == {
        "written": False,
        "diff": "",
        "mends": [],
    }
    assert project.plan.read_bytes() == before


@pytest.mark.parametrize("words", [("--dry-run",), ("--dry-run", "--json")])
def test_a_dry_run_is_about_mending(tmp_path: Path, words: tuple[str, ...]) -> None:
    answer = Project(tmp_path)("check", "plan.yaml", *words)
    assert answer.code == EXIT_COULD_NOT
    assert "[usage]" in answer.err
