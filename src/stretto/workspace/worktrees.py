"""Git as a run needs it: worktrees and branches of its own beside whatever the user is doing.

Nothing here touches the user's branch, index, stash, files or configuration. Each command is one process
with a scrubbed environment: no hooks, no signatures, no prompts, no collection of garbage.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stretto.errors import StrettoError
from stretto.journal.private import make_folder
from stretto.workspace.root import LONGEST_NAME, NEVER

SETTINGS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.safecrlf", "false"),
    ("commit.gpgSign", "false"),
    ("merge.conflictStyle", "merge"),
    ("merge.ff", "true"),
    ("merge.autoStash", "false"),
    ("merge.verifySignatures", "false"),
    ("submodule.recurse", "false"),
    ("worktree.useRelativePaths", "false"),
    ("rerere.enabled", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("core.quotePath", "true"),
    ("user.name", "Stretto"),
    ("user.email", "stretto@localhost"),
)
NAMESPACE = "stretto"
"""Every branch of ours begins with it."""
WHOLE = "stretto-whole"
"""A file among what git knows of a worktree: nothing cut off whoever made it."""


class Done(NamedTuple):
    """How a git command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return os.fsdecode(self.out).strip()


def result_branch(run: str) -> str:
    """The branch on which the work of a run comes together."""
    return f"{NAMESPACE}/{_safe(run)}/result"


def task_branch(run: str, task: str) -> str:
    """The branch that holds what one task of a run made."""
    return f"{NAMESPACE}/{_safe(run)}/task/{_safe(task)}"


def prefix_of(run: str) -> str:
    """What the names of all branches of a run begin with."""
    return f"{NAMESPACE}/{_safe(run)}/"


def _safe(name: str) -> str:
    """A name as one word of a ref and of a path; one that has to be changed says so by a hash."""
    safe = re.sub(r"[^A-Za-z0-9_.@-]", "-", name)[:LONGEST_NAME]
    safe = re.sub(r"\.(?=\.|$|lock(\.|$))|^[.-]|^@$", "+", safe)
    return safe if safe == name else f"{safe}+{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Repository:
    """The git repository that a project's root stands in."""

    def __init__(self, top: Path, root: Path, common: Path):
        self.top = top
        self.root = root
        """The project's root; mostly the same as `top`, else a folder below it."""
        self.common = common
        """The folder with the refs and objects, which all worktrees share."""
        self._listing = asyncio.Lock()
        """Of git's own list of worktrees, which one command of a run changes at a time."""

    @classmethod
    async def find(cls, root: Path) -> Repository:
        """Raises `no-repository` where no worktree could be made."""
        if shutil.which("git") is None:
            raise _no_repository("git is not installed", "install git, or remove `isolation`")
        asked = await _git(root, "rev-parse", "--is-bare-repository", "--show-toplevel", "--git-common-dir")
        lines = asked.text.splitlines()
        if lines[:1] == ["true"]:
            raise _no_repository(
                f"{root} is a bare repository, which has no files", "run in a checkout of it"
            )
        if asked.code or len(lines) < 3:
            if "dubious ownership" in asked.err:
                why, next = f"git does not trust {root}: it belongs to another user", "git config --global"
                raise _no_repository(why, f"{next} --add safe.directory {shlex.quote(str(root))}")
            why = f"{root} is in no git repository"
            raise _no_repository(why, "`git init`, add and commit your files; or remove `isolation`")
        top = Path(lines[1]).resolve()
        return cls(top, root.resolve(), (root / lines[2]).resolve())

    @property
    def inner(self) -> Path:
        """Where the project's root is inside a worktree: empty, or the sub-folder."""
        return self.root.relative_to(self.top)

    async def git(
        self, *words: str, at: Path | None = None, ok: Sequence[int] = (0,), stdin: bytes = b""
    ) -> Done:
        """Raises `git-failed` where the command ends with another code than these."""
        if at is not None:
            self._hold(at)
        place = {} if at is None else self._place_of(at)
        done = await _git(at or self.root, *words, stdin=stdin, place=place)
        if done.code not in ok:
            said = (done.err.strip() or done.text or f"exit code {done.code}")[-400:]
            raise StrettoError(
                "git-failed",
                f"`git {words[0]}` did not do its work: {said}",
                at=str(at or self.root),
                next="see what `git status` says; `stretto doctor` lists what runs have left behind",
            )
        return done

    def _hold(self, folder: Path) -> None:
        """Holds that a worktree is still one of ours. Raises `git-failed`.

        Its `.git` is a file that says where git looks for its settings, and settings can name programs: an
        agent that may do no more than write files could have them run by us. Without that file git would
        take the user's own repository around it.
        """
        try:
            with open(os.open(folder / ".git", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                said = file.read(10_000)
            place = Path(os.fsdecode(said.removeprefix(b"gitdir:").strip())).resolve()
        except (OSError, ValueError):
            place = folder
        if place.parent != self.common / "worktrees":
            raise StrettoError(
                "git-failed",
                "the file `.git` of a worktree was changed by its task, so nothing of it is taken",
                at=str(folder),
                next="see what the task's transcript says; a task has no business in `.git`",
            )

    def _place_of(self, folder: Path) -> dict[str, str]:
        """Tells git which worktree is meant, so that it does not look into the `.git` there, which may be
        changed at any time. Raises `git-failed` where git does not know this worktree.
        """
        known = self._known(folder)
        if known is not None:
            return {"GIT_DIR": str(known), "GIT_WORK_TREE": str(folder)}
        raise StrettoError(
            "git-failed", f"git knows no worktree {folder}", at=str(folder), next="it is made anew by a retry"
        )

    def _known(self, folder: Path) -> Path | None:
        """Where git keeps what it knows of a worktree; None where it knows none there."""
        for known in (self.common / "worktrees").glob("*/gitdir"):
            with contextlib.suppress(OSError):
                inside = Path(known.parent, os.fsdecode(known.read_bytes()).strip())
                if inside.parent.resolve() == folder.resolve():
                    return known.parent
        return None

    async def head(self) -> str:
        """The commit that is checked out now. Raises `no-repository` before the first one."""
        found = await self.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1))
        if found.code:
            why = f"the repository of {self.root} has no commit yet"
            raise _no_repository(why, "commit your files first: agents start from what is committed")
        return found.text

    async def hold_namespace(self) -> None:
        """Raises `no-repository` where a branch has the name that all of ours begin with."""
        if await self.tip(NAMESPACE):
            why = f"git has no branch {NAMESPACE}/... beside one that is called {NAMESPACE!r}"
            raise _no_repository(why, f"`git branch -m {NAMESPACE} ANOTHER-NAME`, then run again")

    async def has_changes(self) -> bool:
        """Whether something is changed or new that no commit has; looks without touching the index."""
        return bool((await self.git("status", "--porcelain", "-z")).out)

    # Branches

    async def tip(self, branch: str) -> str:
        """The commit of a branch; empty where there is no such branch."""
        name = f"refs/heads/{branch}^{{commit}}"
        return (await self.git("rev-parse", "--verify", "--quiet", name, ok=(0, 1))).text

    async def hold_free(self, branch: str) -> None:
        """Raises `branch-in-use` where somebody has a branch checked out: under their feet nothing moves."""
        if folder := (await self._checked_out()).get(branch):
            raise StrettoError(
                "branch-in-use",
                f"the branch {branch} is checked out in {folder}, so it cannot be set anew",
                next=f"git -C {shlex.quote(folder)} switch --detach",
            )

    async def _checked_out(self) -> dict[str, str]:
        """The branches that somebody works on, with the folder of each."""
        used, folder = {}, ""
        for line in (await self.git("worktree", "list", "--porcelain")).text.split("\n"):
            word, _, rest = line.partition(" ")
            if word == "worktree":
                folder = rest
            elif word == "branch":
                used[rest.removeprefix("refs/heads/")] = folder
        return used

    async def move(self, branch: str, commit: str) -> None:
        """Sets a branch, made or not. Raises `branch-in-use`."""
        await self.hold_free(branch)
        await self.git("branch", "--quiet", "--force", "--no-track", branch, commit)

    async def delete(self, branches: Mapping[str, str]) -> None:
        """Deletes branches that still stand at these commits; one that somebody has checked out stays."""
        used = await self._checked_out()
        for branch, commit in branches.items():
            if branch not in used:
                await self.git(
                    "update-ref", "--no-deref", "-d", f"refs/heads/{branch}", commit, ok=range(256)
                )

    async def branches(self, prefix: str = f"{NAMESPACE}/", within: str = "") -> dict[str, str]:
        """The commit of each branch whose name begins so; only those that the commit `within` contains."""
        merged = [f"--merged={within}"] if within else []
        words = ("for-each-ref", *merged, "--format=%(objectname) %(refname)", f"refs/heads/{prefix}")
        asked = await self.git(*words)
        pairs = (line.split(" ", 1) for line in asked.text.splitlines())
        return {name.removeprefix("refs/heads/"): commit for commit, name in pairs}

    async def contains(self, commit: str, other: str) -> bool:
        """Whether `other` is in the history of `commit`, or is that commit."""
        return not (await self.git("merge-base", "--is-ancestor", other, commit, ok=(0, 1))).code

    async def exists(self, commit: str) -> bool:
        return not (await self.git("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128))).code

    # Worktrees

    async def checkout(self, folder: Path, commit: str) -> None:
        """Makes a worktree at a commit, on no branch; what was at that place before is gone."""
        async with self._listing:
            await self._remove(folder)
            make_folder(folder.parent, next(path for path in folder.parents if path.is_dir()))
            words = ("worktree", "add", "--force", "--detach", "--no-checkout", str(folder), commit)
            await self.git(*words)
        await self.git("reset", "--quiet", "--hard", at=folder)

    def is_whole(self, folder: Path) -> bool:
        """Whether a worktree was made to its end, and is still there."""
        known = self._known(folder)
        return known is not None and (known / WHOLE).exists() and folder.is_dir()

    def set_whole(self, folder: Path) -> None:
        """Says that all is in a worktree that belongs there; until then nothing may be read out of it."""
        if (known := self._known(folder)) is not None:
            (known / WHOLE).touch()

    async def remove(self, folder: Path) -> None:
        """Takes a worktree away with everything in it."""
        async with self._listing:
            await self._remove(folder)

    async def _remove(self, folder: Path) -> None:
        words = ("worktree", "remove", "--force", "--force", str(folder))
        if self._known(folder):
            await self.git(*words, ok=range(256))
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            if self._known(folder):
                await self.git(*words, ok=range(256))  # nothing is there now that could be wrong

    async def nested(self, folder: Path) -> list[str]:
        """Repositories that were made inside a worktree: of their files no commit of ours would hold any."""
        listed = await self.git("ls-files", "--others", "--exclude-standard", "-z", at=folder)
        return [name for name in os.fsdecode(listed.out).split("\0") if name.endswith("/")]

    async def keep(self, folder: Path, message: str) -> str:
        """Commits everything in a worktree that changed; returns the commit it then stands at.

        What git ignores is left out, and what merely running something leaves behind.
        """
        never = [f":(exclude,glob)**/{name}/**" for name in sorted(NEVER)]
        await self.git("add", "--all", "--", ".", *never, at=folder)
        staged = await self.git("diff", "--cached", "--quiet", at=folder, ok=(0, 1))
        if staged.code:
            await self.git("commit", "--quiet", "--no-verify", "-m", message, at=folder)
        return await self.at(folder)

    async def at(self, folder: Path) -> str:
        """The commit that a worktree stands at."""
        return (await self.git("rev-parse", "--verify", "HEAD^{commit}", at=folder)).text

    async def merge(self, folder: Path, commit: str, message: str) -> bool:
        """Merges a commit into a worktree. False where they collide: then the collision lies there."""
        words = ("merge", "--quiet", "--no-verify", "--no-edit", "--no-stat", "-m", message, commit)
        done = await self.git(*words, at=folder, ok=(0, 1, 2))
        if not done.code:
            return True
        if not (await self.git("ls-files", "--unmerged", "-z", at=folder)).out:
            raise StrettoError("git-failed", f"`git merge` did not do its work: {done.err.strip()[-400:]}")
        return False

    async def undo_merge(self, folder: Path) -> None:
        """Goes back to before a merge that collided."""
        await self.git("reset", "--quiet", "--hard", at=folder)

    async def conclude(self, folder: Path, message: str) -> None:
        """Ends a merge whose collisions have been resolved and added."""
        await self.git("commit", "--quiet", "--no-verify", "-m", message, at=folder)


def _no_repository(why: str, next: str) -> StrettoError:
    return StrettoError("no-repository", f"a worktree cannot be made: {why}", next=next)


def _environ() -> dict[str, str]:
    """Ours without what would point git elsewhere; it speaks English and asks nobody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_EDITOR": "true",
    }


async def _git(at: Path, *words: str, stdin: bytes = b"", place: Mapping[str, str] | None = None) -> Done:
    settings = [word for name, value in SETTINGS for word in ("-c", f"{name}={value}")]
    process = await asyncio.create_subprocess_exec(
        "git",
        *settings,
        *words,
        cwd=at,
        env={**_environ(), **(place or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: what runs may end
    )
    try:
        out, err = await process.communicate(stdin)
    except BaseException:
        # Asked to end, git takes its lock files along.
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.shield(process.wait())
        raise
    return Done(process.returncode or 0, out, err.decode(errors="replace"))
