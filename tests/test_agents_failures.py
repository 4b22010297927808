"""How calls of an API fail: what is charged, what is held, who retries, and what cancelling leaves behind."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stretto.agents import CallRefused, Result
from stretto.agents.messages import MessagesAgent
from stretto.models import BUILTIN
from tests.asking import ask, ask_canned, on
from tests.canned import Answer, messages_events, refusal, stream
from tests.desks import FakeDesk, work
from tests.fakeapi import FakeApi

HAIKU = "claude-haiku-5-5"
LATE = {"kind": "cut", "after_tokens": 1_000_000}
"""Cuts the stream off when everything but the final usage was sent."""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


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
    result, desk = ask(lambda: MessagesAgent(api.url))
    assert (result.outcome, result.cls, result.why) == ("error", cls, why)
    assert result.retry_after_s == wait_s
    assert (desk.spent_nusd, desk.held_nusd, api.bill()["calls"]) == (0, 0, 0)
    assert desk.settled[0].usage == {}
    assert api.requests()["count"] == 1, "the agent never retries by itself"


@pytest.mark.parametrize(
    "fault", [{"kind": "cut"}, {"kind": "cut", "reset": True}, LATE, {"kind": "error_event"}]
)
def test_an_answer_that_is_cut_on_its_way_holds_its_bound(api: FakeApi, fault: dict[str, Any]) -> None:
    api.configure(faults=[fault], default={"tokens": 400})
    result, desk = ask(lambda: MessagesAgent(api.url))
    assert (result.outcome, result.cls) == ("error", "transient")
    assert desk.spent_nusd == 0
    assert desk.held_nusd == desk.calls[0].nusd
    api.wait_idle()
    assert 0 < api.bill()["cost_nusd"] <= desk.held_nusd


def test_a_cut_after_the_final_usage_loses_nothing() -> None:
    result, desk, _ = ask_canned(MessagesAgent, stream(messages_events()[:-1], cut=True))
    assert result.output == "hello"
    assert desk.spent_nusd == BUILTIN.cost_nusd(HAIKU, {"input": 10, "output": 5})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\n",
        stream([]),
        stream(messages_events()[:2]),
        stream([*messages_events()[:2], "event: x\ndata: {not json\n\n"]),
        stream([{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}]),
    ],
)
def test_an_answer_that_is_none_holds_its_bound(answer: Answer) -> None:
    result, desk, _ = ask_canned(MessagesAgent, answer)
    assert (result.outcome, result.cls) == ("error", "transient")
    assert desk.held_nusd == desk.calls[0].nusd


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        desk = FakeDesk()
        result, _ = ask(lambda: MessagesAgent(url), desk=desk)
    assert (result.cls, desk.settled[0].usage, desk.held_nusd) == ("transient", {}, 0)
    assert url in result.error


def error(type: str, message: str, code: str = "") -> dict[str, Any]:
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": type, "message": message} | details}


@pytest.mark.parametrize(
    ("answer", "cls", "why", "charged"),
    [
        (refusal(400, error("invalid_request_error", "messages: too long")), "task", "", False),
        (refusal(400, error("invalid_request_error", "tools.0: 'billing' is no name")), "task", "", False),
        (refusal(404, error("not_found_error", "model: x")), "task", "", False),
        (refusal(413, error("request_too_large", "too large")), "task", "", False),
        (refusal(402, error("billing_error", "pay")), "run", "billing", False),
        (refusal(403, error("permission_error", "no")), "run", "auth", False),
        (refusal(429, error("rate_limit_error", "x", "contract_spend_limit_reached")), "run", "quota", False),
        (refusal(429, error("rate_limit_error", "x", "ramp_limit_exceeded")), "transient", "", False),
        (refusal(503, "no JSON at all"), "transient", "", False),
        # Behind a gateway that lost patience the model may be at work.
        (refusal(502, "<html>"), "transient", "", True),
        (refusal(504, error("timeout_error", "slow")), "transient", "", True),
        (refusal(524, "cloudflare"), "transient", "", True),
    ],
)
def test_each_status_says_what_to_do_and_whether_it_may_be_charged(
    answer: bytes, cls: str, why: str, charged: bool
) -> None:
    result, desk, _ = ask_canned(MessagesAgent, answer)
    assert (result.outcome, result.cls, result.why) == ("error", cls, why)
    assert desk.held_nusd == (desk.calls[0].nusd if charged else 0)


def test_it_says_when_a_limit_is_said_to_reset() -> None:
    capped = (
        "You have reached your specified API usage limits. You will regain access on 2100-01-01 at 00:00 UTC."
    )
    result, _, _ = ask_canned(MessagesAgent, refusal(400, error("invalid_request_error", capped)))
    assert (result.cls, result.why) == ("run", "billing")
    assert result.reset_s is not None and result.reset_s > 365 * 24 * 3600
    quota = error("rate_limit_error", "x", "enforced_spend_limit_reached")
    result, _, _ = ask_canned(MessagesAgent, refusal(429, quota, retry_after="3600"))
    assert (result.why, result.reset_s, result.retry_after_s) == ("quota", 3600, None)


@pytest.mark.parametrize(
    ("headers", "low_s", "high_s"),
    [
        ({"retry_after": "2.5"}, 2.5, 2.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5, 1.5),
        ({"retry_after": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0, 0),
        ({"retry_after": "300"}, 300, 300),
        ({"retry_after": "-3"}, 0, 0),
        ({"anthropic_ratelimit_requests_remaining": "0"}, None, None),
        (
            {
                "date": "Fri, 01 Jan 2100 00:00:00 GMT",
                "anthropic_ratelimit_requests_remaining": "5",
                "anthropic_ratelimit_requests_reset": "2200-01-01T00:00:00Z",
                "anthropic_ratelimit_input_tokens_remaining": "0",
                "anthropic_ratelimit_input_tokens_reset": "2100-01-01T00:00:42Z",
            },
            42,
            42,
        ),
        (
            {
                "anthropic_ratelimit_requests_remaining": "0",
                "anthropic_ratelimit_requests_reset": "2001-01-01T00:00:00Z",
            },
            0,
            0,
        ),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": "nan"}, None, None),
        ({"retry_after": "1e999"}, None, None),
    ],
)
def test_the_wait_is_read_in_whatever_form_it_comes(
    headers: dict[str, str], low_s: float | None, high_s: float | None
) -> None:
    result, _, _ = ask_canned(MessagesAgent, refusal(429, error("rate_limit_error", "slow down"), **headers))
    assert result.cls == "transient"
    if low_s is None or high_s is None:
        assert result.retry_after_s is None
    else:
        assert result.retry_after_s is not None
        assert low_s <= result.retry_after_s <= high_s


@pytest.mark.parametrize(
    ("headers", "low_s", "high_s"),
    [
        ({"retry_after": "301"}, 301, 301),
        ({"retry_after": "1e300"}, 10**9, 10**11),
        ({"retry_after": "Fri, 01 Jan 2100 00:00:00 GMT"}, 10**9, 10**10),
        (
            {"retry_after": "Fri, 01 Jan 2100 02:00:00 GMT", "date": "Fri, 01 Jan 2100 00:00:00 GMT"},
            7200,
            7200,
        ),
        (
            {
                "anthropic_ratelimit_requests_remaining": "0",
                "anthropic_ratelimit_requests_reset": "2100-01-01T00:00:00Z",
            },
            10**9,
            3 * 10**9,
        ),
    ],
)
def test_a_wait_of_more_than_some_minutes_is_a_window_that_is_closed(
    headers: dict[str, str], low_s: float, high_s: float
) -> None:
    """No retry of one call for hours, in a slot that others could use: the run stops and says until when."""
    result, desk, _ = ask_canned(MessagesAgent, refusal(429, error("rate_limit_error", "no"), **headers))
    assert (result.cls, result.why) == ("run", "quota")
    assert result.reset_s is not None and low_s <= result.reset_s <= high_s
    told = desk.told[0][1]
    assert not told.refused and told.stopped is not None and told.stopped.why == "quota"


# Cancellation and load


def test_cancelling_settles_and_lets_go_of_the_connection_at_once(api: FakeApi) -> None:
    api.configure(faults=[{"kind": "stall", "stall_s": 60}], default={"tokens": 400})
    desk = FakeDesk()

    async def scenario(agent: MessagesAgent) -> None:
        attempt = asyncio.create_task(agent.run(work(), desk))
        await asyncio.sleep(0.3)
        assert desk.beats > 5
        began = time.monotonic()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert time.monotonic() - began < 0.5
        # While the client is still open: the connection itself is gone.
        await asyncio.to_thread(api.wait_idle, 2)

    on(lambda: MessagesAgent(api.url), scenario)
    assert desk.held_nusd == desk.calls[0].nusd
    assert desk.settled[0].status == "stopped"
    assert api.bill()["entries"][0]["end"] == "gone"


def test_cancelling_before_the_answer_begins_settles_too(api: FakeApi) -> None:
    api.configure(default={"delay_s": 60})
    desk = FakeDesk()

    async def scenario(agent: MessagesAgent) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await agent.run(work(), desk)
        await asyncio.to_thread(api.wait_idle, 2)

    on(lambda: MessagesAgent(api.url), scenario)
    assert desk.held_nusd == desk.calls[0].nusd


def test_under_load_the_bill_is_within_what_is_known_and_held_and_that_within_the_cap(api: FakeApi) -> None:
    faults = [{"kind": "cut", "probability": 0.05}, {"kind": "overloaded", "probability": 0.05}]
    api.configure(seed=3, faults=faults, default={"tokens": [10, 600]})
    desk = FakeDesk(cap_nusd=30_000_000)

    async def one(agent: MessagesAgent, n: int) -> Result | None:
        try:
            return await agent.run(work(f"number {n}", max_tokens=500), desk)
        except CallRefused:
            return None

    async def scenario(agent: MessagesAgent) -> list[Result | None]:
        return await asyncio.gather(*(one(agent, n) for n in range(300)))

    results = on(lambda: MessagesAgent(api.url), scenario)
    api.wait_idle()
    bill = api.bill(entries=False)
    assert {r.outcome for r in results if r} >= {"ok", "error", "cut_off"}
    assert None in results
    assert desk.cap_nusd is not None
    assert bill["cost_nusd_delivered"] == desk.spent_nusd
    assert bill["cost_nusd"] <= desk.spent_nusd + desk.held_nusd <= desk.cap_nusd
    assert api.requests(records=False)["max_in_flight"] <= 128
