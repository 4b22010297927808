"""What an answer cost, read from bytes in any pieces, with any line ends, and with lies in the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.gateway.usage import MAX_EVENT_BYTES, Reading, cost_nusd
from stretto.models import BUILTIN
from tests.canned import messages_events
from tests.fakeapi.sdk import HAIKU, SONNET

LIE = '{"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": {"output_tokens": 1}}'


def written(events: list[Any], end: str, indent: int | None) -> bytes:
    lines = []
    for event in events:
        data = json.dumps(event, indent=indent).split("\n")
        lines += [": a comment", f"event: {event['type']}", *(f"data: {line}" for line in data), ""]
    return "".join(line + end for line in lines).encode()


@given(
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([None, 2]),
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.sampled_from(["hello", LIE, f"\n\ndata: {LIE}\n\n", '"message_start" "error"']),
)
def test_pieces_and_line_ends_and_what_the_text_says_make_no_difference(
    end: str, indent: int | None, sizes: list[int], text: str
) -> None:
    data = written(messages_events(text), end, indent)
    reading = Reading(streamed=True)
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        reading.take(data[at : at + size])
        at += size
    assert (reading.stop, reading.model, reading.error) == ("end_turn", HAIKU, None)
    usage = reading.counts.usage
    assert usage is not None and (usage["input"], usage["output"]) == (10, 5)


def test_before_its_last_event_nothing_is_known_of_an_answer() -> None:
    data = written(messages_events()[:-2], "\n", None)
    reading = Reading(streamed=True)
    reading.take(data)
    assert reading.counts.usage is None and not reading.stop


def test_classes_of_the_cache_are_told_apart() -> None:
    usage = {
        "output_tokens": 7,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 30},
    }
    reading = Reading(streamed=True)
    reading.take(written(messages_events(usage=usage), "\n", None))
    assert reading.counts.usage == {
        "input": 10,
        "output": 7,
        "cache_read": 100,
        "cache_write_5m": 30,
        "cache_write_1h": 20,
    }


def test_an_answer_that_is_no_stream_is_read_when_all_of_it_is_there() -> None:
    whole = {"model": SONNET, "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 4}}
    reading = Reading(streamed=False)
    for byte in json.dumps(whole).encode():
        assert not reading.stop
        reading.take(bytes([byte]))
    reading.close()
    assert (reading.model, reading.stop) == (SONNET, "end_turn")
    assert reading.counts.usage is not None and reading.counts.usage["output"] == 4


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{", b'{"usage": 3, "stop_reason": "end_turn"}', b"[" * 9_999]
)
def test_what_is_no_answer_costs_an_unknown_amount(data: bytes) -> None:
    reading = Reading(streamed=False)
    reading.take(data)
    reading.close()
    assert reading.counts.usage is None


def test_an_event_without_end_is_given_up() -> None:
    reading = Reading(streamed=True)
    piece = b"data: " + b"x" * 1_000_000 + b"\n"
    for _ in range(2 + MAX_EVENT_BYTES // len(piece)):
        reading.take(piece)
    reading.take(b"\n" + written(messages_events(), "\n", None))
    assert reading.counts.usage is None and not reading.stop


def test_a_model_that_stands_in_for_another_has_its_own_price() -> None:
    usage = {"input": 1_000, "output": 1_000}

    def cost(served: str, *, dearer: bool = False) -> int | None:
        return cost_nusd(BUILTIN, HAIKU, served, usage, dearer=dearer, url="")

    own, other = cost(HAIKU), cost(SONNET)
    assert own is not None and other is not None and other > own
    assert cost("nobody-knows") == cost("") == own
    assert cost(HAIKU, dearer=True) == own * 11 // 10
    assert cost_nusd(BUILTIN, "nobody-knows", HAIKU, usage, dearer=False, url="") is None
