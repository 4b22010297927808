"""The gateway through the real SDK: what passes, what it costs, what is tried again, what is refused."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from stretto.gateway.failures import Failure
from stretto.gateway.http1 import Door, Exchange
from stretto.gateway.passing import BEAT_S, TRIES
from stretto.gateway.usage import a_tenth_more
from stretto.models import BUILTIN
from tests.canned import canned, messages_events, refusal, stream
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.fakeapi.sdk import HAIKU, OPUS, SONNET, say, say_streamed, text_of
from tests.gates import ASK, KEY, Gate, gate, through, whole_bill


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


# What passes


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", [HAIKU, OPUS])
def test_an_answer_is_that_of_a_direct_call_byte_for_byte(streamed: bool, model: str) -> None:
    """Two servers, because one would number its second answer differently."""
    script: dict[str, Any] = {
        "seed": 3,
        "split_bytes": 37,
        "default": {"reply": "Äh: ${prompt}", "tokens": 300},
    }
    body = {**ASK, "model": model, "max_tokens": 400, "stream": streamed}
    with FakeApi(**script) as one, FakeApi(**script) as other:
        direct = httpx2.post(one.url + "/v1/messages", json=body, headers={"x-api-key": "k"})
        passed, _ = through(other.url, lambda g: g.post(body))
    assert direct.status_code == passed.status_code == 200
    assert direct.content == passed.content
    assert len(direct.content) > 1_000
    framing = {"connection", "transfer-encoding", "content-length"}
    heads = [{n: v for n, v in r.headers.items() if n not in framing} for r in (direct, passed)]
    assert heads[0] == heads[1]


def test_the_sdk_gets_what_it_asks_for_and_the_books_what_it_cost(api: FakeApi) -> None:
    api.configure(default={"reply": "Paris", "tokens": 200})

    async def use(g: Gate) -> tuple[str, str]:
        whole, streamed = await say(g.client, "a"), await say_streamed(g.client, "b", model=SONNET)
        return text_of(whole), text_of(streamed)

    (whole, streamed), found = through(api.url, use)
    assert whole.startswith("Paris") and streamed.startswith("Paris")
    assert found.desk.spent_nusd == api.bill()["cost_nusd"] > 0
    assert found.desk.held_nusd == 0
    assert [(s.model, s.status, s.stop) for s in found.desk.settled] == [
        (HAIKU, "ok", "end_turn"),
        (SONNET, "ok", "end_turn"),
    ]
    assert [note["kind"] for note in found.desk.notes] == ["request", "call"] * 2
    assert found.desk.beats > 5


def test_the_bound_is_that_of_the_bytes_and_of_the_longest_answer(api: FakeApi) -> None:
    _, found = through(api.url, lambda g: say(g.client, "é" * 50_000, max_tokens=321))
    tokens = found.desk.noted("request")[0]["bound_tokens"]
    assert 101_000 < tokens < 102_000
    assert found.desk.calls[0].nusd == BUILTIN.bound_nusd(HAIKU, tokens, 321)
    assert 30_000 < found.desk.calls[0].input_tokens < 35_000
    assert found.desk.calls[0].output_tokens == 321


def test_the_second_turn_is_bounded_by_what_the_first_one_had(api: FakeApi) -> None:
    first = [{"role": "user", "content": "word " * 20_000}]

    async def use(g: Gate) -> None:
        answer = await g.client.messages.create(model=SONNET, max_tokens=50, messages=first)  # type: ignore[arg-type]
        then: list[Any] = [*first, {"role": "assistant", "content": text_of(answer)}]
        then += [
            {
                "role": "user",
                "content": [{"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}}],
            }
        ]
        await g.client.messages.create(model=SONNET, max_tokens=50, messages=then)

    _, found = through(api.url, use)
    one, two = [note["bound_tokens"] for note in found.desk.noted("request")]
    assert one > 100_000 and 25_000 < two < 27_000


def test_the_real_key_goes_out_and_no_client_sees_it_or_sends_its_own(api: FakeApi) -> None:
    answer, _ = through(api.url, lambda g: g.post(ASK, authorization="Bearer mine", x_api_key="mine"))
    seen = api.requests()["records"][0]["headers"]["key-sha256"]
    assert seen == hashlib.sha256(KEY.encode()).hexdigest()[:16]
    assert KEY not in answer.text + str(answer.headers)


def test_versions_betas_and_the_query_pass(api: FakeApi) -> None:
    through(
        api.url, lambda g: g.post(ASK, "/v1/messages?beta=true", anthropic_beta="x,y", anthropic_version="v")
    )
    seen = api.requests()["records"][0]["headers"]
    assert (seen["anthropic-beta"], seen["anthropic-version"]) == ("x,y", "v")


def test_tokens_are_counted_free_of_charge(api: FakeApi) -> None:
    body = {name: value for name, value in ASK.items() if name != "max_tokens"}
    answer, found = through(api.url, lambda g: g.post(body, "/v1/messages/count_tokens"))
    assert answer.json() == {"input_tokens": 2}
    assert found.desk.calls == [] and api.requests()["count"] == 0


def test_a_path_of_the_provider_stays_before_ours(api: FakeApi) -> None:
    through(api.url + "/some/prefix", lambda g: g.post(ASK))
    assert api.bill(prefix="/some/prefix")["calls"] == 1


def test_limits_are_told_before_the_answer_has_ended(api: FakeApi) -> None:
    api.configure(limits={"haiku": {"requests": 50, "input_tokens": 30_000}})
    _, found = through(api.url, lambda g: say_streamed(g.client, "x"))
    ((number, told),) = found.desk.told
    assert number == 1 and told.requests is not None and told.requests.limit == 50
    assert told.inputs is not None and told.inputs.limit == 30_000


def test_a_model_without_a_price_is_reserved_as_unknown(api: FakeApi) -> None:
    _, found = through(api.url, lambda g: say(g.client, "x", model="claude-next-9"))
    assert found.desk.calls[0].nusd is None and found.desk.settled[0].usage is not None
    answer, found = through(
        api.url, lambda g: g.post({**ASK, "model": "claude-next-9"}), FakeDesk(cap_nusd=10**12)
    )
    assert answer.status_code == 400 and found.desk.calls == []


def test_a_server_that_is_free_costs_nothing_and_may_use_its_own_tools(api: FakeApi) -> None:
    body = {**ASK, "model": "smol", "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    answer, found = through(api.url, lambda g: g.post(body), FakeDesk(cap_nusd=0), free=True)
    assert answer.status_code == 200
    assert (found.desk.calls[0].nusd, found.desk.settled[0].cost_nusd) == (0, 0)


def test_us_only_inference_costs_a_tenth_more_and_is_bounded_so_from_then_on() -> None:
    events = messages_events()
    events[0]["message"]["usage"]["inference_geo"] = "us"

    async def use(g: Gate) -> None:
        for text in ("here", "also"):
            body = {**ASK, "stream": True, "messages": [{"role": "user", "content": text}]}
            assert (await g.post(body)).status_code == 200

    async def scenario() -> FakeDesk:
        async with canned(stream(events)) as (url, _), gate(url) as found:
            await use(found)
            return found.desk

    desk = asyncio.run(scenario())
    assert [s.cost_nusd for s in desk.settled] == [3_850, 3_850]
    first, second = (call.nusd or 0 for call in desk.calls)
    assert second == a_tenth_more(first)


class Recorder:
    """A provider that remembers the heads of requests and answers as little as it may."""

    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []
        self.door = Door(self.serve)

    async def serve(self, exchange: Exchange) -> None:
        self.heads.append({name.decode(): value.decode() for name, value in exchange.headers})
        await exchange.body(10_000)
        await exchange.answer(200, [(b"set-cookie", b"session=1; Path=/")], b"{}")


def test_what_belongs_to_a_connection_or_to_somebody_stays_here() -> None:
    async def scenario() -> list[dict[str, str]]:
        provider = Recorder()
        await provider.door.open()
        async with gate(f"http://localhost:{provider.door.port}/v") as found:
            for _ in range(2):
                more = {
                    "te": "trailers",
                    "accept_encoding": "br",
                    "cookie": "a=b",
                    "authorization": "Bearer mine",
                }
                await found.post(ASK, x_mine="kept", **more)
            await provider.door.close()
        return provider.heads

    for head in asyncio.run(scenario()):
        assert head["x-mine"] == "kept" and head["x-api-key"] == KEY
        assert head["accept-encoding"] == "identity", "what is packed could not be read along"
        assert head["host"].startswith("localhost:")
        assert not head.keys() & {"te", "cookie", "authorization"}


def test_a_call_is_settled_before_its_client_can_know_that_it_has_ended() -> None:
    async def lingering(exchange: Exchange) -> None:
        """Says all there is to say, and does not end."""
        await exchange.body(10_000)
        await exchange.begin(200, [(b"content-type", b"text/event-stream")])
        await exchange.send(b"".join(_chunks(messages_events())))
        await asyncio.Event().wait()

    async def scenario() -> list[int]:
        provider = Door(lingering)
        await provider.open()
        async with gate(f"http://127.0.0.1:{provider.port}") as found:
            address, body = found.lease.url + "/v1/messages", {**ASK, "stream": True}
            answer = await found.bare.send(found.bare.build_request("POST", address, json=body), stream=True)
            await anext(answer.aiter_bytes())
            still_open = found.desk.open
            await answer.aclose()
        await provider.close()
        return still_open

    assert asyncio.run(scenario()) == []


# What goes wrong


def fault_rules(fault: Any, times: int) -> dict[str, Any]:
    return {"rules": [{"times": times, "tokens": 200, "fault": fault}], "default": {"tokens": 200}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", ["rate_limit", "rate_limit_bare", "overloaded", "api_error"])
def test_what_passes_by_itself_is_tried_again_here(api: FakeApi, fault: str, streamed: bool) -> None:
    api.configure(**fault_rules(fault, 2))
    answer, found = through(api.url, lambda g: (say_streamed if streamed else say)(g.client, "x"))
    assert text_of(answer).startswith("ok: x")
    assert [s.status for s in found.desk.settled[:2]] != ["ok", "ok"]
    assert [s.cost_nusd for s in found.desk.settled[:2]] == [0, 0]
    assert found.lease.failure is None
    whole_bill(api, found)


def test_the_wait_that_a_provider_asks_for_is_the_least_and_is_no_silence(api: FakeApi) -> None:
    api.configure(**fault_rules({"kind": "rate_limit", "retry_after_s": 17}, 1))
    _, found = through(api.url, lambda g: say(g.client, "x"))
    assert found.naps.slept == [5.0, 5.0, 5.0, 2.0] and max(found.naps.slept) <= BEAT_S
    assert found.desk.told[0][1].refused and found.desk.told[0][1].wait_us == 17_000_000
    assert found.desk.beats >= 4


def test_waits_grow_and_tries_end(api: FakeApi) -> None:
    api.configure(**fault_rules("overloaded", 100))

    async def use(g: Gate) -> anthropic.APIStatusError:
        with pytest.raises(anthropic.OverloadedError) as caught:
            await say(g.client, "x")
        return caught.value

    error, found = through(api.url, use)
    assert api.requests()["count"] == TRIES == len(found.desk.settled)
    assert error.response.headers["x-should-retry"] == "false"
    assert 0.5 * (2 ** (TRIES - 1) - 1) <= sum(found.naps.slept) < 2 ** (TRIES - 1)
    assert found.lease.failure is not None and found.lease.failure.cls == "transient"


def test_a_wait_beyond_the_patience_of_the_lease_is_passed_on_at_once(api: FakeApi) -> None:
    api.configure(**fault_rules({"kind": "rate_limit", "retry_after_s": 31}, 1))
    answer, found = through(api.url, lambda g: g.post(ASK), patience_s=30)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "31")
    assert found.naps.slept == [] and api.requests()["count"] == 1
    assert isinstance(found.lease.failure, Failure) and found.lease.failure.retry_after_s == 31


def test_patience_is_for_all_waits_of_one_request(api: FakeApi) -> None:
    api.configure(**fault_rules({"kind": "rate_limit", "retry_after_s": 40}, 100))
    answer, found = through(api.url, lambda g: g.post(ASK), patience_s=100)
    assert answer.status_code == 429 and api.requests()["count"] == 3
    assert sum(found.naps.slept) == 80


@pytest.mark.parametrize(
    ("fault", "status", "why"), [("quota", 429, "quota"), ("auth", 401, "auth"), ("billing", 400, "billing")]
)
def test_what_ends_a_run_is_passed_on_at_once_and_remembered(
    api: FakeApi, fault: str, status: int, why: str
) -> None:
    api.configure(**fault_rules(fault, 1))

    async def use(g: Gate) -> tuple[httpx2.Response, httpx2.Response]:
        return await g.post(ASK), await g.post(ASK)

    (first, second), found = through(api.url, use)
    assert first.status_code == status and found.naps.slept == []
    assert found.lease.failure is not None
    assert (found.lease.failure.cls, found.lease.failure.why) == ("run", why)
    assert second.status_code == 400 and api.requests()["count"] == 1, "it is not asked again"


def test_a_request_that_is_wrong_is_passed_on_at_once(api: FakeApi) -> None:
    answer, found = through(api.url, lambda g: g.post({**ASK, "messages": []}))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert found.desk.spent_nusd == found.desk.held_nusd == 0
    assert found.lease.failure is not None and found.lease.failure.cls == "task"


@pytest.mark.parametrize("kind", ["cut", "error_event"])
def test_a_stream_that_breaks_is_broken_for_the_client_and_held(api: FakeApi, kind: str) -> None:
    api.configure(**fault_rules({"kind": kind, "after_tokens": 60}, 1))

    async def use(g: Gate) -> None:
        with pytest.raises((anthropic.APIError, httpx2.TransportError)):
            await say_streamed(g.client, "x")

    _, found = through(api.url, use)
    assert [s.certain for s in found.desk.settled] == [False]
    assert found.lease.failure is not None and found.lease.failure.cls == "transient"
    assert api.requests()["count"] == 1, "what has begun is not tried again here"
    whole_bill(api, found)


def test_a_cut_answer_that_is_no_stream_is_tried_again_and_held(api: FakeApi) -> None:
    api.configure(**fault_rules("cut", 1))
    answer, found = through(api.url, lambda g: say(g.client, "x"))
    assert text_of(answer).startswith("ok")
    assert [s.certain for s in found.desk.settled] == [False, True]
    whole_bill(api, found)


def test_a_stream_that_loses_its_very_end_is_known_all_the_same() -> None:
    events = messages_events()[:-1]

    async def use(g: Gate) -> None:
        with pytest.raises(httpx2.TransportError):
            await g.post({**ASK, "stream": True})

    async def scenario() -> FakeDesk:
        async with canned(stream(events, cut=True)) as (url, _), gate(url) as found:
            await use(found)
            return found.desk

    (settled,) = asyncio.run(scenario()).settled
    assert settled.usage == {
        "input": 10,
        "output": 5,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
    }


def test_a_stream_that_ends_too_early_in_good_order_is_cut_for_the_client() -> None:
    async def scenario() -> Failure | None:
        async with canned(stream(messages_events()[:-2])) as (url, _), gate(url) as found:
            with pytest.raises(httpx2.TransportError):
                await found.post({**ASK, "stream": True})
            return found.lease.failure

    failure = asyncio.run(scenario())
    assert failure is not None and (failure.cls, failure.status) == ("transient", "cut")


def test_an_error_that_is_all_of_a_stream_is_tried_again() -> None:
    broken = stream([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}])

    async def scenario() -> tuple[int, FakeDesk]:
        async with canned(broken, stream(messages_events())) as (url, _), gate(url) as found:
            return (await found.post({**ASK, "stream": True})).status_code, found.desk

    status, desk = asyncio.run(scenario())
    assert status == 200
    assert [(s.certain, s.status) for s in desk.settled] == [(False, "overloaded_error"), (True, "ok")]


def test_a_server_that_is_not_there_is_tried_again_and_said(api: FakeApi) -> None:
    answer, found = through("http://127.0.0.1:9", lambda g: g.post(ASK))
    assert answer.status_code == 502 and "cannot be reached" in answer.json()["error"]["message"]
    assert len(found.desk.settled) == TRIES and found.desk.held_nusd == 0
    failure = found.lease.failure
    assert failure is not None and (failure.cls, failure.why) == ("run", "network")


def test_an_answer_from_elsewhere_is_not_followed_and_holds_nothing() -> None:
    async def scenario() -> tuple[int, FakeDesk]:
        elsewhere = refusal(307, "", location="http://other.example/")
        async with canned(elsewhere) as (url, bodies), gate(url) as found:
            status = (await found.post(ASK)).status_code
            assert len(bodies) == 1
            return status, found.desk

    status, desk = asyncio.run(scenario())
    assert status == 307 and desk.held_nusd == 0


def test_packed_answers_are_unpacked_to_be_read() -> None:
    data = gzip.compress(b"".join(_chunks(messages_events())))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n"
    packed = head + b"content-length: %d\r\nset-cookie: a=b\r\n\r\n" % len(data) + data

    async def scenario() -> tuple[httpx2.Response, FakeDesk]:
        async with canned(packed) as (url, _), gate(url) as found:
            return await found.post({**ASK, "stream": True}), found.desk

    answer, desk = asyncio.run(scenario())
    assert "message_stop" in answer.text and "set-cookie" not in answer.headers
    assert desk.settled[0].certain


def _chunks(events: list[Any]) -> Iterator[bytes]:
    return (f"data: {json.dumps(event)}\n\n".encode() for event in events)
