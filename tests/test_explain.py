"""`stretto explain`: one page tells people what a finding means, and the critic's list is held against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stretto.cli.explain import section, sections
from stretto.errors import EXIT_COULD_NOT, EXIT_OK
from stretto.lint.checklist import LABELS
from stretto.lint.slugs import ABOUT_ACCEPTING, ITEM_OF, OF_COMPILER, SLUGS
from stretto.spec.compile import compile_plan
from stretto.spec.yaml import read_yaml
from tests.driving import Project


@pytest.mark.parametrize("slug", SLUGS)
def test_each_section_tells_what_how_to_mend_and_how_to_accept(slug: str) -> None:
    text = section(slug)
    assert "```" in text, "an example that gets it"
    assert "*Mend:*" in text
    if slug in ABOUT_ACCEPTING:
        assert "cannot be accepted" in text
    elif slug != "inferred-structure":
        assert f"accept: {{{slug}: " in text


def plans_in(slug: str) -> Iterator[str]:
    """The examples of a section as whole plans."""
    for text in re.findall(r"^```yaml\n(.*?)^```$", section(slug), re.M | re.S):
        if text.startswith("stretto:"):
            yield text
        elif text.startswith(("limits:", "tasks:")):
            yield f"stretto: 1\nname: example\n{text}"
        else:
            yield f"stretto: 1\nname: example\ntasks:\n{re.sub('^(?=.)', '  ', text, flags=re.M)}"


@pytest.mark.parametrize("slug", SLUGS)
def test_the_examples_are_plans(slug: str) -> None:
    # What stands around an example is left out: names that lead nowhere are no mistake of it.
    left_out = ("unknown-reference", "unknown-need")
    for text in plans_in(slug):
        _, found = compile_plan(read_yaml(text, "example.yaml"), source="example.yaml")
        assert [f for f in found if f.severity == "error" and f.slug not in left_out] == [], text


def test_every_slug_has_a_family_and_an_item_that_exist() -> None:
    assert {known.item for known in SLUGS.values()} - {None} <= set(LABELS)
    assert set(ITEM_OF.values()) <= set(LABELS)
    assert {*ITEM_OF, *OF_COMPILER} <= sections().keys()
    assert all(not known.meaning.endswith(".") and not known.meaning[0].isupper() for known in SLUGS.values())


def test_a_slug_is_explained(tmp_path: Path) -> None:
    project = Project(tmp_path)
    answer = project("explain", "cycle")
    assert (answer.code, answer.out) == (EXIT_OK, f"cycle\n\n{section('cycle')}\n")
    head, *rows = project("explain", "oversized-model").out.splitlines()
    assert head == f"oversized-model (warning, model): {SLUGS['oversized-model'].meaning}"
    assert '    list: {prompt: "List all SQL files in the repository", model: opus}' in rows
    assert not any(row.startswith("```") for row in rows)
    assert " ".join(" ".join(rows).split()) == " ".join(
        re.sub(r"^```.*$", "", section("oversized-model"), flags=re.M).split()
    )
    data = project("explain", "oversized-model", "--json").json
    assert (data["slug"], data["severity"], data["item"]) == ("oversized-model", "warning", "models")
    assert data["text"] == section("oversized-model")
    assert project("explain", "cycle", "--json").json.keys() == {"schema", "slug", "text"}


def test_links_are_left_out_of_what_is_printed() -> None:
    assert "](" in sections()["unknown-model"]
    assert "](" not in section("unknown-model")
    assert "stretto.toml" in section("unknown-model")


def test_without_a_slug_all_that_a_critic_finds_is_listed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    rows = project("explain").out.splitlines()
    assert [row.split()[0] for row in rows if row.startswith("  ")] == list(SLUGS)
    assert all(len(row) <= 100 for row in rows)
    assert [row["slug"] for row in project("explain", "--json").json["slugs"]] == list(SLUGS)


def test_an_unknown_slug_is_met_with_a_guess(tmp_path: Path) -> None:
    answer = Project(tmp_path)("explain", "oversised-model")
    assert answer.code == EXIT_COULD_NOT
    assert "[no-such-slug]" in answer.err
    assert "did you mean 'oversized-model'?" in answer.err
