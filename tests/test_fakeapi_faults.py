"""The fake provider, met through the real SDKs: what it refuses, breaks and bills, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

from tests.fakeapi import ROOT, FakeApi
from tests.fakeapi.sdk import HAIKU, OPUS, SONNET, ask, claude, run, say, say_streamed, text_of


@pytest.fixture(scope="module")
def server() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(server: FakeApi) -> FakeApi:
    server.reset()
    return server


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "error", "retry_after"),
    [
        ({"kind": "rate_limit", "retry_after_s": 7}, anthropic.RateLimitError, "7"),
        ({"kind": "rate_limit", "retry_after_s": 0.05}, anthropic.RateLimitError, "0.05"),
        ("rate_limit_bare", anthropic.RateLimitError, None),
        ("quota", anthropic.EnforcedSpendLimitReachedError, None),
        ("overloaded", anthropic.OverloadedError, None),
        ("api_error", anthropic.InternalServerError, None),
        ("auth", anthropic.AuthenticationError, None),
        ("billing", anthropic.BadRequestError, None),
    ],
)
def test_refusing_faults_are_the_right_exception_and_cost_nothing(
    api: FakeApi, fault: Any, error: type[anthropic.APIStatusError], retry_after: str | None
) -> None:
    api.configure(rules=[{"match": "bad", "times_each": 1, "fault": fault}])

    async def work() -> anthropic.APIStatusError:
        async with claude(api) as client:
            with pytest.raises(error) as caught:
                await say(client, "bad")
            await say_streamed(client, "bad")
            return caught.value

    raised = run(work())
    assert raised.response.headers.get("retry-after") == retry_after
    assert raised.request_id == raised.response.headers["request-id"]
    assert api.bill()["calls"] == 1


def test_a_bad_request_is_told_what_is_wrong(api: FakeApi) -> None:
    answers = [
        httpx2.post(f"{api.url}/v1/messages", content=body, headers=headers)
        for body, headers in [
            (b"no json", {"x-api-key": "k"}),
            (b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}', {"x-api-key": "k"}),
            (b'{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}', {}),
        ]
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 401]
    assert "max_tokens" in answers[1].json()["error"]["message"]
    assert httpx2.get(f"{api.url}/v2/other").status_code == 404
    assert api.requests()["bugs"] == []


def test_a_body_in_chunks_is_read(api: FakeApi) -> None:
    body = {"model": HAIKU, "max_tokens": 5, "messages": [{"role": "user", "content": "in parts"}]}
    data = json.dumps(body).encode()
    parts = (data[n : n + 10] for n in range(0, len(data), 10))
    answer = httpx2.post(f"{api.url}/v1/messages", content=parts, headers={"authorization": "Bearer k"})
    assert answer.json()["content"][0]["text"] == "ok: in parts"


@pytest.mark.parametrize(("after", "output"), [(None, 50), (10, 10), (0, 1), (10_000, 100)])
def test_a_cut_stream_is_billed_as_far_as_it_came(api: FakeApi, after: int | None, output: int) -> None:
    api.configure(rules=[{"tokens": 100, "fault": {"kind": "cut", "after_tokens": after}}])
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(api, "x", stream=True)
    with pytest.raises(anthropic.APIConnectionError):
        ask(api, "y")
    bill = api.bill()
    assert [entry["usage"]["output"] for entry in bill["entries"]] == [output, output]
    assert [entry["end"] for entry in bill["entries"]] == ["cut", "cut"]
    assert (bill["delivered"], bill["cost_nusd_delivered"]) == (0, 0)
    assert bill["cost_nusd"] == 2 * (100 + output * 500)


def test_a_cut_can_reset_the_connection(api: FakeApi) -> None:
    api.configure(rules=[{"tokens": 100, "fault": {"kind": "cut", "reset": True}}])
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        ask(api, "x", stream=True)
    assert api.bill()["entries"][0]["usage"]["output"] == 50


def test_a_stalled_stream_goes_on_or_is_left(api: FakeApi) -> None:
    fault = {"kind": "stall", "after_tokens": 5, "stall_s": 0.15}
    api.configure(rules=[{"tokens": 40, "fault": fault}])
    began_s = time.monotonic()
    assert ask(api, "patient", stream=True).usage.output_tokens == 40
    assert time.monotonic() - began_s > 0.15
    api.configure(rules=[{"tokens": 40, "fault": fault | {"stall_s": 60}}])

    async def work() -> None:
        async with claude(api, timeout_s=0.3) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await say_streamed(client, "hasty")

    run(work())
    api.wait_idle()
    patient, hasty = api.bill()["entries"]
    assert (patient["end"], hasty["end"]) == ("completed", "gone")
    assert (hasty["usage"]["output"], hasty["delivered"]) == (5, False)


def test_a_client_that_leaves_stops_the_generation(api: FakeApi) -> None:
    api.configure(rules=[{"tokens": 10_000, "tokens_per_s": 1000, "match": "leave"}], chunk_tokens=4)

    async def leave(client: anthropic.AsyncAnthropic, stream: bool) -> None:
        await (say_streamed if stream else say)(client, f"leave {stream}", max_tokens=10_000)

    async def work() -> None:
        async with claude(api) as client:
            for stream in (True, False):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(leave(client, stream), 0.3)

    run(work())
    api.wait_idle()
    bill = api.bill()
    assert [entry["end"] for entry in bill["entries"]] == ["gone", "gone"]
    assert all(1 < entry["usage"]["output"] < 5000 for entry in bill["entries"])


def test_faults_that_spoil_the_answer_are_answers_all_the_same(api: FakeApi) -> None:
    api.configure(
        rules=[
            {"match": "refuse", "fault": "refusal"},
            {"match": "empty", "fault": "empty"},
            {"match": "broken", "reply": {"verdict": "accept", "score": 1}, "fault": "broken_json"},
            {"match": "slow", "tokens": 20, "fault": {"kind": "slow", "tokens_per_s": 200}},
            {"match": "event", "tokens": 20, "fault": "error_event"},
        ]
    )
    refused = ask(api, "refuse", stream=True)
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_details is not None
    empty = ask(api, "empty")
    assert (empty.stop_reason, empty.content, empty.usage.output_tokens) == ("end_turn", [], 1)
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(ask(api, "broken")))
    began_s = time.monotonic()
    ask(api, "slow", stream=True)
    assert time.monotonic() - began_s >= 0.1
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        ask(api, "event", stream=True)
    with pytest.raises(anthropic.OverloadedError):
        ask(api, "event")
    assert Counter(entry["end"] for entry in api.bill()["entries"]) == {"completed": 4, "error_event": 2}


def test_chance_depends_on_seed_and_body_not_on_the_order_of_arrival(api: FakeApi) -> None:
    faults = [{"kind": "overloaded", "probability": 0.3}, {"kind": "rate_limit", "probability": 0.3}]

    async def work(order: list[int]) -> dict[int, list[int | None]]:
        async def twice(client: anthropic.AsyncAnthropic, n: int) -> list[int | None]:
            found: list[int | None] = []
            for _ in range(2):
                try:
                    await say(client, f"task {n}")
                    found.append(None)
                except anthropic.APIStatusError as error:
                    found.append(error.status_code)
            return found

        async with claude(api) as client:
            return dict(zip(order, await asyncio.gather(*(twice(client, n) for n in order)), strict=True))

    api.configure(faults=faults, seed=5)
    first = run(work(list(range(20))))
    api.configure(faults=faults, seed=5)
    assert run(work(list(range(19, -1, -1)))) == first
    assert {code for codes in first.values() for code in codes} == {None, 529, 429}
    assert any(codes[0] != codes[1] for codes in first.values())


# The server itself


def test_the_bill_is_the_sum_of_what_clients_saw(api: FakeApi) -> None:
    api.configure(
        seed=3,
        default={"tokens": [1, 200]},
        faults=[{"kind": "cut", "probability": 0.2}, {"kind": "overloaded", "probability": 0.2}],
    )
    price = {HAIKU: (100, 500), SONNET: (2_000, 10_000), OPUS: (4_000, 20_000)}

    async def cost(client: anthropic.AsyncAnthropic, n: int) -> int:
        model = (HAIKU, SONNET, OPUS)[n % 3]
        try:
            message = await (say_streamed if n % 2 else say)(client, f"task {n}", model=model)
        except (anthropic.APIError, httpx2.RemoteProtocolError):
            return 0
        return message.usage.input_tokens * price[model][0] + message.usage.output_tokens * price[model][1]

    async def work() -> list[int]:
        async with claude(api) as client:
            return await asyncio.gather(*(cost(client, n) for n in range(60)))

    costs = run(work())
    bill = api.bill()
    assert sum(costs) == bill["cost_nusd_delivered"] < bill["cost_nusd"]
    assert 0 < sum(cost == 0 for cost in costs) < 40
    assert bill["cost_nusd"] == sum(part["cost_nusd"] for part in bill["by_model"].values())


def test_a_hundred_paced_streams_run_side_by_side(api: FakeApi) -> None:
    api.configure(default={"tokens": 60, "tokens_per_s": 100})

    async def work() -> None:
        async with claude(api) as client:
            answers = await asyncio.gather(*(say_streamed(client, f"task {n}") for n in range(100)))
        assert {answer.usage.output_tokens for answer in answers} == {60}

    run(work())
    assert api.requests(records=False)["max_in_flight"] > 20


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rulez": []}, "rulez"),
        ({"rules": [{"replay": "x"}]}, "replay"),
        ({"rules": [{"match": "("}]}, "unterminated"),
        ({"default": {"fault": "meltdown"}}, "meltdown"),
        ({"limits": {"*": {"requests": 0}}}, "never pass"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused(api: FakeApi, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        api.configure(**changes)
    with pytest.raises(ValueError, match=word):
        FakeApi(**changes)


def test_a_bug_of_the_server_is_no_fault() -> None:
    api = FakeApi(speed={"*": {"tokens_per_s": "fast"}})
    with pytest.raises(anthropic.InternalServerError, match="fake_api_bug"):
        ask(api, "x")
    with pytest.raises(RuntimeError, match="has a bug"):
        api.stop()


def test_the_server_ends_when_the_process_that_started_it_is_killed() -> None:
    start = "from tests.fakeapi import FakeApi; print(FakeApi().url, flush=True)"
    code = f"import os; {start}; os.kill(os.getpid(), 9)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=10, check=False)
    address = urlsplit(ran.stdout.decode().strip())
    assert ran.returncode < 0
    assert address.port is not None
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", address.port), timeout=1).close()
        except ConnectionRefusedError:
            break
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.02)
