"""What a plan would cost and how long it would take, with a change and without: at the means, at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stretto.estimate.pieces import Piece, pieces_of
from stretto.models.choice import Chooser
from stretto.plan.graph import Element, Graph
from stretto.plan.model import Plan


class Figures(NamedTuple):
    """Expected nano-dollars and seconds; None where no price is known."""

    nusd: float | None
    seconds: float


class Prices:
    """The price of a plan's tasks, of the whole, and of the plan as it would be after a change."""

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        on: str,
        chooser: Chooser,
        free: Callable[[str], bool],
        inputs: Mapping[str, Any],
    ):
        pieces = pieces_of(plan, on, graph, chooser, free, inputs=inputs)
        self._pieces: dict[Element, Piece] = {piece.element: piece for piece in pieces if not piece.grown}
