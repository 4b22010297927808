"""Makes as many wishes in a text as can be, each time with the proof that nothing else changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from stretto.errors import StrettoError
from stretto.plan.finding import Mend
from stretto.spec.edit.asked import Asked
from stretto.spec.edit.cuts import CannotEdit, Cut, cut
from stretto.spec.edit.in_python import cuts_in_bare, cuts_in_python
from stretto.spec.edit.in_yaml import cuts_in_yaml
from stretto.spec.edit.proof import Reading, why_not

MOST_COMPILED = 300_000
"""Tasks, over all tries: where so many wishes are in each other's way, the rest waits for another time."""

_ENOUGH = "too many others could not be made; look at those, and try again"
_PATH = re.compile(r"[a-z][a-z0-9_.-]*")

Wish = Sequence[Mend]
"""The mends of one finding: made together, or none of them."""

Read = Callable[[str], Reading]
"""Compiles a text. Raises StrettoError where it is no plan at all."""


def edited(text: str, wishes: Sequence[Wish], read: Read) -> tuple[str, list[str]]:
    """The text with all the wishes made that can be, and of each one why it could not be (empty: it was).

    All are tried at once; where that fails, a part of them and then the rest. Pure, but for what `read` does.
    """
    trying = _Trying(text, wishes, read)
    trying.why_not = _contradictions(wishes)
    if not trying.reading.plans:
        return text, ["no plan can be read here"] * len(wishes)
    left, before = [number for number, why in enumerate(trying.why_not) if not why], 0
    while left and len(left) != before:
        # What could not be made without another one may be possible now.
        before = len(left)
        trying.make(left)
        left = [number for number in left if trying.why_not[number]]
    return trying.text, trying.why_not


def _contradictions(wishes: Sequence[Wish]) -> list[str]:
    """Of each wish, which earlier one it would undo; empty where there is none."""
    said: dict[tuple[str, str], Mend] = {}
    found = []
    for wish in wishes:
        about = {(mend.task, mend.value if mend.action != "set-model" else ""): mend for mend in wish}
        other = [said[key] for key, mend in about.items() if said.get(key, mend) != mend]
        found.append(f"it would undo another mend: {' '.join(other[0])}" if other else "")
        said |= {} if other else about
    return found


class _Trying:
    """A text that takes on one wish after the other."""

    def __init__(self, text: str, wishes: Sequence[Wish], read: Read):
        self.text = text
        self.wishes = wishes
        self.read = read
        self.reading = read(text)
        self.why_not = [""] * len(wishes)
        self.compiled = 0

    def make(self, which: list[int]) -> None:
        """Makes what it can of these wishes."""
        asked, cuts, which = self._possible(which)
        if not which:
            return
        why = self._make(asked, cuts)
        if not why:
            return
        if len(which) == 1 or self.compiled >= MOST_COMPILED:
            for number in which:
                self.why_not[number] = why if len(which) == 1 else _ENOUGH
            return
        for part in self._parted(which, why):
            self.make(part)

    def _parted(self, which: list[int], why: str) -> tuple[list[int], list[int]]:
        """Wishes that cannot be made together: first those that the reason does not speak of."""
        named = set(_PATH.findall(why))
        at_fault = self._about(which, lambda mend: mend.action != "set-model" and mend.task in named)
        at_fault = at_fault or self._about(which, lambda mend: not named.isdisjoint((mend.task, mend.value)))
        needs = self._about(which, lambda mend: mend.action != "set-model")
        halves = at_fault, needs, set(which[len(which) // 2 :])
        last = next(part for part in halves if 0 < len(part) < len(which))
        return [number for number in which if number not in last], sorted(last)

    def _about(self, which: list[int], about: Callable[[Mend], bool]) -> set[int]:
        return {number for number in which if any(map(about, self.wishes[number]))}

    def _possible(self, which: list[int]) -> tuple[list[Asked], list[Cut], list[int]]:
        """Those of the wishes that the text has a place for, all of them beside each other."""
        while True:
            asked = self._asked([mend for number in which for mend in self.wishes[number]])
            cuts = self._cuts(asked)
            refused = {mend: why for one in asked for mend, why in one.refused.items()}
            for number in which:
                self.why_not[number] = next((refused[m] for m in self.wishes[number] if m in refused), "")
            left = [number for number in which if not self.why_not[number]]
            if len(left) == len(which):
                return asked, cuts, which
            which = left

    def _asked(self, mends: list[Mend]) -> list[Asked]:
        """What the mends ask for in each plan; a task that no plan has is asked for in the first."""
        plans = self.reading.plans
        found: list[list[Mend]] = [[] for _ in plans]
        plan_of = {path: number for number, plan in enumerate(plans) for path in plan.places}
        for mend in mends:
            found[plan_of.get(mend.task, 0)].append(mend)
        return [Asked(plan, of_plan) for plan, of_plan in zip(plans, found, strict=True)]

    def _cuts(self, asked: list[Asked]) -> list[Cut]:
        match self.reading.kind:
            case "yaml":
                return cuts_in_yaml(self.text, asked)
            case "python":
                return cuts_in_python(self.text, asked, self.reading.file)
            case "bare":
                return cuts_in_bare(self.text, asked, self.reading.file)

    def _make(self, asked: list[Asked], cuts: list[Cut]) -> str:
        """Makes the cuts if that changes nothing else; otherwise says why not."""
        self.compiled += sum(len(plan.places) for plan in self.reading.plans)
        try:
            text = cut(self.text, cuts)
            reading = self.read(text)
        except CannotEdit as error:
            return str(error)
        except StrettoError as error:
            return f"it would make an error: {error.what}"
        why = why_not(self.reading, reading, asked)
        if not why:
            self.text, self.reading = text, reading
        return why
