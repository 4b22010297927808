"""`stretto.toml`: what it makes of the catalogue, every mistake at its line, and its page."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stretto import Task, fan_out
from stretto.agents.registry import Roster
from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue, Rates
from stretto.models.facts import ladder_of
from stretto.plan.finding import Finding
from stretto.plan.model import Task as Plain
from stretto.run import models_used
from stretto.spec.settings import NAME, TABLES, SettingsError, read_settings
from stretto.spec.toml import MAX_BYTES
from tests.stage import plan_of

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
DOLLAR = 1_000_000_000

Made = Callable[[str], Catalogue]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(text: str) -> Catalogue:
        (tmp_path / NAME).write_text(text)
        return read_settings(tmp_path).catalogue

    return make


def wrong(root: Path, text: str) -> list[Finding]:
    """All findings of a file, their places shortened to line:column."""
    (root / NAME).write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(root)
    error = caught.value
    assert (error.slug, error.code) == ("bad-settings", 2)
    assert all(
        found.severity == "error" and found.at.startswith(f"{root / NAME}:") for found in error.findings
    )
    return error.findings


def told(root: Path, text: str) -> list[tuple[str, str]]:
    """(line:column, slug) of each."""
    return [(":".join(found.at.rsplit(":", 2)[1:]), found.slug) for found in wrong(root, text)]


# What it makes


def test_without_a_file_there_is_what_stretto_knows(tmp_path: Path) -> None:
    assert read_settings(tmp_path).catalogue is BUILTIN
    assert read_settings(tmp_path).source == ""


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "\ufeff", "[aliases]\n[models]\n"):
        (tmp_path / NAME).write_text(text)
        settings = read_settings(tmp_path)
        assert settings.catalogue == BUILTIN
        assert settings.source == str(tmp_path / NAME)


def test_a_model_of_ones_own_has_what_its_entry_says(made: Made) -> None:
    own = made("""
[models."qwen3:8b"]
tier = "haiku"
context = 32_768
max_output = 8_192
efforts = ["high", "low"]
usd_per_mtok = {input = 0.05, output = 0.2, cache_read = 0.001, cache_write = 0.07, cache_write_1h = 0.1}
cache = {min_tokens = 1024}
batch = 0.25
speed = 120.5
limits = {requests = 50, input_tokens = 30000}
token_factor = 1.1
""")
    model = own.resolve("qwen3:8b")
    assert (model.tier, model.context, model.max_output) == ("haiku", 32_768, 8_192)
    assert model.efforts == ("low", "high")
    assert (model.batch, model.tokens_per_s, model.token_factor) == (0.25, 120.5, 1.1)
    assert (model.cache_min_tokens, model.source) == (1_024, NAME)
    assert model.rates == Rates(50, 30_000, None)
    price = own.price_of("qwen3:8b")
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (50_000_000, 200_000_000, 1_000_000)
    assert (price.cache_write_5m, price.cache_write_1h, price.source) == (70_000_000, 100_000_000, NAME)
    assert own.resolve("haiku").id == "claude-haiku-5-5", "what a tier means stays as it was"


def test_what_is_not_said_of_a_model_is_unknown(made: Made) -> None:
    own = made("[models.mine]\n")
    model = own.resolve("mine")
    assert (model.context, model.max_output, model.efforts, model.tokens_per_s) == (None, None, None, None)
    assert (model.batch, model.rates, own.price_of("mine")) == (None, Rates(), None)


def test_a_price_of_nothing_is_a_price(made: Made) -> None:
    own = made("[models.mine]\nusd_per_mtok = {input = 0, output = 0}\n")
    assert own.cost_nusd("mine", {"input": 10**6, "output": 10**6}) == 0
    assert own.bound_nusd("mine", 10**6, 10**6) == 0


def test_a_known_model_keeps_what_is_not_said(made: Made) -> None:
    own = made('[models."claude-opus-5-5"]\nlimits = {requests = 1000}\n')
    model, before = own.resolve("opus"), BUILTIN.resolve("opus")
    assert model.rates == Rates(1_000)
    assert (model.context, model.efforts, model.batch) == (before.context, before.efforts, before.batch)
    assert own.price_of(model.id) == BUILTIN.price_of(model.id)
    assert [m.id for m in own.models] == [m.id for m in BUILTIN.models]
    dated = made('[models."claude-haiku-4-5-20251001"]\nspeed = 99\n').info("claude-haiku-4-5-20251001")
    assert (dated.tier, dated.context, dated.tokens_per_s) == ("haiku", 200_000, 99.0)


def test_cache_and_long_prompts_by_rule(made: Made) -> None:
    own = made("""
[models.m]
usd_per_mtok = {input = 0.3, output = 1}
cache = {read = 0.1, write = 1.25, write_1h = 2}
long = {above = 200_000, factor = 2}
""")
    price = own.price_of("m")
    assert price is not None
    assert (price.cache_read, price.cache_write_5m, price.cache_write_1h) == (
        30_000_000,
        375_000_000,
        600_000_000,
    )
    assert price.at(200_001).cache_read == 60_000_000


def test_tiers_of_ones_own_stand_where_they_are_put(made: Made) -> None:
    own = made("""
choice.tiers = ["small", "opus"]
tiers = {order = ["small", "haiku", "sonnet", "opus", "huge", "fable"]}
models.a.tier = "small"
models.b.tier = "huge"
""")
    assert own.tiers == ("small", "haiku", "sonnet", "opus", "huge", "fable")
    assert own.auto_tiers == ("small", "opus")
    assert own.resolve("auto").id == "claude-opus-5-5"
    assert ladder_of(Plain(id="t", prompt="P"), own) == ("small", "opus")
    climbing = Plain(id="t", prompt="P", model="opus", climb_to="fable")
    assert ladder_of(climbing, own) == ("opus", "huge", "fable")


def test_aliases_stand_for_tiers_and_ids_and_a_tier_may_be_one(made: Made) -> None:
    own = made(
        '[aliases]\nfast = "haiku"\nopus = "claude-opus-4-8"\nnext = "claude-opus-9"\n"my.own" = "fable"\n'
    )
    assert own.resolve("fast").id == "claude-haiku-5-5"
    assert own.resolve("opus").id == "claude-opus-4-8"
    assert own.resolve("next").id == "claude-opus-9"
    assert own.resolve("next").tier == "opus"
    assert own.resolve("My.Own").tier == "fable"


usd = st.decimals(0, 1_000, places=9)


@given(usd, usd)
def test_sums_are_exact_to_the_nano_dollar(
    tmp_path_factory: pytest.TempPathFactory, one: Decimal, two: Decimal
) -> None:
    root = tmp_path_factory.mktemp("settings")
    (root / NAME).write_text(f"[models.m]\nusd_per_mtok = {{input = {one:f}, output = {two:f}}}\n")
    price = read_settings(root).catalogue.price_of("m")
    assert price is not None
    assert Decimal(price.input) == one * DOLLAR
    assert Decimal(price.output) == two * DOLLAR


# What is wrong with it


def test_all_mistakes_are_told_at_once_each_at_its_line(tmp_path: Path) -> None:
    text = """\
[model.x]
a = 1
[models."q"]
tire = "s"
context = 1.5
usd_per_mtok = {input = 1, ouput = -2, cache_read = 1}
cache = {read = 0.1}
speed = true
efforts = ["low", "hi"]
[models.qwen3.5]
tier = "Sonnet"
[models.m2]
long = {above = 3}
[models."haiku-4.5"]
x = 2020-01-01
[aliases]
auto = "haiku"
x = "hiaku"
y = 3
[choice]
tiers = ["opus", "haiku", "none"]
"""
    assert told(tmp_path, text) == [
        ("1:2", "unknown-key"),
        ("4:1", "unknown-key"),
        ("5:1", "wrong-value"),
        ("6:1", "unknown-key"),
        ("6:1", "missing-key"),
        ("7:1", "no-effect"),
        ("8:1", "wrong-type"),
        ("9:1", "wrong-value"),
        ("10:2", "unknown-key"),
        ("13:1", "no-effect"),
        ("14:2", "wrong-value"),
        ("15:1", "unknown-key"),
        ("17:1", "wrong-value"),
        ("18:1", "unknown-model"),
        ("19:1", "wrong-value"),
        ("21:1", "wrong-value"),
        ("21:1", "wrong-value"),
    ]
    found = wrong(tmp_path, text)
    fixes = [finding.fix for finding in found]
    assert fixes[0] == "did you mean 'models'?"
    assert fixes[1] == "did you mean 'tier'?"
    assert fixes[3] == "did you mean 'output'?"
    assert '[models."a.b"]' in fixes[8]
    assert 'write [models."claude-haiku-4-5"]' in fixes[10]
    assert fixes[13] == "did you mean 'haiku'?"


@pytest.mark.parametrize(
    ("text", "slug", "says"),
    [
        ("models = 3", "wrong-type", "a table"),
        ("[models]\nm = 3", "wrong-type", "a table of tier"),
        ("[models.m]\nusd_per_mtok = 3", "wrong-type", "a table of input"),
        ("[models.m]\nusd_per_mtok = {input = 1}", "missing-key", "no output"),
        ("[models.m]\nusd_per_mtok = {input = inf, output = 1}", "wrong-value", "dollars"),
        ("[models.m]\nusd_per_mtok = {input = nan, output = 1}", "wrong-value", "dollars"),
        ('[models.m]\nusd_per_mtok = {input = "1", output = 1}', "wrong-value", "dollars"),
        ("[models.m]\nusd_per_mtok = {input = 0.1234567891, output = 1}", "wrong-value", "nine decimals"),
        ("[models.m]\nusd_per_mtok = {input = 1e99, output = 1}", "wrong-value", "dollars"),
        (
            "[models.m]\nusd_per_mtok = {input = 1, output = 1}\nlong = {above = 3}",
            "missing-key",
            "above and factor",
        ),
        ("[models.m]\ncache = {read = 0.1}", "no-effect", "there is none"),
        ("[models.m]\ncontext = 0", "wrong-value", "whole number"),
        ("[models.m]\ncontext = true", "wrong-type", "not true"),
        ("[models.m]\nspeed = 0", "wrong-value", "more than 0"),
        ("[models.m]\nbatch = 2", "wrong-value", "from 0 to 1"),
        ("[models.m]\nlimits = {requests = -1}", "wrong-value", "whole number"),
        ("[models.m]\nlimits = {tokens = 1}", "unknown-key", "no key `tokens`"),
        ('[models.m]\nefforts = "low"', "wrong-type", "a list"),
        ('[models.m]\ntier = "auto"', "wrong-value", "name of a tier"),
        ("[models.haiku]", "wrong-value", "has already"),
        ('[models." "]', "wrong-value", "cannot be a model's id"),
        ("[models.a]\n[models.A]", "wrong-value", "has already"),
        ('[models.m]\ntier = "small"', "missing-key", "how strong the tier 'small' is"),
        ('[tiers]\norder = ["haiku", "sonnet", "opus"]', "wrong-value", "leaves out fable"),
        ('[tiers]\norder = ["haiku", "haiku", "sonnet", "opus", "fable"]', "wrong-value", "more than once"),
        ('[tiers]\norder = ["haiku", "sonet", "sonnet", "opus", "fable"]', "wrong-value", "no model has"),
        ("[tiers]\nordre = []", "unknown-key", "no key `ordre`"),
        ("[choice]\ntiers = []", "wrong-type", "a list of tiers"),
        ('[choice]\ntiers = ["opus", "haiku"]', "wrong-value", "from weak to strong"),
        ('[aliases]\n"claude-x" = "haiku"', "wrong-value", "cannot be an alias"),
        ('[aliases]\n"a b" = "haiku"', "wrong-value", "cannot be an alias"),
        ('[aliases]\nf = "haiku"\nF = "opus"', "wrong-value", "an alias already"),
        ('[aliases]\nf = "haiku"\ng = "f"', "unknown-model", "no model"),
        ('[models.m]\n[aliases]\nm = "haiku"', "wrong-value", "means itself"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, text: str, slug: str, says: str) -> None:
    found = wrong(tmp_path, text)
    assert [finding.slug for finding in found] == [slug], found
    assert says in found[0].message + found[0].fix


@pytest.mark.parametrize(
    ("data", "says", "at"),
    [
        (b"a = \n", "is not TOML", ":1:5"),
        (b"[models.m]\n\nspeed = 1\nspeed = 2\n", "is not TOML", ":4:10"),
        (b"a = {b = 1", "is not TOML", ""),
        (b"[models.m]\nx = '\xff'\n", "is not UTF-8", ":2:1"),
        (b"a = " + b"[" * 5_000, "is not TOML", ""),
        (b"a = 1" + b"0" * 5_000, "is not TOML", ""),
        (b"#" * (MAX_BYTES + 1), "bytes", ""),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, data: bytes, says: str, at: str) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(StrettoError) as caught:
        read_settings(tmp_path)
    assert (caught.value.slug, caught.value.code) == ("bad-settings", 2)
    assert says in caught.value.what
    assert at in caught.value.at


def test_a_folder_of_that_name_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(StrettoError, match="no regular file"):
        read_settings(tmp_path)


def test_what_only_looks_like_a_key_places_nothing(tmp_path: Path) -> None:
    text = '[models.m]\ntier = """\nspeed = 1\n[aliases]\n"""\nspeed = true\n'
    assert ("6:1", "wrong-type") in told(tmp_path, text)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_settings_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("settings")
    (root / NAME).write_text(text, encoding="utf-8", errors="replace")
    try:
        read_settings(root)
    except StrettoError as error:
        assert error.slug == "bad-settings"


# Where it counts


def test_a_plan_in_python_knows_the_models_of_its_project(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('[aliases]\nfast = "haiku"\n')
    plan = fan_out([Task("Say one", model="fast"), Task("Say two", model="fable")])
    assert "unknown-model" not in {finding.slug for finding in plan.check(root=tmp_path)}
    assert "unknown-model" in {finding.slug for finding in plan.check(root=tmp_path / "elsewhere")}


def test_a_run_freezes_what_names_mean_here(made: Made) -> None:
    own = made('[models.mine]\ntier = "fable"\n[aliases]\nfast = "mine"\nopus = "claude-opus-4-8"\n')
    plan = plan_of("tasks: {a: {prompt: P, model: opus}}\n")
    assert models_used(plan, "messages", own)["messages/opus"] == "claude-opus-4-8"
    growing = plan_of("tasks: {a: {prompt: P, model: fable, grow: plan}}\n")
    assert models_used(growing, "messages", own)["messages/fast"] == "mine"
    weaker = plan_of("tasks: {a: {prompt: P, grow: plan}}\n")
    assert "messages/fast" not in models_used(weaker, "messages", own), "its planner may not name it"


def test_agents_are_made_with_the_catalogue_of_the_run(made: Made, tmp_path: Path) -> None:
    own = made("[models.mine]\nusd_per_mtok = {input = 1, output = 1}\nmax_output = 7\n")
    agent = Roster(tmp_path, environ={}, catalogue=own).get("openai:http://127.0.0.1:1/v1")
    assert agent._room.catalogue is own  # type: ignore[attr-defined]


# The page


def test_every_key_is_on_the_page_and_no_other() -> None:
    text = PAGE.read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert list(sections) == list(TABLES)
    for table, section in sections.items():
        assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.M)) == TABLES[table], table


def test_the_example_on_the_page_is_what_it_says(made: Made) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert len(blocks) == 1
    own = made(blocks[0])
    assert own.resolve("fast").id == "qwen3:8b"
    assert own.resolve("careful").id == "claude-opus-4-8"
    assert own.auto_tiers == ("small", "haiku", "sonnet", "opus")
    assert own.price_of("qwen3:8b") is not None
    assert own.info("claude-opus-5-5").rates.output_tokens == 80_000
    assert set(tomllib.loads(blocks[0])) == {"models", "tiers", "aliases", "choice"}
