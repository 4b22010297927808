"""The gateway itself: who may enter, and where a request goes."""

from __future__ import annotations

import asyncio
import http.cookiejar
import secrets
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h11
import httpx2

from stretto.gateway.bounds import BadBody, prompt_in
from stretto.gateway.desk import Desk
from stretto.gateway.http1 import LOOPBACK, CutOff, Door, Exchange, TooLarge
from stretto.gateway.lease import Lease
from stretto.gateway.passing import Passage, Provider, forward, refuse
from stretto.models import BUILTIN, Catalogue

MAX_BODY_BYTES = 64 * 1024 * 1024
PATIENCE_S = 600.0

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

# How many calls are in flight is the limiter's business. What waits in the pool of an HTTP client could not
# be told from what was sent, so the pool lets all of them go.
LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=128)
# How long to wait for a silent server is the engine's business (`idle`); this is where a task sets no limit.
TIMEOUT = httpx2.Timeout(600.0, connect=10.0)

LOCAL_NAMES = (LOOPBACK, "localhost", "::1")


class Gateway:
    """Passes the calls of agents on that are not ours to a provider, each one reserved, counted and settled.

        async with Gateway("https://api.anthropic.com", {"x-api-key": key}) as gateway:
            lease = gateway.open(desk)
            ...  # a client with lease.url as its base URL
            await lease.close()

    `headers` are added to every request and shown to no client. `free`: nobody sends a bill.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        catalogue: Catalogue = BUILTIN,
        free: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        url = url.rstrip("/")
        # A proxy of the environment is for the world outside, not for a server on this machine.
        host = urlsplit(url).hostname or ""
        client = httpx2.AsyncClient(limits=LIMITS, timeout=TIMEOUT, trust_env=not _local(host))
        # What a provider sets for one attempt is not for the next.
        client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._provider = Provider(url, headers, client, catalogue, free, sleep)
        self._door = Door(self._serve)
        self._leases: set[Lease] = set()

    async def __aenter__(self) -> Self:
        await self._door.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lease in list(self._leases):
            await lease.close()
        await self._door.close()
        await self._provider.client.aclose()

    def open(self, desk: Desk, *, seed: int = 0, patience_s: float = PATIENCE_S) -> Lease:
        """The lease of one attempt; `patience_s` is how long one of its calls may wait between its tries."""
        lease = Lease(f"http://{LOOPBACK}:{self._door.port}", desk, seed, patience_s, self._leases.discard)
        self._leases.add(lease)
        return lease

    async def _serve(self, exchange: Exchange) -> None:
        _, token, *rest = [*exchange.path.split("/", 2), ""]
        lease = self._lease(token)
        from_page = exchange.header(b"origin") or exchange.header(b"sec-fetch-site")
        if from_page or not _local(_host(exchange.header(b"host"))):
            await refuse(
                exchange, 403, "permission_error", "this gateway is for programs on this machine alone"
            )
        elif exchange.path == "/":
            await refuse(exchange, 404, "not_found_error", "there is nothing here")
        elif lease is None:
            await refuse(exchange, 403, "permission_error", "no attempt that is under way has this address")
        else:
            with lease.entered():
                try:
                    await self._admit(exchange, lease, "/" + rest[0])
                except (CutOff, TimeoutError, h11.RemoteProtocolError):
                    raise
                except Exception as bug:
                    lease.bug = bug
                    if exchange.begun:
                        raise CutOff from bug
                    await refuse(exchange, 500, "api_error", f"a bug in the gateway: {type(bug).__name__}")

    async def _admit(self, exchange: Exchange, lease: Lease, path: str) -> None:
        if exchange.method != "POST" or path not in (MESSAGES, COUNT_TOKENS):
            await refuse(exchange, 404, "not_found_error", f"there is no {exchange.method} {path} here")
            return
        lease.desk.beat()
        try:
            body = await exchange.body(MAX_BODY_BYTES)
        except TooLarge:
            why = f"the request is larger than {MAX_BODY_BYTES:,} bytes"
            await refuse(exchange, 413, "request_too_large", why)
            return
        if path == COUNT_TOKENS:
            await forward(exchange, self._provider, path, body)
            return
        try:
            prompt = prompt_in(body, exchange.header(b"anthropic-beta"))
        except BadBody as error:
            await refuse(exchange, 400, "invalid_request_error", str(error))
            return
        if prompt.unbounded and not self._provider.free:
            # Not 403: Claude Code would tell its model of a failed login, and nothing of the reason.
            await refuse(exchange, 400, "invalid_request_error", prompt.unbounded)
            return
        await Passage(exchange, lease, self._provider, body, prompt).run()

    def _lease(self, token: str) -> Lease | None:
        """The live lease of a token; how long that takes does not depend on how much of it is right."""
        found = None
        for lease in self._leases:
            if secrets.compare_digest(lease.token.encode(), token.encode()):
                found = lease
        return found


def _host(header: bytes) -> str:
    """The name in a `Host` header. Another name than ours may resolve to us: a page's (DNS rebinding)."""
    try:
        return urlsplit(f"//{header.decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


def _local(host: str) -> bool:
    return host in LOCAL_NAMES
