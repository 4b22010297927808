"""What an answer of the Messages API cost, read from its events or its bytes as they pass."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from stretto.gateway.desk import Usage
from stretto.models import Catalogue

MAX_EVENT_BYTES = 40_000_000
"""An event above this size is passed on and not read, so what the call cost stays unknown."""

MOST_TOKENS = 100_000_000
"""Of one call: a hundred times what the largest model reads."""

USUAL_PLACES = (None, "", "global", "not_available")

_LINE_END = re.compile(rb"\r\n|\n|\r")
_TELLING = (b'"message_start"', b'"message_delta"', b'"error"')
"""One of these is in every event that says something of usage, or of an error; few others have one."""


class Counts:
    """The usage of one answer as it grows.

    Counts are cumulative, and those of the last event may leave out what the first one said.
    """

    __slots__ = ("_counts", "_final")

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}
        self._final = False

    def add(self, usage: Any, *, last: bool = False) -> None:
        """Takes in what one event says; the last one has to say how long the answer was."""
        if isinstance(usage, dict):
            self._counts.update({name: value for name, value in usage.items() if value is not None})
            self._final = self._final or (last and isinstance(usage.get("output_tokens"), int))

    @property
    def usage(self) -> Usage | None:
        """Tokens by class of price; None until all of them are known."""
        return _usage(self._counts) if self._final else None

    @property
    def dearer(self) -> bool:
        """It was generated where tokens cost a tenth more (Anthropic's US-only inference)."""
        return self._counts.get("inference_geo") not in USUAL_PLACES


class Reading:
    """Reads along with an answer that passes: its usage, how it stopped, whether it ended in an error."""

    def __init__(self, streamed: bool) -> None:
        self.counts = Counts()
        self.id = ""
        """The provider's name for the answer."""
        self.model = ""
        """Which model says that it answered."""
        self.stop = ""
        """The provider's word for why it stopped; empty until the answer is complete."""
        self.error: Any = None
        """The event that says that the server cannot go on."""
        self.streamed = streamed
        self._rest = bytearray()
        self._looked = 0
        self._data: list[bytes] = []
        self._lost = False

    def take(self, chunk: bytes) -> None:
        """Reads the next bytes, which may begin and end anywhere."""
        if self._lost:
            return
        self._rest += chunk
        if self.streamed:
            self._lines()
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            self._lost = True
            self._rest.clear()
            self._data.clear()

    def close(self) -> None:
        """All bytes have come: an answer that is no stream can be read now."""
        value = None if self.streamed or self._lost else _json(bytes(self._rest))
        if isinstance(value, dict):
            self._message(value)
            self._stopped(value, value.get("usage"))

    def _lines(self) -> None:
        start = 0
        # What was looked through before is not again: a hostile line may come in a million pieces.
        for end in _LINE_END.finditer(self._rest, self._looked):
            if end.group() == b"\r" and end.end() == len(self._rest):
                break  # its line feed may come next
            self._line(bytes(self._rest[start : end.start()]))
            start = end.end()
        del self._rest[:start]
        self._looked = max(0, len(self._rest) - 1)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:])
        elif not line and self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            if any(word in data for word in _TELLING):
                self._event(_json(data))

    def _event(self, event: Any) -> None:
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self._message(message)
            case {"type": "message_delta", "delta": dict(delta)}:
                self._stopped(delta, event.get("usage"))
            case {"type": "error"}:
                self.error = event
            case _:
                pass  # a text that has one of the words in it

    def _message(self, message: dict[str, Any]) -> None:
        self.id = str(message.get("id") or "")
        self.model = str(message.get("model") or "")
        self.counts.add(message.get("usage"))

    def _stopped(self, delta: dict[str, Any], usage: Any) -> None:
        self.stop = str(delta.get("stop_reason") or "")
        self.counts.add(usage, last=bool(self.stop))


def cost_nusd(
    catalogue: Catalogue, asked: str, served: str, usage: Usage, *, dearer: bool, url: str
) -> int | None:
    """The price of the model that answered, should a server have taken another that has one; None: none."""
    cost = catalogue.cost_nusd(asked, usage, url=url)
    if cost is not None and served and served != asked:
        other = catalogue.cost_nusd(served, usage, url=url)
        cost = cost if other is None else other
    return a_tenth_more(cost) if cost is not None and dearer else cost


def a_tenth_more(nusd: int) -> int:
    return -(-nusd * 11 // 10)


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    if not isinstance(counts.get("input_tokens"), int):
        return None
    detail = counts.get("cache_creation")
    detail = detail if isinstance(detail, dict) else {}
    said = [*counts.items(), *detail.items()]
    if not all(believable(count) for name, count in said if name.endswith("_tokens") and count is not None):
        return None
    hour = _count(detail.get("ephemeral_1h_input_tokens"))
    written = max(
        _count(counts.get("cache_creation_input_tokens")),
        hour + _count(detail.get("ephemeral_5m_input_tokens")),
    )
    return {
        "input": _count(counts.get("input_tokens")),
        "output": _count(counts.get("output_tokens")),
        "cache_read": _count(counts.get("cache_read_input_tokens")),
        "cache_write_5m": written - hour,
        "cache_write_1h": hour,
    }


def believable(count: Any) -> TypeGuard[int]:
    """Whether a server's count of tokens can be true; a call of which one cannot is held at its bound."""
    return type(count) is int and 0 <= count <= MOST_TOKENS


def _count(value: Any) -> int:
    return value if believable(value) else 0


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
