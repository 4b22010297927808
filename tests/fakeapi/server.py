"""Admits requests, answers them, and keeps the books: the routes and the state of the fake provider."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import traceback
from dataclasses import dataclass
from typing import Any

from .answers import HEAD_CHARS, Script, compose
from .asks import Ask, BadRequest, compact, read_messages
from .bill import KEPT_HEADERS, Book, End, Entry, Record, cost_nusd
from .cache import CachePlan, PromptCache
from .config import Config, Fault, price_of
from .dialects import Call, ChatCompletions, Dialect, Failure, Messages, models_page
from .generate import OVERLOADED, Clock, Generation
from .limits import Limiter, Refusal
from .wire import Connection, Request

MESSAGES, CHAT = Messages(), ChatCompletions()
COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"
DIALECTS: dict[str, Dialect] = {"/v1/messages": MESSAGES, "/v1/chat/completions": CHAT}
# Malformed requests make the readers stumble in these ways; a bug elsewhere must not pass as a 400.
STUMBLES = (KeyError, TypeError, AttributeError, ValueError, IndexError, BadRequest)


@dataclass(slots=True)
class Admitted:
    """A request that goes on to generation."""

    call: Call
    cache: CachePlan


class App:
    """One fake provider."""

    def __init__(self, config: Config) -> None:
        self.initial = config
        self.clock = Clock(config.time_scale)
        self.count = 0
        self.connections: set[Connection] = set()
        self.reset()

    def reset(self) -> None:
        """Forgets everything that was done and goes back to the configuration of the start."""
        self.config = self.initial
        self.clock.rescale(self.config.time_scale)
        self.book = Book()
        self.cache = PromptCache()
        self.script = Script(self.config)
        self.limiter = Limiter(self.config)

    def configure(self, data: dict[str, Any]) -> None:
        """Replaces top-level keys; buckets fill and rules count anew only where their own keys changed."""
        self.config = self.config.merged(data)
        self.script.config = self.limiter.config = self.config
        if data.keys() & {"rules", "default", "faults", "seed"}:
            self.script = Script(self.config)
        if data.keys() & {"limits", "time_scale"}:
            self.limiter = Limiter(self.config)
            self.clock.rescale(self.config.time_scale)

    async def serve(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        # Hundreds may connect in one moment; the default queue of 100 would make some of them wait a second.
        return await loop.create_server(
            lambda: Connection(self.handle, self.connections), "127.0.0.1", port, backlog=4096
        )

    async def handle(self, connection: Connection, request: Request) -> None:
        """Answers one request; what the server itself gets wrong is kept in `bugs`, apart from all faults."""
        try:
            await self._route(connection, request)
        except Exception:
            self.book.bugs.append(traceback.format_exc())
            _send_json(connection, 500, {"type": "error", "error": {"type": "fake_api_bug"}})
            connection.close()

    async def _route(self, connection: Connection, request: Request) -> None:
        path = request.path
        for suffix, dialect in DIALECTS.items():
            if path.endswith(suffix) and request.method == "POST":
                await self._generate(connection, request, dialect, path.removesuffix(suffix))
                return
        if path.endswith(COUNT_TOKENS) and request.method == "POST":
            self._count_tokens(connection, request)
        elif path.endswith(MODELS) and request.method == "GET":
            _send_json(connection, 200, models_page(self.config))
        elif path.startswith("/__"):
            self._control(connection, request)
        elif path == "/" and request.method in ("GET", "HEAD"):
            # Claude Code looks whether anyone is there before it sends a call.
            connection.send(200, {}, b"")
        else:
            failure = Failure(404, "not_found_error", f"{request.method} {path}")
            _send_json(connection, *MESSAGES.error(failure, "req_none"))

    def _control(self, connection: Connection, request: Request) -> None:
        wants_list = request.query.get("list", "1") == "1"
        prefix = request.query.get("prefix")
        match request.method, request.path:
            case "GET", "/__bill":
                _send_json(connection, 200, self.book.bill(with_entries=wants_list, prefix=prefix))
            case "GET", "/__requests":
                _send_json(connection, 200, self.book.requests(with_records=wants_list, prefix=prefix))
            case "POST", "/__reset":
                self.reset()
                _send_json(connection, 200, {})
            case "POST", "/__configure":
                try:
                    self.configure(json.loads(request.body))
                except STUMBLES as error:
                    _send_json(connection, 400, {"error": f"{type(error).__name__}: {error}"})
                else:
                    _send_json(connection, 200, {})
            case _:
                _send_json(connection, 404, {"error": f"no {request.method} {request.path}"})

    def _count_tokens(self, connection: Connection, request: Request) -> None:
        try:
            ask = read_messages(json.loads(request.body), always_thinks=False)
        except STUMBLES as error:
            failure = Failure(400, "invalid_request_error", str(error))
            _send_json(connection, *MESSAGES.error(failure, "req_none"))
        else:
            _send_json(connection, 200, {"input_tokens": ask.tokens})

    async def _generate(
        self, connection: Connection, request: Request, dialect: Dialect, prefix: str
    ) -> None:
        book = self.book
        body, ask = self._read(request, dialect)
        record = self._record(request, prefix, body, ask)
        book.begin(record)
        try:
            outcome = self._admit(ask, request, record) if isinstance(ask, Ask) else ask
            if isinstance(outcome, Admitted):
                await self._answer(connection, dialect, outcome, record, book)
            else:
                record.status, body = dialect.error(outcome, record.id)
                headers = self._headers(dialect, record)
                if outcome.retry_after is not None:
                    headers["retry-after"] = outcome.retry_after
                _send_json(connection, record.status, body, headers)
        finally:
            book.finish(record, self.clock.client_s())

    def _read(self, request: Request, dialect: Dialect) -> tuple[Any, Ask | Failure]:
        body: Any = None
        try:
            body = json.loads(request.body)
            pattern = self.config.always_thinks
            return body, dialect.read(body, bool(pattern and re.search(pattern, body["model"])))
        except STUMBLES as error:
            return body, Failure(400, "invalid_request_error", str(error))

    def _record(self, request: Request, prefix: str, body: Any, ask: Ask | Failure) -> Record:
        self.count += 1
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        key = _key(request)
        if key:
            # A key that reached a test server by mistake must not end in a test log.
            headers["key-sha256"] = hashlib.sha256(key.encode()).hexdigest()[:16]
        record = Record(
            number=self.count,
            id=f"req_{self.count:08d}",
            path=request.path,
            prefix=prefix,
            started_s=self.clock.client_s(),
            body_hash=_content_hash(body),
            headers=headers,
        )
        if isinstance(ask, Ask):
            record.model, record.stream, record.max_tokens = ask.model, ask.stream, ask.max_tokens
            record.prompt_head = ask.user_text[:HEAD_CHARS]
        return record

    def _admit(self, ask: Ask, request: Request, record: Record) -> Admitted | Failure:
        """Key, model, buckets, then rule and fault: a bucket's refusal uses up no rule and no chance."""
        if not _key(request):
            return Failure(401, "authentication_error", "x-api-key header is required")
        if self.config.strict_models and price_of(self.config.prices, ask.model) is None:
            return Failure(404, "not_found_error", f"model: {ask.model}")
        now_s = self.clock.now_s()
        cache = self.cache.plan(ask, now_s, self.config.cache_min_tokens)
        refusal = self.limiter.admit(ask.model, cache.usage.limited_input, now_s)
        if refusal is not None:
            record.limited_by = refusal.kind
            return _over_limit(refusal, self.limiter.retry_after(refusal.wait_s))
        choice = self.script.choose(ask, record.prefix, request.headers, record.body_hash)
        record.rule = choice.place
        record.fault = choice.fault.kind if choice.fault else None
        failure = _failure_of(choice.fault, self.clock.scale) if choice.fault else None
        if failure is not None:
            return failure
        answer = compose(self.config, ask, choice, record.body_hash)
        return Admitted(Call(record.id, ask, answer, cache.usage), cache)

    async def _answer(
        self, connection: Connection, dialect: Dialect, admitted: Admitted, record: Record, book: Book
    ) -> None:
        call = admitted.call
        end: End = "gone"
        try:
            await self.clock.sleep(call.answer.delay_s)
            self.cache.store(admitted.cache, self.clock.now_s())
            headers = self._headers(dialect, record)
            generation = Generation(connection, dialect, call, self.clock, self.limiter, headers, self.config)
            if call.ask.stream:
                record.status = 200
                end = await generation.stream()
            else:
                end = await generation.whole()
                record.status = {"completed": 200, "error_event": OVERLOADED.status}.get(end)
        finally:
            call.spend(self.limiter, self.clock.now_s())
            entry = Entry(
                id=record.id,
                prefix=record.prefix,
                model=call.ask.model,
                body_hash=record.body_hash,
                stream=call.ask.stream,
                usage=call.usage,
                cost_nusd=cost_nusd(self.config.prices, call.ask.model, call.usage),
                end=end,
                delivered=end == "completed" and call.ask.wants_usage,
            )
            book.entries.append(entry)

    def _headers(self, dialect: Dialect, record: Record) -> dict[str, str]:
        limits = dialect.limit_headers(self.limiter, record.model, self.clock.now_s()) if record.model else {}
        return dialect.id_headers(record.id) | limits


def _content_hash(body: Any) -> str:
    """The same for a call that is sent again whole after its stream was cut, as Claude Code does."""
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
    return hashlib.sha256(compact(body).encode(errors="replace")).hexdigest()


def _key(request: Request) -> str:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    return request.headers.get("x-api-key") or bearer


def _over_limit(refusal: Refusal, retry_after: str) -> Failure:
    words = refusal.kind.replace("-", " ")
    message = f"This request would exceed the rate limit of {refusal.per_minute:,} {words} per minute."
    return Failure(429, "rate_limit_error", message, retry_after=retry_after)


def _failure_of(fault: Fault, time_scale: float) -> Failure | None:
    """The error that this fault answers with; None for those that happen to an answer."""
    match fault.kind:
        case "rate_limit":
            message = "Number of requests has exceeded your rate limit."
            wait = f"{fault.retry_after_s / time_scale:.6g}"
            return Failure(429, "rate_limit_error", message, retry_after=wait)
        case "rate_limit_bare":
            return Failure(429, "rate_limit_error", "Number of requests has exceeded your rate limit.")
        case "quota":
            message = "You have reached the API usage threshold of your tier."
            return Failure(429, "rate_limit_error", message, code="enforced_spend_limit_reached")
        case "overloaded":
            return OVERLOADED
        case "api_error":
            return Failure(500, "api_error", "Internal server error")
        case "auth":
            return Failure(401, "authentication_error", "invalid x-api-key")
        case "permission":
            return Failure(403, "permission_error", "Your API key may not use this model.")
        case "billing":
            message = fault.message or "Your credit balance is too low to access the Anthropic API."
            return Failure(400, "invalid_request_error", message)
        case _:
            return None


def _send_json(connection: Connection, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    data = compact(body).encode()
    connection.send(status, {"content-type": "application/json", **(headers or {})}, data)
