"""Leases: who may use the gateway and until when, clients that leave, and requests that are not passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from stretto.gateway.failures import Failure
from stretto.gateway.lease import Lease
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.gates import ASK, Gate, through, until, whole_bill


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def api(provider: FakeApi) -> FakeApi:
    provider.reset()
    return provider


def test_what_ends_a_run_is_not_undone_by_another_call_that_was_under_way() -> None:
    lease = Lease("", FakeDesk(), 0, 0, lambda _: None)
    for failure in (
        Failure("a", "transient", "a"),
        Failure("b", "run", "b"),
        Failure("c", "task", "c"),
        None,
    ):
        lease.ended(failure)
    assert lease.failure is not None and lease.failure.error == "b"


# Who leaves, and who is sent away


def test_a_client_that_leaves_stops_the_provider_and_its_call_is_held(api: FakeApi) -> None:
    api.configure(default={"tokens": 5_000, "tokens_per_s": 2_000})

    async def use(g: Gate) -> None:
        async with g.bare.stream(
            "POST", g.lease.url + "/v1/messages", json={**ASK, "stream": True, "max_tokens": 9_000}
        ) as s:
            async for _ in s.aiter_bytes():
                break
        await until(lambda: not g.desk.open)

    _, found = through(api.url, use)
    api.wait_idle()
    (entry,) = api.bill()["entries"]
    assert entry["end"] == "gone" and entry["usage"]["output"] < 5_000
    assert [(s.certain, s.status) for s in found.desk.settled] == [(False, "stopped")]
    whole_bill(api, found)


@pytest.mark.parametrize("streamed", [False, True])
def test_closing_a_lease_cuts_what_is_under_way_and_settles_it(api: FakeApi, streamed: bool) -> None:
    api.configure(default={"tokens": 5_000, "tokens_per_s": 2_000})

    async def use(g: Gate) -> int:
        asked = asyncio.create_task(g.post({**ASK, "stream": streamed, "max_tokens": 9_000}))
        await until(lambda: api.requests(records=False)["in_flight"])
        await g.lease.close()
        assert not g.desk.open, "all is settled when it returns"
        with pytest.raises(httpx2.TransportError):
            await asked
        return (await g.post(ASK)).status_code

    status, found = through(api.url, use)
    assert status == 403
    assert [s.certain for s in found.desk.settled] == [False]
    api.wait_idle()
    assert api.requests()["count"] == 1


def test_a_lease_that_is_closed_while_a_call_waits_sends_nothing(api: FakeApi) -> None:
    class Slow(FakeDesk):
        waits = False

        async def reserve(self, *args: Any, **options: Any) -> Any:
            self.waits = True
            await asyncio.Event().wait()

    slow = Slow()

    async def use(g: Gate) -> None:
        asked = asyncio.create_task(g.post(ASK))
        await until(lambda: slow.waits)
        await g.lease.close()
        with pytest.raises(httpx2.TransportError):
            await asked

    through(api.url, use, slow)
    assert api.requests()["count"] == 0


def test_closing_a_lease_leaves_alone_what_goes_on_under_another(api: FakeApi) -> None:
    """Also on the connection that served it before."""

    async def use(g: Gate) -> int:
        before = g.gateway.open(FakeDesk())
        await g.bare.post(before.url + "/v1/messages", json=ASK)
        api.configure(default={"tokens": 50, "delay_s": 0.1})
        asked = asyncio.create_task(g.post(ASK))
        await until(lambda: g.desk.calls)
        await before.close()
        return (await asked).status_code

    assert through(api.url, use)[0] == 200


def test_dead_wrong_and_missing_tokens_are_refused_and_nothing_is_forwarded(api: FakeApi) -> None:
    async def use(g: Gate) -> list[int]:
        address = urlsplit(g.lease.url)
        door = f"http://{address.netloc}"
        dead = g.gateway.open(FakeDesk())
        await dead.close()
        tokens = [g.lease.token[:-1], g.lease.token + "x", "", "é", dead.token, "..", "%00"]
        found = []
        for token in tokens:
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                answer = await g.bare.post(f"{door}/{token}{path}", json=ASK)
                found.append(answer.status_code)
                assert answer.json()["error"]["type"] == "permission_error"
        return found

    statuses, found = through(api.url, use)
    assert set(statuses) == {403}
    assert api.requests()["count"] == 0 and found.desk.calls == []


def test_a_token_lets_into_its_own_desk_only(api: FakeApi) -> None:
    other = FakeDesk()

    async def use(g: Gate) -> None:
        lease = g.gateway.open(other)
        assert lease.token != g.lease.token
        answer = await g.bare.post(lease.url + "/v1/messages", json=ASK)
        assert answer.status_code == 200

    _, found = through(api.url, use)
    assert found.desk.calls == [] and len(other.settled) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("HEAD", "/", 404),
        ("GET", "/v1/models", 404),
        ("GET", "/v1/messages", 404),
        ("POST", "/v1/messages/batches", 404),
        ("POST", "/v1/messages/", 404),
    ],
)
def test_there_is_nothing_else(api: FakeApi, method: str, path: str, status: int) -> None:
    answer, _ = through(api.url, lambda g: g.bare.request(method, httpx2.URL(g.lease.url + path)))
    assert answer.status_code == status and api.requests()["count"] == 0


def test_a_call_that_the_ledger_refuses_is_not_sent_and_not_worth_a_retry(api: FakeApi) -> None:
    answer, found = through(api.url, lambda g: g.post(ASK), FakeDesk(cap_nusd=1))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (400, "false")
    assert answer.json()["error"] == {"type": "invalid_request_error", "message": "budget: budget"}
    assert found.lease.refused is not None and api.requests()["count"] == 0


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({**ASK, "max_tokens": None}, "max_tokens"),
        ({**ASK, "max_tokens": 0}, "max_tokens"),
        ({**ASK, "max_tokens": True}, "max_tokens"),
        ({**ASK, "model": 1}, "model"),
        ({**ASK, "messages": "x"}, "messages"),
        (b"[1]", "object"),
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"model": "m", "max_tokens": 1, "max_tokens": 100000, "messages": []}', "twice"),
        (b'{"model": "m", "max_tokens": NaN, "messages": []}', "NaN"),
        ({**ASK, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search"),
        ({**ASK, "tools": [{"type": "code_execution_20250825", "name": "x"}]}, "code_execution"),
        ({**ASK, "mcp_servers": [{"url": "https://x.example"}]}, "mcp_servers"),
        ({**ASK, "speed": "fast"}, "fast"),
        ({**ASK, "context_management": {"edits": [{"type": "compact_20260112"}]}}, "compacted"),
    ],
)
def test_what_has_no_bound_is_refused(api: FakeApi, body: Any, word: str) -> None:
    answer, found = through(api.url, lambda g: g.post(body))
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    assert api.requests()["count"] == 0 and found.desk.calls == []


def test_tools_that_the_client_carries_out_are_none_of_these(api: FakeApi) -> None:
    tools = [
        {"name": "mine", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "own", "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash"},
    ]
    answer, _ = through(api.url, lambda g: g.post({**ASK, "tools": tools}))
    assert answer.status_code == 200
