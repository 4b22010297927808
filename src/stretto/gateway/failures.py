"""What an API's error means: whether anything was charged, and whether to retry, give up, or stop the run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx2

# The request never left: no connection, or none free. What fails later may have been worked on.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)

NOT_SENT = "not sent"
"""What a failure is called in the books of which nothing has left."""

# An error status comes before the first token of a stream, so nothing was generated and nothing is charged.
# Not so where someone on the way lost patience or the connection: the model may be at work behind a gateway's
# 502 or 504, an Anthropic 499, and Cloudflare's own 52x.
MAYBE_CHARGED = frozenset({499, 502, 504, *range(520, 528)})

SPEND_LIMIT_CODES = frozenset(
    {
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
BILLING_TYPES = frozenset({"billing_error", "insufficient_balance"})
BILLING_CODES = frozenset({"organization_on_hold", "linked_organization_billing_unavailable"})
# Narrow, because a 400 may quote what the user wrote, and this pauses the whole run.
BILLING_WORDS = re.compile(
    r"credit balance is|reached your .{0,40}(usage|spend\w*) (limit|cap)|insufficient (balance|credits|funds)"
    r"|requires more credits|payment required",
    re.IGNORECASE,
)
TRANSIENT = frozenset({408, 409, 425, 429, 499})
REGAIN = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")

WINDOW_S = 300.0
"""Limits a minute never ask for a longer wait: who does has closed a window of hours or days."""
LONGEST_S = 1e10
"""What a server says of waits is believed up to some centuries: further on no calendar can show when."""
LONGEST_WORD = 200
"""Characters of a server's word for what went wrong."""

# The status that Anthropic would have answered had it known before the stream began.
STATUS_OF_TYPE = {
    "overloaded_error": 529,
    "api_error": 500,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "request_too_large": 413,
}


@dataclass(slots=True)
class Problem:
    """What a server said was wrong, in one form for all providers; a status of 0 came without one."""

    status: int
    type: str = ""
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] | None = None
    in_stream: bool = False
    """The answer had begun: some of it may be charged, whatever the status means."""


@dataclass(slots=True)
class Failure:
    """How a call ended that brought no answer."""

    error: str
    cls: Literal["transient", "task", "run"]
    status: str
    """In a word, for the books."""
    charged: bool = True
    """False where it certainly cost nothing."""
    why: str = ""
    """For class `run`: quota, auth, billing or network."""
    limited: bool = False
    """The call was one too many for the provider's limits."""
    outcome: Literal["error", "bad_output"] = "error"
    retry_after_s: float | None = None
    reset_s: float | None = None
    """For class `run`: seconds until the limit is said to reset."""


class Cut(Exception):
    """The stream ended, in good order or not, before the answer did."""


class ErrorEvent(Exception):
    """The server says in the middle of its answer that it cannot go on; `body` is what it says."""

    def __init__(self, body: Any):
        super().__init__("an error in the stream")
        self.body = body


def problem_in(body: Any, headers: Mapping[str, str], status: int | None = None) -> Problem:
    """From the body of an error; without a status of its own it came in the middle of an answer."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    kind = str(error.get("type") or "")
    return Problem(
        status=STATUS_OF_TYPE.get(kind, 500) if status is None or status < 400 else status,
        type=kind,
        code=str(details.get("error_code") or "") if isinstance(details, dict) else "",
        message=str(error.get("message") or (body if isinstance(body, str) else "")),
        headers=headers,
        in_stream=status is None or status < 400,
    )


def elsewhere(status: int) -> Failure:
    """The server names another address. Nobody goes there: the prompt and the key are for this one alone."""
    return Failure(f"HTTP {status}: this is no answer of the API", "task", f"http {status}", charged=False)


def of_problem(problem: Problem, now: datetime) -> Failure:
    """Classifies an error that a server answered; `now` is for those that do not say what time they have."""
    status = problem.status
    now = _their_now(problem.headers or {}, now)
    charged = problem.in_stream or status < 400 or status in MAYBE_CHARGED
    shown = problem.message.strip()[:500] or problem.type or "no reason given"
    text = f"HTTP {status}: {shown}" if status and not problem.in_stream else f"in the stream: {shown}"
    cls, why = _class(problem)
    word = (problem.type or problem.code or f"http {status}")[:LONGEST_WORD]
    failure = Failure(text, cls, word, charged, why, limited=status == 429)
    wait_s = _retry_after_s(problem.headers or {}, now)
    if cls == "transient":
        failure.retry_after_s = wait_s
        if wait_s is None and status == 429:
            failure.retry_after_s = _reset_s(problem.headers or {}, now)
        if status == 429 and (failure.retry_after_s or 0.0) > WINDOW_S:
            failure.cls, failure.why, failure.reset_s = "run", "quota", failure.retry_after_s
    elif cls == "run":
        failure.reset_s = _regain_s(problem.message, now)
        if failure.reset_s is None:
            failure.reset_s = wait_s
    return failure


def of_transport(error: BaseException, url: str, *wrappers: type[Exception]) -> Failure | None:
    """Classifies a failure below HTTP; None for what is not one, so a bug stays a bug.

    `wrappers` are an SDK's own errors for it, should their cause be none that is known.
    """
    for cause in _chain(error):
        if isinstance(cause, NEVER_SENT):
            text = f"{url} cannot be reached: {_words(cause)}"
            return Failure(text, "transient", NOT_SENT, charged=False)
        if isinstance(cause, httpx2.TimeoutException):
            text = f"{url} fell silent: {_words(cause)}"
            return Failure(text, "transient", "timed out")
        if isinstance(cause, httpx2.TransportError | httpx2.DecodingError | Cut):
            text = f"the answer was cut off on its way: {_words(cause)}"
            return Failure(text, "transient", "cut")
    if isinstance(error, wrappers):
        text = f"the connection to {url} failed: {_words(error.__cause__ or error)}"
        return Failure(text, "transient", "connection")
    return None


def _class(problem: Problem) -> tuple[Literal["transient", "task", "run"], str]:
    status = problem.status
    if problem.code in SPEND_LIMIT_CODES or problem.type in SPEND_LIMIT_CODES:
        return "run", "quota"
    if status == 402 or problem.type in BILLING_TYPES or problem.code in BILLING_CODES:
        return "run", "billing"
    if status in (400, 403) and BILLING_WORDS.search(problem.message):
        return "run", "billing"
    if status in (401, 403):
        return "run", "auth"
    if status in TRANSIENT or status >= 500 or status < 400:
        return "transient", ""
    return "task", ""


def _their_now(headers: Mapping[str, str], now: datetime) -> datetime:
    """The server's clock where it tells: by ours, if it goes wrong, its dates would mean nothing."""
    try:
        return _aware(parsedate_to_datetime(headers["date"]))
    except (KeyError, ValueError):
        return now


def _retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that the server asks for: milliseconds, seconds, or a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        return _until(parsedate_to_datetime(value), now)
    except ValueError:
        return None


def _reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the last of the empty buckets is full again; a server may tell only this."""
    waits = []
    for name, value in headers.items():
        lower = name.lower()
        if "ratelimit" not in lower or "reset" not in lower:
            continue
        left = _number(headers.get(lower.replace("reset", "remaining")))
        if left is not None and left > 0:
            continue
        wait_s = _duration_s(value) if lower.startswith("x-ratelimit") else _instant_s(value, now)
        if wait_s is not None:
            waits.append(wait_s)
    return max(waits, default=None)


def _regain_s(message: str, now: datetime) -> float | None:
    """From `You will regain access on 2026-12-01 at 00:00 UTC`, as a spend cap set by the user says it."""
    found = REGAIN.search(message)
    if found is None:
        return None
    try:
        return _until(datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}+00:00"), now)
    except ValueError:
        return None


def _instant_s(value: str, now: datetime) -> float | None:
    try:
        return _until(datetime.fromisoformat(value), now)
    except ValueError:
        return None


def _duration_s(value: str) -> float | None:
    """OpenAI's `6m0.5s`, `20ms` or plain seconds."""
    seconds = _number(value)
    if seconds is not None:
        return seconds
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    known = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return min(LONGEST_S, sum(float(number) * known[unit] for number, unit in parts))


def _number(value: str | None) -> float | None:
    """A number of seconds that makes sense: not negative, and of this calendar."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return min(LONGEST_S, max(0.0, number)) if math.isfinite(number) else None


def _until(at: datetime, now: datetime) -> float:
    return min(LONGEST_S, max(0.0, (_aware(at) - now).total_seconds()))


def _aware(at: datetime) -> datetime:
    """What names no zone is in UTC, as an HTTP date with `-0000`."""
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it: the SDKs wrap some failures of the transport and leave others bare."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
