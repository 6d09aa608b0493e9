"""One read of an array in the graph: inputs to voltages, currents to codes, codes to outputs.

It is the arithmetic of :mod:`mho.chip.product` and :mod:`mho.chip.read_noise` in ``keras.ops``, and all of
mho's physics that is written here. What it multiplies by, and how much that fluctuates, comes packed from
``mho.chip``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from mho.chip.state import is_tiled, readout
from mho.hardware import Hardware
from mho.keras.converters import Groups, convert, drive, full_scale, measured
from mho.keras.products import Products
from mho.keras.random import Stream, normal

Tensor = Any  # of the backend


class Matrix(NamedTuple):
    """What one product needs, float32. Where tiles are kept apart, kernels are cut, else canonical.

    Attributes:
        kernel: the matrix.
        variance: of one read of it; None without noise of conductances.
        shot: variance of shot noise per unit of input, of inputs in units of full scale; None without it.
        thermal: variance of thermal noise, ``[tile, group * channel * column]`` or ``[group * column]``.
        constant: currents that flow whatever the inputs are, ``[tile, group * channel * column]``.
        out: output per normalised weight, ``[1]`` or ``[group * column]``; None where tiles are not kept
            apart.
        shift: added to the output, ``[group * column]``.
        noise: how much of the noise and of the constant currents there is: 1 for a chip, 0 for clean weights.
    """

    kernel: Tensor
    variance: Tensor | None = None
    shot: Tensor | None = None
    thermal: Tensor | None = None
    constant: Tensor | None = None
    out: Tensor | None = None
    shift: Tensor | None = None
    noise: Tensor | float = 1.0


class Limits(NamedTuple):
    """Full scales that the layer keeps; None where it keeps none, zero where none was made yet."""

    dac: Tensor | None
    adc: Tensor | None


def read(
    hardware: Hardware, products: Products, matrix: Matrix, x: Tensor, limits: Limits, stream: Stream
) -> Tensor:
    """The outputs of an array without a digital bias, float32.

    Args:
        hardware: the description.
        products: how the array multiplies.
        matrix: what it multiplies by.
        x: the layer's input, float32, or row numbers of a table.
        limits: full scales.
        stream: of fresh noise.
    """
    y = (_tiled if is_tiled(hardware) else _whole)(hardware, products, matrix, x, limits, stream)
    return y if matrix.shift is None else y + matrix.shift * matrix.noise


def _whole(
    hardware: Hardware, products: Products, matrix: Matrix, x: Tensor, limits: Limits, stream: Stream
) -> Tensor:
    """Nothing acts on the currents of single tiles."""
    step: Tensor = 1.0
    high: Tensor = 1.0
    if hardware.dac is not None and not products.geometry.one_hot:
        limit = full_scale(hardware.dac, limits.dac, products.input_peak(x))
        v, step, high = drive(hardware.dac, x, limit, stream)
        x = v * step
    y = products.whole(x, matrix.kernel)
    full = step * high
    parts = []
    if matrix.variance is not None:
        parts.append(products.whole(_powers(products, x, 2), matrix.variance))
    if matrix.shot is not None:
        parts.append(products.whole(_powers(products, x, 1), matrix.shot) * full)
    if matrix.thermal is not None:
        parts.append(matrix.thermal * full**2)
    return _with_noise(y, parts, matrix.noise, stream)


def _tiled(
    hardware: Hardware, products: Products, matrix: Matrix, x: Tensor, limits: Limits, stream: Stream
) -> Tensor:
    """Tiles and channels are kept apart up to the ADC."""
    how = readout(hardware)
    v, step, high = _driven(hardware, products, x, limits, stream)
    groups = _groups(hardware, products, limits)
    driven, top = (v, high) if groups is None else (groups.driven(v, stream), groups.top)
    currents = products.currents(driven, matrix.kernel)
    if matrix.constant is not None:
        currents = currents + products.over_currents(matrix.constant) * (top * matrix.noise)
    currents = _with_noise(currents, _variances(products, matrix, driven, top), matrix.noise, stream)
    if groups is not None and not groups.how.each:
        currents, top = groups.total(currents), high
    partial = products.partial(currents, len(how.digital))
    step, top = _over_partial(step), _over_partial(top)
    limit = _adc_limit(hardware, products, partial, top, limits.adc, x)
    adc: Any = hardware.adc  # a uniform one: mho.keras.suited
    read_as = convert(adc, partial, top, limit, stream)
    if groups is not None and groups.how.each:
        read_as = groups.total(read_as)
    total = _added(read_as * (step * top), how.digital)
    if how.unit_column:
        total = total[..., :-1] - total[..., -1:]
    if how.offset:
        inputs = products.partial(products.currents(v, products.ones()), 1) * step
        total = total - ops.sum(inputs, axis=(0, -2)) * how.offset
    y = products.output(total, x)
    return y if matrix.out is None else y * matrix.out


def _driven(
    hardware: Hardware, products: Products, x: Tensor, limits: Limits, stream: Stream
) -> tuple[Tensor, Tensor, Tensor]:
    """Arranged inputs as they are driven, inputs per code and the code of full scale."""
    v, dac = products.arrange(x), hardware.dac
    if dac is None or products.geometry.one_hot:
        return v, 1.0, 1.0
    measures = limits.dac is None and dac.range.given() is None
    peak = products.arranged_peak(products.input_peak(x)) if measures else None
    limit = full_scale(dac, limits.dac, peak)
    if limits.dac is not None and len(limits.dac.shape) == 1:
        limit = products.over_inputs(limit)
    return drive(dac, v, limit, stream)


def _groups(hardware: Hardware, products: Products, limits: Limits) -> Groups | None:
    """The groups of bits that a DAC drives one after the other; None for all at once."""
    dac = hardware.dac
    if dac is None or dac.stream is None or products.geometry.one_hot:
        return None
    known = ops.convert_to_tensor(1.0 if limits.dac is None else limits.dac, dtype="float32") > 0
    return Groups(dac, products.over_inputs(known) if len(known.shape) == 1 else known)


def _variances(products: Products, matrix: Matrix, v: Tensor, high: Tensor) -> list[Tensor]:
    """Variances of the currents of one read."""
    parts = []
    if matrix.variance is not None:
        parts.append(products.currents(_powers(products, v, 2), matrix.variance))
    if matrix.shot is not None:
        parts.append(products.currents(_powers(products, v, 1), matrix.shot) * high)
    if matrix.thermal is not None:
        parts.append(products.over_currents(matrix.thermal) * high**2)
    return parts


def _powers(products: Products, x: Tensor, power: int) -> Tensor:
    """Magnitudes or squares of inputs, without gradient; a row that is on has the input one."""
    if products.geometry.one_hot:
        return x
    x = ops.stop_gradient(x)
    return x * x if power == 2 else ops.abs(x)


def _with_noise(y: Tensor, parts: list[Tensor], share: Tensor | float, stream: Stream) -> Tensor:
    """Values with normal noise of these variances; no gradient goes through it."""
    if not parts:
        return y
    variance = parts[0]
    for part in parts[1:]:
        variance = variance + part
    std = ops.sqrt(ops.maximum(ops.stop_gradient(variance), 0.0)) * share
    return y + std * normal(y, stream)


def _adc_limit(
    hardware: Hardware, products: Products, partial: Tensor, high: Tensor, kept: Tensor | None, x: Tensor
) -> Tensor | None:
    """Full scale of the ADC, to broadcast over a partial."""
    adc = hardware.adc
    if adc is None or adc.ideal:
        return None
    given = adc.range.given()
    if isinstance(given, tuple):
        given = ops.reshape(ops.convert_to_tensor(given, dtype="float32"), (-1, 1, 1))
    limit = kept if given is None else given
    if limit is None:
        return measured(products.column_peak(partial) / high)
    return products.over_partial(limit, x) if len(getattr(limit, "shape", ())) == 3 else limit


def _over_partial(factor: Tensor) -> Tensor:
    """A factor of arranged inputs to broadcast over a partial: two more axes at the end."""
    if not hasattr(factor, "shape") or len(factor.shape) == 0:
        return factor
    return factor[..., None, None]


def _added(partial: Tensor, digital: tuple[float, ...]) -> Tensor:
    """The sum over tiles and channels, each channel with its factor."""
    if len(digital) > 1:
        partial = partial * ops.reshape(ops.convert_to_tensor(digital, dtype=partial.dtype), (-1, 1))
    elif digital[0] != 1.0:
        partial = partial * digital[0]
    return ops.sum(partial, axis=(0, -2))
