"""Laws by which metal-oxide cells fail: after so many cycles, or so many seconds.

A cell lasts until ``x`` reaches its threshold ``p[0] exp(p[1] c + p[2] min(threshold / temperature, 1))``,
with the cell size c in nanometres. Low- and high-resistance cells have parameters of their own; a cell is
low-resistive if its resistance is below the mean of those of the device's bounds.

Source: the empirical model of C. Lammie et al., Semicond. Sci. Technol. 36, 065003 (2021), as its published
code has it, except for the mean resistance: it is half the sum of both here, R_on + R_off / 2 there. Its
fitted parameters could not be checked and are not here; you give your own.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mho.config import Finite, Positive, Siemens, config

Four = tuple[Positive, Finite, Finite, Finite]
Bound = float | Tensor  # of all cells, or of each


class Failure(ABC):
    """How cells fail beyond their threshold.

    Attributes:
        p_lrs, p_hrs: the four parameters for low- and high-resistance cells; None for cells that last.
        cell_size: edge of a cell, metres.
        temperature: of the cells, kelvin.
        threshold: temperature up to which it makes no difference, kelvin.
    """

    p_lrs: Four | None
    p_hrs: Four | None
    cell_size: Positive
    temperature: Positive
    threshold: Positive

    def at(self, kelvin: float | None) -> Failure:
        """The law at another temperature; None leaves its own."""
        if kelvin is None or kelvin == self.temperature:
            return self
        made = copy.copy(self)
        object.__setattr__(made, "temperature", kelvin)
        return made

    def onset(self, p: Four) -> float:
        """Cycles or seconds that a cell with these parameters lasts."""
        exponent = p[1] * self.cell_size * 1e9 + p[2] * self._relative
        return p[0] * math.exp(exponent) if exponent < 700 else math.inf

    def speed(self, p: Four) -> float:
        """Power with which the resistance of a cell grows beyond its onset."""
        return p[3] * (p[1] * self.cell_size * 1e9 + p[2] * self._relative)

    @property
    def _relative(self) -> float:
        return min(self.threshold / self.temperature, 1.0)

    def classes(self, g: Tensor, g_min: Bound, g_max: Bound) -> tuple[Tensor, Tensor]:
        """Masks of low- and high-resistance cells; a cell exactly between is neither."""
        middle = 2 * g_min * g_max / (g_min + g_max)  # conductance of the mean resistance
        return g > middle, g < middle

    def failing(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> tuple[Tensor, Tensor]:
        """Masks of the low- and the high-resistance cells beyond their onset."""
        return tuple(  # type: ignore[return-value]
            mask if p is not None and x > self.onset(p) else torch.zeros_like(mask)
            for p, mask in zip((self.p_lrs, self.p_hrs), self.classes(g, g_min, g_max), strict=True)
        )

    @abstractmethod
    def sudden(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> tuple[Tensor, Tensor] | None:
        """Which cells are stuck after ``x`` cycles or seconds, and at what; None for a gradual law."""

    @abstractmethod
    def gradual(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> Tensor:
        """Factor on the conductance of each cell after ``x`` cycles or seconds."""


@config
class SuddenFailure(Failure):
    """A cell beyond its threshold is stuck at a stable conductance.

    Attributes:
        g_lrs, g_hrs: stable conductance of failed low- and high-resistance cells, siemens.

    >>> law = SuddenFailure(g_lrs=1 / 100, g_hrs=1 / 1000, p_lrs=(1.0, 0.0, 0.0, 0.0), temperature=350.0)
    >>> law.onset(law.p_lrs)
    1.0
    """

    g_lrs: Siemens
    g_hrs: Siemens
    p_lrs: Four | None = None
    p_hrs: Four | None = None
    cell_size: Positive = 10e-9
    temperature: Positive = 298.0
    threshold: Positive = 298.0

    def validate(self) -> None:
        """Someone fails, and the low-resistance state conducts more."""
        _check(self)
        if self.g_lrs < self.g_hrs:
            raise ValueError(
                f"g_lrs = {self.g_lrs!r} S is below g_hrs = {self.g_hrs!r} S: the low-resistance state "
                "conducts more; did you swap them?"
            )

    def sudden(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> tuple[Tensor, Tensor] | None:
        """Failed cells at their stable conductance."""
        lrs, hrs = self.failing(g, x, g_min, g_max)
        return lrs | hrs, torch.where(lrs, self.g_lrs, torch.full_like(g, self.g_hrs))

    def gradual(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> Tensor:
        """One."""
        return torch.ones_like(g)


@config
class GradualFailure(Failure):
    """The resistance of a cell grows as a power of ``x`` over its threshold.

    ``R = R_0 (x / x_th)^(p[3] (p[1] c + p[2] min(threshold / temperature, 1)))``; a negative power lets it
    fall.
    """

    p_lrs: Four | None = None
    p_hrs: Four | None = None
    cell_size: Positive = 10e-9
    temperature: Positive = 298.0
    threshold: Positive = 298.0

    def validate(self) -> None:
        """Someone fails."""
        _check(self)

    def sudden(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> None:
        """None is stuck."""
        return

    def gradual(self, g: Tensor, x: float, g_min: Bound, g_max: Bound) -> Tensor:
        """``(x / x_th)^-power`` for cells beyond their threshold."""
        factor = torch.ones_like(g)
        for p, mask in zip((self.p_lrs, self.p_hrs), self.failing(g, x, g_min, g_max), strict=True):
            if p is not None and x > self.onset(p):
                factor = torch.where(mask, (x / self.onset(p)) ** -self.speed(p), factor)
        return factor


def _check(law: Failure) -> None:
    if law.p_lrs is None and law.p_hrs is None:
        raise ValueError("p_lrs = None, p_hrs = None: nothing fails; give at least one of them")


def at_stop_voltage(
    p: Four, v_stop: float, *, v_min: float, v_max: float, v_optimal: float, cell_size: float = 10e-9
) -> Four:
    """Failure parameters of cells that are reset up to another stop voltage.

    Cells last longest at the optimal stop voltage, for which ``p`` is given::

        log10 y' = log10 y (1 - (2 u - 1)^2) / (1 - (2 u_optimal - 1)^2),  y = p[0] exp(p[1] c)

    with ``u = (v - v_min) / (v_max - v_min)``.

    Args:
        p: the parameters at ``v_optimal``.
        v_stop: stop voltage, volts, from ``v_min`` to ``v_max``.
        v_min, v_max: voltages at which cells last a single cycle, volts.
        v_optimal: strictly between them.
        cell_size: metres.

    Raises:
        ValueError: voltages out of order.

    >>> at_stop_voltage((1e6, 0.0, 0.0, 0.0), 1.5, v_min=1.0, v_max=2.0, v_optimal=1.5)[0]
    1000000.0
    """
    if not (v_min < v_optimal < v_max and v_min <= v_stop <= v_max):
        raise ValueError(
            f"v_stop = {v_stop!r}, v_min = {v_min!r}, v_optimal = {v_optimal!r}, v_max = {v_max!r}: need "
            "v_min < v_optimal < v_max and v_stop between v_min and v_max"
        )
    size = math.exp(p[1] * cell_size * 1e9)
    best, now = (1 - (2 * (v - v_min) / (v_max - v_min) - 1) ** 2 for v in (v_optimal, v_stop))
    return (10 ** (math.log10(p[0] * size) * now / best) / size, *p[1:])
