"""What an inference costs in studies: conversions and cells as they are made, and prices."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import mho
from mho.chip.writing import _draw_drivers
from mho.config import from_dict, kinds, to_dict
from mho.converters import ADC, DAC, Circuit, ColumnConverter, Dynamic, Grid, Stream, TwosComplement
from mho.costs import GENERIC_22, ISAAC, TECHNOLOGIES, Chip, Part, Walden
from mho.errors import ConfigError
from mho.experiments.chips import ChipStudy
from mho.experiments.cost import CostStudy
from mho.experiments.experiment import Place, measure
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import SmallCNN
from mho.experiments.prices import counts, prices
from mho.experiments.reproduce.mehonic import RaisedPair
from mho.experiments.store import OtherStudyError
from mho.mapping import BitSlicing, DifferentialPair, Mapping, Offset, Residual, SignificancePairs
from mho.nn import analog_layers

from ..compositions.covering import covering

OF_DAC = 5  # bits of the DAC, which tell its codes from those of an ADC
TILE = mho.Tile(rows=4, columns=3)


class Attention(nn.Module):
    """A decoder's attention, with a memory of its own length."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x[:, :2], x[:, :2])[0]


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Bilinear(6, 3, 4)

    def forward(self, x):
        return self.both(x, x[..., :3])


class Recurrent(nn.Module):
    """A whole sequence; ``step`` for a cell, which is called once for each step."""

    def __init__(self, layer, step=False):
        super().__init__()
        self.layer, self.step = layer, step

    def forward(self, x):
        if not self.step:
            return self.layer(x)[0]
        state = None
        for t in range(x.shape[1]):
            state = self.layer(x[:, t], state)
        return state


class Twice(nn.Module):
    """One layer that is used twice: its cells are there once."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(self.layer(x))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(10, 5, mode="sum")

    def forward(self, x):
        return self.bag(x)


ROWS = torch.tensor([[0, 9, 4, 4, 7]])
# One or more of every layer that mho puts on arrays.
LAYERS = {
    "Linear": (lambda: nn.Linear(10, 7), torch.rand(1, 10)),
    "Linear over positions": (lambda: nn.Linear(10, 7), torch.rand(1, 3, 10)),
    "Linear used twice": (Twice, torch.rand(1, 6)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), torch.rand(1, 4, 9)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, padding=1), torch.rand(1, 2, 6, 6)),
    "Conv2d in groups": (lambda: nn.Conv2d(4, 8, 2, groups=2), torch.rand(1, 4, 5, 5)),
    "Conv3d": (lambda: nn.Conv3d(1, 4, 2), torch.rand(1, 1, 4, 4, 4)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 4, 3, stride=2), torch.rand(1, 4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 4, 2, stride=2), torch.rand(1, 2, 3, 3)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(1, 4, 2), torch.rand(1, 1, 2, 2, 2)),
    "Embedding": (lambda: nn.Embedding(10, 5), ROWS),
    "EmbeddingBag": (Bag, ROWS),
    "Bilinear": (Bilinear, torch.rand(1, 6)),
    "MultiheadAttention": (Attention, torch.rand(1, 3, 8)),
    "RNN": (lambda: Recurrent(nn.RNN(5, 4, bidirectional=True, batch_first=True)), torch.rand(1, 3, 5)),
    "LSTM": (lambda: Recurrent(nn.LSTM(5, 4, proj_size=2, batch_first=True)), torch.rand(1, 3, 5)),
    "GRU": (lambda: Recurrent(nn.GRU(5, 4, num_layers=2, batch_first=True)), torch.rand(1, 3, 5)),
    "RNNCell": (lambda: Recurrent(nn.RNNCell(5, 4), step=True), torch.rand(1, 3, 5)),
    "LSTMCell": (lambda: Recurrent(nn.LSTMCell(5, 4), step=True), torch.rand(1, 3, 5)),
    "GRUCell": (lambda: Recurrent(nn.GRUCell(5, 4), step=True), torch.rand(1, 3, 5)),
}
WITHOUT_A_DEFAULT = {
    "converters.OutputErrors": {"levels": (-1.0, 1.0), "mean": (0.0, 0.0), "std": (0.1, 0.1)}
}
ADCS = {
    kind: cls(**WITHOUT_A_DEFAULT.get(kind, {}))
    for kind, cls in kinds(ColumnConverter).items()
    if cls.__module__.startswith("mho.")
}
DACS = {
    "none": None,
    "whole": DAC(bits=OF_DAC),
    "without sign": DAC(bits=OF_DAC, signed=False),
    "dynamic": DAC(bits=OF_DAC, range=Dynamic()),
    "bit by bit": DAC(bits=OF_DAC, stream=Stream()),
    "in threes": DAC(bits=OF_DAC, stream=Stream(bits=3)),
    "summed as charges": DAC(bits=OF_DAC, stream=Stream(each=False)),
    "drivers with errors": DAC(bits=OF_DAC, gain=0.01, stream=Stream(bits=2)),
}
MAPPINGS = {
    "DifferentialPair": DifferentialPair(),
    "RaisedPair": RaisedPair(),
    "Offset": Offset(),
    "Offset, unit column": Offset(unit_column=True),
    "Residual": Residual(),
    "SignificancePairs": SignificancePairs(),
    "BitSlicing": BitSlicing(bits=7, slices=3),
    "BitSlicing, offset": BitSlicing(bits=6, slices=2, offset=True),
    "BitSlicing, unit column": BitSlicing(bits=6, slices=2, offset=True, unit_column=True),
}


def built(layer, **parts):
    """The model on arrays, calibrated and programmed, and an input."""
    make, x = LAYERS[layer]
    torch.manual_seed(0)
    model = mho.convert(make(), mho.Hardware(**{"tile": TILE, "adc": ADC(bits=7), **parts})).eval()
    mho.calibrate(model, [x])
    mho.program(model, seed=0)
    return model, x


@pytest.fixture
def converted(monkeypatch):
    """Numbers that ADCs turned into codes, and those that drivers put on rows: by the calls themselves."""
    made = {"adc": 0, "driven": 0}
    levels, digits = Circuit._levels, Stream.digits

    def counted(codes):
        def count_codes(grid, z):
            of_dac = grid in {d.grid() for d in DACS.values() if d is not None}
            made["driven" if of_dac else "adc"] += z.numel()
            return codes(grid, z)

        return count_codes

    def count_levels(self, value, convert):
        made["adc"] += value.numel()
        return levels(self, value, convert)

    def count_digits(self, values, high, axis):
        found = digits(self, values, high, axis)
        made["driven"] += found.numel() - values.numel()  # the codes themselves were counted
        return found

    for grid in (Grid, type(TwosComplement().grid())):
        for name in ("codes", "codes_"):
            monkeypatch.setattr(grid, name, counted(getattr(grid, name)))
    monkeypatch.setattr(Circuit, "_levels", count_levels)
    monkeypatch.setattr(Stream, "digits", count_digits)
    return made


def forget(made):
    made.update(dict.fromkeys(made, 0))


def test_every_layer_adc_and_mapping_is_here():
    kinds_of_layers = {cls.__name__ for name, (make, _) in LAYERS.items() for cls in _torch_layers(make())}
    wanted = {name.removeprefix("Analog") for name in vars(mho.nn) if name.startswith("Analog")}
    assert {name for name in wanted if hasattr(nn, name)} <= kinds_of_layers  # others are these inside
    assert {type(m) for m in MAPPINGS.values()} == {
        cls for cls in kinds(Mapping).values() if cls.__module__.startswith("mho.")
    }
    assert TwosComplement in map(type, ADCS.values())


def _torch_layers(module):
    return [type(m) for m in module.modules() if type(m).__module__.startswith("torch.nn")]


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("layer", LAYERS)
def test_adc_conversions_and_cells_of_every_layer_and_mapping(layer, mapping, converted):
    model, x = built(layer, mapping=MAPPINGS[mapping], dac=DACS["whole"])
    forget(converted)
    cost = counts(model, x)
    assert cost["adc_conversions"] == converted["adc"] > 0
    assert cost["cells"] == sum(one.chip_g.numel() for one in analog_layers(model).values())


@pytest.mark.parametrize(
    ("adc", "dac", "layer"),
    covering([[*ADCS, "none"], list(DACS), ["Linear over positions", "Conv2d", "Embedding"]]),
)
def test_adc_conversions_of_every_converter(adc, dac, layer, converted):
    model, x = built(layer, adc=ADCS.get(adc), dac=DACS[dac], mapping=MAPPINGS["BitSlicing"])
    forget(converted)
    assert counts(model, x)["adc_conversions"] == converted["adc"]
    assert (converted["adc"] > 0) == (adc != "none")


MATRICES = [name for name in LAYERS if "Conv" not in name]  # a convolution shares its inputs among patches


@pytest.mark.parametrize(
    ("layer", "mapping", "dac"), covering([MATRICES, ["DifferentialPair", "BitSlicing"], list(DACS)])
)
def test_dac_conversions_of_every_matrix(layer, mapping, dac, converted):
    """Each value that is driven, by as many drivers as the chip has for it: of each array beside another
    and of each slice."""
    parts = {"mapping": MAPPINGS[mapping], "dac": DACS[dac], "tile": mho.Tile(rows=None, columns=3)}
    model, x = built(layer, **parts)
    seen = []
    for one in analog_layers(model).values():
        one.register_forward_pre_hook(lambda *_: seen.append(converted["driven"]))
        one.register_forward_hook(lambda o, *_: seen.append((o, converted["driven"] - seen.pop())))
    forget(converted)
    cost = counts(model, x)
    expected = 0
    for one, driven in seen:
        if one.hardware.dac is not None:
            drivers = _draw_drivers(_with_errors(one.hardware), one.chip_g, one.chip_g, one.layout, 0, "")
            expected += driven * drivers.shape[0] * drivers.shape[1]
    assert cost["dac_conversions"] == expected
    assert (cost["dac_conversions"] > 0) == (dac != "none" and "Embedding" not in layer)


def _with_errors(hardware):
    return replace(hardware, dac=replace(hardware.dac, gain=0.01))


@pytest.mark.parametrize(
    ("dac", "conversions"),
    [
        (DAC(bits=8), 1),
        (DAC(steps=254), 1),
        (DAC(bits=8, stream=Stream()), 7),  # seven bits and a sign: -1, 0, 1
        (DAC(bits=8, stream=Stream(bits=7)), 1),  # as without a stream
        (DAC(bits=8, signed=False, stream=Stream()), 8),
        (DAC(bits=8, signed=False, stream=Stream(bits=3)), 3),
        (DAC(bits=None), 0),
        (None, 0),
    ],
)
def test_inputs_bit_by_bit_by_hand(dac, conversions):
    hardware = mho.Hardware(tile=mho.Tile(rows=4, columns=None), dac=dac, adc=ADC(bits=8))
    model = mho.convert(nn.Linear(8, 3), hardware)
    mho.calibrate(model, [torch.ones(2, 8)])
    mho.program(model, seed=0)
    read = 1 if dac is None or dac.stream is None else conversions
    found = counts(model, torch.ones(5, 8))
    assert (found["adc_conversions"], found["dac_conversions"]) == (6 * read, 8 * conversions)


def test_a_look_up_reads_one_array_of_rows():
    hardware = mho.Hardware(tile=mho.Tile(rows=4, columns=None), dac=DAC(bits=8), adc=ADC(bits=8))
    model = mho.convert(nn.Embedding(40, 3), hardware)
    mho.calibrate(model, [torch.tensor([[0]])])
    mho.program(model, seed=0)
    found = counts(model, torch.tensor([[1, 39]]))
    assert found == {"cells": 2 * 120, "adc_conversions": 2 * 3, "dac_conversions": 0}


# --- prices --------------------------------------------------------------------------------------

BY_HAND = Chip(
    name="by hand",
    node=22e-9,
    read_time=10e-9,
    adc=Walden(step_energy=1e-15, rate=1e8, area=1e-10),
    columns_per_adc=1,
    cell_area=1e-14,
    parts=(Part(name="drivers", each="row", per="drive", joules=2e-12, leakage=1e-6, area=3e-12),),
)


def linear(**parts):
    """8 inputs in two arrays of 4 rows, 3 outputs."""
    usual = {"tile": mho.Tile(rows=4, columns=None), "dac": DAC(bits=8), "adc": ADC(bits=8)}
    model = mho.convert(nn.Linear(8, 3, bias=False), mho.Hardware(**{**usual, **parts}))
    mho.calibrate(model, [torch.ones(2, 8)])
    mho.program(model, seed=0)
    return model


def test_prices_by_hand():
    model = linear()
    g, volts = model.chip_g.double().sum().item(), model.hardware.device.v_read
    found = prices(model, torch.ones(4, 8), BY_HAND, inferences=100.0, pulses=3.0)
    seconds = 10e-9 + 10e-9  # a read, and a conversion by each of the converters
    cells, adc, drivers, leakage = volts**2 * g * 10e-9, 6 * 256e-15, 8 * 2e-12, 8 * 1e-6 * seconds
    writing = BY_HAND.writing.joules(g / 48, 3.0 * 48)
    energy = cells + adc + drivers + leakage
    assert found == pytest.approx(
        {
            "energy": energy,
            "latency": seconds,
            "area": 48 * 1e-14 + 6 * 1e-10 + 8 * 3e-12,
            "energy_with_programming": energy + writing / 100,
        },
        rel=1e-5,
    )


def test_without_a_dac_there_are_no_prices():
    found = prices(linear(dac=None), torch.ones(4, 8), BY_HAND)
    assert all(math.isnan(value) for value in found.values())


def test_programming_is_paid_for_what_was_written():
    """Not for what it has drifted to."""
    model = linear(device=mho.devices.PCM())
    once = []
    for seconds in (25.0, 3e7):
        mho.age(model, seconds)
        once.append(mho.cost(model, [torch.ones(4, 8)]).programming)
    assert once[0] == once[1] > 0


# --- studies -------------------------------------------------------------------------------------

TINY = ChipStudy(
    model=SmallCNN(first=2, second=2, hidden=4), training=Schedule(epochs=1, learning_rate=0.1), chips=1
)


def test_the_figures_of_a_study_are_those_of_the_counts(tmp_path):
    whole = measure(TINY, Place(tmp_path / "whole", tmp_path))
    dac = DAC(bits=8, stream=Stream())
    changed = replace(TINY, hardware=replace(TINY.hardware, dac=dac))
    bits = measure(changed, Place(tmp_path / "bits", tmp_path))
    assert bits["adc_conversions"] == 7 * whole["adc_conversions"]
    assert bits["dac_conversions"] == 7 * whole["dac_conversions"]
    assert bits["cells"] == whole["cells"] and bits["area"] < whole["area"]
    assert bits["energy"] > whole["energy"] and bits["latency"] > whole["latency"]


def test_a_study_without_a_dac_has_empty_prices(tmp_path):
    study = replace(TINY, hardware=replace(TINY.hardware, dac=None))
    table = run(study, tmp_path).table
    assert table[["energy", "latency", "area", "energy_with_programming"]].isna().all(axis=None)
    assert (table["adc_conversions"] > 0).all() and table["accuracy"].notna().all()


def test_a_technology_is_said_by_name():
    assert replace(TINY, technology="isaac") == replace(TINY, technology=ISAAC)
    with pytest.raises(ConfigError, match="no 'isac'; did you mean 'isaac'"):
        replace(TINY, technology="isac")
    with pytest.raises(ConfigError, match=r"technology = 3: give one of .*costs\.Chip"):
        replace(TINY, technology=3)
    for technology in TECHNOLOGIES.values():
        study = replace(TINY, technology=technology)
        assert from_dict(json.loads(json.dumps(to_dict(study)))) == study


COSTS = CostStudy(model=TINY.model, training=TINY.training, chips=2, times=(25.0, 3.1536e7))


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("costs")
    return run(COSTS, folder), folder


def test_the_study_of_costs_has_a_row_for_each_chip_and_time(costs):
    result, folder = costs
    table = result.table
    assert table[["chip", "seconds"]].to_numpy().tolist() == [[c, s] for c in (0, 1) for s in COSTS.times]
    assert {column.name for column in COSTS.measured} <= set(table.columns)
    assert table.drop(columns="accuracy").gt(0).drop(columns="chip").all(axis=None)
    later = table["seconds"] == COSTS.times[1]
    assert (table[later]["energy"].to_numpy() < table[~later]["energy"].to_numpy()).all()
    assert table["latency"].nunique() == table["area"].nunique() == 1
    again = run(COSTS, folder)  # found in the folder
    assert again.document == result.document
    with pytest.raises(OtherStudyError, match='technology.name: it has "generic, 22 nm"'):
        run(replace(COSTS, technology="isaac"), folder)


def test_the_whole_reports_are_in_the_document(costs):
    document = json.loads((costs[1] / "results.json").read_text())
    early, late = document["reports"]
    first = costs[0].table.iloc[0]
    assert early["seconds"] == 25.0 and early["summary"]["joules"] == first["energy"]
    assert early["technology"] == GENERIC_22.name and len(early["layers"]) == 4
    assert late["energy"]["cells"] < 0.7 * early["energy"]["cells"]
    assert late["energy"]["ADC"] == early["energy"]["ADC"]
    assert document["summary"][0]["energy"] == pytest.approx(costs[0].table.iloc[[0, 2]]["energy"].mean())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hardware": mho.Hardware(adc=ADC())}, "hardware.dac = None: .* give the hardware one"),
        ({"times": (2.0, 1.0)}, "times = .* sort them"),
        ({"share": 0.3}, "share = 0.3"),
        ({"share": 0.0}, "share = 0.0: give 1, or one in n"),
        ({"schedule": "all"}, "schedule = 'all'"),
    ],
)
def test_bad_studies_of_costs(change, said):
    with pytest.raises(ConfigError, match=said):
        replace(COSTS, **change)
