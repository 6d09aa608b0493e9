"""Layers of a model with the inputs that they get, for formats that list layers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mho.errors import NotMappableError
from mho.nn import AnalogConv2d, AnalogLinear


class SeenLayer(NamedTuple):
    """One layer and one run of it.

    Attributes:
        path: of the layer.
        module: an ``AnalogLinear`` or ``AnalogConv2d``.
        matrix: its weights, ``[row, column]``: rows are inputs, those of a convolution in torch's order.
        inputs: of the first sample, as they are driven, ``[row, vector]``.
        size: height and width of the input; 1 and 1 of a linear layer.
        pooled: whether a pooling layer follows.
    """

    path: str
    module: Any
    matrix: Tensor
    inputs: Tensor
    size: tuple[int, int]
    pooled: bool


def seen_layers(model: nn.Module, x: Any, wanted: str) -> list[SeenLayer]:
    """The linear layers and plain convolutions of a model, in the order in which they ran on ``x``.

    Args:
        model: what ``mho.convert`` made.
        x: one batch; its first sample counts.
        wanted: the format, for messages.

    Raises:
        NotMappableError: an analog layer of another kind, or a grouped convolution.
        ValueError: no such layer ran.
    """
    found: dict[str, tuple[Any, Tensor]] = {}
    order: list[tuple[str, bool]] = []
    handles = []
    for path, module in model.named_modules():
        if isinstance(module, (AnalogLinear, AnalogConv2d)):

            def record(module: Any, given: Any, output: Any, path: str = path) -> None:
                order.append((path, False))
                found.setdefault(path, (module, given[0].detach()[:1]))

        elif "Pool" in type(module).__name__:

            def record(module: Any, given: Any, output: Any, path: str = path) -> None:
                order.append((path, True))

        else:
            _refuse(path, module, wanted)
            continue
        handles.append(module.register_forward_hook(record))
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError(f"no linear layer or convolution ran on this batch: {wanted} has nothing to list")
    ran = [path for path, pool in order if not pool]
    return [_seen(path, *found[path], _followed(order, path)) for path in dict.fromkeys(ran)]


def _refuse(path: str, module: nn.Module, wanted: str) -> None:
    from mho.nn import AnalogLayer

    if isinstance(module, AnalogLayer):
        raise NotMappableError(
            f"{path!r} is an {type(module).__name__}: {wanted} has linear layers and two-dimensional "
            "convolutions; leave it digital, with select of mho.convert"
        )


def _followed(order: list[tuple[str, bool]], path: str) -> bool:
    place = next(k for k, (name, pool) in enumerate(order) if name == path and not pool)
    return place + 1 < len(order) and order[place + 1][1]


def _seen(path: str, module: Any, given: Tensor, pooled: bool) -> SeenLayer:
    weight = module.weight.detach()
    matrix = weight.flatten(1).t()
    if isinstance(module, AnalogLinear):
        return SeenLayer(path, module, matrix, given.reshape(-1, given.shape[-1]).t(), (1, 1), pooled)
    if module.groups != 1 or isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise NotMappableError(f"{path!r}: give a convolution with groups=1 and padding as numbers of zeros")
    vectors = nn.functional.unfold(
        given.float(), module.kernel_size, module.dilation, module.padding, module.stride
    )[0]
    return SeenLayer(path, module, matrix, vectors, (given.shape[-2], given.shape[-1]), pooled)


def codes(values: Tensor, bits: int) -> tuple[Tensor, float]:
    """Signed codes, int64, the largest magnitude at ``2^(bits - 1) - 1``, and what a code stands for.

    >>> whole, unit = codes(torch.tensor([0.5, -1.0]), 8)
    >>> whole.tolist(), round(127 * unit, 6)
    ([64, -127], 1.0)
    """
    high = 2 ** (bits - 1) - 1
    peak = float(values.abs().max()) or 1.0
    return (values.double() * (high / peak)).round().long(), peak / high


def check_bits(name: str, bits: int) -> None:
    """Raise ``ValueError`` unless codes of so many bits can be written."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 15:
        raise ValueError(f"{name} = {bits!r}: give a whole number of bits from 2 to 15, with the sign")
