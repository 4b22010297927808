"""The audit's functions find exactly what was planted, and their report holds whatever a code base holds."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "audit"))
audit: Any = importlib.import_module("audit")
audit_code: Any = importlib.import_module("audit_code")
audit_report: Any = importlib.import_module("audit_report")
audit_text: Any = importlib.import_module("audit_text")

MARKDOWN = MarkdownIt("commonmark").enable("table")

# Plain chance seldom finds the signs that mean something to Markdown or to a scanner of code.
odd = st.text(st.sampled_from("`*_|\\<>[](){}#~$!&;:@/'\"%-=+.\n\r\t ab1\x1b\u202e\u2028é")) | st.text()

Note = tuple[str, int, str]

NOTES = {
    'we ird/naïve "q".py': (
        '"""Not here: TODO, it is a docstring."""\n'
        's = "# TODO: not in a string"\n'
        "x = 1  # TODO(bob): größer\n"
        "# todo: small letters, with a colon\n"
        "# a todo list, a hack, TODOs, TODO-list, see TODO.md, it counts `TODO` and 'FIXME'\n"
        "def f():\n"
        "    pass  # first a word, then FIXME | `now` <b>\n"
        's = """\n# HACK: not in a long string\n"""\n'
    ),
    "odd\nname.py": "# XXX the name has a line end\n",
    "broken.py": 'def (:\n    s = "# TODO: in a string"  # HACK here\n  x = """ never closed\n',
    "web/app.js": (
        "const a = '// TODO: not here'; // TODO: here\n"
        "/*\n * FIXME: in a block\n * nothing\n */\n"
        "const t = `\n// TODO: in a template\n`;\n"
        "/** @todo document */ f(); /* XXX one */\n"
    ),
    "src/lib.rs": "fn f<'a>(x: &'a str) {} // TODO lifetimes don't hide it\nlet s = \"// TODO not\";\n",
    "main.go": "package main\nvar q = `// TODO not`\n//FIXME close by\n",
    "db/schema.sql": "select '-- TODO not'; -- TODO index\n",
    "page.html": "<p>TODO not</p>\n<!-- TODO: title -->\n",
    "core.lisp": '(def s ";; TODO not")\n;; TODO macro\n',
    "ci.yml": "name: don't # TODO: pin\nurl: http://x/#TODO\n",
    "tool": '#!/usr/bin/env bash\necho "# TODO no" $# # HACK: yes\n',
    "README.md": "TODO: prose is no comment\n",
    "windows.py": "x = 1\r\n# TODO crlf\r\n",
}
PLANTED: list[Note] = [
    ("broken.py", 2, "HACK here"),
    ("ci.yml", 1, "TODO: pin"),
    ("core.lisp", 2, "TODO macro"),
    ("db/schema.sql", 1, "TODO index"),
    ("main.go", 3, "FIXME close by"),
    ("odd\nname.py", 1, "XXX the name has a line end"),
    ("page.html", 2, "TODO: title"),
    ("src/lib.rs", 1, "TODO lifetimes don't hide it"),
    ("tool", 2, "HACK: yes"),
    ('we ird/naïve "q".py', 3, "TODO(bob): größer"),
    ('we ird/naïve "q".py', 4, "todo: small letters, with a colon"),
    ('we ird/naïve "q".py', 7, "FIXME | `now` <b>"),
    ("web/app.js", 1, "TODO: here"),
    ("web/app.js", 3, "FIXME: in a block"),
    ("web/app.js", 9, "@todo document"),
    ("web/app.js", 9, "XXX one"),
    ("windows.py", 2, "TODO crlf"),
]

ENDPOINTS = {
    "flask_app.py": (
        "from flask import Blueprint, Flask\n"
        "app, bp = Flask(__name__), None\n"
        'bp = Blueprint("b", __name__, url_prefix="/b")\n'
        "TEXT = '@app.get(\"/in-a-string\")'\n"
        '# @app.get("/in-a-comment")\n'
        '@app.route("/multi", methods=["GET", "post"])\n'
        "def multi(): ...\n"
        '@bp.route("/<id>")\n'
        "async def item(id): ...\n"
        'app.add_url_rule("/rule", view_func=item)\n'
    ),
    "api.py": (
        "from fastapi import APIRouter\n"
        "from unittest import mock\n"
        'PATH = "/named"\n'
        'router = APIRouter(prefix="/v1")\n'
        '@router.get("")\n'
        "def root(): ...\n"
        "@router.delete(PATH)\n"
        "def gone(): ...\n"
        '@router.websocket("/ws")\n'
        "async def ws(socket): ...\n"
        '@mock.patch("api.gone")\n'
        "def test_gone(): ...\n"
        'client.get("/called")\n'
    ),
    "star.py": (
        "from starlette.routing import Mount, Route\n"
        'routes = [Route("/", home), Mount("/admin", routes=[Route("/users", users, methods=["POST"])])]\n'
    ),
    "aio.py": (
        "from aiohttp import web\n"
        'app.add_routes([web.get("/a", a), web.view("/v", V)])\n'
        'app.router.add_post("/p", p)\n'
        'app.router.add_route("PUT", "/r", r)\n'
    ),
    "urls.py": (
        "from django.urls import include, path, re_path\n"
        'urlpatterns = [path("blog/", blog)] + [re_path(r"^x$", x), path("api/", include("api.urls"))]\n'
    ),
    "plain.py": 'path("not/django/", x)\nRoute("/not-starlette", y)\nweb.get("/not-aiohttp", z)\n',
    "server.js": (
        "app.get('/x', h);\n"
        "// app.get('/comment', h)\n"
        "const s = \"app.get('/string', h)\";\n"
        "usersRouter.all(`/all`, h); axios.get('/called'); app.get('title');\n"
    ),
    "main.go": (
        'http.HandleFunc("/go", h)\n'
        'mux.HandleFunc("POST /items/{id}", h)\n'
        'r.GET("/gin", h)\n'
        'router.Get("/chi", h) // r.GET("/comment", h)\n'
        'resp, err := http.Get("/called")\n'
    ),
    "Api.java": (
        '@RequestMapping("/base")\n'
        "public class Api {\n"
        '    @GetMapping(value = "/{id}", produces = "text/plain")\n'
        "    String one() {}\n"
        '    @RequestMapping(path = {"/a", "/b"}, method = RequestMethod.POST)\n'
        "    String two() {}\n"
        "    @DeleteMapping\n"
        "    void three() {}\n"
        "}\n"
    ),
}
DECLARED = [
    "Api.java:3: GET /base/{id}",
    "Api.java:5: POST /base/a",
    "Api.java:5: POST /base/b",
    "Api.java:7: DELETE /base",
    "aio.py:2: * /v",
    "aio.py:2: GET /a",
    "aio.py:3: POST /p",
    "aio.py:4: PUT /r",
    "api.py:5: GET /v1",
    "api.py:7: DELETE /v1/named",
    "api.py:9: WEBSOCKET /v1/ws",
    "flask_app.py:6: GET,POST /multi",
    "flask_app.py:8: GET /b/<id>",
    "flask_app.py:10: GET /rule",
    "main.go:1: * /go",
    "main.go:2: POST /items/{id}",
    "main.go:3: GET /gin",
    "main.go:4: GET /chi",
    "server.js:1: GET /x",
    "server.js:4: * /all",
    "star.py:2: GET /",
    "star.py:2: POST /admin/users",
    "urls.py:2: * ^x$",
    "urls.py:2: * blog/",
]


def plant(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return str(root)


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.invalid"]
    subprocess.run(["git", *who, "-C", str(root), *words], check=True, capture_output=True)


def source(name: str, text: str) -> Any:
    return audit_text.Source(name, audit_text.language_of(name), text, len(text.encode()))


def audited(repo: str, answer: str = "It does one thing.", *, rehearsed: bool = False) -> str:
    """The page that the plan would write, every module answered alike."""
    found = audit.files(repo=repo)
    names = found["files"]
    picked = audit.modules(repo=repo, files=names)
    page: str = audit.report(
        found=found,
        sizes=audit.sizes(repo=repo, files=names),
        todos=audit.todos(repo=repo, files=names),
        endpoints=audit.endpoints(repo=repo, files=names),
        signatures=audit.signatures(repo=repo, files=names),
        hotspots=audit.hotspots(repo=repo, files=names),
        modules=picked,
        answers=[answer] * len(picked["asked"]),
        rehearsed=rehearsed,
    )
    return page


def section(page: str, heading: str) -> list[str]:
    """The inline code of the list below a heading, as a reader of the rendered page sees it."""
    tokens = MARKDOWN.parse(page)
    shown: list[str] = []
    inside = False
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            inside = tokens[at + 1].content.startswith(heading)
        elif inside and token.type == "inline" and token.level > 1:
            shown += [child.content for child in token.children or [] if child.type == "code_inline"]
    return shown


def test_exactly_the_planted_notes_are_found(tmp_path: Path) -> None:
    repo = plant(tmp_path, NOTES)
    found = audit.todos(repo=repo, files=audit.files(repo=repo)["files"])
    assert [(note["file"], note["line"], note["text"]) for note in found] == PLANTED


def test_the_report_lists_exactly_the_planted_notes(tmp_path: Path) -> None:
    page = audited(plant(tmp_path, NOTES))
    expected = [f"{file}:{line}: {text}".replace("\n", "\\n") for file, line, text in PLANTED]
    assert section(page, "Open notes: 17") == expected
    assert '- `we ird/naïve "q".py:3: TODO(bob): größer`' in page.split("\n")


def test_exactly_the_declared_endpoints_are_found(tmp_path: Path) -> None:
    repo = plant(tmp_path, ENDPOINTS)
    found = audit.endpoints(repo=repo, files=sorted(ENDPOINTS))
    assert [f"{e['file']}:{e['line']}: {e['method']} {e['path']}" for e in found] == DECLARED
    assert section(audited(repo), "HTTP endpoints: 24") == DECLARED


def test_a_very_deep_expression_does_not_end_the_audit(tmp_path: Path) -> None:
    long = "x = " + "+".join(["1"] * 2_000) + "\n"
    repo = plant(tmp_path, {"sum.py": f'{long}@app.get("/x")\ndef f(a={"-" * 900}1): ...\n'})
    assert [row["path"] for row in audit.endpoints(repo=repo, files=["sum.py"])] == ["/x"]
    assert audited(repo)


def test_git_decides_what_belongs_to_the_tree(tmp_path: Path) -> None:
    repo = plant(tmp_path, {"a.py": "x = 1\n", ".ci/b.sh": "true\n", "untracked.py": "", "picture.png": ""})
    git(tmp_path, "init", "--quiet")
    assert audit.files(repo=repo)["how"] == "walk"  # a checkout that tracks nothing yet
    git(tmp_path, "add", "a.py", ".ci", "picture.png")
    found = audit.files(repo=repo)
    assert (found["how"], found["files"], found["other"], found["commit"]) == (
        "git",
        [".ci/b.sh", "a.py"],
        1,
        None,
    )
    git(tmp_path, "commit", "--quiet", "--message", "first")
    assert len(audit.files(repo=repo)["commit"]) == 12


def test_the_tree_cannot_make_git_run_a_program(tmp_path: Path) -> None:
    repo = plant(tmp_path, {"a.py": "x = 1\n", "evil.sh": f"touch '{tmp_path}/ran'\n"})
    (tmp_path / "evil.sh").chmod(0o755)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "config", "core.fsmonitor", f"{tmp_path}/evil.sh")
    assert audit.files(repo=repo)["files"] == ["a.py", "evil.sh"]
    assert not (tmp_path / "ran").exists()


def test_what_is_not_read_is_named_with_the_reason(tmp_path: Path) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("# TODO: outside\n")
    root = tmp_path / "repo"
    repo = plant(root, {"binary.py": "x\0y", "big.py": "#" * 1_000_001, "ok.py": "x = 1\n", "a.bin": "\0"})
    (root / "link.py").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.py")
    (root / os.fsdecode(b"latin\xe9.py")).write_text("x = 1\n")
    found = audit.files(repo=repo)
    assert found["files"] == ["ok.py"]
    assert {row["file"]: row["why"] for row in found["skipped"]} == {
        "big.py": "larger than 1,000,000 bytes",
        "binary.py": "binary",
        "latin\\xe9.py": "name is not UTF-8",
        "link.py": "a symbolic link",
    }
    escaping = ["../secret.py", str(outside), "link.py", "folder/secret.py", "gone.py", "nul\0.py"]
    assert audit.todos(repo=repo, files=escaping) == []
    json.dumps(found, ensure_ascii=False).encode()  # a journal can hold it


def test_a_walk_leaves_out_what_is_not_the_authors(tmp_path: Path) -> None:
    others = [
        ".git/a.py",
        ".hidden/a.py",
        "node_modules/a.js",
        "x/__pycache__/a.py",
        "build/a.py",
        "env/a.py",
    ]
    repo = plant(tmp_path, {"src/a.py": "", "env/pyvenv.cfg": "", ".dot.py": "", **dict.fromkeys(others, "")})
    assert audit.files(repo=repo)["files"] == ["src/a.py"]


def test_a_missing_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder: give the root"):
        audit.files(repo=str(tmp_path / "nowhere"))


def test_sizes_count_code_without_comments_and_blanks(tmp_path: Path) -> None:
    repo = plant(
        tmp_path,
        {"a.py": '"""Doc."""\n\n# note\nx = 1  # why\n', "b.js": "/*\n\n*/ f()\n// g", "c.py": ""},
    )
    sizes = audit.sizes(repo=repo, files=["a.py", "b.js", "c.py"])
    assert sizes["total"] == {"files": 3, "lines": 8, "code": 3, "bytes": 47}
    assert [(row["language"], row["code"]) for row in sizes["languages"]] == [
        ("Python", 2),
        ("JavaScript", 1),
    ]
    assert [row["file"] for row in sizes["files"]] == ["a.py", "b.js", "c.py"]


def test_signatures_of_several_languages(tmp_path: Path) -> None:
    files = {
        "a.py": "class A(B, metaclass=M):\n  async def f(self, x: int = 1, *, y): ...\ndef g() -> str: ...\n",
        "bad.py": "def (:\n",
        "b.ts": "export async function run(a: string): void {\n// function no() {}\nconst k = (x) => x\n",
        "c.go": "func (s *S) Name(a int) error {\ntype S struct {\n",
        "d.rs": 'pub(crate) async fn go<T>(t: T) -> u8 {\nlet s = "fn no() {}";\n',
        "e.java": "public class E {\n    static int size(List<String> a) throws X {\n  return f(a);\n",
    }
    found = audit.signatures(repo=plant(tmp_path, files), files=sorted(files))
    assert found["unparsed"] == ["bad.py"]
    assert [(i["file"], i["line"], i["kind"], i["name"], i["text"]) for i in found["items"]] == [
        ("a.py", 1, "class", "A", "class A(B, metaclass=M)"),
        ("a.py", 2, "method", "A.f", "async def f(self, x: int=1, *, y)"),
        ("a.py", 3, "function", "g", "def g() -> str"),
        ("b.ts", 1, "function", "run", "export async function run(a: string): void"),
        ("b.ts", 3, "function", "k", "const k = (x) => x"),
        ("c.go", 1, "function", "Name", "func (s *S) Name(a int) error"),
        ("c.go", 2, "class", "S", "type S struct"),
        ("d.rs", 1, "function", "go", "pub(crate) async fn go<T>(t: T) -> u8"),
        ("e.java", 1, "class", "E", "public class E"),
        ("e.java", 2, "function", "size", "static int size(List<String> a) throws X"),
    ]


def test_hotspots_count_branches_of_each_function_alone(tmp_path: Path) -> None:
    text = (
        "def simple(): return 1\n"
        "def outer(a, b):\n"
        "    if a and b or a: ...\n"  # if, and, or
        "    for x in [y for y in a if y]: ...\n"  # for, comprehension, its condition
        "    def inner():\n"
        "        while a: ...\n"
        "    match a:\n"
        "        case 1: ...\n"
        "        case _: ...\n"
    )
    found = audit.hotspots(repo=plant(tmp_path, {"a.py": text}), files=["a.py"], most=2)
    assert (found["functions"], found["median"]) == (3, 2)
    assert [(row["name"], row["line"], row["complexity"], row["lines"]) for row in found["top"]] == [
        ("outer", 2, 8, 8),
        ("outer.inner", 5, 2, 2),
    ]


def test_modules_are_the_largest_first_and_the_rest_is_listed(tmp_path: Path) -> None:
    files = {f"m{n:02}.py": '"""Says  what\nit is. And more."""\n' + "x = 1\n" * n for n in range(30)}
    repo = plant(tmp_path, files | {"long.md": "x\n" * 99, "empty.py": "\n", "mute.py": "x = 1\n" * 99})
    picked = audit.modules(repo=repo, files=audit.files(repo=repo)["files"])
    assert [module["file"] for module in picked["asked"]] == [f"m{n:02}.py" for n in range(29, 5, -1)]
    assert picked["asked"][0] == {
        "file": "m29.py",
        "lines": 31,
        "brief": "File: m29.py\nPurpose: Says what it is.",
    }
    assert picked["rest"] == ["mute.py"] + [f"m{n:02}.py" for n in range(5, -1, -1)]


def test_a_brief_tells_what_a_module_says_and_defines() -> None:
    python = (
        'def _hidden(): ...\ndef go():\n    """Goes. Far."""\n\nclass Big:\n    x = 1\n    y = 2\n    z = 3\n'
    )
    assert audit_code.brief(source("a.py", python)) == "File: a.py\ngo: Goes.\nDefines: Big, go"
    script = "/**\n * Adds up prices.\n */\nexport function total(a) {}\n"
    assert audit_code.brief(source("a.js", script)) == "File: a.js\nPurpose: Adds up prices.\nDefines: total"
    assert audit_code.brief(source("broken.py", "# Old.\ndef (:\n")) == "File: broken.py\nPurpose: Old."


@given(odd, st.lists(st.text(min_size=1), max_size=9), odd)
def test_a_brief_is_never_longer_than_its_bytes(said: str, names: list[str], file: str) -> None:
    text = repr(said) + "\n" + "".join(f"class {name}: ...\n" for name in names if name.isidentifier())
    for name in (f"{file}.py", f"{file}.js"):
        assert len(audit_code.brief(source(name, text)).encode("utf-8", "surrogatepass")) <= 280


@given(odd)
def test_any_text_in_inline_code_stays_one_piece(text: str) -> None:
    inline = MARKDOWN.parseInline(f"x {audit_report.code(text)} y")[0].children or []
    assert [child.type for child in inline] == ["text", "code_inline", "text"]
    shown = inline[1].content
    assert shown == audit_report.visible(text) or not text.strip()
    assert shown.isprintable()


@given(odd)
def test_any_text_in_a_cell_is_only_text(text: str) -> None:
    page = "| a | b |\n|---|---|\n| " + audit_report.plain(text) + " | z |\n"
    tokens = [token for token in MARKDOWN.parse(page) if token.type == "inline"]
    assert [token.content for token in tokens[:2] + tokens[3:]] == ["a", "b", "z"]
    children = tokens[2].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children).strip() == audit_report.visible(text).strip()


@given(odd)
def test_no_source_text_can_stop_the_measures(text: str) -> None:
    for name in ("a.py", "a.js", "a.go", "a.rs", "a.java", "a.php", "a.sql", "a.html", "a.sh", "a.ini"):
        read = source(name, text.replace("\r", "\n"))
        found = audit_text.spans(read)
        assert all(0 <= start <= end <= len(read.text) for start, end in found.comments + found.strings)
        assert len(audit_text.blanked(read.text, found.comments)) == len(read.text)
        assert audit_code.brief(read)


def test_content_cannot_break_the_page(tmp_path: Path) -> None:
    evil = (
        "# TODO: ```\n# TODO: </li><script>alert(1)</script> [x](y) | ![z](w)\n# TODO: ` `` \x1b[31m \u202e\n"
    )
    names = ["a|b.py", "c`d.py", "<e>.py", "# f.py", "- g.py", "h](x).py"]
    repo = plant(tmp_path, dict.fromkeys(names, evil + "def f_(a): ...\n"))
    answer = "# Title\n\n- item | cell `code` <b>bold</b> [link](http://x) **strong** \\"
    tokens = MARKDOWN.parse(audited(repo, answer))
    assert not [token for token in tokens if token.type in ("html_block", "fence", "code_block")]
    inline = [child for token in tokens for child in token.children or []]
    assert not [child for child in inline if child.type in ("html_inline", "link_open", "image")]
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert [heading.split(" (")[0] for heading in headings] == [
        "Audit",
        "What each module is for",
        "Size",
        "Open notes: 18",
        "HTTP endpoints: 0",
        "Complex functions",
        "Signatures",
        "Files above 1 MB",
        "Left out",
    ]


def test_an_answer_that_never_came_is_said_to_be_missing() -> None:
    found = {"files": [], "skipped": [], "other": 0, "how": "walk", "commit": None}
    sizes = {"total": {"files": 0, "lines": 0, "code": 0, "bytes": 0}, "languages": [], "files": []}
    asked = [{"file": f"{name}.py", "lines": 1, "brief": "b"} for name in "abc"]
    rest: Any = (
        found,
        sizes,
        [],
        [],
        {"items": [], "unparsed": []},
        {"functions": 0, "median": 0, "top": []},
    )
    picked = {"asked": asked, "rest": ["d.py"]}
    failed = [{"item": asked[1], "error": "timed out"}]
    page = audit.report(*rest, picked, ["Adds.", ""], failed, repo="r", said_by="SmolLM2")
    assert "- `a.py` (1 line): “Adds.”" in page
    assert "- `b.py` (1 line): **no answer** (timed out)" in page
    assert "- `c.py` (1 line): **no answer**" in page
    assert "(*model said*: SmolLM2)" in page
    assert "- `d.py`" in page
    page = audit.report(*rest, picked, ["Adds."], [], repo="r")
    assert "it cannot be told which answer belongs to which module" in page
    assert page.count("**no answer**") == 3


def test_a_rehearsal_never_claims_that_a_model_spoke(tmp_path: Path) -> None:
    repo = plant(tmp_path, {"a.py": "def f(): ...\n"})
    page = audited(repo, rehearsed=True)
    assert "**Rehearsed**" in page
    assert "## What each module is for (rehearsed: no model was asked)" in page
    assert "model said" not in page


def test_long_lists_say_how_much_is_not_shown(tmp_path: Path) -> None:
    page = audited(plant(tmp_path, {"a.py": "# TODO\n" * 2_001}))
    assert "## Open notes: 2001 (*measured*)" in page
    assert "- … and 1 more, in the output of the task" in page


def test_the_same_tree_gives_the_same_page(tmp_path: Path) -> None:
    repo = plant(tmp_path, {f"{name}/{file}": text for name in "zyx" for file, text in NOTES.items()})
    assert audited(repo) == audited(repo)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    assert audit.write(path=str(target), text="größer\n") == {"path": str(target), "bytes": 9}
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
