"""What training does to the weights of a Keras layer: the noise of :mod:`mho.training`, in the graph.

A recipe is the torch side's (:class:`mho.training.Recipe`). Noise that needs no device goes over; whatever
needs a parametrisation, a loop of its own or the physics of a device in each step is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mho.keras.random import Stream, normal
from mho.training import DropConnect, MultiplicativeNoise, Recipe, WeightNoise
from mho.training.base import Modifier

Tensor = Any  # of the backend


def check(recipe: Recipe) -> Recipe:
    """The recipe, or an error that names what Keras' layers cannot do of it."""
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is a {type(recipe).__name__}: give a mho.training.Recipe")
    if recipe.distillation is not None:
        raise ValueError(
            "recipe.distillation: keras trains with the loss of compile(); give it a loss of your own"
        )
    for modifier in recipe.modifiers:
        _check(modifier)
    return recipe


def _check(modifier: Modifier) -> None:
    name, known = type(modifier).__name__, ", ".join(kind.__name__ for kind in _KINDS)
    if type(modifier) not in _KINDS:
        raise ValueError(f"recipe has {name}(...), which mho.keras does not have: choose among {known}")
    if isinstance(modifier, WeightNoise) and (modifier.each != "batch" or modifier.relative_to == "range"):
        raise ValueError(
            f"recipe has {modifier!r}: mho.keras has each = 'batch' and relative_to = 'tensor' or 'column'"
        )


def modified(recipe: Recipe, weight: Tensor, step: Tensor, stream: Stream) -> Tensor:
    """The weights that one training forward uses, without gradient.

    Args:
        recipe: what is done.
        weight: a canonical kernel, columns last.
        step: number of training forwards before this one.
        stream: of fresh noise.
    """
    weight = ops.stop_gradient(weight)
    for modifier in recipe.modifiers:
        weight = _KINDS[type(modifier)](modifier, weight, step, stream)
    return weight


def _ramp(steps: int, step: Tensor) -> Tensor | float:
    """A factor that rises from 0 to 1 over the first training forwards."""
    return ops.minimum(ops.cast(step, "float32") / steps, 1.0) if steps else 1.0


def _weight_noise(how: Any, weight: Tensor, step: Tensor, stream: Stream) -> Tensor:
    axes = tuple(range(len(weight.shape) - 1)) if how.relative_to == "column" else None
    largest = ops.max(ops.abs(weight), axis=axes, keepdims=axes is not None)
    return weight + normal(weight, stream) * (largest * (how.std * _ramp(how.ramp_steps, step)))


def _multiplicative(how: Any, weight: Tensor, step: Tensor, stream: Stream) -> Tensor:
    return weight + normal(weight, stream) * (weight * (how.std * _ramp(how.ramp_steps, step)))


def _drop_connect(how: Any, weight: Tensor, step: Tensor, stream: Stream) -> Tensor:
    drawn = keras.random.uniform(ops.shape(weight), dtype="float32", seed=stream.draw())
    return ops.where(drawn >= how.p, weight, 0.0)


_KINDS: dict[type[Modifier], Callable[[Any, Tensor, Tensor, Stream], Tensor]] = {
    WeightNoise: _weight_noise,
    MultiplicativeNoise: _multiplicative,
    DropConnect: _drop_connect,
}
