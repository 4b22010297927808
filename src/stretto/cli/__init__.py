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


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out one command and returns its exit code; every failure is printed, none is raised."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its number, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _answer(words)
        sys.stdout.flush()
    except StrettoError as failed:
        return _fail(failed, words)
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as failed:
        return _fail(_late("bug").report(failed), words)
    return code


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        print(overview(), file=sys.stdout if words else sys.stderr)
        return EXIT_OK if words else EXIT_COULD_NOT
    if words[0] in ("-V", "--version"):
        print(f"stretto {stretto.__version__}")
        return EXIT_OK
    if words[0] == "help":
        words = [words[1], "--help"]
    name, *rest = words
    if name not in VERBS:
        raise _unknown_verb(name)
    flags = parser(name)
    if "-h" in rest or "--help" in rest:
        print(flags.format_help(), end="")
        return EXIT_OK
    args = flags.parse_args(rest)
    carry_out = getattr(_late(VERBS[name].module), name)
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
    try:
        if "--json" in words:
            error = {"slug": failed.slug, "what": failed.what, "at": failed.at, "next": failed.next}
            data: dict[str, Any] = {"schema": "stretto/error/1", "error": error}
            if findings:
                data["findings"] = [_late("check").finding_data(f) for f in findings]
            print(json.dumps(data))
        lines = [line for f in findings for line in _late("check").finding_lines(f)]
        lines.append(f"{failed.what}: nothing was started" if findings else render(failed))
        print(plain("\n".join(lines)), file=sys.stderr)
    except BrokenPipeError:
        _reader_left()
    return failed.code


def _reader_left() -> int:
    """Whoever read our output (`head`) has enough; what is still buffered goes nowhere, silently."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return EXIT_OK
