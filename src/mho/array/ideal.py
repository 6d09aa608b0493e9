"""Wires without resistance."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mho.array.base import Array, Spans
from mho.config import config


@config
class Ideal(Array):
    """Lines of zero resistance: each cell sees the full voltage of its row."""

    def effective_conductance(self, g: Tensor) -> Tensor:
        """``g`` itself."""
        return g

    def effective_tiles(
        self, g: Tensor, rows: Spans, columns: Spans, analog: Sequence[Sequence[float]]
    ) -> Tensor:
        """``g`` itself."""
        return g
