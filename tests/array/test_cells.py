"""Cells that obey no Ohm's law, in whole layers, against the currents of single cells."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mho
from mho.array import Law, Nonlinear, Ohmic, Polynomial, Series, Simulated, Sinh, Table, cells
from mho.converters import Fixed
from mho.devices import PCM, Ideal
from mho.devices.dynamics import VTEAM
from mho.errors import ConfigError

V = 0.2
SERIES = Series(cell=Sinh(v_c=0.1), selector=Ohmic(), selector_g=1 / 15e3)
LAWS: list[Law] = [
    Ohmic(),
    Sinh(v_c=0.08),
    Polynomial(coefficients=(0.5, 2.0)),
    Table(v=(0.0, 0.05, 0.2), h=(0.0, 0.02, 0.2)),
]


def hardware(array: mho.array.Array, bits: int | None = 5, **parts: Any) -> mho.Hardware:
    parts = {"device": Ideal(), "tile": mho.Tile(rows=4, columns=3), **parts}
    return mho.Hardware(array=array, dac=mho.DAC(bits=bits, range=Fixed(limit=2.0)), **parts)


def programmed(layer: nn.Module, given: mho.Hardware) -> nn.Module:
    analog = mho.convert(layer.double(), given).eval()
    mho.program(analog, seed=0)
    return analog


def volts(x: torch.Tensor, bits: int | None = 5) -> torch.Tensor:
    """What the DAC makes of inputs, full scale 2."""
    return mho.DAC(bits=bits).quantise(x, 2.0) / 2.0 * V


def by_cells(analog: nn.Module, x: torch.Tensor, law: Law, bits: int | None = 5) -> torch.Tensor:
    """Outputs of a linear layer from the current of each single cell."""
    g = mho.conductances(analog)[""][:, 0]
    v = volts(x, bits)
    full = law.current(torch.full_like(g, V), torch.ones_like(g))
    i = law.current(v[:, None, :, None].expand(-1, 2, -1, g.shape[-1]), g / full * V)
    sums = (i[:, 0] - i[:, 1]).sum(1) / (V * 25e-6)
    return sums * analog.chip_scale.flatten() * 2.0 + analog.bias


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("bits", [5, None])
def test_one_shape_for_all_cells(law: Law, bits: int | None) -> None:
    torch.manual_seed(0)
    analog = programmed(nn.Linear(10, 7), hardware(Nonlinear(law=law), bits))
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    torch.testing.assert_close(analog(x), by_cells(analog, x, law, bits))


def test_an_ohmic_law_is_the_ideal_array() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 5, 3), torch.randn(2, 2, 6, 6).double()
    curved = programmed(layer, hardware(Nonlinear(law=Ohmic()), device=PCM(read_scale=0.0)))
    plain = programmed(layer, hardware(mho.array.Ideal(), device=PCM(read_scale=0.0)))
    torch.testing.assert_close(curved(x), plain(x))


@pytest.mark.parametrize(
    "law", [Sinh(v_c=0.08), Polynomial(coefficients=(0.5, 2.0))], ids=["sinh", "polynomial"]
)
def test_convolution(law: Law) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 5, 3, padding=1)
    analog = programmed(layer, hardware(Nonlinear(law=law)))
    x = torch.rand(2, 2, 6, 6, dtype=torch.float64) * 4 - 2
    v = volts(x)
    h = law.current(v, torch.ones_like(v)) / law.current(torch.full_like(v, V), torch.ones_like(v))
    torch.testing.assert_close(analog(x), F.conv2d(h * 2.0, layer.weight, layer.bias, padding=1))


def test_the_offset_of_a_mapping_is_digital() -> None:
    torch.manual_seed(0)
    law = Sinh(v_c=0.08)
    analog = programmed(nn.Linear(10, 7), hardware(Nonlinear(law=law), mapping=mho.mapping.Offset()))
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    v = volts(x)
    h = law.current(v, torch.ones_like(v)) / law.current(*torch.tensor([V, 1.0], dtype=torch.float64))
    how = mho.chip.tile.readout(analog.hardware)
    g = mho.conductances(analog)[""][0, 0] / 25e-6
    read = h @ g * how.digital[0]
    if how.unit_column:
        read = read[:, :-1] - read[:, -1:]
    wanted = (
        read - how.offset * (v / V).sum(1, keepdim=True)
    ) * analog.chip_scale.flatten() * 2 + analog.bias
    torch.testing.assert_close(analog(x), wanted)


def test_a_selector_in_series_differs_from_cell_to_cell() -> None:
    torch.manual_seed(0)
    analog = programmed(nn.Linear(10, 7), hardware(Nonlinear(law=SERIES, points=15)))
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    g = mho.conductances(analog)[""][:, 0]
    small = analog.hardware.array._small_signal(g, V)
    torch.testing.assert_close(SERIES.current(torch.full_like(g, V), small), g * V)
    v = volts(x)
    i = SERIES.current(v[:, None, :, None].expand(-1, 2, -1, 7), small)
    sums = (i[:, 0] - i[:, 1]).sum(1) / (V * 25e-6)
    wanted = sums * analog.chip_scale.flatten() * 2.0 + analog.bias
    torch.testing.assert_close(analog(x), wanted)
    one = Nonlinear(law=Sinh(v_c=0.1)).shape(torch.tensor([0.5]), V)
    (half,) = analog.hardware.array.chords(g, [0.5], V)
    chords = (half / g)[g > 0]
    assert chords.min() >= one - 1e-6 and chords.max() > one * 1.01  # the selector straightens good cells


MODEL = VTEAM(v_read=V, v_on=-0.05, v_off=0.05)
CELL = Ideal(g_min=float(MODEL.g_min), g_max=float(MODEL.g_max), v_read=V)


@pytest.mark.parametrize("pulse", [0.0, 2e-9])
def test_cells_simulated_during_the_read(pulse: float) -> None:
    """A layer's output is the sum of the mean currents of switching models, one simulation for each."""
    torch.manual_seed(0)
    array = Simulated(model=MODEL, pulse=pulse, steps=8, points=15)
    analog = programmed(nn.Linear(4, 3), hardware(array, device=CELL))
    x = torch.rand(2, 4, dtype=torch.float64) * 4 - 2
    g = mho.conductances(analog)[""][:, 0]
    wanted = torch.zeros(2, 3, dtype=torch.float64)
    v = volts(x)
    time = torch.linspace(0, max(pulse, 1e-12), 9, dtype=torch.float64)
    (digital,), moved = mho.chip.tile.readout(analog.hardware).digital, 0.0
    for b in range(2):
        for copy_ in range(2):
            for row in range(4):
                for column in range(3):
                    start = MODEL.state_of(g[copy_, row, column])
                    if pulse:
                        trace = MODEL.simulate(v[b, row].expand(9), time, start, held=True)
                        current = torch.trapezoid(trace.current, time) / pulse
                        moved = max(moved, float((trace.conductance[-1] / trace.conductance[0] - 1).abs()))
                    else:
                        current = MODEL.current(v[b, row], start)
                    wanted[b, column] += (1 - 2 * copy_) * current / (V * CELL.g_max) * digital
    torch.testing.assert_close(
        analog(x), wanted * analog.chip_scale.flatten() * 2.0 + analog.bias, rtol=1e-5, atol=1e-6
    )
    assert (moved > 0.01) == (pulse > 0)  # the read moves the state, and does it anew each time
    assert torch.equal(analog(x), analog(x))


def test_between_the_points_currents_are_interpolated() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(10, 7)
    fine = programmed(layer, hardware(Nonlinear(law=SERIES, points=100), None))
    coarse = programmed(layer, hardware(Nonlinear(law=SERIES, points=10), None))
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    error = float((fine(x) - coarse(x)).detach().abs().max())
    assert 0 < error < 2e-2
    beyond = torch.full((1, 10), 2.2, dtype=torch.float64)  # an ideal DAC does not clip
    assert bool(coarse(beyond).isfinite().all())


def test_a_table_from_a_simulated_sweep() -> None:
    model = VTEAM(v_read=V)
    v = torch.linspace(0, V, 41, dtype=torch.float64)
    trace = model.simulate(v, torch.linspace(0, 1e-15, 41, dtype=torch.float64))
    law = Table.from_sweep(trace.voltage, trace.current)
    torch.testing.assert_close(
        law.current(v, torch.ones_like(v)) / law.current(v[-1:], torch.ones(1).double()),
        trace.current / trace.current[-1],
    )  # fmt: skip
    analog = programmed(nn.Linear(10, 7), hardware(Nonlinear(law=law)))
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    torch.testing.assert_close(analog(x), by_cells(analog, x, law))
    with pytest.raises(ValueError, match="two columns"):
        Table.from_sweep(v, trace.current[:-1])
    with pytest.raises(ConfigError, match="falls"):
        Table.from_sweep(v.flip(0), trace.current.flip(0))


@pytest.mark.parametrize(
    "array", [Nonlinear(law=Sinh(v_c=0.08)), Nonlinear(law=SERIES, points=7)], ids=["one", "many"]
)
def test_gradients_copies_and_compilation(array: Nonlinear) -> None:
    torch.manual_seed(0)
    given = hardware(array, 4, adc=mho.ADC(bits=8, range=Fixed(limit=4.0)))
    assert mho.Hardware.from_json(given.to_json()) == given
    analog = mho.convert(nn.Linear(10, 7), given).eval()
    mho.program(analog, seed=0)
    x = (torch.rand(6, 10) * 4 - 2).requires_grad_()
    y = analog(x)
    assert torch.equal(copy.deepcopy(analog)(x), y)
    back = mho.convert(nn.Linear(10, 7), given)
    back.load_state_dict(analog.state_dict())
    assert torch.equal(back.eval()(x), y)
    torch.testing.assert_close(torch.compile(analog, fullgraph=True, backend="aot_eager")(x), y)
    y.sum().backward()
    assert bool(analog.weight.grad.isfinite().all()) and float(analog.weight.grad.abs().max()) > 0
    assert bool(x.grad.isfinite().all()) and float(x.grad.abs().max()) > 0
    analog.train()
    mho.train_on_chip(analog)
    analog(x).sum().backward()


def test_calibration_and_streamed_bits() -> None:
    torch.manual_seed(0)
    x = torch.randn(20, 10)
    given = mho.Hardware(
        array=Nonlinear(law=SERIES, points=7), dac=mho.DAC(bits=4), adc=mho.ADC(bits=8), tile=mho.Tile(rows=4)
    )
    analog = mho.convert(nn.Linear(10, 7), given)
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    assert bool(analog.eval()(x).isfinite().all())
    single = mho.DAC(bits=5, range=Fixed(limit=2.0), stream=mho.converters.Stream())
    outputs = []
    for array in (Nonlinear(law=Sinh(v_c=0.02)), mho.array.Ideal()):  # single bits are at full scale or at 0
        layer = mho.convert(nn.Linear(10, 7), mho.Hardware(array=array, dac=single))
        torch.manual_seed(1)
        nn.init.normal_(layer.weight, std=0.3), nn.init.zeros_(layer.bias)
        mho.program(layer, seed=0)
        outputs.append(layer.eval()(x))
    torch.testing.assert_close(*outputs)


def test_read_noise_goes_with_the_current() -> None:
    law = Sinh(v_c=0.05)
    given = hardware(
        Nonlinear(law=law), None, device=mho.devices.Generic(read=mho.devices.Proportional(sigma=0.05))
    )
    torch.manual_seed(0)
    analog = mho.convert(nn.Linear(10, 3, bias=False), given).eval()
    mho.program(analog, seed=0)
    x = torch.linspace(-2, 2, 10)
    with torch.no_grad():
        y = analog(x.expand(20_000, 10))
    g = mho.conductances(analog)[""][:, 0]
    h = torch.sinh(x / 2 * V / 0.05) / torch.sinh(torch.tensor(V / 0.05))
    wanted = ((0.05 * g) ** 2).sum(0).T @ h**2
    wanted = wanted.sqrt() / 25e-6 * analog.chip_scale.flatten() * 2
    assert float((y.std(0) / wanted - 1).abs().max()) < 4.5 / (2 * 20_000) ** 0.5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dac": None}, "give a DAC"),
        ({"dac": mho.DAC(gain=0.1)}, "errors of drivers"),
        ({"array": Nonlinear(law=Series(cell=Ohmic(), selector=Ohmic(), selector_g=20e-6))}, "smaller g_max"),
        ({"array": Simulated(model=MODEL)}, "conductance"),
        ({"array": Simulated(model=VTEAM(v_read=0.3)), "device": CELL}, "one read voltage"),
    ],
)
def test_errors(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mho.Hardware(**{"array": Nonlinear(law=Sinh(v_c=0.1)), "dac": mho.DAC(), **fields})
    with pytest.raises(ConfigError, match="law"):
        Nonlinear(law="sinh")  # type: ignore[arg-type]


def test_a_convolution_of_cells_that_differ() -> None:
    torch.manual_seed(0)
    analog = programmed(nn.Conv2d(2, 3, 2), hardware(Nonlinear(law=SERIES, points=15)))
    x = torch.rand(2, 2, 4, 4, dtype=torch.float64) * 4 - 2
    g = mho.conductances(analog)[""][:, 0]
    small = analog.hardware.array._small_signal(g, V)
    v = F.unfold(volts(x), 2).transpose(1, 2)  # [image, place, row]
    i = SERIES.current(v[:, :, None, :, None].expand(-1, -1, 2, -1, 3), small)
    sums = (i[:, :, 0] - i[:, :, 1]).sum(2) / (V * 25e-6) * analog.chip_scale.flatten() * 2.0
    torch.testing.assert_close(analog(x), (sums + analog.bias).transpose(1, 2).reshape(2, 3, 3, 3))


@pytest.mark.parametrize("law", [Sinh(v_c=0.08), SERIES], ids=["one", "many"])
def test_bias_rows_are_driven_in_proportion(law: Law) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(10, 7)
    array = Nonlinear(law=law, points=15)
    digital = programmed(layer, hardware(array))
    rows = mho.convert(layer, hardware(array), bias_rows=1).eval()
    mho.program(rows, seed=0)
    x = torch.rand(6, 10, dtype=torch.float64) * 4 - 2
    torch.testing.assert_close(rows(x), digital(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "law",
    [
        Series(cell=Ohmic(), selector=Sinh(v_c=0.05), selector_g=1e-3),
        Series(cell=Sinh(v_c=0.1), selector=Ohmic(), selector_g=2.6e-5),  # which saturates
        Series(cell=Polynomial(coefficients=(0.0, 2.0)), selector=Sinh(v_c=0.03), selector_g=5e-5),
    ],
)
def test_an_estimate_of_the_law_changes_nothing_but_the_last_bits(law, dtype, monkeypatch):
    g = 25e-6 * torch.rand(20, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    g[0, :3] = torch.tensor([0.0, 25e-6, 1e-13])
    array, calls = Nonlinear(law=law), []
    monkeypatch.setattr(
        Series, "current", lambda self, v, g, whole=Series.current: calls.append(1) or whole(self, v, g)
    )
    found, few = array._small_signal(g, V), len(calls)
    monkeypatch.setattr(Series, "estimate", lambda *_: None)  # bisection alone
    searched = array._small_signal(g, V)
    torch.testing.assert_close(found, searched, rtol=0 if dtype == torch.float32 else 4e-15, atol=0)
    assert few < (len(calls) - few) / 3


def test_a_wrong_estimate_is_found_out(monkeypatch):
    array = Nonlinear(law=Series(cell=Ohmic(), selector=Sinh(v_c=0.05), selector_g=1e-3))
    g = 25e-6 * torch.rand(50, generator=torch.Generator().manual_seed(0))
    right = array._small_signal(g, V)
    for wrong in (0.0, -1.0, 1.0, math.inf, math.nan):
        monkeypatch.setattr(Series, "estimate", lambda self, v, i, wrong=wrong: i / v * 0 + wrong)
        assert torch.equal(array._small_signal(g, V), right), wrong


def test_a_cell_does_not_depend_on_its_neighbours_nor_on_what_is_computed_with_it(monkeypatch):
    """To the bit but for functions of torch that round otherwise at the end of a row (``sinh``)."""
    law = Series(cell=Polynomial(coefficients=(0.5, 2.0)), selector=Ohmic(), selector_g=5e-5)
    array = Nonlinear(law=law)
    g = 25e-6 * torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
    places = [k / 15 for k in range(-15, 16)]
    whole = list(array.chords(g, places, V))
    assert len(whole) == 31 and whole[0].shape == g.shape
    for at_once in (1, 100):
        monkeypatch.setattr(cells, "AT_ONCE", at_once)
        assert all(torch.equal(a, b) for a, b in zip(whole, array.chords(g, places, V), strict=True))
    alone = torch.stack([c for cell in g.flatten() for c in array.chords(cell, places, V)])
    assert torch.equal(alone.reshape(7, 5, 31).movedim(-1, 0), torch.stack(whole))
