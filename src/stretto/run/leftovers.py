"""What runs that no longer live have left in git: worktrees, and branches that their result contains."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stretto.errors import StrettoError
from stretto.journal import Journal, RunInfo
from stretto.run.isolated import FOLDER, clear_worktrees, worktrees_of
from stretto.workspace.worktrees import Repository, prefix_of, result_branch

ENDED = ("succeeded", "failed", "cancelled")


class Leftover(NamedTuple):
    """What one run has left, and whether it may be taken away."""

    run: str
    worktrees: int
    branches: dict[str, str]
    """Branches of tasks whose work is on the result's branch too, with their commits."""
    resumable: bool
    """The run can go on, and will clean up by itself."""

    @property
    def says(self) -> str:
        return f"{self.run} left worktrees: {self.worktrees}, merged branches: {len(self.branches)}"


async def leftovers(root: Path, journal: Journal) -> list[Leftover]:
    """Of every run that is not live; empty where there is no repository."""
    infos = {info.run: info for info in journal.runs()}
    folder = root / ".stretto" / FOLDER
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    try:
        repository = await Repository.find(root)
        ours = await repository.branches()
    except StrettoError:
        return []
    names |= {run for run in infos if any(branch.startswith(prefix_of(run)) for branch in ours)}
    found = [await _left_by(repository, run, infos.get(run), ours) for run in sorted(names)]
    return [left for left in found if left is not None and (left.worktrees or left.branches)]


async def _left_by(
    repository: Repository, run: str, info: RunInfo | None, ours: dict[str, str]
) -> Leftover | None:
    if info is not None and info.live:
        return None
    folder = worktrees_of(repository.root, run)
    worktrees = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    merged: dict[str, str] = {}
    tip = ours.get(result_branch(run))
    resumable = info is not None and info.status not in ENDED
    if tip is not None and not resumable:
        merged = await repository.branches(f"{prefix_of(run)}task/", tip)
    return Leftover(run, worktrees, merged, resumable)


async def clean(root: Path, journal: Journal) -> None:
    """Takes away what runs have left that have ended, or of which nothing is known any more.

    Branches with work that is nowhere else stay, and so do those of results.
    """
    left = [one for one in await leftovers(root, journal) if not one.resumable]
    if left:
        repository = await Repository.find(root)
        for one in left:
            await clear_worktrees(repository, one.run)
            await repository.delete(one.branches)
