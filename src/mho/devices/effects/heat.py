"""How heat makes time go faster: Arrhenius' law, at one temperature or through several."""

from __future__ import annotations

import math

from mho.devices.effects.base import Effect

BOLTZMANN_EV = 8.617333262e-5  # eV/K, CODATA 2018
_LARGEST = 600.0  # an age so much faster is a number still


def acceleration(activation: float, kelvin: float, reference: float) -> float:
    """How many times faster than at the reference temperature time goes, ``exp(E / k (1/T_ref - 1/T))``.

    Args:
        activation: activation energy E, electronvolts.
        kelvin: temperature T.
        reference: temperature T_ref, kelvin.

    >>> round(acceleration(1.0, 358.15, 298.15))
    679
    """
    exponent = activation / BOLTZMANN_EV * (1 / reference - 1 / kelvin)
    return math.exp(min(exponent, _LARGEST))


def passed(effect: Effect, seconds: float, activation: float, kelvin: float, reference: float) -> float:
    """Time at the reference temperature that does what ``seconds`` of the chip's life did.

    Args:
        effect: knows the temperatures of the chip, if an effect gives it any.
        seconds: time since programming.
        activation: activation energy, electronvolts.
        kelvin: temperature of a chip that no effect gives one.
        reference: temperature at which time goes as it does, kelvin.
    """
    given = effect.chip_temperature
    total = 0.0
    for length, then in effect.chip_past:
        total += min(seconds, length) * acceleration(activation, then, reference)
        seconds -= min(seconds, length)
    return total + seconds * acceleration(activation, kelvin if given is None else given, reference)
