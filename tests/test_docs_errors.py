"""Every slug that a user can meet has its section in docs/errors.md, and no section is about nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SLUG = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def documented() -> list[str]:
    return re.findall(r"^## (.+)$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)


def texts() -> Iterator[tuple[str, str, bool]]:
    """(text, place, whether it is the first argument of an error or a finding)."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text())
        firsts = set()
        for found in ast.walk(tree):
            if isinstance(found, ast.Call) and found.args:
                name = (
                    found.func.attr
                    if isinstance(found.func, ast.Attribute)
                    else getattr(found.func, "id", "")
                )
                if name in ("StrettoError", "Finding", "Problem"):
                    firsts.add(id(found.args[0]))
        for found in ast.walk(tree):
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                place = f"{path.relative_to(ROOT)}:{found.lineno}"
                yield found.value, place, id(found) in firsts


def test_every_error_has_its_section() -> None:
    known = set(documented())
    missing = [f"{place} {text}" for text, place, is_slug in texts() if is_slug and text not in known]
    assert not missing, "add a section to docs/errors.md:\n" + "\n".join(missing)


def test_every_section_is_about_an_error_that_exists() -> None:
    written = {text for text, _, _ in texts()}
    assert [slug for slug in documented() if slug not in written] == []


def test_sections_are_sorted_and_named_once() -> None:
    slugs = documented()
    assert slugs == sorted(set(slugs))
    assert all(SLUG.fullmatch(slug) for slug in slugs)
