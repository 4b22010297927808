"""One event as one line of text, and back: the form that events have on disk."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable, Sequence
from typing import Any

from stretto.errors import StrettoError
from stretto.events import FORMAT, KINDS, Event
from stretto.journal import Row
from stretto.models.history import Outcome

Stored = tuple[int, int, str, int, str]
"""seq, at_us, kind, v, body: one row of the table `events`."""

_escaped = json.JSONEncoder(separators=(",", ":")).encode


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON: {value!r:.80}")


def _encoder() -> Callable[[Any], str]:
    """The public encoder builds its C part anew for each call, 40 % of the time; this one keeps it."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    strings: Any = getattr(json.encoder, "encode_basestring", None)
    if make is None or strings is None:
        return json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    chunks = make(None, _refuse, strings, None, ":", ",", False, False, True)
    join = "".join

    def encode(value: Any) -> str:
        return join(chunks(value, 0))

    return encode


_plain = _encoder()


def encode(event: Event | Outcome) -> str:
    """The fields in order as a JSON array, readable in any language it was written in.

    Fields at their default are not trimmed: finding them costs twice what writing them does (0.5 us of
    1.7), and `decode` fills in what a body of an older Stretto does not have either way.
    """
    body = _plain(event)
    if not body.isascii():
        try:
            body.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair (a file name, a model's cut-off text) has no UTF-8 form.
            return _escaped(event)
    return body


def decode(stored: Sequence[Stored], at: str) -> list[Row]:
    """Rows of one run, in order. Raises `foreign-journal` or `damaged-journal`, naming the place `at`."""
    try:
        # One call for many bodies: a call for each would cost half as much again.
        bodies = json.loads("[" + ",".join([row[4] for row in stored]) + "]")
        if _sound(stored, bodies):
            return [
                Row(seq, at_us, KINDS[kind](*body))
                for (seq, at_us, kind, _, _), body in zip(stored, bodies, strict=True)
            ]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    for row in stored:
        _decode_one(row, at)
    raise damaged("bodies of events that are sound alone, but not together", at)


def decode_outcomes(stored: Sequence[tuple[Any, ...]], at: str) -> list[Outcome]:
    """Rows (number, v, body) of the table `outcomes`, in order. Raises what `decode` raises."""
    least = len(Outcome._fields) - len(Outcome._field_defaults)
    found = []
    for number, v, body in stored:
        try:
            values = json.loads(body)
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged(f"outcome {number} is not JSON: {error}", at) from error
        if not isinstance(v, int) or not isinstance(values, list) or len(values) < least:
            raise damaged(f"outcome {number} is not what was written", at)
        if v > FORMAT or len(values) > len(Outcome._fields):
            raise foreign(f"outcome {number} has format {v} and {len(values)} fields", at)
        found.append(Outcome(*values))
    return found


def _sound(stored: Sequence[Stored], bodies: list[Any]) -> bool:
    if len(bodies) != len(stored):
        return False
    return {row[3] for row in stored} <= {FORMAT} and {type(body) for body in bodies} <= {list}


def _decode_one(row: tuple[Any, ...], at: str) -> None:
    """Says what is wrong with this row; returns when nothing is."""
    seq, _, kind, v, body = row
    if not isinstance(v, int) or not isinstance(kind, str) or not isinstance(body, str):
        raise damaged(f"event {seq} is not what was written", at)
    if v > FORMAT:
        raise foreign(f"event {seq} ({kind}) has format {v}; this one knows {FORMAT}", at)
    if kind not in KINDS:
        raise foreign(f"event {seq} is of the unknown kind {kind!r}", at)
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise damaged(f"event {seq} ({kind}) is not JSON: {error}", at) from error
    fields = KINDS[kind]._fields
    if not isinstance(values, list) or len(values) < len(fields) - len(KINDS[kind]._field_defaults):
        raise damaged(f"event {seq} ({kind}) has too few fields", at)
    if len(values) > len(fields):
        raise foreign(f"event {seq} ({kind}) has {len(values)} fields; this one knows {len(fields)}", at)


def foreign(what: str, at: str) -> StrettoError:
    return StrettoError(
        "foreign-journal",
        f"this journal was written by a newer Stretto: {what}",
        at=at,
        next="upgrade Stretto (`pip install --upgrade stretto`); nothing was changed",
    )


def damaged(what: str, at: str) -> StrettoError:
    return StrettoError(
        "damaged-journal",
        f"the journal is damaged: {what}",
        at=at,
        next="nothing was changed; copy the `.stretto` folder, then see `stretto doctor`; "
        "to start afresh, move it away (`mv .stretto .stretto.damaged`)",
    )
