"""Writes what tasks made into files of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from stretto.journal import Journal
from stretto.journal.private import make_folder
from stretto.report.story import History, tasks_of
from stretto.scheduler.vertex import SUCCEEDED
from stretto.workspace.root import task_folder


def materialise(
    journal: Journal, folder: Path, history: History, only: Iterable[str] | None = None
) -> dict[str, str]:
    """Writes the output of every task that succeeded into `folder/tasks/ID/output.txt` or `.json`.

    Returns the paths by task. A file that cannot be written is left out: no path is named that is not there.
    """
    paths: dict[str, str] = {}
    wanted = None if only is None else set(only)
    for vertex in tasks_of(history.state):
        if vertex.state != SUCCEEDED or (wanted is not None and vertex.id not in wanted):
            continue
        ending = "txt" if vertex.task.output_kind == "text" else "json"
        path = task_folder(folder, vertex.id) / f"output.{ending}"
        with contextlib.suppress(OSError):
            data = journal.blob(vertex.output)
            if not _has(path, data):
                _write(path, data, folder.parent)
            paths[vertex.id] = str(path)
    return paths


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write(path: Path, data: bytes, folder: Path) -> None:
    """In one move, because two commands may write the same output at once."""
    make_folder(path.parent, folder)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(opened, "wb") as file:
            file.write(data)
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
