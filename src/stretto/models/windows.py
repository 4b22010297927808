"""How many tokens a text has, by estimate and at least, and how many a model has room for."""

from __future__ import annotations

from stretto.models.catalogue import CACHE_MIN_TOKENS, ModelInfo

BYTES_PER_TOKEN = 3
"""Of an estimate; see `estimate_tokens`."""

PER_NEED_TOKENS = 8_000
PER_TASK_TOKENS = 32_000
"""The most that is handed over of one need, and to one task."""

LONGEST_TOKEN = 16
"""Letters that no token of a text of words exceeds: the longest words of ordinary text that are one token."""

_SPARSE_BYTES = 4
"""Bytes a token of plain prose, which has the fewest, as a model without `token_factor` counts."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: a third of its UTF-8 bytes, rounded up.

    English prose has some 4 bytes a token, and models from 4.7 on count about 30 % more tokens for the
    same text: 3.1. Dense code has more tokens than this says, so it is an estimate to choose and to show
    with; what a call may cost is bounded by bytes, never by this.
    """
    return -(-_bytes(text) // BYTES_PER_TOKEN)


def least_tokens(text: str) -> int:
    """How many tokens a text has for certain: no token spans two words, none is longer than the longest.

    It is to refuse with: prose has about 1.3 times as many, code and CJK several times.
    """
    return sum(-(-len(word) // LONGEST_TOKEN) for word in text.split())


def cached_tokens(text: str, info: ModelInfo) -> int:
    """How many tokens of a prefix can be relied on where a model asks for a least number of them."""
    return int(_bytes(text) * info.token_factor) // _SPARSE_BYTES


def cache_min_tokens(info: ModelInfo) -> int:
    """The shortest prefix that a model caches; where that is unknown, what the most demanding asks for."""
    return CACHE_MIN_TOKENS if info.cache_min_tokens is None else info.cache_min_tokens


def answer_tokens(info: ModelInfo, max_tokens: int) -> int:
    """How long an answer can be for which so many tokens are asked."""
    return max_tokens if info.max_output is None else min(max_tokens, info.max_output)


def room_tokens(info: ModelInfo, max_tokens: int) -> int | None:
    """What a prompt may have beside an answer of this length; None where the model's context is unknown."""
    return None if info.context is None else info.context - answer_tokens(info, max_tokens)


def surely_above(text: str, room: int | None) -> int:
    """The least number of tokens of a text that is certainly too long; 0 where it may fit."""
    if room is None or _bytes(text) <= room:
        return 0  # a token is never shorter than a byte
    least = least_tokens(text)
    return least if least > room else 0


def no_room(tokens: int, info: ModelInfo, max_tokens: int) -> str:
    """What is said of a prompt that is certainly too long."""
    return f"the prompt has at least {tokens:,} tokens, and {what_room(info, max_tokens)}"


def what_room(info: ModelInfo, max_tokens: int) -> str:
    """The room of a model in words."""
    room = max(0, room_tokens(info, max_tokens) or 0)
    return f"{info.id} has room for {room:,} beside an answer of {answer_tokens(info, max_tokens):,}"


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
