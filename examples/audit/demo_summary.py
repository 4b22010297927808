"""What the demo's run made and took, told from its journal: results, time, tokens, cost, Claude's price."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from stretto.errors import StrettoError
from stretto.estimate import priced_as, worst_case
from stretto.journal import Journal
from stretto.live.words import clip, clock, columns, line, many, size, usd
from stretto.report import History, Story, critical_path, read, tasks_of
from stretto.run import Outcome
from stretto.scheduler.vertex import FAILED, STATES, SUCCEEDED, GroupVertex, TaskVertex, Vertex

TIERS = ("haiku", "sonnet", "opus")
COLUMNS = 80


def told(journal: Journal, history: History, outcome: Outcome, by: str, on: str) -> list[str]:
    """The summary, at most 80 columns wide."""
    lines = ["", "what each task made"]
    lines += columns([_row(history, outcome, part, by) for part in _parts(history.state.root.members)])
    lines = [clip(text, COLUMNS) for text in lines]
    usages, kept = measured(journal, history)
    lines += ["", *_labelled("time", _time(history, on))]
    lines += _labelled("tokens", _tokens(history, kept))
    lines += _labelled("cost", _cost(history, on))
    return [*lines, *_labelled("Claude", _on_claude(history, usages, bool(kept)))]


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=f"{label:<8}",
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


# What each task made


def _parts(vertices: Iterable[Vertex]) -> Iterator[Vertex]:
    """The static tasks; a fan-out counts as one."""
    for vertex in vertices:
        if isinstance(vertex, GroupVertex) and not vertex.grown:
            yield from _parts(vertex.members)
        else:
            yield vertex


def _row(history: History, outcome: Outcome, part: Vertex, by: str) -> list[str]:
    tasks = list(_tasks(part))
    seconds = sum(task.seconds for task in tasks)
    if isinstance(part, GroupVertex):
        made = _answers(history, tasks, by)
    elif part.state == SUCCEEDED:
        made = MADE.get(part.id, _any)(outcome.value(part.id))
    else:
        made = STATES[part.state]
    return [f"  {part.id}", line(made, 50), clock(seconds)]


def _tasks(part: Vertex) -> Iterator[TaskVertex]:
    if isinstance(part, TaskVertex):
        yield part
    else:
        for member in part.members:
            yield from _tasks(member)


def _answers(history: History, tasks: Sequence[TaskVertex], by: str) -> str:
    count = sum(task.state == SUCCEEDED for task in tasks)
    failed = sum(task.state == FAILED for task in tasks)
    kept = sum(bool(_story(history, task.id).source) for task in tasks)
    words = [many(count, "answer") + ("" if kept else f" {by}")]
    words += [f"{kept} of them kept from before"] if kept else []
    return ", ".join(words + ([f"{failed} failed (tolerated)"] if failed else []))


def _hottest(found: dict[str, Any]) -> str:
    top = max((row["complexity"] for row in found["top"]), default=0)
    return f"{many(found['functions'], 'Python function')}, complexity up to {top}"


def _any(value: Any) -> str:
    return type(value).__name__


MADE: dict[str, Callable[[Any], str]] = {
    "tree": lambda found: f"{many(len(found['files']), 'source file')}, {len(found['skipped'])} left out",
    "facts.todos": lambda notes: many(len(notes), "open note"),
    "facts.sizes": lambda sizes: (
        f"{many(sizes['total']['lines'], 'line')} in {many(len(sizes['languages']), 'language')}"
    ),
    "facts.endpoints": lambda found: many(len(found), "HTTP endpoint"),
    "facts.signatures": lambda found: f"{len(found['items']):,} classes, functions and methods",
    "facts.hotspots": _hottest,
    "facts.large": lambda names: f"{many(len(names), 'file')} above 1 MB",
    "modules": lambda found: f"{len(found['asked'])} to ask about, {len(found['rest'])} only listed",
    "page": lambda text: f"{many(text.count(chr(10)), 'line')} of Markdown",
    "report": lambda file: f"{file['path']}, {size(file['bytes'])}",
}


def _story(history: History, task: str) -> Story:
    return history.stories.get(task) or Story()


# Time, tokens, money


def _time(history: History, on: str) -> str:
    path = critical_path(history)
    chain = sum(seconds for _, seconds in path)
    steps = " > ".join(f"{id} {clock(seconds)}" for id, seconds in path)
    text = f"{clock(history.seconds)}; critical path: {steps}, {clock(chain)} together"
    if history.seconds - chain < 1:
        return text
    asked = sum(task.seconds for task in tasks_of(history.state) if task.task.action == "prompt")
    if on.startswith("local"):
        return f"{text}; what bound it is the one slot of the local model, busy for {clock(asked)}"
    return f"{text}; the rest it waited for free slots and retries"


def _tokens(history: History, kept: int) -> str:
    calls = sum(story.calls for story in history.stories.values())
    total = history.tokens
    said = f"{many(kept, 'answer')} kept from an earlier run, not asked for again" if kept else ""
    if not calls:
        return said or "none: no model was asked"
    output = total.get("output", 0)
    longest = max((_prompt(usage) for usage in history.usages), default=0)
    text = f"{sum(total.values()) - output:,} in and {output:,} out in {many(calls, 'call')}, measured by "
    text += f"the model's own tokenizer; the longest prompt has {longest:,}"
    return f"{text}; {said}" if said else text


def _prompt(usage: dict[str, int]) -> int:
    """All tokens of a prompt, also those that a cache still had."""
    return sum(usage.values()) - usage.get("output", 0)


def _cost(history: History, on: str) -> str:
    ledger = history.state.ledger
    kind = on.partition(":")[0]
    if kind != "messages":
        return f"$0: {kind} agents send no bill"
    held = f", {usd(ledger.held_nusd)} held" if ledger.held_nusd else ""
    return f"{usd(ledger.spent_nusd)} spent{held}, of a cap of {usd(ledger.cap_nusd)}"


def measured(journal: Journal, history: History) -> tuple[list[dict[str, int]], int]:
    """The measured tokens of every answer, and how many answers are kept: theirs are in an earlier run."""
    found: list[dict[str, int]] = []
    runs: dict[str, History] = {}
    kept = 0
    for story in history.stories.values():
        found += story.usages
        if not story.source:
            continue
        kept += 1
        run, _, attempt = story.source.partition("/")
        try:
            earlier = runs.get(run) or runs.setdefault(run, read(journal, run))
        except StrettoError:
            continue  # cleaned away since
        found += _story(earlier, attempt.rpartition("#")[0]).usages
    return found, kept


def _on_claude(history: History, usages: list[dict[str, int]], kept: bool) -> str:
    if not usages:
        worst = worst_case(history.plan, "messages").nusd
        return f"no tokens were measured, so no price; by the plan at most {usd(worst)}, with haiku"
    # Prompts as short as these are below what Claude's cache keeps, so each token is paid in full.
    whole = [{"input": _prompt(usage), "output": usage.get("output", 0)} for usage in usages]
    prices = ", ".join(f"{tier} {usd(priced_as(whole, tier))}" for tier in TIERS)
    which = "the tokens that the answers took then" if kept else "these tokens"
    return f"{prices}: computed, {which} at list prices; its tokenizer counts differently"
