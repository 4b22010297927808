"""Which model a task is given, by what happened before, by the kind of work, and by what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.models import BUILTIN, Catalogue, ModelInfo
from stretto.models.belief import PRIORS, Bet, Rung, after_failure, bets, prior_chance, shrink, wrong_share
from stretto.models.choice import Chooser, Decision
from stretto.models.facts import Facts
from stretto.models.history import History, Outcome
from stretto.models.kind import Kind

TIERS = ("haiku", "sonnet", "opus")
IDS = {tier: BUILTIN.resolve(tier).id for tier in TIERS}
UNDECIDED = Kind("", 0.0, ())


def facts(**changed: object) -> Facts:
    usual = Facts(
        path="t",
        family="f",
        signature="",
        text="",
        kind=UNDECIDED,
        agent="messages",
        ladder=TIERS,
        fixed=False,
        effort="",
        tools=(),
        writes=False,
        check="executable",
        input_tokens=500,
        max_tokens=16_000,
        turns=20,
        expect=None,
    )
    return usual._replace(**changed)  # type: ignore[arg-type]


def outcome(tier: str = "haiku", ok: bool = True, **changed: object) -> Outcome:
    usual = Outcome("", "f", "", IDS[tier], tier, "", "work", ok, True, 10**7, 5.0)
    return usual._replace(**changed)  # type: ignore[arg-type]


def chooser(*outcomes: Outcome, catalogue: Catalogue = BUILTIN, **options: float) -> Chooser:
    made = Chooser(catalogue, History(), **options)  # type: ignore[arg-type]
    for one in outcomes:
        made.learn(one)
    return made


def decide(made: Chooser, task: Facts, failed: tuple[int, ...] = ()) -> Decision:
    decision = made.decide(task, failed)
    assert decision is not None
    return decision


OUTCOMES = st.lists(
    st.builds(
        outcome,
        tier=st.sampled_from(TIERS),
        ok=st.booleans(),
        signature=st.sampled_from(["", "a", "b"]),
        family=st.sampled_from(["f", "g"]),
        kind=st.sampled_from(["", "development"]),
        role=st.sampled_from(["work", "work", "shadow"]),
        verified=st.booleans(),
        cost_nusd=st.integers(0, 10**9),
    ),
    max_size=25,
)
TASKS = st.builds(
    facts,
    signature=st.sampled_from(["", "a"]),
    kind=st.sampled_from([UNDECIDED, Kind("mechanical", 0.9, ("list",)), Kind("strategy", 0.6, ())]),
    check=st.sampled_from(["", "executable", "judged"]),
    bounded=st.booleans(),
    input_tokens=st.sampled_from([100, 150_000, 2_000_000]),
)


# Before anything is known


@pytest.mark.parametrize(
    ("kind", "tier", "effort"),
    [
        ("mechanical", "haiku", "low"),
        ("development", "sonnet", "medium"),
        ("strategy", "opus", "high"),
        ("", "sonnet", "medium"),
    ],
)
@pytest.mark.parametrize("check", ["", "judged"])
def test_without_evidence_the_kind_of_work_decides(kind: str, tier: str, effort: str, check: str) -> None:
    sure = 0.8 if kind else 0.0
    task = facts(kind=Kind(kind, sure, ("says so",)), check=check)  # type: ignore[arg-type]
    decision = decide(chooser(), task)
    assert (decision.tier, decision.model, decision.effort) == (tier, IDS[tier], effort)
    assert decision.confidence == "none" and (decision.expected_nusd or 0) > 0


def test_a_check_that_runs_lets_a_cheaper_model_go_first() -> None:
    decision = decide(chooser(), facts())
    assert decision.tier == "haiku" and decision.runner_up and decision.why_not
    assert "may try before opus" in decision.reasons[0]


def test_it_starts_lower_only_where_that_pays() -> None:
    """A cheaper model at nearly the same price does not."""
    own = BUILTIN.price_of(IDS["opus"])
    assert own is not None
    dear = Catalogue(prices={IDS["haiku"]: own, IDS["sonnet"]: own})
    assert decide(chooser(catalogue=dear), facts()).tier == "opus"


def test_without_a_price_nothing_is_bet() -> None:
    models = tuple(ModelInfo(f"own-{name}", name) for name in ("small", "middle", "big"))
    own = Catalogue(models=models, auto_tiers=("small", "middle", "big"))
    task = facts(ladder=own.auto_tiers, agent="openai")
    assert decide(chooser(catalogue=own), task).tier == "middle"
    strategy = task._replace(kind=Kind("strategy", 1.0, ()))
    assert decide(chooser(catalogue=own), strategy).tier == "big"


def test_the_record_is_plain_data_in_units_for_people() -> None:
    made = chooser(*[outcome()] * 200)
    data = decide(made, facts()).data()
    assert json.loads(json.dumps(data)) == data
    assert {"tier", "model", "effort", "reasons", "chance", "confidence", "runner_up", "why_not"} <= set(data)
    assert 0.001 < data["expected_usd"] < 0.1 and 0.5 < data["expected_s"] < 50


def test_effort_is_what_the_author_wrote_and_only_where_a_model_has_levels() -> None:
    assert decide(chooser(), facts(effort="max")).effort == "max"
    assert decide(chooser(), facts(ladder=("claude-haiku-4-5", "opus"), bounded=True)).effort == ""


# What the author said


@given(OUTCOMES, TASKS, st.sampled_from(["haiku", "opus", "claude-sonnet-4-6"]))
def test_a_named_model_is_always_honoured(outcomes: list[Outcome], task: Facts, name: str) -> None:
    decision = decide(chooser(*outcomes), task._replace(ladder=(name,), fixed=True, effort="low"))
    assert decision.model == BUILTIN.resolve(name).id and decision.rung == 0
    assert (decision.confidence, decision.effort) == ("declared", "low")
    assert chooser(*outcomes).decide(task._replace(ladder=(name,), fixed=True), (0,)) is None


def test_a_named_start_is_kept_until_it_has_failed_often() -> None:
    task = facts(ladder=("sonnet", "opus"), bounded=True, check="")
    assert decide(chooser(), task).tier == "sonnet"
    assert decide(chooser(), task, (0,)).tier == "opus"
    often = [outcome("sonnet", ok=False)] * 20
    assert decide(chooser(*often), task._replace(check="executable")).tier == "opus"


# Learning


@given(OUTCOMES, st.sampled_from(TIERS), st.sampled_from(["", "a"]), st.integers(0, 10**9))
def test_one_more_success_never_lowers_a_chance(
    outcomes: list[Outcome], tier: str, signature: str, cost: int
) -> None:
    before = belief(outcomes, tier, signature)
    more = outcome(tier, signature=signature, cost_nusd=cost)
    assert belief([*outcomes, more], tier, signature) >= before - 1e-9
    assert belief([*outcomes, more._replace(ok=False)], tier, signature) <= before + 1e-9


def belief(outcomes: Sequence[Outcome], tier: str, signature: str) -> float:
    history = chooser(*outcomes).history
    ladder = [Rung(IDS[name], name, 0.5, 0.2) for name in TIERS]
    # The weaker rungs are left out: what is learned of them carries over to this one on purpose.
    one = ladder[TIERS.index(tier) :]
    return bets(history, "f", "", signature, one, PRIORS)[0].fresh


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.02, 0.99))
def test_a_failure_before_never_makes_a_success_likelier(chance: float, weaker: float, other: float) -> None:
    low, high = sorted((weaker, other))
    empty = History()
    after = after_failure(empty, "f", "", "m", chance, low, PRIORS)
    assert after <= max(chance, 0.01) + 1e-9
    assert after_failure(empty, "f", "", "m", chance, high, PRIORS) <= after + 1e-9


def test_a_rung_that_fails_is_given_up_and_one_that_does_is_kept() -> None:
    bad, good = [outcome(ok=False)] * 25, [outcome()] * 25
    assert decide(chooser(*bad), facts()).tier != "haiku"
    kept = decide(chooser(*good), facts())
    assert kept.tier == "haiku" and kept.confidence == "high" and (kept.chance or 0) > 0.9


def test_what_one_family_does_says_little_of_another() -> None:
    """A family is one voice, however many tasks it has."""
    bad = [outcome(ok=False, family="g")] * 500
    assert decide(chooser(*bad), facts()).tier == "haiku"
    everywhere = [outcome(ok=False, family=f"g{n}") for n in range(40) for _ in range(10)]
    assert decide(chooser(*everywhere), facts()).tier != "haiku"


def test_a_task_is_remembered() -> None:
    """Its own failure outweighs what its siblings do."""
    siblings = [outcome(signature=f"s{n}") for n in range(5)]
    made = chooser(*siblings, outcome(ok=False, signature="a"), outcome("opus", signature="a"))
    assert made.knows("a") and not made.knows("new")
    assert decide(made, facts(signature="new")).tier == "haiku"
    assert decide(made, facts(signature="a")).tier == "opus"


def test_real_costs_replace_list_prices() -> None:
    """Haiku that costs as much as Opus, because it talks so much, is not worth its chance."""
    pairs = []
    for n in range(12):
        pairs += [
            outcome(ok=n % 2 == 0, signature=f"s{n}", cost_nusd=9 * 10**7),
            outcome("opus", signature=f"s{n}", cost_nusd=10**8),
        ]
    assert decide(chooser(*pairs), facts()).tier == "opus"


@pytest.mark.parametrize("check", ["", "judged"])
def test_history_overrules_the_kind_of_work(check: str) -> None:
    task = facts(kind=Kind("development", 0.9, ()), check=check)
    seen: dict[str, Any] = {"kind": "development"}
    done_lower = [outcome("haiku", **seen)] * 12
    assert decide(chooser(*done_lower), task).tier == "haiku"
    failed_here = [outcome("sonnet", ok=False, **seen)] * 6
    decision = decide(chooser(*failed_here), task)
    assert decision.tier == "opus" and decision.runner_up == "sonnet"
    refused = [outcome("sonnet", ok=False, verified=False, **seen)] * 6
    assert decide(chooser(*refused), task).tier == "opus"


# Climbing


@given(OUTCOMES, TASKS)
def test_climbing_ends_at_the_strongest_and_never_comes_back(outcomes: list[Outcome], task: Facts) -> None:
    made = chooser(*outcomes)
    failed: tuple[int, ...] = ()
    decision = made.decide(task)
    while decision is not None:
        assert decision.rung > max(failed, default=-1)
        assert decision.model == BUILTIN.resolve(TIERS[decision.rung]).id
        failed = (*failed, decision.rung)
        decision = made.decide(task, failed)
    assert failed and failed[-1] == len(TIERS) - 1, "a task is not given up while a stronger rung is left"


def test_a_rung_that_does_not_pay_is_skipped() -> None:
    """Where the cheap one nearly always succeeds, its failure says that the task is hard."""
    made = chooser(*[outcome()] * 30)
    assert decide(made, facts(), (0,)).tier == "opus"
    helps = []
    for n in range(10):
        helps += [outcome(ok=False, signature=f"s{n}"), outcome("sonnet", signature=f"s{n}")]
    assert decide(chooser(*helps), facts(), (0,)).tier == "sonnet"


@given(OUTCOMES, st.sampled_from(["", "a"]))
def test_no_other_ladder_is_expected_to_cost_less(outcomes: list[Outcome], signature: str) -> None:
    """Against all ladders written out, one by one."""
    made = chooser(*outcomes)
    task = facts(signature=signature)
    decision = decide(made, task)
    known = signature if made.knows(signature) else ""
    prices = [BUILTIN.cost_nusd(IDS[tier], {"input": 1_000, "output": 200}) or 0 for tier in TIERS]
    ladder = [
        Rung(IDS[tier], tier, prior_chance(place - 1, PRIORS), price / prices[-1])
        for place, (tier, price) in enumerate(zip(TIERS, prices, strict=True))
    ]
    found = bets(made.history, "f", "", known, ladder, PRIORS)
    off = [t for t in TIERS[:-1] if wrong_share(made.history, "f", t, PRIORS) > 0.15]
    allowed = [rung for rung in (0, 1) if TIERS[rung] not in off]
    starts = {
        (*below, 2): expected(found, (*below, 2))
        for size in range(len(allowed) + 1)
        for below in combinations(allowed, size)
    }
    least = min(starts.values())
    mine = min(cost for rungs, cost in starts.items() if rungs[0] == decision.rung)
    assert mine == pytest.approx(least, abs=0.02)


def expected(found: Sequence[Bet], rungs: Sequence[int]) -> float:
    """What a ladder costs, in attempts of the strongest."""
    total, reached = 0.0, 1.0
    for place, rung in enumerate(rungs):
        bet = found[rung]
        if rung == 2:
            return total + reached
        chance, wrong = (bet.after, bet.wrong_after) if place else (bet.fresh, bet.wrong_fresh)
        total += reached * (bet.cost + PRIORS.wrong_price * wrong)
        reached *= 1 - chance
    raise AssertionError


# Contexts


def test_a_model_that_cannot_hold_the_task_is_left_out() -> None:
    small = facts(ladder=("claude-haiku-4-5", "claude-opus-5"), input_tokens=195_000, bounded=True)
    decision = decide(chooser(), small)
    assert decision.model == "claude-opus-5" and any("left out" in reason for reason in decision.reasons)
    nowhere = decide(chooser(), facts(input_tokens=5_000_000))
    assert any("no model holds" in reason for reason in nowhere.reasons)


# Shadows


def test_wrong_results_switch_a_tier_off_aloud() -> None:
    made = chooser(*[outcome()] * 10)
    judged = [made.learn(outcome(role="shadow", ok=ok)) for ok in (True, True, False, False, False)]
    said = [switch for switch in judged if switch is not None]
    assert len(said) == 1
    assert (said[0].family, said[0].tier, said[0].on) == ("f", "haiku", False)
    assert "were wrong" in said[0].evidence
    decision = decide(made, facts())
    assert decision.tier != "haiku" and any("switched off" in reason for reason in decision.reasons)
    assert decide(made, facts(family="g")).tier == "haiku"
    assert decide(made, facts(ladder=("haiku",), fixed=True)).tier == "haiku"


def test_good_verdicts_switch_it_on_again() -> None:
    made = chooser()
    switches = [made.learn(outcome(role="shadow", ok=ok)) for ok in (False, *[True] * 10)]
    assert [switch.on for switch in switches if switch is not None] == [False, True]


def test_the_strongest_is_never_switched_off() -> None:
    made = chooser(*[outcome("opus", ok=False, role="shadow")] * 20, *[outcome(ok=False)] * 30)
    assert decide(made, facts(), (0, 1)).tier == "opus"


def test_audits_are_a_sample_of_their_size_that_repeats_itself() -> None:
    made, twin = chooser(shadow=0.1, seed=3), chooser(shadow=0.1, seed=3)
    decision = decide(made, facts())
    drawn = [made.audits(facts(path=f"t.{n}"), decision, 1) for n in range(5_000)]
    assert drawn == [twin.audits(facts(path=f"t.{n}"), decision, 1) for n in range(5_000)]
    assert 0.08 < sum(drawn) / 5_000 < 0.12
    other = chooser(shadow=0.1, seed=4)
    assert drawn != [other.audits(facts(path=f"t.{n}"), decision, 1) for n in range(5_000)]


def test_nothing_is_audited_unasked_nor_the_strongest_by_itself() -> None:
    assert not chooser().audits(facts(), decide(chooser(), facts()), 1)
    every = chooser(shadow=1.0)
    assert every.audits(facts(), decide(every, facts()), 1)
    assert not every.audits(facts(), decide(every, facts(), (0, 1)), 1)
    assert not every.audits(
        facts(ladder=("opus",), fixed=True), decide(every, facts(ladder=("opus",), fixed=True)), 1
    )


# Determinism


@given(OUTCOMES, TASKS)
def test_the_same_history_gives_the_same_choice(outcomes: list[Outcome], task: Facts) -> None:
    one, other = chooser(*outcomes), chooser(*outcomes)
    assert one.decide(task) == other.decide(task) == one.decide(task)
    assert one.decide(task, (0,)) == other.decide(task, (0,))


def test_a_choice_is_made_anew_when_something_was_learned() -> None:
    made = chooser()
    first, version = decide(made, facts()), made.version
    assert decide(made, facts(path="another")) is first
    made.learn(outcome(ok=False))
    assert made.version != version and decide(made, facts()) != first


def test_evidence_moves_a_belief_by_its_weight() -> None:
    assert shrink(0.5, 0, 0, 4) == 0.5
    assert shrink(0.5, 4, 4, 4) == 0.75
    assert shrink(0.5, 400, 400, 4, most=4) == 0.75
