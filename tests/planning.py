"""Runs with planners that answer what they are told to, for the tests of hierarchies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from stretto import events as ev
from stretto.agents import Work
from tests.stage import Actor, Stage

PLAN = """
tasks:
  p: {prompt: Plan it, grow: plan}
  end: {prompt: Integrate, needs: [p]}
"""


def planners(*answers: Any) -> Callable[[Work], Any]:
    """Planners answer one of these after the other, the last one again and again; the others say their id."""
    left = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]

    def answer(work: Work) -> Any:
        if not work.task.endswith(".plan"):
            return f"did {work.task}"
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def staged(*answers: Any) -> Stage:
    return Stage(Actor(planners(*answers)))


def happened(stage: Stage, kind: type, run: str = "r") -> list[Any]:
    return [row.event for row in stage.journal.read(run) if isinstance(row.event, kind)]


def grown(stage: Stage, run: str = "r") -> list[Any]:
    return [task for grew in happened(stage, ev.PlanGrew, run) for task in grew.tasks]


def ends(stage: Stage) -> list[str]:
    return [e.outcome for e in happened(stage, ev.AttemptEnded) if e.task.endswith("p.plan")]
