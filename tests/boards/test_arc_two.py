"""The adapter of ArC TWO, against a stand-in that behaves as the documentation of pyarc2 says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mho.boards import ArcTwo, Bench, BoardError, Cells, Pulses, SimulatedBoard, write
from mho.testing import check_board

from .cells import QUIET, RULE, targets

ROWS, COLUMNS = [5, 0, 40, 33], [20, 63, 16]
SIDES = ([*range(16), *range(32, 48)], [*range(16, 32), *range(48, 64)])


class Instrument:
    """64 channels in front of cells; commands wait in a buffer until ``execute``."""

    def __init__(self, board, rows, columns):
        self.board, self.rows, self.columns = board, rows, columns
        self.buffer, self.grounded, self.done = [], 0, 0

    def read_slice_masked(self, chan, mask, vread):
        assert mask.dtype == np.uint64 and not self.buffer
        across = SIDES[1] if chan in SIDES[0] else SIDES[0]
        found = np.full(32, np.nan, dtype=np.float32)
        for high in mask.tolist():
            cell = Cells(torch.tensor([self.rows.index(high)]), torch.tensor([self.columns.index(chan)]))
            found[across.index(high)] = float(self.board.read(cell, vread).amperes)
        return found

    def pulse_slice_masked(self, chan, voltage, nanos, mask):
        assert isinstance(nanos, int)
        self.buffer += [(high, chan, voltage, nanos) for high in mask.tolist()]
        return self

    def ground_all(self):
        self.buffer.append("ground")
        return self

    def execute(self):
        for command in self.buffer:
            if command == "ground":
                self.grounded += 1
                continue
            high, low, volts, nanos = command
            cell = Cells(torch.tensor([self.rows.index(high)]), torch.tensor([self.columns.index(low)]))
            amplitude, seconds = torch.tensor([volts]).double(), torch.tensor([nanos * 1e-9]).double()
            self.board.pulse(Pulses(cell, amplitude, seconds))
        self.buffer.clear()
        self.done += 1
        return self

    def wait(self):
        assert not self.buffer


def test_the_adapter_keeps_the_contract_and_writes():
    inside = SimulatedBoard(QUIET, 4, 3)
    arc = Instrument(inside, ROWS, COLUMNS)
    board = ArcTwo(arc, ROWS, COLUMNS)
    check_board(board, 0.1, (1.0, 1e-6))
    with Bench(board, QUIET) as bench:
        done = write(bench, targets(4, 3), RULE)
    assert not bool(done.failed.any()) and not arc.buffer and arc.grounded > 0
    now = inside.conductances()
    assert torch.allclose(done.g, now, rtol=1e-6)  # currents are float32


def test_nothing_happens_before_execute_and_errors_are_those_of_a_board():
    inside = SimulatedBoard(QUIET, 4, 3)
    arc = Instrument(inside, ROWS, COLUMNS)
    board = ArcTwo(arc, ROWS, COLUMNS)
    kept, arc.execute = arc.execute, lambda: None
    arc.wait = lambda: None
    one = Cells(torch.tensor([1]), torch.tensor([1]))
    board.pulse(Pulses(one, torch.tensor([1.0]).double(), torch.tensor([1e-6]).double()))
    assert int(inside.counts.sum()) == 0
    kept()
    assert int(inside.counts.sum()) == 1

    def broken(*given):
        raise RuntimeError("FIFO overrun")

    arc.read_slice_masked = broken
    with pytest.raises(BoardError, match="read, attempt 1: the instrument says FIFO overrun"):
        board.read(one, 0.1)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([0, 1], [1, 16], "a channel of its own"),
        ([0, 64], [16], "0 to 63"),
        ([0, 17], [16, 18], "lie on the same side"),
    ],
)
def test_a_header_map_that_cannot_be_is_refused(rows, columns, words):
    with pytest.raises(ValueError, match=words):
        ArcTwo(None, rows, columns)
