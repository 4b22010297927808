"""What an expression stands for, as far as the text of a file tells without executing any of it."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

MOST = 20_000
"""Entries of one list, and tasks of one file: what is longer is not read out."""

_NUMBERED = re.compile(r"(.*?)(\d{1,9})(\D*)", re.S)
_FORMAT = re.compile(r"[<>^=]?[-+ ]?0?\d{0,3},?(?:\.\d{1,2})?[a-z%]?")
_FIELD = re.compile(r"\{(\w*)\}")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_SAME_TEXT = frozenset({"dedent", "cleandoc"})
_SHOWN = 60
_BUILT = 10_000


class Unknown(Exception):
    """The value is known only at run time."""


class Item(NamedTuple):
    """The entry of an unknown list, or what is dug out of it: a reference."""

    path: str

    def __str__(self) -> str:
        return f"${{{self.path}}}"


class Output(NamedTuple):
    """What a name stands for that a task was assigned to: the output of the task with this id."""

    id: str


class Hole(str):
    """The place of a value that nobody can know, as it is written: `{issue}`."""

    __slots__ = ()


class Text(NamedTuple):
    """A prompt in the plan format, and the holes in it."""

    text: str
    holes: tuple[str, ...]


class Goes(NamedTuple):
    """A list that ends in `...`: it goes on, nobody can say how."""

    entries: list[Any]


Names = dict[str, Any]
"""What names stand for; a name that is not there is unknown."""


def known(value: ast.expr, names: Names) -> Any:
    """The value of a literal, a name, or a plain function of these. Raises Unknown."""
    match value:
        case ast.Constant():
            return value.value
        case ast.Name(id=name) if name in names and not isinstance(names[name], Item | Output):
            return names[name]
        case ast.List(elts=entries) | ast.Tuple(elts=entries) | ast.Set(elts=entries):
            return _filled(list(_entries(entries, names)))
        case ast.Dict(keys=keys, values=entries):
            pairs = zip(keys, entries, strict=True)
            return {_hashable(known(k, names)): known(v, names) for k, v in pairs if k is not None}
        case ast.UnaryOp(op=ast.USub(), operand=operand) if _is_number(number := known(operand, names)):
            return -number
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _added(known(left, names), known(right, names))
        case ast.JoinedStr(values=parts):
            for part in parts:
                known(part.value if isinstance(part, ast.FormattedValue) else part, names)
            return _joined(text_pieces(value, names))
        case ast.Subscript(value=inner, slice=index):
            return _picked(known(inner, names), index, names)
        case ast.Call(func=function, args=args, keywords=keywords):
            return _called(function, [known(arg, names) for arg in args], names, bool(keywords))
        case _:
            pass
    raise Unknown


def entries_of(value: ast.expr, names: Names) -> tuple[Sequence[Any], bool]:
    """The entries of a list that a loop goes over, and whether it goes on after them. Raises Unknown."""
    found = known(value, names)
    goes_on = isinstance(found, Goes)
    if isinstance(found, Goes):
        found = found.entries
    if isinstance(found, dict):
        found = list(found)
    if not isinstance(found, list | tuple | range | str):
        raise Unknown
    return found, goes_on


def text_of(value: ast.expr, names: Names) -> Text:
    """A text as a prompt of the plan format: known parts filled in, unknown names as `{name}`.

    The entry of an unknown list becomes a reference; any other `${` is escaped.
    """
    found = text_pieces(value, names)
    pieces: list[str | Item] = []
    for piece in found:
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    made = ""
    for piece in pieces:
        if isinstance(piece, str):
            made += piece.replace("${", "$${")
        else:
            # `$` right before a reference would turn it into an escape.
            made += f" {piece}" if made.endswith("$") else str(piece)
    return Text(made, tuple(piece for piece in found if isinstance(piece, Hole)))


def text_pieces(value: ast.expr, names: Names) -> list[str | Item]:
    """The parts of a text: strings, and entries of unknown lists."""
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return [piece for part in parts for piece in text_pieces(part, names)]
        case ast.FormattedValue(value=inner):
            return _formatted(value, inner, names)
        case ast.BinOp(op=ast.Add()):
            return [piece for part in _sum(value) for piece in text_pieces(part, names)]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[inner]) if name in _SAME_TEXT:
            return text_pieces(inner, names)
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[]):
            return text_pieces(inner, names)
        case ast.Call(func=ast.Attribute(value=inner, attr="format"), args=args, keywords=keywords):
            filled = {str(number): arg for number, arg in enumerate(args)}
            filled |= {keyword.arg: keyword.value for keyword in keywords if keyword.arg}
            return _filled_in("".join(map(str, text_pieces(inner, names))), filled, names)
        case _:
            pass
    item = _item(value, names)
    if item is not None:
        return [item]
    try:
        found = known(value, names)
    except Unknown:
        return [_said(value)]
    return [str(found) if isinstance(found, str | int | float) else _said(value)]


def bind(target: ast.expr, value: Any, names: Names) -> None:
    """Gives the names of an assignment or a loop their value; Unknown makes them unknown."""
    match target:
        case ast.Name(id=name):
            names.pop(name, None)
            if value is not Unknown:
                names[name] = value
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            parts: Sequence[Any] = value if isinstance(value, list | tuple) else []
            if isinstance(value, Item):
                parts = [Item(f"{value.path}.{number}") for number in range(len(targets))]
            for inner, part in itertools.zip_longest(targets, parts[: len(targets)], fillvalue=Unknown):
                bind(inner, part, names)  # type: ignore[arg-type]
        case _:
            pass  # an attribute or an entry: nothing that a text could name


def _entries(entries: list[ast.expr], names: Names) -> Iterator[Any]:
    for entry in entries:
        if isinstance(entry, ast.Starred):
            inner, goes_on = entries_of(entry.value, names)
            if len(inner) > MOST or goes_on:
                raise Unknown
            yield from inner
        else:
            yield known(entry, names)


def _filled(entries: list[Any]) -> Any:
    """`["mod1", "mod2", ..., "mod10"]` with all ten; a list that ends in `...` goes on."""
    found: list[Any] = []
    goes_on = False
    for at, entry in enumerate(entries):
        if entry is not ...:
            found.append(entry)
            continue
        between = _between(found, entries[at + 1] if at + 1 < len(entries) else None)
        goes_on = goes_on or between is None
        found += between or []
    return Goes(found) if goes_on else found


def _between(before: list[Any], last: Any) -> list[Any] | None:
    """What `...` stands for between numbered names; None where nobody can say."""
    first = _parted(before[-1]) if before else None
    end = _parted(last)
    if first is None or end is None or (first[0], first[2]) != (end[0], end[2]):
        return None
    earlier = _parted(before[-2]) if len(before) > 1 else None
    step = int(first[1]) - int(earlier[1]) if earlier and earlier[0] == first[0] else 1
    start, stop = int(first[1]), int(end[1])
    if step < 1 or stop < start or (stop - start) // step > MOST:
        return None
    width = len(first[1]) if first[1].startswith("0") else 0
    numbers = range(start + step, stop, step)
    if isinstance(last, int):
        return list(numbers)
    return [f"{first[0]}{number:0{width}}{first[2]}" for number in numbers]


def _parted(entry: Any) -> tuple[str, str, str] | None:
    """A numbered name as what stands before its last number, the number, and what follows."""
    if isinstance(entry, bool) or not isinstance(entry, str | int) or len(str(entry)) > 200:
        return None
    found = _NUMBERED.fullmatch(str(entry))
    return (found[1], found[2], found[3]) if found else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _hashable(key: Any) -> Any:
    if isinstance(key, str | int | float | bool | None):
        return key
    raise Unknown


def _added(left: Any, right: Any) -> Any:
    match left, right:
        case str(), str():
            return _joined([left, right])
        case list(), list() if len(left) + len(right) <= MOST:
            return [*left, *right]
        case _ if _is_number(left) and _is_number(right):
            return left + right
        case _:
            raise Unknown


def _joined(pieces: list[Any]) -> str:
    """Texts in one. What is built up is short: a file of nothing but sums of sums would fill the memory."""
    if sum(map(len, pieces)) > _BUILT:
        raise Unknown
    return "".join(pieces)


def _picked(value: Any, index: ast.expr, names: Names) -> Any:
    try:
        if isinstance(index, ast.Slice):
            ends = [known(end, names) if end else None for end in (index.lower, index.upper, index.step)]
            return value[slice(*ends)]
        return value[known(index, names)]
    except (TypeError, LookupError, ValueError):
        raise Unknown from None


def _called(function: ast.expr, args: list[Any], names: Names, keywords: bool) -> Any:
    """The few functions and methods that people build lists with."""
    name = function.id if isinstance(function, ast.Name) else ""
    lists = [arg for arg in args if isinstance(arg, list | tuple | range)]
    plain = not keywords and all(len(entry) <= MOST for entry in lists)
    try:
        match name, args:
            case "range", [_, *_] if all(type(arg) is int for arg in args) and not keywords:
                return range(*args)
            case "len", [str() | list() | tuple() | range() | dict()]:
                return len(args[0])
            case "list" | "tuple" | "sorted" | "reversed" | "enumerate" | "zip", [_, *_] if plain and lists:
                return list(_BUILDERS[name](*args))
        if isinstance(function, ast.Attribute):
            return _method(known(function.value, names), function.attr, args)
    except (TypeError, ValueError):
        pass
    raise Unknown


_BUILDERS: dict[str, Any] = {
    "list": list,
    "tuple": list,
    "sorted": sorted,
    "reversed": reversed,
    "enumerate": enumerate,
    "zip": zip,
}


def _method(value: Any, name: str, args: list[Any]) -> Any:
    match value, name, args:
        case dict(), "items", []:
            return list(value.items())
        case dict(), "keys", []:
            return list(value)
        case dict(), "values", []:
            return list(value.values())
        case str(), "split", [] | [str()]:
            return value.split(*args)
        case str(), "upper" | "lower" | "title" | "strip", []:
            return getattr(value, name)()
        case _:
            raise Unknown


def _sum(value: ast.expr) -> list[ast.expr]:
    """The parts of `a + b + c`, however many there are: the tree leans to the left, one level for each."""
    parts = []
    while isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        parts.append(value.right)
        value = value.left
    return [value, *reversed(parts)]


def _formatted(value: ast.FormattedValue, inner: ast.expr, names: Names) -> list[str | Item]:
    """One `{...}` of an f-string."""
    pieces = text_pieces(inner, names)
    spec = value.format_spec
    if value.conversion == ord("r") and not _item(inner, names):
        pieces = [piece if isinstance(piece, Hole) else repr(piece) for piece in pieces]
    if not isinstance(spec, ast.JoinedStr):
        return pieces
    written = "".join(map(str, text_pieces(spec, names)))
    try:
        if _FORMAT.fullmatch(written):
            return [format(known(inner, names), written)]
    except (Unknown, TypeError, ValueError):
        pass
    return pieces


def _filled_in(text: str, values: dict[str, ast.expr], names: Names) -> list[str | Item]:
    """A text with its `{}`, `{0}` and `{name}` filled in, where the call gives them."""
    pieces: list[str | Item] = []
    numbers = itertools.count()
    position = 0
    for field in _FIELD.finditer(text):
        given = values.get(field[1] or str(next(numbers)))
        pieces.append(text[position : field.start()])
        pieces += [field[0]] if given is None else text_pieces(given, names)
        position = field.end()
    return [*pieces, text[position:]]


def _item(value: ast.expr, names: Names) -> Item | None:
    """The reference to the output of a task, or to what an expression digs out of an unknown entry."""
    if isinstance(value, ast.Name) and isinstance(found := names.get(value.id), Output):
        return Item(found.id)
    path: list[str] = []
    while True:
        match value:
            case ast.Name(id=name) if isinstance(names.get(name), Item):
                return Item(".".join([names[name].path, *reversed(path)]))
            case ast.Attribute(value=inner, attr=name):
                path.append(name)
                value = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int() as key)):
                if not _SEGMENT.fullmatch(str(key)):
                    return None
                path.append(str(key))
                value = inner
            case _:
                return None


def _said(value: ast.expr) -> Hole:
    """An expression as it is written, on one line and not too long."""
    words = " ".join((value.id if isinstance(value, ast.Name) else ast.unparse(value)).split())
    return Hole("{" + (words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}...") + "}")
