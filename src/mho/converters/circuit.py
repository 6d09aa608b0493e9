"""ADCs as circuits: each converter of a chip has levels of its own.

A converter of ``bits`` bits divides its span into ``2^bits`` codes; with full scale ``V``, code ``c``
means ``V (2c + 1 - 2^bits) / 2^bits``: zero lies between two levels. Its frozen errors are standard
normal draws, made once per chip; what a conversion needs is computed from them, in units of ``V``.

Source: M. Spear et al., "The impact of analog-to-digital converter architecture and variability on analog
neural network accuracy", IEEE J. Explor. Solid-State Comput. Devices Circuits 9, 176 (2023).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.autograd import learns, straight_through
from mho.config import NonNegative
from mho.converters.base import ColumnConverter
from mho.converters.ranges import Range

Bits = Annotated[int, Field(ge=2, le=12)]
Columns = Annotated[int, Field(ge=1)]

_BINNED = 10  # bits up to which thresholds are looked up by bins


class Circuit(ColumnConverter):
    """An ADC whose codes follow from a circuit with frozen errors.

    Attributes:
        bits: resolution.
        signed: full scale on both sides of zero; else from zero upwards.
        columns: neighbouring columns of an array that one converter reads, one after the other.
        range: where full scale comes from.
        noise: standard deviation of the noise of each conversion, in cell currents.
    """

    bits: Bits
    signed: bool
    columns: Columns
    range: InstanceOf[Range]
    noise: NonNegative

    def validate(self) -> None:
        """The reference of a circuit is one voltage: its range cannot be lopsided."""
        lowest = self.range.lowest()
        if lowest is not None:
            raise ValueError(
                f"range.low = {lowest:g} of full scale: the span of a circuit is [-limit, limit], or "
                "[0, limit] with signed=False; leave low out, or use ADC(...) for any other span"
            )

    @abstractmethod
    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        """What a conversion needs, in units of full scale.

        Args:
            own: standard normal draws of each converter, ``[..., own_draws]``.
            shared: draws of its array, ``[..., array_draws]``.

        Returns:
            ``[..., k]``, to be given to :meth:`convert`.
        """

    @abstractmethod
    def convert(self, value: Tensor, table: Tensor) -> Tensor:
        """Codes from 0 to ``2^bits - 1``, in the dtype of ``value``.

        Args:
            value: currents in units of full scale, in [-1, 1], ``[converter, vector]``.
            table: what :meth:`table` gave, ``[converter, k]``.
        """

    def tables(self, draws: Tensor) -> Tensor:
        """The tables of all converters of a layer, ``[..., k]``, from what :meth:`draw` gave."""
        return self.table(draws[..., : self.own_draws], draws[..., self.own_draws :])

    def pack(self, draws: Tensor) -> Tensor:
        """The packed tables."""
        return self.packed(self.tables(draws))

    def digits(self, z: Tensor) -> Tensor:
        """The level of each current, in units of full scale."""
        nominal = self.nominal(z.detach()).unsqueeze(0)
        return self.levels(z.reshape(1, -1), nominal).view(z.shape)

    def clips(self, z: Tensor) -> Tensor:
        """Beyond the span, ``[-1, 1]``, or ``[0, 1]`` without sign."""
        return z.abs() > 1 if self.signed else (z > 1) | (z < 0)

    def nominal(self, like: Tensor) -> Tensor:
        """The table of a converter without mismatch, ``[k]``."""
        zeros = like.new_zeros(max(self.own_draws, self.array_draws))
        return self.table(zeros[: self.own_draws], zeros[: self.array_draws])

    def packed(self, table: Tensor) -> Tensor:
        """What :meth:`look_up` needs, made once for a chip: the table, unless there is a faster way.

        Args:
            table: what :meth:`table` gave, ``[..., k]``.
        """
        return table

    def look_up(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        """:meth:`convert` with packed tables.

        Args:
            value: currents in units of full scale, in [-1, 1], ``[row, vector]``.
            packed: what :meth:`packed` gave, ``[converter, k]``.
            rows: which converter reads each row, ``[row]``.
        """
        return self.convert(value, packed[rows])

    def levels(self, value: Tensor, table: Tensor) -> Tensor:
        """The level that each value is read as; the gradient is 1 within the span and 0 beyond.

        Args:
            value: currents in units of full scale, ``[converter, vector]``.
            table: ``[converter, k]``.
        """
        return self._levels(value, lambda used: self.convert(used, table))

    def read(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        """:meth:`levels` with packed tables; the arguments are those of :meth:`look_up`."""
        return self._levels(value, lambda used: self.look_up(used, packed, rows))

    def _levels(self, value: Tensor, convert: Callable[[Tensor], Tensor]) -> Tensor:
        low = -1.0 if self.signed else 0.0
        inside = value.clamp(low, 1.0)
        with torch.no_grad():
            used = inside.detach() if self.signed else 2 * inside.detach() - 1
            count = float(2**self.bits)
            read = (2 * convert(used.contiguous()) + (1 - count)) / count
            if not self.signed:
                read = (read + 1) / 2
        if learns(value):
            return straight_through(inside, read)
        return read

    def quantise(self, value: Tensor, limit: float | Tensor) -> Tensor:
        """What a converter without mismatch gives for each value.

        Args:
            value: any shape.
            limit: full scale, broadcasts over ``value``.
        """
        return self.digits(value / limit) * limit


class Comparing(Circuit):
    """A circuit that compares with ``2^bits - 1`` thresholds; its table are those, in rising order.

    Packed, the span is cut into ``2^(bits + 1)`` bins: for each of them the number of thresholds below it
    and those in it, as many as the fullest bin has.
    """

    def convert(self, value: Tensor, table: Tensor) -> Tensor:
        """The number of thresholds below each value."""
        return torch.searchsorted(table.contiguous(), value).to(value.dtype)

    @property
    def _bins(self) -> int:
        return (2 << self.bits) + 1  # the last one for full scale alone

    def _bin(self, value: Tensor) -> Tensor:
        """The bin of each value: rising with it, so that a threshold in a lower bin is a lower one."""
        half = float(1 << self.bits)
        return torch.add(half, value, alpha=half).floor()

    def packed(self, table: Tensor) -> Tensor:
        """Number below and thresholds of each bin, ``[..., bin * (1 + most)]``.

        A circuit of more than 10 bits keeps its thresholds: bins would take too much memory.
        """
        if self.bits > _BINNED:
            return table
        bins = torch.arange(self._bins, dtype=table.dtype, device=table.device)
        bins = bins.expand(*table.shape[:-1], -1).contiguous()
        place = self._bin(table).contiguous()
        below = torch.searchsorted(place, bins)
        most = int((torch.searchsorted(place, bins, right=True) - below).max()) if below.numel() else 0
        padded = torch.nn.functional.pad(table, (0, most), value=torch.inf)
        inside = [padded.gather(-1, below + j) for j in range(most)]
        return torch.stack([below.to(table.dtype), *inside], dim=-1).flatten(-2)

    def look_up(self, value: Tensor, packed: Tensor, rows: Tensor) -> Tensor:
        """The number of thresholds below each value: those of lower bins, and those of its own bin."""
        if self.bits > _BINNED:
            return self.convert(value, packed[rows])
        size, flat = packed.shape[-1] // self._bins, packed.flatten()
        place = self._bin(value).to(torch.int64).clamp(0, self._bins - 1)  # a NaN lies anywhere
        place = torch.add((rows * packed.shape[-1]).unsqueeze(1), place, alpha=size).flatten()
        line = value.flatten()
        code = flat.index_select(0, place)
        for j in range(1, size):
            code = code + (flat.index_select(0, place + j) < line)
        return code.view(value.shape)


def amplified(level: Tensor, gain_db: float, feedback: Tensor | float) -> Tensor:
    """A level behind an amplifier of finite gain: ``level / (1 + 1 / (A beta))``.

    Args:
        level: any shape.
        gain_db: open-loop gain of the amplifier, dB: ``A = 10^(gain_db / 20)``.
        feedback: the feedback factor beta.
    """
    return level / (1 + 10 ** (-gain_db / 20) / feedback)


def binary_digits(count: int, digits: int, like: Tensor) -> Tensor:
    """The binary digits of 0 .. ``count - 1``, lowest first, ``[count, digits]``."""
    numbers = torch.arange(count, device=like.device).unsqueeze(1)
    places = torch.arange(digits, device=like.device)
    return ((numbers >> places) & 1).to(like.dtype)


def search_thresholds(level: Tensor) -> Tensor:
    """Where the code of a binary search changes.

    The search asks for the middle level first and goes up if the value is larger. If levels are not in
    order, those that no path reaches are without effect: the codes are missing.

    Args:
        level: the level that each code 1, 2, ... is compared with, ``[..., 2^bits - 1]``.

    Returns:
        Rising thresholds, the same shape.
    """
    count = level.shape[-1] + 1
    result = level.clone()
    half = count // 2
    while half >= 1:
        places = torch.arange(half, count, 2 * half, device=level.device)
        middle = level[..., places - 1]
        if half < count // 2:
            below = places - half  # 0 for the first: no threshold below it
            above = places + half  # count for the last
            low = torch.nn.functional.pad(result[..., below[1:] - 1], (1, 0), value=-torch.inf)
            high = torch.nn.functional.pad(result[..., above[:-1] - 1], (0, 1), value=torch.inf)
            middle = torch.maximum(torch.minimum(middle, high), low)
        result[..., places - 1] = middle
        half //= 2
    return result
