"""The least of HTTP/1.1 that real clients need: keep-alive, chunks both ways, answers whole or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD_BYTES = 64 * 1024
# What the Messages API takes; a larger body is answered 413 before it is read.
MAX_BODY_BYTES = 32 * 1024 * 1024


class BadHttp(Exception):
    """Bytes that are no request; the connection is told the status and closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


Handler = Callable[["Connection", Request], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One client connection, serving one request at a time; a client that leaves cancels its request."""

    handler: Handler
    peers: set[Connection]
    _transport: asyncio.Transport = field(init=False)
    _received: bytearray = field(default_factory=bytearray)
    _head: Request | None = None
    _task: asyncio.Task[None] | None = None
    _flushed: asyncio.Future[None] | None = None
    _paused: bool = False
    _last: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # A limit of 0 pauses while anything is unsent, so `flush` returns when the kernel has taken it all.
        transport.set_write_buffer_limits(high=0)
        self.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.peers.discard(self)
        self.cancel()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._task is None:
            self._next()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)

    async def flush(self) -> None:
        """Returns when the kernel has taken all that was written."""
        if self._paused:
            self._flushed = asyncio.get_running_loop().create_future()
            await self._flushed

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Sends a whole answer."""
        self._transport.write(self._status(status, headers, f"content-length: {len(body)}") + body)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begins an answer in chunks; `end` must follow, or `close` to cut it off."""
        self._transport.write(self._status(status, headers, "transfer-encoding: chunked"))

    def chunk(self, data: bytes) -> None:
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self._transport.write(b"0\r\n\r\n")

    def close(self) -> None:
        """Closes after what was written is sent: in the middle of an answer, the client sees it cut."""
        self._last = True
        self._transport.close()

    def abort(self) -> None:
        """Resets the connection at once; the client may lose what was still on its way."""
        self._last = True
        self._transport.abort()

    def _status(self, status: int, headers: Mapping[str, str], framing: str) -> bytes:
        lines = [f"HTTP/1.1 {status} {_reason(status)}", framing]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("connection: close" if self._last else "connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _next(self) -> None:
        """Starts the next request if all of it has arrived."""
        try:
            request = self._take_request()
        except BadHttp as error:
            self._last = True
            self.send(error.status, {}, str(error).encode())
            self._transport.close()
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Request) -> None:
        self._last = request.headers.get("connection", "").lower() == "close"
        try:
            await self.handler(self, request)
        finally:
            self._task = None
        if self._last:
            self._transport.close()
        elif not self._transport.is_closing():
            self._next()

    def _take_request(self) -> Request | None:
        if self._head is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > MAX_HEAD_BYTES:
                    raise BadHttp(431, "the head is too large")
                return None
            self._head = _read_head(bytes(self._received[:end]))
            del self._received[: end + 4]
            if self._head.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._take_body(self._head)
        if body is None:
            return None
        request, self._head = self._head, None
        request.body = body
        return request

    def _take_body(self, head: Request) -> bytes | None:
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._take_chunks()
        length = head.headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadHttp(400, "content-length is not a number")
        if int(length) > MAX_BODY_BYTES:
            raise BadHttp(413, "the body is too large")
        if len(self._received) < int(length):
            return None
        body = bytes(self._received[: int(length)])
        del self._received[: int(length)]
        return body

    def _take_chunks(self) -> bytes | None:
        body, at = bytearray(), 0
        while True:
            line_end = self._received.find(b"\r\n", at)
            if line_end < 0:
                return None
            try:
                size = int(self._received[at:line_end].split(b";")[0], 16)
            except ValueError:
                raise BadHttp(400, "a chunk has no size") from None
            if len(body) + size > MAX_BODY_BYTES:
                raise BadHttp(413, "the body is too large")
            start = line_end + 2
            if len(self._received) < start + size + 2:
                return None
            body += self._received[start : start + size]
            at = start + size + 2
            if size == 0:
                del self._received[:at]
                return bytes(body)


def _read_head(data: bytes) -> Request:
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadHttp(400, f"not a request line: {first[:80]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadHttp(400, f"not a header: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    url = urlsplit(words[1])
    return Request(words[0], url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Error"
