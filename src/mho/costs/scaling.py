"""From one technology node to another, for digital parts.

Source: A. Stillmaker, B. Baas, Integration 58, 74 (2017): the energy of a gate is ``a V^2 + b V + c``, and
areas, as they are used in hwcomponents. Nodes between theirs are interpolated, logarithm over logarithm.
Converters, drivers and memory cells do not follow these laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

ENERGY: Mapping[int, tuple[float, float, float]] = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
AREA: Mapping[int, float] = {
    130: 1.0, 90: 0.44, 65: 0.23, 45: 0.16, 32: 0.072, 20: 0.033, 16: 0.03, 14: 0.027, 10: 0.016, 7: 0.0092,
}  # fmt: skip
NANO = 1e-9


def energy_ratio(before: float, after: float, volts: float = 0.8) -> float:
    """What an operation takes at another node, over what it took.

    Args:
        before, after: nodes, metres, from 7 to 130 nm.
        volts: supply, at both.

    >>> round(energy_ratio(45e-9, 32e-9), 3)
    0.659
    """
    energies = {node: a * volts**2 + b * volts + c for node, (a, b, c) in ENERGY.items()}
    return _between(energies, after) / _between(energies, before)


def area_ratio(before: float, after: float) -> float:
    """What a circuit covers at another node, over what it covered; nodes in metres.

    >>> round(area_ratio(65e-9, 32e-9), 3)
    0.313
    """
    return _between(AREA, after) / _between(AREA, before)


def _between(values: Mapping[int, float], node: float) -> float:
    """A value at a node, on a line between logarithms."""
    nanometres = node / NANO
    if not min(values) * (1 - 1e-9) <= nanometres <= max(values) * (1 + 1e-9):
        raise ValueError(
            f"node = {node!r} m: the scaling is known from {min(values)} to {max(values)} nm; give one there"
        )
    return interpolated(sorted(values), [values[n] for n in sorted(values)], nanometres)


def interpolated(places: Sequence[float], values: Sequence[float], place: float) -> float:
    """A positive value between places, logarithm over logarithm; at the ends the last one."""
    place = min(max(place, places[0]), places[-1])
    k = next(k for k in range(1, len(places)) if place <= places[k])
    share = math.log(place / places[k - 1]) / math.log(places[k] / places[k - 1])
    return float(values[k - 1] * (values[k] / values[k - 1]) ** share)
