"""Where the items of a fan-out come from: the goal, the repository, or a command that lists them."""

from __future__ import annotations

from typing import NamedTuple

from stretto.draft import words as w
from stretto.draft.many import Many
from stretto.draft.phrases import id_of, one_of, safe
from stretto.draft.prompts import Setting
from stretto.draft.repository import LISTED
from stretto.plan.model import Each, Input, Output, Quorum, Task

MANY = 500
"""How many items a list of unknown length may have."""
SOME_FEW = 20
LIST_TIMEOUT_S = 60.0

_KINDS = {
    "services": frozenset({"service", "microservice", "app", "backend", "api"}),
    "packages": frozenset({"package", "crate", "library", "plugin", "component"}),
    "modules": frozenset({"module", "part", "area", "folder", "subsystem"}),
    "docs": frozenset({"doc", "document", "readme", "page"}),
}
"""What people call the parts of a repository."""


class Items(NamedTuple):
    """A list to go over."""

    name: str
    """Of one item, as an id."""
    each: Each
    listing: tuple[Task, ...] = ()
    """The command that makes the list, where the goal and the repository do not name the items."""
    folder: tuple[str, Input] | None = None
    """The input that says where they lie."""
    are_files: bool = False
    """The items are paths of files, which whoever works on one has to read."""

    @property
    def mark(self) -> str:
        """The reference to one item."""
        return f"${{{self.name}}}"


def items_of(over: Many, setting: Setting, taken: set[str]) -> Items:
    """The items that a goal is about; ids that are made are added to those taken."""
    noun = over.noun if over.noun not in ("", "one", "ones", "things") else "items"
    name = one_of(noun)
    if over.names:
        names = [safe(one) for one in over.names]
        return Items(name, Each(over=names, name=name, max=len(names)))
    if setting.about_code and (found := found_here(noun, setting)):
        return Items(name, Each(over=list(found), name=name, max=len(found)), are_files=True)
    most = over.number if over.number > 1 else MANY
    asked = None
    if setting.about_code:
        run = _files_of_code(noun, setting)
    else:
        folder = id_of(noun if w.is_plural(noun) else f"{noun}s", taken, "folder")
        taken.add(folder)
        here = next((one for one in setting.repository.folders if one.lower() == folder), folder)
        asked = (folder, Input(type="path", default=here))
        run = ("find", f"${{{folder}}}", "-type", "f", "-not", "-name", ".*")
    id = id_of("list", taken)
    taken.add(id)
    listing = Task(id=id, run=run, output=Output(kind="lines"), timeout_s=LIST_TIMEOUT_S)
    return Items(name, Each(over=f"${{{id}}}", name=name, max=with_room(most)), (listing,), asked, True)


def found_here(noun: str, setting: Setting) -> tuple[str, ...]:
    """The real modules, services, packages or pages, where the goal means those and they are not too many."""
    kind = w.singular(noun)
    for field, names in _KINDS.items():
        found: tuple[str, ...] = getattr(setting.repository, field)
        if kind in names and 1 < len(found) <= LISTED:
            return found
    return ()


def _files_of_code(noun: str, setting: Setting) -> tuple[str, ...]:
    """The command that lists the files a goal about code goes over."""
    repository = setting.repository
    kind = w.singular(noun)
    suffixes: tuple[str, ...] = repository.suffixes[:3]
    if kind in _KINDS["docs"]:
        suffixes = (".md", ".rst")
    if kind == "test" and repository.tests:
        return (
            ("git", "ls-files", repository.tests)
            if repository.git
            else ("find", repository.tests, "-type", "f")
        )
    if repository.git:
        return ("git", "ls-files", *(f"*{suffix}" for suffix in suffixes))
    return ("find", ".", "-type", "f", "-name", f"*{suffixes[0]}")


def with_room(count: int) -> int:
    """The number that a goal names, and a tenth more where it is large."""
    return count if count <= SOME_FEW else -(-count * 11 // 100) * 10


def tolerance(each: Each) -> Quorum:
    """One in twenty may fail, of a few one."""
    known = len(each.over) if isinstance(each.over, list) else each.max
    return Quorum(tolerate_share=0.05) if known >= SOME_FEW else Quorum(tolerate=1)
