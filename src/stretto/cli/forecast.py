"""An estimate as people read it: one screen, what is declared apart from what is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stretto.estimate import Estimate, GroupEstimate, Range, Worst
from stretto.estimate.against import DECLARED, against
from stretto.live.words import cap, clip, clock, columns, line, many, usd
from stretto.plan.graph import Element, Graph, subtree
from stretto.plan.model import Task

CENT = 10_000_000
"""In nano-dollars."""
COLUMNS = 100
ROWS = 24
"""Parts of a plan that have a row of their own; of more, the dearest have one and the rest share one."""
ID_COLUMNS = 26
MODEL_COLUMNS = 20
PATH_ENDS = 4
"""Of a longer critical path the beginning and the end are named."""
UNKNOWN = "?"
FREE = "free"
KEPT = "="
ABOUT = "~"
"""Before tokens that are computed in a row whose money is declared."""
NAMES = {"one-agent": "one agent", "all-strongest": "all strongest", "sequential": "in sequence"}
NAME_COLUMNS = 16


def estimate_lines(graph: Graph, found: Estimate, cap_nusd: int | None) -> list[str]:
    """The whole view, in at most 100 columns."""
    facts = [
        ("worst case", _worst(found)),
        ("cap", _cap(found, cap_nusd)),
        ("binding", found.binding.says),
        ("critical path", _path(found.critical_path)),
        ("kept", kept_words(found)),
        ("unknown", "; ".join(found.unknown)),
        ("note", "; ".join(f"{_name(name)}: {b.why}" for name, b in found.baselines.items() if b.why)),
        ("samples", _samples(found)),
    ]
    lines = [f"{line(found.plan)} on {line(found.on)}: {headline(found)}", ""]
    lines += [*_table(graph, found), ""]
    if beside := _baselines(found):
        lines += [*beside, ""]
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        if text:
            lines += _wrapped(f"{name:<{width}}  ", line(text))
    return [clip(row, COLUMNS) for row in lines]


def headline(found: Estimate) -> str:
    """Money and time: `$1.20 to $3.40, about $2.10; 4m00s to 12m00s, about 6m30s`."""
    if found.nusd is not None:
        money = _spread(found.nusd, _usd)
    elif found.nusd_at_least:
        money = f"cost unknown, at least {_usd(found.nusd_at_least)}"
    else:
        money = "cost unknown"
    return f"{money}; {'time unknown' if found.seconds is None else _spread(found.seconds, clock)}"


def worst_words(worst: Worst) -> str:
    """The most that a run can cost, whatever its answers and however often it is tried."""
    if not worst.calls and not worst.unknown:
        return "nothing to pay: no prompt goes to an agent that costs money"
    if worst.nusd is None:
        words = f"unknown ({'; '.join(worst.unknown[:3])})"
    else:
        words = f"{usd(worst.nusd)} in {many(worst.calls, 'call')}"
    if worst.turns:
        words += f", and more where tools are used ({', '.join(worst.turns[:3])})"
    return words


def _worst(found: Estimate) -> str:
    declared = any(_known(part) == DECLARED for part in found.groups)
    return f"{worst_words(found.worst)}{' (computed)' if declared else ''}"


def kept_words(found: Estimate) -> str:
    """What need not be paid again."""
    covered = found.covered
    if not covered.tasks:
        return ""
    saved = f", which saves about {_usd(covered.nusd)}" if covered.nusd else ""
    return f"{many(covered.tasks, 'result')} of earlier runs used again{saved}"


def _usd(nusd: float) -> str:
    """As everywhere, but a sum of whole cents in cents."""
    cents, rest = divmod(round(nusd), CENT)
    return f"${cents // 100:,}.{cents % 100:02}" if cents and not rest else usd(round(nusd))


def _spread(of: Range, word: Callable[[float], str]) -> str:
    """`a to b, about c`; one figure where there is no range."""
    low, expected, high = (word(value) for value in of)
    return expected if low == high else f"{low} to {high}, about {expected}"


def _wrapped(head: str, text: str) -> Iterator[str]:
    """A fact under its name; what is longer than a line goes on below, cut after three."""
    rows: list[str] = [""]
    for word in text.split():
        if len(head) + len(rows[-1]) + 1 + len(word) > COLUMNS and rows[-1]:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    for number, row in enumerate(rows[:3]):
        yield f"{head if not number else ' ' * len(head)}{row}{'...' if number == 2 and rows[3:] else ''}"


# The table of parts


def _table(graph: Graph, found: Estimate) -> list[str]:
    shown, rest = _dearest(found.groups)
    ranged = any(_is_range(part.nusd) for part in found.groups) or _is_range(found.nusd)
    kept = any(part.covered for part in found.groups)
    rows = [_head(ranged)]
    rows += [_row(part, graph.roots.get(part.id), ranged) for part in shown]
    if rest:
        rows.append(["", f"and {many(len(rest), 'more part')}", *[""] * (len(rows[0]) - 2)])
    rows.append(_total(found, ranged, any(row[-2].startswith(ABOUT) for row in rows)))
    right = frozenset(range(2, len(rows[0]) - 1)) - {3}
    # The mark of kept results has a column only where there is one.
    return [
        f"  {row}" for row in columns([row[0 if kept else 1 :] for row in rows], right=_shift(right, kept))
    ]


def _shift(right: frozenset[int], kept: bool) -> frozenset[int]:
    return right if kept else frozenset(k - 1 for k in right)


def _head(ranged: bool) -> list[str]:
    money = ["LOW", "EXPECTED", "HIGH"] if ranged else ["USD"]
    return ["", "PART", "TASKS", "MODEL", *money, "TIME", "TOKENS", "FROM"]


def _row(part: GroupEstimate, element: Element | None, ranged: bool) -> list[str]:
    time = UNKNOWN if part.seconds is None else clock(part.seconds.expected)
    mark, tokens = _mark(part), _tokens(part.tokens)
    if _known(part) == DECLARED and not _declares_tokens(element):
        tokens = f"{ABOUT}{tokens}"  # the money beside it is somebody's word, these are computed
    return [
        mark,
        clip(part.id, ID_COLUMNS),
        _count(part.tasks),
        _models(element),
        *_money(part.nusd, ranged),
        time,
        tokens,
        "kept" if mark == KEPT else _origin(_known(part), part.known_seconds),
    ]


def _declares_tokens(element: Element | None) -> bool:
    """Whether all its prompts say how many tokens they expect, or there are none."""
    inside = list(subtree(element)) if element is not None else []
    asking = [e.part for e in inside if isinstance(e.part, Task) and e.part.action == "prompt"]
    return all(task.expect is not None and task.expect.tokens is not None for task in asking)


def _total(found: Estimate, ranged: bool, about: bool) -> list[str]:
    tasks = Range(*(sum(part.tasks[k] for part in found.groups) for k in range(3)))
    time = UNKNOWN if found.seconds is None else clock(found.seconds.expected)
    money, times = {_known(part) for part in found.groups}, {part.known_seconds for part in found.groups}
    origins = [known - {FREE} or {FREE} for known in (money, times)]
    origin = _origin(*(_word(known) for known in origins))
    tokens = f"{ABOUT if about else ''}{_tokens(found.tokens)}"
    return ["", "total", _count(tasks), "", *_money(found.nusd, ranged), time, tokens, origin]


def _known(part: GroupEstimate) -> str:
    """Where its money comes from; that of commands, functions and local models is nobody's word."""
    return FREE if part.nusd is not None and not part.nusd.high and not part.covered else part.known


def _word(known: set[str]) -> str:
    """How a sum is known whose parts are known like this."""
    return known.pop() if known in ({DECLARED}, {FREE}) else "computed"


def _origin(known: str, known_seconds: str) -> str:
    """Where the money comes from, and the time too where that is somewhere else."""
    return known if known == known_seconds else f"{known}, time {known_seconds}"


def _dearest(parts: tuple[GroupEstimate, ...]) -> tuple[list[GroupEstimate], list[GroupEstimate]]:
    """The parts to show, in plan order, and those that share a row."""
    if len(parts) <= ROWS:
        return list(parts), []
    by_cost = sorted(parts, key=lambda part: -(part.nusd.expected if part.nusd is not None else float("inf")))
    chosen = {part.id for part in by_cost[: ROWS - 1]}
    return [p for p in parts if p.id in chosen], [p for p in parts if p.id not in chosen]


def _mark(part: GroupEstimate) -> str:
    """`=` where kept results cover a part, `=3` where they cover three of its tasks."""
    if not part.covered:
        return ""
    return KEPT if part.covered >= part.tasks.high else f"{KEPT}{part.covered:,}"


def _is_range(of: Range | None) -> bool:
    return of is not None and _usd(of.low) != _usd(of.high)


def _money(of: Range | None, ranged: bool) -> list[str]:
    if of is None:
        return [UNKNOWN] * (3 if ranged else 1)
    return [_usd(value) for value in of] if ranged else [_usd(of.expected)]


def _count(of: Range) -> str:
    low, high = round(of.low), round(of.high)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _tokens(of: Range | None) -> str:
    if of is None:
        return UNKNOWN
    count = of.expected
    for unit in ("", "k", "M"):
        if count < 999.5 or unit == "M":
            return f"{count:.1f}{unit}" if unit and count < 9.95 else f"{count:,.0f}{unit}"
        count /= 1000
    return UNKNOWN


def _models(element: Element | None) -> str:
    """Who carries out a part: its tasks' models by the words of the plan."""
    words: dict[str, None] = {}
    for inner in subtree(element) if element is not None else ():
        task = inner.part
        if isinstance(task, Task):
            words[_model(task)] = None
    shown = ", ".join(list(words)[:2])
    return clip(f"{shown} +{len(words) - 2}" if len(words) > 2 else shown, MODEL_COLUMNS)


def _model(task: Task) -> str:
    if task.action != "prompt":
        return "command" if task.run else "function"
    return f"{task.model}>{task.climb_to}" if task.climb_to else task.model


# What it is held against


def _baselines(found: Estimate) -> list[str]:
    rows = [["AGAINST", "USD", "", "TIME", "", "FROM"]]
    for name, baseline in found.baselines.items():
        if baseline.nusd is None and baseline.seconds is None:
            continue  # a note says why
        how = against(found, baseline)
        money = UNKNOWN if baseline.nusd is None else _usd(baseline.nusd)
        time = UNKNOWN if baseline.seconds is None else clock(baseline.seconds)
        cheaper = _factor(how.usd_factor, how.usd_saved, "cheaper", "dearer")
        faster = _factor(how.seconds_factor, how.seconds_saved, "faster", "slower")
        rows.append([_name(name), money, cheaper, time, faster, baseline.known])
    return [f"  {row}" for row in columns(rows, right=frozenset({1, 3}))] if rows[1:] else []


def _name(name: str) -> str:
    return clip(NAMES.get(name, line(name)), NAME_COLUMNS)


def _factor(factor: float | None, saved: float | None, better: str, worse: str) -> str:
    """`6.7x faster, 85 % saved`; empty where the two figures may not be held against each other."""
    if factor is None or saved is None:
        return ""
    if 0.995 < factor < 1.005:
        return "the same"
    if factor > 1:
        # What is not all is never shown as all.
        return f"{_times(factor)} {better}, {min(99, round(100 * saved))} % saved"
    return f"{_times(1 / factor)} {worse}, {-100 * saved:,.0f} % more"


def _times(factor: float) -> str:
    return f"{factor:.1f}".removesuffix(".0") + "x" if factor < 9.95 else f"{factor:,.0f}x"


# The other facts


def _cap(found: Estimate, cap_nusd: int | None) -> str:
    if not found.worst.calls and not found.worst.unknown:
        return ""
    if cap_nusd is None:
        return "none: a run that can spend money asks for `limits: {usd: ...}` or --usd"
    if found.nusd is None:
        return f"{usd(cap_nusd)}; whether that is enough is unknown"
    if found.nusd.expected > cap_nusd:
        return (
            f"{usd(cap_nusd)} is below what is expected: the run would stop there, resumable, with work left"
        )
    if found.nusd.high > cap_nusd:
        return f"{usd(cap_nusd)} is below the high end: the run may stop there, resumable, with work left"
    return f"{usd(cap_nusd)} is above the high end"


def _path(ids: tuple[str, ...]) -> str:
    if len(ids) > 2 * PATH_ENDS + 1:
        left = len(ids) - 2 * PATH_ENDS
        ids = (*ids[:PATH_ENDS], f"({left} more)", *ids[-PATH_ENDS:])
    return " > ".join(ids)


def _samples(found: Estimate) -> str:
    samples = found.samples
    money = _errors(samples.nusd_error, _usd)
    time = _errors(samples.seconds_error, lambda seconds: f"{seconds:.1f}s")
    return f"{samples.cost:,} of money{money}, {samples.time:,} of time{time}"


def _errors(of: Range | None, word: Callable[[float], str]) -> str:
    """The standard errors of the three points of a range."""
    if of is None or not any(of):
        return ""
    return f" (low, expected, high within {', '.join(word(value) for value in of)})"


def price_lines(found: Estimate, cap_nusd: int | None) -> list[str]:
    """What `run` says before it spends anything."""
    kept = kept_words(found)
    return [
        f"estimate    {headline(found)}{f'; {kept}' if kept else ''}",
        f"worst case  {worst_words(found.worst)}; {cap(cap_nusd)}",
    ]
