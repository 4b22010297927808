"""The example `fix_and_review`: real Claude Code agents plan, fix side by side, merge, test and review."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.claudes import use
from tests.fakeapi import FakeApi

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "fix_and_review"
PLAN = EXAMPLE / "fix_and_review.yaml"
FIXES = {
    "money": ("till/money.py", "int(float(text) * 100)", "round(float(text) * 100)"),
    "receipt": ("till/receipt.py", "{name:<20}", "{name[:20]:<20}"),
    "count": ("till/basket.py", "sum(cents for _, cents, _ in", "sum(cents * count for _, cents, count in"),
    "discount": (
        "till/basket.py",
        "return total - total * discount_percent / 100",
        "return round(total - total * discount_percent / 100)",
    ),
}
MENDED = """\
        total = sum(cents * count for _, cents, count in self.lines)
        return round(total - total * discount_percent / 100)
"""


def doing(asked: str, says: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"match": asked, "tools": list(tools), "reply": says or "Done."}


def script() -> list[dict[str, Any]]:
    """What each agent does with its tools, and what it says at the end."""
    planned = [
        {"issue": f"{test} is wrong", "file": file, "test": f"tests.test_{test}", "how": f"write {new}"}
        for test, (file, _, new) in FIXES.items()
    ]
    resolved = [{"path": "till/basket.py", "hunks": [MENDED]}]
    rules = [
        doing("^Plan how", "", use("Read", file_path="ISSUES.md"), use("StructuredOutput", value=planned)),
        doing("Two branches changed", "", use("StructuredOutput", files=resolved)),
        doing("^Review the last", "Seen: ${tool_result}", use("Grep", pattern="round")),
        doing("^Merge the three reviews", "One finding: prices are floats on their way in."),
        doing("^Write a report", "All four are fixed."),
    ]
    for test, (file, old, new) in FIXES.items():
        tools = (
            use("Read", file_path=file),
            use("Edit", file_path=file, old_string=old, new_string=new),
            use("Bash", command=f"python3 -m unittest tests.test_{test}"),
        )
        rules.append(doing(f"^Fix this issue in .*: {test} is", f"Fixed {test}.", *tools))
    return rules


def stretto(repository: Path, api: FakeApi, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environ |= {"HOME": str(repository.parent), "ANTHROPIC_API_KEY": "sk-fake", "ANTHROPIC_BASE_URL": api.url}
    argv = [sys.executable, "-m", "stretto", *words]
    return subprocess.run(
        argv, cwd=repository, env=environ, capture_output=True, text=True, check=False, timeout=240
    )


def git(repository: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(repository), *words], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("make_repository", EXAMPLE / "make_repository.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path / "till")
    return tmp_path / "till"


@pytest.mark.slow
def test_four_fixes_are_made_merged_tested_and_reviewed(repository: Path) -> None:
    before = git(repository, "rev-parse", "HEAD")
    (repository / "notes.txt").write_text("mine, and not committed\n")
    with FakeApi(rules=script()) as api:
        ended = stretto(repository, api, "run", str(PLAN), "--on", "claude", "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told = json.loads(ended.stdout)
        bill = api.bill()
    states = {task["id"]: task["state"] for task in told["tasks"]}
    assert set(states.values()) == {"succeeded"}, states
    assert {f"fix.{n}" for n in range(4)} | {"plan", "tests", "verdict", "report"} <= states.keys()
    assert told["usd_held"] == 0 and round(told["usd"] * 1e9) == bill["cost_nusd"]

    command = told["merge"]["command"].split()
    assert command[:2] == ["git", "merge"] and command[2].endswith("/result")
    assert git(repository, "rev-parse", "HEAD") == before, "the user's branch stays where it was"
    assert git(repository, "status", "--porcelain") == "?? notes.txt\n"
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    tested = subprocess.run([sys.executable, "-m", "unittest", "discover"], cwd=repository, check=False)
    assert tested.returncode == 0
    assert MENDED in (repository / "till" / "basket.py").read_text()

    tries = [(attempt["task"], attempt["role"], attempt["tier"]) for attempt in told["attempts"]]
    assert [tier for task, role, tier in tries if (task, role) == ("plan", "work")] == ["opus"]
    fixes = [tier for task, role, tier in tries if task.startswith("fix.") and role == "work"]
    assert fixes == ["sonnet"] * 4
    assert [tier for task, _, tier in tries if task.startswith("review.")] == ["haiku"] * 3
    mends = [(task, tier) for task, role, tier in tries if role == "mend"]
    assert mends == [("tests", "opus")], "the two fixes of one function collide where both are needed"
    subjects = git(repository, "log", "--first-parent", "--format=%s", f"{before.strip()}..HEAD").split("\n")
    assert [subject[-1:] for subject in subjects if subject] == ["3", "2", "1", "0"], "in plan order"


GROWN = """\
stretto: 1
name: grown
limits: {usd: 5, time: 30m}
tasks:
  lead:
    prompt: Plan the fixes of the issues in ISSUES.md as tasks
    model: opus
    role: Plan
    timeout: 5m
    grow: {max: 6, model: sonnet, role: Fix, isolation: worktree, writes: ["till/*.py"]}
  tests:
    run: [python3, -m, unittest, tests.test_money, tests.test_receipt]
    after: [lead]
    isolation: worktree
    timeout: 2m
"""


@pytest.mark.slow
def test_a_planner_has_its_tasks_done_in_worktrees(repository: Path) -> None:
    planned = [{"id": test, "prompt": f"Mend {test}", "model": "sonnet"} for test in ("money", "receipt")]
    rules = [doing("^Plan the fixes", "", use("StructuredOutput", tasks=planned))]
    for test in ("money", "receipt"):
        file, old, new = FIXES[test]
        edit = use("Edit", file_path=file, old_string=old, new_string=new)
        rules.append(doing(f"^Mend {test}", "", use("Read", file_path=file), edit))
    plan = repository.parent / "grown.yaml"
    plan.write_text(GROWN)
    with FakeApi(rules=rules) as api:
        ended = stretto(repository, api, "run", str(plan), "--on", "claude", "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told = json.loads(ended.stdout)
        assert round(told["usd"] * 1e9) == api.bill()["cost_nusd"]
    made = {task["id"]: task["state"] for task in told["tasks"]}
    assert made == dict.fromkeys(
        ["lead.plan", "lead.grown.money", "lead.grown.receipt", "tests", "@result"], "succeeded"
    )
    assert "round(float(text) * 100)" in git(repository, "show", f"{told['merge']['branch']}:till/money.py")


def test_the_plan_passes_the_critic(repository: Path) -> None:
    argv = [sys.executable, "-m", "stretto", "check", str(PLAN), "--on", "claude"]
    checked = subprocess.run(argv, cwd=repository, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout
