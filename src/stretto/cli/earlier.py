"""What `run --only` takes from an earlier run instead of doing it."""

from __future__ import annotations

from stretto.errors import StrettoError
from stretto.journal import Kept
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Plan, tasks_in
from stretto.report import History, read, tasks_of
from stretto.scheduler.vertex import SUCCEEDED, good

SAMPLE = "-sample"
"""How the name of a run ends that carried out only the first items of a plan's lists."""
LOOKED_AT = 20
"""How many runs of the same plan are looked through, the newest first."""


def taken_from(journal: SqliteJournal, plan: Plan, only: str) -> dict[str, Kept]:
    """Results by task id, from the newest run of a plan of this name that has all that `only` needs.

    `plan` is pruned to `only` already. Raises `no-earlier-run`, with what is missing in the newest one.
    """
    needed = [task.id for task in tasks_in(plan.tasks) if task.isolation and task.id != only.split(".")[-1]]
    if needed:
        raise StrettoError(
            "no-earlier-run",
            f"{only!r} starts from the branch of {needed[0]!r}, and branches are not taken from earlier runs",
            next=f"`--until {only}` instead of `--only {only}` runs what it needs too",
        )
    missing = ""
    runs = [i for i in journal.runs() if i.plan_name == plan.name and not i.run.endswith(SAMPLE)]
    for info in runs[:LOOKED_AT]:
        history = read(journal, info.run)
        lacking = _lacking(history, plan, only)
        if not lacking:
            return _results(history, only)
        missing = missing or f"; {info.run}, the newest, has no result of {', '.join(lacking)}"
    raise StrettoError(
        "no-earlier-run",
        f"no earlier run of {plan.name!r} has all that {only!r} needs{missing}",
        next=f"`--until {only}` instead of `--only {only}` runs what it needs too",
    )


def _lacking(history: History, plan: Plan, only: str) -> list[str]:
    own = only.split(".")[0]
    found = []
    for part in plan.tasks:
        vertex = history.state.vertices.get(part.id)
        if part.id == only:
            continue
        if vertex is None or (part.id != own and not good(vertex)):
            found.append(part.id)
    return found


def _results(history: History, only: str) -> dict[str, Kept]:
    taken: dict[str, Kept] = {}
    for vertex in tasks_of(history.state):
        path = vertex.element.path
        if vertex.state != SUCCEEDED or path == only or path.startswith(f"{only}."):
            continue
        spent, held = history.state.task_nusd.get(vertex.id, (0, 0))
        n = max(1, vertex.n)
        taken[vertex.id] = Kept(history.run, vertex.id, n, vertex.output, vertex.size, spent + held)
    return taken
