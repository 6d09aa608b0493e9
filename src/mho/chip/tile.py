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

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mho import random
from mho.array import Array
from mho.chip import nonlinear
from mho.chip.cells import Drawn, cell_state, effect_state, is_cell_by_cell, tiles_of, write_cells
from mho.chip.layout import Layout
from mho.chip.noise import combine
from mho.chip.packing import column_factors, effective_weight, normalised, pack, repack, through_wires
from mho.chip.product import Law, prepare, tiled, whole
from mho.chip.reads import Channels, Limit, Read
from mho.chip.reference import baseline_read, reference_read
from mho.chip.state import TileState, conductances, is_plain, is_tiled, readout, streams
from mho.chip.tap import Tap
from mho.chip.training import ideal_read, training_read, with_gradient
from mho.chip.writing import check_finite, check_values, chip_of, program, to_draw, write
from mho.config import digest
from mho.devices import Effect
from mho.devices.effects.base import around
from mho.hardware import Hardware
from mho.periphery import Compensation

__all__ = [
    "Drawn",
    "TileState",
    "age",
    "at_full_scale",
    "baseline_read",
    "cell_state",
    "check_finite",
    "check_values",
    "chip_of",
    "column_factors",
    "combine",
    "compensated",
    "compensated_by_age",
    "conductances",
    "degraded",
    "effect_state",
    "effective_weight",
    "ideal_read",
    "is_cell_by_cell",
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
    "to_draw",
    "training_read",
    "with_gradient",
    "write",
    "write_cells",
]


# --- the life of a chip ------------------------------------------------------------------------


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
