"""DAC and ADC in the graph: grids of codes, full scales that are variables.

The order of the operations is that of :mod:`mho.chip.product`, so that a value falls on the same code. A full
scale of zero stands for one that is not calibrated yet: there the converter is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from mho.converters import ADC, DAC, Stream
from mho.converters.grid import Grid
from mho.keras.random import Stream as Draws
from mho.keras.random import noisy

Tensor = Any  # of the backend


def held(used: Tensor, ideal: Tensor) -> Tensor:
    """The value ``used`` with the gradient of ``ideal``, exactly."""
    return ops.stop_gradient(used) + (ideal - ops.stop_gradient(ideal))


def codes(grid: Grid, z: Tensor) -> Tensor:
    """Codes of ``z = value / lsb``, half to even; the gradient is that of the clip."""
    low, high = grid.low, grid.high
    inside = ops.clip(z, low, high)
    rounded = ops.clip(ops.round(z + grid.shift) - grid.shift, low, high)
    return held(rounded, inside)


class Driven(NamedTuple):
    """Converted inputs.

    Attributes:
        codes: in steps of the DAC.
        step: inputs per code.
        high: the code of full scale.
    """

    codes: Tensor
    step: Tensor
    high: Tensor


def full_scale(dac: DAC | None, kept: Tensor | None, peak: Tensor) -> Tensor | None:
    """The full scale of the DAC; None without one.

    Args:
        dac: the DAC.
        kept: the calibrated one; zero if there is none yet.
        peak: of these very inputs, for a range that measures them; it broadcasts over them.
    """
    if dac is None:
        return None
    given = dac.range.given()
    if given is not None:
        return given
    return measured(peak) if kept is None else kept


def measured(peak: Tensor) -> Tensor:
    """A full scale that was measured on the values themselves; of nothing, any will do."""
    peak = ops.stop_gradient(peak)
    return ops.where(peak > 0, peak, ops.ones_like(peak))


def drive(dac: DAC | None, x: Tensor, limit: Tensor | None, stream: Draws) -> Driven:
    """Inputs ``x`` in codes; ``limit`` broadcasts over them."""
    if dac is None or limit is None:
        return Driven(x, 1.0, 1.0)
    known = ops.convert_to_tensor(limit, dtype="float32") > 0
    limit = ops.where(known, limit, 1.0)
    high = dac.high
    v = x / limit if dac.ideal else codes(dac.grid(), x * (high / limit))
    v = v if dac.stream is not None else noisy(v, dac.noise * high, stream)
    return Driven(
        ops.where(known, v, x), ops.where(known, limit / high, 1.0), ops.where(known, float(high), 1.0)
    )


class Groups:
    """Groups of bits of the inputs, driven one after the other (:class:`mho.converters.Stream`).

    Args:
        dac: the DAC, which streams.
        known: whether its full scale is calibrated; where it is not, the first group has the whole input.
    """

    def __init__(self, dac: DAC, known: Tensor) -> None:
        how = dac.stream
        assert how is not None
        self.how: Stream = how
        self.count, self._known, self._noise = how.count(dac.peak), known, dac.noise
        self._places = [float(1 << how.bits * j) for j in range(self.count)]

    @property
    def top(self) -> Tensor:
        """The digit of full scale."""
        return ops.where(self._known, self.how.high, 1.0)

    def driven(self, codes: Tensor, stream: Draws) -> Tensor:
        """Codes ``[tile, vector, ...]`` as digits ``[tile, group * vector, ...]``, the lowest bits first."""
        size, sign = ops.abs(codes), ops.sign(codes)
        whole = [
            sign * ops.floor(size * (1 / place))
            for place in (*self._places, self._places[-1] * 2**self.how.bits)
        ]
        norm = sum(place * place for place in self._places)
        each = []
        for j, place in enumerate(self._places):
            digit = whole[j] - whole[j + 1] * 2.0**self.how.bits
            left_out = codes if j == 0 else ops.zeros_like(codes)
            each.append(ops.where(self._known, held(digit, codes * (place / norm)), left_out))
        shape = ops.shape(codes)
        digits = ops.reshape(ops.stack(each, axis=1), (shape[0], -1, *shape[2:]))
        return noisy(digits, self._noise * self.how.high, stream)

    def total(self, values: Tensor) -> Tensor:
        """Shift and add: the sum over the groups of ``[tile, group * vector, ...]``."""
        shape = ops.shape(values)
        apart = ops.reshape(values, (shape[0], self.count, -1, *shape[2:]))
        total = apart[:, 0]
        for j in range(1, self.count):
            total = total + apart[:, j] * ops.where(self._known, self._places[j], 0.0)
        return total


def convert(adc: ADC | None, currents: Tensor, high: Tensor, limit: Tensor | None, stream: Draws) -> Tensor:
    """Currents as the ADC reads them, in cell currents.

    Args:
        adc: the ADC; None for none.
        currents: in units of ``high`` cell currents.
        high: the converted input of full scale.
        limit: full scale in cell currents; it broadcasts over them. None for none.
        stream: of noise.
    """
    if adc is None:
        return currents / high
    if limit is None or adc.ideal:
        return noisy(currents / high, adc.noise, stream)
    known = ops.convert_to_tensor(limit, dtype="float32") > 0
    limit = ops.where(known, limit, 1.0)
    z = currents * ((1.0 / high) * (adc.high / limit))
    z = noisy(z, adc.noise * adc.high / limit, stream)
    return ops.where(known, codes(adc.grid(), z) * (limit / adc.high), currents / high)
