"""Looks for processes, wherever they hang."""

from __future__ import annotations

import os

import psutil


def nap(seconds: int) -> str:
    """A number of seconds that nobody else's tests sleep for."""
    return f"{seconds}.{os.getpid()}"


def sleeping(seconds: str) -> list[int]:
    """Processes of `sleep SECONDS`, wherever they hang."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            found.append(process.pid)
    return found
