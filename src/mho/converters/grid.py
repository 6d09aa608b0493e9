"""The uniform grid of codes of a DAC or an ADC.

With full scale ``limit``, lowest value ``low`` and ``steps`` steps, one step is
``lsb = (limit - low) / steps``. A code is ``round(value / lsb)``, half to even, between
``low / lsb`` and ``limit / lsb``.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.autograd import may_overwrite, round_clip
from mho.config import NonNegative
from mho.converters.ranges import Range
from mho.converters.ready import Ready


class Grid(NamedTuple):
    """Codes of a uniform converter, as plain numbers.

    Attributes:
        low: lowest code.
        high: highest code; the limit is ``high`` steps.
        shift: added before rounding and taken off after, where zero is not a code.
    """

    low: float
    high: float
    shift: float

    def codes(self, z: Tensor) -> Tensor:
        """Codes of ``z = value / lsb``; exact gradient through the clip, straight through the round."""
        if self.shift:
            return round_clip(z + self.shift, self.low + self.shift, self.high + self.shift) - self.shift
        return round_clip(z, self.low, self.high)

    def clips(self, z: Tensor) -> Tensor:
        """Where ``z`` is more than half a step beyond the codes."""
        return (z > self.high + 0.5) | (z < self.low - 0.5)

    def codes_(self, z: Tensor) -> Tensor:
        """:meth:`codes` in place, without a gradient."""
        if self.shift:
            return z.add_(self.shift).round_().sub_(self.shift).clamp_(self.low, self.high)
        return z.round_().clamp_(self.low, self.high)


class Uniform:
    """Fields and grid shared by the uniform DAC and ADC; see their own pages."""

    bits: Annotated[int, Field(ge=1, le=24)] | None
    steps: Annotated[int, Field(ge=1)] | None
    signed: bool
    zero: bool
    range: InstanceOf[Range]
    noise: NonNegative

    @staticmethod
    def complete(given: dict[str, Any]) -> dict[str, Any]:
        """Whoever gives ``steps`` gives no ``bits``."""
        return given if given.get("steps") is None else {"bits": None, **given}

    def validate(self) -> None:
        """A signed grid with zero needs an even number of steps, at least two."""
        if self.bits is not None and self.steps not in (None, self._steps_of(self.bits)):
            raise ValueError(
                f"bits = {self.bits!r} and steps = {self.steps!r}: give one of them ({self.bits} bits are "
                f"{self._steps_of(self.bits)} steps here), or bits=None beside steps"
            )
        if self.signed and self.zero and self.steps is None and self.bits == 1:
            raise ValueError(
                "bits = 1: a signed converter with zero as a level needs 2 bits (levels -1, 0, 1); "
                "use bits=2, or signed=False (levels 0, 1), or zero=False (levels -1, 1)"
            )
        if self.signed and self.zero and self.steps is not None and self.steps % 2:
            raise ValueError(
                f"steps = {self.steps!r}: zero is a level of a signed converter only if the number of "
                "steps is even; use an even number or zero=False"
            )

    @property
    def ideal(self) -> bool:
        """Whether there are no codes at all: infinite resolution, no clipping."""
        return self.bits is None and self.steps is None

    def grid(self) -> Grid:
        """The codes."""
        steps = self.steps
        if steps is None:
            if self.bits is None:
                raise ValueError("bits = None and steps = None: an ideal converter has no codes")
            steps = self._steps_of(self.bits)
        ratio = self.range.lowest()
        if ratio is None:
            ratio = -1.0 if self.signed else 0.0
        high = steps / (1 - ratio)
        low = high - steps
        return Grid(low, high, 0.0 if float(low).is_integer() else -low)

    def _steps_of(self, bits: int) -> int:
        return int(2**bits) - (2 if self.signed and self.zero else 1)

    @property
    def _quantises_itself(self) -> bool:
        """Whether a subclass gives other values than those of the grid."""
        return type(self).quantise is not Uniform.quantise

    @property
    def high(self) -> float:
        """The digit of full scale: its code, or 1 where there are no codes."""
        return 1.0 if self.ideal else self.grid().high

    @property
    def code_span(self) -> tuple[float, float] | None:
        """The lowest and the highest code, where rounding to whole codes and clipping is all that is done."""
        if self.ideal or self._quantises_itself or self.grid().shift:
            return None
        return self.grid().low, self.grid().high

    def per_current(self, unit: float | Tensor, limit: float | Tensor) -> float | Tensor:
        """Steps in ``unit``; ``limit`` is full scale."""
        return unit * (self.high / limit)

    def digits(self, z: Tensor) -> Tensor:
        """Codes of ``z = value / lsb``, a fresh tensor: in place where nothing needs its old value."""
        if self.ideal:
            return z
        if self._quantises_itself:
            return self.quantise(z, self.high)
        grid = self.grid()
        return grid.codes_(z) if may_overwrite() else grid.codes(z)

    def clips(self, z: Tensor) -> Tensor:
        """Where values in digits are more than half a step beyond the codes."""
        return z.abs() > self.high if self.ideal or self._quantises_itself else self.grid().clips(z)

    def ready(self) -> Ready:
        """What a read needs of this converter, made once."""
        itself = self.ideal or self._quantises_itself
        digits, high = self.digits if itself else self.grid().codes_, self.high

        def per_current(unit: float | Tensor, limit: float | Tensor) -> float | Tensor:
            return unit * (high / limit)

        def read(value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
            return digits(value)

        errors = getattr(self, "errors", None)  # of an ADC
        return Ready(self.range, self.ideal, high, per_current, digits, read, self.noise, errors=errors)

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        """Values on the grid: ``lsb * code``.

        Args:
            value: any shape.
            limit: full scale, broadcasts over ``value``.
        """
        if self.ideal:
            return value
        grid = self.grid()
        lsb = torch.as_tensor(limit, dtype=value.dtype, device=value.device) / grid.high
        return grid.codes(value / lsb) * lsb
