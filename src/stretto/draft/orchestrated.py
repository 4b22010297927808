"""The same small job under a planner, parts, checks and a synthesis: only to say what that would cost."""

from __future__ import annotations

from dataclasses import replace

from stretto.estimate import Estimate
from stretto.lint.words import duration
from stretto.models.money import usd
from stretto.plan.model import Each, Plan, Task

PARTS = 3
"""In so many parts a small job is split by those who split it."""


def orchestrated(plan: Plan) -> Plan:
    """A plan of one task as people overdo it."""
    task = plan.tasks[0]
    assert isinstance(task, Task)
    work = replace(
        task, id="part", check=None, needs=("plan",), each=Each(over=list(range(PARTS)), max=PARTS)
    )
    judge = f"Check this part of the work against the task.\n{task.prompt}"
    tasks = (
        Task(id="plan", prompt=f"Plan how to split this.\n{task.prompt}", model="opus", tools=task.tools),
        work,
        Task(id="check", prompt=judge, model="haiku", needs=("part",), each=work.each),
        Task(
            id="join",
            prompt=f"Join them.\n{task.prompt}",
            model="sonnet",
            needs=("part", "check"),
        ),
    )
    return replace(plan, tasks=tasks)


def compared(alone: Estimate, other: Estimate) -> str:
    """What one agent costs beside a planner with its agents; empty where no price is known."""
    if alone.nusd is None or other.nusd is None or alone.seconds is None or other.seconds is None:
        return ""
    times = [duration(round(of.seconds.expected)) for of in (alone, other) if of.seconds is not None]
    money = [usd(round(of.nusd.expected)) for of in (alone, other) if of.nusd is not None]
    return (
        f"One agent does it for about {money[0]} in {times[0]}; a planner, {PARTS} parts, their checks and a "
        f"synthesis would cost about {money[-1]} and take {times[-1]}"
    )
