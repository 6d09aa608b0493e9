"""The verbs on whole models: what they do, what they refuse, and that they refuse it whole."""

from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import Calibrated, Dynamic, Fixed, Learned, Range
from mho.errors import NotCalibratedError, NotProgrammedError
from mho.periphery import Affine, ColumnDrift, GlobalDrift, KnownDrift

CONVERTERS = {"dac": mho.DAC(bits=8), "adc": mho.ADC(bits=8)}
PCM = mho.devices.PCM()
HOUR, DAY, YEAR = 3_600, 86_400, 31_536_000


class Network(nn.Module):
    """Two layers, one of them reached only when asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.norm = nn.BatchNorm1d(5)
        self.last = nn.Linear(5, 3)
        self.spare = nn.Linear(5, 3)

    def forward(self, x: Tensor, spare: bool = False) -> Tensor:
        h = torch.relu(self.norm(self.first(x)))
        return self.spare(h) if spare else self.last(h)


def network(**hardware: Any) -> nn.Module:
    model = Network()
    for p in model.norm.parameters():
        nn.init.uniform_(p, 0.5, 1.5)
    return mho.convert(model, mho.Hardware(**hardware))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def unchanged(model: nn.Module, before: dict[str, Tensor]) -> bool:
    after = model.state_dict()
    return list(after) == list(before) and all(torch.equal(v, before[k]) for k, v in after.items())


# --- calibrate --------------------------------------------------------------------------------


def test_calibrated_ranges_are_the_largest_magnitudes() -> None:
    """Of the inputs, and of the column currents in units of a cell at full input."""
    model = network(**CONVERTERS, tile=mho.Tile(rows=3, columns=None))
    data = [torch.randn(50, 6) for _ in range(4)]
    mho.calibrate(model, data)
    x = torch.cat(data)
    model.eval()
    first = model.first
    assert float(first.input_range) == pytest.approx(float(x.abs().max()))
    weight = first.weight.detach() / first.weight.detach().abs().amax(1, keepdim=True)
    currents = torch.stack([x[:, a:b] @ weight[:, a:b].T for a, b in first.layout.rows])
    assert float(first.output_range) == pytest.approx(float(currents.abs().max() / x.abs().max()), rel=1e-5)
    digital = mho.revert(model).eval()
    h = torch.relu(digital.norm(digital.first(x))).detach()
    assert float(model.last.input_range) == pytest.approx(float(h.abs().max()), rel=1e-5)
    assert model.spare.input_range is None and model.spare.output_range is None
    # nothing seen is clipped: each output is within the steps of the converters
    assert float((model(x) - digital(x)).detach().abs().max()) < 0.1
    with pytest.raises(NotCalibratedError, match="input_range of 'spare' was left to calibration"):
        model(x, spare=True)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_quantiles(quantile: float) -> None:
    converters = {
        "dac": mho.DAC(range=Calibrated(quantile=quantile)),
        "adc": mho.ADC(range=Calibrated(quantile=quantile)),
    }
    layer = mho.convert(nn.Linear(40, 30, bias=False), mho.Hardware(**converters))
    data = torch.randn(2_000, 40)
    mho.calibrate(layer, data.split(100))
    limit = float(layer.input_range)
    assert float((data.abs() <= limit).float().mean()) == pytest.approx(quantile, abs=0.01)
    weight = layer.weight.detach() / layer.weight.detach().abs().amax(1, keepdim=True)
    currents = (data @ weight.T / limit).abs()
    assert float((currents <= float(layer.output_range)).float().mean()) == pytest.approx(quantile, abs=0.01)


def test_calibration_sees_the_chip_that_is_there() -> None:
    """A drifted chip gives smaller currents."""
    layer = mho.convert(nn.Linear(40, 30), mho.Hardware(device=PCM, **CONVERTERS))
    data = [torch.randn(100, 40)]
    mho.program(layer, seed=0)
    mho.calibrate(layer, data)
    fresh = float(layer.output_range)
    mho.age(layer, YEAR)
    mho.calibrate(layer, data)
    assert 0.3 * fresh < float(layer.output_range) < 0.7 * fresh


def test_learned_ranges_start_from_data() -> None:
    layer = mho.convert(nn.Linear(6, 4), mho.Hardware(dac=mho.DAC(range=Learned(initial=9.0))))
    assert layer.input_range.item() == 9.0
    x = torch.randn(20, 6)
    mho.calibrate(layer, [x])
    assert isinstance(layer.input_range, nn.Parameter)
    assert float(layer.input_range.detach()) == pytest.approx(float(x.abs().max()))


def test_other_ranges_are_left_alone() -> None:
    layer = mho.convert(
        nn.Linear(6, 4), mho.Hardware(dac=mho.DAC(range=Fixed(limit=2.0)), adc=mho.ADC(range=Dynamic()))
    )
    mho.calibrate(layer, [torch.randn(20, 6)])
    assert layer.input_range is None and layer.output_range is None
    layer.eval()(torch.randn(2, 6))


BATCHES = {
    "tensor": lambda x: x,
    "tuple": lambda x: (x, torch.zeros(len(x))),
    "list": lambda x: [x, "label"],
    "dict": lambda x: {"x": x},
    "dict with more": lambda x: {"x": x, "spare": False},
    "mapping": lambda x: UserDict({"x": x}),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("lazily", [False, True])
def test_batches_of_every_kind(name: str, lazily: bool) -> None:
    model = network(device=PCM, **CONVERTERS)
    data = [torch.randn(30, 6) for _ in range(3)]
    batches = [BATCHES[name](x) for x in data]
    mho.calibrate(model, iter(batches) if lazily else batches)
    assert float(model.first.input_range) == pytest.approx(float(torch.cat(data).abs().max()))
    mho.program(model, seed=0)
    mho.compensate(model, Affine(), data=(b for b in batches) if lazily else batches)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.cat(data)), batch_size=7)
    mho.calibrate(model, loader)


@pytest.mark.parametrize("how", [Calibrated(), Fixed(limit=2.0)], ids=["calibrated", "fixed"])
def test_calibration_leaves_converters_out_whatever_ranges_there_are(how: Range) -> None:
    """Those of the layers before, too: a chip whose ranges were known converted what came to the next."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    first = mho.Hardware(dac=mho.DAC(bits=3, range=how), adc=mho.ADC(bits=3, range=how))
    second = mho.Hardware(dac=mho.DAC(bits=3))
    x = [torch.randn(200, 8)]
    programmed = mho.convert(layers, {"0": first, "1": second})
    mho.program(programmed, seed=0)
    for _ in range(2):
        mho.calibrate(programmed, x)
        found = float(programmed[1].input_range)
        assert found == pytest.approx(float(layers[0](x[0]).detach().abs().max()), rel=1e-5)


def test_calibration_leaves_modes_statistics_and_weights_alone() -> None:
    model = network(device=PCM, **CONVERTERS).train()
    model.norm.eval()
    mho.program(model, seed=0)
    before, modes = state(model), [m.training for m in model.modules()]
    mho.calibrate(model, [torch.randn(9, 6)])
    assert [m.training for m in model.modules()] == modes
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert set(after) - set(before) == {
        f"{layer}.crossbar.{side}_range" for layer in ("first", "last") for side in ("input", "output")
    }


def broken_loader() -> Iterator[Tensor]:
    yield torch.randn(4, 6)
    raise OSError("the disk is gone")


DATA = {
    "no batch": ([], ValueError, "data gave no batch"),
    "a spent iterator": (iter([]), ValueError, "an iterator runs only once"),
    "nothing": (None, TypeError, "data is a NoneType: give batches"),
    "a number": (5, TypeError, "data is a int: give batches"),
    "one tensor": (torch.ones(3, 6), TypeError, r"data is a Tensor: give batches, .*\[x\] for a single one"),
    "one dict": ({"x": torch.ones(3, 6)}, TypeError, "data is a dict: give batches"),
    "NaN": ([torch.full((2, 6), math.nan)], ValueError, "NaN or infinite values; check the inputs"),
    "infinite": ([torch.ones(2, 6), torch.full((2, 6), math.inf)], ValueError, "NaN or infinite values"),
    "arrays": ([np.ones((2, 6))], TypeError, "a batch is a ndarray: give a tensor, a tuple"),
    "no item": ([()], TypeError, "a batch is a tuple: give a tensor"),
    "labels first": ([("cat", torch.ones(2, 6))], TypeError, "a batch is a str: give a tensor"),
    "wrong width": (
        [torch.ones(2, 7)],
        ValueError,
        r"x has shape \(2, 7\): its last size must be in_features = 6 of 'first'",
    ),
    "a broken loader": (None, OSError, "the disk is gone"),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("verb", ["calibrate", "compensate"])
def test_data_that_is_refused_changes_nothing(name: str, verb: str) -> None:
    data, error, message = DATA[name]
    if name == "a broken loader":
        data = broken_loader()
    if name == "NaN" and verb == "compensate":
        message = "NaN or infinite outputs"
    if name == "nothing" and verb == "compensate":
        error, message = ValueError, "Affine.. needs data: compensate.model, method, data=loader"
    if name in ("infinite",) and verb == "compensate":
        message = "NaN or infinite outputs"
    model = network(device=PCM, **CONVERTERS)
    mho.calibrate(model, [torch.randn(9, 6)])
    mho.program(model, seed=0)
    before, modes = state(model), [m.training for m in model.modules()]
    run = partial(mho.calibrate, model, data)
    if verb == "compensate":
        run = partial(mho.compensate, model, Affine(), data=data)
    with pytest.raises(error, match=message):
        run()
    assert unchanged(model, before)
    assert [m.training for m in model.modules()] == modes
    assert not any(m._forward_hooks for m in model.modules())
    model.eval()(torch.randn(2, 6))  # and no layer is left observing


def test_a_range_that_was_never_measured_is_named() -> None:
    for missing, converters in (("input_range", {"dac": mho.DAC()}), ("output_range", {"adc": mho.ADC()})):
        model = network(**converters).eval()
        with pytest.raises(
            NotCalibratedError, match=rf"{missing} of 'first' .*call mho\.calibrate\(model, loader\), or"
        ):
            model(torch.randn(2, 6))
        model.train()(torch.randn(2, 6))  # training leaves it out


# --- program ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, -3, 2**80, np.int64(7)])
def test_seeds(seed: int) -> None:
    model, other = network(device=PCM), network(device=PCM)
    other.load_state_dict(model.state_dict())
    mho.program(model, seed=seed)
    mho.program(other, seed=int(seed))
    assert unchanged(other, state(model))
    mho.program(other, seed=int(seed) + 1)
    assert not torch.equal(other.first.chip_g, model.first.chip_g)


@pytest.mark.parametrize("seed", [0.0, "0", None, True, torch.tensor(1)], ids=repr)
def test_wrong_seeds_are_named(seed: object) -> None:
    model = network(device=PCM)
    with pytest.raises(TypeError, match=r"seed = .*: a chip's seed is an integer"):
        mho.program(model, seed=seed)
    assert model.first.chip is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_programming_refuses_weights_that_are_no_numbers_before_it_begins(bad: float) -> None:
    model = network(device=PCM)
    mho.program(model, seed=0)
    before = state(model)
    with torch.no_grad():
        model.last.weight[0, 0] = bad
    with pytest.raises(ValueError, match="weight of 'last': 1 of 15 values are NaN or infinite"):
        mho.program(model, seed=1)
    assert torch.equal(model.first.chip_g, before["first.crossbar.chip_g"])


def test_programming_again_is_a_new_chip() -> None:
    model = network(device=PCM)
    mho.program(model, seed=0)
    first = state(model)
    mho.age(model, DAY)
    mho.compensate(model)
    mho.program(model, seed=0)
    assert unchanged(model, first)


@pytest.mark.parametrize(
    "verb", ["program", "age", "compensate", "calibrate", "conductances", "effective_weights"]
)
def test_verbs_need_an_analog_model(verb: str) -> None:
    more = {"program": (0,), "age": (1,), "calibrate": ([torch.ones(1, 2)],)}.get(verb, ())
    with pytest.raises(
        ValueError, match=r"the model has no analog layer: call mho\.convert\(model, hardware\) first"
    ):
        getattr(mho, verb)(nn.Linear(2, 2), *more)
    with pytest.raises(TypeError, match=r"model is a str: give a torch\.nn\.Module"):
        getattr(mho, verb)("model", *more)


# --- age --------------------------------------------------------------------------------------


def test_aging_is_that_of_the_device() -> None:
    model = network(device=PCM)
    mho.program(model, seed=0)
    for seconds in (0, 1, HOUR, np.float32(DAY), np.int64(YEAR)):
        mho.age(model, seconds)
        wanted = PCM.aged(model.first.chip_g, model.first.chip_cells, float(seconds))
        assert torch.equal(mho.conductances(model)["first"], wanted)
        assert float(model.first.chip_seconds) == float(seconds)


TIMES = {
    "negative": (-1, ValueError, "seconds = -1: time since programming is finite and not negative"),
    "NaN": (math.nan, ValueError, "seconds = nan: .*finite"),
    "for ever": (math.inf, ValueError, "seconds = inf: .*finite"),
    "text": ("an hour", ValueError, "seconds = 'an hour': no time; write a number and one of"),
    "nothing": (None, TypeError, "seconds = None: give a number"),
    "truth": (True, TypeError, "seconds = True: give a number"),
    "a tensor": (torch.tensor(3.0), TypeError, r"seconds = tensor\(3\.\): give a number"),
}


@pytest.mark.parametrize("name", TIMES)
def test_wrong_times_are_named(name: str) -> None:
    seconds, error, message = TIMES[name]
    model = network(device=PCM)
    mho.program(model, seed=0)
    mho.age(model, HOUR)
    before = state(model)
    with pytest.raises(error, match=message):
        mho.age(model, seconds)
    assert unchanged(model, before)


def test_a_time_that_one_device_does_not_know_ages_none() -> None:
    """Sources end: a week is beyond this one, and the error says its span."""
    sonos = mho.Hardware(device=mho.devices.SONOS())
    model = mho.convert(
        Network(), mho.Hardware(device=PCM), select={"first": mho.Hardware(device=PCM), "last": sonos}
    )
    mho.program(model, seed=0)
    mho.age(model, DAY)
    before = state(model)
    with pytest.raises(
        ValueError,
        match=r"seconds = 31536000.*: SONOS is known from .* choose a time in that span or another",
    ):
        mho.age(model, YEAR)
    assert unchanged(model, before)


# --- compensate -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [GlobalDrift(), ColumnDrift(), Affine()], ids=lambda m: type(m).__name__)
def test_compensation_brings_outputs_back(method: mho.periphery.Compensation) -> None:
    layer = mho.convert(nn.Linear(64, 32), mho.Hardware(device=mho.devices.PCM(read_scale=0.0))).eval()
    x = torch.randn(500, 64)
    wanted = layer.digital_forward(x).detach()

    def error() -> float:
        return float((layer(x).detach() - wanted).norm() / wanted.norm())

    mho.program(layer, seed=0)
    fresh = error()
    mho.age(layer, YEAR)
    aged = error()
    mho.compensate(layer, method, data=[x] if method.needs_data else None)
    assert error() < 0.45 * aged and error() < 3 * fresh
    gains = layer.chip_gain
    assert bool((gains > 1.2).all())
    assert (len(gains.unique()) == 1) == isinstance(method, GlobalDrift)


@pytest.mark.parametrize("method", [GlobalDrift(), ColumnDrift(), Affine()], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    "hardware",
    [
        {"device": PCM},
        {"device": PCM, **CONVERTERS},
        {"device": PCM, "mapping": mho.mapping.Offset(), **CONVERTERS},
    ],
    ids=["whole", "converters", "offset"],
)
def test_a_corrected_layer_is_one_packed_anew(method: mho.periphery.Compensation, hardware: Any) -> None:
    """A correction keeps what was packed of the array: the bits are those of packing the whole chip again."""

    def packed(model: nn.Module) -> dict[str, Tensor]:
        return {k: v.clone() for k, v in model.named_buffers() if v is not None}

    data = [torch.randn(40, 6)]
    model = network(**hardware).eval()
    mho.calibrate(model, data)
    mho.program(model, seed=0)
    mho.age(model, YEAR)
    for _ in range(2):
        mho.compensate(model, method, data=data if method.needs_data else None)
    before = packed(model)
    for layer in mho.nn.analog_layers(model).values():
        layer.repack()
    after = packed(model)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    model.first.chip_g.mul_(0.5)  # and what was changed in place is not kept
    mho.compensate(model, method, data=data if method.needs_data else None)
    before = packed(model)
    model.first.repack()
    assert torch.equal(before["first.crossbar.packed_kernel"], model.first.packed_kernel)


def test_an_affine_correction_is_the_least_squares_line_of_each_column() -> None:
    """Also after another one, with a bias, and in a convolution."""
    for layer, shape in ((nn.Linear(20, 6), (300, 20)), (nn.Conv2d(3, 4, 3, bias=False), (20, 3, 6, 6))):
        made = mho.convert(layer, mho.Hardware(device=mho.devices.PCM(read_scale=0.0))).eval()
        x = torch.randn(shape) + 0.5
        wanted = layer(x).detach()
        mho.program(made, seed=0)
        for seconds in (YEAR, DAY):
            mho.age(made, seconds)
            for _ in range(2):
                mho.compensate(made, Affine(), data=x.split(7))
                y = made(x).detach()
                for column in range(y.shape[1]):
                    a, b = (
                        t.movedim(1, -1).reshape(-1, y.shape[1])[:, column].double().numpy()
                        for t in (y, wanted)
                    )
                    assert np.polyfit(a, b, 1) == pytest.approx([1, 0], abs=1e-4)


def test_an_affine_correction_of_a_whole_network_leaves_unused_layers_alone() -> None:
    model = network(device=mho.devices.PCM(read_scale=0.0)).eval()
    mho.program(model, seed=0)
    mho.age(model, YEAR)
    x = torch.randn(400, 6)
    wanted = mho.revert(model).eval()(x).detach()
    before = float((model(x).detach() - wanted).norm())
    mho.compensate(model, Affine(), data=[x])
    assert float((model(x).detach() - wanted).norm()) < 0.3 * before
    assert bool((model.spare.chip_gain == 1).all()) and not bool(model.spare.chip_shift.any())


METHODS = {
    "a name": (
        "global",
        None,
        TypeError,
        r"method = 'global': give a mho\.periphery\.Compensation, such as GlobalDrift",
    ),
    "a class": (GlobalDrift, None, TypeError, "method = <class"),
    "no data": (
        Affine(),
        None,
        ValueError,
        r"Affine\(\) needs data: compensate\(model, method, data=loader\)",
    ),
    "data for nothing": (GlobalDrift(), [torch.ones(2, 6)], ValueError, r"GlobalDrift\(\) takes no data"),
    "one sample": (Affine(), [torch.ones(1, 6)], ValueError, "at least two samples"),
}


@pytest.mark.parametrize("name", METHODS)
def test_wrong_methods_are_named(name: str) -> None:
    method, data, error, message = METHODS[name]
    model = network(device=PCM)
    mho.program(model, seed=0)
    mho.age(model, DAY)
    before = state(model)
    with pytest.raises(error, match=message):
        mho.compensate(model, method, data=data)
    assert unchanged(model, before)


# --- reading out ------------------------------------------------------------------------------


def test_what_is_read_out() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose1d(3, 2, 5), nn.Linear(7, 3))
    hardware = mho.Hardware(
        device=mho.devices.Ideal(g_min=1e-6, g_max=9e-6), mapping=mho.mapping.Offset(unit_column=True)
    )
    analog = mho.convert(model, hardware)
    mho.program(analog, seed=0)
    g = mho.conductances(analog)
    assert {path: tuple(v.shape) for path, v in g.items()} == {
        "0": (1, 2, 18, 4),
        "1": (1, 1, 15, 3),
        "2": (1, 1, 7, 4),
    }
    assert all(
        float(v.min()) >= 1e-6 * (1 - 1e-6) and float(v.max()) <= 9e-6 * (1 + 1e-6) for v in g.values()
    )
    assert all(bool(torch.isclose(v[..., -1], torch.tensor(5e-6)).all()) for v in g.values())
    for path, weight in mho.effective_weights(analog).items():
        original = model.get_submodule(path).weight
        assert weight.shape == original.shape
        assert torch.allclose(weight, original, atol=1e-6)
        assert not weight.requires_grad


def test_effective_weights_hold_the_gain_and_never_read_noise() -> None:
    layer = mho.convert(nn.Linear(30, 20, bias=False), mho.Hardware(device=PCM)).eval()
    mho.program(layer, seed=0)
    mho.age(layer, DAY)
    raw = mho.effective_weights(layer)[""]
    assert torch.equal(mho.effective_weights(layer)[""], raw)
    mho.compensate(layer)
    assert torch.allclose(mho.effective_weights(layer)[""], raw * layer.chip_gain[0])


def test_in_the_loop_training_needs_a_chip() -> None:
    model = network(device=PCM)
    with pytest.raises(
        NotProgrammedError, match=r"train_on_chip needs a programmed chip, and 'first' has none"
    ):
        mho.train_on_chip(model)
    mho.program(model, seed=0)
    mho.age(model, YEAR)
    x = torch.randn(8, 6)
    digital = model.train()(x)
    mho.train_on_chip(model)
    assert (model(x) - digital).abs().max() > 0.1
    mho.train_on_chip(model, False)
    assert torch.equal(model(x), digital)


# --- edges ------------------------------------------------------------------------------------

EDGES: dict[str, tuple[Callable[[], Tensor], dict[str, Any]]] = {
    "all zero": (lambda: torch.zeros(4, 6), {}),
    "one row": (lambda: torch.randn(5, 1), {}),
    "one column": (lambda: torch.randn(1, 6), {}),
    "one cell": (lambda: torch.tensor([[-0.3]]), {}),
    "one sign": (lambda: -torch.rand(4, 6), {}),
    "one column of zeros": (
        lambda: torch.cat([torch.zeros(1, 6), torch.randn(3, 6)]),
        {"scale": mho.mapping.Maximum(per_column=True)},
    ),
    "tiny": (lambda: 1e-12 * torch.randn(4, 6), {}),
    "huge": (lambda: 1e12 * torch.randn(4, 6), {}),
    "an outlier": (
        lambda: torch.cat([torch.randn(3, 6), torch.full((1, 6), 1e6)]),
        {"scale": mho.mapping.Percentile(fraction=0.5)},
    ),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("converters", [False, True])
def test_edges_of_weights(name: str, converters: bool) -> None:
    """A whole life, finite everywhere; on ideal cells the product is the product."""
    make, options = EDGES[name]
    weight = make()
    layer = nn.Linear(*reversed(weight.shape))
    layer.weight.data = weight
    x = torch.randn(7, weight.shape[1])
    scale = float(weight.abs().max()) or 1.0
    mapping = mho.mapping.DifferentialPair(**options)
    parts = (
        {"dac": mho.DAC(bits=12, range=Dynamic()), "adc": mho.ADC(bits=12, range=Dynamic())}
        if converters
        else {}
    )
    exact = mho.convert(layer, mho.Hardware(mapping=mapping, **parts)).eval()
    made = mho.convert(layer, mho.Hardware(device=PCM, mapping=mapping, **parts)).eval()
    mho.program(exact, seed=0)
    if name != "an outlier":
        # 12 bits on each side, of sums of up to 6 products of normal numbers
        assert (exact(x) - layer(x)).abs().max() <= (4e-2 if converters else 3e-6) * scale
    mho.program(made, seed=0)
    for seconds in (0, HOUR, YEAR):
        mho.age(made, seconds)
        for compensation in (None, GlobalDrift(), ColumnDrift()):
            if compensation is not None:
                mho.compensate(made, compensation)
            y = made(x)
            assert bool(y.isfinite().all()) and float(made.chip_gain.max()) <= 1e4
    if name == "all zero":
        assert (exact(x) - layer.bias).abs().max() == 0


def test_at_time_zero_the_chip_is_as_programmed() -> None:
    layer = mho.convert(nn.Linear(6, 4), mho.Hardware(device=PCM))
    mho.program(layer, seed=0)
    assert torch.equal(mho.conductances(layer)[""], layer.chip_g)
    mho.age(layer, 0)
    assert torch.equal(mho.conductances(layer)[""], layer.chip_g)


def test_one_bit_converters() -> None:
    """Unsigned: 0 or full scale. Signed without zero: one of two signs."""
    layer = nn.Linear(3, 2, bias=False)
    parts = {"dac": mho.DAC(bits=1, signed=False, range=Fixed(limit=1.0))}
    made = mho.convert(layer, mho.Hardware(**parts)).eval()
    x = torch.tensor([[0.4, 0.6, 2.0]])
    assert torch.allclose(made(x), layer(torch.tensor([[0.0, 1.0, 1.0]])), atol=1e-6)
    parts = {"adc": mho.ADC(bits=1, zero=False, range=Fixed(limit=0.5))}
    made = mho.convert(layer, mho.Hardware(**parts)).eval()
    assert torch.allclose(made(x), layer(x).sign() * 0.5 * layer.weight.abs().amax(1), atol=1e-6)
    with pytest.raises(ValueError, match="bits = 1: a signed converter with zero as a level needs 2 bits"):
        mho.ADC(bits=1)


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Conv2d(3, 2, 2)], ids=lambda m: type(m).__name__)
def test_a_batch_of_nothing(layer: nn.Module) -> None:
    parts = {"dac": mho.DAC(range=Dynamic()), "adc": mho.ADC(range=Dynamic())}
    made = mho.convert(layer, mho.Hardware(device=PCM, **parts))
    mho.program(made, seed=0)
    x = torch.ones(0, 3) if isinstance(layer, nn.Linear) else torch.ones(0, 3, 4, 4)
    for mode in (True, False):
        assert made.train(mode)(x).shape == layer(x).shape


def test_known_drift_is_undone_without_a_trace_and_that_of_cells_is_not() -> None:
    torch.manual_seed(0)
    network = nn.Linear(12, 6)
    law = mho.devices.ConstantNu(mean=0.06, std=0.02)
    known = KnownDrift(nu=0.06, t0=20.0, counts_from_t0=True)
    for device, method, left in (
        (mho.devices.ConstantDrift(nu=0.06, program=(0.0,)), KnownDrift(nu=0.06), (0.0, 1e-6)),
        (mho.devices.Drifting(nu=mho.devices.ConstantNu(mean=0.06), t0=20.0), known, (0.0, 1e-6)),
        (mho.devices.Drifting(nu=law, t0=20.0), known, (0.02, 0.4)),
    ):
        layer = mho.convert(network, mho.Hardware(device=device))
        mho.program(layer, seed=0)
        mho.age(layer, "1y")
        mho.compensate(layer, method)
        weight = mho.effective_weights(layer)[""].detach()
        assert (
            left[0]
            <= float((weight - network.weight.detach()).norm() / network.weight.detach().norm())
            < left[1]
        )
        mho.age(layer, device.times[0])
        mho.compensate(layer, method)
        assert bool((layer.chip_gain == 1).all())
    with pytest.raises(ValueError, match=r"KnownDrift\(\) takes no data"):
        mho.compensate(layer, known, data=[torch.ones(2, 12)])
