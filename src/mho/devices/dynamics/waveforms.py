"""Voltage waveforms: sine, triangle, trains of pulses, staircases.

Each returns ``(voltage, time)`` as a named tuple, so that ``model.simulate(*sine(...))`` works. Samples of
:func:`sine` and :func:`triangle` are joined by straight lines; those of :func:`pulses` and
:func:`staircase` hold (pass ``held=True`` to ``simulate``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mho.config import python_number


class Waveform(NamedTuple):
    """A voltage over time.

    Attributes:
        voltage: volts, ``[time]``.
        time: seconds, ``[time]``.
    """

    voltage: Tensor
    time: Tensor


def sine(
    amplitude: float,
    frequency: float,
    periods: float = 1.0,
    samples: int = 500,
    dtype: torch.dtype = torch.float64,
) -> Waveform:
    """``amplitude * sin(2 pi frequency t)``.

    Args:
        amplitude: volts.
        frequency: hertz.
        periods: length in periods.
        samples: samples per period.
        dtype: float32 or float64.
    """
    phase, time = _periodic(frequency, periods, samples)
    return Waveform((amplitude * torch.sin(2 * math.pi * phase)).to(dtype), time)


def triangle(
    amplitude: float,
    frequency: float,
    periods: float = 1.0,
    samples: int = 500,
    dtype: torch.dtype = torch.float64,
) -> Waveform:
    """0, ``amplitude``, 0, ``-amplitude``, 0 in straight lines.

    Args:
        amplitude: volts; a negative one starts downwards.
        frequency: hertz.
        periods: length in periods.
        samples: samples per period; a multiple of 4 hits the corners.
        dtype: float32 or float64.
    """
    phase, time = _periodic(frequency, periods, samples)
    saw = torch.remainder(phase + 0.25, 1.0)
    return Waveform((amplitude * (1 - 4 * (saw - 0.5).abs())).to(dtype), time)


def pulses(
    amplitudes: Sequence[float] | Tensor, width: float, gap: float = 0.0, dtype: torch.dtype = torch.float64
) -> Waveform:
    """Rectangular pulses, each followed by 0 V, to be held between samples.

    Args:
        amplitudes: volts, one for each pulse.
        width: length of a pulse, seconds.
        gap: pause at 0 V after each pulse, seconds; 0 for none.
        dtype: float32 or float64.

    Returns:
        Samples at each edge; the last one is the end of the train, at 0 V.

    Example:
        >>> pulses([1.0, -1.0], width=1e-6, gap=1e-6).voltage.tolist()
        [1.0, 0.0, -1.0, 0.0, 0.0]
    """
    _check(width=width)
    if not (0 <= gap < math.inf):
        raise ValueError(f"gap = {gap!r}: a pause is a finite number of seconds, 0 or more")
    levels = torch.as_tensor(amplitudes, dtype=torch.float64).reshape(-1)
    _check_levels("amplitudes", levels)
    if gap:
        levels = torch.stack([levels, torch.zeros_like(levels)], 1).reshape(-1)
    lengths = torch.full_like(levels, width)
    if gap:
        lengths[1::2] = gap
    time = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Waveform(torch.cat([levels, levels.new_zeros(1)]).to(dtype), time)


def staircase(levels: Sequence[float] | Tensor, dwell: float, dtype: torch.dtype = torch.float64) -> Waveform:
    """Levels one after the other without return to 0 V, to be held between samples.

    Args:
        levels: volts.
        dwell: time at each level, seconds.
        dtype: float32 or float64.

    Returns:
        One sample at the start of each level, and the end of the last one.
    """
    _check(dwell=dwell)
    values = torch.as_tensor(levels, dtype=torch.float64).reshape(-1)
    _check_levels("levels", values)
    time = torch.arange(len(values) + 1, dtype=torch.float64) * dwell
    return Waveform(torch.cat([values, values[-1:]]).to(dtype), time)


def _periodic(frequency: float, periods: float, samples: int) -> tuple[Tensor, Tensor]:
    """Phase in periods, and time."""
    _check(frequency=frequency, periods=periods)
    samples = python_number(samples)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 4:
        raise ValueError(f"samples = {samples!r}: a period has at least 4 samples")
    phase = torch.arange(round(periods * samples) + 1, dtype=torch.float64) / samples
    return phase, phase / frequency


def _check(**values: float) -> None:
    for name, value in values.items():
        if not (0 < value < math.inf):
            raise ValueError(f"{name} = {value!r}: it must be a positive, finite number")


def _check_levels(name: str, levels: Tensor) -> None:
    if not len(levels) or not bool(torch.isfinite(levels).all()):
        raise ValueError(f"{name} = {levels.tolist()}: at least one voltage, all finite")
