"""The log of lines for where no terminal is: one line for each end, failure and retry of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stretto import events as ev
from stretto.live.words import clock, line, many, plain, until, usd
from stretto.models import BUILTIN, Catalogue
from stretto.scheduler.schedule import MODELLESS
from stretto.scheduler.state import State


def who(agent: str, model: str, catalogue: Catalogue = BUILTIN) -> str:
    """Who did a task, in short: the tier or model that answered, or the agent that stood in for one."""
    kind = agent.partition(":")[0]
    known = catalogue.info(model)
    tier = model if known.source == "as given" else known.tier or model
    if kind == "simulated":
        return f"{kind} ({tier})" if tier else kind
    return kind if kind in MODELLESS else tier or kind


class LineLog:
    """Writes `   12.3s ok      files.3.scan  haiku $0.0012` and the like; knows nothing of terminals."""

    def __init__(self, write: Callable[[str], None], own: bool = True, catalogue: Catalogue = BUILTIN):
        self._catalogue = catalogue
        self._write = write
        self._own = own
        """Whether the run goes on in this process: then Ctrl-C is for the run."""
        self._state: State | None = None
        self._first_us = 0
        self._who: dict[str, str] = {}
        """The model (or agent) of each task that is under way."""

    def begin(self, run: str, state: State) -> None:
        self._state = state
        self._write(plain(f"run {run}"))

    def end(self) -> None:
        self._who.clear()

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None:
        self._first_us = self._first_us or at_us
        for event in events:
            said = self._say(event, at_us)
            if said is not None:
                word, rest = said
                # Ids and names too: a journal may have been written by somebody else.
                self._write(plain(f"{clock((at_us - self._first_us) / 1e6):>8} {word:<8}{rest}".rstrip()))

    def _say(self, event: ev.Event, at_us: int) -> tuple[str, str] | None:
        match event:
            case ev.AttemptStarted(role="work"):
                self._who[event.task] = who(event.agent, event.model, self._catalogue)
            case ev.TaskSucceeded() if event.source:
                saved = f", saved {usd(event.saved_nusd)}" if event.saved_nusd else ""
                return "kept", f"{event.task}  from {event.source}{saved}"
            case ev.TaskSucceeded():
                return "ok", f"{event.task}  {self._price(event.task)}"
            case ev.TaskFailed(task, _, why):
                return "failed", f"{task}  {self._price(task)}: {line(why, 200)}"
            case ev.TaskCancelled(task, by):
                return "stopped", f"{task}: {line(by, 200)}"
            case ev.RetryPlanned() if event.counts == "interruptions":
                self._who.pop(event.task, None)
                return self._interrupted(event)
            case ev.RetryPlanned():
                wait = max(0, event.not_before_us - at_us) / 1e6
                when = f"in {clock(wait)}" if wait else "at once"
                return "retry", f"{event.task}  {when}: {line(event.why, 200)}"
            case _:
                return self._say_of_run(event)
        return None

    def _interrupted(self, event: ev.RetryPlanned) -> tuple[str, str]:
        state = self._state
        if event.why == "lost" or state is None:
            return "again", f"{event.task}  it was interrupted"
        # The state may be ahead: a run that was cancelled is no longer paused.
        if state.status == "cancelled" or (state.paused is not None and state.paused.why == "cancel"):
            return "stopped", event.task
        if state.paused is None:
            return "again", f"{event.task}  it was stopped"
        return "stopped", f"{event.task}; it runs again at resume"

    def _say_of_run(self, event: ev.Event) -> tuple[str, str] | None:
        match event:
            case ev.PlanGrew() if event.last:
                # A long list comes in chunks; the last one tells where it began.
                count = event.planned or event.first + len(event.items)
                by = f" by {event.cause}" if event.tasks else ""
                about = f", about {usd(event.expected_nusd)}" if event.expected_nusd else ""
                return "grew", f"{event.group}: {many(count, 'task' if event.tasks else 'item')}{by}{about}"
            case ev.GroupClosed(group, _, _, why) if why:
                return "failed", f"{group}: {line(why, 200)}"
            case ev.RunPaused("user") if not event.note:
                again = "; Ctrl-C again stops it" if self._own else ""
                return "stopping:", f" what is running may end{again}"
            case ev.RunPaused("cancel"):
                by = "`stretto cancel`" if event.note == "cancel" else line(event.note, 40)
                return "cancelled", f" by {by}; what is running is stopped"
            case ev.RunPaused():
                note = f": {line(event.note, 200)}" if event.note else ""
                when = f", {until(event.until_us)}" if event.until_us is not None else ""
                return "paused", f"{event.why}{when}{note}; what is running may end"
            case ev.RunContinued():
                return "goes on", f"by {line(event.by, 40)}"
            case ev.TierSwitched(family, tier, on, evidence):
                how = "is tried again" if on else "is no longer tried"
                return "tier", f"{line(tier)} {how} for {line(family)}: {line(evidence, 200)}"
            case _:
                return None

    def _price(self, task: str) -> str:
        who = line(self._who.pop(task, ""), 40)
        spent, held = self._state.task_nusd.get(task, (0, 0)) if self._state is not None else (0, 0)
        price = f" {usd(spent)}" if spent else ""
        return f"{who}{price}{f' ({usd(held)} held)' if held else ''}"
