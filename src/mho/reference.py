"""The reference read of a chip: what drift compensation remembers and measures.

One row after the other is driven at full scale, and the magnitudes of the currents are averaged. The
*baseline* is what the array read just after programming, as it was then: with everything that was there when
the chip was programmed (errors of programming, stuck and worn cells, finite states, bounds of the cells, the
wires), at the temperature at which it was programmed, and without what happens to a chip only afterwards
(drift, lost retention, disturbance by reads, the heat of operation).
"""

from __future__ import annotations

from torch import Tensor

from mho.array import Ideal as IdealArray
from mho.blocks import by_blocks
from mho.cut import Cut
from mho.devices import Device
from mho.devices.effects.base import as_programmed
from mho.hardware import Hardware
from mho.matrix import combine, normalised, through_wires
from mho.state import TileState, readout


def reference_read(hardware: Hardware, state: TileState, cut: Cut, eps: Tensor) -> Tensor:
    """Mean magnitude of one noisy read of each row, for each column, at the chip's present age.

    One row after the other is driven at full scale. The currents of single cells are read with the
    cells' own noise and with the resolution of the ADC, its full scale set to a single cell.

    Args:
        hardware: the description.
        state: the chip.
        cut: the layer's cut into tiles.
        eps: standard normal draws in the shape of ``state.g``.

    Returns:
        ``[group * column]``, in units of the reference weight.
    """
    return _read(hardware, hardware.device, state, cut, eps, float(state.seconds))


def baseline_read(hardware: Hardware, state: TileState, cut: Cut, eps: Tensor) -> Tensor:
    """What :func:`reference_read` gives just after programming, whatever the age and the heat now."""
    return _read(hardware, as_programmed(hardware.device), state, cut, eps, 0.0)


def _read(
    hardware: Hardware, device: Device, state: TileState, cut: Cut, eps: Tensor, seconds: float
) -> Tensor:
    how = readout(hardware)

    def noisy(g: Tensor, cells: Tensor, eps: Tensor) -> Tensor:
        now = device.aged(g, cells, seconds)
        return device.one_read(g, cells, now, seconds, eps) / device.g_max

    def magnitude(sums: Tensor) -> Tensor:
        if hardware.adc is not None:
            both_signs = any(a < 0 for row in how.analog for a in row)
            widest = max(sum(abs(a) for a in row) for row in how.analog)
            sums = hardware.adc.quantise(sums, widest / 2 if both_signs else widest)
        return normalised(sums, how).abs()

    if isinstance(hardware.array, IdealArray):
        read = by_blocks(lambda *cells: magnitude(combine(noisy(*cells), how)), state.g, state.cells, eps)
    else:
        cells = by_blocks(noisy, state.g, state.cells, eps)
        read = magnitude(combine(through_wires(hardware, cells * device.g_max, cut) / device.g_max, how))
    return read.mean(dim=-2).flatten()
