"""The provider's own bill and record of requests, which tests hold against what a client believes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .cache import Usage
from .config import Price, model_class, price_of

End = Literal["completed", "cut", "error_event", "gone"]
KEPT_HEADERS = (
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
    "x-stainless-retry-count",
    "x-app",
    "content-type",
)


@dataclass(slots=True)
class Entry:
    """One call that reached generation.

    `delivered` says whether the client was sent its final usage: it is False too for a finished OpenAI stream
    that did not ask for usage. `cost_nusd` is None for a model without a price, which is not the same as 0.
    """

    id: str
    prefix: str
    model: str
    body_hash: str
    stream: bool
    usage: Usage
    cost_nusd: int | None
    end: End
    delivered: bool


@dataclass(slots=True)
class Record:
    """One request to a generating endpoint, whatever became of it; times are real seconds since the start."""

    number: int
    id: str
    path: str
    prefix: str
    started_s: float
    body_hash: str
    headers: dict[str, str]
    model: str = ""
    prompt_head: str = ""
    stream: bool = False
    max_tokens: int | None = None
    status: int | None = None
    fault: str | None = None
    limited_by: str | None = None
    rule: int | None = None
    in_flight: int = 0
    ended_s: float | None = None


@dataclass(slots=True)
class Book:
    """Bill and records of one server since it started or was reset."""

    entries: list[Entry] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)

    def begin(self, record: Record) -> None:
        self.records.append(record)
        for name in ("", model_class(record.model)):
            self.in_flight[name] += 1
            self.most_in_flight[name] = max(self.most_in_flight[name], self.in_flight[name])
        record.in_flight = self.in_flight[""]

    def finish(self, record: Record, now_s: float) -> None:
        record.ended_s = now_s
        for name in ("", model_class(record.model)):
            self.in_flight[name] -= 1

    def bill(self, *, with_entries: bool, prefix: str | None) -> dict[str, Any]:
        entries = [entry for entry in self.entries if prefix is None or entry.prefix == prefix]
        found = _sums(entries)
        for name in ("model", "prefix"):
            groups: dict[str, list[Entry]] = {}
            for entry in entries:
                groups.setdefault(getattr(entry, name), []).append(entry)
            found[f"by_{name}"] = {key: _sums(group) for key, group in groups.items()}
        if with_entries:
            found["entries"] = [asdict(entry) for entry in entries]
        return found

    def requests(self, *, with_records: bool, prefix: str | None) -> dict[str, Any]:
        records = [record for record in self.records if prefix is None or record.prefix == prefix]
        found = {
            "count": len(records),
            "by_status": dict(Counter(str(record.status) for record in records)),
            "by_fault": dict(Counter(record.fault for record in records if record.fault)),
            "in_flight": self.in_flight[""],
            "max_in_flight": self.most_in_flight[""],
            "max_in_flight_by_class": {key: n for key, n in self.most_in_flight.items() if key},
            "bugs": self.bugs,
        }
        if with_records:
            found["records"] = [asdict(record) for record in records]
        return found


def cost_nusd(prices: Mapping[str, Price], model: str, usage: Usage) -> int | None:
    price = price_of(prices, model)
    if price is None:
        return None
    cost = (
        usage.input * price.input
        + usage.cache_read * price.cache_read
        + usage.cache_write_5m * price.cache_write_5m
        + usage.cache_write_1h * price.cache_write_1h
        + usage.output * price.output
    )
    stepped = price.step_tokens is not None and usage.prompt > price.step_tokens
    return cost * price.step_times if stepped else cost


def _sums(entries: list[Entry]) -> dict[str, Any]:
    usage = Usage()
    for entry in entries:
        usage.input += entry.usage.input
        usage.output += entry.usage.output
        usage.cache_read += entry.usage.cache_read
        usage.cache_write_5m += entry.usage.cache_write_5m
        usage.cache_write_1h += entry.usage.cache_write_1h
    return {
        "calls": len(entries),
        "delivered": sum(entry.delivered for entry in entries),
        "unpriced": sum(entry.cost_nusd is None for entry in entries),
        "cost_nusd": sum(entry.cost_nusd or 0 for entry in entries),
        "cost_nusd_delivered": sum(entry.cost_nusd or 0 for entry in entries if entry.delivered),
        "usage": asdict(usage),
    }
