"""The least-squares line of each column, from running sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mho.periphery import Affine, AffineFit, ColumnDrift, Compensation, GlobalDrift


def test_it_is_the_least_squares_line() -> None:
    x = torch.randn(300, 5) * torch.tensor([1e-3, 1.0, 1e3, 1.0, 1.0]) + torch.tensor([0, 0, 0, 100.0, 1e4])
    y = 1.7 * x - 0.3 + 0.1 * torch.randn(300, 5)
    fit = AffineFit()
    for a, b in zip(x.split(37), y.split(37), strict=True):
        fit.add(a, b)
    gain, shift = fit.solve()
    for column in range(5):
        wanted = np.polyfit(x[:, column].double(), y[:, column].double(), 1)
        assert [float(gain[column]), float(shift[column])] == pytest.approx(list(wanted), rel=1e-4, abs=1e-3)


def test_a_column_that_reads_a_constant_keeps_its_gain() -> None:
    fit = AffineFit()
    fit.add(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.tensor([[1.0, 4.0], [3.0, 6.0]]))
    gain, shift = fit.solve()
    assert gain.tolist() == [1, 1] and shift.tolist() == [2, 2]


def test_too_little_data_and_no_numbers() -> None:
    for samples in (0, 1):
        fit = AffineFit()
        fit.add(torch.ones(samples, 2), torch.ones(samples, 2))
        with pytest.raises(ValueError, match="at least two samples"):
            fit.solve()
    fit = AffineFit()
    fit.add(torch.tensor([[1.0], [float("nan")]]), torch.ones(2, 1))
    with pytest.raises(ValueError, match="NaN or infinite outputs; check the data and the weights"):
        fit.solve()


def test_what_a_compensation_needs() -> None:
    needs = {kind: kind().needs_data for kind in (GlobalDrift, ColumnDrift, Affine)}
    assert needs == {GlobalDrift: False, ColumnDrift: False, Affine: True}
    with pytest.raises(TypeError, match="abstract"):
        Compensation()
