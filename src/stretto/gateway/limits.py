"""What the head of a response says of a provider's limits, in one form for all of them."""

from __future__ import annotations

from collections.abc import Mapping

from stretto.gateway.failures import Failure
from stretto.scheduler.limiter import Left, Stopped, Told

MOST = 10**12
"""Requests or tokens per minute; a header that says more says nothing."""


def told(headers: Mapping[str, str], failure: Failure | None = None) -> Told:
    """The buckets that a response tells of, and whether its call was refused for being one too many.

    OpenAI's `tokens` count a prompt with what its answer may have; as a limit of prompts they err on the
    safe side.
    """
    refused = failure is not None and failure.limited and failure.cls == "transient"
    wait_s = failure.retry_after_s if failure is not None and refused else None
    return Told(
        requests=_anthropic(headers, "requests") or _openai(headers, "requests"),
        inputs=_anthropic(headers, "input-tokens") or _openai(headers, "tokens"),
        outputs=_anthropic(headers, "output-tokens"),
        refused=refused,
        wait_us=int((wait_s or 0.0) * 1e6),
        stopped=_stopped(failure) if failure is not None and failure.cls == "run" else None,
    )


def _stopped(failure: Failure) -> Stopped:
    wait_us = None if failure.reset_s is None else int(failure.reset_s * 1e6)
    return Stopped(failure.why, failure.error, wait_us)


def _anthropic(headers: Mapping[str, str], name: str) -> Left | None:
    stem = f"anthropic-ratelimit-{name}"
    return _left(headers, f"{stem}-limit", f"{stem}-remaining")


def _openai(headers: Mapping[str, str], name: str) -> Left | None:
    return _left(headers, f"x-ratelimit-limit-{name}", f"x-ratelimit-remaining-{name}")


def _left(headers: Mapping[str, str], limit: str, left: str) -> Left | None:
    """What is no whole number, or not there, says nothing."""
    try:
        most, rest = int(headers[limit]), int(headers[left])
    except (KeyError, ValueError):
        return None
    return Left(most, rest) if 0 < most < MOST and abs(rest) < MOST else None
