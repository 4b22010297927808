"""Attempts in worktrees of their own: each starts from the merge of its needs' work and leaves a branch.

The branches are the truth of what a task made; their names follow from run and task. So a crash anywhere
costs at most the attempt that was under way: the next one begins anew at the same base.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from stretto.agents import Agent, Desk, Result, Work
from stretto.errors import StrettoError
from stretto.plan.model import Plan
from stretto.run.mending import answers_of
from stretto.scheduler.branches import bases, branched, has_branch, is_result, isolates, tasks_of
from stretto.scheduler.state import State
from stretto.scheduler.vertex import FAILED, RESULT, SUCCEEDED, TaskVertex
from stretto.workspace.collisions import Collision, collision_in, resolve
from stretto.workspace.root import LONGEST_NAME
from stretto.workspace.worktrees import Repository, prefix_of, result_branch, task_branch

FOLDER = "worktrees"
"""Where the worktrees lie, in `.stretto`."""
NESTED = "it made git repositories of its own, whose files would be lost (remove each `.git`, or ignore them)"


class Start(NamedTuple):
    """One branch that an attempt starts from."""

    task: str
    branch: str


class Left(NamedTuple):
    """A branch that could not be merged, and stays."""

    task: str
    branch: str
    files: list[str]
    why: str


class Laid(NamedTuple):
    """A base that was merged, or where that stopped."""

    commit: str = ""
    left: tuple[Left, ...] = ()
    collision: Collision | None = None
    at: Start | None = None
    """The branch that collided."""


def worktrees_of(root: Path, run: str) -> Path:
    """The folder with the worktrees of a run."""
    return root / ".stretto" / FOLDER / run


class Isolation:
    """The worktrees and branches of one run."""

    def __init__(self, repository: Repository, run: str, state: State, read: Callable[[str], bytes]):
        self.repository = repository
        self.run = run
        self._state = state
        self._read = read
        """Gives the bytes of an output by its hash."""
        started = state.started
        assert started is not None and started.base, "only a run that has a base has worktrees"
        self.base = started.base
        self._on = started.on
        self._folder = worktrees_of(repository.root, run)
        self._going: set[asyncio.Task[None]] = set()
        """Worktrees that are just being taken away."""
        self.unseen = False
        """The user has changes that no commit has: no task in a worktree sees them."""

    def folder(self, task: str) -> Path:
        """The worktree of a task. Ids nested deep are cut: a file's name has 255 bytes."""
        if len(task) > LONGEST_NAME:
            task = f"{task[:LONGEST_NAME]}-{hashlib.sha256(task.encode()).hexdigest()[:8]}"
        return self._folder / task

    def root_of(self, vertex: TaskVertex) -> Path | None:
        """Where a task finds and leaves its files; None for one that works in the project's root."""
        if not has_branch(vertex.task, self._on):
            return None
        return self.folder(vertex.id) / self.repository.inner

    def around(self, agent: Agent, vertex: TaskVertex, role: str) -> Agent:
        """The agent, in the worktree of a task that has one."""
        if role == "mend" or not has_branch(vertex.task, self._on):
            return agent
        if role != "work":
            return _Judging(self, agent, vertex.id)
        above = bases(self._state, vertex)
        starts = [Start(task.id, task_branch(self.run, task.id)) for task in above]
        askable = any(task.task.prompt for task in (vertex, *above))
        if is_result(vertex):
            return _Integrating(self, starts, vertex.mends, askable)
        return _Working(self, agent, vertex.id, starts, vertex.mends, askable)

    # The base

    async def lay(
        self, task: str, starts: Sequence[Start], mends: Sequence[str], *, askable: bool, leaves: bool
    ) -> Laid:
        """Makes the worktree of a task anew, with all that it starts from merged in this order.

        The k-th collision takes the k-th mend (an answer by its hash; empty: there is none). `askable`:
        somebody can be asked for more of them. `leaves`: what cannot be merged is left out and told.
        """
        git, folder = self.repository, self.folder(task)
        first, *others = await self.tips(starts)
        await git.checkout(folder, first)
        left: list[Left] = []
        rest = deque(mends)
        for start, tip in zip(starts[1:], others, strict=True):
            message = f"Merge {start.branch}\n\nFor {task} of run {self.run}."
            if await git.merge(folder, tip, message):
                continue
            collision = await collision_in(git, folder)
            why = collision.hopeless or ("" if askable else "no task of these has a model to ask")
            if not why:
                if not rest:
                    return Laid(collision=collision, at=start)
                why = await self._mended(folder, rest.popleft(), message)
                if not why:
                    continue
            if not leaves:
                return Laid(collision=collision._replace(hopeless=why), at=start)
            left.append(Left(start.task, start.branch, list(collision.files), why))
            await git.undo_merge(folder)
        git.set_whole(folder)
        return Laid(await git.at(folder), tuple(left))

    async def _mended(self, folder: Path, answer: str, message: str) -> str:
        """Resolves the merge that lies there; why not, where that cannot be."""
        if not answer:
            return "no answer resolved it"
        try:
            await resolve(self.repository, folder, answers_of(self._read(answer)))
        except ValueError as failed:
            return str(failed)
        await self.repository.conclude(folder, message)
        return ""

    def tasks(self) -> list[str]:
        """Every task of the run by id."""
        return [task.id for task in tasks_of(self._state)]

    def done(self) -> list[TaskVertex]:
        """The tasks that have left a branch."""
        return [task for task in tasks_of(self._state) if branched(task, self._on)]

    async def tips(self, starts: Sequence[Start]) -> list[str]:
        """The commits of these branches; without any, the one that the run began at. Raises `branch-gone`."""
        return [await self._tip(start) for start in starts] or [self.base]

    async def _tip(self, start: Start) -> str:
        tip = await self.repository.tip(start.branch)
        if not tip:
            raise StrettoError(
                "branch-gone",
                f"the branch {start.branch}, with the work of {start.task}, is not there any more",
                next=f"`stretto resume {self.run} --redo {start.task}` does that work again",
            )
        return tip

    # The end

    def over(self, vertex: TaskVertex) -> None:
        """Begins to take the worktree of a task away, if it is settled: its branch has all that counts."""
        if vertex.state >= SUCCEEDED and has_branch(vertex.task, self._on):
            going = asyncio.get_running_loop().create_task(self._take_away(vertex))
            self._going.add(going)
            going.add_done_callback(self._going.discard)

    async def _take_away(self, vertex: TaskVertex) -> None:
        folder = self.folder(vertex.id)
        with contextlib.suppress(StrettoError, OSError):  # what stays is found at the end, or by `doctor`
            if vertex.state == FAILED and not is_result(vertex) and self.repository.is_whole(folder):
                await self._save(vertex.id, folder)
        with contextlib.suppress(StrettoError, OSError):
            await self.repository.remove(folder)

    async def _save(self, task: str, folder: Path) -> None:
        """Keeps what the last attempt of a failed task had done: half of it was paid for like the whole."""
        git, branch = self.repository, task_branch(self.run, task)
        before = await git.at(folder)
        if before == await git.tip(branch):
            return  # it was done, and its check was not content with it
        commit = await git.keep(folder, f"{task}, unfinished\n\nLeft by run {self.run}.")
        if commit != before:
            await git.move(branch, commit)

    async def settle(self) -> None:
        """Waits until the worktrees that are being taken away are gone."""
        await asyncio.gather(*self._going)

    async def finish(self) -> None:
        """Takes the worktrees away, and the branches whose work the result has."""
        git = self.repository
        await self.settle()
        with contextlib.suppress(StrettoError, OSError):
            if self._state.status in ("running", "paused"):
                return  # what is not done goes on there, perhaps
            await clear_worktrees(git, self.run)
            merged = self._merged().items()
            await git.delete({task_branch(self.run, task): commit for task, commit in merged})

    async def restore(self) -> None:
        """Brings back the branches that the end of the run took away, for tasks that are done again."""
        for task, commit in self._merged().items():
            branch = task_branch(self.run, task)
            if not await self.repository.tip(branch) and await self.repository.exists(commit):
                await self.repository.move(branch, commit)

    def _merged(self) -> dict[str, str]:
        """The commit of each task that the result has taken in; none before there is a result."""
        result = self._state.vertices.get(RESULT)
        if not isinstance(result, TaskVertex) or not result.output:
            return {}
        commits: dict[str, str] = json.loads(self._read(result.output))["commits"]
        return commits


async def clear_worktrees(repository: Repository, run: str) -> int:
    """Removes every worktree of a run; returns how many there were."""
    folder = worktrees_of(repository.root, run)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in found:
        await repository.remove(path)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return len(found)


class _Working:
    """An agent whose work happens in a worktree, and is committed on the task's branch when it is done."""

    def __init__(
        self,
        isolation: Isolation,
        agent: Agent,
        task: str,
        starts: list[Start],
        mends: Sequence[str],
        askable: bool,
    ):
        self._isolation = isolation
        self._agent = agent
        self._task = task
        self._starts = starts
        self._mends = mends
        self._askable = askable

    async def run(self, work: Work, desk: Desk) -> Result:
        isolation, task = self._isolation, self._task
        git, folder = isolation.repository, isolation.folder(task)
        branch = task_branch(isolation.run, task)
        await git.hold_free(branch)  # before anything is paid for
        if not work.session or not git.is_whole(folder):
            laid = await isolation.lay(task, self._starts, self._mends, askable=self._askable, leaves=False)
            if laid.collision is not None:
                return _conflict(laid, self._starts)
            work = replace(work, session="")  # its files are gone, so what it remembers would be wrong
        desk.beat()
        result = await self._agent.run(replace(work, root=folder / git.inner), desk)
        if result.outcome != "ok":
            return result
        desk.beat()
        if nested := await git.nested(folder):
            return Result("bad_output", error=f"{NESTED}: {', '.join(nested[:5])}", cls="task")
        commit = await git.keep(folder, f"{task}\n\nMade by run {isolation.run}, attempt {work.n}.")
        for base in await isolation.tips(self._starts):
            if not await git.contains(commit, base):
                error = "it left the history that it started from, so its work cannot be merged"
                return Result("error", error=error, cls="task")
        await git.move(branch, commit)
        return result


class _Judging:
    """A judge of what stands in a task's worktree; one that was taken away is made again from its branch."""

    def __init__(self, isolation: Isolation, agent: Agent, task: str):
        self._isolation = isolation
        self._agent = agent
        self._task = task

    async def run(self, work: Work, desk: Desk) -> Result:
        git, folder = self._isolation.repository, self._isolation.folder(self._task)
        if not git.is_whole(folder):
            await git.checkout(folder, await git.tip(task_branch(self._isolation.run, self._task)))
            git.set_whole(folder)
        return await self._agent.run(replace(work, root=folder / git.inner), desk)


class _Integrating:
    """Merges what all tasks have made onto the result's branch; needs no agent of anybody's."""

    def __init__(
        self,
        isolation: Isolation,
        starts: list[Start],
        mends: Sequence[str],
        askable: bool,
    ):
        self._isolation = isolation
        self._starts = starts
        self._mends = mends
        self._askable = askable

    async def run(self, work: Work, desk: Desk) -> Result:
        isolation = self._isolation
        git = isolation.repository
        await isolation.settle()
        laid = await isolation.lay(RESULT, self._starts, self._mends, askable=self._askable, leaves=True)
        if laid.collision is not None:
            return _conflict(laid, self._starts)
        branch = ""
        if laid.commit != isolation.base:
            branch = result_branch(isolation.run)
            await git.move(branch, laid.commit)
        out = {left.task for left in laid.left}
        told: dict[str, Any] = {
            "branch": branch,
            "commit": laid.commit,
            "merged": [start.task for start in self._starts if start.task not in out],
            "left": [left._asdict() for left in laid.left],
            "commits": await self._commits(laid.commit),
        }
        known = {*told["commits"], *out}
        told["failed"] = [task for task in await self._others() if task not in known]
        if not laid.left:
            return Result("ok", told)
        names = "; ".join(f"{left.branch} ({', '.join(left.files[:3])}: {left.why})" for left in laid.left)
        return Result("left", told, error=f"everything is merged but {names}", cls="task", final=True)

    async def _others(self) -> list[str]:
        """Every task that has a branch, also one that has failed since."""
        isolation = self._isolation
        there = await isolation.repository.branches(f"{prefix_of(isolation.run)}task/")
        return [task for task in isolation.tasks() if task_branch(isolation.run, task) in there]

    async def _commits(self, result: str) -> dict[str, str]:
        """The commit of each task whose work the result has."""
        isolation = self._isolation
        within = await isolation.repository.branches(prefix_of(isolation.run), result)
        names = {vertex.id: task_branch(isolation.run, vertex.id) for vertex in isolation.done()}
        return {task: within[branch] for task, branch in names.items() if branch in within}


def _conflict(laid: Laid, starts: Sequence[Start]) -> Result:
    """The end of an attempt whose base could not be merged."""
    collision, at = laid.collision, laid.at
    assert collision is not None and at is not None
    before = starts[: starts.index(at)]
    onto = ", ".join(start.branch for start in before)
    why = collision.hopeless
    error = f"{at.branch} and {onto} collide in {collision.paths}"
    data = {
        "task": at.task,
        "branch": at.branch,
        "onto": [start.task for start in before],
        "error": error,
        "files": collision.data(),
    }
    error = f"{error}: {why}" if why else error
    return Result("conflict", data, error=f"{error}; the branches stay", cls="task", final=bool(why))


async def isolation_of(run: str, state: State, read: Callable[[str], bytes], root: Path) -> Isolation | None:
    """The worktrees of a run that has been started or folded; None where it has none."""
    if state.started is None or not state.started.base:
        return None
    repository = await Repository.find(root)
    if not await repository.exists(state.started.base):
        raise StrettoError(
            "branch-gone",
            f"the commit that run {run} began at, {state.started.base[:12]}, is not in this repository",
            next="resume it where it was started, or begin anew: `stretto run PLAN`",
        )
    return Isolation(repository, run, state, read)


async def base_of(plan: Plan, on: str, root: Path) -> str:
    """The commit that a new run's worktrees start from; empty where it makes none. Raises `no-repository`."""
    if not isolates(plan, on):
        return ""
    repository = await Repository.find(root)
    await repository.hold_namespace()
    return await repository.head()
