"""What people want to hear about at the end and meanwhile: the newest failure, the kept results."""

from __future__ import annotations

from collections.abc import Sequence

from stretto import events as ev
from stretto.live.words import line
from stretto.models import is_free

NAMED = 3
"""How many kept results are named one by one; the rest is counted."""


class Notes:
    """Watches the events of a run for what views and the summary mention."""

    def __init__(self) -> None:
        self.failure = ""
        self.kept: list[tuple[str, str, int]] = []
        """(task, where its result came from, what that saved) of the first few."""
        self.kept_count = 0
        self.unpriced = False
        """True once a call was sent whose price nobody knows."""
        self._paid: set[str] = set()

    def saw(self, at_us: int, events: Sequence[ev.Event]) -> None:
        for event in events:
            match event:
                case ev.TaskFailed(task, _, why):
                    self.failure = f"{task}: {line(why, 300)}"
                case ev.TaskSucceeded() if event.source:
                    self.kept_count += 1
                    if len(self.kept) < NAMED:
                        self.kept.append((event.task, event.source, event.saved_nusd or 0))
                case ev.GroupClosed(group, _, _, why) if why and not self.failure:
                    self.failure = f"{group}: {line(why, 300)}"
                case ev.AttemptStarted() if not is_free(event.agent):
                    self._paid.add(f"{event.task}#{event.n}")
                case ev.AttemptEnded():
                    self._paid.discard(f"{event.task}#{event.n}")
                case ev.CallReserved(attempt, _, nusd) if not nusd and attempt in self._paid:
                    self.unpriced = True
                case _:
                    pass
