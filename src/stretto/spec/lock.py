"""A lock file: one plan with the models, prices, inputs and functions it was approved with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NoReturn

from stretto.errors import EXIT_LIMIT, StrettoError
from stretto.plan.finding import Finding
from stretto.plan.graph import build
from stretto.plan.model import Plan, canonical, plan_from_data, plan_text

SCHEMA = "stretto/lock/1"
SUFFIX = ".lock.json"
MAX_BYTES = 64_000_000
"""A plan may have 4 MB as YAML; as data with every item written out it is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What was approved. Money in nano-dollars; prices in nano-dollars per million tokens."""

    plan: Plan
    on: str
    models: dict[str, str]
    """The model id of each `agent/name` that the plan uses."""
    catalogue: dict[str, dict[str, Any]]
    """By model id: what is known of it, with its price of each class of tokens (None: no price is known)."""
    approved_nusd: int | None
    """The high end of the estimate; None where no price was known."""
    inputs: dict[str, str] = field(default_factory=dict)
    """The words of `--in`; what is not here has its default in the plan."""
    cap_nusd: int | None = None
    """The word of `--usd`, as `run.Options` understands it; None: as the plan says."""
    parallel: int | None = None
    seed: int = 0
    folder: str = "."
    """Where the plan's file stands, seen from the lock file: the place of its functions."""
    sources: dict[str, str] = field(default_factory=dict)
    """sha256 of the file of each module that the plan's functions live in, by the module's name."""
    estimate: dict[str, Any] = field(default_factory=dict)
    """A summary for whoever reads the file."""
    stretto: str = ""
    """The version that wrote it."""


class LockDrift(StrettoError):
    """What a lock approved is no longer what would run: every difference, not only the first."""

    def __init__(self, path: str, findings: list[Finding]):
        noun = "difference" if len(findings) == 1 else "differences"
        super().__init__(
            "lock-drift",
            f"{path} no longer holds: {len(findings)} {noun}",
            at=path,
            next="look at each; `stretto estimate PLAN --lock` approves anew",
            code=EXIT_LIMIT,
        )
        self.findings = findings


def is_lock(path: str | PurePath) -> bool:
    return str(path).endswith(SUFFIX)


# Writing


def lock_text(lock: Lock) -> str:
    """The one text of a lock: the same lock is the same file, wherever it is written."""
    data = {"schema": SCHEMA, "plan_sha256": _sha(plan_text(lock.plan)), "plan": _plan_data(lock.plan)}
    data |= {name: getattr(lock, name) for name in _FIELDS if name != "plan"}
    data["sha256"] = _sha(canonical(data))
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_lock(path: Path, lock: Lock) -> None:
    """Raises `cannot-write`."""
    try:
        made = path.with_name(f".{path.name}.{os.getpid()}")
        made.write_bytes(lock_text(lock).encode("utf-8", "surrogatepass"))
        made.replace(path)
    except OSError as failed:
        raise StrettoError(
            "cannot-write", f"{path} cannot be written: {failed.strerror}", next="name another: --lock FILE"
        ) from failed


_FIELDS = tuple(Lock.__dataclass_fields__)


def _plan_data(plan: Plan) -> Any:
    return json.loads(plan_text(plan))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# Reading


def read_lock(path: Path) -> Lock:
    """Raises `unreadable-plan` where there is no file, `bad-lock` where it is not one that Stretto wrote."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            _bad(path, f"it has more than {MAX_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        _bad(path, "it is not UTF-8 text")
    except OSError as failed:
        raise StrettoError(
            "unreadable-plan",
            f"{path} cannot be read: {failed.strerror}",
            at=str(path),
            next="`stretto estimate PLAN --lock` writes one",
        ) from failed
    try:
        return _lock_of(json.loads(text), path)
    except (ValueError, RecursionError):
        _bad(path, "it is not JSON")


def _lock_of(data: Any, path: Path) -> Lock:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        said = data.get("schema") if isinstance(data, dict) else None
        newer = isinstance(said, str) and said.startswith("stretto/lock/")
        _bad(path, f"it is {said}, of another version of Stretto" if newer else f"it is no {SCHEMA}")
    whole = data.pop("sha256", None)
    if whole != _sha(canonical(data)):
        _bad(path, "it was changed or cut off after it was written")
    try:
        plan = plan_from_data(data["plan"])
        if data["plan_sha256"] != _sha(plan_text(plan)) or build(plan).problems:
            _bad(path, "its plan is not whole")
        rest = {key: data[key] for key in _FIELDS if key != "plan"}
        return Lock(plan=plan, **rest)
    except (KeyError, TypeError, AttributeError) as missing:
        _bad(path, f"something is missing in it: {missing}")


def _bad(path: Path, why: str) -> NoReturn:
    raise StrettoError(
        "bad-lock",
        f"{path} is no lock file that can be trusted: {why}",
        at=str(path),
        next="make it anew: `stretto estimate PLAN --lock`",
    )


# Drift


def check_drift(path: Path, lock: Lock, now: Lock, changed: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuses what differs between a lock and what would run today. Raises LockDrift with all of it.

    `changed` are words of the command line that contradict the lock: (in the lock, now) by name.
    """
    found = [*_version(lock, now), *_models(lock, now), *_catalogue(lock, now), *_sources(lock, now)]
    found += [_differs(name, *map(_word, both)) for name, both in changed.items()]
    if found:
        findings = [Finding("lock-drift", "error", message, str(path)) for message in found]
        raise LockDrift(str(path), findings)


def _differs(what: str, before: str, after: str) -> str:
    return f"{what}: {before} in the lock, {after} now"


def _version(lock: Lock, now: Lock) -> Iterator[str]:
    if lock.stretto.partition(".")[0] != now.stretto.partition(".")[0]:
        yield _differs("Stretto", lock.stretto or "unknown", now.stretto)


def _models(lock: Lock, now: Lock) -> Iterator[str]:
    for name, id in lock.models.items():
        after = now.models.get(name)
        if after != id:
            yield _differs(f"model {name}", id, after or "unknown")


def _catalogue(lock: Lock, now: Lock) -> Iterator[str]:
    for id, before in lock.catalogue.items():
        after = now.catalogue.get(id)
        if after is None:
            continue  # the name that stood for it stands for another one, which is said already
        for name in sorted({*before, *after} - {"price"}):
            if before.get(name) != after.get(name):
                yield _differs(f"{name} of {id}", _word(before.get(name)), _word(after.get(name)))
        yield from _prices(id, before.get("price"), after.get("price"))


def _prices(id: str, before: Any, after: Any) -> Iterator[str]:
    """Every class of tokens that costs something else now."""
    if before is None or after is None:
        if before is not after:
            known = ("unknown" if price is None else "known" for price in (before, after))
            yield _differs(f"price of {id}", *known)
        return
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield _differs(f"price of {id}, {name}", _money(before.get(name)), _money(after.get(name)))


def _sources(lock: Lock, now: Lock) -> Iterator[str]:
    for module in sorted({*lock.sources, *now.sources}):
        before, after = lock.sources.get(module), now.sources.get(module)
        if before != after:
            what = "is gone" if after is None else "is new" if before is None else "has changed"
            yield f"functions: the file of the module {module} {what}"


def _money(price: Any) -> str:
    if isinstance(price, int):
        return f"${price / 1e9:g} per million"
    return _word(price)


def _word(value: Any) -> str:
    return "unknown" if value is None else value if isinstance(value, str) else canonical(value)
