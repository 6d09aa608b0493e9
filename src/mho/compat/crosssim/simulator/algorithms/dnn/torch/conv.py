"""Convolutions."""

from __future__ import annotations

from typing import Any

from torch import nn

from mho import nn as layers
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer, checked, place_for
from mho.compat.crosssim.simulator.parameters import CrossSimParameters

_NAMES = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias",
    "padding_mode", "device", "dtype", "bias_rows",
)  # fmt: skip
"""The arguments after ``params``: torch's, then the analog one."""


def _init(
    layer: Any,
    base: type[nn.Module],
    params: CrossSimParameters,
    args: tuple[Any, ...],
    names: dict[str, Any],
) -> None:
    """Arguments by position, in the order of ``_NAMES``, and by name."""
    kind = type(layer).__name__
    if len(args) > len(_NAMES):
        raise TypeError(f"{kind} takes params and up to {len(_NAMES)} arguments, {len(args)} were given")
    twice = set(_NAMES[: len(args)]) & set(names)
    if twice:
        raise TypeError(f"{kind}: {', '.join(sorted(twice))} was given by position and by name")
    given = {**dict(zip(_NAMES, args, strict=False)), **names}
    rows = given.pop("bias_rows", 0)
    given["device"] = place_for(checked(params), given.get("device"))
    base.__init__(layer, **given)
    layer._adopt(params, rows)


class AnalogConv1d(AnalogLayer, layers.AnalogConv1d):
    """``nn.Conv1d`` on arrays: ``params``, torch's arguments, ``bias_rows``."""

    def __init__(self, params: CrossSimParameters, *args: Any, **names: Any) -> None:
        _init(self, nn.Conv1d, params, args, names)


class AnalogConv2d(AnalogLayer, layers.AnalogConv2d):
    """``nn.Conv2d`` on arrays: ``params``, torch's arguments, ``bias_rows``. Dilation works.

    >>> from mho.compat.crosssim import CrossSimParameters
    >>> layer = AnalogConv2d(CrossSimParameters(), 3, 8, 3, dilation=2, bias_rows=1)
    >>> layer.get_matrix().shape
    torch.Size([8, 28])
    """

    def __init__(self, params: CrossSimParameters, *args: Any, **names: Any) -> None:
        _init(self, nn.Conv2d, params, args, names)


class AnalogConv3d(AnalogLayer, layers.AnalogConv3d):
    """``nn.Conv3d`` on arrays: ``params``, torch's arguments, ``bias_rows``."""

    def __init__(self, params: CrossSimParameters, *args: Any, **names: Any) -> None:
        _init(self, nn.Conv3d, params, args, names)
