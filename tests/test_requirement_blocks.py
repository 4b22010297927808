"""The requirement documents: every block of them is read as it is meant, and none makes the reader fall."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.plan.model import Expect
from stretto.spec.bare.comments import label_of, mark_above, mark_before, waits_behind
from stretto.spec.bare.figures import alternative, figures_behind, figures_below, product
from stretto.spec.load import load_all
from tests.bare import read, shown, tasks_of

FIXTURES = Path(__file__).parent / "data" / "requirements"
PAGES = ("orchestration-patterns", "orchestration-patterns-short")

EXPECTED = {
    "orchestration-patterns-short": {
        "1-parallel-fan-out": "1-5 haiku $0.1",
        "2-sequential-pipeline": "6 sonnet > 7 sonnet > 8 haiku",
        "3-hierarchical-decomposition": "9 opus 3m > 10-12 sonnet 5m",
        "4-scatter-gather": "13-15 sonnet > 16 sonnet",
        "cost-optimization-expensive": "17 opus $1, 18 opus $0.8, 19 opus $1.5, 20 opus $0.6",
        "cost-optimization-optimized": "21 haiku $0.05, 22 haiku $0.03, 23 opus $1.5, 24 haiku $0.02",
    },
    "orchestration-patterns": {
        "pattern-1-parallel-fan-out": "1-5 haiku $0.1",
        "pattern-2-sequential-pipeline": "6 sonnet > 7 sonnet > 8 haiku",
        "pattern-3-hierarchical-decomposition": "9 opus > 10-14 sonnet",
        "pattern-4-scatter-gather": "15-17 sonnet, 18 haiku > 19 sonnet",
        "haiku-data-gathering-layer": "20-23 haiku $0.05",
        "sonnet-analysis-implementation-layer": "24-27 sonnet $0.2",
        "opus-strategic-planning-layer": "28-30 opus $1.5",
        "no-orchestration-strategy": "31-34 auto",
        "over-orchestration-bad": "35 opus > 36-37 sonnet > 38-39 haiku > 40 sonnet",
        "over-orchestration-better": "41 sonnet",
        "ignoring-dependencies-bad": "42-44 auto",
        "ignoring-dependencies-good": "45 haiku > 46 haiku > 47 haiku",
        "strategy-1-haiku-for-data-sonnet-for-logic-expensive": (
            "48 opus $1, 49 opus $0.8, 50 opus $1.5, 51 opus $0.6"
        ),
        "strategy-1-haiku-for-data-sonnet-for-logic-optimized": (
            "52 haiku $0.05, 53 haiku $0.03, 54 opus $1.5, 55 haiku $0.02"
        ),
        "strategy-2-parallel-haiku-sequential-opus-expensive": "56 opus $3 20m",
        "strategy-2-parallel-haiku-sequential-opus-optimized": "57-66 haiku",
        "strategy-3-hybrid-orchestration": "67 opus $1.5 > 68-72 haiku $0.1",
        "scenario-1-microservices-audit": "73-77 sonnet $0.2",
        "scenario-2-feature-implementation": "78 opus $1.5 3m > 79-81 sonnet $0.2 5m > 82 sonnet $0.2 3m",
        "scenario-3-codebase-refactoring": "83 opus $1.5 5m > 84 sonnet $0.2 7m > 85 sonnet $0.2 5m",
    },
}


class TestTheDocuments:
    """Every block of the requirement documents."""

    @pytest.mark.parametrize("page", PAGES)
    def test_every_block_reads_as_it_is_meant(self, page: str) -> None:
        self.holds(page, FIXTURES)

    @pytest.mark.parametrize("page", PAGES)
    def test_and_so_do_the_documents_themselves(self, page: str) -> None:
        beside = Path(__file__).parent.parent.parent / "shared" / "requirements"
        folder = Path(os.environ.get("STRETTO_REQUIREMENTS", beside))
        # Where they are not at hand, the copy of their blocks stands for them.
        self.holds(page, folder if folder.is_dir() else FIXTURES)

    def holds(self, page: str, folder: Path) -> None:
        found = load_all(folder / f"{page}.md")
        plans = {entry.name: entry.plan for entry in found}

        assert {name: shown(plan) for name, plan in plans.items() if plan is not None} == EXPECTED[page]
        assert {entry.kind for entry in found} == {"bare"}
        assert all(entry.bare for entry in found)
        slugs = {finding.slug for entry in found for finding in entry.findings}
        assert slugs <= {"inferred-structure", "not-supported", "open-placeholder"}

    def test_what_else_is_in_them(self) -> None:
        plans = {entry.name: entry.plan for entry in load_all(FIXTURES / "orchestration-patterns.md")}

        audit = plans["pattern-3-hierarchical-decomposition"]
        hybrid = plans["strategy-3-hybrid-orchestration"]
        parallel = plans["strategy-2-parallel-haiku-sequential-opus-optimized"]
        refactoring = plans["scenario-3-codebase-refactoring"]
        assert audit and hybrid and parallel and refactoring
        assert tasks_of(audit)[0].role == "Plan"
        assert tasks_of(audit)[0].prompt.startswith("Analyze codebase structure and identify:\n- Major")
        assert [task.prompt for task in tasks_of(hybrid)][1:3] == ["Fix {issue1}", "Fix {issue2}"]
        assert hybrid.baselines == {"all-opus": Expect(nusd=7_500_000_000, time_s=1500)}
        assert refactoring.baselines == {}, "2-3 days are no figure"
        assert [task.prompt for task in tasks_of(parallel)] == [
            f"Quick analysis of mod{number}" for number in range(1, 11)
        ]
        loop = tasks_of(refactoring)[1]
        assert loop.each and (loop.each.over, loop.each.name, loop.each.max) == (
            "${top_10_modules}",
            "module",
            10,
        )
        assert loop.prompt == "Migrate ${module} to TypeScript strict mode"
        assert (refactoring.inputs["top_10_modules"].type, refactoring.inputs["top_10_modules"].required) == (
            "list",
            True,
        )

    def test_what_was_inferred_is_said_once_a_plan(self) -> None:
        found = load_all(FIXTURES / "orchestration-patterns.md")
        said = {entry.name: [f for f in entry.findings if f.slug == "inferred-structure"] for entry in found}

        (one,) = said["scenario-2-feature-implementation"]
        assert one.severity == "info"
        assert one.message.endswith("3 stages: task-78; task-79, task-80, task-81; task-82")
        assert all(len(findings) == (" > " in EXPECTED[PAGES[0]][name]) for name, findings in said.items())


BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", (FIXTURES / f"{page}.md").read_text(), re.S)
]
BITS = [
    *"'\"()[]{}#\\\n\t\0\r\f,:→",
    '"""',
    "...",
    "${",
    "# Wait",
    "Task(",
    "for x in y:\n",
    "lambda: ",
    "```",
]
BITS += ['f"', "{x!r:>9999}", "**k", "# Step 1\n", "# BAD\n", "$1.00"]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A block of the documents after some accidents."""
    text: str = draw(st.sampled_from(BLOCKS))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from([0, 1, 3, 20, 100])))
        middle: str = draw(st.sampled_from(["", text[at:end] * 2, *BITS]))
        text = text[:at] + middle + text[end:]
    return text


@settings(max_examples=300, deadline=None)
@given(text=mutated(), page=st.booleans())
def test_mutated_blocks_give_plans_or_findings(text: str, page: bool) -> None:
    """Never a traceback; every id once; every place in the file."""
    text = f"## Title\n```python\n{text}\n```" if page else text
    lines = len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    plans, findings = read(text, page=page)

    assert plans or findings or not re.search(r"\bTask\s*\(", text)
    ids = [path for plan in plans if plan is not None for path in plan.places]
    assert len(ids) == len(set(ids))
    for finding in findings:
        _, line, column = finding.at.rsplit(":", 2)
        assert 1 <= int(line) <= lines and int(column) >= 1


@given(comment=st.text(max_size=60))
def test_any_comment_can_be_asked(comment: str) -> None:
    for ask in (label_of, mark_above, mark_before, waits_behind, figures_behind, figures_below, product):
        ask(comment)
    assert alternative(comment) is None or "alternative" in comment.lower()
