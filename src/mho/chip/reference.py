"""The reference read of a chip: what drift compensation remembers and measures.

One row after the other is driven at full scale, and the magnitudes of the currents are averaged. The
*baseline* is what the array read just after programming, as it was then: with everything that was there when
the chip was programmed (errors of programming, stuck and worn cells, finite states, bounds of the cells, the
wires), at the temperature at which it was programmed, and without what happens to a chip only afterwards
(drift, lost retention, disturbance by reads, the heat of operation).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mho.chip.cells import Drawn, over_cells
from mho.chip.layout import Layout
from mho.chip.noise import combine, heat_of_rows, noise_through_wires, of_each_row
from mho.chip.packing import normalised, through_wires
from mho.chip.state import TileState, is_plain, readout
from mho.devices import Device
from mho.devices.effects.base import as_programmed
from mho.devices.effects.currents import without_current_noise
from mho.devices.effects.levels import on_level
from mho.hardware import Hardware
from mho.random import NormalRows

Draws = Tensor | NormalRows


def reference_read(
    hardware: Hardware, state: TileState, layout: Layout, eps: Draws, drawn: Drawn | None = None
) -> Tensor:
    """Mean magnitude of one noisy read of each row, for each column, at the chip's present age.

    One row after the other is driven at full scale. The currents of single cells are read with the
    cells' own noise and with the resolution of the ADC, its full scale set to a single cell.

    Args:
        hardware: the description.
        state: the chip.
        layout: how the layer's matrix lies in tiles.
        eps: standard normal draws in the shape of ``state.g``.
        drawn: the cells of a chip that does not keep them.

    Returns:
        ``[group * column]``, in units of the reference weight.
    """
    cells = over_cells(state, drawn)
    return _read(hardware, hardware.device, cells, layout, eps, float(state.seconds))


def baseline_read(
    hardware: Hardware, state: TileState, layout: Layout, eps: Draws, drawn: Drawn | None = None
) -> Tensor:
    """What :func:`reference_read` gives just after programming, whatever the age and the heat now."""
    return _read(hardware, as_programmed(hardware.device), over_cells(state, drawn), layout, eps, 0.0)


def _read(
    hardware: Hardware,
    device: Device,
    over: Callable[..., Tensor],
    layout: Layout,
    eps: Draws,
    seconds: float,
) -> Tensor:
    how = readout(hardware)

    def magnitude(sums: Tensor) -> Tensor:
        if hardware.adc is not None:
            both_signs = any(a < 0 for row in how.analog for a in row)
            widest = max(sum(abs(a) for a in row) for row in how.analog)
            sums = hardware.adc.quantise(sums, widest / 2 if both_signs else widest)
        return normalised(sums, how).abs()

    def alone(g: Tensor, cells: Tensor, eps: Tensor) -> Tensor:
        now = device.aged(g, cells, seconds)
        return magnitude(combine(device.one_read(g, cells, now, seconds, eps) / device.g_max, how))

    quiet, shot, thermal = without_current_noise(device)
    if is_plain(hardware) and not (shot or thermal):
        read = over(alone, eps)
    else:
        level = over(lambda *cells: _levels(quiet, seconds, *cells), eps)
        read = magnitude(combine(_currents(hardware, level, shot, thermal, layout) / device.g_max, how))
    return read.contiguous().mean(dim=-2).flatten()  # added in one order, whichever way the cells lie


def _levels(quiet: Device, seconds: float, g: Tensor, cells: Tensor, eps: Tensor) -> Tensor:
    """Mean conductance of each cell, what its traps add in this read, normal noise, and a draw for it."""
    now = quiet.aged(g, cells, seconds)
    mean, _ = quiet.read_moments(g, cells, now, seconds)
    level, std, rest = on_level(quiet, g, cells, now, seconds, eps)
    return torch.stack((mean, level - mean, std, rest))


def _currents(hardware: Hardware, level: Tensor, shot: float, thermal: float, layout: Layout) -> Tensor:
    """Noisy currents of each row alone at full scale over the read voltage, ``[copy, group, row, column]``.

    Noise is a current that is added to what the array gives: no solver meets a conductance below zero.
    """
    mean, step, std, eps = level
    variance = step**2 + std**2
    seen = noise_through_wires(hardware, mean, variance, layout)
    conductances, charge = of_each_row(seen, layout)
    share = (conductances / variance.clamp(min=torch.finfo(std.dtype).tiny)).clamp(min=0).sqrt()
    of_currents = (shot * charge + thermal * heat_of_rows(seen, layout)) * hardware.device.g_max
    spread = ((share * std) ** 2 + of_currents).clamp(min=0).sqrt()
    read: Tensor = through_wires(hardware, mean, layout) + share * step + spread * eps
    return read
