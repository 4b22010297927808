"""HTTP/1.1 for clients on this machine: keep-alive, chunks both ways, and a client that leaves is noticed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import h11

LOOPBACK = "127.0.0.1"
MAX_HEAD_BYTES = 64 * 1024
MAX_LINKS = 1_024
"""Connections at once; more are closed unheard, so that no client can use up our file descriptors."""
SILENCE_S = 120.0
"""How long a client may take for the head of its next request, and between two pieces of a body."""
DRAIN_S = 2.0
"""How long the rest of a body is read that nobody wants, so that its sender comes to see the answer."""

Headers = Sequence[tuple[bytes, bytes]]


class TooLarge(Exception):
    """A body of more bytes than are read."""


class CutOff(Exception):
    """Raised by a handler whose answer cannot be brought to its end: the client sees the connection cut."""


class Exchange:
    """One request, and the way to answer it."""

    def __init__(self, link: _Link, request: h11.Request):
        self._link = link
        self.method = request.method.decode()
        path, _, query = request.target.decode("latin-1").partition("?")
        self.path = path
        self.query = f"?{query}" if query else ""
        self.headers: Headers = list(request.headers)
        """Names in lower case."""
        self.begun = False
        """The head of the answer has been sent."""

    def header(self, name: bytes) -> bytes:
        """The values of a header, joined by commas; empty where it is missing."""
        return b",".join(value for found, value in self.headers if found == name)

    async def body(self, most: int) -> bytes:
        """All of the request's body. Raises TooLarge as soon as that is known."""
        if int(self.header(b"content-length") or 0) > most:
            raise TooLarge
        await self._link.welcome()
        data = bytearray()
        while isinstance(event := await self._link.next(), h11.Data):
            data += event.data
            if len(data) > most:
                raise TooLarge
        return bytes(data)

    async def begin(self, status: int, headers: Headers) -> None:
        """Sends the head of the answer; without a `content-length` what follows goes in chunks."""
        self.begun = True
        await self._link.send(h11.Response(status_code=status, headers=list(headers)))

    async def send(self, data: bytes) -> None:
        """Sends a piece of the answer, as soon as the client has taken most of what was sent before."""
        if self.method != "HEAD":
            await self._link.send(h11.Data(data=data))

    async def end(self) -> None:
        await self._link.send(h11.EndOfMessage())

    async def answer(self, status: int, headers: Headers, data: bytes) -> None:
        """Sends a whole answer."""
        length = (b"content-length", b"%d" % len(data))
        await self.begin(status, [*(h for h in headers if h[0] != length[0]), length])
        await self.send(data)
        await self.end()


Serve = Callable[[Exchange], Awaitable[None]]


class Door:
    """Listens on a port of its own on the loopback interface, and nowhere else."""

    def __init__(self, serve: Serve):
        self._serve = serve
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Begins to listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        # Hundreds may connect in one moment; the default queue of 100 would let some of them wait a second.
        self._server = await loop.create_server(
            lambda: _Link(self._serve, self._links), LOOPBACK, 0, backlog=MAX_LINKS
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening and cuts off whoever is still connected."""
        if self._server is not None:
            self._server.close()
        for task in self._links:
            task.cancel()
        if self._links:
            await asyncio.wait(self._links)


class _Link(asyncio.Protocol):
    """One connection, with one request after another; its task ends with it."""

    _task: asyncio.Task[None] | None = None
    _transport: asyncio.Transport

    def __init__(self, serve: Serve, links: set[asyncio.Task[None]]):
        self._serve = serve
        self._links = links
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._early = 0

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._links) >= MAX_LINKS:
            transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._live())
        self._links.add(self._task)
        self._task.add_done_callback(self._links.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._http.their_state is h11.DONE:
            # A request sent before the last was answered has to wait, but not without limit. Not to read it
            # would be worse: then nobody would notice that the client has gone.
            self._early += len(data)
            if self._early > MAX_HEAD_BYTES:
                self._transport.abort()
                return
        self._http.receive_data(data)
        self._arrived.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What an exchange uses.

    async def next(self) -> h11.Event | None:
        """The next thing that the client says, None for a request too early.

        Raises TimeoutError, h11.RemoteProtocolError.
        """
        async with asyncio.timeout(SILENCE_S):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._arrived.clear()
                await self._arrived.wait()
        return event if isinstance(event, h11.Event) else None

    async def welcome(self) -> None:
        """Tells a client to go on that asked whether to send its body at all."""
        if self._http.they_are_waiting_for_100_continue:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))

    async def send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._transport.write(data)
        await self._writable.wait()

    # Its life.

    async def _live(self) -> None:
        try:
            while await self._one():
                self._early = 0
                self._http.start_next_cycle()
            self._transport.close()
        except h11.RemoteProtocolError as error:
            await self._misunderstood(error)
            self._transport.close()
        except (CutOff, TimeoutError):
            self._transport.close()
        finally:
            if not self._transport.is_closing():
                self._transport.abort()

    async def _one(self) -> bool:
        """Serves one request; whether another may come."""
        event = await self.next()
        if not isinstance(event, h11.Request):
            return False
        waits = self._http.they_are_waiting_for_100_continue
        await self._serve(Exchange(self, event))
        if self._http.their_state is h11.SEND_BODY and not waits:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    while self._http.their_state is h11.SEND_BODY:
                        await self.next()
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _misunderstood(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = str(error).encode(errors="replace")
            length = (b"content-length", b"%d" % len(text))
            await self.send(h11.Response(status_code=error.error_status_hint, headers=[length]))
            await self.send(h11.Data(data=text))
            await self.send(h11.EndOfMessage())
