"""The tidy test: what people who read this code may rely on, each rule with what to do instead."""

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "stretto"

FILE_LINES = 600
FUNCTION_LINES = 70

DRAWERS = frozenset({"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"})

# Only these are heavy enough to be imported inside a function, and only in the files that ruff exempts.
HEAVY = frozenset(
    {"anthropic", "claude_agent_sdk", "genai_prices", "numpy", "openai", "rich", "xllamacpp", "yaml"}
)

# Where a banned word is the word of the thing adapted: syntax trees of YAML and Python are made of nodes.
WORDS_OF_OTHERS = {"node": "src/stretto/spec"}

PLACES = re.compile(
    r"/(?:work|farm|root)/|/tmp/bash[_]jobs"
    r"|pypi[.]org|pythonhosted[.]org|registry[.]npmjs[.]org|deb[.]debian[.]org"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[Path, ...]:
    """Every file that is committed or would be, by `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    found = {ROOT / name for name in listed.decode().split("\0") if name}
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def sources() -> dict[Path, ast.Module]:
    """Our own Python; what tests only read may be wrong on purpose."""
    data = tuple(config()["ruff"]["extend-exclude"])
    ours = [path for path in files() if path.suffix == ".py" and not at(path).startswith(data)]
    return {path: ast.parse(path.read_text(), str(path)) for path in ours}


@cache
def config() -> dict[str, Any]:
    """What the tools are told in pyproject.toml."""
    tools: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tools


def package() -> Iterator[tuple[Path, ast.Module]]:
    return ((path, tree) for path, tree in sources().items() if path.is_relative_to(PACKAGE))


def in_tests() -> Iterator[tuple[Path, ast.Module]]:
    return ((path, tree) for path, tree in sources().items() if path.is_relative_to(ROOT / "tests"))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def at(path: Path, line: int | None = None) -> str:
    name = path.relative_to(ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def none_of(found: list[str], instead: str) -> None:
    assert not found, f"{instead}\n  " + "\n  ".join(sorted(set(found)))


def test_there_is_something_to_read() -> None:
    assert any(path.is_relative_to(PACKAGE) for path in sources())
    assert Path(__file__) in sources()


def test_files_fit_in_one_head() -> None:
    found = [
        f"{at(path)} has {lines} lines"
        for path in sources()
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    ]
    none_of(found, f"More than {FILE_LINES} lines: make a folder of the file, one idea in each part.")


def test_functions_fit_on_one_screen() -> None:
    found = [
        f"{at(path, function.lineno)} {function.name} has {lines} lines"
        for path, tree in sources().items()
        for function in functions(tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    ]
    none_of(found, f"More than {FUNCTION_LINES} lines: move each decision into a function named after it.")


def test_no_room_is_a_drawer() -> None:
    found = [
        at(path) for path, _ in package() if DRAWERS & {path.stem, *path.relative_to(PACKAGE).parts[:-1]}
    ]
    none_of(found, "A drawer: name the file after the one idea it holds, or move the code to who needs it.")


def test_no_room_is_the_plural_of_its_neighbour() -> None:
    names = {path.parent if path.name == "__init__.py" else path.with_suffix("") for path, _ in package()}
    found = [
        f"{at(name)} and {name.name}s" for name in sorted(names) if name.with_name(f"{name.name}s") in names
    ]
    none_of(found, "Two rooms with one name: nobody can guess which holds what; join them or rename one.")


def test_only_heavy_optional_packages_are_imported_late() -> None:
    found = [
        f"{at(path, line)} imports {name}"
        for path, tree in package()
        for function in functions(tree)
        for line, name in imports(function)
        if name.partition(".")[0] not in HEAVY
    ]
    none_of(found, "An import inside a function: move it to the top; if that is a cycle, move the code down.")


def test_files_that_may_import_late_exist() -> None:
    exempt = config()["ruff"]["lint"].get("per-file-ignores", {})
    found = [name for name, rules in exempt.items() if "PLC0415" in rules and not (ROOT / name).is_file()]
    none_of(found, "pyproject.toml exempts files that are not there: remove them; name files, no patterns.")


def test_every_file_begins_with_its_sentence() -> None:
    found = [at(path) for path, tree in sources().items() if not sentence(tree).endswith(".")]
    none_of(
        found,
        "A file starts with a docstring: one sentence on one line, ended by a full stop.",
    )


def test_fakes_instead_of_mocks() -> None:
    found = [
        at(path, line)
        for path, tree in in_tests()
        for line, name in imports(tree)
        if name.startswith(("mock.", "unittest.mock")) or name == "mock"
    ]
    none_of(found, "No mock: pass a fake that keeps the contract, or drive the real thing on virtual time.")


def test_every_test_file_asserts() -> None:
    found = [
        at(path)
        for path, tree in in_tests()
        if path.name.startswith("test_") and not any(asserts(node) for node in ast.walk(tree))
    ]
    none_of(found, "A test file without an assertion passes whatever happens: say what must hold.")


def test_nothing_is_left_unfinished() -> None:
    notes = [
        f"{at(path, line)} {comment}"
        for path, _ in package()
        for line, comment in comments(path)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comment)
    ]
    raised = [
        f"{at(path, node.lineno)} NotImplementedError"
        for path, tree in package()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.dump(node.exc)
    ]
    none_of(notes + raised, "Unfinished: do it now, or take the note out and open an issue.")


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{at(path, number)} {match.group()}"
        for path in files()
        for number, line in enumerate(text_lines(path), 1)
        if (match := PLACES.search(line))
    ]
    none_of(found, "A place on one machine, or a registry: use a path in the project, or a package's name.")


def test_one_word_per_idea() -> None:
    banned = banned_words()
    assert banned["upstream"] == "need"
    found = [
        f"{at(path, node.lineno)} {node.name}: say `{banned[word]}`, not `{word}`"
        for path, tree in package()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | Function)
        for word in words(node.name)
        if word in banned and not at(path).startswith(WORDS_OF_OTHERS.get(word, "nowhere"))
    ]
    none_of(found, "GLOSSARY.md has one word for each idea:")


def test_rooms_are_those_of_the_architecture_page() -> None:
    named, there = architecture().keys(), rooms()
    missing = [f"{name} has a row, but is not in src/stretto" for name in sorted(named - there)]
    unnamed = [f"{name} is in src/stretto, but has no row" for name in sorted(there - named)]
    none_of(missing + unnamed, "The table `| room | ...` in ARCHITECTURE.md is the list of rooms:")


def test_rooms_say_of_themselves_what_the_architecture_page_says() -> None:
    found = [
        f"{name}: the page says {said!r}, the docstring {own!r}"
        for name, said in architecture().items()
        if name in rooms() and (own := sentence(sources()[room_file(name)])) != said
    ]
    none_of(found, "A room's sentence in ARCHITECTURE.md is the first line of its docstring:")


def test_decisions_are_numbered_and_have_one_shape() -> None:
    records = sorted((ROOT / "decisions").glob("*.md"))
    assert records
    numbers = [path.name[:4] for path in records]
    assert numbers == [f"{number:04}" for number in range(1, len(records) + 1)]
    headings = ["## Context", "## Decision", "## Consequences"]
    found = [at(path) for path in records if re.findall(r"^## .*$", path.read_text(), re.M) != headings]
    none_of(found, f"A decision has the headings {', '.join(headings)}, in this order.")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported anywhere below."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def asserts(node: ast.AST) -> bool:
    match node:
        case ast.Assert():
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="pytest"), attr="raises")):
            return True
        case _:
            return False


def sentence(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def text_lines(path: Path) -> list[str]:
    content = path.read_bytes()
    return [] if b"\0" in content else content.decode(errors="replace").splitlines()


def words(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def banned_words() -> dict[str, str]:
    """Each word of the glossary's last column (and its plural in s), with the noun to use instead."""
    rows = table_rows(ROOT / "GLOSSARY.md", header="word")
    pairs = {word: row[0].strip("*`") for row in rows for word in re.findall(r"`([a-z]+)`", row[-1])}
    return pairs | {f"{word}s": noun for word, noun in pairs.items()}


def rooms() -> set[str]:
    """Top-level modules and folders with code; the package's own two files are no rooms."""
    tops = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path, _ in package()}
    return tops - {"__init__", "__main__"}


def room_file(name: str) -> Path:
    module = PACKAGE / f"{name}.py"
    return module if module.exists() else PACKAGE / name / "__init__.py"


def architecture() -> dict[str, str]:
    """Room -> its sentence; a row may name several rooms."""
    rows = table_rows(ROOT / "ARCHITECTURE.md", header="room")
    return {
        name.removesuffix(".py").strip("/"): row[1]
        for row in rows
        for name in re.findall(r"`([^`]+)`", row[0])
    }


def table_rows(page: Path, header: str) -> list[list[str]]:
    """The rows of the page's table whose first column is called `header`."""
    assert page.is_file(), f"{page.name} is missing: it is part of the project"
    rows: list[list[str]] = []
    inside = False
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0].lower() == header:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            rows.append(cells)
    assert rows, f"{page.name} has no table whose first column is `{header}`"
    return rows
