"""SIGKILL at any moment: what was finished stays finished, and a resume ends the job as if undisturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.journal.sqlite import SqliteJournal
from stretto.run import load_state
from stretto.scheduler.vertex import SUCCEEDED, TaskVertex
from tests.victim import EFFECTS

pytestmark = pytest.mark.slow
RUNS = 100
SEED = 20261121
POINTS = ("before-commit", "after-commit")


@dataclass
class Life:
    """One victim's root folder, and what was done to it."""

    root: Path
    kills: int = 0
    in_attempt: int = 0
    in_resume: int = 0
    hit: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.root.mkdir()
        (self.root / "effects.py").write_text(EFFECTS)

    def start(self, verb: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
        if failpoint:
            env["STRETTO_FAILPOINT"] = failpoint
        argv = [sys.executable, "-m", "tests.victim", str(self.root), verb, "r"]
        return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def kill_after(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """True when the kill met a living process."""
        time.sleep(seconds)
        alive = process.poll() is None
        if alive:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        return alive and process.returncode == -signal.SIGKILL

    def began(self) -> bool:
        return bool(SqliteJournal(self.root).runs())

    def note_kill(self, *, resuming: bool) -> None:
        """Counts a kill, and which attempts it hit, from the journal it left behind."""
        self.kills += 1
        self.in_resume += resuming
        if self.began():
            _, scheduler = load_state(SqliteJournal(self.root), "r")
            live = [vertex.id for vertex in scheduler.state.live.values()]
            self.in_attempt += bool(live)
            self.hit.update(live)

    def finish(self) -> None:
        verb = "start"
        if self.began():
            verb = "resume"
            if load_state(SqliteJournal(self.root), "r")[1].state.status == "succeeded":
                return
        process = self.start(verb)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]

    def starts(self) -> Counter[str]:
        lines = (self.root / "effects.txt").read_text().splitlines()
        assert len(set(lines)) == len(lines), "one attempt of one task ran twice under the same key"
        return Counter(line.split("/")[1] for line in lines)

    def outputs(self) -> dict[str, str]:
        _, scheduler = load_state(SqliteJournal(self.root), "r")
        vertices = scheduler.state.vertices.items()
        return {id: v.output for id, v in vertices if isinstance(v, TaskVertex) and v.state == SUCCEEDED}

    def finished_then_run_again(self) -> list[str]:
        """Tasks that had succeeded and were started once more."""
        done: set[str] = set()
        again = []
        for row in SqliteJournal(self.root).read("r"):
            if isinstance(row.event, ev.TaskSucceeded):
                if row.event.task in done:
                    again.append(row.event.task)
                done.add(row.event.task)
            elif isinstance(row.event, ev.AttemptStarted) and row.event.task in done:
                again.append(row.event.task)
        return again


def test_a_hundred_runs_survive_sigkill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(SEED)
    calm = Life(tmp_path / "calm")
    began = time.monotonic()
    calm.finish()
    length = time.monotonic() - began
    expected = calm.outputs()
    assert len(expected) >= 200 and set(calm.starts().values()) == {1}
    lives = []
    for number in range(RUNS):
        life = Life(tmp_path / f"life{number}")
        point = f"{rng.choice(POINTS)}:{rng.randint(1, 40)}" if number % 10 == 9 else ""
        if point:
            process = life.start("start", point)
            process.communicate(timeout=120)
            if process.returncode == -signal.SIGKILL:
                life.note_kill(resuming=False)
        elif life.kill_after(life.start("start"), rng.uniform(0.1, 1.0) * length):
            life.note_kill(resuming=False)
        again = number % 3 == 0 and life.began()
        if again and life.kill_after(life.start("resume"), rng.uniform(0.05, 0.8) * length):
            life.note_kill(resuming=True)
        life.finish()
        starts = life.starts()
        assert life.outputs() == expected, number
        assert life.finished_then_run_again() == [], number
        assert all(starts[id] <= 1 + life.hit[id] for id in starts), number
        lives.append(life)
    total = {
        "runs": len(lives),
        "tasks a run": len(expected),
        "seconds of an undisturbed run": round(length, 2),
        "kills": sum(life.kills for life in lives),
        "while an attempt ran": sum(life.in_attempt for life in lives),
        "during a resume": sum(life.in_resume for life in lives),
        "runs killed twice": sum(life.kills > 1 for life in lives),
    }
    with capsys.disabled():
        print("\ncrash test:", json.dumps(total))
    assert total["while an attempt ran"] >= 60
    assert total["during a resume"] >= 10 and total["runs killed twice"] >= 5
