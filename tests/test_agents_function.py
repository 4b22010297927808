"""The `function` agent: what is passed, what comes back, where it is imported from."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from stretto.agents import Result
from stretto.agents import function as function_room
from stretto.agents.function import Function
from tests import autojump
from tests.desks import FakeDesk, work

T = TypeVar("T")

# Fresh in each root, so that one test's module is not another's.
SOURCE = """
import asyncio, threading, time
from stretto.errors import Transient, StrettoError

async def add(a, b=10): return a + b
def thread_name(): return threading.current_thread().name
def everything(**given): return given
async def keys(task_key, *, attempt_key): return [task_key, attempt_key]
async def fails(): return {}["absent"]
def fails_in_thread(): raise ValueError("no such\\ncity")
async def later(): raise Transient("busy", retry_after_s=7.0)
def stops(): raise StopIteration
async def leaves(): raise SystemExit(3)
def leaves_in_thread(): raise SystemExit(3)
async def cancels_itself(): raise asyncio.CancelledError
async def said(): raise StrettoError("my-slug", "what I say")
def gives_awaitable(a): return add(a)
def position_only(a, /): return a
gate = threading.Event()
def blocks(): began.set(); gate.wait(20)
began = threading.Event()
async def begun(): began.clear() if (seen := began.is_set()) else None; return seen
async def release(): gate.set()
def sleeps(for_s=0.0): time.sleep(for_s); return for_s
class Maker:
    @staticmethod
    def make(what): return f"made {what}"
class Called:
    async def __call__(self, a): return a
called = Called()
not_callable = 3
"""


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 20))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "things.py").write_text(SOURCE)
    return tmp_path


def call(name: str, root: Path, desk: FakeDesk | None = None, **kwargs: Any) -> Result:
    asked = work(call=f"things:{name}", root=root, kwargs=kwargs, run="r", task="files.3.scan", n=2)
    return run(Function(root).run(asked, desk or FakeDesk()))


def test_it_gets_the_arguments_that_it_takes_and_no_others(root: Path) -> None:
    assert call("add", root, a=1, b=2, c=3).output == 3
    assert call("add", root, a=1).output == 11


def test_one_that_takes_all_gets_all(root: Path) -> None:
    assert call("everything", root, a=1, b=[2]).output == {"a": 1, "b": [2]}


def test_a_missing_argument_is_named(root: Path) -> None:
    result = call("add", root, b=1, other=2)
    assert (result.outcome, result.cls) == ("error", "task")
    assert result.error == "things:add needs `a` and is given `b`: add `args`, or a need"


def test_it_may_ask_for_its_keys(root: Path) -> None:
    assert call("keys", root).output == ["r/files.3.scan", "r/files.3.scan/2"]


def test_sync_functions_run_in_threads(root: Path) -> None:
    assert call("thread_name", root).output == "stretto-function"


def test_methods_callable_objects_and_built_ins_are_functions_too(root: Path) -> None:
    assert call("Maker.make", root, what="x").output == "made x"
    assert call("called", root, a=4).output == 4
    assert call("gives_awaitable", root, a=4).output == 14
    asked = work(call="math:sqrt", root=root)
    assert "`math:sqrt` takes x by position only" in run(failing(Function(root), asked)).error.replace(
        "'", "`"
    )


async def failing(agent: Function, asked: Any) -> Result:
    result = await agent.run(asked, FakeDesk())
    assert (result.outcome, result.cls) == ("error", "task")
    return result


def test_an_exception_is_named_with_its_place(root: Path) -> None:
    desk = FakeDesk()
    line = SOURCE.splitlines().index('async def fails(): return {}["absent"]') + 1
    assert call("fails", root, desk).error == f"KeyError: 'absent' at things.py:{line}"
    (note,) = desk.noted("traceback")
    assert "Traceback" in note["text"]


def test_an_exception_in_a_thread_too(root: Path) -> None:
    error = call("fails_in_thread", root).error
    assert error.startswith("ValueError: no such\ncity at things.py:")


def test_the_place_is_the_innermost_in_the_project(root: Path) -> None:
    (root / "calls_json.py").write_text("import json\n\nasync def f(): return json.loads('{')\n")
    result = run(Function(root).run(work(call="calls_json:f", root=root), FakeDesk()))
    assert result.error.endswith("at calls_json.py:3")
    assert "JSONDecodeError" in result.error


def test_a_function_may_say_that_it_is_worth_another_try(root: Path) -> None:
    result = call("later", root)
    assert (result.cls, result.error, result.retry_after_s) == ("transient", "busy", 7.0)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("stops", "StopIteration"),
        ("leaves", "SystemExit: 3"),
        ("leaves_in_thread", "SystemExit: 3"),
        ("cancels_itself", "things:cancels_itself was cancelled by something of its own"),
        ("said", "what I say [my-slug]"),
    ],
)
def test_nothing_that_a_function_raises_gets_out(root: Path, name: str, error: str) -> None:
    result = call(name, root)
    assert (result.outcome, result.cls) == ("error", "task")
    assert result.error.startswith(error)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("things", "'things' is no function's name"),
        (":f", "':f' is no function's name"),
        ("absent:f", "there is no module 'absent'"),
        ("things:absent", "there is no 'absent' in things ("),
        ("things:not_callable", "'things:not_callable' is int, not a function"),
        ("things:position_only", "takes a by position only"),
        ("broken:f", "SyntaxError: invalid syntax at broken.py:1"),
        ("needs_more:f", "No module named 'not_installed_here' at needs_more.py:2"),
        ("divides:f", "importing divides failed: ZeroDivisionError: division by zero at divides.py:1"),
        ("exits:f", "importing exits failed: SystemExit: bye at exits.py:1"),
    ],
)
def test_a_bad_call_says_what_and_where(root: Path, name: str, says: str) -> None:
    (root / "broken.py").write_text("def f(:\n")
    (root / "needs_more.py").write_text("\nimport not_installed_here\n")
    (root / "divides.py").write_text("1 / 0\n")
    (root / "exits.py").write_text("raise SystemExit('bye')\n")
    result = run(failing(Function(root), work(call=name, root=root)))
    assert says in result.error
    assert result.error.endswith("[bad-call]")


def test_modules_of_two_roots_are_not_confused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name.py").write_text("import beside\nasync def f(): return beside.X\n")
        (tmp_path / name / "beside.py").write_text(f"X = {name!r}\n")

    async def main() -> list[Any]:
        agents = {name: Function(tmp_path / name) for name in ("one", "two")}
        order = ["one", "two", "one", "two"]
        asked = [work(call="same_name:f", root=tmp_path / name) for name in order]
        results = [await agents[name].run(w, FakeDesk()) for name, w in zip(order, asked, strict=True)]
        return [result.output for result in results]

    assert run(main()) == ["one", "two", "one", "two"]


def test_a_module_hidden_by_one_imported_before_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "textwrap.py").write_text("async def f(): return 1\n")
    result = run(failing(Function(tmp_path), work(call="textwrap:f", root=tmp_path)))
    assert "textwrap.py is hidden by" in result.error


def test_the_search_path_is_as_before(root: Path) -> None:
    before = list(sys.path)
    call("add", root, a=1)
    assert sys.path == before


def test_a_cancelled_sync_function_does_not_hold_up_its_attempt(root: Path) -> None:
    async def main() -> float:
        agent = Function(root)
        asked = work(call="things:sleeps", root=root, kwargs={"for_s": 1.0})
        attempt = asyncio.create_task(agent.run(asked, FakeDesk()))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        return time.monotonic() - started

    assert run(main()) < 0.5


def test_lost_threads_are_replaced_up_to_a_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_room, "THREADS", 1)
    monkeypatch.setattr(function_room, "LOST_THREADS", 2)

    async def main() -> list[str]:
        agent = Function(root)
        quick, begun = work(call="things:sleeps", root=root), work(call="things:begun", root=root)
        said = []
        for _ in range(2):
            blocked = asyncio.create_task(agent.run(work(call="things:blocks", root=root), FakeDesk()))
            for _ in range(500):
                if (await agent.run(begun, FakeDesk())).output:
                    break
                await asyncio.sleep(0.01)
            blocked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await blocked
            said.append((await agent.run(quick, FakeDesk())).error or "done")
        await agent.run(work(call="things:release", root=root), FakeDesk())
        for _ in range(500):
            last = (await agent.run(quick, FakeDesk())).error or "done"
            if last == "done":
                break
            await asyncio.sleep(0.01)
        return [*said, last]

    first, second, third = run(main())
    assert (first, third) == ("done", "done")
    assert "2 functions that were stopped are still running" in second


def test_threads_are_reused_and_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_room, "THREADS", 4)

    async def main() -> int:
        agent = Function(root)
        asked = work(call="things:sleeps", root=root, kwargs={"for_s": 0.001})
        await asyncio.gather(*(agent.run(asked, FakeDesk()) for _ in range(100)))
        alive = sum(thread.name == "stretto-function" for thread in threading.enumerate())
        await agent.aclose()
        return alive

    others = sum(thread.name == "stretto-function" for thread in threading.enumerate())
    assert run(main()) - others <= 4


def test_a_function_that_hangs_does_not_hang_the_exit(root: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from stretto.agents import Work\n"
        "from stretto.agents.function import Function\n"
        "async def main():\n"
        "    asked = Work('r', 't', 1, 'work', Path(sys.argv[1]), call='things:sleeps')\n"
        "    asked.kwargs = {'for_s': 60}\n"
        "    await asyncio.wait_for(Function(asked.root).run(asked, None), 0.2)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        timeout=20,
        check=False,
        capture_output=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 1
    assert b"TimeoutError" in done.stderr


def test_threads_and_virtual_time_agree(root: Path) -> None:
    async def main() -> Result:
        asked = work(call="things:sleeps", root=root, kwargs={"for_s": 0.1})
        return await asyncio.wait_for(Function(root).run(asked, FakeDesk()), 5)

    assert autojump.run(main()).outcome == "ok"


def test_it_costs_little(root: Path) -> None:
    """0.6 µs on the machine of the bench; a hundred times as much says that something was put in its way."""

    async def main() -> float:
        agent, desk = Function(root), FakeDesk()
        asked = work(call="things:add", root=root, kwargs={"a": 1})
        await agent.run(asked, desk)
        started = time.process_time()
        for _ in range(2_000):
            await agent.run(asked, desk)
        return (time.process_time() - started) / 2_000

    assert run(main()) < 60e-6


def test_what_is_cancelled_before_it_began_never_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_room, "THREADS", 1)
    (root / "effects.py").write_text(
        "import time\nseen = []\ndef f(a): time.sleep(0.2); seen.append(a); return list(seen)\n"
    )

    async def main() -> Any:
        agent = Function(root)
        asked = [work(call="effects:f", root=root, kwargs={"a": k}) for k in range(3)]
        first, second = (asyncio.create_task(agent.run(w, FakeDesk())) for w in asked[:2])
        await asyncio.sleep(0.1)
        second.cancel()
        await first
        return (await agent.run(asked[2], FakeDesk())).output

    assert run(main()) == [0, 2]
