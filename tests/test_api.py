"""The façade: what `from stretto import ...` gives, and what it costs to import it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import stretto
from stretto import PlanError, StrettoError, Task, api, fan_out, hierarchy
from stretto.plan import model


def test_importing_stretto_alone_loads_none_of_its_rooms() -> None:
    probe = "import sys, stretto; print(*[name for name in sys.modules if name.startswith('stretto.')])"
    answer = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, timeout=60)

    assert (answer.stdout, answer.stderr) == (b"\n", b"")


def test_every_name_is_there_and_no_other() -> None:
    for name in stretto.__all__:
        assert getattr(stretto, name).__name__ == name
    assert set(stretto.__all__) <= set(dir(stretto))
    assert set(api.__all__) <= set(stretto.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(stretto, "nonsense")  # noqa: B009


def test_a_pattern_checks_itself() -> None:
    sound = fan_out(Task("A"), Task("B"))
    wrong = fan_out(Task("A", attempts=0), Task("B ${nobody}"))

    assert [finding for finding in sound.check() if finding.severity != "info"] == []
    errors = {finding.slug for finding in wrong.check() if finding.severity == "error"}
    assert errors == {"wrong-value", "unknown-reference"}
    assert all(finding.at.startswith(f"{__file__}:") for finding in wrong.check())


def test_a_task_and_a_plan_do_too() -> None:
    plans = (Task("List all files in src"), stretto.Plan(Task("List all files in src"), name="p"))
    assert {finding.severity for plan in plans for finding in plan.check()} <= {"info"}
    assert all(len(plan.checklist()) == 7 for plan in plans)


def test_a_plan_is_data_or_an_error_with_everything_that_is_wrong() -> None:
    made = api.compiled(hierarchy(Task("P", output=[str]), do=lambda m: Task(f"Do {m}"), name="h"))

    assert isinstance(made, model.Plan)
    assert [part.id for part in made.tasks] == ["p", "do"]
    with pytest.raises(PlanError) as caught:
        api.compiled(fan_out(Task("A", attempts=0), Task("B ${nobody}")))
    assert len(caught.value.findings) == 2


def test_a_plan_is_called_like_its_file() -> None:
    assert api.compiled(Task("A")).name == "test_api"


def test_a_plan_is_priced_as_the_command_does(tmp_path: Path) -> None:
    plan = fan_out(Task("A", model="haiku"), Task("B", model="haiku"), name="two")

    found = plan.estimate(root=tmp_path)
    assert found.worst.nusd is not None and found.worst.nusd > 0
    data = found.data()
    assert (data["schema"], data["plan"], data["on"]) == ("stretto/estimate/1", "two", "messages")
    assert 0 < data["usd"]["low"] <= data["usd"]["expected"] <= data["usd"]["high"]
    assert plan.estimate(on="simulated", root=tmp_path).worst.nusd == 0
    assert not list(tmp_path.iterdir())


def test_run_sync_inside_a_loop_says_what_to_write() -> None:
    async def inside() -> None:
        Task("A").run_sync()

    with pytest.raises(StrettoError) as caught:
        asyncio.run(inside())
    assert (caught.value.slug, caught.value.next) == ("loop-is-running", "write `await plan.run()`")
