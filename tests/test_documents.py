"""The blocks of the requirement documents before the critic: good ones pass, each bad one gets its slug."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from stretto.lint import criticise
from stretto.lint.slugs import SLUGS
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.spec.load import Loaded, load_all

FIXTURES = Path(__file__).parent / "data" / "requirements"
PAGES = ("orchestration-patterns", "orchestration-patterns-short")
QUIET = ("order", "model", "size", "words", "files")
"""The families of which a good block gets no warning."""

BAD: dict[str, set[tuple[str, tuple[str, ...]]]] = {
    "no-orchestration-strategy": {("vague-prompt", (f"task-{n}",)) for n in (31, 32, 33, 34)},
    "over-orchestration-bad": {("over-orchestration", tuple(f"task-{n}" for n in range(35, 41)))},
    "ignoring-dependencies-bad": {
        ("missing-dependency", ("task-43", "task-42")),
        ("missing-dependency", ("task-44", "task-43")),
    },
    "strategy-1-haiku-for-data-sonnet-for-logic-expensive": {
        ("oversized-model", (f"task-{n}",)) for n in (48, 49, 51)
    },
    "strategy-2-parallel-haiku-sequential-opus-expensive": {("missed-parallelism", ("task-56",))},
    "cost-optimization-expensive": {("oversized-model", (f"task-{n}",)) for n in (17, 18, 20)},
}


def folder() -> Path:
    """The documents themselves where they are at hand, else the copy of their blocks."""
    beside = Path(__file__).parents[2] / "shared" / "requirements"
    given = os.environ.get("STRETTO_REQUIREMENTS")
    return Path(given) if given else beside if beside.is_dir() else FIXTURES


def findings(loaded: Loaded) -> list[Finding]:
    assert loaded.plan is not None
    return criticise(loaded.plan, Chooser(BUILTIN, History()), bare=loaded.bare)


def warned(loaded: Loaded) -> set[tuple[str, tuple[str, ...]]]:
    return {(f.slug, f.tasks) for f in findings(loaded) if f.severity != "info"}


@pytest.mark.parametrize("where", [FIXTURES, folder()], ids=["fixtures", "documents"])
@pytest.mark.parametrize("page", PAGES)
def test_every_block(page: str, where: Path) -> None:
    blocks = load_all(where / f"{page}.md")
    assert len(blocks) >= 6
    for block in blocks:
        assert warned(block) == BAD.get(block.name, set()), block.name


@pytest.mark.parametrize("page", PAGES)
def test_what_is_found_in_bare_tasks_about_money_and_faults_is_a_hint(page: str) -> None:
    for block in load_all(FIXTURES / f"{page}.md"):
        for finding in findings(block):
            if SLUGS[finding.slug].family not in QUIET:
                assert finding.severity == "info", (block.name, finding.slug)


def test_build_test_and_deploy_without_a_word_on_their_order(tmp_path: Path) -> None:
    page = (FIXTURES / "orchestration-patterns.md").read_text()
    block = next(b for b in re.findall(r"```python\n(.*?)```", page, re.S) if "built artifacts" in b)
    path = tmp_path / "ship.py"
    path.write_text("\n".join(line for line in block.splitlines() if not line.lstrip().startswith("#")))
    (loaded,) = load_all(path)
    assert warned(loaded) == {
        ("missing-dependency", ("task-2", "task-1")),
        ("missing-dependency", ("task-3", "task-2")),
    }


def test_a_fix_of_something_not_named_yet_is_no_warning_on_the_cheapest_model(tmp_path: Path) -> None:
    path = tmp_path / "fix.py"
    path.write_text('for issue in issues:\n    Task(f"Fix {issue}", model="haiku")\n')
    (loaded,) = load_all(path)
    assert [f.slug for f in findings(loaded) if f.severity != "info"] == []
