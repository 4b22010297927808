"""The verb `estimate` as people meet it: one screen, kept results, the cap, samples, and what `run` says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stretto import events as ev
from stretto.errors import EXIT_COULD_NOT, EXIT_OK
from stretto.journal.sqlite import SqliteJournal
from tests.driving import Answer, Project, golden, normal, pretty

COSTS = Path(__file__).parent.parent / "examples" / "costs"
PRICED = "simulated:latency=0,priced=true"
WIDE = """\
stretto: 1
name: wide
inputs: {names: {type: list, default: [a, b, c, d, e, f, g, h]}}
limits: {usd: 5, parallel: 4}
tasks:
  intro: {prompt: Say what matters, model: haiku}
  files:
    each: "${names}"
    as: file
    needs: [intro]
    tasks:
      scan: {prompt: "List what is risky in ${file}", model: haiku}
      judge: {prompt: "Which of these is real: ${scan}", model: sonnet}
  merge: {prompt: "Merge ${files}", model: sonnet, attempts: 3}
"""
LISTED = """\
stretto: 1
name: listed
limits: {usd: 5}
tasks:
  list: {run: [printf, 'a\\nb\\nc\\n'], output: lines}
  scan: {each: "${list}", prompt: "Scan ${item}", model: haiku}
  send: {each: [1, 2, 3], prompt: "Send ${item}", model: haiku, writes: [out]}
  small: {each: [1], prompt: "Look at ${item}", model: haiku}
  count: {each: [1, 2, 3], run: [echo, "${item}"]}
  plan: {prompt: Write a plan, grow: plan, model: haiku}
  later: {each: [1, 2, 3], prompt: "Do ${item}", needs: [plan]}
  below: {each: [1, 2, 3], prompt: "Sum up ${item}", needs: [later]}
  now: {run: [date]}
  dated: {each: [1, 2, 3], prompt: "On ${now}: ${item}"}
"""


def runs(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project("ls", "--json").json["runs"]
    return found


def first_event(project: Project) -> ev.RunStarted:
    journal = SqliteJournal(project.root)
    try:
        event = next(iter(journal.read(project.last))).event
    finally:
        journal.close()
    assert isinstance(event, ev.RunStarted)
    return event


def without_tokens(text: str) -> str:
    """Tokens are computed from priors, which may change while what is declared does not."""
    return re.sub(r" *~[\d.,]+[kM]?", "  ~TOKENS", text)


def width(figures: dict[str, float]) -> float:
    return (figures["high"] - figures["low"]) / figures["expected"]


# What is shown


@pytest.mark.parametrize("name", ["fan_out", "hybrid", "pipeline", "refactoring"])
def test_a_declared_plan_is_shown_to_the_cent(name: str, tmp_path: Path) -> None:
    answer = Project(tmp_path)("estimate", str(COSTS / f"{name}.yaml"))
    assert (answer.code, answer.err) == (EXIT_OK, "")
    golden(f"estimate-{name}.txt", without_tokens(answer.out))


def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    page = (COSTS.parent.parent / "docs" / "estimates.md").read_text()
    shown = page.partition("```text\n")[2].partition("```")[0]
    answer = Project(tmp_path)("estimate", str(COSTS / "hybrid.yaml"))
    assert without_tokens(shown) == without_tokens(answer.out)


def test_a_declared_plan_is_the_same_object_each_time(tmp_path: Path) -> None:
    answer = Project(tmp_path)("estimate", str(COSTS / "hybrid.yaml"), "--json")
    data = {**answer.json, "tokens": 0, "groups": [{**group, "tokens": 0} for group in answer.json["groups"]]}
    golden("estimate-hybrid.json", pretty(json.dumps(data)))


def fits(answer: Answer) -> None:
    assert answer.code == EXIT_OK, answer.err
    rows = answer.out.splitlines()
    assert len(rows) <= 48
    assert max(len(row) for row in rows) <= 100, answer.out


def test_the_view_fits_a_screen_whatever_the_plan(tmp_path: Path) -> None:
    many = "".join(
        f"  task-number-{k}-with-a-long-name: {{prompt: P{k}, model: haiku}}\n" for k in range(300)
    )
    head = "stretto: 1\nname: '[bold]many[/bold] \\e[31m things'\nlimits: {usd: 1}\ntasks:\n"
    answer = Project(tmp_path, head + many)("estimate", "plan.yaml")
    fits(answer)
    assert "[bold]many[/bold]" in answer.out
    assert "\x1b" not in answer.out
    assert "and 277 more parts" in answer.out
    fits(Project(tmp_path, WIDE)("estimate", "plan.yaml"))
    fits(Project(tmp_path, LISTED)("estimate", "plan.yaml"))


def test_the_cap_is_held_against_the_range_and_changes_no_code(tmp_path: Path) -> None:
    project = Project(tmp_path)
    plan = str(COSTS / "right_model.yaml")
    assert "$3.00 is above the high end" in project("estimate", plan).out
    above = project("estimate", plan, "--usd", "1.5")
    assert above.code == EXIT_OK
    assert "$1.50 is below what is expected" in above.out
    data = project("estimate", plan, "--usd", "1.5", "--json").json
    assert (data["usd_cap"], data["above_cap"]) == (1.5, True)
    assert project("estimate", plan, "--usd", "none", "--json").json["usd_cap"] is None


def test_an_unknown_price_is_unknown_and_never_nothing(tmp_path: Path) -> None:
    plan = "stretto: 1\ntasks: {a: {prompt: A, model: claude-mystery-9}, b: {prompt: B, model: haiku}}\n"
    project = Project(tmp_path, plan)
    data = project("estimate", "plan.yaml", "--json").json
    assert data["usd"] == {"low": None, "expected": None, "high": None}
    assert any("claude-mystery-9" in reason for reason in data["unknown"])
    answer = project("estimate", "plan.yaml", "--lock")
    assert "cost unknown" in answer.out
    assert "approved up to nothing, because its cost is unknown" in answer.out
    assert json.loads((tmp_path / "plan.lock.json").read_text())["approved_nusd"] is None


def test_a_plan_that_costs_nothing_says_so(tmp_path: Path) -> None:
    answer = Project(tmp_path)("estimate", "plan.yaml", "--on", "simulated")
    assert "nothing to pay" in answer.out


def test_declared_and_computed_stand_in_no_percentage(tmp_path: Path) -> None:
    plan = "stretto: 1\nlimits: {usd: 1}\nbaselines: {by-hand: {usd: 3, time: 9m}}\n"
    project = Project(tmp_path, plan + "tasks: {a: {prompt: A, model: haiku}}\n")
    found = project("estimate", "plan.yaml", "--json").json["baselines"]["by-hand"]
    assert (found["usd"], found["seconds"], found["known"]) == (3, 540, "declared")
    assert found["factor"] == found["saved"] == {"usd": None, "seconds": None}
    row = next(r for r in project("estimate", "plan.yaml").out.splitlines() if "by-hand" in r)
    assert "$3.00" in row and "cheaper" not in row and "saved" not in row


def test_the_same_seed_gives_the_same_money(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    first, second = (project("estimate", "plan.yaml", "--json").json["usd"] for _ in range(2))
    assert first == second
    assert first != project("estimate", "plan.yaml", "--seed", "7", "--json").json["usd"]


def test_inputs_and_agents_are_checked_as_in_a_run(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    assert "[unknown-input]" in project("estimate", "plan.yaml", "--in", "nix=1").err
    assert "[no-such-agent]" in project("estimate", "plan.yaml", "--on", "nosuch").err
    assert project("estimate", "plan.yaml", "--in", "names=x,y", "--json").json["groups"][1]["tasks"] == 4


# Kept results


def test_what_is_kept_is_marked_and_not_paid_again(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    before = project("estimate", "plan.yaml", "--on", PRICED, "--json").json
    assert before["covered"]["tasks"] == 0
    assert project.run("--quiet", on=PRICED).code == EXIT_OK
    data = project("estimate", "plan.yaml", "--on", PRICED, "--json").json
    # What depends on kept results is looked up through them: all 18 tasks.
    assert data["covered"]["tasks"] == 18
    assert data["usd"] == {"low": 0, "expected": 0, "high": 0}
    shown = project("estimate", "plan.yaml", "--on", PRICED).out
    assert len([row for row in shown.splitlines() if row.startswith("  =")]) == 3
    assert "18 results of earlier runs used again" in shown


def test_an_edit_uncovers_only_what_it_touches(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    project.run("--quiet", on=PRICED)
    project.plan.write_text(WIDE.replace("Which of these", "Which ones"))
    data = project("estimate", "plan.yaml", "--on", PRICED, "--json").json
    assert [group["covered"] for group in data["groups"]] == [1, 8, 0]
    assert data["usd"]["expected"] > 0
    longer = project("estimate", "plan.yaml", "--on", PRICED, "--in", "names=a,b,z", "--json").json
    assert longer["groups"][1]["covered"] == 2


def test_looking_writes_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    project("estimate", "plan.yaml", "--on", PRICED)
    assert not (tmp_path / ".stretto").exists()
    project.run("--quiet", on=PRICED)
    before = runs(project)
    project("estimate", "plan.yaml", "--on", PRICED)
    assert runs(project) == before


# What a run says first


def test_a_paid_run_says_its_price_and_keeps_it(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    answer = project.run(on=PRICED)
    first, second, *_ = answer.err.splitlines()
    assert first.startswith("estimate    $")
    assert second.startswith("worst case  $") and second.endswith("; cap $5.00")
    event = first_event(project)
    journal = SqliteJournal(tmp_path)
    try:
        data = json.loads(journal.blob(event.estimate))
    finally:
        journal.close()
    assert data["schema"] == "stretto/estimate/1"
    assert event.approved_nusd == pytest.approx(data["usd"]["high"] * 1e9, abs=1)
    again = project.run(on=PRICED)
    assert "18 results of earlier runs used again" in again.err.splitlines()[0]


def test_a_run_that_costs_nothing_is_not_priced(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    answer = project.run()
    assert not answer.err.startswith(("estimate", "worst"))
    assert first_event(project).estimate == ""


# Samples


def test_a_sample_narrows_the_range_and_is_paid_once(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    data = project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2", "--json").json
    (sampled,) = runs(project)
    assert data["sample"]["run"] == sampled["run"]
    assert (data["sample"]["status"], data["sample"]["parts"]) == ("succeeded", ["files"])
    assert width(data["usd"]) < width(data["before"]["usd"])
    assert data["covered"]["tasks"] == 5
    whole = project.run("--json", on=PRICED).json
    attempts = {task["id"]: task["attempts"] for task in whole["tasks"]}
    kept = {id for id, count in attempts.items() if not count}
    assert {id for id in kept if not id.endswith("judge")} == {"files.0.scan", "files.1.scan", "intro"}
    assert {"files.0.judge", "files.1.judge"} <= kept, (
        "a pretender's scans are alike, and so are their judges"
    )
    fresh = project.run("--json", "--fresh", on=PRICED).json
    assert whole["usd"] + data["sample"]["usd"] <= fresh["usd"] + 1e-9


def test_a_sample_is_no_earlier_run_of_the_whole(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE)
    project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2")
    assert project.last.endswith("-sample")
    assert "[no-earlier-run]" in project.run("--only", "merge", on=PRICED).err


def test_a_sample_says_first_what_it_costs_and_then_before_and_now(tmp_path: Path) -> None:
    answer = Project(tmp_path, WIDE)("estimate", "plan.yaml", "--on", PRICED, "--sample", "2")
    said = answer.err.splitlines()
    assert said[0] == "sample      the first 2 items of files; the run need not pay for them again"
    assert said[1].startswith("estimate    $") and said[2].startswith("worst case  $")
    before, now, *_ = answer.out.splitlines()
    assert before.startswith("before    $") and now.startswith("now       $")


def test_a_sample_needs_a_cap_like_a_run(tmp_path: Path) -> None:
    project = Project(tmp_path, WIDE.replace("usd: 5, ", ""))
    answer = project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2")
    assert (answer.code, "[no-cap]" in answer.err) == (EXIT_COULD_NOT, True)
    assert runs(project) == []
    assert project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2", "--usd", "1").code == EXIT_OK


def test_what_cannot_be_sampled_is_named_with_its_reason(tmp_path: Path) -> None:
    project = Project(tmp_path, LISTED)
    answer = project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2")
    assert answer.code == EXIT_COULD_NOT
    golden("estimate-unsampled.txt", normal(answer.err, tmp_path))


def test_a_wide_fan_out_keeps_its_own_items_in_a_sample(tmp_path: Path) -> None:
    plan = """\
stretto: 1
name: nested
limits: {usd: 5}
tasks:
  group:
    tasks:
      outer:
        each: [a, b, c, d]
        min_ok: 4
        tasks:
          inner: {each: [1, 2, 3], as: part, prompt: "Look at ${part} of ${item}", model: haiku}
      short: {each: [x, y], prompt: "Look at ${item}", model: haiku}
  after: {needs: [group], prompt: Sum up, model: sonnet}
"""
    project = Project(tmp_path, plan)
    data = project("estimate", "plan.yaml", "--on", PRICED, "--sample", "2", "--json").json
    assert data["sample"]["parts"] == ["group.outer"]
    tasks = project("show", "last", "--json").json["tasks"]
    assert len(tasks) == 6
    assert data["covered"]["tasks"] == 6


def test_a_second_run_takes_what_is_kept_and_does_not_ask(tmp_path: Path) -> None:
    """A list that turns out as long as it was is priced anew by the run, but nothing of it is paid again."""
    text = "tasks: {lit: {each: [1, 2, 3, 4, 5, 6, 7], prompt: 'Say ${item}', model: sonnet, attempts: 3}}\n"
    project = Project(tmp_path, f"stretto: 1\nname: again\nlimits: {{usd: 5}}\n{text}")
    assert project.run(on=PRICED).code == EXIT_OK
    again = project.run("--json", on=PRICED)
    assert again.code == EXIT_OK, again.err
    assert again.json["usd"] == 0


def test_text_that_is_there_before_the_run_is_counted(tmp_path: Path) -> None:
    head = "stretto: 1\nlimits: {usd: 5}\ninputs: {doc: {type: string, default: short}}\n"
    plan = head + "tasks: {a: {prompt: 'Read ${doc}', model: haiku}, "
    plan += "b: {each: [x, y], prompt: 'Read ${item}', model: haiku}}\n"
    project = Project(tmp_path, plan)
    short = project("estimate", "plan.yaml", "--json").json
    long = project("estimate", "plan.yaml", "--json", "--in", f"doc={'word ' * 20_000}").json
    assert long["usd"]["expected"] > 2 * short["usd"]["expected"]
    (tmp_path / "plan.yaml").write_text(plan.replace("[x, y]", f"['{'word ' * 20_000}', y]"))
    assert project("estimate", "plan.yaml", "--json").json["tokens"]["expected"] > 20_000
