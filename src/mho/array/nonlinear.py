"""Current-voltage laws of cells that are not ohmic.

A law gives the current of a cell from its voltage and its state, elementwise. The state is the
small-signal conductance for the laws here; any object with ``current(v, state)`` is a law, for example a
switching model of ``mho.devices.dynamics`` with the state of its cells.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Protocol

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.autograd import in_transform
from mho.config import Finite, Positive, config


class HasCurrent(Protocol):
    """What a law must have."""

    def current(self, v: Tensor, x: Tensor, /) -> Tensor:
        """Current at voltage ``v`` in state ``x``."""


class Law(ABC):
    """A monotonic current-voltage law scaled by the cell's conductance."""

    separable: ClassVar[bool] = False
    """Whether the current is the conductance times a function of the voltage alone."""

    @abstractmethod
    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """Current, amperes, of cells of small-signal conductance ``g`` (siemens) at ``v`` (volts)."""

    @abstractmethod
    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """Derivative of the current by the voltage, siemens."""

    def estimate(self, v: Tensor, current: Tensor) -> Tensor | None:
        """About the conductance of cells that carry a current at ``v``; None where it must be searched for.

        It saves steps of the search and decides nothing: what is wrong is found to be wrong.
        """
        return None


def slope(law: HasCurrent, v: Tensor, state: Tensor) -> Tensor:
    """Differential conductance of any law: its own ``slope`` or, without one, by autograd."""
    if isinstance(law, Law):
        return law.slope(v, state)
    with torch.enable_grad():
        if in_transform():
            total, back = torch.func.vjp(lambda at: law.current(at, state), v)[:2]
            found: Tensor = back(torch.ones_like(total))[0]
            return found
        at = v.detach().requires_grad_()
        total = law.current(at, state.detach()).sum()
        return torch.autograd.grad(total, at)[0]


@config
class Ohmic(Law):
    """``i = g v``."""

    separable: ClassVar[bool] = True

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """``g v``."""
        return g * v

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """``g``."""
        return g.expand_as(v)


@config
class Sinh(Law):
    """``i = g v_c sinh(v / v_c)``: hopping and tunnelling conduction.

    Attributes:
        v_c: voltage scale, volts; large for nearly ohmic cells.
    """

    v_c: Positive

    separable: ClassVar[bool] = True

    @classmethod
    def from_ratio(cls, ratio: float, v: float) -> Sinh:
        """The law with ``i(v) / i(v/2) = ratio`` (2 for ohmic): ``ratio = 2 cosh(v / (2 v_c))``.

        >>> round(1 / Sinh.from_ratio(10.0, 1.0).v_c, 4)
        4.5849
        """
        if not ratio > 2 or not v > 0:
            raise ValueError(
                f"ratio = {ratio!r} at v = {v!r}: a sinh law has i(v) / i(v/2) above 2 at a positive voltage"
            )
        return cls(v_c=v / (2 * math.acosh(ratio / 2)))

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """``g v_c sinh(v / v_c)``."""
        return g * self.v_c * torch.sinh(v / self.v_c)

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """``g cosh(v / v_c)``."""
        return g * torch.cosh(v / self.v_c)


@config
class Polynomial(Law):
    """``i = g (v + c2 v^2 + c3 v^3 + ...)``.

    Attributes:
        coefficients: c2, c3, ... in 1/V, 1/V^2, ...

    The law must rise with the voltage wherever the array operates.

    >>> Polynomial(coefficients=(0.0, -0.25)).current(torch.tensor(0.5), torch.tensor(1.0))
    tensor(0.4688)
    """

    coefficients: tuple[Finite, ...]

    separable: ClassVar[bool] = True

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """The polynomial times ``g``."""
        total = torch.zeros_like(v)
        for c in reversed(self.coefficients):
            total = (total + c) * v
        return g * v * (1 + total)

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """Its derivative."""
        total = torch.zeros_like(v)
        for k, c in reversed(list(enumerate(self.coefficients, start=2))):
            total = (total + k * c) * v
        return g * (1 + total)


@config
class Table(Law):
    """``i = g h(v)``, with h interpolated linearly between measured points.

    Attributes:
        v: voltages, volts, rising.
        h: currents over the small-signal conductance, volts, rising. A table that begins at (0, 0) is
            continued as an odd function; beyond its ends it goes on with its last slope.

    >>> Table(v=(0.0, 0.1, 0.2), h=(0.0, 0.1, 0.3)).current(torch.tensor([-0.15, 0.3]), torch.ones(2))
    tensor([-0.2000,  0.5000])
    """

    v: Annotated[tuple[Finite, ...], Field(min_length=2)]
    h: Annotated[tuple[Finite, ...], Field(min_length=2)]

    separable: ClassVar[bool] = True

    @classmethod
    def from_sweep(cls, v: Tensor, current: Tensor) -> Table:
        """The law of one cell from one sweep of its voltage, measured or simulated.

        Args:
            v: voltages from near 0, rising, volts, ``[n]``: one branch of the sweep.
            current: amperes, rising, ``[n]``.

        >>> from mho.devices.dynamics import VTEAM
        >>> v = torch.linspace(0, 0.01, 5, dtype=torch.float64)
        >>> trace = VTEAM().simulate(v, torch.linspace(0, 1e-6, 5, dtype=torch.float64))
        >>> law = Table.from_sweep(trace.voltage, trace.current)
        >>> law.v == tuple(v.tolist())
        True
        """
        if v.dim() != 1 or v.shape != current.shape or len(v) < 2:
            raise ValueError(
                f"v has shape {tuple(v.shape)} and current {tuple(current.shape)}: give two columns of "
                "the same length, of one cell"
            )
        most = float(current.abs().max())
        if most == 0:
            raise ValueError("current = 0 throughout: sweep to a voltage at which the cell conducts")
        scale = float(v.abs().max()) / most
        return cls(v=tuple(v.double().tolist()), h=tuple((current.double() * scale).tolist()))

    def validate(self) -> None:
        """Raise ``ValueError`` unless both columns rise and match."""
        if len(self.v) != len(self.h):
            raise ValueError(
                f"v has {len(self.v)} points and h {len(self.h)}: give one current for each voltage"
            )
        for name, column in (("v", self.v), ("h", self.h)):
            for a, b in itertools.pairwise(column):
                if not b > a:
                    raise ValueError(
                        f"{name} falls or stays from {a!r} to {b!r}: a law rises; sort the table"
                    )

    def _points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        v, h = self.v, self.h
        if v[0] == 0 and h[0] == 0:
            v = (*(-x for x in v[:0:-1]), *v)
            h = (*(-x for x in h[:0:-1]), *h)
        return like.new_tensor(v), like.new_tensor(h)

    def _segment(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y = self._points(v)
        k = torch.searchsorted(x, v.detach().contiguous()).clamp(1, len(x) - 1)
        steep = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
        return x[k - 1], y[k - 1], steep[k - 1]

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """``g h(v)``."""
        x, y, steep = self._segment(v)
        return g * (y + steep * (v - x))

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """``g h'(v)``."""
        return g * self._segment(v)[2]


@config
class Series(Law):
    """A cell with a second element in series: a selector, or the channel of a transistor.

    The voltage divides so that both carry the same current. It is found by safeguarded Newton steps.

    Attributes:
        cell: the law of the cell itself; it is scaled by the cell's conductance.
        selector: the law of the second element.
        selector_g: the second element's conductance, siemens.

    >>> cell = Series(cell=Ohmic(), selector=Ohmic(), selector_g=1 / 15e3)
    >>> f"{cell.current(torch.tensor(1.0), torch.tensor(25e-6)).item():.3e}"
    '1.818e-05'
    """

    cell: InstanceOf[Law]
    selector: InstanceOf[Law]
    selector_g: Positive

    def _split(self, v: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Voltage across the selector, and the differential conductances in series."""
        g_s = torch.full_like(v, self.selector_g)
        low, high = v.clamp(max=0), v.clamp(min=0)
        s = v * (g / (g + g_s))
        moving = torch.ones_like(v, dtype=torch.bool)  # a cell that is there does not wait for its neighbours
        for _ in range(100):
            excess = self.cell.current(v - s, g) - self.selector.current(s, g_s)
            low, high = torch.where(excess > 0, s, low), torch.where(excess > 0, high, s)
            step = excess / (self.cell.slope(v - s, g) + self.selector.slope(s, g_s))
            new = s + step
            new = torch.where((new > low) & (new < high), new, (low + high) / 2)
            done = (new - s).abs() <= 4 * torch.finfo(v.dtype).eps * v.abs()
            s = torch.where(moving, new, s)
            moving = moving & ~done
            if not bool(moving.any()):
                break
        return s, g_s

    def estimate(self, v: Tensor, current: Tensor) -> Tensor | None:
        """See :meth:`Law.estimate`: the selector has the current, which says where the voltage divides."""
        if not self.cell.separable:
            return None
        g_s, s = torch.full_like(v, self.selector_g), v / 2
        low, high = v.clamp(max=0), v.clamp(min=0)
        for _ in range(60):
            excess = current - self.selector.current(s, g_s)
            low, high = torch.where(excess > 0, s, low), torch.where(excess > 0, high, s)
            new = s + excess / self.selector.slope(s, g_s)
            new = torch.where((new > low) & (new < high), new, (low + high) / 2)
            done = (new - s).abs() <= torch.finfo(v.dtype).eps * v.abs()
            s = new
            if bool(done.all()):
                break
        return current / self.cell.current(v - s, torch.ones_like(v))

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """The common current; differentiable in both arguments."""
        v, g = torch.broadcast_tensors(v, g)
        with torch.no_grad():
            s, g_s = self._split(v, g)
            a, b = self.cell.slope(v - s, g), self.selector.slope(s, g_s)
            back = 1 / (a + b)
        # One more step with the graph on: its value does not move s, its derivative is that of s.
        excess = self.cell.current(v - s, g) - self.selector.current(s, g_s)
        return self.selector.current(s + excess * back, g_s)

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """Both differential conductances in series."""
        v, g = torch.broadcast_tensors(v, g)
        s, g_s = self._split(v, g)
        a, b = self.cell.slope(v - s, g), self.selector.slope(s, g_s)
        return a * b / (a + b)
