"""What a journal answers to a run it cannot give: wrong name, unknown, there already, open elsewhere."""

from __future__ import annotations

import re

from stretto.errors import StrettoError

# A run's name is a folder's name, and stands in `run/task#n`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_name(run: str) -> bool:
    return _NAME.fullmatch(run) is not None


def check_name(run: str) -> str:
    if not is_name(run):
        raise StrettoError(
            "bad-run-name",
            f"{run!r} cannot name a run",
            next="use letters, digits, `.`, `_` and `-`, at most 100, a letter or digit first",
        )
    return run


def unknown_run(run: str) -> StrettoError:
    return StrettoError(
        "no-such-run", f"there is no run {run!r} in this project", next="`stretto ls` lists its runs"
    )


def run_exists(run: str) -> StrettoError:
    return StrettoError(
        "run-exists",
        f"there is a run {run!r} already",
        next=f"`stretto resume {run}` continues it; a new run needs another name",
    )


def run_is_live(run: str, pid: str) -> StrettoError:
    return StrettoError(
        "run-is-live",
        f"run {run} is being carried out by another process" + (f" (pid {pid})" if pid else ""),
        next=f"`stretto watch {run}` shows it; `stretto cancel {run}` ends it",
    )
