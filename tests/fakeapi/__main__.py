"""Runs the fake provider as a process: prints one JSON line with its address, serves until stdin closes."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .config import Config
from .server import App


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakeapi", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--script", metavar="FILE", help="JSON; - reads the first line of stdin")
    parser.add_argument("--seed", type=int, help="over the script's own")
    parser.add_argument("--time-scale", type=float, help="seconds of the server's time in one real second")
    parser.add_argument("--detached", action="store_true", help="do not end when stdin closes")
    words = parser.parse_args()
    data: dict[str, Any] = {}
    if words.script == "-":
        data = json.loads(_first_line())
    elif words.script:
        data = json.loads(Path(words.script).read_text(encoding="utf-8"))
    if words.seed is not None:
        data["seed"] = words.seed
    if words.time_scale is not None:
        data["time_scale"] = words.time_scale
    asyncio.run(_run(App(Config().merged(data)), words.port, detached=words.detached))


async def _run(app: App, port: int, *, detached: bool) -> None:
    server = await app.serve(port)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    if not detached:
        watch = threading.Thread(target=_until_closed, args=(loop, done.set), daemon=True)
        watch.start()
    address = server.sockets[0].getsockname()
    print(json.dumps({"url": f"http://127.0.0.1:{address[1]}", "pid": os.getpid()}), flush=True)
    await done.wait()
    server.close()
    for connection in list(app.connections):
        connection.abort()
    # One round of the loop lets the aborted connections end their tasks.
    await asyncio.sleep(0)


def _until_closed(loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
    """Whoever started this server holds the other end of stdin: when that one dies, the server goes too."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(then)


def _first_line() -> bytes:
    """Reads single bytes from the descriptor: a buffered reader would take what the watcher waits for."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
