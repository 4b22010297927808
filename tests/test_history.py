"""What history counts, and that it counts in constant time what a slow reading would find."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.models.history import FAMILY, NOTHING, History, Outcome, Pair, Verdicts


def outcome(**changed: object) -> Outcome:
    usual = Outcome("", "f", "mechanical", "small", "haiku", "", "work", True, True, 1_000, 1.0)
    return usual._replace(**changed)  # type: ignore[arg-type]


def history(*outcomes: Outcome) -> History:
    made = History()
    for one in outcomes:
        made.add(one)
    return made


OUTCOMES = st.lists(
    st.builds(
        outcome,
        signature=st.sampled_from(["", "a", "b", "c"]),
        family=st.sampled_from(["f", "g", "h"]),
        kind=st.sampled_from(["", "mechanical"]),
        model=st.sampled_from(["small", "large"]),
        role=st.sampled_from(["work", "work", "work", "shadow", "check"]),
        ok=st.booleans(),
        verified=st.booleans(),
        cost_nusd=st.integers(0, 10_000),
        seconds=st.floats(0, 100),
    ),
    max_size=30,
)


def test_nothing_is_known_at_first() -> None:
    empty = History()
    assert empty.version == 0 and not empty.knows("a") and not empty.knows("")
    assert empty.of_family("f", "", "small") is NOTHING and empty.of_all("haiku").n == 0
    assert empty.verdicts("f", "haiku") == Verdicts(0, 0)
    assert empty.pair("f", "", "small", "large").n == 0


def test_work_counts_by_model_and_by_tier_in_every_place() -> None:
    made = history(outcome(signature="a"), outcome(signature="a", ok=False, cost_nusd=3_000, seconds=3.0))
    for tally in (
        made.of_task("a", "small"),
        made.of_family("f", "mechanical", "haiku"),
        made.of_kind("mechanical", "small"),
        made.of_all("haiku"),
    ):
        assert (tally.n, tally.ok, tally.nusd, tally.mean_nusd, tally.mean_s) == (2, 1, 4_000, 2_000, 2.0)
    assert made.of_family("f", "", "small") is NOTHING
    assert made.knows("a") and made.version == 2


def test_a_dear_failure_weighs_more_than_a_cheap_success() -> None:
    """The share of dollars, not of tasks: one of two solved, for a quarter of the money."""
    tally = history(outcome(), outcome(ok=False, cost_nusd=3_000)).of_family("f", "mechanical", "small")
    assert tally.tried == pytest.approx(2.5) and tally.passed == pytest.approx(1.0)


def test_no_single_outcome_outvotes_a_family() -> None:
    tally = history(*[outcome()] * 9, outcome(ok=False, cost_nusd=10**9)).of_all("small")
    assert tally.tried == pytest.approx(9 + 4.0)


def test_what_nothing_checked_says_nothing_of_success() -> None:
    tally = history(outcome(verified=False), outcome(verified=False, ok=False)).of_all("small")
    assert (tally.n, tally.ok, tally.tried) == (2, 1, 0)


def test_only_the_verdict_of_a_shadow_is_kept() -> None:
    made = history(outcome(role="shadow"), outcome(role="shadow", ok=False), outcome(role="check"))
    assert made.verdicts("f", "haiku") == Verdicts(2, 1)
    assert made.of_all("small").n == 0 and made.version == 3


def test_two_models_at_one_task_make_a_pair_and_the_second_came_after_a_failure() -> None:
    first = outcome(signature="a", ok=False)
    second = outcome(signature="a", model="large", tier="opus", cost_nusd=5_000)
    made = history(first, second)
    assert made.pair("f", "mechanical", "small", "large") == Pair(1, 1_000, 5_000)
    assert made.pair("f", "mechanical", "large", "small") == Pair(1, 5_000, 1_000)
    assert made.ratios("g", "", "small", "large").weight == pytest.approx(1 / (1 + FAMILY))
    assert made.ratios("f", "mechanical", "small", "large").weight == pytest.approx(0)
    large = made.of_all("large")
    assert (large.tried, large.after_tried, large.after_passed) == (0, 1, 1)


def test_another_try_of_the_same_model_is_no_pair() -> None:
    made = history(outcome(signature="a", ok=False), outcome(signature="a"))
    assert made.of_all("small").after_tried == 0 and made.pair("f", "mechanical", "small", "small").n == 0


def test_spread_of_the_logarithm() -> None:
    costs = [int(1e9 * exp(x)) for x in (0.0, 1.0, 2.0)]
    tally = history(*(outcome(cost_nusd=cost, seconds=cost / 1e9) for cost in costs)).of_all("small")
    assert tally.sd_log_nusd == pytest.approx(1.0, rel=1e-6) and tally.sd_log_s == pytest.approx(
        1.0, rel=1e-6
    )
    assert tally.log_nusd / 3 == pytest.approx(log(exp(1.0)), rel=1e-6)
    assert history(outcome()).of_all("small").sd_log_nusd == 0


@given(OUTCOMES)
def test_each_family_is_one_voice_among_the_others(outcomes: list[Outcome]) -> None:
    """What is kept up to date equals what all tallies say, read one by one."""
    made = history(*outcomes)
    for who in ("small", "large", "haiku"):
        for family in ("f", "g", "h"):
            others = [made.of_family(other, "mechanical", who) for other in "fgh" if other != family]
            said = made.other_families(family, "mechanical", who)
            assert said.weight == pytest.approx(sum(t.tried / (t.tried + FAMILY) for t in others))
            assert said.passed == pytest.approx(sum(t.passed / (t.tried + FAMILY) for t in others))
            assert said.weight < len(others)
        elsewhere = made.other_kinds("mechanical", who)
        kin = [made.of_family(family, "", who) for family in "fgh"]
        assert elsewhere.weight == pytest.approx(sum(t.tried / (t.tried + FAMILY) for t in kin))


@given(OUTCOMES)
def test_sums_are_those_of_the_outcomes(outcomes: list[Outcome]) -> None:
    made = history(*outcomes)
    work = [o for o in outcomes if o.role == "work"]
    assert made.version == len(outcomes)
    assert made.of_all("haiku").nusd == sum(o.cost_nusd for o in work)
    for model in ("small", "large"):
        mine = [o for o in work if o.model == model]
        tally = made.of_all(model)
        assert (tally.n, tally.ok) == (len(mine), sum(o.ok for o in mine))
        assert 0 <= tally.passed <= tally.tried + 1e-9
        assert tally.tried + tally.after_tried <= 4 * sum(o.verified for o in mine) + 1e-9
