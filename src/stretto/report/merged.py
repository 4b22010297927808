"""What the worktrees of a run came to: one branch with all work, and the branches that were left."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.journal import Journal
from stretto.scheduler.state import State
from stretto.scheduler.vertex import RESULT, TaskVertex


class Merged(NamedTuple):
    """The result of a run with worktrees. `branch` is empty where nothing was changed."""

    branch: str
    tasks: list[str]
    """The tasks whose branches were merged last; what those contain is in it too."""
    left: list[dict[str, Any]]
    """Of each branch that stays: task, branch, files, why."""
    failed: list[str]
    """Tasks that failed and have a branch of what they had done, which stays too."""

    @property
    def command(self) -> str:
        """What brings the work into the user's own branch; empty where there is nothing to bring."""
        return f"git merge {self.branch}" if self.branch else ""

    def data(self) -> dict[str, Any]:
        return {**self._asdict(), "command": self.command}


def merged_of(journal: Journal, state: State) -> Merged | None:
    """None for a run without worktrees, and before their work has come together."""
    vertex = state.vertices.get(RESULT)
    if not isinstance(vertex, TaskVertex) or not vertex.output:
        return None
    try:
        told = json.loads(journal.blob(vertex.output))
    except StrettoError:
        return None  # gone or damaged, which `stretto doctor` tells
    return Merged(told["branch"], told["merged"], told["left"], told["failed"])
