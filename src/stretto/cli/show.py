"""The verbs `show` and `ls`: what runs did, from the journal alone."""

from __future__ import annotations

import difflib
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from stretto.cli.follow import merged_lines
from stretto.cli.money import attempt_total, choice_lines, money_lines
from stretto.cli.project import catalogue_to_look_with, journal_of, root_of, run_named
from stretto.errors import EXIT_OK, StrettoError
from stretto.journal import RunInfo
from stretto.journal.sqlite import SqliteJournal
from stretto.live.lines import who
from stretto.live.words import cap, clip, clock, columns, line, many, plain, size, usd
from stretto.models import Catalogue
from stretto.report import (
    INTERRUPTED,
    History,
    Records,
    Story,
    Try,
    data_of,
    dollars,
    error_of,
    materialise,
    merged_of,
    read,
    status_of,
    tasks_of,
)
from stretto.run.values import Values
from stretto.scheduler.schedule import MODELLESS
from stretto.scheduler.vertex import FAILED, SETTLED, STATES, SUCCEEDED, GroupVertex, TaskVertex, Vertex
from stretto.workspace.handover import cuts_in
from stretto.workspace.root import task_folder

LISTED = 60
"""Up to so many tasks each has a line of its own; above, the parts of the plan and what failed."""
FAILURES = 20
ERROR_COLUMNS = 100
FOLDED_BY_LS = 20
"""How many unfinished runs `ls` folds to say what they have spent so far."""
ENDED = ("succeeded", "failed", "cancelled")


def show(args: Namespace) -> int:
    """Prints a run, or one task of it."""
    if not args.task and (args.output or args.prompt or args.transcript):
        raise StrettoError(
            "usage", "--output, --prompt and --transcript go with a task", next="add --task ID"
        )
    with journal_of(args) as journal:
        info = run_named(journal, args.run)
        history = read(journal, info.run)
        if info.live and history.state.status not in ENDED:
            # Its last event may be long ago, and still it goes on.
            history.last_us = max(history.last_us, time.time_ns() // 1000)
        folder = journal.run_folder(info.run)
        catalogue = catalogue_to_look_with(root_of(args))
        if args.task:
            _show_task(args, journal, folder, history, catalogue)
        elif args.json:
            paths = materialise(journal, folder, history)
            print(json.dumps(data_of(history, info.live, paths, journal, catalogue)))
        else:
            money = money_lines(journal, history, catalogue)
            merged = merged_of(journal, history.state)
            lines = [*_run_lines(history, info, money, whole=args.all), *merged_lines(merged)]
            lines += [merged.command] if merged is not None and merged.command else []
            print(plain("\n".join(lines)))
    return EXIT_OK


def ls(args: Namespace) -> int:
    """Prints one line for each run, the newest first."""
    with journal_of(args) as journal:
        runs = journal.runs()
        money = _money(journal, runs)
    if args.json:
        rows = [_info_data(info, *money[info.run]) for info in runs]
        print(json.dumps({"schema": "stretto/runs/1", "runs": rows}))
    elif not runs:
        print("no runs here yet: `stretto run PLAN` makes one", file=sys.stderr)
    else:
        table = [["RUN", "STATUS", "STARTED", "SPENT", "HELD"]]
        for info in runs:
            spent, held = money[info.run]
            money_words = ["?" if nusd is None else usd(nusd) for nusd in (spent, held)]
            table.append([line(info.run), _status(info), _when(info.started_us), *money_words])
        print(plain("\n".join(columns(table, right=frozenset({3, 4})))))
    return EXIT_OK


def _money(journal: SqliteJournal, runs: list[RunInfo]) -> dict[str, tuple[int | None, int | None]]:
    """Spent and held of each run: from its last line, or for unfinished ones from its events."""
    found: dict[str, tuple[int | None, int | None]] = {}
    folded = 0
    for info in runs:
        if info.status in ENDED:
            found[info.run] = (info.spent_nusd, info.held_nusd)
        elif folded < FOLDED_BY_LS:
            folded += 1
            found[info.run] = _folded(journal, info.run)
        else:
            found[info.run] = (None, None)
    return found


def _folded(journal: SqliteJournal, run: str) -> tuple[int | None, int | None]:
    """What a run has spent so far; a run that cannot be read does not keep the others from being listed."""
    try:
        ledger = read(journal, run).state.ledger
    except StrettoError:
        return None, None
    # What is reserved in a dead process will be held as soon as somebody resumes.
    return ledger.spent_nusd, ledger.held_nusd + ledger.reserved_nusd


def _status(info: RunInfo) -> str:
    return INTERRUPTED if info.status == "running" and not info.live else info.status


def _info_data(info: RunInfo, spent: int | None, held: int | None) -> dict[str, Any]:
    return {
        "run": info.run,
        "plan": info.plan_name,
        "status": _status(info),
        "live": info.live,
        "started": _iso(info.started_us),
        "usd": dollars(spent),
        "usd_held": dollars(held),
    }


def _iso(at_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_us / 1e6))


def _when(at_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_us / 1e6))


# A whole run


def _run_lines(history: History, info: RunInfo, paid: list[str], *, whole: bool) -> list[str]:
    state, ledger = history.state, history.state.ledger
    status = status_of(history, info.live)
    why = f" ({state.paused.why})" if state.paused is not None else ""
    took = clock(history.seconds)
    money = [f"{usd(ledger.spent_nusd)} spent"]
    if history.unpriced:
        money = [f"{usd(ledger.spent_nusd)} spent and calls whose price is unknown"]
    if ledger.held_nusd:
        money.append(f"{usd(ledger.held_nusd)} held")
    if state.saved_nusd:
        money.append(f"{usd(state.saved_nusd)} saved by kept results")
    lines = [
        f"run {history.run}: {status}{why}",
        f"  plan {line(history.plan.name)}, started {_when(history.started_us)}, took {took}",
        f"  {', '.join(money)}, {cap(ledger.cap_nusd)}{_tokens(history)}",
        *paid,
        *_planned_lines(history),
        "",
    ]
    tasks = tasks_of(history.state)
    if whole or len(tasks) <= LISTED:
        return [*lines, *_task_table(history, tasks)]
    lines += columns([_part_row(history, part) for part in state.rows], right=frozenset({2}))
    failed = [vertex for vertex in tasks if vertex.state == FAILED]
    if failed:
        shown = failed[:FAILURES]
        lines += ["", f"failed ({len(shown)} of {len(failed)} shown):", *_task_table(history, shown)]
    return [*lines, "", f"every task: stretto show {history.run} --all"]


def _planned_lines(history: History) -> list[str]:
    """What planners wrote: how much of it, by which attempt, what it was expected to cost."""
    lines = []
    for planned in history.planned:
        about = f", expected {usd(planned.expected_nusd)}" if planned.expected_nusd else ""
        lines.append(f"  planned {planned.group}: {many(planned.tasks, 'task')} by {planned.by}{about}")
        lines += [f"          {line(text, 2 * ERROR_COLUMNS)}" for text in planned.noted]
    return lines


def _tokens(history: History) -> str:
    tokens = history.tokens
    output = tokens.get("output", 0)
    total = sum(tokens.values())
    return f", {total - output:,} tokens in and {output:,} out" if total else ""


def _part_row(history: History, part: str) -> list[str]:
    row = history.state.rows[part]
    state = STATES[history.state.vertices[part].state]
    failed = row.counts[FAILED]
    counts = f"{row.counts[SUCCEEDED]:,} of {many(row.total, 'task')}"
    return [f"  {line(part)}", state, counts, f"{failed} failed" if failed else "", usd(row.spent_nusd)]


def _task_table(history: History, tasks: list[TaskVertex]) -> list[str]:
    rows = []
    for vertex in tasks:
        story = history.stories.get(vertex.id) or Story()
        work = story.work
        doer = "" if work is None else _doer(work.agent, work.model)
        tries = f"{story.attempts} tries" if story.attempts > 1 else ""
        if story.source:
            doer, tries = "kept", f"from {story.source}"
        seconds = clock(vertex.seconds) if story.tries else ""
        money = "?" if story.unpriced else _spent(history, vertex)
        error = line(error_of(history, vertex), ERROR_COLUMNS)
        rows.append([f"  {vertex.id}", STATES[vertex.state], doer, seconds, money, tries, error])
    kept = [k for k in range(len(rows[0])) if any(row[k] for row in rows)] if rows else []
    slim = [[row[k] for k in kept] for row in rows]
    right = frozenset(place for place, k in enumerate(kept) if k in (3, 4))
    return columns(slim, right=right)


def _doer(agent: str, model: str) -> str:
    """The model by its whole name where one was asked; else who was asked instead."""
    kind = agent.partition(":")[0]
    return who(agent, model) if kind == "simulated" or kind in MODELLESS else model or agent


def _spent(history: History, vertex: TaskVertex) -> str:
    spent, held = history.state.task_nusd.get(vertex.id, (0, 0))
    if held:
        return f"{usd(spent)} +{usd(held)} held"
    return usd(spent) if spent else ""


# One task or group


def _show_task(
    args: Namespace, journal: SqliteJournal, folder: Path, history: History, catalogue: Catalogue
) -> None:
    vertex = history.state.vertices.get(args.task)
    if vertex is None:
        raise _no_task(history, args.task)
    if args.output:
        _print_output(journal, history, vertex)
    elif args.prompt:
        story = history.stories.get(vertex.id)
        if story is None or not story.prompt:
            next = f"`stretto show {history.run} --task {vertex.id}` tells what it did"
            raise StrettoError("no-prompt", f"{vertex.id} was sent no prompt", next=next)
        _print_bytes(journal.blob(story.prompt))
    elif args.transcript:
        path = task_folder(folder, vertex.id) / "transcript.jsonl"
        try:
            _print_bytes(path.read_bytes())
        except OSError as failed:
            what = f"there is no transcript of {vertex.id}: its agent wrote nothing down"
            next = f"`stretto show {history.run} --task {vertex.id}` tells what it did"
            raise StrettoError("no-transcript", what, at=str(path), next=next) from failed
    elif args.json:
        tasks = [t for t in tasks_of(history.state) if t.id == vertex.id or t.id.startswith(vertex.id + ".")]
        paths = materialise(journal, folder, history, [t.id for t in tasks])
        data = data_of(history, journal_live(journal, history.run), paths, journal, catalogue)
        wanted = {t.id for t in tasks}
        data["tasks"] = [entry for entry in data["tasks"] if entry["id"] in wanted]
        data["attempts"] = [entry for entry in data["attempts"] if entry["task"] in wanted]
        print(json.dumps(data))
    elif isinstance(vertex, GroupVertex):
        tasks = [t for t in tasks_of(history.state) if t.id.startswith(vertex.id + ".")]
        head = f"group {vertex.id} of run {history.run}: {STATES[vertex.state]}"
        why = [f"  {line(vertex.why)}"] if vertex.why else []
        print(plain("\n".join([head, *why, *_task_table(history, tasks)])))
    else:
        print(plain("\n".join(_task_lines(journal, history, vertex))))


def journal_live(journal: SqliteJournal, run: str) -> bool:
    return any(info.run == run and info.live for info in journal.runs())


def _no_task(history: History, task: str) -> StrettoError:
    near = difflib.get_close_matches(task, history.state.vertices, n=1)
    fix = f"did you mean {near[0]!r}? " if near else ""
    return StrettoError(
        "no-such-task",
        f"run {history.run} has no task {line(task)!r}",
        next=f"{fix}`stretto show {history.run} --all` lists them",
    )


def _print_output(journal: SqliteJournal, history: History, vertex: Vertex) -> None:
    if isinstance(vertex, TaskVertex):
        if not vertex.output:
            why = error_of(history, vertex) or STATES[vertex.state]
            raise StrettoError("no-output", f"{vertex.id} has no output: {line(why, 200)}")
        _print_bytes(journal.blob(vertex.output))
        return
    if vertex.state != SUCCEEDED:
        why = vertex.why or STATES[vertex.state]
        raise StrettoError("no-output", f"{vertex.id} has no output: {line(why, 200)}")
    started = history.state.started
    values = Values(history.state, journal.blob, started.inputs if started is not None else {})
    value = values.of(vertex)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    _print_bytes(text.encode("utf-8", "surrogatepass"))


def _print_bytes(data: bytes) -> None:
    """As it is into a file or a pipe; on a terminal without what the terminal would obey."""
    if sys.stdout.isatty():
        text = plain(data.decode("utf-8", "replace"))
        print(text, end="" if text.endswith("\n") else "\n")
        return
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode("utf-8", "replace"))
    else:
        buffer.write(data)
        buffer.flush()


def _task_lines(journal: SqliteJournal, history: History, vertex: TaskVertex) -> list[str]:
    story = history.stories.get(vertex.id) or Story()
    lines = [f"task {vertex.id} of run {history.run}: {STATES[vertex.state]}"]
    if story.source:
        saved = f", saved {usd(story.saved_nusd)}" if story.saved_nusd else ""
        lines.append(f"  kept result of {story.source}{saved}")
    spent, held = history.state.task_nusd.get(vertex.id, (0, 0))
    if story.calls:
        price = "a price that is unknown" if story.unpriced else usd(spent)
        held_words = f", {usd(held)} held" if held else ""
        lines.append(f"  {many(story.calls, 'call')}: {price}{held_words}")
    records = Records(journal)
    for t in story.tries:
        lines.append(_try_line(history, vertex, t))
        why = f"rung {t.rung + 1}: {line(t.why, 200)}" if t.rung and t.role == "work" else ""
        told = choice_lines(records.of(t.choice))
        lines += [f"      {text}" for text in ([why] if why else []) + told]
    lines += _cut_lines(journal, story)
    error = error_of(history, vertex)
    if error and vertex.state >= SETTLED and not (story.tries and story.tries[-1].error == error):
        lines.append(f"  why: {line(error, 400)}")
    if vertex.output:
        lines += ["", *_preview(journal, vertex)]
    return lines


def _cut_lines(journal: SqliteJournal, story: Story) -> list[str]:
    """What of the newest prompt's hand-over was cut."""
    if not story.prompt:
        return []
    try:
        prompt = journal.blob(story.prompt).decode("utf-8", "replace")
    except StrettoError:
        return []  # cleaned away; the rest is still worth showing
    return [
        f"  handed over cut: {line(name, 60)}, {given:,} of {tokens:,} tokens"
        for name, tokens, given in cuts_in(prompt)
    ]


def _try_line(history: History, vertex: TaskVertex, t: Try) -> str:
    took = clock((t.ended_us - t.started_us) / 1e6) if t.ended_us else "running"
    role = "" if t.role == "work" else f" {t.role}"
    kind = t.agent.partition(":")[0]
    model = "" if kind in MODELLESS else t.model
    doer = f"{t.agent} ({model})" if model and kind == "simulated" else f"{t.agent} {model}".strip()
    error = f": {line(t.error, 200)}" if t.error else ""
    paid = attempt_total(history, vertex.id, t.n)
    money = [] if not paid.calls else ["?" if paid.unpriced else usd(paid.spent_nusd)]
    money += [f"{usd(paid.held_nusd)} held"] if paid.held_nusd else []
    words = [f"  {vertex.id}#{t.n}{role}", doer, took, *money, f"{t.outcome or 'running'}{error}"]
    return "  ".join(words)


PREVIEW_LINES = 12


def _preview(journal: SqliteJournal, vertex: TaskVertex) -> list[str]:
    text = plain(journal.blob(vertex.output)[:20_000].decode("utf-8", "replace"))
    shown = text.splitlines()
    head = [f"  | {clip(row, 100)}" for row in shown[:PREVIEW_LINES]]
    whole = len(shown) <= PREVIEW_LINES and vertex.size <= 20_000
    return [f"output, {size(vertex.size)}{'' if whole else ', its beginning'}:", *head]
