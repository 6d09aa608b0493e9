"""Noisy copies of one network: other weights on its arrays, many sets of them, stacked.

A copy is the network with relative noise on its weights (:func:`noisy_weights`), or with the weights
that a programmed and aged chip holds (:func:`chip_weights`). Copies are stacked by name, ``{name: [copy,
*weight.shape]}``; :mod:`mho.experiments.batched` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

import mho
from mho import random
from mho.array import Ideal as IdealArray
from mho.chip import tile
from mho.experiments.fitting import seeded
from mho.nn import AnalogLayer, Crossbar, crossbars
from mho.nn.crossbar import plain
from mho.nn.walk import walk
from mho.periphery import GlobalDrift

Copies = dict[str, Tensor]
MATRICES = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
)  # fmt: skip


def array_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights that lie on arrays after ``mho.convert``, by name; a tied one once, under its first name.

    Args:
        network: a plain torch network.

    Raises:
        ValueError: there is none, one of them is no Parameter (it is computed, or its shape is not known
            yet), or one is NaN or infinite.

    >>> list(array_weights(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))))
    ['0.weight']
    >>> list(array_weights(nn.LSTM(3, 2)))
    ['weight_ih_l0', 'weight_hh_l0']
    """
    for path, module in network.named_modules():
        if any(isinstance(p, UninitializedParameter) for p in module._parameters.values()):
            raise ValueError(f"the shape of {path or 'the network'!r} is not known yet: run the network once")
    known = parameters(network)
    found: dict[str, Tensor] = {}
    seen: set[Tensor] = set()
    for path, layer in walk(mho.convert(network, mho.Hardware())):
        if not isinstance(layer, Crossbar):
            continue
        name = _weight_name(path, layer)
        if name not in known:
            raise ValueError(_computed(path))
        if known[name] not in seen:
            found[name] = known[name]
            seen.add(known[name])
    if not found:
        raise ValueError(
            "the network has no linear layer, no convolution and no other layer that mho.convert puts on "
            "arrays (mho.convert(network, mho.Hardware()).report says why): there is no weight to disturb"
        )
    return found


def parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """The Parameters of a network under every name that they have; a module used twice counts once."""
    return {
        f"{path}.{name}" if path else name: parameter
        for path, module in network.named_modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    }


def _weight_name(path: str, layer: Crossbar) -> str:
    """The name, in the plain network, of the Parameter that holds the weights of an array."""
    single = isinstance(layer.owner, AnalogLayer) and layer.owner.is_single
    owner = path if single else f".{path}".rpartition(".arrays.")[0][1:]
    return f"{owner}.{layer.weight_name}" if owner else layer.weight_name


def _computed(path: str) -> str:
    return (
        f"the weight of {path or 'the layer'!r} is no Parameter but computed from others (parametrised, "
        "normed or pruned), so that a copy cannot replace it: make it plain first, with "
        "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') or "
        "torch.nn.utils.prune.remove(layer, 'weight')"
    )


def noisy_weights(network: nn.Module, std: Sequence[float], repeats: Sequence[int], seed: int) -> Copies:
    """Copies with normal noise in proportion to each weight, ``w + std |w| eps``.

    The draws of a repeat are the same for every ``std`` and every network of this shape, so that
    strengths and methods are compared on the same noise.

    Args:
        network: a plain torch network.
        std: relative standard deviation for each copy.
        repeats: number of the repeat for each copy; names the draws.
        seed: names the draws too.

    Raises:
        ValueError: a strength is negative, or there are not as many strengths as repeats.
    """
    if len(std) != len(repeats) or any(not p >= 0 for p in std):
        raise ValueError(
            f"std = {list(std)}, repeats = {list(repeats)}: give one strength, at least 0, and one repeat "
            "for each copy"
        )
    copies = {}
    for name, weight in array_weights(network).items():
        clean = weight.detach()
        eps = {
            r: random.normal(clean.shape, seed, name, "weight noise", str(r)).to(clean)
            for r in dict.fromkeys(repeats)
        }
        spread = clean.abs()
        copies[name] = torch.stack([clean + p * spread * eps[r] for p, r in zip(std, repeats, strict=True)])
    return copies


def chip_weights(
    model: nn.Module, seeds: Sequence[int], seconds: float = 0.0, compensated: bool = False
) -> Copies:
    """Copies as programmed and aged chips hold them: what the loop below gives, all chips at once.

    ::

        for seed in seeds:
            mho.program(model, seed)
            mho.age(model, seconds)
            with seeded(seed, "compensate", repr(seconds)):
                mho.compensate(model)  # if compensated

    Args:
        model: what ``mho.convert`` made; it is not changed.
        seeds: the chips.
        seconds: time since programming.
        compensated: correct the drift from a noisy read of each array.

    Returns:
        Weights by the names that they have in ``mho.revert(model)``. The outputs of these copies have the
        bits of the loop, but for ``Offset(unit_column=True)``: there the layer subtracts the unit column
        from the sums of a read, and a copy from the weights, so that rounding differs.

    Raises:
        ValueError: the hardware has converters or read noise. They act on every read anew, so they are
            no property of a copy; test such chips one by one. Or a layer with several arrays, a table,
            or a computed weight.
    """
    layers = crossbars(model)
    for path, layer in layers.items():
        _check(layer, path, seconds)
    with plain():
        made = [_Chips(layer, path, seeds, seconds) for path, layer in layers.items()]
        if compensated:
            for number, seed in enumerate(seeds):
                with seeded(seed, "compensate", repr(seconds)):
                    for chips in made:
                        chips.compensate(number, seed)
        return {f"{c.path}.{name}" if c.path else name: held for c in made for name, held in c.held().items()}


def _check(layer: Crossbar, path: str, seconds: float) -> None:
    hardware = layer.hardware
    if not isinstance(layer.owner, MATRICES):
        raise ValueError(
            f"{path!r} is a {type(layer.owner).__name__}: copies are made of linear layers and convolutions"
        )
    if "weight" not in layer.owner._parameters:
        raise ValueError(_computed(path))
    tile.check_finite(layer.weight.detach(), path)
    hardware.device.check_time(seconds)
    if hardware.dac is not None or hardware.adc is not None or hardware.device.read_scale > 0:
        raise ValueError(
            f"the hardware of {path or 'the layer'!r} has converters or read noise, which act on every read "
            "anew; copies hold weights only. Use Hardware(device=replace(device, read_scale=0.0)) without "
            "dac and adc, or program and test the chips one by one"
        )


class _Chips:
    """All chips of one layer: conductances ``[copy, chip, group, row, column]`` at one age."""

    def __init__(self, layer: Crossbar, path: str, seeds: Sequence[int], seconds: float) -> None:
        self.layer, self.path, self.seconds = layer, path, seconds
        hardware = layer.hardware
        device = hardware.device
        weight = layer.logical(layer.wide_weight()).detach()
        self.scale = hardware.mapping.scale.reference(weight)
        self.columns = weight.shape[2]
        target = hardware.mapping.targets(weight / self.scale, device.g_min, device.g_max)

        def draw(seed: int) -> Callable[[str], Tensor]:
            return lambda mechanism: random.normal(target.shape, seed, path, mechanism).to(target)

        # Each chip in its own memory layout, on which the order of the sums of a reference read depends.
        self.fresh = [tile.write_cells(hardware, target, layer.layout, seed, path).g for seed in seeds]
        tiles = tile.tiles_of(layer.layout, target)
        self.cells = [tile.cell_state(device, target, draw(seed), tiles) for seed in seeds]
        self.g = device.aged(torch.stack(self.fresh, dim=1), torch.stack(self.cells, dim=2), seconds)
        self.gain = torch.ones(len(seeds), 1, 1, 1, dtype=target.dtype, device=target.device)

    def compensate(self, number: int, seed: int) -> None:
        """Measure the gain of one chip, as ``mho.program`` and ``mho.compensate`` do."""
        layer, hardware = self.layer, self.layer.hardware
        ones = torch.ones(self.scale.shape[0] * self.columns, dtype=self.g.dtype, device=self.g.device)
        zero = torch.zeros((), dtype=torch.float64, device=self.g.device)
        g, cells = self.fresh[number], self.cells[number]
        state = tile.TileState(g, cells, self.scale, zero, ones, torch.zeros_like(ones), ones, ones[0])
        first = random.normal(g.shape, seed, self.path, "reference").to(g)
        state = state._replace(baseline=tile.baseline_read(hardware, state, layer.layout, first))
        state = tile.age(hardware, state, self.seconds)
        now = tile.reference_read(hardware, state, layer.layout, random.fresh_normal_like(g))
        self.gain[number] = tile.compensated(state, now, GlobalDrift()).gain[0]

    def held(self) -> dict[str, Tensor]:
        """Weights ``[chip, *weight.shape]``, and a bias on rows, as a layer that reads its chip has them."""
        layer, hardware = self.layer, self.layer.hardware
        how, cut = tile.readout(hardware), layer.layout
        g = self.g
        if not isinstance(hardware.array, IdealArray):
            g = torch.stack([tile.through_wires(hardware, one, cut) for one in g.unbind(1)], dim=1)
        sums = tile.combine(g / hardware.device.g_max, how)
        matrices = tile.normalised(sums, how) * (self.scale * self.gain)
        inputs = matrices.shape[2] - layer.bias_rows
        found = {"weight": torch.stack([layer.from_matrix(matrix[:, :inputs]) for matrix in matrices])}
        if layer.bias_rows:  # sums round as memory lies: each chip in its own
            alone = [matrix.clone()[:, inputs:].sum(-2).flatten() for matrix in matrices]
            found["bias"] = torch.stack(alone)
        return found
