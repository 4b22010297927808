"""Findings: what a critic says about one place of a plan, and the error that carries them all at once."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from stretto.errors import EXIT_PROBLEM, StrettoError

Severity = Literal["error", "warning", "info"]


class Mend(NamedTuple):
    """A change of the plan that mends a finding and breaks nothing, as `check --fix` makes it."""

    action: Literal["add-need", "remove-need", "set-model"]
    task: str
    """The path of the task that is changed."""
    value: str
    """The path of the other task, or the name of the model."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend. `at` is file:line:col (or a task id where no file is known); `tasks` are ids."""

    slug: str
    severity: Severity
    message: str
    at: str = ""
    fix: str = ""
    tasks: tuple[str, ...] = ()
    nusd: float | None = None
    """What it costs to leave it so, in nano-dollars; None where nobody can say."""
    seconds: float | None = None
    """How much longer the run takes if it is left so."""
    mends: tuple[Mend, ...] = ()
    """Made together; empty where only the author can know what is right."""
    accepted: str = ""
    """Why it stands, in the author's words; an accepted finding is shown and counts for nothing."""


class PlanError(StrettoError):
    """A plan that cannot run: every error finding of it, not only the first."""

    def __init__(self, findings: list[Finding], source: str = ""):
        errors = [f for f in findings if f.severity == "error"]
        noun = "error" if len(errors) == 1 else "errors"
        super().__init__(
            errors[0].slug if len(errors) == 1 else "bad-plan",
            f"{source or 'the plan'} has {len(errors)} {noun}",
            at=errors[0].at if errors else "",
            next=errors[0].fix if len(errors) == 1 else "",
            code=EXIT_PROBLEM,
        )
        self.findings = findings


NEAR_AMONG = 200
"""Among more words than this only those that begin alike are compared: a plan may have 10,000 wrong ids."""


class Vocabulary:
    """The words that are known in one place, sorted once: every wrong word there asks for the nearest."""

    __slots__ = ("alike", "words")

    def __init__(self, words: Iterable[str]):
        self.words = sorted(words)
        self.alike: dict[tuple[str, int], list[str]] = {}
        if len(self.words) > NEAR_AMONG:
            for word in self.words:
                self.alike.setdefault((word[:1], len(word)), []).append(word)

    def nearest(self, word: str, *, but: str = "") -> str:
        """The known word that was most likely meant; empty where none is near."""
        among = [other for other in self._like(word) if other != but]
        found = difflib.get_close_matches(word, among, n=1)
        return found[0] if found else ""

    def _like(self, word: str) -> Iterator[str]:
        if not self.alike:
            return iter(self.words)
        lengths = sorted(range(max(1, len(word) - 2), len(word) + 3), key=lambda n: abs(n - len(word)))
        lists = (self.alike.get((word[:1], length), []) for length in lengths)
        return itertools.islice(itertools.chain.from_iterable(lists), NEAR_AMONG)

    def did_you_mean(self, word: str, *, but: str = "", otherwise: str = "known here") -> str:
        """The fix for a word that is not known: the nearest known one, or else what there is."""
        near = self.nearest(word, but=but)
        if near:
            return f"did you mean {near!r}?"
        some = [other for other in self.words[:9] if other != but]
        more = ", ..." if len(self.words) > 8 and len(some) > 8 else ""
        return f"{otherwise}: {', '.join(some[:8]) or 'nothing'}{more}"


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "known here") -> str:
    return Vocabulary(known).did_you_mean(word, otherwise=otherwise)


def nearest(word: str, known: Iterable[str]) -> str:
    return Vocabulary(known).nearest(word)
