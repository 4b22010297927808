"""What Claude Code is started with, and what its last words mean: without the program itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import Result, Work
from stretto.agents.claude_options import (
    PROBABLY_DEARER,
    enforced_schema,
    environment,
    fence_usd,
    helpers_of,
    kept_session,
    launcher,
    settings_of,
    tools_of,
)
from stretto.agents.claude_results import Heard, result_of_session
from stretto.models import BUILTIN
from stretto.plan.role import NOTHING, Role
from tests.desks import work

HELPER = Role(name="helper", instructions="You help", tools=("Read", "Bash", "Task"), model="haiku")


def attempt(tmp_path: Path, **given: Any) -> Work:
    return work(**{"root": tmp_path, "folder": tmp_path / "runs" / "tasks" / "t"} | given)


READING = ["Read", "Grep", "Glob"]
MAY_WRITE = {"writes": True, "may_write": ("src/**", "b")}
EDITS = ["Edit(./src/**)", "Edit(./b)"]


@pytest.mark.parametrize(
    ("given", "names", "allowed"),
    [
        ({}, READING, READING),
        ({"tools": ("read", "search")}, ["Read", "Grep"], ["Read", "Grep"]),
        ({"tools": NOTHING}, [], []),
        (MAY_WRITE, [*READING, "Edit", "Write"], READING + EDITS),
        (MAY_WRITE | {"tools": ("read",)}, ["Read", "Edit", "Write"], ["Read", *EDITS]),
        (MAY_WRITE | {"tools": ("Read", "Bash")}, ["Read", "Bash"], ["Read", "Bash"]),
        (MAY_WRITE | {"tools": ("Bash", "MultiEdit")}, ["Bash", "Edit"], ["Bash", *EDITS]),
        ({"tools": ("Read", "Edit", "Write")}, ["Read"], ["Read"]),
        ({"tools": ("Read", "Bash(git diff:*)")}, ["Read", "Bash"], ["Read", "Bash(git diff:*)"]),
        ({"tools": ("Read", "WebSearch", "mcp__x__y")}, ["Read"], ["Read"]),
        ({"tools": ("Read", "Task")}, ["Read"], ["Read"]),
        ({"tools": ("Read", "Task"), "agents": (HELPER,)}, ["Read", "Agent"], ["Read", "Agent"]),
        ({"role": "check"}, [], []),
        ({"role": "mend"} | MAY_WRITE, [], []),
    ],
)
def test_an_agent_reads_and_does_more_only_where_it_is_said(
    tmp_path: Path, given: dict[str, Any], names: list[str], allowed: list[str]
) -> None:
    tools = tools_of(attempt(tmp_path, **given))
    assert (list(tools.names), list(tools.allowed)) == (names, allowed)


def test_what_means_no_tool_is_told() -> None:
    assert tools_of(work(tools=("Read", "mcp__x__y"))).dropped == ("mcp__x__y",)
    assert not tools_of(work(tools=NOTHING)).dropped


def test_sub_agents_are_those_of_the_role_and_can_do_no_more(tmp_path: Path) -> None:
    one = attempt(tmp_path, tools=("Read", "Agent"), agents=(HELPER,))
    found = helpers_of(one, tools_of(one), BUILTIN)
    assert found["helper"]["tools"] == ["Read"], "the session has no Bash, and nobody starts more sub-agents"
    assert found["helper"]["model"] == "claude-haiku-5-5"
    denied = json.loads(settings_of(one, tools_of(one), ""))["permissions"]["deny"]
    assert {"Agent(fork)", "Agent(general-purpose)"} <= set(denied)
    assert not helpers_of(attempt(tmp_path, agents=(HELPER,)), tools_of(attempt(tmp_path)), BUILTIN)


@pytest.mark.parametrize(
    ("bwrap", "socat", "asked"), [(None, None, False), (0, None, False), (0, 0, True), (1, 0, False)]
)
def test_the_sandbox_is_asked_for_where_it_works(
    tmp_path: Path, bwrap: int | None, socat: int | None, asked: bool
) -> None:
    for name, code in (("bwrap", bwrap), ("socat", socat)):
        if code is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
            (tmp_path / name).chmod(0o755)
    running, reading = attempt(tmp_path, tools=("Bash",)), attempt(tmp_path)
    assert ("sandbox" in json.loads(settings_of(running, tools_of(running), str(tmp_path)))) == asked
    assert "sandbox" not in json.loads(settings_of(reading, tools_of(reading), str(tmp_path)))


def test_the_environment_is_what_the_task_declares(tmp_path: Path) -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "MY_SECRET": "x",
        "ANTHROPIC_API_KEY": "sk",
        "WANTED": "1",
    }
    found = environment(
        attempt(tmp_path, env=("WANTED", "ABSENT")), ours, "http://g", 1_000, {"haiku": "claude-h"}
    )
    assert found["WANTED"] == "1"
    assert found["ANTHROPIC_BASE_URL"] == "http://g"
    assert found["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "claude-h"
    assert "MY_SECRET" not in found
    assert "sk" not in found.values()


def test_a_task_that_declares_the_key_does_not_get_past_the_gateway(tmp_path: Path) -> None:
    ours = {
        "ANTHROPIC_API_KEY": "sk",
        "ANTHROPIC_BASE_URL": "http://elsewhere",
        "CLAUDE_CONFIG_DIR": "/h/.claude",
    }
    found = environment(attempt(tmp_path, env=tuple(ours)), ours, "http://g", 1_000, {})
    assert found["ANTHROPIC_BASE_URL"] == "http://g"
    assert found["ANTHROPIC_API_KEY"] != "sk"
    assert found["CLAUDE_CONFIG_DIR"].startswith(str(tmp_path))


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-nobody-9"])
@pytest.mark.parametrize("left_nusd", [None, 0, 10**6, 10**9, 10**12])
def test_the_second_fence_is_never_the_first(model: str, left_nusd: int | None) -> None:
    one = work(model=model, left_nusd=left_nusd, turns=3)
    fence = fence_usd(one, BUILTIN, one.max_tokens)
    most = BUILTIN.bound_nusd(model, 1_000_000, one.max_tokens)
    granted = min(
        amount for amount in (left_nusd, None if most is None else most * 3, 10**12) if amount is not None
    )
    assert fence * 1e9 >= granted
    assert fence * 1e9 <= max(10**12, granted * PROBABLY_DEARER)


def test_a_schema_is_enforced_unless_it_is_too_long_for_an_argument() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert enforced_schema(work(output_kind="json", schema=schema)) == schema
    long = {**schema, "description": "x" * 200_000}
    assert enforced_schema(work(output_kind="json", schema=long)) is None


def test_a_session_is_continued_where_somebody_has_said_something_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "projects" / "-a-b"
    folder.mkdir(parents=True)
    assert not kept_session(tmp_path, "")
    assert not kept_session(tmp_path, "s1")
    (folder / "s1.jsonl").write_text('{"type":"queue-operation"}\n')
    assert not kept_session(tmp_path, "s1")
    (folder / "s1.jsonl").write_text('{"type":"queue-operation"}\n{"x":1,"type":"user"}\n')
    assert kept_session(tmp_path, "s1")


def test_what_lies_in_the_folder_of_a_task_is_for_its_owner(tmp_path: Path) -> None:
    one = attempt(tmp_path)
    (tmp_path / "runs").mkdir()
    before = os.umask(0)
    try:
        path = launcher(one, Path("/a b/claude"))
    finally:
        os.umask(before)
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parent.parent)] == [0o700] * 3
    assert "'/a b/claude'" in path.read_text()


END: dict[str, Any] = {"ended": True, "subtype": "success", "stop": "end_turn"}


@pytest.mark.parametrize(
    ("heard", "outcome", "cls", "says"),
    [
        ({"text": "fine"}, "ok", "", ""),
        ({"text": " \n"}, "bad_output", "task", "empty"),
        ({"subtype": "error_max_turns", "is_error": True}, "cut_off", "task", "all of its 20 turns"),
        (
            {"subtype": "error_max_budget_usd", "is_error": True, "complaints": ["Reached"]},
            "error",
            "task",
            "Reached",
        ),
        (
            {"is_error": True, "stop": "refusal", "text": "API Error: flagged\nmore"},
            "refused",
            "task",
            "flagged",
        ),
        (
            {"is_error": True, "error": "max_output_tokens", "text": "API Error"},
            "cut_off",
            "task",
            "max_tokens",
        ),
        ({"is_error": True, "text": "API Error: boom"}, "error", "task", "boom"),
        ({"subtype": "error_during_execution", "is_error": True}, "error", "task", "error_during_execution"),
    ],
)
def test_success_is_what_it_is_and_not_what_it_is_called(
    heard: dict[str, Any], outcome: str, cls: str, says: str
) -> None:
    result = result_of_session(work(), Heard(**(END | heard)), set())
    assert (result.outcome, result.cls) == (outcome, cls)
    assert says in result.error


def test_an_answer_that_was_cut_off_and_went_on_is_whole() -> None:
    heard = Heard(**END, text="ree", pieces=[("m1", "one, "), ("m2", "two, th"), ("m3", "ree")])
    assert result_of_session(work(), heard, {"m1", "m2"}) == Result("ok", "one, two, three")


@pytest.mark.parametrize(
    ("structured", "text", "output"),
    [({"n": 1}, "", '{"n":1}'), (None, 'It is {"n": 2}.', '{"n": 2}'), (None, "no", None)],
)
def test_an_answer_under_a_schema(structured: Any, text: str, output: str | None) -> None:
    heard = Heard(**END, text=text, structured=structured)
    result = result_of_session(work(output_kind="json"), heard, set())
    assert (result.outcome, result.output) == (("ok", output) if output else ("bad_output", text))
