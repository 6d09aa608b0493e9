"""Cells that cannot be programmed."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.config import Fraction, Siemens, config
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Tiles
from mho.devices.ideal import Ideal

_SOUND, _HIGHEST, _LOWEST = -1.0, -2.0, -3.0  # in the place of a conductance

Amount = Fraction | Annotated[int, Field(ge=0)]


@config
class StuckAt(Effect):
    """Cells stuck in the low-resistance or the high-resistance state, and cells that were never formed.

    A stuck cell has its conductance at any time, whatever is written to it and whatever effects are
    around it; of two stuck-at effects the inner one wins. Cells inside that have bounds of their own are
    stuck at those. Its read fluctuates like that of a sound cell
    of the same conductance. The three kinds never overlap: one draw decides for each cell.

    Amounts are given as in scikit-learn: a float is a fraction of the cells, an int a number of cells
    (``1`` is one cell, ``1.0`` is all of them). A fraction is each cell's own chance unless ``exact``.

    Attributes:
        device: the device inside.
        lrs, hrs, unformed: how many cells are stuck low-resistive, high-resistive, never formed.
        exact: of N cells (or lines) exactly ``int(N * fraction)`` are stuck; numbers always are exact.
        of: what is stuck: single ``"cells"``, or all cells of whole ``"rows"`` (word lines) or
            ``"columns"`` (bit lines), as when a line or its driver fails.
        per: where lines begin and end and numbers count: in each ``"tile"``, or in the whole ``"layer"``.
            Each copy of a mapping and each group of a convolution has arrays of its own.
        g_lrs, g_hrs: conductance of stuck cells, siemens; None for the highest and the lowest one that a
            cell has.
        g_unformed: conductance of cells that were never formed, siemens.

    Draws: one for each cell. Chips do not depend on the tile size, except with ``per="tile"`` and either
    exact amounts or lines.

    Example:
        >>> import mho, torch
        >>> device = mho.devices.StuckAt(device=mho.devices.PCM(), lrs=0.25, hrs=0.1)
        >>> analog = mho.convert(torch.nn.Linear(64, 32), mho.Hardware(device=device))
        >>> mho.program(analog, seed=0)
    """

    device: InstanceOf[Device] = Ideal()
    lrs: Amount = 0.0
    hrs: Amount = 0.0
    unformed: Amount = 0.0
    exact: bool = False
    of: Literal["cells", "rows", "columns"] = "cells"
    per: Literal["tile", "layer"] = "tile"
    g_lrs: Siemens | None = None
    g_hrs: Siemens | None = None
    g_unformed: Siemens = 0.0

    draws: ClassVar[int] = 1

    def validate(self) -> None:
        """Amounts of one sort that do not overlap; the states fit the device."""
        amounts = (self.lrs, self.hrs, self.unformed)
        if self._counted and any(isinstance(a, float) and a > 0 for a in amounts):
            raise ValueError(
                f"lrs = {self.lrs!r}, hrs = {self.hrs!r}, unformed = {self.unformed!r}: give fractions "
                "(floats) or numbers of cells (ints), not both"
            )
        if not self._counted and sum(amounts) > 1 + 1e-12:
            raise ValueError(
                f"lrs + hrs + unformed = {sum(amounts):g}: a cell is stuck in one way only, the fractions "
                "add up to 1 at most"
            )
        super().validate()

    def check_inside(self) -> None:
        """A low-resistance state that conducts more."""
        lrs = self.g_max if self.g_lrs is None else self.g_lrs
        hrs = self.g_min if self.g_hrs is None else self.g_hrs
        if lrs < hrs:
            raise ValueError(
                f"g_lrs = {lrs!r} S is below g_hrs = {hrs!r} S: the low-resistance state conducts more; "
                "did you swap them?"
            )

    @property
    def parameters(self) -> int:
        """One: the conductance of a stuck cell, -1 for a sound one, -2 and -3 for a bound of its own."""
        return 1

    @property
    def alone(self) -> bool:
        """Not with exact amounts or lines."""
        return self.of == "cells" and not self._exact

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The conductance of each stuck cell, siemens, -1 for sound cells.

        -2 stands for the highest and -3 for the lowest conductance of a cell with bounds of its own.
        """
        draw = eps[0]
        if self.alone or tiles is None or self.per == "layer":
            return self._state(draw).unsqueeze(0)
        own = torch.empty_like(draw)
        for a, b in tiles.rows:
            for c, d in tiles.columns:
                own[..., a:b, c:d] = self._state(draw[..., a:b, c:d])
        return own.unsqueeze(0)

    def fixed(self, g: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """The stuck cells."""
        state = own[0]
        if not self.own_bounds:
            return state >= 0, state
        low, high = self.bounds
        value = torch.where(state == _HIGHEST, high, torch.where(state == _LOWEST, low, state))
        return state != _SOUND, value

    @property
    def _counted(self) -> bool:
        return any(isinstance(a, int) and a > 0 for a in (self.lrs, self.hrs, self.unformed))

    @property
    def _exact(self) -> bool:
        return self.exact or self._counted

    def _values(self) -> tuple[float, float, float]:
        lrs, hrs = (_HIGHEST, _LOWEST) if self.own_bounds else (self.g_max, self.g_min)
        return (
            lrs if self.g_lrs is None else self.g_lrs,
            hrs if self.g_hrs is None else self.g_hrs,
            self.g_unformed,
        )

    def _state(self, draw: Tensor) -> Tensor:
        """The state of the cells of one array, ``[..., row, column]``."""
        if self.of == "rows":
            units = draw[..., :1]
        elif self.of == "columns":
            units = draw[..., :1, :]
        else:
            units = draw
        place, ends = self._ranked(units) if self._exact else self._uniform(units)
        state = torch.full_like(units, _SOUND)
        # each kind ends where the next begins, so the last one written, the first of the three, is right
        for value, end in reversed(list(zip(self._values(), ends, strict=True))):
            state = torch.where(place < end, value, state)
        return state.expand_as(draw)

    def _uniform(self, units: Tensor) -> tuple[Tensor, list[float]]:
        """Each unit's uniform number, and up to which one it is stuck in each way."""
        u = 0.5 * torch.erfc(-units.double() / math.sqrt(2))
        a, b, c = (float(x) for x in (self.lrs, self.hrs, self.unformed))
        every = 1.0 if a + b + c > 1 - 1e-12 else a + b + c  # 0.7 + 0.2 + 0.1 is all
        return u.clamp(max=1 - 2.0**-53), [a, a + b, every]

    def _ranked(self, units: Tensor) -> tuple[Tensor, list[float]]:
        """Each unit's rank in its array, and up to which rank it is stuck in each way."""
        flat = units.flatten(-2) if units.dim() > 1 else units.reshape(1, -1)
        number = flat.shape[-1]
        counts = [a if self._counted else int(number * a + 1e-9) for a in (self.lrs, self.hrs, self.unformed)]
        if sum(counts) > number:
            raise ValueError(
                f"lrs + hrs + unformed = {sum(counts):g}: an array has {number} {self.of} here; give "
                "fewer, or fractions"
            )
        ranks = flat.argsort(dim=-1).argsort(dim=-1).reshape(units.shape)
        return ranks, [sum(counts[: k + 1]) for k in range(3)]
