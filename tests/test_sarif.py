"""`stretto check --sarif`: a log that the schema of SARIF 2.1.0 accepts, with everything that was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.cli.sarif import FINGERPRINT, sarif
from stretto.lint.slugs import SLUGS
from stretto.plan.finding import Finding
from tests.driving import Project

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0.json").read_text())
VALID = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
PLAN = """\
stretto: 1
name: p
tasks:
  a: {prompt: Say hello, model: haiku, max_tokens: 999999, accept: {max-tokens-too-high: on purpose}}
  b: {prompt: "Say ${a}", role: Fix, modle: haiku}
"""


def results(log: dict[str, Any]) -> list[dict[str, Any]]:
    VALID.validate(log)
    found: list[dict[str, Any]] = log["runs"][0]["results"]
    return found


def test_a_log_holds_every_finding_and_the_schema_accepts_it(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN)
    log = project("check", "plan.yaml", "--sarif").json
    found = results(log)

    levels = {row["ruleId"]: row["level"] for row in found}
    wanted = {"max-tokens-too-high": "warning", "role-tools": "note", "unknown-key": "error"}
    assert wanted.items() <= levels.items()
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rules[row["ruleIndex"]]["id"] for row in found] == [row["ruleId"] for row in found]
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    suppressed = {row["ruleId"]: row["suppressions"] for row in found if "suppressions" in row}
    assert suppressed == {"max-tokens-too-high": [{"kind": "inSource", "justification": "on purpose"}]}


def test_places_are_relative_where_they_can_be(tmp_path: Path) -> None:
    inside = Finding("cycle", "error", "round", "some folder/p.yaml:3:4", tasks=("a", "b"))
    outside = Finding("cycle", "error", "round", "/elsewhere/p.yaml:3:4")
    nowhere = Finding("cycle", "error", "round", "a")
    first, second, third = results(sarif([inside, outside, nowhere], tmp_path))

    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "some%20folder/p.yaml"},
        "region": {"startLine": 3, "startColumn": 4},
    }
    assert [where["fullyQualifiedName"] for where in first["locations"][0]["logicalLocations"]] == ["a", "b"]
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///elsewhere/p.yaml"
    assert third["locations"] == []


def test_money_and_minutes_travel_along(tmp_path: Path) -> None:
    told = Finding("oversized-model", "warning", "opus", "p.yaml:1:1", nusd=480_000_000, seconds=90.0)
    (row,) = results(sarif([told], tmp_path))
    assert row["properties"] == {"usd": 0.48, "minutes": 1.5}


def test_a_fingerprint_stays_when_lines_move_and_figures_change(tmp_path: Path) -> None:
    def prints(*findings: Finding) -> list[str]:
        return [row["partialFingerprints"][FINGERPRINT] for row in results(sarif(findings, tmp_path))]

    before = Finding("no-timeout", "warning", "costs 3", "p.yaml:3:4", tasks=("a",), nusd=3)
    after = Finding("no-timeout", "warning", "costs 4", "p.yaml:9:1", tasks=("a",), nusd=4)
    other = Finding("no-timeout", "warning", "costs 3", "p.yaml:3:4", tasks=("b",))
    assert prints(before) == prints(after)
    assert len(set(prints(before, before, other))) == 3


@pytest.mark.parametrize("words", [("--json", "--sarif")])
def test_one_form_at_a_time(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "not allowed with argument" in Project(tmp_path)("check", "plan.yaml", *words).err


texts = st.text(max_size=20)


@given(
    st.lists(
        st.builds(
            Finding,
            st.sampled_from([*SLUGS, "cycle", "unheard-of"]),
            st.sampled_from(["error", "warning", "info"]),
            texts,
            st.one_of(texts, st.builds("{}:{}:{}".format, texts, st.integers(0, 9), st.integers(0, 9))),
            texts,
            st.lists(texts).map(tuple),
            st.one_of(st.none(), st.floats(0, 1e12)),
            st.one_of(st.none(), st.floats(0, 1e6)),
            accepted=texts,
        ),
        max_size=5,
    )
)
def test_any_findings_make_a_valid_log(findings: list[Finding]) -> None:
    assert len(results(sarif(findings, Path("/project")))) == len(findings)
