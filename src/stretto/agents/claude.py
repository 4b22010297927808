"""Claude Code, through the Claude Agent SDK: agents that read, edit and run, and call through our gateway.

The SDK starts one program per attempt and talks to it over its standard streams. Ours stands in between: a
guardian, which ends all that the program leaves behind, and the gateway, which has the key and the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from stretto.agents import Desk, Result, Work, guardian
from stretto.agents.claude_options import (
    ASKING,
    CONTINUE,
    enforced_schema,
    environment,
    fence_usd,
    helpers_of,
    home_of,
    kept_session,
    launcher,
    settings_of,
    system_prompt,
    tools_of,
)
from stretto.agents.claude_results import Heard, result_of_session
from stretto.agents.conversation import form_of, key_for, result_of
from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue

try:
    import claude_agent_sdk as sdk

    from stretto.gateway.lease import Lease
    from stretto.gateway.server import Gateway
except ImportError as missing:
    raise StrettoError(
        "missing-extra",
        "the `claude` agent needs the package `claude-agent-sdk`",
        next="pip install 'stretto[claude]'",
    ) from missing

# What it logs is in the results too; without a handler Python would print it on the user's screen.
logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())

DEFAULT_URL = "https://api.anthropic.com"
KEY = "ANTHROPIC_API_KEY"
TOKEN = "ANTHROPIC_AUTH_TOKEN"
LOGIN = "CLAUDE_CODE_OAUTH_TOKEN"
"""What `claude setup-token` prints. Claude Code must know that it is a login: it says more in its calls."""

SCRATCHES = ("CLAUDE_CODE_TMPDIR", guardian.SCRATCH)
"""The folder that goes with the attempt is told to its user, and to who removes it should we be killed."""

ASKED = ("description", "prompt", "subagent_type")
"""What a sub-agent may be asked by; the other words would change its model, or where it works."""

INTERRUPT_S = 1.0
"""How long a session may take to stop what it does; it takes 0.07 s mostly."""

BEAT_S = 5.0
TOOL_S = 660.0
"""How long one use of a tool counts as a sign of life: Claude Code itself ends a command after 10 minutes."""

NOTED_CHARS = 20_000
"""Of a tool's result in the transcript."""

MAX_MESSAGE_BYTES = 50_000_000
"""Of one message of Claude Code; a larger one ends the attempt."""


class ClaudeAgent:
    """Carries out prompts with Claude Code; one gateway for all attempts of a run, `aclose` at the end.

    Raises StrettoError `no-api-key` when made, and `missing-extra` when the module is imported.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        catalogue: Catalogue = BUILTIN,
    ):
        self._environ = dict(os.environ if environ is None else environ)
        self._catalogue = catalogue
        url = (base_url or self._environ.get("ANTHROPIC_BASE_URL") or DEFAULT_URL).rstrip("/")
        if api_key is None and base_url is None:
            api_key = self._environ.get(KEY)
        given = self._environ if base_url is None and not api_key else {}
        token = given.get(TOKEN, "")
        self._login = not token and bool(given.get(LOGIN))
        if token or self._login:
            headers = {"authorization": f"Bearer {token or given[LOGIN]}"}
        else:
            headers = {"x-api-key": key_for(url, api_key, KEY, is_default=base_url is None)}
        self._gateway = Gateway(url, headers, catalogue=catalogue)
        self._open: asyncio.Task[Gateway] | None = None
        self._program = program()

    async def run(self, work: Work, desk: Desk) -> Result:
        """Carries out one attempt. Raises CallRefused where the ledger refused a call of it."""
        if self._open is None:
            self._open = asyncio.create_task(self._gateway.__aenter__())
        gateway = await asyncio.shield(self._open)
        lease = gateway.open(desk, seed=work.seed)
        with tempfile.TemporaryDirectory(prefix="stretto-", ignore_cleanup_errors=True) as scratch:
            try:
                options = self._options(work, desk, lease.url, scratch)
                result = await _Session(work, desk, lease).run(options)
            finally:
                await lease.close()
        # What the gateway knows comes first: its client tells of it in words, or calls it a success.
        if lease.bug is not None:
            raise lease.bug
        if lease.refused is not None:
            raise lease.refused
        if lease.failure is not None:
            return result_of(lease.failure)
        return result

    async def aclose(self) -> None:
        """Closes the gateway."""
        if self._open is not None:
            await self._open
            await self._gateway.__aexit__(None, None, None)
            self._open = None

    def _options(self, work: Work, desk: Desk, url: str, scratch: str) -> sdk.ClaudeAgentOptions:
        """Raises OSError where its files cannot be written. `scratch` goes when the attempt has ended."""
        catalogue = self._catalogue
        info = catalogue.info(work.model)
        max_tokens = work.max_tokens if info.max_output is None else min(work.max_tokens, info.max_output)
        start = launcher(work, self._program)
        tools = tools_of(work)
        if tools.dropped:
            desk.note({"kind": "warning", "text": f"no such tool for this task: {', '.join(tools.dropped)}"})
        tiers = {tier: catalogue.resolve(tier, "claude").id for tier in catalogue.tiers}
        exact = environment(work, self._environ, url, max_tokens, tiers, login=self._login)
        schema = enforced_schema(work)
        helpers = helpers_of(work, tools, catalogue)
        resumed = work.session if kept_session(home_of(work), work.session) else None
        options: dict[str, Any] = {
            "cli_path": start,
            "cwd": work.root,
            # The SDK adds these to our own environment; the guardian drops the names that are set to nothing.
            "env": dict.fromkeys(os.environ, "") | exact | dict.fromkeys(SCRATCHES, scratch),
            "model": work.model,
            "effort": work.effort if self._knows(work) else None,
            "system_prompt": system_prompt(work),
            "tools": list(tools.names),
            "settings": settings_of(work, tools, exact.get("PATH", "")),
            "agents": {name: sdk.AgentDefinition(**told) for name, told in helpers.items()},
            "hooks": {"PreToolUse": [sdk.HookMatcher(ASKING, [_as_defined])]} if helpers else None,
            "permission_mode": "dontAsk",
            "setting_sources": [],
            "skills": [],
            "strict_mcp_config": True,
            "verbatim_prompts": True,
            "extra_args": {"restricted": None, "permission-prompts": "none"},
            "max_turns": max(1, work.turns),
            "max_budget_usd": fence_usd(work, catalogue, max_tokens),
            "max_buffer_size": MAX_MESSAGE_BYTES,
            "stderr": lambda line: desk.note({"kind": "stderr", "text": line[:NOTED_CHARS]}),
            "resume": resumed,
            "session_id": None if resumed else str(uuid.uuid4()),
        }
        if schema is not None:
            options["output_format"] = {"type": "json_schema", "schema": schema}
        return sdk.ClaudeAgentOptions(**options)

    def _knows(self, work: Work) -> bool:
        """Whether a model has this level of effort; one that is not in the catalogue is asked as written."""
        efforts = self._catalogue.info(work.model).efforts
        return bool(work.effort) and (efforts is None or work.effort in efforts)


def program() -> Path:
    """The Claude Code that came with the SDK. Raises StrettoError `missing-extra` where there is none."""
    path = Path(sdk.__file__).parent / "_bundled" / "claude"
    if not path.is_file():
        raise StrettoError(
            "missing-extra",
            "the package `claude-agent-sdk` came without Claude Code",
            next="install its wheel for this platform: "
            "pip install --force-reinstall --only-binary :all: claude-agent-sdk",
        )
    return path


class _Session:
    """One attempt's exchange with one process of Claude Code."""

    def __init__(self, work: Work, desk: Desk, lease: Lease):
        self._work = work
        self._desk = desk
        self._lease = lease
        self._heard = Heard()
        self._tools: dict[str, float] = {}
        """Uses of tools that are under way, with the time at which each began."""

    async def run(self, options: sdk.ClaudeAgentOptions) -> Result:
        """Asks, listens until the end, and sees to it that nothing is left running."""
        client = sdk.ClaudeSDKClient(options)
        beating = asyncio.create_task(self._beat())
        self._desk.bind(session=options.resume or options.session_id or "")
        try:
            await client.connect()
            self._desk.beat()
            await client.query(self._prompt(options))
            async for message in client.receive_response():
                self._take(message)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(INTERRUPT_S):
                    await client.interrupt()
            raise
        except Exception as failed:
            # The SDK raises its own errors, and a bare one where nothing was heard for a minute.
            if not isinstance(failed, sdk.ClaudeSDKError) and type(failed) is not Exception:
                raise
            if not self._heard.ended:
                return _broken(failed)
        finally:
            beating.cancel()
            await _surely(client.disconnect())
        if not self._heard.ended:
            return Result("error", error="Claude Code ended without a word", cls="transient")
        return result_of_session(self._work, self._heard, self._lease.cut_off)

    def _prompt(self, options: sdk.ClaudeAgentOptions) -> str:
        form = form_of(self._work, enforced=options.output_format is not None)
        if options.resume:
            return "\n\n".join([CONTINUE, *form])
        return "\n\n".join([self._work.prompt, *form])

    async def _beat(self) -> None:
        """A tool at work is a sign of life: it is silent until it ends. Sub-agents speak themselves."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_S)
            if any(loop.time() - began_s < TOOL_S for began_s in self._tools.values()):
                self._desk.beat()

    def _take(self, message: sdk.Message) -> None:
        self._desk.beat()
        match message:
            case sdk.AssistantMessage():
                self._answered(message)
            case sdk.UserMessage():
                self._returned(message)
            case sdk.ResultMessage():
                self._ended(message)
            case _:
                self._desk.note({"kind": "claude", "type": type(message).__name__, **_plain(message)})

    def _answered(self, message: sdk.AssistantMessage) -> None:
        within = message.parent_tool_use_id
        if within is None:
            self._heard.error = message.error or ""
        for block in message.content:
            match block:
                case sdk.TextBlock(text):
                    self._note("text", within, text=text)
                    if within is None:
                        self._heard.pieces.append((message.message_id or "", text))
                case sdk.ToolUseBlock(id, name, given):
                    self._note("tool_use", within, name=name, input=given)
                    if name != ASKING:
                        self._tools[id] = asyncio.get_running_loop().time()
                case sdk.ThinkingBlock(thinking):
                    self._note("thinking", within, text=thinking)
                case _:
                    self._note(type(block).__name__, within, **_plain(block))

    def _returned(self, message: sdk.UserMessage) -> None:
        within = message.parent_tool_use_id
        blocks = message.content if isinstance(message.content, list) else [sdk.TextBlock(message.content)]
        for block in blocks:
            match block:
                case sdk.ToolResultBlock(id, content, failed):
                    text = content if isinstance(content, str) else json.dumps(content, default=str)
                    size = len(text.encode("utf-8", "replace"))
                    self._note("tool", within, failed=bool(failed), bytes=size, text=text[:NOTED_CHARS])
                    self._tools.pop(id, None)
                    if within is None:
                        self._heard.pieces.clear()
                case sdk.TextBlock(text):
                    self._note("told", within, text=text)
                case _:
                    self._note(type(block).__name__, within, **_plain(block))

    def _ended(self, message: sdk.ResultMessage) -> None:
        heard = self._heard
        heard.ended = True
        heard.subtype, heard.is_error = message.subtype, message.is_error
        heard.stop, heard.text = message.stop_reason or "", message.result or ""
        heard.structured, heard.complaints = message.structured_output, message.errors or []
        told = _plain(message)
        for name in ("total_cost_usd", "model_usage", "usage"):
            told.pop(name, None)  # guesses, and sums over earlier attempts: the gateway knows what was spent
        self._desk.note({"kind": "end", **told})

    def _note(self, kind: str, within: str | None, **told: Any) -> None:
        self._desk.note({"kind": kind, **({"within": within} if within else {}), **told})


async def _as_defined(told: Any, _use: str | None, _context: Any) -> Any:
    """A sub-agent has the model of its role and the files of its attempt, and no worktree of its own."""
    given = {name: value for name, value in told["tool_input"].items() if name in ASKED}
    decided = {"hookEventName": "PreToolUse", "permissionDecision": "allow", "updatedInput": given}
    return {"hookSpecificOutput": decided}


def _broken(failed: Exception) -> Result:
    """Claude Code did not start, or died."""
    starting = isinstance(failed, sdk.CLIConnectionError)
    what = "could not be started" if starting else "broke off"
    return Result("error", error=f"Claude Code {what}: {failed}", cls="transient")


def _plain(message: Any) -> dict[str, Any]:
    return (
        asdict(message) if is_dataclass(message) and not isinstance(message, type) else {"text": str(message)}
    )


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Waits for something to be done even where it is cancelled meanwhile; then says that it was."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
