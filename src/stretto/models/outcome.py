"""How one attempt came out, as the journal keeps it."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """How one attempt at a task came out, as the journal keeps it for later choices and estimates."""

    signature: str
    """The same for the same task asked again, whoever answers; empty where it is not known."""
    family: str
    """The same for tasks that are alike: one group of one plan, or what `family:` says."""
    kind: str
    """mechanical, development, strategy, or empty where the words do not say."""
    model: str
    """The id of whoever did the work; of a check its judge's, of a shadow that of the work it judged."""
    tier: str
    effort: str
    role: str
    """work, check, or shadow (an accepted result judged once more by the strongest model)."""
    ok: bool
    """work: accepted in the end; check and shadow: the verdict."""
    verified: bool
    """A check stood behind `ok`; without one, an answer of the promised form counts as ok."""
    cost_nusd: int
    seconds: float
    calls: int = 0
    input_tokens: int = 0
    """Fresh input, without what was read from or written to a cache."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    agent: str = ""
    """The kind of agent (messages, claude, simulated): what a pretender did teaches nothing about others."""
    size: int = 0
    """Tokens of what it was asked, as `Facts.input_tokens` counts; 0: unknown."""
