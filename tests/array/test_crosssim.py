"""Products of CrossSim 3.2.0 with parasitic resistances, its solver converged to 1e-9.

Its resistances are relative to a cell of 10 kohm at its highest conductance; its conductances were
rounded to float32 before the solve. Inputs are columns, ``y = W x``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mho.array import GatedWires, Polynomial, SharedColumns, Wires, solve_nonlinear

DATA = Path(__file__).parents[1] / "reference/data/crosssim"
ARRAYS = np.load(DATA / "det_16.npz")
CASES = {
    name: case["params"]
    for name, case in json.loads((DATA / "det_16.json").read_text()).items()
    if name.endswith("_tight") and f"y:{name}" in ARRAYS.files
}
WEIGHTS = ARRAYS["W"]  # float32, and so is CrossSim's arithmetic up to the conductances
X = torch.from_numpy(ARRAYS["X"].astype(np.float64))
G_MAX, G_MIN = 1e-4, 1e-6
PREFIX = "xbar.array.parasitics."


LOWEST, SPAN = G_MIN / G_MAX, 1 - G_MIN / G_MAX


def siemens(normalised: np.ndarray) -> Tensor:
    """CrossSim's float32 ``[output, input]`` as ``g[row, column]``."""
    assert normalised.dtype == np.float32
    return torch.from_numpy(normalised.T.astype(np.float64)) * G_MAX


def pair() -> tuple[Tensor, Tensor]:
    """One-sided differential pairs."""
    w = WEIGHTS / np.abs(WEIGHTS).max()
    plus, minus = np.where(w >= 0, w, 0), np.where(w < 0, -w, 0)
    return siemens(LOWEST + SPAN * plus), siemens(LOWEST + SPAN * minus)


def ohms(params: dict) -> tuple[dict, dict]:
    """Resistances of the two line directions as ``Wires`` and ``GatedWires`` name them.

    CrossSim adds the terminal resistance of the inputs to every segment of the first word line instead of
    to the first segment of every word line (its matrix is ``[output, input]``); the cases are of that.
    """
    row, column = params.get(PREFIX + "Rp_row", 0.0), params.get(PREFIX + "Rp_col", 0.0)
    first = row + params.get(PREFIX + "Rp_row_terminal", 0.0)
    end = params.get(PREFIX + "Rp_col_terminal", 0.0)
    unused = params.get("core.rows_max", 16) - 16
    below = params.get(PREFIX + "selected_rows", "top") == "bottom"
    gated = {
        "source": row,
        "column": column,
        "driver": unused * row * below,
        "sense": unused * column * (not below),
    }
    return {"row": (first, *(row,) * 15), "column": column, "sense": end}, gated


def gated_product(params: dict, plus: Tensor, minus: Tensor) -> Tensor:
    """Seven bits of sign and magnitude, one read for each."""
    wires = GatedWires(**ohms(params)[1])
    code, total = torch.round(X.clamp(-1, 1).abs() * 127).long(), torch.zeros(8, 16, dtype=torch.float64)
    for bit in range(7):
        v = (((code >> bit) & 1) * X.sign()).T
        if params.get("core.balanced.interleaved_posneg"):
            i = wires.difference(plus, minus, v)
        else:
            i = wires.currents(plus, v) - wires.currents(minus, v)
        total += i * 2**bit / 127
    return total


def currents(params: dict) -> Tensor:
    """Differences of the pairs' currents at one volt, or currents of single cells, ``[vector, column]``."""
    wires, x = Wires(**ohms(params)[0]), X.T
    if "core.style" in params:
        w = WEIGHTS / (2 * np.abs(WEIGHTS).max())
        return x @ wires.effective_conductance(siemens(SPAN * (w + np.float32(0.5)) + LOWEST))
    plus, minus = pair()
    if params.get(PREFIX + "current_from_input") is False:
        return gated_product(params, plus, minus)
    if params.get("core.balanced.interleaved_posneg"):
        a, b = SharedColumns(wires=wires).effective_pair(plus, minus)
        return x @ (a - b)
    if "xbar.device.nonlinear_IV.model" in params:
        volts, law = params["xbar.device.Vread"], Polynomial(coefficients=(0.0, -0.25))
        both = solve_nonlinear(law, torch.stack((plus, minus)), wires, (x * volts).expand(2, 8, 16))
        return (both.current[0] - both.current[1]) / volts
    a, b = wires.effective_conductance(torch.stack((plus, minus)))
    return x @ (a - b)


def test_the_cases_are_there() -> None:
    assert len(CASES) == 24
    assert sum("gateinput" in name for name in CASES) == 9


@pytest.mark.parametrize("name", CASES)
def test_product(name: str) -> None:
    params = CASES[name]
    y = currents(params).T / G_MAX
    if "core.style" in params:  # the offset is subtracted from the sum of the inputs
        y = 2 * (y - (0.5 * SPAN + LOWEST) * X.sum(0))
    y = y / SPAN * float(np.abs(WEIGHTS).max())
    expected = torch.from_numpy(ARRAYS[f"y:{name}"].astype(np.float64))
    assert float((y - expected).abs().max() / expected.abs().max()) < 1e-7
