"""The verbs of aihwkit on layers and models: program and drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from mho import lifecycle
from mho.compat.aihwkit._recipe import compensation
from mho.errors import ConfigError
from mho.nn import AnalogLayer, Crossbar, crossbars


class Analog(nn.Module):
    """What a layer or a model can do; a mixin, or mixed into a model that was converted.

    Attributes:
        rpu_config: the configuration that it was made with; None of a model whose layers have theirs.
    """

    rpu_config: Any

    def program_analog_weights(self: nn.Module, noise_model: Any = None) -> None:
        """Program one chip, with a seed from torch's generator.

        Args:
            noise_model: as in the configuration; another one belongs there before the model is made.

        Raises:
            ConfigError: another noise model than that of the configuration.
        """
        given = [layer.rpu_config.noise_model for layer in _configured(self)]
        if noise_model is not None and any(noise_model != model for model in given):
            raise ConfigError(
                f"noise_model = {type(noise_model).__name__}(...): the arrays were made with another one; "
                "set rpu_config.noise_model and make or convert the model again"
            )
        lifecycle.program(self, int(torch.randint(2**31, ()).item()))

    def drift_analog_weights(self: nn.Module, t_inference: float = 0.0) -> None:
        """Let the chip drift to ``t_inference`` seconds after programming, and compensate as configured.

        The first call after training programs the chip.
        """
        if any(not array.is_programmed or array.is_stale() for array in crossbars(self).values()):
            Analog.program_analog_weights(self)
        lifecycle.age(self, float(t_inference))
        for layer in _configured(self):
            method = compensation(layer.rpu_config)
            if method is not None:
                lifecycle.compensate(layer, method)

    def load_state_dict(self: nn.Module, *args: Any, load_rpu_config: bool = False, **names: Any) -> Any:
        """Parameters and chip from a ``state_dict`` of this kind of model; the rest as in torch.

        Args:
            args, names: as of ``torch.nn.Module.load_state_dict``.
            load_rpu_config: False: the configuration is that of the model.

        Raises:
            ConfigError: True, since no configuration is in a ``state_dict`` here.
        """
        if load_rpu_config:
            raise ConfigError(
                "load_rpu_config = True: a state_dict holds no configuration here; make or convert the model "
                "with the one that it had, and leave it False"
            )
        return nn.Module.load_state_dict(self, *args, **names)

    def named_analog_layers(self: nn.Module) -> Iterator[tuple[str, AnalogLayer]]:
        """The analog layers with their paths."""
        return ((path, module) for path, module in self.named_modules() if isinstance(module, AnalogLayer))

    def analog_layers(self: nn.Module) -> Iterator[AnalogLayer]:
        """The analog layers."""
        return (module for module in self.modules() if isinstance(module, AnalogLayer))

    def analog_tiles(self: nn.Module) -> Iterator[Crossbar]:
        """The arrays: one for each matrix, whatever the number of tiles that it lies in."""
        return iter(crossbars(self).values())


VERBS = (
    "program_analog_weights", "drift_analog_weights", "analog_layers", "named_analog_layers", "analog_tiles",
    "load_state_dict",
)  # fmt: skip


class Verb:
    """One of these verbs as an attribute of a converted model: it is copied and pickled with the model."""

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name, self.model = name, model

    def __call__(self, *args: Any, **names: Any) -> Any:
        return getattr(Analog, self.name)(self.model, *args, **names)


def _configured(model: nn.Module) -> list[Any]:
    """The layers that hold a configuration."""
    layers = (module for module in model.modules() if isinstance(module, AnalogLayer))
    return [layer for layer in layers if getattr(layer, "rpu_config", None) is not None]
