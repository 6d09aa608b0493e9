"""Cells that the tests put on boards."""

from __future__ import annotations

import torch

from mho.devices import Switching
from mho.devices.dynamics import LinearStep
from mho.devices.error_laws import Independent
from mho.programming import Train, VoltagePulses, WriteVerify

UP, DOWN = Train(voltage=1.0, width=1e-6), Train(voltage=-1.0, width=1e-6)
PULSES = VoltagePulses(up=UP, down=DOWN)
STEPS = LinearStep(step_up=1e-6, step_down=1e-6, slope_up=0.08, slope_down=0.08)
QUIET = Switching(model=STEPS)
NOISY = Switching(model=STEPS, read=Independent(sigma=0.005))
RULE = WriteVerify(pulse=PULSES, tolerance=0.02, max_pulses=40)


def targets(rows: int, columns: int) -> torch.Tensor:
    """Conductances between the ends of the cells, siemens."""
    share = torch.rand(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 1.5e-6 + 8e-6 * share
