"""A project's settings, `stretto.toml`: a user's own models, prices, tiers, aliases, accepted findings."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from stretto.errors import StrettoError
from stretto.models import BUILTIN, Catalogue, ModelInfo, Price, Rates
from stretto.models.catalogue import LEVELS
from stretto.models.prices import own_price
from stretto.plan.finding import Finding, did_you_mean
from stretto.spec.notes import Notes, shown
from stretto.spec.raw import Raw
from stretto.spec.toml import read_toml

NAME = "stretto.toml"
MOST = 1_000_000_000
"""The largest number of tokens, requests or tokens per second."""
MOST_USD = 1_000_000

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TIER = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Reason(NamedTuple):
    """Why a finding may stand, in its author's words, and where they are written."""

    text: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the project's file says; without a file, what Stretto knows by itself."""

    catalogue: Catalogue = BUILTIN
    accept: Mapping[str, Reason] = field(default_factory=dict)
    """Findings that are left so in every plan of the project, by slug."""
    source: str = ""
    """The file's path; empty where there is none."""


class SettingsError(StrettoError):
    """A file of settings that cannot be used: every mistake in it, not only the first."""

    def __init__(self, findings: list[Finding], source: str):
        noun = "error" if len(findings) == 1 else "errors"
        super().__init__(
            "bad-settings", f"{source} has {len(findings)} {noun}", at=findings[0].at, next=findings[0].fix
        )
        self.findings = findings


def read_settings(root: str | Path) -> Settings:
    """The settings of the project at `root`. Raises one StrettoError `bad-settings` for all that is wrong."""
    path = Path(root) / NAME
    raw = read_toml(path)
    if raw is None:
        return Settings()
    notes = Notes()
    reader = _Reader(notes)
    catalogue, accept = reader.catalogue(raw), reader.accept(raw)
    if notes.findings:
        raise SettingsError(notes.sorted(), str(path))
    return Settings(catalogue, accept, str(path))


# Values: each reader returns None where it could not read, which it has noted then


_Read = Callable[[Raw, str, Notes], Any]


def _wrong(notes: Notes, name: str, wanted: str, raw: Raw, fix: str = "") -> None:
    value = float(raw.value) if isinstance(raw.value, Decimal) else raw.value
    right_type = isinstance(raw.value, str | int | Decimal) and not isinstance(raw.value, bool)
    slug = "wrong-value" if right_type else "wrong-type"
    notes.error(slug, f"`{name}` must be {wanted}, not {shown(value)}", raw.at, fix)


def _whole(raw: Raw, name: str, notes: Notes) -> int | None:
    if type(raw.value) is int and 1 <= raw.value <= MOST:
        return raw.value
    _wrong(notes, name, f"a whole number from 1 to {MOST:,}", raw)
    return None


def _decimal(raw: Raw, name: str, notes: Notes, wanted: str, least: int, most: int) -> Decimal | None:
    value = raw.value
    if type(value) in (int, Decimal):
        number = Decimal(value)
        if number.is_finite() and least <= number <= most and (least or number >= 0):
            return number
    _wrong(notes, name, wanted, raw)
    return None


def _usd(raw: Raw, name: str, notes: Notes) -> Decimal | None:
    number = _decimal(raw, name, notes, "dollars, such as 2.50", 0, MOST_USD)
    if number is not None and number != round(number, 9):
        notes.error("wrong-value", f"`{name}` has more than nine decimals", raw.at, "round it up")
        return None
    return number


def _factor(raw: Raw, name: str, notes: Notes) -> Decimal | None:
    number = _decimal(raw, name, notes, "a factor from 0 to 1,000, such as 0.5", 0, 1_000)
    if number == 0:
        _wrong(notes, name, "more than 0", raw)
        return None
    return number


def _speed(raw: Raw, name: str, notes: Notes) -> float | None:
    number = _decimal(raw, name, notes, "output tokens per second, more than 0", 0, MOST)
    if number == 0:
        _wrong(notes, name, "more than 0", raw)
        return None
    return None if number is None else float(number)


def _batch(raw: Raw, name: str, notes: Notes) -> float | None:
    number = _decimal(raw, name, notes, "a factor from 0 to 1, such as 0.5", 0, 1)
    return None if number is None else float(number)


def _text(raw: Raw, name: str, notes: Notes) -> str | None:
    if type(raw.value) is str and raw.value.strip() and raw.value.isprintable():
        return raw.value.strip()
    _wrong(notes, name, "a text", raw)
    return None


def _tier(raw: Raw, name: str, notes: Notes) -> str | None:
    if type(raw.value) is str and _TIER.fullmatch(raw.value) and raw.value != "auto":
        return raw.value
    _wrong(notes, name, "the name of a tier: lower-case letters, digits, - and _", raw)
    return None


def _tiers(raw: Raw, name: str, notes: Notes) -> list[Raw] | None:
    if type(raw.value) is not list or not raw.value:
        notes.wrong_type(name, "a list of tiers", raw, 'write ["haiku", "sonnet", "opus"]')
        return None
    words = [_tier(entry, name, notes) for entry in raw.value]
    twice = {word for word in words if word is not None and words.count(word) > 1}
    for word in sorted(twice):
        notes.error("wrong-value", f"`{name}` has {word!r} more than once", raw.at, "name it once")
    return None if twice or None in words else raw.value


def _efforts(raw: Raw, name: str, notes: Notes) -> tuple[str, ...] | None:
    if type(raw.value) is not list:
        notes.wrong_type(name, "a list of levels", raw, f"some of {', '.join(LEVELS)}; [] for none")
        return None
    for entry in raw.value:
        if entry.value not in LEVELS:
            word = entry.value if type(entry.value) is str else ""
            fix = did_you_mean(word, LEVELS, otherwise="known")
            notes.error("wrong-value", f"{shown(entry.value)} is no level of effort", entry.at, fix)
            return None
    return tuple(level for level in LEVELS if any(entry.value == level for entry in raw.value))


_PRICE: dict[str, _Read] = {
    "input": _usd,
    "output": _usd,
    "cache_read": _usd,
    "cache_write": _usd,
    "cache_write_1h": _usd,
}
_CACHE: dict[str, _Read] = {"read": _factor, "write": _factor, "write_1h": _factor, "min_tokens": _whole}
_LONG: dict[str, _Read] = {"above": _whole, "factor": _factor}
_LIMITS: dict[str, _Read] = {"requests": _whole, "input_tokens": _whole, "output_tokens": _whole}
_CLASSES = {"read": "cache_read", "write": "cache_write_5m", "write_1h": "cache_write_1h"}


def _table(keys: Mapping[str, _Read]) -> _Read:
    def read(raw: Raw, name: str, notes: Notes) -> dict[str, Any] | None:
        return _keys(raw, keys, f"`{name}`", notes)

    return read


def _keys(raw: Raw, keys: Mapping[str, _Read], what: str, notes: Notes) -> dict[str, Any] | None:
    """The values of a table by key; None where it is no table. Keys that nobody reads are findings."""
    if type(raw.value) is not dict:
        notes.wrong_type(what.strip("`"), f"a table of {', '.join(keys)}", raw)
        return None
    found = {}
    for key, entry in raw.value.items():
        read = keys.get(key)
        if read is None:
            dotted = type(entry.value) is dict and what.startswith("the model")
            fix = 'a name with a dot needs quotes: [models."a.b"]' if dotted else did_you_mean(key, keys)
            notes.error("unknown-key", f"{what} has no key `{key}`", raw.keys[key], fix)
            continue
        value = read(entry, key, notes)
        if value is not None:
            found[key] = value
    return found


MODEL: dict[str, _Read] = {
    "tier": _tier,
    "context": _whole,
    "max_output": _whole,
    "efforts": _efforts,
    "usd_per_mtok": _table(_PRICE),
    "cache": _table(_CACHE),
    "long": _table(_LONG),
    "batch": _batch,
    "speed": _speed,
    "limits": _table(_LIMITS),
    "token_factor": _factor,
}
TABLES: dict[str, tuple[str, ...]] = {
    "models": tuple(MODEL),
    "usd_per_mtok": tuple(_PRICE),
    "cache": tuple(_CACHE),
    "long": tuple(_LONG),
    "limits": tuple(_LIMITS),
    "tiers": ("order",),
    "aliases": (),
    "choice": ("tiers",),
    "accept": (),
}
"""Every table and its keys."""
_TOP = ("models", "tiers", "aliases", "choice", "accept")


class _Reader:
    """One pass over the tables: models first, then the names that stand for them."""

    def __init__(self, notes: Notes):
        self.notes = notes

    def catalogue(self, raw: Raw) -> Catalogue:
        notes = self.notes
        for key in raw.value:
            if key not in _TOP:
                fix = did_you_mean(key, _TOP)
                notes.error("unknown-key", f"settings have no table `{key}`", raw.keys[key], fix)
        tables = {key: self._tables(raw, key) for key in _TOP}
        models, prices = self._models(tables["models"])
        made = replace(BUILTIN, models=models, prices=prices)
        order = self._order(tables["tiers"], made, raw)
        made = replace(made, order=order)
        made = replace(made, auto_tiers=self._choice(tables["choice"], made))
        return replace(made, aliases=self._aliases(tables["aliases"], made))

    def accept(self, raw: Raw) -> dict[str, Reason]:
        """Which words are findings is the critic's to say, as in a plan."""
        found = {}
        table = raw.value.get("accept")
        for slug, entry in table.value.items() if table is not None and type(table.value) is dict else ():
            text = _text(entry, slug, self.notes)
            if text is not None:
                found[slug] = Reason(text, table.keys[slug])
        return found

    def _tables(self, raw: Raw, key: str) -> Raw:
        entry: Raw = raw.value.get(key, Raw({}, raw.at))
        if type(entry.value) is dict:
            return entry
        self.notes.wrong_type(key, "a table", entry, f"write [{key}] on a line of its own")
        return Raw({}, entry.at)

    # Models

    def _models(self, raw: Raw) -> tuple[tuple[ModelInfo, ...], dict[str, Price]]:
        """The known models with what the user says of them, and the user's own behind them."""
        models = {model.id: model for model in BUILTIN.models}
        prices: dict[str, Price] = {}
        for id, entry in raw.value.items():
            at = raw.keys[id]
            if not id.strip() or id != id.strip() or not id.isprintable():
                self.notes.error("wrong-value", f"{shown(id)} cannot be a model's id", at)
                continue
            self._is_no_second(id, models, at)
            values = _keys(entry, MODEL, f"the model {id!r}", self.notes)
            if values is None:
                continue
            models[id] = _model(models.get(id) or BUILTIN.info(id), values)
            price = self._price(id, entry, values)
            if price is not None:
                prices[id] = price
        return tuple(models.values()), prices

    def _is_no_second(self, id: str, models: Mapping[str, ModelInfo], at: str) -> None:
        """Names are the same in upper and lower case, and with or without a point in the number."""
        found = BUILTIN.info(id)
        other = found.id if found.source == "catalogue" and found.id != id.lower() else ""
        other = other or next((known for known in models if known != id and known.lower() == id.lower()), "")
        if other or id.lower() in ("auto", *BUILTIN.tiers):
            fix = f'write [models."{other}"]' if other else "give it an id of its own, or write an alias"
            self.notes.error("wrong-value", f"{id!r} is a name that {other or 'a tier'} has already", at, fix)

    def _price(self, id: str, raw: Raw, values: Mapping[str, Any]) -> Price | None:
        usd, cache = values.get("usd_per_mtok"), dict(values.get("cache", {}))
        cache.pop("min_tokens", None)
        if usd is None:
            for key in ("long", "cache"):
                if values.get(key) and (key == "long" or cache) and "usd_per_mtok" not in raw.value:
                    message = f"`{key}` of {id!r} multiplies a price, and there is none"
                    fix = "add usd_per_mtok = {input = ..., output = ...}"
                    self.notes.error("no-effect", message, raw.keys[key], fix)
            return None
        missing = [key for key in ("input", "output") if key not in raw.value["usd_per_mtok"].value]
        if missing:
            message = f"`usd_per_mtok` of {id!r} has no {' and no '.join(missing)}"
            self.notes.error("missing-key", message, raw.keys["usd_per_mtok"], "dollars per million tokens")
        long = values.get("long", {})
        if long and len(long) < len(_LONG) and len(raw.value["long"].value) < len(_LONG):
            message = f"`long` of {id!r} needs both above and factor"
            self.notes.error("missing-key", message, raw.keys["long"], "long = {above = 100_000, factor = 2}")
        usd = {{"cache_write": "cache_write_5m"}.get(name, name): amount for name, amount in usd.items()}
        for key, name in _CLASSES.items():
            if key in cache and name in usd:
                message = f"`cache.{key}` of {id!r} is a price in `usd_per_mtok` already"
                self.notes.error("no-effect", message, raw.keys["cache"], "keep one of them")
        if not {"input", "output"} <= usd.keys() or (long and len(long) < len(_LONG)):
            return None
        return own_price(
            usd,
            cache={_CLASSES[key]: factor for key, factor in cache.items()},
            long=(long["above"], long["factor"]) if long else None,
            source=NAME,
        )

    # Names

    def _order(self, raw: Raw, made: Catalogue, top: Raw) -> tuple[str, ...]:
        listed = (_keys(raw, {"order": _tiers}, "`tiers`", self.notes) or {}).get("order")
        known = made.tiers
        own = [tier for tier in known if tier not in BUILTIN.tiers]
        if listed is None:
            if own and "order" not in raw.value:
                listing = ", ".join(f'"{tier}"' for tier in known)
                message = f"no order says how strong the tier {own[0]!r} is"
                at = _place_of(own[0], top) or raw.at
                self.notes.error(
                    "missing-key", message, at, f"add [tiers] with order = [{listing}], weakest first"
                )
            return ()
        words = [entry.value for entry in listed]
        for entry in listed:
            if entry.value not in known:
                fix = did_you_mean(entry.value, known)
                message = f"no model has the tier {entry.value!r}"
                self.notes.error("wrong-value", message, entry.at, fix)
        missing = [tier for tier in known if tier not in words]
        if missing:
            message = f"`order` leaves out {', '.join(missing)}"
            self.notes.error("wrong-value", message, raw.keys["order"], "name every tier, the weakest first")
        return tuple(words)

    def _choice(self, raw: Raw, made: Catalogue) -> tuple[str, ...]:
        listed = (_keys(raw, {"tiers": _tiers}, "`choice`", self.notes) or {}).get("tiers")
        if listed is None:
            return BUILTIN.auto_tiers
        known = made.tiers
        for entry in listed:
            if entry.value not in known:
                message = f"there is no tier {entry.value!r}"
                self.notes.error("wrong-value", message, entry.at, did_you_mean(entry.value, known))
        words = [entry.value for entry in listed if entry.value in known]
        if words != sorted(words, key=known.index):
            message = "`tiers` must go from weak to strong"
            self.notes.error("wrong-value", message, raw.keys["tiers"], f"the order is {', '.join(known)}")
        return tuple(words) or BUILTIN.auto_tiers

    def _aliases(self, raw: Raw, made: Catalogue) -> dict[str, str]:
        found: dict[str, str] = {}
        for word, entry in raw.value.items():
            at = raw.keys[word]
            name = _text(entry, word, self.notes)
            if not _ALIAS.fullmatch(word) or word.lower() == "auto" or word.lower().startswith("claude-"):
                fix = "use letters, digits, ., - and _; `auto` and ids mean what they mean"
                self.notes.error("wrong-value", f"{shown(word)} cannot be an alias", at, fix)
            elif word.lower() in {model.id.lower() for model in made.models}:
                message = f"{word!r} is the id of a model, which means itself"
                self.notes.error("wrong-value", message, at, "choose another word")
            elif word.lower() in (other.lower() for other in found):
                self.notes.error("wrong-value", f"{word!r} is an alias already", at, "choose another word")
            elif name is not None and self._means_a_model(word, name, made, entry.at):
                found[word] = name
        return found

    def _means_a_model(self, word: str, name: str, made: Catalogue, at: str) -> bool:
        try:
            made.resolve(name)
        except StrettoError:
            known = [*made.tiers, *(model.id for model in made.models)]
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f'add [models."{name}"], or name a tier'
            self.notes.error(
                "unknown-model", f"the alias `{word}` stands for {name!r}, which is no model", at, fix
            )
            return False
        return True


def _place_of(tier: str, top: Raw) -> str:
    """Where a model is given this tier."""
    for entry in top.value["models"].value.values():
        if type(entry.value) is dict and "tier" in entry.value and entry.value["tier"].value == tier:
            at: str = entry.value["tier"].at
            return at
    return ""


def _model(known: ModelInfo, values: Mapping[str, Any]) -> ModelInfo:
    """A known model with what the user says of it; what the user does not say stays as it is."""
    names = {"speed": "tokens_per_s"}
    plain = ("tier", "context", "max_output", "efforts", "batch", "speed")
    changed = {names.get(key, key): values[key] for key in plain if key in values}
    if "token_factor" in values:
        changed["token_factor"] = float(values["token_factor"])
    if "limits" in values:
        changed["rates"] = Rates(**values["limits"])
    if "min_tokens" in values.get("cache", {}):
        changed["cache_min_tokens"] = values["cache"]["min_tokens"]
    return replace(known, source=NAME, **changed)
