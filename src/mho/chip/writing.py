"""From weights to a chip: its cells, the errors of its converters, and what a reference read gives."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.chip.cells import Drawn
from mho.chip.layout import Layout
from mho.chip.reference import baseline_read
from mho.chip.state import TileState, readout, widths
from mho.config import digest
from mho.hardware import Hardware
from mho.programming import Summary


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
    return chip_of(to_draw(hardware, weight, layout, seed, path))


def to_draw(hardware: Hardware, weight: Tensor, layout: Layout, seed: int, path: str) -> Drawn:
    """The cells of one chip that is to be programmed; arguments as :func:`program`."""
    check_finite(weight, path)
    weight = weight.detach()
    return Drawn(hardware, weight, hardware.mapping.scale.reference(weight), layout, seed, path)


def chip_of(drawn: Drawn, lean: bool = False) -> tuple[TileState, Summary | None]:
    """The chip that has these cells, and what they took to program (None: a single shot).

    Args:
        drawn: the cells.
        lean: leave them out of the chip: ``g`` and ``cells`` have a shape and no values, on the meta device.
    """
    hardware, weight, layout, seed, path = (
        drawn.hardware, drawn.weight, drawn.layout, drawn.seed, drawn.path,
    )  # fmt: skip
    summary = None
    if not drawn.in_blocks:
        written, _, target = drawn.whole()
        summary = hardware.programming.summary(written, target, hardware.device.g_max)
    if lean:
        g, cells = (torch.empty(shape, dtype=weight.dtype, device="meta") for shape in drawn.shapes)
    else:
        written, cells, _ = drawn.whole()
        g = written.g
    ones = torch.ones(weight.shape[0] * weight.shape[2], dtype=weight.dtype, device=weight.device)
    state = TileState(
        g=g,
        cells=cells,
        scale=drawn.scale,
        seconds=torch.zeros((), dtype=torch.float64, device=weight.device),
        gain=ones,
        shift=torch.zeros_like(ones),
        baseline=ones,
        hardware=torch.tensor(digest(hardware), device=weight.device),
        converters=_draw_converters(hardware, g, ones, layout, seed, path),
        drivers=_draw_drivers(hardware, g, ones, layout, seed, path),
    )
    eps = drawn.draws("reference") if lean else drawn.normal("reference")
    baseline = baseline_read(hardware, state, layout, eps, drawn if lean else None)
    return state._replace(baseline=baseline), summary


def _draw_converters(
    hardware: Hardware, g: Tensor, like: Tensor, layout: Layout, seed: int, path: str
) -> Tensor | None:
    """The frozen draws of the ADCs of all tiles and channels."""
    if hardware.adc is None:
        return None
    places = (g.shape[1], len(layout.rows), len(readout(hardware).digital))
    draws = hardware.adc.draw(places, widths(g, layout), seed, path)
    return None if draws is None else draws.to(like)


def _draw_drivers(
    hardware: Hardware, g: Tensor, like: Tensor, layout: Layout, seed: int, path: str
) -> Tensor | None:
    """The frozen draws of the DACs of all rows, of each tile of columns and each channel."""
    if hardware.dac is None:
        return None
    places = (len(readout(hardware).digital), g.shape[1], g.shape[2] - layout.bias_rows)
    draws = hardware.dac.draw(places, len(layout.columns), seed, path)
    return None if draws is None else draws.to(like)


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
