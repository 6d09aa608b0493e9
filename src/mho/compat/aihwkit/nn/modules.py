"""Layers that take a configuration of aihwkit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from mho import nn as layers
from mho.compat.aihwkit._recipe import recipe
from mho.compat.aihwkit._verbs import Analog
from mho.foreign.aihwkit.configs import InferenceRPUConfig
from mho.hardware import Hardware
from mho.training import attach


class AnalogSequential(Analog, nn.Sequential):
    """``nn.Sequential`` with aihwkit's verbs."""


class _Configured(Analog):
    """A layer that is described by a configuration."""

    weight: Tensor

    def _adopt(self: Any, rpu_config: Any, ignore: Collection[str]) -> None:
        config = InferenceRPUConfig() if rpu_config is None else rpu_config
        hardware, rows = described(config, self.weight, ignore)
        self.setup(hardware, rows if self.bias is not None else 0)
        self.rpu_config = config
        attach(self, recipe(config, ignore))


def described(rpu_config: Any, weight: Tensor, ignore: Collection[str] = ()) -> tuple[Hardware, int]:
    """The arrays of a layer with this weight, and the rows of its bias."""
    largest = float(weight.detach().abs().max()) or 1.0
    analog_bias = not getattr(rpu_config.mapping, "digital_bias", True)
    return Hardware.from_aihwkit(rpu_config, largest, ignore), int(analog_bias)


class AnalogLinear(_Configured, layers.AnalogLinear):
    """``nn.Linear`` on arrays.

    Args:
        in_features, out_features, bias: as in ``nn.Linear``.
        rpu_config: an inference configuration; None for the default one.
        ignore: options that may be left out, such as ``["forward.ir_drop"]``.

    >>> import torch
    >>> from mho.compat.aihwkit.simulator.configs import BoundManagementType, InferenceRPUConfig
    >>> config = InferenceRPUConfig()
    >>> config.forward.bound_management = BoundManagementType.NONE
    >>> layer = AnalogLinear(4, 2, rpu_config=config).eval()
    >>> layer.drift_analog_weights(3600.0)
    >>> layer(torch.ones(1, 4)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rpu_config: Any = None,
        *, ignore: Collection[str] = (),
    ) -> None:  # fmt: skip
        nn.Linear.__init__(self, in_features, out_features, bias)
        self._adopt(rpu_config, ignore)


class AnalogConv1d(_Configured, layers.AnalogConv1d):
    """``nn.Conv1d`` on arrays; arguments as there, ``rpu_config`` and ``ignore``."""

    def __init__(
        self, *args: Any, rpu_config: Any = None, ignore: Collection[str] = (), **names: Any
    ) -> None:
        nn.Conv1d.__init__(self, *args, **names)
        self._adopt(rpu_config, ignore)


class AnalogConv2d(_Configured, layers.AnalogConv2d):
    """``nn.Conv2d`` on arrays; arguments as there, ``rpu_config`` and ``ignore``."""

    def __init__(
        self, *args: Any, rpu_config: Any = None, ignore: Collection[str] = (), **names: Any
    ) -> None:
        nn.Conv2d.__init__(self, *args, **names)
        self._adopt(rpu_config, ignore)


class AnalogConv3d(_Configured, layers.AnalogConv3d):
    """``nn.Conv3d`` on arrays; arguments as there, ``rpu_config`` and ``ignore``."""

    def __init__(
        self, *args: Any, rpu_config: Any = None, ignore: Collection[str] = (), **names: Any
    ) -> None:
        nn.Conv3d.__init__(self, *args, **names)
        self._adopt(rpu_config, ignore)
