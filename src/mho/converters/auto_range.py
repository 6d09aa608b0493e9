"""ADCs that set their range anew for each vector, to a power of two, and count in two's complement."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.autograd import round_clip
from mho.config import Positive, config
from mho.converters.adc import ADC
from mho.converters.grid import Grid
from mho.converters.ranges import Dynamic, Range, Spans

Overflow = Annotated[float, Field(ge=0, lt=1)]


@config
class AutoRange(Dynamic):
    """The full scale of the currents of one array for one input vector, for an ADC.

    It models an array that looks at the currents of its columns before they are converted. Each tile and,
    in a convolution, each position of the kernel is measured by itself. Outputs never depend on the other
    vectors of a batch.

    Attributes:
        overflow: fraction of the columns of an array that may exceed the full scale, the largest ones;
            rounded to whole columns.
        powers_of_two: round the full scale up to a power of two times ``unit``.
        unit: in cell currents; one ampere is ``1 / (v_read * g_max)``.

    >>> currents = torch.tensor([0.3, 0.7, 1.5, 2.0])
    >>> AutoRange().full_scale(currents, (0,), ((0, 2), (2, 4))).tolist()
    [1.0, 1.0, 2.0, 2.0]
    >>> AutoRange(overflow=0.25, powers_of_two=False).full_scale(currents, (0,), ((0, 4),)).tolist()
    [1.5]
    """

    overflow: Overflow = 0.0
    powers_of_two: bool = True
    unit: Positive = 1.0

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: Spans = ()) -> Tensor:
        """The full scale of each current (see :meth:`mho.converters.Range.full_scale`).

        Args:
            values: cell currents, any shape.
            axes: that of the columns comes first; positions of a convolution are measured one by one.
            columns: first and last + 1 column of each tile; of one more, the unit column, if there is one.

        Returns:
            To broadcast over ``values``; 0 where an array gives none.
        """
        size, axis = values.detach().abs(), axes[0]
        ends = [b for _, b in columns[:-1]] + [size.shape[axis]]
        scales = []
        for a, b in zip([0, *ends[:-1]], ends, strict=True):
            part = size.narrow(axis, a, b - a)
            over = min(round(self.overflow * (b - a)), b - a - 1)
            top = part.amax(axis, keepdim=True) if not over else _ranked(part, axis, b - a - over)
            scale = _rounded_up(top / self.unit) * self.unit if self.powers_of_two else top
            scales.append(scale if len(ends) == 1 else scale.expand_as(part))
        return scales[0] if len(scales) == 1 else torch.cat(scales, axis)

    def check(self, channels: int | None) -> None:
        """It measures what arrays give."""
        if channels is None:
            raise ValueError("dac.range = AutoRange(...): it measures currents; use Dynamic() for inputs")


def _ranked(values: Tensor, axis: int, rank: int) -> Tensor:
    return values.kthvalue(rank, dim=axis, keepdim=True).values


def _rounded_up(values: Tensor) -> Tensor:
    """The next power of two; 0 for 0."""
    mantissa, exponent = torch.frexp(values)
    exact = (mantissa == 0.5).to(exponent.dtype)
    power = torch.ldexp(torch.ones_like(values), exponent - exact)
    return torch.where(values > 0, power, 0.0)


class _Asymmetric(Grid):
    """Codes of which the highest one, that of full scale, is out of reach."""

    __slots__ = ()

    def codes(self, z: Tensor) -> Tensor:
        """One code less at the upper end."""
        return round_clip(z, self.low, self.high - 1)

    def codes_(self, z: Tensor) -> Tensor:
        """:meth:`codes` in place, without a gradient."""
        return z.round_().clamp_(self.low, self.high - 1)


@config
class TwosComplement(ADC):
    """A uniform ADC whose codes go from ``-2^(bits - 1)`` to ``2^(bits - 1) - 1``.

    Full scale is ``2^(bits - 1)`` steps, so that a full scale that is a power of two makes the step one too.
    The other fields of :class:`ADC` stay at their defaults.

    Attributes:
        bits: resolution.
        range: where full scale comes from.

    >>> TwosComplement(bits=3).quantise(torch.tensor([-1.2, -0.3, 0.3, 1.0]), 1.0)
    tensor([-1.0000, -0.2500,  0.2500,  0.7500])
    """

    bits: Annotated[int, Field(ge=1, le=24)] = 8
    range: InstanceOf[Range] = AutoRange()

    @staticmethod
    def complete(given: dict[str, Any]) -> dict[str, Any]:
        """Steps do not stand for bits here."""
        return given

    def validate(self) -> None:
        """The grid is that of the bits."""
        if self.steps is not None or not self.signed or not self.zero:
            raise ValueError(
                f"steps = {self.steps!r}, signed = {self.signed!r}, zero = {self.zero!r}: two's complement "
                "is given by its bits alone; take ADC for other grids"
            )
        super().validate() if self.bits > 1 else None

    def grid(self) -> Grid:
        """The codes; ``high`` is the one of full scale, which is out of reach."""
        half = 2.0 ** (self.bits - 1)
        return _Asymmetric(-half, half, 0.0)
