"""Inputs driven bit by bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import mho
from mho.converters import SAR, Calibrated, Dynamic, Fixed, Range, Stream
from mho.errors import ConfigError
from mho.nn import AnalogConv2d, AnalogLinear


@given(bits=st.integers(1, 5), width=st.integers(1, 12), axis=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_digits_are_the_bits_of_the_codes(bits: int, width: int, axis: int) -> None:
    high = 2.0**width - 1
    codes = torch.randint(-int(high), int(high) + 1, (3, 4, 2)).double()
    stream = Stream(bits=bits)
    digits = stream.digits(codes, high, axis)
    assert digits.shape[axis] == codes.shape[axis] * stream.count(high)
    assert float(digits.abs().max()) <= stream.high
    groups = digits.unflatten(axis, (stream.count(high), -1))
    for j in range(stream.count(high)):
        whole = (codes.abs().long() >> (bits * j)) & ((1 << bits) - 1)
        assert torch.equal(groups.select(axis, j), whole * codes.sign())
    assert torch.equal(stream.total(digits, high, axis), codes)


def test_gradient_goes_straight_through() -> None:
    stream, codes = Stream(bits=2), torch.tensor([[5.0, -9.0, 100.0]], requires_grad=True)
    total = stream.total(stream.digits(codes, 127, 0), 127, 0)
    (grad,) = torch.autograd.grad((total * torch.tensor([1.0, 2.0, 3.0])).sum(), codes)
    assert torch.allclose(grad, torch.tensor([[1.0, 2.0, 3.0]]))


def chip(
    stream: Stream | None, kind: type[nn.Module] = AnalogLinear, dac: Range | None = None, **stages: object
) -> nn.Module:
    torch.manual_seed(0)
    limit = Fixed(limit=3.0) if dac is None else dac
    stages = {"tile": mho.Tile(rows=18, columns=5), **stages}
    hardware = mho.Hardware(dac=mho.DAC(bits=6, range=limit, stream=stream), **stages)
    arguments = (36, 7) if kind is AnalogLinear else (4, 7, 3)
    return kind(*arguments, hardware=hardware).eval()


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@torch.no_grad()
def test_without_rounding_after_it_streaming_changes_nothing(bits: int, each: bool) -> None:
    for kind, x in ((AnalogLinear, torch.randn(3, 2, 36)), (AnalogConv2d, torch.randn(2, 4, 5, 6))):
        for mapping in (mho.mapping.DifferentialPair(), mho.mapping.Offset(), mho.mapping.BitSlicing()):
            for limit in (Fixed(limit=3.0), Dynamic(), Calibrated(per_tile=True)):
                plain = chip(None, kind, limit, mapping=mapping)
                sliced = chip(Stream(bits=bits, each=each), kind, limit, mapping=mapping)
                for layer in (plain, sliced):
                    mho.calibrate(layer, [x])
                    mho.program(layer, seed=0)
                assert close(sliced(x), plain(x))


@torch.no_grad()
def test_each_group_is_converted_by_itself() -> None:
    """Against the sum written out, in tiles, with slices of the weight and a range for each of them."""
    mapping = mho.mapping.BitSlicing(bits=8, slices=2)
    for adc in (
        mho.ADC(bits=5, range=Calibrated(per_tile=True)),
        SAR(bits=5, capacitor=0.2, range=Dynamic()),
    ):
        device = mho.devices.PCM(read_scale=0.0)  # no current half-way between two codes
        layer = chip(Stream(bits=2), mapping=mapping, adc=adc, device=device)
        x = torch.randn(3, 36)
        mho.calibrate(layer, [x])
        mho.program(layer, seed=0)
        codes = (x * 31 / 3).round().clamp(-31, 31)
        g_max, state = layer.hardware.device.g_max, layer.chip
        how = mapping.readout(0.0, g_max)
        total = torch.zeros(3, 7)
        for j in range(3):
            volt = ((codes.abs().long() >> (2 * j)) & 3) * codes.sign() / 3
            for k, (a, b) in enumerate(((0, 18), (18, 36))):
                for c in range(2):
                    current = volt[:, a:b] @ (state.g[2 * c, 0, a:b] - state.g[2 * c + 1, 0, a:b]) / g_max
                    if isinstance(adc, SAR):
                        peak = current.abs().amax(1, keepdim=True)
                        limit = torch.where(peak > 0, peak, torch.ones_like(peak))
                        level = adc.read((current / limit).t(), layer.packed_levels[0, k, c], torch.arange(7))
                        level = level.t() * limit
                    else:
                        level = adc.quantise(current, layer.output_range[c, k])
                    total += how.digital[c] * 4**j * 3 * level
        assert close(layer(x), total * (3 / 31) * state.scale.flatten() + layer.bias)


@torch.no_grad()
def test_once_is_one_conversion_of_the_sum() -> None:
    x = torch.randn(5, 36)
    adc = mho.ADC(bits=6, range=Fixed(limit=2.0))
    plain, once = chip(None, adc=adc), chip(Stream(each=False), adc=adc)
    assert close(once(x), plain(x))
    assert not close(chip(Stream(), adc=adc)(x), plain(x))


@torch.no_grad()
def test_calibration_measures_the_currents_of_the_groups() -> None:
    x = torch.randn(50, 36)
    layer = chip(Stream(), adc=mho.ADC(bits=12), dac=Calibrated())
    mho.calibrate(layer, [x[:25], x[25:]])
    limit = float(x.abs().max())
    assert float(layer.input_range) == pytest.approx(limit)
    bits = Stream().digits((x * 31 / limit).round(), 31, 0)
    w = (layer.weight / layer.weight.abs().amax(1, keepdim=True)).t()
    widest = max(float((bits[:, a:b] @ w[a:b]).abs().max()) for a, b in ((0, 18), (18, 36)))
    assert float(layer.output_range) == pytest.approx(widest, rel=1e-4)
    exact = nn.functional.linear(x, layer.weight, layer.bias)
    assert float((layer(x) - exact).norm() / exact.norm()) < 0.05


@torch.no_grad()
def test_each_group_has_its_own_read_noise() -> None:
    layer = chip(Stream(each=False), device=mho.devices.PCM())
    mho.program(layer, seed=0)
    x = torch.randn(1, 36).expand(4000, -1)
    noise = layer(x) - layer(x)
    read, codes = layer.crossbar.packed(), (x[:1] * 31 / 3).round().clamp(-31, 31)
    digits = Stream().digits(codes, 31, 0)
    counts = Stream().weights(31, codes)
    driven = (digits * counts[:, None]) ** 2
    variance = (driven[:, :18] @ read.variance[0] + driven[:, 18:] @ read.variance[1]).sum(0)
    wanted = 2 * variance * (layer.packed_out * 3 / 31) ** 2
    assert torch.allclose(noise.var(0), wanted, rtol=0.15)


def test_training_compiled_and_serial() -> None:
    x = torch.randn(4, 36)
    layer = chip(Stream(), adc=mho.ADC(bits=8, range=Fixed(limit=4.0)))
    layer.train()(x).sum().backward()
    assert torch.allclose(
        layer.weight.grad[0], (x.clamp(-3, 3) * 31 / 3).round().sum(0) * 3 / 31, atol=0.2
    )  # fmt: skip
    layer.eval()
    mho.program(layer, seed=0)
    with torch.no_grad():
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        assert close(compiled(x), layer(x))
    assert mho.Hardware.from_json(layer.hardware.to_json()) == layer.hardware


def test_codes_must_be_whole() -> None:
    with pytest.raises(ConfigError, match="zero=True"):
        mho.DAC(bits=8, zero=False, stream=Stream())
    with pytest.raises(ConfigError, match="bits or steps"):
        mho.DAC(bits=None, stream=Stream())
    assert mho.DAC(bits=8, signed=False, stream=Stream()).peak == 255
