"""The façade for programs: the pattern functions, and plans that check and run themselves."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

from stretto.errors import StrettoError
from stretto.estimate import Estimate
from stretto.journal.sqlite import SqliteJournal
from stretto.lint.checklist import Tick
from stretto.lint.review import Review
from stretto.models import BUILTIN, Catalogue
from stretto.plan import model
from stretto.plan.finding import Finding, PlanError
from stretto.run import NO_CAP, Options, Outcome, history_of, run_plan
from stretto.run.before import forecast, refuse_unticked, reviewed
from stretto.spec import patterns
from stretto.spec.compile import compile_plan
from stretto.spec.patterns import Input, Root
from stretto.spec.placing import raw_of
from stretto.spec.python import is_being_read
from stretto.spec.roles import BUILTIN as BUILTIN_ROLES
from stretto.spec.roles import Roles, read_roles
from stretto.spec.settings import read_settings

__all__ = [
    "Group",
    "Input",
    "Plan",
    "Task",
    "fan_out",
    "hierarchy",
    "map_reduce",
    "pipeline",
    "scatter_gather",
]


def check(plan: Root, root: str | PurePath = ".") -> list[Finding]:
    """Every finding, as `stretto check` prints them, priced with the history of the project at `root`."""
    return list(_reviewed(plan, root).findings)


def checklist(plan: Root, root: str | PurePath = ".") -> tuple[Tick, ...]:
    """The seven items of the checklist, as `stretto check` prints them below the findings."""
    return _reviewed(plan, root).checklist


def compiled(
    plan: Root, on: str = "messages", catalogue: Catalogue = BUILTIN, roles: Roles = BUILTIN_ROLES
) -> model.Plan:
    """The plan as data. Raises PlanError with every finding when it cannot run."""
    return _sound(plan, on, catalogue, roles)[0]


def estimate(
    plan: Root,
    on: str = "messages",
    *,
    inputs: dict[str, Any] | None = None,
    parallel: int | None = None,
    seed: int = 0,
    root: str | PurePath = ".",
) -> Estimate:
    """What `stretto estimate` prints, with the history and the kept results of the project at `root`.

    `.data()` of it is JSON. Starts and writes nothing.
    """
    catalogue = _catalogue(root)
    made = compiled(plan, on, catalogue, read_roles(root))
    options = _options(plan, made, catalogue, on=on, inputs=inputs, parallel=parallel, seed=seed)
    project = Path(root).absolute()
    journal = SqliteJournal(project)
    try:
        return forecast(made, options, journal, project)
    finally:
        journal.close()


async def run(
    plan: Root,
    *,
    on: str = "messages",
    usd: float | str | Decimal | None = None,
    inputs: dict[str, Any] | None = None,
    parallel: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    approve: bool = False,
    unchecked: bool = False,
    root: str | PurePath = ".",
) -> Outcome:
    """Carries the plan out as a new run in the project at `root`, as `stretto run` does.

    `usd` is the cap in dollars, or "none" to insist on having none; `unchecked` spends money although an item
    of the checklist has no tick. Raises StrettoError before anything has happened; a task that fails shows in
    the outcome: `outcome.value("task")` reads any result.
    """
    if is_being_read():
        # `stretto run FILE` reads the plan first; a file that also runs it would pay twice.
        raise StrettoError(
            "run-while-read",
            f"{_file_of(plan)} runs its plan while it is only being read",
            at=plan.at,
            next='put this under `if __name__ == "__main__":`',
        )
    settings = read_settings(Path(root).absolute())
    made, findings = _sound(plan, on, settings.catalogue, read_roles(root))
    options = _options(plan, made, settings.catalogue, on=on, inputs=inputs, parallel=parallel, seed=seed)
    options.cap_nusd = None if usd is None else NO_CAP if usd == "none" else int(Decimal(str(usd)) * 10**9)
    options.fresh, options.approve = fresh, approve
    project = Path(root).absolute()
    journal = SqliteJournal(project)
    try:
        if not unchecked:
            refuse_unticked(made, findings, options, journal, project, settings.accept)
        return await run_plan(made, options, journal, project)
    finally:
        journal.close()


def run_sync(plan: Root, **options: Any) -> Outcome:
    """The same for a program without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run(plan, **options))
    raise StrettoError(
        "loop-is-running",
        "an event loop is running here already, so run_sync() would stop it",
        at=plan.at,
        next="write `await plan.run()`",
    )


class Task(patterns.Task):
    """One piece of agent work: a prompt, a command (`run=`) or a Python function (`call=`)."""

    __slots__ = ()

    check = check
    checklist = checklist
    estimate = estimate
    run = run
    run_sync = run_sync


class Group(patterns.Group):
    """Tasks that belong together; stands wherever a task can, and is a plan by itself."""

    __slots__ = ()

    check = check
    checklist = checklist
    estimate = estimate
    run = run
    run_sync = run_sync


class Plan(patterns.Plan):
    """A plan with a name, inputs and limits of its own."""

    __slots__ = ()

    check = check
    checklist = checklist
    estimate = estimate
    run = run
    run_sync = run_sync


fan_out = Group.fan_out
pipeline = Group.pipeline
scatter_gather = Group.scatter_gather
hierarchy = Group.hierarchy
map_reduce = Group.map_reduce


def _sound(plan: Root, on: str, catalogue: Catalogue, roles: Roles) -> tuple[model.Plan, list[Finding]]:
    """The plan with warnings and hints. Raises PlanError with every finding when it cannot run."""
    made, findings = compile_plan(
        raw_of(plan), source=_file_of(plan), on=on, catalogue=catalogue, roles=roles
    )
    if made is None or any(f.severity == "error" for f in findings):
        raise PlanError(findings, _file_of(plan))
    return made, findings


def _reviewed(plan: Root, root: str | PurePath, on: str = "messages") -> Review:
    """What there is to say of a plan, of one with errors too."""
    settings = read_settings(Path(root).absolute())
    made, findings = compile_plan(
        raw_of(plan),
        source=_file_of(plan),
        on=on,
        catalogue=settings.catalogue,
        roles=read_roles(root),
        even_broken=True,
    )
    inputs = {} if made is None else {name: given.default for name, given in made.inputs.items()}
    options = Options(on=on, inputs=inputs, catalogue=settings.catalogue)
    journal = SqliteJournal(Path(root).absolute())
    try:
        return reviewed(made, findings, options, history_of(journal, on), accept=settings.accept)
    finally:
        journal.close()


def _catalogue(root: str | PurePath) -> Catalogue:
    return read_settings(Path(root).absolute()).catalogue


def _options(
    plan: Root,
    made: model.Plan,
    catalogue: Catalogue,
    *,
    on: str,
    inputs: dict[str, Any] | None,
    parallel: int | None,
    seed: int,
) -> Options:
    folder = Path(_file_of(plan)).absolute().parent
    return Options(
        on=on,
        inputs={**{name: given.default for name, given in made.inputs.items()}, **(inputs or {})},
        parallel=parallel,
        seed=seed,
        folder=str(folder) if folder.is_dir() else "",
        catalogue=catalogue,
    )


def _file_of(plan: Root) -> str:
    """The file in which a plan was built, of `file:line:col`."""
    return str(PurePath(plan.at.rsplit(":", 2)[0]))
