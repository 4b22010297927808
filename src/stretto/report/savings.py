"""What a run saved against doing it otherwise: declared, computed and measured figures, never mixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.models.catalogue import Catalogue, ModelInfo
from stretto.models.facts import ladder_of
from stretto.plan.graph import Element
from stretto.plan.model import Task
from stretto.report.bill import Entry
from stretto.report.estimated import Estimated
from stretto.report.passed import Passed
from stretto.report.story import History, tasks_of

NUSD = 1_000_000_000
DECLARED, COMPUTED, MEASURED = "declared", "computed", "measured"
STRONGEST = "strongest"
SEQUENTIAL = "sequential"


class Saving(NamedTuple):
    """One way to do the same, beside what was done; both sides are of one kind, or one of them is None."""

    kind: str
    """declared (the author wrote both sides), computed (list prices of measured tokens), measured."""
    baseline: str
    says: str
    """What the baseline is, in words."""
    nusd: int | None = None
    baseline_nusd: int | None = None
    seconds: float | None = None
    baseline_seconds: float | None = None
    tasks: int | None = None
    """How many tasks were compared, where not all were."""
    model: str = ""

    @property
    def percent(self) -> float | None:
        """Below zero where the baseline would have been cheaper."""
        return _percent(self.nusd, self.baseline_nusd)

    @property
    def seconds_percent(self) -> float | None:
        return _percent(self.seconds, self.baseline_seconds)

    def data(self, passed: Passed) -> dict[str, Any]:
        """With the pass rate inside, so that none is ever passed on without."""
        both = self.nusd is not None and self.baseline_nusd is not None
        saved = (self.baseline_nusd or 0) - (self.nusd or 0) if both else None
        return {
            "kind": self.kind,
            "baseline": self.baseline,
            "says": self.says,
            "model": self.model or None,
            "tasks": self.tasks,
            "usd": _usd(self.nusd),
            "usd_baseline": _usd(self.baseline_nusd),
            "usd_saved": _usd(saved),
            "percent": _short(self.percent),
            "seconds": _short(self.seconds, 3),
            "seconds_baseline": _short(self.baseline_seconds, 3),
            "seconds_percent": _short(self.seconds_percent),
            "pass_rate": passed.data(),
        }


def savings_of(history: History, estimated: Estimated | None, catalogue: Catalogue) -> list[Saving]:
    """All that can be said, the author's own baselines first."""
    found = [*_declared(history, estimated)]
    strongest = strongest_of(history, catalogue)
    if strongest is not None:
        found += [*_computed(history, strongest, catalogue), *_audited(history)]
    return [*found, *_sequential(history)]


# Declared


def _declared(history: History, estimated: Estimated | None) -> Iterator[Saving]:
    own, strongest = _declared_nusd(history)
    seconds = _declared_seconds(estimated)
    for name, expect in history.plan.baselines.items():
        time_s = expect.time_s
        yield Saving(
            DECLARED,
            name,
            name,
            own if expect.nusd is not None else None,
            expect.nusd,
            seconds if time_s is not None else None,
            time_s,
        )
    if own is not None and strongest is not None and strongest != own:
        says = "every task on the strongest model"
        yield Saving(DECLARED, STRONGEST, says, own, strongest)


def _declared_nusd(history: History) -> tuple[int | None, int | None]:
    """What the plan declares that it costs, and what it would on the strongest model; None: not all of it."""
    counts = Counter(vertex.element for vertex in tasks_of(history.state))
    sums: list[int | None] = [0, 0]
    for element in history.state.graph.roots.values():
        for k, nusd in enumerate(_expected(element, counts)):
            before = sums[k]
            sums[k] = None if before is None or nusd is None else before + nusd
    own, strongest = sums
    return own, strongest


def _expected(element: Element, counts: Counter[Element]) -> tuple[int | None, int | None]:
    """A task's figures count once for each item; a group's are those of all its members together."""
    part = element.part
    if isinstance(part, Task):
        n = counts[element]
        if part.expect is not None:
            return _times(part.expect.nusd, n), _times(part.expect.strongest_nusd, n)
        judged = part.check is not None and part.check.prompt
        return (None, None) if part.prompt or judged or part.grow else (0, 0)
    if part.expect is not None and part.expect.nusd is not None:
        return part.expect.nusd, part.expect.strongest_nusd
    inside = [_expected(member, counts) for member in element.members.values()]
    return _sum(own for own, _ in inside), _sum(strongest for _, strongest in inside)


def _declared_seconds(estimated: Estimated | None) -> float | None:
    """The estimated time, where every part of it was declared."""
    if estimated is None:
        return None
    groups = estimated.blob.get("groups", ())
    declared = bool(groups) and all(group.get("known_seconds") == DECLARED for group in groups)
    return estimated.whole.seconds.expected if declared else None


# Computed


def strongest_of(history: History, catalogue: Catalogue) -> ModelInfo | None:
    """The strongest model on any ladder of the run's tasks that ask a model; None where none has a tier."""
    best: ModelInfo | None = None
    elements = {vertex.element: vertex.task for vertex in tasks_of(history.state)}
    started = history.state.started
    on = started.on if started is not None else ""
    for task in elements.values():
        if not task.prompt:
            continue
        for name in ladder_of(task, catalogue):
            model = _known(name, task.agent(on), catalogue)
            if model is not None and (best is None or _rank(model, catalogue) > _rank(best, catalogue)):
                best = model
    return best


def _known(name: str, agent: str, catalogue: Catalogue) -> ModelInfo | None:
    try:
        model = catalogue.resolve(name, agent)
    except StrettoError:
        return None
    return model if model.tier in catalogue.tiers else None


def _rank(model: ModelInfo, catalogue: Catalogue) -> int:
    return catalogue.tiers.index(model.tier)


def _computed(history: History, strongest: ModelInfo, catalogue: Catalogue) -> Iterator[Saving]:
    """Each task once on the strongest model: the tokens of its last attempt and of its last judge.

    What failed before, and what was audited, is in our own figure alone: the strongest model would have
    had no need of it. That it might have failed too, the pass rate beside it has to say.
    """
    own = baseline = 0
    others = 0
    for task in history.stories:
        entries = history.bill.of_task(task)
        once = _last_of(entries, "work") + _last_of(entries, "check")
        for entry in entries:
            cost = _priced(entry.usages, entry.model, catalogue)
            if cost is None:
                return
            own += cost
            others += entry.role == "work" and entry.model != strongest.id
        for entry in once:
            model = strongest.id if entry.role == "work" else entry.model
            cost = _priced(entry.usages, model, catalogue)
            if cost is None:
                return
            baseline += cost
    if others and baseline:
        says = f"the same tokens on {strongest.tier}, each task once"
        yield Saving(COMPUTED, STRONGEST, says, own, baseline, model=strongest.id)


def _priced(usages: Iterable[dict[str, int]], model: str, catalogue: Catalogue) -> int | None:
    price = catalogue.price_of(model)
    return None if price is None else sum(price.cost_nusd(usage) for usage in usages)


def _last_of(entries: list[Entry], role: str) -> list[Entry]:
    """The calls of the last attempt of a role that have a usage."""
    last = max((entry.n for entry in entries if entry.role == role and entry.usages), default=0)
    return [entry for entry in entries if entry.n == last and entry.role == role]


# Measured


def _audited(history: History) -> Iterator[Saving]:
    """What the strongest model took to judge accepted results, beside what it took to make them. To do a
    task mostly takes more than to judge it; where it took less, nothing can be said, and nothing is."""
    own = baseline = tasks = 0
    model = ""
    for task in history.stories:
        entries = history.bill.of_task(task)
        audit = _last_of(entries, "shadow")
        if audit and not any(entry.taken.unpriced for entry in entries):
            tasks += 1
            model = audit[0].model
            baseline += sum(entry.taken.spent_nusd for entry in audit)
            own += sum(entry.taken.spent_nusd for entry in entries if entry.role == "work")
    if tasks and baseline > own:
        says = "what the strongest model took to judge the audited tasks, not to do them"
        yield Saving(MEASURED, STRONGEST, says, own, baseline, tasks=tasks, model=model)


def _sequential(history: History) -> Iterator[Saving]:
    """The same attempts one after the other."""
    seconds = history.seconds
    together = sum(
        (t.ended_us - t.started_us) / 1e6 for s in history.stories.values() for t in s.tries if t.ended_us
    )
    if together > seconds > 0:
        says = "the same attempts one after the other"
        yield Saving(MEASURED, SEQUENTIAL, says, seconds=seconds, baseline_seconds=together)


# Arithmetic with figures that may be unknown


def _sum(figures: Iterable[int | None]) -> int | None:
    total = 0
    for figure in figures:
        if figure is None:
            return None
        total += figure
    return total


def _times(figure: int | None, n: int) -> int | None:
    return None if figure is None else figure * n


def _percent(own: float | None, baseline: float | None) -> float | None:
    return None if own is None or not baseline else 100 * (1 - own / baseline)


def _usd(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / NUSD


def _short(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
