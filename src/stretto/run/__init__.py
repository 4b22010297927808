"""Starts, resumes and steers runs: what a command or a program calls."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import stretto
from stretto import events as ev
from stretto.agents.command import end_leftover, end_marked
from stretto.agents.registry import Roster
from stretto.errors import (
    EXIT_INTERRUPTED,
    EXIT_LIMIT,
    EXIT_OK,
    EXIT_PROBLEM,
    StrettoError,
    bug,
)
from stretto.journal import Journal, Kept, RunJournal
from stretto.models import BUILTIN, Catalogue
from stretto.models.belief import PRIORS, Priors
from stretto.models.choice import Chooser
from stretto.models.facts import ladder_of
from stretto.models.history import History
from stretto.plan.graph import Graph, build
from stretto.plan.model import Group, Part, Plan, Task, canonical, plan_from_data, plan_text, planned_by
from stretto.run.isolated import Isolation, base_of, isolation_of
from stretto.run.loop import Agents, Loop, Observer, Reuse
from stretto.run.outputs import blob_of
from stretto.run.values import Values
from stretto.scheduler.choosing import sort_of
from stretto.scheduler.policy import RESETS
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.state import State
from stretto.scheduler.vertex import SUCCEEDED
from stretto.spec.planner import models_for
from stretto.workspace.redact import Redactor

NO_CAP = -1
"""`--usd none`: the user insists on running without a cap."""
EVERYTHING = 10**18
"""More nano-dollars than there are: what was shown is approved, and the cap still holds."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Options:
    """How a run is wished for. Money in nano-dollars; None: as the plan says."""

    on: str = "messages"
    inputs: dict[str, Any] = field(default_factory=dict)
    cap_nusd: int | None = None
    approve: bool = False
    parallel: int | None = None
    seed: int = 0
    fresh: bool = False
    redo: Sequence[str] = ()
    """Tasks for which no kept result will do (of a new run; `resume_run` has its own)."""
    only: str = ""
    """Run this task alone; everything else is in `taken`, the results of an earlier run by task id."""
    taken: Mapping[str, Kept] = field(default_factory=dict)
    folder: str = ""
    """Where the plan's file stands, for functions beside it; empty: in the root."""
    estimate: dict[str, Any] | None = None
    """What was shown before (`Estimate.data()`): the report holds it against what happened."""
    approved_nusd: int | None = None
    """What the user has agreed to, mostly the estimate's high; above it the run asks."""
    lock: str = ""
    """The text of the lock file that this run is started from."""
    catalogue: Catalogue = BUILTIN
    shadow: float = 0.0
    """Share of accepted results that the strongest model judges once more."""
    warm: bool = True
    """One item of a fan-out may go first, to write the prompt cache for the others; False: none waits."""
    priors: Priors = PRIORS
    """Where choices start before anything is known."""
    signals: bool = False
    """Ctrl-C drains, a second one stops; only for whoever owns the process."""
    wait_for_reset: bool = False
    """Where the provider says that its window is used up, wait until it opens again, and go on."""
    control: bool = True
    """Listen to `approve` and `cancel` from other processes."""


@dataclass(slots=True)
class Outcome:
    """How a call to `run_plan` or `resume_run` ended; the state is the fold of the whole run."""

    run: str
    state: State
    values: Values
    interrupted: bool = False

    def value(self, id: str) -> Any:
        """The result of a task or group by its id; None where it has none. Raises `no-such-task`."""
        vertex = self.state.vertices.get(id)
        if vertex is None:
            known = ", ".join(list(self.state.rows)[:8])
            raise StrettoError(
                "no-such-task", f"run {self.run} has no task {id!r}", next=f"there are: {known}"
            )
        return self.values.of(vertex)

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def code(self) -> int:
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.state.status == "paused":
            return EXIT_LIMIT
        return EXIT_OK if self.state.status == "succeeded" else EXIT_PROBLEM


def parts_of(parts: Sequence[Part]) -> list[Task]:
    """Every task of a plan, templates once; after a planner, what each task of its plan is given."""
    found: list[Task] = []
    for part in parts:
        found.extend(parts_of(part.tasks) if isinstance(part, Group) else [part])
        if isinstance(part, Task) and part.grow:
            found.append(planned_by(part))
    return found


def agents_used(plan: Plan, on: str) -> set[str]:
    """Every agent that a run of this plan may ask, judges included."""
    used = set()
    for task in parts_of(plan.tasks):
        used.add(task.agent(on))
        if task.check is not None:
            used.add(task.check.agent(on))
    return used


def models_used(plan: Plan, on: str, catalogue: Catalogue = BUILTIN) -> dict[str, str]:
    """The model id that each `agent/name` of the plan stands for today."""
    names = {(on, "auto"), *((on, tier) for tier in catalogue.auto_tiers)}
    for task in parts_of(plan.tasks):
        agent, check = task.agent(on), task.check
        names |= {(agent, name) for name in (task.model, *ladder_of(task, catalogue), *catalogue.auto_tiers)}
        if check is not None and check.prompt:
            names.add((check.agent(on), check.model))
        if task.isolation:
            # Whoever mends what collides is a tier above whoever made it.
            names |= {(agent, tier) for tier in catalogue.tiers}
        if task.grow:
            # What its planner will name is frozen too.
            agent = planned_by(task).agent(on)
            names |= {(agent, name) for name in models_for(task, catalogue)}
    known = sorted({(agent.partition(":")[0], name) for agent, name in names})
    return {f"{agent}/{name}": catalogue.resolve(name, agent).id for agent, name in known}


def new_run_id(plan: Plan) -> str:
    """A name for a folder: of the plan's name what a folder's name may have, the time, and chance."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plan.name)[:24].strip("-._") or "run"
    stamp = time.strftime("%m%d-%H%M%S")
    return f"{name}-{stamp}-{secrets.token_hex(2)}"


def wall_clock() -> Callable[[], int]:
    """Microseconds since 1970 that never run backwards: the wall clock once, then the loop's own time."""
    loop = asyncio.get_running_loop()
    start_us, start_s = time.time_ns() // 1000, loop.time()
    return lambda: start_us + int((loop.time() - start_s) * 1e6)


def _check_prices(plan: Plan, options: Options, models: dict[str, str], agents: Agents) -> None:
    """A capped run refuses what it cannot price. Servers that name their models themselves answer later."""
    for task in parts_of(plan.tasks):
        agent = task.agent(options.on)
        kind = agent.partition(":")[0]
        if kind not in ("claude", "messages") or agents.free(agent):
            continue
        for name in ladder_of(task, options.catalogue):
            id = models[f"{kind}/{name}"]
            if options.catalogue.price_of(id) is None:
                raise StrettoError(
                    "unpriced-model",
                    f"no price is known for {id}, so no cap could hold",
                    at=plan.places.get(task.id, f"task {task.id!r}"),
                    next="take a model of `haiku`, `sonnet`, `opus`, write its price into `stretto.toml`,"
                    " or insist on no cap with `--usd none`",
                )


async def _end_leftovers(state: State, run: str) -> None:
    """What outlived the process that ran it must not work beside its next attempt."""
    for attempt, bound in state.bound.items():
        vertex = state.live.get(attempt)
        if vertex is not None and bound.pid is not None:
            await end_leftover(bound.pid, f"{run}/{vertex.id}/{vertex.n}")
    await end_marked(f"{run}/{vertex.id}/{vertex.n}" for vertex in state.live.values())


def _roster(root: Path, seed: int, folder: str, catalogue: Catalogue) -> Roster:
    return Roster(root, seed=seed, folder=Path(folder) if folder else None, catalogue=catalogue)


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def cap_of(plan: Plan, options: Options, agents: Agents) -> int | None:
    """The cap that holds for a new run. Raises `no-cap` where money could be spent without one."""
    cap = options.cap_nusd if options.cap_nusd is not None else plan.limits.usd_nusd
    if cap == NO_CAP:
        return None
    paid = sorted(name for name in agents_used(plan, options.on) if not agents.free(name))
    if cap is None and paid:
        raise StrettoError(
            "no-cap",
            f"this plan can spend money (agent {', '.join(paid)}) and has no cap",
            next="add `limits: {usd: 5.00}` or run with `--usd 5`; `--usd none` insists on no cap",
        )
    return cap


async def run_plan(
    plan: Plan,
    options: Options,
    journal: Journal,
    root: Path,
    *,
    agents: Agents | None = None,
    observers: Sequence[Observer] = (),
    graph: Graph | None = None,
    run: str = "",
    started: Callable[[str, Loop], None] | None = None,
) -> Outcome:
    """Carries out a plan as a new run. Raises StrettoError before anything happens, or when it could not."""
    roster = agents or _roster(root, options.seed, options.folder, options.catalogue)
    cap = cap_of(plan, options, roster)
    for name in sorted(agents_used(plan, options.on)):
        roster.get(name)  # a missing package, key or model is said before anything has started
    graph = graph or build(plan)
    if graph.problems:
        raise bug(f"a plan with problems reached the scheduler: {graph.problems[0].message}")
    models = models_used(plan, options.on, options.catalogue)
    if cap is not None:
        _check_prices(plan, options, models, roster)
    run = run or new_run_id(plan)
    base = await base_of(plan, options.on, root)
    clock = wall_clock()
    scheduler = Scheduler(plan, graph)
    blobs = [blob_of(plan_text(plan))]
    blobs += [blob_of(canonical(options.estimate))] if options.estimate is not None else []
    blobs += [blob_of(options.lock)] if options.lock else []
    begun = ev.RunStarted(
        plan=blobs[0][0],
        inputs=options.inputs,
        cap_nusd=cap,
        approved_nusd=EVERYTHING if options.approve else options.approved_nusd,
        deadline_us=None if plan.limits.time_s is None else clock() + int(plan.limits.time_s * 1e6),
        parallel=options.parallel or plan.limits.parallel,
        on=options.on,
        seed=options.seed,
        root=str(root),
        pid=os.getpid(),
        boot=boot_id(),
        version=stretto.__version__,
        models=models,
        folder=options.folder,
        estimate=blobs[1][0] if options.estimate is not None else "",
        lock=blobs[-1][0] if options.lock else "",
        tiers=[list(options.catalogue.tiers), list(options.catalogue.auto_tiers)],
        shadow=options.shadow,
        fresh=options.fresh,
        base=base,
    )
    _equip(scheduler, plan, begun, journal, options, roster)
    writer = journal.create(run, plan.name)
    try:
        scheduler.start(begun, clock())
        await writer.append(scheduler.now_us, scheduler.take()[0], blobs)
        isolation = await isolation_of(run, scheduler.state, journal.blob, root)
        if isolation is not None:
            isolation.unseen = await isolation.repository.has_changes()
        loop = _loop(scheduler, writer, journal, roster, root, clock, options, observers, isolation)
        if started is not None:
            started(run, loop)
        return await _drive(loop, roster, options)
    finally:
        writer.close()


def history_of(journal: Journal, on: str) -> History:
    """What the runs of a project have taught about one sort of agents; other sorts say nothing of it."""
    history = History()
    sort = sort_of(on)
    for outcome in journal.outcomes():
        if sort_of(outcome.agent) == sort:
            history.add(outcome)
    return history


def _equip(
    scheduler: Scheduler, plan: Plan, begun: ev.RunStarted, journal: Journal, options: Options, agents: Agents
) -> None:
    """Gives the scheduler a chooser for each sort of agents, over the tiers that the run has frozen."""
    catalogue = options.catalogue
    if begun.tiers:
        order, auto = map(tuple, begun.tiers)
        catalogue = replace(catalogue, order=order, auto_tiers=auto)
    choosers = {
        sort_of(agent): Chooser(
            catalogue,
            history_of(journal, agent),
            shadow=begun.shadow,
            seed=begun.seed,
            priors=options.priors,
        )
        for agent in {begun.on, *agents_used(plan, begun.on)}
    }
    scheduler.equip(choosers.pop(sort_of(begun.on)), agents.free, choosers)


def load_state(journal: Journal, run: str) -> tuple[Plan, Scheduler]:
    """The plan of a run and a scheduler that has folded all its events. Raises `no-such-run`."""
    rows = journal.read(run)
    first = next(iter(rows), None)
    if first is None or not isinstance(first.event, ev.RunStarted):
        known = [info.run for info in journal.runs()[:5]]
        listed = f"the newest are: {', '.join(known)}" if known else "there is none in this folder"
        raise StrettoError(
            "no-such-run", f"there is no run {run!r}", next=f"`stretto ls` lists runs; {listed}"
        )
    plan = plan_from_data(json.loads(journal.blob(first.event.plan)))
    scheduler = Scheduler(plan)
    fold = scheduler.fold
    fold(first.event, first.at_us)
    for _, at_us, event in rows:
        fold(event, at_us)
    return plan, scheduler


async def resume_run(
    run: str,
    options: Options,
    journal: Journal,
    root: Path,
    *,
    redo: Sequence[str] = (),
    release_held: bool = False,
    agents: Agents | None = None,
    observers: Sequence[Observer] = (),
    started: Callable[[str, Loop], None] | None = None,
) -> Outcome:
    """Goes on with a run that was interrupted, paused or killed.

    Raises `no-such-run`, `run-is-live`, `nothing-to-resume`, `no-such-task` or `cap-too-low`.
    """
    writer = journal.open(run)
    try:
        plan, scheduler = load_state(journal, run)
        state = scheduler.state
        begun = state.started
        assert begun is not None
        roster = agents or _roster(root, begun.seed, begun.folder, options.catalogue)
        check_resumable(state, run, redo, release_held)
        _check_cap(state, options.cap_nusd)
        _equip(scheduler, plan, begun, journal, options, roster)
        clock = wall_clock()
        paused = state.paused
        await _end_leftovers(state, run)
        scheduler.resume(os.getpid(), boot_id(), clock())
        deadline = _new_deadline(plan, state, clock())
        if (
            paused is not None
            or options.cap_nusd is not None
            or options.approve
            or deadline != state.deadline_us
        ):
            approved = EVERYTHING if options.approve else options.approved_nusd
            scheduler.proceed("resume", options.cap_nusd, approved, deadline)
            if paused is not None and paused.why == "approval" and not _approves(approved, paused.need_nusd):
                scheduler.pause("approval", need=paused.need_nusd, note=paused.note)
            elif paused is not None and options.wait_for_reset and _opens_later(paused, clock()):
                scheduler.pause(paused.why, until_us=paused.until_us, note=paused.note)
        if release_held:
            scheduler.release_held("resume")
        isolation = await isolation_of(run, state, journal.blob, root)
        if redo and isolation is not None:
            await isolation.restore()
        for task in redo:
            _redo(scheduler, task)
        loop = _loop(scheduler, writer, journal, roster, root, clock, options, observers, isolation)
        if started is not None:
            started(run, loop)
        return await _drive(loop, roster, options)
    finally:
        writer.close()


def _approves(approved_nusd: int | None, need_nusd: int | None) -> bool:
    """Whether what was said now covers what the run has asked for; silence is no consent."""
    return approved_nusd is not None and (need_nusd is None or approved_nusd >= need_nusd)


def _opens_later(paused: ev.RunPaused, now_us: int) -> bool:
    """Whether the provider has said that it serves us again, and that is still to come."""
    return paused.why in RESETS and paused.until_us is not None and paused.until_us > now_us


def _new_deadline(plan: Plan, state: State, now_us: int) -> int | None:
    """A run that stopped at its deadline gets its whole time again when somebody resumes it."""
    if plan.limits.time_s is None or state.deadline_us is None or state.deadline_us > now_us:
        return state.deadline_us
    return now_us + int(plan.limits.time_s * 1e6)


def check_resumable(state: State, run: str, redo: Sequence[str], release_held: bool) -> None:
    ended = state.status in ("succeeded", "failed", "cancelled")
    if ended and state.status == "cancelled":
        raise StrettoError(
            "nothing-to-resume", f"run {run} was cancelled", next="start it anew: `stretto run PLAN`"
        )
    if ended and not redo and not release_held:
        hint = "run `stretto resume RUN --redo TASK` to do a task and what is below it again"
        raise StrettoError("nothing-to-resume", f"run {run} has ended: {state.status}", next=hint)
    for task in redo:
        vertex = state.vertices.get(task)
        if vertex is None:
            raise StrettoError(
                "no-such-task", f"run {run} has no task {task!r}", next=f"`stretto show {run}` lists them"
            )


def _check_cap(state: State, cap_nusd: int | None) -> None:
    """A cap below what is spent and held could not hold; what was in flight at a crash will be held."""
    used = state.ledger.committed_nusd
    if cap_nusd is not None and cap_nusd != NO_CAP and cap_nusd < used:
        dollars = f"${used / 1e9:.4f}"
        raise StrettoError(
            "cap-too-low", f"{dollars} are spent or held already", next="give a higher cap with --usd"
        )


def _redo(scheduler: Scheduler, task: str) -> None:
    vertex = scheduler.state.vertices.get(task)
    if vertex is not None and vertex.state >= SUCCEEDED:
        scheduler.redo(task, "resume --redo")


def _loop(
    scheduler: Scheduler,
    writer: RunJournal,
    journal: Journal,
    agents: Agents,
    root: Path,
    clock: Callable[[], int],
    options: Options,
    observers: Sequence[Observer],
    isolation: Isolation | None,
) -> Loop:
    folder, begun = journal.run_folder(writer.run), scheduler.state.started
    assert begun is not None
    scheduler.warming.may_wait = options.warm
    return Loop(
        scheduler,
        writer,
        journal,
        agents,
        root=root,
        clock=clock,
        redactor=Redactor(os.environ),
        folder=folder,
        reuse=Reuse(options.fresh or begun.fresh, options.redo, options.only, options.taken),
        observers=observers,
        parks=options.wait_for_reset,
        isolation=isolation,
    )


async def _drive(loop: Loop, agents: Agents, options: Options) -> Outcome:
    interrupts = 0

    def interrupted() -> None:
        nonlocal interrupts
        interrupts += 1
        (loop.drain if interrupts == 1 else loop.stop)()

    running = asyncio.get_running_loop()
    if options.signals:
        for number in STOPPING:
            running.add_signal_handler(number, interrupted)
    listener = running.create_task(loop.listen()) if options.control else None
    try:
        await loop.drive()
    finally:
        if listener is not None:
            listener.cancel()
        if options.signals:
            for number in STOPPING:
                running.remove_signal_handler(number)
        if isinstance(agents, Roster):
            await agents.aclose()
        if loop.isolation is not None:
            await loop.isolation.finish()
    paused = loop.state.paused
    # Whoever interrupts a run that has paused for another reason, or waits for a reset, still interrupted it.
    user = paused is not None and (interrupts > 0 or paused.why == "user")
    return Outcome(loop.run_journal.run, loop.state, loop.values, interrupted=user)
