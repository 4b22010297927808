"""What a prompt can have at most: by its bytes, by what is known of its beginning, and never too little."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.gateway.bounds import (
    HIDDEN_TOKENS,
    IMAGE_TOKENS,
    REMEMBERED,
    BadBody,
    Prompt,
    Size,
    Sizes,
    prompt_in,
)

CONTEXT = 1_000_000
MARK = {"cache_control": {"type": "ephemeral"}}


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def raw(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": messages, **more}).encode()


def prompt(*messages: Any, **more: Any) -> Prompt:
    return prompt_in(raw(*messages, **more))


def bound(sizes: Sizes, asked: Prompt) -> int:
    size = sizes.of(asked, None)
    assert size is not None
    return size.bound


def test_nothing_known_is_the_bytes_of_the_whole_body() -> None:
    body = raw(user("é" * 600), system="s" * 300)
    assert Sizes().of(prompt_in(body), None) == Size(len(body) + HIDDEN_TOKENS, len(body) // 3)


def test_what_was_answered_is_known_and_only_what_came_since_is_guessed() -> None:
    sizes, first = Sizes(), prompt(user("x" * 9_000))
    sizes.keep(first, {"input": 700, "cache_read": 1_300, "output": 50})
    size = sizes.of(prompt(user("x" * 9_000), said("y" * 400), user("and")), None)
    assert size is not None
    assert 2_000 + 400 + HIDDEN_TOKENS < size.bound < 2_000 + 600 + HIDDEN_TOKENS
    assert size.expected < 200, "the rest will be read from the cache, which no limit counts"


def test_an_answer_counts_with_its_thinking_though_the_client_was_shown_little_of_it() -> None:
    sizes, first = Sizes(), prompt(user("x" * 9_000))
    sizes.keep(first, {"input": 2_000, "output": 3_000})
    assert bound(sizes, prompt(user("x" * 9_000), said("yes"), user("and"))) > 5_000


def test_marks_of_the_cache_and_the_two_ways_to_write_a_text_make_no_difference() -> None:
    sizes = Sizes()
    sizes.keep(prompt(user("x" * 9_000, **MARK), system="s"), {"input": 100})
    plain = {"role": "user", "content": "x" * 9_000}
    then = prompt(plain, said("y"), user("z", **MARK), system=[{"type": "text", "text": "s", **MARK}])
    assert bound(sizes, then) < 2_000


@pytest.mark.parametrize(
    "changed",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 9}},
        {"tool_choice": {"type": "any"}},
        {"output_config": {"effort": "low"}},
        {"context_management": {"edits": []}},
        {"model": "other"},
    ],
)
def test_another_setting_is_another_prompt(changed: dict[str, Any]) -> None:
    sizes = Sizes()
    sizes.keep(prompt(user("x" * 9_000)), {"input": 100})
    assert bound(sizes, prompt(user("x" * 9_000), said("y"))) < 2_000
    assert bound(sizes, prompt(user("x" * 9_000), said("y"), **changed)) > 9_000


def test_other_features_in_the_head_are_another_prompt_and_what_is_no_prompt_is_not() -> None:
    sizes, body = Sizes(), raw(user("x" * 9_000))
    sizes.keep(prompt_in(body, b"a"), {"input": 100})
    assert bound(sizes, prompt_in(body, b"a")) < 2_000
    assert bound(sizes, prompt_in(body, b"b")) > 9_000
    assert (
        bound(sizes, prompt_in(raw(user("x" * 9_000), stream=True, metadata={"user_id": "u"}), b"a")) < 2_000
    )


def test_a_changed_beginning_is_guessed_again() -> None:
    sizes = Sizes()
    sizes.keep(prompt(user("x" * 9_000)), {"input": 100})
    assert bound(sizes, prompt(user("X" + "x" * 8_999), said("y"))) > 9_000
    assert bound(sizes, prompt(said("y"), user("x" * 9_000))) > 9_000


def test_of_tools_and_system_text_only_what_is_new_is_guessed() -> None:
    sizes = Sizes()
    old, new = ({"type": "text", "text": c * 3_000} for c in "ab")
    sizes.keep(prompt(user("hello"), system=[old, new]), {"input": 1_000})
    less, more, twice = (
        bound(sizes, prompt(user("hello"), said("y"), system=system))
        for system in ([new], [old, new, {"type": "text", "text": "c" * 3_000}], [old, new, new])
    )
    assert less < 1_200 + HIDDEN_TOKENS
    assert 4_000 < more - HIDDEN_TOKENS < 4_300
    assert twice > 4_000 + HIDDEN_TOKENS, "each that is known stands for one"


def test_images_count_more_than_their_bytes() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "https://x.example/y.png"}}
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    message = {"role": "user", "content": [block, nested]}
    assert 2 * IMAGE_TOKENS < bound(Sizes(), prompt(message)) < 2 * IMAGE_TOKENS + 2_000


def test_a_document_is_bounded_by_what_the_model_can_read_until_it_was_read_once() -> None:
    pages = {
        "role": "user",
        "content": [{"type": "document", "source": {"type": "base64", "data": "JVBERi"}}],
    }
    sizes = Sizes()
    assert sizes.of(prompt(pages), None) is None
    assert sizes.of(prompt(pages), CONTEXT) == Size(CONTEXT, prompt(pages).size // 3)
    sizes.keep(prompt(pages), {"input": 70_000, "output": 5})
    assert 70_000 < bound(sizes, prompt(pages, said("y"))) < 72_000
    text = {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "abc"}}]}
    assert bound(Sizes(), prompt(text)) < 2_000


def test_only_the_last_prompts_are_remembered() -> None:
    sizes = Sizes()
    for n in range(REMEMBERED + 1):
        sizes.keep(prompt(user(f"{n}" + "x" * 9_000)), {"input": 1})
    assert bound(sizes, prompt(user("0" + "x" * 9_000), said("y"))) > 9_000
    assert bound(sizes, prompt(user("1" + "x" * 9_000), said("y"))) < 2_000


@pytest.mark.parametrize(
    "body",
    [
        raw(user("x", cache_control={"type": "ephemeral", "ttl": "1h"})),
        raw(user("x"), system=[{"type": "text", "text": "s", "cache_control": {"ttl": "1h"}}]),
        raw(user("x"), cache_control={"type": "ephemeral", "ttl": "1h"}),
        raw(
            {
                "role": "user",
                "content": [{"type": "tool_result", "content": [{"cache_control": {"ttl": "1h"}}]}],
            }
        ),
    ],
)
def test_a_cache_that_is_kept_for_an_hour_is_seen_wherever_it_stands(body: bytes) -> None:
    assert prompt_in(body).cache_1h
    assert not prompt_in(body.replace(b'"1h"', b'"5m"')).cache_1h


# A tokenizer that nobody can know: every block has its own number of tokens, at most one a byte.


def tokens_of(block: dict[str, Any]) -> int:
    text = json.dumps({k: v for k, v in block.items() if k != "cache_control"}, ensure_ascii=False)
    return random.Random(text).randint(1, len(text.encode()))


def truth(body: dict[str, Any]) -> int:
    """What the provider counts: all blocks, a few for each message, and some that nobody sees."""
    blocks = [*body["system"], *(block for m in body["messages"] for block in m["content"])]
    return sum(map(tokens_of, blocks)) + 4 * len(body["messages"]) + 346


words = st.text(min_size=1, max_size=60)
moves = st.lists(
    st.tuples(
        st.sampled_from(["go on", "change", "drop", "mark", "system", "shorten", "model"]),
        words,
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300)
@given(moves)
def test_a_bound_is_never_below_what_the_provider_counts(plan: list[tuple[str, str, int]]) -> None:
    sizes = Sizes()
    body: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s"}],
        "messages": [user("go")],
    }
    for move, text, at in plan:
        messages = body["messages"]
        match move:
            case "go on":
                messages += [said(text), user(text[::-1])]
            case "change":
                messages[at % len(messages)] = user(text)
            case "drop" if len(messages) > 1:
                del messages[at % len(messages)]
            case "mark":
                messages[-1]["content"][-1].update(MARK)
            case "system":
                body["system"] = [{"type": "text", "text": text}, *body["system"][: at % 3]]
            case "shorten":
                del messages[1 + at % len(messages) :]
            case _:
                body["model"] = text
        asked = prompt_in(json.dumps(body).encode())
        real = truth(body)
        assert bound(sizes, asked) >= real
        sizes.keep(asked, {"input": real // 2, "cache_read": real - real // 2, "output": at})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_a_body_is_read_or_refused_and_nothing_else(value: Any) -> None:
    whole = {"model": "m", "max_tokens": 1, "messages": [value], "system": value, "tools": value, "x": value}
    for body in (value, whole, {**whole, "messages": value}):
        try:
            found = prompt_in(json.dumps(body).encode())
        except BadBody:
            continue
        assert found.size > 0 and Sizes().of(found, CONTEXT) is not None
