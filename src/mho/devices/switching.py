"""A cell whose conductance is the state of a switching model."""

from __future__ import annotations

import copy

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, config
from mho.devices.base import Steady
from mho.devices.dynamics import VTEAM, SwitchingModel
from mho.devices.dynamics._numbers import clip, tensor
from mho.devices.error_laws import Error, Independent


@config
class Switching(Steady):
    """A cell that is a switching model: its bounds and its read voltage are those of the model.

    ``programming=SingleShot()`` sets the states, with the error of one pulse where pulses on the model
    scatter (:meth:`~mho.devices.dynamics.SwitchingModel.pulse_std`), as if all pulses but the last one had
    been verified. ``WriteVerify(pulse=VoltagePulses(...))`` finds them with voltage pulses that move the
    state as the model says. The cell holds its state: no drift.

    Attributes:
        model: how the state moves under voltage; all cells alike.
        read: law of the read noise; only its standard deviation counts.
        g_min, g_max: conductances at the ends of the state, siemens (of the model, not given).
        v_read: read voltage, volts (of the model, not given).
        program_scale: factor on the scatter of the pulses; without effect where the model has none.
        drift_scale: without effect.
        read_scale: factor on the read noise.

    Example:
        >>> Switching(model=VTEAM(r_on=50.0, r_off=1000.0)).g_max
        0.02
    """

    model: InstanceOf[SwitchingModel] = VTEAM()
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    read: InstanceOf[Error] = Independent(sigma=0.0)

    def validate(self) -> None:
        """The model's cells are alike; its bounds become those of the device."""
        if self.model.cells:
            raise ValueError(
                f"model has parameters that differ by cell, of shape {tuple(self.model.cells)}: a device "
                "describes one cell; give a model with numbers, and the laws of its parameters to Varied"
            )
        for name in ("g_min", "g_max", "v_read"):
            object.__setattr__(self, name, float(getattr(self.model, name)))
        self.check_bounds()

    def of_model(self, model: SwitchingModel) -> Switching:
        """A copy with another model, whose parameters may differ from cell to cell; it is no description."""
        made = copy.copy(self)
        values = [v for v in vars(model).values() if isinstance(v, torch.Tensor)]
        for name in ("g_min", "g_max"):
            bound = getattr(model, name)
            object.__setattr__(made, name, tensor(bound, values[0]) if values else bound)
        object.__setattr__(made, "model", model)
        return made

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """``g_target``, kept between the ends of the state, with the error of one pulse; at least 0."""
        g = clip(g_target, self.g_min, self.g_max)
        std = None if self.program_scale == 0 else self.model.pulse_std(g)
        return g if std is None else (g + self.program_scale * std * eps).clamp(min=0)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of the law ``read`` at ``g_now``."""
        self.check_time(seconds)
        if self.read_scale == 0:
            return torch.zeros_like(g_now)
        return self.read_scale * self.read.std(g_now, self.g_max)
