"""The estimate of a plan: samples for money, plays of the scheduler for time, and other ways to do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stretto.estimate.baselines import baselines_of
from stretto.estimate.binding import binding_of
from stretto.estimate.pieces import Piece, Widths, pieces_of
from stretto.estimate.result import Covered, Estimate, GroupEstimate, Range, Samples
from stretto.estimate.sampling import Row, Sampler, errors_of, money_of, points_of, ranges
from stretto.estimate.timing import Played, Stage, plays
from stretto.estimate.worst import worst_case
from stretto.models import BUILTIN, Catalogue, is_free
from stretto.models.choice import Chooser
from stretto.models.facts import ladder_of
from stretto.models.history import History
from stretto.plan.graph import Graph, build
from stretto.plan.model import Plan

LEAST_PLAYS = 20
MOST_PLAYS = 200
PATIENT_S = 4.0
"""With so much time there are at least twenty plays, however large the plan is."""
HASTY_PLAYS = 3
PLAYING = 0.75
"""The share of the time for plays; the rest is for the limits and the baselines."""


def estimate(
    plan: Plan,
    on: str,
    *,
    graph: Graph | None = None,
    catalogue: Catalogue = BUILTIN,
    history: History | None = None,
    inputs: Mapping[str, Any] | None = None,
    kept: Mapping[str, Any] | Callable[[str], Any] | None = None,
    lengths: Mapping[str, int] | None = None,
    free: Callable[[str], bool] = is_free,
    parallel: int | None = None,
    seed: int = 0,
    samples: int = 1000,
    time_s: float = 8.0,
) -> Estimate:
    """What the plan will cost and how long it will take, if it comes to its end.

    Money and tokens come from `samples` draws of every task, time from as many plays of the real scheduler
    as fit `time_s` seconds. `kept` has the tasks of which a result is there already, by id; `lengths` has the
    lists that an earlier look has found, by path. Nothing is started, and nothing is written.
    """
    until_s = time.monotonic() + time_s
    graph = graph or build(plan)
    chooser = Chooser(catalogue, history if history is not None else History(), seed=seed)
    widths = Widths(inputs or {}, lengths)
    covered = _covered(kept, plan, on, graph, chooser, free, widths)
    pieces = pieces_of(plan, on, graph, chooser, free, covered, inputs)
    sampler = Sampler(widths, samples, seed)
    sampler.add(pieces)
    stage = Stage(
        plan=plan,
        graph=graph,
        on=on,
        models=_models(plan, on, pieces, catalogue),
        chooser=chooser,
        free=free,
        widths=widths,
        pieces={piece.element.path: piece for piece in pieces if not piece.grown},
        kept=covered.__contains__,
        parallel=parallel or plan.limits.parallel,
        seed=seed,
    )
    least = LEAST_PLAYS if time_s >= PATIENT_S else HASTY_PLAYS
    playing_s = PLAYING * (until_s - time.monotonic())
    played = plays(stage, playing_s, least=least, most=MOST_PLAYS)
    seconds = points_of([play.seconds for play in played])
    nusd = None if sampler.unknown else money_of(sampler.total.nusd)
    sequential = points_of(sampler.total.busy_s)
    certain = all(row.known_seconds == "declared" for row in sampler.rows)
    return Estimate(
        plan=plan.name,
        on=on,
        nusd=nusd,
        seconds=seconds,
        tokens=points_of(sampler.total.tokens),
        sequential_seconds=sequential.expected,
        groups=tuple(_groups(sampler.rows, played)),
        critical_path=_middle(played).path,
        binding=binding_of(stage, played, seconds, until_s),
        worst=worst_case(plan, on, graph, free, catalogue),
        baselines=baselines_of(
            stage, pieces, played, nusd, sequential.expected, certain=certain, until_s=until_s
        ),
        covered=_kept_worth(pieces, covered),
        samples=_samples(sampler, played, samples),
        unknown=tuple(dict.fromkeys(f"{what}: no price is known" for what in sampler.unknown)),
        nusd_at_least=money_of(sampler.total.nusd).expected if sampler.unknown else 0.0,
        resolved=stage.models,
    )


def _samples(sampler: Sampler, played: Sequence[Played], samples: int) -> Samples:
    of_money = None if sampler.unknown else errors_of(sampler.total.nusd)
    return Samples(samples, len(played), of_money, errors_of([play.seconds for play in played]))


def _covered(
    kept: Mapping[str, Any] | Callable[[str], Any] | None,
    plan: Plan,
    on: str,
    graph: Graph,
    chooser: Chooser,
    free: Callable[[str], bool],
    widths: Widths,
) -> Mapping[str, Any]:
    """The ids of all tasks with a kept result; a function is asked about every task whose id is known."""
    if kept is None:
        return {}
    if isinstance(kept, Mapping):
        return kept
    pieces = pieces_of(plan, on, graph, chooser, free)
    asked = ((id, kept(id)) for piece in pieces for id in widths.ids(piece.element))
    return {id: found for id, found in asked if found}


def _models(plan: Plan, on: str, pieces: Sequence[Piece], catalogue: Catalogue) -> dict[str, str]:
    """As `run.models_used`: the id of each `agent/name` that a task may be tried on."""
    names = {(on, "auto")}
    for piece in pieces:
        task = piece.task
        names |= {(piece.agent, name) for name in (task.model, *ladder_of(task, catalogue))}
        if task.check is not None and task.check.prompt:
            names.add((task.check.agent(on), task.check.model))
    known = {(agent.partition(":")[0], name) for agent, name in names}
    return {f"{agent}/{name}": catalogue.resolve(name, agent).id for agent, name in sorted(known)}


def _groups(rows: Sequence[Row], played: Sequence[Played]) -> list[GroupEstimate]:
    spans = [[_span(play, row.id) for play in played] for row in rows]
    return [
        GroupEstimate(
            id=row.id,
            tasks=row.tasks,
            nusd=None if row.unknown else row.nusd,
            seconds=seconds,
            tokens=row.tokens,
            known=row.known,
            known_seconds=row.known_seconds,
            covered=row.covered,
            nusd_at_least=row.nusd.expected if row.unknown else 0.0,
        )
        for row, seconds in zip(rows, _ranges_of(spans), strict=True)
    ]


def _span(play: Played, id: str) -> float:
    """From a part's first start to its last end; nothing where all of it is covered."""
    return play.ends.get(id, 0.0) - play.starts.get(id, 0.0)


def _ranges_of(rows: list[list[float]]) -> list[Range]:
    return ranges(rows) if rows else []


def _kept_worth(pieces: Sequence[Piece], covered: Mapping[str, Any]) -> Covered:
    """What kept results would cost anew, each by the figure of its task."""
    nusd: float | None = 0.0
    for piece in pieces:
        if not piece.covered or piece.lump is not None:
            continue
        declared = piece.declared_nusd
        anew = piece.rungs[0].figure.nusd if piece.rungs and declared is None else float(declared or 0)
        nusd = None if nusd is None or anew is None else nusd + piece.covered * anew
    return Covered(len(covered), nusd, tuple(covered))


def _middle(played: Sequence[Played]) -> Played:
    """The play whose length is the median."""
    return sorted(played, key=lambda play: play.seconds)[(len(played) - 1) // 2]
