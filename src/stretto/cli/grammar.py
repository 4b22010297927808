"""Every verb of the command line and its flags; parsed here, carried out in a module of its own."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser, ArgumentTypeError, HelpFormatter, _ActionsContainer
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, NoReturn

from stretto.errors import StrettoError

NO_CAP = -1
"""`--usd none`, as `run.Options` understands it."""
NUSD = 1_000_000_000
LOCK_SUFFIX = ".lock.json"
"""How a lock file is known (`spec.lock` says the same)."""


class Verb(NamedTuple):
    """One word of the command line: the module that carries it out, and what people read about it."""

    module: str
    summary: str
    about: str
    example: str
    flags: Callable[[ArgumentParser], None]


class Flags(ArgumentParser):
    """An ArgumentParser whose mistakes are errors like all others, with a next action."""

    def error(self, message: str) -> NoReturn:
        next = f"`{self.prog} --help` shows what it takes"
        unknown = re.match(r"unrecognized arguments: (-\S+)", message)
        if unknown:
            known = [flag for flag in self._option_string_actions if flag.startswith("--")]
            near = difflib.get_close_matches(unknown[1].split("=")[0], known, n=1)
            next = f"did you mean `{near[0]}`? {next}" if near else next
        raise StrettoError("usage", message, at=self.prog, next=next)


class _Help(HelpFormatter):
    """Help in at most 98 columns, with room for the longer flags; the example stays on its own line."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26)
        self._width = min(self._width, 98)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("example:") else super()._fill_text(text, width, indent)


def parser(verb: str) -> ArgumentParser:
    """The parser of one verb."""
    entry = VERBS[verb]
    flags = Flags(
        prog=f"stretto {verb}",
        description=entry.about,
        epilog=f"example:\n  {entry.example}",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    entry.flags(flags)
    return flags


def overview() -> str:
    """What `stretto --help` prints."""
    rows = "\n".join(f"  {name:<13}{verb.summary}" for name, verb in VERBS.items())
    return (
        "usage: stretto VERB [...]\n\n"
        "Stretto orchestrates many LLM agents: plans with parallel parts, a budget that holds, and runs\n"
        "that survive crashes without paying twice.\n\n"
        f"verbs:\n{rows}\n\n"
        "  stretto VERB --help shows what a verb takes; stretto --version prints the version.\n\n"
        "start here:\n"
        "  stretto init && stretto run stretto.yaml\n\n"
        "exit codes:\n"
        "  0 done   1 a problem was found   2 it could not be done   3 a limit stopped it   130 interrupted\n"
        "  After 3 and 130 the run can be resumed: the last line says how."
    )


# Values of flags


def money(text: str) -> int:
    """Nano-dollars of `5`, `0.25` or `$5`; `none` insists on no cap."""
    if text == "none":
        return NO_CAP
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount > 10**9:
        raise ArgumentTypeError(f"{text!r} is no sum of dollars: write 5, 0.25 or none")
    return int(amount * NUSD)


def count(text: str) -> int:
    """A number from 1 up."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 100,000")
    return int(text)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str) -> int:
    """Seconds of `30d`, `12h`, `90m`."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time: write a number and s, m, h, d or w, as in 30d")
    return int(found[1]) * _UNITS[found[2]]


def share(text: str) -> float:
    """0 to 1 of `5%` or `0.05`."""
    try:
        amount = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= 1:
        raise ArgumentTypeError(f"{text!r} is no share: write 5% or 0.05")
    return amount


def pair(text: str) -> tuple[str, str]:
    """`name=value` of an input."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r}: write --in name=value")
    return name, value


# Flags that several verbs share


def _root(flags: ArgumentParser) -> None:
    text = "the project: where .stretto is kept, and what agents see (default: this folder)"
    flags.add_argument("--root", metavar="DIR", type=Path, default=Path(), help=text)


def _json(flags: _ActionsContainer, what: str = "print one JSON object instead of text") -> None:
    flags.add_argument("--json", action="store_true", help=what)


def _which_run(flags: ArgumentParser) -> None:
    text = "a run's name, the beginning of one, or `last`"
    flags.add_argument("run", metavar="RUN", help=text)


def _plan(flags: ArgumentParser) -> None:
    flags.add_argument(
        "plan", metavar="PLAN", type=Path, help="a .yaml, .py or .md file with a plan, or a lock file"
    )
    flags.add_argument(
        "--plan", dest="plan_name", metavar="NAME", default="", help="which plan of a file that has several"
    )


def _progress(flags: ArgumentParser) -> None:
    one = flags.add_mutually_exclusive_group()
    _json(one, "print one JSON object when it has ended")
    one.add_argument("--jsonl", action="store_true", help="print every event as a JSON object, one a line")
    flags.add_argument("--quiet", action="store_true", help="no progress, only the summary")


def _spending(flags: ArgumentParser) -> None:
    text = "the most that the run may spend in dollars; `none` insists on no cap"
    flags.add_argument("--usd", metavar="N", type=money, default=None, help=text)
    text = "approve in advance what planners add to the plan"
    flags.add_argument("--yes", action="store_true", help=text)


# The verbs


def _init(flags: ArgumentParser) -> None:
    flags.add_argument(
        "dir", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: this folder"
    )
    flags.add_argument("--force", action="store_true", help="overwrite what is there")


def _draft(flags: ArgumentParser) -> None:
    text = "what is wanted, in a sentence or a few; `-` reads it from standard input"
    flags.add_argument("goal", metavar="GOAL", nargs="+", help=text)
    text = "write the plan to this file instead of printing it; what is there stays"
    flags.add_argument("-o", "--out", metavar="FILE", type=Path, default=None, help=text)
    flags.add_argument("--force", action="store_true", help="with --out: overwrite the file")
    text = "let a strong model write the plan: messages, openai:URL, local, simulated (default: rules alone)"
    flags.add_argument("--on", metavar="AGENT", default="", help=text)
    text = "with --on: the most that asking may cost in dollars (default: 1.00)"
    flags.add_argument("--usd", metavar="N", type=money, default=None, help=text)
    _json(flags)
    _root(flags)


def _check(flags: ArgumentParser) -> None:
    _plan(flags)
    text = "who would answer prompts: messages, openai:URL, local, simulated (default: messages)"
    flags.add_argument("--on", metavar="AGENT", default="", help=text)
    _inputs(flags)
    flags.add_argument("--strict", action="store_true", help="hints count too: exit code 1")
    flags.add_argument("--all", action="store_true", help="every warning and hint, however many of one kind")
    text = "mend in the file what can be mended safely, show the difference, and check again"
    flags.add_argument("--fix", action="store_true", help=text)
    text = "with --fix: show the difference and write nothing"
    flags.add_argument("--dry-run", action="store_true", help=text)
    one = flags.add_mutually_exclusive_group()
    _json(one)
    one.add_argument("--sarif", action="store_true", help="print a SARIF 2.1.0 log instead of text")
    text = "the project: its `stretto.toml`, and the runs that findings are priced by (default: this folder)"
    flags.add_argument("--root", metavar="DIR", type=Path, default=Path(), help=text)


def _inputs(flags: ArgumentParser) -> None:
    text = "a value for one of the plan's inputs; may be repeated"
    flags.add_argument(
        "--in", dest="inputs", metavar="NAME=VALUE", type=pair, action="append", default=[], help=text
    )


def _setting(flags: ArgumentParser) -> None:
    """With what a plan is run, or priced."""
    _inputs(flags)
    text = "how many attempts may run side by side (default: as the plan says)"
    flags.add_argument("--parallel", metavar="N", type=count, default=None, help=text)


def _estimate(flags: ArgumentParser) -> None:
    _plan(flags)
    text = "who would answer prompts: messages, openai:URL, local, simulated (default: messages)"
    flags.add_argument("--on", metavar="AGENT", default="", help=text)
    text = "the cap in dollars to hold the estimate against, and that of --sample; `none`: no cap"
    flags.add_argument("--usd", metavar="N", type=money, default=None, help=text)
    _setting(flags)
    text = "what chance is made from (default: 0)"
    flags.add_argument("--seed", metavar="N", type=int, default=0, help=text)
    text = "really run the first N items of each wide fan-out, under the cap; their results are kept"
    flags.add_argument("--sample", metavar="N", type=count, default=None, help=text)
    text = f"write a lock file (default: beside the plan) that `stretto run` takes; ends in {LOCK_SUFFIX}"
    flags.add_argument("--lock", metavar="FILE", nargs="?", const="", default=None, help=text)
    _json(flags)
    _root(flags)


def _run(flags: ArgumentParser) -> None:
    _plan(flags)
    text = (
        "who answers prompts: messages, openai:URL, local, simulated (default: messages, if there is a key)"
    )
    flags.add_argument("--on", metavar="AGENT", default="", help=text)
    _spending(flags)
    _setting(flags)
    text = "what chance is made from: jitter, simulated agents (default: 0)"
    flags.add_argument("--seed", metavar="N", type=int, default=0, help=text)
    text = "ask before the run is expected to cost more than this (default: the high end of its estimate)"
    flags.add_argument("--ask-above", metavar="N", type=money, default=None, help=text)
    text = "share of accepted results that the strongest model judges once more, such as 5%% (default: none)"
    flags.add_argument("--shadow", metavar="SHARE", type=share, default=0.0, help=text)
    part = flags.add_mutually_exclusive_group()
    text = "run only this task or group; what it needs is taken from the newest earlier run"
    part.add_argument("--only", metavar="TASK", default="", help=text)
    part.add_argument("--until", metavar="TASK", default="", help="run this task or group and what it needs")
    text = "do this task again although its result is kept; may be repeated"
    flags.add_argument("--redo", metavar="TASK", action="append", default=[], help=text)
    flags.add_argument("--fresh", action="store_true", help="use no kept results of earlier runs")
    text = "spend money although an item of the checklist has no tick (see `stretto check`)"
    flags.add_argument("--unchecked", action="store_true", help=text)
    text = "print every final prompt and command, the worst case and the cap; start nothing"
    flags.add_argument("--dry-run", action="store_true", help=text)
    _waiting(flags)
    _progress(flags)
    _root(flags)


def _resume(flags: ArgumentParser) -> None:
    _which_run(flags)
    _spending(flags)
    text = "do this task and all below it again, or `failed`: all that failed; may be repeated"
    flags.add_argument("--redo", metavar="TASK", action="append", default=[], help=text)
    text = "free the money of calls whose usage never arrived: you know that they were not charged"
    flags.add_argument("--release-held", action="store_true", help=text)
    text = "say what is kept, what is done again and what that costs; start nothing"
    flags.add_argument("--dry-run", action="store_true", help=text)
    _waiting(flags)
    _progress(flags)
    _root(flags)


def _waiting(flags: ArgumentParser) -> None:
    text = "where the provider's window is used up and it says until when, wait and go on by itself"
    flags.add_argument("--wait-for-reset", action="store_true", help=text)


def _watch(flags: ArgumentParser) -> None:
    _which_run(flags)
    text = "print every event from the beginning as a JSON object, one a line"
    flags.add_argument("--jsonl", action="store_true", help=text)
    _root(flags)


def _show(flags: ArgumentParser) -> None:
    _which_run(flags)
    flags.add_argument("--task", metavar="ID", default="", help="one task or group instead of the whole run")
    one = flags.add_mutually_exclusive_group()
    one.add_argument("--output", action="store_true", help="with --task: what it returned, as it is")
    one.add_argument("--prompt", action="store_true", help="with --task: the prompt as it was sent")
    one.add_argument("--transcript", action="store_true", help="with --task: what its attempts wrote down")
    _json(one)
    flags.add_argument("--all", action="store_true", help="a line for every task, however many there are")
    _root(flags)


def _project(flags: ArgumentParser) -> None:
    _json(flags)
    _root(flags)


def _pick(flags: ArgumentParser) -> None:
    text = "the task in words or as a JSON object; `-` reads it from standard input"
    flags.add_argument("text", metavar="TASK", help=text)
    one = flags.add_mutually_exclusive_group()
    _json(one)
    text = "with `-`: a task a line, in words or as JSON, each answered by one JSON object a line, in order"
    one.add_argument("--jsonl", action="store_true", help=text)
    text = "a command or function checks the answer, so a weaker model may try first"
    flags.add_argument("--check", dest="has_check", action="store_true", help=text)
    text = "who would answer: messages, openai:URL, local, simulated (default: messages)"
    flags.add_argument("--on", metavar="AGENT", default="", help=text)
    _root(flags)


def _explain(flags: ArgumentParser) -> None:
    text = "the word in brackets behind a finding or an error; without it, all that a critic finds"
    flags.add_argument("slug", metavar="SLUG", nargs="?", default="", help=text)
    _json(flags)


def _one_run(flags: ArgumentParser) -> None:
    _which_run(flags)
    _root(flags)


def _doctor(flags: ArgumentParser) -> None:
    text = "take away the worktrees and merged branches that ended runs have left behind"
    flags.add_argument("--clean", action="store_true", help=text)
    _project(flags)


def _gc(flags: ArgumentParser) -> None:
    text = "remove runs that ended longer ago than this (default: 30d)"
    flags.add_argument("--older", metavar="TIME", type=duration, default=30 * 86_400, help=text)
    flags.add_argument("--dry-run", action="store_true", help="say what would be removed")
    _json(flags)
    _root(flags)


VERBS: dict[str, Verb] = {
    "init": Verb(
        "init",
        "write an example plan that runs without a key",
        "Writes stretto.yaml, an example that runs at once and explains the format, and "
        "stretto.schema.json, with which editors complete and check plans.",
        "stretto init && stretto run stretto.yaml",
        _init,
    ),
    "draft": Verb(
        "draft",
        "turn a goal in words into a pattern and a plan",
        "Reads a goal, says which pattern fits it and why, and writes a plan that passes `check` and has an "
        "estimate. Looks at the project's files by name, asks nobody and spends nothing, unless --on names "
        "an agent: then the strongest model writes the plan, as a run with a cap.",
        'stretto draft "Review every service for security and give me one report" -o plan.yaml',
        _draft,
    ),
    "check": Verb(
        "check",
        "say what is wrong with a plan, all at once",
        "Reads a plan as a critic: what will fail, waste or surprise, where, what to do about it, and "
        "what it costs to leave it so; then the checklist before a run. Starts nothing and spends nothing. "
        "A .py file that imports stretto is executed, because that is how it makes its plan.",
        "stretto check stretto.yaml --strict",
        _check,
    ),
    "explain": Verb(
        "explain",
        "say what a finding or an error means",
        "Says what a finding or an error means, how one gets it, how to mend it, and how to accept it.",
        "stretto explain missing-dependency",
        _explain,
    ),
    "estimate": Verb(
        "estimate",
        "say what a plan will cost and how long it will take",
        "Says what a plan will cost and how long it will take, as a range, with the worst case, what binds, "
        "and what other ways to do the same would take. Starts nothing and spends nothing, unless "
        "--sample is given. Exits with 0 also above the cap, and says so.",
        "stretto estimate stretto.yaml --usd 2 --lock",
        _estimate,
    ),
    "models": Verb(
        "models",
        "list the models there are",
        "Lists the models with what they can do and cost, those of the project's `stretto.toml` among them. "
        "What is not known is said to be unknown.",
        "stretto models",
        _project,
    ),
    "models pick": Verb(
        "pick",
        "say which model a task would get, and why",
        "Says which model and effort a task would get, what comes second and why it lost, what an attempt "
        "would cost, and how well that is known: from what this project's runs have shown, else from the "
        "words. A model that the task names is honoured. Asks no model and spends nothing.",
        'stretto models pick "Find the root cause of the flaky test"',
        _pick,
    ),
    "roles": Verb(
        "roles",
        "list the roles that tasks can name",
        "Lists the roles that a task can name (`role: Explore`): the built-in ones, and those of "
        "`.claude/agents` in the project and in your home. Says what is wrong with their files.",
        "stretto roles",
        _project,
    ),
    "run": Verb(
        "run",
        "carry out a plan",
        "Carries out a plan as a new run. Results of earlier runs are used again where nothing that "
        "made them has changed. Ctrl-C lets what is running end; a second Ctrl-C stops it. Either way "
        "the run can be resumed.",
        "stretto run stretto.yaml --on simulated --in folder=src --parallel 4",
        _run,
    ),
    "resume": Verb(
        "run",
        "go on with a run that was interrupted, paused or killed",
        "Goes on with a run from its journal; the plan's file is not read again. What succeeded is "
        "kept. Says first what is kept, what is done again, and what that will cost by what has been "
        "paid so far.",
        "stretto resume last --usd 10",
        _resume,
    ),
    "watch": Verb(
        "watch",
        "follow a run from another terminal",
        "Shows the progress of a run that goes on in another process, until it ends. Reads only; "
        "Ctrl-C stops watching, not the run.",
        "stretto watch last",
        _watch,
    ),
    "show": Verb(
        "show",
        "tell what a run did, or one of its tasks",
        "Tells what a run did, from its journal, whether it is live, ended or dead. With --task one "
        "task or group: its attempts, its output, its prompt.",
        "stretto show last --task files.3.scan --output",
        _show,
    ),
    "ls": Verb(
        "show", "list the runs of this project", "Lists runs, the newest first.", "stretto ls", _project
    ),
    "approve": Verb(
        "steer",
        "let a run go on that waits for approval",
        "Approves what a planner wants to add to a run. A live run goes on by itself; one whose "
        "process has ended is resumed with `stretto resume RUN`.",
        "stretto approve last",
        _one_run,
    ),
    "cancel": Verb(
        "steer",
        "end a run for good",
        "Ends a run: what is running is stopped, what was made is kept, nothing can be resumed.",
        "stretto cancel audit-1121",
        _one_run,
    ),
    "gc": Verb(
        "care",
        "remove old runs and what only they used",
        "Removes runs that ended some time ago, with their outputs and transcripts, and the kept "
        "results that came from them. Live, paused and interrupted runs stay.",
        "stretto gc --older 7d --dry-run",
        _gc,
    ),
    "doctor": Verb(
        "care",
        "say what is installed, what is missing, and whether the journal is whole",
        "Looks at the installation and at this project: versions, optional parts, permissions, free "
        "space, the journal. Exits with 1 when something has to be mended.",
        "stretto doctor --json",
        _doctor,
    ),
    "schema": Verb(
        "check",
        "print the JSON Schema of plans, for editors",
        "Prints the JSON Schema of plans in YAML.",
        "stretto schema > stretto.schema.json",
        lambda flags: None,
    ),
}
