"""The catalogue of models (price, speed, limits), the choice of one per task, the ladder to climb."""

from stretto.models.catalogue import BUILTIN, Catalogue, ModelInfo, Rates, is_free
from stretto.models.prices import Price

__all__ = ["BUILTIN", "Catalogue", "ModelInfo", "Price", "Rates", "is_free"]
