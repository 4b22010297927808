"""Named points at which a crash test lets the process die: `STRETTO_FAILPOINT=name` or `name:N`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

NAMES = frozenset({"before-commit", "after-commit", "before-blob-rename", "after-blob-rename"})


def _nothing(name: str) -> None:
    pass


def _dies_at(chosen: str, passage: int) -> Callable[[str], None]:
    left = passage

    def reach(name: str) -> None:
        nonlocal left
        if name == chosen:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _chosen(setting: str) -> Callable[[str], None]:
    if not setting:
        return _nothing
    name, _, passage = setting.partition(":")
    if name not in NAMES or not (passage or "1").isdigit():
        raise ValueError(f"STRETTO_FAILPOINT={setting}: the names are {', '.join(sorted(NAMES))}, then `:N`")
    return _dies_at(name, int(passage or 1))


# Read once: an unset variable costs one call of an empty function per commit.
reach = _chosen(os.environ.get("STRETTO_FAILPOINT", ""))
