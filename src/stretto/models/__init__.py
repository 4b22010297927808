"""The catalogue of models (price, limits, tier): what a name means, what a call costs, what it can cost."""

from stretto.models.catalogue import AUTO, MODELS, TIERS, ModelInfo, is_free, resolve
from stretto.models.prices import (
    Price,
    bound_nusd,
    cost_nusd,
    price_of,
    worst_case_nusd,
)

__all__ = [
    "AUTO",
    "MODELS",
    "TIERS",
    "ModelInfo",
    "Price",
    "bound_nusd",
    "cost_nusd",
    "is_free",
    "price_of",
    "resolve",
    "worst_case_nusd",
]
