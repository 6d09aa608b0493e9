"""The stream of fresh noise of an array: read noise, noise of converters and of training.

Keras' random numbers are stateless: a :class:`keras.random.SeedGenerator` counts the calls, and its count
is a variable of the layer. Keras does not save it, so the array does. Inside the loop of a recurrent layer
nothing may count: there each step has seeds of its own, made from one that was drawn before the loop.
"""

from __future__ import annotations

from typing import Any, Protocol

import keras
from keras import ops

Tensor = Any  # of the backend
_STEPS = 1 << 15  # numbers of draws within one loop


class Stream(Protocol):
    """Where seeds come from."""

    def draw(self) -> Any:
        """What ``keras.random`` takes as ``seed``."""


class Counted:
    """Seeds of a generator, which counts them."""

    def __init__(self, generator: keras.random.SeedGenerator) -> None:
        self._generator = generator

    def draw(self) -> Any:
        """The generator itself."""
        return self._generator


class _Given(keras.random.SeedGenerator):
    """A seed that is known; it has no state."""

    def __init__(self, seed: Tensor) -> None:
        self._seed = seed

    def next(self, ordered: bool = True) -> Tensor:
        """The seed."""
        return self._seed


class InLoop:
    """Seeds of one step of a loop, drawn from one seed of the whole loop.

    Args:
        seed: of the loop, ``[2]``.
        step: number of the step, a number.
    """

    def __init__(self, seed: Tensor, step: Tensor) -> None:
        self._seed, self._step, self._drawn = seed, step, 0

    def draw(self) -> Any:
        """Another seed."""
        place = ops.cast(self._step, self._seed.dtype) * 4 + self._drawn % 4
        self._drawn += 1
        return _Given(ops.stack([self._seed[0], self._seed[1] * _STEPS + place]))


def normal(like: Tensor, stream: Stream) -> Tensor:
    """Fresh standard normal draws in the shape of ``like``, float32."""
    return keras.random.normal(ops.shape(like), dtype="float32", seed=stream.draw())


def noisy(values: Tensor, std: float | Tensor, stream: Stream) -> Tensor:
    """Values with normal noise; a standard deviation of the number zero draws nothing."""
    if isinstance(std, (int, float)) and not std:
        return values
    return values + normal(values, stream) * std
