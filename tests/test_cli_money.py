"""What people read of a run's money: at its end, in `show`, and when it stopped for want of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.cli.money import choice_lines, closing, left_lines, money_lines, pass_words, switch_words
from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.plan.model import Check, Expect
from stretto.report import Passed, Share
from tests.driving import Project, golden, normal
from tests.telling import Telling, prompt
from tests.test_report_money import HAIKU, MILLION, NUSD, OPUS, estimate, judged

EXAMPLES = Path(__file__).parent.parent / "examples" / "costs"
PRICED = "simulated:latency=0,priced=true"
PLAN = """\
stretto: 1
name: paid
limits: {usd: 5, parallel: 2}
baselines:
  all-opus: {usd: 3.90, time: 25m}
tasks:
  files:
    each: [a, b, c]
    as: file
    tasks:
      scan:
        prompt: "List risky calls in ${file}"
        model: haiku
        check: {prompt: "Is it right?", model: sonnet}
      judge: {prompt: "Is it real: ${scan}", model: opus}
  merge: {prompt: "Merge ${files}", model: sonnet}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, PLAN)


def without_estimate(text: str) -> str:
    """The estimate's own figures are tested where they are made."""
    return re.sub(r"^estimated, .*?\n\n", "", text, flags=re.M | re.S)


def test_show_tells_who_took_the_money(project: Project) -> None:
    assert project.run(on=PRICED).code == EXIT_OK
    shown = project("show", "last").out
    assert re.search(
        r"^estimated, 10 to 90 %, and what it became; .*\nBY PART .*\n  files .*\n  merge ", shown, re.M
    )
    golden("show-paid.txt", without_estimate(normal(shown, project.root)))
    golden("show-paid-task.txt", normal(project("show", "last", "--task", "files.0.scan").out, project.root))


def test_the_end_of_a_run_has_two_lines_more_at_most(project: Project) -> None:
    lines = project.run("--quiet", on=PRICED).out.splitlines()
    place = next(k for k, text in enumerate(lines) if text.startswith("  money   "))
    first, second, third = lines[place + 1 : place + 4]
    assert re.fullmatch(
        r"  estimate \$.* spent \$0\.\d+: (over )?\d+ % (less|more), (in|out)side; .* took .*", first
    )
    assert re.fullmatch(
        r"  saving  computed: \$0\.\d+ against \$0\.\d+, \d+ % less "
        r"\(the same tokens on opus, each task once\); "
        r"3 of 3 checked tasks passed \(100 %, 95 % interval 44 to 100 %\), 4 had no check",
        second,
    )
    assert third.startswith("  output  ")


def test_a_run_that_asks_nobody_has_no_line_more(tmp_path: Path) -> None:
    project = Project(tmp_path, "stretto: 1\nname: free\ntasks:\n  a: {run: [ls]}\n")
    out = project.run("--quiet").out
    assert [text.split()[0] for text in out.splitlines()] == ["run", "tasks", "money", "output"]
    assert "BY TIER" not in project("show", "last").out


def test_the_json_has_tiers_groups_attempts_estimate_and_savings(project: Project) -> None:
    ran = project.run("--json", on=PRICED).json
    shown = project("show", "last", "--json").json
    assert ran == shown
    assert [row["tier"] for row in ran["tiers"]] == ["haiku", "sonnet", "opus"]
    for key in ("tiers", "groups", "attempts"):
        assert sum(row["usd"] for row in ran[key]) == pytest.approx(ran["usd"], abs=1e-12)
    assert sum(row["usd"] for row in ran["roles"].values()) == pytest.approx(ran["usd"], abs=1e-12)
    assert {row["role"] for row in ran["attempts"]} == {"work", "check"}
    assert ran["estimate"]["usd"]["actual"] == ran["usd"]
    assert {(s["kind"], s["baseline"]) for s in ran["savings"]} >= {
        ("declared", "all-opus"),
        ("computed", "strongest"),
    }
    assert all(s["pass_rate"]["passed"] == 3 for s in ran["savings"])
    one = project("show", "last", "--task", "files.0.scan", "--json").json
    assert [entry["id"] for entry in one["attempts"]] == ["files.0.scan#1", "files.0.scan#2"]


def test_of_a_few_tasks_none_is_called_the_dearest(tmp_path: Path) -> None:
    project = Project(
        tmp_path, 'stretto: 1\nname: two\nlimits: {usd: 1}\ntasks:\n  a: {prompt: "x", model: haiku}\n'
    )
    project.run(on=PRICED)
    shown = project("show", "last").out
    assert "BY TIER" in shown
    assert "DEAREST" not in shown


# Out of money

WIDE = """\
stretto: 1
name: wide
limits: {usd: 5, parallel: PARALLEL}
tasks:
  scan: {each: [ENTRIES], prompt: "Scan ${item}", model: haiku, max_tokens: 4000}
  merge:
    prompt: "Merge ${scan}"
    model: opus
    max_tokens: 2000
    attempts: 3
    accept: {oversized-model: what it costs is the point}
"""


@pytest.mark.parametrize("cap", ["0.003", "0.005", "0.008"])
@pytest.mark.parametrize("parallel", [1, 6])
def test_the_last_line_names_a_cap_that_does(tmp_path: Path, cap: str, parallel: int) -> None:
    plan = WIDE.replace("ENTRIES", ", ".join(f"f{k}" for k in range(20))).replace("PARALLEL", str(parallel))
    project = Project(tmp_path, plan)
    stopped = project.run("--quiet", "--usd", cap, "--yes", on=PRICED)
    assert stopped.code == EXIT_LIMIT, stopped.out
    before, last = stopped.out.splitlines()[-2:]
    assert re.fullmatch(
        r"left: \d+ tasks?, about \$[\d.]+ to finish by [\w ,]+, probably below \$[\d.]+", before
    )
    words = last.removeprefix("to go on: stretto ").split()
    assert words[:3] == ["resume", project.last, "--usd"]
    assert float(words[3]) < 1.0, "a cap that does, not any cap"
    assert project(*words, "--quiet").code == EXIT_OK


def test_what_is_left_is_said_although_its_price_is_not_known() -> None:
    told = Telling(prompt("a"), prompt("b"), cap=NUSD)
    told.succeed("a", cost=10)
    assert left_lines(told.journal, told.history.state) == []
    told.tell(ev.RunPaused("quota"))
    assert left_lines(told.journal, told.history.state) == ["left: 1 task, what they cost is not known"]


# Words


def test_a_saving_is_never_told_without_how_surely_the_work_is_right() -> None:
    told = Telling(prompt("a", model="haiku"), prompt("b", model="opus"))
    told.start("a", model=HAIKU)
    told.call("a", cost=NUSD // 2, bound=NUSD, model=HAIKU, usage=MILLION)
    told.ended("a", 1)
    told.succeeded("a")
    (line,) = [text for text in closing(told.journal, told.history) if "saving" in text]
    assert line == (
        "  saving  computed: $0.50 against $4.00, 88 % less (the same tokens on opus, each task once); "
        "unverified: no task had a check"
    )


def test_the_words_for_a_pass_rate() -> None:
    assert pass_words(Passed(Share(0, 0), 7, 0, Share(0, 0))) == "unverified: no task had a check"
    assert "no check gave a verdict on 2 tasks" in pass_words(Passed(Share(0, 0), 0, 2, Share(0, 0)))
    assert pass_words(Passed(Share(18, 20), 5, 1, Share(1, 12))) == (
        "18 of 20 checked tasks passed (90 %, 95 % interval 70 to 97 %), 5 had no check, 1 no verdict, "
        "1 of 12 audited results wrong (8 %, 95 % interval 1 to 35 %)"
    )


def test_two_kinds_of_figures_are_told_without_a_percentage() -> None:
    told = Telling(prompt("a"), baselines={"all-opus": Expect(nusd=4 * NUSD, time_s=1500.0)})
    told.start("a", model=OPUS)
    told.call("a", cost=NUSD, bound=NUSD, model=OPUS)
    told.ended("a", 1)
    told.succeeded("a")
    (line,) = closing(told.journal, told.history)
    assert line.startswith("  saving  declared: all-opus $4.00, 25m00s; $1.00, ")
    assert "two kinds: no percentage" in line
    assert " % " not in line.split(";")[0]


def test_what_was_estimated_of_a_run_that_is_not_over_is_told_without_an_error() -> None:
    told = Telling(prompt("a"), prompt("b"), estimate=estimate("a", "b"))
    told.succeed("a", cost=NUSD)
    (line,) = closing(told.journal, told.history)
    assert line == "  estimate $1.00 ($0.50 to $2.00), spent $1.00; 10.0s (5.0s to 20.0s), took 2.0s (so far)"


def test_a_tier_that_was_switched_off_is_told_aloud() -> None:
    told = Telling(prompt("a", check=Check(prompt="good?")))
    judged(told, "a", "ok", shadow="check_failed")
    switch = ev.TierSwitched("p/files", "haiku", False, "4 of 9 audited results were wrong")
    told.tell(switch)
    words = "haiku is no longer tried for p/files: 4 of 9 audited results were wrong"
    assert switch_words(switch) == words
    assert f"  {words}" in money_lines(told.journal, told.history)
    assert switch_words(switch._replace(on=True)).startswith("haiku is tried again for p/files")


def test_a_decision_record_in_words() -> None:
    record = {
        "tier": "haiku",
        "effort": "low",
        "model": HAIKU,
        "chance": 0.72,
        "confidence": "medium",
        "expected_nusd": 1_200_000,
        "expected_s": 3.0,
        "reasons": ["mechanical: list", "an executable check"],
        "runner_up": "sonnet",
        "why_not": "20 times the price for 12 points",
    }
    assert choice_lines(record) == [
        "chose haiku low: chance 72 %, confidence medium, expected $0.0012 and 3.0s",
        "  mechanical: list",
        "  an executable check",
        "  sonnet came second: 20 times the price for 12 points",
    ]
    assert choice_lines({"model": "qwen\x1b[31m"}) == ["chose qwen: confidence none"]
    assert choice_lines(None) == []


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("right_model", "declared: $1.60 against $3.90, 59 % less"),
        ("hybrid", "declared: $2.00 against $7.50, 73 % less"),
        ("parallel_haiku", "declared: $0.50 against $3.00, 83 % less"),
    ],
)
def test_the_declared_savings_of_the_examples(tmp_path: Path, plan: str, says: str) -> None:
    """A rehearsal too, for they are its author's figures; how sure the work is stands beside them."""
    project = Project(tmp_path, (EXAMPLES / f"{plan}.yaml").read_text())
    ran = project.run("--quiet")
    (line,) = [text for text in ran.out.splitlines() if "saving" in text]
    assert line.startswith(f"  saving  {says}")
    assert line.endswith("; unverified: no task had a check")
    assert line in project("show", "last").out
