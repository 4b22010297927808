"""Answers the calls that ask to be sent, and books what they came to: ledger, limiter, admission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stretto import events as ev
from stretto.models.catalogue import Rates
from stretto.models.money import usd
from stretto.scheduler import policy
from stretto.scheduler.admission import Admission, whose_cap, why_used_up
from stretto.scheduler.calls import Calls, Verdict
from stretto.scheduler.limiter import Allowance, Limiter, Stopped, Told
from stretto.scheduler.state import State
from stretto.scheduler.vertex import TaskVertex

LOOK_AGAIN_US = 1_000_000


class Pause(Protocol):
    """How the scheduler pauses a run."""

    def __call__(
        self, why: str, *, until_us: int | None = None, need: int | None = None, note: str = ""
    ) -> None: ...


class Cashier:
    """The money and the tokens of running attempts.

    `emit`, `tell` and `pause` are the scheduler's: what is decided is an event, a command or a pause.
    """

    def __init__(
        self,
        state: State,
        rates_of: Callable[[str], Rates | None],
        emit: Callable[[ev.Event], None],
        tell: Callable[[ev.Command], None],
        pause: Pause,
        agent_of: Callable[[str], str],
    ):
        self._state = state
        self._ledger = state.ledger
        self._limiter = Limiter(rates_of)
        self._emit = emit
        self._tell = tell
        self._pause = pause
        self._agent_of = agent_of
        """Of an attempt that runs."""
        self._shut: dict[str, str] = {}
        """Agents whose provider serves us no more, until the run goes on: why."""
        self.calls = Calls(self._ledger, self._limiter)
        self.admission = Admission(state)
        self._coming: dict[str, Allowance] = {}
        """Attempts that have not asked for their first call, by the allowance that it will want."""

    def open(self, dry_us: int) -> None:
        """Begins to answer; the buckets were empty at that time."""
        self._limiter.begin(dry_us)
        self._shut.clear()
        self.admission.clear()

    def opens_us(self, model: str, now_us: int) -> int:
        """When another attempt on a model may start: not before its first call could be sent.

        Started earlier it would wait all the same, in a slot that others could use, while its time runs, and
        what becomes ready meanwhile and is more urgent would come after it.
        """
        allowance = self._limiter.of(model)
        if allowance is None:
            return 0
        if allowance.full:
            return now_us + LOOK_AGAIN_US  # a call that comes back opens it sooner
        return self.calls.dry.get(allowance) or now_us + allowance.next_wait_us(now_us)

    def began(self, attempt: str, vertex: TaskVertex, model: str, expected_nusd: int | None) -> None:
        """An attempt starts; one that nobody sends a bill for makes no calls."""
        self.admission.began(attempt, vertex, expected_nusd)
        allowance = self._limiter.of(model)
        if allowance is not None and expected_nusd != 0:
            self._coming[attempt] = allowance
            allowance.coming += 1

    def _came(self, attempt: str) -> None:
        allowance = self._coming.pop(attempt, None)
        if allowance is not None:
            allowance.coming -= 1

    def asked(
        self,
        attempt: str,
        call: int,
        nusd: int,
        least_nusd: int,
        model: str,
        tokens: tuple[int, int],
        now_us: int,
    ) -> None:
        """An attempt wants to send a call; `tokens` are those of the prompt, and of the answer at most."""
        if self._coming:
            self._came(attempt)
        if self._shut and (why := self._shut.get(self._agent_of(attempt))):
            self._tell(ev.Answer(attempt, call, False, why))
            return
        accounts = self._state.accounts(attempt.rpartition("#")[0])
        vertex = self._state.live.get(attempt)
        tail_s = vertex.element.tail_s if vertex is not None else 0.0
        verdict = self.calls.ask(attempt, call, nusd, least_nusd, model, tokens, accounts, tail_s, now_us)
        if verdict is not None:
            self._answer(verdict)
        else:
            self._grant(now_us)

    def heard(self, attempt: str, call: int, told: Told, now_us: int) -> None:
        """The response to a call has begun."""
        if told.stopped is not None and attempt in self._state.live:
            self._stop(attempt, told.stopped, now_us)
        self._limiter.heard(attempt, call, told, now_us)
        if self.calls:
            self._grant(now_us)

    def _stop(self, attempt: str, stopped: Stopped, now_us: int) -> None:
        """The provider serves an agent no more: what waits to be sent would fail as the call before did."""
        agent = self._agent_of(attempt)
        self._shut[agent] = stopped.why
        self._pause(
            stopped.why, until_us=policy.opens_again_us(stopped.wait_us, now_us), note=stopped.note[:200]
        )
        for asked in [asked for asked in self.calls if self._agent_of(asked.attempt) == agent]:
            self.calls.withdraw(asked.attempt, asked.call)
            self._tell(ev.Answer(asked.attempt, asked.call, False, stopped.why))

    def limits(self, model: str) -> bool:
        """Whether anything is known of a model's limits."""
        return self._limiter.of(model) is not None

    def done(self, settled: ev.CallSettled, now_us: int) -> None:
        """A call came to its end; one that still waits is withdrawn."""
        if (settled.attempt, settled.call) in self._ledger.reserved:
            self._settle(settled, now_us)
            if not self._ledger.fits(0):
                self._pause("budget", note="a call cost more than the bound that was reserved for it")
            if self.calls:
                self._grant(now_us)
        elif self.calls.withdraw(settled.attempt, settled.call):
            self._grant(now_us)

    def attempt_over(self, attempt: str, now_us: int) -> None:
        """What an attempt has in flight is held, and what it waits for is given to others."""
        open_calls = self._ledger.open_calls(attempt) if self._ledger.reserved else []
        for call, nusd in open_calls:
            lost = ev.CallSettled(attempt, call, "", {}, nusd, certain=False, status="no usage arrived")
            self._settle(lost, now_us)
        if self._coming:
            self._came(attempt)
        self.admission.ended(attempt)
        if self.calls and (self.calls.withdraw(attempt) or open_calls):
            self._grant(now_us)

    def tick(self, now_us: int) -> None:
        """Time passed: buckets have filled."""
        if self.calls.dry and min(self.calls.dry.values()) <= now_us:
            self._grant(now_us)

    def raised(self, now_us: int) -> None:
        """The run goes on, perhaps with a higher cap; or held money was released."""
        self._shut.clear()
        self.admission.raised()
        self._grant(now_us)

    def _grant(self, now_us: int) -> None:
        """Answers all calls that need not wait any longer."""
        for verdict in self.calls.judge(now_us):
            self._answer(verdict)

    def _settle(self, settled: ev.CallSettled, now_us: int) -> None:
        nusd = self._ledger.reserved[settled.attempt, settled.call]
        self._emit(settled)
        self.admission.used(settled.attempt, settled.cost_nusd - nusd)
        self._limiter.settle(settled, now_us)

    def _answer(self, verdict: Verdict) -> None:
        asked, nusd, account = verdict
        if nusd is None:
            self._refuse(verdict)
            return
        self._emit(ev.CallReserved(asked.attempt, asked.call, nusd))
        self.admission.used(asked.attempt, nusd)
        final = account is not None and account is not self._ledger.run
        why = "" if account is None else whose_cap(account, asked.attempt.rpartition("#")[0])
        self._tell(ev.Answer(asked.attempt, asked.call, True, why, nusd, final))

    def _refuse(self, verdict: Verdict) -> None:
        asked, _, account = verdict
        assert account is not None
        if account is self._ledger.run:
            vertex = self._state.live.get(asked.attempt)
            # What the money does not mend is left: no run stops for that.
            mends = vertex is not None and vertex.live == "mend"
            self._tell(ev.Answer(asked.attempt, asked.call, False, "budget", final=mends))
            if not mends:
                self._pause("budget", need=asked.nusd)
            return
        cost = f"the next call may cost {usd(asked.nusd)}"
        why = why_used_up(account, asked.attempt.rpartition("#")[0], cost)
        self._tell(ev.Answer(asked.attempt, asked.call, False, why, final=True))
