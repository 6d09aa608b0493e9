"""What a board is asked, in SI units: the interface of all boards.

A board is the raw side of a bench: each verb is asked once and answered once, or raises. It judges nothing
and repeats nothing; :class:`mho.boards.Bench` around it keeps the rules, and is what everything else works
with.

Rows are word lines and inputs, columns are bit lines and outputs, both counted from 0 whatever the header
says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from mho.boards.errors import BoardError
from mho.config import Count, Finite, NonNegative, Positive, config


@config
class Capabilities:
    """What a board has and can do.

    Attributes:
        rows, columns: of its array.
        v_read: highest magnitude of the voltage of a read, volts.
        v_write: lowest and highest voltage of a pulse, volts.
        v_step: between two voltages of pulses, volts; 0: any voltage.
        width: shortest and longest pulse, seconds.
        compliance: current at which the board limits, amperes.
        i_min: smallest current that a read tells from none, amperes.
        pulses: whether it sends pulses of a given voltage and length to single cells.
        targets: whether it brings cells to conductances by itself.
        multiplies: whether it drives several rows at once and reads the columns.
        row_levels: whether each row then has a voltage of its own; otherwise all driven rows have the same
            one.
        selector: whether transistors or selectors keep pulses from the other cells of a row and a column.
        at_once: cells that one transaction reads or pulses at most.
    """

    rows: Count
    columns: Count
    v_read: Positive = 0.5
    v_write: tuple[Finite, Finite] = (-5.0, 5.0)
    v_step: NonNegative = 0.0
    width: tuple[Positive, Positive] = (1e-12, 10.0)
    compliance: Positive = 1e-2
    i_min: NonNegative = 0.0
    pulses: bool = True
    targets: bool = False
    multiplies: bool = True
    row_levels: bool = True
    selector: bool = True
    at_once: Count = 1 << 16

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


class Cells(NamedTuple):
    """Cells of an array, in an order.

    Attributes:
        rows, columns: of each cell, int64, ``[cell]``.
    """

    rows: Tensor
    columns: Tensor

    @staticmethod
    def all(shape: tuple[int, int]) -> Cells:
        """All cells, row by row."""
        return Cells.of(torch.ones(shape, dtype=torch.bool))

    @staticmethod
    def of(mask: Tensor) -> Cells:
        """Those where ``mask[row, column]`` is true, row by row."""
        found = mask.nonzero()
        return Cells(found[:, 0], found[:, 1])

    @property
    def number(self) -> int:
        """How many."""
        return self.rows.numel()

    def take(self, index: Tensor | slice) -> Cells:
        """Some of them, by a mask, a slice or their places in the list."""
        return Cells(self.rows[index], self.columns[index])

    def portions(self, size: int) -> list[slice]:
        """Parts of at most ``size`` cells."""
        return [slice(a, a + size) for a in range(0, self.number, size)]

    def words(self) -> str:
        """Which cells, for a message."""
        if self.number == 1:
            return f"row {int(self.rows[0])}, column {int(self.columns[0])}"
        first = f"row {int(self.rows[0])}, column {int(self.columns[0])}" if self.number else "none"
        return f"{self.number} cells from {first} on"


class Pulses(NamedTuple):
    """One pulse for each of some cells, sent in their order.

    Attributes:
        cells: the cells; none twice.
        volts: amplitude, float64, ``[cell]``; a positive one drives current from the row to the column.
        seconds: length, float64, ``[cell]``.
    """

    cells: Cells
    volts: Tensor
    seconds: Tensor

    def take(self, index: Tensor | slice) -> Pulses:
        """Some of them."""
        return Pulses(self.cells.take(index), self.volts[index], self.seconds[index])


class Answer(NamedTuple):
    """What a board measured.

    Attributes:
        amperes: float64, ``[cell]`` of a read, ``[vector, column]`` of a product; as it came, NaN and all.
        limited: where the current was limited, bool, the same shape; None where the board does not tell.
        stamp: the board's own time or number of each measurement, float64, the same shape; None where it has
            none.
    """

    amperes: Tensor
    limited: Tensor | None = None
    stamp: Tensor | None = None


class Board(ABC):
    """An array of cells and the instruments in front of it."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it has and can do."""

    @abstractmethod
    def identify(self) -> str:
        """Who it is, in a line: maker, model, number."""

    @abstractmethod
    def read(self, cells: Cells, volts: float) -> Answer:
        """The current of each of some cells at a voltage, all other lines grounded.

        Raises:
            LostReply: no answer came in time.
        """

    def pulse(self, pulses: Pulses) -> None:
        """Send pulses; when it returns, they were all sent.

        Raises:
            LostReply: no answer came in time: none, some or all of the pulses were sent.
            BoardError: the board has none (``capabilities.pulses``).
        """
        raise BoardError("this board sends no pulses: give it targets", "pulse", pulses.cells.words(), 1)

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """Bring cells to conductances ``[cell]``, as the board does it by itself.

        Raises:
            LostReply: no answer came in time.
            BoardError: it does not (``capabilities.targets``), or failed.
        """
        raise BoardError("this board sets no targets by itself: send it pulses", "set", cells.words(), 1)

    def multiply(self, volts: Tensor, columns: Tensor) -> Answer:
        """The currents of some columns, ``[vector, column]``, with the rows at ``volts[vector, row]``.

        Raises:
            LostReply: no answer came in time.
            BoardError: it cannot (``capabilities.multiplies``).
        """
        raise BoardError("this board drives one row at a time", "multiply", f"{len(volts)} vectors", 1)

    @abstractmethod
    def safe(self) -> None:
        """Ground all lines and switch the sources off; to be called at any time, more than once too."""

    def close(self) -> None:
        """Give the connection back; nothing can be asked after."""
        return
