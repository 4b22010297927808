"""Lock files: what is approved is what runs, every difference is named at once, and damage is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stretto import events as ev
from stretto.errors import EXIT_COULD_NOT, EXIT_LIMIT, EXIT_OK
from stretto.journal.sqlite import SqliteJournal
from stretto.plan.model import canonical
from stretto.spec.lock import read_lock
from stretto.spec.sources import hashes_of
from tests.driving import Project, golden, normal, pretty

PRICED = "simulated:latency=0,priced=true"
PLAN = """\
stretto: 1
name: report
inputs: {topic: {type: string, default: prices}, seen: {type: path, default: "."}}
limits: {usd: 5}
tasks:
  sizes: {call: "measures:sizes"}
  write: {prompt: "Write about ${topic} with ${sizes}", model: haiku, check: "checks:has_words"}
  judge: {prompt: "Judge ${write}", model: sonnet}
"""
MEASURES = "from pieces.inner import number\n\n\ndef sizes():\n    return [number]\n"
LOCK = "plan.lock.json"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, PLAN)
    (tmp_path / "measures.py").write_text(MEASURES)
    (tmp_path / "checks.py").write_text("def has_words(output):\n    return bool(output)\n")
    (tmp_path / "pieces").mkdir()
    (tmp_path / "pieces" / "__init__.py").write_text("")
    (tmp_path / "pieces" / "inner.py").write_text("number = 3\n")
    (tmp_path / "other.py").write_text("unused = 1\n")
    return made


def lock(project: Project, *words: str) -> Path:
    answer = project("estimate", "plan.yaml", "--on", PRICED, "--lock", *words)
    assert answer.code == EXIT_OK, answer.err
    return project.root / LOCK


def change(path: Path, edit: Callable[[dict[str, Any]], None], *, sign: bool = True) -> None:
    """Makes a lock of another time: edited, and signed as the program would have."""
    data = json.loads(path.read_text())
    edit(data)
    data.pop("sha256")
    signed = hashlib.sha256(canonical(data).encode()).hexdigest()
    path.write_text(json.dumps({**data, "sha256": signed if sign else "0" * 64}))


def drift(project: Project, *words: str) -> list[str]:
    """What `run LOCK` says is different; it has started nothing."""
    before = project("ls", "--json").json["runs"]
    answer = project("run", LOCK, "--json", *words)
    assert answer.code == EXIT_LIMIT, answer
    assert answer.json["error"]["slug"] == "lock-drift"
    assert project("ls", "--json").json["runs"] == before
    assert all(f["slug"] == "lock-drift" for f in answer.json["findings"])
    return [finding["message"] for finding in answer.json["findings"]]


def started(project: Project) -> ev.RunStarted:
    journal = SqliteJournal(project.root)
    try:
        event = next(iter(journal.read(project.last))).event
    finally:
        journal.close()
    assert isinstance(event, ev.RunStarted)
    return event


def blob(project: Project, sha: str) -> bytes:
    journal = SqliteJournal(project.root)
    try:
        return journal.blob(sha)
    finally:
        journal.close()


# What is in it


def test_a_lock_is_the_same_text_each_time_and_names_no_place(project: Project) -> None:
    first = lock(project).read_text()
    assert lock(project).read_text() == first
    assert str(project.root) not in first
    assert first == json.dumps(json.loads(first), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_a_lock_holds_the_plan_the_models_and_their_prices(project: Project) -> None:
    data = json.loads(lock(project, "--in", "topic=tea", "--parallel", "3").read_text())
    assert data["schema"] == "stretto/lock/1"
    assert data["plan"]["name"] == "report"
    assert data["plan_sha256"] == hashlib.sha256(canonical(data["plan"]).encode()).hexdigest()
    assert data["models"] == {"simulated/haiku": "claude-haiku-5-5", "simulated/sonnet": "claude-sonnet-5-5"}
    haiku = data["catalogue"]["claude-haiku-5-5"]
    assert haiku["tier"] == "haiku"
    assert {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"} <= set(haiku["price"])
    assert all(isinstance(nusd, int) for nusd in haiku["price"].values())
    assert (data["inputs"], data["on"], data["parallel"]) == ({"topic": "tea"}, PRICED, 3)
    assert set(data["sources"]) == {"measures", "checks", "pieces", "pieces.inner"}
    assert data["approved_nusd"] == round(data["estimate"]["usd"]["high"] * 1e9)


def test_a_lock_can_be_written_elsewhere_and_still_finds_its_functions(project: Project) -> None:
    (project.root / "locks").mkdir()
    answer = project("estimate", "plan.yaml", "--on", PRICED, "--lock", "locks/may.lock.json")
    assert "stretto run locks/may.lock.json" in answer.out
    assert read_lock(project.root / "locks" / "may.lock.json").folder == ".."
    assert project("run", "locks/may.lock.json", "--quiet").code == EXIT_OK


def test_a_lock_is_known_by_its_name(project: Project) -> None:
    answer = project("estimate", "plan.yaml", "--on", PRICED, "--lock", "lock.json")
    assert (answer.code, "[usage]" in answer.err) == (EXIT_COULD_NOT, True)
    lock(project)
    again = project("estimate", LOCK, "--lock")
    assert "name the plan that it was made from" in again.err


def test_sources_are_followed_through_imports_and_not_executed(tmp_path: Path) -> None:
    (tmp_path / "measures.py").write_text("import pieces.a\nfrom pieces import b\nimport json, os\n")
    (tmp_path / "checks.py").write_text("this is no Python")
    (tmp_path / "pieces").mkdir()
    (tmp_path / "pieces" / "__init__.py").write_text("raise SystemExit('executed')\n")
    (tmp_path / "pieces" / "a.py").write_text("from . import c\nfrom .d import x\n")
    for name in "bcd":
        (tmp_path / "pieces" / f"{name}.py").write_text("x = 1\n")
    plan = Project(tmp_path, PLAN)
    assert plan.root == tmp_path
    locked = read_plan(tmp_path)
    found = hashes_of(locked, [tmp_path])
    assert set(found) == {
        "checks",
        "measures",
        "pieces",
        "pieces.a",
        "pieces.b",
        "pieces.c",
        "pieces.d",
    }


def read_plan(root: Path) -> Any:
    answer = Project(root, PLAN)("estimate", "plan.yaml", "--on", PRICED, "--lock")
    assert answer.code == EXIT_OK, answer.err
    return read_lock(root / LOCK).plan


# What runs


def test_a_lock_runs_without_the_plan_it_was_made_from(project: Project) -> None:
    text = lock(project, "--in", "topic=tea").read_text()
    project.plan.unlink()
    answer = project("run", LOCK, "--json")
    assert answer.code == EXIT_OK, answer.err
    event = started(project)
    assert blob(project, event.lock).decode() == text
    assert event.approved_nusd == json.loads(text)["approved_nusd"]
    assert event.inputs["topic"] == "tea"
    assert "tea" in project("show", "last", "--task", "write", "--prompt").out


def test_the_cap_is_that_of_the_lock_unless_another_is_given(project: Project) -> None:
    lock(project, "--usd", "2")
    assert project("run", LOCK, "--json").json["usd_cap"] == 2
    assert project("run", LOCK, "--usd", "1", "--json").json["usd_cap"] == 1


def test_an_edited_plan_changes_nothing_of_a_locked_run(project: Project) -> None:
    lock(project)
    project.plan.write_text(PLAN.replace("Judge", "Change"))
    assert project("run", LOCK, "--quiet").code == EXIT_OK
    assert "Judge" in project("show", "last", "--task", "judge", "--prompt").out


def test_a_part_of_a_lock_cannot_be_run(project: Project) -> None:
    lock(project)
    for words in (("--until", "write"), ("--only", "write"), ("--plan", "x")):
        answer = project("run", LOCK, *words)
        assert (answer.code, "[usage]" in answer.err) == (EXIT_COULD_NOT, True)


def test_a_lock_can_be_priced_and_dry_run_again(project: Project) -> None:
    lock(project)
    project.plan.unlink()
    assert project("estimate", LOCK, "--json").json["on"] == PRICED
    assert project("run", LOCK, "--dry-run", "--json").json["on"] == PRICED


# What is refused


def test_nothing_has_drifted_of_itself(project: Project) -> None:
    lock(project)
    (project.root / "other.py").write_text("unused = 2\n")
    assert project("run", LOCK, "--in", "topic=prices", "--quiet").code == EXIT_OK


def test_a_changed_function_is_drift(project: Project) -> None:
    lock(project)
    (project.root / "pieces" / "inner.py").write_text("number = 4\n")
    assert drift(project) == ["functions: the file of the module pieces.inner has changed"]
    (project.root / "measures.py").unlink()
    assert "functions: the file of the module measures is gone" in drift(project)


def test_a_changed_input_or_agent_is_drift(project: Project) -> None:
    lock(project)
    assert drift(project, "--in", "topic=tea") == ["input topic: prices in the lock, tea now"]
    assert drift(project, "--on", "simulated") == [f"--on: {PRICED} in the lock, simulated now"]
    assert drift(project, "--parallel", "2") == ["--parallel: unknown in the lock, 2 now"]


def test_a_changed_price_is_drift(project: Project) -> None:
    lock(project)
    (project.root / "stretto.toml").write_text(
        "[models.claude-haiku-5-5]\n"
        "usd_per_mtok = {input = 0.2, output = 0.5, cache_read = 0.01, "
        "cache_write = 0.125, cache_write_1h = 0.2}\n"
        "long = {above = 100_000, factor = 5}\n"
    )
    found = drift(project)
    haiku = "price of claude-haiku-5-5, input"
    assert found == [
        f"{haiku}: $0.1 per million in the lock, $0.2 per million now",
        f"{haiku} above 100000 tokens: $0.5 per million in the lock, $1 per million now",
    ]


def test_another_model_behind_a_name_is_drift(project: Project) -> None:
    lock(project)
    (project.root / "stretto.toml").write_text('[aliases]\nsonnet = "claude-sonnet-5"\n')
    assert drift(project) == [
        "model simulated/sonnet: claude-sonnet-5-5 in the lock, claude-sonnet-5 now",
    ]


def test_every_difference_is_named_at_once(project: Project) -> None:
    def earlier(data: dict[str, Any]) -> None:
        data["stretto"] = "1.4.0"
        data["models"]["simulated/sonnet"] = "claude-sonnet-5-0"
        data["catalogue"]["claude-sonnet-5-0"] = data["catalogue"].pop("claude-sonnet-5-5")
        data["catalogue"]["claude-haiku-5-5"]["context"] = 100_000
        data["catalogue"]["claude-haiku-5-5"]["price"] = None

    change(lock(project), earlier)
    (project.root / "measures.py").write_text("def sizes():\n    return [4]\n")
    found = drift(project, "--in", "topic=tea")
    assert len(found) == 8, found
    answer = project("run", LOCK, "--in", "topic=tea")
    golden("lock-drift.txt", normal(answer.err, project.root))
    golden("lock-drift.json", pretty(project("run", LOCK, "--in", "topic=tea", "--json").out))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: '{"name": "left-pad", "lockfileVersion": 3}',
        lambda text: text.replace("stretto/lock/1", "stretto/lock/9"),
        lambda text: text.replace("Judge", "Drudge"),
        lambda text: text.replace('"seed": 0', '"seed": 1'),
        lambda text: "[" * 100_000,
        lambda text: text + "\ud800",
        lambda text: text.replace("plan", "nalp"),
    ],
)
def test_damage_is_known(project: Project, damage: Callable[[str], str]) -> None:
    path = lock(project)
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogatepass"))
    for verb in ("run", "estimate"):
        answer = project(verb, LOCK, "--json")
        assert (answer.code, answer.json["error"]["slug"]) == (EXIT_COULD_NOT, "bad-lock"), answer


def test_a_signed_lock_without_its_parts_is_refused_too(project: Project) -> None:
    for part in ("plan", "models", "on", "sources"):
        path = lock(project)
        change(path, lambda data, part=part: data.pop(part))  # type: ignore[misc]
        assert "[bad-lock]" in project("run", LOCK).err
    path = lock(project)
    change(path, lambda data: data["plan"]["tasks"][0].pop("id"))
    assert "[bad-lock]" in project("run", LOCK).err


def test_a_lock_that_is_not_there_is_met_like_a_plan_that_is_not(project: Project) -> None:
    assert "[unreadable-plan]" in project("run", "gone.lock.json").err


def test_a_lock_can_be_checked(project: Project) -> None:
    lock(project)
    assert project("check", LOCK).last_line.startswith("report: 3 tasks")
