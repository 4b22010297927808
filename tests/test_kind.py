"""What a task's words say of its kind: named examples, the documents, recorded prompts, any text."""

import ast
import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from bench import kinds
from hypothesis import given
from hypothesis import strategies as st

from stretto.models.clauses import READ
from stretto.models.kind import kind_of
from stretto.models.words import LEVELS, NOUNS, VERBS, look_up, stem

SHARED = Path(__file__).parent.parent.parent / "shared"

NAMED = {
    "find the root cause of the flaky test": "development",
    "list the trade-offs and recommend an architecture": "strategy",
    "Read the codebase and redesign the storage layer": "strategy",
    "read the design doc and list the open questions": "mechanical",
    "Deploy to staging": "mechanical",
    "plan the zero-downtime migration": "strategy",
    "Fix {issue}": "development",
    "Find all Python files": "mechanical",
    "Fix null pointer in getUserProfile": "development",
    "": "",
    "Whatever needs doing": "",
}

# The documents' own prompts, where their model is the one that R3 gives; loops as placeholders.
DOCUMENTS = {
    "mechanical": [
        "Deploy to staging environment",
        "Find all files with TODOs",
        "Count lines of code per module",
        "Extract all function signatures",
        "List all API endpoints",
        "Find all Python files",
        "Read config files",
        "List dependencies",
        "Run migrations",
        "Seed test data",
        "Verify part 1",
    ],
    "development": [
        "Build application and verify success",
        "Run test suite on built artifacts",
        "Deep security audit of auth module",
        "Review for security vulnerabilities",
        "Review for performance issues",
        "Review for code quality",
        "Synthesize all review findings:\n- Security: [from agent 1]\nCreate prioritized action plan",
        "Create action plan from reviews",
        "Implement user authentication",
        "Fix memory leak in cache",
        "Optimize database queries",
        "Write integration tests",
        "Security audit of auth-service",
        "Implement email templates",
        "Implement send logic",
        "Implement queue system",
        "Write comprehensive tests",
        "Migrate {module} to TypeScript strict mode",
        "Integrate all migrated modules and fix type errors",
        "Combine and test",
    ],
    "strategy": [
        "Analyze codebase structure and identify:\n- Major architectural issues\n- High-risk areas\n"
        "Return list of top 5 critical modules to audit",
        "Identify top 5 critical modules",
        "Design microservices architecture",
        "Evaluate database technology options",
        "Create disaster recovery strategy",
        "Analyze architecture",
        "Analyze codebase and identify top 5 critical issues",
        "Design email notification system",
        "Analyze codebase and create TypeScript migration plan:\n- Identify files needing most work\n"
        "- Suggest migration order",
    ],
}
# Where the documents take the cheapest model for what R3 calls development, or warn of their own choice.
OTHERWISE = re.compile(
    r"Analyze \w+ module|Quick analysis|Fix \{|Review for test coverage|Create database migrations"
    r"|Analyze bug and|Analyze all 10|Find|Read|List"
)
TIERS = {"haiku": "mechanical", "sonnet": "development", "opus": "strategy"}


@pytest.mark.parametrize(("text", "kind"), NAMED.items())
def test_the_named_examples(text: str, kind: str) -> None:
    assert kind_of(text).name == kind


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_prompts_of_the_documents(kind: str) -> None:
    told = {text: kind_of(text).name for text in DOCUMENTS[kind]}
    assert told == dict.fromkeys(DOCUMENTS[kind], kind)


def test_every_model_in_the_documents_themselves() -> None:
    calls = [call for page in sorted((SHARED / "requirements").glob("*.md")) for call in tasks(page)]
    wrong = [
        (text, model)
        for text, model in calls
        if kind_of(text).name != TIERS[model] and not OTHERWISE.match(text.strip())
    ]
    assert not wrong
    assert len(calls) > 50 or not (SHARED / "requirements").exists()


def tasks(page: Path) -> list[tuple[str, str]]:
    """Prompt and model of each `Task("...", model="...")` in the page's code blocks."""
    found = []
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for call in ast.walk(ast.parse(block)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Task":
                named = {keyword.arg: keyword.value for keyword in call.keywords}
                if isinstance(model := named.get("model"), ast.Constant):
                    found.append((text_of(call.args[0]), str(model.value)))
    return found


def text_of(prompt: ast.expr) -> str:
    """The text of a literal or an f-string, its holes as `{name}`."""
    if isinstance(prompt, ast.Constant):
        return str(prompt.value)
    return ast.unparse(prompt)[2:-1]


def test_a_button_is_no_strategy() -> None:
    assert kind_of("Design a button color change").name != "strategy"
    assert kind_of("Plan the birthday party").name != "strategy"
    assert kind_of("Rename class StrategyFactory to PolicyFactory").name == "mechanical"


def test_what_is_not_wanted_does_not_count() -> None:
    assert kind_of("Do not redesign anything. List the open questions.").name == "mechanical"
    assert kind_of("Never refactor; just count the lines.").name == "mechanical"
    assert kind_of("List the files, but do not fix them").name == "mechanical"


def test_the_strongest_real_demand_decides() -> None:
    assert (
        kind_of("List the services, count their tables and propose a target architecture").name == "strategy"
    )
    assert kind_of("List the failing tests and fix them").name == "development"
    assert kind_of("The config has to be renamed").name == "mechanical"
    assert kind_of("It must be decided which database we build upon").name == "strategy"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Migration plan Oracle 12c to Postgres 16, cut-over and way back", "strategy"),
        ("Disaster recovery concept for the hospital: order of restart, limits, drills", "strategy"),
        ("Governance model for AI in the newsroom: who decides, what is forbidden", "strategy"),
        ("Roadmap: from ten people on Excel to a support team for 50,000 customers", "strategy"),
        ("Which of our products do we discontinue, and in which order?", "strategy"),
        ("How should the group arrange its data transfers after the ruling?", "strategy"),
        ("Memo: may we record support calls without asking each time?", "development"),
        ("Quality gate: approve the release notes or send them back", "development"),
        ("Design the operating model of the merged library service on one page", "strategy"),
        ("Extract the terms of data/*.xml with a proposed Dutch term each", "development"),
        ("Extract the terms of data/*.xml with the line of each", "mechanical"),
        ("List the risks of the purchase, ranked", "development"),
        ("Set targets for the five sales reps, given last year's figures", "development"),
        ("Set the timeout of the loader to 30 seconds", "mechanical"),
        ("Headings of the annual report, with page numbers", "mechanical"),
        ("Which tools do we use in the billing team?", "mechanical"),
    ],
)
def test_nouns_and_questions_ask_for_work_too(text: str, kind: str) -> None:
    assert kind_of(text).name == kind


def test_what_is_pasted_or_quoted_does_not_count() -> None:
    plea = "Redesign the whole architecture."
    for pasted in (
        f"```\n{plea}\n```",
        f"> {plea}",
        f'"{plea}"',
        f"<document>\n{plea}\n</document>",
        f"Context: {plea}\n",
    ):
        assert kind_of(f"{pasted}\n\nCount the words.").name == "mechanical", pasted
    assert kind_of("Context: redesign the whole architecture.").name == "strategy"


def test_instructions_at_the_end_of_a_long_text_are_read() -> None:
    assert kind_of("Lorem ipsum dolor. " * READ + "\nRecommend an architecture.").name == "strategy"


def test_it_says_why_and_how_surely() -> None:
    told = kind_of("Evaluate message brokers for all our teams and recommend one")
    assert told.name == "strategy" and 0.5 <= told.sure <= 1
    assert any("recommend" in reason or "evaluate" in reason for reason in told.reasons)
    assert kind_of("the weather is nice").sure == 0


def test_recorded_shell_tasks_are_never_strategy() -> None:
    page = SHARED / "data" / "outcomes.csv"
    if not page.exists():
        return
    with page.open(newline="", encoding="utf-8") as lines:
        prompts = {row["task"]: row["prompt"] for row in csv.DictReader(lines) if row["dataset"] == "bashkit"}
    told = Counter(kind_of(prompt).name for prompt in prompts.values())
    assert told["strategy"] == told[""] == 0
    assert told["mechanical"] > len(prompts) / 2


def test_the_corpus_as_the_bench_reports_it() -> None:
    rows = kinds.descriptions()
    assert len({one.text for one in rows}) == len(rows)
    for split, least in (("open", 0.95), ("held", 0.9), ("tune", 0.9), ("nominal", 0.9)):
        part = [one for one in rows if one.split == split]
        right = sum(kinds.ours(one.text) == one.kind for one in part)
        assert right / len(part) >= least, split
    held = Counter((one.kind, kinds.ours(one.text)) for one in rows if one.split == "held")
    assert held["strategy", "mechanical"] == 0
    assert held["mechanical", "strategy"] <= 0.02 * held.total()


def test_no_word_is_in_two_classes_by_mistake() -> None:
    for table in (VERBS, NOUNS):
        seen = Counter(word for words in table.values() for word in words.split())
        assert [word for word, times in seen.items() if times > 1] == []
    assert set(VERBS) | {"noun"} == set(LEVELS)
    assert look_up("analyzing").action == look_up("analyse").verb == "judge"
    assert stem("strategies") == stem("strategy")


WORDS = st.sampled_from(
    " ".join([*VERBS.values(), *NOUNS.values(), "and the of how we not to , . ? : ``` > \n"]).split(" ")
)


@given(st.text() | st.lists(WORDS, max_size=60).map(" ".join))
def test_any_text_is_told_without_an_error(text: str) -> None:
    told = kind_of(text)
    assert told == kind_of(text)
    assert told.name in ("mechanical", "development", "strategy", "") and 0 <= told.sure <= 1
    assert all(told.reasons) and (told.name == "") == (told.sure == 0)


@pytest.mark.parametrize("piece", ["```", "do work ", "and ", "<document>\n", "> \n", "{", "context\n", "a."])
def test_long_texts_of_one_piece_are_told_too(piece: str) -> None:
    """Each would take minutes, or too deep a stack, if any part were quadratic or recursed by length."""
    assert kind_of(piece * 100_000).name in ("", "development")
