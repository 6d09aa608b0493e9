"""Sneak currents and half-selected cells, against closed forms and the nodal truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mho.array import (
    Floating,
    Grounded,
    HalfVoltage,
    Ohmic,
    Series,
    Sinh,
    ThirdVoltage,
    Wires,
    access,
    selected_voltages,
)

from . import nodal

IDEAL = Wires(row=0.0, column=0.0)
SCHEMES = [Grounded(), Floating(), HalfVoltage(), ThirdVoltage()]


@pytest.mark.parametrize(
    "scheme, on_row, on_column, rest",
    [(Grounded(), 1.0, 0.0, 0.0), (HalfVoltage(), 0.5, 0.5, 0.0), (ThirdVoltage(), 1 / 3, 1 / 3, -1 / 3)],
)
def test_voltages_without_wires(scheme, on_row: float, on_column: float, rest: float, conductances) -> None:
    found = access(conductances(6, 5), IDEAL, scheme, 2, 3, 1.0)
    expected = torch.full((6, 5), rest, dtype=torch.float64)
    expected[2], expected[:, 3] = on_row, on_column
    expected[2, 3] = 1.0
    torch.testing.assert_close(found.device, expected, atol=1e-12, rtol=0)
    assert found.half_selected.item() == pytest.approx(max(on_row, on_column), abs=1e-12)
    assert found.unselected.item() == pytest.approx(abs(rest), abs=1e-12)


@pytest.mark.parametrize("rows, columns", [(2, 2), (8, 5), (16, 16)])
def test_sneak_path_of_a_uniform_floating_array(rows: int, columns: int) -> None:
    """Three groups in series: (columns - 1), (rows - 1)(columns - 1) and (rows - 1) equal cells."""
    g = torch.full((rows, columns), 1e-4, dtype=torch.float64)
    path = 1 / (columns - 1) + 1 / ((rows - 1) * (columns - 1)) + 1 / (rows - 1)
    found = access(g, IDEAL, Floating(), 1, 0, 0.5)
    assert found.sneak.item() == pytest.approx(0.5 * 1e-4 / path, rel=1e-9)
    assert found.selected.item() == pytest.approx(0.5, rel=1e-12)
    iterative = access(g, IDEAL, Floating(), 1, 0, 0.5, law=Ohmic())
    assert iterative.sneak.item() == pytest.approx(0.5 * 1e-4 / path, rel=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
def test_against_nodal(scheme, conductances) -> None:
    g, row, column, volts = conductances(6, 5), 4, 1, 0.8
    wires = Wires(row=30.0, column=20.0, driver=5.0, sense=8.0)
    found = access(g, wires, scheme, row, column, volts)
    rest = scheme.unselected(volts)
    v, low = np.full(6, rest[0] if rest else 0.0), np.full(5, rest[1] if rest else 0.0)
    v[row], low[column] = volts, 0.0
    driver, sense = np.full(6, 5.0), np.full(5, 8.0)
    if rest is None:
        driver[np.arange(6) != row], sense[np.arange(5) != column] = math.inf, math.inf
    truth = nodal.crossbar(g.numpy(), v, 30.0, 20.0, driver, sense, v_column=low)
    np.testing.assert_allclose(found.device.numpy(), (truth.word - truth.bit)[0], atol=1e-11)
    assert found.sensed.item() == pytest.approx(truth.current[0, column], rel=1e-9)
    assert found.sneak.item() == pytest.approx(
        truth.current[0, column] - float(found.cell[row, column]), rel=1e-7
    )
    sources = np.where(np.isfinite(driver), (v - truth.word[0, :, 0]) / (driver + 30.0) * v, 0.0).sum()
    sinks = np.where(np.isfinite(sense), truth.current[0] * low, 0.0).sum()
    assert found.power.item() < sources - sinks  # the rest heats the wires


@pytest.mark.parametrize(
    "scheme", [Grounded(), HalfVoltage(), ThirdVoltage()], ids=lambda s: type(s).__name__
)
def test_all_selections_at_once(scheme, conductances) -> None:
    g = torch.stack([conductances(7, 5, seed) for seed in range(2)])
    wires = Wires(row=30.0, column=20.0, driver=5.0)
    found = selected_voltages(g, wires, scheme, 1.2, portion=3)
    for row in range(7):
        for column in range(5):
            one = access(g, wires, scheme, row, column, 1.2)
            torch.testing.assert_close(found[:, row, column], one.selected, rtol=1e-10, atol=0)


def test_far_cells_get_less() -> None:
    g = torch.full((32, 32), 1e-4, dtype=torch.float64)
    v = selected_voltages(g, Wires(row=5.0, column=5.0), HalfVoltage(), 1.0)
    assert (
        v.argmax().item() == 31 * 32 and v.argmin().item() == 31
    )  # nearest to both ends, farthest from both


def test_a_selector_stops_the_sneak(conductances) -> None:
    """A cell and a steep selector: little passes at a third of the voltage, most at all of it."""
    g = conductances(8, 8)
    law = Series(cell=Ohmic(), selector=Sinh(v_c=0.03), selector_g=1e-12)
    bare = access(g, Wires(row=1.0, column=1.0), Floating(), 3, 4, 1.0)
    selected = access(g, Wires(row=1.0, column=1.0), Floating(), 3, 4, 1.0, law=law)
    own = selected.cell[3, 4]
    assert bare.sneak > 0.2 * bare.cell[3, 4]
    assert selected.sneak.abs() < 0.05 * own
    assert selected.cell.sum(1)[torch.arange(8) != 3].abs().max() < 1e-9 * own  # floating lines carry nothing


def test_bad_selections(conductances) -> None:
    g = conductances(4, 3)
    with pytest.raises(ValueError, match="row = 4: the array has rows 0 to 3"):
        access(g, IDEAL, Grounded(), 4, 0, 1.0)
    with pytest.raises(ValueError, match="column = -1"):
        access(g, IDEAL, Grounded(), 0, -1, 1.0)
    with pytest.raises(ValueError, match="floating lines make another network"):
        selected_voltages(g, IDEAL, Floating(), 1.0)
    g[2] = 0
    with pytest.raises(ValueError, match="word line 2 of tile 0 floats"):
        access(g, IDEAL, Floating(), 0, 0, 1.0)
