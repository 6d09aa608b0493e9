"""What calibration sees in one layer."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.chip import tile
from mho.chip.layout import Layout
from mho.chip.product import driven_groups, mean_currents
from mho.chip.reads import Limit, Read
from mho.chip.tap import Tap
from mho.converters import Histogram
from mho.hardware import Hardware


class Observer(Tap):
    """Inputs and column currents of the layer at ``path``, by tile, in constant memory.

    ``streamed``: the currents are those of each group of input bits.
    """

    holds_back = True

    def __init__(self, path: str, tiles: int, channels: int, streamed: bool = False) -> None:
        self.streamed = streamed
        name = repr(path) if path else "the layer"
        self.inputs = [Histogram(f"inputs of {name}") for _ in range(tiles)]
        self.currents = [[Histogram(f"currents of {name}") for _ in range(tiles)] for _ in range(channels)]

    @property
    def reached(self) -> bool:
        """Whether the layer ran at all."""
        return self.inputs[0].count > 0

    def add_inputs(self, layout: Layout, v: Tensor) -> None:
        """Record arranged inputs."""
        for histogram, part in zip(self.inputs, layout.input_tiles(v), strict=True):
            histogram.add(part)

    def add_currents(self, hardware: Hardware, layout: Layout, read: Read, v: Tensor, x_limit: Limit) -> None:
        """Record the currents that arranged inputs give, in cell currents per unit of input.

        With a dynamic DAC each vector is driven at full scale, and is recorded so; streamed inputs are
        in units of full scale already (``x_limit``).
        """
        one: float | Tensor = 1.0
        if self.streamed:
            v, one = driven_groups(layout, v, hardware.dac, x_limit)
        partial = layout.partial(mean_currents(read, layout, v, one), len(tile.readout(hardware).digital))
        if read.unit is not None:
            columns = layout.columns[-1][1] if read.unit.numel() > 1 else 1
            partial = partial * layout.over_partial(read.unit.view(-1, 1, 1, columns))
        if hardware.dac is not None and not self.streamed:
            peak = hardware.dac.range.full_scale(v, layout.input_axes(v, arranged=True))
            if peak is not None:
                partial = partial / layout.input_peak_over_partial(torch.where(peak > 0, peak, 1.0))
        axis = layout.tile_axis - (layout.channel_axis < layout.tile_axis)
        for channel, row in enumerate(self.currents):
            of_channel = partial.select(layout.channel_axis, channel)
            for place, histogram in enumerate(row):
                histogram.add(of_channel.select(axis, place))
