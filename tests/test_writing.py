"""A plan written as YAML: read again it is the same plan, and people can read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.plan.model import Each, Group, Input, Limits, Output, Plan, Quorum, Task, to_data
from stretto.spec.compile import compile_plan
from stretto.spec.writing import plan_yaml, short_of
from stretto.spec.yaml import read_yaml

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "examples").rglob("*.yaml"), ROOT / "src" / "stretto" / "cli" / "example.yaml"])


def read(text: str, source: str = "plan.yaml") -> Plan:
    plan, findings = compile_plan(read_yaml(text, source), source=source, text=text)
    assert plan is not None, findings
    return plan


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_example_survives(path: Path) -> None:
    plan = read(path.read_text(), path.name)
    assert to_data(read(plan_yaml(plan), path.name)) == to_data(plan)


def test_it_reads_as_a_person_writes() -> None:
    listing = Task(id="list", run=("git", "ls-files", "*.py"), output=Output(kind="lines"))
    each = Each(over="${list}", name="file", max=500)
    scan = Task(id="scan", prompt="List what is risky in ${file}", model="haiku", each=each, attempts=2)
    merge = Task(
        id="merge", prompt="Merge:\nkeep the lines", reduce="${scan}", timeout_s=5400.0, model="sonnet"
    )
    plan = Plan(
        name="audit",
        tasks=(listing, replace(scan, quorum=Quorum(tolerate_share=0.05)), merge),
        inputs={"repo": Input(type="path", default=".")},
        limits=Limits(usd_nusd=5_000_000_000),
    )
    assert plan_yaml(plan, ["Goal: find out"]) == (
        "# Goal: find out\n"
        "stretto: 1\n"
        "name: audit\n"
        "inputs: {repo: {type: path, default: .}}\n"
        "limits: {usd: 5.00}\n"
        "tasks:\n"
        '  list: {run: [git, ls-files, "*.py"], output: lines}\n'
        "  scan:\n"
        '    each: "${list}"\n'
        "    as: file\n"
        "    max: 500\n"
        "    tolerate: 5%\n"
        '    prompt: "List what is risky in ${file}"\n'
        "    model: haiku\n"
        "    attempts: 2\n"
        "  merge:\n"
        '    reduce: "${scan}"\n'
        "    prompt: |-\n"
        "      Merge:\n"
        "      keep the lines\n"
        "    model: sonnet\n"
        "    timeout: 1h30m\n"
    )


def test_a_serial_group_does_not_say_its_order_twice() -> None:
    stages = tuple(Task(id=name, prompt=f"Do {name}") for name in ("build", "test", "ship"))
    plan = read(plan_yaml(Plan(name="p", tasks=(Group(id="all", tasks=stages, order="serial"),))))
    text = plan_yaml(plan)
    assert "order: serial" in text and "needs" not in text
    assert read(text) == plan


def test_a_long_prompt_is_folded_and_stays_what_it_was() -> None:
    prompt = " ".join(["word"] * 60)
    text = plan_yaml(Plan(name="p", tasks=(Task(id="a", prompt=prompt),)))
    assert "prompt: >-" in text and max(map(len, text.splitlines())) <= 110
    (task,) = read(text).tasks
    assert isinstance(task, Task) and task.prompt == prompt


def test_a_schema_is_written_short_where_that_means_the_same() -> None:
    assert short_of({"type": "array", "items": {"type": "string"}}) == ["string"]
    wide = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert short_of(wide) is wide, "it is open, and short forms are closed"


def test_a_comment_may_be_any_text() -> None:
    plan = Plan(name="p", tasks=(Task(id="a", prompt="Say hello"),))
    assert read(plan_yaml(plan, ["two\nlines", "a bell \x07, a half \ud800, a mark \ufeff"])) == plan


TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab \n:#-'\"{}[]|>%@&*!?,.0123456789~`\t"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0$"),
    ),
    min_size=1,
    max_size=80,
).filter(lambda text: bool(text.strip()))


@given(TEXTS)
def test_any_prompt_survives(text: str) -> None:
    plan = Plan(name="p", tasks=(Task(id="a", prompt=text), Task(id="b", run=("echo", text))))
    assert read(plan_yaml(plan)) == plan


@given(st.lists(st.one_of(TEXTS, st.integers(), st.booleans(), st.none()), min_size=1, max_size=5))
def test_any_list_survives(entries: list[object]) -> None:
    task = Task(id="a", prompt="Say ${item}", each=Each(over=entries, max=max(100, len(entries))))
    assert read(plan_yaml(Plan(name="p", tasks=(task,)))) == Plan(name="p", tasks=(task,))


@given(st.integers(0, 10**15), st.floats(0.001, 10**6, allow_nan=False))
def test_money_and_time_survive(nusd: int, seconds: float) -> None:
    task = Task(id="a", prompt="Say hello", usd_cap_nusd=nusd, timeout_s=round(seconds, 3))
    (made,) = read(plan_yaml(Plan(name="p", tasks=(task,)))).tasks
    assert made == task
