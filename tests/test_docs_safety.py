"""The page about safety points to attacks that exist."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from tests import (
    test_red_team,
    test_red_team_disk,
    test_red_team_plans,
    test_red_team_screen,
    test_red_team_wire,
)

PAGE = Path(__file__).parent.parent / "docs" / "safety.md"
MODULES = (test_red_team, test_red_team_disk, test_red_team_plans, test_red_team_screen, test_red_team_wire)
NAMES = {name for module in MODULES for name in module.attack.attacks}


def test_every_guard_names_an_attack_that_exists() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and line.count("|") == 4]
    guards = [row.split("|")[3] for row in rows[2:]]
    assert len(guards) > 12
    for cell in guards:
        words = [word for word in re.findall(r"`([^`]+)`", cell) if not word.startswith("test_red_team")]
        assert words, cell
        for word in words:
            pattern = word.replace("...", "*")
            assert any(fnmatchcase(name, pattern) for name in NAMES), f"no attack is called {word}"


def test_there_are_as_many_attacks_as_it_says() -> None:
    count = len(NAMES) + len(test_red_team_screen.PAYLOADS)
    assert "close to a hundred attacks" in PAGE.read_text() and 90 <= count < 110
