"""What all phase-change memories share: programming, power-law drift, accumulated 1/f noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from mho.config import Positive
from mho.devices.base import Device
from mho.devices.dynamics._numbers import log, log1p, sqrt


class PhaseChange(Device):
    """A cell whose structural relaxation lowers its conductance as a power of time.

    ==================  =====================================================================
    programmed          g = max(g_target + sigma_prog xi, 0)
    drift               g(t) = g (t / t0)^-nu, t = seconds + t0, nu drawn once for each cell
    read noise (std)    sigma = g(t) Q sqrt(ln((t + t_read) / (2 t_read))), 1/f noise from t_read to t
    ==================  =====================================================================

    A subclass gives ``sigma_prog``, ``nu`` and ``Q``.

    Attributes:
        t0: time from the programming pulse to the read that the programming error was measured
            with, seconds; ``seconds`` counts from there.
        t_read: duration of one read, seconds.
    """

    t0: Positive
    t_read: Positive

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("g_min", "g_max"), ("t_read", "t0"))

    @abstractmethod
    def program_std(self, g_target: Tensor) -> Tensor:
        """Standard deviation of the programming error, siemens."""

    @abstractmethod
    def exponents(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """Drift exponents of cells programmed towards ``g_target``."""

    @abstractmethod
    def read_fraction(self, g: Tensor) -> Tensor:
        """Q: the read noise of a cell programmed to ``g``, relative to its conductance."""

    def validate(self) -> None:
        """The bounds, and a read that is over before ``t0``."""
        self.check_bounds()
        if not self.t_read < self.t0:
            raise ValueError(
                f"t_read = {self.t_read!r} s must be shorter than t0 = {self.t0!r} s: "
                "the cell is first read t0 after its programming pulse"
            )

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``max(g_target + sigma_prog eps, 0)``."""
        return (g_target + self.program_scale * self.program_std(g_target) * eps).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """One parameter: the drift exponent."""
        return self.drift_scale * self.exponents(g_target, eps).unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``g (1 + seconds / t0)^-nu``."""
        self.check_time(seconds)
        return g * torch.exp(-log1p(seconds / self.t0) * cells[0])

    def verify_std(self, g: Tensor, delay: float) -> Tensor:
        """That law with the time since the pulse, which is less than t0; nothing below ``t_read``."""
        octaves = max(0.0, log((delay + self.t_read) / (2 * self.t_read)))
        return self.read_scale * sqrt(octaves) * self.read_fraction(g) * g

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """``g_now Q(g) sqrt(ln((t + t_read) / (2 t_read)))``."""
        self.check_time(seconds)
        octaves = log((seconds + self.t0 + self.t_read) / (2 * self.t_read))
        return self.read_scale * sqrt(octaves) * self.read_fraction(g) * g_now
