"""`stretto check` as the critic's voice: findings in text and JSON, what is accepted, exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto.cli.check import check_data
from stretto.cli.findings import SHOWN, Paint, cost_words, counted, finding_data, finding_lines, folded
from stretto.errors import EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.lint import Rule
from stretto.lint.review import Review, review
from stretto.lint.scene import Scene, task_of
from stretto.lint.words import duration
from stretto.models import BUILTIN
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.finding import Finding
from stretto.spec.compile import compile_plan
from stretto.spec.settings import Reason
from stretto.spec.yaml import read_yaml
from tests.driving import PLAN, Project

HEAD = "stretto: 1\nname: p\n"
OFFICE = """\
tasks:
  office:
    tasks:
      draft: {prompt: "Draft the letter", model: opus}
      send: {prompt: "Send ${draft}", model: opus}
  tidy: {run: [ls]}
"""
CENT = 10_000_000


def strong(scene: Scene) -> Iterable[Finding]:
    """A rule of our own: everything on opus is too strong."""
    for element in scene.tasks:
        if task_of(element).model == "opus":
            yield scene.finding(
                "oversized-model", "warning", [element], "opus", "take haiku", nusd=4 * CENT, seconds=60
            )


def hint(scene: Scene) -> Iterable[Finding]:
    yield scene.finding("no-budget", "info", [], "no cap", "add one")


def seen(tasks: str, *rules: Rule, head: str = HEAD, project: dict[str, Reason] | None = None) -> Review:
    """The review of a plan by these rules alone."""
    raw = read_yaml(head + tasks, "p.yaml")
    plan, found = compile_plan(raw, source="p.yaml", even_broken=True)
    return review(plan, found, Chooser(BUILTIN, History()), project=project, rules=rules)


def told(found: Review) -> list[tuple[str, tuple[str, ...], str]]:
    return [(finding.slug, finding.tasks, finding.accepted) for finding in found.findings]


# What is accepted


@pytest.mark.parametrize(
    ("written", "whose"),
    [
        ('      draft: {prompt: "Draft the letter", model: opus', ("office.draft",)),
        ("  office:", ("office.draft", "office.send")),
        ("name: p", ("office.draft", "office.send")),
    ],
)
def test_a_finding_is_accepted_on_its_task_a_group_around_it_or_the_plan(
    written: str, whose: tuple[str, ...]
) -> None:
    accept = 'accept: {oversized-model: "by contract"}'
    added = {"      draft": f"{written}, {accept}", "  office:": f"{written}\n    {accept}"}
    instead = next((text for key, text in added.items() if written.startswith(key)), f"{written}\n{accept}")
    text = (HEAD + OFFICE).replace(written, instead)
    found = seen(text, strong, head="")

    accepted = [tasks for slug, tasks, why in told(found) if slug == "oversized-model" and why]
    assert accepted == [(path,) for path in whose]
    assert {why for _, _, why in told(found)} - {""} == {"by contract"}
    assert len(found.standing()) == 2 - len(whose)
    assert "unused-accept" not in {slug for slug, _, _ in told(found)}


def test_the_nearest_reason_counts() -> None:
    text = OFFICE.replace("  office:", "  office:\n    accept: {oversized-model: group}")
    text = text.replace(
        "model: opus}\n      send", "model: opus, accept: {oversized-model: task}}\n      send"
    )
    project = {"oversized-model": Reason("project", "stretto.toml:2:1")}
    found = seen(text, strong, project=project)
    assert [why for _, _, why in told(found)] == ["task", "group"]


def test_a_finding_of_several_tasks_is_accepted_by_any_of_them() -> None:
    def pair(scene: Scene) -> Iterable[Finding]:
        yield scene.finding("write-conflict", "warning", scene.tasks[:2], "both write", "order them")

    text = OFFICE.replace('"Send ${draft}"', '"Send ${draft}", accept: {write-conflict: "they append"}')
    assert told(seen(text, pair)) == [("write-conflict", ("office.draft", "office.send"), "they append")]


def test_what_the_project_accepts_is_for_all_plans_and_never_unused() -> None:
    project = {"oversized-model": Reason("all", "stretto.toml:2:1"), "no-timeout": Reason("all", "")}
    found = seen(OFFICE, strong, project=project)
    assert told(found) == [
        ("oversized-model", ("office.draft",), "all"),
        ("oversized-model", ("office.send",), "all"),
    ]


def test_an_accept_that_matches_nothing_is_a_hint() -> None:
    text = OFFICE.replace("run: [ls]", "run: [ls], accept: {no-timeout: quick}")
    (finding,) = seen(text).findings
    assert (finding.slug, finding.severity, finding.tasks) == ("unused-accept", "info", ("tidy",))
    assert finding.at == "p.yaml:8:3"


def test_nothing_is_called_unused_in_a_plan_with_errors() -> None:
    text = OFFICE.replace("run: [ls]", "run: [ls], needs: [nobody], accept: {no-timeout: quick}")
    assert {slug for slug, _, _ in told(seen(text))} == {"unknown-need"}


@pytest.mark.parametrize(
    ("slug", "says", "fix"),
    [
        ("oversised-model", "no finding that can be accepted", "did you mean 'oversized-model'?"),
        ("unused-accept", "cannot be accepted", "mend the entry"),
        ("unknown-need", "is an error, and errors cannot be accepted", "mend it"),
    ],
)
def test_what_cannot_be_accepted_is_a_warning(slug: str, says: str, fix: str) -> None:
    text = OFFICE.replace("run: [ls]", f"run: [ls], needs: [nobody], accept: {{{slug}: why}}")
    (finding,) = [finding for finding in seen(text).findings if finding.slug == "bad-accept"]
    assert finding.severity == "warning"
    assert says in finding.message
    assert fix in finding.fix


def test_a_wrong_word_of_the_project_is_told_at_its_place() -> None:
    (finding,) = seen("tasks: {a: {run: [ls]}}", project={"nix": Reason("why", "stretto.toml:3:1")}).findings
    assert (finding.slug, finding.at) == ("bad-accept", "stretto.toml:3:1")


def test_errors_are_never_marked() -> None:
    def sure(scene: Scene) -> Iterable[Finding]:
        yield scene.finding("cannot-fit", "error", scene.tasks[:1], "too long", "shorten it")

    text = OFFICE.replace("opus}", 'opus, accept: {cannot-fit: "it will"}}', 1)
    found = {finding.slug: finding for finding in seen(text, sure).findings}
    assert found.keys() == {"cannot-fit", "bad-accept"}
    assert (found["cannot-fit"].severity, found["cannot-fit"].accepted) == ("error", "")


# What counts


def test_warnings_count_hints_count_when_strict_and_what_is_accepted_never() -> None:
    assert [f.slug for f in seen(OFFICE, strong, hint).standing()] == ["oversized-model"] * 2
    assert len(seen(OFFICE, strong, hint).standing(strict=True)) == 3
    accepted = {"oversized-model": Reason("x"), "no-budget": Reason("x")}
    assert seen(OFFICE, strong, hint, project=accepted).standing(strict=True) == []


TOO_MANY = (
    "stretto: 1\nname: p\nlimits: {usd: 1}\n"
    "tasks: {a: {prompt: List the files in src, model: haiku, attempts: 2, max_tokens: 999999,"
    " role: Fix%s}}\n"
)


@pytest.mark.parametrize(
    ("accept", "code", "strict"),
    [
        ("", EXIT_PROBLEM, EXIT_PROBLEM),
        (", accept: {max-tokens-too-high: on purpose}", EXIT_OK, EXIT_PROBLEM),
        (", accept: {max-tokens-too-high: on purpose, role-tools: later}", EXIT_OK, EXIT_OK),
    ],
)
def test_exit_codes(tmp_path: Path, accept: str, code: int, strict: int) -> None:
    project = Project(tmp_path, TOO_MANY % accept)
    answer = project("check", "plan.yaml", "--json")
    assert (answer.code, answer.json["ok"]) == (code, code == EXIT_OK)
    assert project("check", "plan.yaml", "--strict").code == strict
    shown = project("check", "plan.yaml").out
    assert ("accepted: " in shown) == bool(accept)


def test_what_the_project_accepts_comes_from_its_settings(tmp_path: Path) -> None:
    project = Project(tmp_path, TOO_MANY % "")
    (tmp_path / "stretto.toml").write_text('[accept]\nmax-tokens-too-high = "on purpose"\n')
    rows = project("check", "plan.yaml", "--json").json["findings"]
    assert [row["accepted"] for row in rows if row["slug"] == "max-tokens-too-high"] == ["on purpose"]
    (tmp_path / "stretto.toml").write_text("[accept]\nmax-tokens-too-high = 3\n")
    assert "`max-tokens-too-high` must be a text" in project("check", "plan.yaml").err


# How it is shown


def finding(slug: str = "no-timeout", **also: object) -> Finding:
    return Finding(slug, "warning", "it hangs", "p.yaml:3:4", "say when", ("a",), **also)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nusd", "seconds", "says"),
    [
        (48 * CENT, 200.0, "costs $0.48 and 3 min 20 s"),
        (0, 720.0, "costs nothing in money, 12 min"),
        (None, 720.0, "costs 12 min"),
        (48 * CENT, None, "costs $0.48"),
        (48 * CENT, 0.2, "costs $0.48"),
        (0, 0, ""),
        (None, None, ""),
    ],
)
def test_what_it_costs_is_said_where_it_is_known(nusd: int | None, seconds: float | None, says: str) -> None:
    told = finding(nusd=nusd, seconds=seconds)
    assert cost_words(told) == says
    assert finding_lines(told) == [
        "p.yaml:3:4: warning: it hangs [no-timeout]",
        "    say when",
        *([f"    {says}"] if says else []),
    ]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        *((0.0, "0 s"), (0.3, "less than 1 s"), (59.6, "1 min"), (599.0, "9 min 59 s"), (600.0, "10 min")),
        *((3599.0, "1 h"), (7500.0, "2 h 5 min"), (7200.0, "2 h")),
    ],
)
def test_durations(seconds: float, says: str) -> None:
    assert duration(seconds) == says


def test_money_and_minutes_are_numbers_or_null() -> None:
    data = finding_data(finding(nusd=123_456_789.4, seconds=90.0))
    assert (data["usd"], data["minutes"]) == (0.123456789, 1.5)
    data = finding_data(finding())
    assert (data["usd"], data["minutes"]) == (None, None)
    assert "accepted" not in data
    assert finding_data(finding(accepted="meant so"))["accepted"] == "meant so"


def test_many_of_one_kind_are_folded_but_errors_never() -> None:
    many = [finding() for _ in range(SHOWN + 980)]
    errors = [Finding("unknown-need", "error", "who?") for _ in range(1_000)]
    rows = list(folded([*many, *errors], Paint(), all=False))
    assert sum("[no-timeout]" in row for row in rows) == SHOWN
    assert sum("[unknown-need]" in row for row in rows) == 1_000
    assert rows[-1] == "... and 980 more of no-timeout (--all shows them)"
    assert sum("[no-timeout]" in row for row in folded(many, Paint(), all=True)) == 1_000


def test_accepted_findings_are_one_line_each_and_folded_apart() -> None:
    rows = list(folded([finding(accepted="meant so")] * (SHOWN + 2) + [finding()], Paint(), all=False))
    assert rows[0] == "p.yaml:3:4: accepted: it hangs [no-timeout]: meant so"
    assert rows[SHOWN:] == [
        *finding_lines(finding()),
        "... and 2 more of no-timeout, accepted (--all shows them)",
    ]


def test_the_last_line_counts() -> None:
    hints = [Finding("x", "info", ""), Finding("x", "info", "", accepted="y")]
    assert counted([]) == "no errors, no warnings"
    assert counted(hints) == "no errors, no warnings, 1 hint, 1 accepted"
    assert counted([Finding("x", "error", ""), *hints]) == "1 error, 1 hint, 1 accepted"


class Terminal(StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Paint(Terminal())("\x1b[2Jhi", "error") == "\x1b[31mhi\x1b[0m"
    assert Paint(StringIO())("hi", "error") == Paint()("hi", "error") == "hi"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint(Terminal())("hi", "error") == "hi"


def test_a_plan_with_a_thousand_errors_reports_all_of_them(tmp_path: Path) -> None:
    tasks = "\n".join(f"  t{number}: {{run: [ls], needs: [nobody{number}]}}" for number in range(1_000))
    project = Project(tmp_path, f"{HEAD}tasks:\n{tasks}\n")
    assert project("check", "plan.yaml").out.count("[unknown-need]") == 1_000
    assert len(project("check", "plan.yaml", "--json").json["findings"]) == 1_000
    assert len(project("check", "plan.yaml", "--sarif").json["runs"][0]["results"]) == 1_000


def test_several_plans_of_a_file_are_told_apart() -> None:
    both = [seen(OFFICE, strong), seen("tasks: {a: {run: [ls]}}", head="stretto: 1\nname: q\n")]
    data = check_data(both, ok=False)
    assert (data["plan"], data["plans"]) == (None, ["p", "q"])
    assert [row["plan"] for row in data["findings"]] == ["p", "p"]
    assert [row["plan"] for row in data["checklist"]] == ["p"] * 7 + ["q"] * 7
    alone = check_data(both[:1], ok=False)
    assert alone["plan"] == "p"
    assert "plan" not in alone["findings"][0]


def test_findings_stand_in_the_order_of_their_places() -> None:
    text = OFFICE.replace("run: [ls]", "run: [ls], max: 3").replace("Send ${draft}", "Send ${draf}")
    assert [f.slug for f in seen(text, strong, hint).findings] == [
        "no-budget",
        "oversized-model",
        "oversized-model",
        "unknown-reference",
        "no-effect",
    ]


def test_inputs_need_not_be_given_to_look_at_a_plan(tmp_path: Path) -> None:
    inputs = "inputs: {who: {type: string, required: true}}\n"
    project = Project(tmp_path, HEAD + inputs + 'tasks: {a: {run: [echo, "${who}"]}}\n')
    assert project("check", "plan.yaml").code == EXIT_OK
    assert project("check", "plan.yaml", "--in", "who=me").code == EXIT_OK
    assert "[unknown-input]" in project("check", "plan.yaml", "--in", "whom=me").err


def test_a_journal_that_cannot_be_read_hides_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.run("--quiet")
    (tmp_path / ".stretto" / "stretto.db").write_bytes(b"not a database" * 1000)
    answer = project("check", "plan.yaml")
    assert answer.code == EXIT_OK
    assert "[damaged-journal]" in answer.err
    assert "priced without what runs have shown" in answer.err


# Plans that are wrong


def test_what_nobody_knows_keeps_nobody_from_criticising_the_rest() -> None:
    def priced(scene: Scene) -> Iterable[Finding]:
        for element in scene.tasks:
            yield scene.finding("no-timeout", "info", [element], "", "", nusd=scene.prices.of(element).nusd)

    text = """\
tasks:
  a: {prompt: "Say ${x.y", model: hiku}
  b: {prompt: "Say ${ x y }", each: "${ z", check: {prompt: judge, model: nope}}
  c: {prompt: "Say hello", model: haiku}
"""
    found = seen(text, priced).findings
    assert (
        sorted(f.slug for f in found if f.severity == "error")
        == ["bad-reference"] * 3 + ["unknown-model"] * 2
    )
    assert [f.tasks for f in found if f.slug == "no-timeout" and f.nusd] == [("a",), ("b",), ("c",)]


PIECES = (
    "${",
    "${a",
    "}",
    "{",
    "[",
    "]",
    ":",
    "\n",
    "\n    ",
    "each",
    "tasks",
    "model",
    "reduce",
    "needs",
    "5%",
    "1",
    '"',
)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_mutilated_plan_is_criticised_or_refused_and_never_breaks_the_critic(data: st.DataObject) -> None:
    text = PLAN
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + " ".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=3))) + text[end:]
    try:
        plan, found = compile_plan(
            read_yaml(text, "p.yaml", []), source="p.yaml", text=text, even_broken=True
        )
    except StrettoError:
        return
    told = review(plan, found, Chooser(BUILTIN, History()))
    assert len(told.checklist) == 7
    assert len(told.findings) >= len(found)


def test_hints_on_the_plan_as_a_whole_are_one_line_at_the_end(tmp_path: Path) -> None:
    project = Project(
        tmp_path, "stretto: 1\nname: p\ntasks: {a: {prompt: List the files in src, model: haiku}}\n"
    )
    short = project("check", "plan.yaml").out.splitlines()
    assert not any("info: " in line for line in short)
    assert short[-1] == "not shown, on the plan as a whole: no-budget, no-error-handling (--all shows it)"
    for flag in ("--all", "--strict"):
        shown = project("check", "plan.yaml", flag).out
        assert shown.count("info: ") == 2 and "not shown" not in shown
    rows = project("check", "plan.yaml", "--json").json["findings"]
    assert [row["slug"] for row in rows] == ["no-budget", "no-error-handling"]
