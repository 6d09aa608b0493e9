"""From the conductances of a chip to the matrix of a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mho.autograd import in_transform
from mho.blocks import by_blocks
from mho.chip.cells import Drawn, over_cells
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


def pack(
    hardware: Hardware,
    state: TileState,
    layout: Layout,
    check: Check | None = None,
    drawn: Drawn | None = None,
) -> Read:
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
        drawn: the cells of a chip that does not keep them.
    """
    if not in_transform():
        if check is not None and not torch.compiler.is_compiling():
            check(state)
        return _pack(hardware, state, layout, drawn)
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


def _pack(hardware: Hardware, state: TileState, layout: Layout, drawn: Drawn | None) -> Read:
    device, how, seconds = hardware.device, readout(hardware), float(state.seconds)
    quiet, shot, thermal = without_current_noise(device)
    squares, over = squared(how), over_cells(state, drawn)

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

    noisy = _is_noisy(quiet, state, drawn)
    if noisy and is_plain(hardware):
        sums, variance, *rest = over(channels)
        return laid_out(hardware, sums, noise(variance, rest[0] if rest else None), state, layout)
    std = None
    if noisy:
        mean, std = over(moments)
        g = mean * device.g_max
    else:
        g = over(lambda g, cells: device.aged(g, cells, seconds))
    variance = None if std is None else std * std
    seen = through_wires(hardware, g, layout)
    if seen is g:  # cells are seen as they are, and so is their noise
        cells = None if variance is None else combine(variance, squares)
        found = noise(cells, combine(g / device.g_max, squares) if shot or thermal else None)
        return of_voltages(hardware, g, found, state, layout)
    sums = combine(seen / device.g_max, how)
    behind = behind_wires(hardware, g, variance, shot, thermal, layout)
    return laid_out(hardware, sums, behind, state, layout)


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
    kernel, bias = of_whole(normalised(sums, how) * column_factors(state), layout)
    return read._replace(kernel=kernel, bias=bias)


def of_voltages(
    hardware: Hardware, g: Tensor, noise: CellNoise | None, state: TileState, layout: Layout
) -> Read:
    """The layout, with a matrix for each voltage where cells without Ohm's law need it."""
    device, how, places = hardware.device, readout(hardware), hardware.array.voltages
    read = laid_out(hardware, combine(g / device.g_max, how), noise, state, layout)
    if len(places) <= 1:
        return read
    array = hardware.array.at_temperature(temperature_of(device))

    def kernels(places: tuple[float, ...]) -> list[Tensor]:
        sums = (combine(c / device.g_max, how) for c in array.chords(g, places, device.v_read))
        return [layout.kernel(apart(one, layout)[0]) for one in sums]

    if layout.one_hot:  # rows are on at full scale, or off
        return read._replace(kernel=kernels((1.0,))[0])
    return read._replace(kernel=torch.stack(kernels(places)))


def _is_noisy(device: Device, state: TileState, drawn: Drawn | None) -> bool:
    """Whether a read of any cell fluctuates."""
    seconds = float(state.seconds)

    def std(g: Tensor, cells: Tensor) -> Tensor:
        return device.fluctuation(g, cells, seconds)

    if drawn is not None:
        return any(bool((std(g, cells) > 0).any()) for _, g, cells in drawn.blocks())
    first = std(state.g[..., :1, :], state.cells[..., :1, :])
    return bool((first > 0).any()) or bool((by_blocks(std, state.g, state.cells) > 0).any())


def laid_out(
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
    weights, bias = of_whole(normalised(sums, how) * out, layout)
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
        variance, spread = of_whole(normalised(noise.cells, squares) * out**2, layout)
        read = read._replace(variance=variance, bias_variance=spread)
    if noise.shot is not None:
        shot, spread = of_whole(normalised(noise.shot, squares) * out**2, layout)
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


def of_whole(matrix: Tensor, layout: Layout) -> tuple[Tensor, Tensor | None]:
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
