"""An asyncio loop whose clock jumps: hours of waiting pass in milliseconds, and always in the same order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
DEADLOCK_S = 5.0


class _Selector(selectors.DefaultSelector):
    """Polls; where the loop would wait for a timer and no thread is at work, time is moved on instead."""

    loop: AutojumpLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.loop.threads:
            return super().select(0.01 if timeout is None else min(timeout, 0.01))
        found = super().select(0)
        if not found:
            if timeout is None:
                # A thread of its own (a journal's) may still call back; only long silence is a deadlock.
                found = super().select(DEADLOCK_S)
                if not found:
                    raise RuntimeError("deadlock: nothing is scheduled and nothing will ever happen")
            else:
                self.loop.jump(timeout)
        return found


class AutojumpLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, and jumps to the next timer when nothing can."""

    def __init__(self) -> None:
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self._now = 0.0
        self.threads = 0

    def time(self) -> float:
        # Asked by the base class before our own fields exist.
        return getattr(self, "_now", 0.0)

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.threads += 1
        await super().shutdown_default_executor()

    def _thread_done(self, _: object) -> None:
        self.threads -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=AutojumpLoop) as runner:
        return runner.run(main)
