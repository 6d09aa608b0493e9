"""A recipe: what happens to the layers of a model while it trains.

A recipe attaches to a converted model and detaches again. The optimizer and the loop stay the user's.
"""

from __future__ import annotations

import os

import torch
from pydantic import InstanceOf
from torch import nn

from mho import config as _config
from mho.config import config
from mho.errors import ConfigError
from mho.nn import Crossbar, crossbars
from mho.training.base import Modifier, holder, unlearn
from mho.training.distill import Distillation


@config
class Recipe:
    """A frozen list of modifiers, applied in order, and what to learn from a teacher.

    Attributes:
        modifiers: what is done to each analog layer in training mode.
        distillation: the loss that goes with them, for the training loop; None for the plain one.

    >>> from mho.training import DropConnect, WeightNoise
    >>> recipe = Recipe(modifiers=(WeightNoise(std=0.05, ramp_steps=100), DropConnect(p=0.01)))
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    modifiers: tuple[InstanceOf[Modifier], ...] = ()
    distillation: Distillation | None = None

    def to_json(self) -> str:
        """This recipe as JSON."""
        return _config.to_json(self)

    @staticmethod
    def from_json(text: str) -> Recipe:
        """The recipe that :meth:`to_json` wrote; ``ConfigError`` for an unknown key or value."""
        return _recipe(_config.from_json(text))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a ``.json``, ``.yaml`` or ``.yml`` file, whole or not at all."""
        _config.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recipe:
        """Read what :meth:`save` wrote."""
        return _recipe(_config.load(path))


def _recipe(value: object) -> Recipe:
    if not isinstance(value, Recipe):
        raise ConfigError(f"this describes a {type(value).__name__}, not a Recipe")
    return value


def attach(model: nn.Module, recipe: Recipe) -> None:
    """Let the recipe act on all analog layers of a model in training mode; replaces an earlier one.

    The count of training forwards, which ramps use, starts at 0 and is saved in ``state_dict``. Learned
    clips and scales add Parameters: attach before you make the optimizer.

    Raises:
        TypeError: not a recipe, or a modifier needs a weight that is a plain Parameter.
        ValueError: no analog layer, or a modifier cannot act on a layer; then none is attached.

    >>> import mho
    >>> analog = mho.convert(nn.Linear(4, 2), mho.Hardware())
    >>> attach(analog, Recipe(modifiers=(mho.training.WeightNoise(std=0.05),)))
    >>> detach(analog)
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is a {type(recipe).__name__}: give a mho.training.Recipe")
    layers = crossbars(model)
    detach(model, fold=any(layer.modifiers for layer in layers.values()))
    try:
        for layer in layers.values():
            layer.modifiers = recipe.modifiers
            layer.training_step = torch.zeros((), dtype=torch.int64, device=layer.weight.device)
            for modifier in recipe.modifiers:
                modifier.begin(layer)
        _refuse_ties(model, layers)
    except BaseException:
        detach(model)
        raise


def detach(model: nn.Module, fold: bool = True) -> None:
    """Take the recipe away; training mode is the clean layer again.

    The model is as it was before :func:`attach`: the same Parameters and ``state_dict`` keys.

    Args:
        model: with or without a recipe.
        fold: multiply learned scales into the weights, and clip the weights at learned limits. False
            leaves both on the weights as parametrisations, still trained; a later ``attach`` of a recipe
            with them goes on from there, and ``detach`` folds them.
    """
    for layer in reversed(crossbars(model).values()):  # in this order the Parameters get theirs back
        for modifier in layer.modifiers:
            modifier.end(layer)
        if fold:
            unlearn(layer)
        layer.modifiers = ()
        layer.training_step = None


def _refuse_ties(model: nn.Module, layers: dict[str, Crossbar]) -> None:
    """A learned scale is on the weight of one module: another that shares the Parameter would not have it."""
    shared: dict[int, set[tuple[int, str]]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        above, _, name = path.rpartition(".")
        shared.setdefault(id(parameter), set()).add((id(model.get_submodule(above)), name))
    for path, layer in layers.items():
        module, name = holder(layer)
        tables = getattr(module, "parametrizations", {})
        originals = tables[name].parameters(recurse=False) if name in tables else ()
        if any(len(shared[id(original)]) > 1 for original in originals):
            raise ValueError(
                f"the weight of {path!r} is shared with another layer: learned scales and clips act on one "
                "layer only; untie the weights, or leave OutputScale and LearnedClip out of the recipe"
            )
