"""Optimizers under aihwkit's names: torch's own, since weights here are ordinary Parameters."""

from __future__ import annotations

from typing import Any

from torch import nn, optim


class _Regrouped:
    """Has the method that scripts call."""

    def regroup_param_groups(self, model: nn.Module | None = None) -> None:
        """Nothing is left to do: analog weights are Parameters like all others."""


class AnalogSGD(_Regrouped, optim.SGD):
    """``torch.optim.SGD``."""


class AnalogAdam(_Regrouped, optim.Adam):
    """``torch.optim.Adam``."""


def AnalogOptimizer(optimizer_cls: type[optim.Optimizer], *args: Any, **names: Any) -> optim.Optimizer:
    """An optimizer of any class with ``regroup_param_groups``.

    Args:
        optimizer_cls: the class.
        args, names: its arguments. aihwkit-lightning's come after ``model.analog_layers``, which clips the
            weights after each step there; here the recipe of a layer does.
    """
    if args and callable(args[0]):
        args = args[1:]
    kind = type(f"Analog{optimizer_cls.__name__}", (_Regrouped, optimizer_cls), {})
    made: optim.Optimizer = kind(*args, **names)
    return made
