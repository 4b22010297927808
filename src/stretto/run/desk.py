"""What an attempt may ask of the house while it works: money, a sign of life, a line in its transcript."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stretto import events as ev
from stretto.agents import MAX_OUTPUT_BYTES, CallRefused, Grant, Usage
from stretto.journal.private import open_file
from stretto.scheduler.limiter import Told
from stretto.workspace.redact import Redactor

LONGEST_WORD = 200
"""Characters of a provider's word that are journaled: its model, its status, why it stopped."""


def not_sent(attempt: str, call: int) -> ev.CallSettled:
    """The settlement of a call that was granted and never sent."""
    return ev.CallSettled(attempt, call, "", {}, 0, certain=True, status=ev.NOT_SENT)


class Asking(NamedTuple):
    """What an agent said of a call that it wants to send (see `agents.Desk.reserve`)."""

    call: int
    nusd: int | None
    least_nusd: int | None
    input_tokens: int
    output_tokens: int


class House(Protocol):
    """The side of the run loop that desks talk to."""

    redactor: Redactor

    def post(self, call: Callable[..., None], *args: Any) -> None: ...
    def call_asked(self, desk: AttemptDesk, asked: Asking) -> None: ...
    def call_heard(self, attempt: str, call: int, told: Told) -> None: ...
    def call_done(self, settled: ev.CallSettled) -> None: ...
    def bound(self, event: ev.AttemptBound) -> None: ...
    def beat(self, task: str, n: int) -> None: ...
    def waits(self, task: str, n: int, waiting: bool) -> None: ...
    def transcript(self, task: str) -> Path | None: ...


class AttemptDesk:
    """The desk of one attempt; everything that must be journaled goes through the loop's inbox."""

    __slots__ = ("_answers", "_calls", "_house", "_written", "n", "task")

    def __init__(self, house: House, task: str, n: int):
        self.task = task
        self.n = n
        self._house = house
        self._calls = 0
        self._written = 0
        self._answers: dict[int, asyncio.Future[Grant]] | None = None

    @property
    def attempt(self) -> str:
        return f"{self.task}#{self.n}"

    async def reserve(
        self, nusd: int | None, input_tokens: int, output_tokens: int, *, least_nusd: int | None = None
    ) -> Grant:
        self._calls += 1
        call = self._calls
        answer: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        if self._answers is None:
            self._answers = {}
        self._answers[call] = answer
        asked = Asking(call, nusd, least_nusd, input_tokens, output_tokens)
        self._house.post(self._house.call_asked, self, asked)
        self._house.waits(self.task, self.n, True)
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.done() or answer.cancelled() or answer.exception() is None:
                # Granted or not yet, it was stopped before it could be sent: nothing was spent.
                self._house.post(self._house.call_done, not_sent(self.attempt, call))
            raise
        finally:
            self._house.waits(self.task, self.n, False)

    def answer(self, told: ev.Answer) -> bool:
        """Tells the agent; False when it does not wait any more (it was stopped meanwhile)."""
        answer = self._answers.pop(told.call, None) if self._answers else None
        if answer is None or answer.done():
            return False
        if told.granted:
            answer.set_result(Grant(told.call, told.nusd, told.why, told.final))
        else:
            answer.set_exception(CallRefused(told.why, final=told.final))
        return True

    def refuse(self, call: int, why: str, *, final: bool = False) -> None:
        self.answer(ev.Answer(self.attempt, call, False, why, final=final))

    def refuse_all(self, why: str) -> None:
        for call in list(self._answers or ()):
            self.refuse(call, why)

    def settle(
        self,
        call: int,
        model: str,
        usage: Usage | None,
        cost_nusd: int,
        *,
        status: str = "ok",
        stop: str = "",
    ) -> None:
        known = usage is not None
        status = status if known else "no usage arrived"
        words = (
            model[:LONGEST_WORD],
            usage or {},
            cost_nusd,
            known,
            status[:LONGEST_WORD],
            stop[:LONGEST_WORD],
        )
        settled = ev.CallSettled(self.attempt, call, *words)
        self._house.post(self._house.call_done, settled)

    def heard(self, call: int, told: Told) -> None:
        self._house.post(self._house.call_heard, self.attempt, call, told)

    def beat(self) -> None:
        self._house.beat(self.task, self.n)

    def bind(self, *, session: str = "", pid: int | None = None) -> None:
        self._house.post(self._house.bound, ev.AttemptBound(self.attempt, session, pid))

    def note(self, record: dict[str, Any]) -> None:
        # A line of a transcript is not worth an answer that is paid for.
        with contextlib.suppress(OSError):
            self._note(record)

    def _note(self, record: dict[str, Any]) -> None:
        path = self._house.transcript(self.task)
        if path is None or self._written > MAX_OUTPUT_BYTES:
            return
        whole = json.dumps({"attempt": self.n, **record}, ensure_ascii=False, default=str)
        line = self._house.redactor.redact(whole)
        self._written += len(line)
        if self._written > MAX_OUTPUT_BYTES:
            line = json.dumps({"attempt": self.n, "cut": "the transcript is larger than its limit"})
        opened = open_file(path, os.O_WRONLY | os.O_APPEND)
        with open(opened, "a", encoding="utf-8", errors="replace") as file:
            file.write(line + "\n")
