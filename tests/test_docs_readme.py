"""The README's plans compile and ask for the same, and the commands and pages it names exist."""

from __future__ import annotations

import re
from pathlib import Path

from stretto.cli.grammar import overview
from stretto.plan.model import Plan, to_data
from stretto.run import parts_of
from stretto.spec.compile import compile_plan
from stretto.spec.python import read_python
from stretto.spec.yaml import read_yaml
from tests.driving import Project

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def from_yaml() -> Plan:
    plan, findings = compile_plan(read_yaml(block("yaml"), "README.md"), source="README.md")
    assert plan is not None and findings == []
    return plan


def test_both_plans_compile_and_ask_for_the_same(tmp_path: Path) -> None:
    file = tmp_path / "review.py"
    file.write_text(block("python"))
    plan, findings = compile_plan(read_python(file, None), source=str(file))
    assert plan is not None and findings == []
    other = from_yaml()
    assert to_data(plan.limits)["usd_nusd"] == to_data(other.limits)["usd_nusd"] == 2_000_000_000
    assert plan.name == other.name == "review"
    assert [task.model for task in parts_of(plan.tasks)] == [task.model for task in parts_of(other.tasks)]


def test_the_critic_has_nothing_against_what_a_newcomer_copies(tmp_path: Path) -> None:
    project = Project(tmp_path, block("yaml"))
    (tmp_path / "review.py").write_text(block("python"))
    assert project("check", "plan.yaml").code == 0
    assert project("check", "review.py").code == 0


def test_every_command_and_make_target_of_the_readme_exists() -> None:
    verbs = set(re.findall(r"^    stretto ([a-z]+)", README, re.MULTILINE))
    assert {"init", "check", "run", "show"} <= verbs
    usage = overview()
    assert all(re.search(rf"^  {verb}\b", usage, re.MULTILINE) for verb in verbs)
    targets = set(re.findall(r"`?make ([a-z-]+)[ `]", README)) & {"demo", "test", "help", "model"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_page_that_the_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []
