"""Arrays whose inputs only open and close the cells.

The current comes from source lines that run beside the bit lines; a word line is a gate and carries no
current. A cell whose input is zero is cut off, so that the network depends on the input and there is no
one matrix: each input vector is solved on its own, which is why such arrays take one bit at a time.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mho.array._circuit import check_shape, check_values
from mho.array._drops import Ladder, Line
from mho.array.newton import solve_cells
from mho.array.nonlinear import HasCurrent, Ohmic
from mho.config import config

FiniteOhms = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@config
class GatedWires:
    """Source lines and bit lines with resistance, side by side.

    Attributes:
        source: ohms of a source-line segment above each cell.
        column: ohms of a bit-line segment below each cell.
        driver: ohms between the supply and the top of a source line; add a segment for each unused row
            above the cells.
        sense: ohms between the bottom of a bit line and virtual ground; add one for each unused row
            below the cells.
    """

    source: FiniteOhms
    column: FiniteOhms
    driver: FiniteOhms = 0.0
    sense: FiniteOhms = 0.0

    def currents(self, g: Tensor, v: Tensor, law: HasCurrent | None = None) -> Tensor:
        """Currents into the sense amplifiers.

        Args:
            g: cell conductances ``[row, column]``, siemens.
            v: voltage that each row's cells see if no current flows, volts, ``[vector, row]``: the supply
                voltage where the input is on, exactly 0 where it is off.
            law: current-voltage law of a cell; ohmic if None.

        Returns:
            ``[vector, column]``, amperes. Gradients reach ``g`` and ``v``.

        >>> wires = GatedWires(source=10.0, column=10.0)
        >>> g = torch.full((2, 1), 1e-4, dtype=torch.float64)
        >>> one = wires.currents(g, torch.tensor([[0.0, 0.2]], dtype=torch.float64))
        >>> f"{one.item():.6e}"  # 0.2 V over 10 kohm, two source segments and one bit-line segment
        '1.994018e-05'
        """
        return self._solve(g.unsqueeze(0), v, law)

    def difference(self, g_plus: Tensor, g_minus: Tensor, v: Tensor, law: HasCurrent | None = None) -> Tensor:
        """Currents of pairs on common bit lines, each sign with its own source line of opposite voltage.

        Args:
            g_plus, g_minus: cell conductances ``[row, column]``, siemens.
            v, law: as in :meth:`currents`.
        """
        return self._solve(torch.stack((g_plus, g_minus)), v, law)

    def _solve(self, g: Tensor, v: Tensor, law: HasCurrent | None) -> Tensor:
        """``g[sign, row, column]`` to ``[vector, column]``."""
        check_shape(g)
        check_values(g.detach().unsqueeze(0))
        rows, columns = g.shape[-2:]
        if v.ndim != 2 or v.shape[1] != rows:
            raise ValueError(
                f"v has shape {tuple(v.shape)}: give [vector, {rows}], one voltage for each row of g"
            )
        signs = g.new_tensor([1.0, -1.0])[: g.shape[0]].view(-1, 1, 1)
        u0 = (v.to(g)[:, None, :, None] * signs).expand(-1, -1, -1, columns)
        state = g * (u0 != 0)
        law = law or Ohmic()
        u, _, _ = solve_cells(law, state, self._ladder(g), u0, None, 60)
        return law.current(u, state).sum(dim=(1, 2))

    def _ladder(self, g: Tensor) -> Ladder:
        rows, columns = g.shape[-2:]

        def line(segment: float, end: float) -> Line:
            ohms = g.new_full((columns, rows), segment)
            ohms[:, 0] += end
            return Line(ohms.detach(), g.new_full((columns,), float("inf")))

        return Ladder(line(self.source, self.driver), line(self.column, self.sense))
