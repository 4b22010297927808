"""The gateway's HTTP on raw sockets: framing, keep-alive, clients that are slow, rude, early or gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import h11
import httpx2
import pytest

from stretto.gateway.http1 import (
    DRAIN_S,
    MAX_HEAD_BYTES,
    MAX_LINKS,
    SILENCE_S,
    CutOff,
    Door,
    Exchange,
    TooLarge,
    _Link,
)
from stretto.gateway.server import Gateway
from tests.autojump import run as in_virtual_time
from tests.canned import canned, refusal
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.gates import gate, until

MOST = 1_000
Value = TypeVar("Value")


async def echo(exchange: Exchange) -> None:
    """Says what it was sent; some paths misbehave."""
    match exchange.path:
        case "/unread":
            await exchange.answer(404, (), b"no")
            return
        case "/cut":
            await exchange.begin(200, [(b"content-length", b"10")])
            await exchange.send(b"half")
            raise CutOff
        case _:
            pass
    try:
        body = await exchange.body(MOST)
    except TooLarge:
        await exchange.answer(413, (), b"too large")
        return
    told = {"method": exchange.method, "path": exchange.path, "query": exchange.query, "body": body.decode()}
    await exchange.answer(200, [(b"content-type", b"application/json")], json.dumps(told).encode())


class Talk:
    """A connection on which a test writes bytes and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes]:
        """An answer with a length."""
        head = await self.head()
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        return int(head[9:12]), await self.reader.readexactly(length)

    async def told(self) -> Any:
        status, body = await self.answer()
        assert status == 200, body
        return json.loads(body)


def talking(use: Callable[[Talk], Awaitable[Value]], serve: Any = echo) -> Value:
    async def scenario() -> Value:
        door = Door(serve)
        await door.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        try:
            return await asyncio.wait_for(use(Talk(reader, writer)), 20)
        finally:
            writer.close()
            await door.close()

    return asyncio.run(scenario())


def post(path: str, body: bytes, *more: bytes) -> bytes:
    head = [b"POST %b HTTP/1.1" % path.encode(), b"host: x", b"content-length: %d" % len(body), *more]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def test_one_connection_serves_one_request_after_another() -> None:
    async def use(talk: Talk) -> None:
        for text in ("a", "", "ccc"):
            talk.say(post("/p?q=1", text.encode()))
            assert await talk.told() == {"method": "POST", "path": "/p", "query": "?q=1", "body": text}

    talking(use)


def test_a_request_may_come_in_the_smallest_pieces() -> None:
    async def use(talk: Talk) -> None:
        for byte in post("/slow", b"hello"):
            talk.say(bytes([byte]))
            await talk.writer.drain()
            await asyncio.sleep(0)
        assert (await talk.told())["body"] == "hello"

    talking(use)


def test_bodies_may_come_in_chunks_and_are_measured_all_the_same() -> None:
    async def use(talk: Talk) -> int:
        start = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        talk.say(start + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await talk.told())["body"] == "abcde"
        talk.say(start + b"".join(b"64\r\n" + b"x" * 100 + b"\r\n" for _ in range(11)) + b"0\r\n\r\n")
        return (await talk.answer())[0]

    assert talking(use) == 413


def test_who_asks_first_is_told_to_go_on_or_not_to() -> None:
    async def use(talk: Talk) -> None:
        talk.say(post("/", b"", b"expect: 100-continue").replace(b"length: 0", b"length: 2"))
        assert (await talk.head()).startswith(b"HTTP/1.1 100 ")
        talk.say(b"ok")
        assert (await talk.told())["body"] == "ok"
        talk.say(post("/", b"", b"expect: 100-continue").replace(b"length: 0", b"length: 2000"))
        assert (await talk.answer())[0] == 413
        # The body is not waited for, and what comes now would be taken for a request.
        assert await asyncio.wait_for(talk.reader.read(), DRAIN_S / 2) == b""

    talking(use)


def test_a_body_that_nobody_reads_does_not_spoil_the_next_request() -> None:
    async def use(talk: Talk) -> None:
        talk.say(post("/unread", b"x" * 100_000))
        assert (await talk.answer()) == (404, b"no")
        talk.say(post("/", b"next"))
        assert (await talk.told())["body"] == "next"

    talking(use)


def test_too_large_is_said_before_the_body_has_come() -> None:
    async def use(talk: Talk) -> int:
        talk.say(post("/", b"").replace(b"length: 0", b"length: 99999999999"))
        return (await talk.answer())[0]

    assert talking(use) == 413


def test_requests_that_come_early_wait_for_their_turn() -> None:
    async def use(talk: Talk) -> None:
        talk.say(post("/", b"1") + post("/", b"2") + post("/", b"3"))
        assert [(await talk.told())["body"] for _ in range(3)] == ["1", "2", "3"]

    talking(use)


def test_a_flood_of_early_requests_is_cut_off() -> None:
    served = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await exchange.body(MOST)
        served.set()
        await asyncio.Event().wait()

    async def use(talk: Talk) -> bytes:
        talk.say(post("/", b"1"))
        await served.wait()
        for _ in range(4):
            talk.say(b"x" * (MAX_HEAD_BYTES // 2))
        try:
            return await talk.reader.read()
        except ConnectionError:
            return b""

    assert talking(use, wait) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2 * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_told_so_and_closed(sent: bytes, status: int) -> None:
    async def use(talk: Talk) -> None:
        talk.say(sent)
        assert (await talk.answer())[0] == status
        with contextlib.suppress(ConnectionError):  # what was not read of it resets the connection
            assert await talk.reader.read() == b""

    talking(use)


def test_a_client_that_goes_while_it_is_served_stops_that() -> None:
    stopped = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await exchange.body(MOST)
        await exchange.begin(200, ())
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def use(talk: Talk) -> None:
        talk.say(post("/", b""))
        await talk.head()
        talk.writer.close()
        await stopped.wait()

    talking(use, wait)


def test_a_slow_client_holds_up_its_own_answer_and_nobody_is_given_more_memory_for_it() -> None:
    sent = 0

    async def count(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.begin(200, ())
        for _ in range(400):
            await exchange.send(b"x" * 50_000)
            sent += 50_000
        await exchange.end()

    async def use(talk: Talk) -> None:
        talk.say(post("/", b""))
        await talk.head()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 10_000_000, "the rest is not asked for before this is taken"
        while sent < 20_000_000:
            await talk.reader.read(1_000_000)

    talking(use, count)


def test_an_answer_that_breaks_off_is_seen_to() -> None:
    async def use(talk: Talk) -> bytes:
        talk.say(post("/cut", b""))
        await talk.head()
        return await talk.reader.read()

    assert talking(use) == b"half"


def test_no_body_answers_a_head() -> None:
    async def use(talk: Talk) -> None:
        talk.say(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"content-length: " in await talk.head()
        talk.say(post("/", b"next"))
        assert (await talk.told())["body"] == "next"

    talking(use)


class Wire(asyncio.Transport):
    """A connection without a socket, so that time can be virtual."""

    closed = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


@pytest.mark.parametrize(
    "said", [b"", b"POST / HT", post("/", b"").replace(b"length: 0", b"length: 5") + b"ab"]
)
def test_a_client_that_says_nothing_for_long_is_not_waited_for(said: bytes) -> None:
    async def scenario() -> tuple[bool, bool]:
        wire, link = Wire(), _Link(echo, set())
        link.connection_made(wire)
        await asyncio.sleep(SILENCE_S - 1)
        if said:
            link.data_received(said)
            await asyncio.sleep(SILENCE_S / 2)
        before = wire.closed
        await asyncio.sleep(SILENCE_S)
        return before, wire.closed

    assert in_virtual_time(scenario()) == (said == b"POST / HT", True)


def test_there_are_no_more_connections_than_there_may_be() -> None:
    async def scenario() -> tuple[int, bytes]:
        door = Door(echo)
        await door.open()
        talks = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(MAX_LINKS)]
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        try:
            refused = await reader.read()
        except ConnectionError:
            refused = b""
        talks[0][1].write(post("/", b""))
        status = int((await talks[0][0].readline())[9:12])
        for _, other in talks:
            other.close()
        writer.close()
        await door.close()
        return status, refused

    assert asyncio.run(scenario()) == (200, b"")


# The gateway behind it


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "x@y", ""]
)
def test_a_page_of_another_name_that_resolves_to_us_is_refused(host: str) -> None:
    async def scenario(name: str) -> int:
        async with gate("http://127.0.0.1:9") as found:
            return (await found.bare.get(found.lease.url, headers={"host": name})).status_code

    assert asyncio.run(scenario(host)) == 403
    assert {asyncio.run(scenario(own)) for own in ("localhost:1", "127.0.0.1", "[::1]:2")} == {404}


def test_it_listens_on_the_loopback_interface_alone() -> None:
    async def scenario() -> str:
        async with gate("http://127.0.0.1:9") as found:
            return urlsplit(found.lease.url).hostname or ""

    assert asyncio.run(scenario()) == "127.0.0.1"


def test_a_request_of_more_than_64_megabytes_is_refused_unread() -> None:
    async def scenario() -> tuple[int, Any]:
        async with gate("http://127.0.0.1:9") as found:
            url = urlsplit(found.lease.url)
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            head = post(url.path + "/v1/messages", b"").replace(
                b"length: 0", b"length: %d" % (64 * 2**20 + 1)
            )
            writer.write(head.replace(b"host: x", b"host: localhost"))
            status, body = await Talk(reader, writer).answer()
            writer.close()
            return status, json.loads(body)["error"]["type"]

    assert asyncio.run(scenario()) == (413, "request_too_large")


def test_the_gateway_closes_with_clients_still_connected() -> None:
    async def scenario() -> FakeDesk:
        with FakeApi(default={"tokens": 1_000, "tokens_per_s": 100}) as api:
            async with gate(api.url) as found:
                body = {
                    "model": "claude-haiku-5-5",
                    "max_tokens": 2_000,
                    "stream": True,
                    "messages": [{"role": "user", "content": "x"}],
                }
                asked = asyncio.create_task(found.post(body))
                await until(lambda: found.desk.told)
                await found.gateway.__aexit__(None, None, None)
                with pytest.raises(httpx2.TransportError):
                    await asked
                desk = found.desk
            return desk

    assert [s.certain for s in asyncio.run(scenario()).settled] == [False]


def test_a_bug_of_ours_is_kept_for_the_attempt_and_no_riddle_for_the_client() -> None:
    class Broken(FakeDesk):
        async def reserve(self, *args: Any, **options: Any) -> Any:
            raise KeyError("oh")

    async def scenario() -> tuple[int, str, Exception | None]:
        async with Gateway("http://127.0.0.1:9", {}) as gateway, httpx2.AsyncClient() as client:
            lease = gateway.open(Broken())
            body = {"model": "m", "max_tokens": 1, "messages": []}
            answer = await client.post(lease.url + "/v1/messages", json=body)
            return answer.status_code, answer.headers["x-should-retry"], lease.bug

    status, retry, bug = asyncio.run(scenario())
    assert (status, retry) == (500, "false") and isinstance(bug, KeyError)


def test_odd_errors_are_passed_on_as_they_are() -> None:
    async def scenario() -> tuple[int, str]:
        teapot = refusal(418, "<html>teapot</html>", content_type="text/html")
        async with canned(teapot) as (url, _), gate(url) as found:
            answer = await found.post({"model": "m", "max_tokens": 1, "messages": []})
            return answer.status_code, answer.text

    assert asyncio.run(scenario()) == (418, "<html>teapot</html>")
