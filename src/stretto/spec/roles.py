"""The roles that a plan may name: built-in ones, the user's and the project's `.claude/agents/*.md`.

A role's file never stops anybody: what cannot be used is left out, and each file has at most one note.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import NamedTuple

from stretto.plan.finding import Finding, nearest
from stretto.plan.role import READS, STARTS, TRUSTED, WRITES, Role, bare
from stretto.spec.builtin_roles import BUILT_IN
from stretto.spec.front_matter import FrontMatter, Value, read_front_matter

FOLDER = ".claude/agents"
MAX_BYTES = 256_000
"""Of one file; the longest public ones have about 60,000."""
MAX_FILES = 2_000
"""Of one folder and those in it."""
PLACE = ":1:1"
"""Behind a file's path: notes are about files as a whole."""
MAX_NAME = 100
MAX_TOOLS = 200
MAX_DESCRIPTION = 2_000

_READ = frozenset({"name", "description", "tools", "model", "allowed-tools", "disallowedTools"})
_FOR_OTHERS = frozenset(
    "color colour emoji vibe category version author source tags keywords license metadata".split()
)
"""Fields that change nothing for whoever runs the role."""
_OF_CLAUDE_CODE = frozenset(
    "permissionMode maxTurns skills mcpServers hooks memory background effort isolation initialPrompt".split()
)
_KNOWN = _READ | _FOR_OTHERS | _OF_CLAUDE_CODE
_ALL = ("*", "all", "all tools", "inherit", "inherited")
"""Words for every tool: the role lists none by name."""
_DENIABLE = ("Read", "Grep", "Glob", *WRITES, "WebFetch", "WebSearch", "TodoWrite")
"""What is left of all tools where some are forbidden; `Bash` has to be listed by name."""
_SPELLED = {name.casefold(): name for name in (*READS, *WRITES, *TRUSTED, *STARTS)}
_PAGES = frozenset({"README", "CHANGELOG", "CONTRIBUTING", "LICENSE"})
"""Files about a folder of roles: roles only where they have front matter."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


class _Made(NamedTuple):
    """One file as a role; none where it cannot be one."""

    role: Role | None
    notes: tuple[Finding, ...]
    unread: frozenset[str] = frozenset()
    """Its fields that mean nothing here."""


@dataclass(frozen=True)
class Roles:
    """The roles of a project; its files are read when a role is first asked for."""

    folders: tuple[tuple[Path, Path], ...] = ()
    """Where to look, the strongest first, each with the folder that it must not lead out of."""
    given: Mapping[str, Role] = field(default_factory=lambda: BUILT_IN)
    """What there is without any file; a file of the same name comes before it."""

    @cached_property
    def _read(self) -> tuple[dict[str, Role], list[Finding], dict[str, frozenset[str]]]:
        found: dict[str, Role] = {}
        notes: list[Finding] = []
        unread: dict[str, frozenset[str]] = {}
        again: dict[str, list[str]] = {}
        for folder, bound in self.folders:
            for made in _made_in(folder, bound, notes):
                notes.extend(made.notes)
                if made.role is None:
                    continue
                if made.unread:
                    unread[made.role.source] = made.unread
                if found.setdefault(made.role.name, made.role) is not made.role:
                    again.setdefault(made.role.name, []).append(made.role.source)
        notes.extend(_twice(found[name], others) for name, others in again.items())
        return {**self.given, **found}, notes, unread

    @property
    def all(self) -> Mapping[str, Role]:
        """Every role by name."""
        return self._read[0]

    @property
    def notes(self) -> list[Finding]:
        """What is to be said of the files, each at its path."""
        _, notes, unread = self._read
        return [*notes, *_unread(unread)]

    def notes_on(self, roles: Iterable[Role]) -> list[Finding]:
        """What may be wrong with these, and once for all of them which of their fields are not read."""
        files = {role.source for role in roles if role.source}
        if not files:
            return []
        _, notes, unread = self._read
        wrong = (note for note in notes if note.severity == "warning")
        told = (note for note in wrong if note.at.removesuffix(PLACE) in files)
        return [*told, *_unread({file: fields for file, fields in unread.items() if file in files})]

    @cached_property
    def _by_form(self) -> dict[str, Role]:
        found: dict[str, Role] = {}
        for role in self.all.values():
            found.setdefault(_form(role.name), role)
        return found

    def find(self, name: str) -> Role | None:
        """The role of this name; capitals, spaces and underscores do not matter where no other has it."""
        if not self.folders and name in self.given:
            return self.given[name]
        return self.all.get(name) or self._by_form.get(_form(name))

    def nearest(self, name: str) -> str:
        """The role that was most likely meant; empty where none is near."""
        close = nearest(_form(name), self._by_form)
        return self._by_form[close].name if close else ""

    def safe(self) -> Iterator[Role]:
        """Those that a planner may name although no author did: nothing in them has the user's rights."""
        for role in self.all.values():
            if not any(bare(tool) in (*TRUSTED, *STARTS) for tool in role.tools or ()):
                yield role

    def only(self, roles: Iterable[Role]) -> Roles:
        """These alone, and no files: what a plan has frozen."""
        return Roles((), {role.name: role for role in roles})


BUILTIN = Roles()
"""What there is without a project."""


def read_roles(root: str | PurePath, home: str | PurePath | None = None) -> Roles:
    """The roles of the project at `root` and of the user whose home this is (default: of this process)."""
    project = Path(root)
    folders = [(project / FOLDER, project)]
    try:
        own = Path.home() if home is None else Path(home)
    except RuntimeError:  # no such user, no HOME
        return Roles(tuple(folders))
    if own.absolute() != project.absolute():
        folders.append((own / FOLDER, own / FOLDER))
    return Roles(tuple(folders))


def role_of(text: str, stem: str, source: str = "") -> tuple[Role, FrontMatter]:
    """A file's text as a role, with the front matter it was made of. `stem`: its name without `.md`."""
    matter = read_front_matter(text, _KNOWN)
    fields = matter.fields
    tools = _tools(fields.get("tools", fields.get("allowed-tools")))
    denied = {bare(tool) for tool in _tools(fields.get("disallowedTools")) or ()}
    if denied:
        tools = tuple(tool for tool in (_DENIABLE if tools is None else tools) if bare(tool) not in denied)
    model = re.sub(r"\[\w+\]$", "", _line(fields.get("model")))  # `opus[1m]`: the window is its own
    role = Role(
        name=_line(fields.get("name"))[:MAX_NAME] or _line(stem)[:MAX_NAME] or "role",
        instructions=matter.body,
        tools=tools,
        model="" if model.casefold() in ("inherit", "default", "auto") else model,
        agents=_agents(tools or ()),
        description=_said_of(fields.get("description"), matter.body),
        source=source,
    )
    return role, matter


# The words of one file


def _flat(value: Value | None) -> str:
    text = value if isinstance(value, str) else ", ".join(value or ())
    return text.encode("utf-8", "replace").decode()  # YAML can spell half a letter


def _line(value: Value | None) -> str:
    """A value in one line, without what could move a terminal's cursor."""
    return " ".join(_CONTROL.sub(" ", _flat(value)).split())


def _said_of(value: Value | None, body: str) -> str:
    """The description, or the first line below it."""
    first = next((line.lstrip("# ") for line in body.splitlines() if line.strip("# ")), "")
    lines = (_CONTROL.sub(" ", line).strip() for line in (_flat(value) or first).splitlines())
    return "\n".join(lines).strip()[:MAX_DESCRIPTION]


def _tools(value: Value | None) -> tuple[str, ...] | None:
    """Names of tools from a list or a text with commas; None where none are listed, or all."""
    if value is None or value == "":
        return None
    words = [word for entry in ([value] if isinstance(value, str) else value) for word in _split(entry)]
    if any(word.casefold() in _ALL for word in words):
        return None
    return tuple(dict.fromkeys(words))[:MAX_TOOLS]


def _split(text: str) -> Iterator[str]:
    """The parts between commas and line ends; a comma in parentheses separates nothing."""
    depth, word = 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")" and depth > 0)
        if letter in ",\n" and not depth:
            yield from _named(word)
            word = ""
        else:
            word += letter
    yield from _named(word)


def _named(word: str) -> Iterator[str]:
    word = _line(word).strip("\"'`[]")[:MAX_NAME]
    # In a list that is written as text: `- Read`.
    if word := word.removeprefix("- ").strip():
        name, bracket, rule = word.partition("(")
        yield _SPELLED.get(name.casefold(), name) + bracket + rule


def _agents(tools: Iterable[str]) -> tuple[str, ...]:
    """Roles of the sub-agents that it may start: of `Task(a, b)` those, of `Task` all that are harmless."""
    found: list[str] = []
    for tool in tools:
        if bare(tool) in STARTS:
            named = tool.partition("(")[2].rstrip(")")
            found += [word for part in named.split(",") if (word := part.strip())] or ["*"]
    return tuple(dict.fromkeys(found))


def _form(name: str) -> str:
    return re.sub(r"[\s_-]+", "-", name.strip().casefold())


# Files and folders


def _made_in(folder: Path, bound: Path, notes: list[Finding]) -> Iterator[_Made]:
    """A role for each file below a folder, in the order of their paths."""
    try:
        base = folder.resolve()
        if not base.is_dir():
            return
        if not base.is_relative_to(bound.resolve()):
            notes.append(_note(folder, "warning", "it leads out of the project, so no role of it is read"))
            return
    except (OSError, RuntimeError):
        return
    for number, path in enumerate(_files(base)):
        if number == MAX_FILES:
            notes.append(_note(folder, "warning", f"only its first {MAX_FILES:,} files are read"))
            return
        yield _made(path, base, folder / path.relative_to(base))


def _files(base: Path) -> Iterator[Path]:
    """The Markdown files below a folder; linked folders are not followed."""
    for here, folders, names in os.walk(base):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(".md") and not name.startswith("."):
                yield Path(here, name)


def _made(path: Path, base: Path, shown: Path) -> _Made:
    source = _CONTROL.sub("?", str(shown).encode(errors="replace").decode())
    try:
        real = path.resolve()
        if not real.is_relative_to(base):
            return _left_out(source, "it is a link that leads out of its folder")
        data = _bytes(real)
    except (OSError, RuntimeError, ValueError) as failed:
        return _left_out(source, f"it cannot be read: {getattr(failed, 'strerror', None) or failed}")
    if len(data) > MAX_BYTES:
        return _left_out(source, f"it has more than {MAX_BYTES:,} bytes")
    text, foreign = _decoded(data)
    role, matter = role_of(text, path.stem, source)
    if matter.how == "none" and path.stem.upper() in _PAGES:
        return _Made(None, ())
    if not role.instructions and not matter.fields:
        return _left_out(source, "it is empty")
    said = _said(role, matter, foreign)
    unread = frozenset() if matter.how != "yaml" else frozenset(matter.fields) - _READ - _FOR_OTHERS
    return _Made(role, (_note(shown, *said),) if said else (), unread)


def _bytes(path: Path) -> bytes:
    """A regular file's content, up to one byte more than is allowed. A pipe is not waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        return file.read(MAX_BYTES + 1)


def _decoded(data: bytes) -> tuple[str, bool]:
    """The text, and whether it is something else than UTF-8."""
    try:
        return data.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        pass
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return data.decode("utf-16" if wide else "cp1252", "replace"), True


# Notes


def _said(role: Role, matter: FrontMatter, foreign: bool) -> tuple[str, str] | None:
    """The one thing worth saying of a file, with its severity."""
    if foreign:
        return "warning", "it is not UTF-8 text, so letters may be wrong"
    if not role.instructions:
        return "warning", "it has no text below its front matter, so the role has no instructions"
    if matter.how == "lines":
        return "info", f"its front matter is no YAML ({_line(matter.why)}), so it was read line by line"
    if matter.how == "none":
        return "info", "it has no front matter: all of it is instructions, and the file's name is the role's"
    return None


def _note(path: Path | str, severity: str, what: str, fix: str = "") -> Finding:
    at = _CONTROL.sub("?", str(path).encode(errors="replace").decode()) + PLACE
    return Finding("role-file", "warning" if severity == "warning" else "info", what, at, fix)


def _left_out(source: str, why: str) -> _Made:
    return _Made(None, (_note(source, "warning", f"no role is made of this file: {why}"),))


def _twice(kept: Role, others: list[str]) -> Finding:
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    what = f"there is a role {kept.name!r} in {others[0]}{more} too; this one is used"
    return _note(kept.source, "warning", what, "rename one of them, or remove one")


def _unread(unread: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """The fields of these files that nothing reads, in one note."""
    names = sorted(frozenset[str]().union(*unread.values()))
    if names:
        shown = ", ".join(f"`{_line(name)[:40]}`" for name in names[:8]) + (", ..." if len(names) > 8 else "")
        yield _note(next(iter(unread)), "info", f"fields of roles that are not read: {shown}")
