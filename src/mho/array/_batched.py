"""Products of many small matrices in two memory layouts.

:class:`Stack` keeps the batch first, ``[batch, row, column]``, for the batched BLAS. :class:`Lanes`
keeps it last, ``[row, column, batch]``, where matrices of a few rows are multiplied elementwise along
the batch; a batched BLAS call would cost more than the product.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Stack:
    """Batch first."""

    @staticmethod
    def part(x: Tensor, rows: slice, columns: slice) -> Tensor:
        return x[:, rows, columns]

    @staticmethod
    def halves(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The first ``n`` matrices and the others."""
        return x[:n], x[n:]

    @staticmethod
    def both(x: Tensor, y: Tensor) -> Tensor:
        """One batch of two."""
        return torch.cat((x, y))

    @staticmethod
    def empty(like: Tensor, rows: int, columns: int) -> Tensor:
        return like.new_empty(like.shape[0], rows, columns)

    @staticmethod
    def t(x: Tensor) -> Tensor:
        return x.transpose(1, 2)

    @staticmethod
    def above(x: Tensor, y: Tensor) -> Tensor:
        """x above y."""
        return torch.cat((x, y), dim=1)

    @staticmethod
    def flip_rows(x: Tensor) -> Tensor:
        return x.flip(1)

    @staticmethod
    def mm(x: Tensor, y: Tensor) -> Tensor:
        return torch.bmm(x, y)

    @staticmethod
    def add_mm(total: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """``total + x y``, in place."""
        return total.baddbmm_(x, y)

    @staticmethod
    def inverse_of_one_plus(x: Tensor) -> Tensor:
        """``(1 + x)^-1``; x is overwritten."""
        x.diagonal(dim1=1, dim2=2).add_(1.0)
        inverse: Tensor = torch.linalg.inv_ex(x).inverse
        return inverse


class Lanes:
    """Batch last."""

    @staticmethod
    def part(x: Tensor, rows: slice, columns: slice) -> Tensor:
        return x[rows, columns]

    @staticmethod
    def halves(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The first ``n`` matrices and the others."""
        return x[..., :n], x[..., n:]

    @staticmethod
    def both(x: Tensor, y: Tensor) -> Tensor:
        """One batch of two."""
        return torch.cat((x, y), dim=-1)

    @staticmethod
    def empty(like: Tensor, rows: int, columns: int) -> Tensor:
        return like.new_empty(rows, columns, like.shape[-1])

    @staticmethod
    def t(x: Tensor) -> Tensor:
        return x.transpose(0, 1)

    @staticmethod
    def above(x: Tensor, y: Tensor) -> Tensor:
        """x above y."""
        return torch.cat((x, y))

    @staticmethod
    def flip_rows(x: Tensor) -> Tensor:
        return x.flip(0)

    @staticmethod
    def mm(x: Tensor, y: Tensor) -> Tensor:
        total = x[:, 0:1] * y[0:1]
        for k in range(1, y.shape[0]):
            total.addcmul_(x[:, k : k + 1], y[k : k + 1])
        return total

    @staticmethod
    def add_mm(total: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """``total + x y``, in place."""
        for k in range(y.shape[0]):
            total.addcmul_(x[:, k : k + 1], y[k : k + 1])
        return total

    @staticmethod
    def inverse_of_one_plus(x: Tensor) -> Tensor:
        """``(1 + x)^-1``; x is overwritten."""
        if x.shape[0] == 1:
            return x.add_(1.0).reciprocal_()
        if x.shape[0] == 2:
            a, b, c, d = x[0, 0] + 1, x[0, 1], x[1, 0], x[1, 1] + 1
            scale = 1 / torch.addcmul(a * d, b, c, value=-1)
            return torch.stack((d * scale, -b * scale, -c * scale, a * scale)).view_as(x)
        return to_lanes(Stack.inverse_of_one_plus(to_stack(x)))


Layout = type[Stack] | type[Lanes]


def to_stack(x: Tensor) -> Tensor:
    """From batch last to batch first."""
    return x.permute(2, 0, 1).contiguous()


def to_lanes(x: Tensor) -> Tensor:
    """From batch first to batch last."""
    return x.permute(1, 2, 0).contiguous()
