"""Figures: declared beats measured beats prior, and the range of a total holds what happens."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from stretto.estimate.pieces import Widths, piece_of
from stretto.estimate.sampling import Sampler, money_of
from stretto.models import BUILTIN, is_free
from stretto.models.catalogue import ModelInfo
from stretto.models.choice import Chooser
from stretto.models.facts import Facts, facts_of
from stretto.models.figures import Figure, figure
from stretto.models.history import History, Outcome
from stretto.models.measured import AGAIN, EFFORTS, Fit, median, unstalled
from stretto.plan.graph import build
from stretto.plan.model import Expect, Plan, Task

HAIKU = BUILTIN.resolve("haiku")
SONNET = BUILTIN.resolve("sonnet")


def facts(task: Task | None = None, on: str = "messages") -> Facts:
    task = task or Task(id="t", prompt="Fix the bug in the parser", family="f", effort="high")
    plan = Plan(name="p", tasks=(task,))
    return facts_of(build(plan).elements[task.id], "p", on, BUILTIN)


def outcome(
    nusd: int,
    seconds: float,
    *,
    family: str = "f",
    model: ModelInfo = HAIKU,
    role: str = "work",
    signature: str = "",
    effort: str = "high",
    agent: str = "messages",
    size: int = 0,
    output_tokens: int = 0,
) -> Outcome:
    return Outcome(
        signature=signature,
        family=family,
        kind="development",
        model=model.id,
        tier=model.tier,
        effort=effort,
        role=role,
        ok=True,
        verified=False,
        cost_nusd=nusd,
        seconds=seconds,
        output_tokens=output_tokens,
        agent=agent,
        size=size,
    )


def learned(*outcomes: Outcome) -> History:
    history = History()
    for one in outcomes:
        history.add(one)
    return history


def expected(
    history: History, model: ModelInfo = HAIKU, of: Facts | None = None, role: str = "work"
) -> Figure:
    return figure(of or facts(), model, BUILTIN, history, role=role)


def nusd(of: Figure) -> float:
    assert of.nusd is not None
    return of.nusd


# Priors


def test_a_prior_is_one_call_without_tools_and_reads_again_with_them() -> None:
    plain = expected(History())
    assert (plain.known, plain.known_seconds, plain.calls, plain.cache_read_tokens) == (
        "prior",
        "prior",
        1,
        0,
    )
    tools = expected(History(), of=facts(Task(id="t", prompt="Fix it", tools=("read",))))
    assert tools.calls > 1
    assert tools.cache_read_tokens > tools.output_tokens
    claude = expected(History(), of=facts(Task(id="t", prompt="Fix it"), on="claude"))
    assert claude.cache_read_tokens > 20 * claude.output_tokens, "agent traffic is mostly re-read context"
    assert nusd(claude) > nusd(tools) > nusd(plain)


def test_dearer_models_and_more_effort_cost_more_and_short_answers_less() -> None:
    history = History()
    assert nusd(expected(history, SONNET)) > 5 * nusd(expected(history, HAIKU))
    low = facts(Task(id="t", prompt="Fix it", effort="low"))
    high = facts(Task(id="t", prompt="Fix it", effort="high"))
    assert nusd(expected(history, of=low)) < nusd(expected(history, of=high))
    short = expected(history, of=facts(Task(id="t", prompt="Fix it", max_tokens=50)))
    assert short.output_tokens <= 50 * HAIKU.token_factor


def test_a_judge_says_little_about_much() -> None:
    judge = expected(History(), role="check")
    work = expected(History())
    assert judge.output_tokens < work.output_tokens
    assert judge.input_tokens > work.input_tokens


def test_no_price_is_none() -> None:
    made = expected(History(), BUILTIN.info("someone-elses-model"))
    assert made.nusd is None
    assert made.seconds > 0


# Declared, measured, prior


def test_declared_beats_measured_beats_prior() -> None:
    history = learned(*(outcome(5_000_000 + k, 40.0 + k) for k in range(12)))
    seen = expected(history)
    assert (seen.known, seen.known_seconds, seen.n) == ("history", "history", 12)
    assert nusd(seen) == pytest.approx(5_000_000, rel=0.05)
    assert seen.seconds == pytest.approx(45, rel=0.05)
    assert seen.sd_log < 0.4 < expected(History()).sd_log
    declared = facts(Task(id="t", prompt="Fix it", family="f", expect=Expect(nusd=7, tokens=100)))
    told = expected(history, of=declared)
    assert (told.nusd, told.sd_log, told.mean_sd_log, told.model_sd_log, told.known) == (
        7,
        0,
        0,
        0,
        "declared",
    )
    assert told.known_seconds == "history", "of time nothing is declared"
    assert told.tokens == 100


def test_one_outcome_says_something_and_twenty_say_more() -> None:
    prior = nusd(expected(History()))
    one = expected(learned(outcome(int(20 * prior), 10.0)))
    many = expected(learned(*(outcome(int(20 * prior), 10.0) for _ in range(20))))
    assert 2 * prior < nusd(one) < 30 * prior
    assert nusd(many) == pytest.approx(20 * prior, rel=0.05)
    assert one.mean_sd_log + one.model_sd_log > 2 * (many.mean_sd_log + many.model_sd_log)


def test_a_family_of_its_own_and_one_that_nobody_has_seen() -> None:
    cheap = [outcome(1_000_000 + k, 10.0, family="cheap") for k in range(20)]
    dear = [outcome(50_000_000 + k, 100.0, family="dear") for k in range(20)]
    other = [outcome(7_000_000 + k, 30.0, family=f"other {k % 4}") for k in range(20)]
    fit = Fit([(o.family, "", 0, float(o.cost_nusd)) for o in (*cheap, *dear, *other)])
    assert fit.expected("cheap").mean == pytest.approx(1_000_000, rel=0.1)
    assert fit.expected("dear").mean == pytest.approx(50_000_000, rel=0.1)
    new = fit.expected("new")
    assert 2_000_000 < new.mean < 100_000_000
    assert new.n == 0
    assert new.family_sd_log > 3 * fit.expected("dear").family_sd_log


def test_the_same_task_again_is_known_best() -> None:
    random = Random(1)
    others = [outcome(int(4e6 * exp(random.gauss(0, 0.8))), 20.0, signature=f"o{k}") for k in range(30)]
    history = learned(*others, outcome(9_000_000, 50.0, signature="this"))
    again = expected(history, of=facts()._replace(signature="this"))
    other = expected(history)
    assert nusd(again) == pytest.approx(9_000_000, rel=0.2)
    assert AGAIN <= again.sd_log < 0.4 < other.sd_log


def test_a_longer_prompt_asks_for_more_but_not_without_end() -> None:
    rows = [("f", "", size, 1_000.0 * size) for size in (50, 100, 200, 400, 800) for _ in range(4)]
    fit = Fit(rows)
    assert 0.7 < fit.elasticity <= 1
    assert fit.expected("f", "", 800).mean > 5 * fit.expected("f", "", 50).mean
    assert fit.expected("f", "", 10**6).mean == fit.expected("f", "", 1_200).mean
    assert fit.expected("f", "", 0).mean > 0


def test_effort_moves_money_and_time() -> None:
    history = learned(*(outcome(1_000_000, 10.0, effort="medium") for _ in range(10)))
    low = expected(history, of=facts(Task(id="t", prompt="Fix it", family="f", effort="low")))
    medium = expected(history, of=facts(Task(id="t", prompt="Fix it", family="f", effort="medium")))
    assert nusd(medium) == pytest.approx(1_000_000, rel=0.05)
    assert nusd(low) / nusd(medium) == pytest.approx(EFFORTS["low"] / EFFORTS["medium"], rel=0.05)


def test_another_model_is_a_guide_but_a_doubtful_one() -> None:
    history = learned(*(outcome(1_000_000, 10.0) for _ in range(20)))
    there = expected(history, SONNET)
    assert there.known == "history"
    assert nusd(there) > 5 * 1_000_000
    assert there.model_sd_log >= 0.5


def test_what_a_pretender_did_teaches_nothing_about_others() -> None:
    history = learned(*(outcome(1_000_000, 10.0, agent="simulated") for _ in range(20)))
    assert expected(history).known == "prior"
    assert expected(history, of=facts(on="simulated")).known == "history"


def test_checks_and_work_are_apart() -> None:
    history = learned(*(outcome(1_000_000, 10.0, role="check") for _ in range(5)))
    assert expected(history).known == "prior"
    assert expected(history, role="check").known == "history"


def test_tokens_go_with_the_money() -> None:
    history = learned(*(outcome(1_000_000, 10.0, output_tokens=700) for _ in range(10)))
    assert expected(history).output_tokens == pytest.approx(700, rel=0.1)


def test_a_stall_is_not_how_long_work_takes() -> None:
    fast = [outcome(1_000, 10.0 + k % 3, output_tokens=600) for k in range(12)]
    history = learned(*fast, outcome(1_000, 400.0, output_tokens=650))
    assert expected(history).seconds < 20
    attempts = history.measured.attempts(False, HAIKU.id, "work")
    assert max(unstalled(attempts)) < 60
    long = learned(*fast, outcome(1_000, 400.0, output_tokens=24_000))
    assert max(unstalled(long.measured.attempts(False, HAIKU.id, "work"))) == 400, "these tokens explain it"


def test_figures_that_are_all_the_same_break_nothing() -> None:
    fit = Fit([("f", "", 10, 5.0)] * 10)
    assert fit.expected("f", "", 10).mean == pytest.approx(5.0, rel=0.02)
    assert Fit([]).n == 0
    assert Fit([("f", "", 0, 0.0)]).n == 0, "nothing was paid, so nothing is said"
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5


# Calibration


@pytest.mark.parametrize(("spread", "families"), [(0.35, 3), (0.8, 10)])
def test_the_range_of_a_total_holds_what_happens(spread: float, families: int) -> None:
    """On made-up log-normal work: of 120 ranges most hold the truth, and not nearly all of them."""
    random = Random(7)
    tasks = tuple(
        Task(id=f"t{k}", prompt="Do it", model="haiku", attempts=1, effort="high") for k in range(40)
    )
    held = 0
    for number in range(120):
        means = [4e6 * exp(random.gauss(0, 0.4)) for _ in range(families)]
        truth, history = 0.0, History()
        for k in range(80):
            family = k % families
            drawn = means[family] * exp(random.gauss(0, spread) - spread**2 / 2)
            if k < 40:
                history.add(outcome(int(drawn), 1.0, family=str(family)))
            else:
                truth += drawn
        plan = Plan(
            name="p", tasks=tuple(_in_family(task, str((k + 40) % families)) for k, task in enumerate(tasks))
        )
        chooser = Chooser(BUILTIN, history)
        pieces = [piece_of(e, plan, "messages", chooser, is_free) for e in build(plan).elements.values()]
        sampler = Sampler(Widths({}), 300, number)
        sampler.add(pieces)
        low, _, high = money_of(sampler.total.nusd)
        held += low <= truth <= high
    assert 0.66 <= held / 120 <= 0.92


def _in_family(task: Task, family: str) -> Task:
    return Task(
        id=task.id, prompt=task.prompt, model=task.model, attempts=1, effort=task.effort, family=family
    )
