"""A workload for AccelForge: the einsums of a network, and histograms of what its arrays really see.

AccelForge (the successor of CiMLoop and Timeloop) reads YAML: ``workload`` with ``bits_per_value``,
``rank_sizes`` and ``einsums``. Its compute-in-memory architectures take histograms of inputs and weights as
``variables``: an odd number of bins over the signed range of values.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mho.config import write_whole
from mho.config.documents import yaml_text
from mho.export._layers import SeenLayer, check_bits, codes, seen_layers


def workload(model: nn.Module, x: Any, bits: int = 8) -> dict[str, Any]:
    """The einsums of a model, for the first sample of a batch.

    Args:
        model: what ``mho.convert`` made; its linear layers and two-dimensional convolutions count.
        x: one batch.
        bits: of all values.

    Returns:
        The document. Layer n reads ``I<n>`` and ``W<n>`` and writes ``T<n>``.

    Raises:
        NotMappableError: an analog layer of another kind.
        ValueError: a number of bits outside 2 to 15.
    """
    check_bits("bits", bits)
    layers = seen_layers(model, x, "an AccelForge workload")
    einsums: list[dict[str, Any]] = []
    sizes: dict[str, int] = {}
    for n, layer in enumerate(layers):
        made, own = _linear(layer, n) if isinstance(layer.module, nn.Linear) else _conv(layer, n)
        einsums.append({**made, "renames": {"input": f"I{n}", "output": f"T{n}", "weight": f"W{n}"}})
        sizes |= own
    return {"workload": {"bits_per_value": {"All": bits}, "rank_sizes": sizes, "einsums": einsums}}


def histograms(model: nn.Module, x: Any, bits: int = 8, layer: str | None = None) -> dict[str, Any]:
    """What the arrays of a model see, as the ``variables`` of an architecture.

    Args:
        model, x: as for :func:`workload`.
        bits: of a value, with the sign; there are ``2^bits - 1`` bins, zero in the middle.
        layer: path of one layer; all together by default, each in its own range.

    Returns:
        ``{"variables": {"inputs_hist": [...], "weights_hist": [...]}}``, shares that add up to 1.

    Raises:
        ValueError: no such layer, or a number of bits outside 2 to 15.
    """
    check_bits("bits", bits)
    layers = seen_layers(model, x, "an AccelForge workload")
    chosen = [one for one in layers if layer is None or one.path == layer]
    if not chosen:
        raise ValueError(f"layer = {layer!r}: there are {', '.join(repr(one.path) for one in layers)}")
    inputs, weights = ([getattr(one, name) for one in chosen] for name in ("inputs", "matrix"))
    found = {"inputs_hist": _histogram(inputs, bits), "weights_hist": _histogram(weights, bits)}
    return {"variables": found}


def write_workload(model: nn.Module, x: Any, folder: str | os.PathLike[str], bits: int = 8) -> None:
    """Write ``workload.yaml`` and ``histograms.yaml`` into a folder, each whole or not at all.

    It needs PyYAML, which ``mho[study]`` brings. Arguments and errors as of :func:`workload`.
    """
    documents = {"workload": workload(model, x, bits), "histograms": histograms(model, x, bits)}
    for name, document in documents.items():
        write_whole(Path(folder) / f"{name}.yaml", partial(Path.write_text, data=yaml_text(document)))


def _linear(layer: SeenLayer, n: int) -> tuple[dict[str, Any], dict[str, int]]:
    sizes = {f"M{n}": layer.inputs.shape[1], f"K{n}": layer.matrix.shape[0], f"N{n}": layer.matrix.shape[1]}
    accesses: list[dict[str, Any]] = [
        {"name": f"I{n}", "projection": [f"m{n}", f"k{n}"]},
        {"name": f"W{n}", "projection": [f"k{n}", f"n{n}"]},
        {"name": f"T{n}", "projection": [f"m{n}", f"n{n}"], "output": True},
    ]
    return {"name": f"T{n}", "tensor_accesses": accesses}, sizes


def _conv(layer: SeenLayer, n: int) -> tuple[dict[str, Any], dict[str, int]]:
    """A convolution as a string, with the bounds of its positions."""
    module = layer.module
    rows, columns = (
        (size + 2 * pad - far * (kernel - 1) - 1) // step + 1
        for size, pad, far, kernel, step in zip(
            layer.size, module.padding, module.dilation, module.kernel_size, module.stride, strict=True
        )
    )
    (down, across), (low, wide) = module.stride, module.dilation
    text = (
        f"T{n}[p{n}, q{n}, b{n}, m{n}] = I{n}[b{n}, c{n}, H: p{n}*{down} + r{n}*{low}, "
        f"W: q{n}*{across} + s{n}*{wide}] * W{n}[r{n}, s{n}, c{n}, m{n}]"
    )
    sizes = {
        "p": rows, "q": columns, "b": 1, "m": module.out_channels, "c": module.in_channels,
        "r": module.kernel_size[0], "s": module.kernel_size[1],
    }  # fmt: skip
    bounds = [f"0 <= {rank}{n} < {size}" for rank, size in sizes.items()]
    return {"einsum": text, "iteration_space_shape": bounds}, {}


def _histogram(values: list[Tensor], bits: int) -> list[float]:
    """Shares of the codes from the lowest to the highest; zero in the middle."""
    high = 2 ** (bits - 1) - 1
    whole = torch.cat([codes(part, bits)[0].flatten() for part in values])
    counts = torch.bincount(whole + high, minlength=2 * high + 1)
    shares: list[float] = (counts.double() / whole.numel()).tolist()
    return shares
