"""Convolutions."""

from __future__ import annotations

from typing import Any

from torch import nn

from mho import nn as layers
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer, checked, place_for
from mho.compat.crosssim.simulator.parameters import CrossSimParameters


def _init(
    layer: Any, base: type[nn.Module], params: CrossSimParameters, bias_rows: int, args: Any, names: Any
) -> None:
    checked(params)
    device = args[9] if len(args) > 9 else names.pop("device", None)  # in_channels is the first one
    place = place_for(params, device)
    if len(args) > 9:
        args = (*args[:9], place, *args[10:])
    else:
        names["device"] = place
    base.__init__(layer, *args, **names)
    layer._adopt(params, bias_rows)


class AnalogConv1d(AnalogLayer, layers.AnalogConv1d):
    """``nn.Conv1d`` on arrays: ``params``, torch's arguments, ``bias_rows``."""

    def __init__(self, params: CrossSimParameters, *args: Any, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv1d, params, bias_rows, args, names)


class AnalogConv2d(AnalogLayer, layers.AnalogConv2d):
    """``nn.Conv2d`` on arrays: ``params``, torch's arguments, ``bias_rows``. Dilation works.

    >>> from mho.compat.crosssim import CrossSimParameters
    >>> layer = AnalogConv2d(CrossSimParameters(), 3, 8, 3, dilation=2, bias_rows=1)
    >>> layer.get_matrix().shape
    torch.Size([8, 28])
    """

    def __init__(self, params: CrossSimParameters, *args: Any, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv2d, params, bias_rows, args, names)


class AnalogConv3d(AnalogLayer, layers.AnalogConv3d):
    """``nn.Conv3d`` on arrays: ``params``, torch's arguments, ``bias_rows``."""

    def __init__(self, params: CrossSimParameters, *args: Any, bias_rows: int = 0, **names: Any) -> None:
        _init(self, nn.Conv3d, params, bias_rows, args, names)
