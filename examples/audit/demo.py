"""The demo: audits a code base by `audit.yaml` and says what that took; `make demo` calls it.

It asks a local model, which costs nothing. Without one it says that it rehearses, in its first line and in
the report. It spends money only when told to by name (`--on messages`), after a yes, under a cap.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from demo_summary import told
from stretto.agents import Grant, Usage, Work
from stretto.agents.local import weights_of
from stretto.agents.registry import Roster, free
from stretto.cli.dry_run import price_line
from stretto.cli.follow import Screen, how_to_go_on, summary
from stretto.cli.project import confirmed, plan_of
from stretto.errors import EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_OK, StrettoError, render
from stretto.estimate import worst_case
from stretto.journal.sqlite import SqliteJournal
from stretto.live.words import line, plain
from stretto.models import BUILTIN
from stretto.plan.model import Plan
from stretto.report import NUSD, read
from stretto.run import Options, Outcome, run_plan
from stretto.scheduler.limiter import Told

HERE = Path(__file__).absolute().parent
FETCH = HERE.parent.parent / "scripts" / "fetch_local_model.py"
REPORT = "report.md"
CAP_NUSD = 1 * NUSD
MODEL = "haiku"
"""The model that the plan's question names; on a local agent it stands for the model there is."""
AGENTS = ("local", "simulated", "messages")
PATIENCE_S = 180.0
"""How long a local model may take to load and to say its first word."""


class Choice(NamedTuple):
    """Who will be asked, under which name the report quotes it, and the demo's first line."""

    on: str
    by: str
    first: str

    @property
    def rehearsed(self) -> bool:
        return self.on.partition(":")[0] == "simulated"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo in the current folder; the exit code is that of `stretto run`."""
    flags = argparse.ArgumentParser(prog="demo.py", allow_abbrev=False, description=__doc__)
    flags.add_argument("--repo", default=".", help="the code base to audit (default: this folder)")
    flags.add_argument("--on", default="local", help="who is asked: local, local:FILE, simulated, messages")
    flags.add_argument("--yes", action="store_true", help="go on without asking where money can be spent")
    args = flags.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its number, not a traceback.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return demo(args.repo, args.on, args.yes)
    except StrettoError as failed:
        print(plain(render(failed)), file=sys.stderr)
        return failed.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def demo(given: str, on: str, yes: bool) -> int:
    root = Path.cwd()
    repo = folder(given)
    plan = plan_of(HERE / "audit.yaml", "")
    roster = Roster(root, folder=HERE)
    choice = chosen(on, root, repo)
    if not free(choice.on):
        roster.get(choice.on)  # a missing key is said before the question
        price = price_line(worst_case(plan, choice.on, free=free), CAP_NUSD)
        print(plain(f"{choice.first}\n{price}"), flush=True)
        if not agreed(yes):
            print("declined: nobody was asked, nothing was spent", file=sys.stderr)
            return EXIT_LIMIT
    return asyncio.run(play(plan, repo, choice, roster, root))


def folder(given: str) -> str:
    """The absolute path of the code base. Raises `no-such-folder`."""
    path = os.path.abspath(os.path.expanduser(given))
    if not (given and os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)):
        there = "cannot be read" if given and os.path.isdir(path) else "is not a folder"
        raise StrettoError(
            "no-such-folder",
            f"{line(given)!r} {there}",
            next="make demo REPO=path/to/a/code/base (one with spaces in quotes)",
        )
    try:
        path.encode()
    except UnicodeEncodeError as odd:
        what = f"{line(ascii(given))} is not UTF-8, so no journal could hold it"
        raise StrettoError("bad-input", what, next="rename the folder, or audit it by a link") from odd
    return path


# Who is asked


def chosen(on: str, root: Path, repo: str) -> Choice:
    """Whom the word means. Only the plain `local` may become a rehearsal: what was named is not replaced."""
    kind = on.partition(":")[0]
    if kind not in AGENTS:
        raise StrettoError(
            "no-such-agent",
            f"the demo does not ask {line(on)!r}",
            next="ON=local (or local:FILE.gguf), simulated or messages; for others: "
            "stretto run examples/audit/audit.yaml --on ...",
        )
    if kind == "simulated":
        return rehearsal(f"as ON={line(on)} asks for", on)
    if kind == "messages":
        model = BUILTIN.resolve(MODEL).id
        return Choice(on, model, f"audit by {model} through its API, which costs money: {line(repo)}")
    why = "" if on != "local" else absent(root)
    if why:
        return rehearsal(f"no local model: {why}; `make model` fetches one")
    by = weights_of(on.partition(":")[2], root, os.environ).stem
    return Choice(on, by, f"audit by {by}, on this machine, no cost: {line(repo)}")


def rehearsal(why: str, on: str = "simulated") -> Choice:
    return Choice(on, "nobody", f"rehearsed ({why}): simulated agents make up what a model would say")


def absent(root: Path) -> str:
    """Fetches the small model where there is none yet; says why there is none then, else nothing."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the package xllamacpp is not installed"
    tells = sys.stderr.isatty()
    if tells and not found(root):
        print("fetching the local model (89 MB, once) ...", end="", file=sys.stderr, flush=True)
    argv = [sys.executable, str(FETCH)]
    fetched = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if tells:
        print("\r\033[2K", end="", file=sys.stderr, flush=True)
    if fetched.returncode == 0 or found(root):
        return ""
    said = line(fetched.stderr.strip().rpartition("\n")[2], 300)
    return said.removeprefix("stretto: no local model: ") or "it cannot be fetched"


def found(root: Path) -> bool:
    try:
        weights_of("", root, os.environ)
    except StrettoError:
        return False
    return True


def agreed(yes: bool) -> bool:
    """Whether somebody says yes; where nobody can be asked, that is an error."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise StrettoError(
            "usage",
            "the demo can spend money here, and there is no terminal on which to ask",
            next="make demo ON=messages YES=1",
            code=EXIT_LIMIT,
        )
    return confirmed("Go on?")


class Aside:
    """A desk for the one question that shows whether a local model works: there is nothing to be paid."""

    async def reserve(
        self, nusd: int | None, input_tokens: int, output_tokens: int, *, least_nusd: int | None = None
    ) -> Grant:
        return Grant(1, 0)

    def settle(
        self,
        call: int,
        model: str,
        usage: Usage | None,
        cost_nusd: int,
        *,
        status: str = "ok",
        stop: str = "",
    ) -> None:
        pass

    def heard(self, call: int, told: Told) -> None:
        pass

    def beat(self) -> None:
        pass

    def note(self, record: dict[str, Any]) -> None:
        pass

    def bind(self, *, session: str = "", pid: int | None = None) -> None:
        pass


async def silent(roster: Roster, on: str, root: Path) -> str:
    """Why a local model does not answer, asked before the run says that it will; empty when it does."""
    work = Work(
        "demo", "probe", 1, "work", root, prompt="Say yes.", model=BUILTIN.resolve(MODEL).id, max_tokens=2
    )
    try:
        result = await asyncio.wait_for(roster.get(on).run(work, Aside()), PATIENCE_S)
    except StrettoError as failed:
        return line(failed.what, 300)
    except TimeoutError:
        return f"it did not answer within {PATIENCE_S:.0f} s"
    # An answer that is cut off after two tokens is an answer.
    return "" if result.outcome in ("ok", "cut_off") else line(result.error, 300)


# The run


async def play(plan: Plan, repo: str, choice: Choice, roster: Roster, root: Path) -> int:
    if choice.on.startswith("local"):
        why = await silent(roster, choice.on, root)
        if why and choice.on != "local":
            await roster.aclose()
            raise StrettoError("no-local-model", why, next="make demo, which finds a model by itself")
        if why:
            choice = rehearsal(f"the local model does not work: {why}")
    if free(choice.on):
        print(plain(choice.first), flush=True)
    defaults = {name: given.default for name, given in plan.inputs.items()}
    options = Options(
        on=choice.on,
        inputs={
            **defaults,
            "repo": repo,
            "by": choice.by,
            "rehearsed": choice.rehearsed,
            "out": REPORT,
        },
        # Nothing to spend is a cap too: whatever the environment holds, no call could be paid.
        cap_nusd=0 if free(choice.on) else CAP_NUSD,
        approve=True,
        folder=str(HERE),
        signals=True,
    )
    journal = SqliteJournal(root)
    screen = Screen(Namespace(jsonl=False, quiet=False), journal, sys.stdout)
    try:
        try:
            outcome = await run_plan(
                plan,
                options,
                journal,
                root,
                agents=roster,
                observers=[screen],
                started=lambda run, loop: screen.open(run, loop.state),
            )
        finally:
            screen.close()
            await roster.aclose()
        tell(journal, outcome, choice, screen)
    finally:
        journal.close()
    return outcome.code


def tell(journal: SqliteJournal, outcome: Outcome, choice: Choice, screen: Screen) -> None:
    """The whole story after a success; else how it ended, and how to go on."""
    command = program()
    history = read(journal, outcome.run)
    if outcome.status == "succeeded":
        by = "made up (rehearsed)" if choice.rehearsed else f"by {choice.by}"
        lines = told(journal, history, outcome, by, choice.on)
        lines += [f"report  {Path.cwd() / REPORT}", "any task's output, for instance:"]
        telling = "facts.todos" if outcome.value("facts.todos") else "facts.hotspots"
        lines += [f"{command} show {outcome.run} --task {telling} --output"]
    else:
        lines = summary(outcome.run, outcome.state, screen.notes, history.seconds)
        lines.append(how_to_go_on(outcome.run, outcome.state))
        lines = [text.replace("stretto ", f"{command} ") for text in lines]
    print(plain("\n".join(lines)), flush=True)


def program() -> str:
    """How `stretto` is called from here, to be copied: beside the Python that runs this."""
    beside = Path(sys.executable).with_name("stretto")
    if not beside.is_file():
        return f"{shlex.quote(sys.executable)} -m stretto"
    here = Path.cwd()
    shown = beside.relative_to(here) if beside.is_relative_to(here) else beside
    return shlex.quote(str(shown))


if __name__ == "__main__":
    sys.exit(main())
