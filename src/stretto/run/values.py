"""What a reference stands for: the outputs of settled tasks, read back by their hash."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from stretto.errors import StrettoError
from stretto.plan.graph import Element, Need
from stretto.plan.model import Group
from stretto.plan.references import Ref
from stretto.scheduler.invalidate import is_reduce
from stretto.scheduler.state import State
from stretto.scheduler.vertex import SUCCEEDED, GroupVertex, TaskVertex, Vertex, sinks, target_of

CACHE_BYTES = 32_000_000


class Values:
    """Values by reference, by need, and by vertex; texts are cached up to a bound, never all kept."""

    def __init__(self, state: State, read: Callable[[str], bytes], inputs: dict[str, Any]):
        self.state = state
        self.inputs = inputs
        self._read = read
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._paths: dict[Element, dict[tuple[str, ...], Need]] = {}
        self._digests: dict[str, str] = {}

    def keep(self, sha: str, data: bytes) -> None:
        """Remembers an output that was just made, so that it need not be read back."""
        if sha in self._cache or len(data) > CACHE_BYTES // 4:
            return
        self._cache[sha] = data
        self._cached += len(data)
        while self._cached > CACHE_BYTES:
            self._cached -= len(self._cache.popitem(last=False)[1])

    def data(self, sha: str) -> bytes:
        data = self._cache.get(sha)
        if data is None:
            data = self._read(sha)
            self.keep(sha, data)
        return data

    def text(self, vertex: TaskVertex) -> str:
        """The output as text: as it is for `text`, as JSON else."""
        return self.data(vertex.output).decode()

    def of(self, vertex: Vertex) -> Any:
        """The result of a settled vertex; None where an optional one has none."""
        if isinstance(vertex, TaskVertex):
            if vertex.state != SUCCEEDED:
                return None
            text = self.text(vertex)
            return text if vertex.task.output_kind == "text" else json.loads(text)
        if vertex.state != SUCCEEDED:
            return None
        if vertex.grown and is_reduce(vertex):
            return self.of(vertex.members[-1])
        if vertex.grown and vertex.inner is None:
            return [self.of(member) for member in vertex.members if member.state == SUCCEEDED]
        ends = sinks(vertex)
        if len(ends) == 1:
            return self.of(self.state.vertices[ends[0]])
        prefix = len(vertex.inner.prefix) if vertex.inner else 0
        return {id[prefix:]: self.of(self.state.vertices[id]) for id in ends}

    def leaves(self, vertex: Vertex) -> Iterator[tuple[str, Any, str]]:
        """(id, value, sha) of each task whose output stands for this vertex: one block of hand-over each."""
        if isinstance(vertex, TaskVertex):
            if vertex.state == SUCCEEDED:
                yield vertex.id, self.of(vertex), vertex.output
            return
        if vertex.grown and is_reduce(vertex):
            yield from self.leaves(vertex.members[-1])
        elif vertex.grown and vertex.inner is None:
            for member in vertex.members:
                if member.state == SUCCEEDED:
                    yield from self.leaves(member)
        else:
            for id in sinks(vertex):
                yield from self.leaves(self.state.vertices[id])

    def digest(self, vertex: Vertex) -> str:
        """A hash of all outputs that stand for this settled vertex; of a group it is made once."""
        if isinstance(vertex, TaskVertex):
            return vertex.output
        digest = self._digests.get(vertex.id)
        if digest is None:
            shas = "".join(self.digest(member) for member in vertex.members)
            digest = self._digests[vertex.id] = hashlib.sha256(shas.encode()).hexdigest()
        return digest

    def entries(self, vertex: Vertex, ref: Ref) -> list[Callable[[], Any]]:
        """The entries of a list that a reference means, each read when it is called for.

        Raises `not-a-list`.
        """
        need = self._need_of(vertex, ref)
        target = self.target(need, vertex) if need is not None else None
        if isinstance(target, GroupVertex) and target.grown and not is_reduce(target) and not ref.path:
            good = [member for member in target.members if member.state == SUCCEEDED]
            return [partial(self.of, member) for member in good]
        return [partial(_same, entry) for entry in as_list(self.lookup(vertex)(ref), ref)]

    def target(self, need: Need, vertex: Vertex) -> Vertex:
        return self.state.vertices[target_of(need, vertex.scope)]

    def lookup(self, vertex: Vertex) -> Callable[[Ref], Any]:
        """What each reference in the texts of this vertex stands for."""
        items = vertex.scope.items()

        def find(ref: Ref) -> Any:
            if ref.name in items:
                return dig(items[ref.name], ref.path, ref)
            need = self._need_of(vertex, ref)
            if need is None:
                if ref.name in self.inputs:
                    return dig(self.inputs[ref.name], ref.path, ref)
                raise StrettoError("unknown-reference", f"{ref} means nothing here", at=vertex.id)
            rest = (ref.name, *ref.path)[len(need.tail.split(".")) :]
            return self._inside(self.target(need, vertex), rest, ref)

        return find

    def is_input(self, vertex: Vertex, ref: Ref) -> bool:
        """Whether a reference means what the user gave the plan, and nothing that a task has made."""
        return ref.name not in vertex.scope.items() and self._need_of(vertex, ref) is None

    def _need_of(self, vertex: Vertex, ref: Ref) -> Need | None:
        element = vertex.element
        assert element is not None
        paths = self._paths.get(element)
        if paths is None:
            paths = self._paths[element] = {tuple(need.tail.split(".")): need for need in element.needs}
        words = (ref.name, *ref.path)
        for length in range(len(words), 0, -1):
            found = paths.get(words[:length])
            if found is not None:
                return found
        return None

    def _inside(self, vertex: Vertex, rest: tuple[str, ...], ref: Ref) -> Any:
        if rest and isinstance(vertex, GroupVertex) and vertex.grown and not is_reduce(vertex):
            if rest[0] == "failed" and vertex.inner is None:
                return dig(failed_items(vertex), rest[1:], ref)
            part = vertex.element.part if vertex.element else None
            if vertex.inner is None and isinstance(part, Group) and any(t.id == rest[0] for t in part.tasks):
                good = [m for m in vertex.members if m.state == SUCCEEDED]
                members = [self.state.vertices[f"{m.id}.{rest[0]}"] for m in good]
                return [self._inside(m, rest[1:], ref) for m in members]
        value = self.of(vertex)
        return None if value is None and vertex.state != SUCCEEDED else dig(value, rest, ref)


def as_list(value: Any, written: object) -> list[Any]:
    """The value, if it is a list. Raises `not-a-list` with what stood in the plan."""
    if not isinstance(value, list):
        what = "null" if value is None else type(value).__name__
        raise StrettoError("not-a-list", f"{written} is {what}, not a list")
    return value


def _same(value: Any) -> Any:
    return value


def failed_items(group: GroupVertex) -> list[dict[str, Any]]:
    """`${files.failed}`: which items failed, and the first error found in each."""
    found = []
    for member in group.members:
        if member.state > SUCCEEDED:
            item = member.scope.item if isinstance(member, TaskVertex) else _item(member)
            found.append({"item": item, "error": first_error(member)})
    return found


def _item(member: GroupVertex) -> Any:
    return member.inner.item if member.inner is not None else None


def first_error(vertex: Vertex) -> str:
    """Why a vertex did not succeed, from the first task in it that failed."""
    if isinstance(vertex, TaskVertex):
        return vertex.error
    for member in vertex.members:
        if member.state > SUCCEEDED and (error := first_error(member)):
            return error
    return vertex.why


def dig(value: Any, path: tuple[str, ...], ref: Ref) -> Any:
    """Follows object keys and list positions. Raises `bad-reference` where the value has no such place."""
    for step in path:
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            case dict():
                known = ", ".join(key[:40] for key in list(value)[:8])
                raise StrettoError("bad-reference", f"{ref}: there is no {step!r}; there is: {known}")
            case list():
                raise StrettoError("bad-reference", f"{ref}: a list of {len(value)} has no {step!r}")
            case _:
                raise StrettoError("bad-reference", f"{ref}: {type(value).__name__} has no {step!r}")
    return value
