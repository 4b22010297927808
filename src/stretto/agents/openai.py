"""Any server that speaks OpenAI's chat completions: OpenAI itself, Ollama, llama.cpp, vLLM and many more."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from stretto.agents import Desk, Result, Usage, Work
from stretto.agents.answers import clean, compact, every_property_required, parsed
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
    Problem,
    elsewhere,
    of_problem,
    of_transport,
)
from stretto.gateway.usage import believable
from stretto.models import BUILTIN, Catalogue

try:
    import httpx2
    import openai
except ImportError as missing:
    raise StrettoError(
        "missing-extra", "the `openai` agent needs the package `openai`", next="pip install 'stretto[openai]'"
    ) from missing

DEFAULT_URL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"

TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
LIMITS = httpx2.Limits(max_connections=MAX_CONNECTIONS + 8, max_keepalive_connections=MAX_CONNECTIONS)

# llama.cpp at times closes a connection that has just been used: of 200 calls one after another 12 were lost
# ("Server disconnected"), none with a fresh connection each, which on this machine costs next to nothing.
LOOPBACK_LIMITS = httpx2.Limits(max_connections=MAX_CONNECTIONS + 8, max_keepalive_connections=0)

STOPS: dict[str, Stop] = {
    "stop": "answer",
    "length": "cut",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "refused",
}


class OpenAIAgent:
    """Carries out prompts on one server; one client for all attempts, `aclose` at the end.

    `base_url` may end with `#MODEL`, the model to use whatever a task asks for. Raises StrettoError
    `no-api-key` when made, and `missing-extra` when the module is imported.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        free: bool = False,
        catalogue: Catalogue = BUILTIN,
    ):
        given, _, self._model = (base_url or "").partition("#")
        self._url = (given or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")
        self._free = free
        self._room = Room(catalogue)
        self._listed: asyncio.Future[list[str]] | None = None
        self._server = Server(self._url)
        self._client = openai.AsyncOpenAI(
            api_key=key_for(self._url, api_key, KEY, is_default=not given),
            base_url=self._url,
            max_retries=0,
            timeout=TIMEOUT,
            http_client=openai.DefaultAsyncHttpxClient(
                limits=LOOPBACK_LIMITS if on_loopback(self._url) else LIMITS,
                timeout=TIMEOUT,
                trust_env=not on_loopback(self._url),
                follow_redirects=False,
            ),
        )

    async def run(self, work: Work, desk: Desk) -> Result:
        """Carries out one attempt."""
        model = self._model or work.model
        if not self._model and (not model or model.startswith("claude-")):
            model = await self._served(model)
        if not model:
            return Result("error", error=f"{self._url} does not say which models it has", cls="task")
        wire = OpenAIWire(self._client, self._server)
        return await Conversation(wire, replace(work, model=model), desk, self._room, self._free).run()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _served(self, asked: str) -> str:
        """The server's model for a tier of Claude's: itself where it is served, else the only one there is.

        Raises StrettoError `unknown-model` where there are several others.
        """
        if self._listed is None:
            self._listed = asyncio.ensure_future(self._list())
        names = await asyncio.shield(self._listed)
        if asked in names or not names:
            return asked
        if len(names) == 1:
            return names[0]
        close = difflib.get_close_matches(asked, names, n=3) or names[:3]
        raise StrettoError(
            "unknown-model",
            f"{self._url} has no model `{asked}`",
            next=f"add `#MODEL` to the address, e.g. `--on openai:{self._url}#{close[0]}`; it has"
            f" {', '.join(close)}{' and more' if len(names) > len(close) else ''}",
        )

    async def _list(self) -> list[str]:
        try:
            return [model.id for model in (await self._client.models.list()).data]
        except openai.OpenAIError:
            # Not every server can list its models; then the name is sent as it is, and may be refused.
            return []


class Server:
    """What was learned of one server, for all conversations with it."""

    def __init__(self, url: str):
        self.url = url
        self.enforces = True
        """It takes a JSON Schema in `response_format`."""
        host = urlsplit(url).hostname or ""
        # OpenAI's newer models refuse `max_tokens`; most other servers know nothing else.
        own = host == "api.openai.com" or host.endswith(".openai.azure.com")
        self.limit_name = "max_completion_tokens" if own else "max_tokens"


class OpenAIWire:
    """Requests and events of chat completions, for one conversation."""

    caches = True
    """Servers cache prefixes unasked, and some have a price for writing them."""

    def __init__(self, client: openai.AsyncOpenAI, server: Server):
        self.url = server.url
        self._client = client
        self._server = server

    def body(self, work: Work, tools: Toolset, max_tokens: int) -> dict[str, Any]:
        schema = schema_of(work) if self._server.enforces else None
        messages = [{"role": "user", "content": clean(work.prompt)}]
        system = system_text(work, tools, enforced=schema is not None)
        if system:
            messages.insert(0, {"role": "system", "content": system})
        body: dict[str, Any] = {
            "model": work.model,
            "messages": messages,
            "stream_options": {"include_usage": True},
            self._server.limit_name: max_tokens,
        }
        if tools.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.schema,
                    },
                }
                for tool in tools.tools
            ]
        if schema is not None:
            strict = every_property_required(schema)
            form = {"name": "answer", "schema": schema, "strict": strict}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if work.effort:
            body["reasoning_effort"] = work.effort
        return body

    async def send(self, body: dict[str, Any], reply: Reply) -> AsyncGenerator[None, None]:
        reading = _Reading(reply)
        stream = cast(
            "openai.AsyncStream[Any]", await self._client.chat.completions.create(**body, stream=True)
        )
        reply.head = stream.response.headers
        async with stream, aclosing(events(stream.response)) as values:
            async for value in values:
                reading.take(value)
                yield
        if not reply.stop:
            raise Cut("the stream ended before the answer did")

    def follow(
        self, body: dict[str, Any], reply: Reply, results: list[ToolResult], say: str
    ) -> list[dict[str, Any]]:
        added: list[dict[str, Any]] = [
            {
                "role": "tool",
                "tool_call_id": call.id,
                "content": f"error: {result.text}" if result.failed else result.text or "(nothing)",
            }
            for call, result in zip(reply.calls, results, strict=True)
        ]
        if say:
            added.append({"role": "user", "content": say})
        body["messages"] += [reply.turn, *added]
        return added

    def limit(self, body: dict[str, Any], max_tokens: int) -> None:
        body[self._server.limit_name] = max_tokens

    def silence(self, body: dict[str, Any]) -> None:
        body["tool_choice"] = "none"

    def failure(self, error: Exception) -> Failure | None:
        now = datetime.now(UTC)
        if isinstance(error, openai.APIStatusError):
            if error.status_code < 400:
                return elsewhere(error.status_code)
            problem = _problem(error.body, error.response.headers, error.status_code)
            failure = of_problem(problem, now)
            if problem.status == 400 and self._server.enforces and _dislikes_schemas(problem.message):
                # Not retried here: the next attempt asks in words.
                self._server.enforces = False
                failure.cls = "transient"
            return failure
        transport = of_transport(error, self.url, openai.APIConnectionError)
        if transport is not None:
            return transport
        if isinstance(error, ErrorEvent):
            return of_problem(_problem(error.body, {}, None), now)
        return None


class _Reading:
    """Puts one answer together from its chunks, of which local servers leave out this and that."""

    def __init__(self, reply: Reply):
        self._reply = reply
        self._calls: list[dict[str, str]] = []
        self._at: dict[int, dict[str, str]] = {}
        self._refusal = ""

    def take(self, chunk: Any) -> None:
        match chunk:
            case {"error": error} if error:
                raise ErrorEvent(chunk)
            case dict():
                self._take(chunk)
            case _:
                pass  # the end, or nothing

    def _take(self, chunk: dict[str, Any]) -> None:
        reply = self._reply
        reply.model = reply.model or str(chunk.get("model") or "")
        if isinstance(chunk.get("usage"), dict):
            reply.usage = _usage(chunk["usage"])
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            reply.say(delta.get("content") or "")
            self._refusal += delta.get("refusal") or ""
            for part in delta.get("tool_calls") or ():
                self._extend(part)
            if choice.get("finish_reason") and not reply.stop:
                self._finish(str(choice["finish_reason"]))

    def _finish(self, reason: str) -> None:
        """Nothing but usage follows the reason why it stopped."""
        reply = self._reply
        reply.reason = reason
        reply.stop = STOPS.get(reason, "cut")
        if self._calls and reply.stop == "answer":
            # Some servers say `stop` where they mean `tool_calls`.
            reply.stop = "tools"
        if self._refusal:
            reply.stop, reply.refusal = "refused", self._refusal
        reply.calls = [ToolCall(c["id"], c["name"], _input(c["arguments"])) for c in self._calls]
        reply.turn = {"role": "assistant", "content": reply.text or None}
        if self._calls:
            reply.turn["tool_calls"] = [_sent_back(call) for call in reply.calls]

    def _extend(self, part: dict[str, Any]) -> None:
        """A part of a tool call; some servers give every call the index 0 and only its id is new."""
        index, id = part.get("index") or 0, part.get("id")
        call = self._at.get(index)
        if call is None or (id and call["id"] != id):
            call = {"id": str(id or f"call_{len(self._calls)}"), "name": "", "arguments": ""}
            self._calls.append(call)
            self._at[index] = call
        function = part.get("function") or {}
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def _usage(usage: dict[str, Any]) -> Usage | None:
    """OpenAI counts cached tokens as part of the prompt; here each class is counted once."""
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (believable(prompt) and believable(output)):
        return None
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    found = [details.get(name) for name in ("cached_tokens", "cache_write_tokens")]
    cached, kept = (count if believable(count) else 0 for count in found)
    read = min(prompt, cached)
    written = min(prompt - read, kept)
    return {
        "input": prompt - read - written,
        "output": output,
        "cache_read": read,
        "cache_write_5m": written,
        "cache_write_1h": 0,
    }


def _input(text: str) -> Any:
    try:
        return parsed(text or "{}")
    except ValueError:
        return None


def _sent_back(call: ToolCall) -> dict[str, Any]:
    """A tool call as part of the conversation; servers refuse arguments that are no JSON."""
    arguments = compact({} if call.given is None else call.given)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _problem(body: Any, headers: Mapping[str, str], status: int | None) -> Problem:
    """From the body of an error, which the SDK has unwrapped where it has OpenAI's form."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    return Problem(
        status=500 if status is None else status,
        type=str(error.get("type") or ""),
        code=str(error.get("code") or ""),
        message=str(error.get("message") or (body if isinstance(body, str) else "")),
        headers=headers,
        in_stream=status is None,
    )


def _dislikes_schemas(message: str) -> bool:
    return any(word in message for word in ("response_format", "json_schema", "grammar"))
