"""What an agent returned, held against what its task promised: bytes to keep, or why they are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from stretto.agents import MAX_OUTPUT_BYTES, Result
from stretto.journal import Blob
from stretto.plan.model import Task
from stretto.plan.schema import validate
from stretto.workspace.redact import Redactor
from stretto.workspace.root import names_something

NOTHING = hashlib.sha256(b"null").hexdigest()


class Made(NamedTuple):
    """An accepted output (`error` empty), or the outcome and error of one that is refused."""

    data: bytes
    sha: str
    outcome: str = "ok"
    error: str = ""


NO_SECRETS = Redactor({})


def accept(task: Task, value: Any, redactor: Redactor = NO_SECRETS) -> Made:
    """Checks and encodes an agent's answer by the kind and schema of the task's output.

    A secret in it goes no further: from here on the output is kept, shown and handed to other agents.
    """
    if value is None and task.output_kind == "json" and task.output is None:
        return Made(b"null", NOTHING)
    try:
        data = _encode(task, value)
    except Refused as refused:
        return Made(b"", "", "bad_output", str(refused))
    if len(data) > MAX_OUTPUT_BYTES:
        size = f"{len(data):,} bytes; at most {MAX_OUTPUT_BYTES:,} are kept"
        return Made(b"", "", "bad_output", f"the output has {size}")
    data = _without_secrets(task.output_kind, data, redactor)
    return Made(data, hashlib.sha256(data).hexdigest())


def unwritten(root: Path, writes: Iterable[str]) -> str:
    """What a task promised to write and did not, as an error; empty where it kept its promise."""
    missing = [path for path in writes if not names_something(root, path)]
    if not missing:
        return ""
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"it promised to write {', '.join(missing[:5])}{more} and did not"


def blob_of(text: str) -> Blob:
    """A text of our own making as a blob: a plan, a prompt."""
    data = text.encode()
    return hashlib.sha256(data).hexdigest(), data


class Refused(Exception):
    """An answer that is not what its task promised."""


def _encode(task: Task, value: Any) -> bytes:
    kind = task.output_kind
    if kind == "text":
        return _bytes(value if isinstance(value, str) else _dumps(value))
    if kind == "lines" and isinstance(value, str):
        return _bytes(_dumps([line for line in value.splitlines() if line.strip()]))
    if isinstance(value, str) and (task.action != "call"):
        value = parse(value)
    # A planner's answer is judged as a plan, which may have its tasks as a mapping too (`run.growing`).
    schema = task.output.schema if task.output is not None and not task.grow else None
    if kind == "lines":
        schema = {"type": "array", "items": {"type": "string"}}
    if schema is not None and (problems := validate(value, schema)):
        raise Refused("the output is not what was promised: " + "; ".join(problems[:5]))
    return _bytes(_dumps(value))


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"the output is no valid Unicode: {error.reason} at {error.start}") from None


def _without_secrets(kind: str, data: bytes, redactor: Redactor) -> bytes:
    text = data.decode()
    told = redactor.in_data(text)
    if told == text:
        return data
    return told.encode() if kind == "text" else _dumps(redactor.in_value(json.loads(text))).encode()


def _dumps(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"the output cannot be written as JSON: {error}") from None


def parse(text: str) -> Any:
    """JSON from a model's or a command's text; a Markdown fence around it is taken off. Raises Refused."""
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        stripped = stripped.removeprefix("```").removesuffix("```").removeprefix("json").strip()
    try:
        return json.loads(stripped, parse_constant=_no_constant)
    except RecursionError:
        raise Refused("the output is JSON that is nested too deeply") from None
    except ValueError as error:
        start = stripped[:60].replace("\n", " ")
        raise Refused(f"the output is not JSON ({error}); it starts: {start!r}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@lru_cache(maxsize=1)
def verdict_schema() -> dict[str, Any]:
    """What a judging check must answer."""
    return {
        "type": "object",
        "properties": {
            "pass": {"type": "boolean"},
            "findings": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["pass", "findings"],
        "additionalProperties": False,
    }


def verdict(task: Task, result: Result, role: str = "check") -> tuple[str, str]:
    """(outcome, error) of a check: ok, check_failed, or error when the judge gave no verdict."""
    check = task.check
    assert check is not None
    if check.run and role == "check":
        if result.outcome == "ok":
            return "ok", ""
        failed = result.error.startswith("exit code")
        return ("check_failed" if failed else "error"), result.error
    if result.outcome != "ok":
        return "error", result.error
    value = result.output
    if (check.prompt or role == "shadow") and isinstance(value, str):
        try:
            value = parse(value)
        except Refused as refused:
            return "error", str(refused)
    if isinstance(value, dict) and isinstance(value.get("pass"), bool):
        if value["pass"]:
            return "ok", ""
        findings = value.get("findings")
        text = "; ".join(str(f) for f in findings) if isinstance(findings, list) else ""
        return "check_failed", text or "the check said no"
    if isinstance(value, bool):
        return ("ok", "") if value else ("check_failed", "the check said no")
    # A forgotten `return` gives None: silence is no yes.
    was = "nothing" if value is None else type(value).__name__
    return "error", f"a check returns true, false or {{pass, findings}}, not {was}"
