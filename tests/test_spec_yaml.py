"""YAML 1.2 with positions: what is read, what is refused, and that nothing else can happen."""

import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.errors import StrettoError
from stretto.plan.finding import Finding, PlanError
from stretto.spec.raw import Raw, plain
from stretto.spec.yaml import MAX_BYTES, read_yaml


def value_of(text: str) -> Any:
    return plain(read_yaml(text, "p.yaml"))


def refused(text: str) -> StrettoError:
    with pytest.raises(StrettoError) as caught:
        read_yaml(text, "p.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(
            (word, word)
            for word in ("no", "yes", "on", "off", "y", "n", "12:30", "1:2:3", "2026-11-21", "1_000")
        ),
        *((word, word) for word in ("0b11", "1e", ".", "+", "0o8", "0xg", "1.2.3", "=", "tRUE", "nULL")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *(("0", 0), ("-7", -7), ("+7", 7), ("007", 7), ("0o14", 12), ("0xfF", 255), ("-0", 0)),
        *(("5.00", 5.0), ("1e3", 1000.0), (".5", 0.5), ("-1.5e-3", -0.0015), ("5.", 5.0)),
        *((".inf", float("inf")), ("-.INF", float("-inf"))),
        *(
            ("'5'", "5"),
            ('"true"', "true"),
            ("!!str 5", "5"),
            ("!!int '5'", 5),
            ("!!float 5", 5.0),
            ("! 5", "5"),
        ),
        *(("'it''s'", "it's"), ('"a\\tb\\x41"', "a\tbA")),
    ],
)
def test_scalars_of_the_core_schema(written: str, value: Any) -> None:
    read = value_of(f"k: {written}\n")["k"]
    assert (type(read), read) == (type(value), value)
    assert value_of(f"[{written or '~'}]") == [value]


def test_every_value_and_key_has_its_position() -> None:
    raw = read_yaml('# note\na:\n  b: [1, "x"]\n"c d": {e: f}\ng: |\n  long\n', "dir/p.yaml")
    assert raw.at == "dir/p.yaml:2:1"
    assert raw.keys == {"a": "dir/p.yaml:2:1", "c d": "dir/p.yaml:4:1", "g": "dir/p.yaml:5:1"}
    inner = raw.value["a"].value["b"]
    assert (raw.value["a"].at, inner.at) == ("dir/p.yaml:3:3", "dir/p.yaml:3:6")
    assert [entry.at for entry in inner.value] == ["dir/p.yaml:3:7", "dir/p.yaml:3:10"]
    assert raw.value["c d"].value["e"].at == "dir/p.yaml:4:12"
    assert raw.value["g"].at == "dir/p.yaml:5:4"
    wide = read_yaml("[äöü, 😀, x]\n", "p.yaml")
    assert [entry.at for entry in wide.value] == ["p.yaml:1:2", "p.yaml:1:7", "p.yaml:1:10"]


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    raw = read_yaml("\ufeffa: 1\n", "p.yaml")
    assert (plain(raw), raw.keys["a"]) == ({"a": 1}, "p.yaml:1:1")


def test_json_is_yaml() -> None:
    assert value_of('{"a": [1, 2.5, null, true], "b": "x"}') == {"a": [1, 2.5, None, True], "b": "x"}


def test_numbers_as_keys_are_texts() -> None:
    assert value_of("1: a\nno: b\ntrue: c\n") == {"1": "a", "no": "b", "true": "c"}


def test_aliases_and_merges() -> None:
    text = "x-d: &d {model: haiku, usd: 1}\nx-e: &e {usd: 2, on: local}\n"
    assert value_of(text + "a: *d\n")["a"] == {"model": "haiku", "usd": 1}
    assert value_of(text + "a: {<<: *d, usd: 3}\n")["a"] == {"usd": 3, "model": "haiku"}
    assert value_of(text + "a:\n  <<: [*d, *e]\n")["a"] == {"model": "haiku", "usd": 1, "on": "local"}
    merged = read_yaml(text + "a: {<<: *d}\n", "p.yaml").value["a"]
    assert merged.keys["model"] == "p.yaml:1:10"
    assert value_of("a: &k name\n*k : 1\n") == {"a": "name", "name": 1}


NOT_YAML = [
    ("a: [1, 2\n", "bad-yaml", "2:1", "bracket"),
    ("a:\n\tb: 1\n", "bad-yaml", "2:1", "spaces"),
    ("a: b: c\n", "bad-yaml", "1:5", "quotes"),
    ("a: {each: ${list}, max: 5}\n", "bad-yaml", "1:12", '"${list}"'),
    ("a: 'x\n", "bad-yaml", "2:1", ""),
    ("a: *gone\n", "bad-yaml", "1:4", "write the value out"),
    ("a: &x [*x]\n", "bad-yaml", "1:8", "write the value out"),
    ("? [a]\n: b\n", "bad-yaml", "1:3", "quotes"),
    ("a: &x [1]\n*x : 1\n", "bad-yaml", "2:1", "quotes"),
    ("a: 1\n---\nb: 2\n", "bad-yaml", "2:1", "remove"),
    ("a: " + "9" * 5000 + "\n", "bad-yaml", "1:4", "quotes"),
    ("", "empty-plan", "1:1", "stretto init"),
    ("# only a note\n", "empty-plan", "1:1", "stretto init"),
    ("---\n", "empty-plan", "1:1", "stretto init"),
    ("~\n", "empty-plan", "1:1", "stretto init"),
    ("a: b\nc: d\x07e\n", "control-character", "2:5", "\\x1b"),
    ("a: \ud800\n", "control-character", "1:4", ""),
    ("a: \x00\n", "control-character", "1:4", ""),
    ("[" * 101 + "]" * 101, "too-deep", "1:101", "fewer levels"),
    ("\n".join(" " * i + "a:" for i in range(150)), "too-deep", "101:101", "fewer levels"),
    ("- " * 200, "too-deep", "1:201", "fewer levels"),
]


@pytest.mark.parametrize(("text", "slug", "place", "fix"), NOT_YAML)
def test_what_is_not_read(text: str, slug: str, place: str, fix: str) -> None:
    error = refused(text)
    assert (error.slug, error.at) == (slug, f"p.yaml:{place}")
    assert fix in error.next
    assert error.code == 2


def test_deep_brackets_cost_nothing() -> None:
    started = time.process_time()
    assert refused("[" * 1_000_000).slug == "too-deep"
    assert refused("{a: " * 500_000).slug == "too-deep"
    assert time.process_time() - started < 3


def test_five_megabytes_are_too_many() -> None:
    started = time.process_time()
    assert refused("a: " + "x" * 5_000_000).slug == "too-large"
    assert refused("a: " + "ä" * (MAX_BYTES // 2)).slug == "too-large"
    assert time.process_time() - started < 1


def test_alias_bombs_do_not_go_off() -> None:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        laughs += f"{other}: &{other} [{', '.join([f'*{one}'] * 9)}]\n"
    started = time.process_time()
    error = refused(laughs)
    assert error.slug == "alias-bomb"
    assert error.at.startswith("p.yaml:4:")
    # A large file may hold more, but 100,000 values from aliases are enough for every plan.
    large = "a: &a [" + "x, " * 40_000 + "]\nb: [*a, *a, *a]\n"
    assert refused(large).slug == "alias-bomb"
    # Depth through aliases is depth as well.
    deep = "a0: &a0 " + "[" * 40 + "]" * 40 + "\n"
    deep += "".join(f"a{i}: &a{i} {'[' * 40}*a{i - 1}{']' * 40}\n" for i in range(1, 4))
    assert refused(deep).slug == "too-deep"
    assert time.process_time() - started < 3


def test_aliases_of_honest_size_are_read() -> None:
    text = "x: &x {model: haiku, attempts: 2}\ntasks:\n" + "".join(
        f"  t{i}: {{<<: *x, prompt: P}}\n" for i in range(2000)
    )
    assert len(value_of(text)["tasks"]) == 2000


def test_keys_written_twice_and_foreign_tags_are_found_all_at_once() -> None:
    text = "a: 1\nb: {c: 1, c: 2}\na: !!python/object/apply:os.system [ls]\nd: !mine x\n"
    text += "e: !!int x\nf: !!set {g}\n"
    found: list[Finding] = []
    raw = read_yaml(text, "p.yaml", found)
    assert [(f.slug, f.at) for f in found] == [
        ("duplicate-key", "p.yaml:2:11"),
        ("bad-tag", "p.yaml:3:4"),
        ("duplicate-key", "p.yaml:3:1"),
        ("bad-tag", "p.yaml:4:4"),
        ("bad-tag", "p.yaml:5:4"),
        ("bad-tag", "p.yaml:6:4"),
    ]
    assert "'c' is written twice; the first one is at 2:5" in found[0].message
    assert "!!python/object/apply:os.system" in found[1].message
    assert plain(raw)["a"] == 1
    with pytest.raises(PlanError) as caught:
        read_yaml(text, "p.yaml")
    assert len(caught.value.findings) == 6


def test_a_merge_takes_mappings() -> None:
    found: list[Finding] = []
    read_yaml("a: {<<: 5}\nb: &b {x: 1}\nc: {<<: [*b, 7]}\n", "p.yaml", found)
    assert [f.at for f in found] == ["p.yaml:1:9", "p.yaml:3:14"]


def test_ten_thousand_tasks_are_read_quickly() -> None:
    task = "  t{0}:\n    prompt: 'Look at file number {0} and say why it is as it is'\n"
    task += "    needs: [t1]\n    model: haiku\n"
    text = "stretto: 1\ntasks:\n" + "".join(task.format(i) for i in range(10_000))
    assert len(text) > 1_000_000
    started = time.process_time()
    raw = read_yaml(text, "p.yaml")
    took = time.process_time() - started
    assert len(raw.value["tasks"].value) == 10_000
    # 0.2 s on an idle core with libyaml, 10 s without it.
    assert took < (2 if yaml.__with_libyaml__ else 60)


PIECES = (
    *(
        "a",
        "b",
        "1",
        "-",
        " ",
        "  ",
        "\n",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
    ),
    *(
        "<<: ",
        "|\n",
        ">\n",
        "'",
        '"',
        "\\",
        "#",
        "? ",
        "%",
        "@",
        "`",
        "\t",
        "\x85",
        "é",
        "\u2028",
        "---\n",
        "~",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_nothing_but_a_clear_error_comes_out(text: str) -> None:
    found: list[Finding] = []
    try:
        raw = read_yaml(text, "p.yaml", found)
    except StrettoError as error:
        assert error.at.startswith("p.yaml")
        assert error.what
    else:
        _whole(raw)


def _whole(raw: Raw) -> None:
    assert raw.at.startswith("p.yaml:")
    if isinstance(raw.value, dict):
        assert raw.keys.keys() == raw.value.keys()
        for entry in raw.value.values():
            _whole(entry)
    elif isinstance(raw.value, list):
        for entry in raw.value:
            _whole(entry)
    else:
        assert raw.value is None or isinstance(raw.value, str | int | float | bool)


# `0E0` and the like are texts in 1.1 and numbers in 1.2: there a writer of 1.1 leaves out the quotes.
WORDS = st.text().filter(lambda text: not re.match(r"[-+]?\.?[0-9]", text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
        max_leaves=15,
    )
)
@settings(max_examples=200, deadline=None)
def test_what_a_writer_of_yaml_wrote_is_read(data: Any) -> None:
    """PyYAML writes 1.1, which quotes more than 1.2 must (but for numbers); it is read as it was."""
    text = yaml.safe_dump(data, allow_unicode=False)
    if data is None or "<<" in text:
        return
    assert value_of(text) == data
