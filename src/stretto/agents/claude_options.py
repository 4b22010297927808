"""What Claude Code is started with: its tools and permissions, its environment and its fences.

Words and numbers alone: the package itself is imported by `claude` only.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from stretto.agents import Work, guardian
from stretto.agents.command import SEEN
from stretto.agents.conversation import schema_of
from stretto.agents.fence import HIDDEN_FOLDERS, SECRET_NAMES
from stretto.journal.private import make_folder, write_file
from stretto.models import Catalogue
from stretto.plan.role import NOTHING, WRITES, bare

READING = ("Read", "Grep", "Glob")
RUNNING = "Bash"
ASKING = "Agent"
"""Starts sub-agents. They have the tools of the session and no others, and their calls are the attempt's."""

OWN_HELPERS = ("claude", "Explore", "fork", "general-purpose", "Plan", "statusline-setup")
"""Sub-agents that Claude Code brings along; they are denied where no role lists one of that name."""

ANSWERING = ("check", "shadow", "mend")
"""Attempts that are given all they need, and answer: they judge a result, or merge two."""

KNOWN = frozenset({*READING, *WRITES, RUNNING, ASKING, "TodoWrite", "WebFetch"})
"""Built-in tools that may be asked for. WebSearch is not among them: it runs at the provider, for a price."""

OTHER_NAMES = {
    "read": "Read",
    "search": "Grep",
    "list": "Glob",
    "LS": "Glob",
    "MultiEdit": "Edit",
    "Task": ASKING,
}
"""What tools are called for agents of an API, and were called in earlier versions of Claude Code."""

API_NAMES = frozenset({"read", "search", "list"})

PROBABLY_DEARER = 10
"""Claude Code guesses at prices: its fence is this many times what the ledger could still grant."""

LARGE_CONTEXT = 1_000_000
UNPRICED_NUSD = 1_000 * 10**9
LEAST_NUSD = 10**7
"""What the fence stands at for a model without a price, and at least."""

PROBE_S = 5.0

MOST_SCHEMA_BYTES = 100_000
"""The schema is handed over as an argument of the program, and Linux allows one 128 kB."""

CONTINUE = (
    "You were interrupted: the program you run in was stopped, which nobody meant as an answer to you. What"
    " you were doing may be half done, so look before you do it again. Then go on, and finish the task."
)
"""What an attempt is told that goes on with an interrupted one."""


class Tools(NamedTuple):
    """The tools there are, the rules of what they may be used for, and the names that mean no tool here."""

    names: tuple[str, ...]
    allowed: tuple[str, ...]
    dropped: tuple[str, ...]


def tools_of(work: Work) -> Tools:
    """Reading where nothing else is said; writing where the task declares what it writes, and only that."""
    writes = work.writes and work.role not in ANSWERING
    asked = work.tools or (() if work.role in ANSWERING else READING)
    if writes and set(asked) <= {*READING, *API_NAMES}:
        asked = (*asked, "Edit", "Write")
    names: dict[str, str] = {}
    dropped: list[str] = []
    for given in asked:
        word, bracket, rule = given.partition("(")
        name = OTHER_NAMES.get(word.strip(), word.strip())
        if name not in KNOWN or (name in WRITES and not writes) or (name == ASKING and not work.agents):
            dropped.append(given)
        else:
            names[name + bracket + rule] = name
    allowed = [rule for rule, name in names.items() if name not in WRITES]
    if any(name in WRITES for name in names.values()):
        allowed += [f"Edit(./{path})" for path in work.may_write]
    return Tools(tuple(dict.fromkeys(names.values())), tuple(allowed), tuple(set(dropped) - set(NOTHING)))


def helpers_of(work: Work, tools: Tools, catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Who the sub-agents of an attempt may be: its role's, with no tool that it does not have itself."""
    found: dict[str, dict[str, Any]] = {}
    for role in work.agents if ASKING in tools.names else ():
        words = tools.names if role.tools is None else tuple(map(bare, role.tools))
        words = tuple(OTHER_NAMES.get(word, word) for word in words)
        model = catalogue.resolve(role.model, "claude").id if role.model else "inherit"
        found[role.name] = {
            "description": role.description or role.name,
            "prompt": role.instructions,
            "tools": [name for name in dict.fromkeys(words) if name in tools.names and name != ASKING],
            "model": model,
        }
    return found


def settings_of(work: Work, tools: Tools, path: str) -> str:
    """The settings of a session, as JSON: nobody is asked, and keys and internals do not exist."""
    deny = [f"Read(**/{folder}/**)" for folder in sorted(HIDDEN_FOLDERS)]
    deny += [f"Read(**/{name})" for name in SECRET_NAMES]
    deny += [f"Agent({name})" for name in OWN_HELPERS if name not in {role.name for role in work.agents}]
    settings: dict[str, Any] = {"permissions": {"allow": list(tools.allowed), "deny": deny}}
    if RUNNING in tools.names and can_confine(path):
        settings["sandbox"] = {
            "enabled": True,
            "autoAllowBashIfSandboxed": True,
            "allowUnsandboxedCommands": False,
        }
    return json.dumps(settings)


@cache
def can_confine(path: str) -> bool:
    """Whether Claude Code's sandbox for shell commands works here.

    On Linux it needs two programs, and the kernel's leave to use one of them, which containers often lack:
    with a sandbox that cannot start, no command would.
    """
    if sys.platform == "darwin":
        return True
    bwrap, socat = (shutil.which(name, path=path) for name in ("bwrap", "socat"))
    if bwrap is None or socat is None:
        return False
    tried = [bwrap, "--unshare-net", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        return subprocess.run(tried, capture_output=True, timeout=PROBE_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def environment(
    work: Work,
    environ: Mapping[str, str],
    url: str,
    max_tokens: int,
    models: Mapping[str, str],
    *,
    login: bool = False,
) -> dict[str, str]:
    """The whole environment of Claude Code: what a command would see, and where to send calls.

    There is no key in it: the gateway has that, and its address stands for the right to use it. What stands
    for a `login` has another name, because Claude Code then says more in its calls. `HOME` stays the user's,
    because git, compilers and package managers look there; Claude Code itself does not.
    """
    names = {name for name in environ if name in SEEN or name.startswith("LC_")} | set(work.env)
    seen = {name: environ[name] for name in names if name in environ}
    words = {tier: tier.upper().replace("-", "_") for tier in models}
    tiers = {f"ANTHROPIC_DEFAULT_{words[tier]}_MODEL": model for tier, model in models.items()}
    return {
        **seen,
        **tiers,
        "STRETTO_KEY": work.key,
        "STRETTO_TASK_KEY": f"{work.run}/{work.task}",
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_OAUTH_TOKEN" if login else "ANTHROPIC_API_KEY": "the-gateway-has-it",
        "CLAUDE_CONFIG_DIR": str(home_of(work)),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(max_tokens),
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "ENABLE_TOOL_SEARCH": "false",
    }


def home_of(work: Work) -> Path:
    """Where Claude Code keeps sessions and state of one task, instead of the user's `~/.claude`."""
    assert work.folder is not None, "the run gives every attempt a folder"
    return work.folder / "claude"


def launcher(work: Work, program: Path) -> Path:
    """A program that starts Claude Code under a guardian; the SDK takes a path alone. Raises OSError."""
    home = home_of(work)
    assert work.folder is not None
    make_folder(home, work.folder.parent.parent)
    path, new = home / "start", home / "start.new"
    words = (sys.executable, "-I", "-S", guardian.__file__, "0", str(program))
    write_file(new, f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'.encode())
    new.chmod(0o700)
    new.replace(path)  # whole at every moment: a shell may be reading it
    return path


def kept_session(home: Path, session: str) -> bool:
    """Whether there is something to continue: a session's file in which somebody has said something."""
    if not session:
        return False
    for path in home.glob(f"projects/*/{session}.jsonl"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            return any(b'"type":"user"' in line for line in file)
    return False


def system_prompt(work: Work) -> dict[str, Any]:
    """The role's instructions, as Claude Code gives them to a sub-agent; without a role its own prompt."""
    if not work.system:
        return {"type": "preset", "preset": "claude_code"}
    path = home_of(work) / "role.md"
    write_file(path, work.system.encode("utf-8", "replace"))
    return {"type": "file", "path": str(path)}


def enforced_schema(work: Work) -> dict[str, Any] | None:
    """The schema that Claude Code holds the answer to; None where it has to be told in words."""
    schema = schema_of(work)
    return schema if schema is not None and len(json.dumps(schema)) <= MOST_SCHEMA_BYTES else None


def fence_usd(work: Work, catalogue: Catalogue, max_tokens: int) -> float:
    """The money at which Claude Code stops by itself.

    It lies above all that the ledger would grant, so that the ledger is first, and below what a loop costs.
    """
    context = catalogue.info(work.model).context or LARGE_CONTEXT
    call_nusd = catalogue.bound_nusd(work.model, context, max_tokens)
    nusd = UNPRICED_NUSD if call_nusd is None else call_nusd * work.turns
    if work.left_nusd is not None:
        nusd = min(nusd, work.left_nusd * PROBABLY_DEARER)
    return max(nusd, LEAST_NUSD) / 1e9
