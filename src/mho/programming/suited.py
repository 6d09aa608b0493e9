"""Pulses that suit a switching model: strong on the selected cell, weak on half-selected ones."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import torch

from mho.programming.pulsed_model import PulsedModel, Scheme
from mho.programming.voltage import Train, VoltagePulses

_LOWEST, _HIGHEST, _STEPS = 1e-2, 3.0, 120  # volts, on a logarithmic scale
_MARGINS = (0.002, 0.05)  # of the way of the state that a voltage need not move it in
_DISTURBED = 0.01  # share of the speed at which neighbours may move
_PARTS = 64  # pulses from one end of the state to the other, at the speed in the middle


def suited_pulses(
    model: object, scheme: Scheme | None = None, *, up: float | None = None, down: float | None = None
) -> VoltagePulses:
    """Trains for a switching model.

    The voltages are, for each direction, the largest of those at which half of it moves the state least
    in comparison: just below twice a threshold, where there is one. They move the state wherever it is, up to
    0.2 % from both ends of its way; where no voltage does (a window stops the state there), up to 5 %. The
    first pulse of each train takes the state from the middle over 1/64 of its way.

    A model without a threshold is disturbed by half of any voltage. In an array without transistors its
    cells then push each other off their targets: with a ``scheme`` this warns where half of a voltage
    moves the state at more than a hundredth of the full speed.

    Args:
        model: a model of ``mho.devices.dynamics``.
        scheme: what unselected lines do, as in :class:`VoltagePulses`.
        up, down: magnitude of the voltage that raises and that lowers the conductance; None to choose it.

    Raises:
        ValueError: no voltage up to 3 V moves the state that way, or the given one does not.

    Warns:
        UserWarning: with a scheme, what it leaves on neighbours moves them too.

    >>> from mho.devices.dynamics import VTEAM
    >>> pulses = suited_pulses(VTEAM())
    >>> round(pulses.up.voltage, 2), round(pulses.down.voltage, 3)
    (-0.38, 0.038)
    """
    cell = cast("PulsedModel", model)
    low, high = (torch.as_tensor(b, dtype=torch.float64) for b in cast("Any", model).bounds)
    middle, part = (low + high) / 2, float(high - low) / _PARTS
    sign = set_polarity(model)
    trains = []
    for name, way, given in (("up", sign, up), ("down", -sign, down)):
        voltage = way * (_chosen(cell, low, high, way) if given is None else given)
        speed = abs(float(cell.rate(middle, torch.tensor(voltage, dtype=torch.float64))))
        if speed == 0:
            raise ValueError(
                f"{name} = {given!r} V does not move {type(model).__name__} from the middle of its range; "
                "give a higher voltage, or None to choose one"
            )
        _warn_of_neighbours(cell, middle, voltage, speed, scheme)
        trains.append(Train(voltage=voltage, width=part / speed))
    return VoltagePulses(up=trains[0], down=trains[1], scheme=scheme)


def set_polarity(model: object) -> float:
    """1.0 for a switching model whose conductance a positive voltage raises, -1.0 for the others.

    >>> from mho.devices.dynamics import VTEAM
    >>> set_polarity(VTEAM())
    -1.0
    """
    cell = cast("PulsedModel", model)
    low, high = (torch.as_tensor(b, dtype=torch.float64) for b in cast("Any", model).bounds)
    rises = float(cell.conductance(high)) > float(cell.conductance(low))
    positive = float(cell.rate((low + high) / 2, torch.tensor(_HIGHEST, dtype=torch.float64))) > 0
    return 1.0 if positive == rises else -1.0


def _warn_of_neighbours(
    model: PulsedModel, state: torch.Tensor, voltage: float, speed: float, scheme: Scheme | None
) -> None:
    """Warn where half-selected cells move at a speed that matters."""
    left = None if scheme is None else scheme.unselected(voltage)
    if left is None:
        return
    word, bit = left
    felt = [torch.tensor(v, dtype=torch.float64) for v in (voltage - bit, word, word - bit)]
    share = max(abs(float(model.rate(state, v))) for v in felt) / speed
    if share > _DISTURBED:
        warnings.warn(
            f"{type(model).__name__} at {voltage:.3g} V with {type(scheme).__name__}(): what is left on the "
            f"neighbours moves them at {share:.2g} of the speed of the selected cell, so that cells push "
            "each other off their targets; give the array transistors (scheme=None) or the model a threshold",
            stacklevel=3,
        )


def _chosen(model: PulsedModel, low: torch.Tensor, high: torch.Tensor, sign: float) -> float:
    """The magnitude, volts, with the best selectivity in the middle of those that move all places."""
    magnitudes = torch.logspace(math.log10(_LOWEST), math.log10(_HIGHEST), _STEPS, dtype=torch.float64)
    way = (
        1.0
        if float(model.rate((low + high) / 2, torch.tensor(sign * _HIGHEST, dtype=torch.float64))) > 0
        else -1.0
    )
    for margin in _MARGINS:
        places = low + (high - low) * torch.tensor([[margin], [0.5], [1 - margin]], dtype=torch.float64)
        full = (model.rate(places, sign * magnitudes) * way).expand(len(places), -1)
        half = (model.rate(places, sign * magnitudes / 2) * way).expand(len(places), -1)
        moving = (full > 0).all(0)
        if bool(moving.any()):
            break
    else:
        raise ValueError(f"no voltage up to {_HIGHEST} V moves {type(model).__name__}; give up and down")
    ratio = half[1].abs() / full[1].clamp(min=torch.finfo(full.dtype).tiny)
    ratio = torch.where(moving, ratio, torch.inf)
    best = (ratio <= ratio.min()).nonzero()
    return float(magnitudes[best[-1]])
