"""The CSV of the Fusion chip, out and back: conductances of a whole network.

One cell holds the magnitude of a weight; signs and the scale of each column stay with the network. The reader
is ``mho.devices.read_fusion``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mho.config import write_whole
from mho.convert import analog_modules
from mho.devices import FusionLayer

MICRO = 1e-6  # siemens: the file is in microsiemens


def fusion_layers(model: nn.Module, g_max: float = 40e-6) -> tuple[FusionLayer, ...]:
    """What goes to the chip: magnitudes of the weights, the largest of each output at ``g_max``.

    Args:
        model: what ``mho.convert`` made; layers with one matrix count.
        g_max: siemens, 10e-6 to 40e-6.

    Raises:
        ValueError: ``g_max`` is outside of what the chip takes, or no layer has one matrix.
    """
    if not 10e-6 <= g_max <= 40e-6:
        raise ValueError(f"g_max = {g_max!r}: the Fusion chip takes 10e-6 to 40e-6 siemens")
    found = []
    for number, (path, module) in enumerate(model.named_modules(), 1):
        if path in _matrices(model):
            weight = module.weight.detach().flatten(1).double()
            peak = weight.abs().amax(1, keepdim=True).clamp_min(1e-10)
            g = (weight.abs() * (g_max / peak)).flatten().numpy()
            kind = type(module).__name__
            found.append(FusionLayer(path or "model", number, kind, (weight.shape[0], weight.shape[1]), g))
    if not found:
        raise ValueError("no analog layer with one matrix: there is nothing to write")
    return tuple(found)


def write_fusion(layers: Iterable[FusionLayer], path: str | os.PathLike[str]) -> None:
    """Write layers as a Fusion CSV, in microsiemens; ``mho.devices.read_fusion`` gives the same numbers."""
    layers = tuple(layers)
    if not layers:
        raise ValueError("layers = (): give one at least")
    heads: list[list[Any]] = [
        [layer.number for layer in layers],
        [layer.kind for layer in layers],
        [layer.g.size for layer in layers],
        [layer.shape[0] for layer in layers],
        [layer.shape[1] for layer in layers],
        [layer.name for layer in layers],
    ]
    rows = [[repr(_micro(float(value))) for value in layer.g] for layer in layers]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([*heads, *rows])

    write_whole(Path(path), write)


def fusion_weights(model: nn.Module, layers: Iterable[FusionLayer]) -> dict[str, Tensor]:
    """Weights by path, of the conductances that the chip gave back for a model.

    Each output gets its sign from the model's own weights, and the scale that fits them best by least squares
    (a line with an offset, of which the slope counts), as aihwkit does.

    Args:
        model: that the conductances were made from.
        layers: what ``mho.devices.read_fusion`` gave.

    Raises:
        ValueError: a layer that the model does not have, or has in another shape.
    """
    known, found = _matrices(model), {}
    for layer in layers:
        path = "" if layer.name == "model" and "" in known else layer.name
        if path not in known or known[path].weight.flatten(1).shape != layer.shape:
            raise ValueError(
                f"layer {layer.name!r} with the shape {layer.shape}: the model has "
                + ", ".join(f"{name!r} {tuple(m.weight.flatten(1).shape)}" for name, m in known.items())
            )
        weight = known[path].weight.detach()
        wanted = weight.flatten(1).double()
        signed = torch.from_numpy(np.array(layer.g).reshape(layer.shape)) * wanted.sign()
        centred = signed - signed.mean(1, keepdim=True)
        spread = (centred**2).sum(1, keepdim=True)
        slope = (centred * (wanted - wanted.mean(1, keepdim=True))).sum(1, keepdim=True)
        scale = torch.where(spread > 0, slope / spread.clamp_min(1e-300), 0.0)
        found[path] = (signed * scale).view_as(weight).to(weight.dtype)
    return found


def _matrices(model: nn.Module) -> dict[str, Any]:
    """The analog layers with one matrix, by path."""
    return {path: module for path, module in analog_modules(model).items() if module.is_single}


def _micro(siemens: float) -> float:
    """Microsiemens that times 1e-6 are these siemens again, to the last bit where there are such."""
    near = siemens / MICRO
    tries = (near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf))
    return float(next((value for value in tries if float(value) * MICRO == siemens), near))
