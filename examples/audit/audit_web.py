"""Finds the HTTP endpoints that code declares: Python frameworks by syntax tree, others by patterns."""

from __future__ import annotations

import ast
import bisect
import contextlib
import re
from collections.abc import Iterator
from typing import Any

from audit_code import parsed
from audit_text import Source, line_at, line_starts, read_sources, spans

VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")

_ROUTES = {"Route": "GET", "WebSocketRoute": "WEBSOCKET"}
_PREFIXES = {"APIRouter": "prefix", "Blueprint": "url_prefix"}
_DJANGO = ("path", "re_path", "url")

Found = tuple[int, str, str]  # line, method, path


def endpoints(repo: str, files: list[str]) -> list[dict[str, Any]]:
    """Lists declared endpoints: `[{file, line, method, path}]`; a method of `*` is any.

    Known are Flask, FastAPI, Starlette, aiohttp, Django and their like; Express and Koa; Spring; Go's
    net/http, gin, echo and chi. A prefix is joined when it stands in the same file. Paths that are computed,
    or put together from several files, are not known here.
    """
    rows = []
    for source in read_sources(repo, files):
        tree = parsed(source)
        found = set(_Python(tree).found) if tree else set(_others(source))
        rows += [
            {"file": source.file, "line": line, "method": method, "path": path}
            for line, method, path in sorted(found)
        ]
    return rows


class _Python(ast.NodeVisitor):
    """Collects the endpoints of one module; what stands in a string or a comment is no call."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[Found] = []
        self.prefix = ""  # of the `Mount(...)`s around
        self.modules: dict[str, str] = {}  # a name in this file -> the module it comes from
        self.constants: dict[str, str] = {}
        self.routers: dict[str, str] = {}  # a router's name -> its prefix
        self.decorators: set[int] = set()  # ids of calls that are one
        # An expression nested a thousand deep is generated data; what was found before it stays.
        with contextlib.suppress(RecursionError):
            self.visit(tree)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.modules[(alias.asname or alias.name).split(".")[0]] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def visit_Assign(self, node: ast.Assign) -> None:
        name = node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""
        match node.value:
            case ast.Constant(value=str(text)) if name:
                self.constants[name] = text
            case ast.Call(func=ast.Name(id=maker) | ast.Attribute(attr=maker)) if name and maker in _PREFIXES:
                self.routers[name] = self._text(_keyword(node.value, _PREFIXES[maker])) or ""
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                self._decorated(node, decorator, decorator.func)
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_ClassDef = visit_FunctionDef

    def _decorated(self, node: ast.stmt, call: ast.Call, func: ast.Attribute) -> None:
        """Takes `@app.get("/x")`, `@app.route("/x", methods=[...])`, `@routes.view("/x")` and the like."""
        self.decorators.add(id(call))
        if func.attr in VERBS:
            method = func.attr.upper()
        elif func.attr in ("route", "api_route"):
            method = self._methods(call) or (_verbs_of(node) if isinstance(node, ast.ClassDef) else "GET")
        elif func.attr in ("websocket", "websocket_route"):
            method = "WEBSOCKET"
        elif func.attr == "view":
            method = "*"
        else:
            return
        path = self._text(_first(call, "path", "rule"))
        second = self._text(call.args[1]) if len(call.args) > 1 else None
        if func.attr == "route" and path and second and path.lower() in (*VERBS, "*"):
            method, path = path.upper(), second  # aiohttp: `@routes.route("GET", "/x")`
        prefix = self.routers.get(func.value.id) if isinstance(func.value, ast.Name) else None
        # `@mock.patch("a.b")` has a verb for a name too: a path begins with a slash, or is all in the prefix.
        if path is not None and (path.startswith("/") or (path == "" and prefix)):
            self._add(call, method, (prefix or "") + path)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        # A long sum is a tree as deep as it is long; going down its left side by a loop needs no stack.
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            self.visit(left.right)
            left = left.left
        self.visit(left)

    def visit_Call(self, node: ast.Call) -> None:
        if id(node) not in self.decorators:
            self._called(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        outer = self.prefix
        if name == "Mount" and self._from("starlette", "fastapi", name):
            self.prefix += self._text(_first(node, "path")) or ""
        self.generic_visit(node)
        self.prefix = outer

    def _called(self, node: ast.Call) -> None:
        path = self._text(_first(node, "path", "rule"))
        match node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _ROUTES and path:
                if self._from("starlette", "fastapi", name):
                    self._add(node, self._methods(node) or _ROUTES[name], path)
            case ast.Name(id=name) if name in _DJANGO and path is not None:
                if self.modules.get(name, "").startswith("django") and not _includes(node):
                    self._add(node, "*", path)
            case ast.Attribute(value=ast.Name(id="web"), attr=verb) if verb in (*VERBS, "view", "delete"):
                if self.modules.get("web", "").startswith("aiohttp") and path:
                    self._add(node, "*" if verb == "view" else verb.upper(), path)
            case ast.Attribute(attr=name) if name.startswith("add_") and path:
                self._added(node, name.removeprefix("add_"), path)

    def _added(self, node: ast.Call, kind: str, path: str) -> None:
        """Takes `add_url_rule` (Flask), `add_api_route` (FastAPI), `add_get` and `add_view` (aiohttp)."""
        second = self._text(node.args[1]) if len(node.args) > 1 else None
        if kind == "route" and second and second.startswith("/"):
            self._add(node, path.upper(), second)
        elif not path.startswith("/"):
            return
        elif kind in VERBS:
            self._add(node, kind.upper(), path)
        elif kind in ("url_rule", "api_route"):
            self._add(node, self._methods(node) or "GET", path)
        elif kind in ("route", "view", "websocket_route", "api_websocket_route"):
            method = "WEBSOCKET" if "websocket" in kind else self._methods(node) or "*"
            self._add(node, method, path)

    def _add(self, node: ast.Call, method: str, path: str) -> None:
        self.found.append((node.lineno, method, self.prefix + path))

    def _from(self, *roots: str) -> bool:
        """Whether the file imports one of the frameworks: `Route` is a common word."""
        return any(module.split(".")[0] in roots for module in self.modules.values())

    def _methods(self, call: ast.Call) -> str:
        given = _keyword(call, "methods")
        if not isinstance(given, ast.List | ast.Tuple | ast.Set):
            return "?" if given else ""
        names = [self._text(part) for part in given.elts]
        return ",".join(name.upper() if name else "?" for name in names)

    def _text(self, node: ast.expr | None) -> str | None:
        """The string that an expression is, if it is a literal or a constant of this file."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self.constants.get(name)
            case _:
                return None


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _first(call: ast.Call, *names: str) -> ast.expr | None:
    given = (_keyword(call, name) for name in names)
    return call.args[0] if call.args else next((value for value in given if value), None)


def _verbs_of(node: ast.ClassDef) -> str:
    names = {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    return ",".join(verb.upper() for verb in VERBS if verb in names) or "*"


def _includes(call: ast.Call) -> bool:
    """Whether a Django pattern only hands over to another file's patterns."""
    target = call.args[1] if len(call.args) > 1 else None
    return isinstance(target, ast.Call) and getattr(target.func, "id", "") == "include"


_WORD = r"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)"
_EXPRESS = re.compile(
    r"\b(?:app|api|server|\w*[rR]outer|\w*App)\s*\.\s*"
    r"(?P<verb>get|post|put|patch|delete|del|head|options|all)"
    r"\s*\(\s*(?P<quote>['\"`])(?P<path>/[^'\"`\n]*)(?P=quote)\s*,"
)
_GO = re.compile(
    r"\b(?:\w+\s*\.\s*(?P<handle>HandleFunc|Handle)"
    rf"|\w+\s*\.\s*(?P<upper>{_WORD}|Any)"
    r"|(?:r|e|g|app|api|mux|group|\w*[rR]outer)\s*\.\s*(?P<title>Get|Post|Put|Patch|Delete|Head|Options))"
    rf"\s*\(\s*[\"`](?:(?P<verb>{_WORD})[ ]+)?(?P<path>/[^\"`\n]*)[\"`]\s*,"
)
_SPRING = re.compile(
    r"@(?P<kind>Get|Post|Put|Patch|Delete|Request)Mapping\b"
    r"(?:\s*\((?P<inside>(?:[^()\"]|\"[^\"\n]{0,300}\"){0,500})\))?"
)
_SPRING_PATHS = re.compile(
    r"^\s*(?:[^\"]*\b(?:value|path)\s*=)?\s*\{?\s*(?P<paths>\"[^\"]*\"(?:\s*,\s*\"[^\"]*\")*)"
)
_CLASS = re.compile(
    r"\s*(?:@\w+(?:\([^()]*\))?\s*|\b(?:public|final|abstract|open)\s+)*(?:class|interface)\b"
)


def _others(source: Source) -> Iterator[Found]:
    """Endpoints in other languages; a match that begins inside a comment or a string is none."""
    patterns = {"JavaScript": _express, "TypeScript": _express, "Go": _go, "Java": _spring, "Kotlin": _spring}
    find = patterns.get(source.language.name)
    if find is None:
        return
    found = spans(source)
    hidden = sorted(found.comments + found.strings)
    starts = line_starts(source.text)
    for offset, method, path in find(source.text):
        before = bisect.bisect(hidden, (offset, len(source.text)))
        if before == 0 or hidden[before - 1][1] <= offset:
            yield line_at(starts, offset), method, path


def _express(text: str) -> Iterator[Found]:
    for match in _EXPRESS.finditer(text):
        verb = {"all": "*", "del": "DELETE"}.get(match["verb"], match["verb"].upper())
        yield match.start(), verb, match["path"]


def _go(text: str) -> Iterator[Found]:
    for match in _GO.finditer(text):
        named = match["upper"] or match["title"] or match["verb"] or "*"
        yield match.start(), "*" if named == "Any" else named.upper(), match["path"]


def _spring(text: str) -> Iterator[Found]:
    prefix = ""
    for match in _SPRING.finditer(text):
        inside = match["inside"] or ""
        given = _SPRING_PATHS.match(inside)
        paths = re.findall(r'"([^"]*)"', given["paths"]) if given else [""]
        if match["kind"] == "Request" and _CLASS.match(text, match.end()):
            prefix = paths[0]
            continue
        methods = ",".join(re.findall(r"RequestMethod\.([A-Z]+)", inside)) or "*"
        method = methods if match["kind"] == "Request" else match["kind"].upper()
        for path in paths:
            yield match.start(), method, prefix + path
