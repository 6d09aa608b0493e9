"""Drift compensation is measured, not known.

A device of the user's own draws its exponents from a law that the library has never seen. What remains
after the compensation follows from the spread of the exponents alone: with ``L = ln(t / t0)`` and
exponents of standard deviation ``s``, the relative error is about ``s L``. For uniform exponents it is
known exactly: with half width ``a = sqrt(3) s``, ``std(r) / mean(r) = sqrt(a L coth(a L) - 1)`` for
``r = exp(-nu L)``.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.config import NonNegative, Positive, config
from mho.devices import PCM, Device
from mho.nn import AnalogLinear
from mho.periphery import ColumnDrift
from mho.testing import check_device

DAY, YEAR = 86_400.0, 31_536_000.0
T0 = 20.0


@config
class UniformDrift(Device):
    """Exponents uniform around ``nu``; read noise relative to the conductance."""

    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    nu: NonNegative = 0.06
    spread: NonNegative = 0.01
    noise: NonNegative = 0.05

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        return g_target

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        place = torch.special.ndtr(eps) - 0.5  # uniform in [-1/2, 1/2]
        return self.drift_scale * (self.nu + math.sqrt(12) * self.spread * place).unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return g * torch.exp(-math.log1p(seconds / T0) * cells[0])

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return self.read_scale * self.noise * g_now


def residual(spread: float, seconds: float) -> float:
    """Relative error after a perfect common gain."""
    reach = math.sqrt(3) * spread * math.log1p(seconds / T0)
    return math.sqrt(reach / math.tanh(reach) - 1)


def layer(device: Device, size: int = 256, mapping: mho.mapping.Mapping | None = None) -> AnalogLinear:
    given = {} if mapping is None else {"mapping": mapping}
    made = AnalogLinear(size, size, bias=False, hardware=mho.Hardware(device=device, **given))
    nn.init.uniform_(made.weight, -1, 1)
    return made.eval()


@torch.no_grad()
def error(made: AnalogLinear) -> float:
    x = torch.randn(256, made.in_features)
    wanted = made.digital_forward(x)
    return float((made(x) - wanted).norm() / wanted.norm())


def compensated(made: AnalogLinear, seconds: float) -> float:
    """Age, compensate; the factor."""
    mho.age(made, seconds)
    mho.compensate(made)
    return float(made.chip_gain[0])


def test_the_device_keeps_the_contract() -> None:
    check_device(UniformDrift())


@pytest.mark.parametrize("spread", [0.004, 0.01, 0.02])
@pytest.mark.parametrize("seconds", [60.0, DAY, YEAR])
@pytest.mark.parametrize("noise", [0.0, 0.08])
def test_what_remains_is_the_spread_of_the_exponents(spread: float, seconds: float, noise: float) -> None:
    made = layer(UniformDrift(spread=spread, noise=noise))
    mho.program(made, seed=1)
    compensated(made, seconds)
    law = residual(spread, seconds)
    # the noise of each cell is relative to its conductance: E[r^2] = 1 + law^2, for a mean of 1
    assert error(made) == pytest.approx(math.hypot(law, noise * math.sqrt(1 + law**2)), rel=0.02)
    product = spread * math.log1p(seconds / T0)
    assert law == pytest.approx(product, rel=max(0.02, product**2))


@pytest.mark.parametrize(("weight", "spread"), [(1.0, 0.008), (0.1, 0.0228823)])
def test_what_remains_on_phase_change_memory(weight: float, spread: float) -> None:
    """6.7 % after a day for the largest weights, 19 % for those of a tenth (V. Joshi et al., 2020)."""
    made = layer(
        PCM(program_scale=0.0, read_scale=0.0),
        mapping=mho.mapping.DifferentialPair(scale=mho.mapping.Fixed()),
    )
    with torch.no_grad():
        made.weight.copy_(weight * made.weight.sign())
    mho.program(made, seed=0)
    compensated(made, DAY)
    law = spread * math.log(1 + DAY / T0)
    assert error(made) == pytest.approx(math.sqrt(math.expm1(law**2)), rel=0.02)
    assert error(made) == pytest.approx({1.0: 0.067, 0.1: 0.19}[weight], rel=0.03)


def test_it_follows_exponents_that_nobody_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exponents in the cells are replaced, and the laws they were drawn by are gone."""
    made = layer(UniformDrift(nu=0.06))
    mho.program(made, seed=0)

    def secret(*_: object) -> Tensor:
        raise AssertionError("a compensation that knows the device")

    monkeypatch.setattr(UniformDrift, "drift_state", secret)
    monkeypatch.setattr(UniformDrift, "programmed", secret)
    factors = []
    for low, high in ((0.0, 0.02), (0.1, 0.3)):
        made.chip_cells.uniform_(low, high)
        factor = compensated(made, DAY)
        mho.age(made, DAY)  # takes the gain away
        now = mho.effective_weights(made)[""].abs().mean()
        # both reads are noisy: a ten-thousandth or two on 65,536 cells
        assert factor == pytest.approx(float(made.weight.detach().abs().mean() / now), rel=2e-3)
        factors.append(factor)
    assert factors[0] < 1.15 < 3 < factors[1]


def test_the_factor_differs_between_chips() -> None:
    made = layer(UniformDrift(noise=0.0, spread=0.02), size=32)
    factors, true = [], []
    for seed in range(8):
        mho.program(made, seed=seed)
        mho.age(made, YEAR)
        weights = (made.weight.detach(), mho.effective_weights(made)[""])
        before, now = ((w / made.chip_scale.view(-1, 1)).abs().mean() for w in weights)  # of the currents
        true.append(float(before / now))
        factors.append(compensated(made, YEAR))
    assert len(set(factors)) == 8
    assert factors == pytest.approx(true, rel=1e-5)


def test_the_factor_differs_between_repeated_reads() -> None:
    """With the spread that the noise of the cells gives to a mean of N of them; without noise, not at all."""
    made = layer(UniformDrift(spread=0.0), size=32)
    mho.program(made, seed=0)
    mho.age(made, DAY)
    factors = []
    for _ in range(300):
        mho.compensate(made)
        factors.append(float(made.chip_gain[0]))
    assert len(set(factors)) > 250
    sample = torch.tensor(factors, dtype=torch.float64)
    weight = made.weight.detach()
    expected = 0.05 * float(weight.norm() / weight.abs().sum())
    assert float(sample.std() / sample.mean()) == pytest.approx(expected, rel=0.15)

    silent = layer(UniformDrift(read_scale=0.0), size=32)
    mho.program(silent, seed=0)
    assert compensated(silent, DAY) == compensated(silent, DAY)


def test_the_read_passes_the_converter() -> None:
    """A coarse ADC sees coarse currents, so that the factor is another one."""
    factors = {}
    for bits in (2, 12):
        hardware = mho.Hardware(
            device=UniformDrift(noise=0.0), adc=mho.ADC(bits=bits, range=mho.converters.Dynamic())
        )
        made = AnalogLinear(64, 64, bias=False, hardware=hardware)
        nn.init.uniform_(made.weight, -1, 1)
        mho.program(made, seed=0)
        factors[bits] = compensated(made, DAY)
    fine = 1 / float(torch.exp(-math.log1p(DAY / T0) * torch.tensor(0.06)))
    assert factors[12] == pytest.approx(fine, rel=0.01)
    assert factors[2] != pytest.approx(fine, rel=0.02)


def test_each_column_can_have_its_own_factor() -> None:
    """Columns that drift apart: one factor leaves their spread, one for each column removes it."""
    made = layer(UniformDrift(noise=0.0, spread=0.0), size=64)
    mho.program(made, seed=0)
    made.chip_cells.copy_(torch.linspace(0.02, 0.1, 64).expand_as(made.chip_cells))
    compensated(made, DAY)
    assert error(made) > 0.1
    mho.compensate(made, ColumnDrift())
    assert error(made) < 1e-5
    wanted = torch.exp(math.log1p(DAY / T0) * torch.linspace(0.02, 0.1, 64))
    torch.testing.assert_close(made.chip_gain, wanted, rtol=1e-4, atol=0)


def test_a_correction_belongs_to_its_time() -> None:
    made = layer(UniformDrift(), size=32)
    mho.program(made, seed=0)
    assert compensated(made, DAY) > 1.3
    mho.age(made, YEAR)
    assert bool((made.chip_gain == 1).all())
    assert compensated(made, YEAR) > compensated(made, DAY)
    mho.program(made, seed=0)
    assert bool((made.chip_gain == 1).all()) and float(made.chip_seconds) == 0
