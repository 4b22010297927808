"""A run's money in lines: who took it, what was estimated, what was saved and how surely it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stretto.events import TierSwitched
from stretto.journal import Journal
from stretto.live.words import clock, columns, line, many, usd
from stretto.models.catalogue import BUILTIN, Catalogue
from stretto.report import (
    DECLARED,
    NUSD,
    Beside,
    Estimated,
    History,
    Passed,
    Rest,
    Saving,
    Share,
    Taken,
    cap_that_does,
    estimated_of,
    foreseen_in,
    passed_of,
    rest_of,
    savings_of,
    tier_by,
    tiers_of,
    total,
)
from stretto.scheduler.state import State

Words = Callable[[float], str]
DEAREST = 5
"""How many of the dearest tasks are named."""
ROLES = ("work", "check", "shadow")


def closing(journal: Journal, history: History, catalogue: Catalogue = BUILTIN) -> list[str]:
    """At most two lines for the end of a run: the estimate beside what it became, and what was saved."""
    estimated = estimated_of(journal, history)
    lines = [f"  estimate {_estimate_words(estimated, history)}"] if estimated is not None else []
    saving = _most_telling(_telling(history, savings_of(history, estimated, catalogue)))
    if saving is not None:
        lines.append(f"  saving  {_saving_words(saving, history)}; {pass_words(passed_of(history))}")
    return lines


def left_lines(journal: Journal, state: State) -> list[str]:
    """What is left to do and its price, for a run that stopped and may go on."""
    if state.paused is None:
        return []
    rest = rest_of(state, foreseen=foreseen_in(journal, state))
    count = len(rest.redone) + rest.waiting
    words = [many(count, "task")] if count else []
    words += [f"the members of {', '.join(rest.growing[:3])}"] if rest.growing else []
    return [f"left: {' and '.join(words)}, {price_of_rest(rest)}"] if words else []


def resume_cap(journal: Journal, state: State, catalogue: Catalogue = BUILTIN) -> str:
    """The sum for `resume --usd` under which a run that stopped for money would end; empty for others."""
    nusd = cap_that_does(state, rest_of(state, foreseen=foreseen_in(journal, state)), catalogue)
    return "" if nusd is None else f"{nusd // NUSD}.{nusd % NUSD // 10_000_000:02}"


def price_of_rest(rest: Rest) -> str:
    """What it takes to finish, and by what that is told."""
    if rest.nusd is None:
        return "what they cost is not known"
    if not rest.nusd and not rest.high_nusd:
        return "nothing to pay"
    by = {"siblings": "what their siblings have cost", "estimate": "the estimate"}
    words = by.get(rest.by, "what siblings have cost, and the estimate")
    most = f", probably below {usd(rest.high_nusd)}" if rest.high_nusd != rest.nusd else ""
    return f"about {usd(rest.nusd)} to finish by {words}{most}"


# The section of `stretto show`


def switch_words(switch: TierSwitched) -> str:
    """A tier that learned evidence took from, or gave back to, a family of tasks."""
    how = "is tried again" if switch.on else "is no longer tried"
    return f"{line(switch.tier)} {how} for {line(switch.family)}: {line(switch.evidence, 200)}"


def money_lines(journal: Journal, history: History, catalogue: Catalogue = BUILTIN) -> list[str]:
    """Tables by tier, by part and of the dearest tasks, the estimate and the savings, where there are any."""
    lines: list[str] = []
    lines += [f"  {switch_words(switch)}" for switch in history.state.switched]
    estimated = estimated_of(journal, history)
    if history.state.ledger.calls:
        lines += ["", *_tier_table(history, catalogue), *_part_table(history), *_dearest(history, catalogue)]
    if estimated is not None:
        lines += ["", *_estimate_table(estimated, history)]
    savings = _telling(history, savings_of(history, estimated, catalogue))
    if savings:
        told = pass_words(passed_of(history))
        lines += ["", *(f"  saving  {_saving_words(saving, history)}; {told}" for saving in savings)]
    return lines


def _telling(history: History, savings: list[Saving]) -> list[Saving]:
    """Of a run that asked nobody only what its author declared, which it did not change; and of no run the
    time when it was over before anybody could wait for it."""
    paid = history.state.ledger.calls > 0
    return [
        saving
        for saving in savings
        if (paid or (saving.kind == DECLARED and saving.percent is not None))
        and (saving.baseline_nusd is not None or (saving.baseline_seconds or 0) >= 1)
    ]


def _tier_table(history: History, catalogue: Catalogue) -> list[str]:
    roles = {role: tiers_of(history, catalogue, role) for role in ROLES}
    used = [role for role in ROLES if roles[role]]
    head = ["BY TIER", "CALLS", "TOKENS IN", "OUT", *(role.upper() for role in used), "SPENT", "HELD"]
    rows = [head]
    for name, taken in tiers_of(history, catalogue).items():
        parts = [_spent(roles[role].get(name)) for role in used]
        rows.append([f"  {line(name)}", *_counts(taken), *parts, _spent(taken), _held(taken)])
    return _table(rows)


def _part_table(history: History) -> list[str]:
    totals = history.bill.by(lambda entry: entry.part)
    if len(totals) < 2:
        return []
    rows = [["BY PART", "TASKS", "CALLS", "TOKENS IN", "OUT", "SPENT", "HELD"]]
    for part, taken in totals.items():
        row = history.state.rows.get(part)
        tasks = f"{row.total:,}" if row is not None else ""
        rows.append([f"  {line(part)}", tasks, *_counts(taken), _spent(taken), _held(taken)])
    return ["", *_table(rows)]


def _dearest(history: History, catalogue: Catalogue) -> list[str]:
    """The tasks that took most, with the tiers that they went through; nothing where there are few."""
    totals = history.bill.by(lambda entry: entry.task)
    paid = {task: taken for task, taken in totals.items() if taken.spent_nusd + taken.held_nusd}
    if len(paid) <= DEAREST:
        return []
    tier = tier_by(catalogue)
    rows = [["DEAREST TASKS", "CALLS", "TOKENS IN", "OUT", "SPENT", "HELD", "BY"]]
    for task in sorted(paid, key=lambda task: -(paid[task].spent_nusd + paid[task].held_nusd))[:DEAREST]:
        tiers = dict.fromkeys(tier(entry) for entry in history.bill.of_task(task) if entry.role == "work")
        by = " > ".join(tiers)
        rows.append([f"  {task}", *_counts(paid[task]), _spent(paid[task]), _held(paid[task]), line(by)])
    return ["", *_table(rows, left=("BY",))]


def _counts(taken: Taken) -> list[str]:
    return [f"{taken.calls:,}", f"{taken.input_tokens:,}", f"{taken.output_tokens:,}"]


def _spent(taken: Taken | None) -> str:
    if taken is None:
        return ""
    return "?" if taken.unpriced else usd(taken.spent_nusd)


def _held(taken: Taken) -> str:
    return usd(taken.held_nusd) if taken.held_nusd else ""


def _table(rows: list[list[str]], left: Iterable[str] = ()) -> list[str]:
    """Without the columns in which nothing stands; figures to the right."""
    kept = [k for k in range(len(rows[0])) if any(row[k] for row in rows[1:])]
    slim = [[row[k] for k in kept] for row in rows]
    right = frozenset(place for place, k in enumerate(kept) if k and rows[0][k] not in left)
    return columns(slim, right=right)


# The estimate


_UNTIL = {"failed": "until it failed", "cancelled": "until it was cancelled"}


def _until(history: History) -> str:
    """Said where the figures are not those of a whole run."""
    status = history.state.status
    return "" if status == "succeeded" else _UNTIL.get(status, "so far")


def _estimate_table(estimated: Estimated, history: History) -> list[str]:
    until = f" ({until})" if (until := _until(history)) else ""
    head = ["BY PART", "COST", "SPENT", "", "TIME", "TOOK", "", "TOKENS", "TAKEN", ""]
    rows = [head]
    for row in [*estimated.groups, estimated.whole]:
        figures = [*_cells(row.usd, _dollars), *_cells(row.seconds, clock), *_cells(row.tokens, _number)]
        rows.append([f"  {line(row.id) or 'all'}", *figures])
    title = f"estimated, 10 to 90 %, and what it became{until}; % from what was expected, ! outside the range"
    return [title, *_table(rows, left=("COST", "TIME", "TOKENS"))]


def _cells(beside: Beside, words: Words) -> list[str]:
    """The range, what it became, and the error; a figure that nobody knew says so."""
    error = beside.error_percent
    mark = "!" if beside.inside is False else ""
    actual = "?" if beside.actual is None else words(beside.actual)
    return [_range(beside, words), actual, "" if error is None else f"{error:+.0f} %{mark}"]


def _range(beside: Beside, words: Words) -> str:
    if beside.expected is None or beside.low is None or beside.high is None:
        return "unknown"
    if beside.low == beside.high:
        return words(beside.expected)
    return f"{words(beside.low)} to {words(beside.high)}"


def _estimate_words(estimated: Estimated, history: History) -> str:
    whole = estimated.whole
    words = []
    for beside, say, verb in ((whole.usd, _dollars, "spent"), (whole.seconds, clock, "took")):
        if beside.expected or beside.actual:
            words.append(_beside_words(beside, say, verb))
    until = f" ({until})" if (until := _until(history)) else ""
    return f"{'; '.join(words) or 'nothing to pay, nothing paid'}{until}"


def _beside_words(beside: Beside, say: Words, verb: str) -> str:
    said = _range(beside, say)
    if beside.expected is not None and beside.low != beside.high:
        said = f"{say(beside.expected)} ({said})"
    actual = "?" if beside.actual is None else say(beside.actual)
    error = beside.error_percent
    verdict = {True: ", inside", False: ", outside", None: ""}[beside.inside]
    return f"{said}, {verb} {actual}" + (f": {_more(error)}{verdict}" if error is not None else "")


def _more(percent: float) -> str:
    share = "over 99" if -100 < percent < -99.5 else f"{abs(percent):.0f}"
    return f"{share} % {'more' if percent >= 0 else 'less'}"


def _dollars(amount: float) -> str:
    return usd(round(amount * NUSD))


def _number(amount: float) -> str:
    """Tokens in short: 950, 12.3k, 1.2M."""
    if amount < 1_000:
        return f"{amount:.0f}"
    return f"{amount / 1e3:.1f}k" if amount < 1e6 else f"{amount / 1e6:.1f}M"


# Savings


def _most_telling(savings: list[Saving]) -> Saving | None:
    """One with a percentage of money before one without; the author's own baseline before ours."""
    money = [saving for saving in savings if saving.baseline_nusd is not None]
    return next((saving for saving in money if saving.percent is not None), money[0] if money else None)


def _saving_words(saving: Saving, history: History) -> str:
    """Both sides with the kind of their figures; a percentage only where both are of one kind."""
    money, time = saving.percent, saving.seconds_percent
    of = f" on {many(saving.tasks, 'task')}" if saving.tasks is not None else ""
    if money is None and time is None:
        sides = [usd(saving.baseline_nusd)] if saving.baseline_nusd is not None else []
        sides += [clock(saving.baseline_seconds)] if saving.baseline_seconds is not None else []
        here = f"{usd(history.state.ledger.spent_nusd)}, {clock(history.seconds)} measured here"
        return f"{saving.kind}{of}: {saving.says} {', '.join(sides)}; {here} (two kinds: no percentage)"
    sides = []
    if money is not None:
        sides.append(f"{usd(saving.nusd)} against {usd(saving.baseline_nusd)}, {_less(money)}")
    if time is not None:
        assert saving.seconds is not None and saving.baseline_seconds is not None
        sides.append(f"{clock(saving.seconds)} against {clock(saving.baseline_seconds)}, {_less(time)}")
    return f"{saving.kind}{of}: {'; '.join(sides)} ({saving.says})"


def _less(percent: float) -> str:
    return _more(-percent) if percent else "no less"


def pass_words(passed: Passed) -> str:
    """How many passed and how surely, for the same line as a saving."""
    if not passed.checked.of:
        if passed.unanswered:
            return f"unverified: no check gave a verdict on {many(passed.unanswered, 'task')}"
        return "unverified: no task had a check"
    words = [f"{_share(passed.checked, 'checked task')} passed {_rate(passed.checked)}"]
    if passed.unverified:
        words.append(f"{passed.unverified:,} had no check")
    if passed.unanswered:
        words.append(f"{passed.unanswered:,} no verdict")
    if passed.audited.of:
        words.append(f"{_share(passed.audited, 'audited result')} wrong {_rate(passed.audited)}")
    return ", ".join(words)


def _share(share: Share, what: str) -> str:
    return f"{share.hits:,} of {many(share.of, what)}"


def _rate(share: Share) -> str:
    assert share.rate is not None and share.interval is not None
    low, high = share.interval
    return f"({100 * share.rate:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %)"


# One attempt


def choice_lines(record: dict[str, Any] | None) -> list[str]:
    """A decision record in words: what was chosen and why, what came second and why it lost."""
    if record is None:
        return []
    chosen = " ".join(str(record[key]) for key in ("tier", "effort") if record.get(key)) or str(
        record.get("model")
    )
    known = [f"confidence {record.get('confidence', 'none')}"]
    if record.get("chance") is not None:
        known.insert(0, f"chance {100 * record['chance']:.0f} %")
    expected = [usd(record["expected_nusd"])] if record.get("expected_nusd") is not None else []
    expected += [clock(record["expected_s"])] if record.get("expected_s") is not None else []
    if expected:
        known.append(f"expected {' and '.join(expected)}")
    lines = [f"chose {line(chosen, 80)}: {', '.join(known)}"]
    lines += [f"  {line(str(reason), 200)}" for reason in record.get("reasons", ())]
    if record.get("runner_up"):
        lines.append(
            f"  {line(str(record['runner_up']), 80)} came second: {line(str(record.get('why_not', '')), 200)}"
        )
    return lines


def attempt_total(history: History, task: str, n: int) -> Taken:
    """What one attempt took."""
    return total(entry for entry in history.bill.of_task(task) if entry.n == n)
