"""What a conversion takes: energy, area and time over the resolution."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from mho.config import Count, NonNegative, Positive, config

PICO, SQUARE_MICRON = 1e-12, 1e-12


class ConverterPrice(ABC):
    """What one ADC, or one DAC, takes. One of your own writes these three methods."""

    @abstractmethod
    def joules(self, bits: int) -> float:
        """Energy of one conversion."""

    @abstractmethod
    def square_metres(self, bits: int) -> float:
        """Area of one converter."""

    @abstractmethod
    def seconds(self, bits: int) -> float:
        """Time of one conversion."""


@config
class Tabulated(ConverterPrice):
    """Converters that are known at some resolutions, all of one rate.

    Attributes:
        bits: resolutions, one after the other.
        energies: joules of a conversion.
        areas: square metres.
        rate: conversions a second.
        source: where the figures are from.
    """

    bits: Annotated[tuple[Count, ...], Field(min_length=1)]
    energies: tuple[Positive, ...]
    areas: tuple[NonNegative, ...]
    rate: Positive
    source: str = ""

    def validate(self) -> None:
        """As many of each, and each resolution once, rising."""
        if not len(self.bits) == len(self.energies) == len(self.areas):
            raise ValueError(
                f"bits has {len(self.bits)} entries, energies {len(self.energies)}, areas {len(self.areas)}: "
                "give as many of each"
            )
        if list(self.bits) != sorted(set(self.bits)):
            raise ValueError(f"bits = {self.bits}: give each resolution once, the lowest first")

    def _place(self, bits: int) -> int:
        if bits not in self.bits:
            known = ", ".join(map(str, self.bits))
            raise ValueError(
                f"bits = {bits}: this technology knows such converters of {known} bits; take one of these (a "
                "DAC of one bit: stream=Stream()), or a technology with others: mho.costs.GENERIC_22"
            )
        return self.bits.index(bits)

    def joules(self, bits: int) -> float:
        """Of the table."""
        return self.energies[self._place(bits)]

    def square_metres(self, bits: int) -> float:
        """Of the table."""
        return self.areas[self._place(bits)]

    def seconds(self, bits: int) -> float:
        """The same for all."""
        return 1 / self.rate


_STEPS: dict[str, Callable[[int], int]] = {
    "flash": lambda bits: 1,
    "sar": lambda bits: bits + 1,
    "ramp": lambda bits: 1 << bits,
}


@config
class Survey(ConverterPrice):
    """Converters as they were published: the envelope of a survey, times how far from it.

    The envelope is ``E = 0.2672 pJ + 0.14456 aJ 4^bits``: the mean of the three best of 725 designs at each
    end. The best tenth of the designs of 4 to 9 bits since 2015 takes 4.8 times as much, the median 18.7
    times. The area is the regression ``ln A = 3.192 + .6636 ln node + .2199 ln rate + .4802 ln E`` in square
    microns, nanometres and picojoules, which explains 57 % of the variance; at the rate that 8 bits have, or
    fewer bits, which are faster, would be larger. Bits are effective ones: a converter
    of 8 bits whose noise leaves 7.5 is paid as one of 8 here, which is an upper bound.

    Source: B. Murmann, ADC Performance Survey 1997-2025 (BSD licence), evaluated anew.

    Attributes:
        quality: ``optimistic`` (the envelope), ``good`` (5 times as much) or ``typical`` (19 times).
        node: metres.
        clock: steps a second.
        steps: of a conversion: ``flash`` 1, ``sar`` one for each bit and one to sample, ``ramp`` ``2^bits``.

    >>> [f"{Survey(quality='optimistic').joules(bits) * 1e12:.3f}" for bits in (6, 8, 10, 12)]
    ['0.268', '0.277', '0.419', '2.693']
    """

    quality: Literal["optimistic", "good", "typical"] = "good"
    node: Positive = 22e-9
    clock: Positive = 1e9
    steps: Literal["flash", "sar", "ramp"] = "sar"

    def joules(self, bits: int) -> float:
        """The envelope times 1, 5 or 19."""
        times = {"optimistic": 1.0, "good": 5.0, "typical": 19.0}[self.quality]
        return times * (0.2672 * PICO + 0.14456e-18 * 4.0**bits)

    def square_metres(self, bits: int) -> float:
        """The regression, at the rate of 8 bits."""
        rate, picojoules = 1 / self.seconds(8), self.joules(bits) / PICO
        logarithm = 3.192 + 0.6636 * math.log(self.node * 1e9) + 0.2199 * math.log(rate)
        return math.exp(logarithm + 0.4802 * math.log(picojoules)) * SQUARE_MICRON

    def seconds(self, bits: int) -> float:
        """One clock for each step."""
        return _STEPS[self.steps](bits) / self.clock


@config
class Drivers(ConverterPrice):
    """Drivers of rows: a switch for one bit, a DAC for more.

    A DAC of two to eight bits is paid as one of eight; each bit beyond doubles energy and area, as those of a
    DAC of capacitors.

    Source: one bit, 32 nm: ISAAC in hwcomponents (MIT licence); eight bits, 40 nm: Brahms, in the same.

    Attributes:
        one_bit, eight_bits: joules of a drive.
        one_bit_area, eight_bits_area: square metres.

    >>> Drivers().joules(1) > Drivers().joules(8), Drivers().square_metres(1) < Drivers().square_metres(4)
    (True, True)
    """

    one_bit: NonNegative = 0.4167 * PICO
    eight_bits: NonNegative = 0.291 * PICO
    one_bit_area: NonNegative = 0.166 * SQUARE_MICRON
    eight_bits_area: NonNegative = 438 * SQUARE_MICRON

    def joules(self, bits: int) -> float:
        """Of one drive."""
        return self.one_bit if bits == 1 else self.eight_bits * 2.0 ** max(bits - 8, 0)

    def square_metres(self, bits: int) -> float:
        """Of one driver."""
        return self.one_bit_area if bits == 1 else self.eight_bits_area * 2.0 ** max(bits - 8, 0)

    def seconds(self, bits: int) -> float:
        """None of its own: a read waits until its currents have settled."""
        return 0.0


@config
class Walden(ConverterPrice):
    """A figure of merit for each step: ``E = step_energy 2^bits``; no area.

    Source: R. H. Walden, IEEE J. Sel. Areas Commun. 17, 539 (1999). The default is the median of the survey
    since 2015 from 1 MS/s to 1 GS/s (B. Murmann, ADC Performance Survey 1997-2025).

    Attributes:
        step_energy: joules.
        rate: conversions a second.
        area: square metres.
    """

    step_energy: Positive = 24e-15
    rate: Positive = 1e8
    area: NonNegative = 0.0

    def joules(self, bits: int) -> float:
        """Doubles with each bit."""
        return self.step_energy * 2.0**bits

    def square_metres(self, bits: int) -> float:
        """The same for all."""
        return self.area

    def seconds(self, bits: int) -> float:
        """The same for all."""
        return 1 / self.rate
