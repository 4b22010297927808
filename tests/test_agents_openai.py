"""The agent of OpenAI-compatible servers, through the real SDK: what is as with Messages, and what is not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stretto.agents import CallRefused
from stretto.agents.conversation import key_for
from stretto.agents.openai import OpenAIAgent, Server
from stretto.errors import StrettoError
from stretto.models import BUILTIN, ModelInfo
from stretto.models.prices import own_price
from tests.asking import ask, ask_canned, on
from tests.canned import Answer, canned, listing, refusal, stream
from tests.desks import FakeDesk, work
from tests.fakeapi import FakeApi

HAIKU, OPUS = "claude-haiku-5-5", "claude-opus-5-5"
LOCAL = "qwen3:8b"
TOOLS = ("search", "list", "read")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("def found():\n    return 1\n")
    return tmp_path


def chunk(finish: str | None = None, usage: Any = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": LOCAL,
        "choices": [choice],
    } | ({"usage": usage} if usage else {})


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DONE = "data: [DONE]\n\n"
HELLO: list[Any] = [chunk(role="assistant", content="hel"), chunk(content="lo"), chunk("stop", USAGE), DONE]


def test_an_answer_is_paid_for_as_the_provider_bills_it(api: FakeApi) -> None:
    api.configure(default={"reply": "Paris", "tokens": 200})
    result, desk = ask(lambda: OpenAIAgent(f"{api.url}/v1"), work("Where?", system="You know cities."))
    assert result.outcome == "ok"
    assert result.output.startswith("Paris")
    assert desk.spent_nusd == api.bill()["cost_nusd"] > 0
    assert desk.settled[0].usage == api.bill()["usage"]
    assert desk.beats > 5


def test_cached_tokens_are_counted_once() -> None:
    usage = USAGE | {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}}
    _, desk, _ = ask_canned(
        OpenAIAgent, stream([*HELLO[:2], chunk("stop", usage), DONE]), asked=work(model=LOCAL)
    )
    assert desk.settled[0].usage == {
        "input": 3,
        "output": 5,
        "cache_read": 4,
        "cache_write_5m": 3,
        "cache_write_1h": 0,
    }


def test_tools_are_run_until_there_is_an_answer(api: FakeApi, root: Path) -> None:
    search, read = (
        {"name": "search", "input": {"pattern": "def"}},
        {"name": "read", "input": {"path": "../x"}},
    )
    api.configure(
        default={"tools": [search, [read, {"name": "list", "input": {}}]], "reply": "${tool_result}"}
    )
    result, desk = ask(lambda: OpenAIAgent(f"{api.url}/v1"), work(root=root, tools=TOOLS, model=OPUS))
    assert result.output == "a.py (26 bytes)"
    assert [(note["name"], note["failed"]) for note in desk.noted("tool")] == [
        ("search", False),
        ("read", True),
        ("list", False),
    ]
    assert desk.spent_nusd == api.bill()["cost_nusd"]
    assert len(desk.settled) == 3


def test_turns_end_with_a_turn_without_tools(root: Path) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "list", "arguments": "{}"}}
    again = stream([chunk(tool_calls=[call]), chunk("tool_calls", USAGE), DONE])
    asked = work(model=LOCAL, root=root, tools=TOOLS, turns=2)
    result, _, bodies = ask_canned(OpenAIAgent, again, asked=asked)
    assert result.outcome == "cut_off"
    assert [body.get("tool_choice") for body in bodies] == [None, "none"]
    assert bodies[1]["messages"][-1]["role"] == "user"
    assert bodies[1]["messages"][2]["tool_calls"][0]["function"] == {"name": "list", "arguments": "{}"}


@pytest.mark.parametrize(
    "parts",
    [
        # In pieces, with the id in the first only.
        [
            [{"index": 0, "id": "a", "function": {"name": "list", "arguments": ""}}],
            [{"index": 0, "function": {"arguments": '{"path"'}}],
            [{"index": 0, "function": {"arguments": ': "."}'}}],
            [{"index": 1, "id": "b", "function": {"name": "list", "arguments": "{}"}}],
        ],
        # All at index 0, told apart by their ids.
        [
            [{"index": 0, "id": "a", "function": {"name": "list", "arguments": "{}"}}],
            [{"index": 0, "id": "b", "function": {"name": "list", "arguments": "{}"}}],
        ],
        # Without any id.
        [
            [{"index": 0, "function": {"name": "list", "arguments": "{}"}}],
            [{"index": 1, "function": {"name": "list", "arguments": "{}"}}],
        ],
    ],
)
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_tool_calls_are_understood_as_servers_send_them(root: Path, parts: list[Any], finish: str) -> None:
    asked = work(model=LOCAL, root=root, tools=TOOLS)
    calls = stream([*(chunk(tool_calls=part) for part in parts), chunk(finish, USAGE), DONE])
    result, desk, bodies = ask_canned(OpenAIAgent, calls, stream(HELLO), asked=asked)
    assert result.output == "hello"
    assert [note["failed"] for note in desk.noted("tool")] == [False, False]
    ids = [message["tool_call_id"] for message in bodies[1]["messages"] if message["role"] == "tool"]
    assert len(set(ids)) == 2


def test_arguments_that_are_no_json_are_told_to_the_model(root: Path) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "list", "arguments": "{path"}}
    calls = stream([chunk(tool_calls=[call]), chunk("tool_calls", USAGE), DONE])
    asked = work(model=LOCAL, root=root, tools=TOOLS)
    result, desk, bodies = ask_canned(OpenAIAgent, calls, stream(HELLO), asked=asked)
    assert result.output == "hello"
    assert desk.noted("tool")[0]["failed"]
    assert bodies[1]["messages"][-2]["tool_calls"][0]["function"]["arguments"] == "{}"


# Structured output


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(("schema", "strict"), [(OPEN | {"required": ["a"]}, True), (OPEN, False)])
def test_a_schema_is_enforced_and_strictly_where_it_allows(schema: dict[str, Any], strict: bool) -> None:
    answer = stream([chunk(content='{"a":"b"}'), chunk("stop", USAGE), DONE])
    asked = work(model=LOCAL, output_kind="json", schema=schema)
    result, _, bodies = ask_canned(OpenAIAgent, answer, asked=asked)
    assert result.output == '{"a":"b"}'
    form = {"name": "answer", "schema": schema, "strict": strict}
    assert bodies[0]["response_format"] == {"type": "json_schema", "json_schema": form}
    assert [message["role"] for message in bodies[0]["messages"]] == ["user"]


def test_a_list_is_asked_for_in_an_object_and_taken_out_again(api: FakeApi) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    result, _ = ask(lambda: OpenAIAgent(f"{api.url}/v1"), work(output_kind="json", schema=schema))
    assert isinstance(json.loads(result.output), list)


def test_a_server_that_knows_no_schemas_is_asked_in_words_the_next_time() -> None:
    no = refusal(400, {"error": {"message": "response_format: extra field", "type": "x"}})
    yes = stream([chunk(content='{"a":"b"}'), chunk("stop", USAGE), DONE])
    asked = work(model=LOCAL, output_kind="json", schema=OPEN)

    async def scenario() -> None:
        async with canned(no, yes) as (url, bodies):
            agent, desk = OpenAIAgent(url), FakeDesk()
            first = await agent.run(asked, desk)
            second = await agent.run(asked, desk)
            await agent.aclose()
        assert (first.outcome, first.cls) == ("error", "transient")
        assert second.outcome == "ok"
        assert "response_format" not in bodies[1]
        assert "JSON Schema" in bodies[1]["messages"][0]["content"]

    asyncio.run(scenario())


# Money


def test_a_server_without_usage_and_price_is_settled_at_nothing_and_noted() -> None:
    result, desk, _ = ask_canned(
        OpenAIAgent, stream([*HELLO[:2], chunk("stop"), DONE]), asked=work(model=LOCAL)
    )
    assert result.output == "hello"
    assert (desk.calls[0].nusd, desk.settled[0].usage, desk.settled[0].cost_nusd) == (None, {}, 0)
    assert "no usage" in desk.noted("warning")[0]["text"]


@pytest.mark.parametrize("cut", [False, True])
def test_a_whole_answer_without_its_usage_is_an_answer_and_its_bound_is_held(cut: bool) -> None:
    answer = stream([*HELLO[:2], chunk("stop"), *([] if cut else [DONE])], cut=cut)
    result, desk, _ = ask_canned(lambda url: OpenAIAgent(f"{url}#gpt-5"), answer)
    assert result.output == "hello"
    assert desk.held_nusd == desk.calls[0].nusd
    assert desk.spent_nusd == 0


def test_an_unknown_price_is_refused_by_a_capped_run(api: FakeApi) -> None:
    with pytest.raises(CallRefused):
        ask(lambda: OpenAIAgent(f"{api.url}/v1"), work(model=LOCAL), FakeDesk(cap_nusd=10**12))
    assert api.requests()["count"] == 0


def test_a_users_price_is_reserved_and_settled_and_the_models_limits_hold() -> None:
    price = own_price({"input": Decimal(3), "output": Decimal(7)})
    info = ModelInfo(LOCAL, max_output=100)
    own = replace(BUILTIN, models=(*BUILTIN.models, info), prices={LOCAL: price})
    result, desk, bodies = ask_canned(
        lambda url: OpenAIAgent(url, catalogue=own), stream(HELLO), asked=work(model=LOCAL)
    )
    assert (result.outcome, bodies[0]["max_tokens"]) == ("ok", 100)
    assert desk.spent_nusd == 10 * 3_000 + 5 * 7_000
    assert desk.calls[0].nusd is not None
    assert desk.spent_nusd < desk.calls[0].nusd


def test_what_is_free_is_within_any_cap(api: FakeApi) -> None:
    desk = FakeDesk(cap_nusd=0)
    result, _ = ask(lambda: OpenAIAgent(f"{api.url}/v1", free=True), work(model=LOCAL), desk)
    assert (result.outcome, desk.calls[0].nusd, desk.settled[0].cost_nusd) == ("ok", 0, 0)
    assert desk.settled[0].usage


def test_a_dated_model_in_the_answer_has_the_price_of_its_model() -> None:
    dated = [event if isinstance(event, str) else event | {"model": "gpt-5-2025-08-07"} for event in HELLO]
    _, desk, _ = ask_canned(lambda url: OpenAIAgent(f"{url}#gpt-5"), stream(dated))
    assert desk.settled[0].model == "gpt-5-2025-08-07"
    assert desk.spent_nusd == BUILTIN.cost_nusd("gpt-5", {"input": 10, "output": 5})


# Failures


@pytest.mark.parametrize(
    ("fault", "cls", "why", "wait_s"),
    [
        ({"kind": "rate_limit", "retry_after_s": 7}, "transient", "", 7),
        ({"kind": "rate_limit_bare"}, "transient", "", None),
        ({"kind": "quota"}, "run", "quota", None),
        ({"kind": "overloaded"}, "transient", "", None),
        ({"kind": "api_error"}, "transient", "", None),
        ({"kind": "auth"}, "run", "auth", None),
        ({"kind": "billing"}, "run", "billing", None),
    ],
)
def test_a_call_that_is_refused_costs_nothing(
    api: FakeApi, fault: dict[str, Any], cls: str, why: str, wait_s: float | None
) -> None:
    api.configure(faults=[fault])
    result, desk = ask(lambda: OpenAIAgent(f"{api.url}/v1"))
    assert (result.outcome, result.cls, result.why, result.retry_after_s) == ("error", cls, why, wait_s)
    assert (desk.spent_nusd, desk.held_nusd, api.bill()["calls"]) == (0, 0, 0)
    assert [r["path"] for r in api.requests()["records"]] == ["/v1/chat/completions"], "no retry of its own"


@pytest.mark.parametrize("kind", ["cut", "error_event"])
def test_an_answer_that_is_cut_on_its_way_holds_its_bound(api: FakeApi, kind: str) -> None:
    api.configure(faults=[{"kind": kind}], default={"tokens": 400})
    result, desk = ask(lambda: OpenAIAgent(f"{api.url}/v1"))
    assert (result.outcome, result.cls) == ("error", "transient")
    assert desk.held_nusd == desk.calls[0].nusd
    api.wait_idle()
    assert 0 < api.bill()["cost_nusd"] <= desk.held_nusd


@pytest.mark.parametrize(
    ("answer", "outcome", "cls"),
    [
        (stream([*HELLO[:2], DONE]), "error", "transient"),
        (stream([HELLO[0], "data: {no json\n\n"]), "error", "transient"),
        (stream([HELLO[0]], cut=True), "error", "transient"),
        (None, "error", "transient"),
        (stream([chunk("length", USAGE, content="x"), DONE]), "cut_off", "task"),
        (stream([chunk("content_filter", USAGE, content="x"), DONE]), "refused", "task"),
        (stream([chunk(refusal="I will not"), chunk("stop", USAGE), DONE]), "refused", "task"),
        (stream([chunk("stop", USAGE), DONE]), "bad_output", "task"),
        (refusal(404, {"error": {"message": "model not found", "code": "model_not_found"}}), "error", "task"),
        (refusal(402, {"error": {"message": "Insufficient Balance"}}), "error", "run"),
        (refusal(400, "plain words"), "error", "task"),
        (refusal(502, "<html>"), "error", "transient"),
    ],
)
def test_what_is_no_answer_is_no_success(answer: Answer, outcome: str, cls: str) -> None:
    result, desk, _ = ask_canned(OpenAIAgent, answer, asked=work(model=LOCAL))
    assert (result.outcome, result.cls) == (outcome, cls)
    assert result.error
    assert len(desk.settled) == 1


@pytest.mark.parametrize(
    ("value", "wait_s"), [("6m0s", 360), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7", 7), ("later", None)]
)
def test_the_reset_of_an_empty_bucket_is_the_wait_where_there_is_no_other(
    value: str, wait_s: float | None
) -> None:
    body = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
    answer = refusal(429, body, x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens=value)
    result, _, _ = ask_canned(OpenAIAgent, answer, asked=work(model=LOCAL))
    assert result.retry_after_s == wait_s


def test_cancelling_settles_and_lets_go_of_the_connection_at_once(api: FakeApi) -> None:
    api.configure(faults=[{"kind": "stall", "stall_s": 60}], default={"tokens": 400})
    desk = FakeDesk()

    async def scenario(agent: OpenAIAgent) -> None:
        attempt = asyncio.create_task(agent.run(work(), desk))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert time.monotonic() - began < 0.5
        await asyncio.to_thread(api.wait_idle, 2)

    on(lambda: OpenAIAgent(f"{api.url}/v1"), scenario)
    assert desk.held_nusd == desk.calls[0].nusd


# Which model


@pytest.mark.parametrize(
    ("names", "asked", "sent"),
    [
        (["qwen3:8b"], HAIKU, "qwen3:8b"),
        (["qwen3:8b"], "", "qwen3:8b"),
        (["qwen3:8b", HAIKU], HAIKU, HAIKU),
        ([], HAIKU, HAIKU),
    ],
)
def test_a_server_of_one_model_uses_it_for_every_tier(names: list[str], asked: str, sent: str) -> None:
    result, _, bodies = ask_canned(OpenAIAgent, listing(*names), stream(HELLO), asked=work(model=asked))
    assert result.output == "hello"
    assert bodies[1]["model"] == sent


def test_a_server_that_cannot_list_its_models_is_asked_as_it_stands() -> None:
    no = refusal(404, "no such page")
    result, _, bodies = ask_canned(OpenAIAgent, no, stream(HELLO), asked=work(model=HAIKU))
    assert (result.output, bodies[1]["model"]) == ("hello", HAIKU)


def test_of_several_models_the_user_must_name_one() -> None:
    with pytest.raises(StrettoError) as caught:
        ask_canned(OpenAIAgent, listing("llama", "qwen"), asked=work(model=HAIKU))
    assert caught.value.slug == "unknown-model"
    assert "#llama" in caught.value.next


def test_a_model_in_the_address_is_used_whatever_is_asked_for() -> None:
    _, desk, bodies = ask_canned(
        lambda url: OpenAIAgent(f"{url}#mine"), stream(HELLO), asked=work(model=OPUS)
    )
    assert bodies[0]["model"] == "mine"
    assert desk.calls[0].nusd is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://me.openai.azure.com/openai", "max_completion_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
    ],
)
def test_the_limit_of_output_has_the_name_that_the_server_knows(url: str, name: str) -> None:
    assert Server(url).limit_name == name


def test_the_limit_and_usage_are_always_asked_for() -> None:
    _, _, bodies = ask_canned(
        OpenAIAgent, stream(HELLO), asked=work(model=LOCAL, effort="low", max_tokens=77)
    )
    assert bodies[0] == {
        "model": LOCAL,
        "messages": [{"role": "user", "content": "Say hello"}],
        "max_tokens": 77,
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


# Keys


def test_without_a_key_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for url in (None, "https://example.com/v1"):
        with pytest.raises(StrettoError) as caught:
            OpenAIAgent(url)
        assert caught.value.slug == "no-api-key"
        assert "export OPENAI_API_KEY=" in caught.value.next


def test_a_key_from_the_environment_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-real-one")
    assert key_for("http://192.168.1.5:11434/v1", None, "OPENAI_API_KEY", is_default=False) == "none"
    assert key_for("http://192.168.1.5:11434/v1", "mine", "OPENAI_API_KEY", is_default=False) == "mine"
    assert key_for("https://example.com", None, "OPENAI_API_KEY", is_default=False) == "sk-for-the-real-one"


def test_without_the_package_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from stretto.errors import StrettoError\n"
        "try:\n    import stretto.agents.openai\n"
        "except StrettoError as e: print(e.slug, e.next)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    assert done.stdout == "missing-extra pip install 'stretto[openai]'\n"
