"""How high a read may be: the voltage that leaves cells as they are."""

from __future__ import annotations

import math
from typing import Any, cast

import torch

from mho.devices import Device
from mho.devices.effects.base import innermost

_PLACES = (0.02, 0.25, 0.5, 0.75, 0.98)  # of the way of the state
_LOWEST, _HIGHEST, _STEPS = 1e-3, 5.0, 400  # volts, on a logarithmic scale


def disturb_voltage(device: Device, seconds: float, share: float = 1e-3) -> float:
    """Largest voltage that moves a cell over less than a part of its range, volts.

    A switching model tells it: its states are held at each voltage, of both signs, for ``seconds``. Other
    devices are known at their read voltage alone, which is then the limit.

    Args:
        device: the cells.
        seconds: how long the voltage is there: all reads of a run together.
        share: part of the way between the ends of the state.

    Raises:
        ValueError: a millivolt moves the cells further.

    Example:
        >>> from mho.devices import Switching
        >>> from mho.devices.dynamics import LinearStep
        >>> 0.48 < disturb_voltage(Switching(model=LinearStep(v_up=0.5, v_down=-0.6)), 1.0) < 0.5
        True
    """
    inside = innermost(device)
    if not hasattr(inside, "model"):
        return float(inside.v_read)
    model = cast("Any", inside).model
    low, high = (float(b) for b in model.bounds)
    places = torch.tensor(_PLACES, dtype=torch.float64)
    states = (low + (high - low) * places)[:, None].expand(-1, _STEPS).contiguous()
    volts = torch.logspace(math.log10(_LOWEST), math.log10(_HIGHEST), _STEPS, dtype=torch.float64)
    moved = torch.stack([(model.step(states, sign * volts, seconds) - states).abs() for sign in (1.0, -1.0)])
    still = (moved.amax((0, 1)) <= share * (high - low)).long().cumprod(0)
    found = float(volts[int(still.sum()) - 1]) if bool(still[0]) else 0.0
    if found == 0:
        raise ValueError(
            f"{_LOWEST:g} V for {seconds:g} s moves the cells of {type(model).__name__} by more than "
            f"{share:g} of their range: no read leaves them alone; give a shorter time of reads"
        )
    return found
