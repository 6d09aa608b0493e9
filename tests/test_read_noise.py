"""Shot and thermal noise of whole products: their law in the input, against sums over the single cells."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats
from torch import nn

import mho
from mho.array import Nonlinear, Sinh, Wires
from mho.chip.tile import TileState, readout
from mho.converters import Calibrated, Dynamic, Fixed, Stream
from mho.devices import (
    PCM,
    Device,
    Generic,
    Ideal,
    Proportional,
    ShotNoise,
    Spread,
    StuckAt,
    Temperature,
    ThermalNoise,
    Varied,
)
from mho.mapping import BitSlicing, DifferentialPair, Offset, SignificancePairs
from mho.nn import analog_layers

BANDWIDTH = 1e10
HEAT = 4 * 1.380649e-23 * 300 * BANDWIDTH  # square amperes per siemens
CHARGE = 2 * 1.602176634e-19 * BANDWIDTH  # square amperes per ampere
TILE = mho.Tile(rows=16, columns=6)
FULL = 2.0
SMOOTH = {
    "dac": mho.DAC(bits=None, range=Fixed(limit=FULL)),
    "adc": mho.ADC(bits=None, range=Fixed(limit=50.0)),
}
FINE = {
    "dac": mho.DAC(bits=8, range=Fixed(limit=FULL)),
    "adc": mho.ADC(bits=16, range=Fixed(limit=50.0)),
}


def heat(inside: Device | None = None) -> Device:
    return ThermalNoise(bandwidth=BANDWIDTH, device=inside or Ideal(g_min=1e-6))


def shot(inside: Device | None = None) -> Device:
    return ShotNoise(bandwidth=BANDWIDTH, device=inside or Ideal(g_min=1e-6))


def chip(layer: nn.Module, device: Device, bias_rows: int = 0, **parts: object) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    parts.setdefault("tile", TILE)
    analog = mho.convert(layer, mho.Hardware(device=device, **parts), bias_rows=bias_rows).eval()
    mho.program(analog, seed=3)
    return analog


def cell_sums(analog: nn.Module) -> torch.Tensor:
    """What the variance of an output goes with: conductances over g_max squared, ``[group, row, column]``."""
    how, state = readout(analog.hardware), analog.chip
    assert isinstance(state, TileState)
    g = mho.conductances(analog)[""]
    total = 0.0
    for factor, row in zip(how.digital, how.analog, strict=True):
        total = total + factor**2 * sum(a * a * g[k] for k, a in enumerate(row))
    if how.unit_column:
        total = total[..., :-1] + total[..., -1:]
    groups, _, columns = total.shape
    out = state.scale.expand(groups, 1, columns) * state.gain.view(groups, 1, columns)
    v, g_max = analog.hardware.device.v_read, analog.hardware.device.g_max
    return total * (out / (v * g_max)) ** 2


def sampled(analog: nn.Module, x: torch.Tensor, n: int = 1500) -> torch.Tensor:
    """Variance of the outputs for one input, from ``n`` reads."""
    torch.manual_seed(7)
    with torch.no_grad():
        return analog(x.expand(n, *x.shape[1:])).var(0)


def agree(found: torch.Tensor, wanted: torch.Tensor, n: int = 1500) -> None:
    """A chi-squared variable for each output; 5 standard deviations cover thousands of them."""
    assert float((found / wanted - 1).abs().max()) < 5.3 * (2 / n) ** 0.5, (found / wanted).flatten()


MAPPINGS = {
    "pair": DifferentialPair(),
    "offset": Offset(),
    "unit column": Offset(unit_column=True),
    "slices": BitSlicing(bits=6, slices=3),
    "offset slices": BitSlicing(bits=6, slices=2, offset=True),
    "significance": SignificancePairs(),
}


@pytest.mark.parametrize("converters", [{}, SMOOTH, FINE, {"dac": SMOOTH["dac"]}], ids=str)
@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_the_law_in_the_input_for_all_mappings_and_converters(mapping, converters) -> None:
    full = FULL if converters else 1.0
    x = torch.linspace(-1, 1, 40).view(1, 40) * full
    x[0, 5:25] = 0.0
    x = (x / full * 127).round() * (full / 127)
    for device, law, strength in ((shot(), x.abs() * full, 0.2 * CHARGE), (heat(), full**2, HEAT)):
        analog = chip(nn.Linear(40, 9, bias=False), device, mapping=mapping, **converters)
        wanted = strength * (torch.as_tensor(law).expand(1, 40) @ cell_sums(analog)[0])
        agree(sampled(analog, x), wanted[0])


def test_heat_does_not_feel_the_input_and_shot_noise_its_square_root() -> None:
    inputs = (1.0, 0.25, 0.01, 0.0)
    hot, driven = (chip(nn.Linear(40, 9, bias=False), d, **SMOOTH) for d in (heat(), shot()))
    for x in inputs:
        vector = torch.full((1, 40), x * FULL)
        agree(sampled(hot, vector), HEAT * FULL**2 * cell_sums(hot)[0].sum(0))
        agree(
            sampled(driven, vector) + (x == 0),
            0.2 * CHARGE * x * FULL**2 * cell_sums(driven)[0].sum(0) + (x == 0),
        )
    assert not sampled(driven, torch.zeros(1, 40)).any()


@pytest.mark.parametrize("converters", [{}, SMOOTH], ids=["whole", "tiled"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(5, 6, 3, padding=1, bias=False), (5, 4, 5)),
        (nn.Conv2d(4, 6, 3, groups=2, stride=2, bias=False), (4, 7, 5)),
        (nn.Conv1d(7, 5, 4, dilation=2, bias=False), (7, 9)),
    ],
    ids=["2d", "groups", "1d"],
)
def test_convolutions(layer: nn.Module, shape: tuple[int, ...], converters: dict[str, object]) -> None:
    """A cell in the padding is a cell of the array: it is warm, and carries nothing."""
    full = FULL if converters else 1.0
    x = (torch.rand(1, *shape) - 0.5) * 2 * full
    for device, strength in ((shot(), 0.2 * CHARGE), (heat(), HEAT)):
        analog = chip(layer, device, **converters)
        sums = copy.deepcopy(layer)
        with torch.no_grad():
            sums.weight.copy_(analog.from_matrix(cell_sums(analog)))
            wanted = strength * full * sums(x.abs())[0]
            if isinstance(device, ThermalNoise):
                each = strength * full**2 * sums.weight.flatten(1).sum(1)
                wanted = each.view(-1, *(1 for _ in wanted.shape[1:])).expand_as(wanted)
        agree(sampled(analog, x), wanted)


def test_rows_of_a_bias_are_driven_and_warm() -> None:
    for converters in ({}, SMOOTH):
        full = FULL if converters else 1.0
        charged, hot = (chip(nn.Linear(20, 9), d, bias_rows=2, **converters) for d in (shot(), heat()))
        x = torch.zeros(1, 20)
        agree(sampled(charged, x), 0.2 * CHARGE * full * cell_sums(charged)[0, -2:].sum(0))
        agree(sampled(hot, x), HEAT * full**2 * cell_sums(hot)[0].sum(0))
        kinds = (nn.Conv2d(3, 6, 3), nn.Conv2d(4, 6, 3, groups=2))
        for charged, hot in (
            [chip(k, d, bias_rows=2, **converters) for d in (shot(), heat())] for k in kinds
        ):
            x = torch.zeros(1, charged.in_channels, 3, 3)
            rows = cell_sums(charged)[:, -2:].sum(1).flatten()
            agree(sampled(charged, x)[:, 0, 0], 0.2 * CHARGE * full * rows)
            agree(sampled(hot, x)[:, 0, 0], HEAT * full**2 * cell_sums(hot).sum(1).flatten())


@pytest.mark.parametrize("adc", [None, mho.ADC(bits=None, range=Fixed(limit=50.0))], ids=["whole", "tiled"])
def test_a_table_has_the_noise_of_the_tile_that_is_read(adc: mho.ADC | None) -> None:
    for device, strength in ((shot(), 0.2 * CHARGE), (heat(), HEAT)):
        analog = chip(nn.Embedding(40, 5), device, adc=adc)
        sums = cell_sums(analog)[0]
        row = 17  # 40 rows in tiles of 14, 13 and 13
        (tile,) = [(a, b) for a, b in analog.layout.rows if a <= row < b]
        wanted = sums[row] if device == shot() else sums[slice(*tile)].sum(0)
        torch.manual_seed(1)
        with torch.no_grad():
            found = analog(torch.full((1500,), row)).var(0)
        agree(found, strength * wanted)


@pytest.mark.parametrize("each", [True, False])
def test_each_group_of_bits_has_the_noise_of_a_read(each: bool) -> None:
    """Bits of 3, in 7 groups of one, weights 1, 2, 4...; two of them carry a current."""
    parts = {
        "dac": mho.DAC(bits=8, range=Fixed(limit=FULL), stream=Stream(bits=1, each=each)),
        "adc": mho.ADC(bits=None, range=Fixed(limit=200.0)),
    }
    x = torch.full((1, 20), 3 * FULL / 127)
    for device, strength, weights in (
        (shot(), 0.2 * CHARGE, [1, 2]),
        (heat(), HEAT, [2**k for k in range(7)]),
    ):
        analog = chip(nn.Linear(20, 9, bias=False), device, **parts)
        share = sum((w / 127) ** 2 for w in weights)
        agree(sampled(analog, x), strength * FULL**2 * share * cell_sums(analog)[0].sum(0))


def test_a_dynamic_range_puts_the_read_voltage_at_the_peak_of_each_vector() -> None:
    for adc in (None, SMOOTH["adc"]):
        analog = chip(nn.Linear(20, 9, bias=False), heat(), dac=mho.DAC(bits=None, range=Dynamic()), adc=adc)
        for peak in (0.1, 3.0):
            x = torch.zeros(1, 20)
            x[0, 3] = peak
            agree(sampled(analog, x), HEAT * peak**2 * cell_sums(analog)[0].sum(0))


def test_beside_the_noise_of_conductances_and_stuck_cells() -> None:
    inside = StuckAt(lrs=0.1, device=Generic(g_min=1e-6, read=Proportional(sigma=0.01)))
    x = torch.linspace(-1, 1, 40).view(1, 40) * FULL
    for converters in (SMOOTH, {"dac": SMOOTH["dac"]}):
        quiet = chip(nn.Linear(40, 9, bias=False), inside, **converters)
        both = chip(nn.Linear(40, 9, bias=False), StuckAt(hrs=0.0, device=shot(heat(inside))), **converters)
        squares = ((0.01 * mho.conductances(quiet)[""]) ** 2).sum(0)[0] / 25e-6**2
        own = (x**2 @ squares)[0] * (quiet.chip_scale.flatten() * 25 / 24) ** 2
        agree(sampled(quiet, x), own)
        sums = cell_sums(both)[0]
        agree(
            sampled(both, x),
            own + HEAT * FULL**2 * sums.sum(0) + (0.2 * CHARGE * FULL * x.abs() @ sums)[0],
        )
        with torch.no_grad():
            mean = both(x.expand(1500, -1)).mean(0) - quiet(x.expand(1500, -1)).mean(0)
        assert float((mean / sampled(both, x).sqrt()).abs().max()) < 5 * (2 / 1500) ** 0.5


def test_cells_that_each_have_a_temperature_of_their_own() -> None:
    """At full scale the sum over the cells; with the input it goes as noise of conductances."""
    device = Varied(spreads={"temperature": Spread(mean=900.0, std=200.0)}, device=heat())
    analog = chip(nn.Linear(40, 9, bias=False), device, **SMOOTH)
    kelvin = analog.chip_cells[0]
    g = mho.conductances(analog)[""]
    wanted = (HEAT / 300 * kelvin * g).sum((0, 1, 2)) * (
        FULL * analog.chip_scale.flatten() * 25 / 24 / 5e-6
    ) ** 2
    agree(sampled(analog, torch.full((1, 40), FULL)), wanted)
    hot = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3, device=Ideal(g_min=1e-6))
    outside = chip(
        nn.Linear(40, 9, bias=False),
        heat(Varied(spreads={"alpha": Spread(mean=1e-3, std=1e-4)}, device=hot)),
        **SMOOTH,
    )
    assert outside.packed_thermal is not None and outside.packed_variance is None


def test_behind_wires_it_is_that_of_the_conductance_seen_from_outside() -> None:
    """Nyquist: the noise of a passive network is that of its conductance, here of rows to columns."""
    parts = dict(SMOOTH, array=Wires(row=40.0, column=40.0), tile=mho.Tile(rows=40, columns=9))
    analog = chip(nn.Linear(40, 9, bias=False), heat(), **parts)
    g = mho.conductances(analog)[""]
    seen = sum(mho.chip.tile.through_wires(analog.hardware, g, analog.layout))[0]
    lost = float(seen.sum() / g.sum())
    assert 0.5 < lost < 0.97
    scale = analog.chip_scale.flatten() * 25 / 24 / (0.2 * 25e-6)
    agree(sampled(analog, torch.zeros(1, 40)), HEAT * (FULL * scale) ** 2 * seen.sum(0))


def test_cells_without_ohms_law_have_the_shot_noise_of_their_current() -> None:
    law = Sinh(v_c=0.1)
    parts = {"array": Nonlinear(law=law), "dac": SMOOTH["dac"]}
    analog = chip(nn.Linear(40, 9, bias=False), shot(), **parts)
    u = torch.linspace(-1, 1, 40).view(1, 40)
    bent = torch.sinh(0.2 * u / 0.1).abs() / torch.sinh(torch.tensor(2.0))
    agree(sampled(analog, u * FULL), 0.2 * CHARGE * FULL**2 * (bent @ cell_sums(analog)[0])[0])


def test_one_output_is_normal() -> None:
    for device in (heat(), shot(), heat(shot(PCM()))):
        analog = chip(nn.Linear(40, 3, bias=False), device, **SMOOTH)
        torch.manual_seed(2)
        with torch.no_grad():
            y = analog(torch.linspace(0, 1, 40).expand(4000, 40))
        for column in ((y - y.mean(0)) / y.std(0)).T:
            assert stats.kstest(column.numpy(), "norm").pvalue > 1e-4


def test_gradients_do_not_go_through_it() -> None:
    loud = chip(nn.Linear(40, 9), heat(shot()), **SMOOTH)
    quiet = chip(nn.Linear(40, 9), Ideal(g_min=1e-6), **SMOOTH)
    found = []
    for analog in (loud, quiet):
        x = torch.linspace(-1, 1, 40).requires_grad_()
        analog(x).sum().backward()
        found.append((x.grad, analog.weight.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("converters", [{}, FINE], ids=["whole", "tiled"])
def test_vmap_and_compile(converters: dict[str, object]) -> None:
    net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(24, 5))
    analog = chip(net, heat(shot(PCM())), **converters)
    x = torch.rand(3, 2, 4, 4)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
        y = torch.stack([compiled(x) for _ in range(300)])
        plain = torch.stack([analog(x) for _ in range(300)])
        many = torch.func.vmap(analog, randomness="different")(x.expand(300, *x.shape))
    for other in (y, many):
        spread = plain.std(0)
        assert float(((other.mean(0) - plain.mean(0)) / spread).abs().max()) < 5 * (2 / 300) ** 0.5
        assert float((other.std(0) / spread).log().abs().max()) < 5 * (1 / 300) ** 0.5
    with torch.no_grad():
        one = torch.func.vmap(analog, randomness="same")(x[:1].expand(2, *x[:1].shape))
    assert (
        one[0] - one[1]
    ).abs().max() <= 2e-6 * one.abs().max()  # the same noise, at two places of a product


def test_vmap_over_chips() -> None:
    chips = [chip(nn.Conv2d(3, 6, 3), heat(shot(PCM())), **FINE) for _ in range(2)]
    mho.program(chips[1], seed=9)
    state, buffers = torch.func.stack_module_state(chips)
    x = torch.rand(400, 3, 3, 3)

    def call(state: object, buffers: object, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(chips[0], (state, buffers), (x,))

    with torch.no_grad():
        y = torch.func.vmap(call, (0, 0, None), randomness="different")(state, buffers, x[:1].expand_as(x))
        for one, many in zip(chips, y, strict=True):
            assert float((many.var(0) / sampled(one, x[:1])).log().abs().max()) < 5 * (2 / 300) ** 0.5


def test_a_chip_keeps_it_through_moves_ageing_and_state_dict() -> None:
    analog = chip(nn.Linear(20, 5, bias=False), heat(shot(PCM())), **SMOOTH)
    mho.age(analog, 1e5)
    other = chip(nn.Linear(20, 5, bias=False), heat(shot(PCM())), **SMOOTH)
    assert not torch.equal(other.packed_shot, analog.packed_shot)
    other.load_state_dict(analog.state_dict())
    for name in ("packed_shot", "packed_thermal", "packed_variance"):
        assert torch.equal(getattr(other, name), getattr(analog, name))
    for layer in analog_layers(analog.double()).values():
        assert layer.packed_thermal.dtype == torch.float32


def test_calibration_and_bits_go_on_as_before() -> None:
    analog = chip(
        nn.Linear(40, 9),
        heat(shot()),
        dac=mho.DAC(bits=8, range=Calibrated()),
        adc=mho.ADC(bits=8, range=Calibrated()),
    )
    x = torch.rand(64, 40)
    mho.calibrate(analog, [x])
    y = analog(x)
    assert y.isfinite().all() and not torch.equal(y, analog(x))
