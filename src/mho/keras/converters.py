"""DAC and ADC in the graph: grids of codes, full scales that are variables.

The order of the operations is that of :mod:`mho.chip.product`, so that a value falls on the same code. A full
scale of zero stands for one that is not calibrated yet: there the converter is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from mho.converters import ADC, DAC
from mho.converters.grid import Grid
from mho.keras.random import Stream, noisy

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


def drive(dac: DAC | None, x: Tensor, limit: Tensor | None, stream: Stream) -> Driven:
    """Inputs ``x`` in codes; ``limit`` broadcasts over them."""
    if dac is None or limit is None:
        return Driven(x, 1.0, 1.0)
    known = ops.convert_to_tensor(limit, dtype="float32") > 0
    limit = ops.where(known, limit, 1.0)
    high = dac.high
    v = x / limit if dac.ideal else codes(dac.grid(), x * (high / limit))
    v = noisy(v, dac.noise * high, stream)
    return Driven(
        ops.where(known, v, x), ops.where(known, limit / high, 1.0), ops.where(known, float(high), 1.0)
    )


def convert(adc: ADC | None, currents: Tensor, high: Tensor, limit: Tensor | None, stream: Stream) -> Tensor:
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
