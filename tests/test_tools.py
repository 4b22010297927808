"""The read-only tools: what they find, and what no input gets them to show."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.agents import fence
from stretto.agents.tools import MAX_ENTRIES, MAX_LINES, MAX_RESULT_BYTES, TOOLS, ToolResult, Toolset
from stretto.errors import StrettoError

SECRET = "sk-very-secret"
NOTHING_FOUND = {("search", "binary.bin"), ("search", "pipe")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project between an outside and its secrets."""
    root = tmp_path / "project"
    for name, text in {
        "README.md": "# Project\nsee src/app.py\n",
        "src/app.py": "import os\n\ndef handler():\n    return os.environ\n",
        "src/deep/er/util.py": "def handler_two():\n    pass\n",
        "src/app.ts": "function handler() {}\n",
        "node_modules/x/index.js": "function handler() {}\n",
        ".env": f"KEY={SECRET}\n",
        "src/.env.local": f"KEY={SECRET}\n",
        ".env.example": "KEY=\n",
        "certs/server.pem": SECRET,
        "id_rsa": SECRET,
        "id_rsa.pub": "public",
        ".git/config": SECRET,
        ".stretto/stretto.db": SECRET,
        "Secrets.YAML": SECRET,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "outside.txt").write_text(SECRET)
    (root / "way-out").symlink_to(tmp_path / "outside.txt")
    (root / "folder-out").symlink_to(tmp_path)
    (root / "harmless.txt").symlink_to(root / ".env")
    (root / "loop").symlink_to(root / "loop")
    (root / "way-in.md").symlink_to(root / "README.md")
    (root / "binary.bin").write_bytes(b"MZ\0\0handler")
    os.mkfifo(root / "pipe")
    return root


def use(root: Path, tool: str, **given: Any) -> ToolResult:
    return asyncio.run(Toolset(root, list(TOOLS)).use(tool, given))


def said(root: Path, tool: str, **given: Any) -> str:
    result = use(root, tool, **given)
    assert not result.failed, result.text
    return result.text


def test_read_numbers_the_lines_and_says_which_they_are(root: Path) -> None:
    assert said(root, "read", path="src/app.py", start=3, lines=1) == (
        "src/app.py, lines 3 to 3 of 4; go on with start=4\n3: def handler():"
    )
    assert said(root, "read", path="./src/../src/app.py", start=4).endswith("\n4:     return os.environ")
    assert said(root, "read", path=str(root / "README.md")).endswith("2: see src/app.py")
    assert said(root, "read", path="way-in.md").startswith("way-in.md, lines 1 to 2 of 2\n")


def test_lines_are_counted_as_compilers_count_them(root: Path) -> None:
    (root / "odd.txt").write_bytes("one\x0cstill one\u2028still one\r\ntwo".encode())
    assert said(root, "read", path="odd.txt", start=2) == "odd.txt, lines 2 to 2 of 2\n2: two"
    assert said(root, "search", pattern="^two$", path="odd.txt") == "odd.txt:2: two"


def test_read_goes_on_where_it_stopped_until_all_was_read(root: Path) -> None:
    lines = [f"line {n} " + "é" * 100 for n in range(1, 1001)]
    (root / "long.txt").write_text("\n".join(lines))
    seen: list[str] = []
    start = 1
    while start <= len(lines):
        text = said(root, "read", path="long.txt", start=start)
        assert len(text.encode()) <= MAX_RESULT_BYTES
        assert len(text.splitlines()) <= MAX_LINES + 1
        seen += [line.partition(": ")[2] for line in text.split("\n")[1:]]
        start = len(seen) + 1
    assert seen == lines


def test_one_line_of_any_length_is_cut(root: Path) -> None:
    (root / "one.json").write_text("x" * 1_000_000)
    assert len(said(root, "read", path="one.json")) < 3_000


def test_an_empty_file_has_no_line_to_start_at(root: Path) -> None:
    (root / "empty").write_text("")
    assert "has 0 lines" in use(root, "read", path="empty").text


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "/etc/passwd",
        "src/../../outside.txt",
        "way-out",
        "folder-out/outside.txt",
        "harmless.txt",
        ".env",
        "src/.env.local",
        "certs/server.pem",
        "id_rsa",
        ".git/config",
        ".GIT/config",
        ".stretto/stretto.db",
        "Secrets.YAML",
        "loop",
        "pipe",
        "src",
        "binary.bin",
        "nothing-here",
        "a\0b",
        "x" * 5_000,
        "~/.ssh/id_rsa",
    ],
)
def test_what_must_not_be_seen_is_refused_and_told_to_the_model(root: Path, path: str) -> None:
    for tool in ("read", "search", "list"):
        result = use(root, tool, path=path, **({"pattern": "sk-"} if tool == "search" else {}))
        assert SECRET not in result.text
        if (tool, path) not in {
            ("search", "src"),
            ("list", "src"),
            ("search", "binary.bin"),
            ("search", "pipe"),
        }:
            assert result.failed, (tool, path, result.text)


def test_what_is_made_to_be_shared_is_shown(root: Path) -> None:
    assert "KEY=" in said(root, "read", path=".env.example")
    assert "public" in said(root, "read", path="id_rsa.pub")


def test_no_search_and_no_list_shows_a_secret(root: Path) -> None:
    assert SECRET not in said(root, "search", pattern="sk-|handler|KEY")
    for shown in (said(root, "list"), said(root, "list", glob="**")):
        names = {line.split(" ")[0] for line in shown.splitlines()}
        assert names.isdisjoint(
            {".env", "id_rsa", ".git/", ".stretto/", "way-out", "folder-out/", "Secrets.YAML"}
        )
        assert names >= {"README.md", "way-in.md", ".env.example"}


def test_search_finds_lines_with_their_places(root: Path) -> None:
    assert said(root, "search", pattern=r"def handler\w*").splitlines() == [
        "src/app.py:3: def handler():",
        "src/deep/er/util.py:1: def handler_two():",
    ]
    assert said(root, "search", pattern="handler", glob="*.ts") == "src/app.ts:1: function handler() {}"
    assert said(root, "search", pattern="handler", path="src/deep").startswith("src/deep/er/util.py:1:")
    # Folders full of what others wrote are looked at only by name.
    assert said(root, "search", pattern="handler", path="node_modules").startswith(
        "node_modules/x/index.js:1:"
    )
    assert said(root, "search", pattern="nowhere-at-all") == "no line matches 'nowhere-at-all'"


def test_search_stops_at_its_limits_and_says_so(root: Path) -> None:
    (root / "many.txt").write_text("hit\n" * 10_000)
    text = said(root, "search", pattern="hit")
    assert text.count("many.txt:") == fence.MAX_MATCHES_IN_FILE + 1
    assert "more matches left out" in text
    for n in range(10):
        (root / f"many{n}.txt").write_text("hit\n" * 60)
    assert f"stopped after {fence.MAX_MATCHES} matches" in said(root, "search", pattern="hit")


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "*"])
def test_a_pattern_that_is_none_is_told_to_the_model(root: Path, pattern: str) -> None:
    assert "not a regular expression" in use(root, "search", pattern=pattern).text


def test_no_pattern_hangs_a_search_or_the_loop(root: Path) -> None:
    (root / "bad.txt").write_text("a" * 60 + "b\n")
    ask = {"root": str(root), "pattern": "(a+)+$", "glob": "", "path": "bad.txt", "seconds": 0.5}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", fence.__file__],
        input=json.dumps(ask).encode(),
        capture_output=True,
        check=True,
        timeout=10,
    )
    assert "the time was up" in json.loads(done.stdout)["text"]
    assert time.monotonic() - began < 5


def test_a_cancelled_search_leaves_no_process(root: Path) -> None:
    (root / "bad.txt").write_text("a" * 60 + "b\n")

    async def scenario() -> None:
        search = asyncio.create_task(Toolset(root, ["search"]).use("search", {"pattern": "(a+)+$"}))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert time.monotonic() - began < 1

    asyncio.run(scenario())
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    names = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children.read_text().split()]
    assert not [name for name in names if "fence.py" in name]


def test_many_searches_run_side_by_side(root: Path) -> None:
    async def scenario() -> list[ToolResult]:
        tools = Toolset(root, ["search"])
        return await asyncio.gather(*(tools.use("search", {"pattern": f"handler{n}?"}) for n in range(12)))

    assert not any(result.failed for result in asyncio.run(scenario()))


def test_list_shows_folders_and_sizes_and_with_a_glob_files_below(root: Path) -> None:
    assert said(root, "list", path="src").splitlines() == [
        "src/app.py (48 bytes)",
        "src/app.ts (22 bytes)",
        "src/deep/",
    ]
    assert said(root, "list", glob="*.py").splitlines() == ["src/app.py", "src/deep/er/util.py"]
    assert said(root, "list", glob="src/*.py") == "src/app.py"
    assert said(root, "list", glob="*.rs") == "nothing fits"


def test_a_list_is_never_longer_than_its_limit(root: Path) -> None:
    for n in range(MAX_ENTRIES + 50):
        (root / f"f{n}.txt").write_text("")
    assert len(said(root, "list", glob="*.txt").splitlines()) == MAX_ENTRIES + 1
    assert len(said(root, "list").splitlines()) == MAX_ENTRIES + 1


@pytest.mark.parametrize(
    ("tool", "given", "error"),
    [
        ("read", {}, "read needs 'path'"),
        ("read", {"path": 5}, "'path' must be of type string"),
        ("read", {"path": "README.md", "start": "1"}, "'start' must be of type integer"),
        ("read", {"path": "README.md", "start": True}, "'start' must be of type integer"),
        ("read", {"path": "README.md", "offset": 1}, "read has no 'offset'"),
        ("read", {"path": "README.md", "start": 99}, "has 2 lines"),
        ("write", {"path": "x"}, "there is no tool 'write'; there are search, list, read"),
        ("search", None, "must be an object"),
        ("search", [], "must be an object"),
        ("list", {"path": "README.md"}, "is a file; use read"),
    ],
)
def test_wrong_input_is_an_answer_to_the_model(root: Path, tool: str, given: Any, error: str) -> None:
    result = asyncio.run(Toolset(root, list(TOOLS)).use(tool, given))
    assert result.failed
    assert error in result.text


def test_what_is_left_out_or_null_has_its_default(root: Path) -> None:
    assert said(root, "read", path="README.md", start=None, lines=0).endswith("1: # Project")


def test_a_task_gets_the_tools_it_asks_for_and_no_others(root: Path) -> None:
    tools = Toolset(root, ["list", "search"])
    assert [tool.name for tool in tools.tools] == ["search", "list"]
    assert asyncio.run(tools.use("read", {"path": "README.md"})).failed
    with pytest.raises(StrettoError) as caught:
        Toolset(root, ["serach"])
    assert caught.value.slug == "no-such-tool"
    assert "did you mean `search`?" in caught.value.next


def test_names_that_are_no_text_and_folders_that_cannot_be_read_are_left_out(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/bad\xff.py")).write_text("handler")
    assert "bad" not in said(root, "search", pattern="handler")
    assert "bad" not in said(root, "list", glob="*.py")


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("a.py", "*.py", True),
        ("src/a.py", "*.py", True),
        ("src/a.py", "./src/*.py", True),
        ("src/deep/a.py", "src/*.py", False),
        ("src/deep/a.py", "src/**/*.py", True),
        ("src/a.py", "src/**/*.py", True),
        ("src/a.py", "**", True),
        ("src/a.py", "**/a.py", True),
        ("src/a.py", "src", False),
        ("src/a.py", "src/**", True),
        ("src/x/y/a.py", "**/x/**/a.py", True),
        ("src/x/y/a.py", "**/z/**/a.py", False),
    ],
)
def test_globs(path: str, glob: str, fits: bool) -> None:
    assert fence.matches(path, glob) is fits


@given(st.lists(st.sampled_from(["**", "*", "a", "*a*"]), min_size=1, max_size=30))
def test_no_glob_takes_long(parts: list[str]) -> None:
    began = time.monotonic()
    fence.matches("/".join(["a" * 50] * 40), "/".join(parts))
    assert time.monotonic() - began < 0.5
