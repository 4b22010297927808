"""The table of requirement R4: the declared figures of each line come out to the cent and the minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stretto.cli.locking import approved
from stretto.estimate import Estimate, estimate
from stretto.estimate.against import with_comparisons
from stretto.plan.model import Plan
from stretto.spec.load import inputs_from, load
from tests.driving import Project

FOLDER = Path(__file__).parent.parent / "examples" / "costs"


class Beside(NamedTuple):
    """Another way to do the same: its figures, and how the plan stands beside it."""

    name: str
    usd: float | None = None
    minutes: float | None = None
    usd_saved: int | None = None
    """Per cent, as the documents round it."""
    minutes_saved: int | None = None
    cheaper: float | None = None
    faster: float | None = None


class Line(NamedTuple):
    """One line of the table; None: the table says nothing of it."""

    plan: str
    tasks: int
    usd: float | None
    minutes: float | None
    beside: Beside | None = None


TABLE = [
    Line("fan_out", 5, 0.50, 2, Beside("sequential", minutes=10, faster=5)),
    Line("pipeline", 3, None, 15, Beside("sequential", minutes=15, faster=1)),
    Line("hierarchy", 6, 2.50, 8),
    Line("scatter_gather", 5, None, 7),
    Line("data_gathering", 4, 0.20, 1),
    Line("development", 4, 0.80, None),
    Line("strategy", 3, 4.50, None),
    Line("right_model", 4, 1.60, None, Beside("all-strongest", usd=3.90, usd_saved=59)),
    Line("parallel_haiku", 10, 0.50, 3, Beside("one-opus", usd=3.00, minutes=20, cheaper=6, faster=6.7)),
    Line("hybrid", 6, 2.00, 8, Beside("all-opus", usd=7.50, minutes=25, usd_saved=73, minutes_saved=68)),
    Line("five_services", 5, None, 5, Beside("sequential", minutes=25, faster=5)),
    Line("feature", 5, 2.30, 11),
    Line("refactoring", 12, 3.70, 17),
]


def compiled(name: str) -> Plan:
    plan, findings, _ = load(FOLDER / f"{name}.yaml")
    assert plan is not None
    assert [f for f in findings if f.severity != "info"] == []
    return plan


def estimated(name: str) -> Estimate:
    plan = compiled(name)
    return estimate(plan, "messages", inputs=inputs_from(plan, {}), samples=200, time_s=1.0)


def test_every_line_of_the_table_is_a_plan_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(row.plan for row in TABLE)
    assert len(TABLE) == 13


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row.plan))
def test_a_line_comes_out_to_the_cent_and_the_minute(row: Line) -> None:
    holds(row, with_comparisons(estimated(row.plan)))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row.plan))
def test_a_line_comes_out_of_the_command_too(row: Line, tmp_path: Path) -> None:
    answer = Project(tmp_path)("estimate", str(FOLDER / f"{row.plan}.yaml"), "--json")
    assert answer.code == 0, answer.err
    holds(row, answer.json)
    assert not (tmp_path / ".stretto").exists()


def holds(row: Line, data: dict[str, Any]) -> None:
    """Every figure of the line, exactly; where the table names none, a figure is still there."""
    assert sum(group["tasks"] for group in data["groups"]) == row.tasks
    assert {group["known"] for group in data["groups"]} == {"declared"}
    if row.usd is not None:
        assert data["usd"] == {"low": row.usd, "expected": row.usd, "high": row.usd}
    if row.minutes is not None:
        seconds = 60 * row.minutes
        assert data["seconds"] == {"low": seconds, "expected": seconds, "high": seconds}
        assert {group["known_seconds"] for group in data["groups"]} == {"declared"}
    if row.beside is not None:
        beside_holds(row.beside, data)


def beside_holds(beside: Beside, data: dict[str, Any]) -> None:
    found = data["baselines"][beside.name]
    if beside.usd is not None:
        assert (found["usd"], found["known"]) == (beside.usd, "declared")
    if beside.minutes is not None:
        assert (found["seconds"], found["known"]) == (60 * beside.minutes, "declared")
    if beside.usd_saved is not None:
        assert round(100 * found["saved"]["usd"]) == beside.usd_saved
    if beside.minutes_saved is not None:
        assert round(100 * found["saved"]["seconds"]) == beside.minutes_saved
    if beside.cheaper is not None:
        assert round(found["factor"]["usd"], 1) == beside.cheaper
    if beside.faster is not None:
        assert round(found["factor"]["seconds"], 1) == beside.faster
    if beside.name == "sequential":
        assert found["seconds"] == data["sequential_seconds"]


@pytest.mark.parametrize("name", ["fan_out", "pipeline", "five_services"])
def test_one_after_another_is_the_sum(name: str) -> None:
    minutes = {"fan_out": 10, "pipeline": 15, "five_services": 25}
    assert estimated(name).data()["sequential_seconds"] == 60 * minutes[name]


def test_what_is_approved_is_the_declared_sum_exactly() -> None:
    assert approved(estimated("right_model")) == 1_600_000_000


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row.plan))
def test_a_plan_passes_check(row: Line, tmp_path: Path) -> None:
    answer = Project(tmp_path)("check", str(FOLDER / f"{row.plan}.yaml"))
    assert answer.code == 0, answer.out
