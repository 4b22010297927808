"""Claude through Anthropic's Messages API, or any server that speaks it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, cast

from stretto.agents import Desk, Result, Work
from stretto.agents.answers import clean, parsed
from stretto.agents.conversation import (
    MAX_CONNECTIONS,
    Conversation,
    Reply,
    Room,
    Stop,
    ToolCall,
    key_for,
    on_loopback,
    schema_of,
    system_text,
)
from stretto.agents.streams import events
from stretto.agents.tools import ToolResult, Toolset
from stretto.errors import StrettoError
from stretto.gateway.failures import (
    Cut,
    ErrorEvent,
    Failure,
    elsewhere,
    of_problem,
    of_transport,
    problem_in,
)
from stretto.gateway.usage import Counts
from stretto.models import BUILTIN, Catalogue

try:
    import anthropic
    import httpx2
except ImportError as missing:
    raise StrettoError(
        "missing-extra",
        "the `messages` agent needs the package `anthropic`",
        next="pip install 'stretto[messages]'",
    ) from missing

DEFAULT_URL = "https://api.anthropic.com"
KEY = "ANTHROPIC_API_KEY"
TOKEN = "ANTHROPIC_AUTH_TOKEN"

# How long to wait for a silent server is the engine's business (`idle`); this is where a task sets no limit.
TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
LIMITS = httpx2.Limits(max_connections=MAX_CONNECTIONS + 8, max_keepalive_connections=MAX_CONNECTIONS)

CACHED = {"type": "ephemeral"}
"""Marks the end of a prefix to keep for five minutes; reading it starts them anew."""

STOPS: dict[str, Stop] = {
    "end_turn": "answer",
    "stop_sequence": "answer",
    "tool_use": "tools",
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
    "pause_turn": "cut",
    "refusal": "refused",
}
PIECES = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
"""Where the piece is in each kind of delta, which is also where it belongs in the block."""


class MessagesAgent:
    """Carries out prompts through the Messages API; one client for all attempts, `aclose` at the end.

    `free` says that nobody sends a bill for this server (a model in this process).
    Raises StrettoError `no-api-key` when made, and `missing-extra` when the module is imported.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        free: bool = False,
        catalogue: Catalogue = BUILTIN,
    ):
        url = base_url or os.environ.get("ANTHROPIC_BASE_URL") or DEFAULT_URL
        self._url = url.rstrip("/")
        self._free = free
        self._room = Room(catalogue)
        token = None
        if api_key is None and base_url is None and not os.environ.get(KEY):
            token = os.environ.get(TOKEN)
        key = None if token else key_for(self._url, api_key, KEY, is_default=base_url is None)
        self._client = anthropic.AsyncAnthropic(
            api_key=key,
            auth_token=token,
            base_url=self._url,
            max_retries=0,
            timeout=TIMEOUT,
            open_telemetry=False,
            # A proxy of the environment is for the world outside, not for a server on this machine.
            http_client=anthropic.DefaultAsyncHttpxClient(
                limits=LIMITS,
                timeout=TIMEOUT,
                trust_env=not on_loopback(self._url),
                follow_redirects=False,
            ),
        )

    async def run(self, work: Work, desk: Desk) -> Result:
        """Carries out one attempt."""
        wire = MessagesWire(self._client, self._url, self._room.catalogue)
        return await Conversation(wire, work, desk, self._room, self._free).run()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()


class MessagesWire:
    """Requests and events of the Messages API, for one conversation."""

    def __init__(self, client: anthropic.AsyncAnthropic, url: str, catalogue: Catalogue = BUILTIN):
        self.url = url
        self.caches = False
        self._client = client
        self._catalogue = catalogue
        self._marked: list[dict[str, Any]] = []

    def body(self, work: Work, tools: Toolset, max_tokens: int) -> dict[str, Any]:
        """The first request: what siblings send too is kept in the cache, and what later turns read again.

        The order of a request is tools, system text, messages; a mark keeps all that comes before it.
        """
        schema = schema_of(work)
        several = bool(tools.tools) and work.turns > 1
        content = _content(work)
        body: dict[str, Any] = {
            "model": work.model,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if tools.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
                for tool in tools.tools
            ]
        if several:
            self._mark(content[-1])
        system = system_text(work, tools, enforced=schema is not None)
        if system:
            kept = several or work.shared is not None
            body["system"] = [{"type": "text", "text": system} | ({"cache_control": CACHED} if kept else {})]
        self.caches = several or work.shared is not None
        output: dict[str, Any] = {}
        if work.effort and self._knows(work.model, work.effort):
            output["effort"] = work.effort
        if schema is not None:
            output["format"] = {"type": "json_schema", "schema": anthropic.transform_schema(schema)}
        if output:
            body["output_config"] = output
        return body

    async def send(self, body: dict[str, Any], reply: Reply) -> AsyncGenerator[None, None]:
        """Sends a request and reads its events, pings too: a model that thinks long sends nothing else."""
        reading = _Reading(reply)
        stream = cast("anthropic.AsyncStream[Any]", await self._client.messages.create(**body, stream=True))
        reply.head = stream.response.headers
        async with stream, aclosing(events(stream.response)) as values:
            async for value in values:
                reading.take(value)
                yield
        if not reply.stop:
            raise Cut("the stream ended before the answer did")

    def _knows(self, model: str, effort: str) -> bool:
        """Whether a model has this level; one that is not in the catalogue is asked as the author wrote."""
        efforts = self._catalogue.info(model).efforts
        return efforts is None or effort in efforts

    def follow(
        self, body: dict[str, Any], reply: Reply, results: list[ToolResult], say: str
    ) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": result.text or "(nothing)",
                "is_error": result.failed,
            }
            for call, result in zip(reply.calls, results, strict=True)
        ]
        if say:
            content.append({"type": "text", "text": say})
        self._mark(content[-1])
        body["messages"] += [
            {"role": "assistant", "content": reply.turn},
            {"role": "user", "content": content},
        ]
        return content

    def limit(self, body: dict[str, Any], max_tokens: int) -> None:
        body["max_tokens"] = max_tokens

    def silence(self, body: dict[str, Any]) -> None:
        body["tool_choice"] = {"type": "none"}

    def failure(self, error: Exception) -> Failure | None:
        now = datetime.now(UTC)
        if isinstance(error, ErrorEvent):
            return of_problem(problem_in(error.body, {}), now)
        if isinstance(error, anthropic.APIStatusError) and error.status_code < 400:
            return elsewhere(error.status_code)
        if isinstance(error, anthropic.APIStatusError):
            return of_problem(problem_in(error.body, error.response.headers, error.status_code), now)
        return of_transport(error, self.url, anthropic.APIConnectionError)

    def _mark(self, block: dict[str, Any]) -> None:
        """Marks the end of the prompt and unmarks all but the mark before.

        With those of the system text and of what siblings share that is four, the most there may be. The one
        before stays, because a lookup goes back at most 20 blocks, which one turn can exceed.
        """
        block["cache_control"] = CACHED
        self._marked.append(block)
        if len(self._marked) > 2:
            del self._marked.pop(0)["cache_control"]


class _Reading:
    """Puts one answer together from its events."""

    def __init__(self, reply: Reply):
        self._reply = reply
        self._blocks: dict[int, dict[str, Any]] = {}
        # Pieces are joined once, at the end: a long answer comes in some ten thousand.
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._counts = Counts()

    def take(self, event: Any) -> None:
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self._reply.model = str(message.get("model") or "")
                self._counts.add(message.get("usage"))
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = block
                if block.get("type") == "text":
                    self._reply.say(str(block.get("text") or ""))
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._extend(index, delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                self._counts.add(event.get("usage"), last=bool(delta.get("stop_reason")))
                if delta.get("stop_reason"):
                    self._finish(delta)
            case {"type": "error"}:
                raise ErrorEvent(event)
            case _:
                pass  # a ping, an end, or what a later version of the API may add

    def _extend(self, index: int, delta: dict[str, Any]) -> None:
        name = PIECES.get(delta.get("type", ""), "")
        piece = delta.get(name)
        if isinstance(piece, str):
            self._pieces.setdefault((index, name), []).append(piece)
            if name == "text":
                self._reply.say(piece)

    def _finish(self, delta: dict[str, Any]) -> None:
        """The answer is complete, and what it cost is known, even if the very end of the stream gets lost."""
        reply = self._reply
        for (index, name), pieces in self._pieces.items():
            block = self._blocks.setdefault(index, {})
            if name == "partial_json":
                block["input"] = _input("".join(pieces))
            else:
                block[name] = (block.get(name) or "") + "".join(pieces)
        blocks = [block for _, block in sorted(self._blocks.items())]
        for block in blocks:
            if block.get("type") == "tool_use":
                name, id = str(block.get("name", "")), str(block.get("id", ""))
                reply.calls.append(ToolCall(id, name, block.get("input")))
                if not isinstance(block.get("input"), dict):
                    block["input"] = {}
        # The API refuses empty text blocks in what is sent back, though it sends them.
        reply.turn = [b for b in blocks if b.get("type") != "text" or b.get("text")]
        reply.reason = str(delta["stop_reason"])
        reply.stop = STOPS.get(reply.reason, "cut")
        details = delta.get("stop_details")
        if isinstance(details, dict):
            reply.refusal = str(details.get("explanation") or details.get("category") or "")
        reply.usage = self._counts.usage
        reply.dearer = self._counts.dearer


def _content(work: Work) -> list[dict[str, Any]]:
    """The prompt, in two blocks where siblings share its beginning; a block may not be blank."""
    text, shared = clean(work.prompt), work.shared or 0
    pieces = [text[:shared], text[shared:]]
    if not shared or not all(piece.strip() for piece in pieces):
        pieces = [text]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": piece} for piece in pieces]
    if shared and (len(blocks) > 1 or shared >= len(text.rstrip())):
        blocks[0]["cache_control"] = CACHED
    return blocks


def _input(text: str) -> Any:
    """The input of a tool; None when it is no JSON, as that of an answer that was cut off."""
    try:
        return parsed(text or "{}")
    except ValueError:
        return None
