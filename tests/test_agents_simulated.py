"""The `simulated` agent: seeded, honest about itself, and only as costly as it is asked to be."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto.agents import CallRefused, Result
from stretto.agents.instances import instance
from stretto.agents.simulated import Options, Simulated, options_of
from stretto.errors import StrettoError
from tests import autojump
from tests.desks import FakeDesk, work

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """In virtual time: hours of pretended work take nothing."""
    return autojump.run(main)


def results(options: str, count: int = 400, seed: int = 0, **given_: Any) -> list[Result]:
    async def main() -> list[Result]:
        agent = Simulated(seed, options_of(options))
        asked = [work("Say hello", task=f"t.{k}", **given_) for k in range(count)]
        return await asyncio.gather(*(agent.run(w, FakeDesk()) for w in asked))

    return run(main())


def took_s(options: str, **given_: Any) -> float:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await Simulated(1, options_of(options)).run(work(**given_), FakeDesk())
        return loop.time() - started

    return run(main())


def test_the_answer_says_what_it_is() -> None:
    (result,) = results("", 1)
    assert result.output == "[simulated] Say hello"


def test_the_same_seed_gives_the_same_in_any_order() -> None:
    assert results("fail=0.5", seed=3) == results("fail=0.5", seed=3)
    assert results("fail=0.5", seed=3) != results("fail=0.5", seed=4)
    assert results("fail=0.5,seed=3", seed=4) == results("fail=0.5", seed=3)


def test_it_depends_on_the_attempt_and_not_on_the_run() -> None:
    assert results("fail=0.5", run="a") == results("fail=0.5", run="b")
    assert results("fail=0.5", n=1) != results("fail=0.5", n=2)


def test_failures_come_as_often_as_they_should_and_of_every_kind() -> None:
    kinds = Counter((r.outcome, r.cls) for r in results("fail=0.2", 2_000))
    assert kinds.pop(("ok", "")) == pytest.approx(1_600, abs=60)
    assert set(kinds) == {
        ("error", "transient"),
        ("error", "task"),
        ("refused", "task"),
        ("cut_off", "task"),
    }
    assert all(r.error.startswith("[simulated]") for r in results("fail=1", 50))


def test_weaker_tiers_fail_more_tasks() -> None:
    failed = {
        model: sum(r.outcome != "ok" for r in results("task=0.2", 800, model=model))
        for model in ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2")
    }
    assert list(failed.values()) == sorted(failed.values(), reverse=True)
    assert failed["claude-haiku-5-5"] == pytest.approx(240, abs=40)


def test_a_used_up_quota_is_of_class_run() -> None:
    (result,) = results("quota=1", 1)
    assert (result.cls, result.why) == ("run", "quota")
    assert result.reset_s


def test_time_is_that_of_the_tier_or_as_given() -> None:
    assert took_s("speed=1") == pytest.approx(20 * took_s("speed=20"))
    assert took_s("speed=1", model="claude-opus-5-5") > took_s("speed=1", model="claude-haiku-5-5") > 1
    assert took_s("latency=0") == 0


def test_a_long_attempt_gives_signs_of_life() -> None:
    desk = FakeDesk()
    run(Simulated(1, options_of("latency=600")).run(work(), desk))
    assert desk.beats > 10


def test_a_stalled_one_gives_none_until_it_is_stopped() -> None:
    desk = FakeDesk()
    with pytest.raises(asyncio.TimeoutError):
        run(asyncio.wait_for(Simulated(1, options_of("stall=1")).run(work(), desk), 3600))
    assert desk.beats == 0


def test_it_asks_for_money_only_when_it_is_priced() -> None:
    free, priced = FakeDesk(), FakeDesk()
    run(Simulated(1).run(work(), free))
    run(Simulated(1, options_of("priced=true")).run(work(max_tokens=1_000), priced))
    assert free.calls == []
    assert 0 < priced.spent_nusd < (priced.calls[0].nusd or 0)


def test_a_priced_one_keeps_its_answer_as_short_as_the_money_is() -> None:
    def told(min_tokens: int, cap_nusd: int) -> tuple[str, str, int]:
        desk = FakeDesk(cap_nusd=cap_nusd)
        given = work(max_tokens=1_000, min_tokens=min_tokens)
        result = run(Simulated(1, options_of("priced")).run(given, desk))
        assert desk.spent_nusd <= (desk.calls[0].nusd or 0) <= cap_nusd
        return result.outcome, result.why, desk.spent_nusd

    outcome, _, cost = told(10, 10**9)
    assert outcome == "ok"
    assert told(10, cost + 20_000)[:2] == ("ok", "")
    assert told(10, cost // 2)[:2] == ("cut_off", "budget")
    with pytest.raises(CallRefused):
        told(0, cost + 20_000)


def test_priced_failures_are_settled_as_a_provider_would() -> None:
    async def settled(options: str) -> tuple[int, int]:
        desk = FakeDesk()
        await Simulated(1, options_of(f"{options},priced")).run(work(), desk)
        assert not desk.open
        return desk.spent_nusd, desk.held_nusd

    assert run(settled("transient=1")) == (0, 0)
    cut = run(settled("cut_off=1"))
    assert cut[0] > 0
    lost = run(settled("lost=1"))
    assert lost[0] == 0
    assert lost[1] > cut[0]


def test_an_unknown_price_is_unknown() -> None:
    desk = FakeDesk()
    run(Simulated(1, options_of("priced")).run(work(model="nobodys-model"), desk))
    assert desk.calls[0].nusd is None


def test_lines_and_json() -> None:
    assert results("", 1, output_kind="lines")[0].output.count("\n") == 2
    assert json.loads(results("", 1, output_kind="json")[0].output)["simulated"] is True


def test_a_judge_passes_unless_it_is_to_reject() -> None:
    schema = {
        "type": "object",
        "properties": {
            "pass": {"type": "boolean"},
            "findings": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["pass", "findings"],
    }
    verdicts = results("reject=0.5", 400, role="check", output_kind="json", schema=schema)
    passed = [json.loads(r.output)["pass"] for r in verdicts]
    assert sum(passed) == pytest.approx(200, abs=40)
    always = results("", 50, role="check", output_kind="json", schema=schema)
    assert all(json.loads(r.output) == {"pass": True, "findings": []} for r in always)


def test_options_of_nothing_are_the_usual_ones() -> None:
    assert options_of("") == Options()
    assert options_of(" seed=3 , fail=0.05,latency=0.01,priced ") == Options(
        seed=3, fail=0.05, latency=0.01, priced=True
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sed=3", "did you mean `seed`?"),
        ("fail", "has no value"),
        ("fail=much", "is no number"),
        ("fail=1.5", "is not within 0 and 1"),
        ("fail=nan", "is not within 0 and 1"),
        ("seed=1.5", "is no number"),
        ("speed=0", "is not within"),
        ("priced=perhaps", "neither true nor false"),
    ],
)
def test_a_wrong_option_is_named(text: str, says: str) -> None:
    with pytest.raises(StrettoError) as wrong:
        options_of(text)
    assert wrong.value.slug == "bad-agent-option"
    assert says in f"{wrong.value.what} {wrong.value.next}"


# Instances


def test_lists_get_three_entries_where_they_may() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(instance(schema, "")) == 3
    assert len(instance({**schema, "maxItems": 2}, "")) == 2
    assert len(instance({**schema, "minItems": 5}, "")) == 5


def test_optional_properties_are_left_out() -> None:
    properties = {"a": {"type": "integer"}, "b": {"type": "string"}}
    assert list(instance({"properties": properties, "required": ["b"]}, "")) == ["b"]
    assert list(instance({"properties": properties}, "")) == ["a", "b"]


def test_ids_of_a_planner_are_ids_and_differ() -> None:
    task = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"},
            "prompt": {"type": "string"},
        },
        "required": ["id", "prompt"],
    }
    schema = {
        "type": "object",
        "properties": {"tasks": {"type": "array", "items": task}},
        "required": ["tasks"],
    }
    made = instance(schema, "")
    jsonschema.validate(made, schema)
    assert len({entry["id"] for entry in made["tasks"]}) == 3


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "below": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                },
                "required": ["name", "below"],
            }
        },
    }
    jsonschema.validate(instance({**schema, "x": 1}, ""), schema)


LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, size: {"type": "number", "minimum": low, "maximum": low + size},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda m: {"type": "integer", "multipleOf": m, "minimum": 1, "maximum": 100}, st.integers(1, 50)
    ),
    st.builds(
        lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers(), min_size=1)),
    st.builds(lambda value: {"const": value}, st.text()),
    st.sampled_from([{"type": "string", "format": name} for name in ("date", "email", "uri", "date-time")]),
)


def _wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda items, low, size: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + size,
            },
            inner,
            st.integers(0, 4),
            st.integers(0, 4),
        ),
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "bs", "pass", "c-d"]), inner, max_size=3),
        ),
        st.builds(lambda several: {"anyOf": several}, st.lists(inner, min_size=1, max_size=3)),
    )


@given(st.recursive(LEAVES, _wider, max_leaves=8), st.text(max_size=3))
def test_what_is_made_up_fits_its_schema(schema: dict[str, Any], seed: str) -> None:
    made = instance(schema, seed)
    jsonschema.Draft202012Validator(schema).validate(made)
    assert instance(schema, seed) == made
