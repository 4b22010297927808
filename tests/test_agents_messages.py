"""The agent of the Messages API, through the real SDK: answers, structure, tools, the cache, keys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import MAX_OUTPUT_BYTES, CallRefused
from stretto.agents.conversation import MAX_TOOL_CALLS
from stretto.agents.messages import MessagesAgent
from stretto.errors import StrettoError
from stretto.models import BUILTIN
from tests.asking import ask, ask_canned
from tests.canned import messages_events, stream
from tests.desks import FakeDesk, work
from tests.fakeapi import FakeApi

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
TOOLS = ("search", "list", "read")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


# Answers


def test_an_answer_is_paid_for_as_the_provider_bills_it(api: FakeApi) -> None:
    api.configure(default={"reply": "Paris", "tokens": 200})
    result, desk = ask(lambda: MessagesAgent(api.url), work("Where?", system="You know cities."))
    bill = api.bill()
    assert result.outcome == "ok"
    assert result.output.startswith("Paris")
    assert desk.spent_nusd == bill["cost_nusd"] > 0
    assert desk.settled[0].usage == bill["usage"] | {"output": 200}
    assert desk.settled[0].model == HAIKU
    assert desk.beats > 5
    assert [note["kind"] for note in desk.notes] == ["request", "text", "call"]


def test_the_bound_is_reserved_before_the_call_is_sent(api: FakeApi) -> None:
    result, desk = ask(lambda: MessagesAgent(api.url), work("é" * 50_000, max_tokens=321))
    tokens = desk.noted("request")[0]["bound_tokens"]
    bound = BUILTIN.bound_nusd(HAIKU, tokens, 321, cached=False)
    assert result.outcome == "ok"
    assert desk.calls[0].nusd == bound
    # 100,000 bytes, so it may cross the step above which Haiku costs five times as much.
    assert 101_000 < tokens < 102_000
    assert bound == BUILTIN.cost_nusd(HAIKU, {"input": tokens, "output": 321})
    # The provider's limits are in tokens, of which this has fewer.
    assert 30_000 < desk.calls[0].input_tokens < 35_000 and desk.calls[0].output_tokens == 321
    assert api.requests()["records"][0]["max_tokens"] == 321


def test_a_refused_reservation_passes_through_and_nothing_is_sent(api: FakeApi) -> None:
    desk = FakeDesk(cap_nusd=1)
    with pytest.raises(CallRefused):
        ask(lambda: MessagesAgent(api.url), desk=desk)
    assert api.requests()["count"] == 0
    assert desk.calls == []


def test_more_than_the_model_can_write_is_not_asked_for(api: FakeApi) -> None:
    _, desk = ask(lambda: MessagesAgent(api.url), work(model="claude-haiku-4-5", max_tokens=1_000_000))
    assert api.requests()["records"][0]["max_tokens"] == 64_000
    assert desk.calls[0].output_tokens == 64_000


def test_a_model_without_a_price_is_reserved_as_unknown(api: FakeApi) -> None:
    result, desk = ask(lambda: MessagesAgent(api.url), work(model="claude-next-9"))
    assert result.outcome == "ok"
    assert desk.calls[0].nusd is None
    assert desk.settled[0].usage is not None
    with pytest.raises(CallRefused):
        ask(lambda: MessagesAgent(api.url), work(model="claude-next-9"), FakeDesk(cap_nusd=10**12))


def test_a_server_that_is_free_costs_nothing(api: FakeApi) -> None:
    desk = FakeDesk(cap_nusd=0)
    ask(lambda: MessagesAgent(api.url, free=True), work(model="smol.gguf"), desk)
    assert (desk.calls[0].nusd, desk.settled[0].cost_nusd) == (0, 0)
    assert desk.settled[0].usage is not None


@pytest.mark.parametrize(
    ("fault", "outcome"), [("refusal", "refused"), ("empty", "bad_output"), ("broken_json", "bad_output")]
)
def test_what_is_no_answer_is_no_success_and_is_paid_for(api: FakeApi, fault: str, outcome: str) -> None:
    api.configure(faults=[{"kind": fault}])
    result, desk = ask(lambda: MessagesAgent(api.url), work(output_kind="json"))
    assert (result.outcome, result.cls) == (outcome, "task")
    assert result.error
    assert desk.spent_nusd == api.bill()["cost_nusd"] > 0


def test_an_answer_that_is_cut_off_is_no_success(api: FakeApi) -> None:
    api.configure(default={"tokens": 500})
    result, desk = ask(lambda: MessagesAgent(api.url), work(max_tokens=100))
    assert (result.outcome, result.cls) == ("cut_off", "task")
    assert "max_tokens" in result.error
    assert len(result.output) == 400
    assert desk.spent_nusd == api.bill()["cost_nusd"]


def test_where_the_money_is_short_a_shorter_answer_is_asked_for(api: FakeApi) -> None:
    def asked(tokens: int, cap_nusd: int) -> tuple[Any, FakeDesk, int]:
        api.reset()
        api.configure(default={"tokens": tokens})
        given = work(max_tokens=10_000, min_tokens=100)
        result, desk = ask(lambda: MessagesAgent(api.url), given, FakeDesk(cap_nusd=cap_nusd))
        assert desk.spent_nusd == api.bill()["cost_nusd"] <= cap_nusd
        return result, desk, api.requests()["records"][0]["max_tokens"]

    _, desk, most = asked(300, 10**9)
    bound, tokens = desk.calls[0].nusd, desk.noted("request")[0]["bound_tokens"]
    assert most == 10_000 and bound is not None
    result, desk, most = asked(300, bound // 3)
    assert result.outcome == "ok" and 100 < most < 10_000
    whole, more = (BUILTIN.bound_nusd(HAIKU, tokens, n, cached=False) or 0 for n in (most, most + 1))
    assert whole <= bound // 3 < more, "it is as long as the money allows"
    result, _, most = asked(9_000, bound // 3)
    assert (result.outcome, result.cls, result.why) == ("cut_off", "run", "budget")
    assert result.error == f"the answer was cut off at {most:,} tokens: the run's cap had no money for more"
    with pytest.raises(CallRefused):
        asked(300, bound // 300)


def test_thinking_is_paid_for_and_is_no_part_of_the_answer(api: FakeApi) -> None:
    result, desk = ask(lambda: MessagesAgent(api.url), work("Hm", model=OPUS))
    assert result.output == "ok: Hm"
    assert desk.spent_nusd == api.bill()["cost_nusd"]


# Structured output


SCHEMA = {
    "type": "object",
    "properties": {"names": {"type": "array", "items": {"type": "string"}}, "count": {"type": "integer"}},
    "required": ["names", "count"],
    "additionalProperties": False,
}


def test_a_schema_is_enforced_by_the_server(api: FakeApi) -> None:
    result, _ = ask(lambda: MessagesAgent(api.url), work(output_kind="json", schema=SCHEMA))
    assert json.loads(result.output).keys() == {"names", "count"}


def test_a_list_is_asked_for_in_an_object_and_taken_out_again(api: FakeApi) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    result, _ = ask(lambda: MessagesAgent(api.url), work(output_kind="json", schema=schema))
    assert isinstance(json.loads(result.output), list)


def test_any_object_at_all_is_asked_for_in_words() -> None:
    schema = {"type": "object", "properties": {"any": {"type": "object"}}}
    _, _, bodies = ask_canned(
        MessagesAgent, stream(messages_events("{}")), asked=work(output_kind="json", schema=schema)
    )
    assert "output_config" not in bodies[0]
    assert json.dumps(schema, separators=(",", ":")) in bodies[0]["system"][0]["text"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('Here it is:\n```json\n{"a": [1, 2]}\n```\nBye {x}.', '{"a": [1, 2]}'),
        ('[1] is short, {"b": [2, 3]} is the answer', '{"b": [2, 3]}'),
        (" 42 ", "42"),
        ("NaN", None),
        ("{" * 5_000, None),
        ("[" * 100_000, None),
        ("no", None),
    ],
)
def test_json_is_found_in_what_models_write_around_it(text: str, found: str | None) -> None:
    result, _, _ = ask_canned(MessagesAgent, stream(messages_events(text)), asked=work(output_kind="json"))
    assert result.outcome == ("bad_output" if found is None else "ok")
    if found is not None:
        assert result.output == found


# Tools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("def found():\n    return 1\n")
    (tmp_path / "big.txt").write_text("filler and more\n" * 2_000)
    return tmp_path


def step(*calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "input": given} for name, given in calls]


def tool_turn(name: str, given: dict[str, Any]) -> bytes:
    """A turn in which the model asks for one tool."""
    block = {"type": "tool_use", "id": "t1", "name": name, "input": given}
    turn = messages_events(stop="tool_use")
    turn[1:4] = [{"type": "content_block_start", "index": 0, "content_block": block}]
    return stream(turn)


def test_tools_are_run_until_there_is_an_answer(api: FakeApi, root: Path) -> None:
    steps = [step(("search", {"pattern": "def"})), step(("read", {"path": "a.py"}), ("list", {}))]
    api.configure(default={"tools": steps, "reply": "last: ${tool_result}"})
    result, desk = ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS, model=OPUS))
    assert result.output == "last: a.py (26 bytes)\nbig.txt (32,000 bytes)"
    assert len(desk.settled) == 3
    assert desk.spent_nusd == api.bill()["cost_nusd"]
    assert [note["name"] for note in desk.noted("tool")] == ["search", "read", "list"]
    assert desk.noted("tool")[0]["text"] == "a.py:1: def found():"


def test_later_turns_read_the_earlier_ones_from_the_cache(api: FakeApi, root: Path) -> None:
    steps = [step(("read", {"path": "big.txt", "start": start})) for start in (1, 401, 801, 1201)]
    api.configure(cache_min_tokens=100, default={"tools": steps})
    result, desk = ask(
        lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS, system="You read.", model=SONNET)
    )
    assert result.outcome == "ok"
    usages = [call.usage for call in desk.settled]
    for before, usage in pairwise(usages):
        assert before is not None and usage is not None
        assert usage["cache_read"] >= before["cache_read"] + before["cache_write_5m"] > 0
        assert usage["input"] == 0
    assert desk.spent_nusd == api.bill()["cost_nusd"]


def test_the_bound_of_a_later_turn_grows_by_what_was_added_only(api: FakeApi, root: Path) -> None:
    """Not by the whole request again, whose tokens are known and fewer than its bytes."""
    api.configure(default={"tools": [step(("read", {"path": "big.txt"}))] * 3})
    _, desk = ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS, max_tokens=1_000))
    bounds = [note["bound_tokens"] for note in desk.noted("request")]
    for (before, call), bound in zip(pairwise(desk.calls), bounds[1:], strict=True):
        assert before.settled and before.settled.usage and call.settled and call.settled.usage
        known = sum(before.settled.usage.values())
        prompt = sum(call.settled.usage.values()) - call.settled.usage["output"]
        assert prompt <= bound < known + 11_000
        assert call.input_tokens < 4_000, "what is read from the cache counts for no limit"


def test_the_cache_is_marked_at_the_system_and_at_the_last_two_turns(root: Path) -> None:
    turns = [tool_turn("list", {"glob": glob}) for glob in ("*.a", "*.b", "*.c")]
    asked = work(root=root, tools=("list",), turns=4)
    result, _, bodies = ask_canned(MessagesAgent, *turns, stream(messages_events()), asked=asked)
    assert result.output == "hello"
    marks = [json.dumps(body).count("cache_control") for body in bodies]
    assert marks == [2, 3, 3, 3]
    assert "cache_control" in bodies[3]["messages"][-1]["content"][-1]
    assert "cache_control" in bodies[3]["messages"][-3]["content"][-1]
    assert bodies[3]["tools"] == bodies[0]["tools"]
    assert [body.get("tool_choice") for body in bodies] == [None, None, None, {"type": "none"}]
    assert "last use of tools" in bodies[3]["messages"][-1]["content"][-1]["text"]


def test_turns_end(api: FakeApi, root: Path) -> None:
    api.configure(default={"tools": [step(("list", {}))] * 50})
    result, desk = ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS, turns=3))
    assert (result.outcome, result.cls) == ("cut_off", "task")
    assert "3 turns" in result.error
    assert len(desk.settled) == 3


def test_a_tool_that_fails_tells_the_model_and_the_work_goes_on(api: FakeApi, root: Path) -> None:
    calls = step(
        ("read", {"path": "../../etc/passwd"}), ("write", {"path": "x"}), ("search", {"pattern": "("})
    )
    api.configure(default={"tools": [calls], "reply": "sorry"})
    result, desk = ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS))
    assert result.output == "sorry"
    assert [note["failed"] for note in desk.noted("tool")] == [True, True, True]


def test_too_many_tools_at_once_are_not_all_run(api: FakeApi, root: Path) -> None:
    calls = step(*[("list", {})] * (MAX_TOOL_CALLS + 3))
    api.configure(default={"tools": [calls], "reply": "done"})
    result, desk = ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS))
    assert result.output == "done"
    assert sum(note["failed"] for note in desk.noted("tool")) == 3


def test_a_refused_call_in_the_middle_ends_the_attempt(api: FakeApi, root: Path) -> None:
    api.configure(default={"tools": [step(("list", {}))]})
    desk = FakeDesk(refuse_from=2)
    with pytest.raises(CallRefused):
        ask(lambda: MessagesAgent(api.url), work(root=root, tools=TOOLS), desk)
    assert len(desk.settled) == api.requests()["count"] == 1


# What is sent


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        (HAIKU, "low", "low"),
        (OPUS, "max", "max"),
        ("claude-haiku-4-5", "low", None),
        ("claude-x", "odd", "odd"),
    ],
)
def test_effort_is_sent_where_the_model_knows_it(model: str, effort: str, sent: str | None) -> None:
    _, _, bodies = ask_canned(
        MessagesAgent, stream(messages_events()), asked=work(model=model, effort=effort)
    )
    assert bodies[0].get("output_config") == (None if sent is None else {"effort": sent})


def test_a_bare_prompt_is_sent_bare() -> None:
    _, desk, bodies = ask_canned(MessagesAgent, stream(messages_events()))
    assert bodies == [
        {
            "model": HAIKU,
            "max_tokens": 16_000,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello"}]}],
            "stream": True,
        }
    ]
    assert desk.settled[0].usage == {
        "input": 10,
        "output": 5,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
    }


# Odd servers


def test_the_model_that_answered_is_the_one_that_is_paid() -> None:
    answer = messages_events()
    answer[0]["message"]["model"] = "claude-haiku-4-5-20251001"
    _, desk, _ = ask_canned(MessagesAgent, stream(answer), asked=work(model=OPUS))
    assert desk.settled[0].model == "claude-haiku-4-5-20251001"
    assert desk.spent_nusd == BUILTIN.cost_nusd("claude-haiku-4-5", {"input": 10, "output": 5})


def test_us_only_inference_costs_a_tenth_more() -> None:
    answer = messages_events(usage={"output_tokens": 1, "inference_geo": "us"})
    _, desk, _ = ask_canned(MessagesAgent, stream(answer))
    plain = BUILTIN.cost_nusd(HAIKU, {"input": 10, "output": 1})
    assert plain is not None
    assert desk.spent_nusd == plain * 11 // 10


def test_cache_writes_are_told_apart_by_how_long_they_last() -> None:
    answer = messages_events()
    answer[0]["message"]["usage"] |= {
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    _, desk, _ = ask_canned(MessagesAgent, stream(answer))
    assert desk.settled[0].usage == {
        "input": 10,
        "output": 5,
        "cache_read": 7,
        "cache_write_5m": 10,
        "cache_write_1h": 20,
    }


def test_pings_are_signs_of_life_and_unknown_events_do_no_harm() -> None:
    ping = {"type": "ping"}
    odd = {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "x": 1}}
    answer = messages_events()
    result, desk, _ = ask_canned(
        MessagesAgent, stream([ping] * 50 + answer[:2] + [odd, {"type": "news"}] + answer[2:])
    )
    assert result.output == "hello"
    assert desk.beats == 50 + 6 + 2


def test_half_a_character_does_no_harm_wherever_it_comes_from(root: Path) -> None:
    tool = {"type": "tool_use", "id": "t1", "name": "read", "input": {}}
    turn = messages_events("half \ud83d of a smile", stop="tool_use")
    turn[4:4] = [
        {"type": "content_block_start", "index": 1, "content_block": tool},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"path": "\\ud83d.py"}'},
        },
    ]
    asked = work("half \ud83d of a prompt", system="\udfff", root=root, tools=TOOLS)
    result, desk, bodies = ask_canned(MessagesAgent, stream(turn), stream(messages_events()), asked=asked)
    assert result.output == "hello"
    assert bodies[1]["messages"][0]["content"][0]["text"] == "half ? of a prompt"
    assert bodies[1]["messages"][1]["content"][0]["text"] == "half ? of a smile"
    assert "there is no '?.py'" in desk.noted("tool")[0]["text"]


def test_an_answer_larger_than_any_output_may_be_is_stopped() -> None:
    endless = messages_events("x" * (MAX_OUTPUT_BYTES + 1))
    result, desk, _ = ask_canned(MessagesAgent, stream(endless))
    assert (result.outcome, result.cls) == ("bad_output", "task")
    assert "larger than 20,000,000 bytes" in result.error
    assert desk.held_nusd == desk.calls[0].nusd


# Keys


def test_without_a_key_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StrettoError) as caught:
        MessagesAgent()
    assert caught.value.slug == "no-api-key"
    assert "export ANTHROPIC_API_KEY=" in caught.value.next


def test_a_token_will_do_in_place_of_a_key(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
    result, _ = ask(MessagesAgent)
    assert result.outcome == "ok"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ", ""])
def test_a_key_that_cannot_be_one_is_not_sent_and_not_shown(key: str) -> None:
    with pytest.raises(StrettoError) as caught:
        MessagesAgent("https://example.com", key)
    assert caught.value.slug == "no-api-key"
    assert not key or key not in caught.value.what + caught.value.next


def test_a_server_on_this_machine_is_not_sent_the_key_of_another(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-for-the-real-one")
    ask(lambda: MessagesAgent(api.url))
    ask(lambda: MessagesAgent(api.url, "sk-for-the-real-one"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
    ask(MessagesAgent)
    bare, given, default = (record["headers"]["key-sha256"] for record in api.requests()["records"])
    assert bare != given
    assert given == default


def test_without_the_package_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['anthropic'] = None\n"
        "from stretto.errors import StrettoError\n"
        "try:\n    import stretto.agents.messages\n"
        "except StrettoError as e: print(e.slug, e.next)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    assert done.stdout == "missing-extra pip install 'stretto[messages]'\n"
