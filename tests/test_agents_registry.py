"""Which agent a word of `on:` means, and what is said when it means none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from stretto.agents import Agent, Desk, Result, Work
from stretto.agents.command import Command
from stretto.agents.function import Function
from stretto.agents.openai import OpenAIAgent
from stretto.agents.registry import NAMES, Roster, free
from stretto.agents.simulated import Simulated
from stretto.errors import StrettoError
from tests.desks import FakeDesk, work


def roster(root: Path) -> Roster:
    return Roster(root, seed=7, environ={"HOME": str(root), "PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("command", Command),
        ("function", Function),
        ("simulated", Simulated),
        ("simulated:fail=0.1", Simulated),
        ("openai:http://127.0.0.1:9/v1#m", OpenAIAgent),
    ],
)
def test_a_word_means_an_agent_and_always_the_same(tmp_path: Path, name: str, kind: type[Agent]) -> None:
    agents = roster(tmp_path)
    assert isinstance(agents.get(name), kind)
    assert agents.get(name) is agents.get(name)
    asyncio.run(agents.aclose())


@pytest.mark.parametrize(
    ("name", "slug", "says"),
    [
        ("simulatd", "no-such-agent", "did you mean `simulated`?"),
        ("claud", "no-such-agent", "did you mean `claude`"),
        ("claude", "no-api-key", "ANTHROPIC_API_KEY"),
        ("", "no-such-agent", "There are: "),
        ("command:ls", "bad-agent-option", "takes nothing"),
        ("simulated:x=1", "bad-agent-option", "no option 'x'"),
        ("local", "no-local-model", "make model"),
        ("local:absent.gguf", "no-local-model", "cannot be read"),
    ],
)
def test_a_word_that_means_none_is_an_error_before_anything_runs(
    tmp_path: Path, name: str, slug: str, says: str
) -> None:
    with pytest.raises(StrettoError) as wrong:
        roster(tmp_path).get(name)
    assert wrong.value.slug == slug
    assert says in f"{wrong.value.what}; {wrong.value.next}"


def test_who_costs_nothing() -> None:
    assert [name for name in NAMES if free(name)] == ["local", "command", "function", "simulated"]
    assert free("local:/x.gguf")
    assert free("simulated:fail=0.1")
    assert not free("simulated:priced")
    assert not free("openai:http://127.0.0.1:8080/v1")


def test_the_seed_of_the_run_is_the_simulations(tmp_path: Path) -> None:
    async def answer(agent: Agent) -> Result:
        return await agent.run(work(), FakeDesk())

    mine = roster(tmp_path).get("simulated:fail=0.5,latency=0")
    same = Roster(tmp_path, seed=1).get("simulated:fail=0.5,latency=0,seed=7")
    assert asyncio.run(answer(mine)) == asyncio.run(answer(same))


class _Held:
    """An agent that must be closed, and may fail to."""

    def __init__(self, fails: bool = False):
        self.fails = fails
        self.closed = False

    async def run(self, work: Work, desk: Desk) -> Result:
        return Result("ok")

    async def aclose(self) -> None:
        self.closed = True
        if self.fails:
            raise RuntimeError("cannot close")


def test_all_are_closed_even_if_one_cannot_be(tmp_path: Path) -> None:
    agents = roster(tmp_path)
    held = [_Held(fails=True), _Held()]
    agents._agents.update(a=held[0], b=held[1], c=Command())
    with pytest.raises(RuntimeError, match="cannot close"):
        asyncio.run(agents.aclose())
    assert all(agent.closed for agent in held)


def test_no_large_package_is_imported_for_those_that_need_none() -> None:
    program = (
        "import sys; from pathlib import Path; from stretto.agents.registry import Roster\n"
        "agents = Roster(Path('.'))\n"
        "for name in ('command', 'function', 'simulated'): agents.get(name)\n"
        "print(sorted({'anthropic', 'openai', 'xllamacpp', 'genai_prices', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "[]\n"
