"""From conductances to the matrix that an array really multiplies by: the interface of all arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor


class Array(ABC):
    """The wires around the cells of one tile.

    The array of resistive cells is linear: its column currents are ``i = g_eff^T v``. An array
    description gives ``g_eff`` once per programmed tile; every read is then one matrix product.
    """

    @abstractmethod
    def effective_conductance(self, g: Tensor) -> Tensor:
        """The matrix seen from outside.

        Args:
            g: cell conductances ``g[..., row, column]``, siemens; each leading index is a tile.

        Returns:
            ``g_eff`` of the same shape, siemens, with ``i[column] = sum_row g_eff[row, column] v[row]``.
        """

    def effective_copies(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor:
        """The matrices of all copies of a tile, which an array may hold together.

        Args:
            g: ``g[copy, ..., row, column]``, siemens.
            analog: sign or weight of each copy in each sum of currents, ``[channel][copy]``, as in the
                mapping's readout.

        Returns:
            ``g_eff`` of the same shape; each copy in an array of its own unless an array says otherwise.
        """
        return self.effective_conductance(g)
