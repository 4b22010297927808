"""Cuts a block into plans by its labels, and a plan into stages by what its comments say."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from stretto.spec.bare import figures
from stretto.spec.bare.calls import Site, Turn
from stretto.spec.bare.comments import (
    Comment,
    Mark,
    accepted,
    label_of,
    mark_above,
    mark_before,
    says_parallel,
    waits_behind,
)
from stretto.spec.bare.figures import Figures
from stretto.spec.bare.reading import Reading

_NO_WORDS = frozenset("the and for all with from into agent agents task tasks each".split())


class Said(NamedTuple):
    """A comment, and what it says about order."""

    comment: Comment
    mark: Mark | None
    behind: bool = False


@dataclass(slots=True)
class Half:
    """What stands between two labels of a block, in the order of the text: one plan."""

    label: str = ""
    parallel: bool = False
    """Its label says that the tasks run side by side."""
    parts: list[Site | Comment] = field(default_factory=list)


@dataclass(slots=True)
class Task:
    """A call in one turn of its loop, and what the comments around it say of it."""

    site: Site
    turn: Turn
    stage: int = 0
    usd: Decimal | None = None
    seconds: Decimal | None = None

    @property
    def id(self) -> str:
        return f"task-{self.turn.number}"

    @property
    def weight(self) -> int | None:
        """How many tasks it stands for; None where nobody can say."""
        return self.turn.each.most if self.turn.each else 1


class Staged(NamedTuple):
    """The tasks of a plan in the order they are made, each with its stage, and what is said of the whole."""

    tasks: list[Task]
    accepts: dict[tuple[int, int], dict[str, tuple[str, Comment]]]
    """What is accepted at a call, by its line and column: slugs with the reason, and where it stands."""
    baselines: dict[str, tuple[Figures, Comment]]
    evidence: Comment | None
    """The first comment that made a stage."""


def halves_of(reading: Reading) -> list[Half]:
    """The plans of a block, each with at least one task; comments on the lines of a call go to the call."""
    sites = reading.sites
    starts = [(site.line, site.column) for site in sites]
    parts: list[Site | Comment] = list(sites)
    for comment in reading.comments:
        at = bisect.bisect(starts, (comment.line, comment.column)) - 1
        if at >= 0 and sites[at].end_line >= comment.line:
            sites[at].behind.append(comment)
        else:
            parts.append(comment)
    halves = [Half()]
    for part in sorted(parts, key=lambda part: (part.line, part.column)):
        label = label_of(part.text) if isinstance(part, Comment) and part.own else None
        if label is None or isinstance(part, Site):
            halves[-1].parts.append(part)
        else:
            halves.append(Half(label.word, says_parallel(label.rest), [part._replace(text=label.rest)]))
    return [half for half in halves if any(isinstance(part, Site) for part in half.parts)]


def staged(half: Half) -> Staged:
    """The tasks of one plan in their stages."""
    heard = list(_heard(half))
    begun = _begun_by_headings(heard)
    placing = _Placing()
    for number, part in enumerate(heard):
        if isinstance(part, Site):
            placing.place(part, begun.get(number))
        elif part.mark is not None:
            if part.mark.kind in ("number", "boundary"):
                placing.pending.append(part)
            placing.one_by_one(_serial(part.mark, heard, number), part.comment)
    tasks = _ranked(placing)
    baselines = _declare(heard, tasks)
    return Staged(tasks, dict(_accepts(half)), baselines, placing.evidence)


def _heard(half: Half) -> Iterator[Site | Said]:
    """The parts of a plan with what the comments say, those behind a call before or after it."""
    for part in half.parts:
        if isinstance(part, Comment):
            yield Said(part, mark_above(part.text))
            continue
        for comment in part.behind:
            mark = mark_before(comment.text)
            if mark is not None and not (half.parallel and mark.kind == "boundary"):
                yield Said(comment, mark, behind=True)
        yield part
        for comment in part.behind:
            if waits_behind(comment.text):
                yield Said(comment, Mark("boundary"), behind=True)


class _Placing:
    """Puts one call after the other into its stage."""

    def __init__(self) -> None:
        self.stages: list[list[Site]] = [[]]
        self.pending: list[Said] = []
        """What was said since the last call."""
        self.serial: set[int] = set()
        """Calls whose turns follow each other, by identity."""
        self.evidence: Comment | None = None
        self._current = 0
        self._numbers: dict[str, dict[str, int]] = {}
        """The stage of each number, by the word it was counted with, outer words first."""

    def place(self, site: Site, begins: Comment | None) -> None:
        if begins is not None:
            self.pending.append(Said(begins, Mark("boundary")))
        if self.pending:
            again = self._stage_again()
            if again is not None:
                self._current = again
            elif self.stages[-1]:
                self._current = len(self.stages)
                self.stages.append([])
                self.evidence = self.evidence or self.pending[0].comment
            for said in self.pending:
                if said.mark is not None and said.mark.kind == "number":
                    self._numbers.setdefault(said.mark.word, {})[said.mark.number] = self._current
            self.pending.clear()
        self.stages[self._current].append(site)

    def one_by_one(self, sites: Sequence[Site], comment: Comment) -> None:
        """The turns of these calls follow each other."""
        self.serial.update(id(site) for site in sites)
        if any(len(site.turns) > 1 for site in sites):
            self.evidence = self.evidence or comment

    def _stage_again(self) -> int | None:
        """The stage that goes on, where nothing but numbers was said and all of them were there before."""
        again: int | None = None
        for said in self.pending:
            mark = said.mark
            assert mark is not None, "only what has a mark is pending"
            known = self._numbers.get(mark.word, {})
            if mark.kind == "number" and mark.number in known:
                again = known[mark.number]
                continue
            if mark.kind == "number" and known:
                # Step 1 of phase 2 is another one than step 1 of phase 1.
                words = list(self._numbers)
                for inner in words[words.index(mark.word) + 1 :]:
                    del self._numbers[inner]
            return None
        return again


def _begun_by_headings(heard: Sequence[Site | Said]) -> dict[int, Comment]:
    """Calls that begin a stage because a heading names the order of what follows it, by index."""
    begun: dict[int, Comment] = {}
    before = False
    for number, part in enumerate(heard):
        if isinstance(part, Site):
            before = True
        elif part.mark is not None and part.mark.kind in ("sequence", "serial"):
            region = _region(heard, number)
            sites = [site for _, site in region]
            firsts = range(1, len(sites)) if part.mark.kind == "serial" else _firsts(part.mark, sites, before)
            begun |= {region[first][0]: part.comment for first in firsts}
    return begun


def _region(heard: Sequence[Site | Said], number: int) -> list[tuple[int, Site]]:
    """The calls behind a heading with their indices, up to the next comment that speaks of order."""
    region = []
    for at in range(number + 1, len(heard)):
        part = heard[at]
        if isinstance(part, Site):
            region.append((at, part))
        elif part.mark is not None:
            break
    return region


def _firsts(mark: Mark, sites: Sequence[Site], before: bool) -> list[int]:
    """Which of the calls behind `a -> b -> c` begin a stage: by count, or by words in common."""
    words = [_words_of_site(site) for site in sites]
    parts = [_words(part) for part in mark.parts]
    if len(parts) == len(sites) > 1:
        alike = any(not part.isdisjoint(other) for part, other in zip(parts, words, strict=True))
        if alike or len(parts) > 2:
            return list(range(0 if before else 1, len(sites)))
    places: list[int] = []
    for other in words:
        least = places[-1] if places else 0
        found = next((n for n in range(least, len(parts)) if not parts[n].isdisjoint(other)), None)
        if found is None:
            break
        places.append(found)
    if len(places) == len(sites) and set(places) == set(range(len(parts))) and len(parts) > 1:
        return [n for n in range(len(sites)) if (n == 0 and before) or (n and places[n] != places[n - 1])]
    if before and words and (mark.loose or not parts[-1].isdisjoint(words[0])):
        return [0]
    return []


def _words_of_site(site: Site) -> set[str]:
    keys = site.turns[0].keys
    model = keys["model"].value if "model" in keys else ""
    return _words(f"{keys['prompt'].value[:300]} {model}")


def _words(text: str) -> set[str]:
    """The words that mean something, by their beginnings: `tests` and `testing` are one."""
    return {word[:4] for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in _NO_WORDS}


def _serial(mark: Mark, heard: Sequence[Site | Said], number: int) -> list[Site]:
    """The calls whose turns follow each other: below such a heading, or in a loop that ends in a wait."""
    if mark.kind == "serial":
        return [site for _, site in _region(heard, number)]
    before = heard[number - 1] if number else None
    after = heard[number + 1] if number + 1 < len(heard) else None
    said = heard[number]
    if mark.kind != "boundary" or isinstance(said, Site):
        return []
    if not isinstance(before, Site) or before.loop is None:
        return []
    inside = said.behind or said.comment.column > before.loop[1]
    if not inside or (isinstance(after, Site) and after.loop == before.loop):
        return []
    earlier = (part for at in range(number - 1, -1, -1) if isinstance(part := heard[at], Site))
    return list(itertools.takewhile(lambda site: site.loop == before.loop, earlier))


def _ranked(placing: _Placing) -> list[Task]:
    """The tasks in the order they are made. Stages are counted anew where turns of a loop are stages too."""
    found: list[tuple[tuple[int, int], Task]] = []
    for stage, sites in enumerate(placing.stages):
        for site in sites:
            for turn in site.turns:
                place = stage, turn.loop_turn if id(site) in placing.serial else 0
                found.append((place, Task(site, turn)))
    ranks = {place: rank for rank, place in enumerate(sorted({place for place, _ in found}))}
    for place, task in found:
        task.stage = ranks[place]
    return sorted((task for _, task in found), key=lambda task: task.turn.number)


# Figures


def _declare(heard: Sequence[Site | Said], tasks: Sequence[Task]) -> dict[str, tuple[Figures, Comment]]:
    """Gives tasks what comments declare for them; returns the figures of other ways to do the same."""
    of_site: dict[int, list[Task]] = {}
    of_stage: dict[int, list[Task]] = {}
    for task in tasks:
        of_site.setdefault(id(task.site), []).append(task)
        of_stage.setdefault(task.stage, []).append(task)
    baselines: dict[str, tuple[Figures, Comment]] = {}
    run: list[Task] = []
    """The tasks since the last comment about order or with figures."""
    products = []
    for part in heard:
        if isinstance(part, Site):
            own = of_site[id(part)]
            run += own
            for comment in part.behind:
                _declare_behind(figures.figures_behind(comment.text), own, of_stage[own[0].stage])
            continue
        found = None if part.behind else figures.figures_below(part.comment.text)
        if found is not None:
            _declare_below(found, run)
        if found is not None or part.mark is not None:
            run = []
        if (other := figures.alternative(part.comment.text)) is not None:
            baselines.setdefault(other[0], (other[1], part.comment))
        if (priced := figures.product(part.comment.text)) is not None:
            products.append(priced)
    if len(products) == 1 and not any(task.usd is not None for task in tasks):
        count, usd = products[0]
        if count == _weight(tasks):
            for task in tasks:
                task.usd = usd
    return baselines


def _weight(tasks: Sequence[Task]) -> int | None:
    weights = [task.weight for task in tasks]
    return None if None in weights else sum(filter(None, weights))


def _declare_behind(found: Figures | None, own: Sequence[Task], stage: Sequence[Task]) -> None:
    """Figures on the line of a call are those of each of its tasks; "parallel" speaks of its stage."""
    if found is None:
        return
    for task in own:
        task.usd = task.usd if found.shared or task.usd is not None else found.usd
        task.seconds = found.seconds if found.seconds is not None else task.seconds
    if found.shared:
        for task in stage:
            task.seconds = task.seconds if task.seconds is not None else found.seconds


def _declare_below(found: Figures, run: Sequence[Task]) -> None:
    """Figures below a stage: dollars of all together, time of one. Of several tasks only where it says so."""
    if not run or (not found.shared and (len(run) > 1 or run[0].turn.each)):
        return
    weight = _weight(run)
    for task in run:
        if task.seconds is None:
            task.seconds = found.seconds
    if found.usd is not None and weight and not any(task.usd is not None for task in run):
        for task in run:
            task.usd = found.usd / weight


def _accepts(half: Half) -> Iterator[tuple[tuple[int, int], dict[str, tuple[str, Comment]]]]:
    """What comments accept on the lines of a call, or alone on the lines right above it."""
    above: dict[str, tuple[str, Comment]] = {}
    last = 0
    for part in half.parts:
        if isinstance(part, Comment):
            found = accepted(part.text)
            if found is not None:
                above = {**(above if part.line == last + 1 else {}), found[0]: (found[1], part)}
                last = part.line
            continue
        slugs = dict(above) if part.line == last + 1 else {}
        slugs |= {
            found[0]: (found[1], comment) for comment in part.behind if (found := accepted(comment.text))
        }
        if slugs:
            yield (part.line, part.column), slugs
