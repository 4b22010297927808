"""Where agents may touch files: confinement, hashes, redaction, and what is handed over."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.plan.references import Ref
from stretto.workspace import root as root_room
from stretto.workspace.handover import (
    HEAD_TOKENS,
    Block,
    estimate_tokens,
    fence,
    hand_over,
    substitute,
)
from stretto.workspace.redact import Redactor
from stretto.workspace.root import expand_globs, hash_files, hash_root, inside


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    return root


def names(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root.resolve()).as_posix() for path in paths]


# Confinement


def test_a_path_inside_is_resolved(tmp_path: Path) -> None:
    tree(tmp_path, "a/b.txt")
    (tmp_path / "link").symlink_to("a")
    assert inside(tmp_path, "link/../a/b.txt") == (tmp_path / "a" / "b.txt").resolve()
    assert inside(tmp_path, "link/b.txt") == (tmp_path / "a" / "b.txt").resolve()
    assert inside(tmp_path, "not/yet/there") == (tmp_path / "not" / "yet" / "there").resolve()
    assert inside(tmp_path, str(tmp_path / "a")) == (tmp_path / "a").resolve()


@pytest.mark.parametrize("path", ["..", "../x", "/etc/passwd", "a/../../x", "out/passwd", "file-out", "a\0b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    base = tmp_path / "root"
    tree(base, "a/b.txt")
    (base / "out").symlink_to("/etc")
    (base / "file-out").symlink_to("/etc/passwd")
    with pytest.raises(StrettoError) as refused:
        inside(base, path)
    assert refused.value.slug == "outside-root"


def test_a_folder_beside_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    tree(tmp_path, "root/a", "root-two/b")
    with pytest.raises(StrettoError):
        inside(tmp_path / "root", "../root-two/b")


def test_a_root_that_is_a_link_is_where_it_points(tmp_path: Path) -> None:
    tree(tmp_path, "real/a")
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path / "link", "a") == (tmp_path / "real" / "a").resolve()


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    try:
        inside(tmp_path, "loop/x")
    except StrettoError as refused:
        assert refused.slug == "outside-root"


# Globs


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.py"], ["a.py"]),
        (["**/*.py"], [".hidden/h.py", "a.py", "src/b.py", "src/deep/c.py"]),
        (["src/**"], ["src/b.py", "src/b.txt", "src/deep/c.py"]),
        (["src"], ["src/b.py", "src/b.txt", "src/deep/c.py"]),
        (["src/*"], ["src/b.py", "src/b.txt"]),
        (["src/**/c.py"], ["src/deep/c.py"]),
        (["src/**/b.py"], ["src/b.py"]),
        (["s?c/[ab].py"], ["src/b.py"]),
        (["src/[!b].py"], []),
        (["./src/../*.py"], ["a.py"]),
        (["a.py", "a.py", "*.py"], ["a.py"]),
        (["odd[1].md"], ["odd[1].md"]),
        (["odd[[]1].md"], ["odd[1].md"]),
        (["absent.py", "absent/**"], []),
        (["[z-a].py", "[", "[]"], []),
    ],
)
def test_globs(tmp_path: Path, patterns: list[str], found: list[str]) -> None:
    tree(tmp_path, "a.py", "src/b.py", "src/b.txt", "src/deep/c.py", ".hidden/h.py", "odd[1].md")
    tree(tmp_path, ".stretto/x.py", ".git/y.py", "src/__pycache__/b.py")
    assert names(tmp_path, expand_globs(tmp_path, patterns)) == found


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "src/../../*.py", "out/*"])
def test_a_pattern_that_leads_out_is_refused(tmp_path: Path, pattern: str) -> None:
    tree(tmp_path, "src/a.py")
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(StrettoError) as refused:
        expand_globs(tmp_path, [pattern])
    assert refused.value.slug == "outside-root"


def test_links_that_lead_out_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "root/a.txt")
    (tmp_path / "root" / "b.txt").symlink_to("/etc/passwd")
    (tmp_path / "root" / "c.txt").symlink_to("a.txt")
    assert names(tmp_path / "root", expand_globs(tmp_path / "root", ["*.txt"])) == ["a.txt"]


# Hashes of files


def test_the_hash_of_files_is_of_names_and_contents(tmp_path: Path) -> None:
    tree(tmp_path, "a", "b")
    every = expand_globs(tmp_path, ["*"])
    first = hash_files(tmp_path, every)
    assert hash_files(tmp_path, list(reversed(every))) == first
    (tmp_path / "a").write_text("content of b\n")
    second = hash_files(tmp_path, every)
    (tmp_path / "a").rename(tmp_path / "c")
    third = hash_files(tmp_path, expand_globs(tmp_path, ["*"]))
    assert len({first, second, third, hash_files(tmp_path, [])}) == 4


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(StrettoError) as wrong:
        hash_files(tmp_path, [tmp_path.resolve() / "gone"])
    assert wrong.value.slug == "unreadable-file"


def test_a_hash_is_not_taken_from_memory_while_the_file_may_change(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    every = [tmp_path.resolve() / "a"]
    seen = set()
    for k in range(20):
        (tmp_path / "a").write_text(f"{k:02}")
        seen.add(hash_files(tmp_path, every))
    assert len(seen) == 20


def test_a_hash_is_kept_once_nothing_can_change_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a")
    path = tmp_path.resolve() / "a"
    kept = root_room._hashes

    def hashed() -> bool:
        hash_files(tmp_path, [path])
        return any(key[0] == str(path) for key in kept)

    assert not hashed(), "it was changed less than 2 s ago"
    monkeypatch.setattr(root_room, "_SETTLED_NS", 0)
    assert hashed()


# The hash of a root


def git(root: Path, *words: str) -> None:
    # Nobody's configuration: a hook, a template or a signing key of the machine has no business here.
    environ = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *words], cwd=root, env=environ, check=True, capture_output=True)


@pytest.fixture(params=["git", "plain"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tree(tmp_path / "project", "a.py", "src/b.py", "ünï cødé.md")
    (root / ".gitignore").write_text("*.log\n")
    if request.param == "git":
        git(root, "init", "-q")
        git(root, "add", "-A")
        git(root, "commit", "-qm", "first")
    return root


CHANGES: dict[str, Callable[[Path], object]] = {
    "edit": lambda root: (root / "a.py").write_text("other\n"),
    "same size": lambda root: (root / "a.py").write_text("Content of a.py\n"),
    "new": lambda root: (root / "new.py").write_text("new\n"),
    "removed": lambda root: (root / "a.py").unlink(),
    "renamed": lambda root: (root / "a.py").rename(root / "z.py"),
    "executable": lambda root: (root / "a.py").chmod(0o755),
    "a link": lambda root: (root / "link").symlink_to("a.py"),
    "unicode": lambda root: (root / "ünï cødé.md").write_text("other\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_seen(project: Path, change: str) -> None:
    before = hash_root(project)
    assert hash_root(project) == before
    CHANGES[change](project)
    assert hash_root(project) != before


def test_a_change_taken_back_is_none(project: Path) -> None:
    before = hash_root(project)
    (project / "a.py").write_text("other\n")
    (project / "a.py").write_text("content of a.py\n")
    assert hash_root(project) == before


def test_our_own_files_and_bytecode_do_not_count(project: Path) -> None:
    before = hash_root(project)
    tree(project, ".stretto/stretto.db", "src/.stretto/x", "src/__pycache__/b.pyc")
    assert hash_root(project) == before


def test_in_a_checkout_ignored_files_do_not_count_and_commits_change_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path, "a.py")
    (root / ".gitignore").write_text("*.log\n")
    git(root, "init", "-q")
    seen = {hash_root(root)}
    tree(root, "noise.log")
    seen.add(hash_root(root))
    git(root, "add", "-A")
    seen.add(hash_root(root))
    git(root, "commit", "-qm", "first")
    seen.add(hash_root(root))
    assert len(seen) == 1
    (root / "a.py").write_text("other\n")
    edited = hash_root(root)
    git(root, "commit", "-qam", "second")
    assert hash_root(root) == edited
    assert edited not in seen


def test_a_root_below_the_top_of_a_checkout_is_its_own(tmp_path: Path) -> None:
    tree(tmp_path, "above.py", "below/a.py")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    before = hash_root(tmp_path / "below")
    (tmp_path / "above.py").write_text("other\n")
    assert hash_root(tmp_path / "below") == before
    (tmp_path / "below" / "a.py").write_text("other\n")
    assert hash_root(tmp_path / "below") != before


def test_a_repository_inside_counts_by_its_files(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "inner/b.py")
    for root in (tmp_path / "inner", tmp_path):
        git(root, "init", "-q")
    git(tmp_path / "inner", "add", "-A")
    git(tmp_path / "inner", "commit", "-qm", "inner")
    before = hash_root(tmp_path)
    (tmp_path / "inner" / "b.py").write_text("other\n")
    untracked = hash_root(tmp_path)
    assert untracked != before
    git(tmp_path, "add", "a.py", "inner")
    staged = hash_root(tmp_path)
    (tmp_path / "inner" / "b.py").write_text("again\n")
    assert hash_root(tmp_path) != staged


def test_a_git_environment_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "other", "x")
    git(tmp_path / "other", "init", "-q")
    root = tree(tmp_path / "root", "a.py")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    before = hash_root(root)
    (root / "a.py").write_text("other\n")
    assert hash_root(root) != before


@pytest.mark.parametrize("checkout", [True, False])
def test_ten_thousand_files_are_quick(tmp_path: Path, checkout: bool) -> None:
    for folder in range(100):
        (tmp_path / f"d{folder}").mkdir()
        for number in range(100):
            (tmp_path / f"d{folder}" / f"f{number}.txt").write_text(str(number))
    if checkout:
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", "-A")
    started = time.process_time()
    hash_root(tmp_path)
    assert time.process_time() - started < 2.0
    started = time.process_time()
    assert len(expand_globs(tmp_path, ["d1*/**/*.txt"])) == 1_100
    assert time.process_time() - started < 1.0


# Redaction

ENVIRON = {
    "ANTHROPIC_API_KEY": "not-of-any-known-shape-1",
    "MY_PASSWORD": 'quo"ted\\pass/word',
    "DATABASE_PWD": "hunter2hunter2",
    "SHORT_TOKEN": "abc",
    "PWD": "/home/someone/project",
    "STRETTO_KEY": "run/task/attempt",
    "MONKEY": "bananabanana",
    "LANG": "en_US.UTF-8",
}
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC+/=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("key=not-of-any-known-shape-1!", "key=[redacted:ANTHROPIC_API_KEY]!"),
        ("hunter2hunter2", "[redacted:DATABASE_PWD]"),
        ('quo"ted\\pass/word', "[redacted:MY_PASSWORD]"),
        ("u=quo%22ted%5Cpass%2Fword&", "u=[redacted:MY_PASSWORD]&"),
        ("abc bananabanana en_US.UTF-8 /home/someone/project run/task/attempt", None),
        ("sk-ant-api03-AbC_123-xyz", "[redacted:anthropic-key]"),
        ("sk-proj-" + "a1" * 12, "[redacted:api-key]"),
        ("task-1 risk-free sk-short", None),
        ("ghp_" + "a" * 36, "[redacted:github-token]"),
        ("github_pat_" + "a" * 40, "[redacted:github-token]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted:aws-key]"),
        ("xoxb-123456789012-abc", "[redacted:slack-token]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc-_", "[redacted:jwt]"),
        ("Authorization: Bearer abcdef.123456", "Authorization: [redacted:bearer]"),
        ("bearer of bad news", None),
        (f"before\n{PEM}\nafter", "before\n[redacted:private-key]\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEow", "[redacted:private-key]"),
        ("https://me:secret@example.com/x", "https://me:[redacted:password]@example.com/x"),
        ("http://localhost:8080/me@here", None),
    ],
)
def test_redaction(text: str, redacted: str | None) -> None:
    assert Redactor(ENVIRON).redact(text) == (text if redacted is None else redacted)


def test_a_redacted_line_of_json_stays_json() -> None:
    record = {
        "a": ENVIRON["MY_PASSWORD"],
        "b": PEM,
        "c": "Bearer abcdefgh12",
        "d": f"{PEM[:50]} and no end",
        "e": 1,
    }
    line = json.loads(Redactor(ENVIRON).redact(json.dumps(record)))
    assert line["a"] == "[redacted:MY_PASSWORD]"
    assert line["b"] == "[redacted:private-key]"
    assert line["c"] == "[redacted:bearer]"
    assert line["d"].startswith("[redacted:private-key]")
    assert line["e"] == 1


def test_the_longer_secret_goes_first() -> None:
    redactor = Redactor({"A_KEY": "abcdefgh", "B_KEY": "abcdefghijkl"})
    assert redactor.redact("abcdefghijkl abcdefgh") == "[redacted:B_KEY] [redacted:A_KEY]"


@given(st.text(), st.text(alphabet='abcdefgh"\\/é', min_size=8), st.text())
def test_no_secret_is_left(before: str, secret: str, after: str) -> None:
    redactor = Redactor({"THE_SECRET": secret})
    assert secret not in redactor.redact(f"{before}{secret}{after}").replace("[redacted:THE_SECRET]", "")
    for ascii_only in (True, False):
        line = redactor.redact(json.dumps([before, secret, after], ensure_ascii=ascii_only))
        assert json.loads(line)[1] == "[redacted:THE_SECRET]"


def test_large_texts_are_quick() -> None:
    text = "def task_key(self): return 'https://example.com/a?b=sk-'  # ghost eyJ\n" * 70_000
    started = time.process_time()
    Redactor(ENVIRON).redact(text)
    assert time.process_time() - started < 1.5, len(text)


# References


def lookup(values: dict[str, Any]) -> Callable[[Ref], Any]:
    def find(ref: Ref) -> Any:
        value = values[ref.name]
        for word in ref.path:
            value = value[word]
        return value

    return find


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("no reference", "no reference"),
        ("${a} and ${a}", "one and one"),
        ("${o.deep}", "[1,2]"),
        ("${o}", '{"deep":[1,2],"ü":"x"}'),
        ("${n} ${t} ${nil}", "3 true null"),
        ("$${a} ${a}", "${a} one"),
        ("${evil}", "${a} $${a}"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    values = {
        "a": "one",
        "o": {"ü": "x", "deep": [1, 2]},
        "n": 3,
        "t": True,
        "nil": None,
        "evil": "${a} $${a}",
    }
    assert substitute(text, lookup(values)) == filled


def test_a_reference_without_a_value_is_an_error() -> None:
    with pytest.raises(StrettoError) as wrong:
        substitute("${absent.x}", lookup({}))
    assert (wrong.value.slug, wrong.value.what) == ("unknown-reference", "${absent.x} has no value here")


def test_a_malformed_reference_is_an_error() -> None:
    with pytest.raises(StrettoError) as wrong:
        substitute("${Not This}", lookup({}))
    assert wrong.value.slug == "bad-reference"


@given(st.text(), st.text())
def test_what_is_put_in_is_never_scanned(before: str, value: str) -> None:
    filled = substitute(f"{before.replace('$', '')}${{a}}", lookup({"a": value}))
    assert filled == before.replace("$", "") + value


# Fences and hand-over


def test_a_fence_says_whose_output_it_is() -> None:
    text = fence("files.3.scan", "hello", "0123456789abcdef")
    first, middle, last = text.split("\n")
    assert middle == "hello"
    assert 'of="files.3.scan"' in first
    assert 'sha="0123456789ab"' in first
    assert first.split('id="')[1].rstrip('">') == last.split('id="')[1].rstrip('">')


@given(st.text(), st.integers(0, 3))
@example("</output>", 0)
def test_content_cannot_close_its_fence(text: str, rounds: int) -> None:
    """Not even one that was written with the knowledge of how earlier fences were closed."""
    for _ in range(rounds):
        text += "\n" + fence("a", text, "sha").rsplit("\n", 1)[1]
    fenced = fence("a", text, "sha")
    closing = fenced.rsplit("\n", 1)[1]
    assert fenced.count(closing) == 1


def test_the_same_content_has_the_same_fence() -> None:
    assert fence("a", "x", "sha") == fence("a", "x", "sha")
    assert fence("a", "x", "sha") != fence("a", "y", "sha")


def test_nothing_to_hand_over_leaves_the_prompt_alone() -> None:
    assert hand_over("Do it", [], can_read_files=False) == ("Do it", [])


def test_outputs_stand_behind_the_prompt_in_order() -> None:
    blocks = [Block("one", "first", "a" * 64), Block("two", "second\n", "b" * 64)]
    text, counts = hand_over("Do it", blocks, can_read_files=False)
    assert text.startswith("Do it\n\n")
    assert text.index("first") < text.index("second")
    assert "no instructions" in text
    assert [(c.name, c.tokens, c.given, c.cut) for c in counts] == [
        ("one", 2, 2, False),
        ("two", 3, 3, False),
    ]


LINES = "".join(f"line {number}\n" for number in range(10_000))


def test_a_large_output_is_cut_and_says_where_the_rest_is() -> None:
    block = Block("big", LINES, "c" * 64, ".stretto/blobs/cc/" + "c" * 64)
    text, (count,) = hand_over("Do it", [block], can_read_files=True)
    assert (count.given, count.tokens, count.cut) == (HEAD_TOKENS, estimate_tokens(LINES), True)
    assert f"[cut: 1,000 of {count.tokens:,} tokens; the whole output is in the file `{block.path}`]" in text
    assert estimate_tokens(text) < 1_200
    kept = text.split("<output")[1].split("\n[cut")[0].splitlines()[1:]
    assert kept == LINES.splitlines()[: len(kept)]


def test_without_files_it_says_how_a_person_sees_the_rest() -> None:
    text, _ = hand_over("Do it", [Block("big", LINES, "c" * 64, "some/path")], can_read_files=False)
    assert "the whole output is `stretto show RUN --task big --output`]" in text
    assert "some/path" not in text


def test_a_long_line_is_cut_between_letters() -> None:
    text, _ = hand_over("", [Block("big", "ü" * 100_000, "c" * 64)], can_read_files=False)
    assert "ü" * 1_400 in text
    assert "\ufffd" not in text


def test_together_they_fit_too_and_the_largest_are_cut_first() -> None:
    sizes = [7_000, 500, 6_000, 5_000, 7_500, 7_900, 3_000]
    blocks = [Block(f"t{k}", "abc" * size, "d" * 64) for k, size in enumerate(sizes)]
    _, counts = hand_over("Do it", blocks, can_read_files=False)
    assert [c.given for c in counts] == [7_000, 500, 6_000, 5_000, 7_500, 1_000, 3_000]


def test_a_great_many_share_what_there_is() -> None:
    blocks = [Block(f"t{k}", "abc" * 2_000, "d" * 64) for k in range(100)]
    text, counts = hand_over("Do it", blocks, can_read_files=False)
    assert {c.given for c in counts} == {320}
    assert len(text) < 150_000


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 200), st.integers(20, 600))
def test_limits_hold(sizes: list[int], per_need: int, per_task: int) -> None:
    blocks = [Block(f"t{k}", "abc" * size, "d" * 64) for k, size in enumerate(sizes)]
    _, counts = hand_over("p", blocks, False, per_need, per_task)
    assert sum(c.given for c in counts) <= per_task
    assert all(c.given <= min(c.tokens, per_need) for c in counts)


def test_tokens_are_a_third_of_the_bytes() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcd") == 2
    assert estimate_tokens("ü" * 3) == 2
    assert estimate_tokens("\ud800") == 1
