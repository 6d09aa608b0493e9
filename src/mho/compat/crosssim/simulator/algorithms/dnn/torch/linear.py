"""The linear layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from mho import nn as layers
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer, checked, place_for
from mho.compat.crosssim.simulator.parameters import CrossSimParameters


class AnalogLinear(AnalogLayer, layers.AnalogLinear):
    """``nn.Linear`` on arrays, with CrossSim's interface.

    Args:
        params: the parameters; the layer keeps a copy.
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias.

    >>> import torch
    >>> from mho.compat.crosssim import CrossSimParameters
    >>> layer = AnalogLinear(CrossSimParameters(), 2, 3, bias_rows=1)
    >>> layer.get_matrix().shape
    torch.Size([3, 3])
    """

    def __init__(
        self,
        params: CrossSimParameters,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        bias_rows: int = 0,
    ) -> None:
        place = place_for(checked(params), device)
        nn.Linear.__init__(self, in_features, out_features, bias, place, dtype)
        self._adopt(params, bias_rows)
