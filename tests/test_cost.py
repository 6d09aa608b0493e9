"""What an inference costs: joules of these very inputs, counts by hand, and the laws of power."""

import dataclasses
import json
import math
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import mho
from mho import costs
from mho.array import AlternateColumns, Approximate, Nonlinear, SharedColumns, Sinh, Wires
from mho.converters import ADC, DAC, Dynamic, Fixed, Ramp, Stream
from mho.mapping import BitSlicing, DifferentialPair, Maximum, Offset

CASES = json.loads((Path(__file__).parent / "reference" / "data" / "cost" / "cost_cases.json").read_text())
ONE_SCALE = DifferentialPair(scale=Maximum(per_column=False))
OHMIC = mho.devices.Ideal(g_min=0.0, g_max=4e-4, v_read=0.2)
PLAIN = costs.Chip(name="plain", node=32e-9, read_time=100e-9)  # cells alone


def about(value, rel=1e-6):
    """Without the absolute tolerance of pytest, which is a picojoule."""
    return pytest.approx(value, rel=rel, abs=0)


def programmed(layer, x, **parts):
    usual = {
        "device": OHMIC,
        "mapping": ONE_SCALE,
        "dac": DAC(bits=None, range=Fixed(limit=1.0)),
        "adc": None,
    }
    model = mho.convert(layer, mho.Hardware(**{**usual, **parts})).eval()
    mho.calibrate(model, [x])
    mho.program(model, seed=0)
    return model


def two_by_two(dac, **parts):
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # 1e-4 S each
    return programmed(layer, torch.zeros(1, 2), dac=dac, **parts)


# --- the energy of cells -----------------------------------------------------------------------------


def test_heights_bits_and_lengths_of_the_same_inputs() -> None:
    gold = CASES["array_energy_2x2"]
    height = two_by_two(DAC(bits=None, range=Fixed(limit=0.2)))
    volts = torch.tensor([gold["V"]])
    assert mho.cost(height, [volts], PLAIN, share=1).joules == about(gold["amplitude_J"], rel=1e-6)
    codes = DAC(bits=3, signed=False, range=Fixed(limit=7.0))
    x = torch.tensor([gold["bit_serial"]["codes"]], dtype=torch.float32)
    bits = two_by_two(dataclasses.replace(codes, stream=Stream()))
    assert mho.cost(bits, [x], PLAIN, share=1).joules == about(gold["bit_serial"]["J"], rel=1e-6)
    lengths = dataclasses.replace(PLAIN, lengths=True)
    found = mho.cost(two_by_two(codes), [x], lengths, share=1).joules
    assert found == about(gold["pulse_width"]["J"], rel=1e-6)


def by_hand(model, x, weigh):
    """Sum of what each input weighs, times the cells of its row."""
    g = mho.conductances(model)[""].double()
    return float((weigh(x.double()).mean(0) * g.sum((0, 1, 3))).sum()) * OHMIC.v_read**2 * 100e-9


def test_cells_take_what_their_own_inputs_make_them() -> None:
    torch.manual_seed(0)
    x = torch.rand(50, 30).clamp(max=0.7) * torch.linspace(0, 1, 30)
    model = programmed(nn.Linear(30, 20), x, device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=8))
    report = mho.cost(model, [x[:20], x[20:]], PLAIN, share=1)
    assert report.joules == about(by_hand(model, x, torch.square), rel=1e-5)
    before = report.joules
    mho.age(model, 1e6)
    later = mho.cost(model, [x], PLAIN, share=1)
    assert later.joules == about(by_hand(model, x, torch.square), rel=1e-5) and later.joules < 0.9 * before
    aged = mho.conductances(model)[""].sum() / before
    assert later.layers[""].level == about(
        by_hand(model, x.square().mean().expand(1, 30), lambda v: v) / later.joules, rel=1e-4
    ) and bool(aged > 0)


def test_a_share_is_near_the_whole() -> None:
    torch.manual_seed(0)
    x = torch.rand(4096, 30)
    model = programmed(nn.Linear(30, 20), x)
    whole, part = (mho.cost(model, [x], PLAIN, share=s).joules for s in (1, 1 / 8))
    assert part == about(whole, rel=0.02) and part != whole


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 7, 5)),
        (nn.ConvTranspose1d(4, 5, 3, stride=2, padding=1), (3, 4, 6)),
        (nn.Linear(9, 5), (7, 9)),
    ],
)
@pytest.mark.parametrize(
    "dac",
    [
        DAC(bits=5, range=Fixed(limit=1.5)),
        DAC(bits=5, range=Dynamic()),
        DAC(bits=4, range=Fixed(limit=1.5), stream=Stream()),
        DAC(bits=5, range=Fixed(limit=1.5), noise=0.2),
    ],
    ids=["rounded", "own range", "bit by bit", "noisy"],
)
def test_exact_wires_without_resistance_are_the_sum_of_squares(layer, shape, dac) -> None:
    """Two ways to the same power: all products of voltages through the network, and squares alone."""
    torch.manual_seed(0)
    x = torch.randn(shape)
    for bias_rows in (0, 1):
        joules = []
        for array in (Wires(row=0.0, column=0.0), mho.array.Ideal()):
            hardware = mho.Hardware(
                device=OHMIC, tile=mho.Tile(rows=5, columns=3), dac=dac, array=array, mapping=ONE_SCALE
            )
            model = mho.convert(layer, hardware, bias_rows=bias_rows).eval()
            mho.program(model, seed=0)
            joules.append(mho.cost(model, [x], PLAIN, share=1).joules)
        assert joules[0] == about(joules[1], rel=1e-6) and joules[0] > 0


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), nn.Conv1d(5, 3, 1)])
def test_bias_rows_may_have_an_array_of_their_own(layer) -> None:
    x, joules = torch.rand(4, 5, 2) if isinstance(layer, nn.Conv1d) else torch.rand(4, 5), []
    for array in (Wires(row=0.0, column=0.0), mho.array.Ideal()):
        tile, dac = mho.Tile(rows=5, full=True), DAC(range=Fixed(limit=1.5))
        hardware = mho.Hardware(device=OHMIC, tile=tile, dac=dac, array=array, mapping=ONE_SCALE)
        model = mho.convert(layer, hardware, bias_rows=2).eval()
        mho.program(model, seed=0)
        assert model.crossbar.layout.rows == ((0, 5), (5, 7))
        joules.append(mho.cost(model, [x], PLAIN, share=1).joules)
    assert joules[0] == about(joules[1])


@pytest.mark.parametrize("kind", [Wires, AlternateColumns, SharedColumns, Approximate])
def test_power_behind_wires_is_what_the_drivers_give(kind) -> None:
    torch.manual_seed(0)
    ohms = {"row": 20.0, "column": 30.0, "driver": 50.0}
    wires = kind(**ohms) if kind in (Wires, Approximate) else kind(wires=Wires(**ohms))
    x = torch.randn(6, 9)
    model = programmed(nn.Linear(9, 4), x, array=wires, dac=DAC(bits=None, range=Fixed(limit=3.0)))
    g = mho.conductances(model)[""].double()[:, 0]
    v = x.double() / 3 * OHMIC.v_read
    y = wires.admittance(g.unsqueeze(1), ((1.0, -1.0),))[0]
    watts = torch.einsum("ni,ij,nj->n", v, y, v).mean()
    report = mho.cost(model, [x], PLAIN, share=1)
    assert report.joules == about(float(watts) * 100e-9, rel=1e-5)
    plain = programmed(nn.Linear(9, 4), x, dac=DAC(bits=None, range=Fixed(limit=3.0)))
    assert report.joules != about(mho.cost(plain, [x], PLAIN, share=1).joules, rel=1e-3)


def test_cells_without_ohms_law_take_current_times_voltage() -> None:
    torch.manual_seed(0)
    x = torch.rand(40, 10)
    law = Sinh(v_c=0.1)
    model = programmed(nn.Linear(10, 6), x, array=Nonlinear(law=law))
    volts = x.double() * 0.2
    current = torch.sinh(volts / 0.1) / math.sinh(0.2 / 0.1) * 0.2  # of one siemens
    g = mho.conductances(model)[""].double().sum((0, 1, 3))
    wanted = float(((volts * current).mean(0) * g).sum()) * 100e-9
    assert mho.cost(model, [x], PLAIN, share=1).joules == about(wanted, rel=1e-5)


# --- laws --------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 12), columns=st.integers(1, 6), tile=st.integers(1, 12), factor=st.floats(0.1, 1.0),
    seconds=st.floats(1e-9, 1e-6), volts=st.floats(0.05, 1.0),
)  # fmt: skip
def test_laws_of_power(rows, columns, tile, factor, seconds, volts) -> None:
    """Linear in time and conductance, quadratic in voltage, zero for zero, the same for any tile."""
    torch.manual_seed(rows)
    x = torch.rand(5, rows)
    layer = nn.Linear(rows, columns, bias=False)
    model = programmed(layer, x)
    technology = dataclasses.replace(PLAIN, v_read=0.2)
    before = mho.cost(model, [x], technology, share=1).joules
    near = lambda found, wanted: math.isclose(found, wanted, rel_tol=1e-5)  # noqa: E731
    assert near(mho.cost(model, [factor * x], technology, share=1).joules, factor**2 * before)
    longer = dataclasses.replace(technology, read_time=seconds)
    assert near(mho.cost(model, [x], longer, share=1).joules, before * seconds / 100e-9)
    higher = dataclasses.replace(technology, v_read=volts)
    assert near(mho.cost(model, [x], higher, share=1).joules, before * (volts / 0.2) ** 2)
    assert mho.cost(model, [0 * x], technology, share=1).joules == 0
    less = programmed(layer, x, device=dataclasses.replace(OHMIC, g_max=factor * 4e-4))
    assert near(mho.cost(less, [x], technology, share=1).joules, factor * before)
    cut = programmed(layer, x, tile=mho.Tile(rows=tile, columns=2))
    assert near(mho.cost(cut, [x], technology, share=1).joules, before)


def test_layers_add_up() -> None:
    torch.manual_seed(0)
    x = torch.rand(20, 12)
    layers = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 5))
    hardware = {"dac": DAC(), "adc": ADC()}
    both = mho.cost(programmed(layers, x, **hardware), [x], share=1)
    alone = []
    for model, y in ((layers[0], x), (layers[2], layers[1](layers[0](x)).detach())):
        alone.append(mho.cost(programmed(model, y, **hardware), [y], share=1))
    for part in ("ADC", "DAC", "shift and add", "buffers, in"):
        assert both.energy.get(part, 0) == about(sum(r.energy.get(part, 0) for r in alone)), part
    assert both.seconds == about(alone[0].seconds + alone[1].seconds)
    assert both.square_metres == about(alone[0].square_metres + alone[1].square_metres)


# --- counts by hand ----------------------------------------------------------------------------------


def work_of(layer, x, **parts):
    usual = {"tile": mho.Tile(rows=4, columns=3), "dac": DAC(), "adc": ADC()}
    report = mho.cost(programmed(layer, x, **{**usual, **parts}), [x], share=1)
    return {path: cost.work for path, cost in report.layers.items()}


def test_a_layer_of_512_by_256() -> None:
    gold = CASES["layer_512x256"]
    x = torch.rand(3, 512)
    adc = costs.Tabulated(bits=(8,), energies=(1.5625e-12,), areas=(1e-9,), rate=1e9)
    technology = dataclasses.replace(PLAIN, read_time=20e-9, columns_per_adc=8, adc=adc)
    tile = mho.Tile(rows=128, columns=128)
    model = programmed(nn.Linear(512, 256), x, tile=tile, dac=DAC(stream=Stream()), adc=ADC())
    report = mho.cost(model, [x], technology)
    work = report.layers[""].work
    assert work.drives == gold["dac_events"] and work.conversions == gold["adc_conversions"]
    assert work.additions == gold["adds"] and work.products == gold["macs"]
    assert work.arrays == gold["tile_pairs"] and work.reads == gold["tile_pairs"] * gold["reads_per_tile"]
    assert report.energy["ADC"] == about(gold["adc_J_isaac"])
    assert report.energy["ADC"] / work.products * 1e12 == about(gold["adc_pJ_per_mac"])
    assert report.seconds == about(gold["latency_s_at_20ns_1ns"])


@pytest.mark.parametrize(
    ("mapping", "slices", "cells", "unit"),
    [
        (Offset(unit_column=True), 1, 1, 1),
        (BitSlicing(bits=7, slices=3), 3, 2, 0),
        (BitSlicing(bits=6, slices=2, offset=True), 2, 1, 0),
    ],
)
@pytest.mark.parametrize("stream", [None, Stream(), Stream(bits=2, each=False)])
def test_slices_streams_and_unit_columns(mapping, slices, cells, unit, stream) -> None:
    """10 x 7 on arrays of 4 x 3: 3 x 3 arrays for each slice; 7 bits of magnitude are 7 or 4 groups."""
    work = work_of(nn.Linear(10, 7), torch.rand(5, 10), mapping=mapping, dac=DAC(stream=stream))[""]
    groups = 1 if stream is None else 7 if stream.each else 4
    converted = groups if stream is None or stream.each else 1
    assert (work.slices, work.cells, work.arrays) == (slices, cells, 9 * slices)
    assert work.streams == groups and work.reads == groups * 9 * slices
    assert work.drives == groups * 10 * 3 * slices and work.conversions == converted * (7 + unit) * 3 * slices
    assert work.columns_read == groups * (7 + unit) * 3 * slices and work.scalings == 7
    assert work.moved_in == 10 * 8 and work.moved_out == 7 * 8 and work.products == 70


def test_look_ups_read_one_row() -> None:
    table = torch.tensor([[0, 9, 4, 4, 7], [1, 1, 2, 3, 8]])
    work = work_of(nn.Embedding(10, 5), table)[""]
    assert (work.vectors, work.drives, work.reads, work.conversions) == (5, 0, 5 * 2, 25)
    assert work.arrays == 3 * 2 and work.products == 0
    model = programmed(nn.Embedding(10, 5), table, adc=ADC())
    g = mho.conductances(model)[""].double().sum((0, 1, 3))
    joules = float(g[table.flatten()].sum()) / 2 * 0.04 * 100e-9
    assert mho.cost(model, [table], PLAIN, share=1).joules == about(joules, rel=1e-5)


def test_convolutions_in_groups_with_strides() -> None:
    """4 to 6 channels in 2 groups, 3 x 3 taps: 18 rows and 3 columns a group, 4 x 3 positions."""
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    work = work_of(layer, torch.rand(2, 4, 7, 5), tile=mho.Tile(rows=9, columns=3))[""]
    assert work.vectors == 12 and work.arrays == 2 * 2 and work.drives == 12 * 36
    assert work.conversions == 12 * 6 * 2 and work.products == 12 * 6 * 18 and work.moved_in == 12 * 36 * 8


def test_recurrence_and_attention() -> None:
    works = work_of(nn.LSTM(5, 4, batch_first=True), torch.rand(2, 6, 5))
    for path, rows in (("arrays.weight_ih_l0", 5), ("arrays.weight_hh_l0", 4)):
        work = works[path]
        assert work.vectors == 6 and work.products == 6 * rows * 16
        assert work.conversions == 6 * 16 * math.ceil(rows / 4)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Self(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    x = torch.rand(2, 5, 8)
    report = mho.cost(programmed(Self(), x, tile=mho.Tile(rows=8, columns=8), adc=ADC(), dac=DAC()), [x])
    total = sum(cost.work.products for cost in report.layers.values())
    assert total == 5 * 8 * 8 * 4  # queries, keys, values, output
    scores = 2 * (5 * 5 * 4) * 2  # two heads, scores and values
    assert report.digital == about(costs.GENERIC_22.digital_energy(scores, 0))


# --- the answer --------------------------------------------------------------------------------------


def small(**options):
    torch.manual_seed(0)
    x = torch.rand(16, 3, 6, 6)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    model = programmed(layers, x, dac=DAC(), adc=ADC(), tile=mho.Tile(rows=16, columns=8))
    return mho.cost(model, [x], **options)


def test_schedules_and_duplicates() -> None:
    one, pipeline = small(), small(schedule="pipeline")
    times = [cost.seconds for cost in one.layers.values()]
    assert one.seconds == one.interval == about(sum(times))
    assert pipeline.seconds == one.seconds and pipeline.interval == max(times)
    assert pipeline.energy["leakage"] < one.energy["leakage"] and pipeline.tops > one.tops
    assert one.energy["ADC"] == pipeline.energy["ADC"]
    copies = small(duplicates={"0": 4})
    assert copies.layers["0"].seconds == about(one.layers["0"].seconds / 4)
    assert copies.layers["0"].work.arrays == 4 * one.layers["0"].work.arrays
    assert copies.energy["ADC"] == about(one.energy["ADC"])
    assert copies.square_metres > one.square_metres and copies.programming > one.programming
    assert small(duplicates=2).floor.arrays == 2 * one.floor.arrays


def test_what_does_not_fit_is_written_again_or_lies_on_more_chips() -> None:
    """The convolution has an array for each channel, the other layer four: of seven, two have a place."""
    whole = small()
    assert {path: cost.work.arrays for path, cost in whole.layers.items()} == {"0": 3, "3": 4}
    two = dataclasses.replace(costs.GENERIC_22, tiles=2)
    assert small(technology=two).floor.chips == 4 and not small(technology=two).reloading
    one = small(technology=dataclasses.replace(two, reloads=True))
    assert (one.floor.tiles, one.floor.chips) == (2, 1) and one.square_metres < 0.5 * whole.square_metres
    share = 5 / 7
    assert one.reloading["DRAM"] == about(share * (108 + 320) * 8 * two.dram)
    assert one.reloading["writing"] == about(share * whole.programming)
    again = share * 2 * (108 + 320) * two.writing.pulses * two.writing.seconds
    assert one.seconds == about(whole.seconds + again) and one.joules > whole.joules


def test_figures_fit_each_other() -> None:
    report = small()
    summary = report.summary()
    assert summary["fJ/MAC"] == about(2 * summary["fJ/OP"])
    assert summary["TOPS/W"] == about(2e3 / summary["fJ/MAC"])
    assert summary["TOPS"] / summary["watts"] == about(summary["TOPS/W"])
    assert summary["joules"] == about(sum(report.energy.values()))
    assert report.joules_with_programming(100) == about(report.joules + report.programming / 100)
    assert summary["peak TOPS"] > summary["TOPS"]
    twin = costs.GENERIC_22.digital_energy(
        report.products,
        sum(c.work.inputs + c.work.outputs for c in report.layers.values()) + 108 + 320,
    )
    assert report.twin == about(twin)
    read = json.loads(report.to_json())
    assert read["summary"]["joules"] == report.joules and len(read["layers"]) == 2
    assert report.to_frame()["joules"].sum() == about(sum(c.joules for c in report.layers.values()))
    text = str(report)
    assert "peak:" in text and "achieved:" in text and "1 MAC = 2 OP" in text and "digital twin" in text


def test_programming_that_counts_its_pulses_is_paid_by_them() -> None:
    x = torch.rand(3, 10)
    device = mho.devices.PCM()
    single = programmed(nn.Linear(10, 7), x, device=device, adc=ADC())
    g = mho.conductances(single)[""]
    wanted = costs.Writing().joules(float(g.mean()), 8.52 * g.numel())
    assert mho.cost(single, [x]).programming == about(wanted)
    pulsed = programmed(
        nn.Linear(10, 7), x, device=device, adc=ADC(), programming=mho.programming.WriteVerify()
    )
    written = next(iter(mho.programming_report(pulsed).layers.values()))
    found = mho.cost(pulsed, [x]).programming
    if math.isnan(written.energy):
        g = mho.conductances(pulsed)[""]
        assert found == about(costs.Writing().joules(float(g.mean()), written.pulses))
    else:
        assert found == about(written.energy)


def test_a_run_is_only_listened_to() -> None:
    torch.manual_seed(0)
    x = torch.rand(16, 12)
    model = programmed(nn.Linear(12, 5), x, device=mho.devices.PCM(), dac=DAC(), adc=ADC()).train()
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    again = mho.cost(model, [x]).joules
    torch.set_rng_state(state)
    assert mho.cost(model, (b for b in [x])).joules == again
    assert model.training and all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"technology": "isaac"}, TypeError, r"technology = 'isaac': give a mho.costs.Technology"),
        ({"schedule": "fast"}, ValueError, r"schedule = 'fast': give 'layers' or 'pipeline'"),
        ({"share": 0}, ValueError, r"share = 0: the power of the cells needs voltages"),
        ({"share": 0.3}, ValueError, r"share = 0.3: give one over a whole number"),
        ({"duplicates": 0}, ValueError, r"duplicates = 0 of '0': give a whole number"),
        ({"duplicates": {"9": 2}}, ValueError, r"duplicates: no array has the path '9'; there are 0, 3"),
        ({"technology": costs.ISAAC}, ValueError, r"bits = 3: this technology knows such converters of"),
    ],
)
def test_wrong_arguments_are_named(change, error, message) -> None:
    x = torch.rand(4, 3, 6, 6)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    model = programmed(layers, x, dac=DAC(), adc=ADC(bits=3))
    with pytest.raises(error, match=message):
        mho.cost(model, [x], **change)


def test_what_cannot_be_priced_is_said() -> None:
    x = torch.rand(4, 6)
    model = mho.convert(nn.Linear(6, 3), mho.Hardware()).eval()
    with pytest.raises(mho.errors.NotProgrammedError):
        mho.cost(model, [x])
    mho.program(model, seed=0)
    with pytest.raises(ValueError, match=r"dac = None of '': without a converter nobody knows the volt"):
        mho.cost(model, [x])
    good = programmed(nn.Linear(6, 3), x)
    with pytest.raises(TypeError, match="give batches"):
        mho.cost(good, x)
    with pytest.raises(ValueError, match="data gave no batch"):
        mho.cost(good, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mho.cost(good, [x]).energy["cells"] > 0
    assert mho.cost(programmed(nn.Linear(6, 3), x, adc=Ramp(bits=6)), [x]).energy["ADC"] > 0


def test_leaving_the_data_out_errs_by_tens_of_per_cent() -> None:
    """The experiment of CiMLoop: rows driven alike, against each row as it is, behind ReLUs."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    digits = mho_digits()
    for _ in range(60):
        loss = nn.functional.cross_entropy(layers(digits[0]), digits[1])
        layers.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in layers.parameters():
                p -= 0.3 * p.grad
    model = programmed(layers, digits[0], dac=DAC(), adc=ADC(), mapping=DifferentialPair())
    report = mho.cost(model, [digits[0]])
    assert max(abs(cost.level - 1) for cost in report.layers.values()) > 0.1
    assert max(abs(ratio - 1) for ratio in report.fixed.values()) > 0.1
    cells = {path: cost.energy["cells"] for path, cost in report.layers.items()}
    assert sum(report.fixed[path] * cells[path] for path in cells) == about(sum(cells.values()))


def mho_digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
