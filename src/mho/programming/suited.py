"""Pulses that suit a switching model: strong on the selected cell, weak on half-selected ones."""

from __future__ import annotations

import math
from typing import Any, cast

import torch

from mho.programming.voltage import Scheme, SwitchingModel, Train, VoltagePulses

_LOWEST, _HIGHEST, _STEPS = 1e-2, 3.0, 120  # volts, on a logarithmic scale
_PARTS = 64  # pulses from one end of the state to the other, at the speed in the middle


def suited_pulses(
    model: object, scheme: Scheme | None = None, *, up: float | None = None, down: float | None = None
) -> VoltagePulses:
    """Trains for a switching model.

    The voltages are, for each direction, the largest of those at which half of it moves the state least
    in comparison: just below twice a threshold, where there is one. The first pulse of each train takes
    the state from the middle over 1/64 of its way.

    Args:
        model: a model of ``mho.devices.dynamics``.
        scheme: what unselected lines do, as in :class:`VoltagePulses`.
        up, down: magnitude of the voltage that raises and that lowers the conductance; None to choose it.

    Raises:
        ValueError: no voltage up to 3 V moves the state that way, or the given one does not.

    >>> from mho.devices.dynamics import VTEAM
    >>> pulses = suited_pulses(VTEAM())
    >>> round(pulses.up.voltage, 2), round(pulses.down.voltage, 3)
    (-0.38, 0.038)
    """
    cell = cast("SwitchingModel", model)
    low, high = (torch.as_tensor(b, dtype=torch.float64) for b in cast("Any", model).bounds)
    places = low + (high - low) * torch.tensor([[0.05], [0.5], [0.95]], dtype=torch.float64)
    middle, part = (low + high) / 2, float(high - low) / _PARTS
    sign = set_polarity(model)
    trains = []
    for name, way, given in (("up", sign, up), ("down", -sign, down)):
        voltage = way * (_chosen(cell, places, way) if given is None else given)
        speed = abs(float(cell.rate(middle, torch.tensor(voltage, dtype=torch.float64))))
        if speed == 0:
            raise ValueError(
                f"{name} = {given!r} V does not move {type(model).__name__} from the middle of its range; "
                "give a higher voltage, or None to choose one"
            )
        trains.append(Train(voltage=voltage, width=part / speed))
    return VoltagePulses(up=trains[0], down=trains[1], scheme=scheme)


def set_polarity(model: object) -> float:
    """1.0 for a switching model whose conductance a positive voltage raises, -1.0 for the others.

    >>> from mho.devices.dynamics import VTEAM
    >>> set_polarity(VTEAM())
    -1.0
    """
    cell = cast("SwitchingModel", model)
    low, high = (torch.as_tensor(b, dtype=torch.float64) for b in cast("Any", model).bounds)
    rises = float(cell.conductance(high)) > float(cell.conductance(low))
    positive = float(cell.rate((low + high) / 2, torch.tensor(_HIGHEST, dtype=torch.float64))) > 0
    return 1.0 if positive == rises else -1.0


def _chosen(model: SwitchingModel, places: torch.Tensor, sign: float) -> float:
    """The magnitude, volts, with the best selectivity in the middle of those that move all places."""
    magnitudes = torch.logspace(math.log10(_LOWEST), math.log10(_HIGHEST), _STEPS, dtype=torch.float64)
    full = model.rate(places, sign * magnitudes).abs().expand(len(places), -1)
    half = model.rate(places, sign * magnitudes / 2).abs().expand(len(places), -1)
    moving = (full > 0).all(0)
    if not bool(moving.any()):
        raise ValueError(f"no voltage up to {_HIGHEST} V moves {type(model).__name__}; give up and down")
    ratio = half[1] / full[1].clamp(min=torch.finfo(full.dtype).tiny)
    ratio = torch.where(moving, ratio, torch.inf)
    best = (ratio <= ratio.min()).nonzero()
    return float(magnitudes[best[-1]])
