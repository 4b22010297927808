"""Orchestrates many LLM agents: the right pattern and model, priced before, held during, true after."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stretto.api import (
        Group,
        Input,
        Plan,
        Task,
        fan_out,
        hierarchy,
        map_reduce,
        pipeline,
        scatter_gather,
    )
    from stretto.errors import StrettoError, Transient
    from stretto.plan.finding import Finding, PlanError

__version__ = "0.1.0"

__all__ = [
    "Finding",
    "Group",
    "Input",
    "Plan",
    "PlanError",
    "StrettoError",
    "Task",
    "Transient",
    "fan_out",
    "hierarchy",
    "map_reduce",
    "pipeline",
    "scatter_gather",
]

_ELSEWHERE = {
    "Finding": "stretto.plan.finding",
    "PlanError": "stretto.plan.finding",
    "StrettoError": "stretto.errors",
    "Transient": "stretto.errors",
}
"""Where a name comes from, if not from the façade."""


def __getattr__(name: str) -> Any:
    """Loads what is asked for only then: `stretto --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_ELSEWHERE.get(name, "stretto.api")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
