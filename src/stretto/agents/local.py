"""A model on this machine: llama.cpp serves a GGUF file beside us, and the `openai` agent talks to it.

Not the `messages` agent: llama.cpp speaks Anthropic's protocol too, but ignores a JSON schema there, while in
OpenAI's it is a grammar that the answer must follow. The same question gets the same answer (temperature 0).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from stretto.agents import Desk, Result, Work
from stretto.agents.openai import OpenAIAgent
from stretto.errors import StrettoError

CONTEXT_TOKENS = 8_192
"""Prompt and answer together; what a model was trained for may be less, and then counts."""

SMALL_BYTES = 200_000_000
SMALL_CONTEXT_TOKENS = 4_096
"""For weights up to that size: of the smallest model's memory the context would else be more than half."""

DEATHS = 3
"""After so many crashes of its server, a model is not started again."""

_SEEN = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_.*|PYTHON(PATH|HOME)|LD_LIBRARY_PATH|DYLD_.*"
    r"|(GGML|CUDA|NVIDIA|HIP|ROCR|HSA|VK|OMP|KMP)_.*"
)
_PREFERRED = "SmolLM2-135M-Instruct"


class Local:
    """The agent `local`. Its server starts with the first attempt and stops at `aclose`.

    Raises StrettoError `missing-extra` or `no-local-model` when made, so before anything has begun.
    """

    def __init__(self, weights: Path, *, threads: int | None = None, context: int | None = None):
        if importlib.util.find_spec("xllamacpp") is None:
            raise StrettoError(
                "missing-extra",
                "the `local` agent needs the package `xllamacpp`",
                next="pip install 'stretto[local]'",
            )
        self._weights = checked(weights)
        self._threads = threads or max(1, cores() - 1)
        small = self._weights.stat().st_size <= SMALL_BYTES
        self._context = context or (SMALL_CONTEXT_TOKENS if small else CONTEXT_TOKENS)
        self._server: _Server | None = None
        self._client: OpenAIAgent | None = None
        self._starting: asyncio.Task[OpenAIAgent] | None = None
        self._deaths = 0

    async def run(self, work: Work, desk: Desk) -> Result:
        client = await self._ready(desk)
        return await client.run(work, desk)

    async def aclose(self) -> None:
        """Stops the server; what it was doing is lost."""
        if self._server is not None:
            self._server.close()
        if self._starting is not None:
            await asyncio.wait([self._starting])
            self._starting = None
        await self._leave()

    @property
    def pid(self) -> int | None:
        """Of the server, while it runs."""
        return None if self._server is None or self._server.ended else self._server.pid

    async def _ready(self, desk: Desk) -> OpenAIAgent:
        """The client of a server that runs; several attempts wait for one start."""
        if self._client is not None and self.pid is None:
            self._deaths += 1
            await self._leave()
        if self._client is not None:
            return self._client
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        starting = self._starting
        while not starting.done():
            await asyncio.wait([starting], timeout=1.0)
            desk.beat()  # to load is not to be idle
        if self._starting is starting:
            self._starting = None
        self._client = starting.result()
        return self._client

    async def _start(self) -> OpenAIAgent:
        if self._deaths >= DEATHS:
            raise StrettoError(
                "local-model-died",
                f"the server of {self._weights} died {self._deaths} times",
                next="is there enough memory? Try a smaller model: `--on local:/path/to/other.gguf`",
            )
        alias = re.sub(r"[^A-Za-z0-9._-]+", "-", self._weights.stem)
        self._server = _Server(self._weights, alias, self._threads, self._context)
        url = await self._server.url()
        return OpenAIAgent(f"{url}/v1#{alias}", self._server.key, free=True)

    async def _leave(self) -> None:
        client, self._client = self._client, None
        server, self._server = self._server, None
        if client is not None:
            await client.aclose()
        if server is not None:
            server.close()


class _Server:
    """The process that `llama.py` is."""

    def __init__(self, weights: Path, alias: str, threads: int, context: int):
        self.key = secrets.token_urlsafe(24)
        self._weights = weights
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            # -P: our own folder has files named as other packages are.
            [sys.executable, "-P", str(Path(__file__).with_name("llama.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={name: value for name, value in os.environ.items() if _SEEN.fullmatch(name)},
            start_new_session=True,  # Ctrl-C is ours to handle: a run that drains still needs the model
        )
        settings = {
            "path": str(weights),
            "alias": alias,
            "threads": threads,
            "context": context,
            "key": self.key,
        }
        self._say(json.dumps(settings).encode() + b"\n")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    async def url(self) -> str:
        """Waits until the model is loaded. Raises StrettoError `no-local-model` when it cannot be."""
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            line = await asyncio.get_running_loop().run_in_executor(None, stdout.readline)
        answer = json.loads(line) if line.endswith(b"\n") else {}
        if "url" in answer:
            return str(answer["url"])
        said = self._last_words()
        self.close()
        raise StrettoError(
            "no-local-model",
            f"llama.cpp could not load {self._weights}{said and f': {said}'}",
            next="is it a model that llama.cpp knows, and is there enough memory for it?",
        )

    def close(self) -> None:
        """Ends the process; there is nothing in it to be tidied up."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._log.close()

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:  # it died at once; `url` says so
            return

    def _last_words(self) -> str:
        if self._log.closed:
            return "it was stopped"
        self._log.seek(0)
        return self._log.read()[-2_000:].decode(errors="replace").strip()[-500:]


def weights_of(argument: str, root: Path, environ: Mapping[str, str]) -> Path:
    """The file that `local` or `local:PATH` means (relative to the root). Raises `no-local-model`."""
    if argument:
        return checked(root / Path(argument).expanduser())
    folder = models_folder(environ)
    found = sorted(folder.glob("*.gguf"), key=lambda path: (not path.name.startswith(_PREFERRED), path.name))
    if not found:
        raise StrettoError(
            "no-local-model",
            f"there is no model in {folder}",
            next="`make model` fetches a small one (89 MB); or name your own: `--on local:/path/x.gguf`",
        )
    return checked(found[0])


def models_folder(environ: Mapping[str, str]) -> Path:
    """Where `make model` puts weights; a relative $XDG_CACHE_HOME counts as unset, as its standard says."""
    given = Path(environ.get("XDG_CACHE_HOME", ""))
    base = given if given.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "stretto" / "models"


def checked(path: Path) -> Path:
    """The path, if it is a GGUF file that can be read. Raises StrettoError `no-local-model`."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as failed:
        raise StrettoError(
            "no-local-model",
            f"the model {path} cannot be read: {failed.strerror}",
            next="`make model` fetches a small one; or name another: `--on local:/path/to/model.gguf`",
        ) from failed
    if start != b"GGUF":
        raise StrettoError(
            "no-local-model",
            f"{path} is no GGUF file",
            next="llama.cpp reads models in GGUF format only; fetch or convert one",
        )
    return path.resolve()


def cores() -> int:
    """How many this process may use, which in a container is fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
