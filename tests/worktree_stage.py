"""A project in a git repository, and runs in it by agents that really edit files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stretto.agents import Agent, Desk, Result, Work
from stretto.journal.memory import MemoryJournal
from stretto.plan.model import Plan
from stretto.run import NO_CAP, Options, Outcome, resume_run, run_plan
from stretto.scheduler.vertex import TaskVertex
from tests.stage import Cast, plan_of

Edit = Callable[[Work], Any]


def git(at: Path, *words: str) -> str:
    """What a git command says in a folder; it must succeed."""
    done = subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=True)
    return done.stdout


def new_repository(root: Path, **files: str) -> Path:
    """A repository with one commit of these files (`__` stands for the dot of a name)."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "User")
    git(root, "config", "user.email", "user@example.org")
    for name, text in (files or {"start__txt": "start\n"}).items():
        (root / name.replace("__", ".")).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def untouched(root: Path) -> str:
    """A hash of all that belongs to the user: branch, index, stash, configuration, refs, files."""
    total = hashlib.sha256()
    for name in ("HEAD", "index", "config", "logs/HEAD", "refs/stash"):
        path = root / ".git" / name
        total.update(path.read_bytes() if path.exists() else b"none")
    refs = git(root, "for-each-ref", "--format=%(refname) %(objectname)")
    total.update("\n".join(ref for ref in refs.splitlines() if "/stretto/" not in ref).encode())
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if path.is_file() and inside[0] not in (".git", ".stretto"):
            total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return total.hexdigest()


class Editor:
    """An agent that edits the files below its root, and answers by what the function returns."""

    def __init__(self, edit: Edit, *, cost_nusd: int = 0):
        self.edit = edit
        self.cost_nusd = cost_nusd
        self.session = ""
        """What it binds at its desk, as an agent does that can be continued."""
        self.seen: list[Work] = []

    async def run(self, work: Work, desk: Desk) -> Result:
        self.seen.append(work)
        await asyncio.sleep(0)
        if self.session:
            desk.bind(session=self.session)
        if self.cost_nusd:
            grant = await desk.reserve(self.cost_nusd, 1, 1)
            desk.settle(grant.call, work.model, {"output": 1}, self.cost_nusd)
        value = self.edit(work)
        return value if isinstance(value, Result) else Result("ok", value)

    def calls(self, task: str, role: str = "work") -> list[Work]:
        return [work for work in self.seen if (work.task, work.role) == (task, role)]


class Yard:
    """One repository, one journal, and runs of plans there."""

    def __init__(self, root: Path, edit: Edit, *, cost_nusd: int = 0, **agents: Agent):
        self.root = root
        self.agent = Editor(edit, cost_nusd=cost_nusd)
        self.cast = Cast(messages=self.agent, function=self.agent, command=self.agent, **agents)
        self.journal = MemoryJournal()

    def run(self, plan: Plan | str, run: str = "r", **options: Any) -> Outcome:
        made = plan_of(plan) if isinstance(plan, str) else plan
        options = {"on": "messages", "cap_nusd": NO_CAP, "control": False, **options}
        going = run_plan(made, Options(**options), self.journal, self.root, agents=self.cast, run=run)
        return asyncio.run(going)

    def resume(self, run: str = "r", redo: tuple[str, ...] = (), **options: Any) -> Outcome:
        wished = Options(**{"on": "messages", "control": False, **options})
        going = resume_run(run, wished, self.journal, self.root, redo=redo, agents=self.cast)
        return asyncio.run(going)

    def result(self, run: str = "r") -> dict[str, str]:
        """The files on the result's branch."""
        return self.files(f"stretto/{run}/result")

    def files(self, commit: str) -> dict[str, str]:
        names = git(self.root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
        return {name: git(self.root, "show", f"{commit}:{name}") for name in names}

    def branches(self) -> list[str]:
        """Every branch of ours."""
        return git(self.root, "for-each-ref", "--format=%(refname:short)", "refs/heads/stretto/").split()

    def worktrees(self) -> int:
        """How many worktrees there are beside the user's."""
        return git(self.root, "worktree", "list", "--porcelain").count("worktree ") - 1


def error_of(outcome: Outcome, task: str) -> str:
    vertex = outcome.state.vertices[task]
    assert isinstance(vertex, TaskVertex)
    return vertex.error


def write(work: Work) -> str:
    """Each task writes a file of its own name."""
    (work.root / f"{work.task}.txt").write_text(f"{work.task}\n")
    return work.task


FAN = """
tasks:
  a: {prompt: A, isolation: worktree}
  b: {prompt: B, isolation: worktree}
  c: {prompt: C, isolation: worktree, needs: [a, b]}
"""


COLLIDE = """
tasks:
  a: {prompt: Say A, isolation: worktree, model: haiku}
  b: {prompt: Say B, isolation: worktree, model: haiku}
"""


def collide(answer: object) -> Edit:
    """Both tasks write the same line; whoever is asked to mend gives this answer."""

    def edit(work: Work) -> object:
        if work.role == "mend":
            return answer(work) if callable(answer) else answer
        (work.root / "start.txt").write_text(f"{work.task}\n")
        return work.task

    return edit


def both(work: Work) -> str:
    return json.dumps({"files": [{"path": "start.txt", "hunks": ["a and b"]}]})
