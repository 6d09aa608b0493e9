"""Netlists: their form, and that ngspice finds the same currents."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from mho.array import Law, Ohmic, Polynomial, Series, Sinh, Table, Wires, solve_nonlinear
from mho.export import spice

INF = math.inf
NGSPICE = shutil.which("ngspice")
needs_ngspice = pytest.mark.skipif(
    NGSPICE is None, reason="ngspice is not installed (Debian: apt install ngspice)"
)


def cells(rows: int, columns: int) -> torch.Tensor:
    g = torch.from_numpy(10.0 ** np.random.default_rng(0).uniform(-6, -4, (rows, columns)))
    g[1, 2] = 0
    return g


def run(netlist: str, folder: Path) -> torch.Tensor:
    """Currents of the bit lines as ngspice prints them."""
    path = folder / "tile.cir"
    path.write_text(netlist)
    done = subprocess.run(
        [NGSPICE, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    found = re.findall(r"^i\(vsense\d+\)\S* = (\S+)$", done.stdout, flags=re.MULTILINE)
    assert found, done.stdout + done.stderr
    return torch.tensor([float(x) for x in found], dtype=torch.float64)


@needs_ngspice
@pytest.mark.parametrize(
    "wires",
    [
        Wires(row=2.0, column=3.0),
        Wires(row=500.0, column=500.0),
        Wires(row=0.0, column=0.0),
        Wires(row=0.0, column=2.0, driver=10.0, far_sense=3.0),
        Wires(row=2.0, column=3.0, sense=5.0, far_driver=0.0, far_sense=(0.0, 1.0, INF, 3.0, 0.0)),
        Wires(row=20.0, column=30.0, driver=(INF, INF, 1.0, 1.0, INF, 1.0), sense=(1.0, 1.0, INF, INF, 1.0)),
    ],
)
def test_ngspice_agrees(wires: Wires, tmp_path: Path) -> None:
    g, v = cells(6, 5), torch.rand(6, dtype=torch.float64) * 0.4 - 0.1
    v_column = torch.rand(5, dtype=torch.float64) * 0.1
    expected = wires.solve(g, v, v_column).current
    found = run(spice(g, wires, v, v_column), tmp_path)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-9


@needs_ngspice
@pytest.mark.parametrize("law", [Sinh(v_c=0.1), Polynomial(coefficients=(0.3, -0.2, 0.5)), Ohmic()])
def test_ngspice_agrees_on_nonlinear_cells(law: Law, tmp_path: Path) -> None:
    g, v, wires = cells(6, 5), torch.rand(6, dtype=torch.float64) * 0.4 - 0.1, Wires(row=20.0, column=30.0)
    expected = solve_nonlinear(law, g, wires, v).current
    found = run(spice(g, wires, v, law=law), tmp_path)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-8


def test_form_of_the_netlist() -> None:
    g, v = cells(2, 3), torch.tensor([0.1, 0.2], dtype=torch.float64)
    wires = Wires(row=1.0, column=2.0, driver=(3.0, INF))
    lines = spice(g, wires, v, title="a\ntile", control=False).splitlines()
    assert lines[0] == "* a tile" and lines[-2:] == [".op", ".end"]
    assert "rword_0_0 d0 w_0_0 4.0" in lines  # driver and first segment
    assert not any(line.startswith(("rword_1_0 ", "rcell_1_2 ")) for line in lines)  # open driver, no cell
    assert sum(line.startswith("rcell") for line in lines) == 5
    assert sum(line.startswith("rbit") for line in lines) == 6


def test_bad_input() -> None:
    g, v, wires = cells(2, 3), torch.zeros(2), Wires(row=1.0, column=1.0)
    with pytest.raises(ValueError, match="one tile"):
        spice(g[None], wires, v)
    with pytest.raises(ValueError, match=r"v has shape \(3,\)"):
        spice(g, wires, torch.zeros(3))
    with pytest.raises(ValueError, match="v holds a voltage"):
        spice(g, wires, torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match="g = -1.0 S at row 0, column 0"):
        spice(-torch.ones(1, 1), wires, torch.zeros(1))
    with pytest.raises(TypeError, match="Ohmic, Sinh and Polynomial have a netlist"):
        spice(g, wires, v, law=Table(v=(0.0, 1.0), h=(0.0, 1.0)))
    with pytest.raises(TypeError, match="have a netlist"):
        spice(g, wires, v, law=Series(cell=Ohmic(), selector=Ohmic(), selector_g=1.0))
