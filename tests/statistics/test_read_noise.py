"""The noise of a read: its law at the output of a layer, against explicit draws of the conductances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mho
from mho import mapping
from mho.converters import Fixed
from mho.devices import PCM, Generic, Independent, Proportional, rectified_moments

# Noise far from zero conductance: no read is cut at zero, so that outputs are exactly normal.
STEADY = Generic(g_min=2e-6, g_max=20e-6, read=Proportional(sigma=0.05))
MAPPINGS = {
    "pair": mapping.DifferentialPair(),
    "pair, two-sided": mapping.DifferentialPair(two_sided=True),
    "pair, one scale": mapping.DifferentialPair(scale=mapping.Maximum()),
    "pair, digital subtraction": mapping.DifferentialPair(digital_subtraction=True),
    "offset": mapping.Offset(),
    "offset, unit column": mapping.Offset(unit_column=True),
    "slices": mapping.BitSlicing(bits=6, slices=2),
    "slices, offset, unit column": mapping.BitSlicing(bits=6, slices=2, offset=True, unit_column=True),
    "significance": mapping.SignificancePairs(factors=(1.0, 3.0)),
}
N = 20_000


def programmed(layer: nn.Module, seconds: float = 0.0, **hardware: object) -> nn.Module:
    made = mho.convert(layer, mho.Hardware(**hardware)).eval()
    mho.program(made, seed=2)
    mho.age(made, seconds)
    return made.requires_grad_(False)


def reads(made: nn.Module, x: Tensor, n: int = N) -> Tensor:
    """``n`` independent reads with the vector ``x``: rows of one batch."""
    return made(x.expand(n, -1))


def cell_std(made: nn.Module) -> Tensor:
    """Standard deviation of every cell, siemens."""
    device = made.hardware.device
    return device.read_std(made.chip_g, mho.conductances(made)[""], float(made.chip_seconds))


def noiseless(made: nn.Module, x: Tensor) -> Tensor:
    """The mean of a read."""
    return x @ mho.effective_weights(made)[""].T


def responses(made: nn.Module, x: Tensor) -> Tensor:
    """Change of each output for one siemens in each cell, ``[cell, out]``: the product is linear in them."""
    g, before, step, rows = made.chip_g.clone(), noiseless(made, x), 1e-6, []
    for place in itertools.product(*map(range, g.shape)):
        made.chip_g[place] += step
        rows.append((noiseless(made, x) - before) / step)
        made.chip_g.copy_(g)
    return torch.stack(rows)


def assert_normal(sample: Tensor, mean: Tensor, std: Tensor) -> None:
    """All columns of ``sample[read, column]``, each by its own mean and deviation, are N(0, 1)."""
    z = ((sample - mean) / std).flatten().numpy()
    assert stats.kstest(z, "norm").pvalue > 1e-3


def covariance_is(sample: Tensor, wanted: Tensor) -> None:
    """Within five standard errors, element by element."""
    got = torch.cov(sample.T)
    variances = wanted.diag()
    standard_error = ((variances[:, None] * variances + wanted**2) / len(sample)).sqrt()
    assert bool(((got - wanted).abs() <= 5 * standard_error).all()), (got, wanted)


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("tiled", [False, True])
def test_noise_of_a_layer_is_the_noise_of_its_cells(name: str, tiled: bool) -> None:
    """Normal, with the covariance ``J^T diag(sigma^2) J`` of the cells; a unit column is common noise."""
    converters = {"adc": mho.ADC(bits=None), "tile": mho.Tile(rows=2, columns=2)} if tiled else {}
    layer = nn.Linear(4, 3, bias=False, dtype=torch.float64)
    made = programmed(layer, device=STEADY, mapping=MAPPINGS[name], **converters)
    x = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64)
    by_cell = responses(made, x)
    variances = cell_std(made).flatten().square()
    wanted = by_cell.T @ (variances[:, None] * by_cell)
    sample = reads(made, x)
    covariance_is(sample, wanted)
    assert_normal(sample, noiseless(made, x), wanted.diag().sqrt())
    # noise that cells share between columns shows; without a unit column there is none
    assert bool((wanted - wanted.diag().diag()).abs().max() > 0.1 * wanted.max()) == ("unit" in name)


CUT = {
    # device, seconds, how far the cut at zero moves the mean, in standard deviations
    "pcm after a year": (PCM(), 31_536_000.0, 0.0),
    "a noisy device": (Generic(read=Independent(sigma=0.2)), 0.0, 0.5),
}


@pytest.mark.parametrize("name", CUT)
def test_noise_against_explicit_draws(name: str) -> None:
    """A conductance is never negative: mean and deviation are those of the cut normal law."""
    device, seconds, moved = CUT[name]
    layer = nn.Linear(64, 8, bias=False)
    made = programmed(layer, seconds, device=device)
    x = torch.randn(64).abs()
    sample = reads(made, x)

    g, std = mho.conductances(made)[""][:, 0], cell_std(made)[:, 0]
    mean, spread = rectified_moments(g, std)
    per_weight = layer.weight.detach().abs().amax(1) / 25e-6
    centre = x @ ((mean[0] - mean[1]) * per_weight)
    sigma = (x.square() @ (spread.square().sum(0) * per_weight**2)).sqrt()
    assert_normal(sample, centre, sigma)
    uncut = x @ ((g[0] - g[1]) * per_weight)
    assert float(((uncut - centre) / sigma).abs().max()) >= moved

    draws = (g + std * torch.randn(2_000, *g.shape)).clamp(min=0)
    explicit = x @ ((draws[:, 0] - draws[:, 1]) * per_weight)
    for column in range(8):
        assert stats.ks_2samp(sample[:, column], explicit[:, column]).pvalue > 1e-3
    assert explicit.mean(0).numpy() == pytest.approx(sample.mean(0).numpy(), abs=0.12 * float(sigma.max()))
    assert explicit.std(0).numpy() == pytest.approx(sample.std(0).numpy(), rel=0.08)


def test_no_two_vectors_share_their_noise() -> None:
    """Equal rows of a batch, equal images, equal positions of an image; and each column has its own."""
    x = torch.randn(16)
    linear = programmed(nn.Linear(16, 8), device=PCM())
    y = linear(torch.stack([x, x]))
    assert bool((y[0] != y[1]).all())
    assert bool((linear(x) != linear(x)).all())
    sample = reads(linear, x, 4_000)
    off = torch.corrcoef(sample.T) - torch.eye(8)
    assert float(off.abs().max()) < 5 / 4_000**0.5
    halves = sample.view(2_000, 2, 8)
    pairs = [np.corrcoef(halves[:, 0, c], halves[:, 1, c])[0, 1] for c in range(8)]
    assert max(map(abs, pairs)) < 5 / 2_000**0.5

    conv = programmed(nn.Conv2d(2, 3, 3), device=PCM())
    y = conv(torch.ones(2, 2, 12, 12))
    assert len(y.unique()) == y.numel()
    flat = conv(torch.ones(400, 2, 4, 4)).movedim(1, -1).flatten(0, 2)  # 1,600 reads of one vector
    relative = (conv.hardware.device.read_std(conv.chip_g, mho.conductances(conv)[""], 0.0) / 25e-6).square()
    wanted = relative.sum(0)[0].sum(0).sqrt() * conv.weight.abs().amax((1, 2, 3))
    assert flat.std(0).numpy() == pytest.approx(wanted.numpy(), rel=5 / (2 * 1_600) ** 0.5)


@pytest.mark.parametrize("rows", [1, 2])
def test_layers_of_few_cells(rows: int) -> None:
    """The moments are right where a sum of many cells is no excuse."""
    layer = nn.Linear(rows, 2, bias=False, dtype=torch.float64)
    made = programmed(layer, device=Generic(read=Independent(sigma=0.1)))
    x = torch.full((rows,), 0.7, dtype=torch.float64)
    mean, std = rectified_moments(mho.conductances(made)[""], cell_std(made))
    per_weight = layer.weight.detach().abs().amax(1) / 25e-6
    centre = x @ (mean[0] - mean[1])[0] * per_weight
    sigma = (x.square() @ std.square().sum(0)[0]).sqrt() * per_weight
    sample = reads(made, x)
    assert_normal(sample, centre, sigma)
    assert bool((reads(made, 0 * x, 10) == 0).all())


@pytest.mark.parametrize("tiles", [1, 2, 8])
def test_noise_of_tiles_adds_in_variance(tiles: int) -> None:
    """The read noise of a column does not depend on how its rows are cut; that of the ADCs does."""
    layer = nn.Linear(32, 4, bias=False, dtype=torch.float64)
    x = torch.randn(32, dtype=torch.float64)
    tile = mho.Tile(rows=32 // tiles, columns=None)
    made = programmed(layer, device=STEADY, adc=mho.ADC(bits=None), tile=tile)
    assert len(made.layout.rows) == tiles
    per_weight = layer.weight.detach().abs().amax(1) / 18e-6
    cells = (x.square() @ cell_std(made).square().sum(0)[0]).sqrt() * per_weight
    assert reads(made, x).std(0).numpy() == pytest.approx(cells.numpy(), rel=5 / (2 * N) ** 0.5)

    noise = 0.3  # of each conversion, in cell currents
    made = programmed(layer, device=STEADY, adc=mho.ADC(bits=None, noise=noise), tile=tile)
    step = per_weight * 20e-6  # output for one cell current
    both = (cells.square() + tiles * (noise * step) ** 2).sqrt()
    sample = reads(made, x)
    assert sample.std(0).numpy() == pytest.approx(both.numpy(), rel=5 / (2 * N) ** 0.5)
    assert_normal(sample, noiseless(made, x), both)


@pytest.mark.parametrize("limit", [0.5, 2.0])
def test_noise_of_the_inputs(limit: float) -> None:
    """Each input of each vector gets its own, in units of full scale; the columns see the same one."""
    layer = nn.Linear(8, 3, bias=False, dtype=torch.float64)
    noise = 0.02
    made = programmed(layer, dac=mho.DAC(bits=None, noise=noise, range=Fixed(limit=limit)))
    x = limit * torch.linspace(-0.9, 0.9, 8, dtype=torch.float64)
    weight = layer.weight.detach()
    wanted = (noise * limit) ** 2 * weight @ weight.T
    sample = reads(made, x)
    covariance_is(sample, wanted)
    assert_normal(sample, weight @ x, wanted.diag().sqrt())


def test_noise_of_converters_with_codes() -> None:
    """Noise of several steps before rounding: its variance, and that of the rounding."""
    layer = nn.Linear(8, 3, bias=False, dtype=torch.float64)
    adc = mho.ADC(bits=10, range=Fixed(limit=8.0), noise=0.05)
    made = programmed(layer, adc=adc)
    x = torch.linspace(-0.5, 1, 8, dtype=torch.float64)
    step = 8.0 / 511
    unit = layer.weight.detach().abs().amax(1)
    sample = reads(made, x)
    wanted = unit * (0.05**2 + step**2 / 12) ** 0.5
    assert sample.std(0).numpy() == pytest.approx(wanted.numpy(), rel=5 / (2 * N) ** 0.5)
    codes = sample / (step * unit)
    assert float((codes - codes.round()).abs().max()) < 1e-6
    assert bool(((sample.mean(0) - layer.weight.detach() @ x).abs() < 5 * wanted / N**0.5).all())


@pytest.mark.parametrize("adc", [None, mho.ADC(bits=None)])
@pytest.mark.parametrize("layer", [nn.Linear(12, 5), nn.Conv2d(3, 4, 3)], ids=["linear", "conv2d"])
def test_gradients_go_through_the_matrix_not_through_its_noise(layer: nn.Module, adc: mho.ADC | None) -> None:
    """dx is the transposed effective matrix, whatever the noise was, also where no input is on."""
    x = torch.randn(3, 12) if isinstance(layer, nn.Linear) else torch.randn(3, 3, 5, 5)
    x[1] = 0.0
    hardware = mho.Hardware(device=STEADY, tile=mho.Tile(rows=9), adc=adc)
    analog = mho.convert(layer, hardware)
    mho.program(analog, seed=0)
    given = x.clone().requires_grad_()
    mho.train_on_chip(analog)
    y = analog.train()(given)
    along = torch.randn(y.shape)
    (y * along).sum().backward()
    ideal = mho.revert(analog, weights="programmed")
    wanted = x.clone().requires_grad_()
    (ideal(wanted) * along).sum().backward()
    torch.testing.assert_close(given.grad, wanted.grad, rtol=1e-4, atol=1e-5)
