"""The checklist: ticked by evidence, and asked for by `run` where money is at stake."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from stretto import Task as PyTask
from stretto import api, fan_out
from stretto.errors import EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.lint import Rule
from stretto.lint.checklist import LABELS
from stretto.lint.review import ChecklistError, Review, review
from stretto.lint.scene import Scene
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding, Severity
from stretto.spec.compile import compile_plan
from stretto.spec.settings import Reason
from stretto.spec.yaml import read_yaml
from tests.driving import Project

PRICED = "simulated:latency=0,priced=true"
AUDIT = """\
limits: {usd: 5, parallel: 2}
tasks:
  list: {run: [ls], output: lines}
  files:
    each: "${list}"
    max: 24
    tolerate: 5%
    tasks:
      scan: {prompt: "Scan ${item}", model: haiku, check: [test, -s, out]}
      judge: {prompt: "Judge ${scan}"}
  merge: {prompt: "Merge ${files}", model: {from: haiku, to: sonnet}, optional: true, attempts: 1}
"""
HEAVY = "limits: {usd: 5}\ntasks: {a: {prompt: Say hello, model: haiku, max_tokens: 999999%s}}\n"


def seen(text: str, *rules: Rule, **project: Reason) -> Review:
    raw = read_yaml(f"stretto: 1\nname: p\n{text}", "p.yaml")
    plan, found = compile_plan(raw, source="p.yaml", even_broken=True)
    return review(plan, found, Chooser(BUILTIN, History()), project=project, rules=rules)


def ticks(found: Review) -> dict[str, tuple[bool, str]]:
    return {tick.item: (tick.ticked, tick.evidence) for tick in found.checklist}


def finds(slug: str, severity: Severity) -> Rule:
    def rule(scene: Scene) -> Iterable[Finding]:
        yield scene.finding(slug, severity, scene.tasks[:1], "so it is", "mend it")

    return rule


def test_seven_items_in_their_order() -> None:
    wanted = ["pattern", "dependencies", "parallelism", "models", "cost", "time", "errors"]
    assert [tick.item for tick in seen(AUDIT).checklist] == wanted == list(LABELS)


def test_evidence_is_a_sentence_of_facts() -> None:
    found = ticks(seen(AUDIT))
    assert all(ticked for ticked, _ in found.values())
    told = {item: evidence for item, (_, evidence) in found.items()}
    assert told["pattern"] == "map-reduce over at most 24, with pipeline inside; 4 tasks"
    assert told["dependencies"] == "3 needs, no cycle, nothing used before it is made"
    assert told["parallelism"] == "up to 2 side by side of at most 24; the longest chain is 4"
    assert told["models"] == "haiku 1, auto 1, haiku to sonnet 1"
    assert told["cost"].endswith(" expected, at most $5.00 by its cap")
    assert told["errors"] == (
        "1 task has a check, 1 part may fail, 5 % of files may fail, tasks are tried up to 3 times"
    )


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ("{a: {run: [ls]}}", "one task"),
        ("{a: {run: [ls]}, b: {run: [ls], needs: [a]}}", "one after the other; the longest chain is 2"),
        ("{a: {run: [ls]}, b: {run: [ls]}}", "up to 2 side by side; the longest chain is 1"),
        ("{a: {run: [ls], each: [p, q, r]}}", "up to 3 side by side; the longest chain is 1"),
        (
            "{a: {run: [ls], each: [p, q]}, b: {run: [ls]}, c: {run: [ls], needs: [b]}}",
            "up to 3 side by side; the longest chain is 2",
        ),
    ],
)
def test_how_many_at_once(tasks: str, says: str) -> None:
    assert ticks(seen(f"tasks: {tasks}"))["parallelism"] == (True, says)
    one = ticks(seen(f"limits: {{parallel: 1}}\ntasks: {tasks}"))["parallelism"][1]
    assert "side by side" not in one


def test_what_costs_nothing_is_said() -> None:
    found = seen("tasks: {a: {run: [ls]}}")
    assert ticks(found)["cost"] == (True, "nothing: no task is paid")
    assert ticks(found)["models"] == (True, "no model is asked")
    assert found.nusd == 0


def test_an_unknown_price_takes_the_tick_from_the_cost() -> None:
    found = seen("tasks: {a: {prompt: Say hello, model: claude-brand-new-9}}")
    assert ticks(found)["cost"] == (False, "no price is known for claude-brand-new-9")
    assert found.nusd is None
    assert ticks(found)["models"][0]


@pytest.mark.parametrize(
    ("slug", "item"),
    [
        ("missing-dependency", "dependencies"),
        ("missed-parallelism", "parallelism"),
        ("oversized-model", "models"),
        ("no-budget", "cost"),
        ("no-error-handling", "errors"),
        ("over-orchestration", "pattern"),
        ("bad-accept", None),
    ],
)
def test_a_warning_takes_the_tick_of_its_kind_and_a_hint_none(slug: str, item: str | None) -> None:
    warned = ticks(seen(AUDIT, finds(slug, "warning")))
    assert [name for name, (ticked, _) in warned.items() if not ticked] == ([item] if item else [])
    if item is not None:
        assert warned[item][1].startswith(f"1 {slug}; ")
    for harmless in (
        seen(AUDIT, finds(slug, "info")),
        seen(AUDIT, finds(slug, "warning"), **{slug: Reason("x")}),
    ):
        assert harmless.unticked == [] or slug == "bad-accept"


def test_errors_take_the_ticks_of_what_they_hide() -> None:
    broken = ticks(seen("tasks: {a: {run: [ls], needs: [b]}, b: {run: [ls], needs: [a], promt: x}}"))
    assert {item for item, (ticked, _) in broken.items() if ticked} == {"models", "errors"}
    assert broken["pattern"][1] == "1 unknown-key"
    assert broken["dependencies"][1].startswith("1 cycle; ")
    nothing = ticks(seen("tasks: 3"))
    assert not any(ticked for ticked, _ in nothing.values())


def test_an_unknown_model_is_no_traceback() -> None:
    def prices(scene: Scene) -> Iterable[Finding]:
        for element in scene.tasks:
            scene.facts(element)
        return []

    found = ticks(seen("tasks: {a: {prompt: x, model: hiku}}", prices))
    assert found["models"] == (False, "1 unknown-model; auto 1")
    assert not found["cost"][0]


# The run asks for it


def test_a_run_that_costs_money_asks_for_every_tick(tmp_path: Path) -> None:
    project = Project(tmp_path, f"stretto: 1\nname: p\n{HEAVY % ''}")
    answer = project.run("--json", on=PRICED)
    assert answer.code == EXIT_PROBLEM
    assert answer.json["error"]["slug"] == "checklist"
    assert [f["slug"] for f in answer.json["findings"]] == ["max-tokens-too-high"]
    assert "models selected" in answer.err and "[max-tokens-too-high]" in answer.err
    assert "next: mend it" in answer.err and "--unchecked" in answer.err
    assert not (tmp_path / ".stretto").exists()

    assert project.run("--quiet").code == EXIT_OK, "a rehearsal costs nothing"
    assert project.run("--quiet", "--dry-run", on=PRICED).code == EXIT_OK
    assert project("estimate", "plan.yaml", "--on", PRICED).code == EXIT_OK
    assert project.run("--quiet", "--unchecked", on=PRICED).code == EXIT_OK


def test_accepting_lets_a_run_go_on(tmp_path: Path) -> None:
    accept = ", accept: {max-tokens-too-high: long answers}"
    project = Project(tmp_path, f"stretto: 1\nname: p\n{HEAVY % accept}")
    answer = project.run("--quiet", on=PRICED)
    assert answer.code == EXIT_OK
    assert "[max-tokens-too-high]" not in answer.err
    project = Project(tmp_path, f"stretto: 1\nname: p\n{HEAVY % ''}")
    (tmp_path / "stretto.toml").write_text('[accept]\nmax-tokens-too-high = "long answers"\n')
    assert project.run("--quiet", "--fresh", on=PRICED).code == EXIT_OK


def test_no_cap_is_said_first_and_a_cap_at_launch_settles_the_cost(tmp_path: Path) -> None:
    text = "stretto: 1\nname: p\ntasks: {a: {prompt: Say hello, model: claude-brand-new-9}}\n"
    project = Project(tmp_path, text)
    assert "[no-cap]" in project.run(on=PRICED).err
    assert "[checklist]" not in project.run("--usd", "none", "--quiet", on=PRICED).err


def test_a_part_of_a_plan_is_asked_for_its_own_ticks_only(tmp_path: Path) -> None:
    text = f"stretto: 1\nname: p\n{HEAVY % ''}".replace("}}\n", "}, b: {prompt: Say hello, model: haiku}}\n")
    project = Project(tmp_path, text)
    assert project.run("--quiet", "--until", "b", on=PRICED).code == EXIT_OK
    assert project.run("--quiet", "--until", "a", on=PRICED).code == EXIT_PROBLEM


def test_a_program_is_asked_too(tmp_path: Path) -> None:
    plan = fan_out(PyTask("Say hello", model="haiku", max_tokens=999_999), name="p")
    with pytest.raises(ChecklistError) as refused:
        plan.run_sync(on=PRICED, usd=5, root=tmp_path)
    assert (refused.value.slug, refused.value.code) == ("checklist", EXIT_PROBLEM)
    assert [finding.slug for finding in refused.value.findings] == ["max-tokens-too-high"]
    assert [tick.item for tick in refused.value.checklist if not tick.ticked] == ["models"]
    assert [tick.item for tick in plan.checklist(root=tmp_path) if not tick.ticked] == ["models"]
    assert plan.run_sync(on=PRICED, usd=5, unchecked=True, root=tmp_path).code == EXIT_OK


def test_a_program_sees_everything_of_a_broken_plan(tmp_path: Path) -> None:
    plan = fan_out(PyTask("Say ${nobody}"), PyTask("B", accept={"nix": "why"}), name="p")
    assert {f.slug for f in api.check(plan, tmp_path)} >= {"unknown-reference", "bad-accept"}
    with pytest.raises(StrettoError, match="1 error"):
        plan.run_sync(on=PRICED, usd=5, root=tmp_path)


def test_a_small_plan_is_looked_over_at_once() -> None:
    seen(AUDIT)  # the first one pays for imports of prices
    start_s = time.perf_counter()
    for _ in range(10):
        seen(AUDIT)
    assert (time.perf_counter() - start_s) / 10 < 0.05
