"""What happened in the arrays: counted by hand, looked at one by one, and never felt by the model."""

import copy
import math
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

import mho
from mho.converters import ADC, DAC, Dynamic, Fixed, Ramp, Stream
from mho.mapping import BitSlicing, Offset

ONE_BY_ONE = mho.Tile(rows=4, columns=3)
FINE = DAC(bits=12, range=Fixed(limit=4.0))


def programmed(layer, x, **parts):
    usual = {"device": mho.devices.PCM(), "tile": ONE_BY_ONE, "dac": DAC(), "adc": ADC()}
    model = mho.convert(nn.Sequential(layer), mho.Hardware(**{**usual, **parts})).eval()
    mho.calibrate(model, [x])
    mho.program(model, seed=0)
    return model


def traced(model, x, share=1.0):
    with torch.no_grad(), mho.trace(model, share) as seen:
        model(x)
    return seen


# --- counts --------------------------------------------------------------------------------------


def test_a_layer_of_512_by_256_counted_by_hand() -> None:
    """Bit by bit with 8 bits and a sign: 7 groups, 4 tiles of rows, 2 of columns, a pair for each weight."""
    x = torch.randn(3, 512)
    model = programmed(nn.Linear(512, 256), x, tile=mho.Tile(rows=128, columns=128), dac=DAC(stream=Stream()))
    events = traced(model, x, 0).layers["0"]
    assert events.vectors == 3 and events.products == 3 * 512 * 256 and events.scalings == 3 * 256
    assert events.driven == 3 * 512 * 7 * 2 == 3 * 7168
    assert events.conversions == 3 * 256 * 7 * 4 == 3 * 7168
    assert events.additions == 3 * 6912
    assert events.cells == 3 * 7 * 512 * 256 * 2
    assert events.mean_squares is None and events.clipped is None and events.pulses == 0


@pytest.mark.parametrize(
    ("mapping", "slices", "cells"),
    [
        (Offset(unit_column=True), 1, 1),
        (BitSlicing(bits=7, slices=3), 3, 6),
        (BitSlicing(bits=6, slices=2, offset=True), 2, 2),
    ],
)
def test_slices_and_unit_columns(mapping, slices, cells) -> None:
    x = torch.randn(5, 10)
    events = traced(programmed(nn.Linear(10, 7), x, mapping=mapping), x, 0).layers["0"]
    unit = mapping == Offset(unit_column=True)
    assert events.driven == 5 * 10 * 3 * slices and events.conversions == 5 * (7 + unit) * 3 * slices
    assert events.cells == 5 * 10 * (7 + unit) * cells
    assert events.additions == 5 * (7 + unit) * (3 * slices - 1) + 5 * 7 * unit


def test_what_is_not_there_is_not_counted() -> None:
    x = torch.randn(5, 10)
    for parts in ({"dac": None, "adc": None}, {"dac": DAC(bits=None), "adc": ADC(bits=None)}):
        events = traced(programmed(nn.Linear(10, 7), x, **parts), x).layers["0"]
        assert events.driven == events.conversions == 0 and events.vectors == 5 and events.clipped is None
    table = torch.tensor([[0, 9, 4, 4, 7]])
    events = traced(programmed(nn.Embedding(10, 5), table), table).layers["0"]
    assert (events.vectors, events.driven, events.conversions, events.cells) == (5, 0, 25, 50)
    assert events.products == 0 and events.mean_squares.tolist() == [[0.2, 0, 0, 0, 0.4, 0, 0, 0.2, 0, 0.2]]


def test_recurrences_and_layers_used_twice_add_up() -> None:
    x = torch.randn(2, 6, 5)
    lstm = programmed(nn.LSTM(5, 4, batch_first=True), x)
    seen = traced(lstm, x)
    vectors = {path: events.vectors for path, events in seen.layers.items()}
    assert vectors == {"0.arrays.weight_ih_l0": 12, "0.arrays.weight_hh_l0": 12}
    layer = nn.Linear(6, 6)
    twice = mho.convert(nn.Sequential(layer, layer), mho.Hardware())
    with mho.trace(twice.eval()) as seen:
        twice(torch.randn(3, 6))
        assert seen.total["vectors"] == 6
        twice(torch.randn(1, 6))
    assert seen.layers["0"].vectors == seen.total["vectors"] == 8
    assert seen.to_frame()["vectors"].tolist() == [8] and "8 vectors" in str(seen)


def test_training_does_not_read_the_chip() -> None:
    x = torch.randn(3, 10)
    model = programmed(nn.Linear(10, 7), x).train()
    with mho.trace(model) as seen:
        model(x)
        assert seen.total["vectors"] == 0 and "0: nothing" in str(seen)
        mho.calibrate(model, [x])
        assert seen.total["vectors"] == 0
        mho.train_on_chip(model)
        model(x).sum().backward()
        assert seen.total["vectors"] == 3


def test_pulses_are_events() -> None:
    x = torch.randn(3, 10)
    model = programmed(nn.Linear(10, 7), x, programming=mho.programming.WriteVerify())
    with mho.trace(model) as seen:
        assert seen.total["pulses"] == 0 and not seen.programming.layers
        mho.program(model, seed=1)
    report = mho.programming_report(model)
    assert seen.programming == report and seen.total["pulses"] == report.pulses > 140


# --- voltages and conversions ------------------------------------------------------------------------


CONVOLUTIONS = {
    "1d, strided": (nn.Conv1d(4, 6, 3, stride=2, padding=1), (5, 4, 9)),
    "2d": (nn.Conv2d(2, 4, 3), (5, 2, 6, 6)),
    "2d, strides and dilation": (
        nn.Conv2d(3, 4, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1)),
        (5, 3, 9, 8),
    ),
    "2d, same": (nn.Conv2d(3, 4, (4, 3), padding="same"), (5, 3, 6, 5)),
    "2d, in groups": (nn.Conv2d(4, 8, 2, groups=2, padding=1), (5, 4, 5, 5)),
    "3d": (nn.Conv3d(2, 4, 2), (3, 2, 4, 3, 4)),
    "1d transposed": (nn.ConvTranspose1d(4, 4, 3, stride=2, padding=1, output_padding=1), (5, 4, 5)),
    "2d transposed": (
        nn.ConvTranspose2d(4, 6, (3, 2), stride=(1, 3), padding=(2, 1), groups=2, dilation=(2, 1)),
        (3, 4, 5, 4),
    ),
}


def per_row(layout, values):
    """The sum over all vectors of what is on each row: the gradient of the product by its matrix."""
    rows = layout.rows[-1][1] - layout.bias_rows
    groups = getattr(layout, "groups", 1)
    matrix = torch.zeros(groups, rows, layout.columns[-1][1], dtype=values.dtype, requires_grad=True)
    layout.whole_product(values, layout.whole_kernel(matrix), None).sum().backward()
    return matrix.grad[:, :, 0]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_what_each_tap_sees(name) -> None:
    layer, shape = CONVOLUTIONS[name]
    x = torch.rand(shape).double() + 0.1
    array = mho.convert(nn.Sequential(layer), mho.Hardware())[0].crossbar
    assert torch.allclose(array.layout.row_sums(x), per_row(array.layout, x), rtol=1e-12)
    seen = traced(programmed(copy.deepcopy(layer), x.float(), dac=FINE), x.float()).layers["0"]
    codes = FINE.quantise(x, 4.0) / 4.0
    by_hand = per_row(array.layout, codes.square()) / seen.vectors
    assert torch.allclose(seen.mean_squares, by_hand, rtol=1e-4)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as flops:
        layer(x.float())
    assert seen.products == flops.get_total_flops() // 2


@pytest.mark.parametrize(
    ("dac", "limit"),
    [
        (DAC(bits=4, range=Fixed(limit=1.5)), 1.5),
        (DAC(bits=4, range=Fixed(limit=1.5), noise=0.1), 1.5),
        (DAC(bits=None, range=Fixed(limit=1.5)), 1.5),
        (DAC(bits=4, range=Dynamic()), None),
        (None, 1.0),
    ],
)
def test_squares_of_voltages(dac, limit) -> None:
    x = torch.randn(9, 10)
    seen = traced(programmed(nn.Linear(10, 7), x, dac=dac), x).layers["0"]
    full = x.abs().amax(1, keepdim=True) if limit is None else torch.tensor(limit)
    driven = (x if dac is None else dac.quantise(x, full)) / full
    noise = 0.0 if dac is None else dac.noise
    assert torch.allclose(seen.mean_squares[0].float(), driven.square().mean(0) + noise**2, rtol=1e-4)


def test_groups_of_bits_and_scales_by_tile() -> None:
    x = torch.tensor([[5.0, -3.0, 0.0, 7.0]])
    dac = DAC(bits=4, range=Fixed(limit=7.0), stream=Stream())
    seen = traced(programmed(nn.Linear(4, 2), x, dac=dac), x).layers["0"]
    assert torch.allclose(seen.mean_squares[0].float(), torch.tensor([2, 2, 0, 3]) / 3)  # 101, 011, 000, 111
    x = torch.cat([torch.rand(9, 4), 10 * torch.rand(9, 6)], 1)
    by_tile = DAC(range=mho.converters.Calibrated(per_tile=True))
    model = programmed(nn.Linear(10, 7), x, dac=by_tile)
    limits = model[0].input_range
    spans = model[0].layout.rows
    parts = [by_tile.quantise(x[:, a:b], top) / top for (a, b), top in zip(spans, limits, strict=True)]
    found = traced(model, x).layers["0"].mean_squares[0].float()
    assert torch.allclose(found, torch.cat(parts, 1).square().mean(0), rtol=1e-4) and len(limits) == 3


def test_bias_rows_are_driven_by_one() -> None:
    x = torch.rand(9, 5)
    hardware = mho.Hardware(dac=DAC(range=Fixed(limit=4.0)), adc=ADC())
    model = mho.convert(nn.Linear(5, 2), hardware, bias_rows=2)
    mho.calibrate(model.eval(), [x])
    mho.program(model, seed=0)
    squares = traced(model, x).layers[""].mean_squares
    assert squares.shape == (1, 7) and squares[0, 5:].tolist() == pytest.approx([1 / 16] * 2)


@pytest.mark.parametrize(
    "adc",
    [
        ADC(bits=5, range=Fixed(limit=0.4)),
        ADC(bits=5, signed=False, range=Fixed(limit=0.4)),
        Ramp(bits=5, range=Fixed(limit=0.4)),
    ],
)
@pytest.mark.parametrize("stream", [None, Stream(), Stream(each=False)])
def test_clipped_conversions_are_those_beyond_full_scale(adc, stream) -> None:
    """Against the currents of the same chip read by an ADC that does nothing."""
    x, layer = torch.randn(40, 10), nn.Linear(10, 3)
    dac = DAC(bits=5, range=Fixed(limit=2.0), stream=stream)
    device = mho.devices.Ideal()
    model = programmed(layer, x, adc=adc, dac=dac, device=device)
    seen = traced(model, x).layers["0"]
    array = model[0].crossbar
    low = 0.0 if not adc.signed else -adc.range.limit
    step = 0.4 / adc.high / 2 if isinstance(adc, ADC) else 0.0
    codes = (x * (15 / 2.0)).round().clamp(-15, 15)
    driven = codes / 15 if stream is None or not stream.each else stream.digits(codes, 15, 0)
    read = array.packed()
    arranged = array.layout.arrange(driven, read.inputs)
    currents = torch.bmm(arranged, read.kernel)
    share = ((currents > 0.4 + step) | (currents < low - step)).double().mean((1, 2))
    assert torch.allclose(seen.clipped, share, atol=1e-6) and (share > 0).any()


def test_a_share_is_an_estimate_of_the_whole() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 10) * torch.linspace(0.1, 1, 10)
    model = programmed(nn.Linear(10, 7), x, adc=ADC(range=Fixed(limit=0.3)))
    whole, part = traced(model, x).layers["0"], traced(model, x, 1 / 8).layers["0"]
    assert part.every == 8 and part.vectors == whole.vectors == 4000
    assert torch.allclose(part.mean_squares, whole.mean_squares, rtol=0.25)
    assert torch.allclose(part.clipped, whole.clipped, atol=0.02) and (whole.clipped > 0.02).any()
    assert not torch.equal(part.mean_squares, whole.mean_squares)


def test_short_forwards_are_looked_at_now_and_then() -> None:
    """Two uses of one layer, one after the other: looks do not fall on one of them alone."""
    model = programmed(nn.Linear(10, 7), torch.rand(5, 10), dac=FINE)
    with torch.no_grad(), mho.trace(model, 1 / 8) as seen:
        for _ in range(2_000):
            model(torch.full((2, 10), 1.0))
            model(torch.full((2, 10), 3.0))
    events = seen.layers["0"]
    assert events.vectors == 8_000
    assert torch.allclose(events.mean_squares, torch.full((1, 10), 5 / 16, dtype=torch.float64), rtol=0.2)


def test_convolutions_read_tile_by_tile_know_their_tiles() -> None:
    x = torch.rand(8, 6, 24, 24)
    layer = nn.Conv2d(6, 32, 3)
    hardware = {"tile": mho.Tile(rows=18), "adc": ADC(range=Fixed(limit=1.0)), "device": mho.devices.Ideal()}
    model = programmed(layer, x, **hardware)
    with torch.no_grad():
        assert model[0].layout.one_by_one(model[0].crossbar.packed(), x)
    apart = traced(model, x).layers["0"].clipped
    with mho.trace(model, 1.0) as seen:
        model(x)  # with gradients: all tiles in one grouped convolution
    assert apart.shape == (3,) and torch.allclose(apart, seen.layers["0"].clipped) and apart.max() > 0


# --- nothing is felt ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Linear(10, 7), nn.Conv1d(10, 7, 1)])
def test_results_and_random_numbers_stay(layer) -> None:
    x = torch.randn(6, 10, *(() if isinstance(layer, nn.Linear) else (5,)))
    model = programmed(layer, x, dac=DAC(noise=0.05), adc=ADC(noise=0.01))

    def run():
        torch.manual_seed(3)
        with torch.no_grad():
            return model(x), model(x), torch.rand(3)

    alone = run()
    with mho.trace(model, 1.0) as seen:
        heard = run()
    assert all(torch.equal(a, b) for a, b in zip(alone, heard, strict=True)) and seen.total["vectors"] > 0


def test_copies_and_errors_leave_nothing_behind() -> None:
    x = torch.randn(3, 10)
    model = programmed(nn.Linear(10, 7), x)
    with mho.trace(model) as seen:
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert twin[0].crossbar._tap is None
            twin(x)
        with mho.trace(model) as inner:
            model(x)
        model(x)
    assert model[0].crossbar._tap is None
    with pytest.raises(ValueError, match="last size"), mho.trace(model):
        model(x[:, :4])
    assert model[0].crossbar._tap is None
    assert seen.total["vectors"] == inner.total["vectors"] == 3
    assert seen.layers["0"] == replace(inner.layers["0"])


@pytest.mark.parametrize("share", [-1, 2, 0.3, math.nan, "all", True])
def test_a_share_is_one_in_a_whole_number(share) -> None:
    model = mho.convert(nn.Linear(2, 2), mho.Hardware())
    with pytest.raises(ValueError, match="share = "):
        mho.trace(model, share).__enter__()


def test_chips_at_once_are_refused() -> None:
    model = programmed(nn.Linear(10, 7), torch.randn(3, 10), device=mho.devices.Ideal())
    with mho.trace(model), pytest.raises(ValueError, match="vmap"):
        torch.func.vmap(model)(torch.randn(4, 3, 10))


@pytest.mark.parametrize("layer", [nn.Linear(10, 7), nn.Conv2d(3, 4, 3)])
def test_a_compiled_graph_is_not_broken(layer) -> None:
    shape = (10,) if isinstance(layer, nn.Linear) else (3, 8, 8)
    x = torch.randn(16, *shape)
    model = programmed(layer, x, adc=ADC(range=Fixed(limit=0.5)), device=mho.devices.Ideal())
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        with mho.trace(model, 1.0) as seen:
            y = [compiled(x), compiled(x[:8])]
        with mho.trace(model, 1.0) as eager:
            expected = [model(x), model(x[:8])]
        if len(shape) == 1:  # what is compiled without a trace hears nothing
            compiled(x)
    assert all(torch.allclose(a, b, atol=2e-2) for a, b in zip(y, expected, strict=True))
    here, there = seen.layers["0"], eager.layers["0"]
    assert seen.total == eager.total and seen.total["vectors"] > 20
    assert torch.allclose(here.mean_squares, there.mean_squares, rtol=1e-5)
    assert torch.allclose(here.clipped, there.clipped, atol=1e-3)
