"""Phase-change memory with coefficients of your own."""

from __future__ import annotations

from torch import Tensor

from mho.config import Finite, NonNegative, Positive, config
from mho.devices._curves import polynomial
from mho.devices.pcm import PCM


@config
class CustomPCM(PCM):
    """Phase-change memory in the form of :class:`~mho.devices.PCM`, with coefficients of your own.

    With r = g/g_max: ``sigma_prog = sum_i program_i r^i`` microsiemens at a highest conductance of
    ``g_reference``, and ``Q = min(read r^-read_power, read_most)``. The defaults are those of
    :class:`~mho.devices.PCM`, with its sources.

    Attributes:
        program: coefficients of the programming error, microsiemens, from the constant on.
        g_reference: highest conductance of the cells that ``program`` was measured on, siemens.
        read, read_power, read_most: of the read noise; ``read_power`` = 0 is noise in proportion to the
            conductance.

    Example:
        >>> import torch
        >>> g = torch.linspace(0, 25e-6, 5)
        >>> bool((CustomPCM().program_std(g) == PCM().program_std(g)).all())
        True
    """

    program: tuple[Finite, ...] = (0.26348, 1.9650, -1.1731)
    g_reference: Positive = 25e-6
    read: NonNegative = 0.0088
    read_power: NonNegative = 0.65
    read_most: Positive = 0.2

    def validate(self) -> None:
        """What every phase-change memory is held to, and one coefficient at least."""
        super().validate()
        if not self.program:
            raise ValueError("program = (): give at least one coefficient; (0.0,) is no error")

    def program_std(self, g_target: Tensor) -> Tensor:
        """The polynomial, rescaled to ``g_max``."""
        microsiemens = polynomial(g_target / self.g_max, self.program)
        return microsiemens.clamp_min(0) * (1e-6 * self.g_max / self.g_reference)

    def read_fraction(self, g: Tensor) -> Tensor:
        """``min(read r^-read_power, read_most)``, also at r = 0."""
        return (self.read * (g / self.g_max).clamp_min(1e-4) ** -self.read_power).clamp_max(self.read_most)
