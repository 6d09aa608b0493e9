"""Ten wiring faults, each found and named before a pulse is sent; channels calibrated, stuck cells mapped."""

from __future__ import annotations

import pytest
import torch

from mho.boards import (
    Bench,
    SimulatedBoard,
    Wiring,
    calibrate_board,
    pattern,
    self_test,
    stuck_cells,
)
from mho.devices import StuckAt, Switching
from mho.devices.dynamics import LinearStep
from mho.devices.error_laws import Independent
from mho.programming import Train, VoltagePulses

DEVICE = Switching(model=LinearStep(step_up=2e-6, step_down=2e-6), read=Independent(sigma=0.003))
PULSES = VoltagePulses(up=Train(voltage=1.0, width=1e-6), down=Train(voltage=-1.0, width=1e-6))
SHAPE = (16, 16)


def board_that_holds(held, wiring):
    """A board whose cells hold it, and whose lines are as ordered afterwards."""
    board = SimulatedBoard(DEVICE, *SHAPE)
    board._state = held.flatten().clone()  # as an earlier run left them
    board._settle(torch.arange(held.numel()))
    board.wiring = wiring
    return board


FAULTS = {
    "transposed": (Wiring(transposed=True), "the array"),
    "swapped": (Wiring(swapped_rows=(3, 9)), "rows 3 and 9"),
    "swapped columns": (Wiring(swapped_columns=(0, 15)), "columns 0 and 15"),
    "sign": (Wiring(sign=True), "all columns"),
    "open": (Wiring(open_row=5), "row 5"),
    "open column": (Wiring(open_column=2), "column 2"),
    "gain": (Wiring(gains=((7, 1.4),)), "column 7"),
    "stale": (Wiring(stale=True), "row 0, column 0"),
    "NaN": (Wiring(nan=(4, 11)), "row 4, column 11"),
    "overflow": (Wiring(overflow=(12, 1)), "row 12, column 1"),
    "compliance": (Wiring(shorted=(6, 6)), "row 6, column 6"),
    "stuck": (Wiring(stuck_row=(8, 7e-6)), "row 8"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_planted_fault_is_found_and_named_before_a_pulse(name):
    wiring, where = FAULTS[name]
    held = pattern(SHAPE, 2e-6, 9e-6)
    board = board_that_holds(held, wiring)
    with Bench(board, DEVICE, attempts=2) as bench:
        found = self_test(bench, held)
        assert not found.passed and [f.fault for f in found.findings] == [name.split()[0]]
        assert found.findings[0].where == where
        assert int(board.counts.sum()) == 0 and all(e["verb"] != "pulse" for e in bench.log.entries)


def test_stale_values_are_found_without_the_instruments_time_too():
    held = pattern(SHAPE, 2e-6, 9e-6)
    board = board_that_holds(held, Wiring(stale=True))
    timed = board.read
    board.read = lambda cells, volts: timed(cells, volts)._replace(stamp=None)
    with Bench(board, DEVICE) as bench:
        assert [f.fault for f in self_test(bench, held).findings] == ["stale"]


def test_a_board_without_faults_passes():
    held = pattern(SHAPE, 2e-6, 9e-6)
    with Bench(board_that_holds(held, Wiring()), DEVICE) as bench:
        assert self_test(bench, held).passed
        other = pattern(SHAPE, 2e-6, 9e-6).flip(0).roll(1, 0)
        assert not self_test(bench, other).passed


def test_two_faults_at_once_are_both_found():
    held = pattern(SHAPE, 2e-6, 9e-6)
    board = board_that_holds(held, Wiring(open_row=1, gains=((4, 0.5),), sign=True))
    with Bench(board, DEVICE) as bench:
        found = {(f.fault, f.where) for f in self_test(bench, held).findings}
    assert found == {("open", "row 1"), ("gain", "column 4"), ("sign", "all columns")}


def test_lines_of_a_pattern_all_differ():
    for shape in ((4, 4), (5, 9), (64, 64)):
        held = pattern(shape, 1e-6, 9e-6)
        assert len(held.unique(dim=0)) == shape[0] and held.unique(dim=1).shape[1] == shape[1]
    with pytest.raises(ValueError, match="at least 4 rows"):
        pattern((3, 8), 1e-6, 9e-6)


def test_calibrated_channels_read_the_truth():
    held = pattern(SHAPE, 2e-6, 9e-6)
    wiring = Wiring(gains=((2, 1.3), (5, 0.8)), offsets=((2, 3e-8), (9, -2e-8)))
    with Bench(board_that_holds(held, wiring), DEVICE) as bench:
        before = (bench.conductances() - held).abs().mean(0)
        found = calibrate_board(bench, held)
        after = (bench.conductances() - held).abs().mean(0)
    assert abs(float(found.gain[2]) - 1.3) < 0.01 and abs(float(found.offset[9]) + 2e-8) < 1e-9
    assert float(before[2]) > 20 * float(after[2]) and float(after.max()) < 0.005 * DEVICE.g_max
    with pytest.raises(ValueError, match="column 3 has no current"):
        calibrate_board(bench, torch.where(torch.arange(16) == 3, 0.0, held))


def test_cells_that_nothing_moves_are_mapped():
    device = StuckAt(lrs=0.1, hrs=0.1, device=DEVICE)
    board = SimulatedBoard(device, *SHAPE, seed=2)
    stuck = device.held(board._g, board._own)[0, 0]
    with Bench(board, DEVICE) as bench:
        assert torch.equal(stuck_cells(bench, PULSES), stuck) and 20 < int(stuck.sum()) < 90
