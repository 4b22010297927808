"""Reads YAML 1.2 into the raw tree with a position for every value and key, and refuses what could do harm.

Built on the parser's events and not on `yaml.load`: events have positions, know of no Python objects, and
a tree of our own can be bounded while it grows. Scalars follow the core schema of YAML 1.2, so `no`, `12:30`
and dates are texts.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from stretto.errors import StrettoError
from stretto.plan.finding import Finding, PlanError
from stretto.spec.raw import MAX_DEPTH, Raw

MAX_BYTES = 4_000_000
MAX_ALIASED = 100_000
MAX_ALIASED_SHARE = 100
"""What aliases stand for may be this many times what the file itself holds."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMERIC = frozenset("+-.0123456789")
_CORE = "tag:yaml.org,2002:"
_NO_KEYS: dict[str, str] = {}
"""Shared by all scalars: an empty mapping each would be a third of the memory of a large plan."""


def read_yaml(text: str, file_name: str, findings: list[Finding] | None = None) -> Raw:
    """The raw tree of one YAML document.

    Raises StrettoError for what is no YAML, or too large, too deep or too often aliased. Keys written twice
    and foreign tags are findings: they are added to `findings` if it is given, and raised together otherwise.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise StrettoError(
            "too-large",
            f"a plan file may have {MAX_BYTES:,} bytes; this one has more",
            at=file_name,
            next="make lists at run time with `each`, or split the plan",
        )
    _refuse_control_characters(text, file_name)
    found: list[Finding] = []
    tree = _Tree(file_name, found)
    try:
        raw = tree.read(text)
    except yaml.YAMLError as error:
        raise _not_yaml(error, file_name, text) from None
    if findings is not None:
        findings.extend(found)
    elif found:
        raise PlanError(found, file_name)
    return raw


def _refuse_control_characters(text: str, file_name: str) -> None:
    match = _CONTROL.search(text)
    if match is None:
        return
    before = text[: match.start()]
    line, column = before.count("\n") + 1, match.start() - before.rfind("\n")
    raise StrettoError(
        "control-character",
        f"the character U+{ord(match.group()):04X} may not stand in a plan",
        at=f"{file_name}:{line}:{column}",
        next='remove it, or write it inside double quotes as an escape such as "\\x1b"',
    )


def _not_yaml(error: yaml.YAMLError, file_name: str, text: str) -> StrettoError:
    """The parser's complaint in one sentence, with what most often mends it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).strip()
    context = getattr(error, "context", None)
    at = f"{file_name}:{mark.line + 1}:{mark.column + 1}" if mark else file_name
    what = f"this is not YAML: {problem}{f', {context}' if context else ''}"
    hint = "look at this line and the one before it"
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        hint = "indent with spaces, not with tabs"
    elif "'?'" in problem:
        # Only PyYAML's own parser, which stands in where libyaml is missing, stumbles over {b?: string}.
        hint = 'put quotes around a key that ends in ?: {"b?": string}'
    elif "mapping values are not allowed" in problem:
        hint = "put quotes around a text that contains `: `"
    elif "flow" in f"{context}" or "flow" in problem:
        hint = 'close every bracket, and put quotes around texts with ${...} inside { } or [ ]: "${list}"'
    elif "could not find expected ':'" in problem:
        hint = "a key needs a colon after it; put quotes around a text of several lines"
    return StrettoError("bad-yaml", what, at=at, next=hint)


class _Frame:
    """A mapping or list whose end has not come yet."""

    __slots__ = ("anchor", "first", "height", "key", "key_at", "merged", "raw")

    def __init__(self, raw: Raw, anchor: str | None, first: int):
        self.raw = raw
        self.anchor = anchor
        self.first = first
        """How many values there were, aliases counted in full, when it began."""
        self.height = 0
        self.key: str | None = None
        self.key_at = ""
        self.merged: list[Raw] | None = None


class _Anchored:
    """A value that aliases may stand for, with how many values it holds and how deep it is."""

    __slots__ = ("height", "raw", "size")

    def __init__(self, raw: Raw, size: int, height: int):
        self.raw = raw
        self.size = size
        self.height = height


class _Tree:
    """The raw tree as it grows, event by event; no recursion, so depth is ours to bound."""

    def __init__(self, file_name: str, findings: list[Finding]):
        self.file_name = file_name
        self.findings = findings
        self.open: list[_Frame] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.root: Raw | None = None
        self.own = 0
        """Values that stand in the file."""
        self.aliased = 0
        """Values that aliases stand for, each counted in full."""

    def read(self, text: str) -> Raw:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._begin(event, {}, "map")
            elif kind is yaml.SequenceStartEvent:
                self._begin(event, [], "seq")
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._stop(
                        event, "bad-yaml", "a plan is one document; here a second one begins", "remove `---`"
                    )
        if self.root is None or (self.root.value is None and documents <= 1):
            raise StrettoError(
                "empty-plan",
                "there is nothing in this plan",
                at=f"{self.file_name}:1:1",
                next="run `stretto init` for a plan to start from",
            )
        return self.root

    def _at(self, event: Any) -> str:
        mark = event.start_mark
        return f"{self.file_name}:{mark.line + 1}:{mark.column + 1}"

    def _stop(self, event: Any, slug: str, what: str, next: str) -> NoReturn:
        raise StrettoError(slug, what, at=self._at(event), next=next)

    def _begin(self, event: Any, value: dict[str, Raw] | list[Raw], kind: str) -> None:
        at = self._at(event)
        if event.tag is not None and event.tag not in ("!", _CORE + kind):
            self._foreign_tag(event.tag, at)
        if len(self.open) >= MAX_DEPTH:
            self._too_deep(event)
        if self.open and type(self.open[-1].raw.value) is dict and self.open[-1].key is None:
            self._stop(event, "bad-yaml", "a key must be a text", "put quotes around it")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        first = self.own + self.aliased
        self.own += 1
        self.open.append(_Frame(Raw(value, at, {}), event.anchor, first))

    def _end(self) -> None:
        frame = self.open.pop()
        if frame.merged:
            self._merge(frame)
        if frame.anchor is not None:
            size = self.own + self.aliased - frame.first
            self.anchors[frame.anchor] = _Anchored(frame.raw, size, frame.height)
        self._put(frame.raw, frame.height + 1)

    def _scalar(self, event: Any) -> None:
        at = self._at(event)
        frame = self.open[-1] if self.open else None
        self.own += 1
        if frame is not None and frame.key is None and type(frame.raw.value) is dict:
            if event.anchor is not None:
                self.anchors[event.anchor] = _Anchored(Raw(event.value, at, _NO_KEYS), 1, 0)
            self._key(frame, event.value, at)
            return
        value: Any = event.value
        if event.tag is not None:
            if event.tag != "!":
                value = self._tagged(event, at)
        elif event.implicit[0] and (value == "" or value[0] in _NUMERIC or value in _WORDS):
            value = self._plain(event, at)
        raw = Raw(value, at, _NO_KEYS)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(raw, 1, 0)
        self._put(raw, 0)

    def _alias(self, event: Any) -> None:
        at = self._at(event)
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            what = "contains itself" if event.anchor in self.anchors else "is not defined before"
            self._stop(event, "bad-yaml", f"the alias *{event.anchor} {what}", "write the value out")
        self.aliased += anchored.size
        # A small file cannot ask for much: both the plain number and the growth are bounded, and nothing
        # is copied before they are.
        if self.aliased > min(MAX_ALIASED, MAX_ALIASED_SHARE * (self.own + 1)):
            self._stop(
                event,
                "alias-bomb",
                f"the aliases up to here stand for {self.aliased:,} values, in a file that has {self.own:,}",
                "write lists with `each` instead of repeating them",
            )
        if len(self.open) + anchored.height > MAX_DEPTH:
            self._too_deep(event)
        frame = self.open[-1] if self.open else None
        if frame is not None and frame.key is None and type(frame.raw.value) is dict:
            if not isinstance(anchored.raw.value, str):
                self._stop(event, "bad-yaml", "a key must be a text", "put quotes around it")
            self._key(frame, anchored.raw.value, at)
            return
        self._put(anchored.raw, anchored.height)

    def _key(self, frame: _Frame, name: str, at: str) -> None:
        frame.key = name
        frame.key_at = at

    def _put(self, raw: Raw, height: int) -> None:
        """Hangs a complete value where it belongs."""
        if not self.open:
            self.root = raw
            return
        frame = self.open[-1]
        if height > frame.height:
            frame.height = height
        into = frame.raw.value
        if type(into) is list:
            into.append(raw)
            return
        name, frame.key = frame.key, None
        assert name is not None
        if name == "<<":
            frame.merged = [*(frame.merged or []), raw]
        elif name in into:
            first = frame.raw.keys[name].removeprefix(f"{self.file_name}:")
            message = f"{name!r} is written twice; the first one is at {first}"
            self.findings.append(
                Finding("duplicate-key", "error", message, frame.key_at, "remove or rename one of them")
            )
        else:
            into[name] = raw
            frame.raw.keys[name] = frame.key_at

    def _merge(self, frame: _Frame) -> None:
        """Adds what `<<` brings: the mapping's own keys win, then the first one merged."""
        for merged in frame.merged or []:
            for source in merged.value if isinstance(merged.value, list) else [merged]:
                if not isinstance(source.value, dict):
                    message = "`<<` takes a mapping, or a list of mappings"
                    self.findings.append(
                        Finding("bad-yaml", "error", message, source.at, "write the keys out")
                    )
                    continue
                for name, entry in source.value.items():
                    if name not in frame.raw.value:
                        frame.raw.value[name] = entry
                        frame.raw.keys[name] = source.keys[name]

    def _too_deep(self, event: Any) -> NoReturn:
        self._stop(
            event,
            "too-deep",
            f"values are nested more than {MAX_DEPTH} levels deep here",
            "make fewer levels of groups",
        )

    def _foreign_tag(self, tag: str, at: str) -> None:
        short = tag.replace(_CORE, "!!")
        self.findings.append(
            Finding("bad-tag", "error", f"the tag {short} means nothing in a plan", at, "remove it")
        )

    def _plain(self, event: Any, at: str) -> Any:
        value = event.value
        if value in _WORDS:
            return _WORDS[value]
        try:
            return _number(value)
        except (ValueError, OverflowError):
            self._stop(event, "bad-yaml", "this number is too long", "put quotes around it")

    def _tagged(self, event: Any, at: str) -> Any:
        kind = event.tag.removeprefix(_CORE)
        if kind == "str":
            return event.value
        value = self._plain(event, at)
        if kind == "float" and type(value) is int:
            return float(value)
        if {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind) is type(value):
            return value
        if event.tag.startswith(_CORE) and kind in ("int", "float", "bool", "null"):
            message = f"{event.value!r} is no {kind}"
            self.findings.append(Finding("bad-tag", "error", message, at, "remove the tag"))
        else:
            self._foreign_tag(event.tag, at)
        return event.value


def _number(text: str) -> Any:
    """The number that a plain scalar is in the core schema of YAML 1.2, or else the text itself."""
    if _INT.fullmatch(text):
        return int(text)
    if _RADIX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
