"""What every layout is made from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ArraySize(NamedTuple):
    """How large an array is that a matrix is cut for.

    Attributes:
        rows: most word lines of a tile; None for as many as the matrix has.
        columns: most bit lines of a tile; None for as many as the matrix has.
        full: fill each tile before the next one begins; else the cut is even.
        bias_rows: rows after those of the inputs that hold the bias.
    """

    rows: int | None
    columns: int | None
    full: bool = False
    bias_rows: int = 0


def no_tensor(x: object, where: str) -> str:
    """The sentence for an input that is no tensor; ``where``: the layer."""
    return f"x is a {type(x).__name__}: {where!r} takes a tensor; give torch.as_tensor(x)"


def check_floating(x: Tensor, where: str) -> None:
    """``TypeError`` unless ``x`` holds floating-point numbers; ``where``: the layer, for the message."""
    if not x.is_floating_point():
        raise TypeError(
            f"x has dtype {x.dtype}: {where!r} takes floating-point numbers; "
            + ("give real and imaginary part apart" if x.is_complex() else "give x.float()")
        )
