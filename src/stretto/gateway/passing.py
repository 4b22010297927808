"""One request on its way through the gateway: reserve, send, read along, settle, and try again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import httpx2

from stretto.gateway.bounds import Prompt, Size
from stretto.gateway.desk import CallRefused, Grant
from stretto.gateway.failures import (
    NOT_SENT,
    Cut,
    ErrorEvent,
    Failure,
    elsewhere,
    of_problem,
    of_transport,
    problem_in,
)
from stretto.gateway.http1 import CutOff, Exchange, Headers
from stretto.gateway.lease import Lease
from stretto.gateway.limits import told
from stretto.gateway.usage import Reading, a_tenth_more, cost_nusd
from stretto.models import Catalogue
from stretto.scheduler.policy import backoff_s

TRIES = 6
"""Of one request."""
BEAT_S = 5.0
"""How often a request that waits for its next try gives a sign of life."""
MAX_ERROR_BYTES = 1_000_000
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of an answer that is no stream, which is passed on when all of it is there."""

# Those of a connection, not of a message; they end here.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# What the client may not choose: who it is, and what we have to be able to read along.
_OURS = _HOP_BY_HOP | frozenset(
    b"host content-length expect authorization x-api-key cookie accept-encoding".split()
)
_NOT_BACK = _HOP_BY_HOP | {b"set-cookie", b"content-encoding"}


@dataclass(slots=True)
class Provider:
    """Where calls go, with whose key, and what they cost there."""

    url: str
    headers: Mapping[str, str]
    client: httpx2.AsyncClient
    catalogue: Catalogue
    free: bool
    """Nobody sends a bill: calls are bounded and settled at 0."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dearer: bool = False
    """A call was billed the tenth more, so bounds count with it."""

    def request(self, exchange: Exchange, path: str, body: bytes) -> httpx2.Request:
        """The client's request as the provider gets it."""
        ours = {name.lower().encode() for name in self.headers}
        kept = [h for h in exchange.headers if h[0] not in _OURS and h[0] not in ours]
        added = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        headers = [*kept, *added, (b"accept-encoding", b"identity")]
        return self.client.build_request(
            "POST", self.url + path + exchange.query, headers=headers, content=body
        )

    def bound_nusd(self, prompt: Prompt, size: Size | None) -> int | None:
        """The most that a call can cost; None where nobody knows."""
        if self.free:
            return 0
        if size is None:
            return None
        nusd = self.catalogue.bound_nusd(
            prompt.model, size.bound, prompt.max_tokens, prompt.cache_1h, url=self.url
        )
        return nusd if nusd is None or not self.dearer else a_tenth_more(nusd)


class Unanswered(NamedTuple):
    """What a call brought instead of an answer, before anything was passed on."""

    failure: Failure
    status: int
    headers: Headers
    body: bytes


@dataclass(slots=True)
class Passage:
    """One request of a client, over as many calls as it takes."""

    exchange: Exchange
    lease: Lease
    provider: Provider
    body: bytes
    prompt: Prompt

    async def run(self) -> None:
        """Passes the request on and its answer back. Raises CutOff where that ended in the middle."""
        patience_s = self.lease.patience_s
        for tries in count(1):
            failure = self.lease.failure
            if failure is not None and failure.cls == "run":
                # The next call would fail as this one did; the attempt is to end, and so is the run.
                await refuse(self.exchange, 400, "invalid_request_error", failure.error)
                return
            try:
                unanswered = await self._call()
            except CallRefused as refused:
                self.lease.refused = refused
                await refuse(self.exchange, 400, "invalid_request_error", f"budget: {refused}")
                return
            if unanswered is None:
                return
            failure = unanswered.failure
            wait_s = max(backoff_s(tries, self.lease.seed, self.lease.token), failure.retry_after_s or 0.0)
            if failure.status == NOT_SENT and tries == TRIES:
                # The network is gone, and what an agent has done so far is paid: the run waits for it.
                failure.cls, failure.why = "run", "network"
            if failure.cls != "transient" or tries == TRIES or wait_s > patience_s:
                await self._give_up(unanswered)
                return
            patience_s -= wait_s
            await self._wait(wait_s)

    async def _wait(self, seconds: float) -> None:
        """The time between two tries; it is the provider who makes us wait, so the attempt is not idle."""
        while seconds > 0:
            self.lease.desk.beat()
            await self.provider.sleep(min(seconds, BEAT_S))
            seconds -= BEAT_S

    async def _give_up(self, unanswered: Unanswered) -> None:
        """Passes an error on. All tries were ours, so the client is told to make none."""
        self.lease.ended(unanswered.failure)
        headers = [h for h in unanswered.headers if h[0] != b"x-should-retry"]
        headers.append((b"x-should-retry", b"false"))
        await self.exchange.answer(unanswered.status, headers, unanswered.body)

    async def _call(self) -> Unanswered | None:
        """One call, settled whatever happens to it; None: its answer was passed on. Raises CallRefused."""
        prompt, desk, provider = self.prompt, self.lease.desk, self.provider
        size = self.lease.sizes.of(prompt, provider.catalogue.info(prompt.model).context)
        nusd = provider.bound_nusd(prompt, size)
        expected = prompt.size if size is None else size.expected
        call = Call(self, await desk.reserve(nusd, expected, prompt.max_tokens), nusd)
        try:
            call.note_request(size)
            return await self._send(call)
        except (httpx2.HTTPError, Cut, ErrorEvent) as error:
            failure = call.failure = self._failure(error)
            if self.exchange.begun:
                self.lease.ended(failure)
                raise CutOff from error
            return Unanswered(failure, 502, *_error("api_error", failure.error))
        finally:
            # First of all, and without waiting, so that nothing can come in between when it is cancelled.
            call.settle()
            if call.response is not None:
                await call.response.aclose()

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, ErrorEvent):
            return of_problem(problem_in(error.body, {}), datetime.now(UTC))
        failure = of_transport(error, self.provider.url, httpx2.HTTPError)
        assert failure is not None
        return failure

    async def _send(self, call: Call) -> Unanswered | None:
        provider, desk = self.provider, self.lease.desk
        request = provider.request(self.exchange, "/v1/messages", self.body)
        response = call.response = await provider.client.send(request, stream=True)
        desk.beat()
        if not response.is_success:
            return await self._error(call, response)
        desk.heard(call.grant.call, told(response.headers))
        call.reading = Reading(response.headers.get("content-type", "").startswith("text/event-stream"))
        if call.reading.streamed:
            await self._stream(call, response)
        else:
            await self._whole(call, response)
        return None

    async def _error(self, call: Call, response: httpx2.Response) -> Unanswered:
        """What an error says; its status alone where the rest of it is lost."""
        data = b""
        with suppress(httpx2.HTTPError, Cut):
            data = await _all(response.aiter_bytes(), MAX_ERROR_BYTES)
        status, headers = response.status_code, response.headers
        if status < 400:
            failure = elsewhere(status)
        else:
            failure = of_problem(problem_in(_json_or_text(data), headers, status), datetime.now(UTC))
        call.failure = failure
        self.lease.desk.heard(call.grant.call, told(headers, failure))
        return Unanswered(failure, status, _back(headers), data)

    async def _stream(self, call: Call, response: httpx2.Response) -> None:
        """Passes a stream on piece by piece; the call is settled before the client can know of its end."""
        reading = call.reading
        async for chunk in response.aiter_bytes():
            self.lease.desk.beat()
            reading.take(chunk)
            if reading.error is not None and not self.exchange.begun:
                raise ErrorEvent(reading.error)
            if reading.stop:
                call.settle()
            if not self.exchange.begun:
                await self.exchange.begin(response.status_code, _back(response.headers))
            await self.exchange.send(chunk)
        if reading.error is not None:
            call.failure = self._failure(ErrorEvent(reading.error))
            self.lease.ended(call.failure)
        elif not reading.stop:
            raise Cut("the stream ended before the answer did")
        await self.exchange.end()

    async def _whole(self, call: Call, response: httpx2.Response) -> None:
        """Passes on an answer that is no stream, when all of it is there."""
        data = await _all(response.aiter_bytes(), MAX_ANSWER_BYTES, self.lease.desk.beat)
        call.reading.take(data)
        call.reading.close()
        call.settle()
        await self.exchange.answer(response.status_code, _back(response.headers), data)


@dataclass(slots=True)
class Call:
    """One call that was granted, and what is known of it."""

    passage: Passage
    grant: Grant
    nusd: int | None
    """Its bound; None where it has none."""
    response: httpx2.Response | None = None
    reading: Reading = field(default_factory=lambda: Reading(streamed=True))
    failure: Failure | None = None
    _settled: bool = False

    def settle(self) -> None:
        """Tells the house, once, what the call came to: its usage, nothing, or unknown, which is held."""
        if self._settled:
            return
        self._settled = True
        reading, failure, desk = self.reading, self.failure, self.passage.lease.desk
        usage = reading.counts.usage
        status = failure.status if failure else "ok" if reading.stop else "stopped"
        if usage is None and failure is not None and not failure.charged:
            usage = {}
        if usage is None and reading.stop and not self.nusd:
            usage = {}  # a server that counts no tokens and has no price: there is nothing to hold
        cost = (self.nusd or 0) if usage is None else self._cost_nusd(usage)
        model = reading.model or self.passage.prompt.model
        desk.settle(self.grant.call, model, usage, cost, status=status, stop=reading.stop)
        if usage:
            self.passage.lease.sizes.keep(self.passage.prompt, usage)
            self.passage.lease.ended(None)
        if reading.stop == "max_tokens":
            self.passage.lease.cut_off.add(reading.id)
        noted = {"kind": "call", "call": self.grant.call, "status": status, "usage": usage, "cost_nusd": cost}
        desk.note(noted | ({"error": failure.error} if failure else {}))

    def _cost_nusd(self, usage: dict[str, int]) -> int:
        provider, reading = self.passage.provider, self.reading
        if provider.free or not usage:
            return 0
        dearer, asked = reading.counts.dearer, self.passage.prompt.model
        provider.dearer = provider.dearer or dearer
        nusd = cost_nusd(provider.catalogue, asked, reading.model, usage, dearer=dearer, url=provider.url)
        return nusd or 0

    def note_request(self, size: Size | None) -> None:
        prompt = self.passage.prompt
        self.passage.lease.desk.note(
            {
                "kind": "request",
                "call": self.grant.call,
                "model": prompt.model,
                "messages": len(prompt.turns),
                "bytes": prompt.size,
                "bound_tokens": None if size is None else size.bound,
                "bound_nusd": self.nusd,
            }
        )


async def forward(exchange: Exchange, provider: Provider, path: str, body: bytes) -> None:
    """Passes on a request that costs nothing, once, and its answer."""
    try:
        response = await provider.client.send(provider.request(exchange, path, body), stream=True)
        try:
            data = await _all(response.aiter_bytes(), MAX_ANSWER_BYTES)
        finally:
            await response.aclose()
    except (httpx2.HTTPError, Cut) as error:
        await refuse(exchange, 502, "api_error", f"{provider.url}: {error}")
        return
    await exchange.answer(response.status_code, _back(response.headers), data)


async def refuse(exchange: Exchange, status: int, kind: str, why: str) -> None:
    """Answers that a request is not passed on, in the provider's own form."""
    headers, body = _error(kind, why)
    await exchange.answer(status, headers, body)


def _error(kind: str, why: str) -> tuple[Headers, bytes]:
    body = {"type": "error", "error": {"type": kind, "message": why}}
    headers = ((b"content-type", b"application/json"), (b"x-should-retry", b"false"))
    return headers, json.dumps(body).encode()


async def _all(chunks: Any, most: int, beat: Callable[[], None] | None = None) -> bytes:
    """All bytes of an answer. Raises Cut where there are too many."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > most:
            raise Cut(f"the answer is larger than {most:,} bytes")
        if beat is not None:
            beat()
    return bytes(data)


def _back(headers: httpx2.Headers) -> Headers:
    """The head of an answer as the client gets it."""
    raw: Iterable[tuple[bytes, bytes]] = ((name.lower(), value) for name, value in headers.raw)
    dropped = _NOT_BACK | ({b"content-length"} if "content-encoding" in headers else frozenset())
    return [(name, value) for name, value in raw if name not in dropped]


def _json_or_text(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace")
