"""What a run looks like while it goes on: frames that fit, lines that say enough, nothing that is obeyed."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from stretto import events as ev
from stretto.live.lines import LineLog, who
from stretto.live.notes import Notes
from stretto.live.view import HZ, LiveView, frame
from stretto.live.words import cap, clip, clock, columns, line, plain, size, usd, width
from stretto.plan.model import Plan, Task
from stretto.scheduler.state import State
from tests.driving import PLAN, Project

NUSD = 1_000_000_000
STARTED = ev.RunStarted("sha", {}, 5 * NUSD, None, None, 8, "simulated", 0, "/", 1, "b", "0", {})


def state_of(count: int, prefix: str = "t") -> State:
    state = State(Plan(name="p", tasks=tuple(Task(id=f"{prefix}{k}", prompt="x") for k in range(count))))
    state.apply(STARTED, 0)
    return state


def start(state: State, task: str, agent: str = "simulated") -> None:
    state.apply(ev.AttemptStarted(task, 1, agent=agent), 0)


def succeed(state: State, task: str) -> None:
    start(state, task)
    state.apply(ev.AttemptEnded(task, 1, "ok", output="sha"), 1_000_000)
    state.apply(ev.TaskSucceeded(task, "sha", 1), 1_000_000)


def fail(state: State, task: str, why: str = "broken") -> None:
    start(state, task)
    state.apply(ev.AttemptEnded(task, 1, "error", "task", why), 1_000_000)
    state.apply(ev.TaskFailed(task, "task", why), 1_000_000)


def texts(state: State, notes: Notes | None = None, cols: int = 100, rows: int = 30) -> list[str]:
    return [text.plain for text in frame("run-1", state, notes or Notes(), 12.3, cols, rows)]


# Words


@pytest.mark.parametrize(
    ("nusd", "said"),
    [
        (0, "$0"),
        (None, "unknown"),
        (1, "<$0.0001"),
        (1_200_000, "$0.0012"),
        (99_999_999, "$0.1000"),
        (NUSD // 2, "$0.50"),
        (1234 * NUSD + 567_000_000, "$1,234.57"),
        (-NUSD, "-$1.00"),
    ],
)
def test_money_is_told_in_dollars(nusd: int | None, said: str) -> None:
    assert usd(nusd) == said


def test_times_sizes_and_caps_are_told_briefly() -> None:
    assert [clock(s) for s in (0.04, 12.34, 59.96, 3599.7, 3700, 90_000)] == [
        "0.0s",
        "12.3s",
        "1m00s",
        "1h00m",
        "1h01m",
        "1d01h",
    ]
    assert [size(n) for n in (0, 999, 1500, 98_000_000, 999_999)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "98 MB",
        "1.0 MB",
    ]
    assert (cap(None), cap(NUSD)) == ("no cap", "cap $1.00")


def test_escapes_and_marks_that_a_terminal_obeys_are_taken_out() -> None:
    evil = "a\x1b[31mb\x1b]0;title\x07c\x9b2Jd\x1bPq#0\x1b\\e\u202ef\u200bg\rh\x08i\x7f"
    assert plain(evil) == "abcdefghi"
    assert plain("x\ty\n") == "x\ty\n"
    assert line("two\nlines\t of  it") == "two lines of it"


@given(st.text(max_size=60), st.integers(0, 40))
def test_what_is_clipped_fits_and_holds_nothing_to_obey(text: str, most: int) -> None:
    cut = clip(plain(text), most)
    assert width(cut) <= most
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", cut)


def test_columns_stand_under_each_other_whatever_the_letters() -> None:
    rows = columns([["日本", "1", "x"], ["ab", "10", "y"]], right=frozenset({1}))
    assert rows == ["日本   1  x", "ab    10  y"]


# Frames


def test_a_frame_says_what_each_part_does() -> None:
    state = state_of(4)
    succeed(state, "t0")
    fail(state, "t1")
    start(state, "t2")
    notes = Notes()
    notes.saw(0, [ev.TaskFailed("t1", "task", "broken")])
    assert texts(state, notes) == [
        "run-1  12.3s  1/8 running  $0 spent, cap $5.00",
        "  t0  done    1/1",
        "  t1  failed  0/1  1 failed",
        "  t2  running 0/1  1 running",
        "  t3  waiting 0/1  1 ready",
        "newest failure: t1: broken",
    ]


def test_money_in_a_frame_is_spent_reserved_and_held() -> None:
    state = state_of(1)
    start(state, "t0", "messages")
    state.apply(ev.CallReserved("t0#1", 1, NUSD), 0)
    state.apply(ev.CallSettled("t0#1", 1, "m", {}, NUSD // 2, True), 0)
    state.apply(ev.CallReserved("t0#1", 2, NUSD), 0)
    state.apply(ev.CallSettled("t0#1", 2, "m", {}, NUSD, False), 0)
    state.apply(ev.CallReserved("t0#1", 3, NUSD), 0)
    assert "$0.50 spent, $1.00 reserved, $1.00 held, cap $5.00" in texts(state)[0]


def test_what_does_not_fit_is_folded_and_the_telling_rows_stay() -> None:
    state = state_of(50)
    for k in range(20):
        succeed(state, f"t{k}")
    fail(state, "t40")
    start(state, "t45")
    lines = texts(state, rows=10)
    assert len(lines) <= 9
    assert any(text.startswith("  t40 ") for text in lines)
    assert any(text.startswith("  t45 ") for text in lines)
    assert "  ... 44 more: 20 done, 24 waiting" in lines


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 60), st.text(max_size=80))
def test_a_frame_always_fits(count: int, cols: int, rows: int, why: str) -> None:
    state = state_of(count, prefix="a-rather-long-name-for-a-task-")
    notes = Notes()
    notes.saw(0, [ev.TaskFailed("x", "task", why)])
    lines = texts(state, notes, cols, rows)
    assert len(lines) <= max(1, rows - 1)
    assert all(cell_len(text) <= cols for text in lines)
    assert all("\n" not in text and "\x1b" not in text for text in lines)


def test_names_and_errors_are_never_read_as_markup() -> None:
    state = state_of(1)
    notes = Notes()
    notes.saw(0, [ev.TaskFailed("t0", "task", "[red]not red[/red] [/nonsense]")])
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=20)
    view = LiveView(console, notes)
    view.begin("run", state)
    view.end()
    assert "[red]not red[/red] [/nonsense]" in out.getvalue()


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=80, height=20), Notes())
    state = state_of(2)
    fail(state, "t0")
    view.begin("run", state)
    view.end()
    assert "t0  failed" in plain(out.getvalue())
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", out.getvalue())


def test_frames_come_at_most_eight_times_a_second() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=80, height=20), Notes())
    view.begin("run", state_of(1))
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        view.saw(0, [])
        time.sleep(0.001)
    view.end()
    frames = out.getvalue().count("  0/8 running")
    # One at the beginning and one or two at the end come apart from the rhythm.
    assert 2 <= frames <= 0.5 * HZ + 4


# Lines


def test_a_log_has_a_line_for_each_end_failure_and_retry() -> None:
    state = state_of(3)
    said: list[str] = []
    log = LineLog(said.append)
    log.begin("run-1", state)
    happened: list[tuple[int, ev.Event]] = [
        (1, ev.AttemptStarted("t0", 1, model="claude-haiku-5-5", agent="messages")),
        (2, ev.CallReserved("t0#1", 1, NUSD)),
        (3, ev.CallSettled("t0#1", 1, "claude-haiku-5-5", {"output": 1}, 1_200_000, True)),
        (12_300_000, ev.AttemptEnded("t0", 1, "error", "transient", "busy")),
        (12_300_000, ev.RetryPlanned("t0", 2, 0, 14_300_000, "busy\nnow", "attempts")),
        (14_300_000, ev.AttemptStarted("t0", 2, model="claude-haiku-5-5", agent="messages")),
        (14_400_000, ev.AttemptEnded("t0", 2, "ok", output="s")),
        (14_400_000, ev.TaskSucceeded("t0", "s", 1)),
        (15_000_000, ev.TaskSucceeded("t1", "s", 1, "k", "old-run/t1#1", 50_000_000)),
        (16_000_000, ev.AttemptStarted("t2", 1, agent="command")),
        (17_000_000, ev.AttemptEnded("t2", 1, "error", "task", "exit code 3")),
        (17_000_000, ev.TaskFailed("t2", "task", "exit code 3")),
        (17_500_000, ev.TierSwitched("p/t", "haiku", False, "2 of 5 audited results were wrong")),
        (18_000_000, ev.RunPaused("budget", need_nusd=1)),
    ]
    for at_us, event in happened:
        state.apply(event, at_us)
        log.saw(at_us, [event])
    assert said == [
        "run run-1",
        "   12.3s retry   t0  in 2.0s: busy now",
        "   14.4s ok      t0  haiku $0.0012",
        "   15.0s kept    t1  from old-run/t1#1, saved $0.0500",
        "   17.0s failed  t2  command: exit code 3",
        "   17.5s tier    haiku is no longer tried for p/t: 2 of 5 audited results were wrong",
        "   18.0s paused  budget; what is running may end",
    ]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("messages", "haiku"),
        ("simulated:latency=0", "simulated (haiku)"),
        ("local:m.gguf", "local"),
        ("command", "command"),
    ],
)
def test_who_did_it_is_never_a_model_that_was_not_asked(agent: str, said: str) -> None:
    assert who(agent, "claude-haiku-5-5") == said


# A real terminal


def on_a_terminal(root: Path, cols: int, rows: int, *words: str, keys: bytes = b"") -> tuple[int, bytes]:
    """Runs the command line on a terminal of this size; returns its exit code and all it was shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    dropped = ("ANTHROPIC_API_KEY", "CI", "COLUMNS", "LINES", "NO_COLOR")
    env = {k: v for k, v in os.environ.items() if k not in dropped}
    argv = [sys.executable, "-m", "stretto", *words]
    env["TERM"] = "xterm-256color"
    process = subprocess.Popen(argv, cwd=root, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        if keys and b"[y/N]" in shown:
            os.write(ours, keys)
            keys = b""
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(timeout=20), shown


SGR = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]")
UP = re.compile(r"(?:\r?\x1b\[2K|\x1b\[1A)+")


def frames_of(shown: bytes) -> list[list[str]]:
    """The lines of each frame: what is printed between two moves of the cursor back to its beginning."""
    text = SGR.sub("", shown.decode())
    return [part.replace("\r", "").rstrip("\n").split("\n") for part in UP.split(text) if part.strip()]


def test_on_a_terminal_no_frame_is_wider_or_taller_than_it(tmp_path: Path) -> None:
    tasks = "\n".join(f"  a-very-long-name-for-a-task-number-{k}: {{run: [sleep, '0.1']}}" for k in range(20))
    project = Project(tmp_path, f"stretto: 1\nname: wide\nlimits: {{parallel: 4}}\ntasks:\n{tasks}\n")
    code, shown = on_a_terminal(tmp_path, 44, 12, "run", str(project.plan))
    assert code == 0, shown.decode()
    frames = frames_of(shown)
    assert len(frames) >= 4
    # What follows the last frame is the summary, which stays and may scroll.
    for lines in frames[:-1]:
        assert len(lines) <= 12
        assert all(cell_len(text) <= 44 for text in lines), lines
    assert "more: " in shown.decode()
    assert "20 succeeded" in shown.decode()


def test_on_a_terminal_an_approval_is_asked_for(tmp_path: Path) -> None:
    plan = """\
stretto: 1
name: growing
limits: {usd: 1}
tasks:
  plan: {prompt: Write a plan, grow: plan, model: haiku}
"""
    Project(tmp_path, plan)
    words = ("run", "plan.yaml", "--on", "simulated:latency=0,priced=true", "--ask-above", "0.001", "--seed")
    code, shown = on_a_terminal(tmp_path, 80, 24, *words, "1", keys=b"y\n")
    assert code == 0, shown.decode()
    assert b"Go on? [y/N]" in shown
    code, shown = on_a_terminal(tmp_path, 80, 24, *words, "2", "--fresh", keys=b"n\n")
    assert code == 3, shown.decode()
    assert b"to go on: stretto approve " in shown


def test_an_output_on_a_terminal_ends_its_line(tmp_path: Path) -> None:
    project = Project(tmp_path, "stretto: 1\nname: one\ntasks:\n  a: {run: [printf, x]}\n")
    project.run()
    assert project("show", "last", "--task", "a", "--output").out == "x"
    assert on_a_terminal(tmp_path, 80, 24, "show", "last", "--task", "a", "--output") == (0, b"x\r\n")


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN)
    answer = project.run()
    assert "\x1b" not in answer.err
    assert re.search(r"^ +0\.\ds ok +list  command$", answer.err, re.M)
