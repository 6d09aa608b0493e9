"""Least-squares correction of columns: ``wanted = gain * measured + shift``."""

from __future__ import annotations

import torch
from torch import Tensor


class AffineFit:
    """Running sums of a straight line for each column, in constant memory.

    Args:
        together: one line through the samples of all columns.
        owner: whose columns they are, for messages.

    >>> fit = AffineFit()
    >>> fit.add(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]]))
    >>> [v.item() for v in fit.solve()]
    [2.0, 1.0]
    """

    def __init__(self, together: bool = False, owner: str = "a layer") -> None:
        self.together, self.owner = together, owner
        self.count = 0
        self.sums: Tensor | None = None

    def add(self, measured: Tensor, wanted: Tensor) -> None:
        """Take samples ``[sample, column]`` of the array's and the digital layer's output."""
        x, y = measured.detach().double(), wanted.detach().double()
        sums = torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0)])
        self.count += x.shape[0]
        self.sums = sums if self.sums is None else self.sums + sums

    def solve(self) -> tuple[Tensor, Tensor]:
        """``(gain, shift)`` of each column; a column that reads a constant keeps gain 1."""
        if self.sums is None or self.count < 2:
            raise ValueError(f"an affine correction needs at least two samples of the output of {self.owner}")
        if not bool(self.sums.isfinite().all()):
            raise ValueError(
                f"an affine correction of {self.owner} met NaN or infinite outputs; check the data and the "
                "weights"
            )
        sums, n = self.sums, self.count
        if self.together:
            n *= sums.shape[1]
            sums = sums.sum(1, keepdim=True).expand_as(sums)
        sx, sy, sxx, sxy = sums
        spread = n * sxx - sx * sx
        steady = spread <= 1e-12 * (n * sxx).clamp(min=torch.finfo(torch.float64).tiny)
        gain = torch.where(
            steady, torch.ones_like(spread), (n * sxy - sx * sy) / torch.where(steady, 1.0, spread)
        )
        return gain, (sy - gain * sx) / n
