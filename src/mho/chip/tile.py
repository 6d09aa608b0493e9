"""The composition: program, age and read an array. Start reading here.

A layer's weights are one logical array ``weight[group, row, column]``: rows are inputs (word lines),
columns are outputs (bit lines), groups are the groups of a convolution. The life of a chip is::

    state = program(hardware, weight, layout, seed, path)   # weights -> conductances, draws frozen
    state = age(hardware, state, seconds)                # to any time, in any order
    read = pack(hardware, state, layout)                    # once per state: what a product needs
    y = matvec(hardware, read, layout, x, bias, limits)     # every forward

Everything frozen in a chip lies in :class:`TileState`, a tuple of plain tensors. The layout
(:class:`mho.chip.layout.Layout`) belongs to the layer type: a linear layer multiplies all its tiles in one
batched product; a convolution multiplies one after the other, and in training in one grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from mho import random
from mho.array import Array
from mho.blocks import by_blocks as _by_blocks
from mho.chip import nonlinear
from mho.chip.layout import Layout
from mho.chip.noise import combine
from mho.chip.packing import (
    column_factors,
    effective_weight,
    ideal_read,
    normalised,
    pack,
    repack,
    through_wires,
    training_read,
    with_gradient,
)
from mho.chip.product import Law, prepare, tiled, whole
from mho.chip.reads import Channels, Limit, Read
from mho.chip.reference import baseline_read, reference_read
from mho.chip.state import TileState, conductances, is_plain, is_tiled, readout, streams, tile_columns, widths
from mho.chip.tap import Tap
from mho.config import digest
from mho.devices import Device, Effect
from mho.devices.effects.base import Tiles, around, effects
from mho.devices.effects.varied import programmable
from mho.hardware import Hardware
from mho.periphery import Compensation
from mho.programming import ProgrammingResult, Site, Summary

__all__ = [
    "TileState",
    "age",
    "at_full_scale",
    "baseline_read",
    "cell_state",
    "check_finite",
    "check_values",
    "column_factors",
    "combine",
    "compensated",
    "compensated_by_age",
    "conductances",
    "degraded",
    "effect_state",
    "effective_weight",
    "ideal_read",
    "is_tiled",
    "matvec",
    "normalised",
    "pack",
    "prepared",
    "program",
    "readout",
    "reference_read",
    "repack",
    "streams",
    "through_wires",
    "tiles_of",
    "training_read",
    "with_gradient",
    "write",
    "write_cells",
]


# --- the life of a chip ------------------------------------------------------------------------


def program(hardware: Hardware, weight: Tensor, layout: Layout, seed: int, path: str) -> TileState:
    """Program one chip.

    Args:
        hardware: the description.
        weight: ``weight[group, row, column]``, bias rows included.
        layout: how the layer's matrix lies in tiles.
        seed: the chip. Draws come from the streams (seed, path, mechanism), over the logical array: they
            depend neither on the tile size nor on other layers.
        path: the layer's path in its model.

    Raises:
        ValueError: a weight is NaN or infinite.
    """
    return write(hardware, weight, layout, seed, path)[0]


def write(
    hardware: Hardware, weight: Tensor, layout: Layout, seed: int, path: str
) -> tuple[TileState, Summary | None]:
    """Program one chip, as :func:`program`, and say what it took (None: a single shot)."""
    check_finite(weight, path)
    device = hardware.device
    weight = weight.detach()
    scale = hardware.mapping.scale.reference(weight)
    g_target = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)

    def draw(mechanism: str) -> Tensor:
        return random.normal(g_target.shape, seed, path, mechanism).to(g_target)

    written = write_cells(hardware, g_target, layout, seed, path)
    g = written.g
    cells = cell_state(device, g_target, draw, tiles_of(layout, g_target))
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
        converters=_draw_converters(hardware, g, layout, seed, path),
        drivers=_draw_drivers(hardware, g, layout, seed, path),
    )
    state = state._replace(baseline=baseline_read(hardware, state, layout, draw("reference")))
    return state, hardware.programming.summary(written, g_target, device.g_max)


def write_cells(
    hardware: Hardware, g_target: Tensor, layout: Layout, seed: int, path: str
) -> ProgrammingResult:
    """Bring the cells ``[copy, group, row, column]`` to their targets, as ``hardware.programming`` does.

    Effects around the device act on the programmed cells; programming does not see them, only parameters
    that differ from cell to cell (``Varied``).
    """
    analog = readout(hardware).analog

    def seen(g: Tensor) -> Tensor:
        return hardware.array.effective_copies(g, analog)

    site = Site(*tiles_of(layout, g_target), analog, seen)
    return hardware.programming.write(programmable(hardware.device), g_target, seed, path, site)


def tiles_of(layout: Layout, g: Tensor) -> Tiles:
    """Where the tiles lie of the cells ``g[copy, group, row, column]``."""
    return Tiles(layout.rows, tile_columns(layout, g))


def cell_state(device: Device, g_target: Tensor, draw: Callable[[str], Tensor], tiles: Tiles) -> Tensor:
    """The frozen parameters of each cell, ``[n, copy, group, row, column]``.

    Args:
        device: the device, perhaps with effects around it.
        g_target: wanted conductances, ``[copy, group, row, column]``.
        draw: standard normal draws in the shape of ``g_target``, by the name of a stream.
        tiles: where the tiles lie.
    """
    own: list[Tensor] = []
    differ, inside_it = False, device
    for _ in effects(device):
        effect = cast("Effect", inside_it)  # of these cells
        own.append(effect_state(effect, g_target, draw, tiles))
        inside_it = effect.of_cells(own[-1])
        differ = differ or inside_it is not effect.device
    device, eps = inside_it, draw("drift")
    inside = device.drift_state(g_target, eps) if differ else _by_blocks(device.drift_state, g_target, eps)
    return torch.cat([*own, inside]) if own else inside


def effect_state(effect: Effect, g: Tensor, draw: Callable[[str], Tensor], tiles: Tiles) -> Tensor:
    """The frozen parameters of one effect, ``[n, copy, group, row, column]``."""
    names = effect.streams
    eps = torch.stack([draw(name) for name in names]) if names else g.new_empty((0, *g.shape))
    return effect.own_state(eps, tiles)


def degraded(
    hardware: Hardware,
    state: TileState | None,
    layout: Layout,
    more: Sequence[Effect],
    law: Array | None,
    seed: int,
    path: str,
) -> tuple[Hardware, TileState | None]:
    """The hardware and the chip with more effects around the device, the first one innermost, and a law.

    The chip keeps all it is made of. Only the parameters of the new effects are drawn, from the streams
    that :func:`program` would draw them from, and the noise of a reference read just after programming, of
    the chip as it was then with these effects.

    Args:
        hardware: the description.
        state: the chip; None if there is none yet.
        layout: how the layer's matrix lies in tiles.
        more: the effects.
        law: an array of cells without Ohm's law, to take the place of ideal wires; None for none.
        seed, path: name the draws.
    """
    if law is not None:
        hardware = _with_law(hardware, law, path)
    for effect in more:
        if state is not None:
            effect.check_degrade()
        effect = around(effect, hardware.device)
        hardware = replace(hardware, device=effect)
        if state is not None:
            g = state.g

            def draw(name: str, g: Tensor = g) -> Tensor:
                return random.normal(g.shape, seed, path, name).to(g)

            own = effect_state(effect, g, draw, tiles_of(layout, g))
            state = state._replace(cells=torch.cat((own, state.cells)))
    if state is not None:
        state = state._replace(hardware=torch.full_like(state.hardware, digest(hardware)))
        if more:
            eps = random.normal(state.g.shape, seed, path, "reference").to(state.g)
            state = state._replace(baseline=baseline_read(hardware, state, layout, eps))
    return hardware, state


def _with_law(hardware: Hardware, cells: Array, path: str) -> Hardware:
    """The hardware with cells without Ohm's law in the place of ideal wires."""
    here = f"{path or 'the layer'!r} has array = {type(hardware.array).__name__}(...)"
    if hardware.array.voltages:
        raise ValueError(f"{here} already: cells have one current-voltage law")
    if not is_plain(hardware):
        raise ValueError(
            f"{here}: cells without Ohm's law need wires without resistance, since the voltages of cells "
            "behind wires depend on every input; convert with array=Ideal(), or solve single tiles with "
            "mho.array.solve_nonlinear"
        )
    return replace(hardware, array=cells)


def _draw_converters(hardware: Hardware, g: Tensor, layout: Layout, seed: int, path: str) -> Tensor | None:
    """The frozen draws of the ADCs of all tiles and channels."""
    if hardware.adc is None:
        return None
    places = (g.shape[1], len(layout.rows), len(readout(hardware).digital))
    draws = hardware.adc.draw(places, widths(g, layout), seed, path)
    return None if draws is None else draws.to(g)


def _draw_drivers(hardware: Hardware, g: Tensor, layout: Layout, seed: int, path: str) -> Tensor | None:
    """The frozen draws of the DACs of all rows, of each tile of columns and each channel."""
    if hardware.dac is None:
        return None
    places = (len(readout(hardware).digital), g.shape[1], g.shape[2] - layout.bias_rows)
    draws = hardware.dac.draw(places, len(layout.columns), seed, path)
    return None if draws is None else draws.to(g)


def check_finite(weight: Tensor, path: str) -> None:
    """Raise ``ValueError`` if a weight is NaN or infinite, or has no value."""
    check_values(weight, path)
    bad = int((~torch.isfinite(weight)).sum())
    if bad:
        raise ValueError(
            f"weight of {path or 'the layer'!r}: {bad} of {weight.numel()} values are NaN or infinite; "
            "no conductance can hold them, repair the weights first"
        )


def check_values(weight: Tensor, path: str) -> None:
    """Raise ``ValueError`` if a weight has a shape and no values, on the meta device."""
    if weight.is_meta:
        raise ValueError(
            f"weight of {path or 'the layer'!r} is on the meta device: it has a shape and no values; load "
            "them first, with model.load_state_dict(state, assign=True)"
        )


def age(hardware: Hardware, state: TileState, seconds: float) -> TileState:
    """The chip ``seconds`` after programming; corrections made at another time are undone."""
    hardware.device.check_time(seconds)
    return state._replace(
        seconds=torch.full_like(state.seconds, seconds),
        gain=torch.ones_like(state.gain),
        shift=torch.zeros_like(state.shift),
    )


def described(hardware: Hardware, state: TileState) -> TileState:
    """The chip as one of this description, which says the same cells."""
    return state._replace(hardware=torch.full_like(state.hardware, digest(hardware)))


def compensated_by_age(state: TileState, method: Compensation) -> TileState:
    """The chip with the digital correction that follows from its age alone."""
    gain = torch.full_like(state.gain, method.from_age(float(state.seconds)))
    return state._replace(gain=gain, shift=torch.zeros_like(state.shift))


def compensated(state: TileState, reference: Tensor, method: Compensation) -> TileState:
    """The chip with the digital correction that follows from a reference read.

    Args:
        state: the chip.
        reference: what :func:`reference_read` gives now.
        method: what makes a correction of it.
    """
    gain, shift = method.from_reference(state.baseline, reference)
    return state._replace(gain=gain.to(state.gain), shift=shift.to(state.shift))


# --- the product -------------------------------------------------------------------------------


def matvec(
    hardware: Hardware,
    read: Read,
    layout: Layout,
    x: Tensor,
    bias: Tensor | None,
    limits: tuple[Limit, Limit],
    tap: Tap | None = None,
) -> Tensor:
    """One read of the array.

    Args:
        hardware: the description.
        read: the packed matrix.
        layout: how the layer's matrix lies in tiles.
        x: the layer's input.
        bias: digital bias ``[group * column]``, or None.
        limits: full scale of the DAC (input units) and of the ADC (cell currents); None leaves that
            converter out.
        tap: who listens.

    Returns:
        The layer's output, in the dtype of ``read.kernel``.
    """
    if not is_tiled(hardware):
        return whole(read, layout, x, bias, hardware.dac, limits[0])
    law, channels = law_of(hardware), channels_of(hardware)
    return tiled(read, layout, x, bias, channels, hardware.dac, hardware.adc, *limits, law, tap=tap)


def law_of(hardware: Hardware) -> Law | None:
    """What becomes of a product by cells that obey no Ohm's law; None for others."""
    if not hardware.array.voltages:
        return None
    return partial(nonlinear.by_law, hardware.array, hardware.device.v_read)


def at_full_scale(hardware: Hardware, read: Read, layout: Layout) -> Read:
    """The read with one matrix, that of full-scale inputs, also where the cells obey no Ohm's law."""
    return nonlinear.at_full_scale(read, layout) if hardware.array.voltages else read


def prepared(hardware: Hardware, read: Read, limits: tuple[Limit, Limit]) -> Read:
    """The read with its constant factors made, where the limits allow it (see ``product.prepare``)."""
    if not is_tiled(hardware) or hardware.array.voltages:
        return read
    return read._replace(steps=prepare(read, channels_of(hardware), hardware.dac, hardware.adc, *limits))


def channels_of(hardware: Hardware) -> Channels:
    """How the channels of a read become one number."""
    how = readout(hardware)
    return Channels(how.digital, how.offset, how.unit_column)
