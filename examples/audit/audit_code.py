"""Reads the structure of code: signatures, complexity, and a few words about each module."""

from __future__ import annotations

import ast
import re
import statistics
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from audit_text import Source, blanked, line_count, read_sources, spans

MAX_SIGNATURE = 200  # characters
MAX_BRIEF = 280  # bytes; see `brief`

Function = ast.FunctionDef | ast.AsyncFunctionDef

_PARSING = threading.Lock()  # `catch_warnings` changes the whole process

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert)

_SCRIPT = (
    ("function", r"\s*(?:export\s+)?(?:default\s+)?(?:async\s+)?function\s*\*?\s*(?P<name>[\w$]+)\s*[(<]"),
    ("class", r"\s*(?:export\s+)?(?:default\s+)?(?:abstract\s+)?class\s+(?P<name>[\w$]+)"),
    (
        "function",
        r"\s*(?:export\s+)?(?:const|let|var)\s+(?P<name>[\w$]+)\s*=\s*(?:async\s+)?"
        r"(?:\([^()]*\)|[\w$]+)\s*=>",
    ),
)
_MEMBERS = r"(?:public|protected|private|internal|static|final|abstract|synchronized|override|default)"
_PATTERNS = {
    "JavaScript": _SCRIPT,
    "TypeScript": _SCRIPT,
    "Go": (
        ("function", r"func\s+(?:\([^()]*\)\s*)?(?P<name>\w+)\s*[(\[]"),
        ("class", r"type\s+(?P<name>\w+)\s+(?:struct|interface)\b"),
    ),
    "Rust": (
        (
            "function",
            r"\s*(?:pub(?:\([^()]*\))?\s+)?(?:(?:const|async|unsafe|extern)\s+)*fn\s+(?P<name>\w+)\s*[(<]",
        ),
        ("class", r"\s*(?:pub(?:\([^()]*\))?\s+)?(?:struct|enum|trait)\s+(?P<name>\w+)"),
    ),
    "Java": (
        ("class", rf"\s*(?:{_MEMBERS}\s+)*(?:class|interface|enum|record)\s+(?P<name>\w+)"),
        ("function", rf"\s*(?:{_MEMBERS}\s+)+[\w<>\[\],.? ]*?\b(?P<name>\w+)\s*\([^;=]*$"),
    ),
}
_OTHERS = {
    language: tuple((kind, re.compile(pattern)) for kind, pattern in patterns)
    for language, patterns in _PATTERNS.items()
}


def parsed(source: Source) -> ast.Module | None:
    """The syntax tree of a Python file; None when it is another language or does not parse."""
    if source.language.name != "Python":
        return None
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in audited code is not our warning
        try:
            return ast.parse(source.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def signatures(repo: str, files: list[str]) -> dict[str, Any]:
    """Lists functions and classes: `{items: [{file, line, kind, name, text}], unparsed: [file]}`.

    Python is read by its own parser. JavaScript, TypeScript, Go, Rust and Java are read line by line with
    patterns, which miss what is written over several lines; other languages are left out.
    """
    items: list[dict[str, Any]] = []
    unparsed: list[str] = []
    for source in read_sources(repo, files):
        tree = parsed(source)
        if tree:
            items += ({"file": source.file, **item} for item in _python_items(tree))
        elif source.language.name == "Python":
            unparsed.append(source.file)
        else:
            items += ({"file": source.file, **item} for item in _other_items(source))
    return {"items": items, "unparsed": unparsed}


def _python_items(tree: ast.Module) -> list[dict[str, Any]]:
    items = []
    for name, node, in_class in _definitions(tree):
        kind = "class" if isinstance(node, ast.ClassDef) else "method" if in_class else "function"
        items.append({"line": node.lineno, "kind": kind, "name": name, "text": _signature(node)})
    return sorted(items, key=lambda item: item["line"])


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | Function, bool]]:
    """Every class and function with its dotted name, and whether it stands directly in a class."""
    todo: list[tuple[ast.AST, str, bool]] = [(tree, "", False)]
    while todo:
        at, prefix, in_class = todo.pop()
        for child in ast.iter_child_nodes(at):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, child, in_class
                todo.append((child, f"{prefix}{child.name}.", isinstance(child, ast.ClassDef)))
            elif not isinstance(child, ast.expr):
                todo.append((child, prefix, in_class))


def _signature(node: ast.ClassDef | Function) -> str:
    try:
        if isinstance(node, ast.ClassDef):
            inside = ", ".join(ast.unparse(part) for part in [*node.bases, *node.keywords])
            text = f"class {node.name}({inside})" if inside else f"class {node.name}"
        else:
            word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            text = f"{word} {node.name}({ast.unparse(node.args)}){result}"
    except RecursionError:
        text = f"{node.name}(...)"
    return shortened(text, MAX_SIGNATURE)


def _other_items(source: Source) -> Iterator[dict[str, Any]]:
    found = spans(source)
    bare = blanked(source.text, sorted(found.comments + found.strings))
    lines = source.text.split("\n")
    for number, line in enumerate(bare.split("\n"), 1):
        # Patterns look at one line of sane length only: no audited file can make them slow.
        for kind, pattern in _OTHERS.get(source.language.name, ()) if len(line) <= 500 else ():
            match = pattern.match(line)
            if match:
                text = shortened(lines[number - 1].split("{")[0], MAX_SIGNATURE)
                yield {"line": number, "kind": kind, "name": match["name"], "text": text}
                break


def shortened(text: str, most: int) -> str:
    """The text on one line, cut to `most` characters with a sign that it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def hotspots(repo: str, files: list[str], most: int = 20) -> dict[str, Any]:
    """Ranks Python functions: `{functions, median, top: [{file, line, name, complexity, lines}]}`.

    Complexity is McCabe's, counted on the syntax tree: one, plus one for each branch, loop, handler,
    assertion, case, comprehension and its conditions, and each further `and` or `or`. A function inside
    another counts for itself.
    """
    rows: list[dict[str, Any]] = [
        {
            "file": source.file,
            "line": node.lineno,
            "name": name,
            "complexity": _complexity(node),
            "lines": (node.end_lineno or node.lineno) - node.lineno + 1,
        }
        for source in read_sources(repo, files)
        if (tree := parsed(source))
        for name, node, _ in _definitions(tree)
        if not isinstance(node, ast.ClassDef)
    ]
    rows.sort(key=lambda row: (-row["complexity"], row["file"], row["line"]))
    median = statistics.median_low([row["complexity"] for row in rows]) if rows else 0
    return {"functions": len(rows), "median": median, "top": rows[:most]}


def _complexity(function: Function) -> int:
    total = 1
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        match node:
            case ast.BoolOp():
                total += len(node.values) - 1
            case ast.comprehension():
                total += 1 + len(node.ifs)
            case ast.match_case(pattern=ast.MatchAs(pattern=None), guard=None):
                pass  # `case _:` is the other side of a branch already counted
            case ast.match_case():
                total += 1
            case _:
                total += isinstance(node, _BRANCHES)
        todo.extend(ast.iter_child_nodes(node))
    return total


def modules(repo: str, files: list[str], most: int = 24) -> dict[str, Any]:
    """Picks the largest modules to ask a model about: `{asked: [{file, lines, brief}], rest: [file]}`.

    A module is a source file in a programming language with something in it. One that neither says what it is
    for nor defines anything by name goes to `rest`: from a file name alone a small model invents a purpose.
    `rest` is in the order of size too.
    """
    found = [
        (line_count(source.text), source.file, brief(source))
        for source in read_sources(repo, files)
        if source.language.is_code and source.text.strip()
    ]
    found.sort(key=lambda module: (-module[0], module[1]))
    telling = [module for module in found if "\n" in module[2]][:most]
    asked = [{"file": file, "lines": lines, "brief": about} for lines, file, about in telling]
    chosen = {file for _, file, _ in telling}
    return {"asked": asked, "rest": [file for _, file, _ in found if file not in chosen]}


def brief(source: Source, most: int = MAX_BRIEF) -> str:
    """At most `most` bytes about a module for a model: its name, what it says of itself, what it defines.

    A bound in bytes needs no tokenizer: a token of a byte-level vocabulary is never shorter than a byte, so
    280 bytes, the question and the chat template stay under 400 tokens whatever the file holds. And small
    models answered no better with 700 bytes, but took longer.
    """
    tree = parsed(source)
    said, names = _python_outline(tree) if tree else _other_outline(source)
    text = "File: " + _cut(" ".join(source.file.split()), 80, keep_end=True)
    text += f"\n{_cut(said, 120)}" if said else ""
    listed = ""
    for name in names[:8]:
        longer = f"{listed}, {name}" if listed else f"\nDefines: {name}"
        if len((text + longer).encode()) > most:
            break
        listed = longer
    return _cut(text + listed, most)


def _python_outline(tree: ast.Module) -> tuple[str, list[str]]:
    """What the module says of itself, and its public names, the largest first.

    Without a docstring of its own, the first one among its largest definitions speaks for it.
    """
    tops = [
        node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    tops = [node for node in tops if not node.name.startswith("_")] or tops
    tops.sort(key=lambda node: node.lineno - (node.end_lineno or node.lineno))
    said = _first_sentence(ast.get_docstring(tree))
    if said:
        return f"Purpose: {said}", _distinct(node.name for node in tops)
    for node in tops:
        said = _first_sentence(ast.get_docstring(node))
        if said:
            return f"{node.name}: {said}", _distinct(node.name for node in tops)
    return "", _distinct(node.name for node in tops)


def _other_outline(source: Source) -> tuple[str, list[str]]:
    """The comment that opens the file, and the names of what it defines."""
    start = len(source.text) - len(source.text.lstrip())
    opening = next((source.text[a:b] for a, b in spans(source).comments if a == start), "")
    words = _first_sentence("\n".join(line.strip("/*#;-!<> \t") for line in opening.split("\n")))
    return f"Purpose: {words}" if words else "", _distinct(item["name"] for item in _other_items(source))


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) ", paragraph)[0]


def _cut(text: str, most: int, *, keep_end: bool = False) -> str:
    """At most `most` bytes of UTF-8; a file's name keeps its end, a sentence its beginning."""
    raw = text.encode()
    if len(raw) <= most:
        return text
    kept = raw[len(raw) - most + 3 :] if keep_end else raw[: most - 3]
    return f"...{kept.decode('utf-8', 'ignore')}" if keep_end else f"{kept.decode('utf-8', 'ignore')}..."
