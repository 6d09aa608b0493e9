"""From conductances to the matrix that an array really multiplies by: the interface of all arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mho.array._noise import SeenNoise, plain_noise

Spans = tuple[tuple[int, int], ...]


class Array(ABC):
    """The wires around the cells of one tile.

    The array of resistive cells is linear: its column currents are ``i = g_eff^T v``. An array
    description gives ``g_eff`` once per programmed tile; every read is then one matrix product. An array of
    your own writes :meth:`effective_conductance`; cells without Ohm's law derive from
    :class:`~mho.array.NonlinearCells`.
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

    def effective_tiles(
        self, g: Tensor, rows: Spans, columns: Spans, analog: Sequence[Sequence[float]]
    ) -> Tensor:
        """The matrices of all tiles of a layer; those of the same shape are solved together.

        Args:
            g: ``g[copy, group, row, column]``, siemens.
            rows, columns: first and last + 1 line of each tile.
            analog: as for :meth:`effective_copies`.

        Returns:
            ``g_eff`` of the same shape; ``g`` itself where cells are seen as they are.
        """
        tiles = [(r, c) for r in rows for c in columns]
        seen = torch.empty_like(g)
        for shape in dict.fromkeys((r[1] - r[0], c[1] - c[0]) for r, c in tiles):
            alike = [(r, c) for r, c in tiles if (r[1] - r[0], c[1] - c[0]) == shape]
            cells = torch.stack([g[..., slice(*r), slice(*c)] for r, c in alike], dim=1)
            solved = self.effective_copies(cells, analog)
            for (r, c), part in zip(alike, solved.unbind(1), strict=True):
                seen[..., slice(*r), slice(*c)] = part
        return seen

    def admittance(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor | None:
        """What the drivers of a tile's rows see: ``i[row] = sum_k Y[row, k] v[k]``, of all copies together.

        The power of a read is then ``v^T Y v``. An array whose rows load each other says so by ``loaded``
        and gives this matrix.

        Args:
            g: ``g[copy, ..., row, column]``, siemens.
            analog: as for :meth:`effective_copies`.

        Returns:
            ``[..., row, row]``, siemens; None where each row draws ``v sum_column g``, as it does without
            wires.
        """
        return None

    # --- what it fits -----------------------------------------------------------------------------

    def check(self, g_min: float, g_max: float, v_read: float) -> None:
        """Raise ``ValueError`` if cells with these bounds at this read voltage cannot be in the array."""
        return

    def check_drivers(self, errors: tuple[float, float] | None) -> None:
        """Raise ``ValueError`` if rows cannot be driven so.

        Args:
            errors: standard deviations of gain and offset of the DACs; None without DACs.
        """
        return

    def at_temperature(self, kelvin: float | None) -> Array:
        """The array in a chip of this temperature; None where no effect of the device says one."""
        return self

    # --- cells without Ohm's law -----------------------------------------------------------------

    @property
    def voltages(self) -> tuple[float, ...]:
        """Voltages over the read voltage at which cells have a matrix of their own, rising.

        None where currents are in proportion to voltages; only the read voltage where inputs that are shaped
        by :meth:`driven` do.
        """
        return ()

    def chords(self, g: Tensor, places: Sequence[float], v_read: float) -> Iterator[Tensor]:
        """Currents at the voltages ``places * v_read`` over ``v_read``, siemens, one after the other.

        Args:
            g: conductance at ``v_read``, siemens, any shape.
            places: voltages over the read voltage, from -1 to 1.
            v_read: read voltage, volts.
        """
        return (g * place for place in places)

    def driven(self, v: Tensor, high: float, v_read: float) -> Tensor:
        """What the matrix of the read voltage multiplies: converted inputs, shaped as the cells' law is.

        Args:
            v: converted inputs.
            high: that of full scale.
            v_read: read voltage, volts.
        """
        return v

    # --- noise -----------------------------------------------------------------------------------

    loaded: ClassVar[bool] = False
    """Whether the voltage of a cell depends on what the others carry, so that its noise and its power do."""

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
