"""Chooses the rule and the fault for a request, and writes the whole answer before anything of it is sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .asks import Ask, compact, tokens_of, utf8_len
from .config import Config, Fault, Range, Rule, Speed, for_class
from .schemas import instance_of

StopReason = Literal["end_turn", "max_tokens", "tool_use", "refusal"]
FILLER = "the work goes on and each word here stands for nothing but its length "
PLACE = re.compile(r"\$\{(\w+)\}")
HEAD_CHARS = 60


@dataclass(slots=True)
class Block:
    """One piece of an answer; a tool call's payload is the JSON of its input, and its name counts as well."""

    kind: Literal["text", "tool", "thinking"]
    payload: str
    name: str = ""
    id: str = ""

    @property
    def head_bytes(self) -> int:
        return utf8_len(self.name)

    @property
    def tokens(self) -> int:
        return tokens_of(self.name + self.payload)

    def tool_input(self) -> Any:
        """The input of a call that was cut off in the middle is empty: half of a JSON text has no value."""
        return json.loads(self.payload) if _is_json(self.payload) else {}


@dataclass(slots=True)
class Answer:
    """What will be sent, how fast, and what goes wrong on the way."""

    blocks: list[Block]
    stop_reason: StopReason
    delay_s: float = 0.0
    tokens_per_s: float = 0.0
    fault: Fault | None = None

    @property
    def tokens(self) -> int:
        """An empty answer is billed one token, as the real API does."""
        return max(1, sum(block.tokens for block in self.blocks))


@dataclass(slots=True)
class Choice:
    """The rule that applies (its place in the list, -1 for the default) and the fault that fires, if any."""

    rule: Rule
    place: int
    groups: dict[str, str]
    fault: Fault | None


@dataclass(slots=True)
class Script:
    """The rules with their counts of use.

    Chance depends on the seed, the body's hash and how often that body was seen, never on the order of
    arrival: concurrent runs with distinct bodies repeat exactly, and a retry of the same body draws anew.
    """

    config: Config
    used: Counter[tuple[int, str]] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    def choose(self, ask: Ask, prefix: str, headers: Mapping[str, str], body_hash: str) -> Choice:
        occurrence = self.seen[body_hash]
        self.seen[body_hash] += 1
        place, rule, groups = self._match(ask, prefix, headers, body_hash)
        faults = ([rule.fault] if rule.fault else []) + self.config.faults
        for n, fault in enumerate(faults):
            drawn = self.config.draw("fault", n, fault.kind, body_hash, occurrence)
            if drawn < fault.probability and re.search(fault.model, ask.model):
                return Choice(rule, place, groups, fault)
        return Choice(rule, place, groups, None)

    def _match(
        self, ask: Ask, prefix: str, headers: Mapping[str, str], body_hash: str
    ) -> tuple[int, Rule, dict[str, str]]:
        for place, rule in enumerate(self.config.rules):
            found = re.search(rule.match, ask.user_text)
            if found is None or not _fits(rule, ask, prefix, headers):
                continue
            if rule.times is not None and self.used[place, ""] >= rule.times:
                continue
            if rule.times_each is not None and self.used[place, body_hash] >= rule.times_each:
                continue
            self.used[place, ""] += 1
            self.used[place, body_hash] += 1
            numbered = {str(n): group or "" for n, group in enumerate(found.groups(), 1)}
            return place, rule, numbered | {k: v or "" for k, v in found.groupdict().items()}
        return -1, self.config.default, {}


def _fits(rule: Rule, ask: Ask, prefix: str, headers: Mapping[str, str]) -> bool:
    return (
        re.search(rule.match_first, ask.first_text) is not None
        and re.search(rule.model, ask.model) is not None
        and re.search(rule.path, prefix) is not None
        and all(re.search(want, headers.get(name.lower(), "")) for name, want in rule.header.items())
    )


def compose(config: Config, ask: Ask, choice: Choice, body_hash: str) -> Answer:
    """The answer to a request that nothing refused."""
    rule, fault = choice.rule, choice.fault
    words = _words(ask) | choice.groups
    speed = for_class(config.speed, ask.model) or Speed()
    pace = speed.tokens_per_s if rule.tokens_per_s is None else rule.tokens_per_s
    delay = speed.delay_s if rule.delay_s is None else rule.delay_s
    blocks, stop_reason = _blocks(config, ask, rule, words, body_hash)
    match fault.kind if fault else None:
        case "refusal":
            blocks, stop_reason = [], "refusal"
        case "empty":
            blocks, stop_reason = [], "end_turn"
        case "broken_json":
            blocks, stop_reason = [Block("text", _broken(blocks))], "end_turn"
        case "slow" if fault:
            pace = fault.tokens_per_s
    if ask.max_tokens is not None and sum(block.tokens for block in blocks) > ask.max_tokens:
        blocks, stop_reason = _cut_off(blocks, ask.max_tokens), "max_tokens"
    delay_s = _in_range(config, delay, "delay", body_hash)
    return Answer(blocks, stop_reason, delay_s, pace, fault)


def _blocks(
    config: Config, ask: Ask, rule: Rule, words: dict[str, str], body_hash: str
) -> tuple[list[Block], StopReason]:
    thought = _fill(rule.thinking, words) or ("considering: " + words["head"] if ask.thinks else "")
    blocks = [Block("thinking", thought)] if thought else []
    if ask.tool_steps < len(rule.tools):
        step = rule.tools[ask.tool_steps]
        blocks += _tool_step(step if isinstance(step, list) else [step], words, body_hash)
    elif ask.forced_tool is not None:
        made = compact(instance_of(ask.tools.get(ask.forced_tool, {}), f"{config.seed}/{body_hash}"))
        payload = made if made != "null" else "{}"
        blocks.append(Block("tool", payload, ask.forced_tool, f"toolu_{body_hash[:20]}"))
    if any(block.kind == "tool" for block in blocks):
        return blocks, "tool_use"
    text = _reply_text(config, ask, rule, words, body_hash)
    if rule.tokens is not None:
        wanted = round(_in_range(config, rule.tokens, "tokens", body_hash))
        text = _padded(text, wanted - sum(block.tokens for block in blocks), blank=ask.schema is not None)
    return [*blocks, Block("text", text)], "end_turn"


def _tool_step(step: list[Any], words: dict[str, str], body_hash: str) -> list[Block]:
    """A step is a call, a text, or a list of these: `{"name": "Read", "input": {...}}`, `"first I look"`."""
    blocks = []
    for n, item in enumerate(step):
        if isinstance(item, str):
            blocks.append(Block("text", _fill(item, words)))
        else:
            payload = compact(_filled(item.get("input", {}), words))
            blocks.append(Block("tool", payload, item["name"], f"toolu_{body_hash[:20]}{n}"))
    return blocks


def _reply_text(config: Config, ask: Ask, rule: Rule, words: dict[str, str], body_hash: str) -> str:
    reply = rule.reply
    if isinstance(reply, list):
        reply = reply[min(ask.turn, len(reply) - 1)]
    text = _fill(reply, words) if isinstance(reply, str) else compact(_filled(reply, words))
    if ask.schema is not None and not _is_json(text):
        return compact(instance_of(ask.schema, f"{config.seed}/{body_hash}"))
    return text


def _words(ask: Ask) -> dict[str, str]:
    return {
        "prompt": ask.user_text,
        "head": ask.user_text[:HEAD_CHARS],
        "first": ask.first_text,
        "system": ask.system_text,
        "tool_result": ask.tool_result,
        "model": ask.model,
        "turn": str(ask.turn),
    }


def _fill(text: str, words: Mapping[str, str]) -> str:
    return PLACE.sub(lambda found: words.get(found[1], found[0]), text)


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _fill(value, words)
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    return value


def _in_range(config: Config, value: Range, name: str, body_hash: str) -> float:
    if isinstance(value, int | float):
        return value
    low, high = value
    return low + (high - low) * config.draw(name, body_hash)


def _padded(text: str, tokens: int, *, blank: bool) -> str:
    """The text made exactly so long; a structured answer grows by spaces, which leave it valid."""
    missing = 4 * tokens - utf8_len(text)
    if missing <= 0:
        return text
    if blank:
        return text + " " * missing
    filler = " " + FILLER * (missing // len(FILLER) + 1)
    return text + filler[:missing]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _broken(blocks: list[Block]) -> str:
    text = next((block.payload for block in blocks if block.kind == "text"), "")
    if not text.startswith(("{", "[")):
        return '{"broken": '
    return text.rstrip()[: max(1, len(text.rstrip()) * 2 // 3)]


def _cut_off(blocks: list[Block], max_tokens: int) -> list[Block]:
    kept = []
    for block in blocks:
        room = 4 * max_tokens - block.head_bytes
        if room <= 0:
            break
        payload = next(iter(pieces(block.payload, room)), "")
        short = Block(block.kind, payload, block.name, block.id)
        kept.append(short)
        max_tokens -= short.tokens
        if payload != block.payload:
            break
    return kept


def pieces(text: str, size: int) -> list[str]:
    """The text in pieces of at most `size` bytes (at least one character each), never inside a character."""
    if text.isascii():
        return [text[n : n + size] for n in range(0, len(text), size)]
    data, found, start = text.encode(), [], 0
    while start < len(data):
        end = min(start + size, len(data))
        while end < len(data) and end > start and data[end] & 0xC0 == 0x80:
            end -= 1
        if end == start:
            end = start + len(data[start:].decode()[0].encode())
        found.append(data[start:end].decode())
        start = end
    return found
