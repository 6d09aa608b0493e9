"""Cells that lose their state with time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

import mho
from mho.compat.memtorch.bh.nonideality.endurance_retention_models import model_conductance_drift
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.devices import Effect, Failure, Ideal, RetentionFailure
from mho.devices.effects.base import around, effects
from mho.nn import crossbars


def apply_retention_model(
    layer: nn.Module,
    time: float,
    retention_model: Callable[..., Any] = model_conductance_drift,
    retention_model_kwargs: dict[str, Any] | None = None,
    *,
    seed: int | None = None,
) -> None:
    """Let time pass: ``mho.devices.RetentionLoss`` or ``RetentionFailure``, and ``mho.age``.

    The time is that since programming: a second call with the same law takes the chip to that time, it does
    not lose the same again. The correction that tuning found stays as it is.

    Args:
        layer: a patched layer or network.
        time: seconds since programming.
        retention_model: makes a ``mho.devices.Effect`` or a ``mho.devices.Failure``.
        retention_model_kwargs: its arguments.
        seed: of the draws, for an effect that has some; None to draw one by torch's global generator.
    """
    made = retention_model(**(retention_model_kwargs or {}))
    effect = RetentionFailure(law=made) if isinstance(made, Failure) else made
    if not isinstance(effect, Effect):
        raise TypeError(
            f"retention_model gave {made!r}: give model_conductance_drift or model_endurance_retention"
        )
    layers = crossbars(layer)

    def has_it(array: Any) -> bool:
        return any(
            around(e, Ideal()) == effect for e in effects(array.hardware.device) if type(e) is type(effect)
        )

    if not all(has_it(array) for array in layers.values()):
        mho.degrade(layer, effect, seed=fresh_seed() if seed is None else seed)
    tuned = {path: array.require_chip("Retention") for path, array in layers.items()}
    mho.age(layer, float(time))
    for path, array in layers.items():
        chip = array.require_chip("Retention")
        array.set_chip(chip._replace(gain=tuned[path].gain, shift=tuned[path].shift))
