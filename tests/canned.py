"""A server that answers with fixed bytes: odd statuses, headers and streams that the fake provider lacks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

Answer = bytes | None
"""What is written before the connection is closed; None closes it without a word."""


@asynccontextmanager
async def canned(*answers: Answer) -> AsyncGenerator[tuple[str, list[Any]], None]:
    """Serves the answers in turn, the last again and again; yields the URL and the bodies that came."""
    bodies: list[Any] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(v) for n, _, v in _headers(head) if n == b"content-length"), 0)
        body = await reader.readexactly(length)
        bodies.append(json.loads(body) if body else None)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", bodies


def _headers(head: bytes) -> list[tuple[bytes, bytes, bytes]]:
    parts = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [(name.lower(), colon, value.strip()) for name, colon, value in parts]


def refusal(status: int, body: Any, **headers: str) -> bytes:
    """An error with a JSON body; `_` in a header's name stands for `-`."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [f"HTTP/1.1 {status} Odd", f"content-length: {len(text.encode())}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


def listing(*models: str) -> bytes:
    """The answer to `GET /models`."""
    entries = [{"id": m, "object": "model", "created": 0, "owned_by": "x"} for m in models]
    return refusal(200, {"object": "list", "data": entries}, content_type="application/json")


def stream(events: Sequence[Any], *, cut: bool = False) -> bytes:
    """A stream of events, given as data or as raw lines; `cut` leaves out its proper end."""
    text = "".join(e if isinstance(e, str) else _event(e) for e in events).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n" % (len(text), text) + (b"" if cut else b"0\r\n\r\n")


def messages_events(text: str = "hello", *, stop: str = "end_turn", usage: Any = None) -> list[Any]:
    """The events of one answer of text from the Messages API."""
    counts = {"input_tokens": 10, "output_tokens": 1}
    return [
        {"type": "message_start", "message": {"model": "claude-haiku-5-5", "usage": counts}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop},
            "usage": {"output_tokens": 5} if usage is None else usage,
        },
        {"type": "message_stop"},
    ]


def _event(data: Any) -> str:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n"
