"""The catalogue: names, prices to the nano-dollar, and bounds that no usage exceeds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto import models
from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue, ModelInfo, Price, Rates
from stretto.models.catalogue import LEVELS, MODELS
from stretto.models.prices import CLASSES, own_price
from tests.fakeapi.config import Config

DOLLAR = 1_000_000_000

# $ per million tokens: in, out, cache read, cache write 5 m, 1 h (shared/FACTS.md, November 2026).
TABLE = {
    "claude-haiku-5-5": (0.10, 0.50, 0.01, 0.125, 0.20),
    "claude-sonnet-5-5": (2, 10, 0.10, 2.50, 4),
    "claude-opus-5-5": (4, 20, 0.20, 5, 8),
    "claude-fable-5-2": (8, 40, 0.20, 10, 16),
    "claude-haiku-4-5": (1, 5, 0.10, 1.25, 2),
}


def known(model: str, url: str = "") -> Price:
    price = BUILTIN.price_of(model, url)
    assert price is not None
    return price


def flat(price: Price) -> tuple[int, ...]:
    return tuple(price.of(name) for name in CLASSES)


@pytest.mark.parametrize("model", TABLE)
def test_prices_are_those_of_the_table_to_the_nano_dollar(model: str) -> None:
    assert flat(known(model)) == tuple(round(usd * DOLLAR) for usd in TABLE[model])
    assert known(model).source.startswith("genai-prices ")


def test_the_catalogue_begins_with_the_models_of_the_table_and_orders_tiers() -> None:
    assert [model.id for model in MODELS[: len(TABLE)]] == list(TABLE)
    assert BUILTIN.tiers == ("haiku", "sonnet", "opus", "fable")
    assert BUILTIN.auto_tiers == ("haiku", "sonnet", "opus")


def test_every_model_of_the_catalogue_has_a_price_and_older_ones_do_not_stand_for_their_tier() -> None:
    for model in MODELS:
        assert known(model.id).output > 0
        assert BUILTIN.info(model.id) is model
    assert [BUILTIN.resolve(tier).id for tier in BUILTIN.tiers] == list(TABLE)[:4]


def test_what_is_not_known_of_a_model_is_none() -> None:
    older = BUILTIN.info("claude-opus-4-7")
    assert (older.context, older.max_output, older.efforts) == (1_000_000, None, None)
    assert all(model.cache_min_tokens is None for model in MODELS)
    stranger = BUILTIN.info("qwen3:8b")
    assert (stranger.tokens_per_s, stranger.batch, stranger.rates) == (None, None, Rates())
    assert Rates() == Rates(None, None, None)


def test_speeds_are_medians_of_recorded_tiers_and_batches_halve() -> None:
    speeds = {model.tier: model.tokens_per_s for model in MODELS}
    assert speeds == {"haiku": 85.0, "sonnet": 60.0, "opus": 57.0, "fable": 55.0}
    assert {model.batch for model in MODELS} == {0.5}


@pytest.mark.parametrize(
    ("id", "factor"),
    [
        ("claude-haiku-4-5", 1.0),
        ("claude-haiku-4-5-20251001", 1.0),
        ("claude-opus-4-6", 1.0),
        ("claude-opus-4-7", 1.3),
        ("claude-opus-5", 1.3),
        ("claude-haiku-5-5-20261007", 1.3),
        ("claude-opus-7", 1.3),
        ("claude-3-5-sonnet", 1.0),
        ("gpt-5", 1.0),
        ("", 1.0),
    ],
)
def test_models_from_4_7_on_count_more_tokens_for_the_same_text(id: str, factor: float) -> None:
    assert BUILTIN.info(id).token_factor == factor


def test_haiku_costs_five_times_as_much_on_the_whole_call_above_100_000_tokens() -> None:
    price = known("claude-haiku-5-5")
    assert [above for above, _ in price.steps] == [100_000]
    assert flat(price.steps[0][1]) == tuple(5 * nusd for nusd in flat(price))
    at_most = {"input": 60_000, "cache_read": 40_000, "output": 1_000}
    above = at_most | {"cache_read": 40_001}
    assert BUILTIN.cost_nusd("claude-haiku-5-5", at_most) == 60_000 * 100 + 40_000 * 10 + 1_000 * 500
    assert BUILTIN.cost_nusd("claude-haiku-5-5", above) == 5 * (60_000 * 100 + 40_001 * 10 + 1_000 * 500)


def test_no_other_model_of_the_catalogue_has_a_step() -> None:
    assert [model.id for model in MODELS if known(model.id).steps] == ["claude-haiku-5-5"]


def test_the_fake_provider_bills_the_same_prices() -> None:
    for model, fake in Config().prices.items():
        ours = known(model)
        assert tuple(fake.__getattribute__(name) * 1_000_000 for name in CLASSES) == flat(ours)
        assert fake.step_tokens == (ours.steps[0][0] if ours.steps else None)


def test_a_call_is_rounded_up_once_and_not_per_class() -> None:
    price = Price(input=1, output=1, cache_read=1, cache_write_5m=1, cache_write_1h=1)
    assert price.cost_nusd({}) == 0
    assert price.cost_nusd({"input": 1}) == 1
    assert price.cost_nusd(dict.fromkeys(CLASSES, 200_000)) == 1
    assert price.cost_nusd(dict.fromkeys(CLASSES, 200_001)) == 2


def test_a_class_of_tokens_without_a_price_is_an_error_and_not_free() -> None:
    with pytest.raises(ValueError, match="audio"):
        BUILTIN.cost_nusd("claude-haiku-5-5", {"audio": 1})


@pytest.mark.parametrize(
    "model",
    ["claude-haiku-9", "claude-haiku-4-5-turbo", "claude-haiku-5-5-next", "qwen3:8b", "", "haiku"],
)
def test_an_unknown_price_is_unknown_and_not_zero_or_that_of_another(model: str) -> None:
    assert BUILTIN.price_of(model) is None
    assert BUILTIN.cost_nusd(model, {"input": 1}) is None
    assert BUILTIN.bound_nusd(model, 1, 1) is None
    assert BUILTIN.worst_case_nusd(model, 1, 1) is None


def test_a_dated_id_has_the_price_of_its_model() -> None:
    assert known("claude-haiku-4-5-20251001") == known("claude-haiku-4-5")
    assert known("claude-haiku-5-5-20261007") == known("claude-haiku-5-5")


def test_the_address_decides_whose_price_counts() -> None:
    assert known("gpt-5") == known("gpt-5", "https://api.openai.com/v1")
    assert BUILTIN.price_of("gpt-5", "https://api.anthropic.com") is None
    assert known("claude-opus-5-5", "https://api.anthropic.com/v1") == known("claude-opus-5-5")
    # A server that nobody knows may be a gateway to Anthropic, for whose ids there is one price.
    assert known("claude-opus-5-5", "http://127.0.0.1:8080/v1") == known("claude-opus-5-5")
    assert BUILTIN.price_of("deepseek-chat") is None
    assert known("deepseek-chat", "https://api.deepseek.com/v1").input > 0


def test_without_prices_of_its_own_a_cache_costs_what_input_costs() -> None:
    price = known("gpt-5")
    assert price.cache_write_5m == price.input
    assert 0 < price.cache_read < price.input


tokens = st.integers(0, 300_000)


@given(
    model=st.sampled_from([*TABLE, "gpt-5"]),
    usage=st.fixed_dictionaries(dict.fromkeys(CLASSES, tokens)),
    spare=tokens,
    cache_1h=st.booleans(),
)
def test_no_usage_within_the_bounds_costs_more_than_the_bound(
    model: str, usage: dict[str, int], spare: int, cache_1h: bool
) -> None:
    if not cache_1h:
        usage = usage | {"cache_write_1h": 0}
    prompt = sum(count for name, count in usage.items() if name != "output")
    cost = BUILTIN.cost_nusd(model, usage)
    bound = BUILTIN.bound_nusd(model, prompt + spare, usage["output"], cache_1h)
    assert cost is not None and bound is not None
    assert cost <= bound


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_larger_bound_is_never_cheaper(low: int, more: int) -> None:
    small, large = (
        BUILTIN.bound_nusd("claude-haiku-5-5", low, 10),
        BUILTIN.bound_nusd("claude-haiku-5-5", low + more, 10),
    )
    assert small is not None and large is not None
    assert small <= large


def test_the_bound_takes_the_dearest_class_that_the_request_can_hit() -> None:
    price = known("claude-sonnet-5-5")
    assert BUILTIN.bound_nusd("claude-sonnet-5-5", 1_000, 0, cached=False) == 1_000 * price.input // 1_000_000
    assert BUILTIN.bound_nusd("claude-sonnet-5-5", 1_000, 0) == 1_000 * price.cache_write_5m // 1_000_000
    assert (
        BUILTIN.bound_nusd("claude-sonnet-5-5", 1_000, 0, True) == 1_000 * price.cache_write_1h // 1_000_000
    )


def test_steps_that_get_cheaper_do_not_lower_a_bound() -> None:
    cheap = Price(1, 1, 1, 1, 1)
    price = replace(cheap, input=MILLION, steps=((10, cheap),))
    assert price.bound_nusd(11, 0, cached=False, cache_1h=False) == 11


MILLION = 1_000_000


def test_the_worst_case_of_an_attempt_is_one_call_without_tools_and_reads_all_again_with_them() -> None:
    one = BUILTIN.bound_nusd("claude-opus-5-5", 1_000, 500)
    assert BUILTIN.worst_case_nusd("claude-opus-5-5", 1_000, 500) == one
    second = BUILTIN.bound_nusd("claude-opus-5-5", 1_000 + 500 + 200, 500)
    assert one is not None and second is not None
    assert BUILTIN.worst_case_nusd("claude-opus-5-5", 1_000, 500, turns=2, added_tokens=200) == one + second
    narrow = Catalogue((ModelInfo("claude-opus-5-5", context=1_000),))
    assert narrow.worst_case_nusd("claude-opus-5-5", 1_000, 500, turns=2, added_tokens=200) == 2 * one


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("haiku", "claude-haiku-5-5"),
        ("Opus", "claude-opus-5-5"),
        ("auto", "claude-sonnet-5-5"),
        ("fable", "claude-fable-5-2"),
        ("claude-sonnet", "claude-sonnet-5-5"),
        ("haiku-4.5", "claude-haiku-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001"),
        ("claude-opus-4-8", "claude-opus-4-8"),
    ],
)
def test_names_mean_models(name: str, id: str) -> None:
    assert BUILTIN.resolve(name).id == id


def test_limits_come_from_the_catalogue_and_are_unknown_for_what_is_passed_through() -> None:
    haiku = BUILTIN.resolve("claude-haiku-4-5-20251001")
    assert (haiku.tier, haiku.context, haiku.max_output, haiku.efforts) == ("haiku", 200_000, 64_000, ())
    assert (BUILTIN.resolve("opus").context, BUILTIN.resolve("opus").max_output) == (1_000_000, 128_000)
    later = BUILTIN.resolve("claude-opus-7")
    assert (later.tier, later.context, later.efforts, later.source) == ("opus", None, None, "as given")


def test_an_unknown_name_is_an_error_that_says_what_was_meant() -> None:
    with pytest.raises(StrettoError) as caught:
        BUILTIN.resolve("hiaku")
    assert caught.value.slug == "unknown-model"
    assert "hiaku" in caught.value.what
    assert "did you mean `haiku`?" in caught.value.next


@pytest.mark.parametrize("agent", ["openai:http://127.0.0.1:1/v1", "local", "local:/m.gguf"])
def test_servers_with_names_of_their_own_get_any_name(agent: str) -> None:
    assert BUILTIN.resolve("Qwen3:8B", agent).id == "Qwen3:8B"
    assert BUILTIN.resolve("haiku", agent).id == "claude-haiku-5-5"
    with pytest.raises(StrettoError):
        BUILTIN.resolve("  ", agent)


def test_what_is_free_is_free_by_its_nature() -> None:
    for agent in ("simulated", "local", "local:/m.gguf", "command", "function"):
        assert models.is_free(agent)
    for agent in ("messages", "openai", "openai:http://127.0.0.1:8080/v1", "claude"):
        assert not models.is_free(agent)


def test_names_are_resolved_without_loading_the_prices() -> None:
    code = (
        "import sys, stretto.models as m; m.BUILTIN.resolve('haiku'); m.is_free('local');"
        "assert not {'genai_prices', 'pydantic', 'httpx2'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_prices_are_read_without_a_network() -> None:
    code = (
        "import os, sys; asked = {'socket.connect', 'socket.getaddrinfo', 'socket.sendto'};"
        "sys.addaudithook(lambda event, _: os._exit(3) if event in asked else None);"
        "from stretto.models import BUILTIN; assert BUILTIN.price_of('claude-haiku-5-5').input"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


# A user's own


OWN = replace(
    BUILTIN,
    models=(*MODELS, ModelInfo("Qwen3:8B", "small", 32_768, source="stretto.toml")),
    prices={
        "Qwen3:8B": own_price({"input": Decimal("0.05"), "output": Decimal("0.2")}, source="stretto.toml")
    },
    aliases={"Fast": "small", "opus": "claude-opus-4-8"},
    auto_tiers=("small", "haiku", "opus"),
    order=("small", "haiku", "sonnet", "opus", "fable"),
)


def test_a_users_model_is_known_by_id_tier_and_alias() -> None:
    assert OWN.tiers[0] == "small"
    for word in ("qwen3:8b", "Qwen3:8B", "small", "fast", "FAST"):
        assert OWN.resolve(word).id == "Qwen3:8B"
    assert OWN.resolve("opus").id == "claude-opus-4-8"
    assert OWN.resolve("claude-opus-5-5").id == "claude-opus-5-5"
    assert OWN.resolve("auto").id == "claude-haiku-5-5", (
        "the middle of the tiers, where sonnet is none of them"
    )
    with pytest.raises(StrettoError, match="smal"):
        OWN.resolve("smal")


def test_a_users_price_comes_before_the_list_price_whatever_the_address() -> None:
    price = OWN.price_of("qwen3:8b", "http://127.0.0.1:8080/v1")
    assert price is not None and flat(price) == (50_000_000, 200_000_000, *[50_000_000] * 3)
    assert OWN.cost_nusd("Qwen3:8B", {"input": 1_000, "output": 10}) == 50_000 + 2_000
    assert OWN.bound_nusd("Qwen3:8B", 1_000, 10) == 52_000
    assert BUILTIN.price_of("Qwen3:8B") is None
    dearer = replace(OWN, prices={"claude-opus-5-5": own_price({"input": Decimal(9), "output": Decimal(90)})})
    for id in ("claude-opus-5-5", "claude-opus-5-5-20261101"):
        price = dearer.price_of(id)
        assert price is not None and price.input == 9 * DOLLAR
    assert dearer.price_of("claude-opus-5") == BUILTIN.price_of("claude-opus-5")


def test_the_cache_follows_rules_where_it_has_no_prices_of_its_own() -> None:
    usd = {"input": Decimal("0.3"), "output": Decimal(1)}
    rules = {"cache_read": Decimal("0.1"), "cache_write_5m": Decimal("1.25")}
    assert flat(own_price(usd, cache=rules))[2:] == (30_000_000, 375_000_000, 375_000_000)
    hour = own_price(usd | {"cache_read": Decimal("0.002")}, cache=rules | {"cache_write_1h": Decimal(2)})
    assert flat(hour)[2:] == (2_000_000, 375_000_000, 600_000_000)
    # Exact where a float would not be: 0.1 + 0.2 dollars are 0.3.
    assert own_price({"input": Decimal("0.1") + Decimal("0.2"), "output": Decimal(1)}).input == 300_000_000


def test_a_long_prompt_multiplies_every_class_of_the_whole_call() -> None:
    price = own_price(
        {"input": Decimal(1), "output": Decimal(2)}, long=(1_000, Decimal("2.5")), source="mine"
    )
    assert price.steps == ((1_000, price.times(Decimal("2.5"))),)
    assert (price.at(1_000).input, price.at(1_001).input, price.at(1_001).output) == (
        DOLLAR,
        2_500_000_000,
        5 * DOLLAR,
    )


def test_a_batch_halves_in_and_out_and_nothing_else() -> None:
    price = known("claude-haiku-5-5")
    half = price.batch(BUILTIN.info("claude-haiku-5-5").batch)
    assert half is not None
    assert (half.input * 2, half.output * 2) == (price.input, price.output)
    assert flat(half)[2:] == flat(price)[2:]
    assert half.steps[0][1].input * 2 == price.steps[0][1].input
    assert Price(3, 3, 3, 3, 3).batch(0.5) == Price(2, 2, 3, 3, 3), "rounded up"
    assert price.batch(None) is None, "unknown is not free"


@given(
    st.sampled_from([*TABLE, "gpt-5"]), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.integers(0, 300_000)
)
def test_a_batch_is_never_dearer(id: str, factor: float, prompt: int) -> None:
    price = known(id)
    batch = price.batch(factor)
    assert batch is not None
    usage = {"input": prompt, "output": 10}
    assert batch.cost_nusd(usage) <= price.cost_nusd(usage)


def test_no_info_is_ever_an_error() -> None:
    assert BUILTIN.info("") == ModelInfo("")
    assert BUILTIN.info("gpt-5") == ModelInfo("gpt-5")
    assert BUILTIN.info("claude-opus-5-5").efforts == LEVELS
