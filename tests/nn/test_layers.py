"""Every layer type and argument: ideal arrays reproduce torch, gradients are torch's, tiles add up."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho.chip.layouts import ConvolutionLayout
from mho.converters import Calibrated, Dynamic, Fixed

from ..compositions.covering import covering
from .cases import CASES, CONV, TRANSPOSED, make

TILES = {
    "one tile": mho.Tile(rows=None, columns=None),
    "even tiles": mho.Tile(rows=16, columns=4),
    "full tiles": mho.Tile(rows=13, columns=3, full=True),
    "tiny tiles": mho.Tile(rows=4, columns=2),
}
MAPPINGS = {
    "pair": mho.mapping.DifferentialPair(),
    "pair, two-sided": mho.mapping.DifferentialPair(two_sided=True),
    "pair, digital subtraction": mho.mapping.DifferentialPair(digital_subtraction=True),
    "pair, per column": mho.mapping.DifferentialPair(scale=mho.mapping.Maximum(per_column=True)),
    "offset": mho.mapping.Offset(),
    "offset, unit column": mho.mapping.Offset(unit_column=True),
    "significance": mho.mapping.SignificancePairs(factors=(1.0, 3.0)),
}
# A converter of 2^24 levels over a generous range: the tiled path, all but free of rounding.
FINE = {"dac": mho.DAC(bits=24, range=Fixed(limit=8.0)), "adc": mho.ADC(bits=24, range=Fixed(limit=60.0))}


@pytest.mark.parametrize(
    ("name", "dtype", "programmed"),
    covering([list(CASES), [torch.float32, torch.float64], [False, True]]),
)
def test_ideal_hardware_is_the_digital_layer(name: str, dtype: torch.dtype, programmed: bool) -> None:
    layer, x = make(name, dtype)
    analog = mho.convert(layer, mho.Hardware(tile=TILES["even tiles"])).eval()
    if programmed:
        mho.program(analog, seed=0)
    wanted = layer(x)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    got = analog(x)
    assert got.shape == wanted.shape and got.dtype == dtype
    assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert torch.equal(analog.train()(x), wanted)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("tiles", TILES)
def test_tiles_add_up(name: str, tiles: str) -> None:
    """The tiled path, with an ADC on each tile, in double precision."""
    layer, x = make(name, torch.float64)
    analog = mho.convert(layer, mho.Hardware(tile=TILES[tiles], adc=mho.ADC(bits=None))).eval()
    wanted = layer(x)
    for programmed in (False, True):
        if programmed:
            mho.program(analog, seed=0)
        assert (analog(x) - wanted).abs().max() <= 1e-12 * wanted.abs().max()
    assert (analog.train()(x) - wanted).abs().max() <= 1e-12 * wanted.abs().max()


@pytest.mark.parametrize(
    ("mapping", "name", "converters"),
    covering(
        [
            list(MAPPINGS),
            ["linear", "conv2d, groups", "conv transpose 2d, groups", "conv1d, same"],
            [{}, FINE, {"dac": mho.DAC(bits=24, range=Dynamic()), "adc": mho.ADC(bits=24, range=Dynamic())}],
        ]
    ),
)
def test_every_mapping_reproduces_the_layer(mapping: str, name: str, converters: dict) -> None:
    layer, x = make(name, torch.float64)
    device = mho.devices.Ideal(g_min=1e-6, g_max=20e-6)
    hardware = mho.Hardware(device=device, mapping=MAPPINGS[mapping], tile=TILES["full tiles"], **converters)
    analog = mho.convert(layer, hardware).eval()
    wanted = layer(x)
    tolerance = 2e-4 if converters else 1e-12
    for programmed in (False, True):
        if programmed:
            mho.program(analog, seed=0)
        assert (analog(x) - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert (analog.train()(x) - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("slices", [1, 2, 4])
def test_bit_slices_are_the_rounded_weights(offset: bool, slices: int) -> None:
    layer, x = make("linear", torch.float64)
    mapping = mho.mapping.BitSlicing(bits=8, slices=slices, offset=offset)
    analog = mho.convert(
        layer, mho.Hardware(mapping=mapping, adc=mho.ADC(bits=None), tile=mho.Tile(rows=8))
    ).eval()
    peak = layer.weight.detach().abs().amax(1, keepdim=True)  # of each column
    rounded = (layer.weight.detach() / peak * 127).round() * peak / 127
    wanted = x @ rounded.T + layer.bias
    assert (analog(x) - wanted).abs().max() < 1e-12
    mho.program(analog, seed=0)
    assert (analog(x) - wanted).abs().max() < 1e-12
    assert (mho.effective_weights(analog)[""] - rounded).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("name", "mode", "tiled"), covering([list(CASES), ["train", "eval", "on chip"], [False, True]])
)
def test_gradients(name: str, mode: str, tiled: bool) -> None:
    """dx goes through the weights that were used, dW straight through."""
    layer, x = make(name, torch.float64)
    adc = mho.ADC(bits=None) if tiled else None
    device = mho.devices.PCM(read_scale=0.0)
    analog = mho.convert(layer, mho.Hardware(device=device, adc=adc, tile=TILES["even tiles"]))
    truth = copy.deepcopy(layer)
    if mode != "train":
        mho.program(analog, seed=1)
        mho.age(analog, 3600.0)
        truth.weight.data = mho.effective_weights(analog)[""]
    if mode == "on chip":
        mho.train_on_chip(analog)
    analog.train(mode != "eval")
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, wanted = analog(a), truth(b)
    weigh = torch.randn_like(wanted)
    (got * weigh).sum().backward()
    (wanted * weigh).sum().backward()
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(analog.weight.grad, truth.weight.grad, rtol=1e-9, atol=1e-9)
    if layer.bias is not None:
        torch.testing.assert_close(analog.bias.grad, truth.bias.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["linear", "conv2d", "conv transpose 1d"])
def test_small_floats(name: str, dtype: torch.dtype) -> None:
    layer, x = make(name)
    hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(), adc=mho.ADC())
    analog = mho.convert(layer, hardware)
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    mho.age(analog, 31_536_000)
    g, limit = analog.chip_g.clone(), analog.input_range.clone()
    analog = analog.to(dtype)
    assert torch.equal(analog.chip_g, g) and torch.equal(analog.input_range, limit)
    assert float(analog.chip_seconds) == 31_536_000.0
    y = analog.eval()(x.to(dtype))
    assert y.dtype == dtype and bool(torch.isfinite(y).all())
    y = analog.train()(x.to(dtype))
    assert y.dtype == dtype and bool(torch.isfinite(y).all())


def test_codes_stay_in_float32_under_autocast() -> None:
    """10-bit codes are not exact in bfloat16."""
    layer, x = make("linear")
    adc = mho.ADC(bits=12, range=Fixed(limit=16.0))
    analog = mho.convert(layer, mho.Hardware(adc=adc, dac=mho.DAC(bits=12, range=Fixed(limit=4.0)))).eval()
    wanted = analog(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = analog(x)
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("name", ["linear", "conv2d", "conv2d, groups", "conv transpose 2d"])
def test_adc_acts_on_each_tile(name: str) -> None:
    """A reference in plain torch: cut the weight by rows, convert each part, add."""
    layer, x = make(name, torch.float64)
    tile = mho.Tile(rows=9, columns=None, full=True)
    adc = mho.ADC(bits=4, range=Fixed(limit=3.0))
    dac = mho.DAC(bits=5, range=Fixed(limit=2.0))
    analog = mho.convert(layer, mho.Hardware(tile=tile, adc=adc, dac=dac)).eval()
    matrix = analog.matrix(layer.weight.detach())
    peak = matrix.abs().amax(-2, keepdim=True)  # of each column
    v = dac.quantise(x, 2.0) / 2.0
    total = 0
    for a, b in analog.layout.rows:
        part = torch.zeros_like(matrix)
        part[:, a:b] = (matrix / peak)[:, a:b]
        sub = copy.deepcopy(layer)
        sub.weight.data, sub.bias = analog.from_matrix(part).contiguous(), None
        total = total + adc.quantise(sub(v), 3.0)
    bias, factor = (a.view(-1, *(1 for _ in range(total.dim() - 2))) for a in (layer.bias.detach(), peak))
    assert (analog(x) - (total * factor * 2.0 + bias)).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["linear", "conv2d", "conv2d, groups"])
def test_ranges_for_each_tile(name: str) -> None:
    layer, x = make(name)
    hardware = mho.Hardware(
        tile=mho.Tile(rows=18, columns=2, full=True),
        dac=mho.DAC(bits=14, range=Calibrated(per_tile=True)),
        adc=mho.ADC(bits=14, range=Calibrated(per_tile=True)),
    )
    analog = mho.convert(layer, hardware)
    mho.calibrate(analog, [x])
    assert analog.input_range.shape == (len(analog.layout.rows),)
    assert analog.output_range.shape[:2] == (1, len(analog.layout.rows))
    wanted = layer(x)
    assert (analog.eval()(x) - wanted).abs().max() < 2e-3 * wanted.abs().max()


def test_outputs_do_not_depend_on_batch_mates() -> None:
    for name in ("linear", "conv2d"):
        layer, x = make(name, torch.float64)  # no current is so near to the middle of two codes
        hardware = mho.Hardware(dac=mho.DAC(bits=4, range=Dynamic()), adc=mho.ADC(bits=4, range=Dynamic()))
        analog = mho.convert(layer, hardware).eval()
        torch.testing.assert_close(analog(x)[:1], analog(x[:1]), rtol=1e-13, atol=1e-13)


def test_output_size_of_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2)
    analog = mho.convert(layer, mho.Hardware())
    x = torch.randn(2, 3, 5, 5)
    for size in ([11, 11], [12, 12]):
        assert torch.allclose(analog(x, output_size=size), layer(x, output_size=size), atol=1e-6)


@pytest.mark.parametrize(("name", "shape"), [("linear", (5, 19)), ("conv2d", (2, 5, 9, 9)), ("conv1d", (6,))])
def test_wrong_shapes_name_what_is_wanted(name: str, shape: tuple[int, ...]) -> None:
    analog = mho.convert(make(name)[0], mho.Hardware())
    with pytest.raises(ValueError, match="x has shape"):
        analog(torch.randn(shape))


@pytest.mark.parametrize("name", ["conv1d", "conv2d, groups", "conv2d, stride", "conv transpose 2d, groups"])
def test_a_large_batch_in_portions_is_the_same_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = make(name, torch.float64)  # no current is so near to the middle of two codes
    x = torch.randn(9, *x.shape[1:], dtype=torch.float64)
    hardware = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=TILES["even tiles"], **FINE)
    analog = mho.convert(layer, hardware).eval()
    mho.program(analog, seed=0)
    whole = analog(x)
    monkeypatch.setattr("mho.chip.layouts.convolution._CURRENTS", 1)
    with torch.no_grad():
        torch.testing.assert_close(analog(x), whole, rtol=1e-13, atol=1e-13)
        assert analog.layout.portion(analog.crossbar.read(), x, tiled=True) == 1


TILEWISE = {
    "pair": mho.mapping.DifferentialPair(),
    "offset": mho.mapping.Offset(),
    "slices": mho.mapping.BitSlicing(bits=6, slices=3),
}


@pytest.mark.parametrize(
    ("name", "mapping", "tiles"),
    covering([[*CONV, *TRANSPOSED], list(TILEWISE), ["even tiles", "full tiles"]]),
)
def test_tiles_one_after_the_other_are_the_grouped_product(
    name: str, mapping: str, tiles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without gradients a convolution may read tile by tile, with them all tiles in one grouped operation."""
    layer, x = make(name)
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=TILEWISE[mapping], tile=TILES[tiles],
        dac=mho.DAC(bits=16, range=Fixed(limit=4.0)), adc=mho.ADC(bits=20, range=Fixed(limit=40.0)),
    )  # fmt: skip
    rows = 0 if layer.bias is None else 2
    analog = mho.convert(layer, hardware, bias_rows=rows).eval()
    mho.program(analog, seed=0)
    grouped = analog(x).detach()
    monkeypatch.setattr(mho.chip.layouts.convolution, "_ALONE", 1)
    with torch.no_grad():
        apart = analog(x)
    torch.testing.assert_close(apart, grouped, rtol=1e-4, atol=1e-4)
    assert apart.stride() == grouped.stride() == layer(x).stride()


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_tiles_are_read_one_by_one_where_they_are_large(
    kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """65536 currents of a tile, whatever makes them many; a compiled graph unrolls a bounded number."""
    hardware = mho.Hardware(tile=mho.Tile(rows=9), **FINE)
    analog = mho.convert(kind(4, 16, 3, padding=1), hardware).eval()
    mho.program(analog, seed=0)
    counts: list[int] = []
    tiles = ConvolutionLayout.tiles

    def watched(cut: ConvolutionLayout, *args: Any) -> Any:
        found = tiles(cut, *args)
        counts.append(len(found))
        return found

    monkeypatch.setattr(ConvolutionLayout, "tiles", watched)

    def pieces(*shape: int) -> int:
        counts.clear()
        analog(torch.zeros(shape))
        return max(counts)

    with torch.no_grad():
        assert (pieces(1, 4, 64, 64), pieces(1, 4, 63, 64)) == (4, 1)
        assert (pieces(4, 4, 32, 32), pieces(3, 4, 32, 32)) == (4, 1)
        monkeypatch.setattr(mho.chip.layouts.convolution, "_UNROLLED", 3)
        assert pieces(1, 4, 64, 64) == 4
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert pieces(1, 4, 64, 64) == 1
    monkeypatch.undo()
    monkeypatch.setattr(ConvolutionLayout, "tiles", watched)
    assert pieces(1, 4, 64, 64) == 1  # with gradients


def test_convolutions_keep_the_memory_format_of_their_input() -> None:
    layer, x = make("conv2d")
    analog = mho.convert(layer, mho.Hardware(tile=TILES["even tiles"], **FINE)).eval()
    with torch.no_grad():
        assert analog(x).is_contiguous()
        last = analog(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
