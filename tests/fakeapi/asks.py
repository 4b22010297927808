"""What a request asks for, in one form for both dialects, and how many tokens it is.

Tokens of a piece of content are ceil(UTF-8 bytes / 4), so never more than its bytes, and the same whether the
model wrote the piece or reads it back: a later turn's input is at most the earlier input and output plus the
bytes added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Ttl = Literal["5m", "1h"]
Json = Mapping[str, Any]
# What Claude Code adds around a prompt is not what its user said.
CHAT_SYSTEM_ROLES = ("system", "developer")
REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>\s*", re.DOTALL)


class BadRequest(Exception):
    """The real provider would answer 400 invalid_request_error to this body."""


@dataclass(slots=True)
class Part:
    """One block of the prompt in the order in which it is cached; `ttl` marks a breakpoint after it."""

    tokens: int
    data: Any
    ttl: Ttl | None = None


@dataclass(slots=True)
class Ask:
    """A request as the rules see it."""

    model: str
    stream: bool
    max_tokens: int | None
    parts: list[Part]
    user_text: str = ""
    first_text: str = ""
    system_text: str = ""
    tool_result: str = ""
    turn: int = 0
    tool_steps: int = 0
    schema: Json | None = None
    tools: dict[str, Json] = field(default_factory=dict)
    forced_tool: str | None = None
    thinks: bool = False
    hides_thinking: bool = False
    wants_usage: bool = True

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)


def tokens_of(text: str) -> int:
    return -(-utf8_len(text) // 4)


def utf8_len(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_messages(body: Json, *, always_thinks: bool) -> Ask:
    """Reads the body of `POST /v1/messages` and of `count_tokens`."""
    messages = _messages(body)
    parts = list(_anthropic_parts(body))
    if sum(part.ttl is not None for part in parts) > 4:
        raise BadRequest("A maximum of 4 blocks with cache_control may be provided.")
    thinking = body.get("thinking") or {}
    choice = body.get("tool_choice") or {}
    forced = choice.get("type") in ("any", "tool")
    if always_thinks and forced:
        raise BadRequest("tool_choice: this model does not support forced tool use.")
    if always_thinks and thinking.get("type") == "disabled":
        raise BadRequest("thinking: this model does not support disabled thinking.")
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools") or [] if "name" in tool}
    ask = Ask(
        model=body["model"],
        stream=bool(body.get("stream")),
        max_tokens=body.get("max_tokens"),
        parts=parts,
        system_text=_text(body.get("system") or ""),
        schema=wanted.get("schema"),
        tools=tools,
        forced_tool=choice.get("name", next(iter(tools), None)) if forced else None,
        thinks=always_thinks or thinking.get("type") in ("enabled", "adaptive"),
        hides_thinking=thinking.get("display") == "omitted",
    )
    for message in messages:
        _refuse_foreign_thinking(message, ask.model)
        _follow(ask, message["role"], message.get("content"), called=_blocks_of(message, "tool_use"))
    return ask


def read_chat(body: Json) -> Ask:
    """Reads the body of `POST /v1/chat/completions`."""
    messages = _messages(body)
    choice = body.get("tool_choice")
    functions = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
    tools = {function["name"]: function.get("parameters", {}) for function in functions}
    forced: str | None = None
    if choice == "required":
        forced = next(iter(tools), None)
    elif isinstance(choice, dict):
        forced = choice.get("function", {}).get("name")
    wanted = body.get("response_format") or {}
    schema = wanted.get("json_schema", {}).get("schema")
    ask = Ask(
        model=body["model"],
        stream=bool(body.get("stream")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        parts=[Part(tokens_of(compact(tool)), tool) for tool in functions],
        system_text="\n".join(_text(m.get("content")) for m in messages if m["role"] in CHAT_SYSTEM_ROLES),
        schema={"type": "object"} if wanted.get("type") == "json_object" else schema,
        tools=tools,
        forced_tool=forced,
        wants_usage=not body.get("stream") or bool((body.get("stream_options") or {}).get("include_usage")),
    )
    for message in messages:
        calls = [call["function"] for call in message.get("tool_calls") or []]
        count = sum(tokens_of(call["name"] + call["arguments"]) for call in calls)
        ask.parts.append(Part(tokens_of(_text(message.get("content"))) + count, message))
        _follow(ask, message["role"], message.get("content"), called=calls)
    return ask


def _messages(body: Json) -> list[Json]:
    if not isinstance(body.get("model"), str):
        raise BadRequest("model: Field required")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: at least one message is required")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("messages: each must be an object with a role")
    return messages


def require_max_tokens(body: Json) -> None:
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise BadRequest("max_tokens: an integer of at least 1 is required")


def _follow(ask: Ask, role: str, content: Any, called: list[Json]) -> None:
    """Moves the ask on by one message; a system message changes nothing, wherever it stands."""
    if role == "assistant":
        ask.tool_steps += bool(called)
    elif role == "tool":
        ask.tool_result = _text(content)
    elif role == "user":
        results = [block for block in _content(content) if block.get("type") == "tool_result"]
        if results:
            ask.tool_result = _text(results[-1].get("content"))
            return
        text = REMINDER.sub("", _text(content))
        if not text:
            return
        ask.turn += bool(ask.first_text)
        ask.first_text = ask.first_text or text
        ask.user_text = text
        ask.tool_steps = 0


def _anthropic_parts(body: Json) -> Iterator[Part]:
    """The prompt's blocks in cache order; a cache_control at the top of the body marks the last of them."""
    parts: list[Part] = []
    for tool in body.get("tools") or []:
        parts.append(_part(tool, ("tool", _bare(tool)), tokens_of(compact(_bare(tool)))))
    for block in _content(body.get("system") or ""):
        parts.append(_part(block, ("system", _bare(block)), _block_tokens(block)))
    for message in body["messages"]:
        for block in _content(message.get("content")):
            parts.append(_part(block, (message["role"], _bare(block)), _block_tokens(block)))
    top = body.get("cache_control")
    if top and parts:
        parts[-1].ttl = top.get("ttl", "5m")
    yield from parts


def _part(block: Json, data: Any, tokens: int) -> Part:
    control = block.get("cache_control")
    return Part(tokens, data, control.get("ttl", "5m") if control else None)


def _bare(block: Json) -> Json:
    return {key: value for key, value in block.items() if key != "cache_control"}


def _block_tokens(block: Json) -> int:
    match block.get("type"):
        case "text":
            return tokens_of(block["text"])
        case "tool_use":
            return tokens_of(block["name"] + compact(block["input"]))
        case "thinking":
            return tokens_of(block["thinking"])
        case "tool_result":
            return sum(_block_tokens(inner) for inner in _content(block.get("content")))
        case _:
            return tokens_of(compact(_bare(block)))


def _content(content: Any) -> Iterable[Json]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise BadRequest("content: a string or a list of blocks is required")
    return content


def _blocks_of(message: Json, kind: str) -> list[Json]:
    return [block for block in _content(message.get("content")) if block.get("type") == kind]


def _text(content: Any) -> str:
    return "\n".join(block["text"] for block in _content(content) if block.get("type") == "text")


def _refuse_foreign_thinking(message: Json, model: str) -> None:
    """A conversation cannot change its model in the middle: thinking is signed by the model that wrote it."""
    for block in _blocks_of(message, "thinking"):
        if not block.get("signature", "").startswith(f"{model}/"):
            raise BadRequest("thinking: invalid `signature`, or written by another model")
