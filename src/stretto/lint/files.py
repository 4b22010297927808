"""Files that tasks get into each other's way with: written by two at once, or read while they are written."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from stretto.lint.paths import overlap
from stretto.lint.reading import PathUse, Reading, paths_of, reading_of
from stretto.lint.scene import Scene, around, eaches_around, has_items, task_of
from stretto.lint.written import is_written
from stretto.plan.finding import Finding
from stretto.plan.graph import Element
from stretto.plan.references import refs

COMPARED = 200
"""Tasks on one file of which each is held against each; of more, each against so many that stand near it."""
NAMED = 6
"""Tasks that a message names one by one."""

_HOLE = re.compile(r"[{}<>\[\]]")
_SHARED_WELL = re.compile(
    r"\b(?:append-only|atomic(?:ally)?|(?:under|with) (?:a|the) (?:file )?lock|lock(?:s|ing)? the file"
    r"|one (?:after the other|at a time|by one))\b",
    re.IGNORECASE,
)


class Use(NamedTuple):
    """One file that one task writes or reads."""

    element: Element
    path: PathUse

    @property
    def key(self) -> str:
        return self.path.path.norm


class Found(NamedTuple):
    """What one task says, and the files that it writes."""

    reading: Reading
    written: list[Use]


_FOUND: WeakKeyDictionary[Scene, dict[Element, Found]] = WeakKeyDictionary()


def write_conflict(scene: Scene) -> Iterable[Finding]:
    """Files that two tasks may write at once, and fixed files that every item of a list writes."""
    if scene.plan.limits.parallel == 1:
        return
    written = [use for found in _found_in(scene).values() for use in found.written]
    told: set[frozenset[Element]] = set()
    for name, uses in _on_one_file(written):
        elements = sorted({use.element for use in uses}, key=lambda element: element.index)
        colliding = _colliding(scene, elements)
        if colliding and frozenset(colliding) not in told:
            told.add(frozenset(colliding))
            yield _conflict(scene, colliding, name)
    for use in written:
        key = frozenset((use.element,))
        if key not in told and _written_by_items(scene, use):
            told.add(key)
            yield _self_conflict(scene, use)


def _found_in(scene: Scene) -> dict[Element, Found]:
    """What tasks do with files that somebody else names too: read once for all rules."""
    found = _FOUND.get(scene)
    if found is None:
        found = _FOUND[scene] = {}
        for element in _sharing(scene):
            reading = reading_of(task_of(element))
            found[element] = Found(reading, list(writes(element, reading)))
    return found


def _sharing(scene: Scene) -> Iterator[Element]:
    """The tasks whose files another task, or another item of theirs, may name: only those can collide."""
    named: dict[Element, set[str]] = {}
    for element in scene.tasks:
        if not task_of(element).isolation:  # its files are its own, and are merged
            named[element] = {path.norm for path in paths_of(task_of(element))}
    times = Counter(name for names in named.values() for name in names)
    patterns = {_fixed_folders(name) for name in times if "*" in name or "?" in name}
    for element, names in named.items():
        near = (folders in patterns for name in names for folders in _fixed_above(name)) if patterns else ()
        shared = any(times[name] > 1 for name in names) or any(near)
        if shared or (names and has_items(element, 2)):
            yield element


def writes(element: Element, reading: Reading) -> Iterator[Use]:
    """The files that a task declares to write, and those that its words order it to."""
    task = task_of(element)
    if _SHARED_WELL.search(task.prompt):
        return
    seen: set[str] = set()
    for use in reading.paths:
        if use.path.norm in seen or (use.path.folder and not _is_pattern(use)):
            continue
        if use.role == "new" if use.declared else is_written(task.prompt, use, reading):
            seen.add(use.path.norm)
            yield Use(element, use)


def _on_one_file(uses: Sequence[Use]) -> Iterator[tuple[str, list[Use]]]:
    """The uses of each file; a pattern that was declared is there with every file that fits it."""
    by_key: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        by_key[use.key].append(use)
    patterns: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key, found in by_key.items():
        if any(_is_pattern(use.path) for use in found):
            patterns[_fixed_folders(key)].append(key)
    for key, found in by_key.items():
        together = _same_template(found) if _HOLE.search(found[0].path.path.text) else [found]
        for some in together:
            if len(some) > 1:
                yield some[0].path.path.text, some
        if patterns:
            yield from _with_patterns(key, found, by_key, patterns)


def _with_patterns(
    key: str, found: list[Use], by_key: dict[str, list[Use]], patterns: dict[tuple[str, ...], list[str]]
) -> Iterator[tuple[str, list[Use]]]:
    if _HOLE.search(found[0].path.path.text):
        return
    for folders in _fixed_above(key):
        for other in patterns.get(folders, ())[:COMPARED]:
            if other != key and overlap(other, key):
                yield found[0].path.path.text, [*found, *by_key[other]]


def _is_pattern(use: PathUse) -> bool:
    text = use.path.text
    return use.declared and not _HOLE.search(text) and ("*" in text or "?" in text)


def _fixed_folders(key: str) -> tuple[str, ...]:
    """The folders of a path as far as they are no pattern."""
    folders = key.split("/")[:-1]
    fixed = next((n for n, part in enumerate(folders) if "*" in part or "?" in part), len(folders))
    return tuple(folders[:fixed])


def _fixed_above(key: str) -> Iterator[tuple[str, ...]]:
    """The folders that a pattern may begin with that this path fits."""
    folders = _fixed_folders(key)
    return (folders[:length] for length in range(len(folders) + 1))


def _same_template(uses: list[Use]) -> list[list[Use]]:
    """Names that are filled in are the same only where they are written alike, for items of one list."""
    found: dict[tuple[str, Element | None], list[Use]] = defaultdict(list)
    for use in uses:
        list_of = next((above for above in around(use.element) if above.part.each is not None), None)
        found[use.path.path.text, list_of].append(use)
    return list(found.values())


def _colliding(scene: Scene, elements: list[Element]) -> list[Element]:
    """Those of which at least one other may run at the same time."""
    found: set[Element] = set()
    for at, one in enumerate(elements):
        for other in elements[at + 1 : at + COMPARED]:
            if not (one in found and other in found) and _may_meet(scene, one, other):
                found |= {one, other}
    return [element for element in elements if element in found]


def _may_meet(scene: Scene, one: Element, other: Element) -> bool:
    """Whether the two may run at once; what waits for a task that does not exist may wait for any."""
    ordering = scene.ordering
    return not (ordering.unsure(one) or ordering.unsure(other)) and ordering.side_by_side(one, other)


def _conflict(scene: Scene, elements: list[Element], name: str) -> Finding:
    shown = [f"`{element.path}`" for element in elements[:NAMED]]
    last = f"{len(elements) - NAMED + 1} more" if len(elements) > NAMED else shown[-1]
    who = f"{', '.join(shown[: min(len(elements), NAMED) - 1])} and {last}"
    both = "both" if len(elements) == 2 else "all"
    message = f"{who} {both} write `{name}` and may run at the same time: the last one wins"
    first, second = elements[0].path, elements[1].path
    if len(elements) == 2:
        fix = f"add `after: [{first}]` to `{second}`, or give each a file of its own and join them at the end"
    else:
        fix = (
            "let them run one after the other (`order: serial`), or give each a file of its own and join them"
        )
    if scene.bare:
        fix = f"start `{second}` when `{first}` is done, or give each a file of its own and join them"
    nusd = None if scene.broken else _lost(scene, elements)
    return scene.finding("write-conflict", "warning", elements, message, fix, nusd=nusd)


def _lost(scene: Scene, elements: list[Element]) -> float | None:
    """The work of all but the dearest: what is overwritten by the one that comes last."""
    costs = [scene.prices.of(element).nusd for element in elements]
    known = [cost for cost in costs if cost is not None]
    return sum(known) - max(known) if len(known) == len(costs) else None


def _written_by_items(scene: Scene, use: Use) -> bool:
    """Whether several items of a list around a task write this one file: the item is not in its name."""
    text = use.path.path.text
    if use.path.path.varies and not _is_pattern(use.path):
        return _fixed_by_inputs(scene, text) and has_items(use.element, 2)
    return not use.path.path.varies and has_items(use.element, 2)


def _fixed_by_inputs(scene: Scene, text: str) -> bool:
    """A name that only the inputs fill in is one and the same for all."""
    try:
        found = list(refs(text))
    except ValueError:
        return False
    return (
        "{" not in re.sub(r"\$\{[^{}]*\}", "", text)
        and bool(found)
        and all(ref.name in scene.plan.inputs for ref in found)
    )


def _self_conflict(scene: Scene, use: Use) -> Finding:
    path, name = use.element.path, use.path.path.text
    each = eaches_around(use.element)[0]
    message = f"all items of `{path}` write the same `{name}` and may run at the same time: the last one wins"
    stem, dot, ending = name.rpartition(".")
    own = f"{stem or name}-${{{each.name}}}{dot}{ending}" if stem else f"{name}-${{{each.name}}}"
    fix = f"write a file for each item, such as `{own}`, and join them in a task of its own"
    return scene.finding("write-conflict", "warning", [use.element], message, fix)


def read_while_written(scene: Scene) -> Iterable[Finding]:
    """A file that was there before, read by one task while another may be changing it."""
    if scene.plan.limits.parallel == 1:
        return
    changed: dict[str, list[Use]] = defaultdict(list)
    read: dict[str, list[Use]] = defaultdict(list)
    for element, (reading, written) in _found_in(scene).items():
        own = {use.key: use for use in written if _changes(use, reading)}
        for key, use in own.items():
            changed[key].append(use)
        for named in reading.paths:
            path = named.path
            if named.role == "read" and not path.folder and not path.varies and path.norm not in own:
                read[path.norm].append(Use(element, named))
    for writer, reader in _meetings(scene, changed, read):
        sure = writer.path.declared and reader.path.declared
        name = reader.path.path.text
        message = (
            f"`{reader.element.path}` reads `{name}` while `{writer.element.path}` may be changing it, "
            f"and nothing orders the two"
        )
        fix = (
            f"add `after: [{writer.element.path}]` to `{reader.element.path}`, if it is to read the new text"
        )
        elements = [reader.element, writer.element]
        yield scene.finding("read-while-written", "warning" if sure else "info", elements, message, fix)


def _changes(use: Use, reading: Reading) -> bool:
    """It is there before and is changed; what is made new is a matter of needs."""
    if not use.path.declared:
        return use.path.role in ("edit", "add")
    if _is_pattern(use.path):
        return True
    said = {other.role for other in reading.paths if other.path.norm == use.key and not other.declared}
    acts = {clause.act for clause in reading.clauses}
    return bool(said & {"edit", "add"}) or (
        not said and bool(acts) and acts <= {"alter", "add", "read", "judge", "run", ""}
    )


def _meetings(
    scene: Scene, changed: dict[str, list[Use]], read: dict[str, list[Use]]
) -> Iterator[tuple[Use, Use]]:
    """Each reader of a file with the first writer that may run beside it."""
    patterns: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in changed:
        if "*" in key or "?" in key:
            patterns[_fixed_folders(key)].append(key)
    told: set[tuple[Element, Element]] = set()
    for key, readers in read.items():
        near = (other for folders in _fixed_above(key) for other in patterns.get(folders, ())[:COMPARED])
        keys = [other for other in (key, *near) if other in changed and overlap(other, key)]
        writers = [use for other in dict.fromkeys(keys) for use in changed[other][:COMPARED]]
        for reader in readers[:COMPARED]:
            for writer in writers:
                pair = reader.element, writer.element
                if pair not in told and _may_meet(scene, *pair):
                    told.add(pair)
                    yield writer, reader
                    break
