"""Cells with a finite number of stable conductances."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Siemens, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect
from mho.devices.ideal import Ideal

Several = Annotated[int, Field(ge=2, le=2**20)]  # cells with more states are as good as continuous


class StateSet(ABC):
    """The conductances that a cell can hold.

    In a set of your own, cells with bounds of their own hold the states that lie between these. In an
    :class:`EvenStates` each of them has all states, between its own bounds.
    """

    @abstractmethod
    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """The states of a cell with these bounds, siemens, rising.

        Raises:
            ValueError: there are no such states between these bounds.
        """


class EvenStates(StateSet):
    """States at even distances on a scale, both bounds included."""

    count: Several

    @abstractmethod
    def place(self, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Where ``g`` lies on the scale from ``low`` to ``high``: 0 to 1."""

    @abstractmethod
    def at(self, place: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The conductance at a place on the scale."""

    def nearest(self, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Each cell's nearest state between its own bounds, of two the lower one; all in siemens."""
        steps = self.count - 1
        below = (self.place(g, low, high) * steps).floor().nan_to_num(0.0).clamp(0, steps - 1)
        a, b = (self.at(k / steps, low, high).clamp(low, high) for k in (below, below + 1))
        return torch.where(g > (a + b) / 2, b, a)


@config
class UniformG(EvenStates):
    """States at even distances in conductance, both bounds included.

    >>> UniformG(count=3).values(0.0, 2e-5)
    (0.0, 1e-05, 2e-05)
    """

    count: Several

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """``g_min + k (g_max - g_min) / (count - 1)``."""
        return _line(g_min, g_max, self.count)

    def place(self, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line."""
        return (g - low) / (high - low)

    def at(self, place: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line."""
        return low + place * (high - low)


@config
class UniformR(EvenStates):
    """States at even distances in resistance, both bounds included.

    >>> [round(1 / g) for g in UniformR(count=3).values(1e-5, 1e-4)]
    [100000, 55000, 10000]
    """

    count: Several

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """``1 / (r_max - k (r_max - r_min) / (count - 1))``."""
        _positive(self, g_min)
        return (g_min, *(1 / r for r in _line(1 / g_min, 1 / g_max, self.count)[1:-1]), g_max)

    def place(self, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line of resistances."""
        return (1 / low - 1 / g) / (1 / low - 1 / high)

    def at(self, place: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line of resistances."""
        return 1 / (1 / low - place * (1 / low - 1 / high))


@config
class Logarithmic(EvenStates):
    """States at even ratios, both bounds included.

    >>> [f"{g:.2g}" for g in Logarithmic(count=3).values(1e-6, 1e-4)]
    ['1e-06', '1e-05', '0.0001']
    """

    count: Several

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """``g_min (g_max / g_min)^(k / (count - 1))``."""
        _positive(self, g_min)
        inner = (math.exp(x) for x in _line(math.log(g_min), math.log(g_max), self.count)[1:-1])
        return (g_min, *inner, g_max)

    def place(self, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line of logarithms."""
        return (g / low).log() / (high / low).log()

    def at(self, place: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """On a line of logarithms."""
        return low * (high / low) ** place


@config
class Measured(StateSet):
    """Measured states, as they are; ``mho.mapping.measured_states()`` has those of a real memristor.

    Attributes:
        g: conductances, siemens, in any order; equal ones count once.
    """

    g: tuple[Siemens, ...]

    def validate(self) -> None:
        """At least two different ones."""
        if len(set(self.g)) < 2:
            raise ValueError(f"g = {self.g!r}: give at least two different conductances, in siemens")

    def values(self, g_min: float, g_max: float) -> tuple[float, ...]:
        """The list, rising."""
        return tuple(sorted(set(self.g)))


@config
class FiniteStates(Effect):
    """A cell that rests in the nearest of a finite number of stable conductances after programming.

    The error of programming comes first: it decides which state is the nearest. Halfway between two
    states a cell takes the lower one. Drift and read noise of the device inside act on the state.

    Cells inside that have bounds of their own (:class:`OwnBounds`) have their states between these; of a
    measured list, those that lie between them (a cell with none of them keeps what was written).

    Attributes:
        device: the device inside.
        states: ``UniformG``, ``UniformR``, ``Logarithmic`` or ``Measured``.

    Example:
        >>> import torch
        >>> cell = FiniteStates(states=UniformG(count=5))
        >>> cell.aged(torch.tensor([7e-6]), torch.empty(0, 1), 0.0)
        tensor([6.2500e-06])
    """

    device: InstanceOf[Device] = Ideal()
    states: InstanceOf[StateSet]

    def check_inside(self) -> None:
        """The states exist between the bounds of the device."""
        self.states.values(self.g_min, self.g_max)

    def settled(self, g: Tensor, own: Tensor) -> Tensor:
        """The nearest state of the cell."""
        if self._bounds is not None and isinstance(self.states, EvenStates):
            return self.states.nearest(g, *self._bounds)
        states, midpoints = (
            torch.tensor(v, dtype=torch.float64, device=g.device).to(g.dtype)
            for v in _table(self.states, self.g_min, self.g_max, g.dtype)
        )
        index = torch.bucketize(g.contiguous(), midpoints)
        return states[index] if self._bounds is None else _between(states, index, g, *self._bounds)


def _between(states: Tensor, index: Tensor, g: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The nearest of those states that lie between a cell's own bounds; ``g`` where there is none."""
    first = torch.bucketize(low.contiguous(), states)
    last = torch.bucketize(high.contiguous(), states, right=True) - 1
    index = torch.minimum(torch.maximum(index, first), last).clamp(0, len(states) - 1)
    return torch.where(first <= last, states[index], g)


@functools.lru_cache(maxsize=64)
def _table(
    states: StateSet, g_min: float, g_max: float, dtype: torch.dtype
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The states, and the largest conductance that goes to the lower one of two neighbours."""
    values = torch.tensor(states.values(g_min, g_max), dtype=torch.float64)
    held = values.to(dtype).double()
    middle = (held[1:] + held[:-1]) / 2
    rounded = middle.to(dtype)
    below = torch.nextafter(rounded, torch.full_like(rounded, -math.inf))
    rounded = torch.where(rounded.double() > middle, below, rounded)
    return tuple(values.tolist()), tuple(rounded.double().tolist())


def _line(first: float, last: float, count: int) -> tuple[float, ...]:
    inner = (first + k * (last - first) / (count - 1) for k in range(1, count - 1))
    return (first, *inner, last)


def _positive(states: StateSet, g_min: float) -> None:
    if not g_min > 0:
        raise ValueError(
            f"g_min = {g_min!r} S: {type(states).__name__} needs a lowest conductance above 0; give the "
            "device one, or take UniformG"
        )
