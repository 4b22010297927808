"""Files of roles as people write them: all are read, none is an error, and each says at most one thing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stretto.plan.role import NOTHING, Role, missing_on, reading, tools_on
from stretto.spec import roles as reader
from stretto.spec.builtin_roles import BUILT_IN
from stretto.spec.front_matter import read_front_matter
from stretto.spec.roles import BUILTIN, MAX_BYTES, MAX_FILES, Roles, read_roles, role_of
from tests.driving import golden

DATA = Path(__file__).parent / "data" / "roles"
FILES = sorted(path for path in DATA.rglob("*.md"))
BROKEN = sorted((DATA / "broken").iterdir())


def project(root: Path, files: Mapping[str, str], home: Mapping[str, str] | None = None) -> Roles:
    """A project with these role files by their paths below the folder, and a user with those."""
    for base, below in ((root / "project", files), (root / "home", home or {})):
        for name, text in below.items():
            path = base / reader.FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return read_roles(root / "project", root / "home")


def role(name: str, body: str = "You act.", **fields: str) -> str:
    lines = [f"{key}: {value}" for key, value in {"name": name, **fields}.items()]
    return "\n".join(["---", *lines, "---", body, ""])


# The collection


def test_every_file_becomes_a_role_as_it_is_written_down() -> None:
    rows = []
    for path in FILES:
        text, foreign = reader._decoded(path.read_bytes())
        made, matter = role_of(text, path.stem)
        tools = "as the task says" if made.tools is None else ", ".join(made.tools) or "none"
        rows += [
            f"{path.relative_to(DATA).as_posix()}: {made.name}",
            f"  read    {matter.how}{' (not UTF-8)' if foreign else ''}",
            f"  model   {made.model or 'any'}",
            f"  tools   {tools}{f'; starts {made.agents}' if made.agents else ''}",
            f"  says    {made.description!r}",
            f"  begins  {made.instructions.partition(chr(10))[0]!r}",
        ]
    golden("roles.txt", "\n".join(rows) + "\n")


def test_a_project_may_have_all_of_them_without_an_error(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / reader.FOLDER).symlink_to(DATA)
    found = read_roles(tmp_path, tmp_path)
    assert len(FILES) >= 60
    assert found.all == BUILT_IN, "a link out of the project is not followed"
    found = Roles(((DATA, DATA),))
    assert len(found.all) == len(FILES) - 1 + len(BUILT_IN), "one page is about the folder"
    assert {note.severity for note in found.notes} == {"info", "warning"}
    files = [note.at for note in found.notes]
    assert len(files) - len(set(files)) <= 1, "one note a file, and one for all fields that are not read"


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: str(path.stem))
def test_what_is_no_yaml_is_read_by_lines(path: Path) -> None:
    made, matter = role_of(path.read_text(), path.stem)
    assert matter.how == "lines" and matter.why
    assert made.name in (path.stem, "at-sign")
    assert made.instructions.startswith(("You ", "# Unclosed")), "the text below is whole"


def test_examples_in_a_description_are_no_fields() -> None:
    made, matter = role_of((DATA / "broken/examples-below.md").read_text(), "x")
    assert (made.model, made.tools) == ("haiku", ("Read", "Bash"))
    assert 'user: "Why is it red?"' in made.description
    assert "user" not in matter.fields


def test_a_role_cannot_write_to_the_terminal() -> None:
    made, _ = role_of((DATA / "bytes/escapes.md").read_text(), "x")
    assert "\x1b" not in made.name + made.description + str(made.tools) + made.model


# Mutations

_MARKS = ["---", "\n", ": ", "- ", "|", ">", '"', "'", "[", "]", "{", "}", "*a", "&a", "!!x", "\t", "\r", "#"]
_WORDS = ["\n---\n", "name:", "tools:", "model: ", "\x00", "\ufeff", "```", "%", "\\n", "  ", "\u2028", "é"]
_PIECES = st.sampled_from([*_MARKS, *_WORDS])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.floats(0, 1), _PIECES), max_size=6), st.floats(0, 1))
def test_no_mutation_of_a_file_is_an_error(path: Path, changes: list[tuple[float, str]], cut: float) -> None:
    text, _ = reader._decoded(path.read_bytes())
    for where, piece in changes:
        at = int(where * len(text))
        text = text[:at] + piece + text[at:]
    _hold(text[: int(cut * len(text)) + 1])


@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES, max_size=30).map("".join))
@example("---\ntools: [" + "[" * 5_000 + "\n---\n")
@example("---\n" + "a: &a [*a]\n" * 100 + "---\n")
@example('---\nname: "\\ud800"\n---\nx')
@example("---\n" + "-" * 50_000)
def test_nothing_at_all_is_an_error(text: str) -> None:
    _hold(text)
    _hold(f"---\n{text}\n---\nbody")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(data: bytes) -> None:
    text, _ = reader._decoded(data)
    _hold(text)


LONG = 200_000
HEAVY = {
    "spaces": "---\ndescription: a: b" + " " * LONG + "x\n---\n",
    "lists in lists": "---\ntools: " + "[" * LONG + "\n---\n",
    "mappings in mappings": "---\na: " + "{" * LONG,
    "dashes": "---\n" + "- " * LONG + "\n---\n",
    "questions": "---\n" + "? " * LONG + "\n---\n",
    "rules": "---\n" * (LONG // 4),
    "commas": "---\ntools: " + "," * LONG + "\n---\n",
    "tools": "---\ntools: " + ",".join(f"t{n}" for n in range(LONG // 8)) + "\n---\n",
    "brackets": "---\nmodel: " + "[" * LONG + "x: y\n---\n",
    "escapes": '---\nname: "' + "\\" * LONG + "\n---\n",
    "anchors": "---\n" + "".join(f"a{n}: &x{n} [*x{n - 1}]\n" for n in range(LONG // 40)) + "---\n",
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_no_file_takes_long(text: str) -> None:
    """Each of these took minutes with a reading that is not linear."""
    _hold(text)
    assert len(role_of(text, "x")[0].tools or ()) <= reader.MAX_TOOLS


def _hold(text: str) -> None:
    made, matter = role_of(text, "stem")
    assert made.name and made.name == " ".join(made.name.split())
    assert len(made.name) <= reader.MAX_NAME
    assert made.tools is None or all(tool and tool == tool.strip() for tool in made.tools)
    assert len(made.instructions) <= len(text)
    made.name.encode(), made.description.encode(), str(made.tools).encode()
    assert matter.how in ("yaml", "lines", "none")


@given(
    st.dictionaries(
        st.sampled_from(["name", "description", "model"]),
        st.from_regex(r"[a-z]{1,9}( [a-z]{1,9}){0,3}", fullmatch=True),
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_both_readings_agree_where_it_is_yaml(fields: dict[str, str], end: str) -> None:
    lines = ["---", *(f"{key}: {value}" for key, value in fields.items()), "---", "text"]
    by_yaml = read_front_matter(end.join(lines), frozenset(fields))
    # An alias without a name is no YAML, and no field.
    by_lines = read_front_matter(end.join([*lines[:-2], "# x", "%: *", *lines[-2:]]), frozenset(fields))
    assert (by_yaml.how, by_lines.how) == ("yaml", "lines")
    words = {"null"}
    assert by_yaml.fields == fields or set(fields.values()) & words
    last = list(fields)[-1:]
    assert {k: v for k, v in by_lines.fields.items() if k not in last} == {
        k: v for k, v in by_yaml.fields.items() if k not in last
    }
    assert by_yaml.body == by_lines.body == "text"


# Folders


def test_the_project_comes_before_the_user_and_both_before_what_is_built_in(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        {
            "a.md": role("same", "of the project"),
            "deep/er/b.md": role("nested"),
            "x.md": role("Explore", "own"),
        },
        {"a.md": role("same", "of the user"), "c.md": role("mine")},
    )
    assert found.all["same"].instructions == "of the project"
    assert found.all["Explore"].instructions == "own"
    assert {"nested", "mine", *BUILT_IN} <= found.all.keys()
    (note,) = found.notes
    assert (note.slug, note.severity) == ("role-file", "warning")
    assert note.at.endswith("project/.claude/agents/a.md:1:1") and "home" in note.message


def test_names_are_found_as_people_write_them(tmp_path: Path) -> None:
    found = project(tmp_path, {"a.md": role("Backend Architect"), "b.md": role("plan", "small")})
    for name in ("Backend Architect", "backend-architect", "BACKEND_ARCHITECT"):
        assert found.find(name) is found.all["Backend Architect"]
    assert found.find("plan") is found.all["plan"] and found.find("Plan") is BUILT_IN["Plan"]
    assert BUILTIN.find("explore") is BUILT_IN["Explore"]
    assert found.find("nobody") is None
    assert found.nearest("backend-architekt") == "Backend Architect"


def test_links_lead_nowhere_outside_their_folder(tmp_path: Path) -> None:
    found = project(tmp_path, {"in.md": role("inside")})
    folder = tmp_path / "project" / reader.FOLDER
    secret = tmp_path / "secret.md"
    secret.write_text(role("secret", "a secret"))
    (folder / "out.md").symlink_to(secret)
    (folder / "again.md").symlink_to(folder / "in.md")
    (folder / "loop.md").symlink_to(folder / "loop.md")
    (folder / "outside").symlink_to(tmp_path, target_is_directory=True)
    assert found.all.keys() == {"inside", *BUILT_IN}
    said = {Path(note.at.removesuffix(reader.PLACE)).name for note in found.notes}
    assert said == {"out.md", "loop.md", "again.md"} or said == {"out.md", "loop.md", "in.md"}


def test_what_is_no_file_of_a_sound_size_is_left_out(tmp_path: Path) -> None:
    found = project(tmp_path, {"large.md": "x" * (MAX_BYTES + 1), "empty.md": "", "note.txt": "no role"})
    folder = tmp_path / "project" / reader.FOLDER
    os.mkfifo(folder / "pipe.md")
    (folder / "folder.md").mkdir()
    assert found.all == BUILT_IN
    assert sorted(Path(note.at.removesuffix(reader.PLACE)).name for note in found.notes) == [
        *("empty.md", "large.md", "pipe.md"),
    ]


def test_no_folder_no_home_no_files(tmp_path: Path) -> None:
    assert read_roles(tmp_path / "nowhere", tmp_path / "neither").all == BUILT_IN
    (tmp_path / ".claude").write_text("a file")
    assert read_roles(tmp_path, tmp_path).all == BUILT_IN


def test_a_count_of_files_is_bounded(tmp_path: Path) -> None:
    found = project(tmp_path, {f"{n}.md": role(f"r{n}") for n in range(MAX_FILES + 1)})
    assert len(found.all) == MAX_FILES + len(BUILT_IN)
    assert "first 2,000 files" in found.notes[-1].message


def test_fields_that_are_not_read_are_told_once(tmp_path: Path) -> None:
    found = project(
        tmp_path, {f"{n}.md": role(f"r{n}", priority="1", color="red", **{f"f{n}": "x"}) for n in range(3)}
    )
    (note,) = found.notes
    assert note.severity == "info" and "`f0`, `f1`, `f2`, `priority`" in note.message
    assert found.notes_on([found.all["r1"]])[0].message.endswith(": `f1`, `priority`")
    assert found.notes_on([BUILT_IN["Plan"]]) == []


# Tools in the words of an agent


@pytest.mark.parametrize(
    ("listed", "own", "on_api", "on_claude"),
    [
        (None, (), (), ()),
        (None, ("read",), ("read",), ("read",)),
        (("Read", "Bash"), (), ("read",), ("Read", "Bash")),
        (("Read", "Grep", "Edit"), ("read", "list"), ("read",), ("Read",)),
        (("Bash(git:*)", "Glob"), ("list",), ("list",), ("Glob",)),
        (("Bash",), ("read",), (), NOTHING),
        ((), (), (), NOTHING),
        (("Read(./docs/**)", "LS", "Glob"), (), ("read", "list"), ("Read(./docs/**)", "LS", "Glob")),
        (("Read", "Bash"), ("Read", "Bash"), (), ("Read", "Bash")),
    ],
)
def test_a_task_may_use_what_it_and_its_role_both_allow(
    listed: tuple[str, ...] | None, own: tuple[str, ...], on_api: tuple[str, ...], on_claude: tuple[str, ...]
) -> None:
    made = Role(name="r", tools=listed)
    assert tools_on("messages", made, own) == on_api
    assert tools_on("openai:http://127.0.0.1/v1", made, own) == on_api
    assert tools_on("claude", made, own) == on_claude


def test_what_agents_of_an_api_do_not_have() -> None:
    assert missing_on("messages", BUILT_IN["Fix"]) == ("Edit", "Write", "Bash")
    assert missing_on("claude", BUILT_IN["Fix"]) == missing_on("messages", BUILT_IN["Plan"]) == ()
    assert reading(("Read", "Bash(ls:*)", "search", "Edit", "none")) == ("Read", "search")


def test_who_is_built_in() -> None:
    assert list(BUILT_IN) == ["general-purpose", "Explore", "Plan", "Audit", "Fix"]
    models = [made.model for made in BUILT_IN.values()]
    assert models == ["", "haiku", "opus", "sonnet", "sonnet"]
    safe = {made.name for made in BUILTIN.safe()}
    assert safe == BUILT_IN.keys() - {"Fix"}, "what runs commands has to be named by an author"
