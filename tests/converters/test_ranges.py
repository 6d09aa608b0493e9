"""Learned and dynamic ranges: gradients, and who shares a full scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.autograd import clip_learned
from mho.converters import Calibrated, Dynamic, Fixed, Learned


def formula(x: Tensor, limit: float, grad: Tensor, decay: float, inside: float) -> float:
    """The gradient of a learned range as published (M. J. Rasch et al., Nat. Commun. 14, 5282 (2023))."""
    up = grad[x >= limit].clamp(max=0).sum()
    down = grad[x <= -limit].clamp(min=0).sum()
    fraction = float((x.abs() < limit).float().mean())
    return float((up - down) * limit + (decay * limit if fraction > inside else 0.0))


@pytest.mark.parametrize("limit", [0.3, 1.0, 3.0, 9.0])
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_the_gradient_of_a_learned_range(limit: float, decay: float) -> None:
    x = torch.cat([torch.randn(500, dtype=torch.float64), torch.tensor([limit, -limit], dtype=torch.float64)])
    x.requires_grad_()
    r = torch.tensor(limit, dtype=torch.float64, requires_grad=True)
    y = clip_learned(x, r, decay, 0.95)
    grad = torch.randn_like(y)
    dx, dr = torch.autograd.grad(y, (x, r), grad)
    assert torch.equal(y, x.clamp(-limit, limit))
    assert torch.equal(dx, torch.where(x.abs() <= limit, grad, torch.zeros_like(grad)))
    assert float(dr) == pytest.approx(formula(x.detach(), limit, grad, decay, 0.95), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("converter", ["dac", "adc"])
def test_a_learned_range_learns(converter: str) -> None:
    """A range that is far too wide or too narrow moves towards the data."""
    torch.manual_seed(1)
    x, found = torch.randn(256, 16), {}
    for initial in (0.2, 30.0):
        layer = nn.Linear(16, 8)
        part = {"dac": mho.DAC, "adc": mho.ADC}[converter](bits=4, range=Learned(initial=initial, decay=1e-2))
        analog = mho.convert(layer, mho.Hardware(**{converter: part})).train()
        range_ = analog.input_range if converter == "dac" else analog.output_range
        optimizer = torch.optim.Adam([range_], lr=0.05)
        wanted = layer(x).detach()

        def loss(analog: nn.Module = analog, wanted: Tensor = wanted) -> Tensor:
            return (analog(x) - wanted).square().mean()

        before = float(loss().detach())
        for _ in range(150):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        found[initial] = range_.item()
        assert float(loss().detach()) < 0.8 * before
    assert found[0.2] > 0.4 and found[30.0] < 27


def test_a_dynamic_range_is_that_of_each_vector() -> None:
    """Every vector meets the full resolution, whatever its size and its neighbours."""
    layer = nn.Linear(16, 8, bias=False)
    made = mho.convert(layer, mho.Hardware(dac=mho.DAC(bits=6, range=Dynamic()))).eval().requires_grad_(False)
    x = torch.randn(5, 16)
    sizes = torch.tensor([1e-6, 1e-2, 1.0, 1e3, 1e6]).view(-1, 1)
    torch.testing.assert_close(made(x * sizes), made(x) * sizes, rtol=1e-5, atol=0)
    wanted = torch.stack([mho.DAC(bits=6).quantise(v, float(v.abs().max())) for v in x]) @ layer.weight.T
    torch.testing.assert_close(made(x), wanted.detach(), rtol=1e-5, atol=1e-6)
    assert bool((made(torch.zeros(2, 16)) == 0).all())


def test_an_image_is_one_vector() -> None:
    """A convolution drives its rows pixel after pixel: its range is that of the image, for each image."""
    layer = nn.Conv2d(3, 4, 3, bias=False)
    made = mho.convert(layer, mho.Hardware(dac=mho.DAC(bits=6, range=Dynamic()))).eval().requires_grad_(False)
    x = torch.randn(4, 3, 6, 6)
    sizes = torch.tensor([1e-3, 1.0, 1e2, 1e5]).view(-1, 1, 1, 1)
    torch.testing.assert_close(made(x * sizes), made(x) * sizes, rtol=1e-4, atol=0)
    wanted = layer(torch.stack([mho.DAC(bits=6).quantise(v, float(v.abs().max())) for v in x])).detach()
    torch.testing.assert_close(made(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("per_tile", [False, True])
def test_an_adc_is_calibrated_to_the_currents_of_a_dynamic_dac(kind: str, per_tile: bool) -> None:
    """Each vector is driven at full scale: small ones give currents as large as large ones do."""
    layer, shape = {
        "linear": (nn.Linear(16, 8, bias=False), (6, 16)),
        "conv": (nn.Conv2d(3, 4, 3, bias=False), (6, 3, 6, 6)),
    }[kind]
    adc = mho.ADC(bits=12, range=Calibrated(per_tile=per_tile))
    hardware = mho.Hardware(dac=mho.DAC(bits=12, range=Dynamic()), adc=adc, tile=mho.Tile(rows=9))
    made = mho.convert(layer, hardware).eval().requires_grad_(False)
    sizes = torch.logspace(-3, 2, 6).view(-1, *(1 for _ in shape[1:]))
    x = torch.randn(shape) * sizes
    mho.calibrate(made, x.split(2))
    error = (made(x) - layer(x).detach()) / sizes
    assert float(error.abs().max()) < 5e-3 * float((layer(x).detach() / sizes).abs().max())


@pytest.mark.parametrize("low", [None, -0.5, 0.0])
def test_fixed_ranges_clip_there(low: float | None) -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    dac = mho.DAC(bits=None, steps=30, zero=False, range=Fixed(limit=1.5, low=low))
    made = mho.convert(layer, mho.Hardware(dac=dac)).eval().requires_grad_(False)
    assert float(made(torch.tensor([[9.0]]))) == pytest.approx(1.5)
    assert float(made(torch.tensor([[-9.0]]))) == pytest.approx(-1.5 if low is None else low)
