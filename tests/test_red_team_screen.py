"""The red team: texts of models, programs, files and providers that a terminal would obey."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from stretto import events as ev
from stretto.agents import Desk, Result, Work
from stretto.journal.sqlite import SqliteJournal
from stretto.live.lines import LineLog
from stretto.live.notes import Notes
from stretto.live.view import LiveView
from stretto.live.words import plain
from stretto.plan.model import Plan, Task
from stretto.scheduler.state import State
from tests.driving import Project
from tests.redteam import Attack, Table, holds, play
from tests.test_live import STARTED, on_a_terminal

attack = Table()

PAYLOADS = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;owned\x07",
    "title-by-c1": "\x9d0;owned\x9c",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "cursor": "\x1b[2J\x1b[H",
    "cursor-by-c1": "\x9b2J",
    "device": "\x1bP+q544e\x1b\\",
    "carriage": "failed\rok    ",
    "backspace": "no\x08\x08ok",
    "bidi": "\u202egnp.exe\u2066x\u061c",
    "invisible": "a\u200b\u2060\ufeffb",
    "tags": "\U000e0041\U000e0042",
    "broken": "\x1b]never ended",
}
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e0fff]"
)


def escaped(text: str) -> str:
    """As a text in double quotes of YAML, which may hold anything."""
    return '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'


def whatever_is_shown(place: Path, payload: str) -> list[str]:
    """Everything that people are shown of a run full of it: its plan's name, prompts, outputs and errors."""
    (place / "evil.txt").write_text(f"before {payload} after\n")
    found = Project(
        place,
        f"""stretto: 1
name: {escaped("evil " + payload)}
limits: {{usd: 5}}
tasks:
  said: {{run: [cat, evil.txt]}}
  fails: {{run: [sh, -c, "cat evil.txt >&2; exit 3"], attempts: 2, optional: true}}
  asks: {{prompt: {escaped("Say " + payload)}}}
  odd: {{run: [cat, evil.txt], output: json, attempts: 1, optional: true}}
""",
    )
    named = place / f"{payload.replace('/', '')[:40]}.yaml"
    named.write_text("stretto: 1\nname: x\ntasks:\n  a: {prompt: Do it, nonsense: 1}\n")
    ran = found.run()
    assert ran.code == 0, ran.err
    answers = [ran, found("check", "plan.yaml"), found("check", named.name)]
    answers += [found("show", "last", "--all"), found("ls"), found("watch", "last"), found("doctor")]
    answers += [found("show", "last", "--task", task) for task in ("said", "fails", "asks", "odd", payload)]
    answers += [found("estimate", "plan.yaml"), found("run", payload), found("resume", payload)]
    return [said.out + said.err for said in answers]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_nothing_that_is_shown_is_obeyed(name: str, guarded: bool, tmp_path: Path) -> None:
    payload = PAYLOADS[name]
    if guarded:
        for shown in whatever_is_shown(tmp_path, payload):
            assert not OBEYED.search(shown), ascii(shown)
    else:
        # A pipe gets the bytes as they are: the payload has come as far as that.
        found = Project(tmp_path, "stretto: 1\nname: x\ntasks:\n  a: {run: [cat, evil.txt]}\n")
        (tmp_path / "evil.txt").write_text(payload)
        found("run", "plan.yaml")
        raw = found("show", "last", "--task", "a", "--output").out
        assert OBEYED.search(raw) and payload in raw


@attack
def an_output_is_shown_on_a_terminal(place: Path, guarded: bool) -> bool:
    found = Project(place, "stretto: 1\nname: x\ntasks:\n  a: {run: [cat, evil.txt]}\n")
    (place / "evil.txt").write_text(PAYLOADS["clipboard"])
    found("run", "plan.yaml")
    if not guarded:
        return b"]52;" in found("show", "last", "--task", "a", "--output").out.encode()
    code, shown = on_a_terminal(place, 80, 24, "show", "last", "--task", "a", "--output")
    assert code == 0
    return b"]52;" in shown


@attack
def an_error_is_shown_in_the_live_view(place: Path, guarded: bool) -> bool:
    Project(place, 'stretto: 1\nname: x\ntasks:\n  a: {run: [sh, -c, "cat evil.txt >&2; exit 3"]}\n')
    (place / "evil.txt").write_text(f"{PAYLOADS['clipboard']}[red]wrong[/red]{PAYLOADS['title']}\n")
    if not guarded:
        return "]52;" in (place / "evil.txt").read_text()
    code, shown = on_a_terminal(place, 80, 24, "run", "plan.yaml")
    assert code == 1 and b"[red]wrong[/red]" in shown
    return b"\x1b]" in shown or b"\x07" in shown


def state_of(task: str) -> State:
    state = State(Plan(name="p", tasks=(Task(id=task, prompt="x"),)))
    state.apply(STARTED, 0)
    return state


@attack
def names_are_read_as_markup(place: Path, guarded: bool) -> bool:
    said, out = "[bold red]approved[/] [link=http://evil.example]click[/link]", io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=20)
    if guarded:
        notes = Notes()
        notes.saw(0, [ev.TaskFailed("t", "task", said)])
        view = LiveView(console, notes)
        view.begin("run", state_of("t"))
        view.end()
    else:
        console.print(said)
    return said not in out.getvalue()


@attack
def a_journal_s_ids_are_escapes(place: Path, guarded: bool) -> bool:
    """Written by somebody else: no compiler has seen these ids."""
    id, lines = f"t{PAYLOADS['clipboard']}", list[str]()
    event = ev.TaskFailed(id, "task", "x")
    if guarded:
        LineLog(lines.append).saw(0, [event])
    else:
        lines.append(f"failed {event.task}")
    return "\x1b" in lines[0]


@attack
def a_provider_s_model_is_an_escape(place: Path, guarded: bool) -> bool:
    """And ten thousand letters long; so is why it stopped."""

    class Lying:
        async def run(self, work: Work, desk: Desk) -> Result:
            grant = await desk.reserve(1_000, 1, 1)
            model = f"claude-{PAYLOADS['title']}{'x' * 10_000}"
            desk.settle(grant.call, model, {"output": 1}, 1_000, stop=PAYLOADS["cursor"] * 1_000)
            return Result("ok", "done")

    journal = SqliteJournal(place)
    play(place, "tasks:\n  a: {prompt: x}\n", Lying(), journal=journal, on="messages", cap_nusd=10**9)
    settled = next(row.event for row in journal.read("r") if isinstance(row.event, ev.CallSettled))
    journal.close()
    assert len(settled.model) <= 200 and len(settled.stop_reason) <= 200
    if not guarded:
        return bool(OBEYED.search(settled.model))
    found = Project(place)
    said = [found("show", "last", *words) for words in ([], ["--all"], ["--task", "a"])]
    return any(OBEYED.search(answer.out + answer.err) for answer in said)


@attack
def an_escape_that_never_ends_hides_what_follows(place: Path, guarded: bool) -> bool:
    text = "task a: \x1b]0;\ntask b: FAILED"
    shown = plain(text) if guarded else re.sub(r"\x1b\][^\x07]*\x07?", "", text)
    return "FAILED" not in shown


@pytest.mark.parametrize(("attack", "guarded"), attack.rows())
def test_red_team(attack: Attack, guarded: bool, tmp_path: Path) -> None:
    holds(attack, guarded, tmp_path)
