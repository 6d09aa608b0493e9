"""From the conductances of a chip, or the weights of a training step, to the matrix of a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mho.autograd import in_transform, straight_through
from mho.blocks import by_blocks
from mho.chip import nonlinear
from mho.chip.layout import Layout
from mho.chip.noise import CellNoise, added, apart, behind_wires, combine, of_one_row, packed_lines, squared
from mho.chip.read_noise import over_currents
from mho.chip.reads import Read, from_entries
from mho.chip.state import TileState, conductances, is_plain, is_tiled, readout, tile_columns, widths
from mho.devices import Device
from mho.devices.effects.base import temperature_of
from mho.devices.effects.currents import without_current_noise
from mho.hardware import Hardware
from mho.mapping import Readout

Check = Callable[[TileState], None]


def normalised(sums: Tensor, how: Readout) -> Tensor:
    """Channel sums ``[channel, group, row, column]`` to normalised weights ``[group, row, column]``."""
    if how.unit_column:
        sums = sums[..., :-1] - sums[..., -1:]
    return added(sums, how.digital) - how.offset


def through_wires(hardware: Hardware, g: Tensor, layout: Layout) -> Tensor:
    """Effective conductances of all tiles, in the shape of ``g[copy, group, row, column]``."""
    return hardware.array.effective_tiles(g, layout.rows, tile_columns(layout, g), readout(hardware).analog)


def effective_weight(hardware: Hardware, state: TileState, layout: Layout) -> Tensor:
    """The weights that the chip holds now, gain included, read noise never: ``[group, row, column]``."""
    how = readout(hardware)
    g = through_wires(hardware, conductances(hardware, state), layout)
    return normalised(combine(g / hardware.device.g_max, how), how) * column_factors(state)


def pack(hardware: Hardware, state: TileState, layout: Layout, check: Check | None = None) -> Read:
    """What a product by this chip needs: the work done once per state.

    Read noise enters by its mean and variance. A conductance read below zero is read as zero, so the
    mean of a noisy small conductance is a little above it; the sum of many cells is normal. The noise of
    currents has no mean. Behind wires, noise is what reaches the sense amplifiers of it
    (:mod:`mho.array._noise`). The chips that
    ``torch.func.vmap`` stacks are packed one after the other.

    Args:
        hardware: the description.
        state: the chip.
        layout: how the layer's matrix lies in tiles.
        check: called with each chip before it is packed, also with those that are stacked.
    """
    if not in_transform():
        if check is not None and not torch.compiler.is_compiling():
            check(state)
        return _pack(hardware, state, layout)
    parts = _Parts()
    values = _EachChip.apply(hardware, layout, check, parts, *state)  # type: ignore[no-untyped-call]
    return from_entries(dict(zip(parts.names, values, strict=True)))


class _Parts:
    """Which parts of a read there are."""

    names: tuple[str, ...] = ()


class _EachChip(torch.autograd.Function):
    """:func:`pack` under ``vmap``: the age of a chip is a number, one for each chip."""

    @staticmethod
    def forward(
        hardware: Hardware, layout: Layout, check: Check | None, parts: _Parts, *state: Any
    ) -> tuple[Tensor, ...]:
        found = pack(hardware, TileState(*state), layout, check).entries()
        parts.names = tuple(found)
        return tuple(found.values())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], hardware: Hardware, layout: Layout, check: Check | None,
        parts: _Parts, *state: Any,
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:  # fmt: skip
        reads = []
        for k in range(info.batch_size):
            chip = [v if d is None else v.select(d, k) for v, d in zip(state, in_dims[4:], strict=True)]
            reads.append(pack(hardware, TileState(*chip), layout, check).entries())
        some = {name: v for read in reads for name, v in read.items()}
        parts.names = tuple(some)
        stacked = (
            [torch.zeros_like(v) if name not in r else r[name] for r in reads] for name, v in some.items()
        )  # a chip without read noise among noisy ones has a variance of zero
        return tuple(torch.stack(s) for s in stacked), (0,) * len(some)


def _pack(hardware: Hardware, state: TileState, layout: Layout) -> Read:
    device, how, seconds = hardware.device, readout(hardware), float(state.seconds)
    quiet, shot, thermal = without_current_noise(device)
    squares = squared(how)

    def moments(g: Tensor, cells: Tensor) -> Tensor:
        """Mean and standard deviation of a read, ``[2, copy, group, row, column]``."""
        now = quiet.aged(g, cells, seconds)
        return torch.stack(quiet.read_moments(g, cells, now, seconds)) / device.g_max

    def channels(g: Tensor, cells: Tensor) -> Tensor:
        """Mean and variance of the channel sums, and what noise of currents goes with."""
        mean, std = moments(g, cells)
        through = [combine(mean, squares)] if shot or thermal else []
        return torch.stack([combine(mean, how), combine(std * std, squares), *through])

    def noise(cells: Tensor | None, through: Tensor | None) -> CellNoise | None:
        """``through``: conductances that noise of currents comes from, in units of g_max, added."""
        made = CellNoise(
            cells,
            through * shot if through is not None and shot else None,
            through * thermal if through is not None and thermal else None,
        )
        return None if made == CellNoise(None, None, None) else made

    noisy = _is_noisy(quiet, state)
    if noisy and is_plain(hardware):
        sums, variance, *rest = by_blocks(channels, state.g, state.cells)
        return _layout(hardware, sums, noise(variance, rest[0] if rest else None), state, layout)
    std = None
    if noisy:
        mean, std = by_blocks(moments, state.g, state.cells)
        g = mean * device.g_max
    else:
        g = conductances(hardware, state)
    variance = None if std is None else std * std
    seen = through_wires(hardware, g, layout)
    if seen is g:  # cells are seen as they are, and so is their noise
        cells = None if variance is None else combine(variance, squares)
        found = noise(cells, combine(g / device.g_max, squares) if shot or thermal else None)
        return _of_voltages(hardware, g, found, state, layout)
    sums = combine(seen / device.g_max, how)
    behind = behind_wires(hardware, g, variance, shot, thermal, layout)
    return _layout(hardware, sums, behind, state, layout)


def repack(hardware: Hardware, read: Read, state: TileState, layout: Layout) -> Read | None:
    """The read of a chip with other conductances; None where more than its matrix goes with them."""
    device, how = hardware.device, readout(hardware)
    alone = read.variance is None and read.shot is None and read.thermal is None and read.constant is None
    if not (alone and is_plain(hardware) and device.holds and state.drivers is None and not state.seconds):
        return None
    sums = combine(state.g / device.g_max, how)
    if is_tiled(hardware):
        sums, bias = apart(sums, layout)
        return read._replace(kernel=layout.kernel(sums), bias=bias)
    kernel, bias = _whole(normalised(sums, how) * column_factors(state), layout)
    return read._replace(kernel=kernel, bias=bias)


def _of_voltages(
    hardware: Hardware, g: Tensor, noise: CellNoise | None, state: TileState, layout: Layout
) -> Read:
    """The layout, with a matrix for each voltage where cells without Ohm's law need it."""
    device, how, places = hardware.device, readout(hardware), hardware.array.voltages
    read = _layout(hardware, combine(g / device.g_max, how), noise, state, layout)
    if len(places) <= 1:
        return read
    array = hardware.array.at_temperature(temperature_of(device))

    def kernels(places: tuple[float, ...]) -> list[Tensor]:
        sums = (combine(c / device.g_max, how) for c in array.chords(g, places, device.v_read))
        return [layout.kernel(apart(one, layout)[0]) for one in sums]

    if layout.one_hot:  # rows are on at full scale, or off
        return read._replace(kernel=kernels((1.0,))[0])
    return read._replace(kernel=torch.stack(kernels(places)))


def _is_noisy(device: Device, state: TileState) -> bool:
    """Whether a read of any cell fluctuates."""
    seconds = float(state.seconds)

    def std(g: Tensor, cells: Tensor) -> Tensor:
        return device.fluctuation(g, cells, seconds)

    first = std(state.g[..., :1, :], state.cells[..., :1, :])
    return bool((first > 0).any()) or bool((by_blocks(std, state.g, state.cells) > 0).any())


def _layout(
    hardware: Hardware, sums: Tensor, noise: CellNoise | None, state: TileState, layout: Layout
) -> Read:
    """Mean and noise of the channel sums, in units of g_max, in the layout of the product."""
    how = readout(hardware)
    noise = None if noise is None else _of_rows(noise, layout)
    sums, noise, constant = _driven(hardware, sums, noise, state, layout)
    out = column_factors(state)
    if is_tiled(hardware):
        sums, bias = apart(sums, layout)
        ones = layout.kernel(torch.ones_like(sums[:1, ..., :1])) if how.offset else None
        levels = None
        if hardware.adc is not None and state.converters is not None:
            levels = hardware.adc.pack(state.converters)
        read = Read(layout.kernel(sums), None, None, out.flatten(), state.shift, ones)
        read = read._replace(levels=levels, constant=constant, bias=bias)
        return read if noise is None else _with_noise(read, noise, layout)
    weights, bias = _whole(normalised(sums, how) * out, layout)
    read = Read(weights, shift=state.shift, bias=bias)
    return read if noise is None else _with_whole_noise(read, noise, squared(how), out, layout)


def column_factors(state: TileState) -> Tensor:
    """The digital factor of each column, reference weight times gain: ``[group, 1, column]``."""
    groups = state.g.shape[1]
    columns = state.gain.numel() // groups
    return (state.scale.expand(groups, 1, columns) * state.gain.view(groups, 1, columns)).contiguous()


def _with_noise(read: Read, noise: CellNoise, layout: Layout) -> Read:
    """Noise in cell currents, tiles kept apart."""
    if noise.cells is not None:
        variance, spread = apart(noise.cells, layout)
        read = read._replace(variance=layout.kernel(variance), bias_variance=spread)
    if noise.lines is not None:
        read = read._replace(lines=packed_lines(noise.lines, layout))
    if noise.shot is not None:
        shot, spread = apart(noise.shot, layout)
        read = read._replace(shot=layout.kernel(shot), bias_shot=spread)
    if noise.thermal is not None:
        read = read._replace(thermal=over_currents(layout, _of_tiles(noise.thermal, layout)))
    return read


def _with_whole_noise(read: Read, noise: CellNoise, squares: Readout, out: Tensor, layout: Layout) -> Read:
    """Noise in outputs."""
    if noise.cells is not None:
        variance, spread = _whole(normalised(noise.cells, squares) * out**2, layout)
        read = read._replace(variance=variance, bias_variance=spread)
    if noise.shot is not None:
        shot, spread = _whole(normalised(noise.shot, squares) * out**2, layout)
        read = read._replace(shot=shot, bias_shot=spread)
    if noise.thermal is not None:
        thermal = normalised(noise.thermal, squares) * out**2
        read = read._replace(thermal=thermal.sum(-2).flatten())
    return read


def _of_rows(noise: CellNoise, layout: Layout) -> CellNoise:
    """Where one row alone is on, at full scale: each row has the noise of currents of its read."""
    if not layout.one_hot or noise[1:] == (None, None, None):
        return noise
    parts = [part for part in (noise.cells, noise.shot) if part is not None]
    if noise.lines is not None:
        parts.append(of_one_row(noise.lines, layout))
    if noise.thermal is not None:
        sums = [
            noise.thermal[:, :, a:b].sum(2, keepdim=True).expand(-1, -1, b - a, -1) for a, b in layout.rows
        ]
        parts.append(torch.cat(sums, dim=2))
    return CellNoise(torch.stack(parts).sum(0), None, None)


def _of_tiles(values: Tensor, layout: Layout) -> Tensor:
    """``[channel, group, row, column]`` added over the rows: ``[group, tile, channel, column]``."""
    return torch.stack([values[:, :, a:b].sum(2) for a, b in layout.rows], dim=1).transpose(0, 2)


def _whole(matrix: Tensor, layout: Layout) -> tuple[Tensor, Tensor | None]:
    """The whole kernel of ``matrix[group, row, column]``, and the sum of its bias rows."""
    if not layout.bias_rows:
        return layout.whole_kernel(matrix), None
    inputs = matrix.shape[-2] - layout.bias_rows
    return layout.whole_kernel(matrix[..., :inputs, :]), matrix[..., inputs:, :].sum(-2).flatten()


def _driven(
    hardware: Hardware, sums: Tensor, noise: CellNoise | None, state: TileState, layout: Layout
) -> tuple[Tensor, CellNoise | None, Tensor | None]:
    """Sums, their noise and the constant currents, with the errors of the drivers of the rows in them."""
    dac = hardware.dac
    if dac is None or state.drivers is None:
        return sums, noise, None
    which = [k for k, width in enumerate(widths(sums, layout)) for _ in range(width)]
    drivers = F.pad(state.drivers, (0, 0, 0, layout.bias_rows))  # the source of bias rows has no error
    gain, offset = drivers[which].movedim(0, -2).unbind(-1)
    constant = None
    if dac.offset:  # [group, tile, channel, column]
        constant = over_currents(layout, _of_tiles(dac.offset * offset * sums, layout))
    factor = 1 + dac.gain * gain
    if noise is not None:
        cells, shot, thermal, lines = noise
        cells = None if cells is None else cells * factor**2
        if lines is not None:
            cross = None if lines.cross is None else lines.cross * factor
            lines = lines._replace(currents=lines.currents * factor, cross=cross)
        noise = CellNoise(cells, None if shot is None else shot * factor.abs(), thermal, lines)
    return sums * factor, noise, constant


def ideal_read(hardware: Hardware, weight: Tensor, layout: Layout) -> Read:
    """The mapped targets, without device errors: a chip that is not programmed yet."""
    device, weight = hardware.device, weight.detach()
    scale = hardware.mapping.scale.reference(weight)
    g = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)
    state = _unprogrammed(g, scale, weight)
    seen = through_wires(hardware, g, layout)
    if seen is g:
        return _of_voltages(hardware, g, None, state, layout).changed(shift=None)
    sums = combine(seen / device.g_max, readout(hardware))
    return _layout(hardware, sums, None, state, layout).changed(shift=None)


def training_read(hardware: Hardware, weight: Tensor, clean: Tensor, layout: Layout) -> Read:
    """The weights of a training step: differentiable, never the chip.

    Args:
        hardware: the description.
        weight: the weights to multiply by, with the training noise, ``[group, row, column]``.
        clean: the weights without noise; they choose the reference weight, as in programming.
        layout: how the layer's matrix lies in tiles.

    A mapping with one channel and no offset multiplies by the weights themselves. The others (bit
    slices, offsets, digital subtraction) multiply by their mapped targets, with the gradient straight
    through, so that each ADC sees the currents it will see on the chip.
    """
    if not is_plain(hardware):
        return _training_read_through_wires(hardware, weight, clean, layout)
    if not is_tiled(hardware):
        kernel, bias = _whole(weight, layout)
        return Read(kernel, bias=bias)
    how = readout(hardware)
    if len(how.digital) > 1 or how.offset or how.unit_column:
        return with_gradient(hardware, ideal_read(hardware, weight, layout), weight, layout)
    scale = hardware.mapping.scale.reference(clean.detach())
    if scale.numel() > 1:
        scale = scale.expand(weight.shape[0], 1, weight.shape[2])
    out = scale.flatten()
    matrices, bias = apart(weight.unsqueeze(0), layout)
    return Read(layout.kernel(matrices), unit=1 / (out * how.digital[0]), out=out, bias=bias)


def _training_read_through_wires(hardware: Hardware, weight: Tensor, clean: Tensor, layout: Layout) -> Read:
    """The weights as wires with resistance let them through, with the gradient of the circuit."""
    if not hardware.mapping.smooth:
        return with_gradient(hardware, ideal_read(hardware, weight, layout), weight, layout)
    device = hardware.device
    scale = hardware.mapping.scale.reference(clean.detach())
    w = weight / scale
    inside = w.clamp(-1, 1)  # training noise may go beyond what cells can hold: that part sees no wires
    g = hardware.mapping.targets(inside, device.g_min, device.g_max)
    sums = combine(through_wires(hardware, g, layout) / device.g_max, readout(hardware))
    sums = sums + _as_channels(hardware, w - inside)
    return _layout(hardware, sums, None, _unprogrammed(g, scale, weight), layout).changed(shift=None)


def _as_channels(hardware: Hardware, w: Tensor) -> Tensor:
    """Normalised weights ``[group, row, column]`` shared out to channel sums, offsets left alone."""
    how = readout(hardware)
    norm = sum(f * f for f in how.digital)
    shares = torch.stack([w * (f / norm) for f in how.digital])
    return torch.cat([shares, torch.zeros_like(shares[..., :1])], dim=-1) if how.unit_column else shares


def _unprogrammed(g: Tensor, scale: Tensor, weight: Tensor) -> TileState:
    ones = torch.ones(weight.shape[0] * weight.shape[2], dtype=g.dtype, device=g.device)
    return TileState(g, g[:0], scale, ones[0], ones, torch.zeros_like(ones), ones, ones[0])


def with_gradient(hardware: Hardware, read: Read, weight: Tensor, layout: Layout) -> Read:
    """The same values, with the gradient of the product straight through to ``weight``.

    It is the gradient by the weights that the chip holds now, digital gain included.
    """
    if not is_tiled(hardware):
        ideal, bias = _whole(weight, layout)
    else:
        assert read.out is not None
        out = read.out.view(weight.shape[0], 1, -1)
        out = torch.where(out == 0, 1.0, out)  # a column without gain has no gradient anyway
        matrices, bias = apart(_as_channels(hardware, weight / out), layout)
        ideal = layout.kernel(matrices)
    if read.kernel.dim() > ideal.dim():
        ideal = nonlinear.in_proportion(ideal, len(read.kernel))
    if bias is not None and read.bias is not None:
        read = read.changed(bias=straight_through(bias, read.bias))
    return read.changed(kernel=straight_through(ideal, read.kernel))
