"""The variance of a read behind wires from the full linear response of the network, cell by cell."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.array import Wires
from mho.array.wires import effective_conductance


def responses(g: Tensor, wires: Wires) -> tuple[Tensor, Tensor]:
    """Voltage of each cell for one volt on each row, and share of a cell's current in each column.

    Args:
        g: ``[row, column]``, siemens, float64.
        wires: the lines; a second sense amplifier counts.

    Returns:
        ``[row driven, row, column]`` and ``[column sensed, row, column]``.
    """
    rows, columns = g.shape
    volts = wires.solve(g, torch.eye(rows).to(g)).device
    shares = wires.solve(g, g.new_zeros(columns, rows), torch.eye(columns).to(g)).device
    return volts, -shares


def by_autograd(g: Tensor, wires: Wires) -> Tensor:
    """``d i[column] / d g`` for the input of ones, ``[column, row, column]``: the gradient of the solver."""
    x = g.clone().requires_grad_()
    currents = effective_conductance(
        x, wires.row, wires.column, driver=wires.driver, sense=wires.sense,
        far_driver=wires.far_driver, far_sense=wires.far_sense,
    ).sum(0)  # fmt: skip
    return torch.stack([torch.autograd.grad(i, x, retain_graph=True)[0] for i in currents])


def variance(g: Tensor, wires: Wires, of_cells: Tensor, x: Tensor, power: int = 2) -> Tensor:
    """``sum over cells of of_cells T^2 |u|^power`` for inputs ``x[vector, row]``: ``[vector, column]``."""
    volts, shares = responses(g, wires)
    u = torch.einsum("bj,jkl->bkl", x, volts)
    return torch.einsum("bkl,ckl->bc", u.abs() ** power * of_cells, shares**2)
