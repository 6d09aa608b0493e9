"""Several pairs of cells for each weight, with different factors.

Source: C. Mackin et al., "Optimised weight programming for analogue memory-based deep neural
networks", Nat. Commun. 13, 3765 (2022).
"""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Positive, config
from mho.mapping.base import Mapping, Readout
from mho.mapping.scale import Maximum, Scale


@config
class SignificancePairs(Mapping):
    """``w = sum_k factor_k (g_plus_k - g_minus_k) / (sum factor * (g_max - g_min))``.

    The pair of the lowest factor fills first. The pairs are added as currents, before conversion.

    Attributes:
        factors: factor of each pair, rising.
        scale: how the reference weight is chosen; by default the largest magnitude of each column.

    >>> w = torch.tensor([[0.5, -1.0], [0.25, 0.0]])
    >>> g = SignificancePairs(factors=(1.0, 3.0)).targets(w, 0.0, 25e-6) * 1e6
    >>> [[round(v, 4) for v in cell.flatten().tolist()] for cell in g]
    [[25.0, 0.0, 25.0, 0.0], [0.0, 25.0, 0.0, 0.0], [8.3333, 0.0, 0.0, 0.0], [0.0, 25.0, 0.0, 0.0]]
    """

    factors: tuple[Positive, ...] = (1.0, 2.0)
    scale: InstanceOf[Scale] = Maximum(per_column=True)

    def validate(self) -> None:
        """The factors must rise, so that the least significant pair fills first."""
        if not self.factors or list(self.factors) != sorted(self.factors):
            raise ValueError(f"factors = {self.factors!r}: give at least one factor, in rising order")

    @property
    def copies(self) -> int:
        """Two for each pair."""
        return 2 * len(self.factors)

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        """``g_target[copy, ..., row, column]``: pair 0 plus, pair 0 minus, pair 1 plus, ..."""
        span = g_max - g_min
        wanted = w.clamp(-1, 1) * sum(self.factors) * span
        cells, lower = [], 0.0
        for factor in self.factors:
            for sign in (1, -1):
                filled = ((sign * wanted).clamp(min=0) - lower) / factor
                cells.append(g_min + filled.clamp(0, span))
            lower += factor * span
        return torch.stack(cells)

    def readout(self, g_min: float, g_max: float) -> Readout:
        """One channel: the factors act on the currents."""
        row = tuple(sign * factor for factor in self.factors for sign in (1.0, -1.0))
        return Readout((row,), (g_max / (sum(self.factors) * (g_max - g_min)),))
