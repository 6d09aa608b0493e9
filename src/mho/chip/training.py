"""The matrix of a product without a chip: mapped targets, and the weights of a training step."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.autograd import straight_through
from mho.chip import nonlinear
from mho.chip.layout import Layout
from mho.chip.noise import apart, combine
from mho.chip.packing import laid_out, of_voltages, of_whole, through_wires
from mho.chip.reads import Read
from mho.chip.state import TileState, is_plain, is_tiled, readout
from mho.hardware import Hardware


def ideal_read(hardware: Hardware, weight: Tensor, layout: Layout) -> Read:
    """The mapped targets, without device errors: a chip that is not programmed yet."""
    device, weight = hardware.device, weight.detach()
    scale = hardware.mapping.scale.reference(weight)
    g = hardware.mapping.targets(weight / scale, device.g_min, device.g_max)
    state = _unprogrammed(g, scale, weight)
    seen = through_wires(hardware, g, layout)
    if seen is g:
        return of_voltages(hardware, g, None, state, layout).changed(shift=None)
    sums = combine(seen / device.g_max, readout(hardware))
    return laid_out(hardware, sums, None, state, layout).changed(shift=None)


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
        kernel, bias = of_whole(weight, layout)
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
    return laid_out(hardware, sums, None, _unprogrammed(g, scale, weight), layout).changed(shift=None)


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
        ideal, bias = of_whole(weight, layout)
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
