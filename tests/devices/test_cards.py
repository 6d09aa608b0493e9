"""Cells of which a figure or two is published: NOR flash, charge-domain SRAM."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import mho
from mho.devices import ChargeSRAM, NORFlash
from mho.errors import ConfigError

N = 20_000


def draws(seed: int) -> torch.Tensor:
    return torch.randn(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("share", [1e-3, 0.1, 1.0])
def test_nor_cells_are_tuned_to_one_per_cent_of_their_target(share: float) -> None:
    target = torch.full((N,), share * 10e-6, dtype=torch.float64)
    error = NORFlash().programmed(target, draws(1)) / target - 1
    assert stats.kstest(error.numpy(), stats.norm(scale=0.01).cdf).pvalue > 1e-3


def test_nor_cells_keep_what_they_hold_and_range_over_three_orders() -> None:
    device = NORFlash()
    assert device.g_max / device.g_min == pytest.approx(1e3)
    g = torch.tensor([1e-8, 1e-5])
    cells = device.drift_state(g, torch.zeros(2))
    assert torch.equal(device.aged(g, cells, 3e8), g)
    with pytest.raises(ConfigError, match="three orders of magnitude; raise g_min"):
        NORFlash(g_min=1e-9)


def test_capacitors_scatter_with_the_root_of_their_area() -> None:
    """Four cells of 1 fF side by side scatter like one of 4 fF: independent parts of one area."""
    on, one = torch.full((N,), 1e-6, dtype=torch.float64), ChargeSRAM()
    four = sum(one.programmed(on, draws(seed)) for seed in range(4)) / 4
    whole = ChargeSRAM(capacitance=4e-15).programmed(on, draws(9))
    sigma = 2.1 * 10**-2.5 / 2
    for g in (four, whole):
        assert stats.kstest((g / on - 1).numpy(), stats.norm(scale=sigma).cdf).pvalue > 1e-3
    quarter = one.programmed(on / 4, draws(10)) / 1e-6 - 0.25  # a quarter of the area
    assert stats.kstest(quarter.numpy(), stats.norm(scale=sigma).cdf).pvalue > 1e-3


def test_a_cell_that_is_off_has_no_error_and_a_finite_slope() -> None:
    off = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    g = ChargeSRAM().programmed(off, torch.ones(1, dtype=torch.float64))
    g.backward()
    assert g.item() == 0.0 and torch.isfinite(off.grad).all()


def test_slices_of_one_bit_are_capacitors_or_none() -> None:
    """Each cell that is on scatters by 0.66 %, and one that is off not at all."""
    torch.manual_seed(0)
    hardware = mho.Hardware(device=ChargeSRAM(), mapping=mho.mapping.BitSlicing(bits=8, slices=7))
    layer = mho.nn.AnalogLinear(128, 16, bias=False, dtype=torch.float64, hardware=hardware)
    mho.program(layer.eval(), seed=0)
    held = mho.conductances(layer)[""].flatten() / 1e-6
    on = held[held > 0.5]
    assert (held[held < 0.5] == 0).all() and 5_000 < len(on) < 0.5 * len(held)
    assert stats.kstest((on - 1).numpy(), stats.norm(scale=2.1 * 10**-2.5).cdf).pvalue > 1e-3
