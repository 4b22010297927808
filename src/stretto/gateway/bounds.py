"""The most tokens that a request of the Messages API can have, and what cannot be bounded at all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from stretto.gateway.desk import Usage
from stretto.models.windows import BYTES_PER_TOKEN

HIDDEN_TOKENS = 1_000
"""What a provider adds to a prompt unseen (346 for tools, some for a schema), beside the bytes we count."""

IMAGE_TOKENS = 5_000
"""Of one image, however few bytes it has: the largest that any model reads has 4,784."""

REMEMBERED = 32
"""Prompts of one attempt whose size is known: some for each of its sub-agents."""

# What says nothing of how many tokens a prompt has.
_NO_PROMPT = frozenset(
    "messages system tools stream max_tokens metadata cache_control temperature top_p top_k stop_sequences"
    " service_tier".split()
)
# Tools of Anthropic's that the client carries out. All others with a type of their own run at the provider:
# each use reads the prompt again there, and some have a price.
_CLIENT_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_")


class BadBody(Exception):
    """A body that is no request of the Messages API, or none that two readers understand alike."""


class Size(NamedTuple):
    """Tokens of a prompt: the most there can be, which money is reserved for, and how many are expected."""

    bound: int
    expected: int
    """Without what the provider will read from its cache, which no rate limit counts."""


class Part(NamedTuple):
    """A tool, a block of the system text or a message: which one it is, and its tokens at most."""

    digest: bytes
    tokens: int
    counted: bool
    """False for a document, whose pages are more than its bytes say."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as money sees it."""

    model: str
    max_tokens: int
    messages: int
    size: int
    """Bytes of the body."""
    cache_1h: bool
    unbounded: str
    """Why nobody can say what it costs at most; empty where one can."""
    settings: bytes
    """The hash of what else shapes a prompt: thinking, a schema, a choice of tools."""
    head: tuple[Part, ...]
    """Tools and system text."""
    turns: tuple[Part, ...]
    """The messages; each digest is that of all up to it."""


def prompt_in(raw: bytes, betas: bytes = b"") -> Prompt:
    """Reads the body of a request; `betas` are the features that its head asks for. Raises BadBody."""
    try:
        body = json.loads(raw, object_pairs_hook=_once, parse_constant=_refuse)
        if not isinstance(body, dict):
            raise BadBody("the body is no JSON object")
        model, most, messages = body.get("model"), body.get("max_tokens"), body.get("messages")
        if not isinstance(model, str):
            raise BadBody("model: Field required")
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise BadBody("max_tokens: a whole number above 0 is required")
        if not isinstance(messages, list):
            raise BadBody("messages: a list is required")
        settings = {name: value for name, value in body.items() if name not in _NO_PROMPT}
        tools, system = _blocks(body.get("tools")), _blocks(body.get("system"))
        turns = [_part(_bare_message(message)) for message in messages]
        chain = accumulate((part.digest for part in turns), lambda before, own: _hash(before + own))
        return Prompt(
            model=model,
            max_tokens=most,
            messages=len(messages),
            size=len(raw),
            cache_1h=any(_keeps_an_hour(value) for value in _objects(body)),
            unbounded=_unbounded(body),
            settings=_hash(_text(settings) + betas),
            head=tuple(_part(block) for block in [*tools, *system]),
            turns=tuple(part._replace(digest=d) for part, d in zip(turns, chain, strict=True)),
        )
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is no JSON that can be read: {error}") from None


class Answered(NamedTuple):
    """What a prompt and its answer came to."""

    prompt: int
    answer: int
    cached: bool
    """Some of the prompt was read from a cache or written to it, so that it will be read from there."""
    head: Counter[bytes]


@dataclass(slots=True)
class Sizes:
    """What the last prompts of one attempt came to, so that of a longer one only what is new is guessed."""

    _known: OrderedDict[tuple[bytes, bytes], Answered] = field(default_factory=OrderedDict)

    def keep(self, prompt: Prompt, usage: Usage) -> None:
        """Remembers what an answered prompt had."""
        if not prompt.turns:
            return
        answer = usage.get("output", 0)
        cached = any(count for name, count in usage.items() if name.startswith("cache_"))
        head = Counter(part.digest for part in prompt.head)
        known = Answered(sum(usage.values()) - answer, answer, cached, head)
        self._known[prompt.settings, prompt.turns[-1].digest] = known
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def of(self, prompt: Prompt, context: int | None) -> Size | None:
        """The size of a prompt that is to be sent; None where it has no bound.

        A token is never shorter than a byte, and of a prompt that goes on where another ended, what that one
        had is known. `context` is what the model can read, which bounds documents.
        """
        most = _tokens([*prompt.head, *prompt.turns])
        most = None if most is None else max(most, prompt.size)
        expected = prompt.size // BYTES_PER_TOKEN
        known, turns = self._longest(prompt)
        more = None if known is None else _more(prompt, known, turns)
        if known is not None and more is not None and (most is None or known.prompt + more < most):
            most = known.prompt + more
            expected = (0 if known.cached else known.prompt) + more // BYTES_PER_TOKEN
        if most is not None:
            return Size(most + HIDDEN_TOKENS, expected)
        return None if context is None else Size(context, expected)

    def _longest(self, prompt: Prompt) -> tuple[Answered | None, tuple[Part, ...]]:
        """The longest known prompt that this one goes on from, and the messages that are new."""
        for length in range(len(prompt.turns), 0, -1):
            known = self._known.get((prompt.settings, prompt.turns[length - 1].digest))
            if known is not None:
                return known, prompt.turns[length:]
        return None, ()


def _more(prompt: Prompt, known: Answered, turns: tuple[Part, ...]) -> int | None:
    """The tokens at most that a prompt has beside a known one; None where they have no bound.

    The first new message should be the answer. It counts by what is more: its tokens, because thinking may
    have been left out of it, or its bytes, because the client may have changed it.
    """
    more = _tokens([*_beside(prompt.head, known.head), *turns])
    return None if more is None else more + (max(0, known.answer - turns[0].tokens) if turns else 0)


def _tokens(parts: list[Part]) -> int | None:
    """The tokens of these parts at most; None where one of them has no bound."""
    return sum(part.tokens for part in parts) if all(part.counted for part in parts) else None


def _beside(parts: tuple[Part, ...], known: Counter[bytes]) -> Iterator[Part]:
    """The parts that are not among those known, each of which stands for one."""
    left = known.copy()
    for part in parts:
        if left[part.digest] > 0:
            left[part.digest] -= 1
        else:
            yield part


def _part(value: Any) -> Part:
    text = _text(value)
    images, counted = 0, True
    for found in _objects(value):
        images += found.get("type") == "image"
        counted = counted and not _is_document(found)
    return Part(_hash(text), len(text) + images * IMAGE_TOKENS, counted)


def _is_document(value: dict[str, Any]) -> bool:
    """Whether it is read from pages or from elsewhere; a document of plain text is as long as it is."""
    source = value.get("source")
    if value.get("type") == "container_upload":
        return True
    kind = source.get("type") if isinstance(source, dict) else None
    return value.get("type") == "document" and kind not in ("text", "content")


def _keeps_an_hour(value: dict[str, Any]) -> bool:
    mark = value.get("cache_control")
    return isinstance(mark, dict) and mark.get("ttl", "5m") != "5m"


def _unbounded(body: dict[str, Any]) -> str:
    for tool in _blocks(body.get("tools")):
        kind = tool.get("type", "custom") if isinstance(tool, dict) else ""
        if not isinstance(kind, str) or not kind.startswith(_CLIENT_TOOLS):
            return f"the tool {kind!r} runs at the provider, where nobody can say what it will cost"
    if body.get("mcp_servers"):
        return "`mcp_servers` are asked at the provider, where nobody can say what that will cost"
    if body.get("speed", "standard") not in (None, "standard"):
        return f"the speed {body['speed']!r} has a price of its own"
    edits = body.get("context_management")
    if any(str(value.get("type")).startswith("compact") for value in _objects(edits)):
        return "a context that is compacted at the provider is read more than once"
    return ""


def _blocks(value: Any) -> list[Any]:
    """A text or its blocks, without the marks of the cache: those move from call to call."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        return [] if value is None else [value]
    return [
        {name: inner for name, inner in block.items() if name != "cache_control"}
        if isinstance(block, dict)
        else block
        for block in value
    ]


def _bare_message(message: Any) -> Any:
    return message | {"content": _blocks(message.get("content"))} if isinstance(message, dict) else message


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a value, at whatever depth."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            yield found
            left += found.values()
        elif isinstance(found, list):
            left += found


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two that are not, another reader might take the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadBody("a name stands twice in one object")
    return found


def _refuse(name: str) -> Any:
    raise BadBody(f"{name} is not JSON")
