"""What one memory cell does: the interface of all device models.

A device is a frozen description with pure functions on tensors of conductances (siemens, any
shape). It draws nothing: standard normal numbers are passed in. The tile asks, in this order::

    g = device.programmed(g_target, eps)           # once, at programming; frozen
    cells = device.drift_state(g_target, eps2)     # once, at programming; frozen
    g_t = device.aged(g, cells, seconds)           # any time, any order, always from g
    sigma = device.read_std(g, g_t, seconds)       # noise of one read at that time

A device around a device is an :class:`~mho.devices.Effect`; its noise may depend on parameters of each
cell. The tile therefore asks ``read_moments``, which is made of ``read_std`` unless an effect says more.

``program_scale``, ``drift_scale`` and ``read_scale`` multiply the three mechanisms; 0 removes one
and moves no other draw. Every cell is on its own: a device never looks at its neighbours, so a chip
does not depend on how it is cut into tiles. A conductance is never negative after programming or
aging; that of one read is ``max(g_t + sigma * eps, 0)``, whose exact mean and standard deviation
:func:`mho.devices.rectified_moments` gives.

``mho.testing.check_device`` checks all of this on a device, also on your own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, too_large
from mho.devices.moments import rectified_moments

FARTHEST = 9.0
"""Standard normal draws, of float64 too, do not go beyond."""


class Device(ABC):
    """One memory cell.

    Attributes:
        g_min: lowest programmable conductance, siemens.
        g_max: highest programmable conductance, siemens.
        v_read: read voltage, volts: the voltage of a full-scale input.
        program_scale, drift_scale, read_scale: factor on each mechanism; 0 removes it.
    """

    g_min: NonNegative
    g_max: Positive
    v_read: Positive
    program_scale: NonNegative
    drift_scale: NonNegative
    read_scale: NonNegative

    #: Pairs of parameters of which the first must be below the second, in every cell.
    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("g_min", "g_max"),)

    @abstractmethod
    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """Conductance after programming towards ``g_target``.

        Args:
            g_target: wanted conductance, siemens, any shape.
            eps: standard normal draws of the same shape.

        Returns:
            Programmed conductance, siemens, same shape.
        """

    @abstractmethod
    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The parameters of each cell's drift, drawn once at programming.

        Args:
            g_target: wanted conductance, siemens, any shape.
            eps: standard normal draws of the same shape, other ones than those of programming.

        Returns:
            Tensor of shape ``(n, *g_target.shape)``, ``n`` parameters for each cell (0 for none).
        """

    @abstractmethod
    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """Conductance ``seconds`` after programming.

        Args:
            g: conductance after programming, siemens.
            cells: what :meth:`drift_state` returned.
            seconds: time since the end of programming; 0 gives ``g`` back.

        Returns:
            Conductance at that time, siemens, same shape.

        Raises:
            ValueError: ``seconds`` is outside :attr:`times`.
        """

    @abstractmethod
    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of one read's conductance, siemens.

        Args:
            g: conductance after programming, siemens.
            g_now: conductance at ``seconds``, siemens.
            seconds: time since the end of programming.

        Returns:
            Standard deviation, siemens, same shape.

        Raises:
            ValueError: ``seconds`` is outside :attr:`times`.
        """

    def verify_std(self, g: Tensor, delay: float) -> Tensor:
        """Standard deviation of a read that verifies a pulse, siemens.

        That of a read just after programming, unless the device knows how its noise grows from the pulse on.

        Args:
            g: conductance, siemens.
            delay: from the pulse to the read, seconds.
        """
        return self.read_std(g, g, 0.0)

    def read_moments(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Exact mean and standard deviation of one read's conductance, siemens.

        Args:
            g: conductance after programming, siemens.
            cells: what :meth:`drift_state` returned.
            g_now: what :meth:`aged` returned for ``seconds``, siemens.
            seconds: time since the end of programming.
        """
        return rectified_moments(g_now, self.read_std(g, g_now, seconds))

    def one_read(self, g: Tensor, cells: Tensor, g_now: Tensor, seconds: float, eps: Tensor) -> Tensor:
        """One read's conductance, siemens; ``eps`` are standard normal draws, the rest as above."""
        return (g_now + self.read_std(g, g_now, seconds) * eps).clamp(min=0)

    def held(self, g: Tensor, cells: Tensor) -> Tensor | None:
        """Mask of the cells that nothing moves any more, of the shape of ``g``; None for none."""
        return None

    def bounds_of(self, cells: Tensor) -> tuple[Tensor, Tensor] | None:
        """Lowest and highest conductance of each cell, siemens; None where all have ``g_min`` and ``g_max``.

        Args:
            cells: what :meth:`drift_state` returned.
        """
        low, high = self.g_min, self.g_max
        if not (isinstance(low, Tensor) or isinstance(high, Tensor)):
            return None
        where = low if isinstance(low, Tensor) else high
        both = torch.broadcast_tensors(torch.as_tensor(low).to(where), torch.as_tensor(high).to(where))
        return both[0], both[1]

    def written_span(self) -> tuple[float, float]:
        """Lowest and highest conductance that writing can leave in a cell, siemens.

        Those of :meth:`programmed` for targets from ``g_min`` to ``g_max`` and every draw there is. A saved
        conductance outside is none of this device; a device whose error is not smooth says it itself.
        """
        near, far = (
            torch.logspace(-8, -2, 73, dtype=torch.float64),
            torch.linspace(0, 1, 129, dtype=torch.float64),
        )
        g = self.g_min + (self.g_max - self.g_min) * torch.cat((near, far))
        eps = torch.linspace(-FARTHEST, FARTHEST, 19, dtype=torch.float64)
        found = self.programmed(g.repeat_interleave(len(eps)), eps.repeat(len(g)))
        low, high = min(float(found.min()), self.g_min), max(float(found.max()), self.g_max)
        between = 0.05  # of the error: of targets between those tried
        return max(low - between * (self.g_min - low), 0.0), high + between * (high - self.g_max)

    @property
    def holds(self) -> bool:
        """Whether cells have, at time 0, the conductances that were written to them."""
        return True

    @property
    def noisy(self) -> bool:
        """Whether two reads of a cell may differ, at any time."""
        return self.read_scale > 0

    def fluctuation(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """Above zero for the cells of which two reads differ; asked when a chip is packed.

        Args:
            g: conductance after programming, siemens.
            cells: what :meth:`drift_state` returned.
            seconds: time since the end of programming.
        """
        return self.read_std(g, g, seconds)

    def written_spans(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor] | None:
        """:meth:`written_span` of each cell, where cells differ; None where they do not.

        Args:
            g: conductance after programming, siemens.
            cells: what :meth:`drift_state` returned.
        """
        return None

    @property
    def times(self) -> tuple[float, float]:
        """The span of times (first, last; seconds) at which the model is valid, besides 0."""
        return (0.0, math.inf)

    def check_time(self, seconds: float) -> None:
        """Raise ``ValueError`` unless the model is valid ``seconds`` after programming."""
        first, last = self.times
        if not (seconds == 0 or first <= seconds <= last) or seconds == math.inf:
            raise ValueError(
                f"seconds = {seconds!r}: {type(self).__name__} is known from {first:g} s to {last:g} s "
                "after programming, and at 0 (just programmed); choose a time in that span or another device"
            )

    def check_bounds(self) -> None:
        """Raise ``ValueError`` unless g_min < g_max, of which no cell has more than 1 S."""
        for name in ("g_min", "g_max"):
            found = too_large(getattr(self, name))
            if found is not None:
                raise ValueError(f"{name} = {getattr(self, name)!r} S: {found}")
        if not self.g_min < self.g_max:
            raise ValueError(
                f"g_min = {self.g_min!r} S must be below g_max = {self.g_max!r} S; "
                "conductances are in siemens (25 microsiemens is 25e-6)"
            )

    def check_range(self, first: float, last: float) -> None:
        """Raise ``ValueError`` unless both bounds lie in [first, last], the range of a measurement."""
        slack = 1e-6 * last  # 225e-6 and 0.000225 + rounding are the same bound
        if self.g_min < first - slack or self.g_max > last + slack:
            raise ValueError(
                f"g_min = {self.g_min!r} S, g_max = {self.g_max!r} S: {type(self).__name__} was measured "
                f"from {first:g} S to {last:g} S; choose bounds in that range or another device"
            )

    def validate(self) -> None:
        """Checks across fields, run when the description is made."""
        self.check_bounds()


class Steady(Device):
    """A cell that holds its state: no drift, at any time of :attr:`times`."""

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """No parameters."""
        return no_drift_state(g_target)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``g`` itself."""
        self.check_time(seconds)
        return g


def no_drift_state(g_target: Tensor) -> Tensor:
    """The drift state of a device without drift: no parameters."""
    return torch.empty((0, *g_target.shape), dtype=g_target.dtype, device=g_target.device)
