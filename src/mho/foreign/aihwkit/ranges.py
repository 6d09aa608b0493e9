"""Resolutions and ranges of inputs."""

from __future__ import annotations

from mho import converters
from mho.converters import Range
from mho.foreign.aihwkit.reader import Reader

FINE = 2**23
"""Steps where there is a bound and no rounding: codes that float32 tells apart."""


def steps(resolution: float) -> int | None:
    """Steps between the codes: its resolutions are numbers of steps, or one over them; None for none.

    >>> steps(254.0), steps(1 / 126), steps(-1)
    (254, 126, None)
    """
    if resolution <= 0:
        return None
    return round(resolution if resolution > 1 else 1 / resolution)


def input_range(learned: Reader, bound: float) -> Range:
    """The full scale from training, from data, or given; scaled inputs are clipped at ``bound``."""
    full = float(learned["init_value"]) * bound
    if learned["learn_input_range"]:
        return converters.Learned(
            initial=full, decay=float(learned["decay"]), inside=float(learned["input_min_percentage"])
        )
    return converters.Calibrated() if learned["init_from_data"] else converters.Fixed(limit=full)
