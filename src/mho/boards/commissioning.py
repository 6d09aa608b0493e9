"""What is measured of a board before it is used: its channels, and the cells that nothing moves."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from mho.boards.base import Cells, Pulses
from mho.boards.bench import Bench
from mho.boards.calibrated import Calibration, calibration_of
from mho.programming import Driven

_SEEN = 4.0  # standard deviations of the difference of two reads
_LEAST = 0.005  # of the range of the device: what a cell that is not stuck moves


def calibrate_board(bench: Bench, expected: Tensor) -> Calibration:
    """Offset and gain of the channel of each column, from an array that holds something known.

    The offset is what is read at 0 V, the gain what is read beside it at the read voltage. The bench uses
    them from then on, in place of those it had.

    Args:
        bench: the board.
        expected: siemens ``[row, column]``.

    Example:
        >>> from mho.boards import SimulatedBoard, Wiring
        >>> from mho.devices import Ideal
        >>> board = SimulatedBoard(Ideal(), 2, 2, wiring=Wiring(gains=((1, 1.25),), offsets=((0, 1e-9),)))
        >>> board.set(Cells.all((2, 2)), torch.full((4,), 1e-5))
        >>> found = calibrate_board(Bench(board, Ideal()), torch.full((2, 2), 1e-5))
        >>> [round(v, 6) for v in found.gain.tolist()], [round(1e9 * v, 6) for v in found.offset.tolist()]
        ([1.0, 1.25], [1.0, 0.0])
    """
    shape = bench.capabilities.shape
    if tuple(expected.shape) != shape:
        raise ValueError(f"expected has shape {tuple(expected.shape)}: the board has {shape}")
    bench.calibration = None
    dark, lit = (bench.read(volts=volts).view(shape) for volts in (0.0, bench.v_read))
    bench.calibration = calibration_of(dark, lit, expected.double() * bench.v_read)
    return bench.calibration


def stuck_cells(bench: Bench, pulse: Driven, count: int = 3) -> Tensor:
    """The cells that pulses do not move, bool ``[row, column]``. It sends pulses: run the self-test first.

    Each cell gets ``count`` pulses up, is read, gets as many down, and is read again. A cell at an end of its
    range cannot move one way, but the other.

    Args:
        bench: the board, with a device.
        pulse: the pulses: ``VoltagePulses``, ``VIPI`` or ``JumpPulses``.
        count: of each direction.
    """
    device = bench.device
    if device is None:
        raise ValueError("device = None: say what the cells are, Bench(board, device)")
    shape = bench.capabilities.shape
    span = float(device.g_max) - float(device.g_min)
    cells = Cells.all(shape)
    reads = [bench.conductances(cells)]
    memory = pulse.begin(reads[0])
    for sign in (1.0, -1.0):
        for number in range(count):
            step = torch.full_like(reads[0], sign * span)
            drive = pulse.following(memory, step, torch.full_like(step, number, dtype=torch.int64), span)
            memory = drive.memory
            low, high = bench.capabilities.width
            answered = bench.pulse(Pulses(cells, drive.volts, drive.seconds.clamp(low, high)))
            if not bool(answered.all()):
                bench.read(cells)  # whether one pulse of several was sent does not matter here
        reads.append(bench.conductances(cells))
    noise = device.read_std(reads[0], reads[0], 0.0) * 2**0.5 * _SEEN
    least = noise.clamp(min=_LEAST * span)
    moved = [(b - a).abs() > least for a, b in itertools.pairwise(reads)]
    return ~(moved[0] | moved[1]).view(shape)
