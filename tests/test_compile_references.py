"""References and needs: to the column where they stand, typed by what they dig into."""

import pytest

from tests.test_compile import compiled

TYPED = """\
stretto: 1
inputs: {repo: {type: string}}
tasks:
  scan: {prompt: S, output: {calls: [{file: string, line?: int}], note: string}}
  list: {run: [ls], output: lines}
  both: {tasks: {x: {prompt: X, output: {n: int}}, y: {prompt: Y}}}
  many: {each: "${scan.calls}", as: i, tasks: {p: {prompt: "${i.file}", output: {q: int}}, r: {prompt: R}}}
  last: {prompt: "HERE"}
"""


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("${scan.calls}", ""),
        ("${scan.calls.0.file}", ""),
        ("${scan.cals}", "did you mean 'calls'?"),
        ("${scan.calls.0.fil}", "did you mean 'file'?"),
        ("${scan.calls.file}", "no index"),
        ("${scan.note.x}", "is a text"),
        ("${list.0}", ""),
        ("${list.first}", "no index"),
        ("${list.0.x}", "is a text"),
        ("${both.x.n}", ""),
        ("${both.x.m}", "'both.x' has no field 'm' its fields: n"),
        ("${both.z}", "its fields: x, y"),
        ("${both}", ""),
        ("${many}", ""),
        ("${many.p}", ""),
        ("${many.p.q}", ""),
        ("${many.p.z}", "'many.p' has no field 'z'"),
        ("${many.0}", ""),
        ("${many.0.x}", "'many.0' has no field 'x' its fields: p, r"),
        ("${many.failed.0.error}", ""),
        ("${many.failed.0.reason}", "its fields: error, index, item"),
        ("${many.z}", "its fields: failed, p, r"),
        ("${repo.x}", "a text"),
    ],
)
def test_references_are_typed(reference: str, complaint: str) -> None:
    _, findings = compiled(TYPED.replace("HERE", reference))
    said = [f"{f.message} {f.fix}" for f in findings]
    if complaint:
        assert [(f.slug, f.at) for f in findings] == [("bad-reference", "p.yaml:8:19")]
        assert complaint in said[0]
    else:
        assert said == []


@pytest.mark.parametrize(
    ("over", "slug", "fix"),
    [
        ("${scan}", "not-a-list", "did you mean ${scan.calls}?"),
        ("${scan.note}", "not-a-list", ""),
        ("${repo}", "not-a-list", ""),
        ("${both}", "not-a-list", ""),
        ("${last}", "unknown-reference", ""),
        ("${item}", "unknown-reference", ""),
    ],
)
def test_lists_are_lists(over: str, slug: str, fix: str) -> None:
    text = TYPED.replace('{prompt: "HERE"}', f'{{prompt: X, each: "{over}"}}')
    _, findings = compiled(text)
    if over == "${last}":
        slug = "cycle"
    assert [f.slug for f in findings] == [slug]
    assert fix in findings[0].fix


def test_items_are_typed_through_their_lists() -> None:
    body = "  a: {each: [{n: 1}, {m: 2}], prompt: '${item.k}'}\n  b: {each: [x], prompt: '${item.k}'}\n"
    _, findings = compiled(f"stretto: 1\ntasks:\n{body}")
    assert [f.at for f in findings] == ["p.yaml:3:40", "p.yaml:4:27"]
    assert "'item'" in findings[0].message


def test_a_reference_in_a_block_is_found_at_its_own_line() -> None:
    body = "  a:\n    prompt: |\n      One line.\n      Look at ${gone} and ${fine}.\n  fine: {prompt: X}\n"
    _, findings = compiled(f"stretto: 1\ntasks:\n{body}")
    assert [f.at for f in findings] == ["p.yaml:6:15"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_lines_are_counted_as_the_parser_counts_them(end: str) -> None:
    lines = ["stretto: 1", "tasks:", "  a:", '    prompt: "${gone} and ${gone.too}"', "    needs: [away]"]
    _, findings = compiled(end.join(lines))
    assert [f.at for f in findings] == ["p.yaml:4:14", "p.yaml:4:26", "p.yaml:5:13"]


def test_all_cycles_at_once() -> None:
    body = "".join(
        f"  {x}: {{prompt: X, needs: [{y}]}}\n" for x, y in ("ab", "ba", "cd", "dc", "ef") if x != "e"
    )
    _, findings = compiled(f"stretto: 1\ntasks:\n{body}")
    assert [f.slug for f in findings] == ["cycle", "cycle"]
    assert "a -> b -> a" in findings[0].message
