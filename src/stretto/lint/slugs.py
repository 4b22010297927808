"""What the critic can find: each slug with its meaning, severity, family, and the tick it takes away."""

from __future__ import annotations

from typing import Literal, NamedTuple

from stretto.plan.finding import Severity

Family = Literal["order", "model", "size", "words", "files", "money", "faults", "context", "accept"]
Item = Literal["pattern", "dependencies", "parallelism", "models", "cost", "time", "errors"]


class Slug(NamedTuple):
    """One kind of finding, as `stretto explain` lists it; docs/errors.md has a section for each."""

    meaning: str
    severity: Severity
    """The usual one; a rule may be less sure in a case at hand."""
    family: Family
    item: Item | None = None
    """The tick of the checklist that a warning of this kind takes away."""


SLUGS: dict[str, Slug] = {
    "missing-dependency": Slug(
        "a task needs what another one makes, and nothing makes it wait", "warning", "order", "dependencies"
    ),
    "sequential-bottleneck": Slug(
        "tasks wait for each other that need nothing of each other", "warning", "order", "parallelism"
    ),
    "missed-parallelism": Slug(
        "one agent works through parts that several could do at once", "warning", "order", "parallelism"
    ),
    "needless-barrier": Slug(
        "all items wait for the slowest one before the next stage begins", "info", "order", "parallelism"
    ),
    "inferred-structure": Slug(
        "the order of tasks was read from comments, not from needs", "info", "order", "dependencies"
    ),
    "oversized-model": Slug(
        "a strong model does work that a cheap one does as well", "warning", "model", "models"
    ),
    "undersized-model": Slug(
        "a weak model is given work that it is likely to fail at", "warning", "model", "models"
    ),
    "over-orchestration": Slug(
        "planners, verifiers and synthesizers stand around a job for one agent", "warning", "size", "pattern"
    ),
    "too-fine-grained": Slug(
        "tasks are so small that each costs more to start than to do", "warning", "size", "pattern"
    ),
    "vague-prompt": Slug(
        "a prompt says neither what to work on nor what to return", "warning", "words", "pattern"
    ),
    "write-conflict": Slug(
        "tasks that may run at the same time write the same file", "warning", "files", "dependencies"
    ),
    "read-while-written": Slug(
        "a task reads a file that another may be writing just then", "warning", "files", "dependencies"
    ),
    "unseen-changes": Slug(
        "a task looks at files that others change in their worktrees", "warning", "files", "dependencies"
    ),
    "no-budget": Slug("the plan can spend money and has no cap", "warning", "money", "cost"),
    "unbounded-fan-out": Slug("a list may grow far longer than anybody priced", "warning", "money", "cost"),
    "unpriced-model": Slug("no price is known for a model that is asked for", "warning", "money", "cost"),
    "no-error-handling": Slug(
        "one failure ends the run, and nothing says what is to happen then", "warning", "faults", "errors"
    ),
    "no-safe-retry": Slug(
        "a task with effects is tried again as if it had none", "warning", "faults", "errors"
    ),
    "no-timeout": Slug("a function could run for ever, and nothing would end it", "info", "faults", "errors"),
    "cannot-fit": Slug(
        "a prompt and its answer are more than the model can hold", "warning", "context", "models"
    ),
    "floods-gatherer": Slug("one task is handed more than it can read well", "warning", "context", "pattern"),
    "unshared-prefix": Slug(
        "prompts differ before what they have in common, so no cache is shared", "info", "context", "cost"
    ),
    "trusts-agent": Slug("an agent may run commands with the rights of the user", "info", "faults"),
    "unused-rights": Slug("a role may change files, and its task declares to write none", "info", "faults"),
    "bad-accept": Slug("`accept` names something that cannot be accepted", "warning", "accept"),
    "unused-accept": Slug("`accept` names a finding that is not there", "info", "accept"),
}

ABOUT_ACCEPTING = ("bad-accept", "unused-accept")
"""Findings about `accept` itself: there is nothing to accept in them."""

OF_COMPILER = (
    *("ignored-keyword", "max-tokens-too-high", "not-supported", "open-placeholder", "role-file"),
    *("role-model", "role-tools", "unknown-role", "unread-task"),
)
"""What is found while a plan is read and is no error, so that it can be accepted too."""

_OTHERS: dict[Item, tuple[str, ...]] = {
    "pattern": ("unread-task",),
    "dependencies": (
        *("bad-reference", "cycle", "duplicate-id", "hidden-reference", "not-a-list"),
        *("unknown-need", "unknown-reference"),
    ),
    "models": ("max-tokens-too-high", "unknown-model"),
    "cost": ("too-many-items",),
}
ITEM_OF: dict[str, Item] = {
    **{slug: known.item for slug, known in SLUGS.items() if known.item is not None},
    **{slug: item for item, slugs in _OTHERS.items() for slug in slugs},
}
"""What an error or a warning takes the tick from. An error that is not here is one of the plan's form."""
