"""Full scales that a description brings along from an earlier calibration."""

from __future__ import annotations

from torch import Tensor

from mho.chip import tile
from mho.chip.layout import Layout
from mho.hardware import Hardware


def kept_limits(hardware: Hardware, layout: Layout, name: str) -> Tensor | None:
    """The full scales that a range starts with, in the shape in which ``mho.calibrate`` stores them.

    Args:
        hardware: the description of a layer.
        layout: how its matrix lies in tiles.
        name: ``"input_range"`` or ``"output_range"``.

    Returns:
        One number; ``[tile]`` for the DAC of each tile; ``[slice, tile, 1]`` or ``[slice, 1, 1]`` for
        ADCs; None if the description brings none. One that is to be trained requires a gradient.

    Raises:
        ValueError: the layer has another number of tiles or slices.
    """
    inputs = name == "input_range"
    converter = hardware.dac if inputs else hardware.adc
    if converter is None:
        return None
    channels = None if inputs else len(tile.readout(hardware).digital)
    return converter.range.start(len(layout.rows), channels)
