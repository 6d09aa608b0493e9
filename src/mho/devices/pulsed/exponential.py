"""Steps that fall off exponentially with the state."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho.config import Finite, NonNegative, config
from mho.devices.pulsed.base import Parameters, PulsedCell


@config
class ExponentialSteps(PulsedCell):
    """A cell whose steps follow an exponential law of the state.

    With ``z = 2 a w / (w_max - w_min) + b``: ``step_up = up max(1 - A_up exp(gamma_up z), 0)`` and
    ``step_down = down max(1 - A_down exp(-gamma_down z), 0)``.

    Source: T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016) for the fit of a ReRAM cell.

    Attributes:
        A_up, A_down, gamma_up, gamma_down, a, b: of the law.
        dw_min_std_add, dw_min_std_slope: more spread from pulse to pulse, in units of weight, and for each
            unit of ``|w|``; both are multiplied by ``dw_min_std``.

    >>> import torch
    >>> cell = ExponentialSteps(dw_min=0.1, A_up=0.5, A_down=0.5, gamma_up=1.0, gamma_down=1.0, a=1.0, b=0.0)
    >>> [round(step.item(), 3) for step in cell.steps(torch.tensor(0.0), cell.nominal(torch.zeros(())))]
    [0.05, 0.05]
    """

    A_up: Finite = 0.00081
    A_down: Finite = 0.36833
    gamma_up: Finite = 12.44625
    gamma_down: Finite = 12.78785
    a: Finite = 0.244
    b: Finite = 0.2425
    dw_min_std_add: NonNegative = 0.0
    dw_min_std_slope: NonNegative = 0.0

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """The law, with the bounds of each cell."""
        z = 2 * self.a * w / (cells["w_max"] - cells["w_min"]) + self.b
        up = cells["up"] * (1 - self.A_up * torch.exp(self.gamma_up * z)).clamp(min=0)
        return up, cells["down"] * (1 - self.A_down * torch.exp(-self.gamma_down * z)).clamp(min=0)

    @property
    def granularity(self) -> float:
        """The step down at zero, as rates of published presets are reckoned."""
        down = self.dw_min * abs(1 - max(self.up_down, 0.0))
        return down * max(1 - self.A_down * math.exp(-self.gamma_down * self.b), 0.0)

    def noise(self, w: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """With what goes with the magnitude of the state."""
        return super().noise(w, step, scale) + self.dw_min_std * (
            self.dw_min_std_add + self.dw_min_std_slope * w.abs()
        )
