"""The composition: program, age and read an array. Start reading here.

A layer's weights are one logical array ``weight[group, row, column]``: rows are inputs (word lines),
columns are outputs (bit lines), groups are the groups of a convolution. The life of a chip is::

    state = program(hardware, weight, cut, seed, path)   # weights -> conductances, draws frozen
    state = age(hardware, state, seconds)                # to any time, in any order
    read = pack(hardware, state, cut)                    # once per state: what a product needs
    y = matvec(hardware, read, cut, x, bias, limits)     # every forward

Everything frozen in a chip lies in :class:`TileState`, a tuple of plain tensors. The cut into tiles
(:class:`mho.product.Cut`) belongs to the layer type: a linear layer multiplies all its tiles in one
batched product, a convolution in one grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mho import curved, random
from mho.array import Ideal as IdealArray
from mho.array import NonlinearCells
from mho.autograd import straight_through
from mho.blocks import by_blocks as _by_blocks
from mho.config import digest
from mho.converters import Circuit
from mho.devices import Device, Effect
from mho.devices.effects.base import Tiles, around, effects, innermost, stream
from mho.hardware import Hardware
from mho.mapping import Readout
from mho.product import Channels, Cut, Limit, Read, over_currents, prepare, tiled, whole
from mho.programming import ProgrammingResult, Site, Summary


class TileState(NamedTuple):
    """One chip: what programming froze, its age, and the corrections made at that age.

    Attributes:
        g: conductance after programming, siemens, ``[copy, group, row, column]``.
        cells: parameters of each cell, ``[n, copy, group, row, column]``: those of each effect, the
            outermost first, then those of the drift.
        scale: reference weight, ``[1, 1, 1]`` or ``[group, 1, column]``.
        seconds: time since programming, float64, ``[]``.
        gain: digital factor of each output column, ``[group * column]``.
        shift: digital addend of each output column, in output units, ``[group * column]``.
        baseline: mean magnitude of the reference read just after programming, in units of the
            reference weight, ``[group * column]``.
        hardware: digest of the description that the chip was made with, int64, ``[]``.
        converters: frozen draws of the converter of each column, ``[group, tile, channel, column, n]``;
            None if converters have no errors of their own.
        drivers: frozen draws of the DAC of each row, ``[column tile, channel, group, row, 2]``; None if
            DACs have no errors of their own.
    """

    g: Tensor
    cells: Tensor
    scale: Tensor
    seconds: Tensor
    gain: Tensor
    shift: Tensor
    baseline: Tensor
    hardware: Tensor
    converters: Tensor | None = None
    drivers: Tensor | None = None


def readout(hardware: Hardware) -> Readout:
    """The constants with which the cells of a weight are read."""
    return hardware.mapping.readout(hardware.device.g_min, hardware.device.g_max)


def is_tiled(hardware: Hardware) -> bool:
    """Whether something acts on the current of each tile's columns, so that tiles stay apart."""
    dac = hardware.dac
    driven_apart = dac is not None and (
        getattr(dac.range, "per_tile", False) or dac.stream is not None or dac.offset > 0
    )
    apart = driven_apart or isinstance(hardware.array, NonlinearCells)
    return hardware.adc is not None or apart or readout(hardware).unit_column


def streams(hardware: Hardware) -> bool:
    """Whether the ADC converts the currents of each group of input bits."""
    dac = hardware.dac
    return hardware.adc is not None and dac is not None and dac.stream is not None and dac.stream.each


# --- the life of a chip ------------------------------------------------------------------------


def program(hardware: Hardware, weight: Tensor, cut: Cut, seed: int, path: str) -> TileState:
    """Program one chip.

    Args:
        hardware: the description.
        weight: ``weight[group, row, column]``, bias rows included.
        cut: the layer's cut into tiles.
        seed: the chip. Draws come from the streams (seed, path, mechanism), over the logical array: they
            depend neither on the tile size nor on other layers.
        path: the layer's path in its model.

    Raises:
        ValueError: a weight is NaN or infinite.
    """
    return write(hardware, weight, cut, seed, path)[0]


def write(
    hardware: Hardware, weight: Tensor, cut: Cut, seed: int, path: str
) -> tuple[TileState, Summary | None]:
    """Program one chip, as :func:`program`, and say what it took (None: a single shot)."""
    check_finite(weight, path)
    device = hardware.device
    weight = weight.detach()
    scale = hardware.mapping.scale.reference(weight)
    g_target = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)

    def draw(mechanism: str) -> Tensor:
        return random.normal(g_target.shape, seed, path, mechanism).to(g_target)

    written = write_cells(hardware, g_target, cut, seed, path)
    g = written.g
    cells = cell_state(device, g_target, draw, cut)
    ones = torch.ones(weight.shape[0] * weight.shape[2], dtype=g.dtype, device=g.device)
    state = TileState(
        g=g,
        cells=cells,
        scale=scale,
        seconds=torch.zeros((), dtype=torch.float64, device=g.device),
        gain=ones,
        shift=torch.zeros_like(ones),
        baseline=ones,
        hardware=torch.tensor(digest(hardware), device=g.device),
        converters=_draw_converters(hardware, g, cut, seed, path),
        drivers=_draw_drivers(hardware, g, cut, seed, path),
    )
    state = state._replace(baseline=reference_read(hardware, state, cut, draw("reference")))
    return state, hardware.programming.summary(written, g_target, device.g_max)


def write_cells(hardware: Hardware, g_target: Tensor, cut: Cut, seed: int, path: str) -> ProgrammingResult:
    """Bring the cells ``[copy, group, row, column]`` to their targets, as ``hardware.programming`` does.

    Effects around the device act on the programmed cells; programming does not see them.
    """
    analog = readout(hardware).analog

    def seen(g: Tensor) -> Tensor:
        if isinstance(hardware.array, IdealArray):
            return g
        return hardware.array.effective_copies(g, analog)

    site = Site(cut.rows, _columns(cut, g_target), analog, seen)
    return hardware.programming.write(innermost(hardware.device), g_target, seed, path, site)


def cell_state(device: Device, g_target: Tensor, draw: Callable[[str], Tensor], cut: Cut) -> Tensor:
    """The frozen parameters of each cell, ``[n, copy, group, row, column]``.

    Args:
        device: the device, perhaps with effects around it.
        g_target: wanted conductances, ``[copy, group, row, column]``.
        draw: standard normal draws in the shape of ``g_target``, by the name of a stream.
        cut: the layer's cut into tiles.
    """
    inside = _by_blocks(innermost(device).drift_state, g_target, draw("drift"))
    own = [effect_state(effect, g_target, draw, cut) for effect in effects(device)]
    return torch.cat([*own, inside]) if own else inside


def effect_state(effect: Effect, g: Tensor, draw: Callable[[str], Tensor], cut: Cut) -> Tensor:
    """The frozen parameters of one effect, ``[n, copy, group, row, column]``."""
    names = [stream(effect) if k == 0 else f"{stream(effect)}/{k}" for k in range(effect.draws)]
    eps = torch.stack([draw(name) for name in names]) if names else g.new_empty((0, *g.shape))
    return effect.own_state(eps, Tiles(cut.rows, _columns(cut, g)))


def degraded(
    hardware: Hardware, state: TileState | None, cut: Cut, more: Sequence[Effect], seed: int, path: str
) -> tuple[Hardware, TileState | None]:
    """The hardware and the chip with more effects around the device, the first one innermost.

    The chip keeps all it is made of. Only the parameters of the new effects are drawn, from the streams
    that :func:`program` would draw them from.
    """
    for effect in more:
        effect = around(effect, hardware.device)
        hardware = replace(hardware, device=effect)
        if state is not None:
            g = state.g

            def draw(name: str, g: Tensor = g) -> Tensor:
                return random.normal(g.shape, seed, path, name).to(g)

            state = state._replace(cells=torch.cat((effect_state(effect, g, draw, cut), state.cells)))
    if state is not None:
        state = state._replace(hardware=torch.full_like(state.hardware, digest(hardware)))
    return hardware, state


def _columns(cut: Cut, g: Tensor) -> tuple[tuple[int, int], ...]:
    """First and last + 1 column of each tile; a unit column lies beside the last one."""
    return (*cut.columns[:-1], (cut.columns[-1][0], g.shape[-1]))


def _draw_converters(hardware: Hardware, g: Tensor, cut: Cut, seed: int, path: str) -> Tensor | None:
    """The frozen draws of the ADCs of all tiles and channels."""
    if not isinstance(hardware.adc, Circuit):
        return None
    places = (g.shape[1], len(cut.rows), len(readout(hardware).digital))
    return hardware.adc.draw(places, _widths(g, cut), seed, path).to(g)


def _draw_drivers(hardware: Hardware, g: Tensor, cut: Cut, seed: int, path: str) -> Tensor | None:
    """The frozen draws of the DACs of all rows, of each tile of columns and each channel."""
    if hardware.dac is None or not hardware.dac.mismatched:
        return None
    places = (len(readout(hardware).digital), g.shape[1], g.shape[2] - cut.bias_rows)
    return hardware.dac.draw(places, len(cut.columns), seed, path).to(g)


def _widths(g: Tensor, cut: Cut) -> list[int]:
    """Columns of each tile."""
    return [b - a for a, b in _columns(cut, g)]


def check_finite(weight: Tensor, path: str) -> None:
    """Raise ``ValueError`` if a weight is NaN or infinite."""
    bad = int((~torch.isfinite(weight)).sum())
    if bad:
        raise ValueError(
            f"weight of {path or 'the layer'!r}: {bad} of {weight.numel()} values are NaN or infinite; "
            "no conductance can hold them, repair the weights first"
        )


def age(hardware: Hardware, state: TileState, seconds: float) -> TileState:
    """The chip ``seconds`` after programming; corrections made at another time are undone."""
    hardware.device.check_time(seconds)
    return state._replace(
        seconds=torch.full_like(state.seconds, seconds),
        gain=torch.ones_like(state.gain),
        shift=torch.zeros_like(state.shift),
    )


def conductances(hardware: Hardware, state: TileState) -> Tensor:
    """Conductances at the chip's present age, siemens, ``[copy, group, row, column]``."""
    seconds = float(state.seconds)
    return _by_blocks(lambda g, cells: hardware.device.aged(g, cells, seconds), state.g, state.cells)


def reference_read(hardware: Hardware, state: TileState, cut: Cut, eps: Tensor) -> Tensor:
    """Mean magnitude of one noisy read of each row, for each column.

    One row after the other is driven at full scale. The currents of single cells are read with the
    cells' own noise and with the resolution of the ADC, its full scale set to a single cell.

    Args:
        hardware: the description.
        state: the chip.
        cut: the layer's cut into tiles.
        eps: standard normal draws in the shape of ``state.g``.

    Returns:
        ``[group * column]``, in units of the reference weight.
    """
    how, device, seconds = readout(hardware), hardware.device, float(state.seconds)

    def noisy(g: Tensor, cells: Tensor, eps: Tensor) -> Tensor:
        now = device.aged(g, cells, seconds)
        return device.one_read(g, cells, now, seconds, eps) / device.g_max

    def magnitude(sums: Tensor) -> Tensor:
        if hardware.adc is not None:
            both_signs = any(a < 0 for row in how.analog for a in row)
            widest = max(sum(abs(a) for a in row) for row in how.analog)
            sums = hardware.adc.quantise(sums, widest / 2 if both_signs else widest)
        return normalised(sums, how).abs()

    if isinstance(hardware.array, IdealArray):
        read = _by_blocks(lambda *cells: magnitude(combine(noisy(*cells), how)), state.g, state.cells, eps)
    else:
        cells = _by_blocks(noisy, state.g, state.cells, eps)
        read = magnitude(combine(through_wires(hardware, cells * device.g_max, cut) / device.g_max, how))
    return read.mean(dim=-2).flatten()


def compensated(state: TileState, reference: Tensor, per_column: bool) -> TileState:
    """The chip with the digital gain that gives the reference read its first magnitude back.

    Args:
        state: the chip.
        reference: what :func:`reference_read` gives now.
        per_column: one gain for each column instead of one for the layer.

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020), global drift compensation.
    """
    before, now = state.baseline, reference
    if not per_column:
        before, now = before.mean(), now.mean()
    floor = 1e-4  # of the reference weight: an array that reads nothing gets no infinite gain
    gain = before.clamp(min=floor) / now.clamp(min=floor)
    return state._replace(gain=gain.expand_as(state.gain).clone(), shift=torch.zeros_like(state.shift))


# --- from conductances to the matrix of a product ----------------------------------------------


def combine(cells: Tensor, how: Readout) -> Tensor:
    """``cells[copy, group, row, column]`` added as currents: ``[channel, group, row, column]``."""
    if how.analog == ((1.0, -1.0),):
        return (cells[0] - cells[1]).unsqueeze(0)
    analog = torch.tensor(how.analog, dtype=cells.dtype, device=cells.device)
    return torch.einsum("ck,k...->c...", analog, cells)


def normalised(sums: Tensor, how: Readout) -> Tensor:
    """Channel sums ``[channel, group, row, column]`` to normalised weights ``[group, row, column]``."""
    digital = torch.tensor(how.digital, dtype=sums.dtype, device=sums.device)
    if how.unit_column:
        sums = sums[..., :-1] - sums[..., -1:]
    return torch.einsum("c,c...->...", digital, sums) - how.offset


def through_wires(hardware: Hardware, g: Tensor, cut: Cut) -> Tensor:
    """Effective conductances of all tiles, in the shape of ``g[copy, group, row, column]``."""
    if isinstance(hardware.array, IdealArray):
        return g
    tiles = [(r, c) for r in cut.rows for c in _columns(cut, g)]
    seen = torch.empty_like(g)
    for shape in dict.fromkeys((r[1] - r[0], c[1] - c[0]) for r, c in tiles):
        alike = [(r, c) for r, c in tiles if (r[1] - r[0], c[1] - c[0]) == shape]
        cells = torch.stack([g[..., slice(*r), slice(*c)] for r, c in alike], dim=1)
        solved = hardware.array.effective_copies(cells, readout(hardware).analog)
        for (r, c), part in zip(alike, solved.unbind(1), strict=True):
            seen[..., slice(*r), slice(*c)] = part
    return seen


def effective_weight(hardware: Hardware, state: TileState, cut: Cut) -> Tensor:
    """The weights that the chip holds now, gain included, read noise never: ``[group, row, column]``."""
    how = readout(hardware)
    g = through_wires(hardware, conductances(hardware, state), cut)
    w = normalised(combine(g / hardware.device.g_max, how), how) * state.scale
    return w * state.gain.view(w.shape[0], 1, w.shape[2])


def pack(hardware: Hardware, state: TileState, cut: Cut) -> Read:
    """What a product by this chip needs: the work done once per state.

    Read noise enters by its mean and variance. A conductance read below zero is read as zero, so the
    mean of a noisy small conductance is a little above it; the sum of many cells is normal.
    """
    device, how, seconds = hardware.device, readout(hardware), float(state.seconds)
    squares = how._replace(analog=tuple(tuple(a * a for a in row) for row in how.analog))

    def moments(g: Tensor, cells: Tensor) -> Tensor:
        """Mean and standard deviation of a read, ``[2, copy, group, row, column]``."""
        now = device.aged(g, cells, seconds)
        return torch.stack(device.read_moments(g, cells, now, seconds)) / device.g_max

    def channels(g: Tensor, cells: Tensor) -> Tensor:
        """Mean and variance of the channel sums, ``[2, channel, group, row, column]``."""
        mean, std = moments(g, cells)
        return torch.stack([combine(mean, how), combine(std * std, squares)])

    if isinstance(hardware.array, NonlinearCells):
        mean, std = _by_blocks(moments, state.g, state.cells)
        noise = combine(std * std, squares) if _is_noisy(device, state) else None
        return _curved(hardware, mean * device.g_max, noise, state, cut)
    if not _is_noisy(device, state):
        sums = combine(through_wires(hardware, conductances(hardware, state), cut) / device.g_max, how)
        return _layout(hardware, sums, None, state, cut)
    if isinstance(hardware.array, IdealArray):
        sums, noise = _by_blocks(channels, state.g, state.cells)
        return _layout(hardware, sums, noise, state, cut)
    mean, std = _by_blocks(moments, state.g, state.cells)
    seen = through_wires(hardware, mean * device.g_max, cut) / device.g_max
    std = std * seen / mean.clamp(min=torch.finfo(mean.dtype).tiny)
    return _layout(hardware, combine(seen, how), combine(std * std, squares), state, cut)


def _curved(hardware: Hardware, g: Tensor, noise: Tensor | None, state: TileState, cut: Cut) -> Read:
    """The layout of cells that obey no Ohm's law, with a matrix for each voltage where they need it."""
    array, device, how = hardware.array, hardware.device, readout(hardware)
    assert isinstance(array, NonlinearCells)
    read = _layout(hardware, combine(g / device.g_max, how), noise, state, cut)

    def kernels(places: list[float]) -> list[Tensor]:
        sums = (combine(c / device.g_max, how) for c in array.chords(g, places, device.v_read))
        return [cut.kernel(_apart(one, cut)[0]) for one in sums]

    return curved.with_points(read, array, kernels)


def _is_noisy(device: Device, state: TileState) -> bool:
    """Whether a read of any cell fluctuates."""
    seconds = float(state.seconds)

    def std(g: Tensor, cells: Tensor) -> Tensor:
        if isinstance(device, Effect):
            return device.read_moments(g, cells, device.aged(g, cells, seconds), seconds)[1]
        return device.read_std(g, g, seconds)

    first = std(state.g[..., :1, :], state.cells[..., :1, :])
    return bool((first > 0).any()) or bool((_by_blocks(std, state.g, state.cells) > 0).any())


def _layout(hardware: Hardware, sums: Tensor, noise: Tensor | None, state: TileState, cut: Cut) -> Read:
    """Mean and variance of the channel sums, in units of g_max, in the layout of the product."""
    how = readout(hardware)
    sums, noise, constant = _driven(hardware, sums, noise, state, cut)
    groups = sums.shape[1]
    columns = state.gain.numel() // groups
    out = (state.scale.expand(groups, 1, columns) * state.gain.view(groups, 1, columns)).contiguous()
    if is_tiled(hardware):
        sums, bias = _apart(sums, cut)
        noise, spread = (None, None) if noise is None else _apart(noise, cut)
        ones = cut.kernel(torch.ones_like(sums[:1, ..., :1])) if how.offset else None
        variance = None if noise is None else cut.kernel(noise)
        levels = None
        if isinstance(hardware.adc, Circuit) and state.converters is not None:
            levels = hardware.adc.packed(hardware.adc.tables(state.converters))
        read = Read(cut.kernel(sums), variance, None, out.flatten(), state.shift, ones)
        return read._replace(levels=levels, constant=constant, bias=bias, bias_variance=spread)
    weights, bias = _whole(normalised(sums, how) * out, cut)
    spread = None
    if noise is not None:
        squares = how._replace(digital=tuple(f * f for f in how.digital), offset=0.0)
        noise, spread = _whole(normalised(noise, squares) * out**2, cut)
    return Read(weights, noise, shift=state.shift, bias=bias, bias_variance=spread)


def _apart(sums: Tensor, cut: Cut) -> tuple[Tensor, Tensor | None]:
    """``sums[channel, group, row, column]`` of the inputs, and the sum of the bias rows of each tile."""
    if not cut.bias_rows:
        return sums, None
    inputs = sums.shape[-2] - cut.bias_rows
    tiles = [sums[..., max(a, inputs) : max(b, inputs), :].sum(-2) for a, b in cut.rows]
    return sums[..., :inputs, :], torch.stack(tiles).permute(2, 0, 1, 3)


def _whole(matrix: Tensor, cut: Cut) -> tuple[Tensor, Tensor | None]:
    """The whole kernel of ``matrix[group, row, column]``, and the sum of its bias rows."""
    if not cut.bias_rows:
        return cut.whole_kernel(matrix), None
    inputs = matrix.shape[-2] - cut.bias_rows
    return cut.whole_kernel(matrix[..., :inputs, :]), matrix[..., inputs:, :].sum(-2).flatten()


def _driven(
    hardware: Hardware, sums: Tensor, noise: Tensor | None, state: TileState, cut: Cut
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sums, their variance and the constant currents, with the errors of the drivers of the rows in them."""
    dac = hardware.dac
    if dac is None or state.drivers is None:
        return sums, noise, None
    which = [k for k, width in enumerate(_widths(sums, cut)) for _ in range(width)]
    drivers = F.pad(state.drivers, (0, 0, 0, cut.bias_rows))  # the source of bias rows has no error
    gain, offset = drivers[which].movedim(0, -2).unbind(-1)
    constant = None
    if dac.offset:  # [group, tile, channel, column]
        currents = dac.offset * offset * sums
        tiles = [currents[:, :, a:b].sum(2) for a, b in cut.rows]
        constant = over_currents(cut, torch.stack(tiles, dim=1).transpose(0, 2))
    factor = 1 + dac.gain * gain
    return sums * factor, noise if noise is None else noise * factor**2, constant


def ideal_read(hardware: Hardware, weight: Tensor, cut: Cut) -> Read:
    """The mapped targets, without device errors: a chip that is not programmed yet."""
    device, weight = hardware.device, weight.detach()
    scale = hardware.mapping.scale.reference(weight)
    g = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)
    state = _unprogrammed(g, scale, weight)
    if isinstance(hardware.array, NonlinearCells):
        return _curved(hardware, g, None, state, cut)._replace(shift=None)
    sums = combine(through_wires(hardware, g, cut) / device.g_max, readout(hardware))
    return _layout(hardware, sums, None, state, cut)._replace(shift=None)


def training_read(hardware: Hardware, weight: Tensor, clean: Tensor, cut: Cut) -> Read:
    """The weights of a training step: differentiable, never the chip.

    Args:
        hardware: the description.
        weight: the weights to multiply by, with the training noise, ``[group, row, column]``.
        clean: the weights without noise; they choose the reference weight, as in programming.
        cut: the layer's cut into tiles.

    A mapping with one channel and no offset multiplies by the weights themselves. The others (bit
    slices, offsets, digital subtraction) multiply by their mapped targets, with the gradient straight
    through, so that each ADC sees the currents it will see on the chip.
    """
    if not isinstance(hardware.array, IdealArray):
        return _training_read_through_wires(hardware, weight, clean, cut)
    if not is_tiled(hardware):
        kernel, bias = _whole(weight, cut)
        return Read(kernel, bias=bias)
    how = readout(hardware)
    if len(how.digital) > 1 or how.offset or how.unit_column:
        return with_gradient(hardware, ideal_read(hardware, weight, cut), weight, cut)
    scale = hardware.mapping.scale.reference(clean.detach())
    if scale.numel() > 1:
        scale = scale.expand(weight.shape[0], 1, weight.shape[2])
    out = scale.flatten()
    matrices, bias = _apart(weight.unsqueeze(0), cut)
    return Read(cut.kernel(matrices), unit=1 / (out * how.digital[0]), out=out, bias=bias)


def _training_read_through_wires(hardware: Hardware, weight: Tensor, clean: Tensor, cut: Cut) -> Read:
    """The weights as wires with resistance let them through, with the gradient of the circuit."""
    if not hardware.mapping.smooth:
        return with_gradient(hardware, ideal_read(hardware, weight, cut), weight, cut)
    device = hardware.device
    scale = hardware.mapping.scale.reference(clean.detach())
    w = weight / scale
    inside = w.clamp(-1, 1)  # training noise may go beyond what cells can hold: that part sees no wires
    g = hardware.mapping.targets(inside, device.g_min, device.g_max)
    sums = combine(through_wires(hardware, g, cut) / device.g_max, readout(hardware))
    sums = sums + _as_channels(hardware, w - inside)
    return _layout(hardware, sums, None, _unprogrammed(g, scale, weight), cut)._replace(shift=None)


def _as_channels(hardware: Hardware, w: Tensor) -> Tensor:
    """Normalised weights ``[group, row, column]`` shared out to channel sums, offsets left alone."""
    how = readout(hardware)
    norm = sum(f * f for f in how.digital)
    shares = torch.stack([w * (f / norm) for f in how.digital])
    return torch.cat([shares, torch.zeros_like(shares[..., :1])], dim=-1) if how.unit_column else shares


def _unprogrammed(g: Tensor, scale: Tensor, weight: Tensor) -> TileState:
    ones = torch.ones(weight.shape[0] * weight.shape[2], dtype=g.dtype, device=g.device)
    return TileState(g, g[:0], scale, ones[0], ones, torch.zeros_like(ones), ones, ones[0])


def with_gradient(hardware: Hardware, read: Read, weight: Tensor, cut: Cut) -> Read:
    """The same values, with the gradient of the product straight through to ``weight``."""
    if not is_tiled(hardware):
        ideal, bias = _whole(weight, cut)
    else:
        scale = hardware.mapping.scale.reference(weight.detach())
        matrices, bias = _apart(_as_channels(hardware, weight / scale), cut)
        ideal = cut.kernel(matrices)
    if isinstance(hardware.array, NonlinearCells) and read.kernel.dim() > ideal.dim():
        ideal = curved.in_proportion(ideal, hardware.array)
    if bias is not None and read.bias is not None:
        read = read._replace(bias=straight_through(bias, read.bias))
    return read._replace(kernel=straight_through(ideal, read.kernel))


# --- the product -------------------------------------------------------------------------------


def matvec(
    hardware: Hardware, read: Read, cut: Cut, x: Tensor, bias: Tensor | None, limits: tuple[Limit, Limit]
) -> Tensor:
    """One read of the array.

    Args:
        hardware: the description.
        read: the packed matrix.
        cut: the layer's cut into tiles.
        x: the layer's input.
        bias: digital bias ``[group * column]``, or None.
        limits: full scale of the DAC (input units) and of the ADC (cell currents); None leaves that
            converter out.

    Returns:
        The layer's output, in the dtype of ``read.kernel``.
    """
    if not is_tiled(hardware):
        return whole(read, cut, x, bias, hardware.dac, limits[0])
    if isinstance(hardware.array, NonlinearCells):
        law = curved.curved(cut, hardware.array, hardware.device.v_read, read, hardware.dac, limits[0])
        read, cut = (at_full_scale(hardware, read, cut), cut) if law is cut else (read, law)
    return tiled(read, cut, x, bias, _channels(hardware), hardware.dac, hardware.adc, limits[0], limits[1])


def at_full_scale(hardware: Hardware, read: Read, cut: Cut) -> Read:
    """The read with one matrix, that of full-scale inputs, also where the cells obey no Ohm's law."""
    several = isinstance(hardware.array, NonlinearCells) and read.kernel.dim() > cut.product_axes
    return read._replace(kernel=read.kernel[-1]) if several else read


def prepared(hardware: Hardware, read: Read, limits: tuple[Limit, Limit]) -> Read:
    """The read with its constant factors made, where the limits allow it (see ``product.prepare``)."""
    if not is_tiled(hardware) or isinstance(hardware.array, NonlinearCells):
        return read
    return read._replace(steps=prepare(read, _channels(hardware), hardware.dac, hardware.adc, *limits))


def _channels(hardware: Hardware) -> Channels:
    how = readout(hardware)
    return Channels(how.digital, how.offset, how.unit_column)
