"""Every error a user can meet: what happened, where, what to do next."""

from __future__ import annotations

EXIT_OK = 0
EXIT_PROBLEM = 1
"""It worked and found a problem: findings, failed required tasks."""
EXIT_COULD_NOT = 2
"""Usage, a bad file, a bug."""
EXIT_LIMIT = 3
"""Stopped by a limit and resumable: budget, quota, deadline, approval, declined."""
EXIT_INTERRUPTED = 130


class StrettoError(Exception):
    """A failure with a name (`slug`), a place (`at`) and a next action (`next`), in the user's own words."""

    def __init__(self, slug: str, what: str, *, at: str = "", next: str = "", code: int = EXIT_COULD_NOT):
        super().__init__(what)
        self.slug = slug
        self.what = what
        self.at = at
        self.next = next
        self.code = code


def render(error: StrettoError) -> str:
    """The one text form of an error: what, at, next, aligned."""
    lines = [f"error: {error.what} [{error.slug}]"]
    if error.at:
        lines.append(f"   at: {error.at}")
    if error.next:
        lines.append(f" next: {error.next}")
    return "\n".join(lines)


def bug(what: str, *, at: str = "") -> StrettoError:
    """An impossible state: our fault, and said so."""
    return StrettoError(
        "bug",
        f"this should not be possible: {what}",
        at=at,
        next="please report it with the output of `stretto doctor --json`",
    )


class Transient(Exception):
    """Raised by a user's function to say: this may work on the next try (after `retry_after_s` seconds)."""

    def __init__(self, message: str, *, retry_after_s: float | None = None):
        super().__init__(message)
        self.retry_after_s = retry_after_s
