"""Mends written into the user's file: what changes, what stays to the byte, and what is never written."""

import json
import random
import re
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.plan.finding import Mend
from stretto.plan.graph import build
from stretto.plan.model import Plan, Task
from stretto.spec.edit import Edited, edited_file, write_edited
from stretto.spec.load import load


def add(task: str, other: str) -> Mend:
    return Mend("add-need", task, other)


def remove(task: str, other: str) -> Mend:
    return Mend("remove-need", task, other)


def model(task: str, name: str) -> Mend:
    return Mend("set-model", task, name)


DATA = Path(__file__).parent / "data" / "mends"
ACTIONS: tuple[Literal["add-need", "remove-need", "set-model"], ...] = (
    "add-need",
    "remove-need",
    "set-model",
)
COMMANDS = {"add": add, "remove": remove, "model": model}


def mended(folder: Path, text: str, *mends: Mend, name: str = "plan.yaml") -> str:
    """The text with these mends, each a wish of its own; all must be possible."""
    edited = asked(folder, text, *mends, name=name)
    assert not any(edited.why_not), edited.why_not
    return edited.text


def asked(folder: Path, text: str, *mends: Mend, name: str = "plan.yaml") -> Edited:
    path = folder / name
    path.write_bytes(text.encode())
    edited = edited_file(path, [[mend] for mend in mends])
    assert path.read_bytes() == text.encode(), "nothing is written before somebody asks for it"
    return edited


def refused(folder: Path, text: str, *mends: Mend, name: str = "plan.yaml") -> str:
    """Why one wish of all these mends cannot be made."""
    path = folder / name
    path.write_bytes(text.encode())
    edited = edited_file(path, [mends])
    assert edited.text == text
    assert edited.why_not[0]
    return edited.why_not[0]


def in_plan(lines: str) -> str:
    return f"stretto: 1\ntasks:\n  a: {{prompt: Do a}}\n  b: {{prompt: Do b}}\n{lines}"


class Case(NamedTuple):
    """What mends make of a text, or why they cannot be made."""

    before: str
    after: str
    mends: list[Mend]
    why: str


def cases(name: str) -> list[Any]:
    """The cases of a file of small diffs; tests/data/mends/yaml.txt says how to read them."""
    found = []
    start, *sections = re.split("^## ", (DATA / name).read_text(), flags=re.M)
    always = [line for line in start.splitlines() if line.startswith(" ")]
    for section in sections:
        title, *lines = section.splitlines()
        id, _, words = title.partition(": ")
        end = "" if "\\ no line end" in lines else "\n"
        before, after = (
            "\n".join(line[1:] for line in always + lines if line[:1] not in kept) + end
            for kept in ("+!\\", "-!\\")
        )
        why = "".join(line[2:] for line in lines if line.startswith("! "))
        mends = [COMMANDS[word](task, value) for word, task, value in map(str.split, words.split("; "))]
        found.append(pytest.param(Case(before, after, mends, why), id=id))
    return found


def try_case(case: Case, path: Path, changed: Callable[[str], str] = str) -> None:
    path.write_bytes(changed(case.before).encode())
    wishes = [case.mends] if case.why else [[mend] for mend in case.mends]
    edited = edited_file(path, wishes)
    assert path.read_bytes() == changed(case.before).encode(), (
        "nothing is written before somebody asks for it"
    )
    if case.why:
        assert edited.why_not[0].startswith(case.why)
    else:
        assert not any(edited.why_not), edited.why_not
    assert (edited.before, edited.text) == (changed(case.before), changed(case.after))


@pytest.mark.parametrize("case", cases("yaml.txt"))
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "bom"])
def test_a_yaml_file(tmp_path: Path, case: Case, end: str, mark: str) -> None:
    try_case(case, tmp_path / "plan.yaml", lambda text: (mark + text).replace("\n", end))


@pytest.mark.parametrize("case", cases("python.txt"))
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "bom"])
def test_a_python_file(tmp_path: Path, case: Case, end: str, mark: str) -> None:
    try_case(case, tmp_path / "plan.py", lambda text: (mark + text).replace("\n", end))


@pytest.mark.parametrize("case", cases("bare.txt"))
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_bare_file(tmp_path: Path, case: Case, end: str) -> None:
    try_case(case, tmp_path / "plan.py", lambda text: text.replace("\n", end))


@pytest.mark.parametrize("case", cases("page.txt"))
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_page(tmp_path: Path, case: Case, end: str) -> None:
    try_case(case, tmp_path / "plan.md", lambda text: text.replace("\n", end))


def test_json_stays_json(tmp_path: Path) -> None:
    data = {"stretto": 1, "tasks": {"a": {"prompt": "Do ä"}, "t": {"prompt": "x", "needs": ["a"]}}}
    for indent in (None, 2):
        written = json.dumps(data, indent=indent, ensure_ascii=False)
        mends = [model("a", "haiku"), remove("t", "a"), model("t", "opus")]
        read = json.loads(mended(tmp_path, written, *mends, name="plan.json"))
        assert read["tasks"] == {
            "a": {"prompt": "Do ä", "model": "haiku"},
            "t": {"prompt": "x", "model": "opus"},
        }
        swapped = json.loads(mended(tmp_path, written, remove("t", "a"), add("a", "t"), name="plan.json"))
        assert swapped["tasks"] == {"a": {"prompt": "Do ä", "needs": ["t"]}, "t": {"prompt": "x"}}


GROUPS = """stretto: 1
tasks:
  a: {prompt: Do a}
  list: {run: [ls], output: lines}
  files:
    each: ${list}
    tasks:
      scan: {prompt: "Scan ${item}"}
      a: {prompt: Do an inner a}
  out:
    tasks:
      last: {prompt: Do it}
  grow: {prompt: Plan it, grow: plan}
  each: {each: [1, 2], reduce: "${files}", prompt: Merge}
"""


@pytest.mark.parametrize(
    ("task", "other", "word"),
    [
        ("files.a", "files.scan", "scan"),
        ("out.last", "files.scan", "files"),
        ("a", "out.last", "out.last"),
        ("out.last", "a", "a"),
        ("out", "a", "a"),
        ("grow.plan", "a", "a"),
        ("a", "grow.plan", "grow"),
        ("each.reduce", "a", "a"),
    ],
)
def test_the_word_written_is_what_leads_there(tmp_path: Path, task: str, other: str, word: str) -> None:
    text = mended(tmp_path, GROUPS, add(task, other))
    new = set(text.splitlines()) - set(GROUPS.splitlines())
    assert [re.findall(r"needs: \[(.*)\]", line) for line in new] == [[word]]


@pytest.mark.parametrize(
    ("mend", "why"),
    [
        (add("files.scan", "a"), "a nearer task has the name"),
        (add("files.scan", "files"), "one of the two stands in the other"),
        (add("list", "files"), "it would make an error: these wait for each other"),
        (add("x", "a"), "there is no task 'x'"),
        (remove("a", "list"), "'a' has no need on 'list'"),
        (remove("files", "list"), "'files' has no need on 'list'"),
        (model("files", "haiku"), "'files' is a group"),
        (model("a", "nobody"), "it would make an error: there is no model `nobody`"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, mend: Mend, why: str) -> None:
    assert refused(tmp_path, GROUPS, mend).startswith(why)


def test_aliases_are_no_trouble_where_only_one_task_changes(tmp_path: Path) -> None:
    text = "x-base: &base {prompt: x, model: &m opus}\n" + in_plan(
        "  t: *base\n  u: {prompt: y, model: *m}\n  v: {<<: *base}\n"
    )
    assert mended(tmp_path, text, model("u", "haiku"), model("v", "haiku"), add("v", "a")) == text.replace(
        "model: *m", "model: haiku"
    ).replace("{<<: *base}", "{<<: *base, model: haiku, needs: [a]}")
    alone = text.replace("  v: {<<: *base}\n", "")
    assert mended(tmp_path, alone, add("t", "b")) == alone.replace("{prompt: x,", "{prompt: x, needs: [b],")


def test_a_wish_is_made_whole_or_not_at_all_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(GROUPS)
    edited = edited_file(
        path,
        [
            [model("a", "haiku"), add("a", "x")],
            [add("a", "out.last")],
            [add("out.last", "a")],
            [model("out.last", "opus"), model("files.a", "opus")],
            [model("out.last", "haiku")],
        ],
    )
    made = [not why for why in edited.why_not]
    assert made == [False, True, False, True, False]
    assert edited.why_not[4] == "it would undo another mend: set-model out.last opus"
    assert edited.diff(path).count("\n+ ") == edited.diff(path).count("\n- ") == 3


def test_what_only_works_after_another_wish_is_found_too(tmp_path: Path) -> None:
    text = in_plan("  t: {prompt: x, needs: [a]}\n  u: {prompt: y, needs: [t]}\n")
    edited = asked(tmp_path, text, add("a", "t"), remove("t", "a"), add("t", "u"), model("t", "nobody"))
    assert [bool(why) for why in edited.why_not] == [False, False, True, True]
    assert edited.text == text.replace("Do a", "Do a, needs: [t]").replace(", needs: [a]", "")


def test_wishes_of_one_call_stay_together_when_another_one_fails(tmp_path: Path) -> None:
    text = "for name in ['a', 'b', 'c']:\n    Task(name, model='opus')\n"
    models = [model(f"task-{number}", "haiku") for number in (1, 2, 3)]
    edited = asked(tmp_path, text, *models, add("task-2", "task-1"), name="plan.py")
    assert edited.text == text.replace("opus", "haiku")
    assert [bool(why) for why in edited.why_not] == [False, False, False, True]


def test_a_lock_file_and_a_file_without_a_plan_are_left_alone(tmp_path: Path) -> None:
    assert "a lock file" in refused(tmp_path, "{}", model("t", "haiku"), name="plan.lock.json")
    assert refused(tmp_path, "[1]", model("t", "haiku")) == "no plan can be read here"
    with pytest.raises(StrettoError) as caught:
        asked(tmp_path, "a: [", model("t", "haiku"))
    assert caught.value.at == f"{tmp_path / 'plan.yaml'}:2:1"


def test_a_python_file_is_executed_where_it_seems_to_be_at_home(tmp_path: Path) -> None:
    (tmp_path / "prompts.py").write_text("from stretto import Task\nlast = Task('Last')\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names.txt").write_text("auth billing")
    text = (
        "from pathlib import Path\nimport prompts\nfrom stretto import Plan, Task\n"
        "names = (Path(__file__).parent / 'data' / 'names.txt').read_text().split()\n"
        "def judge(value):\n    return True\n"
        "looks = [Task(f'Look at {name}') for name in names]\n"
        "plan = Plan(looks, prompts.last, Task(call=judge, id='judge'))\n"
    )
    path = tmp_path / "plan.py"
    path.write_text(text)
    both = [model("look-at-auth", "haiku"), model("look-at-billing", "haiku")]
    edited = edited_file(path, [both, [add("judge", "last")], [model("last", "opus")]])
    assert edited.text == text.replace("{name}')", "{name}', model='haiku')").replace(
        "id='judge'", "id='judge', needs=['last']"
    )
    assert edited.why_not == ("", "", "it is made in another file, prompts.py")
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix) == ["plan.py", "prompts.py"]


def test_a_python_file_in_another_encoding_is_left_alone(tmp_path: Path) -> None:
    text = "# coding: latin-1\nfrom stretto import Task\nplan = Task('x')\n"
    why = refused(tmp_path, text, model("x", "haiku"), name="plan.py")
    assert why == "the file is written in iso-8859-1, not in UTF-8"


def test_one_plan_of_several_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "plan.py"
    path.write_text("from stretto import Task\none = Task('x')\nother = Task('x')\n")
    edited = edited_file(path, [[model("x", "haiku")]], "other")
    assert edited.diff("p") == (
        "--- p\n+++ p\n@@ -1,3 +1,3 @@\n from stretto import Task\n one = Task('x')\n"
        "-other = Task('x')\n+other = Task('x', model='haiku')\n"
    )


def test_writing_keeps_the_bits_and_the_link(tmp_path: Path) -> None:
    path, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    path.write_text(in_plan(""))
    path.chmod(0o640)
    link.symlink_to("real.yaml")
    edited = edited_file(link, [[model("a", "haiku")]])
    write_edited(link, edited)
    assert link.is_symlink()
    assert path.read_text() == edited.text == in_plan("").replace("Do a", "Do a, model: haiku")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(in_plan(""))
    edited = edited_file(path, [[model("a", "haiku")]])
    path.write_text("mine")
    with pytest.raises(StrettoError) as caught:
        write_edited(path, edited)
    assert caught.value.slug == "cannot-write"
    assert path.read_text() == "mine"
    path.unlink()
    with pytest.raises(StrettoError, match="cannot be written: No such file"):
        write_edited(path, edited)
    assert not list(tmp_path.iterdir())


class Writer:
    """Writes a random plan in random styles, and remembers which part each line is about."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.lines: list[tuple[str, str]] = []
        """Each with the path of its part; empty where no mend has any business."""
        self.needs: dict[str, dict[str, str]] = {}
        """Of each part, the paths that it needs with the list they are written in."""
        self.serial: dict[str, list[str]] = {}
        self.comments = 0
        self.write("", "stretto: 1", "tasks:")
        for number in range(chance.randint(1, 3)):
            self.task(f"t{number}", "  ", [f"t{n}" for n in range(number)])
        self.group(list(self.needs))
        self.task("last", "  ", [path for path in self.needs if "." not in path or chance.random() < 0.5])

    def write(self, owner: str, *lines: str) -> None:
        self.lines += [(owner, line) for line in lines]

    def comment(self, often: float = 0.3) -> str:
        self.comments += 1
        return f"  # c{self.comments} \u00e4: [x" if self.chance.random() < often else ""

    def between(self, indent: str) -> None:
        if self.chance.random() < 0.3:
            self.write("", self.chance.choice(["", f"{indent}{self.comment(1).strip()}"]))

    def group(self, before: list[str]) -> None:
        self.needs["g"] = {}
        self.write("", f"  g:{self.comment()}")
        members = [f"g.m{number}" for number in range(self.chance.randint(2, 3))]
        if self.chance.random() < 0.5:
            self.serial["g"] = members
            self.write("order", f"    order: serial{self.comment()}")
        self.write("", f"    tasks:{self.comment()}")
        for number, path in enumerate(members):
            self.between("      ")
            self.task(path, "      ", [*before, *([] if self.serial else members[:number])])

    def task(self, path: str, indent: str, before: list[str]) -> None:
        chance = self.chance
        needs = chance.sample(before, min(len(before), chance.randint(0, 2)))
        after = chance.sample(
            rest := [path for path in before if path not in needs], min(len(rest), chance.randint(0, 1))
        )
        self.needs[path] = dict.fromkeys(needs, "needs") | dict.fromkeys(after, "after")
        quote = chance.choice(["", "", "'", '"'])
        keys = (
            {"model": f"{quote}{chance.choice(['opus', 'sonnet'])}{quote}"} if chance.random() < 0.6 else {}
        )
        lists = {"needs": needs, "after": after}
        style = chance.choice(
            [self.in_brackets, self.in_brackets, self.in_lines, self.in_lines, self.in_long_brackets]
        )
        style(
            path,
            indent,
            keys,
            {key: [self.word(path, word) for word in words] for key, words in lists.items() if words},
        )
        self.between(indent)

    def word(self, path: str, other: str) -> str:
        word = other.removeprefix("g.") if path.startswith("g.") else other
        quote = self.chance.choice(["", "", "", '"'])
        return f"{quote}{word}{quote}"

    def in_brackets(self, path: str, indent: str, keys: dict[str, str], lists: dict[str, list[str]]) -> None:
        prompt = self.chance.choice(["Do it", "'Do: it'", '"D\u00f6 \\"it\\" # now"'])
        entries = [f"prompt: {prompt}", *(f"{k}: {v}" for k, v in keys.items())]
        entries += [f"{key}: [{', '.join(words)}]" for key, words in lists.items()]
        self.chance.shuffle(entries)
        self.write(path, f"{indent}{path.rpartition('.')[2]}: {{{', '.join(entries)}}}{self.comment()}")

    def in_long_brackets(
        self, path: str, indent: str, keys: dict[str, str], lists: dict[str, list[str]]
    ) -> None:
        entries = ["prompt: Do it", *(f"{k}: {v}" for k, v in keys.items())]
        entries += [f"{key}: [{', '.join(words)}]" for key, words in lists.items()]
        self.chance.shuffle(entries)
        self.write(path, f"{indent}{path.rpartition('.')[2]}: {{{self.comment()}")
        for number, entry in enumerate(entries):
            comma = "," if number < len(entries) - 1 or self.chance.random() < 0.5 else ""
            self.write(path, f"{indent}  {entry}{comma}{self.comment()}")
        self.write(path, f"{indent}}}{self.comment()}")

    def in_lines(self, path: str, indent: str, keys: dict[str, str], lists: dict[str, list[str]]) -> None:
        inner = indent + "  "
        prompts = [
            [f"prompt: Do it{self.comment()}"],
            ["prompt: |", "  Do it", "", "  # no comment"],
            [f"prompt: >-{self.comment()}", "  Do", "  it"],
            ["prompt: Do", "  it", f"  at once{self.comment()}"],
            ['"prompt": "Do', f'  it"{self.comment()}'],
        ]
        entries = [self.chance.choice(prompts), *([f"{k}: {v}{self.comment()}"] for k, v in keys.items())]
        for key, words in lists.items():
            dash = self.chance.choice(["- ", "  - ", "  -  "])
            entries.append(
                [f"{key}:{self.comment()}", *(f"{dash}{word}{self.comment()}" for word in words)]
                if self.chance.random() < 0.5
                else [f"{key}: [{', '.join(words)}]{self.comment()}"]
            )
        self.chance.shuffle(entries)
        self.write(path, f"{indent}{path.rpartition('.')[2]}:{self.comment()}")
        for entry in entries:
            self.write(path, *(inner + line if line else "" for line in entry))
            self.between(inner)

    def wishes(self) -> list[list[Mend]]:
        """Mends that can all be made together: what is added leads back, in the order of the file."""
        chance, paths = self.chance, list(self.needs)
        found = [[model(path, "haiku")] for path in paths if path != "g" and chance.random() < 0.4]
        for number, path in enumerate(paths):
            earlier = [p for p in paths[:number] if p != "g" or not path.startswith("g.")]
            found += [
                [add(path, other)]
                for other in earlier
                if other not in self.needs[path] and chance.random() < 0.2
            ]
            found += [[remove(path, other)] for other in self.needs[path] if chance.random() < 0.4]
        for members in self.serial.values():
            pairs = list(pairwise(members))
            found = [wish for wish in found if (wish[0].value, wish[0].task) not in pairs]
            if chance.random() < 0.5:
                found.append([remove(after, before) for before, after in pairs])
        chance.shuffle(found)
        return found


def needs_of(plan: Plan) -> dict[str, set[str]]:
    return {
        path: {need.target.path for need in element.needs} for path, element in build(plan).elements.items()
    }


def models_of(plan: Plan) -> dict[str, str]:
    elements = build(plan).elements.items()
    return {path: e.part.model for path, e in elements if isinstance(e.part, Task)}


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_mends_of_random_plans(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    writer = Writer(chance)
    wishes = writer.wishes()
    end = chance.choice(["\n", "\r\n"])
    text = end.join(line for _, line in writer.lines) + chance.choice(["", end])
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_bytes(text.encode())
    before = load(path)[0]
    assert before is not None
    edited = edited_file(path, wishes)
    assert not any(edited.why_not), edited.why_not

    write_edited(path, edited)
    after = load(path)[0]
    assert after is not None
    needs, models = needs_of(before), models_of(before)
    for mend in (mend for wish in wishes for mend in wish):
        match mend.action:
            case "set-model":
                models[mend.task] = mend.value
            case "add-need":
                needs[mend.task].add(mend.value)
            case "remove-need":
                needs[mend.task].remove(mend.value)
    assert (needs_of(after), models_of(after)) == (needs, models)

    touched = {mend.task for wish in wishes for mend in wish}
    touched |= (
        {"order"} if any(len(wish) > 1 or wish[0].action == "remove-need" for wish in wishes) else set()
    )
    stay = [line for owner, line in writer.lines if owner not in touched]
    lines = iter(edited.text.split(end))
    assert all(line in lines for line in stay), "what is about another part stays, in its order"
    comments = re.findall("# c.*", text)
    assert [c.rstrip("\r") for c in re.findall("# c.*", edited.text)] == [c.rstrip("\r") for c in comments]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["plan.yaml", "plan.md"]))
def test_whatever_is_asked_of_whatever_text(
    tmp_path_factory: pytest.TempPathFactory, seed: int, name: str
) -> None:
    chance = random.Random(seed)
    text = (DATA / chance.choice(["yaml.txt", "bare.txt", "python.txt"])).read_text()
    if name == "plan.yaml":
        text = "\n".join(line for _, line in Writer(chance).lines)
    else:
        text = f"```\n{text}\n```\n"
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(text) + 1)
        text = (
            text[:at]
            + chance.choice(["", "'", '"', "#", ",", "]", "}", "&x ", "*x", "\n", "(", "\u2028"])
            + text[at + 1 :]
        )
    words = ["t0", "g", "g.m0", "g.m1", "last", "task-1", "task-2", "task-7", "haiku"]
    mends = [Mend(chance.choice(ACTIONS), chance.choice(words), chance.choice(words)) for _ in range(9)]
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(text.encode())
    try:
        edited = edited_file(path, [mends[:2], mends[2:4], *([mend] for mend in mends[4:])])
    except StrettoError:
        return
    assert edited.text == text or not all(edited.why_not)
    assert edited_file(path, []).text == text
