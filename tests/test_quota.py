"""The provider serves us no more in the middle of a run: nothing more is sent, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stretto import events as ev
from stretto.errors import EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_OK
from stretto.journal.sqlite import SqliteJournal
from stretto.live.notes import Notes
from stretto.live.view import frame
from stretto.live.words import until
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, Outcome, resume_run, run_plan
from tests.driving import Project
from tests.fakeapi import FakeApi
from tests.hostile import Client, Provider
from tests.stage import Stage

TASKS = 200
CAP_NUSD = 10**9
BEFORE = 120
"""Calls that are answered before the money is gone."""
SPEND_CAP = (
    "You have reached your specified API usage limits. You will regain access on 2099-12-01 at 00:00 UTC."
)
ENDS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "a tier's limit": ({"kind": "quota"}, "quota", False),
    "a window of hours": ({"kind": "rate_limit", "retry_after_s": 7_200}, "quota", True),
    "a spend cap": ({"kind": "billing", "message": SPEND_CAP}, "billing", True),
    "no credit": ({"kind": "billing"}, "billing", False),
    "a key that is not known": ({"kind": "auth"}, "auth", False),
    "a key that may not": ({"kind": "permission"}, "auth", False),
}
"""What the provider answers from then on, why the run pauses, and whether it is known until when."""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


@dataclass
class House:
    """One run of a fan-out through the real SDK, and what its journal says."""

    api: FakeApi
    root: Path
    tasks: int = TASKS
    turns: int = 1
    """More than one: each task reads a file first, so that it sends two calls."""

    def __post_init__(self) -> None:
        (self.root / "notes.txt").write_text("what there is to read")
        self.journal = SqliteJournal(self.root)
        reads: dict[str, Any] = {"tools": [{"name": "read", "input": {"path": "notes.txt"}}]}
        self.rule = {"tokens": [20, 300], "tokens_per_s": 2_000} | (reads if self.turns > 1 else {})

    def run(self) -> Outcome:
        task = Task(
            id="t",
            prompt="Think about ${item}",
            model="claude-haiku-5-5",
            each=Each(over=list(range(self.tasks)), max=self.tasks),
            max_tokens=400,
            attempts=5,
            turns=self.turns,
            tools=("read",) if self.turns > 1 else (),
        )
        plan = Plan(name="fan", tasks=(task,), limits=Limits(parallel=64))
        options = Options(on=f"messages:{self.api.url}", cap_nusd=CAP_NUSD, control=False)
        return asyncio.run(run_plan(plan, options, self.journal, self.root, run="r"))

    def resume(self) -> Outcome:
        return asyncio.run(resume_run("r", Options(control=False), self.journal, self.root))

    def count(self, kind: type[ev.Event], after: int = 0) -> int:
        return sum(isinstance(row.event, kind) and row.seq > after for row in self.journal.read("r"))

    def first_failure(self) -> int:
        """The place in the journal at which the first call is settled that brought no answer."""
        rows = self.journal.read("r")
        return next(r.seq for r in rows if isinstance(r.event, ev.CallSettled) and r.event.status != "ok")


def check_end(house: House, outcome: Outcome, fault: dict[str, Any], why: str, says: bool) -> None:
    """Nothing was started and nothing sent after the first answer of that kind."""
    paused = outcome.state.paused
    assert outcome.code == EXIT_LIMIT
    assert paused is not None and paused.why == why and (paused.until_us is not None) == says
    first = house.first_failure()
    assert house.count(ev.AttemptStarted, first) == 0
    assert house.count(ev.CallReserved, first) == 0
    calls = house.api.requests()["records"]
    refused = [call for call in calls if call["fault"] == fault["kind"]]
    assert 1 <= len(refused) <= 64, "what was under way when the first answer came"
    assert len({call["prefix"] + call["body_hash"] for call in refused}) == len(refused), (
        "none was tried again"
    )


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_sent_after_the_first_refusal_and_a_resume_pays_nothing_twice(
    api: FakeApi, tmp_path: Path, end: str, turns: int
) -> None:
    fault, why, says = ENDS[end]
    house = House(api, tmp_path, TASKS if end == "a tier's limit" else 80, turns)
    answered = BEFORE if end == "a tier's limit" else 50
    api.configure(rules=[{**house.rule, "times": answered}], default={"fault": fault})
    check_end(house, house.run(), fault, why, says)

    api.configure(rules=[house.rule], default={})
    done = house.resume()
    assert (done.code, done.status) == (EXIT_OK, "succeeded")
    ledger, bill = done.state.ledger, api.bill(entries=False)
    assert bill["cost_nusd"] == bill["cost_nusd_delivered"] == ledger.spent_nusd
    assert ledger.held_nusd == 0
    rows = [row.event for row in house.journal.read("r")]
    succeeded = [event.task for event in rows if isinstance(event, ev.TaskSucceeded)]
    assert len(succeeded) == len(set(succeeded)) == house.tasks
    if turns == 1:
        assert bill["calls"] == house.tasks, "one call for each task, and no answer was thrown away"


def test_calls_of_another_provider_go_on(api: FakeApi, tmp_path: Path) -> None:
    """One key is refused; what runs on another account may end, in as many calls as it takes."""
    (tmp_path / "notes.txt").write_text("what there is to read")
    reads = {"tools": [{"name": "read", "input": {"path": "notes.txt"}}]}
    slow = {"path": "/other", "delay_s": 0.3, **reads}
    api.configure(rules=[slow], default={"fault": "auth", "delay_s": 0.1})
    other: dict[str, Any] = {"tools": ("read",), "turns": 3, "on": f"messages:{api.url}/other"}
    none: dict[str, Any] = {}
    tasks = tuple(
        Task(id=id, prompt=f"Think about {id}", model="claude-haiku-5-5", **more)
        for id, more in (("a", none), ("b", other))
    )
    options = Options(on=f"messages:{api.url}", cap_nusd=CAP_NUSD, control=False)
    plan = Plan(name="two", tasks=tasks)
    outcome = asyncio.run(run_plan(plan, options, SqliteJournal(tmp_path), tmp_path, run="r"))
    assert outcome.code == EXIT_LIMIT
    assert outcome.state.paused is not None and outcome.state.paused.why == "auth"
    assert outcome.value("b") is not None
    assert api.requests("/other")["count"] == 2 and api.requests("")["count"] == 1


PLAN = """\
stretto: 1
name: fan
limits: {parallel: 4, usd: 1.00}
tasks:
  t:
    each: [a, b, c, d, e, f, g, h]
    prompt: Think about ${item} and say what it is
    model: haiku
"""


def test_ctrl_c_ends_the_wait_for_a_reset_and_a_resume_waits_on(api: FakeApi, tmp_path: Path) -> None:
    window = {"fault": {"kind": "rate_limit", "retry_after_s": 7_200}}
    api.configure(rules=[{"times": 4}], default=window)
    (tmp_path / "plan.yaml").write_text(PLAN)
    begin = ["run", "plan.yaml", "--unchecked", "--on", f"messages:{api.url}"]
    again = ["resume", "last"]
    sent = 0
    for words in (begin, again):
        argv = [sys.executable, "-m", "stretto", *words, "--wait-for-reset", "--jsonl"]
        env = {**os.environ, "TZ": "UTC"}
        process = subprocess.Popen(argv, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if json.loads(line).get("kind") == "RunPaused":
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == EXIT_INTERRUPTED
        count = api.requests(records=False)["count"]
        assert sent in (0, count), "who resumes and waits asks nobody before the time is there"
        sent = count


@pytest.mark.parametrize(
    ("fault", "when", "next"),
    [
        ({"kind": "billing", "message": SPEND_CAP}, "until 2099-12-01 00:00", " --wait-for-reset"),
        ({"kind": "quota"}, "it does not say until when", ""),
    ],
)
def test_the_end_says_until_when_and_how_to_go_on(
    api: FakeApi, tmp_path: Path, fault: dict[str, Any], when: str, next: str
) -> None:
    api.configure(rules=[{"times": 4}], default={"fault": fault})
    project = Project(tmp_path, PLAN)
    answer = project.run("--unchecked", on=f"messages:{api.url}")
    assert answer.code == EXIT_LIMIT
    assert when in answer.out
    assert answer.out.splitlines()[-1] == f"to go on: stretto resume {project.last}{next}"
    assert ("paused  billing, until 2099-12-01 00:00" in answer.err) == bool(next)


def test_a_live_view_says_until_when_it_waits() -> None:
    provider = Provider(0, {"requests": 60}, faults={}, quota_at_s=0.0, quota_until_s=7_200.0)
    stage = Stage(messages=Client(provider))
    outcome = stage.run("tasks:\n  a: {prompt: Look, model: haiku}\n", on="messages", cap_nusd=CAP_NUSD)
    paused = outcome.state.paused
    assert paused is not None and paused.until_us is not None
    shown = "\n".join(text.plain for text in frame("r", outcome.state, Notes(), 1.0, 120, 10))
    assert f"used up, {until(paused.until_us)}" in shown
