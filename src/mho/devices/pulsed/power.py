"""Steps that fall off as a power of the distance to the bound."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices.pulsed.base import Parameters, PulsedCell


@config
class PowerSteps(PulsedCell):
    """A cell whose steps are powers of the distance to the bound.

    With ``R = w_max - w_min``: ``step_up = up ((w_max - w) / R)^gamma_up`` and
    ``step_down = down ((w - w_min) / R)^gamma_down``.

    Attributes:
        pow_gamma: the exponent.
        pow_gamma_dtod: its relative spread from cell to cell.
        pow_up_down: how much the exponent of steps up exceeds that of steps down, relative to their mean.
        pow_up_down_dtod: its spread from cell to cell.

    >>> import torch
    >>> cell = PowerSteps(dw_min=0.1, pow_gamma=2.0, w_max=1.0, w_min=-1.0)
    >>> [round(step.item(), 3) for step in cell.steps(torch.tensor(0.0), cell.nominal(torch.zeros(())))]
    [0.025, 0.025]
    """

    pow_gamma: Positive = 1.0
    pow_gamma_dtod: NonNegative = 0.1
    pow_up_down: Finite = 0.0
    pow_up_down_dtod: NonNegative = 0.0

    own_draws: ClassVar[tuple[str, ...]] = ("pow_gamma", "pow_up_down")

    def own_parameters(self, cells: Parameters, eps: dict[str, Tensor]) -> Parameters:
        """The exponents of each cell."""
        gamma = self.pow_gamma * (1 + self.pow_gamma_dtod * eps["pow_gamma"])
        apart = self.pow_gamma * (self.pow_up_down + self.pow_up_down_dtod * eps["pow_up_down"]) / 2
        return {"gamma_up": (gamma + apart).abs(), "gamma_down": (gamma - apart).abs()}

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Powers, with the bounds of each cell; nothing beyond them."""
        high, low = cells["w_max"], cells["w_min"]
        up = cells["up"] * ((high - w) / (high - low)).clamp(min=0) ** cells["gamma_up"]
        return up, cells["down"] * ((w - low) / (high - low)).clamp(min=0) ** cells["gamma_down"]

    @property
    def granularity(self) -> float:
        """The step in the middle between the bounds."""
        return float(self.dw_min * 0.5**self.pow_gamma)
