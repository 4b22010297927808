"""The verbs `models` and `models pick`: the catalogue as people read it, choices singly or in a stream."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.cli.asked import BadTask, read_task
from stretto.cli.pick import MAX_LINE
from stretto.errors import EXIT_COULD_NOT, EXIT_LIMIT, EXIT_OK
from stretto.models import BUILTIN
from stretto.models.catalogue import LEVELS
from tests.driving import Project, golden
from tests.fakeapi import FakeApi

OWN = """\
[models."qwen3:8b-instruct-q4_K_M-of-my-own"]
tier = "small"
context = 32_768
efforts = []
usd_per_mtok = {input = 0.00005, output = 0.20}
limits = {requests = 50, input_tokens = 30_000}
[models.mine]
[tiers]
order = ["small", "haiku", "sonnet", "opus", "fable"]
[aliases]
fast = "claude-haiku-5-5"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# The table


def test_the_table_shows_every_model_and_says_unknown(project: Project) -> None:
    answer = project("models")
    assert (answer.code, answer.err) == (EXIT_OK, "")
    golden("models.txt", answer.out)
    rows = [row.split()[:2] for row in answer.out.split("\n\n")[0].splitlines()[1:]]
    assert {id for _, id in rows} == {model.id for model in BUILTIN.models}
    assert [tier for tier, _ in rows] == sorted((tier for tier, _ in rows), key=BUILTIN.tiers.index)


def test_the_table_fits_a_terminal_with_a_users_models_too(project: Project) -> None:
    (project.root / "stretto.toml").write_text(OWN)
    answer = project("models")
    golden("models-own.txt", answer.out.replace(str(project.root.resolve()), "ROOT"))
    assert max(len(row) for row in answer.out.splitlines()) <= 100
    mine = next(row for row in answer.out.splitlines() if row.split()[1:2] == ["mine"])
    assert mine.split() == ["none", "mine", *["unknown"] * 9]


def test_as_json_the_unknown_is_null_and_prices_are_exact(project: Project) -> None:
    (project.root / "stretto.toml").write_text(OWN)
    data = project("models", "--json").json
    assert data["schema"] == "stretto/models/1"
    assert data["tiers"][0] == "small"
    assert (data["auto"], data["aliases"]) == (["haiku", "sonnet", "opus"], {"fast": "claude-haiku-5-5"})
    assert data["settings"].endswith("stretto.toml")
    by_id = {model["id"]: model for model in data["models"]}
    mine = by_id["mine"]
    assert (mine["tier"], mine["context"], mine["usd_per_mtok"], mine["batch"]) == (None, None, None, None)
    assert mine["limits"] == {"requests": None, "input_tokens": None, "output_tokens": None}
    haiku = by_id["claude-haiku-5-5"]
    assert haiku["usd_per_mtok"]["cache_write_5m"] == 0.125
    assert haiku["usd_per_mtok"]["above"][0] | {"cache_read": 0.05} == {
        "prompt_tokens": 100_000,
        "input": 0.5,
        "output": 2.5,
        "cache_read": 0.05,
        "cache_write_5m": 0.625,
        "cache_write_1h": 1.0,
    }
    assert haiku["efforts"] == list(LEVELS)
    assert by_id["qwen3:8b-instruct-q4_K_M-of-my-own"]["usd_per_mtok"]["input"] == 0.00005


def test_wrong_settings_are_told_with_all_their_mistakes(project: Project) -> None:
    (project.root / "stretto.toml").write_text("[modles]\n[aliases]\nx = 3\n")
    for words in (("models",), ("models", "pick", "x"), ("run", "plan.yaml"), ("estimate", "plan.yaml")):
        answer = project(*words)
        assert answer.code == EXIT_COULD_NOT
        assert "stretto.toml:1:2" in answer.err and "stretto.toml:3:1" in answer.err, words
        assert "did you mean 'models'?" in answer.err
    data = project("models", "--json").json
    assert data["error"]["slug"] == "bad-settings"
    assert [finding["slug"] for finding in data["findings"]] == ["unknown-key", "wrong-value"]


def test_check_knows_the_projects_models(project: Project) -> None:
    project.plan.write_text("stretto: 1\ntasks: {a: {prompt: P, model: fast}}\n")
    assert "unknown-model" in project("check", "plan.yaml").out
    (project.root / "stretto.toml").write_text(OWN)
    assert project("check", "plan.yaml").code == EXIT_OK
    assert project("check", "plan.yaml", "--root", ".").code == EXIT_OK


def test_who_only_looks_at_runs_is_told_of_wrong_settings_and_shown_the_run(project: Project) -> None:
    assert project.run().code == EXIT_OK
    (project.root / "stretto.toml").write_text("[modles]\n")
    shown = project("show", "last")
    assert shown.code == EXIT_OK
    assert "bad-settings" in shown.err and "succeeded" in shown.out


def test_a_cap_holds_on_a_server_of_ones_own_once_its_price_is_known(project: Project) -> None:
    project.plan.write_text(
        "stretto: 1\ntasks: {a: {prompt: Say yes, model: mine, max_tokens: 100, reuse: never}}\n"
    )
    settings = project.root / "stretto.toml"
    with FakeApi() as api:
        words = ("run", "plan.yaml", "--on", f"openai:{api.url}/v1", "--usd", "1", "--json")
        settings.write_text('[models."qwen3:8b"]\n[aliases]\nmine = "qwen3:8b"\n')
        refused = project(*words)
        assert (refused.code, refused.json["usd"], api.requests()["count"]) == (EXIT_LIMIT, 0, 0)
        settings.write_text(
            '[models."qwen3:8b"]\nusd_per_mtok = {input = 1, output = 2}\n[aliases]\nmine = "qwen3:8b"\n'
        )
        paid = project(*words)
        (entry,) = api.bill()["entries"]
        assert (paid.code, entry["model"]) == (EXIT_OK, "qwen3:8b")
        usage = entry["usage"]
        assert paid.json["usd"] == pytest.approx((usage["input"] + 2 * usage["output"]) / 1e6)


def test_doctor_reads_the_settings(project: Project) -> None:
    def said() -> dict[str, str]:
        looks = project("doctor", "--json").json["looks"]
        return next(look for look in looks if look["name"] == "stretto.toml")

    assert said()["state"] == "absent"
    (project.root / "stretto.toml").write_text(OWN)
    assert (said()["state"], said()["says"]) == ("ok", f"{len(BUILTIN.models) + 2} models")
    (project.root / "stretto.toml").write_text("[modles]\n")
    assert said()["state"] == "problem"
    assert "stretto.toml:1:2" in said()["says"]


# One choice


def picked(project: Project, *words: str, stdin: str | bytes = "") -> Any:
    answer = project("models", "pick", *words, "--json", stdin=stdin)
    assert answer.code == EXIT_OK, answer.err
    assert answer.json["schema"] == "stretto/pick/1"
    return answer.json


def test_one_choice_is_explained(project: Project) -> None:
    answer = project("models", "pick", "Rename the variable x to count in main.py")
    assert (answer.code, answer.err) == (EXIT_OK, "")
    assert answer.out.startswith("haiku  claude-haiku-5-5")
    for word in ("why", "instead of", "expected", "chance", "confidence none", "kind"):
        assert word in answer.out
    long = project("models", "pick", "--check", "Implement the parser of the settings file")
    assert max(len(row) for row in (answer.out + long.out).splitlines()) <= 100


@pytest.mark.parametrize(
    ("task", "tier"),
    [
        ("List all Python files under src and count their lines", "haiku"),
        ("Find the root cause of the flaky test", "sonnet"),
        ("List the trade-offs and recommend an architecture", "opus"),
    ],
)
def test_without_history_the_kind_of_work_decides(project: Project, task: str, tier: str) -> None:
    assert picked(project, task)["tier"] == tier
    assert picked(project, "-", stdin=task)["tier"] == tier


def test_a_model_that_is_named_is_honoured(project: Project) -> None:
    for name, id in (
        ("fable", "claude-fable-5-2"),
        ("haiku-4.5", "claude-haiku-4-5"),
        ("claude-next-9",) * 2,
    ):
        data = picked(project, json.dumps({"prompt": "List files", "model": name, "effort": "max"}))
        assert (data["model"], data["effort"], data["confidence"]) == (id, "max", "declared")
    assert picked(project, '{"prompt": "x", "model": "claude-next-9"}')["tier"] is None


def test_a_check_lets_a_weaker_model_try_first(project: Project) -> None:
    task = "Implement the parser of the settings file"
    with_check = picked(project, "--check", task)
    assert with_check == picked(project, json.dumps({"prompt": task, "check": ["pytest"]}))
    order = BUILTIN.tiers
    assert order.index(with_check["tier"]) <= order.index(picked(project, task)["tier"])


def test_a_servers_own_models_are_not_chosen_among(project: Project) -> None:
    data = picked(project, "List files", "--on", "openai:http://127.0.0.1:1/v1")
    assert (data["tier"], data["model"], data["effort"]) == (None, None, None)
    assert data["reasons"]
    named = picked(project, '{"prompt": "x", "on": "openai", "model": "qwen3:8b"}')
    assert named["model"] == "qwen3:8b"


def test_keys_that_mean_nothing_here_are_named(project: Project) -> None:
    data = picked(project, '{"prompt": "List files", "colour": 1, "output": "json"}')
    assert data["ignored"] == ["colour"]
    assert "ignored" in project("models", "pick", '{"prompt": "List files", "colour": 1}').out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pick",), "TASK"),
        (("pick", "x", "--jsonl"), "standard input"),
        (("pick", "-", "--jsonl", "--json"), "not allowed"),
        (("pick", " "), "there is no task"),
        (("pick", "{"), "not JSON"),
        (("pick", "x", "--on", "nobody"), "no agent"),
        (("pikc",), "unrecognized"),
    ],
)
def test_what_cannot_be_picked_for_is_an_error(project: Project, words: tuple[str, ...], says: str) -> None:
    answer = project("models", *words)
    assert answer.code == EXIT_COULD_NOT
    assert says in answer.err


def test_earlier_runs_of_the_project_count(project: Project) -> None:
    asked = ("--check", "Say yes", "--on", "simulated")
    before = picked(project, *asked)
    project.plan.write_text('stretto: 1\ntasks: {a: {prompt: Say yes, model: haiku, check: ["true"]}}\n')
    assert project.run().code == EXIT_OK
    after = picked(project, *asked)
    assert (before["tier"], after["tier"]) == ("haiku", "haiku")
    assert after["chance"] > before["chance"]
    others = picked(project, "--check", "Say yes")
    assert others["chance"] == before["chance"], "what a pretender did teaches nothing about others"


# A stream


def stream(project: Project, data: str | bytes) -> list[dict[str, Any]]:
    answer = project("models", "pick", "-", "--jsonl", stdin=data)
    assert (answer.code, answer.err) == (EXIT_OK, "")
    return answer.jsonl


def test_a_stream_answers_every_line_in_order_and_goes_on_after_errors(project: Project) -> None:
    rows: list[tuple[bytes, str]] = [
        (b"List all files", "haiku"),
        (b'"Rename x to y"', "haiku"),
        (b"", "empty"),
        (b'{"prompt": "Anything", "model": "opus"}', "opus"),
        (b'{"prompt": "Anything"', "not JSON"),
        (b'"no end', "not JSON"),
        (b"42", "a text or an object"),
        (b"null", "a text or an object"),
        (b'["List files"]', "a text or an object"),
        (b'{"prompt": 3}', "no prompt"),
        (b'{"promt": "x"}', "did you mean 'promt'"),
        (b'{"prompt": "x", "model": "hiaku"}', "did you mean `haiku`"),
        (b'{"prompt": "x", "effort": "huge"}', "effort"),
        (b'{"prompt": "x", "tools": 3}', "tools"),
        (b'{"prompt": "x", "check": 3}', "check"),
        (b'{"prompt": "x", "on": "nobody"}', "no agent"),
        (b'{"prompt": "x", "max_tokens": -1}', "whole number"),
        (b'{"prompt": "x", "expect": {"usd": -1}}', "usd"),
        (b'{"prompt": "x", "model": {"from": "opus", "to": "haiku"}}', "not above"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"x" * (MAX_LINE + 1), "bytes"),
        (b"x" * (3 * MAX_LINE), "bytes"),
        (b"[" * 5_000, ""),
        (b'{"prompt": ' + b"[" * 100_000, "nested"),
        (b'"foo" is an odd name: rename it to bar\r', "haiku"),
        ("Zähle die Dateien".encode(), ""),
        (b'{"prompt": "\\ud800 rename x to y"}', ""),
        (b"Rename the last one", "haiku"),
    ]
    answers = stream(project, b"\n".join(row for row, _ in rows))
    assert [answer["line"] for answer in answers] == list(range(1, len(rows) + 1))
    for (row, says), answer in zip(rows, answers, strict=True):
        if says in BUILTIN.tiers:
            assert answer["tier"] == says, row
            assert {"model", "effort", "reasons"} <= answer.keys()
        elif says:
            assert says in answer["error"], row
            assert set(answer) == {"error", "line"}


def test_an_empty_stream_has_no_answers(project: Project) -> None:
    assert stream(project, b"") == []


def test_each_answer_comes_before_the_next_task(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stretto", "models", "pick", "-", "--jsonl", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        for number, tier in enumerate(("haiku", "opus"), 1):
            running.stdin.write(json.dumps({"prompt": "x", "model": tier}).encode() + b"\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["line"] == number
        running.stdin.close()
        assert running.wait(20) == EXIT_OK
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_ten_thousand_tasks_take_seconds(project: Project) -> None:
    tasks = "\n".join(
        json.dumps({"prompt": f"Rename the variable x{n} to y in file {n}.py", "check": bool(n % 2)})
        for n in range(10_000)
    )
    start_s = time.process_time()
    answers = stream(project, tasks)
    took_s = time.process_time() - start_s
    assert len(answers) == 10_000
    # 2.4 s on an idle core; the bound leaves room for slow machines, not for something quadratic.
    assert took_s < 12


words = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
KEYS = ("prompt", "tools", "writes", "check", "model", "effort", "on", "family", "turns", "expect", "x")


@given(st.text() | st.dictionaries(st.sampled_from(KEYS), values).map(json.dumps) | values.map(json.dumps))
def test_any_line_is_a_task_or_a_bad_one(text: str) -> None:
    try:
        asked = read_task(text, BUILTIN, "messages")
    except BadTask as bad:
        assert str(bad)
    else:
        assert asked.facts.ladder


def test_a_line_whose_agent_cannot_be_is_answered_and_the_next_one_too(tmp_path: Path) -> None:
    lines = '{"prompt": "x", "on": "simulated:fail=7"}\nList the files\n'
    rows = Project(tmp_path)("models", "pick", "-", "--jsonl", stdin=lines).jsonl
    assert "error" in rows[0] and rows[1]["tier"] == "haiku"
