"""The one JSON form of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from stretto.errors import StrettoError
from stretto.journal import Journal
from stretto.models.catalogue import BUILTIN, Catalogue
from stretto.report.bill import Entry, Taken, total
from stretto.report.estimated import estimated_of
from stretto.report.merged import merged_of
from stretto.report.passed import passed_of
from stretto.report.rest import cap_that_does, foreseen_in, rest_of
from stretto.report.savings import savings_of
from stretto.report.story import History, Planned, Story, error_of, status_of, tasks_of
from stretto.scheduler.choosing import MODELLESS
from stretto.scheduler.vertex import STATES, TaskVertex

SCHEMA = "stretto/run/1"
NUSD = 1_000_000_000
ENDED = ("succeeded", "failed", "cancelled")


def dollars(nusd: int | None) -> float | None:
    """Dollars as a JSON number; exact to the nano-dollar up to a million dollars."""
    return None if nusd is None else nusd / NUSD


def data_of(
    history: History,
    live: bool,
    outputs: dict[str, str],
    journal: Journal | None = None,
    catalogue: Catalogue = BUILTIN,
) -> dict[str, Any]:
    """The one JSON form of a run; `outputs` maps a task to the path of a file with its output.

    Without a journal the estimate and the decision records, which are blobs, are left out.
    """
    state, ledger = history.state, history.state.ledger
    paused = state.paused
    unpriced = history.unpriced
    estimated = None if journal is None else estimated_of(journal, history)
    merged = None if journal is None else merged_of(journal, state)
    passed = passed_of(history)
    tiers = tiers_of(history, catalogue)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "run": history.run,
        "plan": history.plan.name,
        "status": status_of(history, live),
        "why": paused.why if paused is not None else "",
        "usd": None if unpriced else dollars(ledger.spent_nusd),
        "usd_held": dollars(ledger.held_nusd),
        "usd_cap": dollars(ledger.cap_nusd),
        "saved_usd": dollars(state.saved_nusd),
        "seconds": round(history.seconds, 3),
        "tokens": history.tokens,
        "tiers": [{"tier": name, **taken_data(taken)} for name, taken in tiers.items()],
        "roles": {role: taken_data(a) for role, a in history.bill.by(lambda entry: entry.role).items()},
        "groups": _groups(history),
        "estimate": None if estimated is None else estimated.data(),
        "pass_rate": passed.data(),
        "savings": [saving.data(passed) for saving in savings_of(history, estimated, catalogue)],
        "switched": [switch._asdict() for switch in state.switched],
        "planned": [_planned_data(planned) for planned in history.planned],
        "left": _left(history, live, journal),
        "merge": None if merged is None else merged.data(),
        "tasks": [_task_data(history, vertex, outputs) for vertex in tasks_of(history.state)],
        "attempts": list(_attempts(history, journal, catalogue)),
    }
    if unpriced:
        data["unpriced"] = True
        data["usd_known"] = dollars(ledger.spent_nusd)
    return data


def tier_by(catalogue: Catalogue) -> Callable[[Entry], str]:
    """Says the tier of whoever answered; of a model without one its name, of no model its agent."""
    known: dict[str, str] = {}

    def tier(entry: Entry) -> str:
        found = known.get(entry.model)
        if found is None:
            found = known[entry.model] = catalogue.info(entry.model).tier or entry.model
        return found or entry.agent.partition(":")[0]

    return tier


def tiers_of(history: History, catalogue: Catalogue, role: str = "") -> dict[str, Taken]:
    """What each tier took (for a role), from weak to strong; models without a tier come last."""
    tier = tier_by(catalogue)
    found: dict[str, Taken] = {}
    for entry in history.bill:
        if not role or entry.role == role:
            found.setdefault(tier(entry), Taken()).add(entry.taken)
    order = {name: place for place, name in enumerate(catalogue.tiers)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def taken_data(taken: Taken) -> dict[str, Any]:
    """Unknown money is null; `usd_held` is there where something is held."""
    data: dict[str, Any] = {
        "usd": None if taken.unpriced else dollars(taken.spent_nusd),
        "calls": taken.calls,
        "tokens": taken.tokens,
    }
    if taken.held_nusd:
        data["usd_held"] = dollars(taken.held_nusd)
    return data


def _groups(history: History) -> list[dict[str, Any]]:
    """The top-level parts of the plan; a task that stands there alone is one."""
    totals = history.bill.by(lambda entry: entry.part)
    found = []
    for id, row in history.state.rows.items():
        began, ended = history.spans.get(id, (0.0, 0.0))
        found.append(
            {
                "id": id,
                "state": STATES[history.state.vertices[id].state],
                "tasks": row.total,
                **taken_data(totals.get(id, Taken())),
                "seconds": round(ended - began, 3),
            }
        )
    return found


def _planned_data(planned: Planned) -> dict[str, Any]:
    group, by, depth, tasks, nusd, noted = planned
    return {
        "group": group,
        "by": by,
        "depth": depth,
        "tasks": tasks,
        "usd_expected": dollars(nusd),
        "noted": noted,
    }


def _left(history: History, live: bool, journal: Journal | None) -> dict[str, Any] | None:
    """What a resume has before it; null where there is none to come, or somebody is at it."""
    if live or history.state.status in ENDED:
        return None
    rest = rest_of(history.state, foreseen=foreseen_in(journal, history.state))
    return {
        "tasks": len(rest.redone) + rest.waiting,
        "growing": rest.growing,
        "usd": dollars(rest.nusd),
        "usd_high": dollars(rest.high_nusd),
        "by": rest.by,
        "usd_cap": dollars(cap_that_does(history.state, rest)),
    }


def _attempts(history: History, journal: Journal | None, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    records = Records(journal)
    for vertex in tasks_of(history.state):
        story = history.stories.get(vertex.id)
        if story is None:
            continue
        for t in story.tries:
            taken = total(entry for entry in history.bill.of_task(vertex.id) if entry.n == t.n)
            modelless = t.agent.partition(":")[0] in MODELLESS
            yield {
                "id": f"{vertex.id}#{t.n}",
                "task": vertex.id,
                "role": t.role,
                "agent": t.agent.partition(":")[0] or None,
                "model": None if modelless else t.model or None,
                "tier": None if modelless else catalogue.info(t.model).tier or None,
                "effort": t.effort or None,
                "rung": t.rung,
                "why": t.why,
                "outcome": t.outcome or None,
                "error": t.error or None,
                **taken_data(taken),
                "seconds": round((t.ended_us - t.started_us) / 1e6, 3) if t.ended_us else None,
                "choice": records.of(t.choice),
            }


class Records:
    """The decision records of a run; the items of a template mostly share one."""

    def __init__(self, journal: Journal | None):
        self._journal = journal
        self._known: dict[str, dict[str, Any] | None] = {"": None}

    def of(self, sha: str) -> dict[str, Any] | None:
        """None also for a record that is gone or damaged, which `stretto doctor` tells."""
        if sha not in self._known:
            self._known[sha] = self._read(sha)
        return self._known[sha]

    def _read(self, sha: str) -> dict[str, Any] | None:
        if self._journal is None:
            return None
        try:
            record = json.loads(self._journal.blob(sha))
        except (StrettoError, ValueError):
            return None
        return record if isinstance(record, dict) else None


def _task_data(history: History, vertex: TaskVertex, outputs: dict[str, str]) -> dict[str, Any]:
    story = history.stories.get(vertex.id) or Story()
    spent, held = history.state.task_nusd.get(vertex.id, (0, 0))
    work = story.work
    kind = work.agent.partition(":")[0] if work is not None else ""
    data: dict[str, Any] = {
        "id": vertex.id,
        "state": STATES[vertex.state],
        "agent": kind or None,
        "model": None if work is None or kind in MODELLESS else work.model or None,
        "attempts": story.attempts,
        "usd": None if story.unpriced else dollars(spent),
        "seconds": round(vertex.seconds, 3),
        "output_path": outputs.get(vertex.id),
        "error": error_of(history, vertex) or None,
    }
    if held:
        data["usd_held"] = dollars(held)
    if story.unpriced:
        data["unpriced"] = True
    if story.source:
        data["source"] = story.source
        data["saved_usd"] = dollars(story.saved_nusd)
    return data
