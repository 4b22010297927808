"""Drives the command line inside this process, and holds what people see against golden files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stretto.cli import main

GOLDEN = Path(__file__).parent / "golden" / "cli"
PLAN = """\
stretto: 1
name: demo
limits: {usd: 5, parallel: 1}
tasks:
  list: {run: [printf, 'a\\nb\\nc\\n'], output: lines}
  files:
    each: "${list}"
    as: file
    max: 100
    tolerate: 1
    tasks:
      scan:
        run: [sh, -c, 'test "$1" != b && echo "found $1" || { echo broken >&2; exit 3; }', sh, "${file}"]
        attempts: 1
      judge: {prompt: "Is it real: ${scan}", model: haiku}
  merge: {prompt: "Merge ${files}", model: sonnet}
"""
SIMULATED = "simulated:latency=0"


class Answer(NamedTuple):
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def jsonl(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.out.splitlines()]

    @property
    def last_line(self) -> str:
        return self.out.rstrip().splitlines()[-1]


class _Stdout(io.TextIOWrapper):
    """A text stream over bytes that are kept, as standard output is when it goes into a pipe."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    def text(self) -> str:
        return self.bytes.getvalue().decode()


class Project:
    """A folder with a plan in it, and the command line in front of it."""

    def __init__(self, root: Path, plan: str = PLAN):
        self.root = root
        self.plan = root / "plan.yaml"
        self.plan.write_text(plan)

    def __call__(
        self, verb: str, *words: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None
    ) -> Answer:
        """Runs `stretto VERB ...` in the folder, without a terminal."""
        out, err = _Stdout(), _Stdout()
        unrooted = ("init", "check", "explain", "schema", "help", "--help", "--version")
        rooted = verb not in unrooted and "--root" not in words
        argv = [verb, *words, *(["--root", "."] if rooted and verb.isalpha() else [])]
        with self._inside(env or {}), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            data = stdin if isinstance(stdin, bytes) else stdin.encode()
            before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
            try:
                code = main(argv)
            finally:
                sys.stdin = before
        return Answer(code, out.text(), err.text())

    def run(self, *words: str, on: str = SIMULATED) -> Answer:
        return self("run", "plan.yaml", "--on", on, *words)

    @property
    def last(self) -> str:
        runs: list[dict[str, Any]] = self("ls", "--json").json["runs"]
        return str(runs[0]["run"])

    @contextlib.contextmanager
    def _inside(self, env: Mapping[str, str]) -> Iterator[None]:
        """In the project's folder, 100 columns wide, without the keys of whoever runs the tests."""
        folder, environ = Path.cwd(), dict(os.environ)
        os.chdir(self.root)
        os.environ.pop("ANTHROPIC_API_KEY", None)
        os.environ.update({"COLUMNS": "100", "TZ": "UTC", **env})
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environ)


_VARYING = [
    (r"\b([a-z][a-z0-9_-]*)-\d{4}-\d{6}-[0-9a-f]{4}\b", r"\1-RUN"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-02T03:04:05Z"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-02 03:04"),
    (r"(?<![\w.])\d+\.\ds\b", "0.0s"),
    (r'"(seconds|at_us|pid|started_us)": ?[0-9.]+', r'"\1": 0'),
    (r"(?m)^(  estimate) .*$", r"\1 ..."),
    (r"\b[0-9a-f]{64}\b", "SHA"),
    (r"stretto-bug-\w+\.txt", "stretto-bug-X.txt"),
]


def normal(text: str, root: Path) -> str:
    """The text without what differs from run to run: names of runs, times, estimates, places, hashes."""
    text = text.replace(str(root), "ROOT")
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text)
    return text


def pretty(text: str) -> str:
    """JSON in many lines, so that a difference is seen."""
    return json.dumps(json.loads(text), indent=1) + "\n"


def golden(name: str, text: str) -> None:
    """Compares with the golden file; `STRETTO_GOLDEN=write` writes it instead."""
    path = GOLDEN / name
    if os.environ.get("STRETTO_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"{name} is not there: STRETTO_GOLDEN=write makes it; then read it"
    assert text == path.read_text(), f"{name} has changed: if that is right, STRETTO_GOLDEN=write"
