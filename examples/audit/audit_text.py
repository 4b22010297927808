"""Knows languages by file name and finds the comments and the strings in their text."""

from __future__ import annotations

import bisect
import io
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 1_000_000  # a larger file is generated or data; reading it would say little about the code


class Language(NamedTuple):
    """A language: its name, how its comments look, and whether its files are modules."""

    name: str
    family: str
    is_code: bool


class Source(NamedTuple):
    """One file of the audited code base, read and decoded; its lines end in a bare newline."""

    file: str
    language: Language
    text: str
    bytes: int


class Spans(NamedTuple):
    """Where the comments and the strings of a text are, as (start, end) offsets in order."""

    comments: list[tuple[int, int]]
    strings: list[tuple[int, int]]


_TABLE = """
Python          python   code  .py .pyi .pyw
JavaScript      script   code  .js .mjs .cjs .jsx
TypeScript      script   code  .ts .mts .cts .tsx
Go              go       code  .go
Rust            c        code  .rs
Java            c        code  .java
Kotlin          c        code  .kt .kts
C               c        code  .c .h
C++             c        code  .cc .cpp .cxx .hh .hpp .hxx
C#              c        code  .cs
Swift           c        code  .swift
Scala           c        code  .scala
Dart            script   code  .dart
Zig             c        code  .zig
PHP             php      code  .php
Ruby            hash     code  .rb Rakefile Gemfile
Perl            hash     code  .pl .pm
Shell           hash     code  .sh .bash .zsh
PowerShell      hash     code  .ps1
Elixir          hash     code  .ex .exs
R               hash     code  .r
Julia           hash     code  .jl
Nix             hash     code  .nix
SQL             dash     code  .sql
Lua             dash     code  .lua
Haskell         dash     code  .hs
Elm             dash     code  .elm
Ada             dash     code  .adb .ads
Clojure         semi     code  .clj .cljs
Lisp            semi     code  .lisp .el .scm .rkt
Erlang          percent  code  .erl .hrl
TeX             percent  text  .tex
Vue             html     code  .vue
Svelte          html     code  .svelte
HTML            html     text  .html .htm
XML             markup   text  .xml .xsl
Markdown        markup   text  .md .markdown
CSS             css      text  .css
SCSS            script   text  .scss .less
YAML            hash     text  .yaml .yml
TOML            hash     text  .toml
INI             ini      text  .ini .cfg
Make            hash     text  .mk Makefile GNUmakefile makefile
Docker          hash     text  .dockerfile Dockerfile Containerfile
Just            hash     text  justfile Justfile
CMake           hash     text  .cmake CMakeLists.txt
Terraform       hash     text  .tf .hcl
Protobuf        c        text  .proto
GraphQL         hash     text  .graphql .gql
"""


def _languages() -> dict[str, Language]:
    found: dict[str, Language] = {}
    for row in _TABLE.split("\n"):
        if row:
            name, family, kind, *names = row.split()
            found |= dict.fromkeys(names, Language(name, family, kind == "code"))
    return found


_LANGUAGES = _languages()
# Python's other codecs are no character sets: some make lone surrogates, some take quadratic time.
_CHARSET = re.compile(
    r"utf-8(-sig)?|ascii|iso-8859-\d+|cp125\d|koi8-[ru]|shift_jis|euc_?-?jp|gbk|gb18030|big5"
)
_SHEBANGS = {
    "python": _LANGUAGES[".py"],
    "node": _LANGUAGES[".js"],
    "ruby": _LANGUAGES[".rb"],
    "perl": _LANGUAGES[".pl"],
    **dict.fromkeys(("sh", "bash", "zsh", "dash", "ksh"), _LANGUAGES[".sh"]),
}

# Strings come first, so that a comment mark inside one is not taken for a comment. One between quotes ends
# on its line: a stray apostrophe spoils one line, never the rest. The bounds keep hostile text linear:
# without them a megabyte of escaped quotes that nothing closes would take hours.
_DOUBLE = r'"(?:\\[\s\S]|[^"\\\n]){0,300}"'
_SINGLE = r"'(?:\\[\s\S]|[^'\\\n]){0,300}'"
_TICKS = r"`(?:\\[\s\S]?|[^`\\])*+(?:`|\Z)"
_CHARACTER = r"'(?:\\[^'\n]{1,10}|[^'\\\n])'"  # not a Rust lifetime
_TRIPLE = r'"""[\s\S]*?"""'
_LINE, _BLOCK = r"//[^\n]*", r"/\*[\s\S]*?(?:\*/|\Z)"
_MARKUP = r"<!--[\s\S]*?(?:-->|\Z)"
_HASH = r"(?<![^\s;)])#[^\n]*"  # `$#`, `${#a}` and a URL's fragment are not comments
_NEVER = r"(?!)"


def _scanner(strings: str, comments: str) -> re.Pattern[str]:
    return re.compile(f"(?P<string>{strings})|(?P<comment>{comments})", re.MULTILINE)


_SCANNERS = {
    "c": _scanner(f"{_TRIPLE}|{_DOUBLE}|{_CHARACTER}", f"{_LINE}|{_BLOCK}"),
    "go": _scanner(rf"{_DOUBLE}|{_CHARACTER}|`[^`]*(?:`|\Z)", f"{_LINE}|{_BLOCK}"),
    "script": _scanner(f"{_DOUBLE}|{_SINGLE}|{_TICKS}", f"{_LINE}|{_BLOCK}"),
    "php": _scanner(f"{_DOUBLE}|{_SINGLE}", f"{_LINE}|{_BLOCK}|{_HASH}"),
    "hash": _scanner(rf"(?<!\w){_DOUBLE}|(?<!\w){_SINGLE}", _HASH),
    "python": _scanner(rf"{_TRIPLE}|'''[\s\S]*?'''|{_DOUBLE}|{_SINGLE}", r"#[^\n]*"),
    "dash": _scanner(
        rf"{_DOUBLE}|(?<!\w){_SINGLE}",
        rf"--\[\[[\s\S]*?(?:\]\]|\Z)|--[^\n]*|\{{-[\s\S]*?(?:-\}}|\Z)|{_BLOCK}",
    ),
    "semi": _scanner(r'"(?:\\[\s\S]?|[^"\\])*+(?:"|\Z)', r";[^\n]*"),
    "ini": _scanner(_NEVER, r"^[ \t]*[;#][^\n]*"),
    "percent": _scanner(_DOUBLE, r"(?<!\\)%[^\n]*"),
    "css": _scanner(f"{_DOUBLE}|{_SINGLE}", _BLOCK),
    "markup": _scanner(_NEVER, _MARKUP),
    "html": _scanner(_NEVER, rf"{_MARKUP}|{_BLOCK}|^[ \t]*//[^\n]*"),
}


def language_of(file: str, head: bytes = b"") -> Language | None:
    """The language of a file by its name, else by the `#!` in its first bytes; None when it is no source."""
    name = file.rsplit("/", 1)[-1]
    suffix = "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""
    known = _LANGUAGES.get(name) or _LANGUAGES.get(suffix)
    if known or suffix or not head.startswith(b"#!"):
        return known
    words = head.split(b"\n", 1)[0].decode("ascii", "replace")[2:].split()
    program = words[1] if len(words) > 1 and words[0].endswith("/env") else words[0] if words else ""
    return _SHEBANGS.get(program.rsplit("/", 1)[-1].rstrip("0123456789."))


def read_sources(repo: str, files: list[str]) -> Iterator[Source]:
    """Yields the named files that are source, in the given order; one that is gone by now is left out.

    A name that leads out of `repo` is left out too: the list may have passed through other hands.
    """
    root = os.path.realpath(repo)
    for file in files:
        path = os.path.join(root, file)
        try:
            real = os.path.realpath(path)
            if real != os.path.normpath(path) or not real.startswith(os.path.join(root, "")):
                continue
            raw = Path(real).read_bytes()
        except (OSError, ValueError):
            continue
        language = language_of(file, raw[:200])
        if language and len(raw) <= MAX_BYTES and b"\0" not in raw[:8192]:
            yield Source(file, language, _decode(raw, language), len(raw))


def _decode(raw: bytes, language: Language) -> str:
    encoding = "utf-8-sig"
    if language.name == "Python":
        try:
            said = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
        except SyntaxError:
            said = ""  # an unknown or wrong coding line: UTF-8 with replacement signs still counts and finds
        encoding = said if _CHARSET.fullmatch(said) else encoding
    text = raw.decode(encoding, "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def spans(source: Source) -> Spans:
    """Finds comments and strings: Python by its own tokenizer, the rest (and broken Python) by patterns."""
    if source.language.family == "python":
        try:
            return _python_spans(source.text)
        except (tokenize.TokenError, SyntaxError):
            pass
    comments: list[tuple[int, int]] = []
    strings: list[tuple[int, int]] = []
    for match in _SCANNERS[source.language.family].finditer(source.text):
        (comments if match.lastgroup == "comment" else strings).append(match.span())
    return Spans(comments, strings)


def _python_spans(text: str) -> Spans:
    starts = line_starts(text)
    found = Spans([], [])
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        span = (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1])
        if token.type == tokenize.ERRORTOKEN:
            raise SyntaxError  # no Python; before 3.12 the tokenizer goes on, in quadratic time
        if token.type == tokenize.COMMENT:
            found.comments.append(span)
        elif token.type == tokenize.STRING:
            found.strings.append(span)
    return found


def line_starts(text: str) -> list[int]:
    """The offset at which each line begins; one more entry stands for the end of the text."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def line_count(text: str) -> int:
    """How many lines a text has; a last one without a line end counts."""
    return text.count("\n") + (text != "" and not text.endswith("\n"))


def line_at(starts: list[int], offset: int) -> int:
    """The number, from 1, of the line that holds `offset`."""
    return bisect.bisect_right(starts, offset)


def blanked(text: str, gone: list[tuple[int, int]]) -> str:
    """The text with the given spans turned into blanks; offsets and line ends stay where they were."""
    parts: list[str] = []
    at = 0
    for start, end in gone:
        parts += text[at:start], re.sub(r"[^\n]", " ", text[start:end])
        at = end
    return "".join([*parts, text[at:]])
