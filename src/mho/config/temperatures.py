"""Times and temperatures of a chip as people give them."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from mho.config import python_number
from mho.config.durations import parse_duration

_LIKE_CELSIUS = (10.0, 200.0)  # temperatures at which chips are kept, in degrees Celsius


def seconds_of(name: str, value: float | str) -> float:
    """A time as seconds."""
    if isinstance(value, str):
        value = parse_duration(value, name)
    value = python_number(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} = {value!r}: give a number of seconds since programming, or text like '1y'")
    if not (0 <= float(value) < math.inf):
        raise ValueError(
            f"{name} = {value!r}: time since programming is finite and not negative (0: just programmed)"
        )
    return float(value)


def temperatures(
    seconds: float, kelvin: float | Sequence[tuple[float | str, float]]
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The temperature now, and what came before."""
    kelvin = python_number(kelvin)
    if isinstance(kelvin, numbers.Real):
        return _positive_kelvin(kelvin), ()
    if isinstance(kelvin, str) or not isinstance(kelvin, Sequence) or not kelvin:
        raise TypeError(f"kelvin = {kelvin!r}: give a temperature, or pairs of a time and a temperature")
    stages = []
    for stage in kelvin:
        if not isinstance(stage, Sequence) or isinstance(stage, str) or len(stage) != 2:
            raise TypeError(f"kelvin: {stage!r} is no pair of a time and a temperature")
        stages.append((seconds_of("kelvin", stage[0]), _positive_kelvin(stage[1])))
    whole = sum(length for length, _ in stages)
    if not math.isclose(whole, seconds, rel_tol=1e-6):
        raise ValueError(
            f"kelvin: its times are {whole:g} s together, and seconds = {seconds:g}; give that sum"
        )
    return stages[-1][1], tuple(stage for stage in stages[:-1] if stage[0] > 0)


def _positive_kelvin(value: Any) -> float:
    value = python_number(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"kelvin = {value!r}: give a temperature, 358.15 for 85 degrees Celsius")
    if not 0 < float(value) < math.inf:
        raise ValueError(f"kelvin = {value!r}: an absolute temperature is positive; 85 C are 358.15 K")
    kelvin = float(value)
    if _LIKE_CELSIUS[0] <= kelvin <= _LIKE_CELSIUS[1]:
        warnings.warn(
            f"kelvin = {kelvin:g} is {kelvin - 273.15:g} degrees Celsius; {kelvin:g} degrees Celsius are "
            f"kelvin = {kelvin + 273.15:g}",
            stacklevel=4,
        )
    return kelvin
