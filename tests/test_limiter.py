"""The limiter: calls wait for the provider's tokens per minute, in turn, and for no longer than they must."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto import events as ev
from stretto.errors import EXIT_OK
from stretto.models import BUILTIN, Catalogue, ModelInfo, Rates
from stretto.models.choice import Chooser
from stretto.models.history import History
from stretto.plan.model import Expect, Group, Limits, Plan, Task
from stretto.scheduler.limiter import FIRST_TOKENS, MINUTE_US, MOST_AT_ONCE, Bucket, Left, Stopped, Told
from stretto.scheduler.schedule import Scheduler
from tests.stage import Actor, Stage
from tests.worlds import begun

SECOND = 1_000_000


def catalogue(**rates: Rates) -> Catalogue:
    """The built-in one, with the rates of some models set by their ids (`_` for `-`)."""
    named = {name.replace("_", "-"): each for name, each in rates.items()}
    known = [replace(m, rates=named.pop(m.id)) if m.id in named else m for m in BUILTIN.models]
    return replace(BUILTIN, models=(*known, *(ModelInfo(id, rates=each) for id, each in named.items())))


# One bucket


def test_a_full_bucket_gives_a_minutes_worth_at_once_and_then_as_it_flows() -> None:
    bucket = Bucket(60, 0)
    now = MINUTE_US
    for _ in range(60):
        assert bucket.wait_us(1, now) == 0
        bucket.take(1)
    assert bucket.wait_us(1, now) == SECOND
    assert bucket.wait_us(1, now + SECOND - 1) == 1
    assert bucket.wait_us(1, now + SECOND) == 0
    assert bucket.wait_us(2, now + SECOND) == SECOND


def test_nothing_is_saved_beyond_a_minute() -> None:
    bucket = Bucket(60, 0)
    assert bucket.wait_us(60, 100 * MINUTE_US) == 0
    bucket.take(60)
    assert bucket.wait_us(60, 100 * MINUTE_US) == MINUTE_US


def test_what_no_bucket_could_hold_goes_when_it_is_full_and_the_next_pay_for_it() -> None:
    bucket = Bucket(100, 0)
    assert bucket.wait_us(250, MINUTE_US) == 0
    bucket.take(250)
    assert bucket.wait_us(1, MINUTE_US) == 151 * MINUTE_US // 100


def test_what_is_given_back_is_there_at_once_and_never_above_the_brim() -> None:
    bucket = Bucket(100, 0)
    bucket.fill(MINUTE_US)
    bucket.take(50)
    bucket.give(80, MINUTE_US)
    assert bucket.wait_us(100, MINUTE_US) == 0
    bucket.take(100)
    assert bucket.wait_us(1, MINUTE_US) > 0


@given(st.integers(1, 10**7), st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=30))
def test_after_exactly_the_time_it_says_a_bucket_gives(rate: int, takes: list[tuple[int, int]]) -> None:
    """And never more than a minute's worth and what flowed in; all in whole numbers."""
    bucket, now, taken = Bucket(rate, 0), 0, 0
    for later, wanted in takes:
        now += later
        amount = min(wanted, rate)
        wait_us = bucket.wait_us(amount, now)
        if wait_us:
            assert bucket.wait_us(amount, now + wait_us - 1) > 0
            now += wait_us
        assert bucket.wait_us(amount, now) == 0
        bucket.take(amount)
        taken += amount
        assert taken * MINUTE_US <= rate * now


# Calls of running attempts


class Desks:
    """Attempts on two models that ask and settle by hand."""

    def __init__(self, rates: Rates, tasks: int = 10, cap_nusd: int | None = None, at_us: int = 0):
        parts = tuple(Task(id=f"t{k}", call="m:f") for k in range(tasks))
        self.plan = Plan(name="p", tasks=parts, limits=Limits(parallel=tasks))
        self.scheduler = self.made(rates)
        self.scheduler.start(begun(self.plan, cap_nusd=cap_nusd), at_us)
        self.log: list[ev.Event] = []
        self.start()

    def made(self, rates: Rates) -> Scheduler:
        return Scheduler(self.plan, None, Chooser(catalogue(m=rates), History()))

    def start(self) -> None:
        for vertex in self.scheduler.picks():
            self.scheduler.begin(vertex, self.scheduler.choice(vertex))
        self.sent()

    def ask(self, task: str, input_tokens: int = 1, output_tokens: int = 1, **more: Any) -> list[str]:
        asked: dict[str, Any] = {"model": "m", "nusd": 1, "call": 1, **more}
        self.scheduler.call_asked(
            f"{task}#1", input_tokens=input_tokens, output_tokens=output_tokens, **asked
        )
        return self.sent()

    def hear(self, task: str, told: Told) -> list[str]:
        self.scheduler.call_heard(f"{task}#1", 1, told)
        return self.sent()

    def settle(self, task: str, usage: dict[str, int], status: str = "ok", certain: bool = True) -> list[str]:
        settled = ev.CallSettled(f"{task}#1", 1, "m", usage, 0, certain, status)
        self.scheduler.call_done(settled)
        return self.sent()

    def tick(self, now_us: int) -> list[str]:
        self.scheduler.tick(now_us)
        return self.sent()

    def sent(self) -> list[str]:
        events, commands = self.scheduler.take()
        self.log = [*getattr(self, "log", []), *events]
        return [c.attempt.partition("#")[0] for c in commands if isinstance(c, ev.Answer) and c.granted]


def test_calls_of_one_model_go_in_turn_and_hold_up_no_other() -> None:
    desks = Desks(Rates(requests=2))
    assert desks.ask("t0") == ["t0"] and desks.ask("t1") == ["t1"]
    assert desks.ask("t2") == [] and desks.ask("t3") == []
    assert desks.ask("t4", model="another") == ["t4"]
    assert desks.scheduler.wake_at_us() == 30 * SECOND
    assert desks.tick(30 * SECOND - 1) == []
    assert desks.tick(30 * SECOND) == ["t2"]
    assert desks.scheduler.wake_at_us() == MINUTE_US
    assert desks.tick(MINUTE_US) == ["t3"]
    assert desks.scheduler.wake_at_us() is None


def test_a_large_call_at_the_head_is_not_overtaken_by_small_ones() -> None:
    desks = Desks(Rates(input_tokens=100))
    assert desks.ask("t0", 50) == ["t0"]
    assert desks.ask("t1", 90) == [] and desks.ask("t2", 10) == []
    assert desks.tick(24 * SECOND) == ["t1"]
    assert desks.tick(30 * SECOND) == ["t2"]


def test_tokens_that_were_read_from_a_cache_count_for_nothing() -> None:
    desks = Desks(Rates(input_tokens=100))
    assert desks.ask("t0", 100) == ["t0"]
    assert desks.ask("t1", 90) == []
    assert desks.settle("t0", {"input": 10, "cache_read": 10_000, "output": 50}) == ["t1"]


def test_output_is_debited_by_what_answers_had_and_put_right_by_what_they_have() -> None:
    desks = Desks(Rates(output_tokens=2 * FIRST_TOKENS))
    assert desks.ask("t0", 1, 16_000) == ["t0"], "by what is possible one would have to wait for minutes"
    assert desks.ask("t1", 1, 16_000) == ["t1"]
    assert desks.ask("t2", 1, 16_000) == []
    assert desks.settle("t0", {"output": 20}) == ["t2"], "980 came back, and the others are taken to be short"
    desks.ask("t3", 1, 16_000)
    assert desks.settle("t1", {"output": 9_000}) == []
    wake = desks.scheduler.wake_at_us()
    assert wake is not None and wake > 3 * MINUTE_US, "the debt is paid first"


def test_a_call_that_was_not_sent_took_nothing_and_one_without_usage_took_what_was_debited() -> None:
    desks = Desks(Rates(requests=1))
    assert desks.ask("t0") == ["t0"]
    assert desks.ask("t1") == desks.ask("t2") == []
    assert desks.settle("t0", {}, ev.NOT_SENT) == ["t1"]
    assert desks.settle("t1", {}, "error") == [], "it was sent"
    tokens = Desks(Rates(input_tokens=10))
    assert tokens.ask("t0", 10) == ["t0"]
    assert tokens.ask("t1", 10) == []
    assert tokens.settle("t0", {}, "no usage arrived", certain=False) == []


def test_money_and_tokens_must_both_be_there() -> None:
    desks = Desks(Rates(requests=1), cap_nusd=100)
    assert desks.ask("t0", nusd=60) == ["t0"]
    assert desks.ask("t1", nusd=60) == []
    assert desks.tick(MINUTE_US) == [], "there is a request to be had, and no money"
    assert desks.settle("t0", {}) == ["t1"]
    assert desks.ask("t2", nusd=10) == []
    assert desks.tick(2 * MINUTE_US) == ["t2"]


def test_what_runs_gets_its_tokens_though_the_run_is_paused() -> None:
    desks = Desks(Rates(requests=1))
    assert desks.ask("t0") == ["t0"]
    desks.ask("t1")
    desks.scheduler.pause("user")
    assert desks.scheduler.wake_at_us() == MINUTE_US
    assert desks.tick(MINUTE_US) == ["t1"]


def test_an_attempt_that_ends_gives_up_its_place() -> None:
    desks = Desks(Rates(requests=1))
    desks.ask("t0")
    desks.ask("t1")
    desks.ask("t2")
    desks.scheduler.ended(ev.AttemptEnded("t1", 1, "cancelled"))
    desks.sent()
    assert desks.tick(MINUTE_US) == ["t2"]


def test_without_rates_nothing_is_kept_and_nothing_waits() -> None:
    desks = Desks(Rates())
    assert desks.ask("t0", 10**9, 10**9) == ["t0"]
    assert desks.scheduler.wake_at_us() is None


def test_after_a_resume_the_buckets_count_as_empty_when_the_other_process_died() -> None:
    first = Desks(Rates(requests=60))
    first.ask("t0")
    second = Desks(Rates(requests=60))
    second.scheduler = second.made(Rates(requests=60))
    for event in first.log:
        second.scheduler.fold(event, 1_000 * SECOND)
    second.scheduler.resume(2, "", 1_002 * SECOND)
    second.start()
    asked = [second.ask(f"t{k}", call=7) for k in range(1, 5)]
    assert asked == [["t1"], ["t2"], [], []], "two seconds have passed, so two may go"


@pytest.mark.parametrize("seconds", [0, 61])
def test_a_new_run_begins_with_full_buckets(seconds: int) -> None:
    desks = Desks(Rates(requests=3), at_us=seconds * SECOND)
    assert [desks.ask(f"t{k}") for k in range(4)] == [["t0"], ["t1"], ["t2"], []]


def test_a_run_keeps_to_its_rates_and_uses_them() -> None:
    stage = Stage(messages=Actor(lambda work: "done", takes_s=0.5, cost_nusd=1, bound_nusd=2))
    tasks = "".join(f"  t{k}: {{prompt: Do {k}, model: haiku}}\n" for k in range(100))
    known = catalogue(claude_haiku_5_5=Rates(requests=20))
    outcome = stage.run(
        f"limits: {{parallel: 8}}\ntasks:\n{tasks}", on="messages", cap_nusd=-1, catalogue=known
    )
    assert outcome.code == EXIT_OK
    sent = [row.at_us for row in stage.journal.read("r") if isinstance(row.event, ev.CallReserved)]
    assert len(sent) == 100
    for k, first in enumerate(sent):
        for j, last in enumerate(sent[k:], 1):
            assert (j - 20) * MINUTE_US <= 20 * (last - first), (
                "never more than a minute's worth and what flows"
            )
    gaps = [later - earlier for earlier, later in pairwise(sent[20:])]
    assert max(gaps) <= 3 * SECOND + SECOND // 10, "one every three seconds, once the first minute's are gone"
    assert 240 <= stage.elapsed_s <= 242


# What responses tell


def test_limits_that_no_settings_name_are_learned_from_the_first_response() -> None:
    desks = Desks(Rates())
    for k in range(3):
        assert desks.ask(f"t{k}") == [f"t{k}"], "nothing is known yet"
    desks.hear("t0", Told(requests=Left(60, 5)))
    asked = [desks.ask(f"t{k}") for k in range(3, 8)]
    assert asked == [["t3"], ["t4"], ["t5"], [], []], "two of the five that were left are on their way"
    assert desks.tick(SECOND) == ["t6"]


def test_what_another_program_uses_up_counts_and_what_the_settings_allow_stays_the_most() -> None:
    desks = Desks(Rates(requests=60))
    assert desks.ask("t0") == ["t0"]
    desks.hear("t0", Told(requests=Left(600, 1)))
    assert desks.ask("t1") == ["t1"]
    assert desks.ask("t2") == []
    assert desks.scheduler.wake_at_us() == SECOND, "one a second, as the settings say"


def test_limits_that_were_learned_may_grow_and_shrink() -> None:
    desks = Desks(Rates())
    desks.ask("t0")
    for limit, wait_us in ((60, SECOND), (600, SECOND // 10), (30, 2 * SECOND)):
        desks.hear("t0", Told(requests=Left(limit, 0)))
        allowance = desks.scheduler.cashier._limiter.of("m")
        assert allowance is not None and allowance.wait_us(0, 0, desks.scheduler.now_us) == wait_us


def test_who_meets_a_bucket_that_others_use_takes_less_of_it_until_they_have_gone() -> None:
    bucket = Bucket(60, 0)
    bucket.give_way(0)
    assert bucket.wait_us(1, 0) == -(-SECOND * 60 // 39), "39 a minute, two thirds of 60 rounded down"
    for _ in range(20):
        bucket.give_way(0)
    assert bucket.flow == 6, "a tenth is ours whatever happens"
    for _ in range(10):
        bucket.agree(60, 5, 0)
    assert bucket.flow == 7, "little is left, so others are still there"
    for _ in range(50):
        bucket.agree(60, 60, 0)
    assert bucket.flow == 60


def test_an_error_gives_back_what_its_answer_would_have_had() -> None:
    desks = Desks(Rates(output_tokens=500))
    assert desks.ask("t0", 1, 500) == ["t0"]
    assert desks.ask("t1", 1, 500) == []
    assert desks.settle("t0", {}, "overloaded_error") == ["t1"], "it wrote nothing"


def test_where_the_provider_serves_no_more_what_waits_is_refused_and_the_run_pauses() -> None:
    desks = Desks(Rates(requests=2))
    assert desks.ask("t0") == ["t0"] and desks.ask("t1") == ["t1"]
    assert desks.ask("t2") == []
    desks.scheduler.call_heard("t0#1", 1, Told(stopped=Stopped("quota", "gone", 3_600 * SECOND)))
    answers = [c for c in desks.scheduler.take()[1] if isinstance(c, ev.Answer)]
    assert [(a.attempt, a.granted, a.why) for a in answers] == [("t2#1", False, "quota")]
    paused = desks.scheduler.state.paused
    assert paused == ev.RunPaused("quota", 3_600 * SECOND, None, "gone")
    desks.scheduler.call_asked("t3#1", 1, 1, model="m")
    assert [c.why for c in desks.scheduler.take()[1] if isinstance(c, ev.Answer)] == ["quota"]
    desks.scheduler.proceed("the provider's window")
    desks.tick(2 * MINUTE_US)
    assert desks.ask("t4") == ["t4"]


@pytest.mark.parametrize("wait_us", [0, 5 * SECOND])
def test_a_provider_that_serves_no_more_is_left_alone_for_a_minute_whatever_it_says(wait_us: int) -> None:
    desks = Desks(Rates())
    desks.ask("t0")
    desks.scheduler.call_heard("t0#1", 1, Told(stopped=Stopped("quota", "gone", wait_us)))
    paused = desks.scheduler.state.paused
    assert paused is not None and paused.until_us == MINUTE_US


def test_an_answer_that_is_still_being_written_is_taken_off_what_is_left() -> None:
    desks = Desks(Rates())
    assert desks.ask("t0", 1, 500) == ["t0"]
    desks.hear("t0", Told(outputs=Left(6_000, 700)))
    assert desks.ask("t1", 1, 200) == ["t1"]
    assert desks.ask("t2", 1, 200) == []


def test_a_refusal_closes_a_model_for_as_long_as_it_says_and_no_other() -> None:
    desks = Desks(Rates())
    desks.ask("t0")
    desks.ask("t1")
    desks.hear("t0", Told(requests=Left(100, 0), refused=True, wait_us=7 * SECOND))
    assert desks.ask("t2") == [] and desks.ask("t3", model="another") == ["t3"]
    assert desks.tick(7 * SECOND - 1) == []
    assert desks.tick(7 * SECOND) == ["t2"]


def test_a_refusal_for_which_the_buckets_give_no_reason_concerns_one_call() -> None:
    desks = Desks(Rates())
    desks.ask("t0")
    desks.hear("t0", Told(requests=Left(100, 50), refused=True, wait_us=7 * SECOND))
    assert desks.ask("t1") == ["t1"]


def test_where_refusals_crowd_fewer_are_in_flight_and_each_windowful_brings_one_more() -> None:
    desks = Desks(Rates())
    for k in range(8):
        desks.ask(f"t{k}")
    for k in range(3):
        desks.hear(f"t{k}", Told(refused=True))
        desks.settle(f"t{k}", {}, "rate_limit_error")
    assert desks.ask("t8") == [], "five are in flight, and three are allowed"
    allowance = desks.scheduler.cashier._limiter.of("m")
    assert allowance is not None and allowance.window == 3
    for k in range(3, 6):
        desks.hear(f"t{k}", Told())
    assert allowance.window == 4


def test_groups_take_turns_and_in_a_group_the_longest_path_goes_first() -> None:
    parts = tuple(
        Group(id=name, tasks=tuple(Task(id=f"t{k}", call="m:f") for k in range(5))) for name in ("a", "b")
    )
    long = Task(id="long", call="m:f", needs=("a.t4",), expect=Expect(time_s=1000.0))
    plan = Plan(name="p", tasks=(*parts, long), limits=Limits(parallel=10))
    desks = Desks(Rates(requests=1))
    desks.scheduler = Scheduler(plan, None, Chooser(catalogue(m=Rates(requests=1)), History()))
    desks.scheduler.start(begun(plan, cap_nusd=None), 0)
    desks.start()
    order = desks.ask("a.t0")
    for name in ("a.t1", "a.t2", "a.t3", "a.t4", "b.t0", "b.t1"):
        assert desks.ask(name) == []
    for minute in range(1, 7):
        order += desks.tick(minute * MINUTE_US)
    assert order == ["a.t0", "a.t4", "b.t0", "a.t1", "b.t1", "a.t2", "a.t3"]


@given(st.integers(0, 10**6))
def test_no_more_calls_are_in_flight_than_a_client_can_carry(seed: int) -> None:
    desks = Desks(Rates(), tasks=MOST_AT_ONCE + 5)
    went = [name for k in range(MOST_AT_ONCE + 5) for name in desks.ask(f"t{k}")]
    assert len(went) == MOST_AT_ONCE
    first = f"t{seed % MOST_AT_ONCE}"
    assert desks.settle(first, {"output": 1}) == [f"t{MOST_AT_ONCE}"]
