"""A recipe: what happens to the layers of a model while it trains.

A recipe attaches to a converted model and detaches again. The optimizer and the loop stay the user's.
"""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import nn

from mho.config import config
from mho.nn import analog_layers
from mho.training.base import Modifier


@config
class Recipe:
    """A frozen list of modifiers, applied in order.

    Attributes:
        modifiers: what is done to the weights of each analog layer in training mode.
    """

    modifiers: tuple[InstanceOf[Modifier], ...] = ()


def attach(model: nn.Module, recipe: Recipe) -> None:
    """Let the recipe act on all analog layers of a model in training mode; replaces an earlier one.

    The count of training forwards, which ramps use, starts at 0 and is saved in ``state_dict``.

    Raises:
        TypeError: not a recipe.
        ValueError: no analog layer.

    >>> import mho
    >>> analog = mho.convert(nn.Linear(4, 2), mho.Hardware())
    >>> attach(analog, Recipe(modifiers=(mho.training.WeightNoise(std=0.05),)))
    >>> detach(analog)
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is a {type(recipe).__name__}: give a mho.training.Recipe")
    for layer in analog_layers(model).values():
        layer.modifiers = recipe.modifiers
        layer.training_step = torch.zeros((), dtype=torch.int64, device=layer.weight.device)


def detach(model: nn.Module) -> None:
    """Take the recipe away; training mode is the clean layer again."""
    for layer in analog_layers(model).values():
        layer.modifiers = ()
        layer.training_step = None
