"""The duck-typed ``rram_interface`` of the RRAM framework document: whole matrices, out and in.

``read_matrix()`` gives and ``write_matrix(matrix)`` takes siemens ``[out_features, in_features]``, one cell
for each weight. Outputs are columns here and inputs are rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mho.boards.base import Answer, Board, Capabilities, Cells
from mho.boards.bench import Bench
from mho.boards.errors import BoardError
from mho.boards.writing import write
from mho.programming import WriteVerify


class MatrixInterface(Protocol):
    """What the document asks of a board."""

    def write_matrix(self, matrix: Any) -> Any:
        """Bring the cells to ``matrix[out, in]``, siemens; False if that failed."""

    def read_matrix(self) -> Any:
        """The conductances now, siemens, ``[out, in]``."""


class MatrixBoard(Board):
    """An object with ``write_matrix`` and ``read_matrix`` as a board: it sets targets, and has no pulses.

    Args:
        interface: the object; it holds a matrix already, or takes a first one of zeros.
        rows: inputs.
        columns: outputs.

    Example:
        >>> class Cells_:
        ...     def write_matrix(self, matrix):
        ...         self.cells = matrix
        ...         return True
        ...     def read_matrix(self):
        ...         return self.cells
        >>> board = MatrixBoard(Cells_(), rows=3, columns=2)
        >>> board.set(Cells(torch.tensor([2]), torch.tensor([1])), torch.tensor([2.0**-18]))
        >>> board.interface.read_matrix().tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 3.814697265625e-06]]
    """

    def __init__(self, interface: MatrixInterface, rows: int, columns: int) -> None:
        self.interface = interface
        self._capabilities = Capabilities(
            rows=rows, columns=columns, pulses=False, targets=True, multiplies=False
        )
        self._written = False

    @property
    def capabilities(self) -> Capabilities:
        """See :meth:`Board.capabilities`."""
        return self._capabilities

    def identify(self) -> str:
        """The name of the class."""
        return f"rram_interface,{type(self.interface).__name__},0,0"

    def read(self, cells: Cells, volts: float) -> Answer:
        """See :meth:`Board.read`; the interface gives conductances."""
        return Answer(volts * self._matrix()[cells.rows, cells.columns])

    def set(self, cells: Cells, siemens: Tensor) -> None:
        """See :meth:`Board.set`: the matrix with some other cells."""
        shape = self._capabilities.shape
        now = self._matrix() if self._written else torch.zeros(shape, dtype=torch.float64)
        now[cells.rows, cells.columns] = siemens.double()
        done = self.interface.write_matrix(now.t().numpy().copy())
        if done is not None and not done:
            raise BoardError(
                f"write_matrix gave {done!r}: the cells are not at their targets", "set", cells.words(), 1
            )
        self._written = True

    def _matrix(self) -> Tensor:
        """``[row, column]``."""
        given = np.array(self.interface.read_matrix(), dtype=np.float64)
        rows, columns = self._capabilities.shape
        if given.shape != (columns, rows):
            raise BoardError(
                f"read_matrix has shape {given.shape}: the board has {(columns, rows)}, [out, in]"
            )
        return torch.from_numpy(given).t().contiguous()

    def safe(self) -> None:
        """The interface drives nothing between two calls, as far as anybody can say."""


class AsMatrix:
    """A board as ``rram_interface``: for ``mho.compat.rram``, or any other program of the document.

    Args:
        bench: the board.
        rule: how cells are written; :func:`mho.boards.write`.

    Example:
        >>> from mho.boards import SimulatedBoard
        >>> from mho.devices import Ideal
        >>> rram_hw = AsMatrix(Bench(SimulatedBoard(Ideal(), 3, 2), Ideal()))
        >>> rram_hw.write_matrix([[1e-6, 2e-6, 3e-6], [4e-6, 5e-6, 6e-6]])
        True
        >>> rram_hw.read_matrix().round(9).tolist()
        [[1e-06, 2e-06, 3e-06], [4e-06, 5e-06, 6e-06]]
    """

    def __init__(self, bench: Bench, rule: WriteVerify | None = None) -> None:
        self.bench, self.rule = bench, rule

    def write_matrix(self, matrix: Any) -> bool:
        """Bring the cells to ``matrix[out, in]``, siemens; whether all of them came within the tolerance."""
        goal = torch.from_numpy(np.array(matrix, dtype=np.float64)).t().contiguous()
        return not bool(write(self.bench, goal, self.rule).failed.any())

    def read_matrix(self) -> Any:
        """What a read says now, siemens, numpy ``[out, in]``."""
        return self.bench.conductances().t().contiguous().numpy()
