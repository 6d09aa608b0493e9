"""What it takes to program cells."""

from __future__ import annotations

from mho.config import NonNegative, Positive, config


@config
class Writing:
    """A programming pulse and the read that verifies it: ``V^2 G t + C V^2``.

    The defaults are those of NeuRRAM (W. Wan et al., Nature 608, 504 (2022)): 8.52 pulses of 1 us and up to
    1.75 V on average.

    Attributes:
        volts: of a pulse.
        seconds: of a pulse.
        farad: of the lines that are charged.
        verify: joules of the read that follows.
        parallel: cells that are written at the same time.
        pulses: of a cell, where programming does not count them.

    >>> f"{Writing().joules(4e-6, 8.52):.3g}"
    '1.04e-10'
    """

    volts: NonNegative = 1.75
    seconds: Positive = 1e-6
    farad: NonNegative = 0.0
    verify: NonNegative = 0.0
    parallel: Positive = 1.0
    pulses: Positive = 8.52

    def joules(self, siemens: float, pulses: float) -> float:
        """Of so many pulses on cells of this mean conductance."""
        return pulses * (self.volts**2 * (siemens * self.seconds + self.farad) + self.verify)

    def time(self, pulses: float) -> float:
        """Seconds of so many pulses."""
        return pulses * self.seconds / self.parallel
