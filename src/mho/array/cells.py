"""Arrays whose cells obey no Ohm's law: the current depends on how high a voltage the input is.

Conductances of devices are those at the read voltage, the full-scale input: a cell of conductance ``G``
carries ``G v_read`` there, whatever its law. Smaller inputs are smaller voltages, and carry what the law
says. An array whose inputs are the lengths or the numbers of pulses at ``v_read`` is therefore linear: take
``Ideal()`` for it, or a DAC that streams single bits.

The wires have no resistance here; :func:`mho.array.solve_nonlinear` solves single networks with both.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.array.base import Array, Spans
from mho.array.nonlinear import Law
from mho.config import Count, NonNegative, config

M = TypeVar("M")
AT_ONCE = 2**16  # currents that are computed together, at most
CLOSE = 2**-47  # how well an estimate of a law is trusted, relative


class NonlinearCells(Array):
    """Cells with a current-voltage law.

    Where the law of all cells has one shape, ``i = f(G) h(v)``, it is a transformation of the inputs and
    costs next to nothing. Else the currents of all cells are computed for ``points`` voltages of each sign
    when the chip is packed, and a read adds one product for each: exact for a DAC with as many codes,
    linear between the points for others. Cells in rows of a bias are driven in proportion. The rows of an
    embedding are on at the read voltage, or off: there no law is felt.

    Attributes:
        points: voltages of each sign.
    """

    points: Count

    def effective_conductance(self, g: Tensor) -> Tensor:
        """``g``: that of a full-scale input."""
        return g

    def effective_tiles(
        self, g: Tensor, rows: Spans, columns: Spans, analog: Sequence[Sequence[float]]
    ) -> Tensor:
        """``g``: that of full-scale inputs."""
        return g

    def check_drivers(self, errors: tuple[float, float] | None) -> None:
        """Cells without Ohm's law need to know the voltage of an input."""
        name = type(self).__name__
        if errors is None:
            raise ValueError(
                f"array = {name}(...) with dac = None: a law needs the voltage of each input; give a DAC, "
                "whose full scale is the read voltage (DAC(bits=None) does not round)"
            )
        if any(errors):
            raise ValueError(
                f"dac.gain = {errors[0]!r}, dac.offset = {errors[1]!r}: errors of drivers are part of a "
                f"linear matrix and have no place beside {name}; leave them at 0"
            )

    @property
    def separable(self) -> bool:
        """Whether all cells have one shape of law."""
        return False

    @property
    def voltages(self) -> tuple[float, ...]:
        """The read voltage alone, or ``points`` of each sign; nothing flows at 0."""
        if self.separable:
            return (1.0,)
        n = self.points
        return tuple(k / n for k in range(-n, n + 1) if k)

    def driven(self, v: Tensor, high: float, v_read: float) -> Tensor:
        """Shaped by the law, if all cells have one shape."""
        return self.shape(v / high, v_read) * high if self.separable else v

    @abstractmethod
    def check(self, g_min: float, g_max: float, v_read: float) -> None:
        """Raise ``ValueError`` if cells with these bounds at this read voltage cannot have the law."""

    @abstractmethod
    def chords(self, g: Tensor, places: Sequence[float], v_read: float) -> Iterator[Tensor]:
        """Currents at the voltages ``places * v_read`` over ``v_read``, siemens, one after the other.

        Args:
            g: conductance at ``v_read``, siemens, any shape.
            places: voltages over the read voltage, from -1 to 1.
            v_read: read voltage, volts.
        """

    def at_temperature(self, kelvin: float | None) -> NonlinearCells:
        """The cells in a chip of this temperature; None where no effect of the device says one."""
        return self

    def shape(self, u: Tensor, v_read: float) -> Tensor:
        """``h(u v_read) / h(v_read)`` of a separable law."""
        raise TypeError(f"{type(self).__name__} has no shape common to all cells")


@config
class Nonlinear(NonlinearCells):
    """Cells with a given law: ``Sinh``, ``Polynomial``, ``Table``, ``Series`` or your own.

    Attributes:
        law: the law of a cell, scaled by its conductance.
        points: voltages of each sign at which a law with a selector in ``Series`` is computed.

    Example:
        >>> import mho
        >>> hardware = mho.Hardware(
        ...     array=mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1)),
        ...     dac=mho.DAC(bits=8, range=mho.converters.Fixed(limit=1.0)),
        ... )
        >>> layer = mho.nn.AnalogLinear(1, 1, bias=False, hardware=hardware)
        >>> with torch.no_grad():
        ...     full, half = layer(torch.tensor([[1.0]])), layer(torch.tensor([[64 / 127]]))
        >>> round(float(half / full), 3)  # sinh(1.008) / sinh(2)
        0.327
    """

    law: InstanceOf[Law]
    points: Count = 127

    @property
    def separable(self) -> bool:
        """Whether the law is a multiple of the conductance."""
        return self.law.separable

    def check(self, g_min: float, g_max: float, v_read: float) -> None:
        """The law must reach the current of the best conducting cell."""
        if not self.separable:
            self._small_signal(torch.tensor([g_max], dtype=torch.float64), v_read)

    def chords(self, g: Tensor, places: Sequence[float], v_read: float) -> Iterator[Tensor]:
        """Of the cells that the law gives the current ``g v_read`` at the read voltage."""
        state = self._small_signal(g, v_read)
        together = max(1, AT_ONCE // max(1, g.numel()))
        for first in range(0, len(places), together):
            volts = g.new_tensor([place * v_read for place in places[first : first + together]])
            v = volts.reshape(-1, *(1,) * g.dim()).expand(-1, *g.shape)
            yield from self.law.current(v, state.expand_as(v)) / v_read

    def shape(self, u: Tensor, v_read: float) -> Tensor:
        """Of the law."""
        full = self.law.current(u.new_full((1,), v_read), u.new_ones(1))
        return self.law.current(u * v_read, torch.ones_like(u)) / full

    def _small_signal(self, g: Tensor, v_read: float) -> Tensor:
        """The law's own conductance of cells whose current at ``v_read`` is ``g v_read``, to the last bit."""
        v, wide = torch.full_like(g, v_read, dtype=torch.float64), g.double()
        low, high = torch.zeros_like(wide), wide.clone()
        for _ in range(60):
            short = self.law.current(v, high) < wide * v
            if not bool(short.any()):
                break
            high = torch.where(short, 2 * high, high)
        if bool((self.law.current(v, high) < wide * v * (1 - 1e-9)).any()):
            raise ValueError(
                f"law = {self.law!r}: no cell carries {float(wide.max() * v_read):.3g} A at {v_read:g} V; "
                "give the device a smaller g_max, or the selector a larger conductance"
            )
        low, high = self._narrowed(v, wide * v, low, high)
        for _ in range(80):
            middle = (low + high) / 2
            if bool(((middle == low) | (middle == high)).all()):
                break
            below = self.law.current(v, middle) < wide * v
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).to(g.dtype)

    def _narrowed(self, v: Tensor, current: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of a few bits around what the law estimates, if it is there; bisection does the rest."""
        near = self.law.estimate(v, current)
        if near is None:
            return low, high
        for bound in (near * (1 - CLOSE), near * (1 + CLOSE)):
            inside, below = (bound > low) & (bound < high), self.law.current(v, bound) < current
            low = torch.where(inside & below, bound, low)
            high = torch.where(inside & ~below, bound, high)
        return low, high


@runtime_checkable
class Switching(Protocol):
    """What a switching model must have; those of ``mho.devices.dynamics`` have it."""

    @property
    def g_min(self) -> float:
        """Lowest conductance, siemens."""

    @property
    def g_max(self) -> float:
        """Highest conductance, siemens."""

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Current, amperes."""

    def state_of(self, conductance: Tensor) -> Tensor:
        """State with that conductance at the model's read voltage."""

    def step(self, state: Tensor, voltage: Tensor, dt: float) -> Tensor:
        """State after one pulse of constant voltage."""


def warmed(model: M, kelvin: float | None) -> M:
    """A model at another ambient temperature; itself where it has none, or none is given."""
    if kelvin is None or not hasattr(model, "t_ambient"):
        return model
    made = copy.copy(model)
    object.__setattr__(made, "t_ambient", kelvin)
    return made


@config
class Simulated(NonlinearCells):
    """Each cell is a switching model that is simulated during the read.

    A read drives every cell from its programmed state with one pulse of the input's voltage; the current is
    the mean over the pulse. The state goes back afterwards: a read leaves no trace in the chip. Full-scale
    inputs are simulated as all others are; where they move the state much, they carry more or less than
    ``G v_read``.

    Attributes:
        model: a model of ``mho.devices.dynamics`` whose ``v_read`` is the device's.
        pulse: length of the read pulse, seconds; 0 for the current at the programmed state.
        steps: parts of the pulse at whose ends the current is taken.
        points: voltages of each sign that are simulated.
    """

    model: InstanceOf[Switching]
    pulse: NonNegative = 0.0
    steps: Count = 4
    points: Count = 127

    def check(self, g_min: float, g_max: float, v_read: float) -> None:
        """The model has the device's read voltage, and its conductances."""
        own = getattr(self.model, "v_read", v_read)
        if own != v_read:
            raise ValueError(
                f"model.v_read = {own!r} V and device.v_read = {v_read!r} V: conductances belong to one read "
                "voltage; give both the same"
            )
        self.model.state_of(torch.tensor([g_min, g_max], dtype=torch.float64))

    def at_temperature(self, kelvin: float | None) -> Simulated:
        """With the chip's temperature as the ambient one of the model, where that has one."""
        return dataclasses.replace(self, model=warmed(self.model, kelvin))

    def chords(self, g: Tensor, places: Sequence[float], v_read: float) -> Iterator[Tensor]:
        """The mean currents of the pulses over ``v_read``; cells beyond the model's bounds are at them."""
        state = self.model.state_of(g.double().clamp(self.model.g_min, self.model.g_max))
        for place in places:
            yield self._mean_current(state, place * v_read).to(g.dtype) / v_read

    def _mean_current(self, state: Tensor, voltage: float) -> Tensor:
        """Of one pulse, amperes, by the trapezoidal rule."""
        v = torch.full_like(state, voltage)
        current = self.model.current(v, state)
        if self.pulse > 0:
            current = current / 2
            for k in range(self.steps):
                state = self.model.step(state, v, self.pulse / self.steps)
                current = current + self.model.current(v, state) * (0.5 if k == self.steps - 1 else 1.0)
            current = current / self.steps
        return current
