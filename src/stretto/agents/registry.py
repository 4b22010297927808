"""The agents by the words of `on:`, each made when it is first asked for, with its package."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from stretto import models
from stretto.agents import Agent
from stretto.agents.command import Command
from stretto.agents.function import Function
from stretto.agents.simulated import Simulated, options_of
from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue


class Setting(NamedTuple):
    """What agents are made in: the run's root and seed, and the environment they may know."""

    root: Path
    seed: int
    environ: Mapping[str, str]
    folder: Path | None
    """Where the plan's file stands, if it is not the root."""
    catalogue: Catalogue = BUILTIN
    """The models there are, and what they cost."""


@runtime_checkable
class Closing(Protocol):
    """An agent that holds something: connections, threads, a process."""

    async def aclose(self) -> None:
        """Lets go of it; called once, when nothing is under way any more."""


class Roster:
    """The agents of one run by name; one object serves all attempts of a name."""

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        catalogue: Catalogue = BUILTIN,
    ):
        environ = os.environ if environ is None else environ
        self._setting = Setting(root, seed, environ, folder, catalogue)
        self._agents: dict[str, Agent] = {}

    def get(self, name: str) -> Agent:
        """Raises StrettoError: `no-such-agent`, `missing-extra`, `no-local-model`, `no-api-key`."""
        agent = self._agents.get(name)
        if agent is None:
            agent = self._agents[name] = make(name, self._setting)
        return agent

    def identity(self, name: str) -> str:
        """What an agent's name alone does not say of who answers: the server, the file of weights.

        It is part of the key of a kept result: another server's answer is another answer.
        """
        kind, _, argument = name.partition(":")
        environ = self._setting.environ
        if kind == "local":
            local = import_module("stretto.agents.local")
            weights = local.weights_of(argument, self._setting.root, environ)
            found = weights.stat()
            return f"{weights.name} {found.st_size} {found.st_mtime_ns}"
        variable = _SERVERS.get(kind)
        return argument or (environ.get(variable, "") if variable else "")

    def free(self, name: str) -> bool:
        """Whether nobody sends a bill; a simulation with `priced` is counted as if somebody did."""
        return free(name)

    async def aclose(self) -> None:
        """Closes every agent that holds something, also where one fails to."""
        closing = [agent.aclose() for agent in self._agents.values() if isinstance(agent, Closing)]
        self._agents.clear()
        failed = [f for f in await asyncio.gather(*closing, return_exceptions=True) if f is not None]
        if failed:
            raise failed[0]


def free(name: str) -> bool:
    kind, _, argument = name.partition(":")
    return models.is_free(name) and not (kind == "simulated" and options_of(argument).priced)


def make(name: str, setting: Setting) -> Agent:
    """The agent that a word means: `simulated`, `simulated:fail=0.05`, `openai:URL`, `local:FILE`, ..."""
    kind, _, argument = name.partition(":")
    maker = _MAKERS.get(kind)
    if maker is None:
        close = difflib.get_close_matches(kind, NAMES, n=1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        raise StrettoError(
            "no-such-agent", f"there is no agent {kind!r}", next=f"{meant}There are: {', '.join(NAMES)}"
        )
    return maker(argument, setting)


def _command(argument: str, setting: Setting) -> Agent:
    _nothing("command", argument)
    return Command(setting.environ)


def _function(argument: str, setting: Setting) -> Agent:
    _nothing("function", argument)
    return Function(setting.root, setting.folder)


def _simulated(argument: str, setting: Setting) -> Agent:
    return Simulated(setting.seed, options_of(argument), setting.catalogue)


# The others bring a large package with them, which is imported only by whoever asks for it.


def _api(name: str) -> Any:
    return import_module(f"stretto.agents.{name}")


def _messages(argument: str, setting: Setting) -> Agent:
    agent: Agent = _api("messages").MessagesAgent(argument or None, catalogue=setting.catalogue)
    return agent


def _claude(argument: str, setting: Setting) -> Agent:
    environ, catalogue = setting.environ, setting.catalogue
    agent: Agent = _api("claude").ClaudeAgent(argument or None, environ=environ, catalogue=catalogue)
    return agent


def _openai(argument: str, setting: Setting) -> Agent:
    agent: Agent = _api("openai").OpenAIAgent(argument or None, catalogue=setting.catalogue)
    return agent


def _local(argument: str, setting: Setting) -> Agent:
    local = import_module("stretto.agents.local")
    agent: Agent = local.Local(local.weights_of(argument, setting.root, setting.environ))
    return agent


def _nothing(name: str, argument: str) -> None:
    if argument:
        raise StrettoError(
            "bad-agent-option",
            f"`{name}` takes nothing after a colon, not {argument!r}",
            next=f"write `{name}`",
        )


_MAKERS: dict[str, Callable[[str, Setting], Agent]] = {
    "claude": _claude,
    "messages": _messages,
    "openai": _openai,
    "local": _local,
    "command": _command,
    "function": _function,
    "simulated": _simulated,
}
NAMES = tuple(_MAKERS)
_SERVERS = {
    "claude": "ANTHROPIC_BASE_URL",
    "messages": "ANTHROPIC_BASE_URL",
    "openai": "OPENAI_BASE_URL",
}
"""The variable that names an agent's server where its name does not."""
