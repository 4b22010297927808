"""The fake provider, met through the real SDKs: what it answers, counts, caches and limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import anthropic
import jsonschema
import openai
import pydantic
import pytest
from anthropic.types import Message, MessageParam, ToolParam
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakeapi import FakeApi
from tests.fakeapi.answers import pieces
from tests.fakeapi.asks import tokens_of, utf8_len
from tests.fakeapi.schemas import instance_of
from tests.fakeapi.sdk import HAIKU, OPUS, SONNET, ask, chat, claude, run, say, text_of

READ_TOOL: ToolParam = {"name": "Read", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(server: FakeApi) -> FakeApi:
    server.reset()
    return server


# What it answers


@pytest.mark.parametrize("stream", [False, True])
def test_default_rule_echoes_and_the_bill_agrees_with_the_usage(api: FakeApi, stream: bool) -> None:
    message = ask(api, "hello " * 30, stream=stream)
    assert text_of(message) == "ok: " + ("hello " * 30)[:60]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (45, 16)
    [entry] = api.bill()["entries"]
    assert entry["cost_nusd"] == 45 * 100 + 16 * 500
    assert (entry["end"], entry["delivered"], entry["stream"]) == ("completed", True, stream)


@pytest.mark.parametrize("split_bytes", [0, 7])
def test_a_stream_arrives_whole_however_it_is_cut_into_chunks(api: FakeApi, split_bytes: int) -> None:
    reply = 'quote " newline \n umlaut ä emoji 🎼 ' * 20
    api.configure(rules=[{"reply": reply}], chunk_tokens=3, split_bytes=split_bytes)
    message = ask(api, "x", stream=True)
    assert text_of(message) == reply
    assert message.usage.output_tokens == tokens_of(reply)


def test_rules_match_in_order_by_text_model_header_and_prefix(api: FakeApi) -> None:
    api.configure(
        rules=[
            {"match": "capital of (?P<land>\\w+)", "reply": "${land}? ${1}!"},
            {"match": "twice", "times": 2, "reply": "early"},
            {"match": "once each", "times_each": 1, "reply": "first"},
            {"model": "sonnet", "reply": "from ${model}"},
            {"header": {"X-Run": "^a$"}, "reply": "by header"},
            {"path": "^/token/1$", "reply": "by prefix"},
        ],
        default={"reply": "default"},
    )

    async def work() -> None:
        async with claude(api) as client, claude(api, "/token/1") as prefixed:
            assert text_of(await say(client, "The capital of France")) == "France? France!"
            answers = [text_of(await say(client, f"twice {n}")) for n in range(3)]
            assert answers == ["early", "early", "default"]
            answers = [text_of(await say(client, f"once each {n}")) for n in (1, 2, 1)]
            assert answers == ["first", "first", "default"]
            assert text_of(await say(client, "x", model=SONNET)) == f"from {SONNET}"
            assert text_of(await say(client.with_options(default_headers={"x-run": "a"}), "x")) == "by header"
            assert text_of(await say(prefixed, "x")) == "by prefix"

    run(work())
    assert api.bill("/token/1")["calls"] == 1
    assert api.bill()["by_prefix"]["/token/1"]["calls"] == 1
    assert [record["prefix"] for record in api.requests("/token/1")["records"]] == ["/token/1"]


def test_replies_by_turn_and_a_system_message_at_the_end(api: FakeApi) -> None:
    api.configure(rules=[{"match_first": "start", "reply": ["one", "two ${prompt}"]}])
    messages: list[MessageParam] = [
        {"role": "user", "content": "start"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "<system-reminder>be brief</system-reminder>\nagain"},
        {"role": "system", "content": "the date is today"},
    ]

    async def work() -> Message:
        async with claude(api) as client:
            return await client.messages.create(model=HAIKU, max_tokens=50, messages=messages)

    assert text_of(run(work())) == "two again"


@pytest.mark.parametrize("stream", [False, True])
def test_tool_loop_ends_and_each_turn_stays_within_the_bound_of_the_one_before(
    api: FakeApi, stream: bool
) -> None:
    call = {"name": "Read", "input": {"path": "${1}", "lines": [1, 2]}}
    api.configure(
        rules=[
            {
                "match": "read (\\S+)",
                "tools": [["I look.", call], [call, call]],
                "reply": "got ${tool_result}",
            }
        ],
        chunk_tokens=2,
    )
    messages: list[MessageParam] = [{"role": "user", "content": "read a.py"}]

    async def turn(client: anthropic.AsyncAnthropic) -> Message:
        if not stream:
            return await client.messages.create(
                model=OPUS, max_tokens=500, messages=messages, tools=[READ_TOOL]
            )
        async with client.messages.stream(
            model=OPUS, max_tokens=500, messages=messages, tools=[READ_TOOL]
        ) as events:
            return await events.get_final_message()

    async def work() -> list[Message]:
        answers: list[Message] = []
        async with claude(api) as client:
            while not answers or answers[-1].stop_reason == "tool_use":
                answer = await turn(client)
                if answers:
                    last = answers[-1].usage
                    appended = len(json.dumps(messages[-1]))
                    assert answer.usage.input_tokens <= last.input_tokens + last.output_tokens + appended
                answers.append(answer)
                messages.append({"role": "assistant", "content": list(answer.content)})
                uses = [block for block in answer.content if block.type == "tool_use"]
                assert all(use.input == {"path": "a.py", "lines": [1, 2]} for use in uses)
                messages.append(
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": use.id, "content": f"text {n}"}
                            for n, use in enumerate(uses)
                        ],
                    }
                )
        return answers

    answers = run(work())
    assert [[block.type for block in answer.content] for answer in answers] == [
        ["thinking", "text", "tool_use"],
        ["thinking", "tool_use", "tool_use"],
        ["thinking", "text"],
    ]
    assert text_of(answers[-1]) == "got text 1"


def test_models_that_always_think_refuse_what_the_real_ones_refuse(api: FakeApi) -> None:
    async def work() -> None:
        async with claude(api) as client:
            user: MessageParam = {"role": "user", "content": "x"}
            forced = await client.messages.create(
                model=HAIKU,
                max_tokens=50,
                messages=[user],
                tools=[READ_TOOL],
                tool_choice={"type": "tool", "name": "Read"},
            )
            assert forced.stop_reason == "tool_use"
            with pytest.raises(anthropic.BadRequestError, match="forced tool"):
                await client.messages.create(
                    model=OPUS,
                    max_tokens=50,
                    messages=[user],
                    tools=[READ_TOOL],
                    tool_choice={"type": "any"},
                )
            with pytest.raises(anthropic.BadRequestError, match="disabled thinking"):
                await client.messages.create(
                    model=OPUS, max_tokens=50, messages=[user], thinking={"type": "disabled"}
                )
            thought = await say(client, "x", model=OPUS)
            assert thought.usage.output_tokens_details is not None
            assert 0 < thought.usage.output_tokens_details.thinking_tokens < thought.usage.output_tokens
            history: list[MessageParam] = [user, thought.to_param(), user]
            with pytest.raises(anthropic.BadRequestError, match="another model"):
                await client.messages.create(model=SONNET, max_tokens=50, messages=history)

    run(work())


class Verdict(pydantic.BaseModel):
    """What a structured answer looks like in these tests."""

    verdict: Literal["accept", "reject"]
    reasons: list[str]
    score: int


def test_structured_output_by_schema_and_by_rule(api: FakeApi) -> None:
    scripted = {"verdict": "reject", "reasons": ["${prompt}"], "score": 3}
    api.configure(rules=[{"match": "scripted", "reply": scripted, "tokens": 60}])

    async def work() -> list[Verdict | None]:
        async with claude(api) as client:
            found = []
            for text in ("free", "scripted", "free"):
                answer = await client.messages.parse(
                    model=HAIKU,
                    max_tokens=200,
                    messages=[{"role": "user", "content": text}],
                    output_format=Verdict,
                )
                found.append(answer.parsed_output)
            assert answer.usage.output_tokens > 0
            return found

    free, written, again = run(work())
    assert written == Verdict(verdict="reject", reasons=["scripted"], score=3)
    assert free is not None
    assert free == again
    assert api.bill()["entries"][1]["usage"]["output"] == 60


@pytest.mark.parametrize(
    "schema",
    [
        Verdict.model_json_schema(),
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "minItems": 3},
        {"type": ["string", "null"], "minLength": 30, "maxLength": 31},
        {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"required": ["a"]}]},
        {"anyOf": [{"type": "integer", "minimum": 5, "multipleOf": 4}, {"type": "null"}]},
        {
            "$ref": "#/$defs/tree",
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
                    "required": ["next"],
                }
            },
        },
    ],
)
def test_generated_instances_fit_their_schema(schema: dict[str, Any]) -> None:
    value = instance_of(schema, "salt")
    jsonschema.validate(value, schema)
    assert value == instance_of(schema, "salt")


# What it counts, caches and limits


@settings(deadline=None)
@given(st.text(), st.integers(4, 40))
def test_pieces_rebuild_the_text_and_stay_small(text: str, size: int) -> None:
    found = pieces(text, size)
    assert "".join(found) == text
    assert all(utf8_len(piece) <= size for piece in found)
    assert tokens_of(text) <= utf8_len(text)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [HAIKU, OPUS])
def test_max_tokens_cuts_the_answer_off(api: FakeApi, stream: bool, model: str) -> None:
    api.configure(rules=[{"tokens": 500}])
    message = ask(api, "long", stream=stream, model=model, max_tokens=20)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 20
    exact = ask(api, "long", stream=stream, model=model, max_tokens=500)
    assert (exact.stop_reason, exact.usage.output_tokens) == ("end_turn", 500)


def test_lengths_are_drawn_from_the_seed_and_the_body_alone(api: FakeApi) -> None:
    api.configure(rules=[{"tokens": [10, 400]}])
    first = {text: ask(api, text).usage.output_tokens for text in ("a", "b", "c")}
    api.reset()
    api.configure(rules=[{"tokens": [10, 400]}])
    assert {text: ask(api, text).usage.output_tokens for text in ("c", "a", "b")} == first
    assert len(set(first.values())) == 3
    api.configure(seed=1)
    assert ask(api, "a").usage.output_tokens != first["a"]


def test_prompt_cache_writes_then_reads_by_model_from_the_minimum_on(api: FakeApi) -> None:
    async def call(
        client: anthropic.AsyncAnthropic, kb: int, ttl: Literal["5m", "1h"], model: str
    ) -> list[int]:
        message = await client.messages.create(
            model=model,
            max_tokens=10,
            system=[
                {"type": "text", "text": "x" * 1000 * kb, "cache_control": {"type": "ephemeral", "ttl": ttl}}
            ],
            messages=[{"role": "user", "content": "12345678"}],
        )
        usage = message.usage
        assert usage.cache_creation is not None
        assert (
            usage.input_tokens
            + (usage.cache_creation_input_tokens or 0)
            + (usage.cache_read_input_tokens or 0)
            == 250 * kb + 2
        )
        return [
            usage.cache_creation.ephemeral_5m_input_tokens,
            usage.cache_creation.ephemeral_1h_input_tokens,
            usage.cache_read_input_tokens or 0,
        ]

    async def work() -> None:
        async with claude(api) as client:
            assert await call(client, 8, "5m", HAIKU) == [2000, 0, 0]
            assert await call(client, 8, "5m", HAIKU) == [0, 0, 2000]
            assert await call(client, 8, "1h", SONNET) == [0, 2000, 0]
            assert await call(client, 4, "5m", HAIKU) == [0, 0, 0]
            count = await client.messages.count_tokens(
                model=HAIKU, system="x" * 8000, messages=[{"role": "user", "content": "12345678"}]
            )
            assert count.input_tokens == 2002

    run(work())
    costs = [
        entry["cost_nusd"] - entry["usage"]["output"] * p
        for entry, p in zip(api.bill()["entries"], (500, 500, 10_000, 500), strict=True)
    ]
    assert costs == [2000 * 125 + 200, 2000 * 10 + 200, 2000 * 4_000 + 4_000, 1002 * 100]


def test_siblings_sent_at_once_all_pay_for_the_write(api: FakeApi) -> None:
    api.configure(default={"delay_s": 0.05})

    async def call(client: anthropic.AsyncAnthropic, n: int) -> int:
        message = await client.messages.create(
            model=HAIKU,
            max_tokens=10,
            system=[{"type": "text", "text": "y" * 8000, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": f"task {n}"}],
        )
        return message.usage.cache_read_input_tokens or 0

    async def work() -> None:
        async with claude(api) as client:
            assert await asyncio.gather(*(call(client, n) for n in range(3))) == [0, 0, 0]
            assert await asyncio.gather(*(call(client, n) for n in range(3, 6))) == [2000, 2000, 2000]

    run(work())


def test_the_price_step_counts_the_whole_prompt(api: FakeApi) -> None:
    ask(api, "z" * 400_004)
    [entry] = api.bill()["entries"]
    assert entry["cost_nusd"] == 5 * (100_001 * 100 + entry["usage"]["output"] * 500)


def test_an_unknown_model_has_no_price_or_is_not_found(api: FakeApi) -> None:
    ask(api, "x", model="claude-unheard-of")
    bill = api.bill()
    assert bill["unpriced"] == 1
    assert bill["entries"][0]["cost_nusd"] is None
    api.configure(strict_models=True)
    with pytest.raises(anthropic.NotFoundError):
        ask(api, "x", model="claude-unheard-of")
    ask(api, "x", model=f"{HAIKU}-20261101")


def test_buckets_refuse_say_so_in_headers_and_refill(api: FakeApi) -> None:
    api.configure(
        limits={"haiku": {"requests": 2, "input_tokens": 1000, "output_tokens": 500}}, time_scale=40
    )

    async def work() -> None:
        async with claude(api) as client:
            raw = await client.messages.with_raw_response.create(
                model=HAIKU, max_tokens=10, messages=[{"role": "user", "content": "x" * 400}]
            )
            shown = {name: value for name, value in raw.headers.items() if "ratelimit" in name}
            assert shown["anthropic-ratelimit-requests-limit"] == "2"
            assert shown["anthropic-ratelimit-requests-remaining"] == "1"
            assert 900 <= int(shown["anthropic-ratelimit-input-tokens-remaining"]) < 1000
            assert shown["anthropic-ratelimit-tokens-limit"] == "1500"
            reset = datetime.fromisoformat(shown["anthropic-ratelimit-requests-reset"])
            assert reset.tzinfo is not None
            assert raw.headers["request-id"].startswith("req_")
            await say(client, "x", model=SONNET)
            await say(client, "x")
            with pytest.raises(anthropic.RateLimitError, match="2 requests per minute") as refused:
                await say(client, "x")
            wait_s = float(refused.value.response.headers["retry-after"])
            assert 0.01 < wait_s <= 30 / 40
            await asyncio.sleep(wait_s)
            await say(client, "x")
            with pytest.raises(anthropic.RateLimitError, match="1,000 input tokens"):
                await say(client, "x" * 4100)

    run(work())
    requests = api.requests()
    assert requests["by_status"] == {"200": 4, "429": 2}
    assert requests["records"][-1]["limited_by"] == "input-tokens"
    assert api.bill()["calls"] == 4


def test_cache_reads_pass_by_the_input_bucket_and_output_overdraws_its_own(api: FakeApi) -> None:
    api.configure(limits={"*": {"input_tokens": 2500, "output_tokens": 50}})

    async def call(client: anthropic.AsyncAnthropic, text: str) -> None:
        await client.messages.create(
            model=HAIKU,
            max_tokens=200,
            system=[{"type": "text", "text": "s" * 8000, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": text}],
        )

    async def work() -> None:
        async with claude(api) as client:
            for n in range(3):
                await call(client, f"short {n}")
            api.configure(default={"tokens": 150})
            await call(client, "long")
            with pytest.raises(anthropic.RateLimitError, match="output tokens") as refused:
                await call(client, "late")
            assert int(refused.value.response.headers["retry-after"]) >= 100

    run(work())


# The other dialect


def test_chat_completions_whole_and_streamed(api: FakeApi) -> None:
    api.configure(rules=[{"match": "long", "tokens": 100}, {"match": "no", "fault": "refusal"}])

    async def whole(client: openai.AsyncOpenAI, text: str, max_tokens: int = 50) -> tuple[Any, ...]:
        answer = await client.chat.completions.create(
            model="gpt", max_completion_tokens=max_tokens, messages=[{"role": "user", "content": text}]
        )
        assert answer.usage is not None
        choice = answer.choices[0]
        return choice.message.content, choice.finish_reason, answer.usage.completion_tokens

    async def streamed(client: openai.AsyncOpenAI, include_usage: bool) -> tuple[str, int | None]:
        stream = await client.chat.completions.create(
            model="gpt",
            messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}],
            stream=True,
            stream_options={"include_usage": include_usage},
        )
        text, usage = "", None
        async for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usage = chunk.usage.completion_tokens if chunk.usage else usage
        return text, usage

    async def work() -> None:
        async with chat(api) as client:
            assert await whole(client, "hello") == ("ok: hello", "stop", 3)
            assert (await whole(client, "long"))[1:] == ("length", 50)
            assert (await whole(client, "no"))[:2] == (None, "content_filter")
            assert await streamed(client, include_usage=True) == ("ok: hello", 3)
            assert await streamed(client, include_usage=False) == ("ok: hello", None)
            assert HAIKU in [model.id async for model in client.models.list()]

    run(work())
    assert [entry["delivered"] for entry in api.bill()["entries"]] == [True, True, True, True, False]


def test_chat_completions_tool_calls_schema_and_errors(api: FakeApi) -> None:
    api.configure(
        rules=[
            {"match": "tool", "tools": [{"name": "Read", "input": {"path": "a"}}], "reply": "${tool_result}"},
            {"match": "quota", "fault": "quota"},
            {"match": "busy", "fault": "overloaded"},
        ]
    )
    user: openai.types.chat.ChatCompletionMessageParam = {"role": "user", "content": "tool"}
    tool: openai.types.chat.ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "Read", "parameters": {"type": "object"}},
    }

    async def work() -> None:
        async with chat(api) as client:
            async with client.chat.completions.stream(model="gpt", messages=[user], tools=[tool]) as stream:
                choice = (await stream.get_final_completion()).choices[0]
            assert choice.finish_reason == "tool_calls"
            [call] = choice.message.tool_calls or []
            assert json.loads(call.function.arguments) == {"path": "a"}
            done = await client.chat.completions.create(
                model="gpt",
                messages=[
                    user,
                    {"role": "assistant", "tool_calls": [call.model_dump()]},  # type: ignore[list-item]
                    {"role": "tool", "tool_call_id": call.id, "content": "text of a"},
                ],
            )
            assert done.choices[0].message.content == "text of a"
            parsed = await client.chat.completions.parse(
                model="gpt", messages=[{"role": "user", "content": "x"}], response_format=Verdict
            )
            assert parsed.choices[0].message.parsed is not None
            for text, error in (("quota", openai.RateLimitError), ("busy", openai.InternalServerError)):
                with pytest.raises(error):
                    await client.chat.completions.create(
                        model="gpt", messages=[{"role": "user", "content": text}]
                    )

    run(work())
