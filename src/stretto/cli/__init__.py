"""The command line: parses words, calls one function, prints its result."""

from __future__ import annotations

import difflib
import importlib
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import stretto
from stretto.cli.grammar import VERBS, overview, parser
from stretto.errors import EXIT_COULD_NOT, EXIT_INTERRUPTED, EXIT_OK, StrettoError, render
from stretto.live.words import plain
from stretto.workspace.redact import Redactor


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out one command and returns its exit code; every failure is printed, none is raised."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_what_is_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _that_remembers(stream))
    try:
        code = _answer(words)
        if (lost := _lost(sys.stdout)) is not None:
            raise lost
    except StrettoError as failed:
        return _fail(failed, words)
    except BrokenPipeError:
        _drop_unwritten()
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as failed:
        if isinstance(failed, OSError) and (full := _drop_unwritten()):
            return _fail(_cannot_print(full), [])
        return _fail(_late("bug").report(failed), words)
    return code


class _Way(io.FileIO):
    """The way out of this process; it remembers that something could not be written."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as failed:
            self.failed = failed
            raise


def _that_remembers(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The stream so that it shows any letter, and knows later what it could not write."""
    if stream in (sys.__stdout__, sys.__stderr__):
        unbuffered = isinstance(stream.buffer, io.RawIOBase)
        out = io.BufferedWriter(_Way(stream.fileno(), "w", closefd=False))
        by_line = stream.line_buffering or unbuffered
        stream = io.TextIOWrapper(out, stream.encoding, line_buffering=by_line)
    # A terminal that cannot show a letter gets its number, not a traceback.
    stream.reconfigure(errors="backslashreplace")
    return stream


def _lost(stream: Any) -> OSError | None:
    """Why something that was written to this stream never left this process."""
    try:
        stream.flush()
    except OSError as failed:
        return failed
    way = getattr(getattr(stream, "buffer", None), "raw", None)
    return way.failed if isinstance(way, _Way) else None


def _open_what_is_closed() -> None:
    """Streams that were closed by whoever started us (`2>&-`) lead nowhere; no file takes their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is taken: that of the closed stream.
            stream = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(stream, mode, encoding="utf-8"))


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        print(overview(), file=sys.stdout if words else sys.stderr)
        return EXIT_OK if words else EXIT_COULD_NOT
    if words[0] in ("-V", "--version"):
        print(f"stretto {stretto.__version__}")
        return EXIT_OK
    if words[0] == "help":
        words = [*words[1:], "--help"]
    name, *rest = words
    if rest and f"{name} {rest[0]}" in VERBS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    if name not in VERBS:
        raise _unknown_verb(name)
    flags = parser(name)
    if "-h" in rest or "--help" in rest:
        print(flags.format_help(), end="")
        return EXIT_OK
    args = flags.parse_args(rest)
    carry_out = getattr(_late(VERBS[name].module), name.split()[-1])
    code: int = carry_out(args)
    return code


def _late(module: str) -> Any:
    """A verb's own module, imported when the verb is chosen: `--help` and `--version` load none of them."""
    return importlib.import_module(f"stretto.cli.{module}")


def _unknown_verb(name: str) -> StrettoError:
    near = difflib.get_close_matches(name, VERBS, n=1)
    fix = f"did you mean `stretto {near[0]}`? " if near else ""
    return StrettoError("usage", f"there is no command {name!r}", next=f"{fix}`stretto --help` lists them")


def _fail(failed: StrettoError, words: list[str]) -> int:
    """Says what went wrong on stderr and, where JSON was asked for, as one object on stdout."""
    findings = list(getattr(failed, "findings", ()))
    redact = Redactor(os.environ).redact
    try:
        if "--json" in words:
            said = {"what": failed.what, "at": failed.at, "next": failed.next}
            error = {"slug": failed.slug, **{name: redact(text) for name, text in said.items()}}
            data: dict[str, Any] = {"schema": "stretto/error/1", "error": error}
            if findings:
                data["findings"] = [_late("findings").finding_data(f) for f in findings]
            print(json.dumps(data), flush=True)
    except OSError:
        _drop_unwritten()  # the words below still have another way
    try:
        lines = [line for f in findings for line in _late("findings").finding_lines(f)]
        # An error that stands beside findings is told by them; what `checklist` adds is how to go on.
        told = findings and failed.slug != "checklist"
        lines.append(f"{failed.what}: nothing was started" if told else render(failed))
        print(plain(redact("\n".join(lines))), file=sys.stderr, flush=True)
    except OSError:
        _drop_unwritten()
    return failed.code


def _cannot_print(why: str) -> StrettoError:
    return StrettoError(
        "cannot-write",
        f"cannot write to {why}",
        next="make room or send it elsewhere; what a run did is in its journal: `stretto show last`",
    )


def _drop_unwritten() -> str:
    """What a stream cannot take (`head` has enough, a disk is full) goes nowhere; returns which and why."""
    found = ""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream, name in ((sys.stderr, "standard error"), (sys.stdout, "standard output")):
        if (lost := _lost(stream)) is not None:
            found = f"{name}: {lost.strerror or lost}"
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return found
