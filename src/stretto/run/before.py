"""What is known before a run starts: what the project has learned, and which results are kept for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stretto import events as ev
from stretto.agents.registry import Roster, free
from stretto.errors import StrettoError
from stretto.estimate import Estimate, estimate
from stretto.journal import Journal, Kept
from stretto.lint.review import ChecklistError, Review, review
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.plan.graph import Graph, build
from stretto.plan.model import Plan, Task
from stretto.plan.references import only_ref
from stretto.run import Options, agents_used, cap_of, history_of, models_used
from stretto.run.loop import Agents, Reuse
from stretto.run.prepare import Preparer, fill
from stretto.run.values import Values, as_list
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.vertex import GroupVertex, TaskVertex
from stretto.spec.settings import Reason

TIME_S = 8.0
"""How long an estimate may take."""


class Outlook:
    """A run that is only looked at: it takes every kept result that the real one would, and starts nothing.

    What depends on covered tasks alone is looked up too, because their outputs are there to be read. Nothing
    is written; of a task whose inputs are not known yet nothing is said.
    """

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        journal: Journal,
        root: Path,
        agents: Agents,
        chooser: Chooser,
        *,
        on: str,
        inputs: dict[str, Any],
        models: Mapping[str, str],
        seed: int = 0,
        reuse: Reuse | None = None,
    ):
        self.lengths: dict[str, int] = {}
        """How long the lists are that could be read, by the path of their `each`."""
        self._journal = journal
        self._reuse = reuse or Reuse()
        self._scheduler = scheduler = Scheduler(plan, graph, chooser, agents.free)
        scheduler.start(
            ev.RunStarted("", inputs, None, None, None, 1, on, seed, str(root), 0, "", "", dict(models)), 0
        )
        self._values = Values(scheduler.state, journal.blob, inputs)
        self._preparer = Preparer(self._values, "", root, seed, scheduler.choices.of, agents.identity)

    def covered(self, enough: Callable[[], bool] = lambda: False) -> dict[str, Kept]:
        """The kept result of each task that has one, by id; fewer where `enough` stops the search."""
        found: dict[str, Kept] = {}
        scheduler = self._scheduler
        if self._reuse.fresh:
            return found
        more = True
        while more:
            more = False
            while (group := scheduler.next_growing()) is not None:
                more = self._grow(group) or more
            for vertex in scheduler.picks():
                if enough():
                    return found
                kept = self._kept(vertex)
                if kept is not None:
                    found[vertex.id] = kept
                    key = vertex.key or "-"
                    scheduler.reuse(vertex, kept.output, kept.size, key, f"{kept.run}/{kept.task}", 0)
                    more = True
        scheduler.take()
        return found

    def _grow(self, group: GroupVertex) -> bool:
        """Makes the members of a group whose list can be read now; a planner's plan cannot."""
        element = group.element
        part = element.part if element is not None else None
        try:
            if part is not None and part.each is not None:
                over = part.each.over
                items = as_list(fill(over, self._values.lookup(group)), over)
                if len(items) <= part.each.max:
                    self._scheduler.grew(group, "", items)
                    if element is not None and group.id == element.path:
                        self.lengths[group.id] = len(items)
                    return True
            elif isinstance(part, Task) and (ref := only_ref(part.reduce)) is not None:
                self._scheduler.grew(group, "", [len(self._values.entries(group, ref))])
                return True
        except (StrettoError, ValueError):
            pass  # the run will say what is wrong with it
        return False

    def _kept(self, vertex: TaskVertex) -> Kept | None:
        reuse = self._reuse
        if reuse.only and not reuse.names(vertex, reuse.only):
            return reuse.taken.get(vertex.id)
        if any(reuse.names(vertex, name) for name in reuse.redo):
            return None
        choice = self._scheduler.choice(vertex)
        try:
            prepared = self._preparer.prepare(vertex, choice)
        except (StrettoError, ValueError, OSError):
            return None
        if not prepared.key:
            return None
        others = self._scheduler.choices.also(vertex, choice)
        for key in (prepared.key, *self._preparer.keys(vertex, prepared, others)):
            kept = self._journal.kept(key)
            if kept is not None:
                return kept
        return None


def forecast(
    plan: Plan, options: Options, journal: Journal, root: Path, *, time_s: float = TIME_S
) -> Estimate:
    """The estimate of a new run with these options in this project: its history, what is kept for it."""
    graph = build(plan)
    folder = Path(options.folder) if options.folder else None
    roster = Roster(root, seed=options.seed, folder=folder, catalogue=options.catalogue)
    history = history_of(journal, options.on)
    outlook = Outlook(
        plan,
        graph,
        journal,
        root,
        roster,
        Chooser(options.catalogue, history, seed=options.seed, priors=options.priors),
        on=options.on,
        inputs=options.inputs,
        models=models_used(plan, options.on, options.catalogue),
        seed=options.seed,
        reuse=Reuse(options.fresh, options.redo, options.only, options.taken),
    )
    until_s = time.monotonic() + time_s / 2
    covered = outlook.covered(lambda: time.monotonic() > until_s)
    return estimate(
        plan,
        options.on,
        graph=graph,
        catalogue=options.catalogue,
        history=history,
        inputs=options.inputs,
        kept=covered,
        lengths=outlook.lengths,
        free=roster.free,
        parallel=options.parallel,
        seed=options.seed,
        time_s=time_s / 2,
    )


def reviewed(
    plan: Plan | None,
    found: Sequence[Finding],
    options: Options,
    history: History,
    *,
    bare: bool = False,
    accept: Mapping[str, Reason] | None = None,
) -> Review:
    """What `stretto check` says of a plan, priced as `stretto estimate` prices it with the same history.

    `found` is what the compiler said. Kept results are not looked for: a finding costs what it costs anew.
    """
    return review(
        plan,
        found,
        Chooser(options.catalogue, history, seed=options.seed, priors=options.priors),
        on=options.on,
        bare=bare,
        free=free,
        inputs=options.inputs,
        project=accept,
    )


def refuse_unticked(
    plan: Plan,
    found: Sequence[Finding],
    options: Options,
    journal: Journal,
    root: Path,
    accept: Mapping[str, Reason],
) -> None:
    """Raises ChecklistError where a run would spend money with an item of its checklist unticked.

    A cap that was given for this run, `none` too, settles what the plan does not say of its cost. Raises
    `no-cap` before anything else.
    """
    cap_of(plan, options, Roster(root, seed=options.seed))
    if all(free(name) for name in agents_used(plan, options.on)):
        return
    seen = reviewed(plan, found, options, history_of(journal, options.on), accept=accept)
    unticked = [tick for tick in seen.unticked if tick.item != "cost" or options.cap_nusd is None]
    if unticked and seen.nusd != 0:
        raise ChecklistError(seen, unticked)
