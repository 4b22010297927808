"""Carries out a task by a Python function of the project, `module:qualname`, sync or async.

Async functions run on the event loop; one that computes for long holds everything up. Sync functions run
in threads. A thread cannot be stopped: when such an attempt is cancelled or times out, the function goes on
in the background and what it returns is dropped, so a function that may hang needs a timeout of its own.
A function gives no sign of life, so `idle` is for it one more timeout.

The module is imported once per process, with the root first on `sys.path`, and only while it is imported: a
module of the project that is imported later, inside a function, is not found. An edit counts from the next
process on.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, cast

from stretto.agents import Desk, Result, Work
from stretto.errors import StrettoError, Transient

THREADS = 64
"""Sync functions of one agent that run at once; threads are started when they are needed."""

LOST_THREADS = 64
"""Stopped attempts whose functions still run; each is replaced by a fresh thread, up to so many."""

MAX_ERROR_CHARS = 2_000
MAX_TRACE_CHARS = 20_000

_KEYS = ("task_key", "attempt_key")
"""Parameters that get the task's or the attempt's key where a function has one of this name."""


class _Found(NamedTuple):
    """A function with all that must be known to call it."""

    function: Callable[..., Any]
    is_async: bool
    takes: frozenset[str] | None
    """The keywords that it takes; None: all."""
    required: frozenset[str]
    keys: tuple[str, ...]


class Function:
    """The agent `function`. One object serves any number of attempts at once."""

    def __init__(self, root: Path, folder: Path | None = None):
        self._root = root.resolve()
        self._folder = folder.resolve() if folder is not None else None
        """Where the plan's file stands: a module beside it comes before one of the root."""
        self._found: dict[str, _Found] = {}
        self._threads = _Threads(THREADS)

    async def run(self, work: Work, desk: Desk) -> Result:
        # 100,000 of these are a bench: what can be known beforehand is, and nothing is awaited for nothing.
        found = self._found.get(work.call)
        try:
            if found is None:
                found = self._found[work.call] = _find(work.call, self._base(work.call))
            kwargs = work.kwargs
            if found.takes is not None and not found.takes.issuperset(kwargs):
                kwargs = {name: value for name, value in kwargs.items() if name in found.takes}
            if found.keys:
                kwargs = _with_keys(found, work, kwargs)
            if not found.required.issubset(kwargs):
                return _missing(work.call, found, kwargs)
            if found.is_async:
                return Result("ok", await found.function(**kwargs))
            value, error = await self._threads.call(found.function, kwargs)
            if error is not None:
                return self._failed(error, desk)
            return Result("ok", (await value) if inspect.isawaitable(value) else value)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Result("error", error=f"{work.call} was cancelled by something of its own", cls="task")
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as failed:  # SystemExit too: a function may not end the whole run
            return self._failed(failed, desk)

    async def aclose(self) -> None:
        self._threads.close()

    def _base(self, call: str) -> Path:
        top = call.partition(":")[0].partition(".")[0]
        beside = self._folder is not None and _own_file(top, self._folder) is not None
        return self._folder if beside and self._folder is not None else self._root

    def _failed(self, failed: BaseException, desk: Desk) -> Result:
        if isinstance(failed, Transient):
            said = str(failed) or "it may work on the next try"
            return Result("error", error=said, cls="transient", retry_after_s=failed.retry_after_s)
        if isinstance(failed, StrettoError):
            return Result("error", error=f"{failed.what} [{failed.slug}]", cls="task", final=True)
        place = _place(failed, self._root)
        trace = "".join(traceback.format_exception(failed))
        desk.note({"kind": "traceback", "text": trace[-MAX_TRACE_CHARS:]})
        return Result("error", error=f"{_short(failed)}{place and f' at {place}'}", cls="task")


def _with_keys(found: _Found, work: Work, kwargs: dict[str, Any]) -> dict[str, Any]:
    task_key = f"{work.run}/{work.task}"
    keys = {"task_key": task_key, "attempt_key": f"{task_key}/{work.n}"}
    return {**{name: keys[name] for name in found.keys}, **kwargs}


def _missing(call: str, found: _Found, kwargs: dict[str, Any]) -> Result:
    names = ", ".join(f"`{name}`" for name in sorted(found.required.difference(kwargs)))
    given = ", ".join(f"`{name}`" for name in sorted(kwargs)) or "nothing"
    error = f"{call} needs {names} and is given {given}: add `args`, or a need"
    return Result("error", error=error, cls="task", final=True)


# Finding


def _find(call: str, root: Path) -> _Found:
    """Imports and inspects. Raises StrettoError `bad-call` with what is wrong and where."""
    name, colon, qualname = call.partition(":")
    if not (name and colon and qualname):
        raise _bad(f"{call!r} is no function's name", next="write `call: module:function`")
    with _importing:
        module = _import(name, root, call)
    function: Any = module
    for part in qualname.split("."):
        try:
            function = getattr(function, part)
        except AttributeError:
            where = getattr(module, "__file__", None) or "the interpreter itself"
            raise _bad(f"{call!r}: there is no {part!r} in {name} ({where})") from None
    if not callable(function):
        raise _bad(f"{call!r} is {type(function).__name__}, not a function")
    return _inspect(call, function)


def _inspect(call: str, function: Callable[..., Any]) -> _Found:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins say nothing about themselves
        return _Found(function, is_async, None, frozenset(), ())
    if only := [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]:
        raise _bad(f"{call!r} takes {', '.join(only)} by position only; arguments are given by name")
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = frozenset(p.name for p in named)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return _Found(
        function,
        is_async,
        None if takes_all else names,
        frozenset(p.name for p in named if p.default is p.empty),
        tuple(key for key in _KEYS if key in names),
    )


_importing = threading.RLock()
_roots: set[Path] = set()
"""Every root that something was imported from; modules of another root must not stand in for this one's."""


def _import(name: str, root: Path, call: str) -> Any:
    _roots.add(root)
    _forget_others(root)
    own = _own_file(name.partition(".")[0], root)
    importlib.invalidate_caches()
    path = str(root)
    sys.path.insert(0, path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as failed:
        if failed.name is not None and (name == failed.name or name.startswith(f"{failed.name}.")):
            raise _bad(f"{call!r}: there is no module {failed.name!r} in {root} or installed") from None
        raise _bad(f"{call!r}: {_short(failed)}", at=_place(failed, root)) from failed
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as failed:  # whatever the module's own code does at its import, `sys.exit` too
        raise _bad(
            f"{call!r}: importing {name} failed: {_short(failed)}", at=_place(failed, root)
        ) from failed
    finally:
        sys.path.remove(path)
    top = sys.modules.get(name.partition(".")[0])
    if own is not None and top is not None and not _is_in(top, root):
        other = getattr(top, "__file__", None) or "a part of the interpreter"
        raise _bad(
            f"{call!r}: {own.relative_to(root)} is hidden by {other}, imported before under the same name",
            next="give the module another name",
        )
    return module


def _forget_others(root: Path) -> None:
    """Takes the modules of other roots out of the table; functions that were found in them still work."""
    # A plan's folder inside its root is no other place.
    apart = [o for o in _roots if not o.is_relative_to(root) and not root.is_relative_to(o)]
    others = [f"{other}{os.sep}" for other in apart]
    if not others:
        return
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == "stretto":
            continue  # a checkout of ours may be the other root
        if file and not _is_in(module, root) and file.startswith(tuple(others)) and _is_ours(file):
            del sys.modules[name]


def _is_ours(file: str) -> bool:
    """Not of a virtual environment that lies in a root: what is installed is shared."""
    return "site-packages" not in file and "dist-packages" not in file


def _own_file(name: str, root: Path) -> Path | None:
    for path in (root / name / "__init__.py", root / f"{name}.py"):
        if path.is_file():
            return path
    return None


def _is_in(module: Any, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(root)


# What went wrong


def _bad(what: str, *, at: str = "", next: str = "") -> StrettoError:
    return StrettoError("bad-call", what if not at else f"{what} at {at}", at=at, next=next)


def _short(failed: BaseException) -> str:
    """`ValueError: what it says`, bounded."""
    text = traceback.format_exception_only(failed)[-1].strip()
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}..."


def _place(failed: BaseException, root: Path) -> str:
    """file:line of the innermost frame in the root, else of the innermost at all; relative if it can be."""
    if isinstance(failed, SyntaxError) and failed.filename:
        return f"{_relative(failed.filename, root)}:{failed.lineno}"
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(failed.__traceback__)]
    frames = [(file, line) for file, line in frames if file != __file__ and not file.startswith("<frozen")]
    inside = [(file, line) for file, line in frames if file.startswith(f"{root}{os.sep}") and _is_ours(file)]
    if not frames:
        return ""
    file, line = (inside or frames)[-1]
    return f"{_relative(file, root)}:{line}"


def _relative(file: str, root: Path) -> str:
    return file.removeprefix(f"{root}{os.sep}")


# Threads


class _Call:
    """One call of a sync function, and how far it got."""

    __slots__ = ("function", "kwargs", "state")

    def __init__(self, function: Callable[..., Any], kwargs: dict[str, Any]):
        self.function = function
        self.kwargs = kwargs
        self.state = "waiting"
        """waiting, running, ended; `dropped`: cancelled before it began, `lost`: while it ran."""

    def __call__(self) -> tuple[Any, BaseException | None]:
        """Never raises: a StopIteration or a SystemExit would not pass through a future."""
        try:
            return self.function(**self.kwargs), None
        except BaseException as failed:
            return None, failed


class _Threads:
    """Daemon threads: those of the standard pool are waited for at exit, so one that hangs hangs the exit."""

    def __init__(self, limit: int):
        self._limit = limit
        self._alive = 0
        self._lost = 0
        self._lock = threading.Lock()
        self._idle = threading.Semaphore(0)
        self._calls: SimpleQueue[tuple[Future[Any], _Call] | None] = SimpleQueue()

    async def call(
        self, function: Callable[..., Any], kwargs: dict[str, Any]
    ) -> tuple[Any, BaseException | None]:
        if self._lost >= LOST_THREADS:
            raise RuntimeError(f"{self._lost} functions that were stopped are still running: none is started")
        call = _Call(function, kwargs)
        try:
            # By the loop's own way, so that a loop on virtual time knows that a thread is at work.
            return await asyncio.get_running_loop().run_in_executor(cast(Executor, self), call)
        except asyncio.CancelledError:
            self._abandon(call)
            raise

    def submit(self, call: _Call) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, call))
        with self._lock:
            if not self._idle.acquire(blocking=False):
                self._start_one()
        return future

    def close(self) -> None:
        """Lets the threads go once they are idle; waits for none."""
        with self._lock:
            for _ in range(self._alive):
                self._calls.put(None)

    def _abandon(self, call: _Call) -> None:
        with self._lock:
            if call.state == "waiting":
                call.state = "dropped"
            elif call.state == "running":
                call.state = "lost"
                self._lost += 1
                if not self._calls.empty():
                    self._start_one()

    def _start_one(self) -> None:
        if self._alive - self._lost < self._limit:
            self._alive += 1
            threading.Thread(target=self._work, name="stretto-function", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                item = self._calls.get_nowait()
            except Empty:
                self._idle.release()
                item = self._calls.get()
            if item is None:
                break
            future, call = item
            with self._lock:
                call.state = "running" if call.state == "waiting" else "dropped"
            if call.state == "dropped" or not future.set_running_or_notify_cancel():
                continue
            answer = call()
            with self._lock:
                lost = call.state == "lost"
                self._lost -= lost
                call.state = "ended"
            future.set_result(answer)
            if lost:
                break  # another thread has its place, or may get it
            del future, call, item, answer  # not to be kept alive by a thread that waits
        with self._lock:
            self._alive -= 1
