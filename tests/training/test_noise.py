"""Laws and gradients of the noises on weights, inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

import mho
from mho import training as tr
from mho.converters import Fixed
from mho.training import Modifier, Recipe, attach


def converted(layer: nn.Module, *modifiers: Modifier, **hardware: object) -> nn.Module:
    analog = mho.convert(layer, mho.Hardware(**hardware))
    attach(analog, Recipe(modifiers=modifiers))
    return analog.train()


def used(analog: nn.Module) -> Tensor:
    """The weights of one training forward: its outputs for unit inputs."""
    return analog(torch.eye(analog.in_features)).detach().T


def is_normal(z: Tensor) -> bool:
    return stats.kstest(z.flatten().double().numpy(), "norm").pvalue > 1e-3


WEIGHT_NOISES: dict[str, tuple[tuple[Modifier, ...], Callable[[Tensor], Tensor]]] = {
    "range": (
        (tr.WeightRange(start="fan_in"), tr.WeightNoise(std=0.1, relative_to="range")),
        lambda w: torch.full_like(w, 0.1 * math.sqrt(3 / w.shape[1])),
    ),
    "range of columns": (
        (tr.WeightRange(), tr.WeightNoise(std=0.1, relative_to="range")),
        lambda w: 0.1 * w.abs().amax(1, keepdim=True).expand_as(w),
    ),
    "multiplicative": ((tr.MultiplicativeNoise(std=0.2),), lambda w: 0.2 * w.abs()),
    "polynomial": (
        (tr.PolynomialNoise(coefficients=(0.02, 0.1, -0.05), strength=2.0, relative_to="column"),),
        lambda w: 2 * (0.02 + 0.1 * u(w) - 0.05 * u(w) ** 2) * w.abs().amax(1, keepdim=True),
    ),
    "polynomial of phase-change memory": (
        (tr.PolynomialNoise(),),
        lambda w: mho.devices.PCM().program_std(25e-6 * w.abs() / w.abs().max()) / 25e-6 * w.abs().max(),
    ),
}


def u(w: Tensor) -> Tensor:
    return w.abs() / w.abs().amax(1, keepdim=True)


@pytest.mark.parametrize("name", WEIGHT_NOISES)
def test_weight_noise(name: str) -> None:
    """Each weight is normal with its own deviation; the gradient goes straight through."""
    torch.manual_seed(0)
    modifiers, deviation = WEIGHT_NOISES[name]
    layer = nn.Linear(60, 40, bias=False)
    analog = converted(layer, *modifiers)
    w = layer.weight.detach()
    draws = torch.stack([(used(analog) - w) / deviation(w) for _ in range(6)])
    assert is_normal(draws)
    off = torch.corrcoef(draws.flatten(1)) - torch.eye(6)
    assert float(off.abs().max()) < 5 / draws[0].numel() ** 0.5
    x = torch.randn(3, 60)
    (analog(x) * torch.ones(3, 40)).sum().backward()
    torch.testing.assert_close(analog.weight.grad, x.sum(0).expand(40, 60))


@pytest.mark.parametrize("name", ["range", "multiplicative", "polynomial", "input", "output", "drift"])
def test_ramps(name: str) -> None:
    """Strengths rise linearly with the training forwards, then stay."""
    torch.manual_seed(0)
    noise: Modifier = {
        "range": tr.WeightNoise(std=0.1, relative_to="range", ramp_steps=4),
        "multiplicative": tr.MultiplicativeNoise(std=0.2, ramp_steps=4),
        "polynomial": tr.PolynomialNoise(ramp_steps=4),
        "input": tr.InputNoise(std=0.3, ramp_steps=4),
        "output": tr.OutputNoise(std=0.3, ramp_steps=4),
        "drift": tr.DriftNoise(first=3600.0, last=3600.0, ramp_steps=4),
    }[name]
    layer = nn.Linear(100, 80)
    analog = converted(layer, tr.WeightRange(), noise, device=mho.devices.PCM())
    x = torch.randn(100, 100)
    clean = layer(x)
    sizes = [float((analog(x) - clean).detach().std()) for _ in range(10)]
    full = sum(sizes[4:]) / 6
    assert sizes[0] < 1e-6
    assert sizes[1:4] == pytest.approx([full * k / 4 for k in (1, 2, 3)], rel=0.1)
    assert sizes[4:] == pytest.approx([full] * 6, rel=0.1)


@pytest.mark.parametrize("conv", [False, True])
def test_noise_for_each_vector(conv: bool) -> None:
    """The law of the outputs is that of fresh weights for each input; weights are clean in the gradient."""
    torch.manual_seed(0)
    layer: nn.Module = nn.Conv2d(3, 8, 3, bias=False) if conv else nn.Linear(27, 8, bias=False)
    analog = converted(layer, tr.WeightNoise(std=0.2, each="vector"))
    x = torch.randn(500, 3, 5, 5) if conv else torch.randn(2000, 27)
    x = x.requires_grad_()
    patches = F.unfold(x, 3).transpose(1, 2) if conv else x
    sigma = 0.2 * layer.weight.detach().abs().max()
    noise = (analog(x) - layer(x)).detach()
    noise = noise.flatten(2).transpose(1, 2) if conv else noise
    z = noise / (sigma * patches.detach().norm(dim=-1, keepdim=True))
    assert is_normal(z)
    flat = z.reshape(-1, 8)
    assert float((torch.corrcoef(flat.T) - torch.eye(8)).abs().max()) < 5 / flat.shape[0] ** 0.5
    fresh = converted(layer, tr.WeightNoise(std=0.2))  # the same law from weights themselves, one draw each
    few = x[:1].detach()
    truth = torch.cat([(fresh(few) - layer(few)).detach().flatten() for _ in range(300)])
    ours = torch.cat([(analog(few) - layer(few)).detach().flatten() for _ in range(300)])
    assert stats.ks_2samp(truth, ours).pvalue > 1e-3
    with torch.no_grad():
        x[0] = 0  # a vector of zeros has no noise, and no undefined gradient
    analog(x).square().sum().backward()
    assert bool(x.grad.isfinite().all()) and bool(layer.weight.grad is None)
    assert bool(analog.weight.grad.isfinite().all())
    assert torch.equal(analog(torch.zeros_like(x)), torch.zeros_like(analog(x)))


def test_input_noise() -> None:
    """Relative to the DAC's full scale, or to the largest input; straight through."""
    torch.manual_seed(0)
    layer = nn.Linear(20, 20, bias=False)
    nn.init.eye_(layer.weight)
    x = torch.rand(200, 20) - 0.5
    free = converted(layer, tr.InputNoise(std=0.1))
    assert is_normal((free(x) - x).detach() / (0.1 * x.abs().max()))
    wide = converted(layer, tr.InputNoise(std=0.1), dac=mho.DAC(bits=None, range=Fixed(limit=3.0)))
    x.requires_grad_()
    y = wide(x)
    assert is_normal((y - x).detach() / 0.3)
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("per_column", [False, True])
def test_output_noise(per_column: bool) -> None:
    """In currents of the largest cell at a full-scale input, once for each tile of rows."""
    torch.manual_seed(0)
    layer = nn.Linear(24, 10)
    analog = converted(
        layer,
        tr.OutputNoise(std=0.04),
        mapping=mho.mapping.DifferentialPair(scale=mho.mapping.Maximum(per_column=per_column)),
        dac=mho.DAC(bits=None, range=Fixed(limit=3.0)),
        tile=mho.Tile(rows=8),
    )
    x = torch.rand(400, 24)
    w = layer.weight.detach().abs()
    cell = w.amax(1) if per_column else w.amax()
    z = (analog(x) - layer(x)).detach() / (0.04 * cell * 3.0 * math.sqrt(3))
    assert is_normal(z)
    table = converted(nn.Embedding(6, 5), tr.OutputNoise(std=0.04))
    ids = torch.arange(6).repeat(300)
    peak = table.weight.detach().abs().amax(0)
    assert is_normal((table(ids) - table.weight[ids]).detach() / (0.04 * peak))


QUIET = mho.devices.PCM(read_scale=0.0)


@pytest.mark.parametrize(
    "device",
    [
        QUIET,
        mho.devices.StuckAt(device=QUIET, lrs=0.05, hrs=0.1),
        mho.devices.StuckAt(device=QUIET, hrs=0.2, of="rows"),
        mho.devices.RetentionLoss(device=mho.devices.StuckAt(device=QUIET, lrs=0.05), nu=0.1, nu_std=0.05),
    ],
    ids=["plain", "stuck cells", "stuck rows", "two effects"],
)
def test_drift_noise_is_that_of_compensated_chips(device: mho.devices.Device) -> None:
    """At one time, each weight has the law that it has over many programmed, aged, compensated chips."""
    torch.manual_seed(0)
    layer, day = nn.Linear(30, 20, bias=False), 86_400.0
    tile = mho.Tile(rows=20, columns=15)
    analog = converted(layer, tr.DriftNoise(first=day, last=day), device=device, tile=tile)
    forwards = torch.stack([used(analog) for _ in range(300)])
    chips = []
    for seed in range(300):
        mho.program(analog, seed=seed)
        mho.age(analog, day)
        mho.compensate(analog)
        chips.append(mho.effective_weights(analog)[""])
    other = torch.stack(chips)
    spread = other.std(0)
    assert bool(((forwards.mean(0) - other.mean(0)).abs() < 5.5 * spread * (2 / 300) ** 0.5).all())
    # The error of a standard deviation of n draws, from their fourth moments.
    tails = ((other - other.mean(0)) / spread).pow(4).mean(0) - 1
    error = float((tails / (2 * 300)).sqrt().mean())
    assert float((forwards.std(0) / spread).log().abs().mean()) < 1.3 * error
    for row, column in ((0, 0), (19, 29), (7, 11)):
        # Of a small weight both cells may hold nothing: the same value again and again, up to rounding.
        ours, theirs = (
            (v[:, row, column] / spread[row, column]).round(decimals=4) for v in (forwards, other)
        )
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_drift_times_are_uniform_in_their_logarithm() -> None:
    """And a device that does not change gives the weights themselves."""
    torch.manual_seed(0)

    seen: list[float] = []

    class Clock(mho.devices.Ideal):
        def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
            seen.append(seconds)
            return g

    layer = mho.convert(nn.Linear(3, 2), mho.Hardware(device=Clock()))
    attach(layer, Recipe(modifiers=(tr.DriftNoise(first=10.0, last=1e7),)))
    x = torch.randn(4, 3)
    for _ in range(400):
        torch.testing.assert_close(layer(x), layer.digital_forward(x))
    uniform = (torch.tensor(seen).log10() - 1) / 6
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3


def test_mean_drift_is_compensated() -> None:
    """One exponent for all cells is a loss of signal that the gain undoes."""
    layer = nn.Linear(30, 20, bias=False)
    device = mho.devices.ConstantDrift(program_scale=0.0)
    analog = converted(layer, tr.DriftNoise(first=10.0, last=1e7), device=device)
    torch.testing.assert_close(used(analog), layer.weight.detach())


@pytest.mark.parametrize("zeros", ["a column", "the layer"])
def test_weights_of_zero_learn_behind_an_adc(zeros: str) -> None:
    """Their currents stay within the range of the ADC, so the gradient comes through."""
    layer = nn.Linear(16, 4, bias=False)
    with torch.no_grad():
        layer.weight[1 if zeros == "a column" else slice(None)] = 0
    x = torch.rand(200, 16)
    analog = converted(layer, tr.WeightNoise(std=0.05), adc=mho.ADC(bits=8, range=Fixed(limit=12.0)))
    wanted = x @ torch.rand(16, 4)
    optimizer = torch.optim.Adam(analog.parameters(), lr=0.02)
    first = last = 0.0
    for step in range(300):
        optimizer.zero_grad()
        loss = (analog(x) - wanted)[:, 1].square().mean()
        loss.backward()
        optimizer.step()
        last = loss.item()
        first = last if step == 0 else first
    assert last < 0.1 * first
