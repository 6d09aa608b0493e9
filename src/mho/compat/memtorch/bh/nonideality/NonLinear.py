"""Cells that obey no Ohm's law."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import nn

from mho import array as arrays
from mho.array import Simulated, Swept
from mho.devices import Switching
from mho.devices.effects.base import innermost
from mho.lifecycle import degrade
from mho.nn import Crossbar, crossbars
from mho.programming import set_polarity

_POINTS = 16  # voltages of each sign; between them the current is a straight line


def apply_non_linear(
    layer: nn.Module,
    sweep_duration: float | None = None,
    sweep_voltage_signal_amplitude: float | None = None,
    sweep_voltage_signal_frequency: float | None = None,
    simulate: bool = False,
) -> None:
    """Read cells by their own current-voltage behaviour.

    Args:
        layer: a patched layer or network, patched with ``max_input_voltage``.
        sweep_duration: seconds; one period, ``1 / sweep_voltage_signal_frequency``.
        sweep_voltage_signal_amplitude: crest of a sine that RESETs, volts.
        sweep_voltage_signal_frequency: hertz.
        simulate: simulate each cell during each read, for ``time_series_resolution`` seconds
            (``mho.array.Simulated``), instead of looking its current up in one sweep (``mho.array.Swept``).

    Raises:
        ValueError: arguments that do not go together, or arrays that are nonlinear or have wires already.
    """
    sweep = (sweep_duration, sweep_voltage_signal_amplitude, sweep_voltage_signal_frequency)
    if simulate and sweep != (None, None, None):
        raise ValueError(f"simulate = True and a sweep of {sweep!r}: give one of them")
    if not simulate and None in sweep:
        raise ValueError(
            f"a sweep of {sweep!r}: give sweep_duration, sweep_voltage_signal_amplitude and "
            "sweep_voltage_signal_frequency, or simulate=True"
        )
    made = []
    for path, array in crossbars(layer).items():
        _check(array, path)
        array.require_chip("NonLinear")
        made.append((array, _simulated(array) if simulate else _swept(array, *map(float, sweep))))  # type: ignore[arg-type]
    for array, cells in made:
        degrade(array, cells, seed=0)


def _check(layer: Crossbar, path: str) -> None:
    hardware = layer.hardware
    if not isinstance(innermost(hardware.device), Switching):
        raise ValueError(f"{path!r} holds {type(hardware.device).__name__}: only switching models have a law")
    if not isinstance(hardware.array, arrays.Ideal):
        raise ValueError(
            f"{path!r} has {type(hardware.array).__name__} already: cells without Ohm's law have wires "
            "without resistance; apply NonLinear once, and leave source_resistance and line_resistance out"
        )
    if hardware.dac is None:
        raise ValueError(f"{path!r} knows no voltage: give max_input_voltage to patch_model")


def _simulated(layer: Crossbar) -> Simulated:
    memristor: Any = layer.owner.memristor
    pulse = memristor.time_series_resolution
    return Simulated(model=_model(layer), pulse=pulse, points=_POINTS)


def _swept(layer: Crossbar, duration: float, amplitude: float, frequency: float) -> Swept:
    if not math.isclose(duration * frequency, 1.0, rel_tol=1e-6):
        raise ValueError(
            f"sweep_duration = {duration!r} s at {frequency!r} Hz: a single sweep is one period, "
            f"{1 / frequency:g} s"
        )
    if not amplitude > 0:
        raise ValueError(
            f"sweep_voltage_signal_amplitude = {amplitude!r}: a positive number of volts; the sweep goes in "
            "the direction of the model's RESET"
        )
    model = _model(layer)
    made = Swept(model=model, amplitude=-set_polarity(model) * amplitude, frequency=frequency, points=_POINTS)
    device = layer.hardware.device
    g = torch.linspace(device.g_min, device.g_max, 9, dtype=torch.float64)
    left = next(iter(made.chords(g, [1.0], device.v_read))) / g
    if float(left.min()) < 0.9:
        warnings.warn(
            f"a sweep of {frequency:g} Hz moves the cells before it reaches the read voltage of "
            f"{device.v_read:g} V: down to {float(left.min()):.2g} of the programmed current is left. Sweep "
            "faster, or read below the threshold",
            stacklevel=4,
        )
    return made


def _model(layer: Crossbar) -> Any:
    return innermost(layer.hardware.device).model  # type: ignore[attr-defined]
