"""Tasks that do not fit their model: found by `check` where that is certain, else before any call is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto import events as ev
from stretto.agents.messages import MessagesAgent
from stretto.journal.memory import MemoryJournal
from stretto.models import BUILTIN, Catalogue, ModelInfo
from stretto.models.windows import cached_tokens, estimate_tokens, least_tokens, room_tokens, surely_above
from stretto.plan.finding import Finding
from stretto.run import Options, run_plan
from stretto.spec.compile import compile_plan
from stretto.spec.raw import wrap
from stretto.spec.yaml import read_yaml
from tests.asking import ask
from tests.desks import work
from tests.fakeapi import FakeApi

SMALL = "claude-haiku-4-5"
"""200,000 tokens of context, 64,000 of an answer."""
WORDS = "word " * 200_000

# How long a text is


@given(st.text())
def test_a_text_has_at_least_what_it_has_for_certain(text: str) -> None:
    assert least_tokens(text) <= max(len(text.encode(errors="surrogatepass")), 0)
    assert surely_above(text, 10**9) == surely_above(text, None) == 0


def test_prose_is_between_what_is_certain_and_what_is_estimated() -> None:
    prose = "The quick brown fox jumps over the lazy dog, and nobody is surprised any more. " * 100
    assert least_tokens(prose) == 1_500 < len(prose) / 4.2 < estimate_tokens(prose)
    assert least_tokens("x" * 160) == 10, "a blob is not one token"


def test_what_a_model_counts_decides_what_it_caches() -> None:
    older, newer = BUILTIN.info(SMALL), BUILTIN.info("claude-haiku-5-5")
    assert cached_tokens("a" * 4_000, older) == 1_000 < cached_tokens("a" * 4_000, newer)


def test_the_room_is_what_an_answer_leaves() -> None:
    info = BUILTIN.info(SMALL)
    assert room_tokens(info, 16_000) == 184_000
    assert room_tokens(info, 90_000) == 136_000, "it gives no more than it can"
    assert room_tokens(ModelInfo("anything"), 16_000) is None


# Before the run


def found(tasks: str, **more: Any) -> list[Finding]:
    text = f"stretto: 1\ntasks:\n{tasks}"
    _, findings = compile_plan(read_yaml(text, "p.yaml"), source="p.yaml", text=text, **more)
    return findings


def test_a_prompt_that_is_certainly_too_long_is_an_error_at_its_place() -> None:
    (finding,) = found(f'  big:\n    model: {SMALL}\n    prompt: "{WORDS}"\n')
    assert (finding.severity, finding.slug, finding.at) == ("error", "cannot-fit", "p.yaml:5:13")
    assert "at least 200,000 tokens" in finding.message
    assert "184,000 beside an answer of 16,000" in finding.message
    assert "larger context" in finding.fix and finding.tasks == ("big",)


@pytest.mark.parametrize(
    "fields",
    ["model: haiku", f"model: {{from: {SMALL}, to: opus}}", "model: auto", "model: claude-next-1"],
    ids=["larger", "climbs", "chosen", "unknown context"],
)
def test_what_some_model_of_the_ladder_can_take_is_no_error(fields: str) -> None:
    assert found(f'  big: {{{fields}, prompt: "{WORDS}"}}\n') == []


@pytest.mark.parametrize(
    "tasks",
    [
        f'  a: {{each: ["x", "{WORDS}"], prompt: "Look at ${{item}}", model: {SMALL}}}\n',
        f'  a: {{prompt: "Look at ${{text}}", model: {SMALL}}}\ninputs: {{text: {{default: "{WORDS}"}}}}\n',
        f'  g: {{each: ["{WORDS}"], as: x, tasks: {{a: {{prompt: "${{x}}", model: {SMALL}}}}}}}\n',
    ],
    ids=["item", "input", "item of a group"],
)
def test_literal_items_and_inputs_count_as_text(tasks: str) -> None:
    (finding,) = found(tasks)
    assert (finding.severity, finding.slug) == ("error", "cannot-fit")


def test_a_text_that_probably_does_not_fit_is_a_warning() -> None:
    dense = "x=1;" * 150_000
    (finding,) = found(f'  a: {{prompt: "{dense}", model: {SMALL}}}\n')
    assert (finding.severity, finding.slug) == ("warning", "cannot-fit")
    assert "200,000 (its own text)" in finding.message


def test_a_long_list_of_outputs_is_a_warning_with_the_mend() -> None:
    tasks = """\
  list: {run: [ls], output: lines}
  files: {each: "${list}", max: 400, prompt: "Sum up ${item}", model: haiku}
  all: {prompt: "Merge ${files}", model: claude-haiku-4-5}
"""
    (finding,) = found(tasks)
    assert (finding.severity, finding.at) == ("warning", "p.yaml:5:17")
    assert "400,000 (${files}, 400 outputs)" in finding.message
    assert 'reduce: "${files}"' in finding.fix and "larger context" in finding.fix
    assert found(tasks.replace("400", "150")) == [], "they fit"
    assert found(tasks.replace("claude-haiku-4-5", "haiku")) == []


def test_a_small_model_cannot_take_what_may_be_handed_over() -> None:
    small = ModelInfo("small", context=16_000, max_output=4_000)
    catalogue = Catalogue(models=(*BUILTIN.models, small))
    tasks = "  a: {prompt: One}\n  b: {prompt: Two}\n  c: {prompt: Both, needs: [a, b], model: small}\n"
    (finding,) = found(tasks, catalogue=catalogue)
    assert "16,000 (handed over, at most)" in finding.message
    assert found(tasks.replace("[a, b]", "[a]"), catalogue=catalogue) == []
    merging = '  p: {run: [ls], output: lines}\n  c: {reduce: "${p}", prompt: Merge, model: small}\n'
    (finding,) = found(merging, catalogue=catalogue)
    assert finding.fix.startswith("lower `fan_in`")


def test_an_answer_that_leaves_no_room_is_an_error() -> None:
    catalogue = Catalogue(models=(*BUILTIN.models, ModelInfo("tiny", context=8_192)))
    (finding,) = found("  a: {prompt: Hello, model: tiny}\n", catalogue=catalogue)
    assert (finding.severity, finding.fix) == ("error", "write a lower one, such as max_tokens: 2048")
    assert found("  a: {prompt: Hello, model: tiny, max_tokens: 2048}\n", catalogue=catalogue) == []


def test_an_answer_longer_than_the_model_gives_is_a_warning_where_it_was_asked_for() -> None:
    (finding,) = found(f"  a: {{prompt: Go, model: {SMALL}, max_tokens: 90000}}\n")
    assert (finding.severity, finding.slug) == ("warning", "max-tokens-too-high")
    assert finding.at == "p.yaml:3:56" and "64,000" in finding.message
    short = Catalogue(models=(*BUILTIN.models, ModelInfo("short", context=100_000, max_output=8_000)))
    assert found("  a: {prompt: Go, model: short}\n", catalogue=short) == [], "nobody asked for 16,000"


def test_agents_without_a_known_model_are_left_alone() -> None:
    for on in ("local", "openai"):
        assert found(f'  a: {{on: {on}, prompt: "{WORDS}"}}\n') == []


def test_a_plan_of_ten_thousand_tasks_is_looked_at_in_no_time() -> None:
    tasks = {f"t{k}": {"prompt": f"Look at number {k}", "model": "haiku"} for k in range(10_000)}
    _, findings = compile_plan(wrap({"stretto": 1, "tasks": tasks}, "p"), source="p")
    assert findings == []


# At run time


def test_an_attempt_that_cannot_fit_asks_for_no_money() -> None:
    with FakeApi() as api:
        result, desk = ask(lambda: MessagesAgent(api.url), work(WORDS, model=SMALL))
        assert api.requests()["count"] == 0
    assert (result.outcome, result.cls, result.final) == ("cut_off", "task", True)
    assert "at least 200,000 tokens" in result.error
    assert desk.calls == []


@pytest.mark.parametrize(("ladder", "models"), [(SMALL, 1), (f"{{from: {SMALL}, to: opus}}", 2)])
def test_it_fails_at_once_or_climbs_to_a_model_with_more_room(
    tmp_path: Path, ladder: str, models: int
) -> None:
    (tmp_path / "words.txt").write_text(WORDS)
    text = f'stretto: 1\ntasks:\n  t: {{run: [cat, words.txt]}}\n  a: {{prompt: "${{t}}", model: {ladder}}}\n'
    plan, _ = compile_plan(read_yaml(text, "p.yaml"), source="p.yaml")
    assert plan is not None
    journal = MemoryJournal()
    with FakeApi() as api:
        options = Options(on=f"messages:{api.url}", cap_nusd=10**12, control=False)
        outcome = asyncio.run(run_plan(plan, options, journal, tmp_path, run="r"))
        calls = api.requests()["count"]
    ended = [row.event for row in journal.read("r") if isinstance(row.event, ev.AttemptEnded)]
    assert [e.outcome for e in ended if e.task == "a"] == ["cut_off", "ok"][:models]
    assert outcome.status == ("succeeded" if models > 1 else "failed")
    assert calls == models - 1
