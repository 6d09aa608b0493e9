"""DACs with gain and offset errors frozen in a chip: their law, where they act, what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mho
from mho.converters import SAR, Calibrated, Dynamic, Fixed, Stream
from mho.errors import ConfigError
from mho.nn import AnalogConv2d, AnalogConvTranspose2d, AnalogLinear

ROUGH = mho.DAC(bits=6, range=Fixed(limit=2.0), gain=0.05, offset=0.03)
FINE = mho.ADC(bits=20, range=Fixed(limit=16.0))
TILE = mho.Tile(rows=7, columns=10, full=True)
ROWS, COLUMNS = ((0, 7), (7, 14), (14, 20)), ((0, 10), (10, 18))


def linear(seed: int = 1, **stages: object) -> AnalogLinear:
    """A programmed 20 x 18 layer in tiles of 7 x 10, in float64."""
    torch.manual_seed(0)
    hardware = mho.Hardware(**{"dac": ROUGH, "adc": FINE, "tile": TILE, **stages})
    layer = AnalogLinear(20, 18, dtype=torch.float64, hardware=hardware).eval()
    mho.program(layer, seed=seed)
    return layer


def drive(layer: AnalogLinear, v: Tensor, tile: int, channel: int = 0) -> Tensor:
    """``v[vector, row]`` in units of full scale as the drivers of one tile of columns give it."""
    gain, offset = layer.chip.drivers[tile, channel, 0].unbind(-1)
    dac = layer.hardware.dac
    return (1 + dac.gain * gain) * v + dac.offset * offset


def inputs() -> Tensor:
    return torch.randn(6, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


MAPPINGS = {
    "pair": mho.mapping.DifferentialPair(),
    "two channels": mho.mapping.DifferentialPair(digital_subtraction=True),
    "digital offset": mho.mapping.Offset(),
    "unit column": mho.mapping.Offset(unit_column=True),
    "slices": mho.mapping.BitSlicing(bits=8, slices=4),
}


@pytest.mark.parametrize(
    "adc", [FINE, None, replace(FINE, range=Dynamic())], ids=["fixed", "none", "dynamic"]
)
@pytest.mark.parametrize("name", MAPPINGS)
@torch.no_grad()
def test_a_layer_is_driven_row_by_row(name: str, adc: mho.ADC | None) -> None:
    """Array by array: each row's voltage with its own errors, times the conductances of the chip."""
    layer = linear(mapping=MAPPINGS[name], adc=adc)
    chip, how = layer.chip, MAPPINGS[name].readout(0.0, layer.hardware.device.g_max)
    x = inputs()
    v = ROUGH.quantise(x, 2.0) / 2.0
    sums = torch.einsum(
        "ck,k...->c...", torch.tensor(how.analog).double(), chip.g / layer.hardware.device.g_max
    )
    total = torch.zeros(6, sums.shape[-1], dtype=torch.float64)
    for k, (left, right) in enumerate(COLUMNS):
        right = sums.shape[-1] if right == 18 else right  # a unit column
        for channel, digital in enumerate(how.digital):
            for a, b in ROWS:
                driven = drive(layer, v, k, channel)[:, a:b]
                total[:, left:right] += digital * driven @ sums[channel, 0, a:b, left:right]
    if how.unit_column:
        total = total[:, :-1] - total[:, -1:]
    total = total - how.offset * v.sum(-1, keepdim=True)
    wanted = 2.0 * total * chip.scale.flatten() + layer.bias
    assert torch.allclose(layer(x), wanted, atol=1e-9 if adc is None else 2e-3)
    exact = nn.functional.linear(2.0 * v, layer.effective_weight(), layer.bias)
    assert float((wanted - exact).abs().max()) > 0.05, "the errors must matter"


@torch.no_grad()
def test_dynamic_inputs_have_the_offset_of_their_full_scale() -> None:
    layer, x = linear(dac=replace(ROUGH, range=Dynamic()), adc=None), inputs()
    peak = x.abs().amax(-1, keepdim=True)
    v = ROUGH.quantise(x / peak, 1.0)
    w = layer.effective_weight().T
    wanted = torch.cat([drive(layer, v, k) @ w[:, a:b] for k, (a, b) in enumerate(COLUMNS)], dim=-1)
    assert torch.allclose(layer(x), wanted * peak + layer.bias, atol=1e-9)


@pytest.mark.parametrize("each", [True, False])
@torch.no_grad()
def test_each_group_of_bits_has_the_same_errors(each: bool) -> None:
    dac = replace(ROUGH, stream=Stream(bits=2, each=each))
    layer, x = linear(dac=dac), inputs()
    code = torch.round(x.clamp(-2, 2) / 2 * 31)
    w = layer.effective_weight().T
    total = torch.zeros(6, 18, dtype=torch.float64)
    for group in range(3):
        digit = ((code.abs().long() >> (2 * group)) & 3) * code.sign() / 3
        for k, (a, b) in enumerate(COLUMNS):
            total[:, a:b] += 4**group * 3 * drive(layer, digit, k) @ w[:, a:b]
    assert torch.allclose(layer(x), total * (2 / 31) + layer.bias, atol=5e-3)
    plain = linear(dac=replace(dac, gain=0.0, offset=0.0))
    assert float((plain(x) - layer(x)).abs().max()) > 0.05


@pytest.mark.parametrize("transposed", [False, True])
@torch.no_grad()
def test_a_convolution_has_a_driver_for_each_row(transposed: bool) -> None:
    """Each patch is driven by the same drivers; zeros beyond the border are driven too."""
    torch.manual_seed(0)
    kind = AnalogConvTranspose2d if transposed else AnalogConv2d
    hardware = mho.Hardware(dac=ROUGH, adc=FINE, tile=mho.Tile(rows=18, columns=4))
    conv = kind(4, 6, 3, padding=1, bias=False, groups=2, hardware=hardware).eval()
    mho.program(conv, seed=0)
    gain, offset = conv.chip.drivers[0, 0].unbind(-1)  # one tile of columns: [group, row]
    g = conv.chip.g[0] - conv.chip.g[1]
    w = g / hardware.device.g_max * conv.chip.scale
    x = torch.randn(2, 4, 5, 5)
    digital = nn.ConvTranspose2d if transposed else nn.Conv2d
    same = digital(4, 6, 3, padding=1, bias=False, groups=2)
    same.weight.copy_(conv.from_matrix(w * (1 + ROUGH.gain * gain[..., None])))
    constant = 2.0 * (ROUGH.offset * offset[..., None] * w).sum(1).flatten()
    assert torch.allclose(conv(x), same(ROUGH.quantise(x, 2.0)) + constant.view(-1, 1, 1), atol=1e-3)
    assert float(constant.abs().max()) > 0.01


# --- chips -------------------------------------------------------------------------------------


def test_draws_are_normal_and_each_driver_has_its_own() -> None:
    drivers = mho.DAC(gain=0.1).draw((4, 3, 200), 5, 0, "fc")
    assert drivers.shape == (5, 4, 3, 200, 2)
    assert len(torch.unique(drivers)) > 0.999 * drivers.numel()
    for k in range(2):
        assert stats.kstest(drivers[..., k].flatten().numpy(), "norm").pvalue > 1e-3


def test_draws_depend_on_seed_and_path_and_not_on_the_cut() -> None:
    one, again, other = linear(1), linear(1), linear(2)
    assert torch.equal(one.chip.drivers, again.chip.drivers)
    assert not bool((one.chip.drivers == other.chip.drivers).any())
    for tile in (mho.Tile(rows=3, columns=10, full=True), mho.Tile(rows=None, columns=None)):
        cut = linear(1, tile=tile).chip.drivers
        assert torch.equal(cut[0], one.chip.drivers[0])
    assert not bool((one.chip.drivers[0] == one.chip.drivers[1]).any())


def test_no_other_draw_moves() -> None:
    stages = {"device": mho.devices.PCM(), "adc": SAR(capacitor=0.1, range=Fixed(limit=16.0))}
    rough, plain = linear(**stages), linear(**stages, dac=replace(ROUGH, gain=0.0, offset=0.0))
    for name in ("g", "cells", "baseline", "converters"):
        assert torch.equal(getattr(rough.chip, name), getattr(plain.chip, name)), name
    assert plain.chip.drivers is None
    gained, shifted = linear(dac=replace(ROUGH, offset=0.0)), linear(dac=replace(ROUGH, gain=0.0))
    assert torch.equal(gained.chip.drivers, shifted.chip.drivers)
    assert gained.packed_constant is None
    assert torch.equal(shifted.packed_kernel, linear(dac=replace(ROUGH, gain=0.0, offset=0.0)).packed_kernel)


@torch.no_grad()
def test_frozen_and_saved() -> None:
    layer, x = linear(device=mho.devices.PCM(read_scale=0.0)), inputs()
    kept = layer.chip.drivers.clone()
    mho.age(layer, 1e5)
    assert torch.equal(layer.chip.drivers, kept)
    other = AnalogLinear(20, 18, dtype=torch.float64, hardware=layer.hardware).eval()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    lost = {k: v for k, v in layer.state_dict().items() if not k.endswith("chip_drivers")}
    with pytest.raises(RuntimeError, match="chip_drivers"):
        other.load_state_dict(lost)
    assert mho.Hardware.from_json(layer.hardware.to_json()) == layer.hardware


@pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")  # the targets are what is wanted
@torch.no_grad()
def test_nothing_is_driven_without_a_chip_or_a_full_scale() -> None:
    layer, x = linear(), inputs()
    fresh = AnalogLinear(20, 18, dtype=torch.float64, hardware=layer.hardware).eval()
    plain = replace(layer.hardware, dac=replace(ROUGH, gain=0.0, offset=0.0))
    twin = AnalogLinear(20, 18, dtype=torch.float64, hardware=plain).eval()
    twin.load_state_dict(fresh.state_dict())
    assert torch.equal(fresh(x), twin(x))
    waiting = linear(dac=replace(ROUGH, range=Calibrated(), gain=0.0), adc=None).train()
    mho.train_on_chip(waiting)
    exact = nn.functional.linear(x, waiting.effective_weight(), waiting.bias)
    assert torch.allclose(waiting(x), exact), "a DAC without a range is left out, and its offset with it"


@torch.no_grad()
def test_read_noise_grows_with_the_gain() -> None:
    device = mho.devices.Generic(read=mho.devices.Independent(sigma=0.05))
    layer = linear(device=device, dac=replace(ROUGH, gain=0.3, offset=0.0), adc=None)
    v = ROUGH.quantise(torch.ones(1, 20, dtype=torch.float64), 2.0)
    reads = layer(v.expand(20_000, -1))
    gain = 1 + 0.3 * layer.chip.drivers[0, 0, 0, :, 0]
    plain = linear(device=device, dac=replace(ROUGH, gain=0.0, offset=0.0), adc=None)
    variance = plain.packed_variance[0, 0] * gain**2  # whole kernel [column, row]
    assert float(reads[:, 0].std()) == pytest.approx(float((variance @ v[0] ** 2).sqrt()), rel=0.02)


@pytest.mark.parametrize("stage", ["fixed", "stream", "general"])
def test_compiles_whole(stage: str) -> None:
    dac = replace(ROUGH, stream=Stream()) if stage == "stream" else ROUGH
    layer = linear(dac=dac, adc=replace(FINE, noise=1e-9) if stage == "general" else FINE)
    x = inputs()
    with torch.no_grad():
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), layer(x), atol=1e-4)


def test_gradients_pass() -> None:
    layer, x = linear(), inputs().requires_grad_()
    layer(x).sum().backward()
    gain = 1 + ROUGH.gain * torch.stack([layer.chip.drivers[k, 0, 0, :, 0] for k in range(2)], dim=-1)
    w = layer.effective_weight().detach()
    wanted = gain[:, 0] * w[:10].sum(0) + gain[:, 1] * w[10:].sum(0)
    inside = x.detach().abs() < 2
    assert torch.allclose(x.grad[inside], wanted.expand(6, -1)[inside], atol=1e-9)
    assert float(layer.weight.grad.abs().sum()) > 0


def test_negative_errors_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"DAC.gain = -0.1"):
        mho.DAC(gain=-0.1)
