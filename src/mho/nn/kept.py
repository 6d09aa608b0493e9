"""Full scales that a description brings along from an earlier calibration."""

from __future__ import annotations

import torch
from torch import Tensor

from mho import tile
from mho.converters import DAC, ColumnConverter, OnData
from mho.cut import Cut
from mho.hardware import Hardware


def kept_limits(hardware: Hardware, cut: Cut, name: str) -> Tensor | None:
    """The full scales of ``range.limits``, in the shape in which ``mho.calibrate`` stores them.

    Args:
        hardware: the description of a layer.
        cut: its cut into tiles.
        name: ``"input_range"`` or ``"output_range"``.

    Returns:
        One number; ``[tile]`` for the DAC of each tile; ``[slice, tile, 1]`` or ``[slice, 1, 1]`` for
        ADCs; None if the description brings none.

    Raises:
        ValueError: the layer has another number of tiles or slices.
    """
    inputs = name == "input_range"
    converter = hardware.dac if inputs else hardware.adc
    if converter is None or not isinstance(converter.range, OnData) or converter.range.limits is None:
        return None
    how, limits = converter.range, torch.tensor(converter.range.limits, dtype=torch.float32)
    tiles = len(cut.rows) if how.per_tile else 1
    slices = 1
    if not inputs and (how.per_tile or how.per_slice):
        slices = len(tile.readout(hardware).digital)
    if tuple(limits.shape) != (slices, tiles):
        raise ValueError(
            f"{'dac' if inputs else 'adc'}.range.limits has {limits.shape[0]} x {limits.shape[1]} values and "
            f"this layer's ranges are {slices} x {tiles} (slices x tiles): these limits are of another "
            "layer; leave limits out and call mho.calibrate"
        )
    return shaped(converter, limits)


def shaped(converter: DAC | ColumnConverter, limits: Tensor) -> Tensor:
    """``limits[slice, tile]`` in the shape of ``input_range`` or ``output_range``."""
    how = converter.range
    if isinstance(how, OnData) and how.per_tile:
        return limits[0] if isinstance(converter, DAC) else limits.unsqueeze(-1)
    if isinstance(how, OnData) and how.per_slice:
        return limits.unsqueeze(-1)
    return limits[0, 0]
