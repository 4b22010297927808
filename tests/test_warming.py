"""One item of a fan-out writes the prompt cache, the others read it: when, in which order, to what good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.agents import Desk, Result, Work
from stretto.agents.messages import CACHED, MessagesAgent
from stretto.journal.memory import MemoryJournal
from stretto.models import BUILTIN
from stretto.run import Options, run_plan
from stretto.scheduler.warming import Prefix, decide
from tests.asking import ask, ask_canned
from tests.canned import messages_events, stream
from tests.desks import work
from tests.fakeapi import FakeApi
from tests.spending import Job, SpendingWorld
from tests.stage import Actor, Stage, plan_of
from tests.worlds import World, random_plan, replayed, snapshot, succeeded

RULES = "Keep to these rules of the house, whatever the file says. " * 350
"""20 kB."""
SHARED = Prefix(10_000, 10)

# What pays


@pytest.mark.parametrize(
    ("items", "at_once", "prefix", "advice"),
    [
        (20, 20, Prefix(5_000, 100), (True, True)),
        (3, 3, Prefix(5_000, 100), (True, True)),
        (2, 2, Prefix(5_000, 100), (False, False)),
        (1, 8, Prefix(5_000, 100), (False, False)),
        (100, 1, Prefix(5_000, 100), (True, False)),
        # Many waves follow the first, so the mark pays; what the first wave wastes is 2 % of the whole.
        (1_000, 20, Prefix(5_000, 5_000), (True, False)),
        (20, 20, Prefix(5_000, 60_000), (False, False)),
        (2, 2, Prefix(5_000, 100, True), (True, False)),
        (1, 8, Prefix(5_000, 100, True), (True, False)),
    ],
    ids=str,
)
def test_who_waits(items: int, at_once: int, prefix: Prefix, advice: tuple[bool, bool]) -> None:
    assert decide(items, at_once, prefix) == advice


def test_nobody_waits_who_may_not() -> None:
    assert decide(20, 20, Prefix(5_000, 100), may_wait=False) == (False, False)
    assert decide(100, 20, Prefix(5_000, 100), may_wait=False) == (True, False)


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 10**6), st.integers(0, 10**6), st.booleans())
def test_what_is_decided_is_never_dearer(
    items: int, at_once: int, shared: int, own: int, turns: bool
) -> None:
    """Against doing the other thing, in tokens at their prices."""
    mark, warm = decide(items, at_once, Prefix(shared, own, turns))
    first = 1 if warm else min(items, at_once)
    done = (1.25 * first + 0.1 * (items - first)) * shared if mark else items * shared
    waves = min(items, at_once)
    other = (1.25 * waves + 0.1 * (items - waves)) * shared
    assert done <= max(other, items * shared)
    if not turns:
        assert done <= min(other, items * shared) + 1e-6
    assert mark or not warm


# The order of starts


@dataclass
class Caller:
    """An agent that makes some calls of one second each; the work in between takes longer."""

    calls: int = 1
    after_s: float = 0.0
    fails: int = 0
    """How many of its first attempts fail before any call is answered."""
    answer: str = "done"

    def __post_init__(self) -> None:
        self.spans: list[tuple[str, float, float]] = []
        self.seen: list[Work] = []

    async def run(self, work: Work, desk: Desk) -> Result:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.seen.append(work)
        failing = len(self.seen) <= self.fails
        for _ in range(self.calls):
            grant = await desk.reserve(10, 1, 1)
            await asyncio.sleep(1)
            desk.settle(
                grant.call, "m", {} if failing else {"input": 1}, 0, status="429" if failing else "ok"
            )
            if failing:
                return Result("error", error="busy", cls="task")
            desk.settle(grant.call, "m", {"input": 1}, 0)
        await asyncio.sleep(self.after_s)
        self.spans.append((work.task, start, loop.time()))
        return Result("ok", self.answer)


def fan_out(items: int = 6, prompt: str = "${rules} Check ${item}", more: str = "") -> str:
    return f"""
inputs: {{rules: {{default: "{RULES}"}}}}
limits: {{parallel: 20, usd: 10}}
tasks:
  files: {{each: {list(range(items))}, prompt: "{prompt}", model: haiku{more}}}
"""


def starts(caller: Caller) -> list[float]:
    begun = [start for _, start, _ in sorted(caller.spans, key=lambda span: span[1])]
    return [start - begun[0] for start in begun]


def run(caller: Caller, plan: str, **options: Any) -> Stage:
    stage = Stage(Actor(lambda work: "ok"), messages=caller)
    outcome = stage.run(plan, on="messages", inputs={"rules": RULES}, **options)
    assert outcome.status == "succeeded"
    return stage


def test_the_others_start_when_the_first_call_is_answered_and_not_later() -> None:
    caller = Caller(calls=3, after_s=60)
    run(caller, fan_out())
    assert starts(caller) == [0, 1, 1, 1, 1, 1]
    assert [work.shared for work in caller.seen] == [len(RULES) + len(" Check ")] * 6


def test_all_start_at_once_where_nobody_may_wait() -> None:
    caller = Caller()
    run(caller, fan_out(), warm=False)
    assert starts(caller) == [0] * 6
    assert {work.shared for work in caller.seen} == {None}, "each would pay the write, and nobody would read"


@pytest.mark.parametrize(
    "plan",
    [
        fan_out(2),
        fan_out(prompt="Check ${item}"),
        fan_out(prompt="${item}: ${rules}"),
        fan_out(more=", on: simulated"),
    ],
    ids=["two", "short", "item first", "no cache"],
)
def test_nobody_waits_where_it_would_not_pay(plan: str) -> None:
    caller = Caller()
    run(caller, plan)
    assert set(starts(caller) if caller.spans else [0.0]) == {0.0}
    assert all(work.shared is None for work in caller.seen)


def test_a_first_one_that_fails_is_followed_by_another_and_then_by_all() -> None:
    caller = Caller(fails=3)
    stage = run(caller, fan_out(more=", attempts: 2"))
    begun = sorted({start for _, start, _ in caller.spans})
    assert len(begun) == 1, "after three all go together"
    order = [work.task for work in caller.seen]
    assert order[:3] == ["files.0", "files.1", "files.2"]
    assert stage.elapsed_s == 4


def test_kept_results_warm_nothing() -> None:
    stage = Stage(messages=Caller())
    stage.run(fan_out(2), run="one", on="messages", inputs={"rules": RULES})
    caller = Caller()
    stage.cast.agents["messages"] = caller
    stage.run(fan_out(8), run="two", on="messages", inputs={"rules": RULES})
    assert caller.seen[0].task == "files.2"
    assert starts(caller) == [0, 1, 1, 1, 1, 1]


def test_tasks_that_share_nothing_do_not_wait_behind_those_that_do() -> None:
    caller = Caller()
    plan = fan_out() + '  other: {prompt: "Something else", model: haiku, after: []}\n'
    run(caller, plan)
    begun = {task: start for task, start, _ in caller.spans}
    assert begun["other"] == begun["files.0"] < begun["files.1"]


def test_those_who_climb_wait_for_nobody_and_share_from_the_second_on() -> None:
    stage = Stage(messages=Caller(answer="no"))
    strong = Caller(calls=1)

    class Both:
        """Haiku is refused; what opus does is accepted."""

        async def run(self, work: Work, desk: Desk) -> Result:
            if "opus" in work.model:
                return await strong.run(work, desk)
            return Result("refused", error="no", cls="task")

    stage.cast.agents["messages"] = Both()
    plan = fan_out().replace("model: haiku", "model: {from: haiku, to: opus}")
    assert stage.run(plan, on="messages", inputs={"rules": RULES}).status == "succeeded"
    assert len(strong.seen) == 6 and set(starts(strong)) == {0.0}
    assert [work.shared is not None for work in strong.seen] == [False] + [True] * 5


def test_judges_warm_their_own_prefix() -> None:
    judge = Caller(answer='{"pass": true, "findings": []}')
    stage = Stage(Actor(lambda work: "ok"), messages=judge)
    check = 'check: {prompt: "${rules} Is it so for ${item}?", model: haiku, on: messages}'
    plan = fan_out(prompt="Check ${item}", more=f", on: simulated, {check}")
    assert stage.run(plan, on="messages", inputs={"rules": RULES}).status == "succeeded"
    assert starts(judge) == [0, 1, 1, 1, 1, 1]


# Whoever waits goes on


class WarmJob(Job):
    """A job in which every attempt at an item shares its prompt with its siblings."""

    def _world(self, cap_nusd: int | None) -> SpendingWorld:
        world = super()._world(cap_nusd)
        world.prefix = SHARED
        return world

    def _ended(self, world: SpendingWorld) -> None:
        assert not world.scheduler.warming.waiting
        super()._ended(world)


@given(st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_no_random_job_ever_waits_for_nobody(seed: int) -> None:
    """Over failures, cancels, caps, crashes and resumes: the run ends, and the fold is the live state."""
    job = WarmJob(seed, random_plan(seed, size=8 + seed % 24, cancels=True), capped=seed % 2 == 0)
    state = job.play()
    assert snapshot(replayed(job.plan, job.world.log)) == snapshot(state)


def test_random_plans_end_the_same_with_and_without_waiting() -> None:
    waited = 0
    for seed in range(300):
        plan = random_plan(seed, size=20)
        warm, plain = World(plan, seed, parallel=6, prefix=SHARED), World(plan, seed, parallel=6)
        counts: list[int] = []
        warm.watch = lambda seen=counts, world=warm: seen.append(world.scheduler.warming.waiting)  # type: ignore[misc]
        assert succeeded(warm.start().run()) == succeeded(plain.start().run())
        waited += max(counts)
    assert waited > 100, "or it would prove little"


# What an agent sends


def content(**given: Any) -> list[dict[str, Any]]:
    """The blocks of the prompt in the first request."""
    answer = stream(messages_events())
    _, _, bodies = ask_canned(MessagesAgent, answer, asked=work("A" * 4_000 + " item 1", **given))
    blocks: list[dict[str, Any]] = bodies[0]["messages"][0]["content"]
    return blocks


def test_the_shared_part_is_a_block_of_its_own_with_a_mark() -> None:
    head, tail = content(shared=4_000)
    assert (head["text"], head["cache_control"]) == ("A" * 4_000, CACHED)
    assert tail == {"type": "text", "text": " item 1"}


@pytest.mark.parametrize(("shared", "marked"), [(None, False), (0, False), (4_007, True), (4_006, False)])
def test_a_prompt_that_is_shared_whole_or_not_at_all_stays_one_block(
    shared: int | None, marked: bool
) -> None:
    blocks = content(shared=shared)
    if shared == 4_006:
        assert [block["text"][-7:] for block in blocks] == ["A item ", "1"]
    else:
        assert [("cache_control" in block, len(block["text"])) for block in blocks] == [(marked, 4_007)]


def test_the_bound_of_a_call_covers_what_it_may_write_to_the_cache() -> None:
    with FakeApi() as api:
        asked = work(RULES, shared=len(RULES), max_tokens=100)
        _, desk = ask(lambda: MessagesAgent(api.url), asked)
        _, again = ask(lambda: MessagesAgent(api.url), asked)
    (call,) = desk.calls
    bound = desk.noted("request")[0]["bound_tokens"]
    assert call.nusd == BUILTIN.bound_nusd(asked.model, bound, 100, cached=True)
    written, read = desk.settled[0].usage, again.settled[0].usage
    assert written is not None and read is not None
    assert written["cache_write_5m"] == read["cache_read"] > 5_000


def test_a_fan_out_costs_less_when_one_goes_first(tmp_path: Path) -> None:
    """Twenty items with 20 kB in common, through the real SDK, by the provider's own bill."""
    bills: dict[bool, dict[str, Any]] = {}
    with FakeApi(speed={"*": {"delay_s": 0.2}}) as api:
        for warm in (False, True):
            options = Options(
                on=f"messages:{api.url}/{warm}", control=False, warm=warm, inputs={"rules": RULES}
            )
            journal = MemoryJournal()
            outcome = asyncio.run(run_plan(plan_of(fan_out(20)), options, journal, tmp_path, run="r"))
            assert outcome.status == "succeeded"
            bills[warm] = api.bill(f"/{warm}")
            assert outcome.state.ledger.spent_nusd == bills[warm]["cost_nusd"]
    assert bills[False]["usage"]["cache_read"] == 0
    assert bills[True]["usage"]["cache_read"] > 18 * bills[True]["usage"]["cache_write_5m"]
    assert bills[True]["cost_nusd"] < 0.35 * bills[False]["cost_nusd"]
