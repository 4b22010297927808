"""What every agent promises, held against all of them with the same tests.

A subject brings an agent, some work for it that goes well, fails, and never ends, and a way to see whether
the endless one still goes on. Another agent is one more entry of SUBJECTS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import psutil
import pytest

from stretto.agents import Agent, CallRefused, Result, Work
from stretto.agents.claude import ClaudeAgent
from stretto.agents.command import Command
from stretto.agents.function import Function
from stretto.agents.local import Local, weights_of
from stretto.agents.messages import MessagesAgent
from stretto.agents.openai import OpenAIAgent
from stretto.agents.registry import Closing
from stretto.agents.simulated import Simulated, options_of
from stretto.errors import StrettoError
from tests import desks
from tests.desks import FakeDesk
from tests.fakeapi import FakeApi

T = TypeVar("T")

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}, "size": {"type": "integer"}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
ENDLESS_S = 60.0
STOPPED_WITHIN_S = 4.0


@dataclass
class Subject:
    """One agent and what it can be asked to do."""

    agent: Agent
    good: Work
    bad: Work
    endless: Work
    goes_on: Callable[[], bool]
    """Whether the endless work is under way; asked before and after it is stopped."""
    says: str = ""
    """What the good answer contains."""
    paid: bool = False
    takes_schema: bool = False


def work(root: Path, **fields: Any) -> Work:
    return desks.work(**{"root": root, "max_tokens": 500, "prompt": "", **fields})


@contextmanager
def command(root: Path) -> Iterator[Subject]:
    pulse = root / "pulse"
    endless = ("sh", "-c", "while :; do echo x >> pulse; sleep 0.02; done")
    yield Subject(
        Command(),
        good=work(root, argv=("echo", "Paris")),
        bad=work(root, argv=("sh", "-c", "echo no such city >&2; exit 3")),
        endless=work(root, argv=endless),
        goes_on=lambda: grows(lambda: size_of(pulse)),
        says="Paris",
    )


@contextmanager
def function(root: Path) -> Iterator[Subject]:
    (root / "contract_functions.py").write_text(
        "import asyncio\n"
        "pulses = []\n"
        "async def good(): return 'Paris'\n"
        "async def bad(): raise ValueError('no such city')\n"
        "async def endless():\n"
        "    while True:\n"
        "        pulses.append(1)\n"
        "        await asyncio.sleep(0.01)\n"
        "async def count(): return len(pulses)\n"
    )
    agent = Function(root)
    yield Subject(
        agent,
        good=work(root, call="contract_functions:good"),
        bad=work(root, call="contract_functions:bad"),
        endless=work(root, call="contract_functions:endless"),
        goes_on=lambda: False,  # it shares the loop with the test, see `goes_on`
        says="Paris",
    )


@contextmanager
def simulated(root: Path) -> Iterator[Subject]:
    yield from _simulated(root, "latency=0.001", paid=False)


@contextmanager
def simulated_priced(root: Path) -> Iterator[Subject]:
    yield from _simulated(root, "latency=0.001,priced=true", paid=True)


def _simulated(root: Path, options: str, *, paid: bool) -> Iterator[Subject]:
    yield Subject(
        _ByTask(
            good=Simulated(1, options_of(options)),
            bad=Simulated(1, options_of(f"{options},task=1")),
            endless=Simulated(1, options_of(f"{options},stall=1")),
        ),
        good=replace(work(root, prompt="Name the city of Paris"), task="good"),
        bad=replace(work(root, prompt="Name a city"), task="bad"),
        endless=replace(work(root, prompt="Name every city"), task="endless"),
        goes_on=lambda: False,  # it shares the loop with the test, see `goes_on`
        says="[simulated] Name the city of Paris",
        paid=paid,
        takes_schema=True,
    )


class _ByTask:
    """Three agents behind one name, for those whose work does not say how it will go."""

    def __init__(self, **agents: Agent):
        self.agents = agents

    async def run(self, work: Work, desk: Any) -> Result:
        return await self.agents.get(work.task, self.agents["good"]).run(work, desk)


RULES: list[dict[str, Any]] = [
    {"match": "JSON|json|city and size", "reply": {"city": "Paris", "size": 2}},
    {"match": "capital", "reply": "It is Paris."},
    {"match": "fail", "fault": "overloaded"},
    {"match": "endless", "reply": "on and on", "tokens": 450, "tokens_per_s": 5},
]


@contextmanager
def messages(root: Path) -> Iterator[Subject]:
    with FakeApi(rules=RULES) as api:
        yield _api(root, api, MessagesAgent(api.url, "test"))


@contextmanager
def openai(root: Path) -> Iterator[Subject]:
    with FakeApi(rules=RULES) as api:
        yield _api(root, api, OpenAIAgent(f"{api.url}/v1#claude-haiku-5-5", "test"))


def _api(root: Path, api: FakeApi, agent: Agent) -> Subject:
    return Subject(
        agent,
        good=work(root, prompt="What is the capital of France?"),
        bad=work(root, prompt="fail"),
        endless=work(root, prompt="endless"),
        goes_on=lambda: in_flight(api),
        says="Paris",
        paid=True,
        takes_schema=True,
    )


@contextmanager
def local(root: Path) -> Iterator[Subject]:
    try:
        agent = Local(weights_of("", root, os.environ))
    except StrettoError as missing:
        pytest.skip(f"{missing.what}; {missing.next}")
    yield Subject(
        agent,
        good=work(root, prompt="What is the capital of France? One sentence.", max_tokens=60),
        bad=work(root, prompt="word " * 9_000),
        endless=work(root, prompt="Write a very long story of the sea.", max_tokens=3_500),
        goes_on=lambda: grows(lambda: cpu_s(agent.pid), for_s=0.5),
        says="Paris",
        takes_schema=True,
    )


@contextmanager
def claude(root: Path) -> Iterator[Subject]:
    fits = [{"name": "StructuredOutput", "input": {"city": "Paris", "size": 2}}]
    rules = [
        {"match": "city and size", "tools": fits},
        {"match": "capital", "reply": "It is Paris."},
        {"match": "fail", "fault": "auth"},
        {"match": "endless", "reply": "on and on", "tokens": 450, "tokens_per_s": 5},
    ]
    (root / "tasks").mkdir()
    with FakeApi(rules=rules) as api:
        made = _api(root, api, ClaudeAgent(api.url, "test"))
        for one in (made.good, made.bad, made.endless):
            one.folder = root / "tasks" / "t"
        yield made


Maker = Callable[[Path], AbstractContextManager[Subject]]
SUBJECTS: list[Maker] = [command, function, simulated, simulated_priced, messages, openai]
SLOW: list[Maker] = [local, claude]


@pytest.fixture(
    params=[
        *(pytest.param(maker, id=maker.__name__) for maker in SUBJECTS),
        *(pytest.param(maker, id=maker.__name__, marks=pytest.mark.slow) for maker in SLOW),
    ]
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    maker: Maker = request.param
    with maker(tmp_path) as made:
        yield made


def carry_out(subject: Subject, main: Coroutine[Any, Any, T]) -> T:
    """Runs it on a loop of its own, and closes the agent on that loop."""

    async def whole() -> T:
        try:
            return await asyncio.wait_for(main, ENDLESS_S)
        finally:
            if isinstance(subject.agent, Closing):
                await subject.agent.aclose()

    return asyncio.run(whole())


def test_good_work_gives_an_answer_and_nothing_else(subject: Subject) -> None:
    desk = FakeDesk()
    result = carry_out(subject, subject.agent.run(subject.good, desk))
    assert (result.outcome, result.error, result.cls) == ("ok", "", "")
    assert subject.says in result.output
    assert not desk.open


def test_failure_is_a_result_with_a_class_and_a_reason(subject: Subject) -> None:
    desk = FakeDesk()
    result = carry_out(subject, subject.agent.run(subject.bad, desk))
    assert result.outcome != "ok"
    assert result.cls in ("transient", "task", "run")
    assert result.error
    assert not desk.open


def test_it_never_retries_by_itself(subject: Subject) -> None:
    desk = FakeDesk()
    carry_out(subject, subject.agent.run(subject.bad, desk))
    assert len(desk.calls) <= 1


def test_answers_fit_the_schema_they_were_asked_for(subject: Subject) -> None:
    if not subject.takes_schema:
        return  # commands and functions return what they return; the house checks it
    asked = replace(
        subject.good, output_kind="json", schema=SCHEMA, prompt="Reply in JSON with city and size"
    )
    result = carry_out(subject, subject.agent.run(asked, FakeDesk()))
    value = json.loads(result.output) if isinstance(result.output, str) else result.output
    jsonschema.validate(value, SCHEMA)


def test_one_agent_serves_many_attempts_at_once(subject: Subject) -> None:
    each = [FakeDesk() for _ in range(12)]

    async def main() -> list[Result]:
        several = (subject.agent.run(replace(subject.good, n=n), desk) for n, desk in enumerate(each))
        return await asyncio.gather(*several)

    results = carry_out(subject, main())
    assert [r.outcome for r in results] == ["ok"] * 12
    assert not any(desk.open for desk in each)


def test_cancelling_stops_the_work_itself(subject: Subject) -> None:
    desk = FakeDesk()

    async def main() -> float:
        attempt = asyncio.create_task(subject.agent.run(subject.endless, desk))
        assert await under_way(subject, attempt), "the endless work never began"
        started = time.monotonic()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        took_s = time.monotonic() - started
        assert not await goes_on(subject, settles), "it still works after it was cancelled"
        return took_s

    assert carry_out(subject, main()) < STOPPED_WITHIN_S
    assert not desk.open, "a call was left unsettled"


async def under_way(subject: Subject, attempt: asyncio.Task[Result]) -> bool:
    """Waits until the endless work can be seen to be done."""
    for _ in range(500):
        await asyncio.sleep(0.02)
        assert not attempt.done(), attempt
        if await goes_on(subject, lambda ask: ask()):
            return True
    return False


async def goes_on(subject: Subject, watch: Callable[[Callable[[], bool]], bool]) -> bool:
    match subject.agent:
        case Function():
            # It shares the loop with this test, so its pulse is read through a function of the same module.
            count = replace(subject.good, call="contract_functions:count")
            before = await subject.agent.run(count, FakeDesk())
            await asyncio.sleep(0.05)
            after = await subject.agent.run(count, FakeDesk())
            return bool(after.output > before.output)
        case _ByTask():
            # A pretender does nothing but wait: nothing of it may be left on the loop.
            names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
            return any("_ByTask.run" in name for name in names)
        case _:
            return await asyncio.to_thread(watch, subject.goes_on)


def settles(ask: Callable[[], bool]) -> bool:
    """Whether it goes on for good; a server needs a moment to notice that its client has left."""
    for _ in range(10):
        if not ask():
            return False
        time.sleep(0.02)
    return True


def test_paid_calls_are_asked_for_and_free_ones_cost_nothing(subject: Subject) -> None:
    desk = FakeDesk(cap_nusd=None if subject.paid else 0)
    result = carry_out(subject, subject.agent.run(subject.good, desk))
    assert result.outcome == "ok"
    if subject.paid:
        assert len(desk.calls) == 1
        assert (desk.calls[0].nusd or 0) > 0
        assert desk.settled[0].cost_nusd > 0
        assert desk.settled[0].usage
    else:
        assert desk.spent_nusd == desk.held_nusd == 0


def test_a_refused_call_is_not_made_and_passes_through(subject: Subject) -> None:
    if not subject.paid:
        return
    desk = FakeDesk(refuse_from=1)
    with pytest.raises(CallRefused):
        carry_out(subject, subject.agent.run(subject.good, desk))
    assert not desk.calls


def test_a_call_that_was_cancelled_is_held_at_its_bound(subject: Subject) -> None:
    if not subject.paid:
        return
    desk = FakeDesk()

    async def main() -> None:
        attempt = asyncio.create_task(subject.agent.run(subject.endless, desk))
        for _ in range(1_000):
            if desk.calls:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        attempt.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await attempt

    carry_out(subject, main())
    assert desk.held_nusd == desk.calls[0].nusd
    assert desk.settled[0].usage is None


def grows(value: Callable[[], float], for_s: float = 0.15) -> bool:
    before = value()
    time.sleep(for_s)
    return value() > before


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def in_flight(api: FakeApi) -> bool:
    return bool(api.requests(records=False)["in_flight"])
