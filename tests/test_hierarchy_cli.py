"""Hierarchies through the command line: who is asked, who is not, and what a killed run never buys again."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.events import PlanGrew, TaskSucceeded
from stretto.journal.sqlite import SqliteJournal
from tests.driving import Project
from tests.fakeapi import FakeApi

PRICED = "simulated:latency=0,priced=true"
PLANNER = """\
def make():
    with open("asked.txt", "a") as file:
        file.write("once\\n")
    return {"tasks": [
        {"id": "; rm -rf /", "prompt": "Migrate src/a.py to the new API; return the changed calls"},
        {"id": "\\x1b[31mred", "prompt": "Summarise ${; rm -rf /} in three sentences"},
    ]}
"""
GATED = """\
stretto: 1
name: gated
limits: {usd: 5}
tasks:
  p: {call: "planner:make", grow: {model: opus, max: 10}}
  end: {prompt: Integrate into one report of a page, model: haiku, needs: [p]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "planner.py").write_text(PLANNER)
    return Project(tmp_path, GATED)


def asked(project: Project) -> int:
    return len((project.root / "asked.txt").read_text().splitlines())


class Screen(NamedTuple):
    """What a command did at a terminal, with somebody who answers its first question."""

    code: int
    text: str

    @property
    def asked(self) -> bool:
        return "[y/N]" in self.text


def at_a_terminal(project: Project, answer: str, *words: str, **env: str) -> Screen:
    """`stretto run` with a terminal on all three ends."""
    argv = [
        sys.executable,
        "-m",
        "stretto",
        "run",
        "plan.yaml",
        "--on",
        PRICED,
        "--ask-above",
        "0.001",
        *words,
    ]
    kept = {name: value for name, value in os.environ.items() if name not in ("ANTHROPIC_API_KEY", "CI")}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv, cwd=project.root, stdin=theirs, stdout=theirs, stderr=theirs, env={**kept, **env}
    )
    os.close(theirs)
    seen = b""
    try:
        for chunk in _read(ours, within_s=60.0):
            if b"[y/N]" in chunk or b"[y/N]" in seen[-20:] + chunk:
                os.write(ours, f"{answer}\n".encode())
            seen += chunk
        return Screen(process.wait(timeout=30), seen.decode(errors="replace"))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(end: int, within_s: float) -> Iterator[bytes]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not select.select([end], [], [], 0.5)[0]:
            continue
        try:
            chunk = os.read(end, 65_536)
        except OSError:
            return  # the other end is closed
        if not chunk:
            return
        yield chunk


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("y", EXIT_OK), ("n", EXIT_LIMIT), ("", EXIT_LIMIT)])
def test_at_a_terminal_the_run_asks_and_takes_only_yes_for_yes(
    project: Project, answer: str, code: int
) -> None:
    screen = at_a_terminal(project, answer)
    assert screen.asked
    assert screen.code == code, screen.text
    assert asked(project) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "env"),
    [((), {"CI": "true"}), (("--jsonl",), {}), (("--json",), {})],
    ids=["ci", "jsonl", "json"],
)
def test_where_nobody_can_answer_nobody_is_asked(
    project: Project, words: tuple[str, ...], env: dict[str, str]
) -> None:
    screen = at_a_terminal(project, "y", *words, **env)
    assert not screen.asked
    assert screen.code == EXIT_LIMIT
    assert re.search(r"to go on: stretto approve gated-\S+, then stretto resume gated-", screen.text)


def test_the_commands_that_it_prints_go_on_and_ask_no_planner_again(project: Project) -> None:
    stopped = project.run("--ask-above", "0.001", on=PRICED)
    assert stopped.code == EXIT_LIMIT
    assert "p.grown has 2 members; with them the run is expected to cost $" in stopped.out
    assert project("resume", "last").code == EXIT_LIMIT, "silence is no consent"
    commands = re.findall(r"stretto (approve|resume) (gated-[0-9a-f-]+)", stopped.last_line)
    assert [verb for verb, _ in commands] == ["approve", "resume"]
    for verb, run in commands:
        assert project(verb, run).code == EXIT_OK
    assert asked(project) == 1
    data = project("show", "last", "--json").json
    assert data["status"] == "succeeded"
    assert [task["id"] for task in data["tasks"]] == ["p.plan", "p.grown.rm-rf", "p.grown.t-31mred", "end"]


def test_within_what_was_approved_it_goes_on(project: Project) -> None:
    assert project.run("--ask-above", "4", on=PRICED).code == EXIT_OK
    assert project.run("--fresh", "--yes", on=PRICED).code == EXIT_OK


def test_what_grew_by_whom_and_at_which_price_is_told(project: Project) -> None:
    answer = project.run("--yes", on=PRICED)
    assert re.search(r"grew +p.grown: 2 tasks by p.plan#1, about \$0\.\d+", answer.err)
    planned = project("show", "last", "--json").json["planned"]
    assert [(p["group"], p["by"], p["depth"], p["tasks"]) for p in planned] == [("p.grown", "p.plan#1", 1, 2)]
    assert planned[0]["usd_expected"] > 0
    assert re.search(r"planned p.grown: 2 tasks by p.plan#1, expected \$0", project("show", "last").out)
    estimate = project("estimate", "plan.yaml", "--on", PRICED)
    assert "unknown (p.plan: the tasks that its planner adds)" in estimate.out


def test_no_screen_and_no_file_has_what_a_hostile_id_wanted(project: Project) -> None:
    answer = project.run("--yes", on=PRICED)
    outputs = [answer, project("show", "last"), project("watch", "last"), project("show", "last", "--json")]
    assert not any("\\x1b[31m" in out.out + out.err or "rm -rf" in out.out + out.err for out in outputs)
    names = [path.name for path in (project.root / ".stretto" / "runs").rglob("*")]
    assert names and all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


# A real client, a fake provider, a real kill

HIERARCHY = """\
stretto: 1
name: billing
limits: {usd: 5, parallel: 2}
tasks:
  fixes:
    prompt: Plan the migration of src/billing to the new API
    model: opus
    grow: {max: 4, model: sonnet, attempts: 2}
  end: {prompt: Integrate the reports into one page, model: haiku, needs: [fixes]}
"""
PLANNED: Any = {
    "tasks": [
        {"id": "Part one", "prompt": "Report on part one of src/billing"},
        {"id": "part two", "prompt": "Report on part two of src/billing", "model": "haiku"},
        {"id": "sum", "prompt": "Compare ${Part one} and ${part two}"},
    ]
}


@pytest.mark.slow
def test_a_bad_plan_is_sent_back_through_the_api_with_what_is_wrong(tmp_path: Path) -> None:
    bad = {"tasks": [{"id": "x", "prompt": "X", "needs": ["nobody"]}]}
    rules = [
        {"match": "An earlier answer was not accepted", "reply": json.dumps(PLANNED)},
        {"match": "Plan the migration", "reply": json.dumps(bad)},
    ]
    project = Project(tmp_path, HIERARCHY)
    with FakeApi(rules=rules) as api:
        env = {"ANTHROPIC_API_KEY": "test"}
        answer = project("run", "plan.yaml", "--on", f"messages:{api.url}", "--yes", "--json", env=env)
        assert answer.code == EXIT_OK, answer
        attempts = [(a["id"], a["outcome"]) for a in answer.json["attempts"] if a["task"] == "fixes.plan"]
        assert attempts == [("fixes.plan#1", "rejected"), ("fixes.plan#2", "ok")]
        assert answer.json["usd"] == pytest.approx(api.bill()["cost_nusd"] / 1e9, abs=1e-12)
        models = {a["task"]: a["tier"] for a in answer.json["attempts"]}
        assert models["fixes.grown.part-one"] == "sonnet" and models["fixes.grown.part-two"] == "haiku"


@pytest.mark.slow
def test_after_a_kill_neither_the_planner_nor_what_is_done_is_bought_again(tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"match": "Plan the migration", "reply": json.dumps(PLANNED)},
        {"match": "Compare", "reply": "compared", "delay_s": 60, "times": 1},
        {"match": "Report on part one", "reply": "one"},
        {"match": "Report on part two", "reply": "two"},
    ]
    project = Project(tmp_path, HIERARCHY)
    with FakeApi(rules=rules) as api:
        env = {**os.environ, "ANTHROPIC_API_KEY": "test"}
        argv = [sys.executable, "-m", "stretto", "run", "plan.yaml", "--on", f"messages:{api.url}", "--yes"]
        process = subprocess.Popen(
            argv, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            done = {"fixes.plan", "fixes.grown.part-one", "fixes.grown.part-two"}
            _until(lambda: done <= _succeeded(tmp_path))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        answer = project("resume", "last", "--json", env={"ANTHROPIC_API_KEY": "test"})
        assert answer.code == EXIT_OK, answer
        tries = {task["id"]: task["attempts"] for task in answer.json["tasks"]}
        assert {id: n for id, n in tries.items() if id in done} == dict.fromkeys(done, 1)
        asked = [entry["model"] for entry in api.bill()["entries"]]
        assert asked.count("claude-opus-5-5") == 1, "the planner's"
        assert asked.count("claude-haiku-5-5") == 2, "of part two and of the integration"
    assert len([e for e in _events(tmp_path) if isinstance(e, PlanGrew)]) == 1


def _events(root: Path) -> list[Any]:
    journal = SqliteJournal(root)
    try:
        return [row.event for info in journal.runs() for row in journal.read(info.run)]
    finally:
        journal.close()


def _succeeded(root: Path) -> set[str]:
    return {event.task for event in _events(root) if isinstance(event, TaskSucceeded)}


def _until(holds: Any, within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.05)
