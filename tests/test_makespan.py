"""The order of starts, longest remaining path first, against what no order could beat."""

from __future__ import annotations

import statistics

import pytest
from bench.makespan import GOAL, PLANS, SEED, Case, Row, makespan_s, measure, table


def medians(rows: list[Row]) -> tuple[float, float]:
    return statistics.median(row.urgent for row in rows), statistics.median(row.fifo for row in rows)


def test_the_urgent_first_beat_the_first_in() -> None:
    rows = [measure(seed, 0.6) for seed in range(SEED, SEED + 30)]
    urgent, fifo = medians(rows)
    assert urgent < 1.08 and urgent < fifo
    assert all(row.urgent >= row.sharper * 0.98 for row in rows), "or the bound is none"
    assert all(row.sharper >= 1.0 for row in rows)


def test_the_same_plan_takes_the_same_time_again() -> None:
    assert makespan_s(Case(7, 0.0), urgent_first=True) == makespan_s(Case(7, 0.0), urgent_first=True)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "goal"), [(0.0, GOAL), (0.6, 1.06)])
def test_the_median_of_500_plans_is_within_the_goal(
    noise: float, goal: float, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [measure(seed, noise) for seed in range(SEED, SEED + PLANS)]
    with capsys.disabled():
        print(f"\nmakespan over lower bound, times known within sd(log) {noise:g}", *table(rows), sep="\n")
    urgent, fifo = medians(rows)
    assert urgent <= goal < fifo
