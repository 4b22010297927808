"""The critical path of a run that has happened, with the seconds that each task took."""

from __future__ import annotations

from stretto.report.story import History
from stretto.scheduler import chain
from stretto.scheduler.vertex import TaskVertex


def critical_path(history: History) -> list[tuple[str, float]]:
    """The chain of tasks that the run's length came from, first to last, with the seconds each took."""

    def ended_us(vertex: TaskVertex) -> int:
        story = history.stories.get(vertex.id)
        return story.ended_us if story is not None else 0

    return [(vertex.id, vertex.seconds) for vertex in chain.critical_path(history.state, ended_us)]
