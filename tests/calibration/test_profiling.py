"""What converters see, by layer, tile and slice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mho
from mho.calibration import PERCENTILES, calibrated_hardware
from mho.converters import Calibrated, Dynamic, Fixed, LeastSquares, Stream
from mho.errors import NotCalibratedError
from mho.mapping import BitSlicing


class Network(nn.Module):
    """Two layers, one of them reached only when asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.last = nn.Linear(5, 3)
        self.spare = nn.Linear(5, 3)

    def forward(self, x: Tensor, spare: bool = False) -> Tensor:
        h = torch.relu(self.first(x))
        return self.spare(h) if spare else self.last(h)


def network(**hardware: object) -> nn.Module:
    return mho.convert(Network(), mho.Hardware(tile=mho.Tile(rows=3), **hardware))  # type: ignore[arg-type]


DATA = [torch.randn(40, 6) for _ in range(3)]
X = torch.cat(DATA)


def test_inputs_and_currents_of_each_tile() -> None:
    model = network(dac=mho.DAC(range=Fixed(limit=2.0)), adc=mho.ADC())
    weight = model.first.weight.detach()
    seen = mho.profile(model, DATA)
    layer = seen.layers["first"]
    for place, (a, b) in enumerate(model.first.layout.rows):
        x = X[:, a:b].double()
        h = layer.inputs[place]
        assert (h.lowest, h.highest) == pytest.approx((float(x.min()), float(x.max())))
        assert (h.mean, h.std) == pytest.approx((float(x.mean()), float(x.std(correction=0))), rel=1e-6)
        current = X[:, a:b] @ (weight / weight.abs().amax(1, keepdim=True))[:, a:b].T / 2.0
        h = layer.currents[0][place]
        assert (h.lowest, h.highest) == pytest.approx((float(current.min()), float(current.max())), rel=1e-5)
        assert h.mean == pytest.approx(float(current.mean()), rel=1e-4)
        assert h.count == current.numel()
        ranks = [max(math.ceil(round(p * h.count / 100, 6)), 1) - 1 for p in PERCENTILES]
        wanted = current.flatten().sort().values[ranks].tolist()
        assert [h.percentile(p) for p in PERCENTILES] == pytest.approx(wanted, abs=2 * h.width)
    assert seen.not_reached == ("spare",)
    assert float(mho.profile(model, [{"x": X, "spare": True}]).layers["spare"].inputs[0].count) == 120 * 3


def test_currents_are_those_of_the_full_scale_that_there_is_or_will_be() -> None:
    model = network(dac=mho.DAC(), adc=mho.ADC())
    before = mho.profile(model, DATA).layers["first"].currents[0][0]
    mho.calibrate(model, DATA)
    after = mho.profile(model, DATA).layers["first"].currents[0][0]
    assert before.highest == pytest.approx(after.highest, rel=1e-6)
    assert max(h.largest for h in mho.profile(model, DATA).layers["first"].currents[0]) == pytest.approx(
        float(model.first.output_range), rel=1e-6
    )
    model.first.set_range("input_range", model.first.input_range / 2)
    assert mho.profile(model, DATA).layers["first"].currents[0][0].highest == pytest.approx(2 * after.highest)
    dynamic = network(dac=mho.DAC(range=Dynamic()), adc=mho.ADC())
    assert mho.profile(dynamic, DATA).layers["first"].currents[0][0].largest <= 3


def test_slices_are_kept_apart() -> None:
    model = network(mapping=BitSlicing(bits=7, slices=3), adc=mho.ADC())
    frame = mho.profile(model, DATA).to_frame()
    currents = frame[(frame["layer"] == "first") & (frame["what"] == "current")]
    assert sorted(zip(currents["slice"], currents["tile"], strict=True)) == [
        (k, t) for k in range(3) for t in range(2)
    ]
    assert currents["max"].nunique() > 3
    assert list(frame.columns[:5]) == ["layer", "what", "tile", "slice", "count"]
    assert "spare" not in set(frame["layer"])


def test_streamed_inputs_need_the_full_scale_of_the_dac() -> None:
    model = network(dac=mho.DAC(bits=5, stream=Stream()), adc=mho.ADC())
    with pytest.raises(NotCalibratedError, match="input_range of 'first'"):
        mho.profile(model, DATA)
    assert all(layer._tap is None for layer in model.modules() if hasattr(layer, "_tap"))
    mho.calibrate(model, DATA)
    currents = mho.profile(model, DATA).layers["first"].currents[0]
    assert max(h.largest for h in currents) == pytest.approx(float(model.first.output_range), rel=1e-5)
    assert currents[0].count == 4 * 120 * 5  # four groups of one bit


def test_without_an_adc_there_are_inputs_alone() -> None:
    seen = mho.profile(network(dac=mho.DAC()), DATA)
    assert seen.layers["first"].currents == [] and len(seen.layers["first"].inputs) == 2
    looking = mho.profile(network(adc=mho.ADC(bits=None)), DATA)
    assert looking.layers["first"].currents[0][0].count == 600


def test_nothing_is_changed_and_nothing_left_behind() -> None:
    model = network(device=mho.devices.PCM(), dac=mho.DAC(), adc=mho.ADC()).train()
    model.last.eval()
    mho.program(model, seed=0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes, done = [m.training for m in model.modules()], []
    mho.profile(model, ((x, 0) for x in DATA), progress=done.append)
    assert done == [1, 2, 3]
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(v, after[k]) for k, v in before.items())
    assert [m.training for m in model.modules()] == modes
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    with pytest.raises(ValueError, match="data gave no batch"):
        mho.profile(model, [])
    assert model.first.crossbar._tap is None


def test_what_is_no_number_names_its_layer() -> None:
    model = network(dac=mho.DAC(), adc=mho.ADC())
    with pytest.raises(ValueError, match="inputs of 'first': NaN or infinite values"):
        mho.profile(model, [torch.full((2, 6), math.nan)])
    with torch.no_grad():
        model.first.bias[0] = math.inf
    with pytest.raises(ValueError, match="inputs of 'last': NaN or infinite values"):
        mho.calibrate(model, DATA)
    assert model.first.input_range is None and model.first.crossbar._tap is None


def test_as_text() -> None:
    text = str(mho.profile(network(dac=mho.DAC(), adc=mho.ADC()), DATA))
    lines = text.splitlines()
    assert lines[0].split()[:5] == ["layer", "what", "tile", "slice", "count"]
    assert sum(line.startswith("first") for line in lines) == 4  # inputs and currents of two tiles
    assert lines[-1] == "no data reached 'spare'"


# --- ranges that are chosen -------------------------------------------------------------------------


def test_least_squares_ranges_minimise_the_error_of_the_codes() -> None:
    """No other full scale of the ADC brings the outputs nearer to those without it."""
    torch.manual_seed(2)
    layer = nn.Linear(64, 32, bias=False)
    x = torch.randn(500, 64)
    made = mho.convert(layer, mho.Hardware(adc=mho.ADC(bits=4, range=LeastSquares()))).eval()
    mho.calibrate(made, [x])
    found = float(made.output_range)

    def error(limit: float) -> float:
        made.set_range("output_range", torch.tensor(limit))
        return float((made(x) - layer(x)).detach().square().mean())

    best = min(error(found * f) for f in np.linspace(0.3, 2.5, 90))
    assert (
        error(found)
        <= 1.01 * best
        < 0.8 * error(float(mho.profile(made, [x]).layers[""].currents[0][0].largest))
    )


@pytest.mark.parametrize("kind", [Calibrated, LeastSquares])
def test_ranges_of_slices_and_tiles(kind: type) -> None:
    x = torch.randn(300, 20)
    layer, found = nn.Linear(20, 8), {}
    for name, how in {
        "layer": {},
        "slice": {"per_slice": True},
        "tile": {"per_tile": True},
        "octaves": {"per_slice": True, "powers_of_two": True},
        "all octaves": {"per_tile": True, "powers_of_two": True},
    }.items():
        hardware = mho.Hardware(
            mapping=BitSlicing(bits=7, slices=3),
            tile=mho.Tile(rows=10),
            adc=mho.ADC(bits=6, range=kind(**how)),
        )
        made = mho.convert(layer, hardware).eval()
        mho.calibrate(made, [x])
        made(x)
        found[name] = made.output_range
        assert len(calibrated_hardware(made)[""].adc.range.limits) == (1 if name == "layer" else 3)
    assert {name: tuple(v.shape) for name, v in found.items()} == {
        "layer": (), "slice": (3, 1, 1), "tile": (3, 2, 1), "octaves": (3, 1, 1), "all octaves": (3, 2, 1)
    }  # fmt: skip
    if kind is Calibrated:
        assert torch.equal(found["tile"].amax(1, keepdim=True), found["slice"])
        assert float(found["slice"].max()) == float(found["layer"])
    for wide, own in (("octaves", "slice"), ("all octaves", "tile")):
        octaves = torch.log2(found[wide].max() / found[wide])
        assert torch.equal(octaves, octaves.round())
        assert bool((found[wide] >= found[own]).all()) and bool((found[wide] < 2 * found[own]).all())


def test_an_empty_slice_takes_no_part_in_the_range_of_a_layer() -> None:
    """Weights of the lowest slice alone: the others carry no current."""
    layer = nn.Linear(20, 8, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(0, 2, (8, 20)) * 2.0 - 1)
    how = mho.ADC(range=Calibrated())
    hardware = mho.Hardware(
        mapping=BitSlicing(bits=7, slices=3, scale=mho.mapping.Fixed(weight=63.0)), adc=how
    )
    made = mho.convert(layer, hardware)
    mho.calibrate(made, [torch.randn(50, 20) * 1e-3])
    assert 0 < float(made.output_range) < 0.1


def test_all_slices_get_the_same_inputs() -> None:
    with pytest.raises(ValueError, match="dac.range.per_slice = True: all slices get the same inputs"):
        mho.Hardware(dac=mho.DAC(range=LeastSquares(per_slice=True)))
