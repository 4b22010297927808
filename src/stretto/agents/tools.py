"""The read-only tools of API agents - read, search, list - confined to one folder.

What goes wrong is told to the model as the tool's answer, never raised: it may look elsewhere.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stretto.agents import fence
from stretto.agents.fence import Refused, inside
from stretto.errors import StrettoError
from stretto.plan.model import canonical

MAX_RESULT_BYTES = 40_000
"""Of one tool's answer: about 10,000 tokens."""

MAX_LINES = 400
"""Lines that one `read` returns where it is not told how many."""

MAX_ENTRIES = 500
SHOWN_CHARS = 100
"""Of the input of a tool in an error."""
MAX_SAME = 3
"""Turns in a row in which a model may ask for the same and be told the same."""
SEARCH_S = 5.0
"""How long a search may take; its process is killed somewhat later, should it not stop by itself."""
SEARCH_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model is told of one tool; `schema` is a JSON Schema of its input."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool said to the model."""

    text: str
    failed: bool = False


def _schema(required: Sequence[str], **properties: tuple[str, str]) -> dict[str, Any]:
    shown = {name: {"type": kind, "description": text} for name, (kind, text) in properties.items()}
    return {
        "type": "object",
        "properties": shown,
        "required": list(required),
        "additionalProperties": False,
    }


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "search",
            "Finds the lines of the project's files that match a regular expression (Python's syntax), as"
            " `path:line: text`. Use it before `read`, to learn what to read.",
            _schema(
                ["pattern"],
                pattern=("string", "The regular expression, e.g. `def \\w+_handler`."),
                glob=("string", "Only in files that fit, e.g. `*.py` or `src/**/*.ts`."),
                path=("string", "Only in this file or folder, relative to the root."),
            ),
        ),
        Tool(
            "list",
            "Lists a folder of the project; with `glob`, all files below it that fit.",
            _schema(
                [],
                path=("string", "A folder relative to the root; the root itself if left out."),
                glob=("string", "A pattern such as `*.py` or `tests/**/test_*.py`."),
            ),
        ),
        Tool(
            "read",
            f"Reads a text file of the project, with line numbers; {MAX_LINES} lines unless told otherwise."
            " Read only the part that you need.",
            _schema(
                ["path"],
                path=("string", "The file, relative to the root."),
                start=("integer", "The first line, from 1."),
                lines=("integer", "How many lines."),
            ),
        ),
    )
}

GUIDE = (
    "You can look at the project's files with your tools; paths are relative to its root. Find first, read"
    " after: learn with `search` or `list` where something is, then read only the lines that you need."
)
"""What an agent with tools is told besides its role."""


class Toolset:
    """The tools that one task may use, on one folder."""

    __slots__ = ("_root", "tools")

    def __init__(self, root: Path, names: Sequence[str]):
        for name in names:
            if name not in TOOLS:
                raise _no_such_tool(name)
        self._root = root.resolve()
        # In the order of the catalogue, so that equal sets of tools are equal prefixes for a prompt cache.
        self.tools = tuple(tool for tool in TOOLS.values() if tool.name in names)

    async def use(self, name: str, given: Any) -> ToolResult:
        """Runs one tool on the input that a model gave, whatever it is."""
        try:
            tool = next((tool for tool in self.tools if tool.name == name), None)
            if tool is None:
                raise Refused(f"there is no tool {name!r}; there are {', '.join(t.name for t in self.tools)}")
            text = await self._use(name, _checked(tool, given))
        except Refused as refused:
            return ToolResult(str(refused), failed=True)
        return ToolResult(_within(text))

    async def _use(self, name: str, given: dict[str, Any]) -> str:
        if name == "search":
            return await self._search(given)
        act: Callable[[Path, dict[str, Any]], str] = _read if name == "read" else _list
        return await asyncio.to_thread(act, self._root, given)

    async def _search(self, given: dict[str, Any]) -> str:
        inside(self._root, given.get("path") or ".")
        ask = {
            "root": str(self._root),
            "pattern": given["pattern"],
            "glob": given.get("glob", ""),
            "path": given.get("path", ""),
            "seconds": SEARCH_S,
        }
        answer = await _in_process(json.dumps(ask).encode())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["text"]


class Repeats:
    """How often in a row a model asked for the same and was told the same: then it is stuck."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], int] = {}

    def told(self, turn: Iterable[tuple[tuple[str, Any], ToolResult]]) -> str:
        """What is wrong, where every call of this turn repeats the ones before it; else nothing.

        A turn that has one new call beside old ones goes on.
        """
        before, self._counts = self._counts, {}
        for (name, given), result in turn:
            key = (name, canonical(given), result.text)
            self._counts[key] = before.get(key, 0) + 1
        if not self._counts or min(self._counts.values()) < MAX_SAME:
            return ""
        name, given, _ = next(iter(self._counts))
        shown = given if len(given) <= SHOWN_CHARS else f"{given[:SHOWN_CHARS]}..."
        return f"it repeated the same tool call ({name} {shown}) {MAX_SAME} times"


async def _in_process(ask: bytes) -> dict[str, str]:
    """Has a process of its own answer a search; it is gone when this returns, is cancelled or fails."""
    # Isolated and without site-packages: a tenth of the time to start, and nothing of the project runs in it.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        "-X",
        "utf8",
        fence.__file__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(SEARCH_S + SEARCH_GRACE_S):
            output, _ = await process.communicate(ask)
        answer: dict[str, str] = json.loads(output)
    except TimeoutError:
        raise Refused("the search took too long: use a simpler pattern, or a glob") from None
    except ValueError:
        raise Refused("the search failed: use a simpler pattern, or a glob") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer


def _read(root: Path, given: dict[str, Any]) -> str:
    shown = given["path"]
    lines = fence.text_lines(fence.load(root, inside(root, shown), shown))
    start = max(1, given.get("start", 1))
    wanted = max(1, given.get("lines", MAX_LINES))
    if start > len(lines):
        raise Refused(f"{shown!r} has {len(lines)} lines; there is no line {start}")
    taken: list[str] = []
    size = 0
    for number, line in enumerate(lines[start - 1 : start - 1 + wanted], start):
        text = f"{number}: {line[: fence.MAX_LINE_CHARS]}"
        size += len(text.encode("utf-8", "replace")) + 1
        if size > MAX_RESULT_BYTES - 200:
            break
        taken.append(text)
    end = start + len(taken) - 1
    rest = f"; go on with start={end + 1}" if end < len(lines) else ""
    return "\n".join([f"{shown}, lines {start} to {end} of {len(lines)}{rest}", *taken])


def _list(root: Path, given: dict[str, Any]) -> str:
    shown = given.get("path") or "."
    folder = inside(root, shown)
    if not folder.is_dir():
        raise Refused(f"{shown!r} is a file; use read")
    glob = given.get("glob", "")
    found: list[str] = []
    files = islice(fence.walk(root, folder), fence.MAX_FILES) if glob else _entries(root, folder)
    for path in files:
        if glob and not fence.matches(path, glob):
            continue
        if len(found) == MAX_ENTRIES:
            found.append(f"(more than {MAX_ENTRIES}: give a narrower path or glob)")
            break
        found.append(path)
    return "\n".join(found) or ("nothing fits" if glob else "the folder is empty")


def _entries(root: Path, folder: Path) -> list[str]:
    """What is directly in a folder; folders end with a slash, files show their size."""
    found = []
    for path in sorted(folder.iterdir()):
        name = path.relative_to(root).as_posix()
        if not fence.is_text(name):
            continue
        try:
            real = inside(root, name)
        except Refused:
            continue
        if real.is_dir():
            found.append(f"{name}/")
        elif real.is_file():
            found.append(f"{name} ({real.stat().st_size:,} bytes)")
    return found


_TYPES: dict[str, type] = {"string": str, "integer": int}


def _checked(tool: Tool, given: Any) -> dict[str, Any]:
    """The input, if it fits the tool's schema; models do send other things."""
    if not isinstance(given, dict):
        raise Refused(f"the input of {tool.name} must be an object")
    properties = tool.schema["properties"]
    for name in tool.schema["required"]:
        if name not in given:
            raise Refused(f"{tool.name} needs {name!r}")
    checked = {}
    for name, value in given.items():
        if name not in properties:
            raise Refused(f"{tool.name} has no {name!r}; it has {', '.join(properties)}")
        if value is None and name not in tool.schema["required"]:
            continue
        kind = properties[name]["type"]
        if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
            raise Refused(f"{name!r} must be of type {kind}")
        checked[name] = value
    return checked


def _within(text: str) -> str:
    """The text as UTF-8 within the limit, cut at the end of a line where there is one."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_RESULT_BYTES:
        return data.decode()
    kept = data[:MAX_RESULT_BYTES].decode("utf-8", "ignore")
    return f"{kept.rpartition(chr(10))[0] or kept}\n(cut: more than {MAX_RESULT_BYTES:,} bytes)"


def _no_such_tool(name: str) -> StrettoError:
    close = difflib.get_close_matches(name, TOOLS, n=1)
    meant = f"did you mean `{close[0]}`? " if close else ""
    return StrettoError(
        "no-such-tool",
        f"there is no tool `{name}` for agents of an API",
        next=f"{meant}There are {', '.join(TOOLS)}",
    )
