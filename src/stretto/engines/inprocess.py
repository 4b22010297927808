"""Carries out attempts as asyncio tasks of this process, with idle and whole timeouts told apart."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from stretto.agents import Agent, CallRefused, Desk, Result, Work
from stretto.errors import StrettoError

Report = Callable[[str, int, "Result | None", str], None]
"""Called once per attempt: task, n, its result (None when it was stopped), and why it was stopped."""


GRACE_S = 10.0
"""How long a stopped attempt may take to end before it is given up."""


class _Running:
    __slots__ = ("attempt", "beat_s", "began", "deadline_s", "idle_s", "stopped", "task", "waiting")

    def __init__(self, attempt: tuple[str, int], deadline_s: float | None, idle_s: float | None, now: float):
        self.attempt = attempt
        self.deadline_s = deadline_s
        self.idle_s = idle_s
        self.beat_s = now
        self.began = False
        self.waiting = False
        """True while it waits for the ledger's answer: then silence is not its fault."""
        self.stopped = ""
        self.task: asyncio.Task[None] | None = None


class InProcess:
    """One asyncio.Task per running attempt; what it reports goes to `report`."""

    def __init__(self, report: Report):
        self._report = report
        self._running: dict[tuple[str, int], _Running] = {}
        self._due: list[tuple[float, int, _Running]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(
        self, agent: Agent, work: Work, desk: Desk, timeout_s: float | None, idle_s: float | None
    ) -> None:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        attempt = (work.task, work.n)
        now = loop.time()
        running = _Running(attempt, None if timeout_s is None else now + timeout_s, idle_s, now)
        self._running[attempt] = running
        running.task = loop.create_task(self._carry_out(running, agent, work, desk))
        if timeout_s is not None or idle_s is not None:
            self._watch(running)

    def stop(self, task: str, n: int, why: str = "cancelled") -> None:
        """Cancels an attempt; it reports `None` with this reason when its work has really ended.

        An agent that does not end within the grace period is given up: it may go on, nobody listens any more.
        """
        running = self._running.get((task, n))
        if running is None or running.task is None or self._loop is None:
            return
        running.stopped = running.stopped or why
        running.task.cancel()
        if not running.began:
            self._finish(running, None)  # asyncio ends a task that never ran without a word
        else:
            self._loop.call_later(GRACE_S, self._finish, running, None)

    def wait(self, task: str, n: int, waiting: bool) -> None:
        """The attempt begins or ends to wait for the ledger; the idle limit counts anew from its end."""
        running = self._running.get((task, n))
        if running is not None:
            running.waiting = waiting
            self.beat(task, n)

    def stop_all(self) -> None:
        for task, n in list(self._running):
            self.stop(task, n)

    def beat(self, task: str, n: int) -> None:
        running = self._running.get((task, n))
        if running is not None and self._loop is not None:
            running.beat_s = self._loop.time()

    @property
    def attempts(self) -> list[str]:
        return [f"{task}#{n}" for task, n in self._running]

    async def drain(self) -> None:
        """Waits until every attempt has ended."""
        tasks = [r.task for r in self._running.values() if r.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _carry_out(self, running: _Running, agent: Agent, work: Work, desk: Desk) -> None:
        result: Result | None
        running.began = True
        try:
            result = await agent.run(work, desk)
        except CallRefused as refused:
            error = f"the call was not sent: {refused}"
            if refused.final:
                result = Result("error", error=error, cls="task", final=True)
            else:
                result = Result("error", error=error, cls="run", why="budget")
        except asyncio.CancelledError:
            result = None
            if not running.stopped:
                result = Result("error", error="the agent was cancelled from inside", cls="task")
        except StrettoError as failed:
            text = f"{failed.what} [{failed.slug}]"
            if failed.next:
                text += f"; {failed.next}"
            result = Result("error", error=text, cls="task")
        except (Exception, SystemExit) as failed:
            result = Result("error", error=f"{type(failed).__name__}: {failed}", cls="task")
        self._finish(running, result)

    def _finish(self, running: _Running, result: Result | None) -> None:
        """Reports an attempt once; a later end of the same one is not heard."""
        if self._running.get(running.attempt) is running:
            del self._running[running.attempt]
            self._report(*running.attempt, result, running.stopped)

    # Timeouts: one timer for the earliest that is due; a beat moves an idle limit without touching the timer.

    def _next_s(self, running: _Running) -> float:
        times = [] if running.deadline_s is None else [running.deadline_s]
        if running.idle_s is not None:
            times.append(running.beat_s + running.idle_s)
        return min(times)

    def _watch(self, running: _Running) -> None:
        due = self._next_s(running)
        heapq.heappush(self._due, (due, next(self._number), running))
        if self._due[0][2] is running:
            self._arm()

    def _arm(self) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due[0][0], self._expire) if self._due else None

    def _expire(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        while self._due and (self._due[0][0] <= now or self._due[0][2].attempt not in self._running):
            running = heapq.heappop(self._due)[2]
            if self._running.get(running.attempt) is not running:
                continue
            if running.deadline_s is not None and now >= running.deadline_s:
                self.stop(*running.attempt, "timeout")
            elif running.idle_s is not None and now >= running.beat_s + running.idle_s:
                if running.waiting:
                    running.beat_s = now
                    heapq.heappush(self._due, (self._next_s(running), next(self._number), running))
                else:
                    self.stop(*running.attempt, "idle")
            else:
                heapq.heappush(self._due, (self._next_s(running), next(self._number), running))
        self._timer = None
        self._arm()
