"""Lines that float: their voltages follow from the currents of their cells adding to zero."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.array._drops import Free


class Floating:
    """The cells on floating lines, weighted by their slopes g."""

    def __init__(self, free: Free, g: Tensor) -> None:
        self.free = free
        self.rows, self.columns = list(free.rows), list(free.columns)
        self.g = g
        self.factor: Tensor | None = None
        if free:
            across, along = g[:, self.rows, :].sum(-1), g[:, :, self.columns].sum(-2)
            a = torch.diag_embed(torch.cat((across, along), dim=1))
            both = g[:, self.rows][:, :, self.columns]
            n = len(self.rows)
            a[:, :n, n:] = -both
            a[:, n:, :n] = -both.mT
            self.factor = torch.linalg.cholesky(a)

    def spread(self, f: Tensor) -> Tensor | float:
        """Cell voltages ``C f`` from line voltages."""
        if not self.free:
            return 0.0
        v_row = f.new_zeros(f.shape[0], self.g.shape[1])
        v_column = f.new_zeros(f.shape[0], self.g.shape[2])
        v_row[:, self.rows] = f[:, : len(self.rows)]
        v_column[:, self.columns] = f[:, len(self.rows) :]
        return v_row[:, :, None] - v_column[:, None, :]

    def gather(self, i: Tensor) -> Tensor:
        """Sums of currents ``C^T i`` on the lines."""
        if not self.free:
            return i[:, :0].flatten(1)
        return torch.cat((i[:, self.rows, :].sum(-1), -i[:, :, self.columns].sum(-2)), dim=1)

    def solve(self, x: Tensor) -> Tensor:
        """``(C^T g C)^-1 x``."""
        assert self.factor is not None
        return torch.cholesky_solve(x.unsqueeze(-1), self.factor).squeeze(-1)

    def start(self, u0: Tensor) -> Tensor:
        """Line voltages of linear cells without wires."""
        return -self.solve(self.gather(self.g * u0)) if self.free else u0[:, :0].flatten(1)

    def particular(self, root: Tensor, balance: Tensor) -> Tensor:
        """Weighted currents that undo what the sums are wrong by."""
        if not self.free:
            return torch.zeros_like(root)
        return -root * self.spread(self.solve(balance))

    def project(self, x: Tensor, root: Tensor) -> Tensor:
        """The part of weighted currents that adds to zero on each floating line."""
        if not self.free:
            return x
        return x - root * self.spread(self.solve(self.gather(root * x)))

    def multipliers(self, x: Tensor, root: Tensor) -> Tensor:
        """Line voltages whose weighted spread is x."""
        return self.solve(self.gather(root * x)) if self.free else x[:, :0].flatten(1)

    def volts(self, balance: Tensor) -> Tensor:
        """Line voltages that would make the sums vanish."""
        return self.solve(balance) if self.free else balance
