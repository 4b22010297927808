"""How the two providers write the same answer and the same error on the wire."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .answers import Answer, Block
from .asks import Ask, Json, compact, read_chat, read_messages, require_max_tokens
from .cache import Usage
from .config import Config
from .limits import Limiter


@dataclass(slots=True)
class Call:
    """One admitted request with its answer, and how much of it was produced so far."""

    id: str
    ask: Ask
    answer: Answer
    usage: Usage
    spent_tokens: int = 0

    def set_output(self, tokens: int) -> None:
        self.usage.output = max(1, tokens)

    def spend(self, limiter: Limiter, now_s: float) -> None:
        """Takes from the bucket what was produced since the last time."""
        limiter.spend_output(self.ask.model, self.usage.output - self.spent_tokens, now_s)
        self.spent_tokens = self.usage.output

    @property
    def thinking_tokens(self) -> int:
        return sum(block.tokens for block in self.answer.blocks if block.kind == "thinking")


@dataclass(slots=True)
class Failure:
    """An answer that is an error; `kind` is Anthropic's word for it, `code` tells it from its siblings."""

    status: int
    kind: str
    message: str
    code: str | None = None
    retry_after: str | None = None


class Dialect(Protocol):
    """What differs between two providers; the generator in `server` is the same for both."""

    def read(self, body: Json, always_thinks: bool) -> Ask: ...
    def whole(self, call: Call) -> Any: ...
    def start(self, call: Call) -> bytes: ...
    def open_block(self, call: Call, index: int, block: Block) -> bytes: ...
    def delta(self, call: Call, index: int, block: Block, piece: str) -> bytes: ...
    def close_block(self, call: Call, index: int, block: Block) -> bytes: ...
    def finish(self, call: Call) -> bytes: ...
    def error_event(self, failure: Failure, request_id: str) -> bytes: ...
    def error(self, failure: Failure, request_id: str) -> tuple[int, Any]: ...
    def limit_headers(self, limiter: Limiter, model: str, now_s: float) -> dict[str, str]: ...
    def id_headers(self, request_id: str) -> dict[str, str]: ...


class Messages:
    """Anthropic's Messages API."""

    def read(self, body: Json, always_thinks: bool) -> Ask:
        require_max_tokens(body)
        return read_messages(body, always_thinks=always_thinks)

    def whole(self, call: Call) -> Any:
        content = [_whole_block(call, block) for block in call.answer.blocks]
        return self._message(call, content) | {
            "stop_reason": call.answer.stop_reason,
            "stop_details": _stop_details(call),
            "usage": self._usage(call, final=True),
        }

    def start(self, call: Call) -> bytes:
        message = self._message(call, []) | {"usage": self._usage(call, final=False)}
        return _event("message_start", {"message": message}) + _event("ping", {})

    def open_block(self, call: Call, index: int, block: Block) -> bytes:
        shell: dict[str, Any]
        match block.kind:
            case "text":
                shell = {"type": "text", "text": ""}
            case "thinking":
                shell = {"type": "thinking", "thinking": "", "signature": ""}
            case "tool":
                shell = {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
        return _event("content_block_start", {"index": index, "content_block": shell})

    def delta(self, call: Call, index: int, block: Block, piece: str) -> bytes:
        delta: dict[str, Any]
        match block.kind:
            case "text":
                delta = {"type": "text_delta", "text": piece}
            case "tool":
                delta = {"type": "input_json_delta", "partial_json": piece}
            case "thinking":
                if call.ask.hides_thinking:
                    return b""
                delta = {"type": "thinking_delta", "thinking": piece}
        return _event("content_block_delta", {"index": index, "delta": delta})

    def close_block(self, call: Call, index: int, block: Block) -> bytes:
        signed = b""
        if block.kind == "thinking":
            delta = {"type": "signature_delta", "signature": _signature(call)}
            signed = _event("content_block_delta", {"index": index, "delta": delta})
        return signed + _event("content_block_stop", {"index": index})

    def finish(self, call: Call) -> bytes:
        delta = {
            "stop_reason": call.answer.stop_reason,
            "stop_sequence": None,
            "stop_details": _stop_details(call),
        }
        usage = self._usage(call, final=True)
        usage.pop("cache_creation")
        return _event("message_delta", {"delta": delta, "usage": usage}) + _event("message_stop", {})

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        _, body = self.error(failure, request_id)
        return b"event: error\ndata: " + compact(body).encode() + b"\n\n"

    def error(self, failure: Failure, request_id: str) -> tuple[int, Any]:
        error: dict[str, Any] = {"type": failure.kind, "message": failure.message}
        if failure.code:
            error["details"] = {"error_code": failure.code}
        return failure.status, {"type": "error", "error": error, "request_id": request_id}

    def limit_headers(self, limiter: Limiter, model: str, now_s: float) -> dict[str, str]:
        return limiter.headers(model, now_s)

    def id_headers(self, request_id: str) -> dict[str, str]:
        return {"request-id": request_id}

    def _message(self, call: Call, content: list[Any]) -> dict[str, Any]:
        return {
            "id": call.id.replace("req_", "msg_"),
            "type": "message",
            "role": "assistant",
            "model": call.ask.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _usage(self, call: Call, *, final: bool) -> dict[str, Any]:
        usage = call.usage
        found: dict[str, Any] = {
            "input_tokens": usage.input,
            "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "cache_read_input_tokens": usage.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write_5m,
                "ephemeral_1h_input_tokens": usage.cache_write_1h,
            },
            "output_tokens": usage.output if final else 1,
        }
        if final and call.thinking_tokens:
            found["output_tokens_details"] = {"thinking_tokens": call.thinking_tokens}
        return found


class ChatCompletions:
    """OpenAI's chat completions; thinking is billed but not shown, as its reasoning tokens are."""

    def read(self, body: Json, always_thinks: bool) -> Ask:
        return read_chat(body)

    def whole(self, call: Call) -> Any:
        text = "".join(block.payload for block in call.answer.blocks if block.kind == "text")
        tools = [block for block in call.answer.blocks if block.kind == "tool"]
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if tools:
            message["tool_calls"] = [_tool_call(block, block.payload) for block in tools]
        choice = {"index": 0, "message": message, "finish_reason": _finish_reason(call), "logprobs": None}
        return self._shell(call, "chat.completion") | {"choices": [choice], "usage": self._usage(call)}

    def start(self, call: Call) -> bytes:
        return self._chunk(call, {"role": "assistant", "content": ""})

    def open_block(self, call: Call, index: int, block: Block) -> bytes:
        if block.kind != "tool":
            return b""
        return self._chunk(call, {"tool_calls": [{"index": _tool_at(call, index)} | _tool_call(block, "")]})

    def delta(self, call: Call, index: int, block: Block, piece: str) -> bytes:
        match block.kind:
            case "text":
                return self._chunk(call, {"content": piece})
            case "tool":
                part = {"index": _tool_at(call, index), "function": {"arguments": piece}}
                return self._chunk(call, {"tool_calls": [part]})
            case "thinking":
                return b""

    def close_block(self, call: Call, index: int, block: Block) -> bytes:
        return b""

    def finish(self, call: Call) -> bytes:
        last = self._chunk(call, {}, _finish_reason(call))
        if call.ask.wants_usage:
            body = self._shell(call, "chat.completion.chunk") | {"choices": [], "usage": self._usage(call)}
            last += b"data: " + compact(body).encode() + b"\n\n"
        return last + b"data: [DONE]\n\n"

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        _, body = self.error(failure, request_id)
        return b"data: " + compact(body).encode() + b"\n\n"

    def error(self, failure: Failure, request_id: str) -> tuple[int, Any]:
        status, kind, code = failure.status, failure.kind, failure.code
        if status == 529:
            status, kind = 503, "server_error"
        elif code is not None:
            kind = code = "insufficient_quota"
        elif status == 429:
            code = "rate_limit_exceeded"
        elif status == 401:
            kind, code = "invalid_request_error", "invalid_api_key"
        return status, {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}

    def limit_headers(self, limiter: Limiter, model: str, now_s: float) -> dict[str, str]:
        return limiter.chat_headers(model, now_s)

    def id_headers(self, request_id: str) -> dict[str, str]:
        return {"x-request-id": request_id}

    def _shell(self, call: Call, kind: str) -> dict[str, Any]:
        call_id = call.id.replace("req_", "chatcmpl-")
        return {"id": call_id, "object": kind, "created": int(time.time()), "model": call.ask.model}

    def _chunk(self, call: Call, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        body = self._shell(call, "chat.completion.chunk") | {"choices": [choice]}
        return b"data: " + compact(body).encode() + b"\n\n"

    def _usage(self, call: Call) -> dict[str, Any]:
        prompt, output = call.usage.prompt, call.usage.output
        return {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": call.usage.cache_read},
            "completion_tokens_details": {"reasoning_tokens": call.thinking_tokens},
        }


def models_page(config: Config) -> dict[str, Any]:
    """`GET /v1/models` in a form that both SDKs can read."""
    data = [
        {
            "id": name,
            "object": "model",
            "type": "model",
            "created": 0,
            "owned_by": "fake",
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
        }
        for name in config.prices
    ]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, "has_more": False} | ends


def _whole_block(call: Call, block: Block) -> dict[str, Any]:
    match block.kind:
        case "text":
            return {"type": "text", "text": block.payload}
        case "thinking":
            shown = "" if call.ask.hides_thinking else block.payload
            return {"type": "thinking", "thinking": shown, "signature": _signature(call)}
        case "tool":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.tool_input()}


def _signature(call: Call) -> str:
    return f"{call.ask.model}/{call.id}"


def _stop_details(call: Call) -> dict[str, Any] | None:
    if call.answer.stop_reason != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": "The fake provider was told to refuse."}


def _event(kind: str, fields: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {compact({'type': kind, **fields})}\n\n".encode()


def _finish_reason(call: Call) -> str:
    match call.answer.stop_reason:
        case "end_turn":
            return "stop"
        case "max_tokens":
            return "length"
        case "tool_use":
            return "tool_calls"
        case "refusal":
            return "content_filter"


def _tool_call(block: Block, arguments: str) -> dict[str, Any]:
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _tool_at(call: Call, index: int) -> int:
    return sum(block.kind == "tool" for block in call.answer.blocks[:index])
