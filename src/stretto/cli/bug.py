"""What to do with an exception that nobody expected: keep its story, ask for a report."""

from __future__ import annotations

import os
import tempfile
import traceback

import stretto
from stretto.errors import StrettoError, bug
from stretto.workspace.redact import Redactor


def report(failed: Exception) -> StrettoError:
    """The error to show instead of a traceback, which goes into a file that only its owner can read."""
    frames = traceback.extract_tb(failed.__traceback__)
    last = frames[-1] if frames else None
    found = bug(f"{type(failed).__name__}: {failed}")
    found.at = f"{os.path.basename(last.filename)}:{last.lineno} in {last.name}" if last is not None else ""
    try:
        handle, path = tempfile.mkstemp(prefix="stretto-bug-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"stretto {stretto.__version__}\n")
            file.write(Redactor(os.environ).redact("".join(traceback.format_exception(failed))))
    except OSError:
        return found
    found.next = f"please report it with {path} and the output of `stretto doctor --json`"
    return found
