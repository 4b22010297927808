"""The live view: one row for each part of the plan, never taller or wider than the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from stretto import events as ev
from stretto.live.notes import Notes
from stretto.live.words import cap, clock, line, until, usd
from stretto.scheduler.state import State
from stretto.scheduler.vertex import (
    BACKOFF,
    CANCELLED,
    CHECKING,
    FAILED,
    READY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    Tally,
)

HZ = 8
FRAME = 4
"""Lines that are no rows: the header, the line of folded rows, the footer, and one that stays free."""
NAME_COLUMNS = 40

_STYLES = {"running": "cyan", "done": "green", "failed": "red", "waiting": "dim", "ended": "yellow"}


class LiveView:
    """Draws the counters that the fold keeps: what a frame costs does not grow with the number of tasks.

    The frames are drawn by a thread of their own, which only reads counters: a frame may show one of two
    counters a moment early, the last frame is drawn when nothing changes any more.
    """

    def __init__(self, console: Console, notes: Notes, now: Callable[[], float] = time.monotonic):
        self._console = console
        self._notes = notes
        self._now = now
        self._state: State | None = None
        self._run = ""
        self._start_s = now()
        self._changed = True
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._live = Live(
            console=console,
            auto_refresh=False,
            get_renderable=lambda: self,
            vertical_overflow="crop",
            transient=False,
        )

    def begin(self, run: str, state: State, seconds: float = 0.0) -> None:
        """Starts drawing; `seconds` is how long the run has been going already."""
        self._run, self._state = run, state
        self._start_s = self._now() - seconds
        self._live.start(refresh=True)
        self._thread = threading.Thread(target=self._draw, name="stretto-view", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Draws the last frame and leaves it standing."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._live.refresh()
            self._live.stop()

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None:
        self._changed = True

    def _draw(self) -> None:
        second, pause_s = -1, 1 / HZ
        while not self._over.wait(pause_s):
            before = self._now()
            if self._changed or int(before) != second:
                self._changed, second = False, int(before)
                self._live.refresh()
                # A plan with thousands of parts makes dear frames: then there are fewer of them.
                pause_s = max(1 / HZ, 10 * (self._now() - before))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._state is None:
            return
        width = max(1, options.max_width)
        seconds = self._now() - self._start_s
        yield from frame(self._run, self._state, self._notes, seconds, width, console.size.height)


def frame(run: str, state: State, notes: Notes, seconds: float, width: int, height: int) -> list[Text]:
    """One frame as lines, each at most `width` columns wide, at most `height` - 1 of them."""
    rows = list(state.rows.values())
    room = max(1, height - FRAME)
    shown = rows if len(rows) <= room else _most_telling(state, rows, room)
    lines = [_header(run, state, seconds)]
    name_columns = min(NAME_COLUMNS, max((cell_len(row.id) for row in shown), default=0), max(8, width // 3))
    lines += [_row(row, word_of(state, row), name_columns) for row in shown]
    if len(shown) < len(rows):
        ids = {row.id for row in shown}
        lines.append(_folded(state, [row for row in rows if row.id not in ids]))
    if notes.failure:
        lines.append(Text(f"newest failure: {line(notes.failure)}", style="red"))
    for text in lines:
        text.no_wrap = True
        text.truncate(width, overflow="ellipsis")
    return lines[: max(1, height - 1)]


_PAUSES = {
    "user": "ending, Ctrl-C again stops what runs",
    "cancel": "cancelled: what runs is being stopped",
    "approval": "paused: it waits for approval",
    "budget": "paused: the cap is reached",
    "deadline": "paused: the time is over",
    "quota": "paused: what the provider allows is used up",
    "billing": "paused: the provider wants money",
    "auth": "paused: the provider refuses the key",
    "network": "paused: the provider cannot be reached",
}


def _header(run: str, state: State, seconds: float) -> Text:
    ledger = state.ledger
    slots = state.started.parallel if state.started is not None else 0
    text = Text(line(run), style="bold")
    text.append(f"  {clock(seconds)}", style="not bold")
    if state.paused is not None:
        text.append(f"  {_PAUSES.get(state.paused.why, line(state.paused.why))}", style="yellow")
        if state.paused.until_us is not None:
            text.append(f", {until(state.paused.until_us)}", style="yellow")
    text.append(f"  {len(state.live)}/{slots} running", style="not bold cyan")
    money = [f"{usd(ledger.spent_nusd)} spent"]
    if ledger.reserved_nusd:
        money.append(f"{usd(ledger.reserved_nusd)} reserved")
    if ledger.held_nusd:
        money.append(f"{usd(ledger.held_nusd)} held")
    text.append(f"  {', '.join(money)}, {cap(ledger.cap_nusd)}", style="not bold")
    return text


def word_of(state: State, row: Tally) -> str:
    """What one part is doing: running, failed, done, waiting, or ended (skipped or cancelled)."""
    settled = state.vertices[row.id].state
    if settled >= SUCCEEDED:
        return {SUCCEEDED: "done", FAILED: "failed"}.get(settled, "ended")
    return "running" if row.counts[RUNNING] or row.counts[CHECKING] else "waiting"


def _row(row: Tally, word: str, name_columns: int) -> Text:
    counts = row.counts
    name = Text(line(row.id))
    name.truncate(name_columns, overflow="ellipsis", pad=True)
    text = Text("  ")
    text.append_text(name)
    text.append(f"  {word:<8}", style=_STYLES[word])
    text.append(f"{counts[SUCCEEDED]:,}/{row.total:,}" if row.total else "-")
    if counts[RUNNING] + counts[CHECKING]:
        text.append(f"  {counts[RUNNING] + counts[CHECKING]:,} running", style="cyan")
    if counts[READY]:
        text.append(f"  {counts[READY]:,} ready", style="dim")
    if counts[BACKOFF]:
        text.append(f"  {counts[BACKOFF]:,} to retry", style="yellow")
    if counts[FAILED]:
        text.append(f"  {counts[FAILED]:,} failed", style="red")
    if counts[SKIPPED] + counts[CANCELLED]:
        text.append(f"  {counts[SKIPPED] + counts[CANCELLED]:,} not run", style="yellow")
    if row.spent_nusd:
        text.append(f"  {usd(row.spent_nusd)}")
    return text


_TELLING = ("failed", "running", "waiting", "ended", "done")


def _most_telling(state: State, rows: list[Tally], room: int) -> list[Tally]:
    """What fits: rows in which something goes on or went wrong before those that wait or are done."""
    ranks = [_TELLING.index("failed" if row.counts[FAILED] else word_of(state, row)) for row in rows]
    first = sorted(range(len(rows)), key=lambda k: (ranks[k], k))[:room]
    return [rows[k] for k in sorted(first)]


def _folded(state: State, rows: list[Tally]) -> Text:
    counts: dict[str, int] = {}
    for row in rows:
        word = word_of(state, row)
        counts[word] = counts.get(word, 0) + 1
    kinds = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    return Text(f"  ... {len(rows):,} more: {kinds}", style="dim")
