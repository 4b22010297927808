"""Writes what was measured, and what a model said, as a Markdown page that no content can break."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

MAX_NOTES = 2_000  # open notes listed
MAX_ROWS = 200  # rows of any other list
MAX_ANSWER = 400  # characters of one answer
SIMULATED = "[simulated]"  # how the answers of simulated agents begin

# An underscore inside a word means nothing, so `snake_case` stays readable.
_SPECIAL = re.compile(r"[\\`|&<>*\[\]~#$!{}@]|(?<![^\W_])_|_(?![^\W_])|://|\bwww\.|^(?:\d+[.)]|[-+=])")


def report(
    found: dict[str, Any],
    sizes: dict[str, Any],
    todos: list[dict[str, Any]],
    endpoints: list[dict[str, Any]],
    signatures: dict[str, Any],
    hotspots: dict[str, Any],
    modules: dict[str, Any],
    answers: list[Any],
    failed: list[dict[str, Any]] | None = None,
    repo: str = "",
    said_by: str = "the model",
    rehearsed: bool = False,
    large: list[str] | None = None,
) -> str:
    """The whole page. `answers` are those of `modules.asked` in order, without the ones in `failed`.

    `failed` is what a group's `.failed` gives: `[{item, error}]`, the item being a module. With `rehearsed`
    the page says that no model was asked; so it does when the answers themselves say that they are simulated.
    """
    rehearsed = rehearsed or any(str(answer).startswith(SIMULATED) for answer in answers)
    said = "rehearsed: no model was asked" if rehearsed else f"*model said*: {plain(said_by)}"
    parts = [
        _head(found, sizes, repo, said_by, rehearsed),
        _purposes(modules, answers, failed or [], said),
        _sizes(sizes),
        _todos(todos),
        _endpoints(endpoints),
        _hotspots(hotspots),
        _signatures(signatures),
        _large(large, repo),
        _skipped(found),
    ]
    return "\n\n".join(parts) + "\n"


def _head(found: dict[str, Any], sizes: dict[str, Any], repo: str, said_by: str, rehearsed: bool) -> str:
    total = sizes["total"]
    how = "as git tracks them" if found["how"] == "git" else "found by walking the folder"
    commit = f", HEAD at {code(found['commit'])}" if found["commit"] else ""
    said = (
        "**Rehearsed**: the sentences on what each module is for are made up by simulated agents."
        if rehearsed
        else f"The one marked *model said* is what {plain(said_by)} wrote about a few words on each module; "
        "nobody checked it."
    )
    nothing = ["**There is nothing to audit**: no source file in a language known here.", ""]
    return "\n".join(
        [
            f"# Audit of {plain(repo)}" if repo else "# Audit",
            "",
            *(nothing if not total["files"] else []),
            f"{_count(total['files'], 'source file')}, {how}{commit}: {total['lines']:,} lines, "
            f"of which {total['code']:,} code; {total['bytes']:,} bytes.",
            "",
            "Sections marked *measured* were counted by programs. " + said,
        ]
    )


def _purposes(modules: dict[str, Any], answers: list[Any], failed: list[dict[str, Any]], said: str) -> str:
    asked: list[dict[str, Any]] = modules["asked"]
    lines = [f"## What each module is for ({said})", ""]
    if not asked:
        lines.append("There is no module to ask about.")
    pairs = _matched(asked, answers, failed)
    if pairs is None:
        pairs = [(module, None, "") for module in asked]
        lines += [
            f"{len(answers)} answers and {len(failed)} failures came back for {len(asked)} modules: "
            "it cannot be told which answer belongs to which module, so none is shown.",
            "",
        ]
    for module, answer, error in pairs:
        shown = f"“{plain(cut(answer, MAX_ANSWER))}”" if answer else "**no answer**"
        why = f" ({plain(cut(error, 200))})" if error else ""
        lines.append(f"- {code(module['file'])} ({_count(module['lines'], 'line')}): {shown}{why}")
    rest = modules["rest"]
    if rest:
        lines += [
            "",
            f"Not asked about: smaller, or without a word on themselves ({_count(len(rest), 'module')}):",
            "",
        ]
        lines += _listed([f"- {code(name)}" for name in rest], MAX_ROWS)
    return "\n".join(lines)


def _matched(
    asked: list[dict[str, Any]], answers: list[Any], failed: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], str | None, str]] | None:
    """Each module with its answer or its error; None when the numbers do not add up."""
    errors = {_file_of(entry.get("item")): str(entry.get("error") or "failed") for entry in failed}
    if len(answers) != sum(module["file"] not in errors for module in asked):
        return None
    rest = iter(answers)
    return [
        (module, None, errors[module["file"]])
        if module["file"] in errors
        else (module, " ".join(str(next(rest) or "").split()) or None, "")
        for module in asked
    ]


def _file_of(item: Any) -> str:
    return str(item.get("file")) if isinstance(item, dict) else str(item)


def _sizes(sizes: dict[str, Any]) -> str:
    lines = ["## Size (*measured*)", "", "A line of code is neither blank nor only a comment.", ""]
    lines += _table(
        ("language", "files", "lines", "code", "bytes"),
        [
            (row["language"], row["files"], row["lines"], row["code"], row["bytes"])
            for row in sizes["languages"]
        ],
    )
    largest = sizes["files"][:20]
    if largest:
        lines += ["", f"The largest {len(largest)} of {_count(len(sizes['files']), 'file')}:", ""]
        lines += _table(
            ("file", "language", "lines", "code"),
            [(row["file"], row["language"], row["lines"], row["code"]) for row in largest],
        )
    return "\n".join(lines)


def _todos(todos: list[dict[str, Any]]) -> str:
    lines = [
        f"## Open notes: {len(todos)} (*measured*)",
        "",
        "Comments with TODO, FIXME, XXX or HACK.",
        "",
    ]
    lines += _listed([f"- {_line(note, note['text'])}" for note in todos], MAX_NOTES)
    return "\n".join(lines)


def _endpoints(endpoints: list[dict[str, Any]]) -> str:
    lines = [f"## HTTP endpoints: {len(endpoints)} (*measured*)", "", "As declared in the code.", ""]
    lines += _listed([f"- {_line(row, row['method'], row['path'])}" for row in endpoints], MAX_NOTES)
    return "\n".join(lines)


def _hotspots(hotspots: dict[str, Any]) -> str:
    lines = ["## Complex functions (*measured*)", ""]
    lines += [
        f"McCabe's complexity of {_count(hotspots['functions'], 'Python function')}; "
        f"the median is {hotspots['median']}.",
        "",
    ]
    lines += _table(
        ("complexity", "function", "lines", "where"),
        [
            (row["complexity"], row["name"], row["lines"], f"{row['file']}:{row['line']}")
            for row in hotspots["top"]
        ],
    )
    return "\n".join(lines)


def _signatures(signatures: dict[str, Any]) -> str:
    items, unparsed = signatures["items"], signatures["unparsed"]
    kinds = {kind: sum(item["kind"] == kind for item in items) for kind in ("class", "function", "method")}
    lines = [
        "## Signatures (*measured*)",
        "",
        f"{_count(kinds['class'], 'class', 'classes')}, {_count(kinds['function'], 'function')}, "
        f"{_count(kinds['method'], 'method')}. Public classes and functions:",
        "",
    ]
    public = [item for item in items if item["kind"] != "method" and not _is_private(item["name"])]
    lines += _listed([f"- {_line(item, item['text'])}" for item in public], MAX_ROWS)
    if unparsed:
        lines += [
            "",
            "These Python files do not parse; their functions and endpoints are not in this page:",
            "",
        ]
        lines += _listed([f"- {code(name)}" for name in unparsed], MAX_ROWS)
    return "\n".join(lines)


def _is_private(name: str) -> bool:
    return "." in name or name.startswith("_")


def _large(large: list[str] | None, repo: str) -> str:
    """Large files as `find` names them, below the folder that was audited."""
    lines = ["## Files above 1 MB (*measured*)", ""]
    if large is None:
        return "\n".join([*lines, "Not known: they could not all be looked at."])
    names = sorted(os.path.relpath(name, repo or ".") for name in large)
    return "\n".join([*lines, *_listed([f"- {code(name)}" for name in names], MAX_ROWS)])


def _skipped(found: dict[str, Any]) -> str:
    skipped = found["skipped"]
    lines = ["## Left out (*measured*)", ""]
    lines.append(
        f"{_count(found['other'], 'file')} in no language known here; {len(skipped)} for another reason."
    )
    if skipped:
        lines += ["", *_listed([f"- {code(row['file'])}: {plain(row['why'])}" for row in skipped], MAX_ROWS)]
    return "\n".join(lines)


def _line(row: dict[str, Any], *words: str) -> str:
    """A place in the code and what stands there, to click on and to search for."""
    return code(f"{row['file']}:{row['line']}: {' '.join(words)}")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _listed(lines: list[str], most: int) -> list[str]:
    """The lines, or the first of them and how many more there are; "None." when there is none."""
    more = [f"- … and {len(lines) - most:,} more, in the output of the task"] if len(lines) > most else []
    return lines[:most] + more if lines else ["None."]


def _table(header: tuple[str, ...], rows: list[tuple[str | int, ...]]) -> list[str]:
    """A table; numbers are set to the right. An empty one is the word "None."."""
    if not rows:
        return ["None."]
    rule = ("---:" if isinstance(cell, int) else "---" for cell in rows[0])
    return [_row(header), _row(rule), *(_row(_cells(row)) for row in rows)]


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: tuple[str | int, ...]) -> Iterator[str]:
    for cell in row:
        yield f"{cell:,}" if isinstance(cell, int) else plain(cell)


def cut(text: str, most: int) -> str:
    """At most `most` characters, with a sign that there was more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(text: str) -> str:
    """The text on one line: what has no shape, or would turn the writing direction, is spelled out."""
    return "".join(_spelled(sign) if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)


def _spelled(sign: str) -> str:
    """A blank stays one; control, format and separator signs become `\\n`, `\\x1b`, `\\u202e`."""
    return sign if sign == " " else repr(sign)[1:-1] if not sign.isprintable() else sign


def code(text: str) -> str:
    """Text as inline code: nothing in it is read as Markdown, and it stays as it is for `grep`."""
    shown = visible(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    # CommonMark takes one blank off each end; without it a backtick at an end would join the fence.
    blank = " " if shown[:1] in ("`", " ", "") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def plain(text: str) -> str:
    """Text as itself in a paragraph, a list or a table cell: every sign with a meaning becomes an entity."""
    return _SPECIAL.sub(lambda found: "".join(f"&#{ord(sign)};" for sign in found.group()), visible(text))
