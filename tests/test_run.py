"""The real loop in virtual time: hand-over, growth, retries, kept results, resume, money, timeouts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.agents import Result, Work
from stretto.errors import EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM, StrettoError
from stretto.journal.memory import MemoryJournal
from stretto.run import NO_CAP, load_state
from stretto.run.values import failed_items
from stretto.scheduler.state import State
from stretto.scheduler.vertex import GroupVertex
from tests.stage import Actor, Stage, plan_of
from tests.worlds import snapshot

FAN = """
tasks:
  a: {prompt: Analyze a}
  b: {prompt: Analyze b}
  c: {prompt: Analyze c}
"""


def events(stage: Stage, kind: type, run: str = "r") -> list[ev.Event]:
    return [row.event for row in stage.journal.read(run) if isinstance(row.event, kind)]


def test_a_fan_out_takes_the_time_of_one() -> None:
    stage = Stage(Actor(lambda work: "x", takes_s=120.0))
    outcome = stage.run(FAN)
    assert outcome.code == EXIT_OK
    assert stage.elapsed_s == pytest.approx(120.0)


def test_a_pipeline_hands_each_output_on() -> None:
    stage = Stage()
    stage.run(
        """
tasks:
  ship:
    order: serial
    tasks:
      build: {prompt: Build it}
      test: {prompt: "Test ${build} now"}
      deploy: {prompt: Deploy it}
"""
    )
    prompts = stage.actor.prompts
    assert prompts["ship.build"] == "Build it"
    assert prompts["ship.test"] == "Test did ship.build now"
    assert "did ship.test" in prompts["ship.deploy"]
    assert stage.value("ship") == "did ship.deploy"


def test_scatter_gather_sees_all_views_and_survives_a_lost_one() -> None:
    stage = Stage(Actor(lambda work: Result("refused", error="no") if work.task == "views.b" else work.task))
    outcome = stage.run(
        """
tasks:
  views:
    min_ok: 2
    tasks:
      a: {prompt: View a, attempts: 1}
      b: {prompt: View b, attempts: 1}
      c: {prompt: View c, attempts: 1}
  gather: {prompt: One plan, needs: [views]}
"""
    )
    assert outcome.status == "succeeded"
    prompt = stage.actor.prompts["gather"]
    assert "views.a" in prompt and "views.c" in prompt and "views.b" not in prompt


def test_each_over_an_output_then_a_reduction_in_rounds() -> None:
    def answer(work: Work) -> object:
        if work.task == "list":
            return json.dumps([{"path": f"f{k}"} for k in range(7)])
        return work.task

    stage = Stage(Actor(answer))
    outcome = stage.run(
        """
tasks:
  list: {prompt: List them, output: "json"}
  files:
    each: "${list}"
    as: file
    tasks:
      scan: {prompt: "Scan ${file.path}"}
      judge: {prompt: "Judge ${scan}"}
  merge: {reduce: "${files}", fan_in: 3, prompt: Merge them}
"""
    )
    assert outcome.status == "succeeded"
    prompts = stage.actor.prompts
    assert prompts["files.3.scan"] == "Scan f3"
    assert prompts["files.3.judge"] == "Judge files.3.scan"
    assert "files.0.judge" in prompts["merge.r1.0"] and "files.3.judge" not in prompts["merge.r1.0"]
    assert "merge.r1.2" in prompts["merge.r2.0"]
    assert stage.value("merge") == "merge.r2.0"
    assert stage.value("files") == [f"files.{k}.judge" for k in range(7)]


def test_tolerated_failures_are_left_out_and_listed() -> None:
    stage = Stage(Actor(lambda work: Result("refused", error="nope") if work.task == "x.1" else "fine"))
    outcome = stage.run(
        """
tasks:
  x: {each: [p, q, r], tolerate: 1, attempts: 1, prompt: "Do ${item}"}
  end: {prompt: "Had ${x} but not ${x.failed}"}
"""
    )
    assert outcome.status == "succeeded"
    failed = '[{"error":"nope","item":"q"}]'
    assert stage.actor.prompts["end"] == f'Had ["fine","fine"] but not {failed}'
    group = outcome.state.vertices["x"]
    assert isinstance(group, GroupVertex) and failed_items(group)[0]["item"] == "q"


def test_an_optional_task_that_fails_is_null() -> None:
    stage = Stage(Actor(lambda work: Result("refused") if work.task == "a" else "fine"))
    outcome = stage.run(
        """
tasks:
  a: {prompt: Try, optional: true, attempts: 1}
  b: {prompt: "Got ${a}"}
"""
    )
    assert outcome.code == EXIT_OK
    assert stage.actor.prompts["b"] == "Got null"


def test_a_hierarchy_grows_from_what_the_strong_model_returns() -> None:
    answers = {"deep.plan": '{"modules": ["auth", "pay"]}'}
    stage = Stage(Actor(lambda work: answers.get(work.task, work.task)))
    stage.run(
        """
tasks:
  deep:
    tasks:
      plan: {prompt: Pick modules, output: {modules: [string]}}
      audits: {each: "${plan.modules}", as: module, prompt: "Audit ${module}"}
      finish: {prompt: Integrate, needs: [audits]}
"""
    )
    assert stage.actor.prompts["deep.audits.1"] == "Audit pay"
    assert stage.value("deep") == "deep.finish"


def test_a_planner_grows_a_plan_and_a_bad_one_is_sent_back() -> None:
    good = json.dumps({"tasks": {"x": {"prompt": "Do x"}, "y": {"prompt": "Do y with ${x}"}}})
    bad = json.dumps({"tasks": {"x": {"run": ["rm", "-rf", "/"]}}})
    plans = iter([bad, good])
    stage = Stage(Actor(lambda work: next(plans) if work.task.endswith(".plan") else work.task))
    outcome = stage.run(
        """
tasks:
  p: {prompt: Plan it, grow: plan}
  end: {prompt: "Had ${p}"}
"""
    )
    assert outcome.status == "succeeded", events(stage, ev.TaskFailed)
    ended = events(stage, ev.AttemptEnded)
    assert [e.outcome for e in ended if e.task.endswith(".plan")] == ["rejected", "ok"]  # type: ignore[union-attr]
    assert stage.actor.prompts["p.grown.y"] == "Do y with p.grown.x"
    assert stage.actor.prompts["end"] == "Had p.grown.y"


def test_transient_failures_are_retried_with_backoff_in_virtual_time() -> None:
    tries = iter([Result("error", error="busy", cls="transient", retry_after_s=3600.0), "fine"])
    stage = Stage(Actor(lambda work: next(tries)))
    outcome = stage.run("tasks:\n  a: {prompt: Try}\n")
    assert outcome.code == EXIT_OK
    assert stage.elapsed_s >= 3600.0


def test_a_wrong_output_is_sent_back_with_what_was_wrong() -> None:
    answers = iter(["no json", '{"n": "x"}', '{"n": 3}'])
    stage = Stage(Actor(lambda work: next(answers)))
    outcome = stage.run("tasks:\n  a: {prompt: Count, output: {n: int}}\n")
    assert outcome.code == EXIT_OK
    assert [e.outcome for e in events(stage, ev.AttemptEnded)] == ["bad_output", "bad_output", "ok"]  # type: ignore[union-attr]
    assert "not JSON" in stage.actor.seen[1].prompt
    assert stage.value("a") == {"n": 3}


def test_idle_and_whole_timeouts_are_told_apart() -> None:
    stage = Stage(Actor(lambda work: "late", takes_s=100.0))
    outcome = stage.run(
        """
tasks:
  a: {prompt: A, idle: 10s, attempts: 1}
  b: {prompt: B, timeout: 20s, attempts: 1}
"""
    )
    assert outcome.code == EXIT_PROBLEM
    assert {e.task: e.outcome for e in events(stage, ev.AttemptEnded)} == {"a": "idle", "b": "timeout"}  # type: ignore[union-attr]


def test_a_check_decides_and_its_findings_reach_the_next_try() -> None:
    def answer(work: Work) -> object:
        if work.role == "check":
            return {"pass": "better" in str(work.kwargs["output"]), "findings": ["too short"]}
        return "better" if "too short" in work.prompt else "first"

    stage = Stage(Actor(answer))
    outcome = stage.run('tasks:\n  a: {prompt: Write, check: "m:long_enough"}\n')
    assert outcome.code == EXIT_OK
    assert stage.value("a") == "better"


# Kept results


def test_edit_one_task_and_only_it_and_what_is_below_runs_again() -> None:
    text = """
tasks:
  a: {prompt: First}
  b: {prompt: "Second ${a}"}
  c: {prompt: Third}
  d: {prompt: "Fourth ${b} ${c}"}
"""
    stage = Stage()
    stage.run(text, "one")
    stage.actor.seen.clear()
    assert stage.run(text, "two").code == EXIT_OK
    assert stage.actor.started == []
    stage.run(text.replace("Third", "Third but better"), "three")
    assert stage.actor.started == ["c"], "d's inputs came out the same, so d is kept"
    stage.actor.seen.clear()
    stage.actor.answer = lambda work: f"now {work.task}"
    stage.run(text.replace("Third", "Third quite new"), "four")
    assert stage.actor.started == ["c", "d"]
    stage.actor.seen.clear()
    stage.run(text, "five", fresh=True)
    assert sorted(stage.actor.started) == ["a", "b", "c", "d"]


def test_results_of_another_agent_model_or_schema_are_not_taken() -> None:
    stage = Stage()
    stage.cast.agents["other"] = stage.actor
    texts = [
        "tasks:\n  a: {prompt: P}\n",
        "tasks:\n  a: {prompt: P, model: haiku}\n",
        "tasks:\n  a: {prompt: P, effort: low}\n",
        "tasks:\n  a: {prompt: P, output: lines}\n",
        "tasks:\n  a: {prompt: P, max_tokens: 100}\n",
        "tasks:\n  a: {prompt: P, writes: [x.md]}\n",
        "tasks:\n  a: {prompt: P, reuse: never}\n",
    ]
    for number, text in enumerate(texts):
        stage.run(text, f"run{number}")
    assert len(stage.actor.seen) == len(texts)
    stage.run("tasks:\n  other-name: {prompt: P, timeout: 3s, attempts: 1}\n", "again")
    assert len(stage.actor.seen) == len(texts), "neither id nor limits are part of the key"


# Resume


@given(st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_resume_from_every_prefix_ends_the_same_and_pays_nothing_twice(cut: int) -> None:
    text = """
tasks:
  list: {prompt: List, output: "json"}
  files:
    each: "${list}"
    order: serial
    tasks:
      scan: {prompt: "Scan ${item}"}
      judge: {prompt: Judge}
  end: {prompt: "End ${files}"}
"""

    def answer(work: Work) -> object:
        return "[1, 2, 3]" if work.task == "list" else f"did {work.task}"

    whole = Stage(Actor(answer))
    whole.run(text)
    rows = list(whole.journal.read("r"))
    part = Stage(Actor(answer))
    writer = part.journal.create("r", "test")
    blobs = [(e.output, whole.journal.blob(e.output)) for e in events(whole, ev.TaskSucceeded)]  # type: ignore[union-attr]
    first = rows[0].event
    assert isinstance(first, ev.RunStarted)
    blobs.append((first.plan, whole.journal.blob(first.plan)))
    kept = rows[: max(1, min(cut, len(rows) - 1))]
    # A commit is never torn: an attempt's end and what follows from it are on disk together.
    while kept and isinstance(rows[len(kept)].event, ev.TaskSucceeded | ev.GroupClosed | ev.RunEnded):
        kept = rows[: len(kept) + 1]
        if len(kept) == len(rows):
            break
    for row in kept:
        _ = writer.append(row.at_us, [row.event], blobs)
    writer.close()
    if len(kept) == len(rows):
        return
    finished = {row.event.task for row in kept if isinstance(row.event, ev.TaskSucceeded)}
    outcome = part.resume()
    assert outcome.status == "succeeded"
    assert not finished & set(part.actor.started)
    assert part.value("end") == whole.value("end")


def test_resume_of_an_ended_run_says_so_and_redo_does_one_task_again() -> None:
    stage = Stage()
    stage.run(FAN)
    with pytest.raises(StrettoError) as caught:
        stage.resume()
    assert caught.value.slug == "nothing-to-resume"
    stage.actor.seen.clear()
    assert stage.resume(redo=("b",)).status == "succeeded"
    assert stage.actor.started == ["b"]
    with pytest.raises(StrettoError, match="no task 'zz'"):
        stage.resume(redo=("zz",))


def test_an_unknown_run_is_a_clear_error() -> None:
    with pytest.raises(StrettoError, match="there is no run 'nope'"):
        Stage().resume("nope")


# Money


def paid(cost: int = 10, bound: int = 40) -> Actor:
    return Actor(lambda work: "x", cost_nusd=cost, bound_nusd=bound)


def test_a_paid_run_without_a_cap_is_refused_unless_insisted() -> None:
    stage = Stage(messages=paid())
    with pytest.raises(StrettoError) as caught:
        stage.run(FAN, on="messages")
    assert caught.value.slug == "no-cap" and "--usd" in caught.value.next
    assert stage.run(FAN, on="messages", cap_nusd=NO_CAP).code == EXIT_OK


def test_the_cap_stops_the_run_and_a_higher_one_lets_it_end() -> None:
    tasks = "".join(f"  t{k}: {{prompt: Do {k}}}\n" for k in range(10))
    actor = paid()
    stage = Stage(messages=actor)
    outcome = stage.run("tasks:\n" + tasks, on="messages", cap_nusd=75)
    assert outcome.code == EXIT_LIMIT and outcome.state.paused is not None
    assert outcome.state.paused.why == "budget"
    assert 40 <= outcome.state.ledger.spent_nusd <= 75
    done = {e.task for e in events(stage, ev.TaskSucceeded)}  # type: ignore[union-attr]
    again = len(actor.seen)
    assert stage.resume(cap_nusd=1000).code == EXIT_OK
    restarted = {work.task for work in actor.seen[again:]}
    assert not restarted & done
    total = 0
    for row in stage.journal.read("r"):
        if isinstance(row.event, ev.CallSettled):
            total += row.event.cost_nusd
    assert total == 100


def test_a_call_without_usage_is_held_and_released_on_request() -> None:
    async def never(work: Work, desk: object) -> Result:
        await desk.reserve(50, 1, 1)  # type: ignore[attr-defined]
        return Result("error", error="cut", cls="task")

    actor = paid()
    actor.run = never  # type: ignore[method-assign]
    stage = Stage(messages=actor)
    outcome = stage.run("tasks:\n  a: {prompt: P, attempts: 1}\n", on="messages", cap_nusd=100)
    ledger = outcome.state.ledger
    assert (ledger.spent_nusd, ledger.held_nusd, ledger.reserved_nusd) == (0, 50, 0)


def test_quota_gone_stops_starting_and_resume_goes_on() -> None:
    gone = [True]

    def answer(work: Work) -> object:
        if gone[0] and work.task == "t1":
            return Result("error", error="quota", cls="run", why="quota", reset_s=60.0)
        return "fine"

    actor = Actor(answer)
    stage = Stage(actor)
    tasks = "".join(f"  t{k}: {{prompt: Do {k}}}\n" for k in range(20))
    outcome = stage.run("limits: {parallel: 2}\ntasks:\n" + tasks)
    assert outcome.code == EXIT_LIMIT
    assert outcome.state.paused is not None and outcome.state.paused.until_us is not None
    assert len(actor.seen) == 2, "nothing started after the first such error"
    gone[0] = False
    assert stage.resume().code == EXIT_OK
    assert len(actor.seen) == 21


# Trouble


def test_a_journal_that_cannot_be_written_starts_nothing_more(tmp_path: object) -> None:
    class Full(MemoryJournal):
        def create(self, run: str, plan_name: str) -> object:  # type: ignore[override]
            writer = super().create(run, plan_name)
            whole = writer.append
            left = [3]

            def append(*args: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    raise StrettoError("journal-write", "the disk is full", next="free some room")
                return whole(*args)  # type: ignore[arg-type]

            writer.append = append  # type: ignore[method-assign,assignment]
            return writer

    stage = Stage(journal=Full())
    with pytest.raises(StrettoError, match="the disk is full"):
        stage.run("limits: {parallel: 1}\n" + FAN.lstrip())
    assert len(stage.actor.seen) <= 2
    state = State(plan_of("limits: {parallel: 1}\n" + FAN.lstrip()))
    for row in stage.journal.read("r"):
        state.apply(row.event, row.at_us)
    assert snapshot(state) == snapshot(load_state(stage.journal, "r")[1].state)


def test_too_many_items_and_no_list_fail_the_group_with_a_reason() -> None:
    stage = Stage(Actor(lambda work: json.dumps(list(range(5))) if work.task == "list" else "{}"))
    text = """
tasks:
  list: {prompt: L, output: "json"}
  no: {prompt: N, output: "json"}
  x: {each: "${list}", max: 3, prompt: "Do ${item}"}
  y: {each: "${no}", prompt: "Do ${item}"}
"""
    outcome = stage.run(text)
    assert outcome.code == EXIT_PROBLEM
    why = {e.group: e.why for e in events(stage, ev.GroupClosed)}  # type: ignore[union-attr]
    assert "`max` is 3" in why["x"] and "not a list" in why["y"]


def test_an_agent_that_breaks_is_an_error_of_its_task_alone() -> None:
    def answer(work: Work) -> object:
        if work.task == "b":
            raise RuntimeError("boom")
        return "fine"

    outcome = Stage(Actor(answer)).run(FAN)
    assert outcome.code == EXIT_PROBLEM
    assert outcome.state.rows["a"].counts == outcome.state.rows["c"].counts


def test_another_servers_answer_is_another_answer() -> None:
    stage = Stage()
    text = "tasks:\n  a: {prompt: P}\n"
    stage.run(text, "one")
    stage.actor.identity = "http://elsewhere"  # type: ignore[attr-defined]
    stage.run(text, "two")
    assert len(stage.actor.seen) == 2


def test_a_resume_of_a_fresh_run_stays_fresh() -> None:
    stage = Stage()
    stage.run(FAN, run="old")
    assert len(stage.actor.seen) == 3
    gone = Actor(lambda work: Result("error", error="quota", cls="run") if work.task == "b" else "new")
    stage.cast = Stage(gone, journal=stage.journal).cast
    assert stage.run(FAN, run="new", fresh=True, parallel=1).status == "paused"
    again = Actor(lambda work: "new")
    stage.cast = Stage(again, journal=stage.journal).cast

    outcome = stage.resume("new")

    assert outcome.code == EXIT_OK
    assert again.started == ["b", "c"]
    assert [outcome.value(id) for id in "abc"] == ["new", "new", "new"]


def test_a_check_function_that_returns_nothing_is_no_yes() -> None:
    stage = Stage(function=Actor(lambda work: None))
    outcome = stage.run("tasks:\n  a: {prompt: Write it, check: 'mod:looks_good'}")

    assert outcome.status == "failed"
    ended = [row.event for row in stage.journal.read("r")]
    errors = [event.error for event in ended if isinstance(event, ev.AttemptEnded)]
    assert any("not nothing" in error for error in errors)
