"""The demo: it finds what was planted, says when it rehearses, and spends nothing unless told to by name."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stretto.agents.local import Local, weights_of
from stretto.errors import EXIT_COULD_NOT, EXIT_LIMIT, EXIT_OK, StrettoError
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import Task
from stretto.report import History, read, tasks_of
from stretto.spec.load import load
from tests.fakeapi import FakeApi

ROOT = Path(__file__).parent.parent
AUDIT = ROOT / "examples" / "audit"
DEMO = AUDIT / "demo.py"
MOST_TOKENS = 400
MOST_MODULES = 24
TEMPLATE_TOKENS = 40
"""What a chat template adds: 31 for the local model, whose whole prompts the slow tests measure."""

FILES = {
    "src/we ird “name”.py": (
        '"""Counts sheep, one by one."""\n'
        "from flask import Flask\n"
        "app = Flask(__name__)\n"
        's = "# TODO: not in a string"\n'
        "# TODO(ann): count | the `black` <b>ones</b> too\n"
        '@app.route("/sheep/<int:n>", methods=["POST"])\n'
        "def sheep(n): ...\n"
    ),
    "src/odd\nname.py": '"""Herds cats."""\n# HACK: the name has a line end\ndef herd(): pass\n',
    "web/server [1].js": "// Serves it.\napp.get('/x', h); // FIXME close it\n// app.get('/comment', h)\n",
    "$(rm -rf x).go": "package main // XXX why\nfunc main() {}\n",
    "README.md": "TODO: prose is no comment\n",
}
NOTES = [
    "$(rm -rf x).go:1: XXX why",
    r"src/odd\nname.py:2: HACK: the name has a line end",
    "src/we ird “name”.py:5: TODO(ann): count | the `black` <b>ones</b> too",
    "web/server [1].js:2: FIXME close it",
]
ENDPOINTS = ["src/we ird “name”.py:6: POST /sheep/<int:n>", "web/server [1].js:2: GET /x"]
MODULES = 4


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return plant(tmp_path / "a 'repo' with $HOME \"in\" it")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder in which the demo runs."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def plant(repo: Path) -> Path:
    for name, text in FILES.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (repo / "data").mkdir()
    (repo / "data" / "big.bin").write_bytes(bytes(1_100_000))
    return repo


def bare(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which there is no model, and pip finds none."""
    nowhere = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PIP_NO_INDEX": "1"}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": "80", **nowhere, **more}


def demo(
    here: Path, *words: str, environ: Mapping[str, str] | None = None, stdin: Any = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """What the recipe of `make demo` runs."""
    return subprocess.run(
        [sys.executable, str(DEMO), *words],
        cwd=here,
        env=bare(here) if environ is None else dict(environ),
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def section(report: str, title: str) -> list[str]:
    """The entries of one list of the report, without the marks of code around them."""
    found = re.search(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", report, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title!r} in the report"
    entries = [row.removeprefix("- ") for row in found[1].splitlines() if row.startswith("- ")]
    return [row.strip("`").strip() for row in entries]


def history(here: Path) -> History:
    journal = SqliteJournal(here)
    try:
        return read(journal, journal.runs()[0].run)
    finally:
        journal.close()


# Rehearsed


def test_it_finds_exactly_what_was_planted_and_says_that_it_rehearses(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted))
    assert ran.returncode == EXIT_OK, ran.stderr
    first = ran.stdout.splitlines()[0]
    assert first.startswith("rehearsed (no local model: ")
    assert "`make model`" in first
    report = (here / "report.md").read_text()
    assert section(report, "Open notes") == NOTES
    assert section(report, "HTTP endpoints") == ENDPOINTS
    assert section(report, "Files above 1 MB") == ["data/big.bin"]
    assert "**Rehearsed**" in report
    assert "## What each module is for (rehearsed: no model was asked)" in report
    assert "*model said*" not in report
    assert report.count("“&#91;simulated&#93;") == MODULES


def test_the_first_line_is_the_first_of_all_output(planted: Path, here: Path) -> None:
    """Also where somebody joins both streams: a download that fails says nothing before it."""
    both = subprocess.run(
        [sys.executable, str(DEMO), "--repo", str(planted), "--on", "local"],
        cwd=here,
        env=bare(here),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert both.stdout.startswith("rehearsed ")


def test_the_summary_names_every_task_and_what_it_took(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "simulated")
    assert ran.returncode == EXIT_OK, ran.stderr
    assert ran.stdout.startswith("rehearsed (as ON=simulated asks for)")
    rows = dict(re.findall(r"^  ([a-z.]+) +(.*?)  +[0-9.]+s$", ran.stdout, re.MULTILINE))
    assert rows == {
        "tree": "5 source files, 0 left out",
        "facts.todos": "4 open notes",
        "facts.sizes": "16 lines in 4 languages",
        "facts.endpoints": "2 HTTP endpoints",
        "facts.signatures": "3 classes, functions and methods",
        "facts.hotspots": "2 Python functions, complexity up to 1",
        "facts.large": "1 file above 1 MB",
        "modules": "4 to ask about, 0 only listed",
        "ask": "4 answers made up (rehearsed)",
        "page": rows["page"],
        "report": rows["report"],
    }
    assert "critical path: tree " in ran.stdout
    assert "\ntokens  none: no model was asked" in ran.stdout
    assert "\ncost    $0: simulated agents send no bill" in ran.stdout
    assert "\nClaude  no tokens were measured, so no price" in ran.stdout
    assert f"report  {here / 'report.md'}" in " ".join(ran.stdout.split("\n"))
    told = ran.stdout.split("what each task made")[1].split("report  /")[0]
    assert max(map(len, told.splitlines())) <= 80


def test_the_command_it_ends_with_shows_the_output_of_a_task(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "simulated")
    shown = subprocess.run(
        shlex.split(ran.stdout.splitlines()[-1]), cwd=here, capture_output=True, text=True, check=True
    )
    notes = json.loads(shown.stdout)
    assert [note["line"] for note in notes] == [1, 2, 5, 2]


def test_a_second_time_nothing_is_asked_again(planted: Path, here: Path) -> None:
    demo(here, "--repo", str(planted), "--on", "simulated")
    again = demo(here, "--repo", str(planted), "--on", "simulated")
    assert "4 answers, 4 of them kept from before" in again.stdout
    assert "\ntokens  4 answers kept from an earlier run" in again.stdout


def test_progress_is_the_same_as_that_of_stretto_run(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "simulated")
    assert re.search(r"^ +[0-9.]+s grew +ask: 4 items$", ran.stderr, re.MULTILINE)
    assert re.search(r"^ +[0-9.]+s ok +report ", ran.stderr, re.MULTILINE)


def test_an_empty_code_base_has_a_report_that_says_so(tmp_path: Path, here: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = demo(here, "--repo", str(empty))
    assert ran.returncode == EXIT_OK, ran.stderr
    report = (here / "report.md").read_text()
    assert "**There is nothing to audit**" in report
    assert "0 answers" in ran.stdout


@pytest.mark.parametrize("repo", ["no such thing", "a file", "", "a \udcff byte"])
def test_what_is_no_folder_is_a_clear_error(here: Path, repo: str) -> None:
    (here / "a file").touch()
    if repo == "a \udcff byte":
        (here / repo).mkdir()
    ran = demo(here, "--repo", repo)
    assert ran.returncode == EXIT_COULD_NOT
    assert "Traceback" not in ran.stderr
    assert re.search(r"is not a folder \[no-such-folder\]|is not UTF-8.*\[bad-input\]", ran.stderr)
    assert not (here / ".stretto").exists()


def test_a_model_that_was_named_is_not_replaced_by_a_rehearsal(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "local:none.gguf")
    assert ran.returncode == EXIT_COULD_NOT
    assert "[no-local-model]" in ran.stderr
    assert not (here / "report.md").exists()


def test_agents_that_could_send_a_bill_without_a_price_are_not_asked(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "openai:http://127.0.0.1:9/v1", "--yes")
    assert ran.returncode == EXIT_COULD_NOT
    assert "[no-such-agent]" in ran.stderr


# Money


def wealth(url: str) -> dict[str, str]:
    """Variables that could lead a careless program to a paid server, or through one."""
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {
        "ON": "messages",
        "YES": "1",
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_BASE_URL": f"{url}/v1",
        **dict.fromkeys(keys, "sk-test"),
        **dict.fromkeys(proxies, url),
    }


@pytest.mark.parametrize("on", ["local", "simulated"])
def test_it_spends_nothing_whatever_the_environment_holds(planted: Path, here: Path, on: str) -> None:
    with FakeApi() as api:
        rich = bare(here, **wealth(api.url))
        ran = demo(here, "--repo", str(planted), "--on", on, environ=rich)
        seen = api.requests()
    assert ran.returncode == EXIT_OK, ran.stderr
    assert ran.stdout.startswith("rehearsed ")
    assert seen["by_status"] == {}
    assert history(here).state.ledger.cap_nusd == 0


def paying(here: Path, api: FakeApi) -> dict[str, str]:
    return bare(here, ANTHROPIC_API_KEY="sk-test", ANTHROPIC_BASE_URL=api.url)


def test_claude_is_asked_after_a_yes_under_a_cap_of_a_dollar(planted: Path, here: Path) -> None:
    with FakeApi(default={"reply": "It counts sheep."}) as api:
        ran = demo(here, "--repo", str(planted), "--on", "messages", "--yes", environ=paying(here, api))
        bill = api.bill()
    assert ran.returncode == EXIT_OK, ran.stderr
    first, price = ran.stdout.splitlines()[:2]
    assert first.startswith("audit by claude-haiku-")
    assert "costs money" in first
    assert re.fullmatch(r"worst case \$\d+\.\d+ in \d+ calls; cap \$1\.00", price)
    assert bill["calls"] == MODULES
    ledger = history(here).state.ledger
    assert (ledger.cap_nusd, ledger.held_nusd) == (10**9, 0)
    assert 0 < ledger.spent_nusd == bill["cost_nusd"]
    assert "4 answers by claude-haiku-" in ran.stdout
    assert "measured by the model's own tokenizer" in " ".join(ran.stdout.split())
    assert re.search(r"^Claude  haiku \S+, sonnet \S+, opus \S+: computed", ran.stdout, re.MULTILINE)
    report = (here / "report.md").read_text()
    assert report.count("“It counts sheep.”") == MODULES
    assert "*model said*: claude-haiku-" in report
    assert section(report, "Open notes") == NOTES


def test_where_nobody_can_be_asked_nothing_is_spent(planted: Path, here: Path) -> None:
    with FakeApi() as api:
        ran = demo(here, "--repo", str(planted), "--on", "messages", environ=paying(here, api))
        assert api.bill()["calls"] == 0
    assert ran.returncode == EXIT_LIMIT
    assert "make demo ON=messages YES=1" in ran.stderr
    assert "worst case" in ran.stdout
    assert not (here / "report.md").exists()


@pytest.mark.parametrize(("answer", "code", "calls"), [("n", EXIT_LIMIT, 0), ("y", EXIT_OK, MODULES)])
def test_on_a_terminal_it_asks(planted: Path, here: Path, answer: str, code: int, calls: int) -> None:
    mine, theirs = pty.openpty()
    try:
        os.write(mine, f"{answer}\n".encode())
        with FakeApi() as api:
            words = ("--repo", str(planted), "--on", "messages")
            ran = demo(here, *words, environ=paying(here, api), stdin=theirs)
            assert api.bill()["calls"] == calls
    finally:
        os.close(mine)
        os.close(theirs)
    assert ran.returncode == code, ran.stderr
    assert "[y/N]" in ran.stderr


def test_a_missing_key_is_a_clear_error(planted: Path, here: Path) -> None:
    ran = demo(here, "--repo", str(planted), "--on", "messages", "--yes")
    assert ran.returncode == EXIT_COULD_NOT
    assert "ANTHROPIC_API_KEY is not set [no-api-key]" in ran.stderr
    assert "Traceback" not in ran.stderr


# The target of the Makefile


def words_of_make(tmp_path: Path, *words: str, **environ: str) -> list[str]:
    """What `make demo` would call, with a stand-in for the Python of `.venv`."""
    echo = tmp_path / "echo"
    echo.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    echo.chmod(0o755)
    # -o: the environment is not prepared anew, whatever its age.
    ran = subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/.ready", "demo", f"PY={echo}", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(ran.stdout)
    assert isinstance(said, list)
    return said


def test_make_takes_who_is_asked_from_its_command_line_alone(tmp_path: Path) -> None:
    usual = ["examples/audit/demo.py", "--repo=.", "--on=local"]
    assert words_of_make(tmp_path) == usual
    assert words_of_make(tmp_path, ON="messages", YES="1", REPO="/", DEMO_ON="messages") == usual
    assert words_of_make(tmp_path, "YES=0") == usual
    paid = words_of_make(tmp_path, "ON=messages", "YES=1")
    assert paid == ["examples/audit/demo.py", "--repo=.", "--on=messages", "--yes"]


def test_make_hands_over_a_path_as_it_is(tmp_path: Path) -> None:
    odd = "a 'path' with \"quotes\", a $(dollar), a `tick`; and -more"
    assert words_of_make(tmp_path, f"REPO={odd}")[1] == f"--repo={odd}"


# What is asked


def test_prompts_are_short_and_at_most_24_for_this_code_base() -> None:
    sys.path.insert(0, str(AUDIT))
    audit: Any = importlib.import_module("audit")
    plan, _, _ = load(AUDIT / "audit.yaml")
    assert plan is not None
    ask = next(part for part in plan.tasks if part.id == "ask")
    assert isinstance(ask, Task)
    modules = audit.modules(str(ROOT), audit.files(str(ROOT))["files"])
    asked = modules["asked"]
    assert len(asked) == MOST_MODULES
    assert asked == sorted(asked, key=lambda module: -module["lines"])
    assert len(modules["rest"]) > MOST_MODULES
    for module in asked:
        # A token is never shorter than a byte, so this bound holds for every tokenizer.
        prompt = ask.prompt.replace("${module.brief}", module["brief"])
        assert "${" not in prompt
        assert len(prompt.encode()) + TEMPLATE_TOKENS <= MOST_TOKENS


# With the real model


@pytest.fixture
def model() -> str:
    """The name of the real one; where it is missing, conftest makes a failure of the skip in CI."""
    try:
        found = weights_of("", ROOT, os.environ)
        Local(found)
    except StrettoError as missing:
        pytest.skip(f"{missing.what}; {missing.next}")
    return found.stem


@pytest.mark.slow
def test_the_local_model_answers_and_the_facts_are_the_same(planted: Path, here: Path, model: str) -> None:
    with FakeApi() as api:
        ran = demo(here, "--repo", str(planted), environ={**os.environ, **wealth(api.url)})
        assert api.requests()["by_status"] == {}
    assert ran.returncode == EXIT_OK, ran.stderr
    assert ran.stdout.startswith(f"audit by {model}, on this machine, no cost: ")
    assert "rehears" not in ran.stdout.lower()
    assert f"4 answers by {model}" in ran.stdout
    report = (here / "report.md").read_text()
    assert section(report, "Open notes") == NOTES
    assert section(report, "HTTP endpoints") == ENDPOINTS
    assert f"*model said*: {model}" in report
    assert "simulated" not in report


@pytest.mark.slow
def test_this_code_base_by_the_local_model(here: Path, model: str) -> None:
    ran = demo(here, "--repo", str(ROOT), environ=os.environ)
    assert ran.returncode == EXIT_OK, ran.stderr
    told = history(here)
    prompts = [sum(usage.values()) - usage["output"] for usage in told.usages]
    assert len(prompts) >= MOST_MODULES
    assert max(prompts) <= MOST_TOKENS
    tries = sorted(
        (t.started_us, t.ended_us)
        for task in tasks_of(told.state)
        if task.id.startswith("ask.")
        for t in told.stories[task.id].tries
    )
    assert all(before[1] <= after[0] for before, after in pairwise(tries))
    assert told.state.ledger.spent_nusd == 0
    assert f"the longest prompt has {max(prompts)}" in " ".join(ran.stdout.split())
    assert "the one slot of the local model" in " ".join(ran.stdout.split())
    again = demo(here, "--repo", str(ROOT), environ=os.environ)
    assert f"{MOST_MODULES} answers, {MOST_MODULES} of them kept from before" in again.stdout
    assert "computed, the tokens that the answers took then" in " ".join(again.stdout.split())


@pytest.mark.slow
def test_a_model_that_does_not_load_is_rehearsed_instead(planted: Path, here: Path) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    broken = here / "cache" / "stretto" / "models" / "broken.gguf"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"GGUF and no more")
    ran = demo(here, "--repo", str(planted))
    assert ran.returncode == EXIT_OK, ran.stderr
    assert ran.stdout.startswith("rehearsed (the local model does not work: llama.cpp could not load ")
    assert "**Rehearsed**" in (here / "report.md").read_text()
    named = demo(here, "--repo", str(planted), "--on", f"local:{broken}")
    assert named.returncode == EXIT_COULD_NOT
    assert "[no-local-model]" in named.stderr
