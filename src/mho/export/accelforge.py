"""A workload for AccelForge: the einsums of a network, with histograms of what its arrays really see.

AccelForge (the successor of CiMLoop and Timeloop) reads a YAML document: ``workload`` with
``bits_per_value``, ``rank_sizes`` and ``einsums``. Histograms have an odd number of bins and span the signed
range of values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mho.config import write_whole
from mho.config.documents import yaml_text
from mho.export._layers import SeenLayer, check_bits, codes, seen_layers


def workload(model: nn.Module, x: Any, bits: int = 8) -> dict[str, Any]:
    """The document of a model, of the first sample of a batch.

    Args:
        model: what ``mho.convert`` made; its linear layers and two-dimensional convolutions count.
        x: one batch.
        bits: of all values, with the sign; histograms have ``2^bits - 1`` bins.

    Returns:
        The document; ``inputs_hist`` and ``weights_hist`` of each einsum are shares that add up to 1.

    Raises:
        NotMappableError: an analog layer of another kind.
        ValueError: a number of bits outside 2 to 15.
    """
    check_bits("bits", bits)
    sizes: dict[str, int] = {}
    einsums = []
    for number, layer in enumerate(seen_layers(model, x, "an AccelForge workload")):
        made = (
            _linear(layer, number, sizes)
            if isinstance(layer.module, nn.Linear)
            else _conv(layer, number, sizes)
        )
        made["inputs_hist"] = _histogram(layer.inputs, bits)
        made["weights_hist"] = _histogram(layer.matrix, bits)
        einsums.append(made)
    return {"workload": {"bits_per_value": {"All": bits}, "rank_sizes": sizes, "einsums": einsums}}


def write_workload(model: nn.Module, x: Any, path: str | os.PathLike[str], bits: int = 8) -> None:
    """Write :func:`workload` as YAML, whole or not at all (needs PyYAML, which ``mho[study]`` brings)."""
    text = yaml_text(workload(model, x, bits))
    write_whole(Path(path), lambda file: file.write_text(text, encoding="utf-8"))


def _name(layer: SeenLayer, number: int) -> str:
    return f"{layer.path.replace('.', '_') or 'model'}_{number}"


def _linear(layer: SeenLayer, n: int, sizes: dict[str, int]) -> dict[str, Any]:
    name, vectors = _name(layer, n), layer.inputs.shape[1]
    sizes |= {f"M{n}": vectors, f"K{n}": layer.matrix.shape[0], f"N{n}": layer.matrix.shape[1]}
    return {
        "name": name,
        "tensor_accesses": [
            {"name": f"I{n}", "projection": [f"m{n}", f"k{n}"]},
            {"name": f"W{n}", "projection": [f"k{n}", f"n{n}"]},
            {"name": f"T{n}", "projection": [f"m{n}", f"n{n}"], "output": True},
        ],
    }


def _conv(layer: SeenLayer, n: int, sizes: dict[str, int]) -> dict[str, Any]:
    """A convolution as a string, with the bounds of its positions."""
    module = layer.module
    (height, width), (down, across) = layer.size, module.stride
    rows, columns = (
        (size + 2 * pad - far * (kernel - 1) - 1) // step + 1
        for size, pad, far, kernel, step in zip(
            (height, width), module.padding, module.dilation, module.kernel_size, module.stride, strict=True
        )
    )
    far = module.dilation
    sizes |= {
        f"P{n}": rows, f"Q{n}": columns, f"C{n}": module.in_channels, f"M{n}": module.out_channels,
        f"R{n}": module.kernel_size[0], f"S{n}": module.kernel_size[1], f"B{n}": 1,
    }  # fmt: skip
    return {
        "name": _name(layer, n),
        "einsum": f"T{n}[p{n}, q{n}, b{n}, m{n}] = I{n}[b{n}, c{n}, H: p{n}*{down} + r{n}*{far[0]}, "
        f"W: q{n}*{across} + s{n}*{far[1]}] * W{n}[r{n}, s{n}, c{n}, m{n}]",
        "iteration_space_shape": {
            f"{rank.lower()}{n}": f"0 <= {rank.lower()}{n} < {sizes[f'{rank}{n}']}" for rank in "PQBMCRS"
        },
    }


def _histogram(values: Tensor, bits: int) -> list[float]:
    """Shares of the codes from the lowest to the highest; zero in the middle."""
    whole, _ = codes(values, bits)
    high = 2 ** (bits - 1) - 1
    counts = torch.bincount(whole.flatten() + high, minlength=2 * high + 1)
    shares: list[float] = (counts.double() / whole.numel()).tolist()
    return shares
