"""Noise of reads behind wires against the exact response of the network to each of its cells."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.array import AlternateColumns, Approximate, Array, SharedColumns, Wires
from mho.array._circuit import build
from mho.array._network import nodes
from mho.array._noise import PLACES
from mho.chip import read_noise
from mho.chip.state import tile_columns
from mho.chip.tile import readout
from mho.converters import Fixed
from mho.devices import PCM, Device, Generic, Ideal, Independent, Proportional, ShotNoise, ThermalNoise
from mho.mapping import BitSlicing, DifferentialPair, Offset

from .exact_noise import by_autograd, responses, variance

STRONG = Wires(row=5.0, column=5.0, driver=500.0, sense=200.0)
WIRES = {
    "5 ohm, ends of 500 and 200 ohm": STRONG,
    "1 ohm": Wires(row=1.0, column=1.0),
    "ends alone": Wires(row=0.0, column=0.0, driver=500.0, sense=200.0),
    "ideal lines": Wires(row=0.0, column=0.0),
    "long bit lines": Wires(row=0.0, column=8.0),
    "long word lines": Wires(row=8.0, column=0.0),
    "driven and sensed twice": Wires(row=4.0, column=4.0, far_driver=100.0, far_sense=50.0),
    "lines that differ": Wires(
        row=tuple(1.0 + k % 3 for k in range(64)), column=2.0, sense=tuple(50.0 * (k % 4) for k in range(64))
    ),
}


def inputs(rows: int) -> dict[str, Tensor]:
    torch.manual_seed(1)
    half = torch.ones(2, rows)
    half[0, rows // 2 :], half[1, : rows // 2] = 0, 0
    found = {
        "positive": torch.rand(40, rows),
        "signed": torch.rand(40, rows) * 2 - 1,
        "rectified": torch.randn(40, rows).clamp(min=0),
        "halves": half,
        "ones": torch.ones(1, rows),
    }
    return {name: x.double() for name, x in found.items()}


def seen(g: Tensor, wires: Array, of_cells: Tensor) -> mho.array.SeenNoise:
    groups = wires.noise_groups(g.shape[0], float(g.max()))
    found = wires.seen_noise(g[None], of_cells[None], ((1.0,),), groups)
    return mho.array.SeenNoise(*(p.squeeze(a) for p, a in zip(found, PLACES, strict=True)))


def of_squares(found: mho.array.SeenNoise, x: Tensor) -> Tensor:
    i, q = (torch.einsum("bk,gkc->gbc", x, m) for m in (found.currents, found.cross))
    return x**2 @ found.squares - 2 * (i * q).sum(0) + torch.einsum("gbc,hbc,ghc->bc", i, i, found.lines)


@pytest.mark.parametrize("law", ["in proportion", "alike"])
@pytest.mark.parametrize("name", WIRES)
def test_noise_of_conductances_is_within_a_hundredth(name: str, law: str) -> None:
    """Of its standard deviation, in every column, for dense inputs; on average within a five-hundredth."""
    torch.manual_seed(0)
    g = torch.rand(64, 64).double() * 20e-6 + 1e-6
    of_cells = (0.05 * g) ** 2 if law == "in proportion" else torch.full_like(g, 1e-13)
    found = seen(g, WIRES[name], of_cells)
    for kind, x in inputs(64).items():
        ratio = (of_squares(found, x) / variance(g, WIRES[name], of_cells, x)).sqrt() - 1
        assert float(ratio.abs().max()) < 0.01, kind
        assert float(ratio.mean().abs()) < 0.002, kind


def test_the_exact_response_is_the_gradient_of_the_solver() -> None:
    torch.manual_seed(0)
    g = torch.rand(7, 5).double() * 25e-6
    for wires in (STRONG, Wires(row=9.0, column=3.0, far_driver=20.0, far_sense=10.0)):
        volts, shares = responses(g, wires)
        torch.testing.assert_close(shares * volts.sum(0), by_autograd(g, wires), rtol=1e-8, atol=1e-14)


def test_what_the_scale_of_the_conductance_alone_would_give() -> None:
    """The form that this replaces is wrong by several hundredths."""
    torch.manual_seed(0)
    g = torch.rand(64, 64).double() * 20e-6 + 1e-6
    of_cells = (0.05 * g) ** 2
    x = inputs(64)["positive"]
    scaled = x**2 @ (of_cells * (STRONG.effective_conductance(g) / g) ** 2)
    assert float((scaled / variance(g, STRONG, of_cells, x)).sqrt().sub(1).abs().max()) > 0.05


def test_broken_and_open_lines_carry_no_noise() -> None:
    g = torch.full((6, 5), 1e-5, dtype=torch.float64)
    inf = float("inf")
    wires = Wires(
        row=(1.0, inf, 1.0, 1.0, 1.0, 1.0),
        column=(2.0, 2.0, inf, 2.0, 2.0),
        driver=(0.0, 0.0, 0.0, inf, 0.0, 0.0),
    )
    found = seen(g, wires, torch.full_like(g, 1e-14))
    assert all(bool(part.isfinite().all()) for part in found)
    assert not found.squares[1].any() and not found.squares[:, 2].any()
    x = torch.rand(5, 6, dtype=torch.float64)
    got = of_squares(found, x)
    mask = torch.ones_like(g)
    mask[1], mask[:, 2] = 0, 0
    sound = Wires(row=1.0, column=2.0, driver=wires.driver)
    wanted = variance(g * mask, sound, torch.full_like(g, 1e-14) * mask, x)
    torch.testing.assert_close(got[:, [0, 1, 3, 4]], wanted[:, [0, 1, 3, 4]], rtol=1e-3, atol=0)


# --- whole layers ------------------------------------------------------------------------------

NOISY = Generic(g_min=1e-6, read=Proportional(sigma=0.05))
SMOOTH = {
    "dac": mho.DAC(bits=None, range=Fixed(limit=1.0)),
    "adc": mho.ADC(bits=None, range=Fixed(limit=500.0)),
}


def chip(layer: nn.Module, device: Device, array: Array, bias_rows: int = 0, **given: object) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    given.setdefault("tile", mho.Tile(rows=32, columns=12))
    analog = mho.convert(layer, mho.Hardware(device=device, array=array, **given), bias_rows=bias_rows).eval()
    mho.program(analog, seed=3)
    return analog


def deviation(analog: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The standard deviation that a read is drawn with: each draw is one, less each draw nought."""
    outputs = []
    for draw in (1.0, 0.0):
        monkeypatch.setattr(
            read_noise, "_normal", lambda std, like, draw=draw: torch.full_like(std.expand_as(like), draw)
        )
        with torch.no_grad():
            outputs.append(analog(x))
    return outputs[0] - outputs[1]


def per_siemens(analog: nn.Module) -> Tensor:
    """Output of each column for a cell current of one siemens times full scale."""
    factor = readout(analog.hardware).digital[0] / analog.hardware.device.g_max
    return analog.chip_scale.flatten().double() * factor


def exact_deviation(analog: nn.Module, x: Tensor, of_cells: Tensor, wires: Wires) -> Tensor:
    """Of a linear layer whose draws are all one: each tile and channel has one for each column."""
    how, state = readout(analog.hardware), analog.chip
    g = mho.conductances(analog)[""].double()
    v = torch.cat([x.double(), x.new_ones(len(x), analog.bias_rows).double()], 1)
    total = torch.zeros(len(x), g.shape[-1], dtype=torch.float64)
    for r in analog.layout.rows:
        for c in tile_columns(analog.layout, g):
            at = (0, slice(*r), slice(*c))
            each = [variance(g[k][at], wires, of_cells[k][at], v[:, slice(*r)]) for k in range(len(g))]
            for factor, row in zip(how.digital, how.analog, strict=True):
                total[:, slice(*c)] += (
                    factor * sum(a * a * one for a, one in zip(row, each, strict=True)).sqrt()
                )
    if how.unit_column:
        total = total[:, :-1] - total[:, -1:]
    return total * state.scale.flatten().double()


@pytest.mark.parametrize("converters", [{}, SMOOTH, {"dac": SMOOTH["dac"]}], ids=["none", "both", "DAC"])
@pytest.mark.parametrize(
    "mapping",
    [DifferentialPair(), Offset(unit_column=True), Offset(), BitSlicing(bits=6, slices=2)],
    ids=["pair", "unit column", "offset", "slices"],
)
def test_layers(
    mapping: mho.mapping.Mapping, converters: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    wires = Wires(row=5.0, column=5.0, driver=100.0, sense=100.0)
    analog = chip(nn.Linear(70, 9), NOISY, wires, bias_rows=2, mapping=mapping, **converters)
    of_cells = (0.05 * mho.conductances(analog)[""].double()) ** 2
    for x in (torch.rand(6, 70), torch.rand(6, 70) * 2 - 1):
        found = deviation(analog, x, monkeypatch)
        wanted = exact_deviation(analog, x, of_cells, wires)
        torch.testing.assert_close(found.double(), wanted / 25e-6, rtol=0.01, atol=1e-4)


def test_pairs_on_shared_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the network of both signs, of which one word line carries the negative input."""
    one = Wires(row=4.0, column=6.0, driver=100.0, sense=100.0)
    for array in (SharedColumns(wires=one), AlternateColumns(wires=one)):
        analog = chip(nn.Linear(32, 12, bias=False), NOISY, array, **SMOOTH)
        g = mho.conductances(analog)[""][:, 0].double()
        x = torch.rand(5, 32)
        if isinstance(array, SharedColumns):
            both = torch.stack((g[0], g[1]), 1).flatten(0, 1)
            segments = torch.zeros_like(both)
            segments[1::2] = 6.0
            v = torch.stack((x, -x), 2).flatten(1).double()
            u, shares = _responses_of(both, segments)
            total = torch.einsum(
                "bkl,ckl->bc", torch.einsum("bj,jkl->bkl", v, u) ** 2 * (0.05 * both) ** 2, shares**2
            )
        else:
            both = torch.stack((g[0], g[1]), 2).flatten(1)
            each = variance(both, one, (0.05 * both) ** 2, x.double())
            total = each[:, 0::2] + each[:, 1::2]
        wanted = total.sqrt() * per_siemens(analog)
        torch.testing.assert_close(deviation(analog, x, monkeypatch).double(), wanted, rtol=0.01, atol=0)


def _responses_of(g: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Of word lines of 4 ohm with drivers of 100, bit lines with segments ``below``, and ends of 100 ohm."""
    circuit = build(g, 4.0, below, 100.0, 100.0, None, None)
    rows, columns = g.shape
    eye_r, eye_c = torch.eye(rows).to(g)[None], torch.eye(columns).to(g)[None]
    word, bit, _ = nodes(circuit.cells, circuit.ends, eye_r, g.new_zeros(1, columns, rows))
    w, b, _ = nodes(circuit.cells, circuit.ends, g.new_zeros(1, rows, columns), eye_c)
    return (word - bit)[0], (b - w)[0]


def test_convolutions_read_tile_by_tile_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch is a vector: the deviation at each place is that of the linear layer of the same array."""
    wires = Wires(row=5.0, column=5.0, driver=100.0, sense=100.0)
    conv = chip(nn.Conv2d(8, 6, 3, bias=False), NOISY, wires, **SMOOTH)
    x = torch.rand(2, 8, 5, 5)
    patches = nn.functional.unfold(x, 3).transpose(1, 2).flatten(0, 1)
    linear = chip(nn.Linear(72, 6, bias=False), NOISY, wires, **SMOOTH)
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
    mho.program(linear, seed=3)
    assert (
        torch.equal(mho.conductances(conv)[""], mho.conductances(linear)[""])
        or conv.layout.rows != linear.layout.rows
    )
    found = deviation(conv, x, monkeypatch)
    of_cells = (0.05 * mho.conductances(conv)[""].double()) ** 2
    linear.crossbar.layout = _rows_of(linear, conv)
    linear.set_chip(conv.chip)
    wanted = (
        exact_deviation(linear, patches, of_cells, wires).view(2, 9, 6).transpose(1, 2).reshape(found.shape)
        / 25e-6
    )
    torch.testing.assert_close(found.double(), wanted, rtol=0.01, atol=0)
    monkeypatch.setattr("mho.chip.layouts.convolution._ALONE", 0)
    torch.testing.assert_close(deviation(conv, x, monkeypatch), found, rtol=1e-4, atol=1e-7)


def _rows_of(linear: nn.Module, conv: nn.Module) -> object:
    return dataclasses.replace(linear.layout, rows=conv.layout.rows, columns=conv.layout.columns)


def test_a_table_is_read_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(row=5.0, column=5.0, driver=500.0, sense=200.0)
    for adc in (None, SMOOTH["adc"]):
        analog = chip(nn.Embedding(40, 9), NOISY, wires, adc=adc)
        found = deviation(analog, torch.arange(40), monkeypatch)
        linear = chip(nn.Linear(40, 9, bias=False), NOISY, wires, adc=adc)
        linear.crossbar.layout = _rows_of(linear, analog)
        linear.set_chip(analog.chip)
        of_cells = (0.05 * mho.conductances(analog)[""].double()) ** 2
        wanted = exact_deviation(linear, torch.eye(40), of_cells, wires) / 25e-6
        torch.testing.assert_close(found.double(), wanted, rtol=0.01, atol=0)


@pytest.mark.exhaustive
def test_noisy_reads_have_that_deviation() -> None:
    """Many reads of cells that are drawn anew and solved anew, against many reads of the layer."""
    analog = chip(nn.Linear(32, 12, bias=False), NOISY, STRONG, **SMOOTH)
    x = torch.rand(1, 32)
    g = mho.conductances(analog)[""][:, 0].double()
    n = 4000
    torch.manual_seed(4)
    noisy = g * (1 + 0.05 * torch.randn(n, *g.shape, dtype=torch.float64))
    solved = torch.einsum("r,nkrc->nkc", x[0].double(), STRONG.effective_conductance(noisy))
    drawn = (solved[:, 0] - solved[:, 1]).std(0) * per_siemens(analog)
    with torch.no_grad():
        read = analog(x.expand(n, -1)).std(0).double()
    assert float((read / drawn - 1).abs().max()) < 4.5 / n**0.5
    assert abs(float((read / drawn).mean()) - 1) < 0.01


def test_an_approximate_array_has_the_noise_of_its_wires(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(5, 32)
    pair = [
        chip(nn.Linear(32, 12, bias=False), NOISY, array, **SMOOTH)
        for array in (Approximate(row=2.0, column=2.0), Wires(row=2.0, column=2.0))
    ]
    found = [deviation(analog, x, monkeypatch) for analog in pair]
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=0)


def test_heat_is_that_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nyquist: of the conductance into each bit line with all other ends at ground, wires included."""
    wires = Wires(row=5.0, column=5.0, driver=500.0, sense=200.0)
    analog = chip(
        nn.Linear(32, 12, bias=False), ThermalNoise(bandwidth=1e9, device=Ideal(g_min=1e-6)), wires, **SMOOTH
    )
    g = mho.conductances(analog)[""][:, 0].double()
    into = sum(
        wires.solve(one, one.new_zeros(12, 32), torch.eye(12, dtype=torch.float64)).current.diagonal().neg()
        for one in g
    )
    wanted = (4 * 1.380649e-23 * 300 * 1e9 * into).sqrt() / 0.2 * per_siemens(analog)
    found = deviation(analog, torch.zeros(1, 32), monkeypatch)[0].double()
    torch.testing.assert_close(found, wanted, rtol=0.002, atol=0)


@pytest.mark.parametrize("array", [Wires, SharedColumns], ids=["pair", "shared bit lines"])
def test_shot_noise_goes_with_the_currents_of_the_cells(array: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of cells without an input, which the others drive backwards."""
    wires = Wires(row=4.0, column=6.0, driver=100.0, sense=100.0)
    device = ShotNoise(bandwidth=1e9, device=Ideal(g_min=1e-6))
    analog = chip(
        nn.Linear(32, 12, bias=False), device, wires if array is Wires else array(wires=wires), **SMOOTH
    )
    g = mho.conductances(analog)[""][:, 0].double()
    for x in (torch.rand(9, 32), torch.rand(9, 32) * 2 - 1, torch.randn(9, 32).clamp(min=0, max=1)):
        if array is Wires:
            amperes = sum(variance(one, wires, one, 0.2 * x.double(), power=1) for one in g)
        else:
            both = torch.stack((g[0], g[1]), 1).flatten(0, 1)
            segments = torch.zeros_like(both)
            segments[1::2] = 6.0
            u, shares = _responses_of(both, segments)
            v = 0.2 * torch.stack((x, -x), 2).flatten(1).double()
            volts = torch.einsum("bj,jkl->bkl", v, u).abs()
            amperes = torch.einsum("bkl,ckl->bc", volts * both, shares**2)
        wanted = (2 * 1.602176634e-19 * 1e9 * amperes).sqrt() / 0.2 * per_siemens(analog)
        found = deviation(analog, x, monkeypatch).double()
        torch.testing.assert_close(found, wanted, rtol=0.01, atol=0)


def test_weak_noise_of_pcm_and_no_noise_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in (PCM(read_scale=0.0), Ideal()):
        analog = chip(nn.Linear(32, 12), device, STRONG, **SMOOTH)
        assert analog.packed_variance is None and analog.packed_lines_currents is None
    analog = chip(nn.Linear(32, 12), PCM(), STRONG)
    assert analog.packed_lines_currents is not None
    compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
    monkeypatch.setattr(read_noise, "_normal", lambda std, like: torch.ones_like(std.expand_as(like)))
    x = torch.rand(3, 32)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), analog(x), rtol=1e-4, atol=1e-5)


def test_independent_noise_of_cells_without_conductance() -> None:
    device = Generic(g_min=0.0, read=Independent(sigma=0.02))
    analog = chip(nn.Linear(32, 12), device, STRONG, **SMOOTH)
    assert bool(analog(torch.rand(3, 32)).isfinite().all())
