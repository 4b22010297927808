"""Runs with Claude Code: SIGKILL and resume, Ctrl-C, a quota that ends, and the cap with many agents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from stretto import events as ev
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.role import Role
from tests.claudes import carry_out, task, use
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.processes import nap, sleeping

pytestmark = pytest.mark.slow

Kind = TypeVar("Kind")

ROLE = "---\nname: runner\ndescription: Runs things\ntools: Read, Bash\n---\nYou run things.\n"
PLAN = """\
stretto: 1
name: three
limits: {usd: 5}
tasks:
  a: {prompt: Say A, role: runner, model: haiku}
  b: {prompt: Say B, role: runner, model: haiku}
  c: {prompt: Say C, role: runner, model: haiku}
"""
AGAIN = {"match": "interrupted", "reply": "went on after: ${first}"}


class Project:
    """A folder with a plan, run by the command line in a process of its own."""

    def __init__(self, root: Path, api: FakeApi):
        (root / ".claude" / "agents").mkdir(parents=True)
        (root / ".claude" / "agents" / "runner.md").write_text(ROLE)
        (root / "plan.yaml").write_text(PLAN)
        self.root = root
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        keys = {"ANTHROPIC_API_KEY": "sk-real", "ANTHROPIC_BASE_URL": api.url, "HOME": str(root)}
        self.env = kept | keys

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "stretto", *words]
        null = subprocess.DEVNULL
        return subprocess.Popen(
            argv, cwd=self.root, env=self.env, stdin=null, stdout=null, stderr=subprocess.PIPE
        )

    def run(self) -> subprocess.Popen[bytes]:
        return self.start("run", "plan.yaml", "--on", "claude", "--unchecked", "--yes")

    def resume(self) -> int:
        with self.start("resume", self.name) as process:
            _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, 3), errors.decode()
        return process.returncode

    @property
    def name(self) -> str:
        (info,) = SqliteJournal(self.root).runs()
        return info.run

    def events(self, kind: type[Kind]) -> list[Kind]:
        rows = SqliteJournal(self.root).read(self.name)
        return [row.event for row in rows if isinstance(row.event, kind)]

    def outputs(self) -> dict[str, str]:
        argv = [sys.executable, "-m", "stretto", "show", self.name, "--json"]
        ran = subprocess.run(argv, cwd=self.root, env=self.env, capture_output=True, check=True)
        found = json.loads(ran.stdout)["tasks"]
        return {one["id"]: Path(one["output_path"]).read_text() for one in found if one["output_path"]}


def wait_for(true: Callable[[], object], seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until_s, "it never came true"
        time.sleep(0.02)


def of_run(project: Project) -> list[str]:
    """Programs that still run for it, by the key that every one of them was given."""
    key = f"STRETTO_TASK_KEY={project.name}/"
    found = []
    for process in psutil.process_iter():
        try:
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                if any(line.startswith(key.encode()) for line in file.read().split(b"\0")):
                    found.append(" ".join(process.cmdline()))
        except (OSError, psutil.Error):
            continue
    return found


def test_after_a_kill_nothing_lives_and_a_resume_goes_on(tmp_path: Path) -> None:
    one, two, three = (nap(seconds) for seconds in (7401, 7402, 7403))
    command = f"(setsid sleep {one} &) ; sleep {two} & disown ; sleep {three}"
    with FakeApi(rules=[AGAIN, {"match": "Say", "tools": [use("Bash", command=command)]}]) as api:
        project = Project(tmp_path / "p", api)
        with project.run() as process:
            wait_for(lambda: len(sleeping(three)) == 3, 30)
            assert len(of_run(project)) >= 12
            process.send_signal(signal.SIGKILL)
            process.communicate()
        wait_for(lambda: not of_run(project), 5)
        assert [sleeping(number) for number in (one, two, three)] == [[], [], []]
        assert project.resume() == 0
        assert project.outputs() == {id: f"went on after: Say {id.upper()}" for id in "abc"}
        started = project.events(ev.AttemptStarted)
        bound = {event.attempt: event.session for event in project.events(ev.AttemptBound)}
        assert {(one.task, one.session) for one in started if one.n == 2} == {
            (id, bound[f"{id}#1"]) for id in "abc"
        }
        bill = api.bill(entries=False)
        known = sum(one.cost_nusd for one in project.events(ev.CallSettled) if one.certain)
        assert known == bill["cost_nusd"], "the first call of each was answered, and nothing was paid twice"


def test_a_resume_at_once_ends_what_a_kill_has_left_at_work(tmp_path: Path) -> None:
    """The guardian gives Claude Code 2 s; whoever resumes at once would have two at work on one session."""
    beat = f"sleep {nap(7408)} & while sleep 0.1; do echo beat >> beats; done"
    with FakeApi(rules=[AGAIN, {"match": "Say", "tools": [use("Bash", command=beat)]}]) as api:
        project = Project(tmp_path / "p", api)
        beats = project.root / "beats"
        with project.run() as process:
            # All three: one that has not begun has no session to go on with, and would begin to beat again.
            wait_for(lambda: beats.exists() and len(sleeping(nap(7408))) == 3, 30)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert of_run(project), "the guardian lets it end by itself"
        assert project.resume() == 0
        begun = [r.at_us for r in SqliteJournal(project.root).read(project.name) if is_second(r.event)]
        assert len(begun) == 3 and beats.stat().st_mtime < min(begun) / 1e6


def is_second(event: object) -> bool:
    return isinstance(event, ev.AttemptStarted) and event.n == 2


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    with FakeApi(
        rules=[AGAIN, {"match": "Say", "tools": [use("Bash", command=f"sleep {nap(7404)}")]}]
    ) as api:
        project = Project(tmp_path / "p", api)
        with project.run() as process:
            wait_for(lambda: len(sleeping(nap(7404))) == 3, 30)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert process.returncode == 130
        assert not of_run(project)
        assert project.resume() == 0
        assert project.outputs()["a"] == "went on after: Say A"


def test_a_run_whose_quota_is_gone_goes_on_with_what_its_agents_know(tmp_path: Path) -> None:
    rules = [
        AGAIN,
        {
            "match": "Say A",
            "tools": [use("Read", file_path="x"), use("Bash", command="sleep 1")],
            "reply": "a",
        },
        {"match": "Say", "tools": [use("Bash", command="sleep 0.1")], "reply": "${prompt}"},
    ]
    with FakeApi(rules=rules) as api:
        project = Project(tmp_path / "p", api)
        with project.run() as process:
            wait_for(lambda: api.requests(records=False)["count"] >= 3, 30)
            api.configure(faults=["quota"])
            process.communicate(timeout=30)
            assert process.returncode == 3
        api.configure(faults=[])
        assert project.resume() == 0
        given = {event.session for event in project.events(ev.AttemptStarted) if event.n == 2}
        assert given and all(given), "every attempt that the quota ended was continued"
        for session in given:
            (told,) = project.root.glob(f".stretto/runs/*/tasks/*/claude/projects/*/{session}.jsonl")
            assert "You were interrupted" in told.read_text()
        assert len(project.outputs()) == 3


def test_a_run_that_has_lost_the_network_goes_on_with_what_its_agents_know(tmp_path: Path) -> None:
    rules = [AGAIN, {"match": "Say", "tools": [use("Bash", command="sleep 2")], "reply": "${prompt}"}]
    with FakeApi(rules=rules) as api:
        project = Project(tmp_path / "p", api)
        process = project.run()
        wait_for(lambda: api.requests(records=False)["count"] == 3, 30)
    with process:
        process.communicate(timeout=90)
        assert process.returncode == 3
    spent = sum(one.cost_nusd for one in project.events(ev.CallSettled))
    with FakeApi(rules=rules) as api:
        project.env["ANTHROPIC_BASE_URL"] = api.url
        assert project.resume() == 0
        bill = api.bill(entries=False)
    bound = {event.session for event in project.events(ev.AttemptBound) if event.attempt.endswith("#1")}
    assert {event.session for event in project.events(ev.AttemptStarted) if event.n == 2} == bound
    assert bill["calls"] == 3, "what a tool had brought before is not asked for again"
    assert [paused.why for paused in project.events(ev.RunPaused)] == ["network"]
    assert sum(one.cost_nusd for one in project.events(ev.CallSettled)) == spent + bill["cost_nusd"]


@pytest.mark.parametrize(("cap", "codes"), [(0.2, {3}), (0.6, {0, 3})])
def test_the_cap_of_a_run_holds_to_the_nano_dollar(tmp_path: Path, cap: float, codes: set[int]) -> None:
    rules = [
        {"match": "Say|interrupted", "tools": [use("Bash", command="true")] * 3, "tokens": [2_000, 15_000]}
    ]
    with FakeApi(seed=3, rules=rules, faults=[{"kind": "cut", "probability": 0.1}]) as api:
        project = Project(tmp_path / "p", api)
        plan = PLAN.replace("usd: 5", f"usd: {cap}").replace("haiku", "sonnet")
        (project.root / "plan.yaml").write_text(plan)
        with project.run() as process:
            process.communicate(timeout=60)
        api.wait_idle()
        bill = api.bill(entries=False)
    settled = project.events(ev.CallSettled)
    spent = sum(one.cost_nusd for one in settled if one.certain)
    assert bill["cost_nusd_delivered"] == spent
    assert bill["cost_nusd"] <= sum(one.cost_nusd for one in settled) <= cap * 10**9
    assert process.returncode in codes


SPAWN = [[use("Agent", description=d, prompt=f"SUB {d}", subagent_type="general-purpose") for d in "ab"]]
MANY = [
    {"match": "Say", "tools": SPAWN, "tokens": [50, 8_000], "reply": "all done"},
    {"match": "SUB", "tools": [use("Bash", command="echo hi")], "tokens": [50, 8_000], "reply": "sub done"},
]
FAULTS = [{"kind": kind, "probability": 0.05} for kind in ("overloaded", "cut", "api_error")]


@pytest.mark.parametrize("cap_nusd", [2 * 10**8, 5 * 10**8, 10**9, 3 * 10**9, 6 * 10**9, 10**11])
def test_no_cap_is_exceeded_by_eight_agents_with_sub_agents(tmp_path: Path, cap_nusd: int) -> None:
    helper = Role(
        name="general-purpose", instructions="You help", tools=("Read", "Bash"), description="Helps"
    )
    desk = FakeDesk(cap_nusd=cap_nusd)
    speed = {"*": {"tokens_per_s": 4_000}}
    with FakeApi(seed=cap_nusd % 97, rules=MANY, faults=FAULTS, speed=speed) as api:
        works = [
            task(
                tmp_path / f"r{n}",
                f"Say {n}",
                n=n,
                folder=tmp_path / "kept" / "tasks" / str(n),
                tools=("Read", "Bash", "Agent"),
                agents=(helper,),
                left_nusd=cap_nusd,
            )
            for n in range(8)
        ]
        (tmp_path / "kept").mkdir()
        found, _ = carry_out(api, *works, desk=desk)
        api.wait_idle()
        bill = api.bill(entries=False)
    assert not desk.open
    assert bill["cost_nusd"] <= desk.spent_nusd + desk.held_nusd <= cap_nusd
    assert desk.spent_nusd == bill["cost_nusd_delivered"]
    if cap_nusd == 10**11:
        assert [one.outcome for one in found if not isinstance(one, BaseException)] == ["ok"] * 8
        assert bill["calls"] > 8 * 4, "sub-agents called too"
