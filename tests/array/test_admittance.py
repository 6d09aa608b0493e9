"""What the drivers of an array see: the power of a read, against voltages and currents inside."""

import pytest
import torch
from torch import nn

import mho
from mho import costs
from mho.array import AlternateColumns, Approximate, Ideal, SharedColumns, Wires
from mho.converters import DAC, Fixed

PAIR, ALONE = ((1.0, -1.0),), ((1.0, 0.0), (0.0, 1.0))
INF = float("inf")
ENDS = {
    "near": {},
    "resistances of each line": {"driver": (5.0, 0.0, 9.0, 2.0, 7.0), "sense": (3.0, 1.0, 0.0, 8.0)},
    "both ends": {"driver": 5.0, "far_driver": 11.0, "sense": 2.0, "far_sense": 4.0},
    "open ends": {"driver": (INF, 5.0, 5.0, 5.0, 5.0), "far_driver": (3.0, INF, 4.0, 4.0, 4.0)},
}


def cells(*shape):
    return 1e-4 * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("ends", ENDS)
def test_power_is_that_of_cells_and_wires(ends) -> None:
    """Sum of V I at the drivers: each row's current flows through its cells."""
    wires, g = Wires(row=20.0, column=30.0, **ENDS[ends]), cells(1, 3, 5, 4)
    v = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = wires.admittance(g, ((1.0,),))
    assert y.shape == (3, 5, 5) and torch.allclose(y, y.mT, rtol=1e-9, atol=1e-18)
    inside = wires.solve(g[0], v)
    current = (g[0].unsqueeze(1) * inside.device).sum(-1)
    watts = (current * v).sum(-1)
    assert torch.allclose(torch.einsum("ni,kij,nj->kn", v, y, v), watts, rtol=1e-9, atol=0)
    lost = (watts - (g[0].unsqueeze(1) * inside.device.square()).sum((-2, -1))) / watts
    assert bool((lost > 1e-3).all())  # in the wires


@pytest.mark.parametrize("kind", [Wires, AlternateColumns, SharedColumns, Approximate])
@pytest.mark.parametrize("analog", [PAIR, ALONE])
def test_without_resistance_it_is_the_sum_of_conductances(kind, analog) -> None:
    array = (
        kind(row=0.0, column=0.0) if kind in (Wires, Approximate) else kind(wires=Wires(row=0.0, column=0.0))
    )
    g = cells(2, 3, 5, 4)
    y = array.admittance(g, analog)
    assert torch.allclose(y, torch.diag_embed(g.sum((0, -1))), rtol=1e-9, atol=1e-15)
    assert Ideal().admittance(g, analog) is None


def test_pairs_share_their_lines() -> None:
    """The sum over both word lines of a pair of V I; the negative one carries -V."""
    wires, g = Wires(row=20.0, column=30.0, driver=4.0), cells(2, 1, 4, 3)
    v = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    array = SharedColumns(wires=wires)
    both = torch.stack((g[0], g[1]), dim=-2).flatten(-3, -2)
    volts = torch.stack((v, -v), dim=-1).flatten(-2)
    y_lines = mho.array.wires.admittance_of(array.circuit_of_pair(g[0], g[1]), (1,))[0]
    wanted = torch.einsum("ni,ij,nj->n", volts, y_lines, volts)
    y = array.admittance(g, PAIR)[0]
    assert both.shape == (1, 8, 3) and torch.allclose(
        torch.einsum("ni,ij,nj->n", v, y, v), wanted, rtol=1e-12
    )
    alone = array.admittance(g, ALONE)  # copies of other channels lie in arrays of their own
    assert torch.allclose(alone, wires.admittance(g, ALONE), rtol=1e-12)


def test_the_energy_of_a_model_uses_it() -> None:
    """In float64, exact wires of no resistance against the sum of squares, to 1e-9."""
    torch.manual_seed(0)
    technology = costs.Chip(name="cells", node=32e-9, read_time=1e-7)
    x, found = torch.randn(6, 9, dtype=torch.float64), []
    for array in (Wires(row=0.0, column=0.0), Ideal(), Wires(row=5.0, column=5.0)):
        hardware = mho.Hardware(
            tile=mho.Tile(rows=5, columns=3), dac=DAC(bits=None, range=Fixed(limit=3.0)), array=array
        )
        torch.manual_seed(1)
        model = mho.convert(nn.Linear(9, 4).double(), hardware).eval()
        mho.program(model, seed=0)
        found.append(mho.cost(model, [x], technology, share=1).joules)
    assert abs(found[0] / found[1] - 1) < 1e-9 and found[2] != pytest.approx(found[1], rel=1e-4, abs=0)
