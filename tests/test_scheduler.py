"""The pure scheduler against its properties, a naive oracle, and crashes at every commit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stretto import events as ev
from stretto.errors import StrettoError
from stretto.plan.graph import build
from stretto.plan.model import (
    Check,
    Each,
    Group,
    Limits,
    Plan,
    Quorum,
    Task,
    canonical,
    plan_from_data,
    plan_text,
    to_data,
)
from stretto.scheduler.invalidate import needed
from stretto.scheduler.policy import backoff_s
from stretto.scheduler.schedule import Scheduler
from stretto.scheduler.state import State
from stretto.scheduler.vertex import FAILED, SKIPPED, SUCCEEDED, GroupVertex, TaskVertex, good
from tests.oracle import expected_states
from tests.worlds import World, begun, chance, random_plan, replayed, snapshot, succeeded

seeds = st.integers(0, 10**6)


def task(id: str, *needs: str, **more: object) -> Task:
    return Task(id=id, call="m:f", needs=needs, **more)  # type: ignore[arg-type]


def ran(plan: Plan, **options: object) -> World:
    world = World(plan, **options).start()  # type: ignore[arg-type]
    world.run()
    return world


def begin(scheduler: Scheduler, vertex: TaskVertex) -> int:
    return scheduler.begin(vertex, scheduler.choice(vertex))


def states(state: State) -> dict[str, int]:
    return {id: v.state for id, v in state.vertices.items() if isinstance(v, TaskVertex)}


# Properties on random plans


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_replay_equals_the_live_state_at_every_prefix(seed: int) -> None:
    world = World(random_plan(seed, cancels=True), seed).start()
    prefixes: list[tuple[int, dict[str, object]]] = []
    world.watch = lambda: prefixes.append((len(world.log), snapshot(world.scheduler.state)))
    world.run()
    state = State(world.plan)
    done = 0
    for length, live in prefixes:
        for at_us, event in world.log[done:length]:
            state.apply(event, at_us)
        done = length
        assert snapshot(state) == live


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_slots_hold_and_nothing_starts_before_its_needs(seed: int) -> None:
    world = World(random_plan(seed, cancels=True), seed).start()
    state = world.scheduler.state
    started: set[str] = set()

    def watch() -> None:
        for vertex in state.live.values():
            if vertex.id not in started:
                started.add(vertex.id)
                assert all(good(other) for other in needed(state.vertices, vertex)), vertex.id

    world.watch = watch
    world.run()
    assert world.most_running <= world.plan.limits.parallel
    assert not state.live


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_the_end_is_the_oracles(seed: int) -> None:
    plan = random_plan(seed)
    world = World(plan, seed)
    expected = expected_states(plan, world.how)
    world.start().run()
    assert states(world.scheduler.state) == expected


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_grahams_bound(seed: int) -> None:
    """Any list schedule takes at most work / slots + (1 - 1 / slots) x the longest chain."""
    world = World(random_plan(seed, size=20), seed, failing=0.0).start()
    state = world.run()
    took: dict[str, float] = {}
    for id, start, end in world.spans:
        took[id] = took.get(id, 0.0) + end - start
    ends: dict[str, float] = {}

    def chain(id: str) -> float:
        """The longest time over the tasks that had to run one after the other up to this vertex's end."""
        if id not in ends:
            vertex = state.vertices[id]
            before = [chain(other.id) for other in needed(state.vertices, vertex)]
            owner = vertex.owner
            while owner is not None and owner.element is not None:
                before += [chain(other.id) for other in needed(state.vertices, owner)]
                owner = owner.owner
            inside = [chain(m.id) for m in vertex.members] if isinstance(vertex, GroupVertex) else []
            ends[id] = max([*before, *inside, 0.0]) + took.get(id, 0.0)
        return ends[id]

    longest = max((chain(id) for id in state.vertices), default=0.0)
    slots = world.plan.limits.parallel
    assert world.now_us <= sum(took.values()) / slots + (1 - 1 / slots) * longest + 1


@given(seeds, st.floats(0.0, 1.0))
@settings(max_examples=150, deadline=None)
def test_a_crash_at_any_commit_changes_nothing_but_the_attempts(seed: int, where: float) -> None:
    plan = random_plan(seed)

    def outcome(id: str, n: int, role: str) -> str:
        return "task" if chance(seed, id) < 0.2 and role == "work" else "ok"

    whole = ran(plan, seed=seed, outcome=outcome)
    cut = World(plan, seed=seed, outcome=outcome).start()
    cut.run(most_turns=1 + int(where * 30))
    resumed = World(plan, seed=seed, outcome=outcome)
    finished_before = set()
    for at_us, event in cut.log:
        resumed.scheduler.fold(event, at_us)
        if isinstance(event, ev.TaskSucceeded):
            finished_before.add(event.task)
    if resumed.scheduler.state.status in ("running", "created"):
        resumed.log = list(cut.log)
        resumed.now_us = cut.now_us
        resumed.scheduler.resume(2, "", cut.now_us)
        state = resumed.run()
        assert states(state) == states(whole.scheduler.state)
        restarted = {e.task for _, e in resumed.log[len(cut.log) :] if isinstance(e, ev.AttemptStarted)}
        assert not restarted & finished_before
        assert snapshot(replayed(plan, resumed.log)) == snapshot(state)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_redo_makes_the_task_and_what_is_below_it_again(seed: int) -> None:
    plan = random_plan(seed)
    first = ran(plan, seed=seed, failing=0.1)
    before = first.scheduler.state
    done = sorted(succeeded(before))
    if not done:
        return
    chosen = done[seed % len(done)]
    again = World(plan, seed=seed, failing=0.0)
    for at_us, event in first.log:
        again.scheduler.fold(event, at_us)
    again.log, again.now_us = list(first.log), first.now_us
    again.scheduler.resume(2, "", first.now_us)
    again.scheduler.redo(chosen, "test")
    state = again.run()
    new = [e for _, e in again.log[len(first.log) :]]
    restarted = {e.task for e in new if isinstance(e, ev.AttemptStarted)}
    assert chosen in restarted
    below = {chosen}
    for id in state.vertices:
        stack = [id]
        seen: set[str] = set()
        while stack:
            here = stack.pop()
            if here in seen:
                continue
            seen.add(here)
            if here == chosen:
                below.add(id)
                break
            vertex = state.vertices[here]
            stack.extend(other.id for other in needed(state.vertices, vertex))
            stack.extend(m.id for m in vertex.members) if isinstance(vertex, GroupVertex) else None
            owner = vertex.owner
            while owner is not None and owner.id:
                stack.extend(other.id for other in needed(state.vertices, owner))
                owner = owner.owner
    assert restarted <= below
    assert snapshot(replayed(plan, again.log)) == snapshot(state)


# Examples, drawn above the assertion


def test_fan_out_takes_the_time_of_one() -> None:
    """a b c d e   (five, side by side)"""
    plan = Plan(name="p", tasks=tuple(task(c) for c in "abcde"), limits=Limits(parallel=5))
    world = ran(plan, failing=0.0)
    longest = max(end - start for _, start, end in world.spans)
    assert world.now_us == longest


def test_one_failure_leaves_the_others() -> None:
    """a b c, b fails"""
    plan = Plan(name="p", tasks=(task("a"), task("b", attempts=1), task("c")))
    world = ran(plan, outcome=lambda id, n, role: "task" if id == "b" else "ok")
    assert succeeded(world.scheduler.state) == {"a", "c"}
    assert world.scheduler.state.status == "failed"


def test_a_failure_stops_only_what_is_below_it() -> None:
    """a -> b -> c,  d -> e;  b fails"""
    plan = Plan(name="p", tasks=(task("a"), task("b", "a"), task("c", "b"), task("d"), task("e", "d")))
    state = ran(plan, outcome=lambda id, n, role: "task" if id == "b" else "ok").scheduler.state
    assert states(state) == {"a": SUCCEEDED, "b": FAILED, "c": SKIPPED, "d": SUCCEEDED, "e": SUCCEEDED}


def test_items_flow_without_a_barrier_between_them() -> None:
    """files.N: scan -> judge; a slow scan of item 0 holds up no other item"""
    inner = (task("scan"), task("judge", "scan"))
    plan = Plan(name="p", tasks=(Group(id="files", tasks=inner, each=Each(over=[1, 2, 3])),))
    world = World(plan, failing=0.0).start()
    world.run()
    starts = {id: start for id, start, _ in world.spans}
    ends = {id: end for id, _, end in world.spans}
    scans = [ends[f"files.{i}.scan"] for i in range(3)]
    judges = [starts[f"files.{i}.judge"] for i in range(3)]
    assert judges == scans
    assert max(scans) > min(judges)


def test_the_longest_remaining_path_goes_first() -> None:
    """z, then a -> b -> c; one slot: the chain first"""
    plan = Plan(
        name="p", tasks=(task("z"), task("a"), task("b", "a"), task("c", "b")), limits=Limits(parallel=1)
    )
    world = ran(plan, failing=0.0)
    assert world.spans[0][0] == "a"


def test_quorum_starts_the_gather_at_the_kth_and_cancels_the_rest() -> None:
    """views: a b c d (2 are enough) -> gather"""
    views = Group(id="views", tasks=tuple(task(c) for c in "abcd"), quorum=Quorum(min_ok=2, cancel_rest=True))
    plan = Plan(name="p", tasks=(views, task("gather", "views")))
    world = ran(plan, failing=0.0)
    state = world.scheduler.state
    assert state.status == "succeeded"
    assert len(succeeded(state)) == 3
    counts = state.rows["views"].counts
    assert counts[SUCCEEDED] == 2 and sum(counts) == 4


def test_too_few_for_the_quorum_skips_the_gather_and_fails_the_run() -> None:
    """views: a b c (2 must) -> gather; two fail"""
    views = Group(id="views", tasks=tuple(task(c) for c in "abc"), quorum=Quorum(min_ok=2))
    plan = Plan(name="p", tasks=(views, task("gather", "views")))
    world = ran(plan, outcome=lambda id, n, role: "ok" if id == "views.a" else "task")
    state = world.scheduler.state
    assert state.status == "failed"
    assert states(state)["gather"] == SKIPPED
    views_vertex = state.vertices["views"]
    assert isinstance(views_vertex, GroupVertex) and "at least 2" in views_vertex.why


def test_a_reduce_is_a_tree_until_one_is_left() -> None:
    """merge over 7 with fan_in 3: r1.0 r1.1 r1.2 -> r2.0"""
    merge = Task(id="merge", call="m:f", reduce="${list}", fan_in=3)
    plan = Plan(name="p", tasks=(task("list"), merge))
    scheduler = Scheduler(plan)
    scheduler.start(begun(plan), 0)
    listing = next(iter(scheduler.picks()))
    scheduler.ended(ev.AttemptEnded("list", begin(scheduler, listing), "ok", "", "", "sha", 2))
    group = scheduler.next_growing()
    assert group is not None
    scheduler.grew(group, "list#1", [7])
    vertices = scheduler.state.vertices
    assert {id for id in vertices if id.startswith("merge.")} == {
        "merge.r1.0",
        "merge.r1.1",
        "merge.r1.2",
        "merge.r2.0",
    }
    assert [v.id for v in needed(vertices, vertices["merge.r2.0"])] == [
        "merge.r1.0",
        "merge.r1.1",
        "merge.r1.2",
    ]
    order = [vertex.id for vertex in scheduler.picks() if begin(scheduler, vertex)]
    assert order == ["merge.r1.0", "merge.r1.1", "merge.r1.2"]


def test_a_check_that_says_no_sends_the_work_back() -> None:
    """a, checked; the first answer is refused, the second passes"""
    plan = Plan(name="p", tasks=(task("a", check=Check(call="m:c")),))
    verdicts = iter(["check_failed", "ok"])
    world = ran(plan, outcome=lambda id, n, role: next(verdicts) if role == "check" else "ok")
    roles = [e.role for _, e in world.log if isinstance(e, ev.AttemptStarted)]
    assert roles == ["work", "check", "work", "check"]
    assert world.scheduler.state.status == "succeeded"


def test_a_judge_that_does_not_answer_is_no_verdict() -> None:
    """a, checked by a judge that always breaks: unverified, not refused"""
    plan = Plan(name="p", tasks=(task("a", check=Check(call="m:c")),))
    world = ran(plan, outcome=lambda id, n, role: "task" if role == "check" else "ok")
    failed = [e for _, e in world.log if isinstance(e, ev.TaskFailed)]
    assert failed[0].why.startswith("unverified")
    works = [e for _, e in world.log if isinstance(e, ev.AttemptStarted) and e.role == "work"]
    assert len(works) == 1


def test_retry_after_is_a_floor_and_holds_the_pool() -> None:
    plan = Plan(name="p", tasks=(task("a"), task("b"), task("c")), limits=Limits(parallel=1))
    world = World(plan).start()
    scheduler = world.scheduler
    first = next(iter(scheduler.picks()))
    n = begin(scheduler, first)
    scheduler.ended(ev.AttemptEnded(first.id, n, "error", "transient", "429", "", 0, 30_000_000))
    assert list(scheduler.picks()) == []
    wake = scheduler.wake_at_us()
    assert wake is not None and wake >= 30_000_000
    scheduler.tick(wake)
    assert [v.id for v in scheduler.picks() if begin(scheduler, v)] == ["a"]


def test_backoff_grows_to_a_minute_with_jitter() -> None:
    waits = [backoff_s(tries, 0, "t") for tries in range(1, 12)]
    assert all(
        0.5 * min(60, 2 ** (k - 1)) <= wait <= min(60, 2 ** (k - 1)) for k, wait in enumerate(waits, 1)
    )
    assert backoff_s(1, 0, "t") != backoff_s(1, 0, "u")


def test_after_a_run_class_error_nothing_new_starts() -> None:
    plan = Plan(name="p", tasks=tuple(task(c) for c in "abcdef"), limits=Limits(parallel=2))
    scheduler = Scheduler(plan)
    scheduler.start(begun(plan), 0)
    running = [(v.id, begin(scheduler, v)) for v in scheduler.picks()]
    scheduler.ended(ev.AttemptEnded(*running[0], "error", "run", "quota gone"), pause="quota")
    assert list(scheduler.picks()) == []
    assert not scheduler.end_if_done()
    scheduler.ended(ev.AttemptEnded(*running[1], "ok", "", "", "sha", 1))
    assert list(scheduler.picks()) == []
    assert scheduler.end_if_done() and scheduler.state.status == "paused"
    assert states(scheduler.state)["a"] == 1, "the one that met the limit is ready again, no attempt counted"


def test_slots_of_an_agent_and_of_a_model() -> None:
    tasks = tuple(Task(id=f"t{k}", prompt="p", model="haiku", on="messages") for k in range(6))
    plan = Plan(name="p", tasks=tasks, limits=Limits(parallel=9, slots={"messages/haiku": 2}))
    scheduler = Scheduler(plan)
    scheduler.start(begun(plan), 0)
    assert len([begin(scheduler, v) for v in scheduler.picks()]) == 2
    plan = Plan(name="p", tasks=tasks, limits=Limits(parallel=9, slots={"messages": 3}))
    scheduler = Scheduler(plan)
    scheduler.start(begun(plan), 0)
    assert len([begin(scheduler, v) for v in scheduler.picks()]) == 3


def test_an_impossible_event_raises_and_says_so() -> None:
    plan = Plan(name="p", tasks=(task("a"),))
    state = State(plan)
    with pytest.raises(StrettoError, match="should not be possible") as caught:
        state.apply(ev.AttemptEnded("a", 1, "ok"), 0)
    assert caught.value.slug == "bug"
    with pytest.raises(StrettoError, match="in state ready"):
        state.apply(ev.RetryPlanned("a", 2, 0, 0, "", "attempts"), 0)


def test_interruptions_have_their_own_bound() -> None:
    plan = Plan(name="p", tasks=(task("a", attempts=1),))
    log: list[ev.Event] = [begun(plan)]
    lost = 0
    while True:
        scheduler = Scheduler(plan)
        for event in log:
            scheduler.fold(event, 0)
        if scheduler.state.status == "failed":
            break
        scheduler.resume(1, "", 0)
        scheduler.tick(10)
        for vertex in scheduler.picks():
            begin(scheduler, vertex)
            lost += 1
        scheduler.end_if_done()
        log += scheduler.take()[0]
    assert lost == 21


def test_a_chain_of_ten_thousand_does_not_overflow() -> None:
    tasks = [task("t0")] + [task(f"t{k}", f"t{k - 1}") for k in range(1, 10_000)]
    plan = Plan(name="p", tasks=tuple(tasks))
    assert not build(plan).problems
    state = ran(plan, outcome=lambda id, n, role: "task" if id == "t0" else "ok").scheduler.state
    assert state.rows["t9999"].counts[SKIPPED] == 1


def test_money_is_granted_in_turn_and_refused_when_nothing_can_be_freed() -> None:
    tasks = tuple(Task(id=f"t{k}", prompt="p") for k in range(4))
    plan = Plan(name="p", tasks=tasks, limits=Limits(parallel=4))
    scheduler = Scheduler(plan)
    scheduler.start(begun(plan, cap_nusd=100), 0)
    attempts = [f"{v.id}#{begin(scheduler, v)}" for v in scheduler.picks()]
    scheduler.take()
    for attempt in attempts[:3]:
        scheduler.call_asked(attempt, 1, 40)
    answers = [c for c in scheduler.take()[1] if isinstance(c, ev.Answer)]
    assert [(a.attempt, a.granted) for a in answers] == [(attempts[0], True), (attempts[1], True)]
    scheduler.call_done(ev.CallSettled(attempts[0], 1, "m", {}, 30, True))
    assert scheduler.take()[1] == [], "30 + 40 reserved + 40 more is above 100"
    scheduler.call_done(ev.CallSettled(attempts[1], 1, "m", {}, 30, True))
    assert scheduler.take()[1] == [ev.Answer(attempts[2], 1, True, nusd=40)]
    scheduler.call_asked(attempts[3], 1, 40)
    scheduler.call_done(ev.CallSettled(attempts[2], 1, "m", {}, 40, False))
    events, commands = scheduler.take()
    assert commands == [ev.Answer(attempts[3], 1, False, "budget")]
    assert any(isinstance(e, ev.RunPaused) and e.why == "budget" for e in events)
    ledger = scheduler.state.ledger
    assert (ledger.spent_nusd, ledger.held_nusd, ledger.reserved_nusd) == (60, 40, 0)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_a_plan_survives_its_text(seed: int) -> None:
    plan = random_plan(seed)
    assert plan_text(plan) == canonical(to_data(plan))
    assert plan_from_data(json.loads(plan_text(plan))) == plan
