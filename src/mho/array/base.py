"""From conductances to the matrix that an array really multiplies by: the interface of all arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from mho.array._noise import SeenNoise, plain_noise


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

    loaded: ClassVar[bool] = False
    """Whether the voltage of a cell depends on what the others carry, so that its noise does."""

    def noise_groups(self, rows: int, g_max: float) -> int:
        """Into how many groups of rows the noise of cells is taken apart: 0 for none, see :meth:`seen_noise`.

        Args:
            rows: of the largest tile.
            g_max: highest conductance of the cells, siemens.
        """
        return 0

    def seen_noise(
        self, g: Tensor, variance: Tensor, analog: Sequence[Sequence[float]], groups: int
    ) -> SeenNoise:
        """How the noise of the cells of all copies is seen from outside.

        Args:
            g: ``g[copy, ..., row, column]``, siemens.
            variance: of the conductances in one read, siemens squared, likewise.
            analog: as for :meth:`effective_copies`.
            groups: what :meth:`noise_groups` gave.

        Returns:
            The noise of each copy's column currents; here each cell is seen as its conductance is, which an
            array that knows its wires does better.
        """
        return plain_noise(g, self.effective_copies(g, analog), variance)
