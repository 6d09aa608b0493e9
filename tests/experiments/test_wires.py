"""The wire study: its numbers are those of the arrays, its text and figure show them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mho.array import Wires
from mho.errors import ConfigError
from mho.experiments.wires import WireStudy, bits
from mho.report.wires import wires_figure, wires_text

STUDY = WireStudy(rows=24, columns=16, wires=Wires(row=2.0, column=3.0), sizes=(8, 16, 32), ohms=(1.0, 4.0))


@pytest.fixture(scope="module")
def result():
    return STUDY.run()


def test_voltage_map_and_shares(result) -> None:
    g, _ = STUDY.pair(24, 16)
    solution = Wires(row=2.0, column=3.0).solve(g, torch.full((24,), 0.2, dtype=g.dtype))
    np.testing.assert_allclose(result.device, solution.device / 0.2, rtol=1e-9)
    np.testing.assert_allclose(result.share, solution.current / (0.2 * g.sum(0)), rtol=1e-9)
    assert result.device[-1, 0] == result.device.max() and result.device[0, -1] < result.device.mean()


def test_sweep_follows_first_order_theory(result) -> None:
    """Error proportional to the resistance, and to the square of the size, while it is small."""
    error = {(row.size, row.ohm): row.error for row in result.sweep}
    assert error[16, 4.0] / error[16, 1.0] == pytest.approx(4.0, rel=0.03)
    assert error[32, 1.0] / error[16, 1.0] == pytest.approx(4.0, rel=0.3)
    for row in result.sweep:
        assert row.after_gain < row.error < row.loss
        assert row.loss == pytest.approx(row.ohm * 6.25e-6 * row.size**2, rel=0.7)
        assert row.bits == bits(row.after_gain)


def test_choice_is_the_largest_within_tolerance(result) -> None:
    for choice in result.choice:
        rows = {row.size: row.after_gain for row in result.sweep if row.ohm == choice.ohm}
        assert choice.size == max(size for size, error in rows.items() if error <= 0.01)
        assert choice.size <= choice.estimate
    none = WireStudy(rows=4, columns=4, sizes=(64,), ohms=(10.0,), tolerance=1e-4).run()
    assert none.choice[0].size == 0 and "-" in wires_text(none).splitlines()[-1]


def test_same_seed_same_numbers(result) -> None:
    again = STUDY.run()
    assert again.sweep == result.sweep and np.array_equal(again.device, result.device)


def test_text_and_figure(result) -> None:
    text = wires_text(result)
    assert "24 x 16 cells" in text and f"{100 * result.share.min():.2f} % at worst" in text
    figure = wires_figure(result)
    picture, curves = figure.axes[0], figure.axes[1]
    np.testing.assert_allclose(picture.images[0].get_array(), 100 * result.device)
    solid = next(line for line in curves.lines if line.get_label() == "4 Ω")
    np.testing.assert_allclose(solid.get_ydata(), [100 * r.after_gain for r in result.sweep if r.ohm == 4.0])


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="g_min"):
        WireStudy(g_min=1e-4, g_max=1e-5)
    with pytest.raises(ConfigError, match="sizes"):
        WireStudy(sizes=())
    with pytest.raises(ValueError, match="row has 2 resistances, the array has 4"):
        WireStudy(rows=4, columns=4, wires=Wires(row=(1.0, 2.0), column=1.0), sizes=(4,)).run()
