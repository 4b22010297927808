"""The command line as people meet it: every verb, its text and its JSON, its exit codes."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser
from pathlib import Path

import pytest

from stretto.cli.grammar import VERBS, overview, parser
from stretto.errors import EXIT_COULD_NOT, EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM
from tests.driving import PLAN, Project, golden, normal, pretty

DOCS = Path(__file__).parent.parent / "docs" / "cli.md"
PRICED = "simulated:latency=0,priced=true"
BAD_PLAN = """\
stretto: 1
name: bad
tasks:
  a: {prompt: "Say ${b.x}", modle: haiku}
  c: {run: [ls], needs: [aa]}
"""
GROWING = """\
stretto: 1
name: growing
limits: {usd: 1}
tasks:
  plan: {prompt: Write a plan, grow: plan, model: haiku}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# Help and grammar


def test_the_overview_names_every_verb(project: Project) -> None:
    answer = project("--help")
    assert (answer.code, answer.err) == (EXIT_OK, "")
    golden("help.txt", answer.out)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(project: Project, verb: str) -> None:
    answer = project(*verb.split(), "--help")
    assert (answer.code, answer.err) == (EXIT_OK, "")
    assert "example:\n  stretto " in answer.out
    golden(f"help-{verb.replace(' ', '-')}.txt", answer.out)


def flags_of(flags: ArgumentParser) -> set[str]:
    return {name for action in flags._actions for name in action.option_strings if name.startswith("--")}


def test_the_page_names_every_verb_and_flag_and_no_other() -> None:
    page = DOCS.read_text()
    sections = dict(re.findall(r"^## stretto ([\w ]+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    assert list(sections) == list(VERBS)
    for verb, text in sections.items():
        rows = re.findall(r"^\| `(--[\w-]+)[^`]*` \|", text, re.M)
        assert set(rows) == flags_of(parser(verb)) - {"--help"}, verb
        assert len(rows) == len(set(rows)), verb


def test_every_verb_has_a_summary_that_fits() -> None:
    assert all(len(row) <= 98 for row in overview().splitlines())
    assert all(not verb.summary.endswith(".") for verb in VERBS.values())


def test_an_unknown_verb_is_met_with_a_guess(project: Project) -> None:
    answer = project("resum", "last")
    assert answer.code == EXIT_COULD_NOT
    assert "did you mean `stretto resume`?" in answer.err


def test_an_unknown_flag_is_met_with_a_guess(project: Project) -> None:
    answer = project("run", "plan.yaml", "--paralel", "3")
    assert answer.code == EXIT_COULD_NOT
    assert "did you mean `--parallel`?" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--usd", "five"), "is no sum of dollars"),
        (("--usd", "-1"), "is no sum of dollars"),
        (("--usd", "nan"), "is no sum of dollars"),
        (("--parallel", "0"), "is no number from 1"),
        (("--in", "x"), "write --in name=value"),
        (("--json", "--jsonl"), "not allowed with argument --json"),
        (("--only", "a", "--until", "b"), "not allowed with argument --only"),
    ],
)
def test_values_of_flags_are_checked(project: Project, words: tuple[str, ...], says: str) -> None:
    answer = project("run", "plan.yaml", *words)
    assert answer.code == EXIT_COULD_NOT
    assert says in answer.err
    assert "[usage]" in answer.err


# init, check, schema


def test_what_init_writes_can_be_checked_and_run(tmp_path: Path) -> None:
    project = Project(tmp_path)
    answer = project("init", "new")
    assert answer.code == EXIT_OK
    golden("init.txt", answer.out)
    written = Project(tmp_path / "new", (tmp_path / "new" / "stretto.yaml").read_text())
    assert written("check", "stretto.yaml", "--strict").code == EXIT_OK
    run = written("run", "stretto.yaml", "--quiet")
    assert run.code == EXIT_OK, run.err
    summary = written("show", "last", "--task", "summary", "--output")
    assert "longest files" in summary.out
    assert "stretto.yaml" in written("show", "last", "--task", "longest", "--output").out
    assert json.loads((tmp_path / "new" / "stretto.schema.json").read_text())["$schema"]


def test_init_overwrites_nothing_unless_told(project: Project) -> None:
    assert project("init").code == EXIT_OK
    mine = project.root / "stretto.yaml"
    mine.write_text("mine")
    answer = project("init")
    assert (answer.code, mine.read_text()) == (EXIT_COULD_NOT, "mine")
    assert "[would-overwrite]" in answer.err
    assert project("init", "--force").code == EXIT_OK
    assert mine.read_text().startswith("# yaml-language-server")


def test_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    project = Project(tmp_path, BAD_PLAN)
    answer = project("check", "plan.yaml")
    assert answer.code == EXIT_PROBLEM
    golden("check.txt", normal(answer.out, tmp_path))
    golden("check.json", pretty(project("check", "plan.yaml", "--json").out))


def test_check_of_a_good_plan(project: Project) -> None:
    answer = project("check", "plan.yaml")
    assert answer.code == EXIT_OK
    golden("check-good.txt", answer.out)


def test_a_bad_plan_is_not_run_and_all_findings_are_said(tmp_path: Path) -> None:
    project = Project(tmp_path, BAD_PLAN)
    answer = project.run("--json")
    assert answer.code == EXIT_PROBLEM
    golden("run-bad.txt", normal(answer.err, tmp_path))
    golden("run-bad.json", pretty(answer.out))
    assert not (tmp_path / ".stretto").exists()


def test_schema_is_what_init_writes(project: Project) -> None:
    project("init")
    assert project("schema").out == (project.root / "stretto.schema.json").read_text()


# run and show


def test_run_logs_lines_and_ends_with_a_summary(project: Project) -> None:
    answer = project.run()
    assert answer.code == EXIT_OK
    golden("run.out.txt", normal(answer.out, project.root))
    golden("run.err.txt", normal(answer.err, project.root))


def test_run_json_names_outputs_that_are_there(project: Project) -> None:
    answer = project.run("--json")
    assert answer.code == EXIT_OK
    golden("run.json", pretty(normal(answer.out, project.root)))
    paths = [Path(task["output_path"]) for task in answer.json["tasks"] if task["output_path"]]
    assert len(paths) == 6
    for path in paths:
        assert path.is_file()
        assert path.stat().st_mode & 0o777 == 0o600
    assert paths[0].read_text() == '["a","b","c"]'


def test_run_jsonl_streams_every_event(project: Project) -> None:
    rows = project.run("--jsonl").jsonl
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert (rows[0]["kind"], rows[-1]["kind"]) == ("RunStarted", "RunEnded")
    assert {row["schema"] for row in rows} == {"stretto/event/1"}
    followed = project("watch", "last", "--jsonl")
    assert followed.jsonl == rows


def test_watching_a_run_that_has_ended_tells_it_from_the_beginning(project: Project) -> None:
    ran = project.run()
    watched = project("watch", "last")
    assert watched.code == EXIT_OK
    assert normal(watched.out, project.root) == normal(ran.out, project.root)
    golden("watch.err.txt", normal(watched.err, project.root))


def test_quiet_shows_no_progress(project: Project) -> None:
    answer = project.run("--quiet")
    assert answer.err == ""
    assert answer.out.startswith("run demo-")


def test_a_second_run_uses_what_is_kept(project: Project) -> None:
    project.run()
    answer = project.run()
    golden("run-kept.out.txt", normal(answer.out, project.root))
    golden("run-kept.err.txt", normal(answer.err, project.root))
    assert "used again" not in project.run("--fresh").out


def test_a_failed_run_says_how_to_try_again(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN.replace("tolerate: 1", "tolerate: 0"))
    answer = project.run()
    assert answer.code == EXIT_PROBLEM
    golden("run-failed.out.txt", normal(answer.out, tmp_path))
    assert answer.last_line == f"try again: stretto resume {project.last} --redo files.1.scan"


def test_the_hint_names_what_failed_the_run_and_not_what_was_tolerated(tmp_path: Path) -> None:
    plan = PLAN.replace(
        'merge: {prompt: "Merge ${files}", model: sonnet}', 'merge: {run: ["false"], attempts: 1}'
    )
    project = Project(tmp_path, plan)
    assert project.run().last_line == f"try again: stretto resume {project.last} --redo merge"


MANY = """\
stretto: 1
name: many
tasks:
  w: {each: [ENTRIES], run: [sh, -c, 'test "$0" = 0 || test -e good', "${item}"], attempts: 1}
"""


def test_many_failures_are_named_and_redone_with_one_word(tmp_path: Path) -> None:
    project = Project(tmp_path, MANY.replace("ENTRIES", ", ".join(f'"{k}"' for k in range(8))))
    failed = project.run("--quiet")
    assert failed.out.count(": exit code 1") == 5
    assert "and 2 more" in failed.out
    assert failed.last_line == f"try again: stretto resume {project.last} --redo failed"
    (tmp_path / "good").touch()
    assert project("resume", "last", "--redo", "failed", "--dry-run", "--json").json["kept"] == 1
    again = project("resume", "last", "--redo", "failed", "--json")
    assert [task["attempts"] for task in again.json["tasks"]] == [1] + [2] * 7
    assert "[nothing-to-resume]" in project("resume", "last", "--redo", "failed").err


def test_a_prompt_without_an_agent_is_named_as_it_was_written(tmp_path: Path) -> None:
    said = Project(tmp_path, GROWING.replace("  plan:", "  mk:"))("run", "plan.yaml").err
    assert "1 prompt of this plan (mk) names no agent" in said
    assert (
        "2 prompts of this plan (files.judge, ...) name no agent" in Project(tmp_path)("run", "plan.yaml").err
    )


def test_a_plan_that_is_a_pipe_is_refused_and_not_waited_for(project: Project) -> None:
    os.mkfifo(project.root / "pipe.py")
    assert "it is no regular file" in project("check", "pipe.py").err


def test_show_tells_what_a_run_did(project: Project) -> None:
    project.run()
    golden("show.txt", normal(project("show", "last").out, project.root))
    shown = project("show", "last", "--json")
    assert (
        pretty(normal(shown.out, project.root)) == (Path(__file__).parent / "golden/cli/run.json").read_text()
    )


def test_show_tells_about_one_task(project: Project) -> None:
    project.run()
    golden("show-task.txt", normal(project("show", "last", "--task", "files.0.judge").out, project.root))
    golden("show-failed.txt", normal(project("show", "last", "--task", "files.1.scan").out, project.root))
    golden("show-group.txt", normal(project("show", "last", "--task", "files").out, project.root))
    one = project("show", "last", "--task", "files.0", "--json").json
    assert [task["id"] for task in one["tasks"]] == ["files.0.scan", "files.0.judge"]


def test_show_gives_outputs_and_prompts_as_they_are(project: Project) -> None:
    project.run()
    assert project("show", "last", "--task", "list", "--output").out == '["a","b","c"]'
    assert project("show", "last", "--task", "files.0.scan", "--output").out == "found a"
    assert project("show", "last", "--task", "files.0.judge", "--prompt").out == "Is it real: found a"
    assert len(json.loads(project("show", "last", "--task", "files", "--output").out)) == 2


def test_show_of_a_large_run_folds_it(tmp_path: Path) -> None:
    plan = """\
stretto: 1
name: large
tasks:
  items: {each: [ENTRIES], tolerate: 3, run: [sh, -c, 'test "$1" != 7', sh, "${item}"], attempts: 1}
"""
    project = Project(tmp_path, plan.replace("ENTRIES", ", ".join(f'"{k}"' for k in range(70))))
    assert project.run("--quiet").code == EXIT_OK
    golden("show-large.txt", normal(project("show", "last").out, tmp_path))
    assert len(project("show", "last", "--all").out.splitlines()) > 70


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("show", "nix"), "no-such-run"),
        (("show", "last", "--task", "nix"), "no-such-task"),
        (("show", "last", "--task", "files.1.scan", "--output"), "no-output"),
        (("show", "last", "--task", "list", "--prompt"), "no-prompt"),
        (("show", "last", "--task", "list", "--transcript"), "no-transcript"),
        (("show", "last", "--output"), "usage"),
        (("show", "demo"), "ambiguous-run"),
        (("resume", "last"), "nothing-to-resume"),
        (("resume", "last", "--redo", "nix"), "no-such-task"),
        (("approve", "last"), "run-is-over"),
        (("cancel", "last"), "run-is-over"),
        (("run", "plan.yaml"), "no-agent"),
        (("run", "gone.yaml"), ""),
        (("run", "https://example.org/p.yaml"), "unreadable-plan"),
        (("run", "/dev/zero"), "unreadable-plan"),
        (("run", "plan.yaml", "--on", "command"), "usage"),
        (("run", "plan.yaml", "--on", "function"), "usage"),
        (("run", "plan.yaml", "--on", "openai:notaurl"), "bad-agent-option"),
        (("run", "plan.yaml", "--on", "messages:foo"), "bad-agent-option"),
        (("run", "plan.yaml", "--on", "nosuch", "--until", "list"), "no-such-agent"),
        (("resume", "last", "--dry-run"), "nothing-to-resume"),
        (("resume", "last", "--dry-run", "--redo", "nix"), "no-such-task"),
        (("resume", "last", "--redo", "failed", "--redo", "nix"), "no-such-task"),
        (("run", "plan.yaml", "--until", "merg"), "no-such-task"),
        (("run", "plan.yaml", "--on", "simulated", "--redo", "merg"), "no-such-task"),
        (("ls", "--root", "nowhere"), "no-such-folder"),
    ],
)
def test_mistakes_have_a_name_and_a_next_action(project: Project, words: tuple[str, ...], slug: str) -> None:
    project.run("--quiet")
    project.run("--quiet")
    answer = project(*words)
    assert answer.code == EXIT_COULD_NOT, answer
    assert answer.out == ""
    assert f"[{slug}" in answer.err
    assert re.search(r"^ next: .", answer.err, re.M) or slug == "no-output"
    assert "Traceback" not in answer.err


def test_errors_are_json_too_where_json_was_asked_for(project: Project) -> None:
    answer = project("show", "last", "--json")
    assert answer.code == EXIT_COULD_NOT
    golden("error.json", pretty(answer.out))
    golden("error.txt", answer.err)


def test_ls_lists_runs(project: Project) -> None:
    assert project("ls").out == ""
    project.run(on=PRICED)
    project.run()
    golden("ls.txt", normal(project("ls").out, project.root))
    golden("ls.json", pretty(normal(project("ls", "--json").out, project.root)))


# Parts of a plan


def test_until_runs_a_task_and_what_it_needs(project: Project) -> None:
    ids = [task["id"] for task in project.run("--until", "files.scan", "--json").json["tasks"]]
    assert ids == ["list", "files.0.scan", "files.1.scan", "files.2.scan"]


def test_only_takes_the_rest_from_an_earlier_run(project: Project) -> None:
    assert "[no-earlier-run]" in project.run("--only", "merge").err
    first = project.run("--json", "--fresh").json
    effects = project.root / "plan.yaml"
    effects.write_text(PLAN.replace("Merge", "Join").replace("found", "CHANGED"))
    second = project.run("--only", "merge", "--json").json
    assert second["status"] == "succeeded"
    tasks = {task["id"]: task for task in second["tasks"]}
    assert tasks["merge"]["attempts"] == 1
    assert all(tasks[id]["attempts"] == 0 for id in ("list", "files.0.scan", "files.2.judge"))
    assert tasks["list"]["source"].startswith(f"{first['run']}/list#")
    assert tasks["files.1.scan"]["state"] == "failed"
    prompt = project("show", "last", "--task", "merge", "--prompt").out
    assert prompt.startswith("Join [")
    assert "found a" in prompt


def test_redo_runs_a_task_although_it_is_kept(project: Project) -> None:
    project.run()
    tasks = {t["id"]: t for t in project.run("--redo", "merge", "--json").json["tasks"]}
    assert (tasks["merge"]["attempts"], tasks["files.0.judge"]["attempts"]) == (1, 0)


# Dry runs


def test_a_dry_run_says_all_and_does_nothing(project: Project) -> None:
    answer = project("run", "plan.yaml", "--on", "messages", "--dry-run")
    assert answer.code == EXIT_OK
    golden("dry-run.txt", answer.out)
    assert not (project.root / ".stretto").exists()
    golden("dry-run.json", pretty(project("run", "plan.yaml", "--on", "messages", "--dry-run", "--json").out))


def test_a_paid_run_needs_a_cap(tmp_path: Path) -> None:
    project = Project(tmp_path, PLAN.replace("usd: 5, ", ""))
    answer = project.run(on=PRICED)
    assert (answer.code, "[no-cap]" in answer.err) == (EXIT_COULD_NOT, True)
    assert project.run("--usd", "none", on=PRICED).code == EXIT_OK


def test_a_paid_run_says_first_what_it_can_cost(project: Project) -> None:
    answer = project.run(on=PRICED)
    first, second, *_ = answer.err.splitlines()
    assert first.startswith("estimate    $")
    assert second.startswith("worst case  $") and second.endswith("; cap $5.00")


# Limits and resume


def test_a_run_stopped_by_its_cap_is_resumed_with_a_higher_one(project: Project) -> None:
    stopped = project.run("--usd", "0.03", on=PRICED)
    assert stopped.code == EXIT_LIMIT
    golden("run-capped.out.txt", normal(stopped.out, project.root))
    golden("resume-dry-run.txt", normal(project("resume", "last", "--dry-run").out, project.root))
    golden(
        "resume-dry-run.json",
        pretty(normal(project("resume", "last", "--dry-run", "--json").out, project.root)),
    )
    still = project("resume", "last")
    assert still.code == EXIT_LIMIT
    resumed = project("resume", "last", "--usd", "1")
    assert resumed.code == EXIT_OK
    golden("resume.out.txt", normal(resumed.out, project.root))
    golden("resume.err.txt", normal(resumed.err, project.root))
    assert project("show", "last", "--json").json["usd_cap"] == 1.0


def test_redo_of_an_ended_run_repeats_what_is_below(project: Project) -> None:
    project.run()
    answer = project("resume", "last", "--redo", "files.0.judge", "--json")
    assert answer.code == EXIT_OK
    assert "does 2 tasks again (files.0.judge, merge)" in answer.err
    tasks = {t["id"]: t for t in answer.json["tasks"]}
    assert (tasks["files.0.judge"]["attempts"], tasks["files.2.judge"]["attempts"]) == (2, 1)


def test_a_resume_streams_only_what_is_new(project: Project) -> None:
    project.run()
    rows = project("resume", "last", "--redo", "merge", "--jsonl").jsonl
    assert rows[0]["kind"] == "RunResumed"
    assert rows[0]["seq"] > 1


def test_held_money_is_shown_and_released(tmp_path: Path) -> None:
    plan = "stretto: 1\nname: held\nlimits: {usd: 1}\ntasks:\n  a: {prompt: x, attempts: 1}\n"
    project = Project(tmp_path, plan)
    answer = project.run("--json", on=f"{PRICED},lost=1")
    assert answer.json["usd_held"] > 0
    assert "held for calls whose usage never arrived" in answer.err
    released = project("resume", "last", "--release-held", "--json")
    assert released.json["usd_held"] == 0


# Approval


def test_a_planner_s_tasks_wait_for_approval(tmp_path: Path) -> None:
    project = Project(tmp_path, GROWING)
    stopped = project.run("--ask-above", "0.001", on=PRICED)
    assert stopped.code == EXIT_LIMIT, stopped
    golden("run-approval.out.txt", normal(stopped.out, tmp_path))
    approved = project("approve", "last")
    golden("approve.txt", normal(approved.out, tmp_path))
    resumed = project("resume", "last", "--json")
    assert resumed.code == EXIT_OK, resumed
    assert any(task["id"].startswith("plan.grown.") for task in resumed.json["tasks"])


def test_only_what_waits_for_approval_is_approved(project: Project) -> None:
    project.run("--usd", "0.03", on=PRICED)
    answer = project("approve", "last")
    assert answer.code == EXIT_COULD_NOT
    assert "[nothing-to-approve]" in answer.err


def test_yes_approves_in_advance(tmp_path: Path) -> None:
    assert Project(tmp_path, GROWING).run("--yes", on=PRICED).code == EXIT_OK


def test_a_paused_run_is_cancelled_for_good(tmp_path: Path) -> None:
    project = Project(tmp_path, GROWING)
    project.run("--ask-above", "0.001", on=PRICED)
    golden("cancel.txt", normal(project("cancel", "last").out, tmp_path))
    assert project("ls", "--json").json["runs"][0]["status"] == "cancelled"
    assert "[nothing-to-resume]" in project("resume", "last").err


# Care


def test_gc_removes_old_runs(project: Project) -> None:
    project.run()
    assert project("gc").out == "removed 0 runs, 0 B\n"
    would = project("gc", "--older", "0s", "--dry-run")
    golden("gc-dry-run.txt", re.sub(r"\d+(\.\d)? kB", "0 kB", normal(would.out, project.root)))
    data = project("gc", "--older", "0s", "--json").json
    assert (data["schema"], len(data["runs"]), data["dry_run"]) == ("stretto/gc/1", 1, False)
    assert project("ls", "--json").json["runs"] == []


def test_doctor_finds_a_whole_project_in_order(project: Project) -> None:
    project.run()
    data = project("doctor", "--json").json
    looks = {look["name"]: look for look in data["looks"]}
    assert {"stretto", "python", "PyYAML", "extra messages", "free space", "journal", ".stretto"} <= set(
        looks
    )
    assert looks["journal"]["state"] == "ok", looks["journal"]
    assert looks[".stretto"]["says"] == "mode 0700"


def test_doctor_says_what_to_mend(project: Project) -> None:
    project.run()
    (project.root / ".stretto").chmod(0o755)
    answer = project("doctor")
    assert answer.code == EXIT_PROBLEM
    assert "others may look into it" in answer.out
    assert "to do: .stretto: chmod 700" in answer.out


def test_doctor_never_shows_a_key(project: Project) -> None:
    answer = project("doctor", env={"ANTHROPIC_API_KEY": "sk-ant-1234567890"})
    assert re.search(r"ANTHROPIC_API_KEY +ok +set", answer.out)
    assert "1234567890" not in answer.out


# What may not go wrong


def test_control_characters_of_others_never_reach_the_terminal(tmp_path: Path) -> None:
    plan = """\
stretto: 1
name: evil
tasks:
  a: {run: [sh, -c, 'printf "\\033]0;owned\\007\\033[2J[bold]x" >&2; exit 1'], attempts: 1}
"""
    project = Project(tmp_path, plan)
    answer = project.run()
    shown = project("show", "last")
    for text in (answer.out, answer.err, shown.out):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "[bold]x" in shown.out


def test_an_unexpected_failure_is_called_a_bug(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("stretto.cli.show.data_of", broken)
    project.run("--quiet")
    answer = project("show", "last", "--json")
    assert answer.code == EXIT_COULD_NOT
    assert "this should not be possible: RuntimeError: boom [bug]" in answer.err
    found = re.search(r"report it with (\S+)", answer.err)
    assert found is not None
    story = Path(found[1])
    assert "RuntimeError: boom" in story.read_text()
    story.unlink()


def test_what_a_function_prints_does_not_spoil_the_json(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("def speak():\n    print('hello')\n    return 1\n")
    project = Project(tmp_path, "stretto: 1\nname: loud\ntasks:\n  a: {call: 'loud:speak'}\n")
    answer = project.run("--json")
    assert answer.json["status"] == "succeeded"
