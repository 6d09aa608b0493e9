"""What may be wrong between an array and its instruments, and what the lines do then: faults to order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho.boards.base import Cells
from mho.config import Finite, NonNegative, config

Pair = tuple[int, int]
_NO_CURRENT = 1e-15  # amperes, through an open line
_OVERFLOW = 9.9e37  # what SCPI instruments answer beyond their range


@config
class Wiring:
    """The lines of a board, as they should be or not.

    Attributes:
        transposed: rows are wired as columns, and columns as rows.
        swapped_rows, swapped_columns: two lines that are wired as each other.
        sign: all currents come with the wrong sign.
        open_row, open_column: a line without contact.
        gains: a column and the factor on its currents, for some of them.
        offsets: a column and the amperes added to its currents, for some of them.
        stuck_row: a row and the siemens of all its cells, whatever they hold.
        stale: the instrument gives the first answer again and again.
        nan: a cell whose current comes as no number.
        overflow: a cell whose current is beyond the range.
        shorted: a cell that conducts a siemens, far beyond the compliance.

    Example:
        >>> Wiring(swapped_rows=(0, 1)).cells(Cells.all((2, 2)), (2, 2)).rows.tolist()
        [1, 1, 0, 0]
    """

    transposed: bool = False
    swapped_rows: Pair | None = None
    swapped_columns: Pair | None = None
    sign: bool = False
    open_row: int | None = None
    open_column: int | None = None
    gains: tuple[tuple[int, Finite], ...] = ()
    offsets: tuple[tuple[int, Finite], ...] = ()
    stuck_row: tuple[int, NonNegative] | None = None
    stale: bool = False
    nan: Pair | None = None
    overflow: Pair | None = None
    shorted: Pair | None = None

    def cells(self, cells: Cells, shape: tuple[int, int]) -> Cells:
        """The cells that are behind those that were addressed."""
        rows = _swapped(cells.rows, self.swapped_rows)
        columns = _swapped(cells.columns, self.swapped_columns)
        if not self.transposed:
            return Cells(rows, columns)
        return Cells(columns % shape[0], rows % shape[1])

    def driven(self, volts: Tensor, cells: Cells) -> Tensor:
        """Voltages that reach cells: none over an open line."""
        return torch.where(self._open(cells), 0.0, volts)

    def through(self, amperes: Tensor, cells: Cells, volts: float | Tensor) -> Tensor:
        """The currents of cells with ``volts`` on them, amperes ``[cell]``, as the lines let them through."""
        rows, columns = cells.rows, cells.columns
        if self.stuck_row is not None:
            amperes = torch.where(rows == self.stuck_row[0], volts * self.stuck_row[1], amperes)
        amperes = torch.where(self._open(cells), amperes.sign() * _NO_CURRENT, amperes)
        for place, value in ((self.nan, math.nan), (self.overflow, _OVERFLOW), (self.shorted, volts)):
            if place is not None:
                amperes = torch.where((rows == place[0]) & (columns == place[1]), value, amperes)
        return amperes

    def measured(self, amperes: Tensor, columns: Tensor) -> Tensor:
        """What the instrument makes of currents of some columns; ``columns`` broadcasts to the currents."""
        for column, factor in self.gains:
            amperes = torch.where(columns == column, factor * amperes, amperes)
        for column, offset in self.offsets:
            amperes = torch.where(columns == column, amperes + offset, amperes)
        return -amperes if self.sign else amperes

    def _open(self, cells: Cells) -> Tensor:
        none = torch.zeros_like(cells.rows, dtype=torch.bool)
        row = none if self.open_row is None else cells.rows == self.open_row
        return row if self.open_column is None else row | (cells.columns == self.open_column)


def _swapped(lines: Tensor, pair: Pair | None) -> Tensor:
    if pair is None:
        return lines
    a, b = pair
    return torch.where(lines == a, b, torch.where(lines == b, a, lines))
