"""ADCs with levels of their own: transfer without mismatch, laws of the mismatch, chips."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mho
from mho.converters import SAR, Circuit, Cyclic, Fixed, Flash, Measured, Pipeline, Ramp
from mho.converters.circuit import search_thresholds
from mho.errors import ConfigError, NotProgrammedWarning
from mho.nn import AnalogConv2d, AnalogEmbedding, AnalogLinear

SETTINGS = [
    SAR(),
    SAR(bits=5, split=False),
    SAR(bits=2),
    Ramp(),
    Ramp(bits=5, symmetric=False),
    Flash(),
    Pipeline(),
    Pipeline(bits=5),
    Cyclic(bits=6),
    Measured(bits=7),
]
ROUGH = [
    SAR(bits=5, capacitor=0.2, comparator=0.05, gain_db=40.0),
    SAR(bits=5, capacitor=0.2, comparator=0.05, split=False),
    Ramp(bits=5, capacitor=0.2, comparator=0.05),
    Flash(bits=4, resistor=0.1, comparator=0.05),
    Pipeline(bits=5, capacitor=0.05, parasitic=0.05, comparator=0.05, gain_db=40.0),
    Cyclic(bits=5, capacitor=0.05, parasitic=0.05, comparator=0.05),
    Measured(bits=5, gain=0.05, offset=1.0, dnl=0.2),
]


def with_(adc: Circuit, **fields: object) -> Circuit:
    """A copy with other fields."""
    return type(adc)(**{**{f: getattr(adc, f) for f in mho.config.field_names(type(adc))}, **fields})


def draws(adc: Circuit, count: int, seed: int = 0) -> Tensor:
    """Draws of independent converters of as many arrays, ``[converter, n]``."""
    return adc.draw((count, 1, 1), [1], seed, "fc").double()[:, 0, 0, 0]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("adc", SETTINGS, ids=repr)
def test_without_mismatch_each_code_is_its_level(adc: Circuit, signed: bool) -> None:
    adc = with_(adc, signed=signed)
    count = 2**adc.bits
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    levels = 2 * levels - 1 if signed else levels
    step = float(levels[1] - levels[0])
    for shift in (-0.49, 0.0, 0.49):
        got = adc.quantise(3.0 * (levels + shift * step), 3.0)
        assert torch.allclose(got, 3.0 * levels, rtol=1e-12)
    ends = adc.quantise(torch.tensor([-50.0, 50.0]), 3.0)
    assert torch.allclose(ends, (3.0 * levels[[0, -1]]).float())


def test_search_thresholds_are_those_of_a_binary_search() -> None:
    generator = torch.Generator().manual_seed(0)
    level = torch.linspace(-1, 1, 17)[1:-1] + 0.2 * torch.randn(200, 15, generator=generator)
    assert bool((level.diff(dim=-1) < 0).any()), "the test needs levels out of order"
    x = torch.linspace(-1.5, 1.5, 301)
    code = torch.zeros(200, 301, dtype=torch.int64)
    for place in (8, 4, 2, 1):
        code += place * (x > level.gather(1, code + place - 1)).long()
    rising = search_thresholds(level)
    assert bool((rising.diff(dim=-1) >= 0).all())
    assert torch.equal((x[:, None] > rising[:, None]).sum(-1), code)


def test_ramp_reads_the_nearest_level() -> None:
    adc = Ramp(bits=6, capacitor=0.05, comparator=0.02, gain_db=50.0)
    eps = draws(adc, 40)
    level, offset = adc._symmetric(eps[:, 1:]), adc.comparator * eps[:, :1]
    assert bool((level.diff(dim=-1) > 0).all())
    x = torch.linspace(-1, 1, 997, dtype=torch.float64).expand(40, -1)
    nearest = (level[:, None] - x[..., None] - offset[..., None]).abs().argmin(-1)
    assert torch.equal(adc.convert(x.contiguous(), adc.tables(eps)).long(), nearest)


@pytest.mark.parametrize("kind", [Pipeline, Cyclic])
def test_stages_follow_the_circuit(kind: type[Circuit]) -> None:
    bits, sc, sp, so, gain = 5, 0.05, 0.04, 0.06, 10 ** (40 / 20)
    adc = kind(bits=bits, capacitor=sc, parasitic=sp, comparator=so, gain_db=40.0)
    eps = draws(adc, 30)
    values = torch.linspace(-1, 1, 101, dtype=torch.float64)
    got = adc.convert(values.expand(30, -1).contiguous(), adc.tables(eps))
    again = kind is Cyclic
    for chip in range(30):
        e = eps[chip].tolist()
        stages = 1 if again else bits - 1
        c1, c2, cp, up, low = (e[k * stages : (k + 1) * stages] for k in range(5))
        for place, v in enumerate(values.tolist()):
            code = 0
            for n in range(bits - 1):
                k = 0 if again else n
                one, two, extra = 1 + sc * c1[k], 1 + sc * c2[k], sp * cp[k]
                above, below = v > 0.25 + so * up[k], v < -0.25 + so * low[k]
                code += 2 ** (bits - 1 - n) if above else 0 if below else 2 ** (bits - 2 - n)
                c = -1 if above else 1 if below else 0
                beta = one / (one + two + extra)
                v = ((1 + two / one) * v + c * two / one) / (1 + 1 / (gain * beta))
            code += v > so * e[-1]
            assert int(got[chip, place]) == code


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [0.0, 0.01, 0.5, 10.0])
@pytest.mark.parametrize("kind", [SAR, Ramp, Flash, Measured])
def test_bins_find_what_a_search_finds(kind: type[Circuit], spread: float, dtype: torch.dtype) -> None:
    """Exactly, for thresholds far apart, on one another and beyond the span, and for values on them."""
    names = [
        n for n in ("capacitor", "comparator", "resistor", "gain", "dnl") if n in kind.__dataclass_fields__
    ]
    adc = kind(bits=5, **dict.fromkeys(names, spread))
    table = adc.tables(draws(adc, 60).to(dtype))
    generator = torch.Generator().manual_seed(0)
    x = torch.empty(60, 400, dtype=dtype).uniform_(-1, 1, generator=generator)
    ends = torch.tensor([-1.0, 1.0, 0.0], dtype=dtype).expand(60, -1)
    on = table.clamp(-1, 1)
    x = torch.cat([x, ends, on, torch.nextafter(on, -ends[:, :1]), torch.nextafter(on, ends[:, :1])], -1)
    x = x.clamp(-1, 1).contiguous()
    rows = torch.randperm(60, generator=generator)
    got = adc.look_up(x, adc.packed(table), rows)
    assert got.dtype == dtype
    assert torch.equal(got, adc.convert(x, table[rows]))
    packed = adc.packed(table.view(3, 4, 5, 1, -1))
    assert torch.equal(packed.flatten(0, 3), adc.packed(table))


def test_many_bits_are_searched() -> None:
    adc = Measured(bits=11, dnl=0.1)
    table = adc.tables(draws(adc, 3))
    assert adc.packed(table) is table
    x = torch.linspace(-1, 1, 997, dtype=torch.float64).expand(3, -1).contiguous()
    rows = torch.tensor([2, 0, 1])
    assert torch.equal(adc.look_up(x, table, rows), adc.convert(x, table[rows]))


def test_a_nan_harms_no_other_value() -> None:
    adc = SAR(bits=4, capacitor=0.1)
    packed, rows = adc.packed(adc.tables(draws(adc, 2))), torch.arange(2)
    x = torch.tensor([[0.3, math.nan, -0.2], [math.nan, 0.9, -1.0]], dtype=torch.float64)
    got, clean = adc.look_up(x, packed, rows), adc.look_up(x.nan_to_num(), packed, rows)
    assert torch.equal(got[x == x], clean[x == x])


# --- laws of the mismatch ----------------------------------------------------------------------


def test_comparator_offset_has_its_spread() -> None:
    for adc in (SAR(comparator=0.01), Ramp(comparator=0.01)):
        table = adc.tables(draws(adc, 2000))
        offset = table[:, 100] - adc.nominal(table)[100]
        assert stats.kstest(offset.numpy() / 0.01, "norm").pvalue > 1e-3
        assert torch.allclose(table.diff(dim=-1), adc.nominal(table).diff(dim=-1), atol=1e-12)


@pytest.mark.parametrize("carry", [1, 3, 5, 6])
def test_sar_dnl_at_a_carry(carry: int) -> None:
    """Capacitor n comes, those below go: variance s^2 (2^n + ... + 1) in squared steps."""
    s = 0.01
    adc = SAR(bits=8, split=False, capacitor=s, gain_db=200.0)
    table = adc.tables(draws(adc, 3000))
    step = (table[:, 127 + 2**carry] - table[:, 126 + 2**carry]) * 128
    spread = s * math.sqrt(2 ** (carry + 1) - 1)
    assert stats.kstest((step - 1).numpy() / spread, "norm").pvalue > 1e-3


def test_split_array_is_the_more_sensitive() -> None:
    def dnl(split: bool) -> float:
        adc = SAR(bits=8, split=split, capacitor=0.01)
        table = adc.tables(draws(adc, 500))
        return float(table.diff(dim=-1).std(0).max())

    assert dnl(True) > 2 * dnl(False)


def test_flash_ladder_is_a_bridge() -> None:
    s, count = 0.02, 16
    adc = Flash(bits=4, resistor=s)
    table = adc.tables(draws(adc, 4000))
    for k in (1, 4, 8, 15):
        spread = 2 * s / count * math.sqrt(k * (count - k) / count)
        error = (table - adc.nominal(table))[:, k - 1]
        assert stats.kstest(error.numpy() / spread, "norm").pvalue > 1e-3


def test_measured_figures() -> None:
    count = 64
    adc = Measured(bits=6, dnl=0.1)
    table = adc.tables(draws(adc, 3000)) * count / 2
    step = table.diff(dim=-1) - 1  # tied at the ends: each width loses the mean of all
    assert stats.kstest(step[:, 30].numpy() / (0.1 * math.sqrt(1 - 1 / count)), "norm").pvalue > 1e-3
    middle = table[:, 31].numpy() / (0.1 * math.sqrt(count / 4))
    assert stats.kstest(middle, "norm").pvalue > 1e-3
    shifted = Measured(bits=6, offset=0.5)
    assert stats.kstest(
        shifted.tables(draws(shifted, 2000))[:, 31].numpy() * count / 2 / 0.5, "norm"
    ).pvalue > 1e-3  # fmt: skip
    gained = Measured(bits=6, gain=0.03)
    ratio = gained.nominal(table)[60] / gained.tables(draws(gained, 2000))[:, 60] - 1
    assert stats.kstest(ratio.numpy() / 0.03, "norm").pvalue > 1e-3
    bent = Measured(bits=8, inl=2.0)
    high = bent.nominal(table) - Measured(bits=8).nominal(table)
    assert float(high.abs().max()) * 128 == pytest.approx(2.0, rel=1e-3)
    assert float(high[127]) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("adc", ROUGH, ids=repr)
def test_gradient_passes_inside_and_stops_outside(adc: Circuit) -> None:
    x = torch.tensor([[-1.5, -0.7, 0.0, 0.4, 1.2]] * 3, requires_grad=True)
    adc.levels(x, adc.tables(draws(adc, 3)).float()).sum().backward()
    assert x.grad is not None and x.grad[0].tolist() == [0, 1, 1, 1, 0]


# --- chips -------------------------------------------------------------------------------------


def linear(adc: Circuit, **stages: object) -> AnalogLinear:
    torch.manual_seed(0)
    hardware = mho.Hardware(adc=with_(adc, range=Fixed(limit=3.0)), **stages)
    return AnalogLinear(20, 18, hardware=hardware).eval()


@pytest.mark.parametrize("adc", ROUGH, ids=repr)
@torch.no_grad()
def test_a_layer_is_the_sum_of_its_converters(adc: Circuit) -> None:
    """The product of a chip, converter by converter: tiles of rows and columns, two channels."""
    mapping = mho.mapping.DifferentialPair(digital_subtraction=True)
    layer = linear(adc, mapping=mapping, tile=mho.Tile(rows=7, columns=10, full=True))
    x = torch.randn(6, 20)
    with pytest.warns(NotProgrammedWarning):
        before = layer(x)
    mho.program(layer, seed=1)
    assert not torch.equal(layer(x), before)
    chip, how = layer.chip, mapping.readout(0.0, layer.hardware.device.g_max)
    assert chip is not None and chip.converters is not None
    table = layer.hardware.adc.tables(chip.converters)
    total = torch.zeros(6, 18)
    for tile, (a, b) in enumerate(((0, 7), (7, 14), (14, 20))):
        for channel in range(2):
            g = chip.g[channel, 0, a:b] / layer.hardware.device.g_max
            for column in range(18):
                current = (x[:, a:b] @ g[:, column] / 3.0)[None]
                level = layer.hardware.adc.levels(current, table[0, tile, channel, column][None])[0]
                sign = how.digital[channel] * how.analog[channel][channel]
                total[:, column] += 3.0 * level * sign
    assert torch.allclose(layer(x), total * chip.scale.flatten() + layer.bias, atol=1e-4)


def test_neighbours_share_a_converter_and_arrays_do_not() -> None:
    adc = SAR(bits=4, columns=4, capacitor=0.1)
    eps = adc.draw((2, 3, 2), [10, 5], 0, "fc")
    assert eps.shape == (2, 3, 2, 15, 6)
    first = [0, 4, 8, 10, 14]
    for column in range(15):
        same = max(f for f in first if f <= column)
        assert torch.equal(eps[..., column, :], eps[..., same, :])
    flat = eps[..., first, :].reshape(-1, 6)
    assert len(torch.unique(flat, dim=0)) == 2 * 3 * 2 * 5
    ramp = Ramp(bits=4).draw((1, 2, 1), [3, 3], 0, "fc")[0, :, 0]
    assert torch.equal(ramp[0, 0, 1:], ramp[0, 2, 1:])  # one ramp for an array
    assert len(torch.unique(ramp[..., 1:].flatten(0, 1), dim=0)) == 4
    assert len(torch.unique(ramp[..., 0])) == 12


@torch.no_grad()
def test_frozen_saved_and_no_other_draw_moves() -> None:
    device = mho.devices.PCM()
    layer, x = linear(ROUGH[0], device=device), torch.randn(4, 20)
    mho.program(layer, seed=3)
    plain = linear(with_(ROUGH[0], capacitor=0.0, comparator=0.0), device=device)
    mho.program(plain, seed=3)
    assert torch.equal(layer.chip.g, plain.chip.g)
    assert torch.equal(layer.chip.converters, plain.chip.converters)
    kept = layer.chip.converters.clone()
    mho.age(layer, 1e5)
    assert torch.equal(layer.chip.converters, kept)
    other = linear(ROUGH[0], device=device)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.packed_levels, layer.packed_levels)
    mho.program(layer, seed=4)
    assert not torch.equal(layer.chip.converters, kept)
    assert mho.Hardware.from_json(layer.hardware.to_json()) == layer.hardware
    assert layer(x).shape == (4, 18)


@pytest.mark.parametrize("adc", [ROUGH[0], ROUGH[4]], ids=repr)
@torch.no_grad()
def test_a_convolution_reads_each_patch_with_the_same_converters(adc: Circuit) -> None:
    hardware = mho.Hardware(adc=with_(adc, range=Fixed(limit=2.0)), tile=mho.Tile(rows=18, columns=4))
    conv = AnalogConv2d(4, 6, 3, bias=False, hardware=hardware).eval()
    line = AnalogLinear(36, 6, bias=False, hardware=hardware).eval()
    line.weight.copy_(conv.weight.flatten(1))
    mho.program(conv, seed=0)
    mho.program(line, seed=0)
    x = torch.randn(2, 4, 6, 5)
    wanted = line(nn.functional.unfold(x, 3).transpose(1, 2)).transpose(1, 2).view(2, 6, 4, 3)
    assert torch.allclose(conv(x), wanted, atol=1e-5)


@torch.no_grad()
def test_an_embedding_uses_the_converters_of_its_tile() -> None:
    adc = with_(ROUGH[3], range=Fixed(limit=1.0))
    table = AnalogEmbedding(10, 6, hardware=mho.Hardware(adc=adc, tile=mho.Tile(rows=5))).eval()
    mho.program(table, seed=0)
    levels = table.packed_levels[0, :, 0]
    rows = torch.tensor([[1, 7, 4], [9, 9, 0]])
    got = table(rows)
    for place in ((0, 0), (0, 1), (1, 0), (1, 2)):
        row = int(rows[place])
        current = (table.chip.g[0, 0, row] - table.chip.g[1, 0, row]) / table.hardware.device.g_max
        wanted = adc.read(current[:, None], levels[row // 5], torch.arange(6))[:, 0] * table.chip.scale
        assert torch.allclose(got[place], wanted.flatten(), atol=1e-6)


def test_other_stages_around_it() -> None:
    """A unit column, dynamic and calibrated ranges, noise, a digital offset, compensation, gradients."""
    x = torch.randn(5, 20)
    for mapping in (mho.mapping.Offset(unit_column=True), mho.mapping.BitSlicing(bits=8, slices=4)):
        for ranges in (mho.converters.Dynamic(), mho.converters.Calibrated(per_tile=True)):
            fine = Measured(bits=12, dnl=0.1, gain=0.002, range=ranges, noise=1e-4)
            torch.manual_seed(0)
            hardware = mho.Hardware(adc=fine, mapping=mapping, tile=mho.Tile(rows=10), dac=mho.DAC(bits=12))
            layer = AnalogLinear(20, 18, hardware=hardware).eval()
            mho.calibrate(layer, [x])
            mho.program(layer, seed=0)
            mho.compensate(layer)
            y, exact = layer(x), nn.functional.linear(x, layer.weight, layer.bias)
            assert float((y - exact).detach().norm() / exact.detach().norm()) < 0.05
            y.sum().backward()
            assert layer.weight.grad is not None and float(layer.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("adc", [ROUGH[0], ROUGH[4]], ids=repr)
def test_compiles_whole(adc: Circuit) -> None:
    layer, x = linear(adc), torch.randn(4, 20)
    mho.program(layer, seed=0)
    with torch.no_grad():
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), layer(x), atol=1e-5)


def test_a_lopsided_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave low out"):
        SAR(range=Fixed(limit=1.0, low=-0.5))
    with pytest.raises(ConfigError, match="adc"):
        mho.Hardware(adc=mho.DAC())
