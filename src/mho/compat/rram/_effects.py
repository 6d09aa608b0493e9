"""The effects that the framework document names, as a description of hardware."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from mho import array as arrays
from mho.array import Wires
from mho.config import MOST_SIEMENS, Count, Finite, Fraction, NonNegative, Positive, config
from mho.converters import ADC, DAC, Dynamic
from mho.devices import Device, Generic, Independent, Proportional, StuckAt, Temperature, ThermalNoise
from mho.hardware import Hardware, Tile
from mho.mapping import Maximum, Offset

Bits = Annotated[int, Field(ge=2, le=16)]


@config
class RRAMEffects:
    """What happens in the cells, lines and converters of an RRAM layer.

    Each weight is one cell between ``g_min`` and ``g_max``; zero is the middle. A layer has one scale, so
    that its weights have no more values than its cells have levels.

    Attributes:
        variability: standard deviation of each cell's conductance around its target, relative to the
            target, drawn once for a chip: device to device.
        read_noise: standard deviation of each read's conductance, as a fraction of ``g_max``.
        stuck_lrs, stuck_hrs: fractions of the cells that are stuck at ``g_max`` and at ``g_min``.
        line_resistance: of a segment of a line between two cells, ohms.
        kelvin: temperature of the chip; it was programmed at 300 K.
        activation: activation energy of the high-resistance state, electronvolts.
        alpha: temperature coefficient of the filament's resistance, per kelvin.
        bandwidth: of the heat's noise in a read, hertz; None for none.
        dac_bits, adc_bits: resolutions of the converters, whose full scales follow each input vector; None
            for no converters.
        g_min, g_max: bounds of the conductance, siemens.
        v_read: voltage of a full-scale input, volts.
        rows, columns: of an array.

    The amounts are typical values, not verified and not those of one device: measure yours
    (``mho.devices.fit``), or give what its papers say.

    >>> RRAMEffects(kelvin=350.0).hardware(bits=4).device.kelvin
    350.0
    """

    variability: NonNegative = 0.05
    read_noise: NonNegative = 0.005
    stuck_lrs: Fraction = 0.0
    stuck_hrs: Fraction = 0.0
    line_resistance: NonNegative = 0.0
    kelvin: Positive = 300.0
    activation: NonNegative = 0.1
    alpha: Finite = 1e-3
    bandwidth: Positive | None = 1e7
    dac_bits: Bits | None = 8
    adc_bits: Bits | None = 8
    g_min: Positive = 1e-6
    g_max: Positive = 40e-6
    v_read: Positive = 0.2
    rows: Count | None = 256
    columns: Count | None = 256

    def hardware(self, bits: int | None, stochastic: bool = True) -> Hardware:
        """The description for weights of so many bits.

        Args:
            bits: of a weight; None for cells without levels.
            stochastic: whether cells and reads scatter; stuck cells are stuck in any case.
        """
        ohms = self.line_resistance
        array = Wires(row=ohms, column=ohms) if ohms else arrays.Ideal()
        return self._around(self._device(stochastic), bits, array)

    def of_layer(self, bits: int | None, stochastic: bool, interface: Any) -> Hardware:
        """The description of a layer, on a board if there is one."""
        return self.hardware(bits, stochastic) if interface is None else self.on_board(bits)

    def on_board(self, bits: int | None) -> Hardware:
        """The description for cells of a board, which bring their own errors."""
        cell = BoardCell(g_min=self.g_min, g_max=self.g_max, v_read=self.v_read)
        return self._around(cell, bits, arrays.Ideal())

    def _around(self, device: Device, bits: int | None, array: arrays.Array) -> Hardware:
        return Hardware(
            device=device,
            mapping=Offset(levels=None if bits is None else 1 << bits, scale=Maximum()),
            tile=Tile(rows=self.rows, columns=self.columns),
            array=array,
            dac=None if self.dac_bits is None else DAC(bits=self.dac_bits, range=Dynamic()),
            adc=None if self.adc_bits is None else ADC(bits=self.adc_bits, range=Dynamic()),
        )

    def _device(self, stochastic: bool) -> Device:
        """A cell, inside what befalls it: faults first, then heat."""
        scatter = 1.0 if stochastic else 0.0
        device: Device = Generic(
            g_min=self.g_min,
            g_max=self.g_max,
            v_read=self.v_read,
            program=Proportional(sigma=self.variability),
            read=Independent(sigma=self.read_noise),
            program_scale=scatter,
            read_scale=scatter,
        )
        if self.stuck_lrs or self.stuck_hrs:
            device = StuckAt(lrs=self.stuck_lrs, hrs=self.stuck_hrs, device=device)
        if self.bandwidth is not None and stochastic:
            device = ThermalNoise(bandwidth=self.bandwidth, device=device)
        if self.kelvin == 300.0:
            return device
        return Temperature(kelvin=self.kelvin, activation=self.activation, alpha=self.alpha, device=device)


@config
class BoardCell(Generic):
    """A cell that is read from a board: any conductance that a cell can have may stand in it."""

    def written_span(self) -> tuple[float, float]:
        """From nothing to the largest conductance of any cell, siemens."""
        return 0.0, MOST_SIEMENS

    def written_spans(self, g: Tensor, cells: Tensor) -> None:
        """The same for all cells."""
