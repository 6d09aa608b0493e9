"""One read of an array: inputs to voltages, currents to codes, codes to outputs.

Units. ``x_limit`` is the full scale of the inputs, ``i_limit`` that of the ADC, in cell currents
(``v_read * g_max``). A code is a whole number; ``high`` is the code of full scale. With the packed
matrix P (``g / g_max``, combined over the cells of a weight) one tile of rows gives

    v     = code_in(x * high_in / x_limit)                       in DAC steps
    i     = (v @ P) / high_in                                    in cell currents
    code  = code_out(i * high_out / i_limit)                     in ADC steps
    y     = out * sum_tiles sum_channels digital[c] * code * x_limit * i_limit / high_out

Constant factors are gathered, so that each element is touched once before and once after rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Parameter

from mho.autograd import materialise, may_overwrite
from mho.chip.layout import Layout
from mho.chip.read_noise import of_bias, on_currents, on_output
from mho.chip.reads import Channels, Limit, Read, ReadSteps
from mho.chip.tap import Tap
from mho.converters import DAC, ColumnConverter, Ready, Stream
from mho.random import fresh_normal_like

Law = Callable[[Read, Layout, float | None], tuple[Read, Layout]]


def is_noisy(read: Read) -> bool:
    """Whether two reads of the same inputs differ by noise of the cells."""
    return read.variance is not None or read.shot is not None or read.thermal is not None


def whole(
    read: Read, layout: Layout, x: Tensor, bias: Tensor | None, dac: DAC | Ready | None, x_limit: Limit
) -> Tensor:
    """A read where nothing acts on the currents of single tiles: the layer's own operation.

    ``read.kernel`` and the noise are in weights and in the layer's layout.
    """
    step: float | Tensor = 1.0
    high = 1.0
    x_limit = None if dac is None else full_scale_in(layout, x, dac, x_limit, plain=True)
    if dac is not None and x_limit is not None:
        codes, step, high = _convert_in(layout, x, dac, x_limit, plain=True)
        x = codes * step
    y = layout.whole_product(x, read.kernel, bias if read.bias is None else read.bias)
    if is_noisy(read):
        y = on_output(read, layout, x, y, step, high)
    return y if read.shift is None else y + layout.over_output(read.shift)


def tiled(
    read: Read,
    layout: Layout,
    x: Tensor,
    bias: Tensor | None,
    channels: Channels,
    dac: DAC | Ready | None,
    adc: ColumnConverter | Ready | None,
    x_limit: Limit,
    i_limit: Limit,
    law: Law | None = None,
    overwrite: bool | None = None,
    tap: Tap | None = None,
) -> Tensor:
    """A read with tiles and channels kept apart up to the ADC.

    ``law``: what read and layout become for cells without Ohm's law, given the converted input of full scale
    (None if the DAC is left out). ``overwrite``: whether fresh tensors may be, where that is known. ``tap``:
    who listens.
    """
    step: float | Tensor
    overwrite = may_overwrite() if overwrite is None else overwrite
    known = x_limit is not None and i_limit is not None  # else the converters are left out
    if read.steps is not None and dac is not None and adc is not None and known:
        rest = read.changed(out=None)
        return prepared(rest, read.steps, layout, x, bias, channels, dac, adc, overwrite, tap)
    v, step, high_in = layout.arrange(x, read.inputs), 1.0, 1.0
    x_limit = None if dac is None else full_scale_in(layout, v, dac, x_limit, plain=False)
    if dac is None or x_limit is None:  # drivers that are left out have no offset
        dac, codes = None, v
        read = read if read.constant is None else read.changed(constant=None)
    else:
        codes, step, high_in = _convert_in(layout, v, dac, x_limit, plain=False)
    stream = None if dac is None else dac.stream
    top = stream.high if stream is not None else high_in
    if law is not None:
        read, layout = law(read, layout, None if dac is None else top)
    one = constant_input(layout, 1 / step, dac, stream) if read.bias is not None else 1.0
    driven = codes if stream is None else _driven(layout, codes, dac, stream)
    currents = _currents(read, layout, driven, top, one)
    currents = currents if stream is None else _shifted(layout, currents, dac, stream, analog=True)
    digits, factor = _convert_out(
        read, layout, currents, adc, i_limit,
        stream.high if stream is not None and stream.each else high_in, len(channels.digital), overwrite,
        tap,
    )  # fmt: skip
    if stream is not None and stream.each:
        if isinstance(factor, Tensor) and factor.dim() > 0:
            digits, factor = digits * factor, 1.0
        digits, high_in = _shifted(layout, digits, dac, stream, analog=False), stream.high
    full = step * high_in
    if isinstance(step, Tensor) and step.dim() > 0:  # it differs between tiles or vectors
        digits = digits * (_step_over_partial(layout, step) * high_in)
        full = 1.0
    total, factor = _sum(layout, digits, factor, channels)
    scale = factor * full
    if read.ones is not None:
        inputs = _row_sum(read.ones, layout, codes, step) + layout.bias_rows
        total = total * scale - inputs * channels.offset
        scale = 1.0
    return _finish(read, layout, layout.output(total, x), scale, bias, overwrite)


def prepare(
    read: Read,
    channels: Channels,
    dac: DAC | None,
    adc: ColumnConverter | None,
    x_limit: Limit,
    i_limit: Limit,
) -> ReadSteps | None:
    """The three factors of a read, or None where a limit is not one fixed number."""
    if dac is None or adc is None or dac.ideal or adc.ideal or dac.noise or adc.noise:
        return None
    if adc.errors is not None:
        return None
    if read.out is None or read.ones is not None or read.levels is not None:
        return None
    if x_limit is None or i_limit is None:
        return None
    for limit in (x_limit, i_limit):
        if isinstance(limit, Parameter) or (isinstance(limit, Tensor) and limit.dim() > 0):
            return None  # it is trained, or there are several
    one = torch.ones((), dtype=read.out.dtype, device=read.out.device)
    high_in, high_out = dac.high, adc.high
    full, currents = one * x_limit, one * i_limit
    digital = channels.digital[0] if len(channels.digital) == 1 else 1.0
    top = dac.stream.high if dac.stream is not None and dac.stream.each else high_in
    return ReadSteps(
        high_in / full,
        high_out / (top * currents),
        read.out * (full * currents * (digital * top / (high_in * high_out))),
    )


def prepared(
    read: Read, steps: ReadSteps, layout: Layout, x: Tensor, bias: Tensor | None,
    channels: Channels, dac: DAC | Ready, adc: ColumnConverter | Ready, overwrite: bool,
    tap: Tap | None = None,
) -> Tensor:  # fmt: skip
    """:func:`tiled` with its factors made beforehand: each element is touched as little as can be.

    ``read`` is without its ``out``, which is in ``steps``; ``overwrite`` is what
    :func:`mho.autograd.may_overwrite` says.
    """
    into, mid, out = steps
    one = constant_input(layout, into, dac, dac.stream) if read.bias is not None else into
    total: Tensor | None = None
    each = len(channels.digital)
    for first, (piece, part, arranged) in enumerate(layout.tiles(read, x)):
        listener = None if tap is None else (tap, each, first)
        digits = _digits(part, piece, dac.digits(arranged * into), mid, one, dac, adc, overwrite, listener)
        summed, _ = _sum(piece, piece.partial(digits, each), 1.0, channels)
        if total is None:
            total = summed
        else:
            total = total.add_(summed) if overwrite else total + summed
    assert total is not None
    return _finish(read, layout, layout.output(total, x), layout.over_output(out), bias, overwrite)


def _digits(
    read: Read, layout: Layout, codes: Tensor, mid: Tensor, one: float | Tensor,
    dac: DAC | Ready, adc: ColumnConverter | Ready, overwrite: bool, listener: tuple[Tap, int, int] | None,
) -> Tensor:  # fmt: skip
    """The ADC's codes of the DAC's codes, in the layout of the product."""
    if dac.stream is not None:  # fewer inputs are scaled than currents
        high = dac.stream.high * mid
        z = _currents(read, layout, _driven(layout, codes, dac, dac.stream) * mid, high, one * mid)
        z = _shifted(layout, z, dac, dac.stream, analog=True)
    else:
        currents = _currents(read, layout, codes, dac.high, one)
        z = currents.mul_(mid) if overwrite else currents * mid
    if listener is not None:
        tap, channels, first = listener
        tap.converted(layout, z, channels, first)
    digits = adc.digits(z)
    return digits if dac.stream is None else _shifted(layout, digits, dac, dac.stream, analog=False)


def _driven(layout: Layout, codes: Tensor, dac: DAC | Ready | None, stream: Stream | None) -> Tensor:
    """What is driven: the codes, or their groups of bits one after the other, as more vectors."""
    if stream is None or dac is None:
        return codes
    digits = stream.digits(codes, dac.peak, layout.batch_axis)
    return digits + fresh_normal_like(digits) * (dac.noise * stream.high) if dac.noise else digits


def constant_input(
    layout: Layout, per_input: float | Tensor, dac: DAC | Ready | None, stream: Stream | None
) -> float | Tensor:
    """What drives the bias rows, an input of one: in codes, or the same for each group of bits.

    ``per_input``: codes per unit of input; one number, or one for each tile or vector.
    """
    if stream is None or dac is None:
        return per_input
    share = per_input / stream.together(dac.peak)
    if isinstance(share, Tensor) and share.dim() > 1:  # the vectors of each group
        share = torch.cat([share] * stream.count(dac.peak), layout.batch_axis)
    return share


def driven_groups(layout: Layout, x: Tensor, dac: DAC | None, limit: Limit) -> tuple[Tensor, float | Tensor]:
    """Arranged inputs that are driven bit by bit and the input of bias rows, in units of full scale."""
    limit = None if dac is None else full_scale_in(layout, x, dac, limit, plain=False)
    stream = None if dac is None else dac.stream
    if dac is None or limit is None or stream is None:
        raise ValueError(f"dac = {dac!r}, limit = {limit!r}: this DAC drives no groups of bits")
    codes, step, _ = _convert_in(layout, x, dac, limit, plain=False)
    one = constant_input(layout, 1 / step, dac, stream) / stream.high
    return stream.digits(codes, dac.peak, layout.batch_axis) / stream.high, one


def _shifted(
    layout: Layout, values: Tensor, dac: DAC | Ready | None, stream: Stream | None, analog: bool
) -> Tensor:
    """The groups of bits shifted and added, if it happens on this side of the ADC."""
    if stream is None or dac is None or stream.each == analog:
        return values
    return stream.total(values, dac.peak, layout.batch_axis)


def mean_currents(read: Read, layout: Layout, v: Tensor, one: float | Tensor) -> Tensor:
    """Column currents of converted inputs without noise; ``one``: a converted input of one."""
    currents = layout.product(v, read.kernel)
    return currents if read.bias is None else currents + of_bias(layout, read.bias, one)


def _currents(read: Read, layout: Layout, v: Tensor, high: float | Tensor, one: float | Tensor) -> Tensor:
    """Column currents of converted inputs, with the noise of one read.

    ``high``: the converted input of full scale; ``one``: that of one, for the bias rows.
    """
    currents = mean_currents(read, layout, v, one)
    if read.constant is not None:
        currents = currents + read.constant * high
    return on_currents(read, layout, v, currents, high, one) if is_noisy(read) else currents


def _measured(peak: Tensor | None) -> Tensor | None:
    """A full scale that was measured on the values themselves; of nothing, any will do."""
    return None if peak is None else torch.where(peak > 0, peak, torch.ones_like(peak))


def full_scale_in(layout: Layout, x: Tensor, dac: DAC | Ready, limit: Limit, plain: bool) -> Limit:
    """The full scale that is known, or that of these very inputs; None leaves the DAC out."""
    if limit is not None:
        return limit
    return _measured(dac.range.full_scale(x, layout.input_axes(x, arranged=not plain)))


def _convert_in(
    layout: Layout, x: Tensor, dac: DAC | Ready, limit: float | Tensor, plain: bool
) -> tuple[Tensor, float | Tensor, float]:
    """DAC codes, inputs per code, and the code of full scale.

    ``plain``: ``x`` is the layer's input, not arranged in tiles (there the limit is one number, or
    one for each vector).
    """
    if isinstance(limit, Tensor):
        if torch.is_grad_enabled():
            x, _ = dac.range.clip(x, 1.0, limit)
        limit = limit.detach().to(x.dtype)
    high = dac.high
    if dac.ideal:
        step, v = limit, x / _per_input(layout, limit, plain)
    else:
        step = limit / high
        v = dac.digits(x * materialise(high / _per_input(layout, limit, plain)))
    if dac.noise and dac.stream is None:
        v = v + fresh_normal_like(v) * (dac.noise * high)
    return v, (_per_input(layout, step, plain) if plain else step), high


def _per_input(layout: Layout, limit: float | Tensor, plain: bool) -> float | Tensor:
    """A limit for each tile, to broadcast over arranged inputs; other limits broadcast already."""
    if isinstance(limit, Tensor) and limit.dim() == 1 and not plain:
        return layout.over_inputs(limit)
    return limit


def _step_over_partial(layout: Layout, step: Tensor) -> Tensor:
    """A step for each tile, or for each vector."""
    if step.dim() > 1:
        return layout.input_peak_over_partial(step)
    return layout.over_partial(step.view(1, -1, 1, 1))


def _convert_out(
    read: Read,
    layout: Layout,
    currents: Tensor,
    adc: ColumnConverter | Ready | None,
    limit: Limit,
    high_in: float,
    channels: int,
    overwrite: bool,
    tap: Tap | None,
) -> tuple[Tensor, float | Tensor]:
    """ADC codes (or currents) as a partial, and cell currents per code.

    Limits that are one number act on the currents in the product's own memory layout.
    """
    unit: float | Tensor = 1.0 / high_in
    partial = currents
    by_column = read.unit is not None and read.unit.numel() > 1
    by_tile = isinstance(limit, Tensor) and limit.dim() > 0
    by_vector = adc is not None and limit is None  # perhaps: the range will say
    if by_column or by_tile or by_vector or read.levels is not None:
        partial = layout.partial(currents, channels)
    if read.unit is not None:
        unit = (
            layout.over_partial(_by_group(layout, read.unit)) if by_column else read.unit.squeeze()
        ) / high_in
    if adc is None:
        return _viewed(layout, partial * unit, channels), 1.0
    if by_vector:
        limit = _measured(adc.range.full_scale(partial * unit, layout.column_axes(partial), layout.columns))
    if limit is None or adc.ideal:
        return _viewed(layout, _with_noise(partial * unit, adc.noise), channels), 1.0
    if isinstance(limit, Tensor):
        if torch.is_grad_enabled():
            partial, unit = adc.range.clip(partial, unit, limit)
        limit = limit.detach().to(partial.dtype)
        if limit.dim() == 3:
            limit = layout.over_partial(limit.permute(1, 0, 2).unsqueeze(0))
    factor = adc.per_current(unit, limit)
    z = partial.mul_(factor) if overwrite else partial * materialise(factor)
    if adc.noise:
        z = z + fresh_normal_like(z) * (adc.noise * adc.high / limit)
    if tap is not None:
        tap.converted(layout, z, channels, 0)
    digits = adc.digits(z) if read.levels is None else _each_reads(layout, z, adc, read, read.levels)
    if adc.errors is not None:
        mean, std = adc.errors(digits)
        digits = mean + fresh_normal_like(mean) * std
    return _viewed(layout, digits, channels), limit / adc.high


def _each_reads(
    layout: Layout, z: Tensor, adc: ColumnConverter | Ready, read: Read, packed: Tensor
) -> Tensor:
    """Each current, in digits, as the converter of its column reads it."""
    readers = read.readers
    if readers is None:
        readers = torch.arange(packed.shape[:4].numel(), device=z.device).view(packed.shape[:4])
    place = layout.over_partial(readers)
    axes = sorted(range(z.dim()), key=lambda axis: place.shape[axis] == 1)  # the vectors last
    across = z.permute(axes)
    vectors = 1
    for size, axis in zip(across.shape, axes, strict=True):
        vectors *= size if place.shape[axis] == 1 else 1
    digits = adc.read(across.reshape(place.numel(), vectors), packed.flatten(0, 3), place.flatten())
    back = sorted(range(len(axes)), key=lambda k: axes[k])
    return digits.view(across.shape).permute(back)


def _viewed(layout: Layout, values: Tensor, channels: int) -> Tensor:
    """Values as a partial, whichever of the two layouts they are in."""
    return values if values.dim() > layout.product_axes else layout.partial(values, channels)


def _with_noise(current: Tensor, noise: float, unit: float | Tensor = 1.0) -> Tensor:
    """Currents with noise; ``noise`` in cell currents, the currents in ``unit`` cell currents."""
    return current + fresh_normal_like(current) * (noise / unit) if noise else current


def _by_group(layout: Layout, values: Tensor) -> Tensor:
    """``values[group * column]`` as ``[group, 1, 1, column]``."""
    columns = layout.columns[-1][1]
    return values.view(-1, 1, 1, columns)


def _sum(
    layout: Layout, digits: Tensor, factor: float | Tensor, channels: Channels
) -> tuple[Tensor, float | Tensor]:
    """Digital sum over channels and tiles, and the factor still to apply."""
    if isinstance(factor, Tensor) and factor.dim() > 0:
        digits, factor = digits * factor, 1.0
    if len(channels.digital) > 1:
        weights = torch.tensor(channels.digital, dtype=digits.dtype, device=digits.device)
        digits = digits * layout.over_partial(weights.view(1, 1, -1, 1))
    else:
        factor = factor * channels.digital[0]
    axes = (layout.tile_axis, layout.channel_axis)
    alone = digits.shape[axes[0]] == 1 and digits.shape[axes[1]] == 1
    total = digits.squeeze(axes) if alone else digits.sum(dim=axes)
    if channels.unit_column:
        axis = layout.column_axis - sum(
            a < layout.column_axis for a in (layout.tile_axis, layout.channel_axis)
        )
        size = total.shape[axis]
        total = total.narrow(axis, 0, size - 1) - total.narrow(axis, size - 1, 1)
    return total, factor


def _row_sum(ones: Tensor, layout: Layout, v: Tensor, step: float | Tensor) -> Tensor:
    """Sum of the converted inputs of each vector."""
    sums = layout.partial(layout.product(v, ones), 1)
    if isinstance(step, Tensor) and step.dim() > 0:
        sums = sums * _step_over_partial(layout, step)
    else:
        sums = sums * step
    return sums.sum(dim=(layout.tile_axis, layout.channel_axis))


def _finish(
    read: Read, layout: Layout, y: Tensor, scale: float | Tensor, bias: Tensor | None, overwrite: bool
) -> Tensor:
    """Scale to output units, add shift and bias."""
    if read.out is not None:
        scale = read.out * scale
        scale = layout.over_output(scale if overwrite else materialise(scale))
    if read.shift is not None:
        bias = read.shift if bias is None else bias + read.shift
    if bias is None:
        return y * scale
    scaled = y * scale  # not addcmul, which rounds once or twice, as the kernels of the processor have it
    bias = layout.over_output(bias)
    return scaled.add_(bias) if overwrite else scaled + bias
