"""The one loop with side effects: scheduler, journal and engine meet here."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stretto import events as ev
from stretto.agents import Agent, Result
from stretto.engines.inprocess import InProcess
from stretto.errors import EXIT_COULD_NOT, StrettoError, bug
from stretto.journal import Blob, Journal, Kept, RunJournal
from stretto.journal.private import make_folder, write_file
from stretto.models.choice import Decision
from stretto.plan.model import canonical
from stretto.run.desk import Asking, AttemptDesk, not_sent
from stretto.run.growing import Growing
from stretto.run.isolated import Isolation
from stretto.run.mending import settled
from stretto.run.outputs import Made, accept, blob_of, verdict
from stretto.run.prepare import Prepared, Preparer
from stretto.run.values import Values
from stretto.scheduler.limiter import Told
from stretto.scheduler.policy import RESETS
from stretto.scheduler.schedule import Choice, Scheduler
from stretto.scheduler.vertex import RESULT, SUCCEEDED, TaskVertex
from stretto.workspace.redact import Redactor
from stretto.workspace.root import task_folder

ASK_EVERY_S = 0.5
TURN = 1_000
"""Tasks begun (or taken from kept results) in one turn, before everybody else may do something."""


@contextlib.contextmanager
def calm_gc() -> Iterator[None]:
    """Collects garbage more rarely: a run makes many objects that stay, and few cycles.

    Measured on a fan-out of 100,000: 37 us a task with Python's defaults, 22 with these.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def story(journal: Journal, run: str, task: str) -> str:
    """What the journal knows of one task, event by event: what a report of a bug needs."""
    told = (row.event for row in journal.read(run) if getattr(row.event, "task", None) == task)
    return " > ".join(map(repr, told)) or "nothing is journaled of it"


class Reuse(NamedTuple):
    """Which results of earlier runs a run may take."""

    fresh: bool = False
    """None at all."""
    redo: Sequence[str] = ()
    """None for these tasks, named as in the run (`files.3.scan`) or as in the plan (`files.scan`)."""
    only: str = ""
    """Everything but this task, from `taken`; nothing else is run."""
    taken: Mapping[str, Kept] = {}

    def names(self, vertex: TaskVertex, name: str) -> bool:
        path = vertex.element.path
        return name in (vertex.id, path) or vertex.id.startswith(f"{name}.") or path.startswith(f"{name}.")


class Observer(Protocol):
    """Who looks on: a live view, a line log, a stream of JSON lines."""

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None: ...


class Agents(Protocol):
    """The agents of a run by name, and which of them never cost anything."""

    def get(self, name: str) -> Agent: ...
    def free(self, name: str) -> bool: ...
    def identity(self, name: str) -> str: ...


class Clock(Protocol):
    def __call__(self) -> int:
        """Microseconds since 1970, never running backwards."""


class Loop:
    """Drives one run to its end, its pause, or its drain.

    One turn: take what came in, decide, commit, and only then act. While a commit is under way the next
    happenings gather in the inbox, so that commits group by themselves.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        run_journal: RunJournal,
        journal: Journal,
        agents: Agents,
        *,
        root: Path,
        clock: Clock,
        redactor: Redactor,
        folder: Path | None = None,
        reuse: Reuse,
        observers: Sequence[Observer] = (),
        parks: bool = False,
        isolation: Isolation | None = None,
    ):
        started = scheduler.state.started
        assert started is not None, "the scheduler is started or resumed first"
        self.scheduler = scheduler
        self.state = scheduler.state
        self.redactor = redactor
        self.run_journal = run_journal
        self.values = Values(self.state, journal.blob, started.inputs)
        self._catalogue = scheduler.choices.chooser.catalogue
        self.preparer = Preparer(
            self.values,
            run_journal.run,
            root,
            started.seed,
            scheduler.choices.of,
            agents.identity,
            self._catalogue,
        )
        self._growing = Growing(scheduler, self.values, agents.free)
        self._journal = journal
        self._agents = agents
        self._clock = clock
        self._folder = folder
        self._reuse = reuse
        self._observers = list(observers)
        self._parks = parks
        """A provider whose window is used up is waited for, as long as it says."""
        self._engine = InProcess(self._report)
        self._inbox: deque[tuple[Any, ...]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._blobs: list[Blob] = []
        self._kept: list[tuple[str, Kept]] = []
        self._prepared: dict[str, tuple[Prepared, Choice]] = {}
        self._desks: dict[str, AttemptDesk] = {}
        self._recorded: tuple[Decision, str] | None = None
        """The decision stored last, and its blob."""
        self._broken: StrettoError | None = None
        self.isolation = isolation
        """The worktrees of the run; None where it has none."""
        if isolation is not None:
            self.preparer.place = isolation.root_of

    # The turn

    async def drive(self) -> None:
        """Runs until nothing is left to do in this process. Raises what broke the journal, after a drain."""
        with calm_gc():
            try:
                await self._turns()
            except BaseException as failed:
                if isinstance(failed, StrettoError) and failed.slug == "bug" and failed.at:
                    failed.what += f"\nstory: {story(self._journal, self.run_journal.run, failed.at)}"
                # Whoever drives us gives up: no agent may work on without a journal behind it.
                self._engine.stop_all()
                await asyncio.shield(self._engine.drain())
                raise

    async def _turns(self) -> None:
        scheduler, inbox = self.scheduler, self._inbox
        while True:
            scheduler.tick(self._clock())
            if (until_us := self._parked_until_us()) is not None and scheduler.now_us >= until_us:
                scheduler.proceed("the provider's window")
            handled = list(inbox)
            while inbox:
                call, *args = inbox.popleft()
                call(*args)
            self._growing.grow()
            more = False
            for begun, vertex in enumerate(scheduler.picks(), 1):
                self._begin(vertex)
                if begun >= TURN:
                    more = True
                    break
            done = scheduler.end_if_done()
            await self._commit_and_act(handled)
            if done and not inbox and not self.state.live:
                if (until_us := self._parked_until_us()) is None:
                    return
                await self._sleep(until_us)
                continue
            if more:
                await asyncio.sleep(0)
            elif not inbox and (not scheduler.growing or self.state.paused is not None):
                await self._sleep(scheduler.wake_at_us())

    def _parked_until_us(self) -> int | None:
        """When a run that its provider has stopped goes on by itself; None: it does not."""
        paused = self.state.paused
        return paused.until_us if self._parks and paused is not None and paused.why in RESETS else None

    async def _commit_and_act(self, handled: list[tuple[Any, ...]]) -> None:
        events, commands = self.scheduler.take()
        if events:
            blobs, self._blobs = self._blobs, []
            kept, self._kept = self._kept, []
            taught, self.scheduler.outcomes = self.scheduler.outcomes, []
            now_us = self.scheduler.now_us
            try:
                await self.run_journal.append(now_us, events, blobs, kept, taught)
            except StrettoError as failed:
                await self._break(failed, handled)
            for observer in list(self._observers):
                try:
                    observer.saw(now_us, events)
                except Exception:
                    self._observers.remove(observer)  # a view that breaks must not take the run with it
        for command in commands:
            match command:
                case ev.Start(task, n, _):
                    self._start(task, n)
                case ev.Stop(task, n, _):
                    self._engine.stop(task, n)
                case ev.Answer(attempt, call, granted):
                    desk = self._desks.get(attempt)
                    if (desk is None or not desk.answer(command)) and granted:
                        # Before the end of its attempt, which may wait in the inbox and would hold the money.
                        self._inbox.appendleft((self.call_done, not_sent(attempt, call)))

    async def _break(self, failed: StrettoError, lost: list[tuple[Any, ...]]) -> None:
        """The journal cannot be written: nothing starts, what runs may end, its outputs go to plain files."""
        self._broken = failed
        for desk in list(self._desks.values()):
            desk.refuse_all("the journal cannot be written")
        await self._engine.drain()
        saved = 0
        for call, *args in [*lost, *self._inbox]:
            if call == self._ended and self._save_plainly(*args):
                saved += 1
        more = f"; {saved} outputs that were not journaled are in {self._folder}" if saved else ""
        raise StrettoError(
            failed.slug, failed.what + more, at=failed.at, next=failed.next, code=EXIT_COULD_NOT
        )

    def _save_plainly(self, task: str, n: int, result: Result | None, why: str) -> bool:
        vertex = self.state.vertices[task]
        if result is None or result.outcome != "ok" or self._folder is None:
            return False
        assert isinstance(vertex, TaskVertex)
        made = accept(vertex.task, result.output, self.redactor)
        with contextlib.suppress(OSError):
            write_file(self._folder / f"unjournaled-{task}-{n}", made.data)
            return True
        return False

    async def _sleep(self, until_us: int | None) -> None:
        loop = asyncio.get_running_loop()
        if until_us is None and not self.state.live:
            open_ = [id for id, v in self.state.vertices.items() if v.state < SUCCEEDED][:5]
            raise bug(f"nothing runs and nothing will ever start; open are: {', '.join(open_)}")
        self._waiter = loop.create_future()
        timer = None
        if until_us is not None:
            delay = max(0.0, (until_us - self._clock()) / 1e6)
            timer = loop.call_later(delay, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Puts a happening into the inbox; it is handled in the next turn, in order."""
        if self._broken is not None and call == self.call_asked:
            call(*args)
            return
        self._inbox.append((call, *args))
        self._wake()

    # Control from outside

    async def listen(self) -> None:
        """Looks twice a second whether another process asked for something, and shows that we live."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            with contextlib.suppress(StrettoError):  # a journal that cannot be read fails at the next commit
                for ask in self.run_journal.asks():
                    self.post(self._asked, ask.verb, ask.args)
                self.run_journal.beat(self._engine.attempts, self._clock())

    def _asked(self, verb: str, args: dict[str, Any]) -> None:
        if self.state.status not in ("running", "paused"):
            return
        if verb == "cancel":
            self.scheduler.cancel(str(args.get("by", "cancel")))
        elif verb == "approve" and (paused := self.state.paused) and paused.why in ("approval", "budget"):
            self.scheduler.proceed("approve", args.get("cap_nusd"), args.get("approved_nusd"))

    def drain(self) -> None:
        """The first Ctrl-C: nothing starts any more, what runs may end."""
        self._parks = False
        self.post(self.scheduler.pause, "user")

    def stop(self) -> None:
        """The second Ctrl-C: what runs is stopped; it counts as interrupted, not as failed."""
        self._parks = False
        if self._broken is not None:
            self._engine.stop_all()
        self.post(self.scheduler.stop_all)

    # Attempts

    def _begin(self, vertex: TaskVertex) -> None:
        reuse = self._reuse
        if reuse.only and vertex.id != RESULT and not reuse.names(vertex, reuse.only):
            self._take(vertex)
            return
        choice = self.scheduler.choice(vertex)
        try:
            prepared = self.preparer.prepare(vertex, choice)
        except StrettoError as failed:
            self.scheduler.fail(vertex, self.redactor.said(f"{failed.what} [{failed.slug}]"))
            return
        except Exception as failed:
            why = f"its input cannot be read: {type(failed).__name__}: {failed}"
            self.scheduler.fail(vertex, self.redactor.said(why))
            return
        key = prepared.key
        if key and not vertex.tries and not reuse.fresh and not self._is_redone(vertex):
            others = self.scheduler.choices.also(vertex, choice)
            for known in (key, *self.preparer.keys(vertex, prepared, others)):
                kept = self._journal.kept(known)
                if kept is not None:
                    self.scheduler.reuse(vertex, *kept[3:5], known, _source(kept), kept.cost_nusd)
                    return
        if choice.expected_nusd and not self.scheduler.affords(vertex, choice):
            return
        prompt = ""
        if prepared.work.prompt:
            blob = blob_of(self.redactor.in_data(prepared.work.prompt))
            self._blobs.append(blob)
            prompt = blob[0]
        record = self._record(choice)
        n = self.scheduler.begin(
            vertex,
            choice,
            prepared.key,
            prepared.inputs,
            _us(prepared.timeout_s),
            _us(prepared.idle_s),
            prompt,
            record,
        )
        if prepared.prefix is not None and not self.scheduler.sends(vertex, choice, prepared.prefix):
            prepared.work.shared = None
        self._prepared[f"{vertex.id}#{n}"] = (prepared, choice)

    def _record(self, choice: Choice) -> str:
        """Stores why this model was chosen; the same record for every item of a template."""
        decision = choice.decision
        if decision is None:
            return ""
        if self._recorded is None or self._recorded[0] is not decision:
            blob = blob_of(canonical(decision.data()))
            self._blobs.append(blob)
            self._recorded = (decision, blob[0])
        return self._recorded[1]

    def _is_redone(self, vertex: TaskVertex) -> bool:
        if any(vertex.id == name or vertex.id.startswith(f"{name}.") for name in self.state.redone):
            return True
        return any(self._reuse.names(vertex, name) for name in self._reuse.redo)

    def _take(self, vertex: TaskVertex) -> None:
        kept = self._reuse.taken.get(vertex.id)
        if kept is None:
            only = self._reuse.only
            self.scheduler.fail(
                vertex, f"--only {only} takes this from an earlier run, which has no result of it"
            )
        else:
            self.scheduler.reuse(vertex, *kept[3:5], "", _source(kept), kept.cost_nusd)

    def _start(self, task: str, n: int) -> None:
        attempt = f"{task}#{n}"
        prepared, choice = self._prepared[attempt]
        desk = self._desks[attempt] = AttemptDesk(self, task, n)
        try:
            agent = self._agents.get(choice.agent)
        except StrettoError as failed:
            result = Result(
                "error", error=f"{failed.what} [{failed.slug}] {failed.next}", cls="run", why="auth"
            )
            self._report(task, n, result, "")
            return
        if self.isolation is not None:
            agent = self.isolation.around(agent, self.state.live[attempt], choice.role)
        for name, tokens, given in prepared.cut:
            desk.note({"kind": "cut", "of": name, "tokens": tokens, "given": given})
        if prepared.work.prompt:  # a command or a function has no use for these
            prepared.work.folder = None if self._folder is None else task_folder(self._folder, task)
            prepared.work.left_nusd = self.state.ledger.left_nusd(self.state.accounts(task))
        self._engine.start(agent, prepared.work, desk, prepared.timeout_s, prepared.idle_s)

    def _report(self, task: str, n: int, result: Result | None, why: str) -> None:
        self._inbox.append((self._ended, task, n, result, why))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _ended(self, task: str, n: int, result: Result | None, why: str) -> None:
        attempt = f"{task}#{n}"
        prepared, choice = self._prepared.pop(attempt)
        self._desks.pop(attempt, None)
        vertex = self.state.live[attempt]
        if result is None:
            timed_out = why in ("timeout", "idle")
            limit = prepared.timeout_s if why == "timeout" else prepared.idle_s
            text = (
                f"{'no sign of life for' if why == 'idle' else 'longer than'} {limit:g} s"
                if timed_out
                else why
            )
            outcome = why if timed_out else "cancelled"
            self.scheduler.ended(ev.AttemptEnded(task, n, outcome, "task" if timed_out else "", text))
            if self.isolation is not None:
                self.isolation.over(vertex)
            return
        if choice.role == "mend":
            result = settled(result, self.values.data(vertex.conflict))
        if choice.role == "mend" or result.outcome in ("conflict", "left"):
            self._end(vertex, self._of_branches(task, n, result), result)
            return
        if choice.role != "work":
            outcome, error = _safely(verdict, vertex.task, result, choice.role) or (
                "error",
                "the verdict cannot be read",
            )
            cls = "" if outcome == "ok" else "task" if outcome == "check_failed" else result.cls or "task"
            self._end(vertex, ev.AttemptEnded(task, n, outcome, cls, self.redactor.said(error)), result)
            return
        if result.outcome != "ok":
            self._end(vertex, self._not_ok(task, n, result), result)
            return
        made = self._made(vertex, choice, result)
        if made.outcome != "ok":
            error = self.redactor.said(made.error)
            self._end(vertex, ev.AttemptEnded(task, n, made.outcome, "task", error), result)
            return
        self._blobs.append((made.sha, made.data))
        self.values.keep(made.sha, made.data)
        ended = ev.AttemptEnded(task, n, "ok", "", "", made.sha, len(made.data))
        self._end(vertex, ended, result)

    def _made(self, vertex: TaskVertex, choice: Choice, result: Result) -> Made:
        """The output, if it and the files beside it are what the task promised."""
        made = _safely(accept, vertex.task, result.output, self.redactor) or UNREADABLE
        if vertex.task.grow:
            made = _safely(self._growing.judged, vertex, made) or UNREADABLE
        if made.outcome != "ok" or not vertex.task.writes or choice.agent.partition(":")[0] == "simulated":
            return made  # a pretender writes nothing, and is not held to it
        missing: str | None = _safely(self.preparer.unwritten, vertex)
        if missing is None:
            missing = "what it promised to write cannot be looked for"
        return Made(b"", "", "bad_output", missing) if missing else made

    def _not_ok(self, task: str, n: int, result: Result) -> ev.AttemptEnded:
        retry_after_us = _us(result.retry_after_s)
        error = self.redactor.said(result.error or result.outcome)
        return ev.AttemptEnded(task, n, result.outcome, result.cls or "task", error, "", 0, retry_after_us)

    def _of_branches(self, task: str, n: int, result: Result) -> ev.AttemptEnded:
        """The end of an attempt that met branches which collide, or mended them; what it says is kept."""
        ended = self._not_ok(task, n, result)
        if result.output is None:
            return ended
        sha, data = blob_of(canonical(self.redactor.in_value(result.output)))
        self._blobs.append((sha, data))
        self.values.keep(sha, data)
        cls, error = ("", "") if result.outcome == "ok" else (ended.cls, ended.error)
        return ended._replace(cls=cls, error=error, output=sha, size=len(data))

    def _end(self, vertex: TaskVertex, ended: ev.AttemptEnded, result: Result) -> None:
        final = result.final
        if final and result.why == "window":
            final = self.scheduler.choices.climb(vertex) is None  # only a larger context would help
        self.scheduler.ended(ended, pause=result.why, reset_us=_us(result.reset_s), final=final)
        if self.isolation is not None:
            self.isolation.over(vertex)
        if vertex.key and vertex.state == SUCCEEDED:
            # Only now: an answer whose check has not passed is nobody's result.
            cost = sum(self.state.task_nusd.get(vertex.id, (0, 0)))
            run = self.run_journal.run
            n = vertex.meter.n if vertex.meter is not None else ended.n
            self._kept.append((vertex.key, Kept(run, vertex.id, n, vertex.output, vertex.size, cost)))

    # What desks ask (see run.desk.House)

    def call_asked(self, desk: AttemptDesk, asked: Asking) -> None:
        capped = self.state.ledger.cap_nusd is not None
        if self._broken is not None or desk.attempt not in self._desks:
            desk.refuse(asked.call, "the run is ending")
        elif asked.nusd is None and (capped or self.state.accounts(desk.task)):
            why = "no price is known for this model, and a cap refuses that"
            desk.refuse(asked.call, why, final=not capped)
        else:
            self.scheduler.call_asked(
                desk.attempt,
                asked.call,
                asked.nusd or 0,
                least_nusd=asked.least_nusd,
                model=self._prepared[desk.attempt][1].model,
                input_tokens=asked.input_tokens,
                output_tokens=asked.output_tokens,
            )

    def call_heard(self, attempt: str, call: int, told: Told) -> None:
        if told.stopped is not None:
            note = self.redactor.redact(told.stopped.note)
            told = told._replace(stopped=told.stopped._replace(note=note))
        self.scheduler.call_heard(attempt, call, told)

    def call_done(self, settled: ev.CallSettled) -> None:
        if not settled.certain:
            reserved = self.state.ledger.reserved.get((settled.attempt, settled.call), 0)
            settled = settled._replace(cost_nusd=reserved)
        self.scheduler.call_done(settled)

    def bound(self, event: ev.AttemptBound) -> None:
        self.scheduler.bound(event)

    def waits(self, task: str, n: int, waiting: bool) -> None:
        self._engine.wait(task, n, waiting)

    def beat(self, task: str, n: int) -> None:
        self._engine.beat(task, n)

    def transcript(self, task: str) -> Path | None:
        if self._folder is None:
            return None
        folder = task_folder(self._folder, task)
        make_folder(folder, self._folder.parent)
        return folder / "transcript.jsonl"


UNREADABLE = Made(b"", "", "bad_output", "the output cannot be read")


def _safely(read: Callable[..., Any], *args: Any) -> Any:
    """What an agent returned is data from outside: whatever it does to a reader, the run goes on."""
    try:
        return read(*args)
    except Exception:
        return None


def _source(kept: Kept) -> str:
    return f"{kept.run}/{kept.task}#{kept.n}"


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e6)
