"""Caps of tasks and groups, and answers kept short where the money runs out: by example."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stretto import events as ev
from stretto.agents import Desk, Result, Work
from stretto.errors import EXIT_LIMIT, EXIT_OK, EXIT_PROBLEM
from stretto.plan.finding import Finding
from stretto.plan.model import Each, Group, Limits, Plan, Task, part_from_data, to_data
from stretto.scheduler.ledger import caps_of
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.vertex import TaskVertex
from stretto.spec.compile import compile_plan
from stretto.spec.python import read_python
from stretto.spec.yaml import read_yaml
from tests.stage import Actor, Stage, plan_of
from tests.worlds import begun


class Desks:
    """A scheduler whose running attempts ask and settle by hand."""

    def __init__(self, *parts: Task | Group, cap_nusd: int | None = None):
        plan = Plan(name="p", tasks=parts, limits=Limits(parallel=100))
        self.scheduler = Scheduler(plan)
        self.scheduler.start(begun(plan, cap_nusd=cap_nusd), 0)
        while (group := self.scheduler.next_growing()) is not None:
            assert group.element is not None and group.element.part.each is not None
            over = group.element.part.each.over
            assert isinstance(over, list)
            self.scheduler.grew(group, "", over)
        for vertex in self.scheduler.picks():
            self.scheduler.begin(vertex, self.scheduler.choice(vertex))
        self.scheduler.take()

    def ask(self, task: str, nusd: int, least: int | None = None) -> list[ev.Answer]:
        self.scheduler.call_asked(f"{task}#1", 1, nusd, least_nusd=least)
        return self.answers()

    def settle(self, task: str, nusd: int, *, certain: bool = True) -> list[ev.Answer]:
        self.scheduler.call_done(ev.CallSettled(f"{task}#1", 1, "m", {}, nusd, certain))
        return self.answers()

    def answers(self) -> list[ev.Answer]:
        return [c for c in self.scheduler.take()[1] if isinstance(c, ev.Answer)]


def task(id: str, **keys: object) -> Task:
    return Task(id=id, call="m:f", **keys)  # type: ignore[arg-type]


def granted(answers: list[ev.Answer]) -> dict[str, int | None]:
    """What each was granted; None where it was refused."""
    return {a.attempt.partition("#")[0]: a.nusd if a.granted else None for a in answers}


def test_a_cap_on_a_task_is_its_own_and_the_run_goes_on() -> None:
    desks = Desks(task("a", usd_cap_nusd=500_000_000), task("b"), cap_nusd=10**12)
    desks.ask("a", 480_000_000)
    desks.settle("a", 480_000_000)
    desks.scheduler.call_asked("a#1", 2, 40_000_000)
    (answer,) = desks.answers()
    assert (answer.granted, answer.final) == (False, True)
    assert answer.why == "its cap of $0.50 is used up: $0.48 spent, and the next call may cost $0.0400"
    assert desks.scheduler.state.paused is None
    assert granted(desks.ask("b", 10**9)) == {"b": 10**9}


def test_a_cap_on_each_of_a_task_is_one_for_each_item() -> None:
    desks = Desks(task("t", each=Each(over=[1, 2]), usd_cap_nusd=100))
    assert granted(desks.ask("t.0", 100)) == {"t.0": 100}
    assert granted(desks.ask("t.1", 101)) == {"t.1": None}


def test_a_cap_on_a_group_is_for_all_inside_it_whatever_the_depth() -> None:
    inner = Group(id="in", tasks=(task("x"), task("y")), each=Each(over=[1, 2], name="i"))
    desks = Desks(Group(id="g", tasks=(inner, task("z")), usd_cap_nusd=100), task("b"))
    assert granted(desks.ask("g.in.0.x", 60)) == {"g.in.0.x": 60}
    assert granted(desks.ask("g.z", 50)) == {}
    assert granted(desks.ask("g.in.1.y", 30)) == {}, "it would fit, but the other asked first"
    assert granted(desks.ask("b", 10**9)) == {"b": 10**9}, "it has nothing to do with that group"
    assert granted(desks.settle("g.in.0.x", 20)) == {"g.z": 50, "g.in.1.y": 30}
    assert granted(desks.ask("g.in.1.x", 81)) == {"g.in.1.x": None}, "20 are spent: it can never fit"
    (answer,) = desks.ask("g.in.0.y", 90)
    assert answer.why.startswith("the cap of 'g' of <$0.0001 is used up: <$0.0001 spent, and the next call")


def test_a_cap_on_a_group_that_is_repeated_is_for_all_its_items_together() -> None:
    desks = Desks(Group(id="g", tasks=(task("x"),), each=Each(over=[1, 2, 3]), usd_cap_nusd=100))
    assert granted(desks.ask("g.0.x", 60)) == {"g.0.x": 60}
    assert granted(desks.ask("g.1.x", 60)) == {}
    assert granted(desks.settle("g.0.x", 60, certain=False)) == {"g.1.x": None}, "60 are held"


def test_who_waits_for_the_money_of_the_run_is_overtaken_by_nobody() -> None:
    desks = Desks(task("a"), Group(id="g", tasks=(task("x"),), usd_cap_nusd=100), task("b"), cap_nusd=100)
    assert granted(desks.ask("a", 60)) == {"a": 60}
    assert granted(desks.ask("g.x", 50)) == {}
    assert granted(desks.ask("b", 10)) == {}
    assert granted(desks.settle("a", 10)) == {"g.x": 50, "b": 10}


PLANNED = """
tasks:
  list: {run: [ls], output: lines}
  notes: {each: "${list}", prompt: "Sum up ${item}", usd: 0.1}
  merge: {reduce: "${notes}", fan_in: 2, prompt: Merge, usd: 0.2}
  plan: {prompt: Plan it, grow: plan, usd: 0.3}
  plans: {each: [a, b], prompt: "Plan ${item}", grow: plan, usd: 0.4}
  pairs: {each: [a, b], reduce: "${notes}", prompt: Merge, usd: 0.5}
"""


def test_all_that_was_written_as_one_task_has_one_cap() -> None:
    scheduler = Scheduler(plan_of(PLANNED))
    scheduler.start(begun(scheduler.state.plan), 0)
    vertices = scheduler.state.vertices
    lists = {"plans": ["a", "b"], "pairs": ["a", "b"], "notes": list("abcd")}
    while not scheduler.end_if_done():
        for vertex in scheduler.picks():
            n = scheduler.begin(vertex, scheduler.choice(vertex))
            scheduler.ended(ev.AttemptEnded(vertex.id, n, "ok", output="x"))
        while (group := scheduler.next_growing()) is not None:
            if group.id.endswith(".grown"):
                scheduler.grew_plan(group, "", 1, [to_data(task("x"))])
            else:
                scheduler.grew(group, "", lists.get(group.id, [4]))
    found = {id: list(caps_of(v)) for id, v in vertices.items() if isinstance(v, TaskVertex)}
    assert found["notes.2"] == [("notes.2", 10**8)]
    assert found["merge.r1.1"] == found["merge.r2.0"] == [("merge", 2 * 10**8)]
    assert found["plan.plan"] == found["plan.grown.x"] == [("plan", 3 * 10**8)]
    assert found["plans.1.plan"] == found["plans.1.grown.x"] == [("plans.1", 4 * 10**8)]
    assert found["pairs.0.reduce.r1.0"] == [("pairs.0.reduce", 5 * 10**8)]


WRITTEN = """
stretto: 1
tasks:
  reviews:
    usd: 3.00
    each: [a, b]
    tasks:
      review: {prompt: "Review ${item}", usd: 0.1, max_tokens: 8000, min_tokens: 1000}
"""


def compiled(text: str) -> tuple[Plan | None, list[Finding]]:
    return compile_plan(read_yaml(text, "p.yaml"), source="p.yaml")


def test_caps_are_written_on_tasks_and_groups_in_both_forms(tmp_path: Path) -> None:
    plan, findings = compiled(WRITTEN)
    assert plan is not None and findings == []
    (group,) = plan.tasks
    assert isinstance(group, Group) and group.usd_cap_nusd == 3 * 10**9
    (review,) = group.tasks
    assert isinstance(review, Task)
    assert (review.usd_cap_nusd, review.max_tokens, review.min_tokens) == (10**8, 8000, 1000)
    file = tmp_path / "plan.py"
    file.write_text(
        "from stretto import Task, fan_out\n"
        'review = Task("Review ${item}", usd=0.1, max_tokens=8000, min_tokens=1000, id="review")\n'
        'plan = fan_out(review, id="reviews", each=["a", "b"], usd="$3")\n'
    )
    python, findings = compile_plan(read_python(file), source="plan.py")
    assert python is not None and findings == []
    assert to_data(python)["tasks"] == to_data(plan)["tasks"]


@pytest.mark.parametrize(
    ("keys", "slug"),
    [
        ("prompt: A, max_tokens: 100, min_tokens: 101", "wrong-value"),
        ("prompt: A, min_tokens: 16001", "wrong-value"),
        ("prompt: A, min_tokens: 0", "wrong-value"),
        ("run: [ls], min_tokens: 5", "no-effect"),
        ("prompt: A, min_tokens: 16000", ""),
        ("tasks: {b: {prompt: B}}, usd: cheap", "wrong-value"),
        ("tasks: {b: {prompt: B}}, usd: none", ""),
    ],
)
def test_what_is_wrong_about_them_is_found(keys: str, slug: str) -> None:
    found = [finding.slug for finding in compiled(f"stretto: 1\ntasks:\n  a: {{{keys}}}\n")[1]]
    assert found == ([slug] if slug else [])


def test_caps_survive_being_written_down() -> None:
    group = Group(id="g", tasks=(task("x", usd_cap_nusd=5, min_tokens=7),), usd_cap_nusd=9)
    assert part_from_data(to_data(group)) == group


# Shorter answers


def test_where_the_money_is_short_a_shorter_answer_is_granted() -> None:
    desks = Desks(task("a"), task("b"), task("c"), cap_nusd=100)
    assert granted(desks.ask("a", 70, 10)) == {"a": 70}
    assert granted(desks.ask("b", 70, 10)) == {}, "what is in flight may leave enough for a whole one"
    (answer,) = desks.settle("a", 60)
    assert (answer.granted, answer.nusd, answer.final) == (True, 40, False)
    assert answer.why == "the run's cap of <$0.0001"
    assert granted(desks.settle("b", 35)) == {}
    assert granted(desks.ask("c", 70, 10)) == {"c": None}, "five are left, and ten are the least"


def test_a_shorter_answer_is_within_all_caps_that_are_short() -> None:
    group = Group(id="g", tasks=(task("x", usd_cap_nusd=60),), usd_cap_nusd=50)
    assert granted(Desks(group, cap_nusd=100).ask("g.x", 70, 10)) == {"g.x": 50}


class Shortened:
    """An agent that asks for 100, at least for 30, and is cut off where it gets less than it needs."""

    def __init__(self, needs: int):
        self.needs = needs

    async def run(self, work: Work, desk: Desk) -> Result:
        grant = await desk.reserve(100, 1, 100, least_nusd=30)
        await asyncio.sleep(1.0)
        desk.settle(grant.call, "m", {"output": 1}, min(self.needs, grant.nusd))
        if grant.nusd < self.needs:
            return Result("cut_off", "half", f"cut off: {grant.short}", "run", "budget")
        return Result("ok", "done")


@pytest.mark.parametrize(("needs", "code"), [(40, EXIT_OK), (60, EXIT_LIMIT)])
def test_a_shorter_answer_may_do_and_a_cut_one_stops_the_run(needs: int, code: int) -> None:
    stage = Stage(messages=Shortened(needs))
    outcome = stage.run("tasks:\n  a: {prompt: A, min_tokens: 5}\n", on="messages", cap_nusd=50)
    assert outcome.code == code


# Through the whole loop

GROUPS = """
tasks:
  dear:
    usd: 0.00000012
    tolerate: 3
    tasks:
      a: {prompt: A}
      b: {prompt: B}
      c: {prompt: C}
  cheap: {prompt: D}
"""


def paid(cost_nusd: int = 50, bound_nusd: int = 60) -> Actor:
    return Actor(lambda work: f"did {work.task}", cost_nusd=cost_nusd, bound_nusd=bound_nusd)


def test_a_group_whose_cap_is_used_up_fails_alone() -> None:
    stage = Stage(messages=paid())
    outcome = stage.run(GROUPS, on="messages", cap_nusd=10**12)
    assert outcome.code == EXIT_OK, "its failure was tolerated"
    states = {id: v.error for id, v in outcome.state.vertices.items() if isinstance(v, TaskVertex)}
    assert sum(bool(error) for error in states.values()) == 1
    (error,) = filter(None, states.values())
    assert "the cap of 'dear' of <$0.0001 is used up" in error
    account = outcome.state.ledger.accounts["dear"]
    assert (account.spent_nusd, account.held_nusd, account.reserved_nusd) == (100, 0, 0)
    started = [row.event for row in stage.journal.read("r") if isinstance(row.event, ev.AttemptStarted)]
    assert len(started) == 3, "what its siblings cost says that there is nothing left for it"


def test_a_groups_cap_holds_over_a_resume_with_more_money_for_the_run() -> None:
    stage = Stage(messages=paid())
    text = GROUPS.replace("tolerate: 3", "order: serial")
    assert stage.run(text, on="messages", cap_nusd=70).code == EXIT_LIMIT
    outcome = stage.resume(cap_nusd=10**12)
    assert outcome.code == EXIT_PROBLEM
    assert outcome.state.ledger.accounts["dear"].spent_nusd == 100
    assert outcome.state.vertices["cheap"].state == outcome.state.vertices["dear.b"].state


def test_a_capped_task_refuses_a_model_without_a_price() -> None:
    class Unpriced:
        async def run(self, work: Work, desk: Desk) -> Result:
            await desk.reserve(None, 1, 1)
            return Result("ok", "never")

    stage = Stage(messages=Unpriced())
    outcome = stage.run("tasks:\n  a: {prompt: A, usd: 1}\n", on="messages", cap_nusd=-1)
    failed = outcome.state.vertices["a"]
    assert isinstance(failed, TaskVertex) and "no price is known" in failed.error
    assert outcome.code == EXIT_PROBLEM and failed.n == 1, "the run has no cap that could stop it"
