"""The state of a chip: what is frozen in it, and what its description says about reading it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mho.array import Ideal as IdealArray
from mho.blocks import by_blocks
from mho.chip.layout import Layout
from mho.hardware import Hardware
from mho.mapping import Readout


class TileState(NamedTuple):
    """One chip: what programming froze, its age, and the corrections made at that age.

    Attributes:
        g: conductance after programming, siemens, ``[copy, group, row, column]``.
        cells: parameters of each cell, ``[n, copy, group, row, column]``: those of each effect, the
            outermost first, then those of the drift.
        scale: reference weight, ``[1, 1, 1]`` or ``[group, 1, column]``.
        seconds: time since programming, float64, ``[]``.
        gain: digital factor of each output column, ``[group * column]``.
        shift: digital addend of each output column, in output units, ``[group * column]``.
        baseline: mean magnitude of the reference read just after programming, in units of the
            reference weight, ``[group * column]``.
        hardware: digest of the description that the chip was made with, int64, ``[]``.
        converters: frozen draws of the converter of each column, ``[group, tile, channel, column, n]``;
            None if converters have no errors of their own.
        drivers: frozen draws of the DAC of each row, ``[column tile, channel, group, row, 2]``; None if
            DACs have no errors of their own.
    """

    g: Tensor
    cells: Tensor
    scale: Tensor
    seconds: Tensor
    gain: Tensor
    shift: Tensor
    baseline: Tensor
    hardware: Tensor
    converters: Tensor | None = None
    drivers: Tensor | None = None


def readout(hardware: Hardware) -> Readout:
    """The constants with which the cells of a weight are read."""
    return hardware.mapping.readout(hardware.device.g_min, hardware.device.g_max)


def is_plain(hardware: Hardware) -> bool:
    """Whether the weights of a chip are the sums of its cells as they are."""
    # The one question about the class of an array: with ideal wires a chip is packed, read and trained cell
    # by cell, in blocks of memory, which rounds otherwise than the way through any other array.
    return isinstance(hardware.array, IdealArray)


def is_tiled(hardware: Hardware) -> bool:
    """Whether something acts on the current of each tile's columns, so that tiles stay apart."""
    dac = hardware.dac
    driven_apart = dac is not None and (dac.range.per_tile or dac.stream is not None or dac.offset > 0)
    array = hardware.array
    noisy = array.loaded and hardware.device.noisy  # behind wires it goes with the currents of its own tile
    apart = driven_apart or noisy or array.voltages
    return hardware.adc is not None or bool(apart) or readout(hardware).unit_column


def streams(hardware: Hardware) -> bool:
    """Whether the ADC converts the currents of each group of input bits."""
    dac = hardware.dac
    return hardware.adc is not None and dac is not None and dac.stream is not None and dac.stream.each


def conductances(hardware: Hardware, state: TileState) -> Tensor:
    """Conductances at the chip's present age, siemens, ``[copy, group, row, column]``."""
    seconds = float(state.seconds)
    return by_blocks(lambda g, cells: hardware.device.aged(g, cells, seconds), state.g, state.cells)


def tile_columns(layout: Layout, g: Tensor) -> tuple[tuple[int, int], ...]:
    """First and last + 1 column of each tile; a unit column lies beside the last one."""
    return (*layout.columns[:-1], (layout.columns[-1][0], g.shape[-1]))


def widths(g: Tensor, layout: Layout) -> list[int]:
    """Columns of each tile."""
    return [b - a for a, b in tile_columns(layout, g)]
