"""What is wrong with a chip is found: planted faults, errors by hand, and a model that feels nothing."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn

import mho
from mho import devices
from mho.analysis.diagnosis import CAUSES
from mho.array import Nonlinear, Sinh, Wires
from mho.converters import ADC, DAC, SAR, Dynamic, Fixed, Stream
from mho.devices import PCM, StuckAt
from mho.mapping import BitSlicing, DifferentialPair, Maximum
from mho.nn import crossbars

QUIET = PCM(program_scale=0.1, read_scale=0.1, drift_scale=0.1)
BASE = {"device": QUIET, "tile": mho.Tile(rows=32, columns=32), "dac": DAC(), "adc": ADC(bits=10)}
PLANTED = {
    "scale": {"device": PCM(), "mapping": DifferentialPair(scale=Maximum(per_column=False))},
    "mapping": {"mapping": DifferentialPair(levels=3)},
    "ADC, rounded": {"adc": ADC(bits=4)},
    "ADC, clipped": {},
    "DAC, rounded": {"dac": DAC(bits=4)},
    "DAC, clipped": {"dac": DAC(range=Fixed(limit=0.3))},
    "wires": {"array": Wires(row=60.0, column=60.0)},
    "programming": {"device": PCM(read_scale=0.1, drift_scale=0.1)},
    "drift": {"device": PCM(program_scale=0.1, read_scale=0.1)},
    "read noise": {"device": PCM(program_scale=0.1, read_scale=3.0)},
    "effects": {"device": StuckAt(device=QUIET, hrs=0.05)},
    "calibration": {},
}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRU(10, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x):
        return self.out(self.cell(x)[0])


NETS = {
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 36, 24),
            nn.ReLU(),
            nn.Linear(24, 10),
        ),
        (24, 3, 6, 6),
    ),
    "steps": (Recurrent, (8, 6, 10)),
}


def chip(model, x, **parts):
    analog = mho.convert(model, mho.Hardware(**{**BASE, **parts})).eval()
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    return analog


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_is_found(planted, net) -> None:
    torch.manual_seed(1)
    made, shape = NETS[net]
    model, x = made(), torch.randn(shape)
    if planted == "scale":
        for weight in (p.data for p in model.parameters() if p.dim() > 1):
            weight[0] *= 40
    analog = chip(model, x, **PLANTED[planted])
    arrays = list(crossbars(analog).values())
    if planted == "ADC, clipped":
        for array in arrays:
            array.set_range("output_range", array.output_range * 0.2)
    if planted == "calibration":
        arrays[-1].input_range = None
    if planted == "drift":
        mho.age(analog, 3e7)
    found = mho.diagnose(analog, [x])
    assert found.cause == planted, str(found)
    path, worst = found.worst
    assert path in crossbars(analog) and worst == planted
    said = next(iter(found.layers.values()))
    assert ("no full scale" if planted == "calibration" else planted) in said.sentence
    if planted == "effects":
        assert said.effects == ("StuckAt",) and "StuckAt" in said.sentence


def test_a_good_chip_is_left_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 20)
    found = mho.diagnose(chip(nn.Linear(20, 10), x, device=devices.Ideal()), [x])
    layer = found.layers[""]
    assert layer.sentence == "nothing to speak of" and layer.total < 0.03 and layer.clipped == 0
    assert all(layer.errors[c] < 1e-5 for c in CAUSES if c not in ("DAC, rounded", "ADC, rounded"))
    assert 0.8 < layer.codes <= 1 and 0.3 < layer.used < 0.7


@torch.no_grad()
def test_errors_by_hand() -> None:
    """Programming and rounding of a linear layer, from its weights and its codes."""
    torch.manual_seed(0)
    x = torch.randn(50, 20)
    model = nn.Linear(20, 10)
    analog = chip(model, x, device=PCM(read_scale=0.0), adc=None, dac=DAC(bits=5))
    layer = mho.diagnose(analog, [x[:25], x[25:]]).layers[""]
    clean = x @ model.weight.T
    seen = x @ mho.effective_weights(analog)[""].T
    size = float(clean.square().sum().sqrt())
    assert layer.errors["programming"] == pytest.approx(float((seen - clean).norm()) / size, rel=1e-4)
    limit = analog.input_range
    rounded = DAC(bits=5).quantise(x, limit)
    clipped = x.clamp(-float(limit), float(limit))
    weight = mho.effective_weights(analog)[""].T
    assert layer.errors["DAC, clipped"] == pytest.approx(
        float(((clipped - x) @ weight).norm()) / size, abs=1e-6
    )
    wanted = float(((rounded - clipped) @ weight).norm()) / size
    assert layer.errors["DAC, rounded"] == pytest.approx(wanted, rel=1e-3)
    total = float((analog(x) - model(x)).norm()) / size
    assert layer.total == pytest.approx(total, rel=1e-4)
    assert layer.codes is None and layer.clipped is None


def test_drift_is_what_the_correction_leaves() -> None:
    x = torch.randn(50, 20)
    analog = chip(nn.Linear(20, 10), x, device=PCM(read_scale=0.0))
    mho.age(analog, 1e7)
    before = mho.diagnose(analog, [x]).layers[""]
    mho.compensate(analog)
    after = mho.diagnose(analog, [x]).layers[""]
    assert after.errors["drift"] < 0.5 * before.errors["drift"]
    assert "mho.compensate(model)" in before.sentence and "each by an amount of its own" in after.sentence


KINDS = {
    "slices": {"mapping": BitSlicing(bits=6, slices=2)},
    "streams": {"dac": DAC(stream=Stream())},
    "own range": {"dac": DAC(range=Dynamic())},
    "mismatch": {"adc": SAR(bits=8, capacitor=0.02), "dac": DAC(gain=0.02, offset=0.01)},
    "no converters": {"dac": None, "adc": None},
    "no ohm": {"array": Nonlinear(law=Sinh(v_c=0.2))},
    "by tile": {"dac": DAC(range=mho.converters.Calibrated(per_tile=True))},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_error_is_that_of_the_chip(kind) -> None:
    """Whatever it is split into, with any hardware."""
    torch.manual_seed(0)
    x, model = torch.randn(40, 40), nn.Linear(40, 12)
    analog = chip(model, x, device=PCM(read_scale=0.0), **KINDS[kind])
    layer = mho.diagnose(analog, [x]).layers[""]
    with torch.no_grad():
        wanted = float((analog(x) - model(x)).norm() / (x @ model.weight.T).norm())
    assert layer.total == pytest.approx(wanted, rel=1e-3)
    assert sum(e**2 for e in layer.errors.values()) == pytest.approx(layer.total**2, rel=0.5)


def test_attention_look_ups_and_grouped_convolutions_are_examined() -> None:
    torch.manual_seed(0)

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.attention = (
                nn.Embedding(9, 8),
                nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            )
            self.conv = nn.ConvTranspose1d(8, 8, 3, groups=2)

        def forward(self, tokens):
            return self.conv(self.attention(self.table(tokens)).mT)

    tokens = torch.randint(9, (4, 5))
    analog = chip(Mixed(), tokens)
    found = mho.diagnose(analog, [tokens])
    assert set(found.layers) == set(crossbars(analog))
    assert all(0 < layer.total < 1 for layer in found.layers.values())


def test_the_model_feels_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 20)
    analog = chip(nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 4)), x).train()
    kept = copy.deepcopy(analog.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = mho.diagnose(analog, [x]).to_frame()
    assert analog.training and all(torch.equal(v, kept[k]) for k, v in analog.state_dict().items())
    assert not any("forward" in a.__dict__ or "steps" in a.__dict__ for a in crossbars(analog).values())
    assert (
        list(frame["layer"]) in (["0", "2"], ["2", "0"])
        and list(frame["error"]) == sorted(frame["error"])[::-1]
    )
    assert {"range used", "codes used", "what to do", *CAUSES} <= set(frame.columns)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        mho.diagnose(analog, [x[:, :9]])
    assert not any("forward" in a.__dict__ for a in crossbars(analog).values())


def test_what_cannot_be_examined_is_said() -> None:
    model = nn.Linear(4, 3)
    with pytest.raises(mho.errors.NotProgrammedError):
        mho.diagnose(mho.convert(model, mho.Hardware()), [torch.ones(2, 4)])
    with pytest.raises(ValueError, match="no analog layer"):
        mho.diagnose(model, [torch.ones(2, 4)])
    good = chip(model, torch.ones(2, 4))
    with pytest.raises(ValueError, match="data gave no batch"):
        mho.diagnose(good, [])
    zero = mho.diagnose(good, [torch.zeros(2, 4)]).layers[""]
    assert math.isfinite(zero.total)
