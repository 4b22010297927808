"""Answers that are kept short because the money allows no more: how long, and what a cut-off says."""

from __future__ import annotations

from collections.abc import Callable

from stretto.agents import Grant, Result


def longest(least: int, most: int, nusd: int, bound_nusd: Callable[[int], int | None]) -> int:
    """The most tokens, between these two, of an answer whose call cannot cost more than was granted."""
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        if (bound_nusd(middle) or 0) <= nusd:
            low = middle
        else:
            high = middle - 1
    return low


def cut_short(grant: Grant, text: str, tokens: int) -> Result:
    """An answer that did not end within what the money allowed.

    Under the cap of the run that is a reason to pause, as when a call is refused; under the task's own or its
    group's no other try would go further.
    """
    error = f"the answer was cut off at {tokens:,} tokens: {grant.short} had no money for more"
    if grant.final:
        return Result("cut_off", text, error, "task", final=True)
    return Result("cut_off", text, error, "run", "budget")
