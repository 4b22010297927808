"""Which attempts start under a cap, and what happens when a list turns out longer than was approved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stretto import events as ev
from stretto.errors import EXIT_LIMIT, EXIT_OK
from stretto.plan.model import Check, Each, Expect, Group, Limits, Plan, Task, to_data
from stretto.run import Options, Outcome, run_plan
from stretto.run.loop import Loop
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.vertex import FAILED, TaskVertex
from tests.autojump import run as in_virtual_time
from tests.spending import Priced
from tests.stage import Actor, Stage, plan_of
from tests.worlds import begun


class Desks:
    """A scheduler with expected costs by the last word of an id, whose attempts spend and end by hand."""

    def __init__(
        self,
        costs: dict[str, int],
        *parts: Task | Group,
        cap_nusd: int | None = None,
        approved_nusd: int | None = None,
        parallel: int = 100,
    ):
        self.plan = Plan(name="p", tasks=parts, limits=Limits(parallel=parallel))
        self.costs = costs
        self.scheduler = self.made()
        started = begun(self.plan, cap_nusd=cap_nusd)._replace(approved_nusd=approved_nusd)
        self.scheduler.start(started, 0)
        self.log: list[ev.Event] = []
        self.running: list[str] = []

    def made(self) -> Scheduler:
        scheduler = Scheduler(self.plan)
        choices: Any = Priced(scheduler.choices, lambda vertex: self.costs.get(vertex.element.part.id, 0))
        scheduler.choices = choices
        return scheduler

    def turn(self, after: Callable[[], None] = lambda: None) -> list[str]:
        """What starts now."""
        after()
        for vertex in self.scheduler.picks():
            self.scheduler.begin(vertex, self.scheduler.choice(vertex))
        self.scheduler.end_if_done()
        events, commands = self.scheduler.take()
        self.log += events
        started = [c.task for c in commands if isinstance(c, ev.Start)]
        self.running += started
        return started

    def spend(self, task: str, nusd: int, bound: int | None = None) -> list[str]:
        """An attempt makes one call and ends; without a cost the call stays in flight."""

        def happens() -> None:
            attempt = f"{task}#1"
            self.scheduler.call_asked(attempt, 1, nusd if bound is None else bound)
            self.scheduler.call_done(ev.CallSettled(attempt, 1, "m", {}, nusd, certain=True))
            self.scheduler.ended(ev.AttemptEnded(task, 1, "ok", output="x"))
            self.running.remove(task)

        return self.turn(happens)

    def paused(self) -> ev.RunPaused | None:
        return self.scheduler.state.paused

    def error(self, task: str) -> str:
        vertex = self.scheduler.state.vertices[task]
        assert isinstance(vertex, TaskVertex) and vertex.state == FAILED
        return vertex.error


def task(id: str, time_s: float = 1.0, **keys: Any) -> Task:
    return Task(id=id, call="m:f", expect=Expect(time_s=time_s), **keys)


def test_only_so_many_start_as_there_is_money_to_end() -> None:
    desks = Desks({"t": 30}, task("t", each=Each(over=list(range(10)))), cap_nusd=99)
    group = desks.scheduler.next_growing()
    assert group is not None
    desks.scheduler.grew(group, "", list(range(10)))
    assert desks.turn() == ["t.0", "t.1", "t.2"]
    assert desks.spend("t.0", 10) == [], "20 are not enough yet: 10 + 30 + 30 + 30"
    assert desks.spend("t.1", 10) == ["t.3"]
    assert desks.spend("t.2", 30) == []
    assert desks.spend("t.3", 30) == []
    assert desks.paused() == ev.RunPaused("budget", None, 30, "t.4 is expected to cost <$0.0001")


def test_a_reserved_bound_counts_once_not_beside_what_it_is_expected_to_be() -> None:
    desks = Desks({"a": 30, "b": 30}, task("a"), task("b"), cap_nusd=100)
    assert desks.turn() == ["a", "b"]
    desks = Desks({"a": 30, "b": 30}, task("a", 2.0), task("b"), cap_nusd=100, parallel=1)
    assert desks.turn() == ["a"]
    desks.scheduler.call_asked("a#1", 1, 65)
    desks.scheduler.running = 0  # as if there were a second slot
    assert desks.turn() == ["b"], "65 and 30 are within 100"


def test_what_fits_may_go_before_what_does_not() -> None:
    desks = Desks({"big": 80, "x": 30, "y": 30}, task("big", 9.0), task("x", 10.0), task("y"), cap_nusd=100)
    assert desks.turn() == ["x", "y"], "`big` is more urgent than `y`, but must wait"
    assert desks.spend("x", 1) == []
    assert desks.spend("y", 1) == ["big"]


def test_what_costs_nothing_always_starts() -> None:
    desks = Desks({"a": 60}, task("a", 2.0), task("b"), cap_nusd=50)
    assert desks.turn() == ["b"]
    assert desks.paused() is None, "something runs"
    assert desks.spend("b", 0) == []
    paused = desks.paused()
    assert paused is not None and paused.need_nusd == 60


def test_more_money_lets_it_start() -> None:
    desks = Desks({"a": 60}, task("a"), cap_nusd=50)
    assert desks.turn() == []
    assert desks.paused() is not None
    desks.scheduler.proceed("approve", 70)
    assert desks.turn() == ["a"]


def test_a_task_in_backoff_is_waited_for_before_the_run_gives_up() -> None:
    desks = Desks({"a": 30, "b": 120}, task("a", 2.0), task("b"), cap_nusd=100)
    assert desks.turn() == ["a"]
    ended = ev.AttemptEnded("a", 1, "error", "transient", "busy")
    assert desks.turn(lambda: desks.scheduler.ended(ended)) == []
    assert desks.paused() is None
    wake = desks.scheduler.wake_at_us()
    assert wake is not None and desks.turn(lambda: desks.scheduler.tick(wake)) == ["a"]


def test_a_groups_cap_keeps_back_its_own_tasks_alone_and_fails_what_will_never_fit() -> None:
    group = Group(id="g", tasks=(task("x"), task("y"), task("z")), usd_cap_nusd=100)
    desks = Desks({"x": 60, "y": 60, "z": 60, "b": 60}, group, task("b"), cap_nusd=1000)
    assert desks.turn() == ["g.x", "b"]
    assert desks.spend("g.x", 30) == ["g.y"]
    assert desks.spend("g.y", 30) == []
    assert desks.error("g.z") == (
        "the cap of 'g' of <$0.0001 is used up: <$0.0001 spent, and it is expected to cost <$0.0001"
    )
    assert desks.paused() is None


def test_what_a_task_may_spend_by_itself_is_for_the_ledger_alone() -> None:
    desks = Desks({"a": 60}, task("a", usd_cap_nusd=50))
    assert desks.turn() == ["a"], "it is expected to cost more, but may cost less"


def test_a_resumed_run_admits_anew() -> None:
    desks = Desks({"a": 60, "b": 60}, task("a", 2.0), task("b"), cap_nusd=100)
    assert desks.turn() == ["a"]
    desks.scheduler = desks.made()
    for event in [begun(desks.plan, cap_nusd=100), *desks.log[1:]]:
        desks.scheduler.fold(event, 0)
    desks.scheduler.resume(2, "", 0)
    assert len(desks.turn()) == 1


def test_ten_thousand_that_wait_are_not_looked_at_again_for_each_that_starts() -> None:
    items = list(range(10_000))
    desks = Desks({"t": 10}, task("t", each=Each(over=items, max=10_000)), cap_nusd=10 * 5_000)
    group = desks.scheduler.next_growing()
    assert group is not None
    desks.scheduler.grew(group, "", items)
    looked: list[TaskVertex] = []
    refusing = desks.scheduler.admission.refusing

    def counted(vertex: TaskVertex, expected_nusd: int | None) -> Any:
        looked.append(vertex)
        return refusing(vertex, expected_nusd)

    desks.scheduler.admission.refusing = counted  # type: ignore[method-assign]
    waiting = desks.turn()
    assert len(waiting) == 100
    for k in range(2_000):
        waiting += desks.spend(waiting[k], 9, 9)
    assert len(looked) < 10_000 + 3_000


# Through the whole loop


def run(stage: Stage, name: str, cap_nusd: int, *, fresh: bool = False) -> Outcome:
    """Three tasks that are expected to cost 50 each, and do."""
    plan = plan_of("tasks:\n  a: {prompt: A}\n  b: {prompt: B}\n  c: {prompt: C}\n")
    options = Options(on="messages", cap_nusd=cap_nusd, control=False, fresh=fresh)

    def started(_: str, loop: Loop) -> None:
        choices: Any = Priced(loop.scheduler.choices, lambda vertex: 50)
        loop.scheduler.choices = choices

    return in_virtual_time(
        run_plan(plan, options, stage.journal, Path(), agents=stage.cast, run=name, started=started)
    )


def test_a_kept_result_needs_no_money() -> None:
    actor = Actor(lambda work: f"did {work.task}", cost_nusd=50, bound_nusd=60)
    stage = Stage(messages=actor)
    assert run(stage, "one", 1_000).code == EXIT_OK
    assert run(stage, "two", 10).code == EXIT_OK
    assert len(actor.seen) == 3
    outcome = run(stage, "three", 10, fresh=True)
    assert outcome.code == EXIT_LIMIT and len(actor.seen) == 3, "nothing is started that cannot be paid"
    assert outcome.state.paused is not None and outcome.state.paused.need_nusd == 50
    outcome = run(stage, "four", 120, fresh=True)
    assert outcome.code == EXIT_LIMIT and outcome.state.ledger.spent_nusd == 100


def test_a_run_asks_when_a_list_is_longer_than_was_approved_and_goes_on_when_it_may() -> None:
    actor = Actor(lambda work: f"did {work.task}", cost_nusd=50, bound_nusd=60)
    stage = Stage(messages=actor)
    plan = plan_of("tasks:\n  t: {each: [1, 2, 3, 4], prompt: 'Do ${item}'}\n")

    def started(_: str, loop: Loop) -> None:
        choices: Any = Priced(loop.scheduler.choices, lambda vertex: 50)
        loop.scheduler.choices = choices

    options = Options(on="messages", cap_nusd=1_000, approved_nusd=199, control=False)
    outcome = in_virtual_time(
        run_plan(plan, options, stage.journal, Path(), agents=stage.cast, run="r", started=started)
    )
    paused = outcome.state.paused
    assert outcome.code == EXIT_LIMIT and actor.seen == []
    assert paused is not None and (paused.why, paused.need_nusd) == ("approval", 200)
    (grew,) = (row.event for row in stage.journal.read("r") if isinstance(row.event, ev.PlanGrew))
    assert grew.expected_nusd == 200
    assert stage.resume(approve=True).code == EXIT_OK and len(actor.seen) == 4


# What was approved


def grown(desks: Desks, items: list[Any]) -> ev.PlanGrew:
    group = desks.scheduler.next_growing()
    assert group is not None
    desks.scheduler.grew(group, "", items)
    events, _ = desks.scheduler.take()
    desks.log += events
    return next(event for event in events if isinstance(event, ev.PlanGrew))


def fan(check: Check | None = None) -> Task:
    return task("t", each=Each(over="${list}", max=10**6), check=check)


def test_a_list_that_is_longer_than_was_approved_asks() -> None:
    desks = Desks({"t": 10, "b": 7}, fan(), task("b"), approved_nusd=100)
    assert grown(desks, list(range(10))).expected_nusd == 100
    paused = desks.paused()
    assert paused is not None and (paused.why, paused.need_nusd) == ("approval", 107)
    assert paused.note.startswith("t has 10 members; with them the run is expected to cost <$0.0001, and")
    assert desks.turn() == []
    desks.scheduler.proceed("approve", None, 200)
    assert len(desks.turn()) == 11


def test_a_list_within_what_was_approved_asks_nobody() -> None:
    desks = Desks({"t": 10, "b": 7}, fan(), task("b"), approved_nusd=107)
    assert grown(desks, list(range(10))).expected_nusd == 100
    assert desks.paused() is None and len(desks.turn()) == 11


def test_where_nothing_was_approved_nothing_is_asked() -> None:
    desks = Desks({"t": 10}, fan())
    assert grown(desks, list(range(10))).expected_nusd == 100
    assert desks.paused() is None


def test_the_judge_of_each_item_is_priced_too() -> None:
    desks = Desks({"t": 10}, fan(Check(call="m:good")))
    assert grown(desks, [1, 2, 3]).expected_nusd == 60


def test_what_is_spent_counts_and_what_it_was_expected_to_cost_does_not() -> None:
    list_ = task("list", 9.0)
    after = Task(id="t", call="m:f", each=Each(over="${list}", max=100))
    desks = Desks({"list": 50, "t": 10}, list_, after, approved_nusd=100)
    assert desks.turn() == ["list"]
    desks.spend("list", 5)
    assert grown(desks, list(range(9))).expected_nusd == 90
    assert desks.paused() is None, "5 were spent where 50 were expected"
    dear = Desks({"list": 5, "t": 10}, list_, after, approved_nusd=100)
    dear.turn()
    dear.spend("list", 50)
    grown(dear, list(range(9)))
    paused = dear.paused()
    assert paused is not None and paused.need_nusd == 140


def test_what_a_running_attempt_has_spent_is_not_expected_of_it_again() -> None:
    a = Task(id="a", prompt="A", model="haiku", on="messages")
    desks = Desks({"a": 60, "t": 10}, a, fan(), approved_nusd=100)
    assert "a" in desks.turn()
    desks.scheduler.call_asked("a#1", 1, 50)
    desks.scheduler.call_done(ev.CallSettled("a#1", 1, "m", {}, 40, certain=True))
    grown(desks, list(range(4)))
    assert desks.paused() is None, "40 spent, 20 to come and 40 more"


def test_a_planners_plan_is_priced_as_it_joins() -> None:
    planner = Group(
        id="plan",
        tasks=(task("plan", grow=True), Group(id="grown", tasks=(), after=("plan",))),
    )
    desks = Desks({"x": 30, "y": 30}, planner, approved_nusd=50)
    desks.turn()
    desks.spend("plan.plan", 0)
    group = desks.scheduler.next_growing()
    assert group is not None
    inner = Group(id="in", tasks=(task("y"),))
    desks.scheduler.grew_plan(group, "plan.plan#1", 1, [to_data(task("x")), to_data(inner)])
    (grew,) = (e for e in desks.scheduler.take()[0] if isinstance(e, ev.PlanGrew))
    assert grew.expected_nusd == 60
    paused = desks.paused()
    assert paused is not None and paused.why == "approval"


def test_many_growths_are_summed_up_without_looking_at_all_there_is_each_time() -> None:
    inner = task("t", each=Each(over=[1, 2, 3]))
    items = list(range(300))
    outer = Group(id="g", tasks=(inner,), each=Each(over=items, max=300))
    desks = Desks({"t": 10}, outer, approved_nusd=300 * 30)
    asked = 0
    choices: Any = desks.scheduler.choices
    of = choices.of

    def counted(vertex: TaskVertex, role: str) -> Any:
        nonlocal asked
        asked += 1
        return of(vertex, role)

    choices.of = counted
    while (group := desks.scheduler.next_growing()) is not None:
        desks.scheduler.grew(group, "", items if group.id == "g" else [1, 2, 3])
    assert desks.paused() is None and len(desks.scheduler.state.vertices) > 1_200
    assert asked < 5_000


def test_the_figure_in_the_event_changes_nothing_in_the_fold() -> None:
    desks = Desks({"t": 10}, fan())
    desks.turn()
    grew = grown(desks, [1, 2, 3])
    other = Scheduler(desks.plan)
    events: list[ev.Event] = [begun(desks.plan), grew]
    for event in events:
        other.fold(event, 0)
    assert other.state.vertices.keys() == desks.scheduler.state.vertices.keys()
