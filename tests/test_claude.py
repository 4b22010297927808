"""Claude Code as it really is, with the SDK and its program, against the fake provider."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import CallRefused, Result, Work
from stretto.agents.claude import ClaudeAgent
from stretto.plan.role import Role
from tests.claudes import ENVIRON, carry_out, one, task, use
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.processes import nap, sleeping

pytestmark = pytest.mark.slow

ANSWERED = Result("ok", "done")


def script(*tools: Any, reply: Any = "done", **more: Any) -> list[dict[str, Any]]:
    """One rule: these uses of tools (a list is one turn), then the answer."""
    return [{"match": "Say", "tools": list(tools), "reply": reply, **more}]


def bodies(desk: FakeDesk) -> list[str]:
    """What tools said, in the order of the transcript."""
    return [note["text"] for note in desk.noted("tool")]


def test_an_answer_costs_what_the_provider_says(tmp_path: Path) -> None:
    with FakeApi(rules=script(use("Read", file_path=f"{tmp_path}/r/a.txt"))) as api:
        attempt = task(tmp_path / "r")
        (attempt.root / "a.txt").write_text("what it says\n")
        result, desk = one(api, attempt)
        assert result == ANSWERED
        assert desk.spent_nusd == api.bill(entries=False)["cost_nusd"] > 0
        assert len(desk.settled) == 2
        assert "what it says" in bodies(desk)[0]
        assert len(desk.sessions) == 1
        assert not [name for note in desk.noted("end") for name in note if "cost" in name]


def test_what_an_agent_may_read_and_write(tmp_path: Path) -> None:
    root = tmp_path / "r"
    attempt = task(root, writes=True, may_write=("src/*.py",))
    for name in ("src", ".stretto", ".git"):
        (root / name).mkdir()
    (root / "src" / "a.py").write_text("one\n")
    (root / ".env").write_text("HIDDEN=1\n")
    (root / ".stretto" / "stretto.db").write_text("HIDDEN\n")
    (tmp_path / "outside.txt").write_text("HIDDEN\n")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "src" / "link.py").symlink_to(tmp_path / "outside.py")
    hidden = [f"{root}/.env", f"{root}/.stretto/stretto.db", f"{root}/link.txt", f"{tmp_path}/outside.txt"]
    reads = [use("Read", file_path=path) for path in [f"{root}/src/a.py", *hidden]]
    writes = [use("Write", file_path=f"{root}/{name}", content="two\n") for name in _NOT_WRITTEN]
    edit = use("Edit", file_path=f"{root}/src/a.py", old_string="one", new_string="three")
    finds = [use("Grep", pattern="HIDDEN", output_mode="content"), use("Bash", command="touch ran")]
    with FakeApi(rules=script(reads, [*writes, edit], finds)) as api:
        result, desk = one(api, attempt)
    assert result == ANSWERED
    assert "HIDDEN" not in "".join(bodies(desk))
    assert (root / "src" / "a.py").read_text() == "three\n"
    assert [name for name in _NOT_WRITTEN if (root / name).exists()] == []
    assert not (root / "ran").exists(), "no role lists Bash"
    failed = [note["failed"] for note in desk.noted("tool")]
    assert failed.count(False) <= 3, "the one read, the one edit, and a search that found nothing"


_NOT_WRITTEN = ("b.py", "src/b.txt", "../b.py", ".git/config", ".claude/settings.json", "src/link.py")


def test_nothing_of_the_user_or_the_project_configures_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_OWN", "LEAKED")
    attempt = task(tmp_path / "r", tools=("Read", "Bash"))
    hook = {"hooks": [{"type": "command", "command": f"touch {tmp_path}/hooked"}]}
    settings = {
        "hooks": {"PreToolUse": [{"matcher": "*", **hook}], "SessionStart": [hook]},
        "env": {"LEAKED": "1"},
    }
    for folder in (attempt.root / ".claude", tmp_path / "home" / ".claude"):
        (folder / "agents").mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "agents" / "evil.md").write_text("---\nname: evil\ndescription: LEAKED\n---\nLEAKED\n")
        (folder / "CLAUDE.md").write_text("LEAKED\n")
    (attempt.root / "CLAUDE.md").write_text("LEAKED\n")
    server = {"mcpServers": {"x": {"command": "touch", "args": [f"{tmp_path}/served"]}}}
    (attempt.root / ".mcp.json").write_text(json.dumps(server))
    (tmp_path / "home" / ".claude.json").write_text(json.dumps(server))
    with FakeApi(rules=script(use("Bash", command="env"))) as api:
        result, desk = one(
            api, attempt, environ=ENVIRON | {"HOME": str(tmp_path / "home"), "MY_TOKEN": "LEAKED"}
        )
        assert result == ANSWERED
        assert "LEAKED" not in json.dumps(desk.notes)
        assert "sk-real" not in json.dumps(desk.notes), "the gateway has the key, and nobody else"
    assert not [name for name in ("hooked", "served") if (tmp_path / name).exists()]
    assert {path.name for path in (tmp_path / "home").iterdir()} == {".claude", ".claude.json"}
    kept = {path.name for path in (tmp_path / "home" / ".claude").iterdir()}
    assert kept == {"agents", "settings.json", "CLAUDE.md"}, "nor does it leave anything there"


def test_a_prompt_is_a_text_and_no_command(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("HIDDEN\n")
    rules = [{"match": "^/compact Say", "reply": "${prompt}"}]
    with FakeApi(rules=rules) as api:
        result, _ = one(api, task(tmp_path / "r", f"/compact Say @{tmp_path}/secret.txt"))
    assert result.output == f"/compact Say @{tmp_path}/secret.txt"


def test_an_answer_fits_its_schema(tmp_path: Path) -> None:
    names: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    answers = (use("StructuredOutput", value=3), use("StructuredOutput", value=["a", "b"]))
    with FakeApi(rules=script(*answers)) as api:
        result, _ = one(api, task(tmp_path / "r", output_kind="json", schema=names))
    assert result == Result("ok", '["a","b"]')


def test_turns_have_an_end(tmp_path: Path) -> None:
    with FakeApi(rules=script(*(use("Glob", pattern=f"*{n}") for n in range(9)))) as api:
        result, desk = one(api, task(tmp_path / "r", turns=3))
    assert (result.outcome, result.cls, len(desk.settled)) == ("cut_off", "task", 3)


@pytest.mark.parametrize(
    ("fault", "outcome", "cls", "why", "calls"),
    [
        ("auth", "error", "run", "auth", 1),
        ("quota", "error", "run", "quota", 1),
        ("billing", "error", "run", "billing", 1),
        ("refusal", "refused", "task", "", 2),
        ({"kind": "rate_limit", "retry_after_s": 100_000}, "error", "run", "quota", 1),
    ],
)
def test_an_error_of_the_provider_is_what_it_is(
    tmp_path: Path, fault: Any, outcome: str, cls: str, why: str, calls: int
) -> None:
    """To its own program each of these is a `success` that comes with `is_error`."""
    with FakeApi(rules=script(fault=fault)) as api:
        result, desk = one(api, task(tmp_path / "r"))
        assert (result.outcome, result.cls, result.why) == (outcome, cls, why), result
        assert api.requests(records=False)["count"] == calls
        assert desk.spent_nusd == api.bill(entries=False)["cost_nusd"]


@pytest.mark.parametrize(
    "fault", ["overloaded", "api_error", {"kind": "rate_limit", "retry_after_s": 0.1}, "cut"]
)
def test_retries_are_ours(tmp_path: Path, fault: Any) -> None:
    with FakeApi(rules=[*script(fault=fault, times=1), *script()]) as api:
        result, desk = one(api, task(tmp_path / "r"))
        assert result == ANSWERED
        assert api.requests(records=False)["count"] == 2
        bill = api.bill(entries=False)
        assert desk.spent_nusd == bill["cost_nusd_delivered"]
        assert desk.held_nusd >= bill["cost_nusd"] - bill["cost_nusd_delivered"]


def test_an_answer_longer_than_allowed_is_asked_for_in_pieces(tmp_path: Path) -> None:
    rules = [{"match": "Say", "reply": "x" * 4_800, "times": 1}, {"match": "limit hit", "reply": "the end"}]
    with FakeApi(rules=rules) as api:
        result, _ = one(api, task(tmp_path / "r", max_tokens=1_000))
    assert result.outcome == "ok"
    assert result.output.startswith("xxx") and result.output.endswith("the end")


def test_an_answer_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    with FakeApi(default={"tokens": 5_000}) as api:
        result, _ = one(api, task(tmp_path / "r", max_tokens=1_000))
    assert (result.outcome, result.cls) == ("cut_off", "task")


def test_a_call_that_the_ledger_refuses_is_not_sent(tmp_path: Path) -> None:
    desk = FakeDesk(cap_nusd=10**6)
    with FakeApi(rules=script()) as api:
        (refused,), _ = carry_out(api, task(tmp_path / "r"), desk=desk)
        assert isinstance(refused, CallRefused)
        assert api.requests(records=False)["count"] == 0


HELPER = Role(name="helper", instructions="You help", tools=("Read",), model="haiku", description="It helps")
SPAWN = [
    [use("Agent", description=name, prompt=f"SUB {name}", subagent_type=name) for name in ("helper", "fork")]
]


def test_sub_agents_are_the_attempt_itself(tmp_path: Path) -> None:
    """One at a time is waited for, their calls are ours, and there are those that the role lists."""
    rules = [*script(*SPAWN), {"match": "SUB", "tools": [use("Glob", pattern="*")], "reply": "helped"}]
    attempt = task(tmp_path / "r", tools=("Read", "Glob", "Agent"), agents=(HELPER,))
    with FakeApi(rules=rules) as api:
        result, desk = one(api, attempt)
        bill = api.bill()
        assert result == ANSWERED
        assert desk.spent_nusd == bill["cost_nusd"]
        assert [e["model"] for e in bill["entries"]].count("claude-haiku-5-5") >= 1
        assert len(desk.settled) == bill["calls"]
    told = "".join(bodies(desk))
    assert "helped" in told
    assert "'fork' has been denied" in told
    assert len(desk.noted("end")) == 1


def test_a_sub_agent_is_what_its_role_says(tmp_path: Path) -> None:
    more = {"isolation": "worktree", "model": "opus", "run_in_background": True}
    spawn = use("Agent", description="d", prompt="SUB", subagent_type="helper", **more)
    rules = [
        *script(spawn),
        {"match": "SUB", "tools": [use("Read", file_path="/etc/passwd")], "reply": "helped"},
    ]
    with FakeApi(rules=rules) as api:
        result, desk = one(api, task(tmp_path / "r", tools=("Read", "Agent"), agents=(HELPER,)))
        assert result == ANSWERED
        assert {entry["model"] for entry in api.bill()["entries"]} == {
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
        }
    assert "helped" in "".join(bodies(desk)), "no worktree was asked of a folder that is no repository"


def test_without_a_role_that_lists_them_there_are_no_sub_agents(tmp_path: Path) -> None:
    with FakeApi(rules=[*script(*SPAWN), {"match": "SUB", "reply": "helped"}]) as api:
        _, desk = one(api, task(tmp_path / "r", tools=("Read", "Task")))
    assert "helped" not in "".join(bodies(desk))


def test_a_program_that_dies_is_tried_again(tmp_path: Path) -> None:
    with FakeApi(rules=script(use("Bash", command="kill -9 $CLAUDE_PID"))) as api:
        result, _ = one(api, task(tmp_path / "r", tools=("Bash",)))
    assert (result.outcome, result.cls) == ("error", "transient")


HIDDEN = (nap(7101), nap(7102), nap(7103))
LEFT = "(setsid sleep {} &) ; sleep {} & disown ; (setsid sh -c 'sleep {} & exit' &) ; sleep {}"


def test_nothing_of_an_attempt_outlives_it(tmp_path: Path) -> None:
    with FakeApi(rules=script(use("Bash", command=LEFT.format(*HIDDEN, 0.2)))) as api:
        result, _ = one(api, task(tmp_path / "r", tools=("Bash",)))
    assert result == ANSWERED
    assert [sleeping(number) for number in HIDDEN] == [[], [], []]


def stopped(api: FakeApi, attempt: Work, until: Any) -> tuple[FakeDesk, float]:
    """Cancels an attempt when something is true; how long its end took."""
    desk = FakeDesk()

    async def work() -> float:
        agent = ClaudeAgent(api.url, "sk-real", environ=ENVIRON)
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(agent.run(attempt, desk))
        while not until(desk):
            assert not running.done(), running.result()
            await asyncio.sleep(0.02)
        began_s = loop.time()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        took_s = loop.time() - began_s
        await agent.aclose()
        return took_s

    return desk, asyncio.run(asyncio.wait_for(work(), 60))


def test_a_cancelled_attempt_ends_at_once_and_is_gone(tmp_path: Path) -> None:
    with FakeApi(rules=script(use("Bash", command=LEFT.format(*HIDDEN, nap(7104))))) as api:
        attempt = task(tmp_path / "r", tools=("Bash",))
        desk, took_s = stopped(api, attempt, lambda _: sleeping(HIDDEN[2]) and sleeping(nap(7104)))
        assert [sleeping(number) for number in (*HIDDEN, nap(7104))] == [[], [], [], []]
        assert took_s < 3
        assert not desk.open


def test_an_interrupted_attempt_goes_on_where_it_was(tmp_path: Path) -> None:
    script_ = [
        use("Write", file_path=f"{tmp_path}/r/half.txt", content="x"),
        use("Bash", command=f"sleep {nap(7105)}"),
    ]
    rules = [{"match": "interrupted", "reply": "first: ${first}"}, *script(*script_)]
    with FakeApi(rules=rules) as api:
        attempt = task(tmp_path / "r", tools=("Bash", "Write"), writes=True, may_write=("half.txt",))
        before, _ = stopped(api, attempt, lambda desk: sleeping(nap(7105)))
        (session,) = before.sessions
        again = task(tmp_path / "r", n=2, session=session)
        result, desk = one(api, again)
        assert result.outcome == "ok"
        assert result.output.startswith("first: Say hello")
        assert desk.sessions == [session]


def test_a_session_that_is_gone_starts_anew(tmp_path: Path) -> None:
    with FakeApi(rules=script()) as api:
        gone = "0c4b3b0e-7d1f-4d2a-9a55-0f6f3c1f8a11"
        result, desk = one(api, task(tmp_path / "r", session=gone))
    assert result == ANSWERED
    assert desk.sessions and desk.sessions != [gone]


def test_a_call_under_way_when_its_attempt_is_cancelled_is_held(tmp_path: Path) -> None:
    with FakeApi(rules=script(fault={"kind": "stall", "stall_s": 60})) as api:
        desk, took_s = stopped(api, task(tmp_path / "r"), lambda desk: desk.told)
        assert took_s < 3
        assert desk.held_nusd == desk.calls[0].nusd


def test_a_tool_at_work_is_a_sign_of_life(tmp_path: Path) -> None:
    beats = []
    with FakeApi(rules=script(use("Bash", command=f"sleep {nap(7106)}"))) as api:

        def count(desk: FakeDesk) -> bool:
            if sleeping(nap(7106)):
                beats.append((asyncio.get_running_loop().time(), desk.beats))
            return bool(beats) and beats[-1][0] - beats[0][0] > 6

        stopped(api, task(tmp_path / "r", tools=("Bash",)), count)
    assert beats[-1][1] > beats[0][1]


def test_a_login_goes_to_the_provider_and_not_to_the_agent(tmp_path: Path) -> None:
    attempt = task(tmp_path / "r", tools=("Bash",))
    desk = FakeDesk()

    async def ask(environ: dict[str, str]) -> Result:
        agent = ClaudeAgent(environ=environ)
        try:
            return await agent.run(attempt, desk)
        finally:
            await agent.aclose()

    with FakeApi(rules=script(use("Bash", command="env"))) as api:
        login = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-mine", "ANTHROPIC_BASE_URL": api.url}
        result = asyncio.run(ask({"PATH": ENVIRON["PATH"], "HOME": "/nonexistent", **login}))
        asked = api.requests()["records"]
    assert result == ANSWERED
    assert "sk-ant-oat01-mine" not in json.dumps(desk.notes)
    ours = hashlib.sha256(b"sk-ant-oat01-mine").hexdigest()[:16]
    assert {call["headers"]["key-sha256"] for call in asked} == {ours}
    assert all("oauth" in call["headers"]["anthropic-beta"] for call in asked), "as a login has to say"
