"""Files that hold plans, what their findings look like, and inputs given at launch."""

import os
from pathlib import Path
from typing import Any

import pytest

from stretto.errors import StrettoError
from stretto.plan.model import Input, Plan
from stretto.spec.load import inputs_from, load
from tests.test_compile import AUDIT

GOLDEN = Path(__file__).parent / "golden" / "spec"


INPUTS = Plan(
    name="p",
    tasks=(),
    inputs={
        "repo": Input(type="path", default="."),
        "depth": Input(type="int", required=True),
        "share": Input(type="number", default=0.5),
        "names": Input(type="list", default=[]),
        "deep": Input(type="json"),
        "really": Input(type="bool", default=False),
    },
)


def test_inputs_are_typed() -> None:
    words = {"depth": "3", "names": "a, b", "deep": '{"x": [1]}', "really": "TRUE", "share": "2"}
    assert inputs_from(INPUTS, words) == {
        "repo": ".",
        "depth": 3,
        "share": 2,
        "names": ["a", "b"],
        "deep": {"x": [1]},
        "really": True,
    }
    assert inputs_from(INPUTS, [("depth", "3"), ("names", '["a,b", 1]')])["names"] == ["a,b", 1]


def test_a_user_s_path_may_leave_the_root(tmp_path: Path) -> None:
    def repo(word: str) -> Any:
        return inputs_from(INPUTS, {"depth": "1", "repo": word}, tmp_path)["repo"]

    assert repo("/elsewhere") == "/elsewhere"
    assert repo("src/x") == "src/x"
    assert repo("../other") == str(tmp_path.parent / "other")


@pytest.mark.parametrize(
    ("words", "slug", "what"),
    [
        ({}, "missing-input", "'depth'"),
        ({"depth": "x"}, "bad-input", "a whole number, not 'x'"),
        ({"depth": "1", "dept": "2"}, "unknown-input", "'dept'"),
        ({"depth": "1", "really": "yes"}, "bad-input", "true or false"),
        ({"depth": "1", "deep": "{"}, "bad-input", "JSON"),
        ({"depth": "1", "share": "nan"}, "bad-input", "a number"),
        ({"depth": "1", "names": "[1"}, "bad-input", "a list"),
        ({"x": "1", "really": "yes"}, "unknown-input", "'depth' is not given"),
    ],
)
def test_wrong_inputs(words: dict[str, str], slug: str, what: str) -> None:
    with pytest.raises(StrettoError) as caught:
        inputs_from(INPUTS, words)
    assert caught.value.slug == slug
    assert what in caught.value.what


def test_load_reads_both_languages(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text(AUDIT)
    plan, findings, kind = load(tmp_path / "audit.yaml")
    assert (findings, kind) == ([], "yaml")
    assert plan is not None
    assert plan.places["list"] == f"{tmp_path / 'audit.yaml'}:7:3"
    (tmp_path / "ship.py").write_text("from stretto import Task\nplan = Task('Ship it', id='ship')\n")
    plan, findings, kind = load(str(tmp_path / "ship.py"), "")
    assert ([f.slug for f in findings], kind) == ([], "python")
    assert plan is not None
    assert plan.tasks[0].id == "ship"


def test_load_says_everything_about_a_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "p.yml"
    file.write_text("stretto: 1\ntasks:\n  a: {prompt: A, prompt: B, modle: haiku}\n  b: !x {run: ls}\n")
    plan, findings, _ = load(file)
    assert plan is None
    assert [f.slug for f in findings] == ["duplicate-key", "unknown-key", "bad-tag", "wrong-type"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("")
    (tmp_path / "plan.txt").write_text("x")
    (tmp_path / "latin.yaml").write_bytes(b"stretto: 1\nname: caf\xe9\n")
    (tmp_path / "wide.yaml").write_bytes("stretto: 1".encode("utf-16"))
    (tmp_path / "big.yaml").write_bytes(b"# " + b"x" * 5_000_000)
    (tmp_path / "folder.yaml").mkdir()
    for name, slug, said in (
        ("plam.yaml", "unreadable-plan", "plan.yaml"),
        ("plan.txt", "unreadable-plan", ".yaml, .yml"),
        ("folder.yaml", "unreadable-plan", "check the path"),
        ("none/plan.yaml", "unreadable-plan", "stretto init"),
        ("p\0.yaml", "unreadable-plan", "check the path"),
        ("latin.yaml", "not-utf-8", "save the file as UTF-8"),
        ("wide.yaml", "not-utf-8", "UTF-16"),
        ("big.yaml", "too-large", "each"),
        ("plan.yaml", "empty-plan", "stretto init"),
    ):
        with pytest.raises(StrettoError) as caught:
            load(tmp_path / name)
        assert caught.value.slug == slug
        assert said in caught.value.next
        assert caught.value.code == 2
    if os.geteuid() != 0:
        (tmp_path / "plan.yaml").chmod(0)
        with pytest.raises(StrettoError, match="Permission denied"):
            load(tmp_path / "plan.yaml")


def test_findings_as_people_see_them() -> None:
    """`STRETTO_GOLDEN=write` writes the file anew."""
    plan, findings, _ = load(GOLDEN / "bad.yaml")
    assert plan is None
    said = "".join(
        f"{f.at}: {f.message} [{f.slug}]\n" + (f"    {f.fix}\n" if f.fix else "") for f in findings
    )
    said = said.replace(f"{GOLDEN}/", "")
    golden = GOLDEN / "bad.txt"
    if os.environ.get("STRETTO_GOLDEN") == "write":
        golden.write_text(said)
    assert said == golden.read_text()
