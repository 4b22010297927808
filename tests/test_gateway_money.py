"""The gateway's books against the provider's: every fault, caps under many clients, limits, the real run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import psutil
import pytest

from stretto.agents import Desk, Result, Work
from stretto.agents.conversation import result_of
from stretto.gateway.server import Gateway
from stretto.journal.memory import MemoryJournal
from stretto.models import BUILTIN
from stretto.plan.model import Each, Limits, Plan, Task
from stretto.run import Options, Outcome, run_plan
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi
from tests.fakeapi.config import FAULT_KINDS
from tests.fakeapi.sdk import HAIKU, SONNET
from tests.gates import Naps
from tests.stage import Cast

SEED = 20_261_121
FAULTS: list[dict[str, Any]] = [
    {"kind": "overloaded", "probability": 0.05},
    {"kind": "api_error", "probability": 0.03},
    {"kind": "rate_limit", "probability": 0.02, "retry_after_s": 0.02},
    {"kind": "cut", "probability": 0.03},
    {"kind": "cut", "probability": 0.03, "after_tokens": 10**9, "reset": True},
    {"kind": "error_event", "probability": 0.02},
    {"kind": "refusal", "probability": 0.01},
    {"kind": "broken_json", "probability": 0.01},
]


async def talk(client: anthropic.AsyncAnthropic, name: str, turns: int, max_tokens: int) -> int:
    """A conversation as an agent has it: one call after another, each with all that was said; its answers."""
    messages: list[Any] = [{"role": "user", "content": f"{name}: begin " + "word " * 200}]
    answered = 0
    for turn in range(turns):
        try:
            async with client.messages.stream(
                model=HAIKU, max_tokens=max_tokens, messages=messages
            ) as stream:
                answer = await stream.get_final_message()
        except (anthropic.APIError, httpx2.TransportError):
            continue
        answered += 1
        if answer.content:
            messages += [{"role": "assistant", "content": answer.content}]
            messages += [{"role": "user", "content": f"go on {turn}"}]
    return answered


async def crowd(api: FakeApi, desk: FakeDesk, clients: int, turns: int, max_tokens: int = 400) -> int:
    """Many clients at once, each with a lease of its own on the same books; their answers."""
    async with Gateway(api.url, {"x-api-key": "k"}, sleep=Naps()) as gateway:
        leases = [gateway.open(desk, seed=n) for n in range(clients)]
        async with httpx2.AsyncClient(timeout=30) as pool:
            talks = [
                talk(
                    anthropic.AsyncAnthropic(
                        base_url=lease.url, api_key="k", max_retries=0, http_client=pool
                    ),
                    f"client {n}",
                    turns,
                    max_tokens,
                )
                for n, lease in enumerate(leases)
            ]
            answered = sum(await asyncio.gather(*talks))
        for lease in leases:
            await lease.close()
            assert lease.bug is None
    return answered


def agree(api: FakeApi, desk: FakeDesk) -> dict[str, Any]:
    """What arrived is known to the nano-dollar, and the rest of the bill is within what is held."""
    api.wait_idle()
    bill = api.bill(entries=False)
    assert not desk.open
    assert desk.spent_nusd == bill["cost_nusd_delivered"]
    assert bill["cost_nusd"] <= desk.spent_nusd + desk.held_nusd
    return bill


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_books_and_bill_agree_under_every_fault(kind: str) -> None:
    fault = {"kind": kind, "probability": 0.4, "retry_after_s": 0.02, "stall_s": 0.05, "tokens_per_s": 20_000}
    with FakeApi(seed=SEED, faults=[fault], default={"tokens": [1, 300]}) as api:
        desk = FakeDesk()
        asyncio.run(crowd(api, desk, clients=8, turns=6))
        bill = agree(api, desk)
        met = api.requests(records=False)["by_fault"]
    assert met.get(kind, 0) >= 4 and bill["calls"] >= 3


def test_no_cap_is_exceeded_by_eight_clients_at_once() -> None:
    one = BUILTIN.bound_nusd(HAIKU, 3_000, 400) or 0
    used = []
    with FakeApi(seed=SEED, faults=FAULTS, default={"tokens": [1, 400]}, chunk_tokens=50) as api:
        for n in range(12):
            api.reset()
            cap = one // 2 + n * n * one // 2
            desk = FakeDesk(cap_nusd=cap)
            asyncio.run(crowd(api, desk, clients=8, turns=10))
            bill = agree(api, desk)
            assert bill["cost_nusd"] <= desk.spent_nusd + desk.held_nusd <= cap
            used.append((desk.spent_nusd + desk.held_nusd) / cap)
    assert used[0] == 0.0 and max(used) > 0.5


# The real run: its ledger and its limiter


class Caller:
    """An agent as Claude Code is one: a client of its own, sub-agents side by side, no word about money."""

    def __init__(self, gateway: Gateway, turns: int = 3, subagents: int = 2):
        self.gateway, self.turns, self.subagents = gateway, turns, subagents

    async def run(self, work: Work, desk: Desk) -> Result:
        lease = self.gateway.open(desk, seed=work.seed)
        client = anthropic.AsyncAnthropic(base_url=lease.url, api_key="none", max_retries=0, timeout=60)
        try:
            async with client:
                names = [f"{work.task} {n}" for n in range(self.subagents)]
                answered = await asyncio.gather(*(talk(client, name, self.turns, 400) for name in names))
        finally:
            await lease.close()
        if lease.bug is not None:
            raise lease.bug
        if lease.refused is not None:
            raise lease.refused
        if lease.failure is not None and (lease.failure.cls == "run" or not all(answered)):
            return result_of(lease.failure)
        return Result("ok", f"{sum(answered)} answers")


def run(
    api: FakeApi, tasks: int, make: Callable[[Gateway], Caller] = Caller, **options: Any
) -> tuple[Outcome, MemoryJournal]:
    each = Each(over=list(range(tasks)), max=tasks)
    task = Task(id="t", prompt="Do ${item}", model=HAIKU, each=each, attempts=5)
    options.setdefault("cap_nusd", 10**10)
    plan = Plan(name="p", tasks=(task,), limits=Limits(parallel=options.pop("parallel", 8)))
    journal = MemoryJournal()

    async def main() -> Outcome:
        async with Gateway(api.url, {"x-api-key": "k"}) as gateway:
            wished = Options(on="messages", control=False, warm=False, approve=True, **options)
            return await run_plan(plan, wished, journal, Path(), agents=Cast(messages=make(gateway)), run="r")

    return asyncio.run(main()), journal


def test_a_run_of_such_agents_is_billed_to_the_nano_dollar() -> None:
    cuts = [fault for fault in FAULTS if fault["kind"] in ("cut", "error_event", "refusal")]
    with FakeApi(seed=SEED, faults=cuts, default={"tokens": [1, 300]}) as api:
        outcome, _ = run(api, 16)
        api.wait_idle()
        bill = api.bill(entries=False)
    ledger = outcome.state.ledger
    assert outcome.state.status == "succeeded"
    assert ledger.spent_nusd == bill["cost_nusd_delivered"] > 0
    assert bill["cost_nusd"] <= ledger.spent_nusd + ledger.held_nusd


def test_a_run_stops_at_its_cap_and_the_bill_is_below_it() -> None:
    with FakeApi(seed=SEED, default={"tokens": 300}) as api:
        outcome, _ = run(api, 40, cap_nusd=40_000_000)
        api.wait_idle()
        bill = api.bill(entries=False)
    state = outcome.state
    assert state.status == "paused" and state.paused is not None and state.paused.why == "budget"
    assert bill["cost_nusd"] == state.ledger.spent_nusd <= 40_000_000
    assert state.ledger.held_nusd == 0 and bill["cost_nusd"] > 10_000_000


def test_a_run_stops_when_the_quota_is_gone() -> None:
    gone = {"kind": "quota"}
    with FakeApi(rules=[{"times": 20, "tokens": 10}], default={"fault": gone}) as api:
        outcome, _ = run(api, 40)
        refused = api.requests(records=False)["by_status"]["429"]
    assert outcome.state.status == "paused" and outcome.state.paused is not None
    assert outcome.state.paused.why == "quota"
    assert refused <= 8 * 2, "each call that was under way, and none of an attempt that began later"


def test_limits_that_heads_tell_of_are_kept() -> None:
    limits = {"haiku": {"requests": 60, "input_tokens": 1_000_000, "output_tokens": 1_000_000}}
    with FakeApi(limits=limits, default={"tokens": 10}) as api:
        began = time.monotonic()
        outcome, _ = run(api, 63, lambda gateway: Caller(gateway, turns=1, subagents=1), parallel=4)
        seconds = time.monotonic() - began
        found = api.requests(records=False)
    assert outcome.state.status == "succeeded"
    assert found["by_status"] == {"200": 63}
    assert seconds > 1.5, "63 calls of 60 a minute have to wait for one to flow in now and then"


# Many at once


@pytest.mark.slow
def test_two_hundred_streams_at_once_need_little(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of 40 kB, paced, so that all are under way together; the memory of this process, clients too."""
    streams, tokens = 200, 10_000
    process = psutil.Process(os.getpid())
    most = 0

    async def one(pool: httpx2.AsyncClient, url: str, n: int) -> int:
        nonlocal most
        body = {
            "model": SONNET,
            "max_tokens": tokens,
            "stream": True,
            "messages": [{"role": "user", "content": str(n)}],
        }
        size = 0
        async with pool.stream("POST", url + "/v1/messages", json=body) as answer:
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                most = max(most, process.memory_info().rss)
        return size

    async def scenario(api: FakeApi) -> tuple[FakeDesk, int, list[int]]:
        desk, limits = FakeDesk(), httpx2.Limits(max_connections=None)
        async with (
            Gateway(api.url, {"x-api-key": "k"}) as gateway,
            httpx2.AsyncClient(limits=limits, timeout=60) as pool,
        ):
            lease = gateway.open(desk)
            await one(pool, lease.url, streams)
            before = process.memory_info().rss
            sizes = await asyncio.gather(*(one(pool, lease.url, n) for n in range(streams)))
            await lease.close()
        return desk, before, sizes

    with FakeApi(default={"tokens": tokens, "tokens_per_s": 1_000}, chunk_tokens=50) as api:
        cpu, began = time.process_time(), time.monotonic()
        desk, before, sizes = asyncio.run(scenario(api))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        in_flight = api.requests(records=False)["max_in_flight"]
        agree(api, desk)
    more_mb = (most - before) / 1e6
    with capsys.disabled():
        print(
            f"\n{streams} streams of {min(sizes):,} bytes at once (in flight {in_flight}): {more_mb:.0f} MB"
            f" more, {most / 1e6:.0f} MB in all, {seconds:.1f} s, {cpu:.1f} s of CPU"
        )
    assert in_flight == streams and min(sizes) > 40_000
    assert more_mb < 60
