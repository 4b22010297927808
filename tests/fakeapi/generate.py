"""Sends an admitted answer at its pace, lets its fault happen, and says how much was produced by then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from .answers import Answer, Block, pieces
from .asks import compact, utf8_len
from .bill import End
from .config import Config
from .dialects import Call, Dialect, Failure
from .limits import Limiter
from .wire import Connection

# Below this the event loop's own cost is larger than the pause.
LEAST_PAUSE_S = 0.001
OVERLOADED = Failure(529, "overloaded_error", "Overloaded")


@dataclass(slots=True)
class Clock:
    """The server's own time: `scale` of its seconds pass in one of the client's."""

    scale: float
    _from_s: float = 0.0
    _since_s: float = field(default_factory=time.monotonic)
    _start_s: float = field(default_factory=time.monotonic)

    def client_s(self) -> float:
        """Seconds since the start as a client counts them."""
        return time.monotonic() - self._start_s

    def now_s(self) -> float:
        return self._from_s + (time.monotonic() - self._since_s) * self.scale

    def rescale(self, scale: float) -> None:
        self._from_s, self._since_s = self.now_s(), time.monotonic()
        self.scale = scale

    async def sleep(self, seconds: float) -> None:
        if seconds / self.scale >= LEAST_PAUSE_S:
            await asyncio.sleep(seconds / self.scale)


@dataclass(slots=True)
class Generation:
    """One answer on its way; `call.usage.output` is right at every moment, also when the client goes away."""

    connection: Connection
    dialect: Dialect
    call: Call
    clock: Clock
    limiter: Limiter
    headers: Mapping[str, str]
    config: Config
    _ready: list[bytes] = field(default_factory=list)

    async def stream(self) -> End:
        """Sends the answer as events; returns how it ended."""
        call, answer = self.call, self.call.answer
        self.connection.begin(200, {"content-type": "text/event-stream; charset=utf-8", **self.headers})
        self._ready.append(self.dialect.start(call))
        stop_at = fault_position(answer)
        began_s, done = self.clock.now_s(), 0
        call.set_output(0)
        for index, block in enumerate(answer.blocks):
            self._ready.append(self.dialect.open_block(call, index, block))
            block_bytes = block.head_bytes
            for piece in self._pieces(block, stop_at and stop_at - done):
                if stop_at is not None and done + -(-block_bytes // 4) >= stop_at:
                    if (end := await self._interrupt()) is not None:
                        return end
                    stop_at = None
                block_bytes += utf8_len(piece)
                produced = done + -(-block_bytes // 4)
                if answer.tokens_per_s:
                    await self._wait_until(began_s + produced / answer.tokens_per_s)
                call.set_output(produced)
                self._ready.append(self.dialect.delta(call, index, block, piece))
            done += block.tokens
            self._ready.append(self.dialect.close_block(call, index, block))
        if stop_at is not None and (end := await self._interrupt()) is not None:
            return end
        call.set_output(answer.tokens)
        self._ready.append(self.dialect.finish(call))
        self._flush()
        self.connection.end()
        await self.connection.flush()
        return "completed"

    def _pieces(self, block: Block, stop_after: int | None) -> list[str]:
        """The payload's deltas; one of them ends exactly where the answer is to be interrupted."""
        size = 4 * max(1, self.config.chunk_tokens)
        head_bytes = 4 * (stop_after or 0) - block.head_bytes
        if head_bytes <= 0 or head_bytes >= utf8_len(block.payload):
            return pieces(block.payload, size)
        head = pieces(block.payload, head_bytes)[0]
        return pieces(head, size) + pieces(block.payload[len(head) :], size)

    async def whole(self) -> End:
        """Sends the answer in one piece, after the time that producing it takes; returns how it ended."""
        call, answer = self.call, self.call.answer
        position = fault_position(answer)
        target = answer.tokens if position is None else min(position, answer.tokens)
        await self._produce(0, target)
        if answer.fault is not None and position is not None:
            match answer.fault.kind:
                case "cut":
                    self._hang_up()
                    return "cut"
                case "error_event":
                    status, body = self.dialect.error(OVERLOADED, call.id)
                    self.connection.send(status, self._json_headers(), compact(body).encode())
                    return "error_event"
                case _:
                    await self.clock.sleep(answer.fault.stall_s)
                    await self._produce(target, answer.tokens)
        call.set_output(answer.tokens)
        self.connection.send(200, self._json_headers(), compact(self.dialect.whole(call)).encode())
        await self.connection.flush()
        return "completed"

    async def _produce(self, start: int, end: int) -> None:
        """Takes the time for these tokens; when the client leaves in between, a share of them is billed."""
        pace, began_s = self.call.answer.tokens_per_s, self.clock.now_s()
        self.call.set_output(start)
        try:
            if pace:
                await self.clock.sleep((end - start) / pace)
        except asyncio.CancelledError:
            share = int((self.clock.now_s() - began_s) * pace)
            self.call.set_output(min(end, start + share))
            raise
        self.call.set_output(end)

    async def _interrupt(self) -> End | None:
        """Lets the fault happen in the middle of a stream; None means that the stream goes on."""
        fault = self.call.answer.fault
        assert fault is not None
        self._flush()
        match fault.kind:
            case "cut":
                await self.connection.flush()
                self._hang_up()
                return "cut"
            case "error_event":
                self.connection.chunk(self.dialect.error_event(OVERLOADED, self.call.id))
                self.connection.end()
                return "error_event"
            case _:
                await self.clock.sleep(fault.stall_s)
                return None

    async def _wait_until(self, at_s: float) -> None:
        pause_s = at_s - self.clock.now_s()
        if pause_s / self.clock.scale >= LEAST_PAUSE_S:
            self._flush()
            await self.connection.flush()
            await self.clock.sleep(pause_s)

    def _flush(self) -> None:
        data = b"".join(self._ready)
        self._ready.clear()
        size = self.config.split_bytes or len(data) or 1
        for start in range(0, len(data), size):
            self.connection.chunk(data[start : start + size])
        self.call.spend(self.limiter, self.clock.now_s())

    def _hang_up(self) -> None:
        fault = self.call.answer.fault
        if fault is not None and fault.reset:
            self.connection.abort()
        else:
            self.connection.close()

    def _json_headers(self) -> dict[str, str]:
        return {"content-type": "application/json", **self.headers}


def fault_position(answer: Answer) -> int | None:
    """After how many tokens the fault of an answer happens, if it has one that happens on the way."""
    fault = answer.fault
    if fault is None or fault.kind not in ("cut", "stall", "error_event"):
        return None
    return answer.tokens // 2 if fault.after_tokens is None else fault.after_tokens
