"""What a session of Claude Code came to: from what it said at the end, and what the gateway knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stretto.agents import Result, Work
from stretto.agents.answers import compact, json_in, unwrapped


@dataclass(slots=True)
class Heard:
    """What a session has said so far, in our words."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    """Texts since the last use of a tool, each with the name of the answer it belongs to."""
    error: str = ""
    """Claude Code's word for what was wrong with the last answer."""
    ended: bool = False
    """It has said that it is done; the rest tells how."""
    subtype: str = ""
    is_error: bool = False
    stop: str = ""
    text: str = ""
    structured: Any = None
    """The answer, where it was held to a schema; None where it was not given."""
    complaints: list[str] = field(default_factory=list)


def result_of_session(work: Work, heard: Heard, cut_off: set[str]) -> Result:
    """A session as a result. `success` is only its client's word: an error of the API may come under it."""
    if heard.subtype == "error_max_turns":
        error = (
            f"it asked for tools again after all of its {work.turns} turns; raise `turns`, or ask for less"
        )
        return Result("cut_off", heard.text, error, "task")
    if heard.stop == "refusal":
        return Result("refused", heard.text, f"the model refused: {_first_line(heard.text)}", "task")
    if heard.error == "max_output_tokens":
        return Result("cut_off", heard.text, "the answer was cut off at `max_tokens` again and again", "task")
    if heard.is_error:
        said = "; ".join(heard.complaints) or heard.text or heard.subtype
        return Result("error", error=f"Claude Code: {said}", cls="task")
    return _answer(work, heard, _whole(heard, cut_off))


def _answer(work: Work, heard: Heard, text: str) -> Result:
    if work.output_kind == "json":
        found = json_in(text) if heard.structured is None else compact(heard.structured)
        if found is None:
            return Result("bad_output", text, f"the answer is not JSON; it starts {text[:80]!r}", "task")
        return Result("ok", unwrapped(work.schema, found))
    if not text.strip():
        return Result("bad_output", text, "the answer is empty", "task")
    return Result("ok", text)


def _whole(heard: Heard, cut_off: set[str]) -> str:
    """The answer with its beginning: where one is cut off, Claude Code asks for the rest, and tells that."""
    return "".join(text for name, text in heard.pieces if name in cut_off) + heard.text


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300] or "it gives no reason"
