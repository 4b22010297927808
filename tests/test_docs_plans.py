"""The page on plans: every snippet holds, and every key is on it."""

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from stretto import __all__ as exported
from stretto.plan.finding import Finding
from stretto.plan.model import Plan
from stretto.spec.compile import compile_plan
from stretto.spec.fields import AGENTS, ALIASES, EFFORTS, INPUT_TYPES, TABLES, TOOLS
from stretto.spec.python import read_python
from stretto.spec.yaml import read_yaml

PAGE = Path(__file__).parent.parent / "docs" / "plans.md"
TEXT = PAGE.read_text()


class Snippet(NamedTuple):
    """A fenced block of the page, with the line it begins on."""

    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.language}-line-{self.line}"


SNIPPETS = [
    Snippet(found["language"], found["text"], TEXT.count("\n", 0, found.start()) + 1)
    for found in re.finditer(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", TEXT, re.M | re.S)
]

SECTIONS = {
    "plan": "On a plan",
    "task": "On a task",
    "group": "On a group",
    "limits": "On limits",
    "input": "On an input",
    "check": "On a check",
    "expect": "On expect",
}


def compiled(snippet: Snippet, folder: Path) -> tuple[Plan | None, list[Finding]]:
    if snippet.language == "yaml":
        return compile_plan(read_yaml(snippet.text, "plan.yaml"), source="plan.yaml")
    path = folder / "plan.py"
    path.write_text(snippet.text)
    return compile_plan(read_python(path), source=str(path))


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", TEXT, re.M | re.S)
    assert found, f"no heading {title!r}"
    return found[1]


def test_every_block_is_a_snippet() -> None:
    assert {snippet.language for snippet in SNIPPETS} == {"yaml", "python"}
    assert TEXT.count("```") == 2 * len(SNIPPETS)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_snippet_is_a_plan_without_findings(snippet: Snippet, tmp_path: Path) -> None:
    plan, findings = compiled(snippet, tmp_path)

    assert plan is not None
    assert {f.slug for f in findings} <= {"not-supported"}


@pytest.mark.parametrize("table", SECTIONS)
def test_every_key_has_its_row(table: str) -> None:
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", section(SECTIONS[table]), re.M))
    shared = TABLES["task"].keys() - {"prompt"} if table == "group" else set()

    assert rows <= TABLES[table].keys(), "the page has keys that the format has not"
    assert TABLES[table].keys() - shared <= rows
    for key in TABLES[table].keys() - rows:
        assert f"`{key}`" in section(SECTIONS[table])


def test_the_smaller_tables_stand_inside_the_others() -> None:
    for table in ("model", "min_ok", "merge", "strongest", "baseline"):
        for key in TABLES[table]:
            assert re.search(rf"\b{key}\b", section("Every key") + TEXT), f"{key} of {table}"


def test_every_word_that_can_be_chosen_is_named() -> None:
    words = {*AGENTS, *EFFORTS, *INPUT_TYPES, *TOOLS, *ALIASES}

    missing = [word for word in sorted(words) if f"`{word}`" not in TEXT]
    assert not missing


@pytest.mark.parametrize("key", sorted(TABLES["task"]))
def test_defaults_are_those_of_the_format(key: str) -> None:
    """The column of defaults, where the format has a plain one."""
    default = TABLES["task"][key].default
    row = re.search(rf"^\| `{key}` \|[^|]*\|([^|]*)\|", section("On a task"), re.M)

    assert row
    if default is not None:
        assert row[1].strip().strip("`") == str(default).lower()


def test_every_building_block_is_explained() -> None:
    functions = set(exported) - {"Finding", "PlanError", "StrettoError", "Transient"}

    table = section("Building blocks")
    assert [name for name in sorted(functions) if f"`{name}(" not in table] == []


def test_what_python_snippets_import_is_exported() -> None:
    names = {
        alias.name
        for snippet in SNIPPETS
        if snippet.language == "python"
        for found in ast.walk(ast.parse(snippet.text))
        if isinstance(found, ast.ImportFrom) and found.module == "stretto"
        for alias in found.names
    }
    assert names <= set(exported)


def test_what_is_shown_twice_is_the_same_plan(tmp_path: Path) -> None:
    """Before the chapter on Python, each Python snippet is the YAML one above it in other words."""
    chapter = TEXT.count("\n", 0, TEXT.index("\n## Python\n"))
    pairs = [
        (first, second)
        for first, second in pairwise(SNIPPETS)
        if second.language == "python" and second.line < chapter
    ]

    assert len(pairs) == 5
    for first, second in pairs:
        assert compiled(first, tmp_path)[0] == compiled(second, tmp_path)[0], str(second)


def test_links_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", TEXT, re.M)
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target[1:] in headings if target.startswith("#") else (PAGE.parent / target).exists(), target
