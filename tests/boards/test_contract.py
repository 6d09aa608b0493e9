"""All boards keep one contract; the contract finds boards that do not."""

from __future__ import annotations

import pytest
import torch

from mho.boards import (
    AsMatrix,
    Bench,
    Board,
    BoardError,
    Cells,
    LineFaults,
    MatrixBoard,
    SimulatedBoard,
    Unreliable,
)
from mho.boards.visa import SCPI, TSP, Loopback, SourceMeasureBoard, open_visa
from mho.devices import PCM, Ideal, JumpCell, Jumps, StuckAt
from mho.testing import check_board

from .cells import PULSES, QUIET, RULE

PULSE = (1.0, 1e-6)


def jumps(sign):
    return Jumps(
        g=(1e-6, 9e-6), change=(0.0, sign * 1e-6) if sign > 0 else (-1e-6, 0.0), cdf=((0.0, 1.0), (0.0, 1.0))
    )


def test_simulated_boards_keep_the_contract():
    check_board(SimulatedBoard(QUIET, 5, 4), 0.1, PULSE)
    check_board(SimulatedBoard(StuckAt(lrs=0.1, device=QUIET), 5, 4, seed=1), 0.1, PULSE)
    check_board(Unreliable(SimulatedBoard(QUIET, 5, 4), LineFaults()), 0.1, PULSE)
    check_board(SimulatedBoard(JumpCell(up=jumps(1), down=jumps(-1)), 4, 4), 0.1, PULSE)
    statistical = SimulatedBoard(Ideal(), 4, 6)
    statistical.set(Cells.all((4, 6)), torch.linspace(1e-6, 20e-6, 24))
    check_board(statistical, 0.2)


@pytest.mark.parametrize("dialect", [SCPI(), TSP()])
def test_instruments_over_a_socket_keep_the_contract(dialect):
    with Loopback(SimulatedBoard(QUIET, 5, 4), dialect) as server:
        board = SourceMeasureBoard(open_visa(server.address), 5, 4, dialect)
        check_board(board, 0.1, PULSE)
        board.close()


def test_matrix_interfaces_keep_the_contract():
    with Bench(SimulatedBoard(QUIET, 4, 5), QUIET) as bench:
        board = MatrixBoard(AsMatrix(bench, RULE), 4, 5)
        board.set(Cells.all((4, 5)), torch.linspace(2e-6, 9e-6, 20))
        check_board(board, 0.1, noise=0.05)


class Wrong(SimulatedBoard):
    """A board that swaps the cells of a list."""

    def read(self, cells, volts):
        return super().read(cells.take(torch.arange(cells.number).flip(0)), volts)


class Careless(SimulatedBoard):
    """A board whose pulses reach the next cell too."""

    def pulse(self, pulses):
        super().pulse(pulses)
        cells = pulses.cells
        super().pulse(pulses._replace(cells=Cells(cells.rows, (cells.columns + 1) % 4)))


def test_the_contract_finds_boards_that_break_it():
    other = Wrong(Ideal(), 4, 4)
    SimulatedBoard.set(other, Cells.all((4, 4)), torch.linspace(1e-6, 20e-6, 16))
    with pytest.raises(AssertionError, match="in the order in which they are given"):
        check_board(other, 0.1)
    with pytest.raises(AssertionError, match="leave all other cells"):
        check_board(Careless(QUIET, 4, 4), 0.1, PULSE)


def test_a_stranger_writes_a_board_of_a_few_lines():
    class Resistors(Board):
        def __init__(self):
            self.g = torch.linspace(1e-6, 9e-6, 12, dtype=torch.float64).view(3, 4)

        @property
        def capabilities(self):
            return type(SimulatedBoard(QUIET, 3, 4).capabilities)(
                rows=3, columns=4, pulses=False, multiplies=False
            )

        def identify(self):
            return "resistors"

        def read(self, cells, volts):
            from mho.boards import Answer

            return Answer(volts * self.g[cells.rows, cells.columns])

        def safe(self):
            return None

    check_board(Resistors(), 0.1)
    with pytest.raises(BoardError, match="drives one row at a time"):
        Resistors().multiply(torch.ones(1, 3), torch.arange(4))


def test_draws_belong_to_cells_and_their_pulses():
    cells = Cells(torch.tensor([0, 1]), torch.tensor([1, 0]))
    boards = [SimulatedBoard(PCM(), 3, 3, seed=4) for _ in range(2)]
    for board in boards:
        board.set(cells, torch.full((2,), 10e-6))
    boards[0].set(Cells(torch.tensor([2]), torch.tensor([2])), torch.tensor([5e-6]))
    a, b = (board.read(cells, 0.2).amperes for board in boards)
    assert torch.equal(a, b) and not torch.equal(a, boards[0].read(cells, 0.2).amperes)
    assert PULSES.up.voltage == 1.0
