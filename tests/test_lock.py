"""The lock pins all that pyproject.toml asks for, and nothing of the machine it was made on."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKED_EXTRAS = ("dev", "messages", "openai", "local", "claude")


def asked_for() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in LOCKED_EXTRAS for line in extras[extra])]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in wanted}


def pinned() -> dict[str, Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines if line}


@pytest.mark.parametrize("name", asked_for())
def test_what_is_asked_for_is_pinned(name: str) -> None:
    assert name in pinned(), f"{name} is not in requirements.lock: run `make lock`"
    (pin,) = pinned()[name].specifier
    asked = asked_for()[name].specifier
    assert asked.contains(pin.version), f"{name}{asked} is asked for, {pin} is locked: run `make lock`"


def test_every_pin_is_one_exact_version_from_a_registry() -> None:
    loose = [
        str(pin)
        for pin in pinned().values()
        if pin.url or [spec.operator for spec in pin.specifier] != ["=="]
    ]
    assert not loose


def test_the_lock_names_no_place() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not [line for line in text.splitlines() if "/" in line or line.startswith("-")]
    assert "make lock" in text
