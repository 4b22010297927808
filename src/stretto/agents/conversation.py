"""What all agents of an API share: reserve, send, settle, run tools, and so on until there is an answer.

What differs between two APIs is a `Wire`: it writes requests and reads events, and knows nothing of money.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from stretto.agents import MAX_OUTPUT_BYTES, Desk, Grant, Result, Usage, Work
from stretto.agents.affording import cut_short, longest
from stretto.agents.answers import clean, compact, enforceable, json_in, size_of, unwrapped
from stretto.agents.tools import GUIDE, Repeats, ToolResult, Toolset
from stretto.errors import StrettoError
from stretto.gateway.bounds import HIDDEN_TOKENS, Size
from stretto.gateway.failures import Failure
from stretto.gateway.limits import told
from stretto.gateway.usage import a_tenth_more, cost_nusd
from stretto.models import BUILTIN, Catalogue
from stretto.models.windows import BYTES_PER_TOKEN, no_room, room_tokens, surely_above

MAX_CONNECTIONS = 128
"""Of one agent: the anthropic SDK answers 100-200 calls in flight well, and times out at 1,000."""

MAX_TOOL_CALLS = 16
"""Tool calls that are run of one turn; more are answered with an error."""

NOTED_CHARS = 4_000
"""Of a tool's result in the transcript; the model saw all of it."""

LAST_TURN = "This was your last use of tools. Give your whole answer now, from what you know."

Stop = Literal["", "answer", "tools", "cut", "refused"]


@dataclass(slots=True)
class ToolCall:
    """A tool that the model wants to be run; `given` is what it wrote as input, None when that is no JSON."""

    id: str
    name: str
    given: Any


@dataclass(slots=True)
class Reply:
    """One answer as it grows; `stop` is empty until it is complete, `usage` None until it is final."""

    model: str = ""
    _texts: list[str] = field(default_factory=list)
    _chars: int = 0
    stop: Stop = ""
    reason: str = ""
    """Why it stopped, in the provider's own word."""
    refusal: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage | None = None
    turn: Any = None
    """The model's turn as it must be sent back."""
    dearer: bool = False
    """It was generated where tokens cost a tenth more (Anthropic's US-only inference)."""
    most_tokens: int = 0
    """What it was allowed to have."""
    grant: Grant | None = None
    head: Mapping[str, str] | None = None
    """The headers of the response, once it has begun."""

    def say(self, text: str) -> None:
        """Adds to the answer's text. Raises TooLong, because not every server keeps to `max_tokens`."""
        self._texts.append(text)
        self._chars += len(text)
        if self._chars > MAX_OUTPUT_BYTES:
            raise TooLong

    @property
    def text(self) -> str:
        return "".join(self._texts)


class TooLong(Exception):
    """The answer is larger than any output may be."""


class Wire(Protocol):
    """What differs between two APIs."""

    url: str
    """Where it sends; also what prices are looked up by."""

    caches: bool
    """Whether requests mark a prefix that is then written to a cache, for a price."""

    def body(self, work: Work, tools: Toolset, max_tokens: int) -> dict[str, Any]:
        """The first request of a conversation, with its `model` and `messages`."""

    def send(self, body: dict[str, Any], reply: Reply) -> AsyncGenerator[None, None]:
        """Sends a request and fills `reply` from the stream, with one beat per event."""

    def follow(
        self, body: dict[str, Any], reply: Reply, results: list[ToolResult], say: str
    ) -> list[dict[str, Any]]:
        """Appends the model's turn and what its tools returned; gives back what is new beside that turn."""

    def limit(self, body: dict[str, Any], max_tokens: int) -> None:
        """Sets how long the next answer may be."""

    def silence(self, body: dict[str, Any]) -> None:
        """Forbids further use of tools, without taking them out of the prompt's prefix."""

    def failure(self, error: Exception) -> Failure | None:
        """Classifies what `send` raised; None for a bug."""


class Room:
    """How many calls of one agent may be in flight.

    Before money is reserved: what waits in the pool of an HTTP client could not be told from what was sent.
    """

    def __init__(self, catalogue: Catalogue = BUILTIN) -> None:
        self.catalogue = catalogue
        self.places = asyncio.Semaphore(MAX_CONNECTIONS)
        self.dearer = False
        """A call was billed the tenth more, so bounds count with it."""


@dataclass(slots=True)
class Conversation:
    """One attempt's exchange with a model."""

    wire: Wire
    work: Work
    desk: Desk
    room: Room
    free: bool = False
    """Nobody sends a bill: calls are bounded and settled at 0."""

    @property
    def max_tokens(self) -> int:
        """What the task asks for, within what its model can do (a request for more is refused)."""
        limit = self.room.catalogue.info(self.work.model).max_output
        return self.work.max_tokens if limit is None else min(self.work.max_tokens, limit)

    async def run(self) -> Result:
        """Talks until there is an answer, the turns are used up, or something fails."""
        work = self.work
        too_long = self._too_long()
        if too_long is not None:
            return too_long
        tools = Toolset(work.root, work.tools)
        repeats = Repeats()
        body = self.wire.body(work, tools, self.max_tokens)
        size = _first_size(body)
        turns = max(1, work.turns) if tools.tools else 1
        for turn in range(1, turns + 1):
            if turn == turns and tools.tools:
                self.wire.silence(body)
            reply, failure = await self._call(body, size)
            if failure is not None:
                return result_of(failure)
            if reply.stop != "tools":
                return answer_of(work, reply)
            if turn == turns:
                break
            results = await self._use(tools, reply.calls)
            said = zip(((call.name, call.given) for call in reply.calls), results, strict=True)
            if again := repeats.told(said):
                return Result("cut_off", reply.text, again, "task")
            say = LAST_TURN if turn + 1 == turns else ""
            added = self.wire.follow(body, reply, results, say)
            size = _first_size(body) if reply.usage is None else _next_size(reply.usage, added)
        error = f"it asked for tools again after all of its {turns} turns; raise `turns`, or ask for less"
        return Result("cut_off", reply.text, error, "task")

    def _too_long(self) -> Result | None:
        """Why the prompt certainly does not fit the model; said before anything is paid for."""
        info = self.room.catalogue.info(self.work.model)
        room = room_tokens(info, self.work.max_tokens)
        least = surely_above(self.work.prompt, room)
        if not least:
            return None
        error = no_room(least, info, self.work.max_tokens)
        return Result("cut_off", error=error, cls="task", why="window", final=True)

    async def _call(self, body: dict[str, Any], size: Size) -> tuple[Reply, Failure | None]:
        """One call, settled whatever happens to it."""
        async with self.room.places:
            nusd, grant, most_tokens = await self._reserve(body["model"], size)
            call = grant.call
            self.wire.limit(body, most_tokens)
            reply = Reply(grant=grant, most_tokens=most_tokens)
            failure: Failure | None = None
            try:
                self._note_request(call, body, size.bound, nusd)
                async with aclosing(self.wire.send(body, reply)) as events:
                    async for _ in events:
                        self.desk.beat()
                        if reply.head is not None:
                            self.desk.heard(call, told(reply.head))
                            reply.head = None
            except TooLong:
                error = f"the answer is larger than {MAX_OUTPUT_BYTES:,} bytes"
                failure = Failure(error, "task", "too long", outcome="bad_output")
            except Exception as error:
                failure = None if reply.stop else self.wire.failure(error)
                if failure is None and not reply.stop:
                    raise
                response = getattr(error, "response", None)
                if failure is not None and response is not None:
                    self.desk.heard(call, told(response.headers, failure))
            finally:
                # Also when it is cancelled: nothing is awaited here, so nothing can come in between.
                self._settle(call, body["model"], nusd, reply, failure)
        return reply, failure

    async def _reserve(self, model: str, size: Size) -> tuple[int | None, Grant, int]:
        """The bound that was granted, the grant, and how long the answer may be under it."""
        least, most = self.work.min_tokens, self.max_tokens
        nusd = self._bound_nusd(model, size.bound, most)
        least_nusd = self._bound_nusd(model, size.bound, least) if 0 < least < most else None
        grant = await self.desk.reserve(nusd, size.expected, most, least_nusd=least_nusd)
        if nusd is None or grant.nusd >= nusd:
            return nusd, grant, most
        tokens = longest(least, most, grant.nusd, lambda most: self._bound_nusd(model, size.bound, most))
        return grant.nusd, grant, tokens

    def _bound_nusd(self, model: str, bound: int, max_tokens: int) -> int | None:
        if self.free:
            return 0
        wire = self.wire
        catalogue = self.room.catalogue
        nusd = catalogue.bound_nusd(model, bound, max_tokens, cached=wire.caches, url=wire.url)
        return nusd if nusd is None or not self.room.dearer else a_tenth_more(nusd)

    def _settle(self, call: int, asked: str, nusd: int | None, reply: Reply, failure: Failure | None) -> None:
        """Tells the house what a call came to: its usage, nothing, or unknown, which holds its bound."""
        model = reply.model or asked
        usage = reply.usage
        status = failure.status if failure else "ok" if reply.stop else "stopped"
        if usage is None and failure is not None and not failure.charged:
            usage = {}
        if usage is None and reply.stop and not nusd:
            # A server that counts no tokens and has no price: there is nothing to hold.
            self.desk.note({"kind": "warning", "call": call, "text": "the server sent no usage"})
            usage = {}
        cost = (nusd or 0) if usage is None else self._cost_nusd(asked, usage, reply)
        self.desk.settle(call, model, usage, cost, status=status, stop=reply.reason)
        self._note_reply(call, reply)
        self.desk.note(
            {"kind": "call", "call": call, "status": status, "usage": usage, "cost_nusd": cost}
            | ({"error": failure.error} if failure else {})
        )

    def _cost_nusd(self, asked: str, usage: Usage, reply: Reply) -> int:
        if self.free or not usage:
            return 0
        self.room.dearer = self.room.dearer or reply.dearer
        url, catalogue = self.wire.url, self.room.catalogue
        return cost_nusd(catalogue, asked, reply.model, usage, dearer=reply.dearer, url=url) or 0

    async def _use(self, tools: Toolset, calls: list[ToolCall]) -> list[ToolResult]:
        """Runs the tools of one turn side by side; their results are in the order of the calls."""
        self.desk.beat()
        first = calls[:MAX_TOOL_CALLS]
        results = list(await asyncio.gather(*(tools.use(call.name, call.given) for call in first)))
        too_many = ToolResult(f"at most {MAX_TOOL_CALLS} tools run at once; ask again", failed=True)
        results += [too_many] * (len(calls) - len(first))
        for call, result in zip(calls, results, strict=True):
            shown = {"kind": "tool", "name": call.name, "input": call.given, "failed": result.failed}
            self.desk.note(shown | {"bytes": len(result.text.encode()), "text": result.text[:NOTED_CHARS]})
        self.desk.beat()
        return results

    def _note_request(self, call: int, body: dict[str, Any], bound: int, nusd: int | None) -> None:
        self.desk.note(
            {
                "kind": "request",
                "call": call,
                "model": body["model"],
                "messages": len(body["messages"]),
                "bytes": size_of(body),
                "bound_tokens": bound,
                "bound_nusd": nusd,
            }
        )

    def _note_reply(self, call: int, reply: Reply) -> None:
        if reply.text:
            self.desk.note({"kind": "text", "call": call, "text": reply.text})
        for tool in reply.calls:
            self.desk.note({"kind": "tool_use", "call": call, "name": tool.name, "input": tool.given})


def answer_of(work: Work, reply: Reply) -> Result:
    """A complete reply as a result: a refusal or an answer that was cut off is no success."""
    text = reply.text
    if reply.stop == "refused":
        return Result("refused", text, f"the model refused: {reply.refusal or 'it gives no reason'}", "task")
    if reply.stop == "cut":
        return _cut_off(reply)
    if not text.strip():
        return Result("bad_output", text, "the answer is empty", "task")
    if work.output_kind != "json":
        return Result("ok", text)
    found = json_in(text)
    if found is None:
        return Result("bad_output", text, f"the answer is not JSON; it starts {text[:80]!r}", "task")
    return Result("ok", unwrapped(work.schema, found))


def _cut_off(reply: Reply) -> Result:
    """An answer that was cut off: at the task's own limit, or because the money allowed no more."""
    grant = reply.grant
    if "context" in reply.reason or grant is None or not grant.short:
        limit = "its context window" if "context" in reply.reason else "`max_tokens`"
        return Result("cut_off", reply.text, f"the answer was cut off at {limit} ({reply.reason})", "task")
    return cut_short(grant, reply.text, reply.most_tokens)


def _first_size(body: dict[str, Any]) -> Size:
    """Of a prompt of which nothing has been sent: a token is never shorter than a byte."""
    bytes_ = size_of(body)
    return Size(bytes_ + HIDDEN_TOKENS, bytes_ // BYTES_PER_TOKEN)


def _next_size(usage: Usage, added: list[dict[str, Any]]) -> Size:
    """Of a prompt that was sent and answered, and of what is new in it."""
    known, new = sum(usage.values()), size_of(added)
    cached = any(tokens for name, tokens in usage.items() if name.startswith("cache_"))
    return Size(known + new + HIDDEN_TOKENS, (0 if cached else known) + new // BYTES_PER_TOKEN)


def system_text(work: Work, tools: Toolset, *, enforced: bool) -> str:
    """The role's text, then what the task's tools and output ask for.

    `enforced` says that the server holds the answer to its schema; else the model is told of it.
    """
    parts = [work.system.strip()]
    if tools.tools:
        parts.append(GUIDE)
    parts += form_of(work, enforced=enforced)
    return clean("\n\n".join(part for part in parts if part))


def form_of(work: Work, *, enforced: bool) -> list[str]:
    """What the model is told of the form of its answer."""
    if work.output_kind == "lines":
        return ["Answer with one entry per line and nothing else."]
    if work.output_kind != "json" or enforced:
        return []
    told = ["Answer with one JSON value and nothing else: no explanation, no Markdown."]
    if work.schema is not None:
        told.append(f"It must fit this JSON Schema: {compact(work.schema)}")
    return told


def schema_of(work: Work) -> dict[str, Any] | None:
    """The schema to have enforced, if the task has one that can be."""
    return enforceable(work.schema) if work.output_kind == "json" else None


def result_of(failure: Failure) -> Result:
    """What an attempt comes to whose call brought no answer."""
    return Result(
        failure.outcome,
        error=failure.error,
        cls=failure.cls,
        why=failure.why,
        retry_after_s=failure.retry_after_s,
        reset_s=failure.reset_s,
    )


def on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


def key_for(url: str, given: str | None, variable: str, *, is_default: bool) -> str:
    """The API key: the one given, else from the environment where that is meant for this address.

    A server on this machine or in the house (plain http) needs none, and is not sent the one that belongs to
    somebody else. Raises StrettoError `no-api-key`.
    """
    local = on_loopback(url) or url.startswith("http://")
    if given is None and (is_default or not local):
        given = os.environ.get(variable)
    key = (given or "").strip()
    if not key and local:
        return "none"
    if not key:
        raise StrettoError(
            "no-api-key",
            f"there is no key for {urlsplit(url).hostname or url}: {variable} is not set",
            next=f"export {variable}=...   (or run with `--on simulated`, which needs none)",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        # It would fail as an illegal header, with the key in the message.
        raise StrettoError(
            "no-api-key", f"what {variable} holds is no key", next=f"export {variable}=..., on one line"
        )
    return key
